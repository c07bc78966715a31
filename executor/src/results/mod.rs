//! Results that passed, kept by what decided them, so that nothing proven runs twice.
//!
//! Owns what a run does about them: whom it trusts, when a node's result is looked for and kept, and that two executors do
//! not run the same at once. What decides a result is `decided`'s, where results lie `store`'s, and on a host `far`'s; what
//! a run has to do with those is `second`'s, and what a host was not given yet `owed`'s.

mod decided;
mod entry;
mod far;
mod owed;
mod second;
mod store;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
    time::Duration,
};

use plans::{EnvName, Node, NodeKind, Reuse};
use serde::{Deserialize, Serialize};

pub(crate) use decided::{Decided, Sought, Tools, decided};
pub(crate) use entry::Entry;
pub use entry::Reused;
pub(crate) use far::{FarFile, FarName, FarPlace, FarStore};
pub(crate) use owed::{counts as owed_counts, superfluous as superfluous_notes};
pub(crate) use second::Far;
use store::Destination;
pub(crate) use store::{DAMAGED, Kept, KeyLock, Retention, Store};

use crate::{
    attempt::{AttemptOutcome, AttemptResult},
    clock,
    control::{Control, Level},
    locks::Waiting,
    placements::Machines,
};

/// Whose results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trust {
    /// Of runs whose plan and source the site trusts.
    Trusted,
    /// Of others: never given to a trusted run.
    Untrusted,
}

impl Trust {
    /// Both.
    pub(crate) const ALL: [Self; 2] = [Self::Trusted, Self::Untrusted];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Trusted => "trusted",
            Self::Untrusted => "untrusted",
        }
    }
}

/// What `--reuse` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum ReuseMode {
    /// Nodes that passed before are not run; what passes is kept.
    #[default]
    On,
    /// Everything is run, and nothing is kept.
    Off,
    /// Nodes that passed before are not run; nothing is kept.
    Read,
}

/// What a run may do with results.
#[derive(Debug)]
pub struct Results {
    /// Where they are.
    pub(crate) store: Store,
    /// Where else they are: consulted when the first does not know.
    pub(crate) far: Option<Far>,
    /// Those it may take, the first found counts.
    pub(crate) reads: Vec<Trust>,
    /// What it leaves, if anything.
    pub(crate) writes: Option<Trust>,
    /// Names that host processes take from their machine's environment.
    pub(crate) pass_env: Vec<EnvName>,
    /// What tools answered.
    pub(crate) tools: Tools,
    /// Set once it was said that the store can only be read.
    pub(crate) read_only: OnceLock<()>,
}

/// What an attempt does with results.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Those of the run.
    pub(crate) results: Arc<Results>,
    /// What is looked for.
    pub(crate) sought: Sought,
    /// Whether an earlier attempt failed by itself.
    pub(crate) flaky: bool,
    /// The directory of the node in its run.
    pub(crate) node_dir: PathBuf,
    /// The run's id.
    pub(crate) run: String,
}

/// How long is waited for another executor that runs the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Not at all.
    None,
    /// As long as the node itself may run.
    ItsTimeout,
}

/// What was found out before an attempt.
pub(crate) enum Looked {
    /// It passed before: nothing is to run.
    Passed(Box<AttemptResult>),
    /// It is to run; what it leaves may be kept, under the lock of its key.
    Runs(Option<(Decided, Option<KeyLock>)>),
}

/// Returns whether results of a node may be reused at all.
pub(crate) fn may_be_reused(node: &Node) -> bool {
    // What a prepare node leaves is on a machine, and goes with its run.
    node.kind == NodeKind::Execute
        && node.spec.reuse != Reuse::Never
        && (node.spec.secrets.is_empty() || node.spec.reuse_with_secrets)
}

impl Results {
    /// Ends what goes on beside the nodes, after at most `patience`; says what people should know.
    pub(crate) fn end(&self, patience: Duration) -> Option<String> {
        self.far.as_ref()?.end(patience)
    }
}

impl Asked {
    /// Looks whether the node's work was done before. `note` is told what people should know.
    pub(crate) fn look(
        &self,
        machines: &Machines,
        patience: Patience,
        control: &Control,
        waits: &dyn Fn(&Waiting),
        note: &mut dyn FnMut(String),
    ) -> Looked {
        let decided = match self.decided(machines, control) {
            Ok(decided) => decided,
            Err(reason) => {
                if control.level() == Level::Run {
                    note(format!("its result is neither looked for nor kept: {reason}"));
                }
                return Looked::Runs(None);
            }
        };
        let Results { store, far, reads, writes, .. } = &*self.results;
        match Entry::read(&self.node_dir) {
            Ok(entry) if entry.key == decided.key => return Looked::passed(&entry),
            _ => {}
        }
        let to = Destination::Node(&self.node_dir);
        // What is there needs nobody's leave.
        let mut problem = match store.take(&decided.key, reads, to, control) {
            Ok(entry) => return Looked::passed(&entry),
            Err(problem) => problem,
        };
        let patience = match patience {
            Patience::None => Duration::ZERO,
            Patience::ItsTimeout => Duration::from_secs(self.sought.node().spec.timeout_secs),
        };
        let lock = match writes.is_some() && !reads.is_empty() {
            true => store.lock(&decided.key, patience, control, waits),
            false => None,
        };
        // Whoever had the lock may have left one meanwhile.
        if lock.is_some() {
            match store.take(&decided.key, reads, to, control) {
                Ok(entry) => return Looked::passed(&entry),
                Err(again) => problem = again,
            }
        }
        problem.into_iter().for_each(&mut *note);
        if let Some(far) = far {
            let found = far.take(&self.results, &decided.key, to, (machines, control));
            // Before a run nobody listens.
            if !patience.is_zero() {
                far.pending_note().into_iter().for_each(&mut *note);
            }
            match found {
                Ok(entry) => return Looked::passed(&entry),
                Err(problem) => problem.into_iter().for_each(&mut *note),
            }
        }
        self.write_down(&decided);
        Looked::Runs(Some((decided, lock)))
    }

