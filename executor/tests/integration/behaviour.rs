//! How a run behaves: retries, limits, selections, logs, reruns, collections.

use std::{
    path::Path,
    process::{Child, Output},
};

use serde_json::Value;

use crate::harness::{Ended, World, lane, outcomes, sh, until};

#[test]
fn a_failed_job_is_tried_again_and_both_logs_are_kept() {
    let world = World::new();
    let mark = world.path().join("mark");
    let script = format!("test -e {0} && exit 0; touch {0}; echo first; exit 5", mark.display());
    let mut node = sh("execute-flaky", &script, &[]);
    node.spec.retries = 2;
    let plan = world.plan(vec![node]);
    let ended = world.run(&["apply", &plan, "--output", "jsonl"]).code(0);
    let retrying: Vec<Value> =
        ended.events().into_iter().filter(|event| event["event"] == "node_retrying").collect();
    assert_eq!(retrying.len(), 1);
    assert_eq!(retrying[0]["exit_code"], 5);
    let record = world.record();
    assert_eq!(record["nodes"][0]["attempts"], 2);
    assert_eq!(record["nodes"][0]["retried"][0]["exit_code"], 5);
    let node = world.runs()[0].join("nodes/execute-flaky");
    assert_eq!(std::fs::read(node.join("attempts/1/guest.log")).expect("kept"), b"first\n");
    assert_eq!(std::fs::read(node.join("guest.log")).expect("kept"), b"");
}

#[test]
fn a_job_that_passed_and_said_nothing_costs_its_node_two_files() {
    let world = World::new();
    let nodes = vec![
        sh("execute-silent", ":", &[]),
        sh("execute-slow", "sleep 0.2", &[]),
        sh("execute-says", "echo one", &[]),
        sh("execute-fails", "exit 3", &[]),
    ];
    let plan = world.plan(nodes);
    world.run(&["apply", &plan]).code(1);
    let nodes = world.runs()[0].join("nodes");
    let files = |node: &str| -> Vec<String> {
        let entries = std::fs::read_dir(nodes.join(node)).expect("a directory");
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
            .collect();
        names.sort();
        names
    };
    assert_eq!(files("execute-silent"), ["host.log", "result.json"]);
    assert_eq!(files("execute-slow"), ["host.log", "result.json"]);
    assert_eq!(files("execute-says"), ["guest.log", "host.log", "result.json"]);
    assert!(files("execute-fails").contains(&"guest.log".to_owned()));
    let result = std::fs::read(nodes.join("execute-silent/result.json")).expect("a result");
    let result: Value =
        serde_json::from_slice(&result).expect("JSON, and nothing of what was there before");
    assert_eq!(result["outcome"], "passed");
    assert_eq!(world.run(&["logs", "--node", "execute-silent"]).code(0).out, "");
    assert_eq!(world.run(&["gc", "--dry-run"]).code(0).out, "");
}

#[test]
fn a_job_that_takes_too_long_is_timed_out_and_its_children_with_it() {
    let world = World::new();
    let pids = world.path().join("pids");
    let script = format!("setsid sleep 300 & echo $! > {}; sleep 300", pids.display());
    let mut node = sh("execute-slow", &script, &[]);
    node.spec.timeout_secs = 1;
    let plan = world.plan(vec![node]);
    world.run(&["apply", &plan]).code(1);
    assert_eq!(world.record()["nodes"][0]["outcome"], "timed_out");
    let pid = std::fs::read_to_string(pids).expect("written");
    assert!(!std::path::Path::new("/proc").join(pid.trim()).exists(), "a grandchild is left");
}

#[test]
fn only_the_named_node_and_its_prepare_nodes_run() {
    let world = World::new();
    let nodes = || {
        vec![
            sh("prepare-a", "true", &[]),
            sh("prepare-b", "true", &[]),
            sh("execute-base", "exit 1", &["prepare-b"]),
            sh("execute-wanted", "true", &["prepare-a", "execute-base"]),
        ]
    };
    let plan = world.plan_of(
        nodes(),
        vec![lane("wanted", &["execute-wanted"]), lane("other", &["prepare-a", "execute-base"])],
    );
    let ended = world.run(&["apply", &plan, "--only", "execute-wanted"]).code(0);
    assert_eq!(ended.out, "check-wanted · passed\ncheck-other · skipped\n");
    assert!(ended.err.contains("skipped  2 nodes not asked for\n"), "{}", ended.err);
    assert!(!ended.err.contains("execute-base"), "{}", ended.err);
    let record = world.record();
    let outcomes = outcomes(&record);
    assert_eq!(outcomes["prepare-a"], "passed");
    assert_eq!(outcomes["prepare-b"], "skipped");
    assert_eq!(outcomes["execute-base"], "skipped");
    assert_eq!(outcomes["execute-wanted"], "passed");
}

