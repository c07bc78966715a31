//! Ruby's `File.fnmatch` with `FNM_PATHNAME`, `FNM_DOTMATCH` and `FNM_EXTGLOB`: what GitLab reads.
//!
//! By Ruby's documentation and `dir.c`, held against Ruby itself by a property test: `**/` at the
//! start of a name is any number of directories, any other `**` is one star, so `docs/**` is one
//! level; braces are expanded as text first; a brace or bracket that does not close matches
//! nothing; a class may have `!` or `^` in front.

use super::{
    MOST, Piece, Translation, counts_bytes, globs_of, is_plain_class, single_stars, widened,
};

/// Translates one pattern. There is no `!` for taking back.
pub(in crate::import) fn translate(pattern: &str) -> Translation {
    if let Some(rest) = pattern.strip_prefix("./").or_else(|| pattern.strip_prefix('/')) {
        let rest = translate(rest.trim_start_matches('/'));
        return Translation::rooted(pattern, "paths start with a name", &rest);
    }
    if let Some(rest) = pattern.strip_suffix('/') {
        let below = translate(&format!("{}/**/*", rest.trim_end_matches('/')));
        return Translation::directory(pattern, &below);
    }
    let letters: Vec<char> = pattern.chars().collect();
    let Some(texts) = expanded(&letters) else {
        return Translation::cannot(pattern, pattern.split('{').next().unwrap_or_default());
    };
    let (mut same, mut wide, mut exact) = (Vec::new(), Vec::new(), true);
    for text in texts {
        let Some(read) = sequence(&text) else {
            return Translation::cannot(pattern, pattern.split('{').next().unwrap_or_default());
        };
        // A class that does not close, a name that no path has.
        let Some(pieces) = read else { continue };
        let Some(globs) = globs_of(&pieces) else {
            return Translation::cannot(pattern, pattern.split('{').next().unwrap_or_default());
        };
        if pieces.iter().any(counts_bytes) {
            exact = false;
            let pieces: Vec<Piece> = pieces.iter().map(widened).collect();
            let wider = globs_of(&single_stars(&pieces));
            wide.extend(wider.unwrap_or_else(|| vec!["**".to_owned()]));
        }
        wide.extend(globs.clone());
        same.extend(globs);
    }
    same.dedup();
    if exact {
        return Translation::same(same);
    }
    let reason = format!(
        "`{pattern}` counts characters, where a glob here counts bytes: `{}` is wider.",
        wide.join("`, `")
    );
    Translation { wider: Some((wide, reason)), ..Translation::default() }
}

/// Expands braces as text, as `ruby_brace_expand` does; nothing when there are too many.
fn expanded(text: &[char]) -> Option<Vec<Vec<char>>> {
    let mut done: Vec<Vec<char>> = Vec::new();
    let mut open: Vec<Vec<char>> = vec![text.to_vec()];
    while let Some(text) = open.pop() {
        if done.len() + open.len() > MOST {
            return None;
        }
        let (mut left, mut right, mut nest, mut at) = (None, None, 0_usize, 0);
        while at < text.len() {
            match text[at] {
                '{' => {
                    if nest == 0 {
                        left = Some(at);
                    }
                    nest += 1;
                }
                '}' if left.is_some() => {
                    nest = nest.saturating_sub(1);
                    if nest == 0 {
                        right = Some(at);
                        break;
                    }
                }
                '\\' => at += 1,
                _ => {}
            }
            at += 1;
        }
        match (left, right) {
            (None, _) => done.push(text),
            // One that does not close matches nothing.
            (Some(_), None) => {}
            (Some(left), Some(right)) => {
                for (from, to) in alternatives(&text, left, right) {
                    open.push([&text[..left], &text[from..to], &text[right + 1..]].concat());
                }
            }
        }
    }
    done.reverse();
    Some(done)
}

/// Where the alternatives between two braces are, the last first.
fn alternatives(text: &[char], left: usize, right: usize) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut at = left;
    while at < right {
        at += 1;
        let start = at;
        let mut nest = 0_i32;
        while at < right && !(text[at] == ',' && nest == 0) {
            match text[at] {
                '{' => nest += 1,
                '}' => nest -= 1,
                '\\' => {
                    at += 1;
                    if at == right {
                        break;
                    }
                }
                _ => {}
            }
            at += 1;
        }
        found.push((start, at));
    }
    found
}

/// Reads a pattern without braces. Outer nothing: beyond us; inner nothing: it matches no path.
#[expect(clippy::option_option, reason = "not known, and known to match nothing, are two answers")]
fn sequence(letters: &[char]) -> Option<Option<Vec<Piece>>> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut at = 0;
    while at < letters.len() {
        let starts = matches!(pieces.last(), None | Some(Piece::Char('/')));
        match letters[at] {
            '*' if starts && letters[at..].starts_with(&['*', '*', '/']) => {
                pieces.extend([Piece::Deep, Piece::Char('/')]);
                at += 3;
                // Several in a row are one.
                while letters[at..].starts_with(&['*', '*', '/']) {
                    at += 3;
                }
            }
            '*' => {
                pieces.push(Piece::Star);
                at += letters[at..].iter().take_while(|c| **c == '*').count();
            }
            '?' => {
                pieces.push(Piece::Any);
                at += 1;
            }
            '[' => match class(letters, at + 1)? {
                Some((piece, behind)) => {
                    pieces.push(piece);
                    at = behind;
                }
                None => return Some(None),
            },
            '\\' if at + 1 < letters.len() => {
                pieces.push(Piece::Char(letters[at + 1]));
                at += 2;
            }
            // At the end, Ruby passes over it or not, by what is before it.
            '\\' => return None,
            c => {
                pieces.push(Piece::Char(c));
                at += 1;
            }
        }
    }
    // A path has no empty name, and none that is `.` or `..`.
    let hollow = pieces.split(|piece| *piece == Piece::Char('/')).any(|name| {
        name.is_empty()
            || name == [Piece::Char('.')]
            || name == [Piece::Char('.'), Piece::Char('.')]
    });
    Some((!hollow).then_some(pieces))
}

/// Reads a class from behind its bracket; as [`sequence`] answers.
#[expect(clippy::option_option, reason = "not known, and known to match nothing, are two answers")]
fn class(letters: &[char], start: usize) -> Option<Option<(Piece, usize)>> {
    let Some(length) = letters[start..].iter().position(|c| *c == ']') else {
        // With a backslash the bracket may be further on; without one it never closes.
        return Some(None);
    };
    let (inside, behind) = (&letters[start..start + length], start + length + 1);
    let negated = matches!(inside.first(), Some('!' | '^'));
    let items = if negated { &inside[1..] } else { inside };
    if items.is_empty() {
        return if negated { None } else { Some(None) };
    }
    if !is_plain_class(items) {
        return None;
    }
    let items: String = items.iter().collect();
    let text = if negated { format!("!{items}") } else { items };
    Some(Some((Piece::Class(text), behind)))
}
