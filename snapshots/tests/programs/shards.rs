//! The recipes of `docs/shards.md`, run: both programs, cargo-nextest and pytest, each with the job as its page has it.

use std::{fs, path::Path};

use crate::{
    page::blocks,
    shell::{Shell, root, validators},
};

const MANIFEST: &str =
    "version = 1\n[[branch.lanes]]\nid = \"unit\"\ntarget = \"unit\"\npaths = [\"**\"]\n";

/// The blocks of TOML and of text below a heading of the page.
fn recipes(heading: &str) -> Vec<String> {
    let page = fs::read_to_string(root().join("docs/shards.md")).expect("readable");
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).expect("a heading");
    let part = rest.split_once("\n## ").map_or(rest, |(part, _)| part);
    let files = |language: &str| ["toml", "text"].contains(&language);
    let files = blocks(part).into_iter().filter(|block| files(&block.language));
    let inside = |text: &str| -> String {
        let lines = text.lines().filter(|line| !line.starts_with("```"));
        lines.map(|line| format!("{line}\n")).collect()
    };
    files.map(|block| inside(&block.text)).collect()
}

fn project(catalog: &str, files: &[(&str, &str)]) -> Shell {
    let shell = Shell::new();
    shell.write("ci/forge-lanes.toml", MANIFEST);
    shell.write("ci/catalog.toml", catalog);
    for (path, text) in files {
        shell.write(path, text);
    }
    shell.does("git init -q && git add -A && git commit -qm first && planner check");
    shell
}

/// Runs all of it; returns how long each file took.
fn durations(shell: &Shell) -> plans::FileDurations {
    shell.does("planner plan --all -o plan.json && executor apply plan.json");
    let durations = shell.does("executor history --durations");
    plans::FileDurations::from_json(durations.as_bytes()).expect("durations")
}

fn files_of(shell: &Shell, node: &str) -> Vec<String> {
    let text = fs::read(shell.directory().join("plan.json")).expect("readable");
    let (plan, _) = plans::Plan::from_json(&text).expect("a plan");
    let files = &plan.node(node).expect("planned").member.files;
    files.iter().flatten().filter_map(|path| path.as_str()).map(str::to_owned).collect()
}

/// Where this machine's cargo finds its toolchain: the shell has another home.
fn with_cargo(shell: &Shell) {
    let home = std::env::var("HOME").unwrap_or_default();
    let of = |name: &str, otherwise: &str| {
        std::env::var(name).unwrap_or_else(|_| format!("{home}/{otherwise}"))
    };
    let (rustup, cargo) = (of("RUSTUP_HOME", ".rustup"), of("CARGO_HOME", ".cargo"));
    shell.does(&format!(
        "export RUSTUP_HOME='{rustup}' CARGO_HOME='{cargo}' CARGO_NET_OFFLINE=true"
    ));
    let config = "pass_env = [\"RUSTUP_HOME\", \"CARGO_HOME\", \"CARGO_NET_OFFLINE\"]\n";
    shell.does("mkdir -p ~/.config/forge-lanes");
    let path = shell.beside("home/.config/forge-lanes/executor.toml");
    fs::write(path, config).expect("writable");
}

#[test]
fn nextest_runs_every_test_once_by_number_and_by_file() {
    let recipes = recipes("cargo-nextest");
    let [by_number, by_file, report] = &recipes[..] else { panic!("three blocks: {recipes:?}") };
    let test =
        |name: &str| format!("#[test]\nfn {name}_one() {{}}\n#[test]\nfn {name}_two() {{}}\n");
    let tests: Vec<(String, String)> =
        ["api", "cli", "store"].iter().map(|it| (format!("tests/{it}.rs"), test(it))).collect();
    for (recipe, has_files) in [(by_number, false), (by_file, true)] {
        let mut files = vec![
            ("Cargo.toml", "[package]\nname = \"app\"\nversion = \"0.1.0\"\nedition = \"2024\"\n"),
            ("Cargo.lock", "version = 4\n\n[[package]]\nname = \"app\"\nversion = \"0.1.0\"\n"),
            ("src/lib.rs", ""),
            (".config/nextest.toml", report),
        ];
        files.extend(tests.iter().map(|(path, text)| (&**path, &**text)));
        let shell = project(recipe, &files);
        with_cargo(&shell);
        let durations = durations(&shell);
        let timed: Vec<&str> = durations.iter().map(|(path, _)| path).collect();
        assert_eq!(timed, ["tests/api.rs", "tests/cli.rs", "tests/store.rs"]);
        let ran = |node: &str| -> usize {
            let report = format!("{node}/artifacts/target/nextest/ci/junit.xml");
            let found = shell.does(&format!("cat .forge-lanes/runs/*/nodes/{report}"));
            found.matches("<testcase").count()
        };
        let ran = (ran("execute-unit-1"), ran("execute-unit-2"));
        let expected = if has_files { (4, 2) } else { (3, 3) };
        assert_eq!(ran, expected);
    }
}

#[test]
fn pytest_runs_the_files_of_its_part_and_they_are_divided_anew_by_their_times() {
    let Some(tools) = validators("bin/pytest") else { return };
    let recipes = recipes("pytest");
    let quick = "def test_it():\n    pass\n";
    let slow = "import time\ndef test_it():\n    time.sleep(0.5)\n";
    let files = [
        ("tests/test_a.py", slow),
        ("tests/test_b.py", quick),
        ("tests/unit/test_c d.py", quick),
        ("tests/unit/test_e.py", quick),
    ];
    let shell = project(&recipes[0], &files);
    shell.does(&format!("export PATH=\"{}:$PATH\"", path_of(&tools)));
    assert_eq!(
        files_of_plan(&shell),
        [
            vec!["tests/test_a.py", "tests/unit/test_c d.py"],
            vec!["tests/test_b.py", "tests/unit/test_e.py"]
        ]
    );
    let known = durations(&shell);
    assert_eq!(known.len(), 4, "{}", known.to_json());
    // Committed, they decide: the slow file is alone.
    let catalog = format!("{}shard_durations = \"ci/durations.json\"\n", recipes[0]);
    shell.write("ci/catalog.toml", &catalog);
    shell.does(
        "executor history --durations -o ci/durations.json && git add -A && git commit -qm more",
    );
    assert_eq!(
        files_of_plan(&shell),
        [
            vec!["tests/test_a.py"],
            vec!["tests/test_b.py", "tests/unit/test_c d.py", "tests/unit/test_e.py"]
        ]
    );
    durations(&shell);
}

fn path_of(tools: &Path) -> String {
    tools.join("bin").to_str().expect("UTF-8").to_owned()
}

fn files_of_plan(shell: &Shell) -> [Vec<String>; 2] {
    shell.does("planner plan --all -o plan.json");
    ["execute-unit-1", "execute-unit-2"].map(|node| files_of(shell, node))
}
