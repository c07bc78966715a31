//! The command line as written. Doc comments are the help text; nothing is decided here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use plans::{JobId, LaneId, TargetId, Trigger};

use crate::export::{
    self, Engine, ExportName, GithubQueue, PlanPath, Program, RunnerRule, TimeOfDay,
};

/// Plans continuous integration: reads the git diff, the catalog and forge-lanes.toml, and writes
/// a reviewable plan for `executor apply`.
///
/// It runs no job and opens no connection. The same commits and flags give the same bytes.
#[derive(Debug, Parser)]
#[command(
    name = "planner",
    version,
    after_help = "Examples:\n  \
        planner plan -o plan.json             plan what this branch changes\n  \
        planner plan --format human           read the plan instead\n  \
        planner plan | executor apply -       plan it and run it\n  \
        planner explain src/lib.rs            what a change of this file runs, and why\n  \
        planner check                         find dead globs, unknown targets, gaps\n\n\
        Exit codes: 0 done, 1 the answer is no, 2 bad usage or input, 4 refused."
)]
pub struct Cli {
    /// Work as if started in this directory.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub dir: Option<PathBuf>,

    /// Say on stderr how base and head were found (`check` shows everything); twice: every step. `FORGE_LANES_LOG=FILTER` says
    /// the steps of single modules.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write the plan for a change.
    Plan(PlanArgs),
    /// Show a saved plan.
    Show(ShowArgs),
    /// Compare two plans, or what two revisions run.
    Diff(DiffArgs),
    /// Compare golden plans with what their scenarios give now.
    #[command(after_help = GOLDEN_EXAMPLES)]
    Golden {
        /// What to do.
        #[command(subcommand)]
        command: GoldenCommand,
    },
    /// Write a plan as the pipeline of another engine.
    Export(ExportArgs),
    /// Say why a path, a lane or a job is in the plan, or why not; and which base, and why.
    #[command(
        mut_arg("base", |arg| arg
            .num_args(0..=1)
            .default_missing_value(WHICH_BASE)
            .help(
                "Say which commit head is compared with, from where, what else was considered and \
                 why it was not taken; with REV: compare with the merge base of head and REV",
            )
            .long_help(None::<&str>)),
        group(clap::ArgGroup::new("base_mode").multiple(true))
    )]
    Explain(ExplainArgs),
    /// Find what is wrong with manifest, catalog and invariants.
    Check(CheckArgs),
    /// Replay the commits of this branch: what they would have run, and why.
    Backtest(BacktestArgs),
    /// Write the first ci/ of a repository, from what is in it.
    Init(InitArgs),
    /// Write ci/ from what another engine reads.
    #[command(after_help = "Example:\n  planner import github --print")]
    Import {
        /// From which.
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// List lanes, targets or jobs.
    List(ListArgs),
    /// Say everything about one target.
    TargetInfo(TargetInfoArgs),
    /// Print a JSON Schema.
    Schema(SchemaArgs),
    /// Print the completions of a shell.
    #[command(after_help = "Examples:\n  \
        planner completions bash > /etc/bash_completion.d/planner\n  \
        planner completions zsh > ~/.zfunc/_planner\n  \
        planner completions fish > ~/.config/fish/completions/planner.fish")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write those of all commands.
    #[command(after_help = "Examples:\n  \
        planner man | man -l -\n  \
        planner man --out-dir /usr/local/share/man/man1")]
    Man {
        /// Write a page for the program and one for each command into DIR.
        #[arg(long, value_name = "DIR")]
        out_dir: Option<PathBuf>,
    },
}

/// Where the manifest and the catalog are.
#[derive(Debug, Clone, Args)]
pub struct DefinitionArgs {
    /// The manifest, from the repository's root.
    #[arg(long, value_name = "PATH", default_value = "ci/forge-lanes.toml")]
    pub manifest: String,

    /// The catalog, from the repository's root.
    #[arg(long, value_name = "PATH", default_value = "ci/catalog.toml")]
    pub catalog: String,
}

