//! GitHub Actions: one workflow (or several) in the repository.
//!
//! GitHub reads a workflow from the commit it runs, so no workflow can hold the digest of its own
//! commit's plan. The workflow therefore knows every lane and job, its first job plans the commit
//! anew, and every other job runs only when that plan has its node. A workflow exported from other
//! manifests than the commit's fails there, instead of running less. Each lane is a job that
//! always runs, so that a required check is reported whether its lane was selected or not.

use std::{collections::BTreeMap, fmt::Write as _};

use plans::{Node, Plan, RunIf, SelectionMode, Trigger};
use sha2::{Digest as _, Sha256};

use super::{
    Export, ExportError, Options, STATE_DIR,
    files::{self, Limits, Piece},
    minutes,
    options::{GithubQueue, Labels},
    steps::{Lane, Step, Steps},
    text,
    yaml::{self, Yaml},
};

/// 500 KB per workflow file; 256 is what GitHub allows a matrix, and enough for one page.
const LIMITS: Limits = Limits { engine: "GitHub", bytes: 500_000, jobs: 256 };
/// Dependencies of one job: its condition names them all, and an expression may have 21,000
/// characters and be 50 deep.
const FAN_IN: usize = 20;
/// How many characters a value with expressions may have; the limit is 21,000 once evaluated.
const EXPRESSION_ROOM: usize = 12_000;
/// How many jobs may wait for a concurrency group; GitHub cancels those that come later.
const QUEUE: usize = 100;

const CHECKOUT: &str = "actions/checkout@v5";
const UPLOAD: &str = "actions/upload-artifact@v5";
const DOWNLOAD: &str = "actions/download-artifact@v5";

pub(crate) fn export(plan: &Plan, options: &Options) -> Result<Export, ExportError> {
    let steps = Steps::new(plan, FAN_IN, u64::from(options.queue_minutes) * 60);
    let nodes = steps.steps.iter().filter_map(|step| step.node);
    same_but_for_case(nodes.map(|node| node.id.as_str()))?;
    same_but_for_case(plan.lanes().iter().map(|lane| lane.id.as_str()))?;
    let groups = groups(&steps);
    let workflow = Workflow { options, steps: &steps, titles: titles(&steps), groups: &groups };
    let pieces = steps
        .parts()
        .into_iter()
        .map(|part| {
            let mut text = String::new();
            for &at in &part.steps {
                let step = &steps.steps[at];
                text.push_str(&yaml::entry(&step.key, &workflow.step(step), 2));
            }
            for &at in &part.lanes {
                text.push_str(&yaml::entry(&steps.lanes[at].key, &workflow.lane(at), 2));
            }
            let lane = part.lanes.first().map(|&at| steps.lanes[at].key.clone());
            let first = lane.unwrap_or_else(|| steps.steps[part.steps[0]].key.clone());
            Piece { part, text, first }
        })
        .collect();
    let mut export = files::pack(pieces, LIMITS, &options.name, |number, count| {
        workflow.head(plan, number, count)
    })?;
    export.notes = notes(plan, &steps, &groups, options);
    Ok(export)
}

/// Two ids that GitHub's `contains` takes for the same would run each other's jobs.
fn same_but_for_case<'a>(ids: impl Iterator<Item = &'a str>) -> Result<(), ExportError> {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for id in ids {
        if let Some(first) = seen.insert(id.to_ascii_lowercase(), id) {
            let (first, second) = (first.to_owned(), id.to_owned());
            return Err(ExportError::SameButForCase { first, second });
        }
    }
    Ok(())
}

/// What GitHub shows for each lane; two lanes of the same title get their ids added.
fn titles(steps: &Steps<'_>) -> Vec<String> {
    let plain: Vec<String> =
        steps.lanes.iter().map(|lane| text::for_github(&text::title(lane.lane, 100))).collect();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for title in &plain {
        *counts.entry(title).or_default() += 1;
    }
    steps
        .lanes
        .iter()
        .zip(&plain)
        .map(|(lane, title)| match counts[title.as_str()] {
            1 => title.clone(),
            _ => format!("{title} ({})", lane.lane.id),
        })
        .collect()
}

