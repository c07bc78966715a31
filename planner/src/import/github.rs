//! GitHub workflows: `on.pull_request.paths`, `paths-ignore` and `dorny/paths-filter` become the
//! paths of lanes, `run` steps become jobs.

use std::collections::{BTreeMap, BTreeSet};

use saphyr::{LoadableYamlNode as _, Yaml};

use super::{ImportError, patterns::Patterns};
use crate::init::draft::{CommandDraft, Draft, JobDraft, LaneDraft};

/// Drafts lanes for workflows, given by name and text.
///
/// # Errors
///
/// [`ImportError`] for the first file that is no workflow.
pub fn import(files: &[(String, String)]) -> Result<Draft, ImportError> {
    let mut draft = Draft {
        heading: vec![
            "When what runs. What can run is in catalog.toml.".to_owned(),
            String::new(),
            "Made from GitHub workflows. Comments say what could not be carried over; where there was".to_owned(),
            "a doubt, more runs. GitHub's default timeout of 6 hours is one hour here (see the base).".to_owned(),
        ],
        ..Draft::default()
    };
    for (file, text) in files {
        let error = |detail: String| ImportError { file: file.clone(), detail };
        let documents = Yaml::load_from_str(text).map_err(|found| error(found.to_string()))?;
        let root = documents.first().ok_or_else(|| error("it is empty".to_owned()))?;
        if get(root, "jobs").and_then(Yaml::as_mapping).is_none() {
            return Err(error("it has no `jobs`".to_owned()));
        }
        workflow(file, root, &mut draft);
    }
    Ok(draft)
}

fn get<'a, 'i>(node: &'a Yaml<'i>, key: &str) -> Option<&'a Yaml<'i>> {
    node.as_mapping_get(key)
}

/// A scalar as text, whatever its type.
fn text(node: &Yaml<'_>) -> Option<String> {
    if let Some(text) = node.as_str() {
        return Some(text.to_owned());
    }
    let number = node.as_integer().map(|number| number.to_string());
    let number = number.or_else(|| node.as_floating_point().map(|number| number.to_string()));
    number.or_else(|| node.as_bool().map(|word| word.to_string()))
}

/// A list of texts, or one text.
fn texts(node: Option<&Yaml<'_>>) -> Vec<String> {
    let Some(node) = node else { return Vec::new() };
    match node.as_sequence() {
        Some(list) => list.iter().flat_map(|item| texts(Some(item))).collect(),
        None => text(node).into_iter().collect(),
    }
}

fn pairs(node: Option<&Yaml<'_>>) -> Vec<(String, String)> {
    let mapping = node.and_then(Yaml::as_mapping);
    mapping
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((text(key)?, text(value)?)))
        .collect()
}

/// The lists that some jobs ask for, as (job of the step, name), and those jobs.
type Group<'a> = (Vec<(String, String)>, Vec<(&'a str, &'a Yaml<'a>)>);

/// Which changes start a workflow.
enum Starts {
    Never,
    Always,
    For(Patterns),
}

