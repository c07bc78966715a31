//! Patterns that see a path as one text, in which `/` is a character like others: regular
//! expressions, and globs whose `**` is any text. What a sequence of them matches, as globs.
//!
//! Of every sequence two readings are kept: one that matches at least the same paths, to select by,
//! and one that matches only such paths, to exclude by. They are the same where a glob can say it.

use super::{MOST, Piece, Translation, globs_of, single_stars};

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    Char(char),
    /// One character.
    One(Chars),
    /// Any part of a name.
    Name {
        /// Not an empty one.
        least: bool,
    },
    /// Any text.
    Text {
        /// Not an empty one.
        least: bool,
    },
    /// Something beside this was asked for that nothing here can say.
    Doubt,
}

/// Which characters one may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chars {
    /// These, of which `/` may be one.
    Few(Vec<char>),
    /// All, and `/` if that is said.
    All { slash: bool },
    /// Some of these.
    Some { slash: bool },
}

/// What sequences match.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// Together, at least the same paths.
    outer: Vec<String>,
    /// Together, only such paths.
    inner: Vec<String>,
    exact: bool,
}

/// Reads sequences of which any may match; nothing when they are too many or no globs.
pub(super) fn read(sequences: &[Vec<Item>]) -> Option<Read> {
    if sequences.len() > MOST * 4 {
        return None;
    }
    let mut found = Read { exact: true, ..Read::default() };
    for sequence in sequences {
        let (items, exact) = joined(sequence);
        if hollow(&items) {
            continue;
        }
        let (outer, inner) = pieces(&items);
        let (outer, inner) = (tidy(outer)?, inner.and_then(tidy));
        found.outer.extend(globs_of(&outer)?);
        match (exact, inner) {
            (true, Some(inner)) => {
                found.exact &= inner == outer;
                found.inner.extend(globs_of(&inner).unwrap_or_default());
            }
            _ => found.exact = false,
        }
    }
    found.outer = merged(found.outer);
    found.inner = merged(found.inner);
    Some(found)
}

/// What is read, as the translation of a pattern.
pub(super) fn translation(pattern: &str, read: Read) -> Translation {
    let Read { outer, inner, exact } = read;
    if exact {
        return Translation::same(outer);
    }
    let reason =
        format!("`{pattern}` has no exact counterpart; `{}` is wider.", outer.join("`, `"));
    let same = (!inner.is_empty()).then_some(inner);
    Translation { partly: same.is_some(), same, wider: Some((outer, reason)), itself: Vec::new() }
}

/// Joins runs that stand beside each other; whether that says the same.
fn joined(sequence: &[Item]) -> (Vec<Item>, bool) {
    let mut items: Vec<Item> = Vec::new();
    let mut exact = true;
    for item in sequence {
        if *item == Item::Doubt {
            exact = false;
            continue;
        }
        let both = items.last().and_then(|last| both(last, item).or_else(|| both(item, last)));
        match both {
            Some((one, same)) => {
                exact &= same;
                items.pop();
                items.push(one);
            }
            None => items.push(item.clone()),
        }
    }
    (items, exact)
}

/// Two runs as one, where they are; the order is of no account.
fn both(run: &Item, other: &Item) -> Option<(Item, bool)> {
    let any = |slash: bool| Item::One(Chars::All { slash });
    match (run, other) {
        (Item::Text { least: a }, Item::Text { least: b }) => {
            Some((Item::Text { least: *a || *b }, !(*a && *b)))
        }
        (Item::Text { least }, Item::Name { least: false }) => {
            Some((Item::Text { least: *least }, true))
        }
        (Item::Text { .. }, Item::Name { least: true }) => {
            Some((Item::Text { least: true }, false))
        }
        (Item::Text { least }, one) if *one == any(true) => {
            Some((Item::Text { least: true }, !least))
        }
        (Item::Text { .. }, one) if *one == any(false) => Some((Item::Text { least: true }, false)),
        (Item::Name { least: a }, Item::Name { least: b }) => {
            Some((Item::Name { least: *a || *b }, !(*a && *b)))
        }
        (Item::Name { least }, one) if *one == any(false) => {
            Some((Item::Name { least: true }, !least))
        }
        _ => None,
    }
}

