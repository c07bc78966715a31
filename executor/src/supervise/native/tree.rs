//! Processes: who descends from whom, who carries a job's cookie, and ending them all.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    sync::OnceLock,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, wait};

use super::COOKIE;

/// Returns which boot of the machine this is.
pub(crate) fn boot_id() -> io::Result<String> {
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(boot) = BOOT.get() {
        return Ok(boot.clone());
    }
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(BOOT.get_or_init(|| text.trim().to_owned()).clone())
}

/// The fields of `/proc/PID/stat` that matter here.
struct Stat {
    parent: i32,
    start: u64,
    dead: bool,
}

fn stat(pid: i32) -> Option<Stat> {
    let text = fs::read(format!("/proc/{pid}/stat")).ok()?;
    // The second field, the name, may hold anything, brackets and line breaks included.
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(text.get(end + 2..)?).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let start = fields.nth(17)?.parse().ok()?;
    Some(Stat { parent, start, dead: matches!(state, "Z" | "X") })
}

/// Returns when a process started, in clock ticks since the boot; `None` for the dead.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    stat(pid).filter(|stat| !stat.dead).map(|stat| stat.start)
}

fn all_pids() -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Returns the living descendants of this process.
pub(super) fn descendants() -> BTreeSet<i32> {
    let this = rustix::process::getpid().as_raw_nonzero().get();
    let mut children: BTreeMap<i32, Vec<(i32, bool)>> = BTreeMap::new();
    for pid in all_pids() {
        if let Some(stat) = stat(pid) {
            children.entry(stat.parent).or_default().push((pid, stat.dead));
        }
    }
    let mut found = BTreeSet::new();
    let mut open = vec![this];
    while let Some(parent) = open.pop() {
        for &(pid, dead) in children.get(&parent).into_iter().flatten() {
            open.push(pid);
            if !dead {
                found.insert(pid);
            }
        }
    }
    found
}

/// Sends a signal; a process that is gone meanwhile needs none.
pub(super) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// KILLs one process.
pub(crate) fn kill(pid: i32) {
    signal(pid, Signal::KILL);
}

/// Takes every child that has ended; tells about each. Returns whether none is left.
pub(super) fn reap(mut ended: impl FnMut(i32, WaitStatus)) -> bool {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => ended(pid.as_raw_nonzero().get(), status),
            Ok(None) => return false,
            Err(rustix::io::Errno::INTR) => {}
            // ECHILD: nobody is left, and nobody can come back.
            Err(_) => return true,
        }
    }
}

/// Returns the living processes whose environment began with a job's cookie that `wanted` accepts,
/// with the cookie. Processes of other users cannot be read and are not ours.
pub(crate) fn processes_with_cookie(wanted: impl Fn(&str) -> bool) -> Vec<(i32, String)> {
    let this = rustix::process::getpid().as_raw_nonzero().get();
    let mut found = Vec::new();
    for pid in all_pids() {
        if pid == this {
            continue;
        }
        let Ok(environ) = fs::read(format!("/proc/{pid}/environ")) else { continue };
        let cookie = environ.split(|byte| *byte == 0).find_map(|variable| {
            let value = variable.strip_prefix(COOKIE.as_bytes())?.strip_prefix(b"=")?;
            std::str::from_utf8(value).ok()
        });
        if let Some(cookie) = cookie
            && wanted(cookie)
            && start_time(pid).is_some()
        {
            found.push((pid, cookie.to_owned()));
        }
    }
    found
}

/// KILLs every process that carries a cookie, again and again until nobody does: they may fork meanwhile.
/// Returns how many there were, and whether all are gone.
pub(crate) fn kill_cookie(cookie: &str) -> (u64, bool) {
    let mut seen = BTreeSet::new();
    let until = Instant::now() + Duration::from_secs(10);
    loop {
        let found = processes_with_cookie(|other| other == cookie);
        if found.is_empty() {
            return (seen.len() as u64, true);
        }
        if Instant::now() >= until {
            return (seen.len() as u64, false);
        }
        for (pid, _) in found {
            seen.insert(pid);
            signal(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
