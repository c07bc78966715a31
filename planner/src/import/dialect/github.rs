//! The filter patterns of GitHub's workflows: `paths` and `paths-ignore`.
//!
//! By GitHub's documentation ("Filter pattern cheat sheet"): `*` is any part of a name, `**` any
//! text at all, `?` and `+` repeat the character before, `[…]` is one of some letters or digits,
//! a backslash makes the next character plain. Everything else, braces too, is itself.

use super::{MOST, Piece, Translation, globs_of, picomatch, single_stars};

/// Translates one pattern; a `!` in front is the caller's.
pub(in crate::import) fn translate(pattern: &str) -> Translation {
    if let Some(rest) = pattern.strip_prefix("./").or_else(|| pattern.strip_prefix('/')) {
        let rest = translate(rest.trim_start_matches('/'));
        return Translation::rooted(pattern, "paths start with a name", &rest);
    }
    if let Some(rest) = pattern.strip_suffix('/') {
        let below = translate(&format!("{}/**", rest.trim_end_matches('/')));
        return Translation::directory(pattern, &below);
    }
    let Some((sequences, widened)) = sequences(pattern) else {
        return Translation::cannot(pattern, pattern);
    };
    let mut globs: Vec<String> = Vec::new();
    for sequence in sequences {
        let Some(found) = globs_of(&sequence) else {
            return Translation::cannot(pattern, pattern);
        };
        globs.extend(found.into_iter().filter(|glob| !globs.contains(glob)).collect::<Vec<_>>());
    }
    if widened {
        let reason =
            format!("`{pattern}` has no exact counterpart; `{}` is wider.", globs.join("`, `"));
        return Translation { wider: Some((globs, reason)), ..Translation::default() };
    }
    if pattern.contains('{') && pattern.contains(',') && pattern.contains('}') {
        let meant = picomatch::translate(pattern);
        let both = [globs.clone(), meant.include().to_vec()].concat();
        let reason = format!(
            "`{pattern}`: GitHub's documentation knows no braces; here what they mean counts too."
        );
        return Translation {
            same: Some(globs),
            wider: Some((both, reason)),
            ..Translation::default()
        };
    }
    Translation::same(globs)
}

/// Reads a pattern as sequences that together match the same, or (the flag) more.
fn sequences(pattern: &str) -> Option<(Vec<Vec<Piece>>, bool)> {
    let letters: Vec<char> = pattern.chars().collect();
    let mut all: Vec<Vec<Piece>> = vec![Vec::new()];
    let (mut at, mut widened) = (0, false);
    while at < letters.len() {
        let (piece, behind) = match letters[at] {
            '\\' => (Piece::Char(*letters.get(at + 1)?), at + 2),
            '*' => {
                let run = letters[at..].iter().take_while(|c| **c == '*').count();
                (if run == 1 { Piece::Star } else { Piece::Deep }, at + run)
            }
            '[' => {
                let length = letters[at + 1..].iter().position(|c| *c == ']')?;
                (class(&letters[at + 1..at + 1 + length])?, at + length + 2)
            }
            '?' | '+' if at == 0 => return None,
            c => (Piece::Char(c), at + 1),
        };
        at = behind;
        let repeated = letters.get(at).copied().filter(|c| "?+".contains(*c));
        if repeated.is_some() {
            at += 1;
            if letters.get(at).is_some_and(|c| "?+".contains(*c)) && letters[at] != '+' {
                return None;
            }
            while letters.get(at) == Some(&'+') {
                at += 1;
            }
        }
        let tails: Vec<Vec<Piece>> = match (repeated, &piece) {
            (None, _) => vec![vec![piece]],
            (Some(_), Piece::Char('/')) => return None,
            (Some(_), Piece::Star | Piece::Deep) => vec![vec![piece]],
            (Some('?'), _) if letters.get(at - 1) == Some(&'?') => {
                // Without it, a `**` beside it may stand alone, which is something else.
                widened |= all.iter().any(|head| head.last() == Some(&Piece::Deep))
                    || letters[at..].starts_with(&['*', '*']);
                vec![vec![piece], Vec::new()]
            }
            (Some(_), _) => {
                widened = true;
                vec![vec![piece, Piece::Star]]
            }
        };
        if all.len() * tails.len() > MOST {
            return None;
        }
        all = all
            .iter()
            .flat_map(|head| tails.iter().map(move |tail| [head.as_slice(), tail].concat()))
            .collect();
    }
    let mut done = Vec::new();
    for sequence in all {
        let (found, wider) = spread(&sequence)?;
        widened |= wider;
        done.extend(found);
    }
    Some((done, widened))
}

