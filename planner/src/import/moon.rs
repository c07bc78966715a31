//! moon's projects: every task becomes a job, tasks for the same changes a lane.
//!
//! By moon's documentation and by asking it (2.5): a task is affected by its `inputs`, which are all
//! files of the project where it names none, by the tasks that it depends on, and by moon's own
//! configuration; the order of what `!` takes out is of no account. A task that depends on a
//! task of every dependency (`^:build`) follows the npm package, where the project is one.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{
    ImportError, Tree,
    dialect::workspaces,
    document::{of_file, text, text_of, texts},
    draft_of,
    formula::Formula,
    listed::{Job, Lists},
    pipeline::{self, Entry, Pipeline},
    sources::NpmPackage,
};
use crate::{init::draft::Draft, packages::literal};

const WORKSPACE: &str = ".moon/workspace.yml";

struct Project {
    id: String,
    dir: String,
    package: Option<String>,
    /// Ids of projects it depends on.
    needs: Vec<String>,
    groups: Map<String, Value>,
    tasks: Vec<(String, Value)>,
}

/// Drafts lanes for the tasks of a tree.
///
/// # Errors
///
/// [`ImportError`] for the first file that cannot be read, or when there is none.
pub fn import(tree: &Tree<'_>) -> Result<Draft, ImportError> {
    if !tree.has(WORKSPACE) {
        return Err(super::nothing(WORKSPACE));
    }
    let workspace = of_file(tree, WORKSPACE)?;
    let mut draft = draft_of("moon's tasks", &[]);
    let projects = projects(tree, &workspace, &mut draft)?;
    let mut lists = Lists::new(tree);
    let own = lists.globs("moon's own files", vec![".moon/**".to_owned()]);
    let mut entries: Vec<Entry> = Vec::new();
    let mut by_hand: Vec<String> = Vec::new();
    for (at, project) in projects.iter().enumerate() {
        for (name, task) in &project.tasks {
            let label = format!("{}:{name}", project.id);
            let options = task.get("options");
            let in_ci = options.and_then(|it| it.get("runInCI")).cloned();
            let persistent =
                options.and_then(|it| it.get("persistent")) == Some(&Value::Bool(true));
            let local = task.get("local") == Some(&Value::Bool(true))
                || text(task, "preset")
                    .is_some_and(|it| ["server", "watcher"].contains(&it.as_str()));
            if in_ci == Some(Value::Bool(false)) || persistent || local {
                by_hand.push(format!("`{label}`"));
                continue;
            }
            let mut seen = BTreeSet::new();
            let mut follows = false;
            let runs = affected(&projects, at, name, &mut lists, &mut seen, &mut follows);
            let mut job = Job { title: Some(label.clone()), ..Job::default() };
            job.argv = ["moon", "run", &label].map(str::to_owned).to_vec();
            let runs = own.clone().or(runs);
            let Some(mut entry) = lists.entry(&label, &runs, job) else { continue };
            if let (true, Some(package), true) =
                (follows, &project.package, entry.when != super::selection::When::Always)
            {
                entry.inputs = Some(("npm", vec![package.clone()]));
            }
            entry.part = Some(project.id.clone());
            entries.push(entry);
        }
    }
    if !by_hand.is_empty() {
        draft.closing.push(format!("Not run in CI and left out: {}.", by_hand.join(", ")));
    }
    let pipeline = Pipeline::new("moon's tasks", entries);
    pipeline::draft(pipeline, &mut draft);
    Ok(draft)
}

