//! A job in an Incus instance of its own: a container, or a virtual machine, made for the attempt
//! and deleted with it.
//!
//! The instance sees the source tree at `/workspace`, its payloads where the plan says, and one
//! writable directory of the machine, `/forge-lanes/state`, with the supervisor's state and the
//! artifacts: what the job leaves is there whatever becomes of the instance or its engine.
//! A member of a cluster sees no directory of ours: there, everything is sent and fetched
//! (`delivery`). `engine` speaks to `incus`, `instance` says what is asked for, `guest` follows the job.

mod deletion;
mod delivery;
mod engine;
mod guest;
mod instance;
mod leftovers;
mod limits;
mod setup;
mod shown;

use std::{
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use self::{
    delivery::Parcel,
    engine::{Engine, Instance, START_ADVICE},
    guest::IncusGuest,
    instance::{Disks, Document, JOB, Labels, SHARD, STATE, TOOLCHAIN, WORKSPACE},
};
use super::{Runtime, Work, guest::GuestStart, shard, workspace};
use crate::{
    artifacts::{self, Collected},
    attempt::{AttemptRequest, Context, Details, Phase},
    command_line::Script,
    control::Level,
    fault::{FailureKind, Fault},
    intent::{InstanceIntent, Intent, SupervisedIntent},
    placements::ControlCommand,
    state,
    supervise::{BindMount, JobStatus, Reason},
};

pub use leftovers::{LeftInstance, examine, leftovers, remove_leftover};
pub(super) use shown::calls;

/// Returns the fingerprint of the image that an instance would be made of there; nothing where the engine does not know
/// it yet.
///
/// # Errors
///
/// When the engine does not answer.
pub(crate) fn fingerprint(
    machine: &dyn crate::placements::Machine,
    spec: &plans::Incus,
) -> Result<Option<String>, Fault> {
    let project = spec.project.as_ref().map(plans::EngineName::as_str);
    Engine::new(machine, project).fingerprint(spec.image.as_str())
}

/// One attempt in an instance.
#[derive(Debug)]
pub(super) struct Incus {
    spec: plans::Incus,
    /// Whether the job is still to be started.
    fresh: bool,
    /// Whether an instance may be there.
    made: bool,
    details: Details,
}

/// What follows from a request, and is the same whenever it is asked.
struct Site {
    owner: String,
    name: String,
    /// The user that the job is in the guest.
    user: (u32, u32),
    /// The user that we are on the machine.
    machine_user: (u32, u32),
    /// What the instance shares with the machine.
    shared: String,
}

impl Incus {
    pub(super) fn new(spec: &plans::Incus) -> Self {
        Self { spec: spec.clone(), fresh: false, made: false, details: Details::default() }
    }

    fn engine<'a>(&'a self, context: &Context<'a>) -> Engine<'a> {
        Engine::new(context.machine, self.spec.project.as_ref().map(plans::EngineName::as_str))
    }

    /// Returns whether the instance may run where no directory of this machine is.
    fn is_clustered(&self) -> bool {
        self.spec.cluster.is_some()
    }

    fn site(&self, context: &Context<'_>) -> Result<Site, Fault> {
        let Context { request, machine, .. } = context;
        let facts = machine.facts()?;
        let machine_user = (facts.uid, facts.gid);
        let as_root =
            matches!(request.node.spec.command, plans::Command::Shell { as_root: true, .. });
        let user = if as_root {
            (0, 0)
        } else {
            (self.spec.user.unwrap_or(facts.uid), self.spec.group.unwrap_or(facts.gid))
        };
        let owner = state::owner(&request.runs_dir);
        let name = instance::name(&owner, &request.job());
        let shared = format!("{}/guest", machine.attempt_dir(&request.job()));
        Ok(Site { owner, name, user, machine_user, shared })
    }

    fn guest<'a>(
        &'a self,
        context: &'a Context<'a>,
        site: &'a Site,
    ) -> Result<IncusGuest<'a>, Fault> {
        Ok(IncusGuest {
            context,
            engine: self.engine(context),
            name: &site.name,
            user: site.user,
            shared: (!self.is_clustered()).then(|| site.shared.clone()),
            limits: Work::of(context.request, context.machine.name())?.limits,
            boots: None,
        })
    }

    /// Remembers for the record what the engine says of the instance.
    fn note(&mut self, instance: &Instance) {
        self.details.instance = Some(instance.name.clone());
        self.details.image = instance.image().cloned();
        self.details.project = Some(instance.project.clone()).filter(|name| !name.is_empty());
        self.details.member = Some(instance.location.clone())
            .filter(|location| !location.is_empty() && location != "none");
    }

    /// Returns how long the instance may take until a command runs in it.
    fn patience(&self) -> Duration {
        let otherwise = if self.spec.vm { 120 } else { 30 };
        Duration::from_secs(u64::from(self.spec.boot_timeout_secs.unwrap_or(otherwise)))
    }

    /// Returns whether the job's own start can make ready what is inside: it is the guest's root, and
    /// nothing has to be known of the guest before.
    fn readies_itself(&self, site: &Site, work: &Work) -> bool {
        let needs_store = work.mounts.iter().any(BindMount::is_stored);
        let looks_first = self.is_clustered() || self.spec.vm || self.spec.disk_mib.is_some();
        site.user == (0, 0) && !looks_first && !needs_store
    }

    /// Waits until a command runs in the instance, and makes what the job needs there.
    fn make_ready(&self, context: &Context<'_>, site: &Site, work: &Work) -> Result<(), Fault> {
        let engine = self.engine(context);
        let mut script = setup::ready(site, work, self.is_clustered());
        script = script.text("ls /nix/store 2>/dev/null | head -n 1 | sed 's/.*/store/'\n");
        let argv = ["sh".to_owned(), "-c".to_owned(), script.to_text()];
        let by = Instant::now() + self.patience();
        let mut pause = Duration::from_millis(20);
        let machine = context.machine.name();
        let answer = loop {
            let answer = engine.ask(&engine.exec(&site.name, (0, 0), &argv))?;
            if answer.success() {
                break answer;
            }
            if context.control.level() > Level::Run {
                return Ok(());
            }
            guest::still_boots(&engine, &site.name, by, &answer.complaint())?;
            let _ = context.control.wait(Level::Run, pause);
            pause = (pause * 2).min(Duration::from_secs(1));
        };
        limits::is_obeyed(&engine, &self.spec, &site.name)?;
        // Payloads of the store are links into the store.
        let from_store = work.mounts.iter().any(BindMount::is_stored);
        if from_store && !self.is_clustered() && !answer.stdout.starts_with(b"store") {
            let add = engine.command([
                "config",
                "device",
                "add",
                &site.name,
                "forge-lanes-store",
                "disk",
                "source=/nix/store",
                "path=/nix/store",
                "readonly=true",
            ]);
            let answer = engine.ask(&add)?;
            if !answer.success() {
                return Err(Fault::new(
                    FailureKind::EngineRefused,
                    format!(
                        "Incus on `{machine}` does not share its /nix/store: {}",
                        answer.complaint()
                    ),
                ));
            }
        }
        Ok(())
    }

    /// Makes what the instance will see of its machine; returns the directory of the source tree, and
    /// of the toolchain.
    fn provision(
        context: &Context<'_>,
        work: &Work,
        site: &Site,
        lives: &Script,
    ) -> Result<(String, Option<String>), Fault> {
        let machine = context.machine;
        context.enter(Phase::Tree);
        let workspace = workspace::place(context, work)?.path().to_owned();
        context.enter(Phase::Directories);
        let toolchain = work.rust_toolchain.then(|| setup::toolchain(context)).transpose()?;
        let script = setup::directories(context, work, site, &workspace, lives);
        let answer = machine.run(
            &ControlCommand::new(["sh", "-s"])
                .stdin(script.as_bytes())
                .deadline(Duration::from_secs(600)),
        )?;
        if !answer.success() {
            return Err(setup::not_made(machine.name(), &answer.complaint()));
        }
        Ok((workspace, toolchain))
    }
}

