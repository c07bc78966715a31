//! CircleCI: its variables name the branch and the tag, and nothing to compare with.
//!
//! The commit of the pipeline before is a pipeline value (`pipeline.git.base_revision`), which is no
//! variable: the configuration passes it on. It is empty for a branch's first pipeline, for one that
//! the API started, and in projects of the GitHub App, so this engine claims nothing by itself.

use super::{Before, Engine, Event, EventKind, variable};

pub(super) const CIRCLECI: Engine = Engine {
    word: "circleci",
    name: "CircleCI",
    documented: &[
        "https://circleci.com/docs/reference/variables/",
        // The same text, and where pipeline values are described.
        "https://github.com/circleci/circleci-docs/blob/main/docs/reference/modules/ROOT/pages/variables.adoc",
        "https://github.com/circleci/circleci-docs/blob/main/docs/guides/modules/ROOT/partials/pipelines-and-triggers/pipeline-values.adoc",
    ],
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
