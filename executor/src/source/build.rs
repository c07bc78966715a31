//! Making a tree's files: shared with a tree that is there already where nothing changed, written
//! from the repository's objects otherwise.
//!
//! Every name is created relative to the handle of a directory that was just made, never through a
//! path: no symlink of a hostile tree leads a write anywhere.

use std::{
    ffi::{CString, OsStr},
    fs::File,
    io::{self, Read},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt, fs::MetadataExt as _},
    },
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use plans::FileMode;
use rustix::{
    fs::{
        AtFlags, CWD, FileType, Mode, OFlags, fchmod, linkat, makedev, mkdirat, mknodat, openat,
        symlinkat,
    },
    io::Errno,
};

use super::{
    SourceRequest,
    git::{Entry, Git},
    list::Listing,
    store::failed,
};
use crate::{
    control::{Control, Level},
    fault::{FailureKind, Fault},
};

/// A symlink's target is at most this long (`PATH_MAX`).
const LONGEST_TARGET: u64 = 4096;

/// Fewer files than this are not worth another thread, and another git.
const SHARE: usize = 500;

/// How many parts there are for each thread: one that is slow with a part leaves the next ones to others.
const PARTS: usize = 4;

/// More threads than this make no tree faster: a file system has one way to its disk.
const MOST_THREADS: usize = 8;

