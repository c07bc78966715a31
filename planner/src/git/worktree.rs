//! The work tree as a tree: what `git add -A && git write-tree` would make, without writing it.
//!
//! Owns which files count: tracked ones as they are on disk, untracked ones that are not ignored.
//! What git would store for a file is found in [`super::clean`]; what the tree differs from is the
//! business of the tree diff.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::Path,
};

use git2::{Delta, DiffOptions, Index, IndexEntry, ObjectType, Oid, RepositoryOpenFlags};

use super::{
    GitError, ObjectId, Repository,
    clean::Clean,
    error::shown,
    ignored::LinkRules,
    objects::{EntryKind, Overlay},
    other,
};

/// Flags of an index entry, as its format numbers them.
const ASSUME_UNCHANGED: u16 = 1 << 15;
const STAGE: u16 = 0x3000;
/// The same, of the second sixteen.
const INTENT_TO_ADD: u16 = 1 << 13;
const SKIP_WORKTREE: u16 = 1 << 14;

impl Repository {
    /// Reads the work tree and returns the id of the tree it makes, which this repository knows
    /// from then on: its changes and its files can be asked for like any other tree's.
    ///
    /// # Errors
    ///
    /// [`GitError`] in a bare repository, when a file cannot be read, or when only a program that
    /// is not run here (a filter) knows what git would store.
    pub fn read_work_tree(&mut self) -> Result<ObjectId, GitError> {
        let (tree, overlay) = Clean::with(&self.inner, |clean| {
            let index = self.inner.index().map_err(|error| index_error(&error))?;
            WorkTree { repository: &self.inner, index, clean }.read()
        })?;
        self.overlay = overlay;
        Ok(ObjectId(tree))
    }

    /// Reads a file of the work tree once more, as git would store it.
    pub(super) fn read_work_tree_file(
        &self,
        path: &[u8],
        expected: ObjectId,
    ) -> Result<Vec<u8>, GitError> {
        let content = Clean::with(&self.inner, |clean| {
            let metadata = clean.metadata(path)?;
            if metadata.is_some_and(|metadata| metadata.file_type().is_symlink()) {
                clean.link_target(path)
            } else {
                clean.content(path)
            }
        })?;
        if hash(ObjectType::Blob, &content)? != expected.0 {
            return Err(GitError::Moving { path: shown(path) });
        }
        Ok(content)
    }
}

struct WorkTree<'a> {
    repository: &'a git2::Repository,
    index: Index,
    clean: &'a Clean<'a>,
}

/// What is tracked where.
type Files = BTreeMap<Vec<u8>, (EntryKind, Oid)>;

/// The index sorted by what to do with it.
#[derive(Default)]
struct Tracked {
    /// Files as the index has them.
    files: Files,
    /// Those that are read from disk whatever the index says.
    read: BTreeSet<Vec<u8>>,
    /// Those that stay as they are whatever the disk says.
    keep: BTreeSet<Vec<u8>>,
}

