//! A cache at a place where the tree has files.

use std::collections::BTreeSet;

use lanes::{LintLevel, codes::Code};
use plans::TreeFilter;

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "cache_path_in_tree",
        cause: "The tree has files at the path of a cache. A job sees the cache there and not the files, and where \
                a file is in its way it is not started.",
        remedy: "Give the cache another path, or let the job take no such files (`inputs`).",
    },
    level: LintLevel::Deny,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for (_, job) in view.jobs() {
        let filter = TreeFilter::new(job.spec.inputs.as_ref(), job.spec.snapshot_profile.as_ref());
        let Ok(filter) = filter else { continue };
        let sees = |file: &u32| filter.keeps(view.path(*file).as_bytes(), false);
        for (cache, uses) in job.spec.caches.iter().zip(&job.caches) {
            let Some(path) = cache.path.in_workspace() else { continue };
            // The path itself, what is on the way to it, and what is below it.
            let above = path.as_str().match_indices('/').map(|(end, _)| &path.as_str()[..end]);
            let at = above.chain([path.as_str()]).filter_map(|it| view.file_at(it.as_bytes()));
            let below = view.files_below(path.as_str());
            let Some(file) = at.chain(below).find(sees) else { continue };
            // A base's cache is the same for all its jobs.
            if told.insert(uses.span) {
                let (name, file) = (&cache.name, view.path(file));
                let message =
                    format!("the cache `{name}` hides `{file}` from the job `{}`", job.id);
                found.push(
                    Found::at(&RULE.code, uses.span, message).help("give the cache another path"),
                );
            }
        }
    }
    found
}
