//! Everything needed to run one job, and nothing about why it runs.
//!
//! A [`JobSpec`] is built in one place (`lanes`, from the catalog) and obeyed in one place (the
//! executor). What depends on the plan around it (edges, groups, mounts of other nodes' outputs)
//! belongs to the [`Node`](crate::Node).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    AbsolutePath, AllowFailure, Cache, CachePath, Command, EnvName, Failure, JobInputs, OutputName,
    Placement, ProfileName, RetryOn, Reuse, Runtime, SortedMap, WorkspacePath,
};

/// The definition of one job: one command, run once, in one execution environment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JobSpec {
    /// What the job is for, in a line for people.
    pub description: String,
    /// On which machine it runs.
    pub placement: Placement,
    /// How isolated it runs there.
    pub runtime: Runtime,
    /// After how many seconds it is ended as `timed_out`; counted from its start.
    pub timeout_secs: u64,
    /// Seconds between TERM and KILL; absent: the executor's site decides (5).
    pub grace_secs: Option<u64>,
    /// What runs.
    pub command: Command,
    /// Environment of the command, beside what the executor gives every job.
    pub env: SortedMap<EnvName, String>,
    /// Environment variables whose values the executor's side holds.
    pub secrets: BTreeSet<EnvName>,
    /// Whether the job may write into its source tree.
    pub workspace: Workspace,
    /// The directory below the workspace in which the command starts; absent: its root.
    pub working_dir: Option<WorkspacePath>,
    /// What the source tree is.
    pub checkout: Checkout,
    /// The files of the source tree that the job sees; absent: all.
    pub inputs: Option<JobInputs>,
    /// What the source tree leaves out; absent: nothing.
    pub snapshot_profile: Option<SnapshotProfile>,
    /// Whether the machine's own Rust toolchain is visible in the guest.
    pub mount_host_rust_toolchain: bool,
    /// The machine's Xcode to show in the guest; absent: none.
    pub mount_host_xcode: Option<AbsolutePath>,
    /// Globs below the workspace and the artifacts directory: files kept after the job.
    pub artifacts: Vec<String>,
    /// Names of the values that it leaves for those that need it.
    pub outputs: BTreeSet<OutputName>,
    /// How often a failed job is run again before its failure counts.
    pub retries: u32,
    /// After which failures it is run again; absent: after any.
    pub retry_on: Option<RetryOn>,
    /// Which failures do not count; absent: none.
    pub allow_failure: Option<AllowFailure>,
    /// Directories that outlive the run, by name.
    pub caches: Vec<Cache>,
    /// Which earlier results stand for it.
    pub reuse: Reuse,
    /// Whether a result is kept although the job has secrets.
    pub reuse_with_secrets: bool,
    /// Commands whose output is part of what decides the result, such as `rustc -Vv`.
    pub key_commands: Vec<Vec<String>>,
}

impl JobSpec {
    /// The timeout of a command that names none: four hours.
    pub const DEFAULT_TIMEOUT_SECS: u64 = 14_400;

    /// Returns whether the job is run again after that failure, as far as `retries` go.
    #[must_use]
    pub fn retries_after(&self, failure: Failure) -> bool {
        self.retry_on.as_ref().is_none_or(|on| on.includes(failure))
    }

    /// Returns whether that failure does not count.
    #[must_use]
    pub fn tolerates(&self, failure: Failure) -> bool {
        self.allow_failure.as_ref().is_some_and(|allowed| allowed.allows(failure))
    }

