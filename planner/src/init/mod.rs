//! `planner init`: a repository in, its first definitions out.
//!
//! One file per kind of project looks at the files of the tree and drafts lanes; nothing is run
//! and nothing is asked. The draft is careful rather than clever: commands that the project's own
//! files name, globs that match files there are, and every change that no lane knows runs all of
//! them.

mod bazel;
pub mod caches;
mod cargo;
mod cmake;
mod deno;
mod dotnet;
pub mod draft;
mod fixtures;
mod go;
mod gradle;
mod make;
mod maven;
mod modules;
mod npm;
mod python;
mod sees;
pub(crate) mod shell;

use std::collections::BTreeSet;

use self::draft::{CommandDraft, Draft, JobDraft, LaneDraft};
use crate::{
    packages::{ManifestTree, PackagesError, literal},
    planned_tree::PlannedTree,
};

/// More packages than this share a lane.
const MOST_LANES: usize = 12;

/// The files that say how something is built.
const MANIFESTS: [&str; 22] = [
    "Cargo.toml",
    "package.json",
    "go.mod",
    "pom.xml",
    "settings.gradle",
    "settings.gradle.kts",
    "build.gradle",
    "build.gradle.kts",
    "CMakeLists.txt",
    "MODULE.bazel",
    "WORKSPACE",
    "WORKSPACE.bazel",
    "deno.json",
    "deno.jsonc",
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "tox.ini",
    "noxfile.py",
    "requirements.txt",
    "bun.lock",
    "bun.lockb",
];

/// Directories of installed or built things; in a repository nobody tracks them.
const NOT_SOURCES: [&str; 6] = ["node_modules", "target", ".venv", "venv", "vendor", "__pycache__"];

/// A repository as detectors see it.
pub(crate) struct Project<'a> {
    tree: &'a dyn ManifestTree,
    /// Files of the tree, without installed and built ones.
    paths: BTreeSet<String>,
    /// Manifests of which some may say how the project is built.
    manifests: BTreeSet<String>,
    /// Manifests that belong to tests.
    fixtures: Vec<String>,
}

impl<'a> Project<'a> {
    pub(crate) fn new(tree: &'a dyn ManifestTree, paths: impl Iterator<Item = String>) -> Self {
        // A path with a control character is nothing to write into a definition.
        let source = |path: &String| {
            !path.contains(char::is_control)
                && !path.split('/').any(|part| NOT_SOURCES.contains(&part))
        };
        let paths: BTreeSet<String> = paths.filter(source).collect();
        let manifests = paths.iter().filter(|path| is_manifest(path));
        let (fixtures, manifests): (Vec<_>, Vec<_>) =
            manifests.partition(|path| fixtures::is_fixture(directory_of(path)));
        let manifests = manifests.into_iter().cloned().collect();
        let fixtures = fixtures.into_iter().cloned().collect();
        Self { tree, paths, manifests, fixtures }
    }

    fn has(&self, path: &str) -> bool {
        self.paths.contains(path)
    }

    fn has_below(&self, dir: &str) -> bool {
        let prefix = format!("{dir}/");
        self.paths.range(prefix.clone()..).next().is_some_and(|path| path.starts_with(&prefix))
    }

    fn text(&self, path: &str) -> Result<Option<String>, PackagesError> {
        if self.has(path) { self.tree.text(path) } else { Ok(None) }
    }

    /// Globs for those of some paths below a directory that there are; `name/**` stands for a
    /// directory.
    fn existing(&self, dir: &str, wanted: &[&str]) -> Vec<String> {
        let there = |name: &&&str| match name.strip_suffix("/**") {
            Some(name) => self.has_below(&in_dir(dir, name)),
            None => self.has(&in_dir(dir, name)),
        };
        wanted.iter().filter(there).map(|name| glob_in(dir, name)).collect()
    }

    /// Globs for the endings that files below a directory have, at any depth.
    fn existing_suffixes(&self, dir: &str, suffixes: &[&str]) -> Vec<String> {
        let there = suffixes.iter().filter(|suffix| self.any_with_suffix(dir, suffix));
        there.map(|suffix| glob_in(dir, &format!("**/*{suffix}"))).collect()
    }

    /// Whether a file that ends so is below a directory.
    fn any_with_suffix(&self, dir: &str, suffix: &str) -> bool {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        self.paths.iter().any(|path| path.starts_with(&prefix) && path.ends_with(suffix))
    }

    /// The directories that have a file of this name.
    fn dirs(&self, name: &str) -> Vec<String> {
        let named = self.manifests.iter().filter(|path| name_of(path) == name);
        let mut dirs: Vec<String> = named.map(|path| directory_of(path).to_owned()).collect();
        dirs.sort_unstable();
        dirs
    }

