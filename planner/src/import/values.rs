//! Values that pass between steps and between jobs of GitHub's, as variables of a script: what a
//! step leaves in `$GITHUB_OUTPUT`, the `outputs` of a job, and `needs.*.outputs` where they are read.
//!
//! An output is carried over when each part of it is a text of the file or what a step that runs here
//! leaves. Which name a needed job has is known only later: until then a script holds a [`Token`].

use std::collections::BTreeSet;

use plans::OutputName;

use super::{
    conditions::{Part, Steps, Workflow, parts},
    expression,
    yaml::{Data, Node, find, get, is_same, line_of, pairs, text},
};

/// A sign of no definition, around what [`linked`] puts names for.
const MARK: char = '\u{E000}';

/// A part of the value of an output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Text(String),
    /// A variable of the job's script.
    Variable(String),
}

/// The variable of a script for what a step leaves; `scope` is that of its action, or empty.
pub(super) fn variable(scope: &str, id: &str, name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("STEP_{scope}{id}_{name}").chars().map(plain).collect()
}

/// The scope of the steps of an action that a step of this id uses.
pub(super) fn scope(outer: &str, id: &str) -> String {
    format!("{outer}{id}_")
}

/// The id and the name in `steps.ID.outputs.NAME`.
pub(super) fn step_output(inside: &str) -> Option<(String, String)> {
    pair(inside, "steps", "outputs")
}

/// The job and the name in `needs.JOB.outputs.NAME`.
pub(super) fn need_output(inside: &str) -> Option<(String, String)> {
    pair(inside, "needs", "outputs")
}

/// The name in `inputs.NAME`.
pub(super) fn input(inside: &str) -> Option<String> {
    single(inside, "inputs")
}

/// The name in `env.NAME`.
pub(super) fn variable_of_env(inside: &str) -> Option<String> {
    single(inside, "env")
}

fn single(inside: &str, first: &str) -> Option<String> {
    let parsed = expression::parse(inside)?;
    match expression::path(&parsed)?.as_slice() {
        [context, name] if is_same(context, first) && name != "*" => Some(name.clone()),
        _ => None,
    }
}

fn pair(inside: &str, first: &str, third: &str) -> Option<(String, String)> {
    let parsed = expression::parse(inside)?;
    match expression::path(&parsed)?.as_slice() {
        [context, id, what, name]
            if is_same(context, first) && is_same(what, third) && id != "*" =>
        {
            Some((id.clone(), name.clone()))
        }
        _ => None,
    }
}

/// What a step of some steps leaves, where it is something that runs here.
pub(super) fn of_step(steps: &Steps<'_>, outer: &str, id: &str, name: &str) -> Option<Vec<Piece>> {
    let place = steps.place_of(id)?;
    if let Some(action) = steps.actions.get(&place) {
        let output = get(action.yaml, "outputs").and_then(|all| find(all, name))?;
        let written = get(output, "value").and_then(text)?;
        return of_text(&action.steps, &scope(outer, id), &written);
    }
    get(&steps.list[place], "run")?;
    Some(vec![Piece::Variable(variable(outer, id, name))])
}

/// A text whose expressions are all about what steps leave.
fn of_text(steps: &Steps<'_>, outer: &str, written: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    for part in parts(written) {
        match part {
            Part::Plain(text) => pieces.push(Piece::Text(text.to_owned())),
            Part::Expression(inside) => {
                let (id, name) = step_output(inside)?;
                pieces.extend(of_step(steps, outer, &id, &name)?);
            }
        }
    }
    Some(pieces)
}

/// An output of a job that other jobs read.
#[derive(Debug, Clone)]
pub(super) struct Output {
    pub(super) name: String,
    /// What it is made of; or why it cannot be carried over.
    pub(super) value: Result<Vec<Piece>, String>,
    /// What it reads of steps: ids and names.
    pub(super) reads: BTreeSet<(String, String)>,
    /// The line of its file.
    pub(super) line: usize,
}

/// The outputs of a job that some job reads.
pub(super) fn outputs(workflow: &Workflow<'_>, job: usize, repeated: bool) -> Vec<Output> {
    let of = &workflow.jobs[job];
    let Some(map) = get(of.yaml, "outputs") else { return Vec::new() };
    let read = read_of(workflow, job);
    let context = workflow.in_steps(job, &[]);
    let mut variables = BTreeSet::new();
    let mut found = Vec::new();
    for (name, written) in
        pairs(Some(map)).into_iter().filter(|(name, _)| read.contains(&name.to_ascii_lowercase()))
    {
        let known = workflow.known_text(&context, &written);
        let value = match OutputName::new(name.as_str()) {
            Err(_) => Err("that is no name of an output here".to_owned()),
            Ok(_) if repeated => Err("each combination has one of its own".to_owned()),
            Ok(name) if !variables.insert(name.variable_of("")) => {
                Err("another one would be the same variable".to_owned())
            }
            Ok(_) => of_text(&of.steps, "", &known)
                .ok_or_else(|| format!("`{}` is not made by a step that runs here", known.trim())),
        };
        let line = line_of(map, &name).unwrap_or(map.line);
        let mut reads = BTreeSet::new();
        for part in parts(&known) {
            if let Part::Expression(inside) = part {
                reads.extend(step_output(inside).filter(|_| value.is_ok()));
            }
        }
        found.push(Output { name, value, reads, line });
    }
    found
}

