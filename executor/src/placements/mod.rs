//! Where nodes run: one trait, [`Machine`], and one file for each placement.
//!
//! A machine runs short commands, supervises jobs, holds source trees, gives files back and keeps
//! the locks that hold over all executors. It knows no isolation: that is what
//! [`Runtime`](crate::runtimes::Runtime)s build on it. Paths on a machine are text (`&str`): it may
//! not be this one.

mod local;
mod registry;
pub mod ssh;

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use plans::{Output, PlacementKind, WorkspacePath};
use serde::{Deserialize, Serialize};

use crate::{
    artifacts::Tree,
    control::{Control, Level},
    fault::Fault,
    source::{PlacedSource, SourceRequest},
    supervise::{JobRef, JobStatus, Limits},
};

pub use registry::{Machines, MachinesConfig};

/// A machine that nodes run on: this one, or one reached over ssh.
///
/// Every call has a deadline or takes a [`Control`]; none waits for ever. Every call that changes
/// something may be repeated.
pub trait Machine: Send + Sync {
    /// Returns the catalog's name of the host, or `local`.
    fn name(&self) -> &str;

    /// Returns what the machine is called among people, for `host.log`.
    fn host(&self) -> String {
        self.name().to_owned()
    }

    /// Returns which placement it is.
    fn placement(&self) -> PlacementKind;

    /// Returns what is true of the machine itself; asked once and remembered.
    ///
    /// # Errors
    ///
    /// When the machine does not answer.
    fn facts(&self) -> Result<MachineFacts, Fault>;

    /// Looks at what jobs and their supervision need there, one line for each thing.
    ///
    /// # Errors
    ///
    /// When the machine does not answer.
    fn examine(&self) -> Result<Vec<Check>, Fault> {
        Ok(Vec::new())
    }

    /// Returns the directory on that machine under which everything of one attempt may live; it
    /// exists once something was put there, and [`Machine::remove`] takes it away.
    fn attempt_dir(&self, job: &JobRef) -> String;

    /// Returns the directory on that machine for what outlives the attempt: a prepare node's
    /// output. It goes with the run.
    fn output_dir(&self, job: &JobRef) -> String;

    /// Runs a short command to its end and returns what it said.
    ///
    /// # Errors
    ///
    /// When it could not be run, or had not ended at its deadline. A command that ran and failed
    /// is an answer, not an error.
    fn run(&self, command: &ControlCommand) -> Result<Answer, Fault>;

    /// Runs a command that talks for as long as it likes, and hands over its stdout as it comes.
    /// Ends with the command, when `sink` says stop, or when `control` is above `seen` (the command
    /// is then killed and its answer is `None`). Its deadline counts from the last byte.
    ///
    /// # Errors
    ///
    /// As for [`Machine::run`].
    fn stream(
        &self,
        command: &ControlCommand,
        sink: &mut dyn FnMut(&[u8]) -> Flow,
        control: &Control,
        seen: Level,
    ) -> Result<Option<Answer>, Fault>;

    /// Returns the free bytes of the file system that `path`, or its nearest existing parent, is on.
    ///
    /// # Errors
    ///
    /// When the machine does not answer.
    fn free_bytes(&self, path: &str) -> Result<u64, Fault>;

    /// Makes a source there, or finds it, and keeps it in use until `control`'s attempt is over.
    ///
    /// # Errors
    ///
    /// When the repository lost it, or the machine has no room for it.
    fn place_source(
        &self,
        wanted: &SourceRequest,
        control: &Control,
    ) -> Result<PlacedSource, Fault>;

    /// Copies a file or directory of this machine to `path` there, whole or not at all.
    ///
    /// # Errors
    ///
    /// When either side fails.
    fn send(&self, from: &Path, path: &str, mode: u32) -> Result<(), Fault>;

    /// Tells which values must not show in a job's log, for who follows a job that another process
    /// started; [`Machine::start`] knows them by itself.
    fn withhold(&self, _job: &JobRef, _secrets: &BTreeMap<String, Secret>) {}

    /// Starts a job under its supervisor, at most once however often it is asked.
    ///
    /// # Errors
    ///
    /// When it is not known to have started; asking again settles it.
    fn start(&self, job: &Job) -> Result<(), Fault>;

    /// Follows a job to its end: appends its log to `log` (a file of this machine) from where that
    /// file ends, renews its lease, obeys `control` (cancel with the grace of `limits`, kill), and
    /// outlives dropped connections. Never answers [`JobStatus::Running`].
    ///
    /// # Errors
    ///
    /// When the machine stays out of reach for longer than the reconnect budget.
    fn attach(
        &self,
        job: &JobRef,
        log: &Path,
        limits: &Limits,
        control: &Control,
    ) -> Result<JobStatus, Fault>;

