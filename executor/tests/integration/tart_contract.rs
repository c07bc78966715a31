//! The stand-in keeps the contract of `tart`: the conformance script that a user can run on a Mac
//! passes against it, and a guest leaves nothing behind.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::stand_in::Tart;

/// Far beyond what anything here takes: only a hang reaches it.
const PATIENCE: Duration = Duration::from_secs(60);

#[track_caller]
fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[track_caller]
fn started(tart: &Tart, name: &str) -> Child {
    let run = tart.command("tart").args(["run", name, "--no-graphics"]).spawn();
    let run = run.expect("the stand-in can be started");
    eventually("the guest agent answers", || tart.run(&["exec", name, "true"]).status.success());
    run
}

/// Processes of the host whose command line holds this word.
fn processes_with(word: &str) -> usize {
    let entries = fs::read_dir("/proc").expect("/proc is mounted").flatten();
    entries
        .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
        .filter(|line| line.windows(word.len()).any(|part| part == word.as_bytes()))
        .count()
}

#[test]
fn the_conformance_script_passes_against_the_stand_in() {
    let Some(tart) = Tart::new() else { return };
    tart.create("base");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/tart-conformance");
    let output = tart
        .command("sh")
        .arg(script)
        .args(["--stand-in", "base"])
        .output()
        .expect("the script can be started");
    let report = String::from_utf8_lossy(&output.stdout);
    let talk = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{report}\n{talk}");
    assert!(report.ends_with(" passed, 0 failed\n"), "{report}\n{talk}");
    let left = tart.run(&["list", "-q"]);
    assert_eq!(String::from_utf8_lossy(&left.stdout), "base\n", "the clones are gone");
}

#[test]
fn a_guest_dies_whole_when_its_run_is_killed() {
    let Some(tart) = Tart::new() else { return };
    tart.create("guest");
    let mut run = started(&tart, "guest");
    // A number that no other process has in its command line.
    let seconds = format!("86{:07}", std::process::id());
    let script = format!("setsid sleep {seconds} >/dev/null 2>&1 & trap '' TERM; sleep {seconds}");
    let mut exec = tart.command("tart").args(["exec", "guest", "sh", "-c", &script]).spawn();
    let exec = exec.as_mut().expect("the stand-in can be started");
    eventually("the guest is at work", || processes_with(&format!("sleep\0{seconds}")) == 2);

    run.kill().expect("it runs");
    run.wait().expect("it is our child");
    eventually("no process of the guest is left", || processes_with(&seconds) <= 1);
    let exec = exec.wait().expect("it is our child");
    assert_eq!(exec.code(), Some(1), "exec sees a broken connection");
    eventually("no process of the guest is left", || processes_with(&seconds) == 0);
    let deleted = tart.run(&["delete", "guest"]);
    assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
    assert_eq!(fs::read_dir(tart.home().join("vms")).expect("it is there").count(), 0);
}

#[test]
fn a_guest_that_restarts_itself_stays_in_its_run_and_finds_its_new_root_entries() {
    let Some(tart) = Tart::new() else { return };
    tart.create("guest");
    let run = started(&tart, "guest");
    let restart =
        "printf 'nix\\n' >/etc/synthetic.conf; touch /tmp/gone; sudo /sbin/shutdown -r now";
    tart.run(&["exec", "guest", "sh", "-c", restart]);
    eventually("the guest is back with /nix", || {
        tart.run(&["exec", "guest", "test", "-d", "/nix", "-a", "!", "-e", "/tmp/gone"])
            .status
            .success()
    });
    stopped(&tart, run);
}

#[test]
fn the_agent_comes_back_when_a_job_kills_everything() {
    let Some(tart) = Tart::new() else { return };
    tart.create("guest");
    let run = started(&tart, "guest");
    let cut = tart.run(&["exec", "guest", "sh", "-c", "sleep 600 & kill -9 -1"]);
    assert!(!cut.status.success(), "the agent died with the rest");
    eventually("the guest agent answers again", || {
        tart.run(&["exec", "guest", "true"]).status.success()
    });
    stopped(&tart, run);
}

#[test]
fn the_agent_can_be_lost_for_good_when_a_guest_restarts_itself() {
    let Some(tart) = Tart::new() else { return };
    tart.create("guest");
    let run = started(&tart, "guest");
    tart.faults(&["agent-dies-at-reboot"]);
    tart.run(&["exec", "guest", "sudo", "/sbin/reboot"]);
    eventually("the agent is gone", || !tart.run(&["exec", "guest", "true"]).status.success());
    for _ in 0..5 {
        assert_eq!(tart.run(&["exec", "guest", "true"]).status.code(), Some(1));
    }
    tart.faults(&[]);
    stopped(&tart, run);
}

