//! Keeping what a job leaves: artifacts by glob, an output directory. Runs where the job's view is.

use std::path::{Path, PathBuf};

use plans::Output;

use super::{protocol::Start, slot::Slot, view::MountedView};
use crate::{
    artifacts::{
        self, Collected,
        local::{self, LocalTree},
    },
    directory,
    fault::{FailureKind, Fault},
    supervise::{Ended, Reason},
};

/// Keeps what is asked for of a job that ended so.
pub(super) fn keep(
    start: &Start,
    slot: &Slot,
    seen: &MountedView,
    ended: &Ended,
) -> Result<Collected, Fault> {
    let asks_for_nothing = start.keep.artifacts.is_empty() && start.keep.outputs.is_empty();
    let mut collected = if asks_for_nothing && slot.has_no_artifacts() {
        // As most jobs: there is nothing to list, and nothing that an earlier collection could have left.
        Collected::default()
    } else {
        let own = LocalTree::open(&slot.artifacts());
        let workspace = LocalTree::open(&seen.workspace);
        let secrets: Vec<&str> = start.secrets.values().map(String::as_str).collect();
        let outputs = (&start.keep.outputs, &*secrets);
        artifacts::keep(&own, &workspace, &start.keep.artifacts, outputs, &start.artifacts)?
    };
    if let Some(output) = &start.keep.output {
        if ended.reason == Reason::Exited && ended.code == Some(0) {
            collected.output = keep_output(start, seen, output)?;
        }
        if collected.output.is_none() {
            // Nobody will ever use what is there.
            directory::remove(&start.output).map_err(|error| {
                Fault::io(FailureKind::Collect, "removing a useless output", &error)
            })?;
        }
    }
    Ok(collected)
}

fn keep_output(
    start: &Start,
    seen: &MountedView,
    output: &Output,
) -> Result<Option<String>, Fault> {
    let path: PathBuf = match output {
        Output::Workspace => start.output.join("workspace"),
        Output::StorePath => match std::fs::canonicalize(start.output.join("result")) {
            Ok(path) => path,
            Err(_) => return Ok(None),
        },
        Output::Directory(below) => {
            let Some(from) = local::below(&seen.workspace, below.as_str()) else {
                return Ok(None);
            };
            let to = start.output.join("directory");
            copy_out(&from, &start.output, &to).map_err(|error| {
                Fault::io(FailureKind::Collect, format!("keeping {below}"), &error)
            })?;
            to
        }
    };
    Ok(path.to_str().map(str::to_owned))
}

/// Copies whole or not at all.
fn copy_out(from: &Path, parent: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(parent)?;
    let new = parent.join(".new");
    directory::copy(from, &new)?;
    std::fs::rename(new, to)
}
