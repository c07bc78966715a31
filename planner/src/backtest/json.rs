//! A replay for programs: `format_version` 1, keys in a defined order.

use serde_json::{Value, json};

use super::{
    LaneRuns, Replay, Why,
    compare::{Comparison, Difference},
    human::Heading,
    reuse::Reuse,
};

/// Returns the replay as pretty JSON with a newline at its end.
#[must_use]
pub fn json(replay: &Replay, comparison: Option<&Comparison>, heading: &Heading<'_>) -> String {
    let commits: Vec<Value> = replay
        .commits
        .iter()
        .map(|commit| {
            json!({
                "commit": commit.commit.to_string(),
                "committed_at": commit.committed_at,
                "summary": commit.summary,
                "changed": commit.changed,
                "lanes": commit.lanes,
                "jobs": commit.jobs,
            })
        })
        .collect();
    let silent: Vec<Value> = replay
        .silent
        .iter()
        .map(|silent| {
            json!({
                "glob": silent.glob,
                "key": silent.key,
                "lanes": silent.lanes,
                "file": silent.file,
                "line": silent.line,
            })
        })
        .collect();
    let unplanned: Vec<Value> = replay
        .unplanned
        .iter()
        .map(|commit| {
            json!({
                "commit": commit.commit.to_string(),
                "summary": commit.summary,
                "because": commit.because,
            })
        })
        .collect();
    let mut document = json!({
        "format_version": "1.0",
        "with": heading.with,
        "lanes": replay.lanes.iter().map(lane).collect::<Vec<_>>(),
        "jobs": replay.jobs.iter().map(|(id, runs)| json!({ "id": id, "runs": runs })).collect::<Vec<_>>(),
        "never_fired": silent,
        "commits_with_uncovered_paths": replay.uncovered,
        "unplanned": unplanned,
        "commits": commits,
    });
    if let Some(time) = replay.machine_time {
        document["machine_secs"] = json!(time.as_secs_f64());
    }
    if let Some(reuse) = &replay.reuse {
        document["reuse"] = keys(reuse);
    }
    if let Some(comparison) = comparison {
        document["against"] = json!({
            "definitions": heading.against,
            "less": comparison.less.iter().map(difference).collect::<Vec<_>>(),
            "more": comparison.more.iter().map(difference).collect::<Vec<_>>(),
            "same": comparison.same,
        });
    }
    let mut text = serde_json::to_string_pretty(&document).expect("names and numbers are JSON");
    text.push('\n');
    text
}

fn keys(reuse: &Reuse) -> Value {
    let (runs, spared) = reuse.total();
    let jobs = reuse.jobs.iter().map(|job| {
        let mut value = json!({
            "id": job.id,
            "reuse": job.reuse,
            "runs": job.runs,
            "spared": job.spared,
        });
        if let Some(time) = job.machine_time {
            value["machine_secs"] = json!(time.as_secs_f64());
        }
        value
    });
    let spoilers = reuse.spoilers.iter().map(|spoiler| {
        json!({
            "path": spoiler.path,
            "commits": spoiler.commits,
            "runs": spoiler.runs,
            "jobs": spoiler.jobs,
        })
    });
    let mut value = json!({
        "runs": runs,
        "spared": spared,
        "jobs": jobs.collect::<Vec<_>>(),
        "redefined": reuse.redefined,
        "spoilers": spoilers.collect::<Vec<_>>(),
    });
    if let Some(time) = reuse.machine_time() {
        value["machine_secs"] = json!(time.as_secs_f64());
    }
    value
}

fn lane(lane: &LaneRuns) -> Value {
    let reasons: Vec<Value> = lane
        .reasons
        .iter()
        .map(|(why, commits)| {
            let (kind, of) = match why {
                Why::Glob(glob) => ("paths", Some(glob.clone())),
                Why::Always => ("always", None),
                Why::DefinitionChanged => ("definition_changed", None),
                Why::Entries(file) => ("changed_entries", Some(file.clone())),
                Why::RunAll(glob) => ("run_all", Some(glob.clone())),
                Why::Unmatched => ("unmatched", None),
                Why::NeededBy(lane) => ("needed_by", Some(lane.to_string())),
            };
            json!({ "kind": kind, "of": of, "commits": commits })
        })
        .collect();
    let mut value = json!({
        "id": lane.id,
        "title": lane.title,
        "gone": lane.gone,
        "runs": lane.runs,
        "planned": lane.planned,
        "reasons": reasons,
    });
    if let Some(time) = lane.machine_time {
        value["machine_secs"] = json!(time.as_secs_f64());
    }
    value
}

fn difference(commit: &Difference) -> Value {
    json!({
        "commit": commit.commit.to_string(),
        "committed_at": commit.committed_at,
        "summary": commit.summary,
        "lanes": commit.lanes,
        "jobs": commit.jobs,
    })
}
