//! What a tree holds: one file, all of them, or those that match globs.
//!
//! Reads only the directories on the way. Says nothing about what the files mean.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use git2::Oid;
use globset::{Candidate, GlobBuilder, GlobMatcher};
use plans::{FileMode, RepoPath, TreeFilter, TreeId, TreeWalk};

use super::{
    GitError, ObjectId, Repository,
    objects::{Bytes, Entries, Entry, EntryKind, Objects, ReadError},
    shares::in_shares,
};

/// What kind of file a tree tracks under a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File {
        /// Whether it may be executed.
        executable: bool,
    },
    /// A symbolic link; its content is the target.
    SymbolicLink,
    /// A commit of another repository; its content is elsewhere.
    Submodule,
}

impl From<FileKind> for FileMode {
    fn from(kind: FileKind) -> Self {
        match kind {
            FileKind::File { executable: false } => Self::File,
            FileKind::File { executable: true } => Self::Executable,
            FileKind::SymbolicLink => Self::Symlink,
            FileKind::Submodule => Self::Submodule,
        }
    }
}

/// One tracked file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Where it is.
    pub path: RepoPath,
    /// What it is.
    pub kind: FileKind,
    /// Its blob; of a submodule, its commit.
    pub id: ObjectId,
}

/// What a path leads to, and where: at the path itself, or at a file, link or submodule on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Met {
    /// How many bytes of the path lead there.
    pub length: usize,
    /// The file; nothing for a directory, which is always at the whole path.
    pub file: Option<(FileKind, ObjectId)>,
}

/// A name in a directory, and what it is; nothing for a directory.
pub type Named = (Vec<u8>, Option<FileKind>);

/// One blob, to be read where there is time for it.
pub(crate) struct BlobReader<'repo> {
    objects: Objects<'repo>,
    blob: Oid,
    /// The content, where it was read before.
    kept: Option<Arc<Vec<u8>>>,
}

impl BlobReader<'_> {
    /// Returns the content; nothing where it cannot be read, and [`Repository::read`] says why.
    pub(crate) fn read(&self) -> Option<Blob<'_>> {
        match &self.kept {
            Some(kept) => Some(Blob(Bytes::InMemory(kept))),
            None => self.objects.blob(self.blob).ok().map(Blob),
        }
    }
}

/// How many bytes a blob has at least that is kept for a second reading.
const WORTH_KEEPING: usize = 64 << 10;

/// The content of a blob, where git put it: a large one is not copied.
pub(crate) struct Blob<'a>(Bytes<'a>);

impl Blob<'_> {
    /// Returns the text; nothing where it is none.
    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(self.0.as_slice()).ok()
    }
}

impl Repository {
    /// Returns what a path meets first: a file, link or submodule on the way, or what is at its
    /// end; nothing where the tree has no such path. The empty path is the root.
    ///
    /// # Errors
    ///
    /// [`GitError`] when a tree is missing or damaged.
    pub fn meet(&self, tree: ObjectId, path: &[u8]) -> Result<Option<Met>, GitError> {
        self.reading(tree, |objects| Ok(meet(objects, tree.0, path)?.map(|(_, met)| met)))
    }

    /// Returns the entries of a directory in git's order; nothing where there is none.
    ///
    /// # Errors
    ///
    /// [`GitError`] when a tree is missing or damaged.
    pub fn names_in(&self, tree: ObjectId, dir: &[u8]) -> Result<Option<Vec<Named>>, GitError> {
        self.reading(tree, |objects| {
            let Some((directory, Met { file: None, .. })) = meet(objects, tree.0, dir)? else {
                return Ok(None);
            };
            let bytes = objects.tree(directory)?;
            let mut entries = Entries::new(directory, bytes.as_slice());
            let mut names = Vec::new();
            while let Some(entry) = entries.next()? {
                names.push((entry.name.to_vec(), file_kind(entry.kind)));
            }
            Ok(Some(names))
        })
    }

