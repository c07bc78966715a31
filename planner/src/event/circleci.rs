//! CircleCI: its variables name the branch and the tag, and nothing to compare with.
//!
//! Where the branch was is a pipeline value (`pipeline.git.base_revision`), which is no variable: the
//! configuration passes it on the command line, as `--base << pipeline.git.base_revision >>`.

use super::{Before, Engine, Event, EventKind, variable};

pub(super) const CIRCLECI: Engine = Engine {
    word: "circleci",
    name: "CircleCI",
    documented: &["https://circleci.com/docs/reference/variables/"],
    variables: &[
        variable("CIRCLECI", "`true`"),
        variable("CIRCLE_BRANCH", "the branch that is built"),
        variable("CIRCLE_TAG", "the tag that is built"),
        variable("CIRCLE_SHA1", "the commit that is built"),
    ],
    read: |environment| {
        if !environment.has("CIRCLECI") {
            return None;
        }
        let kind = if environment.has("CIRCLE_TAG") {
            EventKind::Tag { name: environment.owned("CIRCLE_TAG") }
        } else {
            // A fork's request is the branch `pull/N`, which is never the default one.
            let branch = environment.branch("CIRCLE_BRANCH");
            EventKind::Push { branch, before: Before::Unsaid }
        };
        let head = environment.claim("CIRCLE_SHA1");
        Some(Event { head, ..Event::new("circleci", kind) })
    },
};
