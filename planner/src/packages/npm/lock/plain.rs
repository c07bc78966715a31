//! YAML as pnpm and yarn write their lock files, read in one pass over the lines.
//!
//! A reader for all of YAML takes most of the time that comparing two lock files takes. What the
//! two programs write is little of it: tables and lists by indentation, one scalar, flow table or
//! flow list on a line, no anchors, no tags, no text over several lines. [`read`] understands that
//! much and gives the same values as the reader for all of YAML; for anything else it gives nothing,
//! and the other reader is asked. Which scalars are numbers is that reader's own function.

use std::borrow::Cow;

use saphyr::Scalar;
use serde_json::{Map, Value};

/// Reads a document; nothing: it is more than this understands, or no YAML at all.
pub(super) fn read(text: &str) -> Option<Value> {
    // Anything else may be a line break, or no character of YAML.
    if !text.bytes().all(|byte| byte == b'\n' || (b' '..=b'~').contains(&byte)) {
        return None;
    }
    let mut lines = Lines { rest: text, next: None };
    lines.advance()?;
    let value = match lines.next {
        None => Value::Null,
        Some(Line { indent: 0, .. }) => Value::Object(table(&mut lines, 0)?),
        Some(_) => return None,
    };
    lines.next.is_none().then_some(value)
}

/// A line that says something.
#[derive(Clone, Copy)]
struct Line<'a> {
    indent: usize,
    text: &'a str,
}

struct Lines<'a> {
    rest: &'a str,
    next: Option<Line<'a>>,
}

impl Lines<'_> {
    /// Goes to the next line that says something.
    fn advance(&mut self) -> Option<()> {
        self.next = None;
        while !self.rest.is_empty() {
            let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
            self.rest = rest;
            let text = line.trim_start_matches(' ');
            let indent = line.len() - text.len();
            let text = text.trim_end_matches(' ');
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            // Marks of documents and directives.
            if indent == 0
                && (text.starts_with("---") || text.starts_with("...") || text.starts_with('%'))
            {
                return None;
            }
            self.next = Some(Line { indent, text });
            return Some(());
        }
        Some(())
    }
}

fn table(lines: &mut Lines<'_>, indent: usize) -> Option<Map<String, Value>> {
    let mut values = Map::new();
    while let Some(line) = lines.next.filter(|line| line.indent >= indent) {
        if line.indent > indent {
            return None;
        }
        let (key, rest) = key(line.text)?;
        lines.advance()?;
        let value = if rest.is_empty() { below(lines, indent)? } else { inline(rest)? };
        // A key that is there twice is for the other reader to judge.
        if values.insert(key, value).is_some() {
            return None;
        }
    }
    Some(values)
}

/// What stands below a key.
fn below(lines: &mut Lines<'_>, indent: usize) -> Option<Value> {
    let Some(line) = lines.next else { return Some(Value::Null) };
    let is_item = line.text.starts_with("- ");
    // Items may stand as far left as their key.
    if line.indent > indent || (is_item && line.indent == indent) {
        return if is_item {
            list(lines, line.indent)
        } else {
            table(lines, line.indent).map(Value::Object)
        };
    }
    Some(Value::Null)
}

fn list(lines: &mut Lines<'_>, indent: usize) -> Option<Value> {
    let mut items = Vec::new();
    while let Some(line) = lines.next.filter(|line| line.indent >= indent) {
        if line.indent > indent {
            return None;
        }
        let Some(item) = line.text.strip_prefix("- ") else { break };
        let item = item.trim_start_matches(' ');
        // An item that is a table of its own.
        if item.starts_with("- ") || item.contains(": ") || item.ends_with(':') {
            return None;
        }
        items.push(inline(item)?);
        lines.advance()?;
    }
    Some(Value::Array(items))
}

/// The key of a line, and what follows its colon.
fn key(text: &str) -> Option<(String, &str)> {
    let (key, rest) = match text.as_bytes().first()? {
        b'\'' | b'"' => quoted(text)?,
        first if may_begin(*first) => {
            // A colon ends a plain key where a blank or nothing follows.
            let at = text.find(": ").or_else(|| text.ends_with(':').then(|| text.len() - 1))?;
            let written = &text[..at];
            if written.contains(" #") || written.ends_with(' ') {
                return None;
            }
            (Cow::Owned(as_key(plain(written))?), &text[at..])
        }
        _ => return None,
    };
    let rest = rest.strip_prefix(':')?;
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    // One key is no longer than this, or it is no key.
    (key.len() < 1000).then(|| (key.into_owned(), rest.trim_start_matches(' ')))
}

