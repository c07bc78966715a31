//! GitHub workflows: `on.pull_request.paths`, `paths-ignore` and `dorny/paths-filter` become the
//! paths of lanes, `run` steps become jobs.

use std::collections::{BTreeMap, BTreeSet};

use saphyr::{LoadableYamlNode as _, Yaml};

use super::{
    ImportError,
    conditions::{self, Job, Workflow},
    dialect::github,
    filter::{self, Filter, Selects},
    formula::{Atom, Clause, Formula},
    lists, script,
    yaml::{get, pairs, text, texts},
};
use crate::init::draft::{Draft, LaneDraft};

/// Drafts lanes for workflows, given by name and text.
///
/// # Errors
///
/// [`ImportError`] for the first file that is no workflow.
pub fn import(files: &[(String, String)]) -> Result<Draft, ImportError> {
    import_from(files, &Tree { read: &|_| None, has_file: &|_| false })
}

/// Drafts lanes for workflows of a tree, in which their lists and the workflows they call are.
///
/// # Errors
///
/// [`ImportError`] for the first file that is no workflow.
pub fn import_from(files: &[(String, String)], tree: &Tree<'_>) -> Result<Draft, ImportError> {
    let mut draft = Draft {
        heading: vec![
            "When what runs. What can run is in catalog.toml.".to_owned(),
            String::new(),
            "Made from GitHub workflows. Comments say what could not be carried over; where there was".to_owned(),
            "a doubt, more runs. GitHub's default timeout of 6 hours is one hour here (see the base).".to_owned(),
        ],
        ..Draft::default()
    };
    for (file, text) in files {
        let error = |detail: String| ImportError { file: file.clone(), detail };
        let documents = Yaml::load_from_str(text).map_err(|found| error(found.to_string()))?;
        let root = documents.first().ok_or_else(|| error("it is empty".to_owned()))?;
        if get(root, "jobs").and_then(Yaml::as_mapping).is_none() {
            return Err(error("it has no `jobs`".to_owned()));
        }
        workflow(file, root, tree, &mut draft);
    }
    Ok(draft)
}

/// Which changes start a workflow.
enum Starts {
    Never,
    Always,
    For(Selects),
}

/// The tree that the workflows are in.
pub struct Tree<'a> {
    /// Gives the text of a file.
    pub read: &'a dyn Fn(&str) -> Option<String>,
    /// Whether a glob matches a file, a link or a submodule.
    pub has_file: &'a dyn Fn(&str) -> bool,
}

/// When a lane is selected.
#[derive(Clone, PartialEq, Eq)]
enum When {
    Always,
    For(Vec<Filter>),
}

/// Jobs that share a lane.
struct Group {
    when: When,
    /// Jobs whose lanes this one waits for, where they are selected.
    after: Vec<usize>,
    /// The lists that the lane is named after.
    words: Vec<String>,
    comment: Vec<String>,
    jobs: Vec<(usize, Vec<String>)>,
}

