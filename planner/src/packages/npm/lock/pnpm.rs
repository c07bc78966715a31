//! `pnpm-lock.yaml`, version 9.
//!
//! Source: pnpm/spec, `lockfile/9.0.md`. `importers` are the packages of the tree, `snapshots` what
//! is installed, `packages` where it comes from. `overrides`, `catalogs` and `patchedDependencies`
//! need no reading: what they bring about stands in the other three.

use std::borrow::Cow;

use foldhash::HashMap;

use super::ROOT_TOOLS;
use crate::packages::{
    document::{self, Collect, Node, Table},
    join,
    lock::{Entry, Lock, Need},
};

const KINDS: [&str; 3] = ["dependencies", "devDependencies", "optionalDependencies"];

/// What is installed, and what each asks for: names and what they are resolved to.
struct Snapshot<'t> {
    id: Cow<'t, str>,
    asks: Vec<(Cow<'t, str>, Cow<'t, str>)>,
}

#[derive(Default)]
struct Installed<'t> {
    snapshots: Vec<Snapshot<'t>>,
    /// What decides what is installed, by id.
    packages: HashMap<Cow<'t, str>, Fields<'t>>,
}

type Fields<'t> = Vec<(&'static str, Node<'t>)>;

impl<'t> Collect<'t> for Installed<'t> {
    fn wants(&self, of: &str) -> bool {
        of == "packages" || of == "snapshots"
    }

    fn take(
        &mut self,
        of: &str,
        key: &Cow<'t, str>,
        value: Node<'t>,
    ) -> Result<Option<Node<'t>>, String> {
        if of == "packages" {
            self.packages.insert(key.clone(), fields(value));
            return Ok(None);
        }
        let mut of_kind = KINDS.map(|_| Table::new());
        for (key, value) in value.into_table() {
            if let Some(kind) = KINDS.iter().position(|kind| *kind == key) {
                of_kind[kind] = value.into_table();
            }
        }
        let asks = of_kind.into_iter().flatten();
        let asks = asks.map(|(name, version)| (name, version.into_text())).collect();
        self.snapshots.push(Snapshot { id: key.clone(), asks });
        Ok(None)
    }
}

pub(super) fn read(text: &str) -> Result<Lock<'_>, String> {
    let mut version = Node::Null;
    let mut importers = Table::new();
    let mut rest = Table::new();
    let (file, Installed { snapshots, packages }) = document::yaml_collected(text)?;
    for (key, value) in file {
        match key.as_ref() {
            "lockfileVersion" => {
                version = value.clone();
                rest.push((key, value));
            }
            "importers" => importers = value.into_table(),
            "packages"
            | "snapshots"
            | "overrides"
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
    let dirs: HashMap<&str, usize> =
        importers.iter().map(|(dir, _)| dir.as_ref()).zip(0..).collect();
    let known: HashMap<&str, usize> =
        snapshots.iter().map(|it| it.id.as_ref()).zip(importers.len()..).collect();
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
    for Snapshot { id, asks } in &snapshots {
        let plain = id.split_once('(').map_or(id.as_ref(), |(plain, _)| plain);
        let from = packages.get(plain).or_else(|| packages.get(id.as_ref()));
        let mut needs = Vec::with_capacity(asks.len());
        for (name, version) in asks {
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
            fields: from.cloned().unwrap_or_default(),
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
fn fields(from: Node<'_>) -> Fields<'_> {
    let (mut integrity, mut source, mut settings) = (Node::Null, Table::new(), Table::new());
    for (key, value) in from.into_table() {
        match key.as_ref() {
            "resolution" => {
                for (key, value) in value.into_table() {
                    match key.as_ref() {
                        "integrity" => integrity = value,
                        _ => source.push((key, value)),
                    }
                }
            }
            "engines" | "deprecated" => {}
            _ => settings.push((key, value)),
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
