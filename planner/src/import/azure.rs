//! Azure Pipelines: `paths` of `pr` and `trigger` become the paths of lanes, jobs become jobs,
//! stages and `dependsOn` their order.
//!
//! By its documentation: a path is excluded unless a deeper one includes it, whatever their order.
//! A pipeline is taken from pull requests where it says what it does for them, else from pushes.
//! One that says nothing of pull requests runs for every one of a GitHub repository: then it
//! always runs here.

use serde_json::Value;

use super::{
    ImportError, Tree,
    dialect::azure,
    document::{of_file, text, text_of, texts},
    draft_of,
    filter::Selects,
    formula::Formula,
    listed::{self, Job, Lists},
    matrix,
    pipeline::{self, Entry, Pipeline, simple},
    shell::{Step, When},
};
use crate::init::draft::{Draft, MatrixDraft};

/// Drafts lanes for the pipelines of a tree.
///
/// # Errors
///
/// [`ImportError`] for the first file that cannot be read, or when there is none.
pub fn import(tree: &Tree<'_>) -> Result<Draft, ImportError> {
    let ends = |path: &str| path.ends_with(".yml") || path.ends_with(".yaml");
    let ours = |path: &&String| {
        let name = path.rsplit('/').next().unwrap_or(path);
        let inside =
            [".azure-pipelines/", "azure-pipelines/", ".azure/", ".azuredevops/", ".pipelines/"];
        ends(path)
            && (name.starts_with("azure-pipelines")
                || name.starts_with(".azure-pipelines")
                || name.starts_with("azure-pipeline")
                || inside.iter().any(|start| path.starts_with(start)))
    };
    let mut draft =
        draft_of("Azure's pipelines", &["Azure's default timeout is one hour, as here."]);
    let mut any = false;
    for file in tree.paths.iter().filter(ours) {
        let root = of_file(tree, file)?;
        let is = |key: &str| root.get(key).is_some();
        let runs = ["stages", "jobs", "steps", "extends"].iter().any(|key| is(key));
        // A file with parameters that names no trigger is a template of another.
        if !runs || (is("parameters") && !["trigger", "pr", "schedules"].iter().any(|key| is(key)))
        {
            continue;
        }
        any = true;
        self::pipeline(file, &root, tree, &mut draft);
    }
    if any { Ok(draft) } else { Err(super::nothing("azure-pipelines.yml")) }
}

fn pipeline(file: &str, root: &Value, tree: &Tree<'_>, draft: &mut Draft) {
    let mut lists = Lists::new(tree);
    let mut comment = vec![format!("Azure's pipeline {file}")];
    let runs = starts(file, root, &mut lists, &mut comment);
    let nightly = root.get("schedules").is_some();
    if runs == Formula::Is(false) && !nightly {
        draft.closing.push(format!(
            "{file} is started by no change and no schedule and is not carried over."
        ));
        return;
    }
    let by_change = runs != Formula::Is(false);
    let mut found = Found { entries: Vec::new(), waits: Vec::new() };
    let runs = if by_change { runs } else { Formula::Is(true) };
    match root.get("stages").and_then(Value::as_array) {
        Some(stages) => {
            let mut earlier: Option<String> = None;
            for stage in stages {
                let name = text(stage, "stage")
                    .unwrap_or_else(|| format!("stage {}", found.entries.len()));
                let before = match stage.get("dependsOn") {
                    Some(needs) => texts(Some(needs)),
                    None => earlier.iter().cloned().collect(),
                };
                let mut runs = runs.clone();
                let condition = text(stage, "condition");
                if let Some(condition) = &condition {
                    runs = runs.and(self::condition(condition));
                }
                let first = found.entries.len();
                let jobs = stage.get("jobs");
                if let Some(template) = text(stage, "template") {
                    comment.push(format!("Not carried over: the template `{template}`."));
                }
                found.jobs(jobs, root, &mut lists, (&runs, Some(&name), &before));
                // What waits for nothing in its stage starts as the stage does.
                for (entry, waits) in found.entries.iter_mut().zip(&found.waits).skip(first) {
                    if waits.jobs.is_empty() && entry.job.run_if.is_none() {
                        entry.job.run_if = condition.as_deref().and_then(run_if);
                    }
                }
                earlier = Some(name);
            }
        }
        None if root.get("jobs").is_some() => {
            found.jobs(root.get("jobs"), root, &mut lists, (&runs, None, &[]));
        }
        None => found.job("job", root, root, &mut lists, (&runs, None, &[])),
    }
    if root.get("extends").is_some() {
        comment.push(format!("Not carried over: `extends` of {file}."));
    }
    let stem = file.trim_end_matches(".yml").trim_end_matches(".yaml").to_owned();
    let Found { mut entries, waits } = found;
    for entry in &mut entries {
        entry.nightly = !by_change;
    }
    let (mut entries, before) = listed::ordered(entries, &|entry| {
        let Some(own) = waits.iter().find(|it| it.key == entry.key) else { return Vec::new() };
        let in_stage = |it: &&Waits| it.stage.as_ref().is_some_and(|it| own.stages.contains(it));
        // What waits for a job of its own stage waits for the stages before with it.
        let of_stages = waits.iter().filter(in_stage).filter(|_| own.jobs.is_empty());
        let of_stages = of_stages.map(|it| it.key.clone());
        let prefix = own.stage.as_ref().map(|stage| format!("{stage} ")).unwrap_or_default();
        of_stages.chain(own.jobs.iter().map(|job| format!("{prefix}{job}"))).collect()
    });
    listed::wait_for(&mut entries, &before);
    let again = (by_change && nightly).then(|| format!("The schedule of {file}."));
    let job_id = |key: &str| {
        let name = stem.rsplit('/').next().unwrap_or(&stem);
        if name.trim_start_matches('.') == "azure-pipelines" {
            key.to_owned()
        } else {
            format!("{name}-{key}")
        }
    };
    pipeline::draft(
        Pipeline { name: stem.clone(), comment, again, entries, lane: &simple, job_id: &job_id },
        draft,
    );
}

