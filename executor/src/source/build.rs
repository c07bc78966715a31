//! Making a tree's files: shared with a tree that is there already where nothing changed, written
//! from the repository's objects otherwise.
//!
//! Every name is created relative to the handle of a directory that was just made, never through a
//! path: no symlink of a hostile tree leads a write anywhere.

use std::{
    ffi::{CString, OsStr},
    fs::File,
    io::{self, Read},
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Path, PathBuf},
};

use plans::FileMode;
use rustix::{
    fs::{AtFlags, CWD, Mode, OFlags, fchmod, linkat, mkdirat, openat, symlinkat},
    io::Errno,
};

use super::{
    SourceRequest,
    git::{Entry, Git},
    list::Listing,
    store::failed,
};
use crate::fault::{FailureKind, Fault};

/// A symlink's target is at most this long (`PATH_MAX`).
const LONGEST_TARGET: u64 = 4096;

/// Makes `entries`, sorted by path, in the empty directory `into`.
pub(super) fn build(
    git: Git<'_>,
    entries: &[Entry],
    nearest: Option<&(Listing, PathBuf, File)>,
    into: &Path,
) -> Result<Listing, Fault> {
    let mut sizes = vec![0; entries.len()];
    let mut missing = Vec::new();
    let mut dirs = Dirs::open(into)?;
    let mut have = nearest.map(|(listing, ..)| listing.0.iter().peekable());
    let mut from = match nearest {
        Some((_, files, _)) => Some(Dirs::open(files)?),
        None => None,
    };
    for (index, entry) in entries.iter().enumerate() {
        let known = have.as_mut().and_then(|have| {
            while have.next_if(|(known, _)| known.path < entry.path).is_some() {}
            have.peek().filter(|(known, _)| known == entry).map(|(_, size)| *size)
        });
        let linked = match (known, &mut from) {
            (Some(size), Some(from)) if is_file(entry) => {
                sizes[index] = size;
                dirs.link(from, entry)?
            }
            _ => false,
        };
        if linked {
            continue;
        }
        if entry.kind == FileMode::Submodule {
            dirs.make(entry)?;
        } else {
            missing.push(index);
        }
    }
    let objects: Vec<&str> = missing.iter().map(|&index| &*entries[index].object).collect();
    git.read(&objects, &mut |number, size, content| {
        let index = missing[number];
        sizes[index] = size;
        dirs.write(&entries[index], size, content)
    })?;
    Ok(Listing(entries.iter().cloned().zip(sizes).collect()))
}

fn is_file(entry: &Entry) -> bool {
    matches!(entry.kind, FileMode::File | FileMode::Executable)
}

