//! What was kept of what a job left.

use serde::{Deserialize, Serialize};

use super::outputs::Outputs;

/// What was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// How many files came back.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many files were left out: of the job's own artifacts directory, or named by a glob.
    #[serde(default)]
    pub left_out: u64,
    /// Those, each with the reason, escaped for one line; not all of very many.
    #[serde(default)]
    pub left: Vec<String>,
    /// The globs that named nothing.
    #[serde(default)]
    pub unmatched: Vec<String>,
    /// The values it left.
    #[serde(default)]
    pub outputs: Outputs,
    /// Where the output is, on that machine.
    pub output: Option<String>,
    /// What the supervisor has to say besides, a line each.
    #[serde(default)]
    pub notes: Vec<String>,
}
