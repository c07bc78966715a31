//! The main job: a plan becomes a run.

use crate::harness::{World, git, lane, outcomes, sh};

#[test]
fn a_plan_without_nodes_is_a_skipped_run() {
    let world = World::new();
    let path = world.plan_of(Vec::new(), vec![lane("docs", &[])]);
    let ended = world.run(&["apply", &path]).code(0);
    assert_eq!(ended.out, "check-docs · skipped\n");
    let record = world.record();
    assert_eq!(record["outcome"], "skipped");
    assert!(outcomes(&record).is_empty());
}

#[test]
fn nodes_run_in_order_and_lanes_get_their_verdicts() {
    let world = World::new();
    let path = world.plan_of(
        vec![
            sh("execute-good", "cat file.txt; echo done >&2", &[]),
            sh("execute-bad", "exit 7", &["execute-good"]),
            sh("execute-after", "true", &["execute-bad"]),
        ],
        vec![
            lane("good", &["execute-good"]),
            lane("bad", &["execute-bad", "execute-after"]),
            lane("idle", &[]),
        ],
    );
    let ended = world.run(&["apply", &path]).code(1);
    assert_eq!(ended.out, "check-good · passed\ncheck-bad · failed\ncheck-idle · skipped\n");
    let record = world.record();
    assert_eq!(record["outcome"], "failed");
    assert_eq!(record["nodes"][0]["placement"], "local");
    assert_eq!(record["nodes"][0]["runtime"], "host_process");
    assert_eq!(record["nodes"][1]["exit_code"], 7);
    assert_eq!(record["nodes"][2]["because"], "`execute-bad` failed");
    let run = &world.runs()[0];
    let log = std::fs::read_to_string(run.join("nodes/execute-good/guest.log")).expect("a log");
    assert_eq!(log, "content\ndone\n");
}

#[test]
fn a_submodule_is_named_once_since_jobs_see_an_empty_directory() {
    let mut world = World::new();
    let commit = ["-C", "lib", "commit", "-q", "--allow-empty", "-m", "one"];
    for words in [&["init", "-q", "lib"][..], &commit] {
        git(world.path(), words);
    }
    world.commit(&[(".gitmodules", "[submodule \"lib\"]\n\tpath = lib\n\turl = ../lib\n")]);
    let look = "test -z \"$(ls -A lib)\"";
    let path = world.plan(vec![sh("execute-a", look, &[]), sh("execute-b", look, &[])]);
    let ended = world.run(&["apply", &path]).code(0);
    let said = "submodules are empty directories to jobs, nothing is fetched: `lib`;";
    assert_eq!(ended.err.matches(said).count(), 1, "{}", ended.err);
}

#[test]
fn every_node_is_told_once_in_the_event_stream() {
    let world = World::new();
    let path = world.plan(vec![
        sh("execute-a", "true", &[]),
        sh("execute-b", "exit 3", &["execute-a"]),
        sh("execute-c", "true", &["execute-b"]),
    ]);
    let ended = world.run(&["apply", &path, "--output", "jsonl"]).code(1);
    let events = ended.events();
    assert_eq!(events.first().expect("an event")["event"], "run_started");
    assert_eq!(events.last().expect("an event")["event"], "run_finished");
    assert_eq!(events.last().expect("an event")["outcome"], "failed");
    let run = world.runs()[0].file_name().expect("named").to_str().expect("UTF-8").to_owned();
    assert!(events.iter().all(|event| event["run_id"] == run.as_str()));
    let finished: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "node_finished")
        .map(|event| {
            (event["node"].as_str().expect("text"), event["outcome"].as_str().expect("text"))
        })
        .collect();
    assert_eq!(
        finished,
        [("execute-a", "passed"), ("execute-b", "failed"), ("execute-c", "skipped")]
    );
}
