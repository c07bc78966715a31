//! Connections and sessions against a real sshd: noise, odd shells, cut links, frozen servers.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a test says why it was skipped")]

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use executor::{
    command_line::Script,
    control::{Control, Level},
    fault::{FailureKind, Fault},
    locks::LockRequest,
    placements::{
        Commands as _, ControlCommand, Flow, Job, Jobs as _, Machine as _, WorkspaceSource,
        ssh::{RemoteSsh, Sources},
    },
    source::{Form, PlacedSource, SourceRequest, SourceSpec},
    ssh::{Attachment, Host, Manifest, ManifestEntry, SshFault, What},
    supervise::{BindMount, Frame, JobLimits, JobRef, JobStatus, Keep, Reason, shim},
};
use proptest::prelude::*;
use rustix::process::Signal;

use crate::{
    harness::SmallDisk,
    sshd::{Sshd, install_shim, is_alive, signal},
};

const PATIENCE: Duration = Duration::from_secs(60);

macro_rules! sshd {
    ($configuration:expr) => {
        match Sshd::start($configuration) {
            Some(sshd) => sshd,
            None => return,
        }
    };
}

#[track_caller]
fn ask(host: &Host, script: &str) -> (u8, String) {
    let answer = host.run(&Script::new(script), &host.patience()).expect("an answer");
    (answer.status, String::from_utf8_lossy(&answer.output).into_owned())
}

#[test]
fn answers_come_back_whole_with_their_status() {
    let sshd = sshd!("");
    let host = sshd.host();
    assert_eq!(ask(&host, "printf 'no newline'; exit 7"), (7, "no newline".into()));
    assert_eq!(ask(&host, "echo out; echo err >&2"), (0, "out\nerr\n".into()));
    assert_eq!(ask(&host, "cat"), (0, String::new()), "it reads nothing of ours");
    assert_eq!(ask(&host, "exit 255"), (255, String::new()));
    let output = host.check(&Script::new("printf 'a\\000\\n\\377b'"), &host.patience());
    assert_eq!(output.expect("bytes"), b"a\0\n\xffb");
    let error = host.check(&Script::new("echo why; exit 3"), &host.patience()).unwrap_err();
    assert_eq!(error.fault, SshFault::Remote);
    assert!(error.detail.contains("why"), "{error}");
    assert_eq!(host.connections().len(), 1, "one connection for all of it");
}

#[track_caller]
fn check_login(configuration: &str) {
    let sshd = sshd!(configuration);
    let host = sshd.host();
    assert_eq!(ask(&host, "x='a b'; echo \"$x\" \"it's\" $((1 + 1))"), (0, "a b it's 2\n".into()));
    let answers: Vec<_> = thread::scope(|scope| {
        let asked: Vec<_> =
            (0..4).map(|_| scope.spawn(|| ask(&host, "sleep 0.1; echo ok"))).collect();
        asked.into_iter().map(|answer| answer.join().expect("no panic")).collect()
    });
    assert_eq!(answers, vec![(0, "ok\n".to_owned()); 4]);
}

#[test]
fn login_scripts_that_print_and_dawdle_are_survived() {
    check_login(
        "ForceCommand echo noise; printf 'partial line'; echo err >&2; sleep 0.5; \
         eval \"$SSH_ORIGINAL_COMMAND\"",
    );
}

#[test]
fn a_login_shell_that_is_fish_is_survived() {
    if has("fish") {
        check_login("ForceCommand exec fish -c \"$SSH_ORIGINAL_COMMAND\"");
    }
}

#[test]
fn a_login_shell_that_is_csh_is_survived() {
    if has("tcsh") {
        check_login("ForceCommand exec tcsh -c \"$SSH_ORIGINAL_COMMAND\"");
    }
}

fn has(program: &str) -> bool {
    let found = Command::new(program)
        .args(["-c", "exit 0"])
        .env("HOME", "/nonexistent")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok();
    if !found {
        assert!(std::env::var_os("CI").is_none(), "{program} is not installed");
        eprintln!("skipped: {program} is not installed");
    }
    found
}

#[test]
fn a_shell_that_runs_nothing_is_named_as_such() {
    let sshd = sshd!("ForceCommand exit 1");
    let error = sshd.host().run(&Script::new("true"), &sshd.host().patience()).unwrap_err();
    assert!(matches!(error.fault, SshFault::Lost | SshFault::Shell), "{error}");
}

