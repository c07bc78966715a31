//! The state directory: where runs are kept, what they are called, who holds them.
//!
//! ```text
//! .forge-lanes/
//!   .gitignore          "*": the directory ignores itself
//!   runs/<run id>/
//!     lock              held by the process that is at it, with a note who that is
//!     plan.json         byte for byte as it was applied
//!     journal.jsonl     everything that happened
//!     record.json       once it is over
//!     nodes/<node id>/  host.log, guest.log, result.json, artifacts/
//! ```
//!
//! A run appears under its name with lock, plan and journal in place, or not at all.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    hash::{BuildHasher as _, RandomState},
    io::{self, Read as _, Write as _},
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use plans::NodeId;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::{clock, files, locks::Waiting, text};

/// The directory's name at the root of a repository.
pub const DEFAULT_NAME: &str = ".forge-lanes";

/// How often a held lock is tried again, and after how long.
const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// What begins the name of a run that is not complete yet.
const STAGING: &str = ".new-";

/// A run's id: sorts by time, and no two are the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(String);

impl RunId {
    /// Makes a new one: `YYYYMMDD-HHMMSS-mmm-RANDOM`, in UTC.
    #[must_use]
    pub fn generate() -> Self {
        Self::at(Timestamp::now())
    }

    fn at(time: Timestamp) -> Self {
        let chance = RandomState::new().hash_one(time.as_nanosecond()) & 0xff_ffff;
        let millis = time.subsec_millisecond();
        Self(format!("{}-{millis:03}-{chance:06x}", time.strftime("%Y%m%d-%H%M%S")))
    }

    /// Makes a new one that sorts after `newest`: a clock that was set back must not make the latest
    /// run an old one. The journal holds the time as it is.
    fn after(newest: Option<&Self>) -> Self {
        let new = Self::generate();
        match newest {
            Some(newest) if *newest >= new => newest
                .time()
                .and_then(|time| time.checked_add(SignedDuration::from_millis(1)).ok())
                .map_or(new, Self::at),
            _ => new,
        }
    }

    fn time(&self) -> Option<Timestamp> {
        let (time, rest) = self.0.split_at_checked("YYYYMMDD-HHMMSS".len())?;
        let millis: i64 = rest.strip_prefix('-')?.get(..3)?.parse().ok()?;
        let time = jiff::civil::DateTime::strptime("%Y%m%d-%H%M%S", time).ok()?;
        let time = time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
        time.checked_add(SignedDuration::from_millis(millis)).ok()
    }

    /// Takes a directory's name or what a person typed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let well_formed = !text.is_empty()
            && text.len() <= 64
            && text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        well_formed.then(|| Self(text.to_owned()))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Why the state directory, or a run in it, cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The operating system refused.
    #[error("the state directory: {what} `{path}`: {error}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With what.
        path: String,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
    /// Another process is at the run.
    #[error("run {run} is held by {holder}")]
    Busy {
        /// The run.
        run: RunId,
        /// The process that holds it.
        holder: String,
    },
    /// There is no such run.
    #[error("there is no run `{wanted}` in `{path}`")]
    NoSuchRun {
        /// What was asked for.
        wanted: String,
        /// The state directory.
        path: String,
    },
    /// Several runs begin like that.
    #[error("several runs begin with `{wanted}`: {}", .runs.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// The first of them.
        runs: Vec<String>,
    },
    /// There is no run at all.
    #[error("there is no run in `{path}` yet")]
    NoRuns {
        /// The state directory.
        path: String,
    },
}

fn io(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.display().to_string();
    move |error| StateError::Io { what, path, error }
}