    /// Returns the file that a tree has at a path; a directory is none.
    ///
    /// # Errors
    ///
    /// [`GitError`] when a tree is missing or damaged.
    pub fn file(&self, tree: ObjectId, path: &RepoPath) -> Result<Option<TreeFile>, GitError> {
        let find = |objects: &Objects<'_>| {
            let mut directory = tree.0;
            let mut components = path.as_bytes().split(|&byte| byte == b'/').peekable();
            while let Some(name) = components.next() {
                let bytes = objects.tree(directory)?;
                let last = components.peek().is_none();
                let mut entries = Entries::new(directory, bytes.as_slice());
                let found = loop {
                    match entries.next()? {
                        None => return Ok(None),
                        Some(entry)
                            if entry.name == name && (entry.kind == EntryKind::Tree) != last =>
                        {
                            break entry;
                        }
                        Some(_) => {}
                    }
                };
                match file_kind(found.kind) {
                    None => directory = found.id(),
                    Some(kind) => return Ok(Some((kind, found.id()))),
                }
            }
            Ok(None)
        };
        let found = self.reading(tree, find)?;
        Ok(found.map(|(kind, id)| TreeFile { path: path.clone(), kind, id: ObjectId(id) }))
    }

    /// Returns the content of a blob.
    ///
    /// # Errors
    ///
    /// [`GitError`] when it is missing or damaged; of a file of the work tree, when it changed
    /// since.
    pub fn read(&self, blob: ObjectId) -> Result<Vec<u8>, GitError> {
        if let Some(path) = self.overlay.files.get(&blob.0) {
            return self.read_work_tree_file(path, blob);
        }
        if let Some(kept) = self.kept(blob.0) {
            return Ok(kept.to_vec());
        }
        match self.objects()?.blob(blob.0) {
            Ok(bytes) => {
                let bytes = bytes.as_slice().to_vec();
                if bytes.len() >= WORTH_KEEPING {
                    *self.kept.borrow_mut() = Some((blob.0, Arc::new(bytes.clone())));
                }
                Ok(bytes)
            }
            Err(error) => {
                Err(self.unreadable(error, || format!("git cat-file blob {blob} >/dev/null")))
            }
        }
    }

    /// Returns what reads blobs on any thread; nothing for one that is not in the database, or
    /// where the database cannot be opened.
    pub(crate) fn blob_reader(&self, blob: ObjectId) -> Option<BlobReader<'_>> {
        let in_work_tree = self.overlay.files.contains_key(&blob.0);
        let objects = self.objects().ok().filter(|_| !in_work_tree)?;
        let kept = self.kept(blob.0);
        let own = if kept.is_none() { objects.again() } else { None };
        Some(BlobReader { objects: own.unwrap_or(objects), blob: blob.0, kept })
    }

    /// The content of a blob, if it is the large one that was read last: a lock file says of which
    /// program it is, and is compared later.
    fn kept(&self, blob: Oid) -> Option<Arc<Vec<u8>>> {
        self.kept.borrow().as_ref().filter(|(id, _)| *id == blob).map(|(_, kept)| Arc::clone(kept))
    }

    /// Lists every file of a tree, sorted by path.
    ///
    /// # Errors
    ///
    /// [`GitError`] when a tree is missing or damaged.
    pub fn files(&self, tree: ObjectId) -> Result<Vec<TreeFile>, GitError> {
        self.reading(tree, |objects| {
            let mut files = Vec::new();
            list(objects, tree.0, &mut Vec::new(), &Everything, &mut files)?;
            Ok(files)
        })
    }

    /// Lists the files of a tree that match any of some globs, sorted by path. Only directories in
    /// which a match is possible are read.
    ///
    /// # Errors
    ///
    /// [`GitError`] when a tree is missing or damaged, or a glob does not parse.
    pub fn files_matching(
        &self,
        tree: ObjectId,
        globs: &[impl AsRef<str>],
    ) -> Result<Vec<TreeFile>, GitError> {
        let mut wanted = Vec::with_capacity(globs.len());
        for glob in globs {
            let pattern = Pattern::new(glob.as_ref()).map_err(|error| GitError::Other {
                doing: format!("reading the glob `{}`", glob.as_ref()),
                detail: error.kind().to_string(),
            })?;
            wanted.push(pattern);
        }
        let positions = wanted.iter().map(|pattern| pattern.closure(BTreeSet::from([0]))).collect();
        self.reading(tree, |objects| {
            let mut files = Vec::new();
            let filter = Matching { patterns: &wanted, positions };
            list(objects, tree.0, &mut Vec::new(), &filter, &mut files)?;
            Ok(files)
        })
    }

    /// Lists the files of a tree that a job sees, sorted by path. Only directories in which it can
    /// see one are read.
    ///
    /// # Errors
    ///
    /// [`GitError`] when a tree is missing or damaged.
    pub fn files_seen(
        &self,
        tree: ObjectId,
        filter: &TreeFilter,
    ) -> Result<Vec<TreeFile>, GitError> {
        let mut files = Vec::new();
        let filters = std::slice::from_ref(filter);
        self.each_seen(tree, filters, false, |_, part| {
            if let Part::File(file) = part {
                files.push(file.clone());
            }
        })?;
        Ok(files)
    }

    /// Goes through a tree once for several filters, and hands over each file that one of them sees, with the number of
    /// that filter; of each filter sorted by path. Only directories in which one of them can see a file are read, and with
    /// `whole` none of which one sees all: that is handed over itself.
    ///
    /// # Errors
    ///
    /// [`GitError`] when a tree is missing or damaged.
    pub(crate) fn each_seen(
        &self,
        tree: ObjectId,
        filters: &[TreeFilter],
        whole: bool,
        mut with: impl FnMut(usize, Part<'_>),
    ) -> Result<(), GitError> {
        let walks = filters.iter().map(TreeFilter::walk).enumerate().collect();
        self.reading(tree, |objects| {
            let filters = Filters { filters, whole };
            list_for_each(objects, tree.0, &mut Vec::new(), (filters, walks), &mut with)
        })
    }

    /// Returns whether trees are written as git makes them of files, with all below them: in order, in
    /// the modes of today, no directory without a file.
    ///
    /// # Errors
    ///
    /// [`GitError`] when one of them is missing or damaged.
    pub(crate) fn are_plain(&self, trees: &[ObjectId]) -> Result<bool, GitError> {
        /// From so many on, further threads are worth their start.
        const ENOUGH_TO_SHARE: usize = 64;
        let objects = self.objects()?;
        let all = |trees: Vec<ObjectId>| {
            trees.into_iter().try_fold(true, |plain, tree| {
                Ok(plain && is_plain(&objects, tree.0).map_err(|error| (tree, error))?)
            })
        };
        let shares = match trees.len() {
            ENOUGH_TO_SHARE.. => in_shares(trees.to_vec(), all),
            _ => vec![all(trees.to_vec())],
        };
        let all_plain: Result<Vec<bool>, _> = shares.into_iter().collect();
        let all_plain = all_plain.map(|shares| shares.into_iter().all(|plain| plain));
        all_plain.map_err(|(tree, error)| {
            self.unreadable(error, || format!("git ls-tree -r {tree} >/dev/null"))
        })
    }

    fn reading<T>(
        &self,
        tree: ObjectId,
        read: impl FnOnce(&Objects<'_>) -> Result<T, ReadError>,
    ) -> Result<T, GitError> {
        read(&self.objects()?)
            .map_err(|error| self.unreadable(error, || format!("git ls-tree -r {tree} >/dev/null")))
    }
}

/// Walks a path as far as directories go; with the last of them.
fn meet(objects: &Objects<'_>, tree: Oid, path: &[u8]) -> Result<Option<(Oid, Met)>, ReadError> {
    let mut directory = tree;
    let mut length = 0;
    let names = path.split(|&byte| byte == b'/').filter(|_| !path.is_empty());
    for name in names {
        length += name.len() + usize::from(length > 0);
        let bytes = objects.tree(directory)?;
        let mut entries = Entries::new(directory, bytes.as_slice());
        let mut file = None;
        let mut below = None;
        while let Some(entry) = entries.next()? {
            if entry.name == name {
                match file_kind(entry.kind) {
                    None => below = Some(entry.id()),
                    Some(kind) => file = Some((kind, ObjectId(entry.id()))),
                }
            }
        }
        match (below, file) {
            (Some(below), _) => directory = below,
            (None, Some(file)) => return Ok(Some((directory, Met { length, file: Some(file) }))),
            (None, None) => return Ok(None),
        }
    }
    Ok(Some((directory, Met { length: path.len(), file: None })))
}

fn file_kind(kind: EntryKind) -> Option<FileKind> {
    match kind {
        EntryKind::Tree => None,
        EntryKind::File { executable } => Some(FileKind::File { executable }),
        EntryKind::SymbolicLink => Some(FileKind::SymbolicLink),
        EntryKind::Submodule => Some(FileKind::Submodule),
    }
}

/// Which directories to enter and which files to keep.
trait Filter: Sized {
    /// The filter below a directory, if it is worth entering.
    fn enter(&self, name: &[u8]) -> Option<Self>;
    fn keeps(&self, path: &[u8], kind: FileKind) -> bool;
}

struct Everything;

impl Filter for Everything {
    fn enter(&self, _: &[u8]) -> Option<Self> {
        Some(Self)
    }

    fn keeps(&self, _: &[u8], _: FileKind) -> bool {
        true
    }
}

fn list(
    objects: &Objects<'_>,
    tree: Oid,
    path: &mut Vec<u8>,
    filter: &impl Filter,
    files: &mut Vec<TreeFile>,
) -> Result<(), ReadError> {
    let bytes = objects.tree(tree)?;
    let mut entries = Entries::new(tree, bytes.as_slice());
    let above = path.len();
    while let Some(entry) = entries.next()? {
        path.extend_from_slice(entry.name);
        match file_kind(entry.kind) {
            None => {
                if let Some(filter) = filter.enter(entry.name) {
                    path.push(b'/');
                    list(objects, entry.id(), path, &filter, files)?;
                }
            }
            Some(kind) if filter.keeps(path, kind) => {
                files.push(tree_file(tree, path, kind, entry.id())?);
            }
            Some(_) => {}
        }
        path.truncate(above);
    }
    Ok(())
}

fn tree_file(tree: Oid, path: &[u8], kind: FileKind, id: Oid) -> Result<TreeFile, ReadError> {
    let path = RepoPath::new(path)
        .map_err(|error| ReadError::Corrupt { id: tree, detail: error.to_string() })?;
    Ok(TreeFile { path, kind, id: ObjectId(id) })
}

/// Something of a tree that jobs see.
pub(crate) enum Part<'a> {
    /// A file.
    File(&'a TreeFile),
    /// All of a directory: where it is, and its tree.
    Directory(&'a [u8], ObjectId),
}

/// Filters of what jobs see.
#[derive(Clone, Copy)]
struct Filters<'a> {
    filters: &'a [TreeFilter],
    /// Whether a directory that is seen whole is told as such, and not gone into.
    whole: bool,
}

fn is_plain(objects: &Objects<'_>, tree: Oid) -> Result<bool, ReadError> {
    let bytes = objects.tree(tree)?;
    let mut entries = Entries::new(tree, bytes.as_slice());
    let mut before: Option<Entry<'_>> = None;
    while let Some(entry) = entries.next()? {
        let in_order = before.is_none_or(|before| before.order(&entry).is_lt());
        let plain = in_order
            && TreeId::is_plain_mode(entry.mode)
            && ![&b"."[..], b".."].contains(&entry.name)
            && (entry.kind != EntryKind::Tree || is_plain(objects, entry.id())?);
        if !plain {
            return Ok(false);
        }
        before = Some(entry);
    }
    Ok(before.is_some())
}

/// The same for several filters of what jobs see: those that can see a few names alone are asked about these and no others.
fn list_for_each(
    objects: &Objects<'_>,
    tree: Oid,
    path: &mut Vec<u8>,
    (filters, walks): (Filters<'_>, Vec<(usize, TreeWalk<'_>)>),
    with: &mut impl FnMut(usize, Part<'_>),
) -> Result<(), ReadError> {
    let mut of_any_name = Vec::new();
    let mut by_name: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (at, (_, walk)) in walks.iter().enumerate() {
        match walk.names() {
            None => of_any_name.push(at),
            Some(names) => {
                for name in names {
                    let there = by_name.entry(name).or_default();
                    // Of several globs that begin alike.
                    if there.last() != Some(&at) {
                        there.push(at);
                    }
                }
            }
        }
    }
    let bytes = objects.tree(tree)?;
    let mut entries = Entries::new(tree, bytes.as_slice());
    let above = path.len();
    while let Some(entry) = entries.next()? {
        let named = by_name.get(entry.name).map_or(&[][..], Vec::as_slice);
        if named.is_empty() && of_any_name.is_empty() {
            continue;
        }
        let asked = named.iter().chain(&of_any_name).map(|&at| &walks[at]);
        path.extend_from_slice(entry.name);
        match file_kind(entry.kind) {
            None => {
                let below = asked.filter_map(|(of, walk)| Some((*of, walk.enter(entry.name)?)));
                let mut below: Vec<_> = below.collect();
                if filters.whole {
                    below.retain(|(of, walk)| {
                        let whole = walk.sees_all();
                        if whole {
                            with(*of, Part::Directory(path, ObjectId(entry.id())));
                        }
                        !whole
                    });
                }
                if !below.is_empty() {
                    path.push(b'/');
                    list_for_each(objects, entry.id(), path, (filters, below), with)?;
                }
            }
            Some(kind) => {
                let submodule = kind == FileKind::Submodule;
                let mut seen =
                    asked.filter(|(of, _)| filters.filters[*of].keeps(path, submodule)).peekable();
                if seen.peek().is_some() {
                    let file = tree_file(tree, path, kind, entry.id())?;
                    seen.for_each(|(of, _)| with(*of, Part::File(&file)));
                }
            }
        }
        path.truncate(above);
    }
    Ok(())
}

/// A glob and, component by component, what its directories must look like.
struct Pattern {
    whole: GlobMatcher,
    components: Vec<Component>,
}

enum Component {
    /// `**`, or a part that cannot be told apart by components: any number of directories.
    Any,
    One(GlobMatcher),
}

impl Pattern {
    fn new(glob: &str) -> Result<Self, globset::Error> {
        let matcher = |part: &str| {
            let glob = GlobBuilder::new(part).literal_separator(true).build()?;
            Ok::<_, globset::Error>(glob.compile_matcher())
        };
        let whole = matcher(glob)?;
        let mut components = Vec::new();
        for part in glob.split('/') {
            // `{a/b,c}/d` spans components: from there on only the whole glob decides.
            if part == "**" || part.contains('{') != part.contains('}') {
                components.push(Component::Any);
                if part != "**" {
                    break;
                }
                continue;
            }
            let Ok(one) = matcher(part) else {
                components.push(Component::Any);
                break;
            };
            components.push(Component::One(one));
        }
        Ok(Self { whole, components })
    }

    /// Adds the positions reachable without a directory: `**` may stand for none.
    fn closure(&self, mut positions: BTreeSet<usize>) -> BTreeSet<usize> {
        for (at, component) in self.components.iter().enumerate() {
            if matches!(component, Component::Any) && positions.contains(&at) {
                positions.insert(at + 1);
            }
        }
        positions
    }

    fn step(&self, positions: &BTreeSet<usize>, name: &[u8]) -> BTreeSet<usize> {
        let candidate = Candidate::from_bytes(name);
        let next = positions.iter().filter_map(|&at| match self.components.get(at)? {
            Component::Any => Some(at),
            Component::One(one) => one.is_match_candidate(&candidate).then_some(at + 1),
        });
        self.closure(next.collect())
    }
}

struct Matching<'a> {
    patterns: &'a [Pattern],
    positions: Vec<BTreeSet<usize>>,
}

impl Filter for Matching<'_> {
    fn enter(&self, name: &[u8]) -> Option<Self> {
        let positions: Vec<_> = self
            .patterns
            .iter()
            .zip(&self.positions)
            .map(|(pattern, positions)| pattern.step(positions, name))
            .collect();
        let open = self.patterns.iter().zip(&positions).any(|(pattern, positions)| {
            positions.first().is_some_and(|&at| at < pattern.components.len())
        });
        open.then_some(Matching { patterns: self.patterns, positions })
    }

    fn keeps(&self, path: &[u8], _: FileKind) -> bool {
        let candidate = Candidate::from_bytes(path);
        self.patterns.iter().any(|pattern| pattern.whole.is_match_candidate(&candidate))
    }
}
