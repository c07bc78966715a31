//! What packages take from the root manifest of their workspace.
//!
//! An inherited entry counts for who inherits it. Members, and what the root's own package has, are
//! followed elsewhere; everything else in the root manifest (profiles, patches, the resolver, what
//! is not known here) counts for every package of the workspace.

use toml::{Table, Value};

use super::{NAME, Root, dependencies, is_inherited};
use crate::packages::{Package, file_in};

/// Keys of a package's own, in a root manifest that is a package as well.
const OWN: [&str; 15] = [
    "package",
    "project",
    "lib",
    "bin",
    "test",
    "bench",
    "example",
    "features",
    "badges",
    "target",
    "lints",
    "dependencies",
    "dev-dependencies",
    "build-dependencies",
    "workspace",
];

/// Keys of `[workspace]` that are followed, or taken entry by entry.
const FOLLOWED: [&str; 6] =
    ["members", "exclude", "default-members", "dependencies", "package", "lints"];

/// Adds what a package takes from the root manifest.
pub(super) fn entries(root: &Root, manifest: &Table, package: &mut Package) {
    let file = file_in(&root.dir, NAME);
    let mut add = |name: String, value: &Value| {
        package.entries.insert((file.clone(), name), text(value));
    };
    let empty = Table::new();
    let workspace = root.table.get("workspace").and_then(Value::as_table).unwrap_or(&empty);
    let shared = |list: &str, key: &str| workspace.get(list).and_then(|list| list.get(key));
    for (key, dependency) in dependencies(manifest) {
        if is_inherited(dependency)
            && let Some(value) = shared("dependencies", key)
        {
            add(format!("workspace.dependencies.{key}"), value);
        }
    }
    let own = manifest.get("package").and_then(Value::as_table);
    for (key, value) in own.into_iter().flatten() {
        if is_inherited(value)
            && let Some(value) = shared("package", key)
        {
            add(format!("workspace.package.{key}"), value);
        }
    }
    if manifest.get("lints").is_some_and(is_inherited)
        && let Some(lints) = workspace.get("lints")
    {
        add("workspace.lints".to_owned(), lints);
    }
    for (key, value) in workspace {
        if !FOLLOWED.contains(&key.as_str()) {
            add(format!("workspace.{key}"), value);
        }
    }
    for (key, value) in &root.table {
        if !OWN.contains(&key.as_str()) {
            add(key.clone(), value);
        }
    }
    // The edition of the root's own package stands for a resolver that is not named.
    if !workspace.contains_key("resolver") {
        for key in ["resolver", "edition"] {
            if let Some(value) = root.table.get("package").and_then(|package| package.get(key)) {
                add(format!("package.{key}"), value);
            }
        }
    }
}

/// A value as text; equal exactly when the values are.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
