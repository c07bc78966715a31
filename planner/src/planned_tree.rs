//! The tree being planned: where manifest, catalog and scripts are read from.
//!
//! Either a tree of a git repository (head's, or the work tree's), or, where there is no git, a
//! directory. Never the live checkout beside a commit's plan.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use lanes::{FileError, Files, glob::Glob};
use plans::RepoPath;
use sha2::{Digest as _, Sha256};

use crate::{
    git::{BlobReader, FileKind, GitError, ObjectId, Repository},
    packages::PackageProblem,
};

/// A tree of files.
pub enum PlannedTree<'a> {
    /// A tree in a repository.
    Git {
        /// The repository.
        repository: &'a Repository,
        /// The tree.
        tree: ObjectId,
    },
    /// A directory without git.
    Directory(PathBuf),
}

/// A file of the tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tracked {
    /// Where it is.
    pub path: RepoPath,
    /// Whether it is another repository, whose files are below the path.
    pub submodule: bool,
    /// Of a symbolic link: where it leads.
    pub link: Option<Vec<u8>>,
}

/// Why a file of the tree cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// Git cannot.
    #[error(transparent)]
    Git(#[from] GitError),
    /// The directory cannot.
    #[error("`{path}` cannot be read: {detail}")]
    Directory {
        /// The file or directory.
        path: String,
        /// What the system said.
        detail: String,
    },
    /// The name is no path inside the tree.
    #[error(transparent)]
    Path(#[from] plans::InvalidPath),
}

/// An error about a file of the definitions, with the command that mends it.
#[derive(Debug, thiserror::Error)]
#[error("{error}{}", .error.help())]
struct Unread {
    #[source]
    error: TreeError,
}

impl TreeError {
    /// What to do about it, to stand behind the error itself.
    fn help(&self) -> String {
        match self {
            Self::Git(error) => format!("; {}", error.help()),
            Self::Directory { .. } | Self::Path(_) => String::new(),
        }
    }
}

impl From<TreeError> for Unread {
    fn from(error: TreeError) -> Self {
        Self { error }
    }
}

/// A file's bytes and the id of its content.
pub struct Content {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The git blob id; the SHA-256 where there is no git.
    pub id: String,
}

impl PlannedTree<'_> {
    /// Returns the content of a regular file; none if there is no such file.
    ///
    /// # Errors
    ///
    /// [`TreeError`] when there is one and it cannot be read.
    pub fn content(&self, path: &str) -> Result<Option<Content>, TreeError> {
        let repo_path = RepoPath::new(path.as_bytes())?;
        match self {
            Self::Git { repository, tree } => {
                let Some(file) = repository.file(*tree, &repo_path)? else { return Ok(None) };
                if !matches!(file.kind, FileKind::File { .. }) {
                    return Ok(None);
                }
                let bytes = repository.read(file.id)?;
                Ok(Some(Content { bytes, id: file.id.to_string() }))
            }
            Self::Directory(root) => {
                let Some(bytes) = read_file(&root.join(path))? else { return Ok(None) };
                let id = Sha256::digest(&bytes);
                let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
                Ok(Some(Content { bytes, id }))
            }
        }
    }

    /// Returns what reads a regular file on any thread, where git has it; else [`Self::content`] is
    /// the way.
    pub(crate) fn reader(&self, path: &str) -> Option<BlobReader<'_>> {
        let Self::Git { repository, tree } = self else { return None };
        let file = repository.file(*tree, &RepoPath::new(path.as_bytes()).ok()?).ok()??;
        matches!(file.kind, FileKind::File { .. }).then(|| repository.blob_reader(file.id))?
    }

    /// Returns every file, sorted by path; without git no directory is a submodule.
    ///
    /// # Errors
    ///
    /// [`TreeError`] when a directory cannot be read.
    pub fn tracked(&self) -> Result<Vec<Tracked>, TreeError> {
        let Self::Git { repository, tree } = self else {
            let plain = |path| Tracked { path, submodule: false, link: None };
            return Ok(self.paths()?.into_iter().map(plain).collect());
        };
        let tracked = repository.files(*tree)?.into_iter().map(|file| {
            let link = match file.kind {
                // A partial clone need not have it.
                FileKind::SymbolicLink => repository.read(file.id).ok(),
                _ => None,
            };
            Tracked { submodule: file.kind == FileKind::Submodule, link, path: file.path }
        });
        Ok(tracked.collect())
    }

    /// Returns the paths of every file, sorted; submodules and links are files.
    ///
    /// # Errors
    ///
    /// [`TreeError`] when a directory cannot be read.
    pub fn paths(&self) -> Result<Vec<RepoPath>, TreeError> {
        match self {
            Self::Git { repository, tree } => {
                let files = repository.files(*tree)?;
                Ok(files.into_iter().map(|file| file.path).collect())
            }
            Self::Directory(root) => {
                let mut paths = Vec::new();
                walk(root, &mut Vec::new(), &mut paths)?;
                paths.sort();
                Ok(paths)
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "without git, the directory is the planned tree")]
fn read_file(path: &Path) -> Result<Option<Vec<u8>>, TreeError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(directory_error(path, &error)),
    }
}

