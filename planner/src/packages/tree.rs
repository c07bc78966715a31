//! The tree as readers of packages see it: texts, directories, and where a path leads.
//!
//! [`ManifestTree`] is what a tree must answer; `Manifests` is what a kind of package reads
//! from: links are followed, manifests of `ignore_manifests` are not there, and a file that cannot
//! be read as text is told apart from one that is not there. Knows no format.

use std::collections::BTreeMap;

use globset::GlobBuilder;
use lanes::glob::Glob;
use plans::RepoPath;

use super::PackagesError;
use crate::{
    git::FileKind,
    planned_tree::{PlannedTree, TreeError},
};

/// How many symbolic links lead on before the path counts as leading nowhere, as in Linux.
const MOST_LINKS: usize = 40;

/// What is at a path of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TreeEntry {
    /// A regular file.
    File,
    /// A directory with files in it.
    Directory,
    /// A symbolic link.
    Link,
    /// A commit of another repository, whose files are not in the tree.
    Submodule,
}

/// Where manifests come from.
pub trait ManifestTree {
    /// Returns the text of a regular file; none if there is no such file. Links are not followed.
    ///
    /// # Errors
    ///
    /// [`PackagesError`] when there is one and it cannot be read.
    fn text(&self, path: &str) -> Result<Option<String>, PackagesError>;

    /// Returns the paths that match a glob: `*` stays in a component.
    ///
    /// # Errors
    ///
    /// [`PackagesError`] when a directory cannot be read.
    fn matching(&self, glob: &str) -> Result<Vec<String>, PackagesError>;

    /// Returns what a path meets first, with the part of the path that leads there: a file, link or
    /// submodule on the way, or what is at its end. `""` is the root. A tree of plain files needs
    /// no answer of its own.
    ///
    /// # Errors
    ///
    /// [`PackagesError`] when a directory cannot be read.
    fn meet(&self, path: &str) -> Result<Option<(String, TreeEntry)>, PackagesError> {
        let entry = if path.is_empty() {
            Some(TreeEntry::Directory)
        } else if !self.matching(&globset::escape(path))?.is_empty() {
            Some(TreeEntry::File)
        } else if !self.matching(&format!("{}/**", globset::escape(path)))?.is_empty() {
            Some(TreeEntry::Directory)
        } else {
            None
        };
        Ok(entry.map(|entry| (path.to_owned(), entry)))
    }

    /// Returns what a symbolic link says; none if it is not UTF-8.
    ///
    /// # Errors
    ///
    /// [`PackagesError`] when it cannot be read.
    fn link(&self, _path: &str) -> Result<Option<String>, PackagesError> {
        Ok(None)
    }

    /// Returns the names in a directory, sorted; none where there is no directory. A tree of plain
    /// files needs no answer of its own.
    ///
    /// # Errors
    ///
    /// [`PackagesError`] when it cannot be read.
    fn list(&self, dir: &str) -> Result<Vec<(String, TreeEntry)>, PackagesError> {
        let below = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let mut names = BTreeMap::new();
        for path in self.matching(&format!("{}**", globset::escape(&below)))? {
            let Some(rest) = path.strip_prefix(&below) else { continue };
            match rest.split_once('/') {
                Some((name, _)) => names.insert(name.to_owned(), TreeEntry::Directory),
                None => names.insert(rest.to_owned(), TreeEntry::File),
            };
        }
        Ok(names.into_iter().collect())
    }
}

