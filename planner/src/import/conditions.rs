//! When each job of a workflow runs, as a condition on lists of paths.
//!
//! Follows `needs`, outputs renamed on their way, calls of workflows of the same tree with their
//! inputs, and the skipping of jobs whose needs were skipped. What a run decides (results, events,
//! other steps) is unknown, and says which part it is.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use saphyr::Yaml;

use super::{
    evaluate::{Context, Unknown, Value, evaluate, unknown},
    expression::{self, Expression},
    filter::Selects,
    formula::Formula,
    lists,
    yaml::{get, pairs, text, texts},
};

/// A job, of the workflow itself or of one that it calls.
pub(super) struct Job<'a> {
    /// The caller's name and its own, `call/job`.
    pub(super) key: String,
    /// The job's definition.
    pub(super) yaml: &'a Yaml<'a>,
    /// The job that calls the workflow it is in.
    pub(super) caller: Option<usize>,
    /// Jobs it waits for, by place.
    pub(super) needs: Vec<usize>,
    /// The jobs of the workflow that it calls.
    pub(super) called: Vec<usize>,
    /// Outputs of the workflow that it calls, as written there.
    pub(super) called_outputs: Vec<(String, String)>,
    /// Its steps that hold lists: by place, with the step's first list.
    pub(super) list_steps: BTreeMap<usize, (lists::Step, usize)>,
    /// What the called workflow says of its inputs: name and default.
    pub(super) inputs: BTreeMap<String, Option<String>>,
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
        let context = In { workflow: self, job, step: false };
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
    fn success(&self, job: usize) -> Formula {
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

    /// What the condition of a step is worth once the steps before it have passed; nothing where it
    /// is no expression.
    pub(super) fn step_condition(&self, job: usize, written: &str) -> Option<Formula> {
        let context = In { workflow: self, job, step: true };
        Some(evaluate(&condition(written)?, &context).truth())
    }

    /// A text with expressions put in where they are known to every run.
    pub(super) fn known_text(&self, job: usize, written: &str) -> String {
        let context = In { workflow: self, job, step: true };
        let mut out = String::new();
        for part in parts(written) {
            match part {
                Part::Plain(text) => out.push_str(text),
                Part::Expression(inside) => {
                    let value =
                        expression::parse(inside).map(|it| evaluate(&it, &context).into_text());
                    match value {
                        Some(Value::Text(text)) => out.push_str(&text),
                        _ => out.extend(["${{", inside, "}}"]),
                    }
                }
            }
        }
        out
    }

    fn output(&self, job: usize, name: &str) -> Value {
        let of = &self.jobs[job];
        let find = |list: &[(String, String)]| {
            list.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
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
            self.template(&written, &In { workflow: self, job, step: true })
        } else {
            let Some(written) = find(&of.called_outputs) else { return Value::text("") };
            self.template(&written, &InCalled { workflow: self, caller: job })
        };
        Value::choice(self.runs(job), value, Value::text(""))
    }

    fn template(&self, written: &str, context: &dyn Context) -> Value {
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

enum Part<'a> {
    Plain(&'a str),
    Expression(&'a str),
}

fn parts(written: &str) -> Vec<Part<'_>> {
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

/// The contexts of a job.
struct In<'w, 'a> {
    workflow: &'w Workflow<'a>,
    job: usize,
    /// Of its steps, which come after all needs; else of the job's own `if`.
    step: bool,
}

impl In<'_, '_> {
    fn need(&self, name: &str) -> Option<usize> {
        let jobs = &self.workflow.jobs;
        let own = |&&need: &&usize| jobs[need].key.rsplit('/').next() == Some(name);
        jobs[self.job].needs.iter().find(own).copied()
    }

    /// How a need ended, if it ran. When a node runs here, nothing that it waits for has failed.
    fn result(&self, need: Option<usize>, why: String) -> Value {
        let never: &[&str] = if self.step { &["failure", "cancelled"] } else { &[] };
        let mut never: Vec<String> = never.iter().map(|&word| word.to_owned()).collect();
        let Some(need) = need else { return Value::Unknown(Unknown { why, never }) };
        let runs = self.workflow.runs(need);
        if self.step {
            return Value::choice(runs, Value::text("success"), Value::text("skipped"));
        }
        never.push("skipped".to_owned());
        Value::choice(runs, Value::Unknown(Unknown { why, never }), Value::text("skipped"))
    }

    fn step_output(&self, id: &str, name: &str) -> Value {
        let why = || unknown(format!("`steps.{id}.outputs.{name}`"));
        let job = &self.workflow.jobs[self.job];
        let steps = get(job.yaml, "steps").and_then(Yaml::as_sequence);
        let place = steps.and_then(|steps| {
            steps.iter().position(|step| get(step, "id").and_then(text).as_deref() == Some(id))
        });
        let Some(place) = place else { return Value::text("") };
        let Some((step, first)) = job.list_steps.get(&place) else { return why() };
        let written = steps.and_then(|steps| get(&steps[place], "if")).and_then(text);
        // A step that does not run writes no output.
        let runs = match written {
            None => Formula::Is(true),
            Some(written) => self
                .workflow
                .step_condition(self.job, &written)
                .unwrap_or_else(|| Formula::Maybe(format!("`{}`", written.trim()))),
        };
        let at = |name: &str| step.lists.iter().position(|(known, _)| known == name);
        let list = |at: usize| Formula::List(first + at);
        let never = |words: &[&str]| {
            let never = words.iter().map(|&word| word.to_owned()).collect();
            Value::Unknown(Unknown { why: format!("`steps.{id}.outputs.{name}`"), never })
        };
        let value = if step.trouble.is_some() {
            why()
        } else if let Some(at) = at(name) {
            Value::choice(list(at), Value::text("true"), Value::text("false"))
        } else if name == "changes" {
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
}

impl Context for In<'_, '_> {
    fn at(&self, keys: &[String]) -> Value {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let why = || unknown(format!("`{}`", keys.join(".")));
        match keys.as_slice() {
            ["needs", name, "outputs", output] => match self.need(name) {
                Some(need) => self.workflow.output(need, output),
                None => Value::text(""),
            },
            ["needs", "*", "result"] => self.result(None, format!("`{}`", keys.join("."))),
            ["needs", name, "result"] => match self.need(name) {
                Some(need) => self.result(Some(need), format!("`{}`", keys.join("."))),
                None => Value::text(""),
            },
            ["steps", id, "outputs", name] => self.step_output(id, name),
            ["steps", _, "outcome" | "conclusion"] if self.step => {
                let never = ["cancelled"].map(str::to_owned).to_vec();
                Value::Unknown(Unknown { why: format!("`{}`", keys.join(".")), never })
            }
            ["github", "event_name"] => match self.workflow.events.as_slice() {
                [one] => Value::text(one),
                events => {
                    // Events that do not start the workflow are ruled out.
                    let known = [
                        "push",
                        "pull_request",
                        "pull_request_target",
                        "merge_group",
                        "schedule",
                        "workflow_dispatch",
                        "workflow_call",
                        "release",
                        "issue_comment",
                    ];
                    let never = known.iter().filter(|known| !events.iter().any(|it| it == *known));
                    let never = never.map(|&word| word.to_owned()).collect();
                    Value::Unknown(Unknown { why: "`github.event_name`".to_owned(), never })
                }
            },
            ["inputs", name] => match self.workflow.jobs[self.job].caller {
                Some(caller) => self.workflow.input(caller, name),
                None => why(),
            },
            _ => why(),
        }
    }

    fn status(&self, function: &str) -> Value {
        match function {
            "always" => Value::Bool(true),
            // Nothing is planned for a run that was cancelled.
            "cancelled" => Value::Bool(false),
            "success" if self.step => Value::Bool(true),
            "failure" if self.step => Value::Bool(false),
            "success" => {
                let all = self.workflow.success(self.job);
                Value::choice(all, Value::Bool(true), Value::Bool(false))
            }
            _ => unknown("`failure()`"),
        }
    }
}

impl Workflow<'_> {
    /// An input of a called workflow: what the caller gives, else its default.
    fn input(&self, caller: usize, name: &str) -> Value {
        let job = &self.jobs[caller];
        let given = get(job.yaml, "with").and_then(|with| get(with, name));
        let plain = |text: &str| match text {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            text => Value::text(text),
        };
        match (given.and_then(text), job.inputs.get(name)) {
            (Some(written), _) => {
                let value =
                    self.template(&written, &In { workflow: self, job: caller, step: false });
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

/// The contexts of the outputs of a called workflow.
struct InCalled<'w, 'a> {
    workflow: &'w Workflow<'a>,
    caller: usize,
}

impl Context for InCalled<'_, '_> {
    fn at(&self, keys: &[String]) -> Value {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        match keys.as_slice() {
            ["jobs", name, "outputs", output] => {
                let workflow = self.workflow;
                let own = |&&job: &&usize| workflow.jobs[job].key.rsplit('/').next() == Some(*name);
                let job = workflow.jobs[self.caller].called.iter().find(own);
                job.map_or(Value::text(""), |&job| workflow.output(job, output))
            }
            ["inputs", name] => self.workflow.input(self.caller, name),
            _ => unknown(format!("`{}`", keys.join("."))),
        }
    }

    fn status(&self, function: &str) -> Value {
        unknown(format!("`{function}()`"))
    }
}

/// The names in `needs` of a job.
pub(super) fn need_names(job: &Yaml<'_>) -> Vec<String> {
    texts(get(job, "needs"))
}
