//! What a job sees besides its source tree, and what is kept of it: for every supervisor.

use std::collections::BTreeSet;

use plans::{Output, OutputName, WorkspacePath};
use serde::{Deserialize, Serialize};

/// A directory of the machine that a job sees read-only at a path of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BindMount {
    /// The directory on the machine.
    pub from: String,
    /// Where the job sees it.
    pub to: String,
}

impl BindMount {
    /// Returns whether it is of a nix store, which is everybody's to read and full of links.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.from.starts_with("/nix/store/")
    }
}

/// A directory that a job sees, and writes to, below its workspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CacheMount {
    /// Its directory on the machine: the job's own `data`; or `lower`, which is not written to, beside which layers are
    /// made of what is.
    pub dir: String,
    /// Where the job sees it.
    pub at: WorkspacePath,
}

/// What is kept of what a job leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// Globs below the workspace and the artifacts directory.
    pub artifacts: Vec<String>,
    /// The names of the values that it may leave.
    #[serde(default)]
    pub outputs: BTreeSet<OutputName>,
    /// A prepare node's output; store paths are kept by other means.
    pub output: Option<Output>,
}

impl Keep {
    /// Returns whether nothing of what a job leaves is wanted.
    pub(crate) fn is_nothing(&self) -> bool {
        let Self { artifacts, outputs, output } = self;
        artifacts.is_empty() && outputs.is_empty() && output.is_none()
    }
}
