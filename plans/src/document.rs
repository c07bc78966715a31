//! The wire form of a plan: the only file that knows the JSON shape.
//!
//! Writing is canonical: pretty JSON, two spaces, keys and arrays in a defined order, one newline
//! at the end. The digest is the SHA-256 of exactly that form without the `digest` key, so it does
//! not depend on white space but on everything else, and a reader checks it over the keys that
//! came, before it adds anything.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{
    AbsolutePath, AllowFailure, Cache, CacheName, Change, ChangeSource, Checkout, Command, EnvName,
    FilesFrom, GroupName, JobId, JobInputs, JobSpec, Key, Member, Mount, Node, NodeId, NodeKind,
    ObjectId, Output, OutputName, OutputRef, Placement, Plan, PlanError, PlanLane, PlanParts,
    RepoPath, RetryOn, Reuse, RunIf, Runtime, ScenarioName, SchemaVersion, Selection, Shard,
    SnapshotProfile, SortedMap, SortedSet, Source, Taken, Workspace, WorkspacePath,
    canonical::Outline,
};

/// Why a text is not a plan this program runs. In the order in which they are checked.
#[derive(Debug, thiserror::Error)]
pub enum PlanReadError {
    /// The text is not JSON, or not an object with a format version.
    #[error("the plan is not a JSON document: {0}")]
    Syntax(String),
    /// A newer or foreign format.
    #[error(
        "the plan has format version {found}, this program reads {}.0 to {}",
        SchemaVersion::CURRENT.major,
        SchemaVersion::CURRENT
    )]
    Version {
        /// The version of the document.
        found: SchemaVersion,
    },
    /// The content is not what the digest was made of.
    #[error(
        "the plan was changed after it was written: its digest is {found}, its content has {computed}"
    )]
    Digest {
        /// What the document says; `missing` if it says nothing.
        found: String,
        /// What its content gives.
        computed: String,
    },
    /// A key is unknown, missing, or has a value of the wrong kind.
    #[error("the plan is malformed at `{at}`: {why}")]
    Shape {
        /// The way to the key, such as `nodes[3].timeout_secs`.
        at: String,
        /// What is wrong with it.
        why: String,
    },
    /// The parts do not fit together.
    #[error("the plan cannot be run: {0}")]
    Plan(#[from] PlanError),
}

impl PlanReadError {
    /// Returns whether the document is well formed but refused (exit code 4 instead of 2).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Version { .. } | Self::Digest { .. })
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::Syntax(_) => "write it anew with `planner plan -o plan.json`".to_owned(),
            Self::Version { found } if *found > SchemaVersion::CURRENT => format!(
                "use a forge-lanes release that reads format version {found}, or write the plan \
                 anew with this release's `planner plan`"
            ),
            Self::Version { .. } => "write the plan anew with this release's `planner plan`".into(),
            Self::Digest { .. } => "plans are not edited by hand: change the manifest or the \
                                    catalog and write the plan anew with `planner plan`"
                .to_owned(),
            Self::Shape { .. } | Self::Plan(_) => {
                "this is a defect of the program that wrote it; write the plan anew with \
                 `planner plan`"
                    .to_owned()
            }
        }
    }
}

/// A plan's text together with its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanText {
    /// The whole document, ending in one newline.
    pub json: String,
    /// `sha256:` and 64 hexadecimal digits.
    pub digest: String,
}

impl Plan {
    /// Writes the plan in its canonical form.
    #[must_use]
    pub fn to_json(&self) -> PlanText {
        let mut body = serde_json::to_string_pretty(&DocumentWire::from(self))
            .expect("a plan holds only strings, integers and lists of them");
        body.push('\n');
        let digest = digest_of(body.as_bytes());
        // The digest is the second key; everything behind the first line stays as hashed.
        let first_line = body.find(",\n").expect("the version is not the only key") + 2;
        let (head, tail) = body.split_at(first_line);
        let json = format!("{head}  \"digest\": \"{digest}\",\n{tail}");
        PlanText { json, digest }
    }

