//! Records of every released version stay readable, in every command.

use serde_json::Value;

use crate::harness::{World, sh};

/// Every record that a release has ever written, as a run of this world.
fn fixtures() -> Vec<(String, String)> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/records");
    let mut found: Vec<(String, String)> = std::fs::read_dir(directory)
        .expect("the directory is there")
        .map(|entry| {
            let path = entry.expect("readable").path();
            let text = std::fs::read_to_string(&path).expect("readable");
            (path.file_name().expect("named").to_string_lossy().into_owned(), text)
        })
        .collect();
    found.sort();
    assert!(found.len() >= 2, "the fixtures are gone");
    found
}

#[test]
fn a_record_of_any_release_loads_in_every_command() {
    for (name, text) in fixtures() {
        let world = World::new();
        let record: Value = serde_json::from_str(&text).expect("JSON");
        let run = record["run_id"].as_str().expect("text");
        // A record alone, as a pruned or copied run has it.
        let dir = world.state_dir().join("runs").join(run);
        std::fs::create_dir_all(&dir).expect("made");
        std::fs::write(dir.join("record.json"), &text).expect("written");

        let list: Value =
            serde_json::from_str(&world.run(&["list", "--json"]).code(0).out).expect("JSON");
        assert_eq!(list["runs"][0]["run_id"], record["run_id"], "{name}");
        assert_eq!(list["runs"][0]["outcome"], record["outcome"], "{name}");
        let status = world.run(&["status", run]).code(0);
        assert!(status.out.contains("check-unit · failed"), "{name}: {}", status.out);
        let status: Value =
            serde_json::from_str(&world.run(&["status", run, "--json"]).code(0).out).expect("JSON");
        assert_eq!(status["nodes"], record["nodes"], "{name}");
        world.run(&["logs", run]).code(0);
        world.run(&["history"]).code(0);
        world.run(&["report", run, "--markdown", "-", "--trace", "-"]).code(0);
        let junit = world.path().join("junit.xml");
        let resumed =
            world.run(&["resume", run, "--junit", junit.to_str().expect("UTF-8")]).code(1);
        assert_eq!(resumed.out, "check-unit · failed\n", "{name}");
        assert!(junit.exists(), "{name}");
        world.run(&["cancel", run]).code(0);
        world.run(&["gc", "--dry-run"]).code(0);
        // Only the plan could be run again, and it is not there.
        world.run(&["rerun", run]).code(2);
    }
}

#[test]
fn the_newest_fixture_has_every_key_that_is_written_today() {
    let world = World::new();
    let mut flaky = sh("execute-unit", "exit 101", &[]);
    flaky.spec.retries = 1;
    let plan = world.plan(vec![flaky]);
    world.run(&["apply", &plan]).code(1);
    let keys = |record: &Value| -> Vec<String> {
        let mut keys: Vec<String> =
            record.as_object().expect("an object").keys().cloned().collect();
        keys.sort();
        keys
    };
    let (_, text) = fixtures().into_iter().find(|(name, _)| name == "1.0.json").expect("there");
    let (fixture, written): (Value, Value) =
        (serde_json::from_str(&text).expect("JSON"), world.record());
    assert_eq!(keys(&fixture), keys(&written), "keep the old fixture, add one of the new version");
    assert_eq!(keys(&fixture["nodes"][0]), keys(&written["nodes"][0]));
}

#[test]
fn what_was_written_fits_its_schema() {
    let world = World::new();
    let plan =
        world.plan(vec![sh("execute-a", "exit 1", &[]), sh("execute-b", "true", &["execute-a"])]);
    let ended = world.run(&["apply", &plan, "--output", "jsonl"]).code(1);
    let schema = |what: &str| -> Value {
        serde_json::from_str(&world.run(&["schema", what]).code(0).out).expect("JSON")
    };
    let record = schema("record");
    let written = world.record();
    for key in record["required"].as_array().expect("a list") {
        assert!(written.get(key.as_str().expect("text")).is_some(), "{key} is missing");
    }
    for key in written.as_object().expect("an object").keys() {
        assert!(record["properties"].get(key).is_some(), "{key} is not in the schema");
    }
    let schema_of_events = schema("event");
    let choices = schema_of_events["oneOf"].as_array().expect("a list");
    for event in ended.events() {
        let choice =
            choices.iter().find(|one| one["properties"]["event"]["const"] == event["event"]);
        let choice = choice.unwrap_or_else(|| panic!("{event} is not in the schema"));
        for key in choice["required"].as_array().expect("a list") {
            assert!(event.get(key.as_str().expect("text")).is_some(), "{event} lacks {key}");
        }
        for key in event.as_object().expect("an object").keys() {
            assert!(
                choice["properties"].get(key).is_some(),
                "{key} of {event} is not in the schema"
            );
        }
    }
    assert!(schema("config")["properties"].get("allow").is_some());
}
