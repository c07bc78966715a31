//! The git repository: the only room that knows git2.
//!
//! Opens a repository and answers four questions about it: which commit is head and which base
//! ([`base`](self::Base)), what differs between two trees, what the work tree would be as a tree,
//! and what a tree holds. It reads no environment, writes nothing (not even objects), and prints
//! nothing: what is worth saying comes back as [`Note`]s. What cannot be answered is a
//! [`GitError`] with the command that mends it, never an empty answer.

mod ancestry;
mod base;
mod clean;
mod diff;
mod error;
mod history;
mod ignored;
mod objects;
mod shares;
mod submodule;
mod tree_files;
mod worktree;

use std::{
    cell::RefCell,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::{Arc, Once},
};

use git2::{ErrorClass, ErrorCode, Oid, RepositoryOpenFlags};

use self::objects::{Objects, Overlay, ReadError};
pub(crate) use self::tree_files::{Blob, BlobReader, Part};
pub use self::{
    ancestry::{Ancestry, Standing},
    base::{Base, BaseContext, BaseRequest, BaseSearch, Considered},
    error::GitError,
    history::{Range, Step},
    tree_files::{FileKind, Met, Named, TreeFile},
};
use crate::change_set::ChangeSet;

/// The name of an object: a commit, a tree or a blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(Oid);

impl ObjectId {
    /// Returns the id as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The tree without entries, which every repository knows.
    ///
    /// # Panics
    ///
    /// Never: the name is a constant.
    #[must_use]
    pub fn empty_tree() -> Self {
        "4b825dc642cb6eb9a060e54bf8d69288fbee4904".parse().expect("the constant is an object id")
    }
}

impl From<ObjectId> for plans::ObjectId {
    fn from(id: ObjectId) -> Self {
        Self::new(id.to_string()).expect("git2 writes ids as plans read them")
    }
}

impl FromStr for ObjectId {
    type Err = InvalidObjectId;

    fn from_str(text: &str) -> Result<Self, InvalidObjectId> {
        // git2 would complete a shorter name with zeroes.
        if text.len() != 40 {
            return Err(InvalidObjectId);
        }
        Oid::from_str(text).map(Self).map_err(|_| InvalidObjectId)
    }
}

/// A text is not 40 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an object id is 40 hexadecimal digits")]
pub struct InvalidObjectId;

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Something worth saying about an answer that stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// How the answer came about; for `--verbose`.
    Info(String),
    /// Something a person should know without asking.
    Warning(String),
}

/// The commit to plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The commit.
    pub commit: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// The branch that `HEAD` is on; none when it is detached or the commit was asked for by name.
    pub branch: Option<String>,
}

/// The settings of libgit2 are the process's; no thread reads while another one writes them.
static SETTINGS: Once = Once::new();

/// An open repository.
pub struct Repository {
    inner: git2::Repository,
    /// Trees of the work tree, once it has been read.
    overlay: Overlay,
    /// The large blob that was read last.
    kept: RefCell<Option<(Oid, Arc<Vec<u8>>)>>,
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repository").field("path", &self.inner.path()).finish_non_exhaustive()
    }
}

impl Repository {
    fn of(inner: git2::Repository) -> Self {
        Self { inner, overlay: Overlay::default(), kept: RefCell::default() }
    }

    /// Opens the repository that `dir` is in: any directory of a work tree, a linked work tree, or
    /// a bare repository.
    ///
    /// # Errors
    ///
    /// [`GitError`] when there is none, when it belongs to somebody else, or when it is written in
    /// a form that libgit2 cannot read (SHA-256, reftable, replaced objects).
    pub fn open(dir: &Path) -> Result<Self, GitError> {
        SETTINGS.call_once(|| {
            // Checking every object's hash again on every read costs half of the walk; git does
            // not.
            git2::opts::strict_hash_verification(false);
            // Every object is read once: a cache would only be filled.
            git2::opts::enable_caching(false);
        });
        let none: [&Path; 0] = [];
        match git2::Repository::open_ext(dir, RepositoryOpenFlags::empty(), none) {
            Ok(inner) => {
                let repository = Self::of(inner);
                match repository.replaced() {
                    0 => Ok(repository),
                    count => {
                        Err(GitError::Replaced { dir: top_of(dir, repository.inner.path()), count })
                    }
                }
            }
            Err(error) => Err(cannot_open(dir, &error)),
        }
    }

    /// Opens the same repository once more, for another thread; nothing where that cannot be done, or
    /// where a work tree has been read, whose trees only this one knows.
    pub(crate) fn again(&self) -> Option<impl FnOnce() -> Option<Self> + Send + use<>> {
        let git_dir = self.inner.path().to_owned();
        let alone = self.overlay.trees.is_empty();
        alone.then_some(move || Self::open(&git_dir).ok())
    }

