//! `planner backtest` over throw-away histories.

use serde_json::Value;

use crate::sandbox::{Sandbox, planner};

fn manifest(lanes: &[(&str, &str)]) -> String {
    let lane = |(id, globs): &(&str, &str)| {
        format!("[[branch.lanes]]\nid = \"{id}\"\ncommand = [\"true\"]\npaths = [{globs}]\n")
    };
    format!("version = 1\n{}", lanes.iter().map(lane).collect::<String>())
}

const BOTH: [(&str, &str); 2] = [("rust", "\"rust/**\", \"old/**\""), ("web", "\"web/**\"")];

/// Seven commits: before the definitions, with them, with changes, and one that changes them.
fn history() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("README", "");
    sandbox.commit("before any definition");
    sandbox.write("ci/forge-lanes.toml", manifest(&BOTH));
    sandbox.commit("definitions");
    sandbox.write("rust/lib.rs", "1");
    sandbox.commit("rust");
    sandbox.write("web/a.js", "1");
    sandbox.write("rust/lib.rs", "2");
    sandbox.commit("rust and web");
    sandbox.write("README", "more");
    sandbox.commit("readme");
    let docs = [BOTH[0], ("web", "\"web/**\", \"README\"")];
    sandbox.write("ci/forge-lanes.toml", manifest(&docs));
    sandbox.commit("web reads the readme");
    sandbox.write("README", "still more");
    sandbox.commit("readme again");
    sandbox
}

#[track_caller]
fn json(sandbox: &Sandbox, args: &[&str]) -> Value {
    let (code, out, said) = planner(sandbox, &[&["backtest", "--format", "json"], args].concat());
    assert_eq!(code, 0, "{said}");
    serde_json::from_str(&out).expect("JSON")
}

fn lanes_by_commit(replay: &Value) -> Vec<(String, Vec<String>)> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let commits = replay["commits"].as_array().expect("a list");
    let lanes =
        |commit: &Value| commit["lanes"].as_array().expect("a list").iter().map(text).collect();
    commits.iter().map(|commit| (text(&commit["commit"]), lanes(commit))).collect()
}

#[test]
fn every_commit_runs_what_its_plan_against_the_first_parent_runs() {
    let sandbox = history();
    let replay = json(&sandbox, &[]);
    let commits = lanes_by_commit(&replay);
    assert_eq!(commits.len(), 6);
    for (commit, lanes) in commits {
        let args = ["plan", "--base-first-parent", "--head", &commit];
        let (code, out, said) = planner(&sandbox, &args);
        assert_eq!(code, 0, "{said}");
        let plan: Value = serde_json::from_str(&out).expect("JSON");
        let planned: Vec<&str> = plan["lanes"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|lane| lane["selected"] == true)
            .map(|lane| lane["id"].as_str().expect("an id"))
            .collect();
        assert_eq!(lanes, planned, "{commit}");
    }
    let unplanned = replay["unplanned"].as_array().expect("a list");
    assert_eq!(unplanned.len(), 1);
    assert_eq!(unplanned[0]["summary"], "before any definition");
}

#[test]
fn reasons_are_counted_and_silent_globs_are_named_with_their_place() {
    let sandbox = history();
    let replay = json(&sandbox, &[]);
    let lanes = replay["lanes"].as_array().expect("a list");
    assert_eq!((lanes[0]["id"].as_str(), lanes[0]["runs"].as_u64()), (Some("rust"), Some(3)));
    assert_eq!((lanes[1]["id"].as_str(), lanes[1]["runs"].as_u64()), (Some("web"), Some(4)));
    let reasons = serde_json::to_string(&lanes[1]["reasons"]).expect("JSON");
    for expected in [
        r#"{"kind":"paths","of":"web/**","commits":1}"#,
        r#"{"kind":"definition_changed","of":null,"commits":2}"#,
    ] {
        assert!(reasons.contains(expected), "{reasons}");
    }
    let silent = replay["never_fired"].as_array().expect("a list");
    assert_eq!(silent.len(), 1);
    assert_eq!(silent[0]["glob"], "old/**");
    assert_eq!(
        (silent[0]["file"].as_str(), silent[0]["line"].as_u64()),
        (Some("ci/forge-lanes.toml"), Some(5))
    );
}

#[test]
fn a_comparison_lists_the_commits_that_would_run_less_first() {
    let sandbox = history();
    let candidate = manifest(&[("rust", "\"rust/**\""), ("web", "\"README\"")]);
    sandbox.write("candidate.toml", candidate);
    let replay = json(&sandbox, &["--with", "candidate.toml", "--against", "HEAD"]);
    let of = |which: &str| -> Vec<String> {
        let list = replay["against"][which].as_array().expect("a list");
        list.iter().map(|it| format!("{}: {}", it["summary"], it["lanes"])).collect()
    };
    assert_eq!(of("less"), [r#""rust and web": ["web"]"#]);
    assert!(of("more").is_empty());
    assert_eq!(replay["against"]["same"], 6);
    // The other way round the same commit runs more.
    let replay = json(&sandbox, &["--against", "candidate.toml"]);
    assert_eq!(replay["against"]["more"].as_array().map(Vec::len), Some(1));
    let args = ["backtest", "--with", "candidate.toml", "--against", "HEAD"];
    let (_, out, _) = planner(&sandbox, &args);
    let less = out.find("1 commit would have run less").expect("the dangerous list");
    assert!(less < out.find("0 commits would have run more").expect("the other list"), "{out}");
}

#[test]
fn durations_become_machine_time() {
    let sandbox = history();
    let node = |id: &str, secs: f64| {
        format!(
            r#"{{"id":"{id}","runs":3,"median_secs":{secs},"p90_secs":{secs},"passed":3,"failed":0,"flaky":0}}"#
        )
    };
    let nodes = [node("execute-rust", 60.0), node("execute-web", 2.5)].join(",");
    sandbox.write("d.json", format!(r#"{{"nodes":[{nodes}]}}"#));
    let replay = json(&sandbox, &["--durations", "d.json"]);
    assert_eq!(replay["lanes"][0]["machine_secs"], 180.0);
    assert_eq!(replay["lanes"][1]["machine_secs"], 10.0);
    assert_eq!(replay["machine_secs"], 190.0);
}

#[test]
fn ranges_are_counted_or_start_behind_a_revision() {
    let sandbox = history();
    assert_eq!(lanes_by_commit(&json(&sandbox, &["--last", "2"])).len(), 2);
    assert_eq!(lanes_by_commit(&json(&sandbox, &["--since", "HEAD~3"])).len(), 3);
    let all = json(&sandbox, &["--with", "HEAD"]);
    assert_eq!(all["commits"].as_array().map(Vec::len), Some(7), "now every commit can be planned");
    let (code, _, said) = planner(&sandbox, &["backtest", "--against", "nowhere"]);
    assert_eq!(code, 2, "{said}");
}

#[test]
fn the_page_loads_nothing_and_escapes_what_commits_say() {
    let sandbox = history();
    sandbox.write("README", "3");
    sandbox.commit("<script>alert(1)</script> & \"more\"");
    let args = ["backtest", "--format", "html", "--with", "HEAD", "--against", "HEAD~6"];
    let (code, out, said) = planner(&sandbox, &args);
    assert_eq!(code, 0, "{said}");
    assert!(!out.contains("<script>") && !out.contains("http://") && !out.contains("https://"));
    assert!(out.contains("&lt;script&gt;") && out.contains("<svg role=\"img\""), "{out}");
}
