//! JSON: serde's own reader, with texts that stay in the document.

use std::{borrow::Cow, fmt};

use foldhash::{HashSet, HashSetExt as _};
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use super::{Node, Table, are_distinct};

/// Which keys of a table are passed over while the text is read, and how what is below is read.
pub(crate) trait Keys<'t>: Copy {
    /// How the value of a key is read; nothing: it is passed over.
    fn below(self, key: &str) -> Option<Self>;

    /// Takes an entry of the table out of the document, so that its values are there for no longer
    /// than that takes; what comes back stays.
    fn take(self, key: Cow<'t, str>, value: Node<'t>) -> Option<(Cow<'t, str>, Node<'t>)> {
        Some((key, value))
    }
}

/// Reads everything.
impl Keys<'_> for () {
    fn below(self, _: &str) -> Option<Self> {
        Some(())
    }
}

/// Reads a value; of a key that is there twice the last counts, as in serde's own tables.
#[derive(Clone, Copy)]
pub(crate) struct Borrowed<K>(pub(crate) K);

impl<'t, K: Keys<'t>> DeserializeSeed<'t> for Borrowed<K> {
    type Value = Node<'t>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Node<'t>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'t, K: Keys<'t>> Visitor<'t> for Borrowed<K> {
    type Value = Node<'t>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Node<'t>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node<'t>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node<'t>, E> {
        Ok(Node::Number(value.to_string().into()))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node<'t>, E> {
        Ok(Node::Number(value.to_string().into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node<'t>, E> {
        Ok(Node::float(value))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Node<'t>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'t str) -> Result<Node<'t>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'t>>(self, mut seq: A) -> Result<Node<'t>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<Node<'t>, A::Error> {
        let mut table = Table::new();
        while let Some(key) = map.next_key_seed(Key)? {
            match self.0.below(&key) {
                Some(below) => {
                    let value = map.next_value_seed(Self(below))?;
                    table.extend(self.0.take(key, value));
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        keep_last(&mut table);
        Ok(Node::Table(table))
    }
}

fn keep_last(table: &mut Table<'_>) {
    if !are_distinct(table) {
        let mut seen = HashSet::new();
        table.reverse();
        table.retain(|(key, _)| seen.insert(key.clone()));
        table.reverse();
    }
}

/// Reads a key.
struct Key;

impl<'t> DeserializeSeed<'t> for Key {
    type Value = Cow<'t, str>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'t> Visitor<'t> for Key {
    type Value = Cow<'t, str>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a key")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'t str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeSeed as _;
    use serde_json::Value;

    use super::Borrowed;
    use crate::packages::npm::LOCK_FILES as FILES;

    #[test]
    fn values_are_those_that_serde_gives() {
        let odd = r#"{ "a": 1, "b": [null, true, -1, 1.5, 1e300, "\u00e9\n"], "a": { "": 18446744073709551615 } }"#;
        for text in [FILES[0].1, odd, "[]", "1", "{}"] {
            let mut document = serde_json::Deserializer::from_str(text);
            let value = Borrowed(()).deserialize(&mut document).expect("good JSON");
            let expected: Value = serde_json::from_str(text).expect("good JSON");
            assert_eq!(value.into_json(), expected, "{text}");
        }
        for text in ["{", "[1,]", "{ \"a\" }", ""] {
            let mut document = serde_json::Deserializer::from_str(text);
            assert!(Borrowed(()).deserialize(&mut document).is_err(), "{text}");
        }
    }
}
