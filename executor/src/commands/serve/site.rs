//! What there is to see: the runs of the state directories, each read once for all who look.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use plans::Placement;
use serde::Serialize;

use super::{live::Run, log::Indexes};
use crate::{
    caches::KeptCache,
    commands::{caches, gc, holders, running},
    config::Config,
    error::Error,
    locks::holders::Standing,
    outcome::LaneOutcome,
    placements::Machines,
    record::{Record, RunOutcome},
    report::html,
    state::{RunDir, RunId, StateDir},
};

/// How many runs are held in memory; those that are looked at stay besides.
const RUNS: usize = 16;

/// How many of the newest runs of a state directory are listed.
const LISTED: usize = 500;

/// For how long a list is good, and what hosts said.
const LIST_AGE: Duration = Duration::from_millis(500);
const HOSTS_AGE: Duration = Duration::from_secs(2);

/// A run: its state directory's number, its id.
type Key = (usize, RunId);

/// What is served.
pub(super) struct Site {
    pub(super) states: Vec<StateDir>,
    pub(super) config: Config,
    pub(super) indexes: Indexes,
    /// Those that were asked for last, the newest at the end.
    runs: Mutex<VecDeque<(Key, Arc<Run>)>>,
    ended: Mutex<BTreeMap<Key, Summary>>,
    list: Mutex<Option<(Instant, Arc<str>)>>,
    hosts: Mutex<Option<(Instant, Arc<str>)>>,
    /// The hosts that were asked, connected for the next time.
    machines: Mutex<Option<Machines>>,
}

/// One run in a list.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Summary {
    /// Its address.
    pub(super) at: String,
    pub(super) run_id: String,
    pub(super) state_dir: String,
    pub(super) outcome: &'static str,
    /// The same as people write it.
    pub(super) words: String,
    pub(super) started_at: String,
    /// Milliseconds; of a run that goes on, until now.
    pub(super) took: Option<u64>,
    pub(super) nodes: usize,
    /// How many of those are over.
    pub(super) over: usize,
    /// Lanes by outcome, the worst first: outcome, in words, how many.
    pub(super) lanes: Vec<(&'static str, String, usize)>,
    /// Why nothing more is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) damaged: Option<String>,
}

impl Site {
    pub(super) fn new(states: Vec<StateDir>, config: Config) -> Self {
        Self {
            states,
            config,
            indexes: Indexes::default(),
            runs: Mutex::default(),
            ended: Mutex::default(),
            list: Mutex::default(),
            hosts: Mutex::default(),
            machines: Mutex::default(),
        }
    }

    /// Finds a run by its whole id; what is not listed in its state directory is none.
    pub(super) fn dir(&self, state: usize, id: &RunId) -> Option<RunDir> {
        let runs = self.states.get(state)?.runs().ok()?;
        runs.into_iter().find(|run| run.id == *id && run.path().is_dir())
    }

    /// Returns a run that is listed.
    pub(super) fn run(&self, state: usize, id: &RunId) -> Option<(RunDir, Arc<Run>)> {
        let dir = self.dir(state, id)?;
        let key = (state, id.clone());
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = runs.iter().position(|(of, _)| *of == key)
            && let Some((_, run)) = runs.remove(at)
            && !run.is_stale()
        {
            runs.push_back((key, Arc::clone(&run)));
            return Some((dir, run));
        }
        drop(runs);
        let run = Arc::new(Run::open(dir.clone()).ok()?);
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have opened it meanwhile: one journal is read by one.
        if let Some((_, other)) = runs.iter().find(|(of, other)| *of == key && other.goes_on()) {
            return Some((dir, Arc::clone(other)));
        }
        runs.retain(|(of, _)| *of != key);
        runs.push_back((key, Arc::clone(&run)));
        if runs.len() > RUNS {
            runs.pop_front();
        }
        Some((dir, run))
    }

    /// Returns the runs of all state directories as JSON, the newest first.
    pub(super) fn list(&self) -> Arc<str> {
        fresh(&self.list, LIST_AGE, || {
            let summaries = self.summaries();
            serde_json::to_string(&summaries).expect("plain data")
        })
    }

    pub(super) fn summaries(&self) -> Vec<Summary> {
        let mut all = Vec::new();
        for (number, state) in self.states.iter().enumerate() {
            for dir in state.runs().unwrap_or_default().into_iter().take(LISTED) {
                if dir.path().is_dir() {
                    all.push(self.summary(number, state, &dir));
                }
            }
        }
        all.sort_by(|a, b| b.run_id.cmp(&a.run_id));
        all
    }

