//! Where results are kept: one directory for each key, on the machine of the executor.
//!
//! ```text
//! v1/
//!   locks/<digits>                  held by who runs that key
//!   new/<process>-<number>/         being written
//!   trusted/<2 digits>/<digits>/    entry.json, guest.log, artifacts.list, artifacts/
//!   untrusted/…
//!   owed/…                          `owed`'s notes
//! ```
//!
//! An entry appears whole, by a rename, and every file of it is compared with its checksum whenever it is
//! taken: one that is torn, foreign or changed is none. Decides nothing about who may read or write.

use std::{
    collections::BTreeSet,
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant, SystemTime},
};

use plans::Key;
use rustix::fs::Access;

use super::{
    Trust,
    entry::{self, Entry, Sum, Unusable},
};
use crate::{
    artifacts::kept::{self, KeptFiles},
    control::{Control, Level},
    directory,
    locks::Waiting,
    text,
};

/// The log's name, as in a node's directory.
const LOG: &str = "guest.log";

/// The directory of artifacts, as in a node's.
const ARTIFACTS: &str = "artifacts";

/// What lies beside an entry.
pub(super) const FILES: [&str; 3] = [LOG, kept::LIST, ARTIFACTS];

/// How often a lock that somebody holds is tried.
const PAUSE: Duration = Duration::from_millis(100);

/// How old a lock or an unfinished entry is that nobody needs.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How exactly is known when an entry was of use last.
const HOUR: Duration = Duration::from_secs(60 * 60);

/// The store.
#[derive(Debug, Clone)]
pub(crate) struct Store(PathBuf);

/// A kept result, where it lies.
#[derive(Debug)]
pub(crate) struct Kept {
    /// Its directory.
    pub(crate) dir: PathBuf,
    /// Whose.
    pub(crate) trust: Trust,
    /// What it is.
    pub(crate) entry: Entry,
    /// When it was last of use.
    pub(crate) used: SystemTime,
}

/// Keeps others from running the same key; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct KeyLock(#[expect(dead_code, reason = "its lock ends with it")] File);

impl Store {
    /// Takes a directory that belongs to this user alone.
    pub(crate) fn new(dir: &Path) -> Self {
        Self(dir.join("v1"))
    }

    /// Returns its directory.
    pub(crate) fn dir(&self) -> &Path {
        self.0.parent().expect("one level above")
    }

    /// Returns why nothing can be kept, if so: what is there can be read all the same.
    pub(crate) fn read_only(&self) -> Option<io::Error> {
        let wanted = Access::WRITE_OK | Access::EXEC_OK;
        rustix::fs::access(self.dir(), wanted).err().map(io::Error::from)
    }

    /// Returns the directory of notes of what is owed to hosts.
    pub(super) fn owed(&self) -> PathBuf {
        self.0.join("owed")
    }

    fn place(&self, trust: Trust, key: &Key) -> PathBuf {
        let digits = key.digits();
        self.0.join(trust.as_str()).join(&digits[..2]).join(digits)
    }

    /// Waits until nobody else runs a key, for at most `patience`; nothing when that is over, when `control` rises, or
    /// when no lock can be made: two who run the same key are no harm. `waits` is called when somebody else does.
    pub(crate) fn lock(
        &self,
        key: &Key,
        patience: Duration,
        control: &Control,
        waits: &dyn Fn(&Waiting),
    ) -> Option<KeyLock> {
        let dir = self.0.join("locks");
        make(&dir).ok()?;
        let path = dir.join(key.digits());
        let file = File::options().create(true).append(true).open(path).ok()?;
        let until = Instant::now() + patience;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Some(KeyLock(file)),
                Err(TryLockError::Error(_)) => return None,
                Err(TryLockError::WouldBlock) => {}
            }
            if control.level() > Level::Run || Instant::now() >= until {
                return None;
            }
            if !std::mem::replace(&mut told, true) {
                let resource = "another executor that runs the same".to_owned();
                waits(&Waiting { resource, holder: None });
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Puts what is kept of a key, verified, to where it is wanted. Returns nothing when there is nothing, with a note when
    /// that is because of what lies there.
    pub(crate) fn take(
        &self,
        key: &Key,
        readable: &[Trust],
        to: Destination<'_>,
        control: &Control,
    ) -> Result<Entry, Option<String>> {
        let mut note = None;
        for &trust in readable {
            let dir = self.place(trust, key);
            match taken(&dir, key, to, control) {
                Ok(found) => {
                    note_use(&dir);
                    return Ok(found);
                }
                Err(Unusable::Absent) => {}
                Err(Unusable::Damaged(why)) => {
                    note = Some(format!("the kept result {} is not used: {why}", dir.display()));
                }
            }
        }
        Err(note)
    }

    /// Returns whether something is kept of a key, whatever it is worth.
    pub(super) fn has(&self, key: &Key, readable: &[Trust]) -> bool {
        readable.iter().any(|&trust| self.place(trust, key).join(entry::FILE).exists())
    }

    /// Returns how many bytes are kept of a key, if what is kept can be read.
    pub(super) fn bytes(&self, key: &Key, trust: Trust) -> Option<u64> {
        Entry::read(&self.place(trust, key)).ok().map(|entry| entry.bytes)
    }

    /// Returns a path at which something may be written before it is published.
    ///
    /// # Errors
    ///
    /// When the store cannot be written to.
    pub(super) fn new_path(&self) -> io::Result<PathBuf> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let new = self.0.join("new");
        make(&new)?;
        Ok(new.join(format!("{}-{number}", std::process::id())))
    }