/// There, `**` inside a name crosses directories.
fn spread(sequence: &[Piece]) -> Option<(Vec<Vec<Piece>>, bool)> {
    let components: Vec<&[Piece]> = sequence.split(|piece| *piece == Piece::Char('/')).collect();
    let mut done: Vec<Vec<Piece>> = vec![Vec::new()];
    let mut widened = false;
    for (at, component) in components.iter().enumerate() {
        let last = at + 1 == components.len();
        let deep = component.iter().filter(|piece| **piece == Piece::Deep).count();
        let forms: Vec<Vec<Piece>> = match component.iter().position(|it| *it == Piece::Deep) {
            None => vec![component.to_vec()],
            Some(_) if component.len() == 1 => vec![component.to_vec()],
            Some(_) if deep > 1 => return None,
            Some(place) => {
                let (front, back) = (&component[..place], &component[place + 1..]);
                let open = [front, &[Piece::Star]].concat();
                let close = [&[Piece::Star], back].concat();
                let between = [Piece::Char('/'), Piece::Deep, Piece::Char('/')];
                match (front.is_empty(), back.is_empty()) {
                    (true, _) => vec![[&between[1..], &close].concat()],
                    (_, true) if last => {
                        vec![open.clone(), [open.as_slice(), &between[..2]].concat()]
                    }
                    (_, true) => {
                        // Read as text it is `a`, anything, `/`; read as directories, just `a` too.
                        widened = true;
                        return Some((vec![whole(&components, at, front, &between)?], widened));
                    }
                    (false, false) => vec![
                        [open.as_slice(), back].concat(),
                        [open.as_slice(), &between, &close].concat(),
                    ],
                }
            }
        };
        if done.len() * forms.len() > MOST {
            return None;
        }
        done = done
            .iter()
            .flat_map(|head| {
                forms.iter().map(move |form| {
                    let slash = if at == 0 { &[][..] } else { &[Piece::Char('/')][..] };
                    [head.as_slice(), slash, form].concat()
                })
            })
            .collect();
    }
    Some((done.iter().map(|sequence| single_stars(sequence)).collect(), widened))
}

/// `a**/…`: everything whose component starts like that, or below it.
fn whole(
    components: &[&[Piece]],
    at: usize,
    front: &[Piece],
    between: &[Piece; 3],
) -> Option<Vec<Piece>> {
    if components[..at]
        .iter()
        .any(|component| component.contains(&Piece::Deep) && component.len() > 1)
    {
        return None;
    }
    let mut sequence = Vec::new();
    for component in &components[..at] {
        sequence.extend_from_slice(component);
        sequence.push(Piece::Char('/'));
    }
    let start = [front, &[Piece::Star]].concat();
    let below = [start.as_slice(), &between[..2]].concat();
    sequence.push(Piece::Either(vec![start, below]));
    Some(single_stars(&sequence))
}

fn class(items: &[char]) -> Option<Piece> {
    let allowed = items.iter().all(|c| c.is_ascii_alphanumeric() || *c == '-');
    let dash = |at: usize| {
        let (Some(low), Some(high)) = (at.checked_sub(1).map(|at| items[at]), items.get(at + 1))
        else {
            return false;
        };
        low != '-' && *high != '-' && low <= *high
    };
    let ranges = items.iter().enumerate().filter(|(_, c)| **c == '-').all(|(at, _)| dash(at));
    (allowed && ranges && !items.is_empty()).then(|| Piece::Class(items.iter().collect()))
}
