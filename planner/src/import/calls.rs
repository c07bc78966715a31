//! A workflow with the workflows and composite actions of the tree that it uses, as one set of jobs.

use std::collections::BTreeMap;

use super::{
    Tree,
    conditions::{self, Action, Job, Steps, Workflow},
    filter::Selects,
    lists,
    yaml::{Node, get, load, text, texts},
};

/// A file of the tree that jobs or steps use.
pub(super) struct Called {
    file: String,
    yaml: Node,
}

/// The workflows of the tree that some jobs call, and the actions that some steps use, by path.
pub(super) fn called(root: &Node, tree: &Tree<'_>) -> BTreeMap<String, Called> {
    let mut found: BTreeMap<String, Called> = BTreeMap::new();
    let mut open: Vec<String> = used(root);
    while let Some(path) = open.pop() {
        if found.contains_key(&path) || found.len() > 200 {
            continue;
        }
        let files = [path.clone(), format!("{path}/action.yml"), format!("{path}/action.yaml")];
        let read = files.iter().find_map(|file| Some((file, (tree.read)(file)?)));
        let Some((file, text)) = read else { continue };
        let documents = load(&text).unwrap_or_default();
        if let Some(yaml) = documents.into_iter().next() {
            open.extend(used(&yaml));
            found.insert(path, Called { file: file.clone(), yaml });
        }
    }
    found
}

/// What the jobs of a workflow, or the steps of it or of an action, use of the tree.
fn used(root: &Node) -> Vec<String> {
    let jobs = get(root, "jobs").and_then(Node::as_map).into_iter().flatten();
    let mut all: Vec<String> = Vec::new();
    for (_, job) in jobs {
        all.extend(use_of(job));
        all.extend(steps_of(job).iter().filter_map(use_of));
    }
    let own = get(root, "runs").map(steps_of).unwrap_or_default();
    all.extend(own.iter().filter_map(use_of));
    all
}

fn use_of(of: &Node) -> Option<String> {
    let uses = get(of, "uses").and_then(text)?;
    let path = uses.strip_prefix("./")?.trim_end_matches('/');
    (!path.is_empty()).then(|| path.to_owned())
}

fn steps_of(of: &Node) -> &[Node] {
    get(of, "steps").and_then(Node::as_list).unwrap_or_default()
}

/// The steps of a job or of an action, with their lists and the composite actions among them.
fn steps<'a>(
    of: &'a Node,
    depth: usize,
    called: &'a BTreeMap<String, Called>,
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
            && let Some(Called { file, yaml }) = called.get(&path)
            && let Some(runs) = get(yaml, "runs")
            && get(runs, "using").and_then(text).as_deref() == Some("composite")
        {
            let steps = steps(runs, depth + 1, called, tree, all);
            found.actions.insert(place, Action { path, file: file.clone(), yaml, steps });
        }
    }
    found
}

/// The jobs of a workflow and of those it calls, with their lists.
pub(super) fn model<'a>(
    root: &'a Node,
    called: &'a BTreeMap<String, Called>,
    tree: &Tree<'_>,
) -> Workflow<'a> {
    let mut jobs: Vec<Job<'a>> = Vec::new();
    let mut all: Vec<(String, Selects)> = Vec::new();
    collect((root, None), None, 0, called, tree, &mut jobs, &mut all);
    let on = get(root, "on");
    let events = on.map(|on| {
        on.as_map().map_or_else(
            || texts(Some(on)),
            |events| events.iter().filter_map(|(name, _)| text(name)).collect(),
        )
    });
    Workflow::new(jobs, all, events.unwrap_or_default())
}

fn collect<'a>(
    (root, file): (&'a Node, Option<&String>),
    caller: Option<usize>,
    depth: usize,
    called: &'a BTreeMap<String, Called>,
    tree: &Tree<'_>,
    jobs: &mut Vec<Job<'a>>,
    all: &mut Vec<(String, Selects)>,
) {
    let first = jobs.len();
    let own = get(root, "jobs").and_then(Node::as_map).into_iter().flatten();
    for (name, yaml) in own {
        let Some(id) = text(name) else { continue };
        let key = caller.map_or_else(|| id.clone(), |caller| format!("{}/{id}", jobs[caller].key));
        let steps = steps(yaml, 0, called, tree, all);
        jobs.push(Job {
            key,
            file: file.cloned(),
            line: name.line,
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
        let by_name = |job: &usize| names.iter().any(|name| jobs[*job].is_called(name));
        jobs[at].needs = (first..last).filter(by_name).collect();
    }
    for at in first..last {
        let Some(called_file) =
            use_of(jobs[at].yaml).and_then(|path| called.get(&path)).filter(|_| depth < 4)
        else {
            continue;
        };
        let start = jobs.len();
        let other = &called_file.yaml;
        collect((other, Some(&called_file.file)), Some(at), depth + 1, called, tree, jobs, all);
        let own = (start..jobs.len()).filter(|&job| jobs[job].caller == Some(at)).collect();
        jobs[at].called = own;
        let call = get(other, "on").and_then(|on| get(on, "workflow_call"));
        let values = |key: &str, of: &str| -> Vec<(String, Option<String>)> {
            let list = call.and_then(|call| get(call, key)).and_then(Node::as_map);
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
