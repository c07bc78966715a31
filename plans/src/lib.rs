//! The vocabulary of forge-lanes, and the one document between its two programs.
//!
//! A **plan** is a directed acyclic graph of **nodes**. Each node is a [`JobSpec`] (everything
//! needed to run one command, nothing about why) with an explicit [`Placement`] (which machine)
//! and [`Runtime`] (how isolated): two axes, never one enum. Beside the nodes stand the **lanes**
//! that a reviewer knows, each with every [`Reason`] for its place in the plan.
//!
//! What a plan promises:
//!
//! - **Complete.** The executor needs the plan and the tree it names, and decides nothing.
//! - **Reproducible.** No time, user, machine fact or random id: same inputs, same bytes.
//! - **Checked.** Ids are names everywhere ([`ids`]), the graph is acyclic ([`Graph`]), every
//!   output that is used is left by a node that is waited for. A [`Plan`] cannot be built
//!   otherwise, from parts ([`Plan::new`]) or from text ([`Plan::from_json`]).
//! - **Tamper-evident.** The digest covers every key; an edited plan is refused.
//!
//! This crate reads no file, clock or environment, starts no process and depends on no other
//! member of the workspace. It knows what the globs of a
//! plan match and what git calls a tree of files ([`TreeFilter`], [`TreeId`]): both programs must
//! agree on that. It knows no repository and no transport.

mod base_from;
mod caches;
mod canonical;
mod causes;
mod command;
mod document;
mod failure;
mod file_durations;
mod flow;
pub mod glob;
mod graph;
pub mod ids;
mod inputs;
mod job;
mod key;
mod member;
mod node;
mod passed;
mod path;
mod placement;
mod plan;
mod reason;
mod reuse;
mod run_if;
mod runtime;
mod sorted;
mod tree_id;
mod version;

pub use base_from::{BaseFrom, InvalidBaseFrom};
pub use caches::{Cache, CacheKey, CachePath, CacheSave, CacheScope};
pub use causes::causes;
pub use command::{Command, InvalidCommand};
pub use document::{PlanReadError, PlanText, digest_of, plan_schema};
pub use failure::{AllowFailure, AllowedCodes, ExitCodes, FailedOutcome, Failure, RetryOn, True};
pub use file_durations::{FileDurations, FileDurationsError};
pub use flow::{FilesFrom, InvalidOutputName, OutputName, OutputRef, Taken};
pub use graph::{Graph, GraphError};
pub use ids::{
    CacheName, EnvName, GroupName, HostName, InvalidEnvName, InvalidId, JobId, LaneId, NodeId,
    ProfileName, ScenarioName, TargetId,
};
pub use inputs::{JobInputs, TreeFilter, TreeWalk};
pub use job::{Checkout, InvalidCombination, JobSpec, SnapshotProfile, Workspace};
pub use key::{InvalidKey, Key, KeyParts, Seen};
pub use member::{Member, Shard};
pub use node::{Mount, Node, NodeKind, Output};
pub use passed::{
    KEPT, LaneHistory, LaneRun, PASSED_INPUT, Passed, PassedReadError, definition_digest,
    lane_runs, passed_schema,
};
pub use path::{Change, ChangeStatus, InvalidPath, RepoPath};
pub use placement::{
    AbsolutePath, InvalidText, Placement, PlacementKind, SshDestination, SshHost, WorkspacePath,
    paths_overlap,
};
pub use plan::{
    BaseMode, ChangeSource, InvalidObjectId, ObjectId, Plan, PlanError, PlanLane, PlanParts,
    Selection, SelectionMode, Source, Trigger,
};
pub use reason::{
    ChangedEntry, DefinitionChanged, MATCHED_LIMIT, Nearest, NeededBy, NoMatch, Owed, PathsReason,
    Reason, RunAll, Since, Unmatched,
};
pub use reuse::Reuse;
pub use run_if::RunIf;
pub use runtime::{EngineName, Incus, IncusCluster, Runtime, RuntimeKind, Tart};
pub use sorted::{SortedMap, SortedSet};
pub use tree_id::{FileMode, ObjectHash, TreeId};
pub use version::{InvalidVersion, SchemaVersion};
