//! GitHub workflows: `on.pull_request.paths`, `paths-ignore` and `dorny/paths-filter` become the
//! paths of lanes, `run` steps become jobs.

use std::collections::{BTreeMap, BTreeSet};

use saphyr::Yaml;

use super::{
    ImportError, Tree,
    artifacts::{self, Artifacts, Files, overlap},
    calls::{called, model},
    conditions::{Steps, Workflow},
    contexts::{FAILURE, SUCCESS},
    dialect::github,
    draft_of,
    filter::{Selects, distinct},
    formula::{Atom, Formula},
    pipeline::{self, Entry, Pipeline},
    script,
    selection::selection,
    yaml::{get, load, pairs, text, texts},
};
use crate::init::draft::Draft;

/// Drafts lanes for workflows, given by name and text.
///
/// # Errors
///
/// [`ImportError`] for the first file if none is a workflow.
pub fn import(files: &[(String, String)]) -> Result<Draft, ImportError> {
    import_from(files, &Tree { paths: &[], read: &|_| None, has_file: &|_| false })
}

/// Drafts lanes for workflows of a tree, in which their lists and the workflows they call are.
///
/// # Errors
///
/// [`ImportError`] for the first file if none is a workflow.
pub fn import_from(files: &[(String, String)], tree: &Tree<'_>) -> Result<Draft, ImportError> {
    let mut draft = draft_of(
        "GitHub workflows",
        &["GitHub's default timeout of 6 hours is one hour here (see the base)."],
    );
    let mut refused = Vec::new();
    for (file, text) in files {
        let error = |detail: String| ImportError { file: file.clone(), detail };
        let read = load(text).map_err(error).and_then(|documents| {
            let root = documents.into_iter().next();
            let root = root.ok_or_else(|| error("it is empty".to_owned()))?;
            match get(&root, "jobs").and_then(Yaml::as_mapping) {
                Some(_) => Ok(root),
                None => Err(error("it has no `jobs`".to_owned())),
            }
        });
        match read {
            Ok(root) => workflow(file, &root, tree, &mut draft),
            Err(error) => refused.push(error),
        }
    }
    // One bad file is no reason to have nothing of the others.
    let all = refused.len() == files.len();
    for error in refused {
        if all {
            return Err(error);
        }
        draft.closing.push(format!("{error}; it is left out."));
        draft.left_out.push(error.to_string());
    }
    Ok(draft)
}

/// The events that a change brings, the one that says most first.
const CHANGES: [&str; 4] = ["pull_request", "pull_request_target", "merge_group", "push"];

