//! What each lane is compared with when it is known where lanes passed (`--passed`).
//!
//! A lane is compared with the newest commit at which it passed and upon which head builds; where
//! its jobs passed at different commits, each job with its own. A lane, or a job, without such a
//! commit is compared with the base of the plan or runs, as was asked for; it runs also when the
//! file knows of a run of it that did not pass. So whatever differs between a pass and head counts,
//! however many runs were lost in between. One tree walk for each distinct commit, whoever shares
//! it. Which lanes are selected by that is [`mod@crate::select`]'s business.

use std::collections::{BTreeMap, BTreeSet};

use lanes::{Catalog, JobIndex, LaneIndex};
use plans::{
    BaseFrom, BaseMode, Change, DefinitionChanged, JobId, LaneHistory, LaneRun,
    ObjectId as PlanObjectId, Owed, Passed, Since, Source, definition_digest,
};

use crate::{
    PlanningError, Request,
    definition_changes::{DefinitionChanges, definitions_of},
    git::{Ancestry, GitError, Note, ObjectId, Repository, Standing},
    packages::changed,
    planned_tree::Inputs,
    repo_context::{Changed, RepoContext, RepoContextError},
    select::{Compared, Question, Scope},
};

/// A file of `executor history --passed`, and what it is asked for.
#[derive(Debug, Clone)]
pub struct PassedFile {
    /// What it says.
    pub document: Passed,
    /// `sha256:` and the digest of its bytes.
    pub digest: String,
    /// What becomes of a lane that passed nowhere below head.
    pub otherwise: Otherwise,
}

/// What becomes of a lane that passed nowhere below head.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Otherwise {
    /// It is compared with the base of the plan, unless a run of it is known that did not pass.
    #[default]
    Base,
    /// It runs.
    Run,
}

/// What lanes are compared with, beside the base of the plan.
#[derive(Debug, Default)]
pub struct Comparisons {
    /// Whether each lane is compared with a commit of its own.
    by_lane: bool,
    /// The base, as reasons name it.
    base: Option<Since>,
    /// Passed commits, the first at position 1: 0 is the base of the plan.
    commits: Vec<PassedCommit>,
    /// Lanes that are not, or not only, compared with the base.
    lanes: BTreeMap<LaneIndex, OfLane>,
}

/// A commit at which lanes passed.
#[derive(Debug)]
struct PassedCommit {
    since: Since,
    changes: Vec<Change>,
    definition_changes: BTreeMap<LaneIndex, DefinitionChanged>,
}

/// What one lane is compared with.
#[derive(Debug, Clone, Default)]
pub(crate) struct OfLane {
    /// Its parts, each with a comparison of its own.
    pub(crate) parts: Vec<Part>,
    /// Jobs that run whatever differs, and why.
    pub(crate) owed: Option<(Owed, BTreeSet<JobIndex>)>,
}

/// Jobs of a lane that are compared with the same commit.
#[derive(Debug, Clone, Default)]
pub(crate) struct Part {
    /// The position of the comparison; 0 is the base of the plan.
    pub(crate) with: usize,
    /// The jobs; nothing: all of the lane's.
    pub(crate) jobs: Option<BTreeSet<JobIndex>>,
}

impl OfLane {
    /// All of it is compared with the base of the plan.
    pub(crate) fn whole() -> Self {
        Self { parts: vec![Part::default()], owed: None }
    }
}

impl Part {
    /// Returns whether the part is about a job.
    pub(crate) fn has(&self, job: JobIndex) -> bool {
        self.jobs.as_ref().is_none_or(|jobs| jobs.contains(&job))
    }
}