impl Site {
    fn machine_may_chown(&self) -> bool {
        self.machine_user.0 == 0
    }

    /// Returns whether an instance is this attempt's, by its labels.
    fn is_ours(&self, request: &AttemptRequest, instance: &Instance) -> bool {
        let label = |name: &str| instance.label(name);
        label("owner") == Some(&self.owner)
            && label("run") == Some(&request.run)
            && label("node") == Some(request.node.id.as_str())
    }
}

impl Runtime for Incus {
    fn describe(&self, context: &Context<'_>) -> String {
        crate::guest_command::display(&context.request.node.spec.command)
    }

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        let Context { request, machine, control, .. } = context;
        let mut work = Work::of(request, machine.name())?;
        let site = self.site(context)?;
        limits::can_be_obeyed(&self.engine(context), &self.spec)?;
        shard::show(context, &mut work, SHARD)?;
        let limits = work.limits;
        let wanted = limits.timeout + limits.grace + limits.lease * 2 + Duration::from_secs(3600);
        let until = now() + wanted.as_secs();
        let (workspace, toolchain) = thread::scope(|scope| {
            // Asked meanwhile; the one that launches hears the answer, or asks again.
            let (engine, image) = (self.engine(context), self.spec.image.as_str());
            scope.spawn(move || engine.fingerprint(image));
            Self::provision(
                context,
                &work,
                &site,
                &setup::lives(&self.engine(context), &site, until),
            )
        })?;
        if control.level() > Level::Run {
            return Ok(());
        }

