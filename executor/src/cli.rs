//! The command line. Doc comments are the help texts.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};
use plans::{HostName, SshDestination};

use crate::results::ReuseMode;

/// Runs a plan on machines and keeps the record.
///
/// A plan comes from `planner plan`. The executor runs its nodes in order, each where the plan says,
/// and keeps journal, logs and record in a state directory, so that nothing is lost when it dies.
#[derive(Debug, Parser)]
#[command(name = "executor", version, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// Work as if started in DIR.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,
    /// Where runs are kept [default: .forge-lanes at the repository's root].
    #[arg(long, value_name = "DIR", global = true)]
    pub state_dir: Option<PathBuf>,
    /// The site's configuration [default: $EXECUTOR_CONFIG,
    /// ~/.config/forge-lanes/executor.toml, /etc/forge-lanes/executor.toml].
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Say on stderr what happens, step by step; twice: in detail. `FORGE_LANES_LOG=FILTER` says it
    /// of single modules. With `--version`: which documents the program reads and writes.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  planner plan | executor apply -          plan the change at hand and run it
  executor logs --node execute-unit-tests  what a job printed
  executor report latest --html run.html   the run as a page
  executor rerun latest --failed           only what did not pass

Exit codes:
  0 done · 1 a job failed · 2 bad usage or input · 3 infrastructure failed · 4 refused (digest,
  version, stale tree, site policy) · 5 another executor holds the run · 6 leftovers could not be
  removed · 130, 143 interrupted";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a plan.
    #[command(after_help = "\
Examples:
  planner plan | executor apply -          plan the change at hand and run it
  executor apply plan.json --jobs 4        run a reviewed plan
  executor apply plan.json --dry-run       show what would run, and where
  executor apply plan.json --only execute-unit-tests")]
    Apply(Apply),
    /// List the runs, newest first.
    #[command(after_help = "Example:\n  executor list --json | jq -r '.runs[0].run_id'")]
    List {
        /// As JSON: `{ \"runs\": [ { run_id, outcome, … } ] }`.
        #[arg(long)]
        json: bool,
    },
    /// Show how a run stands.
    #[command(after_help = "Examples:\n  executor status\n  executor status 20261122 --json")]
    Status {
        /// The run: its id, an unambiguous beginning or end of it [default: the latest].
        run: Option<String>,
        /// Print the record as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print logs.
    #[command(after_help = "\
Examples:
  executor logs                            everything the latest run's jobs printed
  executor logs --node execute-unit-tests --follow")]
    Logs(Logs),
    /// Run a run's plan again, as a new run.
    #[command(after_help = "Example:\n  executor rerun latest --failed    only what did not pass")]
    Rerun(Rerun),
    /// Finish a run whose executor died; a finished one shows its result.
    #[command(after_help = "Example:\n  executor resume latest")]
    Resume(Resume),
    /// End a run from another terminal.
    #[command(after_help = "\
Examples:
  executor cancel latest                   nothing more starts, what runs gets its grace
  executor cancel latest                   (again) what still runs is killed")]
    Cancel {
        /// The run [`latest` for the latest].
        run: String,
        /// What the record says about it.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Watch a run that another process drives, as `apply` shows it; ends as the run does.
    #[command(after_help = "\
Examples:
  executor watch latest
  executor watch latest --node execute-unit-tests   with what that node prints")]
    Watch {
        /// The run [`latest` for the latest].
        run: String,
        /// Print what this node prints, too, on standard output.
        #[arg(long, value_name = "ID")]
        node: Option<String>,
    },
    /// Serve runs as pages, live; only for reading.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Serve),
    /// Show who has the places and groups of this machine and of hosts, and who waits for them.
    #[command(after_help = "\
Examples:
  executor holders                         here, and on the hosts of all runs
  planner plan | executor holders -        here, and on the hosts of a plan
  executor holders --json | jq '.machines[].locks'")]
    Holders {
        /// The plan whose hosts are asked, `-` for standard input [default: those of all runs].
        plan: Option<PathBuf>,
        /// Reach a host of a plan elsewhere.
        #[arg(long = "host", value_name = "ALIAS=SSH", value_parser = host)]
        hosts: Vec<(HostName, SshDestination)>,
        /// As JSON: `{ \"machines\": [ { machine, locks, waiters } ] }`.
        #[arg(long)]
        json: bool,
    },
    /// Remove old runs and whatever runs left on machines.
    #[command(after_help = "Examples:\n  executor gc --dry-run\n  executor gc --keep 3")]
    Gc(Gc),
    /// Show or remove results that are kept for nodes with `reuse`.
    #[command(
        subcommand,
        after_help = "Examples:\n  executor results list\n  executor results show 3f9a"
    )]
    Results(Results),
    /// Show or remove directories that outlive a run, for jobs with `caches`.
    #[command(
        subcommand,
        after_help = "Examples:\n  executor caches list\n  executor caches remove cargo-target"
    )]
    Caches(Caches),
    /// Say why a node's result was reused, or not: what differs from the nearest one that is kept.
    #[command(after_help = "\
