//! TOML: as Cargo and uv write their lock files in one pass over the text, anything else by the
//! reader for all of it.
//!
//! What is understood: tables and lists of tables under headers of plain words, each below one that
//! is open; `key = value` on a line; texts on one line without escapes, whole numbers, truth values,
//! lists over several lines, inline tables on one. Where TOML has rules across the document (a key
//! or header that is there twice, a header below something inline) this reader gives nothing.

use std::borrow::Cow;

use memchr::{memchr, memchr3};
use toml::Value;

use super::{Collect, Node, Table, are_distinct, collect_from, collect_into, is_plain};

/// How deep values may be in each other.
const DEEPEST: usize = 16;

/// Reads a document.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(crate) fn read<'t, C: Collect<'t>>(text: &'t str) -> Result<(Table<'t>, C), String> {
    match plain(text) {
        Some(read) => Ok(read),
        None => collect_from(whole(text)?, true),
    }
}

/// The same, whatever of TOML is in it.
fn whole(text: &str) -> Result<Table<'_>, String> {
    let table: toml::Table =
        text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    Ok(table.into_iter().map(|(key, value)| (Cow::Owned(key), node(value))).collect())
}

fn node(value: Value) -> Node<'static> {
    match value {
        Value::Boolean(value) => Node::Bool(value),
        Value::Integer(value) => Node::Number(value.to_string().into()),
        Value::Float(value) => Node::Number(format!("{value:?}").into()),
        Value::Datetime(value) => Node::Number(value.to_string().into()),
        Value::String(text) => Node::text(text),
        Value::Array(items) => Node::List(items.into_iter().map(node).collect()),
        Value::Table(table) => {
            let entries = table.into_iter();
            Node::Table(entries.map(|(key, value)| (Cow::Owned(key), node(value))).collect())
        }
    }
}

/// Reads a value that was gone over.
pub(crate) fn read_value(text: &str) -> Node<'_> {
    // It was a good one then.
    Rest { text }.value(0).unwrap_or(Node::Null)
}

/// What is made of a value while it is read.
trait Made<'t>: Sized {
    /// What a list is made of.
    type Items: Default;
    /// What an inline table is made of.
    type Entries: Default;

    fn text(text: &'t str) -> Self;
    fn number(text: &'t str) -> Self;
    fn truth(value: bool) -> Self;
    fn add(items: &mut Self::Items, item: Self);
    fn list(items: Self::Items) -> Self;
    /// Nothing: more entries than are understood here.
    fn insert(entries: &mut Self::Entries, key: &'t str, value: Self) -> Option<()>;
    /// Nothing: a key is there twice.
    fn table(entries: Self::Entries) -> Option<Self>;
}

impl<'t> Made<'t> for Node<'t> {
    type Items = Vec<Self>;
    type Entries = Table<'t>;

    fn text(text: &'t str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    fn number(text: &'t str) -> Self {
        Self::Number(Cow::Borrowed(text))
    }

    fn truth(value: bool) -> Self {
        Self::Bool(value)
    }

    fn add(items: &mut Vec<Self>, item: Self) {
        items.push(item);
    }

    fn list(items: Vec<Self>) -> Self {
        Self::List(items)
    }

    fn insert(entries: &mut Table<'t>, key: &'t str, value: Self) -> Option<()> {
        entries.push((Cow::Borrowed(key), value));
        Some(())
    }

    fn table(entries: Table<'t>) -> Option<Self> {
        are_distinct(&entries).then_some(Self::Table(entries))
    }
}

/// Nothing is made of it: it is gone over.
struct Nothing;

/// The keys of an inline table that is gone over.
#[derive(Default)]
struct Keys<'t> {
    few: [&'t str; 8],
    count: usize,
}

impl<'t> Made<'t> for Nothing {
    type Items = ();
    type Entries = Keys<'t>;

    fn text(_: &'t str) -> Self {
        Self
    }

    fn number(_: &'t str) -> Self {
        Self
    }

    fn truth(_: bool) -> Self {
        Self
    }

    fn add((): &mut (), Self: Self) {}

    fn list((): ()) -> Self {
        Self
    }

    fn insert(entries: &mut Keys<'t>, key: &'t str, Self: Self) -> Option<()> {
        let known = entries.few.get(..entries.count)?.contains(&key);
        *entries.few.get_mut(entries.count).filter(|_| !known)? = key;
        entries.count += 1;
        Some(())
    }

    fn table(_: Keys<'t>) -> Option<Self> {
        Some(Self)
    }
}

/// A table that is open: a header named it, and what follows goes into it.
struct Open<'t> {
    key: &'t str,
    /// Whether it is one of a list.
    listed: bool,
    table: Table<'t>,
    /// The list of tables below it that headers add to.
    list: Option<&'t str>,
}

