//! The workspace as one job sees it: read-only, scratch, or a copy that stays; and what else it sees.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    mounts::Mounts,
    protocol::{Start, View},
};
use crate::{
    directory,
    fault::{FailureKind, Fault},
};

/// A view that was made for one job.
pub(super) struct Seen {
    /// The directory that is the job's workspace.
    pub(super) workspace: PathBuf,
    /// Mounts that go with the job, in the order they were made.
    mounted: Vec<PathBuf>,
}

impl Seen {
    /// Makes the view of a job.
    pub(super) fn make(
        start: &Start,
        mounts: &mut Mounts,
        notes: &mut Vec<String>,
    ) -> Result<Self, Fault> {
        let mut seen = Self { workspace: PathBuf::new(), mounted: Vec::new() };
        let made = seen
            .make_workspace(start, mounts, notes)
            .and_then(|()| seen.make_mounts(start, mounts));
        match made {
            Ok(()) => Ok(seen),
            Err(fault) => {
                seen.leave(mounts);
                Err(fault)
            }
        }
    }

    /// Takes the view away.
    pub(super) fn leave(self, mounts: &Mounts) {
        for at in self.mounted.iter().rev() {
            mounts.hide(at);
        }
    }

    fn make_workspace(
        &mut self,
        start: &Start,
        mounts: &mut Mounts,
        notes: &mut Vec<String>,
    ) -> Result<(), Fault> {
        match &start.view {
            View::ReadOnly(tree) => match mounts.refused() {
                None => {
                    mounts.read_only(tree).map_err(|error| fault(tree, "read-only", &error))?;
                    self.workspace.clone_from(tree);
                }
                Some(why) => {
                    // The tree itself is shared and must not be written to, so the job gets a copy
                    // whose modes say no; root is above modes.
                    notes.push(format!(
                        "the source tree is read-only by its modes alone: no mounts here ({why})"
                    ));
                    let copy = start.dir.join("workspace");
                    directory::copy(tree, &copy).map_err(|error| fault(&copy, "copy", &error))?;
                    directory::forbid_writing(&copy)
                        .map_err(|error| fault(&copy, "read-only", &error))?;
                    self.workspace = copy;
                }
            },
            View::Scratch(tree) => {
                let at = start.dir.join("workspace");
                match self.overlay(start, tree, &at, mounts) {
                    Ok(()) => {}
                    Err(_) => {
                        let _ = fs::remove_dir(&at);
                        directory::copy(tree, &at).map_err(|error| fault(&at, "copy", &error))?;
                    }
                }
                self.workspace = at;
            }
            View::Kept(tree) => {
                // Dependents of every runtime start from it, so it is a plain directory.
                fs::create_dir_all(&start.output)
                    .map_err(|error| fault(&start.output, "directory", &error))?;
                let at = start.output.join("workspace");
                directory::copy(tree, &at).map_err(|error| fault(&at, "copy", &error))?;
                self.workspace = at;
            }
        }
        Ok(())
    }

    fn overlay(
        &mut self,
        start: &Start,
        tree: &Path,
        at: &Path,
        mounts: &Mounts,
    ) -> io::Result<()> {
        fs::create_dir(at)?;
        if mounts.refused().is_some() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let (upper, work) = (start.dir.join("upper"), start.dir.join("work"));
        fs::create_dir(&upper)?;
        fs::create_dir(&work)?;
        mounts.overlay(tree, &upper, &work, at)?;
        self.mounted.push(at.to_owned());
        Ok(())
    }

    fn make_mounts(&mut self, start: &Start, mounts: &mut Mounts) -> Result<(), Fault> {
        if start.mounts.is_empty() {
            return Ok(());
        }
        if let Some(why) = mounts.refused() {
            return Err(Fault::new(
                FailureKind::Workspace,
                format!(
                    "{} cannot be shown to the job: no mounts here ({why})",
                    start.mounts[0].to
                ),
            )
            .advice("run the executor as root or where user namespaces are allowed"));
        }
        for (number, bind) in start.mounts.iter().enumerate() {
            let (from, to) = (Path::new(&bind.from), Path::new(&bind.to));
            if !from.exists() {
                return Err(Fault::new(
                    FailureKind::OutputMissing,
                    format!("{} is not there any more", bind.from),
                ));
            }
            if !to.is_dir() {
                let scratch = start.dir.join(format!("root-{number}"));
                fs::create_dir(&scratch)
                    .and_then(|()| mounts.make_room(to, &scratch))
                    .map_err(|error| fault(to, "mount point", &error))?;
            }
            mounts.show(from, to).map_err(|error| fault(to, "mount", &error))?;
            self.mounted.push(to.to_owned());
        }
        Ok(())
    }
}

fn fault(path: &Path, what: &str, error: &io::Error) -> Fault {
    Fault::io(FailureKind::Workspace, format!("{what} at {}", path.display()), error)
}
