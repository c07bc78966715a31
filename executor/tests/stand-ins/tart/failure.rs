//! How a command of `tart` fails: its exit code and its text, with or without the `Error: `
//! that the argument parser puts before the errors it prints itself.

use std::fmt;

#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: i32,
    text: String,
}

pub(crate) type Outcome = Result<i32, Failure>;

impl Failure {
    /// An error that carries its own exit code: printed bare.
    pub(crate) fn bare(code: i32, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// Any other error: `Error: …` and 1.
    pub(crate) fn prefixed(text: impl fmt::Display) -> Self {
        Self { code: 1, text: format!("Error: {text}") }
    }

    /// Arguments that do not validate: 64, with a usage line.
    pub(crate) fn usage(command: &str, text: impl fmt::Display) -> Self {
        Self {
            code: 64,
            text: format!(
                "Error: {text}\nUsage: {command} <options>\n  See '{command} --help' for more \
                 information."
            ),
        }
    }

    pub(crate) fn missing(name: &str) -> Self {
        Self::bare(2, format!("the specified VM \"{name}\" does not exist"))
    }

    pub(crate) fn not_running(name: &str) -> Self {
        Self::bare(2, format!("VM \"{name}\" is not running"))
    }

    /// The same error raised while arguments are validated: 1 and prefixed, whatever it was.
    pub(crate) fn during_validation(self) -> Self {
        Self::prefixed(self.text)
    }

    pub(crate) fn io(what: &str, error: impl fmt::Display) -> Self {
        Self::prefixed(format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
