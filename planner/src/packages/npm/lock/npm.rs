//! `package-lock.json` and `npm-shrinkwrap.json`, version 2 and 3.
//!
//! Source: npm's page `package-lock.json`. The list `packages` is read; `dependencies` of version 2
//! repeats it for older readers. What a name means at a place is found as node finds it: in the
//! nearest `node_modules` on the way up.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{ROOT_TOOLS, canonical, located, located::Located, table};
use crate::packages::Lock;

const KINDS: [&str; 4] =
    ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];
/// Fields that say nothing about what is installed, or are followed by themselves.
const PASSED_OVER: [&str; 12] = [
    "version",
    "resolved",
    "integrity",
    "name",
    "dev",
    "devOptional",
    "peer",
    "extraneous",
    "funding",
    "license",
    "deprecated",
    "engines",
];

pub(super) fn read(text: &str) -> Result<Lock, String> {
    let mut document = serde_json::Deserializer::from_str(text);
    let file = Part::File.deserialize(&mut document).and_then(|file| {
        document.end()?;
        Ok(file)
    });
    let file = file.map_err(|error| error.to_string())?;
    let version = file.get("lockfileVersion").and_then(Value::as_u64);
    let Some(packages) = file.get("packages").and_then(Value::as_object) else {
        return Err(match version {
            Some(1) | None => "version 1 does not say what its packages depend on".to_owned(),
            Some(_) => "it has no `packages`".to_owned(),
        });
    };
    let packages: Vec<(&str, &Value)> =
        packages.iter().map(|(place, entry)| (place.as_str(), entry)).collect();
    let number: HashMap<&str, usize> = packages.iter().map(|(place, _)| *place).zip(0..).collect();
    // A link stands for the directory that it leads to.
    let follow = |at: usize| {
        let (_, entry) = packages.get(at)?;
        if entry.get("link").and_then(Value::as_bool) != Some(true) {
            return Some(at);
        }
        number.get(entry.get("resolved")?.as_str()?).copied()
    };
    let find = |from: &str, name: &str| {
        let mut above = Some(from);
        while let Some(dir) = above {
            if dir != "node_modules" && !dir.ends_with("/node_modules") {
                let slash = if dir.is_empty() { "" } else { "/" };
                let place = format!("{dir}{slash}node_modules/{name}");
                if let Some(&at) = number.get(place.as_str()) {
                    return follow(at);
                }
            }
            above = (!dir.is_empty()).then(|| dir.rsplit_once('/').map_or("", |(dir, _)| dir));
        }
        None
    };
    let mut nodes = Vec::with_capacity(packages.len());
    for &(place, entry) in &packages {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
        let of_place = place.rsplit_once("node_modules/").map_or(place, |(_, name)| name);
        let own = text("name");
        let name = if own.is_empty() { of_place } else { own };
        let mut dependencies = Vec::new();
        let installed = place.contains("node_modules/");
        for kind in KINDS {
            if installed && kind == "devDependencies" {
                continue;
            }
            dependencies.extend(table(entry, kind).filter_map(|(name, _)| find(place, name)));
        }
        let mut fields = BTreeMap::new();
        if installed {
            fields.insert("integrity", text("integrity").to_owned());
            fields.insert("source", text("resolved").to_owned());
            // Scripts that run, platforms it is for, programs it brings.
            let rest: serde_json::Map<String, Value> = entry
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(key, _)| !PASSED_OVER.contains(&key.as_str()) && !is_kind(key))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect();
            fields.insert("settings", canonical(&Value::Object(rest)));
        }
        nodes.push(Located {
            name: if name.is_empty() { ".".to_owned() } else { name.to_owned() },
            // A package of the tree has a version of its own only for people who publish it.
            version: if installed { text("version").to_owned() } else { format!("in {place}") },
            fields,
            dependencies,
        });
    }
    let mut lock = Lock::default();
    let ids = located::add(&nodes, &mut lock);
    for (at, &(place, entry)) in packages.iter().enumerate() {
        if place.contains("node_modules/") || entry.get("link").is_some() {
            continue;
        }
        lock.package(if place.is_empty() { "." } else { place }, ids[at].clone());
        if place.is_empty() {
            for &tool in &nodes[at].dependencies {
                if packages[tool].0.contains("node_modules/") {
                    lock.package(ROOT_TOOLS, ids[tool].clone());
                }
            }
        }
    }
    lock.rest("lockfileVersion", format!("{version:?}"));
    for (key, value) in file.as_object().into_iter().flatten() {
        let read = ["name", "version", "lockfileVersion", "requires", "packages", "dependencies"];
        if !read.contains(&key.as_str()) {
            lock.rest(key.as_str(), canonical(value));
        }
    }
    Ok(lock)
}

/// A table of the file. What is looked at nowhere is passed over while the text is read.
#[derive(Clone, Copy)]
enum Part {
    File,
    Packages,
    Package,
}

impl Part {
    fn is_passed_over(self, key: &str) -> bool {
        match self {
            Self::File => matches!(key, "dependencies" | "requires"),
            Self::Packages => false,
            Self::Package => matches!(
                key,
                "dev"
                    | "devOptional"
                    | "peer"
                    | "extraneous"
                    | "funding"
                    | "license"
                    | "deprecated"
                    | "engines"
            ),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Part {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Value;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a table")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = match self {
                _ if self.is_passed_over(&key) => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                Self::File if key == "packages" => map.next_value_seed(Self::Packages)?,
                Self::Packages => map.next_value_seed(Self::Package)?,
                Self::File | Self::Package => map.next_value()?,
            };
            values.insert(key, value);
        }
        Ok(Value::Object(values))
    }
}

/// Whether a field lists what is depended on; what it leads to is compared instead.
fn is_kind(key: &str) -> bool {
    KINDS.contains(&key) || key == "peerDependenciesMeta"
}
