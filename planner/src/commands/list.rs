//! `planner list` and `planner target-info`: what the files say, resolved.

use std::collections::BTreeMap;

use lanes::{Catalog, JobIndex, JobOwner, LaneIndex, PathFilter, TargetIndex, Work};
use plans::{RepoPath, RunIf, Shard};
use serde::Serialize;

use super::{Answer, Console, Failure};
use crate::{
    ChangesFrom, PlanningError, RepoContext, Request,
    cli::{DefinitionArgs, ListArgs, Listed, TargetInfoArgs},
    exit_code::Exit,
    git::GitError,
    render,
};

pub(super) fn run(console: &Console, args: ListArgs) -> Answer {
    let catalog = read(console, args.head, args.definitions)?;
    let text = match (args.what, args.json) {
        (Listed::Lanes, true) => {
            let nightly_schedule_utc = catalog.rules().nightly_schedule_utc.as_deref();
            let lanes = Some(lanes(&catalog));
            json(&ListOf { nightly_schedule_utc, lanes, ..ListOf::default() })
        }
        (Listed::Targets, true) => {
            json(&ListOf { targets: Some(targets(&catalog)), ..ListOf::default() })
        }
        (Listed::Jobs, true) => json(&ListOf { jobs: Some(jobs(&catalog)), ..ListOf::default() }),
        (Listed::Lanes, false) => table(lanes(&catalog).into_iter().map(|lane| {
            let runs = lane.target.unwrap_or("(own command)").to_owned();
            [lane.id.to_owned(), lane.trigger.to_owned(), lane.title.to_owned(), runs]
        })),
        (Listed::Targets, false) => table(targets(&catalog).into_iter().map(|target| {
            let kind = if target.staged_linux { "staged linux" } else { "" };
            let jobs = match target.jobs.len() {
                1 => "1 job".to_owned(),
                count => format!("{count} jobs"),
            };
            [target.id.to_owned(), jobs, kind.to_owned(), target.description.to_owned()]
        })),
        (Listed::Jobs, false) => table(jobs(&catalog).into_iter().map(|job| {
            let at = format!("{} × {}", job.placement, job.runtime);
            let timeout = render::words::seconds(job.timeout_secs);
            [job.id.to_owned(), at, timeout, job.description.to_owned()]
        })),
    };
    console.write(text.as_bytes())?;
    Ok(Exit::Done)
}

pub(super) fn target_info(console: &Console, args: TargetInfoArgs) -> Answer {
    let catalog = read(console, args.head, args.definitions)?;
    let Some(index) = catalog.target(args.id.as_str()) else {
        let known = catalog.targets().iter().map(|target| target.id.as_str());
        let error = crate::request::missing("target", args.id.as_str(), known);
        return Err(PlanningError::from(error).into());
    };
    let info = TargetInfo::of(&catalog, index);
    let text = if args.json { json(&info) } else { info.text() };
    console.write(text.as_bytes())?;
    Ok(Exit::Done)
}

/// Reads the definitions as they are now: of a revision if one is named, else of the work tree.
/// A tree without commits, or a directory without git, can be listed as well.
pub(super) fn read(
    console: &Console,
    head: Option<String>,
    definitions: DefinitionArgs,
) -> Result<Catalog, Failure> {
    let context = now(console, head)?;
    Ok(context.definitions(&definitions.into())?.0)
}

/// The context of commands that look at files as they are now.
pub(super) fn now(console: &Console, head: Option<String>) -> Result<RepoContext, Failure> {
    let worktree = head.is_none();
    let request = Request { dir: console.dir().to_owned(), head, worktree, ..Request::default() };
    match RepoContext::open(&request) {
        Ok(context) => Ok(context),
        Err(crate::RepoContextError::Git(
            GitError::UnbornBranch { .. } | GitError::NoWorkTree { .. },
        )) if worktree => {
            // A list of changes, be it empty, needs no head: the directory is what there is.
            let changes = ChangesFrom::List(Vec::new());
            let without = Request { worktree: false, changes, ..request };
            Ok(RepoContext::open(&without).map_err(PlanningError::from)?)
        }
        Err(error) => Err(PlanningError::from(error).into()),
    }
}

fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("names and numbers are JSON");
    text.push('\n');
    text
}

