//! The engine on a machine: `incus` as a command, every call bounded, every refusal explained.
//!
//! What a failed call means is asked for (does the daemon answer, is the image there), never read
//! from its text; the text only tells people more.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, de::DeserializeOwned};

use super::instance::LABEL;
use crate::{
    fault::{FailureKind, Fault},
    placements::{Answer, ControlCommand, Machine},
};

/// How often a refusal is asked for again before it is believed.
const REFUSALS: u32 = 2;
/// How long the engine may think about a question.
const QUESTION: Duration = Duration::from_secs(20);
/// How long it may take to make or remove an instance.
pub(super) const ACT: Duration = Duration::from_secs(180);

/// The Incus of a machine, seen through one project.
pub(super) struct Engine<'a> {
    pub(super) machine: &'a dyn Machine,
    pub(super) project: &'a str,
}

/// What the engine knows of an instance.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) status: String,
    #[serde(default)]
    pub(super) location: String,
    #[serde(default)]
    pub(super) project: String,
    /// Absent for a moment while it is made or deleted.
    config: Option<BTreeMap<String, String>>,
}

/// What the engine knows of a member of its cluster.
#[derive(Debug, Deserialize)]
struct Member {
    status: String,
}

/// What the engine knows of an image by a name.
#[derive(Debug, Deserialize)]
struct Alias {
    target: String,
}

#[derive(Debug, Deserialize)]
struct Image {
    fingerprint: String,
}

/// What the engine says of itself.
#[derive(Debug, Deserialize)]
struct Server {
    environment: Environment,
}

#[derive(Debug, Deserialize)]
struct Environment {
    driver: String,
}

#[derive(Debug, Deserialize)]
struct Profile {
    devices: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
struct Pool {
    driver: String,
}

impl Instance {
    pub(super) fn is_running(&self) -> bool {
        self.status == "Running"
    }

    /// Returns the fingerprint of the image it was made from.
    pub(super) fn image(&self) -> Option<&String> {
        self.config.as_ref()?.get("volatile.base_image")
    }

    /// Returns what one of our labels says.
    pub(super) fn label(&self, name: &str) -> Option<&str> {
        self.config.as_ref()?.get(&format!("{LABEL}{name}")).map(String::as_str)
    }
}

impl<'a> Engine<'a> {
    /// Takes a project by its name; absent is the one called `default`, not the one that a user's
    /// client was switched to.
    pub(super) fn new(machine: &'a dyn Machine, project: Option<&'a str>) -> Self {
        Self { machine, project: project.unwrap_or("default") }
    }

    /// Returns a call of `incus VERB…` in the project.
    pub(super) fn command<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> ControlCommand {
        let mut argv = vec!["incus".to_owned()];
        let mut words = words.into_iter();
        argv.extend(words.next().map(str::to_owned));
        argv.extend(["--project".to_owned(), self.project.to_owned()]);
        argv.extend(words.map(str::to_owned));
        ControlCommand::new(argv).deadline(QUESTION)
    }

    /// Returns the call that runs a program in an instance.
    pub(super) fn exec(&self, name: &str, user: (u32, u32), argv: &[String]) -> ControlCommand {
        let (user, group) = (user.0.to_string(), user.1.to_string());
        let mut command = self.command([
            "exec",
            name,
            "--mode=non-interactive",
            "--cwd=/",
            "--user",
            &user,
            "--group",
            &group,
            "--",
        ]);
        command.argv.extend_from_slice(argv);
        command
    }

    /// Runs a call, which may fail; that it was not answered at all is an error.
    pub(super) fn ask(&self, command: &ControlCommand) -> Result<Answer, Fault> {
        self.machine.run(command).map_err(|fault| self.unanswered(fault))
    }