/// Every project: by name and directory, or found by globs.
fn projects(
    tree: &Tree<'_>,
    workspace: &Value,
    draft: &mut Draft,
) -> Result<Vec<Project>, ImportError> {
    let mut dirs: Vec<(Option<String>, String)> = Vec::new();
    let mut globs: Vec<String> = Vec::new();
    match workspace.get("projects") {
        Some(Value::Object(map)) if map.contains_key("globs") || map.contains_key("sources") => {
            globs = texts(map.get("globs"));
            let sources = map.get("sources").and_then(Value::as_object).into_iter().flatten();
            dirs.extend(sources.filter_map(|(id, dir)| Some((Some(id.clone()), text_of(dir)?))));
        }
        Some(Value::Object(map)) => {
            dirs.extend(map.iter().filter_map(|(id, dir)| Some((Some(id.clone()), text_of(dir)?))));
        }
        other => globs = texts(other),
    }
    let (out, globs): (Vec<String>, Vec<String>) =
        globs.into_iter().partition(|it| it.starts_with('!'));
    if !out.is_empty() {
        draft.closing.push(format!("{WORKSPACE}: {} takes nothing out here.", out.join(", ")));
    }
    let all: BTreeSet<&str> = tree
        .paths
        .iter()
        .flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]))
        .collect();
    for glob in globs {
        let plain = glob.trim_start_matches("./").trim_end_matches('/');
        let Ok(matcher) = lanes::glob::Glob::new(plain) else {
            draft.closing.push(format!("{WORKSPACE}: `{glob}` is not understood."));
            continue;
        };
        let found =
            all.iter().filter(|dir| matcher.is_match(dir.as_bytes()) && !dir.contains("/."));
        dirs.extend(found.map(|dir| (None, (*dir).to_owned())));
    }
    let packages = tree.npm_packages();
    let inherited = inherited(tree, draft)?;
    let mut projects: Vec<Project> = Vec::new();
    for (id, dir) in dirs {
        let dir = dir.trim_start_matches("./").trim_matches('/').to_owned();
        let dir = if dir == "." { String::new() } else { dir };
        if projects.iter().any(|known| known.dir == dir) {
            continue;
        }
        let file = if dir.is_empty() { "moon.yml".to_owned() } else { format!("{dir}/moon.yml") };
        let config = if tree.has(&file) { of_file(tree, &file)? } else { Value::Null };
        let name = dir.rsplit('/').next().unwrap_or_default();
        let id = text(&config, "id").or(id).unwrap_or_else(|| name.to_owned());
        let package = packages.iter().find(|package| package.dir == dir);
        let needs = config.get("dependsOn").and_then(Value::as_array).into_iter().flatten();
        let needs = needs.filter_map(|it| text_of(it).or_else(|| text(it, "id"))).collect();
        projects.push(project(id, dir, package, needs, &config, &inherited, tree));
    }
    // What moon takes from package.json, by name.
    let known: Vec<(String, String)> =
        projects.iter().map(|project| (project.dir.clone(), project.id.clone())).collect();
    for project in &mut projects {
        let package = packages.iter().find(|package| package.dir == project.dir);
        let linked = package.into_iter().flat_map(|package| &package.needs);
        let ids = linked.filter_map(|dir| known.iter().find(|(known, _)| known == dir));
        project.needs.extend(ids.map(|(_, id)| id.clone()));
    }
    Ok(projects)
}