/// The state directory.
#[derive(Debug, Clone)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// Names a directory that may not exist yet.
    #[must_use]
    pub fn at(root: PathBuf) -> Self {
        Self { root }
    }

    /// Returns its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Returns the directory of runs.
    #[must_use]
    pub fn runs_dir(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Makes the directory, ignored by git through a file of its own.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn create(&self) -> Result<(), StateError> {
        let runs = self.runs_dir();
        // Others may read it, and never write, whatever the umask.
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&runs)
            .map_err(io("cannot make", &runs))?;
        let ignore = self.root.join(".gitignore");
        if !ignore.exists() {
            files::replace(&ignore, b"*\n").map_err(io("cannot write", &ignore))?;
        }
        Ok(())
    }

    /// Makes a new run that this process holds: lock, plan and the journal's first line in place,
    /// then its name. Whoever sees the run can therefore resume it.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`]; nothing of the run is left then.
    pub fn new_run(
        &self,
        plan: &[u8],
        first_line: impl FnOnce(&RunId) -> Vec<u8>,
    ) -> Result<(RunDir, RunLock), StateError> {
        self.create()?;
        let id = RunId::after(self.runs()?.first().map(|run| &run.id));
        let staging = self.runs_dir().join(format!("{STAGING}{id}"));
        let born = self.runs_dir().join(id.as_str());
        std::fs::DirBuilder::new()
            .mode(0o755)
            .create(&staging)
            .map_err(io("cannot make", &staging))?;
        let made = (|| {
            let lock = RunLock::take(&staging, &id)?;
            let file = staging.join("plan.json");
            files::replace(&file, plan).map_err(io("cannot write", &file))?;
            let file = staging.join("journal.jsonl");
            files::replace(&file, &first_line(&id)).map_err(io("cannot write", &file))?;
            let nodes = staging.join("nodes");
            std::fs::create_dir(&nodes).map_err(io("cannot make", &nodes))?;
            std::fs::rename(&staging, &born).map_err(io("cannot make", &born))?;
            files::sync_dir(&self.runs_dir()).map_err(io("cannot flush", &born))?;
            Ok(lock)
        })();
        match made {
            Ok(lock) => Ok((RunDir { id, path: born }, lock)),
            Err(error) => {
                // It has not begun, so nothing in it is worth keeping; `error` says why.
                let _ = std::fs::remove_dir_all(&staging);
                Err(error)
            }
        }
    }

    /// Returns every run, the newest first. Without a directory there is none.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn runs(&self) -> Result<Vec<RunDir>, StateError> {
        let path = self.runs_dir();
        let entries = match std::fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(io("cannot read", &path)(error)),
        };
        let mut runs = Vec::new();
        for entry in entries {
            let entry = entry.map_err(io("cannot read", &path))?;
            if let Some(id) = entry.file_name().to_str().and_then(RunId::parse) {
                runs.push(RunDir { id, path: entry.path() });
            }
        }
        runs.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(runs)
    }

    /// Returns directories of runs whose making was cut short, and which nobody holds.
    ///
    /// # Errors
    ///
    /// [`StateError::Io`].
    pub fn staging(&self) -> Result<Vec<PathBuf>, StateError> {
        let path = self.runs_dir();
        let Ok(entries) = std::fs::read_dir(&path) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(io("cannot read", &path))?;
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_prefix(STAGING)) else {
                continue;
            };
            let Some(id) = RunId::parse(id) else { continue };
            // Between its directory and its lock a run is held by nobody, for a moment.
            let age =
                entry.metadata().and_then(|m| m.modified()).ok().and_then(|t| t.elapsed().ok());
            let old = age.is_some_and(|age| age.as_secs() > 60);
            if old && RunLock::take(&entry.path(), &id).is_ok() {
                found.push(entry.path());
            }
        }
        Ok(found)
    }

    /// Finds the run with that id, the only one whose id begins or ends like that, or the latest.
    ///
    /// # Errors
    ///
    /// [`StateError`] when there is none, or not just one.
    pub fn find(&self, wanted: Option<&str>) -> Result<RunDir, StateError> {
        let mut runs = self.runs()?;
        let path = || self.root.display().to_string();
        let Some(wanted) = wanted.filter(|wanted| *wanted != "latest") else {
            if runs.is_empty() {
                return Err(StateError::NoRuns { path: path() });
            }
            return Ok(runs.swap_remove(0));
        };
        if let Some(exact) = runs.iter().position(|run| run.id.as_str() == wanted) {
            return Ok(runs.swap_remove(exact));
        }
        runs.retain(|run| {
            !wanted.is_empty()
                && (run.id.as_str().starts_with(wanted) || run.id.as_str().ends_with(wanted))
        });
        match runs.len() {
            0 => Err(StateError::NoSuchRun { wanted: wanted.to_owned(), path: path() }),
            1 => Ok(runs.swap_remove(0)),
            _ => Err(StateError::Ambiguous {
                wanted: wanted.to_owned(),
                runs: runs.iter().take(5).map(|run| run.id.to_string()).collect(),
            }),
        }
    }
}

