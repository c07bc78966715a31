//! Exported pipelines run by programs that run pipelines: GitHub's under `act`, GitLab's under
//! `gitlab-ci-local`, Buildkite's by the reader of [`exported`]. Every job ends as the plan says, in each
//! case that an engine has a word for: green, failing, timed out, skipped, after a failure and in any
//! case, tolerated, in a group, of a matrix, as a child pipeline.
//!
//! The two are not the engines: what they do differently is in `docs/export.md`, and
//! [`exported`] plays the engines by their documentation. What only runs in a real engine
//! (a second runner, a queue) is not seen here.

use std::{collections::BTreeMap, fs, path::Path};

use crate::{
    exported,
    shell::{Shell, validators},
};

/// Beside the lanes of [`exported::CATALOG`]: a job that outlasts its limit; one whose failure is
/// tolerated; combinations, of which one may fail; what runs after a failure, and in any case.
const MORE: &str = r#"[[targets]]
id = "slow"
[[targets.jobs]]
id = "sleeps"
base = "here"
timeout_secs = 2
command = { shell = "sleep 45" }
[[targets]]
id = "soft"
[[targets.jobs]]
id = "tolerated"
base = "here"
allow_failure = { exit_codes = [77] }
command = { shell = "exit 77" }
[[targets.jobs]]
id = "goes-on"
base = "here"
needs = ["tolerated"]
command = { shell = "true" }
[[targets]]
id = "each"
[[targets.jobs]]
id = "unit"
base = "here"
matrix = { os = ["linux", "mac"] }
command = { shell = "echo \"$MATRIX_OS\" | grep -E '^(linux|mac)$'" }
[[targets.jobs]]
id = "joined"
base = "here"
needs = ["unit"]
command = { shell = "true" }
[[targets]]
id = "tidy"
[[targets.jobs]]
id = "works"
base = "here"
command = { shell = "true" }
[[targets.jobs]]
id = "sweep"
base = "here"
needs = ["works"]
run_if = "always"
command = { shell = "true" }
[[targets.jobs]]
id = "idle"
base = "here"
needs = ["works"]
run_if = "failed"
command = { shell = "touch /should/not/run" }
[[targets]]
id = "clean"
[[targets.jobs]]
id = "fails"
base = "here"
command = { shell = "exit 5" }
[[targets.jobs]]
id = "cleanup"
base = "here"
needs = ["fails"]
run_if = "always"
command = { shell = "true" }
[[targets.jobs]]
id = "rescue"
base = "here"
needs = ["fails"]
run_if = "failed"
command = { shell = "true" }
[[targets.jobs]]
id = "gone"
base = "here"
needs = ["fails"]
command = { shell = "touch /should/not/run" }
[[targets]]
id = "mixed"
[[targets.jobs]]
id = "leg"
base = "here"
matrix = { is = ["good", "bad"] }
command = { shell = "test \"$MATRIX_IS\" = good" }
[[targets.jobs]]
id = "lost"
base = "here"
needs = ["leg"]
command = { shell = "touch /should/not/run" }
"#;

/// Also two jobs in one concurrency group, and one that no change selects.
const MANIFEST: &str = r#"version = 1
[[branch.lanes]]
id = "good"
target = "good"
paths = ["src/**"]
[[branch.lanes]]
id = "bad"
target = "bad"
paths = ["bad/**"]
[[branch.lanes]]
id = "slow"
target = "slow"
paths = ["bad/**"]
[[branch.lanes]]
id = "soft"
target = "soft"
paths = ["src/**"]
[[branch.lanes]]
id = "each"
target = "each"
paths = ["src/**"]
[[branch.lanes]]
id = "tidy"
target = "tidy"
paths = ["src/**"]
[[branch.lanes]]
id = "clean"
target = "clean"
paths = ["bad/**"]
[[branch.lanes]]
id = "mixed"
target = "mixed"
paths = ["bad/**"]
[[branch.lanes]]
id = "first"
command = ["sh", "-c", "mkdir /tmp/GROUP && sleep 1 && rmdir /tmp/GROUP"]
timeout_secs = 60
paths = ["src/**"]
concurrency_group = "one"
[[branch.lanes]]
id = "second"
command = ["sh", "-c", "mkdir /tmp/GROUP && sleep 1 && rmdir /tmp/GROUP"]
timeout_secs = 60
paths = ["src/**"]
concurrency_group = "one"
[[branch.lanes]]
id = "off"
command = ["false"]
timeout_secs = 60
paths = ["docs/**"]
"#;

