//! The locks of this machine: slots of a limited host, and groups.
//!
//! Each is a file that its holder keeps locked. All of them are acquired at once or none, so that
//! nobody waits while holding; a waiter sleeps until some lock file is closed, which a dying holder
//! does too. A job can outlive the executor that acquired its lock; the file therefore names the
//! job's directory, and a lock counts as taken while that job runs, here or in a guest. Who waits leaves a note in
//! `waiting/`, and keeps it locked as long as it waits.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
};
use serde::{Deserialize, Serialize};

use super::{
    ASK_AGAIN, HeldLocks, Holder, Holding, LockRequest, Notified, Resource, Table, Waiter, Waiting,
    holders::Standing,
};
use crate::{
    clock,
    control::{Control, Level},
    fault::{FailureKind, Fault},
    supervise::JobRef,
};

/// The holder of a lock, for those who wait and for those who find the file after a crash.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LockHolder {
    /// The job, for people.
    job: String,
    /// The executor's process.
    pid: u32,
    /// Its directory, to ask whether it runs.
    dir: PathBuf,
    /// Since when (RFC 3339); executors of earlier releases do not say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    since: String,
    /// In a note of one who waits: for what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    waits_for: Option<String>,
}

impl LockHolder {
    /// What this process writes for a job.
    fn of((job, dir): &(JobRef, String)) -> Self {
        let dir = PathBuf::from(dir);
        let (pid, since) = (std::process::id(), clock::now());
        Self { job: job.to_string(), pid, dir, since, waits_for: None }
    }

    /// Tells it as everybody else does.
    fn told(self) -> Holder {
        let mut holder =
            JobRef::parse(&self.job).map(|job| Holder::of_job(&job)).unwrap_or_default();
        holder.process = Some(format!("{} on {}", self.pid, crate::state::host_name()));
        holder.since = Some(self.since).filter(|since| !since.is_empty());
        holder
    }
}

/// Reads what the holder of a file wrote, if it says anything.
fn holder_of(text: &str) -> Option<Holder> {
    serde_json::from_str::<LockHolder>(text).ok().map(LockHolder::told)
}

/// The note of one who waits, as long as it does.
struct Note {
    path: PathBuf,
    _locked: File,
}

/// The directory of these notes.
const WAITING: &str = "waiting";

impl Note {
    /// Leaves one. Without, nobody sees the waiter, and it waits all the same.
    fn leave(dir: &Path, holder: &(JobRef, String), waiting: &Waiting) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let dir = dir.join(WAITING);
        fs::create_dir_all(&dir).ok()?;
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = dir.join(format!("{}-{number}", std::process::id()));
        let mut file = File::options().create(true).truncate(true).write(true).open(&path).ok()?;
        file.try_lock().ok()?;
        let waits_for = Some(waiting.resource.clone());
        let note = LockHolder { waits_for, ..LockHolder::of(holder) };
        file.write_all(&serde_json::to_vec(&note).ok()?).ok()?;
        Some(Self { path, _locked: file })
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Locks that are held.
struct Locks(Vec<File>);

impl HeldLocks for Locks {}

impl Drop for Locks {
    fn drop(&mut self) {
        for file in &mut self.0 {
            // Nobody who finds it asks for a job any more. Closing it wakes those who wait, and the kernel says so
            // before it lets go of the lock.
            let _ = file.set_len(0);
            let _ = file.unlock();
        }
    }
}

enum Taken {
    All(Locks),
    /// Somebody's executor lives.
    Busy(Waiting),
    /// Somebody's job lives without one.
    Orphaned(Waiting),
}

/// What the places and groups of this machine are said to be on.
const HERE: &str = "this machine";

impl Taken {
    /// Nobody has it but for an instant, or it is somebody's who left these words.
    fn by(of: Busy, path: &Path, text: &str) -> Self {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let resource = Resource::of_file(name).unwrap_or_else(|| Resource::Group(name.to_owned()));
        let waiting = Waiting::of(&resource, HERE, holder_of(text));
        match of {
            Busy::Executor => Self::Busy(waiting),
            Busy::Job => Self::Orphaned(waiting),
        }
    }
}

/// Who keeps a lock from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Busy {
    Executor,
    Job,
}

