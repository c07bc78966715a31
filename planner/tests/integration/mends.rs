//! Every refusal names a command, and that command mends it: run as it is written, in the clone in
//! which it was said, until there is a plan.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::{
    forge::Forge,
    sandbox::{Sandbox, finish},
};

/// A shell with the surroundings of the sandbox's git.
fn shell(sandbox: &Sandbox, dir: &Path, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(dir);
    for (name, value) in sandbox.command(dir).get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let program = Path::new(env!("CARGO_BIN_EXE_planner")).parent().expect("a directory");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    command.env("PATH", path).env("GIT_EDITOR", "echo words >");
    command.env("GIT_CONFIG_COUNT", "1");
    command.env("GIT_CONFIG_KEY_0", "protocol.file.allow").env("GIT_CONFIG_VALUE_0", "always");
    command
}

/// What stands in backticks, of which the first word is `git`.
fn commands(said: &str) -> Vec<String> {
    let help = said.lines().filter(|line| line.starts_with("help: ") || line.starts_with("error["));
    let quoted = help.flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.filter(|code| code.starts_with("git ")).map(str::to_owned).collect()
}

struct Mended {
    commands: Vec<String>,
}

/// Plans, runs what the help names, and plans again, until there is a plan.
#[track_caller]
fn mend(sandbox: &Sandbox, dir: &Path, args: &[&str], variables: &[(&str, &str)]) -> Mended {
    let mut run: Vec<String> = Vec::new();
    for _ in 0..4 {
        let mut planner = sandbox.planner_command(dir);
        let planner = planner.arg("plan").args(args).envs(variables.iter().copied());
        let output = planner.stdin(Stdio::null()).output().expect("planner runs");
        let said = String::from_utf8(output.stderr).expect("text");
        if output.status.success() {
            return Mended { commands: run };
        }
        let next = commands(&said).into_iter().find(|command| !run.contains(command));
        let command =
            next.unwrap_or_else(|| panic!("no command that was not run: {run:?}\n{said}"));
        finish(shell(sandbox, dir, &command), &[]);
        run.push(command);
    }
    panic!("not mended by {run:?}");
}

impl Mended {
    #[track_caller]
    fn by(&self, parts: &[&str]) {
        let Self { commands } = self;
        assert_eq!(commands.len(), parts.len(), "{commands:?}");
        for (command, part) in commands.iter().zip(parts) {
            assert!(command.contains(part), "{commands:?}");
        }
    }
}

/// `main` with three commits, each of which changes the manifest, and `feature` upon the second.
fn forge() -> Forge {
    let forge = Forge::new();
    let manifest = |words: &str| {
        let lane = format!(
            "version = 1\n[[branch.lanes]]\nid = \"a\"\ntitle = \"{words}\"\ncommand = [\"true\"]\n"
        );
        forge.sandbox.write("ci/forge-lanes.toml", lane);
    };
    manifest("two");
    let second = forge.commit("main", forge.first, &["second"]);
    manifest("feature");
    forge.commit("feature", second, &["below/one", "two"]);
    forge.git(&["checkout", "-q", "main"]);
    manifest("three");
    forge.commit("main", second, &["third"]);
    forge
}

#[test]
fn a_shallow_clone_is_mended_by_the_command_that_the_refusal_names() {
    let forge = forge();
    let sandbox = &forge.sandbox;
    let (main, feature) = (forge.at("main"), forge.at("feature"));
    let at = |head, options: &[&str]| forge.clone_at("clone", head, options);
    let one = "--depth=1";
    mend(sandbox, &at(main, &[one]), &[], &[]).by(&["--unshallow origin"]);
    mend(sandbox, &at(main, &[one]), &["--base-first-parent"], &[]).by(&["--unshallow"]);
    mend(sandbox, &at(main, &[one]), &["--base-exact", "HEAD~1"], &[]).by(&["--unshallow"]);
    // The manifest of that commit is not among what was fetched.
    mend(sandbox, &at(main, &[one]), &["--head", "HEAD~1"], &[]).by(&["--unshallow", "git "]);
    mend(sandbox, &at(main, &[one]), &["--worktree"], &[]).by(&["--unshallow"]);
    mend(sandbox, &at(feature, &[one, "--no-single-branch"]), &[], &[]).by(&["--unshallow"]);
    mend(sandbox, &at(feature, &[one]), &[], &[]).by(&["--unshallow"]);
    let only = &[one, "--branch=feature"][..];
    mend(sandbox, &at(feature, only), &[], &[]).by(&["git remote set-head origin --auto"]);
    mend(sandbox, &at(feature, only), &["--base", "origin/main"], &[]).by(&["origin/main"]);
    // The remote has another name.
    let named = &[one, "--branch=feature", "--origin=upstream"][..];
    let clone = {
        let clone = sandbox.beside("clone");
        let _ = std::fs::remove_dir_all(&clone);
        let origin = format!("file://{}", sandbox.root().display());
        let mut command = sandbox.command(&sandbox.root());
        command.args([&["clone", "-q"], named, &[&origin]].concat()).arg(&clone);
        finish(command, &[]);
        clone
    };
    mend(sandbox, &clone, &[], &[]).by(&["--unshallow upstream"]);
}

