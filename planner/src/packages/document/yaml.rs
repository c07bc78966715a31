//! YAML: as pnpm and yarn write their lock files in one pass over the lines, anything else by the
//! reader for all of it.
//!
//! What the two programs write is a small part: tables and lists by indentation, one scalar, flow
//! table or flow list on a line, no anchors, no tags, no text over several lines. Which scalars are
//! numbers is the other reader's own function.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter};
use saphyr::{LoadableYamlNode as _, Scalar, Yaml};

use super::{Collect, Node, Table, are_distinct, collect_from, collect_into, differ, is_plain};

/// Reads a document.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(crate) fn read(text: &str) -> Result<Node<'_>, String> {
    match plain_document(text) {
        Some((value, ())) => Ok(value),
        None => whole(text),
    }
}

/// Reads a document; one that holds no table is as one that holds nothing.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(crate) fn collect<'t, C: Collect<'t>>(text: &'t str) -> Result<(Table<'t>, C), String> {
    match plain_document(text) {
        Some((value, collected)) => Ok((value.into_table(), collected)),
        None => collect_from(whole(text)?.into_table(), false),
    }
}

/// The same, whatever of YAML is in it.
fn whole(text: &str) -> Result<Node<'static>, String> {
    let documents = Yaml::load_from_str(text).map_err(|error| error.to_string())?;
    match documents.into_iter().next() {
        None => Ok(Node::Null),
        Some(document) => node(document),
    }
}

fn node(yaml: Yaml<'_>) -> Result<Node<'static>, String> {
    Ok(match yaml {
        Yaml::Value(scalar) => of_scalar(scalar).into_owned(),
        Yaml::Representation(text, ..) => Node::text(text.into_owned()),
        Yaml::Tagged(_, inner) => node(*inner)?,
        Yaml::Sequence(items) => Node::List(items.into_iter().map(node).collect::<Result<_, _>>()?),
        Yaml::Mapping(table) => {
            let mut values = Table::new();
            for (key, value) in table {
                let key = match node(key)? {
                    Node::Text(key) => key,
                    Node::List(_) | Node::Table(_) => {
                        return Err("a key is no plain text".to_owned());
                    }
                    plain => Cow::Owned(plain.to_string()),
                };
                values.push((key, node(value)?));
            }
            if !are_distinct(&values) {
                return Err("a key is there twice".to_owned());
            }
            Node::Table(values)
        }
        Yaml::Alias(_) | Yaml::BadValue => return Err("it holds what is not understood".to_owned()),
    })
}

fn of_scalar(scalar: Scalar<'_>) -> Node<'_> {
    match scalar {
        Scalar::Null => Node::Null,
        Scalar::Boolean(value) => Node::Bool(value),
        Scalar::Integer(value) => Node::Number(value.to_string().into()),
        Scalar::FloatingPoint(value) => Node::float(value.into_inner()),
        Scalar::String(text) => Node::Text(text),
    }
}

/// Nothing: it is more than is understood here, or no YAML at all.
fn plain_document<'t, C: Collect<'t>>(text: &'t str) -> Option<(Node<'t>, C)> {
    // Anything else may be a line break, or no character of YAML.
    if !is_plain(text) {
        return None;
    }
    let mut lines = Lines { rest: text, next: None };
    lines.advance()?;
    let mut collected = C::default();
    let value = match lines.next {
        None => Node::Null,
        Some(Line { indent: 0, .. }) => Node::Table(top(&mut lines, &mut collected)?),
        Some(_) => return None,
    };
    lines.next.is_none().then_some((value, collected))
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
            let end = memchr(b'\n', self.rest.as_bytes()).unwrap_or(self.rest.len());
            let line = &self.rest[..end];
            self.rest = self.rest.get(end + 1..).unwrap_or_default();
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

/// The table that the document is.
fn top<'t>(lines: &mut Lines<'t>, collected: &mut impl Collect<'t>) -> Option<Table<'t>> {
    let mut document = Table::new();
    let mut keys = Vec::new();
    entries(lines, 0, |lines, of, rest| {
        let mut value = match lines.next {
            Some(line)
                if rest.is_empty()
                    && line.indent > 0
                    && !line.text.starts_with("- ")
                    && collected.wants(&of) =>
            {
                Node::Table(taken(lines, line.indent, &of, collected)?)
            }
            _ => value(lines, rest, 0)?,
        };
        keys.push(of.clone());
        if collected.wants("") {
            match collected.take("", &of, value).ok()? {
                Some(left) => value = left,
                None => return Some(()),
            }
        }
        document.push((of, value));
        Some(())
    })?;
    // A table that is written on its key's line.
    let document = collect_into(collected, document, false).ok()?;
    differ(&keys, |key| key).then_some(document)
}

/// A table of which the entries are taken; what is left of it.
fn taken<'t>(
    lines: &mut Lines<'t>,
    indent: usize,
    of: &str,
    collected: &mut impl Collect<'t>,
) -> Option<Table<'t>> {
    let mut left = Table::new();
    let mut keys = Vec::new();
    entries(lines, indent, |lines, key, rest| {
        let value = value(lines, rest, indent)?;
        keys.push(key.clone());
        if let Some(value) = collected.take(of, &key, value).ok()? {
            left.push((key, value));
        }
        Some(())
    })?;
    differ(&keys, |key| key).then_some(left)
}

fn table<'t>(lines: &mut Lines<'t>, indent: usize) -> Option<Table<'t>> {
    let mut values = Table::new();
    entries(lines, indent, |lines, key, rest| {
        values.push((key, value(lines, rest, indent)?));
        Some(())
    })?;
    // A key that is there twice is for the other reader to judge.
    are_distinct(&values).then_some(values)
}

