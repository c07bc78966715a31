//! This machine: jobs under its own supervisor, trees and locks in the user's per-machine
//! directory, each attempt in a directory below its node's.

mod commands;
mod examine;
mod jobs;
mod supervisors;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use plans::PlacementKind;

use self::supervisors::Supervisors;
use super::{
    Answer, Check, Commands, ControlCommand, Flow, Job, Jobs, Leftover, Leftovers, Machine,
    MachineFacts, MachinesConfig, PlacedFiles, ShownWorkspace,
};
use crate::{
    artifacts::{Collected, Tree, kept::KeptFiles, local::LocalTree},
    control::{Control, Level},
    directory,
    fault::{FailureKind, Fault},
    locks::{self, HeldLocks, LIVENESS_SCRIPT, LockRequest, Table, Waiting},
    source::{self, Form, PlacedSource, SourceRequest},
    supervise::{
        JobLimits, JobRef, JobStatus, Keep,
        native::{self, AttemptFiles},
    },
};

/// This machine, with its own directories.
pub(super) struct Local {
    config: MachinesConfig,
    supervisors: Supervisors,
    trees: source::Store,
    /// What supervisors said of jobs that are over, until they are removed.
    reports: Mutex<BTreeMap<JobRef, (native::JobReport, Said)>>,
}

/// What a supervisor's report means for what the job had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// The supervisor lives, takes the next job, and has cleared whatever this one had.
    AllGone,
    /// The job is over; what it had has to be looked for.
    Over,
}

impl Local {
    pub(super) fn open(config: MachinesConfig) -> Result<Self, Fault> {
        let supervisors = Supervisors::new(config.executor.clone());
        let dir = config.machine_dir.join("trees");
        let trees = source::Store::open(&dir, &config.environment)?.mounted_by(&config.executor);
        Ok(Self { config, supervisors, trees, reports: Mutex::default() })
    }

    fn dir(&self, job: &JobRef) -> PathBuf {
        self.node_dir(job).join(format!("attempt-{}", job.attempt))
    }

    fn remember(&self, job: &JobRef, report: native::JobReport, said: Said) {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.insert(job.clone(), (report, said));
    }

    fn recall(&self, job: &JobRef) -> Option<native::JobReport> {
        let reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.get(job).map(|(report, _)| report.clone())
    }

    fn forget(&self, job: &JobRef) -> Option<Said> {
        let mut reports = self.reports.lock().unwrap_or_else(PoisonError::into_inner);
        reports.remove(job).map(|(_, said)| said)
    }

    fn place(&self, job: &JobRef) -> AttemptFiles {
        AttemptFiles { dir: self.node_dir(job), attempt: job.attempt }
    }

    fn locks_dir(&self) -> PathBuf {
        // Named as it always was: executors of other versions must find each other's locks.
        self.config.machine_dir.join("turns")
    }

    fn slots(&self) -> PathBuf {
        self.config.machine_dir.join("slots")
    }

    /// Where an output that outlives the attempt goes.
    fn output_dir(&self, job: &JobRef) -> PathBuf {
        self.node_dir(job).join(format!("output-{}", job.attempt))
    }

    fn node_dir(&self, job: &JobRef) -> PathBuf {
        self.config.runs_dir.join(&job.run).join("nodes").join(&job.node)
    }
}

impl Machine for Local {
    fn name(&self) -> &str {
        "local"
    }

    fn host(&self) -> String {
        rustix::system::uname().nodename().to_string_lossy().into_owned()
    }

    fn placement(&self) -> PlacementKind {
        PlacementKind::Local
    }

    fn facts(&self) -> Result<MachineFacts, Fault> {
        let name = rustix::system::uname();
        let variable = |name: &str| self.config.environment.get(name).cloned().unwrap_or_default();
        Ok(MachineFacts {
            boot_id: native::boot_id()
                .map_err(|error| Fault::io(FailureKind::Io, "reading the boot id", &error))?,
            system: name.sysname().to_string_lossy().into_owned(),
            architecture: name.machine().to_string_lossy().into_owned(),
            user: Some(variable("USER")).filter(|user| !user.is_empty()).unwrap_or_else(|| {
                // Where there is no login there is no name.
                format!("user {}", rustix::process::geteuid().as_raw())
            }),
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            home: variable("HOME"),
            // A full state or cache directory is refused before there is a machine.
            is_full: false,
        })
    }

    fn examine(&self) -> Result<Vec<Check>, Fault> {
        Ok(examine::examine(&self.config))
    }

    fn acquire(
        &self,
        wanted: &LockRequest,
        control: &Control,
        waits: &dyn Fn(&Waiting),
    ) -> Result<Option<Box<dyn HeldLocks>>, Fault> {
        locks::local::acquire(&self.locks_dir(), wanted, control, waits, is_alive)
    }

    fn holders(&self) -> Result<Table, Fault> {
        let dir = self.locks_dir();
        locks::local::table(&dir, is_alive).map_err(|error| {
            Fault::io(FailureKind::Io, format!("looking at the locks in {}", dir.display()), &error)
        })
    }