fn workflow(file: &str, root: &Yaml<'_>, tree: &Tree<'_>, draft: &mut Draft) {
    let stem = file.rsplit('/').next().unwrap_or(file);
    let stem = stem.trim_end_matches(".yml").trim_end_matches(".yaml").to_owned();
    let name = get(root, "name").and_then(text).unwrap_or_else(|| stem.clone());
    let mut comment = vec![format!("{name} ({file})")];
    let starts = starts(root, tree, &mut comment);
    let times = schedules(root);
    let by_change = !matches!(starts, Starts::Never);
    if !by_change && times.is_empty() {
        draft.closing.push(format!(
            "{file} is started by no change and no schedule and is not carried over."
        ));
        return;
    }
    if !times.is_empty() {
        when(&times, draft, &mut comment);
    }
    for (key, what) in [("concurrency", "`concurrency`"), ("defaults", "`defaults`")] {
        if get(root, key).is_some() {
            comment.push(format!("Not carried over: {what} of the workflow."));
        }
    }
    let called = called(root, tree);
    let workflow = model(root, &called, tree);
    let env = pairs(get(root, "env"));
    let mut left_out: BTreeSet<usize> = BTreeSet::new();
    let mut groups: Vec<Group> = Vec::new();
    for (at, job) in workflow.jobs.iter().enumerate() {
        if !job.called.is_empty() || only_lists(job) {
            left_out.insert(at);
            continue;
        }
        let runs = if by_change { workflow.runs(at) } else { Formula::Is(true) };
        let clauses = runs.clauses();
        if clauses.is_empty() {
            left_out.insert(at);
            draft
                .closing
                .push(format!("{file}: the job `{}` never runs and is left out.", job.key));
            continue;
        }
        let needs = job.needs.iter().flat_map(|&need| workflow.runs(need).clauses());
        let inherited: BTreeSet<Atom> = needs.flat_map(|clause| clause.matched).collect();
        let (when, words, notes) = selection(&workflow, &starts, &clauses, &inherited);
        let mut notes_of_job = Vec::new();
        let open: BTreeSet<&String> = clauses.iter().flat_map(|clause| &clause.open).collect();
        let condition = get(job.yaml, "if").and_then(text);
        if let Some(condition) = &condition
            && (!open.is_empty() || !by_change || clauses.iter().any(|it| it.matched.len() > 1))
        {
            let open: Vec<&str> = open.iter().map(|it| it.as_str()).collect();
            let part = if open.is_empty() {
                String::new()
            } else {
                format!(" Not decided: {}.", open.join(", "))
            };
            notes_of_job.push(format!(
                "Ran only if `{}`; here it runs with its lane.{part}",
                condition.trim()
            ));
        }
        let always = workflow.jobs[at].needs.iter().copied().filter(|&need| {
            by_change && !workflow.needs_success(at) && !implied(&workflow, need, &runs)
        });
        let after: Vec<usize> = always.collect();
        let mut lane_notes = notes;
        if !open.is_empty() {
            let open: Vec<&str> = open.iter().map(|it| it.as_str()).collect();
            lane_notes.push(format!("Not decided for the job `{}`: {}.", job.key, open.join(", ")));
        }
        let same = |it: &&mut Group| it.when == when && it.after == after;
        match groups.iter_mut().find(same) {
            Some(group) => {
                group.jobs.push((at, notes_of_job));
                group.comment =
                    filter::distinct([std::mem::take(&mut group.comment), lane_notes].concat());
            }
            None => groups.push(Group {
                when,
                after,
                words,
                comment: lane_notes,
                jobs: vec![(at, notes_of_job)],
            }),
        }
    }
    let mut ids: BTreeMap<usize, String> = BTreeMap::new();
    for (at, _) in groups.iter().flat_map(|group| &group.jobs) {
        let taken: BTreeSet<&String> = ids.values().collect();
        let plain = draft.fresh_id(&format!("{stem}-{}", workflow.jobs[*at].key));
        let fresh = (2..).map(|n| format!("{plain}-{n}"));
        let ours = std::iter::once(plain.clone()).chain(fresh).find(|id| !taken.contains(id));
        ids.insert(*at, ours.unwrap_or(plain));
    }
    let mut lane_of: BTreeMap<usize, String> = BTreeMap::new();
    let mut waiting: Vec<(usize, Vec<usize>)> = Vec::new();
    for group in groups {
        let mut lane = LaneDraft::default();
        let words = group.words.join("-");
        let gate = !group.after.is_empty();
        let first = &workflow.jobs[group.jobs[0].0].key;
        let wanted = match (gate, words.is_empty()) {
            (true, _) => format!("{stem}-{first}"),
            (_, true) => stem.clone(),
            (_, false) => format!("{stem}-{words}"),
        };
        lane.title = Some(match (gate, words.is_empty()) {
            (true, _) => format!("{name} ({first})"),
            (_, true) => name.clone(),
            (_, false) => format!("{name} ({})", group.words.join(", ")),
        });
        lane.description.clone_from(&name);
        lane.comment = [comment.clone(), group.comment].concat();
        let taken: BTreeMap<String, String> =
            ids.iter().map(|(at, id)| (at.to_string(), id.clone())).collect();
        lane.id = lane_id(draft, &wanted, &taken);
        lane.nightly = !by_change;
        for (at, notes) in &group.jobs {
            let (mut job, placeholder) = script::job(&workflow, *at, &env, gate);
            draft.placeholders += usize::from(placeholder);
            job.comment = [notes.clone(), job.comment].concat();
            job.id.clone_from(&ids[at]);
            let needs = workflow.jobs[*at].needs.iter().filter(|need| !group.after.contains(need));
            let needs = needs.flat_map(|&need| with_called(&workflow, need));
            job.needs =
                filter::distinct(needs.filter_map(|need| ids.get(&need).cloned()).collect());
            lane_of.insert(*at, lane.id.clone());
            lane.jobs.push(job);
        }
        let filters = match &group.when {
            When::Always => Vec::new(),
            When::For(filters) => filters.clone(),
        };
        let mut filters = filters.into_iter();
        if let Some(first) = filters.next() {
            lane.paths = Some(first.paths);
            lane.exclude = first.exclude;
            lane.statuses = first.statuses;
        }
        let again = (by_change && !times.is_empty()).then(|| LaneDraft {
            title: lane.title.as_ref().map(|title| format!("{title} (nightly)")),
            nightly: true,
            target_of: Some(lane.id.clone()),
            comment: vec![format!("The schedule of {name} ({file}).")],
            ..LaneDraft::default()
        });
        let (id, title) = (lane.id.clone(), lane.title.clone());
        waiting.push((draft.lanes.len(), group.after.clone()));
        draft.lanes.push(lane);
        // What one list of `paths` and `exclude` cannot say is another lane of the same target.
        for (number, filter) in (2..).zip(filters) {
            let more = LaneDraft {
                id: draft.fresh_id(&format!("{id}-{number}")),
                title: title.as_ref().map(|title| format!("{title} ({number})")),
                target_of: Some(id.clone()),
                comment: vec![format!("The same as `{id}`, for other changes.")],
                paths: Some(filter.paths),
                exclude: filter.exclude,
                statuses: filter.statuses,
                ..LaneDraft::default()
            };
            waiting.push((draft.lanes.len(), group.after.clone()));
            draft.lanes.push(more);
        }
        if let Some(again) = again {
            let id = draft.fresh_id(&format!("{id}-nightly"));
            draft.lanes.push(LaneDraft { id, ..again });
        }
    }
    for (lane, after) in waiting {
        let jobs = after.iter().flat_map(|&need| with_called(&workflow, need));
        let mut lanes: Vec<String> = jobs.filter_map(|job| lane_of.get(&job).cloned()).collect();
        let own = draft.lanes[lane].id.clone();
        let mut more: Vec<String> = draft
            .lanes
            .iter()
            .filter(|it| !it.nightly && it.target_of.as_ref().is_some_and(|of| lanes.contains(of)))
            .map(|it| it.id.clone())
            .collect();
        lanes.append(&mut more);
        draft.lanes[lane].after =
            filter::distinct(lanes).into_iter().filter(|id| *id != own).collect();
    }
}

