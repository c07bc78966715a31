//! `record.json`: what a run leaves for people and programs, and its format version.
//!
//! | version | what changed |
//! | --- | --- |
//! | 1.0 | the first format |
//! | 1.1 | a lane's `outcome` may be `incomplete`; `artifacts_left_out`, `outputs`, `files_from` and `caches` of nodes, `tolerated` and `reused` of nodes and lanes, `not_needed` of nodes |
//!
//! A record that needs nothing of a later version is still written as the earlier one.
//! A record is written once, when the run is over; until then the journal is the truth and a record
//! is computed from it. Reading is lenient where writing is exact: unknown keys are skipped, and
//! only what every record has ever held is required.

use std::{collections::BTreeMap, path::Path};

use plans::{Node, NodeKind, Plan, SchemaVersion};
use serde::{Deserialize, Serialize};

use crate::{
    attempt::{Phase, TakenFiles},
    caches::CacheUse,
    files,
    outcome::{LaneOutcome, Outcome},
    results::Reused,
    text,
};

/// The version written, and the newest read.
pub const VERSION: SchemaVersion = SchemaVersion { major: 1, minor: 1 };

/// The first version.
const FIRST: SchemaVersion = SchemaVersion { major: 1, minor: 0 };

/// One run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Record {
    /// `MAJOR.MINOR` of this format.
    pub format_version: String,
    /// The run's id.
    pub run_id: String,
    /// The plan's digest.
    pub plan_digest: String,
    /// When the run began (RFC 3339).
    pub started_at: String,
    /// When it ended; absent: it has not, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// How it ended.
    pub outcome: RunOutcome,
    /// What ended it early, and why; absent: nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
    /// The run this one repeats; absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
    /// The plan's lanes, in its order, with what a forge reports for each.
    #[serde(default)]
    pub lanes: Vec<LaneRecord>,
    /// The plan's nodes, in its order.
    #[serde(default)]
    pub nodes: Vec<NodeRecord>,
}

/// How a run stands.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Every node that ran passed.
    Passed,
    /// Nothing ran.
    Skipped,
    /// Somebody ended it.
    Cancelled,
    /// Machines failed, and no job did.
    InfraFailed,
    /// A job failed or took too long.
    Failed,
    /// An executor is at it.
    Running,
    /// Its executor is gone; `resume` finishes it.
    Interrupted,
}

impl RunOutcome {
    /// Returns the word used in records, events and on the terminal.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::InfraFailed => "infra_failed",
            Self::Failed => "failed",
            Self::Running => "running",
            Self::Interrupted => "interrupted",
        }
    }
}

impl std::fmt::Display for RunOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// One lane, as a forge reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct LaneRecord {
    /// Its id in the manifest.
    pub id: String,
    /// What a forge shows.
    pub title: String,
    /// What its nodes add up to.
    pub outcome: LaneOutcome,
    /// How many of its nodes failed in a way that their `allow_failure` allows; absent: none.
    /// Since version 1.1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tolerated: u32,
    /// How many of its nodes passed in an earlier run and were not run again; absent: none. Since version 1.1.
    #[serde(default, skip_serializing_if = "is_default")]
    pub reused: u32,
}

