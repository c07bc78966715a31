//! An exclusion that excludes nothing.

use std::collections::{BTreeMap, BTreeSet};

use lanes::{GlobUse, LintLevel, codes::Code};

use super::Rule;
use crate::check::{
    findings::Found,
    view::{Filter, View},
};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "exclude_without_effect",
        cause: "A glob of `exclude` takes away no file that `paths` of the same filter match.",
        remedy: "Take it out, or write what it was meant to take away.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    // A set's glob may have an effect in one of the lists that use it.
    let mut effects: BTreeMap<lanes::Span, (&GlobUse, bool)> = BTreeMap::new();
    // Lock files and shared manifests count by what is in them.
    let lanes = view.catalog.lanes().iter();
    let followed = lanes.flat_map(|lane| &lane.derived.left_out).map(|file| file.as_bytes());
    let followed: BTreeSet<&[u8]> = followed.collect();
    for filter in view.filters() {
        for used in &filter.written.exclude {
            let (_, effect) = effects.entry(used.span).or_insert((used, false));
            *effect = *effect || takes_away(view, &followed, filter, used);
        }
    }
    effects
        .into_values()
        .filter(|(_, effect)| !effect)
        .map(|(used, _)| {
            let text = view.text(used.glob);
            let (message, help) = match view.files_of(used.glob).len() {
                0 => (
                    format!("`{text}` matches no file, so it excludes nothing"),
                    "write the path as it is now, or take the glob out".to_owned(),
                ),
                files => (
                    format!("`{text}` excludes nothing that `paths` match"),
                    format!(
                        "it matches {files} other file{}; take it out, or check `paths`",
                        if files == 1 { "" } else { "s" }
                    ),
                ),
            };
            Found::at(&RULE.code, used.span, message).help(help)
        })
        .collect()
}

fn takes_away(
    view: &View<'_>,
    followed: &BTreeSet<&[u8]>,
    filter: &Filter<'_>,
    used: &GlobUse,
) -> bool {
    view.files_of(used.glob).iter().any(|&file| {
        filter.paths.as_ref().is_none_or(|globs| view.any_matches(globs, file))
            || (filter.of_lane && followed.contains(view.files[file as usize].path.as_bytes()))
    })
}
