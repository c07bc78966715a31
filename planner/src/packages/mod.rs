//! Packages of the planned tree's workspaces, and what each of them depends on.
//!
//! Reads manifests of packages (`Cargo.toml`, `package.json`, `pnpm-workspace.yaml`) out of the
//! tree being planned and nothing else: no package manager runs, nothing is downloaded, lock files
//! and registries are not looked at. [`derive`] turns a lane's `inputs` into path filters.
//!
//! Where manifests leave a doubt (two packages of one name, a dependency that a feature or a
//! target switches on) every possibility counts: a filter too wide runs too much, one too narrow
//! lets a fault through.

mod cargo;
mod npm;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use globset::GlobBuilder;
use lanes::{Catalog, Diagnostic, Diagnostics, LaneIndex, Span, codes::Code, glob::Glob};
use plans::RepoPath;

use crate::{
    PlanningError,
    planned_tree::{DefinitionFiles, PlannedTree, TreeError},
};

/// `inputs` names a package that no manifest of the planned tree has.
pub static UNKNOWN_PACKAGE: Code = Code {
    name: "unknown_package",
    cause: "`inputs` names a package that no manifest of the planned tree has.",
    remedy: "Use the `name` of a `Cargo.toml` or `package.json` of the repository.",
};

/// A package's manifest cannot be read, so what it depends on is not known.
pub static BAD_PACKAGE_MANIFEST: Code = Code {
    name: "bad_package_manifest",
    cause: "A package's manifest cannot be read, so what it depends on is not known.",
    remedy: "Mend the manifest that the message names.",
};

/// One package of the tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its directory, `""` for the root.
    pub dir: String,
    /// The directories of the packages it depends on, of every kind.
    pub dependencies: BTreeSet<String>,
}

/// A directory that a package's result depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// The directory, `""` for the root.
    pub dir: String,
    /// How it is reached: `app -> core -> macros`.
    pub chain: String,
}

/// The packages of one kind, by directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packages {
    by_dir: BTreeMap<String, Package>,
}

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

/// Where manifests come from.
pub trait ManifestTree {
    /// Returns the text of a file; none if there is no such file.
    ///
    /// # Errors
    ///
    /// [`PackagesError`] when there is one and it cannot be read.
    fn text(&self, path: &str) -> Result<Option<String>, PackagesError>;

    /// Returns the paths that match a glob in the manner of cargo and npm: `*` stays in a
    /// component.
    ///
    /// # Errors
    ///
    /// [`PackagesError`] when a directory cannot be read.
    fn matching(&self, glob: &str) -> Result<Vec<String>, PackagesError>;
}

impl ManifestTree for PlannedTree<'_> {
    fn text(&self, path: &str) -> Result<Option<String>, PackagesError> {
        if RepoPath::new(path.as_bytes()).is_err() {
            return Ok(None);
        }
        let Some(content) = self.content(path)? else { return Ok(None) };
        String::from_utf8(content.bytes).map(Some).map_err(|_| PackagesError::Manifest {
            path: path.to_owned(),
            detail: "it is not UTF-8".to_owned(),
        })
    }

    fn matching(&self, glob: &str) -> Result<Vec<String>, PackagesError> {
        // A pattern that does not parse names no member; cargo and npm would say so themselves.
        let Ok(parsed) = GlobBuilder::new(glob).literal_separator(true).build() else {
            return Ok(Vec::new());
        };
        let paths: Vec<RepoPath> = match self {
            Self::Git { repository, tree } => {
                let files = repository.files_matching(*tree, &[glob]).map_err(TreeError::from)?;
                files.into_iter().map(|file| file.path).collect()
            }
            Self::Directory(_) => self.paths()?,
        };
        let matcher = parsed.compile_matcher();
        let matching = |path: &RepoPath| {
            path.as_str().filter(|path| matcher.is_match(path)).map(str::to_owned)
        };
        Ok(paths.iter().filter_map(matching).collect())
    }
}