/// One node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct NodeRecord {
    /// Its id in the plan.
    pub id: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether its failure does not count, by its `allow_failure`: dependants ran, and lanes take
    /// it for passed. Since version 1.1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tolerated: bool,
    /// Whether it did not run because its `run_if` wants a failure and there was none: lanes take
    /// it for passed. Since version 1.1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_needed: bool,
    /// The job's exit code, when it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended the job, when nobody of ours sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// `infra_failed`: what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_kind: Option<String>,
    /// `skipped`: why it did not run. `failed`: why its command was not started: files of another node that it takes are
    /// not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// One line for people: why it is not `passed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// What it waits for that another run has, and who that is; in no record of a run that is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits_for: Option<String>,
    /// Where it ran: `local` or `remote_ssh`. Absent in records of early releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub placement: Option<String>,
    /// How isolated it ran: `host_process`, `incus` or `tart`. Absent in records of early releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runtime: Option<String>,
    /// `remote_ssh`: the catalog's name of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How many times it was tried; 0: it did not run.
    #[serde(default)]
    pub attempts: u32,
    /// The attempts before the last one; absent: there were none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub retried: Vec<RetriedAttempt>,
    /// Milliseconds of each phase of the last attempt.
    #[serde(default)]
    pub phases: BTreeMap<String, u64>,
    /// When its last attempt began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When its last attempt ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<String>,
    /// How long its last attempt took, by a clock nobody sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// How many processes had to be killed at its end.
    #[serde(default, skip_serializing_if = "is_default")]
    pub killed_processes: u64,
    /// The values that its last attempt left for nodes that take them; absent: none. Since version 1.1.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, String>,
    /// The files of other nodes that its last attempt was given; absent: none. Since version 1.1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files_from: Vec<TakenFiles>,
    /// The caches that its last attempt was given; absent: none. Since version 1.1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<CacheUse>,
    /// The run whose result it is: nothing was run. Absent: it ran. Since version 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<Reused>,
    /// How many files were kept.
    #[serde(default, skip_serializing_if = "is_default")]
    pub artifacts: u64,
    /// How many files were left out of them: those that no glob names in the job's own directory, links that lead
    /// nowhere, sockets. `host.log` names them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub artifacts_left_out: u64,
    /// Things worth knowing that changed no verdict.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What its runtime tells: image fingerprint, project, cluster member, instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// An attempt that was followed by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct RetriedAttempt {
    /// Which one, from 1.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// The job's exit code, when it ended by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// `infra_failed`: what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_kind: Option<String>,
    /// One line for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it began; records of earlier releases do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
}

/// Whether a field of a document says no more than its absence.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error("the record `{path}` cannot be read: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the operating system says.
        #[source]
        error: std::io::Error,
    },
    /// It is no record.
    #[error("the record `{path}` is damaged: {why}")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// It was written by a later release.
    #[error(
        "the record `{path}` has format version {found}, this program reads {VERSION} and older"
    )]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: String,
    },
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    ///
    /// [`RecordError`] names the file.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let text = std::fs::read(path)
            .map_err(|error| RecordError::Io { path: path.display().to_string(), error })?;
        Self::from_json(&text).map_err(|error| error.at(path))
    }

    /// Reads a record's text; what goes wrong names no file yet.
    ///
    /// # Errors
    ///
    /// [`RecordError`].
    pub fn from_json(text: &[u8]) -> Result<Self, RecordError> {
        let damaged = |why: String| RecordError::Damaged { path: String::new(), why };
        #[derive(Deserialize)]
        struct Head {
            format_version: String,
        }
        let head: Head = serde_json::from_slice(text).map_err(|e| damaged(e.to_string()))?;
        let version: SchemaVersion =
            head.format_version.parse().map_err(|_| damaged("no format version".to_owned()))?;
        if version.major != VERSION.major {
            return Err(RecordError::Version { path: String::new(), found: head.format_version });
        }
        serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))
    }

    /// Returns the record as pretty JSON with one newline at the end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("a record holds plain data");
        text.push('\n');
        text
    }

    /// Returns the record with the oldest version that has all it holds.
    #[must_use]
    pub fn versioned(mut self) -> Self {
        let incomplete = self.lanes.iter().any(|lane| lane.outcome == LaneOutcome::Incomplete);
        let left_out = self.nodes.iter().any(|node| node.artifacts_left_out > 0);
        let tolerated = self.nodes.iter().any(|node| node.tolerated || node.not_needed);
        let flows = |node: &NodeRecord| !node.outputs.is_empty() || !node.files_from.is_empty();
        let outputs = self.nodes.iter().any(flows);
        let reused = self.nodes.iter().any(|node| node.reused.is_some());
        let cached = self.nodes.iter().any(|node| !node.caches.is_empty());
        let newer = incomplete || left_out || tolerated || outputs || reused || cached;
        let version = if newer { VERSION } else { FIRST };
        self.format_version = version.to_string();
        self
    }

    /// Writes the record, whole or not at all.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn write(&self, path: &Path) -> std::io::Result<()> {
        files::replace(path, self.to_json().as_bytes())
    }
}

