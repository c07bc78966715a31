//! Artifacts: the one rule by which files come back from where a job wrote them, whatever the machine or guest.
//!
//! `keep` decides; a `Tree` lists, looks and brings: `local` on this machine, `placements::ssh` on a host,
//! `runtimes::tart` in a guest (what the two ask of a shell is in `shell`). A job is not trusted with its
//! artifacts: nothing outside of the two directories is ever read, only regular files are written, and each file
//! that is left out is told with its reason. The rule in words is in `docs/executor.md`.

mod collected;
pub(crate) mod kept;
mod links;
pub(crate) mod local;
pub(crate) mod outputs;
pub(crate) mod shell;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

pub use collected::Collected;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use plans::OutputName;

use crate::{
    directory::{self, for_people},
    fault::{FailureKind, Fault},
};

/// At most this many files that are left out are named; all are counted.
const NAMED: usize = 1000;

/// A directory that a job wrote into, wherever it is.
pub trait Tree {
    /// Returns what is at or below these paths that is no directory, and directories that cannot be read. No link
    /// is followed, also not on the way to them; nothing, if the tree itself is not there or a link.
    ///
    /// # Errors
    ///
    /// When the machine or guest cannot be asked.
    fn list(&self, below: &[PathBuf]) -> Result<Vec<FoundFile>, Fault>;

    /// Returns what is at each path, of which no component but the last may be a link.
    ///
    /// # Errors
    ///
    /// When the machine or guest cannot be asked.
    fn inspect(&self, paths: &[PathBuf]) -> Result<Vec<Found>, Fault>;

    /// Returns the first `most` bytes of a regular file; nothing, if there is none at that path, or one that cannot
    /// be read. No link is followed.
    ///
    /// # Errors
    ///
    /// When the machine or guest cannot be asked.
    fn read(&self, path: &Path, most: usize) -> Result<Option<Vec<u8>>, Fault>;

    /// Copies regular files to the same paths below `into`, a directory that it makes. One that cannot be read is
    /// not there afterwards.
    ///
    /// # Errors
    ///
    /// When the files cannot be sent, or not be written here.
    fn bring(&self, files: &[PathBuf], into: &Path) -> Result<(), Fault>;
}

/// A directory that is known to hold nothing: nobody has to be asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoFiles;

impl Tree for NoFiles {
    fn list(&self, _: &[PathBuf]) -> Result<Vec<FoundFile>, Fault> {
        Ok(Vec::new())
    }

    fn inspect(&self, paths: &[PathBuf]) -> Result<Vec<Found>, Fault> {
        Ok(vec![Found::Nothing; paths.len()])
    }

    fn read(&self, _: &Path, _: usize) -> Result<Option<Vec<u8>>, Fault> {
        Ok(None)
    }

    fn bring(&self, _: &[PathBuf], _: &Path) -> Result<(), Fault> {
        Ok(())
    }
}

/// Something in a tree that is no directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct FoundFile {
    /// Relative to the tree.
    pub path: PathBuf,
    /// What it is.
    pub kind: FileKind,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A socket.
    Socket,
    /// A named pipe.
    Pipe,
    /// A device, or whatever else a system has.
    Device,
    /// A directory that cannot be read.
    Closed,
}

impl FileKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Link => "a link",
            Self::Socket => "a socket",
            Self::Pipe => "a named pipe",
            Self::Device => "a device",
            Self::Closed => "a directory that cannot be read",
        }
    }
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A directory.
    Directory,
    /// A link, with what it says.
    Link(PathBuf),
    /// Something else.
    Other(FileKind),
}

/// The globs of one job: `*` and `?` stay inside a component, `**` is any number of them.
struct Globs<'a> {
    texts: &'a [String],
    set: GlobSet,
    /// Where a match can be at all: what the globs begin with before any of their special characters.
    bases: Vec<PathBuf>,
}