impl Packages {
    /// Reads the Cargo packages of a tree: those of its root workspace, and every other one if
    /// some of `wanted` are not among them.
    pub(crate) fn cargo(tree: &dyn ManifestTree, wanted: &[&str]) -> Result<Self, PackagesError> {
        cargo::read(tree, wanted)
    }

    /// Reads the npm packages of a tree, in the same way.
    pub(crate) fn npm(tree: &dyn ManifestTree, wanted: &[&str]) -> Result<Self, PackagesError> {
        npm::read(tree, wanted)
    }

    /// Returns every package, by directory.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Package> {
        self.by_dir.values()
    }

    /// Returns the packages of a name; there may be several.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Package> {
        self.by_dir.values().filter(move |package| package.name == name)
    }

    /// Returns the package of exactly that directory.
    #[must_use]
    pub fn at(&self, dir: &str) -> Option<&Package> {
        self.by_dir.get(dir)
    }

    /// Returns the directories that a package's result depends on: its own first, then those of
    /// its dependencies, the nearest first, each with the shortest chain to it.
    #[must_use]
    pub fn reach(&self, name: &str) -> Vec<Reached> {
        let mut reached = Vec::new();
        let mut seen = BTreeSet::new();
        let mut queue: VecDeque<(&str, String)> =
            self.named(name).map(|package| (package.dir.as_str(), name.to_owned())).collect();
        while let Some((dir, chain)) = queue.pop_front() {
            if !seen.insert(dir) {
                continue;
            }
            for dependency in self.by_dir.get(dir).iter().flat_map(|it| &it.dependencies) {
                let name = self.by_dir.get(dependency).map_or(dependency.as_str(), |it| &it.name);
                queue.push_back((dependency, format!("{chain} -> {name}")));
            }
            reached.push(Reached { dir: dir.to_owned(), chain });
        }
        reached
    }

    fn has(&self, names: &[&str]) -> bool {
        names.iter().all(|name| self.named(name).next().is_some())
    }
}

/// Returns the glob of everything below a directory.
#[must_use]
pub fn glob_of(dir: &str) -> String {
    if dir.is_empty() {
        return "**".to_owned();
    }
    let mut glob = String::with_capacity(dir.len() + 3);
    for character in dir.chars() {
        if "*?[{}\\".contains(character) {
            glob.extend(['[', character, ']']);
        } else {
            glob.push(character);
        }
    }
    glob.push_str("/**");
    glob
}

/// Resolves a relative path of a manifest; none where it leaves the tree.
fn join(dir: &str, relative: &str) -> Option<String> {
    if relative.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = dir.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Returns the path of a file of a directory.
fn file_in(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// Returns the directory that a path is in.
fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// A kind of package as manifests of lanes name it.
struct Kind {
    key: &'static str,
    manifest: &'static str,
    /// What a change of decides which packages there are and what they depend on.
    watched: &'static [&'static str],
    read: fn(&dyn ManifestTree, &[&str]) -> Result<Packages, PackagesError>,
    named: fn(&lanes::Inputs) -> &[(String, Span)],
}

const KINDS: [Kind; 2] = [
    Kind {
        key: "cargo",
        manifest: "Cargo.toml",
        watched: &["**/Cargo.toml"],
        read: Packages::cargo,
        named: |inputs| &inputs.cargo,
    },
    Kind {
        key: "npm",
        manifest: "package.json",
        watched: &["**/package.json", "**/pnpm-workspace.yaml"],
        read: Packages::npm,
        named: |inputs| &inputs.npm,
    },
];

/// The packages of one kind.
pub struct Of {
    /// The key of `inputs`.
    pub key: &'static str,
    /// What a package's manifest is called.
    pub manifest: &'static str,
    /// The packages.
    pub packages: Packages,
    named: fn(&lanes::Inputs) -> &[(String, Span)],
}

impl Of {
    /// Returns the packages of this kind that a lane names.
    pub fn named<'a>(&self, inputs: &'a lanes::Inputs) -> impl Iterator<Item = &'a str> {
        (self.named)(inputs).iter().map(|(name, _)| name.as_str())
    }
}

