//! Changes and a catalog in, lanes with their reasons out.
//!
//! Every lane of the trigger gets an answer, and every answer all of its reasons: selected by
//! which globs and paths, because its definition changed, because everything runs; or not, and
//! what came nearest. More changes never deselect a lane. Nodes and edges are not made here; that
//! is [`mod@crate::lower`].

mod nearest;

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};

use lanes::{
    Catalog, GlobId, GlobUse, JobIndex, JobOwner, LaneIndex, LaneTrigger, UnmatchedPaths, Via, Work,
};
use plans::{
    Change, DefinitionChanged, NeededBy, NoMatch, PathsReason, Reason, RepoPath, RunAll, Since,
    Trigger, Unmatched,
};

use self::nearest::Nearby;
use crate::{
    matches::Matches,
    passed::{Comparisons, OfLane, Part},
    repo_context::Changed,
};

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

/// What some lanes are compared with, and what differs from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compared<'a> {
    /// The change set, sorted by path.
    pub(crate) changes: &'a [Change],
    /// What differs between the definitions, by lane.
    pub(crate) definition_changes: &'a BTreeMap<LaneIndex, DefinitionChanged>,
    /// Which changes decide.
    pub(crate) scope: &'a Scope,
    /// What reasons say it is; nothing: the base of the plan.
    pub(crate) since: Option<&'a Since>,
}

/// Answers the question for a change set, sorted by path.
#[must_use]
pub fn select(catalog: &Catalog, changes: &[Change], question: &Question) -> Selected {
    let base = Compared {
        changes,
        definition_changes: &question.definition_changes,
        scope: &question.scope,
        since: None,
    };
    let (whole, coverage) = (OfLane::whole(), Coverage::of(catalog));
    answer(catalog, question, &coverage, &[base], |_| &whole, Listed::All)
}

/// Answers the question with the lanes that run alone: nothing is said about the others, which are
/// most of them, so that thousands of change sets can be asked about. `coverage` is the catalog's.
pub(crate) fn select_running(
    catalog: &Catalog,
    coverage: &Coverage,
    changes: &[Change],
    question: &Question,
) -> Selected {
    let base = Compared {
        changes,
        definition_changes: &question.definition_changes,
        scope: &question.scope,
        since: None,
    };
    let whole = OfLane::whole();
    answer(catalog, question, coverage, &[base], |_| &whole, Listed::Running)
}

/// Answers the question where each lane has comparisons of its own.
pub(crate) fn select_among(
    catalog: &Catalog,
    comparisons: &Comparisons,
    changed: &Changed,
    question: &Question,
) -> Selected {
    let compared = comparisons.list(changed, question);
    let (whole, coverage) = (OfLane::whole(), Coverage::of(catalog));
    let of_lane = |lane| comparisons.of_lane(lane).unwrap_or(&whole);
    answer(catalog, question, &coverage, &compared, of_lane, Listed::All)
}

/// Which lanes an answer is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    /// All that are in question, each with its reasons.
    All,
    /// Those that run.
    Running,
}

fn answer<'a>(
    catalog: &Catalog,
    question: &Question,
    coverage: &Coverage,
    compared: &[Compared<'_>],
    of_lane: impl Fn(LaneIndex) -> &'a OfLane,
    listed: Listed,
) -> Selected {
    let lanes: Vec<(LaneIndex, &OfLane)> =
        lanes_in_question(catalog, question).map(|it| (it, of_lane(it))).collect();
    // What no lane is compared with has no part in the answer.
    let mut used = vec![lanes.is_empty(); compared.len()];
    for part in lanes.iter().flat_map(|(_, of_lane)| &of_lane.parts) {
        used[part.with] = true;
    }
    let mut views: Vec<View<'_>> = compared
        .iter()
        .zip(used)
        .map(|(compared, wanted)| View::new(catalog, question, coverage, *compared, wanted))
        .collect();

    let mut selections: Vec<LaneSelection> = lanes
        .iter()
        .map(|&(lane, of_lane)| by_reasons(catalog, question, &mut views, lane, of_lane))
        .collect();
    join_needed(catalog, &mut selections);
    match listed {
        Listed::Running => selections.retain(|selection| selection.selected),
        Listed::All => {
            for (selection, (lane, of_lane)) in selections.iter_mut().zip(&lanes) {
                if !selection.selected {
                    selection.reasons = why_not(catalog, question, &views, of_lane, *lane);
                }
            }
        }
    }
    let uncovered = views.iter().flat_map(View::uncovered).collect();
    Selected { lanes: selections, jobs: question.jobs.clone(), uncovered }
}

