//! What happens on an attempt's own thread: the attempt, or what is left of one, between the intents
//! and the verdict that it writes into the journal itself.

use std::{
    cell::Cell,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Sender},
    },
};

use plans::{FailedOutcome, Failure, JobSpec};
use tracing::{debug, info, info_span};

use super::Message;
use crate::{
    artifacts::kept,
    attempt::{AttemptOutcome, AttemptRequest, AttemptResult, Details, Observer, Phase},
    control::{Control, Level},
    drive,
    fault::{FailureKind, Fault},
    files,
    intent::Intent,
    journal::{AttemptFacts, Entry, Journal},
    ledger::Begun,
    locks::Waiting,
    outcome::Outcome,
    placements::{Machine, Machines},
    record,
    results::{Asked, Looked, Patience, spared},
    schedule::{Ending, FailureTerms},
};

/// Makes an attempt, or goes on with one that an earlier process began, on the machine its node
/// names.
pub(super) fn work(
    request: &AttemptRequest,
    machines: &Machines,
    control: &Control,
    observer: &JournalObserver,
    begun: Option<Begun>,
) -> AttemptResult {
    let node = &request.node;
    let host = node.spec.placement.host_name();
    let _span =
        info_span!("node", id = node.id.as_str(), attempt = request.attempt, host).entered();
    info!(
        runtime = node.spec.runtime.kind().as_str(),
        taken_up = begun.is_some(),
        "attempt begins"
    );
    let result = on_its_machine(request, machines, control, observer, begun);
    let failure = result.failure_kind.map(FailureKind::as_str);
    info!(outcome = ?result.outcome, exit_code = result.exit_code, failure, "attempt ended");
    result
}

/// Returns the result of an attempt that needs no thread: the node passed before, or nobody needs it. `is_new`: its directory
/// is, and holds nothing.
pub(super) fn at_once(
    request: &AttemptRequest,
    is_new: bool,
    (machines, control): (&Machines, &Control),
) -> Option<AttemptResult> {
    let look = |asked: &Asked| asked.look_at_once(is_new, (machines, control));
    let known = request.spared.as_ref().map(spared);
    let result = known.or_else(|| request.reuse.as_ref().and_then(look))?;
    info!(node = request.node.id.as_str(), attempt = request.attempt, "passed before");
    Some(result)
}

fn on_its_machine(
    request: &AttemptRequest,
    machines: &Machines,
    control: &Control,
    observer: &JournalObserver,
    begun: Option<Begun>,
) -> AttemptResult {
    match machines.open(&request.node.spec.placement) {
        Ok(machine) => attempt_or_settle(request, (&*machine, machines), control, observer, begun),
        Err(fault) => faulted(fault),
    }
}

fn attempt_or_settle(
    request: &AttemptRequest,
    (machine, machines): (&dyn Machine, &Machines),
    control: &Control,
    observer: &JournalObserver,
    begun: Option<Begun>,
) -> AttemptResult {
    match begun {
        None => reused_or_run(request, (machine, machines), control, observer),
        // Nothing was made.
        Some(Begun { intents, judged: None }) if intents.is_empty() => {
            reused_or_run(request, (machine, machines), control, observer)
        }
        Some(Begun { intents, judged: None }) => {
            let result = drive::reattach(request, machine, control, observer, &intents);
            kept(request, machines, control, result)
        }
        // It has its verdict; only what it left has to go.
        Some(Begun { intents, judged: Some(mut result) }) => {
            if let Err(fault) = drive::clear(request, machine, control, observer, &intents) {
                result.warnings.push(format!("left behind: {fault}"));
            }
            kept(request, machines, control, *result)
        }
    }
}

/// Keeps what an attempt left that an earlier process began.
fn kept(
    request: &AttemptRequest,
    machines: &Machines,
    control: &Control,
    mut result: AttemptResult,
) -> AttemptResult {
    let Some(asked) = &request.reuse else { return result };
    if result.outcome == AttemptOutcome::Passed
        && let Err(why) = asked
            .decided(machines, control)
            .and_then(|decided| asked.keep(decided, &result, machines, control))
    {
        result.warnings.push(why);
    }
    result
}

