//! The base of events, as engines say them, on real repositories.

use std::collections::BTreeMap;

use planner::{
    event::Event,
    git::{Base, BaseContext, BaseRequest, GitError, ObjectId},
};
use plans::BaseMode;

use crate::sandbox::{Sandbox, shown};

/// What `variables` and the event file lead to, for the repository as it stands.
#[track_caller]
fn found(
    sandbox: &Sandbox,
    variables: &[(&str, &str)],
    file: &str,
) -> Result<(Base, Vec<String>), GitError> {
    let variables: BTreeMap<String, String> =
        variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
    let event = Event::from_environment(&variables, &|_| Some(file.as_bytes().to_vec()));
    let event = event.expect("an event");
    let repository = sandbox.open();
    let head = repository.head(None).expect("a head");
    let context = BaseContext { event: Some(&event), ..BaseContext::default() };
    let base = repository.base(&head, &BaseRequest::Default, &context)?;
    let changes = repository.changes(&base, head.tree).expect("changes");
    Ok((base, shown(&changes)))
}

/// `main` with one commit, and `feature` with two more, checked out.
fn feature() -> (Sandbox, ObjectId, ObjectId) {
    let sandbox = Sandbox::new();
    let first = sandbox.commit_file("first");
    sandbox.git(&["checkout", "-q", "-b", "feature"]);
    sandbox.commit_file("one");
    let two = sandbox.commit_file("two");
    (sandbox, first, two)
}

const ZERO: &str = "0000000000000000000000000000000000000000";
const BOTH: [&str; 2] = ["added one", "added two"];

