//! Flags and environment, resolved into one value; asked of nothing twice.

use std::{collections::BTreeMap, path::PathBuf};

use lanes::{Catalog, LaneIndex, Work};
use plans::{JobId, LaneId, TargetId, Trigger};

use crate::{
    definition_changes::DefinitionChanges,
    event::{Event, EventKind},
    git::BaseRequest,
    passed::PassedFile,
    repo_context::Changed,
    select::{Question, Scope, TriggerOf, is_of},
};

/// What is to be planned.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The directory to start from.
    pub dir: PathBuf,
    /// Where manifest and catalog are.
    pub definitions: DefinitionPaths,
    /// Which change.
    pub changes: ChangesFrom,
    /// The commit to plan; nothing: `HEAD`.
    pub head: Option<String>,
    /// Plan the work tree instead of a commit.
    pub worktree: bool,
    /// A base that cannot be determined plans everything instead of nothing.
    pub run_all_on_unknown_base: bool,
    /// Where lanes passed: each is compared with its own commit.
    pub passed: Option<PassedFile>,
    /// What the engine says about the run.
    pub event: Option<Event>,
    /// The remote whose branches count; nothing: `origin`, or the only one.
    pub remote: Option<String>,
    /// Whose lanes, and what flags name.
    pub wanted: Wanted,
}

/// Where manifest and catalog are, from the repository's root.
#[derive(Debug, Clone)]
pub struct DefinitionPaths {
    /// The manifest.
    pub manifest: String,
    /// The catalog; it may be missing when no lane names a target.
    pub catalog: String,
}

impl Default for DefinitionPaths {
    fn default() -> Self {
        Self { manifest: "ci/forge-lanes.toml".to_owned(), catalog: "ci/catalog.toml".to_owned() }
    }
}

/// Where the change set comes from.
#[derive(Debug, Clone)]
pub enum ChangesFrom {
    /// A comparison with a base.
    Base(BaseRequest),
    /// A list of paths.
    List(Vec<u8>),
    /// Nowhere: everything is wanted.
    All,
    /// A scenario file.
    Scenario {
        /// Its name, from the file's.
        name: plans::ScenarioName,
        /// Its changes.
        changes: Vec<plans::Change>,
    },
}

impl Default for ChangesFrom {
    fn default() -> Self {
        Self::Base(BaseRequest::Default)
    }
}

/// Whose lanes, and what flags name beside them.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Whose lanes.
    pub trigger: Trigger,
    /// Lanes by id.
    pub lanes: Vec<LaneId>,
    /// Targets by id.
    pub targets: Vec<TargetId>,
    /// Jobs by id.
    pub jobs: Vec<JobId>,
    /// Every lane of either list, as if each were named.
    pub every_lane: bool,
}

impl Default for Wanted {
    fn default() -> Self {
        Self {
            trigger: Trigger::Branch,
            lanes: Vec::new(),
            targets: Vec::new(),
            jobs: Vec::new(),
            every_lane: false,
        }
    }
}

/// A flag names what the catalog does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {what} `{id}`")]
pub struct RequestError {
    what: &'static str,
    id: String,
    near: Option<String>,
}

impl RequestError {
    /// Returns what to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        let list = format!("`planner list {}s` shows all", self.what);
        match &self.near {
            Some(near) => format!("did you mean `{near}`? {list}"),
            None => list,
        }
    }
}

/// Makes the error for an id that is not there, with the nearest that is.
pub(crate) fn missing<'a>(
    what: &'static str,
    id: &str,
    known: impl Iterator<Item = &'a str>,
) -> RequestError {
    let near = known
        .map(|known| (strsim::damerau_levenshtein(id, known), known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 3)
        .map(|(_, known)| known.to_owned());
    RequestError { what, id: id.to_owned(), near }
}

impl Request {
    /// Returns whether every nightly lane runs, because no flag names what to compare with.
    pub(crate) fn is_nightly(&self) -> bool {
        matches!(self.changes, ChangesFrom::Base(BaseRequest::Default))
            && self.wanted.trigger == Trigger::Nightly
    }

    /// Returns the event of a clock, which leaves what runs to the trigger; a flag overrules it.
    pub(crate) fn schedule(&self) -> Option<&Event> {
        let no_flag = matches!(self.changes, ChangesFrom::Base(BaseRequest::Default));
        self.event.as_ref().filter(|event| no_flag && event.kind == EventKind::Schedule)
    }

    /// Resolves the names that flags gave, and puts the question.
    ///
    /// # Errors
    ///
    /// [`RequestError`] for a name that is not there.
    pub(crate) fn question(
        &self,
        catalog: &Catalog,
        changed: &Changed,
        definition_changes: DefinitionChanges,
    ) -> Result<Question, RequestError> {
        let trigger = self.wanted.trigger;
        let mut question = Question {
            trigger: TriggerOf(trigger),
            definition_changes: definition_changes.by_lane,
            any_status: changed.any_status,
            scope: changed.scope.clone(),
            ..Question::default()
        };
        if self.wanted.every_lane {
            question.lanes.extend(catalog.lane_indices());
        }
        for id in &self.wanted.lanes {
            let known = || catalog.lanes().iter().map(|lane| lane.id.as_str());
            let lane =
                catalog.lane(id.as_str()).ok_or_else(|| missing("lane", id.as_str(), known()))?;
            question.lanes.insert(lane);
        }
        let mut by_target: BTreeMap<usize, Vec<LaneIndex>> = BTreeMap::new();
        if !self.wanted.targets.is_empty() {
            let in_question = |index: &LaneIndex| is_of(catalog, trigger, *index);
            for index in catalog.lane_indices().filter(in_question) {
                if let Work::Target(target) = catalog[index].work {
                    by_target.entry(target.position()).or_default().push(index);
                }
            }
        }
        for id in &self.wanted.targets {
            let known = || catalog.targets().iter().map(|target| target.id.as_str());
            let target = catalog
                .target(id.as_str())
                .ok_or_else(|| missing("target", id.as_str(), known()))?;
            match by_target.get(&target.position()) {
                Some(lanes) => question.lanes_of_targets.extend(lanes),
                None => question.jobs.extend(&catalog[target].jobs),
            }
        }
        for id in &self.wanted.jobs {
            let jobs = catalog
                .jobs_named(id.as_str())
                .ok_or_else(|| missing("job", id.as_str(), catalog.job_ids()))?;
            question.jobs.extend(jobs);
        }
        if matches!(question.scope, Scope::Changes) && trigger == Trigger::Manual {
            question.definition_changes.clear();
        }
        Ok(question)
    }
}
