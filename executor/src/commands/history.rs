//! `executor history`: how long each node took and how it ended, over the runs that are kept and
//! those that `gc` removed; with `--passed` ([`passed`]), which lanes passed where; with `--durations`
//! ([`durations`]), how long files of tests took.
//!
//! The JSON form is what `planner show --durations` reads.

pub(super) mod durations;
mod junit;
mod kept;
pub(super) mod passed;
mod usual;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

pub(super) use usual::usual;

use super::{CliContext, running};
use crate::{
    caches::Temperature,
    error::Error,
    exit_code::Exit,
    outcome::Outcome,
    reporters,
    state::{RunDir, StateDir},
    text,
};

/// What `--json` prints.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct History {
    /// `MAJOR.MINOR` of this form.
    format_version: &'static str,
    /// How many runs were looked at.
    runs: usize,
    /// The nodes that have an answer, by id.
    nodes: Vec<Node>,
}

/// What is known of a node over several runs.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct Node {
    /// The node's id in its plans.
    pub(super) id: String,
    /// In how many runs it had an answer of its own: passed, failed or timed out.
    pub(super) runs: usize,
    /// The time half of those took at most.
    pub(super) median_secs: f64,
    /// The time nine out of ten of them took at most.
    pub(super) p90_secs: f64,
    /// How often it passed.
    pub(super) passed: usize,
    /// How often it failed or took too long.
    pub(super) failed: usize,
    /// How often it passed only after a retry, or failed where another run of the same plan passed.
    pub(super) flaky: usize,
    /// How often its machine failed.
    pub(super) infra_failed: usize,
    /// How often somebody ended it.
    pub(super) cancelled: usize,
    /// How long it took each time, the newest first.
    pub(super) durations_secs: Vec<f64>,
    /// The same by what it found in its caches; absent: it has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) temperatures: Vec<OfTemperature>,
}

/// How long a node took that found as much in its caches: of several the one that held least counts.
#[derive(Serialize, schemars::JsonSchema)]
pub(super) struct OfTemperature {
    /// `hit`, `warm` or `cold`.
    temperature: Temperature,
    /// In how many of its runs that was so.
    runs: usize,
    /// The time half of those took at most.
    median_secs: f64,
}

/// One run of a node: the plan it was part of, and what is known of it.
type Observed<'a> = (&'a str, &'a kept::Node);

pub(super) fn run(context: &CliContext, last: Option<usize>, json: bool) -> Result<Exit, Error> {
    let state = context.state(&context.config()?)?;
    let (runs, nodes) = over(&state, last.unwrap_or(usize::MAX))?;
    let mut out = reporters::stdout();
    if json {
        let history = History { format_version: "1.0", runs, nodes };
        out.text(&(serde_json::to_string_pretty(&history).expect("plain data") + "\n"));
        return Ok(Exit::Done);
    }
    if nodes.is_empty() {
        reporters::stderr().text("no node has run yet\n");
    }
    for node in nodes {
        let median = text::duration(std::time::Duration::from_secs_f64(node.median_secs));
        let mut counts = vec![format!("{} passed", node.passed)];
        for (number, word) in [
            (node.failed, "failed"),
            (node.flaky, "flaky"),
            (node.infra_failed, "infra_failed"),
            (node.cancelled, "cancelled"),
        ] {
            if number > 0 {
                counts.push(format!("{number} {word}"));
            }
        }
        for of in &node.temperatures {
            let median = text::duration(std::time::Duration::from_secs_f64(of.median_secs));
            counts.push(format!("{} {median} ({})", of.temperature, of.runs));
        }
        out.text(&format!("{median:>10}  {}  {}\n", text::neutral(&node.id), counts.join(", ")));
    }
    Ok(Exit::Done)
}

