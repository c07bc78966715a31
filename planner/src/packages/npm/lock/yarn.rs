//! `yarn.lock` of yarn 2 and newer.
//!
//! Source: yarn's own files; the format is the output of its `stringifySyml`, which is YAML. A key
//! lists the requests that an entry answers, `lodash@npm:^4.17.0, lodash@npm:^4.17.21`. A request
//! that a resolution rewrote is in no key: then every entry of the name counts.

use std::borrow::Cow;

use foldhash::{HashMap, HashMapExt as _};

use super::ROOT_TOOLS;
use crate::packages::{
    document::{self, Collect, Node, Table},
    lock::{Entry, Lock, Need},
};

/// One entry; what it is resolved to is its id.
struct Locked<'t> {
    /// The requests that it answers.
    key: Cow<'t, str>,
    id: Cow<'t, str>,
    version: Cow<'t, str>,
    checksum: Node<'t>,
    /// Names and ranges.
    asks: Table<'t>,
    settings: Table<'t>,
}

impl<'t> Locked<'t> {
    fn new(key: Cow<'t, str>, table: Table<'t>) -> Result<Self, String> {
        let mut locked = Self {
            key,
            id: Cow::Borrowed(""),
            version: Cow::Borrowed(""),
            checksum: Node::Null,
            asks: Table::new(),
            settings: Table::new(),
        };
        for (key, value) in table {
            match key.as_ref() {
                "resolution" => locked.id = value.into_text(),
                "version" => locked.version = value.into_text(),
                "checksum" => locked.checksum = value,
                "dependencies" | "optionalDependencies" if locked.asks.is_empty() => {
                    locked.asks = value.into_table();
                }
                "dependencies" | "optionalDependencies" => locked.asks.extend(value.into_table()),
                _ => locked.settings.push((key, value)),
            }
        }
        if locked.id.is_empty() {
            return Err(format!("`{}` has no resolution", locked.key));
        }
        Ok(locked)
    }
}

#[derive(Default)]
struct LockedEntries<'t>(Vec<Locked<'t>>);

impl<'t> Collect<'t> for LockedEntries<'t> {
    fn wants(&self, of: &str) -> bool {
        of.is_empty()
    }

    fn take(
        &mut self,
        _: &str,
        key: &Cow<'t, str>,
        value: Node<'t>,
    ) -> Result<Option<Node<'t>>, String> {
        if key == "__metadata" {
            return Ok(Some(value));
        }
        self.0.push(Locked::new(key.clone(), value.into_table())?);
        Ok(None)
    }
}

pub(super) fn read(text: &str) -> Result<Lock<'_>, String> {
    let (file, LockedEntries(all)) = document::yaml_collected(text)?;
    if file.is_empty() && all.is_empty() {
        return Err("it holds no entries".to_owned());
    }
    let metadata = file.into_iter().next().map_or(Node::Null, |(_, metadata)| metadata);
    let mut answers: HashMap<&str, usize> = HashMap::with_capacity(all.len());
    let mut of_name: HashMap<&str, Vec<usize>> = HashMap::with_capacity(all.len());
    // Patched entries stand beside the ones they patch, under requests of their own.
    let mut patches: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut by_id: HashMap<&str, usize> = HashMap::new();
    for (at, locked) in all.iter().enumerate() {
        let (name, reference) = split(&locked.id);
        by_id.insert(&locked.id, at);
        of_name.entry(name).or_default().push(at);
        if reference.starts_with("patch:") {
            patches.entry(name).or_default().push(at);
        }
        for request in locked.key.split(", ") {
            answers.insert(request, at);
            let asked = split(request).0;
            if asked != name {
                of_name.entry(asked).or_default().push(at);
            }
        }
    }
    let mut full = String::new();
    let mut find = |name: &str, range: &str| -> Vec<usize> {
        full.clear();
        full.extend([name, "@", range]);
        let mut found = answers.get(full.as_str());
        if found.is_none() {
            full.clear();
            full.extend([name, "@npm:", range]);
            found = answers.get(full.as_str());
        }
        match found {
            Some(&at) => {
                [at].into_iter().chain(patches.get(name).into_iter().flatten().copied()).collect()
            }
            None => of_name.get(name).cloned().unwrap_or_default(),
        }
    };
    let mut needs: Vec<Vec<usize>> = Vec::with_capacity(all.len());
    let mut of_tree: Vec<(Cow<'_, str>, usize)> = Vec::new();
    for (at, locked) in all.iter().enumerate() {
        let reference = split(&locked.id).1;
        let mut of_entry = Vec::with_capacity(locked.asks.len());
        for (name, range) in &locked.asks {
            of_entry.extend(find(name, range.as_text().unwrap_or_default()));
        }
        if let Some(patched) = reference.strip_prefix("patch:") {
            // `patch:lodash@npm%3A4.17.21#…` is made of that entry.
            let inner = patched.split('#').next().unwrap_or(patched).replace("%3A", ":");
            let (name, range) = split(&inner);
            of_entry.extend(find(name, range).into_iter().filter(|&it| it != at));
        }
        if let Some(dir) = reference.strip_prefix("workspace:") {
            of_tree.push((Cow::Owned(dir.to_owned()), at));
            if dir == "." {
                let tools = of_entry.iter().filter(|&&it| !all[it].id.contains("@workspace:"));
                of_tree.extend(tools.map(|&tool| (Cow::Borrowed(ROOT_TOOLS), tool)));
            }
        }
        needs.push(of_entry);
    }
    let entries = all.into_iter().zip(needs).map(|(locked, needs)| {
        let (name, reference) = split(&locked.id);
        let (version, fields) = if reference.starts_with("workspace:") {
            (Cow::Borrowed("in the tree"), Vec::new())
        } else {
            let settings = Node::Table(locked.settings).sorted();
            (locked.version, vec![("checksum", locked.checksum), ("settings", settings)])
        };
        Entry {
            name: name.to_owned().into(),
            version,
            fields,
            needs: needs.into_iter().map(Need::Entry).collect(),
            id: locked.id,
        }
    });
    let mut lock = Lock::new(entries.collect(), of_tree);
    lock.rest("__metadata", metadata);
    Ok(lock)
}

/// Name and the rest of `@scope/name@npm:1.0.0`.
fn split(request: &str) -> (&str, &str) {
    match request.get(1..).and_then(|rest| rest.find('@')) {
        Some(at) => (&request[..=at], &request[at + 2..]),
        None => (request, ""),
    }
}