#[test]
fn a_name_that_nothing_has_is_answered_with_commands_that_list_the_names() {
    let sandbox = Sandbox::new();
    sandbox.write("ci/forge-lanes.toml", "version = 1\n");
    sandbox.commit("first");
    sandbox.git(&["tag", "v1"]);
    for args in [&["--base", "nowhere"], &["--base-exact", "v2"], &["--head", "HEAD~7"]] {
        let mut planner = sandbox.planner_command(&sandbox.root());
        let output = planner.arg("plan").args(args).output().expect("planner runs");
        let said = String::from_utf8(output.stderr).expect("text");
        assert_eq!(output.status.code(), Some(2), "{said}");
        let commands = commands(&said);
        assert_eq!(commands, ["git branch --all", "git tag"], "{said}");
        for command in &commands {
            finish(shell(&sandbox, &sandbox.root(), command), &[]);
        }
    }
}

#[test]
fn a_commit_that_the_event_names_is_fetched_by_the_command_that_the_refusal_names() {
    let forge = forge();
    let sandbox = &forge.sandbox;
    let (main, feature) = (forge.at("main"), forge.at("feature"));
    let second = forge.at("main~1").to_string();
    sandbox.write("event.json", format!(r#"{{"before":"{second}"}}"#));
    let event = sandbox.root().join("event.json");
    let push = [
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_EVENT_PATH", event.to_str().expect("text")),
    ];
    let gitlab = [
        ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
        ("CI_MERGE_REQUEST_DIFF_BASE_SHA", second.as_str()),
    ];
    let queue = [("BUILDKITE_MERGE_QUEUE_BASE_COMMIT", second.as_str())];
    let prow = [("JOB_TYPE", "batch"), ("PULL_BASE_REF", "main"), ("PULL_BASE_SHA", &second)];
    for (head, variables) in
        [(main, &push[..]), (feature, &gitlab), (feature, &queue), (feature, &prow)]
    {
        let clone = forge.clone_at("clone", head, &["--depth=1"]);
        let mended = mend(sandbox, &clone, &[], variables);
        assert!(mended.commands[0].contains("--unshallow"), "{:?}", mended.commands);
    }
    // A commit that no branch has, in a whole clone.
    let other = forge.commit("other", forge.first, &["other"]).to_string();
    let clone = forge.clone_at("clone", main, &["--single-branch", "--branch=main"]);
    let queue = [("BUILDKITE_MERGE_QUEUE_BASE_COMMIT", other.as_str())];
    mend(sandbox, &clone, &[], &queue).by(&[&format!("git fetch origin {other}")]);
    // The branch that a request goes to.
    let request =
        [("BUILDKITE_PULL_REQUEST", "1"), ("BUILDKITE_PULL_REQUEST_BASE_BRANCH", "other")];
    mend(sandbox, &clone, &[], &request).by(&["refs/remotes/origin/other"]);
    // One that is gone everywhere: what is left is to run everything.
    let request = [("BUILDKITE_PULL_REQUEST", "1"), ("BUILDKITE_PULL_REQUEST_BASE_BRANCH", "gone")];
    let plan = |more: &[&str]| {
        let mut planner = sandbox.planner_command(&clone);
        let output = planner.arg("plan").args(more).envs(request).output().expect("planner runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = plan(&[]);
    assert_eq!(code, Some(2));
    assert!(said.contains("`--on-unknown-base run-all`"), "{said}");
    assert_eq!(plan(&["--on-unknown-base", "run-all"]).0, Some(0));
}

#[test]
fn a_partial_clone_is_mended_by_the_commands_that_the_refusals_name() {
    let forge = forge();
    let sandbox = &forge.sandbox;
    let (main, feature) = (forge.at("main"), forge.at("feature"));
    let second = forge.at("main~1").to_string();
    let push = [
        ("CI_PIPELINE_SOURCE", "push"),
        ("CI_COMMIT_BRANCH", "main"),
        ("CI_COMMIT_BEFORE_SHA", second.as_str()),
    ];
    for options in [
        &["--filter=blob:none"][..],
        &["--filter=tree:0"],
        &["--filter=blob:none", "--depth=1"],
        &["--filter=tree:0", "--depth=1"],
    ] {
        for (head, variables) in [(main, &push[..]), (main, &[]), (feature, &[])] {
            let clone = forge.clone_at("clone", head, options);
            let mended = mend(sandbox, &clone, &[], variables);
            for command in mended.commands {
                assert!(command.starts_with("git "), "{command}");
            }
        }
    }
}

#[test]
fn a_revision_or_a_branch_that_is_not_here_is_fetched_by_the_command_that_the_refusal_names() {
    let forge = forge();
    let sandbox = &forge.sandbox;
    let main = forge.at("main");
    let feature = forge.at("feature").to_string();
    let clone = || forge.clone_at("clone", main, &["--single-branch", "--branch=main"]);
    mend(sandbox, &clone(), &["--base", "origin/feature"], &[])
        .by(&["git fetch origin +refs/heads/feature:refs/remotes/origin/feature"]);
    mend(sandbox, &clone(), &["--base-exact", &feature], &[])
        .by(&[&format!("git fetch origin {feature}")]);
    mend(sandbox, &clone(), &["--base", "feature"], &[])
        .by(&["git fetch origin +refs/heads/feature:refs/heads/feature"]);
    // No branch has a usual name, and nobody says which it is.
    forge.git(&["branch", "-q", "-m", "main", "trunk"]);
    forge.git(&["checkout", "-q", "trunk"]);
    let clone = forge.clone_at("clone", main, &["--single-branch", "--branch=feature"]);
    mend(sandbox, &clone, &[], &[]).by(&["git remote set-head origin --auto"]);
}

#[test]
fn the_other_refusals_are_mended_by_their_commands_too() {
    let unborn = Sandbox::new();
    unborn.write("ci/forge-lanes.toml", crate::program::MANIFEST);
    unborn.write("ci/catalog.toml", crate::program::CATALOG);
    mend(&unborn, &unborn.root(), &[], &[]).by(&["git add -A && git commit"]);

    let replaced = Sandbox::with_lanes();
    let (old, new) = (replaced.id("HEAD").to_string(), replaced.commit_file("new").to_string());
    replaced.git(&["replace", &old, &new]);
    mend(&replaced, &replaced.root(), &[], &[]).by(&["git replace -d"]);

    let split = Sandbox::with_lanes();
    split.git(&["update-index", "--split-index"]);
    mend(&split, &split.root(), &["--worktree"], &[]).by(&["git update-index --no-split-index"]);

    // A repository that libgit2 cannot read, planned from git's own list.
    let sha256 = Sandbox::with(&["--object-format=sha256"]);
    sha256.write("ci/forge-lanes.toml", crate::program::MANIFEST);
    sha256.write("ci/catalog.toml", crate::program::CATALOG);
    for file in ["one", "two"] {
        sha256.write(file, file);
        sha256.git(&["add", "-A"]);
        sha256.git(&["commit", "-q", "-m", file]);
    }
    let said = sha256.planner(&["plan"]).refused();
    let [command] = &commands(&said)[..] else { panic!("{said}") };
    let command = command.replace("BASE HEAD", "HEAD~1 HEAD");
    let plan = finish(shell(&sha256, &sha256.root(), &command), &[]);
    let plan = plans::Plan::from_json(&plan).expect("a plan").0;
    assert_eq!(plan.changes().len(), 1);

    // An object that is lost, which the remote still has.
    let forge = forge();
    let clone = forge.clone_at("clone", forge.at("feature"), &[]);
    let tree = forge.at("feature:below").to_string();
    let packs = clone.join(".git/objects/pack");
    let unpack = "mkdir ../packs && mv .git/objects/pack/* ../packs && \
                  for pack in ../packs/*.pack; do git unpack-objects -q < \"$pack\"; done";
    finish(shell(&forge.sandbox, &clone, unpack), &[]);
    assert_eq!(std::fs::read_dir(packs).expect("it is there").count(), 0);
    let lost = clone.join(".git/objects").join(&tree[..2]).join(&tree[2..]);
    std::fs::remove_file(lost).expect("it was there");
    let said = forge.sandbox.planner_in(&clone, &["plan"], b"").refused();
    let refetch = commands(&said).into_iter().find(|it| it.contains("--refetch"));
    finish(shell(&forge.sandbox, &clone, &refetch.expect("a command")), &[]);
    forge.sandbox.planner_in(&clone, &["plan"], b"").plan();

    // Two histories: the flags that the help names.
    let islands = Sandbox::with_lanes();
    islands.git(&["checkout", "-q", "--orphan", "island"]);
    islands.commit("island");
    let said = islands.planner(&["plan"]).refused();
    assert!(said.contains("`--base-exact REV`") && said.contains("`--base-empty`"), "{said}");
    islands.planner(&["plan", "--base-empty"]).plan();
    islands.planner(&["plan", "--base-exact", "main"]).plan();
}
