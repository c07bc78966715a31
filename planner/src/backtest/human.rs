//! A replay for a terminal.

use plans::LaneId;

use super::{
    Replay,
    compare::{Comparison, Difference},
    day,
    reuse::Reuse,
};
use crate::render::{
    text::{count, one_line, width},
    words::measured,
};

/// How many reasons of a lane are shown.
const REASONS: usize = 4;
/// How many commits of a list are shown.
const COMMITS: usize = 40;
/// How many files that spoil are shown.
const SPOILERS: usize = 20;

/// What is replayed, in words.
pub struct Heading<'a> {
    /// Whose definitions.
    pub with: &'a str,
    /// Against whose.
    pub against: Option<&'a str>,
}

/// Returns the table.
#[must_use]
pub fn human(replay: &Replay, comparison: Option<&Comparison>, heading: &Heading<'_>) -> String {
    let mut out = String::new();
    let mut line = |text: String| {
        out.push_str(text.trim_end());
        out.push('\n');
    };
    line(format!("{}, planned with {}", span(replay), heading.with));
    if let Some(comparison) = comparison {
        let against = heading.against.unwrap_or("the others");
        list(&mut line, &format!("less than with {against}"), &comparison.less);
        list(&mut line, &format!("more than with {against}"), &comparison.more);
        line(format!("\nthe same for {}", count(comparison.same, "commit")));
    }
    line(String::new());
    let timed = replay.machine_time.is_some();
    let lanes = replay.lanes.iter().map(|lane| {
        let mut reasons: Vec<_> = lane.reasons.iter().collect();
        reasons.sort_by_key(|(why, runs)| (std::cmp::Reverse(**runs), *why));
        let more = reasons.len().saturating_sub(REASONS);
        let shown = reasons.iter().take(REASONS);
        let mut why: Vec<String> = shown.map(|(why, runs)| format!("{why} {runs}")).collect();
        if more > 0 {
            why.push(format!("{more} more"));
        }
        let id = if lane.gone { format!("{} (gone)", lane.id) } else { lane.id.to_string() };
        let share = format!("{}%", percent(lane.runs, lane.planned));
        let time = lane.machine_time.map(measured).unwrap_or_default();
        [id, lane.runs.to_string(), share, time, why.join(", ")]
    });
    let heads = ["lane", "runs", "share", if timed { "machine time" } else { "" }, "why"];
    table(&mut line, heads.map(str::to_owned), lanes.collect());
    if let Some(total) = replay.machine_time {
        line(format!("\nmachine time of all commits: {}", measured(total)));
    }
    let jobs = replay.jobs.iter().map(|(job, runs)| {
        let share = format!("{}%", percent(*runs, replay.commits.len()));
        [job.to_string(), runs.to_string(), share]
    });
    if !replay.jobs.is_empty() {
        line(String::new());
        table(&mut line, ["job", "runs", "share"].map(str::to_owned), jobs.collect());
    }
    if let Some(reuse) = &replay.reuse {
        keys(&mut line, reuse);
    }
    if !replay.silent.is_empty() {
        line("\nglobs that matched no path that these commits changed:".to_owned());
        for silent in &replay.silent {
            let lanes: Vec<&str> = silent.lanes.iter().map(LaneId::as_str).collect();
            let of = if lanes.is_empty() { "" } else { " of " };
            let owner = format!("{}{of}{}", silent.key, lanes.join(", "));
            line(format!("  {}:{}  {}  ({owner})", silent.file, silent.line, silent.glob));
        }
    }
    if replay.uncovered > 0 {
        let commits = count(replay.uncovered, "commit");
        line(format!(
            "\n{commits} changed files that nothing covers: `planner check` lists such files"
        ));
    }
    if !replay.unplanned.is_empty() {
        line(format!("\n{} could not be planned:", count(replay.unplanned.len(), "commit")));
        for commit in replay.unplanned.iter().take(10) {
            let id = commit.commit.to_string();
            let id = short(&id);
            line(format!("  {id}  {}: {}", one_line(&commit.summary), one_line(&commit.because)));
        }
        if replay.unplanned.len() > 10 {
            line(format!("  and {} more", replay.unplanned.len() - 10));
        }
        line("  `--with HEAD` plans every commit with the definitions of now".to_owned());
    }
    out
}

