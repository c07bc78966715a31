//! When each job of a workflow runs, as a condition on lists of paths.
//!
//! Follows `needs`, outputs renamed on their way, calls of workflows of the same tree with their
//! inputs, and the skipping of jobs whose needs were skipped. What a run decides (results, events,
//! other steps) is unknown, and says which part it is.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    contexts::{In, InAction, InCalled},
    evaluate::{Context, Unknown, Value, evaluate, unknown},
    expression::{self, Expression},
    filter::Selects,
    formula::{Atom, Formula},
    lists,
    yaml::{Node, find, get, is_same, pairs, text, texts},
};

/// A job, of the workflow itself or of one that it calls.
pub(super) struct Job<'a> {
    /// The caller's name and its own, `call/job`.
    pub(super) key: String,
    /// The file it is in, where that is not the workflow's own.
    pub(super) file: Option<String>,
    /// The line of its name.
    pub(super) line: usize,
    /// The job's definition.
    pub(super) yaml: &'a Node,
    /// The job that calls the workflow it is in.
    pub(super) caller: Option<usize>,
    /// Jobs it waits for, by place.
    pub(super) needs: Vec<usize>,
    /// The jobs of the workflow that it calls.
    pub(super) called: Vec<usize>,
    /// Outputs of the workflow that it calls, as written there.
    pub(super) called_outputs: Vec<(String, String)>,
    /// What it does; nothing, where it calls a workflow.
    pub(super) steps: Steps<'a>,
    /// What the called workflow says of its inputs: name and default.
    pub(super) inputs: BTreeMap<String, Option<String>>,
}

impl Job<'_> {
    /// Whether it has this name in its file; case is of no account there.
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.key.rsplit('/').next().is_some_and(|own| is_same(own, name))
    }
}

/// The steps of a job or of a composite action.
#[derive(Default)]
pub(super) struct Steps<'a> {
    pub(super) list: &'a [Node],
    /// Those that hold lists: by place, with the step's first list.
    pub(super) lists: BTreeMap<usize, (lists::Step, usize)>,
    /// Those that are composite actions of the tree, by place.
    pub(super) actions: BTreeMap<usize, Action<'a>>,
}

impl Steps<'_> {
    /// The place of the step of an id.
    pub(super) fn place_of(&self, id: &str) -> Option<usize> {
        let own = |step: &Node| get(step, "id").and_then(text).is_some_and(|it| is_same(&it, id));
        self.list.iter().position(own)
    }
}

/// A composite action of the tree, where a step uses it.
pub(super) struct Action<'a> {
    /// Its directory.
    pub(super) path: String,
    /// The file it is in.
    pub(super) file: String,
    pub(super) yaml: &'a Node,
    pub(super) steps: Steps<'a>,
}

/// Everything that conditions ask about.
pub(super) struct Workflow<'a> {
    pub(super) jobs: Vec<Job<'a>>,
    /// Every list, in order: its name and what it selects.
    pub(super) lists: Vec<(String, Selects)>,
    /// The events that start it.
    pub(super) events: Vec<String>,
    runs: RefCell<BTreeMap<usize, Formula>>,
    /// Jobs whose condition is being asked, against circles.
    asked: RefCell<BTreeSet<usize>>,
}

impl<'a> Workflow<'a> {
    pub(super) fn new(
        jobs: Vec<Job<'a>>,
        lists: Vec<(String, Selects)>,
        events: Vec<String>,
    ) -> Self {
        Self { jobs, lists, events, runs: RefCell::default(), asked: RefCell::default() }
    }

    /// Returns when a job runs.
    pub(super) fn runs(&self, job: usize) -> Formula {
        if let Some(known) = self.runs.borrow().get(&job) {
            return known.clone();
        }
        if !self.asked.borrow_mut().insert(job) {
            return Formula::Maybe("a circle of `needs`".to_owned());
        }
        let found = self.condition(job);
        self.asked.borrow_mut().remove(&job);
        self.runs.borrow_mut().insert(job, found.clone());
        found
    }

    fn condition(&self, job: usize) -> Formula {
        let of_caller = match self.jobs[job].caller {
            Some(caller) => self.runs(caller),
            None => Formula::Is(true),
        };
        let context = In::condition(self, job);
        let Some(written) = get(self.jobs[job].yaml, "if").and_then(text) else {
            return of_caller.and(self.success(job));
        };
        let Some(parsed) = condition(&written) else {
            // Whether it asks for a status is not known either.
            return of_caller.and(Formula::Maybe(format!("`{}`", written.trim())));
        };
        let own = evaluate(&parsed, &context).truth();
        if expression::asks_status(&parsed) {
            of_caller.and(own)
        } else {
            of_caller.and(self.success(job)).and(own)
        }
    }