#[test]
fn every_way_not_to_arrive_has_its_own_name_and_advice() {
    let sshd = sshd!("");
    let fails = |destination: &str, expected: SshFault| {
        let mut options = sshd.options(destination);
        options.connect_timeout = Duration::from_secs(3);
        options.first_attempts = 1;
        let host = Host::new(options).expect("descriptors");
        let error = host.run(&Script::new("true"), &host.patience()).unwrap_err();
        assert_eq!(error.fault, expected, "{error}");
        assert!(!error.advice().is_empty());
    };
    fails("nowhere", SshFault::Dns);
    sshd.write_client_configuration("other_key");
    fails("testhost", SshFault::HostKeyChanged);
    sshd.write_client_configuration("host_key");
    fs::write(sshd.root().join("known_hosts"), "").expect("written");
    fails("testhost", SshFault::HostKeyUnknown);
    sshd.write_client_configuration("host_key");
    fs::write(sshd.root().join("authorized_keys"), "").expect("written");
    fails("testhost", SshFault::Auth);
    fs::copy(sshd.root().join("user_key.pub"), sshd.root().join("authorized_keys"))
        .expect("a copy");
    sshd.link.down();
    // The relay closes before a word is said.
    fails("testhost", SshFault::Lost);
    sshd.link.up();
    for pid in sshd.processes() {
        signal(pid, Signal::STOP);
    }
    fails("testhost", SshFault::ConnectTimeout);
    for pid in sshd.processes() {
        signal(pid, Signal::CONT);
    }
    let mut options = sshd.options("testhost");
    options.program = "/nonexistent/ssh".into();
    let host = Host::new(options).expect("descriptors");
    let error = host.run(&Script::new("true"), &host.patience()).unwrap_err();
    assert_eq!(error.fault, SshFault::NoClient);
    fs::write(sshd.root().join("ssh_config"), "NoSuchOption yes\n").expect("written");
    fails("testhost", SshFault::Configuration);
    fs::write(
        sshd.root().join("ssh_config"),
        "Host testhost\n HostName 127.0.0.1\n Port 1\n BatchMode yes\n",
    )
    .expect("written");
    fails("testhost", SshFault::Unreachable);
}

#[test]
fn more_sessions_than_a_connection_carries_get_a_second_one() {
    let sshd = sshd!("");
    let host = sshd.host();
    thread::scope(|scope| {
        let asked: Vec<_> =
            (0..12).map(|_| scope.spawn(|| ask(&host, "sleep 1; echo ok"))).collect();
        for answer in asked {
            assert_eq!(answer.join().expect("no panic"), (0, "ok\n".into()));
        }
    });
    assert!(host.connections().len() >= 2, "{:?}", host.connections());
}

#[test]
fn a_server_that_allows_few_sessions_gets_more_connections() {
    for allowed in [1, 2, 3] {
        let sshd = sshd!(&format!("MaxSessions {allowed}"));
        let host = sshd.host();
        thread::scope(|scope| {
            let asked: Vec<_> =
                (0..4).map(|_| scope.spawn(|| ask(&host, "sleep 0.3; echo ok"))).collect();
            for answer in asked {
                assert_eq!(answer.join().expect("no panic"), (0, "ok\n".into()));
            }
        });
    }
}

#[test]
fn a_frozen_link_ends_in_a_deadline_and_heals() {
    let sshd = sshd!("");
    let host = sshd.host();
    assert_eq!(ask(&host, "echo ok").0, 0);
    let [connection] = host.connections()[..] else { panic!("one connection") };
    sshd.link.freeze();
    let until = Instant::now() + PATIENCE;
    while is_alive(connection) {
        assert!(Instant::now() < until, "a frozen connection is still thought alive");
        thread::sleep(Duration::from_millis(50));
    }
    sshd.link.thaw();
    assert_eq!(ask(&host, "echo ok"), (0, "ok\n".into()));
}

#[test]
fn killed_sessions_and_cut_links_are_replaced() {
    let sshd = sshd!("");
    let host = sshd.host();
    for round in 0..6 {
        assert_eq!(ask(&host, "echo ok"), (0, "ok\n".into()), "round {round}");
        match round % 3 {
            0 => sshd.link.cut(),
            1 => sshd.kill_sessions(),
            _ => host.connections().into_iter().for_each(|pid| signal(pid, Signal::KILL)),
        }
    }
    assert_eq!(ask(&host, "echo ok"), (0, "ok\n".into()));
}

