//! A job as a machine's supervisor is told of it.

use std::{collections::BTreeMap, path::PathBuf};

use plans::WorkspacePath;

use super::Secret;
use crate::{
    source::PlacedSource,
    supervise::{BindMount, CacheMount, JobLimits, JobRef, Keep},
};

/// A job as its supervisor is told of it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub job: JobRef,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its environment, secrets apart; the supervisor adds what only the machine knows (`PATH`,
    /// `HOME`, `USER`, `SHELL`, `TMPDIR`, `ARTIFACTS_DIR`).
    pub env: BTreeMap<String, String>,
    /// Names that it also takes from the machine's own environment when they are set there:
    /// `LANG`, `LC_*`, `TZ` and the site's `pass_env`.
    pub keep_env: Vec<String>,
    /// Environment variables whose values must be nowhere else, the log included.
    pub secrets: BTreeMap<String, Secret>,
    /// The directory it sees as its source tree.
    pub workspace: WorkspaceSource,
    /// Whether it may write there.
    pub writable: bool,
    /// Where below the workspace it starts.
    pub working_dir: Option<WorkspacePath>,
    /// What else it sees, read-only.
    pub mounts: Vec<BindMount>,
    /// Directories below its workspace that it writes to, and that outlive it.
    pub caches: Vec<CacheMount>,
    /// How long it may run.
    pub limits: JobLimits,
    /// What is kept of what it leaves.
    pub keep: Keep,
    /// Where its log goes when machine and executor share a file system; others keep one of their
    /// own, which [`crate::placements::Jobs::attach`] brings back.
    pub log: PathBuf,
    /// Where its artifacts go, likewise.
    pub artifacts: PathBuf,
}

impl WorkspaceSource {
    /// Returns its directory on the machine.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Tree(placed) => &placed.path,
            Self::Output(path) => path,
        }
    }

    /// Returns the directories of which it is made where it is mounted, the upper one first; none: it is whole.
    #[must_use]
    pub fn layers(&self) -> &[PathBuf] {
        match self {
            Self::Tree(placed) => &placed.layers,
            Self::Output(_) => &[],
        }
    }
}

/// Where a job's workspace comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkspaceSource {
    /// A source tree that [`crate::placements::Commands::place_source`] made.
    Tree(PlacedSource),
    /// Another directory on that machine: the workspace that a prepare node left, or a tree that was made for the
    /// attempt.
    Output(String),
}
