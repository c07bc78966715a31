//! The steps of a job as the script of one of ours, and what is left out, in comments.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    conditions::{self, Action, Steps, Workflow},
    contexts::{AfterFailure, InAction},
    evaluate::Context,
    expression::{self, Expression, Operator},
    formula::Formula,
    matrix,
    shell::{self, When},
    values::{self, Output, Piece},
    yaml::{Node, find, get, is_same, line_of, pairs, text, texts},
};
use crate::init::draft::{CommandDraft, JobDraft, MatrixDraft};

/// What a matrix ran a job for, in words.
fn axes(job: &Node, leg: &[(String, String)]) -> Option<String> {
    let matrix = get(get(job, "strategy")?, "matrix")?;
    let Some(axes) = matrix.as_map() else { return text(matrix) };
    let axis = |(name, values): &(Node, Node)| {
        let name = text(name).filter(|name| leg.iter().all(|(known, _)| known != name))?;
        let values = texts(Some(values));
        let list = values.join(", ");
        Some(if values.is_empty() { name } else { format!("{name}: {list}") })
    };
    let axes = axes.iter().filter_map(axis).collect::<Vec<_>>().join("; ");
    (!axes.is_empty() || leg.is_empty()).then_some(axes)
}

/// Where something stands: a line of the workflow's own file, or of another one.
pub(super) fn place(file: Option<&str>, line: usize) -> String {
    match file {
        Some(file) => format!("{file}:{line}"),
        None => format!("line {line}"),
    }
}

/// What of needed jobs a job can read.
pub(super) struct Readable<'a> {
    /// The outputs of each job that are carried over, or why not.
    pub(super) outputs: &'a BTreeMap<usize, Vec<Output>>,
    /// The jobs that it needs here.
    pub(super) needs: &'a [usize],
}

impl Readable<'_> {
    /// What stands for an expression about a needed job's output.
    fn token(&self, workflow: &Workflow<'_>, at: usize, inside: &str) -> Option<String> {
        if let Some(name) = values::input(inside) {
            // What the call of its workflow gives it, where that is a needed job's output.
            let caller = workflow.jobs[at].caller?;
            let given = get(workflow.jobs[caller].yaml, "with").and_then(|with| find(with, &name));
            let given = given.and_then(text)?;
            let inside = given.trim().strip_prefix("${{")?.strip_suffix("}}")?;
            return self.token(workflow, caller, inside);
        }
        let (need, name) = values::need_output(inside)?;
        let (job, name) = values::source(workflow, at, &need, &name)?;
        let output = self.outputs.get(&job)?.iter().find(|it| is_same(&it.name, &name))?;
        (output.value.is_ok() && self.needs.contains(&job))
            .then(|| values::token(job, &output.name))
    }
}

/// A job: what runs, and where it stands beside others is the caller's. Its id is `id`, or longer.
pub(super) fn job(
    workflow: &Workflow<'_>,
    at: usize,
    id: &str,
    env: (&[(String, String)], Option<&Node>),
    leg: &[(String, String)],
    reports: bool,
    readable: &Readable<'_>,
) -> (JobDraft, bool) {
    let job = workflow.jobs[at].yaml;
    let file = workflow.jobs[at].file.as_deref();
    let strategy = line_of(job, "strategy").unwrap_or(job.line);
    let once = |reason: Option<&str>| {
        let mut drafted = with_matrix(workflow, at, env, leg, reports, readable, None);
        if let Some(axes) = axes(job, leg) {
            let reason = reason.map(|it| format!(" ({it})")).unwrap_or_default();
            drafted.0.comment.push(format!(
                "Ran once for each of `{axes}` ({}); here it runs once{reason}: write a job for each, or a loop.",
                place(file, strategy)
            ));
        } else if leg.is_empty() && get(job, "strategy").is_some() {
            drafted
                .0
                .comment
                .push(format!("Not carried over: `strategy` ({}).", place(file, strategy)));
        }
        drafted
    };
    match matrix::of_github(job).filter(|_| leg.is_empty()) {
        None => once(None),
        Some(Err(reason)) => once(Some(&reason)),
        Some(Ok(found)) => {
            let (mut draft, placeholder) =
                with_matrix(workflow, at, env, leg, reports, readable, Some(&found));
            if placeholder {
                return once(None);
            }
            draft.id = id.to_owned();
            draft.matrix = Some(found);
            if let Err(reason) = matrix::fit(&mut draft) {
                return once(Some(&reason));
            }
            let strategy = get(job, "strategy");
            if let Some(line) = strategy.and_then(|it| line_of(it, "max-parallel")) {
                draft
                    .comment
                    .push(format!("Not carried over: `max-parallel` ({}).", place(file, line)));
            }
            (draft, false)
        }
    }
}