/// Takes everything that is wanted, waiting as long as `control` allows.
pub(crate) fn acquire(
    dir: &Path,
    wanted: &LockRequest,
    control: &Control,
    waits: &dyn Fn(&Waiting),
    is_alive: impl Fn(&Path) -> bool,
) -> Result<Option<Box<dyn HeldLocks>>, Fault> {
    let nothing = wanted.groups.is_empty() && wanted.max_jobs.is_none();
    if nothing {
        return Ok(Some(Box::new(Locks(Vec::new()))));
    }
    let failed = |error: &io::Error| {
        Fault::io(FailureKind::Io, format!("acquiring a lock in {}", dir.display()), error)
    };
    fs::create_dir_all(dir).map_err(|error| failed(&error))?;
    // Before the first look, so that no end is missed between the look and the sleep.
    let watch = || -> io::Result<_> {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&watch, dir, inotify::WatchFlags::CLOSE_WRITE)?;
        Ok(watch)
    };
    let mut watching = None;
    let (mut notified, mut note) = (Notified::default(), None);
    // Whether it was looked again after something was closed: a holder that was killed has its lock for another moment.
    let mut twice = false;
    loop {
        // Taking all but one, and letting them go again, would wake this waiter itself, and so on without end.
        let busy = match &watching {
            Some(_) => look(dir, wanted, &is_alive).map_err(|error| failed(&error))?,
            None => None,
        };
        let taken = match busy {
            Some(busy) => busy,
            None => take(dir, wanted, &is_alive).map_err(|error| failed(&error))?,
        };
        let (waiting, at_most) = match taken {
            Taken::All(locks) => return Ok(Some(Box::new(locks))),
            Taken::Busy(by) if twice => (by, None),
            Taken::Busy(by) => (by, Timespec::try_from(Duration::from_millis(50)).ok()),
            Taken::Orphaned(by) => (by, Timespec::try_from(ASK_AGAIN).ok()),
        };
        let Some(events) = &watching else {
            watching = Some(watch().map_err(|error| failed(&error))?);
            note = wanted.holder.as_ref().and_then(|holder| Note::leave(dir, holder, &waiting));
            notified.tell(waiting, waits);
            continue;
        };
        // Its holder is known only once it wrote itself down.
        if waiting.holder.is_some() {
            notified.tell(waiting, waits);
        }
        if control.level() > Level::Run {
            drop(note);
            return Ok(None);
        }
        let raised = control.raised(Level::Run);
        let mut fds = vec![PollFd::new(events, PollFlags::IN)];
        fds.extend(raised.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let _ = poll(&mut fds, at_most.as_ref());
        let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(events, &mut buffer);
        twice = true;
        while reader.next().is_ok() {
            twice = false;
        }
    }
}

/// Returns the groups that are wanted, each once, in the order in which everybody takes them.
fn groups(wanted: &LockRequest) -> Vec<String> {
    let mut groups: Vec<String> =
        wanted.groups.iter().map(|group| format!("group.{group}")).collect();
    groups.sort();
    groups.dedup();
    groups
}

/// Returns why not all of it can be had now, `None` if it can. Nothing is taken, and nobody woken.
fn look(
    dir: &Path,
    wanted: &LockRequest,
    is_alive: &impl Fn(&Path) -> bool,
) -> io::Result<Option<Taken>> {
    for group in groups(wanted) {
        let path = dir.join(group);
        match probe(&path, wanted, is_alive)? {
            Probe::Free(_) => {}
            Probe::Busy(of, text) => return Ok(Some(Taken::by(of, &path, &text))),
        }
    }
    let Some(slots) = wanted.max_jobs else { return Ok(None) };
    let mut busy = None;
    for slot in 0..slots.max(1) {
        let path = dir.join(format!("place.{slot}"));
        match probe(&path, wanted, is_alive)? {
            Probe::Free(_) => return Ok(None),
            Probe::Busy(of, text) => busy = worse(busy, of, &path, &text),
        }
    }
    Ok(busy)
}