/// What a job waits for.
struct Waits {
    key: String,
    stage: Option<String>,
    jobs: Vec<String>,
    stages: Vec<String>,
}

/// Jobs, and what each waits for.
struct Found {
    entries: Vec<Entry>,
    waits: Vec<Waits>,
}

type Above<'a> = (&'a Formula, Option<&'a String>, &'a [String]);

impl Found {
    fn jobs(
        &mut self,
        jobs: Option<&Value>,
        root: &Value,
        lists: &mut Lists<'_>,
        above: Above<'_>,
    ) {
        for job in jobs.and_then(Value::as_array).into_iter().flatten() {
            let name = ["job", "deployment", "template"].iter().find_map(|key| text(job, key));
            let name = name.filter(|it| !it.is_empty());
            let name = name.unwrap_or_else(|| format!("job {}", self.entries.len() + 1));
            self.job(&name, job, root, lists, above);
        }
    }

    fn job(
        &mut self,
        name: &str,
        of: &Value,
        root: &Value,
        lists: &mut Lists<'_>,
        (runs, stage, stages): Above<'_>,
    ) {
        let mut runs = runs.clone();
        let condition = text(of, "condition").filter(|_| !std::ptr::eq(of, root));
        if let Some(condition) = condition {
            runs = runs.and(self::condition(&condition));
        }
        let key = stage.map_or_else(|| name.to_owned(), |stage| format!("{stage} {name}"));
        let job = job(of, root);
        let Some(entry) = lists.entry(&key, &runs, job) else { return };
        self.waits.push(Waits {
            key,
            stage: stage.cloned(),
            jobs: texts(of.get("dependsOn")),
            stages: stages.to_vec(),
        });
        self.entries.push(entry);
    }
}

/// A condition is undecided, but for what is always so.
fn condition(text: &str) -> Formula {
    match text.trim() {
        "always()" | "succeeded()" | "succeededOrFailed()" | "failed()" | "true" => {
            Formula::Is(true)
        }
        "false" => Formula::Is(false),
        other => Formula::Maybe(format!("`condition: {}`", other.replace('\n', " "))),
    }
}

/// How what a job waits for must have ended, by its condition.
fn run_if(condition: &str) -> Option<&'static str> {
    match condition.trim() {
        "always()" | "succeededOrFailed()" => Some("always"),
        "failed()" => Some("failed"),
        _ => None,
    }
}

