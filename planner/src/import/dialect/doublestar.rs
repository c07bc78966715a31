//! doublestar, the Go package: what Woodpecker's `when.path` is written in.
//!
//! By its documentation and source, held against it by a property test: `**` is any number of
//! directories where a name starts and a `/` or the end follows, `a/**` matches `a` too, an
//! alternative in braces starts a name wherever it stands, a class that `!` or `^` negates may be a
//! `/`, three stars or an alternative of nothing do not match nothing at the end, and a pattern that
//! is not well formed matches nothing.

use super::{
    MOST, Piece, Translation, counts_bytes, globs_of, is_plain_class, single_stars, widened,
};

/// Translates one pattern. There is no `!` for taking back.
pub(in crate::import) fn translate(pattern: &str) -> Translation {
    if let Some(rest) = pattern.strip_prefix("./").or_else(|| pattern.strip_prefix('/')) {
        let rest = translate(rest.trim_start_matches('/'));
        return Translation::rooted(pattern, "paths start with a name", &rest);
    }
    if let Some(rest) = pattern.strip_suffix('/').filter(|rest| !rest.ends_with('\\')) {
        let rest = rest.trim_end_matches('/');
        let stem = rest.strip_suffix("/**").unwrap_or(rest);
        let below = translate(&format!("{stem}/**"));
        let itself = below.itself.clone();
        return Translation { itself, ..Translation::directory(pattern, &below) };
    }
    let certain = pattern.split('{').next().unwrap_or_default();
    let letters: Vec<char> = pattern.chars().collect();
    let mut reader = Reader { done: Vec::new(), steps: 0, empty: false };
    match reader.read(&letters, true, Vec::new()) {
        Ok(()) => {}
        Err(Refused::Malformed) => return Translation::same(Vec::new()),
        Err(Refused::Beyond) => return Translation::cannot(pattern, certain),
    }
    let (mut same, mut wide, mut itself) = (Vec::new(), Vec::new(), Vec::new());
    let odd = pattern.contains("***") || (reader.empty && pattern.contains('*'));
    let mut exact = !odd;
    for pieces in reader.done {
        let hollow = pieces.split(|piece| *piece == Piece::Char('/')).any(|name| {
            name.is_empty() || (name.len() < 3 && name.iter().all(|it| *it == Piece::Char('.')))
        });
        if hollow {
            continue;
        }
        let pieces = single_stars(&pieces);
        let outer: Vec<Piece> = pieces.iter().map(widened).collect();
        let outer = single_stars(&outer);
        let (Some(globs), Some(wider)) = (globs_of(&pieces), globs_of(&outer)) else {
            return Translation::cannot(pattern, certain);
        };
        exact &= !pieces.iter().any(counts_bytes);
        if let [above @ .., Piece::Char('/'), Piece::Deep] = outer.as_slice() {
            itself.extend(globs_of(above).unwrap_or_default());
        }
        same.extend(globs);
        wide.extend(wider);
    }
    if exact {
        return Translation { itself, ..Translation::same(same) };
    }
    let because = if odd {
        "has no exact counterpart"
    } else {
        "counts characters, where a glob here counts bytes"
    };
    let reason = format!("`{pattern}` {because}: `{}` is wider.", wide.join("`, `"));
    Translation { wider: Some((wide, reason)), itself, ..Translation::default() }
}

enum Refused {
    /// It is not well formed, and matches nothing.
    Malformed,
    /// It is more than is understood here.
    Beyond,
}

struct Reader {
    done: Vec<Vec<Piece>>,
    steps: usize,
    /// An alternative was nothing.
    empty: bool,
}

impl Reader {
    /// Reads what follows some pieces; `starts` says that a name starts there.
    fn read(
        &mut self,
        letters: &[char],
        mut starts: bool,
        mut pieces: Vec<Piece>,
    ) -> Result<(), Refused> {
        self.steps += 1;
        if self.steps > MOST * 8 || self.done.len() > MOST {
            return Err(Refused::Beyond);
        }
        let mut at = 0;
        while at < letters.len() {
            match letters[at] {
                '*' => {
                    at += 1;
                    if letters.get(at) == Some(&'*') {
                        at += 1;
                        if starts && at == letters.len() {
                            if !matches!(pieces.last(), None | Some(Piece::Char('/'))) {
                                // In the middle of a name, by way of braces.
                                return Err(Refused::Beyond);
                            }
                            pieces.push(Piece::Deep);
                            break;
                        }
                        if starts && letters[at] == '/' {
                            if !matches!(pieces.last(), None | Some(Piece::Char('/'))) {
                                return Err(Refused::Beyond);
                            }
                            at += 1;
                            if !pieces.ends_with(&[Piece::Deep, Piece::Char('/')]) {
                                pieces.extend([Piece::Deep, Piece::Char('/')]);
                            }
                            continue;
                        }
                    }
                    pieces.push(Piece::Star);
                    starts = false;
                }
                '?' => {
                    pieces.push(Piece::Any);
                    (at, starts) = (at + 1, false);
                }
                '[' => {
                    let (piece, behind) = class(letters, at + 1)?;
                    pieces.push(piece);
                    (at, starts) = (behind, false);
                }
                '{' => {
                    let (list, behind) = alternatives(letters, at + 1)?;
                    for (from, to) in list {
                        self.empty |= from == to;
                        let text = [&letters[from..to], &letters[behind..]].concat();
                        self.read(&text, true, pieces.clone())?;
                    }
                    return Ok(());
                }
                '\\' => {
                    let next = letters.get(at + 1).ok_or(Refused::Malformed)?;
                    pieces.push(Piece::Char(*next));
                    (at, starts) = (at + 2, *next == '/');
                }
                // One that closes nothing confuses it.
                '}' => return Err(Refused::Beyond),
                c => {
                    pieces.push(Piece::Char(c));
                    (at, starts) = (at + 1, c == '/');
                }
            }
        }
        self.done.push(pieces);
        Ok(())
    }
}

/// Where the alternatives from behind a brace are, and where what follows them is.
fn alternatives(letters: &[char], start: usize) -> Result<(Vec<(usize, usize)>, usize), Refused> {
    let (mut found, mut from, mut depth, mut at) = (Vec::new(), start, 1_usize, start);
    while at < letters.len() {
        match letters[at] {
            '\\' => at += 1,
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    found.push((from, at));
                    return Ok((found, at + 1));
                }
            }
            ',' if depth == 1 => {
                found.push((from, at));
                from = at + 1;
            }
            _ => {}
        }
        at += 1;
    }
    Err(Refused::Malformed)
}

/// Reads a class from behind its bracket.
fn class(letters: &[char], start: usize) -> Result<(Piece, usize), Refused> {
    let negated = matches!(letters.get(start), Some('!' | '^'));
    let start = start + usize::from(negated);
    let length = letters[start.min(letters.len())..].iter().position(|c| *c == ']');
    let length = length.ok_or(Refused::Malformed)?;
    let items = &letters[start..start + length];
    if items.is_empty() {
        return Err(Refused::Malformed);
    }
    if negated || !is_plain_class(items) {
        return Err(Refused::Beyond);
    }
    Ok((Piece::Class(items.iter().collect()), start + length + 1))
}
