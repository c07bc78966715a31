//! `planner backtest`: the commits of a branch through the planner, one after the other, without a
//! checkout.
//!
//! [`replay`] plans every commit against its first parent, as `planner plan --base-first-parent`
//! would have: with its own definitions, or all of them with the same. Definitions are read again
//! only where a commit touches a file they are made of; everything else is the selection itself.
//! [`compare`] holds two replays of the same commits against each other. Nightly lanes do not
//! depend on changes and are left out.

pub mod compare;
pub mod html;
pub mod human;
pub mod json;
pub mod reuse;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    rc::Rc,
    sync::mpsc,
    thread,
    time::Duration,
};

use lanes::{Catalog, Diagnostics, GlobId, GlobUse, LaneTrigger, Via};
use plans::{Change, ChangeStatus, JobId, LaneId, NodeId, Reason, RepoPath};

use self::reuse::Keys;
use crate::{
    DefinitionPaths, PlanningError, RepoContextError,
    change_set::ChangeSet,
    definition_changes::{DefinitionChanges, touches, unreadable_base},
    git::{ObjectId, Repository, Step},
    lower::{Lowered, lower},
    packages::changed,
    planned_tree::{Inputs, PlannedTree},
    render::durations::Durations,
    repo_context::read_definitions,
    select::{Coverage, Question, lanes_in_question, select_running},
};

/// Definitions and the files they are made of.
pub struct Definitions {
    /// What can run, and when.
    pub catalog: Catalog,
    /// The files.
    pub inputs: Inputs,
    /// What the catalog covers, whatever changes.
    coverage: Coverage,
}

impl Definitions {
    /// Takes over what was read of one tree.
    #[must_use]
    pub fn new(catalog: Catalog, inputs: Inputs) -> Self {
        let coverage = Coverage::of(&catalog);
        Self { catalog, inputs, coverage }
    }
}

/// Which definitions commits are planned with.
pub enum With {
    /// Each commit's own.
    Own,
    /// The same for all of them.
    These(Rc<Definitions>),
}

/// What the commits would have run.
#[derive(Debug, Default)]
pub struct Replay {
    /// The commits that could be planned, the newest first.
    pub commits: Vec<CommitRuns>,
    /// Those that could not, with the reason.
    pub unplanned: Vec<Unplanned>,
    /// The lanes in the order of the newest definitions, then those that are gone.
    pub lanes: Vec<LaneRuns>,
    /// The jobs, sorted, with the number of commits that ran them.
    pub jobs: BTreeMap<JobId, usize>,
    /// Globs of the newest definitions that no changed path matched.
    pub silent: Vec<SilentGlob>,
    /// Commits that changed files that nothing covers.
    pub uncovered: usize,
    /// All nodes of all commits, if durations are known.
    pub machine_time: Option<Duration>,
    /// What keys would have spared, if that was asked.
    pub reuse: Option<reuse::Reuse>,
}

/// One commit.
#[derive(Debug)]
pub struct CommitRuns {
    /// The commit.
    pub commit: ObjectId,
    /// When, in seconds since 1970.
    pub committed_at: i64,
    /// The first line of its message.
    pub summary: String,
    /// How many paths it changed.
    pub changed: usize,
    /// The lanes that ran.
    pub lanes: BTreeSet<LaneId>,
    /// The jobs that ran.
    pub jobs: BTreeSet<JobId>,
}

/// A commit that could not be planned.
#[derive(Debug)]
pub struct Unplanned {
    /// The commit.
    pub commit: ObjectId,
    /// The first line of its message.
    pub summary: String,
    /// Why not.
    pub because: String,
}

/// One lane over all commits.
#[derive(Debug, Clone)]
pub struct LaneRuns {
    /// Its id.
    pub id: LaneId,
    /// Its title.
    pub title: String,
    /// The newest definitions have it no more.
    pub gone: bool,
    /// How many commits ran it.
    pub runs: usize,
    /// How many commits it was there for.
    pub planned: usize,
    /// Its reasons, each with the number of commits; a commit may have several.
    pub reasons: BTreeMap<Why, usize>,
    /// Its nodes of all commits together, if durations are known.
    pub machine_time: Option<Duration>,
}

