//! npm, pnpm, yarn and bun packages: workspaces, and the packages that name each other.
//!
//! A dependency of any kind counts when its name, or the directory it points at, is a package of
//! the tree. A version that would rule the workspace's own package out is not looked at.

mod glob;
mod manager;
mod patterns;

use std::collections::{BTreeMap, BTreeSet};

use saphyr::{LoadableYamlNode as _, Yaml};
use serde_json::Value;

use self::{manager::Manager, patterns::Patterns};
use lanes::PackageKind;

use super::{
    Kind, ManifestTree, Manifests, Package, Packages, PackagesError, directory_of, file_in, join,
};
use crate::planned_tree::TreeError;

/// How packages of npm, pnpm, yarn and bun are read.
pub(crate) const KIND: Kind = Kind {
    kind: PackageKind::Npm,
    manifest: NAME,
    watched: &["**/package.json", "**/pnpm-workspace.yaml"],
    read: read_all,
    lock: |_, _| Err("locks of npm, pnpm and yarn are not read yet".to_owned()),
};

/// Reads all; a manifest that cannot be read hides every package.
fn read_all(manifests: &Manifests<'_>) -> Result<Packages, TreeError> {
    match read(manifests, manifests.wanted()) {
        Ok(packages) => Ok(packages),
        Err(PackagesError::Tree(error)) => Err(error),
        Err(PackagesError::Manifest { path, detail }) => {
            let mut packages = Packages::default();
            packages.unreadable(&path, directory_of(&path), &detail, None);
            Ok(packages)
        }
    }
}

const NAME: &str = "package.json";
const PNPM: &str = "pnpm-workspace.yaml";
const KINDS: [&str; 4] =
    ["dependencies", "devDependencies", "peerDependencies", "optionalDependencies"];

fn read(tree: &dyn ManifestTree, wanted: &[&str]) -> Result<Packages, PackagesError> {
    let mut reader = Reader { tree, manifests: BTreeMap::new() };
    reader.read_from(vec![String::new()])?;
    let packages = reader.packages();
    if packages.has(wanted) {
        return Ok(packages);
    }
    // A workspace below the root, or a package that no workspace has.
    let all = tree.matching("**/package.json")?;
    reader.read_from(all.iter().map(|path| directory_of(path).to_owned()).collect())?;
    Ok(reader.packages())
}

struct Reader<'a> {
    tree: &'a dyn ManifestTree,
    manifests: BTreeMap<String, Value>,
}