fn workflow(file: &str, root: &Yaml<'_>, draft: &mut Draft) {
    let stem = file.rsplit('/').next().unwrap_or(file);
    let stem = stem.trim_end_matches(".yml").trim_end_matches(".yaml").to_owned();
    let name = get(root, "name").and_then(text).unwrap_or_else(|| stem.clone());
    let mut comment = vec![format!("{name} ({file})")];
    let starts = starts(root, &mut comment);
    let times = schedules(root);
    let by_change = !matches!(starts, Starts::Never);
    if !by_change && times.is_empty() {
        draft.closing.push(format!(
            "{file} is started by no change and no schedule and is not carried over."
        ));
        return;
    }
    if !times.is_empty() {
        when(&times, draft, &mut comment);
    }
    for (key, what) in [("concurrency", "`concurrency`"), ("defaults", "`defaults`")] {
        if get(root, key).is_some() {
            comment.push(format!("Not carried over: {what} of the workflow."));
        }
    }
    let jobs = get(root, "jobs").and_then(Yaml::as_mapping).into_iter().flatten();
    let jobs: Vec<(String, &Yaml<'_>)> =
        jobs.filter_map(|(id, job)| Some((text(id)?, job))).collect();
    let filters: BTreeMap<&str, Filters> =
        jobs.iter().filter_map(|(id, job)| Some((id.as_str(), Filters::of(job)?))).collect();
    let env = pairs(get(root, "env"));

    // Jobs with the same filters make a lane; in the order in which they are written.
    let mut groups: Vec<Group<'_>> = Vec::new();
    for (id, job) in &jobs {
        if filters.get(id.as_str()).is_some_and(|filters| filters.nothing_else) {
            continue;
        }
        let condition = get(job, "if").and_then(text).unwrap_or_default();
        let key = if by_change { named_filters(&condition, &filters) } else { Vec::new() };
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, jobs)) => jobs.push((id, job)),
            None => groups.push((key, vec![(id, job)])),
        }
    }
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for (id, _) in groups.iter().flat_map(|(_, jobs)| jobs) {
        let taken: BTreeSet<&String> = ids.values().collect();
        let plain = draft.fresh_id(&format!("{stem}-{id}"));
        let fresh = (2..).map(|n| format!("{plain}-{n}"));
        let ours = std::iter::once(plain.clone()).chain(fresh).find(|id| !taken.contains(id));
        ids.insert((*id).to_owned(), ours.unwrap_or(plain));
    }
    for (names, jobs) in groups {
        let mut comment = comment.clone();
        let mut lane = LaneDraft::default();
        let mut patterns = Patterns::default();
        for (job, name) in &names {
            if let Some(filter) = filters.get(job.as_str()).and_then(|it| it.by_name.get(name)) {
                patterns.join(filter.patterns.clone());
                lane.statuses = if names.len() == 1 { filter.statuses.clone() } else { Vec::new() };
            }
        }
        if names.is_empty() {
            if let Starts::For(of_workflow) = &starts {
                patterns = of_workflow.clone();
                lane.paths = Some(Vec::new());
            }
        } else {
            lane.paths = Some(Vec::new());
            if matches!(starts, Starts::For(_)) {
                comment.push(
                    "The workflow's own `paths` narrowed this further; here they do not."
                        .to_owned(),
                );
            }
        }
        comment.extend(patterns.notes);
        if lane.paths.is_some() {
            lane.paths = Some(patterns.paths);
            lane.exclude = patterns.exclude;
        }
        let words: Vec<&str> = names.iter().map(|(_, name)| name.as_str()).collect();
        let id =
            if words.is_empty() { stem.clone() } else { format!("{stem}-{}", words.join("-")) };
        lane.title = Some(if words.is_empty() {
            name.clone()
        } else {
            format!("{name} ({})", words.join(", "))
        });
        lane.description = name.clone();
        lane.comment = comment;
        lane.id = lane_id(draft, &id, &ids);
        lane.jobs = jobs.iter().map(|(id, job)| self::job(id, job, &ids, &env, &filters)).collect();
        lane.nightly = !by_change;
        let again = (by_change && !times.is_empty()).then(|| LaneDraft {
            title: lane.title.as_ref().map(|title| format!("{title} (nightly)")),
            nightly: true,
            target_of: Some(lane.id.clone()),
            comment: vec![format!("The schedule of {name} ({file}).")],
            ..LaneDraft::default()
        });
        let id = format!("{}-nightly", lane.id);
        draft.lanes.push(lane);
        if let Some(again) = again {
            let id = draft.fresh_id(&id);
            draft.lanes.push(LaneDraft { id, ..again });
        }
    }
}

/// A lane's id must be no job's, or the two would read alike in a plan.
fn lane_id(draft: &Draft, wanted: &str, jobs: &BTreeMap<String, String>) -> String {
    let fresh = draft.fresh_id(wanted);
    if jobs.values().any(|job| *job == fresh) {
        draft.fresh_id(&format!("{wanted}-lane"))
    } else {
        fresh
    }
}

/// The times at which a workflow starts, as cron writes them.
fn schedules(root: &Yaml<'_>) -> Vec<String> {
    let list = get(root, "on").and_then(|on| get(on, "schedule")).and_then(Yaml::as_sequence);
    let crons = list.into_iter().flatten().filter_map(|one| get(one, "cron"));
    crons.filter_map(text).collect()
}

/// Takes the time of day of the first schedule that has one; says which others there were. All
/// nightly lanes start together here, and nothing here runs a clock.
fn when(times: &[String], draft: &mut Draft, comment: &mut Vec<String>) {
    let daily = |cron: &String| {
        let fields: Vec<&str> = cron.split_whitespace().collect();
        let [minute, hour, "*", "*", "*"] = fields[..] else { return None };
        let (minute, hour): (u8, u8) = (minute.parse().ok()?, hour.parse().ok()?);
        (minute < 60 && hour < 24).then(|| format!("{hour:02}:{minute:02}"))
    };
    if draft.nightly_schedule_utc.is_none() {
        draft.nightly_schedule_utc = times.iter().find_map(daily);
    }
    let others: Vec<String> = times
        .iter()
        .filter(|cron| daily(cron).is_none() || daily(cron) != draft.nightly_schedule_utc)
        .map(|cron| format!("`{cron}`"))
        .collect();
    if !others.is_empty() {
        comment.push(format!(
            "Not carried over: it started at {}; all nightly lanes start together.",
            others.join(", ")
        ));
    }
}

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

