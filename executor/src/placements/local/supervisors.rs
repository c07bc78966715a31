//! The supervisors of this process: started when there is no idle one, one for each job at a time.

use std::{
    collections::BTreeMap,
    io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, poll};

use crate::{
    control::{Control, Level},
    supervise::{
        JobRef,
        native::{COOKIE, Reply, Request, SUBCOMMAND, Start, receive, send},
    },
};

/// A supervisor and the socket to it.
struct Supervisor {
    child: Child,
    socket: UnixStream,
    mounts: bool,
}

/// What a supervisor whose job is over said.
pub(super) enum WorkerEvent {
    /// Its answer.
    Reply(Reply),
    /// Nothing: it is gone.
    Gone,
}

/// The supervisors of one process.
pub(super) struct Supervisors {
    executor: PathBuf,
    idle: Mutex<Vec<Supervisor>>,
    busy: Mutex<BTreeMap<JobRef, Supervisor>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Supervisors {
    pub(super) fn new(executor: PathBuf) -> Self {
        Self { executor, idle: Mutex::default(), busy: Mutex::default() }
    }

    /// Returns whether this process started that job and nobody took its end yet.
    pub(super) fn has(&self, job: &JobRef) -> bool {
        locked(&self.busy).contains_key(job)
    }

    /// Hands a job to a supervisor, one with a view of its own where that is wanted.
    pub(super) fn start(&self, start: Start, mounts: bool) -> io::Result<()> {
        let job = start.job.clone();
        let request = Request::Start(Box::new(start));
        loop {
            let reused = self.take_idle(mounts);
            let fresh = reused.is_none();
            let mut supervisor = match reused {
                Some(supervisor) => supervisor,
                None => self.spawn(mounts)?,
            };
            match send(&mut supervisor.socket, &request) {
                Ok(()) => {
                    locked(&self.busy).insert(job, supervisor);
                    return Ok(());
                }
                // An idle one may have died; a whole frame never reached it.
                Err(_) if !fresh => end(supervisor),
                Err(error) => {
                    end(supervisor);
                    return Err(error);
                }
            }
        }
    }

    /// Waits for the end of a job that [`Self::start`] began, passing on what `control` says.
    /// `None`: no such job.
    pub(super) fn follow(
        &self,
        job: &JobRef,
        grace: Duration,
        control: &Control,
    ) -> Option<WorkerEvent> {
        let mut supervisor = locked(&self.busy).remove(job)?;
        let mut told = Level::Run;
        loop {
            let (mut answered, mut raised) = (false, false);
            {
                let mut fds = vec![PollFd::new(&supervisor.socket, PollFlags::IN)];
                let level = control.raised(told);
                fds.extend(level.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
                if poll(&mut fds, None).is_ok() {
                    answered = !fds[0].revents().is_empty();
                    raised = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
                }
            }
            if answered {
                return Some(match receive(&mut supervisor.socket) {
                    Ok(Some(reply)) => {
                        // One that leaves would still take a job, and take it with it.
                        if matches!(reply, Reply::Last(_)) {
                            end(supervisor);
                        } else {
                            locked(&self.idle).push(supervisor);
                        }
                        WorkerEvent::Reply(reply)
                    }
                    Ok(None) | Err(_) => {
                        end(supervisor);
                        WorkerEvent::Gone
                    }
                });
            }
            if raised {
                told = control.level();
                let grace = if told == Level::Kill { Duration::ZERO } else { grace };
                let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
                // If it is gone, the next read says so.
                let _ = send(&mut supervisor.socket, &Request::Cancel { grace_ms });
            }
        }
    }

    fn take_idle(&self, mounts: bool) -> Option<Supervisor> {
        let mut idle = locked(&self.idle);
        let at = idle.iter().rposition(|supervisor| supervisor.mounts == mounts)?;
        Some(idle.swap_remove(at))
    }

    fn spawn(&self, mounts: bool) -> io::Result<Supervisor> {
        let (ours, theirs) = UnixStream::pair()?;
        let mut command = Command::new(&self.executor);
        command
            .arg(SUBCOMMAND)
            .args(mounts.then_some("mounts"))
            .env_clear()
            .stdin(OwnedFd::from(theirs))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // An executor that is itself a job of another one stays recognisable as such.
        if let Some(cookie) = std::env::var_os(COOKIE) {
            command.env(COOKIE, cookie);
        }
        let child = command.spawn()?;
        Ok(Supervisor { child, socket: ours, mounts })
    }
}

/// Lets a supervisor go; an idle one, or one that is gone already, leaves at once.
fn end(supervisor: Supervisor) {
    let Supervisor { mut child, socket, .. } = supervisor;
    drop(socket);
    let _ = child.wait();
}

impl Drop for Supervisors {
    fn drop(&mut self) {
        for supervisor in locked(&self.idle).drain(..) {
            end(supervisor);
        }
        // Those with a job go on without us; nobody waits for them here.
    }
}
