//! Whether the trees that a plan's nodes are to see are what their inputs make of the source.
//!
//! A plan says both, the globs and the tree; a node never sees a tree that was not planned.

use std::collections::{BTreeMap, HashMap, hash_map::Entry as Slot};

use plans::{
    FileMode, JobInputs, Node, NodeId, ObjectHash, ObjectId, SnapshotProfile, TreeFilter, TreeId,
};

use super::{Entry, EntryKind, SourceSpec, git::Git};
use crate::fault::{FailureKind, Fault};

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
        if filter.keeps(&entry.path, entry.kind == EntryKind::Submodule) {
            let mode = match entry.kind {
                EntryKind::File => FileMode::File,
                EntryKind::Executable => FileMode::Executable,
                EntryKind::Symlink => FileMode::Symlink,
                EntryKind::Submodule => FileMode::Submodule,
            };
            tree.add(&entry.path, mode, &bytes(&entry.object)?);
        }
    }
    Ok(tree.finish())
}

fn bytes(id: &str) -> Result<Vec<u8>, Fault> {
    let digits = id.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> =
        digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    bytes.ok_or_else(|| {
        Fault::new(FailureKind::SourceMissing, format!("unreadable object id: {id}"))
    })
}
