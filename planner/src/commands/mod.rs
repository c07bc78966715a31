//! One file per command: each turns arguments into a request, and an answer into text.

mod backtest;
mod check;
mod explain;
mod export;
mod golden;
mod import;
mod init;
mod list;
mod man;
mod output;
mod plan;
mod schema;
mod show;

use clap::CommandFactory;

use self::output::{Console, Failure};
use crate::{
    cli::{Cli, Command},
    exit_code::Exit,
    verbosity,
};

/// What a command leaves: its exit code, or what went wrong.
type Answer = Result<Exit, Failure>;

/// Runs the command.
#[must_use]
pub fn run(cli: Cli) -> Exit {
    let console = Console::of_process(cli.dir, cli.verbose > 0);
    let wanted = console.variables().get(verbosity::VARIABLE).map(String::as_str);
    if let Err(error) = verbosity::listen(cli.verbose, wanted) {
        let help = "`info`, `debug` or `trace`, or `MODULE=LEVEL` with commas between";
        return console.fail(&Failure::bad_input(format!("`FORGE_LANES_LOG`: {error}"), help));
    }
    let answer = match cli.command {
        Command::Plan(args) => plan::run(&console, args),
        Command::Show(args) => show::run(&console, &args),
        Command::Diff(args) => show::diff(&console, &args),
        Command::Golden { command } => golden::run(&console, command),
        Command::Check(args) => check::run(&console, args),
        Command::Export(args) => export::run(&console, &args),
        Command::Backtest(args) => backtest::run(&console, args),
        Command::Import { command } => import::run(&console, &command),
        Command::Init(args) => init::run(&console, &args),
        Command::Explain(args) => explain::run(&console, args),
        Command::List(args) => list::run(&console, args),
        Command::TargetInfo(args) => list::target_info(&console, args),
        Command::Schema(args) => schema::run(&console, &args),
        Command::Completions { shell } => {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "planner", &mut text);
            console.write(&text).map(|()| Exit::Done)
        }
        Command::Man { out_dir } => man::run(&console, out_dir.as_deref()),
    };
    answer.unwrap_or_else(|failure| console.fail(&failure))
}

/// Prints what is wrong with the command line, or the help that was asked for.
#[must_use]
pub fn usage(error: &clap::Error) -> Exit {
    // A closed pipe is no failure of ours.
    let _ = error.print();
    if error.use_stderr() { Exit::BadInput } else { Exit::Done }
}
