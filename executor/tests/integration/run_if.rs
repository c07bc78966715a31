//! `run_if`: what handles a failure and what cleans up, from the plan to every report.

use plans::{Node, RunIf};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{Ended, World, lane, sh, until};

fn run_if(mut node: Node, run_if: RunIf) -> Node {
    node.run_if = run_if;
    node
}

const NAMES: [&str; 4] = ["execute-test", "execute-deploy", "execute-notify", "execute-clean"];

/// A test, what needs it, what handles its failure and what cleans up behind it.
fn nodes(test: &str) -> Vec<Node> {
    vec![
        sh("execute-test", test, &[]),
        sh("execute-deploy", "echo deployed", &["execute-test"]),
        run_if(sh("execute-notify", "echo told", &["execute-test"]), RunIf::Failed),
        run_if(sh("execute-clean", "echo clean", &["execute-deploy"]), RunIf::Always),
    ]
}

fn interrupt(run: &std::process::Child) {
    kill_process(Pid::from_child(run), Signal::INT).expect("it runs");
}

fn record(world: &World) -> Value {
    let run = world.runs().pop().expect("a run");
    let text = std::fs::read(run.join("record.json")).expect("a record");
    serde_json::from_slice(&text).expect("JSON")
}

/// Outcome and reason of each node of the latest record, in the order of [`NAMES`].
fn ends(world: &World) -> Vec<String> {
    let record = record(world);
    let nodes = record["nodes"].as_array().expect("a list").clone();
    let of = |name: &&str| {
        let node = nodes.iter().find(|node| node["id"] == **name).expect("it is there");
        let because = node["because"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
        format!("{}{because}", node["outcome"].as_str().expect("a word"))
    };
    NAMES.iter().map(of).collect()
}

#[test]
fn a_failure_is_handled_and_cleaned_up_behind_and_still_counts() {
    let world = World::new();
    let plan = world.plan_of(nodes("exit 3"), vec![lane("app", &NAMES)]);
    let ended = world.run(&["apply", &plan, "--fail-fast"]).code(1);
    assert_eq!(ended.out, "check-app · failed\n");
    let why = "skipped: `execute-test` failed";
    assert_eq!(ends(&world), ["failed", why, "passed", "passed"]);
    // What failed is done again, and what runs by its end.
    let rerun = world.run(&["rerun", "latest", "--failed"]).code(1);
    assert_eq!(ends(&world), ["failed", why, "passed", "passed"], "{}", rerun.err);
}

#[test]
fn without_a_failure_its_handler_is_not_needed_and_the_lane_passes() {
    let world = World::new();
    let plan = world.plan_of(nodes("true"), vec![lane("app", &NAMES)]);
    let junit = world.path().join("junit.xml");
    let mut apply = world.command(&["apply", &plan, "--junit"]);
    let ended = Ended::of(apply.arg(&junit).output().expect("it starts")).code(0);
    assert_eq!(ended.out, "check-app · passed\n");
    let why = "nothing it waits for failed, and it runs only after a failure";
    assert_eq!(ends(&world), ["passed", "passed", &format!("skipped: {why}"), "passed"]);
    let record = record(&world);
    assert_eq!((&record["outcome"], &record["format_version"]), (&"passed".into(), &"1.1".into()));
    let junit = std::fs::read_to_string(junit).expect("written");
    assert!(junit.contains(why) && !junit.contains("<failure"), "{junit}");
    let rerun = world.run(&["rerun", "latest", "--failed"]).code(0);
    assert!(rerun.err.contains("4 nodes not asked for"), "{}", rerun.err);
}

#[test]
fn what_cleans_up_counts_with_its_own_failure() {
    let world = World::new();
    let mut all = nodes("true");
    all[3] = run_if(sh("execute-clean", "exit 1", &["execute-deploy"]), RunIf::Always);
    let plan = world.plan_of(all, vec![lane("app", &NAMES)]);
    let ended = world.run(&["apply", &plan]).code(1);
    assert_eq!(ended.out, "check-app · failed\n");
}

#[test]
fn a_timeout_is_a_failure_to_handle() {
    let world = World::new();
    let mut all = nodes("sleep 300");
    all[0].spec.timeout_secs = 1;
    world.run(&["apply", &world.plan(all)]).code(1);
    let why = "skipped: `execute-test` timed out";
    assert_eq!(ends(&world), ["timed_out", why, "passed", "passed"]);
}

#[test]
fn a_node_that_is_asked_for_alone_runs_whatever_its_condition() {
    let world = World::new();
    let plan = world.plan(nodes("exit 3"));
    for name in ["execute-notify", "execute-clean"] {
        world.run(&["apply", &plan, "--only", name]).code(0);
    }
}

#[test]
fn the_first_stop_leaves_time_to_clean_up_bounded_by_its_timeout() {
    for (script, timeout, outcome) in
        [("echo clean >cleaned", 60, "passed"), ("sleep 300", 1, "timed_out")]
    {
        let world = World::new();
        let started = world.path().join("started");
        let mut all = nodes(&format!("touch {}; sleep 300", started.display()));
        all[3] = run_if(sh("execute-clean", script, &["execute-deploy"]), RunIf::Always);
        all[3].spec.timeout_secs = timeout;
        all[3].spec.workspace = plans::Workspace::Writable;
        let plan = world.plan(all);
        let run = world.start(&["apply", &plan]);
        until(|| started.exists());
        interrupt(&run);
        Ended::of(run.wait_with_output().expect("it ends")).code(130);
        let why = "skipped: the run was stopped: interrupted from the terminal";
        assert_eq!(ends(&world), ["cancelled", why, why, outcome]);
    }
}

#[test]
fn a_stop_does_not_end_what_runs_in_any_case_and_the_second_does() {
    let world = World::new();
    let (started, go) = (world.path().join("started"), world.path().join("go"));
    let script =
        format!("touch {}; while [ ! -e {} ]; do sleep 0.1; done", started.display(), go.display());
    let one = || vec![run_if(sh("execute-clean", &script, &[]), RunIf::Always)];
    let plan = world.plan(one());
    let run = world.start(&["apply", &plan]);
    until(|| started.exists());
    interrupt(&run);
    until(|| journal(&world).contains("stopping"));
    std::fs::write(&go, "").expect("written");
    Ended::of(run.wait_with_output().expect("it ends")).code(0);
    assert_eq!(record(&world)["nodes"][0]["outcome"], "passed");

    let world = World::new();
    let started = world.path().join("started");
    let script = format!("touch {}; sleep 300", started.display());
    let plan = world.plan(vec![run_if(sh("execute-clean", &script, &[]), RunIf::Always)]);
    let run = world.start(&["apply", &plan]);
    until(|| started.exists());
    interrupt(&run);
    until(|| journal(&world).contains("stopping"));
    interrupt(&run);
    Ended::of(run.wait_with_output().expect("it ends")).code(130);
    assert_eq!(record(&world)["nodes"][0]["outcome"], "cancelled");
}

fn journal(world: &World) -> String {
    std::fs::read_to_string(world.runs()[0].join("journal.jsonl")).unwrap_or_default()
}

#[test]
fn a_run_resumed_behind_any_line_of_its_journal_ends_the_same() {
    for (test, stopped) in [("exit 3", false), ("true", false), ("exit 3", true)] {
        let world = World::new();
        let plan = world.plan_of(nodes(test), vec![lane("app", &NAMES)]);
        let code = i32::from(test != "true");
        let whole = world.run(&["apply", &plan]).code(code);
        let expected = ends(&world);
        let run = world.runs()[0].clone();
        let path = run.join("journal.jsonl");
        let text = std::fs::read_to_string(&path).expect("readable");
        let lines: Vec<&str> = text.trim_end_matches('\0').lines().collect();
        for kept in 1..lines.len() {
            let mut entries = lines[..kept].join("\n") + "\n";
            if stopped {
                entries += r#"{"stopping":{"at":"2026-01-01T00:00:00Z","reason":"somebody"}}"#;
                entries += "\n";
            }
            std::fs::write(&path, entries).expect("written");
            let _ = std::fs::remove_file(run.join("record.json"));
            let ended = world.run(&["resume", "latest"]);
            if stopped {
                let clean = ends(&world)[3].clone();
                assert_eq!(clean, "passed", "{kept} lines: {}", ended.err);
            } else {
                assert_eq!(ended.code(code).out, whole.out, "{kept} lines");
                assert_eq!(ends(&world), expected, "{kept} lines");
            }
        }
    }
}
