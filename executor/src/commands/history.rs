//! `executor history`: how long each node took and how it ended, over the runs that are kept.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{Place, running};
use crate::{error::Error, exit_code::Exit, outcome::Outcome, reporters, text};

/// What is known of a node over several runs.
#[derive(Default, Serialize)]
struct Node {
    /// In how many runs it ran.
    runs: usize,
    /// How often it ended in which way.
    outcomes: BTreeMap<&'static str, usize>,
    /// How often it needed another attempt.
    retried: usize,
    /// The median of the durations of its passed attempts, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    median_ms: Option<u64>,
    /// The longest of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_ms: Option<u64>,
    /// Each of them, the newest first.
    durations_ms: Vec<u64>,
}

pub(super) fn run(place: &Place, last: Option<usize>, json: bool) -> Result<Exit, Error> {
    let state = place.state(&place.config()?)?;
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    let mut looked_at = 0;
    for dir in state.runs()?.iter().take(last.unwrap_or(usize::MAX)) {
        // A damaged run says nothing; `list` shows it.
        let Ok(record) = running::read_record(dir) else { continue };
        looked_at += 1;
        for record in record.nodes.iter().filter(|node| node.outcome != Outcome::Skipped) {
            let node = nodes.entry(record.id.clone()).or_default();
            node.runs += 1;
            *node.outcomes.entry(record.outcome.as_str()).or_default() += 1;
            node.retried += usize::from(record.attempts > 1);
            if record.outcome == Outcome::Passed {
                node.durations_ms.extend(record.duration_ms);
            }
        }
    }
    for node in nodes.values_mut() {
        let mut sorted = node.durations_ms.clone();
        sorted.sort_unstable();
        node.max_ms = sorted.last().copied();
        node.median_ms = sorted.get(sorted.len() / 2).copied();
    }
    let mut out = reporters::stdout();
    if json {
        #[derive(Serialize)]
        struct History {
            format_version: &'static str,
            runs: usize,
            nodes: BTreeMap<String, Node>,
        }
        let history = History { format_version: "1.0", runs: looked_at, nodes };
        out.text(&(serde_json::to_string_pretty(&history).expect("plain data") + "\n"));
        return Ok(Exit::Done);
    }
    for (id, node) in nodes {
        let median = node.median_ms.map(Duration::from_millis).map(text::duration);
        let outcomes: Vec<String> =
            node.outcomes.iter().map(|(outcome, number)| format!("{number} {outcome}")).collect();
        let median = median.unwrap_or_else(|| "-".to_owned());
        out.text(&format!("{median:>10}  {}  {}\n", text::neutral(&id), outcomes.join(", ")));
    }
    Ok(Exit::Done)
}
