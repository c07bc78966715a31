//! `planner list`: what schedulers and scripts read.

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
