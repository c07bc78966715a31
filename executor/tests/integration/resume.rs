//! Runs whose executor died: what is known stays known, what runs is taken up, nothing runs twice.

use std::{path::Path, process::Child, time::Duration};

use plans::{AllowFailure, AllowedCodes, ExitCodes, RetryOn, RunIf};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::harness::{Ended, World, outcomes, sh, until};

/// A node that leaves a line in a file each time it runs, when it begins and when it ends.
fn counted(world: &World, id: &str, seconds: &str, depends_on: &[&str]) -> plans::Node {
    let file = world.path().join("count");
    let script = format!(
        "echo begin {id} >> {file}; echo first; sleep {seconds}; echo last; echo end {id} >> {file}",
        file = file.display()
    );
    sh(id, &script, depends_on)
}

/// Lets a node leave a file with its id, and take that of each node it waits for.
pub(crate) fn passes_a_file_on(node: &mut plans::Node) {
    let plans::Command::Shell { script, .. } = &mut node.spec.command else { return };
    let mut all = format!("echo {} >\"$ARTIFACTS_DIR/left\"\n", node.id);
    for of in node.depends_on.iter().cloned() {
        let at = plans::WorkspacePath::new(format!("given/{of}")).expect("well formed");
        all = format!("{all}[ \"$(cat {at}/left)\" = {of} ] || exit 9\n");
        let files = vec!["left".to_owned()];
        node.takes.files.push(plans::FilesFrom { node: of, files, at });
    }
    *script = all + script;
    node.spec.artifacts = vec!["left".to_owned()];
}

