//! A lane that no change can select.

use lanes::{LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "unreachable_lane",
        cause: "Of the files that a branch lane's `paths` match, its `exclude` leaves none (or \
                `paths` is an empty list), so no change of a file in the tree selects it.",
        remedy: "Mend `paths` or `exclude`; a lane that should always run has no `paths` at all.",
    },
    level: LintLevel::Deny,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    view.selected_by_paths()
        .filter_map(|index| {
            let filter = view.filter_of(index);
            let globs = filter.paths.as_deref().unwrap_or_default();
            // Where every glob is dead, that is told of each of them.
            let dead = globs.iter().all(|glob| view.files_of(*glob).is_empty());
            let lane = &view.catalog[index];
            if (dead && !globs.is_empty()) || view.first_counted(filter, None).is_some() {
                return None;
            }
            let message = format!("no change can select the lane `{}`", lane.id);
            let help = if globs.is_empty() && lane.inputs.is_empty() {
                "its `paths` are an empty list; without the key it always runs"
            } else if globs.is_empty() {
                return None;
            } else {
                "its `exclude` takes every file away that its `paths` match"
            };
            Some(Found::at(&RULE.code, lane.span, message).help(help))
        })
        .collect()
}
