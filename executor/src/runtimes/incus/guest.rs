//! A job's instance as its watcher sees it: reached by `incus exec`, judged past it.
//!
//! The record that the supervisor leaves in the shared directory is read from the machine's side, so
//! that neither the instance nor its engine can take a verdict away; the instance's state is asked
//! only where there is none.

use std::time::{Duration, Instant};

use super::{
    engine::{Engine, START_ADVICE},
    instance::{JOB, SHIM},
};
use crate::{
    attempt::Context,
    control::Level,
    fault::{FailureKind, Fault},
    placements::ControlCommand,
    runtimes::guest::{GuestJob, GuestStart, GuestTransport},
    supervise::{Evidence, JobLimits, JobStatus, Log, Reason, Silence, unwritable},
};

/// For how long an engine may stay away at least, before the job is given up.
const AWAY: Duration = Duration::from_secs(60);
/// One job in one instance.
pub(super) struct IncusGuest<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) engine: Engine<'a>,
    /// The instance.
    pub(super) name: &'a str,
    /// The user that the supervisor and the job are.
    pub(super) user: (u32, u32),
    /// The state directory on the machine's side, where it has one.
    pub(super) shared: Option<String>,
    pub(super) limits: JobLimits,
    /// How long the instance may take until a command runs in it, when none did yet.
    pub(super) boots: Option<Duration>,
}

impl IncusGuest<'_> {
    /// Watches the job until it ends, starting it first if `start` says how.
    pub(super) fn run(&self, start: Option<&GuestStart>) -> Result<JobStatus, Fault> {
        self.job().run(start).map(|status| self.with_evidence(status))
    }

    /// Returns the job's status, as its supervisor says.
    pub(super) fn status(&self) -> Result<JobStatus, Fault> {
        self.job().status()
    }

    fn job(&self) -> GuestJob<'_> {
        let Self { context, limits, .. } = self;
        GuestJob { context, guest: self, limits: *limits, shim: SHIM, job: JOB }
    }

    /// Returns the verdict that the supervisor left in the shared directory, the rest of the log
    /// taken over first: it is there whatever became of the instance.
    fn record(&self, log: &mut Log) -> Result<Option<JobStatus>, Fault> {
        let Some(shared) = &self.shared else { return Ok(None) };
        let machine = self.engine.machine;
        let read = ControlCommand::new(["cat", &format!("{shared}/job/exit")]);
        let answer = machine.run(&read)?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        let Some(fields) = text.trim_end().strip_prefix("1 ").and_then(|t| t.strip_suffix("END."))
        else {
            return Ok(None);
        };
        let line = format!("state=exited {}", fields.trim());
        let Some(status) = JobStatus::parse(&line) else { return Ok(None) };
        let offset =
            log.resume().map_err(|error| unwritable(&self.context.request.guest_log, &error))?;
        let path = format!("{shared}/job/log");
        let script = "[ \"$(wc -c <\"$1\")\" -ge \"$2\" ] || { echo cut >&2; exit 75; }; \
                      exec tail -c \"+$(($2 + 1))\" \"$1\"";
        let rest = |offset: u64| {
            ControlCommand::new(["sh", "-c", script, "sh", &path, &offset.to_string()])
        };
        let mut answer = machine.run(&rest(offset))?;
        if answer.code == Some(75) {
            log.begin_anew()
                .map_err(|error| unwritable(&self.context.request.guest_log, &error))?;
            answer = machine.run(&rest(0))?;
        }
        log.take(&answer.stdout)
            .map_err(|error| unwritable(&self.context.request.guest_log, &error))?;
        Ok(Some(status))
    }

    /// Returns whether the machine itself was restarted since the job began. Its own boot is compared: an
    /// instance is given another by LXC, and whoever asks in one that is being ended may see either.
    fn machine_restarted(&self) -> bool {
        let Some(shared) = &self.shared else { return false };
        let script = "read -r b <\"$1/../boot\" && read -r n </proc/sys/kernel/random/boot_id \
                      && [ \"$b\" != \"$n\" ]";
        let look = ControlCommand::new(["sh", "-c", script, "sh", shared.as_str()]);
        self.engine.machine.run(&look).is_ok_and(|answer| answer.success())
    }

    fn gone(&self, how: &str) -> Fault {
        Fault::new(
            FailureKind::RuntimeGone,
            format!(
                "instance `{}` on `{}` {how}, and its job left no verdict",
                self.name,
                self.engine.machine.name()
            ),
        )
        .advice("somebody, or the engine, ended it under the job")
    }

    /// Adds what the kernel says of an end that the job did not want: its own record cannot tell a
    /// limit of the instance from a failure of its own.
    fn with_evidence(&self, status: JobStatus) -> JobStatus {
        match status {
            JobStatus::Exited(mut ended)
                if ended.reason == Reason::Exited
                    && ended.code != Some(0)
                    && ended.evidence == Evidence::None =>
            {
                if self.disk_is_full() {
                    ended.evidence = Evidence::DiskFull;
                }
                JobStatus::Exited(ended)
            }
            other => other,
        }
    }

    /// Returns whether nothing can be written to the guest's own disk.
    fn disk_is_full(&self) -> bool {
        let script = "cd /forge-lanes/tmp || exit 0\n\
                      printf '%8192s' - >.probe && sync .probe 2>/dev/null; s=$?\n\
                      [ $(wc -c <.probe) -ge 8192 ] || s=28; rm -f .probe; [ $s = 28 ] && echo full";
        let argv = ["sh", "-c", script].map(str::to_owned);
        let answer = self.engine.ask(&self.engine.exec(self.name, self.user, &argv));
        answer.is_ok_and(|answer| answer.stdout.starts_with(b"full"))
    }

    /// Returns which limit of the instance stopped the job, from the kernel's counters.
    pub(super) fn limit(&self) -> Option<Fault> {
        let group = match self.engine.project {
            "default" => self.name.to_owned(),
            project => format!("{project}_{}", self.name),
        };
        let script = "for d in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/pids \
             /sys/fs/cgroup/memory; do d=$d/lxc.payload.$1\n\
             [ -r $d/pids.events ] && sed 's/^max /pids /' $d/pids.events\n\
             [ -r $d/memory.events ] && grep '^oom_kill ' $d/memory.events\n\
             [ -r $d/memory.oom_control ] && grep '^oom_kill ' $d/memory.oom_control\ndone; true";
        let look = ControlCommand::new(["sh", "-c", script, "sh", &group]);
        let answer = self.engine.machine.run(&look).ok()?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        let counted = |name: &str| {
            text.lines().any(|line| {
                let mut words = line.split_ascii_whitespace();
                words.next() == Some(name)
                    && words.next().is_some_and(|count| count.parse::<u64>().is_ok_and(|n| n > 0))
            })
        };
        let machine = self.engine.machine.name();
        if counted("oom_kill") {
            return Some(
                Fault::new(
                    FailureKind::Oom,
                    format!("instance `{}` on `{machine}` ran out of memory", self.name),
                )
                .advice("give it more (`memory_mib`), or let the job need less"),
            );
        }
        counted("pids").then(|| {
            Fault::new(
                FailureKind::ProcessLimit,
                format!("instance `{}` on `{machine}` may not have more processes", self.name),
            )
            .advice("allow it more (`processes`), or let the job start fewer")
        })
    }
}

