//! A job's guest as its watcher sees it: reached by `tart exec`, whose stream may end early and say 0.
//!
//! Everything of the job is in the guest. When a connection is over, the machine is asked how the
//! guest stands; without a verdict inside, why there is none.

use std::time::Duration;

use super::{
    host::{GuestState, TartHost},
    setup::{JOB, MARK, SHIM},
};
use crate::{
    attempt::Context,
    fault::{FailureKind, Fault},
    placements::ControlCommand,
    runtimes::guest::{GuestJob, GuestStart, GuestTransport},
    supervise::{Evidence, JobLimits, JobStatus, Log, Silence},
};

/// For how long a guest may take to say what it knows.
const SILENCE: Duration = Duration::from_secs(15);

/// One job in one guest.
pub(super) struct TartGuest<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) host: TartHost<'a>,
    /// The guest.
    pub(super) name: &'a str,
    /// Whether its root runs the job.
    pub(super) as_root: bool,
    pub(super) limits: JobLimits,
    /// For how long a guest that runs may stay silent before its agent is given up: as long as a boot
    /// may take, since it may restart itself.
    pub(super) patience: Duration,
}

impl TartGuest<'_> {
    /// Returns the words of a command in the guest, as the user that the job is.
    pub(super) fn words<S: AsRef<str>>(&self, words: &[S]) -> Vec<String> {
        let sudo = ["sudo", "-n"];
        let sudo = if self.as_root { &sudo[..] } else { &[] };
        let words = words.iter().map(AsRef::as_ref);
        sudo.iter().copied().chain(words).map(str::to_owned).collect()
    }

    /// Watches the job until it ends, starting it first if `start` says how.
    pub(super) fn run(&self, start: Option<&GuestStart>) -> Result<JobStatus, Fault> {
        match self.job().run(start)? {
            // One that is unknown was begun by somebody; its directory went with whatever held it.
            JobStatus::Lost | JobStatus::HostRebooted | JobStatus::Unknown => Err(self.lost()),
            JobStatus::Exited(ended) if ended.evidence == Evidence::DiskFull => Err(self.no_room()),
            other => Ok(other),
        }
    }

    /// Returns the job's status, as its supervisor says.
    pub(super) fn status(&self) -> Result<JobStatus, Fault> {
        self.job().status()
    }

    fn job(&self) -> GuestJob<'_> {
        let Self { context, limits, .. } = self;
        GuestJob { context, guest: self, limits: *limits, shim: SHIM, job: JOB }
    }

    /// Says why a job has no verdict although its guest answers.
    fn lost(&self) -> Fault {
        let (name, machine) = (self.name, self.host.machine.name());
        // `/tmp` is empty after every boot.
        let look =
            TartHost::exec(name, false, &self.words(&["test", "-e", MARK])).deadline(SILENCE);
        match self.host.machine.run(&look) {
            Ok(answer) if answer.code == Some(1) => Fault::new(
                FailureKind::HostRebooted,
                format!("guest `{name}` on `{machine}` was restarted while the job ran"),
            ),
            _ => Fault::new(
                FailureKind::Lost,
                format!("the job and its supervisor in guest `{name}` are gone without a verdict"),
            )
            .advice(
                "something killed them, perhaps for want of memory: give it more (`memory_mib`)",
            ),
        }
    }
}

impl GuestTransport for TartGuest<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn exec(&self, argv: &[String]) -> ControlCommand {
        TartHost::exec(self.name, false, &self.words(argv))
    }

    fn inspect(
        &self,
        broken: &str,
        silence: Silence,
        _log: &mut Log,
    ) -> Result<Option<JobStatus>, Fault> {
        let machine = self.host.machine.name();
        let guest_state = match self.host.look(self.name) {
            Ok(guest_state) => guest_state,
            Err(fault) if silence.lasted() > self.patience => return Err(fault),
            Err(_) => return Ok(None),
        };
        let GuestState { state, ended, said } = guest_state;
        let name = self.name;
        match state.as_str() {
            "running" if silence.lasted() > self.patience => Err(Fault::new(
                FailureKind::NoAnswer,
                format!("guest `{name}` on `{machine}` runs, but its agent is silent: {broken}"),
            )
            .advice("the agent may not come back after the guest restarted itself")),
            "none" => Err(Fault::new(
                FailureKind::RuntimeGone,
                format!("somebody deleted guest `{name}` on `{machine}` under its job"),
            )),
            "stopped" | "suspended" => Err(Fault::new(
                FailureKind::RuntimeGone,
                format!(
                    "guest `{name}` on `{machine}` stopped under its job{}{}",
                    ended.map_or(String::new(), |code| format!("; `tart run` ended with {code}")),
                    if said.is_empty() { String::new() } else { format!(": {said}") },
                ),
            )
            .advice("the guest shut itself down, or somebody or the system ended `tart run`")),
            _ => Ok(None),
        }
    }

    fn renew(&self) {
        let _ = self.host.renew(self.name, self.limits.lease);
    }

    fn no_room(&self) -> Fault {
        Fault::new(FailureKind::DiskFull, format!("the disk of guest `{}` is full", self.name))
            .advice("give it a larger one (`disk_gb`)")
    }
}
