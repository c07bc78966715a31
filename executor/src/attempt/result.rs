//! How an attempt ended, and what it left.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Phase;
use crate::{
    caches::CacheUse,
    fault::{FailureKind, Fault},
    results::Reused,
    text,
};

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptResult {
    /// The verdict.
    pub outcome: AttemptOutcome,
    /// The job's exit code, when it ended by itself.
    pub exit_code: Option<i32>,
    /// The signal that ended the job, when that was nobody of ours.
    pub signal: Option<i32>,
    /// `infra_failed`: what failed.
    pub failure_kind: Option<FailureKind>,
    /// One line for people: why it is not `passed`.
    pub message: Option<String>,
    /// What to do about it.
    pub advice: Option<String>,
    /// Whether the job may have been started: a retry may then do something a second time.
    pub started: bool,
    /// Milliseconds of each phase it went through.
    pub phases: BTreeMap<Phase, u64>,
    /// How many processes had to be killed.
    pub killed_processes: u64,
    /// A passed prepare node's output.
    pub output: Option<PreparedOutput>,
    /// The values it left by name.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// Why its command was not started, of a job that failed before it.
    #[serde(default)]
    pub because: Option<String>,
    /// The files of other nodes that it was given.
    #[serde(default)]
    pub files_from: Vec<TakenFiles>,
    /// The caches that it was given, in the order of its spec.
    #[serde(default)]
    pub caches: Vec<CacheUse>,
    /// The run whose result it is, when nothing was run.
    #[serde(default)]
    pub reused: Option<Reused>,
    /// Files kept, and what was refused.
    pub artifacts: u64,
    /// How many files were left out of the artifacts.
    pub artifacts_left_out: u64,
    /// Those, each with its reason, for `host.log`.
    pub left_out: Vec<String>,
    /// Things worth knowing that changed no verdict: missing artifacts, leftovers.
    pub warnings: Vec<String>,
    /// What the runtime tells the record.
    pub details: Details,
}

/// The verdict of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The job ended with 0.
    Passed,
    /// The job ended otherwise, by itself.
    Failed,
    /// Its time was over.
    TimedOut,
    /// Somebody cancelled it.
    Cancelled,
    /// The infrastructure failed; the job's own answer is not known.
    InfraFailed,
}

/// What a prepare node left, where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreparedOutput {
    /// The machine's name.
    pub machine: String,
    /// The directory on that machine.
    pub path: String,
    /// What it is.
    pub kind: OutputKind,
}

/// What an output is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// A directory, removed with its run.
    Directory,
    /// A store path, kept alive by a root until the run is removed.
    StorePath,
    /// A whole workspace, removed with its run.
    Workspace,
}

/// Files of another node that a job was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct TakenFiles {
    /// The node that left them.
    pub node: String,
    /// The directory below the workspace where the job found them.
    pub at: String,
    /// How many they were.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl TakenFiles {
    /// Returns it for people: `2 files (8 B) of execute-build, at vendor/dist`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { node, at, files, bytes } = self;
        let files = text::count(usize::try_from(*files).unwrap_or(usize::MAX), "file");
        format!("{files} ({}) of {node}, at {at}", text::bytes(*bytes))
    }
}

/// What the record holds beside the verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The image's fingerprint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The Incus project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The cluster member, or the host, that ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The instance's or virtual machine's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
}

impl AttemptResult {
    /// Returns the result of an attempt of which nothing happened yet: it failed, for no reason.
    pub(crate) fn nothing() -> Self {
        Self {
            outcome: AttemptOutcome::InfraFailed,
            exit_code: None,
            signal: None,
            failure_kind: None,
            message: None,
            advice: None,
            started: false,
            phases: BTreeMap::new(),
            killed_processes: 0,
            output: None,
            outputs: BTreeMap::new(),
            because: None,
            files_from: Vec::new(),
            caches: Vec::new(),
            reused: None,
            artifacts: 0,
            artifacts_left_out: 0,
            left_out: Vec::new(),
            warnings: Vec::new(),
            details: Details::default(),
        }
    }

    /// Makes it one that failed for the infrastructure's reasons; or for its own, when it asks for files that another
    /// job did not leave.
    pub(crate) fn fault(&mut self, fault: Fault) {
        let Fault { kind, message, advice } = fault;
        if kind == FailureKind::Files {
            self.outcome = AttemptOutcome::Failed;
            self.because = Some(message.clone());
        } else {
            self.outcome = AttemptOutcome::InfraFailed;
            self.failure_kind = Some(kind);
        }
        self.message = Some(message);
        self.advice = advice;
    }
}
