//! Nodes that pass and say nothing leave little behind: whoever is killed around their ends, none runs twice, and nothing
//! is left of them.

use std::{
    collections::BTreeMap,
    fs,
    process::{Child, Stdio},
};

use plans::Node;
use rustix::process::Signal;
use serde_json::Value;

use crate::{
    harness::{Random, World, sh, until},
    sshd::{children_of, signal},
};

/// How many nodes: enough that most instants are near the end of one.
const NODES: usize = 150;

/// Every job adds a byte to a file of its own, and says nothing.
fn nodes(world: &World) -> Vec<Node> {
    let ran = world.path().join("ran");
    fs::create_dir_all(&ran).expect("made");
    let script = |id: &str| format!("printf x >>'{}/{id}'", ran.display());
    let ids = (0..NODES).map(|number| format!("execute-{number}"));
    ids.map(|id| sh(&id, &script(&id), &[])).collect()
}

/// How often each node ran.
fn runs_of(world: &World) -> BTreeMap<String, u64> {
    let files = fs::read_dir(world.path().join("ran")).expect("a directory").flatten();
    let of = |file: fs::DirEntry| {
        let length = file.metadata().expect("it is there").len();
        (file.file_name().into_string().expect("UTF-8"), length)
    };
    files.map(of).collect()
}

/// Starts the program, whose words nobody reads.
fn start(world: &World, arguments: &[&str]) -> Child {
    let mut command = world.command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("the program starts")
}

/// Whether a child of an executor is a supervisor: git is another one.
fn is_supervisor(pid: u32) -> bool {
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).any(|word| word == b"__supervise")
}

/// How many runs are disturbed: one, or `FORGE_LANES_KILLS`.
fn rounds() -> u64 {
    std::env::var("FORGE_LANES_KILLS").ok().and_then(|count| count.parse().ok()).unwrap_or(1)
}

/// Brings a run to its end, whoever was killed, and checks what is left of it.
fn finish(world: &World, seed: u64) {
    // Where the last executor got to the end of the run there is nothing to do.
    let resumed = world.run(&["resume", "latest"]);
    let record = world.record();
    assert_eq!(record["outcome"], "passed", "seed {seed}: {}", resumed.err);
    let run = &world.runs()[0];
    let journal = fs::read_to_string(run.join("journal.jsonl")).expect("a journal");
    let ran = runs_of(world);
    for node in record["nodes"].as_array().expect("nodes") {
        let id = node["id"].as_str().expect("named");
        assert_eq!(node["outcome"], "passed", "seed {seed}: {node:#}");
        // One that was lost may have run, or not; none is made after one that passed.
        let (attempts, times) = (node["attempts"].as_u64().expect("a number"), ran[id]);
        assert!((1..=attempts).contains(&times), "seed {seed}: {times} times: {node:#}");
        let named = format!("\"{id}\"");
        let verdicts =
            journal.lines().filter(|line| line.contains("node_finished") && line.contains(&named));
        assert_eq!(verdicts.count(), 1, "seed {seed}: {id}");
        let dir = run.join("nodes").join(id);
        let result = fs::read(dir.join("result.json")).expect("a result");
        let result: Value = serde_json::from_slice(&result).expect("JSON");
        assert_eq!(result["outcome"], "passed", "seed {seed}: {id}");
        let log = fs::read(dir.join("guest.log")).unwrap_or_default();
        assert_eq!(String::from_utf8_lossy(&log), "", "seed {seed}: {id}");
    }
    world.run(&["gc"]).code(0);
    assert_eq!(world.run(&["gc", "--dry-run"]).code(0).out, "", "seed {seed}");
}

#[test]
fn no_node_runs_twice_whenever_its_executor_is_killed() {
    for seed in 0..rounds() {
        let world = World::new();
        let mut random = Random::new(seed);
        let plan = world.plan(nodes(&world));
        let mut executor = start(&world, &["apply", &plan, "--jobs", "4"]);
        until(|| world.runs().first().is_some_and(|run| run.join("journal.jsonl").exists()));
        // Longer each time: on a busy machine an executor takes a while to come to the first node.
        for most in (120..).step_by(60) {
            random.sleep(most);
            let is_over = executor.try_wait().expect("asked").is_some();
            let _ = executor.kill();
            executor.wait().expect("it ends");
            if is_over {
                break;
            }
            executor = start(&world, &["resume", "latest", "--jobs", "4"]);
        }
        finish(&world, seed);
        let record = world.record();
        for node in record["nodes"].as_array().expect("nodes") {
            assert_eq!(node["attempts"], 1, "seed {seed}: {node:#}");
        }
    }
}

#[test]
fn no_node_that_passed_runs_again_whenever_its_supervisor_is_killed() {
    for seed in 0..rounds() {
        let world = World::new();
        let mut random = Random::new(seed);
        let plan = world.plan(nodes(&world));
        let config = world.path().join("executor.toml");
        fs::write(&config, "version = 1\ninfra_retries = 9\n").expect("written");
        let config = config.to_str().expect("UTF-8");
        let mut executor = start(&world, &["apply", &plan, "--jobs", "4", "--config", config]);
        for _ in 0..12 {
            random.sleep(20);
            if executor.try_wait().expect("asked").is_some() {
                break;
            }
            let mut supervisors = children_of(executor.id());
            supervisors.retain(|pid| is_supervisor(*pid));
            if let Some(&supervisor) = random.one_of(&supervisors) {
                signal(supervisor, Signal::KILL);
            }
        }
        executor.wait().expect("it ends");
        finish(&world, seed);
    }
}
