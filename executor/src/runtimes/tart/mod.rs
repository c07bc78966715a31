//! A job in a Tart virtual machine of its own: a macOS guest, cloned for the attempt and deleted
//! with it.
//!
//! The guest sees the source tree, and whatever else of its machine the job asks for, as read-only
//! shares; a job that writes gets a copy on the guest's own disk. It is reached over the guest
//! agent alone: no address, no login. `host` speaks to the machine's `tart`, `setup` says what
//! the guest is given, `guest` follows the job, `collect` brings back what it leaves.

mod collect;
mod guest;
mod host;
mod leftovers;
mod setup;
mod shown;
mod slots;

use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use self::{
    guest::TartGuest,
    host::{Clone, Probe, TartHost},
    setup::Shares,
};
use super::{Runtime, Work, guest::GuestStart, shard, workspace};
use crate::{
    artifacts::Collected,
    attempt::{AttemptRequest, Context, Details, Phase},
    caches,
    control::Level,
    fault::{FailureKind, Fault},
    intent::{Intent, SupervisedIntent, VirtualMachineIntent},
    locks::{Waiting, ask_until_free},
    state,
    supervise::JobStatus,
    text,
};

pub use leftovers::{examine, leftovers, remove_leftover};
pub(super) use setup::cache_in_guest;
pub(super) use shown::calls;
pub use slots::slots;

/// How long a guest may be silent while it is made ready: it says something every few seconds.
const PROVISIONING: Duration = Duration::from_secs(30);

/// How long the guest agent may take when the plan does not say.
const BOOT: Duration = Duration::from_secs(180);

/// One attempt in a virtual machine.
#[derive(Debug)]
pub(super) struct Tart {
    spec: plans::Tart,
    /// Whether the job is still to be started.
    fresh: bool,
    /// Whether a guest may be there.
    made: bool,
}

impl Tart {
    pub(super) fn new(spec: &plans::Tart) -> Self {
        Self { spec: spec.clone(), fresh: false, made: false }
    }

    fn patience(&self) -> Duration {
        self.spec.boot_timeout_secs.map_or(BOOT, |secs| Duration::from_secs(secs.into()))
    }

