//! The engine on a machine: `incus` as a command, every call bounded, every refusal explained.
//!
//! What a failed call means is asked for (does the daemon answer, is the image there), never read
//! from its text; the text only tells people more.

use std::{
    collections::BTreeMap,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::Deserialize;

use super::instance::LABEL;
use crate::{
    fault::{FailureKind, Fault},
    placements::{Answer, ControlCommand, Machine},
};

/// How long the engine may think about a question.
const QUESTION: Duration = Duration::from_secs(20);
/// How long it may take to make or remove an instance.
const ACT: Duration = Duration::from_secs(180);

/// The Incus of a machine, seen through one project.
pub(super) struct Engine<'a> {
    pub(super) machine: &'a dyn Machine,
    pub(super) project: Option<&'a str>,
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
    pub(super) fn new(machine: &'a dyn Machine, project: Option<&'a str>) -> Self {
        Self { machine, project }
    }

    /// Returns a call of `incus VERB…` in the project.
    pub(super) fn command<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> ControlCommand {
        let mut argv = vec!["incus".to_owned()];
        let mut words = words.into_iter();
        argv.extend(words.next().map(str::to_owned));
        if let Some(project) = self.project {
            argv.extend(["--project".to_owned(), project.to_owned()]);
        }
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

    /// Makes and starts an instance; what it is made of is read from stdin.
    pub(super) fn launch(
        &self,
        image: &str,
        name: &str,
        options: &[String],
        document: &str,
    ) -> Result<(), Fault> {
        let _place = Making::wait(self.machine.name());
        let mut command = self.command(["launch", "--quiet"]).deadline(ACT).stdin(document);
        command.argv.extend_from_slice(options);
        command.argv.extend([image.to_owned(), name.to_owned()]);
        let answer = self.ask(&command)?;
        if answer.success() {
            return Ok(());
        }
        Err(self.why_not(image, name, &answer))
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
        let project = self.project.unwrap_or("default");
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

    /// Returns an instance, if it is there.
    pub(super) fn instance(&self, name: &str) -> Result<Option<Instance>, Fault> {
        let mut tries = 0;
        loop {
            let found = self.list(&[name])?.into_iter().find(|instance| instance.name == name);
            match found {
                Some(Instance { config: None, .. }) if tries < 50 => tries += 1,
                found => return Ok(found),
            }
            std::thread::sleep(Duration::from_millis(100));
        }
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

    /// Lists instances that match filters.
    pub(super) fn list(&self, filters: &[&str]) -> Result<Vec<Instance>, Fault> {
        let mut command = self.command(["list", "--format", "json"]);
        command.argv.extend(filters.iter().map(|&filter| filter.to_owned()));
        let answer = self.ask(&command)?;
        let machine = self.machine.name();
        if !answer.success() {
            self.reachable()?;
            return Err(Fault::new(
                FailureKind::EngineRefused,
                format!("Incus on `{machine}` does not list instances: {}", answer.complaint()),
            ));
        }
        serde_json::from_slice(&answer.stdout).map_err(|error| {
            Fault::new(
                FailureKind::Protocol,
                format!("the list of instances of `{machine}` cannot be read: {error}"),
            )
        })
    }

    /// Deletes an instance, and checks that it is gone. Judged by its state, not by exit codes.
    pub(super) fn delete(&self, name: &str) -> Result<(), Fault> {
        let mut said = String::new();
        for _ in 0..3 {
            let answer = self.ask(&self.command(["delete", "--force", name]).deadline(ACT / 3))?;
            said = answer.complaint();
            if self.instance(name)?.is_none() {
                return Ok(());
            }
        }
        let machine = self.machine.name();
        Err(Fault::new(
            FailureKind::Cleanup,
            format!("instance `{name}` on `{machine}` cannot be deleted: {said}"),
        )
        .advice("`executor gc` tries again"))
    }
}

/// What to do about an instance that does not start.
pub(super) const START_ADVICE: &str = "`incus info --show-log` tells more for an instance made by \
     hand from the same image; an image needs an init, and disks of the machine need id-mapped mounts";

/// How many instances are made at once on one machine: a storage pool that unpacks the image for
/// each of them takes longer for eight at once than for one after the other.
const MAKING: u32 = 3;

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