fn with_matrix(
    workflow: &Workflow<'_>,
    at: usize,
    (env, defaults): (&[(String, String)], Option<&Node>),
    leg: &[(String, String)],
    reports: bool,
    readable: &Readable<'_>,
    found: Option<&MatrixDraft>,
) -> (JobDraft, bool) {
    let of = &workflow.jobs[at];
    let job = of.yaml;
    let file = of.file.as_deref();
    let known = found.map(MatrixDraft::names).unwrap_or_default();
    let context = workflow.in_steps(at, leg);
    let name = get(job, "name").and_then(text).unwrap_or_else(|| of.key.clone());
    let name = matrix::title(&workflow.known_text(&context, &name), &known);
    let mut comment = Vec::new();
    let here = |key: &str| place(file, line_of(job, key).unwrap_or(job.line));
    let machine = texts(get(job, "runs-on"));
    if !machine.is_empty() && !machine.iter().all(|it| it.starts_with("ubuntu")) {
        comment.push(format!(
            "Ran on {} ({}): give it a base with that placement.",
            machine.join(", "),
            here("runs-on")
        ));
    }
    for key in ["container", "services", "environment", "permissions", "concurrency"] {
        if get(job, key).is_some() {
            comment.push(format!("Not carried over: `{key}` ({}).", here(key)));
        }
    }
    if let Some(other) = get(job, "uses").and_then(text) {
        comment
            .push(format!("Not carried over: the reusable workflow `{other}` ({}).", here("uses")));
    }
    // The nearest says where steps start.
    let nearest = get(job, "defaults");
    let defaults = [nearest, defaults].into_iter().flatten().filter_map(|it| get(it, "run"));
    let dir = defaults.clone().find_map(|run| get(run, "working-directory").and_then(text));
    if let Some(line) = nearest.and_then(|it| get(it, "run")).and_then(|run| line_of(run, "shell"))
    {
        comment.push(format!("Not carried over: the default `shell` ({}).", place(file, line)));
    }
    let outputs = readable.outputs.get(&at).map_or(&[][..], Vec::as_slice);
    for output in outputs {
        if let Err(why) = &output.value {
            comment.push(format!(
                "Not carried over: the output `{}` ({}): {why}.",
                output.name,
                place(file, output.line)
            ));
        }
    }
    let own = pairs(get(job, "env"));
    let names: Vec<String> = [env, own.as_slice()].concat().into_iter().map(|it| it.0).collect();
    let mut reads = get(job, "steps").map(values::reads).unwrap_or_default();
    reads.extend(outputs.iter().flat_map(|output| output.reads.clone()));
    let mut out = Written {
        workflow,
        at,
        readable,
        known: &known,
        dir: dir.as_deref(),
        file,
        env: &names,
        list: &of.steps,
        scope: String::new(),
        reads,
        when: When::Passed,
        done: Vec::new(),
        left: Vec::new(),
        comment: Vec::new(),
    };
    let job_env: Vec<(String, String)> =
        own.into_iter().map(|(name, value)| (name, out.filled(&context, None, &value))).collect();
    let clone = out.steps(&context);
    let Written { done: steps, left, comment: said, .. } = out;
    comment.extend(said);
    if !left.is_empty() {
        comment.push(format!(
            "Not carried over, as the values are GitHub's; put them into the script: {}.",
            super::filter::distinct(left).join(", ")
        ));
    }
    let handed_on = values::handed_on(outputs);
    let nothing = steps.is_empty();
    // A value that is known only when it runs is no `env` of a catalog.
    let (late, env): (Vec<_>, Vec<_>) = [env, job_env.as_slice()]
        .concat()
        .into_iter()
        .partition(|(_, value)| value.contains("${{=") && matrix::only_names(value, &known));
    let late = late.into_iter().map(|(name, value)| {
        format!("export {name}={}\n", matrix::script(&crate::init::shell::quoted(&value), &known))
    });
    let script =
        [late.collect(), shell::script(&steps, &known), handed_on, shell::end(&steps).to_owned()];
    let script = script.concat();
    let placeholder = nothing && !reports;
    let command = if placeholder {
        comment.push(
            "No step says what to run: put the command here. Until then it fails.".to_owned(),
        );
        CommandDraft::argv(&["false"])
    } else if nothing {
        comment.push(
            "Passes when all it waits for has passed: nothing else was asked here.".to_owned(),
        );
        CommandDraft::argv(&["true"])
    } else {
        CommandDraft::Shell(format!("set -eu\n{script}"))
    };
    let (env, unknown): (Vec<_>, Vec<_>) =
        env.into_iter().partition(|(_, value)| matrix::only_names(value, &known));
    if !unknown.is_empty() {
        let names: Vec<String> = unknown
            .iter()
            .map(|(name, _)| match get(job, "env").and_then(|env| line_of(env, name)) {
                Some(line) => format!("`{name}` ({})", place(file, line)),
                None => format!("`{name}` of the workflow"),
            })
            .collect();
        comment.push(format!(
            "Variables with `${{{{ … }}}}` are left out; a secret goes into `secrets`: {}.",
            super::filter::distinct(names).join(", ")
        ));
    }
    let tolerated = get(job, "continue-on-error").and_then(text);
    let allow_failure = match tolerated.as_deref().map(str::trim) {
        None | Some("false") => None,
        Some("true") => Some(Vec::new()),
        Some(condition) => {
            comment.push(format!(
                "Its failure was tolerated if `{condition}` ({}); here it counts.",
                here("continue-on-error")
            ));
            None
        }
    };
    let minutes = get(job, "timeout-minutes").and_then(Node::as_integer);
    let is_kept = |output: &&Output| output.value.is_ok() && !placeholder;
    let draft = JobDraft {
        comment,
        description: name,
        command,
        env: BTreeMap::from_iter(env).into_iter().collect(),
        outputs: outputs.iter().filter(is_kept).map(|it| it.name.clone()).collect(),
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
pub(super) fn run_if(job: &Node) -> Option<&'static str> {
    let written = get(job, "if").and_then(text)?;
    let steps = get(job, "steps").and_then(Node::as_list).unwrap_or_default();
    let asks = |step: &Node| {
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

/// The steps of a job as they are written down.
struct Written<'w, 'a> {
    workflow: &'w Workflow<'a>,
    /// The job.
    at: usize,
    readable: &'w Readable<'w>,
    /// The names of the matrix.
    known: &'w [String],
    /// Where steps start that do not say it.
    dir: Option<&'w str>,
    /// The file that the steps stand in, where that is not the workflow's.
    file: Option<&'w str>,
    /// The variables that every step has.
    env: &'w [String],
    /// All of them.
    list: &'w Steps<'a>,
    /// Of which action they are; empty: the job's own.
    scope: String,
    /// What is read of the steps of this scope: ids and names.
    reads: BTreeSet<(String, String)>,
    /// When the step runs that uses the action.
    when: When,
    done: Vec<shell::Step>,
    /// Expressions that stay in scripts, with their places.
    left: Vec<String>,
    comment: Vec<String>,
}

impl<'w, 'a> Written<'w, 'a> {
    /// Adds steps; returns whether the checkout is among them.
    fn steps(&mut self, context: &dyn Context) -> bool {
        let steps = self.list;
        let mut checkout = false;
        for (at, step) in steps.list.iter().enumerate() {
            let uses = get(step, "uses").and_then(text);
            if uses.as_ref().is_some_and(|uses| uses.starts_with("actions/checkout")) {
                checkout = true;
                self.checked_out(step);
            } else if let Some(action) = steps.actions.get(&at) {
                if let Some(when) = self.runs(context, step, None) {
                    let inside = InAction::new(self.workflow, action, step, context);
                    checkout |= self.action(action, step, &inside, when);
                }
            } else if let Some(action) = uses {
                if !steps.lists.contains_key(&at) {
                    let place = place(self.file, step.line);
                    self.comment
                        .push(format!("Not carried over: the action `{action}` ({place})."));
                }
            } else if let Some(run) = get(step, "run").and_then(text) {
                self.run(context, step, &run);
            }
        }
        checkout
    }

    /// Says what of a checkout is not what every job has here.
    fn checked_out(&mut self, step: &Node) {
        let Some(with) = get(step, "with") else { return };
        let odd = ["path", "repository", "ref", "submodules", "lfs", "sparse-checkout"];
        for key in odd {
            if let Some(line) = line_of(with, key) {
                let place = place(self.file, line);
                self.comment.push(format!("Not carried over: `{key}` of the checkout ({place})."));
            }
        }
    }

    /// Adds the steps of an action of the tree.
    fn action(
        &mut self,
        action: &'w Action<'a>,
        step: &Node,
        inside: &dyn Context,
        when: When,
    ) -> bool {
        let id = get(step, "id").and_then(text).unwrap_or_else(|| step.line.to_string());
        let mut inner = Written {
            workflow: self.workflow,
            at: self.at,
            readable: self.readable,
            known: self.known,
            dir: None,
            file: Some(&action.file),
            env: self.env,
            list: &action.steps,
            scope: values::scope(&self.scope, &id),
            reads: values::reads(action.yaml),
            when: if when == When::Passed { self.when } else { when },
            done: Vec::new(),
            left: Vec::new(),
            comment: Vec::new(),
        };
        let checkout = inner.steps(inside);
        let (done, left, comment) = (inner.done, inner.left, inner.comment);
        self.done.extend(done);
        self.left.extend(left);
        self.comment.extend(comment);
        checkout
    }

    /// When a step runs that is written down; says what its condition was.
    fn runs(&mut self, context: &dyn Context, step: &Node, run: Option<&str>) -> Option<When> {
        let Some(condition) = get(step, "if").and_then(text) else { return Some(self.when) };
        let at = place(self.file, line_of(step, "if").unwrap_or(step.line));
        let own = self.workflow.step_condition(context, &condition);
        let asks = conditions::condition(&condition).is_some_and(|it| expression::asks_status(&it));
        let no = Some(Formula::Is(false));
        let (passed, failed) = match self.when {
            _ if asks => {
                let failed = self.workflow.step_condition(&AfterFailure(context), &condition);
                (own, failed)
            }
            When::Passed => (own, no.clone()),
            When::Failed => (no.clone(), own),
            When::Always => (own.clone(), own),
        };
        let condition = condition.trim();
        let when = match (passed == no, failed == no) {
            (true, true) => {
                self.comment.push(format!(
                    "A step ran only if `{condition}` ({at}), and when this job runs here that is false: what it \
                     waits for has passed, or the job does not run and its lane fails."
                ));
                return None;
            }
            (false, true) => When::Passed,
            (true, false) => When::Failed,
            (false, false) => When::Always,
        };
        // In an action that runs only after a failure, so does each step.
        let when = if self.when == When::Failed { When::Failed } else { when };
        let open = |it: &Option<Formula>| !matches!(it, Some(Formula::Is(_)));
        if !open(&passed) && !open(&failed) {
            return Some(when);
        }
        if run.is_some_and(only_fails) && when != When::Failed {
            self.comment.push(format!(
                "A step failed the job if `{condition}` ({at}), which is not decided here; it is left out."
            ));
            return None;
        }
        let after = if when == When::Failed { " after a failure" } else { "" };
        self.comment
            .push(format!("A step ran only if `{condition}` ({at}); here it always runs{after}."));
        Some(when)
    }

    /// A text with what is known put in, and variables for what steps and needed jobs leave.
    fn filled(&self, context: &dyn Context, step: Option<&Node>, written: &str) -> String {
        let known = self.workflow.known_text(context, written);
        matrix::expressions(&known, &mut |inside, out| {
            let of_need = || {
                let name = self.readable.token(self.workflow, self.at, inside)?;
                Some(vec![Piece::Variable(name)])
            };
            let of_step = || {
                let (id, name) = values::step_output(inside)?;
                values::of_step(self.list, &self.scope, &id, &name)
            };
            let of_env = || {
                let name = values::variable_of_env(inside)?;
                self.has_variable(step, &name).then(|| vec![Piece::Variable(name)])
            };
            match of_need().or_else(of_step).or_else(of_env) {
                Some(pieces) => pieces.iter().for_each(|piece| match piece {
                    Piece::Text(text) => out.push_str(text),
                    Piece::Variable(name) => out.push_str(&matrix::as_variable(name)),
                }),
                None => out.extend(["${{", inside, "}}"]),
            }
        })
    }

    /// Whether a step has a variable in its environment here.
    fn has_variable(&self, step: Option<&Node>, name: &str) -> bool {
        let own = step.and_then(|step| get(step, "env")).and_then(|env| get(env, name));
        own.is_some() || step.is_some() && self.env.iter().any(|known| known == name)
    }

    fn run(&mut self, context: &dyn Context, step: &Node, run: &str) {
        let id = get(step, "id").and_then(text);
        let reads =
            self.reads.iter().filter(|(of, _)| id.as_ref().is_some_and(|id| is_same(of, id)));
        let reads: Vec<(String, String)> = reads
            .map(|(id, name)| (values::variable(&self.scope, id, name), name.clone()))
            .collect();
        let text_of = self.filled(context, Some(step), run);
        let Some(when) = self.runs(context, step, Some(&text_of)) else {
            if !reads.is_empty() {
                // Who reads them finds nothing, as there.
                self.done.push(shell::Step { text: ":".to_owned(), reads, ..Default::default() });
            }
            return;
        };
        let file = self.file;
        let line = |key: &str| place(file, line_of(step, key).unwrap_or(step.line));
        if let Some(shell) = get(step, "shell").and_then(text)
            && !["bash", "sh"].contains(&shell.as_str())
        {
            self.comment.push(format!(
                "A step ran in `{shell}` ({}); here every step runs in /bin/sh.",
                line("shell")
            ));
        }
        let dir = get(step, "working-directory").and_then(text);
        let dir = dir.or_else(|| self.dir.map(str::to_owned));
        let dir = dir.map(|dir| self.filled(context, Some(step), &dir)).filter(|dir| dir != ".");
        let env = pairs(get(step, "env"));
        let env = env.into_iter().map(|(name, value)| (name, self.filled(context, None, &value)));
        let (env, other): (Vec<_>, Vec<_>) =
            env.partition(|(_, value)| matrix::only_names(value, self.known));
        for (name, _) in other {
            let at = get(step, "env").and_then(|env| line_of(env, &name)).unwrap_or(step.line);
            let at = place(self.file, at);
            self.comment.push(format!("Not carried over: the variable `{name}` of a step ({at})."));
        }
        for text in std::iter::once(&text_of).chain(&dir) {
            matrix::expressions(text, &mut |inside, _| {
                let whole = ["${{", inside, "}}"].concat();
                if !matrix::only_names(&whole, self.known) {
                    self.left.push(format!("`{}` ({})", inside.trim(), line("run")));
                }
            });
        }
        let of_github = |name: &str| {
            ["GITHUB_", "RUNNER_"].iter().any(|start| name.starts_with(start))
                && name != "GITHUB_OUTPUT"
        };
        let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
        let names: BTreeSet<&str> = text_of.split(word).filter(|it| of_github(it)).collect();
        self.left.extend(names.iter().map(|name| format!("`${name}` ({})", line("run"))));
        let tolerated = get(step, "continue-on-error").and_then(text);
        match tolerated.as_deref().map(str::trim) {
            None | Some("true" | "false") => {}
            Some(condition) => self.comment.push(format!(
                "The failure of a step was tolerated if `{condition}` ({}); here it counts.",
                line("continue-on-error")
            )),
        }
        self.done.push(shell::Step {
            name: get(step, "name").and_then(text),
            dir,
            env,
            text: text_of,
            when,
            tolerated: tolerated.as_deref().map(str::trim) == Some("true"),
            reads,
        });
    }
}

/// Whether a script does nothing but say something and fail.
fn only_fails(run: &str) -> bool {
    let mut lines =
        run.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let fails = |line: &str| line == "false" || (line.starts_with("exit ") && line != "exit 0");
    lines.next_back().is_some_and(fails) && lines.all(|line| line.starts_with("echo "))
}
