//! What the root of a workspace says for all of its packages.
//!
//! Owns the root's own files: which patterns there are, catalogs, overrides, patches, settings and
//! lock files. A package that no workspace has is the root of its own. Which packages take what is
//! [`super::read`]'s.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{
    lock,
    manager::Manager,
    overrides::{self, Override},
    patterns::Patterns,
};
use crate::{
    packages::{End, Lock, Manifests, Text, file_in},
    planned_tree::TreeError,
};

pub(super) const PNPM: &str = "pnpm-workspace.yaml";
const YARN: &str = ".yarnrc.yml";
/// Files beside the root's manifest that decide how every package is installed.
const SETTINGS: [&str; 7] = [
    ".npmrc",
    ".yarnrc",
    ".pnpmfile.cjs",
    ".pnpmfile.mjs",
    "pnpmfile.js",
    "bunfig.toml",
    "bun.lockb",
];
/// Directories of the same.
const SETTINGS_DIRS: [&str; 2] = [".yarn/plugins", ".yarn/releases"];
/// Keys of the root's `package.json` that decide nothing for other packages, or that are followed
/// by themselves.
const OF_NO_ACCOUNT: [&str; 19] = [
    "name",
    "version",
    "description",
    "keywords",
    "homepage",
    "bugs",
    "license",
    "author",
    "contributors",
    "maintainers",
    "funding",
    "repository",
    "private",
    "scripts",
    "main",
    "files",
    "bin",
    "publishConfig",
    "readme",
];
/// Keys that matter only to packages which install something.
const OF_INSTALLED: [&str; 6] = [
    "overrides",
    "resolutions",
    "patchedDependencies",
    "packageExtensions",
    "trustedDependencies",
    "onlyBuiltDependencies",
];
/// What is not there.
static NOTHING: Value = Value::Null;
const KINDS: [&str; 4] =
    ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];

/// The root of a workspace.
pub(super) struct Workspace {
    pub(super) dir: String,
    pub(super) managers: Vec<Manager>,
    pub(super) overrides: Vec<Override>,
    /// Settings that are there: files, then directories.
    pub(super) files: Vec<String>,
    pub(super) dirs: Vec<String>,
    /// Lock files that are there.
    pub(super) locks: Vec<String>,
    manifest: Value,
    pnpm: Option<Value>,
    yarn: Value,
    /// The one lock file, if patches make it worth reading.
    lock: Option<Lock<'static>>,
}

/// An entry of a catalog.
pub(super) struct CatalogEntry<'a> {
    pub(super) file: String,
    pub(super) name: String,
    pub(super) text: &'a str,
}

impl Workspace {
    /// Reads what stands beside a manifest. Files that are not understood are told in `problems`,
    /// as path and detail.
    pub(super) fn new(
        manifests: &Manifests<'_>,
        dir: &str,
        manifest: Value,
        problems: &mut Vec<(String, String)>,
    ) -> Result<Self, TreeError> {
        let mut settings = |name: &str| -> Result<Option<Value>, TreeError> {
            let path = file_in(dir, name);
            let read = match manifests.text(&path)? {
                Text::Absent => return Ok(None),
                Text::Unreadable(detail) => Err(detail),
                Text::Read(text) => lock::yaml(&text),
            };
            Ok(Some(read.unwrap_or_else(|detail| {
                problems.push((path, detail));
                Value::Null
            })))
        };
        let pnpm = settings(PNPM)?;
        let yarn = settings(YARN)?.unwrap_or(Value::Null);
        let mut overrides = overrides::of_manifest(&manifest);
        overrides::of_settings(pnpm.as_ref().unwrap_or(&NOTHING), &mut overrides);
        overrides::of_settings(&yarn, &mut overrides);
        overrides.sort();
        overrides.dedup();
        let there = |names: &[&str], wanted: fn(&End) -> bool| -> Result<_, TreeError> {
            let mut there = Vec::new();
            for name in names {
                let path = file_in(dir, name);
                if wanted(&manifests.locate(&path)?.end) {
                    there.push(path);
                }
            }
            Ok(there)
        };
        let is_file: fn(&End) -> bool = |end| matches!(end, End::File(_));
        let files = there(&SETTINGS, is_file)?;
        let dirs = there(&SETTINGS_DIRS, |end| matches!(end, End::Directory(_)))?;
        let locks = there(&lock::NAMES, is_file)?;
        let managers = super::manager::possible(manifests, dir, &manifest)?;
        let dir = dir.to_owned();
        let mut read =
            Self { dir, managers, overrides, files, dirs, locks, manifest, pnpm, yarn, lock: None };
        if let [path] = &read.locks[..]
            && !read.patches().is_empty()
            && let Text::Read(text) = manifests.text(path)?
        {
            read.lock = lock::read(path, &text).ok().map(Lock::into_owned);
        }
        Ok(read)
    }

