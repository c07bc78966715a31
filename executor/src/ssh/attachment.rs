//! The log of a job on a host, read through one session.
//!
//! What its frames mean is read by [`Frames`]. The offset counts bytes of the log, so that a new
//! attachment goes on exactly where a lost one ended.

use std::{os::fd::OwnedFd, time::Instant};

use super::{
    error::{SshError, SshFault},
    host::Host,
    session::{Ask, Session, SessionKind, ShellAnswer},
    wire::WireError,
};
use crate::{
    command_line::Script,
    supervise::{Frame, Frames, NotAFrame, token},
};

/// A stream of a job's log.
#[derive(Debug)]
pub struct Attachment {
    session: Session,
    frames: Frames,
}

/// What came of a start.
#[derive(Debug)]
pub(crate) enum Started {
    /// It runs, or ran: its log follows from the beginning.
    Attached {
        /// Its log.
        attachment: Box<Attachment>,
        /// Whether another executor waits for the place that it has.
        wanted: bool,
    },
    /// The supervisor says why not.
    Refused(String),
}

impl Attachment {
    /// Attaches at `offset` by running `attach`, a script that ends in the words `attach DIR`; offset and
    /// mark are added to it.
    ///
    /// # Errors
    ///
    /// When no session can be had.
    pub fn open(
        host: &Host,
        attach: Script,
        offset: u64,
        wake: Option<OwnedFd>,
        until: Instant,
    ) -> Result<Self, SshError> {
        let mark = token();
        let script = attach.word(offset.to_string()).word(&mark);
        let mut session = host.session(SessionKind::Shell, until)?;
        session.begin(&script, "</dev/null 2>/dev/null", until)?;
        session.wire().wake_on(wake);
        Ok(Self { session, frames: Frames::new(&mark, offset) })
    }

    /// Starts a job and attaches to it in one exchange: `run` makes what is asked of the mark of frames. What comes
    /// before the first frame is a complaint.
    ///
    /// # Errors
    ///
    /// When no session can be had, or nothing is heard of the supervisor until `until`.
    pub(crate) fn start<'a>(
        host: &Host,
        run: impl FnOnce(&str) -> Ask<'a>,
        until: Instant,
    ) -> Result<Started, SshError> {
        let mark = token();
        let ask = run(&mark);
        let mut session = host.session(ask.kind(), until)?;
        session.ask(&ask, "</dev/null 2>/dev/null", until)?;
        let mut said = Vec::new();
        loop {
            let line = session.wire().line(until);
            let line = line.map_err(|error| session.explain(error, SshFault::Lost))?;
            let text = String::from_utf8_lossy(&line).into_owned();
            if let Some(frame) = text.strip_prefix(&mark) {
                let frame = frame.trim();
                if let Some(why) = frame.strip_prefix("error") {
                    if session.finish(until).is_ok() {
                        host.give_back(session);
                    }
                    return Ok(Started::Refused(why.trim().to_owned()));
                }
                let wanted = frame.ends_with(" wanted");
                let attachment = Self { session, frames: Frames::new(&mark, 0) };
                return Ok(Started::Attached { attachment: Box::new(attachment), wanted });
            }
            if let Some(status) = session.ended(&text) {
                host.give_back(session);
                host.succeeded(ShellAnswer { status, output: said })?;
                return Ok(Started::Refused("it said nothing".to_owned()));
            }
            said.extend_from_slice(&line);
            said.push(b'\n');
        }
    }

    /// Returns the offset of the next byte.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.frames.offset()
    }

    /// From now on, [`next`](Self::next) answers `None` while `wake` is readable.
    pub fn wake_on(&mut self, wake: Option<OwnedFd>) {
        self.session.wire().wake_on(wake);
    }

    /// Waits for the next frame. `None`: `wake` is readable, or `look` is reached; nothing is lost
    /// by it.
    ///
    /// # Errors
    ///
    /// When the connection broke or nothing came until `until`; attach again at
    /// [`offset`](Self::offset).
    pub fn next(
        &mut self,
        until: Instant,
        look: Option<Instant>,
    ) -> Result<Option<Frame>, SshError> {
        loop {
            let wire = self.session.wire();
            let mut bytes = match wire.more(0, look.map_or(until, |look| look.min(until))) {
                Ok(bytes) => bytes,
                Err(WireError::Deadline) if Instant::now() < until => return Ok(None),
                Err(WireError::Woken) => return Ok(None),
                Err(error) => return Err(self.session.explain(error, SshFault::Lost)),
            };
            let all = bytes.len();
            let read = self.frames.next(&mut bytes);
            let taken = all - bytes.len();
            wire.take(taken);
            match read {
                Ok(None) => {}
                // What is run before `attach`, or a shell that says something.
                Ok(Some(Frame::Word(line))) => self.not_the_end(&line)?,
                Ok(frame) => return Ok(frame),
                Err(NotAFrame { line, why }) => {
                    self.not_the_end(&line)?;
                    return Err(SshError::new(&self.session.host, SshFault::Garbled, why));
                }
            }
        }
    }

    /// Refuses the line that ends a script, if it is one: the supervisor said less than it had to.
    fn not_the_end(&self, line: &str) -> Result<(), SshError> {
        if !self.session.is_end(line) {
            return Ok(());
        }
        let status = line.split_once(' ').map_or("", |(_, status)| status);
        let text = format!("the supervisor ended with status {status} without a word");
        Err(SshError::new(&self.session.host, SshFault::Remote, text))
    }

    /// Returns the session to the host after [`Frame::End`].
    pub fn close(mut self, host: &Host, until: Instant) {
        self.session.wire().wake_on(None);
        if self.session.finish(until).is_ok() {
            host.give_back(self.session);
        }
    }
}
