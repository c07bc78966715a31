//! The invariants expect a target that no lane runs.

use lanes::{LintLevel, Work, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "expected_target_not_run",
        cause: "`staged_linux_targets` of the invariants names a target that no lane runs.",
        remedy: "Add a lane with it, or take it out of the list.",
    },
    level: LintLevel::Deny,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let catalog = view.catalog;
    view.expected_targets()
        .filter(|expected| {
            let target = catalog.target(expected);
            // A target that is not there is told by itself.
            target.is_some_and(|target| {
                !catalog.lanes().iter().any(|lane| lane.work == Work::Target(target))
            })
        })
        .map(|expected| {
            let message = format!("no lane runs the target `{}`", expected.value);
            Found::in_invariants(&RULE.code, expected.span, message)
                .help("add a lane with it, or take it out of this list")
        })
        .collect()
}
