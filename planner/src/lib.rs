//! Deciding what runs: changed paths and a catalog in, a plan out.
//!
//! [`plan`] is the whole of it, in numbered stages. Nothing here runs a job, opens a connection,
//! reads the environment or the clock: the same commits and the same request give the same bytes,
//! from any directory, on any machine. Where the answer is not certain there is none: a base that
//! cannot be found is an error with the command that brings it, never a smaller plan.
//!
//! | room | owns |
//! | --- | --- |
//! | [`git`] | the repository: base, head, trees, what differs |
//! | [`change_set`] | changed paths, also from a file |
//! | [`planned_tree`] | where manifest and catalog are read from |
//! | [`packages`] | what lanes derive from packages' manifests |
//! | [`shards`] | which files each part of a job's work gets |
//! | [`init`], [`import`] | the first definitions of a repository |
//! | [`backtest`] | the commits of a branch, replayed |
//! | [`passed`] | what each lane is compared with when it is known where lanes passed |
//! | [`definition_changes`] | what a change of manifest or catalog changes |
//! | [`mod@select`] | lanes and their reasons |
//! | [`mod@lower`] | nodes and edges |
//! | [`check`] | whether the files mean what their author meant |
//! | [`render`], [`diff`] | what people look at |
//! | [`export`] | the plan as the pipeline of another engine |

pub mod backtest;
mod cache_keys;
pub mod change_set;
pub mod check;
pub mod cli;
pub mod commands;
pub mod definition_changes;
pub mod diff;
pub mod event;
pub mod exit_code;
pub mod explain;
pub mod export;
pub mod git;
pub mod golden;
pub mod import;
pub mod init;
mod input_trees;
pub mod lower;
mod matches;
pub mod packages;
pub mod passed;
pub mod planned_tree;
mod prefetch;
pub mod render;
mod repo_context;
pub mod request;
pub mod scenario;
pub mod select;
pub mod shards;
mod submodules;
pub mod verbosity;

use std::collections::BTreeMap;

use lanes::{Catalog, Diagnostics};
use plans::{
    InvalidId, PASSED_INPUT, Plan, PlanError, PlanLane, PlanParts, Reason, Reuse, ScenarioName,
    Selection, SelectionMode, Source, Trigger,
};
use tracing::info;

use crate::{
    definition_changes::DefinitionChanges,
    git::Note,
    input_trees::InputTrees,
    lower::{Lowered, lower},
    passed::Comparisons,
    planned_tree::{Inputs, TreeError},
    prefetch::prefetch_changes,
    scenario::Scenario,
    select::{LaneSelection, Question, Scope, Selected, TriggerOf, select, select_among},
};
pub use crate::{
    repo_context::{Changed, RepoContext, RepoContextError},
    request::{ChangesFrom, DefinitionPaths, Request, RequestError, Wanted},
};

