//! Buildkite's pipelines: `if_changed` becomes the paths of lanes, steps become jobs, `wait` and
//! `depends_on` their order.
//!
//! By Buildkite's documentation and the agent's source: a path counts when a pattern of `include`
//! matches it and none of `exclude`; of a group, both the group's and the step's own `if_changed`
//! have to hold; a step that is left out holds up nobody. Files that a step uploads by name are
//! read too.

use serde_json::Value;

use super::{
    ImportError, Tree,
    artifacts::{self, Artifacts, Files, Of, Takes, To},
    dialect::buildkite,
    document::{of_file, text, text_of, texts},
    draft_of,
    formula::Formula,
    listed::{self, Job, Lists},
    matrix,
    pipeline::{self, Entry, Pipeline},
};
use crate::init::draft::Draft;

/// The part that a job is, by the names of Buildkite.
const PART: &str = "export BUILDKITE_PARALLEL_JOB=$((FORGE_LANES_SHARD - 1)) \
                    BUILDKITE_PARALLEL_JOB_COUNT=\"$FORGE_LANES_SHARDS\"\n";

/// Where the agent looks for a pipeline.
const FILES: [&str; 6] = [
    "buildkite.yml",
    "buildkite.yaml",
    "buildkite.json",
    ".buildkite/pipeline.yml",
    ".buildkite/pipeline.yaml",
    ".buildkite/pipeline.json",
];

/// Drafts lanes for the pipelines of a tree.
///
/// # Errors
///
/// [`ImportError`] for the first file that cannot be read, or when there is none.
pub fn import(tree: &Tree<'_>) -> Result<Draft, ImportError> {
    let mut files: Vec<String> =
        FILES.iter().filter(|file| tree.has(file)).map(|file| (*file).to_owned()).collect();
    if files.is_empty() {
        let ours = |path: &&String| {
            path.strip_prefix(".buildkite/").is_some_and(|name| {
                !name.contains('/') && [".yml", ".yaml"].iter().any(|end| name.ends_with(end))
            })
        };
        files.extend(tree.paths.iter().filter(ours).cloned());
    }
    if files.is_empty() {
        return Err(super::nothing(".buildkite/pipeline.yml"));
    }
    let mut draft = draft_of("Buildkite's pipeline", &[]);
    let mut at = 0;
    while at < files.len() {
        let file = files[at].clone();
        let document = of_file(tree, &file)?;
        let mut steps = Steps {
            lists: Lists::new(tree),
            entries: Vec::new(),
            waits: Vec::new(),
            keys: Vec::new(),
            before: Vec::new(),
            closing: Vec::new(),
            file: &file,
            uploaded: Vec::new(),
        };
        let list = document.get("steps").unwrap_or(&document);
        steps.list(list, &document, &Formula::Is(true), None);
        for more in std::mem::take(&mut steps.uploaded) {
            if tree.has(&more) && !files.contains(&more) {
                files.push(more);
            }
        }
        draft.closing.append(&mut steps.closing);
        let name = if at == 0 { "Buildkite's pipeline".to_owned() } else { file.clone() };
        finish(name, steps, &mut draft);
        at += 1;
    }
    Ok(draft)
}

struct Steps<'a> {
    lists: Lists<'a>,
    entries: Vec<Entry>,
    /// For each, the keys it waits for, or the places of what stands before.
    waits: Vec<(Vec<String>, Vec<usize>)>,
    /// The key of each, and of the groups it is in.
    keys: Vec<Vec<String>>,
    /// What a `wait` stands behind.
    before: Vec<usize>,
    closing: Vec<String>,
    file: &'a str,
    /// Files that steps upload.
    uploaded: Vec<String>,
}

