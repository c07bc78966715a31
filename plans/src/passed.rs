//! Which lanes passed at which commits: the document that `executor history --passed` writes and
//! `planner plan --passed` reads.
//!
//! One line of it is a [`LaneRun`]: a plan of a commit, as far as one lane is concerned, and which
//! nodes of it have not passed. None missing: the lane passed there. Runs of the same plan, of one
//! machine or of several, are one [`LaneRun`]: what passed in any of them has passed, so a repeat
//! of what failed, and nodes that were shared out to machines, add up.
//!
//! What it knows is bounded ([`KEPT`]): what is left out makes more run, never less. Which commit is
//! an ancestor of which is not known here; a reader asks git.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    InvalidVersion, JobId, LaneId, NodeId, NodeKind, ObjectId, Plan, SchemaVersion, Source,
    document::{NoDuplicates, digest_of},
};

/// How many commits are kept of each job's passes, and of each lane's runs that did not pass.
pub const KEPT: usize = 16;

/// The key of `inputs` under which a plan names such a file; no path of a tree begins like that.
pub const PASSED_INPUT: &str = "--passed";

/// What is known of lanes, over runs of several machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Passed {
    /// `MAJOR.MINOR` of this format.
    format_version: String,
    /// The lanes that any run had, by id.
    pub lanes: BTreeMap<LaneId, LaneHistory>,
}

/// What is known of one lane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaneHistory {
    /// Where it passed, the newest run first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<LaneRun>,
    /// Where it ran, or was to run, and has not passed: failed, cancelled, not finished. The newest
    /// run first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owed: Vec<LaneRun>,
    /// Whether older runs that did not pass were left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forgotten: bool,
}

/// A plan of a commit, as far as one lane is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LaneRun {
    /// The commit that was planned.
    pub commit: ObjectId,
    /// The plan's digest.
    pub plan: String,
    /// What the lane's definition was: a digest over the paths and ids of the files that the plan
    /// was made from ([`definition_digest`]).
    pub definition: String,
    /// The jobs that the plan ran for the lane; the plan may have left out others that no change
    /// concerned.
    pub jobs: BTreeSet<JobId>,
    /// The nodes of the lane that have not passed; absent: all have.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub missing: BTreeSet<NodeId>,
    /// The latest run of that plan: for people, and for which is the newest.
    pub run: String,
}

/// Why a text is not such a document.
#[derive(Debug, thiserror::Error)]
pub enum PassedReadError {
    /// The text is not JSON, was cut off, or is something else.
    #[error("it is not what `executor history --passed` writes: {0}")]
    Damaged(String),
    /// A later release wrote it.
    #[error(
        "it has format version {found}, this program reads {}.0 to {}",
        Passed::VERSION.major,
        Passed::VERSION
    )]
    Version {
        /// Its version.
        found: SchemaVersion,
    },
}

impl PassedReadError {
    /// Returns whether the document is well formed but refused (exit code 4 instead of 2).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Version { .. })
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Version { .. } => "write it with the `executor` of the same release as this \
                                     program, or use a release that reads it"
                .to_owned(),
            Self::Damaged(_) => "write it anew with `executor history --passed -o FILE`; where \
                                 the runs are gone, an empty file is made in the same way, and \
                                 with `--passed-else run` every lane runs once"
                .to_owned(),
        }
    }
}

impl Default for Passed {
    fn default() -> Self {
        Self { format_version: Self::VERSION.to_string(), lanes: BTreeMap::new() }
    }
}

impl Passed {
    /// The version written, and the newest read.
    pub const VERSION: SchemaVersion = SchemaVersion { major: 1, minor: 0 };

    /// Reads the document.
    ///
    /// # Errors
    ///
    /// [`PassedReadError`]; nothing of a document that is not whole is used.
    pub fn from_json(text: &[u8]) -> Result<Self, PassedReadError> {
        let damaged = |why: String| PassedReadError::Damaged(why);
        let NoDuplicates(value) =
            serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
        let version = value.get("format_version").and_then(Value::as_str);
        let found: SchemaVersion = version
            .ok_or_else(|| damaged("it has no `format_version`".to_owned()))?
            .parse()
            .map_err(|error: InvalidVersion| damaged(format!("`format_version`: {error}")))?;
        if !Self::VERSION.reads(found) {
            return Err(PassedReadError::Version { found });
        }
        serde_path_to_error::deserialize(value)
            .map_err(|error| damaged(format!("`{}`: {}", error.path(), error.inner())))
    }

