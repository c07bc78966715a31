//! One job: from its claim to its verdict, with every process it started gone.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    os::{
        fd::OwnedFd,
        unix::{ffi::OsStrExt as _, net::UnixStream},
    },
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::inotify,
    process::{Signal, WaitStatus},
};

use super::{
    keep::keep,
    launch::{Launched, ended_at_once, launch, seconds},
    memory::OomKills,
    mounts::Mounts,
    protocol::{JobReport, Request, Start, receive},
    record::{AttemptFiles, Claim},
    slot::Slot,
    tree::{descendants, reap, signal},
    view::MountedView,
    worker::PATIENCE,
};
use crate::{
    artifacts::Collected,
    fault::{FailureKind, Fault},
    redact::Masks,
    supervise::{Ended, Evidence, Reason},
};

/// What a supervisor listens to, whatever job it runs.
pub(super) struct Channels {
    pub(super) socket: UnixStream,
    /// Whether an executor is at the other end.
    pub(super) connected: bool,
    /// Readable when a child ended.
    children: UnixStream,
    /// Tells of files in the job's directory, once nobody is connected.
    files: Option<OwnedFd>,
}

impl Channels {
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        let (children, rung) = UnixStream::pair()?;
        children.set_nonblocking(true)?;
        rung.set_nonblocking(true)?;
        signal_hook::low_level::pipe::register(signal_hook::consts::SIGCHLD, rung)?;
        Ok(Self { socket, connected: true, children, files: None })
    }

    /// Returns whether the executor wants the job to end, which has not begun. Waits for nothing.
    fn is_cancelled(&mut self) -> bool {
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        if poll(&mut fds, Some(&at_once)).is_err() || fds[0].revents().is_empty() {
            return false;
        }
        match receive::<Request>(&mut self.socket) {
            Ok(Some(Request::Cancel { .. })) => true,
            Ok(Some(Request::Start(_))) => false,
            Ok(None) | Err(_) => {
                self.connected = false;
                false
            }
        }
    }
}

/// What a supervisor works with, job after job.
pub(super) struct SupervisorContext<'a> {
    pub(super) channels: &'a mut Channels,
    pub(super) mounts: &'a mut Mounts,
    /// Taken with the first job.
    pub(super) slot: &'a mut Option<Slot>,
}

/// Runs a claimed job. The verdict is in the record when this returns.
pub(super) fn run(start: &Start, claim: &Claim, context: &mut SupervisorContext<'_>) -> JobReport {
    let SupervisorContext { channels, mounts, slot } = context;
    let cookie = claim.cookie(&start.job);
    let mut report = match enter_slot(slot, start, &cookie) {
        Ok(slot) => run_in(slot, start, claim, channels, mounts),
        Err(fault) => JobReport::broken(fault),
    };
    if report.ended.is_none() {
        let broken = ended_at_once(Reason::Broken, None);
        let _ = claim.end(&broken).and_then(|()| claim.settle(Some(&broken)));
    }
    if let Some(Err(error)) = slot.as_mut().map(Slot::leave) {
        // The next one that takes it clears it; this supervisor is not to be trusted with it again.
        report.notes.push(format!("the job's directories could not be cleared: {error}"));
        mounts.spend();
    }
    report
}

fn enter_slot<'a>(
    slot: &'a mut Option<Slot>,
    start: &Start,
    cookie: &str,
) -> Result<&'a mut Slot, Fault> {
    let failed = |error: &io::Error| {
        let what = format!("taking a slot in {}", start.slots.display());
        Fault::io(FailureKind::Supervisor, what, error)
    };
    if slot.is_none() {
        *slot = Some(Slot::take(&start.slots).map_err(|error| failed(&error))?);
    }
    match slot {
        Some(slot) => {
            slot.enter(cookie).map_err(|error| failed(&error))?;
            Ok(slot)
        }
        None => Err(failed(&io::ErrorKind::NotFound.into())),
    }
}

