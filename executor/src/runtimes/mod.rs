//! How isolated nodes run: one trait, [`Runtime`], with four verbs, and one file for each runtime.
//!
//! A runtime is written against [`Machine`] and never asks which placement it is: N placements and
//! M runtimes are N + M files. A value is made for one attempt and keeps its own state between the
//! verbs; [`crate::attempt`] calls them in order and always ends with `cleanup`.

mod follow;
mod host_process;
pub mod incus;
pub mod shown;
mod table;
pub mod tart;
mod work;

use std::{
    cell::RefCell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{
    attempt::{AttemptRequest, Details, Observer, Phase},
    control::Control,
    fault::{FailureKind, Fault},
    intent::Intent,
    placements::{Collected, Machine},
    supervise::JobStatus,
};

pub use table::is_built;
pub use work::Work;

/// What every verb is given.
pub struct Context<'a> {
    /// What is to run.
    pub request: &'a AttemptRequest,
    /// Where.
    pub machine: &'a dyn Machine,
    /// Whether it is still wanted.
    pub control: &'a Control,
    /// Who is told before anything is made that outlives us, and what the time goes into. Drivers
    /// use [`Context::intend`] and [`Context::enter`].
    observer: &'a dyn Observer,
    clock: RefCell<Clock>,
}

/// What the time went into.
#[derive(Default)]
struct Clock {
    phases: BTreeMap<Phase, Duration>,
    now: Option<(Phase, Instant)>,
}

impl<'a> Context<'a> {
    /// Starts the clock of an attempt.
    #[must_use]
    pub fn new(
        request: &'a AttemptRequest,
        machine: &'a dyn Machine,
        control: &'a Control,
        observer: &'a dyn Observer,
    ) -> Self {
        Self { request, machine, control, observer, clock: RefCell::default() }
    }

    /// Returns what the supervisor in a guest is to keep out of its log. Where no masks can be made the job is not
    /// started: `GuestJob::run` sees to that.
    pub(crate) fn masks(&self) -> String {
        let values = self.request.secrets.values().map(|value| value.reveal());
        crate::supervise::masks_of(values).unwrap_or_default()
    }

    /// Says what is about to be made; the act may happen only after `Ok`.
    ///
    /// # Errors
    ///
    /// When it could not be written down.
    pub fn intend(&self, intent: &Intent) -> Result<(), Fault> {
        self.observer.intent(intent).map_err(|error| {
            Fault::io(FailureKind::Io, "writing down what is about to be made", &error)
        })
    }

    /// Enters a phase; the time from now on is its own.
    pub fn enter(&self, phase: Phase) {
        self.stop_clock();
        self.clock.borrow_mut().now = Some((phase, Instant::now()));
        self.observer.phase(phase);
    }

    /// Ends the phase and returns the milliseconds of each so far.
    #[must_use]
    pub fn timings(&self) -> BTreeMap<Phase, u64> {
        self.stop_clock();
        let millis = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        self.clock.borrow().phases.iter().map(|(phase, time)| (*phase, millis(time))).collect()
    }

    fn stop_clock(&self) {
        let mut clock = self.clock.borrow_mut();
        if let Some((phase, since)) = clock.now.take() {
            *clock.phases.entry(phase).or_default() += since.elapsed();
        }
    }
}

/// One attempt of one node in one isolation.
pub trait Runtime {
    /// Returns the whole guest command as it is about to run, for `host.log` and `--dry-run`; no
    /// secret value is in it.
    fn describe(&self, context: &Context<'_>) -> String;

    /// Makes everything ready up to, but without, the job: sources, mounts, instance. Tells the
    /// observer of each thing that outlives us before it is made.
    ///
    /// # Errors
    ///
    /// When it cannot be made ready; `cleanup` is called then too.
    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Fault>;

    /// Takes up an attempt that another process began, from what it told its observer, in place of
    /// `prepare`. Returns whether the job may have been started, so that `run` only follows it.
    ///
    /// # Errors
    ///
    /// When what was begun cannot be found or taken up; `cleanup` is called then too.
    fn adopt(&mut self, context: &Context<'_>, begun: &[Intent]) -> Result<bool, Fault>;

    /// Runs the job to its end, its log into the request's guest log; obeys the control.
    ///
    /// # Errors
    ///
    /// When how it ended is not known.
    fn run(&mut self, context: &Context<'_>) -> Result<JobStatus, Fault>;

    /// Brings back what is kept.
    ///
    /// # Errors
    ///
    /// When it cannot be brought back.
    fn collect(&mut self, context: &Context<'_>) -> Result<Collected, Fault>;

    /// Removes everything that was made, and checks that it is gone.
    ///
    /// # Errors
    ///
    /// When something is still there.
    fn cleanup(&mut self, context: &Context<'_>) -> Result<(), Fault>;

    /// Returns what a record should hold of it: image fingerprint, project, cluster member.
    fn details(&self) -> Details {
        Details::default()
    }
}

/// Makes the runtime of a node.
///
/// # Errors
///
/// When it is not built; [`is_built`] says so before anything starts.
pub fn open(request: &AttemptRequest) -> Result<Box<dyn Runtime>, Fault> {
    match &request.node.spec.runtime {
        plans::Runtime::HostProcess => Ok(Box::new(host_process::HostProcess::default())),
        plans::Runtime::Incus(spec) => Ok(Box::new(incus::Incus::new(spec))),
        plans::Runtime::Tart(spec) => Ok(Box::new(tart::Tart::new(spec))),
    }
}