        context.enter(Phase::Runtime);
        context.intend(&Intent::Instance(InstanceIntent {
            machine: machine.name().to_owned(),
            project: self.spec.project.as_ref().map(ToString::to_string),
            name: site.name.clone(),
        }))?;
        let engine =
            Engine::new(*machine, self.spec.project.as_ref().map(plans::EngineName::as_str));
        let job = request.job();
        let labels = Labels { owner: &site.owner, job: &job, until };
        let workspace = if work.writable { format!("{}/ws", site.shared) } else { workspace };
        let disks = if self.is_clustered() {
            Disks::default()
        } else {
            Disks {
                state: Some(site.shared.clone()),
                workspace: Some((workspace.clone(), work.writable)),
                mounts: work.mounts.clone(),
                toolchain: toolchain.clone(),
            }
        };
        let document = Document::new(&self.spec, &disks).text();
        let options = [labels.options(), instance::options(&self.spec)].concat();
        let launch = || engine.launch(self.spec.image.as_str(), &site.name, &options, &document);
        let mut launched = launch();
        // A client that outlived its killed executor may have made it meanwhile; nobody needs that one.
        if let Err(fault) = &launched
            && fault.message.contains("Failed creating instance record")
            && engine.instance(&site.name)?.is_some_and(|there| site.is_ours(request, &there))
        {
            self.made = true;
            engine.delete(&site.name)?;
            launched = launch();
        }
        let image = launched.as_ref().ok().cloned().flatten();
        if let Err(fault) = launched {
            match engine.instance(&site.name) {
                Ok(Some(there)) if site.is_ours(request, &there) => {
                    self.made = true;
                    // A failed start leaves it behind; so does a crash before this attempt.
                    if fault.kind != FailureKind::NotReady {
                        return Err(fault);
                    }
                    self.note(&there);
                    return Err(fault);
                }
                Ok(Some(_)) => {
                    return Err(Fault::new(
                        FailureKind::EngineRefused,
                        format!(
                            "Incus on `{}` has an instance `{}` that is not ours",
                            machine.name(),
                            site.name
                        ),
                    )
                    .advice("rename or delete that instance"));
                }
                Ok(None) => return Err(fault),
                Err(_) => {
                    self.made = true;
                    return Err(fault);
                }
            }
        }
        self.made = true;
        self.fresh = true;
        self.details.instance = Some(site.name.clone());
        self.details.image = image;
        self.details.project = Some(engine.project.to_owned());
        let asks = self.is_clustered() || self.details.image.is_none();
        if let Some(instance) = asks.then(|| engine.instance(&site.name)).transpose()?.flatten() {
            // Where its scheduler put it.
            self.note(&instance);
        }
        if !self.readies_itself(&site, &work) {
            self.make_ready(context, &site, &work)?;
        }
        if self.is_clustered() && control.level() == Level::Run {
            let parcels = parcels(&work, &site, workspace, toolchain);
            let engine = self.engine(context);
            let scratch = setup::scratch(&site, &work);
            delivery::send(&engine, &site.name, site.user, &parcels, &scratch)?;
            // It is there now; nothing here needs its secrets any more.
            let of = |name: &str| format!("{}/job/{name}", site.shared);
            machine.run(&ControlCommand::new(["rm", "-f", &of("env"), &of("masks")]))?;
        }
        Ok(())
    }

    fn adopt(&mut self, context: &Context<'_>, begun: &[Intent]) -> Result<bool, Fault> {
        let site = self.site(context)?;
        let had = |wanted: fn(&Intent) -> bool| begun.iter().any(wanted);
        let may_run = had(|intent| matches!(intent, Intent::Supervised(_)));
        if !had(|intent| matches!(intent, Intent::Instance(_))) {
            self.prepare(context)?;
            return Ok(false);
        }
        self.made = true;
        let found = self.engine(context).instance(&site.name)?;
        if let Some(instance) = found.as_ref().filter(|there| site.is_ours(context.request, there))
        {
            self.note(instance);
            if may_run {
                // Only one that surely was never started is; a silent one is watched.
                let status = self.guest(context, &site)?.status();
                if !instance.is_running() || !matches!(status, Ok(JobStatus::Unknown)) {
                    return Ok(true);
                }
            }
            // It was never started: from the beginning.
            self.engine(context).delete(&site.name)?;
        } else if may_run {
            // Whatever it left is in the shared directory.
            return Ok(true);
        }
        self.prepare(context)?;
        Ok(false)
    }

    fn run(&mut self, context: &Context<'_>) -> Result<JobStatus, Fault> {
        let Context { request, machine, .. } = context;
        let site = self.site(context)?;
        let work = Work::of(request, machine.name())?;
        let mut start = None;
        let mut boots = None;
        if std::mem::take(&mut self.fresh) {
            context.enter(Phase::Launch);
            context.intend(&Intent::Supervised(SupervisedIntent {
                machine: machine.name().to_owned(),
                job: request.job(),
                state_dir: JOB.to_owned(),
                remote: true,
            }))?;
            let mut how = GuestStart::new(&work.limits);
            if self.readies_itself(&site, &work) {
                how.ready = setup::ready(&site, &work, false).to_text();
                boots = Some(self.patience());
            }
            start = Some(how);
        } else {
            context.enter(Phase::Wait);
        }
        let guest = IncusGuest { boots, ..self.guest(context, &site)? };
        let status = guest.run(start.as_ref())?;
        let may_be_a_limit = match &status {
            JobStatus::Exited(ended) => ended.reason == Reason::Exited && ended.code != Some(0),
            status => *status == JobStatus::Lost,
        };
        match may_be_a_limit.then(|| guest.limit()).flatten() {
            Some(fault) => Err(fault),
            None => Ok(status),
        }
    }

    fn collect(&mut self, context: &Context<'_>) -> Result<Collected, Fault> {
        let Context { request, machine, .. } = context;
        let site = self.site(context)?;
        let work = Work::of(request, machine.name())?;
        self.give_back(context, &site);
        let keeps = !work.keep.artifacts.is_empty() || work.keep.output.is_some();
        if self.is_clustered() {
            let engine = self.engine(context);
            delivery::fetch(&engine, &site.name, &site.shared, work.writable && keeps)?;
        }
        let workspace = if work.writable {
            format!("{}/ws", site.shared)
        } else if keeps {
            workspace::placed(context, &work)?
        } else {
            String::new()
        };
        let own = machine.tree(&format!("{}/artifacts", site.shared));
        let workspace_tree = machine.tree(&workspace);
        let secrets = context.secret_values();
        let outputs = (&work.keep.outputs, &*secrets);
        let mut collected = artifacts::keep(
            &*own,
            &*workspace_tree,
            &work.keep.artifacts,
            outputs,
            &request.artifacts,
        )?;
        if let Some(output) = &work.keep.output {
            collected.output = setup::keep_output(context, output, &workspace)?;
        }
        Ok(collected)
    }

    fn release(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        self.delete(context)
    }

    fn cleanup(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        self.delete(context)?;
        context.machine.remove(&context.request.job())
    }

    fn details(&self) -> Details {
        self.details.clone()
    }
}