#[test]
fn a_host_that_goes_away_is_waited_for_within_the_budget() {
    let sshd = sshd!("");
    let host = sshd.host();
    assert_eq!(ask(&host, "echo ok").0, 0);
    sshd.link.down();
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&host, "echo ok"));
        thread::sleep(Duration::from_secs(1));
        sshd.link.up();
        assert_eq!(asked.join().expect("no panic"), (0, "ok\n".into()));
    });
    sshd.link.down();
    let mut patience = host.patience();
    patience.budget = Duration::from_secs(1);
    assert!(host.run(&Script::new("true"), &patience).unwrap_err().fault.is_transient());
    // Nobody wants it any more: no further try.
    let patience = executor::ssh::Patience { give_up: &|| true, ..host.patience() };
    assert!(host.run(&Script::new("true"), &patience).is_err());
}

/// Not a test of its own: a process that holds a connection, to be killed by the one below.
#[test]
#[ignore = "a helper that another test starts and kills"]
fn hold_a_connection() {
    let root = std::env::var_os("FORGE_LANES_TEST_ROOT").expect("started by the other test");
    let root = Path::new(&root);
    let mut options = executor::ssh::SshOptions::new("testhost", &root.join("r"));
    options.arguments = vec!["-F".into(), root.join("ssh_config").into()];
    let host = Host::new(options).expect("descriptors");
    let shim = install_shim(&host, root);
    let job = root.join("runs/r/n.1");
    fs::create_dir_all(&job).expect("a directory");
    fs::write(job.join("cmd"), "while :; do echo tick; sleep 0.1; done").expect("a job");
    host.check(&shim::start(&shim, &job, &shim::StartOptions::default()), &host.patience())
        .expect("started");
    let until = Instant::now() + PATIENCE;
    let verb = shim::verb(&shim, "attach", &job);
    let mut attachment = Attachment::open(&host, verb, 0, None, until).expect("attached");
    println!("\nconnection {}", host.connections()[0]);
    while attachment.next(until, None).is_ok() {}
}

#[test]
fn no_connection_outlives_a_killed_executor_and_its_job_goes_on() {
    let sshd = sshd!("");
    drop(sshd.host());
    let mut holder = Command::new(std::env::current_exe().expect("this test"))
        .args(["--exact", "ssh::hold_a_connection", "--ignored", "--nocapture"])
        .env("FORGE_LANES_TEST_ROOT", sshd.root())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test starts");
    let lines = BufReader::new(holder.stdout.take().expect("a pipe")).lines();
    let connection: u32 = lines
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("connection ")?.parse().ok())
        .expect("a connection");
    assert!(is_alive(connection));
    holder.kill().expect("killed");
    holder.wait().expect("gone");
    let until = Instant::now() + PATIENCE;
    while is_alive(connection) || sshd.processes().len() > 1 {
        assert!(Instant::now() < until, "the connection outlives its executor");
        thread::sleep(Duration::from_millis(50));
    }
    let host = sshd.host();
    let shim = install_shim(&host, sshd.root());
    let job = sshd.root().join("runs/r/n.1");
    let status =
        host.check(&shim::verb(&shim, "status", &job), &host.patience()).expect("a status");
    assert!(status.starts_with(b"state=running"), "{}", String::from_utf8_lossy(&status));
    host.check(&shim::verb(&shim, "gc", &job).word("force"), &host.patience()).expect("removed");
    assert!(!job.exists());
}

#[test]
fn a_log_is_byte_identical_after_every_kind_of_cut() {
    let sshd = sshd!("");
    let host = sshd.host();
    let shim = install_shim(&host, sshd.root());
    let job = sshd.root().join("runs of it/r/n.1");
    fs::create_dir_all(&job).expect("a directory");
    fs::write(
        job.join("cmd"),
        "i=0; while [ ! -e \"$1/enough\" ]; do i=$((i + 1)); echo \"$i of many lines, some of them long\"; \
         printf '\\000\\377%1000s' x; sleep 0.01; done; exit 42",
    )
    .expect("a job");
    let started = shim::start(&shim, &job, &shim::StartOptions::default());
    assert_eq!(host.check(&started, &host.patience()).expect("started"), b"started\n");
    let mut log = Vec::new();
    let mut cuts = 0;
    let until = Instant::now() + 2 * PATIENCE;
    let end = 'attach: loop {
        assert!(Instant::now() < until, "it never ends");
        let verb = shim::verb(&shim, "attach", &job);
        let within = Instant::now() + Duration::from_secs(20);
        let Ok(mut attachment) = Attachment::open(&host, verb, log.len() as u64, None, within)
        else {
            continue;
        };
        let mut events = 0;
        loop {
            match attachment.next(Instant::now() + Duration::from_secs(20), None) {
                Ok(Some(Frame::Log(bytes))) => log.extend(bytes),
                Ok(Some(Frame::Idle | Frame::Word(_)) | None) => {}
                Ok(Some(Frame::Cut)) => panic!("nobody cut it"),
                Ok(Some(Frame::End(status))) => {
                    attachment.close(&host, Instant::now() + PATIENCE);
                    break 'attach status;
                }
                Err(error) => {
                    assert!(error.fault.is_transient(), "{error}");
                    continue 'attach;
                }
            }
            assert_eq!(attachment.offset(), log.len() as u64);
            events += 1;
            if cuts == 9 {
                fs::write(job.join("enough"), "").expect("written");
            } else if events == 3 {
                cuts += 1;
                match cuts % 3 {
                    0 => sshd.link.cut(),
                    1 => sshd.kill_sessions(),
                    _ => host.connections().into_iter().for_each(|pid| signal(pid, Signal::KILL)),
                }
            }
        }
    };
    assert!(end.contains("state=exited") && end.contains("code=42"), "{end}");
    assert_eq!(cuts, 9);
    assert_eq!(log, fs::read(job.join("log")).expect("a log"));
    assert_eq!(host.check(&started, &host.patience()).expect("asked again"), b"already\n");
}

