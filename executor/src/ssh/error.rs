//! What can go wrong between here and a host, told apart, each with advice.
//!
//! ssh answers 255 to everything, so its own words (of its stderr, never of a job's log) are the only
//! place where the reason stands. They decide the advice and whether trying again can help; they never
//! decide how a job ended, which is what its exit record is for.

use std::fmt;

use crate::fault::{FailureKind, Fault};

/// Which link of the chain broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SshFault {
    /// There is no ssh client here, or it cannot be started.
    NoClient,
    /// The client does not accept its own configuration.
    Configuration,
    /// The name of the host means nothing.
    Dns,
    /// The address answers with a refusal, or no route leads there.
    Unreachable,
    /// Nobody answered in time while connecting.
    ConnectTimeout,
    /// The host's key is not known here.
    HostKeyUnknown,
    /// The host's key is another one than the one known here.
    HostKeyChanged,
    /// The host did not accept the login.
    Auth,
    /// The host logged us in, but its shell does not run what it is given.
    Shell,
    /// The connection allows no further session.
    SessionRefused,
    /// The connection was there and broke.
    Lost,
    /// The connection is there, but the answer did not come in time.
    Deadline,
    /// A file system on the host has no room.
    NoSpace,
    /// The host lacks a program, or a command there failed.
    Remote,
    /// The answer makes no sense.
    Garbled,
    /// Something on this side: a descriptor, a socket, a file.
    Here,
}

impl SshFault {
    /// Returns whether trying again can help although nobody changes anything.
    #[must_use]
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Unreachable
                | Self::ConnectTimeout
                | Self::SessionRefused
                | Self::Lost
                | Self::Deadline
                | Self::Garbled
        )
    }

    /// Reads the reason out of what an ssh client said before it gave up.
    #[must_use]
    pub fn of_client(stderr: &str) -> Self {
        const SIGNS: &[(&str, SshFault)] = &[
            ("REMOTE HOST IDENTIFICATION HAS CHANGED", SshFault::HostKeyChanged),
            ("Host key verification failed", SshFault::HostKeyUnknown),
            ("host key is known for", SshFault::HostKeyUnknown),
            ("no matching host key type", SshFault::HostKeyUnknown),
            ("Permission denied (", SshFault::Auth),
            ("Too many authentication failures", SshFault::Auth),
            ("No more authentication methods", SshFault::Auth),
            ("Could not resolve hostname", SshFault::Dns),
            ("Bad configuration option", SshFault::Configuration),
            ("Can't open user config file", SshFault::Configuration),
            ("Bad owner or permissions", SshFault::Configuration),
            ("too long for Unix domain socket", SshFault::Configuration),
            ("Session open refused by peer", SshFault::SessionRefused),
            ("timed out during banner exchange", SshFault::ConnectTimeout),
            ("Connection timed out", SshFault::ConnectTimeout),
            ("Operation timed out", SshFault::ConnectTimeout),
            ("Connection refused", SshFault::Unreachable),
            ("No route to host", SshFault::Unreachable),
            ("Network is unreachable", SshFault::Unreachable),
            ("Host is down", SshFault::Unreachable),
        ];
        SIGNS.iter().find(|(sign, _)| stderr.contains(sign)).map_or(Self::Lost, |(_, fault)| *fault)
    }

    fn what(self) -> &'static str {
        match self {
            Self::NoClient => "no ssh client can be started",
            Self::Configuration => "ssh does not accept its configuration",
            Self::Dns => "the host name cannot be resolved",
            Self::Unreachable => "the host cannot be reached",
            Self::ConnectTimeout => "the host does not answer",
            Self::HostKeyUnknown => "the host key is not known",
            Self::HostKeyChanged => "the host key has changed",
            Self::Auth => "the host refused the login",
            Self::Shell => "the login shell does not run commands",
            Self::SessionRefused => "the host allows no further session",
            Self::Lost => "the connection was lost",
            Self::Deadline => "the host did not answer in time",
            Self::NoSpace => "no space is left on the host",
            Self::Remote => "a command failed on the host",
            Self::Garbled => "the host answered something unintelligible",
            Self::Here => "this machine could not do its part",
        }
    }

    fn advice(self, host: &str) -> String {
        match self {
            Self::NoClient => "install the OpenSSH client, or put it on PATH".into(),
            Self::Configuration => format!("`ssh -G {host}` names the file and line"),
            Self::Dns => {
                format!("check the name, or add a `Host {host}` with a HostName to ~/.ssh/config")
            }
            Self::Unreachable | Self::ConnectTimeout => format!(
                "is the host up, and the port right? `ssh -v {host} true` shows how far it comes"
            ),
            Self::HostKeyUnknown => {
                format!(
                    "log in once with `ssh {host}` and compare the fingerprint before saying yes"
                )
            }
            Self::HostKeyChanged => "if the host was reinstalled, remove its old key with \
                `ssh-keygen -R`; if not, somebody may be in between"
                .into(),
            Self::Auth => format!(
                "`ssh -o BatchMode=yes {host} true` has to work without a question: check the user, \
                 the key and the agent"
            ),
            Self::Shell => {
                format!("`ssh {host} 'exec sh -s' </dev/null` has to end at once, quietly")
            }
            Self::SessionRefused => "raise MaxSessions in the host's sshd_config".into(),
            Self::Lost | Self::Deadline => {
                "jobs that were started go on there; resume the run when the host is back".into()
            }
            Self::NoSpace => "make room there: `executor gc`, or a larger `work_dir`".into(),
            Self::Remote => {
                "the text above is the host's own; `executor doctor` checks its tools".into()
            }
            Self::Garbled => {
                "a login script that prints without end? try again with a quiet one".into()
            }
            Self::Here => "check descriptors (`ulimit -n`), and the runtime directory".into(),
        }
    }
}