/// Which change to plan.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Change set")]
pub struct ChangeArgs {
    /// Compare with the merge base of head and REV [default: what the event brought, else the
    /// default branch].
    #[arg(long, value_name = "REV", group = "base_mode")]
    pub base: Option<String>,

    /// Compare with exactly REV.
    #[arg(long, value_name = "REV", group = "base_mode")]
    pub base_exact: Option<String>,

    /// Compare with head's first parent.
    #[arg(long, group = "base_mode")]
    pub base_first_parent: bool,

    /// Compare with the empty tree: everything is new.
    #[arg(long, group = "base_mode")]
    pub base_empty: bool,

    /// Take the changed paths from FILE (`-`: standard input), separated by NUL or newline.
    #[arg(long, value_name = "FILE", group = "base_mode")]
    pub changed_files: Option<PathBuf>,

    /// Select every lane of the trigger; no diff.
    #[arg(long, group = "base_mode")]
    pub all: bool,

    /// Plan a scenario file: shown and compared, never applied.
    #[arg(long, value_name = "FILE", group = "base_mode", conflicts_with_all = ["trigger", "lane", "target", "job"])]
    pub scenario: Option<PathBuf>,

    /// Compare each lane with the newest commit at which it passed, as FILE says (`-`: standard
    /// input; written by `executor history --passed`).
    #[arg(long, value_name = "FILE", conflicts_with_all = ["changed_files", "all", "scenario"])]
    pub passed: Option<PathBuf>,

    /// With `--passed`: what becomes of a lane that passed at no commit that head builds upon.
    #[arg(long, value_name = "WHAT", default_value = "base")]
    pub passed_else: PassedElse,

    /// Plan REV instead of HEAD.
    #[arg(long, value_name = "REV", conflicts_with = "worktree")]
    pub head: Option<String>,

    /// Plan the work tree: index, changes and untracked files that are not ignored.
    #[arg(long)]
    pub worktree: bool,

    /// Take the default branch of this remote [default: origin, or the only one].
    #[arg(long, value_name = "NAME")]
    pub remote: Option<String>,

    /// What to do when the base cannot be determined.
    #[arg(long, value_name = "WHAT", default_value = "fail")]
    pub on_unknown_base: OnUnknownBase,

    /// Whose lanes to plan; `manual`: only what flags name.
    #[arg(long, value_name = "TRIGGER", value_parser = trigger)]
    pub trigger: Option<Trigger>,

    /// Select this lane, whatever changed. May be repeated.
    #[arg(long, value_name = "ID")]
    pub lane: Vec<LaneId>,

    /// Select this target's jobs, whatever changed. May be repeated.
    #[arg(long, value_name = "ID")]
    pub target: Vec<TargetId>,

    /// Select this job, whatever changed. May be repeated.
    #[arg(long, value_name = "ID")]
    pub job: Vec<JobId>,
}

fn trigger(text: &str) -> Result<Trigger, String> {
    match text {
        "branch" => Ok(Trigger::Branch),
        "nightly" => Ok(Trigger::Nightly),
        "manual" => Ok(Trigger::Manual),
        _ => Err("`branch`, `nightly` or `manual` is expected".to_owned()),
    }
}

/// What to do when the base cannot be determined.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OnUnknownBase {
    /// Stop, and say which command brings it.
    #[default]
    Fail,
    /// Plan every lane of the trigger, and record why.
    RunAll,
}

/// What becomes of a lane that passed at no commit that head builds upon.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum PassedElse {
    /// It is compared with the base; it runs if FILE knows of a run of it that did not pass.
    #[default]
    Base,
    /// It runs.
    Run,
}

/// How to show a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PlanFormat {
    /// The plan itself.
    Json,
    /// A table for a terminal.
    Human,
    /// A pull request comment.
    Markdown,
    /// A mermaid graph.
    Mermaid,
    /// A Graphviz graph.
    Dot,
    /// One self-contained page.
    Html,
}

/// Arguments of `planner plan`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    planner plan > plan.json                      against the merge base with the default branch\n  \
    planner plan --base origin/release -o p.json  against another branch\n  \
    planner plan --worktree --format human        what is not committed yet, too\n  \
    planner plan --passed passed.json --passed-else run   each lane since it passed\n  \
    planner plan --trigger nightly                the nightly lanes\n  \
    planner plan --trigger manual --lane rust     one lane, whatever changed\n  \
    git diff --name-only -z A B | planner plan --changed-files -")]
