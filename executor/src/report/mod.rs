//! What people look at after a run: a page, a summary for a forge, a trace.
//!
//! Everything comes from the record, the plan beside it and the log files; nothing is decided here,
//! and nothing of a log is trusted. What each form looks like is in its own file.

pub(crate) mod html;
mod log;
mod markdown;
mod trace;

use std::{collections::BTreeMap, path::PathBuf};

use jiff::Timestamp;
use plans::{Node, Plan, PlanLane};

use crate::{
    attempt::Phase,
    outcome::{LaneOutcome, Outcome},
    record::{self, LaneRecord, NodeRecord, Record, RetriedAttempt, RunOutcome},
    text,
};

/// The phases of an attempt in the order they happen; the time of each is in the record.
const PHASES: [Phase; 8] = [
    Phase::Lock,
    Phase::Directories,
    Phase::Tree,
    Phase::Runtime,
    Phase::Launch,
    Phase::Wait,
    Phase::Collect,
    Phase::Cleanup,
];

/// One run, ready to be shown.
#[derive(Debug)]
pub struct Report {
    /// The run; of one that goes on as it stands.
    pub(crate) record: Record,
    plan: Option<Plan>,
    nodes_dir: PathBuf,
}

impl Report {
    /// Shows `record`; `plan` adds descriptions, commands and edges, `nodes_dir` holds the logs.
    #[must_use]
    pub fn new(record: Record, plan: Option<Plan>, nodes_dir: PathBuf) -> Self {
        Self { record, plan, nodes_dir }
    }

    /// Returns the run as one HTML page that needs no other file.
    #[must_use]
    pub fn html(&self) -> String {
        html::page(self)
    }

    /// Returns the run as Markdown that fits a step summary.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::summary(self)
    }

    /// Returns the run as a Chrome trace.
    #[must_use]
    pub fn trace(&self) -> String {
        trace::events(self)
    }

    fn planned(&self, node: &NodeRecord) -> Option<&Node> {
        self.plan.as_ref()?.node(&node.id)
    }

    /// Returns the logs of a node that are there, the last attempt's output first.
    fn logs(&self, node: &NodeRecord) -> Vec<(String, log::Log)> {
        // A record may come from elsewhere; its ids must not lead out of the directory.
        let Ok(id) = plans::NodeId::new(node.id.as_str()) else { return Vec::new() };
        let dir = self.nodes_dir.join(id.as_str());
        let mut logs = Vec::new();
        let mut add = |title: String, path: PathBuf| {
            logs.extend(log::Log::read(&path).map(|log| (title, log)));
        };
        add("output".to_owned(), dir.join("guest.log"));
        for earlier in node.retried.iter().rev() {
            let number = earlier.attempt;
            let path = dir.join("attempts").join(number.to_string()).join("guest.log");
            add(format!("output of attempt {number}"), path);
        }
        add("executor".to_owned(), dir.join("host.log"));
        logs
    }

    /// Returns when a node's last attempt began, in milliseconds since the run did.
    fn began(&self, node: &NodeRecord) -> Option<u64> {
        self.since_start(node.started_at.as_deref()?)
    }

    /// Returns the attempts before a node's last one: when each began and how long it took, in
    /// milliseconds, and how it ended.
    fn earlier<'a>(
        &self,
        node: &'a NodeRecord,
    ) -> impl Iterator<Item = (u64, u64, &'a RetriedAttempt)> {
        node.retried.iter().filter_map(|earlier| {
            let began = self.since_start(earlier.started_at.as_deref()?)?;
            Some((began, earlier.duration_ms?, earlier))
        })
    }

    fn since_start(&self, at: &str) -> Option<u64> {
        let run: Timestamp = self.record.started_at.parse().ok()?;
        let at: Timestamp = at.parse().ok()?;
        // A clock that was set back says nothing better than "at once".
        Some(u64::try_from(at.as_millisecond() - run.as_millisecond()).unwrap_or(0))
    }

    /// Returns the lanes, the worst first, each with how it stands.
    fn lane_states(&self) -> Vec<(&LaneRecord, &'static str)> {
        let planned = self.plan.iter().flat_map(Plan::lanes);
        let planned: BTreeMap<&str, &PlanLane> =
            planned.map(|lane| (lane.id.as_str(), lane)).collect();
        let mut lanes: Vec<_> = self.record.lanes.iter().collect();
        lanes.sort_by_key(|lane| std::cmp::Reverse(lane.outcome));
        let state = |lane: &LaneRecord| self.lane_state(lane, planned.get(&*lane.id).copied());
        lanes.into_iter().map(|lane| (lane, state(lane))).collect()
    }

    /// Returns how a lane stands: its outcome, or that its nodes have not all ended. What is bad already is said at once.
    fn lane_state(&self, lane: &LaneRecord, planned: Option<&PlanLane>) -> &'static str {
        let settled = lane.outcome.as_str();
        if self.record.outcome != RunOutcome::Running || lane.outcome >= LaneOutcome::Cancelled {
            return settled;
        }
        let Some((plan, planned)) = self.plan.as_ref().zip(planned) else { return settled };
        let nodes = planned.nodes.iter().filter_map(|id| plan.graph().position(id.as_str()));
        let states = nodes.filter_map(|at| self.record.nodes.get(at)).map(state);
        let (mut running, mut waiting, mut begun) = (false, false, false);
        for state in states {
            running |= state == "running";
            waiting |= state == "waiting";
            begun |= state != "waiting";
        }
        match (running || (waiting && begun), waiting) {
            (true, _) => "running",
            (false, true) => "waiting",
            (false, false) => settled,
        }
    }

    /// Returns how long the run took, as far as is known.
    fn took(&self) -> Option<u64> {
        let began: Timestamp = self.record.started_at.parse().ok()?;
        let ended: Timestamp = self.record.finished_at.as_deref()?.parse().ok()?;
        u64::try_from(ended.as_millisecond() - began.as_millisecond()).ok()
    }

    /// Returns how many nodes ended in each way, the worst first.
    fn tally(&self) -> Vec<(&'static str, usize)> {
        let mut states: BTreeMap<&'static str, usize> = BTreeMap::new();
        for node in &self.record.nodes {
            *states.entry(state(node)).or_default() += 1;
        }
        let worst_first = Outcome::ALL.iter().rev().map(|outcome| outcome.as_str());
        ["running"]
            .into_iter()
            .chain(worst_first)
            .chain(["waiting"])
            .filter_map(|word| states.get(word).map(|&number| (word, number)))
            .collect()
    }
}