/// The variables by which each engine says that `main` was at `before`.
fn pushes(before: &str) -> Vec<Vec<(&'static str, String)>> {
    let range = format!("{before}...HEAD");
    let spec =
        format!(r#"{{"refs":{{"base_link":"https://forge.example/o/r/compare/{before}...f"}}}}"#);
    let github = |more: &[&'static str]| {
        let mut variables = vec![
            ("GITHUB_EVENT_NAME", "push".to_owned()),
            ("GITHUB_REF", "refs/heads/main".to_owned()),
            ("GITHUB_EVENT_PATH", "/event.json".to_owned()),
        ];
        variables.extend(more.iter().map(|&name| (name, "true".to_owned())));
        variables
    };
    let text = |pairs: &[(&'static str, &str)]| {
        pairs.iter().map(|&(name, value)| (name, value.to_owned())).collect()
    };
    vec![
        github(&[]),
        github(&["GITEA_ACTIONS"]),
        github(&["GITEA_ACTIONS", "FORGEJO_ACTIONS"]),
        text(&[
            ("CI_PIPELINE_SOURCE", "push"),
            ("CI_COMMIT_BRANCH", "main"),
            ("CI_COMMIT_BEFORE_SHA", before),
        ]),
        text(&[
            ("CI_PIPELINE_EVENT", "push"),
            ("CI_COMMIT_BRANCH", "main"),
            ("CI_PREV_COMMIT_SHA", before),
        ]),
        text(&[
            ("DRONE_BUILD_EVENT", "push"),
            ("DRONE_BRANCH", "main"),
            ("DRONE_COMMIT_BEFORE", before),
        ]),
        text(&[
            ("TRAVIS_EVENT_TYPE", "push"),
            ("TRAVIS_BRANCH", "main"),
            ("TRAVIS_COMMIT_RANGE", &range),
        ]),
        text(&[("JOB_TYPE", "postsubmit"), ("PULL_BASE_REF", "main"), ("JOB_SPEC", &spec)]),
        text(&[
            ("JENKINS_URL", "https://ci.example"),
            ("BRANCH_NAME", "main"),
            ("GIT_PREVIOUS_SUCCESSFUL_COMMIT", before),
        ]),
    ]
}

#[test]
fn a_push_of_several_commits_is_compared_with_where_the_branch_was() {
    let (sandbox, first, two) = feature();
    sandbox.git(&["branch", "-f", "main", &two.to_string()]);
    sandbox.git(&["checkout", "-q", "--detach", "main"]);
    let before = first.to_string();
    let file = format!(r#"{{"before":"{before}","after":"{two}"}}"#);
    for variables in pushes(&before) {
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (base, changes) = found(&sandbox, &variables, &file).expect("a base");
        assert_eq!((base.commit(), changes), (Some(first), BOTH.map(str::to_owned).to_vec()));
        assert!(base.from.as_str().ends_with(":push"), "{}", base.from);
    }
}

#[test]
fn a_push_that_says_nothing_of_use_runs_everything() {
    let (sandbox, _, two) = feature();
    sandbox.git(&["branch", "-f", "main", &two.to_string()]);
    sandbox.git(&["checkout", "-q", "--detach", "main"]);
    for before in [ZERO, "1111111111111111111111111111111111111111", &two.to_string()] {
        let file = format!(r#"{{"before":"{before}"}}"#);
        for variables in pushes(before) {
            // Zeroes are no commit to Jenkins and no link to Prow, but what they say is the same.
            if before == ZERO && variables[0].0 == "JOB_TYPE" {
                continue;
            }
            let variables: Vec<(&str, &str)> =
                variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let (base, _) = found(&sandbox, &variables, &file).expect("a base");
            assert_eq!((base.commit(), base.mode), (None, BaseMode::Unknown), "{variables:?}");
        }
    }
}

#[test]
fn a_request_is_what_it_brings_also_after_it_was_merged() {
    let (sandbox, first, two) = feature();
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.git(&["merge", "-q", "--no-ff", "-m", "Merge pull request 1", "feature"]);
    sandbox.git(&["checkout", "-q", "--detach", "feature"]);
    let file = format!(
        r#"{{"pull_request":{{"base":{{"ref":"main","sha":"{first}"}},"head":{{"sha":"{two}"}}}}}}"#
    );
    let requests: [&[(&str, &str)]; 5] = [
        &[
            ("GITHUB_EVENT_NAME", "pull_request"),
            ("GITHUB_BASE_REF", "main"),
            ("GITHUB_EVENT_PATH", "/e"),
        ],
        &[("BUILDKITE_PULL_REQUEST", "1"), ("BUILDKITE_PULL_REQUEST_BASE_BRANCH", "main")],
        &[("CHANGE_TARGET", "main")],
        &[("CI_PIPELINE_EVENT", "pull_request"), ("CI_COMMIT_TARGET_BRANCH", "main")],
        &[("BUILD_REASON", "PullRequest"), ("SYSTEM_PULLREQUEST_TARGETBRANCH", "refs/heads/main")],
    ];
    for variables in requests {
        let (base, changes) = found(&sandbox, variables, &file).expect("a base");
        assert_eq!(base.commit(), Some(first), "{variables:?}");
        assert_eq!(changes, BOTH);
    }
    // The merge ref, made before the merge, is the merge of the request into its first parent.
    sandbox.git(&["checkout", "-q", "--detach", &first.to_string()]);
    sandbox.git(&["merge", "-q", "--no-ff", "-m", "refs/pull/1/merge", "feature"]);
    let (base, changes) = found(&sandbox, requests[0], &file).expect("a base");
    assert_eq!((base.commit(), base.mode), (Some(first), BaseMode::FirstParent));
    assert_eq!(changes, BOTH);
    // Moved forward, the branch does not say where it was.
    sandbox.git(&["branch", "-f", "main", "feature"]);
    sandbox.git(&["checkout", "-q", "--detach", "feature"]);
    let (base, _) = found(&sandbox, requests[1], "").expect("a base");
    assert_eq!(base.mode, BaseMode::Unknown);
}

#[test]
fn what_a_queue_builds_is_compared_with_what_it_is_built_on() {
    let (sandbox, first, _) = feature();
    let file = format!(r#"{{"merge_group":{{"base_ref":"refs/heads/x","base_sha":"{first}"}}}}"#);
    let first_text = first.to_string();
    let queues: [&[(&str, &str)]; 4] = [
        &[("GITHUB_EVENT_NAME", "merge_group"), ("GITHUB_EVENT_PATH", "/e")],
        &[("BUILDKITE_MERGE_QUEUE_BASE_COMMIT", &first_text)],
        &[
            ("CI_MERGE_REQUEST_EVENT_TYPE", "merge_train"),
            ("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", &first_text),
        ],
        &[("JOB_TYPE", "batch"), ("PULL_BASE_REF", "x"), ("PULL_BASE_SHA", &first_text)],
    ];
    for variables in queues {
        let (base, changes) = found(&sandbox, variables, &file).expect("a base");
        assert_eq!((base.commit(), changes), (Some(first), BOTH.map(str::to_owned).to_vec()));
    }
}

#[test]
fn a_tag_is_compared_with_the_newest_earlier_tag() {
    let (sandbox, first, _) = feature();
    let variables = [("GITHUB_EVENT_NAME", "push"), ("GITHUB_REF", "refs/tags/v2")];
    sandbox.git(&["tag", "v2"]);
    let (base, _) = found(&sandbox, &variables, "").expect("a base");
    assert_eq!((base.commit(), base.mode), (None, BaseMode::Empty));
    sandbox.git(&["tag", "v1", &first.to_string()]);
    let (base, changes) = found(&sandbox, &variables, "").expect("a base");
    assert_eq!((base.commit(), changes), (Some(first), BOTH.map(str::to_owned).to_vec()));
}

#[test]
fn the_engines_default_branch_counts_before_a_usual_name() {
    let (sandbox, _, _) = feature();
    sandbox.git(&["branch", "develop", "feature~1"]);
    for variables in
        [("CI_DEFAULT_BRANCH", "develop"), ("BUILDKITE_PIPELINE_DEFAULT_BRANCH", "develop")]
    {
        let (_, changes) = found(&sandbox, &[variables], "").expect("a base");
        assert_eq!(changes, ["added two"]);
    }
}

#[test]
fn a_forced_push_that_was_merged_since_brought_what_the_default_branch_did_not_have_then() {
    let (sandbox, _, before) = feature();
    sandbox.git(&["checkout", "-q", "-b", "forced", "feature~1"]);
    sandbox.commit_file("three");
    sandbox.git(&["checkout", "-q", "main"]);
    sandbox.git(&["merge", "-q", "--no-ff", "-m", "Merge pull request 1", "forced"]);
    sandbox.git(&["checkout", "-q", "--detach", "forced"]);
    let file = format!(r#"{{"before":"{before}"}}"#);
    let variables = [
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_REF", "refs/heads/feature"),
        ("GITHUB_EVENT_PATH", "/e"),
    ];
    let (_, changes) = found(&sandbox, &variables, &file).expect("a base");
    assert_eq!(changes, ["added one", "added three"]);
    // Moved forward, the default branch does not say what it had.
    sandbox.git(&["branch", "-f", "main", "forced"]);
    let (base, _) = found(&sandbox, &variables, &file).expect("a base");
    assert_eq!(base.mode, BaseMode::Unknown);
}

#[test]
fn a_push_of_the_default_branch_that_was_set_back_since_runs_everything_if_nothing_says_before() {
    let (sandbox, first, _) = feature();
    sandbox.git(&["checkout", "-q", "--detach", "feature"]);
    // What was pushed was `one` and `two`; then the branch was set back to between them.
    sandbox.git(&["branch", "-f", "main", "feature~1"]);
    for variables in [
        [("CIRCLECI", "true"), ("CIRCLE_BRANCH", "main")],
        [("BITBUCKET_BUILD_NUMBER", "1"), ("BITBUCKET_BRANCH", "main")],
        [("BUILD_REASON", "IndividualCI"), ("BUILD_SOURCEBRANCH", "refs/heads/main")],
        [("BUILDKITE_SOURCE", "webhook"), ("BUILDKITE_BRANCH", "main")],
    ] {
        let (base, _) = found(&sandbox, &variables, "").expect("a base");
        assert_eq!((base.commit(), base.mode), (None, BaseMode::Unknown), "not since {first}");
    }
}