impl GuestTransport for IncusGuest<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn exec(&self, argv: &[String]) -> ControlCommand {
        self.engine.exec(self.name, self.user, argv)
    }

    fn inspect(
        &self,
        broken: &str,
        silence: Silence,
        log: &mut Log,
    ) -> Result<Option<JobStatus>, Fault> {
        if let Some(status) = self.record(log)? {
            return Ok(Some(status));
        }
        if let Some(patience) = self.boots.filter(|_| silence.unbroken) {
            if self.context.control.level() > Level::Run {
                return Ok(Some(JobStatus::Unknown));
            }
            let by = silence.began() + patience;
            return still_boots(&self.engine, self.name, by, broken).map(|()| None);
        }
        let away = AWAY.max(self.limits.lease);
        match self.engine.instance(self.name) {
            Ok(None) => Err(self.gone("is not there any more")),
            Ok(Some(instance)) if !instance.is_running() && instance.status != "Error" => {
                // It may have ended between the two looks.
                if let Some(status) = self.record(log)? {
                    return Ok(Some(status));
                }
                if self.machine_restarted() {
                    return Ok(Some(JobStatus::HostRebooted));
                }
                Err(self.gone(&format!("is {}", instance.status.to_lowercase())))
            }
            Ok(Some(instance)) if self.engine.is_offline(&instance.location) => Err(Fault::new(
                FailureKind::RuntimeGone,
                format!(
                    "member `{}` of the cluster is offline, with instance `{}` and its job",
                    instance.location, self.name
                ),
            )
            .advice("its job ends with its lease; another try goes to another member")),
            Ok(Some(instance)) if silence.lasted() > away => Err(Fault::new(
                FailureKind::Unreachable,
                format!(
                    "instance `{}` on `{}` ({}) runs, and nothing runs in it any more: {broken}",
                    self.name, instance.location, instance.status
                ),
            )),
            Err(fault) if silence.lasted() > away => Err(fault),
            Ok(Some(_)) | Err(_) => Ok(None),
        }
    }

    fn no_room(&self) -> Fault {
        Fault::new(
            FailureKind::DiskFull,
            format!("there is no room on `{}` for the job's own files", self.engine.machine.name()),
        )
        .advice("make room there, then resume the run")
    }
}

/// After a command did not run in an instance that starts: whether it is worth trying again.
///
/// # Errors
///
/// When it is gone, or stopped, or had its time.
pub(super) fn still_boots(
    engine: &Engine<'_>,
    name: &str,
    by: Instant,
    said: &str,
) -> Result<(), Fault> {
    let machine = engine.machine.name();
    match engine.instance(name)? {
        None => Err(Fault::new(
            FailureKind::RuntimeGone,
            format!("instance `{name}` on `{machine}` vanished as it started"),
        )),
        Some(instance) if !instance.is_running() || Instant::now() >= by => {
            let status = instance.status.to_lowercase();
            Err(Fault::new(
                FailureKind::NotReady,
                format!(
                    "instance `{name}` on `{machine}` is {status}, and runs no command: {said}"
                ),
            )
            .advice(START_ADVICE))
        }
        Some(_) => Ok(()),
    }
}
