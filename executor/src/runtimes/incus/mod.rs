//! A job in an Incus instance of its own: a container, or a virtual machine, made for the attempt
//! and deleted with it.
//!
//! The instance sees the source tree at `/workspace`, its payloads where the plan says, and one
//! writable directory of the machine, `/forge-lanes/state`, with the supervisor's state and the
//! artifacts: what the job leaves is there whatever becomes of the instance or its engine.
//! A member of a cluster sees no directory of ours: there, everything is sent and fetched
//! (`delivery`). `engine` speaks to `incus`, `instance` says what is asked for, `guest` follows the job.

mod delivery;
mod engine;
mod guest;
mod instance;
mod leftovers;
mod shown;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use plans::Output;

use self::{
    delivery::Parcel,
    engine::{Engine, Instance, START_ADVICE},
    guest::Guest,
    instance::{Disks, Document, Labels, STATE, TOOLCHAIN, WORKSPACE},
};
use super::{Context, Runtime, Work};
use crate::{
    attempt::{AttemptRequest, Details, Phase},
    command_line::{Script, is_variable_name},
    control::Level,
    fault::{FailureKind, Fault},
    intent::{InstanceIntent, Intent, SupervisedIntent},
    placements::{Collected, ControlCommand},
    supervise::{JobStatus, Reason, shim},
};