/// A job, or the jobs that stand for the call it is.
fn with_called(workflow: &Workflow<'_>, job: usize) -> Vec<usize> {
    let called = &workflow.jobs[job].called;
    if called.is_empty() {
        vec![job]
    } else {
        called.iter().flat_map(|&it| with_called(workflow, it)).collect()
    }
}

/// Whether a job certainly runs when another does.
fn implied(workflow: &Workflow<'_>, need: usize, runs: &Formula) -> bool {
    let certain = workflow.runs(need);
    certain == Formula::Is(true) || certain == *runs
}

/// Whether a job does nothing but look for lists.
fn only_lists(job: &Job<'_>) -> bool {
    let steps = get(job.yaml, "steps").and_then(Yaml::as_sequence);
    let checkout = |step: &Yaml<'_>| {
        get(step, "uses").and_then(text).is_some_and(|uses| uses.starts_with("actions/checkout"))
    };
    !job.list_steps.is_empty()
        && steps.into_iter().flatten().all(|step| lists::is_step(step) || checkout(step))
}

/// The lane of some clauses: of each, one list that has to match, without what must not.
fn selection(
    workflow: &Workflow<'_>,
    starts: &Starts,
    clauses: &[Clause],
    inherited: &BTreeSet<Atom>,
) -> (When, Vec<String>, Vec<String>) {
    let mut filters: Vec<Filter> = Vec::new();
    let (mut words, mut notes, mut always) = (Vec::new(), Vec::new(), false);
    let own = match starts {
        Starts::For(selects) => Some(selects.clone()),
        _ => None,
    };
    for clause in clauses {
        let (matched, unmatched) = (&clause.matched, &clause.unmatched);
        let everything = |it: &&usize| {
            workflow.lists[**it].1.filters.iter().any(|filter| filter.paths == ["**"])
        };
        let chosen = matched
            .iter()
            // Its own list says more than one that something before it asked for.
            .find(|it| !everything(it) && !inherited.contains(it))
            .or_else(|| matched.iter().find(|it| !everything(it)))
            .or_else(|| matched.first());
        let mut selects = match chosen {
            Some(&list) => {
                let (name, selects) = &workflow.lists[list];
                words.push(name.clone());
                if own.is_some() {
                    notes.push(
                        "The workflow's own `paths` narrowed this further; here they do not."
                            .to_owned(),
                    );
                }
                let others = matched.iter().filter(|it| **it != list);
                notes.extend(others.map(|it| {
                    format!(
                        "The list `{}` had to match too; here it does not.",
                        workflow.lists[*it].0
                    )
                }));
                selects.clone()
            }
            None => match &own {
                Some(own) => own.clone(),
                None if unmatched.is_empty() => {
                    always = true;
                    Selects::default()
                }
                None => Selects {
                    filters: vec![Filter { paths: vec!["**".to_owned()], ..Filter::default() }],
                    ..Selects::default()
                },
            },
        };
        for list in unmatched {
            let (name, of) = &workflow.lists[*list];
            if chosen.is_none() {
                words.push(format!("not-{name}"));
            }
            notes.push(format!(
                "It ran when no change was in the list `{name}`; here it runs unless every change is."
            ));
            selects = selects.without(&of.surely);
        }
        notes.extend(selects.notes);
        filters.extend(selects.filters);
    }
    let words = filter::distinct(words);
    let notes = filter::distinct(notes);
    if always {
        return (When::Always, Vec::new(), notes);
    }
    filters.retain(|filter| !filter.paths.is_empty());
    if filters.is_empty() {
        filters.push(Filter::default());
    }
    (When::For(filter::merged(filters)), words, notes)
}