    /// The same where nothing has to be waited for: no machine, tool, lock or large file. Nothing found means nothing.
    /// `is_new`: the node's directory is, and holds nothing.
    pub(crate) fn look_at_once(
        &self,
        is_new: bool,
        (machines, control): (&Machines, &Control),
    ) -> Option<AttemptResult> {
        let Results { store, reads, tools, .. } = &*self.results;
        let decided = match self.sought.is_at_hand(tools) {
            true => self.decided(machines, control).ok()?,
            false => return None,
        };
        let to = Destination::NodeAtOnce { dir: &self.node_dir, is_new };
        let entry = store.take(&decided.key, reads, to, control).ok()?;
        Some(passed(&entry.reused, Some(&entry)))
    }

    /// Keeps what the attempt left, if it is to be kept.
    ///
    /// # Errors
    ///
    /// Why it could not be kept, for people; the verdict stands.
    pub(crate) fn keep(
        &self,
        decided: Decided,
        result: &AttemptResult,
        machines: &Machines,
        control: &Control,
    ) -> Result<(), String> {
        let Some(trust) = self.results.writes else { return Ok(()) };
        let steady = !self.flaky || self.sought.node().spec.reuse == Reuse::PassedWithRetries;
        if result.outcome != AttemptOutcome::Passed || !steady {
            return Ok(());
        }
        let reused = Reused {
            run_id: self.run.clone(),
            node: self.sought.node().id.to_string(),
            finished_at: clock::now(),
            duration_ms: result.phases.values().sum(),
        };
        let mut entry = Entry::new(decided.key, decided.parts, reused);
        entry.outputs.clone_from(&result.outputs);
        entry.artifacts = result.artifacts;
        entry.artifacts_left_out = result.artifacts_left_out;
        let key = entry.key.clone();
        let Results { store, far, .. } = &*self.results;
        if let Some(error) = store.read_only() {
            // One word for the whole run.
            return match self.results.read_only.set(()) {
                Ok(()) => Err(format!("no result is kept: `{}`: {error}", store.dir().display())),
                Err(()) => Ok(()),
            };
        }
        let not_kept = |error: &dyn std::fmt::Display| format!("its result is not kept: {error}");
        // Before it is there: whoever dies in between leaves no result that the host would never get.
        let noted = far.as_ref().map_or(Ok(()), |far| far.note(&self.results, &key, trust));
        noted.map_err(|error| not_kept(&error))?;
        let kept = store.keep(entry, trust, &self.node_dir, control);
        if let Err(error) = kept {
            far.iter().for_each(|far| far.unnote(&self.results, &key, trust));
            return Err(not_kept(&error));
        }
        let Some(far) = far else { return Ok(()) };
        far.publish(&self.results, &key, trust, (machines, control))?;
        far.pending_note().map_or(Ok(()), Err)
    }

    /// Finds what decides the result.
    ///
    /// # Errors
    ///
    /// Why that cannot be known.
    pub(crate) fn decided(
        &self,
        machines: &Machines,
        control: &Control,
    ) -> Result<Decided, String> {
        let Results { pass_env, tools, .. } = &*self.results;
        decided(&self.sought, pass_env, (machines, control), tools)
            .unwrap_or_else(|fault| Err(fault.to_string()))
    }

    /// What `why` reads later.
    fn write_down(&self, decided: &Decided) {
        let text = serde_json::to_vec(decided).expect("plain data");
        // Nothing but that answer needs it.
        let _ = std::fs::write(self.node_dir.join(DECIDED), text);
    }
}

impl Looked {
    fn passed(entry: &Entry) -> Self {
        Self::Passed(Box::new(passed(&entry.reused, Some(entry))))
    }
}

/// What decided the result of a node that was run, in its directory of the run; of one that was not, its entry says it.
const DECIDED: &str = "key.json";

/// Reads what decided the result of a node, as it was found out when its run came to it.
pub(crate) fn written_down(node_dir: &Path, is_reused: bool) -> Option<Decided> {
    if is_reused {
        let Entry { key, parts, .. } = Entry::read(node_dir).ok()?;
        return Some(Decided { key, parts });
    }
    serde_json::from_slice(&std::fs::read(node_dir.join(DECIDED)).ok()?).ok()
}

/// Returns the result of a node that nobody needs, because everybody who uses it passed before.
pub(crate) fn spared(reused: &Reused) -> AttemptResult {
    passed(reused, None)
}

fn passed(reused: &Reused, entry: Option<&Entry>) -> AttemptResult {
    let mut result = AttemptResult::nothing();
    result.outcome = AttemptOutcome::Passed;
    result.exit_code = Some(0);
    if let Some(entry) = entry {
        result.outputs.clone_from(&entry.outputs);
        result.artifacts = entry.artifacts;
        result.artifacts_left_out = entry.artifacts_left_out;
    }
    result.reused = Some(reused.clone());
    result
}
