//! Woodpecker's workflows: `when.path` becomes the paths of lanes.
//!
//! By Woodpecker's documentation and source: of several `when`, one has to hold; a change runs when
//! one of its paths is included and not all of them are excluded. Steps of a workflow share a
//! directory, so they stay together in one job; steps with paths of their own are a job each, with
//! the steps before them that always run.

use serde_json::Value;

use super::{
    ImportError, Tree,
    dialect::doublestar,
    document::{of_file, text, text_of, texts},
    draft_of,
    filter::distinct,
    formula::Formula,
    listed::{self, Job, Lists},
    matrix,
    pipeline::{self, Entry, Pipeline},
    shell::{self, When},
};
use crate::init::draft::Draft;

/// Drafts lanes for the workflows of a tree.
///
/// # Errors
///
/// [`ImportError`] for the first file that cannot be read, or when there is none.
pub fn import(tree: &Tree<'_>) -> Result<Draft, ImportError> {
    let ends = |path: &str| path.ends_with(".yml") || path.ends_with(".yaml");
    let mut files: Vec<&String> = tree
        .paths
        .iter()
        .filter(|path| {
            let inside = [".woodpecker/", ".woodpecker.yml", ".woodpecker.yaml"];
            inside.iter().any(|start| path.starts_with(start)) && ends(path)
        })
        .collect();
    if files.iter().any(|file| file.starts_with(".woodpecker/")) {
        files.retain(|file| file.starts_with(".woodpecker/"));
    }
    if files.is_empty() {
        return Err(super::nothing(".woodpecker.yml"));
    }
    let mut draft = draft_of("Woodpecker's workflows", &[]);
    let mut lists = Lists::new(tree);
    let mut entries: Vec<Entry> = Vec::new();
    let mut waits: Vec<(String, Vec<String>)> = Vec::new();
    for file in files {
        let root = of_file(tree, file)?;
        let name = file.rsplit('/').next().unwrap_or(file).trim_start_matches('.');
        let name = name.trim_end_matches(".yml").trim_end_matches(".yaml").to_owned();
        let first = entries.len();
        workflow(&name, file, &root, &mut lists, &mut entries, &mut draft);
        let needs = texts(root.get("depends_on"));
        waits.extend((first..entries.len()).map(|_| (name.clone(), needs.clone())));
    }
    for (entry, (workflow, _)) in entries.iter_mut().zip(&waits) {
        entry.part = Some(workflow.clone());
    }
    let wanted: Vec<(String, Vec<String>)> = entries
        .iter()
        .zip(&waits)
        .map(|(entry, (_, needs))| {
            let others = entries.iter().zip(&waits).filter(|(_, (name, _))| needs.contains(name));
            (entry.key.clone(), others.map(|(other, _)| other.key.clone()).collect())
        })
        .collect();
    let (mut entries, before) = listed::ordered_by_key(entries, &wanted);
    listed::wait_for(&mut entries, &before);
    let pipeline = Pipeline::new("Woodpecker's workflow", entries);
    pipeline::draft(pipeline, &mut draft);
    Ok(draft)
}

/// A step with what its own paths say.
struct Step {
    name: String,
    runs: Formula,
    /// What it runs; nothing where that is a plugin.
    runs_here: Option<shell::Step>,
    comment: Vec<String>,
}

fn workflow(
    name: &str,
    file: &str,
    root: &Value,
    lists: &mut Lists<'_>,
    entries: &mut Vec<Entry>,
    draft: &mut Draft,
) {
    let Some(runs) = when(name, root.get("when"), lists) else {
        draft.closing.push(format!("{file} is started by no change and is not carried over."));
        return;
    };
    let steps = root.get("steps").or_else(|| root.get("pipeline"));
    let listed: Vec<(String, Value)> = match steps {
        Some(Value::Array(list)) => {
            let named = |(at, step): (usize, &Value)| {
                (text(step, "name").unwrap_or_else(|| format!("step {}", at + 1)), step.clone())
            };
            list.iter().enumerate().map(named).collect()
        }
        Some(Value::Object(map)) => map.iter().map(|(key, it)| (key.clone(), it.clone())).collect(),
        _ => Vec::new(),
    };
    let mut steps: Vec<Step> = Vec::new();
    let mut left: Vec<String> = Vec::new();
    for (step, of) in &listed {
        let Some(own) = when(&format!("{name}/{step}"), of.get("when"), lists) else {
            left.push(format!("The step `{step}` is started by no change and is left out."));
            continue;
        };
        let lines = texts(of.get("commands"));
        let mut comment = Vec::new();
        let image = text(of, "image").unwrap_or_default();
        if lines.is_empty() {
            comment.push(format!("Not carried over: the plugin `{image}`."));
        } else {
            comment.push(format!("The step `{step}` ran in the image `{image}`."));
        }
        let after = after_failure(of.get("when"));
        let env = of.get("environment").and_then(Value::as_object).into_iter().flatten();
        let env = env.filter_map(|(key, it)| Some((key.clone(), text_of(it)?))).collect();
        let runs_here = (!lines.is_empty()).then(|| shell::Step {
            name: Some(step.clone()),
            dir: text(of, "directory"),
            env,
            text: lines.join("\n"),
            when: after,
            tolerated: text(of, "failure").as_deref() == Some("ignore"),
            ..shell::Step::default()
        });
        steps.push(Step { name: step.clone(), runs: own, runs_here, comment });
    }
    let mut groups: Vec<Formula> = Vec::new();
    for step in &steps {
        if step.runs != Formula::Is(true) && !groups.contains(&step.runs) {
            groups.push(step.runs.clone());
        }
    }
    let always = steps.iter().any(|step| step.runs == Formula::Is(true));
    if always || groups.is_empty() {
        groups.insert(0, Formula::Is(true));
    }
    for group in groups {
        let last = steps.iter().rposition(|step| step.runs == group).unwrap_or(0);
        let chosen = steps.iter().enumerate().filter(|(at, step)| {
            step.runs == group || (step.runs == Formula::Is(true) && *at < last)
        });
        let mut job = Job { comment: left.clone(), ..Job::default() };
        let own = steps.iter().find(|step| step.runs == group).map(|step| step.name.clone());
        for (_, step) in chosen {
            job.steps.extend(step.runs_here.clone());
            job.comment.extend(step.comment.clone());
        }
        if let Some(matrix) = root.get("matrix") {
            let found = matrix::of_woodpecker(matrix);
            if let Ok(found) = &found {
                job.first = matrix::exports(found);
                let names = found.names();
                for step in &mut job.steps {
                    step.text = filled(&step.text, &names);
                    step.env.iter_mut().for_each(|(_, value)| *value = filled(value, &names));
                }
            }
            job.matrix = Some((found, matrix.to_string()));
        }
        for key in ["services", "labels", "clone", "runs_on"] {
            if root.get(key).is_some() {
                job.comment.push(format!("Not carried over: `{key}`."));
            }
        }
        if job.steps.iter().any(|step| step.text.contains("CI_")) {
            job.comment
                .push("`$CI_…` in the script is Woodpecker's; put the values there.".to_owned());
        }
        job.comment = distinct(job.comment);
        let key = match (group == Formula::Is(true), own) {
            (false, Some(own)) => format!("{name} {own}"),
            _ => name.to_owned(),
        };
        entries.extend(lists.entry(&key, &runs.clone().and(group), job));
    }
}