#[test]
fn a_supervisor_that_is_not_there_is_no_lost_connection() {
    let sshd = sshd!("");
    let host = sshd.host();
    let until = Instant::now() + PATIENCE;
    let verb = shim::verb(Path::new("/nonexistent/shim.sh"), "attach", Path::new("/tmp"));
    let mut attachment = Attachment::open(&host, verb, 0, None, until).expect("a session");
    assert_eq!(attachment.next(until, None).unwrap_err().fault, SshFault::Remote);
}

#[test]
fn a_waiting_reader_is_woken() {
    let sshd = sshd!("");
    let host = sshd.host();
    let shim = install_shim(&host, sshd.root());
    let job = sshd.root().join("runs/r/n.1");
    fs::create_dir_all(&job).expect("a directory");
    fs::write(job.join("cmd"), "echo up; sleep 1000").expect("a job");
    let started = shim::start(&shim, &job, &shim::StartOptions::default());
    host.check(&started, &host.patience()).expect("started");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let until = Instant::now() + PATIENCE;
    let verb = shim::verb(&shim, "attach", &job);
    let mut attachment =
        Attachment::open(&host, verb, 0, Some(reader.into()), until).expect("attached");
    assert_eq!(attachment.next(until, None).expect("bytes"), Some(Frame::Log(b"up\n".to_vec())));
    drop(writer);
    assert_eq!(attachment.next(until, None).expect("woken"), None);
    drop(attachment);
    host.check(&shim::verb(&shim, "gc", &job).word("force"), &host.patience()).expect("removed");
}

/// The machine that the executor sees in the server.
fn machine(sshd: &Sshd) -> RemoteSsh {
    machine_with(sshd, Box::new(NoSources))
}

fn machine_with(sshd: &Sshd, sources: Box<dyn Sources>) -> RemoteSsh {
    machine_at(sshd, "testhost", sources)
}

/// The same at a destination of the client configuration.
fn machine_at(sshd: &Sshd, destination: &str, sources: Box<dyn Sources>) -> RemoteSsh {
    let host = plans::SshHost {
        host: plans::HostName::new("far").expect("a name"),
        ssh: plans::SshDestination::new("testhost").expect("a destination"),
        work_dir: plans::AbsolutePath::new(sshd.root().join("work").to_str().expect("UTF-8"))
            .expect("a path"),
        max_jobs: 1,
    };
    RemoteSsh::open(
        &host,
        sshd.options(destination),
        &sshd.root().join("cache"),
        &sshd.root().join("runs"),
        sources,
    )
    .expect("a machine")
}

#[test]
fn a_host_that_says_nothing_is_not_waited_for_by_who_is_cancelled() {
    let sshd = sshd!("");
    let machine = machine_at(&sshd, "silent", Box::new(NoSources));
    let control = Control::new().expect("a control");
    let wanted = LockRequest { holder: None, max_jobs: Some(1), groups: vec![], in_guest: false };
    let proxy = sshd.root().join("proxy");
    thread::scope(|scope| {
        scope.spawn(|| {
            let until = Instant::now() + PATIENCE;
            while !proxy.exists() && Instant::now() < until {
                thread::sleep(Duration::from_millis(10));
            }
            control.raise(Level::Cancel);
        });
        // One that waited would be told why it could not be reached.
        assert!(machine.acquire(&wanted, &control, &|_| ()).expect("no fault").is_none());
    });
    machine.close();
    let proxy = fs::read_to_string(proxy).expect("written").trim().parse().expect("a pid");
    assert!(!is_alive(proxy), "it is left behind");
}