#[test]
fn a_run_that_dies_by_itself_leaves_a_stopped_guest() {
    let Some(tart) = Tart::new() else { return };
    tart.create("guest");
    tart.faults(&["run-dies-after-ms=300"]);
    let run = tart.command("tart").args(["run", "guest", "--no-graphics"]).status();
    assert_eq!(run.expect("the stand-in can be started").code(), None, "killed");
    let exec = tart.run(&["exec", "guest", "true"]);
    assert_eq!(exec.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&exec.stderr), "VM \"guest\" is not running\n");
}

#[test]
fn a_guest_sees_nothing_of_the_host_but_its_shares() {
    let Some(tart) = Tart::new() else { return };
    tart.create("guest");
    let secret = tart.scratch().join("of-the-host");
    fs::write(&secret, "x").expect("the directory is ours");
    let run = started(&tart, "guest");
    let looked = tart.run(&["exec", "guest", "cat", &secret.to_string_lossy()]);
    assert!(!looked.status.success(), "the guest reads a file of the host");
    stopped(&tart, run);
}

#[test]
fn a_tagged_share_is_mounted_where_the_guest_asks() {
    let Some(tart) = Tart::new() else { return };
    tart.create("guest");
    fs::write(tart.scratch().join("file"), "shared").expect("the directory is ours");
    let share = format!("--dir=store:{}:ro,tag=toolchain", tart.scratch().display());
    let mut run = tart
        .command("tart")
        .args(["run", "guest", "--no-graphics", &share])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the stand-in can be started");
    eventually("the guest agent answers", || tart.run(&["exec", "guest", "true"]).status.success());
    let script = "mkdir ~/t; /sbin/mount_virtiofs toolchain ~/t; cat ~/t/store/file; \
                  touch ~/t/store/written || echo refused; ls '/Volumes/My Shared Files'";
    let seen = tart.run(&["exec", "guest", "sh", "-c", script]);
    assert_eq!(String::from_utf8_lossy(&seen.stdout), "sharedrefused\n");
    assert!(tart.run(&["stop", "guest"]).status.success());
    let said = BufReader::new(run.stdout.take().expect("it is piped")).lines().next();
    assert_eq!(said.and_then(Result::ok).as_deref(), Some("Stopping VM..."));
    assert_eq!(run.wait().expect("it is our child").code(), Some(0));
}

#[test]
fn an_interrupted_run_ends_with_zero() {
    let Some(tart) = Tart::new() else { return };
    tart.create("guest");
    let mut run = started(&tart, "guest");
    rustix::process::kill_process(Pid::from_child(&run), Signal::INT).expect("it runs");
    assert_eq!(run.wait().expect("it is our child").code(), Some(0));
}

#[test]
fn suspending_keeps_a_snapshot_that_stop_drops() {
    let Some(tart) = Tart::new() else { return };
    tart.create("guest");
    let mut run = started(&tart, "guest");
    assert!(tart.run(&["suspend", "guest"]).status.success());
    assert_eq!(run.wait().expect("it is our child").code(), Some(0));
    let state = || {
        let listed = tart.run(&["list", "--format", "json"]);
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).expect("it is JSON");
        listed[0]["State"].as_str().map(ToOwned::to_owned)
    };
    assert_eq!(state().as_deref(), Some("suspended"));
    assert!(tart.run(&["stop", "guest"]).status.success());
    assert_eq!(state().as_deref(), Some("stopped"));
}

#[test]
fn shares_that_flap_are_sometimes_not_found() {
    let Some(tart) = Tart::new() else { return };
    tart.create("guest");
    fs::write(tart.scratch().join("file"), "shared").expect("the directory is ours");
    tart.faults(&["shares-flap-ms=30"]);
    let share = format!("--dir=src:{}:ro", tart.scratch().display());
    let run = tart.command("tart").args(["run", "guest", "--no-graphics", &share]).spawn();
    let run = run.expect("the stand-in can be started");
    let file = "/Volumes/My Shared Files/src/file";
    eventually("the guest agent answers", || tart.run(&["exec", "guest", "true"]).status.success());
    for found in [true, false, true] {
        eventually("the share comes and goes", || {
            tart.run(&["exec", "guest", "cat", file]).status.success() == found
        });
    }
    tart.faults(&[]);
    stopped(&tart, run);
}

#[track_caller]
fn stopped(tart: &Tart, mut run: Child) {
    let stop = tart.run(&["stop", "guest"]);
    assert!(stop.status.success(), "{}", String::from_utf8_lossy(&stop.stderr));
    assert_eq!(run.wait().expect("it is our child").code(), Some(0));
}
