//! From a parsed TOML tree to the types of the files people write, collecting every problem.
//!
//! Serde stops at the first error and loses places in flattened tables; this decoder goes on,
//! points at the exact value, and is driven by the same table declarations that make the JSON
//! Schemas, so that the two cannot drift apart. It knows types and keys and nothing of what they
//! mean.

mod tables;
mod words;

use std::borrow::Cow;

pub use tables::TableAt;
pub(crate) use tables::{NoKeys, Shared, Slot, shared_keys, tables};
use toml::{Spanned, de::DeValue};
pub(crate) use words::{Tagged, tagged, word};

use crate::{
    codes,
    diagnostic::Diagnostic,
    names::{shorten, suggestion},
    source::{At, SourceId, Sources, Span},
};

pub(crate) type Value<'i> = Spanned<DeValue<'i>>;

/// Reads the values of one file.
pub(crate) struct Reader<'d> {
    source: SourceId,
    found: &'d mut Vec<Diagnostic>,
    /// The key whose value is read, for messages.
    key: &'static str,
    /// Whether the value is an entry of that key's list or table.
    entry: bool,
    /// Whether a whole element was dropped because of an error: what refers to it is then not
    /// wrong.
    pub(crate) lost: bool,
}

impl<'d> Reader<'d> {
    pub(crate) fn new(source: SourceId, found: &'d mut Vec<Diagnostic>) -> Self {
        Self { source, found, key: "the file", entry: false, lost: false }
    }

    pub(crate) fn span<T>(&self, value: &Spanned<T>) -> Span {
        Span::new(self.source, value.span())
    }

    pub(crate) fn report(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    pub(crate) fn field(&mut self, key: &'static str) {
        self.key = key;
        self.entry = false;
    }

    fn place(&self) -> String {
        if self.entry { format!("an entry of `{}`", self.key) } else { format!("`{}`", self.key) }
    }

    fn wrong_type(&mut self, span: Span, expected: &str, found: &DeValue<'_>) {
        let message = format!("{} must be {expected}, not {}", self.place(), type_of(found));
        self.report(Diagnostic::error(&codes::WRONG_TYPE, span, message));
    }

    pub(crate) fn wrong_command(&mut self, value: &Value<'_>) {
        let found = type_of(value.get_ref());
        let message = format!("{} must be an array of words or a table, not {found}", self.place());
        self.report(
            Diagnostic::error(&codes::WRONG_TYPE, self.span(value), message)
                .help("write `[\"program\", \"argument\"]`, or a script as `{ shell = \"…\" }`"),
        );
    }

    fn bad_value(&mut self, span: Span, expected: &str) {
        let message = format!("{} must be {expected}", self.place());
        self.report(Diagnostic::error(&codes::BAD_VALUE, span, message));
    }

    pub(crate) fn unknown_key(&mut self, span: Span, key: &str, known: &[&[&'static str]]) {
        // A table may spell a shared key in its own way.
        let mut keys: Vec<&str> = Vec::new();
        for &key in known.iter().copied().flatten() {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let message = format!("unknown key `{}`", shorten(key));
        let mut diagnostic = Diagnostic::error(&codes::UNKNOWN_KEY, span, message);
        diagnostic = match suggestion(key, keys.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => {
                let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
                diagnostic.help(format!("known keys are {}", keys.join(", ")))
            }
        };
        self.report(diagnostic);
    }

    fn missing_key(&mut self, span: Span, key: &str) {
        let message = format!("the key `{key}` is missing");
        self.report(Diagnostic::error(&codes::MISSING_KEY, span, message));
    }
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// Parses and decodes one file; what could not be decoded is told in `found`.
///
/// The flag is whether elements were lost.
pub(crate) fn read<T: Decode>(
    sources: &Sources,
    id: SourceId,
    found: &mut Vec<Diagnostic>,
) -> (Option<T>, bool) {
    let (document, errors) = toml::de::DeTable::parse_recoverable(sources.text(id));
    let mut told = std::collections::BTreeSet::new();
    for error in errors {
        let end = sources.text(id).len();
        let span = Span::new(id, error.span().unwrap_or(end..end));
        told.insert(span.start);
        found.push(Diagnostic::error(&codes::BAD_TOML, span, error.message().to_owned()));
    }
    let syntax = found.len();
    let mut reader = Reader::new(id, found);
    let span = document.span();
    let value = Spanned::new(span, DeValue::Table(document.into_inner()));
    let decoded = T::decode(value, &mut reader);
    let lost = reader.lost || !told.is_empty();
    // Where the parser found nothing it puts something; that this is wrong is told already.
    let decoding = found.split_off(syntax);
    let again = |one: &Diagnostic| one.span.is_some_and(|span| told.contains(&span.start));
    found.extend(decoding.into_iter().filter(|one| !again(one)));
    (decoded, lost)
}

/// A type that a TOML value can be read into.
pub(crate) trait Decode: Sized {
    /// Reads the value, or reports why not.
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self>;

    /// What the absence of the key means; nothing: the key is required.
    fn absent() -> Option<Self> {
        None
    }
}

impl<T: Decode> Decode for Option<T> {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        T::decode(value, reader).map(Some)
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Decode> Decode for At<T> {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let span = reader.span(&value);
        T::decode(value, reader).map(|value| Self { value, span })
    }
}

impl Decode for String {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let span = reader.span(&value);
        match value.into_inner() {
            DeValue::String(text) => Some(text.into_owned()),
            other => {
                reader.wrong_type(span, "a string", &other);
                None
            }
        }
    }
}

impl Decode for bool {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let span = reader.span(&value);
        match value.into_inner() {
            DeValue::Boolean(value) => Some(value),
            other => {
                reader.wrong_type(span, "`true` or `false`", &other);
                None
            }
        }
    }
}

impl Decode for u64 {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let span = reader.span(&value);
        match value.into_inner() {
            // TOML's integers end at 2^63 - 1, and no number in these files is negative.
            DeValue::Integer(number) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix());
                let parsed = parsed.ok().and_then(|number| Self::try_from(number).ok());
                if parsed.is_none() {
                    reader.bad_value(span, "a whole number from 0 up");
                }
                parsed
            }
            other => {
                reader.wrong_type(span, "an integer", &other);
                None
            }
        }
    }
}

