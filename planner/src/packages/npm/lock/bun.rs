//! `bun.lock`, bun's lock file as text.
//!
//! Source: bun's page "Lockfile" and its own files: JSON with comments and trailing commas.
//! `packages` is keyed by the path of names through which a package is found (`lodash`,
//! `web/lodash`), each with what it is resolved to, its source, its dependencies and its checksum.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::{ROOT_TOOLS, canonical, located, located::Located, table};
use crate::packages::Lock;

const KINDS: [&str; 4] =
    ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

pub(super) fn read(text: &str) -> Result<Lock, String> {
    let file: Value = serde_json::from_str(&plain_json(text)).map_err(|error| error.to_string())?;
    let (Some(workspaces), Some(packages)) = (
        file.get("workspaces").and_then(Value::as_object),
        file.get("packages").and_then(Value::as_object),
    ) else {
        return Err("it has no `workspaces` and `packages`".to_owned());
    };
    // First the packages of the tree, then what is installed.
    let packages: Vec<(&str, &Value)> =
        packages.iter().map(|(path, package)| (path.as_str(), package)).collect();
    let dirs: HashMap<&str, usize> = workspaces.keys().map(String::as_str).zip(0..).collect();
    let number: HashMap<&str, usize> =
        packages.iter().map(|(path, _)| *path).zip(workspaces.len()..).collect();
    let follow = |at: usize| {
        let resolved = packages.get(at - workspaces.len())?.1.get(0)?.as_str()?;
        match resolved.split_once("@workspace:") {
            Some((_, dir)) => dirs.get(dir).copied(),
            None => Some(at),
        }
    };
    let find = |from: &str, name: &str| {
        let mut above = Some(from);
        while let Some(path) = above {
            let slash = if path.is_empty() { "" } else { "/" };
            if let Some(&at) = number.get(format!("{path}{slash}{name}").as_str()) {
                return follow(at);
            }
            above = (!path.is_empty()).then(|| parent(path));
        }
        None
    };
    let mut nodes = Vec::new();
    for (dir, workspace) in workspaces {
        let name = workspace.get("name").and_then(Value::as_str).unwrap_or(dir);
        let from = if dir.is_empty() { "" } else { name };
        let needs = KINDS.iter().flat_map(|kind| table(workspace, kind));
        nodes.push(Located {
            name: if name.is_empty() { ".".to_owned() } else { name.to_owned() },
            version: format!("in {dir}"),
            fields: BTreeMap::new(),
            dependencies: needs.filter_map(|(name, _)| find(from, name)).collect(),
        });
    }
    for &(path, package) in &packages {
        let resolved = package.get(0).and_then(Value::as_str).unwrap_or_default();
        let at = resolved.get(1..).and_then(|rest| rest.find('@'));
        let (name, version) = match at {
            Some(at) => (&resolved[..=at], &resolved[at + 2..]),
            None => (path, resolved),
        };
        let details = package.as_array().into_iter().flatten().skip(1);
        let mut dependencies = Vec::new();
        let mut fields = BTreeMap::new();
        for detail in details {
            match detail {
                Value::Object(table) => {
                    let needs = KINDS.iter().flat_map(|kind| super::table(detail, kind));
                    dependencies.extend(needs.filter_map(|(name, _)| find(path, name)));
                    let rest = table.iter().filter(|(key, _)| !KINDS.contains(&key.as_str()));
                    let rest = rest.map(|(key, value)| (key.clone(), value.clone())).collect();
                    fields.insert("settings", canonical(&Value::Object(rest)));
                }
                Value::String(text) if text.starts_with("sha") => {
                    fields.insert("integrity", text.clone());
                }
                other => {
                    fields.insert("source", canonical(other));
                }
            }
        }
        nodes.push(Located {
            name: name.to_owned(),
            version: version.to_owned(),
            fields,
            dependencies,
        });
    }
    let mut lock = Lock::default();
    let ids = located::add(&nodes, &mut lock);
    for (at, dir) in workspaces.keys().enumerate() {
        lock.package(if dir.is_empty() { "." } else { dir }, ids[at].clone());
        if dir.is_empty() {
            for &tool in nodes[at].dependencies.iter().filter(|&&tool| tool >= workspaces.len()) {
                lock.package(ROOT_TOOLS, ids[tool].clone());
            }
        }
    }
    for (key, value) in file.as_object().into_iter().flatten() {
        // `overrides` and catalogs: what they bring about stands in the packages.
        let read = ["workspaces", "packages", "overrides", "catalog", "catalogs"];
        if !read.contains(&key.as_str()) {
            lock.rest(key.as_str(), canonical(value));
        }
    }
    Ok(lock)
}

/// The path without its last name, which may have a scope.
fn parent(path: &str) -> &str {
    let Some((above, _)) = path.rsplit_once('/') else { return "" };
    let last = above.rsplit_once('/').map_or(above, |(_, last)| last);
    if last.starts_with('@') {
        above.strip_suffix(last).unwrap_or("").trim_end_matches('/')
    } else {
        above
    }
}

/// The same without comments and trailing commas.
pub(crate) fn plain_json(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' => {
                plain.push('"');
                while let Some(character) = characters.next() {
                    plain.push(character);
                    match character {
                        '\\' => plain.extend(characters.next()),
                        '"' => break,
                        _ => {}
                    }
                }
            }
            '/' if characters.peek() == Some(&'/') => {
                characters.by_ref().find(|&it| it == '\n');
            }
            '/' if characters.peek() == Some(&'*') => {
                characters.next();
                let mut before = ' ';
                for character in characters.by_ref() {
                    if before == '*' && character == '/' {
                        break;
                    }
                    before = character;
                }
            }
            ']' | '}' => {
                let end = plain.trim_end().len();
                if plain[..end].ends_with(',') {
                    plain.truncate(end - 1);
                }
                plain.push(character);
            }
            character => plain.push(character),
        }
    }
    plain
}
