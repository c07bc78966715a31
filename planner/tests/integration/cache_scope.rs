//! Of which branch a plan is: whose caches its jobs may use, and whether a site trusts what they leave.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::sandbox::Sandbox;

const CATALOG: &str = "version = 1\n[[targets]]\nid = \"t\"\n[[targets.jobs]]\nid = \"j\"\nplacement = \"local\"\n\
                       runtime = \"host_process\"\ntimeout_secs = 60\nreuse = \"passed\"\n\
                       command = { argv = [\"true\"] }\n";

const MANIFEST: &str = "version = 1\n[[branch.lanes]]\nid = \"l\"\ntarget = \"t\"\n";

/// `main`, and a stranger's branch `evil` that calls itself the default one.
fn repository() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("ci/forge-lanes.toml", MANIFEST);
    sandbox.write("ci/catalog.toml", CATALOG);
    sandbox.commit("one");
    sandbox.git(&["checkout", "-qb", "evil"]);
    sandbox.write(
        "ci/forge-lanes.toml",
        MANIFEST.replace("version = 1", "version = 1\ndefault_branch = \"evil\""),
    );
    sandbox.commit("evil");
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox
}

/// What the plan of the commit that is checked out says.
#[track_caller]
fn scope(sandbox: &Sandbox, environment: &[(&str, &str)], more: &[&str]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_planner"));
    command.args(["plan", "--all"]).args(more).current_dir(sandbox.root()).env_clear();
    command.env("HOME", sandbox.beside("home")).env("GIT_CONFIG_NOSYSTEM", "1");
    let output = command.envs(environment.iter().copied()).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let plan: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    plan["source"]["cache_scope"].clone()
}

#[test]
fn no_branch_makes_itself_the_default_one() {
    let sandbox = repository();
    assert_eq!(scope(&sandbox, &[], &[]), "default_branch");
    sandbox.git(&["checkout", "-q", "evil"]);
    assert_eq!(scope(&sandbox, &[], &[]), json!({ "branch": "evil" }));
    let head = sandbox.git(&["rev-parse", "HEAD"]);
    let event = sandbox.beside("event.json");
    let said = json!({ "after": head.trim(), "repository": { "default_branch": "main" } });
    fs::write(&event, said.to_string()).expect("written");
    let event = event.to_str().expect("UTF-8").to_owned();
    let pushed = |branch: &str| {
        let reference = format!("refs/heads/{branch}");
        let environment = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "push"),
            ("GITHUB_REF", &*reference),
            ("GITHUB_EVENT_PATH", &event),
        ];
        scope(&sandbox, &environment, &[])
    };
    assert_eq!(pushed("evil"), json!({ "branch": "evil" }));
    // The event is about this very commit: it is what the branch is now.
    assert_eq!(pushed("main"), "default_branch");
    // Something else was checked out since.
    sandbox.git(&["commit", "-q", "--allow-empty", "-m", "more"]);
    assert_eq!(pushed("main"), Value::Null);
    assert_eq!(pushed("evil"), Value::Null);
}

#[test]
fn a_comment_that_has_a_request_checked_out_is_of_no_branch() {
    let sandbox = repository();
    let of = |name: &str| {
        let environment = [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", name),
            ("GITHUB_REF", "refs/heads/main"),
        ];
        scope(&sandbox, &environment, &[])
    };
    for name in ["issue_comment", "workflow_dispatch", "workflow_run"] {
        sandbox.git(&["checkout", "-q", "main"]);
        assert_eq!(of(name), "default_branch", "{name}");
        sandbox.git(&["checkout", "-q", "--detach", "evil"]);
        assert_eq!(of(name), Value::Null, "{name}");
    }
}

#[test]
fn what_nobody_committed_is_not_of_the_default_branch() {
    let sandbox = repository();
    sandbox.write("file", "more");
    assert_eq!(scope(&sandbox, &[], &["--worktree"]), Value::Null);
    // Another commit under the default branch's name, which the remote has elsewhere.
    sandbox.git(&["update-ref", "refs/remotes/origin/main", "main"]);
    sandbox.git(&["remote", "add", "origin", "."]);
    sandbox.git(&["checkout", "-qB", "main", "evil"]);
    assert_eq!(scope(&sandbox, &[], &[]), Value::Null);
}

#[test]
fn a_request_is_its_number_whatever_its_branch_is_called() {
    let sandbox = repository();
    sandbox.git(&["checkout", "-q", "--detach", "evil"]);
    let event = sandbox.beside("event.json");
    let said = json!({ "number": 7, "pull_request": { "base": { "ref": "main" } } });
    fs::write(&event, said.to_string()).expect("written");
    let event = event.to_str().expect("UTF-8").to_owned();
    let engines: &[&[(&str, &str)]] = &[
        &[("GITHUB_EVENT_NAME", "pull_request"), ("GITHUB_EVENT_PATH", &event)],
        &[("GITHUB_EVENT_NAME", "pull_request_target"), ("GITHUB_REF", "refs/pull/7/merge")],
        &[
            ("GITEA_ACTIONS", "true"),
            ("GITHUB_EVENT_NAME", "pull_request"),
            ("GITHUB_REF", "refs/pull/7/head"),
        ],
        &[
            ("GITLAB_CI", "true"),
            ("CI_MERGE_REQUEST_IID", "7"),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
        ],
        &[
            ("GITLAB_CI", "true"),
            ("CI_MERGE_REQUEST_IID", "7"),
            ("CI_MERGE_REQUEST_EVENT_TYPE", "merged_result"),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "main"),
        ],
        &[
            ("BUILDKITE", "true"),
            ("BUILDKITE_BRANCH", "main"),
            ("BUILDKITE_PULL_REQUEST", "7"),
            ("BUILDKITE_PULL_REQUEST_BASE_BRANCH", "main"),
        ],
        &[("CI_PIPELINE_EVENT", "pull_request"), ("CI_COMMIT_PULL_REQUEST", "7")],
        &[("DRONE_BUILD_EVENT", "pull_request"), ("DRONE_PULL_REQUEST", "7")],
        &[
            ("TF_BUILD", "True"),
            ("SYSTEM_PULLREQUEST_TARGETBRANCH", "refs/heads/main"),
            ("SYSTEM_PULLREQUEST_PULLREQUESTID", "7"),
        ],
        &[("BITBUCKET_PR_ID", "7"), ("BITBUCKET_PR_DESTINATION_BRANCH", "main")],
        &[("TRAVIS", "true"), ("TRAVIS_BRANCH", "main"), ("TRAVIS_PULL_REQUEST", "7")],
        &[
            ("PROW_JOB_ID", "1"),
            ("JOB_TYPE", "presubmit"),
            ("PULL_BASE_REF", "main"),
            ("PULL_NUMBER", "7"),
        ],
        &[("CHANGE_TARGET", "main"), ("CHANGE_ID", "7"), ("BRANCH_NAME", "main")],
    ];
    for engine in engines {
        assert_eq!(scope(&sandbox, engine, &[]), json!({ "request": "7" }), "{engine:?}");
    }
    // What is no number is nobody's, and what merges several is of none of them.
    let odd: &[&[(&str, &str)]] = &[
        &[("CHANGE_TARGET", "main"), ("CHANGE_ID", "../7")],
        &[
            ("GITLAB_CI", "true"),
            ("CI_MERGE_REQUEST_IID", "7"),
            ("CI_MERGE_REQUEST_EVENT_TYPE", "merge_train"),
        ],
    ];
    for engine in odd {
        assert_eq!(scope(&sandbox, engine, &[]), Value::Null, "{engine:?}");
    }
}
