//! taskgraph's kinds: `files-changed` and `skip-unless-changed` become the paths of lanes, tasks
//! become jobs.
//!
//! By taskgraph's documentation and source: `tasks` and `tasks-from` over `task-defaults`; `when`
//! also asks for the kind's own directory; a task that another needs runs with it, and a change to
//! what a task needs does not run the task. Transforms of a project are programs and are not run:
//! what they may change is undecided.

use serde_json::{Map, Value};

use super::{
    ImportError, Tree,
    dialect::{Translation, taskgraph},
    document::{last_of, merge, of_file, text, texts},
    draft_of,
    formula::Formula,
    listed::{self, Job, Lists},
    pipeline::{self, Entry, Pipeline},
};
use crate::init::draft::Draft;

/// Drafts lanes for the kinds of a tree.
///
/// # Errors
///
/// [`ImportError`] for the first file that cannot be read, or when there is none.
pub fn import(tree: &Tree<'_>) -> Result<Draft, ImportError> {
    let kinds: Vec<&String> = tree
        .paths
        .iter()
        .filter(|path| {
            let parts: Vec<&str> = path.split('/').collect();
            matches!(parts.as_slice(), ["taskcluster", "kinds" | "ci", _, "kind.yml"])
        })
        .collect();
    if kinds.is_empty() {
        return Err(super::nothing("taskcluster/kinds/NAME/kind.yml"));
    }
    let mut draft = draft_of("taskgraph's kinds", &[]);
    let mut lists = Lists::new(tree);
    let mut entries: Vec<Entry> = Vec::new();
    let mut waits: Vec<(String, Vec<String>)> = Vec::new();
    for file in kinds {
        let config = of_file(tree, file)?;
        let directory = file.trim_end_matches("/kind.yml");
        let kind = directory.rsplit('/').next().unwrap_or(directory).to_owned();
        let own = texts(config.get("transforms"));
        let own = own.iter().filter(|it| !it.starts_with("taskgraph.")).count();
        for (name, from, task) in tasks(directory, &config, tree, &mut draft)? {
            let label = format!("{kind}-{name}");
            let mut job = job(&task);
            if own > 0 {
                job.comment.push(
                    "Programs of the project changed it before it ran (`transforms`).".to_owned(),
                );
            }
            let runs = runs(&label, (directory, &from), &task, &mut lists);
            let Some(mut entry) = lists.entry(&label, &runs, job) else { continue };
            entry.part = Some(kind.clone());
            let needs = task.get("dependencies").and_then(Value::as_object);
            let needs =
                needs.into_iter().flatten().filter_map(|(_, it)| super::document::text_of(it));
            waits.push((label, needs.collect()));
            entries.push(entry);
        }
    }
    let (mut entries, before) = listed::ordered_by_key(entries, &waits);
    // What is needed is pulled in, whatever changed.
    for (entry, needs) in entries.iter_mut().zip(before) {
        entry.needs = needs;
    }
    for (label, needs) in &waits {
        let lost: Vec<&String> =
            needs.iter().filter(|need| !waits.iter().any(|(known, _)| known == *need)).collect();
        let entry = entries.iter_mut().find(|entry| entry.key == *label);
        if let (Some(entry), false) = (entry, lost.is_empty()) {
            let lost: Vec<&str> = lost.into_iter().map(String::as_str).collect();
            entry
                .job
                .comment
                .push(format!("It needed `{}`, which is not here.", lost.join("`, `")));
        }
    }
    let pipeline = Pipeline::new("taskgraph's tasks", entries);
    pipeline::draft(pipeline, &mut draft);
    Ok(draft)
}

