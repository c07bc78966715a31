//! Hands a plan's graph to another engine: GitHub Actions, GitLab CI or Buildkite.
//!
//! Each job becomes a step of that engine that calls `executor apply --only NODE` on its agent;
//! edges, concurrency groups, timeouts, secrets by name and artifacts go along, and every lane is
//! reported, those that do not run too. An export decides nothing: what runs stands in the plan,
//! and every step names the plan's digest. Writes no file and reads none.
//!
//! The stages, one module each: the plan is folded into steps (`steps`), an engine's module
//! writes them as YAML values, `yaml` makes text that cannot turn into anything else, and
//! `files` cuts it where the engine's limits are.

mod buildkite;
mod files;
mod github;
mod gitlab;
mod options;
mod steps;
#[cfg(test)]
mod tests;
mod text;
mod yaml;

pub use options::{
    ExportName, InvalidOption, Options, PlanPath, Program, RunnerRule, Runners, TimeOfDay,
};

use plans::{ChangeSource, Plan, Source};

/// An engine that can run a plan's steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Engine {
    /// GitHub Actions: a workflow for the repository, which plans anew in each run.
    Github,
    /// GitLab CI: a child pipeline for one plan.
    Gitlab,
    /// Buildkite: steps to upload for one plan.
    Buildkite,
}

/// What an export writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Export {
    /// The files, in the order in which an engine is to get them. Never empty.
    pub files: Vec<ExportedFile>,
    /// What the engine cannot take over, for the person who exports.
    pub notes: Vec<String>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedFile {
    /// Its name, without a directory.
    pub name: String,
    /// Its whole text.
    pub text: String,
}

/// Why a plan cannot be exported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// The plan is about no tree, so nothing could apply it.
    #[error("the plan has no tree of a repository, so no agent could apply it")]
    NoTree,
    /// The tree is that of a work tree: other machines do not have it.
    #[error("the plan is of a work tree, which the agents do not have")]
    Worktree,
    /// GitHub: two names that its expressions cannot tell apart.
    #[error("`{first}` and `{second}` differ in case only, which GitHub's expressions do not see")]
    SameButForCase {
        /// The one that comes first.
        first: String,
        /// The other.
        second: String,
    },
    /// One part alone is over the limit.
    #[error(
        "the {jobs} jobs and lanes that hang together with `{first}` make {bytes} bytes, and \
         {engine} takes {limit} in one file"
    )]
    TooLarge {
        /// Whose limit.
        engine: &'static str,
        /// One of the jobs or lanes.
        first: String,
        /// How many jobs and lanes.
        jobs: usize,
        /// Their size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
}

impl ExportError {
    /// Returns what to do about it.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::NoTree => "export a plan that `planner plan` wrote in a git repository",
            Self::Worktree => "commit the changes and plan without `--worktree`",
            Self::SameButForCase { .. } => "rename one of them",
            Self::TooLarge { .. } => {
                "run them as fewer jobs, or cut `after` and `needs` between their lanes"
            }
        }
    }
}

/// Writes `plan`, whose digest is `digest`, for `engine`. The same arguments give the same bytes.
///
/// # Errors
///
/// [`ExportError`] says what the engine cannot take, and what to do.
pub fn export(
    plan: &Plan,
    digest: &str,
    engine: Engine,
    options: &Options,
) -> Result<Export, ExportError> {
    match plan.source() {
        Source::Change(ChangeSource { worktree: true, .. }) => return Err(ExportError::Worktree),
        Source::Change(ChangeSource { tree: Some(_), .. }) => {}
        Source::Change(_) | Source::Scenario(_) => return Err(ExportError::NoTree),
    }
    match engine {
        Engine::Github => github::export(plan, options),
        Engine::Gitlab => gitlab::export(plan, digest, options),
        Engine::Buildkite => Ok(buildkite::export(plan, digest, options)),
    }
}

/// The directory of an agent in which the executor keeps runs, one below it for each step; not
/// hidden, because GitHub leaves hidden files out of artifacts.
const STATE_DIR: &str = "forge-lanes-runs";

/// Minutes for a number of seconds, at least one, at most the 35 days that a run may take.
fn minutes(secs: u64) -> i64 {
    const MOST: i64 = 35 * 24 * 60;
    i64::try_from(secs.div_ceil(60)).map_or(MOST, |minutes| minutes.clamp(1, MOST))
}
