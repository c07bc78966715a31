//! A job whose supervisor is elsewhere, watched until it ends: one loop for hosts and guests.
//!
//! Brings the log back from the byte where it ended here, renews the lease, passes on how much the
//! job is wanted, and attaches again when the connection breaks. How a supervisor is reached, and
//! whether a broken connection is one to open again, is for its [`Transport`].

use std::{
    path::Path,
    time::{Duration, Instant},
};

use super::{Frame, JobLimits, JobRef, JobStatus, Log, Renewal};
use crate::{
    control::{Control, Level},
    fault::{FailureKind, Fault},
};

/// Between two attachments: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// The connection to a supervisor that is elsewhere.
pub(crate) trait Transport {
    /// Returns the name of what is at the other end, for messages.
    fn name(&self) -> String;

    /// Attaches at `offset` of the log and hands over frames as they come; `None` when something
    /// that `wake` names happened. Goes on for as long as `sink` returns what to wake for next.
    /// `Ok` without an end: the control rose above [`Wake::notified`].
    ///
    /// # Errors
    ///
    /// When there is no connection, or it breaks.
    fn read(
        &self,
        offset: u64,
        wake: Wake,
        sink: &mut dyn FnMut(Option<Frame>) -> Option<Wake>,
    ) -> Result<(), Broken>;

    /// Runs a verb of the supervisor (`cancel`, `renew`) and returns the status it answers with.
    ///
    /// # Errors
    ///
    /// When there is no answer.
    fn ask(&self, verb: &str, word: &str, budget: Duration) -> Result<JobStatus, Broken>;

    /// Says, after a connection broke, whether to attach again: `None`. Where the verdict can be
    /// read another way, it is the answer, with the rest of the log taken over first.
    ///
    /// # Errors
    ///
    /// When the other end is gone, or was silent for too long.
    fn after_break(
        &self,
        why: &Fault,
        silence: Silence,
        log: &mut Log,
    ) -> Result<Option<JobStatus>, Fault>;

    /// Renews what else the job needs to go on; its failures show elsewhere.
    fn renewed(&self) {}

    /// How often a supervisor may be reported dead before that is believed.
    fn doubts(&self) -> u32 {
        0
    }

    /// How much longer than its grace a cancelled job may take to end, while nothing comes of its log.
    fn patience(&self) -> Duration {
        Duration::from_secs(30)
    }
}

/// What a transport interrupts its reading for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wake {
    /// The level that the supervisor was notified of: a higher one is news.
    pub(crate) notified: Level,
    /// When the lease is to be renewed.
    pub(crate) at: Option<Instant>,
}

/// Why a connection is over.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) fault: Fault,
    /// Another try cannot help.
    pub(crate) is_final: bool,
}

impl Broken {
    /// Makes one after which another try may help.
    pub(crate) fn again(fault: Fault) -> Self {
        Self { fault, is_final: false }
    }

    /// Makes one after which no other try helps.
    pub(crate) fn for_good(fault: Fault) -> Self {
        Self { fault, is_final: true }
    }
}

/// Since when nothing was heard from the supervisor.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Silence {
    since: Instant,
    /// Whether nothing was heard at all yet.
    pub(crate) unbroken: bool,
}

impl Silence {
    fn begins() -> Self {
        Self { since: Instant::now(), unbroken: true }
    }

    fn ends(&mut self) {
        *self = Self { since: Instant::now(), unbroken: false };
    }

    /// Returns when it began.
    pub(crate) fn began(self) -> Instant {
        self.since
    }

    /// Returns how long it has lasted.
    pub(crate) fn lasted(self) -> Duration {
        self.since.elapsed()
    }
}

/// A job that is being watched.
pub(crate) struct Watcher<'a> {
    transport: &'a dyn Transport,
    job: &'a JobRef,
    path: &'a Path,
    limits: &'a JobLimits,
    control: &'a Control,
    log: Log,
    renewal: Renewal,
    silence: Silence,
    /// The level that the supervisor was notified of.
    notified: Level,
    /// When a job that was cancelled must have ended.
    ends_by: Option<Instant>,
    outcome: Option<Result<JobStatus, Broken>>,
}