impl<'t> Open<'t> {
    fn new(key: &'t str, listed: bool) -> Self {
        Self { key, listed, table: Table::new(), list: None }
    }
}

/// Nothing: it is more than is understood here, or wrong.
fn plain<'t, C: Collect<'t>>(text: &'t str) -> Option<(Table<'t>, C)> {
    if !is_plain(text) {
        return None;
    }
    let mut rest = Rest { text };
    // The document itself, then each table below the one before.
    let mut open = vec![Open::new("", false)];
    let mut collected = C::default();
    loop {
        rest.blank_lines();
        match rest.text.as_bytes().first() {
            None => break,
            Some(b'#') => rest.skip_line(),
            Some(b'[') => rest.header(&mut open, &mut collected)?,
            Some(_) => {
                let key = rest.key()?;
                rest.blanks();
                rest.take('=')?;
                rest.blanks();
                let value = match &open[..] {
                    [_, entry] if entry.listed && collected.goes_over(entry.key, key) => {
                        Node::Unread(Cow::Borrowed(rest.gone_over()?))
                    }
                    _ => rest.value(0)?,
                };
                rest.end_of_line()?;
                open.last_mut()?.table.push((Cow::Borrowed(key), value));
            }
        }
    }
    close(&mut open, 0, &mut collected)?;
    let document = open.pop().map(|document| document.table).filter(are_distinct)?;
    // A list that is written as a value.
    let document = collect_into(&mut collected, document, true).ok()?;
    Some((document, collected))
}

/// Puts tables that are open into the ones they are below, down to one.
fn close<'t>(
    open: &mut Vec<Open<'t>>,
    down_to: usize,
    collected: &mut impl Collect<'t>,
) -> Option<()> {
    while open.len() > down_to + 1 {
        let Open { key, listed, table, .. } = open.pop().filter(|it| are_distinct(&it.table))?;
        let at_top = open.len() == 1;
        let above = &mut open.last_mut()?.table;
        if listed && at_top && collected.wants(key) {
            let left = collected.take(key, &Cow::Borrowed(""), Node::Table(table)).ok()?;
            match above.last_mut() {
                Some((_, Node::List(items))) => items.extend(left),
                _ => return None,
            }
            continue;
        }
        // A list of tables is written one after the other.
        match above.last_mut() {
            Some((_, Node::List(items))) if listed => items.push(Node::Table(table)),
            _ => above.push((Cow::Borrowed(key), Node::Table(table))),
        }
    }
    Some(())
}

/// What is not read yet.
struct Rest<'t> {
    text: &'t str,
}

impl<'t> Rest<'t> {
    fn first(&self) -> Option<u8> {
        self.text.as_bytes().first().copied()
    }

    fn skip(&mut self, count: usize) {
        self.text = &self.text[count..];
    }

    fn take(&mut self, character: char) -> Option<()> {
        self.text = self.text.strip_prefix(character)?;
        Some(())
    }

    fn blanks(&mut self) {
        while self.first() == Some(b' ') {
            self.skip(1);
        }
    }

    fn blank_lines(&mut self) {
        while matches!(self.first(), Some(b' ' | b'\n')) {
            self.skip(1);
        }
    }

