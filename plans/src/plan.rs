//! The validated plan in memory: immutable, its graph checked, its order canonical.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    BaseFrom, CacheName, CacheScope, Change, EnvName, FilesFrom, Graph, GraphError,
    InvalidCombination, Key, LaneId, Member, Node, NodeId, NodeKind, Output, OutputRef, Reason,
    RepoPath, Reuse, RunIf, ScenarioName, SchemaVersion, TargetId, WorkspacePath,
    glob::{self, GlobProblem},
    paths_overlap,
};

/// What a plan is made of, before it is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanParts {
    /// Which commits, or which scenario, the plan answers.
    pub source: Source,
    /// What was asked.
    pub selection: Selection,
    /// Path of each manifest and catalog file -> its git blob id (sha256 when not in git).
    pub inputs: BTreeMap<String, String>,
    /// The change set.
    pub changes: BTreeSet<Change>,
    /// Changed paths that no lane and no ignore covers.
    pub uncovered: BTreeSet<RepoPath>,
    /// The lanes of the trigger, in manifest order.
    pub lanes: Vec<PlanLane>,
    /// What runs.
    pub nodes: Vec<Node>,
}

/// A plan that can be run, shown and compared. Cannot be built from parts that do not fit.
#[derive(Debug, Clone)]
pub struct Plan {
    version: SchemaVersion,
    source: Source,
    selection: Selection,
    inputs: BTreeMap<String, String>,
    changes: Vec<Change>,
    uncovered: Vec<RepoPath>,
    lanes: Vec<PlanLane>,
    nodes: Vec<Arc<Node>>,
    graph: Graph,
}

/// Why parts do not make a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// The nodes are no graph that can be run.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// A node's id does not start with its kind.
    #[error("node `{id}` is of kind `{kind}`, so its id must start with `{kind}-`")]
    IdOfOtherKind {
        /// The node.
        id: NodeId,
        /// Its kind.
        kind: NodeKind,
    },
    /// A node uses what another leaves, without waiting for it.
    #[error("node `{node}` uses the output of `{of}` but does not depend on it")]
    OutputWithoutEdge {
        /// The node that uses the output.
        node: NodeId,
        /// The node that leaves it.
        of: NodeId,
    },
    /// A node uses an output that the other does not leave.
    #[error("node `{node}` uses an output of `{of}` that it does not leave")]
    NoSuchOutput {
        /// The node that uses the output.
        node: NodeId,
        /// The node that is to leave it.
        of: NodeId,
    },
    /// A variable has two values.
    #[error("node `{node}` gets `{name}` from another node and sets it itself")]
    VariableTwice {
        /// The node.
        node: NodeId,
        /// The variable.
        name: EnvName,
    },
    /// Files are a part's, and the node is none.
    #[error(
        "node `{node}` has `shard_files` without `shard`, or one that no list of lines can name"
    )]
    ShardFiles {
        /// The node.
        node: NodeId,
    },
    /// Files would appear in git's own directory.
    #[error("node `{node}` gets files at `{at}`, which is git's own")]
    FilesInGit {
        /// The node.
        node: NodeId,
        /// The place.
        at: WorkspacePath,
    },
    /// Files of two nodes, or of two lists, would appear at the same place.
    #[error("node `{node}` gets files at `{one}` and at `{other}`, which overlap")]
    FilesOverlap {
        /// The node.
        node: NodeId,
        /// One of the places.
        one: WorkspacePath,
        /// The other.
        other: WorkspacePath,
    },
    /// A node's settings cannot work together.
    #[error("node `{node}`: {problem}")]
    Combination {
        /// The node.
        node: NodeId,
        /// Which settings, and why not.
        problem: InvalidCombination,
    },
    /// A node says which files it sees, or which tree they make, but not both.
    #[error("node `{node}`: `inputs` and `inputs_tree` belong together in a plan with a tree")]
    InputsTree {
        /// The node.
        node: NodeId,
    },
    /// The globs of a node's inputs cannot be read.
    #[error("node `{node}`: `inputs` has the glob `{glob}`: {problem}")]
    InputsGlob {
        /// The node.
        node: NodeId,
        /// The glob.
        glob: String,
        /// What is wrong with it.
        problem: GlobProblem,
    },
    /// The globs of a cache's key cannot be read.
    #[error("node `{node}`: the key of cache `{cache}` has the glob `{glob}`: {problem}")]
    CacheGlob {
        /// The node.
        node: NodeId,
        /// The cache.
        cache: CacheName,
        /// The glob.
        glob: String,
        /// What is wrong with it.
        problem: GlobProblem,
    },
    /// An exact key is of a cache that the node does not have.
    #[error("node `{node}` has the key of a cache `{cache}` and no such cache")]
    CacheKey {
        /// The node.
        node: NodeId,
        /// The cache.
        cache: CacheName,
    },
    /// Two lanes have the same id.
    #[error("two lanes have the id `{0}`")]
    DuplicateLane(LaneId),
    /// A lane lists a node that is not in the plan.
    #[error("lane `{lane}` lists node `{missing}`, which is not in the plan")]
    LaneNode {
        /// The lane.
        lane: LaneId,
        /// What it lists.
        missing: NodeId,
    },
}