Examples:
  executor why latest --node execute-unit-tests     after a run
  executor why plan.json --node execute-unit-tests  before one")]
    Why {
        /// A plan's file, or a run [`latest` for the latest].
        what: String,
        /// The node.
        #[arg(long, value_name = "ID")]
        node: String,
        /// Reach a host of the plan elsewhere.
        #[arg(long = "host", value_name = "ALIAS=SSH", value_parser = host)]
        hosts: Vec<(HostName, SshDestination)>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// Check every host, engine and image a plan needs.
    #[command(after_help = "Example:\n  planner plan | executor doctor -")]
    Doctor {
        /// The plan, `-` for standard input.
        plan: PathBuf,
        /// Reach a host of the plan elsewhere.
        #[arg(long = "host", value_name = "ALIAS=SSH", value_parser = host)]
        hosts: Vec<(HostName, SshDestination)>,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
    /// How long each node took, and how it ended, over all runs, collected ones too; or which
    /// lanes passed at which commits.
    #[command(after_help = HISTORY_EXAMPLES)]
    History {
        /// Look at the newest N runs only.
        #[arg(long, value_name = "N", conflicts_with = "passed")]
        last: Option<usize>,
        /// As JSON, for `planner show --durations`.
        #[arg(long)]
        json: bool,
        /// Say at which commits each lane passed, and where it ran and has not passed, as JSON for
        /// `planner plan --passed`.
        #[arg(long, group = "document")]
        passed: bool,
        /// Say how long each file of tests took, from the JUnit reports among the artifacts of the newest
        /// runs, as JSON for shards.
        #[arg(long, group = "document", conflicts_with = "json")]
        durations: bool,
        /// With `--passed`: add what other machines or earlier runs wrote. With `--durations`: keep what a
        /// file says of those that were not measured and are still there.
        #[arg(long, value_name = "FILE", num_args = 1.., requires = "document")]
        merge: Vec<PathBuf>,
        /// With `--passed` or `--durations`: write to FILE, whole or not at all, instead of standard output;
        /// it may be one of those that are merged.
        #[arg(short, long, value_name = "FILE", requires = "document")]
        output: Option<PathBuf>,
    },
    /// Write a run down for people: a page, a summary, a trace.
    #[command(after_help = REPORT_EXAMPLES)]
    Report(Report),
    /// Print a JSON Schema.
    #[command(after_help = "Examples:\n  executor schema record\n  executor schema config")]
    Schema {
        /// Of what.
        what: SchemaOf,
    },
    /// Print a completion script.
    #[command(
        after_help = "Example:\n  executor completions bash > /etc/bash_completion.d/executor"
    )]
    Completions {
        /// For which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write those of all commands.
    #[command(after_help = "\
Examples:
  executor man | man -l -
  executor man --out-dir /usr/local/share/man/man1")]
    Man {
        /// Write a page for the program and one for each command into DIR.
        #[arg(long, value_name = "DIR")]
        out_dir: Option<PathBuf>,
    },
}

