//! The executor's binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == executor::supervise::native::SUBCOMMAND) {
        return executor::supervise::native::main(&arguments[1..]);
    }
    ExitCode::from(2)
}