impl Incus {
    /// Deletes the instance, if it is there and ours.
    fn delete(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        let request = context.request;
        let site = self.site(context)?;
        if self.made {
            let engine = self.engine(context);
            self.give_back(context, &site);
            // One that this process made needs no second look.
            let ours = match self.details.instance {
                Some(_) => true,
                None => engine
                    .instance(&site.name)?
                    .is_some_and(|instance| site.is_ours(request, &instance)),
            };
            if ours {
                engine.delete(&site.name)?;
            }
            self.made = false;
        }
        Ok(())
    }

    /// Gives everything that another user of the guest made to whom the machine's files belong.
    fn give_back(&self, context: &Context<'_>, site: &Site) {
        let same = site.machine_may_chown() || site.user == site.machine_user;
        if same || self.is_clustered() {
            return;
        }
        let (uid, gid) = site.machine_user;
        let script = format!("chown -R {uid}:{gid} {STATE} {WORKSPACE} 2>/dev/null; true");
        let argv = ["sh".to_owned(), "-c".to_owned(), script];
        let engine = self.engine(context);
        // What cannot be given back is reported where it cannot be read or removed.
        let _ = engine.ask(&engine.exec(&site.name, (0, 0), &argv));
    }
}

/// Returns what an instance of a cluster is sent.
fn parcels(work: &Work, site: &Site, workspace: String, toolchain: Option<String>) -> Vec<Parcel> {
    let parcel = |from: String, to: &str, writable| Parcel { from, to: to.to_owned(), writable };
    let mut all =
        vec![parcel(site.shared.clone(), STATE, true), parcel(workspace, WORKSPACE, work.writable)];
    all.extend(work.mounts.iter().map(|mount| parcel(mount.from.clone(), &mount.to, false)));
    all.extend(toolchain.map(|from| parcel(from, TOOLCHAIN, false)));
    all
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
