//! The program from outside: flags, files, directories, exit codes.

use std::{fs, io::Read as _, process::Stdio};

use plans::{BaseMode, Reason, SelectionMode, Source};

use crate::{
    program::{CATALOG, MANIFEST, lanes_of, nodes_of},
    sandbox::{Sandbox, path},
};

fn changed() -> Sandbox {
    let sandbox = Sandbox::with_lanes();
    sandbox.write("src/lib.rs", "changed");
    sandbox.commit("change");
    sandbox
}

fn base_mode(plan: &plans::Plan) -> BaseMode {
    let Source::Change(source) = plan.source() else { panic!("a change") };
    source.base_mode
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let sandbox = changed();
    sandbox.write("list", "src/lib.rs\n");
    sandbox.write("a.toml", "words = \"a\"\nchanges = []\n");
    let ways: [&[&str]; 7] = [
        &["--base", "HEAD"],
        &["--base-exact", "HEAD"],
        &["--base-first-parent"],
        &["--base-empty"],
        &["--changed-files", "list"],
        &["--all"],
        &["--scenario", "a.toml"],
    ];
    for (at, one) in ways.iter().enumerate() {
        for other in &ways[at + 1..] {
            let args = [&["plan", "-o", "plan.json"], *one, *other].concat();
            sandbox.planner(&args).refused();
        }
    }
    for args in [
        &["--worktree", "--head", "HEAD"][..],
        &["--scenario", "a.toml", "--trigger", "branch"],
        &["--scenario", "a.toml", "--lane", "rust"],
        &["--trigger", "manual"],
        &["--trigger", "weekly"],
        &["--on-unknown-base", "guess"],
        &["--format", "yaml"],
        &["--lane", "no such lane"],
        &["--lane", "rest"],
        &["--target", "rest"],
        &["--job", "rest"],
        &["--base", "nowhere"],
        &["--base-exact", "nowhere"],
        &["--head", "nowhere"],
        &["--manifest", "nowhere.toml"],
        &["--manifest", "/etc/passwd"],
        &["--manifest", "../x"],
        &["--catalog", "nowhere.toml"],
        &["--scenario", "nowhere.toml"],
        &["--changed-files", "nowhere"],
        &["--unknown"],
        &["surplus"],
    ] {
        let args = [&["plan", "-o", "plan.json"], args].concat();
        let said = sandbox.planner(&args);
        assert_eq!(said.code, 2, "{args:?}");
        assert!(!said.refused().is_empty(), "{args:?}");
    }
    for args in [
        &[][..],
        &["plan", "-C"],
        &["-C", "nowhere", "plan"],
        &["show"],
        &["show", "nowhere.json"],
        &["diff", "HEAD"],
        &["diff", "HEAD", "nowhere"],
        &["explain"],
        &["explain", "/etc/passwd"],
        &["list", "nodes"],
        &["target-info", "rest"],
        &["schema", "record"],
        &["golden", "check", "nowhere"],
    ] {
        assert!(!sandbox.planner(args).refused().is_empty(), "{args:?}");
    }
    assert!(!sandbox.root().join("plan.json").exists(), "nothing is written");
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "?? a.toml\n?? list");
}

#[test]
fn names_close_to_a_wrong_one_are_told() {
    let said = changed().planner(&["plan", "--lane", "rusty"]).refused();
    assert!(said.contains("did you mean `rust`?"), "{said}");
}

#[test]
fn the_plan_is_the_same_from_every_directory() {
    let sandbox = changed();
    let plan = sandbox.planner(&["plan"]).with_code(0);
    for dir in ["src", "docs"] {
        assert_eq!(
            sandbox.planner_in(&sandbox.root().join(dir), &["plan"], b"").with_code(0),
            plan
        );
    }
    let root = sandbox.root();
    let dir = root.to_str().expect("text");
    for args in [["-C", dir, "plan"], ["plan", "-C", dir]] {
        assert_eq!(sandbox.planner_in(&sandbox.beside("home"), &args, b"").with_code(0), plan);
    }
    let said = sandbox.planner_in(&sandbox.beside("home"), &["plan"], b"").refused();
    assert!(said.contains("repository"), "{said}");
}

