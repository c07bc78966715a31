//! Jobs that the kernel ends for want of memory, in a control group with little of it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::harness::{EXECUTOR, Ended, World, sh};

/// A control group with 96 MB, below the one this process is in; gone with the value.
struct Group(PathBuf);

impl Group {
    /// `None` where groups cannot be made: no root, or memory is not ours to divide.
    fn new() -> Option<Self> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let own = |wanted: &str| {
            groups.lines().find_map(|line| {
                let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
                (controllers == wanted).then(|| group.trim_start_matches('/').to_owned())
            })
        };
        let name = format!("forge-lanes-test-{}", std::process::id());
        let one = own("memory")
            .map(|group| (Path::new("/sys/fs/cgroup/memory").join(group), "memory.limit_in_bytes"));
        let two = own("").map(|group| (Path::new("/sys/fs/cgroup").join(group), "memory.max"));
        [one, two].into_iter().flatten().find_map(|(parent, limit)| {
            let group = Self(parent.join(&name));
            fs::create_dir(&group.0).ok()?;
            fs::write(group.0.join(limit), "96M").ok()?;
            let swap = group.0.join("memory.swap.max");
            if swap.exists() {
                fs::write(swap, "0").ok()?;
            }
            Some(group)
        })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its processes have ended; the kernel may need a moment to know.
        for _ in 0..100 {
            if fs::remove_dir(&self.0).is_ok() || !self.0.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn want_of_memory_is_told_from_other_ends_by_the_kernels_counters() {
    let Some(group) = Group::new() else {
        eprintln!("skipped: no control group with a memory limit can be made here");
        return;
    };
    let world = World::new();
    // `tail` keeps what it reads until a line ends, which none does.
    let script = "head -c 400000000 /dev/zero | tail -n 1 > \"$TMPDIR/x\"; exit $?";
    let greedy = sh("execute-greedy", script, &[]);
    let itself = sh("execute-itself", "exec tail -n 1 /dev/zero", &[]);
    let killed = sh("execute-killed", "kill -9 $$", &[]);
    let code = sh("execute-code", "exit 137", &[]);
    // One after the other: a counter knows no job.
    let mut nodes = vec![greedy, itself, killed, code];
    for node in &mut nodes {
        node.concurrency_groups.insert(plans::GroupName::new("alone").expect("a name"));
    }
    let plan = world.plan(nodes);
    let config = world.path().join("executor.toml");
    fs::write(&config, "infra_retries = 0\n").expect("written");
    let procs = group.0.join("cgroup.procs");
    let script = format!("echo $$ > {} && exec \"$@\"", procs.display());
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &script, "sh", EXECUTOR, "apply", &plan, "--config"]).arg(&config);
    let template = world.command(&[]);
    command.env_clear().current_dir(world.repo());
    command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ended = Ended::of(command.output().expect("it starts"));
    let record = world.record();
    let facts: Vec<(String, String, String)> = record["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| {
            let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
            (text("id"), text("outcome"), text("failure_kind"))
        })
        .collect();
    let fact = |id: &str, outcome: &str, kind: &str| (id.into(), outcome.into(), kind.into());
    let expected = [
        fact("execute-code", "failed", ""),
        fact("execute-greedy", "infra_failed", "oom"),
        fact("execute-itself", "infra_failed", "oom"),
        fact("execute-killed", "failed", ""),
    ];
    assert_eq!(facts, expected, "{}", ended.err);
    let signal = record["nodes"].as_array().expect("nodes").last().expect("one")["signal"].clone();
    assert_eq!(signal, 9);
}
