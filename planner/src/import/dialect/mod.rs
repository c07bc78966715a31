//! Path patterns of other engines as globs of ours: one file for each dialect.
//!
//! A translator says what matches exactly the same, what is certainly wider, and why; it never
//! gives something narrower. Which lane runs for a list of patterns is [`super::filter`]'s.

pub(super) mod azure;
pub(super) mod buildkite;
pub(super) mod doublestar;
pub(super) mod github;
pub(super) mod picomatch;
pub(super) mod regex;
pub(super) mod ruby;
pub(super) mod taskgraph;
#[cfg(test)]
mod tests;
mod text;
pub(super) mod workspaces;

use lanes::glob;

/// How many globs one pattern may become.
const MOST: usize = 64;

/// A pattern in our language.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Translation {
    /// Globs that together match the same paths; nothing when that cannot be said. No globs: the
    /// pattern matches nothing.
    pub(super) same: Option<Vec<String>>,
    /// Globs that match at least the same paths, when `same` is not what to select by.
    pub(super) wider: Option<(Vec<String>, String)>,
    /// Globs of paths that match only where a file (or a link, or a submodule) has the name of
    /// the directory that the pattern is about: `a` for picomatch's `a/**`.
    pub(super) itself: Vec<String>,
    /// `same` is only a part: the pattern matches more.
    pub(super) partly: bool,
}

impl Translation {
    /// The same paths.
    fn same(globs: Vec<String>) -> Self {
        Self { same: Some(globs), ..Self::default() }
    }

    /// A pattern with a `/` in front, which is in front of no path: what the rest of it means is
    /// selected by. `because` says it of the dialect's paths.
    fn rooted(pattern: &str, because: &str, rest: &Self) -> Self {
        Self::nothing(pattern, because, "what it means", rest)
    }

    /// A pattern with a `/` at its end, which no path has: what is below it is selected by.
    fn directory(pattern: &str, below: &Self) -> Self {
        Self::nothing(pattern, "no path ends in `/`", "what is below it", below)
    }

    /// Matches nothing there; what was meant is selected by.
    fn nothing(pattern: &str, because: &str, what: &str, meant: &Self) -> Self {
        let reason = format!("`{pattern}` matches nothing there, for {because}; {what} does here.");
        let meant = meant.include().to_vec();
        Self { same: Some(Vec::new()), wider: Some((meant, reason)), ..Self::default() }
    }

    /// Cannot be said; everything below the directory that the pattern certainly is in.
    fn cannot(pattern: &str, certain: &str) -> Self {
        let plain = |part: &&str| {
            !part.is_empty() && part.chars().all(|c| c.is_alphanumeric() || "-_. ".contains(c))
        };
        let (directory, _) = certain.rsplit_once('/').unwrap_or(("", certain));
        let mut parts: Vec<&str> = directory.split('/').take_while(plain).collect();
        parts.retain(|part| ![".", ".."].contains(part));
        parts.push("**");
        let glob = parts.join("/");
        let reason = format!("`{pattern}` has no counterpart; `{glob}` is wider.");
        Self { wider: Some((vec![glob], reason)), ..Self::default() }
    }

    /// Everything; `because` says why.
    fn everything(pattern: &str, because: &str) -> Self {
        let reason = format!("`{pattern}` {because}.");
        Self { wider: Some((vec!["**".to_owned()], reason)), ..Self::default() }
    }

    /// Returns the globs to select by.
    pub(super) fn include(&self) -> &[String] {
        match (&self.wider, &self.same) {
            (Some((globs, _)), _) | (None, Some(globs)) => globs,
            (None, None) => &[],
        }
    }
}

/// A part of a pattern, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// This character; `/` too.
    Char(char),
    /// One character of a name.
    Any,
    /// Any part of a name.
    Star,
    /// Any number of directories: a whole component.
    Deep,
    /// What stands between the brackets of a class, as we write it.
    Class(String),
    /// Alternatives.
    Either(Vec<Vec<Self>>),
}

/// Returns whether what stands in a class means the same everywhere: letters, digits, few signs, and
/// ranges from a letter or digit to one that is not before it.
fn is_plain_class(items: &[char]) -> bool {
    let plain = |c: &char| c.is_ascii_alphanumeric() || "._, -".contains(*c);
    let mut dashes = items.iter().enumerate().filter(|(_, c)| **c == '-');
    items.iter().all(plain)
        && dashes.all(|(at, _)| {
            let before = at.checked_sub(1).map(|at| items[at]);
            match (before, items.get(at + 1)) {
                (Some(low), Some(high)) => {
                    low.is_ascii_alphanumeric() && high.is_ascii_alphanumeric() && low <= *high
                }
                _ => false,
            }
        })
}

