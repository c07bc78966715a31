//! A host as a [`Machine`]: the front of the modules beside it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use plans::{Output, PlacementKind, SshHost};

use super::{collect::FarTree, commands, examine, jobs, remote::Remote, removals};
use crate::{
    artifacts::{self, Collected, Tree, kept::KeptFiles},
    command_line::Script,
    control::{Control, Level},
    fault::{FailureKind, Fault},
    locks::{HeldLocks, LockRequest, Table, Waiting},
    placements::{
        Answer, Check, Commands, ControlCommand, Flow, Job, Jobs, Leftover, Leftovers, Machine,
        MachineFacts, PlacedFiles, Secret, ShownWorkspace,
    },
    source::{Form, PlacedSource, SourceRequest},
    ssh::{self, Lookup, Manifest, Patience, SendError, SshOptions, fault},
    supervise::{JobLimits, JobRef, JobStatus, Keep},
};

/// Where sources that are sent come from.
pub trait Sources: Send + Sync {
    /// Makes a source on this machine.
    ///
    /// # Errors
    ///
    /// When it is not to be had, or cannot be written.
    fn place(&self, wanted: &SourceRequest, control: &Control) -> Result<PlacedSource, Fault>;

    /// Returns what a source that was made consists of, if that is known without reading it.
    fn manifest(&self, wanted: &SourceRequest) -> Option<Manifest>;
}

/// A host reached over ssh.
pub struct RemoteSsh {
    remote: Arc<Remote>,
    /// Where manifests of what was sent are kept, on this machine.
    cache: PathBuf,
    sources: Box<dyn Sources>,
    /// Sources that were seen there by this process.
    placed: Mutex<Vec<PlacedSource>>,
    /// Held while files of other nodes are sent there.
    sending: Mutex<()>,
}

impl RemoteSsh {
    /// Makes a machine of a host in a plan; nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When the directory for control sockets cannot be made.
    pub fn open(
        host: &SshHost,
        options: SshOptions,
        cache: &Path,
        runs_dir: &Path,
        sources: Box<dyn Sources>,
    ) -> Result<Self, Fault> {
        Ok(Self {
            remote: Arc::new(Remote::open(host, options, runs_dir)?),
            cache: cache.to_owned(),
            sources,
            placed: Mutex::default(),
            sending: Mutex::default(),
        })
    }
}

impl RemoteSsh {
    /// Sends a tree that `make` makes or finds here, unless the host has it. What travels is the difference to one that
    /// the host has, of those that are `like_it`.
    fn send_tree(
        &self,
        id: &str,
        like_it: impl Fn(&str) -> bool,
        control: &Control,
        make: impl FnOnce() -> Result<ssh::Tree, SendError>,
    ) -> Result<(), Fault> {
        let give_up = || control.level() > Level::Run;
        let patience = Patience { give_up: &give_up, ..self.remote.host.patience() };
        let (work_dir, cache) = (Path::new(&self.remote.work_dir), &*self.cache);
        let to = ssh::To { host: &self.remote.host, work_dir, id, cache, patience: &patience };
        let look = ssh::look_up(&to).map_err(|error| fault(FailureKind::Io, &error))?;
        let Lookup::Others(mut others) = look else { return Ok(()) };
        others.retain(|name| like_it(name));
        let sent = ssh::send_beside(&others, &to, make);
        sent.map(drop).map_err(|error| match &error {
            SendError::Source(fault) => (**fault).clone(),
            SendError::Ssh(ssh) => fault(FailureKind::Io, ssh),
            SendError::Unreadable { error: io, .. } => {
                Fault::io(FailureKind::SourceMissing, &error, io)
            }
            SendError::Corrupt(_) => {
                Fault::new(FailureKind::Io, format!("host `{}`: {error}", self.remote.name))
            }
        })
    }
}

impl Machine for RemoteSsh {
    fn name(&self) -> &str {
        &self.remote.name
    }

    fn placement(&self) -> PlacementKind {
        PlacementKind::RemoteSsh
    }

