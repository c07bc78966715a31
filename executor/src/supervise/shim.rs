//! The pushed supervisor, as text: which script it is, and how its verbs are called.
//!
//! The script itself is `shim.sh`, whose head documents the protocol. It is addressed by its hash, so
//! that executors of different versions share a host without getting in each other's way.

use std::{path::Path, time::Duration};

use sha2::{Digest, Sha256};

use crate::command_line::{Script, is_variable_name};

/// The script.
pub const SOURCE: &str = include_str!("shim.sh");

/// What a job's own shell runs last: `_fl_enter PROGRAM ARGS…` tells facts from failures, then becomes
/// the program in `$_fl_dir`; `$_fl_state` is the job's state directory.
pub const ENTER: &str = r#"
_fl_no() { printf '%-31s\n' "$1" 1<>"$_fl_state/why"; echo "$2"; exit 126; }
_fl_enter() {
    cd "$_fl_dir" 2>/dev/null || _fl_no no_working_dir "no such working directory: $_fl_dir"
    case $1 in
    */*)
        [ -e "$1" ] || _fl_no not_found "no such program: $1"
        { [ -f "$1" ] && [ -x "$1" ]; } || _fl_no not_executable "not an executable file: $1"
        ;;
    *) command -v "$1" >/dev/null 2>&1 || _fl_no not_found "no such program on PATH: $1" ;;
    esac
    exec "$@"
}
"#;

/// Returns the name under which the script is installed: it changes when the script does.
#[must_use]
pub fn file_name() -> String {
    use std::fmt::Write as _;
    let digest = Sha256::digest(SOURCE.as_bytes());
    let mut name = "shim-".to_owned();
    for byte in &digest[..8] {
        let _ = write!(name, "{byte:02x}");
    }
    name + ".sh"
}

/// Returns a script that puts the supervisor into `directory`, unless it is there; at any instant it is
/// there whole or not at all.
#[must_use]
pub fn install(directory: &Path) -> Script {
    Script::new("umask 022\nmkdir -p")
        .word(directory)
        .text(" && cd")
        .word(directory)
        .text(" || exit 1\n")
        .set("f", file_name())
        .text("[ -s \"$f\" ] || { printf '%s'")
        .word(SOURCE)
        .text(" >\".$f.$$\" && mv -f \".$f.$$\" \"$f\"; }\n")
}

/// What `start` is told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartOptions {
    /// After this the job is ended; zero: never.
    pub timeout: Duration,
    /// For how long nobody has to renew; zero: for ever.
    pub lease: Duration,
    /// Between TERM and KILL, when it is the supervisor who ends the job.
    pub grace: Duration,
    /// Variables of the host's own environment that the job sees besides the usual ones.
    pub keep: Vec<String>,
}

/// Returns the script that starts the job of `directory` with the supervisor at `shim`.
#[must_use]
pub fn start(shim: &Path, directory: &Path, options: &StartOptions) -> Script {
    options.add_to(verb(shim, "start", directory))
}

impl StartOptions {
    /// Appends the words that `start` and `run` are told.
    #[must_use]
    pub fn add_to(&self, script: Script) -> Script {
        let names = self.keep.iter().map(String::as_str).filter(|name| is_variable_name(name));
        let keep: Vec<&str> = names.collect();
        // A part of a second counts as a whole one: zero would mean never.
        let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        script
            .word(format!("timeout={}", seconds(self.timeout)))
            .word(format!("lease={}", seconds(self.lease)))
            .word(format!("grace={}", seconds(self.grace)))
            .word(format!("keep={}", keep.join(",")))
    }
}

/// Returns the call of a verb on a directory; further words can be added.
#[must_use]
pub fn verb(shim: &Path, verb: &str, directory: &Path) -> Script {
    Script::new("sh").word(shim).word(verb).word(directory)
}

/// Returns the call of a verb in a shell that has read the supervisor as a library: for the price of a
/// fork. It changes that shell, so it is to be a subshell's last command.
#[must_use]
pub fn call(shim: &Path, verb: &str, directory: &Path) -> Script {
    Script::new("fl_verb").word(verb).word(directory).with_library(shim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verb_is_one_command_line_with_every_word_quoted() {
        let options = StartOptions {
            timeout: Duration::from_millis(1500),
            keep: vec!["A".into(), "B C".into(), "D".into()],
            ..StartOptions::default()
        };
        let script = start(Path::new("/w d/shim.sh"), Path::new("/w d/r/n.1"), &options);
        assert_eq!(
            String::from_utf8_lossy(script.as_bytes()),
            "sh '/w d/shim.sh' start '/w d/r/n.1' 'timeout=2' 'lease=0' 'grace=0' 'keep=A,D'"
        );
    }
}
