//! taskgraph's paths (`files-changed`, `skip-unless-changed`): `taskgraph.util.path.match`.
//!
//! By its source, held against it by a property test: `*` is any part of a name, `**` a number of
//! directories where it is a whole name, and a pattern that matches a directory matches all that
//! is below it. No braces, no classes, nothing escapes.

use super::{
    Translation,
    text::{Item, read, translation},
};

/// Translates one pattern.
pub(in crate::import) fn translate(pattern: &str) -> Translation {
    // What is below a directory is asked for either way.
    let whole = pattern.strip_suffix("/**").filter(|it| !it.is_empty() && !it.ends_with("**"));
    let pattern = whole.unwrap_or(pattern);
    let letters: Vec<char> = pattern.chars().collect();
    let mut all: Vec<Vec<Item>> = vec![Vec::new()];
    let add =
        |all: &mut Vec<Vec<Item>>, item: &Item| all.iter_mut().for_each(|it| it.push(item.clone()));
    let (mut at, mut free) = (0, true);
    while at < letters.len() {
        let rest = &letters[at..];
        // A `/` that ended one such name starts no other.
        if free && rest.starts_with(&['*', '*', '/']) {
            let mut deep = all.clone();
            add(&mut deep, &Item::Text { least: true });
            add(&mut deep, &Item::Char('/'));
            all.extend(deep);
            at += 3;
            free = false;
            continue;
        }
        if rest.starts_with(&['/', '*', '*']) && rest.len() == 3 || (at == 0 && rest == ['*', '*'])
        {
            let mut deep = all.clone();
            if rest.len() == 3 {
                add(&mut deep, &Item::Char('/'));
            }
            add(&mut deep, &Item::Text { least: true });
            all.extend(deep);
            break;
        }
        free = rest[0] == '/';
        let item = if rest[0] == '*' { Item::Name { least: false } } else { Item::Char(rest[0]) };
        add(&mut all, &item);
        at += 1;
        if all.len() > 64 {
            return Translation::cannot(pattern, pattern);
        }
    }
    let mut below = all.clone();
    add(&mut below, &Item::Char('/'));
    add(&mut below, &Item::Text { least: false });
    if pattern.is_empty() {
        return Translation::same(vec!["**".to_owned()]);
    }
    let (named, deep) = (read(&all), read(&below));
    match (named, deep) {
        (Some(named), Some(deep)) => {
            let (named, deep) = (translation(pattern, named), translation(pattern, deep));
            // A name without signs is a file's or a directory's.
            if !pattern.contains('*') && named.wider.is_none() {
                return Translation { itself: named.same.unwrap_or_default(), ..deep };
            }
            let both: Vec<_> = all.into_iter().zip(below).flat_map(|(a, b)| [a, b]).collect();
            let both = read(&both).map_or_else(
                || Translation::cannot(pattern, pattern),
                |it| translation(pattern, it),
            );
            Translation { same: both.same.map(below_too), ..both }
        }
        _ => Translation::cannot(pattern, pattern),
    }
}

/// A name and what is below it as one glob: mostly there is only one of them.
fn below_too(globs: Vec<String>) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    for glob in globs {
        let plain = |text: &str| !text.contains(['{', ',', '}', '\\']);
        match glob.strip_suffix("/**").filter(|it| plain(it)) {
            Some(name) if done.last().is_some_and(|last| last == name) => {
                done.pop();
                done.push(format!("{{{name},{glob}}}"));
            }
            _ => done.push(glob),
        }
    }
    done
}