impl<'a> Watcher<'a> {
    /// Makes a watcher of a job; its log goes to `path` without what `redacted` names.
    ///
    /// # Errors
    ///
    /// When the log cannot be opened.
    pub(crate) fn new(
        transport: &'a dyn Transport,
        job: &'a JobRef,
        path: &'a Path,
        redacted: &[String],
        limits: &'a JobLimits,
        control: &'a Control,
    ) -> Result<Self, Fault> {
        Ok(Self {
            transport,
            job,
            path,
            limits,
            control,
            log: Log::open(path, redacted).map_err(|error| unwritable(path, &error))?,
            renewal: Renewal::of_resumed(limits.lease, Instant::now()),
            silence: Silence::begins(),
            notified: Level::Run,
            ends_by: None,
            outcome: None,
        })
    }

    /// Says that the job was started just now, so that all of its lease is left.
    #[must_use]
    pub(crate) fn just_started(mut self) -> Self {
        self.renewal = Renewal::of_started(self.limits.lease, Instant::now());
        self
    }

    /// Watches the job until it ends. Never answers [`JobStatus::Running`].
    ///
    /// # Errors
    ///
    /// When how it ended cannot be learned, or its log cannot be written.
    pub(crate) fn watch(mut self) -> Result<JobStatus, Fault> {
        let mut doubts = 0;
        let mut pause = PAUSES.0;
        let status = loop {
            let why = match self.once() {
                Ok(None) => continue,
                Ok(Some(status @ (JobStatus::Lost | JobStatus::HostRebooted))) => {
                    if doubts >= self.transport.doubts() {
                        break status;
                    }
                    doubts += 1;
                    Fault::new(FailureKind::Lost, "its supervisor is gone")
                }
                Ok(Some(status)) => break status,
                Err(broken) if broken.is_final => return Err(broken.fault),
                Err(broken) => {
                    // A connection that was there until now; a doubt is given more and more time.
                    if self.silence.lasted() < Duration::from_secs(1) {
                        pause = PAUSES.0;
                    }
                    broken.fault
                }
            };
            if let Some(status) = self.transport.after_break(&why, self.silence, &mut self.log)? {
                break status;
            }
            let _ = self.control.wait(self.notified.max(self.control.level()), pause);
            pause = (pause * 2).min(PAUSES.1);
        };
        self.log.finish().map_err(|error| unwritable(self.path, &error))?;
        Ok(status)
    }

    /// Attaches once, and reads until the job is over or the connection is. `None`: neither, but
    /// the supervisor is to be notified of a higher level.
    fn once(&mut self) -> Result<Option<JobStatus>, Broken> {
        self.attend()?;
        let offset = self.log.resume().map_err(|error| self.unwritten(&error))?;
        let transport = self.transport;
        let wake = self.wake();
        let over = transport.read(offset, wake, &mut |frame| match self.hear(frame) {
            Ok(None) => Some(self.wake()),
            Ok(Some(status)) => {
                self.outcome = Some(Ok(status));
                None
            }
            Err(broken) => {
                self.outcome = Some(Err(broken));
                None
            }
        });
        let outcome = self.outcome.take();
        over?;
        outcome.transpose()
    }

    fn wake(&self) -> Wake {
        Wake { notified: self.notified, at: self.renewal.due() }
    }

    fn hear(&mut self, frame: Option<Frame>) -> Result<Option<JobStatus>, Broken> {
        if frame.is_some() {
            self.silence.ends();
        }
        match frame {
            Some(Frame::Log(bytes)) => {
                self.log.take(&bytes).map_err(|error| self.unwritten(&error))?;
                let patience = self.transport.patience();
                self.ends_by = self.ends_by.map(|by| by.max(Instant::now() + patience));
            }
            Some(Frame::Cut) => self.log.begin_anew().map_err(|error| self.unwritten(&error))?,
            Some(Frame::End(line)) => {
                let status = JobStatus::parse(&line).ok_or_else(|| {
                    let (name, job) = (self.transport.name(), self.job);
                    Broken::for_good(Fault::new(
                        FailureKind::Protocol,
                        format!("{name}: the status of {job} cannot be read: `{line}`"),
                    ))
                })?;
                return Ok(Some(status));
            }
            Some(Frame::Word(_) | Frame::Idle) | None => {}
        }
        self.attend()?;
        Ok(None)
    }