/// Reads the packages of every kind, wherever they are. A kind with a manifest that cannot be read
/// has none: who needs them is told by [`derive`].
///
/// # Errors
///
/// [`TreeError`] when the tree cannot be read.
pub fn all(tree: &dyn ManifestTree) -> Result<Vec<Of>, TreeError> {
    let mut all = Vec::new();
    for Kind { key, manifest, read, named, .. } in &KINDS {
        let at_root = match tree.text(manifest) {
            Ok(text) => text.is_some(),
            Err(PackagesError::Manifest { .. }) => continue,
            Err(PackagesError::Tree(error)) => return Err(error),
        };
        // A name that nothing has makes the reader look below the root too.
        let wanted: &[&str] = if at_root { &[] } else { &["\0"] };
        match read(tree, wanted) {
            Ok(packages) => all.push(Of { key, manifest, packages, named: *named }),
            Err(PackagesError::Manifest { .. }) => {}
            Err(PackagesError::Tree(error)) => return Err(error),
        }
    }
    Ok(all)
}

/// Adds the paths that lanes derive from packages to their filters.
///
/// # Errors
///
/// [`PlanningError`] with every package that there is not, or the manifest that cannot be read.
pub(crate) fn derive(
    catalog: &mut Catalog,
    files: &DefinitionFiles<'_>,
) -> Result<(), PlanningError> {
    let mut found = Vec::new();
    for kind in &KINDS {
        let wanted: Vec<(String, Span)> =
            catalog.lanes().iter().flat_map(|lane| (kind.named)(&lane.inputs)).cloned().collect();
        let Some((_, first)) = wanted.first() else { continue };
        for glob in kind.watched {
            files.watch(Glob::new(glob).expect("a plain glob"));
        }
        let mut names: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        let packages = match (kind.read)(files.tree(), &names) {
            Ok(packages) => packages,
            Err(PackagesError::Tree(error)) => return Err(error.into()),
            Err(error @ PackagesError::Manifest { .. }) => {
                found.push(
                    Diagnostic::error(&BAD_PACKAGE_MANIFEST, *first, error.to_string())
                        .help("packages that `inputs` names are looked up there; mend it"),
                );
                continue;
            }
        };
        found.extend(
            wanted
                .iter()
                .filter(|(name, _)| packages.named(name).next().is_none())
                .map(|(name, span)| unknown(kind, name, *span, &packages)),
        );
        add(catalog, kind, &packages, &mut found);
    }
    if found.is_empty() {
        return Ok(());
    }
    let found = Diagnostics::new(catalog.sources().clone(), found);
    Err(PlanningError::Definitions(Box::new(found)))
}

fn add(catalog: &mut Catalog, kind: &Kind, packages: &Packages, found: &mut Vec<Diagnostic>) {
    let lanes: Vec<LaneIndex> = catalog.lane_indices().collect();
    for lane in lanes {
        let mut seen = BTreeSet::new();
        let named: Vec<(String, Span)> = (kind.named)(&catalog[lane].inputs).to_vec();
        for (name, span) in named {
            for reached in packages.reach(&name) {
                let glob = glob_of(&reached.dir);
                if !seen.insert(reached.dir) {
                    continue;
                }
                if let Err(problem) = catalog.add_derived_path(lane, &glob, &reached.chain) {
                    let message = format!("the directory `{glob}` makes no glob: {problem:?}");
                    found.push(Diagnostic::error(&UNKNOWN_PACKAGE, span, message));
                }
            }
        }
    }
}

fn unknown(kind: &Kind, name: &str, span: Span, packages: &Packages) -> Diagnostic {
    let known: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let message = format!("no {} package is called `{}`", kind.key, name.escape_debug());
    let diagnostic = Diagnostic::error(&UNKNOWN_PACKAGE, span, message);
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 3);
    match near {
        Some((_, near)) => diagnostic.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => diagnostic.help(format!(
            "the planned tree has no `{}`",
            kind.watched[0].trim_start_matches("**/")
        )),
        None if known.len() <= 12 => {
            let known: Vec<&str> = known.into_iter().collect();
            diagnostic.help(format!("known: `{}`", known.join("`, `")))
        }
        None => diagnostic.remedy(),
    }
}
