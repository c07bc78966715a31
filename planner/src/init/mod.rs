//! `planner init`: a repository in, its first definitions out.
//!
//! One file per kind of project looks at the files of the tree and drafts lanes; nothing is run
//! and nothing is asked. The draft is careful rather than clever: commands that the project's own
//! files name, globs that match files there are, and every change that no lane knows runs all of
//! them.

mod cargo;
pub mod draft;
mod go;
mod make;
mod npm;
mod python;

use std::collections::BTreeSet;

use self::draft::{CommandDraft, Draft, JobDraft, LaneDraft};
use crate::{
    packages::{ManifestTree, PackagesError},
    planned_tree::PlannedTree,
};

/// More packages than this share a lane.
const MOST_LANES: usize = 12;

/// Directories of installed or built things; in a repository nobody tracks them.
const NOT_SOURCES: [&str; 6] = ["node_modules", "target", ".venv", "venv", "vendor", "__pycache__"];

/// A repository as detectors see it.
pub(crate) struct Project<'a> {
    tree: &'a dyn ManifestTree,
    paths: BTreeSet<String>,
}

impl<'a> Project<'a> {
    pub(crate) fn new(tree: &'a dyn ManifestTree, paths: impl Iterator<Item = String>) -> Self {
        let source = |path: &String| !path.split('/').any(|part| NOT_SOURCES.contains(&part));
        Self { tree, paths: paths.filter(source).collect() }
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

    /// Those of some paths below a directory that there are; `name/**` stands for a directory.
    fn existing(&self, dir: &str, wanted: &[&str]) -> Vec<String> {
        let full = wanted.iter().map(|name| in_dir(dir, name));
        full.filter(|path| match path.strip_suffix("/**") {
            Some(dir) => self.has_below(dir),
            None => self.has(path),
        })
        .collect()
    }

    /// Whether a file that ends so is below a directory.
    fn any_with_suffix(&self, dir: &str, suffix: &str) -> bool {
        let prefix = in_dir(dir, "");
        self.paths.iter().any(|path| path.starts_with(&prefix) && path.ends_with(suffix))
    }

    /// The topmost directories that have a file of this name.
    fn tops(&self, name: &str) -> Vec<String> {
        let mut tops: Vec<String> = Vec::new();
        let mut dirs: Vec<&str> = self
            .paths
            .iter()
            .filter(|path| path.rsplit('/').next() == Some(name))
            .map(|path| path.rsplit_once('/').map_or("", |(dir, _)| dir))
            .collect();
        dirs.sort_unstable();
        for dir in dirs {
            let below = |top: &String| top.is_empty() || dir.starts_with(&format!("{top}/"));
            if !tops.iter().any(below) {
                tops.push(dir.to_owned());
            }
        }
        tops
    }
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
    let paths = paths.iter().filter_map(|path| path.as_str().map(str::to_owned));
    draft_of(&Project::new(tree, paths))
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
    cargo::draft(project, &mut draft)?;
    npm::draft(project, &mut draft)?;
    python::draft(project, &mut draft)?;
    go::draft(project, &mut draft)?;
    make::draft(project, &mut draft)?;
    if draft.lanes.is_empty() {
        draft.lanes.push(placeholder());
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
