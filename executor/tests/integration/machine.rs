//! This machine beyond one plain job: outputs and mounts, source trees, artifacts, crashes.

use std::{fs, os::unix::fs::symlink, path::Path, sync::Arc, time::Duration};

use executor::{
    attempt::{
        AttemptOutcome::{Cancelled, Failed, InfraFailed, Passed},
        AttemptRequest, OutputKind,
    },
    control::{Control, Level},
    drive,
    fault::FailureKind,
    locks::LockRequest,
    placements::LeftoverKind,
    source::Form,
    supervise::JobStatus,
};
use plans::{AbsolutePath, Checkout, Command, Mount, NodeId, Output, WorkspacePath};

use crate::bench::{Bench, Notes, commit, git, machines, node, sh, with_output, writable, write};

fn prepare(id: &str, script: &str, output: Output) -> plans::Node {
    let mut node = node(id, Command::Shell { script: script.to_owned(), as_root: false });
    node.output = Some(output);
    writable(node)
}

#[test]
fn an_output_directory_is_seen_where_its_consumer_mounts_it() {
    let bench = Bench::new();
    let made = bench.run(prepare(
        "prepare-tools",
        "mkdir -p out/bin && printf '#!/bin/sh\\necho tool\\n' > out/bin/tool && chmod +x out/bin/tool",
        Output::Directory(WorkspacePath::new("out").expect("a path")),
    ));
    assert_eq!(made.outcome, Passed, "{made:?}");
    let output = made.output.expect("an output");
    assert_eq!(output.kind, OutputKind::Directory);
    // A path that this machine has not, and one below a directory that it has.
    let missing = format!("/forge-lanes-test-{}/tools", std::process::id());
    let below = bench.dir.path().join("home/deep/tools").display().to_string();
    for at in [missing, below] {
        let mut consumer = node(
            "execute-x",
            Command::Shell {
                script: format!(
                    "{at}/bin/tool; touch {at}/x || echo read-only; test -d /proc/self && test -d /usr \
                 && test -w \"$TMPDIR\" && cat greeting"
                ),
                as_root: false,
            },
        );
        consumer.depends_on.insert(NodeId::new("prepare-tools").expect("an id"));
        consumer.mounts.push(Mount {
            node: NodeId::new("prepare-tools").expect("an id"),
            path: AbsolutePath::new(at.as_str()).expect("a path"),
        });
        let mut request = bench.request(consumer);
        with_output(&mut request, "prepare-tools", output.clone());
        let _ = fs::remove_file(&request.guest_log);
        let result = bench.run_request(&request);
        assert_eq!(result.outcome, Passed, "{result:?} {}", bench.guest_log("execute-x"));
        let log = bench.guest_log("execute-x");
        assert!(log.starts_with("tool\n") && log.contains("read-only\nhello\n"), "{log}");
        assert!(!Path::new(&at).exists(), "{at} was made on the machine itself");
    }
    assert_eq!(bench.run(sh("true")).outcome, Passed);
}

#[test]
fn an_output_that_is_not_left_fails_its_node() {
    let bench = Bench::new();
    for script in ["true", "ln -s /etc out", "echo file > out"] {
        let output = Output::Directory(WorkspacePath::new("out").expect("a path"));
        let result = bench.run(prepare("prepare-x", script, output));
        assert_eq!(result.outcome, Failed, "{script}: {result:?}");
        assert!(result.message.expect("a message").contains("left no directory `out`"));
    }
}

#[test]
fn dependents_of_a_host_setup_start_from_its_workspace() {
    let bench = Bench::new();
    let made = bench.run(prepare("prepare-setup", "echo generated > gen", Output::Workspace));
    let output = made.output.expect("an output");
    for write in [false, true] {
        let script = if write { "cat gen greeting; echo x > gen" } else { "cat gen greeting" };
        let mut consumer = sh(script);
        consumer.workspace_from = Some(NodeId::new("prepare-setup").expect("an id"));
        let consumer = if write { writable(consumer) } else { consumer };
        let mut request = bench.request(consumer);
        with_output(&mut request, "prepare-setup", output.clone());
        let result = bench.run_request(&request);
        assert_eq!(result.outcome, Passed, "{result:?}");
    }
    assert_eq!(bench.guest_log("execute-x"), "generated\nhello\n".repeat(2));
    let kept = fs::read_to_string(Path::new(&output.path).join("gen")).expect("it stays");
    assert_eq!(kept, "generated\n");
}