fn starts(root: &Yaml<'_>, comment: &mut Vec<String>) -> Starts {
    let Some(on) = get(root, "on") else { return Starts::Never };
    let names = on
        .as_mapping()
        .map_or_else(|| texts(Some(on)), |events| events.keys().filter_map(text).collect());
    let events = ["pull_request", "pull_request_target", "merge_group", "push"];
    let Some(event) = events.into_iter().find(|event| names.iter().any(|name| name == event))
    else {
        return Starts::Never;
    };
    let others = names.iter().filter(|name| *name != event && *name != "schedule");
    let others: Vec<String> = others.map(|name| format!("`{name}`")).collect();
    if !others.is_empty() {
        comment.push(format!("Taken from `{event}`; not carried over: {}.", others.join(", ")));
    }
    let filter = get(on, event);
    for key in ["branches", "branches-ignore", "tags", "types"] {
        if filter.and_then(|filter| get(filter, key)).is_some() {
            comment.push(format!("Not carried over: `{key}` of `{event}`."));
        }
    }
    let list = |key: &str| filter.and_then(|filter| get(filter, key)).map(|list| texts(Some(list)));
    match (list("paths"), list("paths-ignore")) {
        (Some(paths), _) => Starts::For(Patterns::ordered(&paths)),
        (None, Some(ignored)) => Starts::For(Patterns::everything_but(&ignored)),
        (None, None) => Starts::Always,
    }
}

/// The lists of one `dorny/paths-filter` step.
struct Filters {
    by_name: BTreeMap<String, Filter>,
    /// Job outputs to names of lists.
    outputs: BTreeMap<String, String>,
    /// The job has no other work.
    nothing_else: bool,
}

#[derive(Default)]
struct Filter {
    patterns: Patterns,
    statuses: Vec<String>,
}

impl Filters {
    fn of(job: &Yaml<'_>) -> Option<Self> {
        let steps = get(job, "steps")?.as_sequence()?;
        let uses = |step: &Yaml<'_>| get(step, "uses").and_then(text).unwrap_or_default();
        let step = steps.iter().find(|step| uses(step).starts_with("dorny/paths-filter"))?;
        let with = get(step, "with")?;
        let lists = get(with, "filters").and_then(text)?;
        let every =
            get(with, "predicate-quantifier").and_then(text).is_some_and(|it| it == "every");
        let documents = Yaml::load_from_str(&lists).ok()?;
        let mapping = documents.first()?.as_mapping()?;
        let by_name: BTreeMap<String, Filter> = mapping
            .iter()
            .filter_map(|(name, list)| Some((text(name)?, Filter::of(list, every))))
            .collect();
        let outputs = pairs(get(job, "outputs")).into_iter().filter_map(|(output, value)| {
            let name = by_name.keys().find(|name| mentions(&value, name))?;
            Some((output, name.clone()))
        });
        let outputs = outputs.collect();
        let other = |step: &&Yaml<'_>| {
            let uses = uses(step);
            !uses.starts_with("dorny/paths-filter") && !uses.starts_with("actions/checkout")
        };
        let nothing_else = !steps.iter().any(|step| other(&step));
        Some(Self { by_name, outputs, nothing_else })
    }
}

impl Filter {
    fn of(list: &Yaml<'_>, every: bool) -> Self {
        let mut entries = Vec::new();
        flatten(list, &mut entries);
        let mut filter = Self::default();
        let statuses: BTreeSet<&str> = entries.iter().map(|(status, _)| status.as_str()).collect();
        let mut negated = false;
        for (_, pattern) in &entries {
            match pattern.strip_prefix('!') {
                None => filter.patterns.include(pattern),
                Some(_) => negated = true,
            }
        }
        if negated || every {
            // `!x` as one of several patterns is true for nearly every path.
            let mut wide = Patterns { paths: vec!["**".to_owned()], ..Patterns::default() };
            if every {
                let list: Vec<String> =
                    entries.iter().map(|(_, pattern)| pattern.clone()).collect();
                let positive = list.iter().filter(|pattern| !pattern.starts_with('!')).count();
                if positive <= 1 {
                    wide = Patterns::ordered(&list);
                    if wide.paths.is_empty() {
                        wide.paths.push("**".to_owned());
                    }
                }
            }
            if wide.paths == ["**"] && wide.exclude.is_empty() {
                wide.notes.push(
                    "The list says `!…` or wants every pattern to match: `**` is wider.".to_owned(),
                );
            }
            filter.patterns = wide;
        }
        let words: Vec<&str> = statuses.iter().flat_map(|status| status.split('|')).collect();
        let known = |word: &&str| ["added", "modified", "deleted"].contains(&word.trim());
        if statuses.len() == 1 && words.iter().all(known) {
            filter.statuses = words.iter().map(|word| word.trim().to_owned()).collect();
        } else if words.iter().any(|word| !word.is_empty()) {
            filter
                .patterns
                .notes
                .push("Kinds of change differ by pattern; here all of them count.".to_owned());
        }
        filter
    }
}