impl Comparisons {
    /// Returns every comparison, that with the base of the plan first.
    pub(crate) fn list<'a>(
        &'a self,
        changed: &'a Changed,
        question: &'a Question,
    ) -> Vec<Compared<'a>> {
        let base = Compared {
            changes: &changed.changes,
            definition_changes: &question.definition_changes,
            scope: &question.scope,
            since: self.base.as_ref(),
        };
        let commits = self.commits.iter().map(|commit| Compared {
            changes: &commit.changes,
            definition_changes: &commit.definition_changes,
            scope: &Scope::Changes,
            since: Some(&commit.since),
        });
        std::iter::once(base).chain(commits).collect()
    }

    /// Returns what a lane is compared with; nothing: [`OfLane::whole`].
    pub(crate) fn of_lane(&self, lane: LaneIndex) -> Option<&OfLane> {
        self.lanes.get(&lane)
    }

    /// Returns whether each lane is compared with a commit of its own.
    pub(crate) fn by_lane(&self) -> bool {
        self.by_lane
    }

    /// Finds what each lane is compared with. `base` is the base of the plan with what differs from
    /// it; that it cannot be had matters only if a lane is compared with it.
    ///
    /// # Errors
    ///
    /// [`PlanningError`] when git has no answer, or the base is needed and cannot be had.
    pub(crate) fn find(
        context: &RepoContext,
        request: &Request,
        catalog: &Catalog,
        inputs: &Inputs,
        base: Result<Changed, RepoContextError>,
    ) -> Result<(Changed, Self), PlanningError> {
        let Some(file) = &request.passed else { return Ok((base?, Self::default())) };
        let Some((repository, head, tree)) = context.in_git() else {
            return Ok((base?, Self::default()));
        };
        let mut search = Search {
            context,
            request,
            repository,
            ancestry: repository.ancestry(head),
            tree,
            catalog,
            definition: definition_digest(&inputs.ids),
            found: Self { by_lane: true, ..Self::default() },
            positions: BTreeMap::new(),
            definitions: BTreeMap::new(),
            changes: BTreeMap::new(),
        };
        let mut notes = Vec::new();
        let foreign = search.is_foreign(&file.document).map_err(RepoContextError::from)?;
        if foreign {
            notes.push(Note::Warning(
                "none of the commits that `--passed` speaks of is in this repository, so every \
                 lane runs; is it the file of another repository?"
                    .to_owned(),
            ));
        }
        let run = foreign || file.otherwise == Otherwise::Run;
        let mut passed = BTreeMap::new();
        let mut fallen = 0;
        for lane in catalog.lane_indices() {
            let id = &catalog[lane].id;
            let unknown = LaneHistory::default();
            let history = file.document.lanes.get(id).unwrap_or(&unknown);
            let (of_lane, oldest) = search.lane(lane, history, run)?;
            fallen += usize::from(oldest.is_none() && !history.passed.is_empty());
            passed.extend(oldest.map(|commit| (id.clone(), commit)));
            search.found.lanes.insert(lane, of_lane);
        }
        if fallen > 0 && search.ancestry.is_shallow() && !foreign {
            notes.push(Note::Warning(format!(
                "{fallen} lanes passed only at commits that this shallow clone does not reach; \
                 `git fetch --unshallow` brings them"
            )));
        }
        let mut found = search.found;
        let parts = || found.lanes.values().flat_map(|of_lane| &of_lane.parts);
        let needs_base = parts().any(|part| part.with == 0);
        let mut changed = match base {
            Ok(changed) => changed,
            Err(error) if needs_base => return Err(error.into()),
            Err(error) => {
                let note = format!("no lane needs the base, which is not known: {error}");
                let mut changed = context.without_base(BaseMode::Unknown, Scope::Changes);
                if let Source::Change(source) = &mut changed.source {
                    source.base_from = BaseFrom::new("passed").ok();
                }
                changed.note = Some(note);
                changed
            }
        };
        if let Source::Change(source) = &mut changed.source {
            found.base = Some(Since { commit: source.base.clone(), passed: false });
            source.passed = Some(passed);
        }
        changed.notes.extend(notes);
        Ok((changed, found))
    }

    /// Returns every change over which some lane was compared, sorted.
    pub(crate) fn union(&self, changed: &Changed) -> BTreeSet<Change> {
        if !self.by_lane {
            return changed.changes.iter().cloned().collect();
        }
        let parts = || self.lanes.values().flat_map(|of_lane| &of_lane.parts);
        let of_base = changed.changes.iter().filter(|_| parts().any(|part| part.with == 0));
        of_base.chain(self.commits.iter().flat_map(|commit| &commit.changes)).cloned().collect()
    }
}

/// Looks for what lanes are compared with.
struct Search<'a> {
    context: &'a RepoContext,
    request: &'a Request,
    repository: &'a Repository,
    ancestry: Ancestry<'a>,
    /// The planned tree.
    tree: ObjectId,
    catalog: &'a Catalog,
    /// The digest of head's definitions.
    definition: String,
    found: Comparisons,
    /// The positions of commits, with the definitions of then.
    positions: BTreeMap<(ObjectId, String), usize>,
    /// What differs from the definitions of a digest.
    definitions: BTreeMap<String, BTreeMap<LaneIndex, DefinitionChanged>>,
    /// What differs from a tree.
    changes: BTreeMap<ObjectId, Vec<Change>>,
}

