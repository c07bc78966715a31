//! The host side of a running guest: `run` holds its lock, its control socket and its
//! namespaces, and ends them; `stop`, `suspend` and `ip` look from outside.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGINT, SIGUSR1};

use crate::arguments::Grammar;
use crate::failure::{Failure, Outcome};
use crate::storage::{self, Directory};
use crate::{faults, guest};

/// The tag of shares that a guest mounts by itself.
const AUTOMOUNT: &str = "com.apple.virtio-fs.automount";

/// A directory of the host that the guest sees.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Share {
    pub(crate) tag: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) path: PathBuf,
    pub(crate) read_only: bool,
}

/// Everything a guest is told at its boot.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Boot {
    pub(crate) directory: PathBuf,
    pub(crate) shares: Vec<Share>,
    /// `None`: the agent never answers.
    pub(crate) agent_delay_ms: Option<u64>,
    /// What `/Users/Shared` has room for; `None`: as much as the host.
    pub(crate) disk_kb: Option<u64>,
}

enum Event {
    Interrupted,
    Suspend,
    GuestEnded(std::io::Result<ExitStatus>),
}

const RUN: Grammar = Grammar {
    command: "tart run",
    flags: &[
        "--no-graphics",
        "--no-audio",
        "--no-clipboard",
        "--net-softnet",
        "--net-host",
        "--suspendable",
        "--no-trackpad",
        "--no-pointer",
        "--no-keyboard",
    ],
    options: &["--dir", "--root-disk-opts", "--net-bridged", "--net-softnet-allow", "--disk"],
    positionals: 1..=1,
};

fn share(text: &str) -> Result<Share, Failure> {
    let mut parts: Vec<&str> = text.split(':').collect();
    let mut share = Share { tag: None, name: None, path: PathBuf::new(), read_only: false };
    let is_options = |part: &str| part.split(',').all(|o| o == "ro" || o.starts_with("tag="));
    if parts.len() > 1 && parts.last().is_some_and(|last| is_options(last)) {
        for option in parts.pop().unwrap_or_default().split(',') {
            match option.strip_prefix("tag=") {
                Some(tag) => share.tag = Some(tag.to_owned()),
                None => share.read_only = true,
            }
        }
    }
    let path = match parts[..] {
        [path] => path,
        [name, path] => {
            share.name = Some(name.to_owned());
            path
        }
        _ => return Err(Failure::usage(RUN.command, format!("invalid --dir syntax: {text}"))),
    };
    let expanded = match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    };
    share.path = std::path::absolute(expanded).map_err(|e| Failure::io("--dir", e))?;
    Ok(share)
}

fn shares(texts: &[String]) -> Result<Vec<Share>, Failure> {
    let shares = texts.iter().map(|text| share(text)).collect::<Result<Vec<_>, _>>()?;
    for one in &shares {
        let same_tag = shares.iter().filter(|other| other.tag == one.tag).count();
        if same_tag > 1 && one.name.is_none() {
            return Err(Failure::usage(
                RUN.command,
                "invalid --dir syntax: for multiple directory shares each one of them should be \
                 named",
            ));
        }
    }
    Ok(shares)
}

/// The `run` command: in the foreground until the guest or somebody ends it.
pub(crate) fn run(arguments: &[String]) -> Outcome {
    let parsed = RUN.parse(arguments)?;
    let name = &parsed.positionals[0];
    // Raised while arguments are validated, so prefixed and 1: no other command does this.
    let guest = Directory::open(name).map_err(Failure::during_validation)?;
    let shares = shares(parsed.values("--dir"))?;
    let (sender, events) = mpsc::channel();
    watch_signals(&sender)?;
    std::thread::sleep(faults::milliseconds("boot-delay-ms", 50));

    let home = storage::lock_home()?;
    let Some(_running) = guest.try_lock()? else {
        return Err(Failure::bare(2, format!("VM \"{name}\" is already running!")));
    };
    drop(home);
    refuse_start(&guest, &shares)?;

    if guest.snapshot().exists() {
        println!("restoring VM state from a snapshot...");
        fs::remove_file(guest.snapshot()).map_err(|e| Failure::io("state.vzvmsave", e))?;
        println!("resuming VM...");
    }
    if let Some(fate) = faults::value("run-dies-after-ms").and_then(|ms| ms.parse().ok()) {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(fate));
            rustix::process::kill_process(rustix::process::getpid(), Signal::KILL)
        });
    }
    let listener = control_socket(&guest)?;
    let mut boot = Boot {
        directory: guest.path.clone(),
        shares,
        agent_delay_ms: (!faults::on("agent-never")).then(|| faults::number("agent-delay-ms", 100)),
        disk_kb: faults::value("disk-kb").and_then(|kb| kb.parse().ok()),
    };
    loop {
        match one_boot(&listener, &boot, &sender, &events)? {
            Ended::Stopped => return Ok(0),
            Ended::Suspended => {
                println!("pausing VM to take a snapshot...\ncreating a snapshot...");
                fs::write(guest.snapshot(), b"").map_err(|e| Failure::io("state.vzvmsave", e))?;
                println!("snapshot created successfully! shutting down the VM...");
                return Ok(0);
            }
            Ended::ByItself => {
                println!("guest has stopped the virtual machine");
                return Ok(0);
            }
            Ended::Restarting if faults::on("agent-dies-at-reboot") => boot.agent_delay_ms = None,
            Ended::Restarting => {}
            Ended::Failed(status) => {
                return Err(Failure::bare(
                    1,
                    format!("stand-in: the guest did not boot: {status}"),
                ));
            }
        }
    }
}