    /// Makes the directory of an entry that was taken from it the kept one.
    ///
    /// # Errors
    ///
    /// When it cannot be moved there.
    pub(super) fn adopt(&self, dir: &Path, trust: Trust, key: &Key) -> io::Result<()> {
        let place = self.place(trust, key);
        make(place.parent().expect("two levels above"))?;
        if place.symlink_metadata().is_ok() {
            directory::remove(&place)?;
        }
        match fs::rename(dir, &place) {
            // Another executor kept the same.
            Err(_) if place.join(entry::FILE).exists() => Ok(()),
            renamed => renamed,
        }
    }

    /// Keeps what a node left in its directory; one that is there already is replaced.
    ///
    /// # Errors
    ///
    /// When it cannot be written; nothing is kept then.
    pub(crate) fn keep(
        &self,
        mut entry: Entry,
        trust: Trust,
        node_dir: &Path,
        control: &Control,
    ) -> Result<(), String> {
        let new = self.new_path().map_err(|error| error.to_string())?;
        let mut written = || -> Result<(), String> {
            let failed = |error: io::Error| error.to_string();
            make(&new).map_err(failed)?;
            let log = node_dir.join(LOG);
            if log.exists() {
                entry.log = Some(link(&log, &new.join(LOG)).map_err(failed)?);
            }
            let artifacts = node_dir.join(ARTIFACTS);
            if artifacts.exists() {
                if !node_dir.join(kept::LIST).exists() {
                    kept::write_list(&artifacts).map_err(|fault| fault.to_string())?;
                }
                let list = node_dir.join(kept::LIST);
                entry.list = Some(link(&list, &new.join(kept::LIST)).map_err(failed)?);
                let files = KeptFiles::all(artifacts, &entry.reused.node)
                    .map_err(|fault| fault.to_string())?;
                files.stage(&new.join(ARTIFACTS), control).map_err(|fault| fault.to_string())?;
                entry.bytes += files.bytes();
            }
            entry.bytes += entry.log.as_ref().map_or(0, |log| log.bytes);
            let file = new.join(entry::FILE);
            fs::write(&file, entry.to_bytes()).map_err(failed)?;
            // What a power cut could tear is found by its checksum; the name must not come before the content.
            File::open(&file).and_then(|file| file.sync_all()).map_err(failed)?;
            self.adopt(&new, trust, &entry.key).map_err(failed)
        };
        let answer = written();
        let _ = directory::remove(&new);
        answer
    }

    /// Lists everything that is kept and can be read, the one that was of use last first.
    ///
    /// # Errors
    ///
    /// When the store cannot be listed.
    pub(crate) fn list(&self) -> io::Result<Vec<Kept>> {
        let mut all = Vec::new();
        let now = SystemTime::now();
        for trust in Trust::ALL {
            for shard in entries(&self.0.join(trust.as_str()))? {
                for dir in entries(&shard)? {
                    let Ok(entry) = Entry::read(&dir) else { continue };
                    let used = used(&dir, now).unwrap_or(SystemTime::UNIX_EPOCH);
                    all.push(Kept { dir, trust, entry, used });
                }
            }
        }
        all.sort_by(|one, other| (other.used, &one.dir).cmp(&(one.used, &other.dir)));
        Ok(all)
    }