    fn facts(&self) -> Result<MachineFacts, Fault> {
        self.remote.facts()
    }

    fn reach(&self, control: &Control) -> Result<Option<()>, Fault> {
        if self.remote.is_known() {
            return Ok(Some(()));
        }
        // Connecting takes as long as it takes.
        let remote = Arc::clone(&self.remote);
        let reached = control.hears(move || {
            remote.host.preconnect();
            remote.lock_server().map(drop)
        });
        let no_thread = |error| Fault::io(FailureKind::Io, "starting a thread", &error);
        reached.map_err(no_thread)?.transpose()
    }

    fn examine(&self) -> Result<Vec<Check>, Fault> {
        examine::examine(&self.remote)
    }

    fn acquire(
        &self,
        wanted: &LockRequest,
        control: &Control,
        waits: &dyn Fn(&Waiting),
    ) -> Result<Option<Box<dyn HeldLocks>>, Fault> {
        if self.reach(control)?.is_none() {
            return Ok(None);
        }
        let server = || self.remote.lock_server();
        self.remote.locks.acquire(&server, wanted, control, waits)
    }

    fn holders(&self) -> Result<Table, Fault> {
        self.remote.lock_server()?.table()
    }

    fn free_dead(&self, file: &str) -> Result<bool, Fault> {
        self.remote.lock_server()?.free(file)
    }

    fn close(&self) {
        self.remote.locks.close();
        self.remote.host.close();
    }
}

impl Commands for RemoteSsh {
    fn run(&self, command: &ControlCommand) -> Result<Answer, Fault> {
        let mut stdout = Vec::new();
        let mut sink = |bytes: &[u8]| {
            stdout.extend_from_slice(bytes);
            Flow::Continue
        };
        let answer = commands::stream(&self.remote, command, &mut sink, None)?;
        Answer::with_stdout(answer, stdout)
    }

    fn stream(
        &self,
        command: &ControlCommand,
        sink: &mut dyn FnMut(&[u8]) -> Flow,
        control: &Control,
        seen: Level,
    ) -> Result<Option<Answer>, Fault> {
        commands::stream(&self.remote, command, sink, Some((control, seen)))
    }

    fn free_bytes(&self, path: &str) -> Result<u64, Fault> {
        let script = Script::new("").set("p", path).text(
            "while [ ! -e \"$p\" ]; do p=${p%/*}; [ -n \"$p\" ] || p=/; done\n\
             df -Pk \"$p\" | tail -n 1 | { read -r a b c d e; echo \"$d\"; }",
        );
        let output = self.remote.host.check(&script, &self.remote.host.patience());
        let output = output.map_err(|error| fault(FailureKind::NoAnswer, &error))?;
        let text = String::from_utf8_lossy(&output).trim().to_owned();
        let kilobytes: u64 = text.parse().map_err(|_| self.remote.garbled(&text))?;
        Ok(kilobytes.saturating_mul(1024))
    }

    fn place_source(
        &self,
        wanted: &SourceRequest,
        _form: Form,
        control: &Control,
    ) -> Result<PlacedSource, Fault> {
        let id = wanted.id();
        let path = format!("{}/trees/{id}", self.remote.work_dir);
        let there = PlacedSource::whole(path, id);
        // One sends; others that need the same wait for it instead of sending it as well.
        let mut placed = control.lock(&self.placed).ok_or_else(Fault::cancelled)?;
        if placed.contains(&there) {
            return Ok(there);
        }
        let is_like_it = |name: &str| !KeptFiles::is_name(name);
        self.send_tree(&there.id, is_like_it, control, || {
            let here = self.sources.place(wanted, control).map_err(Box::new);
            let here = here.map_err(SendError::Source)?;
            Ok((PathBuf::from(here.path), self.sources.manifest(wanted)))
        })?;
        placed.push(there.clone());
        Ok(there)
    }

