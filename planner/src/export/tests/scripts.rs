//! The scripts of the exports, run by a real shell with the values that an engine would fill in.

#![expect(clippy::disallowed_methods, reason = "the tests run the scripts with bash")]

use std::{path::Path, process::Command};

use super::{sample::Sample, *};

/// The lines of the `n`th script block that starts after a line containing `after`.
#[track_caller]
fn block(text: &str, after: &str) -> String {
    let mut lines = text.lines().skip_while(|line| !line.contains(after)).skip(1);
    let opening = lines.find(|line| line.ends_with(" |")).expect("a script follows");
    let indent = opening.len() - opening.trim_start_matches([' ', '-']).len();
    let body = lines.take_while(|line| {
        line.is_empty() || line.len() - line.trim_start().len() >= indent.max(1)
    });
    let body: Vec<&str> = body.collect();
    let depth = body.first().map_or(0, |line| line.len() - line.trim_start().len());
    body.iter()
        .take_while(|line| line.is_empty() || line.len() - line.trim_start().len() >= depth)
        .map(|line| format!("{}\n", line.get(depth..).unwrap_or_default()))
        .collect()
}

fn bash(script: &str, directory: &Path, env: &[(&str, &str)]) -> (i32, String) {
    let output = Command::new("bash")
        .args(["-e", "-o", "pipefail", "-c", script])
        .current_dir(directory)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .envs(env.iter().copied())
        .output()
        .expect("bash runs");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    (output.status.code().expect("no signal"), text)
}

#[test]
fn a_github_lane_passes_only_when_each_planned_job_did() {
    let text = shown(&Sample::small().plan(), Engine::Github);
    let lane = text.split("  lane-rust:").nth(1).expect("the lane");
    let script = block(lane, "execute-test ");
    let directory = tempfile::tempdir().expect("a directory");
    let run = |planned, selected, results| {
        let env = [("PLANNED", planned), ("SELECTED", selected), ("RESULTS_1", results)];
        bash(&script, directory.path(), &env).0
    };
    let passed = "execute-a true success\nexecute-b true success\n";
    assert_eq!(run("success", "true", passed), 0);
    assert_eq!(run("success", "true", "execute-a true success\nexecute-b false skipped\n"), 0);
    assert_eq!(run("success", "true", "execute-a true success\nexecute-b true skipped\n"), 1);
    assert_eq!(run("success", "true", "execute-a true cancelled\n"), 1);
    assert_eq!(run("success", "true", "execute-a false skipped\n"), 1, "nothing ran");
    assert_eq!(run("success", "false", "execute-a true failure\n"), 0, "not selected");
    assert_eq!(run("failure", "", ""), 1, "not planned");
    let two = [
        ("PLANNED", "success"),
        ("SELECTED", "true"),
        ("RESULTS_1", passed),
        ("RESULTS_2", "execute-c true failure\n"),
    ];
    assert_eq!(bash(&script, directory.path(), &two).0, 1, "the second part counts as well");
}

#[test]
fn the_github_plan_job_refuses_other_manifests_and_hands_the_plan_on() {
    if bash("command -v jq", Path::new("/"), &[]).0 != 0 {
        assert!(std::env::var_os("CI").is_none(), "no jq: run scripts/bootstrap");
        return;
    }
    let plan = Sample::small().plan();
    let text = shown(&plan, Engine::Github);
    let exported = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("EXPORTED_INPUTS: "))
        .expect("the hash")
        .trim_matches('"');
    let script = block(&text, "EXPORTED_INPUTS");
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    std::fs::write(at("given.json"), plan.to_json().json).expect("written");
    let script = script.replace("planner plan --trigger branch -o", "cp given.json");
    let out = at("output");
    let env = [("EXPORTED_INPUTS", exported), ("GITHUB_OUTPUT", out.to_str().expect("UTF-8"))];
    let (code, said) = bash(&script, directory.path(), &env);
    assert_eq!(code, 0, "{said}");
    let output = std::fs::read_to_string(&out).expect("the outputs");
    insta::assert_snapshot!(output.replace(&digest(&plan), "sha256:DIGEST"), @r"
    digest=sha256:DIGEST
    nodes=|execute-docs|prepare-deps|execute-build|prepare-image|execute-ios|execute-test|
    lanes=|rust|ios|docs|
    ");

    let changed = plan.to_json().json.replace(&"f".repeat(40), &"e".repeat(40));
    std::fs::write(at("given.json"), changed).expect("written");
    let (code, said) = bash(&script, directory.path(), &env);
    assert_eq!(code, 1);
    assert!(said.contains("changed after this workflow was exported"), "{said}");
}

#[test]
fn a_gitlab_lane_passes_only_with_this_plans_marks() {
    let plan = Sample::small().plan();
    let text = shown(&plan, Engine::Gitlab);
    let lane = text.split("lane rust").nth(1).expect("the lane");
    let script = block(lane, "script:").replace("sha256:DIGEST", "sha256:1");
    let directory = tempfile::tempdir().expect("a directory");
    let mark = |key: &str, digest: &str| {
        let below = directory.path().join("forge-lanes-runs").join(key);
        std::fs::create_dir_all(&below).expect("made");
        std::fs::write(below.join("passed"), digest).expect("written");
    };
    mark("execute-build", "sha256:1\n");
    assert_eq!(bash(&script, directory.path(), &[]).0, 1, "one mark is missing");
    mark("execute-test", "sha256:2\n");
    assert_eq!(bash(&script, directory.path(), &[]).0, 1, "the mark is of another plan");
    mark("execute-test", "sha256:1\n");
    let (code, said) = bash(&script, directory.path(), &[]);
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_buildkite_lane_passes_only_when_each_step_did() {
    let text = shown(&Sample::small().plan(), Engine::Buildkite);
    let lane = text.split("key: lane-rust").nth(1).expect("the lane");
    let script = block(lane, "depends_on").replace("$$", "$");
    let directory = tempfile::tempdir().expect("a directory");
    let run = |build: &str, test: &str| {
        let agent = format!(
            "buildkite-agent() {{ case $5 in execute-build) {build};; execute-test) {test};; \
             esac; }}\n{script}"
        );
        bash(&agent, directory.path(), &[]).0
    };
    assert_eq!(run("echo passed", "echo passed"), 0);
    assert_eq!(run("echo passed", "echo hard_failed"), 1);
    assert_eq!(run("echo passed", "return 1"), 1, "an outcome nobody knows is not a pass");
}