pub struct PlanArgs {
    /// Write to FILE instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// How to write it.
    #[arg(long, value_name = "FORMAT", default_value = "json")]
    pub format: PlanFormat,

    /// Where manifest and catalog are.
    #[command(flatten)]
    pub definitions: DefinitionArgs,

    /// Which change.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// Arguments of `planner show`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    planner show plan.json\n  \
    planner show plan.json --format markdown > comment.md\n  \
    planner show plan.json --format html > plan.html")]
pub struct ShowArgs {
    /// The plan (`-`: standard input).
    pub plan: PathBuf,

    /// How to show it.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: PlanFormat,

    /// Durations of earlier runs, as `executor history --json` prints them.
    #[arg(long, value_name = "FILE")]
    pub durations: Option<PathBuf>,
}

/// Arguments of `planner export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    planner plan --all -o all.json\n  \
    planner export all.json --to github --out-dir .github/workflows --runner self-hosted,linux\n  \
    planner export plan.json --to gitlab --out-dir . --runner tart=macos\n  \
    planner export plan.json --to buildkite | buildkite-agent pipeline upload")]
pub struct ExportArgs {
    /// The plan (`-`: standard input).
    pub plan: PathBuf,

    /// The engine that is to run it.
    #[arg(long, value_name = "ENGINE")]
    pub to: Engine,

    /// Write the files into DIR instead of one file to standard output.
    #[arg(long, value_name = "DIR")]
    pub out_dir: Option<PathBuf>,

    /// Where agents find the plan, below their working directory.
    #[arg(long, value_name = "PATH", default_value = "plan.json")]
    pub plan_path: PlanPath,

    /// Which agents take which nodes: labels, tags or a queue, separated by commas. WHICH is
    /// host_process, incus, tart or remote_ssh; without it, the rule is for all others. May be
    /// repeated.
    #[arg(long, value_name = "[WHICH=]LABEL")]
    pub runner: Vec<RunnerRule>,

    /// How agents call the executor.
    #[arg(long, value_name = "COMMAND", default_value = "executor")]
    pub executor: Program,

    /// How agents call the planner; GitHub only, where each run plans anew.
    #[arg(long, value_name = "COMMAND", default_value = "planner")]
    pub planner: Program,

    /// The stem of the files' names.
    #[arg(long, value_name = "NAME", default_value = "forge-lanes")]
    pub name: ExportName,

    /// Minutes a job may wait in the executor for a machine or a concurrency group.
    #[arg(long, value_name = "MINUTES", default_value_t = 60)]
    pub queue_minutes: u32,

    /// Whether GitHub's own queue holds concurrency groups, beside the executor's locks: `off` for
    /// servers that do not know `concurrency.queue`, and for act and actionlint.
    #[arg(long, value_name = "QUEUE", default_value = "max")]
    pub github_queue: GithubQueue,

    /// When nightly lanes start, in UTC; GitHub only [default: what the manifest of the plan's
    /// commit says; else they start by hand].
    #[arg(long, value_name = "HH:MM")]
    pub nightly_schedule_utc: Option<TimeOfDay>,

    /// Where that manifest and its catalog are.
    #[command(flatten)]
    pub definitions: DefinitionArgs,
}

impl From<&ExportArgs> for export::Options {
    fn from(args: &ExportArgs) -> Self {
        Self {
            plan_path: args.plan_path.clone(),
            executor: args.executor.clone(),
            planner: args.planner.clone(),
            runners: args.runner.iter().cloned().collect(),
            name: args.name.clone(),
            queue_minutes: args.queue_minutes,
            github_queue: args.github_queue,
            nightly_schedule_utc: args.nightly_schedule_utc,
        }
    }
}

/// How to show a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DiffFormat {
    /// Text for a terminal.
    Human,
    /// One JSON object.
    Json,
    /// A pull request comment.
    Markdown,
}

