//! Whether the trees that a plan's nodes are to see are what their inputs make of the source.
//!
//! A plan says both, the globs and the tree; a node never sees a tree that was not planned.

use std::collections::{BTreeMap, HashMap, hash_map::Entry as Slot};

use plans::{
    FileMode, JobInputs, Node, NodeId, ObjectHash, ObjectId, SnapshotProfile, TreeFilter, TreeId,
};

use super::{Entry, SourceSpec, git::Git};
use crate::{
    fault::{FailureKind, Fault},
    text::unhex,
};

/// A node whose inputs are another tree than the plan says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OtherTree {
    /// The node.
    pub(crate) node: NodeId,
    /// What the plan says.
    pub(crate) planned: ObjectId,
    /// What its globs make of the source.
    pub(crate) found: ObjectId,
}

/// Finds the first node whose inputs are another tree than the plan says. The source is listed once,
/// and only where a node has inputs.
///
/// # Errors
///
/// When git cannot list the source.
pub(crate) fn other_tree(
    source: &SourceSpec,
    nodes: &[Node],
    environment: &BTreeMap<String, String>,
) -> Result<Option<OtherTree>, Fault> {
    let git = Git { repository: &source.repository, environment };
    let mut listed: Option<Vec<Entry>> = None;
    let mut known: HashMap<(&JobInputs, Option<&SnapshotProfile>), ObjectId> = HashMap::new();
    for node in nodes {
        let (Some(inputs), Some(planned)) = (&node.spec.inputs, &node.inputs_tree) else {
            continue;
        };
        let key = (inputs, node.spec.snapshot_profile.as_ref());
        let found = match known.entry(key) {
            Slot::Occupied(known) => known.into_mut(),
            Slot::Vacant(new) => {
                let entries = match &mut listed {
                    Some(entries) => entries,
                    None => listed.insert(git.list(&source.tree)?),
                };
                new.insert(tree_of(entries, key, ObjectHash::of(&source.tree))?)
            }
        };
        if found != planned {
            let (node, planned, found) = (node.id.clone(), planned.clone(), found.clone());
            return Ok(Some(OtherTree { node, planned, found }));
        }
    }
    Ok(None)
}

fn tree_of(
    entries: &[Entry],
    (inputs, profile): (&JobInputs, Option<&SnapshotProfile>),
    hash: ObjectHash,
) -> Result<ObjectId, Fault> {
    let filter = TreeFilter::new(Some(inputs), profile).map_err(|problem| {
        Fault::new(FailureKind::SourceMissing, format!("the globs of a node's inputs: {problem}"))
    })?;
    let mut tree = TreeId::new(hash);
    for entry in entries {
        if filter.keeps(&entry.path, entry.kind == FileMode::Submodule) {
            let id = unhex(&entry.object).ok_or_else(|| {
                let message = format!("unreadable object id: {}", entry.object);
                Fault::new(FailureKind::SourceMissing, message)
            })?;
            tree.add(&entry.path, entry.kind, &id);
        }
    }
    Ok(tree.finish())
}
