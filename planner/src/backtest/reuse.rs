//! What keys would have spared over a history: a job whose key passed before is not run.
//!
//! Every job that a commit runs has its key computed as `planner plan` would have; the cost grows with what
//! changes, not with what jobs see. A run counts as spared when a commit before it ran the same key,
//! taking every run for one that passed. What only machines know (tools, images) is not looked at, and no job has
//! to have `reuse` for it: the answer says what it would bring.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    time::Duration,
};

use plans::{Change, JobId, Key, KeyParts, Node, NodeId, NodeKind, RepoPath, TreeFilter};

use crate::{
    PlanningError,
    git::{Repository, Step},
    input_trees::{InputTrees, Sight, filter_of, sees, sight},
    planned_tree::TreeError,
    render::durations::Durations,
};

/// What keys would have spared.
#[derive(Debug, Default)]
pub struct Reuse {
    /// The jobs that ran, sorted.
    pub jobs: Vec<JobReuse>,
    /// The files that made jobs run anew, those that made most runs first.
    pub spoilers: Vec<Spoiler>,
    /// Runs of another key although no file that the job sees had changed: its command, its environment, what it uses
    /// or its history had.
    pub redefined: usize,
}

/// One job over all commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReuse {
    /// Its id.
    pub id: JobId,
    /// What its newest definition says of reuse.
    pub reuse: plans::Reuse,
    /// How many commits ran it.
    pub runs: usize,
    /// How many of these a key would have spared.
    pub spared: usize,
    /// How long those would have taken, if durations are known.
    pub machine_time: Option<Duration>,
}

/// A file whose changes made jobs run anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoiler {
    /// The file.
    pub path: RepoPath,
    /// How many commits ran a job anew after it had changed.
    pub commits: usize,
    /// How many runs these were.
    pub runs: usize,
    /// The jobs.
    pub jobs: BTreeSet<JobId>,
}

impl Reuse {
    /// Returns how many runs there were and how many of them a key would have spared.
    #[must_use]
    pub fn total(&self) -> (usize, usize) {
        self.jobs.iter().fold((0, 0), |(runs, spared), job| (runs + job.runs, spared + job.spared))
    }

    /// Returns the machine time that would have been spared, if durations are known.
    #[must_use]
    pub fn machine_time(&self) -> Option<Duration> {
        let times = self.jobs.iter().map(|job| job.machine_time);
        times.reduce(|sum, time| Some(sum?.saturating_add(time?))).flatten()
    }
}

/// The keys of a history, collected from the newest commit to the oldest.
pub(super) struct Keys<'a> {
    repository: &'a Repository,
    trees: Option<(plans::ObjectId, InputTrees<'a>)>,
    sights: HashMap<Sight, usize>,
    filters: Vec<TreeFilter>,
    steps: Vec<StepKeys>,
    runs: Vec<Run>,
}

/// One commit: what it changed, and what ran.
struct StepKeys {
    changes: Vec<Change>,
    runs: Vec<Run>,
}

/// One run of a job.
struct Run {
    job: JobId,
    node: NodeId,
    key: Key,
    reuse: plans::Reuse,
    /// What it sees; nothing: everything.
    filter: Option<usize>,
}

