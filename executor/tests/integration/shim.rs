//! The pushed supervisor under every shell it is written for: dash, busybox sh, bash and zsh.

#![expect(clippy::print_stderr, reason = "a test says why it was skipped")]

use std::{
    fs,
    io::Write as _,
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use executor::supervise::shim::{self, Request, Server};

use crate::harness::SmallDisk;

/// Longer than anything here takes; never a measure of anything.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// One shell, one directory with blanks in its name, the script in it.
pub(crate) struct Bench {
    shell: Vec<&'static str>,
    pub(crate) root: tempfile::TempDir,
    /// Another PATH than the test's own.
    path: Option<std::ffi::OsString>,
}

impl Bench {
    pub(crate) fn new(shell: &[&'static str]) -> Option<Self> {
        let found = Command::new(shell[0])
            .args(&shell[1..])
            .args(["-c", "exit 0"])
            .stdin(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !found {
            assert!(std::env::var_os("CI").is_none(), "{} is not installed", shell[0]);
            eprintln!("skipped: {} is not installed", shell[0]);
            return None;
        }
        let root = tempfile::tempdir().expect("a directory");
        fs::write(root.path().join("shim.sh"), shim::SOURCE).expect("the script");
        Some(Self { shell: shell.to_vec(), root, path: None })
    }

    /// Has nothing on its PATH but busybox, which has no perl.
    pub(crate) fn use_busybox_alone(&mut self) {
        let bin = self.root.path().join("bin");
        fs::create_dir_all(&bin).expect("a directory");
        let installed = Command::new("busybox").args(["--install", "-s"]).arg(&bin).status();
        assert!(installed.is_ok_and(|status| status.success()));
        self.path = Some(bin.into());
    }

    /// Makes a state directory with a job in it.
    fn job(&self, name: &str, cmd: &str) -> Job<'_> {
        let directory = self.root.path().join("state of a run").join(format!("{name}.1"));
        fs::create_dir_all(&directory).expect("a directory");
        fs::write(directory.join("cmd"), cmd).expect("the job");
        Job { bench: self, directory }
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.shell[0]);
        command
            .args(&self.shell[1..])
            .arg(self.root.path().join("shim.sh"))
            .env_clear()
            .env("PATH", self.path.clone().or_else(|| std::env::var_os("PATH")).expect("a PATH"))
            .env("HOME", self.root.path())
            .stdin(Stdio::null());
        command
    }
}

pub(crate) struct Job<'a> {
    pub(crate) bench: &'a Bench,
    pub(crate) directory: PathBuf,
}