impl Reader<'_> {
    fn read_from(&mut self, mut queue: Vec<String>) -> Result<(), PackagesError> {
        while let Some(dir) = queue.pop() {
            let installed = dir.split('/').any(|part| part == "node_modules");
            if installed || self.manifests.contains_key(&dir) {
                continue;
            }
            let of_pnpm = self.pnpm_patterns(&dir)?;
            let path = file_in(&dir, NAME);
            let Some(text) = self.tree.text(&path)? else {
                if let Some(patterns) = of_pnpm {
                    queue.extend(self.members(Manager::Pnpm, &dir, &patterns)?);
                }
                continue;
            };
            let manifest: Value = serde_json::from_str(text.trim_start_matches('\u{feff}'))
                .map_err(|error| PackagesError::Manifest { path, detail: error.to_string() })?;
            for manager in manager::possible(self.tree, &dir, &manifest)? {
                let patterns = match (manager, &of_pnpm) {
                    (Manager::Pnpm, Some(patterns)) => patterns.clone(),
                    // pnpm reads no `workspaces`; without its own file, another manager is meant.
                    _ => workspace_patterns(&manifest),
                };
                queue.extend(self.members(manager, &dir, &patterns)?);
            }
            if let Some(patterns) = of_pnpm {
                queue.extend(self.members(Manager::Pnpm, &dir, &patterns)?);
            }
            queue.extend(path_dependencies(&dir, &manifest));
            self.manifests.insert(dir, manifest);
        }
        Ok(())
    }

    /// The patterns of `pnpm-workspace.yaml`; none where there is no such file.
    fn pnpm_patterns(&self, dir: &str) -> Result<Option<Vec<String>>, PackagesError> {
        let path = file_in(dir, PNPM);
        let Some(text) = self.tree.text(&path)? else { return Ok(None) };
        let documents = Yaml::load_from_str(&text)
            .map_err(|error| PackagesError::Manifest { path, detail: error.to_string() })?;
        let list = documents.first().and_then(|document| document.as_mapping_get("packages"));
        let list = list.and_then(Yaml::as_sequence).map(Vec::as_slice).unwrap_or_default();
        Ok(Some(list.iter().filter_map(Yaml::as_str).map(str::to_owned).collect()))
    }

    /// The directories that patterns of a workspace make members, as one manager reads them.
    fn members(
        &self,
        manager: Manager,
        root: &str,
        patterns: &[String],
    ) -> Result<Vec<String>, PackagesError> {
        let patterns = Patterns::new(manager, root, patterns);
        let mut members = BTreeSet::new();
        for glob in patterns.candidates(NAME) {
            let found = self.tree.matching(&glob)?;
            let dirs = found.iter().map(|path| directory_of(path));
            members.extend(dirs.filter(|dir| patterns.has(dir)).map(str::to_owned));
        }
        Ok(members.into_iter().collect())
    }

    fn packages(&self) -> Packages {
        let mut dirs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let named = self.manifests.iter().filter_map(|(dir, it)| Some((dir, name(it)?)));
        for (dir, name) in named.clone() {
            dirs.entry(name).or_default().push(dir);
        }
        let mut packages = Packages::default();
        for (dir, name) in named {
            let manifest = &self.manifests[dir];
            let mut dependencies: BTreeSet<String> = path_dependencies(dir, manifest)
                .into_iter()
                .filter(|dir| self.manifests.contains_key(dir))
                .collect();
            for (key, wanted) in dependencies_of(manifest) {
                let name = alias(wanted).unwrap_or(key);
                dependencies
                    .extend(dirs.get(name).into_iter().flatten().map(|&dir| dir.to_owned()));
            }
            dependencies.remove(dir);
            let mut package = Package::new(name, dir);
            for dir in dependencies {
                package.needs(dir);
            }
            packages.insert(package);
        }
        packages
    }
}

fn name(manifest: &Value) -> Option<&str> {
    manifest.get("name")?.as_str()
}

/// The `workspaces` of npm and yarn: a list, or a table that holds one.
fn workspace_patterns(manifest: &Value) -> Vec<String> {
    let workspaces = manifest.get("workspaces");
    let list = workspaces.and_then(|it| it.as_array().or_else(|| it.get("packages")?.as_array()));
    list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn dependencies_of(manifest: &Value) -> impl Iterator<Item = (&str, &str)> {
    let tables = KINDS.iter().filter_map(|kind| manifest.get(*kind)?.as_object());
    tables.flatten().filter_map(|(name, wanted)| Some((name.as_str(), wanted.as_str()?)))
}

/// The name behind an alias: `npm:real@1`, `workspace:real@*`.
fn alias(wanted: &str) -> Option<&str> {
    let target = wanted.strip_prefix("npm:").or_else(|| wanted.strip_prefix("workspace:"))?;
    let end = target.get(1..)?.find('@')? + 1;
    Some(&target[..end])
}

/// Dependencies that name a directory.
fn path_dependencies(dir: &str, manifest: &Value) -> Vec<String> {
    let paths = dependencies_of(manifest).filter_map(|(_, wanted)| {
        let path = ["file:", "link:", "portal:", "workspace:"]
            .iter()
            .find_map(|scheme| wanted.strip_prefix(scheme))?;
        (path.starts_with('.') || !wanted.starts_with("workspace:")).then_some(path)
    });
    paths.filter_map(|path| join(dir, path)).collect()
}
