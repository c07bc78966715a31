//! Documents as values that borrow the text they were read from: what lock files are made of.
//!
//! A lock file is large and its tool writes it in one fixed shape, so most of what comparing two of
//! them takes is reading. For TOML and YAML there is a reader of a part of the format beside the one
//! for all of it: it goes over the text once, copies nothing, and gives nothing at the first thing
//! that it does not know; then the other one is asked. Both give the same values, which property
//! tests hold them to. Knows no file of any tool.

mod json;
mod toml;
mod yaml;

use std::{borrow::Cow, fmt};

use foldhash::HashSet;
use serde_json::Value;

pub(crate) use self::{
    json::{Borrowed, Keys},
    toml::{read as toml, read_value},
    yaml::{collect as yaml_collected, read as yaml},
};

/// What is made of the entries of a large list or table while the document is read, so that the
/// values of an entry are there for no longer than that takes.
pub(crate) trait Collect<'t>: Default {
    /// Whether the entries below a key of the document are taken; below `""`, those of the document
    /// itself.
    fn wants(&self, of: &str) -> bool;

    /// Takes an entry with its key, which in a list is empty; what comes back stays in the document,
    /// and comes back when it is offered again.
    fn take(
        &mut self,
        of: &str,
        key: &Cow<'t, str>,
        value: Node<'t>,
    ) -> Result<Option<Node<'t>>, String>;

    /// Whether the value of a key of an entry is gone over only, and may stay the text that it is:
    /// [`Node::Unread`]. Whoever takes the entry takes both.
    fn goes_over(&self, _of: &str, _key: &str) -> bool {
        false
    }
}

/// Takes nothing.
impl<'t> Collect<'t> for () {
    fn wants(&self, _: &str) -> bool {
        false
    }

    fn take(
        &mut self,
        _: &str,
        _: &Cow<'t, str>,
        value: Node<'t>,
    ) -> Result<Option<Node<'t>>, String> {
        Ok(Some(value))
    }
}

/// Takes what is wanted out of a document that has been read whole: entries of lists, or of tables.
fn collect_from<'t, C: Collect<'t>>(
    document: Table<'t>,
    of_lists: bool,
) -> Result<(Table<'t>, C), String> {
    let mut collected = C::default();
    let left = collect_into(&mut collected, document, of_lists)?;
    Ok((left, collected))
}

/// Takes what is wanted out of what is left of a document.
fn collect_into<'t>(
    collected: &mut impl Collect<'t>,
    document: Table<'t>,
    of_lists: bool,
) -> Result<Table<'t>, String> {
    let mut kept = Table::new();
    let nameless = Cow::Borrowed("");
    for (of, mut value) in document {
        if collected.wants(&of) {
            match &mut value {
                Node::List(items) if of_lists => {
                    let mut left = Vec::new();
                    for item in std::mem::take(items) {
                        left.extend(collected.take(&of, &nameless, item)?);
                    }
                    *items = left;
                }
                Node::Table(table) if !of_lists => {
                    let mut left = Table::new();
                    for (key, value) in std::mem::take(table) {
                        if let Some(value) = collected.take(&of, &key, value)? {
                            left.push((key, value));
                        }
                    }
                    *table = left;
                }
                _ => {}
            }
        }
        if !of_lists && collected.wants("") {
            match collected.take("", &of, value)? {
                Some(left) => value = left,
                None => continue,
            }
        }
        kept.push((of, value));
    }
    Ok(kept)
}

/// A table, in the order of the text; each key is there once.
pub(crate) type Table<'t> = Vec<(Cow<'t, str>, Node<'t>)>;

