//! picomatch with `dot: true`: what `dorny/paths-filter` and its forks read.
//!
//! Held against picomatch itself by a property test. What its documentation does not tell: a class
//! of plain letters matches its own text too, a range in braces is a class, braces around one
//! alternative are two characters, `**` inside a name is `*`, `a/**` matches a file `a`, and a
//! pattern always matches the path that is spelled like it.

use super::{Piece, Translation, chars, counts_bytes, globs_of, single_stars, widened};

/// What picomatch takes for part of a regular expression inside a class.
const OF_REGEX: &str = "-*+?.^${}(|)[]\\";

/// Translates one pattern; a `!` in front is the caller's.
pub(in crate::import) fn translate(pattern: &str) -> Translation {
    let mut text = pattern;
    while let Some(rest) = text.strip_prefix("./") {
        text = rest;
    }
    if let Some(rest) = text.strip_prefix('/') {
        let rest = translate(rest.trim_start_matches('/'));
        return Translation::rooted(pattern, "paths have no `/` in front", &rest);
    }
    if let Some(rest) = text.strip_suffix('/') {
        let below = translate(&format!("{}/**", rest.trim_end_matches('/')));
        return Translation::directory(pattern, &below);
    }
    if text.starts_with('!') {
        return Translation::cannot(pattern, "");
    }
    let letters: Vec<char> = text.chars().collect();
    // Its fast path for `**.ext`, which is what `**.md` in a directory is not.
    if let Some(name) = text.strip_prefix("**.")
        && name
            .split('.')
            .all(|it| !it.is_empty() && it.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    {
        return Translation::same(vec![format!("**/*.{name}")]);
    }
    let read = Reader { letters: &letters }.sequence(0, letters.len(), true);
    let same = read.as_ref().and_then(|pieces| globs_of(pieces)).map(|mut globs| {
        // Whatever it means, it also matches the path that is spelled like it.
        if text == pattern
            && let Some(mut spelled) = globs_of(&chars(text))
            && !globs.iter().any(|glob| matches(glob, text))
        {
            globs.append(&mut spelled);
        }
        globs
    });
    let Some(same) = same else {
        // An open `|` makes the whole pattern two.
        let certain = if text.contains(['|', '"']) { "" } else { text };
        return Translation::cannot(pattern, certain);
    };
    let itself = match read.as_deref() {
        Some([above @ .., last, Piece::Char('/'), Piece::Deep])
            if !matches!(last, Piece::Star | Piece::Deep) =>
        {
            globs_of(&[above, std::slice::from_ref(last)].concat()).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    // Here `?` and `[!…]` are one byte, there one character.
    let wider = read.as_deref().filter(|pieces| pieces.iter().any(counts_bytes)).map(|pieces| {
        let widened: Vec<Piece> = pieces.iter().map(widened).collect();
        let widened = globs_of(&single_stars(&widened)).unwrap_or_else(|| vec!["**".to_owned()]);
        let reason = format!(
            "`{pattern}` counts characters, where a glob here counts bytes: `{}` is wider.",
            widened.join("`, `")
        );
        ([widened, same.clone()].concat(), reason)
    });
    let itself = match (&wider, itself.is_empty()) {
        (Some((globs, _)), false) => {
            let above = globs.iter().filter_map(|glob| glob.strip_suffix("/**").map(str::to_owned));
            above.collect()
        }
        _ => itself,
    };
    let same = wider.is_none().then_some(same);
    Translation { same, wider, itself, partly: false }
}

fn matches(glob: &str, path: &str) -> bool {
    lanes::glob::Glob::new(glob).is_ok_and(|glob| glob.is_match(path.as_bytes()))
}

struct Reader<'a> {
    letters: &'a [char],
}

impl Reader<'_> {
    /// Reads what stands from `at` to `end`; nothing where it is beyond us.
    fn sequence(&self, mut at: usize, end: usize, starts: bool) -> Option<Vec<Piece>> {
        let letters = self.letters;
        let mut pieces: Vec<Piece> = Vec::new();
        while at < end {
            let next = letters.get(at + 1).copied().filter(|_| at + 1 < end);
            match letters[at] {
                '\\' => {
                    // Before anything but a sign it is a regular expression's.
                    pieces.push(Piece::Char(
                        next.filter(|c| c.is_ascii_punctuation() && !"\\/".contains(*c))?,
                    ));
                    at += 2;
                }
                '"' | '|' | ')' => return None,
                '+' if next == Some('+') => return None,
                '@' | '!' | '?' | '*' | '+' if next == Some('(') => {
                    let close = self.close(at + 1, end, '(', ')')?;
                    pieces.push(self.extended(letters[at], at + 2, close)?);
                    if "+?*{".contains(*letters.get(close + 1).unwrap_or(&' ')) {
                        return None;
                    }
                    at = close + 1;
                }
                '(' => return None,
                '[' => {
                    let (piece, behind) = self.class(at, end)?;
                    if letters.get(behind).is_some_and(|c| "+{".contains(*c)) {
                        return None;
                    }
                    pieces.push(piece);
                    at = behind;
                }
                '{' => {
                    let close = self.close(at, end, '{', '}')?;
                    if letters.get(close + 1) == Some(&'+') {
                        return None;
                    }
                    pieces.extend(self.braces(at + 1, close)?);
                    at = close + 1;
                }
                '?' => {
                    pieces.push(Piece::Any);
                    at += 1;
                }
                '*' => {
                    let run = letters[at..end].iter().take_while(|c| **c == '*').count();
                    if letters.get(at + run) == Some(&'(') {
                        return None;
                    }
                    let whole = (matches!(pieces.last(), Some(Piece::Char('/')))
                        || (pieces.is_empty() && starts))
                        && letters[at + run..].first().is_none_or(|c| *c == '/')
                        && run >= 2;
                    let opens = |c: &char| "{[@+!?\\".contains(*c);
                    if (run > 1 && !whole && letters.get(at + run).is_some_and(opens))
                        || matches!(pieces.last(), Some(Piece::Star))
                    {
                        return None;
                    }
                    // Three stars are a name, however they stand.
                    pieces.push(if whole && run == 2 { Piece::Deep } else { Piece::Star });
                    at += run;
                }
                c => {
                    pieces.push(Piece::Char(c));
                    at += 1;
                }
            }
        }
        Some(pieces)
    }

    /// Returns where what opens at `at` closes.
    fn close(&self, at: usize, end: usize, open: char, close: char) -> Option<usize> {
        let mut depth = 0_usize;
        let mut place = at;
        while place < end {
            match self.letters[place] {
                '\\' => place += 1,
                c if c == open => depth += 1,
                c if c == close => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(place);
                    }
                }
                _ => {}
            }
            place += 1;
        }
        None
    }

    /// Splits at a separator that stands in no other brackets.
    fn split(&self, from: usize, to: usize, separator: char) -> Vec<(usize, usize)> {
        let mut parts = Vec::new();
        let (mut start, mut depth, mut at) = (from, 0_usize, from);
        while at < to {
            match self.letters[at] {
                '\\' => at += 1,
                '{' | '(' => depth += 1,
                '}' | ')' => depth = depth.saturating_sub(1),
                c if c == separator && depth == 0 => {
                    parts.push((start, at));
                    start = at + 1;
                }
                _ => {}
            }
            at += 1;
        }
        parts.push((start, to));
        parts
    }

    fn braces(&self, from: usize, to: usize) -> Option<Vec<Piece>> {
        let inside: String = self.letters[from..to].iter().collect();
        let parts = self.split(from, to, ',');
        if parts.len() > 1 {
            // In a class a comma is a comma, and a range beside alternatives is a riddle.
            if inside.contains('[') || inside.contains("..") {
                return None;
            }
            let list = parts.into_iter().map(|(from, to)| self.sequence(from, to, true));
            return Some(vec![Piece::Either(list.collect::<Option<_>>()?)]);
        }
        if inside.contains("..") {
            return Some(vec![Piece::Class(range(&inside)?)]);
        }
        let mut pieces = vec![Piece::Char('{')];
        pieces.extend(self.sequence(from, to, false)?);
        pieces.push(Piece::Char('}'));
        Some(pieces)
    }

    fn extended(&self, sign: char, from: usize, to: usize) -> Option<Piece> {
        let inside = &self.letters[from..to];
        let plain = |c: &char| c.is_alphanumeric() || "-_.|*".contains(*c);
        if !inside.iter().all(plain) || inside.contains(&'*') {
            return None;
        }
        let parts = self.split(from, to, '|');
        let list = parts.into_iter().map(|(from, to)| self.sequence(from, to, false));
        let mut list: Vec<Vec<Piece>> = list.collect::<Option<_>>()?;
        match sign {
            '@' => {}
            '?' => list.push(Vec::new()),
            _ => return None,
        }
        Some(Piece::Either(list))
    }

    /// Reads a class, which `^` alone negates; nothing where it is beyond us.
    fn class(&self, at: usize, end: usize) -> Option<(Piece, usize)> {
        let behind = &self.letters[at + 1..end];
        let length = behind.iter().position(|c| *c == ']')?;
        let inside: String = behind[..length].iter().collect();
        let close = at + 1 + length + 1;
        let negated = inside.starts_with('^');
        let items = inside.get(usize::from(negated)..).unwrap_or_default();
        let letter = |c: char| c.is_ascii_graphic() && !"\\/[]^".contains(c);
        if items.is_empty() || !items.chars().all(letter) || !in_order(items) {
            return None;
        }
        if negated {
            return Some((Piece::Class(format!("!{items}")), close));
        }
        // Here `!` would negate if it stood first.
        let plain = items.trim_start_matches('!');
        let class = match (plain.len() < items.len(), plain.is_empty()) {
            (true, true) => Piece::Char('!'),
            (true, false) => Piece::Class(format!("{plain}!")),
            _ => Piece::Class(items.to_owned()),
        };
        if items.contains(|c| OF_REGEX.contains(c)) {
            return Some((class, close));
        }
        let spelled = chars(&format!("[{items}]"));
        Some((Piece::Either(vec![vec![class], spelled]), close))
    }
}

/// Whether every range of a class goes upwards, and no `-` is a riddle.
fn in_order(items: &str) -> bool {
    let items: Vec<char> = items.chars().collect();
    let dashes = items.iter().enumerate().filter(|(_, c)| **c == '-');
    dashes.into_iter().all(|(at, _)| {
        let (before, behind) = (at.checked_sub(1).map(|at| items[at]), items.get(at + 1));
        match (before, behind) {
            (Some(low), Some(high)) => {
                low.is_ascii_alphanumeric() && high.is_ascii_alphanumeric() && low <= *high
            }
            _ => false,
        }
    })
}

/// `{1..3}`: picomatch sorts the ends as texts and puts `-` between them, for a class.
fn range(inside: &str) -> Option<String> {
    let mut ends: Vec<&str> = inside.split("..").collect();
    let plain = |end: &&str| !end.is_empty() && end.chars().all(|c| c.is_ascii_alphanumeric());
    if ends.len() != 2 || !ends.iter().all(plain) {
        return None;
    }
    ends.sort_unstable();
    let class = ends.join("-");
    in_order(&class).then_some(class)
}