fn watch_signals(sender: &mpsc::Sender<Event>) -> Result<(), Failure> {
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGUSR1])
        .map_err(|e| Failure::io("cannot take signals", e))?;
    let sender = sender.clone();
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let event = if signal == SIGINT { Event::Interrupted } else { Event::Suspend };
            if !(signal == SIGINT && faults::on("stop-ignored")) && sender.send(event).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// What the virtualization framework refuses once the lock is held.
fn refuse_start(guest: &Directory, shares: &[Share]) -> Result<(), Failure> {
    let framework = |code: i32, text: &str| {
        Failure::bare(1, format!("Error Domain=VZErrorDomain Code={code} \"{text}\""))
    };
    if faults::on("keychain-locked") {
        return Err(framework(-9, "The virtual machine encountered a security error."));
    }
    if shares.iter().any(|share| !share.path.is_dir()) {
        return Err(framework(2, "A directory sharing device configuration is invalid."));
    }
    let others: Vec<String> = storage::locals()
        .into_iter()
        // Looking at our own lock would open and close its file, and so drop it.
        .filter(|other| other.name != guest.name && other.runner().is_some())
        .map(|other| other.name)
        .collect();
    if others.len() as u64 + faults::number("phantoms", 0) >= faults::number("limit", 2) {
        let hint = match &others[..] {
            [] => String::new(),
            names => format!(" (other running VMs: {})", names.join(", ")),
        };
        let text = format!("The number of VMs exceeds the system limit{hint}");
        return Err(Failure::bare(1, text));
    }
    Ok(())
}

/// Opens the control socket by a short relative path, which leaves this process in the guest's
/// directory.
fn control_socket(guest: &Directory) -> Result<UnixListener, Failure> {
    (|| {
        std::env::set_current_dir(&guest.path)?;
        if let Err(error) = fs::remove_file("control.sock")
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error);
        }
        UnixListener::bind("control.sock")
    })()
    .map_err(|e| Failure::io("cannot open the control socket", e))
}

enum Ended {
    Stopped,
    Suspended,
    ByItself,
    Restarting,
    Failed(String),
}

fn one_boot(
    listener: &UnixListener,
    boot: &Boot,
    sender: &mpsc::Sender<Event>,
    events: &mpsc::Receiver<Event>,
) -> Result<Ended, Failure> {
    let unstartable = |e| Failure::io("stand-in: cannot start `unshare` (util-linux)", e);
    // Orphans of the guest come back to us, so that its end can be waited for.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|e| Failure::io("cannot become a subreaper", e))?;
    let mut child = start_guest(listener, boot).map_err(unstartable)?;
    let unshare = Pid::from_child(&child);
    // The guest ends when the other end of its standard output closes: with us, however we end.
    let lifeline = child.stdout.take();
    let waiting = sender.clone();
    std::thread::spawn(move || waiting.send(Event::GuestEnded(child.wait())));

    let mut reason = None;
    let status = loop {
        match events.recv() {
            Ok(Event::GuestEnded(status)) => break status,
            Ok(event) => {
                if reason.is_none() {
                    if matches!(event, Event::Interrupted) {
                        println!("Stopping VM...");
                        reason = Some(Ended::Stopped);
                    } else {
                        reason = Some(Ended::Suspended);
                    }
                }
                // Its child, the guest's first process, is killed with it.
                let _ = rustix::process::kill_process(unshare, Signal::KILL);
            }
            Err(mpsc::RecvError) => unreachable!("this process holds a sender"),
        }
    };
    drop(lifeline);
    while rustix::process::wait(WaitOptions::empty()).is_ok() {}
    Ok(match (reason, status) {
        (Some(reason), _) => reason,
        (None, Ok(status)) => match status.code() {
            Some(guest::HALTED) => Ended::ByItself,
            Some(guest::RESTARTING) => Ended::Restarting,
            _ => Ended::Failed(status.to_string()),
        },
        (None, Err(error)) => Ended::Failed(error.to_string()),
    })
}

