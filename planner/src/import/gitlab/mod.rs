//! GitLab's `.gitlab-ci.yml`: `rules`, `only` and `except` with `changes` become the paths of lanes,
//! scripts become jobs, stages become the order of lanes.
//!
//! A job is taken from merge requests and pushes to branches if it runs there, else from a push to
//! the default branch; a comment says which. `changes` is Ruby's dialect.

mod condition;
mod configuration;
mod files;
mod rules;

use serde_json::Value;

use self::{
    condition::Event,
    configuration::Configuration,
    rules::{Lists, Starts},
};
use super::{
    ImportError, Tree,
    document::{text, text_of, texts},
    draft_of,
    formula::Formula,
    matrix,
    pipeline::{self, Entry, Pipeline},
    selection::selection,
};
use crate::init::draft::{CommandDraft, Draft, JobDraft};

/// The file that GitLab reads.
pub const FILE: &str = ".gitlab-ci.yml";

/// Events by which changes come: two of what is proposed, one of what is taken.
const BY_CHANGE: [Event; 3] = [Event::MergeRequest, Event::Branch, Event::DefaultBranch];

/// Drafts lanes for the pipeline of a tree.
///
/// # Errors
///
/// [`ImportError`] for the first file that cannot be read.
pub fn import(tree: &Tree<'_>) -> Result<Draft, ImportError> {
    let error = |detail: &str| ImportError { file: FILE.to_owned(), detail: detail.to_owned() };
    let written = (tree.read)(FILE).ok_or_else(|| error("it is not in the tree"))?;
    let mut configuration = Configuration::read(FILE, &written, tree)?;
    let jobs = configuration.jobs();
    let mut draft =
        draft_of("GitLab's pipeline", &["GitLab's default timeout of one hour is the base's."]);
    let root = &configuration.root;
    // A variable that a job or a rule may set, too, has no one value.
    let mut elsewhere = Vec::new();
    let inner = root.as_object().into_iter().flatten().filter(|(key, _)| *key != "variables");
    inner.for_each(|(_, value)| set_names(value, &mut elsewhere));
    let mut plain = variables(root);
    plain.retain(|(name, _)| !elsewhere.contains(name));
    let mut lists = Lists { all: Vec::new(), tree, variables: plain, notes: Vec::new() };
    let stages = stages(root);
    let mut entries: Vec<Entry> = Vec::new();
    let mut ranks: Vec<(usize, bool)> = Vec::new();
    for (name, job) in &jobs {
        match when(root, name, job, &mut lists) {
            Ok(found) => {
                let stage = text(job, "stage").unwrap_or_else(|| "test".to_owned());
                let rank = stages.iter().position(|it| *it == stage).unwrap_or(stages.len());
                let ordered = job.get("needs").is_none();
                let entry = entry(name, job, root, &lists, found);
                ranks.push((rank, ordered));
                entries.push(Entry { part: Some(format!("{rank} {ordered}")), ..entry });
            }
            Err(why) => draft.closing.push(format!("{FILE}: the job `{name}` {why}.")),
        }
    }
    order(&jobs, &ranks, &mut entries);
    files::pass_on(&jobs, &ranks, &mut entries);
    for note in lists.notes.iter().chain(&configuration.notes) {
        if !draft.closing.contains(note) {
            draft.closing.push(note.clone());
        }
    }
    let name = "GitLab's pipeline".to_owned();
    let (lane, job_id) = (&pipeline::simple, &str::to_owned);
    let pipeline = Pipeline { name, comment: Vec::new(), again: None, entries, lane, job_id };
    pipeline::draft(pipeline, &mut draft);
    Ok(draft)
}

fn stages(root: &Value) -> Vec<String> {
    let mut stages = texts(root.get("stages").or_else(|| root.get("types")));
    if stages.is_empty() {
        stages = ["build", "test", "deploy"].map(str::to_owned).to_vec();
    }
    stages.retain(|stage| ![".pre", ".post"].contains(&stage.as_str()));
    stages.insert(0, ".pre".to_owned());
    stages.push(".post".to_owned());
    stages
}

