//! A glob that selects on nothing.

use std::collections::BTreeSet;

use lanes::{GlobUse, LintLevel, Via, codes::Code};

use super::{Rule, literal_directory, probable_extglob};
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "dead_glob",
        cause: "A glob of `paths`, `ignore` or `run_all` matches no file of the tree. After a \
                directory is renamed, that is how its changes stop running anything.",
        remedy: "Write the path as it is now, or take the glob out.",
    },
    level: LintLevel::Deny,
    find,
};

/// How many globs are told where they leave the tree: each is compared with what is there.
const EXPLAINED: usize = 50;

fn find(view: &View<'_>) -> Vec<Found> {
    let explained = |used: &GlobUse| {
        let text = view.text(used.glob);
        literal_directory::explains(view, text) || probable_extglob::explains(text)
    };
    dead(view)
        .into_iter()
        .filter(|used| !explained(used))
        .enumerate()
        .map(|(position, used)| {
            let text = view.text(used.glob);
            let found = Found::at(&RULE.code, used.span, format!("`{text}` matches no file"));
            if position < EXPLAINED {
                found.help(nearest(view, text))
            } else {
                found.help("write the path as it is now, or take the glob out")
            }
        })
        .collect()
}

/// Returns every glob that selects and matches nothing, once for each place it is written at.
pub(super) fn dead<'a>(view: &View<'a>) -> Vec<&'a GlobUse> {
    let mut told = BTreeSet::new();
    view.selecting()
        .flatten()
        .filter(|used| view.files_of(used.glob).is_empty())
        .filter(|used| !matches!(used.via, Some(Via::Dependencies(_))))
        .filter(|used| told.insert(used.span))
        .collect()
}

/// Says where the literal part of a glob leaves the tree.
fn nearest(view: &View<'_>, text: &str) -> String {
    let literal = text.split('/').take_while(|name| !name.contains(['*', '?', '[', '{', '\\']));
    let mut directory = String::new();
    for name in literal {
        let below =
            if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") };
        if view.first_below(&below).is_some() {
            directory = below;
            continue;
        }
        let rest = &text[below.len()..];
        let place = match directory.as_str() {
            "" => "the root".to_owned(),
            directory => format!("`{directory}/`"),
        };
        let near = view
            .names_in(&directory)
            .into_iter()
            .map(|known| (strsim::damerau_levenshtein(name, known), known))
            .min()
            .filter(|(distance, _)| *distance <= 1 + name.chars().count() / 4);
        return match near {
            Some((0, known)) => format!("`{known}` in {place} is a file, not a directory"),
            Some((_, known)) => {
                let path = below.strip_suffix(name).unwrap_or_default();
                format!("{place} has no `{name}`; did you mean `{path}{known}{rest}`?")
            }
            None => format!("{place} has no `{name}`"),
        };
    }
    let place =
        if directory.is_empty() { "the tree".to_owned() } else { format!("`{directory}/`") };
    format!("{place} has files, but none that it matches")
}
