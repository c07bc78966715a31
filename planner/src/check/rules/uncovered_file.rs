//! A file whose change runs nothing, and nobody said so.

use std::collections::{BTreeMap, BTreeSet};

use lanes::{GlobId, LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "uncovered_file",
        cause: "No glob of a lane, of `ignore` or of `run_all` covers a file of the tree: its \
                changes are checked by nothing.",
        remedy: "Add it to a lane's `paths`, or to `ignore` if nothing depends on it.",
    },
    level: LintLevel::Warn,
    find,
};

/// What covers the files that a glob matches.
#[derive(Default)]
struct Cover {
    /// A list that excludes nothing has it.
    always: bool,
    /// The lists that exclude something, by what they exclude.
    unless: BTreeSet<usize>,
}

fn find(view: &View<'_>) -> Vec<Found> {
    let mut covers: Vec<Cover> = Vec::new();
    covers.resize_with(view.catalog.globs().len(), Cover::default);
    let mut known: BTreeMap<&[GlobId], usize> = BTreeMap::new();
    let mut exclusions: Vec<&[GlobId]> = Vec::new();
    for filter in view.filters().iter().filter(|filter| filter.of_lane) {
        for glob in filter.paths.iter().flatten() {
            let cover = &mut covers[glob.position()];
            if filter.exclude.is_empty() {
                cover.always = true;
                continue;
            }
            let exclusion = *known.entry(&filter.exclude).or_insert_with(|| {
                exclusions.push(&filter.exclude);
                exclusions.len() - 1
            });
            cover.unless.insert(exclusion);
        }
    }
    let rules = view.catalog.rules();
    for used in rules.ignore.iter().chain(&rules.run_all) {
        covers[used.glob.position()].always = true;
    }
    let definitions: BTreeSet<&[u8]> = view.catalog.files().iter().map(String::as_bytes).collect();
    let covered = |file: u32| {
        view.globs_of(file).iter().any(|&glob| {
            let cover = &covers[glob as usize];
            cover.always || cover.unless.iter().any(|&at| !view.any_matches(exclusions[at], file))
        })
    };
    (0_u32..)
        .zip(view.files)
        .filter(|(at, file)| !covered(*at) && !definitions.contains(file.path.as_bytes()))
        .map(|(_, file)| {
            let message = format!("no lane covers `{}`", file.path);
            Found::of_file(&RULE.code, file.path.clone(), message)
                .help("add it to a lane's `paths`, or to `ignore` if nothing depends on it")
        })
        .collect()
}