/// Takes the result of an earlier run, if there is one of the same work; else runs it, and keeps what comes of it.
fn reused_or_run(
    request: &AttemptRequest,
    (machine, machines): (&dyn Machine, &Machines),
    control: &Control,
    observer: &JournalObserver,
) -> AttemptResult {
    let run = || drive::run(request, machine, control, observer);
    let Some(asked) = &request.reuse else { return run() };
    let mut notes = Vec::new();
    let parked = Cell::new(false);
    let waits = |waiting: &Waiting| {
        parked.set(true);
        observer.waits(waiting);
    };
    let looked = asked.look(machines, Patience::ItsTimeout, control, &waits, &mut |note| {
        notes.push(note);
    });
    if parked.get() && control.level() == Level::Run {
        observer.returns();
    }
    let mut result = match looked {
        Looked::Passed(result) => *result,
        Looked::Runs(None) => run(),
        Looked::Runs(Some((decided, _held))) => {
            let result = run();
            if let Err(why) = asked.keep(decided, &result, machines, control) {
                notes.push(why);
            }
            result
        }
    };
    result.warnings.extend(notes);
    result
}

/// Writes what one attempt says down, before it does it.
pub(super) struct JournalObserver {
    journal: Arc<Journal>,
    node: String,
    attempt: u32,
    /// The task, and the thread that decides about it.
    run: (usize, Sender<Message>),
    /// Whether it makes anything that a power cut leaves standing.
    durable: AtomicBool,
}

impl JournalObserver {
    pub(super) fn new(
        journal: Arc<Journal>,
        node: &str,
        attempt: u32,
        run: (usize, Sender<Message>),
    ) -> Self {
        Self { journal, node: node.to_owned(), attempt, run, durable: AtomicBool::new(false) }
    }

    /// What a power cut leaves standing must be on the disk; the rest need only outlive us.
    fn write(&self, entry: &Entry) -> std::io::Result<()> {
        let written = if self.durable.load(Ordering::Relaxed) {
            self.journal.write_through(entry)
        } else {
            self.journal.write(entry)
        };
        written.map_err(std::io::Error::other)
    }
}

impl Observer for JournalObserver {
    fn intent(&self, intent: &Intent) -> std::io::Result<()> {
        let (node, attempt) = (self.node.clone(), self.attempt);
        let entry = Entry::Intent { node, attempt, intent: intent.clone() };
        if intent.outlives_a_power_cut() {
            self.durable.store(true, Ordering::Relaxed);
        }
        debug!(?intent, "about to make");
        self.write(&entry)
    }

    fn verdict(&self, result: &AttemptResult) -> std::io::Result<()> {
        let (node, attempt) = (self.node.clone(), self.attempt);
        self.write(&Entry::AttemptJudged { node, attempt, result: Box::new(result.clone()) })
    }

    fn phase(&self, phase: Phase) {
        debug!(phase = record::phase_name(phase), "phase begins");
    }

    fn waits(&self, waiting: &Waiting) {
        let (task, run) = &self.run;
        info!("{waiting}");
        // Nobody listens once the run was left.
        let _ = run.send(Message::Waits { task: *task, waiting: waiting.clone() });
    }

    fn returns(&self) {
        let (task, run) = &self.run;
        let (go, goes_on) = mpsc::channel();
        if run.send(Message::Returns { task: *task, go }).is_ok() {
            // The other end is dropped when it may go on, or is to end.
            let _ = goes_on.recv();
        }
    }
}

