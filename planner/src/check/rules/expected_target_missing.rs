//! The invariants expect a target that the catalog has not.

use lanes::{LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "expected_target_missing",
        cause: "`staged_linux_targets` of the invariants names a target that is not in the \
                catalog, or is there without `staged_linux`.",
        remedy: "Bring the target back, or take it out of the list.",
    },
    level: LintLevel::Deny,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let staged = |id: &str| {
        let target = view.catalog.target(id).map(|target| &view.catalog[target]);
        target.map(|target| target.staged_linux.is_some())
    };
    view.expected_targets()
        .filter_map(|expected| {
            let (message, help) = match staged(expected) {
                Some(true) => return None,
                Some(false) => (
                    format!("`{}` is no staged Linux target", expected.value),
                    "add `[targets.staged_linux]` to it, or take it out of this list",
                ),
                None => (
                    format!("no target is called `{}`", expected.value),
                    "bring the target back, or take it out of this list",
                ),
            };
            Some(Found::in_invariants(&RULE.code, expected.span, message).help(help))
        })
        .collect()
}