/// One comparison, asked about every glob.
struct View<'a> {
    compared: Compared<'a>,
    matches: Matches<'a>,
    nearby: Nearby<'a>,
    uncovered: Vec<u32>,
    /// The reasons that select every lane that is compared so.
    for_all: Vec<Reason>,
}

impl<'a> View<'a> {
    fn new(
        catalog: &Catalog,
        question: &Question,
        coverage: &Coverage,
        compared: Compared<'a>,
        wanted: bool,
    ) -> Self {
        let changes = if wanted { compared.changes } else { &[] };
        let mut matches = Matches::new(catalog, changes, question.any_status);
        let uncovered = coverage.uncovered(catalog, &mut matches);
        let for_all = reasons_for_all(catalog, question, &compared, &matches, &uncovered);
        Self { compared, matches, nearby: Nearby::new(changes), uncovered, for_all }
    }

    fn uncovered(&self) -> impl Iterator<Item = RepoPath> {
        let changes = self.matches.changes();
        self.uncovered.iter().map(|&at| changes[at as usize].path.clone())
    }
}

/// The trigger's lanes; lanes of the other list only when a flag names them.
pub(crate) fn lanes_in_question<'a>(
    catalog: &'a Catalog,
    question: &'a Question,
) -> impl Iterator<Item = LaneIndex> + use<'a> {
    let asked = |lane: &LaneIndex| {
        is_of(catalog, question.trigger.0, *lane) || question.lanes.contains(lane)
    };
    catalog.lane_indices().filter(asked)
}

/// Whether a lane is in the list that a trigger is about.
pub(crate) fn is_of(catalog: &Catalog, trigger: Trigger, lane: LaneIndex) -> bool {
    match trigger {
        Trigger::Branch => catalog[lane].trigger == LaneTrigger::Branch,
        Trigger::Nightly => catalog[lane].trigger == LaneTrigger::Nightly,
        Trigger::Manual => true,
    }
}

/// What covers a path, asked once for every change set. Lanes of every trigger count. A glob covers,
/// though an excluded path is not covered by the lane that excludes it; so does a lane that follows
/// the file by what is in it.
pub(crate) struct Coverage {
    /// By glob: whether whatever it matches is covered.
    whole: Vec<bool>,
    /// Globs that cover only what the filter of a lane does not exclude.
    partial: Vec<(LaneIndex, GlobId)>,
    /// Definitions, lock files and shared manifests: what is in them decides.
    by_content: HashSet<Box<[u8]>>,
}

impl Coverage {
    pub(crate) fn of(catalog: &Catalog) -> Self {
        let mut whole = vec![false; catalog.globs().len()];
        let mut partial = Vec::new();
        for index in catalog.lane_indices() {
            let lane = &catalog[index];
            for used in lane.covering() {
                if lane.filter.exclude.is_empty() {
                    whole[used.glob.position()] = true;
                } else {
                    partial.push((index, used.glob));
                }
            }
        }
        let rules = catalog.rules();
        for used in rules.ignore.iter().chain(&rules.run_all) {
            whole[used.glob.position()] = true;
        }
        let definitions = catalog.files().iter().map(String::as_bytes);
        let followed = catalog.lanes().iter().flat_map(|lane| lane.derived.files());
        let by_content = definitions.chain(followed.map(str::as_bytes)).map(Box::from).collect();
        Self { whole, partial, by_content }
    }

