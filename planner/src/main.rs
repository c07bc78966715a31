//! The `planner` binary: the command line in, data on stdout, talk on stderr, an exit code.

use std::process::ExitCode;

use clap::Parser;

// A plan is millions of small texts: the system's allocator took a third of the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = match planner::cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return planner::commands::usage(&error).into(),
    };
    planner::commands::run(cli).into()
}
