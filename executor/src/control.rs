//! Telling a running attempt to stop, from any thread, without anybody polling.
//!
//! A [`Control`] only ever rises: none, cancel with grace, kill. A thread that waits for something else
//! (a socket, a child, a timer) adds [`Control::raised`] to its `poll` set and wakes at once.

use std::{
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

use rustix::{
    event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll},
    io,
};

/// How much an attempt is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// It runs.
    Run,
    /// It is to end: TERM, the grace, KILL; logs and artifacts are kept.
    Cancel,
    /// It is to end now: KILL; logs are kept.
    Kill,
}

/// A cancel token; its clones are one token.
#[derive(Debug, Clone)]
pub struct Control(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    level: AtomicU8,
    /// Readable, for ever, once the level is at least `Cancel`.
    cancel: OwnedFd,
    /// Readable, for ever, once the level is `Kill`.
    kill: OwnedFd,
}

impl Control {
    /// Makes a token at level [`Level::Run`].
    ///
    /// # Errors
    ///
    /// When the process has no file descriptor left.
    pub fn new() -> std::io::Result<Self> {
        let event = || eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let (cancel, kill) = (event()?, event()?);
        Ok(Self(Arc::new(Shared { level: AtomicU8::new(0), cancel, kill })))
    }

    /// Raises the level; a lower one than the present changes nothing.
    pub fn raise(&self, level: Level) {
        let number = level as u8;
        let before = self.0.level.fetch_max(number, Ordering::AcqRel);
        let ring = |fd: &OwnedFd| {
            // It can only fail when the counter is full, and then it is readable already.
            let _ = io::write(fd, &1u64.to_ne_bytes());
        };
        if before < Level::Cancel as u8 && level >= Level::Cancel {
            ring(&self.0.cancel);
        }
        if before < Level::Kill as u8 && level >= Level::Kill {
            ring(&self.0.kill);
        }
    }

    /// Returns the present level.
    #[must_use]
    pub fn level(&self) -> Level {
        match self.0.level.load(Ordering::Acquire) {
            0 => Level::Run,
            1 => Level::Cancel,
            _ => Level::Kill,
        }
    }

    /// Returns what becomes readable when the level rises above `seen`; nothing can rise above
    /// [`Level::Kill`].
    #[must_use]
    pub fn raised(&self, seen: Level) -> Option<BorrowedFd<'_>> {
        match seen {
            Level::Run => Some(self.0.cancel.as_fd()),
            Level::Cancel => Some(self.0.kill.as_fd()),
            Level::Kill => None,
        }
    }

    /// Waits until the level rises above `seen` or the time is over; returns the level.
    #[must_use]
    pub fn wait(&self, seen: Level, at_most: Duration) -> Level {
        let until = std::time::Instant::now() + at_most;
        while self.level() <= seen {
            let left = until.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                break;
            }
            let timeout = Timespec::try_from(left).ok();
            match self.raised(seen) {
                Some(fd) => {
                    let _ = poll(&mut [PollFd::new(&fd, PollFlags::IN)], timeout.as_ref());
                }
                None => std::thread::sleep(left),
            }
        }
        self.level()
    }

    /// Does something that hears no cancel, on a thread of its own; `None`: the level rose above [`Level::Run`] first, and what
    /// is done is not waited for.
    ///
    /// # Errors
    ///
    /// When there is no thread or file descriptor left.
    pub(crate) fn hears<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> std::io::Result<Option<T>> {
        let (sender, answer) = std::sync::mpsc::sync_channel(1);
        // It closes when the work is done, whatever came of it.
        let (done, doing) = std::io::pipe()?;
        let span = tracing::Span::current();
        std::thread::Builder::new().spawn(move || {
            let _span = span.entered();
            // Nobody may wait any more.
            let _ = sender.send(work());
            drop(doing);
        })?;
        let cancel = self.0.cancel.as_fd();
        loop {
            let mut fds = [
                PollFd::new(&done, PollFlags::IN),
                PollFd::from_borrowed_fd(cancel, PollFlags::IN),
            ];
            match poll(&mut fds, None) {
                Ok(_) | Err(io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            if !fds[0].revents().is_empty() {
                return Ok(answer.try_recv().ok());
            }
            if !fds[1].revents().is_empty() {
                return Ok(None);
            }
        }
    }

    /// Takes a lock that somebody may have for long: waits as long as the level is [`Level::Run`], then `None`.
    pub(crate) fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> Option<MutexGuard<'a, T>> {
        let mut pause = Duration::from_millis(1);
        loop {
            match mutex.try_lock() {
                Ok(guard) => return Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
            if self.wait(Level::Run, pause) > Level::Run {
                return None;
            }
            pause = (pause * 2).min(Duration::from_millis(50));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_that_somebody_has_is_waited_for_until_nobody_wants_it() {
        let control = Control::new().expect("descriptors");
        let mutex = Mutex::new(1);
        let held = mutex.lock().expect("free");
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| control.lock(&mutex).is_some());
            control.raise(Level::Cancel);
            assert!(!waiter.join().expect("no panic"), "it was taken");
        });
        drop(held);
        assert!(control.lock(&mutex).is_some());
    }

    #[test]
    fn what_hears_no_cancel_is_not_waited_for() {
        let control = Control::new().expect("descriptors");
        assert_eq!(control.hears(|| 7).expect("a thread"), Some(7));
        let (ends, end) = std::sync::mpsc::channel::<()>();
        control.raise(Level::Cancel);
        assert_eq!(control.hears(move || end.recv().is_ok()).expect("a thread"), None);
        drop(ends);
    }

    #[test]
    fn a_level_only_rises_and_wakes_who_waits() {
        let control = Control::new().expect("descriptors");
        assert_eq!(control.wait(Level::Run, Duration::ZERO), Level::Run);
        let other = control.clone();
        let waiter = std::thread::spawn(move || other.wait(Level::Run, Duration::from_secs(60)));
        control.raise(Level::Cancel);
        assert_eq!(waiter.join().expect("no panic"), Level::Cancel);
        control.raise(Level::Run);
        assert_eq!(control.level(), Level::Cancel);
        control.raise(Level::Kill);
        assert_eq!(control.wait(Level::Cancel, Duration::from_secs(60)), Level::Kill);
        assert!(control.raised(Level::Kill).is_none());
    }
}