/// The workflows of the tree that some jobs call, by path.
fn called(root: &Yaml<'_>, tree: &Tree<'_>) -> BTreeMap<String, Yaml<'static>> {
    let mut found: BTreeMap<String, Yaml<'static>> = BTreeMap::new();
    let mut open: Vec<String> = calls(root);
    while let Some(path) = open.pop() {
        if found.contains_key(&path) || found.len() > 200 {
            continue;
        }
        let documents = (tree.read)(&path).and_then(|text| {
            Yaml::load_from_str(&text)
                .ok()
                .map(|list| list.into_iter().map(own).collect::<Vec<Yaml<'static>>>())
        });
        if let Some(document) = documents.and_then(|list| list.into_iter().next()) {
            open.extend(calls(&document));
            found.insert(path, document);
        }
    }
    found
}

/// A document that borrows nothing.
fn own(node: Yaml<'_>) -> Yaml<'static> {
    use saphyr::Scalar;
    match node {
        Yaml::Value(Scalar::String(text)) => Yaml::Value(Scalar::String(text.into_owned().into())),
        Yaml::Value(Scalar::Null) => Yaml::Value(Scalar::Null),
        Yaml::Value(Scalar::Boolean(value)) => Yaml::Value(Scalar::Boolean(value)),
        Yaml::Value(Scalar::Integer(value)) => Yaml::Value(Scalar::Integer(value)),
        Yaml::Value(Scalar::FloatingPoint(value)) => Yaml::Value(Scalar::FloatingPoint(value)),
        Yaml::Sequence(list) => Yaml::Sequence(list.into_iter().map(own).collect()),
        Yaml::Mapping(pairs) => {
            Yaml::Mapping(pairs.into_iter().map(|(key, value)| (own(key), own(value))).collect())
        }
        Yaml::Tagged(_, inside) => own(*inside),
        Yaml::Representation(text, ..) => Yaml::Value(Scalar::String(text.into_owned().into())),
        Yaml::Alias(_) | Yaml::BadValue => Yaml::BadValue,
    }
}

fn calls(root: &Yaml<'_>) -> Vec<String> {
    let jobs = get(root, "jobs").and_then(Yaml::as_mapping).into_iter().flatten();
    jobs.filter_map(|(_, job)| call_of(job)).collect()
}

fn call_of(job: &Yaml<'_>) -> Option<String> {
    let uses = get(job, "uses").and_then(text)?;
    uses.strip_prefix("./").map(str::to_owned)
}

/// The jobs of a workflow and of those it calls, with their lists.
fn model<'a>(
    root: &'a Yaml<'a>,
    called: &'a BTreeMap<String, Yaml<'static>>,
    tree: &Tree<'_>,
) -> Workflow<'a> {
    let mut jobs: Vec<Job<'a>> = Vec::new();
    let mut all: Vec<(String, Selects)> = Vec::new();
    collect(root, None, 0, called, tree, &mut jobs, &mut all);
    let on = get(root, "on");
    let events = on.map(|on| {
        on.as_mapping()
            .map_or_else(|| texts(Some(on)), |events| events.keys().filter_map(text).collect())
    });
    Workflow::new(jobs, all, events.unwrap_or_default())
}

