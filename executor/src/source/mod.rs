//! Source trees: from a tree of the repository to a directory on a machine that jobs see.
//!
//! What a tree holds is git's own list and nothing else: modes and symlinks kept, submodules as
//! empty directories, attributes ignored, no ignored or untracked file. A tree is named by its
//! content, made once per machine, published by rename and never written again.

mod build;
mod git;
mod list;
mod store;
mod unused;

use std::path::PathBuf;

use globset::{GlobBuilder, GlobSetBuilder};
use plans::{Checkout, ObjectId};
use sha2::{Digest, Sha256};

pub(crate) use store::Store;
pub(crate) use unused::{remove as remove_unused, unused};

use self::git::Git;
pub(crate) use self::git::{Entry, EntryKind};
use crate::fault::{FailureKind, Fault};

/// Which source a node sees, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSpec {
    /// The repository, on this machine: its work tree or its git directory.
    pub repository: PathBuf,
    /// The commit that was planned; absent: there is none, and `checkout = "clone"` cannot work.
    pub head: Option<ObjectId>,
    /// The tree that jobs see.
    pub tree: ObjectId,
}

/// A source as one node asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRequest {
    /// Where it comes from.
    pub source: SourceSpec,
    /// Its files alone, or a real checkout of head.
    pub checkout: Checkout,
    /// Globs of the paths left out.
    pub exclude: Vec<String>,
}

/// A source that is on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedSource {
    /// Its directory there; read-only for everybody who did not make it.
    pub path: String,
    /// What names its content: the tree's id, and what was left out.
    pub id: String,
}

impl SourceRequest {
    /// Returns the name of what this asks for: equal content has an equal name.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = self.source.tree.as_str().to_owned();
        if !self.exclude.is_empty() {
            let mut hash = Sha256::new();
            for glob in &self.exclude {
                hash.update(glob.as_bytes());
                hash.update([0]);
            }
            id.push_str("-x");
            id.extend(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")));
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
        if !self.exclude.is_empty() {
            let mut excluded = GlobSetBuilder::new();
            let broken = |error: &globset::Error| {
                Fault::new(FailureKind::SourceMissing, format!("the snapshot profile: {error}"))
            };
            for glob in &self.exclude {
                let glob = GlobBuilder::new(glob).literal_separator(true).build();
                excluded.add(glob.map_err(|error| broken(&error))?);
            }
            let excluded = excluded.build().map_err(|error| broken(&error))?;
            entries.retain(|entry| {
                use std::os::unix::ffi::OsStrExt;
                !excluded.is_match(std::ffi::OsStr::from_bytes(&entry.path))
            });
        }
        Ok(entries)
    }
}