/// `variables`, of which one may be a mapping with its value.
fn variables(of: &Value) -> Vec<(String, String)> {
    let map = of.get("variables").and_then(Value::as_object).into_iter().flatten();
    map.filter_map(|(name, value)| {
        let value = text_of(value).or_else(|| text(value, "value"))?;
        Some((name.clone(), value))
    })
    .collect()
}

/// The names of all variables that are set somewhere inside.
fn set_names(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            names.extend(variables(value).into_iter().map(|(name, _)| name));
            map.values().for_each(|inside| set_names(inside, names));
        }
        Value::Array(list) => list.iter().for_each(|inside| set_names(inside, names)),
        _ => {}
    }
}

/// When a job runs.
struct Found {
    runs: Formula,
    /// Only at night.
    nightly: bool,
    /// What to say of it.
    notes: Vec<String>,
    /// How what it needs must have ended; nothing: passed.
    run_if: Option<&'static str>,
}

/// When a job runs; or why it is left out.
fn when(
    root: &Value,
    name: &str,
    job: &Value,
    lists: &mut Lists<'_>,
) -> Result<Found, &'static str> {
    let mut starts = |event: Event| -> Starts {
        let workflow = lists.workflow(root, event);
        let mut starts = lists.job(root, name, job, event);
        starts.runs = workflow.clone().and(starts.runs);
        starts.on_failure = workflow.and(starts.on_failure);
        starts
    };
    let found = BY_CHANGE.map(|event| (event, starts(event)));
    let mut notes = Vec::new();
    let [(_, request), (_, branch), (_, default)] = &found;
    // What is proposed comes as a merge request and as a branch: either way counts.
    let proposed = request.runs.clone().or(branch.runs.clone());
    let runs = |formula: &Formula| !formula.clauses().is_empty();
    let always = found.iter().any(|(_, it)| it.always).then_some("always");
    // Stages are an order of lanes, and a lane waits for what passes: only `needs` says how it ends.
    let has_needs =
        job.get("needs").is_some_and(|it| it.as_array().is_none_or(|it| !it.is_empty()));
    if always.is_some() && !has_needs && text(job, "stage").is_none_or(|it| it != ".pre") {
        notes.push(format!(
            "`{name}` ran after a failure in an earlier stage, too; here it waits for lanes that pass."
        ));
    }
    let run_if = always.filter(|_| has_needs);
    if runs(&proposed) {
        if default.runs != proposed && runs(&default.runs) {
            notes.push(
                "Taken from merge requests and branches; on the default branch it ran by other rules."
                    .to_owned(),
            );
        }
        return Ok(Found { runs: proposed, nightly: false, notes, run_if });
    }
    if runs(&default.runs) {
        notes.push("Ran only for pushes to the default branch.".to_owned());
        return Ok(Found { runs: default.runs.clone(), nightly: false, notes, run_if });
    }
    if found.iter().any(|(_, it)| it.by_hand) {
        return Err("is started by hand and is not carried over");
    }
    let failed = request.on_failure.clone().or(branch.on_failure.clone());
    let failed = if runs(&failed) { failed } else { default.on_failure.clone() };
    if runs(&failed) {
        if has_needs {
            let run_if = Some("failed");
            return Ok(Found { runs: failed, nightly: false, notes, run_if });
        }
        return Err(
            "ran only after a failure in an earlier stage; here the lane that failed says so, and it is \
             left out",
        );
    }
    let scheduled = starts(Event::Schedule).runs;
    if !scheduled.clauses().is_empty() {
        notes.push("Ran for schedules, which GitLab keeps outside the file.".to_owned());
        return Ok(Found { runs: Formula::Is(true), nightly: true, notes, run_if });
    }
    Err("is started by no change and no schedule and is not carried over")
}

