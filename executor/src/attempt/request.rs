//! Everything that one attempt is told.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use plans::{EnvName, FilesFrom, Node, NodeId};

use super::PreparedOutput;
use crate::{
    caches::Caches,
    placements::Secret,
    results::{Asked, Reused},
    source::SourceSpec,
    supervise::JobRef,
};

/// Everything one attempt needs to know; no global state is asked beside it.
#[derive(Debug, Clone)]
pub struct AttemptRequest {
    /// The run's id.
    pub run: String,
    /// What runs.
    pub node: Arc<Node>,
    /// Which try of it, from 1.
    pub attempt: u32,
    /// `runs/` of the state directory that the run is in.
    pub runs_dir: PathBuf,
    /// `host.log`: the executor's own account of this attempt, appended to.
    pub host_log: PathBuf,
    /// `guest.log`: the job's stdout and stderr, appended to. Must be empty or absent for a new
    /// attempt: re-attaching goes by its length.
    pub guest_log: PathBuf,
    /// Where artifacts go; made when the first one comes.
    pub artifacts: PathBuf,
    /// What the node's source tree is made from.
    pub source: SourceSpec,
    /// What the prepare nodes it uses left.
    pub outputs: BTreeMap<NodeId, PreparedOutput>,
    /// The values of the outputs that it takes of other nodes.
    pub needs: BTreeMap<EnvName, String>,
    /// The artifacts of other nodes that it takes.
    pub files: Vec<FilesNeeded>,
    /// What it does with results of earlier runs; absent: nothing.
    pub reuse: Option<Asked>,
    /// What it does with caches; absent: it has none.
    pub caches: Option<Arc<Caches>>,
    /// The result that stands for it, because everybody who uses it passed before.
    pub spared: Option<Reused>,
    /// Whether another node takes its artifacts, so that they are listed.
    pub is_taken_from: bool,
    /// The values of the node's secrets.
    pub secrets: BTreeMap<EnvName, Secret>,
    /// The site's `pass_env`: names a host process also takes from its machine's environment.
    pub pass_env: Vec<String>,
    /// Between TERM and KILL, when the job's spec does not say.
    pub grace: Duration,
    /// How long the job may run while nobody renews.
    pub lease: Duration,
    /// One of this many places on the machine; absent: no limit.
    pub max_jobs: Option<u32>,
}

/// Artifacts of another node that one takes.
#[derive(Debug, Clone)]
pub struct FilesNeeded {
    /// Which of them, and where they are to be.
    pub from: FilesFrom,
    /// That node's directory of artifacts.
    pub artifacts: PathBuf,
}

impl AttemptRequest {
    /// Returns the name of its job for every supervisor.
    #[must_use]
    pub fn job(&self) -> JobRef {
        JobRef {
            run: self.run.clone(),
            node: self.node.id.as_str().to_owned(),
            attempt: self.attempt,
        }
    }
}
