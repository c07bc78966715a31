//! Source trees: from a tree of the repository to a directory on a machine that jobs see.
//!
//! What a tree holds is git's own list and nothing else: modes and symlinks kept, submodules as
//! empty directories, attributes ignored, no ignored or untracked file. A tree is named by its
//! content, made once per machine, published by rename and never written again.

mod build;
mod git;
mod inputs;
mod layers;
mod list;
mod store;
mod unused;

use std::{collections::BTreeMap, path::PathBuf};

use plans::{Checkout, FileMode, JobInputs, ObjectId, SnapshotProfile, TreeFilter};
use sha2::{Digest, Sha256};

pub(crate) use git::paths_of;
pub(crate) use inputs::{NotAsPlanned, changed_files, not_as_planned};
pub(crate) use store::Store;
pub(crate) use unused::{remove as remove_unused, unused};

pub(crate) use self::git::Entry;
use self::git::Git;
use crate::{
    fault::{FailureKind, Fault},
    text::hex,
};

/// Which source a node sees, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    /// The repository, on this machine: its work tree or its git directory.
    pub repository: PathBuf,
    /// The commit that was planned; absent: there is none, and `checkout = "clone"` cannot work.
    pub head: Option<ObjectId>,
    /// The tree that jobs see.
    pub tree: ObjectId,
    /// Whether it is another than the one that was planned, which the caller allowed.
    pub stale: bool,
}

/// A source as one node asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRequest {
    /// Where it comes from.
    pub source: SourceSpec,
    /// Its files alone, or a real checkout of head.
    pub checkout: Checkout,
    /// What is left out; absent: nothing.
    pub profile: Option<SnapshotProfile>,
    /// The files of the job's inputs, and the tree they make; absent: every file.
    pub inputs: Option<(JobInputs, ObjectId)>,
}

/// What a source may be on its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A directory that holds every file.
    Whole,
    /// That, or layers which are mounted for each job that sees it.
    Layers,
}

/// A source that is on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedSource {
    /// Its directory there; read-only for everybody who did not make it.
    pub path: String,
    /// Directories that are to be mounted at `path`, the upper one first; none: it is whole.
    pub layers: Vec<PathBuf>,
    /// What names its content: the tree's id, and what was left out.
    pub id: String,
    /// What a person should know of how it was made.
    pub note: Option<String>,
}

impl PlacedSource {
    /// A directory that holds every file.
    #[must_use]
    pub fn whole(path: String, id: String) -> Self {
        Self { path, layers: Vec::new(), id, note: None }
    }
}

/// Returns what a job sees of a source, sorted by path.
///
/// # Errors
///
/// When git cannot list it.
pub(crate) fn files_of(
    wanted: &SourceRequest,
    environment: &BTreeMap<String, String>,
) -> Result<Vec<Entry>, Fault> {
    wanted.entries(Git { repository: &wanted.source.repository, environment })
}

impl SourceRequest {
    /// Returns the name of what this asks for: equal content has an equal name.
    #[must_use]
    pub fn id(&self) -> String {
        // The plan says which tree it is; of another source nobody knows yet.
        if let Some((_, tree)) = &self.inputs
            && !self.source.stale
        {
            return tree.as_str().to_owned();
        }
        let mut id = self.source.tree.as_str().to_owned();
        if let Some(profile) = &self.profile {
            id.push_str("-x");
            id.push_str(&short_hash(&[&profile.exclude]));
        }
        if let Some((JobInputs { paths, exclude }, _)) = &self.inputs {
            id.push_str("-i");
            id.push_str(&short_hash(&[paths, exclude]));
        }
        if self.checkout == Checkout::Clone
            && let Some(head) = &self.source.head
        {
            id.push_str("-c");
            id.push_str(head.as_str());
        }
        id
    }

    /// Returns what the directory will hold, sorted by path.
    fn entries(&self, git: Git<'_>) -> Result<Vec<Entry>, Fault> {
        let tree = &self.source.tree;
        let mut entries = match git.list(tree) {
            Ok(entries) => entries,
            Err(_) if !git.has(tree, "tree")? => {
                let repository = git.repository.display();
                return Err(Fault::new(
                    FailureKind::SourceMissing,
                    format!("tree {tree} is not in {repository} any more"),
                )
                .advice("fetch the commit it belongs to, then resume the run"));
            }
            Err(fault) => return Err(fault),
        };
        let inputs = self.inputs.as_ref().map(|(inputs, _)| inputs);
        if inputs.is_some() || self.profile.is_some() {
            let filter = TreeFilter::new(inputs, self.profile.as_ref()).map_err(|problem| {
                Fault::new(FailureKind::SourceMissing, format!("the globs of the tree: {problem}"))
            })?;
            entries.retain(|entry| filter.keeps(&entry.path, entry.kind == FileMode::Submodule));
        }
        Ok(entries)
    }
}

/// A short name for lists of globs.
fn short_hash(lists: &[&Vec<String>]) -> String {
    let mut hash = Sha256::new();
    for (position, list) in lists.iter().enumerate() {
        if position > 0 {
            hash.update([0, 0]);
        }
        for glob in *list {
            hash.update(glob.as_bytes());
            hash.update([0]);
        }
    }
    hex(&hash.finalize()[..8])
}
