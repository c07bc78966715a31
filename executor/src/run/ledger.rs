//! What is known of every node of a run: the sum of its journal.
//!
//! The same entries build it whether they are being written or read back, so a resumed run knows
//! what the first process knew. Decides nothing.

use std::collections::BTreeMap;

use plans::{EnvName, NodeId, Plan};

use crate::{
    attempt::{AttemptResult, PreparedOutput},
    intent::Intent,
    journal::{AttemptEnded, Entry, RunStarted},
    outcome::Outcome,
    record::{self, NodeRecord, Record, RetriedAttempt, RunOutcome, Verdict},
    schedule::Restored,
};

/// What is known of a run.
#[derive(Debug)]
pub struct Ledger {
    positions: BTreeMap<String, usize>,
    nodes: Vec<NodeFacts>,
    started: Option<RunStarted>,
    stopping: Option<String>,
    killed: bool,
    finished: Option<(String, RunOutcome)>,
}

/// What is known of a node.
#[derive(Debug, Default)]
pub struct NodeFacts {
    /// Attempts that were started.
    pub attempts: u32,
    /// Attempts whose answer was no, or that took too long.
    pub own_failures: u32,
    /// Attempts whose machine failed.
    pub infra_failures: u32,
    /// The attempt that has no end yet.
    pub open: Option<Begun>,
    /// When the last attempt began.
    pub started_at: Option<String>,
    /// How the last attempt ended.
    pub last: Option<AttemptEnded>,
    /// How those before it ended.
    pub retried: Vec<RetriedAttempt>,
    /// The verdict.
    pub verdict: Option<NodeVerdict>,
}

/// An attempt that was begun and has no end yet.
#[derive(Debug, Clone, Default)]
pub struct Begun {
    /// What it said it would make.
    pub intents: Vec<Intent>,
    /// Its verdict, if only its end is missing.
    pub judged: Option<Box<AttemptResult>>,
}

/// A node's verdict, as the journal holds it.
#[derive(Debug, Clone)]
pub struct NodeVerdict {
    /// How it ended.
    pub outcome: Outcome,
    /// Whether its failure does not count.
    pub tolerated: bool,
    /// Why it did not run.
    pub because: Option<String>,
    /// How the node ended that kept it from running.
    pub cause: Option<Outcome>,
}

impl NodeVerdict {
    /// Returns what dependants, lanes and the run make of it: a tolerated failure is a pass.
    #[must_use]
    pub fn counts_as(&self) -> Outcome {
        if self.tolerated { Outcome::Passed } else { self.outcome }
    }

    /// Returns the verdict as the schedule takes it up again.
    #[must_use]
    pub fn restored(&self) -> Restored {
        Restored { outcome: self.counts_as(), cause: self.cause }
    }

    /// Returns whether it did not run because it runs only after a failure, and nothing failed.
    #[must_use]
    pub fn is_not_needed(&self) -> bool {
        self.outcome == Outcome::Skipped && self.cause == Some(Outcome::Passed)
    }
}

/// What a journal says that cannot be.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It is about a node that the plan does not have.
    #[error("the journal speaks of node `{0}`, which is not in the plan")]
    UnknownNode(String),
    /// It does not begin with the beginning.
    #[error("the journal does not begin with `run_started`")]
    NoBeginning,
}

