//! What the program says of its own steps while it goes on: `-v`, `-vv` and `FORGE_LANES_LOG`.
//!
//! On standard error alone, a line for each event; nobody's data. Without `-v` it costs nothing.

use std::io;

use tracing_subscriber::{EnvFilter, filter::ParseError};

/// The variable that says which events of which modules are wanted: `debug`,
/// `executor::ssh=debug,info`.
pub const VARIABLE: &str = "FORGE_LANES_LOG";

/// Starts to say what is asked for: by the variable, where it is set, else by how often `-v` was given.
///
/// # Errors
///
/// When the variable's value is no filter.
pub fn listen(verbose: u8, wanted: Option<&str>) -> Result<(), ParseError> {
    let wanted = wanted.map(str::trim).filter(|wanted| !wanted.is_empty());
    let filter = match (wanted, verbose) {
        (Some(wanted), _) => wanted,
        (None, 0) => return Ok(()),
        (None, 1) => "info",
        (None, 2) => "debug",
        (None, _) => "trace",
    };
    let filter = EnvFilter::builder().parse(filter)?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(false)
        // A closed standard error is no failure.
        .log_internal_errors(false);
    // A library user may listen already.
    let _ = subscriber.try_init();
    Ok(())
}