fn start_guest(listener: &UnixListener, boot: &Boot) -> std::io::Result<Child> {
    // Signals that the host ignores mean nothing to a virtual machine.
    let mut command = Command::new("env");
    command.args(["--default-signal", "unshare"]);
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--mount", "--pid", "--fork", "--kill-child"])
        .arg(std::env::current_exe()?)
        .arg(guest::INIT_VERB)
        .arg(serde_json::to_string(boot)?)
        .stdin(Stdio::from(OwnedFd::from(listener.try_clone()?)))
        .stdout(Stdio::piped())
        .spawn()
}

pub(crate) fn stop(arguments: &[String]) -> Outcome {
    let grammar = Grammar {
        command: "tart stop",
        flags: &[],
        options: &["-t", "--timeout"],
        positionals: 1..=1,
    };
    let parsed = grammar.parse(arguments)?;
    let timeout = match grammar.number(&parsed, "-t")? {
        Some(seconds) => seconds,
        None => grammar.number(&parsed, "--timeout")?.unwrap_or(30),
    };
    let guest = Directory::open(&parsed.positionals[0])?;
    match guest.state() {
        "suspended" => {
            fs::remove_file(guest.snapshot()).map_err(|e| Failure::io("state.vzvmsave", e))?;
            return Ok(0);
        }
        "stopped" => return Err(Failure::not_running(&guest.name)),
        _ => {}
    }
    if let Some(runner) = guest.runner() {
        // Its answer does not count: the guest may be on its way down already.
        let _ = rustix::process::kill_process(runner, Signal::INT);
    }
    let deadline = Instant::now() + Duration::from_secs(timeout);
    while let Some(runner) = guest.runner() {
        if Instant::now() >= deadline {
            rustix::process::kill_process(runner, Signal::KILL).map_err(|e| {
                let name = &guest.name;
                Failure::bare(1, format!("failed to forcefully terminate the VM \"{name}\": {e}"))
            })?;
            return Ok(0);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(0)
}

pub(crate) fn suspend(arguments: &[String]) -> Outcome {
    let grammar = Grammar { command: "tart suspend", flags: &[], options: &[], positionals: 1..=1 };
    let guest = Directory::open(&grammar.parse(arguments)?.positionals[0])?;
    let runner = guest.runner().ok_or_else(|| Failure::not_running(&guest.name))?;
    rustix::process::kill_process(runner, Signal::USR1)
        .map_err(|e| Failure::bare(1, format!("failed to send SIGUSR1 signal to the VM: {e}")))?;
    Ok(0)
}

pub(crate) fn ip(arguments: &[String]) -> Outcome {
    let grammar = Grammar {
        command: "tart ip",
        flags: &[],
        options: &["--wait", "--resolver"],
        positionals: 1..=1,
    };
    let parsed = grammar.parse(arguments)?;
    let guest = Directory::open(&parsed.positionals[0])?;
    let wait = Duration::from_secs(grammar.number(&parsed, "--wait")?.unwrap_or(0));
    let deadline = Instant::now() + wait;
    let delay = faults::milliseconds("ip-delay-ms", 200);
    loop {
        let booted = fs::metadata(guest.path.join("control.sock"))
            .and_then(|socket| socket.modified())
            .ok()
            .and_then(|at| at.elapsed().ok());
        let running = guest.runner().is_some();
        if running && !faults::on("no-ip") && booted.is_some_and(|since| since >= delay) {
            let host = guest.name.bytes().fold(7_u32, |sum, byte| sum * 31 % 251 + u32::from(byte));
            println!("192.168.64.{}", 2 + host % 250);
            return Ok(0);
        }
        if Instant::now() >= deadline {
            let hint = if running { "" } else { ", is your VM running?" };
            return Err(Failure::bare(1, format!("no IP address found{hint}")));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether the guest mounts this share by itself.
pub(crate) fn is_automounted(share: &Share) -> bool {
    share.tag.as_deref().is_none_or(|tag| tag == AUTOMOUNT)
}
