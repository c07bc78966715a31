//! A host that nothing is placed on.

use lanes::{DeclarationKind, LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code { name: "unused_host", cause: "No placement names a host.", remedy: "Take it out." },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    view.unused(DeclarationKind::Host)
        .map(|unused| {
            let message = format!("nothing uses the host `{}`", unused.name);
            Found::at(&RULE.code, unused.span, message).help("take it out")
        })
        .collect()
}
