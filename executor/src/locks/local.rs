//! The locks of this machine: slots of a limited host, and groups.
//!
//! Each is a file that its holder keeps locked. All of them are acquired at once or none, so that
//! nobody waits while holding; a waiter sleeps until some lock file is closed, which a dying holder
//! does too. A job can outlive the executor that acquired its lock; the file therefore names the
//! job's directory, and a lock counts as taken while that job runs, here or in a guest.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
};
use serde::{Deserialize, Serialize};

use super::{ASK_AGAIN, HeldLocks, LockRequest};
use crate::{
    control::{Control, Level},
    fault::{FailureKind, Fault},
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
    Busy,
    /// Somebody's job lives without one.
    Orphaned,
}

/// Takes everything that is wanted, waiting as long as `control` allows.
pub(crate) fn acquire(
    dir: &Path,
    wanted: &LockRequest,
    control: &Control,
    waits: &dyn Fn(),
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
        let at_most = match taken {
            Taken::All(locks) => return Ok(Some(Box::new(locks))),
            Taken::Busy if twice => None,
            Taken::Busy => Timespec::try_from(Duration::from_millis(50)).ok(),
            Taken::Orphaned => Timespec::try_from(ASK_AGAIN).ok(),
        };
        let Some(events) = &watching else {
            watching = Some(watch().map_err(|error| failed(&error))?);
            waits();
            continue;
        };
        if control.level() > Level::Run {
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
        match probe(&dir.join(group), wanted, is_alive)? {
            Probe::Free(_) => {}
            Probe::Busy => return Ok(Some(Taken::Busy)),
            Probe::Orphaned => return Ok(Some(Taken::Orphaned)),
        }
    }
    let Some(slots) = wanted.max_jobs else { return Ok(None) };
    let mut orphaned = false;
    for slot in 0..slots.max(1) {
        match probe(&dir.join(format!("place.{slot}")), wanted, is_alive)? {
            Probe::Free(_) => return Ok(None),
            Probe::Busy => {}
            Probe::Orphaned => orphaned = true,
        }
    }
    Ok(Some(if orphaned { Taken::Orphaned } else { Taken::Busy }))
}

fn take(dir: &Path, wanted: &LockRequest, is_alive: &impl Fn(&Path) -> bool) -> io::Result<Taken> {
    let mut held = Locks(Vec::new());
    for group in groups(wanted) {
        match take_one(&dir.join(group), wanted, is_alive)? {
            One::Taken(file) => held.0.push(file),
            One::Busy => return Ok(Taken::Busy),
            One::Orphaned => return Ok(Taken::Orphaned),
        }
    }
    if let Some(slots) = wanted.max_jobs {
        let mut orphaned = false;
        let mut found = false;
        for slot in 0..slots.max(1) {
            match take_one(&dir.join(format!("place.{slot}")), wanted, is_alive)? {
                One::Taken(file) => {
                    held.0.push(file);
                    found = true;
                    break;
                }
                One::Busy => {}
                One::Orphaned => orphaned = true,
            }
        }
        if !found {
            return Ok(if orphaned { Taken::Orphaned } else { Taken::Busy });
        }
    }
    Ok(Taken::All(held))
}

enum One {
    Taken(File),
    Busy,
    Orphaned,
}

/// What a look at one of them found.
enum Probe {
    /// Nobody's, with what its last holder left in it.
    Free(String),
    Busy,
    Orphaned,
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
    let probe = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            drop(File::options().append(true).create(true).open(path)?);
            File::open(path)?
        }
        Err(error) => return Err(error),
    };
    match probe.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Probe::Busy),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut text = String::new();
    (&probe).read_to_string(&mut text)?;
    // The lock belongs to the open file: a second one must take it over. Whoever slips in between
    // has it, and that is as good. Asking can take a moment, and nobody is to wait for that.
    drop(probe);
    if let Ok(holder) = serde_json::from_str::<LockHolder>(&text)
        && Some(&holder.job) != wanted.holder.as_ref().map(|(job, _)| job.to_string()).as_ref()
        && is_alive(&holder.dir)
    {
        return Ok(Probe::Orphaned);
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
        Probe::Busy => return Ok(One::Busy),
        Probe::Orphaned => return Ok(One::Orphaned),
    };
    let mut file = File::options().read(true).write(true).open(path)?;
    if !lock(&file)? {
        return Ok(One::Busy);
    }
    let mut now = String::new();
    file.read_to_string(&mut now)?;
    if now != text {
        // Somebody had it meanwhile, whose job has to be asked for.
        return Ok(One::Orphaned);
    }
    if let Some((job, dir)) = &wanted.holder {
        let holder =
            LockHolder { job: job.to_string(), pid: std::process::id(), dir: PathBuf::from(dir) };
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&serde_json::to_vec(&holder)?)?;
    }
    Ok(One::Taken(file))
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
        let holds = acquire(dir.path(), &wants(&["b"]), &control, &|| {}, dead);
        let held = holds.expect("no fault").expect("free");
        std::thread::scope(|scope| {
            let waiting = std::sync::mpsc::channel();
            let (dir, control) = (dir.path(), &control);
            let waiter = scope.spawn(move || {
                let before = Cell::new(0);
                let waits = || {
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
                            let held = acquire(dir.path(), &wants, &control, &|| {}, dead);
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
                        let all = acquire(dir, &wants(&order), control, &|| {}, dead);
                        drop(all.expect("no fault").expect("not cancelled"));
                    }
                });
            }
        });
    }
}
