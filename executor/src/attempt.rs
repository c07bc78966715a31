//! One attempt of one node, from nothing to a verdict with nothing left behind.
//!
//! Owns the order of things: a turn on the machine, the runtime's four verbs, the opening line of
//! `host.log`, the timings, the judgement. Does not own retries, dependencies, the journal or the
//! record: those belong to the run.

mod host_log;
mod judge;

use std::{cell::Cell, collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use plans::{EnvName, Node, NodeId};
use serde::{Deserialize, Serialize};

use self::host_log::HostLog;
use crate::{
    control::{Control, Level},
    fault::{FailureKind, Fault},
    intent::Intent,
    placements::{Machine, Secret, Turn},
    runtimes::{self, Context},
    source::SourceSpec,
    supervise::{JobRef, JobStatus},
};

/// Everything one attempt needs to know; no global state is asked beside it.
#[derive(Debug, Clone)]
pub struct AttemptRequest {
    /// The run's id.
    pub run: String,
    /// What runs.
    pub node: Arc<Node>,
    /// Which try of it, from 1.
    pub attempt: u32,
    /// `host.log`: the executor's own account of this attempt, appended to.
    pub host_log: PathBuf,
    /// `guest.log`: the job's stdout and stderr, appended to. Must be empty or absent for a new
    /// attempt: re-attaching goes by its length.
    pub guest_log: PathBuf,
    /// Where artifacts go; made when the first one comes.
    pub artifacts: PathBuf,
    /// What the node's source tree is made from.
    pub source: SourceSpec,
    /// What the prepare nodes it uses left.
    pub outputs: BTreeMap<NodeId, PreparedOutput>,
    /// The values of the node's secrets.
    pub secrets: BTreeMap<EnvName, Secret>,
    /// The site's `pass_env`: names a host process also takes from its machine's environment.
    pub pass_env: Vec<String>,
    /// Between TERM and KILL, when the job's spec does not say.
    pub grace: Duration,
    /// How long the job may run while nobody renews.
    pub lease: Duration,
    /// One of this many places on the machine; absent: no limit.
    pub max_jobs: Option<u32>,
}

impl AttemptRequest {
    /// Returns the name of its job for every supervisor.
    #[must_use]
    pub fn job(&self) -> JobRef {
        JobRef {
            run: self.run.clone(),
            node: self.node.id.as_str().to_owned(),
            attempt: self.attempt,
        }
    }
}

/// Who watches an attempt. Called from the attempt's own thread.
pub trait Observer: Sync {
    /// Something is about to be made that outlives this process. What is returned decides: the act
    /// happens only after `Ok`, so that the journal holds it first.
    ///
    /// # Errors
    ///
    /// When it could not be written down; the attempt then ends as `infra_failed`, undone.
    fn intent(&self, intent: &Intent) -> std::io::Result<()>;

    /// The attempt enters a phase.
    fn phase(&self, phase: Phase);

    /// Its turn is another run's: until [`Self::returns`] the attempt does nothing, and what it may
    /// use of its own run's limits is free for others.
    fn waits(&self) {}

    /// It waited and has its turn. Returns when its own run has a place for it again, or wants it to
    /// end.
    fn returns(&self) {}

    /// There is a verdict. What it came from, the job's own record among it, is removed only after
    /// `Ok`, so that the journal holds it first; a run that finds it there, but not the attempt's
    /// end, calls [`clear`] and takes this result for good.
    ///
    /// # Errors
    ///
    /// When it could not be written down; what it came from then stays for who resumes the run.
    fn verdict(&self, result: &AttemptResult) -> std::io::Result<()>;
}

/// What an attempt's time goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waiting for its groups and a place on the machine.
    Turn,
    /// Making directories.
    Directories,
    /// Placing the source tree.
    Tree,
    /// Creating the instance or virtual machine.
    Runtime,
    /// Starting the job until it is known to run.
    Launch,
    /// The job itself.
    Wait,
    /// Bringing back artifacts and outputs.
    Collect,
    /// Removing what was made.
    Cleanup,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptResult {
    /// The verdict.
    pub outcome: AttemptOutcome,
    /// The job's exit code, when it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the job, when that was nobody of ours.
    pub signal: Option<i32>,
    /// `infra_failed`: what failed.
    pub failure_kind: Option<FailureKind>,
    /// One line for people: why it is not `passed`.
    pub message: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
    /// Whether the job may have been started: a retry may then do something a second time.
    pub started: bool,
    /// Milliseconds of each phase it went through.
    pub phases: BTreeMap<Phase, u64>,
    /// How many processes had to be killed.
    pub killed_processes: u64,
    /// A passed prepare node's output.
    pub output: Option<PreparedOutput>,
    /// Files kept, and what was refused.
    pub artifacts: u64,
    /// How many files were left out of the artifacts.
    pub artifacts_left_out: u64,
    /// Those, each with its reason, for `host.log`.
    pub left_out: Vec<String>,
    /// Things worth knowing that changed no verdict: missing artifacts, leftovers.
    pub warnings: Vec<String>,
    /// What the runtime tells the record.
    pub details: Details,
}

/// The verdict of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The job ended with 0.
    Passed,
    /// The job ended otherwise, by itself.
    Failed,
    /// Its time was over.
    TimedOut,
    /// Somebody cancelled it.
    Cancelled,
    /// The infrastructure failed; the job's own answer is not known.
    InfraFailed,
}

