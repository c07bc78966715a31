//! Who has the places and groups of a machine, and who waits for them: what progress lines, `executor holders` and
//! pages say. Takes nothing and frees nothing.

use std::{fmt, path::Path, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{clock, supervise::JobRef, text};

/// Something that only so many jobs have at a time, over all executors of a machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// A concurrency group.
    Group(String),
    /// One of the places of a limited host, by number.
    Place(u32),
    /// One of the slots of a machine for guests of Tart, by number. Its file is kept by the machine's own half of Tart.
    Guest(u32),
}

impl Resource {
    /// Reads the name of a lock's file.
    #[must_use]
    pub fn of_file(name: &str) -> Option<Self> {
        match name.split_once('.')? {
            ("group", group) => Some(Self::Group(group.to_owned())),
            ("place", number) => number.parse().ok().map(Self::Place),
            _ => None,
        }
    }

    /// Returns the name of its lock's file.
    #[must_use]
    pub fn file(&self) -> String {
        match self {
            Self::Group(group) => format!("group.{group}"),
            Self::Place(number) => format!("place.{number}"),
            Self::Guest(number) => format!("slot.{number}"),
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group(group) => write!(f, "group {group}"),
            Self::Place(number) => write!(f, "place {number}"),
            Self::Guest(number) => write!(f, "guest {number}"),
        }
    }
}

/// The job that has something or waits for it, as far as that was written down.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Holder {
    /// The run; absent: executors of earlier releases did not say, or it is kept for the next job of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The executor's process there where it runs: `PID on HOST`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// Since when (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
}

impl Holder {
    /// Names a job by its directory, `…/RUN/NODE.ATTEMPT`.
    pub(crate) fn of_directory(directory: &str) -> Self {
        let mut parts = Path::new(directory).iter().rev().map(|part| part.to_string_lossy());
        let (last, run) = (parts.next(), parts.next());
        let job = last.zip(run).and_then(|(last, run)| JobRef::parse(&format!("{run}/{last}")));
        job.map_or_else(Self::default, |job| Self::of_job(&job))
    }

    pub(crate) fn of_job(job: &JobRef) -> Self {
        Self { run_id: Some(job.run.clone()), node: Some(job.node.clone()), ..Self::default() }
    }

    /// Returns for how long, by this machine's clock.
    #[must_use]
    pub fn held_for(&self) -> Option<Duration> {
        let since: Timestamp = self.since.as_deref()?.parse().ok()?;
        // A clock that was set back says nothing better than "just now".
        Some(Duration::try_from(Timestamp::now().duration_since(since)).unwrap_or_default())
    }

    /// Returns the same since so many seconds ago.
    pub(crate) fn since_secs_ago(mut self, seconds: Option<u64>) -> Self {
        let ago = seconds.and_then(|seconds| i64::try_from(seconds).ok());
        let since =
            ago.and_then(|ago| Timestamp::from_second(Timestamp::now().as_second() - ago).ok());
        self.since = since.map(clock::at);
        self
    }

    /// Returns it with its process, written `PID@HOST`.
    pub(crate) fn in_process(mut self, who: &str) -> Self {
        let (pid, host) = who.split_once('@').unwrap_or((who, ""));
        let known = !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit());
        self.process = known.then(|| format!("{pid} on {host}"));
        self
    }

    /// Returns it in words: `run …, execute-a, 4m`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let parts = [
            self.run_id.as_ref().map(|run| format!("run {}", text::neutral(run))),
            self.node.as_deref().map(text::neutral),
            self.held_for().map(for_people),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        if parts.is_empty() { "an executor that does not say".to_owned() } else { parts.join(", ") }
    }

    /// Returns the same and its process.
    #[must_use]
    pub fn in_full(&self) -> String {
        match &self.process {
            Some(process) => format!("{}, process {}", self.in_words(), text::neutral(process)),
            None => self.in_words(),
        }
    }
}

/// Returns how this process is told apart from others in locks: `PID@HOST`, one word.
pub(crate) fn this_process() -> String {
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let host: String = crate::state::host_name().chars().filter(plain).take(64).collect();
    format!("{}@{host}", std::process::id())
}

