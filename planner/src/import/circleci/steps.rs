//! The steps of CircleCI's jobs as scripts: `run`, and commands of the file in their place.

use serde_json::Value;

use crate::import::{
    artifacts::{self, Files, Of, Takes, To},
    document::{text, text_of, texts},
    listed::Job,
    matrix,
    shell::{Step, When},
};

/// The part that a job is, by the names of CircleCI.
const PART: &str = "export CIRCLE_NODE_INDEX=$((FORGE_LANES_SHARD - 1)) \
                    CIRCLE_NODE_TOTAL=\"$FORGE_LANES_SHARDS\"\n";

/// A job of a workflow: which one, and what the workflow says of it.
pub(super) fn job(kind: &str, of: &Value, root: &Value) -> Job {
    let mut job = Job::default();
    let Some(body) = root.get("jobs").and_then(|jobs| jobs.get(kind)) else {
        job.comment.push(format!("Not carried over: the job `{kind}` of an orb."));
        return job;
    };
    let mut parameters = defaults(body);
    set(&mut parameters, of);
    if let Some(matrix) = of.get("matrix") {
        let found = matrix::of_circleci(matrix);
        for (name, _) in found.iter().flat_map(|found| &found.axes) {
            parameters.retain(|(known, _)| known != name);
            parameters.push((name.clone(), format!("${{{{ matrix.{name} }}}}")));
        }
        let legs = matrix.get("parameters").unwrap_or(matrix);
        job.matrix = Some((found, legs.to_string()));
    }
    steps(body.get("steps"), root, &parameters, &mut job, 0);
    match body.get("parallelism").map(|it| (it, it.as_u64())) {
        Some((_, Some(count))) if count > 1 => job.shards = Some((count, PART)),
        Some((_, Some(_))) | None => {}
        Some((it, None)) => job.comment.push(format!("Not carried over: `parallelism: {it}`.")),
    }
    for key in ["docker", "machine", "macos", "executor", "resource_class"] {
        if let Some(value) = body.get(key) {
            let image = value.get(0).and_then(|it| text(it, "image"));
            job.comment.push(match image {
                Some(image) => format!("Ran in the image `{image}`."),
                None => format!("Not carried over: `{key}`."),
            });
        }
    }
    job.left_out(of, &["context", "pre-steps", "post-steps"]);
    let env = body.get("environment").and_then(Value::as_object).into_iter().flatten();
    job.env = env.filter_map(|(name, value)| Some((name.clone(), text_of(value)?))).collect();
    if job.steps.iter().any(|step| step.text.contains("<<") && step.text.contains(">>")) {
        job.comment.push("`<< … >>` in the script is CircleCI's; put the values there.".to_owned());
    }
    job.working_dir = None;
    job
}

fn defaults(of: &Value) -> Vec<(String, String)> {
    let declared = of.get("parameters").and_then(Value::as_object).into_iter().flatten();
    declared.filter_map(|(name, it)| Some((name.clone(), text(it, "default")?))).collect()
}

fn set(parameters: &mut Vec<(String, String)>, of: &Value) {
    for (name, value) in of.as_object().into_iter().flatten() {
        let Some(value) = text_of(value) else { continue };
        parameters.retain(|(known, _)| known != name);
        parameters.push((name.clone(), value));
    }
}

fn filled(text: &str, parameters: &[(String, String)]) -> String {
    let mut text = text.to_owned();
    for (name, value) in parameters {
        for form in [format!("<< parameters.{name} >>"), format!("<<parameters.{name}>>")] {
            text = text.replace(&form, value);
        }
    }
    text
}

