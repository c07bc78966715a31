//! The steps of a job as the script of one of ours, and what is left out, in comments.

use std::collections::BTreeMap;

use saphyr::Yaml;

use super::{
    conditions::Workflow,
    formula::Formula,
    lists,
    yaml::{get, pairs, text, texts},
};
use crate::init::draft::{CommandDraft, JobDraft};

/// What a matrix ran a job for, in words.
fn matrix(job: &Yaml<'_>) -> Option<String> {
    let matrix = get(get(job, "strategy")?, "matrix")?;
    let Some(axes) = matrix.as_mapping() else { return text(matrix) };
    let axis = |(name, values): (&Yaml<'_>, &Yaml<'_>)| {
        let name = text(name)?;
        let values = texts(Some(values));
        let list = values.join(", ");
        Some(if values.is_empty() { name } else { format!("{name}: {list}") })
    };
    Some(axes.iter().filter_map(axis).collect::<Vec<_>>().join("; "))
}

/// A job: what runs, and where it stands beside others is the caller's.
pub(super) fn job(
    workflow: &Workflow<'_>,
    at: usize,
    env: &[(String, String)],
    reports: bool,
) -> (JobDraft, bool) {
    let of = &workflow.jobs[at];
    let job = of.yaml;
    let name = get(job, "name").and_then(text).unwrap_or_else(|| of.key.clone());
    let mut comment = Vec::new();
    let machine = texts(get(job, "runs-on"));
    if !machine.is_empty() && !machine.iter().all(|it| it.starts_with("ubuntu")) {
        comment.push(format!("Ran on {}: give it a base with that placement.", machine.join(", ")));
    }
    if let Some(matrix) = matrix(job) {
        comment.push(format!(
            "Ran once for each of `{matrix}`; here it runs once: write a job for each, or a loop."
        ));
    } else if get(job, "strategy").is_some() {
        comment.push("Not carried over: `strategy`.".to_owned());
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
    let mut clone = false;
    for step in get(job, "steps").and_then(Yaml::as_sequence).into_iter().flatten() {
        clone |= self::step(workflow, at, step, &mut script, &mut comment);
    }
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
    let secret = env.iter().any(|(_, value)| value.contains("${{"));
    if secret {
        comment.push(
            "Variables with `${{ … }}` are left out; a secret goes into `secrets`.".to_owned(),
        );
        env.retain(|(_, value)| !value.contains("${{"));
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

/// Adds a step to the script; returns whether it is the checkout.
fn step(
    workflow: &Workflow<'_>,
    job: usize,
    step: &Yaml<'_>,
    script: &mut String,
    comment: &mut Vec<String>,
) -> bool {
    let condition = get(step, "if").and_then(text);
    let runs = condition.as_ref().map(|written| workflow.step_condition(job, written));
    if let Some(action) = get(step, "uses").and_then(text) {
        if action.starts_with("actions/checkout") {
            return true;
        }
        if !lists::is_step(step) {
            comment.push(format!("Not carried over: the action `{action}`."));
        }
        return false;
    }
    let Some(run) = get(step, "run").and_then(text) else { return false };
    let run = workflow.known_text(job, &run);
    if let Some(condition) = &condition {
        let condition = condition.trim();
        match runs.flatten() {
            Some(Formula::Is(true)) => {}
            Some(Formula::Is(false)) => {
                comment.push(format!(
                    "A step ran only if `{condition}`, and when this job runs here that is false: what it \
                     waits for has passed, or the job does not run and its lane fails."
                ));
                return false;
            }
            _ if only_fails(&run) => {
                comment.push(format!(
                    "A step failed the job if `{condition}`, which is not decided here; it is left out."
                ));
                return false;
            }
            _ => comment.push(format!("A step ran only if `{condition}`; here it always runs.")),
        }
    }
    let name = get(step, "name").and_then(text);
    if let Some(name) = &name {
        script.extend(["# ", &name.replace('\n', " "), "\n"]);
    }
    if let Some(shell) = get(step, "shell").and_then(text) {
        comment.push(format!("A step ran in `{shell}`; here every step runs in /bin/sh."));
    }
    let dir = get(step, "working-directory").and_then(text);
    let (known, other): (Vec<_>, Vec<_>) =
        pairs(get(step, "env")).into_iter().partition(|(_, value)| !value.contains("${{"));
    for (name, _) in other {
        comment.push(format!("Not carried over: the variable `{name}` of a step."));
    }
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
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
    false
}

/// Whether a script does nothing but say something and fail.
fn only_fails(run: &str) -> bool {
    let mut lines =
        run.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let fails = |line: &str| line == "false" || (line.starts_with("exit ") && line != "exit 0");
    lines.next_back().is_some_and(fails) && lines.all(|line| line.starts_with("echo "))
}