    /// Reads a plan and checks version, digest, shape and graph, in this order.
    ///
    /// # Errors
    ///
    /// [`PlanReadError`]; [`PlanReadError::is_refusal`] tells refusal from bad input.
    pub fn from_json(text: &[u8]) -> Result<(Self, String), PlanReadError> {
        let outline =
            Outline::of(text).map_err(|error| PlanReadError::Syntax(error.to_string()))?;
        if !outline.is_object {
            return Err(PlanReadError::Syntax("an object is expected".to_owned()));
        }
        let version: SchemaVersion = match outline.version {
            Some(Value::String(text)) => text
                .parse()
                .map_err(|error| PlanReadError::Syntax(format!("`format_version`: {error}")))?,
            _ => return Err(PlanReadError::Syntax("it has no `format_version`".to_owned())),
        };
        if !SchemaVersion::CURRENT.reads(version) {
            return Err(PlanReadError::Version { found: version });
        }
        let found = match outline.digest {
            Some(Value::String(digest)) => digest,
            Some(_) => "not a string".to_owned(),
            None => "missing".to_owned(),
        };
        let computed = outline.computed;
        if found != computed {
            let found = found.chars().take(80).flat_map(char::escape_debug).collect();
            return Err(PlanReadError::Digest { found, computed });
        }
        // From the text itself: a tree of values between would be several times as large as the plan.
        let wire = match serde_json::from_slice::<DocumentWire<'static>>(text) {
            Ok(wire) => wire,
            Err(_) => Self::shape(text)?,
        };
        Ok((wire.into_plan(version)?, computed))
    }

    /// Reads a document of which something is wrong, to say where.
    fn shape(text: &[u8]) -> Result<DocumentWire<'static>, PlanReadError> {
        let mut value: Value = serde_json::from_slice(text)
            .map_err(|error| PlanReadError::Syntax(error.to_string()))?;
        if let Value::Object(document) = &mut value {
            document.shift_remove("digest");
        }
        serde_path_to_error::deserialize(value).map_err(|error| PlanReadError::Shape {
            at: error.path().to_string(),
            why: error.into_inner().to_string(),
        })
    }
}

/// Returns the SHA-256 of bytes as plans write it: `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    digest_of_hash(&Sha256::digest(bytes))
}

/// Returns a SHA-256 as plans write it.
pub(crate) fn digest_of_hash(hash: &[u8]) -> String {
    format!("sha256:{}", hex(hash))
}

/// Returns bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(nibble), 16).expect("a nibble is a digit"));
        }
    }
    text
}

/// The document, its keys in the order in which they are written.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Plan")]
struct DocumentWire<'a> {
    /// `MAJOR.MINOR` of this format.
    format_version: String,
    /// Of the rest; written and checked apart from it.
    #[serde(default, skip_serializing, rename = "digest")]
    #[schemars(skip)]
    _digest: IgnoredAny,
    /// Which commits, or which scenario, the plan answers.
    source: SourceWire,
    /// What was asked, and how it was answered.
    selection: Cow<'a, Selection>,
    /// Manifest and catalog files with the ids of their content.
    inputs: Cow<'a, BTreeMap<String, String>>,
    /// The change set, sorted by path.
    changes: Cow<'a, [Change]>,
    /// Changed paths that no lane and no ignore covers.
    uncovered: Cow<'a, [RepoPath]>,
    /// The trigger's lanes in manifest order.
    lanes: Cow<'a, [PlanLane]>,
    /// What runs, sorted by depth, then by id.
    #[schemars(with = "Vec<NodeWire<'a>>")]
    nodes: Nodes<'a>,
}

/// The nodes; on the wire each is a [`NodeWire`], one after the other, never all of them.
struct Nodes<'a>(Cow<'a, [Arc<Node>]>);

impl Serialize for Nodes<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|node| NodeWire::from(&**node)))
    }
}

impl<'de> Deserialize<'de> for Nodes<'_> {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_seq(NodesVisitor).map(|nodes| Self(Cow::Owned(nodes)))
    }
}

