//! Cargo packages: workspaces, their members, and everything by which a file reaches one.
//!
//! Dependencies of every kind count (normal, dev, build, of any target, optional ones too), through
//! `path`, `workspace = true`, `[patch]`, `[replace]` and `paths` overrides, renamed or not. What
//! comes from a registry or from git is no file of the tree; `Cargo.lock` says which of it a package
//! has.
//!
//! | room | owns |
//! | --- | --- |
//! | [`members`] | `[workspace] members` and `exclude`, in Cargo's dialect |
//! | [`targets`] | crate roots and build scripts outside the package's directory |
//! | [`overrides`] | patches and replacements, of the root manifest and of configuration |
//! | [`config`] | `.cargo/config.toml` and toolchain files above a package |
//! | [`shared`] | what packages take from the root manifest |
//! | [`lock`] | `Cargo.lock` |

mod config;
mod lock;
mod members;
mod overrides;
mod shared;
mod targets;

use std::collections::{BTreeMap, BTreeSet};

use lanes::PackageKind;
use toml::{Table, Value};

use self::overrides::Override;
use super::{
    End, Kind, LockAt, Manifests, Package, Packages, Text, To, directory_of, file_in, join,
};
use crate::planned_tree::TreeError;

/// How Cargo packages are read.
pub(crate) const KIND: Kind = Kind {
    kind: PackageKind::Cargo,
    manifest: NAME,
    watched: &[
        "**/Cargo.toml",
        "**/.cargo/config.toml",
        "**/.cargo/config",
        "**/rust-toolchain.toml",
        "**/rust-toolchain",
    ],
    read,
    lock: |_, text| lock::read(text),
};

const NAME: &str = "Cargo.toml";
const KINDS: [&str; 5] = [
    "dependencies",
    "dev-dependencies",
    "dev_dependencies",
    "build-dependencies",
    "build_dependencies",
];

fn read(manifests: &Manifests<'_>) -> Result<Packages, TreeError> {
    let mut reader = Reader {
        manifests,
        read: BTreeMap::new(),
        member_of: BTreeMap::new(),
        seen: BTreeSet::new(),
        workspaces: BTreeMap::new(),
        packages: Packages::default(),
    };
    reader.read_from(vec![At::plain("")])?;
    if !reader.packages.has(manifests.wanted()) {
        // A workspace below the root, or a package that no workspace has.
        let all = manifests.matching("**/Cargo.toml")?;
        reader.read_from(all.iter().map(|path| At::plain(directory_of(path))).collect())?;
    }
    reader.overrides()?;
    Ok(reader.packages)
}

/// A directory: where it is, and under which path it was come to. Cargo goes on from the latter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    real: String,
    path: String,
}

impl At {
    fn plain(dir: &str) -> Self {
        Self { real: dir.to_owned(), path: dir.to_owned() }
    }
}

/// A manifest as far as it was understood.
#[derive(Debug, Clone)]
enum Parsed {
    Absent,
    Broken,
    Table(Table),
}

/// The root manifest of a workspace, and where it is.
#[derive(Debug, Clone)]
struct Root {
    dir: String,
    table: Table,
}

struct Reader<'a> {
    manifests: &'a Manifests<'a>,
    read: BTreeMap<String, Parsed>,
    /// The workspaces whose patterns name a directory.
    member_of: BTreeMap<At, String>,
    seen: BTreeSet<At>,
    /// By directory of its root: the packages of a workspace, or the one that is its own.
    workspaces: BTreeMap<String, BTreeSet<String>>,
    packages: Packages,
}

