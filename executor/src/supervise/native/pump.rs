//! The one way of a job's output into its log: a pipe for stdout and stderr together, and a thread that reads it
//! and owns the log. Both the thread and the log begin with the first byte: a job that ends at once and says nothing has
//! neither.
//!
//! A job that opens `/dev/stdout` or `/dev/stderr` opens the pipe once more: it can neither shorten the log nor
//! write in the middle of it. The thread is never waited for while the job runs, so no output and no slow disk
//! moves a timeout. When the disk takes no more, the pipe is closed: a job that writes on is told so (`EPIPE`), as
//! it is told of a full disk; it never waits for it.

use std::{
    fs::{File, OpenOptions},
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    os::{
        fd::{AsFd as _, BorrowedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::redact::{MaskState, Masks, Redactor};

/// What a job may write before the thread has to take it.
const CAPACITY: usize = 1 << 20;
/// What is read at once, and how much is masked between two looks at anything else.
const CHUNK: usize = 128 << 10;
/// How long the end of the log is waited for, once nobody of the job is left: a disk may be stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// A job's output on its way to its log. As long as the job writes nothing there is no thread, and no log.
#[derive(Debug)]
pub(super) struct Pump {
    /// What the thread is to begin with; absent: it began, or nothing will come any more.
    idle: Option<Work>,
    thread: Option<Thread>,
    lost: Lost,
}

/// A thread that brings a job's output to its log.
#[derive(Debug)]
struct Thread {
    /// Closed to say that nobody is left who should write.
    stop: UnixStream,
    done: mpsc::Receiver<Lost>,
}

/// Why a log is not whole, if it is not.
#[derive(Debug, Default)]
pub(super) struct Lost(Option<io::Error>);

impl Lost {
    /// Returns whether there was no room.
    pub(super) fn is_full(&self) -> bool {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let kind = self.0.as_ref().map(io::Error::kind);
        matches!(kind, Some(StorageFull | QuotaExceeded | FileTooLarge))
    }

    /// Says so, for people.
    pub(super) fn note(&self) -> Option<String> {
        let error = self.0.as_ref()?;
        Some(format!("the end of its output is missing in its log: {error}"))
    }
}

impl Pump {
    /// Makes the pipe. The job is to get what is returned as stdout and stderr.
    pub(super) fn open(log: &Path, masks: Option<Arc<Masks>>) -> io::Result<(Self, PipeWriter)> {
        let (from, to) = io::pipe()?;
        let redactor = masks.map(|masks| Redactor::new(masks, MaskState::default()));
        let idle = Work { from, log: log.to_owned(), redactor, out: Vec::new() };
        Ok((Self { idle: Some(idle), thread: None, lost: Lost::default() }, to))
    }

    /// Returns what becomes readable when the job writes for the first time, or closes the pipe; absent: nobody has
    /// to look any more.
    pub(super) fn first(&self) -> Option<BorrowedFd<'_>> {
        self.idle.as_ref().map(|work| work.from.as_fd())
    }

    /// Begins when there is something in the pipe, as `events` of [`Self::first`] say.
    pub(super) fn hear(&mut self, events: PollFlags) {
        if events.is_empty() {
            return;
        }
        let Some(work) = self.idle.take() else { return };
        if !events.contains(PollFlags::IN) {
            // Everybody has closed it, and nobody can open it again.
            return;
        }
        match Thread::start(work) {
            Ok(thread) => self.thread = Some(thread),
            // The pipe is closed with it: a job that writes on is told so.
            Err(error) => self.lost = Lost(Some(error)),
        }
    }

    /// Waits until everything is in the log that the job wrote. Nobody of it is left.
    pub(super) fn finish(mut self) -> Lost {
        if let Some(work) = &self.idle {
            let mut fds = [PollFd::new(&work.from, PollFlags::IN)];
            let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
            let _ = poll(&mut fds, Some(&at_once));
            let events = fds[0].revents();
            self.hear(events);
        }
        match self.thread {
            Some(thread) => thread.finish(),
            None => self.lost,
        }
    }
}

impl Thread {
    fn start(mut work: Work) -> io::Result<Self> {
        // More is only faster.
        let _ = rustix::pipe::fcntl_setpipe_size(&work.from, CAPACITY);
        let (stop, stopped) = UnixStream::pair()?;
        let (tell, done) = mpsc::channel();
        std::thread::Builder::new().name("pump".to_owned()).spawn(move || {
            let lost = work.run(&stopped);
            // The pipe is closed before anybody hears of the end.
            drop(work);
            let _ = tell.send(lost);
        })?;
        Ok(Self { stop, done })
    }

    fn finish(self) -> Lost {
        let Self { stop, done } = self;
        // Another process that still has the pipe open is not of the job.
        drop(stop);
        done.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let error = io::Error::other("it was not written in time");
            Lost(Some(error))
        })
    }
}

