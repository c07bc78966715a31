//! Why a node did not run, and why a run was ended, for people.

use super::Run;
use crate::{
    ledger::Ledger,
    outcome::{NOT_ASKED_FOR, Outcome},
    schedule::Because,
    signals::{Asked, TERMINATED},
    state::RunDir,
};

/// Returns why a node did not run.
pub(super) fn why(because: Because, of: usize, run: &Run, ledger: &Ledger) -> String {
    let id = |task: usize| run.nodes[task].id.as_str().to_owned();
    match because {
        Because::Dependency { task, outcome } => match ledger.node(task).verdict.as_ref() {
            Some(verdict) if outcome == Outcome::Skipped => {
                verdict.because.clone().unwrap_or_else(|| format!("`{}` was skipped", id(task)))
            }
            _ => format!("`{}` {}", id(task), in_words(outcome)),
        },
        Because::FailFast { task } => {
            format!("`{}` did not pass, and the run stops at the first failure", id(task))
        }
        Because::Stopped => match ledger.stopping() {
            Some(reason) => format!("the run was stopped: {reason}"),
            None => "the run was stopped".to_owned(),
        },
        Because::NotNeeded { task } if task == of => {
            "nothing it waits for failed, and it runs only after a failure".to_owned()
        }
        Because::NotNeeded { task } => {
            format!("`{}` runs only after a failure, and nothing failed", id(task))
        }
        Because::NotSelected => NOT_ASKED_FOR.to_owned(),
    }
}

/// Returns why the run is ended: what another process left as its reason, or the signal.
pub(super) fn stop_reason(dir: &RunDir, by: Asked) -> String {
    if let Ok(reason) = std::fs::read_to_string(dir.cancel_request())
        && !reason.trim().is_empty()
    {
        return reason.trim().chars().filter(|c| !c.is_control()).take(200).collect();
    }
    match by {
        Asked::Interrupt => "interrupted from the terminal".to_owned(),
        Asked::Terminate => TERMINATED.to_owned(),
    }
}

/// Returns an outcome as the end of a sentence.
fn in_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Skipped => "was skipped",
        Outcome::Cancelled => "was cancelled",
        Outcome::InfraFailed => "had no machine that worked",
        Outcome::TimedOut => "timed out",
        Outcome::Failed => "failed",
    }
}
