//! What an engine's variables change, and what they do not: other commands, `--head`, `--worktree`,
//! and the flags that stand before the event.

use plans::{BaseMode, Plan, Source};

use crate::{
    forge::Forge,
    program::lanes_of,
    sandbox::{Sandbox, planner},
};

/// `main` after a push of two commits: the first changed `src`, the second `docs`.
fn pushed() -> (Sandbox, String) {
    let sandbox = Sandbox::with_lanes();
    let before = sandbox.id("HEAD").to_string();
    sandbox.write("src/lib.rs", "1");
    sandbox.commit("one");
    sandbox.write("docs/a.md", "2");
    sandbox.commit("two");
    sandbox.write("event.json", format!(r#"{{"before":"{before}"}}"#));
    sandbox.git(&["update-ref", "refs/remotes/origin/main", "main"]);
    (sandbox, before)
}

const PUSH: [(&str, &str); 3] = [
    ("GITHUB_EVENT_NAME", "push"),
    ("GITHUB_REF", "refs/heads/main"),
    ("GITHUB_EVENT_PATH", "event.json"),
];

fn source(plan: &Plan) -> (Option<String>, BaseMode, Option<&str>) {
    let Source::Change(source) = plan.source() else { panic!("a change") };
    let base = source.base.as_ref().map(ToString::to_string);
    (base, source.base_mode, source.base_from.as_ref().map(plans::BaseFrom::as_str))
}

#[test]
fn a_flag_stands_before_the_event() {
    let (sandbox, before) = pushed();
    let plan = |args: &[&str]| sandbox.planner_with(&[&["plan"], args].concat(), &PUSH).plan();
    let parent = sandbox.id("HEAD~1").to_string();
    let event = Some("event:github:push");
    assert_eq!(source(&plan(&[])), (Some(before), BaseMode::Exact, event));
    assert_eq!(lanes_of(&plan(&[])), ["rust", "docs"]);
    let flag = Some("flag");
    let last = plan(&["--base-exact", "HEAD~1"]);
    assert_eq!(source(&last), (Some(parent.clone()), BaseMode::Exact, flag));
    let last = plan(&["--base-first-parent"]);
    assert_eq!(source(&last), (Some(parent.clone()), BaseMode::FirstParent, flag));
    assert_eq!(lanes_of(&last), ["docs"]);
    assert_eq!(source(&plan(&["--base-empty"])), (None, BaseMode::Empty, flag));
    assert_eq!(source(&plan(&["--base", &parent])).2, flag);
    assert_eq!(source(&plan(&["--all"])), (None, BaseMode::All, None));
    let nightly = plan(&["--trigger", "nightly"]);
    assert_eq!((source(&nightly), lanes_of(&nightly)), ((None, BaseMode::All, None), vec!["fuzz"]));
    sandbox.write("list", "docs/a.md\n");
    let listed = plan(&["--changed-files", "list"]);
    assert_eq!((source(&listed).1, lanes_of(&listed)), (BaseMode::ChangedFiles, vec!["docs"]));
}

#[test]
fn every_way_to_a_base_is_recorded() {
    let (sandbox, _) = pushed();
    let from = |args: &[&str]| {
        let plan = sandbox.planner(&[&["plan"], args].concat()).plan();
        source(&plan).2.map(str::to_owned)
    };
    let step = |word: &str| Some(word.to_owned());
    assert_eq!(from(&["--base", "HEAD~1"]), step("flag"));
    assert_eq!(from(&[]), step("first_parent"));
    sandbox.git(&["update-ref", "refs/remotes/origin/main", "main~1"]);
    assert_eq!(from(&[]), step("unpushed"));
    assert_eq!(from(&["--head", "HEAD~1"]), step("first_parent"));
    sandbox.git(&["checkout", "-q", "-b", "topic"]);
    sandbox.write("src/lib.rs", "topic");
    sandbox.commit("topic");
    assert_eq!(from(&[]), step("default_branch"));
    assert_eq!(from(&["--worktree"]), step("default_branch"));
    assert_eq!(from(&["--all"]), None);
}

#[test]
fn the_work_tree_is_compared_with_the_base_of_the_event() {
    let (sandbox, before) = pushed();
    sandbox.write("docs/a.md", "");
    let plan = sandbox.planner_with(&["plan", "--worktree"], &PUSH).plan();
    // What the second commit did is undone, and the event's file itself is new.
    assert_eq!(source(&plan).0, Some(before));
    assert_eq!(lanes_of(&plan), ["rust"]);
}

#[test]
fn another_head_is_said_and_still_compared_with_the_base_of_the_event() {
    let (sandbox, before) = pushed();
    let after = sandbox.id("HEAD").to_string();
    sandbox.write("event.json", format!(r#"{{"before":"{before}","after":"{after}"}}"#));
    let said = sandbox.planner_with(&["plan", "--head", "HEAD~1"], &PUSH);
    assert!(said.err.contains("the event is about GITHUB_EVENT_PATH .after"), "{}", said.err);
    let plan = said.plan();
    assert_eq!((source(&plan).0, lanes_of(&plan)), (Some(before.clone()), vec!["rust"]));
    // Where nothing else is, everything runs, and the error of a flag is the flag's.
    let plan = sandbox.planner_with(&["plan", "--head", &before], &PUSH).plan();
    assert_eq!(source(&plan).1, BaseMode::Unknown);
    let said = sandbox.planner_with(&["plan", "--head", "nowhere"], &PUSH).refused();
    assert!(said.contains("`nowhere`"), "{said}");
}

#[test]
fn commands_that_name_both_sides_do_not_ask_the_event() {
    let (sandbox, before) = pushed();
    sandbox.planner(&["golden", "init"]).with_code(0);
    sandbox.planner(&["golden", "accept"]).with_code(0);
    sandbox.planner(&["plan", "--all", "-o", "all.json"]).with_code(0);
    for args in [
        &["diff", before.as_str(), "HEAD"][..],
        &["diff", "all.json", "all.json"],
        &["backtest", "--last", "2"],
        &["backtest", "--last", "2", "--format", "json"],
        &["golden", "check"],
        &["export", "all.json", "--to", "gitlab"],
        &["export", "all.json", "--to", "buildkite"],
        &["export", "all.json", "--to", "github"],
        &["check"],
        &["list", "lanes"],
        &["explain", "src/lib.rs"],
    ] {
        let alone = sandbox.planner(args);
        let told = sandbox.planner_with(args, &PUSH);
        assert_eq!(told.code, alone.code, "{args:?}: {}", told.err);
        assert_eq!((&told.out, &told.err), (&alone.out, &alone.err), "{args:?}");
        assert!(!(alone.out + &alone.err).is_empty(), "{args:?}");
    }
}

/// What the workflows of `docs/recipes` and of `planner export` do in the clones that they make.
#[test]
fn nightly_lanes_and_exported_plans_need_no_history() {
    let forge = Forge::new();
    let sandbox = &forge.sandbox;
    sandbox.define(crate::program::MANIFEST, crate::program::CATALOG);
    let head = forge.commit("main", forge.first, &["src/a", "docs/b"]);
    let clone = forge.clone_at("clone", head, &["--depth=1"]);
    let run = |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = sandbox.planner_command(&clone);
        let output = command.args(args).envs(variables.iter().copied()).output();
        let output = output.expect("planner runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Plan::from_json(&output.stdout).expect("a plan").0
    };
    let schedule = [("GITHUB_EVENT_NAME", "schedule"), ("GITHUB_REF", "refs/heads/main")];
    let nightly = run(&["plan", "--trigger", "nightly"], &schedule);
    assert_eq!(lanes_of(&nightly), ["fuzz"]);
    let by_hand = [("GITHUB_EVENT_NAME", "workflow_dispatch"), ("GITHUB_REF", "refs/heads/main")];
    assert_eq!(lanes_of(&run(&["plan", "--trigger", "nightly"], &by_hand)), ["fuzz"]);
    // By hand on the default branch nothing is known to have been pushed: all of it runs.
    assert_eq!(lanes_of(&run(&["plan", "--trigger", "branch"], &by_hand)), ["rust", "docs"]);
    let (code, ..) = planner(sandbox, &["plan", "--all"]);
    assert_eq!(code, 0);
}