/// Makes `entries`, sorted by path, in the empty directory `into`: on several threads, each of which takes a part of
/// the paths after the other and reads its objects from a git of its own. `control` ends it early, with what is there.
pub(super) fn build(
    git: Git<'_>,
    entries: &[Entry],
    nearest: Option<(&Listing, &Path)>,
    into: &Path,
    control: &Control,
) -> Result<Listing, Fault> {
    let mut sizes = vec![0; entries.len()];
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let parts = if threads == 1 { 1 } else { threads * PARTS };
    let share = entries.len().div_ceil(parts).max(SHARE);
    let stop = AtomicBool::new(false);
    let parts: Vec<_> = entries.chunks(share).zip(sizes.chunks_mut(share)).collect();
    let others = parts.len().min(threads).saturating_sub(1);
    let parts = Mutex::new(parts);
    let next = || parts.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let work = || {
        while let Some((entries, sizes)) = next() {
            let built = build_part(git, entries, sizes, nearest, into, (&stop, control));
            if built.is_err() {
                stop.store(true, Ordering::Relaxed);
                return built;
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        // Where there is no other thread, this one makes all parts.
        let begin = |_| std::thread::Builder::new().spawn_scoped(scope, work).ok();
        let helpers: Vec<_> = (0..others).filter_map(begin).collect();
        let own = work();
        helpers.into_iter().fold(own, |built, helper| match helper.join() {
            // Whatever stopped the others is what is told.
            Ok(theirs) => built.and(theirs),
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    drop(parts);
    Ok(Listing(entries.iter().cloned().zip(sizes).collect()))
}

/// Makes the part of a tree that these entries are; not all of it once another part has failed.
fn build_part(
    git: Git<'_>,
    entries: &[Entry],
    sizes: &mut [u64],
    nearest: Option<(&Listing, &Path)>,
    into: &Path,
    (stop, control): (&AtomicBool, &Control),
) -> Result<(), Fault> {
    let ends = || match control.level() {
        Level::Run => stop.load(Ordering::Relaxed),
        Level::Cancel | Level::Kill => true,
    };

    let mut missing = Vec::new();
    let mut dirs = Dirs::open(into)?;
    let mut have = nearest.map(|(listing, _)| {
        let known = &listing.0;
        let first = entries.first().map_or(known.len(), |first| {
            known.partition_point(|(known, _)| known.path < first.path)
        });
        known[first..].iter().peekable()
    });
    let mut from = match nearest {
        Some((_, files)) => Some(Dirs::open(files)?),
        None => None,
    };
    for (index, entry) in entries.iter().enumerate() {
        if ends() {
            break;
        }
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
    let read = git.read(&objects, &mut |number, size, content| {
        if ends() {
            return Err(Fault::cancelled());
        }
        let index = missing[number];
        sizes[index] = size;
        dirs.write(&entries[index], size, content)
    });
    match read {
        _ if control.level() > Level::Run => Err(Fault::cancelled()),
        // Its fault is told by the part that has it.
        Err(_) if stop.load(Ordering::Relaxed) => Ok(()),
        read => read,
    }
}

fn is_file(entry: &Entry) -> bool {
    matches!(entry.kind, FileMode::File | FileMode::Executable)
}

/// A directory and the handles on the way to where something was made last.
struct Dirs {
    root: PathBuf,
    handle: OwnedFd,
    open: Vec<(Box<[u8]>, OwnedFd)>,
    /// The modes that new files have as they are asked for, whatever the umask and the directory say.
    obeyed: Vec<u32>,
}

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

impl Dirs {
    fn open(root: &Path) -> Result<Self, Fault> {
        let handle = openat(CWD, root, DIRECTORY, Mode::empty())
            .map_err(|error| failed("opening", root, &error.into()))?;
        Ok(Self { root: root.to_owned(), handle, open: Vec::new(), obeyed: Vec::new() })
    }

    fn failed(&self, path: &[u8], error: &io::Error) -> Fault {
        failed("making", &self.root.join(OsStr::from_bytes(path)), error)
    }

    /// Goes to the directory that a path is in, making it if `make`; returns it with the name there.
    fn enter<'a>(&mut self, path: &'a [u8], make: bool) -> io::Result<(&OwnedFd, &'a [u8])> {
        let mut components: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
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
        let Ok((source, name)) = from.enter(&entry.path, false) else { return Ok(false) };
        let linked = self.enter(&entry.path, true).and_then(|(target, _)| {
            match linkat(source, name, target, name, AtFlags::empty()) {
                Ok(()) => Ok(true),
                // Too many links, another file system, or not there: it is written instead.
                Err(Errno::MLINK | Errno::XDEV | Errno::NOENT | Errno::PERM) => Ok(false),
                Err(error) => Err(error.into()),
            }
        });
        linked.map_err(|error| self.failed(&entry.path, &error))
    }

    /// Makes an empty directory: what a submodule is without its repository.
    fn make(&mut self, entry: &Entry) -> Result<(), Fault> {
        let made = self
            .enter(&entry.path, true)
            .and_then(|(parent, name)| Ok(mkdirat(parent, name, Mode::from_raw_mode(0o755))?));
        made.map_err(|error| self.failed(&entry.path, &error))
    }

    /// Writes a file or symlink.
    fn write(&mut self, entry: &Entry, size: u64, content: &mut dyn Read) -> Result<(), Fault> {
        let mode = if entry.kind == FileMode::Executable { 0o755 } else { 0o644 };
        let is_obeyed = self.obeyed.contains(&mode);
        let mut obeys = false;
        let written = self.enter(&entry.path, true).and_then(|(parent, name)| {
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
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let mut file = File::from(openat(parent, name, flags, Mode::from_raw_mode(mode))?);
            if io::copy(content, &mut file)? != size {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if is_obeyed {
                return Ok(());
            }
            obeys = file.metadata()?.mode() & 0o7777 == mode;
            if !obeys {
                fchmod(&file, Mode::from_raw_mode(mode))?;
            }
            Ok(())
        });
        if obeys {
            self.obeyed.push(mode);
        }
        written.map_err(|error| self.failed(&entry.path, &error))
    }
}

/// Says in a layer of overlayfs that what is below it at these paths is not there: a character device 0/0, which anybody
/// may make (Linux 5.8).
pub(super) fn white_out(paths: &[Box<[u8]>], layer: &Path) -> Result<(), Fault> {
    let mut dirs = Dirs::open(layer)?;
    for path in paths {
        let made = dirs.enter(path, true).and_then(|(parent, name)| {
            Ok(mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), makedev(0, 0))?)
        });
        made.map_err(|error| dirs.failed(path, &error))?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_tree_that_nobody_wants_any_more_is_not_made() {
        let dir = tempfile::tempdir().expect("a directory");
        let entry = |number: usize| Entry {
            path: format!("d{number:04}/file").into_bytes().into(),
            kind: FileMode::Submodule,
            object: "0".repeat(40).into(),
        };
        let entries: Vec<Entry> = (0..3 * SHARE).map(entry).collect();
        let git = Git { repository: dir.path(), environment: &BTreeMap::new() };
        let control = Control::new().expect("a token");
        let made = |control| build(git, &entries, None, dir.path(), control);
        control.raise(Level::Cancel);
        let fault = made(&control).map(drop).expect_err("cancelled");
        assert!(fault.to_string().contains("cancelled"), "{fault}");
        assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), 0);
        made(&Control::new().expect("a token")).expect("nobody stops it");
        assert_eq!(std::fs::read_dir(dir.path()).expect("a directory").count(), entries.len());
    }
}