/// Arguments of `planner diff`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    planner diff old.json new.json\n  \
    planner diff main HEAD               what every lane would run, then and now\n\n\
    Exit codes: 0 the same, 1 they differ, 2 bad input.")]
pub struct DiffArgs {
    /// A plan file or a revision.
    pub a: String,
    /// Another plan file or revision.
    pub b: String,

    /// How to show it.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: DiffFormat,

    /// Where manifest and catalog are, when revisions are compared.
    #[command(flatten)]
    pub definitions: DefinitionArgs,
}

/// How to answer why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExplainFormat {
    /// Text for a terminal.
    Human,
    /// One JSON object.
    Json,
}

/// What `planner explain --base` without a revision is read as; no argument can hold it.
pub(crate) const WHICH_BASE: &str = "\0";

/// Arguments of `planner explain`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    planner explain src/lib.rs docs/intro.md   as if these changed\n  \
    planner explain --lane rust                why this lane is in the plan, or not\n  \
    planner explain --job unit-tests --json\n  \
    planner explain --base                     which commit head is compared with, and why\n  \
    planner explain --base-exact v1.2 --json   the same, with a flag of `planner plan`\n\n\
    Exit codes: 0 done, 1 there is no base, 2 bad usage or input.")]
pub struct ExplainArgs {
    /// Paths, from the repository's root: what would run if exactly these changed.
    #[arg(value_name = "PATH")]
    pub paths: Vec<std::ffi::OsString>,

    /// With `--job`: also every file that it sees, with the glob of its `inputs` that brings it.
    #[arg(long)]
    pub inputs: bool,

    /// How to answer.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: ExplainFormat,

    /// The same as `--format json`.
    #[arg(long, conflicts_with = "format")]
    pub json: bool,

    /// Where manifest and catalog are.
    #[command(flatten)]
    pub definitions: DefinitionArgs,

    /// Which change; `--lane` and `--job` say what to explain.
    #[command(flatten)]
    pub change: ChangeArgs,
}

/// How to print findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CheckFormat {
    /// Text for a terminal.
    Human,
    /// One JSON object.
    Json,
    /// GitHub annotations.
    Github,
    /// SARIF 2.1.0.
    Sarif,
}

/// Arguments of `planner check`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    planner check\n  \
    planner check --format sarif > findings.sarif\n  \
    planner check --explain dead_glob\n\n\
    Exit codes: 0 nothing at level deny, 1 findings at deny, 2 the files cannot be read.")]
pub struct CheckArgs {
    /// How to print findings.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: CheckFormat,

    /// What a code means and what to do about it; `all` lists them.
    #[arg(long, value_name = "CODE")]
    pub explain: Option<String>,

    /// Check REV instead of the work tree.
    #[arg(long, value_name = "REV")]
    pub head: Option<String>,

    /// The invariants, from the repository's root [default: ci/invariants.toml, if it is there].
    #[arg(long, value_name = "PATH")]
    pub invariants: Option<String>,

    /// The manifest, from the repository's root [default: the invariants', else
    /// ci/forge-lanes.toml].
    #[arg(long, value_name = "PATH")]
    pub manifest: Option<String>,

    /// The catalog, from the repository's root [default: the invariants', else ci/catalog.toml].
    #[arg(long, value_name = "PATH")]
    pub catalog: Option<String>,
}

/// How to show a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BacktestFormat {
    /// Text for a terminal.
    Human,
    /// One JSON object.
    Json,
    /// One self-contained page.
    Html,
}

/// Arguments of `planner backtest`.
#[derive(Debug, Args)]
#[command(
    after_help = "Every commit is planned against its first parent, without a checkout, with \
    its own\ndefinitions unless `--with` or `--against` names others. Branch lanes \
    only.\n\nExamples:\n  \
    planner backtest                            the last 200 commits\n  \
    planner backtest --since v1.0 --with HEAD   all since v1.0, with the definitions of now\n  \
    planner backtest --against main             what this branch's definitions let through\n  \
    planner backtest --with new.toml --against HEAD --format html -o backtest.html\n  \
    executor history --json > d.json && planner backtest --durations d.json\n  \
    planner backtest --reuse                    what keys would have spared, and what spoils them"
)]
pub struct BacktestArgs {
    /// Replay so many commits.
    #[arg(long, value_name = "N", default_value_t = 200, conflicts_with = "since")]
    pub last: usize,

