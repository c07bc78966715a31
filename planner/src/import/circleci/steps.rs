//! The steps of CircleCI's jobs as scripts: `run`, and commands of the file in their place.

use serde_json::Value;

use crate::import::{
    document::{text, text_of},
    listed::Job,
    matrix,
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
    if job.lines.iter().any(|line| line.contains("<<") && line.contains(">>")) {
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
    if let Some(name) = text(of, "name") {
        job.lines.push(format!("# {}", filled(&name, parameters).replace('\n', " ")));
    }
    if text(of, "when").is_some_and(|it| it != "on_success") {
        job.comment.push("A step ran after a failure, too; here it does not.".to_owned());
    }
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let env = of.get("environment").and_then(Value::as_object).into_iter().flatten();
    let env: Vec<String> = env
        .filter_map(|(name, value)| Some(format!("export {name}={}", quoted(&text_of(value)?))))
        .collect();
    let dir = text(of, "working_directory").map(|dir| format!("cd {}", quoted(&dir)));
    if env.is_empty() && dir.is_none() {
        job.lines.push(command.trim_end().to_owned());
        return;
    }
    job.lines.push("(".to_owned());
    job.lines.extend(dir.into_iter().chain(env));
    job.lines.push(command.trim_end().to_owned());
    job.lines.push(")".to_owned());
}