/// A reason without the paths of one commit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// A changed path matched.
    Glob(String),
    /// The lane has no `paths`.
    Always,
    /// Its definition changed.
    DefinitionChanged,
    /// Entries differ in a file that packages share, such as a lock file.
    Entries(String),
    /// A glob of `run_all` matched.
    RunAll(String),
    /// A path that nothing covers, and `unmatched_paths = "all_lanes"`.
    Unmatched,
    /// A job of another lane needs one of its jobs.
    NeededBy(LaneId),
}

/// A glob that no changed path of the commits matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentGlob {
    /// The glob as it counts.
    pub glob: String,
    /// `paths`, `exclude`, `ignore` or `run_all`.
    pub key: &'static str,
    /// The lanes, which may share it through a path set; none for the manifest's own keys.
    pub lanes: Vec<LaneId>,
    /// Where it is written.
    pub file: String,
    /// The line there.
    pub line: usize,
}

/// The definitions of one commit, or what is wrong with them.
type Known = Result<Rc<Definitions>, Box<Diagnostics>>;

/// What a step is planned with.
type Asked = Result<(Rc<Definitions>, Question), Box<Diagnostics>>;

/// Plans every step against the one before it; the newest step comes first.
///
/// # Errors
///
/// [`PlanningError`] when the repository cannot be read. Definitions that a commit broke are an
/// answer, not an error.
pub fn replay(
    repository: &Repository,
    paths: &DefinitionPaths,
    steps: &[Step],
    with: &With,
    durations: Option<&Durations>,
    reuse: bool,
) -> Result<Replay, PlanningError> {
    let mut own = OwnDefinitions { repository, paths, next: None };
    let mut tally = Tally::new(durations, reuse.then(|| Keys::new(repository)));
    ahead(repository, steps, |step, changes| {
        let found = match with {
            With::These(these) => Ok((these.clone(), Question::default())),
            With::Own => own.of_step(step, changes)?,
        };
        let found = match found {
            Ok((definitions, question)) => {
                let question = with_locks(repository, step, &definitions, question, changes)?;
                Ok((definitions, question))
            }
            Err(problems) => Err(problems),
        };
        match found {
            Ok((definitions, question)) => tally.commit(&definitions, step, changes, &question)?,
            Err(problems) => tally.unplanned(step, &problems),
        }
        tally.see(step, changes);
        Ok(())
    })?;
    Ok(tally.finish())
}

/// How many steps the comparison of trees may be ahead of what is asked about them.
const AHEAD: usize = 256;

/// Does something with each step and its changes, in order; a second thread compares the trees of those to come.
fn ahead(
    repository: &Repository,
    steps: &[Step],
    mut each: impl FnMut(&Step, &[Change]) -> Result<(), PlanningError>,
) -> Result<(), PlanningError> {
    let changes = |repository: &Repository, step: &Step| {
        repository.changes_between(step.parent_tree, step.tree).map(ChangeSet::into_vec)
    };
    let several = thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
    let other = repository.again().filter(|_| several && steps.len() > 1);
    thread::scope(|scope| {
        let (found, compared) = mpsc::sync_channel(AHEAD);
        if let Some(other) = other {
            scope.spawn(move || {
                let Some(repository) = other() else { return };
                for step in steps {
                    // What is wrong is said by the other one.
                    let Ok(changes) = changes(&repository, step) else { return };
                    // Nobody listens any more.
                    let Ok(()) = found.send(changes) else { return };
                }
            });
        } else {
            drop(found);
        }
        for step in steps {
            let changes = match compared.recv() {
                Ok(changes) => changes,
                Err(_) => changes(repository, step).map_err(RepoContextError::from)?,
            };
            each(step, &changes)?;
        }
        Ok(())
    })
}

/// Adds the lanes of which entries of lock files differ between the two trees of a step.
fn with_locks(
    repository: &Repository,
    step: &Step,
    definitions: &Definitions,
    question: Question,
    changes: &[Change],
) -> Result<Question, PlanningError> {
    let Some(before) = step.parent_tree else { return Ok(question) };
    let mut differing = DefinitionChanges { by_lane: question.definition_changes };
    let tree = |tree| PlannedTree::Git { repository, tree };
    let (before, after) = (tree(before), tree(step.tree));
    changed::locks(&mut differing, &before, &after, &definitions.catalog, changes)?;
    Ok(Question { definition_changes: differing.by_lane, ..question })
}