impl<'a> Keys<'a> {
    pub(super) fn new(repository: &'a Repository) -> Self {
        Self {
            repository,
            trees: None,
            sights: HashMap::new(),
            filters: Vec::new(),
            steps: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Takes the keys of the nodes that a commit runs.
    pub(super) fn commit(&mut self, step: &Step, nodes: &[Node]) -> Result<(), PlanningError> {
        let tree = plans::ObjectId::from(step.tree);
        let mut trees = match self.trees.take() {
            Some((known, trees)) if known == tree => trees,
            _ => InputTrees::new(self.repository, step.tree),
        };
        let commit = plans::ObjectId::from(step.commit);
        let by_id: BTreeMap<&str, &Node> =
            nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let mut keys = BTreeMap::new();
        for node in nodes {
            find(node, &by_id, &mut keys, &mut |node| trees.seen(node, Some(&commit)))?;
        }
        for node in nodes.iter().filter(|node| node.kind == NodeKind::Execute) {
            let Some(key) = keys.remove(node.id.as_str()).flatten() else { continue };
            let Some(job) = node.id.as_str().strip_prefix("execute-") else { continue };
            let Ok(job) = JobId::new(job) else { continue };
            // A job with a host setup sees that one's copy.
            let setup = node.workspace_from.as_ref().and_then(|id| by_id.get(id.as_str()));
            let filter = match sight(setup.copied().unwrap_or(node)) {
                None => None,
                Some(sight) => Some(self.filter(sight)?),
            };
            let (node_id, reuse) = (node.id.clone(), node.spec.reuse);
            self.runs.push(Run { job, node: node_id, key, reuse, filter });
        }
        self.trees = Some((tree, trees));
        Ok(())
    }

    fn filter(&mut self, sight: Sight) -> Result<usize, TreeError> {
        if let Some(&known) = self.sights.get(&sight) {
            return Ok(known);
        }
        self.filters.push(filter_of(&sight)?);
        self.sights.insert(sight, self.filters.len() - 1);
        Ok(self.filters.len() - 1)
    }

    /// Notes what a commit changed, and goes to the one before it.
    pub(super) fn step(&mut self, step: &Step, changes: &[Change]) {
        self.steps
            .push(StepKeys { changes: changes.to_vec(), runs: std::mem::take(&mut self.runs) });
        self.trees = match (self.trees.take(), step.parent_tree) {
            (Some((_, mut trees)), Some(parent)) => {
                trees.go_to(parent, changes);
                Some((parent.into(), trees))
            }
            _ => None,
        };
    }

    /// Answers, from the oldest commit to the newest.
    pub(super) fn finish(mut self, durations: Option<&Durations>) -> Reuse {
        self.steps.reverse();
        let mut passed: HashSet<&Key> = HashSet::new();
        let mut last: BTreeMap<&JobId, usize> = BTreeMap::new();
        let mut jobs: BTreeMap<&JobId, JobReuse> = BTreeMap::new();
        let mut spoilers: BTreeMap<&RepoPath, (BTreeSet<usize>, usize, BTreeSet<JobId>)> =
            BTreeMap::new();
        let mut redefined = 0;
        let mut seen: HashMap<(usize, usize), Vec<&RepoPath>> = HashMap::new();
        for (at, step) in self.steps.iter().enumerate() {
            for run in &step.runs {
                let job = jobs.entry(&run.job).or_insert_with(|| JobReuse {
                    id: run.job.clone(),
                    reuse: run.reuse,
                    runs: 0,
                    spared: 0,
                    machine_time: durations.map(|_| Duration::ZERO),
                });
                job.runs += 1;
                job.reuse = run.reuse;
                let before = last.insert(&run.job, at);
                if passed.contains(&run.key) {
                    job.spared += 1;
                    let took = durations.and_then(|durations| durations.node(&run.node));
                    if let (Some(sum), Some(took)) = (&mut job.machine_time, took) {
                        *sum = sum.saturating_add(took.median);
                    }
                    continue;
                }
                // The first run is nobody's fault.
                let Some(before) = before else { continue };
                let mut paths: BTreeSet<&RepoPath> = BTreeSet::new();
                for between in before + 1..=at {
                    let changes = &self.steps[between].changes;
                    match run.filter {
                        None => paths.extend(changes.iter().map(|change| &change.path)),
                        Some(filter) => paths.extend(
                            seen.entry((filter, between))
                                .or_insert_with(|| {
                                    let filter = &self.filters[filter];
                                    let changes = changes.iter();
                                    let kept = changes.filter(|change| sees(filter, change));
                                    kept.map(|change| &change.path).collect()
                                })
                                .iter(),
                        ),
                    }
                }
                redefined += usize::from(paths.is_empty());
                for path in paths {
                    let (commits, runs, jobs) = spoilers.entry(path).or_default();
                    commits.insert(at);
                    *runs += 1;
                    jobs.insert(run.job.clone());
                }
            }
            passed.extend(step.runs.iter().map(|run| &run.key));
        }
        let mut spoilers: Vec<Spoiler> = spoilers
            .into_iter()
            .map(|(path, (commits, runs, jobs))| Spoiler {
                path: path.clone(),
                commits: commits.len(),
                runs,
                jobs,
            })
            .collect();
        spoilers.sort_by(|one, other| {
            (other.runs, other.commits, &one.path).cmp(&(one.runs, one.commits, &other.path))
        });
        Reuse { jobs: jobs.into_values().collect(), spoilers, redefined }
    }
}

/// Finds the key of a node, after those of the nodes that it has something of.
fn find<'n, E>(
    node: &'n Node,
    nodes: &BTreeMap<&'n str, &'n Node>,
    keys: &mut BTreeMap<&'n str, Option<Key>>,
    seen: &mut dyn FnMut(&Node) -> Result<plans::Seen, E>,
) -> Result<(), E> {
    if keys.contains_key(node.id.as_str()) {
        return Ok(());
    }
    for used in node.uses() {
        if let Some(used) = nodes.get(used.as_str()) {
            find(used, nodes, keys, seen)?;
        }
    }
    let seen = seen(node)?;
    let of = |id: &NodeId| keys.get(id.as_str())?.as_ref();
    let key = KeyParts::of(node, &seen, &of).map(|parts| parts.key());
    keys.insert(node.id.as_str(), key);
    Ok(())
}