    /// That everything before a job ran: one that is skipped skips what comes after it.
    pub(super) fn success(&self, job: usize) -> Formula {
        let mut all = BTreeSet::new();
        let mut open: Vec<usize> = self.jobs[job].needs.clone();
        while let Some(next) = open.pop() {
            if all.insert(next) {
                open.extend(&self.jobs[next].needs);
            }
        }
        all.into_iter().map(|need| self.runs(need)).fold(Formula::Is(true), Formula::and)
    }

    /// Whether a job runs only after its needs did.
    pub(super) fn needs_success(&self, job: usize) -> bool {
        let written = get(self.jobs[job].yaml, "if").and_then(text);
        written.is_none_or(|written| {
            condition(&written).is_some_and(|parsed| !expression::asks_status(&parsed))
        })
    }

    /// The axis of a job's matrix that holds the names of the lists that matched, and those lists.
    pub(super) fn legs(&self, job: usize) -> Option<(String, Vec<(String, Atom)>)> {
        let matrix = get(get(self.jobs[job].yaml, "strategy")?, "matrix")?.as_map()?;
        let context = In::condition(self, job);
        matrix.iter().find_map(|(axis, written)| {
            let value = evaluate(&condition(written.as_str()?)?, &context);
            Some((text(axis)?, value.names()?.to_vec()))
        })
    }

    /// What the condition of a step is worth once the steps before it have passed; nothing where it
    /// is no expression.
    pub(super) fn step_condition(&self, context: &dyn Context, written: &str) -> Option<Formula> {
        Some(evaluate(&condition(written)?, context).truth())
    }

    /// What the steps of a job are evaluated in, and the leg of its matrix.
    pub(super) fn in_steps<'w>(&'w self, job: usize, leg: &'w [(String, String)]) -> In<'w, 'a> {
        In::steps(self, job, leg)
    }

    /// A text with expressions put in where they are known to every run.
    pub(super) fn known_text(&self, context: &dyn Context, written: &str) -> String {
        let mut out = String::new();
        for part in parts(written) {
            match part {
                Part::Plain(text) => out.push_str(text),
                Part::Expression(inside) => {
                    let value =
                        expression::parse(inside).map(|it| evaluate(&it, context).into_text());
                    match value {
                        Some(Value::Text(text)) => out.push_str(&text),
                        _ => out.extend(["${{", inside, "}}"]),
                    }
                }
            }
        }
        out
    }

    pub(super) fn output(&self, job: usize, name: &str) -> Value {
        let of = &self.jobs[job];
        let find = |list: &[(String, String)]| {
            list.iter().find(|(known, _)| is_same(known, name)).map(|(_, value)| value.clone())
        };
        let value = if of.called.is_empty() {
            let Some(written) = find(&pairs(get(of.yaml, "outputs"))) else {
                let called = get(of.yaml, "uses").is_some();
                return if called {
                    unknown(format!("`{}.outputs.{name}`", of.key))
                } else {
                    Value::text("")
                };
            };
            self.template(&written, &self.in_steps(job, &[]))
        } else {
            let Some(written) = find(&of.called_outputs) else { return Value::text("") };
            self.template(&written, &InCalled::new(self, job))
        };
        Value::choice(self.runs(job), value, Value::text(""))
    }

    /// What a step of some steps gives, evaluated in what these are evaluated in.
    pub(super) fn step_output(
        &self,
        steps: &Steps<'_>,
        context: &dyn Context,
        id: &str,
        name: &str,
    ) -> Value {
        let why = || unknown(format!("`steps.{id}.outputs.{name}`"));
        let Some(place) = steps.place_of(id) else { return Value::text("") };
        let written = get(&steps.list[place], "if").and_then(text);
        // A step that does not run writes no output.
        let runs = match written {
            None => Formula::Is(true),
            Some(written) => self
                .step_condition(context, &written)
                .unwrap_or_else(|| Formula::Maybe(format!("`{}`", written.trim()))),
        };
        if let Some(action) = steps.actions.get(&place) {
            let outputs = get(action.yaml, "outputs").and_then(|all| find(all, name));
            let value = outputs.and_then(|output| get(output, "value")).and_then(text);
            let inside = InAction::new(self, action, &steps.list[place], context);
            let value = value.map_or(Value::text(""), |value| self.template(&value, &inside));
            return Value::choice(runs, value, Value::text(""));
        }
        let Some((step, first)) = steps.lists.get(&place) else { return why() };
        let at = |name: &str| step.lists.iter().position(|(known, _)| is_same(known, name));
        let list = |at: usize| Formula::List(first + at);
        let never = |words: &[&str]| {
            let never = words.iter().map(|&word| word.to_owned()).collect();
            Value::Unknown(Unknown { why: format!("`steps.{id}.outputs.{name}`"), never })
        };
        let value = if step.trouble.is_some() {
            why()
        } else if let Some(at) = at(name) {
            Value::choice(list(at), Value::text("true"), Value::text("false"))
        } else if is_same(name, "changes") {
            let names = step.lists.iter().enumerate();
            Value::Names(names.map(|(at, (name, _))| (name.clone(), first + at)).collect())
        } else if let Some(at) = name.strip_suffix("_count").and_then(at) {
            Value::choice(list(at), never(&["", "0"]), Value::text("0"))
        } else if let Some(at) = name.strip_suffix("_files").and_then(at) {
            match step.no_files {
                None => Value::text(""),
                Some(none) => Value::choice(list(at), never(&["", "[]"]), Value::text(none)),
            }
        } else {
            Value::text("")
        };
        Value::choice(runs, value, Value::text(""))
    }

    pub(super) fn template(&self, written: &str, context: &dyn Context) -> Value {
        let parts = parts(written);
        let part = |part: &Part<'_>| match part {
            Part::Plain(text) => Value::text(text),
            Part::Expression(inside) => match expression::parse(inside) {
                Some(parsed) => evaluate(&parsed, context).into_text(),
                None => unknown(format!("`{}`", inside.trim())),
            },
        };
        match parts.as_slice() {
            [] => Value::text(""),
            [one] => part(one),
            list if list.iter().all(|it| matches!(part(it), Value::Text(_))) => {
                let texts = list.iter().filter_map(|it| match part(it) {
                    Value::Text(text) => Some(text),
                    _ => None,
                });
                Value::Text(texts.collect())
            }
            _ => unknown(format!("`{}`", written.trim())),
        }
    }
}

