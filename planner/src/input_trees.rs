//! What jobs with inputs see: the id of the tree that holds exactly these files.
//!
//! Computed in memory from the trees of the repository, nothing is written; the cost grows with what
//! matches. Jobs with equal inputs share the answer. Which files match is [`plans::TreeFilter`]'s
//! decision, which the executor shares.

use std::collections::{HashMap, HashSet};

use plans::{
    Change, Checkout, JobInputs, Node, ObjectHash, Seen, SnapshotProfile, TreeFilter, TreeId,
};

use crate::{
    git::{GitError, ObjectId, Part, Repository},
    planned_tree::TreeError,
};

/// The trees of one planned tree.
pub(crate) struct InputTrees<'a> {
    repository: &'a Repository,
    tree: ObjectId,
    known: HashMap<Sight, Known>,
}

/// Which files of a tree a node sees, as its specification says it; nothing: all of them.
pub(crate) type Sight = (Option<JobInputs>, Option<SnapshotProfile>);

/// Returns which files a node sees; nothing where it sees all of them.
pub(crate) fn sight(node: &Node) -> Option<Sight> {
    let inputs = node.spec.inputs.clone();
    // A clone is whole.
    let profile = node
        .spec
        .snapshot_profile
        .as_ref()
        .filter(|profile| !profile.exclude.is_empty() && node.spec.checkout == Checkout::Tree);
    (inputs.is_some() || profile.is_some()).then(|| (inputs, profile.cloned()))
}

/// Reads the globs of what a node sees.
///
/// # Errors
///
/// [`TreeError`] of a glob whose form is not allowed, which reading the definitions refuses.
pub(crate) fn filter_of((inputs, profile): &Sight) -> Result<TreeFilter, TreeError> {
    TreeFilter::new(inputs.as_ref(), profile.as_ref()).map_err(|problem| {
        TreeError::Git(GitError::Other {
            doing: "reading the globs of a job's inputs".to_owned(),
            detail: problem.to_string(),
        })
    })
}

/// Returns whether a node sees a path that changed, whatever was there before and is there now.
pub(crate) fn sees(filter: &TreeFilter, change: &Change) -> bool {
    let path = change.path.as_bytes();
    filter.keeps(path, false) || filter.keeps(path, true)
}

/// A tree that was made, and what it was made with.
struct Known {
    filter: TreeFilter,
    id: plans::ObjectId,
}

impl<'a> InputTrees<'a> {
    pub(crate) fn new(repository: &'a Repository, tree: ObjectId) -> Self {
        Self { repository, tree, known: HashMap::new() }
    }

    /// Says of each node with inputs which tree it sees.
    ///
    /// # Errors
    ///
    /// [`TreeError`] when a tree cannot be read.
    pub(crate) fn name(&mut self, nodes: &mut [Node]) -> Result<(), TreeError> {
        // Once through the tree, however many there are.
        let mut unknown: Vec<Sight> = Vec::new();
        let mut seen = HashSet::new();
        for sight in nodes.iter().filter_map(sight) {
            if !self.known.contains_key(&sight) && seen.insert(sight.clone()) {
                unknown.push(sight);
            }
        }
        self.learn(unknown)?;
        for node in nodes {
            if node.spec.inputs.is_some() {
                node.inputs_tree = Some(self.of(node)?);
            }
        }
        Ok(())
    }

    /// Goes to a tree that differs from the present one in these paths: what sees none of them stays known.
    pub(crate) fn go_to(&mut self, tree: ObjectId, changes: &[Change]) {
        self.tree = tree;
        self.known.retain(|_, known| !changes.iter().any(|change| sees(&known.filter, change)));
    }

    /// Returns the id of the tree of exactly the files that a node sees.
    ///
    /// # Errors
    ///
    /// [`TreeError`] when a tree cannot be read.
    pub(crate) fn of(&mut self, node: &Node) -> Result<plans::ObjectId, TreeError> {
        let Some(sight) = sight(node) else { return Ok(self.tree.into()) };
        if let Some(known) = self.known.get(&sight) {
            return Ok(known.id.clone());
        }
        self.learn(vec![sight.clone()])?;
        Ok(self.known[&sight].id.clone())
    }

    /// Returns what a node sees of the planned tree; `head` is what a clone stands on.
    ///
    /// # Errors
    ///
    /// [`TreeError`] when a tree cannot be read.
    pub(crate) fn seen(
        &mut self,
        node: &Node,
        head: Option<&plans::ObjectId>,
    ) -> Result<Seen, TreeError> {
        let commit = head.filter(|_| node.spec.checkout == Checkout::Clone);
        Ok(Seen { tree: self.of(node)?, commit: commit.cloned() })
    }

    fn learn(&mut self, sights: Vec<Sight>) -> Result<(), TreeError> {
        if sights.is_empty() {
            return Ok(());
        }
        let filters = sights.iter().map(filter_of).collect::<Result<Vec<_>, _>>()?;
        // A directory that is seen whole has an id, which is that of its files unless something odd wrote it.
        let (mut trees, directories) = self.made(&filters, true)?;
        if !self.repository.are_plain(&directories)? {
            (trees, _) = self.made(&filters, false)?;
        }
        for ((sight, filter), tree) in sights.into_iter().zip(filters).zip(trees) {
            self.known.insert(sight, Known { filter, id: tree.finish() });
        }
        Ok(())
    }

    /// The trees of what filters keep; with `whole`, those of directories that are seen whole stand in
    /// them as they are, and come back.
    fn made(
        &self,
        filters: &[TreeFilter],
        whole: bool,
    ) -> Result<(Vec<TreeId>, Vec<ObjectId>), TreeError> {
        let mut trees: Vec<TreeId> =
            filters.iter().map(|_| TreeId::new(ObjectHash::Sha1)).collect();
        let mut directories = Vec::new();
        self.repository.each_seen(self.tree, filters, whole, |of, part| match part {
            Part::File(file) => {
                trees[of].add(file.path.as_bytes(), file.kind.into(), file.id.as_bytes());
            }
            Part::Directory(path, id) => {
                trees[of].add_directory(path, id.as_bytes());
                directories.push(id);
            }
        })?;
        directories.sort_unstable();
        directories.dedup();
        Ok((trees, directories))
    }
}
