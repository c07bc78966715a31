//! What a node is that is one of several made of one job.
//!
//! Data for people and for other programs: what the values do stands in the node's own keys.

use serde::{Deserialize, Serialize};

use crate::{JobId, RepoPath, SortedMap};

/// Of which job a node is one of several, and which.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Member {
    /// The job's id: the name of all of them together. Nothing: the job is one node.
    pub group: Option<JobId>,
    /// The values of its combination, by name.
    pub matrix: SortedMap<String, String>,
    /// Which part it is.
    pub shard: Option<Shard>,
    /// The files of the tree that its part is made of, sorted; nothing: no files are divided, or the plan
    /// has no tree.
    pub files: Option<Vec<RepoPath>>,
}

/// One part of a job's work.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Shard {
    /// Which, from 1.
    #[schemars(range(min = 1))]
    pub index: u32,
    /// Of how many.
    #[schemars(range(min = 1))]
    pub count: u32,
}

impl Member {
    /// Returns what tells it from the others, for people: `features = std, part 1 of 4, 12 files`.
    #[must_use]
    pub fn in_words(&self) -> Option<String> {
        let values = self.matrix.iter().map(|(name, value)| format!("{name} = {value}"));
        let part = self.shard.map(|it| format!("part {} of {}", it.index, it.count));
        let files = self.files.as_ref().map(|files| match files.len() {
            1 => "1 file".to_owned(),
            some => format!("{some} files"),
        });
        let words: Vec<String> = values.chain(part).chain(files).collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}