#[expect(clippy::disallowed_methods, reason = "without git, the directory is the planned tree")]
fn walk(dir: &Path, prefix: &mut Vec<u8>, paths: &mut Vec<RepoPath>) -> Result<(), TreeError> {
    let entries = std::fs::read_dir(dir).map_err(|error| directory_error(dir, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| directory_error(dir, &error))?;
        let name = entry.file_name();
        let kind = entry.file_type().map_err(|error| directory_error(&entry.path(), &error))?;
        if name == ".git" {
            continue;
        }
        let length = prefix.len();
        prefix.extend_from_slice(name.as_encoded_bytes());
        if kind.is_dir() {
            prefix.push(b'/');
            walk(&entry.path(), prefix, paths)?;
        } else if let Ok(path) = RepoPath::new(prefix.as_slice()) {
            paths.push(path);
        }
        prefix.truncate(length);
    }
    Ok(())
}

fn directory_error(path: &Path, error: &std::io::Error) -> TreeError {
    TreeError::Directory { path: path.display().to_string(), detail: error.to_string() }
}

/// The tree as the definitions' reader sees it; remembers which files were asked for.
pub(crate) struct DefinitionFiles<'a> {
    tree: &'a PlannedTree<'a>,
    inputs: RefCell<Inputs>,
    replaced: Option<(String, Vec<u8>)>,
}

/// The files that definitions are made of.
#[derive(Debug, Default)]
pub struct Inputs {
    /// The path of every file that was read, with the id of its content.
    pub ids: BTreeMap<String, String>,
    /// The globs of `include`, and of the manifests of packages: what matches one of them is, or
    /// was, such a file too.
    includes: Vec<Glob>,
    /// What is wrong with manifests of packages that were looked at.
    pub problems: Vec<PackageProblem>,
}

impl Inputs {
    /// Returns whether a path is one of the files, or would be if it were there.
    #[must_use]
    pub fn concern(&self, path: &RepoPath) -> bool {
        path.as_str().is_some_and(|path| self.ids.contains_key(path))
            || self.includes.iter().any(|glob| glob.is_match(path.as_bytes()))
    }
}

impl<'a> DefinitionFiles<'a> {
    pub(crate) fn new(tree: &'a PlannedTree<'a>) -> Self {
        Self { tree, inputs: RefCell::default(), replaced: None }
    }

    /// Puts other bytes in the place of a file.
    pub(crate) fn replace(&mut self, path: &str, bytes: Vec<u8>) {
        self.replaced = Some((path.to_owned(), bytes));
    }

    /// Returns the tree itself.
    pub(crate) fn tree(&self) -> &'a PlannedTree<'a> {
        self.tree
    }

    /// Notes that the definitions depend on every file that matches, without being made of it.
    pub(crate) fn watch(&self, glob: Glob) {
        self.inputs.borrow_mut().includes.push(glob);
    }

    /// Notes what is wrong with manifests of packages.
    pub(crate) fn note_problems(&self, problems: Vec<PackageProblem>) {
        self.inputs.borrow_mut().problems = problems;
    }

    /// Returns which files were asked for.
    pub(crate) fn into_inputs(self) -> Inputs {
        self.inputs.into_inner()
    }
}

impl Files for DefinitionFiles<'_> {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        if let Some((_, bytes)) = self.replaced.as_ref().filter(|(name, _)| name == path) {
            return Ok(Some(bytes.clone()));
        }
        let content = self.tree.content(path).map_err(Unread::from)?;
        let Some(content) = content else { return Ok(None) };
        self.inputs.borrow_mut().ids.insert(path.to_owned(), content.id);
        Ok(Some(content.bytes))
    }

    fn matching(&self, glob: &Glob) -> Result<Vec<String>, FileError> {
        self.inputs.borrow_mut().includes.push(glob.clone());
        let paths = match self.tree {
            PlannedTree::Git { repository, tree } => repository
                .files_matching(*tree, &[glob.as_str()])
                .map_err(|error| Unread { error: error.into() })?
                .into_iter()
                .map(|file| file.path)
                .collect(),
            PlannedTree::Directory(_) => self.tree.paths().map_err(Unread::from)?,
        };
        let matching = |path: &RepoPath| {
            path.as_str().filter(|_| glob.is_match(path.as_bytes())).map(str::to_owned)
        };
        Ok(paths.iter().filter_map(matching).collect())
    }
}
