//! `planner explain`: why a path, a lane or a job is in the plan, or why not; and which base.

use std::os::unix::ffi::OsStrExt as _;

use plans::{Change, ChangeStatus, RepoPath, Trigger};
use serde::Serialize;

use super::{Answer, Console, Failure, plan};
use crate::{
    PlanningError, RepoContext,
    cli::{ChangeArgs, ExplainArgs, ExplainFormat, WHICH_BASE},
    decide,
    exit_code::Exit,
    explain::{
        BaseAnswer, JobAnswer, LaneAnswer, PathAnswer, explain_base, explain_inputs, explain_job,
        explain_lane, explain_paths,
    },
    request::missing,
};

/// Every answer of one call.
#[derive(Default, Serialize)]
struct Answers {
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<BaseAnswer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    paths: Vec<PathAnswer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lanes: Vec<LaneAnswer>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    jobs: Vec<JobAnswer>,
}

pub(super) fn run(console: &Console, mut args: ExplainArgs) -> Answer {
    // Here the flags name what to explain, not what to select.
    let lanes = std::mem::take(&mut args.change.lane);
    let jobs = std::mem::take(&mut args.change.job);
    let nothing_else = args.paths.is_empty() && lanes.is_empty() && jobs.is_empty();
    let which_base = asks_for_base(&mut args.change)? || nothing_else && names_base(&args.change);
    if nothing_else && !which_base {
        return Err(Failure::bad_input(
            "there is nothing to explain",
            "name paths, `--lane ID` or `--job ID`, or ask for the base: `--base`",
        ));
    }
    if nothing_else && args.change.trigger == Some(Trigger::Manual) {
        // Lanes of nobody's choice are no plan, but their base would be this one.
        args.change.trigger = None;
    }
    if args.inputs && jobs.is_empty() {
        return Err(Failure::bad_input(
            "`--inputs` is about a job",
            "name it: `--job ID --inputs`",
        ));
    }
    let names_base = names_base(&args.change);
    let request = plan::request(console, args.definitions, args.change)?;
    let mut answers = Answers::default();
    if which_base {
        let context = RepoContext::open(&request).map_err(PlanningError::from)?;
        let (catalog, _) = context.definitions(&request.definitions)?;
        let default_branch = catalog.rules().default_branch.as_deref();
        let (variables, events) = (console.variables(), console.every_event());
        answers.base = Some(explain_base(&context, &request, default_branch, variables, &events));
    }
    if !args.paths.is_empty() {
        let context = RepoContext::open(&request).map_err(PlanningError::from)?;
        let (catalog, _) = context.definitions(&request.definitions)?;
        let changes = args
            .paths
            .iter()
            .map(|path| {
                let bytes = path.as_bytes();
                let bytes = bytes.strip_prefix(b"./").unwrap_or(bytes);
                let path = RepoPath::new(bytes).map_err(|error| {
                    Failure::bad_input(error.to_string(), "paths start at the repository's root")
                })?;
                Ok(Change { path, status: ChangeStatus::Modified })
            })
            .collect::<Result<Vec<_>, Failure>>()?;
        answers.paths = explain_paths(&catalog, &changes);
        if answers.paths.iter().any(|path| !path.followed_by.is_empty()) {
            match decide(&request) {
                Ok(decision) => {
                    answers.paths.iter_mut().for_each(|path| path.add_change(&decision));
                    console.notes(&decision.changed.notes);
                }
                Err(error) if names_base => return Err(error.into()),
                // Without a change at hand, the answer is still what the file is to each lane.
                Err(_) => {}
            }
        }
    }
    if !lanes.is_empty() || !jobs.is_empty() {
        let decision = decide(&request)?;
        let catalog = &decision.catalog;
        for id in &lanes {
            let known = catalog.lanes().iter().map(|lane| lane.id.as_str());
            let lane = catalog
                .lane(id.as_str())
                .ok_or_else(|| PlanningError::from(missing("lane", id.as_str(), known)))?;
            let trigger = catalog[lane].trigger.as_str();
            let answer = explain_lane(&decision, lane).ok_or_else(|| {
                Failure::bad_input(
                    format!("`{id}` is a {trigger} lane"),
                    format!("add `--trigger {trigger}`"),
                )
            })?;
            answers.lanes.push(answer);
        }
        for id in &jobs {
            let named = catalog.jobs_named(id.as_str()).ok_or_else(|| {
                PlanningError::from(missing("job", id.as_str(), catalog.job_ids()))
            })?;
            for job in named {
                let mut answer = explain_job(&decision, job);
                if args.inputs {
                    let inputs = explain_inputs(&decision, job).map_err(PlanningError::from)?;
                    answer.inputs = Some(inputs);
                }
                answers.jobs.push(answer);
            }
        }
        console.notes(&decision.changed.notes);
    }
    let error = answers.base.as_ref().and_then(|base| base.error.as_ref());
    let failure = error.map(|error| Failure::no(&error.message, &error.help));
    let text = if args.json || args.format == ExplainFormat::Json {
        serde_json::to_string_pretty(&answers).expect("answers are JSON") + "\n"
    } else {
        let paths = answers.paths.iter().map(PathAnswer::text);
        let lanes = answers.lanes.iter().map(LaneAnswer::text);
        let jobs = answers.jobs.iter().map(JobAnswer::text);
        let base = answers.base.iter().map(BaseAnswer::text);
        base.chain(paths).chain(lanes).chain(jobs).collect::<Vec<_>>().join("\n")
    };
    console.write(text.as_bytes())?;
    failure.map_or(Ok(Exit::Done), Err)
}

/// Whether `--base` stands alone; then it is taken out, because it names no revision.
fn asks_for_base(change: &mut ChangeArgs) -> Result<bool, Failure> {
    let asked = change.base.take_if(|base| base == WHICH_BASE).is_some();
    let given = [
        ("--base", change.base.is_some()),
        ("--base-exact", change.base_exact.is_some()),
        ("--base-first-parent", change.base_first_parent),
        ("--base-empty", change.base_empty),
        ("--changed-files", change.changed_files.is_some()),
        ("--all", change.all),
        ("--scenario", change.scenario.is_some()),
    ];
    let given: Vec<&str> = given.iter().filter(|it| it.1).map(|it| it.0).collect();
    if let [one, other, ..] = given[..] {
        return Err(Failure::bad_input(
            format!("`{one}` and `{other}` contradict each other"),
            "leave one of them out",
        ));
    }
    Ok(asked)
}

fn names_base(change: &ChangeArgs) -> bool {
    change.base.is_some()
        || change.base_exact.is_some()
        || change.base_first_parent
        || change.base_empty
}