/// A repository with a first commit on `main`, and what `change` does to it on the branch `topic`.
fn project(change: &str) -> Shell {
    let shell = Shell::new();
    // A directory that both jobs of the group want for themselves.
    let group = shell.beside("group").display().to_string();
    shell.write("ci/catalog.toml", &format!("{}{MORE}", exported::CATALOG));
    shell.write("ci/forge-lanes.toml", &MANIFEST.replace("/tmp/GROUP", &group));
    for path in ["src/a", "bad/a", "docs/a"] {
        shell.write(path, "old\n");
    }
    shell.does(&format!(
        "git init -q && git add -A && git commit -qm first && planner plan --all -o ../all.json && \
         planner export ../all.json --to github --github-queue off --runner ubuntu-latest \
         --out-dir .github/workflows && git add -A && git commit -qm workflow && \
         git init -q --bare ../origin && git remote add origin ../origin && \
         git push -q origin main && git fetch -q && \
         git checkout -qb topic && {change} && git commit -qam change"
    ));
    shell
}

/// What stands in for GitHub's artifact actions: a folder.
const UPLOAD: &str = r#"name: upload
description: keeps files in a folder
inputs:
  name: { required: true }
  path: { required: true }
  if-no-files-found: { default: warn }
  include-hidden-files: { default: "false" }
  overwrite: { default: "false" }
runs:
  using: composite
  steps:
    - shell: bash
      env: { NAME: "${{ inputs.name }}", FROM: "${{ inputs.path }}" }
      run: |
        [[ ! -e $FROM ]] || { mkdir -p "$KEPT/$NAME" && cp -r "$FROM" "$KEPT/$NAME/"; }
"#;
const DOWNLOAD: &str = r#"name: download
description: takes files from a folder
inputs:
  name: { required: true }
  path: { default: "." }
runs:
  using: composite
  steps:
    - shell: bash
      env: { NAME: "${{ inputs.name }}", TO: "${{ inputs.path }}" }
      run: cp -r "$KEPT/$NAME/." "$TO"
"#;

/// Runs the exported workflow as a pull request from `topic` to `main`; how each job that started
/// ended, and the exit code.
fn act(shell: &Shell, engines: &Path) -> (BTreeMap<String, String>, i32) {
    for (name, text) in [("upload", UPLOAD), ("download", DOWNLOAD)] {
        fs::create_dir_all(shell.beside(name)).expect("writable");
        fs::write(shell.beside(name).join("action.yml"), text).expect("writable");
        shell.does(&format!(
            "cd ../{name} && git init -q -b v5 && git add -A && git commit -qm v5; cd ../project"
        ));
    }
    shell.does(
        "printf '{\"action\": \"synchronize\", \"number\": 7, \"pull_request\": {\"number\": 7, \
         \"base\": {\"ref\": \"main\", \"sha\": \"%s\"}, \"head\": {\"ref\": \"topic\", \"sha\": \"%s\"}}}' \
         $(git rev-parse main topic) >../event.json",
    );
    let ran = shell.run(&format!(
        "{} pull_request -e ../event.json -P ubuntu-latest=-self-hosted --container-daemon-socket - \
         --no-cache-server --json --env KEPT=\"$PWD/../kept\" \
         --local-repository actions/upload-artifact@v5=\"$PWD/../upload\" \
         --local-repository actions/download-artifact@v5=\"$PWD/../download\"",
        engines.join("bin/act").display()
    ));
    let mut ended = BTreeMap::new();
    for line in ran.shown.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        if let (Some(job), Some(result)) = (line["jobID"].as_str(), line["jobResult"].as_str()) {
            ended.insert(job.to_owned(), result.to_owned());
        }
    }
    assert!(ended.contains_key("plan"), "nothing ran:\n{}", ran.shown);
    (ended, ran.code.expect("act ends in time"))
}

