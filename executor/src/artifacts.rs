//! Artifacts: files of a directory a job wrote into, chosen by glob, copied without being led astray.
//!
//! A job is not trusted with its artifacts: a symlink that leaves the directory, a device or a pipe
//! is refused and named, nothing outside is ever read, and nothing but regular files is written.

use std::{
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2};

use crate::{
    directory::{for_people, oddity},
    fault::{FailureKind, Fault},
    placements::Collected,
};

/// At most this many refusals are named; the rest is counted.
const NAMED: usize = 20;

/// The globs of one job: `*` and `?` stay inside a component, `**` is any number of them.
pub(crate) struct Globs {
    set: GlobSet,
    /// Where a match can be at all: the literal directories that the globs begin with.
    bases: Vec<PathBuf>,
}

impl Globs {
    /// Compiles globs; the planner checked them, so one that does not compile is a broken plan.
    pub(crate) fn new(globs: &[String]) -> Result<Self, Fault> {
        let broken = |error: &globset::Error| {
            Fault::new(FailureKind::Collect, format!("the plan has a broken glob: {error}"))
        };
        let mut set = GlobSetBuilder::new();
        let mut bases: Vec<PathBuf> = Vec::new();
        for glob in globs {
            let built = GlobBuilder::new(glob).literal_separator(true).build();
            set.add(built.map_err(|error| broken(&error))?);
            bases.push(literal_base(glob));
        }
        bases.sort();
        // A base below another one is covered by it.
        bases.dedup_by(|later, earlier| later.starts_with(earlier));
        Ok(Self { set: set.build().map_err(|error| broken(&error))?, bases })
    }

    pub(crate) fn matches(&self, path: &Path) -> bool {
        self.set.is_match(path)
    }
}

fn literal_base(glob: &str) -> PathBuf {
    let mut components: Vec<&str> = glob.split('/').collect();
    // The last component is a file's.
    components.pop();
    components
        .into_iter()
        .take_while(|component| !component.contains(['*', '?', '[', '{', '\\']))
        .filter(|component| !matches!(*component, "" | "." | ".."))
        .collect()
}

/// Makes a directory ready for what is about to be collected: a collection that was cut short by the end of its executor
/// may have left half a file there, and begins anew.
pub(crate) fn begin(into: &Path) -> Result<(), Fault> {
    crate::directory::remove(into).map_err(|error| {
        let what = format!("removing what was collected before, {}", into.display());
        Fault::io(FailureKind::Collect, what, &error)
    })
}

/// Copies the files below `root` that match into `into`, at the same relative paths; a path that is
/// taken already stays as it is.
pub(crate) fn keep(
    root: &Path,
    globs: &[String],
    into: &Path,
    collected: &mut Collected,
) -> Result<(), Fault> {
    let globs = Globs::new(globs)?;
    let Ok(handle) =
        openat(CWD, root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    else {
        return Ok(());
    };
    let mut kept = Keeping { globs: &globs, root, handle, into, collected };
    for base in &globs.bases {
        if fs::symlink_metadata(root.join(base)).is_ok_and(|found| found.is_dir()) {
            kept.directory(base)?;
        }
    }
    Ok(())
}

struct Keeping<'a> {
    globs: &'a Globs,
    root: &'a Path,
    handle: OwnedFd,
    into: &'a Path,
    collected: &'a mut Collected,
}

impl Keeping<'_> {
    fn directory(&mut self, below: &Path) -> Result<(), Fault> {
        let dir = self.root.join(below);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) => {
                self.refuse(below, &error.to_string());
                return Ok(());
            }
        };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = below.join(entry.file_name());
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                self.directory(&path)?;
            } else if self.globs.matches(&path) {
                match oddity(kind) {
                    Some(what) => self.refuse(&path, &format!("it is {what}")),
                    None => self.file(&path)?,
                }
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path) -> Result<(), Fault> {
        // The kernel itself refuses to leave the directory, whatever links lie on the way; a pipe
        // at the end of one does not block.
        let opened = openat2(
            &self.handle,
            path,
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        );
        let mut source = match opened {
            Ok(source) => File::from(source),
            Err(rustix::io::Errno::XDEV) => {
                self.refuse(path, "it is a link that leads out of the directory");
                return Ok(());
            }
            Err(rustix::io::Errno::NOENT | rustix::io::Errno::LOOP) => {
                self.refuse(path, "it is a link that leads nowhere");
                return Ok(());
            }
            Err(error) => {
                self.refuse(path, &error.to_string());
                return Ok(());
            }
        };
        let metadata = match source.metadata() {
            Ok(metadata) if metadata.is_file() => metadata,
            _ => {
                self.refuse(path, "it is a link to something that is no file");
                return Ok(());
            }
        };
        let to = self.into.join(path);
        let copied = copy_into(&mut source, &to, metadata.mode());
        match copied {
            Ok(Some(bytes)) => {
                self.collected.files += 1;
                self.collected.bytes += bytes;
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => Err(Fault::io(
                FailureKind::Collect,
                format!("keeping artifact {}", for_people(path)),
                &error,
            )),
        }
    }

    fn refuse(&mut self, path: &Path, why: &str) {
        let refused = &mut self.collected.refused;
        if refused.len() < NAMED {
            refused.push(format!("{}: {why}", for_people(path)));
        } else if refused.len() == NAMED {
            refused.push("… and more".to_owned());
        }
    }
}

/// Copies to a new file; `None` when there is one already.
fn copy_into(source: &mut File, to: &Path, mode: u32) -> io::Result<Option<u64>> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    let opened = File::options().write(true).create_new(true).mode(0o600).open(to);
    let mut target = match opened {
        Ok(target) => target,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(error),
    };
    let bytes = io::copy(source, &mut target)?;
    // No set-user-id bit comes back, and the owner can always read and remove what came.
    target.set_permissions(fs::Permissions::from_mode((mode & 0o755) | 0o600))?;
    Ok(Some(bytes))
}

/// Returns the directory `below` a root, if it is there and no link leads out of the root.
pub(crate) fn below(root: &Path, below: &str) -> Option<PathBuf> {
    let root = fs::canonicalize(root).ok()?;
    let path = fs::canonicalize(root.join(below)).ok()?;
    (path.starts_with(&root) && path.is_dir()).then_some(path)
}