    fn free_dead(&self, file: &str) -> Result<bool, Fault> {
        let dir = self.locks_dir();
        locks::local::free(&dir, file, is_alive).map_err(|error| {
            Fault::io(FailureKind::Io, format!("freeing {file} in {}", dir.display()), &error)
        })
    }
}

impl Commands for Local {
    fn run(&self, command: &ControlCommand) -> Result<Answer, Fault> {
        let mut stdout = Vec::new();
        let answer = commands::stream(
            command,
            &mut |bytes| {
                stdout.extend_from_slice(bytes);
                Flow::Continue
            },
            None,
        )?;
        Answer::with_stdout(answer, stdout)
    }

    fn stream(
        &self,
        command: &ControlCommand,
        sink: &mut dyn FnMut(&[u8]) -> Flow,
        control: &Control,
        seen: Level,
    ) -> Result<Option<Answer>, Fault> {
        commands::stream(command, sink, Some((control, seen)))
    }

    fn free_bytes(&self, path: &str) -> Result<u64, Fault> {
        let path = Path::new(path);
        let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
        let found = rustix::fs::statvfs(existing).map_err(|error| {
            Fault::io(FailureKind::Io, format!("asking about {}", path.display()), &error.into())
        })?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    fn place_source(
        &self,
        wanted: &SourceRequest,
        form: Form,
        control: &Control,
    ) -> Result<PlacedSource, Fault> {
        self.trees.place(wanted, form, control)
    }

    fn place_files(
        &self,
        files: &KeptFiles,
        into: &str,
        control: &Control,
    ) -> Result<PlacedFiles, Fault> {
        let path = Path::new(into);
        // A try that was cut short may have left half of it.
        remove_dir(path)?;
        let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
        made.map_err(|error| Fault::io(FailureKind::Workspace, format!("making {into}"), &error))?;
        files.stage(path, control)?;
        Ok(PlacedFiles { path: into.to_owned(), own: true })
    }

    fn send(&self, from: &Path, path: &str, mode: u32) -> Result<(), Fault> {
        jobs::send(from, Path::new(path), mode)
    }

    fn tree<'a>(&'a self, root: &str) -> Box<dyn Tree + 'a> {
        Box::new(LocalTree::open(Path::new(root)))
    }
}

impl Jobs for Local {
    fn attempt_dir(&self, job: &JobRef) -> String {
        self.dir(job).to_string_lossy().into_owned()
    }

    fn caches_dir(&self) -> String {
        self.config.machine_dir.join("caches").to_string_lossy().into_owned()
    }

    fn output_dir(&self, job: &JobRef) -> String {
        Self::output_dir(self, job).to_string_lossy().into_owned()
    }

    fn start(&self, job: &Job) -> Result<(), Fault> {
        jobs::start(self, job)
    }

    fn attach(
        &self,
        job: &JobRef,
        _log: &Path,
        limits: &JobLimits,
        control: &Control,
    ) -> Result<JobStatus, Fault> {
        // The log is written where it is read.
        jobs::attach(self, job, limits, control)
    }

    fn status(&self, job: &JobRef) -> Result<JobStatus, Fault> {
        jobs::status(&self.place(job))
    }

    fn cancel(&self, job: &JobRef, grace: Duration) -> Result<JobStatus, Fault> {
        jobs::cancel(&self.place(job), job, grace)
    }

    fn collect(
        &self,
        job: &JobRef,
        keep: &Keep,
        _shown: Option<&ShownWorkspace<'_>>,
        _secrets: &[&str],
        _into: &Path,
    ) -> Result<Collected, Fault> {
        // The supervisor kept everything before it said that the job is over.
        jobs::collected(self, job, keep)
    }

    fn remove(&self, job: &JobRef) -> Result<(), Fault> {
        jobs::remove(self, job)
    }
}

impl Leftovers for Local {
    fn leftovers(&self, run: Option<&str>) -> Result<Vec<Leftover>, Fault> {
        jobs::leftovers(self, run)
    }

    fn remove_leftover(&self, leftover: &Leftover) -> Result<(), Fault> {
        jobs::remove_leftover(self, leftover)
    }
}

fn remove_dir(dir: &Path) -> Result<(), Fault> {
    directory::remove(dir).map_err(|error| {
        Fault::io(FailureKind::Cleanup, format!("removing {}", dir.display()), &error)
    })
}

/// Returns whether the job of an attempt's directory runs, here or in a guest.
fn is_alive(attempt: &Path) -> bool {
    let status = AttemptFiles::of_attempt_dir(attempt).map(|place| jobs::status(&place));
    matches!(status, Some(Ok(JobStatus::Running))) || lives_in_guest(attempt)
}

/// How long a guest's engine may take to say whether a job runs.
const LIVENESS: Duration = Duration::from_secs(60);

/// Returns whether the job of an attempt's directory runs in a guest, as the script says that was left
/// there with the guest. Without an answer it may.
fn lives_in_guest(attempt: &Path) -> bool {
    let script = attempt.join(LIVENESS_SCRIPT);
    if !script.is_file() {
        return false;
    }
    let command = ControlCommand::new(["sh", &script.to_string_lossy()]).deadline(LIVENESS);
    match commands::stream(&command, &mut |_| Flow::Continue, None) {
        Ok(Some(answer)) => answer.success(),
        Ok(None) | Err(_) => true,
    }
}
