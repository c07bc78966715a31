//! Whatever a job does, its timeout and a cancel end it, in every pair: one job that does all of it at once.

use std::process::{Child, Stdio};

use crate::{
    harness::{Ended, outcomes, until, within},
    pairs::{Pair, in_all_pairs},
};

in_all_pairs! {
    a_timeout_ends_a_job_that_does_all_it_can_against_it => super::timeout;
    a_cancel_ends_a_job_that_does_all_it_can_against_it => super::cancel;
}

/// So many seconds after it was to end, nothing of a job is left; grace and the end of its guest are in them.
const HOLDS: u64 = 30;

/// Ignores what it can, writes what it can and more through another door, hides in names, sessions and behind closed
/// files, stops, takes its directories away, and starts something again and again.
const EVERYTHING: &str = r#"
    trap '' TERM INT HUP QUIT PIPE
    yes "$TOKEN" &
    yes quux >/dev/stderr &
    (printf 'a\nb) c' >/proc/self/comm; while :; do sleep 1; done) 2>/dev/null &
    setsid sh -c 'trap "" TERM; while :; do sleep 1; done' </dev/null >/dev/null 2>&1 &
    (exec <&- >&- 2>&-; while :; do sleep 1; done) &
    sleep 1000 & kill -STOP $!
    rm -rf "$ARTIFACTS_DIR" "$TMPDIR"
    while :; do sleep MARK & sleep 0.5; done
"#;

/// Whether a process with that mark lives: guests' are this machine's too.
fn is_alive(mark: &str) -> bool {
    let sought = format!("sleep\0{mark}\0");
    std::fs::read_dir("/proc").expect("proc").flatten().any(|entry| {
        let command = std::fs::read(entry.path().join("cmdline"));
        command.is_ok_and(|command| command == sought.as_bytes())
    })
}

/// Starts the job and waits until it is at work.
fn begin(pair: &Pair, timeout: u64) -> (Child, String) {
    let mark = (1_000_000 + std::process::id()).to_string();
    let mut node = pair.node("execute-a", &EVERYTHING.replace("MARK", &mark));
    node.spec.timeout_secs = timeout;
    node.spec.grace_secs = Some(1);
    node.spec.secrets.insert(plans::EnvName::new("TOKEN").expect("a name"));
    let plan = pair.world().plan(vec![node]);
    let mut command = pair.command(&["apply", &plan]);
    command.env("TOKEN", "correct-horse-battery-staple");
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    until(|| is_alive(&mark) || child.try_wait().expect("asked").is_some());
    (child, mark)
}

fn ends(pair: &Pair, (mut child, mark): (Child, String), outcome: &str) {
    within(HOLDS, || child.try_wait().expect("asked").is_some());
    assert_eq!(outcomes(&pair.world().record())["execute-a"], outcome);
    within(HOLDS, || !is_alive(&mark));
}

fn timeout(pair: &Pair) {
    ends(pair, begin(pair, 2), "timed_out");
}

fn cancel(pair: &Pair) {
    let begun = begin(pair, 600);
    Ended::of(pair.command(&["cancel", "latest"]).output().expect("it starts")).code(0);
    ends(pair, begun, "cancelled");
}
