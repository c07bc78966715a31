//! `planner import`: definitions that another engine reads, drafted as lanes.
//!
//! What can be carried over is; what cannot is said in a comment at the lane or job it concerns.
//! Where the other engine's meaning has no exact counterpart, the draft runs more, never less.

mod artifacts;
pub mod azure;
pub mod buildkite;
mod calls;
pub mod circleci;
mod conditions;
mod contexts;
mod dialect;
mod document;
mod evaluate;
mod expression;
mod filter;
mod formula;
pub mod github;
pub mod gitlab;
mod listed;
mod lists;
mod matrix;
pub mod moon;
pub mod nx;
mod pipeline;
pub mod prow;
mod quotes;
mod script;
mod selection;
mod shell;
mod sources;
pub mod taskgraph;
#[cfg(test)]
mod tests;
pub mod turbo;
mod values;
pub mod woodpecker;
mod yaml;

/// Why a file is no definition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{file}` cannot be imported: {detail}")]
pub struct ImportError {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub detail: String,
}

/// The tree that definitions are in.
pub struct Tree<'a> {
    /// Every file, sorted.
    pub paths: &'a [String],
    /// Gives the text of a file.
    pub read: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a glob matches a file, a link or a submodule.
    pub has_file: &'a dyn Fn(&str) -> bool,
}

/// That an engine's file is not there.
fn nothing(file: &str) -> ImportError {
    ImportError { file: file.to_owned(), detail: "it is not in the tree".to_owned() }
}

/// An empty draft with what stands at its top.
fn draft_of(what: &str, more: &[&str]) -> crate::init::draft::Draft {
    let mut heading = vec![
        "When what runs. What can run is in catalog.toml.".to_owned(),
        String::new(),
        format!("Made from {what}. Comments say what could not be carried over; where there was"),
        "a doubt, more runs.".to_owned(),
    ];
    if let Some(last) = heading.last_mut() {
        for line in more {
            last.extend([" ", line]);
        }
    }
    crate::init::draft::Draft { heading, ..crate::init::draft::Draft::default() }
}