fn run_in(
    slot: &Slot,
    start: &Start,
    claim: &Claim,
    channels: &mut Channels,
    mounts: &mut Mounts,
) -> JobReport {
    let mut notes = Vec::new();
    let seen = match MountedView::make(start, slot.view(), mounts, &mut notes) {
        Ok(seen) => seen,
        Err(fault) => return JobReport { notes, ..JobReport::broken(fault) },
    };
    let cookie = claim.cookie(&start.job);
    let launched = match masks(start, channels, &mut notes) {
        Ok(Ok(masks)) => launch(start, &cookie, slot, &seen, masks, &mut notes),
        Ok(Err(ended)) => Ok(Err(ended)),
        Err(fault) => Err(fault),
    };
    let report = match launched {
        Err(fault) => JobReport { notes, ..JobReport::broken(fault) },
        Ok(Err(ended)) => {
            let _ = claim.end(&ended);
            JobReport { ended: Some(ended), fault: None, collected: Collected::default(), notes }
        }
        Ok(Ok(launched)) => {
            let (ended, stuck, missing) = launched.watch(start, channels);
            notes.extend(missing);
            let mut fault = claim
                .end(&ended)
                .err()
                .map(|error| Fault::io(FailureKind::Supervisor, "writing the exit record", &error));
            if stuck > 0 {
                notes.push(format!("{stuck} processes cannot be killed: stuck in the kernel"));
                mounts.spend();
            }
            let collected = keep(start, slot, &seen, &ended).unwrap_or_else(|error| {
                fault.get_or_insert(error);
                Collected::default()
            });
            JobReport { ended: Some(ended), fault: fault.map(Into::into), collected, notes }
        }
    };
    seen.leave(mounts);
    report
}

/// Makes the masks of a job's secrets. While that lasts the job can be cancelled, and its time runs. The inner
/// error is a verdict.
fn masks(
    start: &Start,
    channels: &mut Channels,
    notes: &mut Vec<String>,
) -> Result<Result<Option<Arc<Masks>>, Ended>, Fault> {
    if start.secrets.is_empty() {
        return Ok(Ok(None));
    }
    let make = |values: Vec<String>| Masks::new(values.iter().map(String::as_str));
    let values: Vec<String> = start.secrets.values().cloned().collect();
    let made = if values.iter().map(String::len).sum::<usize>() <= Masks::CHEAP {
        make(values)
    } else {
        let (tell, made) = mpsc::channel();
        std::thread::Builder::new()
            .name("masks".to_owned())
            .spawn(move || tell.send(make(values)))
            .map_err(|error| Fault::io(FailureKind::Supervisor, "starting a thread", &error))?;
        let deadline = Instant::now() + Duration::from_millis(start.timeout_ms);
        loop {
            match made.recv_timeout(Duration::from_millis(10)) {
                Ok(made) => break made,
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let what = "the masks of its secrets could not be made";
                    return Err(Fault::new(FailureKind::Supervisor, what));
                }
                Err(mpsc::RecvTimeoutError::Timeout) if Instant::now() >= deadline => {
                    return Ok(Err(ended_at_once(Reason::TimedOut, None)));
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if channels.connected && channels.is_cancelled() {
                return Ok(Err(ended_at_once(Reason::Cancelled, None)));
            }
        }
    };
    // Never in the clear: without masks there is no job.
    let masks = made.map_err(|error| {
        Fault::new(FailureKind::Supervisor, error.to_string())
            .advice("give the job fewer or shorter secrets")
    })?;
    if masks.too_short > 0 {
        notes.push(format!(
            "{} secrets are too short to be masked in the log; make them longer",
            masks.too_short
        ));
    }
    Ok(Ok(Some(Arc::new(masks))))
}

/// The job is over, or is being ended: nobody of it may be left after `kill_at`.
struct Ending {
    reason: Reason,
    kill_at: Instant,
    give_up_at: Option<Instant>,
}

/// How a job stands while it is watched.
struct Watch<'a> {
    start: &'a Start,
    deadline: Instant,
    /// When its lease expires; absent while an executor is connected.
    lease_until: Option<Instant>,
    ending: Option<Ending>,
    /// The processes that had to be killed.
    killed: BTreeSet<i32>,
}

