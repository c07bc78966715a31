//! Changes and a catalog in, lanes with their reasons out.
//!
//! Every lane of the trigger gets an answer, and every answer all of its reasons: selected by
//! which globs and paths, because its definition changed, because everything runs; or not, and
//! what came nearest. More changes never deselect a lane. Nodes and edges are not made here; that
//! is [`mod@crate::lower`].

mod nearest;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use lanes::{
    Catalog, GlobUse, JobIndex, JobOwner, LaneIndex, LaneTrigger, UnmatchedPaths, Via, Work,
};
use plans::{
    Change, DefinitionChanged, NeededBy, NoMatch, PathsReason, Reason, RepoPath, RunAll, Trigger,
    Unmatched,
};

use self::nearest::Nearby;
use crate::matches::Matches;

/// What is asked, apart from the changes.
#[derive(Debug, Clone, Default)]
pub struct Question {
    /// Whose lanes.
    pub trigger: TriggerOf,
    /// Lanes that flags name.
    pub lanes: BTreeSet<LaneIndex>,
    /// Lanes whose target a flag names.
    pub lanes_of_targets: BTreeSet<LaneIndex>,
    /// Jobs that flags name, directly or by a target that no lane of the trigger runs.
    pub jobs: BTreeSet<JobIndex>,
    /// Which changes decide.
    pub scope: Scope,
    /// What differs between the definitions of base and head, by lane.
    pub definition_changes: BTreeMap<LaneIndex, DefinitionChanged>,
    /// The change set is a list of paths, so its changes satisfy every `statuses`.
    pub any_status: bool,
}

/// A [`Trigger`] with a default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TriggerOf(pub Trigger);

impl Default for TriggerOf {
    fn default() -> Self {
        Self(Trigger::Branch)
    }
}

/// Which changes decide about the trigger's lanes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scope {
    /// The change set does.
    #[default]
    Changes,
    /// All of them run: asked for.
    All,
    /// All of them run: the base is not known.
    UnknownBase(String),
}

/// One lane's place.
#[derive(Debug, Clone)]
pub struct LaneSelection {
    /// The lane.
    pub lane: LaneIndex,
    /// Every reason; at least one.
    pub reasons: Vec<Reason>,
    /// The lane's own jobs that run; empty when it is not selected.
    pub jobs: BTreeSet<JobIndex>,
    /// Whether it runs.
    pub selected: bool,
}

/// The answer.
#[derive(Debug, Clone)]
pub struct Selected {
    /// The lanes that the question is about, in manifest order.
    pub lanes: Vec<LaneSelection>,
    /// Jobs that run without a lane.
    pub jobs: BTreeSet<JobIndex>,
    /// Changed paths that no lane, no `ignore` and no `run_all` covers.
    pub uncovered: BTreeSet<RepoPath>,
}

/// Answers the question for a change set, sorted by path.
#[must_use]
pub fn select(catalog: &Catalog, changes: &[Change], question: &Question) -> Selected {
    let mut matches = Matches::new(catalog, changes, question.any_status);
    let uncovered = uncovered(catalog, &mut matches);
    let for_all = reasons_for_all(catalog, question, &matches, &uncovered);
    let nearby = Nearby::new(changes);
    let lanes = lanes_in_question(catalog, question);

    let mut selections: Vec<LaneSelection> = lanes
        .into_iter()
        .map(|lane| {
            let mut selection = by_reasons(catalog, question, &mut matches, lane, &for_all);
            if !selection.selected {
                selection.reasons = vec![why_not(catalog, question, &matches, &nearby, lane)];
            }
            selection
        })
        .collect();
    join_needed(catalog, &mut selections);
    let uncovered = uncovered.into_iter().map(|at| changes[at as usize].path.clone()).collect();
    Selected { lanes: selections, jobs: question.jobs.clone(), uncovered }
}

/// The trigger's lanes; lanes of the other list only when a flag names them.
fn lanes_in_question(catalog: &Catalog, question: &Question) -> Vec<LaneIndex> {
    catalog
        .lane_indices()
        .filter(|&lane| is_of(catalog, question.trigger.0, lane) || question.lanes.contains(&lane))
        .collect()
}

/// Whether a lane is in the list that a trigger is about.
pub(crate) fn is_of(catalog: &Catalog, trigger: Trigger, lane: LaneIndex) -> bool {
    match trigger {
        Trigger::Branch => catalog[lane].trigger == LaneTrigger::Branch,
        Trigger::Nightly => catalog[lane].trigger == LaneTrigger::Nightly,
        Trigger::Manual => true,
    }
}