/// Makes a node's directory, and moves what an earlier attempt left there out of the way of the next one. Can
/// be done again until the next one has written down what it is about to start. Returns whether it is new, and empty.
pub(super) fn make_room(dir: &Path, attempt: u32) -> std::io::Result<bool> {
    let is_new = std::fs::create_dir(dir).is_ok();
    if !is_new {
        std::fs::create_dir_all(dir)?;
    }
    if attempt <= 1 {
        return Ok(is_new);
    }
    let kept = dir.join("attempts").join((attempt - 1).to_string());
    for name in ["host.log", "artifacts", kept::LIST, "guest.log"] {
        let from = dir.join(name);
        let to = kept.join(name);
        if from.symlink_metadata().is_ok() && to.symlink_metadata().is_err() {
            std::fs::create_dir_all(&kept)?;
            std::fs::rename(&from, to)?;
        }
    }
    // What was written down of that log is not about the next one.
    match std::fs::remove_file(dir.join("guest.log.offset")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    files::sync_dir(dir)?;
    Ok(false)
}

pub(super) fn not_begun(kind: FailureKind, what: &str, error: &std::io::Error) -> AttemptResult {
    faulted(Fault::io(kind, format!("{what} could not be made"), error))
}

fn faulted(fault: Fault) -> AttemptResult {
    let mut result = AttemptResult::nothing();
    result.fault(fault);
    result
}

pub(super) fn facts_of(result: &AttemptResult) -> AttemptFacts {
    let outcome = match result.outcome {
        AttemptOutcome::Passed => Outcome::Passed,
        AttemptOutcome::Failed => Outcome::Failed,
        AttemptOutcome::TimedOut => Outcome::TimedOut,
        AttemptOutcome::Cancelled => Outcome::Cancelled,
        AttemptOutcome::InfraFailed => Outcome::InfraFailed,
    };
    let Details { image, project, member, instance } = &result.details;
    let details =
        [("image", image), ("project", project), ("member", member), ("instance", instance)]
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value.clone()?)))
            .collect();
    AttemptFacts {
        outcome,
        retryable: result.failure_kind.is_none_or(FailureKind::is_retryable)
            && outcome == Outcome::InfraFailed,
        exit_code: result.exit_code,
        signal: result.signal,
        failure_kind: result.failure_kind.map(|kind| kind.as_str().to_owned()),
        message: result.message.clone(),
        advice: result.advice.clone(),
        phases: result
            .phases
            .iter()
            .map(|(&phase, &took)| (record::phase_name(phase).to_owned(), took))
            .collect(),
        killed_processes: result.killed_processes,
        outputs: result.outputs.clone(),
        because: result.because.clone(),
        files_from: result.files_from.clone(),
        caches: result.caches.clone(),
        reused: result.reused.clone().map(Box::new),
        artifacts: result.artifacts,
        artifacts_left_out: result.artifacts_left_out,
        warnings: result.warnings.clone(),
        details,
    }
}

/// Returns how the job itself failed; nothing: it did not, or not by itself.
fn failure_of(facts: &AttemptFacts) -> Option<Failure> {
    let outcome = match facts.outcome {
        Outcome::Failed => FailedOutcome::Failed,
        Outcome::TimedOut => FailedOutcome::TimedOut,
        Outcome::Passed | Outcome::Skipped | Outcome::Cancelled | Outcome::InfraFailed => {
            return None;
        }
    };
    Some(Failure { outcome, exit_code: facts.exit_code })
}

/// Returns what the job's rules say of the end of an attempt.
pub(super) fn terms_of(spec: &JobSpec, facts: &AttemptFacts) -> FailureTerms {
    failure_of(facts).map_or_else(FailureTerms::default, |failure| FailureTerms {
        // What another job did not leave is not there the next time either.
        again: facts.because.is_none() && spec.retries_after(failure),
        tolerated: spec.tolerates(failure),
    })
}

pub(super) fn ending_of(facts: &AttemptFacts) -> Ending {
    match facts.outcome {
        Outcome::Passed => Ending::Passed,
        Outcome::Failed => Ending::Failed,
        Outcome::TimedOut => Ending::TimedOut,
        Outcome::Cancelled | Outcome::Skipped => Ending::Cancelled,
        Outcome::InfraFailed if facts.retryable => Ending::Infra,
        Outcome::InfraFailed => Ending::InfraPermanent,
    }
}