/// What a thread works with.
#[derive(Debug)]
struct Work {
    from: PipeReader,
    log: PathBuf,
    redactor: Option<Redactor>,
    out: Vec<u8>,
}

impl Work {
    fn run(&mut self, stopped: &UnixStream) -> Lost {
        Lost(self.all(stopped).err())
    }

    fn all(&mut self, stopped: &UnixStream) -> io::Result<()> {
        let mut log = OpenOptions::new().append(true).create(true).open(&self.log)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let mut fds = [
                PollFd::from_borrowed_fd(self.from.as_fd(), PollFlags::IN),
                PollFd::new(stopped, PollFlags::IN),
            ];
            if poll(&mut fds, None).is_err() {
                continue;
            }
            let (has_more, is_over) = (!fds[0].revents().is_empty(), !fds[1].revents().is_empty());
            if is_over {
                self.rest(&mut log, &mut buffer)?;
                break;
            }
            if has_more && !self.once(&mut log, &mut buffer)? {
                break;
            }
        }
        match &mut self.redactor {
            Some(redactor) => log.write_all(redactor.finish(&mut self.out)),
            None => Ok(()),
        }
    }

    /// Takes what is in the pipe now: what the job wrote, it wrote before.
    fn rest(&mut self, log: &mut File, buffer: &mut [u8]) -> io::Result<()> {
        // Of this end only: the job's has flags of its own.
        if rustix::io::ioctl_fionbio(&self.from, true).is_err() {
            return Ok(());
        }
        for _ in 0..=2 * CAPACITY / CHUNK {
            if !self.once(log, buffer)? {
                break;
            }
        }
        Ok(())
    }

    /// Takes one chunk; false: there is none, and no more will come. An error is the log's.
    fn once(&mut self, log: &mut File, buffer: &mut [u8]) -> io::Result<bool> {
        let read = match self.from.read(buffer) {
            Ok(0) => return Ok(false),
            Ok(read) => read,
            Err(error) => return Ok(error.kind() == io::ErrorKind::Interrupted),
        };
        let bytes = &buffer[..read];
        let bytes = match &mut self.redactor {
            None => bytes,
            Some(redactor) => redactor.push(bytes, &mut self.out),
        };
        log.write_all(bytes)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands the output over as soon as there is some.
    fn hear(pump: &mut Pump) {
        let first = pump.first().expect("nobody wrote yet");
        let mut fds = [PollFd::from_borrowed_fd(first, PollFlags::IN)];
        poll(&mut fds, None).expect("polled");
        let events = fds[0].revents();
        pump.hear(events);
    }

    #[test]
    fn a_process_that_keeps_the_pipe_open_does_not_keep_the_log_waiting() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("log");
        let (mut pump, mut to) = Pump::open(&log, None).expect("a pump");
        to.write_all(b"one\n").expect("written");
        hear(&mut pump);
        let lost = pump.finish();
        assert!(lost.note().is_none(), "{lost:?}");
        assert_eq!(std::fs::read(&log).expect("a log"), b"one\n");
        drop(to);
    }

    #[test]
    fn a_job_is_told_of_a_full_disk_and_never_waits_for_it() {
        let (mut pump, mut to) = Pump::open(Path::new("/dev/full"), None).expect("a pump");
        to.write_all(b"x").expect("there is room in the pipe");
        hear(&mut pump);
        let told = to.write_all(&vec![b'x'; 3 * CAPACITY]).expect_err("nobody reads");
        assert_eq!(told.kind(), io::ErrorKind::BrokenPipe);
        let lost = pump.finish();
        assert!(lost.is_full(), "{lost:?}");
        assert!(lost.note().expect("a note").contains("No space left"), "{lost:?}");
    }

    #[test]
    fn a_job_that_says_nothing_has_no_log_and_one_that_ends_at_once_loses_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("log");
        for waits in [false, true] {
            let (mut pump, to) = Pump::open(&log, None).expect("a pump");
            drop(to);
            if waits {
                hear(&mut pump);
                assert!(pump.first().is_none(), "a closed pipe would be heard of for ever");
            }
            assert!(pump.finish().note().is_none());
            assert!(!log.exists());
        }
        // Nobody has looked at the pipe yet.
        let (pump, mut to) = Pump::open(&log, None).expect("a pump");
        to.write_all(b"one\n").expect("written");
        drop(to);
        assert!(pump.finish().note().is_none());
        assert_eq!(std::fs::read(&log).expect("a log"), b"one\n");
    }
}
