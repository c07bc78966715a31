//! `pnpm-lock.yaml`, version 9.
//!
//! Source: pnpm/spec, `lockfile/9.0.md`. `importers` are the packages of the tree, `snapshots` what
//! is installed, `packages` where it comes from. `overrides`, `catalogs` and `patchedDependencies`
//! need no reading: what they bring about stands in the other three.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{ROOT_TOOLS, canonical, table, yaml};
use crate::packages::{Lock, join, lock::Entry};

const KINDS: [&str; 3] = ["dependencies", "devDependencies", "optionalDependencies"];
const READ: [&str; 8] = [
    "importers",
    "packages",
    "snapshots",
    "overrides",
    "catalogs",
    "patchedDependencies",
    "time",
    "ignoredOptionalDependencies",
];

pub(super) fn read(text: &str) -> Result<Lock, String> {
    let file = yaml(text)?;
    let version = match file.get("lockfileVersion") {
        Some(Value::String(version)) => version.clone(),
        Some(number) => number.to_string(),
        None => String::new(),
    };
    if !version.starts_with("9.") {
        let found = if version.is_empty() { "no version".to_owned() } else { version };
        return Err(format!("it has {found} where version 9 is read"));
    }
    let snapshots = file.get("snapshots").and_then(Value::as_object);
    let known = |id: &str| snapshots.is_some_and(|it| it.contains_key(id));
    // What a name and the version that it is resolved to mean: `1.0.0(peer@2)`, `real@1.0.0`.
    let target = |name: &str, version: &str| {
        let id = format!("{name}@{version}");
        if known(&id) || !known(version) { id } else { version.to_owned() }
    };
    let mut lock = Lock::default();
    for (dir, importer) in table(&file, "importers") {
        let mut entry =
            Entry { name: dir.to_owned(), version: "in the tree".to_owned(), ..Entry::default() };
        let mut tools = BTreeSet::new();
        for (name, resolved) in KINDS.iter().flat_map(|kind| table(importer, kind)) {
            let version = match resolved {
                Value::String(version) => version.as_str(),
                table => table.get("version").and_then(Value::as_str).unwrap_or_default(),
            };
            if let Some(path) = version.strip_prefix("link:") {
                let base = if dir == "." { "" } else { dir };
                let led = join(base, path).unwrap_or_else(|| path.to_owned());
                entry.dependencies.insert(importer_id(if led.is_empty() { "." } else { &led }));
            } else {
                tools.insert(target(name, version));
            }
        }
        if dir == "." {
            for tool in &tools {
                lock.package(ROOT_TOOLS, tool.as_str());
            }
        }
        entry.dependencies.extend(tools);
        lock.package(dir, importer_id(dir));
        lock.insert(importer_id(dir), entry);
    }
    let packages = file.get("packages");
    for (id, snapshot) in table(&file, "snapshots") {
        let plain = id.split_once('(').map_or(id, |(plain, _)| plain);
        let from = packages.and_then(|packages| packages.get(plain).or_else(|| packages.get(id)));
        let (name, version) = split(plain);
        let mut fields = BTreeMap::new();
        if let Some(from) = from {
            let resolution = from.get("resolution");
            let integrity = resolution.and_then(|it| it.get("integrity")).map(canonical);
            fields.insert("integrity", integrity.unwrap_or_default());
            let source = resolution.and_then(Value::as_object).map(|source| {
                let rest = source.iter().filter(|(key, _)| *key != "integrity");
                canonical(&Value::Object(rest.map(|(k, v)| (k.clone(), v.clone())).collect()))
            });
            fields.insert("source", source.unwrap_or_default());
            let rest = from.as_object().into_iter().flatten().filter(|(key, _)| {
                !["resolution", "engines", "deprecated"].contains(&key.as_str())
            });
            let rest = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
            fields.insert("settings", canonical(&Value::Object(rest)));
        }
        let mut dependencies = BTreeSet::new();
        for (name, version) in KINDS.iter().flat_map(|kind| table(snapshot, kind)) {
            let version = version.as_str().unwrap_or_default();
            dependencies.insert(match version.strip_prefix("link:") {
                Some(dir) => importer_id(dir),
                None => target(name, version),
            });
        }
        let version = match id.split_once('(') {
            Some((_, peers)) => format!("{version} ({peers}"),
            None => version.to_owned(),
        };
        lock.insert(id, Entry { name: name.to_owned(), version, fields, dependencies });
    }
    for (key, value) in file.as_object().into_iter().flatten() {
        if !READ.contains(&key.as_str()) {
            lock.rest(key.as_str(), canonical(value));
        }
    }
    Ok(lock)
}

fn importer_id(dir: &str) -> String {
    format!("importer {dir}")
}

/// Name and version of `@scope/name@1.0.0`.
fn split(id: &str) -> (&str, &str) {
    match id.get(1..).and_then(|rest| rest.find('@')) {
        Some(at) => (&id[..=at], &id[at + 2..]),
        None => (id, ""),
    }
}
