//! `Cargo.lock`: every version of the format.
//!
//! Features are not looked at: a dependency that is locked counts, whatever switches it on. Format:
//! <https://doc.rust-lang.org/cargo/guide/cargo-toml-vs-cargo-lock.html> and Cargo's `encode.rs`.

use std::borrow::Cow;

use foldhash::{HashMap, HashMapExt as _};

use crate::packages::{
    document::{self, Collect, Node, Table},
    lock::{Entry, Lock, Need},
};

#[derive(Default)]
struct Locked<'t> {
    name: Cow<'t, str>,
    version: Cow<'t, str>,
    source: Option<Cow<'t, str>>,
    checksum: Option<Cow<'t, str>>,
    replace: Option<Cow<'t, str>>,
    dependencies: Vec<Cow<'t, str>>,
}

impl<'t> Locked<'t> {
    fn new(table: Table<'t>) -> Result<Self, String> {
        let mut locked = Self::default();
        let text = |key: &str, value| match value {
            Node::Text(text) => Ok(text),
            _ => Err(format!("`{key}` of a package is no text")),
        };
        for (key, value) in table {
            match key.as_ref() {
                "name" => locked.name = text(&key, value)?,
                "version" => locked.version = text(&key, value)?,
                "source" => locked.source = Some(text(&key, value)?),
                "checksum" => locked.checksum = Some(text(&key, value)?),
                "replace" => locked.replace = Some(text(&key, value)?),
                "dependencies" => {
                    let Node::List(items) = value else {
                        return Err(format!("`{key}` of a package is no list"));
                    };
                    let items = items.into_iter();
                    locked.dependencies =
                        items.map(|it| text(&key, it)).collect::<Result<_, _>>()?;
                }
                _ => {}
            }
        }
        if locked.name.is_empty() { Err("a package has no name".to_owned()) } else { Ok(locked) }
    }

    fn id(&self) -> String {
        [&self.name, " ", &self.version, " (", self.source.as_deref().unwrap_or_default(), ")"]
            .concat()
    }
}

#[derive(Default)]
struct LockedPackages<'t>(Vec<Locked<'t>>);

impl<'t> Collect<'t> for LockedPackages<'t> {
    fn wants(&self, of: &str) -> bool {
        of == "package"
    }

    fn take(
        &mut self,
        _: &str,
        _: &Cow<'t, str>,
        value: Node<'t>,
    ) -> Result<Option<Node<'t>>, String> {
        self.0.push(Locked::new(value.into_table())?);
        Ok(None)
    }
}

/// Reads a lock file.
pub(super) fn read(text: &str) -> Result<Lock<'_>, String> {
    let mut checksums: HashMap<String, Cow<'_, str>> = HashMap::new();
    let mut rest = Vec::new();
    let (file, LockedPackages(packages)) = document::toml(text)?;
    for (key, value) in file {
        match (key.as_ref(), value) {
            ("package", Node::List(_)) => {}
            ("package", _) => return Err("`package` is no list".to_owned()),
            ("metadata", Node::Table(table)) => {
                for (key, value) in table {
                    match key.strip_prefix("checksum ") {
                        // Formats 1 and 2 have them apart; `<none>` stands for none.
                        Some(id) => drop(checksums.insert(id.to_owned(), value.into_text())),
                        None => rest.push((Cow::Owned(format!("metadata.{key}")), value)),
                    }
                }
            }
            (_, value) => rest.push((key, value)),
        }
    }
    let mut named: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, package) in packages.iter().enumerate() {
        named.entry(&package.name).or_default().push(at);
    }
    // `name`, `name version` or `name version (source)`: as much as is needed to be unique.
    let resolve = |written: &str| -> Vec<usize> {
        let mut words = written.splitn(3, ' ');
        let name = words.next().unwrap_or_default();
        let (version, source) = (words.next(), words.next());
        let source = source.map(|source| source.trim_matches(['(', ')']));
        let fits = |at: &usize| {
            let package = &packages[*at];
            version.is_none_or(|version| version == package.version)
                && source.is_none_or(|source| package.source.as_deref() == Some(source))
        };
        named.get(name).into_iter().flatten().copied().filter(fits).collect()
    };
    let mut needs = Vec::with_capacity(packages.len());
    for package in &packages {
        let mut of_package = Vec::with_capacity(package.dependencies.len());
        for written in package.dependencies.iter().chain(&package.replace) {
            let found = resolve(written);
            if found.is_empty() {
                of_package.push(Need::Absent(written.clone()));
            }
            of_package.extend(found.into_iter().map(Need::Entry));
        }
        needs.push(of_package);
    }
    let of_tree: Vec<(Cow<'_, str>, usize)> = packages
        .iter()
        .enumerate()
        .filter(|(_, package)| package.source.is_none())
        .map(|(at, package)| (package.name.clone(), at))
        .collect();
    let entries = packages.into_iter().zip(needs).map(|(package, needs)| {
        let id = package.id();
        let checksum = package.checksum.or_else(|| checksums.get(&id).cloned());
        let fields =
            [("checksum", checksum), ("source", package.source), ("replace", package.replace)];
        let fields = fields.into_iter().filter_map(|(key, text)| Some((key, Node::Text(text?))));
        Entry {
            id: id.into(),
            name: package.name,
            version: package.version,
            fields: fields.collect(),
            needs,
        }
    });
    let mut lock = Lock::new(entries.collect(), of_tree);
    for (key, value) in rest {
        lock.rest(key, value);
    }
    Ok(lock)
}
