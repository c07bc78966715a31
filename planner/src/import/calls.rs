//! A workflow with the workflows and composite actions of the tree that it uses, as one set of jobs.

use std::collections::BTreeMap;

use saphyr::Yaml;

use super::{
    Tree,
    conditions::{self, Action, Job, Steps, Workflow},
    filter::Selects,
    lists,
    yaml::{get, load, text, texts},
};

/// The workflows of the tree that some jobs call, and the actions that some steps use, by path.
pub(super) fn called(root: &Yaml<'_>, tree: &Tree<'_>) -> BTreeMap<String, Yaml<'static>> {
    let mut found: BTreeMap<String, Yaml<'static>> = BTreeMap::new();
    let mut open: Vec<String> = used(root);
    while let Some(path) = open.pop() {
        if found.contains_key(&path) || found.len() > 200 {
            continue;
        }
        let files = [path.clone(), format!("{path}/action.yml"), format!("{path}/action.yaml")];
        let documents = files.iter().find_map(|file| (tree.read)(file));
        let documents = documents.and_then(|text| load(&text).ok());
        if let Some(document) = documents.and_then(|list| list.into_iter().next()) {
            open.extend(used(&document));
            found.insert(path, document);
        }
    }
    found
}

/// What the jobs of a workflow, or the steps of it or of an action, use of the tree.
fn used(root: &Yaml<'_>) -> Vec<String> {
    let jobs = get(root, "jobs").and_then(Yaml::as_mapping).into_iter().flatten();
    let mut all: Vec<String> = Vec::new();
    for (_, job) in jobs {
        all.extend(use_of(job));
        all.extend(steps_of(job).iter().filter_map(use_of));
    }
    let own = get(root, "runs").map(steps_of).unwrap_or_default();
    all.extend(own.iter().filter_map(use_of));
    all
}

fn use_of(of: &Yaml<'_>) -> Option<String> {
    let uses = get(of, "uses").and_then(text)?;
    let path = uses.strip_prefix("./")?.trim_end_matches('/');
    (!path.is_empty()).then(|| path.to_owned())
}

fn steps_of<'a, 'i>(of: &'a Yaml<'i>) -> &'a [Yaml<'i>] {
    get(of, "steps").and_then(Yaml::as_sequence).map_or(&[], Vec::as_slice)
}

/// The steps of a job or of an action, with their lists and the composite actions among them.
fn steps<'a>(
    of: &'a Yaml<'a>,
    depth: usize,
    called: &'a BTreeMap<String, Yaml<'static>>,
    tree: &Tree<'_>,
    all: &mut Vec<(String, Selects)>,
) -> Steps<'a> {
    let mut found = Steps { list: steps_of(of), ..Steps::default() };
    for (place, step) in found.list.iter().enumerate() {
        if lists::is_step(step) {
            let step = lists::read(step, tree.read, tree.has_file);
            let start = all.len();
            all.extend(step.lists.iter().cloned());
            found.lists.insert(place, (step, start));
        } else if let Some(path) = use_of(step).filter(|_| depth < 4)
            && let Some(yaml) = called.get(&path)
            && let Some(runs) = get(yaml, "runs")
            && get(runs, "using").and_then(text).as_deref() == Some("composite")
        {
            let steps = steps(runs, depth + 1, called, tree, all);
            found.actions.insert(place, Action { path, yaml, steps });
        }
    }
    found
}

/// The jobs of a workflow and of those it calls, with their lists.
pub(super) fn model<'a>(
    root: &'a Yaml<'a>,
    called: &'a BTreeMap<String, Yaml<'static>>,
    tree: &Tree<'_>,
) -> Workflow<'a> {
    let mut jobs: Vec<Job<'a>> = Vec::new();
    let mut all: Vec<(String, Selects)> = Vec::new();
    collect(root, None, 0, called, tree, &mut jobs, &mut all);
    let on = get(root, "on");
    let events = on.map(|on| {
        on.as_mapping()
            .map_or_else(|| texts(Some(on)), |events| events.keys().filter_map(text).collect())
    });
    Workflow::new(jobs, all, events.unwrap_or_default())
}

fn collect<'a>(
    root: &'a Yaml<'a>,
    caller: Option<usize>,
    depth: usize,
    called: &'a BTreeMap<String, Yaml<'static>>,
    tree: &Tree<'_>,
    jobs: &mut Vec<Job<'a>>,
    all: &mut Vec<(String, Selects)>,
) {
    let first = jobs.len();
    let own = get(root, "jobs").and_then(Yaml::as_mapping).into_iter().flatten();
    for (id, yaml) in own {
        let Some(id) = text(id) else { continue };
        let key = caller.map_or_else(|| id.clone(), |caller| format!("{}/{id}", jobs[caller].key));
        let steps = steps(yaml, 0, called, tree, all);
        jobs.push(Job {
            key,
            yaml,
            caller,
            needs: Vec::new(),
            called: Vec::new(),
            called_outputs: Vec::new(),
            steps,
            inputs: BTreeMap::new(),
        });
    }
    let last = jobs.len();
    for at in first..last {
        let names = conditions::need_names(jobs[at].yaml);
        let by_name =
            |job: &usize| names.iter().any(|name| jobs[*job].key.rsplit('/').next() == Some(name));
        jobs[at].needs = (first..last).filter(by_name).collect();
    }
    for at in first..last {
        let Some(other) =
            use_of(jobs[at].yaml).and_then(|path| called.get(&path)).filter(|_| depth < 4)
        else {
            continue;
        };
        let start = jobs.len();
        collect(other, Some(at), depth + 1, called, tree, jobs, all);
        let own = (start..jobs.len()).filter(|&job| jobs[job].caller == Some(at)).collect();
        jobs[at].called = own;
        let call = get(other, "on").and_then(|on| get(on, "workflow_call"));
        let values = |key: &str, of: &str| -> Vec<(String, Option<String>)> {
            let list = call.and_then(|call| get(call, key)).and_then(Yaml::as_mapping);
            list.into_iter()
                .flatten()
                .filter_map(|(name, it)| Some((text(name)?, get(it, of).and_then(text))))
                .collect()
        };
        jobs[at].inputs = values("inputs", "default").into_iter().collect();
        let outputs = values("outputs", "value").into_iter();
        jobs[at].called_outputs = outputs.filter_map(|(name, it)| Some((name, it?))).collect();
    }
}