struct NodesVisitor;

impl<'de> serde::de::Visitor<'de> for NodesVisitor {
    type Value = Vec<Arc<Node>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a sequence")
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(
        self,
        mut from: A,
    ) -> Result<Vec<Arc<Node>>, A::Error> {
        let mut nodes = Vec::new();
        while let Some(wire) = from.next_element::<NodeWire<'static>>()? {
            nodes.push(Arc::new(Node::from(wire)));
        }
        Ok(nodes)
    }
}

/// Commits, or a scenario.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
#[schemars(rename = "Source")]
enum SourceWire {
    Scenario(ScenarioSource),
    Change(ChangeSource),
}

/// A scenario's plan has no commits.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
struct ScenarioSource {
    /// The scenario's name.
    scenario: ScenarioName,
}

/// One node, with the whole resolved spec.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Node")]
struct NodeWire<'a> {
    /// `prepare-…` or `execute-…`.
    id: Cow<'a, NodeId>,
    /// Whether it makes something ready or runs a job.
    kind: NodeKind,
    /// The digest of everything that may decide its result and that the plan knows; absent in a plan
    /// without a tree. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Cow<'a, Key>>,
    /// The job that it is one of several of; absent: the job is one node. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    group: Option<Cow<'a, JobId>>,
    /// The values of its combination, by name; absent: the job has no matrix. Since 1.1.
    #[serde(default, skip_serializing_if = "no_values")]
    matrix: Cow<'a, SortedMap<String, String>>,
    /// Which part of the job's work it is; absent: the job has no shards. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shard: Option<Shard>,
    /// The files of the tree that its part is made of, sorted; absent: no files are divided. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shard_files: Option<Cow<'a, [RepoPath]>>,
    /// What it is for.
    description: Cow<'a, str>,
    /// Where it runs.
    placement: Cow<'a, Placement>,
    /// How isolated it runs there.
    runtime: Cow<'a, Runtime>,
    /// The nodes that must have passed before it starts, sorted; with `run_if` it is their end
    /// that counts.
    depends_on: Cow<'a, SortedSet<NodeId>>,
    /// After which outcomes of those nodes it runs; absent: `passed`. Since 1.1.
    #[serde(default, skip_serializing_if = "RunIf::is_passed")]
    run_if: RunIf,
    /// At most one node of each of these groups runs at a time, sorted.
    concurrency_groups: Cow<'a, SortedSet<GroupName>>,
    /// Seconds until it is ended as timed out.
    timeout_secs: u64,
    /// Seconds between TERM and KILL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grace_secs: Option<u64>,
    /// What runs.
    command: Cow<'a, Command>,
    /// Environment of the command.
    env: Cow<'a, SortedMap<EnvName, String>>,
    /// Environment variables whose values the executor's side holds.
    secrets: Cow<'a, BTreeSet<EnvName>>,
    /// Whether it may write into its source tree.
    writable_workspace: bool,
    /// Where below the workspace it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    working_dir: Option<Cow<'a, WorkspacePath>>,
    /// The tree's files, or a real git checkout.
    checkout: Checkout,
    /// Globs of the files of the source tree that it sees; absent: all. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inputs: Option<Cow<'a, [String]>>,
    /// Globs of files that it does not see all the same. Since 1.1.
    #[serde(default, skip_serializing_if = "is_empty")]
    inputs_exclude: Cow<'a, [String]>,
    /// With `inputs`: the id that git gives to the tree of exactly the files it sees. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inputs_tree: Option<Cow<'a, ObjectId>>,
    /// What the source tree leaves out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    snapshot_profile: Option<Cow<'a, SnapshotProfile>>,
    /// Outputs of prepare nodes that it sees, read-only.
    mounts: Cow<'a, [Mount]>,
    /// The host setup whose working copy it starts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    workspace_from: Option<Cow<'a, NodeId>>,
    /// Whether the machine's Rust toolchain is visible in the guest.
    mount_host_rust_toolchain: bool,
    /// The machine's Xcode to show in the guest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mount_host_xcode: Option<Cow<'a, AbsolutePath>>,
    /// Globs of files kept after the job.
    artifacts: Cow<'a, [String]>,
    /// Names of the values that it leaves for those that need it; absent: none. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outputs: Option<Cow<'a, BTreeSet<OutputName>>>,
    /// Variables that hold outputs of nodes it depends on; absent: none. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    env_from: Option<Cow<'a, BTreeMap<EnvName, OutputRef>>>,
    /// Artifacts of nodes it depends on, and where it finds them; absent: none. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    files_from: Option<Cow<'a, [FilesFrom]>>,
    /// How often a failed job is run again.
    retries: u32,
    /// After which failures it is run again; absent: after any. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_on: Option<Cow<'a, RetryOn>>,
    /// Which failures do not count: `true`, or exit codes; absent: none. Since 1.1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allow_failure: Option<Cow<'a, AllowFailure>>,
    /// Directories that outlive the run; absent: none. Never part of `key`. Since 1.1.
    #[serde(default, skip_serializing_if = "no_caches")]
    caches: Cow<'a, [Cache]>,
    /// The exact keys of its caches, by name; absent for one whose globs match no file, and in a
    /// plan without a tree. Since 1.1.
    #[serde(default, skip_serializing_if = "no_cache_keys")]
    cache_keys: Cow<'a, SortedMap<CacheName, Key>>,
    /// Which earlier results of the same key stand for it; absent: `never`. Since 1.1.
    #[serde(default, skip_serializing_if = "Reuse::is_never")]
    reuse: Reuse,
    /// Whether a result is kept although it has secrets. Since 1.1.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    reuse_with_secrets: bool,
    /// Commands whose output is part of what decides its result. Since 1.1.
    #[serde(default, skip_serializing_if = "no_commands")]
    key_commands: Cow<'a, [Vec<String>]>,
    /// Prepare nodes: what they leave for their dependents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output: Option<Cow<'a, Output>>,
}