    fn guest<'a>(&self, context: &'a Context<'a>, name: &'a str, work: &Work) -> TartGuest<'a> {
        TartGuest {
            context,
            host: TartHost { machine: context.machine },
            name,
            as_root: work.as_root,
            limits: work.limits,
            patience: self.patience(),
        }
    }

    /// Finds everything of the machine that the guest is to see.
    fn shares(context: &Context<'_>, work: &Work) -> Result<Shares, Fault> {
        let machine = context.machine;
        let host = TartHost { machine };
        context.enter(Phase::Tree);
        let workspace = workspace::place(context, work)?.path().to_owned();
        let mut shares = Shares {
            entries: host.count(&workspace)?,
            workspace,
            mounts: work.mounts.clone(),
            ..Shares::default()
        };
        let root = caches::root(context);
        shares.caches = (0..work.caches.len()).map(|it| format!("{root}/{it}/data")).collect();
        if work.rust_toolchain {
            let (toolchain, nix) = host.toolchain()?;
            shares.toolchain = Some(toolchain);
            shares.nix = nix;
        }
        // What a prepare node left in the store is links into the store.
        shares.nix |= work.mounts.iter().any(|mount| mount.from.starts_with("/nix/"));
        if let Some(xcode) = &work.xcode {
            if !host.has_directory(xcode.as_str())? {
                return Err(Fault::new(
                    FailureKind::ToolMissing,
                    format!("`{}` has no Xcode at {xcode}", machine.name()),
                )
                .advice("install it there, or correct `mount_host_xcode` in the catalog"));
            }
            shares.xcode = Some(xcode.to_string());
        }
        Ok(shares)
    }

    /// Waits for one of the machine's slots for guests; `false`: it is not wanted any more.
    fn wait_for_slot(context: &Context<'_>, name: &str) -> Result<bool, Fault> {
        let host = TartHost { machine: context.machine };
        context.enter(Phase::Lock);
        let slot = context.parked(|waits| {
            ask_until_free(context.control, waits, || {
                let taken = host.slot(name)?;
                Ok(taken.map_err(|guests| Waiting {
                    resource: format!(
                        "a guest's place on {}, {guests} have them",
                        context.machine.name()
                    ),
                    holder: None,
                }))
            })
        })?;
        Ok(slot.is_some())
    }

    /// Refuses to start a guest whose slot is another's by now: making it took longer than a slot
    /// without a guest is kept.
    fn check_slot(context: &Context<'_>, name: &str) -> Result<(), Fault> {
        let host = TartHost { machine: context.machine };
        host.slot(name)?.map_err(|others| {
            Fault::new(
                FailureKind::LockLost,
                format!(
                    "guest `{name}` lost its slot on `{}` to {others} before it started",
                    context.machine.name()
                ),
            )
            .advice("it took longer than ten minutes to make; it is tried again")
        })
    }

    /// Runs the guest and waits until commands run in it; `false`: it is not wanted any more.
    fn boot(&self, context: &Context<'_>, name: &str, shares: &[String]) -> Result<bool, Fault> {
        let host = TartHost { machine: context.machine };
        let machine = context.machine.name();
        Self::check_slot(context, name)?;
        host.start(name, shares)?;
        let patience = self.patience();
        let until = Instant::now() + patience;
        let mut pause = Duration::from_millis(50);
        loop {
            if context.control.level() > Level::Run {
                return Ok(false);
            }
            let last = match host.probe(name) {
                Ok(Probe::Ready) => return Ok(true),
                Ok(Probe::Ended(code, said)) => return Err(refused(name, machine, code, &said)),
                Ok(Probe::NotYet(64, said)) => {
                    return Err(Fault::new(
                        FailureKind::ToolMissing,
                        format!("tart on `{machine}` cannot run commands in a guest: {said}"),
                    )
                    .advice("it is too old: brew upgrade cirruslabs/cli/tart"));
                }
                Ok(Probe::NotYet(_, said)) => said,
                Err(fault) => fault.message,
            };
            if Instant::now() >= until {
                return Err(Fault::new(
                    FailureKind::NotReady,
                    format!(
                        "the agent of guest `{name}` on `{machine}` did not answer within {} s: \
                         {last}",
                        patience.as_secs()
                    ),
                )
                .advice(format!(
                    "see that image `{}` has the Tart guest agent, or give it more time \
                     (`boot_timeout_secs`)",
                    self.spec.image
                )));
            }
            let _ = context.control.wait(Level::Run, pause);
            pause = (pause * 2).min(Duration::from_secs(1));
        }
    }

    /// Makes everything in the guest that the job needs.
    fn provision(
        &self,
        context: &Context<'_>,
        name: &str,
        work: &Work,
        shares: &Shares,
    ) -> Result<(), Fault> {
        let guest = self.guest(context, name, work);
        let script = setup::script(context, work, shares);
        let mut last = String::new();
        // A stream that ended early leaves nobody's word; the script can be run again.
        for _ in 0..3 {
            if context.control.level() > Level::Run {
                return Ok(());
            }
            let command = TartHost::exec(name, true, &guest.words(&["sh", "-s"]))
                .stdin(script.as_bytes())
                .deadline(PROVISIONING);
            let answer = match context.machine.run(&command) {
                Ok(answer) => answer,
                Err(fault) if fault.kind == FailureKind::NoAnswer => {
                    last = fault.message;
                    continue;
                }
                Err(fault) => return Err(fault),
            };
            let text = String::from_utf8_lossy(&answer.stdout).into_owned();
            last = text.lines().rfind(|line| !line.is_empty()).unwrap_or_default().to_owned();
            let (kind, advice) = match last.split(' ').next().unwrap_or_default() {
                "ready" => return Ok(()),
                "no_space" => (FailureKind::DiskFull, "give the guest a larger disk (`disk_gb`)"),
                "share" => (FailureKind::Workspace, "the guest did not mount what it was given"),
                "mount" => (
                    FailureKind::Workspace,
                    "the root of macOS is sealed: let the catalog mount it below /Users or /opt",
                ),
                "nix" => (FailureKind::Workspace, "the image has to allow sudo without a password"),
                "copy" => {
                    (FailureKind::Workspace, "the source tree did not come through its share")
                }
                _ => {
                    last.push_str(&answer.complaint());
                    continue;
                }
            };
            let machine = context.machine.name();
            return Err(Fault::new(
                kind,
                format!("guest `{name}` on `{machine}` cannot be made ready: {}", text.trim()),
            )
            .advice(advice));
        }
        Err(Fault::new(
            FailureKind::Supervisor,
            format!("guest `{name}` was not made ready, and does not say why: {last}"),
        )
        .advice("see whether the guest agent of the image is a current one"))
    }

    /// Gives the guest a `/nix`, which takes a restart unless its image has one.
    fn make_nix(
        &self,
        context: &Context<'_>,
        name: &str,
        shares: &[String],
    ) -> Result<bool, Fault> {
        let argv = ["sh", "-c", setup::MAKE_NIX].map(str::to_owned);
        let mut said = String::new();
        for _ in 0..3 {
            let answer = context.machine.run(&TartHost::exec(name, false, &argv))?;
            said = answer.complaint();
            match String::from_utf8_lossy(&answer.stdout).trim() {
                "there" => return Ok(true),
                "restart" => {
                    // From outside: an agent may not come back from a restart within.
                    TartHost { machine: context.machine }.stop(name)?;
                    return self.boot(context, name, shares);
                }
                _ => {}
            }
        }
        Err(Fault::new(
            FailureKind::Workspace,
            format!("guest `{name}` cannot be given a /nix: {said}"),
        )
        .advice("the image has to allow sudo without a password"))
    }
}

