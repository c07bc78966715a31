use serde_json::Value;

use super::*;

const HOSTILE: &str = "</script><img src=x onerror=alert(1)>\u{1b}]0;t\u{7}\u{1b}[31mred ``` @all";

fn node(id: &str, outcome: &str, began: u32, took: u64) -> Value {
    serde_json::json!({
        "id": id, "outcome": outcome, "placement": "local", "runtime": "host_process",
        "attempts": 1, "phases": { "wait": took - 5, "tree": 5 },
        "started_at": format!("2026-11-22T20:00:{began:02}.000Z"), "duration_ms": took,
    })
}

fn record(nodes: Vec<Value>) -> Record {
    let lanes = serde_json::json!([{ "id": "unit", "title": HOSTILE, "outcome": "failed" }]);
    let record = serde_json::json!({
        "format_version": "1.0", "run_id": "20261122-200000-000-abcdef", "plan_digest": "sha256:0",
        "started_at": "2026-11-22T20:00:00.000Z", "finished_at": "2026-11-22T20:00:09.000Z",
        "outcome": "failed", "lanes": lanes, "nodes": nodes,
    });
    Record::from_json(record.to_string().as_bytes()).expect("a record")
}

/// A run of two nodes; the second failed with a hostile message and log.
fn hostile() -> (tempfile::TempDir, Report) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut failed = node("execute-unit", "failed", 1, 4000);
    failed["message"] = HOSTILE.into();
    let record = record(vec![node("prepare-it", "passed", 0, 1000), failed]);
    std::fs::create_dir_all(dir.path().join("execute-unit")).expect("made");
    let log = format!("fine\nerror: {HOSTILE}\n");
    std::fs::write(dir.path().join("execute-unit/guest.log"), log).expect("written");
    let report = Report::new(record, None, dir.path().to_owned());
    (dir, report)
}

#[test]
fn nothing_hostile_becomes_markup_in_a_page() {
    let (_keep, report) = hostile();
    let page = report.html();
    assert!(!page.contains("<img") && !page.contains("<span onerror"));
    assert_eq!(page.matches("</script>").count(), 3, "two blocks of data and the script");
    assert!(!page.contains('\u{1b}') && !page.contains('\u{7}'));
    assert!(page.contains("default-src 'none'") && !page.contains("unsafe-inline"));
    for scheme in ["src=\"", "url(http", "href=\"http", "@import"] {
        assert!(!page.contains(scheme), "the page asks for something: {scheme}");
    }
}

#[test]
fn the_policy_of_a_page_names_what_is_in_it() {
    use sha2::{Digest as _, Sha256};
    let (_keep, report) = hostile();
    let page = report.html();
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let (_, rest) = page.split_once(open).expect("there");
        let (inside, _) = rest.split_once(close).expect("closed");
        let digest = html::base64(&Sha256::digest(inside));
        assert!(page.contains(&format!("'sha256-{digest}'")), "{open}");
    }
}

#[test]
fn a_failure_links_to_the_line_where_reading_begins() {
    let (_keep, report) = hostile();
    let page = report.html();
    assert!(page.contains("<a href=\"#node-1-line-2\">Log, line 2</a>"));
}

#[test]
fn a_summary_says_what_failed_and_obeys_no_foreign_text() {
    let (_keep, report) = hostile();
    let summary = report.markdown();
    insta::assert_snapshot!(summary);
    // Of the log stands only its text, between fences that it cannot close.
    let outside: String = summary.split("````").step_by(2).collect();
    assert!(!outside.contains("<img") && !outside.contains("@all"));
}

#[test]
fn a_summary_of_a_thousand_failures_fits() {
    let dir = tempfile::tempdir().expect("a directory");
    let nodes: Vec<Value> =
        (0..1000).map(|n| node(&format!("execute-{n}"), "failed", 1, 100)).collect();
    for n in 0..1000 {
        let dir = dir.path().join(format!("execute-{n}"));
        std::fs::create_dir_all(&dir).expect("made");
        let line = format!("{}\n", "`<".repeat(150));
        std::fs::write(dir.join("guest.log"), line.repeat(40)).expect("written");
    }
    let mut record = record(nodes);
    let lane = record.lanes[0].clone();
    record.lanes = vec![lane; 10_000];
    let summary = Report::new(record, None, dir.path().to_owned()).markdown();
    assert!(summary.len() <= 1024 * 1024, "{}", summary.len());
    assert!(summary.contains("more failed") && summary.contains("more lanes"));
}

