//! `executor history --passed`: which lanes passed at which commits, over the runs that are kept,
//! those that `gc` removed, and the files of other machines.
//!
//! Says what happened and decides nothing: what a lane is compared with is `planner plan --passed`'s
//! business. A run that cannot be read has passed nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use plans::{LaneId, LaneRun, ObjectId, Passed, Plan, lane_runs};

use super::kept;
use crate::{
    commands::{CliContext, current_dir, prepare, running},
    error::Error,
    exit_code::Exit,
    files, reporters,
    repository::Repository,
    state::{RunDir, StateDir},
};

/// What is asked.
pub(in crate::commands) struct Asked<'a> {
    /// Files to add.
    pub(in crate::commands) merge: &'a [PathBuf],
    /// Where to write; nothing: standard output.
    pub(in crate::commands) output: Option<&'a Path>,
}

pub(in crate::commands) fn run(context: &CliContext, asked: &Asked<'_>) -> Result<Exit, Error> {
    // Files may be merged where no repository is.
    let state = match context.state(&context.config()?) {
        Ok(state) => Some(state),
        Err(Error::Repository(_)) if !asked.merge.is_empty() => None,
        Err(error) => return Err(error),
    };
    let mut passed = Passed::default();
    for file in asked.merge {
        passed.merge(read(file)?);
    }
    if let Some(state) = state {
        of_state(&state, &mut passed)?;
    }
    let repository = current_dir().ok().and_then(|dir| Repository::discover(&dir).ok());
    let mut known: BTreeMap<ObjectId, bool> = BTreeMap::new();
    passed.trim(|commit| {
        let Some(repository) = &repository else { return false };
        *known.entry(commit.clone()).or_insert_with(|| repository.head_builds_upon(commit))
    });
    let text = passed.to_json();
    match asked.output {
        None => reporters::stdout().text(&text),
        Some(file) => files::replace(file, text.as_bytes()).map_err(|error| Error::File {
            what: "cannot write",
            path: file.display().to_string(),
            error,
        })?,
    }
    Ok(Exit::Done)
}

fn read(file: &Path) -> Result<Passed, Error> {
    let path = file.display().to_string();
    let bytes = std::fs::read(file).map_err(|error| Error::File {
        what: "cannot read",
        path: path.clone(),
        error,
    })?;
    Passed::from_json(&bytes).map_err(|error| Error::Passed { path, error })
}

/// Adds the runs of a state directory.
fn of_state(state: &StateDir, passed: &mut Passed) -> Result<(), Error> {
    let kept = kept::read(state);
    for run in kept.runs {
        for (lane, run) in run.lane_runs() {
            passed.add(&lane, run);
        }
    }
    for lane in kept.forgotten {
        passed.lanes.entry(lane).or_default().forgotten = true;
    }
    for dir in state.runs()? {
        for (lane, run) in of_run(&dir) {
            passed.add(&lane, run);
        }
    }
    Ok(())
}

/// What a run says of lanes. Nothing, if its plan cannot be read; without a record that can be
/// read, that none of its nodes passed.
pub(super) fn of_run(dir: &RunDir) -> Vec<(LaneId, LaneRun)> {
    let Ok(bytes) = prepare::read_plan(&dir.plan()) else { return Vec::new() };
    let Ok((plan, digest)) = Plan::from_json(&bytes) else { return Vec::new() };
    let record = running::read_record(dir).ok();
    let nodes = record.iter().flat_map(|record| &record.nodes);
    let passed: BTreeSet<&str> =
        nodes.filter(|node| node.counts_as_passed()).map(|node| node.id.as_str()).collect();
    lane_runs(&plan, &digest, dir.id.as_str(), |node| passed.contains(node.as_str()))
}