#[test]
fn fail_fast_starts_nothing_more() {
    let world = World::new();
    let plan = world.plan(vec![sh("execute-a", "exit 1", &[]), sh("execute-b", "true", &[])]);
    world.run(&["apply", &plan, "--jobs", "1", "--fail-fast"]).code(1);
    let record = world.record();
    assert_eq!(record["nodes"][1]["outcome"], "skipped");
    let because = record["nodes"][1]["because"].as_str().expect("text");
    assert!(because.contains("execute-a"), "{because}");
}

#[test]
fn nodes_of_a_concurrency_group_never_meet_even_in_two_runs() {
    let world = World::new();
    let file = world.path().join("inside");
    let script = format!("mkdir {0} || exit 1; sleep 0.1; rmdir {0}", file.display());
    let nodes = (0..3)
        .map(|number| {
            let mut node = sh(&format!("execute-{number}"), &script, &[]);
            node.concurrency_groups
                .insert(plans::GroupName::new("one-at-a-time").expect("well formed"));
            node
        })
        .collect();
    let plan = world.plan(nodes);
    let children: Vec<_> = (0..2).map(|_| world.start(&["apply", &plan, "--jobs", "3"])).collect();
    for child in children {
        let ended = crate::harness::Ended::of(child.wait_with_output().expect("ends"));
        ended.code(0);
    }
}

#[test]
fn a_rerun_of_what_failed_takes_the_rest_as_passed() {
    let world = World::new();
    let mark = world.path().join("mark");
    let plan = world.plan(vec![
        sh("execute-a", &format!("echo a >> {}", mark.display()), &[]),
        sh("execute-b", &format!("test -e {}.go", mark.display()), &["execute-a"]),
        sh("execute-c", "true", &["execute-b"]),
    ]);
    world.run(&["apply", &plan]).code(1);
    std::fs::write(world.path().join("mark.go"), "").expect("written");
    world.run(&["rerun", "latest", "--failed"]).code(0);
    assert_eq!(std::fs::read(&mark).expect("there"), b"a\n", "it ran once");
    let runs = world.runs();
    assert_eq!(runs.len(), 2);
    let record: Value =
        serde_json::from_slice(&std::fs::read(runs[1].join("record.json")).expect("a record"))
            .expect("JSON");
    let first = runs[0].file_name().expect("named").to_str().expect("UTF-8");
    assert_eq!(record["rerun_of"], first);
    assert_eq!(outcomes(&record)["execute-a"], "skipped");
    assert_eq!(outcomes(&record)["execute-c"], "passed");
    world.run(&["rerun", "latest", "--failed"]).code(0);
}

/// Starts a plan, follows the log of its node `execute-a` and lets that go on; returns the run and what
/// the follower said until its end.
fn followed(world: &World, plan: &str, go: &Path) -> (Child, Output) {
    let child = world.start(&["apply", plan]);
    until(|| {
        !world.runs().is_empty() && world.runs()[0].join("nodes/execute-a/guest.log").exists()
    });
    let follow = world.start(&["logs", "--node", "execute-a", "--follow"]);
    std::fs::write(go, "").expect("written");
    (child, follow.wait_with_output().expect("ends"))
}

#[test]
fn logs_are_printed_byte_for_byte_and_followed_to_the_end() {
    let world = World::new();
    let go = world.path().join("go");
    let script = format!(
        "printf 'one\\n\\033[31mtwo\\377'; while [ ! -e {} ]; do sleep 0.02; done; echo three",
        go.display()
    );
    let plan = world.plan(vec![sh("execute-a", &script, &[]), sh("execute-b", "echo b", &[])]);
    let (mut child, output) = followed(&world, &plan, &go);
    assert_eq!(output.stdout, b"one\n\x1b[31mtwo\xffthree\n");
    assert_eq!(child.wait().expect("ends").code(), Some(0));
    let all = world.run(&["logs"]).code(0);
    assert!(all.out.contains("==> execute-b guest.log <==\nb\n"), "{}", all.out);
    let host = world.run(&["logs", "--node", "execute-b", "--kind", "host"]).code(0);
    let first = host.out.lines().next().expect("a line");
    assert!(first.contains("host_process") && first.contains("local"), "{first}");
    world.run(&["logs", "--node", "execute-x"]).code(2);
}

