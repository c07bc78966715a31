//! A tree of artifacts on this machine, read through handles that no link leads out of.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use super::{FileKind, Found, FoundFile, Tree};
use crate::fault::{FailureKind, Fault};

/// A directory of this machine. `None` in it: it is not there, or is a link.
#[derive(Debug)]
pub(crate) struct LocalTree(Option<OwnedFd>);

impl LocalTree {
    /// Opens a directory. A job may have put a link in its place: that is not followed.
    pub(crate) fn open(root: &Path) -> Self {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self(openat(CWD, root, flags, Mode::empty()).ok())
    }

    /// Opens a regular file to be read. No link is followed.
    pub(crate) fn file(&self, path: &Path) -> Option<File> {
        let file = open(self.0.as_ref()?, path)?;
        file.metadata().is_ok_and(|found| found.is_file()).then_some(file)
    }

    /// The tree as a path, which stays with the directory whatever is put in its place.
    fn root(&self) -> Option<PathBuf> {
        self.0.as_ref().map(|handle| PathBuf::from(format!("/proc/self/fd/{}", handle.as_raw_fd())))
    }
}

impl Tree for LocalTree {
    fn list(&self, below: &[PathBuf]) -> Result<Vec<FoundFile>, Fault> {
        let mut entries = Vec::new();
        let Some(root) = self.root() else { return Ok(entries) };
        for base in below {
            let mut ancestors: Vec<&Path> = base.ancestors().skip(1).collect();
            ancestors.retain(|ancestor| !ancestor.as_os_str().is_empty());
            let is_plain = |path: &&Path| {
                fs::symlink_metadata(root.join(path)).is_ok_and(|found| found.is_dir())
            };
            if !ancestors.iter().all(is_plain) {
                continue;
            }
            let kind = match base.as_os_str().is_empty() {
                true => fs::metadata(&root),
                false => fs::symlink_metadata(root.join(base)),
            };
            if let Ok(found) = kind {
                walk(&root, base, found.file_type(), &mut entries);
            }
        }
        Ok(entries)
    }

    fn inspect(&self, paths: &[PathBuf]) -> Result<Vec<Found>, Fault> {
        let root = self.root();
        let inspect = |path: &PathBuf| {
            let path = root.as_ref()?.join(path);
            let kind = fs::symlink_metadata(&path).ok()?.file_type();
            Some(match kind.is_symlink() {
                true => Found::Link(fs::read_link(&path).ok()?),
                false if kind.is_dir() => Found::Directory,
                false => Found::Other(kind_of(kind)),
            })
        };
        Ok(paths.iter().map(|path| inspect(path).unwrap_or(Found::Nothing)).collect())
    }

    fn read(&self, path: &Path, most: usize) -> Result<Option<Vec<u8>>, Fault> {
        let Some(file) = self.file(path) else { return Ok(None) };
        let mut bytes = Vec::new();
        let read = file.take(most as u64).read_to_end(&mut bytes);
        read.map_err(|error| {
            let what = format!("reading {}", crate::directory::for_people(path));
            Fault::io(FailureKind::Collect, what, &error)
        })?;
        Ok(Some(bytes))
    }

    fn bring(&self, files: &[PathBuf], into: &Path) -> Result<(), Fault> {
        let Some(handle) = &self.0 else { return Ok(()) };
        for path in files {
            let Some(source) = open(handle, path) else { continue };
            copy(source, &into.join(path)).map_err(|error| {
                let what = format!("keeping artifact {}", crate::directory::for_people(path));
                Fault::io(FailureKind::Collect, what, &error)
            })?;
        }
        Ok(())
    }
}

/// Opens a file to be read. The kernel itself refuses links, and a pipe that was put there since does not block.
fn open(root: &OwnedFd, path: &Path) -> Option<File> {
    let opened = openat2(
        root,
        path,
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS,
    );
    opened.ok().map(File::from)
}

fn walk(root: &Path, path: &Path, kind: fs::FileType, entries: &mut Vec<FoundFile>) {
    if !kind.is_dir() {
        entries.push(FoundFile { path: path.to_owned(), kind: kind_of(kind) });
        return;
    }
    let Ok(found) = fs::read_dir(root.join(path)) else {
        entries.push(FoundFile { path: path.to_owned(), kind: FileKind::Closed });
        return;
    };
    for entry in found.flatten() {
        if let Ok(kind) = entry.file_type() {
            walk(root, &path.join(entry.file_name()), kind, entries);
        }
    }
}

fn kind_of(kind: fs::FileType) -> FileKind {
    if kind.is_file() {
        FileKind::File
    } else if kind.is_symlink() {
        FileKind::Link
    } else if kind.is_socket() {
        FileKind::Socket
    } else if kind.is_fifo() {
        FileKind::Pipe
    } else {
        FileKind::Device
    }
}

fn copy(mut source: File, to: &Path) -> io::Result<()> {
    let metadata = source.metadata()?;
    if !metadata.is_file() {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut target = File::options().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut target)?;
    target.set_permissions(fs::Permissions::from_mode(kept_mode(metadata.mode())))
}

/// No set-user-id bit comes back, and the owner can always read and remove what came.
pub(crate) fn kept_mode(mode: u32) -> u32 {
    (mode & 0o755) | 0o600
}

/// Returns the directory `below` a root, if it is there and no link leads out of the root.
pub(crate) fn below(root: &Path, below: &str) -> Option<PathBuf> {
    let root = fs::canonicalize(root).ok()?;
    let path = fs::canonicalize(root.join(below)).ok()?;
    (path.starts_with(&root) && path.is_dir()).then_some(path)
}