impl Job<'_> {
    pub(crate) fn verb(&self, verb: &str, words: &[&str]) -> String {
        let output = self.output(verb, words);
        assert!(output.stderr.is_empty(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn output(&self, verb: &str, words: &[&str]) -> Output {
        let mut command = self.bench.command();
        command.arg(verb).arg(&self.directory).args(words).output().expect("the shell runs")
    }

    fn start(&self, words: &[&str]) {
        assert_eq!(self.verb("start", words), "started");
    }

    /// Waits for the exit record and returns the status line.
    #[track_caller]
    pub(crate) fn ended(&self) -> String {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.verb("status", &[]);
            if !status.starts_with("state=running") {
                return status;
            }
            assert!(Instant::now() < until, "still {status}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    #[track_caller]
    fn wait_for(&self, file: &str) -> PathBuf {
        wait_for(&self.directory.join(file))
    }

    fn log(&self) -> String {
        let log = fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    pub(crate) fn pid(&self) -> u32 {
        let until = Instant::now() + PATIENCE;
        loop {
            let text = fs::read_to_string(self.directory.join("claim")).unwrap_or_default();
            if let Some(pid) = text.split(' ').next().and_then(|word| word.parse().ok()) {
                return pid;
            }
            assert!(Instant::now() < until, "no claim");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Job<'_> {
    fn drop(&mut self) {
        let _ = self.output("gc", &["force"]);
    }
}

#[track_caller]
pub(crate) fn wait_for(path: &Path) -> PathBuf {
    let until = Instant::now() + PATIENCE;
    while !path.exists() {
        assert!(Instant::now() < until, "{} did not appear", path.display());
        thread::sleep(Duration::from_millis(5));
    }
    path.to_owned()
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status
        .split(' ')
        .find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("no {name} in {status}"))
}

/// How many processes of this machine have `mark` among their arguments.
pub(crate) fn alive_with(mark: &str) -> usize {
    let processes = fs::read_dir("/proc").expect("a /proc").flatten();
    processes
        .filter_map(|process| fs::read(process.path().join("cmdline")).ok())
        .filter(|line| line.split(|&byte| byte == 0).any(|word| word == mark.as_bytes()))
        .count()
}

pub(crate) fn kill(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    let _ = rustix::process::kill_process(pid, signal);
}

/// A number of seconds that no other test sleeps for: it marks the processes of one job.
pub(crate) fn mark() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}.{}", 100_000 + std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed) + 1)
}

/// Makes one test for each shell of each scenario.
macro_rules! scenarios {
    ($($name:ident => $scenario:expr;)*) => {
        mod dash { $(#[test] fn $name() { super::run(&["dash"], $scenario) })* }
        mod busybox { $(#[test] fn $name() { super::run(&["busybox", "sh"], $scenario) })* }
        mod bash { $(#[test] fn $name() { super::run(&["bash", "--posix"], $scenario) })* }
        mod zsh { $(#[test] fn $name() { super::run(&["zsh", "--emulate", "sh"], $scenario) })* }
    };
}

fn run(shell: &[&'static str], scenario: fn(&Bench)) {
    if let Some(bench) = Bench::new(shell) {
        scenario(&bench);
    }
}

scenarios! {
    a_job_ends_with_its_code_and_both_streams_in_one_log => super::code_and_log;
    a_job_that_opens_its_own_output_loses_no_line => super::own_output;
    a_signal_is_no_exit_code => super::signals;
    many_starts_at_once_run_a_job_once => super::concurrent_starts;
    a_starter_killed_at_any_moment_leaves_a_job_that_runs_once => super::killed_starters;
    the_environment_is_cleared_given_and_removed => super::environment;
    the_timeout_ends_the_whole_tree => super::timeout;
    a_process_of_any_name_is_seen_and_ended => super::odd_names;
    a_cancel_ends_the_whole_tree_and_counts_what_had_to_be_killed => super::cancel;
    a_second_cancel_with_less_grace_is_obeyed => super::second_cancel;
    a_lease_that_nobody_renews_ends_the_job => super::lease;
    what_a_finished_job_leaves_behind_is_killed_and_delays_nothing => super::leftovers;
    attach_streams_from_any_offset_in_whole_frames => super::attach;
    a_killed_supervisor_is_lost_and_cancel_ends_its_job => super::lost;
    another_boot_is_told_from_a_lost_supervisor => super::rebooted;
    nobody_is_killed_for_a_job_that_says_nothing_of_itself => super::innocents;
    gc_removes_what_is_over_and_not_what_is_wanted => super::gc;
    a_full_disk_takes_no_verdict => super::full_disk;
    what_never_ran_is_unknown => super::unknown;
    list_names_every_directory_with_its_status => super::list;
    interrupts_reach_a_job_that_was_started_in_the_background => super::interrupts;
    a_shell_that_is_kept_starts_and_follows_in_one_exchange => super::library;
    a_job_outlives_the_shell_that_was_kept_for_it => super::orphaned_library;
    a_directory_is_made_for_a_job_that_may_start_there => super::rooms;
    a_job_in_a_directory_made_for_it_ends_like_any_other => super::room_ends;
    a_full_disk_has_no_room_for_a_job => super::full_room;
    a_long_job_of_a_server_outlives_it_and_whoever_watches => super::watched;
    a_server_answers_until_it_becomes_a_shell_again => super::served;
    a_job_whose_lock_was_lost_does_not_start => super::lost_locks;
    a_slow_engine_keeps_nobody_from_another_lock => super::slow_lives;
}

fn code_and_log(bench: &Bench) {
    let job = bench.job("n", "echo out; echo err >&2; exit 42");
    job.start(&[]);
    let status = job.ended();
    assert_eq!(field(&status, "state"), "exited");
    assert_eq!(field(&status, "code"), "42");
    assert_eq!(field(&status, "signal"), "-");
    assert_eq!(field(&status, "reason"), "exited");
    assert_eq!(field(&status, "killed"), "0");
    assert_eq!(job.log(), "out\nerr\n");
    assert_eq!(job.verb("start", &[]), "already");
    let record = fs::read(job.directory.join("exit")).expect("a record");
    assert_eq!(record.len(), 256);
    assert!(record.ends_with(b"END.\n"));
    // A word of its own for what the job says it could not become.
    let job = bench.job("w", "printf '%-31s\\n' no_working_dir 1<>\"$1/why\"; exit 126");
    job.start(&[]);
    assert_eq!(field(&job.ended(), "reason"), "no_working_dir");
}

fn own_output(bench: &Bench) {
    let job = bench.job(
        "n",
        "echo first; echo second >/dev/stderr; echo third | tee /dev/stderr >/dev/null
        seq 1 2000; (sleep 60; echo never) & printf end >/dev/stdout; exit 1",
    );
    job.start(&[]);
    assert_eq!(field(&job.ended(), "code"), "1");
    let numbers: String = (1..=2000).map(|number| format!("{number}\n")).collect();
    let whole = format!("first\nsecond\nthird\n{numbers}end");
    assert_eq!(job.log(), whole);
    // The same of a server, whose followers see it all.
    let [_, system] = systems();
    let cmd = fs::read_to_string(job.directory.join("cmd")).expect("the job");
    let directory = bench.root.path().join("a run/n.1");
    let text = said(&mut call_run(bench, &directory, &system, &cmd, &[]));
    let (_, rest) = text[1..].split_once('\n').expect("an answer");
    let (log, end) = frames(format!("\n{rest}").as_bytes(), 0);
    assert_eq!((field(&end, "code"), field(&end, "reason")), ("1", "exited"));
    assert_eq!(String::from_utf8_lossy(&log), whole);
}

fn signals(bench: &Bench) {
    for (name, number) in [("KILL", "9"), ("SEGV", "11"), ("TERM", "15"), ("INT", "2")] {
        let job = bench.job(name, &format!("kill -{name} $$; sleep 5"));
        job.start(&[]);
        let status = job.ended();
        assert_eq!((field(&status, "code"), field(&status, "signal")), ("-", number), "{name}");
    }
    for code in ["255", "137", "128", "127", "1"] {
        let job = bench.job(&format!("c{code}"), &format!("exit {code}"));
        job.start(&[]);
        let status = job.ended();
        let perl = Command::new("perl").arg("-e1").status().is_ok_and(|status| status.success());
        // Without perl, what lies in the range of signals is taken for one.
        if perl || code != "137" {
            assert_eq!((field(&status, "code"), field(&status, "signal")), (code, "-"));
        }
    }
}

fn concurrent_starts(bench: &Bench) {
    for round in 0..3 {
        let job = bench.job(&format!("n{round}"), "echo once; sleep 0.2");
        let answers: Vec<String> = thread::scope(|scope| {
            let starts: Vec<_> = (0..8).map(|_| scope.spawn(|| job.verb("start", &[]))).collect();
            starts.into_iter().map(|start| start.join().expect("no panic")).collect()
        });
        assert_eq!(answers.iter().filter(|answer| *answer == "started").count(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| *answer == "already").count(), 7, "{answers:?}");
        assert_eq!(field(&job.ended(), "code"), "0");
        assert_eq!(job.log(), "once\n");
    }
}

fn killed_starters(bench: &Bench) {
    for round in 0..24u64 {
        let job = bench.job(&format!("n{round}"), "echo once; sleep 0.05");
        let mut starter = bench
            .command()
            .arg("start")
            .arg(&job.directory)
            .stdout(Stdio::null())
            .spawn()
            .expect("sh");
        thread::sleep(Duration::from_micros(round * 700));
        let _ = starter.kill();
        let _ = starter.wait();
        // Whatever it left behind: starting again is right, and the job runs once.
        let answer = job.verb("start", &[]);
        assert!(answer == "started" || answer == "already", "{answer}");
        let status = job.ended();
        assert_eq!(field(&status, "state"), "exited", "{status}");
        assert_eq!(job.log(), "once\n");
    }
}

fn environment(bench: &Bench) {
    let cmd =
        "printf '%s|' \"$SECRET\" \"${LEAK-none}\" \"$KEPT\" \"${OTHER-none}\" \"$HOME\"; env";
    let job = bench.job("n", cmd);
    let env = job.directory.join("env");
    fs::write(&env, "export SECRET='it'\\''s\n$HOME \"x\"'\n").expect("the environment");
    fs::set_permissions(&env, fs::Permissions::from_mode(0o600)).expect("its mode");
    let output = bench
        .command()
        .env("LEAK", "leaked")
        .env("KEPT", "a  b'\"$c")
        .arg("start")
        .arg(&job.directory)
        .arg("keep=KEPT,1BAD,A-B,$(id),MISSING")
        .output()
        .expect("the shell runs");
    assert_eq!(output.stdout, b"started\n");
    assert_eq!(field(&job.ended(), "code"), "0");
    let log = job.log();
    let home = bench.root.path().display();
    assert!(log.starts_with(&format!("it's\n$HOME \"x\"|none|a  b'\"$c|none|{home}|")), "{log}");
    assert!(log.contains("FORGE_LANES_COOKIE="));
    assert!(!log.contains("FORGE_LANES_STATE"));
    assert!(!env.exists(), "the secrets are still there");
}

fn timeout(bench: &Bench) {
    let mark = mark();
    let cmd =
        format!("trap '' TERM; sleep {mark} & setsid sleep {mark} & sleep {mark}; sleep {mark}");
    let job = bench.job("n", &cmd);
    job.start(&["timeout=1", "grace=1"]);
    let status = job.ended();
    assert_eq!(field(&status, "reason"), "timed_out", "{status}");
    assert_ne!(field(&status, "killed"), "0", "{status}");
    assert_eq!(alive_with(&mark), 0);
}

/// What a process may call itself: words of perl that say its name.
const ODD_NAMES: [&str; 8] = [
    "\"a\\nb\"",
    "\"a) Z 1 1\\n(\"",
    "\"\\n\"",
    "\") X 0\\n) Z 1 (\"",
    "\"a b  c\"",
    "\"\\xff\\xfe\\x80\"",
    "\"\"",
    "\"x\" x 65536",
];

fn odd_names(bench: &Bench) {
    for (number, name) in ODD_NAMES.iter().enumerate() {
        let end = |what: &str, words: &[&str]| {
            // The leader calls itself so, and so does one in a session of its own that hears no TERM;
            // that one leaves its arguments alone, behind which its environment lies.
            let cmd = format!(
                "perl -e 'use POSIX (); POSIX::setsid(); $SIG{{TERM}} = \"IGNORE\";\n\
                 open F, \">\", \"/proc/$$/comm\"; print F {name}; close F;\n\
                 open F, \">\", \"{what}{number}.$$\"; print F $$; close F; sleep 600' &\n\
                 exec perl -e '$0 = {name};\n\
                 open F, \">\", \"{what}{number}.$$\"; print F $$; close F; sleep 600'"
            );
            let job = bench.job(&format!("{what}{number}"), &format!("cd \"$1\"\n{cmd}"));
            job.start(words);
            let until = Instant::now() + PATIENCE;
            let pids = loop {
                let files = fs::read_dir(&job.directory).expect("a directory").flatten();
                let pids: Vec<u32> = files
                    .filter(|file| file.file_name().to_string_lossy().starts_with(what))
                    .filter_map(|file| fs::read_to_string(file.path()).ok()?.parse().ok())
                    .collect();
                if pids.len() == 2 {
                    break pids;
                }
                assert!(Instant::now() < until, "{name}: {}", job.log());
                thread::sleep(Duration::from_millis(10));
            };
            if what == "cancelled" {
                job.verb("cancel", &["0"]);
            }
            let status = job.ended();
            assert_eq!(field(&status, "reason"), what, "{name}: {status}");
            for pid in pids {
                let process = format!("/proc/{pid}/environ");
                assert!(!fs::read(process).is_ok_and(|env| !env.is_empty()), "{name}: {pid} lives");
            }
        };
        end("cancelled", &[]);
        end("timed_out", &["timeout=1", "grace=0"]);
    }
}

fn cancel(bench: &Bench) {
    let mark = mark();
    // One obeys; one hides in a session of its own; one does both and ignores TERM; one is stopped.
    let cmd = format!(
        "sleep {mark} & setsid sleep {mark} & setsid sh -c 'trap \"\" TERM; echo up; sleep {mark}; \
         sleep {mark}' & sh -c 'kill -STOP $$; exec sleep {mark}' & sleep {mark}"
    );
    let job = bench.job("n", &cmd);
    job.start(&[]);
    let until = Instant::now() + PATIENCE;
    while !(job.log().contains("up") && alive_with(&mark) >= 4) {
        assert!(Instant::now() < until, "the tree did not grow");
        thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(field(&job.verb("cancel", &["1"]), "state"), "running");
    let status = job.ended();
    assert_eq!(field(&status, "reason"), "cancelled", "{status}");
    assert_ne!(field(&status, "killed"), "0", "{status}");
    assert_eq!(alive_with(&mark), 0);
}

fn second_cancel(bench: &Bench) {
    let mark = mark();
    let job = bench.job("n", &format!("trap '' TERM; echo up; while :; do sleep {mark}; done"));
    job.start(&[]);
    while !job.log().contains("up") {
        thread::sleep(Duration::from_millis(5));
    }
    job.verb("cancel", &["3600"]);
    job.verb("cancel", &["0"]);
    let status = job.ended();
    assert_eq!(field(&status, "reason"), "cancelled");
    assert_eq!(field(&status, "signal"), "9");
    assert_eq!(alive_with(&mark), 0);
}

fn lease(bench: &Bench) {
    let mark = mark();
    let job = bench.job("n", &format!("sleep {mark}"));
    job.start(&["lease=3600"]);
    job.wait_for("lease");
    assert_eq!(field(&job.verb("renew", &["3600"]), "state"), "running");
    job.verb("renew", &["1"]);
    assert_eq!(field(&job.ended(), "reason"), "lease_expired");
    assert_eq!(alive_with(&mark), 0);
}

fn leftovers(bench: &Bench) {
    let mark = mark();
    let job = bench
        .job("n", &format!("sleep {mark} & setsid sh -c 'trap \"\" TERM; sleep {mark}' & exit 7"));
    job.start(&[]);
    let status = job.ended();
    assert_eq!(field(&status, "code"), "7");
    assert_eq!(field(&status, "reason"), "exited");
    assert!(field(&status, "killed").parse::<u32>().expect("a number") >= 2, "{status}");
    assert_eq!(alive_with(&mark), 0);
}

fn attach(bench: &Bench) {
    let job = bench.job(
        "n",
        "i=0; while [ $i -lt 3000 ]; do echo \"line $i of a log that is long\"; i=$((i + 1)); done; \
         printf 'a\\000b\\377'; sleep 0.3; printf 'no newline'",
    );
    job.start(&[]);
    let (whole, end) = frames(&job.output("attach", &["0", "MARK"]).stdout, 0);
    assert_eq!(field(&end, "state"), "exited");
    assert_eq!(whole, fs::read(job.directory.join("log")).expect("a log"));
    assert!(whole.ends_with(b"a\0b\xffno newline"));
    for offset in [1, 65_535, 65_536, 65_537, whole.len() - 1, whole.len()] {
        let output = job.output("attach", &[&offset.to_string(), "MARK"]);
        let (rest, _) = frames(&output.stdout, offset);
        assert_eq!(rest, whole[offset..], "from {offset}");
    }
}

/// Reads the frames of an attachment: the log's bytes and the status line at the end.
#[track_caller]
pub(crate) fn frames(stream: &[u8], mut offset: usize) -> (Vec<u8>, String) {
    let mut rest = stream.strip_prefix(b"\n").expect("a newline first");
    let mut log = Vec::new();
    loop {
        let end = rest.iter().position(|&byte| byte == b'\n').expect("a frame");
        let line = std::str::from_utf8(&rest[..end]).expect("text");
        rest = &rest[end + 1..];
        let frame = line.strip_prefix("MARK ").unwrap_or_else(|| panic!("`{line}` is no frame"));
        if let Some(status) = frame.strip_prefix("end ") {
            assert!(rest.is_empty());
            return (log, status.to_owned());
        }
        match frame {
            "idle" => continue,
            "cut" => {
                offset = 0;
                continue;
            }
            _ => {}
        }
        let words: Vec<usize> =
            frame.split(' ').skip(1).map(|word| word.parse().expect("a number")).collect();
        assert_eq!(words[0], offset);
        log.extend_from_slice(&rest[..words[1]]);
        rest = &rest[words[1]..];
        offset += words[1];
    }
}

fn lost(bench: &Bench) {
    let mark = mark();
    let job = bench.job("n", &format!("setsid sleep {mark} & echo up; sleep {mark}"));
    job.start(&[]);
    while !job.log().contains("up") || alive_with(&mark) < 2 {
        thread::sleep(Duration::from_millis(5));
    }
    kill(job.pid(), rustix::process::Signal::KILL);
    assert_eq!(field(&job.ended(), "state"), "lost");
    assert_eq!(job.verb("start", &[]), "already");
    let (_, end) = frames(&job.output("attach", &["0", "MARK"]).stdout, 0);
    assert_eq!(field(&end, "state"), "lost");
    // The job is still there, without anybody to end it in time: a cancel does it by itself.
    assert_eq!(field(&job.verb("cancel", &["1"]), "state"), "lost");
    assert_eq!(alive_with(&mark), 0);
}

fn rebooted(bench: &Bench) {
    let job = bench.job("n", "exit 0");
    fs::write(job.directory.join("claim"), "1 17 11111111-2222-3333-4444-555555555555\n")
        .expect("a claim");
    assert_eq!(job.verb("status", &[]), "state=host_rebooted log=0");
    assert_eq!(job.verb("start", &[]), "already");
    assert_eq!(job.verb("gc", &[]), "removed");
}

fn innocents(bench: &Bench) {
    // An sshd writes its title over its environment, which then holds empty words.
    let sshd = crate::sshd::Sshd::start("");
    let mut plain = Command::new("sleep").arg("1000").env_clear().spawn().expect("sleep starts");
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").expect("a boot id");
    for pid in ["-", "", "999999999 1 x"] {
        let job = bench.job("n", "exit 0");
        fs::write(job.directory.join("claim"), format!("999999999 17 {boot}")).expect("a claim");
        fs::write(job.directory.join("pid"), format!("{pid:<63}\n")).expect("a pid");
        fs::write(job.directory.join("cancel"), "-              \n").expect("a file");
        assert_eq!(field(&job.verb("cancel", &["0"]), "state"), "lost");
        assert_eq!(job.verb("gc", &["force"]), "removed");
    }
    assert!(plain.try_wait().expect("a child").is_none());
    if let Some(sshd) = sshd {
        assert!(crate::sshd::is_alive(sshd.processes()[0]));
    }
    let _ = plain.kill();
    let _ = plain.wait();
}

fn gc(bench: &Bench) {
    let mark = mark();
    let job =
        bench.job("n", &format!("mkdir locked; touch locked/x; chmod 0 locked; sleep {mark}"));
    fs::write(
        job.directory.join("cmd"),
        format!("cd \"$1\"; mkdir locked; touch locked/x; chmod 0 locked; sleep {mark}"),
    )
    .expect("the job");
    job.start(&["lease=3600"]);
    job.wait_for("locked");
    assert_eq!(job.verb("gc", &[]), "busy");
    job.verb("renew", &["0"]);
    assert_eq!(job.verb("gc", &[]), "removed");
    assert!(!job.directory.exists());
    assert_eq!(alive_with(&mark), 0);
    assert_eq!(job.verb("gc", &[]), "removed");
    fs::create_dir_all(&job.directory).expect("a directory");
    fs::write(job.directory.join("cmd"), format!("sleep {mark}")).expect("the job");
    job.start(&[]);
    assert_eq!(job.verb("gc", &[]), "busy");
    assert_eq!(job.verb("gc", &["force"]), "removed");
    assert_eq!(alive_with(&mark), 0);
}

fn full_disk(bench: &Bench) {
    let directory = bench.root.path().join("small");
    let Some(_disk) = SmallDisk::at(&directory, 128) else { return };
    let state = directory.join("n.1");
    fs::create_dir_all(&state).expect("a directory");
    fs::write(state.join("cmd"), "cat /dev/zero; exit 9").expect("the job");
    let job = Job { bench, directory: state };
    job.start(&[]);
    let status = job.ended();
    assert_eq!(field(&status, "code"), "9", "{status}");
    assert_eq!(field(&status, "evidence"), "disk_full", "{status}");
    assert_eq!(job.verb("renew", &["60"]), status);
    // Without room for the record, nothing is started at all.
    let second = directory.join("m.1");
    fs::create_dir_all(&second).expect("a directory");
    std::os::unix::fs::symlink("/dev/null", second.join("cmd")).expect("a job");
    fs::File::create(second.join("cmd2")).expect("an empty file");
    let second = Job { bench, directory: second };
    fs::remove_file(second.directory.join("cmd")).expect("a link");
    fs::rename(second.directory.join("cmd2"), second.directory.join("cmd")).expect("a file");
    assert_eq!(second.verb("start", &[]), "error no_space");
    assert_eq!(second.verb("status", &[]), "state=unknown log=0");
    drop(second);
    drop(job);
}

fn unknown(bench: &Bench) {
    let job = bench.job("n", "exit 0");
    assert_eq!(job.verb("status", &[]), "state=unknown log=0");
    assert_eq!(job.verb("cancel", &["1"]), "state=unknown log=0");
    let output = job.output("attach", &["0", "MARK"]);
    assert_eq!(output.stdout, b"\nMARK end state=unknown log=0\n");
    fs::remove_file(job.directory.join("cmd")).expect("the job");
    assert_eq!(job.verb("start", &[]), "error no_cmd");
    assert_eq!(job.verb("start", &["timeout=x"]), "error no_cmd");
}

fn list(bench: &Bench) {
    let job = bench.job("n", "exit 3");
    job.start(&[]);
    job.ended();
    let other = bench.job("m", "exit 3");
    let root = bench.root.path();
    let output = bench.command().arg("list").arg(root).output().expect("the shell runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "state of a run/m.1 state=unknown log=0");
    assert!(lines[1].starts_with("state of a run/n.1 state=exited log=0 code=3 "), "{text}");
    drop((job, other));
}

/// Runs a script in a shell that has read the supervisor as a library.
fn in_library(bench: &Bench, script: &str) -> Command {
    let mut command = Command::new(bench.shell[0]);
    let library = bench.root.path().join("shim.sh");
    command
        .args(&bench.shell[1..])
        .arg("-c")
        .arg(format!("FORGE_LANES_LIBRARY=1; . '{}'; {script}", library.display()))
        .stdin(Stdio::null());
    command
}

fn library(bench: &Bench) {
    let job = bench.job("n", "exit 99");
    let directory = job.directory.display();
    let call = format!(
        "fl_cmd='echo \"$1\"; echo \"$GIVEN\"; exit 7'; fl_env='export GIVEN=given'; \
         fl_ready='echo ready >\"$PWD/ready\"'; (fl_verb run '{directory}' 0 MARK timeout=60 uses=tree)"
    );
    let output = in_library(bench, &call).output().expect("the shell runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rest = text.strip_prefix("\nMARK started\n").unwrap_or_else(|| panic!("{text}"));
    let (log, end) = frames(format!("\n{rest}").as_bytes(), 0);
    assert_eq!(String::from_utf8_lossy(&log), format!("{directory}\ngiven\n"));
    assert_eq!((field(&end, "state"), field(&end, "code")), ("exited", "7"));
    assert!(job.directory.join("ready").exists(), "what was to be done before was not");
    assert!(!job.directory.join("env").exists(), "the secrets are still there");
    let claim = fs::read_to_string(job.directory.join("claim")).expect("a claim");
    assert_eq!(claim.lines().nth(1), Some("tree"));
    // Once only, whoever asks.
    let output = in_library(bench, &call).output().expect("the shell runs");
    assert!(output.stdout.starts_with(b"\nMARK already\n"), "{output:?}");
    assert_eq!(job.verb("start", &[]), "already");
    // What cannot be made ready is not started, and stays so.
    let broken = bench.job("b", "exit 99");
    let directory = broken.directory.display();
    let call = format!("fl_ready='echo no; exit 3'; (fl_verb run '{directory}' 0 MARK)");
    let output = in_library(bench, &call).output().expect("the shell runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "\nMARK error no\n");
    assert_eq!(field(&broken.verb("status", &[]), "reason"), "broken");
    let root = bench.root.path().display();
    fs::rename(bench.root.path().join("state of a run"), bench.root.path().join("run"))
        .expect("moved");
    let call = format!("(fl_verb clear '{root}' run/n.1 run/b.1 run/none.1)");
    let output = in_library(bench, &call).output().expect("the shell runs");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "removed run/n.1\nremoved run/b.1\nremoved run/none.1\n"
    );
    assert_eq!(fs::read_dir(bench.root.path().join("run")).expect("a directory").count(), 0);
}

/// Without a server, and where one knows system calls by their numbers, with it.
pub(crate) fn systems() -> [String; 2] {
    [String::new(), format!("Linux/{}", std::env::consts::ARCH)]
}

/// Starts a job in a directory that is not there yet, by a shell or, on a known system, by a server.
pub(crate) fn call_run(
    bench: &Bench,
    directory: &Path,
    system: &str,
    cmd: &str,
    words: &[String],
) -> Command {
    let directory = directory.display().to_string();
    if !system.is_empty() {
        let request = Request::new("run").words([&directory, "MARK"]).words(words);
        let exec = ["--", "/", "--", "sh", "-c", cmd, "sh", &directory];
        return in_server(bench, system, &request.words(exec).line("END"));
    }
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    let (directory, words) = (quoted(&directory), words.join(" "));
    in_library(bench, &format!("fl_cmd={}; (fl_verb run {directory} 0 MARK {words})", quoted(cmd)))
}

/// Asks a server, which ends when it has answered.
fn in_server(bench: &Bench, system: &str, requests: &str) -> Command {
    use std::io::Seek as _;
    let server = Server { shim: bench.root.path().join("shim.sh"), system: system.to_owned() };
    let mut input = tempfile::tempfile().expect("a file");
    input.write_all(requests.as_bytes()).expect("written");
    input.rewind().expect("a file");
    let mut command = Command::new(bench.shell[0]);
    let start = server.start("HELLO");
    command
        .args(&bench.shell[1..])
        .arg("-c")
        .arg(String::from_utf8_lossy(start.as_bytes()).as_ref());
    command.stdin(input);
    command
}

fn said(command: &mut Command) -> String {
    answer(&command.output().expect("the shell runs"))
}

/// Returns what it printed, without a server's greeting and its last word.
fn answer(output: &Output) -> String {
    String::from_utf8_lossy(&answer_of(&output.stdout)).into_owned()
}

pub(crate) fn answer_of(printed: &[u8]) -> Vec<u8> {
    let Some(text) = printed.strip_prefix(b"\nHELLO\n") else { return printed.to_vec() };
    let end = b"\nEND ";
    let at = text.windows(end.len()).rposition(|window| window == end).expect("it answers");
    let status = &text[at + end.len()..];
    assert!(matches!(status, b"0\n" | b"1\n"), "{}", String::from_utf8_lossy(text));
    text[..at].to_vec()
}

fn rooms(bench: &Bench) {
    let root = bench.root.path();
    for (number, system) in systems().into_iter().enumerate() {
        let run = root.join(format!("the run {number}"));
        let tree = root.join("tree");
        fs::create_dir_all(&tree).expect("a tree");
        let over = root.join(format!("over {number}"));
        let words = ["uses=tree".to_owned(), "owner=me".to_owned()];
        let words =
            [&words[..], &[format!("tree={}", tree.display()), format!("over={}", over.display())]];
        let words = words.concat();
        let directory = run.join("n.1");
        let counter = root.join(format!("counter {number}"));
        let cmd = format!(
            "echo x >>'{}'; echo out; echo err >&2; cd \"$1/tmp\" && cd ../artifacts; exit 3",
            counter.display()
        );
        let runs: Vec<_> = (0..6)
            .map(|_| {
                let mut command = call_run(bench, &directory, &system, &cmd, &words);
                command.stdout(Stdio::piped()).spawn().expect("the shell runs")
            })
            .collect();
        let mut started = 0;
        for child in runs {
            let text = answer(&child.wait_with_output().expect("it ends"));
            started += usize::from(text.starts_with("\nMARK started\n"));
            let (_, rest) = text[1..].split_once('\n').expect("an answer");
            let (log, end) = frames(format!("\n{rest}").as_bytes(), 0);
            assert_eq!(String::from_utf8_lossy(&log), "out\nerr\n", "{text}");
            assert_eq!((field(&end, "code"), field(&end, "killed")), ("3", "0"), "{text}");
        }
        assert_eq!(started, 1, "one of them started it");
        assert_eq!(fs::read_to_string(&counter).expect("it ran"), "x\n");
        assert_eq!(fs::read_to_string(run.join("owner")).expect("an owner"), "me\n");
        let claim = fs::read_to_string(directory.join("claim")).expect("a claim");
        assert_eq!(claim.lines().nth(1), Some("tree"));
        // Too late, and nothing to work in.
        fs::write(&over, "").expect("written");
        let late = run.join("late.1");
        let text = said(&mut call_run(bench, &late, &system, "exit 9", &words));
        assert_eq!(text, "\nMARK error the attempt is over\n");
        assert!(!late.exists());
        fs::remove_file(&over).expect("removed");
        fs::remove_dir(&tree).expect("removed");
        let treeless = run.join("treeless.1");
        let text = said(&mut call_run(bench, &treeless, &system, "exit 9", &words));
        assert_eq!(text, "\nMARK error the source tree is gone\n");
        assert!(!treeless.join("claim").exists());
        fs::write(root.join("file"), "").expect("written");
        let text = said(&mut call_run(bench, &root.join("file/n.1"), &system, "exit 9", &words));
        assert!(text.starts_with("\nMARK error "), "{text}");
    }
}

fn room_ends(bench: &Bench) {
    let root = bench.root.path();
    for (number, system) in systems().into_iter().enumerate() {
        let run = root.join(format!("the run {number}"));
        let end = |name: &str, cmd: &str, words: &[&str]| {
            let words: Vec<String> = words.iter().map(|&word| word.to_owned()).collect();
            let text = said(&mut call_run(bench, &run.join(name), &system, cmd, &words));
            text.lines().last().expect("an end").to_owned()
        };
        let mark = mark();
        let left = format!("sleep {mark} & setsid sh -c 'trap \"\" TERM; sleep {mark}' & exit 7");
        let line = end("left.1", &left, &[]);
        assert_eq!((field(&line, "code"), field(&line, "reason")), ("7", "exited"));
        assert!(field(&line, "killed").parse::<u32>().expect("a number") >= 2, "{line}");
        assert_eq!(alive_with(&mark), 0);
        let slow = format!("sleep {mark}");
        let line = end("slow.1", &slow, &["timeout=1", "grace=1"]);
        assert_eq!(field(&line, "reason"), "timed_out", "{line}");
        let line = end("signal.1", "kill -SEGV $$; sleep 5", &[]);
        let perl = Command::new("perl").arg("-e1").status().is_ok_and(|status| status.success());
        assert!(!perl || field(&line, "signal") == "11", "{line}");
        // Cancelled, and its supervisor killed.
        for kills in [false, true] {
            let job = Job { bench, directory: run.join(format!("cancelled-{kills}.1")) };
            let mut command = call_run(bench, &job.directory, &system, &slow, &[]);
            let mut child = command.stdout(Stdio::null()).spawn().expect("the shell runs");
            job.wait_for("exit");
            let until = Instant::now() + PATIENCE;
            while alive_with(&mark) == 0 {
                assert!(Instant::now() < until, "the job never ran");
                thread::sleep(Duration::from_millis(5));
            }
            if kills {
                kill(job.pid(), rustix::process::Signal::KILL);
                // It dies in its own time, and hears nothing meanwhile.
                job.ended();
            }
            job.verb("cancel", &["1"]);
            let status = job.ended();
            let state = if kills { "lost" } else { "exited" };
            assert_eq!(field(&status, "state"), state, "{status}");
            assert!(kills || field(&status, "reason") == "cancelled", "{status}");
            assert_eq!(alive_with(&mark), 0);
            child.wait().expect("it ends");
        }
    }
}

fn full_room(bench: &Bench) {
    for (number, system) in systems().into_iter().enumerate() {
        let small = bench.root.path().join(format!("small {number}"));
        let Some(_disk) = SmallDisk::at(&small, 64) else { return };
        fs::create_dir(small.join("run")).expect("a directory");
        let filled = fs::write(small.join("filler"), vec![1; 1 << 20]);
        assert!(filled.is_err(), "it is full");
        let directory = small.join("run/n.1");
        let text = said(&mut call_run(bench, &directory, &system, "exit 9", &[]));
        assert!(
            text == "\nMARK error no_space\n" || text.contains("No space left"),
            "{system}: {text}"
        );
        fs::remove_file(small.join("filler")).expect("removed");
        let text = said(&mut call_run(bench, &directory, &system, "exit 9", &[]));
        assert!(text.contains(" code=9 "), "{system}: {text}");
    }
}

/// Returns the process that watches a job for a server's supervisor, once there is one.
fn watcher(job: &Job<'_>) -> u32 {
    let directory = job.directory.as_os_str().as_encoded_bytes();
    let until = Instant::now() + PATIENCE;
    loop {
        for process in fs::read_dir("/proc").expect("a /proc").flatten() {
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let mut words = line.split(|&byte| byte == 0).skip_while(|&word| word != b"watch");
            if let (Some(_), Some(at)) = (words.next(), words.next())
                && at == directory
            {
                return process.file_name().to_string_lossy().parse().expect("a pid");
            }
        }
        assert!(Instant::now() < until, "nobody watches");
        thread::sleep(Duration::from_millis(20));
    }
}

fn watched(bench: &Bench) {
    let [_, system] = systems();
    let begin = |name: &str, cmd: &str| {
        let job = Job { bench, directory: bench.root.path().join("a run").join(name) };
        let mut command = call_run(bench, &job.directory, &system, cmd, &["lease=600".to_owned()]);
        let child = command.stdout(Stdio::piped()).spawn().expect("the shell runs");
        (job, child)
    };
    let mark = mark();
    // The server goes, with who watched so far.
    let (job, mut server) = begin("orphan.1", "echo up; sleep 3.5; echo over; exit 5");
    kill(watcher(&job), rustix::process::Signal::KILL);
    kill(server.id(), rustix::process::Signal::KILL);
    server.wait().expect("it was killed");
    assert!(job.verb("status", &[]).starts_with("state=running log=3 lease="));
    let status = job.ended();
    assert_eq!((field(&status, "state"), field(&status, "code")), ("exited", "5"), "{status}");
    assert_eq!(job.log(), "up\nover\n");
    // Cancelled when it is watched: what it started goes as well.
    let (job, server) = begin("cancelled.1", &format!("sleep {mark} & sleep {mark}"));
    watcher(&job);
    job.verb("cancel", &["1"]);
    let text = answer(&server.wait_with_output().expect("it ends"));
    assert_eq!(field(text.lines().last().expect("an end"), "reason"), "cancelled", "{text}");
    assert_eq!(alive_with(&mark), 0);
    // A lease that somebody lets run out.
    let (job, server) = begin("leased.1", &format!("sleep {mark}"));
    watcher(&job);
    job.verb("renew", &["0"]);
    let text = answer(&server.wait_with_output().expect("it ends"));
    assert_eq!(field(text.lines().last().expect("an end"), "reason"), "lease_expired", "{text}");
    // Without its supervisor nobody answers for it, and nothing of it stays.
    let (job, server) = begin("lost.1", &format!("sleep {mark} & sleep {mark}"));
    watcher(&job);
    kill(job.pid(), rustix::process::Signal::KILL);
    let text = answer(&server.wait_with_output().expect("it ends"));
    assert_eq!(field(text.lines().last().expect("an end"), "state"), "lost", "{text}");
    let until = Instant::now() + PATIENCE;
    while alive_with(&mark) > 0 {
        assert!(Instant::now() < until, "it runs on");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(field(&job.verb("status", &[]), "state"), "lost");
    // What who watches complains of is not the job's: here, that its script is away for a while.
    let (job, server) = begin("quiet.1", "echo mine; sleep 4");
    job.wait_for("log");
    let (script, away) = (bench.root.path().join("shim.sh"), bench.root.path().join("away"));
    fs::rename(&script, &away).expect("moved");
    thread::sleep(Duration::from_millis(1500));
    fs::rename(&away, &script).expect("moved");
    let text = answer(&server.wait_with_output().expect("it ends"));
    assert_eq!(field(text.lines().last().expect("an end"), "code"), "0", "{text}");
    assert_eq!(job.log(), "mine\n");
}

fn lost_locks(bench: &Bench) {
    let root = bench.root.path();
    for (number, system) in systems().into_iter().enumerate() {
        let locks = root.join(format!("locks {number}"));
        fs::create_dir(&locks).expect("a directory");
        let take = |token: &str, seconds: &str| {
            let mut command = bench.command();
            command.arg("take").arg(&locks).args([token, seconds, "-", "1", "g"]);
            said(&mut command)
        };
        let words = |token: &str| {
            let held = format!("held={token}/place.0,{token}/group.g");
            [held, format!("locks={}", locks.display())]
        };
        let counter = root.join(format!("count {number}"));
        let cmd = format!("echo x >>'{}'", counter.display());
        let directory = root.join(format!("r/{number}.1"));
        let run =
            |token: &str| said(&mut call_run(bench, &directory, &system, &cmd, &words(token)));
        assert_eq!(take("a", "0"), "taken group.g place.0\n");
        assert_eq!(take("b", "60"), "taken group.g place.0\n");
        assert_eq!(run("a"), "\nMARK error lost place.0\n");
        assert!(!directory.exists() && !counter.exists(), "it began without its lock");
        // A group alone is as good a reason.
        fs::remove_file(locks.join("group.g")).expect("removed");
        assert_eq!(run("b"), "\nMARK error lost group.g\n");
        fs::write(locks.join("group.g"), fs::read(locks.join("place.0")).expect("a lock"))
            .expect("written");
        let text = run("b");
        assert!(text.starts_with("\nMARK started\n"), "{text}");
        for file in ["place.0", "group.g"] {
            let text = fs::read_to_string(locks.join(file)).expect("a lock");
            assert!(text.contains(&directory.display().to_string()), "{text}");
        }
        // What began is not lost by it.
        let text = run("a");
        assert!(text.starts_with("\nMARK already\n"), "{text}");
        assert_eq!(fs::read_to_string(&counter).expect("it ran"), "x\n");
    }
}

fn slow_lives(bench: &Bench) {
    let root = bench.root.path();
    let locks = root.join("locks");
    let (guest, asked, go) = (root.join("guest.1"), root.join("asked"), root.join("go"));
    for directory in [&locks, &guest] {
        fs::create_dir(directory).expect("a directory");
    }
    let lives = format!(
        "touch '{}'; until [ -e '{}' ]; do sleep 0.02; done; exit 1",
        asked.display(),
        go.display()
    );
    fs::write(guest.join("lives"), lives).expect("a script");
    let take = |token: &str, seconds: &str, job: &Path, group: &str| {
        let mut command = bench.command();
        command.arg("take").arg(&locks).args([token, seconds]).arg(job).args(["1", group]);
        command
    };
    let none = Path::new("-");
    assert_eq!(said(&mut take("a", "0", &guest, "g")), "taken group.g place.0\n");
    let mut slow = take("b", "60", none, "g");
    let slow = slow.stdout(Stdio::piped()).spawn().expect("the shell runs");
    wait_for(&asked);
    let mut other = bench.command();
    other.arg("take").arg(&locks).args(["c", "60", "-", "0", "other"]);
    assert_eq!(said(&mut other), "taken group.other\n");
    fs::write(&go, "").expect("written");
    let text = answer(&slow.wait_with_output().expect("it ends"));
    assert_eq!(text, "taken group.g place.0\n");
    // One that lives keeps its locks.
    fs::write(guest.join("lives"), "exit 0").expect("a script");
    assert_eq!(said(&mut take("d", "0", &guest, "h")), "busy place\n");
    let mut with_two = bench.command();
    with_two.arg("take").arg(&locks).args(["d", "0"]).arg(&guest).args(["2", "h"]);
    assert_eq!(said(&mut with_two), "taken group.h place.1\n");
    let mut third = bench.command();
    third.arg("take").arg(&locks).args(["e", "60", "-", "2"]);
    assert_eq!(said(&mut third), "busy place\n");
}

fn served(bench: &Bench) {
    let [_, system] = systems();
    let root = bench.root.path().display().to_string();
    let locks = bench.root.path().join("locks");
    fs::create_dir(&locks).expect("a directory");
    for (file, text) in [("place.0", "mine boot 1\n-\n"), ("place.1", "other boot 1\n-\n")] {
        fs::write(locks.join(file), text).expect("a lock");
    }
    fs::write(bench.root.path().join("outside"), "mine boot 1\n-\n").expect("a file");
    let drop = ["mine", "place.0", "mine", "place.1", "mine", "../outside", "mine", "place.2"];
    let drop = Request::new("drop").words([locks.display().to_string().as_str()]).words(drop);
    let run = |name: &str, exec: &[&str]| {
        let directory = format!("{root}/r/{name}");
        let run = Request::new("run").words([&directory, "M"]).words(["--", "/", "V=a ü"]);
        run.words(["--"]).words(exec)
    };
    let clear = |names: &[&str]| Request::new("clear").words([&root]).words(names);
    let requests = [
        drop.line("E1"),
        run("a.1", &["sh", "-c", "echo \"$V\"; kill -9 $$"]).line("E2"),
        run("b.1", &["no such program"]).line("E3"),
        run("c.1", &["sh", "-c", "mkdir \"$0/artifacts/d\"", &format!("{root}/r/c.1")]).line("E4"),
        Request::new("nonsense").line("E5"),
        clear(&["r/a.1", "r/b.1", "r/c.1"]).line("E6"),
        clear(&["../r/a.1"]).line("E7"),
        Request::new("shell").line("E8"),
        "echo a shell: $((6 * 7))\n".to_owned(),
    ];
    // A login may well want every program to see characters instead of bytes.
    let mut server = in_server(bench, &system, &requests.concat());
    server.env("PERL_UNICODE", "SDA").env("PERL5OPT", "-CSD");
    let output = server.output().expect("the shell runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answers: Vec<&str> = text.split("\n\n").collect();
    let has = |part: &str| assert!(text.contains(part), "no `{part}` in {text}");
    assert!(answers[0].contains("HELLO"), "{text}");
    has("\ndropped\n\nE1 0\n");
    has("\nM started\nM log 0 5\na ü\nM end state=exited log=5 code=- signal=9 reason=exited");
    has("\n\nE2 0\n\nM started\nM log 0 ");
    has("no such program on PATH: no such program\nM end state=exited log=");
    has(" code=126 signal=- reason=not_found ");
    // Whoever asks what a job left is spared that where it left nothing; the last one left a directory.
    let ends: Vec<bool> = text
        .lines()
        .filter(|line| line.starts_with("M end state=exited"))
        .map(|line| line.ends_with(" artifacts=none"))
        .collect();
    assert_eq!(ends, [true, true, false], "{text}");
    has("\n\nE4 0\n\nE5 64\nremoved r/");
    has("removed r/a.1\n");
    has("removed r/b.1\n");
    has("removed r/c.1\n\nE6 0\n\nE7 64\n\nE8 0\na shell: 42\n");
    assert!(!locks.join("place.0").exists() && locks.join("place.1").exists());
    assert!(bench.root.path().join("outside").exists());
    assert_eq!(fs::read_dir(bench.root.path().join("r")).expect("a directory").count(), 0);
}

fn orphaned_library(bench: &Bench) {
    let job = bench.job("n", "exit 99");
    let directory = job.directory.display();
    let call = format!(
        "fl_cmd='echo up; sleep 1.5; echo over; exit 5'; (fl_verb run '{directory}' 0 MARK); :"
    );
    let mut shell = in_library(bench, &call)
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the shell runs");
    job.wait_for("log");
    while !job.log().contains("up") {
        thread::sleep(Duration::from_millis(5));
    }
    // It, and whoever of it waits for the job; not the supervisor.
    kill(shell.id(), rustix::process::Signal::KILL);
    drop(shell.stdout.take());
    shell.wait().expect("it was killed");
    let status = job.ended();
    assert_eq!((field(&status, "state"), field(&status, "code")), ("exited", "5"), "{status}");
    assert_eq!(job.log(), "up\nover\n");
}

fn interrupts(bench: &Bench) {
    let job = bench.job("n", "trap 'echo caught; exit 5' INT; kill -INT $$; sleep 1; exit 6");
    job.start(&[]);
    assert_eq!(field(&job.ended(), "code"), "5");
    assert_eq!(job.log(), "caught\n");
}

#[test]
fn without_perl_it_is_the_shell_that_waits() {
    let Some(mut bench) = Bench::new(&["busybox", "sh"]) else { return };
    bench.use_busybox_alone();
    let mark = mark();
    let job = bench.job("n", &format!("echo \"$GIVEN\"; setsid sleep {mark} & exit 7"));
    fs::write(job.directory.join("env"), "export GIVEN='a b'\n").expect("the environment");
    job.start(&[]);
    let status = job.ended();
    assert_eq!((field(&status, "code"), field(&status, "signal")), ("7", "-"));
    assert_eq!(job.log(), "a b\n");
    assert_eq!(alive_with(&mark), 0);
    let script = "trap 'echo caught; exit 5' INT; kill -INT $$; sleep 1; exit 6";
    for (name, script, code, signal) in [
        ("s", "kill -SEGV $$; sleep 5", "-", "11"),
        ("i", "kill -INT $$; sleep 5", "-", "2"),
        ("c", "exit 137", "137", "-"),
        ("t", script, "5", "-"),
    ] {
        let job = bench.job(name, script);
        job.start(&[]);
        let status = job.ended();
        assert_eq!((field(&status, "code"), field(&status, "signal")), (code, signal), "{script}");
    }
}

#[test]
fn the_script_has_a_name_that_follows_its_content() {
    let name = shim::file_name();
    assert!(name.starts_with("shim-") && name.ends_with(".sh"), "{name}");
    let directory = tempfile::tempdir().expect("a directory");
    for _ in 0..2 {
        let mut sh = Command::new("sh").arg("-s").stdin(Stdio::piped()).spawn().expect("sh");
        let script = shim::install(&directory.path().join("a b"));
        sh.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("written");
        assert!(sh.wait().expect("sh").success());
    }
    let installed = fs::read_to_string(directory.path().join("a b").join(name)).expect("a script");
    assert_eq!(installed, shim::SOURCE);
}
