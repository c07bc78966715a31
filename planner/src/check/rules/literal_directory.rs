//! A glob that is the name of a directory.

use lanes::{LintLevel, codes::Code};

use super::{Rule, dead_glob::dead};
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "literal_directory",
        cause: "A glob names a directory. Changes are changes of files, so it matches nothing.",
        remedy: "Write `directory/**` for everything below it.",
    },
    level: LintLevel::Deny,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    dead(view)
        .into_iter()
        .filter(|used| explains(view, view.text(used.glob)))
        .map(|used| {
            let text = view.text(used.glob);
            let message = format!("`{text}` is a directory, and only files change");
            Found::at(&RULE.code, used.span, message)
                .help(format!("write `{text}/**` for everything below it"))
        })
        .collect()
}

/// Returns whether a dead glob is dead for this reason.
pub(super) fn explains(view: &View<'_>, text: &str) -> bool {
    !text.contains(['*', '?', '[', '{', '\\']) && view.first_below(text).is_some()
}