/// Goes over the entries of a table: each key, and what follows its colon.
fn entries<'t>(
    lines: &mut Lines<'t>,
    indent: usize,
    mut entry: impl FnMut(&mut Lines<'t>, Cow<'t, str>, &'t str) -> Option<()>,
) -> Option<()> {
    while let Some(line) = lines.next.filter(|line| line.indent >= indent) {
        if line.indent > indent {
            return None;
        }
        let (key, rest) = key(line.text)?;
        lines.advance()?;
        entry(lines, key, rest)?;
    }
    Some(())
}

/// The value that belongs to a key: what follows its colon, or what stands below.
fn value<'t>(lines: &mut Lines<'t>, rest: &'t str, indent: usize) -> Option<Node<'t>> {
    if rest.is_empty() { below(lines, indent) } else { inline(rest) }
}

/// What stands below a key.
fn below<'t>(lines: &mut Lines<'t>, indent: usize) -> Option<Node<'t>> {
    let Some(line) = lines.next else { return Some(Node::Null) };
    let is_item = line.text.starts_with("- ");
    // Items may stand as far left as their key.
    if line.indent > indent || (is_item && line.indent == indent) {
        return if is_item {
            list(lines, line.indent)
        } else {
            table(lines, line.indent).map(Node::Table)
        };
    }
    Some(Node::Null)
}

fn list<'t>(lines: &mut Lines<'t>, indent: usize) -> Option<Node<'t>> {
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
    Some(Node::List(items))
}

/// Where a colon ends a plain key: a blank or nothing follows.
fn colon(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    memchr_iter(b':', bytes).find(|at| matches!(bytes.get(at + 1), None | Some(b' ')))
}

fn has_comment(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr_iter(b'#', bytes).any(|at| at > 0 && bytes[at - 1] == b' ')
}

/// The key of a line, and what follows its colon.
fn key(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let (key, rest) = match text.as_bytes().first()? {
        b'\'' | b'"' => quoted(text)?,
        first if may_begin(*first) => {
            let at = colon(text)?;
            let written = &text[..at];
            if has_comment(written) || written.ends_with(' ') {
                return None;
            }
            (as_key(plain(written))?, &text[at..])
        }
        _ => return None,
    };
    let rest = rest.strip_prefix(':')?;
    if !rest.is_empty() && !rest.starts_with(' ') {
        return None;
    }
    // One key is no longer than this, or it is no key.
    (key.len() < 1000).then(|| (key, rest.trim_start_matches(' ')))
}