    /// Returns how many objects git reads others for (`git replace`).
    fn replaced(&self) -> usize {
        let config = self.inner.config().and_then(|mut config| config.snapshot());
        if config.is_ok_and(|config| config.get_bool("core.useReplaceRefs") == Ok(false)) {
            return 0;
        }
        self.inner.references_glob("refs/replace/*").map_or(0, Iterator::count)
    }

    /// Returns the root of the work tree, if there is one.
    #[must_use]
    pub fn work_dir(&self) -> Option<&Path> {
        self.inner.workdir()
    }

    /// Returns the repository's own directory (`.git`), shared by its linked work trees.
    #[must_use]
    pub fn common_dir(&self) -> &Path {
        self.inner.commondir()
    }

    /// Resolves the commit to plan: `revision`, or `HEAD`.
    ///
    /// # Errors
    ///
    /// [`GitError::UnbornBranch`] and [`GitError::UnknownRevision`].
    pub fn head(&self, revision: Option<&str>) -> Result<Head, GitError> {
        if let Some(revision) = revision {
            return self.revision(revision);
        }
        let head = match self.inner.head() {
            Ok(head) => head,
            Err(error) if error.code() == ErrorCode::UnbornBranch => {
                return Err(GitError::UnbornBranch { branch: self.unborn_branch() });
            }
            Err(error) => return Err(other("reading `HEAD`", &error)),
        };
        let branch =
            head.is_branch().then(|| String::from_utf8_lossy(head.shorthand_bytes()).into_owned());
        let commit = self.target(&head)?;
        Ok(Head { commit, tree: self.tree_of(commit)?, branch })
    }

    /// Resolves a revision, in any spelling git knows, to its commit.
    ///
    /// # Errors
    ///
    /// [`GitError::UnknownRevision`] when it names none.
    pub fn revision(&self, revision: &str) -> Result<Head, GitError> {
        let unknown = || GitError::UnknownRevision {
            revision: revision.to_owned(),
            shallow: self.inner.is_shallow(),
            remotes: self.remotes_to_ask(),
        };
        let object = self.inner.revparse_single(revision).map_err(|_| unknown())?;
        let commit = object.peel_to_commit().map_err(|_| unknown())?;
        let commit = ObjectId(commit.id());
        Ok(Head { commit, tree: self.tree_of(commit)?, branch: None })
    }

    /// Returns a commit's tree.
    ///
    /// # Errors
    ///
    /// [`GitError`] when the commit is missing or damaged.
    pub fn tree_of(&self, commit: ObjectId) -> Result<ObjectId, GitError> {
        Ok(ObjectId(self.commit(commit.0)?.tree_id()))
    }

    /// Lists what differs between the base and a tree: against each of several merge bases, and
    /// then all of it.
    ///
    /// # Errors
    ///
    /// [`GitError`] when an object is missing or damaged; as with [`Self::base`], everything can
    /// still be planned.
    pub fn changes(&self, base: &Base, head_tree: ObjectId) -> Result<ChangeSet, GitError> {
        if base.commits.is_empty() {
            return self.changes_between(None, head_tree);
        }
        let mut changes = Vec::new();
        for &commit in &base.commits {
            let tree = self.tree_of(commit)?;
            changes.extend(self.changes_between(Some(tree), head_tree)?.into_vec());
        }
        Ok(changes.into_iter().collect())
    }

    /// Lists what differs between two trees; no base is the empty tree.
    ///
    /// # Errors
    ///
    /// [`GitError`] when an object is missing or damaged.
    pub fn changes_between(
        &self,
        base_tree: Option<ObjectId>,
        head_tree: ObjectId,
    ) -> Result<ChangeSet, GitError> {
        let base = base_tree.filter(|&tree| tree != ObjectId::empty_tree());
        let found = diff::between(&self.objects()?, base.map(|tree| tree.0), head_tree.0);
        let reader = || {
            let base = base_tree.unwrap_or_else(ObjectId::empty_tree);
            format!("git diff --no-renames --name-only {base} {head_tree} >/dev/null")
        };
        Ok(found.map_err(|error| self.unreadable(error, reader))?.into_iter().collect())
    }

