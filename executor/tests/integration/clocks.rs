//! A clock that somebody sets while a run goes on: `libfaketime` lies to the real program about the time of day.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use executor::event;
use serde_json::Value;

use crate::harness::{Ended, World, outcomes, sh, until};

/// A world whose time of day is what a file says.
struct Clock {
    world: World,
    library: PathBuf,
}

impl Clock {
    /// `None`: the library is not installed; under CI that is a failure.
    fn new() -> Option<Self> {
        let found = fs::read_dir("/usr/lib").ok()?.flatten().find_map(|entry| {
            let library = entry.path().join("faketime/libfaketimeMT.so.1");
            library.exists().then_some(library)
        });
        let Some(library) = found else {
            assert!(
                std::env::var_os("CI").is_none(),
                "libfaketime is missing: scripts/bootstrap engines"
            );
            return None;
        };
        let clock = Self { world: World::new(), library };
        clock.set("+0");
        Some(clock)
    }

    /// So much later or earlier than it is.
    fn set(&self, by: &str) {
        let file = self.world.path().join("clock");
        let new = file.with_extension("new");
        fs::write(&new, format!("{by}\n")).expect("written");
        fs::rename(new, file).expect("set");
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(arguments);
        command
            .env("LD_PRELOAD", &self.library)
            .env("FAKETIME_TIMESTAMP_FILE", self.world.path().join("clock"))
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            .env("NO_FAKE_STAT", "1");
        command
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().expect("the program starts"))
    }
}

/// Days between the time of day and what a record says.
fn days_off(record: &Value, field: &str) -> i64 {
    let at: jiff::Timestamp = record[field].as_str().expect("text").parse().expect("a time");
    at.duration_since(jiff::Timestamp::now()).as_hours() / 24
}

#[test]
fn a_clock_that_jumps_under_a_run_changes_no_verdict_and_no_duration() {
    let Some(clock) = Clock::new() else { return };
    let world = &clock.world;
    let dir = world.path().display().to_string();
    let step = |name: &str| {
        format!("touch {dir}/{name}; until [ -e {dir}/{name}.go ]; do sleep 0.01; done")
    };
    let plan = world.plan(vec![
        sh("execute-first", &step("first"), &[]),
        sh("execute-second", &step("second"), &["execute-first"]),
        sh("execute-third", "exit 3", &["execute-second"]),
    ]);
    let child = clock.command(&["apply", &plan, "--output", "jsonl", "--junit", "junit.xml"]);
    let child = { child }.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    for (name, by) in [("first", "+40d"), ("second", "-4000d")] {
        until(|| world.path().join(name).exists());
        clock.set(by);
        fs::write(world.path().join(format!("{name}.go")), "").expect("written");
    }
    let ended = Ended::of(child.wait_with_output().expect("it ends")).code(1);
    assert!(!ended.err.contains("warning"), "{}", ended.err);
    let record = world.record();
    assert_eq!(
        outcomes(&record).into_values().collect::<Vec<_>>(),
        ["passed", "passed", "failed"],
        "{record:#}"
    );
    assert!(
        days_off(&record, "started_at").abs() <= 1 && days_off(&record, "finished_at") < -3990,
        "the jump was seen"
    );
    for node in record["nodes"].as_array().expect("nodes") {
        let took = node["duration_ms"].as_u64().expect("a number");
        assert!(took < 60_000, "{node:#}");
    }
    assert!(
        ended
            .events()
            .iter()
            .all(|one| one["format_version"].is_null() || one["format_version"] == event::VERSION)
    );
    let junit = fs::read_to_string(world.repo().join("junit.xml")).expect("a report");
    assert!(junit.contains("time=\"") && !junit.contains("time=\"-"), "{junit}");
    // Everything else reads such a record as well.
    let run = world.runs().pop().expect("a run");
    let run = run.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
    for arguments in [&["list"][..], &["status"], &["report", "--html", "report.html"], &["gc"]] {
        clock.run(arguments).code(0);
    }
    clock.run(&["rerun", "--failed", &run]).code(1);
}

#[test]
fn a_run_is_taken_up_again_although_the_clock_was_set_meanwhile() {
    let Some(clock) = Clock::new() else { return };
    let world = &clock.world;
    let dir = world.path().display().to_string();
    let script = format!(
        "echo once >> {dir}/ran; touch {dir}/runs; until [ -e {dir}/go ]; do sleep 0.01; done"
    );
    let plan = world.plan(vec![sh("execute-it", &script, &[])]);
    for (round, by) in ["+400d", "-400d"].into_iter().enumerate() {
        let mut child = clock.command(&["apply", &plan]);
        let child = child.stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = child.spawn().expect("started");
        until(|| world.path().join("runs").exists());
        child.kill().expect("killed");
        child.wait().expect("gone");
        clock.set(by);
        let run = world
            .runs()
            .into_iter()
            .find(|run| !run.join("record.json").exists())
            .expect("an open run");
        fs::write(world.path().join("go"), "").expect("written");
        clock
            .run(&["resume", run.file_name().and_then(|name| name.to_str()).expect("a name")])
            .code(0);
        let ran = fs::read_to_string(world.path().join("ran")).expect("it ran");
        assert_eq!(ran.lines().count(), round + 1, "once each");
        for name in ["runs", "go"] {
            fs::remove_file(world.path().join(name)).expect("removed");
        }
        let left = clock.run(&["gc", "--dry-run"]).code(0);
        assert!(!left.out.contains("execute-it"), "{}", left.out);
    }
}