/// The definitions along a history. Where a commit touches none of their files, those of its
/// parent are the same; what was read is kept for the step that comes next.
struct OwnDefinitions<'a> {
    repository: &'a Repository,
    paths: &'a DefinitionPaths,
    next: Option<(ObjectId, Known)>,
}

impl OwnDefinitions<'_> {
    fn of_step(&mut self, step: &Step, changes: &[Change]) -> Result<Asked, PlanningError> {
        let now = match self.next.take() {
            Some((tree, known)) if tree == step.tree => known,
            _ => self.read(step.tree)?,
        };
        let untouched = now.as_ref().ok().filter(|now| !touches(self.paths, &now.inputs, changes));
        let before = match step.parent_tree {
            None => None,
            Some(tree) => Some((
                tree,
                match untouched {
                    Some(same) => Ok(same.clone()),
                    None => self.read(tree)?,
                },
            )),
        };
        let mut differing = DefinitionChanges::default();
        if let Ok(now) = &now {
            match &before {
                None => differing.add_all_jobs(&now.catalog),
                Some((_, Ok(same))) if Rc::ptr_eq(same, now) => {}
                Some((_, Ok(base))) => differing.compare(&base.catalog, &now.catalog),
                Some((_, Err(found))) => {
                    differing.everything(&now.catalog, &unreadable_base(found));
                }
            }
        }
        self.next = before;
        let question = Question { definition_changes: differing.by_lane, ..Question::default() };
        Ok(now.map(|now| (now, question)))
    }

    fn read(&self, tree: ObjectId) -> Result<Known, PlanningError> {
        match read_definitions(&PlannedTree::Git { repository: self.repository, tree }, self.paths)
        {
            Ok((catalog, inputs)) => Ok(Ok(Rc::new(Definitions::new(catalog, inputs)))),
            Err(PlanningError::Definitions(found)) => Ok(Err(found)),
            Err(error) => Err(error),
        }
    }
}

/// What is being counted.
struct Tally<'a> {
    durations: Option<&'a Durations>,
    replay: Replay,
    lanes: BTreeMap<LaneId, LaneRuns>,
    newest: Option<Rc<Definitions>>,
    stretch: Option<Stretch>,
    seen: BTreeSet<(RepoPath, bool)>,
    keys: Option<Keys<'a>>,
}

/// Commits one after the other that are planned with the same definitions: their lanes are counted by
/// position.
struct Stretch {
    definitions: Rc<Definitions>,
    commits: usize,
    lanes: Vec<Runs>,
}

/// One lane over a [`Stretch`].
#[derive(Clone, Default)]
struct Runs {
    runs: usize,
    reasons: BTreeMap<Why, usize>,
    machine_time: Duration,
}

impl Stretch {
    fn new(definitions: &Rc<Definitions>) -> Self {
        let lanes = vec![Runs::default(); definitions.catalog.lanes().len()];
        Self { definitions: definitions.clone(), commits: 0, lanes }
    }

    /// Adds what was counted to the lanes of all commits.
    fn end(self, timed: bool, lanes: &mut BTreeMap<LaneId, LaneRuns>) {
        let catalog = &self.definitions.catalog;
        let question = Question::default();
        for index in lanes_in_question(catalog, &question) {
            let (lane, counted) = (&catalog[index], &self.lanes[index.position()]);
            let entry = lanes.entry(lane.id.clone()).or_insert_with(|| LaneRuns {
                id: lane.id.clone(),
                title: lane.title.clone(),
                gone: false,
                runs: 0,
                planned: 0,
                reasons: BTreeMap::new(),
                machine_time: timed.then_some(Duration::ZERO),
            });
            entry.planned += self.commits;
            entry.runs += counted.runs;
            for (reason, commits) in &counted.reasons {
                *entry.reasons.entry(reason.clone()).or_default() += commits;
            }
            if let Some(total) = &mut entry.machine_time {
                *total = total.saturating_add(counted.machine_time);
            }
        }
    }
}

impl<'a> Tally<'a> {
    fn new(durations: Option<&'a Durations>, keys: Option<Keys<'a>>) -> Self {
        let machine_time = durations.map(|_| Duration::ZERO);
        Self {
            durations,
            replay: Replay { machine_time, ..Replay::default() },
            lanes: BTreeMap::new(),
            newest: None,
            stretch: None,
            seen: BTreeSet::new(),
            keys,
        }
    }