/// What a prepare node left, where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedOutput {
    /// The machine's name.
    pub machine: String,
    /// The directory on that machine.
    pub path: String,
    /// What it is.
    pub kind: OutputKind,
}

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// A directory, removed with its run.
    Directory,
    /// A store path, kept alive by a root until the run is removed.
    StorePath,
    /// A whole workspace, removed with its run.
    Workspace,
}

/// What the record holds beside the verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The image's fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The Incus project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The cluster member, or the host, that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The instance's or virtual machine's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

/// Runs one attempt from the start. Returns when there is a verdict and nothing of it is left.
#[must_use]
pub fn run(
    request: &AttemptRequest,
    machine: &dyn Machine,
    control: &Control,
    observer: &dyn Observer,
) -> AttemptResult {
    drive(request, machine, control, observer, None)
}

/// Removes what an attempt left that has its verdict but was not seen to end.
///
/// # Errors
///
/// When something is still there.
pub fn clear(
    request: &AttemptRequest,
    machine: &dyn Machine,
    control: &Control,
    observer: &dyn Observer,
    begun: &[Intent],
) -> Result<(), Fault> {
    let context = Context::new(request, machine, control, observer);
    let mut runtime = runtimes::open(request)?;
    // What cannot be taken up any more may still have to be removed.
    let _ = runtime.adopt(&context, begun);
    runtime.cleanup(&context)
}

/// Takes up an attempt that another process began, from the intents it journaled. A job that runs
/// is followed, one that ended is judged, one that was never started is started.
#[must_use]
pub fn reattach(
    request: &AttemptRequest,
    machine: &dyn Machine,
    control: &Control,
    observer: &dyn Observer,
    begun: &[Intent],
) -> AttemptResult {
    drive(request, machine, control, observer, Some(begun))
}