    /// The patterns of its members, as each possible manager reads them.
    pub(super) fn patterns(&self) -> Vec<Patterns> {
        let of_pnpm = self.pnpm.as_ref().map(|pnpm| strings(pnpm.get("packages")));
        let workspaces = self.manifest.get("workspaces");
        let list =
            workspaces.and_then(|it| if it.is_array() { Some(it) } else { it.get("packages") });
        let list = strings(list);
        let mut patterns = Vec::new();
        for &manager in &self.managers {
            match (manager, &of_pnpm) {
                (Manager::Pnpm, Some(_)) => {}
                // pnpm reads no `workspaces`; without its own file, another manager is meant.
                _ => patterns.push(Patterns::new(manager, &self.dir, &list)),
            }
        }
        if let Some(of_pnpm) = of_pnpm {
            patterns.push(Patterns::new(Manager::Pnpm, &self.dir, &of_pnpm));
        }
        patterns
    }

    /// Whether it has members at all.
    pub(super) fn has_members(&self) -> bool {
        self.pnpm.is_some() || self.manifest.get("workspaces").is_some()
    }

    /// The entry that `catalog:` of a dependency means.
    pub(super) fn catalog(&self, catalog: &str, name: &str) -> Option<CatalogEntry<'_>> {
        let workspaces = self.manifest.get("workspaces").unwrap_or(&NOTHING);
        let places = [
            (PNPM, self.pnpm.as_ref().unwrap_or(&NOTHING)),
            (YARN, &self.yarn),
            ("package.json", workspaces),
            ("package.json", &self.manifest),
        ];
        for (file, place) in places {
            let default = (catalog == "default").then(|| place.get("catalog")).flatten();
            let named = place.get("catalogs").and_then(|it| it.get(catalog));
            let text = [default, named].into_iter().flatten().find_map(|it| it.get(name)?.as_str());
            if let Some(text) = text {
                let name = format!("catalog {catalog}: {name}");
                return Some(CatalogEntry { file: file_in(&self.dir, file), name, text });
            }
        }
        None
    }

    /// What the root's manifest asks for under a name.
    pub(super) fn version_of(&self, name: &str) -> Option<&str> {
        KINDS.iter().find_map(|kind| self.manifest.get(*kind)?.get(name)?.as_str())
    }

    /// The patches that are applied to packages: name and file.
    pub(super) fn patches(&self) -> Vec<(&str, &str)> {
        let pnpm = self.manifest.get("pnpm").unwrap_or(&NOTHING);
        let places = [self.pnpm.as_ref().unwrap_or(&NOTHING), pnpm, &self.manifest];
        let tables = places.iter().filter_map(|it| it.get("patchedDependencies")?.as_object());
        let entries = tables.flatten();
        entries
            .filter_map(|(key, file)| {
                let file = file.as_str().or_else(|| file.get("path")?.as_str())?;
                Some((overrides::without_range(key), file))
            })
            .collect()
    }

    /// Whether a package may have another in its closure; the lock file knows, if it is read.
    pub(super) fn may_hold(&self, package: &str, name: &str) -> bool {
        let names = self.lock.as_ref().and_then(|lock| lock.names_of(package));
        names.is_none_or(|names| names.contains(name))
    }

    /// The parts of the root's files that count for a package, by file and name. What is not known
    /// to be of no account is among them.
    pub(super) fn entries(&self, installs: bool) -> BTreeMap<(String, String), String> {
        let mut entries = BTreeMap::new();
        let mut add = |file: &str, name: String, value: &Value| {
            entries.insert((file_in(&self.dir, file), name), lock::canonical(value));
        };
        let counts = |key: &str| installs || !OF_INSTALLED.contains(&key);
        for (key, value) in self.manifest.as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                ("catalog" | "catalogs", _) => {}
                ("workspaces", Value::Object(table)) => {
                    let read = ["packages", "catalog", "catalogs"];
                    for (key, value) in table.iter().filter(|(it, _)| !read.contains(&it.as_str()))
                    {
                        add("package.json", format!("workspaces.{key}"), value);
                    }
                }
                ("workspaces", _) => {}
                ("pnpm", Value::Object(table)) => {
                    for (key, value) in table.iter().filter(|(key, _)| counts(key)) {
                        add("package.json", format!("pnpm.{key}"), value);
                    }
                }
                (key, value) if !OF_NO_ACCOUNT.contains(&key) && counts(key) => {
                    add("package.json", key.to_owned(), value);
                }
                _ => {}
            }
        }
        let empty = Map::new();
        let table = |value: &'_ Value| value.as_object().cloned().unwrap_or_else(|| empty.clone());
        for (file, settings) in
            [(PNPM, table(self.pnpm.as_ref().unwrap_or(&NOTHING))), (YARN, table(&self.yarn))]
        {
            let read = ["packages", "catalog", "catalogs"];
            for (key, value) in settings.iter().filter(|(key, _)| !read.contains(&key.as_str())) {
                if counts(key) {
                    add(file, key.clone(), value);
                }
            }
        }
        entries
    }
}

fn strings(list: Option<&Value>) -> Vec<String> {
    let list = list.and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
