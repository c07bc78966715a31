//! Travis CI: the range of commits says where a branch was; it is empty for a new branch.
//!
//! For a push the range is cut out of the forge's address of the comparison, whose commits are
//! shortened, and the first is `COMMIT^` when the branch is new and has several: no claim then.

use super::{Before, Engine, Event, EventKind, variable};

pub(super) const TRAVIS: Engine = Engine {
    word: "travis",
    name: "Travis CI",
    documented: &[
        "https://docs.travis-ci.com/user/environment-variables/",
        // Which variables there are, and how the range is made.
        "https://github.com/travis-ci/travis-build/blob/master/lib/travis/build/env/builtin.rb",
        "https://github.com/travis-ci/travis-scheduler/blob/master/lib/travis/scheduler/serialize/worker/commit.rb",
    ],
    variables: &[
        variable("TRAVIS", "`true`"),
        variable("TRAVIS_EVENT_TYPE", "`push`, `pull_request`, `api` or `cron`"),
        variable("TRAVIS_BRANCH", "the branch; of a request, the one it goes to"),
        variable("TRAVIS_COMMIT_RANGE", "`BEFORE...AFTER` of a push; empty for a new branch"),
        variable("TRAVIS_COMMIT", "the commit that is built"),
        variable("TRAVIS_PULL_REQUEST", "the request's number, or `false`"),
        variable("TRAVIS_PULL_REQUEST_SHA", "the request's head"),
        variable("TRAVIS_TAG", "the tag"),
    ],
    read: |environment| {
        if !environment.has("TRAVIS") && !environment.has("TRAVIS_EVENT_TYPE") {
            return None;
        }
        let branch = environment.branch("TRAVIS_BRANCH");
        let range = environment.get("TRAVIS_COMMIT_RANGE");
        let from = range.and_then(|range| range.split_once("..")).map(|(from, _)| from);
        let request = environment.get("TRAVIS_PULL_REQUEST").is_some_and(|it| it != "false");
        let mut head = environment.claim("TRAVIS_COMMIT");
        let kind = match environment.get("TRAVIS_EVENT_TYPE") {
            Some("cron") => EventKind::Schedule,
            _ if request => {
                head = environment.claim("TRAVIS_PULL_REQUEST_SHA");
                // The range of a request may begin at its base or at what was pushed before: the branch
                // it goes to is asked instead.
                EventKind::Request { branch, base: None, merge_base: None }
            }
            _ if environment.has("TRAVIS_TAG") => {
                EventKind::Tag { name: environment.owned("TRAVIS_TAG") }
            }
            Some("api") => EventKind::Manual { branch },
            _ => {
                let before = match from {
                    None => Before::New("TRAVIS_COMMIT_RANGE"),
                    from => Before::new(from, "TRAVIS_COMMIT_RANGE"),
                };
                EventKind::Push { branch, before }
            }
        };
        let request = environment.request(&kind, &["TRAVIS_PULL_REQUEST"]);
        Some(Event { head, request, ..Event::new("travis", kind) })
    },
};