/// Of several that are busy the first is told; one of a job alone has to be asked for again.
fn worse(busy: Option<Taken>, of: Busy, path: &Path, text: &str) -> Option<Taken> {
    match (busy, of) {
        (Some(Taken::Busy(by)), Busy::Job) => Some(Taken::Orphaned(by)),
        (Some(busy), _) => Some(busy),
        (None, _) => Some(Taken::by(of, path, text)),
    }
}

fn take(dir: &Path, wanted: &LockRequest, is_alive: &impl Fn(&Path) -> bool) -> io::Result<Taken> {
    let mut held = Locks(Vec::new());
    for group in groups(wanted) {
        let path = dir.join(group);
        match take_one(&path, wanted, is_alive)? {
            One::Taken(file) => held.0.push(file),
            One::Busy(of, text) => return Ok(Taken::by(of, &path, &text)),
        }
    }
    if let Some(slots) = wanted.max_jobs {
        let mut busy = None;
        for slot in 0..slots.max(1) {
            let path = dir.join(format!("place.{slot}"));
            match take_one(&path, wanted, is_alive)? {
                One::Taken(file) => {
                    held.0.push(file);
                    return Ok(Taken::All(held));
                }
                One::Busy(of, text) => busy = worse(busy, of, &path, &text),
            }
        }
        if let Some(busy) = busy {
            return Ok(busy);
        }
    }
    Ok(Taken::All(held))
}

enum One {
    Taken(File),
    /// Somebody's, who left these words.
    Busy(Busy, String),
}

/// What a look at one of them found.
enum Probe {
    /// Nobody's, with what its last holder left in it.
    Free(String),
    /// Somebody's, who left these words.
    Busy(Busy, String),
}

/// Looks at one without taking it. The lock is a shared one, which tells it from a holder's: who is kept from an
/// exclusive one for an instant by a probe asks again, since its end wakes nobody.
fn probe(
    path: &Path,
    wanted: &LockRequest,
    is_alive: &impl Fn(&Path) -> bool,
) -> io::Result<Probe> {
    // Opened for reading first: closing a file open for writing would wake everybody who waits,
    // and they would look again, and so on.
    let mut probe = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            drop(File::options().append(true).create(true).open(path)?);
            File::open(path)?
        }
        Err(error) => return Err(error),
    };
    let locked = probe.try_lock_shared();
    let mut text = String::new();
    match locked {
        Ok(()) => _ = probe.read_to_string(&mut text)?,
        Err(TryLockError::WouldBlock) => {
            // Who it is, for people; it may be writing that down at this moment.
            let _ = probe.read_to_string(&mut text);
            return Ok(Probe::Busy(Busy::Executor, text));
        }
        Err(TryLockError::Error(error)) => return Err(error),
    }
    // The lock belongs to the open file: a second one must take it over. Whoever slips in between
    // has it, and that is as good. Asking can take a moment, and nobody is to wait for that.
    drop(probe);
    if let Ok(holder) = serde_json::from_str::<LockHolder>(&text)
        && Some(&holder.job) != wanted.holder.as_ref().map(|(job, _)| job.to_string()).as_ref()
        && is_alive(&holder.dir)
    {
        return Ok(Probe::Busy(Busy::Job, text));
    }
    Ok(Probe::Free(text))
}

