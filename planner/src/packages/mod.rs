//! Packages of the planned tree's workspaces, and what each of them depends on.
//!
//! Reads manifests of packages and lock files out of the tree being planned and nothing else: no
//! package manager runs, nothing is downloaded, no registry is asked. [`derive`] turns a lane's
//! `inputs` into path filters, and into the parts of shared files that count for it; `changed`
//! says which of those parts differ between a base and head.
//!
//! Where manifests leave a doubt (two packages of one name, a dependency that a feature or a
//! target switches on) every possibility counts: a filter too wide runs too much, one too narrow
//! lets a fault through.
//!
//! | room | owns |
//! | --- | --- |
//! | [`tree`] | what a tree answers; links followed, ignored manifests left out |
//! | [`graph`] | packages, the things they depend on, what one reaches |
//! | `links` | symbolic links in a package that lead out of it |
//! | `mounted` | submodules that are on this machine, in their places of the tree |
//! | [`derive`] | lanes' `inputs` to paths, locks and entries; what is wrong with them |
//! | `lock` | a lock file as a graph of entries; two of them compared |
//! | `document` | JSON, TOML and YAML as values that borrow their text, for readers of lock files |
//! | `changed` | which lanes the entries that differ belong to |
//! | `cargo`, `npm` and one more per kind | the format of one kind's manifests and locks |
//!
//! # A further kind
//!
//! A variant of [`PackageKind`], a file beside this one and an arm of `kind_of`. The file has two
//! functions, which are the fields of `Kind`:
//!
//! - `read(&Manifests) -> Result<Packages, TreeError>` inserts a [`Package`] for everything that a
//!   lane may name. It reads by `Manifests::text` (which follows links and leaves out what
//!   `ignore_manifests` names) and `Manifests::list` or `Manifests::matching`, and starts at
//!   the root; only when [`Packages::has`] does not find all `Manifests::wanted` names it looks
//!   at every manifest of the tree. It fails only when the repository cannot be read: a manifest
//!   that is broken is [`Packages::unreadable`], one that leads where nothing can be followed
//!   [`Packages::unfollowed`] together with a dependency on [`To::Anything`] where something of the
//!   tree may be behind it.
//! - A path in a manifest goes through `Manifests::lead`: every link on the way and what is at
//!   the end (`End`) become dependencies, a package where there is a manifest, else the
//!   directory, file or submodule; a path that is missing is watched as a directory and is
//!   `unfollowed`.
//! - Versions that packages share (`[workspace.dependencies]`, catalogs) are [`Package::entries`]
//!   of each package that takes them. What of the shared file is not understood is an entry of
//!   every package.
//! - [`Package::locks`] names the lock file that governs the package, even if it is not there, and
//!   how that file calls it. `lock(path, text) -> Result<Lock<'_>, String>` reads such a file; its
//!   error makes every lane of the file run, with the reason.
//! - `watched` are globs of every file whose change may alter what `read` answers, lock files not
//!   among them.

pub(crate) mod cargo;
pub(crate) mod changed;
mod derive;
mod directory;
pub(crate) mod document;
pub(crate) mod dotnet;
pub(crate) mod go;
pub(crate) mod gradle;
pub mod graph;
mod job_inputs;
mod links;
pub(crate) mod lock;
pub(crate) mod maven;
mod mounted;
pub(crate) mod npm;
mod places;
#[cfg(test)]
mod readers;
#[cfg(test)]
pub(crate) mod tests;
pub mod tree;
pub(crate) mod uv;

use lanes::{PackageKind, codes::Code};

pub use self::{
    derive::PackageProblem,
    graph::{Dependency, LockAt, Package, Packages, Problem, Reached, To, glob_of, literal},
    tree::{ManifestTree, TreeEntry},
};
pub(crate) use self::{
    derive::derive,
    lock::Lock,
    tree::{End, Manifests, Text, directory_of, file_in, join},
};
use crate::planned_tree::TreeError;

/// `inputs` names a package that no manifest of the planned tree has.
pub static UNKNOWN_PACKAGE: Code = Code {
    name: "unknown_package",
    cause: "`inputs` names a package that no manifest of the planned tree has.",
    remedy: "Use the name that the package's own manifest gives it.",
};

