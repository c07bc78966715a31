//! Artifacts that other nodes take: their list with checksums, made when they are here, and what of them
//! a node takes, compared with it again before anything of them is used.
//!
//! The list is `artifacts.list` beside the directory, and is written only for nodes whose files somebody takes.
//! Owns which files are taken and that they are what was kept; how they come to a machine is
//! [`crate::placements`]', how they become part of a workspace is [`crate::runtimes`]'.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::{
        fd::AsRawFd as _,
        unix::{
            ffi::{OsStrExt as _, OsStringExt as _},
            fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
        },
    },
    path::{Path, PathBuf},
};

use plans::{FilesFrom, glob::Glob};
use rustix::fs::{AtFlags, CWD, linkat};
use sha2::{Digest as _, Sha256};

use super::{FileKind, Tree as _, local::LocalTree};
use crate::{
    attempt::FilesNeeded,
    control::{Control, Level},
    directory::for_people,
    fault::{FailureKind, Fault},
    files,
    ssh::{Manifest, ManifestEntry, What},
    text,
};

/// The list's name, beside the directory of artifacts.
pub(crate) const LIST: &str = "artifacts.list";

/// What names of files as a tree begin with; those of source trees are hexadecimal.
const NAMED: &str = "files-";

/// How much of a file is read at once.
const PIECE: usize = 256 * 1024;

/// Writes the list of what is in a directory of artifacts; of nothing, if it is not there.
///
/// # Errors
///
/// When a file cannot be read, or the list not be written.
pub(crate) fn write_list(artifacts: &Path) -> Result<(), Fault> {
    let failed = |error: &io::Error| {
        Fault::io(FailureKind::Collect, format!("listing {}", artifacts.display()), error)
    };
    let tree = LocalTree::open(artifacts);
    let mut entries = Vec::new();
    let mut piece = vec![0; PIECE];
    for found in tree.list(&[PathBuf::new()])? {
        // Nothing else is ever kept.
        if found.kind != FileKind::File {
            continue;
        }
        let mut file = tree.file(&found.path).ok_or_else(|| {
            let what = format!("artifact {} cannot be read", for_people(&found.path));
            Fault::new(FailureKind::Collect, what)
        })?;
        let executable = file.metadata().map_err(|error| failed(&error))?.mode() & 0o100 != 0;
        let (digest, size) =
            hash(&mut file, &mut piece, &mut io::sink()).map_err(|error| failed(&error))?;
        let what = What::File { executable, size, digest };
        entries.push(ManifestEntry { path: found.path.into_os_string().into_vec(), what });
    }
    let list = artifacts.with_file_name(LIST);
    let text = Manifest::from_entries(entries).encode();
    files::replace(&list, &text).map_err(|error| failed(&error))
}

/// Files of a node that another takes.
#[derive(Debug)]
pub struct KeptFiles {
    /// The directory of all of the node's artifacts.
    artifacts: PathBuf,
    /// The node, for people.
    node: String,
    /// Those that are taken.
    pub(crate) list: Manifest,
}

impl KeptFiles {
    /// Finds what a node takes.
    ///
    /// # Errors
    ///
    /// [`FailureKind::Files`] when a glob brings nothing; another kind when the list cannot be read.
    pub(crate) fn of(needed: &FilesNeeded) -> Result<Self, Fault> {
        let FilesFrom { node, files, at: _ } = &needed.from;
        let artifacts = needed.artifacts.clone();
        let all = read_list(&artifacts, node.as_str())?;
        let mut taken = vec![false; all.entries().len()];
        let mut nothing = Vec::new();
        for glob in files {
            let matcher = Glob::new(glob).map_err(|problem| {
                let what = format!("the plan has a broken glob: {problem}");
                Fault::new(FailureKind::Workspace, what)
            })?;
            let mut brought = false;
            for (entry, taken) in all.entries().iter().zip(&mut taken) {
                if matcher.is_match(&entry.path) {
                    (*taken, brought) = (true, true);
                }
            }
            if !brought {
                nothing.push(format!("`{}`", text::neutral(glob)));
            }
        }
        if !nothing.is_empty() {
            let globs = nothing.join(", ");
            return Err(Fault::new(
                FailureKind::Files,
                format!("`{node}` left no file that matches {globs}"),
            )
            .advice(match all.entries().len() {
                0 => format!("`{node}` left no artifacts at all: see its `artifacts` and its log"),
                some => format!(
                    "`{node}` left {}: compare `files` with its `artifacts`",
                    text::count(some, "file")
                ),
            }));
        }
        let entries = all.entries().iter().zip(taken).filter(|(_, taken)| *taken);
        let list = Manifest::from_entries(entries.map(|(entry, _)| entry.clone()).collect());
        Ok(Self { artifacts, node: node.to_string(), list })
    }