fn no_commands(commands: &[Vec<String>]) -> bool {
    commands.is_empty()
}

fn no_caches(caches: &[Cache]) -> bool {
    caches.is_empty()
}

fn no_cache_keys(keys: &SortedMap<CacheName, Key>) -> bool {
    keys.is_empty()
}

fn no_values(matrix: &SortedMap<String, String>) -> bool {
    matrix.is_empty()
}

impl<'a> From<&'a Plan> for DocumentWire<'a> {
    fn from(plan: &'a Plan) -> Self {
        let source = match plan.source() {
            Source::Change(change) => SourceWire::Change(change.clone()),
            Source::Scenario(name) => {
                SourceWire::Scenario(ScenarioSource { scenario: name.clone() })
            }
        };
        Self {
            format_version: plan.version().to_string(),
            _digest: IgnoredAny,
            source,
            selection: Cow::Borrowed(plan.selection()),
            inputs: Cow::Borrowed(plan.inputs()),
            changes: Cow::Borrowed(plan.changes()),
            uncovered: Cow::Borrowed(plan.uncovered()),
            lanes: Cow::Borrowed(plan.lanes()),
            nodes: Nodes(Cow::Borrowed(plan.nodes())),
        }
    }
}

impl DocumentWire<'static> {
    fn into_plan(self, version: SchemaVersion) -> Result<Plan, PlanError> {
        let source = match self.source {
            SourceWire::Change(change) => Source::Change(change),
            SourceWire::Scenario(ScenarioSource { scenario }) => Source::Scenario(scenario),
        };
        let parts = PlanParts {
            source,
            selection: self.selection.into_owned(),
            inputs: self.inputs.into_owned(),
            changes: self.changes.into_owned().into_iter().collect(),
            uncovered: self.uncovered.into_owned().into_iter().collect(),
            lanes: self.lanes.into_owned(),
            nodes: Vec::new(),
        };
        Plan::of_nodes(version, parts, self.nodes.0.into_owned())
    }
}