    fn objects(&self) -> Result<Objects<'_>, GitError> {
        let odb = self.inner.odb().map_err(|error| other("opening the objects", &error))?;
        Ok(Objects { odb, overlay: &self.overlay, common_dir: self.inner.commondir() })
    }

    fn commit(&self, id: Oid) -> Result<git2::Commit<'_>, GitError> {
        self.inner.find_commit(id).map_err(|error| {
            let error = match error.code() {
                ErrorCode::NotFound => ReadError::Missing { id, kind: "commit" },
                _ => ReadError::Corrupt { id, detail: error.message().to_owned() },
            };
            self.unreadable(error, || format!("git cat-file commit {id} >/dev/null"))
        })
    }

    /// The commit a reference comes down to.
    fn target(&self, reference: &git2::Reference<'_>) -> Result<ObjectId, GitError> {
        let commit = reference.peel_to_commit().map_err(|error| match reference.target() {
            Some(id) if error.code() == ErrorCode::NotFound => {
                let error = ReadError::Missing { id, kind: "commit" };
                self.unreadable(error, || format!("git cat-file commit {id} >/dev/null"))
            }
            _ => {
                let name = String::from_utf8_lossy(reference.name_bytes()).into_owned();
                other(&format!("reading `{name}`"), &error)
            }
        })?;
        Ok(ObjectId(commit.id()))
    }

    fn unborn_branch(&self) -> String {
        let head = self.inner.find_reference("HEAD").ok();
        let target = head.as_ref().and_then(|head| head.symbolic_target_bytes());
        let name = target.map(|target| String::from_utf8_lossy(target).into_owned());
        name.map_or_else(
            || "HEAD".to_owned(),
            |name| name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned(),
        )
    }

    fn unreadable(&self, error: ReadError, reader: impl FnOnce() -> String) -> GitError {
        match error {
            ReadError::Corrupt { id, detail } => GitError::Corrupt { id: ObjectId(id), detail },
            ReadError::Missing { id, kind } => GitError::MissingObject {
                id: ObjectId(id),
                kind,
                partial: self.is_partial(),
                reader: reader(),
            },
        }
    }

    /// Whether some remote promises the objects that are not here.
    fn is_partial(&self) -> bool {
        let promised = || -> Result<bool, git2::Error> {
            let config = self.inner.config()?.snapshot()?;
            let mut entries =
                config.entries(Some(r"^remote\..*\.(promisor|partialclonefilter)$"))?;
            Ok(entries.next().is_some())
        };
        promised().unwrap_or(false)
    }
}

/// Returns the root of the repository that `dir` is in, also of one that [`Repository::open`]
/// refuses: its work tree can be planned from a list of changed files all the same.
#[must_use]
pub fn root_of(dir: &Path) -> Option<PathBuf> {
    let none: [&Path; 0] = [];
    let git_dir = git2::Repository::discover_path(dir, none).ok()?;
    Some(top_of(dir, &git_dir))
}

fn other(doing: &str, error: &git2::Error) -> GitError {
    GitError::Other { doing: doing.to_owned(), detail: error.message().to_owned() }
}

/// Finds out why a repository does not open, from its own files rather than libgit2's words.
fn cannot_open(dir: &Path, error: &git2::Error) -> GitError {
    let none: [&Path; 0] = [];
    let found = git2::Repository::discover_path(dir, none);
    let Ok(git_dir) = found else {
        if error.code() == ErrorCode::NotFound {
            return GitError::NoRepository { dir: dir.to_owned() };
        }
        return other(&format!("opening `{}`", dir.display()), error);
    };
    if error.code() == ErrorCode::Owner {
        return GitError::ForeignOwner { dir: top_of(dir, &git_dir) };
    }
    if error.class() == ErrorClass::Repository
        && let Some((extension, value)) = unsupported_extension(&git_dir)
    {
        return GitError::UnsupportedFormat { dir: top_of(dir, &git_dir), extension, value };
    }
    other(&format!("opening `{}`", git_dir.display()), error)
}

/// The directory a person calls the repository: the work tree if there is one. For a linked work
/// tree that is where the search found its `.git` file.
fn top_of(dir: &Path, git_dir: &Path) -> PathBuf {
    if git_dir.file_name().is_some_and(|name| name == ".git") {
        return git_dir.parent().unwrap_or(git_dir).to_owned();
    }
    let linked = dir.ancestors().find(|dir| dir.join(".git").is_file());
    linked.unwrap_or(git_dir).to_owned()
}

/// The extensions whose meaning is settled where they are read, and for git2 only.
const SUPPORTED_EXTENSIONS: [&str; 4] =
    ["noop", "preciousobjects", "relativeworktrees", "worktreeconfig"];

fn unsupported_extension(git_dir: &Path) -> Option<(String, String)> {
    let config = [git_dir.join("config"), git_dir.join("../../config")]
        .iter()
        .find_map(|path| path.is_file().then(|| git2::Config::open(path).ok())?)?;
    let mut entries = config.entries(Some(r"^extensions\.")).ok()?;
    while let Some(entry) = entries.next() {
        let entry = entry.ok()?;
        let key = String::from_utf8_lossy(entry.name_bytes()).into_owned();
        let name = key.strip_prefix("extensions.").unwrap_or(&key);
        let value = String::from_utf8_lossy(entry.value_bytes()).into_owned();
        let supported = SUPPORTED_EXTENSIONS.contains(&name)
            || (name == "objectformat" && value == "sha1")
            || (name == "refstorage" && value == "files");
        if !supported {
            return Some((canonical_extension(name).to_owned(), value));
        }
    }
    None
}

/// The spelling of the manual; git2 lowers names.
fn canonical_extension(name: &str) -> &str {
    match name {
        "objectformat" => "objectFormat",
        "refstorage" => "refStorage",
        "partialclone" => "partialClone",
        "compatobjectformat" => "compatObjectFormat",
        _ => name,
    }
}
