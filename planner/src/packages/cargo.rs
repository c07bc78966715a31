//! Cargo packages: workspaces, their members and the paths between them.
//!
//! Dependencies of every kind count (normal, dev, build, of any target, optional ones too), through
//! `path`, `workspace = true` and `[patch]`, renamed or not. What comes from a registry or from
//! git is no directory of the tree.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use super::{ManifestTree, Package, Packages, PackagesError, directory_of, file_in, join};

const NAME: &str = "Cargo.toml";
const KINDS: [&str; 5] = [
    "dependencies",
    "dev-dependencies",
    "dev_dependencies",
    "build-dependencies",
    "build_dependencies",
];

pub(super) fn read(tree: &dyn ManifestTree, wanted: &[&str]) -> Result<Packages, PackagesError> {
    let mut reader = Reader { tree, manifests: BTreeMap::new(), packages: Packages::default() };
    reader.read_from(vec![String::new()])?;
    if !reader.packages.has(wanted) {
        // A workspace below the root, or a package that no workspace has.
        let all = tree.matching("**/Cargo.toml")?;
        reader.read_from(all.iter().map(|path| directory_of(path).to_owned()).collect())?;
    }
    Ok(reader.packages)
}

struct Reader<'a> {
    tree: &'a dyn ManifestTree,
    manifests: BTreeMap<String, Option<Table>>,
    packages: Packages,
}

impl Reader<'_> {
    fn manifest(&mut self, dir: &str) -> Result<Option<&Table>, PackagesError> {
        if !self.manifests.contains_key(dir) {
            let path = file_in(dir, NAME);
            let parsed = match self.tree.text(&path)? {
                None => None,
                Some(text) => Some(text.parse::<Table>().map_err(|error| {
                    let detail = error.message().to_owned();
                    PackagesError::Manifest { path, detail }
                })?),
            };
            self.manifests.insert(dir.to_owned(), parsed);
        }
        Ok(self.manifests.get(dir).and_then(Option::as_ref))
    }

    /// Reads the packages of some directories and all that they lead to.
    fn read_from(&mut self, mut queue: Vec<String>) -> Result<(), PackagesError> {
        let mut seen = BTreeSet::new();
        while let Some(dir) = queue.pop() {
            if !seen.insert(dir.clone()) {
                continue;
            }
            let Some(manifest) = self.manifest(&dir)?.cloned() else { continue };
            if let Some(workspace) = manifest.get("workspace").and_then(Value::as_table) {
                queue.extend(self.members(&dir, workspace)?);
            }
            let name = manifest.get("package").and_then(|package| package.get("name"));
            let Some(name) = name.and_then(Value::as_str).map(str::to_owned) else { continue };
            let root = self.workspace_root(&dir, &manifest)?;
            let root = match root {
                Some(root) => self.manifest(&root)?.cloned().map(|table| (root, table)),
                None => None,
            };
            let mut dependencies = BTreeSet::new();
            for target in dependency_dirs(&dir, &manifest, root.as_ref()) {
                if target != dir && self.manifest(&target)?.is_some() {
                    queue.push(target.clone());
                    dependencies.insert(target);
                }
            }
            let package = Package { name, dir: dir.clone(), dependencies };
            self.packages.by_dir.insert(dir, package);
        }
        Ok(())
    }

    fn members(&self, root: &str, workspace: &Table) -> Result<Vec<String>, PackagesError> {
        let excluded: Vec<String> =
            strings(workspace.get("exclude")).filter_map(|path| join(root, path)).collect();
        let is_excluded = |dir: &str| {
            excluded.iter().any(|out| dir == out || dir.starts_with(&format!("{out}/")))
        };
        let mut members = Vec::new();
        for member in strings(workspace.get("members")) {
            let Some(path) = join(root, member) else { continue };
            if !path.contains(['*', '?', '[']) {
                // Named outright: `exclude` does not take it away.
                members.push(path);
                continue;
            }
            let found = self.tree.matching(&file_in(&path, NAME))?;
            let dirs = found.iter().map(|path| directory_of(path));
            members.extend(dirs.filter(|dir| !is_excluded(dir)).map(str::to_owned));
        }
        Ok(members)
    }

    /// The directory of the workspace that a package belongs to.
    fn workspace_root(
        &mut self,
        dir: &str,
        manifest: &Table,
    ) -> Result<Option<String>, PackagesError> {
        let named = manifest.get("package").and_then(|package| package.get("workspace"));
        if let Some(named) = named.and_then(Value::as_str) {
            return Ok(join(dir, named));
        }
        let mut above = Some(dir);
        while let Some(candidate) = above {
            if self.manifest(candidate)?.is_some_and(|table| table.contains_key("workspace")) {
                return Ok(Some(candidate.to_owned()));
            }
            above = (!candidate.is_empty()).then(|| directory_of(candidate));
        }
        Ok(None)
    }
}

/// The directories that a manifest's dependencies are in.
fn dependency_dirs(dir: &str, manifest: &Table, root: Option<&(String, Table)>) -> Vec<String> {
    let of_target = manifest.get("target").and_then(Value::as_table);
    let targets = of_target.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let patches = root.map(|(root, table)| patches(root, table)).unwrap_or_default();
    let mut dirs = Vec::new();
    for table in std::iter::once(manifest).chain(targets) {
        let tables = KINDS.iter().filter_map(|kind| table.get(*kind)?.as_table());
        for (key, dependency) in tables.flatten() {
            let mut from = dir;
            let mut dependency = dependency;
            if dependency.get("workspace").and_then(Value::as_bool) == Some(true) {
                let inherited = root.and_then(|(root, table)| {
                    let list = table.get("workspace")?.get("dependencies")?;
                    Some((root, list.get(key)?))
                });
                let Some((root, inherited)) = inherited else { continue };
                (from, dependency) = (root, inherited);
            }
            if let Some(path) = dependency.get("path").and_then(Value::as_str) {
                dirs.extend(join(from, path));
            } else {
                let name = dependency.get("package").and_then(Value::as_str).unwrap_or(key);
                dirs.extend(patches.iter().filter(|(it, _)| it == name).map(|(_, to)| to.clone()));
            }
        }
    }
    dirs
}

/// Packages that the workspace takes from a directory instead of a registry.
fn patches(root: &str, manifest: &Table) -> Vec<(String, String)> {
    let of_sources = manifest.get("patch").and_then(Value::as_table);
    let sources = of_sources.into_iter().flat_map(Table::values);
    let replaced = manifest.get("replace").into_iter();
    let entries = sources.chain(replaced).filter_map(Value::as_table).flatten();
    entries
        .filter_map(|(key, patch)| {
            let key = key.split([':', '@']).next().unwrap_or(key);
            let name = patch.get("package").and_then(Value::as_str).unwrap_or(key);
            let dir = join(root, patch.get("path")?.as_str()?)?;
            Some((name.to_owned(), dir))
        })
        .collect()
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
