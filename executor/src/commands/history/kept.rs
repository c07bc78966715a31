//! What `gc` keeps of the runs it removes: one line of JSON for each in `history.jsonl` of the state
//! directory, how long each node took and how it ended, and which lanes passed at which commit. When the
//! file is large the older half goes, but for which lanes it spoke of.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Write as _},
    path::PathBuf,
};

use plans::{JobId, LaneId, LaneRun, NodeId, ObjectId};
use serde::{Deserialize, Serialize};

use crate::{
    caches::Temperature,
    outcome::Outcome,
    record::{NodeRecord, Record},
    state::StateDir,
};

/// How large the file may become: a run of a hundred nodes is ten kilobytes.
const BYTES: usize = 32 * 1024 * 1024;

/// What is remembered of one run.
#[derive(Serialize, Deserialize)]
pub(super) struct Run {
    /// Its id.
    pub(super) run_id: String,
    /// The plan it was a run of.
    pub(super) plan_digest: String,
    /// Its nodes, those that ran.
    pub(super) nodes: Vec<Node>,
    /// The commit that was planned. Lines of early releases say nothing of commit and lanes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    commit: Option<ObjectId>,
    /// What the plan's definitions were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    definition: Option<String>,
    /// The lanes it was to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lanes: Vec<Lane>,
    /// Of a line that stands for older ones, which are gone: the lanes they spoke of. It is no run,
    /// and has no id.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    forgotten: BTreeSet<LaneId>,
}

/// What is remembered of one lane.
#[derive(Serialize, Deserialize)]
struct Lane {
    id: LaneId,
    jobs: BTreeSet<JobId>,
    /// The nodes that did not pass.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    missing: BTreeSet<NodeId>,
}

/// What is remembered of one node.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Node {
    /// Its id.
    pub(super) id: String,
    /// How it ended.
    pub(super) outcome: Outcome,
    /// How long its last attempt took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) duration_ms: Option<u64>,
    /// How much of its work it found done in its caches, the least of them; absent: it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) temperature: Option<Temperature>,
    /// Whether a job of it failed before the last attempt.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) retried: bool,
}

impl Run {
    /// Takes what is remembered out of a record.
    pub(super) fn of(record: &Record) -> Self {
        let node = |node: &NodeRecord| Node {
            id: node.id.clone(),
            outcome: node.outcome,
            // What was reused took no time.
            duration_ms: node.duration_ms.filter(|_| node.reused.is_none()),
            temperature: node.caches.iter().map(|cache| cache.temperature).max(),
            retried: node.retried.iter().any(|r| r.outcome != Outcome::InfraFailed),
        };
        let ran = record.nodes.iter().filter(|node| node.outcome != Outcome::Skipped);
        Self {
            run_id: record.run_id.clone(),
            plan_digest: record.plan_digest.clone(),
            nodes: ran.map(node).collect(),
            commit: None,
            definition: None,
            lanes: Vec::new(),
            forgotten: BTreeSet::new(),
        }
    }

    /// The same, with what the run says of lanes.
    pub(super) fn with_lanes(record: &Record, lanes: Vec<(LaneId, LaneRun)>) -> Self {
        let mut run = Self::of(record);
        for (id, lane) in lanes {
            run.commit = Some(lane.commit);
            run.definition = Some(lane.definition);
            run.lanes.push(Lane { id, jobs: lane.jobs, missing: lane.missing });
        }
        run
    }

    /// Returns what the run says of lanes.
    pub(super) fn lane_runs(self) -> Vec<(LaneId, LaneRun)> {
        let (Some(commit), Some(definition)) = (self.commit, self.definition) else {
            return Vec::new();
        };
        let lane = |lane: Lane| {
            let run = LaneRun {
                commit: commit.clone(),
                plan: self.plan_digest.clone(),
                definition: definition.clone(),
                jobs: lane.jobs,
                missing: lane.missing,
                run: self.run_id.clone(),
            };
            (lane.id, run)
        };
        self.lanes.into_iter().map(lane).collect()
    }
}

pub(super) fn file(state: &StateDir) -> PathBuf {
    state.path().join("history.jsonl")
}