    /// Returns what is of no use, each with the reason: entries that are not retained; what cannot be read; what was never
    /// finished; what lies in the place of a directory.
    ///
    /// # Errors
    ///
    /// When the store cannot be listed.
    pub(crate) fn superfluous(
        &self,
        mut retention: Retention,
    ) -> io::Result<Vec<(PathBuf, String)>> {
        let now = retention.now;
        let mut gone = Vec::new();
        let mut good = BTreeSet::new();
        for kept in self.list()? {
            if let Some(why) = retention.ends(&kept.entry, kept.entry.bytes, kept.used) {
                gone.push((kept.dir.clone(), why));
            }
            good.insert(kept.dir);
        }
        let is_stray = |path: &Path| fs::metadata(path).is_ok_and(|it| !it.is_dir());
        let parts = Trust::ALL.map(Trust::as_str).into_iter().chain(["new", "locks", "owed"]);
        let of_notes = Trust::ALL.map(|trust| self.owed().join(trust.as_str()));
        let places = std::iter::once(self.0.clone()).chain(parts.map(|part| self.0.join(part)));
        let places = places.chain(of_notes);
        gone.extend(
            places
                .filter(|place| is_stray(place))
                .map(|place| (place, "a file in the place of results".to_owned())),
        );
        for trust in Trust::ALL {
            for shard in entries(&self.0.join(trust.as_str()))? {
                if is_stray(&shard) {
                    gone.push((shard, DAMAGED.to_owned()));
                    continue;
                }
                let unread = entries(&shard)?.into_iter().filter(|dir| !good.contains(dir));
                gone.extend(unread.map(|dir| (dir, DAMAGED.to_owned())));
            }
        }
        for (part, what) in [("new", "an unfinished result"), ("locks", "a lock of a result")] {
            for path in entries(&self.0.join(part))? {
                let used = used(&path, now);
                if used.is_ok_and(|used| is_older(used, now, DAY)) && !is_held(&path) {
                    gone.push((path, what.to_owned()));
                }
            }
        }
        Ok(gone)
    }

    /// Removes one thing that [`Self::list`] or [`Self::superfluous`] named.
    ///
    /// # Errors
    ///
    /// When it is still there.
    pub(crate) fn remove(path: &Path) -> io::Result<()> {
        match fs::symlink_metadata(path)?.is_dir() {
            true => directory::remove(path),
            false => fs::remove_file(path),
        }
    }
}

/// What a collection says of an entry that cannot be read.
pub(crate) const DAMAGED: &str = "a damaged result";

/// Which results are kept: those that were of use last, up to a size. They are asked about in the order of their use, the
/// last one first.
#[derive(Debug)]
pub(crate) struct Retention {
    now: SystemTime,
    age: Duration,
    bytes: u64,
    sum: u64,
}

impl Retention {
    /// Keeps what was of use within `age`, and of it at most so many bytes.
    pub(crate) fn new(age: Duration, bytes: u64) -> Self {
        Self { now: SystemTime::now(), age, bytes, sum: 0 }
    }

    /// Returns why the next one is not kept, for people.
    pub(crate) fn ends(&mut self, entry: &Entry, bytes: u64, used: SystemTime) -> Option<String> {
        self.sum = self.sum.saturating_add(bytes);
        let why = if is_older(used, self.now, self.age) {
            "unused for too long"
        } else if self.sum > self.bytes {
            "beyond the limit"
        } else {
            return None;
        };
        Some(format!("result of `{}`, {why}", text::neutral(&entry.reused.node)))
    }
}

/// Dates an entry of which use is made: such are the last to go. Once in a while is often enough.
fn note_use(dir: &Path) {
    let now = SystemTime::now();
    let dated = used(dir, now).is_ok_and(|used| !is_older(used, now, HOUR));
    if !dated {
        let _ = File::open(dir).and_then(|dir| dir.set_modified(now));
    }
}

pub(super) fn is_older(used: SystemTime, now: SystemTime, than: Duration) -> bool {
    now.duration_since(used).is_ok_and(|passed| passed > than)
}

/// Returns when something was of use last. What is dated ahead, by a clock that was set back since, is dated now: it would be
/// the last to go for ever.
pub(super) fn used(path: &Path, now: SystemTime) -> io::Result<SystemTime> {
    let used = fs::symlink_metadata(path)?.modified()?;
    if used <= now {
        return Ok(used);
    }
    // A store that is only read keeps its dates.
    let _ = File::open(path).and_then(|it| it.set_modified(now));
    Ok(now)
}

