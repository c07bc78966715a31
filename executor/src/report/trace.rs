//! `--trace`: nodes with every attempt and the phases of the last, as a Chrome trace (the JSON form that Perfetto and
//! `chrome://tracing` read): one process for each host, as many tracks as ran at once.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Report, phases, state, why};
use crate::record::{NodeRecord, RetriedAttempt};

/// Returns the trace's text.
pub(super) fn events(report: &Report) -> String {
    // When each track of a host is free again.
    let mut hosts: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    let mut timed: Vec<(u64, u64, &NodeRecord, Option<&RetriedAttempt>)> = report
        .record
        .nodes
        .iter()
        .filter_map(|node| Some((report.began(node)?, node.duration_ms?, node, None)))
        .collect();
    for node in &report.record.nodes {
        // Each attempt needs a track that nothing else is on.
        let earlier = report.earlier(node);
        timed.extend(earlier.map(|(began, took, earlier)| (began, took, node, Some(earlier))));
    }
    timed.sort_by_key(|(began, ..)| *began);
    for (.., node, _) in &timed {
        hosts.entry(node.host.as_deref().unwrap_or("local")).or_default();
    }
    let numbers: BTreeMap<&str, usize> =
        hosts.keys().enumerate().map(|(number, host)| (*host, number + 1)).collect();
    let mut found: Vec<Value> = numbers
        .iter()
        .map(|(host, pid)| {
            json!({ "ph": "M", "pid": pid, "name": "process_name", "args": { "name": host } })
        })
        .collect();
    for (began, took, node, earlier) in timed {
        let host = node.host.as_deref().unwrap_or("local");
        let (pid, tracks) = (numbers[host], hosts.entry(host).or_default());
        let free = tracks.iter().position(|until| *until <= began);
        let track = free.unwrap_or_else(|| {
            tracks.push(0);
            tracks.len() - 1
        });
        tracks[track] = began.saturating_add(took);
        let mut event = |name: &str, category: &str, at: u64, ms: u64, args: Value| {
            found.push(json!({
                "ph": "X", "pid": pid, "tid": track + 1, "name": name, "cat": category,
                "ts": at.saturating_mul(1000), "dur": ms.saturating_mul(1000), "args": args,
            }));
        };
        if let Some(earlier) = earlier {
            let name = format!("{} (attempt {})", node.id, earlier.attempt);
            let args = json!({ "outcome": earlier.outcome, "why": earlier.message });
            event(&name, "earlier attempt", began, took, args);
            continue;
        }
        let args = json!({
            "outcome": state(node), "why": why(node), "attempts": node.attempts,
            "runtime": node.runtime,
        });
        event(&node.id, "node", began, took, args);
        let end = began.saturating_add(took);
        let mut at = began;
        for (phase, ms) in phases(node) {
            // Rounding must not let the last phase stick out of its node.
            let ms = ms.min(end.saturating_sub(at));
            if ms > 0 {
                event(phase, "phase", at, ms, json!({}));
            }
            at += ms;
        }
    }
    let record = &report.record;
    let trace = json!({
        "displayTimeUnit": "ms",
        "otherData": {
            "run": record.run_id, "outcome": record.outcome, "started_at": record.started_at,
        },
        "traceEvents": found,
    });
    format!("{trace}\n")
}
