//! `journal.jsonl`: everything that happened to a run, appended as it happens.
//!
//! An entry is in the file (that is: survives the death of this process) when [`Journal::write`]
//! returns, and on the disk (survives a power cut) when [`Journal::write_through`] returns or
//! within a tenth of a second. The last line may be torn; the one before never is. Knows what an
//! entry looks like, not what follows from it.

use std::{
    collections::BTreeSet,
    fs::{File, OpenOptions},
    io::{self, Read as _, Seek as _, Write as _},
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use plans::SchemaVersion;
use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};

use crate::{
    attempt::{AttemptResult, PreparedOutput, TakenFiles},
    caches::CacheUse,
    intent::Intent,
    outcome::Outcome,
    record::RunOutcome,
    results::{ReuseMode, Reused},
};

/// The version written, and the newest read; `run_started` holds it.
pub const VERSION: SchemaVersion = SchemaVersion { major: 1, minor: 0 };

/// How long an entry may wait for the disk.
const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// How much room is kept ahead of the file's end, so that verdicts can still be written when the
/// disk is full.
const RESERVE: u64 = 16 * 1024;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// The run began. Always the first.
    RunStarted(RunStarted),
    /// Another process took the run over.
    RunResumed {
        /// When (RFC 3339).
        at: String,
        /// Its id.
        pid: u32,
    },
    /// An attempt is about to be made.
    AttemptStarted {
        /// The node.
        node: String,
        /// Which attempt, from 1.
        attempt: u32,
        /// When.
        at: String,
    },
    /// An attempt is about to make something that outlives this process.
    Intent {
        /// The node.
        node: String,
        /// Which attempt.
        attempt: u32,
        /// What.
        intent: Intent,
    },
    /// An attempt has its verdict; what it came from is about to be removed.
    AttemptJudged {
        /// The node.
        node: String,
        /// Which attempt.
        attempt: u32,
        /// The verdict and everything that goes with it.
        result: Box<AttemptResult>,
    },
    /// An attempt ended, and nothing of it is left.
    AttemptEnded(AttemptEnded),
    /// A node has its verdict.
    NodeFinished {
        /// The node.
        node: String,
        /// How it ended.
        outcome: Outcome,
        /// Whether its failure does not count, by its `allow_failure`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        tolerated: bool,
        /// Why it did not run; absent: it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<String>,
        /// How the node ended that kept it from running; absent: none did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Outcome>,
    },
    /// Nothing more is started, and what runs is cancelled; but for nodes that run in any case.
    Stopping {
        /// When.
        at: String,
        /// What asked for it.
        reason: String,
        /// Whether it is the second time: nothing at all is started any more, what runs is killed.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        kill: bool,
    },
    /// The run is over. Always the last.
    RunFinished {
        /// When.
        at: String,
        /// How.
        outcome: RunOutcome,
    },
}

impl Entry {
    /// Returns the entry as a line of the journal.
    #[must_use]
    pub fn to_line(&self) -> Vec<u8> {
        let mut line = serde_json::to_vec(self).expect("an entry holds plain data");
        line.push(b'\n');
        line
    }
}

/// What a resuming process must know that the plan does not say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStarted {
    /// `MAJOR.MINOR` of the journal's format.
    pub format_version: String,
    /// The run's id.
    pub run_id: String,
    /// The plan's digest.
    pub plan_digest: String,
    /// When.
    pub at: String,
    /// The process.
    pub pid: u32,
    /// `--jobs` as it took effect.
    pub jobs: usize,
    /// `--fail-fast`.
    pub fail_fast: bool,
    /// `--only`, or the nodes that a rerun repeats; absent: everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Vec<String>>,
    /// The repository, on this machine.
    pub repository: std::path::PathBuf,
    /// The tree that jobs see.
    pub tree: String,
    /// The run this one repeats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<String>,
    /// `--reuse`; absent: `on`.
    #[serde(default, skip_serializing_if = "crate::record::is_default")]
    pub reuse: ReuseMode,
    /// `--untrusted`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub untrusted: bool,
    /// `rerun --failed`: the nodes that passed in the runs it goes back to, with the same tree.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub passed_before: BTreeSet<String>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnded {
    /// The node.
    pub node: String,
    /// Which attempt.
    pub attempt: u32,
    /// When.
    pub at: String,
    /// How long it took, by a clock nobody sets.
    pub duration_ms: u64,
    /// What the record keeps of it.
    pub facts: AttemptFacts,
    /// A passed prepare node's output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<PreparedOutput>,
}

