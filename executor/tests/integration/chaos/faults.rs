//! What is broken, and how: each kind strikes once when it is told to, at whatever is there then.

use std::{fs, io::Write as _, process::Child, time::Duration};

use rustix::process::Signal;

use super::site::{Chaos, Flavour, Run};
use crate::{
    harness::Random,
    sshd::{children_of, signal},
};

/// What is killed, cut or filled up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The executor itself; another one resumes.
    Executor,
    /// An ssh client that carries a session.
    Client,
    /// The ssh client that is the connection.
    Master,
    /// The server: a session of it, or the one that listens.
    Sshd,
    /// What supervises a job: the executor's own, or the pushed one, here, on a host, in a guest.
    Supervisor,
    /// The Incus daemon.
    Incusd,
    /// The cable to a host.
    Link,
    /// The file system of the state directory.
    Disk,
}

impl Kind {
    pub(super) const ALL: [Self; 8] = [
        Self::Executor,
        Self::Client,
        Self::Master,
        Self::Sshd,
        Self::Supervisor,
        Self::Incusd,
        Self::Link,
        Self::Disk,
    ];

    /// Its name on the command line.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Executor => "executor",
            Self::Client => "client",
            Self::Master => "master",
            Self::Sshd => "sshd",
            Self::Supervisor => "supervisor",
            Self::Incusd => "incusd",
            Self::Link => "link",
            Self::Disk => "disk",
        }
    }

    /// Its name in the table.
    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Executor => "executor killed",
            Self::Client => "ssh client of a session killed",
            Self::Master => "ssh client of the connection killed",
            Self::Sshd => "sshd killed",
            Self::Supervisor => "supervisor killed",
            Self::Incusd => "incusd killed",
            Self::Link => "link cut",
            Self::Disk => "disk full",
        }
    }

    /// Which plan is disturbed this time.
    pub(super) fn flavour(self, random: &mut Random) -> Flavour {
        match self {
            Self::Executor | Self::Supervisor => match random.below(10) {
                0..3 => Flavour::Local,
                3..7 => Flavour::Ssh,
                _ => Flavour::All,
            },
            Self::Client | Self::Master | Self::Sshd => match random.below(10) {
                0..7 => Flavour::Ssh,
                _ => Flavour::All,
            },
            Self::Incusd => Flavour::All,
            Self::Link => Flavour::Cable,
            Self::Disk => *random.one_of(&[Flavour::Local, Flavour::Ssh]).expect("one"),
        }
    }

    /// Whether a job may be started again because of it: as another attempt, which the record tells of.
    pub(super) fn costs_attempts(self) -> bool {
        // An ssh server or link that was never reached is given up soon; instances that the daemon was about to
        // make are made anew.
        self != Self::Executor
    }

    /// Strikes. Returns what was hit; none: there was nothing.
    pub(super) fn strike(
        self,
        chaos: &Chaos,
        run: &Run,
        executor: &mut Child,
        random: &mut Random,
    ) -> Option<String> {
        match self {
            Self::Executor => {
                executor.kill().expect("a child");
                executor.wait().expect("it ends");
                Some("executor".to_owned())
            }
            Self::Client => kill_one(clients(executor.id(), false), random),
            Self::Master => kill_one(clients(executor.id(), true), random),
            Self::Sshd => {
                let listener: u32 = chaos.bed().pid("sshd-host").parse().expect("a pid");
                if random.below(5) == 0 {
                    signal(listener, Signal::KILL);
                    random.sleep(500);
                    chaos.bed().heal(&["sshd"]);
                    return Some("the listening sshd".to_owned());
                }
                let sessions = below(listener).into_iter().skip(1);
                kill_one(sessions.filter(|pid| name(*pid).starts_with("sshd")).collect(), random)
            }
            Self::Supervisor => kill_one(supervisors(run), random),
            Self::Incusd => {
                chaos.bed().signal("incusd", "-KILL");
                random.sleep(1000);
                chaos.bed().heal(&["incus"]);
                Some("incusd".to_owned())
            }
            Self::Link => {
                chaos.bed().link("cut", "h1");
                // Now and then for longer than a connection that says nothing is believed in.
                let most = if random.below(8) == 0 { 25_000 } else { 4_000 };
                let out = random.below(most);
                std::thread::sleep(Duration::from_millis(out));
                chaos.bed().link("restore", "h1");
                Some(format!("the link, for {out} ms"))
            }
            Self::Disk => {
                let filler = run.world().state_dir().join("filler");
                fill(&filler);
                random.sleep(2000);
                fs::remove_file(filler).expect("removed");
                Some("the disk".to_owned())
            }
        }
    }
}

/// Writes until nothing fits any more.
fn fill(path: &std::path::Path) {
    let Ok(mut file) = fs::File::create(path) else { return };
    for size in [65_536, 4_096, 1] {
        let zeros = vec![0; size];
        while file.write_all(&zeros).is_ok() {}
    }
}

fn kill_one(pids: Vec<u32>, random: &mut Random) -> Option<String> {
    let pid = *random.one_of(&pids)?;
    let what = command(pid);
    signal(pid, Signal::KILL);
    Some(format!("{pid}: {}", what.replace('\n', " ").chars().take(100).collect::<String>()))
}

/// The ssh clients of an executor: those that carry sessions, or those that are connections.
fn clients(executor: u32, masters: bool) -> Vec<u32> {
    let clients = children_of(executor).into_iter().filter(|pid| name(*pid) == "ssh");
    clients.filter(|pid| command(*pid).contains(" -M ") == masters).collect()
}

/// What supervises the jobs of a run: from the parent of each job's first process upwards, as far as it is a
/// supervisor of ours.
fn supervisors(run: &Run) -> Vec<u32> {
    let Some(run) = run.world().runs().pop() else { return Vec::new() };
    let id = run.file_name().expect("named").to_string_lossy().into_owned();
    let cookie = format!("FORGE_LANES_COOKIE={id}/");
    let mut found = Vec::new();
    for pid in processes() {
        if !of_job(pid, &cookie) {
            continue;
        }
        let mut above = parent(pid);
        while let Some(at) = above {
            let command = command(at);
            let ours = ["__supervise", "/shim-", "supervisor.sh", "FORGE_LANES"];
            if of_job(at, &cookie) || !ours.iter().any(|word| command.contains(word)) {
                break;
            }
            found.push(at);
            above = parent(at);
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn of_job(pid: u32, cookie: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|&byte| byte == 0).any(|word| word.starts_with(cookie.as_bytes()))
}

pub(super) fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("a /proc").flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.split(' ').nth(1)?.parse().ok().filter(|pid| *pid > 1)
}

fn name(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}

/// The words of a process, with blanks between them.
pub(super) fn command(pid: u32) -> String {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&words).replace('\0', " ")
}

/// A process and everything below it.
fn below(top: u32) -> Vec<u32> {
    let mut found = vec![top];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(children_of(parent));
        next += 1;
    }
    found
}