/// Whether no path has such names: an empty one, `.` or `..`.
fn hollow(items: &[Item]) -> bool {
    items.split(|item| *item == Item::Char('/')).any(|name| {
        name.is_empty() || (name.len() < 3 && name.iter().all(|item| *item == Item::Char('.')))
    })
}

/// A sequence as one to select by and one to exclude by.
fn pieces(items: &[Item]) -> (Vec<Piece>, Option<Vec<Piece>>) {
    let slash = |at: usize| items.get(at) == Some(&Item::Char('/'));
    let (mut outer, mut inner) = (Vec::new(), Some(Vec::new()));
    let mut same = |outer: &mut Vec<Piece>, pieces: &[Piece]| {
        outer.extend_from_slice(pieces);
        if let Some(inner) = &mut inner {
            inner.extend_from_slice(pieces);
        }
    };
    let mut beyond = false;
    // What is narrower than what stands for it: by the place in `inner`.
    let mut narrowed: Vec<(usize, usize, Piece)> = Vec::new();
    let star = Piece::Star;
    let deep = [Piece::Char('/'), Piece::Deep];
    let across = [&[Piece::Star], &deep[..], &[Piece::Char('/'), Piece::Star]].concat();
    for (at, item) in items.iter().enumerate() {
        let opens = at == 0 || slash(at - 1);
        let last = at + 1 == items.len();
        let closes = last || slash(at + 1);
        match item {
            Item::Char(c) => same(&mut outer, &[Piece::Char(*c)]),
            Item::One(Chars::Few(list)) => same(&mut outer, &[few(list)]),
            Item::One(chars) => {
                let crosses =
                    matches!(chars, Chars::All { slash: true } | Chars::Some { slash: true });
                let wide = if crosses && !opens && !closes {
                    Piece::Either(vec![vec![Piece::Star], vec![Piece::Char('/')]])
                } else {
                    Piece::Star
                };
                beyond |= matches!(chars, Chars::Some { .. });
                // Beside something open, one byte may be a part of a character.
                let fixed = |at: Option<usize>| {
                    at.and_then(|at| items.get(at))
                        .is_none_or(|it| matches!(it, Item::Char(_) | Item::One(Chars::Few(_))))
                };
                beyond |= !fixed(at.checked_sub(1)) || !fixed(Some(at + 1));
                let start = outer.len();
                // Beside a star, a star says nothing.
                if !(wide == Piece::Star && outer.last() == Some(&Piece::Star)) {
                    same(&mut outer, &[wide]);
                }
                narrowed.push((start, outer.len(), Piece::Any));
            }
            Item::Name { least } => {
                if outer.last() == Some(&star) && !beyond {
                    // A class beside it has become a star.
                    beyond = true;
                } else if *least && !(opens && closes) {
                    same(&mut outer, &[Piece::Any, Piece::Star]);
                } else if outer.last() != Some(&star) {
                    same(&mut outer, &[Piece::Star]);
                }
            }
            Item::Text { least } => {
                let alone = |first: Vec<Piece>, second: Vec<Piece>| {
                    let start =
                        if *least && !opens { vec![Piece::Any, Piece::Star] } else { first };
                    Piece::Either(vec![start, second])
                };
                let said = match (opens, closes, last) {
                    (true, true, true) => vec![Piece::Deep],
                    (true, true, false) => [&[Piece::Star], &deep[..]].concat(),
                    (true, false, _) if *least => {
                        vec![Piece::Either(vec![vec![Piece::Any, Piece::Star], across.clone()])]
                    }
                    (true, false, _) => vec![Piece::Deep, Piece::Char('/'), Piece::Star],
                    (false, true, true) => {
                        vec![alone(vec![star.clone()], [&[Piece::Star], &deep[..]].concat())]
                    }
                    (false, true, false) if !*least => [&[Piece::Star], &deep[..]].concat(),
                    (false, ..) => vec![alone(vec![star.clone()], across.clone())],
                };
                same(&mut outer, &said);
            }
            Item::Doubt => {}
        }
    }
    if beyond {
        return (outer, None);
    }
    let inner = inner.map(|mut inner| {
        for (start, end, piece) in narrowed.into_iter().rev() {
            inner.splice(start..end, [piece]);
        }
        inner
    });
    (outer, inner)
}

