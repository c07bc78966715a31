//! nx's projects: every project becomes a lane, every target a job.
//!
//! By nx's documentation and by asking it (24.0): `nx affected` goes by projects: one is affected
//! by every file of it, by the projects that it depends on, by files of the workspace that an
//! input of its targets names, by `nx.json`, by a changed lock file (all of them, unless the plugin
//! says `auto`) and by the deletion of any project's file. Projects of npm packages follow the
//! package. Where nx looks into sources for dependencies, they are not known here, and every project's
//! files count.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    ImportError, Tree,
    dialect::workspaces,
    document::{text, text_of, texts},
    draft_of,
    filter::{Filter, distinct},
    formula::Formula,
    listed::{Job, Lists},
    pipeline::{self, Entry, Pipeline, simple},
    selection::When,
    sources::NpmPackage,
};
use crate::{init::draft::Draft, packages::literal};

const LOCKS: [&str; 6] = [
    "package-lock.json",
    "npm-shrinkwrap.json",
    "pnpm-lock.yaml",
    "yarn.lock",
    "bun.lock",
    "bun.lockb",
];

#[derive(Default)]
struct Project {
    dir: String,
    /// It is a package of the npm workspace, of this name.
    package: Option<String>,
    /// The directories of packages that it depends on.
    needs: Vec<String>,
    /// Names of others, or patterns.
    implicit: Vec<String>,
    targets: BTreeMap<String, Value>,
    named: Value,
}

/// Drafts lanes for the projects of a tree.
///
/// # Errors
///
/// [`ImportError`] when nx's file is not there or cannot be read.
pub fn import(tree: &Tree<'_>) -> Result<Draft, ImportError> {
    if !tree.has("nx.json") {
        return Err(super::nothing("nx.json"));
    }
    let error =
        |detail: &str| ImportError { file: "nx.json".to_owned(), detail: detail.to_owned() };
    let nx = tree.json("nx.json").ok_or_else(|| error("it is no JSON"))?;
    let mut draft = draft_of("nx's projects", &["A lane follows its project."]);
    let projects = projects(tree);
    let looks = looks_into_sources(&nx, tree);
    let mut comment = Vec::new();
    if looks {
        comment.push(
            "nx looks into sources for what a project depends on; here the files of every project count.".to_owned(),
        );
    }
    let plugin = nx.get("pluginsConfig").and_then(|it| it.get("@nx/js"));
    let auto = plugin.and_then(|it| text(it, "projectsAffectedByDependencyUpdates"));
    let mut shared = vec!["nx.json".to_owned()];
    if auto.as_deref() != Some("auto") {
        shared.extend(LOCKS.iter().filter(|lock| tree.has(lock)).map(|lock| (*lock).to_owned()));
    }
    if looks {
        let configs = ["tsconfig.base.json", "tsconfig.json"];
        shared.extend(configs.iter().filter(|it| tree.has(it)).map(|it| (*it).to_owned()));
        shared.extend(projects.values().map(|project| below(&project.dir)));
    }
    let lists = Lists::new(tree);
    let mut entries: Vec<Entry> = Vec::new();
    for (name, project) in &projects {
        let mut paths = shared.clone();
        let mut packages: Vec<String> = Vec::new();
        let mut notes = Vec::new();
        for other in reached(name, &projects) {
            let other = &projects[&other];
            match &other.package {
                Some(package) => packages.push(package.clone()),
                None => paths.push(below(&other.dir)),
            }
            outside(other, &nx, tree, &mut paths, &mut notes);
        }
        if project.targets.is_empty() {
            draft.closing.push(format!(
                "The project `{name}` names no target; what plugins add to it is not carried over."
            ));
            continue;
        }
        let deleted = Filter {
            paths: vec!["**/package.json".to_owned(), "**/project.json".to_owned()],
            statuses: vec!["deleted".to_owned()],
            ..Filter::default()
        };
        let paths = distinct(paths);
        let when = if paths.iter().any(|it| it == "**") {
            When::Always
        } else {
            When::For(vec![Filter { paths, ..Filter::default() }, deleted])
        };
        for target in project.targets.keys() {
            let mut job = Job { title: Some(format!("{target} of {name}")), ..Job::default() };
            job.argv =
                ["npx", "nx", "run", &format!("{name}:{target}")].map(str::to_owned).to_vec();
            let key = format!("{name} {target}");
            let Some(mut entry) = lists.entry(&key, &Formula::Is(true), job) else { continue };
            entry.when = when.clone();
            entry.notes = notes.clone();
            if !packages.is_empty() && when != When::Always {
                entry.inputs = Some(("npm", distinct(packages.clone())));
            }
            entry.words = vec![name.clone()];
            entries.push(entry);
        }
    }
    let lane = |entries: &[&Entry]| {
        let name = entries[0].words.first().cloned().unwrap_or_default();
        let title = if name.is_empty() { simple(entries).1 } else { name.clone() };
        (format!("{name}-lane"), title)
    };
    let pipeline = Pipeline { comment, lane: &lane, ..Pipeline::new("nx's targets", entries) };
    pipeline::draft(pipeline, &mut draft);
    Ok(draft)
}

fn below(dir: &str) -> String {
    if dir.is_empty() { "**".to_owned() } else { format!("{}/**", literal(dir)) }
}