impl Ledger {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let positions = plan
            .nodes()
            .iter()
            .enumerate()
            .map(|(position, node)| (node.id.as_str().to_owned(), position))
            .collect();
        let nodes = plan.nodes().iter().map(|_| NodeFacts::default()).collect();
        Self { positions, nodes, started: None, stopping: None, killed: false, finished: None }
    }

    /// Adds up a journal.
    ///
    /// # Errors
    ///
    /// [`LedgerError`] when the journal is not this plan's.
    pub fn replay(plan: &Plan, entries: Vec<Entry>) -> Result<Self, LedgerError> {
        let mut ledger = Self::new(plan);
        for entry in entries {
            ledger.apply(entry)?;
        }
        if ledger.started.is_none() { Err(LedgerError::NoBeginning) } else { Ok(ledger) }
    }

    /// Takes in one entry.
    ///
    /// # Errors
    ///
    /// [`LedgerError::UnknownNode`]; nothing is changed then.
    pub fn apply(&mut self, entry: Entry) -> Result<(), LedgerError> {
        match entry {
            Entry::RunStarted(started) => self.started = Some(started),
            Entry::RunResumed { .. } => {}
            Entry::AttemptStarted { node, attempt, at } => {
                let facts = self.node_mut(node)?;
                if let Some(last) = facts.last.take() {
                    facts.retried.push(RetriedAttempt {
                        attempt: last.attempt,
                        outcome: last.facts.outcome,
                        exit_code: last.facts.exit_code,
                        failure_kind: last.facts.failure_kind,
                        message: last.facts.message,
                        started_at: facts.started_at.take(),
                        duration_ms: Some(last.duration_ms),
                    });
                }
                facts.attempts = attempt;
                facts.started_at = Some(at);
                facts.open = Some(Begun::default());
            }
            Entry::Intent { node, intent, .. } => {
                self.node_mut(node)?.open.get_or_insert_default().intents.push(intent);
            }
            Entry::AttemptJudged { node, result, .. } => {
                self.node_mut(node)?.open.get_or_insert_default().judged = Some(result);
            }
            Entry::AttemptEnded(ended) => {
                let facts = self.node_mut(ended.node.clone())?;
                facts.open = None;
                match ended.facts.outcome {
                    Outcome::Failed | Outcome::TimedOut => facts.own_failures += 1,
                    Outcome::InfraFailed => facts.infra_failures += 1,
                    Outcome::Passed | Outcome::Cancelled | Outcome::Skipped => {}
                }
                facts.last = Some(ended);
            }
            Entry::NodeFinished { node, outcome, tolerated, because, cause } => {
                self.node_mut(node)?.verdict =
                    Some(NodeVerdict { outcome, tolerated, because, cause });
            }
            Entry::Stopping { reason, kill, .. } => {
                self.stopping.get_or_insert(reason);
                self.killed |= kill;
            }
            Entry::RunFinished { at, outcome } => self.finished = Some((at, outcome)),
        }
        Ok(())
    }

    fn node_mut(&mut self, node: String) -> Result<&mut NodeFacts, LedgerError> {
        match self.positions.get(&node) {
            Some(&position) => Ok(&mut self.nodes[position]),
            None => Err(LedgerError::UnknownNode(node)),
        }
    }

    /// Returns what is known of the node at that position of the plan.
    #[must_use]
    pub fn node(&self, position: usize) -> &NodeFacts {
        &self.nodes[position]
    }

    /// Returns how the run was begun.
    #[must_use]
    pub fn started(&self) -> Option<&RunStarted> {
        self.started.as_ref()
    }

    /// Returns who wanted the run to end early, if anybody did.
    #[must_use]
    pub fn stopping(&self) -> Option<&str> {
        self.stopping.as_deref()
    }

    /// Returns whether somebody wanted that at once.
    #[must_use]
    pub fn killed(&self) -> bool {
        self.killed
    }

    /// Returns how the run ended, if it did.
    #[must_use]
    pub fn finished(&self) -> Option<RunOutcome> {
        self.finished.as_ref().map(|(_, outcome)| *outcome)
    }

    /// Returns what the passed prepare nodes that `node` uses have left.
    #[must_use]
    pub fn outputs(&self, node: &plans::Node) -> BTreeMap<NodeId, PreparedOutput> {
        let used = node.prepared_by();
        used.filter_map(|id| {
            let position = *self.positions.get(id.as_str())?;
            let output = self.nodes[position].last.as_ref()?.output.clone()?;
            Some((id.clone(), output))
        })
        .collect()
    }

    /// Returns the variables that `node` takes of other nodes, as far as these left their outputs.
    #[must_use]
    pub fn values(&self, node: &plans::Node) -> BTreeMap<EnvName, String> {
        let taken = node.takes.env.iter();
        taken
            .filter_map(|(name, of)| {
                let position = *self.positions.get(of.node.as_str())?;
                let left = &self.nodes[position].last.as_ref()?.facts.outputs;
                Some((name.clone(), left.get(of.output.as_str())?.clone()))
            })
            .collect()
    }

    /// Returns the record of a node.
    #[must_use]
    pub fn node_record(&self, plan: &Plan, position: usize) -> NodeRecord {
        let facts = &self.nodes[position];
        let mut record = NodeRecord::of(&plan.nodes()[position]);
        record.attempts = facts.attempts;
        record.started_at.clone_from(&facts.started_at);
        record.retried.clone_from(&facts.retried);
        if let Some(ended) = &facts.last {
            let last = &ended.facts;
            record.outcome = last.outcome;
            record.exit_code = last.exit_code;
            record.signal = last.signal;
            record.failure_kind.clone_from(&last.failure_kind);
            record.message.clone_from(&last.message);
            record.advice.clone_from(&last.advice);
            record.phases.clone_from(&last.phases);
            record.finished_at = Some(ended.at.clone());
            record.duration_ms = Some(ended.duration_ms);
            record.killed_processes = last.killed_processes;
            record.outputs.clone_from(&last.outputs);
            record.files_from.clone_from(&last.files_from);
            record.caches.clone_from(&last.caches);
            record.reused = last.reused.as_deref().cloned();
            record.artifacts = last.artifacts;
            record.artifacts_left_out = last.artifacts_left_out;
            record.warnings.clone_from(&last.warnings);
            record.details.clone_from(&last.details);
        }
        if let Some(verdict) = &facts.verdict {
            record.outcome = verdict.outcome;
            record.tolerated = verdict.tolerated;
            record.not_needed = verdict.is_not_needed();
            record.because.clone_from(&verdict.because);
        } else if facts.last.is_none() {
            record.because = Some(match facts.attempts {
                0 => "it has not run yet".to_owned(),
                _ => "it has no verdict yet".to_owned(),
            });
        }
        record
    }

    /// Returns the record of the run as it stands; `unfinished` says how, if it is not over.
    #[must_use]
    pub fn record(&self, plan: &Plan, unfinished: RunOutcome, selected: &[bool]) -> Record {
        let nodes = (0..self.nodes.len()).map(|position| self.node_record(plan, position));
        Record { nodes: nodes.collect(), ..self.header(plan, unfinished, selected) }.versioned()
    }

    /// Returns the same without its nodes.
    #[must_use]
    pub fn header(&self, plan: &Plan, unfinished: RunOutcome, selected: &[bool]) -> Record {
        let (outcome, finished_at) = match &self.finished {
            Some((at, outcome)) => (*outcome, Some(at.clone())),
            None => (unfinished, None),
        };
        let started = self.started.as_ref();
        let text = |field: fn(&RunStarted) -> &String| {
            started.map(|started| field(started).clone()).unwrap_or_default()
        };
        Record {
            format_version: record::VERSION.to_string(),
            run_id: text(|started| &started.run_id),
            plan_digest: text(|started| &started.plan_digest),
            started_at: text(|started| &started.at),
            finished_at,
            outcome,
            stopped: self.stopping.clone(),
            rerun_of: started.and_then(|started| started.rerun_of.clone()),
            lanes: record::lanes(plan, |position| self.verdict(plan, position, selected[position])),
            nodes: Vec::new(),
        }
    }

    /// Returns what lanes make of a node.
    #[must_use]
    pub fn verdict(&self, plan: &Plan, position: usize, selected: bool) -> Verdict {
        let verdict = self.nodes[position].verdict.as_ref();
        let (outcome, cause) =
            verdict.map_or((Outcome::Skipped, None), |it| (it.counts_as(), it.cause));
        let tolerated = verdict.is_some_and(|it| it.tolerated);
        let last = self.nodes[position].last.as_ref();
        let reused = last.is_some_and(|last| last.facts.reused.is_some());
        let id = plan.nodes()[position].id.as_str();
        let passed_before = !selected
            && self.started.as_ref().is_some_and(|started| started.passed_before.contains(id));
        Verdict { outcome, tolerated, reused, cause, selected, passed_before }
    }

    /// Returns what the run makes of all nodes that have a verdict.
    pub fn outcomes(&self) -> impl Iterator<Item = Outcome> + '_ {
        let verdicts = self.nodes.iter().filter_map(|node| node.verdict.as_ref());
        verdicts.map(|it| if it.is_not_needed() { Outcome::Passed } else { it.counts_as() })
    }
}