/// Positions of the changed paths that nothing covers. Lanes of every trigger count; only a glob
/// covers, and an excluded path is not covered by the lane that excludes it.
fn uncovered(catalog: &Catalog, matches: &mut Matches<'_>) -> Vec<u32> {
    let mut covered = vec![false; matches.changes().len()];
    let mut cover = |hits: &[u32]| hits.iter().for_each(|&at| covered[at as usize] = true);
    for lane in catalog.lanes() {
        for used in lane.filter.paths.iter().flatten() {
            cover(&matches.covered(&lane.filter, used.glob));
        }
    }
    let rules = catalog.rules();
    for used in rules.ignore.iter().chain(&rules.run_all) {
        cover(&matches.of_glob(used.glob));
    }
    let definitions: BTreeSet<&[u8]> = catalog.files().iter().map(String::as_bytes).collect();
    (0u32..)
        .zip(matches.changes())
        .filter(|(at, change)| {
            !covered[*at as usize] && !definitions.contains(change.path.as_bytes())
        })
        .map(|(at, _)| at)
        .collect()
}

/// The reasons that select every lane of the branch, or of the trigger.
fn reasons_for_all(
    catalog: &Catalog,
    question: &Question,
    matches: &Matches<'_>,
    uncovered: &[u32],
) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if question.trigger.0 == Trigger::Manual {
        return reasons;
    }
    if let Scope::UnknownBase(because) = &question.scope {
        reasons.push(Reason::RunAll(RunAll {
            glob: None,
            matched: Vec::new(),
            total: 0,
            because: Some(because.clone()),
            since: None,
        }));
    }
    let rules = catalog.rules();
    if question.trigger.0 == Trigger::Branch {
        for used in distinct(&rules.run_all) {
            let hits = matches.of_glob(used.glob);
            if !hits.is_empty() {
                let (matched, total) = matches.paths(&hits);
                reasons.push(Reason::RunAll(RunAll {
                    glob: Some(catalog.globs().text(used.glob).to_owned()),
                    matched,
                    total,
                    because: None,
                    since: None,
                }));
            }
        }
    }
    if rules.unmatched_paths == UnmatchedPaths::AllLanes && !uncovered.is_empty() {
        let (matched, total) = matches.paths(uncovered);
        reasons.push(Reason::Unmatched(Unmatched { matched, total, since: None }));
    }
    reasons
}

/// Collects the reasons for one lane, and the jobs that each of them selects.
fn by_reasons(
    catalog: &Catalog,
    question: &Question,
    matches: &mut Matches<'_>,
    index: LaneIndex,
    for_all: &[Reason],
) -> LaneSelection {
    let lane = &catalog[index];
    let every_job = catalog.jobs_of(index);
    let mut reasons = Vec::new();
    let mut jobs = BTreeSet::new();
    let manual = question.trigger.0 == Trigger::Manual;
    let of_trigger = !manual && question.scope == Scope::Changes;

    let asked_for_all = !manual && question.scope == Scope::All;
    let named = question.lanes.contains(&index) || question.lanes_of_targets.contains(&index);
    if lane.filter.paths.is_none() && !manual {
        reasons.push(Reason::Always);
        if of_trigger {
            jobs.extend(narrowed(catalog, matches, index));
        } else {
            jobs.extend(every_job);
        }
    } else if asked_for_all || named {
        reasons.push(Reason::Requested);
        jobs.extend(every_job);
    }
    if named {
        if !reasons.contains(&Reason::Requested) {
            reasons.push(Reason::Requested);
        }
        jobs.extend(every_job);
    }
    if of_trigger {
        let mut matched = false;
        for used in distinct(lane.filter.paths.as_deref().unwrap_or_default()) {
            let hits = matches.counted(&lane.filter, used.glob);
            if hits.is_empty() {
                continue;
            }
            matched = true;
            let (first, total) = matches.paths(&hits);
            reasons.push(Reason::Paths(PathsReason {
                glob: catalog.globs().text(used.glob).to_owned(),
                via: match &used.via {
                    Some(Via::Dependencies(chain)) => Some(chain.to_string()),
                    Some(Via::Sets(_)) | None => None,
                },
                matched: first,
                total,
                since: None,
            }));
        }
        if matched {
            jobs.extend(narrowed(catalog, matches, index));
        }
    }
    if let Some(changed) = question.definition_changes.get(&index).filter(|_| of_trigger) {
        let differs = |job: &&JobIndex| {
            changed.because.is_some() || changed.jobs.contains(&catalog[**job].id)
        };
        jobs.extend(every_job.iter().filter(differs));
        reasons.push(Reason::DefinitionChanged(changed.clone()));
    }
    if !for_all.is_empty() {
        reasons.extend(for_all.iter().cloned());
        jobs.extend(every_job);
    }
    let selected = !reasons.is_empty();
    LaneSelection { lane: index, reasons, jobs, selected }
}