/// Returns how many runs there were, those that were removed included and so many at most, and what is known of each node.
pub(super) fn over(state: &StateDir, most: usize) -> Result<(usize, Vec<Node>), Error> {
    let dirs = state.runs()?;
    // A damaged run says nothing here; `list` shows it.
    let mut records: Vec<kept::Run> = dirs
        .iter()
        .take(most)
        .filter_map(|dir| Some(kept::Run::of(&running::read_record(dir).ok()?)))
        .collect();
    // A run is removed after it was remembered: between the two it is in both places.
    let gone = kept::read(state).runs.into_iter();
    let gone = gone.filter(|run| dirs.iter().all(|dir| dir.id.as_str() != run.run_id));
    records.extend(gone.take(most.saturating_sub(dirs.len())));
    let mut seen: BTreeMap<&str, Vec<Observed<'_>>> = BTreeMap::new();
    for record in &records {
        for node in &record.nodes {
            seen.entry(&node.id).or_default().push((&record.plan_digest, node));
        }
    }
    let nodes = seen.iter().filter_map(|(id, seen)| summed(id, seen)).collect();
    Ok((records.len(), nodes))
}

/// Remembers what a run says before it is removed. A damaged one has nothing to say.
///
/// # Errors
///
/// What cannot be written, for people.
pub(super) fn remember(state: &StateDir, dir: &RunDir) -> Result<(), String> {
    let Ok(record) = running::read_record(dir) else { return Ok(()) };
    let lanes = passed::of_run(dir);
    kept::remember(state, &kept::Run::with_lanes(&record, lanes))
        .map_err(|error| format!("what it says cannot be kept: {error}"))
}

/// Returns whether a node that ended so gave an answer of its own.
fn answered(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Passed | Outcome::Failed | Outcome::TimedOut)
}

/// Adds up the runs of a node, the newest first; none with an answer and a time: nothing to say.
fn summed(id: &str, seen: &[Observed<'_>]) -> Option<Node> {
    let passed_plans: BTreeSet<&str> = seen
        .iter()
        .filter(|(_, node)| node.outcome == Outcome::Passed)
        .map(|(plan, _)| *plan)
        .collect();
    let flaky = |(plan, node): &Observed<'_>| match node.outcome {
        Outcome::Passed => node.retried,
        Outcome::Failed | Outcome::TimedOut => passed_plans.contains(plan),
        _ => false,
    };
    let times: Vec<u64> = seen
        .iter()
        .filter(|(_, node)| answered(node.outcome))
        .filter_map(|(_, node)| node.duration_ms)
        .collect();
    let mut sorted = times.clone();
    sorted.sort_unstable();
    // The smallest time that at least this part of the runs stayed within.
    let within = |percent: usize| {
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().map(seconds)
    };
    let count =
        |wanted: &[Outcome]| seen.iter().filter(|(_, node)| wanted.contains(&node.outcome)).count();
    Some(Node {
        id: id.to_owned(),
        runs: times.len(),
        median_secs: within(50)?,
        p90_secs: within(90)?,
        passed: count(&[Outcome::Passed]),
        failed: count(&[Outcome::Failed, Outcome::TimedOut]),
        flaky: seen.iter().filter(|seen| flaky(seen)).count(),
        infra_failed: count(&[Outcome::InfraFailed]),
        cancelled: count(&[Outcome::Cancelled]),
        durations_secs: times.into_iter().map(seconds).collect(),
        temperatures: [Temperature::Hit, Temperature::Warm, Temperature::Cold]
            .into_iter()
            .filter_map(|temperature| of_temperature(temperature, seen))
            .collect(),
    })
}

fn of_temperature(temperature: Temperature, seen: &[Observed<'_>]) -> Option<OfTemperature> {
    let mut times: Vec<u64> = seen
        .iter()
        .filter(|(_, node)| answered(node.outcome) && node.temperature == Some(temperature))
        .filter_map(|(_, node)| node.duration_ms)
        .collect();
    times.sort_unstable();
    let median = *times.get(times.len().checked_sub(1)? / 2)?;
    Some(OfTemperature { temperature, runs: times.len(), median_secs: seconds(median) })
}

#[expect(clippy::cast_precision_loss, reason = "2^53 milliseconds are 285,000 years")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}
