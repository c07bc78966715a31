//! The job file: who supervises a job, and how it ended. One file of fixed size, made before the
//! job starts and rewritten in place, so that a full disk takes no verdict.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use serde::{Deserialize, Serialize};

use super::{
    protocol::JobReport,
    tree::{boot_id, start_time},
};
use crate::supervise::{Ended, JobRef, JobStatus};

/// Where the record of an attempt is, and the files that go with it: in its node's directory, the
/// attempt's number in their names. The job file stays with the run; the others go when the attempt
/// is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AttemptFiles {
    /// The node's directory.
    pub(crate) dir: PathBuf,
    /// Which try of it.
    pub(crate) attempt: u32,
}

impl AttemptFiles {
    /// Returns the place that belongs to an attempt's directory, `NODE/attempt-N`.
    pub(crate) fn of_attempt_dir(dir: &Path) -> Option<Self> {
        let attempt = dir.file_name()?.to_str()?.strip_prefix("attempt-")?.parse().ok()?;
        Some(Self { dir: dir.parent()?.to_owned(), attempt })
    }

    /// The job file. Once its node has passed, the executor makes `result.json` of it.
    pub(crate) fn job(&self) -> PathBuf {
        self.dir.join(format!("job.{}", self.attempt))
    }

    /// The result of the node, which the executor writes once there is a verdict of it: no attempt begins after that.
    pub(crate) fn result(&self) -> PathBuf {
        self.dir.join("result.json")
    }

    /// What the supervisor reports; missing where there is nothing to report but the record.
    pub(crate) fn report(&self) -> PathBuf {
        self.dir.join(format!("report.{}", self.attempt))
    }

    /// Written by somebody who is not connected and wants the job to end.
    pub(crate) fn cancel(&self) -> PathBuf {
        self.dir.join(format!("cancel.{}", self.attempt))
    }

    /// Written again and again by somebody who is not connected and wants the job to go on.
    pub(crate) fn lease(&self) -> PathBuf {
        self.dir.join(format!("lease.{}", self.attempt))
    }
}

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
    /// Returns this process. Asked once: it stays what it is.
    pub(crate) fn this() -> io::Result<Self> {
        static THIS: OnceLock<Owner> = OnceLock::new();
        if let Some(this) = THIS.get() {
            return Ok(this.clone());
        }
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        let start = start_time(pid).ok_or_else(|| io::Error::other("/proc is not mounted"))?;
        let this = Self { pid, start, boot: boot_id()? };
        Ok(THIS.get_or_init(|| this).clone())
    }

    /// Returns what marks the processes of a job that this process supervises.
    pub(crate) fn cookie(&self, job: &JobRef) -> String {
        format!("{job}@{}-{}", self.pid, self.start)
    }

    /// Returns whether it lives; `None`: the machine was restarted since.
    pub(crate) fn lives(&self) -> io::Result<Option<bool>> {
        if boot_id()? != self.boot {
            return Ok(None);
        }
        Ok(Some(start_time(self.pid) == Some(self.start)))
    }
}

/// Returns the job that a cookie is about.
pub(crate) fn job_of_cookie(cookie: &str) -> Option<JobRef> {
    JobRef::parse(cookie.rsplit_once('@')?.0)
}

/// A job file that this process owns.
#[derive(Debug)]
pub(super) struct Claim {
    file: File,
    owner: Owner,
}

impl Claim {
    /// Makes the job file; `None` when it is there already, which is somebody else's claim, or was and its node has
    /// passed by now.
    pub(super) fn make(place: &AttemptFiles) -> io::Result<Option<Self>> {
        let owner = Owner::this()?;
        let opened = OpenOptions::new().write(true).create_new(true).open(place.job());
        let file = match opened {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
            Err(error) => return Err(error),
        };
        // One file is moved to the other's name: whoever claimed the job before is seen by one of the two.
        if place.result().symlink_metadata().is_ok() {
            std::fs::remove_file(place.job())?;
            return Ok(None);
        }
        let claim = Self { file, owner };
        if let Err(error) = claim.write("running") {
            // Without room for the record there is no job: nobody could ever judge it.
            let _ = std::fs::remove_file(place.job());
            return Err(error);
        }
        Ok(Some(claim))
    }

    /// Returns what marks the job's processes.
    pub(super) fn cookie(&self, job: &JobRef) -> String {
        self.owner.cookie(job)
    }

    /// Writes the verdict.
    pub(super) fn end(&self, ended: &Ended) -> io::Result<()> {
        self.write(&ended.to_string())
    }

    /// Adds that what the job left is kept and its view is gone: nothing more comes.
    pub(super) fn settle(&self, ended: Option<&Ended>) -> io::Result<()> {
        match ended {
            Some(ended) => self.write(&format!("{ended} settled")),
            None => Ok(()),
        }
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
pub(crate) struct SupervisorRecord {
    /// The process that supervises the job, or did.
    pub(crate) owner: Owner,
    /// The verdict, once there is one.
    pub(crate) ended: Option<Ended>,
    /// Whether everything that comes after the verdict is done as well.
    pub(crate) settled: bool,
}

impl SupervisorRecord {
    /// Reads a job file; `None`: no such job was ever started.
    pub(crate) fn read(place: &AttemptFiles) -> io::Result<Option<Self>> {
        let text = match std::fs::read_to_string(place.job()) {
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
        let settled = text.split_ascii_whitespace().any(|word| word == "settled");
        Some(Self { owner, ended: Ended::parse(text), settled })
    }

    /// Returns how the job stands, from the record and from who is alive.
    pub(crate) fn status(place: &AttemptFiles) -> io::Result<JobStatus> {
        let Some(record) = Self::read(place)? else { return Ok(JobStatus::Unknown) };
        if let Some(ended) = record.ended {
            return Ok(JobStatus::Exited(ended));
        }
        match record.owner.lives()? {
            Some(true) => return Ok(JobStatus::Running),
            None => return Ok(JobStatus::HostRebooted),
            Some(false) => {}
        }
        // It may have written the verdict between the two questions.
        Ok(match Self::read(place)?.and_then(|record| record.ended) {
            Some(ended) => JobStatus::Exited(ended),
            None => JobStatus::Lost,
        })
    }
}

/// Writes the report beside the record, whole or not at all.
pub(super) fn write_report(place: &AttemptFiles, report: &JobReport) -> io::Result<()> {
    let new = place.dir.join(format!(".report.{}", place.attempt));
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(report)?)?;
    std::fs::rename(new, place.report())
}

impl AttemptFiles {
    /// Reads the report, if there is one.
    pub(crate) fn read_report(&self) -> Option<JobReport> {
        serde_json::from_slice(&std::fs::read(self.report()).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_whose_node_has_passed_cannot_be_claimed_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = AttemptFiles { dir: dir.path().to_owned(), attempt: 1 };
        let claim = Claim::make(&place).expect("room").expect("nobody has it");
        assert!(Claim::make(&place).expect("room").is_none());
        drop(claim);
        // What the executor does once the node has passed; a supervisor that heard of the job before may be late.
        std::fs::rename(place.job(), place.result()).expect("moved");
        assert!(Claim::make(&place).expect("room").is_none());
        assert!(!place.job().exists());
    }
}
