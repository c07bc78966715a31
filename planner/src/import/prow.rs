//! Prow's jobs: `run_if_changed` and `skip_if_only_changed` become the paths of lanes.
//!
//! By Prow's documentation: both are Go regular expressions that may match any part of a path; a
//! job runs when one changed path matches the first, or one does not match the second. Jobs that
//! only `/test` starts are left out; periodic ones are nightly lanes.

use serde_json::Value;

use super::{
    ImportError, Tree,
    dialect::regex,
    document::{read, text, text_of, texts},
    draft_of,
    formula::Formula,
    listed::{Job, Lists},
    pipeline::{self, Entry, Pipeline},
};
use crate::init::draft::Draft;

/// Drafts lanes for the jobs of a tree: `.prow.yaml`, `.prow/`, or every file with Prow's jobs.
///
/// # Errors
///
/// [`ImportError`] for the first file that cannot be read, or when there is none.
pub fn import(tree: &Tree<'_>) -> Result<Draft, ImportError> {
    let ends = |path: &str| path.ends_with(".yml") || path.ends_with(".yaml");
    let own = |path: &&String| {
        [".prow.yaml", ".prow.yml"].contains(&path.as_str())
            || (path.starts_with(".prow/") && ends(path))
    };
    let mut files: Vec<&String> = tree.paths.iter().filter(own).collect();
    let elsewhere = files.is_empty();
    if elsewhere {
        files = tree.paths.iter().filter(|path| ends(path)).collect();
    }
    let mut draft = draft_of("Prow's jobs", &[]);
    let mut lists = Lists::new(tree);
    let mut entries: Vec<Entry> = Vec::new();
    let mut by_hand = 0_usize;
    for file in files {
        let Some(written) = (tree.read)(file) else { continue };
        let starts = ["presubmits", "postsubmits", "periodics"];
        if !starts.iter().any(|key| written.contains(&format!("{key}:"))) {
            continue;
        }
        let root = match read(&written) {
            Ok(mut documents) => documents.pop().unwrap_or(Value::Null),
            // Among other YAML there is some that is none.
            Err(_) if elsewhere => continue,
            Err(detail) => return Err(ImportError { file: file.clone(), detail }),
        };
        for kind in starts {
            for (repository, job) in jobs(root.get(kind)) {
                match entry(kind, repository.as_deref(), job, &mut lists) {
                    Some(found) => entries.push(found),
                    None => by_hand += 1,
                }
            }
        }
    }
    if entries.is_empty() && by_hand == 0 {
        return Err(super::nothing(".prow.yaml"));
    }
    if by_hand > 0 {
        draft.closing.push(format!(
            "Not carried over: jobs that only somebody (`/test`) or nothing starts, {by_hand} of them."
        ));
    }
    let pipeline = Pipeline::new("Prow's jobs", entries);
    pipeline::draft(pipeline, &mut draft);
    Ok(draft)
}

/// Jobs by repository, or of the repository that the file is in.
fn jobs(node: Option<&Value>) -> Vec<(Option<String>, &Value)> {
    match node {
        Some(Value::Array(list)) => list.iter().map(|job| (None, job)).collect(),
        Some(Value::Object(map)) => {
            let all = map.iter().flat_map(|(repository, list)| {
                let list = list.as_array().into_iter().flatten();
                list.map(move |job| (Some(repository.clone()), job))
            });
            all.collect()
        }
        _ => Vec::new(),
    }
}

fn entry(kind: &str, repository: Option<&str>, of: &Value, lists: &mut Lists<'_>) -> Option<Entry> {
    let name = text(of, "name")?;
    let is = |key: &str| of.get(key) == Some(&Value::Bool(true));
    let mut runs = match (text(of, "run_if_changed"), text(of, "skip_if_only_changed")) {
        _ if is("always_run") || kind == "periodics" => Formula::Is(true),
        (Some(expression), _) if !expression.is_empty() => {
            lists.patterns(&name, &[expression], &[], &regex::translate)
        }
        (_, Some(expression)) if !expression.is_empty() => {
            lists.all_but(&name, &[expression], &regex::translate)
        }
        // After a merge everything runs that is not told otherwise.
        _ if kind == "postsubmits" && of.get("always_run") != Some(&Value::Bool(false)) => {
            Formula::Is(true)
        }
        _ => return None,
    };
    if kind == "presubmits" {
        for key in ["branches", "skip_branches"] {
            if let Some(value) = of.get(key) {
                let list = texts(Some(value)).join(", ");
                runs = runs.and(Formula::Maybe(format!("`{key}: {list}`")));
            }
        }
    }
    let mut job = Job::default();
    let containers = of.get("spec").and_then(|spec| spec.get("containers"));
    let containers: Vec<&Value> =
        containers.and_then(Value::as_array).into_iter().flatten().collect();
    if let Some(first) = containers.first() {
        job.argv = [texts(first.get("command")), texts(first.get("args"))].concat();
        if first.get("command").is_none() {
            // What the image starts is not known.
            job.comment.push(format!("Its arguments were `{}`.", job.argv.join(" ")));
            job.argv.clear();
        }
        for one in first.get("env").and_then(Value::as_array).into_iter().flatten() {
            if let (Some(name), Some(value)) = (text(one, "name"), text(one, "value")) {
                job.env.push((name, value));
            }
        }
        if let Some(image) = text(first, "image") {
            job.comment.push(format!("Ran in the image `{image}`."));
        }
    }
    if containers.len() > 1 {
        job.comment.push("Not carried over: further containers.".to_owned());
    }
    if is("optional") {
        job.allow_failure = Some(Vec::new());
    }
    job.left_out(of, &["extra_refs", "cluster", "labels"]);
    let limit = of.get("decoration_config").and_then(|it| text(it, "timeout"));
    job.timeout_secs = limit.as_deref().and_then(seconds);
    let mut entry = lists.entry(&name, &runs, job)?;
    if let Some(repository) = repository {
        entry.notes.insert(0, format!("Of the repository {repository}."));
        entry.part = Some(repository.to_owned());
    }
    match kind {
        "postsubmits" => entry.notes.push("Ran only after a merge.".to_owned()),
        "periodics" => {
            let when = ["interval", "minimum_interval", "cron"];
            let when = when.iter().find_map(|key| of.get(*key).and_then(text_of));
            let when = when.unwrap_or_else(|| "a schedule of its own".to_owned());
            entry.notes.push(format!("Started at `{when}`; all nightly lanes start together."));
            entry.nightly = true;
        }
        _ => {}
    }
    if text(of, "max_concurrency").as_deref() == Some("1") {
        entry.group = Some(pipeline::plain_id(&name));
    }
    Some(entry)
}

/// `2h`, `90m`, `1h30m0s`.
fn seconds(text: &str) -> Option<u64> {
    let (mut total, mut number) = (0_u64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let factor = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        number.clear();
    }
    (number.is_empty() && total > 0).then_some(total)
}