/// The tasks of a kind: name, file, and what is said of it.
fn tasks(
    directory: &str,
    config: &Value,
    tree: &Tree<'_>,
    draft: &mut Draft,
) -> Result<Vec<(String, String, Value)>, ImportError> {
    let defaults = config.get("task-defaults").or_else(|| config.get("job-defaults"));
    let merged = |under: Option<&Value>, over: &Value| {
        let mut all = under.cloned().unwrap_or_else(|| Value::Object(Map::new()));
        combine(&mut all, over.clone());
        all
    };
    let mut found = Vec::new();
    for key in ["tasks", "jobs"] {
        for (name, task) in config.get(key).and_then(Value::as_object).into_iter().flatten() {
            found.push((name.clone(), "kind.yml".to_owned(), merged(defaults, task)));
        }
    }
    for file in [texts(config.get("tasks-from")), texts(config.get("jobs-from"))].concat() {
        let path = format!("{directory}/{file}");
        let Some(written) = (tree.read)(&path) else {
            draft.closing.push(format!("`{path}`, which has tasks, is not in the tree."));
            continue;
        };
        let inside = last_of(&path, &written)?;
        let own = ["task-defaults", "job-defaults"].iter().find_map(|key| inside.get(*key));
        let all = own.map(|own| merged(defaults, own)).or_else(|| defaults.cloned());
        for (name, task) in inside.as_object().into_iter().flatten() {
            if !["task-defaults", "job-defaults"].contains(&name.as_str()) {
                found.push((name.clone(), file.clone(), merged(all.as_ref(), task)));
            }
        }
    }
    if found.is_empty() {
        draft.closing.push(format!(
            "{directory}/kind.yml names no tasks: a program of the project makes them, and they are not carried over."
        ));
    }
    Ok(found)
}

/// Mappings key by key, lists one behind the other.
fn combine(under: &mut Value, over: Value) {
    match (under, over) {
        (Value::Object(under), Value::Object(over)) => {
            for (key, value) in over {
                match under.get_mut(&key) {
                    Some(known) => combine(known, value),
                    None => {
                        under.insert(key, value);
                    }
                }
            }
        }
        (Value::Array(under), Value::Array(over)) => under.extend(over),
        (under, over) => merge(under, over),
    }
}

/// When a task runs.
fn runs(
    label: &str,
    (directory, from): (&str, &str),
    task: &Value,
    lists: &mut Lists<'_>,
) -> Formula {
    let when = task.get("when").and_then(|when| when.get("files-changed"));
    let strategy = task.get("optimization").and_then(Value::as_object);
    let (patterns, mut more) = match (when, strategy) {
        (Some(when), _) => {
            let mut more = vec![format!("{directory}/**")];
            if from != "kind.yml" {
                more.push(format!("{directory}/{from}"));
            }
            (when, more)
        }
        (None, Some(strategy)) => match strategy.iter().next() {
            Some((name, patterns)) if name == "skip-unless-changed" => (patterns, Vec::new()),
            Some((name, _)) => return Formula::Maybe(format!("`optimization: {name}`")),
            None => return Formula::Is(true),
        },
        (None, None) => return Formula::Is(true),
    };
    // A value by platform or project is a mapping.
    if !patterns.is_array()
        || texts(Some(patterns)).len() != patterns.as_array().map_or(0, Vec::len)
    {
        return Formula::Maybe(format!("the paths of `{label}`, which depend on something"));
    }
    let mut all = texts(Some(patterns));
    all.append(&mut more);
    // A file is no directory, as long as it is one.
    let has_file = lists.tree.has_file;
    let translate = |pattern: &str| {
        let found = taskgraph::translate(pattern);
        let is_file = found.itself.iter().any(|it| has_file(it));
        if is_file {
            Translation { same: Some(found.itself), ..Translation::default() }
        } else {
            found
        }
    };
    lists.patterns(label, &all, &[], &translate)
}

fn job(task: &Value) -> Job {
    let mut job = Job { title: text(task, "description"), ..Job::default() };
    if let Some(title) = &mut job.title {
        *title = title.trim().to_owned();
    }
    let run = task.get("run");
    let command = run.and_then(|run| run.get("command"));
    job.lines = texts(command);
    if command.is_some_and(Value::is_array) {
        job.argv = std::mem::take(&mut job.lines);
    }
    if let Some(using) = run.and_then(|run| text(run, "using")).filter(|it| it != "run-task") {
        job.comment.push(format!("Not carried over: `run.using: {using}`."));
    }
    let worker = task.get("worker");
    if let Some(image) = worker.and_then(|it| it.get("docker-image")) {
        job.comment.push(format!("Ran in the image {image}."));
    }
    let env = worker.and_then(|it| it.get("env")).and_then(Value::as_object);
    let env = env.into_iter().flatten();
    job.env = env
        .filter_map(|(name, value)| Some((name.clone(), super::document::text_of(value)?)))
        .collect();
    job.timeout_secs =
        worker.and_then(|it| text(it, "max-run-time")).and_then(|it| it.parse().ok());
    job.left_out(
        task,
        &[
            "matrix",
            "fetches",
            "attributes",
            "run-on-projects",
            "run-on-tasks-for",
            "run-on-git-branches",
            "if-dependencies",
            "from-deps",
            "soft-dependencies",
            "scopes",
            "index",
        ],
    );
    job
}
