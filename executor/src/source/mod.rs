//! Source trees: from a tree of the repository to a directory on a machine that jobs see.
//!
//! What a tree holds is git's own list and nothing else: modes and symlinks kept, submodules as
//! empty directories, attributes ignored, no ignored or untracked file. A tree is named by its
//! content, made once per machine, published by rename and never written again.

use std::path::PathBuf;

use plans::{Checkout, ObjectId};

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