/// Locks a file alone; `false`: somebody holds it so.
fn lock(file: &File) -> io::Result<bool> {
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        match file.try_lock_shared() {
            // Probes only, which are gone in a moment.
            Ok(()) => {
                file.unlock()?;
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

fn take_one(
    path: &Path,
    wanted: &LockRequest,
    is_alive: &impl Fn(&Path) -> bool,
) -> io::Result<One> {
    let text = match probe(path, wanted, is_alive)? {
        Probe::Free(text) => text,
        Probe::Busy(of, text) => return Ok(One::Busy(of, text)),
    };
    let mut file = File::options().read(true).write(true).open(path)?;
    if !lock(&file)? {
        return Ok(One::Busy(Busy::Executor, text));
    }
    let mut now = String::new();
    file.read_to_string(&mut now)?;
    if now != text {
        // Somebody had it meanwhile, whose job has to be asked for.
        return Ok(One::Busy(Busy::Job, now));
    }
    if let Some(holder) = &wanted.holder {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&serde_json::to_vec(&LockHolder::of(holder))?)?;
    }
    Ok(One::Taken(file))
}

/// Returns what is held and waited for here.
pub(crate) fn table(dir: &Path, is_alive: impl Fn(&Path) -> bool) -> io::Result<Table> {
    let mut table = Table::default();
    let nobody = LockRequest::default();
    for name in names(dir)? {
        let Some(resource) = Resource::of_file(&name) else { continue };
        let (standing, text) = match probe(&dir.join(&name), &nobody, &is_alive)? {
            Probe::Busy(Busy::Executor, text) => (Standing::Held, text),
            Probe::Busy(Busy::Job, text) => (Standing::Job, text),
            Probe::Free(text) if text.is_empty() => (Standing::Free, text),
            Probe::Free(text) => (Standing::Dead, text),
        };
        let holder = holder_of(&text).unwrap_or_default();
        table.holdings.push(Holding { resource, standing, holder, lease_left: None });
    }
    let notes = dir.join(WAITING);
    for name in names(&notes)? {
        // It may end, and take it away, at any moment.
        let Ok(mut file) = File::open(notes.join(&name)) else { continue };
        let dead = file.try_lock_shared().is_ok();
        let mut text = String::new();
        let _ = file.read_to_string(&mut text);
        let Ok(mut note) = serde_json::from_str::<LockHolder>(&text) else { continue };
        let resource = note.waits_for.take().unwrap_or_default();
        let file = format!("{WAITING}/{name}");
        table.waiters.push(Waiter { resource, holder: note.told(), dead, file });
    }
    Ok(table.sorted())
}

/// Takes the name of a dead holder off its lock, or a dead waiter's note away; `false`: it is not dead any more.
pub(crate) fn free(dir: &Path, file: &str, is_alive: impl Fn(&Path) -> bool) -> io::Result<bool> {
    let path = dir.join(file);
    if file.starts_with(WAITING) {
        let dead = File::open(&path)?.try_lock_shared().is_ok();
        return if dead { fs::remove_file(&path).map(|()| true) } else { Ok(false) };
    }
    match take_one(&path, &LockRequest::default(), &is_alive)? {
        One::Taken(file) => {
            drop(Locks(vec![file]));
            Ok(true)
        }
        One::Busy(..) => Ok(false),
    }
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    match fs::read_dir(dir) {
        Ok(entries) => {
            let names = entries.flatten().filter(|entry| !entry.path().is_dir());
            Ok(names.filter_map(|entry| entry.file_name().into_string().ok()).collect())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn wants(groups: &[&str]) -> LockRequest {
        let groups = groups.iter().map(|&group| group.to_owned()).collect();
        LockRequest { holder: None, max_jobs: None, groups, in_guest: false }
    }

    fn dead(_: &Path) -> bool {
        false
    }

    /// How often this thread gave up its processor to wait, as the kernel counts.
    fn waits_of_this_thread() -> u64 {
        let status = fs::read_to_string("/proc/thread-self/status").expect("a /proc");
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        count.and_then(|count| count.trim().parse().ok()).expect("a count")
    }

    #[test]
    fn a_waiter_for_two_groups_sleeps_until_the_busy_one_is_free() {
        let dir = tempfile::tempdir().expect("a directory");
        let control = Control::new().expect("a control");
        let holds = acquire(dir.path(), &wants(&["b"]), &control, &|_| {}, dead);
        let held = holds.expect("no fault").expect("free");
        std::thread::scope(|scope| {
            let waiting = std::sync::mpsc::channel();
            let (dir, control) = (dir.path(), &control);
            let waiter = scope.spawn(move || {
                let before = Cell::new(0);
                let waits = |_: &Waiting| {
                    before.set(waits_of_this_thread());
                    waiting.0.send(()).expect("somebody listens");
                };
                let all = acquire(dir, &wants(&["a", "b"]), control, &waits, dead);
                assert!(all.expect("no fault").is_some());
                waits_of_this_thread() - before.get()
            });
            waiting.1.recv().expect("it waits");
            // Long enough for thousands of rounds of one that spins.
            std::thread::sleep(Duration::from_millis(300));
            drop(held);
            let switches = waiter.join().expect("no panic");
            assert!(switches < 20, "{switches} wake-ups");
        });
    }

    #[test]
    fn probes_make_nobody_sleep_for_good() {
        let dir = tempfile::tempdir().expect("a directory");
        let over = std::sync::atomic::AtomicBool::new(false);
        let is_over = || over.load(std::sync::atomic::Ordering::Relaxed);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over() {
                        let _ = look(dir.path(), &wants(&["a"]), &dead);
                    }
                });
            }
            let waiters: Vec<_> = (0..3)
                .map(|_| {
                    scope.spawn(|| {
                        for _ in 0..20 {
                            let control = Control::new().expect("a control");
                            let wants = wants(&["a"]);
                            let held = acquire(dir.path(), &wants, &control, &|_| {}, dead);
                            drop(held.expect("an answer").expect("nobody cancels"));
                        }
                    })
                })
                .collect();
            for waiter in waiters {
                waiter.join().expect("no panic");
            }
            over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }

    #[test]
    fn those_who_want_the_same_two_in_either_order_all_have_them_in_the_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let control = Control::new().expect("a control");
        std::thread::scope(|scope| {
            for order in [["a", "b"], ["b", "a"], ["a", "b"], ["b", "a"]] {
                let (dir, control) = (dir.path(), &control);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let all = acquire(dir, &wants(&order), control, &|_| {}, dead);
                        drop(all.expect("no fault").expect("not cancelled"));
                    }
                });
            }
        });
    }

    #[test]
    fn a_table_tells_holders_waiters_and_the_dead_apart_and_the_dead_alone_are_freed() {
        let dir = tempfile::tempdir().expect("a directory");
        let job = |node: &str| JobRef { run: "r1".to_owned(), node: node.to_owned(), attempt: 1 };
        let wants_as = |node: &str| LockRequest {
            holder: Some((job(node), format!("/runs/r1/nodes/{node}"))),
            ..wants(&["g"])
        };
        let look = || table(dir.path(), dead).expect("readable");
        assert_eq!(look(), Table::default());
        let control = Control::new().expect("a control");
        let held = acquire(dir.path(), &wants_as("a"), &control, &|_| {}, dead).expect("no fault");
        std::thread::scope(|scope| {
            let (told, tells) = std::sync::mpsc::channel();
            let (path, control, wanted) = (dir.path(), &control, wants_as("b"));
            let waiter = scope.spawn(move || {
                let waits = |waiting: &Waiting| told.send(waiting.to_string()).expect("heard");
                acquire(path, &wanted, control, &waits, dead).expect("no fault").is_some()
            });
            let said = tells.recv().expect("it waits");
            assert!(said.starts_with("waits for group g (run r1, a, "), "{said}");
            let table = look();
            let [holding] = &table.holdings[..] else { panic!("{table:?}") };
            assert_eq!(
                (holding.standing, holding.holder.node.as_deref()),
                (Standing::Held, Some("a"))
            );
            let [waiter_] = &table.waiters[..] else { panic!("{table:?}") };
            assert_eq!((waiter_.dead, waiter_.holder.node.as_deref()), (false, Some("b")));
            assert!(table.dead().is_empty());
            assert!(!free(dir.path(), "group.g", dead).expect("asked"), "it is held");
            drop(held);
            assert!(waiter.join().expect("no panic"));
        });
        assert_eq!(look().holdings[0].standing, Standing::Free);
        assert!(look().waiters.is_empty());
        // What a killed holder and a killed waiter leave.
        let note =
            serde_json::to_vec(&LockHolder::of(&(job("c"), "/gone".to_owned()))).expect("JSON");
        fs::write(dir.path().join("group.g"), &note).expect("written");
        fs::write(dir.path().join("waiting/1-1"), &note).expect("written");
        assert_eq!(look().holdings[0].standing, Standing::Dead);
        let dead_ones = look().dead();
        assert_eq!(dead_ones.len(), 2);
        let alive = |_: &Path| true;
        assert_eq!(table(dir.path(), alive).expect("readable").holdings[0].standing, Standing::Job);
        for (file, _) in &dead_ones {
            assert!(free(dir.path(), file, dead).expect("freed"), "{file}");
        }
        assert_eq!(look().holdings[0].standing, Standing::Free);
        assert!(look().waiters.is_empty());
    }
}
