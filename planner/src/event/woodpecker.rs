//! Woodpecker: knows the previous pipeline of the branch instead of the push.
//!
//! The previous pipeline of a branch may have been one of a pull request that goes to it. Its commit
//! is no commit the branch was at, so it is not taken, and where the branch was counts as unsaid. The
//! same holds for a pipeline that is started again: its previous pipeline is the newest one of the
//! branch, be it of a later push.

use super::{Before, Engine, Event, EventKind, variable};

pub(super) const WOODPECKER: Engine = Engine {
    word: "woodpecker",
    name: "Woodpecker",
    documented: &[
        "https://woodpecker-ci.org/docs/usage/environment",
        // A pipeline that is started again: `newPipeline.Parent`.
        "https://github.com/woodpecker-ci/woodpecker/blob/main/server/pipeline/restart.go",
        // `GetPipelineLastBefore`: the last pipeline of the branch, of any event and with any result.
        "https://github.com/woodpecker-ci/woodpecker/blob/main/server/store/datastore/pipeline.go",
        "https://github.com/woodpecker-ci/woodpecker/blob/main/pipeline/frontend/metadata/environment.go",
    ],
    variables: &[
        variable("CI", "`woodpecker`"),
        variable("CI_PIPELINE_EVENT", "`push`, `pull_request`, `tag`, `cron`, `manual`, …"),
        variable("CI_PIPELINE_PARENT", "the number of the pipeline that this one repeats, or 0"),
        variable("CI_REPO_DEFAULT_BRANCH", "the repository's default branch"),
        variable("CI_COMMIT_BRANCH", "the branch; of a request, the one it goes to"),
        variable("CI_COMMIT_TARGET_BRANCH", "the branch a request goes to"),
        variable("CI_COMMIT_PULL_REQUEST", "the request's number"),
        variable("CI_COMMIT_SHA", "the commit that is built"),
        variable("CI_COMMIT_TAG", "the tag"),
        variable("CI_PREV_COMMIT_SHA", "the commit of the branch's previous pipeline"),
        variable("CI_PREV_COMMIT_BRANCH", "the branch of the previous pipeline"),
        variable("CI_PREV_PIPELINE_EVENT", "the event of the previous pipeline"),
    ],
    read: |environment| {
        let event = environment.get("CI_PIPELINE_EVENT");
        if event.is_none() && environment.get("CI") != Some("woodpecker") {
            return None;
        }
        let branch = environment.branch("CI_COMMIT_BRANCH");
        let kind = match event {
            Some(event) if event.starts_with("pull_request") => EventKind::Request {
                branch: environment.branch("CI_COMMIT_TARGET_BRANCH").or(branch),
                base: None,
                merge_base: None,
            },
            Some("push") => {
                let of_a_push =
                    environment.get("CI_PREV_PIPELINE_EVENT").is_none_or(|it| it == "push");
                let same = environment.branch("CI_PREV_COMMIT_BRANCH");
                let same = same.is_none() || branch.is_none() || same == branch;
                let again = environment.get("CI_PIPELINE_PARENT").is_some_and(|it| it != "0");
                let before = match environment.get("CI_PREV_COMMIT_SHA") {
                    Some(_) if again || !(of_a_push && same) => Before::Unsaid,
                    None => Before::New("CI_PREV_COMMIT_SHA"),
                    previous => Before::new(previous, "CI_PREV_COMMIT_SHA").of_a_run(),
                };
                EventKind::Push { branch, before }
            }
            Some("tag" | "release") => EventKind::Tag { name: environment.owned("CI_COMMIT_TAG") },
            Some("cron") => EventKind::Schedule,
            _ => EventKind::Manual { branch },
        };
        let default_branch = environment.branch("CI_REPO_DEFAULT_BRANCH");
        let head = environment.claim("CI_COMMIT_SHA");
        let request = environment.request(&kind, &["CI_COMMIT_PULL_REQUEST"]);
        Some(Event { default_branch, head, request, ..Event::new("woodpecker", kind) })
    },
};