/// One directory, whose files are known by their names alone.
struct Named(std::path::PathBuf, &'static [(&'static str, u8)]);

impl Sources for Named {
    fn place(&self, wanted: &SourceRequest, _: &Control) -> Result<PlacedSource, Fault> {
        Ok(PlacedSource::whole(self.0.to_str().expect("UTF-8").to_owned(), wanted.id()))
    }

    fn manifest(&self, _: &SourceRequest) -> Option<Manifest> {
        let entry = |&(path, content): &(&str, u8)| ManifestEntry {
            path: path.as_bytes().to_vec(),
            what: What::File { executable: false, size: 1, digest: [content; 32] },
        };
        Some(Manifest::from_entries(self.1.iter().map(entry).collect()))
    }
}

/// A source of a repository: the tree whose id is this digit and no other.
fn tree_of(repository: &Path, digit: &str) -> SourceRequest {
    SourceRequest {
        source: SourceSpec {
            repository: repository.to_owned(),
            head: None,
            tree: plans::ObjectId::new(digit.repeat(40)).expect("an id"),
            stale: false,
        },
        checkout: plans::Checkout::Tree,
        profile: None,
        inputs: None,
    }
}

#[test]
fn a_tree_is_compared_by_what_the_repository_calls_its_files_and_made_for_a_host_that_lacks_it() {
    let sshd = sshd!("");
    let control = Control::new().expect("a control");
    let here = sshd.root().join("here");
    let write = |content: &str| {
        std::fs::create_dir_all(&here).expect("a directory");
        for name in ["a", "b", "c", "d", "e"] {
            std::fs::write(here.join(name), content).expect("a file");
        }
    };
    let wanted = |tree: &str| tree_of(&here, tree);
    let place = |tree: &str, sources: Box<dyn Sources>| {
        let machine = machine_with(&sshd, sources);
        let placed = machine.place_source(&wanted(tree), Form::Whole, &control).expect("a source");
        machine.close();
        std::path::PathBuf::from(placed.path)
    };
    write("1");
    let one = &[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)];
    let two = &[("a", 2), ("b", 1), ("c", 1), ("d", 1), ("e", 1)];
    let first = place("1", Box::new(Named(here.clone(), one)));
    // What has the same name does not travel, and is not read.
    write("2");
    let second = place("2", Box::new(Named(here.clone(), two)));
    let read = |tree: &Path, name: &str| std::fs::read_to_string(tree.join(name)).expect("a file");
    assert_eq!((read(&first, "a").as_str(), read(&first, "e").as_str()), ("1", "1"));
    assert_eq!((read(&second, "a").as_str(), read(&second, "e").as_str()), ("2", "1"));
    // Nothing is made here for a host that has it.
    assert_eq!(place("1", Box::new(NoSources)), first);
}

#[test]
fn who_waits_for_the_transfer_of_another_node_hears_a_cancel() {
    let sshd = sshd!("");
    let here = sshd.root().join("here");
    fs::create_dir_all(&here).expect("a directory");
    fs::write(here.join("a"), "1").expect("a file");
    let wanted = |tree: &str| tree_of(&here, tree);
    let (asked, is_asked) = std::sync::mpsc::channel();
    let (go, may_go) = std::sync::mpsc::channel();
    let slow = Slow { here: here.clone(), asked, go: std::sync::Mutex::new(may_go) };
    let machine = machine_with(&sshd, Box::new(slow));
    let [control, other] = [(); 2].map(|()| Control::new().expect("a control"));
    thread::scope(|scope| {
        let first = scope.spawn(|| machine.place_source(&wanted("1"), Form::Whole, &control));
        is_asked.recv_timeout(PATIENCE).expect("it sends");
        let waiting = scope.spawn(|| machine.place_source(&wanted("2"), Form::Whole, &other));
        other.raise(Level::Cancel);
        let answer = waiting.join().expect("no panic");
        assert!(answer.is_err(), "{answer:?}");
        go.send(()).expect("the other still waits");
        first.join().expect("no panic").expect("a source");
    });
    machine.close();
}

/// Sources that are made when somebody says so.
struct Slow {
    here: std::path::PathBuf,
    asked: std::sync::mpsc::Sender<()>,
    go: std::sync::Mutex<std::sync::mpsc::Receiver<()>>,
}

