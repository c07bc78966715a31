//! Why the infrastructure, not the job, failed: a kind that programs read and a text for people.
//!
//! Every kind comes from a fact (a record, an errno, a state that was looked up), never from the
//! text of a log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What about the infrastructure failed. The word is written as `failure_kind` in records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// The supervisor and the job are gone and left no verdict: something killed them.
    Lost,
    /// The machine was restarted under the job.
    HostRebooted,
    /// A lock that the job needs was lost before it started: it may not run without.
    LockLost,
    /// Nobody renewed the lease, so the supervisor ended the job.
    LeaseExpired,
    /// A file system that the job or its supervisor needed has no room.
    DiskFull,
    /// The kernel ended the job for want of memory.
    Oom,
    /// The job was refused another process: its instance had as many as it may have.
    ProcessLimit,
    /// The machine could not be reached within the reconnect budget.
    Unreachable,
    /// The machine's host key is unknown or another one.
    HostKey,
    /// The machine refused the login.
    LoginRefused,
    /// A directory that the machine keeps for us belongs to somebody else, or others may write there.
    UntrustedDirectory,
    /// The source tree, or the repository it is made from, is not there any more.
    SourceMissing,
    /// The job could not be given its workspace: a mount or a copy failed.
    Workspace,
    /// An output of a prepare node, a store path, or an artifact that a node takes is not there (any more), or is not
    /// what it was.
    OutputMissing,
    /// The supervisor could not be started or broke.
    Supervisor,
    /// A program the executor needs on the machine is missing or too old.
    ToolMissing,
    /// The engine's daemon (Incus) or its command (Tart) does not answer.
    EngineDown,
    /// The engine refused: a limit, a project, a missing right.
    EngineRefused,
    /// The image is not there.
    ImageMissing,
    /// The instance or virtual machine did not become ready in time.
    NotReady,
    /// The instance or virtual machine vanished under the job.
    RuntimeGone,
    /// A call had no answer within its deadline.
    NoAnswer,
    /// What the machine answered makes no sense.
    Protocol,
    /// A job is to be given files of another that this one did not leave, or that find no place in its workspace: no
    /// machine's failure but its own, so it is `failed` and never in a record.
    Files,
    /// Files could not be brought back.
    Collect,
    /// What the attempt made could not be removed.
    Cleanup,
    /// Anything else the operating system refused.
    Io,
}

impl FailureKind {
    /// Returns the word used in records and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::HostRebooted => "host_rebooted",
            Self::LockLost => "lock_lost",
            Self::LeaseExpired => "lease_expired",
            Self::DiskFull => "disk_full",
            Self::Oom => "oom",
            Self::ProcessLimit => "process_limit",
            Self::Unreachable => "unreachable",
            Self::HostKey => "host_key",
            Self::LoginRefused => "login_refused",
            Self::UntrustedDirectory => "untrusted_directory",
            Self::SourceMissing => "source_missing",
            Self::Workspace => "workspace",
            Self::OutputMissing => "output_missing",
            Self::Supervisor => "supervisor",
            Self::ToolMissing => "tool_missing",
            Self::EngineDown => "engine_down",
            Self::EngineRefused => "engine_refused",
            Self::ImageMissing => "image_missing",
            Self::NotReady => "not_ready",
            Self::RuntimeGone => "runtime_gone",
            Self::NoAnswer => "no_answer",
            Self::Protocol => "protocol",
            Self::Files => "files",
            Self::Collect => "collect",
            Self::Cleanup => "cleanup",
            Self::Io => "io",
        }
    }

    /// Returns whether trying again can help without anybody changing something first.
    #[must_use]
    pub fn is_retryable(self) -> bool {
        !matches!(
            self,
            Self::HostKey
                | Self::LoginRefused
                | Self::UntrustedDirectory
                | Self::ToolMissing
                | Self::EngineRefused
                | Self::ImageMissing
                | Self::SourceMissing
                | Self::Files
        )
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A failure of the infrastructure: what failed, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Fault {
    /// What programs read.
    pub kind: FailureKind,
    /// What happened, where: a lower-case fragment for people.
    pub message: String,
    /// What to do about it; absent: trying again is all there is.
    pub advice: Option<String>,
}

impl Fault {
    /// Makes a fault without advice.
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), advice: None }
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Makes the fault of a thread that stopped waiting because the attempt is cancelled.
    pub(crate) fn cancelled() -> Self {
        Self::new(FailureKind::Workspace, "cancelled meanwhile")
    }

    /// Makes a fault of an I/O error: no room is `disk_full`, anything else is `otherwise`.
    #[must_use]
    pub fn io(otherwise: FailureKind, what: impl fmt::Display, error: &std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                Self::new(FailureKind::DiskFull, format!("{what}: {error}"))
                    .advice("make room on that file system, then resume the run")
            }
            _ => Self::new(otherwise, format!("{what}: {error}")),
        }
    }
}
