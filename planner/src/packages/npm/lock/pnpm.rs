//! `pnpm-lock.yaml`, version 9.
//!
//! Source: pnpm/spec, `lockfile/9.0.md`. `importers` are the packages of the tree, `snapshots` what
//! is installed, `packages` where it comes from. `overrides`, `catalogs` and `patchedDependencies`
//! need no reading: what they bring about stands in the other three.

use std::{borrow::Cow, collections::HashMap};

use super::ROOT_TOOLS;
use crate::packages::{
    document::{self, Node, Table},
    join,
    lock::{Entry, Lock, Need},
};

const KINDS: [&str; 3] = ["dependencies", "devDependencies", "optionalDependencies"];

pub(super) fn read(text: &str) -> Result<Lock<'_>, String> {
    let mut version = Node::Null;
    let (mut importers, mut packages, mut snapshots) = (Table::new(), Node::Null, Table::new());
    let mut rest = Table::new();
    for (key, value) in document::yaml(text)?.into_table() {
        match key.as_ref() {
            "lockfileVersion" => {
                version = value.clone();
                rest.push((key, value));
            }
            "importers" => importers = value.into_table(),
            "packages" => packages = value,
            "snapshots" => snapshots = value.into_table(),
            "overrides"
            | "catalogs"
            | "patchedDependencies"
            | "time"
            | "ignoredOptionalDependencies" => {}
            _ => rest.push((key, value)),
        }
    }
    let version = match version {
        Node::Null => String::new(),
        Node::Text(version) => version.into_owned(),
        other => other.to_string(),
    };
    if !version.starts_with("9.") {
        let found = if version.is_empty() { "no version".to_owned() } else { version };
        return Err(format!("it has {found} where version 9 is read"));
    }
    let packages: HashMap<&str, &Node<'_>> =
        packages.entries().iter().map(|(id, package)| (id.as_ref(), package)).collect();
    let dirs: HashMap<&str, usize> =
        importers.iter().map(|(dir, _)| dir.as_ref()).zip(0..).collect();
    let known: HashMap<&str, usize> =
        snapshots.iter().map(|(id, _)| id.as_ref()).zip(importers.len()..).collect();
    let mut id = String::new();
    // What a name and the version that it is resolved to mean: `1.0.0(peer@2)`, `real@1.0.0`.
    let mut target = |name: &str, version: &str| {
        id.clear();
        id.extend([name, "@", version]);
        let found = known.get(id.as_str()).or_else(|| known.get(version));
        found.map_or_else(|| Need::Absent(Cow::Owned(id.clone())), |&at| Need::Entry(at))
    };
    let importer = |dir: &str| match dirs.get(dir) {
        Some(&at) => Need::Entry(at),
        None => Need::Absent(Cow::Owned(importer_id(dir))),
    };
    let mut entries = Vec::with_capacity(importers.len() + snapshots.len());
    let mut of_tree: Vec<(Cow<'_, str>, usize)> = Vec::new();
    for (at, (dir, importer_of_dir)) in importers.iter().enumerate() {
        let mut needs = Vec::new();
        let asks =
            KINDS.iter().filter_map(|kind| importer_of_dir.get(kind)).flat_map(Node::entries);
        for (name, resolved) in asks {
            let version = resolved.as_text().or_else(|| resolved.get("version")?.as_text());
            let version = version.unwrap_or_default();
            if let Some(path) = version.strip_prefix("link:") {
                let base = if dir == "." { "" } else { dir };
                let led = join(base, path).unwrap_or_else(|| path.to_owned());
                needs.push(importer(if led.is_empty() { "." } else { &led }));
                continue;
            }
            let need = target(name, version);
            if let (".", Need::Entry(tool)) = (dir.as_ref(), &need) {
                of_tree.push((Cow::Borrowed(ROOT_TOOLS), *tool));
            }
            needs.push(need);
        }
        of_tree.push((dir.clone(), at));
        entries.push(Entry {
            id: importer_id(dir).into(),
            name: dir.clone(),
            version: "in the tree".into(),
            fields: Vec::new(),
            needs,
        });
    }
    for (id, snapshot) in &snapshots {
        let plain = id.split_once('(').map_or(id.as_ref(), |(plain, _)| plain);
        let from = packages.get(plain).or_else(|| packages.get(id.as_ref()));
        let mut needs = Vec::new();
        let asks = KINDS.iter().filter_map(|kind| snapshot.get(kind)).flat_map(Node::entries);
        for (name, version) in asks {
            let version = version.as_text().unwrap_or_default();
            needs.push(match version.strip_prefix("link:") {
                Some(dir) => importer(dir),
                None => target(name, version),
            });
        }
        let (name, version) = split(plain);
        let version = match id.split_once('(') {
            Some((_, peers)) => format!("{version} ({peers}").into(),
            None => part(id, version),
        };
        entries.push(Entry {
            id: id.clone(),
            name: part(id, name),
            version,
            fields: from.map(|from| fields(from)).unwrap_or_default(),
            needs,
        });
    }
    let mut lock = Lock::new(entries, of_tree);
    for (key, value) in rest {
        lock.rest(key, value);
    }
    Ok(lock)
}

/// What decides what is installed, from `packages`.
fn fields<'t>(from: &Node<'t>) -> Vec<(&'static str, Node<'t>)> {
    let (mut integrity, mut source, mut settings) = (Node::Null, Table::new(), Table::new());
    for (key, value) in from.entries() {
        match key.as_ref() {
            "resolution" => {
                for (key, value) in value.entries() {
                    match key.as_ref() {
                        "integrity" => integrity = value.clone(),
                        _ => source.push((key.clone(), value.clone())),
                    }
                }
            }
            "engines" | "deprecated" => {}
            _ => settings.push((key.clone(), value.clone())),
        }
    }
    vec![
        ("integrity", integrity),
        ("source", Node::Table(source).sorted()),
        ("settings", Node::Table(settings).sorted()),
    ]
}

/// A part of a text that stands in it.
fn part<'t>(whole: &Cow<'t, str>, part: &str) -> Cow<'t, str> {
    match whole {
        Cow::Borrowed(whole) => {
            let found = whole.find(part).map(|at| &whole[at..at + part.len()]);
            found.map_or_else(|| Cow::Owned(part.to_owned()), Cow::Borrowed)
        }
        Cow::Owned(_) => Cow::Owned(part.to_owned()),
    }
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
