//! `planner list` and `explain` as schedulers and scripts read them.

use crate::sandbox::Sandbox;

#[test]
fn the_nightly_schedule_stands_beside_the_lanes_and_on_each_nightly_one() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "ci/forge-lanes.toml",
        r#"
version = 1
nightly_schedule_utc = "08:00"
[[branch.lanes]]
id = "fast"
title = "fast"
command = ["true"]
[[nightly.lanes]]
id = "slow"
title = "slow"
command = ["true"]
"#,
    );
    let said = sandbox.planner(&["list", "lanes", "--json"]).with_code(0);
    let list: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(list["nightly_schedule_utc"], "08:00");
    assert_eq!(list["lanes"][0]["id"], "fast");
    assert!(list["lanes"][0].get("nightly_schedule_utc").is_none());
    assert_eq!(list["lanes"][1]["nightly_schedule_utc"], "08:00");
}

#[test]
fn an_explanation_is_json_by_either_flag() {
    let sandbox = Sandbox::with_lanes();
    let short = sandbox.planner(&["explain", "--lane", "rust", "--json"]).with_code(0);
    let long = sandbox.planner(&["explain", "--lane", "rust", "--format", "json"]).with_code(0);
    assert_eq!(short, long);
    serde_json::from_str::<serde_json::Value>(&short).expect("JSON");
    sandbox.planner(&["explain", "--lane", "rust", "--json", "--format", "human"]).refused();
}

#[test]
fn a_path_that_no_glob_covers_still_runs_the_lanes_without_paths() {
    let sandbox = Sandbox::new();
    let lane = |id: &str, more: &str| {
        format!("[[branch.lanes]]\nid = \"{id}\"\ncommand = [\"true\"]\ntimeout_secs = 60\n{more}")
    };
    let definitions = |head: &str, lanes: &[String]| {
        sandbox.write("ci/forge-lanes.toml", format!("version = 1\n{head}\n{}", lanes.join("")));
        sandbox.write("README.md", "");
        sandbox.write("src/a", "");
        sandbox.commit("definitions");
    };
    let src = lane("src", "paths = [\"src/**\"]\n");
    definitions("", &[src.clone(), lane("all", ""), lane("lint", "")]);
    let said = sandbox.planner(&["explain", "README.md"]).with_code(0);
    assert!(said.contains("runs all (all) · it has no `paths`\n    jobs: all\n"), "{said}");
    assert!(said.contains("runs lint (lint) · it has no `paths`"), "{said}");
    assert!(said.contains("no glob covers it: only lanes without `paths` run"), "{said}");
    assert!(!said.contains("no lane"), "{said}");
    let said = sandbox.planner(&["explain", "README.md", "--json"]).with_code(0);
    let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
    let answer = &said["paths"][0];
    assert_eq!(answer["covered"], false);
    assert_eq!(
        (&answer["lanes"][0]["lane"], &answer["lanes"][0]["always"]),
        (&"all".into(), &true.into())
    );
    let said = sandbox.planner(&["explain", "src/a"]).with_code(0);
    assert!(
        said.contains("runs src (src) · matches `src/**`") && said.contains("runs all"),
        "{said}"
    );

    definitions("unmatched_paths = \"all_lanes\"", std::slice::from_ref(&src));
    let said = sandbox.planner(&["explain", "README.md"]).with_code(0);
    assert!(said.contains("runs every branch lane: no glob covers it"), "{said}");
    definitions("unmatched_paths = \"none\"", &[src]);
    let said = sandbox.planner(&["explain", "README.md"]).with_code(0);
    assert!(said.contains("no lane and no ignore covers it"), "{said}");
}