fn steps(
    list: Option<&Value>,
    root: &Value,
    parameters: &[(String, String)],
    job: &mut Job,
    depth: usize,
) {
    for step in list.and_then(Value::as_array).into_iter().flatten() {
        let (kind, of) = match step {
            Value::Object(map) => match map.iter().next() {
                Some((kind, of)) => (kind.clone(), of.clone()),
                None => continue,
            },
            other => (text_of(other).unwrap_or_default(), Value::Null),
        };
        let command = root.get("commands").and_then(|it| it.get(&kind));
        match kind.as_str() {
            "checkout" => {}
            "run" => run(&of, parameters, job),
            "persist_to_workspace" | "attach_workspace" | "store_artifacts" => {
                workspace(&kind, &of, parameters, job);
            }
            "when" | "unless" => {
                job.comment.push(format!("Steps ran only `{kind}`; here they always run."));
                steps(of.get("steps"), root, parameters, job, depth + 1);
            }
            _ if command.is_some() && depth < 10 => {
                let mut inner = command.map(defaults).unwrap_or_default();
                set(&mut inner, &of);
                for (_, value) in &mut inner {
                    *value = filled(value, parameters);
                }
                steps(command.and_then(|it| it.get("steps")), root, &inner, job, depth + 1);
            }
            _ => job.comment.push(format!("Not carried over: the step `{kind}`.")),
        }
    }
}

fn run(of: &Value, parameters: &[(String, String)], job: &mut Job) {
    let command = text_of(of).or_else(|| text(of, "command"));
    let Some(command) = command else { return };
    let command = filled(&command, parameters);
    let when = match text(of, "when").as_deref() {
        Some("always") => When::Always,
        Some("on_fail") => When::Failed,
        _ => When::Passed,
    };
    let env = of.get("environment").and_then(Value::as_object).into_iter().flatten();
    let env = env.filter_map(|(name, value)| Some((name.clone(), text_of(value)?))).collect();
    let dir = text(of, "working_directory").map(|dir| filled(&dir, parameters));
    let name = text(of, "name").map(|name| filled(&name, parameters));
    job.steps.push(Step { name, dir, env, text: command, when, ..Step::default() });
}

/// What passes through the workspace of a workflow; and what is kept for people.
fn workspace(kind: &str, of: &Value, parameters: &[(String, String)], job: &mut Job) {
    let at = |key: &str| text(of, key).map(|it| in_workspace(&filled(&it, parameters)));
    let mut files = Files::default();
    let mut said = |path: &str, why: &str| {
        job.comment.push(format!("Not carried over: `{path}` of `{kind}`: {why}."));
    };
    if kind == "attach_workspace" {
        match at("at").unwrap_or_default() {
            path if path.starts_with(['/', '~']) => {
                said(&path, "it is outside of the job's directory");
            }
            path => job.passed.taken.push(Takes {
                of: Of::Paths { of: None, globs: vec!["**".to_owned()] },
                to: To::Below(path),
                place: kind.to_owned(),
            }),
        }
        return;
    }
    files.root = at("root").unwrap_or_default();
    let paths = if kind == "store_artifacts" {
        at("path").into_iter().collect()
    } else {
        texts(of.get("paths"))
    };
    for path in paths {
        let path = in_workspace(&filled(&path, parameters));
        let whole = match (files.root.is_empty(), path.is_empty()) {
            (_, true) => format!("{}/", files.root),
            (true, _) => path.clone(),
            (false, _) => format!("{}/{path}", files.root),
        };
        match artifacts::glob(&whole) {
            Ok((glob, _)) => files.globs.push(glob),
            Err(why) => said(&path, &why),
        }
    }
    if kind == "store_artifacts" {
        job.artifacts.append(&mut files.globs);
    } else if !files.globs.is_empty() {
        job.passed.kept.push(files);
    }
}

/// A path from the job's directory, which is the workspace; that one itself is empty.
fn in_workspace(path: &str) -> String {
    let path = path.trim();
    let inside = path.strip_prefix("~/project").filter(|it| it.is_empty() || it.starts_with('/'));
    match inside {
        Some(inside) => inside.trim_matches('/').to_owned(),
        None if path == "." => String::new(),
        None => path.trim_start_matches("./").trim_end_matches('/').to_owned(),
    }
}
