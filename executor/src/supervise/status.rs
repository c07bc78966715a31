//! What a supervisor knows of its job: the one text both kinds write, and its reading.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is known of a job, from facts only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStatus {
    /// It was never started under this name.
    Unknown,
    /// It runs.
    Running,
    /// It ended, and there is a whole exit record.
    Exited(Ended),
    /// No exit record, and nobody alive to write one.
    Lost,
    /// No exit record, and the machine was restarted since.
    HostRebooted,
}

/// The exit record: how a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// The leader's exit code; absent: a signal ended it, or nothing is known.
    pub code: Option<i32>,
    /// The signal that ended the leader.
    pub signal: Option<i32>,
    /// What ended the job.
    pub reason: Reason,
    /// What the machine says besides.
    pub evidence: Evidence,
    /// How many processes had to be killed.
    pub killed: u64,
    /// When it started, in seconds since the epoch.
    pub started: u64,
    /// When it ended, in seconds since the epoch.
    pub ended: u64,
    /// How long it ran, by a clock nobody sets.
    pub elapsed_ms: u64,
}

/// What ended the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its leader ended by itself.
    Exited,
    /// The supervisor: the time was over.
    TimedOut,
    /// The supervisor: nobody renewed the lease.
    LeaseExpired,
    /// The supervisor: somebody asked for it.
    Cancelled,
    /// The command cannot be run: there is no such program.
    NotFound,
    /// The command cannot be run: it is no program or may not be executed.
    NotExecutable,
    /// The command cannot be run: its working directory is not there.
    NoWorkingDir,
    /// The supervisor itself failed.
    Broken,
}

/// What the machine says about an end that nobody asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Nothing.
    None,
    /// The kernel killed for want of memory meanwhile.
    Oom,
    /// There is no room on the job's file system.
    DiskFull,
    /// The end of its output could not be written to its log, and not for want of room.
    LogLost,
}

const REASONS: [(Reason, &str); 8] = [
    (Reason::Exited, "exited"),
    (Reason::TimedOut, "timed_out"),
    (Reason::LeaseExpired, "lease_expired"),
    (Reason::Cancelled, "cancelled"),
    (Reason::NotFound, "not_found"),
    (Reason::NotExecutable, "not_executable"),
    (Reason::NoWorkingDir, "no_working_dir"),
    (Reason::Broken, "broken"),
];

const EVIDENCE: [(Evidence, &str); 4] = [
    (Evidence::None, "none"),
    (Evidence::Oom, "oom"),
    (Evidence::DiskFull, "disk_full"),
    (Evidence::LogLost, "log_lost"),
];

/// The fields of an exit record: `code=… signal=… reason=…`, in a defined order, one blank between.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, signal, reason, evidence, killed, started, ended, elapsed_ms } = self;
        let number = |value: &Option<i32>| value.map_or("-".to_owned(), |n| n.to_string());
        let word = |found: Option<&'static str>| found.unwrap_or("-");
        write!(
            f,
            "code={} signal={} reason={} evidence={} killed={killed} started={started} \
             ended={ended} elapsed_ms={elapsed_ms}",
            number(code),
            number(signal),
            word(REASONS.iter().find(|(r, _)| r == reason).map(|(_, word)| *word)),
            word(EVIDENCE.iter().find(|(e, _)| e == evidence).map(|(_, word)| *word)),
        )
    }
}

impl Ended {
    /// Reads the fields of an exit record; unknown ones are for a later version and ignored.
    #[must_use]
    pub fn parse(fields: &str) -> Option<Self> {
        let field = |name: &str| {
            fields
                .split_ascii_whitespace()
                .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        };
        let optional = |name: &str| match field(name)? {
            "-" => Some(None),
            number => number.parse().ok().map(Some),
        };
        let number = |name: &str| field(name)?.parse().ok();
        Some(Self {
            code: optional("code")?,
            signal: optional("signal")?,
            reason: field("reason")
                .and_then(|word| REASONS.iter().find(|(_, known)| *known == word))
                .map(|(reason, _)| *reason)?,
            evidence: field("evidence")
                .and_then(|word| EVIDENCE.iter().find(|(_, known)| *known == word))
                .map(|(evidence, _)| *evidence)?,
            killed: number("killed")?,
            started: number("started")?,
            ended: number("ended")?,
            elapsed_ms: number("elapsed_ms")?,
        })
    }
}

impl JobStatus {
    /// Reads a status line: `state=S log=BYTES`, and with an exit record all of its fields.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let state = line.split_ascii_whitespace().find_map(|word| word.strip_prefix("state="))?;
        Some(match state {
            "unknown" => Self::Unknown,
            "running" => Self::Running,
            "exited" => Self::Exited(Ended::parse(line)?),
            "lost" => Self::Lost,
            "host_rebooted" => Self::HostRebooted,
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exit_record_reads_back_as_written() {
        for (reason, _) in REASONS {
            let ended = Ended {
                code: None,
                signal: Some(9),
                reason,
                evidence: Evidence::Oom,
                killed: 3,
                started: 1,
                ended: 2,
                elapsed_ms: 1000,
            };
            assert_eq!(Ended::parse(&ended.to_string()), Some(ended.clone()));
            let line = format!("state=exited log=17 {ended}");
            assert_eq!(JobStatus::parse(&line), Some(JobStatus::Exited(ended)));
        }
        assert_eq!(JobStatus::parse("state=exited log=17 code=1"), None);
        assert_eq!(JobStatus::parse("state=lost log=0"), Some(JobStatus::Lost));
    }
}
