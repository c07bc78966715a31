//! Overrides of dependencies at any depth, wherever a workspace's root writes them.
//!
//! npm and bun have `overrides`, yarn and bun `resolutions`, pnpm its own in `package.json` or
//! `pnpm-workspace.yaml`; `packageExtensions` of pnpm and yarn give foreign packages further
//! dependencies. Each becomes the name that is overridden and the text that takes its place.
//! The parents and ranges that narrow an override down are not looked at: it may hold, so it counts.

use serde_json::Value;

/// One override.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Override {
    /// The package whose dependents get something else.
    pub(super) name: String,
    /// What they get.
    pub(super) text: String,
    /// The key that says so, for people.
    pub(super) by: &'static str,
}

/// The overrides of a root's `package.json`.
pub(super) fn of_manifest(manifest: &Value) -> Vec<Override> {
    let mut found = Vec::new();
    if let Some(overrides) = manifest.get("overrides") {
        nested(overrides, "", &mut found);
    }
    flat(manifest.get("resolutions"), "resolutions", last_of_path, &mut found);
    if let Some(pnpm) = manifest.get("pnpm") {
        of_settings(pnpm, &mut found);
    }
    found
}

/// The overrides of `pnpm-workspace.yaml`, `.yarnrc.yml` or the key `pnpm`.
pub(super) fn of_settings(settings: &Value, found: &mut Vec<Override>) {
    flat(settings.get("overrides"), "overrides", last_of_chain, found);
    let extensions = settings.get("packageExtensions").and_then(Value::as_object);
    for extension in extensions.into_iter().flat_map(|it| it.values()) {
        for kind in ["dependencies", "optionalDependencies", "peerDependencies"] {
            flat(extension.get(kind), "packageExtensions", |key| key, found);
        }
    }
}

/// npm's: a table of a package holds overrides below it, `.` the package itself.
fn nested(overrides: &Value, above: &str, found: &mut Vec<Override>) {
    for (key, value) in overrides.as_object().into_iter().flatten() {
        let name = if key == "." { above } else { without_range(key) };
        match value {
            Value::String(text) => {
                found.push(Override { name: name.to_owned(), text: text.clone(), by: "overrides" })
            }
            below => nested(below, name, found),
        }
    }
}

fn flat(
    table: Option<&Value>,
    by: &'static str,
    name: fn(&str) -> &str,
    found: &mut Vec<Override>,
) {
    for (key, value) in table.and_then(Value::as_object).into_iter().flatten() {
        if let Some(text) = value.as_str() {
            found.push(Override { name: name(key).to_owned(), text: text.to_owned(), by });
        }
    }
}

/// `name@range` without the range.
pub(super) fn without_range(key: &str) -> &str {
    match key.get(1..).and_then(|rest| rest.find('@')) {
        Some(at) => &key[..=at],
        None => key,
    }
}

/// The last name of pnpm's `parent@1>name@^2`; a `>` of a range follows a space, `|` or `@`.
fn last_of_chain(key: &str) -> &str {
    let bytes = key.as_bytes();
    let arrow =
        (1..bytes.len()).rev().find(|&at| bytes[at] == b'>' && !b" |@".contains(&bytes[at - 1]));
    without_range(arrow.map_or(key, |at| &key[at + 1..]).trim())
}

/// The last name of yarn's `parent/**/name`, `@scope/parent@npm:1/name@npm:^2`.
fn last_of_path(key: &str) -> &str {
    // A range may hold slashes, as in `name@patch:name@npm%3A1#~/fix.patch`; then what comes before
    // it is the name.
    let path = match key.split_once("@patch:") {
        Some((name, _)) => name,
        None => key,
    };
    let Some(slash) = path.rfind('/') else { return without_range(path) };
    let above = &path[..slash];
    let scope = above.rfind('/').map_or(above, |at| &above[at + 1..]);
    let from = if scope.starts_with('@') { slash - scope.len() } else { slash + 1 };
    without_range(&path[from..])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn overrides_of_every_manager_name_what_they_replace() {
        let manifest = json!({
            "overrides": {
                "a": "file:packages/a",
                "b@^1": { ".": "2", "c": { "@s/d@>=1": "$e" } }
            },
            "resolutions": {
                "f": "portal:./f",
                "**/g": "1",
                "h/**/@s/i": "2",
                "@s/j/k": "3",
                "@s/l@npm:^1": "4",
                "m@npm:^1/n": "5"
            },
            "pnpm": {
                "overrides": { "o": "link:./o", "p@1>q": "6", "r@>=1 <2": "7", "s@^1>@t/u@>2": "8" },
                "packageExtensions": { "v@1": { "dependencies": { "w": "link:./w" } } }
            }
        });
        let found: Vec<(String, String)> =
            of_manifest(&manifest).into_iter().map(|it| (it.name, it.text)).collect();
        let found: Vec<(&str, &str)> =
            found.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        assert_eq!(
            found,
            [
                ("a", "file:packages/a"),
                ("b", "2"),
                ("@s/d", "$e"),
                ("f", "portal:./f"),
                ("g", "1"),
                ("@s/i", "2"),
                ("k", "3"),
                ("@s/l", "4"),
                ("n", "5"),
                ("o", "link:./o"),
                ("q", "6"),
                ("r", "7"),
                ("@t/u", "8"),
                ("w", "link:./w"),
            ]
        );
    }
}