/// A directory and the handles on the way to where something was made last.
struct Dirs {
    root: PathBuf,
    handle: OwnedFd,
    open: Vec<(Box<[u8]>, OwnedFd)>,
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Dirs {
    fn open(root: &Path) -> Result<Self, Fault> {
        let handle = openat(CWD, root, DIRECTORY, Mode::empty())
            .map_err(|error| failed("opening", root, &error.into()))?;
        Ok(Self { root: root.to_owned(), handle, open: Vec::new() })
    }

    fn failed(&self, entry: &Entry, error: &io::Error) -> Fault {
        failed("making", &self.root.join(OsStr::from_bytes(&entry.path)), error)
    }

    /// Goes to the directory of an entry, making it if `make`; returns it with the entry's name.
    fn enter<'a>(&mut self, entry: &'a Entry, make: bool) -> io::Result<(&OwnedFd, &'a [u8])> {
        let mut components: Vec<&[u8]> = entry.path.split(|byte| *byte == b'/').collect();
        let name = components.pop().unwrap_or_default();
        let same = self
            .open
            .iter()
            .zip(&components)
            .take_while(|((have, _), want)| **have == ***want)
            .count();
        self.open.truncate(same);
        for component in &components[same..] {
            let parent = self.open.last().map_or(&self.handle, |(_, handle)| handle);
            if make {
                match mkdirat(parent, *component, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let handle = openat(parent, *component, DIRECTORY, Mode::empty())?;
            if make {
                // The umask took part in the mode at creation.
                fchmod(&handle, Mode::from_raw_mode(0o755))?;
            }
            self.open.push(((*component).into(), handle));
        }
        Ok((self.open.last().map_or(&self.handle, |(_, handle)| handle), name))
    }

    /// Shares a file of another tree; `false` when that cannot be.
    fn link(&mut self, from: &mut Self, entry: &Entry) -> Result<bool, Fault> {
        let Ok((source, name)) = from.enter(entry, false) else { return Ok(false) };
        let linked = self.enter(entry, true).and_then(|(target, _)| {
            match linkat(source, name, target, name, AtFlags::empty()) {
                Ok(()) => Ok(true),
                // Too many links, another file system, or not there: it is written instead.
                Err(Errno::MLINK | Errno::XDEV | Errno::NOENT | Errno::PERM) => Ok(false),
                Err(error) => Err(error.into()),
            }
        });
        linked.map_err(|error| self.failed(entry, &error))
    }

    /// Makes an empty directory: what a submodule is without its repository.
    fn make(&mut self, entry: &Entry) -> Result<(), Fault> {
        let made = self
            .enter(entry, true)
            .and_then(|(parent, name)| Ok(mkdirat(parent, name, Mode::from_raw_mode(0o755))?));
        made.map_err(|error| self.failed(entry, &error))
    }

    /// Writes a file or symlink.
    fn write(&mut self, entry: &Entry, size: u64, content: &mut dyn Read) -> Result<(), Fault> {
        let written = self.enter(entry, true).and_then(|(parent, name)| {
            if entry.kind == FileMode::Symlink {
                if size > LONGEST_TARGET {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "a symlink's target is too long",
                    ));
                }
                let mut target = Vec::new();
                content.read_to_end(&mut target)?;
                return Ok(symlinkat(CString::new(target)?, parent, name)?);
            }
            let mode = if entry.kind == FileMode::Executable { 0o755 } else { 0o644 };
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mut file = File::from(openat(parent, name, flags, Mode::from_raw_mode(0o600))?);
            if io::copy(content, &mut file)? != size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(fchmod(&file, Mode::from_raw_mode(mode))?)
        });
        written.map_err(|error| self.failed(entry, &error))
    }
}

/// Turns a directory of files into a shallow checkout of head: a repository with that one commit,
/// whose index knows the files.
pub(super) fn make_checkout(
    git: Git<'_>,
    wanted: &SourceRequest,
    files: &Path,
) -> Result<(), Fault> {
    let head = wanted.source.head.as_ref().ok_or_else(|| {
        Fault::new(FailureKind::SourceMissing, "the plan has no commit to check out")
            .advice("plan a commit instead of a list of changed files")
    })?;
    let repository = super::git::common_dir(git)?;
    let here = Git { repository: files, environment: git.environment };
    here.ask(["init", "--quiet", "--template=", "."])?;
    // Any commit may be asked for: the repository is the user's own.
    let mut fetch = here.command();
    fetch
        .args(["fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head"])
        .arg("--upload-pack=git -c uploadpack.allowAnySHA1InWant=true upload-pack")
        .arg(&repository)
        .arg(format!("{head}:refs/forge-lanes/head"));
    run(here, fetch)?;
    // The files are copied or overlaid for each job: only size and time can tell them apart.
    here.ask(["config", "core.checkStat", "minimal"])?;
    here.ask(["config", "core.trustctime", "false"])?;
    here.ask(["update-ref", "--no-deref", "HEAD", head.as_str()])?;
    here.ask(["update-ref", "-d", "refs/forge-lanes/head"])?;
    here.ask(["reset", "--quiet", "--mixed", "HEAD"])?;
    Ok(())
}

fn run(git: Git<'_>, mut command: std::process::Command) -> Result<(), Fault> {
    let output =
        command.output().map_err(|error| failed("running git in", git.repository, &error))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let said = text.lines().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
    Err(Fault::new(FailureKind::SourceMissing, format!("checking out head: {}", said.trim())))
}
