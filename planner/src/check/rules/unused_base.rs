//! A base that no job starts from.

use lanes::{DeclarationKind, LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "unused_base",
        cause: "No job and no lane starts from a base.",
        remedy: "Take it out.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    view.unused(DeclarationKind::Base)
        .map(|unused| {
            let message = format!("nothing uses the base `{}`", unused.name);
            Found::at(&RULE.code, unused.span, message).help("take it out")
        })
        .collect()
}
