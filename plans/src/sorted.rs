//! A map and a set of the few entries that a node has: a sorted slice each.
//!
//! On the wire they are the standard library's own, whose order they have too. In memory those take
//! the room of eleven entries for the first one; a plan has a hundred thousand nodes, nearly all with
//! one entry or two. Crates with such a map were looked at: what of them would be used is a binary
//! search. To put in an entry copies all of them, so these are for few.

use std::{
    borrow::{Borrow, Cow},
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A map of few entries, sorted by key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SortedMap<K, V>(Box<[(K, V)]>);

/// A set of few entries, sorted.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SortedSet<T>(Box<[T]>);

impl<K, V> SortedMap<K, V> {
    /// Returns whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the entries in the order of their keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> + DoubleEndedIterator + Clone {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Returns the keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &K> + DoubleEndedIterator + Clone {
        self.0.iter().map(|(key, _)| key)
    }

    /// Returns the values in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &V> + DoubleEndedIterator + Clone {
        self.0.iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    fn place<Q: Ord + ?Sized>(&self, key: &Q) -> Result<usize, usize>
    where
        K: Borrow<Q>,
    {
        self.0.binary_search_by(|(it, _)| it.borrow().cmp(key))
    }

    /// Returns the value of a key.
    #[must_use]
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.place(key).ok().map(|at| &self.0[at].1)
    }

    /// Returns whether there is a value of a key.
    #[must_use]
    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.place(key).is_ok()
    }

    /// Puts in an entry, and returns the value that the key had.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.place(&key) {
            Ok(at) => Some(std::mem::replace(&mut self.0[at].1, value)),
            Err(at) => {
                let mut entries = std::mem::take(&mut self.0).into_vec();
                entries.insert(at, (key, value));
                self.0 = entries.into_boxed_slice();
                None
            }
        }
    }
}

impl<T> SortedSet<T> {
    /// Returns whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns how many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns the entries in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// Returns the least entry.
    #[must_use]
    pub fn first(&self) -> Option<&T> {
        self.0.first()
    }
}

impl<T: Ord> SortedSet<T> {
    /// Returns whether there is an entry.
    #[must_use]
    pub fn contains<Q: Ord + ?Sized>(&self, entry: &Q) -> bool
    where
        T: Borrow<Q>,
    {
        self.0.binary_search_by(|it| it.borrow().cmp(entry)).is_ok()
    }

    /// Puts in an entry, and returns whether it was not there.
    pub fn insert(&mut self, entry: T) -> bool {
        let Err(at) = self.0.binary_search(&entry) else { return false };
        let mut entries = std::mem::take(&mut self.0).into_vec();
        entries.insert(at, entry);
        self.0 = entries.into_boxed_slice();
        true
    }
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<T> Default for SortedSet<T> {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl<K: fmt::Debug, V: fmt::Debug> fmt::Debug for SortedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl<T: fmt::Debug> fmt::Debug for SortedSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}

/// Of a key that comes twice the last value counts.
impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        BTreeMap::from_iter(entries).into()
    }
}

impl<T: Ord> FromIterator<T> for SortedSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        BTreeSet::from_iter(entries).into()
    }
}

impl<T: Ord> Extend<T> for SortedSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, entries: I) {
        let all = std::mem::take(&mut self.0).into_vec().into_iter().chain(entries);
        *self = all.collect();
    }
}

impl<K: Ord, V, const COUNT: usize> From<[(K, V); COUNT]> for SortedMap<K, V> {
    fn from(entries: [(K, V); COUNT]) -> Self {
        entries.into_iter().collect()
    }
}

impl<T: Ord, const COUNT: usize> From<[T; COUNT]> for SortedSet<T> {
    fn from(entries: [T; COUNT]) -> Self {
        entries.into_iter().collect()
    }
}

impl<K: Ord, V> From<BTreeMap<K, V>> for SortedMap<K, V> {
    fn from(map: BTreeMap<K, V>) -> Self {
        Self(map.into_iter().collect())
    }
}

impl<T: Ord> From<BTreeSet<T>> for SortedSet<T> {
    fn from(set: BTreeSet<T>) -> Self {
        Self(set.into_iter().collect())
    }
}

impl<'a, K, V> IntoIterator for &'a SortedMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = std::iter::Map<std::slice::Iter<'a, (K, V)>, fn(&'a (K, V)) -> (&'a K, &'a V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter().map(|(key, value)| (key, value))
    }
}

impl<'a, T> IntoIterator for &'a SortedSet<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<K: Serialize, V: Serialize> Serialize for SortedMap<K, V> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(self)
    }
}

