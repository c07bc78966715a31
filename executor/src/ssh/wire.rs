//! The three pipes of an ssh client, with a deadline on every wait.
//!
//! Knows bytes and time, nothing of what they mean. Both outputs are read whatever is waited for, so that
//! a client that complains at length never blocks.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    process::{Child, Command, Stdio},
    time::Instant,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{OFlags, fcntl_getfl, fcntl_setfl},
    io::Errno,
};

use crate::signals;

/// What a pipe holds that nobody made larger, and a larger one.
const USUAL_PIPE: usize = 64 * 1024;
const LARGE_PIPE: usize = 1 << 20;

/// How much of what a client says on stderr is kept.
const KEPT_ERRORS: usize = 8 * 1024;

/// Why a wait ended without what was waited for.
#[derive(Debug)]
pub(crate) enum WireError {
    /// The time was over.
    Deadline,
    /// The other end closed.
    Closed,
    /// Somebody wants the waiting one's attention ([`Wire::wake_on`]).
    Woken,
    /// The operating system refused.
    Io(io::Error),
}

impl From<Errno> for WireError {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::PIPE | Errno::CONNRESET => Self::Closed,
            _ => Self::Io(errno.into()),
        }
    }
}

/// A client and its pipes. Dropping it ends the client.
#[derive(Debug)]
pub(crate) struct Wire {
    child: Child,
    input: Option<OwnedFd>,
    output: OwnedFd,
    complaints: Option<OwnedFd>,
    errors: Vec<u8>,
    /// Read, not yet taken.
    buffer: Vec<u8>,
    /// How much of `buffer` was taken.
    taken: usize,
    /// Room to read into.
    chunk: Box<[u8]>,
    ended: bool,
    wake: Option<OwnedFd>,
}

