//! What an attempt reports while it happens.

use serde::{Deserialize, Serialize};

use super::AttemptResult;
use crate::{intent::Intent, locks::Waiting};

/// What observes an attempt. Called from the attempt's own thread.
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

    /// Its locks are another run's: until [`Self::returns`] the attempt does nothing, and what it may
    /// use of its own run's limits is free for others. Said again when somebody else has them.
    fn waits(&self, _waiting: &Waiting) {}

    /// It waited and has its locks. Returns when its own run has a place for it again, or wants it to
    /// end.
    fn returns(&self) {}

    /// There is a verdict. What it came from, the job's own record among it, is removed only after
    /// `Ok`, so that the journal holds it first; a run that finds it there, but not the attempt's
    /// end, calls [`crate::drive::clear`] and takes this result for good.
    ///
    /// # Errors
    ///
    /// When it could not be written down; what it came from then stays for the executor that resumes the run.
    fn verdict(&self, result: &AttemptResult) -> std::io::Result<()>;
}

/// What an attempt's time goes into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waiting for its groups and a slot of the machine; `turn` in records, as it always was.
    #[serde(rename = "turn")]
    Lock,
    /// Making directories.
    Directories,
    /// Placing the source tree.
    Tree,
    /// Giving out caches, and keeping them.
    Caches,
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
