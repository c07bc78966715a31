//! What every verb of a runtime is given, and the clock of an attempt's phases.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{AttemptRequest, Observer, Phase};
use crate::{
    caches::CacheUse,
    control::Control,
    fault::{FailureKind, Fault},
    intent::Intent,
    locks::Waiting,
    placements::Machine,
};

/// What every verb is given.
pub struct Context<'a> {
    /// What is to run.
    pub request: &'a AttemptRequest,
    /// Where.
    pub machine: &'a dyn Machine,
    /// Whether it is still wanted.
    pub control: &'a Control,
    /// What is told before anything is made that outlives us, and what the time goes into. Drivers
    /// use [`Context::intend`] and [`Context::enter`].
    observer: &'a dyn Observer,
    clock: RefCell<Clock>,
    warnings: RefCell<Vec<String>>,
    /// The caches that it was given, in the order of its spec.
    pub(crate) caches: RefCell<Vec<CacheUse>>,
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
        let (clock, warnings) = (RefCell::default(), RefCell::default());
        let caches = RefCell::default();
        Self { request, machine, control, observer, clock, warnings, caches }
    }

    /// Returns what the supervisor in a guest is to keep out of its log. Where no masks can be made the job is not
    /// started: `GuestJob::run` sees to that.
    pub(crate) fn masks(&self) -> String {
        let values = self.request.secrets.values().map(|value| value.expose());
        crate::supervise::masks_of(values).unwrap_or_default()
    }

    /// Returns the values of the node's secrets.
    pub(crate) fn secret_values(&self) -> Vec<&str> {
        self.request.secrets.values().map(|value| value.expose()).collect()
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

    /// Waits for what is another run's, by `wait`, which is given what says so; then waits until its own
    /// run has a slot for it again.
    ///
    /// # Errors
    ///
    /// Those of `wait`.
    pub fn parked<T>(
        &self,
        wait: impl FnOnce(&dyn Fn(&Waiting)) -> Result<Option<T>, Fault>,
    ) -> Result<Option<T>, Fault> {
        let waited = Cell::new(false);
        let answer = wait(&|waiting| {
            waited.set(true);
            self.observer.waits(waiting);
        });
        if waited.get() && matches!(answer, Ok(Some(_))) {
            self.observer.returns();
        }
        answer
    }

    /// Tells something worth knowing that changes no verdict.
    pub(crate) fn warn(&self, warning: String) {
        self.warnings.borrow_mut().push(warning);
    }

    /// Returns what was told so.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.warnings.take()
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