impl<'a> From<&'a Node> for NodeWire<'a> {
    fn from(node: &'a Node) -> Self {
        // Without `..`: a new field does not compile until it has been given a place on the wire.
        let Node {
            id,
            kind,
            key,
            member: Member { group, matrix, shard, files: shard_files },
            depends_on,
            run_if,
            concurrency_groups,
            spec,
            inputs_tree,
            cache_keys,
            mounts,
            workspace_from,
            takes: Taken { env: env_from, files: files_from },
            output,
        } = node;
        let JobSpec {
            description,
            placement,
            runtime,
            timeout_secs,
            grace_secs,
            command,
            env,
            secrets,
            workspace,
            working_dir,
            checkout,
            inputs,
            snapshot_profile,
            mount_host_rust_toolchain,
            mount_host_xcode,
            artifacts,
            outputs,
            retries,
            retry_on,
            allow_failure,
            caches,
            reuse,
            reuse_with_secrets,
            key_commands,
        } = spec;
        Self {
            id: Cow::Borrowed(id),
            kind: *kind,
            key: key.as_ref().map(Cow::Borrowed),
            group: group.as_ref().map(Cow::Borrowed),
            matrix: Cow::Borrowed(matrix),
            shard: *shard,
            shard_files: shard_files.as_ref().map(|files| Cow::Borrowed(&**files)),
            description: Cow::Borrowed(description),
            placement: Cow::Borrowed(placement),
            runtime: Cow::Borrowed(runtime),
            depends_on: Cow::Borrowed(depends_on),
            run_if: *run_if,
            concurrency_groups: Cow::Borrowed(concurrency_groups),
            timeout_secs: *timeout_secs,
            grace_secs: *grace_secs,
            command: Cow::Borrowed(command),
            env: Cow::Borrowed(env),
            secrets: Cow::Borrowed(secrets),
            writable_workspace: *workspace == Workspace::Writable,
            working_dir: working_dir.as_ref().map(Cow::Borrowed),
            checkout: *checkout,
            inputs: inputs.as_ref().map(|inputs| Cow::Borrowed(&*inputs.paths)),
            inputs_exclude: Cow::Borrowed(inputs.as_ref().map_or(&[], |inputs| &inputs.exclude)),
            inputs_tree: inputs_tree.as_ref().map(Cow::Borrowed),
            snapshot_profile: snapshot_profile.as_ref().map(Cow::Borrowed),
            mounts: Cow::Borrowed(mounts),
            workspace_from: workspace_from.as_ref().map(Cow::Borrowed),
            mount_host_rust_toolchain: *mount_host_rust_toolchain,
            mount_host_xcode: mount_host_xcode.as_ref().map(Cow::Borrowed),
            artifacts: Cow::Borrowed(artifacts),
            outputs: (!outputs.is_empty()).then_some(Cow::Borrowed(outputs)),
            env_from: (!env_from.is_empty()).then_some(Cow::Borrowed(env_from)),
            files_from: (!files_from.is_empty()).then_some(Cow::Borrowed(files_from)),
            retries: *retries,
            retry_on: retry_on.as_ref().map(Cow::Borrowed),
            allow_failure: allow_failure.as_ref().map(Cow::Borrowed),
            caches: Cow::Borrowed(caches),
            cache_keys: Cow::Borrowed(cache_keys),
            reuse: *reuse,
            reuse_with_secrets: *reuse_with_secrets,
            key_commands: Cow::Borrowed(key_commands),
            output: output.as_ref().map(Cow::Borrowed),
        }
    }
}