#[test]
fn a_trace_holds_nodes_with_their_phases_inside_on_tracks_of_their_own() {
    let nodes = vec![
        node("execute-a", "passed", 0, 4000),
        node("execute-b", "passed", 1, 1000),
        node("execute-c", "passed", 5, 1000),
    ];
    let report = Report::new(record(nodes), None, PathBuf::new());
    let trace: Value = serde_json::from_str(&report.trace()).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("a list");
    let of = |name: &str| {
        events.iter().find(|event| event["name"] == name).map(|event| &event["tid"]).cloned()
    };
    assert_eq!(of("execute-a"), of("execute-c"), "a free track is used again");
    assert_ne!(of("execute-a"), of("execute-b"));
    for phase in events.iter().filter(|event| event["cat"] == "phase") {
        let number = |event: &Value, key: &str| event[key].as_u64().expect("a number");
        let inside = events.iter().any(|event| {
            event["cat"] == "node"
                && event["tid"] == phase["tid"]
                && number(event, "ts") <= number(phase, "ts")
                && number(phase, "ts") + number(phase, "dur")
                    <= number(event, "ts") + number(event, "dur")
        });
        assert!(inside, "{phase}");
    }
}

#[test]
fn ids_of_a_foreign_record_lead_to_no_other_file() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(dir.path().join("nodes")).expect("made");
    std::fs::write(dir.path().join("guest.log"), "secret").expect("written");
    let report =
        Report::new(record(vec![node("..", "failed", 0, 10)]), None, dir.path().join("nodes"));
    assert!(report.logs(&report.record.nodes[0]).is_empty());
}

#[test]
fn a_page_that_is_drawn_again_says_what_one_says_that_is_drawn_anew() {
    let (_keep, mut report) = hostile();
    let live = html::Served { base: "/runs/0/a", news: Some(1), above: "", style: "" };
    // What the clock says is in it.
    let page = |report: &Report, drawn: &mut html::Drawn| {
        let (page, _) = html::served(report, drawn, &live);
        let (before, after) = page.split_once("\"now\":").expect("a time");
        let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
        format!("{before}{rest}")
    };
    let mut drawn = html::Drawn::default();
    assert!(page(&report, &mut drawn).contains("line-2"));
    let other = record(vec![node("prepare-it", "failed", 0, 1000), node("b", "passed", 1, 4000)]);
    report.record.nodes[0] = other.nodes[0].clone();
    report.record.nodes[1].outcome = Outcome::Passed;
    drawn.forget(0);
    drawn.forget(1);
    let again = page(&report, &mut drawn);
    assert_eq!(again, page(&report, &mut html::Drawn::default()));
    assert!(again.contains("failed-0") && !again.contains("failed-1"));
}

#[test]
fn a_failure_that_comes_to_be_listed_says_what_its_log_says() {
    let dir = tempfile::tempdir().expect("a directory");
    let nodes = |first: &str| {
        let outcome = |n| if n == 0 { first } else { "failed" };
        (0..201).map(|n| node(&format!("execute-{n}"), outcome(n), 1, 100)).collect()
    };
    let last = dir.path().join("execute-200");
    std::fs::create_dir_all(&last).expect("made");
    std::fs::write(last.join("guest.log"), "error: the last\n").expect("written");
    let mut report = Report::new(record(nodes("failed")), None, dir.path().to_owned());
    let served = html::Served { base: "/runs/0/a", news: Some(1), above: "", style: "" };
    let mut drawn = html::Drawn::default();
    let mut page = |report: &Report, changed: usize| {
        drawn.forget(changed);
        html::served(report, &mut drawn, &served).0
    };
    assert!(!page(&report, 0).contains("error: the last"));
    report.record = record(nodes("passed"));
    assert!(page(&report, 0).contains("error: the last"));
}
