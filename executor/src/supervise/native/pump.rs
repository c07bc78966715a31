//! The one way of a job's output into its log: a pipe for stdout and stderr together, and a thread that reads it
//! and owns the log.
//!
//! A job that opens `/dev/stdout` or `/dev/stderr` opens the pipe once more: it can neither shorten the log nor
//! write in the middle of it. The thread is never waited for while the job runs, so no output and no slow disk
//! moves a timeout. When the disk takes no more, the pipe is closed: a job that writes on is told so (`EPIPE`), as
//! it is told of a full disk; it never waits for it.

use std::{
    fs::{File, OpenOptions},
    io::{self, PipeReader, PipeWriter, Read as _, Write as _},
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::Path,
    sync::{Arc, mpsc},
    time::Duration,
};

use rustix::event::{PollFd, PollFlags, poll};

use crate::redact::{MaskState, Masks, Redactor};

/// What a job may write before the thread has to take it.
const CAPACITY: usize = 1 << 20;
/// What is read at once, and how much is masked between two looks at anything else.
const CHUNK: usize = 128 << 10;
/// How long the end of the log is waited for, once nobody of the job is left: a disk may be stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// A thread that brings a job's output to its log.
#[derive(Debug)]
pub(super) struct Pump {
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
    /// Starts a thread that appends to a log. The job is to get what is returned as stdout and stderr.
    pub(super) fn start(log: &Path, masks: Option<Arc<Masks>>) -> io::Result<(Self, PipeWriter)> {
        let log = OpenOptions::new().append(true).create(true).open(log)?;
        let (from, to) = io::pipe()?;
        // More is only faster.
        let _ = rustix::pipe::fcntl_setpipe_size(&to, CAPACITY);
        let (stop, stopped) = UnixStream::pair()?;
        let (tell, done) = mpsc::channel();
        let redactor = masks.map(|masks| Redactor::new(masks, MaskState::default()));
        let mut work = Work { from, log, redactor, lost: Lost::default(), out: Vec::new() };
        std::thread::Builder::new().name("pump".to_owned()).spawn(move || {
            work.run(&stopped);
            // The pipe is closed before anybody hears of the end.
            let Work { lost, from, .. } = work;
            drop(from);
            let _ = tell.send(lost);
        })?;
        Ok((Self { stop, done }, to))
    }

    /// Waits until everything is in the log that the job wrote. Nobody of it is left.
    pub(super) fn finish(self) -> Lost {
        let Self { stop, done } = self;
        // Another process that still has the pipe open is not of the job.
        drop(stop);
        done.recv_timeout(PATIENCE).unwrap_or_else(|_| {
            let error = io::Error::other("it was not written in time");
            Lost(Some(error))
        })
    }
}

struct Work {
    from: PipeReader,
    log: File,
    redactor: Option<Redactor>,
    lost: Lost,
    out: Vec<u8>,
}

impl Work {
    fn run(&mut self, stopped: &UnixStream) {
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
                self.rest(&mut buffer);
                break;
            }
            if has_more && !self.once(&mut buffer) {
                break;
            }
        }
        if let Some(mut redactor) = self.redactor.take() {
            let mut out = std::mem::take(&mut self.out);
            redactor.finish(&mut out);
            self.write(&out);
        }
    }

    /// Takes what is in the pipe now: what the job wrote, it wrote before.
    fn rest(&mut self, buffer: &mut [u8]) {
        // Of this end only: the job's has flags of its own.
        if rustix::io::ioctl_fionbio(&self.from, true).is_err() {
            return;
        }
        for _ in 0..=2 * CAPACITY / CHUNK {
            if !self.once(buffer) {
                return;
            }
        }
    }

    /// Takes one chunk; false: there is none, and no more will come.
    fn once(&mut self, buffer: &mut [u8]) -> bool {
        let read = match self.from.read(buffer) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(error) => return error.kind() == io::ErrorKind::Interrupted,
        };
        match &mut self.redactor {
            None => self.write(&buffer[..read]),
            Some(redactor) => {
                let mut out = std::mem::take(&mut self.out);
                redactor.push(&buffer[..read], &mut out);
                self.write(&out);
                out.clear();
                self.out = out;
            }
        }
        self.lost.0.is_none()
    }

    fn write(&mut self, bytes: &[u8]) {
        if self.lost.0.is_none()
            && let Err(error) = self.log.write_all(bytes)
        {
            self.lost = Lost(Some(error));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_keeps_the_pipe_open_does_not_keep_the_log_waiting() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = dir.path().join("log");
        let (pump, mut to) = Pump::start(&log, None).expect("a pump");
        to.write_all(b"one\n").expect("written");
        let lost = pump.finish();
        assert!(lost.note().is_none(), "{lost:?}");
        assert_eq!(std::fs::read(&log).expect("a log"), b"one\n");
        drop(to);
    }

    #[test]
    fn a_job_is_told_of_a_full_disk_and_never_waits_for_it() {
        let (pump, mut to) = Pump::start(Path::new("/dev/full"), None).expect("a pump");
        let told = to.write_all(&vec![b'x'; 3 * CAPACITY]).expect_err("nobody reads");
        assert_eq!(told.kind(), io::ErrorKind::BrokenPipe);
        let lost = pump.finish();
        assert!(lost.is_full(), "{lost:?}");
        assert!(lost.note().expect("a note").contains("No space left"), "{lost:?}");
    }
}