    fn unanswered(&self, fault: Fault) -> Fault {
        let machine = self.machine.name();
        match fault.kind {
            FailureKind::NoAnswer => Fault::new(
                FailureKind::EngineDown,
                format!("Incus on `{machine}` does not answer: {}", fault.message),
            )
            .advice("look at its daemon: `systemctl status incus`, or where it was started"),
            FailureKind::ToolMissing => {
                Fault::new(FailureKind::ToolMissing, format!("there is no `incus` on `{machine}`"))
                    .advice(
                        "install the Incus client there, in the PATH of non-interactive sessions",
                    )
            }
            _ => fault,
        }
    }

    /// Makes and starts an instance; what it is made of is read from stdin. Returns the image's
    /// fingerprint, as far as it is known.
    pub(super) fn launch(
        &self,
        image: &str,
        name: &str,
        options: &[String],
        document: &str,
    ) -> Result<Option<String>, Fault> {
        let fingerprint = self.fingerprint(image)?;
        let _place = Making::wait(self.machine.name());
        let mut command = self.command(["launch", "--quiet"]).deadline(ACT).stdin(document);
        command.argv.extend_from_slice(options);
        let from = fingerprint.clone().unwrap_or_else(|| image.to_owned());
        command.argv.extend([from, name.to_owned()]);
        let answer = self.ask(&command)?;
        if answer.success() {
            return Ok(fingerprint);
        }
        let mut why = self.why_not(image, name, &answer);
        // A daemon that was away for a moment refused nothing; one that refuses does so again.
        for _ in 0..REFUSALS {
            if why.kind.is_retryable() || why.kind == FailureKind::ToolMissing {
                break;
            }
            std::thread::sleep(Duration::from_millis(500));
            let answer = self.ask(&command)?;
            if answer.success() {
                return Ok(fingerprint);
            }
            why = self.why_not(image, name, &answer);
        }
        // The image may have been replaced meanwhile; the next try asks again.
        *self.known_image(image).lock().unwrap_or_else(PoisonError::into_inner) = None;
        Err(why)
    }

    /// Returns the fingerprint of an image, asked for once by a process: all jobs of a run start from
    /// the same, and none of them has to be asked what it started from. `None`: the engine does not
    /// say, and making an instance will tell why.
    pub(super) fn fingerprint(&self, image: &str) -> Result<Option<String>, Fault> {
        let known = self.known_image(image);
        // A caller that comes meanwhile waits for the answer.
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_some() {
            return Ok(known.clone());
        }
        let project = self.project;
        let alias: Option<Alias> =
            self.read(&format!("/1.0/images/aliases/{image}?project={project}"))?;
        let found = match alias {
            Some(alias) => Some(alias.target),
            None => self
                .read::<Image>(&format!("/1.0/images/{image}?project={project}"))?
                .map(|image| image.fingerprint),
        };
        known.clone_from(&found);
        Ok(found)
    }

    fn known_image(&self, image: &str) -> Known {
        let key = [self.machine.name(), self.project, image].map(str::to_owned);
        let mut all = IMAGES.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(key).or_default().clone()
    }

    /// Finds out why an instance could not be made.
    fn why_not(&self, image: &str, name: &str, answer: &Answer) -> Fault {
        let machine = self.machine.name();
        let said = answer.complaint();
        if answer.code == Some(127) {
            return self.unanswered(Fault::new(FailureKind::ToolMissing, said));
        }
        if let Err(fault) = self.reachable() {
            return fault;
        }
        let project = self.project;
        let is_there = |path: &str| {
            let asked =
                self.machine.run(&ControlCommand::new(["incus", "query", path]).deadline(QUESTION));
            // Only an answer is one.
            asked.map_or(true, |answer| answer.success())
        };
        if !is_there(&format!("/1.0/projects/{project}")) {
            return Fault::new(
                FailureKind::EngineRefused,
                format!("Incus on `{machine}` has no project `{project}` for this user"),
            )
            .advice("create it there (`incus project create`), or correct the catalog");
        }
        let alias = format!("/1.0/images/aliases/{image}?project={project}");
        let print = format!("/1.0/images/{image}?project={project}");
        if !is_there(&alias) && !is_there(&print) {
            return Fault::new(
                FailureKind::ImageMissing,
                format!("Incus on `{machine}` has no image `{image}` in project `{project}`"),
            )
            .advice("import or copy it there (`incus image list` shows what there is)");
        }
        if let Ok(Some(_)) = self.instance(name) {
            // It was made, and did not start.
            return Fault::new(
                FailureKind::NotReady,
                format!("instance `{name}` on `{machine}` did not start: {said}"),
            )
            .advice(START_ADVICE);
        }
        Fault::new(
            FailureKind::EngineRefused,
            format!("Incus on `{machine}` refused to make `{name}` in `{project}`: {said}"),
        )
        .advice("see what the project and its profiles allow: `incus project show`")
    }

