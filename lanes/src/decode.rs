//! From a parsed TOML tree to the types of the files people write, collecting every problem.
//!
//! Serde stops at the first error and loses places in flattened tables; this decoder goes on,
//! points at the exact value, and is driven by the same table declarations that make the JSON
//! Schemas, so that the two cannot drift apart. It knows types and keys and nothing of what they
//! mean.

use std::borrow::Cow;

use toml::{Spanned, de::DeValue};

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
        let known = || known.iter().flat_map(|keys| keys.iter().copied());
        let message = format!("unknown key `{}`", shorten(key));
        let mut diagnostic = Diagnostic::error(&codes::UNKNOWN_KEY, span, message);
        diagnostic = match suggestion(key, known()) {
            Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
            None => {
                let keys: Vec<_> = known().map(|key| format!("`{key}`")).collect();
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

/// Reads one of a few words.
pub(crate) fn word<T: Copy>(
    value: Value<'_>,
    reader: &mut Reader<'_>,
    words: &[(&'static str, T)],
) -> Option<T> {
    let span = reader.span(&value);
    let text = String::decode(value, reader)?;
    let known = words.iter().find(|(word, _)| *word == text);
    if known.is_none() {
        let all: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
        let message = format!("`{}` is not a value of {}", text.escape_debug(), reader.place());
        let mut diagnostic = Diagnostic::error(&codes::BAD_VALUE, span, message)
            .help(format!("the values are {}", all.join(", ")));
        if let Some(near) = suggestion(&text, words.iter().map(|(word, _)| *word)) {
            diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
        }
        reader.report(diagnostic);
    }
    known.map(|(_, value)| *value)
}

/// An alternative that is a word or a table with one key: `"local"`, `{ remote_ssh = { … } }`.
pub(crate) enum Tagged<'i> {
    Word,
    Table(&'static str, Value<'i>),
}

/// Reads an externally tagged alternative; `word` stands alone, `tables` bring settings.
pub(crate) fn tagged<'i>(
    value: Value<'i>,
    reader: &mut Reader<'_>,
    word: &'static str,
    tables: &[&'static str],
) -> Option<Tagged<'i>> {
    let span = reader.span(&value);
    let place = reader.place();
    let forms = || {
        let word = format!("`\"{word}\"`");
        let tables = tables.iter().map(|tag| format!("`{{ {tag} = … }}`"));
        std::iter::once(word).chain(tables).collect::<Vec<_>>().join(" or ")
    };
    let near = |text: &str| suggestion(text, tables.iter().copied().chain([word]));
    match value.into_inner() {
        DeValue::String(text) => {
            if text == word {
                return Some(Tagged::Word);
            }
            let message = if tables.contains(&&*text) {
                format!("`{text}` needs its settings: {}", forms())
            } else {
                format!("{place} must be {}", forms())
            };
            let mut diagnostic = Diagnostic::error(&codes::BAD_VALUE, span, message);
            if let Some(near) = near(&text).filter(|near| *near != text) {
                diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
            }
            reader.report(diagnostic);
            None
        }
        DeValue::Table(table) => {
            let mut chosen = None;
            let several = table.len() != 1;
            for (name, value) in table {
                let at = reader.span(&name);
                match tables.iter().find(|tag| name.get_ref() == **tag) {
                    Some(tag) => chosen = Some((*tag, value)),
                    None if name.get_ref() == word => {
                        let message = format!("`{name}` has no settings: write {}", forms());
                        reader.report(Diagnostic::error(&codes::BAD_VALUE, at, message));
                        return None;
                    }
                    None => {
                        reader.unknown_key(at, name.get_ref(), &[tables]);
                        return None;
                    }
                }
            }
            if several {
                let message = format!("{place} must be exactly one of {}", forms());
                reader.report(Diagnostic::error(&codes::BAD_VALUE, span, message));
                return None;
            }
            let (tag, value) = chosen?;
            reader.field(tag);
            Some(Tagged::Table(tag, value))
        }
        other => {
            reader.wrong_type(span, &forms(), &other);
            None
        }
    }
}

/// What is known of a table besides its values.
#[derive(Debug, Clone, Copy)]
pub struct TableAt {
    /// Its header or its opening brace.
    pub span: Span,
    /// Whether every key was understood: if not, a missing key may just be misspelt.
    pub intact: bool,
}

/// The value of one key while its table is read.
pub(crate) enum Slot<T> {
    Absent,
    Bad,
    Good(T),
}

impl<T: Decode> Slot<T> {
    pub(crate) fn fill(&mut self, value: Value<'_>, reader: &mut Reader<'_>) -> bool {
        *self = T::decode(value, reader).map_or(Self::Bad, Self::Good);
        matches!(self, Self::Good(_))
    }

    pub(crate) fn finish(
        self,
        key: &'static str,
        table: TableAt,
        reader: &mut Reader<'_>,
    ) -> Option<T> {
        match self {
            Self::Good(value) => Some(value),
            // An optional key with a bad value is told already and stays without one.
            Self::Bad => T::absent(),
            Self::Absent => {
                let absent = T::absent();
                if absent.is_none() && table.intact {
                    reader.missing_key(table.span, key);
                }
                absent
            }
        }
    }
}

impl Reader<'_> {
    /// Takes a table apart, or reports that there is none.
    pub(crate) fn table<'i>(&mut self, value: Value<'i>) -> Option<(toml::de::DeTable<'i>, Span)> {
        let span = self.span(&value);
        match value.into_inner() {
            DeValue::Table(table) => Some((table, span)),
            other => {
                self.wrong_type(span, "a table", &other);
                None
            }
        }
    }
}

