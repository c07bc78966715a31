//! What the contexts of expressions hold: of a job, of the steps of a composite action, and of the
//! outputs of a called workflow. How conditions follow from each other is `conditions`.

use super::{
    conditions::{Action, Workflow},
    evaluate::{Context, Unknown, Value, unknown},
    yaml::{Node, find, get, is_same, text},
};

/// That what a job waits for passes: what a plan goes on, and no part of a condition to speak of.
pub(super) const SUCCESS: &str = "`success()`";

/// That one of them fails.
pub(super) const FAILURE: &str = "`failure()`";

/// The contexts of a job.
pub(super) struct In<'w, 'a> {
    workflow: &'w Workflow<'a>,
    job: usize,
    /// Of its steps, which come after all needs; else of the job's own `if`.
    step: bool,
    /// What its matrix holds, where that is known.
    leg: &'w [(String, String)],
}

impl<'w, 'a> In<'w, 'a> {
    /// What the `if` of a job is evaluated in.
    pub(super) fn condition(workflow: &'w Workflow<'a>, job: usize) -> Self {
        Self { workflow, job, step: false, leg: &[] }
    }

    /// What the steps of a job are evaluated in, and the leg of its matrix.
    pub(super) fn steps(
        workflow: &'w Workflow<'a>,
        job: usize,
        leg: &'w [(String, String)],
    ) -> Self {
        Self { workflow, job, step: true, leg }
    }

    fn need(&self, name: &str) -> Option<usize> {
        let jobs = &self.workflow.jobs;
        let own = |&&need: &&usize| jobs[need].is_called(name);
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
            ["steps", id, "outputs", name] => {
                self.workflow.step_output(&self.workflow.jobs[self.job].steps, self, id, name)
            }
            ["matrix", axis] if self.leg.iter().any(|(known, _)| is_same(known, axis)) => {
                let value = self.leg.iter().find(|(known, _)| is_same(known, axis));
                value.map_or(Value::Null, |(_, value)| Value::text(value))
            }
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
                Value::choice(all, unknown(SUCCESS), Value::Bool(false))
            }
            _ => unknown(FAILURE),
        }
    }
}

/// The contexts of a step after one before it has failed.
pub(super) struct AfterFailure<'w>(pub(super) &'w dyn Context);

impl Context for AfterFailure<'_> {
    fn at(&self, keys: &[String]) -> Value {
        self.0.at(keys)
    }

    fn status(&self, function: &str) -> Value {
        match function {
            "success" => Value::Bool(false),
            "failure" => Value::Bool(true),
            other => self.0.status(other),
        }
    }
}

/// The contexts of the steps of a composite action.
pub(super) struct InAction<'w, 'a> {
    workflow: &'w Workflow<'a>,
    action: &'w Action<'a>,
    /// The step that uses it.
    step: &'w Node,
    /// What that step is evaluated in.
    outer: &'w dyn Context,
}

impl<'w, 'a> InAction<'w, 'a> {
    pub(super) fn new(
        workflow: &'w Workflow<'a>,
        action: &'w Action<'a>,
        step: &'w Node,
        outer: &'w dyn Context,
    ) -> Self {
        Self { workflow, action, step, outer }
    }
}

impl Context for InAction<'_, '_> {
    fn at(&self, keys: &[String]) -> Value {
        let names: Vec<&str> = keys.iter().map(String::as_str).collect();
        match names.as_slice() {
            ["steps", id, "outputs", name] => {
                self.workflow.step_output(&self.action.steps, self, id, name)
            }
            ["steps", ..] => unknown(format!("`{}`", names.join("."))),
            ["github", "action_path"] => Value::Text(format!("./{}", self.action.path)),
            ["inputs", name] => {
                let given = get(self.step, "with").and_then(|with| find(with, name));
                let declared = get(self.action.yaml, "inputs").and_then(|all| find(all, name));
                match (given.and_then(text), declared.and_then(|it| get(it, "default"))) {
                    (Some(written), _) => self.workflow.template(&written, self.outer),
                    (None, default) => Value::Text(default.and_then(text).unwrap_or_default()),
                }
            }
            _ => self.outer.at(keys),
        }
    }

    fn status(&self, function: &str) -> Value {
        self.outer.status(function)
    }
}

/// The contexts of the outputs of a called workflow.
pub(super) struct InCalled<'w, 'a> {
    workflow: &'w Workflow<'a>,
    caller: usize,
}

impl<'w, 'a> InCalled<'w, 'a> {
    pub(super) fn new(workflow: &'w Workflow<'a>, caller: usize) -> Self {
        Self { workflow, caller }
    }
}

impl Context for InCalled<'_, '_> {
    fn at(&self, keys: &[String]) -> Value {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        match keys.as_slice() {
            ["jobs", name, "outputs", output] => {
                let workflow = self.workflow;
                let own = |&&job: &&usize| workflow.jobs[job].is_called(name);
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
