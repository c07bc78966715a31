//! The README's worked example is run, and prints what the README says.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const README: &str = include_str!("../../README.md");

/// The directory that holds the programs: the one above the tests' own.
fn programs() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a program");
    let target = test.parent().and_then(Path::parent).expect("target/PROFILE/deps").to_owned();
    for program in ["planner", "executor"] {
        let there = target.join(program).is_file();
        assert!(there, "`{program}` is not built: cargo build --workspace");
    }
    target
}

/// Runs a line as a person would, with nothing of this process's surroundings but the programs.
fn run(line: &str, dir: &Path, home: &Path) -> String {
    let path = std::env::var("PATH").expect("there is a PATH");
    let date = "2026-01-01T00:00:00Z";
    let output = Command::new("sh")
        .args(["-c", line])
        .current_dir(dir)
        .env_clear()
        .env("PATH", format!("{}:{path}", programs().display()))
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .envs(["AUTHOR", "COMMITTER"].into_iter().flat_map(|who| {
            [
                (format!("GIT_{who}_NAME"), "you"),
                (format!("GIT_{who}_EMAIL"), "you@example.org"),
                (format!("GIT_{who}_DATE"), date),
            ]
        }))
        .output()
        .expect("a shell starts");
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`{line}` failed: {talk}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("writable");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("writable");
        }
    }
}

#[test]
fn the_worked_example_prints_what_the_readme_says() {
    let temp = tempfile::tempdir().expect("a temporary directory");
    let (repository, home) = (temp.path().join("repository"), temp.path().join("home"));
    fs::create_dir_all(&home).expect("writable");
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/readme"), &repository);
    run("git init -q -b main && git add -A && git commit -qm first", &repository, &home);
    run(
        "git checkout -qb topic && echo 'echo \"hello $1\"  # politely' > src/greet.sh \
         && git commit -qam 'greet politely'",
        &repository,
        &home,
    );

    let mut commands = 0;
    for block in README.split("```console\n").skip(1) {
        let block = block.split("```").next().expect("a block ends");
        for call in block.split("$ ").skip(1) {
            let (line, expected) = call.split_once('\n').expect("a line ends");
            assert_eq!(run(line, &repository, &home), expected, "$ {line}");
            commands += 1;
        }
    }
    assert_eq!(commands, 6, "every command of the README was run");
}