impl RecordError {
    fn at(self, file: &Path) -> Self {
        let path = file.display().to_string();
        match self {
            Self::Io { error, .. } => Self::Io { path, error },
            Self::Damaged { why, .. } => Self::Damaged { path, why },
            Self::Version { found, .. } => Self::Version { path, found },
        }
    }
}

impl LaneRecord {
    /// Returns the outcome in words: `passed with 1 tolerated failure`.
    #[must_use]
    pub fn in_words(&self, outcome: &str) -> String {
        let tolerated = match self.tolerated {
            0 => String::new(),
            some => format!(" with {}", text::count(some as usize, "tolerated failure")),
        };
        let reused = match self.reused {
            0 => String::new(),
            some => format!(" ({some} reused)"),
        };
        format!("{outcome}{tolerated}{reused}")
    }
}

impl NodeRecord {
    /// Returns whether lanes take it for passed: it passed, its failure is tolerated, or it runs
    /// only after a failure and there was none.
    #[must_use]
    pub fn counts_as_passed(&self) -> bool {
        self.outcome == Outcome::Passed || self.tolerated || self.not_needed
    }

    /// Returns what is to be said beside its outcome: its failure does not count, or an earlier run's
    /// result stands for it.
    #[must_use]
    pub fn remark(&self) -> Option<&'static str> {
        match (self.tolerated, &self.reused) {
            (true, _) => Some("tolerated"),
            (false, Some(_)) => Some("reused"),
            (false, None) => None,
        }
    }

    /// Returns what is known of a node before anything ran.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        Self {
            id: node.id.as_str().to_owned(),
            outcome: Outcome::Skipped,
            tolerated: false,
            not_needed: false,
            exit_code: None,
            signal: None,
            failure_kind: None,
            because: None,
            message: None,
            advice: None,
            waits_for: None,
            placement: Some(node.spec.placement.kind().as_str().to_owned()),
            runtime: Some(node.spec.runtime.kind().as_str().to_owned()),
            host: match &node.spec.placement {
                plans::Placement::Local => None,
                plans::Placement::RemoteSsh(host) => Some(host.host.as_str().to_owned()),
            },
            attempts: 0,
            retried: Vec::new(),
            phases: BTreeMap::new(),
            started_at: None,
            finished_at: None,
            duration_ms: None,
            killed_processes: 0,
            outputs: BTreeMap::new(),
            files_from: Vec::new(),
            caches: Vec::new(),
            reused: None,
            artifacts: 0,
            artifacts_left_out: 0,
            warnings: Vec::new(),
            details: BTreeMap::new(),
        }
    }
}

/// The word of a phase in records.
#[must_use]
pub fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Lock => "turn",
        Phase::Directories => "directories",
        Phase::Tree => "tree",
        Phase::Caches => "caches",
        Phase::Runtime => "runtime",
        Phase::Launch => "launch",
        Phase::Wait => "wait",
        Phase::Collect => "collect",
        Phase::Cleanup => "cleanup",
    }
}

/// One node's verdict, as lanes and the run see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// How it ended; a tolerated failure as passed.
    pub outcome: Outcome,
    /// Whether it failed, and that is tolerated.
    pub tolerated: bool,
    /// Whether an earlier run's result stands for it.
    pub reused: bool,
    /// How the node ended that kept this one from running, if one did.
    pub cause: Option<Outcome>,
    /// Whether it was asked for.
    pub selected: bool,
    /// Whether it was not, because it passed in the run whose failures this one repeats.
    pub passed_before: bool,
}