impl Watch<'_> {
    /// Ends the job: TERM now, KILL after a while. A later request with less grace is obeyed; the first
    /// reason stays.
    fn end(&mut self, reason: Reason, after: Duration) {
        let kill_at = Instant::now() + after;
        match &mut self.ending {
            Some(ending) => ending.kill_at = ending.kill_at.min(kill_at),
            None => {
                ask_to_end();
                self.ending = Some(Ending { reason, kill_at, give_up_at: None });
            }
        }
    }

    /// What only the time decides; returns when to look again.
    fn tick(&mut self) -> Instant {
        let now = Instant::now();
        let grace = Duration::from_millis(self.start.grace_ms);
        if self.ending.is_none() {
            if now >= self.deadline {
                self.end(Reason::TimedOut, grace);
            } else if self.lease_until.is_some_and(|until| now >= until) {
                self.end(Reason::LeaseExpired, grace);
            }
        }
        match &mut self.ending {
            None => self.lease_until.map_or(self.deadline, |until| until.min(self.deadline)),
            Some(ending) if now < ending.kill_at => ending.kill_at,
            Some(ending) => {
                ending.give_up_at.get_or_insert(now + PATIENCE);
                for pid in descendants() {
                    self.killed.insert(pid);
                    signal(pid, Signal::KILL);
                }
                // They may have forked meanwhile: look again even if nobody ends.
                now + Duration::from_millis(5)
            }
        }
    }

    /// Whether nothing more can be done about who is left.
    fn gives_up(&self) -> bool {
        let at = self.ending.as_ref().and_then(|ending| ending.give_up_at);
        at.is_some_and(|at| Instant::now() >= at)
    }

    /// The lease begins anew: the connection was lost just now, or an executor that is not connected says
    /// that it wants the job.
    fn renew(&mut self) {
        self.lease_until = Some(Instant::now() + Duration::from_millis(self.start.lease_ms));
    }

    /// Asks whether somebody who is not connected wants it cancelled.
    fn read_files(&mut self) {
        if let Some(after) = read_cancel(&self.start.place) {
            self.end(Reason::Cancelled, after);
        }
    }
}