fn entry(
    name: &str,
    job: &Value,
    root: &Value,
    lists: &Lists<'_>,
    Found { runs, nightly, mut notes, run_if }: Found,
) -> Entry {
    let clauses = runs.clauses();
    let (when, _, more) = selection(&lists.all, None, &clauses, &std::collections::BTreeSet::new());
    notes.extend(more);
    let mut open: Vec<&String> = clauses.iter().flat_map(|clause| &clause.open).collect();
    open.sort_unstable();
    open.dedup();
    if !open.is_empty() {
        let open: Vec<&str> = open.into_iter().map(String::as_str).collect();
        notes.push(format!("Not decided for the job `{name}`: {}.", open.join(", ")));
    }
    let (draft, placeholder) = self::job(name, job, root);
    let draft = JobDraft { run_if, ..draft };
    let group = text(job, "resource_group");
    let group = group.map(|group| pipeline::plain_id(&group));
    Entry { when, notes, placeholder, nightly, group, ..Entry::new(name.to_owned(), draft) }
}

/// `needs`, and stages for jobs without.
fn order(jobs: &[(String, Value)], ranks: &[(usize, bool)], entries: &mut [Entry]) {
    let names: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    let nightly: Vec<bool> = entries.iter().map(|entry| entry.nightly).collect();
    for (at, entry) in entries.iter_mut().enumerate() {
        let Some((_, job)) = jobs.iter().find(|(name, _)| *name == entry.key) else { continue };
        match job.get("needs") {
            Some(needs) => {
                let list = needs.as_array().cloned().unwrap_or_else(|| vec![needs.clone()]);
                for need in &list {
                    let name = text_of(need).or_else(|| text(need, "job")).unwrap_or_default();
                    let elsewhere =
                        ["project", "pipeline"].iter().any(|key| need.get(key).is_some());
                    match names.iter().position(|known| *known == name) {
                        Some(place) if !elsewhere && place != at => {
                            // An optional one is waited for where it runs.
                            if need.get("optional") == Some(&Value::Bool(true)) {
                                entry.job.comment.push(format!(
                                    "Needed `{name}` only where it ran; here it is pulled in."
                                ));
                            }
                            entry.needs.push(place);
                        }
                        _ => entry
                            .job
                            .comment
                            .push(format!("Not carried over: `needs` of `{name}`.")),
                    }
                }
            }
            None if !nightly[at] => {
                let rank = ranks[at].0;
                entry.after =
                    (0..names.len()).filter(|&it| ranks[it].0 < rank && !nightly[it]).collect();
            }
            None => {}
        }
    }
}

/// What a job runs, once or for each of its combinations.
fn job(name: &str, job: &Value, root: &Value) -> (JobDraft, bool) {
    let once = |words: String, reason: String| {
        let (mut draft, placeholder) = self::one_job(name, job, root, "");
        draft.comment.push(format!(
            "Ran once for each of `{words}`; here it runs once ({reason}): write a job for each, or a loop."
        ));
        (draft, placeholder)
    };
    let Some(parallel) = job.get("parallel") else { return one_job(name, job, root, "") };
    let (found, shards, words) = match parallel.get("matrix") {
        Some(rows) => (matrix::of_gitlab(rows).map(Some), 0, matrix_words(rows)),
        None => {
            let words = format!("parallel: {}", text_of(parallel).unwrap_or_default());
            match parallel.as_u64() {
                Some(count) => (Ok(None), count, words),
                None => (Err("that is no number".to_owned()), 0, words),
            }
        }
    };
    let found = match found {
        Ok(found) => found,
        Err(reason) => return once(words, reason),
    };
    let mut lines = found.as_ref().map(matrix::exports).unwrap_or_default();
    if shards > 0 {
        lines.push_str(PART);
    }
    let (mut draft, placeholder) = one_job(name, job, root, &lines);
    draft.id = pipeline::plain_id(name);
    draft.matrix = found;
    draft.shards = shards;
    match matrix::fit(&mut draft) {
        Ok(()) => (draft, placeholder),
        Err(reason) => once(words, reason),
    }
}

/// The part that a job is, by the names of GitLab.
const PART: &str =
    "export CI_NODE_INDEX=\"$FORGE_LANES_SHARD\" CI_NODE_TOTAL=\"$FORGE_LANES_SHARDS\"\n";