/// Adds up the verdicts of a lane's nodes.
///
/// The worst answer wins; a node that another kept from running counts as that other one. A lane
/// of which no job ran is skipped, never passed: a passed prepare node alone, or no node at all,
/// is no answer. A lane of which a job was not asked for is at best incomplete, unless that job passed in
/// the run whose failures this one repeats.
#[must_use]
pub fn lane_outcome(nodes: impl Iterator<Item = (NodeKind, Verdict)>) -> LaneOutcome {
    let mut worst = LaneOutcome::Passed;
    let (mut ran, mut jobs) = (false, false);
    for (kind, verdict) in nodes {
        if !verdict.selected {
            if kind == NodeKind::Execute && !verdict.passed_before {
                worst = worst.max(LaneOutcome::Incomplete);
            }
            continue;
        }
        jobs |= kind == NodeKind::Execute;
        ran |= verdict.outcome != Outcome::Skipped
            && (kind == NodeKind::Execute || verdict.outcome != Outcome::Passed);
        worst = worst.max(verdict.cause.unwrap_or(verdict.outcome).into());
    }
    if ran && jobs { worst } else { LaneOutcome::Skipped }
}

/// Adds up the verdicts of a run's nodes: a failed job hides a failed machine, and both hide that
/// somebody ended the run.
#[must_use]
pub fn run_outcome(outcomes: impl Iterator<Item = Outcome>, stopped: bool) -> RunOutcome {
    let mut seen = [false; Outcome::ALL.len()];
    for outcome in outcomes {
        seen[outcome as usize] = true;
    }
    let seen = |outcome: Outcome| seen[outcome as usize];
    if seen(Outcome::Cancelled) || (stopped && seen(Outcome::Skipped)) {
        RunOutcome::Cancelled
    } else if seen(Outcome::Failed) || seen(Outcome::TimedOut) {
        RunOutcome::Failed
    } else if seen(Outcome::InfraFailed) {
        RunOutcome::InfraFailed
    } else if seen(Outcome::Passed) {
        RunOutcome::Passed
    } else {
        RunOutcome::Skipped
    }
}

