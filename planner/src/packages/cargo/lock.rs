//! `Cargo.lock`: every version of the format.
//!
//! Features are not looked at: a dependency that is locked counts, whatever switches it on. Format:
//! <https://doc.rust-lang.org/cargo/guide/cargo-toml-vs-cargo-lock.html> and Cargo's `encode.rs`.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use toml::Value;

use crate::packages::lock::{Entry, Lock};

#[derive(Default)]
struct File {
    package: Vec<Locked>,
    metadata: BTreeMap<String, Value>,
    rest: BTreeMap<String, Value>,
}

/// By hand: with `flatten`, every entry would be kept in a form between first.
impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;
        impl<'de> Visitor<'de> for Keys {
            type Value = File;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("a lock file")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<File, A::Error> {
                let mut file = File::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "package" => file.package = map.next_value()?,
                        "metadata" => file.metadata = map.next_value()?,
                        _ => drop(file.rest.insert(key, map.next_value()?)),
                    }
                }
                Ok(file)
            }
        }
        deserializer.deserialize_map(Keys)
    }
}

#[derive(Deserialize)]
struct Locked {
    name: String,
    #[serde(default)]
    version: String,
    source: Option<String>,
    checksum: Option<String>,
    replace: Option<String>,
    #[serde(default)]
    dependencies: Vec<String>,
}

impl Locked {
    fn id(&self) -> String {
        let source = self.source.as_deref().unwrap_or_default();
        format!("{} {} ({source})", self.name, self.version)
    }
}

/// Reads a lock file.
pub(super) fn read(text: &str) -> Result<Lock, String> {
    let file: File = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    let ids: Vec<String> = file.package.iter().map(Locked::id).collect();
    let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, package) in file.package.iter().enumerate() {
        named.entry(&package.name).or_default().push(at);
    }
    // `name`, `name version` or `name version (source)`: as much as is needed to be unique.
    let resolve = |written: &str| {
        let mut words = written.splitn(3, ' ');
        let name = words.next().unwrap_or_default();
        let (version, source) = (words.next(), words.next());
        let source = source.map(|source| source.trim_matches(['(', ')']));
        let fits = |at: &&usize| {
            let package = &file.package[**at];
            version.is_none_or(|version| version == package.version)
                && source.is_none_or(|source| package.source.as_deref() == Some(source))
        };
        let mut found = named.get(name).into_iter().flatten().filter(fits).peekable();
        let known: Vec<String> = found.by_ref().map(|&at| ids[at].clone()).collect();
        if known.is_empty() { vec![written.to_owned()] } else { known }
    };
    let mut checksums: BTreeMap<String, String> = BTreeMap::new();
    let mut lock = Lock::default();
    for (key, value) in file.metadata {
        match key.strip_prefix("checksum ") {
            // Formats 1 and 2 have them apart; `<none>` stands for none.
            Some(id) => {
                checksums.insert(id.to_owned(), value.as_str().unwrap_or_default().to_owned());
            }
            None => lock.rest(format!("metadata.{key}"), value.to_string()),
        }
    }
    for (key, value) in file.rest {
        lock.rest(key, value.to_string());
    }
    for (package, id) in file.package.iter().zip(&ids) {
        let mut fields = BTreeMap::new();
        let checksum = package.checksum.clone().or_else(|| checksums.get(id).cloned());
        fields.extend(checksum.map(|checksum| ("checksum", checksum)));
        fields.extend(package.source.clone().map(|source| ("source", source)));
        fields.extend(package.replace.clone().map(|replace| ("replace", replace)));
        let replaced = package.replace.iter();
        let entry = Entry {
            name: package.name.clone(),
            version: package.version.clone(),
            fields,
            dependencies: package
                .dependencies
                .iter()
                .chain(replaced)
                .flat_map(|it| resolve(it))
                .collect(),
        };
        lock.insert(id, entry);
        if package.source.is_none() {
            lock.package(&package.name, id);
        }
    }
    Ok(lock)
}
