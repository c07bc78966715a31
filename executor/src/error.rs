//! Why the program does not do what it was asked to: the text, the advice, the exit code.
//!
//! A job that fails is no error but an outcome. Everything here ends the program with one message.

use plans::{FileDurationsError, PassedReadError, PlanReadError};

use crate::{
    config::ConfigError, exit_code::Exit, fault::Fault, journal::JournalError, ledger::LedgerError,
    record::RecordError, repository::RepositoryError, state::StateError, text::push,
};

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that was named cannot be read or written.
    #[error("{what} `{path}`: {error}")]
    File {
        /// What it was to be.
        what: &'static str,
        /// Its path.
        path: String,
        /// What the operating system says.
        #[source]
        error: std::io::Error,
    },
    /// A file of what passed is none.
    #[error("`{path}`: {error}")]
    Passed {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        error: PassedReadError,
    },
    /// A file of durations is none.
    #[error("`{path}`: {error}")]
    FileDurations {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        error: FileDurationsError,
    },
    /// What is to be said of the program's own steps is no filter.
    #[error("`FORGE_LANES_LOG`: {0}")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// No plan was named.
    #[error("no plan is named")]
    NoPlan,
    /// The plan is none, or is refused.
    #[error(transparent)]
    Plan(#[from] PlanReadError),
    /// The plan is not the one that was expected.
    #[error("the plan's digest is {found}, expected was {expected}")]
    OtherDigest {
        /// The plan's.
        found: String,
        /// The one of `--expect-digest`.
        expected: String,
    },
    /// A node was named that the plan does not have.
    #[error("the plan has no node `{wanted}`{}", meant(.nearest.as_deref()))]
    NoSuchNode {
        /// What was named.
        wanted: String,
        /// The node that resembles it most.
        nearest: Option<String>,
    },
    /// No kept result, or more than one, is meant.
    #[error("{} kept result has a key that begins with `{wanted}`", if *ambiguous { "more than one" } else { "no" })]
    NoSuchResult {
        /// What was named.
        wanted: String,
        /// Whether there are several.
        ambiguous: bool,
    },
    /// No kept cache has such a name.
    #[error("no kept cache is called `{0}`")]
    NoSuchCache(String),
    /// The plan answers a scenario.
    #[error("the plan answers scenario `{0}`; it can be shown and compared, not applied")]
    Scenario(String),
    /// The plan names no tree.
    #[error("the plan names no tree: it was made from a list of files outside git")]
    NoTree,
    /// The repository does not hold the plan's tree.
    #[error("the tree {tree} of the plan is not in the repository `{repository}`")]
    TreeMissing {
        /// The tree.
        tree: String,
        /// The repository.
        repository: String,
    },
    /// A node's inputs are not the tree that was planned.
    #[error(
        "the inputs of `{node}` are the tree {found}, and the plan says {planned}: it was not made \
         of this tree"
    )]
    OtherInputs {
        /// The node.
        node: String,
        /// What the plan says.
        planned: String,
        /// What its globs make of the tree.
        found: String,
    },
    /// A node's key is not that of its result.
    #[error(
        "the key of `{node}` is {planned} in the plan, and what decides its result has {}: a plan \
         cannot claim the result of another job",
        found.as_deref().unwrap_or("none")
    )]
    OtherKey {
        /// The node.
        node: String,
        /// What the plan says.
        planned: String,
        /// What decides its result has.
        found: Option<String>,
    },
    /// The work tree is not what was planned.
    #[error("the work tree has changed since it was planned: planned was {planned}, it is {now}")]
    Stale {
        /// The plan's tree.
        planned: String,
        /// The work tree's.
        now: String,
    },
    /// The site does not let the plan run, or nothing here can run it.
    #[error("the plan is refused:{}", list(.0))]
    Refused(Vec<String>),
    /// Secrets have no value.
    #[error("secrets without a value:{}", list(.0))]
    Secrets(Vec<String>),
    /// The configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The repository cannot be used.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The journal is not this plan's.
    #[error("run {run} cannot be resumed: {error}")]
    Ledger {
        /// The run.
        run: String,
        /// Why.
        #[source]
        error: LedgerError,
    },
    /// Nothing can be served so.
    #[error("{0}")]
    Serve(String),
    /// A record cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The record of a finished run cannot be written.
    #[error("run {run} is over, but its record cannot be written: {error}")]
    RecordNotWritten {
        /// The run.
        run: String,
        /// What the operating system says.
        #[source]
        error: std::io::Error,
    },
    /// The journal of a run could not be written any more.
    #[error("run {run} was ended: {error}")]
    Broken {
        /// The run.
        run: String,
        /// Why.
        #[source]
        error: JournalError,
    },
    /// A machine failed outside of any node.
    #[error(transparent)]
    Machine(Fault),
    /// A run cannot be ended from here.
    #[error("run {run} is held by {holder}: it can only be cancelled there")]
    ElsewhereHeld {
        /// The run.
        run: String,
        /// The process that holds it.
        holder: String,
    },
    /// The system denies something that every run needs.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the operating system says.
        #[source]
        error: std::io::Error,
    },
    /// A directory that this user must own, or in which locks must work, cannot be used.
    #[error("the {what} directory `{path}`{}: {why}", named_by(.variable))]
    Directory {
        /// Which one: `cache`, `state`.
        what: &'static str,
        /// The directory.
        path: String,
        /// The variable that names it; none: nothing does.
        variable: Option<&'static str>,
        /// Why not.
        why: String,
        /// How it is mended.
        mend: Option<String>,
    },
    /// Hosts whose directories others can change, or that are full.
    #[error("hosts are refused:{}", list(.0))]
    Untrusted(Vec<String>),
    /// Things that could not be removed.
    #[error("could not be removed:{}", list(.0))]
    Leftovers(Vec<String>),
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
}

