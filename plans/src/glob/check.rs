//! The form of a glob: what is refused, and with which hint.
//!
//! One pass over the text; nothing is compiled, so that every glob of a large manifest can be
//! checked whenever it is read.

use std::{borrow::Cow, ops::Range};

/// The longest allowed glob, in bytes.
pub const MAX_LENGTH: usize = 4096;

/// How many alternatives the braces of one glob may stand for.
pub const MAX_ALTERNATIVES: usize = 1000;

/// How deep braces may nest.
const MAX_DEPTH: usize = 10;

/// What is wrong with a glob's form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}; {help}")]
pub struct GlobProblem {
    /// The bytes of the glob that it is about.
    pub at: Range<usize>,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub help: String,
}

fn problem(at: Range<usize>, what: impl Into<String>, help: impl Into<String>) -> GlobProblem {
    GlobProblem { at, what: what.into(), help: help.into() }
}

/// Checks the form of a glob.
///
/// # Errors
///
/// [`GlobProblem`]: the first thing that is wrong.
pub fn check(text: &str) -> Result<(), GlobProblem> {
    ends(text)?;
    if brackets(text.as_bytes())?.is_some() {
        for alternative in alternatives(text) {
            components(&alternative).and_then(|()| ends(&alternative)).map_err(|found| {
                let what = format!("in the alternative `{alternative}`, {}", found.what);
                problem(0..text.len(), what, found.help)
            })?;
        }
        Ok(())
    } else {
        components(text)
    }
}

/// What can be seen at the two ends.
fn ends(text: &str) -> Result<(), GlobProblem> {
    let all = 0..text.len();
    if text.is_empty() {
        return Err(problem(all, "the glob is empty", "`**` matches every path"));
    }
    if text.len() > MAX_LENGTH {
        let what =
            format!("the glob is {} bytes long, at most {MAX_LENGTH} are allowed", text.len());
        return Err(problem(0..MAX_LENGTH, what, "write several globs"));
    }
    if let Some(at) = text.find('\0') {
        return Err(problem(at..at + 1, "no path holds a NUL byte", "take it out"));
    }
    let trimmed = text.trim_end_matches('/');
    if let Some(rest) = text.strip_prefix("./") {
        return Err(problem(
            0..2,
            "paths have no `./` in front",
            format!("write `{rest}`; globs are relative to the repository's root"),
        ));
    }
    if let Some(rest) = text.strip_prefix('/') {
        let help = match rest.trim_start_matches('/') {
            "" => "`**` matches every path".to_owned(),
            rest => format!("write `{rest}`; globs are relative to the repository's root"),
        };
        return Err(problem(0..1, "paths have no `/` in front", help));
    }
    if let Some(rest) = text.strip_prefix('!') {
        return Err(problem(
            0..1,
            "`!` does not negate here",
            format!("put `{rest}` into `exclude`; a name that starts with `!` is written `\\!…`"),
        ));
    }
    // Behind an open backslash it is `/` escaped, which has its own message.
    let backslashes = trimmed.len() - trimmed.trim_end_matches('\\').len();
    if trimmed.len() < text.len() && backslashes.is_multiple_of(2) {
        return Err(problem(
            trimmed.len()..text.len(),
            "a path never ends in `/`, so this matches nothing",
            if trimmed.ends_with("**") {
                format!("write `{trimmed}`")
            } else {
                format!("write `{trimmed}/**` for everything below the directory")
            },
        ));
    }
    Ok(())
}

/// Returns how many patterns the braces of a glob stand for; nothing for one that has none, or that
/// is not well formed.
pub fn count_alternatives(text: &str) -> usize {
    if !text.contains('{') {
        return 0;
    }
    brackets(text.as_bytes()).ok().flatten().unwrap_or(0)
}