/// Says why `tart run` ended before its guest was ready, by what tart says of it.
fn refused(name: &str, machine: &str, code: i32, said: &str) -> Fault {
    let message = format!("`tart run {name}` on `{machine}` ended with {code}: {said}");
    if said.contains("exceeds the system limit") {
        return Fault::new(FailureKind::NotReady, message).advice(
            "macOS runs two macOS guests at most, and somebody else runs them: stop one, or \
             restart the machine when `tart list` shows none",
        );
    }
    if said.contains("VZErrorDomain") && said.contains("security error") {
        return Fault::new(FailureKind::EngineRefused, message).advice(
            "macOS starts no guest while the login keychain is locked: log in on its screen, or \
             run `security unlock-keychain` there",
        );
    }
    Fault::new(FailureKind::NotReady, message)
}

/// Returns the guest's name: `ex-<run6>-<job>-<hash6>-aN`, the same for the same attempt, another
/// one for any other of anybody.
fn name(owner: &str, request: &AttemptRequest) -> String {
    let node = request.node.id.as_str();
    let mut hash = Sha256::new();
    for part in [owner, &request.run, node] {
        hash.update(part);
        hash.update([0]);
    }
    let plain = |text: &str| -> String {
        text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
    };
    let run = plain(&request.run);
    let run = &run[run.len().saturating_sub(6)..];
    let job = plain(node.strip_prefix("execute-").unwrap_or(node));
    let job = &job[..job.len().min(24)];
    format!("ex-{run}-{job}-{}-a{}", text::hex(&hash.finalize()[..3]), request.attempt)
}

