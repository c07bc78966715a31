//! The workspace as one job sees it: read-only, scratch, or a copy that stays; and what else it sees.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use rustix::fs::{XattrFlags, lsetxattr};

use super::{
    mounts::Mounts,
    protocol::{ShownTree, Start, View},
};
use crate::{
    directory,
    fault::{FailureKind, Fault},
    supervise::CacheMount,
};

/// A view that was made for one job.
#[derive(Default)]
pub(super) struct MountedView {
    /// The directory that is the job's workspace.
    pub(super) workspace: PathBuf,
    /// Mounts that go with the job, in the order they were made.
    mounted: Vec<PathBuf>,
    /// Caches that were moved into the workspace, with where they belong.
    moved: Vec<(PathBuf, PathBuf)>,
    /// Keep the source tree from being removed, whatever becomes of the executor.
    trees_in_use: Vec<File>,
}

impl MountedView {
    /// Makes the view of a job. What it needs goes into `dir`, which is not there yet.
    pub(super) fn make(
        start: &Start,
        dir: PathBuf,
        mounts: &mut Mounts,
        notes: &mut Vec<String>,
    ) -> Result<Self, Fault> {
        let mut making = Making { dir, mounts, notes, seen: Self::default() };
        let made = making
            .workspace(&start.view, &start.output)
            .and_then(|()| start.mounts.iter().try_for_each(|bind| making.show(bind)))
            .and_then(|()| start.caches.iter().try_for_each(|cache| making.cache(cache)));
        let Making { seen, mounts, .. } = making;
        match made {
            Ok(()) => Ok(seen),
            Err(fault) => {
                seen.leave(mounts);
                Err(fault)
            }
        }
    }

    /// Takes the view away, but not what its directory holds: caches go back to where they belong.
    pub(super) fn leave(self, mounts: &Mounts) {
        for (at, belongs) in &self.moved {
            // One that does not come back is not kept.
            let _ = beside(at, || fs::rename(at, belongs));
        }
        for at in self.mounted.iter().rev() {
            mounts.hide(at);
        }
    }
}

/// A view in the making.
struct Making<'a> {
    dir: PathBuf,
    mounts: &'a mut Mounts,
    notes: &'a mut Vec<String>,
    seen: MountedView,
}

impl Making<'_> {
    fn workspace(&mut self, view: &View, output: &Path) -> Result<(), Fault> {
        let (View::ReadOnly(tree) | View::Scratch(tree) | View::Kept(tree)) = view;
        for dir in std::iter::once(&tree.path).chain(tree.layers.iter().skip(1)) {
            self.use_tree(dir)?;
        }
        self.seen.workspace = match view {
            View::ReadOnly(tree) => self.read_only(tree)?,
            View::Scratch(tree) => self.scratch(tree)?,
            // Dependents of every runtime start from it, so it is a plain directory.
            View::Kept(tree) => copied(tree, output)?,
        };
        Ok(())
    }

    /// Source trees have a file beside them that is locked by who uses them; other directories
    /// belong to the run.
    fn use_tree(&mut self, tree: &Path) -> Result<(), Fault> {
        let Some(lock) = tree.parent().and_then(|dir| File::open(dir.join("use")).ok()) else {
            return if tree.is_dir() { Ok(()) } else { Err(gone(tree)) };
        };
        let locked = lock.try_lock_shared().is_ok() && tree.is_dir();
        self.seen.trees_in_use.push(lock);
        if locked { Ok(()) } else { Err(gone(tree)) }
    }

    fn read_only(&mut self, tree: &ShownTree) -> Result<PathBuf, Fault> {
        let ShownTree { path, layers } = tree;
        let why = match self.mounts.refused() {
            Some(why) => Some(why.to_owned()),
            None if layers.is_empty() => {
                self.mounts.read_only(path).map_err(|error| fault(path, "a mount", &error))?;
                None
            }
            // They could be mounted where they were made.
            None => self.mounts.layers(layers, path).err().map(|error| error.to_string()),
        };
        let Some(why) = why else { return Ok(path.clone()) };
        // The tree itself is shared and must not be written to, so the job gets a copy whose modes
        // say no; root is above modes.
        self.notes.push(format!(
            "the source tree is read-only by its modes alone: no mounts here ({why})"
        ));
        let copy = copied(tree, &self.dir)?;
        directory::forbid_writing(&copy).map_err(|error| fault(&copy, "read-only", &error))?;
        Ok(copy)
    }

    fn scratch(&mut self, tree: &ShownTree) -> Result<PathBuf, Fault> {
        let at = self.dir.join("workspace");
        if self.mounts.refused().is_none() {
            match self.overlay(tree, &at) {
                Ok(()) => return Ok(at),
                // Not every file system can be below or above one: then a copy it is.
                Err(_) => directory::remove(&self.dir)
                    .map_err(|error| fault(&self.dir, "clearing", &error))?,
            }
        }
        copied(tree, &self.dir)
    }

    fn overlay(&mut self, tree: &ShownTree, at: &Path) -> io::Result<()> {
        let (upper, work) = (self.dir.join("upper"), self.dir.join("work"));
        fs::create_dir_all(at)?;
        fs::create_dir(&upper)?;
        fs::create_dir(&work)?;
        self.mounts.overlay(tree.directories(), &upper, &work, at)?;
        self.seen.mounted.push(at.to_owned());
        Ok(())
    }

    fn show(&mut self, bind: &crate::supervise::BindMount) -> Result<(), Fault> {
        let (from, to) = (Path::new(&bind.from), Path::new(&bind.to));
        if let Some(why) = self.mounts.refused() {
            return Err(Fault::new(
                FailureKind::Workspace,
                format!("{} cannot be shown to the job: no mounts here ({why})", bind.to),
            )
            .advice("run the executor as root, or where user namespaces are allowed"));
        }
        if !from.exists() {
            return Err(gone(from));
        }
        if !to.is_dir() {
            let scratch = self.dir.join(format!("room-{}", self.seen.mounted.len()));
            fs::create_dir_all(&scratch)
                .and_then(|()| self.mounts.make_room(to, &scratch))
                .map_err(|error| fault(to, "a mount point", &error))?;
        }
        self.mounts.show(from, to).map_err(|error| fault(to, "a mount", &error))?;
        self.seen.mounted.push(to.to_owned());
        Ok(())
    }
}

