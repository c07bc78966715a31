//! `yarn.lock` of yarn 1.
//!
//! Source: yarn 1's `lockfile/parse`. Lines, indented by two: the requests that an entry answers,
//! then its version, source and integrity, then what it depends on. The packages of the tree are
//! not in it, so each request is a package under its own name.

use std::collections::BTreeMap;

use crate::packages::{Lock, lock::Entry};

pub(super) fn read(text: &str) -> Result<Lock, String> {
    let mut entries: Vec<(Vec<String>, Raw)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        let bad = || format!("line {} is not understood", number + 1);
        let indent = line.len() - line.trim_start().len();
        let words = words(line.trim_start()).ok_or_else(bad)?;
        if indent == 0 {
            entries.push((words.requests().ok_or_else(bad)?, Raw::default()));
            continue;
        }
        let (_, entry) = entries.last_mut().ok_or_else(bad)?;
        match (indent, words.0.as_slice()) {
            (2, [key]) if key.ends_with(':') => {
                entry.in_dependencies = key == "dependencies:" || key == "optionalDependencies:";
            }
            (2, [key, value]) => match key.as_str() {
                "version" => entry.version = value.clone(),
                "resolved" => entry.resolved = value.clone(),
                "integrity" => entry.integrity = value.clone(),
                _ => entry.other.push(format!("{key} {value}")),
            },
            (4, [name, range]) if entry.in_dependencies => {
                entry.dependencies.push(format!("{name}@{range}"));
            }
            (4, [key, value]) => entry.other.push(format!("{key} {value}")),
            _ => return Err(bad()),
        }
    }
    let id = |requests: &[String], entry: &Raw| {
        let request = requests.first().map(String::as_str).unwrap_or_default();
        let end =
            request.get(1..).and_then(|rest| rest.find('@')).map_or(request.len(), |at| at + 1);
        // An alias, `x@npm:y@1`, is an entry of its own.
        (request[..end].to_owned(), format!("{}@{}", &request[..end], entry.version))
    };
    let mut answers: BTreeMap<&str, String> = BTreeMap::new();
    for (requests, entry) in &entries {
        answers.extend(requests.iter().map(|it| (it.as_str(), id(requests, entry).1)));
    }
    let mut lock = Lock::default();
    for (requests, entry) in &entries {
        let (name, id) = id(requests, entry);
        for request in requests {
            lock.package(request.as_str(), id.as_str());
        }
        let fields = BTreeMap::from([
            ("integrity", entry.integrity.clone()),
            ("source", entry.resolved.clone()),
            ("settings", entry.other.join("\n")),
        ]);
        let dependencies = entry
            .dependencies
            .iter()
            .map(|it| answers.get(it.as_str()).unwrap_or(it).clone())
            .collect();
        lock.insert(id, Entry { name, version: entry.version.clone(), fields, dependencies });
    }
    Ok(lock)
}

#[derive(Default)]
struct Raw {
    version: String,
    resolved: String,
    integrity: String,
    other: Vec<String>,
    dependencies: Vec<String>,
    in_dependencies: bool,
}

struct Words(Vec<String>);

impl Words {
    /// The requests of a key: `a@^1, "b@^2":`.
    fn requests(&self) -> Option<Vec<String>> {
        let (last, before) = self.0.split_last()?;
        let last = last.strip_suffix(':')?.to_owned();
        let before = before.iter().map(|it| it.strip_suffix(',').map(str::to_owned));
        let mut requests: Vec<String> = before.collect::<Option<_>>()?;
        requests.push(last);
        Some(requests)
    }
}

/// The words of a line, without their quotes.
fn words(line: &str) -> Option<Words> {
    let mut words = Vec::new();
    let mut rest = line;
    while !rest.is_empty() {
        let mut word = String::new();
        if let Some(quoted) = rest.strip_prefix('"') {
            let mut characters = quoted.char_indices();
            let end = loop {
                match characters.next()? {
                    (at, '"') => break at,
                    (_, '\\') => word.push(characters.next()?.1),
                    (_, character) => word.push(character),
                }
            };
            rest = &quoted[end + 1..];
        }
        let end = rest.find(' ').unwrap_or(rest.len());
        word.push_str(&rest[..end]);
        words.push(word);
        rest = rest[end..].trim_start();
    }
    Some(Words(words))
}
