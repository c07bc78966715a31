//! `uv.lock` as a graph of entries.
//!
//! Source: the file as uv 0.9 to 0.13 writes it (`version = 1`); any other version is not read. A
//! package of the tree is called by its normal name.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::{normal, strings};
use crate::packages::lock::{Entry, Lock};

/// Reads a `uv.lock`.
///
/// # Errors
///
/// What is wrong with it, for people.
pub(super) fn read(_path: &str, text: &str) -> Result<Lock, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
    if table.get("version").and_then(Value::as_integer) != Some(1) {
        return Err("it is not version 1 of the format".to_owned());
    }
    let mut lock = Lock::default();
    for (key, value) in &table {
        match key.as_str() {
            // `revision` counts additions that decide nothing.
            "package" | "version" | "revision" => {}
            "manifest" => {
                // A further member changes nothing for the others.
                let rest =
                    value.as_table().into_iter().flatten().filter(|(key, _)| *key != "members");
                for (key, value) in rest {
                    lock.rest(format!("manifest.{key}"), value.to_string());
                }
            }
            _ => lock.rest(key.clone(), value.to_string()),
        }
    }
    let packages = table.get("package").and_then(Value::as_array).map(Vec::as_slice);
    let packages: Vec<&Table> =
        packages.unwrap_or_default().iter().filter_map(Value::as_table).collect();
    let mut by_name: BTreeMap<&str, Vec<(String, &Table)>> = BTreeMap::new();
    for package in &packages {
        let name = text_of(package, "name").ok_or("a package has no name")?;
        by_name.entry(name).or_default().push((id_of(package), package));
    }
    for package in packages {
        let name = text_of(package, "name").unwrap_or_default();
        let id = id_of(package);
        let mut entry = Entry {
            name: name.to_owned(),
            version: text_of(package, "version").unwrap_or_default().to_owned(),
            ..Entry::default()
        };
        let source = package.get("source").map(ToString::to_string).unwrap_or_default();
        let in_tree = ["editable", "virtual", "directory", "path"];
        let source_keys = package.get("source").and_then(Value::as_table);
        if source_keys.is_some_and(|it| in_tree.iter().any(|key| it.contains_key(*key))) {
            lock.package(normal(name), id.clone());
        }
        entry.fields.insert("source", source);
        entry.fields.insert("checksum", checksums(package));
        let mut edges = Vec::new();
        for list in dependency_lists(package) {
            for dependency in list.as_array().into_iter().flatten().filter_map(Value::as_table) {
                edges.push(dependency.to_string());
                let wanted = text_of(dependency, "name").unwrap_or_default();
                let candidates = by_name.get(wanted).map(Vec::as_slice).unwrap_or_default();
                let fits = |it: &&(String, &Table)| {
                    ["version", "source"].iter().all(|key| {
                        dependency.get(*key).is_none_or(|value| it.1.get(*key) == Some(value))
                    })
                };
                let fitting = candidates.iter().filter(fits).map(|(id, _)| id.clone());
                let before = entry.dependencies.len();
                entry.dependencies.extend(fitting);
                if entry.dependencies.len() == before && candidates.is_empty() {
                    entry.dependencies.insert(wanted.to_owned());
                }
            }
        }
        // Extras and markers are part of an edge.
        entry.fields.insert("dependencies", edges.join("\n"));
        lock.insert(id, entry);
    }
    Ok(lock)
}

fn text_of<'t>(table: &'t Table, key: &str) -> Option<&'t str> {
    table.get(key)?.as_str()
}

fn id_of(package: &Table) -> String {
    let source = package.get("source").map(ToString::to_string).unwrap_or_default();
    let of = |key| text_of(package, key).unwrap_or_default();
    format!("{} {} {source}", of("name"), of("version"))
}

fn dependency_lists(package: &Table) -> impl Iterator<Item = &Value> {
    let tables = ["optional-dependencies", "dev-dependencies"];
    let tables = tables.into_iter().filter_map(|key| package.get(key)?.as_table());
    package.get("dependencies").into_iter().chain(tables.flat_map(Table::values))
}

/// What is downloaded: the hash of each file, or where there is none its address.
fn checksums(package: &Table) -> String {
    let wheels = package.get("wheels").and_then(Value::as_array).into_iter().flatten();
    let files = package.get("sdist").into_iter().chain(wheels);
    let of_file = |file: &Value| {
        let text = |key: &str| file.get(key)?.as_str().map(str::to_owned);
        text("hash").or_else(|| text("url")).or_else(|| text("path"))
    };
    let mut sums: Vec<String> = files.filter_map(of_file).collect();
    sums.extend(strings(package.get("resolution-markers")).map(str::to_owned));
    sums.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packages::lock::{Affected, Comparison};

    const LOCK: &str = r#"version = 1
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
        let after = read("uv.lock", &LOCK.replace("3.7", "3.8")).expect("it is good");
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
