//! What jobs with inputs see: the id of the tree that holds exactly these files.
//!
//! Computed in memory from the trees of the repository, nothing is written; the cost grows with what
//! matches. Jobs with equal inputs share the answer. Which files match is [`plans::TreeFilter`]'s
//! decision, which the executor shares.

use std::collections::HashMap;

use plans::{FileMode, JobInputs, Node, ObjectHash, SnapshotProfile, TreeFilter, TreeId};

use crate::{
    git::{FileKind, GitError, ObjectId, Repository},
    planned_tree::TreeError,
};

/// The trees of one planned tree.
pub(crate) struct InputTrees<'a> {
    repository: &'a Repository,
    tree: ObjectId,
    known: HashMap<(JobInputs, Option<SnapshotProfile>), plans::ObjectId>,
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
            let Some(inputs) = &node.spec.inputs else { continue };
            let profile = node.spec.snapshot_profile.as_ref();
            let key = (inputs.clone(), profile.cloned());
            let id = match self.known.get(&key) {
                Some(id) => id.clone(),
                None => {
                    let id = self.of(inputs, profile)?;
                    self.known.insert(key, id.clone());
                    id
                }
            };
            node.inputs_tree = Some(id);
        }
        Ok(())
    }

    fn of(
        &self,
        inputs: &JobInputs,
        profile: Option<&SnapshotProfile>,
    ) -> Result<plans::ObjectId, TreeError> {
        let filter = TreeFilter::new(Some(inputs), profile).map_err(|problem| {
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
