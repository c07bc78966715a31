//! A plan's text in its canonical form, piece by piece: its digest and version are known without the
//! document ever being in memory as a tree of values.
//!
//! The form is that of [`mod@crate::document`]: pretty JSON, two spaces, keys in the order in which
//! they came, without the key `digest` of the document itself. Knows JSON and those two keys; what the
//! rest means is not looked at.

use std::{borrow::Cow, collections::BTreeSet, fmt, io};

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::document::{NoDuplicates, digest_of_hash, stands_twice};

/// What is known of a document without reading its parts.
pub(crate) struct Outline {
    /// The value of `format_version`, if there is one.
    pub(crate) version: Option<Value>,
    /// The value of `digest`, if there is one.
    pub(crate) digest: Option<Value>,
    /// The digest that the rest has.
    pub(crate) computed: String,
    /// Whether it is an object.
    pub(crate) is_object: bool,
}

impl Outline {
    /// Reads a whole text as JSON none of whose objects has a key twice.
    ///
    /// # Errors
    ///
    /// The first place that is no such JSON.
    pub(crate) fn of(text: &[u8]) -> Result<Self, serde_json::Error> {
        let mut form = Canonical { out: Hashing::default(), depth: 0 };
        let mut top = Top::default();
        let mut from = serde_json::Deserializer::from_slice(text);
        Element { form: &mut form, top: Some(&mut top) }.deserialize(&mut from)?;
        from.end()?;
        let Top { version, digest, is_object } = top;
        Ok(Self { version, digest, is_object, computed: form.out.finish() })
    }
}

/// The keys of the document itself that are looked at.
#[derive(Default)]
struct Top {
    version: Option<Value>,
    digest: Option<Value>,
    is_object: bool,
}

/// Bytes on their way into a hash. Most pieces are a few bytes long, so that they are collected first.
struct Hashing {
    hash: Sha256,
    pending: Vec<u8>,
}

const BLOCK: usize = 16 * 1024;

impl Default for Hashing {
    fn default() -> Self {
        Self { hash: Sha256::new(), pending: Vec::with_capacity(2 * BLOCK) }
    }
}

impl Hashing {
    fn finish(mut self) -> String {
        self.pending.push(b'\n');
        self.hash.update(&self.pending);
        digest_of_hash(&self.hash.finalize())
    }
}

impl io::Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= BLOCK {
            self.hash.update(&self.pending);
            self.pending.clear();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The canonical form so far.
struct Canonical {
    out: Hashing,
    depth: usize,
}

impl Canonical {
    fn put(&mut self, bytes: &[u8]) {
        let _ = io::Write::write(&mut self.out, bytes);
    }

    fn line(&mut self) {
        self.put(b"\n");
        for _ in 0..self.depth {
            self.put(b"  ");
        }
    }

    fn scalar<E: serde::de::Error>(
        &mut self,
        value: &(impl serde::Serialize + ?Sized),
    ) -> Result<(), E> {
        serde_json::to_writer(&mut self.out, value).map_err(E::custom)
    }

    /// Starts an entry of a list or an object that holds something already or does not.
    fn entry(&mut self, empty: &mut bool) {
        if !*empty {
            self.put(b",");
        }
        *empty = false;
        self.line();
    }

    fn open(&mut self, sign: &[u8]) {
        self.put(sign);
        self.depth += 1;
    }

    fn close(&mut self, sign: &[u8], empty: bool) {
        self.depth -= 1;
        if !empty {
            self.line();
        }
        self.put(sign);
    }
}

/// The next value.
struct Element<'f> {
    form: &'f mut Canonical,
    /// Of the document itself.
    top: Option<&'f mut Top>,
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

/// The next entry of a list, with what stands between two of them.
struct Entry<'f> {
    form: &'f mut Canonical,
    empty: &'f mut bool,
}

impl<'de> DeserializeSeed<'de> for Entry<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.form.entry(self.empty);
        from.deserialize_any(Element { form: self.form, top: None })
    }
}

/// A key, borrowed where the text has it as it is.
struct Name;

impl<'de> DeserializeSeed<'de> for Name {
    type Value = Cow<'de, str>;

    fn deserialize<D: serde::Deserializer<'de>>(self, from: D) -> Result<Cow<'de, str>, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Name {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.form.scalar(&())
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<(), E> {
        self.form.scalar(&value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<(), E> {
        self.form.scalar(&value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<(), E> {
        self.form.scalar(&value)
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<(), E> {
        self.form.scalar(&value)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<(), E> {
        self.form.scalar(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<(), A::Error> {
        let form = self.form;
        let mut empty = true;
        form.open(b"[");
        while from.next_element_seed(Entry { form: &mut *form, empty: &mut empty })?.is_some() {}
        form.close(b"]", empty);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<(), A::Error> {
        let Element { form, mut top } = self;
        if let Some(top) = &mut top {
            top.is_object = true;
        }
        let mut empty = true;
        let mut keys: BTreeSet<Cow<'de, str>> = BTreeSet::new();
        form.open(b"{");
        while let Some(key) = from.next_key_seed(Name)? {
            match (&mut top, &*key) {
                (Some(top), "digest") => {
                    let NoDuplicates(value) = from.next_value()?;
                    top.digest.get_or_insert(value);
                }
                (top, name) => {
                    form.entry(&mut empty);
                    form.scalar(name)?;
                    form.put(b": ");
                    match top {
                        Some(top) if name == "format_version" => {
                            let NoDuplicates(value) = from.next_value()?;
                            // Of any other value there is no document to be hashed.
                            if let Value::String(text) = &value {
                                form.scalar(text)?;
                            }
                            top.version.get_or_insert(value);
                        }
                        _ => from.next_value_seed(Element { form: &mut *form, top: None })?,
                    }
                }
            }
            if keys.contains(&key) {
                return Err(stands_twice(&key));
            }
            keys.insert(key);
        }
        form.close(b"}", empty);
        Ok(())
    }
}