#[test]
fn a_file_is_written_whole_and_stdout_is_silent() {
    let sandbox = changed();
    let plan = sandbox.planner(&["plan"]).with_code(0);
    sandbox.write("plan.json", "old");
    assert_eq!(sandbox.planner(&["plan", "-o", "plan.json"]).with_code(0), "");
    let file = sandbox.root().join("plan.json");
    assert_eq!(fs::read_to_string(&file).expect("a file"), plan);
    // What cannot be written leaves what was there, and nothing beside it.
    sandbox.planner(&["plan", "-o", "src"]).refused();
    sandbox.planner(&["plan", "-o", "no/such/plan.json"]).refused();
    // No regular file: written to, and still what it was.
    let null = sandbox.beside("null");
    std::os::unix::fs::symlink("/dev/null", &null).expect("made");
    let name = null.to_str().expect("UTF-8");
    assert_eq!(sandbox.planner(&["plan", "-o", name]).with_code(0), "");
    assert!(null.symlink_metadata().expect("there").is_symlink());
    sandbox.planner(&["plan", "-o", "plan.json", "--base", "nowhere"]).refused();
    assert_eq!(fs::read_to_string(&file).expect("a file"), plan);
    assert_eq!(sandbox.git(&["status", "--porcelain"]), "?? plan.json");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let sandbox = Sandbox::with_lanes();
    for number in 0..3000 {
        sandbox.write(format!("src/a-rather-long-name-of-a-file-{number}"), "");
    }
    sandbox.commit("many");
    for args in [&["plan"][..], &["schema", "plan"], &["man"], &["--help"]] {
        let mut command = sandbox.planner_command(&sandbox.root());
        command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("planner starts");
        let mut few = [0; 10];
        let mut out = child.stdout.take().expect("a pipe");
        out.read_exact(&mut few).expect("some output");
        drop(out);
        let ended = child.wait_with_output().expect("planner ends");
        assert_eq!(ended.status.code(), Some(0), "{args:?}");
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{args:?}");
    }
}

#[test]
fn requests_add_to_what_changes_select() {
    let sandbox = changed();
    let plan = |args: &[&str]| sandbox.planner(&[&["plan"], args].concat()).plan();
    let ids = |args: &[&str]| nodes_of(&plan(args)).join(" ");
    assert_eq!(ids(&[]), "execute-build execute-unit");
    // `docs` runs after `rust`: its job waits for the last of the other lane.
    assert_eq!(ids(&["--lane", "docs"]), "execute-build execute-unit execute-site");
    assert_eq!(lanes_of(&plan(&["--target", "docs"])), ["rust", "docs"]);
    let with_job = plan(&["--job", "site"]);
    assert_eq!(lanes_of(&with_job), ["rust"]);
    assert_eq!(nodes_of(&with_job), ["execute-build", "execute-site", "execute-unit"]);

    assert_eq!(ids(&["--trigger", "manual", "--lane", "docs"]), "execute-site");
    assert_eq!(ids(&["--trigger", "manual", "--job", "unit"]), "execute-build execute-unit");
    assert_eq!(ids(&["--trigger", "manual", "--lane", "fuzz"]), "execute-fuzz");
    assert_eq!(
        plan(&["--trigger", "manual", "--lane", "docs"]).selection().mode,
        SelectionMode::Requested
    );
    let docs = &plan(&["--trigger", "manual", "--lane", "docs"]);
    assert!(docs.lanes().iter().all(|lane| lane.reasons
        == [if lane.selected { Reason::Requested } else { Reason::NotRequested }]));

    let nightly = plan(&["--trigger", "nightly"]);
    assert_eq!(nodes_of(&nightly), ["execute-fuzz"]);
    assert_eq!(base_mode(&nightly), BaseMode::All);
    assert!(nightly.changes().is_empty());

    let all = plan(&["--all"]);
    assert_eq!(lanes_of(&all), ["rust", "docs"]);
    assert_eq!((base_mode(&all), all.selection().mode), (BaseMode::All, SelectionMode::All));
}