/// The names of the outputs of a job that texts of other jobs hold, by conditions too.
fn read_of(workflow: &Workflow<'_>, job: usize) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (at, other) in workflow.jobs.iter().enumerate() {
        let mut found = |inside: &str| {
            if let Some((need, name)) = need_output(inside)
                && let Some((of, name)) = source(workflow, at, &need, &name)
                && of == job
            {
                names.insert(name.to_ascii_lowercase());
            }
        };
        // What is given to an action or a workflow from elsewhere goes nowhere here.
        let is_here = |step: &&Node| {
            let uses = get(step, "uses").and_then(text);
            get(step, "run").is_some() || uses.is_some_and(|uses| uses.starts_with("./"))
        };
        let steps = other.steps.list.iter().filter(is_here);
        let with = get(other.yaml, "with").filter(|_| !other.called.is_empty());
        for node in steps.chain(get(other.yaml, "env")).chain(with) {
            expressions_of(node, &mut found);
        }
    }
    names
}

/// The job that gives an output that a job reads, and what it is called there.
pub(super) fn source(
    workflow: &Workflow<'_>,
    reader: usize,
    need: &str,
    name: &str,
) -> Option<(usize, String)> {
    let jobs = &workflow.jobs;
    let is = |&&it: &&usize| jobs[it].is_called(need);
    let mut job = jobs[reader].needs.iter().find(is).copied()?;
    let mut name = name.to_owned();
    while !jobs[job].called.is_empty() {
        let written = jobs[job].called_outputs.iter().find(|(known, _)| is_same(known, &name))?;
        let inside = written.1.trim().strip_prefix("${{")?.strip_suffix("}}")?;
        let (inner, output) = pair(inside, "jobs", "outputs")?;
        let is = |&&it: &&usize| jobs[it].is_called(&inner);
        job = jobs[job].called.iter().find(is).copied()?;
        name = output;
    }
    Some((job, name))
}

/// Calls something with what stands between `${{` and `}}` in every text of a node but conditions.
pub(super) fn expressions_of(node: &Node, found: &mut dyn FnMut(&str)) {
    match &node.data {
        Data::List(list) => list.iter().for_each(|it| expressions_of(it, found)),
        Data::Map(pairs) => {
            let others = pairs.iter().filter(|(key, _)| key.as_str() != Some("if"));
            others.for_each(|(_, it)| expressions_of(it, found));
        }
        _ => {
            for part in parts(&text(node).unwrap_or_default()) {
                if let Part::Expression(inside) = part {
                    found(inside);
                }
            }
        }
    }
}

/// What the texts of a node read of steps: ids and names.
pub(super) fn reads(node: &Node) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    expressions_of(node, &mut |inside| found.extend(step_output(inside)));
    found
}

/// What stands in a script for an output of a job, by its place in the workflow.
pub(super) fn token(job: usize, name: &str) -> String {
    format!("{MARK}{job} {name}{MARK}")
}

/// A script with the names of variables for its tokens.
pub(super) fn linked(script: &str, variable: &dyn Fn(usize, &str) -> String) -> String {
    let mut out = String::new();
    for (at, part) in script.split(MARK).enumerate() {
        match part.split_once(' ').map(|(job, name)| (job.parse::<usize>(), name)) {
            Some((Ok(job), name)) if at % 2 == 1 => out.push_str(&variable(job, name)),
            _ => out.push_str(part),
        }
    }
    out
}

/// The lines that hand the outputs of a job on.
pub(super) fn handed_on(outputs: &[Output]) -> String {
    let mut out = String::new();
    for output in outputs {
        let Ok(pieces) = &output.value else { continue };
        let value: Vec<String> = pieces
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => crate::init::shell::quoted(text),
                Piece::Variable(name) => format!("\"${{{name}}}\""),
            })
            .collect();
        let value = if value.is_empty() { "''".to_owned() } else { value.concat() };
        let name = &output.name;
        out.extend(["printf '", name, "<<end_of_", name, "\\n%s\\nend_of_", name, "\\n' "]);
        out.extend([&value, " >>\"$FORGE_LANES_OUTPUT\"\n"]);
    }
    out
}
