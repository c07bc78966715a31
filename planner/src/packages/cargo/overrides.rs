//! Packages that a workspace takes from a directory instead of a registry or git.
//!
//! `[patch]` and `[replace]` hold for dependencies at any depth; who has the package among them is
//! asked of the lock file, or is everybody.

use std::collections::BTreeSet;

use toml::{Table, Value};

use super::{dependencies, is_inherited};

/// A package from a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Override {
    /// The package's name.
    pub(super) name: String,
    /// The directory that `path` starts from.
    pub(super) from: String,
    /// Where it is.
    pub(super) path: String,
}

/// The overrides of a root manifest.
pub(super) fn of_manifest(root: &str, manifest: &Table) -> Vec<Override> {
    let mut all = of_patches(root, manifest);
    let replaced = manifest.get("replace").and_then(Value::as_table);
    all.extend(replaced.into_iter().flatten().filter_map(|(key, entry)| of(root, key, entry)));
    all
}

/// The overrides of `[patch]`, in a manifest or in configuration.
pub(super) fn of_patches(from: &str, table: &Table) -> Vec<Override> {
    let of_sources = table.get("patch").and_then(Value::as_table);
    let sources = of_sources.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    sources.flatten().filter_map(|(key, entry)| of(from, key, entry)).collect()
}

fn of(from: &str, key: &str, entry: &Value) -> Option<Override> {
    // A key of `[replace]` is a package id: `name:1.0.0`, `https://host/path#name@1.0.0`.
    let key = key.rsplit('#').next().unwrap_or(key);
    let key = key.split([':', '@']).next().unwrap_or(key);
    let name = entry.get("package").and_then(Value::as_str).unwrap_or(key).to_owned();
    let path = entry.get("path")?.as_str()?.to_owned();
    Some(Override { name, from: from.to_owned(), path })
}

/// The names of the packages that a manifest depends on, renamed ones by their own name.
pub(super) fn names_of_dependencies(manifest: &Table, root: Option<Table>) -> BTreeSet<String> {
    let inherited = root.and_then(|root| root.get("workspace")?.get("dependencies").cloned());
    let name = |(key, dependency): (&String, &Value)| {
        let from = inherited.as_ref().filter(|_| is_inherited(dependency));
        let dependency = from.and_then(|list| list.get(key)).unwrap_or(dependency);
        dependency.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
    };
    dependencies(manifest).map(name).collect()
}
