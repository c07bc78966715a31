//! `executor report` of real runs.

use serde_json::Value;

use crate::harness::{World, sh};

#[test]
fn a_run_becomes_a_page_a_summary_and_a_trace() {
    let world = World::new();
    let plan = world.plan(vec![
        sh("prepare-it", "echo ready", &[]),
        sh("execute-unit", "echo 'error: <b>no</b>'; exit 3", &["prepare-it"]),
        sh("execute-after", "true", &["execute-unit"]),
    ]);
    world.run(&["apply", &plan]).code(1);
    let file = |name: &str| world.path().join(name).to_str().expect("UTF-8").to_owned();
    let (page, trace) = (file("run.html"), file("run.json"));
    let ended =
        world.run(&["report", "latest", "--html", &page, "--trace", &trace, "--markdown", "-"]);
    let summary = ended.code(0).out;
    assert!(summary.contains("execute-unit · failed"), "{summary}");
    assert!(summary.contains("error: <b>no</b>"), "in a fence: {summary}");
    let page = std::fs::read_to_string(page).expect("written");
    assert!(page.contains("error: &lt;b&gt;no") && !page.contains("<b>no"));
    let (_, data) = page.split_once("id=\"data\">").expect("data");
    let data = data.split_once("</script>").expect("closed").0;
    let data: Value = serde_json::from_str(data).expect("JSON");
    let positions: Vec<&str> =
        data["nodes"].as_array().expect("a list").iter().filter_map(|n| n["id"].as_str()).collect();
    let unit = positions.iter().position(|id| *id == "execute-unit").expect("there");
    let it = positions.iter().position(|id| *id == "prepare-it").expect("there");
    assert_eq!(data["nodes"][unit]["after"], serde_json::json!([it]));
    assert_eq!(data["nodes"][unit]["look"], 1);
    let trace: Value =
        serde_json::from_slice(&std::fs::read(trace).expect("written")).expect("JSON");
    assert!(trace["traceEvents"].as_array().is_some_and(|events| events.len() > 3));
}

#[test]
fn a_report_without_a_form_is_bad_usage() {
    World::new().run(&["report", "latest"]).code(2);
}
