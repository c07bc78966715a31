//! `planner diff` and `planner golden`.

use std::fs;

use crate::{
    program::{CATALOG, MANIFEST, nodes_of},
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

#[test]
fn a_drifted_golden_says_which_lane_job_or_glob_changed() {
    for (from, to, causes) in [
        // In the manifest.
        ("\"docs/**\", ", "", &["lane-docs: the lane `docs` no longer has the glob `docs/**`"][..]),
        (
            "paths = [\"docs/**\", \"*.md\"]",
            "paths = [\"docs/**\", \"*.md\", \"src/**\"]",
            &["lane-rust: the glob `src/**` of the lane `docs` matches `src/lib.rs`"],
        ),
        (
            "exclude = [\"docs/drafts/**\"]",
            "exclude = [\"docs/**\"]",
            &[
                "lane-docs: the lane `docs` no longer counts `docs/a.md`: its `exclude` or `statuses` changed",
            ],
        ),
        (
            "target = \"docs\"\npaths = [\"docs/**\", \"*.md\"]",
            "target = \"docs\"",
            &["lane-rust: the glob `**` of the lane `docs` matches `Cargo.toml`"],
        ),
        (
            "target = \"docs\"\npaths = [\"docs/**\", \"*.md\"]\nexclude = [\"docs/drafts/**\"]",
            "target = \"docs\"",
            &[
                "lane-docs: the lane `docs` has no `paths` any more: it always runs",
                "lane-rust: the lane `docs` has no `paths` any more: it always runs",
            ],
        ),
        ("id = \"docs\"\ntarget", "id = \"site\"\ntarget", &["lane-docs: the lane `docs` is gone"]),
        // In the catalog.
        ("mkdocs", "zola", &["lane-docs: the job `site` has other `command`"]),
        (
            "needs = [\"build\"]\n",
            "timeout_secs = 90\n",
            &["lane-rust: the job `unit` has other `depends_on`, `timeout_secs`"],
        ),
        (
            "[[targets.jobs]]\nid = \"site\"",
            "[[targets.jobs]]\nid = \"spell\"\nbase = \"host_local\"\ntimeout_secs = 9\ncommand = { argv = [\"spell\"] }\n[[targets.jobs]]\nid = \"site\"",
            &["lane-docs: the job `spell` runs too"],
        ),
    ] {
        let sandbox = Sandbox::with_lanes();
        sandbox.planner(&["golden", "init"]).with_code(0);
        sandbox.planner(&["golden", "accept"]).with_code(0);
        let change = |text: &str| text.replace(from, to);
        let catalog =
            change(CATALOG).replace("timeout_secs = 60\ntimeout_secs = 90", "timeout_secs = 90");
        assert!(change(MANIFEST) != MANIFEST || catalog != CATALOG, "{from}");
        sandbox.define(&change(MANIFEST), &catalog);
        let said = sandbox.planner(&["golden", "check"]);
        assert!(said.err.contains("planner golden accept lane-"), "{}", said.err);
        let text = said.with_code(1);
        let mut scenario = "";
        let mut found = Vec::new();
        for line in text.lines() {
            scenario = line.strip_suffix(" drifted").unwrap_or(scenario);
            if let Some(cause) = line.strip_prefix("  because ") {
                found.push(format!("{scenario}: {cause}"));
            }
        }
        for cause in causes {
            assert!(found.iter().any(|one| one == cause), "{cause}\n{found:#?}\n{text}");
        }
    }
}

#[test]
fn a_generated_scenario_exercises_lanes_jobs_and_kinds_of_changes() {
    let sandbox = Sandbox::new();
    sandbox.define(
        "version = 1\n[[branch.lanes]]\nid = \"new\"\ntarget = \"t\"\npaths = [\"src/**\"]\n\
         exclude = [\"src/a/**\"]\nstatuses = [\"added\", \"deleted\"]\n",
        "version = 1\n[[targets]]\nid = \"t\"\n\
         [[targets.jobs]]\nid = \"all\"\nbase = \"host_local\"\ntimeout_secs = 1\ncommand = { argv = [\"a\"] }\n\
         [[targets.jobs]]\nid = \"narrow\"\nbase = \"host_local\"\ntimeout_secs = 1\ncommand = { argv = [\"b\"] }\npaths = [\"**/*.proto\"]\n",
    );
    for file in ["src/a/x.rs", "src/b/y.rs", "src/a/a.proto", "src/c/c.proto"] {
        sandbox.write(file, "");
    }
    sandbox.commit("all");
    sandbox.planner(&["golden", "init"]).with_code(0);
    let text =
        fs::read_to_string(sandbox.root().join("ci/scenarios/lane-new.toml")).expect("there");
    assert!(text.contains("{ path = \"src/b/y.rs\", status = \"added\" }"), "{text}");
    assert!(text.contains("src/c/c.proto") && !text.contains("src/a/"), "{text}");
    sandbox.planner(&["golden", "accept"]).with_code(0);
    let plan = fs::read(sandbox.root().join("ci/plans/lane-new.json")).expect("a golden");
    let (plan, _) = plans::Plan::from_json(&plan).expect("a plan");
    assert_eq!(nodes_of(&plan), ["execute-all", "execute-narrow"]);
}
