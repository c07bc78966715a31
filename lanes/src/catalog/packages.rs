//! The packages that a lane names, and what the planner derived from them beside paths.
//!
//! Which packages there are and where their dependencies lead is the planner's business: nothing
//! here knows a package manager.

use std::collections::{BTreeMap, BTreeSet};

use super::{Catalog, LaneIndex};
use crate::source::Span;

/// The tool whose packages a key of `inputs` names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackageKind {
    /// Cargo.
    Cargo,
    /// npm, pnpm, yarn and bun.
    Npm,
    /// Go modules.
    Go,
    /// Python projects of uv.
    Uv,
    /// Gradle.
    Gradle,
    /// Maven.
    Maven,
    /// .NET.
    Dotnet,
}

impl PackageKind {
    /// Every kind, in the order of the keys in the manifest's documentation.
    pub const ALL: [Self; 7] =
        [Self::Cargo, Self::Npm, Self::Go, Self::Uv, Self::Gradle, Self::Maven, Self::Dotnet];

    /// Returns the key of `inputs`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Cargo => "cargo",
            Self::Npm => "npm",
            Self::Go => "go",
            Self::Uv => "uv",
            Self::Gradle => "gradle",
            Self::Maven => "maven",
            Self::Dotnet => "dotnet",
        }
    }
}

/// Packages whose files a lane depends on.
#[derive(Debug, Clone, Default)]
pub struct Inputs(BTreeMap<PackageKind, Vec<(String, Span)>>);

impl Inputs {
    pub(crate) fn new(lists: impl IntoIterator<Item = (PackageKind, Vec<(String, Span)>)>) -> Self {
        Self(lists.into_iter().filter(|(_, list)| !list.is_empty()).collect())
    }

    /// Returns the packages of one kind, and where they are named.
    #[must_use]
    pub fn of(&self, kind: PackageKind) -> &[(String, Span)] {
        self.0.get(&kind).map(Vec::as_slice).unwrap_or_default()
    }

    /// Returns every package with its kind, each once.
    #[must_use]
    pub fn names(&self) -> BTreeSet<(PackageKind, String)> {
        let names = self
            .0
            .iter()
            .flat_map(|(kind, list)| list.iter().map(|(name, _)| (*kind, name.clone())));
        names.collect()
    }

    /// Returns whether no package is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What the planner derived from a lane's [`Inputs`] beside paths: parts of files that packages
/// share.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Derived {
    /// The packages of the lane whose entries in lock files count.
    pub locks: Vec<LockUse>,
    /// Entries of shared manifests that the lane's packages take something from, by file and name.
    pub entries: BTreeMap<(String, String), SharedEntry>,
    /// Files beside those locks that say for a whole workspace what its packages are.
    pub roots: BTreeSet<String>,
    /// Files that would be among these if the lane's `exclude` did not take them away.
    pub left_out: BTreeSet<String>,
}

impl Derived {
    /// Returns the files that the lane follows by what is in them, not by a glob; some may not be
    /// there.
    pub fn files(&self) -> impl Iterator<Item = &str> {
        let locks = self.locks.iter().map(|used| used.path.as_str());
        let entries = self.entries.keys().map(|(file, _)| file.as_str());
        locks.chain(entries).chain(self.roots.iter().map(String::as_str))
    }
}

/// A package of a lane in the lock file that governs it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockUse {
    /// The lock file; it need not be there.
    pub path: String,
    /// Which kind of package.
    pub kind: PackageKind,
    /// How the lock file calls the package.
    pub key: String,
    /// The package, for people.
    pub package: String,
}

/// An entry of a shared manifest, such as a version that several packages inherit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedEntry {
    /// Its text, in a form that is equal exactly when the meaning is.
    pub value: String,
    /// The chain of dependencies to the package that takes it: `app -> core`.
    pub via: String,
}

impl Catalog {
    /// Notes that the entries of a package in a lock file select a lane.
    pub fn add_lock(&mut self, lane: LaneIndex, used: LockUse) {
        let locks = &mut self.lanes[lane.position()].derived.locks;
        if let Err(at) = locks.binary_search(&used) {
            locks.insert(at, used);
        }
    }

    /// Notes a file that says for a whole workspace what its packages are.
    pub fn add_root(&mut self, lane: LaneIndex, path: String) {
        self.lanes[lane.position()].derived.roots.insert(path);
    }

    /// Takes away the files that a lane is not to follow.
    pub fn leave_out(&mut self, lane: LaneIndex, left_out: impl Fn(&str) -> bool) {
        let derived = &mut self.lanes[lane.position()].derived;
        let files = derived.files().filter(|file| left_out(file)).map(str::to_owned);
        let files: BTreeSet<String> = files.collect();
        derived.locks.retain(|used| !files.contains(&used.path));
        derived.entries.retain(|(file, _), _| !files.contains(file));
        derived.roots.retain(|file| !files.contains(file));
        derived.left_out = files;
    }

    /// Notes that an entry of a shared manifest selects a lane; the first chain to it stays.
    pub fn add_shared_entry(
        &mut self,
        lane: LaneIndex,
        file: &str,
        name: &str,
        entry: SharedEntry,
    ) {
        let entries = &mut self.lanes[lane.position()].derived.entries;
        entries.entry((file.to_owned(), name.to_owned())).or_insert(entry);
    }
}
