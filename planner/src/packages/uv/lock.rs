//! `uv.lock` as a graph of entries.
//!
//! Source: the file as uv 0.9 to 0.13 writes it (`version = 1`); any other version is not read. A
//! package of the tree is called by its normal name.

use std::{borrow::Cow, collections::BTreeSet};

use foldhash::{HashMap, HashMapExt as _};

use super::normal;
use crate::packages::{
    document::{self, Collect, Node, Table},
    lock::{Entry, Lock, Need},
};

#[derive(Default)]
struct Locked<'t> {
    name: Cow<'t, str>,
    version: Option<Node<'t>>,
    source: Option<Node<'t>>,
    /// What is downloaded, and for which machines: `sdist`, `wheels` and `resolution-markers`.
    files: [Node<'t>; 3],
    dependencies: Vec<Node<'t>>,
}

impl<'t> Locked<'t> {
    fn new(table: Table<'t>) -> Result<Self, String> {
        let mut locked = Self::default();
        let (mut optional, mut groups) = (Vec::new(), Vec::new());
        for (key, value) in table {
            match key.as_ref() {
                "name" => locked.name = value.into_text(),
                "version" => locked.version = Some(value),
                "source" => locked.source = Some(value.sorted()),
                "sdist" => locked.files[0] = value,
                "wheels" => locked.files[1] = value,
                "resolution-markers" => locked.files[2] = value,
                "dependencies" => locked.dependencies = value.into_list(),
                "optional-dependencies" => optional = value.sorted().into_table(),
                "dev-dependencies" => groups = value.sorted().into_table(),
                _ => {}
            }
        }
        if locked.name.is_empty() {
            return Err("a package has no name".to_owned());
        }
        for (_, list) in optional.into_iter().chain(groups) {
            locked.dependencies.extend(list.into_list());
        }
        locked.dependencies.retain(|it| matches!(it, Node::Table(_)));
        Ok(locked)
    }

    fn version(&self) -> &str {
        self.version.as_ref().and_then(Node::as_text).unwrap_or_default()
    }

    fn id(&self) -> String {
        let id = [&self.name, " ", self.version(), " "].concat();
        match self.source.as_ref().map(Node::entries) {
            // Nearly all: one key, one text.
            Some([(key, Node::Text(text))]) => [&id, key.as_ref(), " ", text].concat(),
            _ => self.source.iter().fold(id, |id, source| id + &source.to_string()),
        }
    }

    fn is_of_tree(&self) -> bool {
        let keys = ["editable", "virtual", "directory", "path"];
        self.source.iter().any(|it| keys.iter().any(|key| it.get(key).is_some()))
    }
}

/// What the parts of an entry mean that are kept as they are written: of each file that is downloaded
/// the hash, or where there is none its address, then the markers.
fn settled<'t>(field: &str, value: Node<'t>) -> Node<'t> {
    if field != "checksum" {
        return value;
    }
    let mut parts = value.into_list().into_iter().map(|part| match part {
        Node::Unread(Cow::Borrowed(text)) => document::read_value(text),
        Node::Unread(text) => document::read_value(&text).into_owned(),
        read => read,
    });
    let sdist = parts.next().and_then(checksum);
    let wheels = parts.next().map(Node::into_list).unwrap_or_default();
    let wheels = wheels.into_iter().filter_map(checksum);
    let markers = parts.next().map(Node::into_list).unwrap_or_default();
    Node::List(sdist.into_iter().chain(wheels).chain(markers).collect())
}

fn checksum(file: Node<'_>) -> Option<Node<'_>> {
    let text = |key: &str| match file.get(key)? {
        Node::Text(text) => Some(Node::Text(text.clone())),
        _ => None,
    };
    text("hash").or_else(|| text("url")).or_else(|| text("path"))
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
        if let Node::Table(table) = value {
            self.0.push(Locked::new(table)?);
        }
        Ok(None)
    }

    /// Most of the file, and nearly always as it was.
    fn goes_over(&self, of: &str, key: &str) -> bool {
        of == "package" && (key == "sdist" || key == "wheels")
    }
}

