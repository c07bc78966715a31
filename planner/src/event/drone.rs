//! Drone: a push says where the branch was. For a pull request its clone step merges the request's
//! commit into the branch it goes to, so that head is a merge that nobody else has.

use super::{Before, Engine, Event, EventKind, variable};

pub(super) const DRONE: Engine = Engine {
    word: "drone",
    name: "Drone",
    documented: &[
        "https://docs.drone.io/pipeline/environment/reference/",
        // `DRONE_COMMIT_BEFORE` is the build's `Before`: of a push, the hook's.
        "https://github.com/drone/runner-go/blob/master/environ/environ.go",
    ],
    variables: &[
        variable("DRONE", "`true`"),
        variable("DRONE_BUILD_EVENT", "`push`, `pull_request`, `tag`, `cron`, `promote`, …"),
        variable("DRONE_COMMIT_BEFORE", "where the branch was before the push"),
        variable("DRONE_COMMIT_SHA", "the commit that is built; a request's head"),
        variable("DRONE_BRANCH", "the branch; of a request, the one it goes to"),
        variable("DRONE_TARGET_BRANCH", "the branch a request goes to"),
        variable("DRONE_PULL_REQUEST", "the request's number"),
        variable("DRONE_REPO_BRANCH", "the repository's default branch"),
        variable("DRONE_TAG", "the tag"),
    ],
    read: |environment| {
        let event = environment.get("DRONE_BUILD_EVENT");
        if event.is_none() && !environment.has("DRONE") {
            return None;
        }
        let branch = environment.branch("DRONE_BRANCH");
        let kind = match event {
            Some("pull_request") => EventKind::Request {
                branch: environment.branch("DRONE_TARGET_BRANCH").or(branch),
                base: None,
                merge_base: None,
            },
            Some("push") => {
                let before = environment.get("DRONE_COMMIT_BEFORE");
                EventKind::Push { branch, before: Before::new(before, "DRONE_COMMIT_BEFORE") }
            }
            Some("tag") => EventKind::Tag { name: environment.owned("DRONE_TAG") },
            Some("cron") => EventKind::Schedule,
            _ => EventKind::Manual { branch },
        };
        let default_branch = environment.branch("DRONE_REPO_BRANCH");
        let head = environment.claim("DRONE_COMMIT_SHA");
        let request = environment.request(&kind, &["DRONE_PULL_REQUEST"]);
        Some(Event { default_branch, head, request, ..Event::new("drone", kind) })
    },
};