impl WorkTree<'_> {
    fn read(&self) -> Result<(Oid, Overlay), GitError> {
        let Tracked { mut files, mut read, keep } = self.tracked()?;
        self.touched(&mut read)?;
        let mut overlay = Overlay::default();
        for path in read.difference(&keep) {
            match self.file(path, &mut overlay)? {
                Some(found) => files.insert(path.clone(), found),
                None => files.remove(path),
            };
        }
        let tree = write_tree(&files, &mut overlay)?;
        Ok((tree, overlay))
    }

    fn tracked(&self) -> Result<Tracked, GitError> {
        let mut tracked = Tracked::default();
        for IndexEntry { mode, id, flags, flags_extended, path, .. } in self.index.iter() {
            let kind = match EntryKind::from_mode(mode) {
                Some(kind) if kind != EntryKind::Tree => kind,
                _ => {
                    let detail = format!("`{}` is a directory (a sparse index)", shown(&path));
                    return Err(GitError::Index { detail });
                }
            };
            // A conflict is resolved by what the disk has; an intent has no content yet.
            if flags & STAGE != 0 || flags_extended & INTENT_TO_ADD != 0 {
                tracked.read.insert(path);
                continue;
            }
            if kind == EntryKind::Submodule {
                tracked.read.insert(path.clone());
            } else if flags & ASSUME_UNCHANGED != 0
                // Outside a sparse checkout; a file that is there all the same counts.
                || (flags_extended & SKIP_WORKTREE != 0 && self.clean.metadata(&path)?.is_none())
            {
                tracked.keep.insert(path.clone());
            }
            tracked.files.insert(path, (kind, id));
        }
        Ok(tracked)
    }

    /// Adds what differs between the index and the disk: what was touched, removed or is new.
    fn touched(&self, read: &mut BTreeSet<Vec<u8>>) -> Result<(), GitError> {
        let mut options = DiffOptions::new();
        options
            .include_untracked(true)
            .include_ignored(true)
            .recurse_untracked_dirs(true)
            .include_typechange(true)
            .include_unreadable(true)
            .ignore_submodules(true)
            .skip_binary_check(true);
        let diff = self
            .repository
            .diff_index_to_workdir(Some(&self.index), Some(&mut options))
            .map_err(|error| other("reading the work tree", &error))?;
        let mut link_rules = None;
        for delta in diff.deltas() {
            let paths = [delta.old_file().path_bytes(), delta.new_file().path_bytes()];
            for path in paths.into_iter().flatten() {
                let path = path.strip_suffix(b"/").unwrap_or(path);
                if delta.status() != Delta::Ignored || self.is_kept_link(path, &mut link_rules)? {
                    read.insert(path.to_vec());
                }
            }
        }
        Ok(())
    }

    /// Whether what libgit2 calls ignored is a link to a directory that git would take.
    fn is_kept_link<'b>(
        &'b self,
        path: &[u8],
        rules: &mut Option<LinkRules<'b>>,
    ) -> Result<bool, GitError> {
        let found = self.clean.metadata(path)?;
        let leads_to_directory = || self.clean.root().join(OsStr::from_bytes(path)).is_dir();
        if !found.is_some_and(|found| found.file_type().is_symlink()) || !leads_to_directory() {
            return Ok(false);
        }
        let rules = match rules {
            Some(rules) => rules,
            None => rules.insert(LinkRules::new(self.repository, self.clean.root())?),
        };
        Ok(!rules.ignore(path)?)
    }

    /// What git would store for a path; nothing if it is not there.
    fn file(
        &self,
        path: &[u8],
        overlay: &mut Overlay,
    ) -> Result<Option<(EntryKind, Oid)>, GitError> {
        let Some(metadata) = self.clean.metadata(path)? else { return Ok(None) };
        let file_type = metadata.file_type();
        let (kind, id) = if file_type.is_dir() {
            return self.submodule(path);
        } else if file_type.is_symlink() {
            let target = self.clean.link_target(path)?;
            (EntryKind::SymbolicLink, hash(ObjectType::Blob, &target)?)
        } else if file_type.is_file() {
            let kind = self.kind(path, metadata.permissions().mode());
            let id = match kind {
                EntryKind::SymbolicLink => self.hash_as_it_is(path)?,
                _ => self.clean.id(path)?,
            };
            (kind, id)
        } else {
            // Sockets, pipes and devices are not for git.
            return Ok(None);
        };
        overlay.files.insert(id, path.to_vec());
        Ok(Some((kind, id)))
    }

    /// What a regular file is tracked as: the index knows better where the disk cannot say.
    fn kind(&self, path: &[u8], mode: u32) -> EntryKind {
        let recorded = self.recorded(path).and_then(|entry| EntryKind::from_mode(entry.mode));
        match recorded {
            Some(EntryKind::SymbolicLink) if !self.clean.setting("core.symlinks", true) => {
                EntryKind::SymbolicLink
            }
            recorded if !self.clean.setting("core.filemode", true) => {
                let executable = EntryKind::File { executable: true };
                EntryKind::File { executable: recorded == Some(executable) }
            }
            _ => EntryKind::File { executable: mode & 0o100 != 0 },
        }
    }

    fn hash_as_it_is(&self, path: &[u8]) -> Result<Oid, GitError> {
        Oid::hash_file(ObjectType::Blob, self.clean.root().join(OsStr::from_bytes(path)))
            .map_err(|error| other(&format!("reading `{}`", shown(path)), &error))
    }

    fn recorded(&self, path: &[u8]) -> Option<IndexEntry> {
        self.index.get_path(Path::new(OsStr::from_bytes(path)), 0)
    }

    /// A directory stands for itself only as a repository of its own: a submodule, at the commit
    /// that is checked out in it.
    fn submodule(&self, path: &[u8]) -> Result<Option<(EntryKind, Oid)>, GitError> {
        let recorded = self
            .recorded(path)
            .filter(|entry| EntryKind::from_mode(entry.mode) == Some(EntryKind::Submodule))
            .map(|entry| (EntryKind::Submodule, entry.id));
        let dir = self.clean.root().join(OsStr::from_bytes(path));
        if !dir.join(".git").exists() {
            return Ok(recorded);
        }
        let none: [&Path; 0] = [];
        let head = git2::Repository::open_ext(&dir, RepositoryOpenFlags::NO_SEARCH, none)
            .and_then(|inside| inside.refname_to_id("HEAD"));
        match (head, recorded) {
            (Ok(head), _) => Ok(Some((EntryKind::Submodule, head))),
            (Err(_), Some(recorded)) => Ok(Some(recorded)),
            (Err(_), None) => Err(GitError::EmbeddedRepository { path: shown(path) }),
        }
    }
}