/// What is kept of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptFacts {
    /// The verdict.
    pub outcome: Outcome,
    /// Whether the same may be tried again after an infrastructure failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retryable: bool,
    /// The job's exit code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<i32>,
    /// What failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_kind: Option<String>,
    /// Why it is not `passed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// Milliseconds of each phase.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub phases: std::collections::BTreeMap<String, u64>,
    /// The values it left by name.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub outputs: std::collections::BTreeMap<String, String>,
    /// Why its command was not started, of a job that failed before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The files of other nodes that it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files_from: Vec<TakenFiles>,
    /// The caches that it was given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<CacheUse>,
    /// The run whose result it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused: Option<Box<Reused>>,
    /// How many processes had to be killed.
    #[serde(default, skip_serializing_if = "crate::record::is_default")]
    pub killed_processes: u64,
    /// How many files were kept.
    #[serde(default, skip_serializing_if = "crate::record::is_default")]
    pub artifacts: u64,
    /// How many files were left out of them.
    #[serde(default, skip_serializing_if = "crate::record::is_default")]
    pub artifacts_left_out: u64,
    /// Things worth knowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// What the runtime tells.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub details: std::collections::BTreeMap<String, String>,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error("the journal `{path}` cannot be {verb}: {error}")]
    Io {
        /// The file.
        path: String,
        /// What was tried.
        verb: &'static str,
        /// What the operating system says.
        #[source]
        error: io::Error,
    },
    /// It was written by a later release.
    #[error(
        "the journal `{path}` has format version {found}, this program reads {VERSION} and older"
    )]
    Version {
        /// The file.
        path: String,
        /// Its version.
        found: String,
    },
    /// A line that is not the last is no entry.
    #[error("the journal `{path}` is damaged in line {line}: {why}")]
    Damaged {
        /// The file.
        path: String,
        /// Which line, from 1.
        line: usize,
        /// What is wrong.
        why: String,
    },
}

/// The journal of one run, open for appending by one process.
pub struct Journal {
    shared: Arc<Shared>,
    flusher: Option<JoinHandle<()>>,
    path: PathBuf,
}

struct Shared {
    state: Mutex<State>,
    wake: Condvar,
    /// A second descriptor, so that a flush holds up no writer. One flush at a time: the kernel tells a failure
    /// once, to the caller that asks first, so everybody else has to wait for what that one heard.
    for_flush: Mutex<File>,
    sync: Sync,
}

/// Brings a file's data to the disk.
type Sync = fn(&File) -> io::Result<()>;

struct State {
    file: File,
    length: u64,
    reserved: u64,
    dirty: bool,
    closing: bool,
    /// The first flush that failed: what it was about may be lost, and no later flush would say so again. Nothing
    /// is certain from there on.
    failed: Option<Failure>,
}

#[derive(Debug, Clone)]
struct Failure {
    kind: io::ErrorKind,
    text: String,
}

impl State {
    fn certain(&self) -> io::Result<()> {
        match &self.failed {
            Some(Failure { kind, text }) => Err(io::Error::new(*kind, text.clone())),
            None => Ok(()),
        }
    }
}

