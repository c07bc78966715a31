//! What the schedule and those who drive it say to each other.

use std::{num::NonZeroUsize, time::Duration};

use plans::RunIf;

use crate::outcome::Outcome;

/// One task: what it waits for, what it occupies, how often it may fail.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// Positions of the tasks that must have ended.
    pub depends_on: Vec<usize>,
    /// After which of their ends it runs.
    pub run_if: RunIf,
    /// Those of `depends_on` that must have passed whatever `run_if` says: it uses what they leave.
    pub uses: Vec<usize>,
    /// Indices of the resources of which it occupies one unit each, while it runs.
    pub resources: Vec<usize>,
    /// How often it is run again after a failure of its own.
    pub retries: u32,
    /// How long it usually takes; absent: nobody knows.
    pub usual_ms: Option<u64>,
    /// Whether it is to run at all; a task that is not counts as passed for those that wait for it.
    pub selected: bool,
}

/// What holds for the whole run.
#[derive(Debug, Clone)]
pub struct RunLimits {
    /// How many tasks run at once.
    pub jobs: NonZeroUsize,
    /// How many units each resource has: a host's `max_jobs`, one for a concurrency group.
    pub resources: Vec<usize>,
    /// How often a task is run again after the machine under it failed.
    pub infra_retries: u32,
    /// Whether nothing more is started after a failure.
    pub fail_fast: bool,
}

/// What happened outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// An attempt of a running task ended.
    Ended {
        /// The task.
        task: usize,
        /// How the attempt ended.
        ending: Ending,
        /// What its job says of such a failure; of no account for other ends.
        failure: FailureTerms,
        /// A number of any kind; spreads the retries of tasks that failed together.
        chance: u16,
    },
    /// A running task does nothing until it has its locks among other runs on its machine; its slot
    /// among `jobs` is another's meanwhile, its resources stay its own.
    Aside {
        /// The task.
        task: usize,
    },
    /// A task that was parked has its locks and wants its slot back.
    Back {
        /// The task.
        task: usize,
    },
    /// A task's time to wait is over.
    Due {
        /// The task.
        task: usize,
    },
    /// Nothing more is to be started but tasks that run in any case; what else runs is dealt with
    /// elsewhere and reported as ended.
    Stop,
    /// Nothing at all is to be started any more.
    Kill,
}

/// What a failure of a job means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureTerms {
    /// Whether it is run again, as far as its `retries` go.
    pub again: bool,
    /// Whether the failure does not count when it is the last: dependants run.
    pub tolerated: bool,
}

impl Default for FailureTerms {
    /// It is run again, and its last failure counts.
    fn default() -> Self {
        Self { again: true, tolerated: false }
    }
}

/// How one attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Its answer is yes.
    Passed,
    /// Its answer is no.
    Failed,
    /// It took too long.
    TimedOut,
    /// Somebody ended it.
    Cancelled,
    /// The machine failed, and another attempt may fare better.
    Infra,
    /// The machine failed, and another attempt will fail as well.
    InfraPermanent,
}

impl Ending {
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Self::Passed => Outcome::Passed,
            Self::Failed => Outcome::Failed,
            Self::TimedOut => Outcome::TimedOut,
            Self::Cancelled => Outcome::Cancelled,
            Self::Infra | Self::InfraPermanent => Outcome::InfraFailed,
        }
    }
}

/// What is to be done outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start an attempt.
    Start {
        /// The task.
        task: usize,
        /// Which attempt, counted from 1.
        attempt: u32,
    },
    /// Resume a task that was parked.
    Resume {
        /// The task.
        task: usize,
    },
    /// Report [`Event::Due`] after this time.
    Wait {
        /// The task.
        task: usize,
        /// How long.
        delay: Duration,
        /// The attempt that will follow.
        attempt: u32,
    },
    /// The task has its verdict. Exactly one for each task.
    Finish {
        /// The task.
        task: usize,
        /// How it ended.
        outcome: Outcome,
        /// Why it did not run, if it did not.
        because: Option<Because>,
    },
}

/// Why a task did not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Because {
    /// A task it waits for, directly or not, did not pass.
    Dependency {
        /// The task that ran and did not pass.
        task: usize,
        /// How that one ended.
        outcome: Outcome,
    },
    /// Another task failed, and the run was to stop at the first failure.
    FailFast {
        /// The task that failed.
        task: usize,
    },
    /// The run was stopped.
    Stopped,
    /// It was not asked for.
    NotSelected,
    /// Nothing failed, and this task, it or one it waits for, runs only after a failure.
    NotNeeded {
        /// The task that runs only after a failure.
        task: usize,
    },
}
