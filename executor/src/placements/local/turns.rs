//! Taking turns over all executors of a machine: places of a limited host, and groups.
//!
//! Each is a file that its holder keeps locked. All of them are taken at once or none, so nobody
//! waits while holding; who finds one taken sleeps until some lock file is closed, which a dying
//! holder does too. A job can outlive the executor that took its turn; the file therefore names the
//! job's directory, and a turn counts as taken while that job runs, here or in a guest.

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

use super::commands;
use crate::{
    control::{Control, Level},
    fault::{FailureKind, Fault},
    placements::{ControlCommand, Flow, Held, LIVES, Turn},
    supervise::JobStatus,
};

/// How often a turn is asked for again that a job without an executor holds: its end closes no
/// lock file.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How long a guest's engine may think about whether a job runs.
const ASK: Duration = Duration::from_secs(60);

/// Who holds a turn, for those who wait and for those who find the file after a crash.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Holder {
    /// The job, for people.
    job: String,
    /// The executor's process.
    pid: u32,
    /// Its directory, to ask whether it runs.
    dir: PathBuf,
}

/// Turns that are held.
struct Turns(Vec<File>);

impl Held for Turns {}

impl Drop for Turns {
    fn drop(&mut self) {
        for file in &mut self.0 {
            // Nobody who finds it asks for a job any more; closing it wakes those who wait.
            let _ = file.set_len(0);
        }
    }
}

enum Taken {
    All(Turns),
    /// Somebody's executor lives.
    Busy,
    /// Somebody's job lives without one.
    Orphaned,
}

/// Takes everything that is wanted, waiting as long as `control` allows.
pub(super) fn acquire(
    dir: &Path,
    wanted: &Turn,
    control: &Control,
    waits: &dyn Fn(),
    status: impl Fn(&Path) -> Result<JobStatus, Fault>,
) -> Result<Option<Box<dyn Held>>, Fault> {
    let nothing = wanted.groups.is_empty() && wanted.max_jobs.is_none();
    if nothing {
        return Ok(Some(Box::new(Turns(Vec::new()))));
    }
    let failed = |error: &io::Error| {
        Fault::io(FailureKind::Io, format!("taking a turn in {}", dir.display()), error)
    };
    fs::create_dir_all(dir).map_err(|error| failed(&error))?;
    // Before the first look, so that no end is missed between the look and the sleep.
    let watch = || -> io::Result<_> {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        inotify::add_watch(&watch, dir, inotify::WatchFlags::CLOSE_WRITE)?;
        Ok(watch)
    };
    let mut watching = None;
    loop {
        let taken = take(dir, wanted, &status).map_err(|error| failed(&error))?;
        let at_most = match taken {
            Taken::All(turns) => return Ok(Some(Box::new(turns))),
            Taken::Busy => None,
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
        while reader.next().is_ok() {}
    }
}

fn take(
    dir: &Path,
    wanted: &Turn,
    status: &impl Fn(&Path) -> Result<JobStatus, Fault>,
) -> io::Result<Taken> {
    let mut held = Vec::new();
    let mut groups = wanted.groups.clone();
    groups.sort();
    groups.dedup();
    for group in groups {
        match take_one(&dir.join(format!("group.{group}")), wanted, status)? {
            One::Taken(file) => held.push(file),
            One::Busy => return Ok(Taken::Busy),
            One::Orphaned => return Ok(Taken::Orphaned),
        }
    }
    if let Some(places) = wanted.max_jobs {
        let mut orphaned = false;
        let mut found = false;
        for place in 0..places.max(1) {
            match take_one(&dir.join(format!("place.{place}")), wanted, status)? {
                One::Taken(file) => {
                    held.push(file);
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
    Ok(Taken::All(Turns(held)))
}

enum One {
    Taken(File),
    Busy,
    Orphaned,
}

fn take_one(
    path: &Path,
    wanted: &Turn,
    status: &impl Fn(&Path) -> Result<JobStatus, Fault>,
) -> io::Result<One> {
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
    match probe.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(One::Busy),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut text = String::new();
    (&probe).read_to_string(&mut text)?;
    // The lock belongs to the open file: a second one must take it over. Whoever slips in between
    // has it, and that is as good. Asking can take a moment, and nobody is to wait for that.
    drop(probe);
    if let Ok(holder) = serde_json::from_str::<Holder>(&text)
        && Some(&holder.job) != wanted.holder.as_ref().map(|(job, _)| job.to_string()).as_ref()
        && (matches!(status(&holder.dir), Ok(JobStatus::Running)) || lives_in_guest(&holder.dir))
    {
        return Ok(One::Orphaned);
    }
    let mut file = File::options().read(true).write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(One::Busy),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let mut now = String::new();
    file.read_to_string(&mut now)?;
    if now != text {
        // Somebody had it meanwhile, whose job has to be asked for.
        return Ok(One::Orphaned);
    }
    if let Some((job, dir)) = &wanted.holder {
        let holder =
            Holder { job: job.to_string(), pid: std::process::id(), dir: PathBuf::from(dir) };
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(&serde_json::to_vec(&holder)?)?;
    }
    Ok(One::Taken(file))
}

/// Returns whether the job of an attempt's directory runs in a guest, as the script says that whoever
/// made the guest left there. Without an answer it may.
fn lives_in_guest(dir: &Path) -> bool {
    let script = dir.join(LIVES);
    if !script.is_file() {
        return false;
    }
    let command = ControlCommand::new(["sh", &script.to_string_lossy()]).deadline(ASK);
    match commands::stream(&command, &mut |_| Flow::Continue, None) {
        Ok(Some(answer)) => answer.success(),
        Ok(None) | Err(_) => true,
    }
}
