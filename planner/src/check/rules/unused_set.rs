//! A path set that no list uses.

use lanes::{DeclarationKind, LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "unused_set",
        cause: "No list of globs uses a path set.",
        remedy: "Take it out, or write `@name` where it was meant.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    view.unused(DeclarationKind::PathSet)
        .map(|unused| {
            let message = format!("nothing uses the path set `{}`", unused.name);
            Found::at(&RULE.code, unused.span, message).help("take it out")
        })
        .collect()
}