impl From<NodeWire<'static>> for Node {
    fn from(wire: NodeWire<'static>) -> Self {
        Self {
            id: wire.id.into_owned(),
            kind: wire.kind,
            key: wire.key.map(Cow::into_owned),
            member: Member {
                group: wire.group.map(Cow::into_owned),
                matrix: wire.matrix.into_owned(),
                shard: wire.shard,
                files: wire.shard_files.map(Cow::into_owned),
            },
            depends_on: wire.depends_on.into_owned(),
            run_if: wire.run_if,
            concurrency_groups: wire.concurrency_groups.into_owned(),
            inputs_tree: wire.inputs_tree.map(Cow::into_owned),
            cache_keys: wire.cache_keys.into_owned(),
            mounts: wire.mounts.into_owned(),
            workspace_from: wire.workspace_from.map(Cow::into_owned),
            takes: Taken {
                env: wire.env_from.map(Cow::into_owned).unwrap_or_default(),
                files: wire.files_from.map(Cow::into_owned).unwrap_or_default(),
            },
            output: wire.output.map(Cow::into_owned),
            spec: JobSpec {
                description: wire.description.into_owned(),
                placement: wire.placement.into_owned(),
                runtime: wire.runtime.into_owned(),
                timeout_secs: wire.timeout_secs,
                grace_secs: wire.grace_secs,
                command: wire.command.into_owned(),
                env: wire.env.into_owned(),
                secrets: wire.secrets.into_owned(),
                workspace: if wire.writable_workspace {
                    Workspace::Writable
                } else {
                    Workspace::ReadOnly
                },
                working_dir: wire.working_dir.map(Cow::into_owned),
                checkout: wire.checkout,
                inputs: wire.inputs.map(|paths| JobInputs {
                    paths: paths.into_owned(),
                    exclude: wire.inputs_exclude.into_owned(),
                }),
                snapshot_profile: wire.snapshot_profile.map(Cow::into_owned),
                mount_host_rust_toolchain: wire.mount_host_rust_toolchain,
                mount_host_xcode: wire.mount_host_xcode.map(Cow::into_owned),
                artifacts: wire.artifacts.into_owned(),
                outputs: wire.outputs.map(Cow::into_owned).unwrap_or_default(),
                retries: wire.retries,
                retry_on: wire.retry_on.map(Cow::into_owned),
                allow_failure: wire.allow_failure.map(Cow::into_owned),
                caches: wire.caches.into_owned(),
                reuse: wire.reuse,
                reuse_with_secrets: wire.reuse_with_secrets,
                key_commands: wire.key_commands.into_owned(),
            },
        }
    }
}

fn is_empty(list: &[String]) -> bool {
    list.is_empty()
}

/// Returns the JSON Schema of a plan (draft 2020-12).
#[must_use]
pub fn plan_schema() -> Value {
    let mut schema = schemars::schema_for!(DocumentWire<'static>).to_value();
    if let Some(Value::Object(properties)) = schema.pointer_mut("/properties") {
        properties.insert(
            "digest".to_owned(),
            serde_json::json!({
                "description": "SHA-256 over the document in its canonical form without this key.",
                "type": "string",
                "pattern": "^sha256:[0-9a-f]{64}$",
            }),
        );
    }
    if let Some(Value::Array(required)) = schema.pointer_mut("/required") {
        required.push("digest".into());
    }
    schema
}

/// A JSON value none of whose objects has a key twice; `serde_json` alone keeps the last.
pub(crate) struct NoDuplicates(pub(crate) Value);

impl<'de> Deserialize<'de> for NoDuplicates {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NoDuplicatesVisitor).map(NoDuplicates)
    }
}

/// Says that an object has a key twice.
pub(crate) fn stands_twice<E: serde::de::Error>(key: &str) -> E {
    let shown: String = key.chars().take(64).flat_map(char::escape_debug).collect();
    E::custom(format!("the key `{shown}` stands twice"))
}

struct NoDuplicatesVisitor;

impl<'de> serde::de::Visitor<'de> for NoDuplicatesVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(NoDuplicates(item)) = from.next_element()? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut object = serde_json::Map::new();
        while let Some(key) = from.next_key::<String>()? {
            let NoDuplicates(value) = from.next_value()?;
            if object.contains_key(&key) {
                return Err(stands_twice(&key));
            }
            object.insert(key, value);
        }
        Ok(Value::Object(object))
    }
}
