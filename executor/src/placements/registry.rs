//! The machines of one process, opened when first needed and shared by every attempt.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use plans::{FileMode, Placement, SshDestination, SshHost};

use super::{
    Machine,
    local::Local,
    ssh::{RemoteSsh, Sources},
};
use crate::{
    control::Control,
    fault::{FailureKind, Fault},
    source::{Form, PlacedSource, SourceRequest, Store},
    ssh::{Host, Manifest, ManifestEntry, SshOptions, What, object_digest, prepare_runtime_dir},
};

/// Where this process keeps what its machines need.
#[derive(Debug, Clone)]
pub struct MachinesConfig {
    /// `runs/` of the state directory: jobs of the local machine live below `RUN/nodes/NODE/`.
    pub runs_dir: PathBuf,
    /// The per-machine directory of this user: source trees and locks, shared by every run and
    /// every repository. On a local file system.
    pub machine_dir: PathBuf,
    /// The executor's own environment: what jobs of this machine get `PATH`, `HOME` and the like
    /// from, and what git is run with.
    pub environment: BTreeMap<String, String>,
    /// The executor's own binary, which supervises local jobs.
    pub executor: PathBuf,
}

/// The machines of one process.
pub struct Machines {
    config: MachinesConfig,
    open: Mutex<BTreeMap<String, Arc<dyn Machine>>>,
    /// Hosts that are no machine of a run, but keep something for it.
    beside: Mutex<Vec<Arc<Host>>>,
}

impl Machines {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(config: MachinesConfig) -> Self {
        Self { config, open: Mutex::default(), beside: Mutex::default() }
    }

    /// Returns the per-machine directory of this user.
    #[must_use]
    pub fn machine_dir(&self) -> &std::path::Path {
        &self.config.machine_dir
    }

    /// Returns the machine of a placement; the same one for the same host.
    ///
    /// # Errors
    ///
    /// When it cannot be opened.
    pub fn open(&self, placement: &Placement) -> Result<Arc<dyn Machine>, Fault> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(machine) = open.get(placement.host_name()) {
            return Ok(Arc::clone(machine));
        }
        let machine: Arc<dyn Machine> = match placement {
            Placement::Local => Arc::new(Local::open(self.config.clone())?),
            Placement::RemoteSsh(host) => Arc::new(self.remote(host)?),
        };
        open.insert(placement.host_name().to_owned(), Arc::clone(&machine));
        Ok(machine)
    }

    /// Makes a host that keeps what runs can do without: nobody waits long for it. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// When the directory for control sockets cannot be made.
    pub(crate) fn connect_in_haste(&self, ssh: &SshDestination) -> Result<Arc<Host>, Fault> {
        let mut options = SshOptions::new(ssh.as_str(), &runtime_dir(&self.config.environment));
        options.connect_timeout = Duration::from_secs(10);
        options.silence = Duration::from_secs(10);
        options.reconnect_budget = Duration::from_secs(10);
        options.first_attempts = 1;
        prepare_runtime_dir(&options.runtime_dir)?;
        let host = Host::new(options)
            .map(Arc::new)
            .map_err(|error| Fault::io(FailureKind::Io, "opening a cancel token", &error))?;
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        beside.push(Arc::clone(&host));
        Ok(host)
    }

    /// Closes every machine that was opened. Threads that are about to end may still hold one of them, so that
    /// closing cannot wait for the end of the last one.
    pub fn close(&self) {
        let machines: Vec<_> = {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *open).into_values().collect()
        };
        let beside = {
            let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *beside)
        };
        std::thread::scope(|scope| {
            for machine in &machines {
                scope.spawn(|| machine.close());
            }
            for host in &beside {
                scope.spawn(|| host.close());
            }
        });
    }

    /// Makes the machine of a host; its sources are made here, as if for this machine, and sent.
    fn remote(&self, host: &SshHost) -> Result<RemoteSsh, Fault> {
        let MachinesConfig { runs_dir, machine_dir, environment, executor: _ } = &self.config;
        let trees = Store::open(&machine_dir.join("trees"), environment)?;
        RemoteSsh::open(
            host,
            SshOptions::new(host.ssh.as_str(), &runtime_dir(environment)),
            &machine_dir.join("sent"),
            runs_dir,
            Box::new(trees),
        )
    }
}

impl Sources for Store {
    fn place(&self, wanted: &SourceRequest, control: &Control) -> Result<PlacedSource, Fault> {
        Self::place(self, wanted, Form::Whole, control)
    }

    fn manifest(&self, wanted: &SourceRequest) -> Option<Manifest> {
        let (files, listing) = self.listing(wanted)?;
        let entries = listing.into_iter().map(|(entry, size)| {
            let path = entry.path.into_vec();
            let executable = entry.kind == FileMode::Executable;
            let what = match entry.kind {
                FileMode::File | FileMode::Executable => {
                    What::File { executable, size, digest: object_digest(&entry.object)? }
                }
                FileMode::Symlink => {
                    let link = std::fs::read_link(files.join(OsStr::from_bytes(&path))).ok()?;
                    What::Link { target: link.into_os_string().into_vec() }
                }
                FileMode::Submodule => What::EmptyDirectory,
            };
            Some(ManifestEntry { path, what })
        });
        Some(Manifest::from_entries(entries.collect::<Option<_>>()?))
    }
}

/// Returns a short path of this user's own, for control sockets.
fn runtime_dir(environment: &BTreeMap<String, String>) -> PathBuf {
    let given = environment.get("XDG_RUNTIME_DIR").map(PathBuf::from);
    given
        .filter(|dir| dir.is_absolute() && dir.as_os_str().len() < 40 && dir.is_dir())
        .map(|dir| dir.join("forge-lanes"))
        .unwrap_or_else(|| {
            PathBuf::from(format!("/tmp/forge-lanes-{}", rustix::process::geteuid().as_raw()))
        })
}