impl Shared {
    /// Brings what is written to the disk; an error also if an earlier flush failed.
    fn flush(&self) -> io::Result<()> {
        let file = self.for_flush.lock().unwrap_or_else(PoisonError::into_inner);
        let flushed = (self.sync)(&file);
        let mut state = self.lock();
        if let Err(error) = flushed {
            let failure = Failure { kind: error.kind(), text: error.to_string() };
            state.failed.get_or_insert(failure);
        }
        state.certain()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Opens the journal at `path` for appending after its first `length` bytes; what follows them
    /// is cut off. Zero makes a new one.
    ///
    /// # Errors
    ///
    /// [`JournalError::Io`].
    pub fn open(path: &Path, length: u64) -> Result<Self, JournalError> {
        Self::with(path, length, File::sync_data)
    }

    fn with(path: &Path, length: u64, sync: Sync) -> Result<Self, JournalError> {
        let io =
            |error| JournalError::Io { path: path.display().to_string(), verb: "opened", error };
        let file = OpenOptions::new().append(true).create(true).open(path).map_err(io)?;
        file.set_len(length).map_err(io)?;
        let for_flush = file.try_clone().map_err(io)?;
        let state =
            State { file, length, reserved: length, dirty: false, closing: false, failed: None };
        let for_flush = Mutex::new(for_flush);
        let state = Mutex::new(state);
        let shared = Arc::new(Shared { state, wake: Condvar::new(), for_flush, sync });
        let flusher = {
            let shared = Arc::clone(&shared);
            std::thread::Builder::new()
                .name("journal".to_owned())
                .spawn(move || flush_in_groups(&shared))
                .map_err(io)?
        };
        Ok(Self { shared, flusher: Some(flusher), path: path.to_owned() })
    }

    /// Appends an entry; it is on the disk soon.
    ///
    /// # Errors
    ///
    /// When it is not in the file; the file is then as it was before.
    pub fn write(&self, entry: &Entry) -> Result<(), JournalError> {
        self.append(entry).map_err(|error| self.io("written", error))
    }

    /// Appends an entry and waits until it is on the disk.
    ///
    /// # Errors
    ///
    /// When that is not certain.
    pub fn write_through(&self, entry: &Entry) -> Result<(), JournalError> {
        self.append(entry)
            .and_then(|()| self.shared.flush())
            .map_err(|error| self.io("written", error))
    }

    /// Waits until everything is on the disk and gives back the room that was kept ahead.
    ///
    /// # Errors
    ///
    /// When something did not get there.
    pub fn settle(&self) -> Result<(), JournalError> {
        let mut state = self.shared.lock();
        let cut = state.file.set_len(state.length);
        state.reserved = state.length;
        state.dirty = false;
        drop(state);
        cut.and_then(|()| self.shared.flush()).map_err(|error| self.io("written", error))
    }

    fn io(&self, verb: &'static str, error: io::Error) -> JournalError {
        JournalError::Io { path: self.path.display().to_string(), verb, error }
    }

    fn append(&self, entry: &Entry) -> io::Result<()> {
        let line = entry.to_line();
        let mut state = self.shared.lock();
        state.certain()?;
        let after = state.length + line.len() as u64;
        if after + RESERVE / 2 > state.reserved {
            // A file system that cannot reserve is no reason to stop: it may never run full.
            let end = after + RESERVE;
            if fallocate(&state.file, FallocateFlags::KEEP_SIZE, 0, end).is_ok() {
                state.reserved = end;
            }
        }
        if let Err(error) = state.file.write_all(&line) {
            // Half a line would run into the next one.
            let length = state.length;
            state.file.set_len(length)?;
            return Err(error);
        }
        state.length = after;
        if !state.dirty {
            state.dirty = true;
            self.shared.wake.notify_one();
        }
        Ok(())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_one();
        if let Some(flusher) = self.flusher.take() {
            // What it could not flush it has nobody left to tell.
            let _ = flusher.join();
        }
    }
}

/// Sleeps until something is written, lets more of it gather, flushes it all at once.
fn flush_in_groups(shared: &Shared) {
    let mut state = shared.lock();
    loop {
        while !state.dirty && !state.closing {
            state = shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if !state.dirty {
            return;
        }
        if !state.closing {
            state = shared
                .wake
                .wait_timeout_while(state, FLUSH_AFTER, |state| !state.closing)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.dirty = false;
        drop(state);
        // Whoever writes next is told.
        let _ = shared.flush();
        state = shared.lock();
    }
}

/// What a journal holds.
#[derive(Debug)]
pub struct Replay {
    /// Its whole entries.
    pub entries: Vec<Entry>,
    /// How many bytes they take; the rest is a torn line.
    pub length: u64,
}

/// Reads a journal; a torn last line counts as not written.
///
/// # Errors
///
/// [`JournalError`] when it cannot be read, or a line before the last is damaged.
pub fn read(path: &Path) -> Result<Replay, JournalError> {
    let shown = || path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| JournalError::Io {
        path: shown(),
        verb: "read",
        error,
    })?;
    refuse_later(&bytes, shown)?;
    replay(&bytes).map_err(|(line, why)| JournalError::Damaged { path: shown(), line, why })
}

/// A journal that another process may be writing, read as it grows.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    read: u64,
}

impl Tail {
    /// Has read nothing yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, read: 0 }
    }

