//! Commands that the planner itself names, run where it names them: the examples of its help, what
//! refusals and findings say, and what `init` and `import` say at the end. What refusals of git name
//! is run in planner/tests, in clones.

use std::{collections::BTreeSet, fs, os::unix::fs::symlink};

use crate::{
    help,
    shell::{Ran, Shell, root},
};

/// Examples that are not run, by how they begin, and why.
const NOT_RUN: &[(&str, &str)] = &[
    ("planner man | man", "shows a page and waits"),
    ("planner man --out-dir /usr", "writes outside of the scratch directory"),
    ("planner completions bash > /etc", "writes outside of the scratch directory"),
    ("planner export plan.json --to buildkite | buildkite-agent", "needs Buildkite"),
];

const MANIFEST: &str = r#"
version = 1
nightly_schedule_utc = "03:00"
[[branch.lanes]]
id = "rust"
target = "unit"
paths = ["src/**"]
[[branch.lanes]]
id = "docs"
command = ["true"]
timeout_secs = 60
paths = ["docs/**"]
"#;
const CATALOG: &str = r#"
version = 1
[[targets]]
id = "unit"
[[targets.jobs]]
id = "unit-tests"
base = "host_local"
timeout_secs = 60
command = { argv = ["true"] }
"#;

/// What each engine and build tool has that the examples of `import` read.
const IMPORTED: &[(&str, &str)] = &[
    (
        ".github/workflows/ci.yml",
        "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - run: make\n",
    ),
    (".gitlab-ci.yml", "test:\n  script: make\n"),
    (".buildkite/pipeline.yml", "steps:\n  - command: make\n"),
    (
        ".woodpecker.yml",
        "when:\n  - event: push\nsteps:\n  - name: test\n    image: bash\n    commands: [make]\n",
    ),
    (
        ".circleci/config.yml",
        "version: 2.1\njobs:\n  test:\n    docker: [{ image: bash }]\n    steps: [{ run: make }]\nworkflows:\n  all:\n    jobs: [test]\n",
    ),
    ("azure-pipelines.yml", "steps:\n  - script: make\n"),
    (".moon/workspace.yml", "projects: [web]\n"),
    ("web/moon.yml", "tasks:\n  test:\n    command: make\n"),
    ("nx.json", "{}"),
    (
        "web/project.json",
        "{ \"name\": \"web\", \"targets\": { \"test\": { \"command\": \"make\" } } }",
    ),
    ("turbo.json", "{ \"tasks\": { \"test\": {} } }"),
    ("package.json", "{ \"private\": true, \"workspaces\": [\"web\"] }"),
    ("web/package.json", "{ \"name\": \"web\", \"scripts\": { \"test\": \"make\" } }"),
    (
        "taskcluster/kinds/test/kind.yml",
        "tasks:\n  test:\n    description: test\n    run: { using: run-task, command: make }\n",
    ),
    (
        ".prow.yaml",
        "presubmits:\n  - name: test\n    always_run: true\n    spec:\n      containers:\n        - image: bash\n          command: [make]\n",
    ),
];

/// A repository with all that the examples of the help name.
fn repository() -> Shell {
    let shell = Shell::new();
    shell.write("ci/forge-lanes.toml", MANIFEST);
    shell.write("ci/catalog.toml", CATALOG);
    shell.write("src/lib.rs", "");
    shell.write("docs/intro.md", "");
    shell.write("new.toml", MANIFEST);
    for (path, text) in IMPORTED {
        shell.write(path, text);
    }
    shell.does(
        "git init -q . && git add -A && git commit -qm first && git tag v1.0 && git tag v1.2",
    );
    shell.does("git branch A && git update-ref refs/remotes/origin/release HEAD");
    shell.does("planner golden init && mv ci/scenarios/lane-docs.toml ci/scenarios/docs-only.toml");
    shell.does("rm -f ci/plans/lane-docs.json && planner golden accept");
    shell.does("git checkout -qb topic && echo 2 > src/lib.rs && git add -A && git commit -qm two");
    shell.does("git branch B");
    for plan in ["plan", "old", "new"] {
        shell.does(&format!("planner plan -o {plan}.json"));
    }
    shell.does("executor history --passed -o passed.json");
    shell.does("mkdir -p ~/.zfunc ~/.config/fish/completions");
    shell
}