/// When a pipeline starts, for what is proposed, else for what is taken.
fn starts(file: &str, root: &Value, lists: &mut Lists<'_>, comment: &mut Vec<String>) -> Formula {
    let none = |node: &Value| text_of(node).as_deref() == Some("none");
    let (pr, trigger) = (root.get("pr"), root.get("trigger"));
    let (node, what) = match (pr, trigger) {
        (Some(pr), _) if !none(pr) => (pr, "pr"),
        (Some(_), None) => {
            comment.push("Ran for every push to a branch.".to_owned());
            return Formula::Is(true);
        }
        (Some(_), Some(trigger)) if none(trigger) => return Formula::Is(false),
        (Some(_), Some(trigger)) => (trigger, "trigger"),
        (None, Some(trigger)) if none(trigger) => {
            comment.push(
                "No push started it; pull requests of a GitHub repository did, whatever they \
                 changed, and a policy of the server may have."
                    .to_owned(),
            );
            return Formula::Is(true);
        }
        (None, Some(trigger)) if trigger.get("paths").is_some() => {
            comment.push(
                "Not decided: without `pr`, a pull request of a GitHub repository starts it \
                 whatever changed, and one of Azure Repos by a policy. `pr: none` would say that \
                 the paths of `trigger` count."
                    .to_owned(),
            );
            return Formula::Is(true);
        }
        _ => return Formula::Is(true),
    };
    if node.get("branches").is_some() || node.is_array() {
        comment.push(format!("Not carried over: `branches` of `{what}`."));
    }
    for key in ["tags", "batch", "drafts"] {
        if node.get(key).is_some() {
            comment.push(format!("Not carried over: `{key}` of `{what}`."));
        }
    }
    let Some(paths) = node.get("paths") else { return Formula::Is(true) };
    let (include, exclude) = match paths {
        Value::Object(map) => (texts(map.get("include")), texts(map.get("exclude"))),
        other => (texts(Some(other)), Vec::new()),
    };
    let selects =
        Selects::ordered(&by_depth(include, exclude), &azure::translate, lists.tree.has_file);
    lists.add(&format!("paths of {file}"), selects)
}

/// Patterns in an order in which the last that matches decides: what includes more, what excludes,
/// what includes something deeper, or something of which that is not certain.
fn by_depth(include: Vec<String>, exclude: Vec<String>) -> Vec<(bool, String)> {
    let fixed = |pattern: &str| -> String {
        let plain = pattern.trim_start_matches("./").trim_matches('/');
        let parts = plain.split('/').take_while(|part| !part.contains(['*', '?']));
        parts.collect::<Vec<_>>().join("/")
    };
    let above = |a: &str, b: &str| {
        let (a, b) = (fixed(a), fixed(b));
        a.len() < b.len() && (a.is_empty() || b.starts_with(&format!("{a}/")))
    };
    let apart = |a: &str, b: &str| {
        let (a, b) = (fixed(a), fixed(b));
        !a.is_empty()
            && !b.is_empty()
            && !format!("{a}/").starts_with(&format!("{b}/"))
            && !format!("{b}/").starts_with(&format!("{a}/"))
    };
    let include = if include.is_empty() { vec!["/".to_owned()] } else { include };
    let (first, last): (Vec<String>, Vec<String>) = include
        .into_iter()
        .partition(|it| exclude.iter().all(|other| above(it, other) || apart(it, other)));
    let signed = |positive: bool, list: Vec<String>| -> Vec<(bool, String)> {
        list.into_iter().map(|pattern| (positive, pattern)).collect()
    };
    [signed(true, first), signed(false, exclude), signed(true, last)].concat()
}

/// The part that a job is, by the names of Azure.
const PART: &str = "export SYSTEM_JOBPOSITIONINPHASE=\"$FORGE_LANES_SHARD\" \
                    SYSTEM_TOTALJOBSINPHASE=\"$FORGE_LANES_SHARDS\"\n";

/// Lines that give the values of a matrix the names of the environment that Azure gives them.
fn capitals(matrix: &MatrixDraft) -> String {
    let rows = |row: &Vec<(String, String)>| -> Vec<(String, String)> {
        let own = |name: &str| name.replace(['.', ' '], "_").to_ascii_uppercase();
        row.iter().map(|(name, value)| (own(name), value.clone())).collect()
    };
    let include = matrix.include.iter().map(rows).collect();
    matrix::exports(&MatrixDraft { include, ..MatrixDraft::default() })
}

