//! Locks over all executors of a machine: slots of a limited host, and concurrency groups.
//!
//! What is asked for, whose it is, and the one way to wait for a resource that only answers when it is
//! asked. [`holders`] says who has what and who waits for it. `local` keeps the locks of this machine, `remote` those of a host over its connection; Tart's
//! slots, which its own host script keeps, are waited for the same way. That a lock is still its
//! job's is checked where the job starts.

pub mod holders;
pub(crate) mod local;
pub(crate) mod remote;

use std::time::Duration;

pub use holders::{Holder, Holding, Resource, Table, Waiter, Waiting};

use crate::{
    control::{Control, Level},
    fault::Fault,
    supervise::JobRef,
};

/// What an attempt must hold before it starts, over all executors of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LockRequest {
    /// The job it is for, with its [`crate::placements::Jobs::attempt_dir`]: shown to those who wait,
    /// and asked for its status by those who find the lock after its executor died.
    pub holder: Option<(JobRef, String)>,
    /// One of this many slots; absent: no limit.
    pub max_jobs: Option<u32>,
    /// These groups, alone.
    pub groups: Vec<String>,
    /// Whether the job runs in a guest, where the machine's own supervisor does not see it.
    pub in_guest: bool,
}

/// The name of a script in an attempt's directory that ends with 0 while the job runs where nothing on
/// the machine sees it, in a guest: run for a lock whose executor is gone. A host process has none.
pub const LIVENESS_SCRIPT: &str = "lives";

/// Slots and groups that are held; dropping it releases them.
pub trait HeldLocks: Send {
    /// Makes certain that they are: a job in a guest is started only then, since no supervisor of the
    /// machine asks.
    ///
    /// # Errors
    ///
    /// When somebody else has one of them by now, or the machine cannot be asked.
    fn check(&self) -> Result<(), Fault> {
        Ok(())
    }
}

/// How often a resource that somebody has is asked for again.
pub(crate) const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Asks for a resource until it is free. `None`: `control` rose meanwhile. `waits` is called when it is not to be
/// had at once, and again when somebody else has it.
///
/// # Errors
///
/// When asking fails.
pub(crate) fn ask_until_free<T>(
    control: &Control,
    waits: &dyn Fn(&Waiting),
    mut ask: impl FnMut() -> Result<Result<T, Waiting>, Fault>,
) -> Result<Option<T>, Fault> {
    let mut notified = Notified::default();
    loop {
        if control.level() > Level::Run {
            return Ok(None);
        }
        match ask()? {
            Ok(held) => return Ok(Some(held)),
            Err(waiting) => notified.tell(waiting, waits),
        }
        let _ = control.wait(Level::Run, ASK_AGAIN);
    }
}

/// What was told last of a wait.
#[derive(Debug, Default)]
pub(crate) struct Notified(Option<Waiting>);

impl Notified {
    /// Tells what is waited for, unless that was told last.
    pub(crate) fn tell(&mut self, waiting: Waiting, waits: &dyn Fn(&Waiting)) {
        if !self.0.as_ref().is_some_and(|last| last.is_like(&waiting)) {
            waits(&waiting);
            self.0 = Some(waiting);
        }
    }
}
