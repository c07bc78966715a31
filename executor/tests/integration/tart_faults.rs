//! What hangs, breaks, fills up or is left alone around a guest of Tart, each with its own verdict; and
//! what of a job may be seen by whom. Against the stand-in.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use plans::{Command, EnvName, GroupName, Node, Workspace};

use crate::{
    harness::{Ended, kill, until},
    tart::{Mac, broken, guest, interrupt, tart_of},
};

/// The configuration of a site that tries nothing again.
fn once(mac: &Mac) -> String {
    let config = mac.world.path().join("executor.toml");
    fs::write(&config, "version = 1\ninfra_retries = 0\n").expect("written");
    config.to_str().expect("UTF-8").to_owned()
}

#[track_caller]
fn check_refused(mac: &Mac, node: Node, kind: &str, says: &str, advises: &str) {
    let plan = mac.world.plan(vec![node]);
    let _ = fs::remove_dir_all(mac.world.state_dir());
    mac.run(&["--config", &once(mac), "apply", &plan]).code(3);
    let result = mac.result("execute-a");
    assert_eq!(mac.node_record("execute-a")["failure_kind"], kind, "{result}");
    assert!(result.contains(says) && result.contains(advises), "{result}");
}

#[test]
fn a_tart_that_hangs_or_is_too_old_is_named() {
    let Some(mac) = Mac::new() else { return };
    let node = || guest("execute-a", "true", &[]);
    mac.tart.faults(&["version=2.9.0"]);
    check_refused(&mac, node(), "tool_missing", "is 2.9.0", "brew upgrade");
    mac.tart.faults(&["list-hangs"]);
    check_refused(&mac, node(), "engine_down", "tart on `local` does not answer", "tart list");
    mac.tart.faults(&[]);
    assert_eq!(mac.guests(), Vec::<String>::new());
}

#[test]
fn calls_into_a_guest_that_hang_are_made_again() {
    let Some(mac) = Mac::new() else { return };
    // Looking whether it is up, and making it ready.
    mac.tart.faults(&["exec-hangs=2"]);
    let mut node = guest("execute-a", "cat file.txt", &[]);
    tart_of(&mut node).boot_timeout_secs = Some(60);
    node.spec.workspace = Workspace::Writable;
    let record = mac.apply(node, 0);
    assert_eq!(record["attempts"], 1);
    assert_eq!(mac.log("execute-a"), "content\n");
    mac.is_clean();
}

#[test]
fn an_agent_that_does_not_come_back_after_a_restart_is_given_up() {
    let Some(mac) = Mac::new() else { return };
    mac.tart.faults(&["agent-dies-at-reboot"]);
    let ended = broken(&mac, |name| {
        mac.tart.run(&["exec", name, "sudo", "/sbin/shutdown", "-r", "now"]);
    });
    let result = mac.result("execute-a");
    assert_eq!(ended["failure_kind"], "no_answer", "{result}");
    assert!(result.contains("its agent is silent"), "{result}");
    assert!(result.contains("after the guest restarted itself"), "{result}");
}

#[test]
fn a_guest_whose_disk_is_full_is_no_failure_of_its_job() {
    let Some(mac) = Mac::new() else { return };
    // No room for the supervisor; room for it, and not for what the job writes.
    mac.tart.faults(&["disk-kb=16"]);
    let fill = || guest("execute-a", "cat /dev/zero > \"$TMPDIR/x\"", &[]);
    check_refused(&mac, fill(), "disk_full", "cannot be made ready", "disk_gb");
    mac.is_clean();
    mac.tart.faults(&["disk-kb=2048"]);
    check_refused(&mac, fill(), "disk_full", "the disk of guest", "disk_gb");
    mac.is_clean();
}

#[test]
fn only_a_job_that_says_so_is_the_root_of_its_guest() {
    let Some(mac) = Mac::new() else { return };
    // The stand-in's sudo, whose users are all root, says that it was there.
    let script = "[ ! -e /var/tmp/sudo ] || echo root; echo a > \"$ARTIFACTS_DIR/a\"";
    let mut root = guest("execute-a", script, &[]);
    root.spec.command = Command::Shell { script: script.to_owned(), as_root: true };
    root.spec.artifacts = vec!["a".to_owned()];
    let plan = mac.world.plan(vec![root, guest("execute-b", script, &[])]);
    mac.run(&["apply", &plan]).code(0);
    assert_eq!(mac.log("execute-a"), "root\n");
    assert_eq!(mac.log("execute-b"), "");
    mac.is_clean();
}