impl Plan {
    /// Checks `parts` and puts nodes into canonical order.
    ///
    /// # Errors
    ///
    /// [`PlanError`] names the first part that does not fit.
    pub fn new(parts: PlanParts) -> Result<Self, PlanError> {
        Self::with_version(oldest_version(&parts), parts)
    }

    fn with_version(version: SchemaVersion, mut parts: PlanParts) -> Result<Self, PlanError> {
        let nodes = std::mem::take(&mut parts.nodes).into_iter().map(Arc::new).collect();
        Self::of_nodes(version, parts, nodes)
    }

    /// Checks parts whose nodes are apart from the rest.
    pub(crate) fn of_nodes(
        version: SchemaVersion,
        parts: PlanParts,
        nodes: Vec<Arc<Node>>,
    ) -> Result<Self, PlanError> {
        let PlanParts { source, selection, inputs, changes, uncovered, mut lanes, .. } = parts;
        let (nodes, graph) = Graph::build(nodes)?;
        for node in &nodes {
            check_node(node, &nodes, &graph)?;
            check_inputs(node, &source)?;
            check_caches(node)?;
        }
        let mut lane_ids = BTreeSet::new();
        for lane in &mut lanes {
            if !lane_ids.insert(lane.id.clone()) {
                return Err(PlanError::DuplicateLane(lane.id.clone()));
            }
            if let Some(missing) =
                lane.nodes.iter().find(|id| graph.position(id.as_str()).is_none())
            {
                let (lane, missing) = (lane.id.clone(), missing.clone());
                return Err(PlanError::LaneNode { lane, missing });
            }
            lane.nodes.sort_by_key(|id| graph.position(id.as_str()));
            lane.nodes.dedup();
        }
        let (changes, uncovered) = (changes.into_iter().collect(), uncovered.into_iter().collect());
        Ok(Self { version, source, selection, inputs, changes, uncovered, lanes, nodes, graph })
    }

    pub(crate) fn set_keys(mut self, keys: Vec<Option<Key>>) -> Self {
        if keys.iter().any(Option::is_some) {
            self.version = self.version.max(WITH_KEYS);
        }
        for (node, key) in self.nodes.iter_mut().zip(keys) {
            Arc::make_mut(node).key = key;
        }
        self
    }

    /// Returns the version of the format the plan was written in.
    #[must_use]
    pub fn version(&self) -> SchemaVersion {
        self.version
    }

    /// Returns which commits, or which scenario, the plan answers.
    #[must_use]
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// Returns what was asked.
    #[must_use]
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// Returns the manifest and catalog files with their content ids.
    #[must_use]
    pub fn inputs(&self) -> &BTreeMap<String, String> {
        &self.inputs
    }

    /// Returns the change set, sorted by path.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Returns the changed paths that nothing covers, sorted.
    #[must_use]
    pub fn uncovered(&self) -> &[RepoPath] {
        &self.uncovered
    }

    /// Returns the lanes in manifest order.
    #[must_use]
    pub fn lanes(&self) -> &[PlanLane] {
        &self.lanes
    }

    /// Returns the nodes in canonical order: by depth, then by id.
    #[must_use]
    pub fn nodes(&self) -> &[Arc<Node>] {
        &self.nodes
    }

    /// Returns the node with that id.
    #[must_use]
    pub fn node(&self, id: &str) -> Option<&Node> {
        self.graph.position(id).map(|position| &*self.nodes[position])
    }

    /// Returns the graph; its positions index [`Self::nodes`].
    #[must_use]
    pub fn graph(&self) -> &Graph {
        &self.graph
    }
}

/// The oldest version of the format in which nodes have keys.
const WITH_KEYS: SchemaVersion = SchemaVersion { major: 1, minor: 1 };