    /// Writes the document: pretty JSON with one newline at the end.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data");
        text.push('\n');
        text
    }

    /// Adds one run of a lane. What passed in any run of the same plan has passed.
    pub fn add(&mut self, lane: &LaneId, run: LaneRun) {
        let history = self.lanes.entry(lane.clone()).or_default();
        let of_plan = |known: &LaneRun| known.plan == run.plan && known.jobs == run.jobs;
        let known = (history.passed.iter().position(of_plan).map(|at| history.passed.remove(at)))
            .or_else(|| history.owed.iter().position(of_plan).map(|at| history.owed.remove(at)));
        let run = match known {
            None => run,
            Some(known) => LaneRun {
                missing: known.missing.intersection(&run.missing).cloned().collect(),
                run: known.run.max(run.run.clone()),
                ..run
            },
        };
        let list = if run.missing.is_empty() { &mut history.passed } else { &mut history.owed };
        let newer = |known: &LaneRun| (&known.run, &known.plan) > (&run.run, &run.plan);
        let at = list.partition_point(newer);
        list.insert(at, run);
    }

    /// Adds everything that another document knows.
    pub fn merge(&mut self, other: Self) {
        for (lane, history) in other.lanes {
            for run in history.passed.into_iter().chain(history.owed) {
                self.add(&lane, run);
            }
            self.lanes.entry(lane).or_default().forgotten |= history.forgotten;
        }
    }

    /// Leaves out what is beyond [`KEPT`]: of each job's passes the newest stay, those on the line
    /// of history that matters apart from the others; of runs that did not pass likewise, and that
    /// some are left out is remembered.
    pub fn trim(&mut self, mut on_line: impl FnMut(&ObjectId) -> bool) {
        for history in self.lanes.values_mut() {
            if history.passed.len().max(history.owed.len()) <= KEPT {
                continue;
            }
            let mut kept: BTreeMap<(bool, JobId), usize> = BTreeMap::new();
            history.passed.retain(|run| {
                let line = on_line(&run.commit);
                let mut wanted = false;
                for job in &run.jobs {
                    let count = kept.entry((line, job.clone())).or_default();
                    *count += 1;
                    wanted |= *count <= KEPT;
                }
                wanted
            });
            let before = history.owed.len();
            let mut counts = [0; 2];
            history.owed.retain(|run| {
                let count = &mut counts[usize::from(on_line(&run.commit))];
                *count += 1;
                *count <= KEPT
            });
            history.forgotten |= history.owed.len() < before;
        }
    }
}

/// Returns which nodes of a plan's lanes have not passed, lane by lane; nothing for a plan that says
/// nothing about a commit: a scenario's, one of a work tree, one without git.
///
/// `passed` says of a node whether it has. Lanes that the plan did not select, or of which it runs
/// no job, have no entry.
#[must_use]
pub fn lane_runs(
    plan: &Plan,
    digest: &str,
    run: &str,
    passed: impl Fn(&NodeId) -> bool,
) -> Vec<(LaneId, LaneRun)> {
    let Source::Change(source) = plan.source() else { return Vec::new() };
    let (Some(commit), Some(_), false) = (&source.head, &source.tree, source.worktree) else {
        return Vec::new();
    };
    let definition = definition_digest(plan.inputs());
    let mut found = Vec::new();
    for lane in plan.lanes().iter().filter(|lane| lane.selected) {
        let is_job = |id: &&NodeId| {
            plan.node(id.as_str()).is_some_and(|node| node.kind == NodeKind::Execute)
        };
        let jobs: BTreeSet<JobId> = lane
            .nodes
            .iter()
            .filter(is_job)
            .filter_map(|id| JobId::new(id.as_str().strip_prefix("execute-")?).ok())
            .collect();
        if jobs.is_empty() {
            continue;
        }
        let missing = lane.nodes.iter().filter(|id| !passed(id)).cloned().collect();
        let entry = LaneRun {
            commit: commit.clone(),
            plan: digest.to_owned(),
            definition: definition.clone(),
            jobs,
            missing,
            run: run.to_owned(),
        };
        found.push((lane.id.clone(), entry));
    }
    found
}

/// Returns a digest over the files that a plan's lanes and jobs are defined by: the same digest,
/// the same definitions.
#[must_use]
pub fn definition_digest(inputs: &BTreeMap<String, String>) -> String {
    let mut text = String::new();
    for (path, id) in inputs.iter().filter(|(path, _)| *path != PASSED_INPUT) {
        text.push_str(path);
        text.push('\0');
        text.push_str(id);
        text.push('\n');
    }
    digest_of(text.as_bytes())
}

/// Returns the JSON Schema of the document (draft 2020-12).
#[must_use]
pub fn passed_schema() -> Value {
    schemars::schema_for!(Passed).to_value()
}