    /// Returns one file with that content, which is in a directory of its own here, made for a node.
    pub(crate) fn of_one(dir: &Path, name: &str, content: &[u8], node: &str) -> Self {
        let digest = Sha256::digest(content).into();
        let what = What::File { executable: false, size: content.len() as u64, digest };
        let entry = ManifestEntry { path: name.as_bytes().to_vec(), what };
        let list = Manifest::from_entries(vec![entry]);
        Self { artifacts: dir.to_owned(), node: node.to_owned(), list }
    }

    /// Takes all that a node left, of the directory of its artifacts.
    ///
    /// # Errors
    ///
    /// When the list beside it cannot be read.
    pub(crate) fn all(artifacts: PathBuf, node: &str) -> Result<Self, Fault> {
        let list = read_list(&artifacts, node)?;
        Ok(Self { artifacts, node: node.to_owned(), list })
    }

    /// Returns what names them: equal files at equal paths have an equal name.
    pub(crate) fn id(&self) -> String {
        let digest = Sha256::digest(self.list.encode());
        format!("{NAMED}{}", &text::hex(&digest)[..40])
    }

    /// Returns whether a tree's name is such a one, and no source tree's.
    pub(crate) fn is_name(name: &str) -> bool {
        name.starts_with(NAMED)
    }

    /// Returns the directory that they are below.
    pub(crate) fn root(&self) -> &Path {
        &self.artifacts
    }

    /// Returns how many they are.
    pub(crate) fn count(&self) -> u64 {
        self.list.entries().len() as u64
    }

    /// Returns the bytes of all of them.
    pub(crate) fn bytes(&self) -> u64 {
        let size = |entry: &ManifestEntry| match entry.what {
            What::File { size, .. } => size,
            _ => 0,
        };
        self.list.entries().iter().map(size).sum()
    }

    /// Compares them with their checksums.
    ///
    /// # Errors
    ///
    /// When one is not what it was, or cannot be read, or `control` rises meanwhile.
    pub(crate) fn verify(&self, control: &Control) -> Result<(), Fault> {
        let mut piece = vec![0; PIECE];
        self.each(control, |entry, mut file| {
            let (digest, _) = hash(&mut file, &mut piece, &mut io::sink())
                .map_err(|error| self.failed(&error))?;
            self.compare(entry, digest)
        })
    }

    /// Puts them into a directory that is made for them, compared with their checksums: linked where they have the
    /// modes that files in a workspace have, else copied.
    ///
    /// # Errors
    ///
    /// As for [`Self::verify`], and when they cannot be written.
    pub(crate) fn stage(&self, into: &Path, control: &Control) -> Result<(), Fault> {
        let unwritable = |error: &io::Error| {
            Fault::io(FailureKind::Workspace, format!("making {}", into.display()), error)
        };
        make_directory(into).map_err(|error| unwritable(&error))?;
        let mut piece = vec![0; PIECE];
        let mut made = PathBuf::new();
        let mut links = true;
        self.each(control, |entry, mut file| {
            let path = Path::new(std::ffi::OsStr::from_bytes(&entry.path));
            let parent = path.parent().unwrap_or(Path::new(""));
            if parent != made {
                make_directories(into, parent).map_err(|error| unwritable(&error))?;
                parent.clone_into(&mut made);
            }
            let to = into.join(path);
            let mode = match entry.what {
                What::File { executable: true, .. } => 0o755,
                _ => 0o644,
            };
            let found = file.metadata().map_err(|error| self.failed(&error))?;
            if links && found.mode() & 0o7777 == mode {
                let (digest, _) = hash(&mut file, &mut piece, &mut io::sink())
                    .map_err(|error| self.failed(&error))?;
                self.compare(entry, digest)?;
                let open = format!("/proc/self/fd/{}", file.as_raw_fd());
                if linkat(CWD, open, CWD, &to, AtFlags::SYMLINK_FOLLOW).is_ok() {
                    return Ok(());
                }
                // Another file system: no reason to ask for each.
                links = false;
                io::Seek::rewind(&mut file).map_err(|error| self.failed(&error))?;
            }
            let copy = || -> io::Result<[u8; 32]> {
                let mut target =
                    File::options().write(true).create_new(true).mode(mode).open(&to)?;
                let (digest, _) = hash(&mut file, &mut piece, &mut target)?;
                target.set_permissions(fs::Permissions::from_mode(mode))?;
                Ok(digest)
            };
            let digest = { copy }().map_err(|error| unwritable(&error))?;
            self.compare(entry, digest)
        })
    }

