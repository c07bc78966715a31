//! One attempt on this machine: what the job sees, how it ends, what is left.

use executor::attempt::AttemptOutcome::{Cancelled, Failed, InfraFailed, Passed, TimedOut};

use crate::bench::{Bench, argv, sh, with_secret, writable};

#[test]
fn a_job_runs_in_the_tree_and_leaves_nothing() {
    let bench = Bench::new();
    let result = bench.sh("cat greeting; bin/hi; echo oops >&2");
    assert_eq!(result.outcome, Passed, "{result:?}");
    assert_eq!(result.exit_code, Some(0));
    assert_eq!(bench.guest_log("execute-x"), "hello\nhi\noops\n");
    assert_eq!(bench.leftovers("execute-x"), Vec::<String>::new());
    let host_log = bench.host_log("execute-x");
    let opening = host_log.lines().next().expect("a line");
    assert!(opening.starts_with("runtime=host_process placement=local host="), "{opening}");
    assert!(
        opening.ends_with("command=/bin/sh -c 'cat greeting; bin/hi; echo oops >&2'"),
        "{opening}"
    );
}

#[test]
fn an_exit_code_and_a_signal_are_told_apart() {
    let bench = Bench::new();
    let result = bench.sh("exit 42");
    assert_eq!((result.outcome, result.exit_code, result.signal), (Failed, Some(42), None));
    let result = bench.sh("kill -SEGV $$");
    assert_eq!((result.outcome, result.exit_code, result.signal), (Failed, None, Some(11)));
    let result = bench.sh("exit 255");
    assert_eq!((result.outcome, result.exit_code), (Failed, Some(255)));
}

#[test]
fn a_command_that_cannot_be_run_says_why() {
    let bench = Bench::new();
    for (words, code, says) in [
        (&["no-such-program"][..], 127, "`no-such-program`: no such program in PATH"),
        (&["./no-such-file"][..], 127, "no such file"),
        (&["./greeting"][..], 126, "greeting: not an executable file"),
        (&["/usr"][..], 126, "/usr: not an executable file"),
    ] {
        let result = bench.run(argv(words));
        assert_eq!((result.outcome, result.exit_code), (Failed, Some(code)), "{result:?}");
        let message = result.message.expect("a message");
        assert!(message.contains(says), "{message}");
    }
    let mut node = sh("true");
    node.spec.working_dir = Some(plans::WorkspacePath::new("no/where").expect("a path"));
    let result = bench.run(node);
    assert_eq!(result.outcome, Failed);
    assert!(result.message.expect("a message").contains("no/where"));
}

#[test]
fn the_environment_is_cleared_and_then_given() {
    let bench = Bench::new();
    let mut node = sh("env | sort; test -w \"$TMPDIR\" && test -w \"$ARTIFACTS_DIR\"");
    node.spec.env.insert(plans::EnvName::new("MINE").expect("a name"), "a=b c".to_owned());
    let mut request = bench.request(node);
    request.pass_env = vec!["PASSED".to_owned()];
    let result = bench.run_request(&request);
    assert_eq!(result.outcome, Passed, "{}", bench.guest_log("execute-x"));
    let log = bench.guest_log("execute-x");
    let names: Vec<&str> =
        log.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    assert_eq!(
        names,
        [
            "ARTIFACTS_DIR",
            "CI",
            "FORGE_LANES_COOKIE",
            "FORGE_LANES_HEAD",
            "FORGE_LANES_NODE",
            "FORGE_LANES_RUN_ID",
            "HOME",
            "LANG",
            "MINE",
            "PASSED",
            "PATH",
            "PWD",
            "SHELL",
            "TMPDIR",
            "USER",
        ],
    );
    assert!(log.contains("MINE=a=b c\n") && log.contains("PASSED=from the site\n"), "{log}");
}

#[test]
fn a_read_only_tree_cannot_be_written_by_anybody() {
    let bench = Bench::new();
    let result = bench.sh("touch new || echo refused; echo x >> greeting || echo refused");
    assert_eq!(result.outcome, Passed, "{result:?}");
    let log = bench.guest_log("execute-x");
    assert_eq!(log.matches("refused").count(), 2, "{log}");
    assert!(log.contains("Read-only file system"), "{log}");
}

#[test]
fn a_writable_tree_is_the_jobs_own() {
    let bench = Bench::new();
    let script = "echo more >> greeting; rm -r bin; mkdir bin; mv greeting bin/; cat bin/greeting";
    for _ in 0..2 {
        let result = bench.run(writable(sh(script)));
        assert_eq!(result.outcome, Passed, "{}", bench.guest_log("execute-x"));
    }
    assert_eq!(bench.guest_log("execute-x"), "hello\nmore\nhello\nmore\n");
    assert_eq!(bench.leftovers("execute-x"), Vec::<String>::new());
}

#[test]
fn a_job_that_takes_too_long_is_ended_with_its_whole_tree() {
    let bench = Bench::new();
    let mut node = sh("setsid sh -c 'trap \"\" TERM; touch '$0/up'; while :; do sleep 1; done' & \
         trap '' TERM; while :; do sleep 1; done");
    node.spec.timeout_secs = 1;
    node.spec.grace_secs = Some(0);
    let result = bench.run(node);
    assert_eq!(result.outcome, TimedOut, "{result:?}");
    assert!(result.killed_processes >= 2, "{result:?}");
    assert_eq!(bench.leftovers("execute-x"), Vec::<String>::new());
}

#[test]
fn what_a_job_leaves_running_is_ended_and_never_waited_for() {
    let bench = Bench::new();
    let started = std::time::Instant::now();
    let result = bench.sh("sleep 50 & setsid sleep 50 & (setsid setsid sleep 50 &) ; echo done");
    assert_eq!(result.outcome, Passed, "{result:?}");
    assert!(started.elapsed().as_secs() < 40);
    // Those on the way to their last exec count as well.
    assert!(result.killed_processes >= 3, "{result:?}");
}

#[test]
fn a_secret_never_reaches_the_log() {
    let bench = Bench::new();
    let script = "echo \"$TOKEN\"; printf %s \"$TOKEN\" | base64; test \"$TOKEN\" = hunter2hunter2; \
                  sleep 50 &";
    let mut request = bench.request(sh(script));
    with_secret(&mut request, "TOKEN", "hunter2hunter2");
    let result = bench.run_request(&request);
    assert_eq!(result.outcome, Passed, "{result:?} {}", bench.guest_log("execute-x"));
    let log = bench.guest_log("execute-x");
    assert!(log.starts_with("***\n***"), "{log}");
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn a_tree_that_the_repository_lost_is_an_infrastructure_failure() {
    let mut bench = Bench::new();
    bench.source.tree = plans::ObjectId::new("1".repeat(40)).expect("an id");
    let result = bench.sh("true");
    assert_eq!(result.outcome, InfraFailed);
    assert_eq!(result.failure_kind, Some(executor::fault::FailureKind::SourceMissing));
}

#[test]
fn what_is_cancelled_before_it_starts_never_starts() {
    let bench = Bench::new();
    let control = executor::control::Control::new().expect("a control");
    control.raise(executor::control::Level::Cancel);
    let request = bench.request(sh("echo started"));
    let notes = crate::bench::Notes::default();
    let result = executor::drive::run(&request, &*bench.local(), &control, &notes);
    assert_eq!(result.outcome, Cancelled);
    assert!(!result.started);
    assert_eq!(bench.guest_log("execute-x"), "");
}