impl Sources for Slow {
    fn place(&self, wanted: &SourceRequest, _: &Control) -> Result<PlacedSource, Fault> {
        self.asked.send(()).expect("the test waits");
        let go = self.go.lock().expect("no panic");
        go.recv_timeout(PATIENCE).expect("the test says so");
        Ok(PlacedSource::whole(self.here.display().to_string(), wanted.id()))
    }

    fn manifest(&self, _: &SourceRequest) -> Option<Manifest> {
        None
    }
}

struct NoSources;

impl Sources for NoSources {
    fn place(&self, _: &SourceRequest, _: &Control) -> Result<PlacedSource, Fault> {
        panic!("no source is wanted")
    }

    fn manifest(&self, _: &SourceRequest) -> Option<Manifest> {
        None
    }
}

#[test]
fn a_machine_that_is_left_keeps_no_place_whoever_still_has_it_at_hand() {
    let sshd = sshd!("");
    let machine = std::sync::Arc::new(machine(&sshd));
    let elsewhere = std::sync::Arc::clone(&machine);
    let wanted =
        LockRequest { holder: None, max_jobs: Some(1), groups: Vec::new(), in_guest: false };
    let control = Control::new().expect("a control");
    let held = machine.acquire(&wanted, &control, &|_| ()).expect("an answer").expect("it is free");
    drop(held);
    machine.close();
    let locks = std::fs::read_dir(sshd.root().join("work/turns")).expect("turns");
    let left: Vec<_> = locks.flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, [".lock"]);
    drop(elsewhere);
}

#[test]
fn a_lost_lock_starts_nothing_and_the_next_attempt_has_its_own() {
    let sshd = sshd!("");
    let machine = machine(&sshd);
    let control = Control::new().expect("a control");
    let mut job = job(&sshd, "n", &["touch", "ran"], Way::Copied);
    let ran = sshd.root().join("ran");
    job.argv = vec!["touch".to_owned(), ran.display().to_string()];
    let wanted = LockRequest {
        holder: Some((job.job.clone(), machine.attempt_dir(&job.job))),
        max_jobs: Some(1),
        groups: vec!["g".to_owned()],
        in_guest: false,
    };
    let take = || machine.acquire(&wanted, &control, &|_| ()).expect("an answer").expect("a lock");
    for file in ["place.0", "group.g"] {
        let held = take();
        // Another executor has it since, and gives it back.
        let lock = sshd.root().join("work/turns").join(file);
        let mine = fs::read_to_string(&lock).expect("a lock");
        fs::write(&lock, format!("other{mine}")).expect("written");
        let fault = machine.start(&job).expect_err("not without its lock");
        assert_eq!(fault.kind, FailureKind::LockLost, "{fault:?}");
        assert!(fault.kind.is_retryable() && fault.message.contains(file), "{fault:?}");
        assert!(!ran.exists());
        drop(held);
        fs::remove_file(&lock).expect("removed");
    }
    let held = take();
    machine.start(&job).expect("started");
    drop(held);
    machine.close();
}

#[test]
fn a_lost_lock_is_seen_before_a_guest_starts() {
    let sshd = sshd!("");
    let machine = machine(&sshd);
    let control = Control::new().expect("a control");
    let job = job(&sshd, "n", &["true"], Way::Copied);
    let wanted = LockRequest {
        holder: Some((job.job.clone(), machine.attempt_dir(&job.job))),
        max_jobs: Some(1),
        groups: vec!["g".to_owned()],
        in_guest: true,
    };
    let take = || machine.acquire(&wanted, &control, &|_| ()).expect("an answer").expect("a lock");
    for file in ["place.0", "group.g"] {
        let held = take();
        held.check().expect("nobody has them");
        let lock = sshd.root().join("work/turns").join(file);
        let mine = fs::read_to_string(&lock).expect("a lock");
        fs::write(&lock, format!("other{mine}")).expect("written");
        let fault = held.check().expect_err("not without its lock");
        assert_eq!(fault.kind, FailureKind::LockLost, "{fault:?}");
        assert!(fault.message.contains(file), "{fault:?}");
        drop(held);
        fs::remove_file(&lock).expect("removed");
    }
    take().check().expect("its own");
    machine.close();
}