/// What a job runs; `first` are lines before its own.
fn one_job(name: &str, job: &Value, root: &Value, first: &str) -> (JobDraft, bool) {
    let mut comment = Vec::new();
    for key in [
        "image",
        "services",
        "tags",
        "environment",
        "after_script",
        "secrets",
        "id_tokens",
        "release",
        "retry",
        "hooks",
    ] {
        if job.get(key).is_some() {
            comment.push(format!("Not carried over: `{key}`."));
        }
    }
    let allow_failure = match job.get("allow_failure") {
        Some(Value::Bool(true)) => Some(Vec::new()),
        Some(of) => of.get("exit_codes").map(|codes| match codes {
            Value::Array(list) => list.iter().filter_map(Value::as_i64).collect(),
            one => one.as_i64().into_iter().collect(),
        }),
        None => None,
    };
    if let Some(trigger) = job.get("trigger") {
        comment.push(format!("Not carried over: the pipeline that it triggers, {trigger}."));
    }
    let mut lines = texts(job.get("before_script"));
    let script = texts(job.get("script"));
    let placeholder = script.is_empty();
    lines.extend(script);
    let command = if placeholder {
        comment.push(
            "No step says what to run: put the command here. Until then it fails.".to_owned(),
        );
        CommandDraft::argv(&["false"])
    } else {
        if lines.iter().any(|line| line.contains("$CI_") || line.contains("${CI_")) {
            comment.push("`$CI_…` in the script is GitLab's; put the values there.".to_owned());
        }
        CommandDraft::Shell(format!("set -e\n{first}{}\n", lines.join("\n")))
    };
    let mut env: std::collections::BTreeMap<String, String> = variables(root).into_iter().collect();
    env.extend(variables(job));
    let plain = |name: &str| {
        name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    };
    let before = env.len();
    env.retain(|name, value| plain(name) && !value.contains('$'));
    if env.len() < before {
        comment.push("Variables that hold other variables are left out.".to_owned());
    }
    let timeout = text(job, "timeout");
    let timeout_secs = timeout.as_deref().and_then(seconds);
    if let (Some(timeout), None) = (&timeout, timeout_secs) {
        comment.push(format!("Not carried over: `timeout: {timeout}`."));
    }
    let draft = JobDraft {
        comment,
        description: name.to_owned(),
        command,
        env: env.into_iter().collect(),
        timeout_secs,
        allow_failure,
        clone: true,
        ..JobDraft::default()
    };
    (draft, placeholder)
}

fn matrix_words(matrix: &Value) -> String {
    let axes = matrix.as_array().into_iter().flatten().map(|row| {
        let pairs = row.as_object().into_iter().flatten();
        let axis = |(name, values): (&String, &Value)| {
            format!("{name}: {}", texts(Some(values)).join(", "))
        };
        pairs.map(axis).collect::<Vec<_>>().join("; ")
    });
    axes.collect::<Vec<_>>().join(" | ")
}

/// `1h 30m`, `90 minutes`, `3600`.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let spaced: String = text.chars().fold(String::new(), |mut out, c| {
        let digit = out.chars().last().is_some_and(|last| last.is_ascii_digit());
        if digit != c.is_ascii_digit() {
            out.push(' ');
        }
        out.push(c);
        out
    });
    let mut words = spaced.split_whitespace().peekable();
    while let Some(number) = words.next() {
        let number: u64 = number.parse().ok()?;
        let unit = words.next_if(|word| !word.starts_with(|c: char| c.is_ascii_digit()));
        let factor = match unit {
            None | Some("s" | "sec" | "secs" | "second" | "seconds") => 1,
            Some("m" | "min" | "mins" | "minute" | "minutes") => 60,
            Some("h" | "hr" | "hrs" | "hour" | "hours") => 3600,
            Some("d" | "day" | "days") => 86400,
            Some(_) => return None,
        };
        total = total.checked_add(number.checked_mul(factor)?)?;
    }
    (1..=604_800).contains(&total).then_some(total)
}

#[cfg(test)]
mod tests;