    /// Asks whether the daemon answers at all.
    pub(super) fn reachable(&self) -> Result<(), Fault> {
        let answer =
            self.ask(&ControlCommand::new(["incus", "query", "/1.0"]).deadline(QUESTION))?;
        if answer.success() {
            return Ok(());
        }
        let machine = self.machine.name();
        if answer.code == Some(127) {
            return Err(self.unanswered(Fault::new(FailureKind::ToolMissing, String::new())));
        }
        Err(Fault::new(
            FailureKind::EngineDown,
            format!("Incus on `{machine}` cannot be reached: {}", answer.complaint()),
        )
        .advice("start its daemon, and let this user use it (group `incus-admin`)"))
    }

    /// Returns what the engine answers to a path, if it has that.
    pub(super) fn read<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Fault> {
        let answer = self.ask(&ControlCommand::new(["incus", "query", path]).deadline(QUESTION))?;
        Ok(answer.success().then(|| serde_json::from_slice(&answer.stdout).ok()).flatten())
    }

    /// Returns whether it has the drivers of virtual machines; without an answer it may.
    ///
    /// # Errors
    ///
    /// When it says which it has, and they are not there.
    pub(super) fn runs_virtual_machines(&self) -> Result<(), Fault> {
        let server: Option<Server> = self.read("/1.0")?;
        let Some(Server { environment: Environment { driver } }) = server else { return Ok(()) };
        if driver.split(" | ").any(|name| name == "qemu") {
            return Ok(());
        }
        Err(Fault::new(
            FailureKind::EngineRefused,
            format!(
                "Incus on `{}` runs no virtual machines (`vm`): its drivers are `{driver}`",
                self.machine.name()
            ),
        )
        .advice(
            "they take KVM, the kernel module vhost_vsock and QEMU there: `incus warning list` and \
             the daemon's log say what is missing; or leave `vm` out of the catalog",
        ))
    }

    /// Returns the storage pool, and its driver, that these profiles put an instance's root on.
    pub(super) fn root_pool(&self, profiles: &[String]) -> Result<Option<(String, String)>, Fault> {
        let mut found = None;
        for name in profiles {
            let path = format!("/1.0/profiles/{name}?project={}", self.project);
            let Some(Profile { devices }) = self.read(&path)? else { continue };
            // A later profile goes before an earlier one.
            let root = devices.into_values().find(|device| {
                device.get("type").is_some_and(|kind| kind == "disk")
                    && device.get("path").is_some_and(|path| path == "/")
            });
            found = root.and_then(|mut root| root.remove("pool")).or(found);
        }
        let Some(pool) = found else { return Ok(None) };
        let of: Option<Pool> = self.read(&format!("/1.0/storage-pools/{pool}"))?;
        Ok(of.map(|of| (pool, of.driver)))
    }

