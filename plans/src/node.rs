//! One vertex of the plan: a job spec, and how it hangs together with the other nodes.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    AbsolutePath, CacheName, GroupName, JobSpec, Key, Member, NodeId, ObjectId, RunIf, SortedMap,
    SortedSet, Taken, WorkspacePath,
};

/// A vertex of the plan's graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id: `prepare-…` or `execute-…`.
    pub id: NodeId,
    /// Whether it makes something ready or runs a job.
    pub kind: NodeKind,
    /// The digest of what decides its result; absent in a plan without a tree, and before 1.1.
    pub key: Option<Key>,
    /// Of which job it is one of several, and which.
    pub member: Member,
    /// The nodes that must have ended before it starts; `run_if` says how.
    pub depends_on: SortedSet<NodeId>,
    /// After which of their outcomes it runs.
    pub run_if: RunIf,
    /// At most one node of each of these groups runs at a time, over all runs of a machine.
    pub concurrency_groups: SortedSet<GroupName>,
    /// What runs, where, and how isolated.
    pub spec: JobSpec,
    /// With inputs: the id of the tree that holds exactly the files it sees; absent in a plan
    /// without a tree.
    pub inputs_tree: Option<ObjectId>,
    /// The exact keys of its caches; absent in a plan without a tree, and for one whose globs match
    /// no file.
    pub cache_keys: SortedMap<CacheName, Key>,
    /// Outputs of prepare nodes that are mounted read-only for this one.
    pub mounts: Vec<Mount>,
    /// The host setup whose working copy this node sees instead of the plain source tree.
    pub workspace_from: Option<NodeId>,
    /// Outputs and artifacts of other nodes that it is given.
    pub takes: Taken,
    /// Prepare nodes: what they leave for their dependents.
    pub output: Option<Output>,
}

impl Node {
    /// Returns the prepare nodes whose output it uses: what it mounts, then where its workspace comes from.
    pub fn prepared_by(&self) -> impl Iterator<Item = &NodeId> {
        self.mounts.iter().map(|mount| &mount.node).chain(&self.workspace_from)
    }

    /// Returns the nodes of which it has something: those that prepare it, then those whose outputs and files it is given.
    pub fn uses(&self) -> impl Iterator<Item = &NodeId> {
        self.prepared_by().chain(self.takes.nodes())
    }
}

/// Whether a node makes something ready or runs a job.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum NodeKind {
    /// Makes something ready for other nodes; its id starts with `prepare-`.
    Prepare,
    /// Runs a job; its id starts with `execute-`.
    Execute,
}

impl NodeKind {
    /// Returns the word used in ids, plans and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Execute => "execute",
        }
    }
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The output of a prepare node, mounted read-only.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// The prepare node; always among `depends_on`.
    pub node: NodeId,
    /// Where the job sees its output.
    pub path: AbsolutePath,
}

/// What a prepare node leaves for its dependents.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Output {
    /// A directory below its workspace.
    Directory(WorkspacePath),
    /// The store path that `nix build` printed.
    StorePath,
    /// Its whole workspace: dependents start from a copy of it.
    Workspace,
}