/// `executor apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The plan, `-` for standard input.
    #[arg(required_unless_present = "only")]
    pub plan: Option<PathBuf>,
    /// What runs and how it is told.
    #[command(flatten)]
    pub running: Running,
    /// Start nothing more after the first failure; what runs is left to end.
    #[arg(long)]
    pub fail_fast: bool,
    /// Run only these nodes with their prepare nodes; their other dependencies count as passed.
    #[arg(long, value_name = "NODE", num_args = 1.., value_delimiter = ',')]
    pub only: Vec<String>,
    /// Print the exact command of each node and run nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Reach a host of the plan elsewhere.
    #[arg(long = "host", value_name = "ALIAS=SSH", value_parser = host)]
    pub hosts: Vec<(HostName, SshDestination)>,
    /// Refuse the plan unless it has this digest, such as the one that was reviewed.
    #[arg(long, value_name = "DIGEST")]
    pub expect_digest: Option<String>,
    /// Run a plan of a work tree that has changed since, with the work tree as it is now.
    #[arg(long)]
    pub allow_stale: bool,
    /// What is done with results of earlier runs.
    #[command(flatten)]
    pub reuse: ReuseFlags,
}

/// What is done with results of earlier runs.
#[derive(Debug, Clone, Copy, Args)]
pub struct ReuseFlags {
    /// Whether nodes with `reuse` that passed before are left alone, and results of those that pass now are kept.
    #[arg(long, value_name = "MODE", value_enum, default_value_t = ReuseMode::On)]
    pub reuse: ReuseMode,
    /// What passes in this run is given to no run that is trusted, such as that of a stranger's change.
    #[arg(long)]
    pub untrusted: bool,
}

impl Apply {
    /// Returns the plan and the nodes of `--only`.
    ///
    /// `--only` takes as many words as follow it, so in `apply --only NODE PLAN` it has taken the
    /// plan too: its last word, when there is no other.
    #[must_use]
    pub fn plan_and_only(&self) -> Option<(PathBuf, Option<Vec<String>>)> {
        let mut only = self.only.clone();
        let plan = match &self.plan {
            Some(plan) => plan.clone(),
            None => PathBuf::from(only.pop()?),
        };
        let asked = !self.only.is_empty();
        (!asked || !only.is_empty()).then_some((plan, asked.then_some(only)))
    }
}

/// What `apply`, `resume` and `rerun` have in common.
#[derive(Debug, Args)]
pub struct Running {
    /// How many nodes run at once [default: one for each processor].
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// What is printed: talk and verdicts, the record at the end, or events as they happen.
    #[arg(long, value_enum, default_value_t = Output::Human)]
    pub output: Output,
    /// Write a JUnit report.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// What is printed on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// The lanes' verdicts at the end.
    Human,
    /// The record at the end.
    Json,
    /// Every event as one line of JSON.
    Jsonl,
}

/// `executor logs`.
#[derive(Debug, Args)]
pub struct Logs {
    /// The run [default: the latest].
    pub run: Option<String>,
    /// Only this node's.
    #[arg(long, value_name = "ID")]
    pub node: Option<String>,
    /// What the job printed, what the executor did for it, or both.
    #[arg(long, value_enum, default_value_t = LogKind::Guest)]
    pub kind: LogKind,
    /// Go on until the run is over.
    #[arg(short, long)]
    pub follow: bool,
}

/// Which log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogKind {
    /// The executor's own account.
    Host,
    /// The job's output.
    Guest,
    /// Both.
    Both,
}