/// What the file says.
pub(super) struct Kept {
    /// The runs that are remembered, the newest first.
    pub(super) runs: Vec<Run>,
    /// The lanes of which runs are no longer remembered.
    pub(super) forgotten: BTreeSet<LaneId>,
}

/// Reads the file. A line that cannot be read says nothing.
pub(super) fn read(state: &StateDir) -> Kept {
    let text = fs::read_to_string(file(state)).unwrap_or_default();
    let (mut runs, older): (Vec<Run>, Vec<Run>) =
        lines(&text).partition(|run| !run.run_id.is_empty());
    runs.sort_by(|a, b| b.run_id.cmp(&a.run_id));
    runs.dedup_by(|a, b| a.run_id == b.run_id);
    Kept { runs, forgotten: older.into_iter().flat_map(|line| line.forgotten).collect() }
}

pub(super) fn lines(text: &str) -> impl Iterator<Item = Run> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok())
}

/// Remembers a run that is about to be removed.
///
/// # Errors
///
/// The file cannot be written.
pub(super) fn remember(state: &StateDir, run: &Run) -> io::Result<()> {
    let path = file(state);
    let line = serde_json::to_string(run).expect("plain data");
    let mut file = fs::OpenOptions::new().append(true).create(true).open(&path)?;
    // A line that a full disk cut off must not take this one with it.
    file.write_all(format!("\n{line}\n").as_bytes())?;
    if file.metadata()?.len() <= BYTES as u64 {
        return Ok(());
    }
    let kept = newest(&fs::read_to_string(&path)?, BYTES / 2);
    let beside = path.with_extension("jsonl.new");
    fs::write(&beside, kept).and_then(|()| fs::rename(&beside, &path))
}

/// Returns the newest lines that have so many bytes, after one that says which lanes the others
/// spoke of: what those lanes owe is not known any more.
fn newest(text: &str, mut room: usize) -> String {
    let all: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let fit = all.iter().rev().take_while(|line| {
        room = room.saturating_sub(line.len() + 1);
        room > 0
    });
    let (gone, kept) = all.split_at(all.len() - fit.count());
    let mut forgotten = BTreeSet::new();
    for run in lines(&gone.join("\n")) {
        forgotten.extend(run.forgotten);
        forgotten.extend(run.lanes.into_iter().map(|lane| lane.id));
    }
    let first = Run {
        run_id: String::new(),
        plan_digest: String::new(),
        nodes: Vec::new(),
        commit: None,
        definition: None,
        lanes: Vec::new(),
        forgotten,
    };
    let first = serde_json::to_string(&first).expect("plain data");
    std::iter::once(first.as_str()).chain(kept.iter().copied()).flat_map(|it| [it, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(run: &str, lane: &str) -> String {
        format!(
            "{{\"run_id\":\"{run}\",\"plan_digest\":\"d\",\"nodes\":[],\"lanes\":[{{\"id\":\"{lane}\",\"jobs\":[]}}]}}\n"
        )
    }

    #[test]
    fn lanes_of_runs_that_are_no_longer_kept_are_remembered_as_forgotten() {
        let text = [line("1", "old"), line("2", "older"), line("3", "new")].concat();
        let room = line("3", "new").len() + 10;
        let once = newest(&text, room);
        let twice = newest(&(once.clone() + &line("4", "newest")), room);
        let told = |text: &str| -> (Vec<String>, Vec<String>) {
            let forgotten = lines(text).flat_map(|run| run.forgotten);
            let runs = lines(text).map(|run| run.run_id).filter(|id| !id.is_empty());
            (forgotten.map(|lane| lane.to_string()).collect(), runs.collect())
        };
        let texts = |of: &[&str]| of.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        assert_eq!(told(&once), (texts(&["old", "older"]), texts(&["3"])));
        assert_eq!(told(&twice), (texts(&["new", "old", "older"]), texts(&["4"])));
        // What fits is kept, and nothing is forgotten.
        assert_eq!(told(&newest(&text, 10_000)), (texts(&[]), texts(&["1", "2", "3"])));
    }
}
