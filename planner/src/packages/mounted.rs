//! The planned tree with the files of its submodules in their places.
//!
//! A build sees a submodule as a directory, so manifests lead into it and out of it again. Where its
//! repository is on this machine ([`crate::git`] says where) and has the commit, readers of packages
//! see it so too; where it is not, a submodule stays a thing of its own. A change of it is one of the
//! commit: who depends on a file in there depends on the submodule. What the tree itself holds is
//! never read from elsewhere.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use globset::GlobBuilder;
use plans::RepoPath;

use super::{
    PackagesError,
    graph::{Packages, To},
    places::is_below,
    tree::{ManifestTree, TreeEntry, file_in},
};
use crate::{
    git::{FileKind, ObjectId, Repository},
    planned_tree::{PlannedTree, TreeError},
    submodules::{self, Named},
};

/// A tree, and its submodules that are here.
pub(super) struct Mounted<'a> {
    tree: &'a PlannedTree<'a>,
    below: Below,
}

/// The submodules of one tree, opened when something leads there.
struct Below {
    named: Vec<Named>,
    known: RefCell<BTreeMap<String, Option<Rc<Node>>>>,
}

/// A submodule that is here.
struct Node {
    repository: Repository,
    tree: ObjectId,
    /// Every path in it.
    paths: Vec<String>,
    below: Below,
}

impl Node {
    fn tree(&self) -> PlannedTree<'_> {
        PlannedTree::Git { repository: &self.repository, tree: self.tree }
    }
}

/// A path in a submodule: which, where that is in the whole tree, and what is left of the path.
struct Inside {
    node: Rc<Node>,
    at: String,
    rest: String,
}

impl<'a> Mounted<'a> {
    /// Looks at a tree with its submodules but those that `left_out` names.
    pub(super) fn new(
        tree: &'a PlannedTree<'a>,
        left_out: impl Fn(&str) -> bool,
    ) -> Result<Self, TreeError> {
        let mut below = Below::of(tree)?;
        below.named.retain(|named| !left_out(&named.path));
        Ok(Self { tree, below })
    }

    /// Returns whether the submodule at a path is here.
    pub(super) fn is_here(&self, path: &str) -> bool {
        self.inside(path).is_some_and(|inside| inside.rest.is_empty())
    }

    /// Adds the submodule itself to what depends on something in it.
    pub(super) fn mark(&self, packages: &mut Packages) {
        let known = self.below.known.borrow();
        let here: Vec<&String> =
            known.iter().filter_map(|(at, it)| it.as_ref().map(|_| at)).collect();
        if here.is_empty() {
            return;
        }
        let of = |path: &str| here.iter().find(|at| is_below(path, at)).map(|at| (*at).clone());
        let mut marks = Vec::new();
        for package in packages.iter() {
            let to = package.dependencies.iter().filter_map(|it| match &it.to {
                To::Package(path) | To::Directory(path) | To::File(path) => of(path),
                To::Glob(path) | To::Link(path) => of(path),
                To::Submodule(path) => of(path).filter(|at| at != path),
                To::Anything => None,
            });
            marks.extend(to.chain(of(&package.dir)).map(|at| (package.dir.clone(), at)));
        }
        for (dir, at) in marks {
            if let Some(package) = packages.at_mut(&dir) {
                let label = format!("{at} (submodule)");
                package.uses(To::Submodule(at), label);
            }
        }
    }

    fn inside(&self, path: &str) -> Option<Inside> {
        inside(self.tree, &self.below, "", path)
    }
}

impl Below {
    fn of(tree: &PlannedTree<'_>) -> Result<Self, TreeError> {
        let named = match tree {
            PlannedTree::Git { .. } => submodules::named(tree)?,
            // Without git, the directory is whole.
            PlannedTree::Directory(_) => Vec::new(),
        };
        Ok(Self { named, known: RefCell::default() })
    }

    fn open(&self, tree: &PlannedTree<'_>, named: &Named) -> Option<Rc<Node>> {
        if let Some(known) = self.known.borrow().get(&named.path) {
            return known.clone();
        }
        let node = open(tree, named).map(Rc::new);
        self.known.borrow_mut().insert(named.path.clone(), node.clone());
        node
    }
}