    fn each(
        &self,
        control: &Control,
        mut with: impl FnMut(&ManifestEntry, File) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let tree = LocalTree::open(&self.artifacts);
        for entry in self.list.entries() {
            if control.level() > Level::Run {
                return Err(Fault::cancelled());
            }
            let path = Path::new(std::ffi::OsStr::from_bytes(&entry.path));
            match tree.file(path) {
                Some(file) => with(entry, file)?,
                None => return Err(self.damaged(entry, "is not there any more")),
            }
        }
        Ok(())
    }

    fn compare(&self, entry: &ManifestEntry, found: [u8; 32]) -> Result<(), Fault> {
        match entry.what {
            What::File { digest, .. } if digest == found => Ok(()),
            _ => Err(self.damaged(entry, "is not what it was when it was kept")),
        }
    }

    fn damaged(&self, entry: &ManifestEntry, what: &str) -> Fault {
        let path = for_people(Path::new(std::ffi::OsStr::from_bytes(&entry.path)));
        damaged(&format!("artifact `{path}` of `{}` {what}", self.node))
    }

    fn failed(&self, error: &io::Error) -> Fault {
        Fault::io(
            FailureKind::OutputMissing,
            format!("reading artifacts of `{}`", self.node),
            error,
        )
    }
}

fn damaged(what: &str) -> Fault {
    Fault::new(FailureKind::OutputMissing, what)
        .advice("a power cut, or somebody, changed what the run had kept: apply the plan anew")
}

