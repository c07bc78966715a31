//! What the executor and its supervisor say to each other: JSON in frames with a length before it.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    path::PathBuf,
};

use plans::WorkspacePath;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    artifacts::Collected,
    fault::FailureKind,
    supervise::{BindMount, CacheMount, Ended, JobRef, Keep},
};

use super::record::AttemptFiles;

/// No frame is longer: a wrong length is noise, not a reason to allocate.
const LONGEST: usize = 64 << 20;

/// What the executor asks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Request {
    /// Run this job; answered by one [`Reply`] when it is over.
    Start(Box<Start>),
    /// End the job that runs: TERM, so many milliseconds, KILL. A later, smaller grace wins.
    Cancel { grace_ms: u64 },
}

/// A job, with everything the supervisor needs and nothing that stands in a file.
#[derive(Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) job: JobRef,
    /// Where its record is.
    pub(crate) place: AttemptFiles,
    /// Where the machine's slots are.
    pub(crate) slots: PathBuf,
    /// Where an output that outlives the attempt goes.
    pub(crate) output: PathBuf,
    pub(crate) argv: Vec<String>,
    /// Its whole environment, secrets and the slot's directories apart.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) view: View,
    pub(crate) working_dir: Option<WorkspacePath>,
    pub(crate) mounts: Vec<BindMount>,
    pub(crate) caches: Vec<CacheMount>,
    pub(crate) timeout_ms: u64,
    pub(crate) grace_ms: u64,
    pub(crate) lease_ms: u64,
    pub(crate) keep: Keep,
    pub(crate) log: PathBuf,
    pub(crate) artifacts: PathBuf,
}

impl std::fmt::Debug for Start {
    /// Without environment and secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Start").field("job", &self.job).finish_non_exhaustive()
    }
}

/// How a job sees its workspace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum View {
    /// This tree, read-only.
    ReadOnly(ShownTree),
    /// A copy of this tree, gone with the job.
    Scratch(ShownTree),
    /// A copy of this tree that stays as the job's output.
    Kept(ShownTree),
}

/// What a workspace starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ShownTree {
    /// Its directory; with layers an empty one, at which they are mounted.
    pub(crate) path: PathBuf,
    /// The directories that make it, the upper one first, as overlayfs takes them; none: it is whole as it is.
    pub(crate) layers: Vec<PathBuf>,
}

impl ShownTree {
    /// Returns the directories that hold what is in it, the upper one first.
    pub(crate) fn directories(&self) -> &[PathBuf] {
        if self.layers.is_empty() { std::slice::from_ref(&self.path) } else { &self.layers }
    }
}

/// What the supervisor answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// Somebody else started this job before; nothing was done.
    Already,
    /// The job is over, or never began.
    Over(Box<JobReport>),
    /// The same, and the supervisor leaves: its view is spent.
    Last(Box<JobReport>),
}

/// The end of a job and of what came after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JobReport {
    /// The verdict; absent: the job never began, and `fault` says why.
    pub(crate) ended: Option<Ended>,
    /// What of the machine failed, before the job or after it.
    pub(crate) fault: Option<ReportFault>,
    pub(crate) collected: Collected,
    /// Things worth a line in `host.log`.
    pub(crate) notes: Vec<String>,
}

/// A fault on the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReportFault {
    pub(crate) kind: FailureKind,
    pub(crate) message: String,
    pub(crate) advice: Option<String>,
}

impl From<crate::fault::Fault> for ReportFault {
    fn from(fault: crate::fault::Fault) -> Self {
        let crate::fault::Fault { kind, message, advice } = fault;
        Self { kind, message, advice }
    }
}

impl From<ReportFault> for crate::fault::Fault {
    fn from(fault: ReportFault) -> Self {
        let ReportFault { kind, message, advice } = fault;
        Self { kind, message, advice }
    }
}

/// Writes one frame.
pub(crate) fn send(to: &mut impl Write, message: &impl Serialize) -> io::Result<()> {
    let mut frame = vec![0; 4];
    serde_json::to_writer(&mut frame, message)?;
    let length =
        u32::try_from(frame.len() - 4)
            .ok()
            .filter(|length| *length as usize <= LONGEST)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a frame is too long"))?;
    frame[..4].copy_from_slice(&length.to_le_bytes());
    to.write_all(&frame)
}

/// Reads one frame; `None` when the other side is gone.
pub(crate) fn receive<T: DeserializeOwned>(from: &mut impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    }
    let length = u32::from_le_bytes(length) as usize;
    if length > LONGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too long"));
    }
    let mut frame = vec![0; length];
    match from.read_exact(&mut frame) {
        Ok(()) => Ok(Some(serde_json::from_slice(&frame)?)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset)
}