/// Returns how a node stands: its outcome, or that it has none yet.
pub(crate) fn state(node: &NodeRecord) -> &'static str {
    let unsaid = node.outcome == Outcome::Skipped;
    if unsaid && node.attempts > 0 && node.duration_ms.is_none() {
        "running"
    } else if unsaid && node.because.as_deref() == Some("it has not run yet") {
        "waiting"
    } else {
        node.outcome.as_str()
    }
}

/// Returns whether a node is one that somebody has to look at.
fn needs_a_look(node: &NodeRecord) -> bool {
    matches!(node.outcome, Outcome::Failed | Outcome::TimedOut | Outcome::InfraFailed)
}

/// Returns the phases of a node's last attempt in order, with their milliseconds.
fn phases(node: &NodeRecord) -> Vec<(&str, u64)> {
    let known = PHASES.map(record::phase_name);
    let in_order = known.iter().filter_map(|name| node.phases.get_key_value(*name));
    // A later release may know more of them.
    let others = node.phases.iter().filter(|(name, _)| !known.contains(&name.as_str()));
    in_order.chain(others).map(|(name, ms)| (name.as_str(), *ms)).collect()
}

/// Returns why a node did not pass, in a line, if there is more to say than its outcome.
fn why(node: &NodeRecord) -> Option<String> {
    let said = node.waits_for.clone().or_else(|| node.because.clone());
    let said = said.or_else(|| node.message.clone());
    said.or_else(|| {
        node.exit_code.filter(|code| *code != 0).map(|code| format!("exit code {code}"))
    })
    .or_else(|| node.signal.map(|signal| format!("signal {signal}")))
}

/// Returns a line of a log as a terminal would show it in the end: a carriage return overwrites it.
fn last_written(line: &str) -> String {
    text::neutral(line.trim_end_matches('\r').rsplit('\r').next().unwrap_or(line))
}

/// Returns text of at most `most` bytes, and says so where it is cut.
fn at_most(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let cut = (0..=most).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}… ({} more bytes)", &text[..cut], text.len() - cut)
}

#[cfg(test)]
mod tests;