/// Lays out rows in columns; the last one is as wide as it likes.
fn table<const N: usize>(rows: impl Iterator<Item = [String; N]>) -> String {
    let rows: Vec<[String; N]> = rows.collect();
    let width = |column: usize| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

/// One of the lists.
#[derive(Default, Serialize)]
struct ListOf<'a> {
    /// For the scheduler that starts the nightly run; `HH:MM` in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    nightly_schedule_utc: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lanes: Option<Vec<LaneLine<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    targets: Option<Vec<TargetLine<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jobs: Option<Vec<JobLine<'a>>>,
}

#[derive(Serialize)]
struct LaneLine<'a> {
    id: &'a str,
    title: &'a str,
    trigger: &'static str,
    target: Option<&'a str>,
    entrypoint: Option<&'a str>,
    concurrency_group: Option<&'a str>,
    after: Vec<&'a str>,
    /// The same on every nightly lane, for readers that look at one lane.
    #[serde(skip_serializing_if = "Option::is_none")]
    nightly_schedule_utc: Option<&'a str>,
    #[serde(flatten)]
    filter: FilterLine<'a>,
    jobs: Vec<&'a str>,
}

/// A filter as its three keys.
#[derive(Serialize)]
struct FilterLine<'a> {
    paths: Option<Vec<&'a str>>,
    exclude: Vec<&'a str>,
    statuses: Option<Vec<&'static str>>,
}

impl<'a> FilterLine<'a> {
    fn of(catalog: &'a Catalog, filter: &PathFilter) -> Self {
        let texts = |globs: &[lanes::GlobUse]| -> Vec<&'a str> {
            globs.iter().map(|used| catalog.globs().text(used.glob)).collect()
        };
        Self {
            paths: filter.paths.as_deref().map(texts),
            exclude: texts(&filter.exclude),
            statuses: filter
                .statuses
                .as_ref()
                .map(|kinds| kinds.iter().map(|kind| kind.as_str()).collect()),
        }
    }
}

fn job_ids<'a>(catalog: &'a Catalog, jobs: &[JobIndex]) -> Vec<&'a str> {
    jobs.iter().map(|&job| catalog[job].id.as_str()).collect()
}

fn lanes(catalog: &Catalog) -> Vec<LaneLine<'_>> {
    let line = |index: LaneIndex| {
        let lane = &catalog[index];
        let nightly = lane.trigger == lanes::LaneTrigger::Nightly;
        let schedule = catalog.rules().nightly_schedule_utc.as_deref();
        LaneLine {
            id: lane.id.as_str(),
            title: &lane.title,
            trigger: lane.trigger.as_str(),
            target: match lane.work {
                Work::Target(target) => Some(catalog[target].id.as_str()),
                Work::Command(_) => None,
            },
            entrypoint: lane.entrypoint.as_deref(),
            concurrency_group: lane.concurrency_group.as_ref().map(plans::GroupName::as_str),
            after: lane.after.iter().map(|&lane| catalog[lane].id.as_str()).collect(),
            nightly_schedule_utc: schedule.filter(|_| nightly),
            filter: FilterLine::of(catalog, &lane.filter),
            jobs: job_ids(catalog, catalog.jobs_of(index)),
        }
    };
    catalog.lane_indices().map(line).collect()
}

#[derive(Serialize)]
struct TargetLine<'a> {
    id: &'a str,
    description: &'a str,
    staged_linux: bool,
    jobs: Vec<&'a str>,
}

fn targets(catalog: &Catalog) -> Vec<TargetLine<'_>> {
    let line = |target: &'_ lanes::Target| -> TargetLine<'_> {
        let found = catalog.target(target.id.as_str()).expect("it is the catalog's");
        let target = &catalog[found];
        TargetLine {
            id: target.id.as_str(),
            description: &target.description,
            staged_linux: target.staged_linux.is_some(),
            jobs: job_ids(catalog, &target.jobs),
        }
    };
    catalog.targets().iter().map(line).collect()
}

#[derive(Serialize)]
struct JobLine<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    matrix: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<Shard>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard_files: Option<&'a [RepoPath]>,
    description: &'a str,
    target: Option<&'a str>,
    lane: Option<&'a str>,
    placement: &'a str,
    runtime: &'static str,
    timeout_secs: u64,
    needs: Vec<&'a str>,
    #[serde(skip_serializing_if = "RunIf::is_passed")]
    run_if: RunIf,
}

