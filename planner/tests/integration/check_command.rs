//! `planner check` as a program: exit codes, streams, and which tree it looks at.

use std::process::{Command, Output};

use crate::sandbox::Sandbox;

const MANIFEST: &str = "version = 1\n[[branch.lanes]]\nid = \"unit\"\ncommand = [\"make\"]\ntimeout_secs = 60\n\
     paths = [\"src/**\"]\n";

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("ci/forge-lanes.toml", MANIFEST);
    sandbox.write("src/lib.rs", "");
    sandbox.commit("all");
    sandbox
}

fn check(sandbox: &Sandbox, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_planner"))
        .current_dir(sandbox.root())
        .env_clear()
        .env("HOME", sandbox.beside("home"))
        .arg("check")
        .args(arguments)
        .output()
        .expect("the program starts")
}

#[track_caller]
fn ends(output: &Output, code: i32, stdout: &str, stderr: &str) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{out}{err}");
    assert!(out.contains(stdout) && (stdout.is_empty() == out.is_empty()), "stdout: {out}");
    assert!(err.contains(stderr) && (stderr.is_empty() == err.is_empty()), "stderr: {err}");
}

#[test]
fn nothing_found_and_warnings_pass() {
    let sandbox = sandbox();
    ends(&check(&sandbox, &[]), 0, "nothing found", "");
    sandbox.write("notes.txt", "");
    ends(&check(&sandbox, &[]), 0, "1 warning", "");
    // The commit has no such file; from a directory below, the tree is the same.
    ends(&check(&sandbox, &["--head", "HEAD"]), 0, "nothing found", "");
    ends(&check(&sandbox, &["-C", "src"]), 0, "1 warning", "");
}

#[test]
fn findings_at_deny_fail_in_every_format() {
    let sandbox = sandbox();
    sandbox.git(&["mv", "src", "source"]);
    ends(&check(&sandbox, &[]), 1, "error[dead_glob]: `src/**` matches no file", "");
    ends(
        &check(&sandbox, &["--format", "json"]),
        1,
        "\"code\": \"dead_glob\"",
        "1 error, 1 warning",
    );
    ends(
        &check(&sandbox, &["--format", "github"]),
        1,
        "::error file=ci/forge-lanes.toml,",
        "1 error",
    );
    ends(&check(&sandbox, &["--format", "sarif"]), 1, "\"ruleId\": \"dead_glob\"", "1 error");
}

#[test]
fn an_error_in_the_files_is_a_finding() {
    let sandbox = sandbox();
    sandbox.write("ci/forge-lanes.toml", MANIFEST.replace("src/**", "/src/**"));
    ends(&check(&sandbox, &["--format", "github"]), 1, "title=bad_glob::", "1 error");
}

#[test]
fn invariants_say_where_the_files_are() {
    let sandbox = sandbox();
    sandbox.git(&["mv", "ci/forge-lanes.toml", "lanes.toml"]);
    ends(&check(&sandbox, &[]), 2, "", "ci/forge-lanes.toml");
    sandbox.write("ci/invariants.toml", "version = 1\nmanifest = \"lanes.toml\"\n");
    ends(&check(&sandbox, &[]), 0, "1 file that nothing covers", "");
    ends(&check(&sandbox, &["--manifest", "ci/forge-lanes.toml"]), 2, "", "ci/forge-lanes.toml");
}

#[test]
fn what_cannot_be_checked_is_bad_input() {
    let sandbox = sandbox();
    ends(&check(&sandbox, &["--invariants", "nowhere.toml"]), 2, "", "nowhere.toml");
    ends(&check(&sandbox, &["--head", "nowhere"]), 2, "", "nowhere");
    ends(&check(&sandbox, &["--explain", "dead_globs"]), 2, "", "did you mean `dead_glob`?");
    ends(&check(&sandbox, &["--explain", "unknown_target"]), 0, "always deny", "");
    let outside = sandbox.beside("home").display().to_string();
    ends(&check(&sandbox, &["-C", &outside]), 2, "", "repository");
}
