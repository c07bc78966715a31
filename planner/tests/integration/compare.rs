//! `planner diff` and `planner golden`.

use std::fs;

use crate::{
    program::{CATALOG, MANIFEST},
    sandbox::Sandbox,
};

#[test]
fn two_revisions_are_compared_without_touching_the_work_tree() {
    let sandbox = Sandbox::with_lanes();
    sandbox
        .define(MANIFEST, &CATALOG.replace("timeout_secs = 60\nneeds", "timeout_secs = 90\nneeds"));
    sandbox.commit("slower");
    sandbox.write("ci/catalog.toml", "not even toml");
    sandbox.write("src/lib.rs", "dirty");
    let before = sandbox.git(&["status", "--porcelain"]);

    sandbox.planner(&["diff", "HEAD", "main"]).with_code(0);
    let text = sandbox.planner(&["diff", "HEAD~1", "HEAD"]).with_code(1);
    assert!(text.contains("execute-unit") && text.contains("timeout_secs"), "{text}");
    assert!(!text.contains("execute-site"), "{text}");
    for format in ["json", "markdown"] {
        let text = sandbox.planner(&["diff", "HEAD~1", "HEAD", "--format", format]).with_code(1);
        assert!(text.contains("timeout_secs"), "{text}");
    }
    // A commit that changes no definition changes nothing that could run.
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "empty"]);
    sandbox.planner(&["diff", "HEAD~1", "HEAD"]).with_code(0);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), before);
}

#[test]
fn two_files_are_compared_whole() {
    let sandbox = Sandbox::with_lanes();
    sandbox.write("src/lib.rs", "changed");
    sandbox.commit("change");
    sandbox.planner(&["plan", "-o", "a.json"]).with_code(0);
    sandbox.planner(&["plan", "-o", "b.json", "--lane", "docs"]).with_code(0);
    sandbox.planner(&["diff", "a.json", "a.json"]).with_code(0);
    let text = sandbox.planner(&["diff", "a.json", "b.json"]).with_code(1);
    assert!(text.contains("execute-site"), "{text}");
    let text = fs::read_to_string(sandbox.root().join("a.json")).expect("a plan");
    sandbox.write("edited.json", text.replace("\"timeout_secs\": 60", "\"timeout_secs\": 61"));
    sandbox.write(
        "newer.json",
        text.replacen("\"1.0\"", "\"2.0\"", 1).replacen("\"1.1\"", "\"2.0\"", 1),
    );
    sandbox.write("cut.json", &text[..text.len() / 2]);
    for (file, code) in [("edited.json", 4), ("newer.json", 4), ("cut.json", 2)] {
        for args in [&["diff", "a.json", file][..], &["show", file]] {
            assert_eq!(sandbox.planner(args).with_code(code), "", "{args:?}");
        }
    }
}

#[test]
fn goldens_are_kept_byte_by_byte() {
    let sandbox = Sandbox::with_lanes();
    sandbox.planner(&["golden", "check"]).refused();
    let written = sandbox.planner(&["golden", "init"]).with_code(0);
    assert_eq!(written.lines().count(), 3, "{written}");
    assert_eq!(sandbox.planner(&["golden", "init"]).with_code(0), "", "nothing is overwritten");
    let text = sandbox.planner(&["golden", "check"]).with_code(1);
    assert!(text.contains("lane-docs has no golden plan yet"), "{text}");
    sandbox.planner(&["golden", "accept"]).with_code(0);
    assert_eq!(sandbox.planner(&["golden", "check"]).with_code(0), "");

    // A generated scenario exercises every glob of its lane.
    let plan = fs::read(sandbox.root().join("ci/plans/lane-docs.json")).expect("a golden");
    let (plan, _) = plans::Plan::from_json(&plan).expect("a plan");
    assert_eq!(plan.lanes()[0].reasons.len(), 2);

    // A comment moves no golden; a job that runs otherwise moves exactly its own.
    sandbox.define(&format!("# a comment\n{MANIFEST}"), &CATALOG.replace("mkdocs", "zola"));
    let text = sandbox.planner(&["golden", "check"]).with_code(1);
    assert!(text.contains("lane-docs drifted") && text.contains("zola"), "{text}");
    assert!(!text.contains("lane-rust") && !text.contains("lane-fuzz"), "{text}");
    sandbox.planner(&["golden", "check", "lane-rust"]).with_code(0);
    sandbox.planner(&["golden", "accept", "lane-rust"]).with_code(0);
    sandbox.planner(&["golden", "check"]).with_code(1);
    sandbox.planner(&["golden", "accept", "lane-docs"]).with_code(0);
    sandbox.planner(&["golden", "check"]).with_code(0);

    // Other bytes of the same plan are a difference, too.
    let file = sandbox.root().join("ci/plans/lane-rust.json");
    let golden = fs::read_to_string(&file).expect("a golden");
    for other in [format!("{golden}\n"), golden.replace('\n', "\r\n"), golden.trim_end().to_owned()]
    {
        fs::write(&file, other).expect("a file");
        let text = sandbox.planner(&["golden", "check"]).with_code(1);
        assert!(text.contains("lane-rust"), "{text}");
    }
    fs::write(&file, "{}").expect("a file");
    let text = sandbox.planner(&["golden", "check"]).with_code(1);
    assert!(text.contains("lane-rust is not a plan"), "{text}");
    sandbox.planner(&["golden", "accept"]).with_code(0);
    assert_eq!(fs::read_to_string(&file).expect("a golden"), golden);

    // A plan without its scenario is told, and goes when that is accepted.
    fs::remove_file(sandbox.root().join("ci/scenarios/lane-rust.toml")).expect("a scenario");
    let text = sandbox.planner(&["golden", "check"]).with_code(1);
    assert!(text.contains("lane-rust is a golden plan without a scenario"), "{text}");
    sandbox.planner(&["golden", "accept"]).with_code(0);
    assert!(!file.exists());
    sandbox.planner(&["golden", "check"]).with_code(0);
}
