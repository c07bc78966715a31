//! What follows from a verdict for the tasks that wait for it: whether they may run, or are
//! skipped, and why.
//!
//! Owns the meaning of `run_if`. Which of those that may run is started, and when, is the
//! schedule's.

use plans::RunIf;

use super::{Because, Schedule, State, Stopped};
use crate::outcome::Outcome;

/// A verdict that an earlier process reached.
#[derive(Debug, Clone, Copy)]
pub struct Restored {
    /// How it ended, a tolerated failure as passed.
    pub outcome: Outcome,
    /// Skipped: how the task ended that kept it from running, if one did.
    pub cause: Option<Outcome>,
}

/// What those that wait for a task make of its verdict.
#[derive(Debug, Clone, Copy)]
pub(super) enum Settled {
    /// It passed, or its failure is tolerated.
    Good,
    /// It was not to run, and counts as passed.
    NotAsked,
    /// It did not pass.
    Bad(Bad),
}

/// Why those that wait for a pass are skipped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bad {
    /// The reason they are given.
    because: Because,
    /// Whether it is a failure, of the task or of one before it.
    failed: bool,
}

fn is_failure(outcome: Outcome) -> bool {
    outcome >= Outcome::InfraFailed
}

impl Bad {
    /// A task that ran and did not pass.
    pub(super) fn of(task: usize, outcome: Outcome) -> Self {
        Self { because: Because::Dependency { task, outcome }, failed: is_failure(outcome) }
    }

    /// A task that was skipped for that reason; those behind it are skipped for the same one.
    fn skipped(because: Because) -> Self {
        let failed = matches!(because, Because::Dependency { outcome, .. } if is_failure(outcome));
        Self { because, failed }
    }
}

impl Stopped {
    pub(super) fn level(self) -> u8 {
        match self {
            Self::FailFast { .. } => 0,
            Self::Asked => 1,
            Self::Kill => 2,
        }
    }

    pub(super) fn because(self) -> Because {
        match self {
            Self::FailFast { task } => Because::FailFast { task },
            Self::Asked | Self::Kill => Because::Stopped,
        }
    }
}

impl Schedule {
    /// Tells a verdict to the tasks that wait for it, and the verdicts that follow from it to
    /// those behind them.
    pub(super) fn settle(&mut self, task: usize, settled: Settled) {
        let mut open = vec![(task, settled)];
        while let Some((task, settled)) = open.pop() {
            self.states[task].settled = true;
            for position in 0..self.dependents[task].len() {
                let dependent = self.dependents[task][position] as usize;
                let state = &mut self.states[dependent];
                state.open_dependencies -= 1;
                let (run_if, uses) = {
                    let task_of = &self.tasks[dependent];
                    (task_of.run_if, task_of.uses.contains(&task))
                };
                let strict = uses || run_if == RunIf::Passed;
                match settled {
                    Settled::Bad(bad) if bad.failed => {
                        state.failed = state.failed.or(Some(bad.because));
                    }
                    Settled::Bad(bad) => {
                        state.kept = state.kept.or(Some(bad.because));
                        state.unmet |= strict;
                    }
                    Settled::Good | Settled::NotAsked => {}
                }
                state.asked |= !uses && !matches!(settled, Settled::NotAsked);
                if state.state != State::Waiting || !self.tasks[dependent].selected {
                    continue;
                }
                let because = match settled {
                    // Only a failure decides at once: what else did not pass may hide one.
                    Settled::Bad(bad) if strict && bad.failed => Some(bad.because),
                    _ if state.open_dependencies > 0 => continue,
                    _ => self.refusal(dependent),
                };
                match because {
                    None => self.make_ready(dependent),
                    Some(because) => {
                        self.finish(dependent, Outcome::Skipped, Some(because));
                        open.push((dependent, Settled::Bad(Bad::skipped(because))));
                    }
                }
            }
        }
    }

    /// Skips a task, and what follows from that.
    pub(super) fn skip(&mut self, task: usize, because: Because) {
        self.finish(task, Outcome::Skipped, Some(because));
        self.settle(task, Settled::Bad(Bad::skipped(because)));
    }

    /// A task that waits for nothing, or for nothing any more, has its turn or is skipped.
    pub(super) fn decide(&mut self, task: usize) {
        match self.refusal(task) {
            None => self.make_ready(task),
            Some(because) => self.skip(task, because),
        }
    }

    /// Returns why a task does not run of which every dependency has ended, without a failure of
    /// those that must have passed.
    fn refusal(&self, task: usize) -> Option<Because> {
        let state = &self.states[task];
        if state.unmet {
            return state.kept;
        }
        match self.tasks[task].run_if {
            RunIf::Passed | RunIf::Always => None,
            // Of what it waits for nothing was to run: whoever asks for it alone knows.
            RunIf::Failed if state.failed.is_some() || !state.asked => None,
            RunIf::Failed => Some(state.kept.unwrap_or(Because::NotNeeded { task })),
        }
    }

    /// Returns what follows from a verdict of an earlier process.
    pub(super) fn restored(&self, task: usize, known: Restored) -> Settled {
        let itself = Bad::of(task, known.outcome);
        match known.outcome {
            Outcome::Passed => Settled::Good,
            // It was skipped for the reason that its dependencies give, or for none of theirs.
            Outcome::Skipped => Settled::Bad(match known.cause {
                Some(Outcome::Passed) => Bad::skipped(Because::NotNeeded { task }),
                Some(cause) if is_failure(cause) => {
                    let because = self.states[task].failed.unwrap_or(itself.because);
                    Bad { because, failed: true }
                }
                _ => {
                    Bad { because: self.states[task].kept.unwrap_or(itself.because), failed: false }
                }
            }),
            _ => Settled::Bad(itself),
        }
    }
}
