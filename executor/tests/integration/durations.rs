//! `executor history --durations`: how long files of tests took, by the JUnit reports that jobs left.

use std::fs;

use crate::harness::{World, sh};

fn world() -> World {
    let mut world = World::new();
    fs::create_dir_all(world.repo().join("tests")).expect("made");
    world.commit(&[("tests/test_a.py", ""), ("tests/test_b.py", ""), ("tests/test_c.py", "")]);
    world
}

/// A node that leaves a report of these tests: class and seconds.
fn tested(id: &str, tests: &[(&str, &str)], then: &str) -> plans::Node {
    let cases: String = tests
        .iter()
        .map(|(class, time)| {
            format!("<testcase classname=\"{class}\" name=\"x\" time=\"{time}\"/>")
        })
        .collect();
    let report = format!("<testsuites><testsuite name=\"pytest\">{cases}</testsuite></testsuites>");
    let mut node = sh(id, &format!("echo '{report}' >$ARTIFACTS_DIR/junit.xml; {then}"), &[]);
    node.spec.artifacts = vec!["junit.xml".to_owned()];
    node
}

#[test]
fn files_take_what_the_reports_of_their_tests_say_and_others_keep_what_was_known() {
    let world = world();
    let shards = vec![
        tested("execute-1", &[("tests.test_a", "1.5"), ("tests.test_a.T", "0.5")], "true"),
        tested("execute-2", &[("tests.test_b", "7"), ("elsewhere", "9")], "exit 1"),
        tested("execute-3", &[("tests.test_c", "100")], "kill -9 $$"),
    ];
    let plan = world.plan(shards);
    world.run(&["apply", &plan]).code(1);
    let known = world.repo().join("durations.json");
    fs::write(&known, r#"{ "tests/test_b.py": 1, "tests/test_c.py": 3, "tests/gone.py": 5 }"#)
        .expect("written");
    let durations = world.run(&["history", "--durations"]).code(0).out;
    assert_eq!(
        durations,
        "{\n  \"tests/test_a.py\": 2.0,\n  \"tests/test_b.py\": 7.0,\n  \"tests/test_c.py\": 100.0\n}\n"
    );
    // What was not measured in these runs keeps what it had; what is gone goes.
    let plan = world.plan(vec![tested("execute-1", &[("tests.test_a", "4")], "true")]);
    world.run(&["apply", &plan]).code(0);
    let path = known.to_str().expect("UTF-8");
    let asked = ["history", "--durations", "--last", "1", "--merge", path, "-o", path];
    world.run(&asked).code(0);
    assert_eq!(
        fs::read_to_string(&known).expect("written"),
        "{\n  \"tests/test_a.py\": 4.0,\n  \"tests/test_b.py\": 1.0,\n  \"tests/test_c.py\": 3.0\n}\n"
    );
    // Half of the runs took at most so long.
    world.run(&["apply", &plan]).code(0);
    let durations = world.run(&["history", "--durations"]).code(0).out;
    assert!(durations.contains("\"tests/test_a.py\": 4.0"), "{durations}");
}

#[test]
fn without_a_report_the_answer_is_empty_and_says_what_is_missing() {
    let world = world();
    world.run(&["apply", &world.plan(vec![sh("execute-a", "true", &[])])]).code(0);
    let ended = world.run(&["history", "--durations"]).code(0);
    assert_eq!(ended.out, "{}\n");
    assert!(ended.err.contains("no JUnit report"), "{}", ended.err);
    let bad = world.path().join("bad.json");
    fs::write(&bad, r#"{ "a": "soon" }"#).expect("written");
    let bad = bad.to_str().expect("UTF-8");
    let ended = world.run(&["history", "--durations", "--merge", bad]).code(2);
    assert!(
        ended.err.contains("bad.json") && ended.err.contains("--durations -o"),
        "{}",
        ended.err
    );
    for asked in [&["history", "--durations", "--passed"][..], &["history", "-o", "x"]] {
        world.run(asked).code(2);
    }
}