    /// Returns how many bytes were read.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read
    }

    /// Returns the whole entries that were written since it was asked last.
    ///
    /// # Errors
    ///
    /// As for [`read`].
    pub fn entries(&mut self) -> Result<Vec<Entry>, JournalError> {
        let shown = || self.path.display().to_string();
        let mut bytes = Vec::new();
        File::open(&self.path)
            .and_then(|mut file| {
                file.seek(io::SeekFrom::Start(self.read))?;
                file.read_to_end(&mut bytes)
            })
            .map_err(|error| JournalError::Io { path: shown(), verb: "read", error })?;
        if self.read == 0 {
            refuse_later(&bytes, shown)?;
        }
        let Replay { entries, length } = replay(&bytes)
            .map_err(|(line, why)| JournalError::Damaged { path: shown(), line, why })?;
        self.read += length;
        Ok(entries)
    }
}

/// Refuses a journal of a later release, which may hold entries that this one cannot read.
fn refuse_later(bytes: &[u8], shown: impl Fn() -> String) -> Result<(), JournalError> {
    match version(bytes) {
        Some(found) if !found.parse().is_ok_and(|found| VERSION.reads(found)) => {
            Err(JournalError::Version { path: shown(), found })
        }
        _ => Ok(()),
    }
}

/// Returns what the first line says about its version, whatever else it says.
fn version(bytes: &[u8]) -> Option<String> {
    let line = bytes.split_inclusive(|&byte| byte == b'\n').next()?;
    of_beginning(line, "format_version")
}

/// Returns the tree a run was made of, also when the rest of its journal cannot be read.
#[must_use]
pub fn tree_of(path: &Path) -> Option<String> {
    let mut line = Vec::new();
    let file = io::BufReader::new(File::open(path).ok()?).take(1 << 20);
    io::BufRead::read_until(&mut { file }, b'\n', &mut line).ok()?;
    of_beginning(&line, "tree")
}

fn of_beginning(line: &[u8], key: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(line).ok()?;
    Some(value.get("run_started")?.get(key)?.as_str()?.to_owned())
}

