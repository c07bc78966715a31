//! Bitbucket Pipelines: merges the destination into the request before it runs, and does not say
//! where a pushed branch was.

use super::{Before, Engine, Event, EventKind, variable};

pub(super) const BITBUCKET: Engine = Engine {
    word: "bitbucket",
    name: "Bitbucket Pipelines",
    documented: &[
        "https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/",
        "https://support.atlassian.com/bitbucket-cloud/docs/pipeline-start-conditions/",
    ],
    variables: &[
        variable("BITBUCKET_BUILD_NUMBER", "the run's number"),
        variable("BITBUCKET_COMMIT", "the commit that started it"),
        variable("BITBUCKET_BRANCH", "the branch; of a request, its source"),
        variable("BITBUCKET_TAG", "the tag"),
        variable("BITBUCKET_PR_ID", "the request's number"),
        variable("BITBUCKET_PR_DESTINATION_BRANCH", "the branch the request goes to"),
        variable("BITBUCKET_PR_DESTINATION_COMMIT", "the commit of that branch, shortened to 12"),
    ],
    read: |environment| {
        let markers = ["BITBUCKET_BUILD_NUMBER", "BITBUCKET_COMMIT", "BITBUCKET_PR_ID"];
        if !markers.iter().any(|name| environment.has(name)) {
            return None;
        }
        let kind = if environment.has("BITBUCKET_PR_DESTINATION_BRANCH") {
            EventKind::Request {
                branch: environment.branch("BITBUCKET_PR_DESTINATION_BRANCH"),
                base: environment.claim("BITBUCKET_PR_DESTINATION_COMMIT"),
                merge_base: None,
            }
        } else if environment.has("BITBUCKET_TAG") {
            EventKind::Tag { name: environment.owned("BITBUCKET_TAG") }
        } else {
            let branch = environment.branch("BITBUCKET_BRANCH");
            EventKind::Push { branch, before: Before::Unsaid }
        };
        let head = environment.claim("BITBUCKET_COMMIT");
        let request = environment.request(&kind, &["BITBUCKET_PR_ID"]);
        Some(Event { head, request, ..Event::new("bitbucket", kind) })
    },
};