fn drive(
    request: &AttemptRequest,
    machine: &dyn Machine,
    control: &Control,
    observer: &dyn Observer,
    begun: Option<&[Intent]>,
) -> AttemptResult {
    let context = Context::new(request, machine, control, observer);
    let mut log = HostLog::open(&request.host_log);
    let mut result = AttemptResult::nothing();

    // 1. A turn: the machine's places and groups, over all executors.
    context.enter(Phase::Turn);
    let job = request.job();
    let turn = Turn {
        holder: Some((job.clone(), machine.attempt_dir(&job))),
        max_jobs: request.max_jobs,
        groups: request.node.concurrency_groups.iter().map(|g| g.as_str().to_owned()).collect(),
        in_guest: !matches!(request.node.spec.runtime, plans::Runtime::HostProcess),
    };
    let waited = Cell::new(false);
    let waits = || {
        waited.set(true);
        observer.waits();
    };
    let held = match machine.acquire(&turn, control, &waits) {
        Ok(Some(held)) => Some(held),
        // Somebody who resumes must end what was begun, even when it is not wanted any more.
        Ok(None) if begun.is_some() => None,
        Ok(None) => return result.cancelled_before_start(&context, &mut log),
        Err(fault) => return result.failed_before_start(fault, &context, &mut log),
    };
    if waited.get() {
        observer.returns();
    }
    let mut runtime = match runtimes::open(request) {
        Ok(runtime) => runtime,
        Err(fault) => return result.failed_before_start(fault, &context, &mut log),
    };
    if control.level() > Level::Run && begun.is_none() {
        return result.cancelled_before_start(&context, &mut log);
    }
    log.opening(request, machine, &runtime.describe(&context));

    // 2. The four verbs.
    let ready = match begun {
        None => runtime.prepare(&context).map(|()| false),
        Some(begun) => runtime.adopt(&context, begun),
    };
    let ran = match ready {
        Ok(started) if control.level() > Level::Run && !started => {
            result.outcome = AttemptOutcome::Cancelled;
            None
        }
        Ok(_) => {
            result.started = true;
            Some(runtime.run(&context))
        }
        Err(fault) => Some(Err(fault)),
    };
    if let Some(ran) = ran {
        let collected = match &ran {
            Ok(JobStatus::Exited(_)) => {
                context.enter(Phase::Collect);
                Some(runtime.collect(&context))
            }
            _ => None,
        };
        result.judge(ran, collected, request, machine);
    }
    // Whoever asked for the end does not want to hear that something broke on the way to it.
    if result.outcome == AttemptOutcome::InfraFailed && control.level() > Level::Run {
        result.outcome = AttemptOutcome::Cancelled;
    }
    result.details = runtime.details();
    result.phases = context.timings();

    // 3. The verdict is written down before what it came from goes.
    let written = observer.verdict(&result);
    context.enter(Phase::Cleanup);
    match written {
        Ok(()) => {
            if let Err(fault) = runtime.cleanup(&context) {
                result.warnings.push(format!("left behind: {fault}"));
            }
        }
        Err(error) => result.warnings.push(format!("the verdict could not be written: {error}")),
    }
    drop(held);
    result.phases = context.timings();
    log.closing(&result);
    result
}

impl AttemptResult {
    fn nothing() -> Self {
        Self {
            outcome: AttemptOutcome::InfraFailed,
            exit_code: None,
            signal: None,
            failure_kind: None,
            message: None,
            advice: None,
            started: false,
            phases: BTreeMap::new(),
            killed_processes: 0,
            output: None,
            artifacts: 0,
            artifacts_left_out: 0,
            left_out: Vec::new(),
            warnings: Vec::new(),
            details: Details::default(),
        }
    }

    fn cancelled_before_start(mut self, context: &Context<'_>, log: &mut HostLog) -> Self {
        self.outcome = AttemptOutcome::Cancelled;
        self.message = Some("cancelled before it started".to_owned());
        self.phases = context.timings();
        log.closing(&self);
        self
    }

    fn failed_before_start(
        mut self,
        fault: Fault,
        context: &Context<'_>,
        log: &mut HostLog,
    ) -> Self {
        self.fault(fault);
        self.phases = context.timings();
        log.closing(&self);
        self
    }

    fn fault(&mut self, fault: Fault) {
        let Fault { kind, message, advice } = fault;
        self.outcome = AttemptOutcome::InfraFailed;
        self.failure_kind = Some(kind);
        self.message = Some(message);
        self.advice = advice;
    }
}