impl Launched {
    /// Waits for the job's end, or brings it about. Returns also how many could not be killed, and what is
    /// missing of its log.
    fn watch(mut self, start: &Start, channels: &mut Channels) -> (Ended, usize, Option<String>) {
        let mut watch = Watch {
            start,
            deadline: self.began + Duration::from_millis(start.timeout_ms),
            lease_until: None,
            ending: None,
            killed: BTreeSet::new(),
        };
        let mut status: Option<WaitStatus> = None;
        let mut stuck = 0;
        let mut has_log = false;
        if !channels.connected {
            channels.files = watch_files(&start.place.dir);
            watch.read_files();
        }
        loop {
            let leader = self.leader;
            let nobody_left = reap(|pid, how| {
                if pid == leader {
                    status = Some(how);
                }
            });
            if nobody_left {
                break;
            }
            if watch.gives_up() {
                stuck = descendants().len();
                break;
            }
            if status.is_some() && watch.ending.is_none() {
                // The verdict is known; what is left of the job has no business here.
                let kill_at = Instant::now();
                watch.ending = Some(Ending { reason: Reason::Exited, kill_at, give_up_at: None });
            }
            let mut until = watch.tick();
            if !has_log {
                let due = self.began + AT_ONCE;
                if Instant::now() < due {
                    until = until.min(due);
                } else {
                    make_log(start);
                    has_log = true;
                }
            }
            match self.wait(channels, until, &start.place) {
                SupervisorEvent::Nothing => {}
                SupervisorEvent::Cancel(after) => watch.end(Reason::Cancelled, after),
                SupervisorEvent::Gone => {
                    channels.connected = false;
                    // Watched before it is read, so that nothing is missed in between.
                    channels.files = watch_files(&start.place.dir);
                    watch.renew();
                    watch.read_files();
                }
                SupervisorEvent::Files { renewed } => {
                    if renewed {
                        watch.renew();
                    }
                    watch.read_files();
                }
            }
        }
        // Nobody is left who writes.
        let lost = self.pump.finish();
        channels.files = None;
        let reason = watch.ending.map_or(Reason::Exited, |ending| ending.reason);
        let code = status.and_then(WaitStatus::exit_status);
        let signal = status.and_then(WaitStatus::terminating_signal);
        let has_passed = reason == Reason::Exited && code == Some(0);
        if has_passed && start.place.attempt == 1 && lost.note().is_none() {
            remove_empty_log(start);
        } else {
            // Who asks why it failed, or failed before, finds a log, if an empty one.
            make_log(start);
        }
        let evidence = match reason {
            Reason::Exited if lost.is_full() => Evidence::DiskFull,
            Reason::Exited if code == Some(0) && lost.note().is_some() => Evidence::LogLost,
            _ => evidence(&self.oom_kills, start, reason, code, signal),
        };
        let ended = Ended {
            code,
            signal,
            reason,
            evidence,
            killed: watch.killed.len() as u64,
            started: self.started,
            ended: seconds(),
            elapsed_ms: u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        (ended, stuck, lost.note())
    }

    /// Sleeps until something happens or it is time.
    fn wait(
        &mut self,
        channels: &mut Channels,
        until: Instant,
        place: &AttemptFiles,
    ) -> SupervisorEvent {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = Timespec::try_from(left).ok();
        let mut heard = [false; 3];
        let mut written = PollFlags::empty();
        {
            let mut fds = vec![PollFd::new(&channels.children, PollFlags::IN)];
            let mut which = vec![0];
            if channels.connected {
                fds.push(PollFd::new(&channels.socket, PollFlags::IN));
                which.push(1);
            }
            if let Some(files) = &channels.files {
                fds.push(PollFd::new(files, PollFlags::IN));
                which.push(2);
            }
            if let Some(first) = self.pump.first() {
                fds.push(PollFd::from_borrowed_fd(first, PollFlags::IN));
                which.push(3);
            }
            if poll(&mut fds, timeout.as_ref()).is_err() {
                return SupervisorEvent::Nothing;
            }
            for (fd, which) in fds.iter().zip(which) {
                match heard.get_mut(which) {
                    Some(heard) => *heard = !fd.revents().is_empty(),
                    None => written = fd.revents(),
                }
            }
        }
        self.pump.hear(written);
        if heard[0] {
            let mut rung = [0; 64];
            while channels.children.read(&mut rung).is_ok_and(|read| read == rung.len()) {}
        }
        if heard[1] {
            return match receive::<Request>(&mut channels.socket) {
                Ok(Some(Request::Cancel { grace_ms })) => {
                    SupervisorEvent::Cancel(Duration::from_millis(grace_ms))
                }
                Ok(Some(Request::Start(_))) => SupervisorEvent::Nothing,
                Ok(None) | Err(_) => SupervisorEvent::Gone,
            };
        }
        if heard[2]
            && let Some(files) = &channels.files
        {
            let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
            let mut reader = inotify::Reader::new(files, &mut buffer);
            // The directory is the job's as well, which writes its log there: only one name is a renewal.
            let lease = place.lease();
            let lease = lease.file_name();
            let mut renewed = false;
            while let Ok(event) = reader.next() {
                let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                let lost = event.events().contains(inotify::ReadFlags::QUEUE_OVERFLOW);
                renewed |= lost || name.is_some() && name == lease;
            }
            return SupervisorEvent::Files { renewed };
        }
        SupervisorEvent::Nothing
    }
}

/// So long a job may run without a log, if it writes nothing: who looks at one that goes on finds its log.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Makes the log of a job that has written nothing yet.
fn make_log(start: &Start) {
    // One that cannot be made shows when there is something to write.
    let _ = File::options().append(true).create(true).open(&start.log);
}

/// Removes the log of a job that passed, if it wrote nothing. Everybody reads an absent log as an empty one.
fn remove_empty_log(start: &Start) {
    if start.log.metadata().is_ok_and(|log| log.len() == 0) {
        // One that stays is empty.
        let _ = std::fs::remove_file(&start.log);
    }
}

/// What the machine says about an end that nobody asked for.
fn evidence(
    oom_kills: &OomKills,
    start: &Start,
    reason: Reason,
    code: Option<i32>,
    signal: Option<i32>,
) -> Evidence {
    if reason != Reason::Exited || code == Some(0) {
        return Evidence::None;
    }
    let killed = signal == Some(Signal::KILL.as_raw()) || code == Some(137);
    if killed && oom_kills.any_since() {
        return Evidence::Oom;
    }
    let probe = start.place.dir.join(".probe");
    let full = std::fs::write(&probe, [b'-'; 8192])
        .is_err_and(|error| error.kind() == io::ErrorKind::StorageFull);
    let _ = std::fs::remove_file(probe);
    if full { Evidence::DiskFull } else { Evidence::None }
}

/// TERM for everybody; CONT, since a stopped process hears nothing but KILL.
fn ask_to_end() {
    for pid in descendants() {
        signal(pid, Signal::TERM);
        signal(pid, Signal::CONT);
    }
}

/// What a supervisor heard while it waited.
enum SupervisorEvent {
    Nothing,
    Cancel(Duration),
    Gone,
    /// A file came into the job's directory.
    Files {
        /// Whether it was the lease.
        renewed: bool,
    },
}

fn watch_files(dir: &Path) -> Option<OwnedFd> {
    let files =
        inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK).ok()?;
    // What is said there is moved there, whole.
    inotify::add_watch(&files, dir, inotify::WatchFlags::MOVED_TO).ok()?;
    Some(files)
}

/// The grace that somebody asked for by a file.
fn read_cancel(place: &AttemptFiles) -> Option<Duration> {
    let text = std::fs::read_to_string(place.cancel()).ok()?;
    text.trim().parse().ok().map(Duration::from_millis)
}