/// Classes, braces, escapes and extended globs; returns how many alternatives braces stand for.
fn brackets(text: &[u8]) -> Result<Option<usize>, GlobProblem> {
    let mut at = 0;
    let mut braces = false;
    let mut open: Vec<Open> = Vec::new();
    // How many alternatives the text so far stands for, at the current depth.
    let mut count = 1_usize;
    while at < text.len() {
        match text[at] {
            b'\\' => match text.get(at + 1) {
                None => {
                    let help = "a backslash takes the next character literally; write `\\\\` \
                                    for itself";
                    return Err(problem(at..at + 1, "nothing follows the backslash", help));
                }
                Some(b'/') => {
                    let help = "`/` has no other meaning; write it alone";
                    return Err(problem(at..at + 2, "`/` cannot be escaped", help));
                }
                Some(_) => at += 1,
            },
            b'[' => at = class_end(text, at)? - 1,
            b'{' => {
                braces = true;
                if open.len() == MAX_DEPTH {
                    let what = format!("braces nest deeper than {MAX_DEPTH}");
                    return Err(problem(at..at + 1, what, "write several globs"));
                }
                open.push(Open { at, before: count, sum: 0 });
                count = 1;
                alternate_follows(text, at)?;
            }
            b',' if !open.is_empty() => {
                if let Some(open) = open.last_mut() {
                    open.sum = open.sum.saturating_add(count);
                }
                count = 1;
                alternate_follows(text, at)?;
            }
            b'}' => match open.pop() {
                None => {
                    let help = "write `{` in front, or `\\}` for the character itself";
                    return Err(problem(at..at + 1, "no `{` belongs to this `}`", help));
                }
                Some(open) => {
                    count = open.before.saturating_mul(open.sum.saturating_add(count));
                }
            },
            sign @ (b'@' | b'+' | b'!' | b'?' | b'*') if text.get(at + 1) == Some(&b'(') => {
                extended(text, at, sign)?;
            }
            _ => {}
        }
        at += 1;
    }
    if let Some(open) = open.first() {
        let help = "close it with `}`, or write `\\{` for the character itself";
        return Err(problem(open.at..open.at + 1, "this `{` is never closed", help));
    }
    if count > MAX_ALTERNATIVES {
        let what = format!("the braces stand for more than {MAX_ALTERNATIVES} alternatives");
        let help = "use `*` for parts that may be anything, or a path set for a list";
        return Err(problem(0..text.len(), what, help));
    }
    Ok(braces.then_some(count))
}

/// An open brace while its alternatives are counted.
struct Open {
    at: usize,
    before: usize,
    sum: usize,
}

/// Refuses an empty alternative behind the `{` or `,` at `at`.
fn alternate_follows(text: &[u8], at: usize) -> Result<(), GlobProblem> {
    if matches!(text.get(at + 1), Some(b',' | b'}')) {
        let help = "an empty alternative never matches; write two globs, with and without it";
        return Err(problem(at..at + 2, "an alternative is empty", help));
    }
    Ok(())
}

/// Refuses `@(a|b)` and its likes, which are literal here.
fn extended(text: &[u8], at: usize, sign: u8) -> Result<(), GlobProblem> {
    let Some(length) = text[at..].iter().position(|&byte| byte == b')') else {
        return Ok(());
    };
    let inside = &text[at + 2..at + length];
    if inside.contains(&b'|') || matches!(sign, b'@' | b'!') {
        let what = "extended globs are not known here, this would match its own characters";
        let help = "write alternatives as `{a,b}`; a literal parenthesis is written `[(]`";
        return Err(problem(at..at + length + 1, what, help));
    }
    Ok(())
}