#[test]
fn artifacts_come_back_and_hostile_ones_are_refused() {
    let bench = Bench::new();
    let mut node = writable(sh(
        "mkdir -p out/deep && echo 1 > out/deep/a.xml && echo 2 > out/b.xml && echo n > out/no.txt; \
         ln -s b.xml out/inside.xml; ln -s /etc/passwd out/absolute.xml; \
         ln -s ../../../../../../../../etc/passwd out/dotdot.xml; ln -s nowhere out/dangling.xml; \
         mkfifo out/pipe.xml; ln -s / out/root; echo 3 > \"$ARTIFACTS_DIR/c.xml\"; \
         printf x > \"$(printf 'out/a\\nb.xml')\"; exit 3",
    ));
    node.spec.artifacts = vec!["out/**/*.xml".to_owned(), "*.xml".to_owned()];
    let request = bench.request(node);
    let result = bench.run_request(&request);
    assert_eq!((result.outcome, result.exit_code), (Failed, Some(3)));
    let read = |name: &str| fs::read_to_string(request.artifacts.join(name)).unwrap_or_default();
    assert_eq!(read("out/deep/a.xml"), "1\n");
    assert_eq!(read("out/b.xml"), "2\n");
    assert_eq!(read("out/inside.xml"), "2\n");
    assert_eq!(read("c.xml"), "3\n");
    assert_eq!(read("out/a\nb.xml"), "x");
    assert_eq!(result.artifacts, 5, "{result:?}");
    let refused: Vec<&str> =
        result.left_out.iter().map(|text| text.split(':').next().expect("a name")).collect();
    assert_eq!(refused, ["out/absolute.xml", "out/dangling.xml", "out/dotdot.xml", "out/pipe.xml"]);
}

#[test]
fn a_tree_shares_with_the_last_one_what_did_not_change() {
    let mut bench = Bench::with(&[("same", "1\n"), ("dir/same", "#!/bin/sh\n"), ("other", "2\n")]);
    symlink("dir/same", bench.repository().join("link")).expect("a link");
    bench.source = commit(&bench.repository());
    let script = "stat -c %i same; cat other; readlink link; test -x dir/same; ls -A";
    assert_eq!(bench.sh(script).outcome, Passed);
    write(&bench.repository().join("other"), "3\n");
    write(&bench.repository().join("ignored.tmp"), "never\n");
    write(&bench.repository().join(".gitignore"), "*.tmp\n");
    bench.source = commit(&bench.repository());
    assert_eq!(bench.sh(script).outcome, Passed);
    let log = bench.guest_log("execute-x");
    let lines: Vec<&str> = log.lines().collect();
    assert_eq!(lines[1..7], ["2", "dir/same", "dir", "link", "other", "same"]);
    assert_eq!(lines[0], lines[7], "`same` was written a second time");
    assert_eq!(lines[8..], ["3", "dir/same", ".gitignore", "dir", "link", "other", "same"]);
}

#[test]
fn a_snapshot_profile_leaves_out_what_it_names() {
    let bench =
        Bench::with(&[("a.rs", ""), ("docs/a.md", ""), ("docs/deep/b.md", ""), ("b.md", "")]);
    let mut node = sh("find . -type f | sort");
    node.spec.snapshot_profile = Some(plans::SnapshotProfile {
        name: plans::ProfileName::new("rust").expect("a name"),
        exclude: vec!["docs/**".to_owned()],
    });
    assert_eq!(bench.run(node).outcome, Passed);
    assert_eq!(bench.guest_log("execute-x"), "./a.rs\n./b.md\n");
}

#[test]
fn a_clone_is_a_shallow_checkout_of_head_that_git_finds_clean() {
    let mut bench = Bench::new();
    write(&bench.repository().join("second"), "2\n");
    bench.source = commit(&bench.repository());
    for writes in [false, true] {
        let mut node = sh("git -c safe.directory='*' status --porcelain; \
                           git -c safe.directory='*' rev-parse HEAD; \
                           git -c safe.directory='*' rev-list --count HEAD; cat second");
        node.spec.checkout = Checkout::Clone;
        let node = if writes { writable(node) } else { node };
        let result = bench.run(node);
        assert_eq!(result.outcome, Passed, "{result:?} {}", bench.guest_log("execute-x"));
    }
    let head = git(&bench.repository(), &["rev-parse", "HEAD"]);
    assert_eq!(bench.guest_log("execute-x"), format!("{head}\n1\n2\n").repeat(2));
}

