//! CircleCI: the mapping of the path-filtering orb becomes the paths of lanes, workflows' jobs
//! become jobs, `requires` their order.
//!
//! By the orb's source and CircleCI's documentation of dynamic configuration: a line of the mapping
//! is a regular expression for whole paths with a parameter and its value, a file to go on with, or
//! both; what a line leaves out stays as the line before it said. A workflow runs by its `when`,
//! which compares parameters. What is compared with anything else is undecided.

mod mapping;
mod steps;

use serde_json::Value;

use self::mapping::Mapping;
use super::{
    ImportError, Tree, artifacts,
    document::{of_file, text, text_of, texts},
    draft_of,
    formula::Formula,
    listed::{self, Job, Lists},
    pipeline::{self, Entry, Pipeline},
};
use crate::init::draft::Draft;

const FILES: [&str; 2] = [".circleci/config.yml", ".circleci/config.yaml"];

/// Drafts lanes for the configuration of a tree.
///
/// # Errors
///
/// [`ImportError`] for the first file that cannot be read, or when there is none.
pub fn import(tree: &Tree<'_>) -> Result<Draft, ImportError> {
    let file = FILES.into_iter().find(|file| tree.has(file));
    let file = file.ok_or_else(|| super::nothing(FILES[0]))?;
    let mut draft = draft_of("CircleCI's configuration", &[]);
    let mut lists = Lists::new(tree);
    let root = document(file, tree)?;
    // A setup workflow only decides what the others do.
    let mappings = Mapping::all(&root, tree);
    if mappings.is_empty() {
        if root.get("setup") == Some(&Value::Bool(true)) {
            draft.closing.push(format!(
                "{file} makes its configuration while it runs (`setup`); that is not carried over."
            ));
        }
        configuration(file, &root, &Formula::Is(true), None, &mut lists, &mut draft);
        return Ok(draft);
    }
    for mapping in mappings {
        for (next, runs) in mapping.files(&mut lists) {
            if !tree.has(&next) {
                draft.closing.push(format!("`{next}`, with which it goes on, is not in the tree."));
                continue;
            }
            let root = document(&next, tree)?;
            configuration(&next, &root, &runs, Some(&mapping), &mut lists, &mut draft);
        }
    }
    Ok(draft)
}

fn document(file: &str, tree: &Tree<'_>) -> Result<Value, ImportError> {
    let root = of_file(tree, file)?;
    let error = || ImportError { file: file.to_owned(), detail: "it is no mapping".to_owned() };
    if root.is_object() { Ok(root) } else { Err(error()) }
}

/// The workflows of a file.
fn configuration(
    file: &str,
    root: &Value,
    runs: &Formula,
    mapping: Option<&Mapping>,
    lists: &mut Lists<'_>,
    draft: &mut Draft,
) {
    let mut entries: Vec<Entry> = Vec::new();
    let mut waits: Vec<(String, Vec<String>)> = Vec::new();
    // Without workflows the job `build` runs.
    let alone = serde_json::json!({ "build": { "jobs": ["build"] } });
    let is_alone = root.get("workflows").is_none() && root.pointer("/jobs/build").is_some();
    let workflows = if is_alone { Some(&alone) } else { root.get("workflows") };
    let workflows = workflows.and_then(Value::as_object).into_iter().flatten();
    let workflows: Vec<(&String, &Value)> = workflows.filter(|(_, it)| it.is_object()).collect();
    let single = workflows.len() == 1;
    for (name, workflow) in workflows {
        let mut when = runs.clone();
        for (key, wanted) in [("when", true), ("unless", false)] {
            if let Some(condition) = workflow.get(key) {
                let holds = decided(condition, root, mapping, lists, 0);
                when = when.and(if wanted { holds } else { holds.not() });
            }
        }
        let scheduled = workflow.get("triggers").is_some();
        if when.clauses().is_empty() {
            draft
                .closing
                .push(format!("{file}: the workflow `{name}` never runs and is left out."));
            continue;
        }
        for job in workflow.get("jobs").and_then(Value::as_array).into_iter().flatten() {
            let (kind, of) = match job {
                Value::Object(map) => match map.iter().next() {
                    Some((kind, of)) => (kind.clone(), of.clone()),
                    None => continue,
                },
                other => (text_of(other).unwrap_or_default(), Value::Null),
            };
            // The jobs of a matrix are waited for by its alias.
            let alias = of.get("matrix").and_then(|it| text(it, "alias"));
            let own = || if of.get("matrix").is_some() { None } else { text(&of, "name") };
            let plain = alias.or_else(own).unwrap_or_else(|| kind.clone());
            let key = if single { plain.clone() } else { format!("{name} {plain}") };
            if text(&of, "type").as_deref() == Some("approval") {
                draft.closing.push(format!(
                    "{file}: somebody had to approve `{plain}`; here what is behind it waits for nobody."
                ));
                continue;
            }
            if only_tags(&of) {
                draft.closing.push(format!(
                    "{file}: the job `{plain}` is started by tags and is not carried over."
                ));
                continue;
            }
            let mut runs = when.clone();
            if let Some(filters) = of.get("filters") {
                runs = runs.and(Formula::Maybe(format!("`filters: {}`", short(filters))));
            }
            let job = Job { run_if: run_if(&of), ..steps::job(&kind, &of, root) };
            let Some(mut entry) = lists.entry(&key, &runs, job) else { continue };
            entry.nightly = scheduled;
            if scheduled {
                entry
                    .notes
                    .push("Started by a schedule; all nightly lanes start together.".to_owned());
            }
            entry.part = Some(name.clone());
            if let Some(group) = text(&of, "serial-group") {
                entry.group = Some(pipeline::plain_id(&group));
            }
            let requires = of.get("requires").and_then(Value::as_array).into_iter().flatten();
            let requires = requires.filter_map(|one| {
                let need = match one {
                    Value::Object(map) => map.keys().next().cloned(),
                    other => text_of(other),
                }?;
                Some(if single { need } else { format!("{name} {need}") })
            });
            waits.push((key, requires.collect()));
            entries.push(entry);
        }
    }
    let (mut entries, before) = listed::ordered_by_key(entries, &waits);
    listed::wait_for(&mut entries, &before);
    artifacts::pass_on(&mut entries);
    let pipeline = Pipeline::new(format!("CircleCI's workflows ({file})"), entries);
    pipeline::draft(pipeline, draft);
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.len() > 80 { text.chars().take(80).collect::<String>() + "…" } else { text }
}

