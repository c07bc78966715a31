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

const KEYED: &str = r#"
version = 1
[bases.here]
placement = "local"
runtime = "host_process"
timeout_secs = 60
[[targets]]
id = "all"
[[targets.jobs]]
id = "unit"
base = "here"
inputs = ["src/**", "ci/**"]
reuse = "passed"
command = { argv = ["true"] }
[[targets.jobs]]
id = "site"
base = "here"
host_setup_command = { shell = "make site", inputs = ["docs/**"] }
command = { argv = ["true"] }
[[targets.jobs]]
id = "whole"
base = "here"
command = { argv = ["true"] }
[[targets.jobs]]
id = "log"
base = "here"
checkout = "clone"
command = { argv = ["git", "log"] }
"#;

/// Changes of one file and of another, one taken back, and a definition that changes.
fn keyed_history() -> Sandbox {
    let sandbox = Sandbox::new();
    let lanes = "version = 1\n[[branch.lanes]]\nid = \"all\"\ntarget = \"all\"\n";
    sandbox.write("ci/forge-lanes.toml", lanes);
    sandbox.write("ci/catalog.toml", KEYED);
    for (path, text, message) in [
        ("src/a.rs", "1", "one"),
        ("docs/a.md", "1", "words"),
        ("src/a.rs", "2", "two"),
        ("src/a.rs", "1", "one again"),
        ("src/b\u{fc}.rs", "1", "another"),
        ("docs/a.md", "2", "more words"),
        ("ci/catalog.toml", &KEYED.replace("\"true\"", "\"test\", \"a\""), "another command"),
        ("README", "1", "read me"),
    ] {
        sandbox.write(path, text);
        sandbox.commit(message);
    }
    sandbox
}

#[test]
fn keys_spare_what_an_earlier_commit_ran() {
    let sandbox = keyed_history();
    let replay = json(&sandbox, &["--reuse"]);
    // The same from the plans of all commits, the oldest first.
    let mut commits = lanes_by_commit(&replay);
    commits.reverse();
    assert_eq!(commits.len(), 8);
    let mut passed = std::collections::BTreeSet::new();
    let mut expected = std::collections::BTreeMap::<String, (u64, u64)>::new();
    for (commit, _) in commits {
        let (code, out, said) =
            planner(&sandbox, &["plan", "--base-first-parent", "--head", &commit]);
        assert_eq!(code, 0, "{said}");
        let plan: Value = serde_json::from_str(&out).expect("JSON");
        let mut keys = Vec::new();
        for node in plan["nodes"].as_array().expect("a list") {
            let Some(job) = node["id"].as_str().and_then(|id| id.strip_prefix("execute-")) else {
                continue;
            };
            let key = node["key"].as_str().expect("a key").to_owned();
            let (runs, spared) = expected.entry(job.to_owned()).or_default();
            *runs += 1;
            *spared += u64::from(passed.contains(&key));
            keys.push(key);
        }
        passed.extend(keys);
    }
    let found: std::collections::BTreeMap<String, (u64, u64)> = replay["reuse"]["jobs"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|job| {
            let number = |key: &str| job[key].as_u64().expect("a number");
            (job["id"].as_str().expect("an id").to_owned(), (number("runs"), number("spared")))
        })
        .collect();
    assert_eq!(found, expected);
    // What that is, by hand.
    assert_eq!(found["unit"], (8, 4));
    assert_eq!(found["site"], (8, 4));
    assert_eq!((found["whole"], found["log"]), ((8, 1), (8, 0)));
    assert_eq!(replay["reuse"]["jobs"][2]["reuse"], "passed");
}

#[test]
fn files_that_make_jobs_run_anew_are_counted_and_shown_in_every_form() {
    let sandbox = keyed_history();
    let replay = json(&sandbox, &["--reuse"]);
    let spoilers = replay["reuse"]["spoilers"].as_array().expect("a list");
    let of = |path: &str| spoilers.iter().find(|it| it["path"] == path).expect("it is there");
    assert_eq!(of("docs/a.md")["jobs"], serde_json::json!(["log", "site", "whole"]));
    assert_eq!(
        (of("docs/a.md")["runs"].as_u64(), of("docs/a.md")["commits"].as_u64()),
        (Some(6), Some(2))
    );
    // Its change back ran nothing anew but what stands on the commit.
    assert_eq!(of("src/a.rs")["runs"].as_u64(), Some(4));
    assert_eq!(replay["reuse"]["redefined"], 1);
    let (code, out, _) = planner(&sandbox, &["backtest", "--reuse"]);
    assert_eq!(code, 0);
    for part in [
        "keys would have spared 9 of 32 runs of jobs:",
        "unit      8       4    50%  passed",
        "files that made most jobs run anew:",
        "docs/a.md",
        "6 runs of 3 jobs, 2 commits",
        "1 run had another key although no file that the job sees had changed",
    ] {
        assert!(out.contains(part), "no `{part}` in\n{out}");
    }
    let (code, out, _) = planner(&sandbox, &["backtest", "--reuse", "--format", "html"]);
    assert_eq!(code, 0);
    assert!(out.contains("What keys would have spared") && out.contains("<code>docs/a.md</code>"));
    // Nobody asked.
    assert!(json(&sandbox, &[]).get("reuse").is_none());
}