    /// Returns what is known of a job.
    ///
    /// # Errors
    ///
    /// When the machine does not answer.
    fn status(&self, job: &JobRef) -> Result<JobStatus, Fault>;

    /// Ends a job that nobody is attached to: TERM, grace, KILL; returns how it stands then.
    ///
    /// # Errors
    ///
    /// When the machine does not answer.
    fn cancel(&self, job: &JobRef, grace: Duration) -> Result<JobStatus, Fault>;

    /// Brings back what a finished job was to keep, into a directory of this machine.
    ///
    /// # Errors
    ///
    /// When files could not be read, sent or written. Nothing found is no error; an entry that
    /// points out of its directory is refused and named in the answer.
    fn collect(&self, job: &JobRef, keep: &Keep, into: &Path) -> Result<Collected, Fault>;

    /// Returns a directory of that machine as something that artifacts are kept of.
    fn tree<'a>(&'a self, root: &str) -> Box<dyn Tree + 'a>;

    /// Removes everything of one attempt there: processes, mounts, directories; checks that it is
    /// gone. An output that dependents use lives elsewhere and stays.
    ///
    /// # Errors
    ///
    /// When something is still there.
    fn remove(&self, job: &JobRef) -> Result<(), Fault>;

    /// Waits for its turn: all of `wanted` at once, or nothing. Held until the answer is dropped,
    /// and by a job that outlives this process until that ends. `None`: `control` rose meanwhile.
    /// `waits` is called once, when it is not to be had at once.
    ///
    /// # Errors
    ///
    /// When the machine's lock directory cannot be used.
    fn acquire(
        &self,
        wanted: &Turn,
        control: &Control,
        waits: &dyn Fn(),
    ) -> Result<Option<Box<dyn Held>>, Fault>;

    /// Lets go of what is kept between jobs, and waits until that is done or cannot be. Asked once, when nothing
    /// more is wanted of the machine; who still has it at hand may be ended with the process at any moment.
    fn leave(&self) {}

    /// Lists what runs left there: state directories, processes, mounts; of one run or of all.
    ///
    /// # Errors
    ///
    /// When the machine does not answer.
    fn leftovers(&self, run: Option<&str>) -> Result<Vec<Leftover>, Fault>;

    /// Removes one thing that [`Machine::leftovers`] listed, and checks that it is gone.
    ///
    /// # Errors
    ///
    /// When it is still there.
    fn remove_leftover(&self, leftover: &Leftover) -> Result<(), Fault>;
}

/// What is true of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineFacts {
    /// Which boot it is in; another one means that every process is gone.
    pub boot_id: String,
    /// `uname -s`: `Linux`, `Darwin`.
    pub system: String,
    /// `uname -m`.
    pub architecture: String,
    /// The user that jobs run as.
    pub user: String,
    /// Its numeric id.
    pub uid: u32,
    /// Its numeric group.
    pub gid: u32,
    /// Its home directory.
    pub home: String,
}

/// One thing that was looked at on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Whether it is as it should be.
    pub ok: bool,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// A short command of ours on a machine, never a job.
#[derive(Clone)]
pub struct ControlCommand {
    /// The program and its arguments; no shell reads them.
    pub argv: Vec<String>,
    /// What it reads; empty: nothing, and never our own stdin.
    pub stdin: Vec<u8>,
    /// What it has in its environment beside the machine's own.
    pub env: BTreeMap<String, String>,
    /// Where it starts; absent: the machine's home directory.
    pub dir: Option<String>,
    /// How long it may take.
    pub deadline: Duration,
}

impl ControlCommand {
    /// Returns the program and what it is to do, for people; the rest may be anything.
    #[must_use]
    pub fn program(&self) -> String {
        self.argv.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// Makes a command with nothing on its stdin and half a minute to end.
    #[must_use]
    pub fn new<I>(argv: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<String>,
    {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            stdin: Vec::new(),
            env: BTreeMap::new(),
            dir: None,
            deadline: Duration::from_secs(30),
        }
    }

    /// Gives it something to read.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Gives it another deadline.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }
}

impl fmt::Debug for ControlCommand {
    /// Without stdin, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ControlCommand")
            .field("argv", &self.argv)
            .field("stdin", &format_args!("{} bytes", self.stdin.len()))
            .field("dir", &self.dir)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// What a command of ours answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code; absent: a signal ended it.
    pub code: Option<i32>,
    /// What it printed; empty when it was streamed.
    pub stdout: Vec<u8>,
    /// The last of what it complained about.
    pub stderr: Vec<u8>,
}

impl Answer {
    /// Returns whether it ended with 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }

    /// Returns the end of its complaints for a message: one line of at most 400 characters.
    #[must_use]
    pub fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let line = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("").trim();
        line.chars().take(400).collect()
    }
}

/// Whether a stream goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// More, please.
    Continue,
    /// Enough: end the command.
    Stop,
}

/// A job as its supervisor is told of it.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name.
    pub job: JobRef,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its environment, secrets apart; the supervisor adds what only the machine knows (`PATH`,
    /// `HOME`, `USER`, `SHELL`, `TMPDIR`, `ARTIFACTS_DIR`).
    pub env: BTreeMap<String, String>,
    /// Names that it also takes from the machine's own environment when they are set there:
    /// `LANG`, `LC_*`, `TZ` and the site's `pass_env`.
    pub keep_env: Vec<String>,
    /// Environment variables whose values must be nowhere else, the log included.
    pub secrets: BTreeMap<String, Secret>,
    /// The directory it sees as its source tree.
    pub workspace: WorkspaceSource,
    /// Whether it may write there.
    pub writable: bool,
    /// Where below the workspace it starts.
    pub working_dir: Option<WorkspacePath>,
    /// What else it sees, read-only.
    pub mounts: Vec<BindMount>,
    /// How long it may run.
    pub limits: Limits,
    /// What is kept of what it leaves.
    pub keep: Keep,
    /// Where its log goes when machine and executor share a file system; others keep one of their
    /// own, which [`Machine::attach`] brings back.
    pub log: std::path::PathBuf,
    /// Where its artifacts go, likewise.
    pub artifacts: std::path::PathBuf,
}

/// Where a job's workspace comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkspaceSource {
    /// A source tree that [`Machine::place_source`] made.
    Tree(PlacedSource),
    /// The workspace that a prepare node left, by its directory on that machine.
    Output(String),
}

/// A directory of the machine that a job sees read-only at a path of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BindMount {
    /// The directory on the machine.
    pub from: String,
    /// Where the job sees it.
    pub to: String,
}

impl BindMount {
    /// Returns whether it is of a nix store, which is everybody's to read and full of links.
    #[must_use]
    pub fn is_stored(&self) -> bool {
        self.from.starts_with("/nix/store/")
    }
}

/// What is kept of what a job leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keep {
    /// Globs below the workspace and the artifacts directory.
    pub artifacts: Vec<String>,
    /// A prepare node's output; store paths are kept by other means.
    pub output: Option<Output>,
}

/// What was kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collected {
    /// How many files came back.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many files were left out: of the job's own artifacts directory, or named by a glob.
    #[serde(default)]
    pub left_out: u64,
    /// Those, each with the reason, escaped for one line; not all of very many.
    #[serde(default)]
    pub left: Vec<String>,
    /// The globs that named nothing.
    #[serde(default)]
    pub unmatched: Vec<String>,
    /// Where the output is, on that machine.
    pub output: Option<String>,
    /// What the supervisor has to say besides, a line each.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// A value that is shown to nobody.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes a value over.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// Returns the value, for the one place that hands it to the job.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What an attempt must hold before it starts, over all executors of a machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Turn {
    /// Who asks, with its [`Machine::attempt_dir`]: shown to those who wait, and asked for its
    /// status by those who find the turn after its executor died.
    pub holder: Option<(JobRef, String)>,
    /// One of this many places; absent: no limit.
    pub max_jobs: Option<u32>,
    /// These groups, alone.
    pub groups: Vec<String>,
    /// Whether the job runs in a guest, where the machine's own supervisor does not see it.
    pub in_guest: bool,
}

/// The name of a script in an attempt's directory that ends with 0 while the job runs where nobody on
/// the machine sees it, in a guest: asked about a turn whose executor is gone. A host process has none.
pub const LIVES: &str = "lives";

/// Places and groups that are held; dropping it lets go.
pub trait Held: Send {}

/// Something of a run that is still on a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leftover {
    /// What it is.
    pub kind: LeftoverKind,
    /// The run it belongs to.
    pub run: String,
    /// What [`Machine::remove_leftover`] or the engine takes to find it.
    pub name: String,
    /// Whether somebody still answers for it: its run is locked, or its lease runs.
    pub in_use: bool,
}

/// What a leftover is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftoverKind {
    /// A supervised job and its state directory.
    Job,
    /// A process with the cookie of a job whose supervisor is gone.
    Process,
    /// A source tree that no run uses.
    Tree,
    /// An Incus instance.
    Instance,
    /// A Tart virtual machine.
    VirtualMachine,
}