/// Takes alternatives together where a star of one would stand beside a star of another.
fn tidy(pieces: Vec<Piece>) -> Option<Vec<Piece>> {
    fn alternatives(piece: &Piece) -> Vec<Vec<Piece>> {
        match piece {
            Piece::Either(list) => list.clone(),
            other => vec![vec![other.clone()]],
        }
    }
    let mut done: Vec<Piece> = Vec::new();
    for piece in pieces {
        let (heads, tails) =
            (done.last().map(alternatives).unwrap_or_default(), alternatives(&piece));
        let meet = heads.iter().any(|it| it.last() == Some(&Piece::Star))
            && tails.iter().any(|it| it.first() == Some(&Piece::Star));
        if !meet {
            done.push(piece);
            continue;
        }
        if heads.len() * tails.len() > MOST {
            return None;
        }
        let both = heads.iter().flat_map(|head| {
            tails.iter().map(move |tail| single_stars(&[head.as_slice(), tail].concat()))
        });
        let mut both: Vec<Vec<Piece>> = both.collect();
        both.dedup();
        done.pop();
        done.push(if both.len() == 1 && both[0].len() == 1 {
            both[0][0].clone()
        } else {
            Piece::Either(both)
        });
    }
    Some(done)
}

/// One of a few characters.
fn few(list: &[char]) -> Piece {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "._,".contains(*c);
    let mut items: Vec<char> = list.iter().copied().filter(plain).collect();
    items.sort_unstable();
    items.dedup();
    let mut class = String::new();
    let mut at = 0;
    while at < items.len() {
        let first = items[at];
        let is_next = |(offset, c): &(usize, char)| {
            u32::from(*c) == u32::from(first) + u32::try_from(*offset).unwrap_or(u32::MAX)
        };
        let run = items[at..].iter().copied().enumerate().take_while(is_next).count();
        if first.is_ascii_alphanumeric() && run > 2 {
            class.extend([first, '-', items[at + run - 1]]);
        } else {
            class.extend(&items[at..at + run]);
        }
        at += run;
    }
    let mut alternatives: Vec<Vec<Piece>> = Vec::new();
    match items.len() {
        0 => {}
        1 => alternatives.push(vec![Piece::Char(items[0])]),
        _ => alternatives.push(vec![Piece::Class(class)]),
    }
    let others = list.iter().filter(|c| !plain(c));
    alternatives.extend(others.map(|c| vec![Piece::Char(*c)]));
    match (alternatives.len(), alternatives.pop()) {
        (1, Some(mut only)) if only.len() == 1 => only.remove(0),
        (_, Some(last)) => {
            alternatives.push(last);
            Piece::Either(alternatives)
        }
        (_, None) => Piece::Either(Vec::new()),
    }
}

/// Globs of which one says the rest of another, as one.
fn merged(globs: Vec<String>) -> Vec<String> {
    let mut done: Vec<String> = Vec::new();
    for glob in globs {
        let mut glob = glob;
        while glob.contains("**/**") {
            glob = glob.replace("**/**", "**");
        }
        if done.contains(&glob) {
            continue;
        }
        let joined = done.iter_mut().find_map(|known| {
            let one = pair(known, &glob).or_else(|| pair(&glob, known))?;
            Some((known, one))
        });
        match joined {
            Some((known, one)) => *known = one,
            None => done.push(glob),
        }
    }
    done
}

/// `x/y` and `x/*/**/y`; `a/*` and `a/*/**`; `a/**` and `a/*/**`.
fn pair(near: &str, far: &str) -> Option<String> {
    let mut places =
        far.match_indices("*/**/").filter(|(at, _)| *at == 0 || far[..*at].ends_with('/'));
    let between = places.find_map(|(at, deep)| {
        let (front, back) = (&far[..at], &far[at + deep.len()..]);
        let is = near.strip_prefix(front).is_some_and(|rest| rest == back);
        is.then(|| format!("{front}**/{back}"))
    });
    between.or_else(|| {
        let above = far.strip_suffix("*/**")?;
        let all = format!("{above}**");
        let whole = above.is_empty() || above.ends_with('/');
        let is = near == all || near.strip_suffix('*') == Some(above);
        (whole && is).then_some(all)
    })
}
