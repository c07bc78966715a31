//! The pushed supervisor, as text: which script it is, and how its verbs are called.
//!
//! It is put together from the parts in `shim/`, of which `protocol.md` documents what they do. It is
//! addressed by its hash, so that executors of different versions share a host without getting in each
//! other's way.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use sha2::{Digest, Sha256};

use crate::command_line::{Script, is_variable_name};

/// The script. Whatever stands between quotes here must hold none; a test looks.
pub const SOURCE: &str = concat!(
    include_str!("shim/head.sh"),
    "\nPERL_SYSTEM='",
    include_str!("shim/system.pl"),
    "'\nPERL_REDACT='",
    include_str!("shim/redact.pl"),
    "'\nAWK_REDACT='",
    include_str!("shim/redact.awk"),
    "'\nPERL_PUMP=$PERL_REDACT'",
    include_str!("shim/pump.pl"),
    "'\nPERL_SERVER=$PERL_SYSTEM'",
    include_str!("shim/server.pl"),
    "'\nPERL_WAIT=$PERL_SYSTEM'",
    include_str!("shim/wait.pl"),
    "'\nBECOME_JOB='",
    include_str!("shim/become.sh"),
    "'\nVIEW='",
    include_str!("shim/view.sh"),
    "'\n\n",
    include_str!("shim/serve.sh"),
    "\n",
    include_str!("shim/facts.sh"),
    "\n",
    include_str!("shim/tree.sh"),
    "\n",
    include_str!("shim/redact.sh"),
    "\n",
    include_str!("shim/launch.sh"),
    "\n",
    include_str!("shim/supervisor.sh"),
    "\n",
    include_str!("shim/verbs.sh"),
    "\n",
    include_str!("shim/locks.sh"),
    "\n",
    include_str!("shim/main.sh"),
);

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
    format!("shim-{}.sh", &digest()[..16])
}

/// Returns the digest of the script, as `sha256sum` prints it.
#[must_use]
pub fn digest() -> String {
    crate::text::hex(&Sha256::digest(SOURCE.as_bytes()))
}

/// Returns a script that puts the supervisor into `directory`, in place of whatever has its name; at any
/// instant it is there whole or not at all, and a shell that reads the one before reads on.
#[must_use]
pub fn install(directory: &Path) -> Script {
    Script::new("umask 077\nmkdir -p")
        .word(directory)
        .text(" && cd")
        .word(directory)
        .text(" || exit 1\n")
        .set("f", file_name())
        .text("printf '%s'")
        .word(SOURCE)
        .text(" >\".$f.$$\" && mv -f \".$f.$$\" \"$f\" || exit 1\n")
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
    /// Appends them to a script that starts a job.
    #[must_use]
    pub fn add_to(&self, script: Script) -> Script {
        self.words().iter().fold(script, |script, word| script.word(word))
    }

    /// Returns the words that `start` and `run` are told.
    #[must_use]
    pub fn words(&self) -> [String; 4] {
        let names = self.keep.iter().map(String::as_str).filter(|name| is_variable_name(name));
        let keep: Vec<&str> = names.collect();
        // A part of a second counts as a whole one: zero would mean never.
        let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        [
            format!("timeout={}", seconds(self.timeout)),
            format!("lease={}", seconds(self.lease)),
            format!("grace={}", seconds(self.grace)),
            format!("keep={}", keep.join(",")),
        ]
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

/// A supervisor that can serve: a shell becomes a program that answers [`Request`]s and stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// The script.
    pub shim: PathBuf,
    /// What `uname -sm` says, with a slash.
    pub system: String,
}

impl Server {
    /// Returns the script by which a shell becomes it; it says `hello` on a line of its own when it is ready.
    #[must_use]
    pub fn start(&self, hello: &str) -> Script {
        let script = Script::new("set --").word(&self.system).word(&self.shim).word(hello);
        script.text("\nFORGE_LANES_LIBRARY=serve\n.").word(&self.shim).text("\n")
    }
}

/// What a server is asked: a verb and its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    line: String,
}

impl Request {
    /// Begins a request.
    #[must_use]
    pub fn new(verb: &str) -> Self {
        Self { line: percent(verb) }
    }

    /// Appends words.
    #[must_use]
    pub fn words<W: AsRef<str>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        for word in words {
            self.line.push(' ');
            self.line.push_str(&percent(word.as_ref()));
        }
        self
    }

    /// Returns the line to send, after whose answer comes `end`.
    #[must_use]
    pub fn line(&self, end: &str) -> String {
        format!("{end} {}\n", self.line)
    }
}

/// Writes every byte that a shell or a list of words might take for its own as `%XX`.
fn percent(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./:=,@+-".contains(&byte);
    word.bytes().fold(String::with_capacity(word.len()), |mut text, byte| {
        if plain(byte) {
            text.push(char::from(byte));
        } else {
            use std::fmt::Write as _;
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_script_quotes_holds_no_quote() {
        for part in [
            include_str!("shim/system.pl"),
            include_str!("shim/redact.pl"),
            include_str!("shim/redact.awk"),
            include_str!("shim/pump.pl"),
            include_str!("shim/server.pl"),
            include_str!("shim/wait.pl"),
            include_str!("shim/become.sh"),
            include_str!("shim/view.sh"),
        ] {
            assert!(!part.contains('\''), "{part}");
        }
    }

    #[test]
    fn no_byte_of_a_word_is_a_blank_a_quote_or_a_separator() {
        let request = Request::new("run").words(["/a b/ü%'\n--x=1", "", "z"]);
        assert_eq!(request.line("END"), "END run /a%20b/%C3%BC%25%27%0A--x=1  z\n");
    }

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