#[test]
fn no_change_is_a_plan_without_nodes() {
    let sandbox = changed();
    let plan = sandbox.planner(&["plan", "--base-exact", "HEAD"]).plan();
    assert!(plan.nodes().is_empty());
    assert_eq!(plan.selection().mode, SelectionMode::NoChange);
}

#[test]
fn an_unknown_base_runs_everything_only_when_told_so() {
    let sandbox = changed();
    let args = ["plan", "--base", "nowhere", "--on-unknown-base", "run-all"];
    let said = sandbox.planner(&args);
    assert!(said.err.contains("everything runs"), "{}", said.err);
    let plan = said.plan();
    assert_eq!(lanes_of(&plan), ["rust", "docs"]);
    assert_eq!((base_mode(&plan), plan.selection().mode), (BaseMode::Unknown, SelectionMode::All));
    assert!(plan.selection().note.is_some());
    assert!(matches!(&plan.lanes()[0].reasons[..], [Reason::RunAll(why)] if why.because.is_some()));
    // A bad manifest stays an error: nothing could be run.
    sandbox.write("ci/forge-lanes.toml", "version = 1\nno toml");
    sandbox.commit("broken");
    sandbox.planner(&args).refused();
}

#[test]
fn a_directory_without_git_can_be_planned_from_a_list() {
    let sandbox = Sandbox::with_lanes();
    let dir = sandbox.beside("export");
    fs::create_dir_all(dir.join("ci")).expect("a directory");
    fs::write(dir.join("ci/forge-lanes.toml"), MANIFEST).expect("a file");
    fs::write(dir.join("ci/catalog.toml"), CATALOG).expect("a file");
    let plan =
        sandbox.planner_in(&dir, &["plan", "--changed-files", "-"], b"docs/a.md\nother\n").plan();
    assert_eq!(lanes_of(&plan), ["docs"]);
    assert_eq!(plan.uncovered(), [path("other")]);
    assert_eq!(base_mode(&plan), BaseMode::ChangedFiles);
    let Source::Change(source) = plan.source() else { panic!("a change") };
    assert_eq!((&source.head, &source.tree), (&None, &None));
    sandbox.planner_in(&dir, &["plan"], b"").refused();
    sandbox.planner_in(&dir, &["plan", "--changed-files", "-"], b"../up\n").refused();
}

#[test]
fn names_that_are_no_text_come_through_whole() {
    let sandbox = Sandbox::with_lanes();
    let names: [&[u8]; 4] =
        [b"src/\xff\xfe.rs", b"src/new\nline", b"src/\"quoted\"", "src/é".as_bytes()];
    for name in names {
        sandbox.write(name, "");
    }
    sandbox.commit("odd");
    let plan = sandbox.planner(&["plan"]).plan();
    let mut expected = names.map(path).to_vec();
    expected.sort();
    let found: Vec<_> = plan.changes().iter().map(|change| change.path.clone()).collect();
    assert_eq!(found, expected);
    let Reason::Paths(why) = &plan.lanes()[0].reasons[0] else { panic!("paths") };
    assert_eq!((why.total, &why.matched), (4, &expected));

    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "empty"]);
    let list = names.join(&b'\0');
    let by_list =
        sandbox.planner_in(&sandbox.root(), &["plan", "--changed-files", "-"], &list).plan();
    assert_eq!(by_list.nodes(), plan.nodes());
    for format in ["human", "markdown", "mermaid", "dot", "html"] {
        sandbox.planner(&["plan", "--base-exact", "HEAD~2", "--format", format]).with_code(0);
    }
}