    fn see(&mut self, step: &Step, changes: &[Change]) {
        if let Some(keys) = &mut self.keys {
            keys.step(step, changes);
        }
        self.seen.extend(
            changes
                .iter()
                .map(|change| (change.path.clone(), change.status == ChangeStatus::Submodule)),
        );
    }

    fn unplanned(&mut self, step: &Step, problems: &Diagnostics) {
        let because = problems.iter().next().map_or_else(
            || "its definitions cannot be read".to_owned(),
            |first| first.message.clone(),
        );
        let (commit, summary) = (step.commit, step.summary.clone());
        self.replay.unplanned.push(Unplanned { commit, summary, because });
    }

    fn commit(
        &mut self,
        definitions: &Rc<Definitions>,
        step: &Step,
        changes: &[Change],
        question: &Question,
    ) -> Result<(), PlanningError> {
        if self.newest.is_none() {
            self.newest = Some(definitions.clone());
        }
        let catalog = &definitions.catalog;
        let selected = select_running(catalog, &definitions.coverage, changes, question);
        let asked = self.durations.is_some() || self.keys.is_some();
        let lowered = if asked { Some(lower(catalog, &selected)?) } else { None };
        let times = match (&lowered, self.durations) {
            (Some(lowered), Some(durations)) => Some(self.machine_times(durations, lowered)),
            _ => None,
        };
        if let (Some(lowered), Some(keys)) = (&lowered, &mut self.keys) {
            keys.commit(step, &lowered.nodes)?;
        }
        let mut runs = CommitRuns {
            commit: step.commit,
            committed_at: step.committed_at,
            summary: step.summary.clone(),
            changed: changes.len(),
            lanes: BTreeSet::new(),
            jobs: BTreeSet::new(),
        };
        let stretch = self.stretch_of(definitions);
        stretch.commits += 1;
        for (position, selection) in selected.lanes.iter().enumerate() {
            let counted = &mut stretch.lanes[selection.lane.position()];
            counted.runs += 1;
            let reasons: BTreeSet<Why> = selection.reasons.iter().flat_map(why).collect();
            for reason in reasons {
                *counted.reasons.entry(reason).or_default() += 1;
            }
            if let Some(times) = &times {
                counted.machine_time = counted.machine_time.saturating_add(times[position]);
            }
            runs.lanes.insert(catalog[selection.lane].id.clone());
            runs.jobs.extend(selection.jobs.iter().map(|&job| catalog[job].id.clone()));
        }
        for job in &runs.jobs {
            *self.replay.jobs.entry(job.clone()).or_default() += 1;
        }
        self.replay.uncovered += usize::from(!selected.uncovered.is_empty());
        self.replay.commits.push(runs);
        Ok(())
    }

    /// The stretch that a commit with these definitions belongs to; the one before it ends.
    fn stretch_of(&mut self, definitions: &Rc<Definitions>) -> &mut Stretch {
        let (timed, lanes) = (self.durations.is_some(), &mut self.lanes);
        let same = |stretch: &Stretch| Rc::ptr_eq(&stretch.definitions, definitions);
        if let Some(ended) = self.stretch.take_if(|stretch| !same(stretch)) {
            ended.end(timed, lanes);
        }
        self.stretch.get_or_insert_with(|| Stretch::new(definitions))
    }

    /// The measured time of each lane's nodes; adds those of the whole commit to the sum, each
    /// node once.
    fn machine_times(&mut self, durations: &Durations, lowered: &Lowered) -> Vec<Duration> {
        let sum = |nodes: &mut dyn Iterator<Item = &NodeId>| {
            let known = nodes.filter_map(|id| durations.node(id));
            known.fold(Duration::ZERO, |sum, node| sum.saturating_add(node.median))
        };
        let all = sum(&mut lowered.nodes.iter().map(|node| &node.id));
        if let Some(total) = &mut self.replay.machine_time {
            *total = total.saturating_add(all);
        }
        lowered.of_lane.iter().map(|nodes| sum(&mut nodes.iter())).collect()
    }

