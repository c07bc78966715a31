//! Locks over all executors of a machine: slots of a limited host, and concurrency groups.

use crate::{fault::Fault, supervise::JobRef};

/// What an attempt must hold before it starts, over all executors of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// Who asks, with its [`crate::placements::Jobs::attempt_dir`]: shown to those who wait, and asked for its
    /// status by those who find the turn after its executor died.
    pub holder: Option<(JobRef, String)>,
    /// One of this many places; absent: no limit.
    pub max_jobs: Option<u32>,
    /// These groups, alone.
    pub groups: Vec<String>,
    /// Whether the job runs in a guest, where the machine's own supervisor does not see it.
    pub in_guest: bool,
}

/// The name of a script in an attempt's directory that ends with 0 while the job runs where nobody on
/// the machine sees it, in a guest: asked about a turn whose executor is gone. A host process has none.
pub const LIVES: &str = "lives";

/// Places and groups that are held; dropping it lets go.
pub trait Held: Send {
    /// Makes certain that they are: a job in a guest is started only then, since no supervisor of the machine asks.
    ///
    /// # Errors
    ///
    /// When somebody else has one of them by now, or the machine cannot be asked.
    fn check(&self) -> Result<(), Fault> {
        Ok(())
    }
}
