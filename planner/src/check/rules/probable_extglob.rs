//! A glob in the language of another shell.

use lanes::{LintLevel, codes::Code};

use super::{Rule, dead_glob::dead};
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "probable_extglob",
        cause: "A glob that matches nothing has `+(…)`, `?(…)` or `*(…)` in it, which bash would \
                read as repetition; here the parentheses are characters of a name.",
        remedy: "Write alternatives as `{a,b}`, and any part of a name as `*`.",
    },
    level: LintLevel::Deny,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    dead(view)
        .into_iter()
        .filter(|used| explains(view.text(used.glob)))
        .map(|used| {
            let text = view.text(used.glob);
            let message = format!("`{text}` matches no file, its parentheses stand for themselves");
            Found::at(&RULE.code, used.span, message)
                .help("extended globs are not known here; write alternatives as `{a,b}`")
        })
        .collect()
}

/// Returns whether a dead glob is dead for this reason.
pub(super) fn explains(text: &str) -> bool {
    ["+(", "?(", "*("]
        .iter()
        .any(|sign| text.split_once(sign).is_some_and(|(_, rest)| rest.contains(')')))
}