    /// Returns an instance, if it is there.
    pub(super) fn instance(&self, name: &str) -> Result<Option<Instance>, Fault> {
        let mut tries = 0;
        loop {
            let all = self.query(&format!("filter=name%20eq%20{name}"))?;
            let found = all.into_iter().find(|instance| instance.name == name);
            match found {
                Some(Instance { config: None, .. }) if tries < 50 => tries += 1,
                found => return Ok(found),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Lists the instances of every project that this user may see.
    pub(super) fn list_everywhere(&self) -> Result<Vec<Instance>, Fault> {
        self.query("all-projects=true")
    }

    /// Asks for instances as the engine's books have them. `incus list` would look at each one's
    /// processes, disks and networks as well, which takes longer than to delete one.
    pub(super) fn query(&self, which: &str) -> Result<Vec<Instance>, Fault> {
        let mut path = format!("/1.0/instances?recursion=1&{which}");
        if !which.starts_with("all-projects") {
            path.push_str("&project=");
            path.push_str(self.project);
        }
        let command = ControlCommand::new(["incus", "query", &path]).deadline(QUESTION);
        let mut answer = self.ask(&command)?;
        let machine = self.machine.name();
        for _ in 0..REFUSALS {
            if answer.success() {
                break;
            }
            self.reachable()?;
            // It may have been away for a moment only.
            answer = self.ask(&command)?;
        }
        if !answer.success() {
            return Err(Fault::new(
                FailureKind::EngineRefused,
                format!("Incus on `{machine}` does not list instances: {}", answer.complaint()),
            ));
        }
        // An empty list is `null` to some.
        let all: Option<Vec<Instance>> =
            serde_json::from_slice(&answer.stdout).map_err(|error| {
                Fault::new(
                    FailureKind::Protocol,
                    format!("the list of instances of `{machine}` cannot be read: {error}"),
                )
            })?;
        Ok(all.unwrap_or_default())
    }

    /// Returns whether the cluster says that a member is not there; no cluster says so of nobody.
    pub(super) fn is_offline(&self, member: &str) -> bool {
        if member.is_empty() || member == "none" {
            return false;
        }
        let path = format!("/1.0/cluster/members/{member}");
        let command = ControlCommand::new(["incus", "query", &path]).deadline(QUESTION);
        let Ok(answer) = self.machine.run(&command) else { return false };
        let member: Option<Member> = serde_json::from_slice(&answer.stdout).ok();
        member.is_some_and(|member| member.status == "Offline")
    }
}

/// What to do about an instance that does not start.
pub(super) const START_ADVICE: &str = "`incus info --show-log` tells more for an instance made by \
     hand from the same image; an image needs an init, and disks of the machine need id-mapped mounts";

/// How many instances are made at once on one machine: a storage pool that unpacks the image for
/// each of them takes longer for eight at once than for one after the other.
const MAKING: u32 = 4;

/// The fingerprints of images, by machine, project and name.
static IMAGES: Mutex<BTreeMap<[String; 3], Known>> = Mutex::new(BTreeMap::new());

/// What is known of one; locked by the caller.
type Known = Arc<Mutex<Option<String>>>;

/// How many are being made by this process, by machine.
static AT_WORK: (Mutex<BTreeMap<String, u32>>, Condvar) =
    (Mutex::new(BTreeMap::new()), Condvar::new());

/// A place among those who make an instance.
struct Making(String);

impl Making {
    fn lock() -> MutexGuard<'static, BTreeMap<String, u32>> {
        AT_WORK.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place; whoever has one has a deadline.
    fn wait(machine: &str) -> Self {
        let mut at_work = Self::lock();
        while at_work.get(machine).is_some_and(|count| *count >= MAKING) {
            at_work = AT_WORK.1.wait(at_work).unwrap_or_else(PoisonError::into_inner);
        }
        *at_work.entry(machine.to_owned()).or_default() += 1;
        Self(machine.to_owned())
    }
}

impl Drop for Making {
    fn drop(&mut self) {
        if let Some(count) = Self::lock().get_mut(&self.0) {
            *count -= 1;
        }
        AT_WORK.1.notify_all();
    }
}