/// The lane's jobs for which a change counts: the lane's filter, narrowed by the job's.
pub(crate) fn narrowed(
    catalog: &Catalog,
    matches: &mut Matches<'_>,
    lane: LaneIndex,
) -> Vec<JobIndex> {
    let filter = &catalog[lane].filter;
    let mut jobs = Vec::new();
    // Asked once for all jobs of the lane, and only if one has a filter.
    let mut of_lane: Option<Vec<bool>> = None;
    for &job in catalog.jobs_of(lane) {
        let counts = match catalog.job_filter(lane, job) {
            None => true,
            Some(of_job) => {
                let of_lane = of_lane.get_or_insert_with(|| matches.all_counted(filter));
                matches.any_counts(of_job, of_lane)
            }
        };
        if counts {
            jobs.push(job);
        }
    }
    jobs
}

fn why_not(
    catalog: &Catalog,
    question: &Question,
    matches: &Matches<'_>,
    nearby: &Nearby<'_>,
    lane: LaneIndex,
) -> Reason {
    if question.trigger.0 == Trigger::Manual {
        return Reason::NotRequested;
    }
    Reason::NoMatch(NoMatch {
        nearest: nearby.miss(catalog, matches, &catalog[lane].filter),
        since: None,
    })
}

/// Selects lanes for jobs that selected jobs need: the lane whose target defines the job, or the
/// lane whose own command it is. What jobs of one target need of each other joins the plan without
/// any further lane: another lane of that target has no part in it.
fn join_needed(catalog: &Catalog, selections: &mut [LaneSelection]) {
    let mut lanes_of: BTreeMap<OwnerKey, Vec<usize>> = BTreeMap::new();
    for (at, selection) in selections.iter().enumerate() {
        let key = match catalog[selection.lane].work {
            Work::Target(target) => OwnerKey::Target(target.position()),
            Work::Command(_) => OwnerKey::Lane(selection.lane.position()),
        };
        lanes_of.entry(key).or_default().push(at);
    }
    let mut queue: VecDeque<(usize, JobIndex)> = selections
        .iter()
        .enumerate()
        .flat_map(|(at, selection)| selection.jobs.iter().map(move |&job| (at, job)))
        .collect();
    let mut seen: BTreeSet<JobIndex> = BTreeSet::new();
    while let Some((from, job)) = queue.pop_front() {
        if !seen.insert(job) {
            continue;
        }
        let owner = OwnerKey::of(catalog[job].owner);
        for &needed in &catalog[job].needs {
            queue.push_back((from, needed));
            let other = OwnerKey::of(catalog[needed].owner);
            for &at in lanes_of.get(&other).filter(|_| other != owner).into_iter().flatten() {
                if at == from || !selections[at].jobs.insert(needed) {
                    continue;
                }
                let reason = Reason::NeededBy(NeededBy {
                    lane: catalog[selections[from].lane].id.clone(),
                    job: catalog[job].id.clone(),
                    needs: catalog[needed].id.clone(),
                });
                let selection = &mut selections[at];
                if !selection.selected {
                    selection.selected = true;
                    selection.reasons.clear();
                }
                selection.reasons.push(reason);
            }
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum OwnerKey {
    Target(usize),
    Lane(usize),
}

impl OwnerKey {
    fn of(owner: JobOwner) -> Self {
        match owner {
            JobOwner::Target(target) => Self::Target(target.position()),
            JobOwner::Lane(lane) => Self::Lane(lane.position()),
        }
    }
}

/// The globs of a list, each once, in order.
fn distinct(globs: &[GlobUse]) -> impl Iterator<Item = &GlobUse> {
    let mut seen = BTreeSet::new();
    globs.iter().filter(move |used| seen.insert(used.glob))
}
