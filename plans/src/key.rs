//! What decides a node's result, as far as a plan knows it: its key.
//!
//! Two nodes of one key do the same work on the same files. The canonical form is the compact JSON
//! of [`KeyParts`]; a field of a node is in it or is named as one that is not, by destructuring, so
//! that no new field is forgotten. Image fingerprints, tool versions and other facts of a machine
//! are the executor's to add.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    Checkout, Command, EnvName, Incus, JobSpec, Member, Mount, Node, NodeId, ObjectId, Output,
    OutputName, OutputRef, Plan, RepoPath, Runtime, Shard, SortedMap, Taken, Tart, Workspace,
    digest_of,
};

/// A digest over everything that may decide a node's result: `sha256:` and 64 lower-case
/// hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct Key(#[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))] Box<str>);

/// The text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a key: `sha256:` and 64 lower-case hexadecimal digits are expected")]
pub struct InvalidKey(String);

impl Key {
    /// Checks `text` and takes it over.
    ///
    /// # Errors
    ///
    /// [`InvalidKey`] quotes the text.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidKey> {
        let text = text.into();
        let digits = text.strip_prefix("sha256:").is_some_and(|digits| {
            digits.len() == 64
                && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        });
        if digits {
            Ok(Self(text))
        } else {
            Err(InvalidKey(text.chars().take(80).flat_map(char::escape_debug).collect()))
        }
    }

    /// Returns the key of a canonical form.
    #[must_use]
    pub fn of(canonical: &[u8]) -> Self {
        Self(digest_of(canonical).into())
    }

    /// Returns the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the 64 digits, which name a file well.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

/// What a node sees of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The id of the tree of exactly the files it sees.
    pub tree: ObjectId,
    /// With `checkout = "clone"`: the commit it stands on, whose history it sees as well.
    pub commit: Option<ObjectId>,
}

/// Everything that is part of a key.
#[derive(Debug, Serialize)]
pub struct KeyParts<'a> {
    /// Changes when the same parts are to give another key.
    format: u32,
    command: &'a Command,
    env: &'a SortedMap<EnvName, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    env_from: BTreeMap<&'a EnvName, OutputPart<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    secrets: Vec<&'a EnvName>,
    host: &'a str,
    runtime: Runtime,
    #[serde(skip_serializing_if = "Option::is_none")]
    working_dir: Option<&'a str>,
    writable_workspace: bool,
    checkout: Checkout,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a ObjectId>,
    /// Nothing where it sees the copy of another node, whose key stands for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    tree: Option<&'a ObjectId>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    mount_host_rust_toolchain: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    mount_host_xcode: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    artifacts: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    outputs: Vec<&'a OutputName>,
    #[serde(skip_serializing_if = "<[Vec<String>]>::is_empty")]
    key_commands: &'a [Vec<String>],
    #[serde(skip_serializing_if = "SortedMap::is_empty")]
    matrix: &'a SortedMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<Shard>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_files: Option<&'a [RepoPath]>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    mounts: Vec<MountPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    workspace_from: Option<&'a Key>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files_from: Vec<FilesPart<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<&'a Output>,
}

/// A value that another node leaves.
#[derive(Debug, Serialize)]
struct OutputPart<'a> {
    key: &'a Key,
    output: &'a OutputName,
}

/// The output of a prepare node.
#[derive(Debug, Serialize)]
struct MountPart<'a> {
    key: &'a Key,
    path: &'a str,
}

/// Artifacts of another node.
#[derive(Debug, Serialize)]
struct FilesPart<'a> {
    key: &'a Key,
    files: &'a [String],
    at: &'a str,
}