fn as_key(value: Node<'_>) -> Option<Cow<'_, str>> {
    match value {
        Node::Text(key) => Some(key),
        // Numbers as keys have more than one way to be written.
        _ => None,
    }
}

/// A value that is all on one line.
fn inline(text: &str) -> Option<Node<'_>> {
    let (value, rest) = match text.as_bytes().first()? {
        b'\'' | b'"' => {
            let (text, rest) = quoted(text)?;
            (Node::Text(text), rest)
        }
        b'{' | b'[' => flow(text, 0)?,
        first if may_begin(*first) => {
            if colon(text).is_some() || has_comment(text) {
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

fn plain(text: &str) -> Node<'_> {
    // `null`, `true` and `false` are the only scalars that begin with a letter and are no text.
    let first = text.as_bytes().first().unwrap_or(&b'0');
    if first.is_ascii_alphabetic() && !b"nNtTfF".contains(first) {
        return Node::Text(Cow::Borrowed(text));
    }
    // No number has two points: most of the others are versions.
    if first.is_ascii_digit() && memchr_iter(b'.', text.as_bytes()).nth(1).is_some() {
        return Node::Text(Cow::Borrowed(text));
    }
    of_scalar(Scalar::parse_from_cow(Cow::Borrowed(text)))
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
fn flow(text: &str, depth: usize) -> Option<(Node<'_>, &str)> {
    const DEEPEST: usize = 16;
    if depth > DEEPEST {
        return None;
    }
    let is_table = text.starts_with('{');
    let close = if is_table { '}' } else { ']' };
    let mut rest = text[1..].trim_start_matches(' ');
    let (mut values, mut items) = (Table::new(), Vec::new());
    while !rest.starts_with(close) {
        let key = if is_table {
            let (key, behind) = match rest.as_bytes().first()? {
                b'\'' | b'"' => quoted(rest)?,
                first if may_begin(*first) => {
                    let end = rest.find([':', ',', '{', '}', '[', ']', '#', '\'', '"'])?;
                    (as_key(plain(rest[..end].trim_end_matches(' ')))?, &rest[end..])
                }
                _ => return None,
            };
            rest = behind.strip_prefix(": ")?.trim_start_matches(' ');
            key
        } else {
            Cow::Borrowed("")
        };
        let (value, behind) = match rest.as_bytes().first()? {
            b'\'' | b'"' => {
                let (text, behind) = quoted(rest)?;
                (Node::Text(text), behind)
            }
            b'{' | b'[' => flow(rest, depth + 1)?,
            first if may_begin(*first) => {
                let end = rest.find([',', '{', '}', '[', ']'])?;
                let written = rest[..end].trim_end_matches(' ');
                let odd = colon(written).is_some() || has_comment(written);
                if odd || written.is_empty() {
                    return None;
                }
                (plain(written), &rest[end..])
            }
            _ => return None,
        };
        if is_table {
            values.push((key, value));
        } else {
            items.push(value);
        }
        rest = behind.trim_start_matches(' ');
        match rest.strip_prefix(", ") {
            Some(more) => rest = more.trim_start_matches(' '),
            None if rest.starts_with(close) => {}
            None => return None,
        }
    }
    let distinct = are_distinct(&values);
    let value = if is_table { Node::Table(values) } else { Node::List(items) };
    distinct.then(|| (value, &rest[1..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::{
        super::tests::{Taken, assert_takes_the_same},
        Node, collect_from, plain_document, whole,
    };

    fn plain(text: &str) -> Option<Node<'_>> {
        let (value, ()) = plain_document(text)?;
        let taken =
            plain_document(text).map(|(value, taken): (_, Taken<'_>)| (value.into_table(), taken));
        let expected = whole(text).and_then(|value| collect_from(value.into_table(), false));
        assert_takes_the_same(taken, expected);
        Some(value)
    }
    use crate::packages::npm::LOCK_FILES as FILES;

    #[test]
    fn what_pnpm_and_yarn_write_is_read() {
        for (_, text) in FILES {
            if text.contains("lockfileVersion: '9.0'") || text.contains("__metadata:") {
                assert_eq!(plain(text), whole(text).ok());
                assert!(plain(text).is_some(), "the slow way is taken for {text}");
            }
        }
        let text = "a:\n  'b@1': {integrity: sha512-a/b==, os: [x, '!y']}\n\n  c: 1\n  d:\n    - x\n\
                    e: it's\nf:\ng: 1.2.3\nh: 'it''s'\n";
        let expected = json!({
            "a": { "b@1": { "integrity": "sha512-a/b==", "os": ["x", "!y"] }, "c": 1, "d": ["x"] },
            "e": "it's", "f": null, "g": "1.2.3", "h": "it's"
        });
        assert_eq!(plain(text).map(Node::into_json), Some(expected));
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
            assert_eq!(plain(text), None, "{text:?}");
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
            if let Some(value) = plain(&text) {
                prop_assert_eq!(Ok(value), whole(&text), "{}", text);
            }
        }

        #[test]
        fn a_damaged_lock_file_is_read_as_yaml_reads_it_or_not_at_all(
            which in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
            cut in 0..4_usize,
            put in prop::sample::select(vec!["", " ", "\n", ":", "'", "\"", "{", "]", "#", "- ", "  ", ", ", "a"]),
        ) {
            let files = FILES;
            let (_, text) = files[which.index(files.len())];
            let text: String = text.chars().filter(char::is_ascii).collect();
            // A piece, so that a case is short.
            let from = at.index(text.len());
            let start = text[..from].rfind("\n\n").map_or(0, |at| at + 2);
            let piece = &text[start..(from + 400).min(text.len())];
            let cut_at = (from - start).min(piece.len());
            let end = (cut_at + cut).min(piece.len());
            let damaged = format!("{}{put}{}", &piece[..cut_at], &piece[end..]);
            if let Some(value) = plain(&damaged) {
                prop_assert_eq!(Ok(value), whole(&damaged), "{}", damaged);
            }
        }
    }
}