pub use instance::owner;
pub use leftovers::{examine, leftovers, remove_leftover};
pub(super) use shown::calls;

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
    /// Who the job is in the guest.
    user: (u32, u32),
    /// Who we are on the machine.
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
        let owner = instance::owner(&runs_dir(request));
        let name = instance::name(&owner, &request.job());
        let shared = format!("{}/guest", machine.attempt_dir(&request.job()));
        Ok(Site { owner, name, user, machine_user, shared })
    }

    fn guest<'a>(&'a self, context: &'a Context<'a>, site: &'a Site) -> Result<Guest<'a>, Fault> {
        Ok(Guest {
            context,
            engine: self.engine(context),
            name: &site.name,
            user: site.user,
            shared: (!self.is_clustered()).then(|| site.shared.clone()),
            limits: Work::of(context.request, context.machine.name())?.limits,
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

    /// Waits until a command runs in the instance, and makes what the job needs there.
    fn make_ready(&self, context: &Context<'_>, site: &Site, work: &Work) -> Result<(), Fault> {
        let engine = self.engine(context);
        let (uid, gid) = site.user;
        let mut script = Script::new("umask 077\n").set("who", format!("{uid}:{gid}")).text(
            "mkdir -p /forge-lanes/tmp /forge-lanes/home || exit 1\n\
             chown \"$who\" /forge-lanes/tmp /forge-lanes/home || exit 1\nchmod 755 /forge-lanes\n",
        );
        let foreign = !site.machine_may_chown() && site.user != site.machine_user;
        if foreign && !self.is_clustered() {
            script = script.text(&format!("chown -R \"$who\" {STATE}/job {STATE}/artifacts\n"));
            if work.writable {
                script = script.text(&format!("chown -R \"$who\" {WORKSPACE}\n"));
            }
        }
        script = script.text("ls /nix/store 2>/dev/null | head -n 1 | sed 's/.*/store/'\n");
        let text = String::from_utf8_lossy(script.as_bytes()).into_owned();
        let argv = ["sh".to_owned(), "-c".to_owned(), text];
        let seconds = self.spec.boot_timeout_secs.unwrap_or(if self.spec.vm { 120 } else { 30 });
        let until = Instant::now() + Duration::from_secs(u64::from(seconds));
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
            let said = answer.complaint();
            match engine.instance(&site.name)? {
                None => {
                    return Err(Fault::new(
                        FailureKind::RuntimeGone,
                        format!("instance `{}` on `{machine}` vanished as it started", site.name),
                    ));
                }
                Some(instance) if !instance.is_running() || Instant::now() >= until => {
                    let status = instance.status.to_lowercase();
                    return Err(Fault::new(
                        FailureKind::NotReady,
                        format!(
                            "instance `{}` on `{machine}` is {status}, and runs no command: {said}",
                            site.name
                        ),
                    )
                    .advice(START_ADVICE));
                }
                Some(_) => {}
            }
            let _ = context.control.wait(Level::Run, pause);
            pause = (pause * 2).min(Duration::from_secs(1));
        };
        // Payloads of the store are links into the store.
        let from_store = work.mounts.iter().any(|mount| mount.from.starts_with("/nix/store/"));
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

    /// Finds the machine's Rust toolchain.
    fn toolchain(context: &Context<'_>) -> Result<String, Fault> {
        let script = "PATH=$PATH:$HOME/.cargo/bin; rustc --print sysroot";
        let answer = context.machine.run(&ControlCommand::new(["sh", "-c", script]))?;
        let path = String::from_utf8_lossy(&answer.stdout).trim().to_owned();
        if answer.success() && path.starts_with('/') {
            return Ok(path);
        }
        Err(Fault::new(
            FailureKind::ToolMissing,
            format!("`{}` has no Rust toolchain to mount", context.machine.name()),
        )
        .advice("install one there, with `rustc` in PATH or ~/.cargo/bin"))
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

/// Returns the directory of runs that a request's files are below.
fn runs_dir(request: &AttemptRequest) -> PathBuf {
    let mut ancestors = request.host_log.ancestors();
    let found = ancestors.find(|path| path.file_name().is_some_and(|name| name == &*request.run));
    found.and_then(|run| run.parent()).unwrap_or(&request.host_log).to_owned()
}

impl Runtime for Incus {
    fn describe(&self, context: &Context<'_>) -> String {
        crate::guest_command::display(&context.request.node.spec.command)
    }

    fn prepare(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        let Context { request, machine, control, .. } = context;
        let work = Work::of(request, machine.name())?;
        let site = self.site(context)?;
        context.enter(Phase::Tree);
        let workspace = match &work.workspace_from {
            Some(path) => path.clone(),
            None => machine.place_source(&work.source, control)?.path,
        };
        context.enter(Phase::Directories);
        let toolchain = work.rust_toolchain.then(|| Self::toolchain(context)).transpose()?;
        let script = directories(context, &work, &site, &workspace)?;
        let answer = machine.run(
            &ControlCommand::new(["sh", "-s"])
                .stdin(script.as_bytes())
                .deadline(Duration::from_secs(600)),
        )?;
        if !answer.success() {
            return Err(not_made(machine.name(), &answer.complaint()));
        }
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
        let limits = work.limits;
        let wanted = limits.timeout + limits.grace + limits.lease * 2 + Duration::from_secs(3600);
        let labels = Labels { owner: &site.owner, job: &job, until: now() + wanted.as_secs() };
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
        let document = Document::new(&self.spec, &labels, &disks).text();
        let options = instance::options(&self.spec);
        let launched = engine.launch(self.spec.image.as_str(), &site.name, &options, &document);
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
        self.make_ready(context, &site, &work)?;
        if self.is_clustered() && control.level() == Level::Run {
            let parcels = parcels(&work, &site, workspace, toolchain);
            let engine = self.engine(context);
            delivery::send(&engine, &site.name, site.user, &parcels)?;
            // It is there now; nothing here needs its secrets any more.
            let env = format!("{}/job/env", site.shared);
            machine.run(&ControlCommand::new(["rm", "-f", &env]))?;
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
                let guest = self.guest(context, &site)?;
                if !instance.is_running() || guest.status()? != JobStatus::Unknown {
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
        let limits = Work::of(request, machine.name())?.limits;
        let mut start = None;
        if std::mem::take(&mut self.fresh) {
            context.enter(Phase::Launch);
            context.intend(&Intent::Supervised(SupervisedIntent {
                machine: machine.name().to_owned(),
                job: request.job(),
                state_dir: format!("{STATE}/job"),
                remote: true,
            }))?;
            let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
            start = Some([
                format!("timeout={}", seconds(limits.timeout)),
                format!("lease={}", seconds(limits.lease)),
                format!("grace={}", seconds(limits.grace)),
            ]);
        } else {
            context.enter(Phase::Wait);
        }
        let guest = self.guest(context, &site)?;
        let status = guest.run(start.as_ref().map(<[String; 3]>::as_slice))?;
        let limit = match &status {
            JobStatus::Exited(ended) if ended.reason == Reason::Exited && ended.code != Some(0) => {
                guest.limit(self.spec.project.as_ref().map(plans::EngineName::as_str))
            }
            JobStatus::Lost => {
                guest.limit(self.spec.project.as_ref().map(plans::EngineName::as_str))
            }
            _ => None,
        };
        match limit {
            Some(fault) => Err(fault),
            None => Ok(status),
        }
    }

    fn collect(&mut self, context: &Context<'_>) -> Result<Collected, Fault> {
        let Context { request, machine, control, .. } = context;
        let site = self.site(context)?;
        let work = Work::of(request, machine.name())?;
        if let Ok(Some(instance)) = self.engine(context).instance(&site.name)
            && site.is_ours(request, &instance)
        {
            self.note(&instance);
        }
        self.give_back(context, &site);
        let keeps = !work.keep.artifacts.is_empty() || work.keep.output.is_some();
        if self.is_clustered() && keeps {
            let engine = self.engine(context);
            delivery::fetch(&engine, &site.name, &site.shared, work.writable)?;
        }
        let mut collected = Collected::default();
        let workspace = if work.writable {
            format!("{}/ws", site.shared)
        } else if keeps {
            match &work.workspace_from {
                Some(path) => path.clone(),
                None => machine.place_source(&work.source, control)?.path,
            }
        } else {
            String::new()
        };
        if !work.keep.artifacts.is_empty() {
            // What a job puts into its own artifacts directory goes before a file of that name in
            // its workspace.
            for from in [&format!("{}/artifacts", site.shared), &workspace] {
                let more = machine.fetch(from, &work.keep.artifacts, &request.artifacts)?;
                collected.files += more.files;
                collected.bytes += more.bytes;
                collected.refused.extend(more.refused);
            }
        }
        if let Some(output) = &work.keep.output {
            collected.output = keep_output(context, output, &workspace)?;
        }
        Ok(collected)
    }

    fn cleanup(&mut self, context: &Context<'_>) -> Result<(), Fault> {
        let Context { request, machine, .. } = context;
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
        }
        machine.remove(&request.job())
    }

    fn details(&self) -> Details {
        self.details.clone()
    }
}

impl Incus {
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
        // What cannot be given back is told by whoever cannot read or remove it.
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

fn not_made(machine: &str, said: &str) -> Fault {
    if said.contains("no_space") {
        return Fault::new(
            FailureKind::DiskFull,
            format!("there is no room on `{machine}` for the job's own files"),
        )
        .advice("make room there, then resume the run");
    }
    Fault::new(
        FailureKind::Workspace,
        format!("the job's directories on `{machine}` cannot be made: {said}"),
    )
}

/// Returns the script that makes what the instance shares with its machine: the supervisor, the
/// job as it is told of it, a place for artifacts, and the private copy of a writable workspace.
fn directories(
    context: &Context<'_>,
    work: &Work,
    site: &Site,
    workspace: &str,
) -> Result<Script, Fault> {
    let (uid, gid) = site.user;
    let mut script = Script::new("umask 077\nset -f\n")
        .set("d", &site.shared)
        .set("tree", workspace)
        .set("who", format!("{uid}:{gid}"))
        .text(
            "no() { [ \"$(df -Pk \"$d\" | awk 'NR == 2 { print $4 }')\" -gt 64 ] || echo no_space >&2\n\
             exit 1; }\n\
             mkdir -p \"$d\" && cd \"$d\" || no\nchmod 711 . || no\n\
             rm -rf job artifacts ws .new-ws && mkdir job artifacts || no\n\
             [ -d \"$tree\" ] || { echo \"the source tree $tree is gone\" >&2; exit 1; }\n",
        );
    if work.writable {
        // Linked blocks where the file system can.
        script = script.text(
            "cp -a --reflink=auto \"$tree\" .new-ws 2>/dev/null || \
             { rm -rf .new-ws; cp -Rp \"$tree\" .new-ws; } || no\n\
             chmod -R u+w .new-ws && mv .new-ws ws || no\n",
        );
    }
    let file = |script: Script, name: &str, text: &[u8]| {
        use std::os::unix::ffi::OsStrExt as _;
        let script = script.text("printf '%s'").word(std::ffi::OsStr::from_bytes(text));
        script.text(&format!(" >{name} || no\n"))
    };
    script = file(script, "supervisor.sh", shim::SOURCE.as_bytes());
    script = file(script, "job/cmd", command(work).as_bytes());
    script = file(script, "job/env", environment(context, work, site).as_bytes());
    script = script.text("chmod 644 supervisor.sh\n");
    if site.machine_may_chown() && site.user != site.machine_user {
        script = script.text("chown -R \"$who\" job artifacts || no\n");
        if work.writable {
            script = script.text("chown -R \"$who\" ws || no\n");
        }
    }
    Ok(script)
}

/// Returns the job as its supervisor sources it.
fn command(work: &Work) -> Script {
    let directory = match &work.working_dir {
        Some(below) => format!("{WORKSPACE}/{below}"),
        None => WORKSPACE.to_owned(),
    };
    Script::new("_fl_state=$1\nset --")
        .words(&work.argv)
        .text("\n")
        .set("_fl_dir", directory)
        .text(shim::ENTER)
        .text("_fl_enter \"$@\"\n")
}

/// Returns what the job sees besides what the guest itself gives it.
fn environment(context: &Context<'_>, work: &Work, site: &Site) -> Script {
    let home = if site.user.0 == 0 { "/root" } else { "/forge-lanes/home" };
    let mut all: BTreeMap<&str, &str> = BTreeMap::from([("HOME", home)]);
    let artifacts = format!("{STATE}/artifacts");
    all.insert("ARTIFACTS_DIR", &artifacts);
    all.insert("TMPDIR", "/forge-lanes/tmp");
    all.extend(work.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    let secrets = context.request.secrets.iter();
    all.extend(secrets.map(|(name, value)| (name.as_str(), value.reveal())));
    let mut script = Script::default();
    if work.rust_toolchain {
        script = script.text(&format!("export PATH=\"{TOOLCHAIN}/bin:$PATH\"\n"));
    }
    for (name, value) in all {
        if is_variable_name(name) {
            script = script.text("export ").set(name, value);
        }
    }
    script
}

/// Keeps a prepare node's output where it outlives the attempt; `None` when there is none.
fn keep_output(
    context: &Context<'_>,
    output: &Output,
    workspace: &str,
) -> Result<Option<String>, Fault> {
    let Context { request, machine, .. } = context;
    let (below, name) = match output {
        Output::Workspace => (".", "workspace"),
        Output::Directory(below) => (below.as_str(), "directory"),
        // A store inside of a guest goes with it.
        Output::StorePath => return Ok(None),
    };
    let script = Script::new("umask 022\n")
        .set("ws", workspace)
        .set("below", below)
        .set("out", machine.output_dir(&request.job()))
        .set("name", name)
        .text(
            "real=$(cd \"$ws\" && pwd -P) && from=$(cd \"$ws/$below\" && pwd -P) || exit 3\n\
             case $from/ in \"$real\"/*) ;; *) exit 3 ;; esac\n\
             mkdir -p \"$out\" && rm -rf \"$out/.new\" \"$out/$name\" &&\n\
             cp -Rp \"$from\" \"$out/.new\" && mv \"$out/.new\" \"$out/$name\" || exit 1\n\
             cd \"$out/$name\" && pwd -P\n",
        );
    let command = ControlCommand::new(["sh", "-s"])
        .stdin(script.as_bytes())
        .deadline(Duration::from_secs(600));
    let answer = machine.run(&command)?;
    match answer.code {
        Some(0) => Ok(Some(String::from_utf8_lossy(&answer.stdout).trim_end().to_owned())),
        Some(3) => Ok(None),
        _ => Err(Fault::new(
            FailureKind::Collect,
            format!("the output on `{}` cannot be kept: {}", machine.name(), answer.complaint()),
        )),
    }
}