impl<T: Serialize> Serialize for SortedSet<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self)
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>> Deserialize<'de> for SortedMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(from).map(Self::from)
    }
}

impl<'de, T: Deserialize<'de> + Ord> Deserialize<'de> for SortedSet<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        BTreeSet::deserialize(from).map(Self::from)
    }
}

impl<K: JsonSchema, V: JsonSchema> JsonSchema for SortedMap<K, V> {
    fn inline_schema() -> bool {
        BTreeMap::<K, V>::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        BTreeMap::<K, V>::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        BTreeMap::<K, V>::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeMap::<K, V>::json_schema(generator)
    }
}

impl<T: JsonSchema> JsonSchema for SortedSet<T> {
    fn inline_schema() -> bool {
        BTreeSet::<T>::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        BTreeSet::<T>::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        BTreeSet::<T>::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        BTreeSet::<T>::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_map_answers_and_is_written_as_the_standard_one(
            entries in prop::collection::vec((0..6_u8, 0..9_u8), 0..9),
            more in prop::collection::vec((0..9_u8, 0..9_u8), 0..4),
        ) {
            let mut standard: BTreeMap<String, u8> =
                entries.iter().map(|&(key, value)| (key.to_string(), value)).collect();
            let mut sorted: SortedMap<String, u8> =
                entries.iter().map(|&(key, value)| (key.to_string(), value)).collect();
            for (key, value) in more {
                let key = key.to_string();
                prop_assert_eq!(sorted.get(&key), standard.get(&key));
                prop_assert_eq!(sorted.insert(key.clone(), value), standard.insert(key, value));
            }
            prop_assert!(sorted.iter().eq(&standard) && (&sorted).into_iter().eq(&standard));
            prop_assert!(sorted.keys().eq(standard.keys()) && sorted.values().eq(standard.values()));
            let json = serde_json::to_string(&sorted).expect("texts");
            prop_assert_eq!(&json, &serde_json::to_string(&standard).expect("texts"));
            prop_assert_eq!(serde_json::from_str::<SortedMap<String, u8>>(&json).ok(), Some(sorted.clone()));
            prop_assert_eq!(format!("{sorted:?}"), format!("{standard:?}"));
            prop_assert_eq!(SortedMap::from(standard), sorted);
        }

        #[test]
        fn a_set_answers_and_is_written_as_the_standard_one(
            entries in prop::collection::vec(0..6_u8, 0..9),
            more in prop::collection::vec(0..9_u8, 0..4),
        ) {
            let mut standard: BTreeSet<u8> = entries.iter().copied().collect();
            let mut sorted: SortedSet<u8> = entries.iter().copied().collect();
            for &entry in &more {
                prop_assert_eq!(sorted.contains(&entry), standard.contains(&entry));
                prop_assert_eq!(sorted.insert(entry), standard.insert(entry));
            }
            standard.extend(entries.iter().chain(&more).map(|it| it + 1));
            sorted.extend(entries.iter().chain(&more).map(|it| it + 1));
            prop_assert!(sorted.iter().eq(&standard) && sorted.first() == standard.first());
            let json = serde_json::to_string(&sorted).expect("numbers");
            prop_assert_eq!(&json, &serde_json::to_string(&standard).expect("numbers"));
            prop_assert_eq!(serde_json::from_str::<SortedSet<u8>>(&json).ok(), Some(sorted.clone()));
            prop_assert_eq!(SortedSet::from(standard), sorted);
        }
    }

    #[test]
    fn of_a_key_that_is_written_twice_the_last_value_counts() {
        let text = r#"{"b":1,"a":2,"b":3}"#;
        let standard: BTreeMap<String, u8> = serde_json::from_str(text).expect("good JSON");
        let sorted: SortedMap<String, u8> = serde_json::from_str(text).expect("good JSON");
        assert!(sorted.iter().eq(&standard));
    }

    #[test]
    fn what_is_no_map_or_list_is_refused_in_the_same_words() {
        let words = |error: Option<serde_json::Error>| error.map(|it| it.to_string());
        for text in ["[]", "1", "{\"a\":\"b\"}", "[1"] {
            let standard = serde_json::from_str::<BTreeMap<String, u8>>(text).err();
            let sorted = serde_json::from_str::<SortedMap<String, u8>>(text).err();
            assert_eq!(words(sorted), words(standard), "{text}");
            let standard = serde_json::from_str::<BTreeSet<u8>>(text).err();
            let sorted = serde_json::from_str::<SortedSet<u8>>(text).err();
            assert_eq!(words(sorted), words(standard), "{text}");
        }
    }
}