    /// Positions of the changed paths that nothing covers.
    fn uncovered(&self, catalog: &Catalog, matches: &mut Matches<'_>) -> Vec<u32> {
        let mut covered = vec![false; matches.changes().len()];
        let mut cover = |hits: &[u32]| hits.iter().for_each(|&at| covered[at as usize] = true);
        for glob in matches.matching() {
            if self.whole[glob.position()] {
                cover(&matches.of_glob(glob));
            }
        }
        for &(lane, glob) in &self.partial {
            if matches.any(glob) {
                cover(&matches.covered(&catalog[lane].filter, glob));
            }
        }
        (0u32..)
            .zip(matches.changes())
            .filter(|(at, change)| {
                !covered[*at as usize] && !self.by_content.contains(change.path.as_bytes())
            })
            .map(|(at, _)| at)
            .collect()
    }
}

/// The reasons that select every lane of the branch, or of the trigger.
fn reasons_for_all(
    catalog: &Catalog,
    question: &Question,
    compared: &Compared<'_>,
    matches: &Matches<'_>,
    uncovered: &[u32],
) -> Vec<Reason> {
    let since = compared.since.cloned();
    let mut reasons = Vec::new();
    if question.trigger.0 == Trigger::Manual {
        return reasons;
    }
    if let Scope::UnknownBase(because) = compared.scope {
        reasons.push(Reason::RunAll(RunAll {
            glob: None,
            matched: Vec::new(),
            total: 0,
            because: Some(because.clone()),
            since: since.clone(),
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
                    since: since.clone(),
                }));
            }
        }
    }
    if rules.unmatched_paths == UnmatchedPaths::AllLanes && !uncovered.is_empty() {
        let (matched, total) = matches.paths(uncovered);
        reasons.push(Reason::Unmatched(Unmatched { matched, total, since }));
    }
    reasons
}

/// Collects the reasons for one lane, and the jobs that each of them selects.
fn by_reasons(
    catalog: &Catalog,
    question: &Question,
    views: &mut [View<'_>],
    index: LaneIndex,
    of_lane: &OfLane,
) -> LaneSelection {
    let lane = &catalog[index];
    let every_job = catalog.jobs_of(index);
    let mut reasons = Vec::new();
    let mut jobs = BTreeSet::new();
    let manual = question.trigger.0 == Trigger::Manual;
    let always = lane.filter.paths.is_none() && !manual;

    let asked_for_all = !manual && question.scope == Scope::All;
    let named = question.lanes.contains(&index) || question.lanes_of_targets.contains(&index);
    if always {
        reasons.push(Reason::Always);
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
    if let Some((owed, owing)) = of_lane.owed.as_ref().filter(|_| !manual) {
        reasons.push(Reason::Owed(owed.clone()));
        jobs.extend(owing);
    }
    for part in &of_lane.parts {
        let view = &mut views[part.with];
        let of_trigger = !manual && *view.compared.scope == Scope::Changes;
        let part_jobs = || every_job.iter().filter(|&&job| part.has(job));
        if always {
            if of_trigger {
                let narrowed = narrowed(catalog, &mut view.matches, index);
                jobs.extend(narrowed.into_iter().filter(|&job| part.has(job)));
            } else {
                jobs.extend(part_jobs());
            }
        }
        if of_trigger {
            by_paths(catalog, view, index, part, &mut reasons, &mut jobs);
            by_definition(catalog, view, index, part, &mut reasons, &mut jobs);
        }
        if !view.for_all.is_empty() {
            reasons.extend(view.for_all.iter().cloned());
            jobs.extend(part_jobs());
        }
    }
    let selected = !reasons.is_empty();
    LaneSelection { lane: index, reasons, jobs, selected }
}

/// The globs that changed paths match, and the jobs of the part that they select.
fn by_paths(
    catalog: &Catalog,
    view: &mut View<'_>,
    index: LaneIndex,
    part: &Part,
    reasons: &mut Vec<Reason>,
    jobs: &mut BTreeSet<JobIndex>,
) {
    let filter = &catalog[index].filter;
    let paths = filter.paths.as_deref().unwrap_or_default();
    // Of most lanes no glob matches anything.
    if !paths.iter().any(|used| view.matches.any(used.glob)) {
        return;
    }
    let mut found = Vec::new();
    for used in distinct(paths) {
        let hits = view.matches.counted(filter, used.glob);
        if hits.is_empty() {
            continue;
        }
        let (first, total) = view.matches.paths(&hits);
        found.push(Reason::Paths(PathsReason {
            glob: catalog.globs().text(used.glob).to_owned(),
            via: match &used.via {
                Some(Via::Dependencies(chain)) => Some(chain.to_string()),
                Some(Via::Sets(_) | Via::EveryPath) | None => None,
            },
            matched: first,
            total,
            since: view.compared.since.cloned(),
        }));
    }
    if found.is_empty() {
        return;
    }
    let narrowed = narrowed(catalog, &mut view.matches, index);
    let of_part: Vec<JobIndex> = narrowed.into_iter().filter(|&job| part.has(job)).collect();
    // What matches may concern jobs alone that are compared with something else.
    if part.jobs.is_none() || !of_part.is_empty() {
        reasons.append(&mut found);
        jobs.extend(of_part);
    }
}

/// What of the lane is defined otherwise, and the jobs of the part that this selects.
fn by_definition(
    catalog: &Catalog,
    view: &View<'_>,
    index: LaneIndex,
    part: &Part,
    reasons: &mut Vec<Reason>,
    jobs: &mut BTreeSet<JobIndex>,
) {
    let Some(changed) = view.compared.definition_changes.get(&index) else { return };
    let differs = |job: &&JobIndex| {
        part.has(**job) && (changed.because.is_some() || changed.jobs.contains(&catalog[**job].id))
    };
    let of_part: Vec<JobIndex> = catalog.jobs_of(index).iter().filter(differs).copied().collect();
    if part.jobs.is_some() && of_part.is_empty() {
        return;
    }
    jobs.extend(of_part);
    let since = view.compared.since.cloned();
    reasons.push(Reason::DefinitionChanged(DefinitionChanged { since, ..changed.clone() }));
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
                matches.any_counts(&of_job, of_lane)
            }
        };
        if counts {
            jobs.push(job);
        }
    }
    jobs
}