#[test]
fn logs_that_are_followed_have_every_attempt_from_its_first_line() {
    let world = World::new();
    let (go, count) = (world.path().join("go"), world.path().join("count"));
    // Each attempt says more than the one before, so that its length alone tells nothing.
    let script = format!(
        "until [ -e {} ]; do sleep 0.02; done; echo x >>{count}; n=$(wc -l <{count})
        seq -f \"$((n)): %g\" 1 $((n * 50)); [ $n -ge 4 ]",
        go.display(),
        count = count.display()
    );
    let mut node = sh("execute-a", &script, &[]);
    node.spec.retries = 3;
    let plan = world.plan(vec![node]);
    let (mut child, output) = followed(&world, &plan, &go);
    assert_eq!(child.wait().expect("ends").code(), Some(0));
    let every = |n: i32| (1..=n * 50).map(move |line| format!("{n}: {line}\n"));
    let expected: String = (1..=4).flat_map(every).collect();
    assert_eq!(String::from_utf8_lossy(&output.stdout), expected);
    // Of what is over, the last.
    let last = world.run(&["logs", "--node", "execute-a"]).code(0);
    assert_eq!(last.out, every(4).collect::<String>());
}

#[test]
fn secrets_reach_the_job_and_nothing_else() {
    let world = World::new();
    let mut node = sh("execute-a", "echo \"token is $TOKEN\"; test ${#TOKEN} -eq 12", &[]);
    node.spec.secrets.insert(plans::EnvName::new("TOKEN").expect("well formed"));
    let plan = world.plan(vec![node]);
    let file = world.path().join("token");
    std::fs::write(&file, "s3cr3t-value\n").expect("written");
    let config = world.path().join("executor.toml");
    let text = format!("version = 1\n[secrets]\nTOKEN = {{ file = \"{}\" }}\n", file.display());
    std::fs::write(&config, text).expect("written");
    world.run(&["apply", &plan, "--config", config.to_str().expect("UTF-8")]).code(0);
    let mut looked_at = 0;
    let mut directories = vec![world.state_dir()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).expect("readable") {
            let entry = entry.expect("readable");
            if entry.file_type().expect("typed").is_dir() {
                directories.push(entry.path());
            } else if let Ok(text) = std::fs::read(entry.path()) {
                looked_at += 1;
                let text = String::from_utf8_lossy(&text);
                assert!(!text.contains("s3cr3t-value"), "{}", entry.path().display());
            }
        }
    }
    assert!(looked_at > 5);
}

#[test]
fn old_runs_are_collected_and_the_newest_stay() {
    let world = World::new();
    let plan = world.plan(vec![sh("execute-a", "mkdir x 2>/dev/null; true", &[])]);
    for _ in 0..4 {
        world.run(&["apply", &plan]).code(0);
    }
    let runs = world.runs();
    let dry = world.run(&["gc", "--keep", "2", "--dry-run"]).code(0);
    assert_eq!(dry.out.lines().filter(|line| line.contains("would remove run")).count(), 2);
    assert_eq!(world.runs(), runs);
    world.run(&["gc", "--keep", "2"]).code(0);
    assert_eq!(world.runs(), runs[2..]);
}

#[test]
fn history_tells_durations_and_outcomes_of_every_node() {
    let world = World::new();
    let plan = world.plan(vec![sh("execute-a", "true", &[]), sh("execute-b", "exit 1", &[])]);
    for _ in 0..2 {
        world.run(&["apply", &plan]).code(1);
    }
    let text = world.run(&["history", "--json"]).code(0).out;
    let history: Value = serde_json::from_str(&text).expect("JSON");
    let [a, b] = &history["nodes"].as_array().expect("a list")[..] else { panic!("{text}") };
    assert_eq!((&a["id"], &a["runs"], &a["passed"]), (&"execute-a".into(), &2.into(), &2.into()));
    assert_eq!(a["durations_secs"].as_array().expect("a list").len(), 2);
    assert!(a["median_secs"].as_f64() <= a["p90_secs"].as_f64());
    assert_eq!((&b["failed"], &b["flaky"]), (&2.into(), &0.into()));

    // What is collected is remembered, and counted once.
    world.run(&["gc", "--keep", "1"]).code(0);
    assert_eq!(world.runs().len(), 1);
    assert_eq!(world.run(&["history", "--json"]).code(0).out, text);
    world.run(&["gc", "--keep", "0"]).code(0);
    assert_eq!(world.runs().len(), 0);
    assert_eq!(world.run(&["history", "--json"]).code(0).out, text);
    let newest = world.run(&["history", "--json", "--last", "1"]).code(0).out;
    assert!(newest.contains("\"runs\": 1"), "{newest}");
    // A line that was cut off takes no other with it.
    let file = world.state_dir().join("history.jsonl");
    let kept = std::fs::read_to_string(&file).expect("readable");
    std::fs::write(&file, format!("{kept}{{\"run_id\": \"2")).expect("writable");
    assert_eq!(world.run(&["history", "--json"]).code(0).out, text);
}

