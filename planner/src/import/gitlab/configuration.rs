//! `.gitlab-ci.yml` as one configuration: local includes read, `extends` and `!reference` resolved.
//!
//! By GitLab's "CI/CD YAML syntax reference": the including file goes over what it includes, a job
//! over what it extends, mappings key by key and lists as a whole.

use std::collections::BTreeSet;

use lanes::glob::Glob;
use serde_json::{Map, Value};

use crate::import::{
    ImportError, Tree,
    document::{last_of, merge, text_of, texts},
};

/// Keys at the top that are no jobs.
const KEYWORDS: [&str; 15] = [
    "default",
    "include",
    "stages",
    "variables",
    "workflow",
    "image",
    "services",
    "cache",
    "before_script",
    "after_script",
    "types",
    "spec",
    "artifacts",
    "retry",
    "timeout",
];
/// Stands for what a reference names and nothing in the tree has.
pub(super) const UNKNOWN: &str = "!unknown";

/// Deeper than GitLab goes (`extends`: 11 levels, `!reference`: 10).
const DEEPEST: usize = 12;

pub(super) struct Configuration {
    pub(super) root: Value,
    /// What could not be read.
    pub(super) notes: Vec<String>,
}

impl Configuration {
    pub(super) fn read(file: &str, text: &str, tree: &Tree<'_>) -> Result<Self, ImportError> {
        let mut notes = Vec::new();
        let mut seen = BTreeSet::from([file.to_owned()]);
        let mut root = document(file, text)?;
        include(&mut root, tree, &mut seen, &mut notes)?;
        let whole = root.clone();
        referenced(&mut root, &whole, 0, &mut notes);
        Ok(Self { root, notes })
    }

    /// The jobs, with what they extend; templates (`.name`) are none.
    pub(super) fn jobs(&mut self) -> Vec<(String, Value)> {
        let root = self.root.as_object().cloned().unwrap_or_default();
        let is_job = |(name, value): &(&String, &Value)| {
            !name.starts_with('.') && !KEYWORDS.contains(&name.as_str()) && value.is_object()
        };
        let jobs: Vec<String> = root.iter().filter(is_job).map(|(name, _)| name.clone()).collect();
        let mut found = Vec::new();
        for name in jobs {
            let mut job = extended(&root, &name, 0, &mut self.notes);
            let defaults = root.get("default").and_then(Value::as_object);
            for key in ["before_script", "after_script", "timeout", "image"] {
                let default = defaults.and_then(|map| map.get(key)).or_else(|| root.get(key));
                if let (Some(default), Some(map)) = (default, job.as_object_mut()) {
                    map.entry(key.to_owned()).or_insert_with(|| default.clone());
                }
            }
            found.push((name, job));
        }
        found
    }
}

fn document(file: &str, text: &str) -> Result<Value, ImportError> {
    // A header of `spec` is a document of its own.
    let last = last_of(file, text)?;
    let error = || ImportError { file: file.to_owned(), detail: "it is no mapping".to_owned() };
    if last.is_object() { Ok(last) } else { Err(error()) }
}

fn include(
    root: &mut Value,
    tree: &Tree<'_>,
    seen: &mut BTreeSet<String>,
    notes: &mut Vec<String>,
) -> Result<(), ImportError> {
    let Some(list) = root.as_object_mut().and_then(|map| map.shift_remove("include")) else {
        return Ok(());
    };
    let list = match list {
        Value::Array(list) => list,
        one => vec![one],
    };
    let mut all = Value::Object(Map::new());
    for one in list {
        let local = text_of(&one).or_else(|| one.get("local").and_then(text_of));
        let Some(local) = local.filter(|it| !it.contains("://") && !it.contains('$')) else {
            notes.push(format!("Not carried over: `include` of {}.", short(&one)));
            continue;
        };
        if one.get("rules").is_some() {
            notes.push(format!("`include` of {local} had rules; here it is always included."));
        }
        let local = local.trim_start_matches('/');
        let files: Vec<String> = if local.contains('*') {
            let glob = Glob::new(local).ok();
            let is_match =
                |path: &&String| glob.as_ref().is_some_and(|it| it.is_match(path.as_bytes()));
            tree.paths.iter().filter(is_match).cloned().collect()
        } else {
            vec![local.to_owned()]
        };
        for file in files {
            if !seen.insert(file.clone()) {
                continue;
            }
            let Some(text) = (tree.read)(&file) else {
                notes.push(format!("`{file}`, which is included, is not in the tree."));
                continue;
            };
            let mut other = document(&file, &text)?;
            include(&mut other, tree, seen, notes)?;
            merge(&mut all, other);
        }
    }
    merge(&mut all, std::mem::take(root));
    *root = all;
    Ok(())
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.len() > 80 { text.chars().take(80).collect::<String>() + "…" } else { text }
}

/// Puts what `!reference [a, b]` names in its place; in a list, the items of a list.
fn referenced(value: &mut Value, root: &Value, depth: usize, notes: &mut Vec<String>) {
    if depth > 60 {
        return;
    }
    match value {
        Value::Object(map) if map.len() == 1 && map.contains_key("!reference") => {
            let path = texts(map.get("!reference"));
            let mut found = Some(root.clone());
            for key in &path {
                found = found.and_then(|it| it.get(key).cloned());
            }
            *value = found.unwrap_or_else(|| {
                notes.push(format!("`!reference [{}]` names nothing.", path.join(", ")));
                // What it is decides nothing: a rule of it may hold.
                let mut unknown = Map::new();
                unknown.insert(UNKNOWN.to_owned(), Value::Null);
                Value::Object(unknown)
            });
            // Another reference may stand there; ten levels are what GitLab follows.
            referenced(value, root, depth + 6, notes);
        }
        Value::Object(map) => {
            map.values_mut().for_each(|inside| referenced(inside, root, depth + 1, notes));
        }
        Value::Array(list) => {
            let mut flat = Vec::new();
            for mut item in std::mem::take(list) {
                let reference = item.get("!reference").is_some();
                referenced(&mut item, root, depth + 1, notes);
                match item {
                    Value::Array(more) if reference => flat.extend(more),
                    item => flat.push(item),
                }
            }
            *list = flat;
        }
        _ => {}
    }
}

fn extended(root: &Map<String, Value>, name: &str, depth: usize, notes: &mut Vec<String>) -> Value {
    let Some(own) = root.get(name) else {
        notes.push(format!("`extends: {name}` names nothing."));
        return Value::Object(Map::new());
    };
    let mut all = Value::Object(Map::new());
    if depth < DEEPEST {
        for base in texts(own.get("extends")) {
            merge(&mut all, extended(root, &base, depth + 1, notes));
        }
    }
    merge(&mut all, own.clone());
    if let Some(map) = all.as_object_mut() {
        map.shift_remove("extends");
    }
    all
}
