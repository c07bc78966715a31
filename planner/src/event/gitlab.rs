//! GitLab CI: merge request pipelines (detached, merged results, trains) and branch pipelines.
//!
//! `CI_COMMIT_BEFORE_SHA` is all zeroes for a new branch, and also in merge request pipelines and
//! where a person or the API started the pipeline; only a push makes zeroes mean a new branch.

use super::{Before, Engine, Event, EventKind, variable};

pub(super) const GITLAB: Engine = Engine {
    word: "gitlab",
    name: "GitLab CI",
    documented: &[
        "https://docs.gitlab.com/ci/variables/predefined_variables/",
        "https://docs.gitlab.com/ci/pipelines/merged_results_pipelines/",
    ],
    variables: &[
        variable("GITLAB_CI", "`true`"),
        variable("CI_PIPELINE_SOURCE", "what started it: `push`, `merge_request_event`, …"),
        variable("CI_DEFAULT_BRANCH", "the project's default branch"),
        variable("CI_COMMIT_BRANCH", "the branch; not in merge request and tag pipelines"),
        variable("CI_COMMIT_TAG", "the tag; in tag pipelines alone"),
        variable("CI_COMMIT_BEFORE_SHA", "where the branch was; zeroes for a new branch"),
        variable("CI_COMMIT_SHA", "the commit that is built"),
        variable("CI_MERGE_REQUEST_EVENT_TYPE", "`detached`, `merged_result` or `merge_train`"),
        variable("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "the branch the request goes to"),
        variable("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", "its commit; merged results and trains"),
        variable("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "the request's head; the same"),
        variable("CI_MERGE_REQUEST_DIFF_BASE_SHA", "the merge base of the request"),
        variable("CI_MERGE_REQUEST_IID", "the request's number"),
        variable("CI_EXTERNAL_PULL_REQUEST_IID", "the number of a GitHub request"),
        variable(
            "CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME",
            "the branch a GitHub request goes to",
        ),
        variable("CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_SHA", "the commit of that branch"),
        variable("CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA", "the head of that request"),
    ],
    read: |environment| {
        let markers = [
            "GITLAB_CI",
            "CI_PIPELINE_SOURCE",
            "CI_DEFAULT_BRANCH",
            "CI_COMMIT_BEFORE_SHA",
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME",
            "CI_MERGE_REQUEST_DIFF_BASE_SHA",
            "CI_MERGE_REQUEST_TARGET_BRANCH_SHA",
        ];
        if !markers.iter().any(|name| environment.has(name)) {
            return None;
        }
        let source = environment.get("CI_PIPELINE_SOURCE");
        let mut head = environment.claim("CI_COMMIT_SHA");
        let branch = environment.branch("CI_MERGE_REQUEST_TARGET_BRANCH_NAME");
        let merge_base = environment.claim("CI_MERGE_REQUEST_DIFF_BASE_SHA");
        let target = environment.claim("CI_MERGE_REQUEST_TARGET_BRANCH_SHA");
        let merged = match environment.get("CI_MERGE_REQUEST_EVENT_TYPE") {
            Some("merge_train") => Some("merge_train"),
            Some("merged_result") => Some("merged_result"),
            _ if target.is_some() => Some("merged_result"),
            _ => None,
        };
        let before = Before::new(environment.get("CI_COMMIT_BEFORE_SHA"), "CI_COMMIT_BEFORE_SHA");
        let commit_branch = environment.branch("CI_COMMIT_BRANCH");
        let kind = if let Some(word) = merged {
            head = environment.claim("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA");
            EventKind::Merged { word, branch, base: target, merge_base }
        } else if branch.is_some() || merge_base.is_some() {
            EventKind::Request { branch, base: None, merge_base }
        } else if environment.has("CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME") {
            head = environment.claim("CI_EXTERNAL_PULL_REQUEST_SOURCE_BRANCH_SHA");
            EventKind::Request {
                branch: environment.branch("CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME"),
                base: environment.claim("CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_SHA"),
                merge_base: None,
            }
        } else if source == Some("schedule") {
            EventKind::Schedule
        } else if environment.has("CI_COMMIT_TAG") {
            EventKind::Tag { name: environment.owned("CI_COMMIT_TAG") }
        } else if source == Some("push") || matches!(before, Before::Commit(_)) {
            EventKind::Push { branch: commit_branch, before }
        } else {
            EventKind::Manual { branch: commit_branch }
        };
        let numbers = ["CI_MERGE_REQUEST_IID", "CI_EXTERNAL_PULL_REQUEST_IID"];
        let request = match kind {
            // A train has others in front.
            EventKind::Merged { word, .. } if word != "merge_train" => environment.number(&numbers),
            _ => environment.request(&kind, &numbers),
        };
        let default_branch = environment.branch("CI_DEFAULT_BRANCH");
        Some(Event { default_branch, head, request, ..Event::new("gitlab", kind) })
    },
};