/// The child pipeline of the plan, in each job's own copy of the repository or in one for all.
fn gitlab_ci_local(shell: &Shell, engines: &Path, flags: &str) -> (BTreeMap<String, String>, i32) {
    shell.does("git remote set-url origin git@example.org:group/project.git");
    let programs = engines.join("node_modules/.bin").display().to_string();
    let ran = shell.run(&format!(
        "PATH={programs}:$PATH {programs}/gitlab-ci-local --force-shell-executor --home ../gcl {flags}"
    ));
    let mut ended = BTreeMap::new();
    for line in ran.shown.lines() {
        for (word, result) in [("PASS", "success"), ("FAIL", "failure")] {
            let name = line.trim_start().strip_prefix(word).map(str::trim);
            if let Some(name) = name.filter(|name| !name.is_empty()) {
                let name = name.strip_prefix("[lanes] -> ").unwrap_or(name);
                ended.insert(name.to_owned(), result.to_owned());
            }
        }
    }
    assert!(!ended.is_empty(), "nothing ran:\n{}", ran.shown);
    (ended, ran.code.expect("gitlab-ci-local ends in time"))
}

/// Jobs and how they ended, as a map.
fn all(of: &[(&str, &[&str])]) -> BTreeMap<String, String> {
    let jobs = of.iter().flat_map(|(result, names)| {
        names.iter().map(|name| ((*name).to_owned(), (*result).to_owned()))
    });
    jobs.collect()
}

/// What passes in every run, and the lanes of it.
const GREEN: [&str; 13] = [
    "execute-build",
    "execute-left",
    "execute-right",
    "execute-join",
    "execute-first",
    "execute-second",
    "execute-tolerated",
    "execute-goes-on",
    "execute-unit-linux",
    "execute-unit-mac",
    "execute-joined",
    "execute-works",
    "execute-sweep",
];
const GREEN_LANES: [&str; 6] = ["good", "first", "second", "soft", "each", "tidy"];

/// Of a change with failures: what passes besides, what fails, and the lanes that do.
const AFTER_FAILURE: [&str; 3] = ["execute-cleanup", "execute-rescue", "execute-leg-good"];
const BROKEN: [&str; 4] = ["execute-breaks", "execute-sleeps", "execute-fails", "execute-leg-bad"];
const BROKEN_LANES: [&str; 4] = ["bad", "slow", "clean", "mixed"];

/// The names of the jobs that report on lanes.
fn reports(lanes: &[&str], name: impl Fn(&str) -> String) -> Vec<String> {
    lanes.iter().map(|lane| name(lane)).collect()
}

fn texts(list: &[String]) -> Vec<&str> {
    list.iter().map(String::as_str).collect()
}

#[test]
fn a_workflow_runs_under_act_and_each_job_ends_as_the_plan_says() {
    let Some(engines) = validators("bin/act") else { return };
    let shell = project("echo new >src/a");
    let named = |lanes: &[&str]| reports(lanes, |lane| format!("lane-{lane}"));
    let (green, broken) = (named(&GREEN_LANES), named(&BROKEN_LANES));
    let (green, broken) = (texts(&green), texts(&broken));
    let (ended, code) = act(&shell, &engines);
    // Lanes that the change does not select are reported as well, and their jobs do not start.
    let rest = ["plan", "lane-off"];
    let expected =
        all(&[("success", &GREEN), ("success", &green), ("success", &broken), ("success", &rest)]);
    assert_eq!((ended, code), (expected, 0));
    let kept = shell.does("find ../kept/execute-left -path '*artifacts/out/left'");
    assert!(!kept.is_empty(), "the artifact is lost");

    shell.does("echo new >bad/a && git commit -qam bad");
    let (ended, code) = act(&shell, &engines);
    let expected = all(&[
        ("success", &GREEN),
        ("success", &AFTER_FAILURE),
        ("success", &green),
        ("success", &rest),
        ("failure", &BROKEN),
        ("failure", &broken),
    ]);
    assert_eq!((ended, code), (expected, 1));

    // A catalog that the workflow was not exported from is no plan, and no lane passes.
    shell.does("echo '# changed' >>ci/catalog.toml && git commit -qam catalog");
    let (ended, code) = act(&shell, &engines);
    let expected = all(&[("failure", &green), ("failure", &broken), ("failure", &rest)]);
    assert_eq!((ended, code), (expected, 1));
}

