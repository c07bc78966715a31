//! `yarn.lock` of yarn 2 and newer.
//!
//! Source: yarn's own files; the format is the output of its `stringifySyml`, which is YAML. A key
//! lists the requests that an entry answers, `lodash@npm:^4.17.0, lodash@npm:^4.17.21`. A request
//! that a resolution rewrote is in no key: then every entry of the name counts.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::Value;

use super::{ROOT_TOOLS, canonical, table, yaml};
use crate::packages::{Lock, lock::Entry};

const KINDS: [&str; 2] = ["dependencies", "optionalDependencies"];

pub(super) fn read(text: &str) -> Result<Lock, String> {
    let file = yaml(text)?;
    let Some(entries) = file.as_object() else {
        return Err("it holds no entries".to_owned());
    };
    let entries: Vec<(&str, &Value, &str)> = entries
        .iter()
        .filter(|(key, _)| *key != "__metadata")
        .map(|(key, entry)| {
            let id = entry.get("resolution").and_then(Value::as_str);
            id.map(|id| (key.as_str(), entry, id))
                .ok_or_else(|| format!("`{key}` has no resolution"))
        })
        .collect::<Result<_, _>>()?;
    let mut answers: HashMap<&str, &str> = HashMap::new();
    let mut of_name: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    // Patched entries stand beside the ones they patch, under requests of their own.
    let mut patches: HashMap<&str, BTreeSet<&str>> = HashMap::new();
    for (key, _, id) in &entries {
        let (name, reference) = split(id);
        of_name.entry(name).or_default().insert(id);
        if reference.starts_with("patch:") {
            patches.entry(name).or_default().insert(id);
        }
        for request in key.split(", ") {
            answers.insert(request, id);
            of_name.entry(split(request).0).or_default().insert(id);
        }
    }
    let find = |name: &str, range: &str| -> BTreeSet<String> {
        let plain = format!("{name}@{range}");
        let full = format!("{name}@npm:{range}");
        let found = answers.get(plain.as_str()).or_else(|| answers.get(full.as_str()));
        let (found, patches) = match found {
            Some(id) => (BTreeSet::from([*id]), patches.get(name)),
            None => (of_name.get(name).cloned().unwrap_or_default(), None),
        };
        found.into_iter().chain(patches.into_iter().flatten().copied()).map(str::to_owned).collect()
    };
    let mut lock = Lock::default();
    for (_, entry, id) in &entries {
        let (name, reference) = split(id);
        let mut dependencies = BTreeSet::new();
        for (name, range) in KINDS.iter().flat_map(|kind| table(entry, kind)) {
            dependencies.extend(find(name, range.as_str().unwrap_or_default()));
        }
        if let Some(patched) = reference.strip_prefix("patch:") {
            // `patch:lodash@npm%3A4.17.21#…` is made of that entry.
            let inner = patched.split('#').next().unwrap_or(patched).replace("%3A", ":");
            let (name, range) = split(&inner);
            dependencies.extend(find(name, range).into_iter().filter(|it| it != id));
        }
        let workspace = reference.strip_prefix("workspace:");
        let mut fields = BTreeMap::new();
        if let Some(dir) = workspace {
            lock.package(dir, *id);
            if dir == "." {
                for tool in dependencies.iter().filter(|it| !it.contains("@workspace:")) {
                    lock.package(ROOT_TOOLS, tool.as_str());
                }
            }
        } else {
            let checksum = entry.get("checksum").map(canonical).unwrap_or_default();
            fields.insert("checksum", checksum);
            let read =
                ["checksum", "version", "resolution", "dependencies", "optionalDependencies"];
            let rest = entry.as_object().into_iter().flatten();
            let rest = rest.filter(|(key, _)| !read.contains(&key.as_str()));
            let rest = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
            fields.insert("settings", canonical(&Value::Object(rest)));
        }
        let version = match workspace {
            Some(_) => "in the tree".to_owned(),
            None => entry.get("version").and_then(Value::as_str).unwrap_or_default().to_owned(),
        };
        lock.insert(*id, Entry { name: name.to_owned(), version, fields, dependencies });
    }
    lock.rest("__metadata", file.get("__metadata").map(canonical).unwrap_or_default());
    Ok(lock)
}

/// Name and the rest of `@scope/name@npm:1.0.0`.
fn split(request: &str) -> (&str, &str) {
    match request.get(1..).and_then(|rest| rest.find('@')) {
        Some(at) => (&request[..=at], &request[at + 2..]),
        None => (request, ""),
    }
}