impl Wire {
    /// Starts `command` with three pipes of ours, in a process group of its own: a Ctrl-C in the terminal
    /// is for the executor to act on, not for its clients.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        use std::os::unix::process::CommandExt as _;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let taken = || io::Error::other("a pipe of a new child is missing");
        let input = OwnedFd::from(child.stdin.take().ok_or_else(taken)?);
        let output = OwnedFd::from(child.stdout.take().ok_or_else(taken)?);
        let complaints = OwnedFd::from(child.stderr.take().ok_or_else(taken)?);
        for fd in [&input, &output, &complaints] {
            fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?;
        }
        Ok(Self {
            child,
            input: Some(input),
            output,
            complaints: Some(complaints),
            errors: Vec::new(),
            buffer: Vec::new(),
            taken: 0,
            chunk: Box::default(),
            ended: false,
            wake: None,
        })
    }

    /// From now on, waits end with [`WireError::Woken`] while `wake` is readable (or closed).
    pub(crate) fn wake_on(&mut self, wake: Option<OwnedFd>) {
        self.wake = wake;
    }

    /// Returns what the client said on stderr, the end of it.
    pub(crate) fn errors(&self) -> String {
        String::from_utf8_lossy(&self.errors).into_owned()
    }

    /// Returns the client's process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Closes our end of the client's stdin.
    pub(crate) fn close_input(&mut self) {
        self.input = None;
    }

    /// Writes all of `bytes`.
    pub(crate) fn write_all(&mut self, mut bytes: &[u8], until: Instant) -> Result<(), WireError> {
        while !bytes.is_empty() {
            let input = self.input.as_ref().ok_or(WireError::Closed)?;
            match rustix::io::write(input, bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(Errno::AGAIN) => {
                    self.wait(true, until)?;
                }
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Returns what was read and not taken, waiting for more than `have` bytes of it. At the end of the
    /// stream it is an error.
    pub(crate) fn more(&mut self, have: usize, until: Instant) -> Result<&[u8], WireError> {
        if self.taken > 0 && (self.taken == self.buffer.len() || self.taken > 1 << 20) {
            self.buffer.drain(..self.taken);
            self.taken = 0;
        }
        while self.buffer.len() - self.taken <= have {
            if self.ended {
                return Err(WireError::Closed);
            }
            self.wait(false, until)?;
        }
        Ok(&self.buffer[self.taken..])
    }

    /// Marks `count` bytes of what [`more`](Self::more) returned as used.
    pub(crate) fn take(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.buffer.len());
    }

    /// Reads up to and with the next newline; the line comes without it.
    pub(crate) fn line(&mut self, until: Instant) -> Result<Vec<u8>, WireError> {
        let mut have = 0;
        loop {
            let bytes = self.more(have, until)?;
            if let Some(end) = bytes[have..].iter().position(|&byte| byte == b'\n') {
                let line = bytes[..have + end].to_vec();
                self.take(have + end + 1);
                return Ok(line);
            }
            have = bytes.len();
            if have > 1 << 20 {
                return Err(WireError::Io(io::Error::other("a line without end")));
            }
        }
    }

    /// Skips everything up to and with `mark`; returns what was skipped.
    pub(crate) fn skip_to(&mut self, mark: &[u8], until: Instant) -> Result<Vec<u8>, WireError> {
        let mut have = 0;
        loop {
            let bytes = self.more(have, until)?;
            let from = have.saturating_sub(mark.len());
            if let Some(at) = find(&bytes[from..], mark) {
                let skipped = bytes[..from + at].to_vec();
                self.take(from + at + mark.len());
                return Ok(skipped);
            }
            have = bytes.len();
            if have > 64 << 20 {
                return Err(WireError::Io(io::Error::other("an answer without end")));
            }
        }
    }

    /// Waits until something happened: bytes were read, or (`writing`) there is room to write.
    fn wait(&mut self, writing: bool, until: Instant) -> Result<(), WireError> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(WireError::Deadline);
        }
        let timeout = Timespec::try_from(left).ok();
        let mut fds = Vec::with_capacity(4);
        if let Some(wake) = &self.wake {
            fds.push(PollFd::new(wake, PollFlags::IN));
        }
        if !self.ended {
            fds.push(PollFd::new(&self.output, PollFlags::IN));
        }
        if let Some(complaints) = &self.complaints {
            fds.push(PollFd::new(complaints, PollFlags::IN));
        }
        if let (true, Some(input)) = (writing, &self.input) {
            fds.push(PollFd::new(input, PollFlags::OUT));
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Err(WireError::Deadline),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let woken = self.wake.is_some() && !fds[0].revents().is_empty();
        self.drain_complaints();
        self.drain_output()?;
        if woken { Err(WireError::Woken) } else { Ok(()) }
    }

    fn drain_output(&mut self) -> Result<(), WireError> {
        // Bounded: a caller that only writes must not collect without end.
        if self.chunk.is_empty() {
            self.chunk = vec![0; USUAL_PIPE].into();
        }
        for _ in 0..4 {
            match rustix::io::read(self.output.as_fd(), &mut self.chunk[..]) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(count) => {
                    self.buffer.extend_from_slice(&self.chunk[..count]);
                    if count == USUAL_PIPE && self.chunk.len() == USUAL_PIPE {
                        // It was full: there is much to come, which larger pieces bring in less time.
                        let _ = rustix::pipe::fcntl_setpipe_size(&self.output, LARGE_PIPE);
                        self.chunk = vec![0; LARGE_PIPE / 4].into();
                    }
                }
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// Takes what stands on stderr.
    fn drain_complaints(&mut self) {
        let mut chunk = [0; 4096];
        while let Some(complaints) = &self.complaints {
            match rustix::io::read(complaints, &mut chunk) {
                Ok(count) if count > 0 => {
                    self.errors.extend_from_slice(&chunk[..count]);
                    let excess = self.errors.len().saturating_sub(KEPT_ERRORS);
                    self.errors.drain(..excess);
                }
                Err(Errno::AGAIN | Errno::INTR) => return,
                Ok(_) | Err(_) => self.complaints = None,
            }
        }
    }

    /// Waits for the client to go by itself and returns its last words; after the deadline it is ended.
    pub(crate) fn last_words(&mut self, until: Instant) -> String {
        self.close_input();
        while !self.ended || self.complaints.is_some() {
            self.taken = self.buffer.len();
            self.buffer.clear();
            self.taken = 0;
            if self.wait(false, until).is_err() {
                break;
            }
        }
        self.errors()
    }

    /// Returns whether the client ended.
    pub(crate) fn is_gone(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    /// Returns what the client exits with, waiting for it: its output has ended.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let until = Instant::now() + std::time::Duration::from_secs(2);
        while !self.is_gone() && Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        self.child.try_wait().ok().flatten()?.code()
    }

    /// Ends the client at once, and what it started: a `ProxyCommand` does not hear that its client is gone.
    pub(crate) fn kill(&mut self) {
        if self.is_gone() {
            return;
        }
        // Its number is its own until it is waited for, and so is that of the group that it leads.
        signals::kill_group(&mut self.child);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns where `needle` first stands in `hay`.
pub(crate) fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    hay.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    fn sh(script: &str) -> Wire {
        Wire::spawn(Command::new("sh").args(["-c", script])).expect("sh starts")
    }

    #[test]
    fn bytes_go_both_ways_and_lines_are_cut_where_they_end() {
        let mut wire = sh("cat");
        wire.write_all(b"one\ntwo\nthr", soon()).expect("written");
        assert_eq!(wire.line(soon()).expect("a line"), b"one");
        assert_eq!(wire.line(soon()).expect("a line"), b"two");
        wire.write_all(b"ee MARK rest", soon()).expect("written");
        assert_eq!(wire.skip_to(b"MARK", soon()).expect("a mark"), b"three ");
        wire.close_input();
        assert_eq!(wire.more(0, soon()).expect("the rest"), b" rest");
        wire.take(5);
        assert!(matches!(wire.more(0, soon()), Err(WireError::Closed)));
    }

    #[test]
    fn a_silent_client_runs_into_the_deadline_and_is_gone_with_its_wire() {
        let mut wire = sh("exec sleep 1000");
        let until = Instant::now() + Duration::from_millis(50);
        assert!(matches!(wire.line(until), Err(WireError::Deadline)));
        let pid = rustix::process::Pid::from_raw(wire.id().cast_signed()).expect("a pid");
        drop(wire);
        assert!(rustix::process::test_kill_process(pid).is_err());
    }

    #[test]
    fn more_than_a_pipe_holds_is_written_while_the_client_talks_back() {
        let mut wire = sh("cat >&2; echo done");
        let big = vec![b'x'; 4 << 20];
        wire.write_all(&big, soon()).expect("written");
        wire.close_input();
        assert_eq!(wire.line(soon()).expect("a line"), b"done");
        assert_eq!(wire.last_words(soon()).len(), KEPT_ERRORS);
    }
}