fn jobs(catalog: &Catalog) -> Vec<JobLine<'_>> {
    catalog
        .jobs()
        .iter()
        .map(|job| JobLine {
            id: job.id.as_str(),
            group: job.group.as_ref().map(plans::JobId::as_str),
            matrix: &job.matrix,
            shard: job.shard,
            shard_files: job.shard_files.as_ref().and_then(|files| files.part.as_deref()),
            description: &job.spec.description,
            target: match job.owner {
                JobOwner::Target(target) => Some(catalog[target].id.as_str()),
                JobOwner::Lane(_) => None,
            },
            lane: match job.owner {
                JobOwner::Lane(lane) => Some(catalog[lane].id.as_str()),
                JobOwner::Target(_) => None,
            },
            placement: job.spec.placement.host_name(),
            runtime: job.spec.runtime.kind().as_str(),
            timeout_secs: job.spec.timeout_secs,
            needs: job_ids(catalog, &job.needs),
            run_if: job.run_if,
        })
        .collect()
}

/// Everything about one target, the staged Linux keys as the catalog spells them.
#[derive(Serialize)]
struct TargetInfo<'a> {
    id: &'a str,
    description: &'a str,
    lanes: Vec<&'a str>,
    staged_linux: Option<StagedInfo<'a>>,
    filter: Option<FilterLine<'a>>,
    jobs: Vec<JobLine<'a>>,
}

#[derive(Serialize)]
struct StagedInfo<'a> {
    snapshot_profile: Option<&'a str>,
    prepare_node_prefix: &'a str,
    prepare_description: Option<&'a str>,
    workspace_output_system: Option<&'a str>,
    shadow_recipe: Option<&'a str>,
    payloads: Vec<PayloadInfo<'a>>,
}

#[derive(Serialize)]
struct PayloadInfo<'a> {
    role: &'a str,
    output_name: &'a str,
    nix_installable: &'a str,
    mount: &'a str,
    node: String,
}

impl<'a> TargetInfo<'a> {
    fn of(catalog: &'a Catalog, index: TargetIndex) -> Self {
        let target = &catalog[index];
        let runs = |lane: &LaneIndex| matches!(catalog[*lane].work, Work::Target(target) if target == index);
        let of_target: std::collections::BTreeSet<&str> =
            job_ids(catalog, &target.jobs).into_iter().collect();
        Self {
            id: target.id.as_str(),
            description: &target.description,
            lanes: catalog
                .lane_indices()
                .filter(runs)
                .map(|lane| catalog[lane].id.as_str())
                .collect(),
            staged_linux: target.staged_linux.as_ref().map(|staged| StagedInfo {
                snapshot_profile: staged.snapshot_profile.as_ref().map(plans::ProfileName::as_str),
                prepare_node_prefix: &staged.prepare_node_prefix,
                prepare_description: staged.prepare_description.as_deref(),
                workspace_output_system: staged.workspace_output_system.as_deref(),
                shadow_recipe: staged.shadow_recipe.as_deref(),
                payloads: staged
                    .payloads
                    .iter()
                    .map(|payload| PayloadInfo {
                        role: &payload.role,
                        output_name: &payload.output_name,
                        nix_installable: &payload.nix_installable,
                        mount: payload.mount.as_str(),
                        node: format!(
                            "prepare-{}-{}",
                            staged.prepare_node_prefix,
                            payload.role.replace('_', "-")
                        ),
                    })
                    .collect(),
            }),
            filter: target.filter.as_ref().map(|filter| FilterLine::of(catalog, filter)),
            jobs: jobs(catalog).into_iter().filter(|job| of_target.contains(job.id)).collect(),
        }
    }

    fn text(&self) -> String {
        let mut lines = vec![format!("{} · {}", self.id, self.description)];
        let mut line = |name: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                lines.push(format!("  {name:<24}{value}"));
            }
        };
        line("lanes", Some(&self.lanes.join(", ")));
        if let Some(staged) = &self.staged_linux {
            line("snapshot_profile", staged.snapshot_profile);
            line("prepare_node_prefix", Some(staged.prepare_node_prefix));
            line("prepare_description", staged.prepare_description);
            line("workspace_output_system", staged.workspace_output_system);
            line("shadow_recipe", staged.shadow_recipe);
            for payload in &staged.payloads {
                line(&format!("payload {}", payload.role), Some(payload.nix_installable));
                line("  mounted at", Some(payload.mount));
            }
        }
        if let Some(paths) = self.filter.as_ref().and_then(|filter| filter.paths.as_ref()) {
            line("paths", Some(&paths.join(" ")));
        }
        lines.push("  jobs".to_owned());
        for job in &self.jobs {
            lines.push(format!(
                "    {}  {} × {}  {}",
                job.id,
                job.placement,
                job.runtime,
                render::words::seconds(job.timeout_secs)
            ));
        }
        lines.join("\n") + "\n"
    }
}
