//! The steps of a job as the script of one of ours, and what is left out, in comments.

use std::collections::BTreeMap;

use saphyr::Yaml;

use super::{
    conditions::{self, Steps, Workflow},
    contexts::InAction,
    evaluate::Context,
    expression::{self, Expression, Operator},
    formula::Formula,
    matrix,
    yaml::{get, pairs, text, texts},
};
use crate::init::draft::{CommandDraft, JobDraft, MatrixDraft};

/// What a matrix ran a job for, in words.
fn axes(job: &Yaml<'_>, leg: &[(String, String)]) -> Option<String> {
    let matrix = get(get(job, "strategy")?, "matrix")?;
    let Some(axes) = matrix.as_mapping() else { return text(matrix) };
    let axis = |(name, values): (&Yaml<'_>, &Yaml<'_>)| {
        let name = text(name).filter(|name| leg.iter().all(|(known, _)| known != name))?;
        let values = texts(Some(values));
        let list = values.join(", ");
        Some(if values.is_empty() { name } else { format!("{name}: {list}") })
    };
    let axes = axes.iter().filter_map(axis).collect::<Vec<_>>().join("; ");
    (!axes.is_empty() || leg.is_empty()).then_some(axes)
}

/// A job: what runs, and where it stands beside others is the caller's. Its id is `id`, or longer.
pub(super) fn job(
    workflow: &Workflow<'_>,
    at: usize,
    id: &str,
    env: &[(String, String)],
    leg: &[(String, String)],
    reports: bool,
) -> (JobDraft, bool) {
    let job = workflow.jobs[at].yaml;
    let once = |reason: Option<&str>| {
        let mut drafted = with_matrix(workflow, at, env, leg, reports, None);
        if let Some(axes) = axes(job, leg) {
            let reason = reason.map(|it| format!(" ({it})")).unwrap_or_default();
            drafted.0.comment.push(format!(
                "Ran once for each of `{axes}`; here it runs once{reason}: write a job for each, or a loop."
            ));
        } else if leg.is_empty() && get(job, "strategy").is_some() {
            drafted.0.comment.push("Not carried over: `strategy`.".to_owned());
        }
        drafted
    };
    match matrix::of_github(job).filter(|_| leg.is_empty()) {
        None => once(None),
        Some(Err(reason)) => once(Some(&reason)),
        Some(Ok(found)) => {
            let (mut draft, placeholder) =
                with_matrix(workflow, at, env, leg, reports, Some(&found));
            if placeholder {
                return once(None);
            }
            draft.id = id.to_owned();
            draft.matrix = Some(found);
            if let Err(reason) = matrix::fit(&mut draft) {
                return once(Some(&reason));
            }
            if get(job, "strategy").is_some_and(|it| get(it, "max-parallel").is_some()) {
                draft.comment.push("Not carried over: `max-parallel`.".to_owned());
            }
            (draft, false)
        }
    }
}

fn with_matrix(
    workflow: &Workflow<'_>,
    at: usize,
    env: &[(String, String)],
    leg: &[(String, String)],
    reports: bool,
    found: Option<&MatrixDraft>,
) -> (JobDraft, bool) {
    let of = &workflow.jobs[at];
    let job = of.yaml;
    let known = found.map(MatrixDraft::names).unwrap_or_default();
    let context = workflow.in_steps(at, leg);
    let name = get(job, "name").and_then(text).unwrap_or_else(|| of.key.clone());
    let name = matrix::title(&workflow.known_text(&context, &name), &known);
    let mut comment = Vec::new();
    let machine = texts(get(job, "runs-on"));
    if !machine.is_empty() && !machine.iter().all(|it| it.starts_with("ubuntu")) {
        comment.push(format!("Ran on {}: give it a base with that placement.", machine.join(", ")));
    }
    for key in ["container", "services", "environment", "permissions", "concurrency"] {
        if get(job, key).is_some() {
            comment.push(format!("Not carried over: `{key}`."));
        }
    }
    if let Some(other) = get(job, "uses").and_then(text) {
        comment.push(format!("Not carried over: the reusable workflow `{other}`."));
    }
    let mut script = String::new();
    let mut out = Written { workflow, known: &known, script: &mut script, comment: &mut comment };
    let clone = out.steps(&of.steps, &context);
    let script = matrix::script(&script, &known);
    if script.contains("${{") {
        comment.push("`${{ … }}` in the script is GitHub's; put the values there.".to_owned());
    }
    let placeholder = script.is_empty() && !reports;
    let command = if placeholder {
        comment.push(
            "No step says what to run: put the command here. Until then it fails.".to_owned(),
        );
        CommandDraft::argv(&["false"])
    } else if script.is_empty() {
        comment.push(
            "Passes when all it waits for has passed: nothing else was asked here.".to_owned(),
        );
        CommandDraft::argv(&["true"])
    } else {
        CommandDraft::Shell(format!("set -eu\n{script}"))
    };
    let mut env: Vec<(String, String)> = [env, &pairs(get(job, "env"))].concat();
    let is_known = |value: &str| matrix::only_names(value, &known);
    if env.iter().any(|(_, value)| !is_known(value)) {
        comment.push(
            "Variables with `${{ … }}` are left out; a secret goes into `secrets`.".to_owned(),
        );
        env.retain(|(_, value)| is_known(value));
    }
    let tolerated = get(job, "continue-on-error").and_then(text);
    let allow_failure = match tolerated.as_deref().map(str::trim) {
        None | Some("false") => None,
        Some("true") => Some(Vec::new()),
        Some(condition) => {
            comment.push(format!("Its failure was tolerated if `{condition}`; here it counts."));
            None
        }
    };
    let minutes = get(job, "timeout-minutes").and_then(Yaml::as_integer);
    let draft = JobDraft {
        comment,
        description: name,
        command,
        env: BTreeMap::from_iter(env).into_iter().collect(),
        timeout_secs: minutes
            .and_then(|minutes| u64::try_from(minutes).ok())
            .filter(|minutes| *minutes > 0)
            .map(|minutes| minutes * 60),
        allow_failure,
        clone,
        ..JobDraft::default()
    };
    (draft, placeholder)
}