impl Decode for u32 {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let span = reader.span(&value);
        let parsed = Self::try_from(u64::decode(value, reader)?).ok();
        if parsed.is_none() {
            reader.bad_value(span, "at most 4294967295");
        }
        parsed
    }
}

impl<T: Decode> Decode for Vec<T> {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let span = reader.span(&value);
        let key = reader.key;
        match value.into_inner() {
            DeValue::Array(values) => {
                let mut list = Self::with_capacity(values.len());
                for value in values {
                    (reader.key, reader.entry) = (key, true);
                    match T::decode(value, reader) {
                        Some(entry) => list.push(entry),
                        None => reader.lost = true,
                    }
                }
                Some(list)
            }
            other => {
                reader.wrong_type(span, "an array", &other);
                reader.lost = true;
                None
            }
        }
    }
}

/// A table whose keys are names of the user's choice, sorted by name.
#[derive(Debug, Clone)]
pub struct Named<T>(pub Vec<(At<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Decode> Decode for Named<T> {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let span = reader.span(&value);
        let key = reader.key;
        match value.into_inner() {
            DeValue::Table(table) => {
                let mut list = Vec::with_capacity(table.len());
                for (name, value) in table {
                    (reader.key, reader.entry) = (key, true);
                    let span = reader.span(&name);
                    match T::decode(value, reader) {
                        Some(entry) => {
                            list.push((At { value: name.into_inner().into_owned(), span }, entry));
                        }
                        None => reader.lost = true,
                    }
                }
                Some(Self(list))
            }
            other => {
                reader.wrong_type(span, "a table", &other);
                reader.lost = true;
                None
            }
        }
    }
}

impl<T: schemars::JsonSchema> schemars::JsonSchema for Named<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        std::collections::BTreeMap::<String, T>::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        std::collections::BTreeMap::<String, T>::json_schema(generator)
    }
}
