//! The supervisor beside a job: what it is told and what it answers, whichever kind it is.
//!
//! On this machine it is the executor's own binary; elsewhere, and in guests, a POSIX sh script.
//! Both own the same things: start at most once, the log, the timeout, the lease, cancelling the
//! whole tree, and the exit record. No transport's exit code is ever a verdict.

mod frames;
mod job;
mod log;
pub mod native;
mod renewal;
pub mod shim;
mod status;
mod token;
mod watch;

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

pub use frames::Frame;
pub(crate) use frames::{Frames, NotAFrame};
pub use job::{BindMount, CacheMount, Keep};
pub(crate) use log::{Log, masks_of, no_redactor};
pub(crate) use renewal::Renewal;
pub use status::{Ended, Evidence, JobStatus, Reason};
pub(crate) use token::token;
pub(crate) use watch::{Broken, Silence, Transport, Wake, Watcher, unwritable};

/// Which attempt of which node of which run: the name of a job for every supervisor.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobRef {
    /// The run.
    pub run: String,
    /// The node.
    pub node: String,
    /// Which try of it, from 1.
    pub attempt: u32,
}

impl JobRef {
    /// Reads what [`fmt::Display`] writes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (run, rest) = text.split_once('/')?;
        let (node, attempt) = rest.rsplit_once('.')?;
        // They become a path: nothing but ids may come through here.
        let is_id = |id: &str| plans::NodeId::new(id).is_ok();
        (is_id(run) && is_id(node)).then_some(())?;
        Some(Self { run: run.to_owned(), node: node.to_owned(), attempt: attempt.parse().ok()? })
    }
}

impl fmt::Display for JobRef {
    /// `RUN/NODE.ATTEMPT`, also its path below a directory of jobs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}.{}", self.run, self.node, self.attempt)
    }
}

/// How long a job may run, and how long without an executor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobLimits {
    /// After this it is ended as `timed_out`.
    pub timeout: Duration,
    /// Between TERM and KILL.
    pub grace: Duration,
    /// How long it may run while nobody renews.
    pub lease: Duration,
}