/// Reads a journal's bytes; an error names the line.
///
/// # Errors
///
/// The number of the damaged line, and what is wrong with it.
pub fn replay(bytes: &[u8]) -> Result<Replay, (usize, String)> {
    let mut replay = Replay { entries: Vec::new(), length: 0 };
    let mut rest = bytes;
    let mut number = 0;
    while let Some(end) = rest.iter().position(|&byte| byte == b'\n') {
        let (line, after) = rest.split_at(end + 1);
        number += 1;
        match serde_json::from_slice(line) {
            Ok(entry) => replay.entries.push(entry),
            // A power cut may leave the last block as zeros: nothing whole follows them.
            Err(_) if !after.contains(&b'\n') => break,
            Err(error) => return Err((number, error.to_string())),
        }
        replay.length += line.len() as u64;
        rest = after;
    }
    Ok(replay)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(attempt: u32) -> Entry {
        Entry::AttemptStarted { node: "execute-a".to_owned(), attempt, at: "now".to_owned() }
    }

    #[test]
    fn what_was_written_reads_back_at_once_and_after_closing() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.jsonl");
        let journal = Journal::open(&path, 0).expect("opens");
        journal.write(&entry(1)).expect("written");
        assert_eq!(read(&path).expect("reads").entries, [entry(1)]);
        journal.write_through(&entry(2)).expect("written");
        journal.settle().expect("settled");
        let replay = read(&path).expect("reads");
        assert_eq!(replay.entries, [entry(1), entry(2)]);
        assert_eq!(replay.length, std::fs::metadata(&path).expect("there").len());
    }

    #[test]
    fn a_flush_that_failed_is_told_to_everybody_from_there_on() {
        use std::sync::atomic::{AtomicBool, Ordering};
        // As a kernel does: it says so once, to the caller that asks first.
        static SAID: AtomicBool = AtomicBool::new(false);
        fn once(_: &File) -> io::Result<()> {
            match SAID.swap(true, Ordering::SeqCst) {
                true => Ok(()),
                false => Err(io::Error::other("the disk is gone")),
            }
        }
        let dir = tempfile::tempdir().expect("a directory");
        let journal = Journal::with(&dir.path().join("journal.jsonl"), 0, once).expect("opens");
        journal.write(&entry(1)).expect("nobody flushed yet");
        while !SAID.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        for attempt in 2..5 {
            let error = journal.write_through(&entry(attempt)).expect_err("not certain");
            assert!(error.to_string().contains("the disk is gone"), "{error}");
        }
        journal.settle().expect_err("not certain");
    }

    #[test]
    fn a_torn_last_line_is_cut_off_wherever_it_was_torn() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.jsonl");
        let journal = Journal::open(&path, 0).expect("opens");
        journal.write(&entry(1)).expect("written");
        journal.write(&entry(2)).expect("written");
        journal.settle().expect("settled");
        let whole = std::fs::read(&path).expect("readable");
        let first = whole.iter().position(|&b| b == b'\n').expect("a line") + 1;
        for cut in first..whole.len() {
            let replay = replay(&whole[..cut]).expect("reads");
            assert_eq!(replay.entries, [entry(1)]);
            assert_eq!(replay.length, first as u64);
        }
        std::fs::write(&path, &whole[..whole.len() - 3]).expect("writable");
        let replay = read(&path).expect("reads");
        let journal = Journal::open(&path, replay.length).expect("opens");
        journal.write(&entry(3)).expect("written");
        journal.settle().expect("settled");
        assert_eq!(read(&path).expect("reads").entries, [entry(1), entry(3)]);
    }

    #[test]
    fn a_journal_of_a_later_release_is_refused_by_its_version() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("journal.jsonl");
        let text = "{\"run_started\":{\"format_version\":\"1.7\",\"new\":0}}\n{\"news\":{}}\n";
        std::fs::write(&path, text).expect("written");
        let error = read(&path).expect_err("newer");
        assert!(matches!(error, JournalError::Version { .. }), "{error}");
    }

    #[test]
    fn zeros_at_the_end_count_as_torn_and_damage_before_it_does_not() {
        let mut text = serde_json::to_vec(&entry(1)).expect("JSON");
        text.push(b'\n');
        let mut zeros = text.clone();
        zeros.extend([0; 64]);
        zeros.push(b'\n');
        assert_eq!(replay(&zeros).expect("reads").entries, [entry(1)]);
        let mut damaged = b"{\"what\":1}\n".to_vec();
        damaged.extend(&text);
        assert_eq!(replay(&damaged).expect_err("damaged").0, 1);
    }
}