const PARENT: &str = r#"plan:
  script:
    - planner plan --base main -o plan.json
    - planner export plan.json --to gitlab --out-dir . --runner linux
  artifacts:
    paths: [plan.json, "forge-lanes*.yml"]
lanes:
  needs: [plan]
  variables:
    PARENT_PIPELINE_ID: $CI_PIPELINE_ID
  trigger:
    strategy: depend
    include:
      - artifact: forge-lanes.yml
        job: plan
"#;

#[test]
fn a_child_pipeline_runs_under_gitlab_ci_local_and_each_job_ends_as_the_plan_says() {
    let Some(engines) = validators("node_modules/.bin/gitlab-ci-local") else { return };
    let shell = project("echo new >src/a");
    shell.write(".gitlab-ci.yml", PARENT);
    let named = |lanes: &[&str]| reports(lanes, |lane| format!("lane {lane}: {lane}"));
    let green = named(&GREEN_LANES);
    let green = texts(&green);
    let (ended, code) = gitlab_ci_local(&shell, &engines, "");
    let off = ["lanes not selected 1", "plan", "lanes"];
    assert_eq!(
        (ended, code),
        (all(&[("success", &GREEN), ("success", &green), ("success", &off)]), 0)
    );

    // The child by itself: the program gives a parent no verdict of its children.
    shell.does(
        "echo new >bad/a && git commit -qam bad && planner plan --base main -o plan.json && \
         planner export plan.json --to gitlab --out-dir . --runner linux",
    );
    let (ended, code) = gitlab_ci_local(&shell, &engines, "--file forge-lanes.yml");
    let expected = all(&[
        ("success", &GREEN),
        ("success", &AFTER_FAILURE),
        ("success", &green),
        ("success", &["lanes not selected 1"]),
        // Of the lanes that fail, those that wait for a job that never starts are not started
        // either: the program's own reading of `when: always`.
        ("failure", &BROKEN),
        ("failure", &["lane slow: slow"]),
    ]);
    assert_eq!((ended, code), (expected, 1));
}

#[test]
fn a_pipeline_is_read_as_buildkite_reads_it_and_each_step_ends_as_the_plan_says() {
    let Some(validators) = validators("bin/python") else { return };
    let python = validators.join("bin/python").display().to_string();
    let shell = project("echo new >src/a");
    let ended = |shell: &Shell| {
        shell.does(
            "rm -rf ../buildkite ../buildkite-work && planner plan --base main -o ../plan.json && \
             planner export ../plan.json --to buildkite --out-dir ../buildkite",
        );
        exported::played(shell, "buildkite", &python)
    };
    let named = |lanes: &[&str]| reports(lanes, |lane| format!("lane-{lane}"));
    let (green, broken) = (named(&GREEN_LANES), named(&BROKEN_LANES));
    let (green, broken) = (texts(&green), texts(&broken));
    // A step for what runs after a failure asks how the others ended, and passes when none failed.
    let idle = ["execute-idle", "lanes not selected 1"];
    assert_eq!(ended(&shell), all(&[("success", &GREEN), ("success", &green), ("success", &idle)]));

    shell.does("echo new >bad/a && git commit -qam bad");
    let expected = all(&[
        ("success", &GREEN),
        ("success", &AFTER_FAILURE),
        ("success", &green),
        ("success", &idle),
        ("failure", &BROKEN),
        ("failure", &broken),
        ("skipped", &["execute-never", "execute-gone", "execute-lost"]),
    ]);
    assert_eq!(ended(&shell), expected);
}