impl Steps<'_> {
    fn list(&mut self, list: &Value, root: &Value, runs: &Formula, group: Option<&str>) {
        for step in list.as_array().into_iter().flatten() {
            let kind = text_of(step);
            let is = |word: &str| kind.as_deref() == Some(word) || step.get(word).is_some();
            if is("wait") || is("waiter") {
                self.before = (0..self.entries.len()).collect();
            } else if is("block") || is("input") || is("manual") {
                let what = ["block", "input", "manual"].iter().find_map(|key| text(step, key));
                let what = what.unwrap_or_else(|| "a block".to_owned());
                self.closing.push(format!(
                    "{}: somebody had to go on at `{what}`; here the steps behind it wait for nobody.",
                    self.file
                ));
                self.before = (0..self.entries.len()).collect();
            } else if is("trigger") {
                let name = text(step, "trigger").unwrap_or_default();
                self.closing.push(format!(
                    "{}: the step that triggers the pipeline `{name}` is not carried over.",
                    self.file
                ));
            } else if step.is_object() {
                self.step(step, root, runs, group);
            }
        }
    }

    fn step(&mut self, step: &Value, root: &Value, runs: &Formula, group: Option<&str>) {
        let name = ["label", "name", "group", "key"].iter().find_map(|key| text(step, key));
        let name =
            name.map(|it| matrix::plain_part(&matrix::from_buildkite(&it)).trim().to_owned());
        let name = name.filter(|it| !it.is_empty());
        let name = name.unwrap_or_else(|| format!("step {}", self.entries.len() + 1));
        let own = self.changes(&name, step);
        let mut runs = runs.clone().and(own);
        for key in ["if", "branches"] {
            if let Some(condition) = text(step, key) {
                runs = runs.and(Formula::Maybe(format!("`{key}: {condition}`")));
            }
        }
        match step.get("skip").filter(|it| !it.is_null()).and_then(text_of).as_deref() {
            None | Some("" | "false") => {}
            Some(word) if word.contains('$') => {
                runs = runs.and(Formula::Maybe(format!("`skip: {word}`")));
            }
            Some(_) => {
                self.closing.push(format!("{}: the step `{name}` is skipped.", self.file));
                return;
            }
        }
        if let Some(inside) = step.get("steps") {
            let first = self.entries.len();
            let key = text(step, "key").unwrap_or_else(|| name.clone());
            let before = std::mem::take(&mut self.before);
            let wanted = texts(step.get("depends_on"));
            self.list(inside, root, &runs, Some(&key));
            for at in first..self.entries.len() {
                if !wanted.is_empty() {
                    self.waits[at].0.extend(wanted.clone());
                } else if self.waits[at].0.is_empty() {
                    self.waits[at].1.extend(before.clone());
                }
                self.keys[at].push(key.clone());
            }
            self.before = before;
            return;
        }
        let job = self.job(step, root);
        // One that goes on after a failure of one that it waits for.
        let goes_on = |need: &Value| need.get("allow_failure") == Some(&Value::Bool(true));
        let waits = list_of(step.get("depends_on"));
        let any = step.get("allow_dependency_failure") == Some(&Value::Bool(true));
        let run_if = (any || waits.iter().any(|need| goes_on(need))).then_some("always");
        let job = Job { run_if, ..job };
        let Some(mut entry) = self.lists.entry(&name, &runs, job) else { return };
        let group_of = text(step, "concurrency_group");
        let most = text(step, "concurrency");
        match (group_of, most.as_deref()) {
            (Some(name), Some("1") | None) => entry.group = Some(pipeline::plain_id(&name)),
            (Some(name), Some(most)) => entry
                .job
                .comment
                .push(format!("Not carried over: at most {most} of the group `{name}` at a time.")),
            (None, _) => {}
        }
        let mut waited = Vec::new();
        for need in list_of(step.get("depends_on")) {
            waited.extend(text_of(need).or_else(|| text(need, "step")));
        }
        let place = if step.get("depends_on").is_some() { Vec::new() } else { self.before.clone() };
        self.waits.push((waited, place));
        let keys = ["key", "id", "identifier"].iter().filter_map(|key| text(step, key));
        self.keys.push(keys.chain(group.map(str::to_owned)).collect());
        // Names need not be different.
        entry.key = name;
        self.entries.push(entry);
    }

    /// `if_changed`.
    fn changes(&mut self, name: &str, step: &Value) -> Formula {
        let Some(node) = step.get("if_changed").filter(|node| !node.is_null()) else {
            return Formula::Is(true);
        };
        let (include, exclude) = match node {
            Value::Object(map) => match map.get("include") {
                Some(include) => (texts(Some(include)), texts(map.get("exclude"))),
                // The agent says so in a warning, and runs the step.
                None => return Formula::Maybe("`if_changed` without `include`".to_owned()),
            },
            other => (texts(Some(other)), Vec::new()),
        };
        let every: Vec<&String> = include.iter().chain(&exclude).collect();
        if let Some(odd) = every.iter().find(|it| !buildkite::is_read(it)) {
            return Formula::Maybe(format!("`if_changed: {odd}`, which the agent cannot read"));
        }
        if let Some(odd) = every.iter().find(|it| it.contains('$')) {
            return Formula::Maybe(format!("`if_changed: {odd}`"));
        }
        self.lists.patterns(name, &include, &exclude, &buildkite::translate)
    }

    fn job(&mut self, step: &Value, root: &Value) -> Job {
        let mut lines = texts(step.get("command"));
        lines.extend(texts(step.get("commands")));
        let mut job = Job { title: text(step, "label"), ..Job::default() };
        for line in lines.iter().flat_map(|line| line.lines()) {
            if let Some((_, rest)) = line.split_once("buildkite-agent pipeline upload") {
                let file = rest.split_whitespace().find(|word| !word.starts_with('-'));
                let file = file.unwrap_or(".buildkite/pipeline.yml");
                self.uploaded.push(file.trim_matches(['"', '\'']).to_owned());
                if !self.lists.tree.has(file.trim_matches(['"', '\''])) || line.contains('|') {
                    job.comment.push(
                        "It makes steps while it runs; those are not carried over.".to_owned(),
                    );
                }
            }
        }
        let lines = lines.iter().flat_map(|text| text.lines()).map(|line| line.replace("$$", "$"));
        job.lines = lines.map(|line| agent(&line, &mut job.passed).unwrap_or(line)).collect();
        let name = ["key", "id", "identifier", "label"].iter().find_map(|key| text(step, key));
        let paths = texts(step.get("artifact_paths"));
        for path in paths.iter().flat_map(|list| list.split(';')).map(str::trim) {
            keep(path, &mut job);
        }
        for kept in &mut job.passed.kept {
            kept.name = name.clone().unwrap_or_default();
        }
        if job.lines.iter().any(|line| line.contains("BUILDKITE_")) {
            job.comment.push(
                "`$BUILDKITE_…` in the script is Buildkite's; put the values there.".to_owned(),
            );
        }
        for env in [root.get("env"), step.get("env")].into_iter().flatten() {
            let pairs = env.as_object().into_iter().flatten();
            job.env.extend(pairs.filter_map(|(name, value)| Some((name.clone(), text_of(value)?))));
        }
        job.timeout_secs = text(step, "timeout_in_minutes")
            .and_then(|minutes| minutes.parse::<u64>().ok())
            .map(|minutes| minutes * 60);
        for plugin in list_of(step.get("plugins")) {
            let name = plugin.as_object().and_then(|map| map.keys().next().cloned());
            let name = name.or_else(|| text_of(plugin)).unwrap_or_default();
            job.comment.push(format!("Not carried over: the plugin `{name}`."));
        }
        if let Some(written) = step.get("matrix") {
            let found = matrix::of_buildkite(written);
            if found.is_ok() {
                let own = matrix::from_buildkite;
                job.lines.iter_mut().for_each(|line| *line = own(line));
                job.env.iter_mut().for_each(|(_, value)| *value = own(value));
                job.title = job.title.as_deref().map(own);
            }
            job.matrix = Some((found, written.to_string()));
        }
        match step.get("parallelism").map(|it| (it, it.as_u64())) {
            Some((_, Some(count))) if count > 1 => job.shards = Some((count, PART)),
            Some((_, Some(_))) | None => {}
            Some((it, None)) => job.comment.push(format!("Not carried over: `parallelism: {it}`.")),
        }
        job.left_out(step, &["agents", "image", "cache", "secrets", "notify"]);
        soft_fail(step, &mut job);
        retry(step, &mut job);
        job
    }
}

