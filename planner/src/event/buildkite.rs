//! Buildkite: names branches, and commits only for a merge queue. Where a branch was before a push
//! is not among its variables.

use super::{Before, Engine, Event, EventKind, variable};

pub(super) const BUILDKITE: Engine = Engine {
    word: "buildkite",
    name: "Buildkite",
    documented: &[
        "https://buildkite.com/docs/pipelines/configure/environment-variables",
        "https://buildkite.com/docs/tutorials/github-merge-queue",
    ],
    variables: &[
        variable("BUILDKITE", "`true`"),
        variable("BUILDKITE_BRANCH", "the branch that is built"),
        variable("BUILDKITE_COMMIT", "the commit that is built, or `HEAD`"),
        variable("BUILDKITE_SOURCE", "what started it: `webhook`, `schedule`, `ui`, …"),
        variable("BUILDKITE_TAG", "the tag that is built"),
        variable("BUILDKITE_PULL_REQUEST", "the request's number, or `false`"),
        variable("BUILDKITE_PULL_REQUEST_BASE_BRANCH", "the branch the request goes to"),
        variable("BUILDKITE_MERGE_QUEUE_BASE_BRANCH", "the branch the queue goes to"),
        variable("BUILDKITE_MERGE_QUEUE_BASE_COMMIT", "the commit it is built on"),
        variable("BUILDKITE_PIPELINE_DEFAULT_BRANCH", "the pipeline's default branch"),
    ],
    read: |environment| {
        let markers = [
            "BUILDKITE",
            "BUILDKITE_BRANCH",
            "BUILDKITE_PULL_REQUEST_BASE_BRANCH",
            "BUILDKITE_MERGE_QUEUE_BASE_BRANCH",
            "BUILDKITE_MERGE_QUEUE_BASE_COMMIT",
            "BUILDKITE_PIPELINE_DEFAULT_BRANCH",
        ];
        if !markers.iter().any(|name| environment.has(name)) {
            return None;
        }
        let branch = environment.branch("BUILDKITE_BRANCH");
        let queue = ["BUILDKITE_MERGE_QUEUE_BASE_COMMIT", "BUILDKITE_MERGE_QUEUE_BASE_BRANCH"];
        let kind = if queue.iter().any(|name| environment.has(name)) {
            EventKind::Merged {
                word: "merge_group",
                branch: environment.branch("BUILDKITE_MERGE_QUEUE_BASE_BRANCH"),
                base: environment.claim("BUILDKITE_MERGE_QUEUE_BASE_COMMIT"),
                merge_base: None,
            }
        } else if environment.has("BUILDKITE_PULL_REQUEST_BASE_BRANCH")
            && environment.get("BUILDKITE_PULL_REQUEST") != Some("false")
        {
            let branch = environment.branch("BUILDKITE_PULL_REQUEST_BASE_BRANCH");
            EventKind::Request { branch, base: None, merge_base: None }
        } else if environment.get("BUILDKITE_SOURCE") == Some("schedule") {
            EventKind::Schedule
        } else if environment.has("BUILDKITE_TAG") {
            EventKind::Tag { name: environment.owned("BUILDKITE_TAG") }
        } else if environment.get("BUILDKITE_SOURCE") == Some("webhook") {
            EventKind::Push { branch, before: Before::Unsaid }
        } else {
            EventKind::Manual { branch }
        };
        let default_branch = environment.branch("BUILDKITE_PIPELINE_DEFAULT_BRANCH");
        let head = environment.claim("BUILDKITE_COMMIT");
        let request = environment.request(&kind, &["BUILDKITE_PULL_REQUEST"]);
        Some(Event { default_branch, head, request, ..Event::new("buildkite", kind) })
    },
};