/// Whether any process of this machine has a text among its arguments.
fn is_an_argument(secret: &str) -> bool {
    let all = fs::read_dir("/proc").expect("readable").flatten();
    all.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).contains(secret))
}

/// The files below a directory that hold a text.
fn holding(secret: &str, below: &Path) -> String {
    let found = std::process::Command::new("grep").args(["-rlF", secret]).arg(below).output();
    String::from_utf8_lossy(&found.expect("grep starts").stdout).into_owned()
}

#[test]
fn a_secret_is_the_jobs_alone() {
    let Some(mac) = Mac::new() else { return };
    let secret = format!("hunter2-{}-hunter2", std::process::id());
    let mut node = guest("execute-a", "echo \"token $TOKEN\"; sleep 1; echo \"$TOKEN\" >&2", &[]);
    node.spec.secrets.insert(EnvName::new("TOKEN").expect("a name"));
    let plan = mac.world.plan(vec![node]);
    let mut command = mac.command(&["apply", &plan]);
    command.env("TOKEN", &secret);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().expect("starts");
    while child.try_wait().expect("a child").is_none() {
        assert!(!is_an_argument(&secret), "it was an argument");
    }
    Ended::of(child.wait_with_output().expect("ends")).code(0);
    assert_eq!(mac.log("execute-a"), "token ***\n***\n");
    assert_eq!(holding(&secret, mac.world.path()), "");
    mac.is_clean();
}

#[test]
fn a_run_on_a_host_that_is_cancelled_deletes_its_guest() {
    let Some(mac) = Mac::far() else { return };
    let script = "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.1; done";
    let plan = mac.world.plan(vec![mac.at(guest("execute-a", script, &[]))]);
    let mut executor = mac.start(&["apply", &plan]);
    until(|| mac.log("execute-a").contains("up"));
    interrupt(&executor);
    assert_eq!(executor.wait().expect("it ends").code(), Some(130));
    assert_eq!(mac.node_record("execute-a")["outcome"], "cancelled");
    // A shell may say besides what ended the program that it waited for.
    let log = mac.log("execute-a");
    assert!(log.starts_with("up\n") && log.ends_with("asked\n"), "{log}");
    mac.is_clean();
}

#[test]
fn guests_of_a_host_that_go_under_their_job_are_told_apart() {
    let Some(mac) = Mac::far() else { return };
    let stopped = broken(&mac, |name| drop(mac.tart.run(&["stop", name])));
    assert_eq!(stopped["failure_kind"], "runtime_gone");
    assert!(mac.result("execute-a").contains("stopped under its job"));
    fs::remove_dir_all(mac.world.state_dir()).expect("removed");
    let deleted = broken(&mac, |name| {
        mac.tart.run(&["stop", name]);
        mac.tart.run(&["delete", name]);
    });
    assert_eq!(deleted["failure_kind"], "runtime_gone");
    // To be deleted it is stopped first, and whichever is seen first is said.
    let result = mac.result("execute-a");
    assert!(
        result.contains("somebody deleted guest") || result.contains("stopped under its job"),
        "{result}"
    );
}

/// With an executor killed under its guest, another one's job of the same turn has to wait until the
/// guest is gone.
fn check_turn(mac: &Mac) {
    let name = mac.world.path().file_name().expect("named").to_string_lossy().into_owned();
    let group = GroupName::new(format!("g{}", name.trim_start_matches('.'))).expect("well formed");
    let grouped = |id: &str, script: &str| {
        let mut node = mac.at(guest(id, script, &[]));
        node.concurrency_groups.insert(group.clone());
        node
    };
    let plan = mac.world.plan(vec![grouped("execute-a", "echo up; sleep 1000")]);
    let executor = mac.start(&["apply", &plan]);
    until(|| mac.log("execute-a").contains("up"));
    kill(executor);
    let held = mac.guests();
    let plan = mac.world.plan(vec![grouped("execute-b", "echo next")]);
    let mut next = mac.start(&["apply", &plan, "--state-dir", "other"]);
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(mac.guests(), held, "the next one has to wait for the guest");
    // An executor that resumes the run has its lock, and releases it.
    let mut resumed = mac.start(&["resume", "latest"]);
    std::thread::sleep(Duration::from_secs(1));
    interrupt(&resumed);
    assert_eq!(resumed.wait().expect("it ends").code(), Some(130));
    assert_eq!(next.wait().expect("it ends").code(), Some(0));
    mac.is_clean();
}