fn lines(world: &World) -> Vec<String> {
    let text = std::fs::read_to_string(world.path().join("count")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn journal_lines(world: &World) -> usize {
    let Some(run) = world.runs().pop() else { return 0 };
    std::fs::read(run.join("journal.jsonl")).map_or(0, |text| bytecount(&text))
}

fn bytecount(text: &[u8]) -> usize {
    text.iter().filter(|&&byte| byte == b'\n').count()
}

fn kill(child: &mut Child) {
    // Only this process, as a machine's own killer would: what it started goes on.
    let _ = child.kill();
    child.wait().expect("it ends");
}

/// What must hold after a run was resumed to its end.
#[track_caller]
fn whole(world: &World, ids: &[&str], context: &str) {
    let record = world.record();
    assert_eq!(record["outcome"], "passed", "{context}: {record:#}");
    let outcomes = outcomes(&record);
    for id in ids {
        assert_eq!(outcomes[*id], "passed", "{context}");
        for what in ["begin", "end"] {
            let line = format!("{what} {id}");
            let times = lines(world).iter().filter(|other| **other == line).count();
            assert_eq!(times, 1, "{context}: `{line}` stands {times} times");
        }
        let log = world.runs()[0].join("nodes").join(id).join("guest.log");
        let log = std::fs::read_to_string(log).expect("a log");
        assert_eq!(log, "first\nlast\n", "{context}");
    }
    assert_eq!(processes_of(world), Vec::<String>::new(), "{context}: something is left running");
    let gc = world.run(&["gc", "--dry-run"]).code(0);
    assert_eq!(gc.out, "", "{context}");
}

/// Command lines of processes that were started for this world.
fn processes_of(world: &World) -> Vec<String> {
    let marker = world.path().as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("Linux") {
        let path = entry.expect("readable").path();
        let is_process = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.bytes().all(|b| b.is_ascii_digit()));
        if !is_process || path == Path::new("/proc").join(std::process::id().to_string()) {
            continue;
        }
        let read = |name: &str| std::fs::read(path.join(name)).unwrap_or_default();
        let holds = |text: &[u8]| text.windows(marker.len()).any(|window| window == marker);
        if holds(&read("environ")) || holds(&read("cmdline")) {
            found.push(String::from_utf8_lossy(&read("cmdline")).replace('\0', " "));
        }
    }
    found
}

const IDS: [&str; 6] =
    ["execute-a", "execute-b", "execute-c", "execute-d", "execute-e", "execute-f"];

/// Three layers of two; each leaves a file that those behind it take.
fn layers(world: &World) -> String {
    let node = |id: &str, on: &[&str]| {
        let mut node = counted(world, id, "0.03", on);
        passes_a_file_on(&mut node);
        node
    };
    world.plan(vec![
        node("execute-a", &[]),
        node("execute-b", &[]),
        node("execute-c", &["execute-a"]),
        node("execute-d", &["execute-a", "execute-b"]),
        node("execute-e", &["execute-c"]),
        node("execute-f", &["execute-d"]),
    ])
}

/// How often the killing tests go round: enough for a check-in, more on request.
fn rounds(default: usize) -> usize {
    std::env::var("CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn a_run_killed_at_any_journal_record_is_finished_by_resume() {
    let mut at = 0;
    let mut killed = 0;
    loop {
        at += 1;
        let world = World::new();
        let plan = layers(&world);
        let mut child = world.start(&["apply", &plan, "--jobs", "2"]);
        let ended = loop {
            if journal_lines(&world) >= at {
                break false;
            }
            if child.try_wait().expect("waited").is_some() {
                break true;
            }
        };
        kill(&mut child);
        if ended {
            break;
        }
        killed += 1;
        world.run(&["resume", "latest", "--jobs", "2"]).code(0);
        whole(&world, &IDS, &format!("killed at record {at}"));
    }
    assert!(killed >= 12, "only {killed} records were seen");
}

/// Nodes with a `run_if`, tolerated failures and failures that are worth another try, and how often each begins.
const RULED: [(&str, &str, usize); 8] = [
    ("execute-again", "passed", 2),
    ("execute-always", "passed", 1),
    ("execute-broken", "failed", 1),
    ("execute-handles", "passed", 1),
    ("execute-needless", "skipped", 0),
    ("execute-skipped", "skipped", 0),
    ("execute-tolerated", "failed", 1),
    ("execute-works", "passed", 1),
];

fn codes(code: u8) -> ExitCodes {
    std::num::NonZeroU8::new(code).into_iter().collect()
}

fn ruled(world: &World) -> String {
    let node = |id: &str, exit: &str, on: &[&str], run_if: RunIf| {
        let mut node = counted(world, id, "0.02", on);
        let plans::Command::Shell { script, .. } = &mut node.spec.command else { return node };
        script.push_str("; ");
        script.push_str(exit);
        node.run_if = run_if;
        // One failure is worth another try, and no other.
        node.spec.retry_on = Some(RetryOn { exit_codes: codes(75), outcomes: [].into() });
        node.spec.retries = 2;
        node
    };
    let again = "[ \"$(grep -c 'end execute-again' COUNT)\" -gt 1 ] || exit 75"
        .replace("COUNT", &world.path().join("count").display().to_string());
    let mut tolerated = node("execute-tolerated", "exit 77", &[], RunIf::Passed);
    tolerated.spec.allow_failure = Some(AllowFailure::Some(AllowedCodes { exit_codes: codes(77) }));
    world.plan(vec![
        node("execute-again", &again, &[], RunIf::Passed),
        tolerated,
        node("execute-broken", "exit 1", &["execute-again"], RunIf::Passed),
        node("execute-works", "true", &["execute-tolerated"], RunIf::Passed),
        node("execute-needless", "true", &["execute-works"], RunIf::Failed),
        node("execute-skipped", "true", &["execute-broken"], RunIf::Passed),
        node("execute-handles", "true", &["execute-broken"], RunIf::Failed),
        node("execute-always", "true", &["execute-skipped", "execute-works"], RunIf::Always),
    ])
}

#[test]
fn a_run_with_conditions_killed_at_any_journal_record_reaches_the_same_verdicts() {
    let mut killed = 0;
    for at in 1.. {
        let world = World::new();
        let plan = ruled(&world);
        let mut child = world.start(&["apply", &plan, "--jobs", "2"]);
        let ended = loop {
            if journal_lines(&world) >= at {
                break false;
            }
            if child.try_wait().expect("waited").is_some() {
                break true;
            }
        };
        kill(&mut child);
        if !ended {
            killed += 1;
            world.run(&["resume", "latest", "--jobs", "2"]).code(1);
        }
        let record = world.record();
        let (outcomes, began) = (outcomes(&record), lines(&world));
        for (id, outcome, times) in RULED {
            assert_eq!(outcomes[id], outcome, "{id}, killed at record {at}: {record:#}");
            let begun = began.iter().filter(|line| **line == format!("begin {id}")).count();
            assert_eq!(begun, times, "{id}, killed at record {at}: {began:?}");
        }
        let position = |line: &str| began.iter().position(|it| it == line);
        for (first, then) in [
            ("end execute-broken", "begin execute-handles"),
            ("end execute-tolerated", "begin execute-works"),
            ("end execute-works", "begin execute-always"),
        ] {
            assert!(position(first) < position(then), "killed at record {at}: {began:?}");
        }
        assert_eq!(processes_of(&world), Vec::<String>::new(), "killed at record {at}");
        if ended {
            break;
        }
    }
    assert!(killed >= 16, "only {killed} records were seen");
}

#[test]
fn a_run_killed_at_any_instant_and_again_is_finished_by_resume() {
    for round in 0..rounds(40) {
        let world = World::new();
        let plan = layers(&world);
        let mut child = world.start(&["apply", &plan, "--jobs", "2"]);
        // Instants spread over the run, the same ones every time.
        std::thread::sleep(Duration::from_micros((round as u64 * 7_919) % 350_000));
        kill(&mut child);
        if world.runs().is_empty() {
            continue;
        }
        if round % 3 == 0 {
            let mut child = world.start(&["resume", "latest"]);
            std::thread::sleep(Duration::from_micros((round as u64 * 4_217) % 150_000));
            kill(&mut child);
        }
        world.run(&["resume", "latest", "--jobs", "2"]).code(0);
        whole(&world, &IDS, &format!("round {round}"));
    }
}

#[test]
fn a_finished_run_shows_its_result_and_runs_nothing() {
    let world = World::new();
    let plan = world.plan(vec![sh("execute-a", "exit 9", &[])]);
    let first = world.run(&["apply", &plan, "--output", "json"]).code(1);
    let record = std::fs::read(world.runs()[0].join("record.json")).expect("a record");
    let again = world.run(&["resume", "latest", "--output", "json"]).code(1);
    assert_eq!(first.out, again.out);
    assert_eq!(first.out.as_bytes(), record);
    std::fs::remove_file(world.runs()[0].join("record.json")).expect("removed");
    let anew = world.run(&["resume", "latest", "--output", "json"]).code(1);
    assert_eq!(first.out, anew.out);
}

#[test]
fn a_run_that_is_held_is_busy_and_other_runs_are_not() {
    let world = World::new();
    let plan = world.plan(vec![counted(&world, "execute-a", "30", &[])]);
    let mut child = world.start(&["apply", &plan]);
    until(|| lines(&world).len() == 1);
    let busy = world.run(&["resume", "latest"]).code(5);
    assert!(busy.err.contains(&format!("process {}", child.id())), "{}", busy.err);
    let status: Value =
        serde_json::from_str(&world.run(&["status", "--json"]).code(0).out).expect("JSON");
    assert_eq!(status["outcome"], "running");
    let empty = world.plan(Vec::new());
    world.run(&["apply", &empty]).code(0);
    world
        .run(&["cancel", world.runs()[0].file_name().expect("named").to_str().expect("UTF-8")])
        .code(0);
    assert_eq!(child.wait().expect("ends").code(), Some(130));
}

#[test]
fn cancelling_from_another_terminal_ends_jobs_and_says_why() {
    let world = World::new();
    let plan = world.plan(vec![
        counted(&world, "execute-a", "30", &[]),
        counted(&world, "execute-b", "30", &["execute-a"]),
    ]);
    let child = world.start(&["apply", &plan]);
    until(|| lines(&world).len() == 1);
    world.run(&["cancel", "latest", "--reason", "wrong branch"]).code(0);
    let ended = Ended::of(child.wait_with_output().expect("ends")).code(130);
    assert_eq!(ended.out, "check-lane · cancelled\n");
    let record = world.record();
    assert_eq!(record["outcome"], "cancelled");
    assert_eq!(record["stopped"], "cancelled: wrong branch");
    assert_eq!(record["nodes"][1]["because"], "the run was stopped: cancelled: wrong branch");
    assert_eq!(processes_of(&world), Vec::<String>::new());
    assert_eq!(lines(&world), ["begin execute-a"]);
}

#[test]
fn cancelling_a_run_that_nobody_holds_ends_what_still_runs() {
    let world = World::new();
    let plan = world.plan(vec![counted(&world, "execute-a", "30", &[])]);
    let mut child = world.start(&["apply", &plan]);
    until(|| lines(&world).len() == 1);
    kill(&mut child);
    assert_ne!(processes_of(&world), Vec::<String>::new(), "the job outlives the executor");
    assert!(world.run(&["list"]).code(0).out.contains("interrupted"));
    world.run(&["cancel", "latest"]).code(0);
    assert_eq!(world.record()["outcome"], "cancelled");
    assert_eq!(processes_of(&world), Vec::<String>::new());
}

#[test]
fn the_third_signal_leaves_at_once_and_resume_takes_up() {
    let world = World::new();
    // Deaf to TERM, so that only the second signal's KILL could end it; the third comes first.
    let file = world.path().join("count");
    let script = format!(
        "trap '' TERM; echo begin >> {0}; while [ ! -e {0}.go ]; do sleep 0.02; done; echo end >> {0}",
        file.display()
    );
    let mut node = sh("execute-a", &script, &[]);
    node.spec.grace_secs = Some(50);
    let plan = world.plan(vec![node]);
    let mut child = world.start(&["apply", &plan]);
    until(|| lines(&world).len() == 1);
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::TERM).expect("sent");
    until(|| {
        let journal = world.runs()[0].join("journal.jsonl");
        std::fs::read_to_string(journal).expect("readable").contains("stopping")
    });
    assert!(child.try_wait().expect("waited").is_none(), "it gives the job its grace");
    kill_process(pid, Signal::TERM).expect("sent");
    kill_process(pid, Signal::INT).expect("sent");
    kill_process(pid, Signal::TERM).expect("sent");
    assert_eq!(child.wait().expect("ends").code(), Some(143));
    world.run(&["resume", "latest"]).code(130);
    assert_eq!(world.record()["outcome"], "cancelled");
    assert_eq!(processes_of(&world), Vec::<String>::new());
}

/// A node that is deaf to TERM, says when it is there, and ends once it may.
fn deaf(world: &World) -> plans::Node {
    let script = format!(
        "trap '' TERM; echo begin >> {0}; while [ ! -e {0}.go ]; do sleep 0.02; done; echo end >> {0}",
        world.path().join("count").display()
    );
    let mut node = sh("execute-a", &script, &[]);
    node.spec.grace_secs = Some(50);
    node
}

fn let_go(world: &World) {
    std::fs::write(world.path().join("count.go"), "").expect("written");
}

#[test]
fn a_terminal_that_goes_away_is_one_wish_however_often_it_is_told() {
    let world = World::new();
    let plan = world.plan(vec![deaf(&world)]);
    let mut child = world.start(&["apply", &plan]);
    until(|| lines(&world).len() == 1);
    let pid = Pid::from_child(&child);
    let journal = || {
        let run = world.runs().pop().expect("a run");
        std::fs::read_to_string(run.join("journal.jsonl")).expect("readable")
    };
    kill_process(pid, Signal::HUP).expect("sent");
    until(|| journal().contains("stopping"));
    for _ in 0..3 {
        kill_process(pid, Signal::HUP).expect("sent");
    }
    let_go(&world);
    assert_eq!(child.wait().expect("ends").code(), Some(143));
    assert_eq!(lines(&world), ["begin", "end"], "it had its grace");
    assert_eq!(world.record()["outcome"], "cancelled");
    assert_eq!(processes_of(&world), Vec::<String>::new());
}

#[test]
fn nohup_is_obeyed_and_a_closed_pipe_ends_nothing() {
    let world = World::new();
    let plan = world.plan(vec![deaf(&world)]);
    // Both outputs go to a reader that leaves after the first line.
    let script = "trap '' HUP; { \"$0\" apply \"$1\" --output jsonl 2>&1; echo $? > \"$HOME/code\"; } \
                  | head -n 1 > /dev/null";
    let template = world.command(&[]);
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", script, crate::harness::EXECUTOR, &plan]).env_clear();
    shell.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut shell = shell.current_dir(world.repo()).spawn().expect("it starts");
    until(|| lines(&world).len() == 1);
    let lock = std::fs::read(world.runs()[0].join("lock")).expect("a note");
    let holder: Value = serde_json::from_slice(&lock).expect("JSON");
    let pid = i32::try_from(holder["pid"].as_i64().expect("a number")).expect("a process");
    kill_process(Pid::from_raw(pid).expect("a process"), Signal::HUP).expect("sent");
    let_go(&world);
    shell.wait().expect("it ends");
    let code = world.path().join("home/code");
    until(|| code.exists() && std::fs::read_to_string(&code).is_ok_and(|text| text == "0\n"));
    assert_eq!(world.record()["outcome"], "passed");
}

#[test]
fn an_executor_that_its_terminal_has_stopped_can_be_cancelled() {
    let world = World::new();
    let plan = world.plan(vec![counted(&world, "execute-a", "60", &[])]);
    let mut child = world.start(&["apply", &plan]);
    until(|| lines(&world).len() == 1);
    kill_process(Pid::from_child(&child), Signal::STOP).expect("sent");
    assert!(world.run(&["status"]).code(0).out.contains("running"));
    world.run(&["cancel", "latest"]).code(0);
    assert_eq!(child.wait().expect("ends").code(), Some(130));
    assert_eq!(processes_of(&world), Vec::<String>::new());
}

#[test]
fn a_window_that_is_closed_ends_the_run_in_order() {
    let world = World::new();
    let plan =
        world.plan(vec![counted(&world, "execute-a", "60", &[]), sh("execute-b", "exit 1", &[])]);
    // `script` is the terminal: when it is killed, the executor loses what it draws on.
    let command = format!("{} apply {plan}", crate::harness::EXECUTOR);
    let template = world.command(&[]);
    let mut window = std::process::Command::new("script");
    window.args(["-qec", &command, "/dev/null"]).env_clear();
    window.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
    window.env("TERM", "xterm").current_dir(world.repo());
    window.stdin(std::process::Stdio::null()).stdout(std::process::Stdio::piped());
    let mut window = window.spawn().expect("it starts");
    until(|| lines(&world).len() == 1);
    kill(&mut window);
    let record = || world.runs().first().is_some_and(|run| run.join("record.json").exists());
    until(record);
    assert_eq!(world.record()["outcome"], "cancelled");
    until(|| processes_of(&world).is_empty());
}

#[test]
fn a_job_whose_supervisor_was_killed_is_made_again_and_leaves_nothing_to_collect() {
    let world = World::new();
    let mark = world.path().join("mark");
    // The supervisor is the job's parent.
    let script = format!(
        "[ -e {0} ] || {{ touch {0}; kill -9 $PPID; sleep 60; }}; echo again",
        mark.display()
    );
    let plan = world.plan(vec![sh("execute-a", &script, &[])]);
    world.run(&["apply", &plan]).code(0);
    let node = &world.record()["nodes"][0];
    assert_eq!(node["retried"][0]["failure_kind"], "lost", "{node:#}");
    assert_eq!(processes_of(&world), Vec::<String>::new());
    assert_eq!(world.run(&["gc", "--dry-run"]).code(0).out, "");
}

#[test]
fn a_slot_whose_supervisor_was_killed_after_the_verdict_is_collected() {
    let world = World::new();
    let plan = world.plan(vec![sh("execute-a", "exit 3", &[])]);
    world.run(&["apply", &plan]).code(1);
    // What such a supervisor leaves: the record with its verdict, and its name in the slot.
    let run = &world.runs()[0];
    let record = std::fs::read_to_string(run.join("nodes/execute-a/job.1")).expect("a record");
    let word = |name: &str| {
        let word = record.split(' ').find_map(|word| word.strip_prefix(&format!("{name}=")));
        word.expect("it is there").to_owned()
    };
    let id = run.file_name().expect("named").to_string_lossy();
    let cookie = format!("{id}/execute-a.1@{}-{}", word("pid"), word("start"));
    let slot = world.path().join("home/.cache/forge-lanes/slots/0/lock");
    std::fs::write(&slot, cookie).expect("a slot");
    let offered = world.run(&["gc", "--dry-run"]).code(0);
    assert!(offered.out.contains("execute-a.1"), "{}", offered.out);
    world.run(&["gc"]).code(0);
    assert_eq!(std::fs::read_to_string(&slot).expect("a slot"), "");
    assert_eq!(world.run(&["gc", "--dry-run"]).code(0).out, "");
}

#[test]
fn a_supervisor_that_was_killed_before_it_kept_what_a_job_left_costs_an_attempt_and_no_file() {
    let world = World::new();
    let go = world.path().join("go");
    let script = format!("until [ -e {} ]; do sleep 0.02; done; mkdir made", go.display());
    let mut node = sh("prepare-a", &script, &[]);
    node.kind = plans::NodeKind::Prepare;
    node.spec.workspace = plans::Workspace::Writable;
    node.output =
        Some(plans::Output::Directory(plans::WorkspacePath::new("made").expect("well formed")));
    let path = world.plan(vec![node]);
    let mut child = world.start(&["apply", &path]);
    until(|| {
        let run = world.runs().pop();
        run.is_some_and(|run| run.join("nodes/prepare-a/job.1").exists())
    });
    kill(&mut child);
    std::fs::write(&go, "").expect("written");
    let of_node = world.runs()[0].join("nodes/prepare-a");
    let record = of_node.join("job.1");
    let read = || std::fs::read_to_string(&record).expect("a record");
    until(|| read().contains(" settled"));
    // As it is between the two: it says how the job ended, and nothing of what was kept.
    std::fs::write(&record, read().replace(" settled", "        ")).expect("written");
    std::fs::remove_file(of_node.join("report.1")).expect("a report");
    world.run(&["resume", "latest"]).code(0);
    let node = &world.record()["nodes"][0];
    assert_eq!((&node["outcome"], &node["attempts"]), (&"passed".into(), &2.into()), "{node}");
    assert_eq!(node["retried"][0]["failure_kind"], "lost", "{node}");
}