    /// The topmost directories that have a file of one of these names.
    fn tops(&self, names: &[&str]) -> Vec<String> {
        let mut tops: Vec<String> = Vec::new();
        let mut dirs: Vec<String> = names.iter().flat_map(|name| self.dirs(name)).collect();
        dirs.sort_unstable();
        for dir in dirs {
            if !tops.iter().any(|top| is_below(&dir, top)) {
                tops.push(dir);
            }
        }
        tops
    }
}

/// Whether detectors start from files of this name.
fn is_manifest(path: &str) -> bool {
    let name = name_of(path);
    MANIFESTS.contains(&name) || dotnet::is_project(name)
}

fn name_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}

/// Whether a directory is another one or below it.
fn is_below(dir: &str, top: &str) -> bool {
    top.is_empty() || dir == top || dir.strip_prefix(top).is_some_and(|rest| rest.starts_with('/'))
}

/// A glob, `name`, below a directory, which may have any name.
fn glob_in(dir: &str, name: &str) -> String {
    if dir.is_empty() {
        return name.to_owned();
    }
    let dir = literal(dir);
    // In front, it names a set.
    let escape = if dir.starts_with('@') { "\\" } else { "" };
    format!("{escape}{dir}/{name}")
}

/// `name` below `dir`, which may be the root.
fn in_dir(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// The name of a thing of a directory: plain at the root, `thing-dir` elsewhere.
fn named(thing: &str, dir: &str) -> String {
    if dir.is_empty() { thing.to_owned() } else { format!("{thing}-{}", dir.replace('/', "-")) }
}

/// `working_dir` of a directory.
fn working_dir(dir: &str) -> Option<String> {
    (!dir.is_empty()).then(|| dir.to_owned())
}

/// Drafts definitions for a tree.
///
/// # Errors
///
/// [`PackagesError`] when a file that says how the project is built cannot be read.
pub fn draft(tree: &PlannedTree<'_>) -> Result<Draft, PackagesError> {
    let paths = tree.paths()?;
    let paths: BTreeSet<String> =
        paths.iter().filter_map(|path| path.as_str().map(str::to_owned)).collect();
    let mut draft = draft_of(&Project::new(tree, paths.iter().cloned()))?;
    caches::add(&mut draft, &paths);
    Ok(draft)
}

fn draft_of(project: &Project<'_>) -> Result<Draft, PackagesError> {
    let mut draft = Draft {
        heading: vec![
            "When what runs. What can run is in catalog.toml.".to_owned(),
            String::new(),
            "A start, made from the files of this repository: read it, then make it yours."
                .to_owned(),
            "  planner check                      do both files mean what they should?".to_owned(),
            "  planner explain PATH               what a change of PATH runs, and why".to_owned(),
            "  planner plan --worktree --format human".to_owned(),
            "  planner schema lanes > ci/lanes.schema.json    what the first line names to editors"
                .to_owned(),
        ],
        unmatched_runs_all: true,
        ..Draft::default()
    };
    let known = [
        "LICENSE",
        "LICENSE-APACHE",
        "LICENSE-MIT",
        "COPYING",
        ".gitignore",
        ".gitattributes",
        ".editorconfig",
    ];
    draft.ignore = project.existing("", &known);
    // Written beside the draft; it says what `check` expects and changes no plan.
    draft.ignore.push("ci/invariants.toml".to_owned());
    bazel::draft(project, &mut draft);
    cargo::draft(project, &mut draft)?;
    npm::draft(project, &mut draft)?;
    deno::draft(project, &mut draft)?;
    python::draft(project, &mut draft)?;
    go::draft(project, &mut draft)?;
    maven::draft(project, &mut draft)?;
    gradle::draft(project, &mut draft)?;
    dotnet::draft(project, &mut draft)?;
    cmake::draft(project, &mut draft);
    make::draft(project, &mut draft)?;
    fixtures::note(project, &mut draft);
    if draft.lanes.is_empty() {
        draft.push(placeholder());
    }
    draft.closing.extend([
        "More that a lane can say: `exclude`, `statuses`, `concurrency_group`, `after`; nightly work".to_owned(),
        "goes into [[nightly.lanes]]. Text that no lane reads goes into `ignore`, for example".to_owned(),
        "\"**/*.md\" if no test reads it.".to_owned(),
    ]);
    Ok(draft)
}

/// Where nothing is recognised there is still something to see running.
fn placeholder() -> LaneDraft {
    LaneDraft {
        id: "example".to_owned(),
        comment: vec![
            "No way to build or test this repository was recognised. This lane lists its files;"
                .to_owned(),
            "put the command that checks a change in its place. Without `paths` it always runs."
                .to_owned(),
        ],
        description: "Stands for the first real check".to_owned(),
        jobs: vec![JobDraft {
            id: "list-files".to_owned(),
            description: "the files that jobs see".to_owned(),
            command: CommandDraft::argv(&["ls", "-la"]),
            ..JobDraft::default()
        }],
        ..LaneDraft::default()
    }
}

#[cfg(test)]
mod tests;