/// How the jobs that one requires must have ended: `NAME: [failed]`.
fn run_if(of: &Value) -> Option<&'static str> {
    let requires = of.get("requires").and_then(Value::as_array).into_iter().flatten();
    let statuses = requires.filter_map(Value::as_object).flatten().map(|(_, it)| texts(Some(it)));
    let statuses: Vec<String> = statuses.flatten().collect();
    let passes = statuses.is_empty() || statuses.iter().any(|it| it == "success");
    match (passes, statuses.iter().any(|it| it != "success")) {
        (_, false) => None,
        (false, true) => Some("failed"),
        (true, true) => Some("always"),
    }
}

/// Whether no branch starts a job.
fn only_tags(of: &Value) -> bool {
    let ignored =
        of.get("filters").and_then(|it| it.get("branches")).and_then(|it| it.get("ignore"));
    texts(ignored).iter().any(|it| ["/.*/", "/.+/", "/^.*$/"].contains(&it.as_str()))
}

/// A condition of `when`: `and`, `or`, `not`, `equal`, or a value by itself.
fn decided(
    node: &Value,
    root: &Value,
    mapping: Option<&Mapping>,
    lists: &mut Lists<'_>,
    depth: usize,
) -> Formula {
    let unknown = |node: &Value| Formula::Maybe(format!("`{}`", short(node)));
    if depth > 30 {
        return unknown(node);
    }
    let mut all = |list: &Value| -> Vec<Formula> {
        let items = list.as_array().into_iter().flatten();
        items.map(|it| decided(it, root, mapping, lists, depth + 1)).collect()
    };
    match node {
        Value::Object(map) => match map.iter().next().map(|(key, value)| (key.as_str(), value)) {
            Some(("and", list)) => all(list).into_iter().fold(Formula::Is(true), Formula::and),
            Some(("or", list)) => all(list).into_iter().fold(Formula::Is(false), Formula::or),
            Some(("not", inside)) => decided(inside, root, mapping, lists, depth + 1).not(),
            Some(("equal", Value::Array(list))) if list.len() == 2 => {
                let values: Vec<Option<String>> = list.iter().map(text_of).collect();
                let [Some(a), Some(b)] = values.as_slice() else { return unknown(node) };
                match (parameter(a), parameter(b)) {
                    (Some(name), None) => equals(name, b, root, mapping, lists),
                    (None, Some(name)) => equals(name, a, root, mapping, lists),
                    (None, None) if !a.contains("<<") && !b.contains("<<") => Formula::Is(a == b),
                    _ => unknown(node),
                }
            }
            _ => unknown(node),
        },
        Value::Bool(value) => Formula::Is(*value),
        Value::String(text) => match parameter(text) {
            Some(name) => equals(name, "true", root, mapping, lists),
            None => unknown(node),
        },
        _ => unknown(node),
    }
}

/// The parameter that `<< pipeline.parameters.NAME >>` is.
fn parameter(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix("<<")?.strip_suffix(">>")?.trim();
    inside.strip_prefix("pipeline.parameters.").map(str::trim)
}

/// That a parameter has a value.
fn equals(
    name: &str,
    value: &str,
    root: &Value,
    mapping: Option<&Mapping>,
    lists: &mut Lists<'_>,
) -> Formula {
    let declared = root.get("parameters").and_then(|it| it.get(name));
    let default = declared.and_then(|it| text(it, "default"));
    let holds = |has: &str| {
        // A parameter by itself holds unless it is false or empty.
        if value == "true" && declared.and_then(|it| text(it, "type")).as_deref() != Some("boolean")
        {
            !["false", "", "0"].contains(&has)
        } else {
            has == value
        }
    };
    let Some(mapping) = mapping else {
        // Somebody may start a pipeline with another value; a change does not.
        return match default {
            Some(default) => Formula::Is(holds(&default)),
            None => Formula::Maybe(format!("the parameter `{name}`")),
        };
    };
    let lines: Vec<_> = mapping.sets(name).collect();
    let Some(default) = default else {
        return Formula::Maybe(format!("the parameter `{name}`, which has no default"));
    };
    let before = Formula::Is(holds(&default));
    // The last line that matches decides.
    lines.into_iter().fold(before, |before, (line, set)| {
        let matches = mapping.matches(line, lists);
        let otherwise = matches.clone().not().and(before.clone());
        if holds(set) {
            // Where it is so already, it stays so.
            if before == Formula::Is(true) { before } else { matches.or(before) }
        } else {
            otherwise
        }
    })
}