fn named_by(variable: &Option<&'static str>) -> String {
    variable.map(|name| format!(" (by `{name}`)")).unwrap_or_default()
}

/// Lists what is wrong, at most fifty lines of it.
fn list(problems: &[String]) -> String {
    const SHOWN: usize = 50;
    let mut text: String =
        problems.iter().take(SHOWN).flat_map(|problem| ["\n  - ", problem]).collect();
    if problems.len() > SHOWN {
        push!(text, "\n  - and {} more", problems.len() - SHOWN);
    }
    text
}

impl Error {
    /// Returns how the program ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            Self::Plan(error) if error.is_refusal() => Exit::Refused,
            Self::Passed { error, .. } if error.is_refusal() => Exit::Refused,
            Self::File { .. }
            | Self::Passed { .. }
            | Self::FileDurations { .. }
            | Self::NoPlan
            | Self::Filter(_)
            | Self::Plan(_)
            | Self::NoSuchNode { .. }
            | Self::NoSuchResult { .. }
            | Self::NoSuchCache(_)
            | Self::Secrets(_)
            | Self::Serve(_)
            | Self::Directory { .. }
            | Self::Config(_)
            | Self::Repository(_)
            | Self::Ledger { .. }
            | Self::Record(_)
            | Self::State(
                StateError::NoSuchRun { .. }
                | StateError::Ambiguous { .. }
                | StateError::NoRuns { .. },
            )
            | Self::Journal(JournalError::Damaged { .. } | JournalError::Version { .. }) => {
                Exit::Usage
            }
            Self::OtherDigest { .. }
            | Self::Scenario(_)
            | Self::NoTree
            | Self::TreeMissing { .. }
            | Self::OtherInputs { .. }
            | Self::OtherKey { .. }
            | Self::Stale { .. }
            | Self::Untrusted(_)
            | Self::Refused(_) => Exit::Refused,
            Self::State(StateError::Busy { .. }) | Self::ElsewhereHeld { .. } => Exit::Busy,
            Self::State(StateError::Io { .. })
            | Self::Journal(JournalError::Io { .. })
            | Self::RecordNotWritten { .. }
            | Self::Broken { .. }
            | Self::Machine(_)
            | Self::System { .. } => Exit::Infrastructure,
            Self::Leftovers(_) => Exit::Leftovers,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let help = match self {
            Self::Plan(error) => return Some(error.help()),
            Self::Passed { error, .. } => return Some(error.help()),
            Self::FileDurations { .. } => {
                "mend it, or write it anew with `executor history --durations -o FILE`"
            }
            Self::Repository(error) => return error.help(),
            Self::Machine(fault) => return fault.advice.clone(),
            Self::Directory { what, mend, .. } => {
                let other = match *what {
                    "state" => "choose another place with `--state-dir`",
                    "results" => {
                        "set `results.dir` of executor.toml to a directory of this user's own"
                    }
                    _ => {
                        "set `XDG_CACHE_HOME` to a directory of this user's own, with room and locks"
                    }
                };
                return Some(match mend {
                    Some(mend) => format!("{mend}; or {other}"),
                    None => other.to_owned(),
                });
            }
            Self::Untrusted(_) => "`executor doctor PLAN` looks again once that is done",
            Self::Filter(_) => "`info`, `debug` or `trace`, or `MODULE=LEVEL` with commas between",
            Self::Serve(_) => {
                "`--listen 127.0.0.1:PORT`, `--socket PATH`, or `--token-file FILE` for others"
            }
            Self::NoPlan => "`executor apply PLAN --only NODE…`, or `-` for standard input",
            Self::OtherDigest { .. } => "apply the plan that was reviewed, or review this one",
            Self::NoSuchResult { .. } => "`executor results list` shows their keys",
            Self::NoSuchCache(_) => "`executor caches list` shows their names",
            Self::NoSuchNode { .. } => "`planner show PLAN` lists the nodes",
            Self::Scenario(_) | Self::NoTree => "make a plan of a commit with `planner plan`",
            Self::TreeMissing { .. } => {
                "fetch the commit it was planned from, or name its repository with `-C`"
            }
            Self::OtherInputs { .. } | Self::OtherKey { .. } => {
                "make the plan anew with `planner plan`"
            }
            Self::Stale { .. } => {
                "plan again, or run the work tree as it is now with `--allow-stale`; a plan that is written into the work tree \
                 changes it, unless git ignores the file: `planner plan --worktree | executor apply -` writes none"
            }
            Self::Refused(_) => "change the plan, or what the site allows in its `executor.toml`",
            Self::Secrets(_) => {
                "set them, or say where they come from under `[secrets]` in `executor.toml`"
            }
            Self::State(StateError::Busy { .. }) => {
                "wait for it, follow it with `executor logs --follow`, or end it with \
                 `executor cancel`"
            }
            Self::State(StateError::NoSuchRun { .. }) => "`executor list` lists the runs",
            Self::State(StateError::Ambiguous { .. }) => "give more of its id",
            Self::State(StateError::NoRuns { .. }) => {
                "`executor apply PLAN` makes one; `--state-dir` looks elsewhere"
            }
            Self::State(StateError::Io { .. }) => {
                "make room, make it writable, or choose another place with `--state-dir`"
            }
            Self::RecordNotWritten { .. } | Self::Broken { .. } => {
                "make room on that file system, then `executor resume` the run"
            }
            Self::Journal(JournalError::Version { .. })
            | Self::Record(RecordError::Version { .. }) => {
                "use the release that wrote it, or a later one"
            }
            Self::Journal(JournalError::Damaged { .. }) | Self::Ledger { .. } => {
                "its logs are still there; `executor rerun` runs its plan anew"
            }
            Self::ElsewhereHeld { .. } => "run `executor cancel` on that machine",
            Self::Leftovers(_) => "remove the reason and run `executor gc` again",
            Self::File { .. }
            | Self::Config(_)
            | Self::Journal(JournalError::Io { .. })
            | Self::Record(_)
            | Self::System { .. } => return None,
        };
        Some(help.to_owned())
    }
}