impl Reader<'_> {
    fn manifest(&mut self, dir: &str) -> Result<Parsed, TreeError> {
        if let Some(known) = self.read.get(dir) {
            return Ok(known.clone());
        }
        let path = file_in(dir, NAME);
        let parsed = match self.manifests.text(&path)? {
            Text::Absent => Parsed::Absent,
            Text::Unreadable(detail) => {
                self.packages.unreadable(&path, dir, &detail, None);
                Parsed::Broken
            }
            Text::Read(text) => match text.parse::<Table>() {
                Ok(table) => Parsed::Table(table),
                Err(error) => {
                    self.packages.unreadable(&path, dir, error.message(), Some(&text));
                    Parsed::Broken
                }
            },
        };
        self.read.insert(dir.to_owned(), parsed.clone());
        Ok(parsed)
    }

    /// Reads the packages of some directories and all that they lead to.
    fn read_from(&mut self, mut queue: Vec<At>) -> Result<(), TreeError> {
        while let Some(at) = queue.pop() {
            if !self.seen.insert(at.clone()) {
                continue;
            }
            let Parsed::Table(manifest) = self.manifest(&at.real)? else { continue };
            if let Some(workspace) = manifest.get("workspace").and_then(Value::as_table) {
                for member in members::members(self.manifests, &at.path, workspace)? {
                    self.member_of.insert(member.clone(), at.real.clone());
                    queue.push(member);
                }
            }
            let name = manifest.get("package").and_then(|package| package.get("name"));
            if let Some(name) = name.and_then(Value::as_str).map(str::to_owned) {
                self.package(&at, &name, &manifest, &mut queue)?;
            }
        }
        Ok(())
    }

    fn package(
        &mut self,
        at: &At,
        name: &str,
        manifest: &Table,
        queue: &mut Vec<At>,
    ) -> Result<(), TreeError> {
        // A package that two paths lead to has what either of them brings.
        let known = self.packages.at(&at.real).cloned();
        let mut package = known.unwrap_or_else(|| Package::new(name, &at.real));
        let root = match self.workspace_root(at, manifest)? {
            Found::Root(root) => Some(root),
            Found::Broken(path) => {
                package.uses(To::Package(directory_of(&path).to_owned()), path);
                None
            }
            Found::None => None,
        };
        for (from, path) in self.dependency_paths(at, manifest, root.as_ref()) {
            self.follow(&mut package, &from, &path, queue)?;
        }
        targets::outside(self.manifests, at, manifest, &mut package, &mut self.packages)?;
        let of = root.as_ref().map_or(at.real.as_str(), |root| root.dir.as_str());
        config::above(self.manifests, &[&at.path, of], &mut package, &mut self.packages)?;
        if let Some(root) = root.as_ref().filter(|root| root.dir != at.real) {
            shared::entries(root, manifest, &mut package);
        }
        let path = file_in(of, "Cargo.lock");
        package.locks.insert(LockAt { path, key: name.to_owned() });
        self.workspaces.entry(of.to_owned()).or_default().insert(at.real.clone());
        self.packages.insert(package);
        Ok(())
    }

    /// Adds what a path of a manifest leads to.
    fn follow(
        &mut self,
        package: &mut Package,
        from: &str,
        path: &str,
        queue: &mut Vec<At>,
    ) -> Result<(), TreeError> {
        let manifest = file_in(&package.dir, NAME);
        let Some(lexical) = join(from, path) else {
            let detail = format!("names `{path}`, which is outside the repository");
            self.packages.unfollowed(&manifest, &package.dir, detail);
            return Ok(());
        };
        let place = self.manifests.locate(&lexical)?;
        for link in &place.links {
            package.uses(To::Link(link.clone()), format!("{link} (link)"));
        }
        match place.end {
            End::Directory(dir) if dir == package.dir => {}
            End::Directory(dir) => match self.manifest(&dir)? {
                Parsed::Absent => {
                    let detail = format!("names `{dir}`, which has no {NAME}; all of it counts");
                    self.packages.unfollowed(&manifest, &package.dir, detail);
                    package.uses(To::Directory(dir.clone()), dir);
                }
                Parsed::Broken | Parsed::Table(_) => {
                    package.needs(&dir);
                    queue.push(At { real: dir, path: lexical });
                }
            },
            End::Submodule(path) => {
                package.uses(To::Submodule(path.clone()), format!("{path} (submodule)"));
            }
            End::File(path) => package.uses(To::File(path.clone()), path),
            End::Missing(path) => {
                let detail = format!("names `{path}`, which is not in the tree");
                self.packages.unfollowed(&manifest, &package.dir, detail);
                package.uses(To::Directory(path.clone()), format!("{path} (missing)"));
            }
            End::Outside => {
                let detail = format!("names `{path}`, which leads out of the repository");
                self.packages.unfollowed(&manifest, &package.dir, detail);
            }
        }
        Ok(())
    }

    /// The workspace that a package belongs to.
    fn workspace_root(&mut self, at: &At, manifest: &Table) -> Result<Found, TreeError> {
        let named = manifest.get("package").and_then(|package| package.get("workspace"));
        let named = named.and_then(Value::as_str).and_then(|named| join(&at.path, named));
        if let Some(dir) = named.or_else(|| self.member_of.get(at).cloned()) {
            let End::Directory(dir) = self.manifests.locate(&dir)?.end else {
                return Ok(Found::None);
            };
            return Ok(match self.manifest(&dir)? {
                Parsed::Table(table) => Found::Root(Root { dir, table }),
                Parsed::Broken => Found::Broken(file_in(&dir, NAME)),
                Parsed::Absent => Found::None,
            });
        }
        let mut above = Some(at.path.as_str());
        while let Some(dir) = above {
            match self.manifest(dir)? {
                Parsed::Table(table) => {
                    let workspace = table.get("workspace").and_then(Value::as_table);
                    let excludes = workspace.map(|it| members::excludes(dir, it, &at.path));
                    if excludes == Some(false) {
                        return Ok(Found::Root(Root { dir: dir.to_owned(), table }));
                    }
                }
                Parsed::Broken => return Ok(Found::Broken(file_in(dir, NAME))),
                Parsed::Absent => {}
            }
            above = (!dir.is_empty()).then(|| directory_of(dir));
        }
        Ok(Found::None)
    }

    /// The paths of a manifest's dependencies, each with the directory that it starts from.
    fn dependency_paths(
        &mut self,
        at: &At,
        manifest: &Table,
        root: Option<&Root>,
    ) -> Vec<(String, String)> {
        let mut paths = Vec::new();
        for (key, dependency) in dependencies(manifest) {
            let mut from = at.path.as_str();
            let mut dependency = dependency;
            if is_inherited(dependency) {
                let Some(root) = root else { continue };
                let list = root.table.get("workspace").and_then(|it| it.get("dependencies"));
                let Some(inherited) = list.and_then(|list| list.get(key)) else {
                    let detail = format!(
                        "takes `{key}` from the workspace of `{}`, which does not have it",
                        file_in(&root.dir, NAME)
                    );
                    self.packages.unfollowed(&file_in(&at.real, NAME), &at.real, detail);
                    continue;
                };
                (from, dependency) = (&root.dir, inherited);
            }
            let path = dependency.get("path").and_then(Value::as_str);
            paths.extend(path.map(|path| (from.to_owned(), path.to_owned())));
        }
        paths
    }

    /// Adds patches, replacements and overrides to the packages that may have them.
    fn overrides(&mut self) -> Result<(), TreeError> {
        let mut done = BTreeSet::new();
        loop {
            let workspaces = self.workspaces.iter();
            let built = |(root, members): (&String, &BTreeSet<String>)| {
                (root.clone(), self.built_in(members))
            };
            let workspaces: Vec<(String, BTreeSet<String>)> =
                workspaces.map(built).filter(|it| !done.contains(it)).collect();
            if workspaces.is_empty() {
                return Ok(());
            }
            for (root, members) in workspaces {
                self.overrides_of(&root, &members)?;
                done.insert((root, members));
            }
        }
    }

    /// The packages that may be built in a workspace: its members, and packages of other workspaces,
    /// or of none, that they reach. Those have the overrides and locked versions of this one there.
    fn built_in(&self, members: &BTreeSet<String>) -> BTreeSet<String> {
        let mut built = members.clone();
        let mut queue: Vec<&str> = members.iter().map(String::as_str).collect();
        while let Some(dir) = queue.pop() {
            let dependencies = self.packages.at(dir).into_iter().flat_map(|it| &it.dependencies);
            for dependency in dependencies {
                if let To::Package(dir) = &dependency.to
                    && built.insert(dir.clone())
                {
                    queue.push(dir);
                }
            }
        }
        built
    }

    fn overrides_of(&mut self, root: &str, built: &BTreeSet<String>) -> Result<(), TreeError> {
        let mut overrides: Vec<Override> = match self.manifest(root)? {
            Parsed::Table(table) => overrides::of_manifest(root, &table),
            Parsed::Absent | Parsed::Broken => Vec::new(),
        };
        overrides.extend(config::overrides(self.manifests, root)?);
        let own = self.workspaces.get(root).cloned().unwrap_or_default();
        if overrides.is_empty() && own == *built {
            return Ok(());
        }
        let text = self.manifests.text(&file_in(root, "Cargo.lock"))?;
        let locked = match &text {
            Text::Read(text) => lock::read(text).ok(),
            Text::Absent | Text::Unreadable(_) => None,
        };
        for dir in built {
            let Some(mut package) = self.packages.at(dir).cloned() else { continue };
            if !own.contains(dir) && locked.as_ref().is_some_and(|it| it.has(&package.name)) {
                let path = file_in(root, "Cargo.lock");
                package.locks.insert(LockAt { path, key: package.name.clone() });
            }
            let closure = locked.as_ref().and_then(|lock| lock.names_of(&package.name));
            let named: BTreeSet<String> = match self.manifest(dir)? {
                Parsed::Table(table) => {
                    overrides::names_of_dependencies(&table, root_of(self, root)?)
                }
                Parsed::Absent | Parsed::Broken => BTreeSet::new(),
            };
            let mut queue = Vec::new();
            for one in &overrides {
                let locked_at_all = locked.as_ref().is_some_and(|lock| lock.has(&one.name));
                let not_in =
                    closure.as_ref().is_some_and(|names| !names.contains(one.name.as_str()));
                // What the lock file knows nothing of may be in anything.
                if locked_at_all && not_in && !named.contains(&one.name) {
                    continue;
                }
                self.follow(&mut package, &one.from, &one.path, &mut queue)?;
            }
            self.packages.insert(package);
            self.read_from(queue)?;
        }
        Ok(())
    }
}

/// The table of a workspace's root manifest.
fn root_of(reader: &mut Reader<'_>, root: &str) -> Result<Option<Table>, TreeError> {
    Ok(match reader.manifest(root)? {
        Parsed::Table(table) => Some(table),
        Parsed::Absent | Parsed::Broken => None,
    })
}

/// The workspace of a package.
enum Found {
    Root(Root),
    /// A manifest above, which may be the root, cannot be read.
    Broken(String),
    None,
}

/// The dependencies of every kind that a manifest lists.
fn dependencies(manifest: &Table) -> impl Iterator<Item = (&String, &Value)> {
    let of_target = manifest.get("target").and_then(Value::as_table);
    let targets = of_target.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let tables = std::iter::once(manifest).chain(targets);
    tables.flat_map(|table| KINDS.iter().filter_map(|kind| table.get(*kind)?.as_table()).flatten())
}

fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

fn strings(value: Option<&Value>) -> impl Iterator<Item = &str> {
    value.and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
