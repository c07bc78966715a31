//! The list of the files that a part of a job's work is made of: in a directory of its own on the job's machine,
//! which guests see like what a prepare node left.
//!
//! A path of the tree stands on each line, sorted. The list comes from the plan; who divided the files is no matter
//! here.

use std::path::Path;

use super::Work;
use crate::{
    artifacts::kept::KeptFiles,
    attempt::{Context, Phase},
    fault::{FailureKind, Fault},
    supervise::BindMount,
};

/// The variable that names the file.
pub(super) const VARIABLE: &str = "FORGE_LANES_SHARD_FILES";
/// The file's name in its directory.
const FILE: &str = "files";

/// Lets a process of the machine find the list of its part, if it has one.
///
/// # Errors
///
/// When the list cannot be had there.
pub(super) fn give(context: &Context<'_>, work: &mut Work) -> Result<(), Fault> {
    if let Some(dir) = place(context)? {
        work.env.insert(VARIABLE.to_owned(), format!("{dir}/{FILE}"));
    }
    Ok(())
}

/// The same for a guest, which sees the list's directory at `at`.
///
/// # Errors
///
/// As for [`give`].
pub(super) fn show(context: &Context<'_>, work: &mut Work, at: &str) -> Result<(), Fault> {
    if let Some(from) = place(context)? {
        work.env.insert(VARIABLE.to_owned(), format!("{at}/{FILE}"));
        work.mounts.push(BindMount { from, to: at.to_owned() });
    }
    Ok(())
}

/// Returns the directory on the machine that holds the list.
fn place(context: &Context<'_>) -> Result<Option<String>, Fault> {
    let Context { request, machine, control, .. } = context;
    let Some(files) = &request.node.member.files else { return Ok(None) };
    context.enter(Phase::Tree);
    let mut list = Vec::new();
    for path in files {
        list.extend_from_slice(path.as_bytes());
        list.push(b'\n');
    }
    let here = request.host_log.with_file_name("shard");
    write(&here, &list).map_err(|error| {
        Fault::io(FailureKind::Workspace, format!("writing {}", here.display()), &error)
    })?;
    let kept = KeptFiles::of_one(&here, FILE, &list, request.node.id.as_str());
    let into = format!("{}/shard", machine.attempt_dir(&request.job()));
    Ok(Some(machine.place_files(&kept, &into, control)?.path))
}

fn write(dir: &Path, list: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(dir)?;
    crate::files::replace(&dir.join(FILE), list)
}