/// How many steps are in each concurrency group.
fn groups(steps: &Steps<'_>) -> BTreeMap<String, usize> {
    let mut groups = BTreeMap::new();
    for node in steps.steps.iter().filter_map(|step| step.node) {
        if let Some(group) = node.concurrency_groups.first() {
            *groups.entry(group.as_str().to_ascii_lowercase()).or_default() += 1;
        }
    }
    groups
}

struct Workflow<'a> {
    options: &'a Options,
    steps: &'a Steps<'a>,
    titles: Vec<String>,
    groups: &'a BTreeMap<String, usize>,
}

impl Workflow<'_> {
    /// Everything above the exported jobs: what starts the workflow, and the job that plans.
    fn head(&self, plan: &Plan, number: usize, count: usize) -> String {
        let trigger = plan.selection().trigger;
        let name = self.options.name.as_str();
        let title =
            if number == 1 { name.to_owned() } else { format!("{name} ({number} of {count})") };
        let file = files::file_name(&self.options.name, number - 1);
        let mut out = String::new();
        for line in [
            "Generated by `planner export --to github`; do not edit.",
            &format!("This is .github/workflows/{file}, file {number} of {count}."),
            "After a change of manifest or catalog, which this workflow refuses to run with, write it anew:",
            &format!("  planner plan --all --trigger {} -o all.json", trigger.as_str()),
            "  planner export all.json --to github --out-dir .github/workflows",
        ] {
            out.push_str(&yaml::comment(line));
        }
        let events = self.events(trigger);
        let mut entry = |key: &str, value: Yaml| out.push_str(&yaml::entry(key, &value, 0));
        entry("name", Yaml::text(title));
        entry("on", events);
        entry("permissions", Yaml::map([("contents", Yaml::text("read"))]));
        entry("defaults", Yaml::map([("run", Yaml::map([("shell", Yaml::text("bash"))]))]));
        out.push_str("jobs:\n");
        out.push_str(&yaml::entry("plan", &self.plan_job(plan, number), 2));
        out
    }

    fn events(&self, trigger: Trigger) -> Yaml {
        let empty = || Yaml::Map(Vec::new());
        let by_hand = ("workflow_dispatch", empty());
        match (trigger, self.options.nightly_schedule_utc) {
            (Trigger::Branch, _) => {
                Yaml::map([("pull_request", empty()), ("merge_group", empty()), by_hand])
            }
            (Trigger::Nightly, Some(time)) => {
                let cron = Yaml::text(format!("{} {} * * *", time.minute, time.hour));
                Yaml::map([("schedule", Yaml::List(vec![Yaml::map([("cron", cron)])])), by_hand])
            }
            (Trigger::Nightly | Trigger::Manual, _) => Yaml::map([by_hand]),
        }
    }

    fn plan_job(&self, plan: &Plan, number: usize) -> Yaml {
        let path = self.options.plan_path.as_str();
        let mut script = String::new();
        let directory = directory(path);
        if directory != "." {
            let _ = writeln!(script, "mkdir -p {directory}");
        }
        let planner = self.options.planner.as_str();
        let trigger = plan.selection().trigger.as_str();
        let _ = writeln!(script, "{planner} plan --trigger {trigger} -o {path}");
        script.push_str(&PLAN_SCRIPT.replace("PLAN", path));
        let output = |name: &str| Yaml::text(format!("${{{{ steps.plan.outputs.{name} }}}}"));
        Yaml::map([
            (
                "name",
                Yaml::text(if number == 1 { "plan".into() } else { format!("plan {number}") }),
            ),
            ("runs-on", runs_on(self.options.runners.default_labels())),
            ("timeout-minutes", Yaml::Number(15)),
            (
                "outputs",
                Yaml::map([
                    ("digest", output("digest")),
                    ("nodes", output("nodes")),
                    ("lanes", output("lanes")),
                ]),
            ),
            (
                "steps",
                Yaml::List(vec![
                    Yaml::map([
                        ("uses", Yaml::text(CHECKOUT)),
                        (
                            "with",
                            Yaml::map([
                                ("fetch-depth", Yaml::Number(0)),
                                ("persist-credentials", Yaml::Bool(false)),
                            ]),
                        ),
                    ]),
                    Yaml::map([
                        ("id", Yaml::text("plan")),
                        ("env", Yaml::map([("EXPORTED_INPUTS", Yaml::text(inputs(plan)))])),
                        ("run", Yaml::Script(script)),
                    ]),
                    Yaml::map([
                        ("uses", Yaml::text(UPLOAD)),
                        (
                            "with",
                            Yaml::map([
                                ("name", Yaml::text("plan")),
                                ("path", Yaml::text(path)),
                                ("if-no-files-found", Yaml::text("error")),
                                ("overwrite", Yaml::Bool(true)),
                            ]),
                        ),
                    ]),
                ]),
            ),
        ])
    }

    fn step(&self, step: &Step<'_>) -> Yaml {
        let mut entries = Vec::new();
        let mut entry = |key: &str, value: Yaml| entries.push((key.to_owned(), value));
        if let Some(node) = step.node {
            entry("name", Yaml::text(label(node)));
        }
        entry("needs", self.needs(step.after.union(&step.failures).copied()));
        entry("if", Yaml::text(self.condition(step)));
        let Some(node) = step.node else {
            entry("runs-on", runs_on(self.options.runners.default_labels()));
            entry("timeout-minutes", Yaml::Number(10));
            let done = Yaml::map([("run", Yaml::text("echo everything before this passed"))]);
            entry("steps", Yaml::List(vec![done]));
            return Yaml::Map(entries);
        };
        let labels = self.options.runners.labels(&node.spec.placement, node.spec.runtime.kind());
        entry("runs-on", runs_on(labels));
        entry("timeout-minutes", Yaml::Number(minutes(step.backstop_secs)));
        let group = node.concurrency_groups.first().map(|group| group.as_str());
        if let Some(group) = group
            && self.options.github_queue == GithubQueue::Max
            && self.groups[&group.to_ascii_lowercase()] <= QUEUE
        {
            let group = Yaml::text(format!("forge-lanes-{group}"));
            entry("concurrency", Yaml::map([("group", group), ("queue", Yaml::text("max"))]));
        }
        entry("steps", self.apply(step, node));
        Yaml::Map(entries)
    }

    /// What an agent does for a node.
    fn apply(&self, step: &Step<'_>, node: &Node) -> Yaml {
        let (path, executor) = (self.options.plan_path.as_str(), self.options.executor.as_str());
        let mut digest = "FORGE_LANES_PLAN_DIGEST".to_owned();
        while node.spec.secrets.iter().any(|name| name.as_str() == digest) {
            digest.push('_');
        }
        let mut env =
            vec![(digest.clone(), Yaml::text("${{ needs.plan.outputs.digest }}".to_owned()))];
        for name in &node.spec.secrets {
            env.push((name.to_string(), Yaml::text(format!("${{{{ secrets.{name} }}}}"))));
        }
        let (key, id) = (&step.key, &node.id);
        let run = format!(
            "exec {executor} apply --only {id} --expect-digest \"${digest}\" \
             --state-dir {STATE_DIR}/{key} {path}\n"
        );
        Yaml::List(vec![
            Yaml::map([
                ("uses", Yaml::text(CHECKOUT)),
                ("with", Yaml::map([("persist-credentials", Yaml::Bool(false))])),
            ]),
            Yaml::map([
                ("uses", Yaml::text(DOWNLOAD)),
                (
                    "with",
                    Yaml::map([
                        ("name", Yaml::text("plan")),
                        ("path", Yaml::text(directory(path))),
                    ]),
                ),
            ]),
            Yaml::map([("env", Yaml::Map(env)), ("run", Yaml::Script(run))]),
            Yaml::map([
                ("uses", Yaml::text(UPLOAD)),
                ("if", Yaml::text("always()")),
                (
                    "with",
                    Yaml::map([
                        ("name", Yaml::text(key)),
                        ("path", Yaml::text(format!("{STATE_DIR}/{key}/runs/"))),
                        ("include-hidden-files", Yaml::Bool(true)),
                        ("if-no-files-found", Yaml::text("ignore")),
                        ("overwrite", Yaml::Bool(true)),
                    ]),
                ),
            ]),
        ])
    }

    /// The job that is a lane's check: it always runs, and passes when the lane was not selected.
    fn lane(&self, at: usize) -> Yaml {
        let Lane { lane, steps, .. } = &self.steps.lanes[at];
        let mut env = vec![
            ("PLANNED".to_owned(), Yaml::text("${{ needs.plan.result }}")),
            (
                "SELECTED".to_owned(),
                Yaml::text(format!(
                    "${{{{ contains(needs.plan.outputs.lanes, '|{}|') }}}}",
                    lane.id
                )),
            ),
        ];
        let mut results = vec![String::new()];
        for (Step { key, .. }, node) in self.steps.deciding(&self.steps.lanes[at]) {
            let id = &node.id;
            let line = format!(
                "{id} ${{{{ contains(needs.plan.outputs.nodes, '|{id}|') }}}} \
                 ${{{{ needs.{key}.result }}}}\n"
            );
            match results.last_mut() {
                Some(last) if last.len() + line.len() <= EXPRESSION_ROOM => last.push_str(&line),
                _ => results.push(line),
            }
        }
        for (number, lines) in results.into_iter().filter(|lines| !lines.is_empty()).enumerate() {
            env.push((format!("RESULTS_{}", number + 1), Yaml::Script(lines)));
        }
        let verdict =
            Yaml::map([("env", Yaml::Map(env)), ("run", Yaml::Script(LANE_SCRIPT.to_owned()))]);
        Yaml::map([
            ("name", Yaml::text(&self.titles[at])),
            ("needs", self.needs(steps.iter().copied())),
            ("if", Yaml::text("always()")),
            ("runs-on", runs_on(self.options.runners.default_labels())),
            ("timeout-minutes", Yaml::Number(10)),
            ("steps", Yaml::List(vec![verdict])),
        ])
    }

    fn needs(&self, steps: impl Iterator<Item = usize>) -> Yaml {
        let plan = std::iter::once("plan");
        Yaml::words(plan.chain(steps.map(|at| self.steps.steps[at].key.as_str())))
    }

    /// Runs when the plan has the node, and everything before it that the plan has ended as the
    /// node wants it.
    fn condition(&self, step: &Step<'_>) -> String {
        let run_if = step.node.map_or(RunIf::Passed, |node| node.run_if);
        let mut condition = match run_if {
            RunIf::Passed | RunIf::Failed => "!cancelled()".to_owned(),
            RunIf::Always => "always()".to_owned(),
        };
        if let Some(node) = step.node {
            let _ = write!(condition, " && contains(needs.plan.outputs.nodes, '|{}|')", node.id);
        }
        match run_if {
            RunIf::Passed => {}
            RunIf::Failed => {
                condition.push_str(" && contains(needs.*.result, 'failure')");
                return condition;
            }
            RunIf::Always => return condition,
        }
        for &at in &step.after {
            let Step { key, node, .. } = &self.steps.steps[at];
            let _ = match node {
                Some(node) => write!(
                    condition,
                    " && (needs.{key}.result == 'success' \
                     || !contains(needs.plan.outputs.nodes, '|{}|'))",
                    node.id
                ),
                None => write!(condition, " && needs.{key}.result == 'success'"),
            };
        }
        condition
    }
}

