//! A glob of a cache's key that brings no file.

use std::collections::BTreeSet;

use lanes::{LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "cache_key_matches_nothing",
        cause: "A glob of the `key` of a cache matches no file of the tree. When none does, there is \
                no exact key: the cache is never a hit.",
        remedy: "Write the path as it is now, or take the glob out.",
    },
    level: LintLevel::Deny,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for (_, job) in view.jobs() {
        for (cache, uses) in job.spec.caches.iter().zip(&job.caches) {
            let dead = uses.key.iter().filter(|used| view.files_of(used.glob).is_empty());
            for used in dead {
                // A base's cache is the same for all its jobs.
                if told.insert(used.span) {
                    let message = format!(
                        "the glob `{}` of the key of cache `{}` matches no file",
                        view.text(used.glob),
                        cache.name
                    );
                    found.push(
                        Found::at(&RULE.code, used.span, message)
                            .help("write the path as it is now, or take the glob out"),
                    );
                }
            }
        }
    }
    found
}