fn as_key(value: Value) -> Option<String> {
    match value {
        Value::String(key) => Some(key),
        // Numbers as keys have more than one way to be written.
        _ => None,
    }
}

/// A value that is all on one line.
fn inline(text: &str) -> Option<Value> {
    let (value, rest) = match text.as_bytes().first()? {
        b'\'' | b'"' => {
            let (text, rest) = quoted(text)?;
            (Value::from(text.into_owned()), rest)
        }
        b'{' | b'[' => flow(text, 0)?,
        first if may_begin(*first) => {
            if text.contains(": ") || text.contains(" #") || text.ends_with(':') {
                return None;
            }
            (plain(text), "")
        }
        _ => return None,
    };
    rest.is_empty().then_some(value)
}

/// Whether a plain scalar begins so, without a look at what follows.
fn may_begin(byte: u8) -> bool {
    !b"-?:,[]{}#&*!|>'\"%@`=<".contains(&byte)
}

fn plain(text: &str) -> Value {
    match Scalar::parse_from_cow(Cow::Borrowed(text)) {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::from(value),
        Scalar::Integer(value) => Value::from(value),
        Scalar::FloatingPoint(value) => Value::from(value.into_inner()),
        Scalar::String(text) => Value::from(text.into_owned()),
    }
}

/// A quoted text at the beginning, and what follows it.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let quote = text.chars().next()?;
    let body = &text[1..];
    let end = body.find(quote)?;
    if quote == '"' {
        let inside = &body[..end];
        return (!inside.contains('\\')).then_some((Cow::Borrowed(inside), &body[end + 1..]));
    }
    if !body[end + 1..].starts_with('\'') {
        return Some((Cow::Borrowed(&body[..end]), &body[end + 1..]));
    }
    // A quote in it is written twice.
    let mut value = String::new();
    let mut rest = body;
    loop {
        let end = rest.find('\'')?;
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('\'') {
            Some(more) => {
                value.push('\'');
                rest = more;
            }
            None => return Some((Cow::Owned(value), rest)),
        }
    }
}

