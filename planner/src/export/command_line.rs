//! The flags of `planner export`, and how they become options.

use std::path::PathBuf;

use super::{Engine, ExportName, Options, PlanPath, Program, RunnerRule, TimeOfDay};

/// Hands a plan's graph to GitHub Actions, GitLab CI or Buildkite.
///
/// Every job becomes a step that calls `executor apply --only NODE` on an agent of that engine;
/// docs/export.md shows the pipeline around it for each.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = "\
Examples:
  planner plan --all -o all.json
  planner export all.json --to github --out-dir .github/workflows --runner self-hosted,linux

  planner plan -o plan.json
  planner export plan.json --to gitlab --out-dir . --runner tart=macos
  planner export plan.json --to buildkite | buildkite-agent pipeline upload")]
pub struct ExportArgs {
    /// The plan; `-` reads standard input
    #[arg(value_name = "PLAN")]
    pub plan: PathBuf,
    /// The engine that is to run it
    #[arg(long, value_enum, value_name = "ENGINE")]
    pub to: Engine,
    /// Writes the files into this directory; without it, one file goes to standard output
    #[arg(long, value_name = "DIR")]
    pub out_dir: Option<PathBuf>,
    /// Where agents find the plan, below their working directory
    #[arg(long, value_name = "PATH", default_value = "plan.json")]
    pub plan_path: PlanPath,
    /// Which agents take which nodes: labels, tags or a queue; WHICH is host_process, incus, tart or remote_ssh
    #[arg(long, value_name = "[WHICH=]LABEL,…")]
    pub runner: Vec<RunnerRule>,
    /// How agents call the executor
    #[arg(long, value_name = "COMMAND", default_value = "executor")]
    pub executor: Program,
    /// How agents call the planner (GitHub, where each run plans anew)
    #[arg(long, value_name = "COMMAND", default_value = "planner")]
    pub planner: Program,
    /// The stem of the files' names
    #[arg(long, value_name = "NAME", default_value = "forge-lanes")]
    pub name: ExportName,
    /// Minutes a job may wait in the executor for a machine or a concurrency group
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    pub queue_minutes: u32,
    /// When nightly lanes start, in UTC (GitHub); without it: by hand
    #[arg(long, value_name = "HH:MM")]
    pub nightly_schedule_utc: Option<TimeOfDay>,
}

impl ExportArgs {
    /// Returns what the flags say beside plan, engine and directory.
    #[must_use]
    pub fn options(&self) -> Options {
        Options {
            plan_path: self.plan_path.clone(),
            executor: self.executor.clone(),
            planner: self.planner.clone(),
            runners: self.runner.iter().cloned().collect(),
            name: self.name.clone(),
            queue_minutes: self.queue_minutes,
            nightly_schedule_utc: self.nightly_schedule_utc,
        }
    }
}