fn collect<'a>(
    root: &'a Yaml<'a>,
    caller: Option<usize>,
    depth: usize,
    called: &'a BTreeMap<String, Yaml<'static>>,
    tree: &Tree<'_>,
    jobs: &mut Vec<Job<'a>>,
    all: &mut Vec<(String, Selects)>,
) {
    let first = jobs.len();
    let own = get(root, "jobs").and_then(Yaml::as_mapping).into_iter().flatten();
    for (id, yaml) in own {
        let Some(id) = text(id) else { continue };
        let key = caller.map_or_else(|| id.clone(), |caller| format!("{}/{id}", jobs[caller].key));
        let mut list_steps = BTreeMap::new();
        let steps = get(yaml, "steps").and_then(Yaml::as_sequence).into_iter().flatten();
        for (place, step) in steps.enumerate().filter(|(_, step)| lists::is_step(step)) {
            let step = lists::read(step, tree.read, tree.has_file);
            let start = all.len();
            all.extend(step.lists.iter().cloned());
            list_steps.insert(place, (step, start));
        }
        jobs.push(Job {
            key,
            yaml,
            caller,
            needs: Vec::new(),
            called: Vec::new(),
            called_outputs: Vec::new(),
            list_steps,
            inputs: BTreeMap::new(),
        });
    }
    let last = jobs.len();
    for at in first..last {
        let names = conditions::need_names(jobs[at].yaml);
        let by_name =
            |job: &usize| names.iter().any(|name| jobs[*job].key.rsplit('/').next() == Some(name));
        jobs[at].needs = (first..last).filter(by_name).collect();
    }
    for at in first..last {
        let Some(other) =
            call_of(jobs[at].yaml).and_then(|path| called.get(&path)).filter(|_| depth < 4)
        else {
            continue;
        };
        let start = jobs.len();
        collect(other, Some(at), depth + 1, called, tree, jobs, all);
        let own = (start..jobs.len()).filter(|&job| jobs[job].caller == Some(at)).collect();
        jobs[at].called = own;
        let call = get(other, "on").and_then(|on| get(on, "workflow_call"));
        let values = |key: &str, of: &str| -> Vec<(String, Option<String>)> {
            let list = call.and_then(|call| get(call, key)).and_then(Yaml::as_mapping);
            list.into_iter()
                .flatten()
                .filter_map(|(name, it)| Some((text(name)?, get(it, of).and_then(text))))
                .collect()
        };
        jobs[at].inputs = values("inputs", "default").into_iter().collect();
        let outputs = values("outputs", "value").into_iter();
        jobs[at].called_outputs = outputs.filter_map(|(name, it)| Some((name, it?))).collect();
    }
}