/// The oldest version of the format that has every key the parts need.
fn oldest_version(parts: &PlanParts) -> SchemaVersion {
    let source = matches!(&parts.source, Source::Change(source)
        if source.passed.is_some() || source.base_from.is_some() || source.cache_scope.is_some());
    let mut reasons = parts.lanes.iter().flat_map(|lane| &lane.reasons);
    let newer = reasons.any(|it| {
        let entries = matches!(it, Reason::DefinitionChanged(it) if !it.entries.is_empty());
        entries || it.since().is_some() || matches!(it, Reason::Owed(_))
    });
    let rules = |node: &Node| {
        let flows = !node.takes.is_empty() || !node.spec.outputs.is_empty();
        flows
            || node.run_if != RunIf::Passed
            || node.spec.inputs.is_some()
            || node.spec.retry_on.is_some()
            || node.spec.allow_failure.is_some()
            || node.member != Member::default()
            || node.key.is_some()
            || node.spec.reuse != Reuse::Never
            || node.spec.reuse_with_secrets
            || !node.spec.key_commands.is_empty()
            || !node.spec.caches.is_empty()
    };
    let jobs = parts.nodes.iter().any(rules);
    SchemaVersion { major: 1, minor: u32::from(source || newer || jobs) }
}

fn check_node(node: &Node, nodes: &[Arc<Node>], graph: &Graph) -> Result<(), PlanError> {
    if !node.id.as_str().strip_prefix(node.kind.as_str()).is_some_and(|rest| rest.starts_with('-'))
    {
        return Err(PlanError::IdOfOtherKind { id: node.id.clone(), kind: node.kind });
    }
    let mounted = node.mounts.iter().map(|mount| (&mount.node, false));
    let workspace = node.workspace_from.iter().map(|id| (id, true));
    for (of, wants_workspace) in mounted.chain(workspace) {
        if !node.depends_on.contains(of) {
            let (node, of) = (node.id.clone(), of.clone());
            return Err(PlanError::OutputWithoutEdge { node, of });
        }
        let output =
            graph.position(of.as_str()).and_then(|position| nodes[position].output.as_ref());
        let fits = output.is_some_and(|output| (*output == Output::Workspace) == wants_workspace);
        if !fits {
            return Err(PlanError::NoSuchOutput { node: node.id.clone(), of: of.clone() });
        }
    }
    for of in node.takes.nodes() {
        if !node.depends_on.contains(of) {
            let (node, of) = (node.id.clone(), of.clone());
            return Err(PlanError::OutputWithoutEdge { node, of });
        }
    }
    for OutputRef { node: of, output } in node.takes.env.values() {
        let leaves = graph.position(of.as_str()).map(|position| &nodes[position].spec.outputs);
        if !leaves.is_some_and(|outputs| outputs.contains(output)) {
            return Err(PlanError::NoSuchOutput { node: node.id.clone(), of: of.clone() });
        }
    }
    let named = node.spec.env.keys().chain(&node.spec.secrets);
    if let Some(twice) = named.into_iter().find(|name| node.takes.env.contains_key(*name)) {
        return Err(PlanError::VariableTwice { node: node.id.clone(), name: twice.clone() });
    }
    let listed = node.member.files.iter().flatten();
    let lines = || listed.clone().any(|path| path.as_bytes().contains(&b'\n'));
    if node.member.files.is_some() && (node.member.shard.is_none() || lines()) {
        return Err(PlanError::ShardFiles { node: node.id.clone() });
    }
    let files = &node.takes.files;
    for (position, one) in files.iter().enumerate() {
        if FilesFrom::is_of_git(&one.at) {
            return Err(PlanError::FilesInGit { node: node.id.clone(), at: one.at.clone() });
        }
        if let Some(other) = files[..position].iter().find(|other| one.overlaps(other)) {
            let (one, other) = (one.at.clone(), other.at.clone());
            return Err(PlanError::FilesOverlap { node: node.id.clone(), one, other });
        }
        // A cache hides what else is at its place.
        let caches = node.spec.caches.iter().filter_map(|cache| cache.path.in_workspace());
        for other in caches {
            if paths_overlap(one.at.as_str(), other.as_str()) {
                let (one, other) = (one.at.clone(), other.clone());
                return Err(PlanError::FilesOverlap { node: node.id.clone(), one, other });
            }
        }
    }
    match node.spec.invalid_combinations().first() {
        Some(&problem) => Err(PlanError::Combination { node: node.id.clone(), problem }),
        None => Ok(()),
    }
}

fn check_inputs(node: &Node, source: &Source) -> Result<(), PlanError> {
    let Some(inputs) = &node.spec.inputs else {
        return match node.inputs_tree {
            Some(_) => Err(PlanError::InputsTree { node: node.id.clone() }),
            None => Ok(()),
        };
    };
    let has_tree = matches!(source, Source::Change(ChangeSource { tree: Some(_), .. }));
    if node.inputs_tree.is_some() != has_tree {
        return Err(PlanError::InputsTree { node: node.id.clone() });
    }
    for glob in inputs.paths.iter().chain(&inputs.exclude) {
        glob::check(glob).map_err(|problem| {
            let (node, glob) = (node.id.clone(), glob.clone());
            PlanError::InputsGlob { node, glob, problem }
        })?;
    }
    Ok(())
}

