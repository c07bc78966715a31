//! `planner import`: definitions that another engine reads, drafted as lanes.
//!
//! What can be carried over is; what cannot is said in a comment at the lane or job it concerns.
//! Where the other engine's meaning has no exact counterpart, the draft runs more, never less.

mod conditions;
mod dialect;
mod evaluate;
mod expression;
mod filter;
mod formula;
pub mod github;
mod lists;
mod script;
#[cfg(test)]
mod tests;
mod yaml;

/// Why a file is no workflow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}` is not a workflow: {detail}")]
pub struct ImportError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub detail: String,
}