#[test]
fn a_dry_run_shows_commands_and_makes_nothing() {
    let world = World::new();
    let plan = world.plan(vec![sh("execute-a", "echo hello", &[])]);
    let ended = world.run(&["apply", &plan, "--dry-run"]).code(0);
    assert!(ended.out.contains("execute-a") && ended.out.contains("echo hello"), "{}", ended.out);
    assert!(!world.state_dir().exists());
}

#[test]
fn a_plan_comes_through_a_pipe_as_well() {
    use std::io::Write as _;
    let world = World::new();
    let plan = std::fs::read(world.plan(vec![sh("execute-a", "true", &[])])).expect("readable");
    let mut child = world
        .command(&["apply", "-"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("starts");
    child.stdin.take().expect("piped").write_all(&plan).expect("written");
    let output = child.wait_with_output().expect("ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "check-lane · passed\n");
    let kept = std::fs::read(world.runs()[0].join("plan.json")).expect("kept");
    assert_eq!(kept, plan, "byte for byte");
}

#[test]
fn a_github_runner_gets_annotations_and_obeys_no_job() {
    let world = World::new();
    let mut injects = lane("a", &["execute-a"]);
    injects.title = "::error::titled".to_owned();
    let node = sh("execute-a", "echo '::error::injected'; exit 3", &[]);
    let plan = world.plan_of(vec![node], vec![injects]);
    let summary = world.path().join("summary.md");
    // A runner reads both streams as one.
    let joined = world.path().join("joined");
    let file = std::fs::File::create(&joined).expect("made");
    let twin = file.try_clone().expect("shared");
    let mut command = world.command(&["apply", &plan]);
    command.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    let status = command.stdout(file).stderr(twin).status().expect("runs");
    assert_eq!(status.code(), Some(1));
    let err = std::fs::read_to_string(&joined).expect("UTF-8");
    let lines: Vec<&str> = err.lines().collect();
    let token = lines[0].strip_prefix("::stop-commands::").expect("the first line");
    let resumed = lines.iter().position(|line| *line == format!("::{token}::")).expect("a pair");
    let injected = lines.iter().position(|line| line.contains("injected")).expect("the log's end");
    assert!(injected < resumed);
    let titled = lines.iter().position(|line| line.contains("titled")).expect("the verdicts");
    assert!(titled < resumed, "{err}");
    assert!(lines[resumed + 1..].iter().any(|line| line.starts_with("::error title=execute-a ")));
    assert!(std::fs::read_to_string(summary).expect("written").contains("| execute-a | failed |"));
}

#[test]
fn a_node_that_waits_for_another_run_holds_up_no_other_node() {
    let world = World::new();
    let (up, go) = (world.path().join("up"), world.path().join("go"));
    let mut holds = sh(
        "execute-holds",
        &format!("touch {}; until [ -e {} ]; do sleep 0.02; done", up.display(), go.display()),
        &[],
    );
    let group = plans::GroupName::new("apple").expect("a name");
    holds.concurrency_groups.insert(group.clone());
    let holding = world.plan(vec![holds]);
    let first = world.start(&["apply", &holding]);
    until(|| up.exists());
    // One place: the node that has to wait comes first, and the last one lets it have its turn.
    let mut waits = sh("execute-a-waits", "true", &[]);
    waits.concurrency_groups.insert(group);
    let plan = world.plan(vec![
        waits,
        sh("execute-b", "true", &[]),
        sh("execute-c", &format!("touch {}", go.display()), &["execute-b"]),
    ]);
    let second = world.run(&["apply", &plan, "--jobs", "1"]).code(0);
    assert!(second.out.contains("passed"), "{}", second.out);
    Ended::of(first.wait_with_output().expect("ends")).code(0);
}

#[test]
fn a_node_that_waits_for_another_run_can_be_cancelled_and_waits_without_work() {
    let world = World::new();
    let (up, go) = (world.path().join("up"), world.path().join("go"));
    let script =
        format!("touch {}; until [ -e {} ]; do sleep 0.02; done", up.display(), go.display());
    let group = plans::GroupName::new("apple").expect("a name");
    let mut node = sh("execute-a", &script, &[]);
    node.concurrency_groups.insert(group);
    let plan = world.plan(vec![node]);
    let first = world.start(&["apply", &plan]);
    until(|| up.exists());
    let second = world.start(&["apply", &plan]);
    until(|| world.runs().len() == 2);
    // User and system time in clock ticks (proc(5)): after the start, nothing is added by waiting,
    // neither for a job nor for a turn.
    let ticks = |pid: u32| -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
        let fields = stat.rsplit(')').next().expect("fields").split_whitespace().skip(11).take(2);
        fields.map(|field| field.parse::<u64>().expect("a number")).sum()
    };
    std::thread::sleep(std::time::Duration::from_millis(700));
    let pids = [first.id(), second.id()];
    let before = pids.map(ticks);
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    for (pid, before) in pids.into_iter().zip(before) {
        let added = ticks(pid) - before;
        assert!(added <= 2, "waiting costs {added} ticks");
    }
    world.run(&["cancel", "latest"]).code(0);
    Ended::of(second.wait_with_output().expect("ends")).code(130);
    std::fs::write(&go, "").expect("written");
    Ended::of(first.wait_with_output().expect("ends")).code(0);
}

#[test]
fn a_lane_whose_jobs_were_not_all_asked_for_is_incomplete_in_every_report() {
    let world = World::new();
    let mark = world.path().join("mark");
    let nodes = vec![
        sh("execute-a", "true", &[]),
        sh("execute-b", &format!("test -e {}", mark.display()), &[]),
        sh("execute-c", "true", &[]),
    ];
    let app = lane("app", &["execute-a", "execute-b"]);
    let plan = world.plan_of(nodes, vec![app, lane("one", &["execute-c"])]);
    let (junit, summary) = (world.path().join("junit.xml"), world.path().join("summary.md"));
    let mut apply = world.command(&["apply", &plan, "--only", "execute-a"]);
    apply.args(["--only", "execute-c", "--output", "jsonl"]).arg("--junit").arg(&junit);
    apply.env("GITHUB_ACTIONS", "true").env("GITHUB_STEP_SUMMARY", &summary);
    let ended = Ended::of(apply.output().expect("the program starts")).code(0);
    let last = ended.out.lines().rfind(|line| line.starts_with('{')).expect("events");
    let last: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!(last["outcome"], "passed");
    assert_eq!(last["lanes"][0]["outcome"], "incomplete");
    assert_eq!(last["lanes"][1]["outcome"], "passed");
    let record = world.record();
    assert_eq!(record["lanes"], last["lanes"]);
    assert_eq!(record["format_version"], "1.1");
    let read = |path| std::fs::read_to_string(path).expect("written");
    assert!(read(junit).contains(r#"name="lane.app" value="incomplete""#));
    assert!(read(summary).contains("| check-app | incomplete |"));
    let status = world.run(&["status"]).code(0).out;
    assert!(status.ends_with("check-app · incomplete\ncheck-one · passed\n"), "{status}");
    let list = world.run(&["list"]).code(0).out;
    assert!(list.contains("1 passed, 1 incomplete"), "{list}");
    let told = world.run(&["report", "latest", "--markdown", "-"]).code(0).out;
    assert!(told.contains("| 🟡 | check-app | incomplete |"), "{told}");
    let page = world.path().join("page.html");
    world.run(&["report", "latest", "--html", page.to_str().expect("UTF-8")]).code(0);
    assert!(read(page).contains(r#"<li class="o incomplete"><span class="name">check-app"#));
}

#[test]
fn a_rerun_of_what_failed_completes_the_lane() {
    let world = World::new();
    let mark = world.path().join("mark");
    let needs = |file: &str| format!("test -e {}.{file}", mark.display());
    let nodes = vec![
        sh("execute-a", "true", &[]),
        sh("execute-b", &needs("b"), &[]),
        sh("execute-c", &needs("c"), &[]),
    ];
    let names: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
    let app = lane("app", &names);
    let plan = world.plan_of(nodes, vec![app]);
    assert_eq!(world.run(&["apply", &plan]).code(1).out, "check-app · failed\n");
    std::fs::write(mark.with_extension("b"), "").expect("written");
    let rerun = world.run(&["rerun", "latest", "--failed"]).code(1);
    assert_eq!(rerun.out, "check-app · failed\n");
    std::fs::write(mark.with_extension("c"), "").expect("written");
    // Its first job passed two runs ago, its second in the last one.
    let rerun = world.run(&["rerun", "latest", "--failed"]).code(0);
    assert_eq!(rerun.out, "check-app · passed\n");
    assert_eq!(world.run(&["resume", "latest"]).code(0).out, "check-app · passed\n");
    // A node asked for by name is all that its run answers for.
    let only = world.run(&["apply", &plan, "--only", "execute-c"]).code(0);
    assert_eq!(only.out, "check-app · incomplete\n");
}