#[test]
fn a_turn_is_held_while_a_guest_runs_without_its_executor() {
    let Some(mac) = Mac::new() else { return };
    check_turn(&mac);
}

#[test]
fn a_turn_on_a_host_is_held_while_a_guest_runs_without_its_executor() {
    let Some(mac) = Mac::far() else { return };
    check_turn(&mac);
}

#[test]
fn places_for_guests_are_held_by_those_of_dead_executors() {
    let Some(mac) = Mac::new() else { return };
    let nodes = |names: [&str; 2]| {
        names.map(|id| guest(id, "echo up; sleep 1000", &[])).into_iter().collect::<Vec<_>>()
    };
    let plan = mac.world.plan(nodes(["execute-a", "execute-b"]));
    let executor = mac.start(&["apply", &plan, "--jobs", "2"]);
    until(|| ["execute-a", "execute-b"].iter().all(|id| mac.log(id).contains("up")));
    kill(executor);
    let held = mac.guests();
    assert_eq!(held.len(), 2);
    // It is told who has them, here and on the page of hosts.
    let said = mac.run(&["holders"]).code(0).out;
    for (number, id) in ["execute-a", "execute-b"].iter().enumerate() {
        assert!(said.contains(&format!("  guest {number}  held: run ")), "{said}");
        assert!(
            said.contains(&format!(", {id}, ")) && said.contains(" of its lease left"),
            "{said}"
        );
    }
    let plan = mac.world.plan(vec![guest("execute-c", "echo next", &[])]);
    let mut next = mac.start(&["apply", &plan, "--state-dir", "other"]);
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(mac.guests(), held, "a third one has to wait");
    let mut resumed = mac.start(&["resume", "latest"]);
    std::thread::sleep(Duration::from_secs(1));
    interrupt(&resumed);
    assert_eq!(resumed.wait().expect("it ends").code(), Some(130));
    assert_eq!(next.wait().expect("it ends").code(), Some(0));
    mac.is_clean();
}

#[test]
fn a_guest_whose_slot_was_lost_while_it_was_made_is_not_started() {
    let Some(mac) = Mac::new() else { return };
    // Making it takes so long that others have both slots: as if the clock of a slot were over.
    let (tart, real) = (mac.tart.bin().join("tart"), mac.tart.bin().join("real"));
    fs::rename(&tart, &real).expect("renamed");
    let script = format!(
        "#!/bin/sh\ncd \"$HOME/.forge-lanes/tart\" 2>/dev/null || exec '{real}' \"$@\"\n\
         [ \"$1\" != clone ] || for n in 0 1; do echo \"other-$n 99999999999\" >slot.$n; done\n\
         [ \"$1\" != run ] || : >started\nexec '{real}' \"$@\"\n",
        real = real.display()
    );
    crate::bench::write(&tart, &script);
    let advice = "it took longer than ten minutes to make; it is tried again";
    let node = guest("execute-a", "echo started", &[]);
    check_refused(&mac, node, "lock_lost", "lost its slot on `local` to other-0 other-1", advice);
    assert!(!mac.records().join("started").exists(), "it was started");
    // The slots are the others' still; of the guest nothing is left.
    assert_eq!(mac.guests(), Vec::<String>::new());
    assert_eq!(crate::tart::names(&mac.records()), [".lock", "slot.0", "slot.1"]);
}

#[test]
fn a_directory_of_guests_that_others_can_change_is_not_used() {
    let Some(mac) = Mac::new() else { return };
    let above = mac.world.path().join("home/.forge-lanes");
    for below in [mac.records(), above] {
        fs::create_dir_all(mac.records()).expect("made");
        let mode = |mode| fs::set_permissions(&below, fs::Permissions::from_mode(mode));
        mode(0o777).expect("set");
        let node = guest("execute-a", "echo started", &[]);
        check_refused(&mac, node, "untrusted_directory", "can be changed by others", "chmod go-w");
        mode(0o755).expect("set");
        assert_eq!(mac.guests(), Vec::<String>::new());
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(&below, Some(12_345), None).expect("changed");
            let node = guest("execute-a", "echo started", &[]);
            check_refused(&mac, node, "untrusted_directory", "belongs to somebody else", "chown");
            std::os::unix::fs::chown(&below, Some(0), None).expect("changed");
        }
    }
    fs::remove_dir_all(mac.world.state_dir()).expect("removed");
    mac.apply(guest("execute-a", "echo started", &[]), 0);
    mac.is_clean();
}
