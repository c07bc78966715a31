//! The catalog has a staged Linux target that the invariants do not expect.

use lanes::{LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "unexpected_staged_target",
        cause: "The catalog has a staged Linux target that `staged_linux_targets` of the \
                invariants does not name.",
        remedy: "Add it to the list, or take the target out.",
    },
    level: LintLevel::Deny,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    view.catalog
        .targets()
        .iter()
        .filter(|target| target.staged_linux.is_some() && !view.expects(target.id.as_str()))
        .map(|target| {
            let message = format!("the staged Linux target `{}` is not expected", target.id);
            Found::at(&RULE.code, target.span, message).help(format!(
                "add \"{}\" to `staged_linux_targets` of the invariants, or take the target out",
                target.id
            ))
        })
        .collect()
}
