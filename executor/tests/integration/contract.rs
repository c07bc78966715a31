//! One table of what a supervisor owes a job, run against all of them: this machine's own, the shell's
//! under every shell it is written for, with and without perl, and the server that a host's perl is.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{Read as _, Seek as _},
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use executor::{
    control::{Control, Level},
    placements::{Job as LocalJob, Machine, Machines, Secret, WorkspaceSource},
    supervise::{Ended, Evidence, JobLimits, JobRef, JobStatus, Keep, Reason, shim},
};

use crate::{
    bench,
    harness::SmallDisk,
    shim::{
        Bench, Job, PATIENCE, alive_with, answer_of, call_run, frames, kill, mark, systems,
        wait_for,
    },
};

/// A supervisor with one job.
trait Supervisor {
    /// Where the job's files are, its log among them.
    fn directory(&self) -> PathBuf;

    /// A directory for whatever a test needs.
    fn scratch(&self) -> &Path;

    /// Has a value kept out of the log of the job that is started next.
    fn redact(&mut self, secret: &str);

    /// Starts `sh SCRIPT`, and follows it where that is not [`Supervisor::ended`]'s.
    fn start(&mut self, script: &Path, limits: JobLimits);

    /// Has it cancelled, with the grace of its limits.
    fn cancel(&mut self);

    /// Nobody renews its lease from now on, and the lease is over soon.
    fn lapse(&mut self);

    /// Returns its supervisor's pid.
    fn pid(&self) -> u32;

    /// Where the log is now.
    fn log_file(&self) -> PathBuf;

    /// Waits for its end.
    fn ended(&mut self) -> JobStatus;

    /// Returns the log as whoever followed has it.
    fn log(&mut self) -> String;
}

/// This machine's own.
struct Local {
    dir: tempfile::TempDir,
    machines: Option<Machines>,
    machine: Option<Arc<dyn Machine>>,
    control: Control,
    limits: JobLimits,
    secrets: BTreeMap<String, Secret>,
}

fn name() -> JobRef {
    JobRef { run: "run1".to_owned(), node: "execute-x".to_owned(), attempt: 1 }
}

impl Local {
    fn supervisor() -> Option<Box<dyn Supervisor>> {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["home", "tree"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let machines = bench::machines(dir.path());
        let limits =
            JobLimits { timeout: Duration::ZERO, grace: Duration::ZERO, lease: Duration::ZERO };
        let control = Control::new().expect("a control");
        let secrets = BTreeMap::new();
        Some(Box::new(Self {
            dir,
            machines: Some(machines),
            machine: None,
            control,
            limits,
            secrets,
        }))
    }

    fn open(&mut self) -> Arc<dyn Machine> {
        let dir = self.dir.path();
        let machines = self.machines.get_or_insert_with(|| bench::machines(dir));
        let machine = machines.open(&plans::Placement::Local).expect("this machine");
        self.machine = Some(Arc::clone(&machine));
        machine
    }
}

impl Supervisor for Local {
    fn directory(&self) -> PathBuf {
        self.dir.path().join("runs")
    }

    fn scratch(&self) -> &Path {
        self.dir.path()
    }

    fn redact(&mut self, secret: &str) {
        self.secrets.insert("TOKEN".to_owned(), Secret::new(secret));
    }

    fn start(&mut self, script: &Path, limits: JobLimits) {
        self.limits = limits;
        let log = self.log_file();
        fs::create_dir_all(log.parent().expect("a parent")).expect("a directory");
        let job = LocalJob {
            job: name(),
            argv: vec!["sh".to_owned(), script.display().to_string()],
            env: Default::default(),
            keep_env: Vec::new(),
            secrets: self.secrets.clone(),
            workspace: WorkspaceSource::Output(self.dir.path().join("tree").display().to_string()),
            writable: false,
            working_dir: None,
            mounts: Vec::new(),
            caches: Vec::new(),
            limits,
            keep: Keep::default(),
            log,
            artifacts: self.dir.path().join("artifacts"),
        };
        self.open().start(&job).expect("started");
    }