/// Opens a submodule whole: one of which a tree is missing is not here.
fn open(tree: &PlannedTree<'_>, named: &Named) -> Option<Node> {
    let PlannedTree::Git { repository, tree } = tree else { return None };
    let path = RepoPath::new(named.path.as_bytes()).ok()?;
    let file = repository.file(*tree, &path).ok()??;
    if file.kind != FileKind::Submodule {
        return None;
    }
    let (repository, tree) = repository.submodule(&named.name, &named.path, file.id)?;
    let files = repository.files(tree).ok()?;
    let paths = files.iter().filter_map(|file| file.path.as_str().map(str::to_owned)).collect();
    let below = Below::of(&PlannedTree::Git { repository: &repository, tree }).ok()?;
    Some(Node { repository, tree, paths, below })
}

fn inside(tree: &PlannedTree<'_>, below: &Below, at: &str, path: &str) -> Option<Inside> {
    let named = below.named.iter().find(|named| is_below(path, &named.path))?;
    let node = below.open(tree, named)?;
    let at = file_in(at, &named.path);
    let rest = path[named.path.len()..].trim_start_matches('/');
    let deeper = inside(&node.tree(), &node.below, &at, rest);
    Some(deeper.unwrap_or_else(|| Inside { at, rest: rest.to_owned(), node: Rc::clone(&node) }))
}

/// What cannot be read of a submodule that is here is a manifest that cannot be read: it stops no
/// planning.
fn unread(path: &str, error: PackagesError) -> PackagesError {
    let detail = match error {
        PackagesError::Tree(error) => error.to_string(),
        PackagesError::Manifest { detail, .. } => detail,
    };
    PackagesError::Manifest { path: path.to_owned(), detail }
}

impl ManifestTree for Mounted<'_> {
    fn text(&self, path: &str) -> Result<Option<String>, PackagesError> {
        let Some(Inside { node, rest, .. }) = self.inside(path) else {
            return self.tree.text(path);
        };
        ManifestTree::text(&node.tree(), &rest).map_err(|error| unread(path, error))
    }

    fn matching(&self, glob: &str) -> Result<Vec<String>, PackagesError> {
        let mut paths = self.tree.matching(glob)?;
        let Ok(parsed) = GlobBuilder::new(glob).literal_separator(true).build() else {
            return Ok(paths);
        };
        let matcher = parsed.compile_matcher();
        let mut waiting: Vec<(Rc<Node>, String)> = Vec::new();
        let list = |tree: &PlannedTree<'_>, below: &Below, at: &str| -> Vec<(Rc<Node>, String)> {
            let here = below.named.iter().filter_map(|named| {
                below.open(tree, named).map(|node| (node, file_in(at, &named.path)))
            });
            here.collect()
        };
        waiting.extend(list(self.tree, &self.below, ""));
        while let Some((node, at)) = waiting.pop() {
            let inner = node.paths.iter().map(|path| file_in(&at, path));
            paths.extend(inner.filter(|path| matcher.is_match(path)));
            waiting.extend(list(&node.tree(), &node.below, &at));
        }
        paths.sort();
        Ok(paths)
    }

    fn meet(&self, path: &str) -> Result<Option<(String, TreeEntry)>, PackagesError> {
        let Some(Inside { node, at, rest }) = self.inside(path) else {
            return self.tree.meet(path);
        };
        if rest.is_empty() {
            return Ok(Some((at, TreeEntry::Directory)));
        }
        let met = node.tree().meet(&rest)?;
        Ok(met.map(|(met, entry)| (file_in(&at, &met), entry)))
    }

    fn link(&self, path: &str) -> Result<Option<String>, PackagesError> {
        match self.inside(path) {
            None => self.tree.link(path),
            Some(Inside { node, rest, .. }) => node.tree().link(&rest),
        }
    }

    fn list(&self, dir: &str) -> Result<Vec<(String, TreeEntry)>, PackagesError> {
        let mut names = match self.inside(dir) {
            None => self.tree.list(dir)?,
            Some(Inside { node, rest, .. }) => node.tree().list(&rest)?,
        };
        for (name, entry) in &mut names {
            if *entry == TreeEntry::Submodule && self.inside(&file_in(dir, name)).is_some() {
                *entry = TreeEntry::Directory;
            }
        }
        Ok(names)
    }
}