/// The entries of a list, each with the kinds of change it counts for.
fn flatten(node: &Yaml<'_>, entries: &mut Vec<(String, String)>) {
    if let Some(list) = node.as_sequence() {
        list.iter().for_each(|item| flatten(item, entries));
    } else if let Some(mapping) = node.as_mapping() {
        for (status, patterns) in mapping {
            let status = text(status).unwrap_or_default();
            entries.extend(texts(Some(patterns)).into_iter().map(|it| (status.clone(), it)));
        }
    } else if let Some(pattern) = text(node) {
        entries.push((String::new(), pattern));
    }
}

/// Whether an expression reads the output of that name.
fn mentions(expression: &str, name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
    let dotted = format!(".{name}");
    let by_dot = expression
        .match_indices(&dotted)
        .any(|(at, found)| !expression[at + found.len()..].starts_with(word));
    by_dot || expression.contains(&format!("['{name}']"))
}

/// The lists that a job's condition asks for, as (job of the step, name).
fn named_filters(condition: &str, filters: &BTreeMap<&str, Filters>) -> Vec<(String, String)> {
    let mut named = BTreeSet::new();
    for (job, filters) in filters {
        if !condition.contains(&format!("needs.{job}.")) {
            continue;
        }
        for (output, name) in &filters.outputs {
            if mentions(condition, output) {
                named.insert(((*job).to_owned(), name.clone()));
            }
        }
    }
    named.into_iter().collect()
}

/// Whether a condition says no more than that one or several lists matched.
fn is_plain(condition: &str) -> bool {
    let condition = condition.trim().trim_start_matches("${{").trim_end_matches("}}");
    condition.split("||").all(|part| {
        let part = part.trim().trim_start_matches('(').trim_end_matches(')');
        let (name, value) = part.split_once("==").unwrap_or((part, "'true'"));
        name.trim().starts_with("needs.")
            && !name.contains(['&', '!'])
            && ["'true'", "true"].contains(&value.trim())
    })
}

fn job(
    id: &str,
    job: &Yaml<'_>,
    ids: &BTreeMap<String, String>,
    env: &[(String, String)],
    filters: &BTreeMap<&str, Filters>,
) -> JobDraft {
    let name = get(job, "name").and_then(text).unwrap_or_else(|| id.to_owned());
    let mut comment = Vec::new();
    let condition = get(job, "if").and_then(text);
    if let Some(condition) = &condition
        && (!is_plain(condition) || named_filters(condition, filters).is_empty())
    {
        comment.push(format!("Ran only if `{}`; here it runs with its lane.", condition.trim()));
    }
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
    let needs = texts(get(job, "needs")).iter().filter_map(|id| ids.get(id).cloned()).collect();
    let mut script = String::new();
    let mut clone = false;
    for step in get(job, "steps").and_then(Yaml::as_sequence).into_iter().flatten() {
        clone |= self::step(step, &mut script, &mut comment);
    }
    if script.contains("${{") {
        comment.push("`${{ … }}` in the script is GitHub's; put the values there.".to_owned());
    }
    let command = if script.is_empty() {
        comment.push(
            "No step says what to run: put the command here. Until then it fails.".to_owned(),
        );
        CommandDraft::argv(&["false"])
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
    let minutes = get(job, "timeout-minutes").and_then(Yaml::as_integer);
    JobDraft {
        id: ids.get(id).cloned().unwrap_or_else(|| id.to_owned()),
        comment,
        description: name,
        command,
        needs,
        env: BTreeMap::from_iter(env).into_iter().collect(),
        timeout_secs: minutes.and_then(|minutes| u64::try_from(minutes).ok()).map(|it| it * 60),
        clone,
        ..JobDraft::default()
    }
}

/// Adds a step to the script; returns whether it is the checkout.
fn step(step: &Yaml<'_>, script: &mut String, comment: &mut Vec<String>) -> bool {
    if let Some(action) = get(step, "uses").and_then(text) {
        if action.starts_with("actions/checkout") {
            return true;
        }
        if !action.starts_with("dorny/paths-filter") {
            comment.push(format!("Not carried over: the action `{action}`."));
        }
        return false;
    }
    let Some(run) = get(step, "run").and_then(text) else { return false };
    let name = get(step, "name").and_then(text);
    if let Some(name) = &name {
        script.extend(["# ", &name.replace('\n', " "), "\n"]);
    }
    if let Some(condition) = get(step, "if").and_then(text) {
        comment.push(format!("A step ran only if `{}`; here it always runs.", condition.trim()));
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