/// How what a job needs must have ended, where its `if` says that and no step asks how it did.
pub(super) fn run_if(job: &Yaml<'_>) -> Option<&'static str> {
    let written = get(job, "if").and_then(text)?;
    let steps = get(job, "steps").and_then(Yaml::as_sequence)?;
    let asks = |step: &Yaml<'_>| {
        let mappings = ["env", "with"].iter().flat_map(|key| pairs(get(step, key)));
        let mut texts = ["if", "run"]
            .iter()
            .filter_map(|key| get(step, key).and_then(text))
            .chain(mappings.map(|(_, value)| value));
        texts.any(|it| it.contains("needs.") && it.contains("result") || it.contains("(needs)"))
    };
    if steps.iter().any(asks) {
        return None;
    }
    let parsed = conditions::condition(&written)?;
    if !expression::asks_status(&parsed) || holds_only(&parsed, "success") {
        None
    } else if holds_only(&parsed, "failure") {
        Some("failed")
    } else {
        Some("always")
    }
}

/// Whether an expression is false where a function of the status is.
fn holds_only(expression: &Expression, status: &str) -> bool {
    match expression {
        Expression::Call(name, _) => name == status,
        Expression::Both(Operator::And, a, b) => holds_only(a, status) || holds_only(b, status),
        Expression::Both(Operator::Or, a, b) => holds_only(a, status) && holds_only(b, status),
        _ => false,
    }
}

/// A script as it is written.
struct Written<'w, 'a> {
    workflow: &'w Workflow<'a>,
    /// The names of the matrix.
    known: &'w [String],
    script: &'w mut String,
    comment: &'w mut Vec<String>,
}

impl<'a> Written<'_, 'a> {
    /// Adds steps; returns whether the checkout is among them.
    fn steps(&mut self, steps: &Steps<'a>, context: &dyn Context) -> bool {
        let mut checkout = false;
        for (place, step) in steps.list.iter().enumerate() {
            let uses = get(step, "uses").and_then(text);
            if uses.as_ref().is_some_and(|uses| uses.starts_with("actions/checkout")) {
                checkout = true;
            } else if let Some(action) = steps.actions.get(&place) {
                if self.runs(context, step, None) {
                    let inside = InAction::new(self.workflow, action, step, context);
                    checkout |= self.steps(&action.steps, &inside);
                }
            } else if let Some(action) = uses {
                if !steps.lists.contains_key(&place) {
                    self.comment.push(format!("Not carried over: the action `{action}`."));
                }
            } else if let Some(run) = get(step, "run").and_then(text) {
                self.run(context, step, &run);
            }
        }
        checkout
    }

    /// Whether a step is written down; says what its condition was.
    fn runs(&mut self, context: &dyn Context, step: &Yaml<'_>, run: Option<&str>) -> bool {
        let Some(condition) = get(step, "if").and_then(text) else { return true };
        let runs = self.workflow.step_condition(context, &condition);
        let condition = condition.trim();
        let (note, written) = match runs {
            Some(Formula::Is(true)) => return true,
            Some(Formula::Is(false)) => (
                format!(
                    "A step ran only if `{condition}`, and when this job runs here that is false: what it \
                     waits for has passed, or the job does not run and its lane fails."
                ),
                false,
            ),
            _ if run.is_some_and(only_fails) => (
                format!(
                    "A step failed the job if `{condition}`, which is not decided here; it is left out."
                ),
                false,
            ),
            _ => (format!("A step ran only if `{condition}`; here it always runs."), true),
        };
        self.comment.push(note);
        written
    }

    fn run(&mut self, context: &dyn Context, step: &Yaml<'_>, run: &str) {
        let run = self.workflow.known_text(context, run);
        if !self.runs(context, step, Some(&run)) {
            return;
        }
        if let Some(name) = get(step, "name").and_then(text) {
            self.script.extend(["# ", &name.replace('\n', " "), "\n"]);
        }
        if let Some(shell) = get(step, "shell").and_then(text) {
            self.comment.push(format!("A step ran in `{shell}`; here every step runs in /bin/sh."));
        }
        let known = |written: &str| self.workflow.known_text(context, written);
        let dir = get(step, "working-directory").and_then(text).map(|dir| known(&dir));
        let env = pairs(get(step, "env")).into_iter().map(|(name, value)| (name, known(&value)));
        let (known, other): (Vec<_>, Vec<_>) =
            env.partition(|(_, value)| matrix::only_names(value, self.known));
        for (name, _) in other {
            self.comment.push(format!("Not carried over: the variable `{name}` of a step."));
        }
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
        let script = &mut self.script;
        if dir.is_none() && known.is_empty() {
            script.push_str(run.trim_end());
        } else {
            script.push_str("(\n");
            if let Some(dir) = dir {
                script.extend(["cd ", &quoted(&dir), "\n"]);
            }
            for (name, value) in known {
                script.extend(["export ", &name, "=", &quoted(&value), "\n"]);
            }
            script.push_str(run.trim_end());
            script.push_str("\n)");
        }
        script.push('\n');
    }
}

/// Whether a script does nothing but say something and fail.
fn only_fails(run: &str) -> bool {
    let mut lines =
        run.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let fails = |line: &str| line == "false" || (line.starts_with("exit ") && line != "exit 0");
    lines.next_back().is_some_and(fails) && lines.all(|line| line.starts_with("echo "))
}