    fn finish(mut self) -> Replay {
        if let Some(ended) = self.stretch.take() {
            ended.end(self.durations.is_some(), &mut self.lanes);
        }
        if let Some(newest) = &self.newest {
            let catalog = &newest.catalog;
            self.replay.silent = silent(catalog, &self.seen);
            for lane in catalog.lanes() {
                self.replay.lanes.extend(self.lanes.remove(&lane.id));
            }
        }
        let gone = self.lanes.into_values().map(|lane| LaneRuns { gone: true, ..lane });
        self.replay.lanes.extend(gone);
        self.replay.reuse = self.keys.map(|keys| keys.finish(self.durations));
        self.replay
    }
}

fn why(reason: &Reason) -> Vec<Why> {
    vec![match reason {
        Reason::Paths(paths) => Why::Glob(paths.glob.clone()),
        Reason::Always => Why::Always,
        Reason::DefinitionChanged(changed) if !changed.entries.is_empty() => {
            return changed.entries.iter().map(|it| Why::Entries(it.file.clone())).collect();
        }
        Reason::DefinitionChanged(_) => Why::DefinitionChanged,
        Reason::RunAll(all) => Why::RunAll(all.glob.clone().unwrap_or_default()),
        Reason::Unmatched(_) => Why::Unmatched,
        Reason::NeededBy(needed) => Why::NeededBy(needed.lane.clone()),
        // Commits are replayed without what passed.
        Reason::Requested | Reason::Owed(_) | Reason::NotRequested | Reason::NoMatch(_) => {
            return Vec::new();
        }
    }]
}

impl std::fmt::Display for Why {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Glob(glob) => out.write_str(glob),
            Self::Always => out.write_str("always"),
            Self::DefinitionChanged => out.write_str("definition changed"),
            Self::Entries(file) => write!(out, "entries of {file}"),
            Self::RunAll(glob) => write!(out, "run_all {glob}"),
            Self::Unmatched => out.write_str("paths that nothing covers"),
            Self::NeededBy(lane) => write!(out, "needed by {lane}"),
        }
    }
}

/// The globs, as written, that no changed path matched. A derived path is not written.
fn silent(catalog: &Catalog, seen: &BTreeSet<(RepoPath, bool)>) -> Vec<SilentGlob> {
    let mut fired: BTreeSet<GlobId> = BTreeSet::new();
    let mut found = Vec::new();
    for (path, submodule) in seen {
        catalog.globs().matches(path.as_bytes(), *submodule, &mut found);
        fired.extend(&found);
    }
    let mut silent: Vec<SilentGlob> = Vec::new();
    let mut known: HashMap<(GlobId, &'static str, String, usize), usize> = HashMap::new();
    let mut add = |key: &'static str, lane: Option<&LaneId>, globs: &[GlobUse]| {
        let written = globs.iter().filter(|used| !matches!(used.via, Some(Via::Dependencies(_))));
        for used in written.filter(|used| !fired.contains(&used.glob)) {
            let at = catalog.sources().position(used.span);
            let place = (used.glob, key, at.file, at.line);
            if let Some(&known) = known.get(&place) {
                silent[known].lanes.extend(lane.cloned());
                continue;
            }
            silent.push(SilentGlob {
                glob: catalog.globs().text(used.glob).to_owned(),
                key,
                lanes: lane.cloned().into_iter().collect(),
                file: place.2.clone(),
                line: place.3,
            });
            known.insert(place, silent.len() - 1);
        }
    };
    for lane in catalog.lanes().iter().filter(|lane| lane.trigger == LaneTrigger::Branch) {
        add("paths", Some(&lane.id), lane.filter.paths.as_deref().unwrap_or_default());
        add("exclude", Some(&lane.id), &lane.filter.exclude);
    }
    add("run_all", None, &catalog.rules().run_all);
    add("ignore", None, &catalog.rules().ignore);
    silent
}

/// Returns a time since 1970 as a day, in UTC.
#[must_use]
pub fn day(seconds: i64) -> String {
    // Days since 0000-03-01, in eras of 400 years: the calendar repeats, and leap days come last.
    let days = seconds.div_euclid(86_400) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, carry) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    format!("{:04}-{month:02}-{day:02}", year + era * 400 + carry)
}

#[cfg(test)]
mod tests {
    use super::day;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (seconds, expected) in [
            (0, "1970-01-01"),
            (951_782_399, "2000-02-28"),
            (951_782_400, "2000-02-29"),
            (951_868_800, "2000-03-01"),
            (1_700_000_000, "2023-11-14"),
            (-1, "1969-12-31"),
        ] {
            assert_eq!(day(seconds), expected);
        }
    }
}
