//! GitHub workflows: `on.pull_request.paths`, `paths-ignore` and `dorny/paths-filter` become the
//! paths of lanes, `run` steps become jobs.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ImportError, Tree, artifacts,
    calls::{called, model},
    conditions::{Job, Steps, Workflow},
    contexts::{FAILURE, SUCCESS},
    dialect::github,
    draft_of,
    filter::Selects,
    formula::{Atom, Formula},
    pipeline::{self, Entry, Pipeline},
    script::{self, Readable},
    selection::selection,
    values::{self, Output},
    yaml::{Node, get, line_of, load, pairs, text, texts},
};
use crate::init::draft::{CommandDraft, Draft};

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
            match get(&root, "jobs").and_then(Node::as_map) {
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

fn workflow(file: &str, root: &Node, tree: &Tree<'_>, draft: &mut Draft) {
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
    for (key, what) in [("concurrency", "`concurrency`"), ("permissions", "`permissions`")] {
        if let Some(line) = line_of(root, key) {
            comment.push(format!("Not carried over: {what} of the workflow (line {line})."));
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
    let defaults = get(root, "defaults");
    if let Some(line) = defaults.and_then(|it| get(it, "run")).and_then(|it| line_of(it, "shell")) {
        comment.push(format!("Not carried over: the default `shell` (line {line})."));
    }
    let repeated = |at: usize| {
        let strategy = get(workflow.jobs[at].yaml, "strategy");
        strategy.is_some_and(|it| get(it, "matrix").is_some())
    };
    let outputs: BTreeMap<usize, Vec<Output>> = (0..workflow.jobs.len())
        .map(|at| (at, values::outputs(&workflow, at, repeated(at))))
        .collect();
    let mut entries: Vec<Entry> = Vec::new();
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
                    "{file}: no change starts the job `{}` ({}); it is left out.",
                    job.key,
                    script::place(job.file.as_deref(), job.line)
                ));
                continue;
            }
            let needs = job.needs.iter().flat_map(|&need| workflow.runs(need).clauses());
            let inherited: BTreeSet<Atom> = needs.flat_map(|clause| clause.matched).collect();
            let own = own.filter(|_| !only_then);
            let (when, words, notes) = selection(&workflow.lists, own, &clauses, &inherited);
            let all: Vec<(usize, usize)> = needed(&workflow, at);
            let always = all.iter().copied().filter(|&(of, need)| {
                let reports = !workflow.needs_success(of) && !implied(&workflow, need, &runs);
                by_change && (reports || workflow.legs(need).is_some())
            });
            let after: Vec<usize> = always.map(|(_, need)| need).collect();
            let needs = all.iter().map(|(_, need)| *need).filter(|need| !after.contains(need));
            let needs: Vec<usize> = needs.collect();
            let pulled: Vec<usize> =
                needs.iter().flat_map(|&need| with_called(&workflow, need)).collect();
            let readable = Readable { outputs: &outputs, needs: &pulled };
            // One that waits for nothing in its own file starts as the call of it says.
            let of_call = || {
                let caller = job.caller.filter(|_| job.needs.is_empty())?;
                script::run_if(workflow.jobs[caller].yaml)
            };
            let run_if = script::run_if(job.yaml).or_else(of_call).filter(|_| after.is_empty());
            let mut notes_of_job = Vec::new();
            let open = clauses.iter().flat_map(|clause| &clause.open);
            // `run_if` says how the jobs that it needs ended, where it is there.
            let is_said = |it: &String| it == SUCCESS || run_if.is_some() && it == FAILURE;
            let open: BTreeSet<&String> = open.filter(|it| !is_said(it)).collect();
            let condition = get(job.yaml, "if").and_then(text);
            let at_if = place_of(job, "if");
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
                    "Ran only if `{}` ({at_if}); here it runs with its lane.{part}",
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
            let (mut draft_of, placeholder) =
                script::job(&workflow, at, &id, (&env, defaults), &leg, gate, &readable);
            draft_of.run_if = run_if;
            let known = |written: &str| workflow.known_text(&workflow.in_steps(at, &leg), written);
            let mut files = artifacts::of_steps(job.steps.list, job.file.as_deref(), &known);
            draft_of.comment.retain(|line| {
                let start = |action: &String| format!("Not carried over: the action `{action}` (");
                !files.actions.iter().any(|action| line.starts_with(&start(action)))
            });
            draft_of.comment.append(&mut files.comment);
            draft_of.artifacts = files.passed.globs();
            let key = leg.iter().fold(job.key.clone(), |key, (_, value)| format!("{key} {value}"));
            draft_of.comment = [notes_of_job, draft_of.comment].concat();
            place.entry(at).or_default().push(entries.len());
            entries.push(Entry {
                when,
                words,
                notes: lane_notes,
                placeholder,
                nightly: !by_change || only_then,
                needs,
                passed: files.passed,
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
        if let CommandDraft::Shell(script) = &mut entry.job.command {
            let of = |job: usize, name: &str| {
                let entry = place.get(&job).and_then(|all| all.first());
                values::token(entry.copied().unwrap_or(usize::MAX), name)
            };
            *script = values::linked(script, &of);
        }
    }
    artifacts::pass_on(&mut entries);
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

/// The jobs that one waits for, each with who says so; one that waits for nothing in its own file waits
/// for what the call of it waits for.
fn needed(workflow: &Workflow<'_>, at: usize) -> Vec<(usize, usize)> {
    let first = |of: &usize| !workflow.jobs[*of].needs.is_empty();
    let mut callers = std::iter::successors(Some(at), |&of| workflow.jobs[of].caller);
    let Some(of) = callers.find(first) else { return Vec::new() };
    workflow.jobs[of].needs.iter().map(|&need| (of, need)).collect()
}

/// Where a key of a job stands.
fn place_of(job: &Job<'_>, key: &str) -> String {
    script::place(job.file.as_deref(), line_of(job.yaml, key).unwrap_or(job.line))
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
    let checkout = |step: &Node| {
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
fn schedules(root: &Node) -> Vec<String> {
    let list = get(root, "on").and_then(|on| get(on, "schedule")).and_then(Node::as_list);
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

fn starts(root: &Node, tree: &Tree<'_>, comment: &mut Vec<String>) -> Starts {
    let Some(on) = get(root, "on") else { return Starts::Never };
    let names = on.as_map().map_or_else(
        || texts(Some(on)),
        |events| events.iter().filter_map(|(name, _)| text(name)).collect(),
    );
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
    let list = |key: &str| {
        let list = filter.and_then(|filter| get(filter, key)).map(|list| texts(Some(list)));
        // A list of nothing says nothing.
        list.filter(|list| !list.is_empty())
    };
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