/// Reads a `uv.lock`.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(super) fn read<'t>(_path: &str, text: &'t str) -> Result<Lock<'t>, String> {
    let (file, LockedPackages(packages)) = document::toml(text)?;
    let version = file.iter().find(|(key, _)| key == "version").map(|(_, version)| version);
    if version != Some(&Node::Number("1".into())) {
        return Err("it is not version 1 of the format".to_owned());
    }
    let mut rest = Vec::new();
    for (key, value) in file {
        match key.as_ref() {
            // `revision` counts additions that decide nothing.
            "package" | "version" | "revision" => {}
            "manifest" => {
                // A further member changes nothing for the others.
                let table = value.into_table().into_iter().filter(|(key, _)| key != "members");
                rest.extend(table.map(|(key, it)| (Cow::Owned(format!("manifest.{key}")), it)));
            }
            _ => rest.push((key, value)),
        }
    }
    let mut by_name: HashMap<&str, Vec<usize>> = HashMap::new();
    for (at, package) in packages.iter().enumerate() {
        by_name.entry(&package.name).or_default().push(at);
    }
    let resolve = |dependency: &Node<'t>| -> Vec<Need<'t>> {
        let wanted = match dependency.get("name") {
            Some(Node::Text(name)) => name.clone(),
            _ => Cow::Borrowed(""),
        };
        let Some(candidates) = by_name.get(wanted.as_ref()) else {
            return vec![Need::Absent(wanted)];
        };
        let (version, source) = (dependency.get("version"), dependency.get("source"));
        let source = source.map(|source| source.clone().sorted());
        let fits = |at: &usize| {
            let package = &packages[*at];
            version.is_none_or(|it| package.version.as_ref() == Some(it))
                && source.as_ref().is_none_or(|it| package.source.as_ref() == Some(it))
        };
        let found: Vec<Need<'_>> =
            candidates.iter().copied().filter(fits).map(Need::Entry).collect();
        if found.is_empty() { vec![Need::Absent(wanted)] } else { found }
    };
    let needs: Vec<Vec<Need<'_>>> =
        packages.iter().map(|it| it.dependencies.iter().flat_map(&resolve).collect()).collect();
    let of_tree: BTreeSet<(Cow<'_, str>, usize)> = packages
        .iter()
        .enumerate()
        .filter(|(_, package)| package.is_of_tree())
        .map(|(at, package)| (Cow::Owned(normal(&package.name)), at))
        .collect();
    let entries = packages.into_iter().zip(needs).map(|(package, needs)| {
        Entry {
            id: package.id().into(),
            version: package.version().to_owned().into(),
            name: package.name,
            fields: vec![
                ("source", package.source.unwrap_or(Node::Null)),
                ("checksum", Node::List(package.files.into())),
                // Extras and markers are part of an edge.
                ("dependencies", Node::List(package.dependencies).sorted()),
            ],
            needs,
        }
    });
    let mut lock = Lock::new(entries.collect(), of_tree);
    lock.settled_by(settled);
    for (key, value) in rest {
        lock.rest(key, value);
    }
    Ok(lock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::lock::{Affected, Comparison};

    pub(crate) const LOCK: &str = r#"version = 1
revision = 3
requires-python = ">=3.11"
[manifest]
members = ["app", "lib"]
[[package]]
name = "app"
version = "0.1.0"
source = { editable = "app" }
dependencies = [{ name = "lib" }]
[[package]]
name = "lib"
version = "0.1.0"
source = { editable = "lib" }
dependencies = [{ name = "idna" }]
[[package]]
name = "other"
version = "0.1.0"
source = { virtual = "other" }
[[package]]
name = "idna"
version = "3.7"
source = { registry = "https://index.example/simple" }
sdist = { url = "https://index.example/idna.tar.gz", hash = "sha256:aa", size = 1 }
"#;

    #[track_caller]
    fn affected(after: &str, expected: &[(&str, bool)]) {
        let before = read("uv.lock", LOCK).expect("it is good");
        let after = read("uv.lock", after).expect("it is good");
        let comparison = Comparison::of(&before, &after);
        let found: Vec<(&str, bool)> =
            expected.iter().map(|(key, _)| (*key, comparison.affects(key).is_some())).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_entry_that_changes_affects_whose_closure_holds_it() {
        let all = |one, two, three| [("app", one), ("lib", two), ("other", three)];
        affected(LOCK, &all(false, false, false));
        affected(&LOCK.replace("3.7", "3.8"), &all(true, true, false));
        affected(&LOCK.replace("sha256:aa", "sha256:bb"), &all(true, true, false));
        affected(&LOCK.replace("size = 1", "size = 2"), &all(false, false, false));
        affected(&LOCK.replace("revision = 3", "revision = 4"), &all(false, false, false));
        affected(&LOCK.replace("\"lib\"]", "\"lib\", \"new\"]"), &all(false, false, false));
        affected(&LOCK.replace(">=3.11", ">=3.12"), &all(true, true, true));
    }

    #[test]
    fn the_chain_to_the_entry_is_the_reason() {
        let before = read("uv.lock", LOCK).expect("it is good");
        let changed = LOCK.replace("3.7", "3.8");
        let after = read("uv.lock", &changed).expect("it is good");
        let Some(Affected::By(found)) = Comparison::of(&before, &after).affects("app") else {
            panic!("app is affected");
        };
        assert_eq!(found[0].1, "app -> lib -> idna");
    }

    #[test]
    fn what_is_no_lock_file_of_that_version_is_not_read() {
        for text in ["", "version = 2", "version = 1\n[[package]]\nversion = \"1\"", "{"] {
            assert!(read("uv.lock", text).is_err(), "{text:?} was read");
        }
    }
}
