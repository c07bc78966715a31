//! The path filters of Azure Pipelines (`trigger.paths`, `pr.paths`).
//!
//! By its documentation ("Path filters", "Wildcards"): a path without a wildcard names a file or
//! everything below a directory; `*` is any part of a name, `**` any number of directories, `?` one
//! character. A `/` in front is of no account. No braces, no classes, no `!`. Whether a path with a wildcard
//! also names what is below a directory it matches is not said: it selects by that and excludes without.

use super::{
    Translation,
    text::{Chars, Item, Read, read, translation},
};

/// Translates one path.
pub(in crate::import) fn translate(pattern: &str) -> Translation {
    let plain = pattern.trim_start_matches("./").trim_matches('/');
    if plain.is_empty() {
        return Translation::same(vec!["**".to_owned()]);
    }
    let mut named: Vec<Item> = Vec::new();
    let letters: Vec<char> = plain.chars().collect();
    let mut at = 0;
    while at < letters.len() {
        match letters[at] {
            '*' if letters.get(at + 1) == Some(&'*') => {
                named.push(Item::Text { least: false });
                at += 2;
                continue;
            }
            '*' => named.push(Item::Name { least: false }),
            '?' => named.push(Item::One(Chars::All { slash: false })),
            c => named.push(Item::Char(c)),
        }
        at += 1;
    }
    let mut sequences = vec![named.clone()];
    // `**/` may be no directory.
    while let Some((which, at)) = none_too(&sequences) {
        let mut without = sequences[which].clone();
        without.drain(at..at + 2);
        sequences[which][at] = Item::Text { least: true };
        sequences.push(without);
        if sequences.len() > 64 {
            return Translation::cannot(pattern, plain);
        }
    }
    let deeper = [Item::Char('/'), Item::Text { least: false }];
    let below = |items: &Vec<Item>| [items.as_slice(), deeper.as_slice()].concat();
    if plain.contains(['*', '?']) {
        let all: Vec<Vec<Item>> = sequences.iter().map(below).collect();
        return match (read(&sequences), read(&all)) {
            (Some(exact), Some(below)) => wildcards(pattern, exact, below),
            _ => Translation::cannot(pattern, plain),
        };
    }
    let below = below(&named);
    match (read(&[named]), read(&[below])) {
        (Some(named), Some(below)) => {
            let named = translation(pattern, named).same.unwrap_or_default();
            Translation { itself: named, ..translation(pattern, below) }
        }
        _ => Translation::cannot(pattern, plain),
    }
}

/// A path with wildcards: that what is below a match counts, or does not, is not documented.
fn wildcards(pattern: &str, exact: Read, below: Read) -> Translation {
    let (exact, below) = (translation(pattern, exact), translation(pattern, below));
    let more: Vec<String> =
        below.include().iter().filter(|it| !exact.include().contains(it)).cloned().collect();
    if pattern.ends_with("**") || more.is_empty() {
        return exact;
    }
    let reason = format!("`{pattern}` may stand for directories too: what is below counts here.");
    let reason = match &exact.wider {
        Some((_, other)) => format!("{other} {reason}"),
        None => reason,
    };
    let all = [exact.include(), &more].concat();
    Translation { wider: Some((all, reason)), ..exact }
}

fn none_too(sequences: &[Vec<Item>]) -> Option<(usize, usize)> {
    let deep = Item::Text { least: false };
    sequences.iter().enumerate().find_map(|(which, items)| {
        let at = items.windows(2).enumerate().position(|(at, two)| {
            let starts = at == 0 || items[at - 1] == Item::Char('/');
            starts && two[0] == deep && two[1] == Item::Char('/')
        })?;
        Some((which, at))
    })
}