/// A flow table or list at the beginning, and what follows it.
fn flow(text: &str, depth: usize) -> Option<(Value, &str)> {
    const DEEPEST: usize = 16;
    if depth > DEEPEST {
        return None;
    }
    let is_table = text.starts_with('{');
    let close = if is_table { '}' } else { ']' };
    let mut rest = text[1..].trim_start_matches(' ');
    let (mut values, mut items) = (Map::new(), Vec::new());
    while !rest.starts_with(close) {
        let key = if is_table {
            let (key, behind) = match rest.as_bytes().first()? {
                b'\'' | b'"' => quoted(rest)?,
                first if may_begin(*first) => {
                    let end = rest.find([':', ',', '{', '}', '[', ']', '#', '\'', '"'])?;
                    (Cow::Owned(as_key(plain(rest[..end].trim_end_matches(' ')))?), &rest[end..])
                }
                _ => return None,
            };
            rest = behind.strip_prefix(": ")?.trim_start_matches(' ');
            key.into_owned()
        } else {
            String::new()
        };
        let (value, behind) = match rest.as_bytes().first()? {
            b'\'' | b'"' => {
                let (text, behind) = quoted(rest)?;
                (Value::from(text.into_owned()), behind)
            }
            b'{' | b'[' => flow(rest, depth + 1)?,
            first if may_begin(*first) => {
                let end = rest.find([',', '{', '}', '[', ']'])?;
                let written = rest[..end].trim_end_matches(' ');
                let odd =
                    written.contains(": ") || written.contains(" #") || written.ends_with(':');
                if odd || written.is_empty() {
                    return None;
                }
                (plain(written), &rest[end..])
            }
            _ => return None,
        };
        if !is_table {
            items.push(value);
        } else if values.insert(key, value).is_some() {
            return None;
        }
        rest = behind.trim_start_matches(' ');
        match rest.strip_prefix(", ") {
            Some(more) => rest = more.trim_start_matches(' '),
            None if rest.starts_with(close) => {}
            None => return None,
        }
    }
    let value = if is_table { Value::Object(values) } else { Value::Array(items) };
    Some((value, &rest[1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{super::whole_yaml, read};

    #[test]
    fn what_pnpm_and_yarn_write_is_read() {
        for (_, text) in super::super::tests::FILES {
            if text.contains("lockfileVersion: '9.0'") || text.contains("__metadata:") {
                assert_eq!(read(text), whole_yaml(text).ok());
                assert!(read(text).is_some(), "the slow way is taken for {text}");
            }
        }
        let text = "a:\n  'b@1': {integrity: sha512-a/b==, os: [x, '!y']}\n\n  c: 1\n  d:\n    - x\n\
                    e: it's\nf:\ng: 1.2.3\nh: 'it''s'\n";
        let expected = json!({
            "a": { "b@1": { "integrity": "sha512-a/b==", "os": ["x", "!y"] }, "c": 1, "d": ["x"] },
            "e": "it's", "f": null, "g": "1.2.3", "h": "it's"
        });
        assert_eq!(read(text), Some(expected));
    }

    #[test]
    fn what_is_more_is_left_to_the_other_reader() {
        for text in [
            "a: |\n  b\n",
            "a: &x b\n",
            "a: *x\n",
            "a: !t b\n",
            "a: b\n  c\n",
            "a: \"b\\n\"\n",
            "? a\n: b\n",
            "a: 1\na: 2\n",
            "a: {b: 1\n",
            "a: [b]]\n",
            "a: b # c\n",
            "--- \na: 1\n",
            "a:\tb\n",
            "- a\n",
            "a: {b, c}\n",
            "1: x\n",
            "a:\n    b: 1\n  c: 2\n",
            "a: 'b'c\n",
            "a: b: c\n",
            "\u{e9}: 1\n",
            "a: [b, , c]\n",
            "a:\n  - b: 1\n",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }

    fn scalar() -> impl Strategy<Value = String> {
        let odd = [
            "a",
            "b-c",
            "'d'",
            "\"e\"",
            "1",
            "1.0",
            "1.2.3",
            "true",
            "null",
            "~",
            "0x1f",
            "+1",
            "'it''s'",
            "a b",
            "link:../x",
            "npm:^1.0.0",
            "sha512-a+b/c==",
            "1.0.0(react@18.0.0)",
            "@x/y",
            ">=1",
            "*",
            "-",
            "- a",
            "#",
            "a #b",
            "a: b",
            "a:",
            "",
            "'",
            "\"",
            "{}",
            "[]",
            "{a: b}",
            "[a, 'b', \"c\"]",
            "{a: [b]}",
            "{'a': 1.0, b: {c: d}}",
            "[a",
            "a]",
            "{a}",
            "[a,b]",
            "{a:b}",
            "&a",
            "!a",
            "|",
            "%a",
            "`",
            ".inf",
            "a,b",
            "1e3",
            "<<",
            "=",
            "no",
            "y",
        ];
        prop::sample::select(odd.to_vec()).prop_map(str::to_owned)
    }

    fn document() -> impl Strategy<Value = String> {
        let key = prop::sample::select(vec![
            "a", "b", "'c@1'", "\"d, e\"", "/f@1.0", "@g", "g@npm:^1", "h i", "- j", "1", "true",
            "k:l", "'m''n'",
        ]);
        let line =
            (0..4_usize, key, scalar(), prop::bool::ANY).prop_map(|(depth, key, value, bare)| {
                let indent = "  ".repeat(depth);
                if bare {
                    format!("{indent}{value}\n")
                } else {
                    format!("{indent}{key}: {value}\n")
                }
            });
        prop::collection::vec(line, 1..7).prop_map(|lines| lines.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_document_that_is_read_has_the_values_that_yaml_gives_it(text in document()) {
            if let Some(value) = read(&text) {
                prop_assert_eq!(Ok(value), whole_yaml(&text), "{}", text);
            }
        }

        #[test]
        fn a_damaged_lock_file_is_read_as_yaml_reads_it_or_not_at_all(
            which in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
            cut in 0..4_usize,
            put in prop::sample::select(vec!["", " ", "\n", ":", "'", "\"", "{", "]", "#", "- ", "  ", ", ", "a"]),
        ) {
            let files = super::super::tests::FILES;
            let (_, text) = files[which.index(files.len())];
            let text: String = text.chars().filter(char::is_ascii).collect();
            // A piece, so that a case is short.
            let from = at.index(text.len());
            let start = text[..from].rfind("\n\n").map_or(0, |at| at + 2);
            let piece = &text[start..(from + 400).min(text.len())];
            let cut_at = (from - start).min(piece.len());
            let end = (cut_at + cut).min(piece.len());
            let damaged = format!("{}{put}{}", &piece[..cut_at], &piece[end..]);
            if let Some(value) = read(&damaged) {
                prop_assert_eq!(Ok(value), whole_yaml(&damaged), "{}", damaged);
            }
        }
    }
}