impl<'a> KeyParts<'a> {
    /// Takes a node apart; nothing where a node that it uses has no key.
    #[must_use]
    pub fn of(
        node: &'a Node,
        seen: &'a Seen,
        keys: &impl Fn(&NodeId) -> Option<&'a Key>,
    ) -> Option<Self> {
        // Without `..`: a new field does not compile until it is in the key or named as one that
        // does not decide a result.
        let Node {
            id: _,
            kind: _,
            key: _,
            member: Member { group: _, matrix, shard, files: shard_files },
            depends_on: _,
            run_if: _,
            concurrency_groups: _,
            spec,
            // `seen` has it, or the tree after the snapshot profile.
            inputs_tree: _,
            // A cache must not decide a result.
            cache_keys: _,
            mounts,
            workspace_from,
            takes: Taken { env: env_from, files },
            output,
        } = node;
        let JobSpec {
            description: _,
            placement,
            runtime,
            timeout_secs: _,
            grace_secs: _,
            command,
            env,
            secrets,
            workspace,
            working_dir,
            checkout,
            inputs: _,
            snapshot_profile: _,
            mount_host_rust_toolchain,
            mount_host_xcode,
            artifacts,
            outputs,
            retries: _,
            retry_on: _,
            allow_failure: _,
            caches: _,
            reuse: _,
            reuse_with_secrets: _,
            key_commands,
        } = spec;
        let mounts = mounts
            .iter()
            .map(|Mount { node, path }| Some(MountPart { key: keys(node)?, path: path.as_str() }));
        let files = files.iter().map(|from| {
            Some(FilesPart { key: keys(&from.node)?, files: &from.files, at: from.at.as_str() })
        });
        let env_from = env_from.iter().map(|(name, OutputRef { node, output })| {
            Some((name, OutputPart { key: keys(node)?, output }))
        });
        let workspace_from = match workspace_from {
            Some(node) => Some(keys(node)?),
            None => None,
        };
        Some(Self {
            format: 1,
            command,
            env,
            env_from: env_from.collect::<Option<_>>()?,
            secrets: secrets.iter().collect(),
            host: placement.host_name(),
            runtime: without_timeouts(runtime),
            working_dir: working_dir.as_ref().map(|it| it.as_str()),
            writable_workspace: *workspace == Workspace::Writable,
            checkout: *checkout,
            commit: seen.commit.as_ref(),
            tree: workspace_from.is_none().then_some(&seen.tree),
            mount_host_rust_toolchain: *mount_host_rust_toolchain,
            mount_host_xcode: mount_host_xcode.as_ref().map(|it| it.as_str()),
            artifacts,
            outputs: outputs.iter().collect(),
            key_commands,
            matrix,
            shard: *shard,
            shard_files: shard_files.as_deref(),
            mounts: mounts.collect::<Option<_>>()?,
            workspace_from,
            files_from: files.collect::<Option<_>>()?,
            output: output.as_ref(),
        })
    }

    /// Returns the canonical form, as a value whose parts can be compared.
    ///
    /// # Panics
    ///
    /// Never: it holds strings, numbers and lists of them.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::to_value(self).expect("strings, numbers and lists of them")
    }

    /// Returns the key: the digest of the compact JSON.
    ///
    /// # Panics
    ///
    /// Never: it holds strings, numbers and lists of them.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::of(&serde_json::to_vec(self).expect("strings, numbers and lists of them"))
    }
}

/// How long a guest may take to boot decides no result.
fn without_timeouts(runtime: &Runtime) -> Runtime {
    match runtime {
        Runtime::HostProcess => Runtime::HostProcess,
        Runtime::Incus(incus) => Runtime::Incus(Incus { boot_timeout_secs: None, ..incus.clone() }),
        Runtime::Tart(tart) => Runtime::Tart(Tart { boot_timeout_secs: None, ..tart.clone() }),
    }
}

impl Plan {
    /// Returns the key of each node, by position; nothing where `seen` knows no tree, and where a
    /// node that it uses has none.
    ///
    /// # Errors
    ///
    /// The first error of `seen`.
    pub fn keys<'a, E>(
        &'a self,
        mut seen: impl FnMut(&'a Node) -> Result<Option<Seen>, E>,
    ) -> Result<Vec<Option<Key>>, E> {
        let mut keys: Vec<Option<Key>> = Vec::with_capacity(self.nodes().len());
        // The order of nodes is by depth: what one uses stands before it.
        for node in self.nodes() {
            let seen = seen(node)?;
            let of = |id: &NodeId| keys.get(self.graph().position(id.as_str())?)?.as_ref();
            let parts = seen.as_ref().and_then(|seen| KeyParts::of(node, seen, &of));
            let key = parts.map(|parts| parts.key());
            keys.push(key);
        }
        Ok(keys)
    }

    /// Gives each node its key.
    ///
    /// # Errors
    ///
    /// The first error of `seen`.
    pub fn with_keys<E>(
        self,
        seen: impl FnMut(&Node) -> Result<Option<Seen>, E>,
    ) -> Result<Self, E> {
        let keys = self.keys(seen)?;
        Ok(self.set_keys(keys))
    }
}
