//! A slot: the directories one job at a time writes into, taken over by the next one when they are
//! empty. A machine has as many as it ever ran jobs at once, so the paths jobs see stay the same
//! from run to run, and a job that writes no file makes none (ext4 is slow to hand out inodes again
//! that were given back in the last seconds).
//!
//! `N/lock` is locked by the supervisor that has the slot and names the job that is in it; beside
//! it stand `tmp`, `artifacts`, and `view` with whatever the job's workspace needs.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use super::tree::kill_cookie;
use crate::directory;

/// More jobs at once than this are a mistake somewhere.
const MOST: usize = 4096;

/// A slot that this process has.
pub(super) struct Slot {
    dir: PathBuf,
    lock: File,
}

impl Slot {
    /// Takes the first free slot below a directory, and clears what a killed supervisor left in it.
    pub(super) fn take(slots: &Path) -> io::Result<Self> {
        fs::create_dir_all(slots)?;
        for number in 0..MOST {
            if let Some(slot) = Self::try_take(slots.join(number.to_string()), true)? {
                return Ok(slot);
            }
        }
        Err(io::Error::other(format!("all {MOST} slots in {} are taken", slots.display())))
    }

    fn try_take(dir: PathBuf, make: bool) -> io::Result<Option<Self>> {
        if make {
            private_dir(&dir)?;
        }
        let opened = File::options().read(true).append(true).create(make).open(dir.join("lock"));
        let lock = match opened {
            Ok(lock) => lock,
            Err(error) if !make && error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        let mut slot = Self { dir, lock };
        if let Some(job) = slot.occupant()? {
            if !kill_cookie(&job).1 {
                // A process that cannot be killed keeps the slot.
                return Ok(None);
            }
            slot.wipe()?;
        }
        for dir in [slot.tmp(), slot.artifacts()] {
            private_dir(&dir)?;
        }
        Ok(Some(slot))
    }

    /// The job's private temporary directory.
    pub(super) fn tmp(&self) -> PathBuf {
        self.dir.join("tmp")
    }

    /// Where the job puts artifacts of its own.
    pub(super) fn artifacts(&self) -> PathBuf {
        self.dir.join("artifacts")
    }

    /// Whether the job put nothing there.
    pub(super) fn has_no_artifacts(&self) -> bool {
        is_pristine(&self.artifacts())
    }

    /// Where the job's workspace and what it is made of goes; not there until something is made.
    pub(super) fn view(&self) -> PathBuf {
        self.dir.join("view")
    }

    /// Writes down which job comes in, by its cookie.
    pub(super) fn enter(&mut self, cookie: &str) -> io::Result<()> {
        self.lock.set_len(0)?;
        self.lock.write_all(cookie.as_bytes())
    }

    /// Makes the slot as it was before the job. Every process of it is gone.
    pub(super) fn leave(&mut self) -> io::Result<()> {
        for dir in [self.tmp(), self.artifacts()] {
            if !is_pristine(&dir) {
                directory::remove(&dir)?;
                private_dir(&dir)?;
            }
        }
        if self.view().symlink_metadata().is_ok() {
            directory::remove(&self.view())?;
        }
        self.lock.set_len(0)
    }

    fn wipe(&mut self) -> io::Result<()> {
        for dir in [self.tmp(), self.artifacts(), self.view()] {
            directory::remove(&dir)?;
        }
        self.lock.set_len(0)
    }

    fn occupant(&mut self) -> io::Result<Option<String>> {
        let mut job = String::new();
        self.lock.rewind()?;
        self.lock.read_to_string(&mut job)?;
        Ok(Some(job).filter(|job| !job.is_empty()))
    }
}

/// Returns the cookies of the jobs that killed supervisors left in slots.
pub(crate) fn abandoned(slots: &Path) -> Vec<String> {
    each(slots, |dir| {
        let mut lock = File::open(dir.join("lock")).ok()?;
        lock.try_lock_shared().ok()?;
        let mut job = String::new();
        lock.read_to_string(&mut job).ok()?;
        Some(job).filter(|job| !job.is_empty())
    })
}

/// Clears the slots that a killed supervisor of that job left.
pub(crate) fn clear_abandoned(slots: &Path, cookie: &str) -> io::Result<()> {
    let cleared = each(slots, |dir| {
        let text = fs::read_to_string(dir.join("lock")).ok()?;
        (text == cookie).then(|| Slot::try_take(dir, false).map(drop))
    });
    cleared.into_iter().collect()
}

fn each<T>(slots: &Path, look: impl Fn(PathBuf) -> Option<T>) -> Vec<T> {
    let Ok(entries) = fs::read_dir(slots) else { return Vec::new() };
    entries.flatten().filter_map(|entry| look(entry.path())).collect()
}

fn private_dir(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    }
}

/// Whether a directory is as it was made: empty, its owner's alone.
fn is_pristine(dir: &Path) -> bool {
    let own = |found: fs::Metadata| {
        found.is_dir()
            && found.mode() & 0o7777 == 0o700
            && found.uid() == rustix::process::geteuid().as_raw()
    };
    fs::symlink_metadata(dir).is_ok_and(own)
        && fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_none())
}