#[test]
fn every_example_of_the_planners_help_runs() {
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (called, command) in help::commands() {
        if !called.starts_with("planner") {
            continue;
        }
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let lines = after.lines().filter(|line| line.starts_with("  "));
        let shell = repository();
        for line in lines.map(str::trim) {
            let line = line.split("  ").next().unwrap_or(line);
            let known = NOT_RUN.iter().any(|(start, _)| line.starts_with(start));
            if known || !seen.insert(line.to_owned()) {
                continue;
            }
            // A first `ci/` is written where there is none.
            let ran = if line.starts_with("planner init") {
                let bare = Shell::new();
                bare.write("Makefile", "test:\n\ttrue\n");
                bare.does("git init -q . && git add -A && git commit -qm first");
                bare.run(line)
            } else if line.starts_with("planner import") {
                let without = repository();
                without.does("rm -rf ci");
                without.run(line)
            } else {
                shell.run(line)
            };
            if ran.code != Some(0) {
                wrong.push(format!("`{line}` ended with {:?}:\n{}", ran.code, ran.shown));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen.len() > 30, "{seen:?}");
}

/// What stands in backticks and begins as a command.
fn named(shown: &str) -> Vec<String> {
    let quoted = shown.split('`').skip(1).step_by(2);
    let command = |code: &&str| {
        code.split_once(' ')
            .is_some_and(|(program, _)| ["planner", "executor", "git"].contains(&program))
    };
    quoted
        .filter(command)
        .map(|code| code.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// A situation: what is done first, what is called then, and what its answer names.
struct Situation {
    name: &'static str,
    first: &'static str,
    call: &'static str,
    code: i32,
    names: &'static [&'static str],
}

const fn situation(
    name: &'static str,
    first: &'static str,
    call: &'static str,
    code: i32,
    names: &'static [&'static str],
) -> Situation {
    Situation { name, first, call, code, names }
}

const SITUATIONS: &[Situation] = &[
    situation(
        "a level of a rule that is none",
        "printf 'version = 1\\n[lints]\\nnosuch = \"deny\"\\n' > ci/invariants.toml",
        "planner check",
        1,
        &["planner check --explain all"],
    ),
    situation(
        "a rule that is none",
        "",
        "planner check --explain nosuch",
        2,
        &["planner check --explain all"],
    ),
    situation(
        "files that nothing covers",
        "echo > loose && git add -A && git commit -qm loose",
        "planner backtest --last 1",
        0,
        &["planner check"],
    ),
    situation(
        "no passed file",
        "",
        "planner plan --passed nowhere.json",
        2,
        &["executor history --passed -o FILE"],
    ),
    situation(
        "times that are none",
        "echo {} > times.json",
        "planner show plan.json --durations times.json",
        2,
        &["executor history --json"],
    ),
    situation(
        "times of a replay that are none",
        "echo {} > times.json",
        "planner backtest --durations times.json",
        2,
        &["executor history --json"],
    ),
    situation(
        "a scenario that is none",
        "",
        "planner golden check nosuch",
        2,
        &["planner golden check"],
    ),
    situation(
        "no scenario",
        "rm -r ci/scenarios ci/plans",
        "planner golden check",
        2,
        &["planner golden init"],
    ),
    situation(
        "a scenario where there is none",
        "rm -r ci/scenarios ci/plans",
        "planner golden check nosuch",
        2,
        &["planner golden init"],
    ),
    situation(
        "nothing to import",
        "rm -r ci .github",
        "planner import github",
        2,
        &["planner init"],
    ),
    situation(
        "nothing to import that a change starts",
        "rm -r ci .github; mkdir -p .github/workflows; printf 'on: workflow_dispatch\\njobs: {}\\n' > .github/workflows/a.yml",
        "planner import github",
        2,
        &["planner init"],
    ),
    situation(
        "imported",
        "rm -r ci .github; mkdir -p .github/workflows; printf 'on: push\\njobs:\\n  a:\\n    runs-on: x\\n    steps:\\n      - run: make\\n' > .github/workflows/a.yml",
        "planner import github",
        0,
        &["planner check"],
    ),
    situation(
        "drafted",
        "rm -r ci web; printf 'test:\\n\\ttrue\\n' > Makefile",
        "planner init",
        0,
        &[
            "planner check",
            "planner plan --worktree --format human",
            "planner plan | executor apply -",
        ],
    ),
    situation(
        "a part of the plan for an engine that wants all of it",
        "",
        "planner export plan.json --to github --out-dir out --runner self-hosted",
        0,
        &["planner plan --all"],
    ),
    situation(
        "a plan of a directory, for an engine",
        "git diff --name-only -z A B > ../paths; rm -rf .git; planner plan --changed-files ../paths -o plain.json",
        "planner export plain.json --to gitlab --out-dir out",
        2,
        &["planner plan"],
    ),
    situation("no repository", "rm -rf .git", "planner plan", 2, &[]),
];

/// Runs a command that was named, with what people would write for its words in capitals.
fn follow(shell: &Shell, command: &str) -> Ran {
    let filled = command.replace("FILE", "named.json").replace("PLAN", "plan.json");
    shell.run(&filled)
}

#[test]
fn commands_that_answers_name_work_where_they_are_named() {
    let mut wrong = Vec::new();
    for Situation { name, first, call, code, names } in SITUATIONS {
        let shell = repository();
        if !first.is_empty() {
            shell.does(first);
        }
        let ran = shell.run(call);
        if ran.code != Some(*code) {
            wrong.push(format!("{name}: `{call}` ended with {:?}:\n{}", ran.code, ran.shown));
            continue;
        }
        let found = named(&ran.shown);
        for expected in *names {
            if !found.iter().any(|it| it == expected) {
                wrong.push(format!("{name}: `{expected}` is not named:\n{}", ran.shown));
            }
        }
        for command in found {
            // As the answer says: once the files are committed, in a repository.
            if command.contains("executor apply") {
                shell.does("git add -A && git commit -qm drafted");
            } else if ran.shown.contains("wrote in a git repository") {
                shell.does("git init -q . && git add -A && git commit -qm first");
            }
            let ran = follow(&shell, &command);
            // A `check` of what was just imported may find what is to be done.
            let found_something = command == "planner check" && ran.code == Some(1);
            if ran.code != Some(0) && !found_something {
                wrong
                    .push(format!("{name}: `{command}` ended with {:?}:\n{}", ran.code, ran.shown));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_comment_that_is_cut_names_what_shows_the_rest() {
    let shell = Shell::new();
    let title = "a title that is long enough to fill a comment, and longer".repeat(2);
    let lane = |at: usize| {
        format!(
            "[[branch.lanes]]\nid = \"lane-{at}\"\ntitle = \"{title}\"\n\
             command = [\"true\"]\ntimeout_secs = 9\n"
        )
    };
    let manifest = format!("version = 1\n{}", (0..900).map(lane).collect::<String>());
    shell.write("ci/forge-lanes.toml", &manifest);
    shell.write("ci/catalog.toml", "version = 1\n");
    shell.does(
        "git init -q . && git add -A && git commit -qm many && planner plan --all -o plan.json",
    );
    let found = named(&shell.does("planner show plan.json --format markdown"));
    assert!(found.iter().any(|it| it == "planner show PLAN"), "{found:?}");
    for command in found {
        let ran = follow(&shell, &command);
        assert_eq!(ran.code, Some(0), "{command}\n{}", ran.shown);
    }
}

/// Writes a tree of planner/tests/check: `== path ==` lines, each followed by the file; a file that
/// says only `-> TARGET` is a link.
fn write_tree(shell: &Shell, text: &str) {
    let mut files: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("== ").and_then(|it| it.strip_suffix(" ==")) {
            Some(path) => files.push((path, String::new())),
            None => {
                let (_, content) = files.last_mut().expect("a path comes first");
                content.push_str(line);
                content.push('\n');
            }
        }
    }
    for (path, content) in files {
        shell.write(path, &content);
        if let Some(target) = content.strip_prefix("-> ") {
            let path = shell.directory().join(path);
            fs::remove_file(&path).expect("it was just written");
            symlink(target.trim_end(), path).expect("writable");
        }
    }
}

#[test]
fn every_finding_is_explained_and_names_commands_that_work_in_its_tree() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in fs::read_dir(root().join("planner/tests/check")).expect("readable") {
        let path = entry.expect("readable").path();
        let Some(code) = path.file_name().and_then(|it| it.to_str()?.strip_suffix(".txt")) else {
            continue;
        };
        count += 1;
        let shell = Shell::new();
        write_tree(&shell, &fs::read_to_string(&path).expect("readable"));
        shell.does("git init -q . && git add -A && git commit -qm tree");
        let ran = shell.run("planner check");
        let expected = i32::from(ran.shown.contains("error["));
        if ran.code != Some(expected) || !ran.shown.contains(&format!("[{code}]")) {
            wrong
                .push(format!("{code}: `planner check` ended with {:?}:\n{}", ran.code, ran.shown));
        }
        let explain = format!("planner check --explain {code}");
        for command in named(&ran.shown).into_iter().chain([explain]) {
            let ran = follow(&shell, &command);
            if ran.code != Some(0) {
                wrong
                    .push(format!("{code}: `{command}` ended with {:?}:\n{}", ran.code, ran.shown));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count > 25, "{count} trees");
}
