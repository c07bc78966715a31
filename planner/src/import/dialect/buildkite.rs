//! The globs of Buildkite's agent (`if_changed`): zzglob.
//!
//! By its README and its source: `*` and `?` stay in a name, `**` is any text, with a `/` behind
//! it nothing too where a name starts; braces hold anything, an empty alternative too; a class has
//! no ranges, and negated it may be `/`. A pattern that it cannot read makes the step run.

use super::{
    MOST, Translation,
    text::{Chars, Item, read, translation},
};

/// Translates one pattern. There is no `!` for taking back.
pub(in crate::import) fn translate(pattern: &str) -> Translation {
    if pattern.starts_with("~/") {
        return Translation::same(Vec::new());
    }
    if let Some(rest) = pattern.strip_prefix("./").or_else(|| pattern.strip_prefix('/')) {
        let rest = translate(rest.trim_start_matches('/'));
        return Translation::rooted(pattern, "paths start with a name", &rest);
    }
    if let Some(rest) = pattern.strip_suffix('/').filter(|rest| !rest.ends_with('\\')) {
        let below = translate(&format!("{}/**", rest.trim_end_matches('/')));
        return Translation::directory(pattern, &below);
    }
    let signs = replaced(signs(pattern));
    let mut reader = Reader { signs: &signs, at: 0 };
    match reader.sequences(false) {
        Ok(all) => read(&all).map_or_else(
            || Translation::cannot(pattern, pattern.split('{').next().unwrap_or_default()),
            |read| translation(pattern, read),
        ),
        Err(Refused::Unreadable) => Translation::everything(
            pattern,
            "is no pattern for Buildkite's agent, which runs the step then; `**` does",
        ),
        Err(Refused::TooMany) => {
            Translation::cannot(pattern, pattern.split('{').next().unwrap_or_default())
        }
    }
}

/// Whether the agent reads a pattern at all.
pub(in crate::import) fn is_read(pattern: &str) -> bool {
    let signs = replaced(signs(pattern));
    Reader { signs: &signs, at: 0 }.sequences(false) != Err(Refused::Unreadable)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Sign {
    Char(char),
    Star,
    Deep,
    Any,
    Open,
    Close,
    Comma,
    /// A class; whether it is negated, and its characters, if it closes.
    Class(bool, Option<Vec<char>>),
}

#[derive(Debug, PartialEq, Eq)]
enum Refused {
    /// It is not well formed.
    Unreadable,
    /// It has too many alternatives.
    TooMany,
}

fn signs(pattern: &str) -> Vec<Sign> {
    let mut letters = pattern.chars().peekable();
    let mut signs = Vec::new();
    while let Some(c) = letters.next() {
        signs.push(match c {
            '\\' => Sign::Char(letters.next().unwrap_or('\\')),
            '*' if letters.next_if_eq(&'*').is_some() => Sign::Deep,
            '*' => Sign::Star,
            '?' => Sign::Any,
            '{' => Sign::Open,
            '}' => Sign::Close,
            ',' => Sign::Comma,
            '[' if letters.peek().is_some() => {
                let negated = letters.next_if_eq(&'^').is_some();
                let (mut list, mut closed) = (Vec::new(), false);
                while let Some(c) = letters.next() {
                    match c {
                        ']' => {
                            closed = true;
                            break;
                        }
                        '\\' => list.push(letters.next().unwrap_or('\\')),
                        c => list.push(c),
                    }
                }
                Sign::Class(negated, closed.then_some(list))
            }
            c => Sign::Char(c),
        });
    }
    signs
}

/// `**/` at the start and `/**/` may be no directory at all, as often as they do not overlap.
fn replaced(signs: Vec<Sign>) -> Vec<Sign> {
    let none_too = [Sign::Open, Sign::Comma, Sign::Deep, Sign::Char('/'), Sign::Close];
    let mut done: Vec<Sign> = Vec::new();
    let mut rest = signs.as_slice();
    if let Some(behind) = rest.strip_prefix(&[Sign::Deep, Sign::Char('/')]) {
        done.extend(none_too.clone());
        rest = behind;
    }
    while let Some((first, behind)) = rest.split_first() {
        match rest.strip_prefix(&[Sign::Char('/'), Sign::Deep, Sign::Char('/')]) {
            Some(behind) => {
                done.push(Sign::Char('/'));
                done.extend(none_too.clone());
                rest = behind;
            }
            None => {
                done.push(first.clone());
                rest = behind;
            }
        }
    }
    done
}

struct Reader<'a> {
    signs: &'a [Sign],
    at: usize,
}

impl Reader<'_> {
    /// Reads up to the end, or to what ends an alternative.
    fn sequences(&mut self, inside: bool) -> Result<Vec<Vec<Item>>, Refused> {
        let mut all: Vec<Vec<Item>> = vec![Vec::new()];
        while let Some(sign) = self.signs.get(self.at) {
            if inside && matches!(sign, Sign::Comma | Sign::Close) {
                return Ok(all);
            }
            self.at += 1;
            let item = match sign {
                Sign::Char(c) => Item::Char(*c),
                Sign::Comma => Item::Char(','),
                Sign::Close => Item::Char('}'),
                Sign::Star => Item::Name { least: false },
                Sign::Deep => Item::Text { least: false },
                Sign::Any => Item::One(Chars::All { slash: false }),
                Sign::Class(_, None) => return Err(Refused::Unreadable),
                Sign::Class(false, Some(list)) if list.is_empty() => {
                    // One of no characters.
                    Item::Char('/')
                }
                Sign::Class(false, Some(list)) => Item::One(Chars::Few(list.clone())),
                Sign::Class(true, Some(list)) if list.is_empty() => {
                    Item::One(Chars::All { slash: true })
                }
                Sign::Class(true, Some(list)) if *list == ['/'] => {
                    Item::One(Chars::All { slash: false })
                }
                Sign::Class(true, Some(list)) => {
                    Item::One(Chars::Some { slash: !list.contains(&'/') })
                }
                Sign::Open => {
                    let tails = self.alternatives()?;
                    if all.len() * tails.len() > MOST * 4 {
                        return Err(Refused::TooMany);
                    }
                    all = all
                        .iter()
                        .flat_map(|head| tails.iter().map(move |it| [head.as_slice(), it].concat()))
                        .collect();
                    continue;
                }
            };
            let nothing = matches!(sign, Sign::Class(false, Some(list)) if list.is_empty());
            for sequence in &mut all {
                sequence.push(item.clone());
                if nothing {
                    // No path has an empty name.
                    sequence.extend([Item::Char('/'), Item::Char('/')]);
                }
            }
        }
        if inside { Err(Refused::Unreadable) } else { Ok(all) }
    }

    fn alternatives(&mut self) -> Result<Vec<Vec<Item>>, Refused> {
        let mut all = Vec::new();
        loop {
            let mut one = self.sequences(true)?;
            // What may be nothing does not match nothing before a run at the end.
            let run = self.signs.get(self.at) == Some(&Sign::Close)
                && matches!(self.signs.get(self.at + 1), Some(Sign::Star | Sign::Deep));
            if run {
                one.iter_mut().filter(|it| it.is_empty()).for_each(|it| it.push(Item::Doubt));
            }
            all.extend(one);
            if all.len() > MOST * 4 {
                return Err(Refused::TooMany);
            }
            self.at += 1;
            if self.signs.get(self.at - 1) == Some(&Sign::Close) {
                return Ok(all);
            }
        }
    }
}