/// Returns sequences without alternatives; nothing when there are too many.
fn expanded(pieces: &[Piece]) -> Option<Vec<Vec<Piece>>> {
    let mut done: Vec<Vec<Piece>> = vec![Vec::new()];
    for piece in pieces {
        let tails = match piece {
            Piece::Either(list) => {
                let mut all = Vec::new();
                for alternative in list {
                    all.extend(expanded(alternative)?);
                }
                all
            }
            piece => vec![vec![piece.clone()]],
        };
        if done.len() * tails.len() > MOST {
            return None;
        }
        done = done
            .iter()
            .flat_map(|head| tails.iter().map(move |tail| [head.as_slice(), tail].concat()))
            .collect();
    }
    Some(done)
}

/// Writes a pattern as one glob, alternatives in braces; nothing when that is no glob of ours.
fn written(pieces: &[Piece]) -> Option<String> {
    fn write(out: &mut String, pieces: &[Piece], in_braces: bool) -> Option<()> {
        for piece in pieces {
            match piece {
                Piece::Char(c) => {
                    let special = "*?[]{}\\".contains(*c)
                        || (*c == ',' && in_braces)
                        || (*c == '(' && out.ends_with(['@', '+', '!', '?', '*']))
                        || (out.is_empty() && "!@".contains(*c));
                    if special {
                        out.push('\\');
                    }
                    out.push(*c);
                }
                Piece::Any => out.push('?'),
                Piece::Star if out.ends_with('*') => return None,
                Piece::Star => out.push('*'),
                Piece::Deep => out.push_str("**"),
                Piece::Class(text) => out.extend(["[", text, "]"]),
                Piece::Either(list) => {
                    out.push('{');
                    for (at, alternative) in list.iter().enumerate() {
                        if alternative.is_empty() {
                            return None;
                        }
                        if at > 0 {
                            out.push(',');
                        }
                        write(out, alternative, true)?;
                    }
                    out.push('}');
                }
            }
        }
        Some(())
    }
    let mut out = String::new();
    write(&mut out, pieces, false)?;
    glob::check(&out).is_ok().then_some(out)
}

/// Writes a pattern as few globs; nothing when that cannot be.
fn globs_of(pieces: &[Piece]) -> Option<Vec<String>> {
    if let Some(glob) = written(pieces) {
        return Some(vec![glob]);
    }
    let mut globs = Vec::new();
    for sequence in expanded(pieces)? {
        // A path has no empty component: such an alternative matches nothing.
        let text: Vec<Option<char>> = sequence
            .iter()
            .map(|piece| if let Piece::Char(c) = piece { Some(*c) } else { None })
            .collect();
        let slash = |at: &Option<char>| *at == Some('/');
        let hollow = text.is_empty()
            || slash(&text[0])
            || text.last().is_some_and(slash)
            || text.windows(2).any(|two| slash(&two[0]) && slash(&two[1]));
        if hollow {
            continue;
        }
        let glob = written(&sequence)?;
        if !globs.contains(&glob) {
            globs.push(glob);
        }
    }
    Some(globs)
}

fn chars(text: &str) -> Vec<Piece> {
    text.chars().map(Piece::Char).collect()
}

/// A star beside a star says nothing.
fn single_stars(sequence: &[Piece]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for piece in sequence {
        if *piece == Piece::Star && pieces.last() == Some(&Piece::Star) {
            continue;
        }
        pieces.push(piece.clone());
    }
    pieces
}

/// Whether a part is about characters, where a glob of ours counts bytes.
fn counts_bytes(piece: &Piece) -> bool {
    match piece {
        Piece::Any => true,
        Piece::Class(items) => items.starts_with('!'),
        Piece::Either(list) => list.iter().flatten().any(counts_bytes),
        _ => false,
    }
}

fn widened(piece: &Piece) -> Piece {
    match piece {
        Piece::Either(list) => Piece::Either(
            list.iter()
                .map(|one| single_stars(&one.iter().map(widened).collect::<Vec<_>>()))
                .collect(),
        ),
        piece if counts_bytes(piece) => Piece::Star,
        piece => piece.clone(),
    }
}