/// A lane's id must be no job's, or the two would read alike in a plan.
fn lane_id(draft: &Draft, wanted: &str, jobs: &BTreeMap<String, String>) -> String {
    let fresh = draft.fresh_id(wanted);
    if jobs.values().any(|job| *job == fresh) {
        draft.fresh_id(&format!("{wanted}-lane"))
    } else {
        fresh
    }
}

/// The times at which a workflow starts, as cron writes them.
fn schedules(root: &Yaml<'_>) -> Vec<String> {
    let list = get(root, "on").and_then(|on| get(on, "schedule")).and_then(Yaml::as_sequence);
    let crons = list.into_iter().flatten().filter_map(|one| get(one, "cron"));
    crons.filter_map(text).collect()
}

/// Takes the time of day of the first schedule that has one; says which others there were. All
/// nightly lanes start together here, and nothing here runs a clock.
fn when(times: &[String], draft: &mut Draft, comment: &mut Vec<String>) {
    let daily = |cron: &String| {
        let fields: Vec<&str> = cron.split_whitespace().collect();
        let [minute, hour, "*", "*", "*"] = fields[..] else { return None };
        let (minute, hour): (u8, u8) = (minute.parse().ok()?, hour.parse().ok()?);
        (minute < 60 && hour < 24).then(|| format!("{hour:02}:{minute:02}"))
    };
    if draft.nightly_schedule_utc.is_none() {
        draft.nightly_schedule_utc = times.iter().find_map(daily);
    }
    let others: Vec<String> = times
        .iter()
        .filter(|cron| daily(cron).is_none() || daily(cron) != draft.nightly_schedule_utc)
        .map(|cron| format!("`{cron}`"))
        .collect();
    if !others.is_empty() {
        comment.push(format!(
            "Not carried over: it started at {}; all nightly lanes start together.",
            others.join(", ")
        ));
    }
}

fn starts(root: &Yaml<'_>, tree: &Tree<'_>, comment: &mut Vec<String>) -> Starts {
    let Some(on) = get(root, "on") else { return Starts::Never };
    let names = on
        .as_mapping()
        .map_or_else(|| texts(Some(on)), |events| events.keys().filter_map(text).collect());
    let events = ["pull_request", "pull_request_target", "merge_group", "push"];
    let Some(event) = events.into_iter().find(|event| names.iter().any(|name| name == event))
    else {
        return Starts::Never;
    };
    let others = names.iter().filter(|name| *name != event && *name != "schedule");
    let others: Vec<String> = others.map(|name| format!("`{name}`")).collect();
    if !others.is_empty() {
        comment.push(format!("Taken from `{event}`; not carried over: {}.", others.join(", ")));
    }
    let filter = get(on, event);
    for key in ["branches", "branches-ignore", "tags", "types"] {
        if filter.and_then(|filter| get(filter, key)).is_some() {
            comment.push(format!("Not carried over: `{key}` of `{event}`."));
        }
    }
    let list = |key: &str| filter.and_then(|filter| get(filter, key)).map(|list| texts(Some(list)));
    let signed = |pattern: String| match pattern.strip_prefix('!') {
        Some(rest) => (false, rest.to_owned()),
        None => (true, pattern),
    };
    let patterns: Vec<(bool, String)> = match (list("paths"), list("paths-ignore")) {
        (Some(paths), _) => paths.into_iter().map(signed).collect(),
        // What is ignored is everything taken back, in the same order.
        (None, Some(ignored)) => std::iter::once((true, "**".to_owned()))
            .chain(ignored.into_iter().map(signed).map(|(positive, it)| (!positive, it)))
            .collect(),
        (None, None) => return Starts::Always,
    };
    let selects = Selects::ordered(&patterns, &github::translate, tree.has_file);
    comment.extend(selects.notes.clone());
    Starts::For(Selects { notes: Vec::new(), ..selects })
}