    /// Says to the supervisor what it is time to say.
    fn attend(&mut self) -> Result<(), Broken> {
        let level = self.control.level();
        if level > self.notified {
            let grace = if level == Level::Kill { Duration::ZERO } else { self.limits.grace };
            self.transport.ask("cancel", &grace.as_secs().to_string(), Duration::from_secs(30))?;
            self.notified = level;
            self.ends_by = Some(Instant::now() + grace + self.transport.patience());
        }
        if self.ends_by.is_some_and(|by| Instant::now() >= by) {
            return Err(Broken::for_good(Fault::new(
                FailureKind::NoAnswer,
                format!("{}: {} was cancelled and does not end", self.transport.name(), self.job),
            )));
        }
        if self.renewal.is_due(Instant::now()) {
            let seconds = self.limits.lease.as_secs().max(1).to_string();
            // A connection that is broken shows where the log is read as well.
            let renewed = self.transport.ask("renew", &seconds, Duration::from_secs(20));
            self.transport.renewed();
            self.renewal.tried(renewed.is_ok(), Instant::now());
        }
        Ok(())
    }

    fn unwritten(&self, error: &std::io::Error) -> Broken {
        Broken::for_good(unwritable(self.path, error))
    }
}

/// Returns the fault of a log that cannot be written.
pub(crate) fn unwritable(path: &Path, error: &std::io::Error) -> Fault {
    Fault::io(FailureKind::Io, format!("writing {}", path.display()), error)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A supervisor that says it cancels, and whose job ends only after so many more frames.
    struct Stubborn {
        frame: Frame,
        left: Cell<u32>,
        cancels: Cell<u32>,
    }

    const PATIENCE: Duration = Duration::from_millis(20);

    impl Stubborn {
        fn new(frame: Frame, left: u32) -> Self {
            Self { frame, left: Cell::new(left), cancels: Cell::new(0) }
        }

        /// Watches its job, which was cancelled.
        fn watch(&self) -> Result<JobStatus, Fault> {
            let job = JobRef { run: "r1".to_owned(), node: "execute-a".to_owned(), attempt: 1 };
            let second = Duration::from_secs(1);
            let limits =
                JobLimits { timeout: 600 * second, grace: Duration::ZERO, lease: 600 * second };
            let control = Control::new().expect("a control");
            control.raise(Level::Cancel);
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("log");
            Watcher::new(self, &job, &path, &[], &limits, &control)?.just_started().watch()
        }
    }

    impl Transport for Stubborn {
        fn name(&self) -> String {
            "`far`".to_owned()
        }

        fn read(
            &self,
            _: u64,
            _: Wake,
            sink: &mut dyn FnMut(Option<Frame>) -> Option<Wake>,
        ) -> Result<(), Broken> {
            loop {
                let left = self.left.get();
                let end = || Frame::End("state=lost log=1".to_owned());
                let frame = if left == 0 { end() } else { self.frame.clone() };
                if sink(Some(frame)).is_none() {
                    return Ok(());
                }
                self.left.set(left.saturating_sub(1));
                std::thread::sleep(PATIENCE / 10);
            }
        }

        fn ask(&self, verb: &str, _: &str, _: Duration) -> Result<JobStatus, Broken> {
            self.cancels.set(self.cancels.get() + u32::from(verb == "cancel"));
            Ok(JobStatus::Lost)
        }

        fn after_break(
            &self,
            why: &Fault,
            _: Silence,
            _: &mut Log,
        ) -> Result<Option<JobStatus>, Fault> {
            Err(why.clone())
        }

        fn patience(&self) -> Duration {
            PATIENCE
        }
    }

    #[test]
    fn a_cancelled_job_that_neither_writes_nor_ends_is_given_up() {
        let far = Stubborn::new(Frame::Idle, u32::MAX);
        let fault = far.watch().expect_err("it is given up");
        assert_eq!(fault.kind, FailureKind::NoAnswer);
        assert_eq!(fault.message, "`far`: r1/execute-a.1 was cancelled and does not end");
        assert_eq!(far.cancels.get(), 1);
    }

    #[test]
    fn a_cancelled_job_that_still_writes_is_waited_for() {
        let far = Stubborn::new(Frame::Log(b"a line\n".to_vec()), 100);
        assert_eq!(far.watch().expect("a status"), JobStatus::Lost);
        assert_eq!(far.cancels.get(), 1);
    }
}