/// What failed at which host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshError {
    /// The host as ssh was told it.
    pub host: String,
    /// Which link broke.
    pub fault: SshFault,
    /// The words of ssh or of the host, shortened; may be empty.
    pub detail: String,
}

impl SshError {
    /// Makes an error; only the last lines of `detail` are kept.
    #[must_use]
    pub fn new(host: &str, fault: SshFault, detail: impl AsRef<str>) -> Self {
        let lines: Vec<&str> =
            detail.as_ref().lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let detail = lines[lines.len().saturating_sub(6)..].join("\n");
        Self { host: host.to_owned(), fault, detail }
    }

    /// Returns what a person can do about it.
    #[must_use]
    pub fn advice(&self) -> String {
        self.fault.advice(&self.host)
    }
}

impl fmt::Display for SshError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.host, self.fault.what())?;
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail.replace('\n', "; "))?;
        }
        Ok(())
    }
}

impl std::error::Error for SshError {}

/// Turns what broke on the way into a failure of the infrastructure; `otherwise` when it was a command
/// there that failed.
pub(crate) fn fault(otherwise: FailureKind, error: &SshError) -> Fault {
    let kind = match error.fault {
        SshFault::Unreachable
        | SshFault::ConnectTimeout
        | SshFault::Dns
        | SshFault::Lost
        | SshFault::SessionRefused => FailureKind::Unreachable,
        SshFault::HostKeyUnknown | SshFault::HostKeyChanged => FailureKind::HostKey,
        SshFault::Auth => FailureKind::LoginRefused,
        SshFault::NoClient | SshFault::Configuration | SshFault::Shell => FailureKind::ToolMissing,
        SshFault::Deadline => FailureKind::NoAnswer,
        SshFault::NoSpace => FailureKind::DiskFull,
        SshFault::Garbled => FailureKind::Protocol,
        SshFault::Here => FailureKind::Io,
        SshFault::Remote => otherwise,
    };
    Fault::new(kind, format!("host {error}")).advice(error.advice())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(stderr: &str, expected: SshFault) {
        assert_eq!(SshFault::of_client(stderr), expected);
    }

    #[test]
    fn the_words_of_an_ssh_client_name_the_link_that_broke() {
        check("ssh: Could not resolve hostname nowhere: Name or service not known", SshFault::Dns);
        check("ssh: connect to host h port 22: Connection refused", SshFault::Unreachable);
        check("ssh: connect to host h port 22: Connection timed out", SshFault::ConnectTimeout);
        check("Connection timed out during banner exchange", SshFault::ConnectTimeout);
        check(
            "No ED25519 host key is known for h and you have requested strict checking.\n\
             Host key verification failed.",
            SshFault::HostKeyUnknown,
        );
        check(
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
            SshFault::HostKeyChanged,
        );
        check("u@h: Permission denied (publickey).", SshFault::Auth);
        check("command-line: line 0: Bad configuration option: x", SshFault::Configuration);
        check("kex_exchange_identification: read: Connection reset by peer", SshFault::Lost);
        check("", SshFault::Lost);
    }

    #[test]
    fn only_what_can_pass_by_itself_is_tried_again() {
        for fault in [SshFault::Auth, SshFault::HostKeyChanged, SshFault::Dns, SshFault::NoSpace] {
            assert!(!fault.is_transient());
        }
        for fault in [SshFault::Lost, SshFault::Unreachable, SshFault::Deadline] {
            assert!(fault.is_transient());
        }
    }

    #[test]
    fn an_error_names_the_host_the_fault_and_what_was_said() {
        let error = SshError::new("ci@h", SshFault::Unreachable, "a\n\nConnection refused\n");
        assert_eq!(error.to_string(), "`ci@h`: the host cannot be reached: a; Connection refused");
        assert!(error.advice().contains("ssh -v ci@h true"));
    }
}