/// One run's directory.
#[derive(Debug, Clone)]
pub struct RunDir {
    /// The run.
    pub id: RunId,
    path: PathBuf,
}

impl RunDir {
    /// Returns the directory that it is in with the other runs.
    #[must_use]
    pub fn runs_dir(&self) -> PathBuf {
        self.path.parent().unwrap_or(&self.path).to_owned()
    }

    /// Returns the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where the plan is.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.path.join("plan.json")
    }

    /// Returns where the journal is.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join("journal.jsonl")
    }

    /// Returns where the record is, once the run is over.
    #[must_use]
    pub fn record(&self) -> PathBuf {
        self.path.join("record.json")
    }

    /// Returns where another process leaves the reason why it wants the run to end.
    #[must_use]
    pub fn cancel_request(&self) -> PathBuf {
        self.path.join("cancel")
    }

    /// Returns where it is written down what a node waits for, while it does.
    #[must_use]
    pub fn waiting(&self, node: &NodeId) -> PathBuf {
        self.node(node).join("waiting.json")
    }

    /// Returns what a node waits for that another run has, if it does.
    #[must_use]
    pub fn waits_for(&self, node: &NodeId) -> Option<Waiting> {
        serde_json::from_slice(&std::fs::read(self.waiting(node)).ok()?).ok()
    }

    /// Returns where a node's files are.
    #[must_use]
    pub fn node(&self, node: &NodeId) -> PathBuf {
        self.path.join("nodes").join(node.as_str())
    }

    /// Writes `result.json` of a node. Nobody asks any more how the job of a node stands that passed with
    /// nothing left behind: then the record of its last attempt's job becomes that file, which costs no other one.
    ///
    /// # Errors
    ///
    /// What the operating system says.
    pub fn write_result(
        &self,
        node: &NodeId,
        attempt: u32,
        is_settled: bool,
        text: &[u8],
    ) -> io::Result<()> {
        let dir = self.node(node);
        let (job, result) = (dir.join(format!("job.{attempt}")), dir.join("result.json"));
        if is_settled && let Ok(mut file) = OpenOptions::new().write(true).open(&job) {
            file.write_all(text)?;
            // Not to nothing before: some file systems flush what replaces the whole of a file.
            file.set_len(text.len() as u64)?;
            return std::fs::rename(job, result);
        }
        std::fs::write(result, text)
    }

    /// Takes the run for this process.
    ///
    /// # Errors
    ///
    /// [`StateError::Busy`] says who holds it.
    pub fn lock(&self) -> Result<RunLock, StateError> {
        RunLock::take(&self.path, &self.id)
    }

    /// Returns who holds the run, if anybody does.
    #[must_use]
    pub fn holder(&self) -> Option<RunHolder> {
        let file = File::open(self.path.join("lock")).ok()?;
        // Shared, so that those who only look do not hold each other up; see `RunLock::take`.
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => Some(RunLock::note(&self.path)),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }
}

/// The process that holds a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunHolder {
    /// The process.
    pub pid: u32,
    /// The machine it runs on.
    pub host: String,
    /// Since when.
    pub since: String,
}

impl fmt::Display for RunHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { pid, host, since } = self;
        write!(f, "process {pid} on {host} since {since}")
    }
}

