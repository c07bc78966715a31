//! A run that another process drives, followed by its journal: the same events as that process tells. Reads, and never
//! writes or locks.

use plans::Plan;

use crate::{
    error::Error,
    event::{self, Event},
    journal::{Entry, Tail},
    ledger::Ledger,
    locks::Waiting,
    outcome::Outcome,
    record::{NodeRecord, Record, RunOutcome},
    state::RunDir,
};

/// A run that is followed.
pub struct Follower {
    dir: RunDir,
    plan: Plan,
    tail: Tail,
    ledger: Ledger,
    /// The tasks that run, and what each was told to wait for.
    running: Vec<(usize, Option<Waiting>)>,
}

/// Why a run cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Its journal cannot be read.
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalError),
    /// Its journal is of another plan.
    #[error(transparent)]
    Ledger(#[from] crate::ledger::LedgerError),
}

impl FollowError {
    /// Returns it as what the program ends with.
    #[must_use]
    pub fn of_run(self, dir: &RunDir) -> Error {
        match self {
            Self::Journal(error) => Error::Journal(error),
            Self::Ledger(error) => Error::Ledger { run: dir.id.to_string(), error },
        }
    }
}

impl Follower {
    /// Begins at the run's beginning.
    #[must_use]
    pub fn new(dir: RunDir, plan: Plan) -> Self {
        let (tail, ledger) = (Tail::new(dir.journal()), Ledger::new(&plan));
        Self { dir, plan, tail, ledger, running: Vec::new() }
    }

    /// Returns the plan.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the nodes that `--only` asked for; absent: all.
    #[must_use]
    pub fn only(&self) -> Option<&[String]> {
        self.ledger.started()?.only.as_deref()
    }

    /// Returns how the run ended, once it has.
    #[must_use]
    pub fn outcome(&self) -> Option<RunOutcome> {
        self.ledger.finished()
    }

    /// Returns the record as far as the run went; `selected` says which nodes were asked for, by position.
    #[must_use]
    pub fn record(&self, selected: &[bool]) -> Record {
        self.ledger.record(&self.plan, RunOutcome::Running, selected)
    }

    /// Returns the record without its nodes.
    #[must_use]
    pub fn header(&self, selected: &[bool]) -> Record {
        self.ledger.header(&self.plan, RunOutcome::Running, selected)
    }

    /// Returns the record of one node.
    #[must_use]
    pub fn node_record(&self, task: usize) -> NodeRecord {
        self.ledger.node_record(&self.plan, task)
    }

    /// Returns how many bytes of the journal were read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.tail.read()
    }

    /// Returns what happened since it was asked last.
    ///
    /// # Errors
    ///
    /// [`FollowError`].
    pub fn events(&mut self) -> Result<Vec<Event>, FollowError> {
        let mut events = Vec::new();
        for entry in self.tail.entries()? {
            self.take(entry, &mut events)?;
        }
        for (task, told) in &mut self.running {
            let node = &self.plan.nodes()[*task].id;
            let waiting = self.dir.waits_for(node);
            match (&waiting, &*told) {
                (Some(now), Some(before)) if now.is_like(before) => continue,
                (Some(now), _) => {
                    events.push(Event::NodeWaiting(event::NodeWaiting::of(node.as_str(), now)));
                }
                (None, Some(_)) => events.push(Event::NodeWaited(event::NodeWaited {
                    node: node.as_str().to_owned(),
                    at: crate::clock::now(),
                })),
                (None, None) => {}
            }
            *told = waiting;
        }
        Ok(events)
    }

    fn take(&mut self, entry: Entry, events: &mut Vec<Event>) -> Result<(), FollowError> {
        match &entry {
            Entry::RunStarted(started) => events.push(Event::RunStarted(event::RunStarted {
                format_version: event::VERSION.to_owned(),
                plan_digest: started.plan_digest.clone(),
                at: started.at.clone(),
                nodes: self.plan.nodes().len(),
                resumed: false,
                directory: self.dir.path().display().to_string(),
            })),
            Entry::RunResumed { pid, .. } => events.push(Event::Warning(event::Warning {
                node: None,
                message: format!("process {pid} took the run up"),
            })),
            Entry::AttemptStarted { node, attempt, at } => {
                let task = self.plan.graph().position(node);
                if let Some(last) = task.and_then(|task| self.ledger.node(task).last.as_ref()) {
                    events.push(Event::NodeRetrying(event::NodeRetrying {
                        node: node.clone(),
                        attempt: last.attempt,
                        outcome: last.facts.outcome,
                        exit_code: last.facts.exit_code,
                        failure_kind: last.facts.failure_kind.clone(),
                        message: last.facts.message.clone(),
                        delay_ms: 0,
                    }));
                }
                self.running.extend(task.map(|task| (task, None)));
                let (node, attempt, at) = (node.clone(), *attempt, at.clone());
                events.push(Event::NodeStarted(event::NodeStarted { node, attempt, at }));
            }
            Entry::AttemptEnded(ended) => {
                let task = self.plan.graph().position(&ended.node);
                self.running.retain(|(running, _)| Some(*running) != task);
                for warning in &ended.facts.warnings {
                    let (node, message) = (Some(ended.node.clone()), warning.clone());
                    events.push(Event::Warning(event::Warning { node, message }));
                }
            }
            Entry::Stopping { reason, kill, .. } => {
                let (reason, kill) = (reason.clone(), *kill);
                events.push(Event::RunStopping(event::RunStopping { reason, kill }));
            }
            Entry::Intent { .. }
            | Entry::AttemptJudged { .. }
            | Entry::NodeFinished { .. }
            | Entry::RunFinished { .. } => {}
        }
        let verdict = match &entry {
            Entry::NodeFinished { node, .. } => self.plan.graph().position(node),
            _ => None,
        };
        self.ledger.apply(entry)?;
        if let Some(task) = verdict {
            let node = self.ledger.node_record(&self.plan, task);
            events.push(Event::NodeFinished(Box::new(event::NodeFinished::of(&node))));
        }
        Ok(())
    }

    /// Returns how many nodes run, have ended, and have ended so that somebody has to look.
    #[must_use]
    pub fn progress(&self) -> (usize, usize, usize) {
        let verdicts =
            (0..self.plan.nodes().len()).filter_map(|task| self.ledger.node(task).verdict.as_ref());
        let (mut over, mut bad) = (0, 0);
        for verdict in verdicts {
            over += 1;
            bad += usize::from(verdict.counts_as() >= Outcome::InfraFailed);
        }
        (self.running.len(), over, bad)
    }
}