#[test]
fn turns_that_a_full_disk_takes_are_no_misunderstanding() {
    let sshd = sshd!("");
    let locks = sshd.root().join("work/turns");
    let Some(_disk) = SmallDisk::at(&locks, 64) else { return };
    let filler = locks.join("filler");
    assert!(fs::write(&filler, vec![1; 1 << 20]).is_err(), "it is full");
    let machine = machine(&sshd);
    let wanted =
        LockRequest { holder: None, max_jobs: Some(9), groups: Vec::new(), in_guest: false };
    let control = Control::new().expect("a control");
    let take = || machine.acquire(&wanted, &control, &|_| ());
    let fault = std::thread::scope(|scope| {
        // Together, in as few exchanges as they may take.
        let all: Vec<_> = (0..6).map(|_| scope.spawn(|| take().err().expect("no room"))).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).last().expect("six")
    });
    assert_eq!(fault.kind, FailureKind::DiskFull, "{fault:?}");
    fs::remove_file(&filler).expect("removed");
    assert!(take().expect("an answer").is_some());
    machine.close();
}

/// How a job comes to its workspace, which decides how it is started.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Way {
    /// It sees the tree.
    Seen,
    /// It has a copy, which is made before.
    Copied,
    /// It has a copy and a mount, which takes a shell.
    Mounted,
}

impl Way {
    /// Those that there are for who may not mount, or may.
    fn all() -> &'static [Self] {
        let all = &[Self::Seen, Self::Copied, Self::Mounted];
        if rustix::process::geteuid().is_root() { all } else { &all[..2] }
    }
}

/// A job of that host, which sees an empty tree.
fn job(sshd: &Sshd, node: &str, argv: &[&str], way: Way) -> Job {
    let tree = sshd.root().join("tree");
    fs::create_dir_all(&tree).expect("made");
    let mount = BindMount {
        from: tree.display().to_string(),
        to: sshd.root().join("mounted").display().to_string(),
    };
    Job {
        job: JobRef { run: "run".to_owned(), node: node.to_owned(), attempt: 1 },
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        env: Default::default(),
        keep_env: Vec::new(),
        secrets: Default::default(),
        workspace: WorkspaceSource::Output(tree.display().to_string()),
        writable: way != Way::Seen,
        working_dir: None,
        mounts: if way == Way::Mounted { vec![mount] } else { Vec::new() },
        caches: Vec::new(),
        limits: JobLimits {
            timeout: Duration::from_secs(60),
            lease: Duration::from_secs(60),
            grace: Duration::from_secs(1),
        },
        keep: Keep::default(),
        log: sshd.root().join(format!("{node}.log")),
        artifacts: sshd.root().join("artifacts"),
    }
}

/// Runs a job to its end and removes it; returns its status.
fn run(machine: &RemoteSsh, job: &Job) -> JobStatus {
    let control = Control::new().expect("a control");
    machine.start(job).expect("it starts");
    let status = machine.attach(&job.job, &job.log, &job.limits, &control).expect("a verdict");
    machine.remove(&job.job).expect("removed");
    status
}

#[test]
fn a_start_that_comes_after_its_attempt_was_removed_comes_to_nothing() {
    let sshd = sshd!("");
    let machine = machine(&sshd);
    let count = sshd.root().join("count");
    let script = format!("echo x >>{}", count.display());
    for &way in Way::all() {
        let job = job(&sshd, &format!("execute-{way:?}"), &["sh", "-c", &script], way);
        run(&machine, &job);
        // From a connection that was thought dead, say.
        let late = machine.start(&job).expect_err("it is over");
        assert!(late.message.contains("the attempt is over"), "{late}");
        assert_eq!(fs::read_to_string(&count).expect("it ran"), "x\n", "once");
        assert_eq!(fs::read_dir(sshd.root().join("work/runs/run")).expect("there").count(), 1);
        fs::remove_file(&count).expect("removed");
    }
}

#[test]
fn a_job_that_cannot_be_run_says_why_however_it_is_started() {
    let sshd = sshd!("");
    let machine = machine(&sshd);
    let file = sshd.root().join("file");
    fs::write(&file, "").expect("written");
    let file = file.to_str().expect("UTF-8");
    for &way in Way::all() {
        let cases = [
            ("lacks", &["no-such-program"][..], None, Reason::NotFound, "no such program"),
            ("path", &["/no/such/program"], None, Reason::NotFound, "no such program"),
            ("file", &[file], None, Reason::NotExecutable, "not an executable"),
            ("dir", &["true"], Some("no/such"), Reason::NoWorkingDir, "no such working directory"),
        ];
        for (name, argv, below, reason, says) in cases {
            let mut job = job(&sshd, &format!("execute-{name}-{way:?}"), argv, way);
            job.working_dir = below.map(|below| plans::WorkspacePath::new(below).expect("a path"));
            let JobStatus::Exited(ended) = run(&machine, &job) else { panic!("no verdict") };
            assert_eq!(ended.reason, reason, "{name} {way:?}");
            let log = fs::read_to_string(&job.log).expect("a log");
            assert!(log.contains(says), "{name} {way:?}: {log}");
        }
    }
}

