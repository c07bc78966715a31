//! `executor list` and `executor status`: how runs stand.

use serde::Serialize;

use super::{CliContext, running};
use crate::{
    error::Error,
    exit_code::Exit,
    outcome::LaneOutcome,
    record::{LaneRecord, Record, RunOutcome},
    reporters,
    state::RunDir,
    text::{self, push},
};

/// One run in a list.
#[derive(Serialize)]
struct Listed {
    run_id: String,
    outcome: RunOutcome,
    started_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    finished_at: Option<String>,
    plan_digest: String,
    lanes: Vec<LaneRecord>,
    directory: String,
    /// Why nothing more is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    damaged: Option<String>,
}

impl Listed {
    fn of(dir: &RunDir) -> Self {
        let directory = dir.path().display().to_string();
        match running::read_record(dir) {
            Ok(record) => Self {
                run_id: dir.id.to_string(),
                outcome: record.outcome,
                started_at: record.started_at,
                finished_at: record.finished_at,
                plan_digest: record.plan_digest,
                lanes: record.lanes,
                directory,
                damaged: None,
            },
            // One damaged run must not hide the others.
            Err(error) => Self {
                run_id: dir.id.to_string(),
                outcome: RunOutcome::Interrupted,
                started_at: String::new(),
                finished_at: None,
                plan_digest: String::new(),
                lanes: Vec::new(),
                directory,
                damaged: Some(error.to_string()),
            },
        }
    }
}

pub(super) fn list(context: &CliContext, json: bool) -> Result<Exit, Error> {
    #[derive(Serialize)]
    struct List {
        runs: Vec<Listed>,
    }
    let state = context.state(&context.config()?)?;
    let runs: Vec<Listed> = state.runs()?.iter().map(Listed::of).collect();
    let mut out = reporters::stdout();
    if json {
        let text = serde_json::to_string_pretty(&List { runs }).expect("plain data");
        out.text(&format!("{text}\n"));
        return Ok(Exit::Done);
    }
    for run in runs {
        let lanes = match &run.damaged {
            Some(why) => text::neutral(why),
            None => LaneOutcome::ALL
                .into_iter()
                .filter_map(|outcome| {
                    let number = run.lanes.iter().filter(|lane| lane.outcome == outcome).count();
                    (number > 0).then(|| format!("{number} {outcome}"))
                })
                .collect::<Vec<_>>()
                .join(", "),
        };
        out.text(&format!("{}  {:<12}  {lanes}\n", run.run_id, run.outcome));
    }
    Ok(Exit::Done)
}

pub(super) fn status(context: &CliContext, run: Option<&str>, json: bool) -> Result<Exit, Error> {
    let state = context.state(&context.config()?)?;
    let dir = state.find(run)?;
    let record = running::read_record(&dir)?;
    let text = if json { record.to_json() } else { for_people(&record, &dir) };
    reporters::stdout().text(&text);
    Ok(Exit::Done)
}

fn for_people(record: &Record, dir: &RunDir) -> String {
    let mut shown = format!("run {}: {}\n", record.run_id, record.outcome);
    let mut line = |key: &str, value: &str| {
        push!(shown, "{key:<10}{}\n", text::neutral(value));
    };
    line("plan", &record.plan_digest);
    line("started", &record.started_at);
    if let Some(finished) = &record.finished_at {
        line("finished", finished);
    }
    if let Some(stopped) = &record.stopped {
        line("stopped", stopped);
    }
    if let Some(of) = &record.rerun_of {
        line("rerun of", of);
    }
    match (record.outcome, dir.holder()) {
        (RunOutcome::Running, Some(holder)) => line("held by", &holder.to_string()),
        (RunOutcome::Interrupted, _) => {
            line("resume", &format!("executor resume {}", record.run_id));
        }
        _ => {}
    }
    line("directory", &dir.path().display().to_string());
    if !record.nodes.is_empty() {
        shown.push('\n');
    }
    for node in &record.nodes {
        let why = node.waits_for.as_deref().or(node.because.as_deref()).or(node.message.as_deref());
        let why = why.map(text::neutral);
        let why = why.or_else(|| {
            node.exit_code.filter(|code| *code != 0).map(|code| format!("exit code {code}"))
        });
        let took = node.duration_ms.map(std::time::Duration::from_millis).map(text::duration);
        let word = if node.attempts > 0 && node.duration_ms.is_none() {
            "running"
        } else if node.because.as_deref() == Some("it has not run yet") {
            "waiting"
        } else {
            node.outcome.as_str()
        };
        push!(shown, "{word:>12}  {}", text::neutral(&node.id));
        if let Some(remark) = node.remark() {
            push!(shown, " ({remark})");
        }
        for part in [took, why].into_iter().flatten() {
            push!(shown, "  {part}");
        }
        shown.push('\n');
        for (name, value) in &node.outputs {
            push!(shown, "{:>14}left {name} = {}\n", "", text::neutral(value));
        }
        for cache in &node.caches {
            push!(shown, "{:>14}cache {}\n", "", cache.in_words());
        }
        for given in &node.files_from {
            push!(shown, "{:>14}given {}\n", "", text::neutral(&given.in_words()));
        }
    }
    if !record.lanes.is_empty() {
        shown.push('\n');
    }
    shown.push_str(&reporters::verdicts(record, |outcome| outcome.to_string()));
    shown
}