    fn summary(&self, number: usize, state: &StateDir, dir: &RunDir) -> Summary {
        let key = (number, dir.id.clone());
        let known = self.ended.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return known;
        }
        let at = format!("/runs/{number}/{}", dir.id);
        let state_dir = state.path().display().to_string();
        let record = match Record::read(&dir.record()) {
            Ok(record) => Some(record),
            Err(_) => self.run(number, &dir.id).map(|(_, run)| run.record()),
        };
        let Some(record) = record else {
            return Summary {
                at,
                run_id: dir.id.to_string(),
                state_dir,
                outcome: "interrupted",
                words: "Damaged".to_owned(),
                started_at: String::new(),
                took: None,
                nodes: 0,
                over: 0,
                lanes: Vec::new(),
                damaged: Some("neither its record nor its journal can be read".to_owned()),
            };
        };
        let summary = Summary::of(&record, at, state_dir);
        if !matches!(record.outcome, RunOutcome::Running | RunOutcome::Interrupted) {
            let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
            ended.insert(key, summary.clone());
        }
        summary
    }

    /// Returns who has and who waits for what, as JSON; hosts are asked once for all who look.
    pub(super) fn hosts(&self) -> Arc<str> {
        fresh(&self.hosts, HOSTS_AGE, || {
            let machines = self.machines();
            let shown: Vec<Shown> = match machines {
                Ok(machines) => machines.iter().map(Shown::of).collect(),
                Err(error) => vec![Shown {
                    machine: "local".to_owned(),
                    error: Some(error.to_string()),
                    ..Shown::default()
                }],
            };
            serde_json::to_string(&shown).expect("plain data")
        })
    }

    fn machines(&self) -> Result<Vec<holders::MachineLocks>, Error> {
        let Some(first) = self.states.first() else { return Ok(Vec::new()) };
        let mut plans = Vec::new();
        for state in &self.states {
            // What older ones used, newer ones use as well, or it is gone.
            let runs: Vec<RunDir> = state.runs().unwrap_or_default().into_iter().take(20).collect();
            plans.extend(gc::plans_of(&runs));
        }
        let mut machines = self.machines.lock().unwrap_or_else(PoisonError::into_inner);
        if machines.is_none() {
            *machines = Some(Machines::new(running::machines_config(first)?));
        }
        let machines = machines.as_ref().expect("just made");
        Ok(holders::look(machines, &self.config, &plans, &BTreeMap::new()))
    }

    /// Returns the caches that this machine keeps. No host is waited for.
    pub(super) fn caches(&self) -> Result<Vec<KeptCache>, Error> {
        let Some(first) = self.states.first() else { return Ok(Vec::new()) };
        let machines = Machines::new(running::machines_config(first)?);
        let here = machines.open(&Placement::Local).map_err(Error::Machine)?;
        caches::kept(&*here, &self.config)
    }

    /// Lets go of connections to hosts.
    pub(super) fn close(&self) {
        // One that is asking at this moment ends with the process.
        if let Ok(machines) = self.machines.try_lock()
            && let Some(machines) = &*machines
        {
            machines.close();
        }
    }
}

/// A machine as its page takes it.
#[derive(Default, Serialize)]
struct Shown {
    machine: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    /// What, how it stands in one word, in words.
    locks: Vec<(String, &'static str, String)>,
    /// For what, who.
    waiters: Vec<(String, String)>,
}

impl Shown {
    fn of(machine: &holders::MachineLocks) -> Self {
        let word = |state: Standing| match state {
            Standing::Free => "free",
            Standing::Held => "held",
            Standing::Job => "job",
            Standing::Dead => "dead",
        };
        Self {
            machine: machine.machine.clone(),
            error: machine.error.clone(),
            locks: machine
                .locks
                .iter()
                .map(|it| (it.what(), word(it.state), it.in_words()))
                .collect(),
            waiters: machine
                .waiters
                .iter()
                .map(|it| (it.waits_for.clone(), it.in_words()))
                .collect(),
        }
    }
}

impl Summary {
    fn of(record: &Record, at: String, state_dir: String) -> Self {
        let started: Option<Timestamp> = record.started_at.parse().ok();
        let ended = match &record.finished_at {
            Some(at) => at.parse().ok(),
            None => (record.outcome == RunOutcome::Running).then(Timestamp::now),
        };
        let took = started.zip(ended).map(|(from, to)| to.as_millisecond() - from.as_millisecond());
        let lanes = LaneOutcome::ALL.into_iter().rev().filter_map(|outcome| {
            let number = record.lanes.iter().filter(|lane| lane.outcome == outcome).count();
            let word = outcome.as_str();
            (number > 0).then(|| (word, html::words(word).to_owned(), number))
        });
        let word = record.outcome.as_str();
        let over = record.nodes.iter().filter(|node| is_over(node)).count();
        Self {
            at,
            run_id: record.run_id.clone(),
            state_dir,
            outcome: word,
            words: html::sentence(html::words(word)),
            started_at: record.started_at.clone(),
            took: took.and_then(|took| u64::try_from(took).ok()),
            nodes: record.nodes.len(),
            over,
            lanes: lanes.collect(),
            damaged: None,
        }
    }
}

fn is_over(node: &crate::record::NodeRecord) -> bool {
    !matches!(crate::report::state(node), "running" | "waiting")
}

/// Returns what was made a moment ago, or makes it anew; who comes meanwhile waits for that.
fn fresh(
    kept: &Mutex<Option<(Instant, Arc<str>)>>,
    age: Duration,
    make: impl FnOnce() -> String,
) -> Arc<str> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((at, text)) = &*kept
        && at.elapsed() < age
    {
        return Arc::clone(text);
    }
    let text: Arc<str> = Arc::from(make());
    *kept = Some((Instant::now(), Arc::clone(&text)));
    text
}