/// `executor rerun`.
#[derive(Debug, Args)]
pub struct Rerun {
    /// The run [`latest` for the latest].
    pub run: String,
    /// Only what did not pass, with the prepare nodes that needs.
    #[arg(long)]
    pub failed: bool,
    /// What runs and how it is told.
    #[command(flatten)]
    pub running: Running,
    /// Start nothing more after the first failure.
    #[arg(long)]
    pub fail_fast: bool,
    /// Reach a host of the plan elsewhere.
    #[arg(long = "host", value_name = "ALIAS=SSH", value_parser = host)]
    pub hosts: Vec<(HostName, SshDestination)>,
    /// Run a plan of a work tree that has changed since, with the work tree as it is now.
    #[arg(long)]
    pub allow_stale: bool,
    /// What is done with results of earlier runs.
    #[command(flatten)]
    pub reuse: ReuseFlags,
}

/// `executor resume`.
#[derive(Debug, Args)]
pub struct Resume {
    /// The run [`latest` for the latest].
    pub run: String,
    /// What runs and how it is told.
    #[command(flatten)]
    pub running: Running,
    /// Reach a host of the plan elsewhere.
    #[arg(long = "host", value_name = "ALIAS=SSH", value_parser = host)]
    pub hosts: Vec<(HostName, SshDestination)>,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  executor serve                            on http://127.0.0.1:8700/, for this machine alone
  executor serve --state-dir a/.forge-lanes --state-dir b/.forge-lanes
  executor serve --socket serve.sock        then: ssh -L 8700:PATH/serve.sock HOST
  executor serve --listen 0.0.0.0:8700 --token-file token   for others, who have the token";

/// `executor serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Listen on ADDRESS:PORT; port 0: any that is free. An address that others reach needs `--token-file`.
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        default_value = "127.0.0.1:8700",
        conflicts_with = "socket"
    )]
    pub listen: String,
    /// Listen on a Unix socket of this user's alone.
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Whose runs are shown; several may be given [default: .forge-lanes at the repository's root].
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub state_dir: Vec<PathBuf>,
    /// Ask for a token: the one word in FILE, as a bearer's or as the password that a browser asks for.
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

const HISTORY_EXAMPLES: &str = "\
Examples:
  executor history --json > durations.json
  executor history --passed -o passed.json        for `planner plan --passed passed.json`
  executor history --passed --merge passed.json -o passed.json    what it said before, and more
  executor history --passed --merge */passed.json -o passed.json  of several machines
  executor history --durations -o ci/durations.json    by which shards are divided";

const REPORT_EXAMPLES: &str = "\
Examples:
  executor report latest --html run.html   one file, to be opened from disk
  executor report latest --markdown - >> \"$GITHUB_STEP_SUMMARY\"
  executor report latest --trace run.json  for ui.perfetto.dev or chrome://tracing";

/// `executor report`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("form").required(true).multiple(true).args(["html", "markdown", "trace"])))]
pub struct Report {
    /// The run: its id, an unambiguous beginning or end of it [default: the latest].
    pub run: Option<String>,
    /// Write a page that needs nothing but itself: timeline, graph, phases, logs.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write a summary in Markdown, at most 1 MiB; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Write nodes and phases as a Chrome trace; `-` for standard output.
    #[arg(long, value_name = "FILE")]
    pub trace: Option<PathBuf>,
}

/// `executor results`.
#[derive(Debug, Subcommand)]
pub enum Results {
    /// List them, the one that was of use last first.
    #[command(after_help = "Example:\n  executor results list --json | jq -r '.results[].node'")]
    List {
        /// Those of the host that `[results]` of `executor.toml` names, too.
        #[arg(long)]
        hosts: bool,
        /// As JSON: `{ \"results\": [ { key, node, run_id, … } ] }`.
        #[arg(long)]
        json: bool,
    },
    /// Show what decided one, as JSON.
    #[command(after_help = "Example:\n  executor results show 3f9a")]
    Show {
        /// Its key, or an unambiguous beginning of its digits.
        key: String,
        /// Those of the host that `[results]` of `executor.toml` names, too.
        #[arg(long)]
        hosts: bool,
    },
    /// Remove some: what they stand for runs again.
    #[command(after_help = "Example:\n  executor results remove 3f9a")]
    Remove {
        /// Their keys, or unambiguous beginnings of their digits.
        #[arg(required_unless_present = "all")]
        keys: Vec<String>,
        /// All of them.
        #[arg(long, conflicts_with = "keys")]
        all: bool,
        /// Those of the host that `[results]` of `executor.toml` names, too.
        #[arg(long)]
        hosts: bool,
    },
}

/// `executor caches`.
#[derive(Debug, Subcommand)]
pub enum Caches {
    /// List them, the one that was of use last first.
    #[command(after_help = "Example:\n  executor caches list --json | jq -r '.caches[].name'")]
    List {
        /// Those of the hosts that plans of the kept runs name, too.
        #[arg(long)]
        hosts: bool,
        /// As JSON: `{ \"caches\": [ { name, key, scope, … } ] }`.
        #[arg(long)]
        json: bool,
    },
    /// Remove some: the next job that asks for one begins with an empty directory.
    #[command(after_help = "Example:\n  executor caches remove cargo-target")]
    Remove {
        /// Their names.
        #[arg(required_unless_present = "all")]
        names: Vec<String>,
        /// All of them.
        #[arg(long, conflicts_with = "names")]
        all: bool,
        /// Those of the hosts that plans of the kept runs name, too.
        #[arg(long)]
        hosts: bool,
        /// As JSON: `{ \"removed\": [ { name, key, scope, … } ] }`.
        #[arg(long)]
        json: bool,
    },
}

/// `executor gc`.
#[derive(Debug, Args)]
pub struct Gc {
    /// How many finished runs are kept.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub keep: usize,
    /// Say what would be removed and remove nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Reach a host of a plan elsewhere.
    #[arg(long = "host", value_name = "ALIAS=SSH", value_parser = host)]
    pub hosts: Vec<(HostName, SshDestination)>,
}

/// What a schema is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// `record.json`.
    Record,
    /// A line of `--output jsonl`.
    Event,
    /// `executor.toml`.
    Config,
    /// What `history --json` prints.
    History,
    /// What `history --passed` writes.
    Passed,
}