/// Refuses a commit whose manifests are not those of the export, then hands the plan on. The word
/// PLAN becomes the plan's path.
const PLAN_SCRIPT: &str = r#"inputs=$(jq -r '.inputs | to_entries[] | "\(.value) \(.key)"' PLAN | sha256sum)
if [[ ${inputs%% *} != "$EXPORTED_INPUTS" ]]; then
  echo "::error::manifest or catalog changed after this workflow was exported; see its first lines"
  exit 1
fi
{
  jq -r '"digest=\(.digest)"' PLAN
  jq -r '"nodes=|\([.nodes[].id] | join("|"))|"' PLAN
  jq -r '"lanes=|\([.lanes[] | select(.selected).id] | join("|"))|"' PLAN
} >>"$GITHUB_OUTPUT"
"#;

/// A lane's verdict from the results of its jobs; nothing passes having run nothing.
const LANE_SCRIPT: &str = r#"if [[ $PLANNED != success ]]; then
  echo "::error::the commit could not be planned: $PLANNED"
  exit 1
fi
if [[ $SELECTED != true ]]; then
  echo "skipped: the plan does not select this lane"
  exit 0
fi
ran=0 failed=0
for part in "${!RESULTS_@}"; do
  while read -r node planned result; do
    [[ $planned == true ]] || continue
    ran=$((ran + 1))
    echo "$node: $result"
    [[ $result == success ]] || failed=$((failed + 1))
  done <<<"${!part}"
