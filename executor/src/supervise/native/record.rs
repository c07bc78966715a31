//! The job file: who supervises a job, and how it ended. One file of fixed size, made before the
//! job starts and rewritten in place, so that a full disk takes no verdict.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use super::{
    protocol::Report,
    tree::{boot_id, start_time},
};
use crate::supervise::{Ended, JobStatus};

/// The job file's name in the job's directory.
pub(crate) const JOB_FILE: &str = "job";
/// The report's name there; it may be missing where there is nothing to report but the record.
pub(crate) const REPORT_FILE: &str = "report";

const SIZE: usize = 512;
const TRAILER: &str = "END.\n";

/// A process, by what does not come back: number, start and boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) pid: i32,
    start: u64,
    boot: String,
}

impl Owner {
    /// Returns this process.
    pub(crate) fn this() -> io::Result<Self> {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let start = start_time(pid).ok_or_else(|| io::Error::other("/proc is not mounted"))?;
        Ok(Self { pid, start, boot: boot_id()? })
    }

    /// Returns whether it lives; `None`: the machine was restarted since.
    pub(crate) fn lives(&self) -> io::Result<Option<bool>> {
        if boot_id()? != self.boot {
            return Ok(None);
        }
        Ok(Some(start_time(self.pid) == Some(self.start)))
    }
}

/// A job file that this process owns.
#[derive(Debug)]
pub(super) struct Claim {
    file: File,
    owner: Owner,
}

impl Claim {
    /// Makes the job file; `None` when it is there already, which is somebody else's claim.
    pub(super) fn make(dir: &Path) -> io::Result<Option<Self>> {
        let owner = Owner::this()?;
        let opened =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(dir.join(JOB_FILE));
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(error),
        };
        let claim = Self { file, owner };
        if let Err(error) = claim.write("running") {
            // Without room for the record there is no job: nobody could ever judge it.
            let _ = std::fs::remove_file(dir.join(JOB_FILE));
            return Err(error);
        }
        Ok(Some(claim))
    }

    /// Writes the verdict.
    pub(super) fn end(&self, ended: &Ended) -> io::Result<()> {
        self.write(&ended.to_string())
    }

    fn write(&self, state: &str) -> io::Result<()> {
        let Owner { pid, start, boot } = &self.owner;
        let mut text = format!("1 pid={pid} start={start} boot={boot} {state}");
        // An exit record has a bounded length; the padding makes the file's size constant.
        let room = SIZE - TRAILER.len();
        text.truncate(room);
        let padded = format!("{text:<room$}{TRAILER}");
        self.file.write_all_at(padded.as_bytes(), 0)
    }
}

/// What a job file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Who supervises the job, or did.
    pub(crate) owner: Owner,
    /// The verdict, once there is one.
    pub(crate) ended: Option<Ended>,
}

impl Record {
    /// Reads the job file of a directory; `None`: no such job was ever started.
    pub(crate) fn read(dir: &Path) -> io::Result<Option<Self>> {
        let text = match std::fs::read_to_string(dir.join(JOB_FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        // An empty file is a claim whose owner died, or is, between making and filling it.
        Ok(Self::parse(&text))
    }

    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_suffix(TRAILER)?.strip_prefix("1 ")?;
        let field = |name: &str| {
            text.split_ascii_whitespace()
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let owner = Owner {
            pid: field("pid")?.parse().ok()?,
            start: field("start")?.parse().ok()?,
            boot: field("boot")?.to_owned(),
        };
        Some(Self { owner, ended: Ended::parse(text) })
    }

    /// Returns how the job stands, from the record and from who is alive.
    pub(crate) fn status(dir: &Path) -> io::Result<JobStatus> {
        let Some(record) = Self::read(dir)? else { return Ok(JobStatus::Unknown) };
        if let Some(ended) = record.ended {
            return Ok(JobStatus::Exited(ended));
        }
        match record.owner.lives()? {
            Some(true) => return Ok(JobStatus::Running),
            None => return Ok(JobStatus::HostRebooted),
            Some(false) => {}
        }
        // It may have written the verdict between the two questions.
        Ok(match Self::read(dir)?.and_then(|record| record.ended) {
            Some(ended) => JobStatus::Exited(ended),
            None => JobStatus::Lost,
        })
    }
}

/// Writes the report beside the record, whole or not at all.
pub(super) fn write_report(dir: &Path, report: &Report) -> io::Result<()> {
    let new = dir.join(".report");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(report)?)?;
    std::fs::rename(new, dir.join(REPORT_FILE))
}

/// Reads the report of a directory, if there is one.
pub(crate) fn read_report(dir: &Path) -> Option<Report> {
    serde_json::from_slice(&std::fs::read(dir.join(REPORT_FILE)).ok()?).ok()
}
