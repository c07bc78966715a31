//! The globs of moon's and turbo's inputs, and of nx's.
//!
//! By their documentation and by asking them: `**` is any number of directories where it is a
//! whole name and any text elsewhere, `*` any part of a name, braces are alternatives, and a path
//! without a sign names a file or everything below a directory. Everything else they read
//! differently from one another: it is not read, and the directory before it counts.

use super::{
    MOST, Translation,
    text::{Item, read, translation},
};

/// Translates one pattern that only ever includes: to turbo, `docs/**` is also a file `docs`.
pub(in crate::import) fn included(pattern: &str) -> Translation {
    let found = translate(pattern);
    let directories = found.include().iter().filter_map(|glob| glob.strip_suffix("/**"));
    let itself = directories.map(str::to_owned).chain(found.itself.clone()).collect();
    Translation { itself, ..found }
}

/// Translates one pattern, from the root; a `!` in front is the caller's.
pub(in crate::import) fn translate(pattern: &str) -> Translation {
    let plain = pattern.trim_start_matches("./").trim_end_matches('/');
    if plain.is_empty() || plain == "." {
        return Translation::same(vec!["**".to_owned()]);
    }
    let letters: Vec<char> = plain.chars().collect();
    let known = |c: &char| c.is_alphanumeric() || "/._-*{},@ +~=".contains(*c);
    let certain = plain.split('{').next().unwrap_or_default();
    if !letters.iter().all(known) || plain.contains("..") || plain.contains("//") {
        return Translation::cannot(pattern, certain);
    }
    let Some(texts) = spelled(&letters) else { return Translation::cannot(pattern, certain) };
    // An alternative that is nothing may leave no name between two `/`: one of them, to some.
    if texts.iter().any(|text| text.windows(2).any(|two| two == ['/', '/'])) {
        return Translation::cannot(pattern, certain);
    }
    let mut sequences: Vec<Vec<Item>> = Vec::new();
    for text in &texts {
        sequences.extend(items(text));
    }
    if sequences.len() > MOST {
        return Translation::cannot(pattern, certain);
    }
    let below = |sequence: &Vec<Item>| {
        [sequence.as_slice(), &[Item::Char('/'), Item::Text { least: false }]].concat()
    };
    if !plain.contains('*') {
        let deep: Vec<Vec<Item>> = sequences.iter().map(below).collect();
        return match (read(&sequences), read(&deep)) {
            (Some(named), Some(deep)) => {
                let itself = translation(pattern, named).same.unwrap_or_default();
                Translation { itself, ..translation(pattern, deep) }
            }
            _ => Translation::cannot(pattern, certain),
        };
    }
    read(&sequences)
        .map_or_else(|| Translation::cannot(pattern, certain), |found| translation(pattern, found))
}

/// Braces as texts.
fn spelled(letters: &[char]) -> Option<Vec<Vec<char>>> {
    let Some(open) = letters.iter().position(|c| *c == '{') else {
        return (!letters.contains(&'}')).then(|| vec![letters.to_vec()]);
    };
    let (mut depth, mut from, mut parts) = (0_usize, open + 1, Vec::new());
    for (at, c) in letters.iter().enumerate().skip(open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 || (depth == 1 && *c == ',') {
            parts.push(&letters[from..at]);
            from = at + 1;
        }
        if depth == 0 {
            // One alternative is itself to some, and its braces are letters to others.
            if parts.len() == 1 {
                return None;
            }
            let mut all = Vec::new();
            for part in parts {
                all.extend(spelled(&[&letters[..open], part, &letters[at + 1..]].concat())?);
                if all.len() > MOST {
                    return None;
                }
            }
            return Some(all);
        }
    }
    None
}

/// A pattern without braces; `**/` may be no directory.
fn items(letters: &[char]) -> Vec<Vec<Item>> {
    let mut all: Vec<Vec<Item>> = vec![Vec::new()];
    let mut at = 0;
    while at < letters.len() {
        let starts = at == 0 || letters[at - 1] == '/';
        let run = letters[at..].iter().take_while(|c| **c == '*').count();
        let (items, length) = match run {
            0 => (vec![Item::Char(letters[at])], 1),
            1 => (vec![Item::Name { least: false }], 1),
            _ if starts && letters.get(at + run) == Some(&'/') => {
                let none = all.clone();
                all.iter_mut().for_each(|it| {
                    it.extend([Item::Text { least: true }, Item::Char('/')]);
                });
                all.extend(none);
                at += run + 1;
                if all.len() > MOST {
                    break;
                }
                continue;
            }
            _ => (vec![Item::Text { least: false }], run),
        };
        all.iter_mut().for_each(|it| it.extend(items.clone()));
        at += length;
    }
    all
}
