//! The sub-commands, one file each, and what they share: where they are, what the site says.

mod apply;
mod caches;
mod cancel;
mod doctor;
mod dry_run;
mod gc;
mod history;
mod holders;
mod list;
mod logs;
mod man;
mod prepare;
mod report;
mod rerun;
mod results;
mod resume;
mod running;
mod schema;
pub mod serve;
pub mod version;
mod watch;
mod why;

use std::path::PathBuf;

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, Command},
    config::{Config, Lookup},
    error::Error,
    exit_code::Exit,
    reporters,
    repository::Repository,
    state::{self, StateDir},
    verbosity,
};

/// Where a command works.
struct CliContext {
    state_dir: Option<PathBuf>,
    config: Option<PathBuf>,
}

impl CliContext {
    fn config(&self) -> Result<Config, Error> {
        Ok(Lookup::from_env(self.config.clone()).read()?)
    }

    /// Returns the state directory: the flag's, the site's, the repository's.
    fn state(&self, config: &Config) -> Result<StateDir, Error> {
        let named = self.state_dir.clone().or_else(|| config.defaults.state_dir.clone());
        let path = match named {
            Some(path) => path,
            None => Repository::discover(&current_dir()?)?.root().join(state::DEFAULT_NAME),
        };
        let path = std::path::absolute(&path).map_err(|error| Error::File {
            what: "the state directory",
            path: path.display().to_string(),
            error,
        })?;
        Ok(StateDir::at(path))
    }
}

fn current_dir() -> Result<PathBuf, Error> {
    std::env::current_dir()
        .map_err(|error| Error::System { what: "the working directory is gone", error })
}

/// Does what the command line says.
///
/// # Errors
///
/// [`Error`] when it could not be done; a job that fails is no error.
pub fn run(cli: Cli) -> Result<Exit, Error> {
    let Cli { directory, state_dir, config, verbose, command } = cli;
    let wanted = std::env::var_os(verbosity::VARIABLE);
    let wanted = wanted.as_ref().map(|wanted| wanted.to_string_lossy());
    verbosity::listen(verbose, wanted.as_deref()).map_err(Error::Filter)?;
    if let Some(directory) = directory {
        std::env::set_current_dir(&directory).map_err(|error| Error::File {
            what: "cannot work in",
            path: directory.display().to_string(),
            error,
        })?;
    }
    let context = CliContext { state_dir, config };
    match command {
        Command::Apply(apply) => apply::run(&context, &apply),
        Command::List { json } => list::list(&context, json),
        Command::Status { run, json } => list::status(&context, run.as_deref(), json),
        Command::Logs(logs) => logs::run(&context, &logs),
        Command::Rerun(rerun) => rerun::run(&context, &rerun),
        Command::Resume(resume) => resume::run(&context, &resume),
        Command::Cancel { run, reason } => cancel::run(&context, &run, reason.as_deref()),
        Command::Gc(gc) => gc::run(&context, &gc),
        Command::Caches(asked) => caches::run(&context, &asked),
        Command::Holders { plan, hosts, json } => {
            holders::run(&context, plan.as_deref(), hosts, json)
        }
        Command::Serve(asked) => serve::run(&context, &asked),
        Command::Watch { run, node } => watch::run(&context, &run, node.as_deref()),
        Command::Results(asked) => results::run(&context, &asked),
        Command::Why { what, node, hosts, json } => why::run(&context, &what, &node, hosts, json),
        Command::Doctor { plan, hosts, json } => doctor::run(&context, &plan, hosts, json),
        Command::History { passed: true, merge, output, .. } => {
            let asked = history::passed::Asked { merge: &merge, output: output.as_deref() };
            history::passed::run(&context, &asked)
        }
        Command::History { durations: true, last, merge, output, .. } => {
            let (merge, output) = (&*merge, output.as_deref());
            history::durations::run(&context, &history::durations::Asked { last, merge, output })
        }
        Command::History { last, json, .. } => history::run(&context, last, json),
        Command::Report(report) => report::run(&context, &report),
        Command::Schema { what } => {
            reporters::stdout().text(&schema::text(what));
            Ok(Exit::Done)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "executor", &mut script);
            reporters::stdout().text(&String::from_utf8_lossy(&script));
            Ok(Exit::Done)
        }
        Command::Man { out_dir } => man::run(out_dir.as_deref()),
    }
}
