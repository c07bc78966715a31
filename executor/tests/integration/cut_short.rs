//! A collection of artifacts that is cut short by the end of its executor is made anew by the next one.

use std::{fs, path::Path, process::Command};

use plans::Node;

use crate::{
    harness::{World, kill, until},
    incus::{Site, contained, remote},
    remote::Far,
    tart::{Mac, guest},
};

/// Kills the executor while the job runs, leaves what a collection that was cut short leaves, and resumes.
fn check(world: &World, node: impl Fn(&str) -> Node, command: impl Fn(&[&str]) -> Command) {
    let go = world.path().join("go");
    // Guests do not see the machine: there the job ends by itself.
    let script = format!(
        "echo whole >\"$ARTIFACTS_DIR/kept\"; echo up; i=0\n\
         while [ ! -e '{}' ] && [ $i -lt 30 ]; do i=$((i + 1)); sleep 0.1; done",
        go.display()
    );
    let mut node = node(&script);
    node.spec.artifacts = vec!["**".to_owned()];
    let id = node.id.clone();
    let plan = world.plan(vec![node]);
    let start = |words: &[&str]| {
        let mut command = command(words);
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
        command.spawn().expect("the program starts")
    };
    let executor = start(&["apply", &plan]);
    let dir = || world.runs().pop().map(|run| run.join("nodes").join(id.as_str()));
    let log = || dir().and_then(|dir| fs::read_to_string(dir.join("guest.log")).ok());
    until(|| log().is_some_and(|log| log == "up\n"));
    kill(executor);
    let artifacts = dir().expect("a node's directory").join("artifacts");
    fs::create_dir_all(&artifacts).expect("made");
    fs::write(artifacts.join("kept"), "who").expect("written");
    fs::write(artifacts.join(".incoming-00"), "half an archive").expect("written");
    fs::write(&go, "").expect("written");
    assert_eq!(start(&["resume", "latest"]).wait().expect("it ends").code(), Some(0));
    assert_eq!(fs::read_to_string(artifacts.join("kept")).expect("kept"), "whole\n");
    assert!(!Path::exists(&artifacts.join(".incoming-00")), "half an archive is an artifact");
}

#[test]
fn artifacts_of_a_host_are_whole() {
    let Some(far) = Far::new("") else { return };
    check(&far.world, |script| far.node("execute-a", script, &[]), |words| far.command(words));
}

#[test]
fn artifacts_of_an_instance_are_whole() {
    let Some(site) = Site::new() else { return };
    check(&site.world, contained, |words| site.command(words));
}

#[test]
fn artifacts_of_an_instance_of_a_host_are_whole() {
    let Some(site) = Site::with(&["incus", "sshd"]) else { return };
    let node = |script: &str| {
        let mut node = contained(script);
        node.spec.placement = remote(&site, "testbed-host");
        node
    };
    check(&site.world, node, |words| site.command(words));
}

#[test]
fn artifacts_of_a_virtual_machine_are_whole() {
    let Some(mac) = Mac::new() else { return };
    check(&mac.world, |script| guest("execute-a", script, &[]), |words| mac.command(words));
}

#[test]
fn artifacts_of_a_virtual_machine_of_a_host_are_whole() {
    let Some(mac) = Mac::far() else { return };
    check(&mac.world, |script| mac.at(guest("execute-a", script, &[])), |words| mac.command(words));
}