/// Keys that several tables share, read into one struct and written flat.
pub(crate) trait Shared: Default {
    const KEYS: &'static [&'static str];

    /// Reads the value of one of its keys, or gives it back.
    fn accept<'i>(
        &mut self,
        key: &str,
        at: Span,
        value: Value<'i>,
        reader: &mut Reader<'_>,
    ) -> Result<bool, Value<'i>>;
}

/// No shared keys.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct NoKeys;

impl Shared for NoKeys {
    const KEYS: &'static [&'static str] = &[];

    fn accept<'i>(
        &mut self,
        _: &str,
        _: Span,
        value: Value<'i>,
        _: &mut Reader<'_>,
    ) -> Result<bool, Value<'i>> {
        Err(value)
    }
}

/// Declares tables as people write them: struct, decoder, JSON Schema and list of keys, from one
/// text. `..name: Type` adds the keys of a [`shared_keys!`] struct to the table.
macro_rules! tables {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident: $type:ty, )*
            $( .. $(#[$rest_meta:meta])* $rest:ident: $rest_type:ty )?
        }
    )+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, schemars::JsonSchema)]
        #[schemars(deny_unknown_fields)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $type, )*
            $( $(#[$rest_meta])* #[schemars(flatten)] pub $rest: $rest_type, )?
            /// Where the table is, and whether all of it was understood.
            #[schemars(skip)]
            pub table: $crate::decode::TableAt,
        }

        impl $crate::decode::Decode for $name {
            fn decode(
                value: $crate::decode::Value<'_>,
                reader: &mut $crate::decode::Reader<'_>,
            ) -> Option<Self> {
                use $crate::decode::{Shared, TableAt};
                const KEYS: &[&str] = &[$(stringify!($field)),*];
                type Rest = tables!(@rest $($rest_type)?);
                let (table, span) = reader.table(value)?;
                let mut at = TableAt { span, intact: true };
                $( let mut $field = $crate::decode::Slot::<$type>::Absent; )*
                let mut rest = Rest::default();
                for (key, value) in table {
                    match &**key.get_ref() {
                        $( stringify!($field) => {
                            reader.field(stringify!($field));
                            at.intact &= $field.fill(value, reader);
                        } )*
                        other => {
                            let place = reader.span(&key);
                            match rest.accept(other, place, value, reader) {
                                Ok(good) => at.intact &= good,
                                Err(_) => {
                                    at.intact = false;
                                    reader.unknown_key(place, other, &[KEYS, Rest::KEYS]);
                                }
                            }
                        }
                    }
                }
                $( let $field = $field.finish(stringify!($field), at, reader); )*
                $( let $rest = rest; )?
                Some(Self { $( $field: $field?, )* $( $rest, )? table: at })
            }
        }
    )+};
    (@rest) => { $crate::decode::NoKeys };
    (@rest $type:ty) => { $type };
}
pub(crate) use tables;

/// Declares optional keys that several tables share.
macro_rules! shared_keys {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* pub $field:ident: $type:ty, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, schemars::JsonSchema)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: Option<$type>, )*
            /// Which of the keys are written, and where.
            #[schemars(skip)]
            pub written: Vec<(&'static str, $crate::source::Span)>,
        }

        impl $crate::decode::Shared for $name {
            const KEYS: &'static [&'static str] = &[$(stringify!($field)),*];

            fn accept<'i>(
                &mut self,
                key: &str,
                at: $crate::source::Span,
                value: $crate::decode::Value<'i>,
                reader: &mut $crate::decode::Reader<'_>,
            ) -> Result<bool, $crate::decode::Value<'i>> {
                match key {
                    $( stringify!($field) => {
                        reader.field(stringify!($field));
                        self.written.push((stringify!($field), at));
                        self.$field = $crate::decode::Decode::decode(value, reader);
                        Ok(self.$field.is_some())
                    } )*
                    _ => Err(value),
                }
            }
        }
    };
}
pub(crate) use shared_keys;
