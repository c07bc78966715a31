//! Short commands of the executor on a machine, and what they answer.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::fault::{FailureKind, Fault};

/// A short command of ours on a machine, never a job.
#[derive(Clone)]
pub struct ControlCommand {
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
    /// What it reads; empty: nothing, and never our own stdin.
    pub stdin: Vec<u8>,
    /// What it has in its environment beside the machine's own.
    pub env: BTreeMap<String, String>,
    /// Where it starts; absent: the machine's home directory.
    pub dir: Option<String>,
    /// How long it may take.
    pub deadline: Duration,
}

impl ControlCommand {
    /// Returns the program and what it is to do, for people; the rest may be anything.
    #[must_use]
    pub fn program(&self) -> String {
        self.argv.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Makes a command with nothing on its stdin and half a minute to end.
    #[must_use]
    pub fn new<I>(argv: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: Vec::new(),
            env: BTreeMap::new(),
            dir: None,
            deadline: Duration::from_secs(30),
        }
    }

    /// Gives it something to read.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Gives it another deadline.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

impl fmt::Debug for ControlCommand {
    /// Without stdin, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlCommand")
            .field("argv", &self.argv)
            .field("stdin", &format_args!("{} bytes", self.stdin.len()))
            .field("dir", &self.dir)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// What a command of ours answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code; absent: a signal ended it.
    pub code: Option<i32>,
    /// What it printed; empty when it was streamed.
    pub stdout: Vec<u8>,
    /// The last of what it complained about.
    pub stderr: Vec<u8>,
}

impl Answer {
    /// Puts what was streamed into the answer of a command that nobody could cancel.
    ///
    /// # Errors
    ///
    /// When it was cancelled all the same: an internal error.
    pub(crate) fn with_stdout(answer: Option<Self>, stdout: Vec<u8>) -> Result<Self, Fault> {
        answer.map(|answer| Self { stdout, ..answer }).ok_or_else(|| {
            Fault::new(
                FailureKind::Protocol,
                "internal error: a command was cancelled without a request",
            )
        })
    }

    /// Returns whether it ended with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Returns the end of its complaints for a message: one line of at most 400 characters.
    #[must_use]
    pub fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("").trim();
        line.chars().take(400).collect()
    }
}

/// Whether a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// More, please.
    Continue,
    /// Enough: end the command.
    Stop,
}