/// Returns the end of the class that opens at `at`.
fn class_end(text: &[u8], at: usize) -> Result<usize, GlobProblem> {
    let mut next = at + 1;
    if matches!(text.get(next), Some(b'!' | b'^')) {
        next += 1;
    }
    let first = next;
    let mut range_from: Option<u8> = None;
    let mut previous: Option<u8> = None;
    loop {
        let Some(&byte) = text.get(next) else {
            let help = "close it with `]`, or write `\\[` for the character itself";
            return Err(problem(at..at + 1, "this `[` is never closed", help));
        };
        match byte {
            b']' if next > first => return Ok(next + 1),
            b'/' => {
                let help = "a class is one character of a name; write the paths as alternatives \
                            `{a/b,ab}`";
                return Err(problem(next..next + 1, "a class cannot match `/`", help));
            }
            0x80.. => {
                let help = "a class is one byte; write alternatives `{ä,ö}`";
                let end = (next + 1..text.len())
                    .find(|&at| text[at] & 0xC0 != 0x80)
                    .unwrap_or(text.len());
                return Err(problem(next..end, "only ASCII can stand in a class", help));
            }
            b'-' if next > first && range_from.is_none() => range_from = previous,
            _ => {
                if let Some(from) = range_from.take()
                    && byte < from
                {
                    let help = "write the smaller character first";
                    return Err(problem(next - 2..next + 1, "the range is empty", help));
                }
                previous = Some(byte);
            }
        }
        next += 1;
    }
}

/// What concerns whole components; the text has no braces.
fn components(text: &str) -> Result<(), GlobProblem> {
    let bytes = text.as_bytes();
    let mut start = 0;
    let mut at = 0;
    loop {
        match bytes.get(at) {
            None | Some(b'/') => {
                component(text, start..at)?;
                if at >= bytes.len() {
                    return Ok(());
                }
                start = at + 1;
            }
            Some(b'\\') => at += 1,
            Some(b'[') => at = class_end(bytes, at)? - 1,
            Some(b'*') if bytes.get(at + 1) == Some(&b'*') => {
                let whole = at == start && matches!(bytes.get(at + 2), None | Some(b'/'));
                if !whole {
                    let end = text[at..].find(|c| c != '*').map_or(text.len(), |more| at + more);
                    let help = "`*` is any part of a name, `**/` any number of directories; \
                                `src/**.rs` is written `src/**/*.rs`";
                    return Err(problem(at..end, "`**` must be a whole component", help));
                }
                at += 1;
            }
            Some(_) => {}
        }
        at += 1;
    }
}

fn component(text: &str, at: Range<usize>) -> Result<(), GlobProblem> {
    let what = match &text[at.clone()] {
        // A leading or trailing slash has its own message.
        "" if at.start == 0 || at.end == text.len() => return Ok(()),
        "" => "no path has an empty component",
        "." => "no path has the component `.`",
        ".." => "no path has the component `..`",
        _ => return Ok(()),
    };
    let end = (at.end + 1).min(text.len());
    Err(problem(at.start..end, what, "globs are relative to the repository's root; take it out"))
}

/// Returns the texts without braces that a checked glob stands for.
pub fn alternatives(text: &str) -> Vec<Cow<'_, str>> {
    if !text.contains('{') {
        return vec![Cow::Borrowed(text)];
    }
    let mut open = vec![text.to_owned()];
    let mut done = Vec::new();
    while let Some(text) = open.pop() {
        match first_braces(&text) {
            None => done.push(Cow::Owned(text)),
            Some((start, end)) => {
                // Backwards, so that the stack yields them in the order written.
                for inside in split(&text[start + 1..end]).into_iter().rev() {
                    open.push([&text[..start], inside, &text[end + 1..]].concat());
                }
            }
        }
    }
    done
}

/// Returns the places of the first `{` and of the `}` that closes it.
fn first_braces(text: &str) -> Option<(usize, usize)> {
    let mut start = None;
    let mut depth = 0;
    for (at, byte) in plain(text) {
        match byte {
            b'{' => {
                start.get_or_insert(at);
                depth += 1;
            }
            b'}' => {
                depth -= 1;
                if depth == 0 {
                    return start.map(|start| (start, at));
                }
            }
            _ => {}
        }
    }
    None
}

/// Splits the inside of braces at its own commas.
fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut depth = 0_usize;
    for (at, byte) in plain(text) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// The bytes of a checked glob outside of classes and escapes.
fn plain(text: &str) -> impl Iterator<Item = (usize, u8)> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        loop {
            let byte = *bytes.get(at)?;
            let here = at;
            at += 1;
            match byte {
                b'\\' => at += 1,
                b'[' => at = class_end(bytes, here).unwrap_or(at),
                _ => return Some((here, byte)),
            }
        }
    })
}
