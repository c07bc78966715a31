//! How a node, a lane and a run ended. Facts only: nothing here is read out of a log text.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a node was skipped that `--only` or `rerun --failed` did not name.
pub const NOT_ASKED_FOR: &str = "it was not asked for";

/// How something ended.
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
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It ran, and its answer is yes.
    Passed,
    /// It did not run; a `because` stands beside it.
    Skipped,
    /// Somebody ended it, or it was not started because somebody ended the run.
    Cancelled,
    /// The machine under it failed; it has no answer of its own.
    InfraFailed,
    /// It ran longer than its `timeout_secs` and was ended.
    TimedOut,
    /// It ran, and its answer is no.
    Failed,
}

impl Outcome {
    /// Every outcome, the better before the worse: the order in which one hides another when
    /// several are put together.
    pub const ALL: [Self; 6] = [
        Self::Passed,
        Self::Skipped,
        Self::Cancelled,
        Self::InfraFailed,
        Self::TimedOut,
        Self::Failed,
    ];

    /// Returns the word used in records, events and on the terminal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::InfraFailed => "infra_failed",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