/// A path of artifacts that a step keeps.
fn keep(path: &str, job: &mut Job) {
    if path.is_empty() {
        return;
    }
    let translated = buildkite::translate(path.trim_start_matches("./"));
    match translated.same.filter(|_| !path.contains('$') && !path.starts_with(['/', '~'])) {
        Some(globs) => job.passed.kept.push(Files { globs, ..Files::default() }),
        None => job.comment.push(format!("Not carried over: the artifacts `{path}`.")),
    }
}

/// A line of a script that keeps artifacts or takes them, as what stands in its place.
fn agent(line: &str, passed: &mut Artifacts) -> Option<String> {
    let rest = line.trim().strip_prefix("buildkite-agent artifact ")?;
    if rest.contains(['|', '&', ';', '$', '`', '(', '\\', '<', '>']) {
        return None;
    }
    let words: Vec<&str> = rest.split_whitespace().map(|it| it.trim_matches(['"', '\''])).collect();
    let mut plain: Vec<&str> = Vec::new();
    let mut of = None;
    let mut left = words[1..].iter();
    while let Some(word) = left.next() {
        match word.strip_prefix("--") {
            Some("step") => of = Some((*left.next()?).to_owned()),
            Some(flag) => of = Some(flag.strip_prefix("step=")?.to_owned()),
            None => plain.push(word),
        }
    }
    let globs = |path: &str| -> Option<Vec<String>> {
        let found = buildkite::translate(path.trim_start_matches("./")).include().to_vec();
        (!found.is_empty()).then_some(found)
    };
    match (words.first(), plain.as_slice()) {
        (Some(&"upload"), [path]) if of.is_none() => {
            for path in path.split(';') {
                let globs = buildkite::translate(path.trim().trim_start_matches("./")).same?;
                passed.kept.push(Files { globs, ..Files::default() });
            }
        }
        (Some(&"download"), [path, to]) => {
            let to = to.trim_start_matches("./").trim_end_matches('/');
            let to = if to == "." { "" } else { to };
            if to.starts_with(['/', '~']) || to.contains("..") {
                return None;
            }
            passed.taken.push(Takes {
                of: Of::Paths { of, globs: globs(path)? },
                to: To::Below(to.to_owned()),
                place: format!("`{}`", line.trim()),
            });
        }
        _ => return None,
    }
    Some(format!(": '{}'", line.trim().replace('\'', "")))
}

