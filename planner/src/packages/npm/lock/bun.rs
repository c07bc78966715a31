//! `bun.lock`, bun's lock file as text.
//!
//! Source: bun's page "Lockfile" and its own files: JSON with comments and trailing commas.
//! `packages` is keyed by the path of names through which a package is found (`lodash`,
//! `web/lodash`), each with what it is resolved to, its source, its dependencies and its checksum.

use std::borrow::Cow;

use foldhash::HashMap;
use serde::de::DeserializeSeed as _;

use super::{
    ROOT_TOOLS,
    located::{self, Located},
};
use crate::packages::{
    document::{Borrowed, Node, Table},
    lock::Lock,
};

const KINDS: [&str; 4] =
    ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

pub(super) fn read(text: &str) -> Result<Lock<'static>, String> {
    let text = plain_json(text);
    let mut document = serde_json::Deserializer::from_str(&text);
    let file = Borrowed(()).deserialize(&mut document).and_then(|file| {
        document.end()?;
        Ok(file)
    });
    // Its text is one of this function.
    of_file(file.map_err(|error| error.to_string())?.into_table()).map(Lock::into_owned)
}

/// What a package asks for, by name.
fn asks<'a, 't>(of: &'a Node<'t>) -> impl Iterator<Item = &'a str> + use<'a, 't> {
    let tables = KINDS.iter().filter_map(|kind| of.get(kind));
    tables.flat_map(Node::entries).map(|(name, _)| name.as_ref())
}

fn of_file(file: Table<'_>) -> Result<Lock<'_>, String> {
    let (mut workspaces, mut packages, mut rest) = (None, None, Table::new());
    for (key, value) in file {
        match (key.as_ref(), value) {
            ("workspaces", Node::Table(table)) => workspaces = Some(table),
            ("packages", Node::Table(table)) => packages = Some(table),
            // What they bring about stands in the packages.
            ("workspaces" | "packages" | "overrides" | "catalog" | "catalogs", _) => {}
            (_, value) => rest.push((key, value)),
        }
    }
    let (Some(workspaces), Some(packages)) = (workspaces, packages) else {
        return Err("it has no `workspaces` and `packages`".to_owned());
    };
    // First the packages of the tree, then what is installed.
    let first = |of: &'_ Node<'_>| match of {
        Node::List(items) => items.first().and_then(Node::as_text).unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let resolved: Vec<String> = packages.iter().map(|(_, package)| first(package)).collect();
    let dirs: HashMap<&str, usize> =
        workspaces.iter().map(|(dir, _)| dir.as_ref()).zip(0..).collect();
    let number: HashMap<&str, usize> =
        packages.iter().map(|(path, _)| path.as_ref()).zip(workspaces.len()..).collect();
    let follow = |at: usize| match resolved[at - workspaces.len()].split_once("@workspace:") {
        Some((_, dir)) => dirs.get(dir).copied(),
        None => Some(at),
    };
    let find = |from: &str, name: &str| {
        let mut above = Some(from);
        while let Some(path) = above {
            let slash = if path.is_empty() { "" } else { "/" };
            if let Some(&at) = number.get([path, slash, name].concat().as_str()) {
                return follow(at);
            }
            above = (!path.is_empty()).then(|| parent(path));
        }
        None
    };
    let mut nodes = Vec::new();
    for (dir, workspace) in &workspaces {
        let name = match workspace.get("name") {
            Some(Node::Text(name)) => name.clone(),
            _ => dir.clone(),
        };
        let from = if dir.is_empty() { "" } else { name.as_ref() };
        let dependencies = asks(workspace).filter_map(|name| find(from, name)).collect();
        nodes.push(Located {
            name: if name.is_empty() { ".".into() } else { name },
            version: format!("in {dir}").into(),
            fields: Vec::new(),
            dependencies,
        });
    }
    for ((path, package), resolved) in packages.iter().zip(&resolved) {
        let at = resolved.get(1..).and_then(|rest| rest.find('@'));
        let (name, version) = match at {
            Some(at) => (&resolved[..=at], &resolved[at + 2..]),
            None => (path.as_ref(), resolved.as_str()),
        };
        let mut dependencies = Vec::new();
        let (mut integrity, mut settings, mut sources) = (Node::Null, Table::new(), Vec::new());
        let details = match package {
            Node::List(items) => items.get(1..).unwrap_or_default(),
            _ => &[],
        };
        for detail in details {
            match detail {
                Node::Table(table) => {
                    dependencies.extend(asks(detail).filter_map(|name| find(path, name)));
                    let rest = table.iter().filter(|(key, _)| !KINDS.contains(&key.as_ref()));
                    settings.extend(rest.cloned());
                }
                Node::Text(text) if text.starts_with("sha") => integrity = detail.clone(),
                other => sources.push(other.clone()),
            }
        }
        nodes.push(Located {
            name: Cow::Owned(name.to_owned()),
            version: Cow::Owned(version.to_owned()),
            fields: vec![
                ("integrity", integrity),
                ("source", Node::List(sources).sorted()),
                ("settings", Node::Table(settings).sorted()),
            ],
            dependencies,
        });
    }
    let mut of_tree: Vec<(Cow<'_, str>, usize)> = Vec::new();
    for (at, (dir, _)) in workspaces.iter().enumerate() {
        of_tree.push((if dir.is_empty() { ".".into() } else { dir.clone() }, at));
        if dir.is_empty() {
            let tools = nodes[at].dependencies.iter().filter(|&&tool| tool >= workspaces.len());
            of_tree.extend(tools.map(|&tool| (Cow::Borrowed(ROOT_TOOLS), tool)));
        }
    }
    let (entries, of_place) = located::entries(nodes);
    let mut lock = Lock::new(entries, of_tree.into_iter().map(|(key, at)| (key, of_place[at])));
    for (key, value) in rest {
        lock.rest(key, value);
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
