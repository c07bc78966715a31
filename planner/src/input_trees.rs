//! What jobs with inputs see: the id of the tree that holds exactly these files.
//!
//! Computed in memory from the trees of the repository, nothing is written; the cost grows with what
//! matches. Jobs with equal inputs share the answer. Which files match is [`plans::TreeFilter`]'s
//! decision, which the executor shares.

use std::collections::HashMap;

use plans::{
    Checkout, FileMode, JobInputs, Node, ObjectHash, Seen, SnapshotProfile, TreeFilter, TreeId,
};

use crate::{
    git::{FileKind, GitError, ObjectId, Repository},
    planned_tree::TreeError,
};

/// The trees of one planned tree.
pub(crate) struct InputTrees<'a> {
    repository: &'a Repository,
    tree: ObjectId,
    known: HashMap<(Option<JobInputs>, Option<SnapshotProfile>), plans::ObjectId>,
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
        for node in nodes {
            if node.spec.inputs.is_some() {
                node.inputs_tree = Some(self.of(node)?);
            }
        }
        Ok(())
    }

    /// Returns the id of the tree of exactly the files that a node sees.
    ///
    /// # Errors
    ///
    /// [`TreeError`] when a tree cannot be read.
    pub(crate) fn of(&mut self, node: &Node) -> Result<plans::ObjectId, TreeError> {
        let inputs = node.spec.inputs.as_ref();
        // A clone is whole.
        let profile =
            node.spec.snapshot_profile.as_ref().filter(|profile| {
                !profile.exclude.is_empty() && node.spec.checkout == Checkout::Tree
            });
        if inputs.is_none() && profile.is_none() {
            return Ok(self.tree.into());
        }
        let key = (inputs.cloned(), profile.cloned());
        if let Some(id) = self.known.get(&key) {
            return Ok(id.clone());
        }
        let id = self.filtered(inputs, profile)?;
        self.known.insert(key, id.clone());
        Ok(id)
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

    fn filtered(
        &self,
        inputs: Option<&JobInputs>,
        profile: Option<&SnapshotProfile>,
    ) -> Result<plans::ObjectId, TreeError> {
        let filter = TreeFilter::new(inputs, profile).map_err(|problem| {
            TreeError::Git(GitError::Other {
                doing: "reading the globs of a job's inputs".to_owned(),
                detail: problem.to_string(),
            })
        })?;
        let mut tree = TreeId::new(ObjectHash::Sha1);
        for file in self.repository.files_seen(self.tree, &filter)? {
            let mode = match file.kind {
                FileKind::File { executable: false } => FileMode::File,
                FileKind::File { executable: true } => FileMode::Executable,
                FileKind::SymbolicLink => FileMode::Symlink,
                FileKind::Submodule => FileMode::Submodule,
            };
            tree.add(file.path.as_bytes(), mode, file.id.as_bytes());
        }
        Ok(tree.finish())
    }
}
