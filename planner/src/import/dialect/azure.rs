//! The path filters of Azure Pipelines (`trigger.paths`, `pr.paths`).
//!
//! By its documentation ("Path filters", "Wildcards"): a path without a wildcard names a file or
//! everything below a directory; `*` is any part of a name, `**` any number of directories, `?` one
//! character. A `/` in front is of no account. No braces, no classes, no `!`.

use super::{
    Translation,
    text::{Chars, Item, read, translation},
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
    let below = [named.as_slice(), &[Item::Char('/'), Item::Text { least: false }]].concat();
    if plain.contains(['*', '?']) {
        // What is below a match is not documented to count, nor not to.
        let exact = read(&sequences);
        return exact
            .map_or_else(|| Translation::cannot(pattern, plain), |it| translation(pattern, it));
    }
    match (read(&[named]), read(&[below])) {
        (Some(named), Some(below)) => {
            let named = translation(pattern, named).same.unwrap_or_default();
            Translation { itself: named, ..translation(pattern, below) }
        }
        _ => Translation::cannot(pattern, plain),
    }
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
