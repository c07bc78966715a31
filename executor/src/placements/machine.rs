//! What a machine is to everything above it: one trait, in parts by concern.

use std::{collections::BTreeMap, path::Path, time::Duration};

use plans::PlacementKind;

use super::{Answer, ControlCommand, Flow, Job, Leftover, Secret};
use crate::{
    artifacts::{Collected, Tree, kept::KeptFiles},
    control::{Control, Level},
    fault::Fault,
    locks::{HeldLocks, LockRequest, Table, Waiting},
    source::{Form, PlacedSource, SourceRequest},
    supervise::{JobLimits, JobRef, JobStatus, Keep},
};

/// Finds what a job was shown as its workspace.
pub type ShownWorkspace<'a> = dyn Fn() -> Result<String, Fault> + 'a;

/// A machine that nodes run on: this one, or one reached over ssh.
///
/// Every call has a deadline or takes a [`Control`]; none waits for ever. Every call that changes
/// something may be repeated.
pub trait Machine: Commands + Jobs + Leftovers + Send + Sync {
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

    /// Connects, where that is still to be done, so that [`facts`](Self::facts) are known without waiting. `None`: `control` rose
    /// meanwhile.
    ///
    /// # Errors
    ///
    /// When the machine does not answer.
    fn reach(&self, _control: &Control) -> Result<Option<()>, Fault> {
        Ok(Some(()))
    }

    /// Looks at what jobs and their supervision need there, one line for each thing.
    ///
    /// # Errors
    ///
    /// When the machine does not answer.
    fn examine(&self) -> Result<Vec<Check>, Fault> {
        Ok(Vec::new())
    }

    /// Waits for its locks: all of `wanted` at once, or nothing. Held until the answer is dropped,
    /// and by a job that outlives this process until that ends. `None`: `control` rose meanwhile.
    /// `waits` is called when it is not to be had at once, and again when somebody else has it.
    ///
    /// # Errors
    ///
    /// When the machine's lock directory cannot be used.
    fn acquire(
        &self,
        wanted: &LockRequest,
        control: &Control,
        waits: &dyn Fn(&Waiting),
    ) -> Result<Option<Box<dyn HeldLocks>>, Fault>;

    /// Returns who has its places and groups, and who waits for them, of all executors.
    ///
    /// # Errors
    ///
    /// When the machine does not answer, or its lock directory cannot be read.
    fn holders(&self) -> Result<Table, Fault>;

    /// Takes the name of a dead holder off one of the files that [`Table::dead`] names; `false`: it is not dead any more.
    ///
    /// # Errors
    ///
    /// As for [`Self::holders`].
    fn free_dead(&self, file: &str) -> Result<bool, Fault>;

    /// Releases what is kept between jobs, and waits until that is done or cannot be. Called once, when
    /// nothing more is wanted of the machine; threads that still have it may end with the process at any
    /// moment.
    fn close(&self) {}
}

/// Short commands of the executor on a machine, and files both ways.
pub trait Commands {
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
    /// As for [`Commands::run`].
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

    /// Makes a source there, or finds it, and keeps it in use until `control`'s attempt is over. A machine that has no
    /// layers gives it whole, whatever `form` allows.
    ///
    /// # Errors
    ///
    /// When the repository lost it, or the machine has no room for it.
    fn place_source(
        &self,
        wanted: &SourceRequest,
        form: Form,
        control: &Control,
    ) -> Result<PlacedSource, Fault>;

    /// Places files that were kept of another node: in a directory there that holds them at their paths and nothing
    /// else, each compared with its checksum. `into` is a path of the attempt's own that may be used for it.
    ///
    /// # Errors
    ///
    /// When one is not what was kept, or the machine has no room for it.
    fn place_files(
        &self,
        files: &KeptFiles,
        into: &str,
        control: &Control,
    ) -> Result<PlacedFiles, Fault>;

    /// Copies a file or directory of this machine to `path` there, whole or not at all.
    ///
    /// # Errors
    ///
    /// When either side fails.
    fn send(&self, from: &Path, path: &str, mode: u32) -> Result<(), Fault>;

    /// Returns a directory of that machine as something that artifacts are kept of.
    fn tree<'a>(&'a self, root: &str) -> Box<dyn Tree + 'a>;
}

/// Jobs under a machine's supervisor.
pub trait Jobs {
    /// Returns the directory on that machine under which everything of one attempt may live; it
    /// exists once something was put there, and [`Jobs::remove`] takes it away.
    fn attempt_dir(&self, job: &JobRef) -> String;

    /// Returns the directory on that machine for what outlives the attempt: a prepare node's
    /// output. It goes with the run.
    fn output_dir(&self, job: &JobRef) -> String;

    /// Returns the directory on that machine where caches are kept, unless the site says another.
    fn caches_dir(&self) -> String;

    /// Tells which values must not show in a job's log, for watching a job that another process
    /// started; [`Jobs::start`] knows them by itself.
    fn redact(&self, _job: &JobRef, _secrets: &BTreeMap<String, Secret>) {}

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
        limits: &JobLimits,
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

    /// Brings back what a finished job was to keep, into a directory of this machine. `shown` says what a job was
    /// shown as its workspace that could only read it; none: it had a copy of its own.
    ///
    /// # Errors
    ///
    /// When files could not be read, sent or written. Nothing found is no error; an entry that
    /// points out of its directory is refused and named in the answer.
    fn collect(
        &self,
        job: &JobRef,
        keep: &Keep,
        shown: Option<&ShownWorkspace<'_>>,
        secrets: &[&str],
        into: &Path,
    ) -> Result<Collected, Fault>;

    /// Removes everything of one attempt there: processes, mounts, directories; checks that it is
    /// gone. An output that dependents use lives elsewhere and stays.
    ///
    /// # Errors
    ///
    /// When something is still there.
    fn remove(&self, job: &JobRef) -> Result<(), Fault>;
}

/// What runs left on a machine.
pub trait Leftovers {
    /// Lists what runs left there: state directories, processes, mounts; of one run or of all.
    ///
    /// # Errors
    ///
    /// When the machine does not answer.
    fn leftovers(&self, run: Option<&str>) -> Result<Vec<Leftover>, Fault>;

    /// Removes one thing that [`Leftovers::leftovers`] listed, and checks that it is gone.
    ///
    /// # Errors
    ///
    /// When it is still there.
    fn remove_leftover(&self, leftover: &Leftover) -> Result<(), Fault>;
}

/// Files of another node, on a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedFiles {
    /// The directory there.
    pub path: String,
    /// Whether it is the attempt's own, to do with as it likes; else others may use it too.
    pub own: bool,
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
    /// Whether nothing can be written where jobs are kept.
    pub is_full: bool,
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
