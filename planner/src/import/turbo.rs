//! turbo's tasks: every package of the workspace becomes a lane that follows the package, every
//! task that it has a script for a job.
//!
//! By turbo's documentation and by asking it (2.11): `turbo run --affected` goes by packages, not by
//! `inputs`: a package is affected by every file of it and of the packages that it depends on,
//! by `globalDependencies` and by turbo's own file. `turbo run` brings what a task depends on.

use serde_json::Value;

use super::{
    ImportError, Tree,
    dialect::workspaces,
    document::texts,
    draft_of,
    filter::{Filter, distinct},
    listed::{Job, Lists},
    pipeline::{self, Entry, Pipeline, simple},
    selection::When,
    sources::NpmPackage,
};
use crate::init::draft::Draft;

const FILES: [&str; 2] = ["turbo.json", "turbo.jsonc"];

/// Drafts lanes for the packages of a tree.
///
/// # Errors
///
/// [`ImportError`] when turbo's file is not there or cannot be read.
pub fn import(tree: &Tree<'_>) -> Result<Draft, ImportError> {
    let file = FILES.into_iter().find(|file| tree.has(file));
    let file = file.ok_or_else(|| super::nothing(FILES[0]))?;
    let error = |detail: &str| ImportError { file: file.to_owned(), detail: detail.to_owned() };
    let root = tree.json(file).ok_or_else(|| error("it is no JSON"))?;
    let tasks = root.get("tasks").or_else(|| root.get("pipeline")).and_then(Value::as_object);
    let tasks = tasks.ok_or_else(|| error("it has no `tasks`"))?;
    let mut draft = draft_of("turbo's tasks", &["A lane follows its package."]);
    let (mut shared, mut comment) = (vec![file.to_owned()], Vec::new());
    for pattern in texts(root.get("globalDependencies")) {
        if let Some(rest) = pattern.strip_prefix('!') {
            comment.push(format!("Not excluded from `globalDependencies`: `{rest}`."));
            continue;
        }
        let found = workspaces::included(pattern.trim_start_matches("$TURBO_ROOT$/"));
        shared.extend(found.include().iter().cloned());
        shared.extend(found.itself.iter().filter(|glob| (tree.has_file)(glob)).cloned());
        comment.extend(found.wider.map(|(_, reason)| reason));
    }
    let when = When::For(vec![Filter { paths: distinct(shared), ..Filter::default() }]);
    let lists = Lists::new(tree);
    let mut entries: Vec<Entry> = Vec::new();
    for NpmPackage { name, dir, .. } in tree.npm_packages() {
        let manifest =
            if dir.is_empty() { "package.json".to_owned() } else { format!("{dir}/package.json") };
        let scripts = tree.json(&manifest).and_then(|it| it.get("scripts").cloned());
        let scripts = scripts.as_ref().and_then(Value::as_object);
        for (task, of) in tasks {
            let (whose, script) = task.split_once('#').unwrap_or((&name, task));
            let ours = if dir.is_empty() { whose == "//" } else { whose == name };
            if !ours || !scripts.is_some_and(|it| it.contains_key(script)) {
                continue;
            }
            // What never ends checks nothing.
            if of.get("persistent") == Some(&Value::Bool(true)) {
                continue;
            }
            let mut job = Job { title: Some(format!("{script} of {name}")), ..Job::default() };
            let whole = if dir.is_empty() { format!("//#{script}") } else { script.to_owned() };
            job.argv = ["npx", "turbo", "run", &whole].map(str::to_owned).to_vec();
            if !dir.is_empty() {
                job.argv.push(format!("--filter={name}"));
            }
            let runs = super::formula::Formula::Is(true);
            let Some(mut entry) = lists.entry(&format!("{name} {script}"), &runs, job) else {
                continue;
            };
            if dir.is_empty() {
                entry.notes.push(
                    "Tasks of the root run for every change of a file in no package.".to_owned(),
                );
            } else {
                entry.when = when.clone();
                entry.inputs = Some(("npm", vec![name.clone()]));
            }
            entry.words = vec![name.clone()];
            entries.push(entry);
        }
    }
    let persistent =
        tasks.iter().filter(|(_, of)| of.get("persistent") == Some(&Value::Bool(true)));
    let persistent: Vec<String> = persistent.map(|(name, _)| format!("`{name}`")).collect();
    if !persistent.is_empty() {
        draft
            .closing
            .push(format!("{file}: {} never ends and is left out.", persistent.join(", ")));
    }
    let lane = |entries: &[&Entry]| {
        let name = entries[0].words.first().cloned().unwrap_or_default();
        let (_, title) = simple(entries);
        (format!("{name}-lane"), if name.is_empty() { title } else { name })
    };
    let pipeline = Pipeline { comment, lane: &lane, ..Pipeline::new("turbo's tasks", entries) };
    pipeline::draft(pipeline, &mut draft);
    Ok(draft)
}
