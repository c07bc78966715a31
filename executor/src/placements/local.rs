//! This machine.

use std::{path::Path, time::Duration};

use plans::PlacementKind;

use super::{
    Answer, Collected, ControlCommand, Flow, Held, Job, Keep, Leftover, Machine, MachineFacts,
    MachinesConfig, Turn,
};
use crate::{
    control::Control,
    fault::{FailureKind, Fault},
    source::{PlacedSource, SourceRequest},
    supervise::{JobRef, JobStatus},
};

/// This machine, with its own directories.
pub(super) struct Local {
    config: MachinesConfig,
}

impl Local {
    pub(super) fn open(config: MachinesConfig) -> Result<Self, Fault> {
        Ok(Self { config })
    }
}

fn not_yet<T>() -> Result<T, Fault> {
    Err(Fault::new(FailureKind::ToolMissing, "the local machine is not built yet"))
}

impl Machine for Local {
    fn name(&self) -> &str {
        "local"
    }
    fn placement(&self) -> PlacementKind {
        PlacementKind::Local
    }
    fn facts(&self) -> Result<MachineFacts, Fault> {
        not_yet()
    }
    fn attempt_dir(&self, job: &JobRef) -> String {
        let dir = self.config.runs_dir.join(&job.run).join("nodes").join(&job.node);
        dir.join(format!("attempt-{}", job.attempt)).to_string_lossy().into_owned()
    }
    fn run(&self, _: &ControlCommand) -> Result<Answer, Fault> {
        not_yet()
    }
    fn stream(
        &self,
        _: &ControlCommand,
        _: &mut dyn FnMut(&[u8]) -> Flow,
        _: &Control,
    ) -> Result<Option<Answer>, Fault> {
        not_yet()
    }
    fn free_bytes(&self, _: &str) -> Result<u64, Fault> {
        not_yet()
    }
    fn place_source(&self, _: &SourceRequest, _: &Control) -> Result<PlacedSource, Fault> {
        not_yet()
    }
    fn send(&self, _: &Path, _: &str, _: u32) -> Result<(), Fault> {
        not_yet()
    }
    fn start(&self, _: &Job) -> Result<(), Fault> {
        not_yet()
    }
    fn attach(&self, _: &JobRef, _: &Path, _: &Control) -> Result<JobStatus, Fault> {
        not_yet()
    }
    fn status(&self, _: &JobRef) -> Result<JobStatus, Fault> {
        not_yet()
    }
    fn cancel(&self, _: &JobRef, _: Duration) -> Result<JobStatus, Fault> {
        not_yet()
    }
    fn collect(&self, _: &JobRef, _: &Keep, _: &Path) -> Result<Collected, Fault> {
        not_yet()
    }
    fn fetch(&self, _: &str, _: &[String], _: &Path) -> Result<Collected, Fault> {
        not_yet()
    }
    fn remove(&self, _: &JobRef) -> Result<(), Fault> {
        not_yet()
    }
    fn acquire(&self, _: &Turn, _: &Control) -> Result<Option<Box<dyn Held>>, Fault> {
        not_yet()
    }
    fn leftovers(&self, _: Option<&str>) -> Result<Vec<Leftover>, Fault> {
        not_yet()
    }
    fn remove_leftover(&self, _: &Leftover) -> Result<(), Fault> {
        not_yet()
    }
}