/// Reads the list of a node; of one that left nothing it is empty.
fn read_list(artifacts: &Path, node: &str) -> Result<Manifest, Fault> {
    let path = artifacts.with_file_name(LIST);
    match fs::read(&path) {
        Ok(text) => Manifest::decode(&text)
            .ok_or_else(|| damaged(&format!("the list of the artifacts of `{node}` is damaged"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !artifacts.exists() => {
            Ok(Manifest::default())
        }
        Err(error) => {
            let what = format!("the list of the artifacts of `{node}`, {}", path.display());
            Err(Fault::io(FailureKind::OutputMissing, what, &error))
        }
    }
}

/// Returns the checksum of a file from where it stands to its end, and the bytes of that.
///
/// # Errors
///
/// When it cannot be read.
pub(crate) fn sum(file: &mut File) -> io::Result<([u8; 32], u64)> {
    hash(file, &mut vec![0; PIECE], &mut io::sink())
}

/// Reads a file to its end, into `to` as well.
fn hash(file: &mut File, piece: &mut [u8], to: &mut impl io::Write) -> io::Result<([u8; 32], u64)> {
    let mut hash = Sha256::new();
    let mut size = 0;
    loop {
        let count = file.read(piece)?;
        if count == 0 {
            return Ok((hash.finalize().into(), size));
        }
        hash.update(&piece[..count]);
        to.write_all(&piece[..count])?;
        size += count as u64;
    }
}

/// Makes a directory that every user may read, whatever the umask is.
fn make_directory(path: &Path) -> io::Result<()> {
    match fs::create_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => fs::set_permissions(path, fs::Permissions::from_mode(0o755)),
    }
}

fn make_directories(root: &Path, below: &Path) -> io::Result<()> {
    let mut at = root.to_owned();
    for component in below.components() {
        at.push(component);
        make_directory(&at)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use plans::{NodeId, WorkspacePath};

    struct Bench(tempfile::TempDir);

    impl Bench {
        fn new(files: &[(&str, &str)]) -> Self {
            let dir = tempfile::tempdir().expect("a directory");
            for (path, content) in files {
                let path = dir.path().join("artifacts").join(path);
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                fs::write(&path, content).expect("written");
                fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("its mode");
            }
            write_list(&dir.path().join("artifacts")).expect("a list");
            Self(dir)
        }

        fn take(&self, globs: &[&str]) -> Result<KeptFiles, Fault> {
            let files = globs.iter().map(|&it| it.to_owned()).collect();
            let at = WorkspacePath::new("x").expect("well formed");
            let node = NodeId::new("execute-build").expect("well formed");
            let from = FilesFrom { node, files, at };
            KeptFiles::of(&FilesNeeded { from, artifacts: self.0.path().join("artifacts") })
        }
    }

    #[test]
    fn what_the_globs_match_is_taken_and_a_glob_that_matches_nothing_is_told() {
        let bench = Bench::new(&[("dist/a.js", "a"), ("dist/x/b.js", "b"), ("log", "")]);
        let names = |kept: &KeptFiles| -> Vec<String> {
            let names = kept.list.entries().iter();
            names.map(|it| String::from_utf8_lossy(&it.path).into_owned()).collect()
        };
        assert_eq!(names(&bench.take(&["dist/**"]).expect("files")), ["dist/a.js", "dist/x/b.js"]);
        assert_eq!(names(&bench.take(&["**/b.js", "log"]).expect("files")), ["dist/x/b.js", "log"]);
        let fault = bench.take(&["dist/*.css", "dist/*.js", "img/**"]).expect_err("nothing");
        assert_eq!(fault.kind, FailureKind::Files);
        assert_eq!(
            fault.message,
            "`execute-build` left no file that matches `dist/*.css`, `img/**`"
        );
        let nothing = Bench::new(&[]);
        assert_eq!(nothing.take(&["**"]).expect_err("nothing").kind, FailureKind::Files);
    }

    #[test]
    fn equal_files_have_an_equal_name_and_a_changed_one_is_refused() {
        let bench = Bench::new(&[("a", "one"), ("b", "two")]);
        let control = Control::new().expect("a control");
        let both = bench.take(&["*"]).expect("files");
        assert_eq!(both.id(), bench.take(&["a", "b"]).expect("files").id());
        assert_ne!(both.id(), bench.take(&["a"]).expect("files").id());
        both.verify(&control).expect("what was kept");
        let into = bench.0.path().join("into");
        both.stage(&into, &control).expect("staged");
        assert_eq!(fs::read(into.join("b")).expect("there"), b"two");
        // The same length.
        fs::write(bench.0.path().join("artifacts/b"), "owt").expect("written");
        for refused in [both.verify(&control), both.stage(&bench.0.path().join("other"), &control)]
        {
            let fault = refused.expect_err("another content");
            assert_eq!(fault.kind, FailureKind::OutputMissing);
            assert!(fault.message.contains("`b` of `execute-build` is not what it was"), "{fault}");
        }
    }

    #[test]
    fn nothing_is_taken_through_a_link_in_place_of_the_directory() {
        let bench = Bench::new(&[("a", "one")]);
        let control = Control::new().expect("a control");
        let kept = bench.take(&["a"]).expect("files");
        let (there, elsewhere) = (bench.0.path().join("artifacts"), bench.0.path().join("other"));
        fs::rename(&there, &elsewhere).expect("moved");
        std::os::unix::fs::symlink(&elsewhere, &there).expect("a link");
        assert!(kept.verify(&control).is_err());
        fs::remove_file(&there).expect("removed");
        fs::create_dir(&there).expect("made");
        std::os::unix::fs::symlink(elsewhere.join("a"), there.join("a")).expect("a link");
        assert!(kept.verify(&control).is_err());
    }
}
