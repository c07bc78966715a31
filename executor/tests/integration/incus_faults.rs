//! What goes on when an executor, a link or a daemon goes away under a job in an instance: the job, and
//! the turn that it has; against real daemons and a real sshd.

use std::{fs, path::Path, time::Duration};

use crate::{
    harness::{Ended, kill, node_id, until},
    incus::{Site, artifacts, begin, breakable, contained, remote},
};

/// A job that waits for a file which the test makes in its artifacts directory, on the machine.
fn waiting(site: &Site, placement: &plans::Placement) -> plans::Node {
    let mut node = contained("echo up; until [ -e \"$ARTIFACTS_DIR/go\" ]; do sleep 0.1; done");
    node.spec.placement = placement.clone();
    if *placement == plans::Placement::Local {
        node.concurrency_groups.insert(plans::GroupName::new(group(site)).expect("well formed"));
    }
    node
}

/// A group that no other test has: turns are those of the machine.
fn group(site: &Site) -> String {
    let name = site.world.path().file_name().expect("named").to_string_lossy().into_owned();
    format!("g{}", name.trim_start_matches('.'))
}

fn check_turn(site: &Site, placement: &plans::Placement, attempts: &Path) {
    kill(begin(site, waiting(site, placement)));
    // Another executor, of another state directory, which wants the same turn.
    let mut next = waiting(site, placement);
    next.id = node_id("execute-b");
    next.spec.command = plans::Command::Shell { script: "echo next".to_owned(), as_root: false };
    let plan = site.world.plan(vec![next]);
    let other = site.world.path().join("other");
    let other = other.to_str().expect("UTF-8");
    let child = site.command(&["apply", &plan, "--state-dir", other]).spawn().expect("starts");
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(site.instances().len(), 1, "the next one has to wait for the job");
    let started = fs::read_dir(Path::new(other).join("runs")).map_or(0, Iterator::count);
    assert_eq!(started, 1, "it does wait");
    fs::write(artifacts(attempts).join("go"), "").expect("written");
    Ended::of(child.wait_with_output().expect("ends")).code(0);
    // What the killed one left can still be taken up, and is judged.
    site.run(&["resume", "latest"]).code(0);
    assert_eq!(site.log("execute-a", "guest.log"), "up\n");
    assert_eq!(site.instances(), Vec::<String>::new());
}

#[test]
fn a_turn_is_held_while_a_job_runs_in_an_instance_without_its_executor() {
    let Some(site) = Site::new() else { return };
    let attempts = site.world.state_dir();
    check_turn(&site, &plans::Placement::Local, &attempts);
}

#[test]
fn a_turn_on_a_host_is_held_while_a_job_runs_in_an_instance_without_its_executor() {
    let Some(site) = Site::with(&["incus", "sshd"]) else { return };
    let mut placement = remote(&site, "testbed-host");
    let plans::Placement::RemoteSsh(host) = &mut placement else { unreachable!("a host") };
    host.max_jobs = 1;
    let attempts = site.world.path().join("work");
    check_turn(&site, &placement, &attempts);
}

#[test]
fn a_link_that_is_cut_under_an_instance_of_a_host_loses_nothing() {
    let Some(site) = Site::with(&["incus", "netns"]) else { return };
    let mut node =
        contained("echo up; i=0; while [ $i -lt 60 ]; do echo $i; i=$((i+1)); sleep 0.2; done");
    node.spec.placement = remote(&site, "testbed-h1");
    let plan = site.world.plan(vec![node]);
    let child = site.command(&["apply", &plan]).spawn().expect("starts");
    let lines = || site.log("execute-a", "guest.log").lines().count();
    until(|| !site.world.runs().is_empty() && lines() > 2);
    site.bed.link("cut", "h1");
    std::thread::sleep(Duration::from_secs(3));
    site.bed.link("restore", "h1");
    Ended::of(child.wait_with_output().expect("ends")).code(0);
    let wanted: String = (0..60).map(|n| format!("{n}\n")).collect();
    assert_eq!(site.log("execute-a", "guest.log"), format!("up\n{wanted}"));
    assert_eq!(site.node()["attempts"], 1);
    assert_eq!(site.instances(), Vec::<String>::new());
}

#[test]
fn a_daemon_of_a_host_that_is_restarted_under_a_job_ends_nothing() {
    let Some(site) = breakable("far", &["incus", "sshd"]) else { return };
    let mut node = contained("echo up; sleep 5; echo down");
    node.spec.placement = remote(&site, "testbed-host");
    let child = begin(&site, node);
    site.bed.signal("incusd", "-KILL");
    site.bed.heal(&["incus"]);
    Ended::of(child.wait_with_output().expect("ends")).code(0);
    assert_eq!(site.log("execute-a", "guest.log"), "up\ndown\n");
    assert_eq!(site.node()["attempts"], 1);
    assert_eq!(site.instances(), Vec::<String>::new());
}

/// The daemon goes on making and starting what the killed one asked for.
#[test]
fn an_executor_that_dies_while_its_instance_is_made_or_started_costs_no_attempt() {
    let Some(site) = Site::new() else { return };
    let mut site = site;
    for moment in ["intended", "made", "started"] {
        site.world = crate::harness::World::new();
        // Long enough that the instance is seen before it is deleted.
        let plan = site.world.plan(vec![contained("echo up; sleep 2")]);
        let child = site.command(&["apply", &plan]).spawn().expect("starts");
        let journal = || {
            let run = site.world.runs().pop()?;
            fs::read_to_string(run.join("journal.jsonl")).ok()
        };
        until(|| journal().is_some_and(|journal| journal.contains("\"instance\"")));
        if moment != "intended" {
            until(|| !site.instances().is_empty());
        }
        if moment == "started" {
            std::thread::sleep(Duration::from_millis(150));
        }
        kill(child);
        site.run(&["resume", "latest"]).code(0);
        let node = site.node();
        assert_eq!(node["attempts"], 1, "{moment}: {node:#}");
        assert_eq!(site.log("execute-a", "guest.log"), "up\n", "{moment}");
        assert_eq!(site.instances(), Vec::<String>::new(), "{moment}");
    }
}

/// The daemon was away when it was asked to make the instance, and is back when it is asked why not.
#[test]
fn a_daemon_that_is_away_for_a_moment_refuses_nothing() {
    let Some(site) = Site::new() else { return };
    let tools = site.world.path().join("bin");
    fs::create_dir_all(&tools).expect("made");
    let script = "#!/bin/sh\nfor real in /usr/bin/incus /usr/local/bin/incus /opt/incus/bin/incus; do\n\
                  [ ! -x $real ] || break\ndone\ncase $1 in launch | query)\n\
                  [ -e \"$0.$1\" ] || { : >\"$0.$1\"; echo 'the daemon is away' >&2; exit 1; } ;;\nesac\n\
                  exec $real \"$@\"\n";
    fs::write(tools.join("incus"), script).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(tools.join("incus"), mode).expect("its mode");
    let plan = site.world.plan(vec![contained("echo up")]);
    site.run(&["apply", &plan]).code(0);
    assert!(tools.join("incus.launch").exists() && tools.join("incus.query").exists());
    assert_eq!(site.node()["attempts"], 1, "{:#}", site.node());
}