/// A value of JSON, TOML or YAML.
///
/// Two are equal when they are written in the same order; [`Node::sorted`] makes that no matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Node<'t> {
    #[default]
    Null,
    Bool(bool),
    /// A number, or what is neither a number nor a text; one value has one way to be written.
    Number(Cow<'t, str>),
    Text(Cow<'t, str>),
    List(Vec<Self>),
    Table(Table<'t>),
    /// A value as it is written, which is a good one. Two that are written alike are equal, two that are
    /// not may be: [`read_value`] says.
    Unread(Cow<'t, str>),
}

impl<'t> Node<'t> {
    /// Returns a text.
    pub(crate) fn text(text: impl Into<Cow<'t, str>>) -> Self {
        Self::Text(text.into())
    }

    fn float(value: f64) -> Self {
        // As in JSON, which has no infinity.
        if value.is_finite() { Self::Number(format!("{value:?}").into()) } else { Self::Null }
    }

    /// Returns the text that it is.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns the text that it is; anything else is an empty one.
    pub(crate) fn into_text(self) -> Cow<'t, str> {
        match self {
            Self::Text(text) => text,
            _ => Cow::Borrowed(""),
        }
    }

    /// Returns the table that it is; anything else is an empty one.
    pub(crate) fn into_table(self) -> Table<'t> {
        match self {
            Self::Table(table) => table,
            _ => Table::new(),
        }
    }

    /// Returns the list that it is; anything else is an empty one.
    pub(crate) fn into_list(self) -> Vec<Self> {
        match self {
            Self::List(list) => list,
            _ => Vec::new(),
        }
    }

    /// Returns the keys and values of the table that it is; anything else has none.
    pub(crate) fn entries(&self) -> &[(Cow<'t, str>, Self)] {
        match self {
            Self::Table(table) => table,
            _ => &[],
        }
    }

    /// Returns the value of a key of the table that it is.
    pub(crate) fn get(&self, key: &str) -> Option<&Self> {
        let found = self.entries().iter().find(|(it, _)| it == key);
        found.map(|(_, value)| value)
    }

    /// Returns the same with the keys of every table in order: equal exactly when the meaning is.
    pub(crate) fn sorted(mut self) -> Self {
        self.sort();
        self
    }

    fn sort(&mut self) {
        match self {
            Self::List(items) => items.iter_mut().for_each(Self::sort),
            Self::Table(table) => {
                table.iter_mut().for_each(|(_, value)| value.sort());
                table.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            }
            _ => {}
        }
    }

    /// Returns the same without the text it was read from.
    pub(crate) fn into_owned(self) -> Node<'static> {
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        match self {
            Self::Null => Node::Null,
            Self::Bool(value) => Node::Bool(value),
            Self::Number(text) => Node::Number(owned(text)),
            Self::Text(text) => Node::Text(owned(text)),
            Self::Unread(text) => Node::Unread(owned(text)),
            Self::List(items) => Node::List(items.into_iter().map(Self::into_owned).collect()),
            Self::Table(table) => {
                let entries = table.into_iter();
                Node::Table(entries.map(|(key, it)| (owned(key), it.into_owned())).collect())
            }
        }
    }

    /// Returns the same as JSON has it.
    pub(crate) fn into_json(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::from(value),
            Self::Number(text) => serde_json::from_str(&text).unwrap_or_default(),
            Self::Text(text) => Value::from(text.into_owned()),
            Self::Unread(text) => read_value(&text).into_json(),
            Self::List(items) => Value::Array(items.into_iter().map(Self::into_json).collect()),
            Self::Table(table) => Value::Object(
                table.into_iter().map(|(key, it)| (key.into_owned(), it.into_json())).collect(),
            ),
        }
    }
}

/// Short and on one line; two that differ differ.
impl fmt::Display for Node<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => out.write_str("null"),
            Self::Bool(value) => write!(out, "{value}"),
            Self::Number(text) | Self::Unread(text) => out.write_str(text),
            Self::Text(text) => write!(out, "{text:?}"),
            Self::List(items) => {
                out.write_str("[")?;
                items.iter().try_for_each(|item| write!(out, "{item},"))?;
                out.write_str("]")
            }
            Self::Table(table) => {
                out.write_str("{")?;
                table.iter().try_for_each(|(key, value)| write!(out, "{key:?}:{value},"))?;
                out.write_str("}")
            }
        }
    }
}

/// Whether a text is printable ASCII in lines: then a byte is a character, and only `\n` ends a line.
fn is_plain(text: &str) -> bool {
    // Without an early end it is done for many bytes at once.
    text.bytes().fold(true, |plain, byte| plain & ((byte == b'\n') | (b' '..=b'~').contains(&byte)))
}

/// Whether no key of a table is there twice.
fn are_distinct(table: &Table<'_>) -> bool {
    differ(table, |(key, _)| key)
}

/// Whether no two of some things have one key.
fn differ<T>(list: &[T], key: impl Fn(&T) -> &str) -> bool {
    /// Up to here, comparing each with each is the shorter way.
    const FEW: usize = 12;
    if list.len() > FEW {
        let keys: HashSet<&str> = list.iter().map(key).collect();
        return keys.len() == list.len();
    }
    let mut keys = list.iter().enumerate();
    keys.all(|(at, it)| list[..at].iter().all(|before| key(before) != key(it)))
}

#[cfg(test)]
mod tests {
    use super::{Collect, Cow, Node, Table};

    /// Takes what is below `a` and `packages`, and of the document what begins with `b`, but numbers.
    #[derive(Debug, Default, PartialEq)]
    pub(super) struct Taken<'t>(Vec<(String, Cow<'t, str>, Node<'t>)>);

    impl<'t> Collect<'t> for Taken<'t> {
        fn wants(&self, of: &str) -> bool {
            ["a", "packages", "package", ""].contains(&of)
        }

        fn take(
            &mut self,
            of: &str,
            key: &Cow<'t, str>,
            value: Node<'t>,
        ) -> Result<Option<Node<'t>>, String> {
            let stays = matches!(value, Node::Number(_));
            if stays || key.starts_with('x') || (of.is_empty() && !key.starts_with('b')) {
                return Ok(Some(value));
            }
            self.0.push((of.to_owned(), key.clone(), value));
            Ok(None)
        }
    }

    /// The quick reader takes what the other one takes, and leaves the same.
    #[track_caller]
    pub(super) fn assert_takes_the_same(
        plain: Option<(Table<'_>, Taken<'_>)>,
        whole: Result<(Table<'_>, Taken<'_>), String>,
    ) {
        let sorted = |(left, Taken(taken)): (Table<'_>, Taken<'_>)| {
            let owned = |(of, key, value): (String, Cow<'_, str>, Node<'_>)| {
                (of, key.into_owned(), value.sorted().into_owned())
            };
            let mut taken: Vec<_> = taken.into_iter().map(owned).collect();
            // The order in which entries of a table are taken is the text's.
            taken.sort();
            (Node::Table(left).sorted().into_owned(), taken)
        };
        let whole = whole.map(sorted);
        assert_eq!(plain.map(sorted).ok_or("it takes nothing".to_owned()), whole);
    }
}
