//! Drives one attempt of one node, from nothing to a verdict with nothing left behind.
//!
//! Owns the order of things: the machine's locks, the runtime's four verbs, the opening line of
//! `host.log`, the timings, the judgement. Does not own retries, dependencies, the journal or the
//! record: those belong to the run.

mod host_log;
mod judge;

use self::host_log::HostLog;
use crate::{
    artifacts::{
        Collected,
        kept::{self, KeptFiles},
    },
    attempt::{
        AttemptOutcome, AttemptRequest, AttemptResult, Context, FilesNeeded, Observer, Phase,
        TakenFiles,
    },
    caches,
    control::{Control, Level},
    fault::Fault,
    intent::Intent,
    locks::LockRequest,
    placements::Machine,
    runtimes::{self, Runtime},
    supervise::JobStatus,
};

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

    // 1. Locks: the machine's slots and groups, over all executors.
    context.enter(Phase::Lock);
    let job = request.job();
    let locks = LockRequest {
        holder: Some((job.clone(), machine.attempt_dir(&job))),
        max_jobs: request.max_jobs,
        groups: groups(request),
        in_guest: !matches!(request.node.spec.runtime, plans::Runtime::HostProcess),
    };
    let held = match context.parked(|waits| machine.acquire(&locks, control, waits)) {
        Ok(Some(held)) => Some(held),
        // Somebody who resumes must end what was begun, even when it is not wanted any more.
        Ok(None) if begun.is_some() => None,
        Ok(None) => return result.cancelled_before_start(&context, &mut log),
        Err(fault) => return result.failed_before_start(fault, &context, &mut log),
    };
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
    if matches!(ready, Ok(true)) {
        caches::recall(&context);
    }
    log.given(&context.caches.borrow());
    let ready = ready.and_then(|started| match &held {
        Some(held) if locks.in_guest && !started => held.check().map(|()| started),
        _ => Ok(started),
    });
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
                Some(collect(&mut *runtime, &context))
            }
            _ => None,
        };
        result.judge(ran, collected, request, machine);
    }
    if result.started {
        result.files_from = files_from(request);
    }
    result.warnings.extend(context.warnings());
    // A user who asked for the end does not want to hear that something broke on the way to it.
    if result.outcome == AttemptOutcome::InfraFailed && control.level() > Level::Run {
        result.outcome = AttemptOutcome::Cancelled;
    }
    result.details = runtime.details();
    result.caches.clone_from(&context.caches.borrow());
    result.phases = context.timings();

    // 3. The verdict is written down before what it came from goes.
    let written = observer.verdict(&result);
    if written.is_ok() {
        keep_caches(&mut *runtime, &context, &mut result);
    }
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

/// Returns the groups of which nobody else may be at a time, those of its exclusive caches among them.
fn groups(request: &AttemptRequest) -> Vec<String> {
    let groups = request.node.concurrency_groups.iter().map(|group| group.as_str().to_owned());
    groups.chain(caches::groups(request)).collect()
}

/// Keeps the caches that are to be kept after such a verdict, which stands whatever becomes of them.
fn keep_caches(runtime: &mut dyn Runtime, context: &Context<'_>, result: &mut AttemptResult) {
    let numbers = caches::to_keep(context, result);
    if numbers.is_empty() {
        return;
    }
    context.enter(Phase::Caches);
    // Nothing writes there any more once it is gone.
    match runtime.release(context) {
        Ok(()) => caches::keep(context, &numbers),
        Err(fault) => context.warn(format!("caches are not kept: {fault}")),
    }
    result.warnings.extend(context.warnings());
    result.caches.clone_from(&context.caches.borrow());
}

/// Brings back what the job left. What others take of it is listed before the verdict says that it is there.
fn collect(runtime: &mut dyn Runtime, context: &Context<'_>) -> Result<Collected, Fault> {
    let collected = runtime.collect(context)?;
    if context.request.is_taken_from {
        kept::write_list(&context.request.artifacts)?;
    }
    Ok(collected)
}

/// Says which files of other nodes a job was given: known from what these left, whoever prepared it.
fn files_from(request: &AttemptRequest) -> Vec<TakenFiles> {
    let given = |needed: &FilesNeeded| {
        let kept = KeptFiles::of(needed).ok()?;
        Some(TakenFiles {
            node: needed.from.node.to_string(),
            at: needed.from.at.to_string(),
            files: kept.count(),
            bytes: kept.list.size(),
        })
    };
    request.files.iter().filter_map(given).collect()
}

impl AttemptResult {
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
}
