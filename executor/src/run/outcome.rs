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

/// How a lane ended: the sum of its nodes' outcomes.
///
/// Its own type, because a lane can end in a way that no node can.
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
pub enum LaneOutcome {
    /// Every job of the lane passed: in this run or, where it is a `rerun --failed`, before it.
    Passed,
    /// None of its jobs ran.
    Skipped,
    /// `--only` left out some of its jobs: those that ran passed, and the lane has no answer. Since
    /// version 1.1.
    Incomplete,
    /// Somebody ended one of its nodes, or the run before one was started.
    Cancelled,
    /// A machine under one of its nodes failed.
    InfraFailed,
    /// One of its nodes ran longer than its `timeout_secs` and was ended.
    TimedOut,
    /// One of its nodes ran, and its answer is no.
    Failed,
}

impl LaneOutcome {
    /// Every outcome, the better before the worse.
    pub const ALL: [Self; 7] = [
        Self::Passed,
        Self::Skipped,
        Self::Incomplete,
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
            Self::Incomplete => "incomplete",
            Self::Cancelled => "cancelled",
            Self::InfraFailed => "infra_failed",
            Self::TimedOut => "timed_out",
            Self::Failed => "failed",
        }
    }
}

impl From<Outcome> for LaneOutcome {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Passed => Self::Passed,
            Outcome::Skipped => Self::Skipped,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::InfraFailed => Self::InfraFailed,
            Outcome::TimedOut => Self::TimedOut,
            Outcome::Failed => Self::Failed,
        }
    }
}

impl fmt::Display for LaneOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
