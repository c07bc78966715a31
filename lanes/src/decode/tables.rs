//! Tables with fixed keys: struct, decoder, JSON Schema and list of keys from one declaration.

use toml::de::DeValue;

use super::{Decode, Reader, Value};
use crate::source::Span;

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
