//! The exit codes, in one place.

use std::process::ExitCode;

use crate::{
    record::{Record, RunOutcome},
    signals::TERMINATED,
};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: the answer is no: a job failed.
    No,
    /// 2: bad usage or input; nothing was done.
    Usage,
    /// 3: the infrastructure failed, and no job did.
    Infrastructure,
    /// 4: refused: digest, version, stale tree, site policy, a combination that is not built.
    Refused,
    /// 5: another executor holds the run.
    Busy,
    /// 6: something could not be removed.
    Leftovers,
    /// 130: interrupted by Ctrl-C, or cancelled from elsewhere.
    Interrupted,
    /// 143: terminated.
    Terminated,
}

impl Exit {
    /// Returns the number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::Infrastructure => 3,
            Self::Refused => 4,
            Self::Busy => 5,
            Self::Leftovers => 6,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// Returns how a program ends that reports a run's outcome.
    #[must_use]
    pub fn of_run(outcome: RunOutcome) -> Self {
        match outcome {
            RunOutcome::Passed | RunOutcome::Skipped => Self::Done,
            RunOutcome::Failed => Self::No,
            RunOutcome::InfraFailed | RunOutcome::Interrupted => Self::Infrastructure,
            RunOutcome::Cancelled => Self::Interrupted,
            RunOutcome::Running => Self::Busy,
        }
    }
}

impl Exit {
    /// Returns how the executor of a run that is over ended.
    #[must_use]
    pub fn of_record(record: &Record) -> Self {
        match Self::of_run(record.outcome) {
            Self::Interrupted if record.stopped.as_deref() == Some(TERMINATED) => Self::Terminated,
            exit => exit,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