fn list_of(node: Option<&Value>) -> Vec<&Value> {
    match node {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
    }
}

fn soft_fail(step: &Value, job: &mut Job) {
    match step.get("soft_fail") {
        Some(Value::Bool(true)) => job.allow_failure = Some(Vec::new()),
        Some(Value::Array(list)) => {
            let codes = list.iter().filter_map(|one| one.get("exit_status"));
            let all = list.iter().any(|one| text(one, "exit_status").as_deref() == Some("*"));
            job.allow_failure =
                Some(if all { Vec::new() } else { codes.filter_map(Value::as_i64).collect() });
        }
        _ => {}
    }
}

fn retry(step: &Value, job: &mut Job) {
    let Some(rules) = step.get("retry").and_then(|retry| retry.get("automatic")) else { return };
    if *rules == Value::Bool(false) {
        return;
    }
    let rules = list_of(Some(rules));
    let limit = |rule: &&&Value| text(rule, "limit").and_then(|it| it.parse().ok()).unwrap_or(2);
    job.retries = rules.iter().map(|rule| limit(&rule)).max().unwrap_or(2);
    let codes: Vec<Option<i64>> =
        rules.iter().map(|rule| rule.get("exit_status").and_then(Value::as_i64)).collect();
    if codes.iter().all(Option::is_some) {
        // One that the agent gives when a machine is lost is no exit code of a command.
        job.retry_on =
            codes.into_iter().flatten().filter(|code| (1..=255).contains(code)).collect();
    }
}

fn finish(name: String, mut steps: Steps<'_>, draft: &mut Draft) {
    let mut before: Vec<Vec<usize>> = Vec::new();
    for (at, (wanted, mut places)) in std::mem::take(&mut steps.waits).into_iter().enumerate() {
        for key in wanted {
            let found = (0..steps.keys.len()).filter(|&it| steps.keys[it].contains(&key));
            let found: Vec<usize> = found.collect();
            if found.is_empty() {
                steps.entries[at]
                    .job
                    .comment
                    .push(format!("It waited for `{key}`, which is not here."));
            }
            places.extend(found);
        }
        before.push(places);
    }
    // By place: names are not unique here.
    for (at, entry) in steps.entries.iter_mut().enumerate() {
        entry.key = format!("{at} {}", entry.key);
    }
    let waits = |entry: &Entry| -> Vec<String> {
        let at: usize = entry.key.split(' ').next().and_then(|it| it.parse().ok()).unwrap_or(0);
        before[at].clone().into_iter().map(|it| it.to_string()).collect()
    };
    let (mut entries, before) = by_place(std::mem::take(&mut steps.entries), &waits);
    for entry in &mut entries {
        let key = entry.key.split_once(' ').map_or("", |(_, name)| name);
        entry.key = key.to_owned();
    }
    listed::wait_for(&mut entries, &before);
    artifacts::pass_on(&mut entries);
    let pipeline = Pipeline::new(name, entries);
    pipeline::draft(pipeline, draft);
}

fn by_place(
    entries: Vec<Entry>,
    waits: &dyn Fn(&Entry) -> Vec<String>,
) -> (Vec<Entry>, Vec<Vec<usize>>) {
    let names: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    listed::ordered(entries, &|entry| {
        let places = waits(entry);
        places.iter().filter_map(|it| names.get(it.parse::<usize>().ok()?).cloned()).collect()
    })
}