#[test]
fn words_and_variables_of_jobs_come_through_unchanged_however_they_are_started() {
    let sshd = sshd!("");
    let machine = machine(&sshd);
    let text = || {
        prop_oneof![
            "[^\0]{0,20}",
            "[-'\"\\\\$`!*?~#& \n\t;|<>(){}=%^+@:,]{0,12}",
            Just("%00".to_owned()),
            Just("--".to_owned()),
        ]
    };
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let next = std::cell::Cell::new(0);
    let echo = "printf '%s\\0' \"$@\" \"$VALUE\"";
    runner
        .run(&(proptest::collection::vec(text(), 0..6), text()), |(words, value)| {
            for &way in Way::all() {
                next.set(next.get() + 1);
                let mut argv = vec!["sh", "-c", echo, "sh"];
                argv.extend(words.iter().map(String::as_str));
                let mut job = job(&sshd, &format!("execute-{}", next.get()), &argv, way);
                job.env.insert("VALUE".to_owned(), value.clone());
                let JobStatus::Exited(ended) = run(&machine, &job) else { panic!("no verdict") };
                prop_assert_eq!(ended.code, Some(0));
                let expected =
                    words.iter().chain([&value]).fold(String::new(), |all, word| all + word + "\0");
                prop_assert_eq!(
                    String::from_utf8(fs::read(&job.log).expect("a log")),
                    Ok(expected)
                );
            }
            Ok(())
        })
        .expect("unchanged");
}

#[test]
fn a_command_that_is_stopped_is_ended_over_there_with_all_it_started() {
    let sshd = sshd!("");
    let machine = machine(&sshd);
    let pids = sshd.root().join("pids");
    let script = format!(
        "setsid sleep 1000 & echo $! >{0}; echo $$ >>{0}; trap '' TERM; echo up; sleep 1000; sleep 1000",
        pids.display()
    );
    for stop in ["by its sink", "by the control"] {
        let control = Control::new().expect("a control");
        let command = ControlCommand::new(["sh", "-c", &script]);
        let mut sink = |_: &[u8]| {
            if stop == "by its sink" {
                return Flow::Stop;
            }
            control.raise(Level::Cancel);
            Flow::Continue
        };
        let answer = machine.stream(&command, &mut sink, &control, Level::Run).expect("no fault");
        assert_eq!(answer, None, "{stop}");
        for pid in fs::read_to_string(&pids).expect("pids").lines() {
            let pid: u32 = pid.parse().expect("a pid");
            assert!(!crate::sshd::is_alive(pid), "{pid} lives, stopped {stop}");
        }
    }
}

/// Any bytes but NUL, which no argument and no variable can hold.
fn word() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(1u8.., 0..40),
        "[-'\"\\\\$`!*?~#& \n\t;|<>(){}=%^]{0,12}".prop_map(String::into_bytes),
    ]
}

#[test]
fn words_variables_and_input_come_through_every_shell_unchanged() {
    use std::os::unix::ffi::OsStringExt as _;
    let sshd = sshd!("");
    let host = sshd.host();
    let os = |bytes: &Vec<u8>| std::ffi::OsString::from_vec(bytes.clone());
    let words = proptest::collection::vec(word(), 0..6);
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: cases.unwrap_or(64),
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let echo = "printf '%s\\0' \"$@\" \"$VALUE\"; cat";
    runner
        .run(&(words, word(), word()), |(words, value, input)| {
            // bash takes itself for a login's where ssh is in its environment, and reads what a user has there.
            for shell in [&["dash"][..], &["bash", "--norc"]] {
                let script = Script::new("export")
                    .text(" ")
                    .set("VALUE", os(&value))
                    .text("printf '%s'")
                    .word(os(&input))
                    .text(" |")
                    .words(shell)
                    .word("-c")
                    .word(echo)
                    .word("sh")
                    .words(words.iter().map(os));
                let output = host.check(&script, &host.patience()).expect("an answer");
                let mut expected = Vec::new();
                for word in words.iter().chain([&value]) {
                    expected.extend_from_slice(word);
                    expected.push(0);
                }
                expected.extend_from_slice(&input);
                prop_assert_eq!(output, expected);
            }
            Ok(())
        })
        .expect("unchanged");
}