impl Runtime for Tart {
    fn describe(&self, context: &Context<'_>) -> String {
        crate::guest_command::display(&context.request.node.spec.command)
    }

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        let Context { request, machine, control, .. } = context;
        let host = TartHost { machine: *machine };
        let mut work = Work::of(request, machine.name())?;
        host.examine(self.spec.image.as_str())?;
        shard::show(context, &mut work, setup::SHARD)?;
        let shares = Self::shares(context, &work)?;
        let arguments = shares.arguments()?;
        let owner = state::owner(&request.runs_dir);
        let name = name(&owner, request);
        // From the place on there is something to give back.
        self.made = true;
        if !Self::wait_for_slot(context, &name)? {
            return Ok(());
        }

        context.enter(Phase::Runtime);
        context.intend(&Intent::VirtualMachine(VirtualMachineIntent {
            machine: machine.name().to_owned(),
            name: name.clone(),
        }))?;
        let job = format!("{}.{}", request.node.id, request.attempt);
        let wanted = Duration::from_secs(1800) + work.limits.lease;
        let clone = Clone {
            spec: &self.spec,
            name: &name,
            owner: &owner,
            run: &request.run,
            job: &job,
            wanted,
        };
        host.clone(&clone)?;
        host.leave_liveness_script(&name, &machine.attempt_dir(&request.job()))?;
        if control.level() > Level::Run || !self.boot(context, &name, &arguments)? {
            return Ok(());
        }
        if shares.nix && !self.make_nix(context, &name, &arguments)? {
            return Ok(());
        }
        self.provision(context, &name, &work, &shares)?;
        self.fresh = true;
        Ok(())
    }

    fn adopt(&mut self, context: &Context<'_>, begun: &[Intent]) -> Result<bool, Fault> {
        let Context { request, machine, .. } = context;
        let has = |wanted: fn(&Intent) -> bool| begun.iter().any(wanted);
        if !has(|intent| matches!(intent, Intent::VirtualMachine(_))) {
            self.prepare(context)?;
            return Ok(false);
        }
        self.made = true;
        let may_run = has(|intent| matches!(intent, Intent::Supervised(_)));
        let name = name(&state::owner(&request.runs_dir), request);
        if may_run {
            let host = TartHost { machine: *machine };
            let work = Work::of(request, machine.name())?;
            // Only one that surely was never started is; a silent agent is waited for by the watcher.
            let standing = host.look(&name)?;
            let status = self.guest(context, &name, &work).status();
            if standing.state != "running" || !matches!(status, Ok(JobStatus::Unknown)) {
                return Ok(true);
            }
        }
        // It was never started: from the beginning, and the clone replaces what is ours.
        self.prepare(context)?;
        Ok(false)
    }

    fn run(&mut self, context: &Context<'_>) -> Result<JobStatus, Fault> {
        let Context { request, machine, .. } = context;
        let work = Work::of(request, machine.name())?;
        let name = name(&state::owner(&request.runs_dir), request);
        let mut start = None;
        if std::mem::take(&mut self.fresh) {
            context.enter(Phase::Launch);
            context.intend(&Intent::Supervised(SupervisedIntent {
                machine: machine.name().to_owned(),
                job: request.job(),
                state_dir: setup::JOB.to_owned(),
                remote: true,
            }))?;
            TartHost { machine: *machine }.renew(&name, work.limits.lease)?;
            start = Some(GuestStart::new(&work.limits));
        } else {
            context.enter(Phase::Wait);
        }
        self.guest(context, &name, &work).run(start.as_ref())
    }

    fn collect(&mut self, context: &Context<'_>) -> Result<Collected, Fault> {
        let Context { request, machine, .. } = context;
        let work = Work::of(request, machine.name())?;
        let name = name(&state::owner(&request.runs_dir), request);
        collect::collect(&self.guest(context, &name, &work), &work)
    }

    fn cleanup(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        let Context { request, machine, .. } = context;
        let host = TartHost { machine: *machine };
        if self.made {
            // A guest that stays keeps its slot.
            let owner = state::owner(&request.runs_dir);
            host.remove(&name(&owner, request), &owner)?;
        }
        machine.remove(&request.job())
    }

    fn details(&self) -> Details {
        Details { image: Some(self.spec.image.to_string()), ..Details::default() }
    }
}
