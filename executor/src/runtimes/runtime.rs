//! The four verbs of every runtime.

use crate::{
    artifacts::Collected,
    attempt::{Context, Details},
    fault::Fault,
    intent::Intent,
    supervise::JobStatus,
};

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

    /// Ends whatever may still write into what the job was given of its machine, so that caches can be kept of it.
    /// Called after [`Runtime::collect`] and before [`Runtime::cleanup`].
    ///
    /// # Errors
    ///
    /// When something may still write there.
    fn release(&mut self, _context: &Context<'_>) -> Result<(), Fault> {
        Ok(())
    }

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