fn host(text: &str) -> Result<(HostName, SshDestination), String> {
    let (alias, ssh) = text.split_once('=').ok_or("`ALIAS=SSH` is expected")?;
    let alias = HostName::new(alias).map_err(|error| error.to_string())?;
    let ssh = SshDestination::new(ssh).map_err(|error| error.to_string())?;
    Ok((alias, ssh))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_plan_may_stand_before_or_behind_the_nodes() {
        let parse = |words: &[&str]| {
            let cli = Cli::try_parse_from([&["executor", "apply"], words].concat()).ok()?;
            let Command::Apply(apply) = cli.command else { panic!("apply") };
            let (plan, only) = apply.plan_and_only()?;
            Some((plan.to_str().expect("UTF-8").to_owned(), only.unwrap_or_default().join(" ")))
        };
        let both = Some(("p.json".to_owned(), "a b".to_owned()));
        assert_eq!(parse(&["p.json", "--only", "a", "b"]), both);
        assert_eq!(parse(&["--only", "a", "b", "p.json"]), both);
        assert_eq!(parse(&["--only", "a,b", "--jobs", "2", "p.json"]), both);
        assert_eq!(parse(&["--only", "a", "--only", "b", "--", "p.json"]), both);
        assert_eq!(parse(&["--only", "a"]), None);
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&["-"]), Some(("-".to_owned(), String::new())));
    }

    #[test]
    fn a_host_flag_is_checked_at_the_door() {
        assert!(host("a=ci@b").is_ok());
        for bad in ["a", "=b", "a=-oProxyCommand=x", "a=b c"] {
            assert!(host(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