    fn cancel(&mut self) {
        self.control.raise(Level::Cancel);
    }

    fn lapse(&mut self) {
        self.machine = None;
        self.machines = None;
    }

    fn pid(&self) -> u32 {
        let script = fs::read_to_string(self.dir.path().join("parent")).expect("it says so");
        script.trim().parse().expect("a pid")
    }

    fn log_file(&self) -> PathBuf {
        self.directory().join("run1/nodes/execute-x/guest.log")
    }

    fn ended(&mut self) -> JobStatus {
        let machine = self.open();
        let log = self.log_file();
        if self.limits.lease > Duration::from_secs(1) {
            return machine.attach(&name(), &log, &self.limits, &self.control).expect("an end");
        }
        let until = Instant::now() + PATIENCE;
        loop {
            match machine.status(&name()).expect("a status") {
                JobStatus::Running => thread::sleep(Duration::from_millis(20)),
                status => return status,
            }
            assert!(Instant::now() < until, "it runs on");
        }
    }

    fn log(&mut self) -> String {
        match fs::read(self.log_file()) {
            Ok(log) => String::from_utf8_lossy(&log).into_owned(),
            // One that passed and wrote nothing has none.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A pushed one.
struct Pushed {
    bench: &'static Bench,
    directory: PathBuf,
    by: By,
    /// Whoever follows, and what that says.
    follower: Option<(Child, File)>,
    /// What is kept out of the log, in hexadecimal.
    masks: String,
}

#[derive(Clone, Copy, PartialEq)]
enum By {
    Shell,
    Server,
}

impl Pushed {
    fn supervisor(shell: &[&'static str], by: By) -> Option<Box<dyn Supervisor>> {
        Self::of(Bench::new(shell)?, by)
    }

    fn without_perl() -> Option<Box<dyn Supervisor>> {
        let mut bench = Bench::new(&["busybox", "sh"])?;
        bench.use_busybox_alone();
        Self::of(bench, By::Shell)
    }

    fn of(bench: Bench, by: By) -> Option<Box<dyn Supervisor>> {
        let directory = bench.root.path().join("a run/n.1");
        // It goes with the process of the test: jobs of it may be looked at until then.
        let bench = Box::leak(Box::new(bench));
        Some(Box::new(Self { bench, directory, by, follower: None, masks: String::new() }))
    }

    fn verb(&self, verb: &str, words: &[&str]) -> String {
        self.job().verb(verb, words)
    }

    fn job(&self) -> std::mem::ManuallyDrop<Job<'_>> {
        let job = Job { bench: self.bench, directory: self.directory.clone() };
        std::mem::ManuallyDrop::new(job)
    }
}

impl Supervisor for Pushed {
    fn directory(&self) -> PathBuf {
        self.bench.root.path().join("a run")
    }

    fn scratch(&self) -> &Path {
        self.bench.root.path()
    }

    fn redact(&mut self, secret: &str) {
        self.masks = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    }

    fn start(&mut self, script: &Path, limits: JobLimits) {
        let options = shim::StartOptions {
            timeout: limits.timeout,
            // Of a local one it begins with the end of the connection.
            lease: limits.lease.max(Duration::from_secs(60)),
            grace: limits.grace,
            keep: Vec::new(),
        };
        let mut words = options.words().to_vec();
        let script = script.display();
        let mut command = match self.by {
            By::Server => {
                let [_, system] = systems();
                let cmd = format!("exec sh '{script}'");
                if !self.masks.is_empty() {
                    words.push(format!("masks={}", self.masks));
                }
                call_run(self.bench, &self.directory, &system, &cmd, &words)
            }
            By::Shell => {
                fs::create_dir_all(self.directory.join("artifacts")).expect("a directory");
                fs::write(self.directory.join("cmd"), format!("exec sh '{script}'\n"))
                    .expect("the job");
                if !self.masks.is_empty() {
                    fs::write(self.directory.join("masks"), &self.masks).expect("the masks");
                }
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                assert_eq!(self.verb("start", &words), "started");
                let mut command: Command = self.bench.command();
                command.arg("attach").arg(&self.directory).args(["0", "MARK"]);
                command
            }
        };
        let said = tempfile::tempfile().expect("a file");
        command.stdout(said.try_clone().expect("a file"));
        self.follower = Some((command.spawn().expect("the shell runs"), said));
        if self.by == By::Server {
            wait_for(&self.directory.join("exit"));
        }
    }

    fn cancel(&mut self) {
        self.verb("cancel", &["1"]);
    }

    fn lapse(&mut self) {
        self.verb("renew", &["1"]);
    }

    fn pid(&self) -> u32 {
        self.job().pid()
    }

    fn log_file(&self) -> PathBuf {
        self.directory.join("log")
    }

    fn ended(&mut self) -> JobStatus {
        let status = self.job().ended();
        let status = JobStatus::parse(&status).expect("a status");
        if status == JobStatus::Lost {
            self.verb("cancel", &["0"]);
        }
        status
    }

    fn log(&mut self) -> String {
        let (mut follower, mut said) = self.follower.take().expect("a follower");
        follower.wait().expect("it ends");
        said.rewind().expect("a file");
        let mut text = Vec::new();
        said.read_to_end(&mut text).expect("read");
        if self.by == By::Server {
            text = answer_of(&text);
            let first = text[1..].iter().position(|&byte| byte == b'\n').expect("an answer");
            text.drain(..=first);
        }
        let (log, _) = frames(&text, 0);
        String::from_utf8_lossy(&log).into_owned()
    }
}

impl Drop for Pushed {
    fn drop(&mut self) {
        drop(std::mem::ManuallyDrop::into_inner(self.job()));
        if let Some((mut follower, _)) = self.follower.take() {
            let _ = follower.wait();
        }
    }
}

/// Makes one test for each supervisor of each row.
macro_rules! contract {
    ($($row:ident => $check:expr;)*) => {
        contract! { @ rust Local::supervisor(), $($row $check;)* }
        contract! { @ dash Pushed::supervisor(&["dash"], By::Shell), $($row $check;)* }
        contract! { @ busybox Pushed::supervisor(&["busybox", "sh"], By::Shell), $($row $check;)* }
        contract! { @ bash Pushed::supervisor(&["bash", "--posix"], By::Shell), $($row $check;)* }
        contract! { @ zsh Pushed::supervisor(&["zsh", "--emulate", "sh"], By::Shell), $($row $check;)* }
        contract! { @ without_perl Pushed::without_perl(), $($row $check;)* }
        contract! { @ perl Pushed::supervisor(&["dash"], By::Server), $($row $check;)* }
    };
    (@ $module:ident $make:expr, $($row:ident $check:expr;)*) => {
        mod $module {
            use super::{By, Local, Pushed};
            #[expect(unused, reason = "each module makes one of them")]
            type Both = (By, Local, Pushed);
            $(#[test] fn $row() {
                let check: fn(&dyn Fn() -> Option<Box<dyn super::Supervisor>>) = $check;
                check(&|| $make);
            })*
        }
    };
}

contract! {
    exit_codes_and_signals_are_told_apart => super::codes;
    a_timeout_ends_the_whole_tree => super::timeout;
    a_cancel_ends_the_whole_tree => super::cancel;
    a_lease_that_nobody_renews_ends_the_job => super::lease;
    a_killed_supervisor_leaves_no_verdict_and_no_process => super::killed;
    a_process_of_any_name_is_ended => super::odd_names;
    output_that_never_stops_moves_no_timeout => super::fast;
    who_outlives_the_leader_delays_and_adds_nothing => super::outlived;
    a_job_that_opens_its_own_output_loses_no_line => super::reopened;
    a_full_disk_is_a_closed_pipe_to_the_job_and_is_told => super::full;
    a_job_may_close_its_output => super::closed;
    a_log_that_somebody_cuts_takes_nothing_of_what_came => super::cut;
    every_byte_arrives_in_order => super::bytes;
    a_secret_is_at_no_time_in_the_log => super::secret;
}

type Make<'a> = &'a dyn Fn() -> Option<Box<dyn Supervisor>>;

/// Starts a script with a timeout, in seconds; zero: for a long time.
fn start(supervisor: &mut Box<dyn Supervisor>, script: &str, timeout: u64) {
    let path = supervisor.scratch().join("script");
    let parent = supervisor.scratch().join("parent");
    let head = format!("echo $PPID >'{0}.new'; mv '{0}.new' '{0}'\n", parent.display());
    fs::write(&path, head + script).expect("the script");
    let limits = JobLimits {
        timeout: Duration::from_secs(if timeout == 0 { 600 } else { timeout }),
        grace: Duration::from_secs(1),
        lease: Duration::from_secs(600),
    };
    supervisor.start(&path, limits);
    wait_for(&parent);
}

/// Runs a script to its end.
fn ran(make: Make<'_>, script: &str, timeout: u64) -> Option<(Ended, String)> {
    let mut supervisor = make()?;
    start(&mut supervisor, script, timeout);
    let ended = exited(supervisor.ended());
    let log = supervisor.log();
    Some((ended, log))
}

#[track_caller]
fn exited(status: JobStatus) -> Ended {
    match status {
        JobStatus::Exited(ended) => ended,
        other => panic!("{other:?}"),
    }
}

/// Waits until so many processes have `mark` among their arguments.
#[track_caller]
fn await_alive(mark: &str, count: usize) {
    let until = Instant::now() + PATIENCE;
    while alive_with(mark) != count {
        assert!(Instant::now() < until, "{} of {count}", alive_with(mark));
        thread::sleep(Duration::from_millis(10));
    }
}

/// A tree of which one has a session of its own, one is stopped, and one hears no TERM.
fn stubborn(mark: &str) -> String {
    format!(
        "trap '' TERM; sleep {mark} & setsid sleep {mark} &
         sh -c 'kill -STOP $$; exec sleep {mark}' & sleep {mark}; sleep {mark}"
    )
}

fn codes(make: Make<'_>) {
    for code in [0, 1, 127, 128, 137, 255] {
        let Some((ended, _)) = ran(make, &format!("exit {code}"), 0) else { return };
        let seen = (ended.code, ended.signal, ended.reason);
        assert_eq!(seen, (Some(code), None, Reason::Exited));
    }
    for (name, number) in [("KILL", 9), ("SEGV", 11), ("TERM", 15), ("INT", 2)] {
        let (ended, _) = ran(make, &format!("kill -{name} $$; sleep 5"), 0).expect("a supervisor");
        assert_eq!((ended.code, ended.signal), (None, Some(number)), "{name}");
    }
}

fn timeout(make: Make<'_>) {
    let mark = mark();
    let Some((ended, _)) = ran(make, &stubborn(&mark), 1) else { return };
    assert_eq!(ended.reason, Reason::TimedOut);
    assert!(ended.killed >= 1, "{ended:?}");
    assert_eq!(alive_with(&mark), 0);
}

fn cancel(make: Make<'_>) {
    let mark = mark();
    let Some(mut supervisor) = make() else { return };
    start(&mut supervisor, &format!("echo up\n{}", stubborn(&mark)), 0);
    await_alive(&mark, 3);
    supervisor.cancel();
    let ended = exited(supervisor.ended());
    assert_eq!(ended.reason, Reason::Cancelled);
    assert!(ended.killed >= 1, "{ended:?}");
    assert_eq!(alive_with(&mark), 0);
    // A shell may say of another process that it was killed.
    assert!(supervisor.log().starts_with("up\n"));
}

fn lease(make: Make<'_>) {
    let mark = mark();
    let Some(mut supervisor) = make() else { return };
    let path = supervisor.scratch().join("script");
    // One that writes whenever it can keeps nothing alive by that.
    let script = format!("sleep {mark} & while :; do echo x >>/dev/stderr; sleep 0.1; done");
    fs::write(&path, script).expect("the script");
    let limits = JobLimits {
        timeout: Duration::from_secs(600),
        grace: Duration::from_secs(1),
        lease: Duration::from_secs(1),
    };
    supervisor.start(&path, limits);
    await_alive(&mark, 1);
    supervisor.lapse();
    assert_eq!(exited(supervisor.ended()).reason, Reason::LeaseExpired);
    assert_eq!(alive_with(&mark), 0);
}

fn killed(make: Make<'_>) {
    let mark = mark();
    let Some(mut supervisor) = make() else { return };
    start(&mut supervisor, &format!("setsid sleep {mark} & sleep {mark}"), 0);
    await_alive(&mark, 2);
    kill(supervisor.pid(), rustix::process::Signal::KILL);
    assert_eq!(supervisor.ended(), JobStatus::Lost);
    await_alive(&mark, 0);
}

fn odd_names(make: Make<'_>) {
    for name in ["\"a\\nb\"", "\"a) Z 1 1\\n(\"", "\"\\xff\\xfe\"", "\"x\" x 65536"] {
        let Some(mut supervisor) = make() else { return };
        let file = supervisor.scratch().join("odd");
        let odd = format!(
            "exec perl -e '$0 = {name}; open F, \">\", \"{0}\"; print F $$; close F; \
             rename \"{0}\", \"{0}.pid\"; $SIG{{TERM}} = \"IGNORE\"; sleep 600'",
            file.display()
        );
        // A shell without perl on its PATH still has jobs that have it.
        start(&mut supervisor, &format!("PATH=$PATH:/usr/local/bin:/usr/bin:/bin\n{odd}"), 1);
        let pid = fs::read_to_string(wait_for(&file.with_extension("pid"))).expect("a pid");
        assert_eq!(exited(supervisor.ended()).reason, Reason::TimedOut, "{name}");
        assert!(!Path::new(&format!("/proc/{pid}/exe")).exists(), "{name}: {pid} lives");
    }
}

fn fast(make: Make<'_>) {
    let Some((ended, log)) = ran(make, "yes one & yes two & yes three & wait", 1) else { return };
    assert_eq!(ended.reason, Reason::TimedOut);
    assert!(log.len() > 1 << 16, "{}", log.len());
}

fn outlived(make: Make<'_>) {
    let mark = mark();
    let script = format!(
        "(trap '' TERM HUP; sleep 0.5; echo never; sleep {mark}) &
         setsid sh -c 'trap \"\" TERM; sleep 0.5; echo never; sleep {mark}' & echo over; exit 3"
    );
    let Some((ended, log)) = ran(make, &script, 0) else { return };
    assert_eq!((ended.code, ended.reason), (Some(3), Reason::Exited));
    assert!(ended.killed >= 1, "{ended:?}");
    assert_eq!(log, "over\n");
    assert_eq!(alive_with(&mark), 0);
    // One that never stops writing.
    let (ended, log) = ran(make, "yes & echo over; exit 3", 0).expect("a supervisor");
    assert_eq!((ended.code, ended.reason), (Some(3), Reason::Exited));
    assert!(log.contains("over\n"));
}

fn reopened(make: Make<'_>) {
    let script = "echo first; echo second >/dev/stderr; echo third >/dev/stdout
        seq 1 2000; sleep 0.3; echo fourth | tee /dev/stderr >/dev/null
        echo fifth >>/proc/self/fd/2; echo IMPORTANT ERROR; exit 1";
    let Some((ended, log)) = ran(make, script, 0) else { return };
    assert_eq!(ended.code, Some(1));
    let numbers: String = (1..=2000).map(|number| format!("{number}\n")).collect();
    assert_eq!(log, format!("first\nsecond\nthird\n{numbers}fourth\nfifth\nIMPORTANT ERROR\n"));
}

fn full(make: Make<'_>) {
    // A job that ignores the closed pipe has a log that is not whole all the same.
    for code in [9, 0] {
        let Some(mut supervisor) = make() else { return };
        let Some(_disk) = SmallDisk::at(&supervisor.directory(), 1500) else { return };
        start(&mut supervisor, &format!("head -c 3000000 /dev/zero; exit {code}"), 0);
        let ended = exited(supervisor.ended());
        assert_eq!((ended.code, ended.evidence), (Some(code), Evidence::DiskFull));
    }
}

fn closed(make: Make<'_>) {
    let Some((ended, log)) = ran(make, "echo up; exec >&- 2>&-; sleep 0.3; exit 4", 0) else {
        return;
    };
    assert_eq!((ended.code, ended.reason, &*log), (Some(4), Reason::Exited, "up\n"));
}

fn cut(make: Make<'_>) {
    let Some(mut supervisor) = make() else { return };
    let go = supervisor.scratch().join("go");
    let script = format!(
        "echo a first line; until [ -e '{}' ]; do sleep 0.02; done; echo two; sleep 0.1; echo end",
        go.display()
    );
    start(&mut supervisor, &script, 0);
    let log = supervisor.log_file();
    let until = Instant::now() + PATIENCE;
    while fs::read(&log).unwrap_or_default() != b"a first line\n" {
        assert!(Instant::now() < until, "nothing came");
        thread::sleep(Duration::from_millis(5));
    }
    // Whoever follows has it after the longest pause.
    thread::sleep(Duration::from_millis(1500));
    File::options().write(true).truncate(true).open(&log).expect("cut");
    fs::write(&go, "").expect("written");
    assert_eq!(exited(supervisor.ended()).code, Some(0));
    let text = supervisor.log();
    // Here the log itself is what was cut; elsewhere a follower had it.
    let rest = text.strip_prefix("a first line\n").unwrap_or(&text);
    assert_eq!(rest, "two\nend\n");
}

fn bytes(make: Make<'_>) {
    let script = "i=0; while [ $i -lt 300 ]; do echo $i; echo $i >&2; i=$((i + 1)); done
        printf 'a\\000b\\377\\n'; printf 'no newline'";
    let Some((ended, log)) = ran(make, script, 0) else { return };
    assert_eq!(ended.code, Some(0));
    let lines: String = (0..300).map(|number| format!("{number}\n{number}\n")).collect();
    assert_eq!(log, format!("{lines}a\0b\u{fffd}\nno newline"));
}

fn secret(make: Make<'_>) {
    let Some(mut supervisor) = make() else { return };
    supervisor.redact("hunter2hunter2");
    let go = supervisor.scratch().join("go");
    let script = format!(
        "printf 'a hunter2'; sleep 0.2; printf 'hunter2hunter2 b\\000\\377\\n'; echo hunter2
        until [ -e '{}' ]; do sleep 0.02; done; printf hunter2hunter; exit 3",
        go.display()
    );
    start(&mut supervisor, &script, 0);
    let log = supervisor.log_file();
    let until = Instant::now() + PATIENCE;
    let said = loop {
        let said = fs::read(&log).unwrap_or_default();
        let said = String::from_utf8_lossy(&said).into_owned();
        assert!(!said.contains("hunter2hunter"), "{said:?}");
        if said.contains('b') {
            break said;
        }
        assert!(Instant::now() < until, "nothing came: {said:?}");
        thread::sleep(Duration::from_millis(1));
    };
    assert!(said.starts_with("a *** b\0\u{fffd}\n"), "{said:?}");
    let masks = log.with_file_name("masks");
    assert!(!masks.exists(), "what is to be masked stays");
    fs::write(&go, "").expect("written");
    let ended = exited(supervisor.ended());
    assert_eq!((ended.code, ended.reason), (Some(3), Reason::Exited));
    assert_eq!(supervisor.log(), "a *** b\0\u{fffd}\nhunter2\nhunter2hunter");
}