/// Makes the lanes' part of a record; `verdict` answers by position in the plan.
#[must_use]
pub fn lanes(plan: &Plan, verdict: impl Fn(usize) -> Verdict) -> Vec<LaneRecord> {
    plan.lanes()
        .iter()
        .map(|lane| {
            let nodes = lane.nodes.iter().filter_map(|id| {
                let position = plan.graph().position(id.as_str())?;
                Some((plan.nodes()[position].kind, verdict(position)))
            });
            let count = |is: fn(&Verdict) -> bool| {
                let counted = nodes.clone().filter(|(_, verdict)| is(verdict)).count();
                u32::try_from(counted).unwrap_or(u32::MAX)
            };
            let (tolerated, reused) = (count(|it| it.tolerated), count(|it| it.reused));
            LaneRecord {
                id: lane.id.as_str().to_owned(),
                title: lane.title.clone(),
                outcome: lane_outcome(nodes),
                tolerated,
                reused,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(outcome: Outcome) -> Verdict {
        Verdict {
            outcome,
            tolerated: false,
            reused: false,
            cause: None,
            selected: true,
            passed_before: false,
        }
    }

    #[track_caller]
    fn check(nodes: &[(NodeKind, Verdict)], expected: impl Into<LaneOutcome>) {
        assert_eq!(lane_outcome(nodes.iter().copied()), expected.into(), "{nodes:?}");
    }

    #[test]
    fn a_lane_is_as_bad_as_its_worst_node() {
        use NodeKind::{Execute, Prepare};
        check(
            &[(Prepare, verdict(Outcome::Passed)), (Execute, verdict(Outcome::Passed))],
            Outcome::Passed,
        );
        check(
            &[(Execute, verdict(Outcome::Passed)), (Execute, verdict(Outcome::Failed))],
            Outcome::Failed,
        );
        check(
            &[(Execute, verdict(Outcome::TimedOut)), (Execute, verdict(Outcome::InfraFailed))],
            Outcome::TimedOut,
        );
    }

    #[test]
    fn a_lane_that_ran_no_job_never_passes() {
        use NodeKind::{Execute, Prepare};
        check(&[], Outcome::Skipped);
        check(&[(Execute, verdict(Outcome::Skipped))], Outcome::Skipped);
        check(&[(Prepare, verdict(Outcome::Passed))], Outcome::Skipped);
        check(
            &[(Prepare, verdict(Outcome::Passed)), (Execute, verdict(Outcome::Skipped))],
            Outcome::Skipped,
        );
        let unasked = Verdict { selected: false, ..verdict(Outcome::Skipped) };
        check(&[(Prepare, verdict(Outcome::Failed)), (Execute, unasked)], Outcome::Skipped);
    }

    #[test]
    fn a_node_kept_from_running_counts_as_what_kept_it() {
        use NodeKind::{Execute, Prepare};
        let kept = Verdict { cause: Some(Outcome::InfraFailed), ..verdict(Outcome::Skipped) };
        check(&[(Prepare, verdict(Outcome::InfraFailed)), (Execute, kept)], Outcome::InfraFailed);
        check(&[(Execute, verdict(Outcome::Passed)), (Execute, kept)], Outcome::InfraFailed);
        check(&[(Execute, kept)], Outcome::Skipped);
    }

    #[test]
    fn a_lane_whose_jobs_were_not_all_asked_for_never_passes() {
        use NodeKind::{Execute, Prepare};
        let unasked = Verdict { selected: false, ..verdict(Outcome::Skipped) };
        let incomplete = LaneOutcome::Incomplete;
        check(&[(Execute, verdict(Outcome::Passed)), (Execute, unasked)], incomplete);
        check(&[(Execute, unasked), (Execute, verdict(Outcome::Passed))], incomplete);
        check(&[(Execute, verdict(Outcome::Failed)), (Execute, unasked)], Outcome::Failed);
        check(&[(Execute, verdict(Outcome::Cancelled)), (Execute, unasked)], Outcome::Cancelled);
        check(&[(Execute, unasked), (Execute, unasked)], Outcome::Skipped);
        let before = Verdict { passed_before: true, ..unasked };
        check(&[(Execute, verdict(Outcome::Passed)), (Execute, before)], Outcome::Passed);
        check(&[(Execute, before)], Outcome::Skipped);
        // A prepare node that nothing asked for needs is no part of the question.
        check(&[(Prepare, unasked), (Execute, verdict(Outcome::Passed))], Outcome::Passed);
    }

    #[test]
    fn a_failed_job_hides_a_failed_machine() {
        use Outcome::{Failed, InfraFailed, Passed, Skipped};
        let run = |outcomes: &[Outcome]| run_outcome(outcomes.iter().copied(), false);
        assert_eq!(run(&[Passed, InfraFailed, Failed, Skipped]), RunOutcome::Failed);
        assert_eq!(run(&[Passed, InfraFailed, Skipped]), RunOutcome::InfraFailed);
        assert_eq!(run(&[Passed, Skipped]), RunOutcome::Passed);
        assert_eq!(run(&[Skipped]), RunOutcome::Skipped);
        assert_eq!(run(&[]), RunOutcome::Skipped);
        assert_eq!(run_outcome([Passed, Skipped].into_iter(), true), RunOutcome::Cancelled);
        assert_eq!(run_outcome([Passed].into_iter(), true), RunOutcome::Passed);
    }

    #[test]
    fn a_record_from_before_placement_and_runtime_reads() {
        let old = br#"{ "format_version": "1.0", "run_id": "r", "plan_digest": "sha256:0",
            "started_at": "2026-01-01T00:00:00Z", "outcome": "failed", "surprise": 1,
            "nodes": [ { "id": "execute-a", "outcome": "failed", "exit_code": 7 } ] }"#;
        let record = Record::from_json(old).expect("reads");
        assert_eq!(record.nodes[0].placement, None);
        assert_eq!(record.nodes[0].exit_code, Some(7));
    }

    #[test]
    fn a_record_of_a_later_major_version_is_refused() {
        let error = Record::from_json(br#"{ "format_version": "2.0" }"#).expect_err("newer");
        assert!(matches!(error, RecordError::Version { .. }), "{error}");
    }
}
