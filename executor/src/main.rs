//! The `executor` binary.

use std::process::ExitCode;

use clap::Parser as _;
use executor::{cli::Cli, commands, exit_code::Exit, inherited, reporters, supervise::native};

fn main() -> ExitCode {
    inherited::close_open_files();
    // The supervisor of a local job is this program under another name; it reads no command line.
    let arguments: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    if arguments.first().is_some_and(|first| first == native::SUBCOMMAND) {
        return native::main(&arguments[1..]);
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            let whole = |word: &String| matches!(&**word, "-v" | "-vv" | "--verbose");
            if error.kind() == clap::error::ErrorKind::DisplayVersion && arguments.iter().any(whole)
            {
                reporters::stdout().text(&commands::version::verbose());
                return Exit::Done.into();
            }
            // A closed pipe is no failure.
            let _ = error.print();
            return exit.into();
        }
    };
    match commands::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let mut err = reporters::stderr();
            err.text(&format!("error: {error}\n"));
            for cause in plans::causes(&error) {
                err.text(&format!("caused by: {cause}\n"));
            }
            if let Some(help) = error.help() {
                err.text(&format!("help: {help}\n"));
            }
            error.exit().into()
        }
    }
}
