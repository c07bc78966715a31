//! How a host is reached: which client, which configuration, how patient.
//!
//! Everything about keys, users, ports and jump hosts is the user's own ssh configuration.

use std::{
    ffi::OsString,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use crate::{
    fault::{FailureKind, Fault},
    trust,
};

/// How to reach one host.
#[derive(Debug, Clone)]
pub struct SshOptions {
    /// What ssh connects to: an alias, `user@host` or `ssh://user@host:port`.
    pub destination: String,
    /// The client.
    pub program: PathBuf,
    /// Further options of the client, `-F FILE` among them.
    pub arguments: Vec<OsString>,
    /// Where control sockets live: a short path, ours alone.
    pub runtime_dir: PathBuf,
    /// How long connecting may take, the login included.
    pub connect_timeout: Duration,
    /// How often the whole path is proven while nothing else happens.
    pub heartbeat: Duration,
    /// After how long without an answer a connection counts as lost.
    pub silence: Duration,
    /// How many sessions one connection carries; servers allow ten by default, and one is the heartbeat.
    pub sessions: usize,
    /// For how long a host that was there before is waited for.
    pub reconnect_budget: Duration,
    /// How often a host that was never reached is tried.
    pub first_attempts: u32,
}

impl SshOptions {
    /// Returns the options for `destination`, with control sockets below `runtime_dir`.
    #[must_use]
    pub fn new(destination: &str, runtime_dir: &Path) -> Self {
        Self {
            destination: destination.to_owned(),
            program: PathBuf::from("ssh"),
            arguments: Vec::new(),
            runtime_dir: runtime_dir.to_owned(),
            connect_timeout: Duration::from_secs(30),
            heartbeat: Duration::from_secs(5),
            silence: Duration::from_secs(20),
            sessions: 8,
            reconnect_budget: Duration::from_secs(600),
            first_attempts: 3,
        }
    }

    /// Returns a client that opens a connection of its own, without a command yet.
    pub(crate) fn connecting(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        let connect = self.connect_timeout.as_secs().clamp(1, 10);
        let alive = (self.silence.as_secs() / 3).max(1);
        for option in [
            "BatchMode=yes".to_owned(),
            format!("ConnectTimeout={connect}"),
            format!("ServerAliveInterval={alive}"),
            "ServerAliveCountMax=3".to_owned(),
            // Whatever an alias does for people: forwardings, a command of its own, a tty.
            "ClearAllForwardings=yes".to_owned(),
            "ForwardAgent=no".to_owned(),
            "ForwardX11=no".to_owned(),
            "PermitLocalCommand=no".to_owned(),
            "RemoteCommand=none".to_owned(),
            "EscapeChar=none".to_owned(),
            "ControlPersist=no".to_owned(),
            "LogLevel=ERROR".to_owned(),
        ] {
            command.arg("-o").arg(option);
        }
        command.arg("-T").env("LC_ALL", "C");
        command
    }

    /// Returns a client that opens a connection and lets others use it over `socket`.
    pub(crate) fn master(&self, socket: &Path) -> Command {
        let mut command = self.connecting();
        command.arg("-M").arg("-S").arg(escape_percent(socket));
        self.finish(command, "exec cat")
    }

    /// Returns a client without a connection of its own, that uses the one behind `socket`. It could not
    /// open one: it is given no configuration and a proxy that fails.
    pub(crate) fn session(&self, socket: &Path, remote: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["-F", "none", "-S"]).arg(escape_percent(socket));
        for option in [
            "ControlMaster=no",
            "ProxyCommand=exit 1",
            "BatchMode=yes",
            "LogLevel=ERROR",
            "EscapeChar=none",
        ] {
            command.arg("-o").arg(option);
        }
        command.arg("-T").env("LC_ALL", "C");
        command.args(["--", "forge-lanes", remote]);
        command
    }

    /// Returns a client with a connection for itself alone.
    pub(crate) fn direct(&self, remote: &str) -> Command {
        let mut command = self.connecting();
        command.args(["-o", "ControlMaster=no", "-S", "none"]);
        self.finish(command, remote)
    }

    fn finish(&self, mut command: Command, remote: &str) -> Command {
        command.arg("--").arg(&self.destination).arg(remote);
        command
    }
}

/// ssh expands `%` in the path of a control socket.
fn escape_percent(path: &Path) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut escaped = Vec::new();
    for &byte in path.as_os_str().as_bytes() {
        escaped.push(byte);
        if byte == b'%' {
            escaped.push(byte);
        }
    }
    OsString::from_vec(escaped)
}

/// Makes the directory for control sockets, or checks that the one which is there is ours alone; removes
/// the sockets that executors which are no more have left behind.
///
/// # Errors
///
/// When it cannot be made, or somebody else can write to it.
pub fn prepare_runtime_dir(dir: &Path) -> Result<(), Fault> {
    let failed =
        |error: io::Error| Fault::io(FailureKind::Io, format!("making {}", dir.display()), &error);
    let own = fs::symlink_metadata(dir)
        .ok()
        .filter(|found| found.is_dir() && found.uid() == rustix::process::geteuid().as_raw());
    if own.is_some_and(|found| found.mode() & 0o077 != 0) {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed)?;
    }
    if let Some(distrust) = trust::own_directory(dir, &[]).map_err(failed)? {
        let text = format!("the directory of control sockets: {distrust}");
        let user = rustix::process::geteuid().as_raw().to_string();
        return Err(Fault::new(FailureKind::UntrustedDirectory, text).advice(format!(
            "{}; or set `XDG_RUNTIME_DIR` to a directory of this user's own",
            distrust.mend(&user)
        )));
    }
    for entry in fs::read_dir(dir).map_err(failed)?.flatten() {
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix("m-")?.split_once('-'));
        let owner = owner.and_then(|(pid, _)| rustix::process::Pid::from_raw(pid.parse().ok()?));
        let gone = |pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
        if owner.is_some_and(gone) {
            // Somebody else may have removed it meanwhile.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(())
}