#[test]
fn a_crafted_tree_leads_nowhere() {
    let mut bench = Bench::new();
    let repository = bench.repository();
    let blob = git(&repository, &["rev-parse", "HEAD:greeting"]);
    for name in ["..", ".git", "a\nb"] {
        // `mktree` checks little: that is what somebody hostile would use.
        let raw = bench.dir.path().join("raw");
        let mut tree = format!("100644 {name}\0").into_bytes();
        let byte = |at: usize| u8::from_str_radix(&blob[at..at + 2], 16).expect("hexadecimal");
        tree.extend((0..blob.len()).step_by(2).map(byte));
        fs::write(&raw, tree).expect("a file");
        let id = git(
            &repository,
            &["hash-object", "-t", "tree", "--literally", "-w", &raw.display().to_string()],
        );
        bench.source.tree = plans::ObjectId::new(id).expect("an id");
        let result = bench.sh("ls");
        if name == "a\nb" {
            assert_eq!(result.outcome, Passed, "{result:?}");
        } else {
            assert_eq!(result.outcome, InfraFailed, "{name}: {result:?}");
            assert_eq!(result.failure_kind, Some(FailureKind::SourceMissing));
        }
    }
}

/// Starts an attempt, waits until its job says `up`, and forgets the executor: what is left is what
/// a killed one leaves.
fn abandon(bench: &Bench, script: &str, lease: Duration) -> AttemptRequest {
    let mut request = bench.request(sh(script));
    request.lease = lease;
    let work = executor::runtimes::Work::of(&request, "local").expect("work");
    let gone = machines(bench.dir.path());
    let machine = gone.open(&plans::Placement::Local).expect("this machine");
    let control = Control::new().expect("a control");
    let source = machine.place_source(&work.source, Form::Whole, &control).expect("a tree");
    machine
        .start(&executor::placements::Job {
            job: request.job(),
            argv: work.argv,
            env: work.env,
            keep_env: Vec::new(),
            secrets: Default::default(),
            workspace: executor::placements::WorkspaceSource::Tree(source),
            writable: false,
            working_dir: None,
            mounts: Vec::new(),
            caches: Vec::new(),
            limits: work.limits,
            keep: work.keep,
            log: request.guest_log.clone(),
            artifacts: request.artifacts.clone(),
        })
        .expect("it starts");
    until(|| fs::read_to_string(&request.guest_log).is_ok_and(|log| log.contains("up")));
    request
}

