//! Results that stand for later runs, in every placement and runtime: what is there of a node that did not run.

use std::fs;

use plans::{FilesFrom, Node, OutputName, Reuse, WorkspacePath};
use serde_json::{Value, json};

use crate::{
    harness::{Ended, node_id},
    pairs::{Pair, in_all_pairs},
};

in_all_pairs! {
    a_result_stands_for_the_next_run_of_its_key => super::reused;
}

/// Applies a plan of these nodes, whose keys are those of the whole tree.
fn apply(pair: &Pair, nodes: Vec<Node>) -> (Ended, Value) {
    let world = pair.world();
    let plan = world.plan_with_keys(nodes);
    let ended = pair.command(&["apply", &plan, "--output", "jsonl"]).output().expect("it starts");
    let ended = Ended::of(ended).code(0);
    let run = world.runs().pop().expect("a run");
    let record = fs::read(run.join("record.json")).expect("a record");
    (ended, serde_json::from_slice(&record).expect("JSON"))
}

fn node<'a>(record: &'a Value, id: &str) -> &'a Value {
    let nodes = record["nodes"].as_array().expect("nodes");
    nodes.iter().find(|node| node["id"] == id).expect("there")
}

fn reused(pair: &Pair) {
    let tool = pair.world().path().join("tool");
    fs::write(&tool, "tool 1\n").expect("written");
    let nodes = || {
        let script = "echo ran; mkdir \"$ARTIFACTS_DIR/dist\"; echo app >\"$ARTIFACTS_DIR/dist/app\"; \
                      echo version=7 >>\"$FORGE_LANES_OUTPUT\"";
        let mut build = pair.node("execute-build", script);
        build.spec.artifacts = vec!["dist/**".to_owned()];
        build.spec.outputs = [OutputName::new("version").expect("a name")].into();
        build.spec.reuse = Reuse::Passed;
        build.spec.key_commands = vec![vec!["cat".to_owned(), tool.display().to_string()]];
        let mut test = pair.node("execute-test", "cat vendor/app/app");
        test.depends_on.insert(node_id("execute-build"));
        test.takes.files.push(FilesFrom {
            node: node_id("execute-build"),
            files: vec!["dist/**".to_owned()],
            at: WorkspacePath::new("vendor/app").expect("well formed"),
        });
        vec![build, test]
    };
    let (_, first) = apply(pair, nodes());
    let ran = node(&first, "execute-build");
    assert_eq!((&ran["outcome"], &ran["reused"]), (&json!("passed"), &Value::Null), "{ran}");

    let (ended, second) = apply(pair, nodes());
    let build = node(&second, "execute-build");
    let from = &build["reused"];
    assert_eq!((&from["run_id"], &from["node"]), (&first["run_id"], &json!("execute-build")));
    assert_eq!((&build["outcome"], &build["outputs"]["version"]), (&json!("passed"), &json!("7")));
    assert_eq!(pair.file("execute-build", "guest.log"), b"ran\n");
    assert_eq!(pair.file("execute-build", "artifacts/dist/app"), b"app\n");
    // Who takes its files has them, wherever they were made.
    assert!(node(&second, "execute-test")["reused"].is_null());
    assert_eq!(pair.file("execute-test", "guest.log"), b"app\n");
    let finished = ended
        .events()
        .into_iter()
        .find(|event| event["event"] == "node_finished" && event["node"] == "execute-build");
    assert_eq!(&finished.expect("told")["reused"], from);

    fs::write(&tool, "tool 2\n").expect("written");
    let (_, third) = apply(pair, nodes());
    assert!(node(&third, "execute-build")["reused"].is_null());
    let why = pair.command(&["why", "latest", "--node", "execute-build"]).output();
    let why = Ended::of(why.expect("it starts")).code(0);
    assert!(why.out.contains("- tool 1") && why.out.contains("+ tool 2"), "{}", why.out);
}