/// A part of a text.
pub(super) enum Part<'a> {
    Plain(&'a str),
    Expression(&'a str),
}

/// A text cut where expressions begin and end.
pub(super) fn parts(written: &str) -> Vec<Part<'_>> {
    let mut rest = written;
    let mut parts = Vec::new();
    while let Some(start) = rest.find("${{") {
        let Some(length) = rest[start + 3..].find("}}") else { break };
        if start > 0 {
            parts.push(Part::Plain(&rest[..start]));
        }
        parts.push(Part::Expression(&rest[start + 3..start + 3 + length]));
        rest = &rest[start + 3 + length + 2..];
    }
    if !rest.is_empty() {
        parts.push(Part::Plain(rest));
    }
    parts
}

/// An `if`, with or without `${{ }}` around it.
pub(super) fn condition(written: &str) -> Option<Expression> {
    let written = written.trim();
    let inside = match written.strip_prefix("${{") {
        Some(rest) => rest.strip_suffix("}}")?,
        None => written,
    };
    if inside.contains("${{") || inside.contains("}}") {
        return None;
    }
    expression::parse(inside)
}

impl Workflow<'_> {
    /// An input of a called workflow: what the caller gives, else its default.
    pub(super) fn input(&self, caller: usize, name: &str) -> Value {
        let job = &self.jobs[caller];
        let given = get(job.yaml, "with").and_then(|with| find(with, name));
        let declared = job.inputs.iter().find(|(known, _)| is_same(known, name));
        let plain = |text: &str| match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => Value::text(text),
        };
        match (given.and_then(text), declared.map(|(_, default)| default)) {
            (Some(written), _) => {
                let value = self.template(&written, &In::condition(self, caller));
                // A boolean input takes the text of one.
                value.map(&|leaf| match leaf {
                    Value::Text(text) => plain(&text),
                    other => other,
                })
            }
            (None, Some(Some(default))) => plain(default),
            (None, Some(None)) => Value::text(""),
            (None, None) => unknown(format!("`inputs.{name}`")),
        }
    }
}

/// The names in `needs` of a job.
pub(super) fn need_names(job: &Node) -> Vec<String> {
    texts(get(job, "needs"))
}