/// `${NAME}` of a matrix, which is put in before anything reads it, as we write it.
fn filled(written: &str, names: &[String]) -> String {
    let own = |text: String, name: &String| {
        text.replace(&["${", name, "}"].concat(), &format!("${{{{ matrix.{name} }}}}"))
    };
    names.iter().fold(written.to_owned(), own)
}

/// How the steps before one must have ended, by `status`.
fn after_failure(node: Option<&Value>) -> When {
    let of_one = |rule: &Value| match rule.get("status") {
        Some(status) => texts(Some(status)),
        None => vec!["success".to_owned()],
    };
    let statuses: Vec<String> = match node {
        Some(Value::Array(list)) => list.iter().flat_map(of_one).collect(),
        Some(one) => of_one(one),
        None => Vec::new(),
    };
    let is = |word: &str| statuses.iter().any(|it| it == word);
    match (is("success"), is("failure")) {
        (true, true) => When::Always,
        (false, true) => When::Failed,
        _ => When::Passed,
    }
}

/// When something runs; nothing if no change starts it.
fn when(name: &str, node: Option<&Value>, lists: &mut Lists<'_>) -> Option<Formula> {
    let rules = match node {
        None | Some(Value::Null) => return Some(Formula::Is(true)),
        Some(Value::Array(list)) => list.clone(),
        Some(one) => vec![one.clone()],
    };
    let mut found = Formula::Is(false);
    for rule in &rules {
        found = found.or(constraint(name, rule, lists));
    }
    (!found.clauses().is_empty()).then_some(found)
}

fn constraint(name: &str, rule: &Value, lists: &mut Lists<'_>) -> Formula {
    let mut found = Formula::Is(true);
    if let Some(events) = rule.get("event") {
        let (include, exclude) = match events {
            Value::Object(map) => (texts(map.get("include")), texts(map.get("exclude"))),
            other => (texts(Some(other)), Vec::new()),
        };
        let changes = ["push", "pull_request", "pull_request_closed", "pull_request_metadata"];
        let by_change = |event: &&str| {
            (include.is_empty() || include.iter().any(|it| it == event))
                && !exclude.iter().any(|it| it == event)
        };
        // A tag, a cron, a person: none of them is a change.
        if !changes.iter().any(by_change) {
            return Formula::Is(false);
        }
    }
    if rule.get("cron").is_some() {
        return Formula::Is(false);
    }
    for key in
        ["branch", "ref", "repo", "platform", "environment", "instance", "matrix", "evaluate"]
    {
        if let Some(value) = rule.get(key) {
            let shown = text_of(value).unwrap_or_else(|| value.to_string());
            found = found.and(Formula::Maybe(format!("`{key}: {shown}`")));
        }
    }
    match rule.get("path") {
        Some(path) => found.and(self::path(name, path, lists)),
        None => found,
    }
}

fn path(name: &str, node: &Value, lists: &mut Lists<'_>) -> Formula {
    let (include, exclude) = match node {
        Value::Object(map) => (texts(map.get("include")), texts(map.get("exclude"))),
        other => (texts(Some(other)), Vec::new()),
    };
    let mut found = Formula::Is(true);
    if !include.is_empty() {
        found = found.and(lists.patterns(name, &include, &[], &doublestar::translate));
    }
    if !exclude.is_empty() {
        let but = format!("{name}, without what is excluded");
        found = found.and(lists.all_but(&but, &exclude, &doublestar::translate));
    }
    match text(node, "ignore_message") {
        // A message that says so runs everything.
        Some(words) => found.or(Formula::Maybe(format!("`ignore_message: {words}`"))),
        None => found,
    }
}