impl Making<'_> {
    /// Lets a cache appear in the workspace: mounted there, or moved into a workspace that is a copy.
    fn cache(&mut self, cache: &CacheMount) -> Result<(), Fault> {
        let at = self.reach(cache.at.as_str())?;
        let dir = Path::new(&cache.dir);
        let (data, lower) = (dir.join("data"), dir.join("lower"));
        let failed = |error: &io::Error| fault(&at, "a cache", error);
        let mounted = self.mounts.refused().is_none();
        if lower.is_dir() {
            if mounted && self.layers(dir, &at).is_ok() {
                self.seen.mounted.push(at);
                return Ok(());
            }
            // Not every file system can be above another.
            directory::copy(&lower, &data).map_err(|error| fault(&data, "a copy", &error))?;
        }
        if mounted {
            self.mounts.bind(&data, &at).map_err(|error| failed(&error))?;
            self.seen.mounted.push(at);
            return Ok(());
        }
        let moved = beside(&at, || directory::remove(&at).and_then(|()| fs::rename(&data, &at)));
        match moved {
            Ok(()) => self.seen.moved.push((at, data)),
            // Another file system: it is reached where it is.
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                beside(&at, || symlink(&data, &at)).map_err(|error| failed(&error))?;
            }
            Err(error) => return Err(failed(&error)),
        }
        Ok(())
    }

    fn layers(&self, dir: &Path, at: &Path) -> io::Result<()> {
        let (upper, work) = (dir.join("upper"), dir.join("work"));
        for made in [&upper, &work] {
            directory::remove(made)?;
            fs::create_dir(made)?;
        }
        // Where overlayfs cannot take notes it mounts nevertheless, and renames no directory.
        let noted = lsetxattr(&work, "trusted.overlay.noted", b"y", XattrFlags::empty());
        noted.inspect_err(|_| {
            let _ = directory::remove(&upper);
        })?;
        let lower = dir.join("lower");
        fs::set_permissions(&upper, fs::metadata(&lower)?.permissions())?;
        self.mounts.overlay(&[lower], &upper, &work, at).inspect_err(|_| {
            // What is there without a mount would be taken for what the job wrote.
            let _ = directory::remove(&upper);
        })
    }

    /// Returns a directory of the workspace, which is made where that can be. No link leads there.
    fn reach(&self, below: &str) -> Result<PathBuf, Fault> {
        let mut at = self.seen.workspace.clone();
        for name in below.split('/') {
            at.push(name);
            match at.symlink_metadata() {
                Ok(found) if found.is_dir() => {}
                Ok(_) => {
                    let what = format!("no cache at `{below}`: something else is in its way");
                    return Err(Fault::new(FailureKind::Workspace, what)
                        .advice("give the cache another path"));
                }
                Err(_) => {
                    beside(&at, || fs::create_dir(&at))
                        .map_err(|error| fault(&at, "a place for a cache", &error))?;
                }
            }
        }
        Ok(at)
    }
}

/// Changes the directory that something is in, which may be one that nobody may write to.
fn beside(path: &Path, change: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    let Some(parent) = path.parent() else { return change() };
    let before = fs::metadata(parent)?.permissions();
    if before.mode() & 0o200 != 0 {
        return change();
    }
    fs::set_permissions(parent, fs::Permissions::from_mode(before.mode() | 0o200))?;
    let changed = change();
    fs::set_permissions(parent, before)?;
    changed
}

/// Copies a tree into a directory, which is made, and returns where it is.
fn copied(tree: &ShownTree, into: &Path) -> Result<PathBuf, Fault> {
    let copy = into.join("workspace");
    let mut upwards = tree.directories().iter().rev();
    fs::create_dir_all(into)
        .and_then(|()| upwards.next().map_or(Ok(()), |base| directory::copy(base, &copy)))
        .and_then(|()| upwards.try_for_each(|layer| directory::lay(layer, &copy)))
        .map_err(|error| fault(&copy, "a copy", &error))?;
    Ok(copy)
}

fn gone(path: &Path) -> Fault {
    Fault::new(FailureKind::OutputMissing, format!("{} is not there any more", path.display()))
}

fn fault(path: &Path, what: &str, error: &io::Error) -> Fault {
    Fault::io(FailureKind::Workspace, format!("{what} at {}", path.display()), error)
}