/// What keys would have spared.
fn keys(line: &mut dyn FnMut(String), reuse: &Reuse) {
    let (runs, spared) = reuse.total();
    let time = reuse.machine_time().map(|time| format!(", {} of machine time", measured(time)));
    line(format!(
        "\nkeys would have spared {spared} of {} of jobs{}:",
        count(runs, "run"),
        time.unwrap_or_default()
    ));
    let timed = reuse.jobs.iter().any(|job| job.machine_time.is_some());
    let jobs = reuse.jobs.iter().map(|job| {
        let share = format!("{}%", percent(job.spared, job.runs));
        let time = job.machine_time.map(measured).unwrap_or_default();
        let (runs, spared) = (job.runs.to_string(), job.spared.to_string());
        [job.id.to_string(), runs, spared, share, time, job.reuse.as_str().to_owned()]
    });
    let time = if timed { "machine time" } else { "" };
    let heads = ["job", "runs", "spared", "share", time, "reuse"];
    table(line, heads.map(str::to_owned), jobs.collect());
    if reuse.redefined > 0 {
        let runs = count(reuse.redefined, "run");
        line(format!("\n{runs} had another key although no file that the job sees had changed"));
    }
    if !reuse.spoilers.is_empty() {
        line("\nfiles that made most jobs run anew:".to_owned());
        let rows = reuse.spoilers.iter().take(SPOILERS).map(|spoiler| {
            let commits = count(spoiler.commits, "commit");
            let (runs, jobs) = (count(spoiler.runs, "run"), count(spoiler.jobs.len(), "job"));
            [format!("  {}", spoiler.path), format!("{runs} of {jobs}, {commits}")]
        });
        table(line, [String::new(), String::new()], rows.collect());
        let more = reuse.spoilers.len().saturating_sub(SPOILERS);
        if more > 0 {
            line(format!("  and {more} more; `--format json` has all of them"));
        }
    }
}

/// How many commits, and from when to when.
#[must_use]
pub fn span(replay: &Replay) -> String {
    let commits = count(replay.commits.len(), "commit");
    match (replay.commits.last(), replay.commits.first()) {
        (Some(first), Some(last)) => {
            let (from, to) = (day(first.committed_at), day(last.committed_at));
            if from == to {
                format!("{commits} of {to}")
            } else {
                format!("{commits}, {from} to {to}")
            }
        }
        _ => commits,
    }
}

/// Returns a share in whole percent.
#[must_use]
pub fn percent(part: usize, of: usize) -> usize {
    (part * 100 + of / 2).checked_div(of).unwrap_or_default()
}

/// Returns the start of an object id.
#[must_use]
pub fn short(id: &str) -> &str {
    &id[..id.len().min(10)]
}

fn list(line: &mut dyn FnMut(String), what: &str, commits: &[Difference]) {
    line(format!(
        "\n{} would have run {what}{}",
        count(commits.len(), "commit"),
        if commits.is_empty() { "" } else { ":" }
    ));
    for commit in commits.iter().take(COMMITS) {
        let id = commit.commit.to_string();
        let id = short(&id);
        line(format!("  {id}  {}  {}", day(commit.committed_at), one_line(&commit.summary)));
        line(format!("              {}", what_differs(commit)));
    }
    if commits.len() > COMMITS {
        line(format!("  and {} more; `--format json` has all of them", commits.len() - COMMITS));
    }
}

/// The lanes, or where no whole lane differs, the jobs.
#[must_use]
pub fn what_differs(commit: &Difference) -> String {
    let names = |names: Vec<String>| names.join(", ");
    if commit.lanes.is_empty() {
        format!("jobs {}", names(commit.jobs.iter().map(ToString::to_string).collect()))
    } else {
        format!("lanes {}", names(commit.lanes.iter().map(ToString::to_string).collect()))
    }
}

/// Writes rows in columns, below their heads unless these are empty.
fn table<const N: usize>(line: &mut dyn FnMut(String), heads: [String; N], rows: Vec<[String; N]>) {
    let all: Vec<[String; N]> = std::iter::once(heads).chain(rows).collect();
    let widths: Vec<usize> =
        (0..N).map(|at| all.iter().map(|row| width(&row[at])).max().unwrap_or_default()).collect();
    for row in all {
        let mut text = String::new();
        for (at, cell) in row.iter().enumerate().filter(|(at, _)| widths[*at] > 0) {
            let gap = " ".repeat(widths[at] - width(cell));
            // Numbers end below each other.
            let number =
                cell.starts_with(|c: char| c.is_ascii_digit()) && at > 0 && at + 1 < N.max(4);
            let (before, after) = if number { (gap.as_str(), "") } else { ("", gap.as_str()) };
            text.extend([before, cell, after, "  "]);
        }
        if !text.trim_end().is_empty() {
            line(text);
        }
    }
}
