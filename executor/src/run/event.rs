//! What a run tells while it goes on: the same facts for the terminal, for `--output jsonl`, for
//! JUnit and for a forge. Events tell, they never decide.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    attempt::TakenFiles,
    caches::CacheUse,
    clock,
    locks::{Holder, Waiting},
    outcome::Outcome,
    record::{LaneRecord, NodeRecord, RunOutcome},
    results::Reused,
};

/// The version of the event stream, in `run_started`.
///
/// | version | what changed |
/// | --- | --- |
/// | 1.0 | the first format |
/// | 1.1 | a lane of `run_finished` may be `incomplete`; `tolerated` of nodes and lanes, `outputs` and `files_from` of nodes |
/// | 1.2 | `node_waiting` and `node_waited`, `caches` of nodes |
pub const VERSION: &str = "1.2";

/// Something happened. Written with a leading `event` (its name) and `run_id`.
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The first event of every stream.
    RunStarted(RunStarted),
    /// An attempt of a node began.
    NodeStarted(NodeStarted),
    /// An attempt waits for what another run has, or somebody else has it by now. Since version 1.2.
    NodeWaiting(NodeWaiting),
    /// It has what it waited for, and goes on. Since version 1.2.
    NodeWaited(NodeWaited),
    /// An attempt ended, and another will follow.
    NodeRetrying(NodeRetrying),
    /// A node has its verdict: exactly one for each node of the plan.
    NodeFinished(Box<NodeFinished>),
    /// The run is being ended early.
    RunStopping(RunStopping),
    /// Something a person should know that changes no verdict.
    Warning(Warning),
    /// The last event of every stream.
    RunFinished(RunFinished),
}

/// See [`Event::RunStarted`].
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct RunStarted {
    /// `MAJOR.MINOR` of the stream's format.
    pub format_version: String,
    /// The plan's digest.
    pub plan_digest: String,
    /// When (RFC 3339).
    pub at: String,
    /// How many nodes the plan has.
    pub nodes: usize,
    /// Whether an earlier process began it.
    pub resumed: bool,
    /// The run's directory.
    pub directory: String,
}

/// See [`Event::NodeStarted`].
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct NodeStarted {
    /// The node.
    pub node: String,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// When.
    pub at: String,
}

/// See [`Event::NodeWaiting`].
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct NodeWaiting {
    /// The node.
    pub node: String,
    /// When.
    pub at: String,
    /// For what: `group apple-compile`, `a place on pika-build`.
    pub waits_for: String,
    /// Who has it; absent: that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
    /// The same in a line for people.
    pub message: String,
}

/// See [`Event::NodeWaited`].
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct NodeWaited {
    /// The node.
    pub node: String,
    /// When.
    pub at: String,
}

/// See [`Event::NodeRetrying`].
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct NodeRetrying {
    /// The node.
    pub node: String,
    /// The attempt that ended.
    pub attempt: u32,
    /// How.
    pub outcome: Outcome,
    /// The job's exit code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// `infra_failed`: what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_kind: Option<String>,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// After how long the next one begins.
    pub delay_ms: u64,
}

/// See [`Event::NodeFinished`].
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct NodeFinished {
    /// The node.
    pub node: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether its failure does not count, by its `allow_failure`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schemars(default)]
    pub tolerated: bool,
    /// The job's exit code, when it ended by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// `infra_failed`: what failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_kind: Option<String>,
    /// `skipped`: why it did not run; `failed`: why its command was not started.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// One line for people: why it is not `passed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The values that it left for nodes that take them; absent: none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(default)]
    pub outputs: BTreeMap<String, String>,
    /// The files of other nodes that it was given; absent: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub files_from: Vec<TakenFiles>,
    /// The caches that it was given, and what was kept of them; absent: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub caches: Vec<CacheUse>,
    /// The run whose result it is: nothing was run; absent: it ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reused: Option<Reused>,
    /// How many times it was tried.
    pub attempts: u32,
    /// How long its last attempt took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// Everything the record will hold of it, for reporters of this process.
    #[serde(skip)]
    #[schemars(skip)]
    pub record: NodeRecord,
}

/// See [`Event::RunStopping`].
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct RunStopping {
    /// What asked for it.
    pub reason: String,
    /// Whether running jobs are killed instead of being given their grace.
    pub kill: bool,
}

/// See [`Event::Warning`].
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct Warning {
    /// The node it is about; absent: the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// What.
    pub message: String,
}

/// See [`Event::RunFinished`].
#[derive(Debug, Clone, Serialize, schemars::JsonSchema)]
pub struct RunFinished {
    /// How the run ended.
    pub outcome: RunOutcome,
    /// When.
    pub at: String,
    /// What a forge reports for each lane.
    pub lanes: Vec<LaneRecord>,
}

impl NodeWaiting {
    /// Tells what a node waits for.
    #[must_use]
    pub fn of(node: &str, waiting: &Waiting) -> Self {
        Self {
            node: node.to_owned(),
            at: clock::now(),
            waits_for: waiting.resource.clone(),
            holder: waiting.holder.clone(),
            message: waiting.to_string(),
        }
    }
}

impl NodeFinished {
    /// Tells what a node's record holds.
    #[must_use]
    pub fn of(record: &NodeRecord) -> Self {
        Self {
            node: record.id.clone(),
            outcome: record.outcome,
            tolerated: record.tolerated,
            exit_code: record.exit_code,
            failure_kind: record.failure_kind.clone(),
            because: record.because.clone(),
            message: record.message.clone(),
            outputs: record.outputs.clone(),
            files_from: record.files_from.clone(),
            caches: record.caches.clone(),
            reused: record.reused.clone(),
            attempts: record.attempts,
            duration_ms: record.duration_ms,
            record: record.clone(),
        }
    }
}

impl Event {
    /// Returns the event as one line of JSON, its name and the run first.
    #[must_use]
    pub fn to_line(&self, run: &str) -> String {
        let value = serde_json::to_value(self).expect("an event holds plain data");
        let serde_json::Value::Object(tagged) = value else { unreachable!("externally tagged") };
        let (name, body) = tagged.into_iter().next().expect("one tag");
        let mut line = serde_json::Map::new();
        line.insert("event".to_owned(), name.into());
        line.insert("run_id".to_owned(), run.into());
        if let serde_json::Value::Object(body) = body {
            line.extend(body);
        }
        let mut text = serde_json::to_string(&line).expect("it was JSON");
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_its_name_and_its_run() {
        let event = Event::Warning(Warning { node: None, message: "a\nb".to_owned() });
        assert_eq!(
            event.to_line("r1"),
            "{\"event\":\"warning\",\"run_id\":\"r1\",\"message\":\"a\\nb\"}\n"
        );
    }
}