fn is_held(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

/// A log of at most so many bytes is given at once.
const SMALL: u64 = 64 << 10;

/// Where a kept result is put.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Destination<'a> {
    /// A directory that is not there yet.
    New(&'a Path),
    /// A node's directory, in the place of what a job left there; the entry last: where it is, the rest is too.
    Node(&'a Path),
    /// The same, if that takes no time: what has artifacts or a long log counts as absent. `is_new`: nothing is there.
    NodeAtOnce { dir: &'a Path, is_new: bool },
}

/// Puts what the directory of an entry holds to where it is wanted, verified; says why there is nothing, and leaves nothing
/// then.
pub(super) fn taken(
    dir: &Path,
    key: &Key,
    to: Destination<'_>,
    control: &Control,
) -> Result<Entry, Unusable> {
    let found = Entry::read(dir)?;
    let own = fs::symlink_metadata(dir)
        .is_ok_and(|it| it.is_dir() && it.uid() == rustix::process::geteuid().as_raw());
    let copied = match (own && found.key == *key, to) {
        (false, _) => Err("it is not its own key's, or somebody else's".to_owned()),
        (true, Destination::New(into)) => copy_out(&found, dir, into, control),
        (true, Destination::NodeAtOnce { .. }) if !found.is_small(SMALL) => {
            return Err(Unusable::Absent);
        }
        (true, Destination::NodeAtOnce { dir: into, is_new: true }) => link_all(&found, dir, into),
        (true, Destination::Node(into) | Destination::NodeAtOnce { dir: into, .. }) => {
            put(&found, dir, into, control)
        }
    };
    copied.map(|()| found).map_err(Unusable::Damaged)
}

fn copy_out(entry: &Entry, dir: &Path, into: &Path, control: &Control) -> Result<(), String> {
    let copied = || -> Result<(), String> {
        let failed = |error: io::Error| error.to_string();
        make(into).map_err(failed)?;
        link_log(entry, dir, into)?;
        if let Some(list) = &entry.list {
            link_same(kept::LIST, list, dir, into)?;
            let files = KeptFiles::all(dir.join(ARTIFACTS), &entry.reused.node)
                .map_err(|fault| fault.to_string())?;
            files.stage(&into.join(ARTIFACTS), control).map_err(|fault| fault.to_string())?;
        }
        fs::write(into.join(entry::FILE), entry.to_bytes()).map_err(failed)
    };
    copied().inspect_err(|_| {
        let _ = directory::remove(into);
    })
}

fn put(entry: &Entry, dir: &Path, node_dir: &Path, control: &Control) -> Result<(), String> {
    let failed = |error: io::Error| error.to_string();
    for name in [entry::FILE].into_iter().chain(FILES) {
        let path = node_dir.join(name);
        if path.symlink_metadata().is_ok() {
            directory::remove(&path).map_err(failed)?;
        }
    }
    if entry.list.is_none() {
        return link_all(entry, dir, node_dir);
    }
    let staged = node_dir.join(".reused");
    directory::remove(&staged).map_err(failed)?;
    copy_out(entry, dir, &staged, control)?;
    for name in FILES.into_iter().chain([entry::FILE]) {
        match fs::rename(staged.join(name), node_dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    fs::remove_dir(staged).map_err(failed)
}

/// Links an entry without artifacts.
fn link_all(entry: &Entry, dir: &Path, node_dir: &Path) -> Result<(), String> {
    link_log(entry, dir, node_dir)?;
    let to = node_dir.join(entry::FILE);
    // Whoever reads it there compares it with its digest once more.
    fs::hard_link(dir.join(entry::FILE), &to)
        .or_else(|_| fs::write(&to, entry.to_bytes()))
        .map_err(|error| error.to_string())
}

fn link_log(entry: &Entry, dir: &Path, into: &Path) -> Result<(), String> {
    entry.log.as_ref().map_or(Ok(()), |log| link_same(LOG, log, dir, into))
}

/// Links a file of an entry, which is not there when it is not what was kept.
fn link_same(name: &str, sum: &Sum, dir: &Path, into: &Path) -> Result<(), String> {
    let to = into.join(name);
    let why = match link(&dir.join(name), &to) {
        Ok(found) if found == *sum => return Ok(()),
        Ok(_) => format!("its `{name}` is not what was kept"),
        Err(error) => format!("its `{name}` cannot be read: {error}"),
    };
    let _ = fs::remove_file(to);
    Err(why)
}

/// Links a file, or copies it where that cannot be, and says what it is.
fn link(from: &Path, to: &Path) -> io::Result<Sum> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
    }
    let (digest, bytes) = kept::sum(&mut File::open(to)?)?;
    Ok(Sum { sha256: text::hex(&digest), bytes })
}

/// Makes a directory that is this user's alone.
pub(super) fn make(dir: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Lists a directory in order of its names; one that is not there, or is none, is empty.
pub(super) fn entries(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let listed = match fs::read_dir(dir) {
        Ok(listed) => listed,
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut paths = listed.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}