/// Returns a time as those who wait count it: `12s`, `4m`, `3h 20m`.
#[must_use]
pub fn for_people(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds => format!("{}h {:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// What an attempt waits for, and who has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// What: `group apple-compile`, `a place on pika-build`.
    pub resource: String,
    /// Who has it; one of those, where several do. Absent: it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Holder>,
}

impl Waiting {
    /// Waits for a group, or for any of the places, of the machine called `on`.
    pub(crate) fn of(resource: &Resource, on: &str, holder: Option<Holder>) -> Self {
        let resource = match resource {
            Resource::Group(_) => resource.to_string(),
            Resource::Place(_) => format!("a place on {on}"),
            Resource::Guest(_) => format!("a guest's place on {on}"),
        };
        Self { resource, holder }
    }

    /// Whether it says the same, but for the time.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let who =
            |waiting: &Self| waiting.holder.as_ref().map(|it| (it.run_id.clone(), it.node.clone()));
        self.resource == other.resource && who(self) == who(other)
    }
}

impl fmt::Display for Waiting {
    /// `waits for group apple-compile (run …, execute-ios-compile, 4m)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "waits for {}", text::neutral(&self.resource))?;
        match &self.holder {
            Some(holder) => write!(f, " ({})", holder.in_words()),
            None => Ok(()),
        }
    }
}

/// How a lock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Nobody has it.
    Free,
    /// An executor has it.
    Held,
    /// Its executor is gone, its job runs on.
    Job,
    /// Its holder is gone and its job over: whoever wants it has it, and `executor gc` takes the name off.
    Dead,
}

impl Standing {
    /// Returns it in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Held => "held",
            Self::Job => "held by its job, its executor is gone",
            Self::Dead => "dead",
        }
    }
}

/// One lock, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// What.
    pub resource: Resource,
    /// How it stands.
    pub standing: Standing,
    /// Whose it is, or was.
    pub holder: Holder,
    /// For how long it is held without a renewal; absent: as long as its process or job lives.
    pub lease_left: Option<Duration>,
}

/// One who waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiter {
    /// For what: `group apple-compile`, `a place`.
    pub resource: String,
    /// Who, and since when.
    pub holder: Holder,
    /// Whether its process is gone: it waits no more, and `executor gc` takes the note away.
    pub dead: bool,
    /// The file of the note.
    pub(crate) file: String,
}

/// What is held and waited for on one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// The locks that were ever used, in order.
    pub holdings: Vec<Holding>,
    /// Those who wait, the longest first.
    pub waiters: Vec<Waiter>,
}

impl Table {
    /// Puts both lists in order.
    pub(crate) fn sorted(mut self) -> Self {
        self.holdings.sort_by(|a, b| a.resource.cmp(&b.resource));
        self.waiters.sort_by(|a, b| a.holder.since.cmp(&b.holder.since));
        self
    }

    /// Returns those that are dead, holders and waiters: the file of each, and what it is in words.
    #[must_use]
    pub fn dead(&self) -> Vec<(String, String)> {
        let dead = self.holdings.iter().filter(|holding| holding.standing == Standing::Dead);
        let locks = dead
            .map(|it| (it.resource.file(), format!("{} of {}", it.resource, it.holder.in_words())));
        let waiters = self.waiters.iter().filter(|waiter| waiter.dead);
        let notes = waiters.map(|it| {
            (it.file.clone(), format!("the wait for {} of {}", it.resource, it.holder.in_words()))
        });
        locks.chain(notes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_told_with_who_has_it_and_for_how_long() {
        let holder = Holder::of_directory("/w/runs/20261129-1/execute-ios-compile.1");
        let holder = holder.since_secs_ago(Some(4 * 60 + 7)).in_process("12@mac");
        assert_eq!(holder.process.as_deref(), Some("12 on mac"));
        let group = Resource::of_file("group.apple-compile").expect("a group");
        let waiting = Waiting::of(&group, "mac", Some(holder));
        assert_eq!(
            waiting.to_string(),
            "waits for group apple-compile (run 20261129-1, execute-ios-compile, 4m)"
        );
        let place = Waiting::of(&Resource::Place(1), "mac", Some(Holder::of_directory("-")));
        assert_eq!(place.to_string(), "waits for a place on mac (an executor that does not say)");
        assert!(waiting.is_like(&waiting) && !waiting.is_like(&place));
    }

    #[test]
    fn files_name_what_they_lock() {
        for file in ["group.a", "place.12", "group.a.b"] {
            assert_eq!(Resource::of_file(file).expect("a resource").file(), file);
        }
        for file in [".lock", "wanted", "wait.0a", "place.x", ".new.place.0"] {
            assert_eq!(Resource::of_file(file), None, "{file}");
        }
    }
}