fn until(ready: impl Fn() -> bool) {
    let since = std::time::Instant::now();
    while !ready() {
        assert!(since.elapsed() < Duration::from_secs(60), "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn begun(bench: &Bench, request: &AttemptRequest) -> Vec<executor::intent::Intent> {
    vec![executor::intent::Intent::Supervised(executor::intent::SupervisedIntent {
        machine: "local".to_owned(),
        job: request.job(),
        state_dir: bench.local().attempt_dir(&request.job()),
        remote: false,
    })]
}

#[test]
fn a_job_outlives_its_executor_and_is_judged_by_the_next_one() {
    let bench = Bench::new();
    let go = bench.dir.path().join("go");
    let script =
        format!("echo up; until test -e {}; do sleep 0.02; done; echo over; exit 7", go.display());
    let request = abandon(&bench, &script, Duration::from_secs(60));
    assert_eq!(bench.local().status(&request.job()), Ok(JobStatus::Running));
    fs::write(&go, "").expect("a file");
    let control = Control::new().expect("a control");
    let begun = begun(&bench, &request);
    let notes = Notes::default();
    let result = drive::reattach(&request, &*bench.local(), &control, &notes, &begun);
    assert_eq!((result.outcome, result.exit_code), (Failed, Some(7)), "{result:?}");
    assert_eq!(bench.guest_log("execute-x"), "up\nover\n");
    // Once more: the verdict stays, nothing runs a second time.
    let again = drive::reattach(&request, &*bench.local(), &control, &notes, &begun);
    assert_eq!((again.outcome, again.exit_code), (Failed, Some(7)), "{again:?}");
    assert_eq!(bench.guest_log("execute-x"), "up\nover\n");
    assert_eq!(bench.local().leftovers(Some("run1")), Ok(Vec::new()));
}

#[test]
fn an_abandoned_job_can_be_cancelled() {
    let bench = Bench::new();
    let request = abandon(
        &bench,
        "trap 'echo bye; exit 1' TERM; echo up; sleep 600 & wait",
        Duration::from_secs(60),
    );
    let control = Control::new().expect("a control");
    control.raise(Level::Cancel);
    let begun = begun(&bench, &request);
    let result = drive::reattach(&request, &*bench.local(), &control, &Notes::default(), &begun);
    assert_eq!(result.outcome, Cancelled, "{result:?}");
    assert_eq!(bench.guest_log("execute-x"), "up\nbye\n");
}

#[test]
fn a_job_that_nobody_renews_ends_by_its_lease() {
    let bench = Bench::new();
    let request = abandon(&bench, "echo up; sleep 600", Duration::from_millis(300));
    until(|| bench.local().status(&request.job()) != Ok(JobStatus::Running));
    match bench.local().status(&request.job()) {
        Ok(JobStatus::Exited(ended)) => {
            assert_eq!(ended.reason, executor::supervise::Reason::LeaseExpired);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_job_that_nobody_renews_ends_by_its_lease_whatever_it_writes() {
    let bench = Bench::new();
    // Everything that lies in its directory, and what it may take for a renewal.
    let script = "echo up; while :; do echo x >>/dev/stderr; echo x >>lease; echo x >>\"$TMPDIR/y\"; sleep 0.05; done";
    let request = abandon(&bench, script, Duration::from_millis(500));
    let log = request.guest_log.clone();
    until(|| {
        // Somebody who reads and writes the log, too.
        let _ = fs::OpenOptions::new().append(true).open(&log);
        bench.local().status(&request.job()) != Ok(JobStatus::Running)
    });
    match bench.local().status(&request.job()) {
        Ok(JobStatus::Exited(ended)) => {
            assert_eq!(ended.reason, executor::supervise::Reason::LeaseExpired);
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_killed_supervisor_leaves_a_lost_job_and_nothing_running() {
    let bench = Bench::new();
    let request = abandon(
        &bench,
        "echo up $$ $(awk '/^PPid/ {print $2}' /proc/$$/status); setsid sleep 600 & sleep 600",
        Duration::from_secs(60),
    );
    until(|| bench.guest_log("execute-x").lines().count() == 1);
    let log = bench.guest_log("execute-x");
    let pids: Vec<i32> = log.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let pid = rustix::process::Pid::from_raw(pids[1]).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it was alive");
    until(|| bench.local().status(&request.job()) == Ok(JobStatus::Lost));
    let left = bench.local().leftovers(Some("run1")).expect("an answer");
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0].kind, LeftoverKind::Job);
    let control = Control::new().expect("a control");
    let begun = begun(&bench, &request);
    let result = drive::reattach(&request, &*bench.local(), &control, &Notes::default(), &begun);
    assert_eq!((result.outcome, result.failure_kind), (InfraFailed, Some(FailureKind::Lost)));
    let leader = format!("/proc/{}", pids[0]);
    until(|| {
        let stat = fs::read_to_string(format!("{leader}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z")
    });
}

#[test]
fn a_full_disk_is_told_from_a_failing_job() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let bench = Bench::new();
    let small = bench.dir.path().join("runs");
    fs::create_dir(&small).expect("a directory");
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=256k", "none"])
        .arg(&small)
        .status();
    if !mounted.is_ok_and(|status| status.success()) {
        return;
    }
    let result =
        bench.sh("while echo 0123456789012345678901234567890123456789; do :; done; exit 1");
    let unmounted = std::process::Command::new("umount").arg("-l").arg(&small).status();
    assert!(unmounted.is_ok_and(|status| status.success()));
    assert_eq!(
        (result.outcome, result.failure_kind),
        (InfraFailed, Some(FailureKind::DiskFull)),
        "{result:?}"
    );
}

#[test]
fn a_group_is_one_jobs_at_a_time_and_whoever_waits_can_be_cancelled() {
    let bench = Bench::new();
    let machine = bench.local();
    let turn = LockRequest {
        holder: None,
        max_jobs: Some(1),
        groups: vec!["apple".to_owned()],
        in_guest: false,
    };
    let control = Control::new().expect("a control");
    let held = machine.acquire(&turn, &control, &|_| ()).expect("an answer").expect("it is free");
    let other = machines(bench.dir.path()).open(&plans::Placement::Local).expect("this machine");
    let waits = control.clone();
    let wanted = turn.clone();
    let waiter = {
        let other = Arc::clone(&other);
        std::thread::spawn(move || {
            other.acquire(&wanted, &waits, &|_| ()).map(|held| held.is_some())
        })
    };
    drop(held);
    assert_eq!(waiter.join().expect("no panic"), Ok(true));
    let held = machine.acquire(&turn, &control, &|_| ()).expect("an answer").expect("it is free");
    let waits = control.clone();
    let waiter = std::thread::spawn(move || {
        other.acquire(&turn, &waits, &|_| ()).map(|held| held.is_some())
    });
    control.raise(Level::Cancel);
    assert_eq!(waiter.join().expect("no panic"), Ok(false));
    drop(held);
}

#[test]
fn a_tree_that_a_power_cut_emptied_is_made_again() {
    let bench = Bench::new();
    assert_eq!(bench.sh("cat greeting").outcome, Passed);
    let trees = bench.dir.path().join("machine/trees");
    let tree = fs::read_dir(&trees)
        .expect("trees")
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.join("use").exists())
        .expect("a tree");
    fs::write(tree.join("boot"), "another").expect("a file");
    fs::write(tree.join("files/greeting"), "").expect("a file");
    let other = machines(bench.dir.path());
    let control = Control::new().expect("a control");
    let request = bench.request(sh("cat greeting"));
    let machine = other.open(&plans::Placement::Local).expect("this machine");
    drop(bench.machines);
    let result = drive::run(&request, &*machine, &control, &Notes::default());
    assert_eq!(result.outcome, Passed, "{result:?}");
    assert_eq!(fs::read_to_string(&request.guest_log).expect("a log"), "hello\nhello\n");
}

/// A crate without dependencies, and the toolchain's own `cargo`: a proxy would look for its
/// settings in a home directory that tests do not have.
fn with_crate() -> Option<(Bench, String)> {
    let asked = std::process::Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = asked.ok().filter(|asked| asked.status.success())?.stdout;
    let bin = format!("{}/bin", String::from_utf8(sysroot).ok()?.trim());
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    let bench = Bench::with(&[
        (
            "Cargo.toml",
            "[package]\nname = \"tiny\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[workspace]\n",
        ),
        ("Cargo.lock", "version = 3\n\n[[package]]\nname = \"tiny\"\nversion = \"0.1.0\"\n"),
        (
            "src/lib.rs",
            "#[test] fn passes() {}\n#[test] fn fails() { panic!() }\n\
             #[test] #[ignore] fn sleeps() { panic!() }\nmod deep { #[test] fn passes_too() {} }\n",
        ),
    ]);
    Some((bench, path))
}

#[test]
fn tests_that_match_nothing_fail_and_those_that_match_run() {
    let Some((bench, path)) = with_crate() else {
        assert!(std::env::var_os("CI").is_none(), "rustc is missing");
        return;
    };
    let one = |test: &str| Command::CargoTest { package: "tiny".to_owned(), test: test.to_owned() };
    let some = |filter: Option<&str>| Command::CargoTests {
        package: "tiny".to_owned(),
        filter: filter.map(str::to_owned),
        lib_only: true,
    };
    let cases = [
        (one("passes"), Passed, "1 passed"),
        (one("deep::passes_too"), Passed, "1 passed"),
        (one("fails"), Failed, "1 failed"),
        (one("passe"), Failed, "no test to run"),
        (one("sleeps"), Failed, "no test to run"),
        (some(Some("pass")), Passed, "2 passed"),
        (some(Some("nowhere")), Failed, "no test to run"),
        (some(Some("sleeps")), Failed, "no test to run"),
        (some(None), Failed, "1 failed"),
    ];
    for (command, outcome, says) in cases {
        let mut node = writable(node("execute-x", command.clone()));
        let mut give = |name: &str, value: String| {
            node.spec.env.insert(plans::EnvName::new(name).expect("a name"), value)
        };
        give("PATH", path.clone());
        give("CARGO_TARGET_DIR", bench.dir.path().join("target").display().to_string());
        give("CARGO_NET_OFFLINE", "true".to_owned());
        let _ = fs::remove_file(bench.node_dir("execute-x").join("guest.log"));
        let result = bench.run(node);
        let log = bench.guest_log("execute-x");
        assert_eq!(result.outcome, outcome, "{command:?}: {result:?}\n{log}");
        assert!(log.contains(says), "{command:?}: {log}");
    }
}