fn check_caches(node: &Node) -> Result<(), PlanError> {
    let caches = &node.spec.caches;
    for (cache, glob) in caches.iter().flat_map(|it| it.key.iter().map(move |glob| (it, glob))) {
        glob::check(glob).map_err(|problem| {
            let (node, cache, glob) = (node.id.clone(), cache.name.clone(), glob.clone());
            PlanError::CacheGlob { node, cache, glob, problem }
        })?;
    }
    let has = |name: &&CacheName| caches.iter().any(|cache| cache.name == **name);
    match node.cache_keys.keys().find(|name| !has(name)) {
        Some(cache) => {
            let (node, cache) = (node.id.clone(), cache.clone());
            Err(PlanError::CacheKey { node, cache })
        }
        None => Ok(()),
    }
}

/// Which commits, or which scenario, a plan answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A change in a repository, or a list of changed files.
    Change(ChangeSource),
    /// A scenario: shown and compared, never applied.
    Scenario(ScenarioName),
}

/// Base, head and the tree that jobs see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeSource {
    /// The commit compared with; null when the mode compares with none.
    pub base: Option<ObjectId>,
    /// The commit planned; null outside git.
    pub head: Option<ObjectId>,
    /// The tree that jobs see; null outside git, and then the plan cannot be applied.
    pub tree: Option<ObjectId>,
    /// How base was found.
    pub base_mode: BaseMode,
    /// Whether the tree is the work tree's instead of head's.
    pub worktree: bool,
    /// Which step found the base; absent where no base was looked for, and before 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_from: Option<BaseFrom>,
    /// The commit each lane was compared with because it passed there; absent: every lane was
    /// compared with `base`. Where jobs of a lane passed at different commits, the one that passed
    /// longest ago; a lane that is not here was compared with `base` or runs whatever differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed: Option<BTreeMap<LaneId, ObjectId>>,
    /// Of which branch the plan is, which decides whose caches jobs may use and whether a site trusts
    /// what they leave; absent where no job has caches or is reused, where the branch is not known, and
    /// before 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_scope: Option<CacheScope>,
}

/// How the base of a plan was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BaseMode {
    /// The merge base of head and another commit.
    MergeBase,
    /// Exactly the commit that a flag or the event named.
    Exact,
    /// Head's first parent.
    FirstParent,
    /// The empty tree.
    Empty,
    /// A list of changed files; no base.
    ChangedFiles,
    /// Everything was asked for; no base.
    All,
    /// No base could be found, and everything runs for that reason.
    Unknown,
}

/// The id of a git object: 40 (SHA-1) or 64 (SHA-256) lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct ObjectId(#[schemars(regex(pattern = "^([0-9a-f]{40}|[0-9a-f]{64})$"))] Box<str>);

/// The text is not an object id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a git object id: 40 or 64 lower-case hexadecimal digits are expected")]
pub struct InvalidObjectId(String);

impl ObjectId {
    /// Checks `text` and takes it over.
    ///
    /// # Errors
    ///
    /// [`InvalidObjectId`] quotes the text.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidObjectId> {
        let text = text.into();
        let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digits && matches!(text.len(), 40 | 64) {
            Ok(Self(text))
        } else {
            Err(InvalidObjectId(text.chars().take(72).flat_map(char::escape_debug).collect()))
        }
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for ObjectId {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

/// What was asked, and how it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// Whose lanes the plan is about.
    pub trigger: Trigger,
    /// How lanes were chosen.
    pub mode: SelectionMode,
    /// What a reviewer should know about it; absent: nothing special.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// How many lanes of the trigger are not listed because they are not selected; absent: every
    /// lane is listed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lanes_not_listed: Option<u64>,
}

/// Whose lanes a plan is about.
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
pub enum Trigger {
    /// The lanes of `[[branch.lanes]]`.
    Branch,
    /// The lanes of `[[nightly.lanes]]`.
    Nightly,
    /// Only what flags name, of either list.
    Manual,
}

impl Trigger {
    /// Returns the word used in flags, scenarios and plans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Branch => "branch",
            Self::Nightly => "nightly",
            Self::Manual => "manual",
        }
    }
}

/// How lanes were chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SelectionMode {
    /// By the change set.
    Affected,
    /// Every lane of the trigger.
    All,
    /// Only what flags name.
    Requested,
    /// There is no change.
    NoChange,
}

/// A lane's place in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanLane {
    /// Its id in the manifest.
    pub id: LaneId,
    /// What a forge reports it as.
    pub title: String,
    /// The target it selects; null when it has a command of its own.
    pub target: Option<TargetId>,
    /// Whether it runs.
    pub selected: bool,
    /// Every reason for that.
    pub reasons: Vec<Reason>,
    /// The nodes its verdict is made from, in the plan's order.
    pub nodes: Vec<NodeId>,
}