/// Why manifests of packages give no answer.
#[derive(Debug, thiserror::Error)]
pub enum PackagesError {
    /// A manifest is not what its name says.
    #[error("`{path}` cannot be read: {detail}")]
    Manifest {
        /// The manifest.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The tree has no answer.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// A kind of package: how its manifests and locks are read.
pub(crate) struct Kind {
    /// The key of `inputs`.
    pub(crate) kind: PackageKind,
    /// What a package's manifest is called.
    pub(crate) manifest: &'static str,
    /// Globs: a change of what they match decides which packages there are and what they depend on.
    pub(crate) watched: &'static [&'static str],
    /// Reads the packages of a tree.
    pub(crate) read: fn(&Manifests<'_>) -> Result<Packages, TreeError>,
    /// Reads a lock file: its path, which tells the format, and its text.
    pub(crate) lock: for<'t> fn(&str, &'t str) -> Result<Lock<'t>, String>,
}

/// Returns how a kind is read.
pub(crate) fn kind_of(kind: PackageKind) -> &'static Kind {
    match kind {
        PackageKind::Cargo => &cargo::KIND,
        PackageKind::Npm => &npm::KIND,
        PackageKind::Go => &go::KIND,
        PackageKind::Uv => &uv::KIND,
        PackageKind::Gradle => &gradle::KIND,
        PackageKind::Maven => &maven::KIND,
        PackageKind::Dotnet => &dotnet::KIND,
    }
}

/// Returns the globs of every file that says which packages there are and what they depend on.
///
/// # Panics
///
/// Never: the globs are plain.
pub(crate) fn watched() -> Vec<lanes::glob::Glob> {
    let globs = PackageKind::ALL.iter().flat_map(|kind| kind_of(*kind).watched);
    globs.map(|glob| lanes::glob::Glob::new(glob).expect("a plain glob")).collect()
}

/// Returns what manifests of packages are called, by kind.
pub(crate) fn manifest_names() -> [&'static str; PackageKind::ALL.len()] {
    PackageKind::ALL.map(|kind| kind_of(kind).manifest)
}

impl Packages {
    /// Reads the packages of one kind for commands that draft definitions. A manifest that cannot
    /// be read stops nothing; `notes` says so.
    ///
    /// # Errors
    ///
    /// [`TreeError`] when the tree cannot be read.
    pub(crate) fn drafted(
        kind: &Kind,
        tree: &dyn ManifestTree,
        wanted: &[&str],
        notes: &mut Vec<String>,
    ) -> Result<Self, TreeError> {
        let packages = (kind.read)(&Manifests::new(tree, &[], wanted))?;
        for problem in packages.problems().filter(|problem| problem.unreadable) {
            notes.push(format!(
                "{} {}; no lane follows it. If it is a template or a fixture, say so:",
                problem.path, problem.detail
            ));
            notes.push(format!("  ignore_manifests = [\"{}\"]", literal(&problem.path)));
        }
        Ok(packages)
    }
}

/// The packages of one kind.
pub struct Of {
    /// Which kind.
    pub kind: PackageKind,
    /// What a package's manifest is called.
    pub manifest: &'static str,
    /// The packages.
    pub packages: Packages,
}

impl Of {
    /// Returns the packages of this kind that a lane names.
    pub fn named<'a>(&self, inputs: &'a lanes::Inputs) -> impl Iterator<Item = &'a str> {
        inputs.of(self.kind).iter().map(|(name, _)| name.as_str())
    }
}

/// Reads the packages of every kind, wherever they are.
///
/// # Errors
///
/// [`TreeError`] when the tree cannot be read.
pub fn all(tree: &dyn ManifestTree, ignored: &[lanes::glob::Glob]) -> Result<Vec<Of>, TreeError> {
    let mut all = Vec::new();
    for kind in PackageKind::ALL {
        let Kind { manifest, read, .. } = kind_of(kind);
        let at_root = Manifests::new(tree, ignored, &[]).text(manifest)? != Text::Absent;
        // A name that nothing has makes the reader look below the root too.
        let wanted: &[&str] = if at_root { &[] } else { &["\0"] };
        let packages = read(&Manifests::new(tree, ignored, wanted))?;
        all.push(Of { kind, manifest, packages });
    }
    Ok(all)
}
