//! A job that is taken up again keeps its lease, however much of it was over: in every pair of placement and runtime.
//!
//! The job itself turns its lease down, so nothing here waits for a lease to pass: it is told apart whether the next
//! executor renews at once from whether it would have, some time.

use std::process::{Child, Command};

use plans::Node;

use crate::{
    harness::{World, kill, outcomes, sh, until},
    incus::{Site, contained, remote},
    remote::Far,
    tart::{Mac, guest},
};

/// Seconds of the lease, and how much of it the jobs leave: 5 %, 30 % and 90 % of it are over.
const LEASE: u32 = 600;
const LEFT: [u32; 3] = [570, 420, 60];

/// A job that leaves so much of its lease, says `up`, and ends when somebody renews it.
fn script(left: u32) -> String {
    format!(
        "d=${{ARTIFACTS_DIR%/artifacts}}\n\
         for e in /forge-lanes/state/job /Users/Shared/forge-lanes/job; do [ ! -f $e/lease ] || d=$e; done\n\
         read -r now rest </proc/uptime; now=${{now%.*}}\n\
         printf '%-15s\\n' $((now + {left})) 1<>\"$d/lease\"\n\
         echo up\n\
         until read -r until rest <\"$d/lease\" && [ \"$until\" -gt $((now + {left} + 20)) ]; do sleep 0.05; done\n\
         echo renewed\n"
    )
}

/// Runs one job for each of `left`, kills the executor when all are up, resumes.
fn check(
    world: &World,
    left: &[u32],
    node: impl Fn(&str, &str) -> Node,
    command: impl Fn(&[&str]) -> Command,
) {
    let config = world.path().join("lease.toml");
    std::fs::write(&config, format!("version = 1\nlease_secs = {LEASE}\n")).expect("written");
    let config = config.to_str().expect("UTF-8");
    let ids: Vec<String> = left.iter().map(|left| format!("execute-{left}")).collect();
    let nodes = ids.iter().zip(left).map(|(id, left)| node(id, &script(*left))).collect();
    let plan = world.plan(nodes);
    let start = |words: &[&str]| -> Child {
        let mut command = command(&[&["--config", config], words].concat());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command.spawn().expect("the program starts")
    };
    let executor = start(&["apply", &plan, "--jobs", "3"]);
    let log = |id: &str| {
        let run = world.runs().pop()?;
        std::fs::read_to_string(run.join("nodes").join(id).join("guest.log")).ok()
    };
    until(|| ids.iter().all(|id| log(id).is_some_and(|log| log == "up\n")));
    kill(executor);
    let run = world.runs().pop().expect("a run");
    let run = run.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    let mut again = start(&["resume", &run]);
    assert_eq!(again.wait().expect("it ends").code(), Some(0), "{:?}", world.record());
    for (id, outcome) in outcomes(&world.record()) {
        assert_eq!((&*outcome, log(&id).as_deref()), ("passed", Some("up\nrenewed\n")), "{id}");
    }
}

#[test]
fn a_resumed_job_of_a_host_is_renewed_at_once() {
    let Some(far) = Far::new("") else { return };
    check(&far.world, &LEFT, |id, script| far.node(id, script, &[]), |words| far.command(words));
}

#[test]
fn a_resumed_job_of_an_instance_is_renewed_at_once() {
    let Some(site) = Site::new() else { return };
    check(&site.world, &LEFT, instance, |words| site.command(words));
}

#[test]
fn a_resumed_job_of_an_instance_of_a_host_is_renewed_at_once() {
    let Some(site) = Site::with(&["incus", "sshd"]) else { return };
    let node = |id: &str, script: &str| {
        let mut node = instance(id, script);
        node.spec.placement = remote(&site, "testbed-host");
        node
    };
    check(&site.world, &LEFT, node, |words| site.command(words));
}

fn instance(id: &str, script: &str) -> Node {
    Node { id: sh(id, "", &[]).id, ..contained(script) }
}

/// A machine has two guests at most.
#[test]
fn a_resumed_job_of_a_virtual_machine_is_renewed_at_once() {
    let Some(mac) = Mac::new() else { return };
    let node = |id: &str, script: &str| guest(id, script, &[]);
    check(&mac.world, &[LEFT[0], LEFT[2]], node, |words| mac.command(words));
}

#[test]
fn a_resumed_job_of_a_virtual_machine_of_a_host_is_renewed_at_once() {
    let Some(mac) = Mac::far() else { return };
    let node = |id: &str, script: &str| mac.at(guest(id, script, &[]));
    check(&mac.world, &[LEFT[1], LEFT[2]], node, |words| mac.command(words));
}