done
if ((failed > 0 || ran == 0)); then
  echo "::error::$failed of $ran jobs did not pass"
  exit 1
fi
"#;

/// The same hash that the plan job computes.
fn inputs(plan: &Plan) -> String {
    let mut lines = String::new();
    // The plan job plans anew, with the definitions alone.
    let definitions = plan.inputs().iter().filter(|(path, _)| *path != plans::PASSED_INPUT);
    for (path, id) in definitions {
        let _ = writeln!(lines, "{id} {path}");
    }
    let mut hash = String::new();
    for byte in Sha256::digest(lines.as_bytes()) {
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

fn label(node: &Node) -> String {
    let description = text::one_line(&node.spec.description, 100);
    if description.is_empty() {
        node.id.to_string()
    } else {
        text::for_github(&format!("{}: {description}", node.id))
    }
}

fn runs_on(labels: Option<&Labels>) -> Yaml {
    match labels.map(Labels::words) {
        None => Yaml::text("ubuntu-latest"),
        Some([one]) => Yaml::text(one),
        Some(words) => Yaml::words(words),
    }
}

fn directory(path: &str) -> &str {
    path.rsplit_once('/').map_or(".", |(directory, _)| directory)
}

fn notes(
    plan: &Plan,
    steps: &Steps<'_>,
    groups: &BTreeMap<String, usize>,
    options: &Options,
) -> Vec<String> {
    let mut notes = Vec::new();
    if plan.selection().mode != SelectionMode::All || plan.selection().lanes_not_listed.is_some() {
        notes.push(
            "a GitHub workflow serves every change, and this plan is about some lanes: what the \
             others run is not in it; export the plan that `planner plan --all` writes"
                .to_owned(),
        );
    }
    for node in steps.steps.iter().filter_map(|step| step.node) {
        if node.concurrency_groups.len() > 1 {
            notes.push(format!(
                "`{}` is in several concurrency groups and GitHub takes one; the executor's own \
                 locks hold the others",
                node.id
            ));
        }
    }
    for (group, count) in groups.iter().filter(|(_, count)| **count > QUEUE) {
        notes.push(format!(
            "{count} jobs are in the concurrency group `{group}` and GitHub lets {QUEUE} wait; the \
             executor's own locks hold the group instead"
        ));
    }
    if plan.selection().trigger == Trigger::Nightly && options.nightly_schedule_utc.is_none() {
        notes.push(
            "the workflow starts by hand only: no `nightly_schedule_utc` was given".to_owned(),
        );
    }
    notes
}