/// The right to go on with a run. The operating system takes it back when the process ends, however
/// it ends.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    fn take(dir: &Path, run: &RunId) -> Result<Self, StateError> {
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(io("cannot open", &path))?;
        let mut tries = LOCK_TRIES;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // It may only be somebody who looks whether it is held, for an instant.
                Err(TryLockError::WouldBlock) if tries > 0 => {
                    tries -= 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
                Err(TryLockError::WouldBlock) => {
                    let holder = Self::note(dir).to_string();
                    return Err(StateError::Busy { run: run.clone(), holder });
                }
                Err(TryLockError::Error(error)) => return Err(io("cannot lock", &path)(error)),
            }
        }
        let holder = RunHolder { pid: std::process::id(), host: host_name(), since: clock::now() };
        let note = serde_json::to_string(&holder).expect("plain data") + "\n";
        // The note is for people; a full disk must not keep a run from being finished.
        let _ = file.set_len(0).and_then(|()| file.write_all(note.as_bytes()));
        Ok(Self { _file: file })
    }

    fn note(dir: &Path) -> RunHolder {
        let mut text = String::new();
        let read =
            File::open(dir.join("lock")).and_then(|file| file.take(4096).read_to_string(&mut text));
        read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_else(|| RunHolder {
            pid: 0,
            host: "an unknown host".to_owned(),
            since: "an unknown time".to_owned(),
        })
    }
}

/// Returns this machine's name.
#[must_use]
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns what tells what one state directory of one machine made, on a host or with an engine, from
/// what others made there.
#[must_use]
pub fn owner(runs_dir: &Path) -> String {
    let mut hash = Sha256::new();
    hash.update(host_name());
    hash.update([0]);
    hash.update(runs_dir.as_os_str().as_encoded_bytes());
    text::hex(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, StateDir) {
        let dir = tempfile::tempdir().expect("a directory");
        let state = StateDir::at(dir.path().join(".forge-lanes"));
        (dir, state)
    }

    #[test]
    fn ids_sort_by_time_and_never_meet() {
        let ids: Vec<RunId> = (0..100).map(|_| RunId::generate()).collect();
        let unique: std::collections::BTreeSet<&RunId> = ids.iter().collect();
        assert_eq!(unique.len(), ids.len());
        assert!(ids.iter().all(|id| RunId::parse(id.as_str()).as_ref() == Some(id)));
        std::thread::sleep(std::time::Duration::from_millis(2));
        assert!(RunId::generate() > ids[0]);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_new_run_an_old_one() {
        let (_dir, state) = state();
        let future = state.runs_dir().join("29991231-235959-999-ffffff");
        std::fs::create_dir_all(future).expect("made");
        for _ in 0..3 {
            let (run, _lock) = state.new_run(b"{}", |_| Vec::new()).expect("made");
            assert_eq!(state.find(None).expect("the latest").id, run.id);
        }
        // Not a time at all, but later than any: then it is as good as another.
        let foreign = state.runs_dir().join("zzz");
        std::fs::create_dir_all(foreign).expect("made");
        assert!(state.new_run(b"{}", |_| Vec::new()).is_ok());
    }

    #[test]
    fn a_run_is_held_by_one_and_found_by_a_part_of_its_name() {
        let (_keep, state) = state();
        let (run, lock) = state.new_run(b"{}", |_| Vec::new()).expect("made");
        assert!(matches!(run.lock(), Err(StateError::Busy { .. })));
        assert_eq!(run.holder().expect("held").pid, std::process::id());
        drop(lock);
        assert!(run.holder().is_none());
        let (other, _lock) = state.new_run(b"{}", |_| Vec::new()).expect("made");
        assert_eq!(
            state.find(None).expect("the latest").id,
            std::cmp::max(&run.id, &other.id).clone()
        );
        let end = &run.id.as_str()[run.id.as_str().len() - 6..];
        assert_eq!(state.find(Some(end)).expect("found").id, run.id);
        assert!(matches!(state.find(Some("../etc")), Err(StateError::NoSuchRun { .. })));
        assert!(matches!(state.find(Some("20")), Err(StateError::Ambiguous { .. })));
    }

    #[test]
    fn git_ignores_the_directory_and_an_absent_one_holds_no_runs() {
        let (_keep, state) = state();
        assert!(state.runs().expect("none").is_empty());
        state.create().expect("made");
        assert_eq!(std::fs::read(state.path().join(".gitignore")).expect("there"), b"*\n");
    }
}