/// Every project by name.
fn projects(tree: &Tree<'_>) -> BTreeMap<String, Project> {
    let mut by_dir: BTreeMap<String, (String, Project)> = BTreeMap::new();
    for NpmPackage { name, dir, needs } in tree.npm_packages() {
        let file =
            if dir.is_empty() { "package.json".to_owned() } else { format!("{dir}/package.json") };
        let Some(manifest) = tree.json(&file) else { continue };
        let nx = manifest.get("nx").cloned().unwrap_or(Value::Null);
        // The root is a project only where it says so.
        if dir.is_empty() && nx.is_null() {
            continue;
        }
        let mut project =
            Project { dir: dir.clone(), package: Some(name.clone()), needs, ..Project::default() };
        let included = nx.get("includedScripts").map(|it| texts(Some(it)));
        let scripts = manifest.get("scripts").and_then(Value::as_object).into_iter().flatten();
        for (script, _) in scripts {
            if included.as_ref().is_none_or(|it| it.contains(script)) {
                project.targets.insert(script.clone(), Value::Null);
            }
        }
        add(&mut project, &nx);
        by_dir.insert(dir, (text(&nx, "name").unwrap_or(name), project));
    }
    let files = tree.paths.iter().filter(|path| {
        (path.as_str() == "project.json" || path.ends_with("/project.json"))
            && !path.split('/').any(|part| part == "node_modules")
    });
    for file in files {
        let Some(json) = tree.json(file) else { continue };
        let dir = file.trim_end_matches("project.json").trim_end_matches('/').to_owned();
        let default = dir.rsplit('/').next().unwrap_or_default().to_owned();
        let known = by_dir.remove(&dir);
        let (known, mut project) =
            known.unwrap_or_else(|| (default, Project { dir: dir.clone(), ..Project::default() }));
        add(&mut project, &json);
        by_dir.insert(dir, (text(&json, "name").unwrap_or(known), project));
    }
    by_dir.into_values().collect()
}

fn add(project: &mut Project, of: &Value) {
    project.implicit.extend(texts(of.get("implicitDependencies")));
    for (name, target) in of.get("targets").and_then(Value::as_object).into_iter().flatten() {
        project.targets.insert(name.clone(), target.clone());
    }
    if let Some(named) = of.get("namedInputs") {
        project.named = named.clone();
    }
}

/// A project with those that it depends on.
fn reached(name: &str, projects: &BTreeMap<String, Project>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![name.to_owned()];
    while let Some(name) = open.pop() {
        if !found.insert(name.clone()) {
            continue;
        }
        let Some(project) = projects.get(&name) else { continue };
        let linked = projects.iter().filter(|(_, other)| project.needs.contains(&other.dir));
        open.extend(linked.map(|(name, _)| name.clone()));
        for other in &project.implicit {
            // One that is taken out may come in another way.
            if other.starts_with('!') {
                continue;
            }
            if other.contains(['*', ':', '{']) {
                open.extend(projects.keys().cloned());
            } else if projects.contains_key(other) {
                open.push(other.clone());
            }
        }
    }
    found
}

/// Files of the workspace that inputs of a project's targets name.
fn outside(
    project: &Project,
    nx: &Value,
    tree: &Tree<'_>,
    paths: &mut Vec<String>,
    notes: &mut Vec<String>,
) {
    let defaults = nx.get("targetDefaults");
    let mut open: Vec<Value> = Vec::new();
    for (name, target) in &project.targets {
        let executor = text(target, "executor");
        let own = target.get("inputs");
        let default = defaults.and_then(|it| {
            it.get(name).or_else(|| it.get(executor.as_deref().unwrap_or_default()))
        });
        let inputs = own.or_else(|| default.and_then(|it| it.get("inputs")));
        match inputs {
            Some(Value::Array(list)) => open.extend(list.iter().cloned()),
            _ => open.push(Value::String("default".to_owned())),
        }
        // A target default with a pattern may be meant, too.
        for (other, of) in defaults.and_then(Value::as_object).into_iter().flatten() {
            if other.contains('*') || of.is_array() {
                open.extend(
                    of.get("inputs").and_then(Value::as_array).into_iter().flatten().cloned(),
                );
            }
        }
    }
    // A default that is no target of anybody is nobody's.
    let mut seen = BTreeSet::new();
    while let Some(input) = open.pop() {
        let written =
            text_of(&input).or_else(|| text(&input, "fileset")).or_else(|| text(&input, "input"));
        let Some(written) = written else { continue };
        if !seen.insert(written.clone()) {
            continue;
        }
        if let Some(pattern) = written.strip_prefix("{workspaceRoot}") {
            let found = workspaces::included(pattern.trim_start_matches('/'));
            paths.extend(found.include().iter().cloned());
            paths.extend(found.itself.iter().filter(|glob| (tree.has_file)(glob)).cloned());
            notes.extend(found.wider.map(|(_, reason)| reason));
            continue;
        }
        // `{projectRoot}` is the project's own; an exclusion is of no account for what is affected.
        let name = written.trim_start_matches('^');
        let named =
            project.named.get(name).or_else(|| nx.get("namedInputs").and_then(|it| it.get(name)));
        open.extend(named.and_then(Value::as_array).into_iter().flatten().cloned());
    }
}

/// Whether nx looks into sources for dependencies, as it decides that itself.
fn looks_into_sources(nx: &Value, tree: &Tree<'_>) -> bool {
    if let Some(plugin) = nx.get("pluginsConfig").and_then(|it| it.get("@nx/js")) {
        return plugin.get("analyzeSourceFiles") != Some(&Value::Bool(false));
    }
    let Some(manifest) = tree.json("package.json") else { return false };
    let plugins = ["workspace", "js", "node", "next", "react", "angular", "web"];
    ["dependencies", "devDependencies"].iter().any(|kind| {
        let list = manifest.get(*kind);
        plugins.iter().any(|it| list.and_then(|list| list.get(format!("@nx/{it}"))).is_some())
    })
}
