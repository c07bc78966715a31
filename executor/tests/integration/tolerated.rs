//! What a job's failure means: `allow_failure` and `retry_on`, from the plan to every report.

use plans::{AllowFailure, AllowedCodes, FailedOutcome, Node, RetryOn};
use serde_json::Value;

use crate::harness::{Ended, World, lane, sh};

fn codes(of: &[u8]) -> plans::ExitCodes {
    of.iter().filter_map(|&code| std::num::NonZeroU8::new(code)).collect()
}

fn allowed(mut node: Node, exit_codes: &[u8]) -> Node {
    node.spec.allow_failure = Some(match exit_codes {
        [] => AllowFailure::ANY,
        some => AllowFailure::Some(AllowedCodes { exit_codes: codes(some) }),
    });
    node
}

#[test]
fn a_tolerated_failure_is_told_everywhere_and_counts_nowhere() {
    let world = World::new();
    let nodes = vec![
        allowed(sh("execute-red", "echo known; exit 7", &[]), &[]),
        sh("execute-after", "true", &["execute-red"]),
    ];
    let plan = world.plan_of(nodes, vec![lane("app", &["execute-red", "execute-after"])]);
    let (junit, summary) = (world.path().join("junit.xml"), world.path().join("summary.md"));
    let mut apply = world.command(&["apply", &plan, "--fail-fast", "--junit"]);
    apply.arg(&junit).env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    let ended = Ended::of(apply.output().expect("the program starts")).code(0);
    assert_eq!(ended.out, "check-app · passed with 1 tolerated failure\n");
    assert!(ended.err.contains("failed  execute-red (tolerated)"), "{}", ended.err);
    assert!(
        ended.err.contains("::warning title=execute-red failed (tolerated)::"),
        "{}",
        ended.err
    );
    assert!(!ended.err.contains("::error"), "{}", ended.err);

    let record = world.record();
    assert_eq!((&record["outcome"], &record["format_version"]), (&"passed".into(), &"1.1".into()));
    let [red, after] = [&record["nodes"][0], &record["nodes"][1]];
    assert_eq!((&red["outcome"], &red["tolerated"]), (&"failed".into(), &true.into()));
    assert_eq!((&after["outcome"], &after["tolerated"]), (&"passed".into(), &Value::Null));
    assert_eq!(record["lanes"][0]["tolerated"], 1);

    let read = |path| std::fs::read_to_string(path).expect("written");
    let junit = read(junit);
    assert!(junit.contains(r#"<skipped message="tolerated failure: it exited with 7""#), "{junit}");
    assert!(!junit.contains("<failure") && junit.contains("known"), "{junit}");
    assert!(read(summary).contains("| check-app | passed with 1 tolerated failure |"));
    let status = world.run(&["status"]).code(0).out;
    assert!(status.contains("failed  execute-red (tolerated)"), "{status}");
    assert!(status.ends_with("check-app · passed with 1 tolerated failure\n"), "{status}");
    let told = world.run(&["report", "latest", "--markdown", "-"]).code(0).out;
    assert!(told.contains("| ✅ | check-app | passed with 1 tolerated failure |"), "{told}");
    assert!(told.contains("tolerated · it exited with 7"), "{told}");
    let page = world.path().join("page.html");
    world.run(&["report", "latest", "--html", page.to_str().expect("UTF-8")]).code(0);
    assert!(read(page).contains("passed with 1 tolerated failure"));
    assert!(ended.err.contains(" passed: 1 passed, 1 tolerated failure\n"), "{}", ended.err);
    // Nothing of it is to be done again.
    let rerun = world.run(&["rerun", "latest", "--failed"]).code(0);
    assert!(rerun.err.contains("2 nodes not asked for"), "{}", rerun.err);
}

#[test]
fn events_say_which_failure_is_tolerated() {
    let world = World::new();
    let plan = world.plan(vec![allowed(sh("execute-red", "exit 7", &[]), &[7])]);
    let events = world.run(&["apply", &plan, "--output", "jsonl"]).code(0).events();
    let finished = events.iter().find(|event| event["event"] == "node_finished").expect("told");
    assert_eq!((&finished["outcome"], &finished["tolerated"]), (&"failed".into(), &true.into()));
    assert_eq!(events.last().expect("events")["lanes"][0]["tolerated"], 1);
}

#[test]
fn only_the_exit_codes_that_are_named_are_tolerated() {
    for (script, names, code) in [
        ("exit 77", &[77][..], 0),
        ("exit 78", &[77], 1),
        ("kill -9 $$", &[77, 137], 1),
        ("kill -9 $$", &[], 0),
    ] {
        let world = World::new();
        let plan = world.plan(vec![allowed(sh("execute-red", script, &[]), names)]);
        world.run(&["apply", &plan]).code(code);
        assert_eq!(world.record()["nodes"][0]["outcome"], "failed", "{script}");
    }
    for (names, code) in [(&[77][..], 1), (&[], 0)] {
        let world = World::new();
        let mut slow = allowed(sh("execute-slow", "sleep 300", &[]), names);
        slow.spec.timeout_secs = 1;
        world.run(&["apply", &world.plan(vec![slow])]).code(code);
        assert_eq!(world.record()["nodes"][0]["outcome"], "timed_out");
    }
}

#[test]
fn a_failure_that_counts_hides_no_tolerated_one() {
    let world = World::new();
    let nodes = vec![
        allowed(sh("execute-a", "exit 1", &[]), &[]),
        sh("execute-b", "exit 1", &["execute-a"]),
        sh("execute-c", "true", &["execute-b"]),
    ];
    let names = ["execute-a", "execute-b", "execute-c"];
    let plan = world.plan_of(nodes, vec![lane("app", &names)]);
    let ended = world.run(&["apply", &plan]).code(1);
    assert_eq!(ended.out, "check-app · failed with 1 tolerated failure\n");
    assert_eq!(world.record()["nodes"][2]["because"], "`execute-b` failed");
}

#[test]
fn a_job_is_run_again_only_after_the_failures_that_are_named() {
    let attempts = |script: &str, on: RetryOn| {
        let world = World::new();
        let mut node = sh("execute-flaky", script, &[]);
        (node.spec.retries, node.spec.timeout_secs) = (2, 1);
        node.spec.retry_on = Some(on);
        world.run(&["apply", &world.plan(vec![node])]).code(1);
        world.record()["nodes"][0]["attempts"].as_u64().expect("a number")
    };
    let on = |exit_codes: &[u8], outcomes: &[FailedOutcome]| RetryOn {
        exit_codes: codes(exit_codes),
        outcomes: outcomes.iter().copied().collect(),
    };
    assert_eq!(attempts("exit 75", on(&[75], &[])), 3);
    assert_eq!(attempts("exit 74", on(&[75], &[])), 1);
    assert_eq!(attempts("exit 74", on(&[75], &[FailedOutcome::TimedOut])), 1);
    assert_eq!(attempts("sleep 300", on(&[75], &[FailedOutcome::TimedOut])), 3);
    assert_eq!(attempts("exit 3", on(&[], &[FailedOutcome::Failed])), 3);
}

#[test]
fn a_resumed_run_knows_what_was_tolerated() {
    let world = World::new();
    let nodes = vec![
        allowed(sh("execute-red", "exit 7", &[]), &[7]),
        sh("execute-after", "true", &["execute-red"]),
    ];
    let plan = world.plan_of(nodes, vec![lane("app", &["execute-red", "execute-after"])]);
    world.run(&["apply", &plan]).code(0);
    let run = world.runs()[0].clone();
    let journal = run.join("journal.jsonl");
    let whole = std::fs::read_to_string(&journal).expect("readable");
    let lines: Vec<&str> = whole.trim_end_matches('\0').lines().collect();
    // As if the executor had died behind any of its lines.
    for kept in 1..lines.len() {
        std::fs::write(&journal, lines[..kept].join("\n") + "\n").expect("written");
        let _ = std::fs::remove_file(run.join("record.json"));
        let ended = world.run(&["resume", "latest"]).code(0);
        assert_eq!(ended.out, "check-app · passed with 1 tolerated failure\n", "{kept} lines");
    }
}
