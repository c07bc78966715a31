//! A file whose change runs nothing, and nobody said so.

use std::collections::{BTreeMap, BTreeSet};

use lanes::{GlobId, GlobUse, Lane, LaneTrigger, LintLevel, UnmatchedPaths, codes::Code};
use plans::RepoPath;

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "uncovered_file",
        cause: "No glob of a lane, of `ignore` or of `run_all` covers a file of the tree, and \
                no lane follows what is in it: its changes are checked by nothing, or only by lanes \
                without `paths`.",
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

/// What covers files: lanes by what they name, and some lists of globs besides.
pub(super) struct Covers<'v> {
    globs: Vec<Cover>,
    exclusions: Vec<&'v [GlobId]>,
}

impl<'v> Covers<'v> {
    pub(super) fn of<'u>(view: &'v View<'_>, besides: impl Iterator<Item = &'u GlobUse>) -> Self {
        let mut globs: Vec<Cover> = Vec::new();
        globs.resize_with(view.catalog.globs().len(), Cover::default);
        let mut known: BTreeMap<&[GlobId], usize> = BTreeMap::new();
        let mut exclusions: Vec<&[GlobId]> = Vec::new();
        for filter in view.filters().iter().filter(|filter| filter.of_lane) {
            for glob in &filter.covering {
                let cover = &mut globs[glob.position()];
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
        for used in besides {
            globs[used.glob.position()].always = true;
        }
        Self { globs, exclusions }
    }

    pub(super) fn covers(&self, view: &View<'_>, file: u32) -> bool {
        view.globs_of(file).iter().any(|&glob| {
            let cover = &self.globs[glob as usize];
            let counts = |&at: &usize| !view.any_matches(self.exclusions[at], file);
            cover.always || cover.unless.iter().any(counts)
        })
    }
}

fn find(view: &View<'_>) -> Vec<Found> {
    let rules = view.catalog.rules();
    let covers = Covers::of(view, rules.ignore.iter().chain(&rules.run_all));
    let definitions = view.catalog.files().iter().map(String::as_str);
    let followed = view.catalog.lanes().iter().flat_map(|lane| lane.derived.files());
    let by_content: BTreeSet<&[u8]> = definitions.chain(followed).map(str::as_bytes).collect();
    let uncovered: Vec<&RepoPath> = (0_u32..)
        .zip(view.files)
        .filter(|(at, file)| {
            !covers.covers(view, *at) && !by_content.contains(file.path.as_bytes())
        })
        .map(|(_, file)| &file.path)
        .collect();
    match (summary(view, &uncovered), uncovered.is_empty()) {
        (_, true) => Vec::new(),
        (Some(found), false) => vec![found],
        (None, false) => uncovered
            .into_iter()
            .map(|path| {
                let message = format!("no lane covers `{path}`");
                Found::of_file(&RULE.code, path.clone(), message)
                    .help("add it to a lane's `paths`, or to `ignore` if nothing depends on it")
            })
            .collect(),
    }
}

/// Where branch lanes have no `paths`, every change runs those: one finding then says how many
/// files run nothing else, instead of each file by itself.
fn summary(view: &View<'_>, uncovered: &[&RepoPath]) -> Option<Found> {
    let lanes: Vec<&Lane> = view
        .catalog
        .lanes()
        .iter()
        .filter(|lane| lane.trigger == LaneTrigger::Branch)
        .filter(|lane| lane.filter.paths.is_none() && lane.filter.exclude.is_empty())
        .collect();
    if lanes.is_empty() {
        return None;
    }
    let names = some(lanes.iter().map(|lane| format!("`{}`", lane.id)).collect());
    let files = some(uncovered.iter().map(|path| format!("`{path}`")).collect());
    let (count, only) = match uncovered.len() {
        1 => ("1 file that no glob covers".to_owned(), "it runs"),
        count => (format!("{count} files that no glob covers"), "they run"),
    };
    let all = view.catalog.rules().unmatched_paths == UnmatchedPaths::AllLanes;
    let what = if all {
        format!("{only} every branch lane, as `unmatched_paths` says")
    } else {
        format!("{only} only the lanes without `paths`: {names}")
    };
    let help = format!(
        "{files}; add them to the `paths` of lanes, or to `ignore` if nothing depends on them"
    );
    let message = format!("{count}; {what}");
    Some(Found::without_place(&RULE.code, message).help(help))
}

/// The first few of some names, and how many more there are.
fn some(names: Vec<String>) -> String {
    const NAMED: usize = 5;
    let more = names.len().saturating_sub(NAMED);
    let first = names.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}
