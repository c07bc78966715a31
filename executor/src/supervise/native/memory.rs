//! Whether the kernel has ended processes for want of memory: its own counters, never a log.
//!
//! The counter of the control group the supervisor and its job are in, where there is one: it tells
//! of processes of that group alone (cgroup v2 `memory.events`, v1 `memory.oom_control`, both line
//! `oom_kill`). Otherwise the machine's (`/proc/vmstat`), which another group's loss moves as well.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
    sync::OnceLock,
};

/// A counter as it stood.
pub(super) struct OomKills {
    before: u64,
}

impl OomKills {
    /// Reads the counter that is closest to this process.
    pub(super) fn now() -> Self {
        Self { before: counter().and_then(kills).unwrap_or_default() }
    }

    /// Returns whether any were counted since.
    pub(super) fn any_since(&self) -> bool {
        counter().and_then(kills).is_some_and(|now| now > self.before)
    }
}

/// The counter, looked for and opened once: a supervisor stays in the group that it was started in.
fn counter() -> Option<&'static File> {
    static COUNTER: OnceLock<Option<File>> = OnceLock::new();
    let counter = COUNTER.get_or_init(|| {
        let opened = own_counters().into_iter().filter_map(|path| File::open(path).ok());
        let mut counting = opened.filter(|file| kills(file).is_some());
        counting.next().or_else(|| File::open("/proc/vmstat").ok())
    });
    counter.as_ref()
}

fn kills(counter: &File) -> Option<u64> {
    let mut text = Vec::with_capacity(16 << 10);
    let mut piece = [0; 4 << 10];
    loop {
        match counter.read_at(&mut piece, text.len() as u64).ok()? {
            0 => break,
            read => text.extend_from_slice(&piece[..read]),
        }
    }
    let mut lines = text.split(|byte| *byte == b'\n');
    let number = lines.find_map(|line| line.strip_prefix(b"oom_kill "))?;
    std::str::from_utf8(number).ok()?.trim().parse().ok()
}

/// Where the counters of this process' group may be.
fn own_counters() -> Vec<PathBuf> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    counters(&read("/proc/self/cgroup"), &read("/proc/self/mountinfo"))
}

/// Joins what group a process is in (cgroups(7), `/proc/PID/cgroup`) with where groups are mounted
/// (proc(5), `/proc/PID/mountinfo`); in a container the group's path may begin above the mount.
fn counters(groups: &str, mounts: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(group)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (kind, file) = match controllers {
            "" => ("cgroup2", "memory.events"),
            some if some.split(',').any(|one| one == "memory") => ("cgroup", "memory.oom_control"),
            _ => continue,
        };
        for mount in mounts.lines() {
            let Some((fields, system)) = mount.split_once(" - ") else { continue };
            let mut system = system.split(' ');
            let is_kind = system.next() == Some(kind);
            let options = system.nth(1).unwrap_or_default();
            let has_memory = kind == "cgroup2" || options.split(',').any(|one| one == "memory");
            let mut fields = fields.split(' ').skip(3);
            let (Some(root), Some(at)) = (fields.next(), fields.next()) else { continue };
            if is_kind && has_memory {
                let below = Path::new(group).strip_prefix(root).unwrap_or(Path::new(""));
                found.push(Path::new(at).join(below).join(file));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(groups: &str, mounts: &str, expected: &[&str]) {
        let expected: Vec<PathBuf> = expected.iter().map(PathBuf::from).collect();
        assert_eq!(counters(groups, mounts), expected);
    }

    #[test]
    fn a_group_is_found_where_it_is_mounted() {
        let two = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let ci = "0::/system.slice/ci.service\n";
        check(ci, two, &["/sys/fs/cgroup/system.slice/ci.service/memory.events"]);
        let inside = "30 23 0:26 /docker/ab /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
        check("0::/docker/ab/x\n", inside, &["/sys/fs/cgroup/x/memory.events"]);
        check("0::/\n", inside, &["/sys/fs/cgroup/memory.events"]);
        let one = "40 23 0:30 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n\
                   41 23 0:31 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n";
        let groups = "4:cpu:/a\n3:memory:/b/c\n0::/\n";
        check(groups, one, &["/sys/fs/cgroup/memory/b/c/memory.oom_control"]);
        check("nonsense\n", "nonsense\n", &[]);
    }
}
