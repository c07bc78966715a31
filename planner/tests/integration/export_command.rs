//! `planner export` as a program: files, streams and exit codes.

use std::{
    fmt::Write as _,
    process::{Command, Output},
};

use crate::sandbox::Sandbox;

fn sandbox(lanes: usize) -> Sandbox {
    let mut manifest = "version = 1\n".to_owned();
    for number in 0..lanes {
        let _ = write!(
            manifest,
            "[[branch.lanes]]\nid = \"lane-{number}\"\ncommand = [\"make\"]\ntimeout_secs = 60\n\
             paths = [\"src/{number}/**\"]\n"
        );
    }
    let sandbox = Sandbox::new();
    sandbox.write("ci/forge-lanes.toml", manifest);
    sandbox.write("src/0/lib.rs", "");
    sandbox.commit("all");
    for (arguments, file) in [(&["--all"][..], "all.json"), (&[], "plan.json")] {
        let planned = planner(&sandbox, &[&["plan", "-o", file], arguments].concat());
        assert!(planned.status.success(), "{planned:?}");
    }
    sandbox
}

fn planner(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_planner"))
        .current_dir(sandbox.root())
        .env_clear()
        .env("HOME", sandbox.beside("home"))
        .args(arguments)
        .output()
        .expect("the program starts")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}

#[test]
fn one_file_goes_to_standard_output() {
    let sandbox = sandbox(2);
    for (engine, plan, job) in [
        ("github", "all.json", "  execute-lane-0:\n"),
        ("gitlab", "plan.json", "execute-lane-0:\n"),
        ("buildkite", "plan.json", "    key: execute-lane-0\n"),
    ] {
        let output = planner(&sandbox, &["export", plan, "--to", engine, "--executor", "my exec"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        assert!(text(&output.stdout).contains(job), "{output:?}");
        assert!(
            text(&output.stdout).contains("my exec apply --only execute-lane-0 "),
            "{output:?}"
        );
        assert_eq!(text(&output.stderr), "");
    }
}

#[test]
fn several_files_need_a_directory() {
    let sandbox = sandbox(400);
    let export = ["export", "all.json", "--to", "buildkite"];
    let output = planner(&sandbox, &export);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(text(&output.stdout), "");
    assert!(text(&output.stderr).contains("`--out-dir`"), "{output:?}");

    let output = planner(&sandbox, &[&export[..], &["--out-dir", "out/pipeline"]].concat());
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for name in ["forge-lanes.yml", "forge-lanes-2.yml"] {
        assert!(sandbox.root().join("out/pipeline").join(name).is_file(), "{name}");
        assert!(text(&output.stderr).contains(name), "{output:?}");
    }
}

#[test]
fn what_cannot_be_exported_leaves_nothing() {
    let sandbox = sandbox(2);
    let edited = std::fs::read_to_string(sandbox.root().join("all.json")).expect("the plan");
    sandbox.write("edited.json", edited.replace("lane-1", "lane-9"));
    for (arguments, code, said) in [
        (&["edited.json", "--to", "gitlab"][..], 4, "digest"),
        (&["gone.json", "--to", "gitlab"], 2, "cannot be read"),
        (&["all.json", "--to", "jenkins"], 2, "buildkite"),
        (&["all.json", "--to", "gitlab", "--plan-path", "../x"], 2, "below the working directory"),
        (&["all.json", "--to", "gitlab", "--runner", "a;b"], 2, "separated by commas"),
    ] {
        let output = planner(&sandbox, &[&["export"], arguments, &["--out-dir", "out"]].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        assert!(text(&output.stderr).contains(said), "{output:?}");
        assert!(!sandbox.root().join("out").exists());
    }
}