    /// Replay the commits that REV does not reach.
    #[arg(long, value_name = "REV")]
    pub since: Option<String>,

    /// Plan every commit with the definitions of REV, or of head with FILE as manifest.
    #[arg(long, value_name = "REV|FILE")]
    pub with: Option<String>,

    /// Compare with the definitions of REV, or of head with FILE as manifest; head's, or those
    /// of `--with`, are what is compared.
    #[arg(long, value_name = "REV|FILE")]
    pub against: Option<String>,

    /// Durations of earlier runs, as `executor history --json` prints them.
    #[arg(long, value_name = "FILE")]
    pub durations: Option<PathBuf>,

    /// Say as well which runs a key would have spared: those of a job whose key an earlier commit had, each
    /// run taken for one that passed; and which files made the others run.
    #[arg(long)]
    pub reuse: bool,

    /// Start from REV instead of HEAD.
    #[arg(long, value_name = "REV")]
    pub head: Option<String>,

    /// How to show it.
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: BacktestFormat,

    /// Write to FILE instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Where manifest and catalog are.
    #[command(flatten)]
    pub definitions: DefinitionArgs,
}

/// Arguments of `planner init`.
#[derive(Debug, Args)]
#[command(
    after_help = "Looks at Cargo, npm, pnpm, yarn, Python, Go, make and just projects and runs \
    nothing. Never\noverwrites: if one of the files is there, none is written and the exit code \
    is 2.\n\nExamples:\n  \
    planner init                       write ci/forge-lanes.toml, catalog.toml, invariants.toml\n  \
    planner init --print               show them instead\n  \
    planner init && planner plan --worktree --all | executor apply -"
)]
pub struct InitArgs {
    /// Print the files instead of writing them.
    #[arg(long)]
    pub print: bool,
}

/// What stands below the help of an import.
macro_rules! import_help {
    ($engine:literal) => {
        concat!(
            "What cannot be carried over is said in comments; where there is a doubt, more runs. \
             Never\noverwrites.\n\nExamples:\n  planner import ",
            $engine,
            " --print\n  planner import ",
            $engine,
            " ../project"
        )
    };
}

/// From which engine to import.
#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// GitHub workflows: `paths` filters and dorny/paths-filter lists become lanes.
    Github(ImportGithubArgs),
    /// GitLab's .gitlab-ci.yml: rules, only and except with changes become lanes.
    #[command(after_help = import_help!("gitlab"))]
    Gitlab(ImportArgs),
    /// Buildkite's pipeline: steps with if_changed become lanes.
    #[command(after_help = import_help!("buildkite"))]
    Buildkite(ImportArgs),
    /// Woodpecker's workflows: when.path becomes lanes.
    #[command(after_help = import_help!("woodpecker"))]
    Woodpecker(ImportArgs),
    /// CircleCI's configuration: the mapping of path-filtering and workflows become lanes.
    #[command(after_help = import_help!("circleci"))]
    Circleci(ImportArgs),
    /// Azure Pipelines: paths of trigger and pr become lanes.
    #[command(after_help = import_help!("azure"))]
    Azure(ImportArgs),
    /// moon's projects: every task becomes a lane.
    #[command(after_help = import_help!("moon"))]
    Moon(ImportArgs),
    /// nx's projects: every project becomes a lane that follows it.
    #[command(after_help = import_help!("nx"))]
    Nx(ImportArgs),
    /// turbo's tasks: every package becomes a lane that follows it.
    #[command(after_help = import_help!("turbo"))]
    Turbo(ImportArgs),
    /// taskgraph's kinds: tasks with files-changed or skip-unless-changed become lanes.
    #[command(after_help = import_help!("taskgraph"))]
    Taskgraph(ImportArgs),
    /// Prow's jobs: run_if_changed and skip_if_only_changed become lanes.
    #[command(after_help = import_help!("prow"))]
    Prow(ImportArgs),
}