fn project(
    id: String,
    dir: String,
    package: Option<&NpmPackage>,
    needs: Vec<String>,
    config: &Value,
    inherited: &[(String, Value)],
    tree: &Tree<'_>,
) -> Project {
    let (mut groups, mut tasks) = (Map::new(), Vec::<(String, Value)>::new());
    let has = |name: &str| {
        tree.has(&if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") })
    };
    let rules = config.get("workspace").and_then(|it| it.get("inheritedTasks"));
    let (only, without) = (
        rules.and_then(|it| it.get("include")).map(|it| texts(Some(it))),
        texts(rules.and_then(|it| it.get("exclude"))),
    );
    for (kind, file) in inherited {
        let manifest = match kind.as_str() {
            "node" | "javascript" | "typescript" | "bun" | "deno" => Some("package.json"),
            "rust" => Some("Cargo.toml"),
            "go" => Some("go.mod"),
            "python" => Some("pyproject.toml"),
            _ => None,
        };
        if manifest.is_some_and(|it| !has(it)) {
            continue;
        }
        groups
            .extend(file.get("fileGroups").and_then(Value::as_object).cloned().unwrap_or_default());
        for (name, task) in file.get("tasks").and_then(Value::as_object).into_iter().flatten() {
            let taken = only.as_ref().is_none_or(|it| it.contains(name)) && !without.contains(name);
            if taken {
                put(&mut tasks, name, task);
            }
        }
    }
    groups.extend(config.get("fileGroups").and_then(Value::as_object).cloned().unwrap_or_default());
    for (name, task) in config.get("tasks").and_then(Value::as_object).into_iter().flatten() {
        put(&mut tasks, name, task);
    }
    Project { id, dir, package: package.map(|it| it.name.clone()), needs, groups, tasks }
}

/// A task over one of the same name: lists one behind the other.
fn put(tasks: &mut Vec<(String, Value)>, name: &str, task: &Value) {
    let Some((_, known)) = tasks.iter_mut().find(|(known, _)| known == name) else {
        tasks.push((name.to_owned(), task.clone()));
        return;
    };
    let (Some(known), Some(more)) = (known.as_object_mut(), task.as_object()) else {
        *known = task.clone();
        return;
    };
    for (key, value) in more {
        match (known.get_mut(key), value) {
            (Some(Value::Array(list)), Value::Array(more)) if key == "inputs" || key == "deps" => {
                list.extend(more.iter().cloned());
            }
            _ => {
                known.insert(key.clone(), value.clone());
            }
        }
    }
}

/// Files of tasks that projects inherit, each with the name of its kind.
fn inherited(tree: &Tree<'_>, draft: &mut Draft) -> Result<Vec<(String, Value)>, ImportError> {
    let mut found = Vec::new();
    for path in tree.below(".moon") {
        let name = path.trim_start_matches(".moon/");
        let is_tasks =
            name == "tasks.yml" || (name.starts_with("tasks/") && name.ends_with(".yml"));
        if is_tasks {
            let file = of_file(tree, path)?;
            if file.get("extends").is_some() || file.get("inheritedBy").is_some() {
                draft.closing.push(format!(
                    "{path}: here every project inherits it, and nothing that it extends."
                ));
            }
            let kind = name.trim_start_matches("tasks/").trim_end_matches(".yml");
            found.push((kind.to_owned(), file));
        } else if ["pkl", "hcl", "toml"].iter().any(|end| name.ends_with(&format!("tasks.{end}"))) {
            draft.closing.push(format!("Not carried over: {path}."));
        }
    }
    Ok(found)
}

/// What a task is affected by.
fn affected(
    projects: &[Project],
    at: usize,
    name: &str,
    lists: &mut Lists<'_>,
    seen: &mut BTreeSet<(usize, String)>,
    follows: &mut bool,
) -> Formula {
    let project = &projects[at];
    let Some((_, task)) = project.tasks.iter().find(|(known, _)| known == name) else {
        return Formula::Is(false);
    };
    if !seen.insert((at, name.to_owned())) {
        return Formula::Is(false);
    }
    let mut runs = inputs(project, name, task, lists);
    for dep in task.get("deps").and_then(Value::as_array).into_iter().flatten() {
        let Some(target) = text_of(dep).or_else(|| text(dep, "target")) else { continue };
        let (scope, task) = target.split_once(':').unwrap_or(("~", &target));
        let others: Vec<usize> = match scope {
            "~" => vec![at],
            "^" => {
                *follows = true;
                let all = 0..projects.len();
                all.filter(|&it| project.needs.contains(&projects[it].id)).collect()
            }
            "" => (0..projects.len()).collect(),
            scope if scope.starts_with('#') => (0..projects.len()).collect(),
            scope => (0..projects.len()).filter(|&it| projects[it].id == scope).collect(),
        };
        for other in others {
            runs = runs.or(affected(projects, other, task, lists, seen, follows));
        }
    }
    runs
}

/// The inputs of a task itself.
fn inputs(project: &Project, name: &str, task: &Value, lists: &mut Lists<'_>) -> Formula {
    let label = format!("{}:{name}", project.id);
    let above = if project.dir.is_empty() { String::new() } else { format!("{}/", project.dir) };
    let whole = if above.is_empty() { "**".to_owned() } else { format!("{}**", literal(&above)) };
    let Some(Value::Array(list)) = task.get("inputs") else {
        return lists.globs(&label, vec![whole]);
    };
    let (mut include, mut exclude, mut odd) = (Vec::new(), Vec::new(), None);
    let mut open: Vec<Value> = list.iter().rev().cloned().collect();
    while let Some(input) = open.pop() {
        let keyed = ["file", "glob"].iter().find_map(|key| text(&input, key));
        let group = text(&input, "group");
        let Some(mut written) =
            text_of(&input).or(keyed).or(group.map(|it| format!("@group({it})")))
        else {
            odd = Some(input.to_string());
            continue;
        };
        for (scheme, _) in [("file://", 0), ("glob://", 0)] {
            written = written.trim_start_matches(scheme).to_owned();
        }
        // A variable of the environment is in no change.
        if written.starts_with('$') && !written.contains('/') {
            continue;
        }
        let token = written.strip_prefix('@').and_then(|it| it.strip_suffix(')')?.split_once('('));
        if let Some((kind, of)) = token {
            match project.groups.get(of) {
                Some(list) if ["group", "globs", "files", "dirs", "root"].contains(&kind) => {
                    open.extend(list.as_array().into_iter().flatten().rev().cloned());
                }
                _ => odd = Some(written),
            }
            continue;
        }
        let (out, plain) = match written.strip_prefix('!') {
            Some(rest) => (true, rest.to_owned()),
            None => (false, written),
        };
        let plain = plain.split('?').next().unwrap_or_default().to_owned();
        let plain = plain
            .replace("$workspaceRoot", "")
            .replace("$projectRoot/", "")
            .replace("$projectSource", &format!("/{}", project.dir));
        if plain.contains(['$', '@']) && plain.contains('$') {
            odd = Some(plain);
            continue;
        }
        let from_root = match plain.strip_prefix('/') {
            Some(rest) => rest.to_owned(),
            None => format!("{above}{plain}"),
        };
        if out { exclude.push(from_root) } else { include.push(from_root) }
    }
    if let Some(odd) = odd {
        return Formula::Maybe(format!("the input `{odd}` of {label}"));
    }
    if include.is_empty() {
        return Formula::Is(false);
    }
    lists.patterns(&label, &include, &exclude, &workspaces::translate)
}