impl<'a> Globs<'a> {
    /// Compiles globs; the planner checked them, so one that does not compile is a broken plan.
    fn new(texts: &'a [String]) -> Result<Self, Fault> {
        let broken = |error: &globset::Error| {
            Fault::new(FailureKind::Collect, format!("the plan has a broken glob: {error}"))
        };
        let mut set = GlobSetBuilder::new();
        let mut bases: Vec<PathBuf> = Vec::new();
        for glob in texts {
            let built = GlobBuilder::new(glob).literal_separator(true).build();
            set.add(built.map_err(|error| broken(&error))?);
            bases.push(literal_base(glob));
        }
        bases.sort();
        // A base below another one is covered by it.
        bases.dedup_by(|later, earlier| later.starts_with(earlier));
        Ok(Self { texts, set: set.build().map_err(|error| broken(&error))?, bases })
    }
}

fn literal_base(glob: &str) -> PathBuf {
    glob.split('/')
        .take_while(|component| !component.contains(['*', '?', '[', ']', '{', '}', '\\', '!']))
        .filter(|component| !matches!(*component, "" | "." | ".."))
        .collect()
}

/// Keeps the files of a job's own artifacts directory and of its workspace that the globs name below `into`, and
/// reads its outputs, in which none of `secrets` may be. Every
/// other file of its own directory is told as left out: a job wrote it there to be kept.
pub(crate) fn keep(
    own: &dyn Tree,
    workspace: &dyn Tree,
    globs: &[String],
    (declared, secrets): (&BTreeSet<OutputName>, &[&str]),
    into: &Path,
) -> Result<Collected, Fault> {
    let globs = Globs::new(globs)?;
    let outputs = outputs::read(own, declared, secrets)?;
    let mut keeping = Keeping {
        matched: vec![false; globs.texts.len()],
        globs: &globs,
        into,
        incoming: into.with_file_name(".artifacts-incoming"),
        taken: BTreeSet::new(),
        collected: Collected { outputs, ..Collected::default() },
    };
    // A collection that was cut short by the end of its executor may have left half of it there: it begins anew.
    directory::remove(into).map_err(|error| keeping.unwritable(&error))?;
    let kept = keeping.all(own, workspace);
    let gone = directory::remove(&keeping.incoming);
    kept?;
    gone.map_err(|error| keeping.unwritable(&error))?;
    let Keeping { matched, mut collected, .. } = keeping;
    collected.left.sort();
    if collected.left_out > NAMED as u64 {
        collected.left.push("… and more".to_owned());
    }
    let unmatched = globs.texts.iter().zip(matched).filter(|(_, matched)| !matched);
    collected.unmatched = unmatched.map(|(glob, _)| glob.clone()).collect();
    Ok(collected)
}

struct Keeping<'a> {
    globs: &'a Globs<'a>,
    /// Which of the globs named something.
    matched: Vec<bool>,
    into: &'a Path,
    /// Where files are until they are whole.
    incoming: PathBuf,
    taken: BTreeSet<PathBuf>,
    collected: Collected,
}