impl ManifestTree for PlannedTree<'_> {
    fn text(&self, path: &str) -> Result<Option<String>, PackagesError> {
        if RepoPath::new(path.as_bytes()).is_err() {
            return Ok(None);
        }
        let Some(content) = self.content(path)? else { return Ok(None) };
        String::from_utf8(content.bytes).map(Some).map_err(|_| PackagesError::Manifest {
            path: path.to_owned(),
            detail: "it is not UTF-8".to_owned(),
        })
    }

    fn matching(&self, glob: &str) -> Result<Vec<String>, PackagesError> {
        // A pattern that does not parse matches nothing; the tools would say so themselves.
        let Ok(parsed) = GlobBuilder::new(glob).literal_separator(true).build() else {
            return Ok(Vec::new());
        };
        let paths: Vec<RepoPath> = match self {
            Self::Git { repository, tree } => {
                let files = repository.files_matching(*tree, &[glob]).map_err(TreeError::from)?;
                files.into_iter().map(|file| file.path).collect()
            }
            Self::Directory(_) => self.paths()?,
        };
        let matcher = parsed.compile_matcher();
        let matching = |path: &RepoPath| {
            path.as_str().filter(|path| matcher.is_match(path)).map(str::to_owned)
        };
        Ok(paths.iter().filter_map(matching).collect())
    }

    fn meet(&self, path: &str) -> Result<Option<(String, TreeEntry)>, PackagesError> {
        match self {
            Self::Git { repository, tree } => {
                let met = repository.meet(*tree, path.as_bytes()).map_err(TreeError::from)?;
                let entry = |file: FileKind| match file {
                    FileKind::File { .. } => TreeEntry::File,
                    FileKind::SymbolicLink => TreeEntry::Link,
                    FileKind::Submodule => TreeEntry::Submodule,
                };
                Ok(met.map(|met| {
                    let kind = met.file.map_or(TreeEntry::Directory, |(kind, _)| entry(kind));
                    (path[..met.length].to_owned(), kind)
                }))
            }
            Self::Directory(root) => Ok(super::directory::meet(root, path)?),
        }
    }

    fn link(&self, path: &str) -> Result<Option<String>, PackagesError> {
        let target = match self {
            Self::Git { repository, tree } => {
                let met = repository.meet(*tree, path.as_bytes()).map_err(TreeError::from)?;
                let Some((FileKind::SymbolicLink, id)) = met.and_then(|met| met.file) else {
                    return Ok(None);
                };
                repository.read(id).map_err(TreeError::from)?
            }
            Self::Directory(root) => match super::directory::link(root, path) {
                Some(target) => target,
                None => return Ok(None),
            },
        };
        Ok(String::from_utf8(target).ok())
    }

    fn list(&self, dir: &str) -> Result<Vec<(String, TreeEntry)>, PackagesError> {
        match self {
            Self::Git { repository, tree } => {
                let names = repository.names_in(*tree, dir.as_bytes()).map_err(TreeError::from)?;
                let entry = |kind: Option<FileKind>| match kind {
                    None => TreeEntry::Directory,
                    Some(FileKind::File { .. }) => TreeEntry::File,
                    Some(FileKind::SymbolicLink) => TreeEntry::Link,
                    Some(FileKind::Submodule) => TreeEntry::Submodule,
                };
                let names = names
                    .unwrap_or_default()
                    .into_iter()
                    .filter_map(|(name, kind)| Some((String::from_utf8(name).ok()?, entry(kind))));
                let mut names: Vec<_> = names.collect();
                names.sort_by(|(a, _), (b, _)| a.cmp(b));
                Ok(names)
            }
            Self::Directory(root) => Ok(super::directory::list(root, dir)?),
        }
    }
}

/// The text of a file, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Text {
    /// There is no such file.
    Absent,
    /// The text.
    Read(String),
    /// There is something, but no text can be had of it: what is wrong.
    Unreadable(String),
}

/// Where a path leads once links are followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The symbolic links on the way: a change of one of them leads elsewhere.
    pub(crate) links: Vec<String>,
    /// What is there.
    pub(crate) end: End,
}

/// What is at the end of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// A directory.
    Directory(String),
    /// A file.
    File(String),
    /// A submodule at or above the path.
    Submodule(String),
    /// Nothing is at that path of the tree.
    Missing(String),
    /// The path leaves the tree.
    Outside,
}

/// A tree, what of it is to be ignored, and the packages that are asked for.
pub(crate) struct Manifests<'a> {
    tree: &'a dyn ManifestTree,
    ignored: &'a [Glob],
    wanted: &'a [&'a str],
}

