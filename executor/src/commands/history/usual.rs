//! How long nodes usually take, for the run that is about to start: what takes longest is started first.
//!
//! Reads as much of the newest runs as costs no run anything, and never fails: without an answer the run is in another
//! order, and no other.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Seek as _, SeekFrom},
};

use serde::Deserialize;

use super::{answered, kept};
use crate::{outcome::Outcome, state::StateDir};

/// At most so many runs are looked at.
const RUNS: usize = 20;

/// Once so many bytes were read, no further record is; the first one always is.
const BYTES: usize = 4 * 1024 * 1024;

/// What is read of a record.
#[derive(Deserialize)]
struct Run {
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    outcome: Outcome,
    #[serde(default)]
    duration_ms: Option<u64>,
    #[serde(default)]
    reused: Option<serde::de::IgnoredAny>,
}

/// Returns the milliseconds that half of a node's newest runs took at most, by the node's id.
pub(in crate::commands) fn usual(state: &StateDir) -> BTreeMap<String, u64> {
    let mut times: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut add = |id: String, outcome: Outcome, took: Option<u64>| {
        if let Some(took) = took.filter(|_| answered(outcome)) {
            times.entry(id).or_default().push(took);
        }
    };
    let (mut runs, mut bytes) = (0, 0);
    for dir in state.runs().unwrap_or_default() {
        if runs >= RUNS || bytes >= BYTES {
            break;
        }
        // One that goes on, or is damaged, has nothing to say.
        let Ok(text) = fs::read(dir.record()) else { continue };
        let Ok(run) = serde_json::from_slice::<Run>(&text) else { continue };
        (runs, bytes) = (runs + 1, bytes + text.len());
        // What was reused took no time.
        let ran = run.nodes.into_iter().filter(|node| node.reused.is_none());
        ran.for_each(|node| add(node.id, node.outcome, node.duration_ms));
    }
    for run in removed(state, BYTES.saturating_sub(bytes)).into_iter().take(RUNS - runs) {
        run.nodes.into_iter().for_each(|node| add(node.id, node.outcome, node.duration_ms));
    }
    let median = |mut times: Vec<u64>| {
        times.sort_unstable();
        times[(times.len() - 1) / 2]
    };
    times.into_iter().map(|(id, times)| (id, median(times))).collect()
}

/// Returns runs that `gc` removed, the last ones first, as far as so many bytes of their file tell of them.
fn removed(state: &StateDir, bytes: usize) -> Vec<kept::Run> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(kept::file(state))?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(bytes as u64)))?;
        let mut end = Vec::new();
        file.read_to_end(&mut end)?;
        Ok(end)
    };
    // The first line may be cut off: it cannot be read then.
    let end = read().unwrap_or_default();
    let mut runs: Vec<kept::Run> = kept::lines(&String::from_utf8_lossy(&end)).collect();
    runs.reverse();
    runs
}
