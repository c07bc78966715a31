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