/// A plan and what is worth saying about how it came about.
#[derive(Debug)]
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// Notes for stderr.
    pub notes: Vec<Note>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanningError {
    /// Repository, head, base or the list of changes cannot be had.
    #[error(transparent)]
    RepoContext(#[from] RepoContextError),
    /// A file of the planned tree cannot be read.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// Manifest or catalog are wrong; the diagnostics say where.
    #[error("manifest or catalog are wrong")]
    Definitions(Box<Diagnostics>),
    /// A flag names what is not there.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A prepare node's id.
    #[error(transparent)]
    Id(#[from] InvalidId),
    /// The nodes do not make a plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

/// Everything that is decided before nodes are made.
pub struct Decision {
    /// Repository, head and planned tree.
    pub context: RepoContext,
    /// What can run, and when.
    pub catalog: Catalog,
    /// The files it is made of, with the ids of their content.
    pub inputs: Inputs,
    /// What changed, compared with the base.
    pub changed: Changed,
    /// What lanes are compared with instead, when it is known where they passed.
    pub comparisons: Comparisons,
    /// What was asked.
    pub question: Question,
    /// Which lanes, and why.
    pub selected: Selected,
}

/// Decides which lanes run.
///
/// # Errors
///
/// [`PlanningError`]; then nothing has been decided.
pub fn decide(request: &Request) -> Result<Decision, PlanningError> {
    // 1. Where are we: repository, head, and the tree being planned.
    let context = RepoContext::open(request)?;
    info!(root = %context.root().display(), worktree = request.worktree, "repository found");

    // 2. What can run, and when: manifest and catalog of that tree.
    let (definitions, prefetched) =
        prefetch_changes(&context, request, || context.definitions(&request.definitions));
    let (catalog, inputs) = definitions?;
    info!(files = inputs.ids.len(), lanes = catalog.lanes().len(), "definitions read");

    // 3. What changed: the base, and the differences to it; most often that is found meanwhile.
    let default_branch = catalog.rules().default_branch.as_deref();
    let changed = match prefetched.and_then(|prefetched| prefetched.with(default_branch)) {
        Some(changed) => changed,
        None => context.changes(request, default_branch),
    };
    let (changed, comparisons) = Comparisons::find(&context, request, &catalog, &inputs, changed)?;
    info!(
        changes = changed.changes.len(),
        scope = ?changed.scope,
        by_lane = comparisons.by_lane(),
        "changes found"
    );

    // 4. What of it changes the definitions themselves.
    let definition_changes =
        DefinitionChanges::find(&context, request, &catalog, &inputs, &changed)?;

    // 5. Which lanes, each with its reasons.
    let question = request.question(&catalog, &changed, definition_changes)?;
    let selected = select_among(&catalog, &comparisons, &changed, &question);
    info!(
        selected = selected.lanes.iter().filter(|lane| lane.selected).count(),
        uncovered = selected.uncovered.len(),
        "lanes selected"
    );

    Ok(Decision { context, catalog, inputs, changed, comparisons, question, selected })
}

/// Makes the plan for a request.
///
/// # Errors
///
/// [`PlanningError`]; then there is no plan.
pub fn plan(request: &Request) -> Result<Planned, PlanningError> {
    let decision = decide(request)?;
    let mut notes = decision.context.notes.clone();
    notes.extend(decision.changed.notes.iter().cloned());
    notes.extend(submodules::note(&decision.context.planned_tree()));
    let problems = decision.inputs.problems.iter();
    notes.extend(problems.filter_map(|it| it.note(&decision.catalog)).map(Note::Warning));
    let Decision { context, catalog, mut inputs, changed, comparisons, question, selected } =
        decision;
    let mut trees = context.in_git().map(|(repository, _, tree)| InputTrees::new(repository, tree));
    if let Some(file) = &request.passed {
        inputs.ids.insert(PASSED_INPUT.to_owned(), file.digest.clone());
    }
    let mut lowered = lowered(&catalog, &selected, trees.as_mut())?;
    if let Some((repository, _, tree)) = context.in_git() {
        cache_keys::name(repository, tree, &mut lowered.nodes)?;
    }
    let mut changed = changed;
    if let Source::Change(source) = &mut changed.source
        && lowered
            .nodes
            .iter()
            .any(|node| !node.spec.caches.is_empty() || node.spec.reuse != Reuse::Never)
    {
        source.cache_scope = context.cache_scope(request);
    }
    let plan =
        assemble(&catalog, lowered, inputs.ids, changed, &comparisons, &question, &selected)?;
    // 8. What decides each node's result.
    let head = match plan.source() {
        Source::Change(change) => change.head.clone(),
        Source::Scenario(_) => None,
    };
    let plan = plan.with_keys(|node| match &mut trees {
        Some(trees) => trees.seen(node, head.as_ref()).map(Some),
        None => Ok(None),
    })?;
    Ok(Planned { plan, notes })
}

/// Makes the plan for a scenario; the definitions have been read.
///
/// # Errors
///
/// [`PlanningError`] when the nodes do not make a plan.
pub fn plan_scenario(
    catalog: &Catalog,
    name: &ScenarioName,
    scenario: &Scenario,
) -> Result<Plan, PlanningError> {
    let changed = repo_context::scenario(scenario.trigger, name, &scenario.changes);
    let mut definition_changes = DefinitionChanges::default();
    packages::changed::unknown_locks(&mut definition_changes, catalog, &changed.changes);
    let question = Question {
        trigger: TriggerOf(scenario.trigger),
        scope: changed.scope.clone(),
        any_status: changed.any_status,
        definition_changes: definition_changes.by_lane,
        ..Question::default()
    };
    let selected = select(catalog, &changed.changes, &question);
    let base = Comparisons::default();
    let lowered = lowered(catalog, &selected, None)?;
    assemble(catalog, lowered, BTreeMap::new(), changed, &base, &question, &selected)
}

/// Makes the nodes of a decision, and names the trees that those with inputs see.
fn lowered(
    catalog: &Catalog,
    selected: &Selected,
    trees: Option<&mut InputTrees<'_>>,
) -> Result<Lowered, PlanningError> {
    // 6. Which nodes, with which edges, and which files they see.
    let mut lowered = lower(catalog, selected)?;
    match trees {
        Some(trees) => trees.name(&mut lowered.nodes)?,
        // A reviewed plan would differ with every file that joins a tree it is not about.
        None => lowered.nodes.iter_mut().for_each(|node| node.member.files = None),
    }
    info!(nodes = lowered.nodes.len(), "nodes made");
    Ok(lowered)
}

/// Makes the document of a decision.
///
/// # Errors
///
/// [`PlanningError`] when the nodes do not make a plan.
fn assemble(
    catalog: &Catalog,
    lowered: Lowered,
    inputs: BTreeMap<String, String>,
    changed: Changed,
    comparisons: &Comparisons,
    question: &Question,
    selected: &Selected,
) -> Result<Plan, PlanningError> {
    // 7. The document.
    let scenario = matches!(changed.source, Source::Scenario(_));
    let mut lanes: Vec<PlanLane> = selected
        .lanes
        .iter()
        .zip(lowered.of_lane)
        .map(|(selection, nodes)| plan_lane(catalog, selection, nodes))
        .collect();
    let listed = lanes.len();
    if scenario {
        lanes.retain(|lane| lane.selected);
    }
    let trigger = question.trigger.0;
    let changes = comparisons.union(&changed);
    let owed = lanes.iter().flat_map(|lane| &lane.reasons).any(|it| matches!(it, Reason::Owed(_)));
    let mode = match &question.scope {
        _ if trigger == Trigger::Manual => SelectionMode::Requested,
        Scope::UnknownBase(_) if comparisons.by_lane() => SelectionMode::Affected,
        Scope::All | Scope::UnknownBase(_) => SelectionMode::All,
        Scope::Changes if changes.is_empty() && !owed => SelectionMode::NoChange,
        Scope::Changes => SelectionMode::Affected,
    };
    Ok(Plan::new(PlanParts {
        source: changed.source,
        selection: Selection {
            trigger,
            mode,
            note: changed.note,
            lanes_not_listed: scenario.then_some((listed - lanes.len()) as u64),
        },
        inputs: if scenario { BTreeMap::new() } else { inputs },
        changes,
        uncovered: selected.uncovered.clone(),
        lanes,
        nodes: lowered.nodes,
    })?)
}

fn plan_lane(catalog: &Catalog, selection: &LaneSelection, nodes: Vec<plans::NodeId>) -> PlanLane {
    let lane = &catalog[selection.lane];
    PlanLane {
        id: lane.id.clone(),
        title: lane.title.clone(),
        target: match lane.work {
            lanes::Work::Target(target) => Some(catalog[target].id.clone()),
            lanes::Work::Command(_) => None,
        },
        selected: selection.selected,
        reasons: selection.reasons.clone(),
        nodes,
    }
}