    /// Returns every pair of settings that cannot work together, with the reason.
    #[must_use]
    pub fn invalid_combinations(&self) -> Vec<InvalidCombination> {
        let mut found = Vec::new();
        let host_process = matches!(self.runtime, Runtime::HostProcess);
        if host_process && matches!(self.command, Command::Shell { as_root: true, .. }) {
            found.push(InvalidCombination {
                key: "as_root",
                why: "a host process has no guest of its own whose root could run it; \
                      choose the runtime `incus` or `tart`",
            });
        }
        if host_process && self.mount_host_rust_toolchain {
            found.push(InvalidCombination {
                key: "mount_host_rust_toolchain",
                why: "a host process already sees the machine's toolchain; remove the key",
            });
        }
        if self.mount_host_xcode.is_some() && !matches!(self.runtime, Runtime::Tart(_)) {
            found.push(InvalidCombination {
                key: "mount_host_xcode",
                why: "only a Tart guest can use the machine's Xcode; choose the runtime `tart`",
            });
        }
        if let Runtime::Incus(incus) = &self.runtime
            && incus.vm
            && incus.privileged
        {
            found.push(InvalidCombination {
                key: "privileged",
                why: "a virtual machine has a kernel of its own; only containers are privileged",
            });
        }
        if self.inputs.is_some() && self.checkout == Checkout::Clone {
            found.push(InvalidCombination {
                key: "inputs",
                why: "a checkout of git holds the history, which is an input that no glob can \
                      narrow; take `checkout = \"tree\"`, or remove the key",
            });
        }
        if self.timeout_secs == 0 {
            found.push(InvalidCombination {
                key: "timeout_secs",
                why: "a job with no time can only time out; give it at least one second",
            });
        }
        if let Some(on) = &self.retry_on {
            let why = if self.retries == 0 {
                Some("nothing is run again without `retries`; set it, or remove the key")
            } else if on.exit_codes.is_empty() && on.outcomes.is_empty() {
                Some("it names no failure; name `exit_codes` or `outcomes`, or remove the key")
            } else {
                None
            };
            found.extend(why.map(|why| InvalidCombination { key: "retry_on", why }));
        }
        if let Some(AllowFailure::Some(allowed)) = &self.allow_failure
            && allowed.exit_codes.is_empty()
        {
            found.push(InvalidCombination {
                key: "allow_failure",
                why: "it names no exit code; name some, or write `true` for every failure",
            });
        }
        if self.reuse == Reuse::Never && self.reuse_with_secrets {
            found.push(InvalidCombination {
                key: "reuse_with_secrets",
                why: "no result is kept without `reuse`; set it, or remove the key",
            });
        }
        if self.key_commands.iter().any(|words| words.first().is_none_or(String::is_empty)) {
            found.push(InvalidCombination {
                key: "key_commands",
                why: "a command without a program says nothing; name one, or remove the entry",
            });
        }
        if self.key_commands.iter().flatten().any(|word| word.contains('\0')) {
            found.push(InvalidCombination {
                key: "key_commands",
                why: "a word of a command cannot hold a NUL byte",
            });
        }
        let caches = self.invalid_caches().into_iter();
        found.extend(caches.map(|(_, why)| InvalidCombination { key: "caches", why }));
        for name in &self.secrets {
            if self.env.contains_key(name) {
                found.push(InvalidCombination {
                    key: "secrets",
                    why: "a name stands in `env` as well; a secret has no value in the catalog",
                });
                break;
            }
        }
        found
    }

    /// Returns every cache that cannot work, by its position, with the reason.
    #[must_use]
    pub fn invalid_caches(&self) -> Vec<(usize, &'static str)> {
        let host_process = matches!(self.runtime, Runtime::HostProcess);
        let of_guest = |cache: &Cache| matches!(cache.path, CachePath::Guest(_));
        let mut found = Vec::new();
        for (position, cache) in self.caches.iter().enumerate() {
            let others = &self.caches[..position];
            let mut wrong = |why| found.push((position, why));
            if host_process && of_guest(cache) {
                wrong(
                    "the path of a cache is outside of the workspace, and a host process has no \
                     file system of its own; take a path below the workspace",
                );
            }
            if cache.path.is_of_git() {
                wrong("the path of a cache is in git's own directory; take another one");
            }
            if others.iter().any(|other| other.name == cache.name) {
                wrong("two caches have one name; give each its own");
            }
            if others.iter().any(|other| other.path.overlaps(&cache.path)) {
                wrong("two caches are at one path, or one is inside of the other");
            }
            if cache.max_mib == Some(0) {
                wrong("a cache of 0 MiB holds nothing; give it some, or take it out");
            }
        }
        found
    }
}

/// Settings of a job that cannot work together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{key}` cannot work here: {why}")]
pub struct InvalidCombination {
    /// The key to change.
    pub key: &'static str,
    /// Why the pair cannot work, and what to do.
    pub why: &'static str,
}

/// Whether a job may write into its source tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Workspace {
    /// The tree is read-only, for root as well.
    ReadOnly,
    /// The job has a copy of its own.
    Writable,
}

/// What the source tree is.
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
pub enum Checkout {
    /// The files of the tree, without a repository.
    Tree,
    /// A real, shallow git checkout of head, for jobs that call git.
    Clone,
}

/// What a source tree leaves out.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct SnapshotProfile {
    /// Its name in the catalog.
    pub name: ProfileName,
    /// Globs of the paths left out.
    pub exclude: Vec<String>,
}