impl Keeping<'_> {
    fn all(&mut self, own: &dyn Tree, workspace: &dyn Tree) -> Result<(), Fault> {
        let mut entries = own.list(&[PathBuf::new()])?;
        entries.retain(|entry| entry.path != Path::new(outputs::FILE));
        self.tree(own, entries, true)?;
        if !self.globs.texts.is_empty() {
            let entries = workspace.list(&self.globs.bases)?;
            self.tree(workspace, entries, false)?;
        }
        Ok(())
    }

    fn tree(
        &mut self,
        tree: &dyn Tree,
        mut entries: Vec<FoundFile>,
        own: bool,
    ) -> Result<(), Fault> {
        entries.sort();
        entries.dedup();
        let mut files = BTreeMap::new();
        let mut links = Vec::new();
        for FoundFile { path, kind } in entries {
            let named = self.globs.set.matches(&path);
            for &glob in &named {
                self.matched[glob] = true;
            }
            match kind {
                // What is in it is not known.
                FileKind::Closed if own || self.globs.may_be_below(&path) => {
                    self.leave(&path, &format!("it is {}", kind.as_str()));
                }
                _ if named.is_empty() => {
                    if own {
                        self.leave(&path, "no glob of `artifacts` names it");
                    }
                }
                _ if self.taken.contains(&path) => {
                    self.leave(&path, "$ARTIFACTS_DIR has one of that name");
                }
                FileKind::File => {
                    files.insert(path.clone(), path);
                }
                FileKind::Link => links.push(path),
                _ => self.leave(&path, &format!("it is {}", kind.as_str())),
            }
        }
        for (link, led) in links::resolve(tree, links)? {
            match led {
                Ok(file) => {
                    files.insert(link, file);
                }
                Err(why) => self.leave(&link, &why),
            }
        }
        if files.is_empty() {
            return Ok(());
        }
        let real: BTreeSet<&PathBuf> = files.values().collect();
        let real: Vec<PathBuf> = real.into_iter().cloned().collect();
        directory::remove(&self.incoming).map_err(|error| self.unwritable(&error))?;
        tree.bring(&real, &self.incoming)?;
        let (links, plain): (Vec<_>, Vec<_>) =
            files.into_iter().partition(|(name, file)| name != file);
        // Those under another name first: they are copies of what is then moved.
        for (name, file) in links.into_iter().chain(plain) {
            self.place(name, &file)?;
        }
        Ok(())
    }

    /// Puts a file that came where it belongs.
    fn place(&mut self, name: PathBuf, file: &Path) -> Result<(), Fault> {
        let from = self.incoming.join(file);
        let Some(found) = fs::symlink_metadata(&from).ok().filter(fs::Metadata::is_file) else {
            self.leave(&name, "it cannot be read");
            return Ok(());
        };
        let to = self.into.join(&name);
        let made = to.parent().map_or(Ok(()), fs::create_dir_all);
        let placed = made.and_then(|()| {
            if name == file { fs::rename(&from, &to) } else { fs::copy(&from, &to).map(drop) }
        });
        match placed {
            Ok(()) => {
                self.collected.files += 1;
                self.collected.bytes += found.size();
                self.taken.insert(name);
                Ok(())
            }
            Err(error) if stands_in_the_way(&error) => {
                self.leave(&name, "something else has its place, or one of its directories'");
                Ok(())
            }
            Err(error) => Err(self.unwritable(&error)),
        }
    }

    fn leave(&mut self, path: &Path, why: &str) {
        let Collected { left, left_out, .. } = &mut self.collected;
        *left_out += 1;
        if left.len() < NAMED {
            left.push(format!("{}: {why}", for_people(path)));
        }
    }

    fn unwritable(&self, error: &io::Error) -> Fault {
        let what = format!("keeping artifacts in {}", self.into.display());
        Fault::io(FailureKind::Collect, what, error)
    }
}

impl Globs<'_> {
    /// Returns whether something below a directory could be named.
    fn may_be_below(&self, directory: &Path) -> bool {
        self.bases.iter().any(|base| base.starts_with(directory) || directory.starts_with(base))
    }
}

fn stands_in_the_way(error: &io::Error) -> bool {
    use io::ErrorKind::{AlreadyExists, DirectoryNotEmpty, IsADirectory, NotADirectory};
    matches!(error.kind(), AlreadyExists | DirectoryNotEmpty | IsADirectory | NotADirectory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_is_looked_for_below_its_plain_beginning_only() {
        for (glob, expected) in [
            ("target/nextest/**/junit.xml", "target/nextest"),
            ("**/x", ""),
            ("a b/c.txt", "a b/c.txt"),
            ("out/{a,b}/c", "out"),
            ("{a/b,c}/d", ""),
            ("out/\\*/c", "out"),
        ] {
            assert_eq!(literal_base(glob), Path::new(expected), "{glob}");
        }
    }
}
