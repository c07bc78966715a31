//! In which order ready nodes start: what earlier runs took decides, before the order of the plan.

use std::fs;

use crate::harness::{World, sh};

/// The nodes of the newest run, in the order in which they started.
fn started(world: &World) -> Vec<String> {
    let journal = world.runs().pop().expect("a run").join("journal.jsonl");
    let text = fs::read_to_string(journal).expect("a journal");
    let entries = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    let node = |entry: serde_json::Value| {
        Some(entry.get("attempt_started")?.get("node")?.as_str()?.to_owned())
    };
    entries.filter_map(node).collect()
}

#[test]
fn the_node_on_the_longest_path_of_earlier_runs_starts_first() {
    let world = World::new();
    let nodes = vec![
        sh("execute-a", "true", &[]),
        sh("execute-b", "true", &["execute-a"]),
        sh("execute-c", "sleep 0.7", &[]),
        sh("execute-d", "true", &[]),
    ];
    let plan = world.plan(nodes);
    let apply = || world.run(&["apply", &plan, "--jobs", "1"]).code(0);
    apply();
    // Nothing is known: the longest row first, then the order of the plan.
    assert_eq!(started(&world), ["execute-a", "execute-c", "execute-d", "execute-b"]);
    apply();
    assert_eq!(started(&world)[0], "execute-c");
    // What is removed is remembered, and what cannot be read has nothing to say.
    world.run(&["gc", "--keep", "0"]).code(0);
    fs::write(world.state_dir().join("history.jsonl"), {
        let kept = fs::read_to_string(world.state_dir().join("history.jsonl")).expect("kept");
        format!("cut off\n{kept}")
    })
    .expect("written");
    apply();
    assert_eq!(started(&world)[0], "execute-c");
}