/// Which changes start a workflow.
enum Starts {
    Never,
    Always,
    For(Selects),
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
    let mut workflow = model(root, &called, tree);
    let mut scheduled = model(root, &called, tree);
    scheduled.events = vec!["schedule".to_owned()];
    if by_change {
        // What no change brings does not come with one.
        workflow.events.retain(|event| CHANGES.contains(&event.as_str()));
    }
    let env = pairs(get(root, "env"));
    let mut entries: Vec<Entry> = Vec::new();
    let mut passed: Vec<Artifacts> = Vec::new();
    let mut place: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let own = match &starts {
        Starts::For(selects) => Some(selects),
        _ => None,
    };
    for (at, job) in workflow.jobs.iter().enumerate() {
        if !job.called.is_empty() || only_lists(&job.steps) {
            continue;
        }
        let by_schedule = !times.is_empty() && !scheduled.runs(at).clauses().is_empty();
        let whole = if by_change { workflow.runs(at) } else { Formula::Is(by_schedule) };
        // A schedule may start what no change does.
        let only_then = by_change && by_schedule && whole.clauses().is_empty();
        let whole = if only_then { Formula::Is(true) } else { whole };
        // A matrix of the lists that matched is a job for each list.
        let legs: Vec<(Vec<(String, String)>, Formula)> = match workflow.legs(at) {
            Some((axis, names)) if by_change && !only_then => names
                .into_iter()
                .map(|(name, list)| {
                    (vec![(axis.clone(), name)], whole.clone().and(Formula::List(list)))
                })
                .collect(),
            _ => vec![(Vec::new(), whole)],
        };
        for (leg, runs) in legs {
            let clauses = runs.clauses();
            if clauses.is_empty() {
                draft.closing.push(format!(
                    "{file}: no change starts the job `{}`; it is left out.",
                    job.key
                ));
                continue;
            }
            let needs = job.needs.iter().flat_map(|&need| workflow.runs(need).clauses());
            let inherited: BTreeSet<Atom> = needs.flat_map(|clause| clause.matched).collect();
            let own = own.filter(|_| !only_then);
            let (when, words, notes) = selection(&workflow.lists, own, &clauses, &inherited);
            let always = workflow.jobs[at].needs.iter().copied().filter(|&need| {
                let reports = !workflow.needs_success(at) && !implied(&workflow, need, &runs);
                by_change && (reports || workflow.legs(need).is_some())
            });
            let after: Vec<usize> = always.collect();
            let run_if = script::run_if(job.yaml).filter(|_| after.is_empty());
            let mut notes_of_job = Vec::new();
            let open = clauses.iter().flat_map(|clause| &clause.open);
            // `run_if` says how the jobs that it needs ended, where it is there.
            let is_said = |it: &String| it == SUCCESS || run_if.is_some() && it == FAILURE;
            let open: BTreeSet<&String> = open.filter(|it| !is_said(it)).collect();
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
            let mut lane_notes = notes;
            if !open.is_empty() {
                let open: Vec<&str> = open.iter().map(|it| it.as_str()).collect();
                lane_notes.push(format!(
                    "Not decided for the job `{}`: {}.",
                    job.key,
                    open.join(", ")
                ));
            }
            let gate = !after.is_empty();
            let id = pipeline::plain_id(&format!("{stem}-{}", job.key));
            let (mut draft_of, placeholder) = script::job(&workflow, at, &id, &env, &leg, gate);
            draft_of.run_if = run_if;
            let mut files = artifacts::of_steps(job.steps.list);
            let spoken: Vec<String> = files
                .actions
                .iter()
                .map(|action| format!("Not carried over: the action `{action}`."))
                .collect();
            draft_of.comment.retain(|line| !spoken.contains(line));
            draft_of.comment.append(&mut files.comment);
            draft_of.artifacts =
                distinct(files.kept.iter().flat_map(|kept| kept.paths.clone()).collect());
            let key = leg.iter().fold(job.key.clone(), |key, (_, value)| format!("{key} {value}"));
            draft_of.comment = [notes_of_job, draft_of.comment].concat();
            place.entry(at).or_default().push(entries.len());
            passed.push(files);
            entries.push(Entry {
                when,
                words,
                notes: lane_notes,
                placeholder,
                nightly: !by_change || only_then,
                needs: workflow.jobs[at]
                    .needs
                    .iter()
                    .copied()
                    .filter(|it| !after.contains(it))
                    .collect(),
                after,
                ..Entry::new(key, draft_of)
            });
        }
    }
    // So far by place in the workflow, calls among them; from here by place among the entries.
    let mapped = |list: &[usize]| {
        let all = list.iter().flat_map(|&need| with_called(&workflow, need));
        all.filter_map(|job| place.get(&job).cloned()).flatten().collect::<Vec<usize>>()
    };
    for entry in &mut entries {
        entry.gate = !entry.after.is_empty();
        entry.needs = mapped(&entry.needs);
        entry.after = mapped(&entry.after);
    }
    take(&mut entries, &passed);
    let schedule = format!("The schedule of {name} ({file}).");
    let again = (by_change && !times.is_empty()).then_some(schedule);
    let named = |entries: &[&Entry]| {
        let words = entries[0].words.join("-");
        if entries[0].nightly && by_change {
            return (format!("{stem}-scheduled"), format!("{name} (scheduled)"));
        }
        match (entries[0].gate, words.is_empty()) {
            (true, _) => {
                let first = &entries[0].key;
                (format!("{stem}-{first}"), format!("{name} ({first})"))
            }
            (_, true) => (stem.clone(), name.clone()),
            (_, false) => {
                (format!("{stem}-{words}"), format!("{name} ({})", entries[0].words.join(", ")))
            }
        }
    };
    let job_id = |key: &str| format!("{stem}-{key}");
    let pipeline =
        Pipeline { name: name.clone(), comment, again, entries, lane: &named, job_id: &job_id };
    pipeline::draft(pipeline, draft);
}

/// Lets each job have the files that jobs which it needs keep for it.
fn take(entries: &mut [Entry], passed: &[Artifacts]) {
    for at in 0..entries.len() {
        for taken in &passed[at].taken {
            let to = taken.paths.concat();
            let keeps = |&&need: &&usize| {
                let named = |kept: &&Files| kept.name == taken.name;
                passed[need].kept.iter().any(|kept| named(&kept))
            };
            let why = match entries[at].needs.iter().filter(keeps).collect::<Vec<_>>()[..] {
                [] => "no job that it needs keeps one of that name".to_owned(),
                [&need] if !entries[need].job.members.is_empty() => {
                    "each combination keeps one".to_owned()
                }
                [&need] => {
                    let kept = passed[need].kept.iter().filter(|kept| kept.name == taken.name);
                    let globs = distinct(kept.flat_map(|kept| kept.paths.clone()).collect());
                    let other = entries[at].takes.iter().find(|(.., it)| overlap(it, &to));
                    match other {
                        Some((.., it)) => format!("`{it}` has files of another one"),
                        None => {
                            entries[at].takes.push((need, globs, to));
                            continue;
                        }
                    }
                }
                _ => "several jobs keep one of that name".to_owned(),
            };
            entries[at].job.comment.push(format!(
                "Not carried over: the files of the artifact `{}`: {why}.",
                taken.name
            ));
        }
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

/// Whether some steps do nothing but look for lists.
fn only_lists(steps: &Steps<'_>) -> bool {
    let checkout = |step: &Yaml<'_>| {
        get(step, "uses").and_then(text).is_some_and(|uses| uses.starts_with("actions/checkout"))
    };
    (!steps.lists.is_empty() || !steps.actions.is_empty())
        && steps.list.iter().enumerate().all(|(place, step)| {
            steps.lists.contains_key(&place)
                || steps.actions.get(&place).is_some_and(|action| only_lists(&action.steps))
                || checkout(step)
        })
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
    let Some(event) = CHANGES.into_iter().find(|event| names.iter().any(|name| name == event))
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
