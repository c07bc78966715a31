//! Whether the trees that a plan's nodes are to see, and the keys of their results, are what their
//! inputs make of the source.
//!
//! A plan says both, the globs and the tree; a node never sees a tree that was not planned, and never
//! has the key of another's result.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::Path,
};

use plans::{
    Checkout, FileMode, JobInputs, Key, Node, NodeId, ObjectHash, ObjectId, Plan, Seen,
    SnapshotProfile, TreeFilter, TreeId,
};

use super::{Entry, SourceSpec, git::Git};
use crate::{
    fault::{FailureKind, Fault},
    text::unhex,
};

/// A node of which the plan says something that its source does not make true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotAsPlanned {
    /// Its inputs are another tree.
    Tree {
        /// The node.
        node: NodeId,
        /// What the plan says.
        planned: ObjectId,
        /// What its globs make of the source.
        found: ObjectId,
    },
    /// Its key is another one.
    Key {
        /// The node.
        node: NodeId,
        /// What the plan says.
        planned: Key,
        /// What decides its result has this one; absent: a node that it uses has none.
        found: Option<Key>,
    },
}

/// Finds the first node whose inputs or whose key are not what the plan says. The source is listed
/// once, and only where a node sees a part of it.
///
/// # Errors
///
/// When git cannot list the source.
pub(crate) fn not_as_planned(
    source: &SourceSpec,
    plan: &Plan,
    environment: &BTreeMap<String, String>,
) -> Result<Option<NotAsPlanned>, Fault> {
    let git = Git { repository: &source.repository, environment };
    let mut trees = Trees { git, source, listed: None, known: HashMap::new() };
    for node in plan.nodes() {
        let Some(planned) = &node.inputs_tree else { continue };
        let found = trees.of(node)?;
        if found != *planned {
            let (node, planned) = (node.id.clone(), planned.clone());
            return Ok(Some(NotAsPlanned::Tree { node, planned, found }));
        }
    }
    if plan.nodes().iter().all(|node| node.key.is_none()) {
        return Ok(None);
    }
    let keys = plan.keys(|node| -> Result<_, Fault> {
        let commit = source.head.as_ref().filter(|_| node.spec.checkout == Checkout::Clone);
        Ok(Some(Seen { tree: trees.of(node)?, commit: commit.cloned() }))
    })?;
    let mut both = plan.nodes().iter().zip(keys);
    Ok(both.find_map(|(node, found)| {
        let planned = node.key.as_ref().filter(|planned| Some(*planned) != found.as_ref())?;
        let (node, planned) = (node.id.clone(), planned.clone());
        Some(NotAsPlanned::Key { node, planned, found })
    }))
}

/// The trees that nodes see of one source.
struct Trees<'a> {
    git: Git<'a>,
    source: &'a SourceSpec,
    listed: Option<Vec<Entry>>,
    known: HashMap<(Option<&'a JobInputs>, Option<&'a SnapshotProfile>), ObjectId>,
}

impl<'a> Trees<'a> {
    fn of(&mut self, node: &'a Node) -> Result<ObjectId, Fault> {
        let inputs = node.spec.inputs.as_ref();
        // A clone is whole.
        let profile =
            node.spec.snapshot_profile.as_ref().filter(|profile| {
                !profile.exclude.is_empty() && node.spec.checkout == Checkout::Tree
            });
        if inputs.is_none() && profile.is_none() {
            return Ok(self.source.tree.clone());
        }
        if let Some(known) = self.known.get(&(inputs, profile)) {
            return Ok(known.clone());
        }
        let entries = match &mut self.listed {
            Some(entries) => entries,
            None => self.listed.insert(self.git.list(&self.source.tree)?),
        };
        let tree = tree_of(entries, (inputs, profile), ObjectHash::of(&self.source.tree))?;
        self.known.insert((inputs, profile), tree.clone());
        Ok(tree)
    }
}

/// Returns the paths of files that a node sees in two trees and that are not the same, and of those that it sees in one of
/// them.
///
/// # Errors
///
/// When git cannot list one of them.
pub(crate) fn changed_files(
    repository: &Path,
    (from, to): (&ObjectId, &ObjectId),
    (seen_from, seen_to): &(Option<JobInputs>, Option<JobInputs>),
    environment: &BTreeMap<String, String>,
) -> Result<Vec<String>, Fault> {
    let git = Git { repository, environment };
    let files = |tree: &ObjectId, inputs: Option<&JobInputs>| -> Result<_, Fault> {
        let filter = filter(inputs, None)?;
        let mut files = git.list(tree)?;
        files.retain(|entry| filter.keeps(&entry.path, entry.kind == FileMode::Submodule));
        let of = |entry: Entry| (entry.path, (entry.kind, entry.object));
        Ok(files.into_iter().map(of).collect::<BTreeMap<_, _>>())
    };
    let (from, to) = (files(from, seen_from.as_ref())?, files(to, seen_to.as_ref())?);
    let paths: BTreeSet<&[u8]> = from.keys().chain(to.keys()).map(|path| &**path).collect();
    let differ = |path: &&[u8]| from.get(*path) != to.get(*path);
    let shown = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    Ok(paths.into_iter().filter(differ).map(shown).collect())
}

fn filter(
    inputs: Option<&JobInputs>,
    profile: Option<&SnapshotProfile>,
) -> Result<TreeFilter, Fault> {
    TreeFilter::new(inputs, profile).map_err(|problem| {
        Fault::new(FailureKind::SourceMissing, format!("the globs of a node's inputs: {problem}"))
    })
}

fn tree_of(
    entries: &[Entry],
    (inputs, profile): (Option<&JobInputs>, Option<&SnapshotProfile>),
    hash: ObjectHash,
) -> Result<ObjectId, Fault> {
    let filter = filter(inputs, profile)?;
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