impl<'a> Manifests<'a> {
    /// Reads all of a tree for packages of these names.
    pub(crate) fn new(
        tree: &'a dyn ManifestTree,
        ignored: &'a [Glob],
        wanted: &'a [&'a str],
    ) -> Self {
        Self { tree, ignored, wanted }
    }

    /// Returns the names of packages that lanes ask for. A reader that finds them all in the
    /// workspace at the root need not look further.
    pub(crate) fn wanted(&self) -> &'a [&'a str] {
        self.wanted
    }

    /// Returns whether `ignore_manifests` leaves a manifest out.
    pub(crate) fn is_ignored(&self, path: &str) -> bool {
        self.ignored.iter().any(|glob| glob.is_match(path.as_bytes()))
    }

    /// Returns where the file is that a path leads to. What `ignore_manifests` names is absent.
    pub(crate) fn file(&self, path: &str) -> Result<Option<String>, TreeError> {
        if self.is_ignored(path) {
            return Ok(None);
        }
        let place = match self.tree.meet(path).map_err(only_tree)? {
            Some((met, TreeEntry::File)) if met == path => End::File(met),
            None => return Ok(None),
            Some(_) => self.locate(path)?.end,
        };
        Ok(if let End::File(path) = place { Some(path) } else { None })
    }

    /// Returns the text of a file, links followed. What `ignore_manifests` names is absent.
    pub(crate) fn text(&self, path: &str) -> Result<Text, TreeError> {
        let Some(path) = self.file(path)? else { return Ok(Text::Absent) };
        match self.tree.text(&path) {
            Ok(Some(text)) => Ok(Text::Read(text)),
            Ok(None) => Ok(Text::Absent),
            Err(PackagesError::Manifest { detail, .. }) => Ok(Text::Unreadable(detail)),
            Err(PackagesError::Tree(error)) => Err(error),
        }
    }

    /// Returns where a path of the tree leads.
    pub(crate) fn locate(&self, path: &str) -> Result<Place, TreeError> {
        let mut path = path.to_owned();
        let mut links = Vec::new();
        while links.len() < MOST_LINKS {
            let Some((met, entry)) = self.tree.meet(&path).map_err(only_tree)? else {
                return Ok(Place { links, end: End::Missing(path) });
            };
            let whole = met.len() == path.len();
            let end = match entry {
                TreeEntry::Link => {
                    let target = self.tree.link(&met).map_err(only_tree)?;
                    let target = target.and_then(|target| join(directory_of(&met), &target));
                    let rest = path[met.len()..].trim_start_matches('/');
                    links.push(met);
                    let Some(target) = target else {
                        return Ok(Place { links, end: End::Outside });
                    };
                    path = if rest.is_empty() { target } else { file_in(&target, rest) };
                    continue;
                }
                TreeEntry::Submodule => End::Submodule(met),
                TreeEntry::Directory => End::Directory(met),
                TreeEntry::File if whole => End::File(met),
                TreeEntry::File => End::Missing(path),
            };
            return Ok(Place { links, end });
        }
        Ok(Place { links, end: End::Missing(path) })
    }

    /// Returns where a relative path in a manifest of a directory leads.
    pub(crate) fn lead(&self, dir: &str, relative: &str) -> Result<Place, TreeError> {
        match join(dir, relative) {
            Some(path) => self.locate(&path),
            None => Ok(Place { links: Vec::new(), end: End::Outside }),
        }
    }

    /// Returns the names in a directory, sorted.
    pub(crate) fn list(&self, dir: &str) -> Result<Vec<(String, TreeEntry)>, TreeError> {
        self.tree.list(dir).map_err(only_tree)
    }

    /// Returns the paths that match a glob, without ignored manifests; links are not followed.
    pub(crate) fn matching(&self, glob: &str) -> Result<Vec<String>, TreeError> {
        let mut paths = self.tree.matching(glob).map_err(only_tree)?;
        paths.retain(|path| !self.is_ignored(path));
        Ok(paths)
    }
}

/// What there is for readers that keep to the tree's own answers.
impl ManifestTree for Manifests<'_> {
    fn text(&self, path: &str) -> Result<Option<String>, PackagesError> {
        match Manifests::text(self, path)? {
            Text::Absent => Ok(None),
            Text::Read(text) => Ok(Some(text)),
            Text::Unreadable(detail) => {
                Err(PackagesError::Manifest { path: path.to_owned(), detail })
            }
        }
    }

    fn matching(&self, glob: &str) -> Result<Vec<String>, PackagesError> {
        Ok(Manifests::matching(self, glob)?)
    }

    fn meet(&self, path: &str) -> Result<Option<(String, TreeEntry)>, PackagesError> {
        self.tree.meet(path)
    }

    fn link(&self, path: &str) -> Result<Option<String>, PackagesError> {
        self.tree.link(path)
    }

    fn list(&self, dir: &str) -> Result<Vec<(String, TreeEntry)>, PackagesError> {
        self.tree.list(dir)
    }
}

/// The error of an answer that is not about one file's text.
fn only_tree(error: PackagesError) -> TreeError {
    match error {
        PackagesError::Tree(error) => error,
        PackagesError::Manifest { path, detail } => TreeError::Directory { path, detail },
    }
}

/// Resolves a relative path of a manifest; none where it leaves the tree.
pub(crate) fn join(dir: &str, relative: &str) -> Option<String> {
    if relative.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = dir.split('/').filter(|part| !part.is_empty()).collect();
    for part in relative.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Returns the path of a file of a directory.
pub(crate) fn file_in(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}

/// Returns the directory that a path is in.
pub(crate) fn directory_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(dir, _)| dir)
}