/// Why a lane does not run: for each thing that it is compared with, the nearest miss.
fn why_not(
    catalog: &Catalog,
    question: &Question,
    views: &[View<'_>],
    of_lane: &OfLane,
    lane: LaneIndex,
) -> Vec<Reason> {
    if question.trigger.0 == Trigger::Manual {
        return vec![Reason::NotRequested];
    }
    let miss = |part: &Part| {
        let view = &views[part.with];
        Reason::NoMatch(NoMatch {
            nearest: view.nearby.miss(catalog, &view.matches, &catalog[lane].filter),
            since: view.compared.since.cloned(),
        })
    };
    of_lane.parts.iter().map(miss).collect()
}

/// Selects lanes for jobs that selected jobs need: the lane whose target defines the job, or the
/// lane whose own command it is. What jobs of one target need of each other joins the plan without
/// any further lane: another lane of that target has no part in it.
fn join_needed(catalog: &Catalog, selections: &mut [LaneSelection]) {
    // Made when a job first needs one of another owner.
    let mut lanes_of: Option<BTreeMap<OwnerKey, Vec<usize>>> = None;
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
            if other == owner {
                continue;
            }
            let lanes_of = lanes_of.get_or_insert_with(|| by_owner(catalog, selections));
            for &at in lanes_of.get(&other).into_iter().flatten() {
                if at == from || !selections[at].jobs.insert(needed) {
                    continue;
                }
                let reason = Reason::NeededBy(NeededBy {
                    lane: catalog[selections[from].lane].id.clone(),
                    job: catalog[job].id.clone(),
                    needs: catalog[needed].id.clone(),
                });
                let selection = &mut selections[at];
                selection.selected = true;
                selection.reasons.push(reason);
            }
        }
    }
}

/// The positions of the lanes that run what a target or a lane defines.
fn by_owner(catalog: &Catalog, selections: &[LaneSelection]) -> BTreeMap<OwnerKey, Vec<usize>> {
    let mut lanes_of: BTreeMap<OwnerKey, Vec<usize>> = BTreeMap::new();
    for (at, selection) in selections.iter().enumerate() {
        let key = match catalog[selection.lane].work {
            Work::Target(target) => OwnerKey::Target(target.position()),
            Work::Command(_) => OwnerKey::Lane(selection.lane.position()),
        };
        lanes_of.entry(key).or_default().push(at);
    }
    lanes_of
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