    fn place_files(
        &self,
        files: &KeptFiles,
        _into: &str,
        control: &Control,
    ) -> Result<PlacedFiles, Fault> {
        // Sent once, for everybody who takes the same; one sends, others wait for it.
        let _sending = control.lock(&self.sending).ok_or_else(Fault::cancelled)?;
        let id = files.id();
        self.send_tree(&id, KeptFiles::is_name, control, || {
            files.verify(control).map_err(Box::new).map_err(SendError::Source)?;
            Ok((files.root().to_owned(), Some(files.list.clone())))
        })?;
        Ok(PlacedFiles { path: format!("{}/trees/{id}", self.remote.work_dir), own: false })
    }

    fn send(&self, from: &Path, path: &str, mode: u32) -> Result<(), Fault> {
        let sent = ssh::send_path(
            &self.remote.host,
            from,
            Path::new(path),
            mode,
            &self.remote.host.patience(),
        );
        sent.map_err(|error| error.fault())
    }

    fn tree<'a>(&'a self, root: &str) -> Box<dyn Tree + 'a> {
        Box::new(FarTree { remote: &self.remote, root: root.to_owned() })
    }
}

impl Jobs for RemoteSsh {
    fn attempt_dir(&self, job: &JobRef) -> String {
        self.remote.paths(job).state
    }

    fn caches_dir(&self) -> String {
        format!("{}/caches", self.remote.work_dir)
    }

    fn output_dir(&self, job: &JobRef) -> String {
        self.remote.paths(job).output
    }

    fn redact(&self, job: &JobRef, secrets: &BTreeMap<String, Secret>) {
        self.remote.redact(job, secrets);
    }

    fn start(&self, job: &Job) -> Result<(), Fault> {
        self.remote.redact(&job.job, &job.secrets);
        jobs::start(&self.remote, job)
    }

    fn attach(
        &self,
        job: &JobRef,
        log: &Path,
        limits: &JobLimits,
        control: &Control,
    ) -> Result<JobStatus, Fault> {
        jobs::attach(&self.remote, job, log, limits, control)
    }

    fn status(&self, job: &JobRef) -> Result<JobStatus, Fault> {
        jobs::status(&self.remote, job)
    }

    fn cancel(&self, job: &JobRef, grace: Duration) -> Result<JobStatus, Fault> {
        jobs::cancel(&self.remote, job, grace)
    }

    fn collect(
        &self,
        job: &JobRef,
        keep: &Keep,
        shown: Option<&ShownWorkspace<'_>>,
        secrets: &[&str],
        into: &Path,
    ) -> Result<Collected, Fault> {
        let paths = self.remote.paths(job);
        let own: Box<dyn Tree> = if self.remote.has_left_nothing(job) {
            Box::new(artifacts::NoFiles)
        } else {
            self.tree(&format!("{}/artifacts", paths.state))
        };
        let keeps_workspace = keep.output == Some(Output::Workspace);
        let workspace = match shown {
            Some(shown) if !keep.artifacts.is_empty() && !keeps_workspace => self.tree(&shown()?),
            _ => self.tree(&paths.copy(keeps_workspace)),
        };
        let mut collected =
            artifacts::keep(&*own, &*workspace, &keep.artifacts, (&keep.outputs, secrets), into)?;
        if let Some(output) = &keep.output {
            collected.output = self.remote.output(job, output)?;
        }
        Ok(collected)
    }

    fn remove(&self, job: &JobRef) -> Result<(), Fault> {
        self.remote.forget(job);
        removals::remove(&self.remote, &self.remote.paths(job).name)
    }
}

impl Leftovers for RemoteSsh {
    fn leftovers(&self, run: Option<&str>) -> Result<Vec<Leftover>, Fault> {
        jobs::leftovers(&self.remote, run)
    }

    fn remove_leftover(&self, leftover: &Leftover) -> Result<(), Fault> {
        jobs::remove_leftover(&self.remote, leftover)
    }
}

impl Drop for RemoteSsh {
    fn drop(&mut self) {
        self.remote.locks.close();
    }
}
