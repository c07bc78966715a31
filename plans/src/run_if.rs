//! After which outcomes of the nodes before it a node runs.
//!
//! Data of a [`Node`](crate::Node), obeyed by the executor's schedule. What a failure is, and which
//! ones do not count, is `failure`'s.

use serde::{Deserialize, Serialize};

/// When a node runs, once every node it depends on has ended.
///
/// It is about the nodes of `depends_on` whose output the node does not use: prepare work of its
/// own must have passed in any case, or it could not start.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RunIf {
    /// Every one passed, or failed in a way that its job allows.
    #[default]
    Passed,
    /// One failed, timed out or had no machine that worked, or was skipped because of such a one;
    /// a run that somebody ends starts it no more.
    Failed,
    /// However they ended, and also when somebody ends the run: the first time it neither keeps
    /// the node from starting nor ends it, the node's timeout does.
    Always,
}

impl RunIf {
    /// Every word, the default first.
    pub const ALL: [Self; 3] = [Self::Passed, Self::Failed, Self::Always];

    /// Returns the word used in catalogs and plans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Always => "always",
        }
    }

    /// Returns when that is, for people; nothing for the default.
    #[must_use]
    pub fn in_words(self) -> Option<&'static str> {
        match self {
            Self::Passed => None,
            Self::Failed => Some("runs only after a failure"),
            Self::Always => Some("runs in any case"),
        }
    }

    /// Returns whether it is the default, which plans do not write.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        *self == Self::Passed
    }
}