/// A pass of a lane at a commit below head.
type Pass<'a> = (ObjectId, &'a LaneRun);

impl Search<'_> {
    /// Whether the document speaks of commits, and this repository has none of them.
    fn is_foreign(&mut self, document: &Passed) -> Result<bool, GitError> {
        let mut commits = BTreeSet::new();
        for history in document.lanes.values() {
            commits.extend(history.passed.iter().chain(&history.owed).map(|run| &run.commit));
        }
        for &commit in &commits {
            if self.standing(commit)? != Standing::Unknown {
                return Ok(false);
            }
        }
        // A shallow clone may be cut off above all of them.
        Ok(!commits.is_empty() && !self.ancestry.is_shallow())
    }

    fn standing(&mut self, commit: &PlanObjectId) -> Result<Standing, GitError> {
        match commit.as_str().parse() {
            Ok(id) => self.ancestry.standing(id),
            // A repository of another object format.
            Err(_) => Ok(Standing::Unknown),
        }
    }

    /// Finds what a lane is compared with, and the commit of the job that passed longest ago.
    fn lane(
        &mut self,
        lane: LaneIndex,
        history: &LaneHistory,
        run: bool,
    ) -> Result<(OfLane, Option<PlanObjectId>), PlanningError> {
        let mut passes: Vec<Pass<'_>> = Vec::new();
        for pass in &history.passed {
            if self.standing(&pass.commit).map_err(RepoContextError::from)? == Standing::Ancestor {
                let commit = pass.commit.as_str().parse().expect("it stands in this repository");
                passes.push((commit, pass));
            }
        }
        let mut by_commit: BTreeMap<usize, (ObjectId, BTreeSet<JobIndex>)> = BTreeMap::new();
        let mut rest = BTreeSet::new();
        for &job in self.catalog.jobs_of(lane) {
            let id = &self.catalog[job].id;
            match self.newest(&passes, id).map_err(RepoContextError::from)? {
                Some(pass) => {
                    let with = self.position(pass)?;
                    by_commit.entry(with).or_insert((pass.0, BTreeSet::new())).1.insert(job);
                }
                None => {
                    rest.insert(job);
                }
            }
        }
        // A job that was not there when its lane passed is new since then.
        for &with in by_commit.keys().copied().collect::<Vec<_>>().iter() {
            let changed = self.found.commits[with - 1].definition_changes.get(&lane);
            let Some(changed) = changed else { continue };
            let is_new = |job: &JobIndex| {
                changed.because.is_some() || changed.jobs.contains(&self.catalog[*job].id)
            };
            let new: Vec<JobIndex> = rest.iter().copied().filter(is_new).collect();
            for job in new {
                rest.remove(&job);
                by_commit.get_mut(&with).expect("it is one of the keys").1.insert(job);
            }
        }
        let mut oldest: Option<ObjectId> = None;
        for &(commit, _) in by_commit.values() {
            oldest = Some(match oldest {
                Some(known)
                    if !self
                        .ancestry
                        .is_newer(known, commit)
                        .map_err(RepoContextError::from)? =>
                {
                    known
                }
                _ => commit,
            });
        }
        let mut of_lane = OfLane::default();
        let (mut of_base, mut owing) = (BTreeSet::new(), BTreeSet::new());
        let mut not_passed = None;
        for job in rest {
            let id = &self.catalog[job].id;
            let known = self.not_passed(history, id)?;
            // A pass behind the cut of a shallow clone is one, but what came since is not here.
            let cut_off = self.ancestry.is_shallow()
                && history.passed.iter().any(|pass| pass.jobs.contains(id));
            if run || known.is_some() || history.forgotten || cut_off {
                owing.insert(job);
                not_passed = not_passed.or(known);
            } else {
                of_base.insert(job);
            }
        }
        if !owing.is_empty() {
            let because = match &not_passed {
                Some(_) => "it has not passed".to_owned(),
                None => "no pass of it is known at a commit that head builds upon".to_owned(),
            };
            of_lane.owed = Some((Owed { commit: not_passed, because }, owing));
        }
        if !of_base.is_empty() {
            by_commit.insert(0, (self.tree, of_base));
        }
        let whole = self.catalog.jobs_of(lane).len();
        if by_commit.is_empty() && of_lane.owed.is_none() {
            of_lane.parts.push(Part::default());
            return Ok((of_lane, None));
        }
        of_lane.parts = by_commit
            .into_iter()
            .map(|(with, (_, jobs))| Part { with, jobs: (jobs.len() < whole).then_some(jobs) })
            .collect();
        Ok((of_lane, oldest.map(PlanObjectId::from)))
    }

    /// The newest pass of a job. Of passes on branches that were merged since, neither of which
    /// builds upon the other, that of the later run.
    fn newest<'r>(
        &mut self,
        passes: &[Pass<'r>],
        job: &JobId,
    ) -> Result<Option<Pass<'r>>, GitError> {
        let mut best: Option<Pass<'r>> = None;
        for &pass in passes.iter().filter(|(_, run)| run.jobs.contains(job)) {
            best = Some(match best {
                None => pass,
                Some(best) if best.0 == pass.0 => {
                    // The same definitions as head's cost nothing to compare.
                    let same = |run: &LaneRun| run.definition == self.definition;
                    if same(pass.1) && !same(best.1) { pass } else { best }
                }
                Some(best) if self.ancestry.is_newer(pass.0, best.0)? => pass,
                Some(best) => best,
            });
        }
        Ok(best)
    }

    /// The newest known commit at which a job was to run and has not passed, where head may build
    /// upon it.
    fn not_passed(
        &mut self,
        history: &LaneHistory,
        job: &JobId,
    ) -> Result<Option<PlanObjectId>, PlanningError> {
        for run in history.owed.iter().filter(|run| run.jobs.contains(job)) {
            let standing = self.standing(&run.commit).map_err(RepoContextError::from)?;
            if standing != Standing::Elsewhere {
                return Ok(Some(run.commit.clone()));
            }
        }
        Ok(None)
    }

    /// Returns the position of a commit's comparison, made when it is first asked for.
    fn position(&mut self, (commit, run): Pass<'_>) -> Result<usize, PlanningError> {
        let key = (commit, run.definition.clone());
        if let Some(&known) = self.positions.get(&key) {
            return Ok(known);
        }
        let tree = self.repository.tree_of(commit).map_err(RepoContextError::from)?;
        let changes = match self.changes.get(&tree) {
            Some(known) => known.clone(),
            None => {
                let found = self.repository.changes_between(Some(tree), self.tree);
                let found = found.map_err(RepoContextError::from)?.into_vec();
                self.changes.entry(tree).or_insert(found).clone()
            }
        };
        let by_lane = self.definition_changes(tree, &run.definition)?;
        let mut differing = DefinitionChanges { by_lane };
        // Manifests of packages are no files of the definitions, and what they say may differ.
        if follows_packages(self.catalog) && run.definition == self.definition {
            match definitions_of(self.context, self.request, tree)? {
                Ok((then, _)) => differing.compare(&then, self.catalog),
                Err(why) => differing.everything(self.catalog, &why),
            }
        }
        let before = self.context.tree(tree).expect("a pass is of a repository");
        let after = self.context.planned_tree();
        changed::locks(&mut differing, &before, &after, self.catalog, &changes)?;
        let definition_changes = differing.by_lane;
        self.found.commits.push(PassedCommit {
            since: Since { commit: Some(commit.into()), passed: true },
            changes,
            definition_changes,
        });
        let position = self.found.commits.len();
        self.positions.insert(key, position);
        Ok(position)
    }

    /// What differs from the definitions with which a lane passed.
    fn definition_changes(
        &mut self,
        tree: ObjectId,
        definition: &str,
    ) -> Result<BTreeMap<LaneIndex, DefinitionChanged>, PlanningError> {
        if definition == self.definition {
            return Ok(BTreeMap::new());
        }
        if let Some(known) = self.definitions.get(definition) {
            return Ok(known.clone());
        }
        let mut changes = DefinitionChanges::default();
        // The same definitions derive something else from another tree's packages.
        let mut follows = follows_packages(self.catalog);
        match definitions_of(self.context, self.request, tree)? {
            Ok((then, inputs)) if definition_digest(&inputs.ids) == definition => {
                follows |= follows_packages(&then);
                changes.compare(&then, self.catalog);
            }
            Ok(_) => {
                let why = "it passed with definitions that were made from other files";
                changes.everything(self.catalog, why);
            }
            Err(why) => changes.everything(self.catalog, &why),
        }
        if !follows {
            self.definitions.insert(definition.to_owned(), changes.by_lane.clone());
        }
        Ok(changes.by_lane)
    }
}

/// Whether a lane names packages, of which the definitions say nothing more than the name.
fn follows_packages(catalog: &Catalog) -> bool {
    catalog.lanes().iter().any(|lane| !lane.inputs.is_empty())
}
