//! A workflow with the workflows of the tree that it calls, as one set of jobs.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode as _, Yaml};

use super::{
    Tree,
    conditions::{self, Job, Workflow},
    filter::Selects,
    lists,
    yaml::{get, text, texts},
};

/// The workflows of the tree that some jobs call, by path.
pub(super) fn called(root: &Yaml<'_>, tree: &Tree<'_>) -> BTreeMap<String, Yaml<'static>> {
    let mut found: BTreeMap<String, Yaml<'static>> = BTreeMap::new();
    let mut open: Vec<String> = calls(root);
    while let Some(path) = open.pop() {
        if found.contains_key(&path) || found.len() > 200 {
            continue;
        }
        let documents = (tree.read)(&path).and_then(|text| {
            Yaml::load_from_str(&text)
                .ok()
                .map(|list| list.into_iter().map(own).collect::<Vec<Yaml<'static>>>())
        });
        if let Some(document) = documents.and_then(|list| list.into_iter().next()) {
            open.extend(calls(&document));
            found.insert(path, document);
        }
    }
    found
}

/// A document that borrows nothing.
fn own(node: Yaml<'_>) -> Yaml<'static> {
    use saphyr::Scalar;
    match node {
        Yaml::Value(Scalar::String(text)) => Yaml::Value(Scalar::String(text.into_owned().into())),
        Yaml::Value(Scalar::Null) => Yaml::Value(Scalar::Null),
        Yaml::Value(Scalar::Boolean(value)) => Yaml::Value(Scalar::Boolean(value)),
        Yaml::Value(Scalar::Integer(value)) => Yaml::Value(Scalar::Integer(value)),
        Yaml::Value(Scalar::FloatingPoint(value)) => Yaml::Value(Scalar::FloatingPoint(value)),
        Yaml::Sequence(list) => Yaml::Sequence(list.into_iter().map(own).collect()),
        Yaml::Mapping(pairs) => {
            Yaml::Mapping(pairs.into_iter().map(|(key, value)| (own(key), own(value))).collect())
        }
        Yaml::Tagged(_, inside) => own(*inside),
        Yaml::Representation(text, ..) => Yaml::Value(Scalar::String(text.into_owned().into())),
        Yaml::Alias(_) | Yaml::BadValue => Yaml::BadValue,
    }
}

fn calls(root: &Yaml<'_>) -> Vec<String> {
    let jobs = get(root, "jobs").and_then(Yaml::as_mapping).into_iter().flatten();
    jobs.filter_map(|(_, job)| call_of(job)).collect()
}

fn call_of(job: &Yaml<'_>) -> Option<String> {
    let uses = get(job, "uses").and_then(text)?;
    uses.strip_prefix("./").map(str::to_owned)
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
        let mut list_steps = BTreeMap::new();
        let steps = get(yaml, "steps").and_then(Yaml::as_sequence).into_iter().flatten();
        for (place, step) in steps.enumerate().filter(|(_, step)| lists::is_step(step)) {
            let step = lists::read(step, tree.read, tree.has_file);
            let start = all.len();
            all.extend(step.lists.iter().cloned());
            list_steps.insert(place, (step, start));
        }
        jobs.push(Job {
            key,
            yaml,
            caller,
            needs: Vec::new(),
            called: Vec::new(),
            called_outputs: Vec::new(),
            list_steps,
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
            call_of(jobs[at].yaml).and_then(|path| called.get(&path)).filter(|_| depth < 4)
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