    fn skip_line(&mut self) {
        let end = memchr(b'\n', self.text.as_bytes()).map_or(self.text.len(), |at| at + 1);
        self.skip(end);
    }

    fn end_of_line(&mut self) -> Option<()> {
        self.blanks();
        if self.text.is_empty() { Some(()) } else { self.take('\n') }
    }

    /// A word: a key without quotes.
    fn word(&mut self) -> Option<&'t str> {
        let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
        let end = self.text.bytes().position(|byte| !is_of_word(&byte));
        let end = end.unwrap_or(self.text.len());
        let word = &self.text[..end];
        self.skip(end);
        (end > 0).then_some(word)
    }

    fn key(&mut self) -> Option<&'t str> {
        match self.first()? {
            b'"' | b'\'' => self.quoted(),
            _ => self.word(),
        }
    }

    /// `[a.b]` or `[[a]]`.
    fn header(&mut self, open: &mut Vec<Open<'t>>, collected: &mut impl Collect<'t>) -> Option<()> {
        self.take('[')?;
        let listed = self.take('[').is_some();
        let mut depth = 0;
        let key = loop {
            let word = self.word()?;
            if self.take('.').is_none() {
                break word;
            }
            depth += 1;
            // What it is below is open.
            if open.get(depth)?.key != word {
                return None;
            }
        };
        self.take(']')?;
        if listed {
            self.take(']')?;
        }
        self.end_of_line()?;
        close(open, depth, collected)?;
        let above = open.last_mut()?;
        if listed {
            let goes_on =
                above.list == Some(key) && above.table.last().is_some_and(|(last, _)| last == key);
            if !goes_on {
                above.list = Some(key);
                above.table.push((Cow::Borrowed(key), Node::List(Vec::new())));
            }
        }
        open.push(Open::new(key, listed));
        Some(())
    }

    /// A text between quotes.
    fn quoted(&mut self) -> Option<&'t str> {
        let quote = self.first()?;
        let body = &self.text[1..];
        let end = memchr3(quote, b'\\', b'\n', body.as_bytes())?;
        let ends = body.as_bytes()[end];
        // Three quotes begin a text over several lines.
        let three = end == 0 && body.as_bytes().get(1) == Some(&quote);
        if ends != quote || three {
            return None;
        }
        self.text = &body[end + 1..];
        Some(&body[..end])
    }

    /// The text of a value, of which nothing is made.
    fn gone_over(&mut self) -> Option<&'t str> {
        let from = self.text;
        let Nothing = self.value(0)?;
        Some(&from[..from.len() - self.text.len()])
    }

    fn value<M: Made<'t>>(&mut self, depth: usize) -> Option<M> {
        if depth > DEEPEST {
            return None;
        }
        match self.first()? {
            b'"' | b'\'' => self.quoted().map(M::text),
            b'[' => self.list(depth),
            b'{' => self.inline_table(depth),
            b'0'..=b'9' => {
                let end = self.text.bytes().position(|byte| !byte.is_ascii_digit());
                let number = &self.text[..end.unwrap_or(self.text.len())];
                self.skip(number.len());
                let next = self.first().is_none_or(|byte| b" \n,]}".contains(&byte));
                let leads = number.len() > 1 && number.starts_with('0');
                (next && !leads && number.len() <= 18).then(|| M::number(number))
            }
            b't' | b'f' => match self.word()? {
                "true" => Some(M::truth(true)),
                "false" => Some(M::truth(false)),
                _ => None,
            },
            _ => None,
        }
    }

    fn list<M: Made<'t>>(&mut self, depth: usize) -> Option<M> {
        self.take('[')?;
        let mut items = M::Items::default();
        loop {
            self.blank_lines();
            if self.take(']').is_some() {
                return Some(M::list(items));
            }
            M::add(&mut items, self.value(depth + 1)?);
            self.blank_lines();
            if self.take(',').is_none() && self.first() != Some(b']') {
                return None;
            }
        }
    }

    fn inline_table<M: Made<'t>>(&mut self, depth: usize) -> Option<M> {
        self.take('{')?;
        let mut entries = M::Entries::default();
        self.blanks();
        if self.take('}').is_some() {
            return M::table(entries);
        }
        loop {
            self.blanks();
            let key = self.key()?;
            self.blanks();
            self.take('=')?;
            self.blanks();
            let value = self.value(depth + 1)?;
            M::insert(&mut entries, key, value)?;
            self.blanks();
            if self.take('}').is_some() {
                return M::table(entries);
            }
            self.take(',')?;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::tests::{Taken, assert_takes_the_same},
        Node, Rest, Table, collect_from, whole,
    };

    fn plain(text: &str) -> Option<Table<'_>> {
        let (table, ()) = super::plain(text)?;
        let taken: Option<(Table<'_>, Taken<'_>)> = super::plain(text);
        assert_takes_the_same(taken, whole(text).and_then(|table| collect_from(table, true)));
        Some(table)
    }

    /// As Cargo and uv write them.
    const FILES: [&str; 3] = [
        include_str!("../../../../Cargo.lock"),
        r#"# This file is automatically @generated by Cargo.
[[package]]
name = "app"
version = "0.1.0"
dependencies = [
 "low 1.0.0 (registry+https://registry.example/index)",
]

[[package]]
name = "low"
version = "1.0.0"
source = "registry+https://registry.example/index"

[metadata]
"checksum low 1.0.0 (registry+https://registry.example/index)" = "aa"
"#,
        r#"version = 1
revision = 3
requires-python = ">=3.11"
resolution-markers = [
    "python_full_version >= '3.13'",
    "python_full_version < '3.13'",
]

[options]
exclude-newer = "2025-01-01T00:00:00Z"

[manifest]
members = [
    "app",
    "lib",
]
overrides = [{ name = "idna", specifier = ">=3" }]

[[package]]
name = "app"
version = "0.1.0"
source = { editable = "app" }
dependencies = [
    { name = "idna", version = "3.7", source = { registry = "https://index.example/simple" }, extra = ["x"], marker = "sys_platform == 'win32'" },
]

[package.optional-dependencies]
cli = [
    { name = "lib" },
]

[package.dev-dependencies]
dev = [
    { name = "lib" },
]

[package.metadata]
requires-dist = [{ name = "idna" }]
provides-extras = ["cli"]

[package.metadata.requires-dev]
dev = [{ name = "lib", editable = "lib" }]

[[package]]
name = "idna"
version = "3.7"
source = { registry = "https://index.example/simple" }
sdist = { url = "https://index.example/idna.tar.gz", hash = "sha256:aa", size = 189575, upload-time = "2024-04-11T03:34:43Z" }
wheels = [
    { url = "https://index.example/idna.whl", hash = "sha256:bb", size = 66836 },
]
"#,
    ];

    /// Both readers' answers; the first has one only for what it understands.
    fn both(text: &str) -> (Option<Node<'_>>, Option<Node<'_>>) {
        for (at, _) in text.match_indices('=') {
            assert_goes_over_what_it_reads(text[at + 1..].trim_start_matches(' '));
        }
        let plain = plain(text).map(|table| Node::Table(table).sorted());
        (plain, whole(text).ok().map(|table| Node::Table(table).sorted()))
    }

    #[track_caller]
    fn assert_goes_over_what_it_reads(text: &str) {
        let (mut over, mut read) = (Rest { text }, Rest { text });
        let (gone, value) = (over.gone_over(), read.value::<Node<'_>>(0));
        assert_eq!(gone.is_some(), value.is_some(), "{text:?}");
        if let (Some(gone), Some(value)) = (gone, value) {
            assert_eq!((over.text, super::read_value(gone)), (read.text, value), "{text:?}");
        }
    }

    #[test]
    fn what_cargo_and_uv_write_is_read() {
        for text in FILES {
            let (plain, whole) = both(text);
            assert!(plain.is_some(), "the slow way is taken for {text}");
            assert_eq!(plain, whole);
        }
    }

    #[test]
    fn what_is_more_is_left_to_the_other_reader() {
        for text in [
            "a = \"\"\"b\"\"\"\n",
            "a = \"b\\n\"\n",
            "a.b = 1\n",
            "a = 1.5\n",
            "a = 1979-05-27\n",
            "a = 0x1f\n",
            "a = 1_000\n",
            "a = 1 # b\n",
            "a = 1\na = 2\n",
            "[a]\nb = 1\n[a]\n",
            "[a.b]\nc = 1\n",
            "a = { b = 1 }\n[a.c]\n",
            "a = [{ b = 1 }]\n[[a]]\n",
            "[[a]]\n[b]\n[[a]]\n",
            "a = { b = 1, b = 2 }\n",
            "a = 'b\n",
            "a = [1, 2\n",
            "a = \u{e9}\n",
            "a = 1\r\n",
            "a = 007\n",
            "[a]]\n",
            "a = b\n",
        ] {
            assert_eq!(plain(text), None, "{text:?}");
        }
    }

    fn line() -> impl Strategy<Value = String> {
        let value = prop::sample::select(vec![
            "1",
            "0",
            "01",
            "-1",
            "1.0",
            "true",
            "truely",
            "\"a\"",
            "'b'",
            "\"\"",
            "''",
            "\"a'b\"",
            "\"\"\"c\"\"\"",
            "\"d\\\"\"",
            "[]",
            "[1, 2]",
            "[1, 2,]",
            "[,]",
            "[1 2]",
            "[\n 1,\n 2,\n]",
            "[[1], ['a']]",
            "{}",
            "{ a = 1 }",
            "{a=1,b=[2]}",
            "{ a = 1, }",
            "{ a = 1, a = 2 }",
            "{ a.b = 1 }",
            "{ \"a b\" = 1 }",
            "[{ a = 1 }]",
            "2020-01-01",
            "inf",
            "",
            "1 1",
            "{ a = 1 } x",
        ]);
        let key = prop::sample::select(vec!["a", "b", "c-d", "\"a\"", "'e f'", "a.b", "1", ""]);
        let header = prop::sample::select(vec![
            "[a]", "[[a]]", "[a.b]", "[[a.b]]", "[a.b.c]", "[b]", "[[b]]", "[b.a]", "[ a ]",
            "[a]]", "[[a]", "['a']", "[]",
        ]);
        prop_oneof![
            (key, value).prop_map(|(key, value)| format!("{key} = {value}\n")),
            header.prop_map(|header| format!("{header}\n")),
            prop::sample::select(vec!["\n", "# a\n", "  \n", "a=1\n", "a = 1 # b\n", " b = 2\n"])
                .prop_map(str::to_owned),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_document_that_is_read_has_the_values_that_toml_gives_it(
            lines in prop::collection::vec(line(), 1..8)
        ) {
            let text = lines.concat();
            let (plain, whole) = both(&text);
            if plain.is_some() {
                prop_assert_eq!(plain, whole, "{}", text);
            }
        }

        #[test]
        fn a_damaged_lock_file_is_read_as_toml_reads_it_or_not_at_all(
            which in any::<prop::sample::Index>(),
            at in any::<prop::sample::Index>(),
            cut in 0..4_usize,
            put in prop::sample::select(vec!["", " ", "\n", "=", "'", "\"", "{", "]", "[", "#", ".", ",", "a", "0"]),
        ) {
            let text = FILES[1 + which.index(FILES.len() - 1)];
            let from = at.index(text.len());
            let end = (from + cut).min(text.len());
            let damaged = format!("{}{put}{}", &text[..from], &text[end..]);
            let (plain, whole) = both(&damaged);
            if plain.is_some() {
                prop_assert_eq!(plain, whole, "{}", damaged);
            }
        }
    }
}