/// Makes the trees of sorted files; returns the root's id.
fn write_tree(files: &Files, overlay: &mut Overlay) -> Result<Oid, GitError> {
    /// A directory whose entries are being gathered.
    struct Open<'a> {
        name: &'a [u8],
        bytes: Vec<u8>,
    }
    fn close(open: Open<'_>, above: &mut Vec<u8>, overlay: &mut Overlay) -> Result<(), GitError> {
        let id = store(open.bytes, overlay)?;
        append(above, EntryKind::Tree, open.name, id);
        Ok(())
    }
    fn store(bytes: Vec<u8>, overlay: &mut Overlay) -> Result<Oid, GitError> {
        let id = hash(ObjectType::Tree, &bytes)?;
        overlay.trees.insert(id, bytes);
        Ok(id)
    }
    fn append(bytes: &mut Vec<u8>, kind: EntryKind, name: &[u8], id: Oid) {
        bytes.extend_from_slice(kind.octal().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(name);
        bytes.push(0);
        bytes.extend_from_slice(id.as_bytes());
    }

    // Full paths in byte order are git's order of entries: a directory sorts as `name/` there too.
    let mut root = Vec::new();
    let mut open: Vec<Open<'_>> = Vec::new();
    for (path, &(kind, id)) in files {
        let mut components: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
        let name = components.pop().unwrap_or_default();
        let shared = open.iter().zip(&components).take_while(|(a, b)| a.name == **b).count();
        while open.len() > shared
            && let Some(done) = open.pop()
        {
            let above = open.last_mut().map_or(&mut root, |open| &mut open.bytes);
            close(done, above, overlay)?;
        }
        open.extend(components[shared..].iter().map(|name| Open { name, bytes: Vec::new() }));
        append(open.last_mut().map_or(&mut root, |open| &mut open.bytes), kind, name, id);
    }
    while let Some(done) = open.pop() {
        let above = open.last_mut().map_or(&mut root, |open| &mut open.bytes);
        close(done, above, overlay)?;
    }
    store(root, overlay)
}

fn hash(kind: ObjectType, content: &[u8]) -> Result<Oid, GitError> {
    Oid::hash_object(kind, content).map_err(|error| other("hashing a file", &error))
}

fn index_error(error: &git2::Error) -> GitError {
    GitError::Index { detail: error.message().to_owned() }
}
