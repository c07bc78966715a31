//! A snapshot profile that no source tree is made with.

use lanes::{DeclarationKind, LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "unused_profile",
        cause: "No target, job or base names a snapshot profile.",
        remedy: "Take it out.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    view.unused(DeclarationKind::SnapshotProfile)
        .map(|unused| {
            let message = format!("nothing uses the snapshot profile `{}`", unused.name);
            Found::at(&RULE.code, unused.span, message).help("take it out")
        })
        .collect()
}