/// A step with a script.
fn step(step: &Value, script: String, comment: &mut Vec<String>) -> Step {
    let condition = text(step, "condition");
    let when = match condition.as_deref().map(str::trim) {
        None | Some("succeeded()" | "true") => When::Passed,
        Some("always()" | "succeededOrFailed()") => When::Always,
        Some("failed()") => When::Failed,
        Some(other) => {
            comment.push(format!("A step ran only if `{other}`; here it always runs."));
            if other.contains("failed()")
                || other.contains("always()")
                || other.contains("OrFailed")
            {
                When::Always
            } else {
                When::Passed
            }
        }
    };
    let env = step.get("env").and_then(Value::as_object).into_iter().flatten();
    let env = env.filter_map(|(name, value)| Some((name.clone(), text_of(value)?))).collect();
    Step {
        name: text(step, "displayName"),
        dir: text(step, "workingDirectory"),
        env,
        text: script,
        when,
        tolerated: step.get("continueOnError") == Some(&Value::Bool(true)),
        ..Step::default()
    }
}

fn job(of: &Value, root: &Value) -> Job {
    let mut job = Job { title: text(of, "displayName"), ..Job::default() };
    let steps = of.get("steps").or_else(|| {
        let strategy = of.get("strategy")?;
        strategy.get("runOnce")?.get("deploy")?.get("steps")
    });
    for step in steps.and_then(Value::as_array).into_iter().flatten() {
        let script = ["script", "bash"].iter().find_map(|key| text(step, key));
        if let Some(script) = script {
            job.steps.push(self::step(step, script, &mut job.comment));
            continue;
        }
        for key in ["task", "template", "pwsh", "powershell", "download", "publish"] {
            if let Some(what) = text(step, key) {
                let first = what.lines().next().unwrap_or_default();
                job.comment.push(format!("Not carried over: `{key}: {first}`."));
            }
        }
    }
    if job.steps.iter().any(|step| step.text.contains("$(") && step.text.contains(')')) {
        job.comment.push(
            "`$(name)` in the script is Azure's where it is no command; put the values there."
                .to_owned(),
        );
    }
    for node in [root.get("variables"), of.get("variables")].into_iter().flatten() {
        let pairs = node.as_object().into_iter().flatten();
        job.env.extend(pairs.filter_map(|(name, value)| Some((name.clone(), text_of(value)?))));
    }
    job.env.retain(|(name, value)| !name.contains('.') && !value.contains("${{"));
    job.timeout_secs = text(of, "timeoutInMinutes")
        .and_then(|minutes| minutes.parse::<u64>().ok())
        .map(|minutes| minutes * 60);
    if of.get("continueOnError") == Some(&Value::Bool(true)) {
        job.allow_failure = Some(Vec::new());
    }
    if let Some(matrix) = of.get("strategy").and_then(|it| it.get("matrix")) {
        let words = match matrix {
            Value::Object(map) => map.keys().map(String::as_str).collect::<Vec<_>>().join(", "),
            other => text_of(other).unwrap_or_default(),
        };
        let found = matrix::of_azure(matrix);
        if let Ok(found) = &found {
            // Values are variables there, and in the environment in capitals.
            for name in found.names() {
                let own = format!("${{{{ matrix.{name} }}}}");
                let of_azure = [format!("$({name})"), format!("$[variables.{name}]")];
                let put = |text: &mut String| {
                    of_azure.iter().for_each(|it| *text = text.replace(it, &own));
                };
                job.steps.iter_mut().for_each(|step| {
                    put(&mut step.text);
                    step.dir.iter_mut().for_each(put);
                    step.env.iter_mut().for_each(|(_, value)| put(value));
                });
                job.title.iter_mut().for_each(put);
            }
            job.first = capitals(found);
        }
        job.matrix = Some((found, words));
    }
    if let Some(count) = of.get("strategy").and_then(|it| it.get("parallel")) {
        match count.as_u64() {
            Some(count) if count > 1 => job.shards = Some((count, PART)),
            Some(_) => {}
            None => job.comment.push(format!("Not carried over: `parallel: {count}`.")),
        }
    }
    job.run_if = text(of, "condition").as_deref().and_then(run_if);
    job.left_out(of.get("strategy").unwrap_or(&Value::Null), &["maxParallel"]);
    job.left_out(of, &["pool", "container", "services", "environment", "uses"]);
    job
}