/// Arguments of `planner import ENGINE`.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A directory of the repository.
    #[arg(value_name = "DIR", default_value = ".")]
    pub repository: PathBuf,

    /// Print the files instead of writing them.
    #[arg(long)]
    pub print: bool,
}

/// Arguments of `planner import github`.
#[derive(Debug, Args)]
#[command(
    after_help = "What cannot be carried over is said in comments; where there is a doubt, more \
    runs. Never\noverwrites.\n\nExamples:\n  \
    planner import github --print                  every workflow of .github/workflows\n  \
    planner import github .github/workflows/ci.yml"
)]
pub struct ImportGithubArgs {
    /// Workflows; none: every file of .github/workflows.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,

    /// Print the files instead of writing them.
    #[arg(long)]
    pub print: bool,
}

/// What to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Listed {
    /// Every lane, branch first.
    Lanes,
    /// Every target.
    Targets,
    /// Every job.
    Jobs,
}

/// Arguments of `planner list`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    planner list lanes\n  \
    planner list lanes --json | jq -r .nightly_schedule_utc\n  \
    planner list jobs --head main")]
pub struct ListArgs {
    /// What to list.
    pub what: Listed,

    /// As JSON.
    #[arg(long)]
    pub json: bool,

    /// List REV instead of the work tree.
    #[arg(long, value_name = "REV")]
    pub head: Option<String>,

    /// Where manifest and catalog are.
    #[command(flatten)]
    pub definitions: DefinitionArgs,
}

/// Arguments of `planner target-info`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    planner target-info unit\n  \
    planner target-info unit --json")]
pub struct TargetInfoArgs {
    /// The target.
    pub id: TargetId,

    /// As JSON.
    #[arg(long)]
    pub json: bool,

    /// Read REV instead of the work tree.
    #[arg(long, value_name = "REV")]
    pub head: Option<String>,

    /// Where manifest and catalog are.
    #[command(flatten)]
    pub definitions: DefinitionArgs,
}

/// Which document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Schema {
    /// plan.json
    Plan,
    /// ci/forge-lanes.toml
    Lanes,
    /// ci/catalog.toml
    Catalog,
    /// what `executor history --passed` writes and `planner plan --passed` reads
    Passed,
    /// ci/invariants.toml
    Invariants,
    /// ci/scenarios/*.toml
    Scenario,
    /// what `planner diff --format json` writes
    Diff,
}

/// Arguments of `planner schema`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    planner schema lanes > forge-lanes.schema.json     for an editor that checks ci/forge-lanes.toml\n  \
    planner schema plan")]
pub struct SchemaArgs {
    /// Of which document.
    pub of: Schema,
}

/// What to do with golden plans.
#[derive(Debug, Subcommand)]
pub enum GoldenCommand {
    /// Compare every golden plan with its scenario's; exit code 1 when one drifted.
    Check(GoldenArgs),
    /// Make the plans of scenarios the golden ones, after a review of what changed.
    Accept(GoldenArgs),
    /// Write a scenario for each lane that has none; nothing is overwritten.
    Init(GoldenArgs),
}

const GOLDEN_EXAMPLES: &str = "Examples:\n  \
    planner golden check             compare ci/scenarios/*.toml with ci/plans/*.json\n  \
    planner golden accept docs-only  after reading what changed\n  \
    planner golden init              one scenario per lane, every glob exercised";

/// Arguments of `planner golden`.
#[derive(Debug, Args)]
#[command(after_help = GOLDEN_EXAMPLES)]
pub struct GoldenArgs {
    /// Scenarios by name; none: all of them.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,

    /// The directory of scenarios, from the repository's root.
    #[arg(long, value_name = "DIR", default_value = "ci/scenarios")]
    pub scenarios: String,

    /// The directory of golden plans, from the repository's root.
    #[arg(long, value_name = "DIR", default_value = "ci/plans")]
    pub plans: String,

    /// Where manifest and catalog are.
    #[command(flatten)]
    pub definitions: DefinitionArgs,
}