#[test]
fn a_submodule_counts_for_globs_below_it() {
    let sandbox = Sandbox::with_lanes();
    let lane =
        "\n[[branch.lanes]]\nid = \"vendor\"\ncommand = [\"true\"]\npaths = [\"vendor/**\"]\n";
    let new = "\n[[branch.lanes]]\nid = \"new\"\ncommand = [\"true\"]\npaths = [\"**\"]\nstatuses = [\"added\"]\n";
    sandbox.define(&format!("{MANIFEST}{lane}{new}"), CATALOG);
    sandbox.commit("lanes");
    let commit = sandbox.git(&["rev-parse", "HEAD"]);
    sandbox.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{commit},vendor")]);
    sandbox.git(&["commit", "-q", "-m", "submodule"]);
    let plan = sandbox.planner(&["plan"]).plan();
    assert_eq!(lanes_of(&plan), ["vendor"]);
    // A list knows no kinds of change: it satisfies every `statuses`, and no submodule.
    let by_list =
        sandbox.planner_in(&sandbox.root(), &["plan", "--changed-files", "-"], b"vendor\n").plan();
    assert_eq!(lanes_of(&by_list), ["new"]);
}

#[test]
fn submodules_are_said_to_be_empty_directories() {
    let sandbox = Sandbox::with_lanes();
    let quiet = sandbox.planner(&["plan", "--all"]);
    assert!(quiet.code == 0 && !quiet.err.contains("submodule"), "{}", quiet.err);
    sandbox.write(
        ".gitmodules",
        "[submodule \"lib\"]\n\tpath = vendor/lib\n\turl = ../lib\n[submodule \"b\"]\n\tpath=\"b c\"\n",
    );
    sandbox.commit("submodules");
    let told = sandbox.planner(&["plan", "--all"]);
    let says = "submodules are empty directories to jobs, nothing is fetched: `vendor/lib`, `b c`";
    assert!(told.code == 0 && told.err.contains(says), "{}", told.err);
}

#[test]
fn a_scenario_lists_what_runs_and_counts_the_rest() {
    let sandbox = Sandbox::with_lanes();
    sandbox.write(
        "ci/scenarios/docs.toml",
        "words = \"docs\"\nchanges = [\"docs/a.md\", { path = \"new.md\", status = \"added\" }]\n",
    );
    let plan = sandbox.planner(&["plan", "--scenario", "ci/scenarios/docs.toml"]).plan();
    assert!(matches!(plan.source(), Source::Scenario(name) if name.as_str() == "docs"));
    assert!(plan.inputs().is_empty());
    assert_eq!(plan.lanes().len(), 1);
    assert_eq!(plan.selection().lanes_not_listed, Some(1));
    for bad in [
        "words = 1\nchanges = []\n",
        "words = \"a\"\nchanges = [\"/a\"]\n",
        "words = \"a\"\nchange = []\n",
    ] {
        sandbox.write("ci/scenarios/bad.toml", bad);
        let said = sandbox.planner(&["plan", "--scenario", "ci/scenarios/bad.toml"]).refused();
        assert!(said.contains("bad.toml"), "{said}");
    }
}

#[test]
fn steps_are_told_on_stderr_when_asked_for_and_the_plan_is_the_same() {
    let sandbox = changed();
    let plain = sandbox.planner(&["plan"]);
    assert!(!plain.err.contains("definitions read"), "{}", plain.err);
    let once = sandbox.planner(&["plan", "-v"]);
    assert!(once.err.contains("base") && !once.err.contains(" INFO "), "{}", once.err);
    let twice = sandbox.planner(&["plan", "-vv"]);
    for step in
        ["repository found", "definitions read", "changes found", "lanes selected", "nodes made"]
    {
        assert!(twice.err.contains(step), "{step}: {}", twice.err);
    }
    let filtered = sandbox.planner_with(&["plan"], &[("FORGE_LANES_LOG", "planner=info")]);
    assert!(filtered.err.contains("definitions read"), "{}", filtered.err);
    for said in [once, twice, filtered] {
        assert_eq!(said.out, plain.out);
    }
    let refused = sandbox.planner_with(&["plan"], &[("FORGE_LANES_LOG", "planner=loud")]).refused();
    assert!(refused.contains("error: `FORGE_LANES_LOG`: "), "{refused}");
}
