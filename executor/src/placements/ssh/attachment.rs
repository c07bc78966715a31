//! A log as it comes from a supervisor over there: frames with offsets and lengths.
//!
//! The offset counts bytes of the log, so that a new attachment goes on exactly where a lost one ended.

use std::{os::fd::OwnedFd, time::Instant};

use super::{
    error::{SshError, SshFault},
    host::Host,
    session::{Answer, Ask, Kind, Session},
    token::token,
    wire::WireError,
};
use crate::command_line::Script;

/// What comes out of an attachment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogEvent {
    /// The next bytes of the log.
    Bytes(Vec<u8>),
    /// The log is shorter than what was taken of it; its bytes follow from the first one that is there.
    Cut,
    /// Nothing new, and the path is alive.
    Idle,
    /// Somebody wants our attention ([`Attachment::open`]'s `wake`); nothing is lost by it.
    Woken,
    /// The log is drained; the supervisor's status line.
    End(String),
}

/// A stream of a job's log.
#[derive(Debug)]
pub struct Attachment {
    session: Session,
    mark: String,
    offset: u64,
    /// Bytes of the present frame that are still to come.
    left: u64,
    begun: bool,
}

/// What came of a start.
#[derive(Debug)]
pub(super) enum Started {
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

/// At most this much in one event.
const CHUNK: u64 = 256 * 1024;

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
        let mut session = host.session(Kind::Shell, until)?;
        session.begin(&script, "</dev/null 2>/dev/null", until)?;
        session.wire().wake_on(wake);
        Ok(Self { session, mark, offset, left: 0, begun: false })
    }

    /// Starts a job and attaches to it in one exchange: `run` makes what is asked of the mark of frames. What comes
    /// before the first frame is a complaint.
    ///
    /// # Errors
    ///
    /// When no session can be had, or nothing is heard of the supervisor until `until`.
    pub(super) fn start<'a>(
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
                let attachment = Self { session, mark, offset: 0, left: 0, begun: true };
                return Ok(Started::Attached { attachment: Box::new(attachment), wanted });
            }
            if let Some(status) = session.ended(&text) {
                host.give_back(session);
                host.succeeded(Answer { status, output: said })?;
                return Ok(Started::Refused("it said nothing".to_owned()));
            }
            said.extend_from_slice(&line);
            said.push(b'\n');
        }
    }

    /// Returns the offset of the next byte.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// From now on, [`next`](Self::next) answers [`LogEvent::Woken`] while `wake` is readable.
    pub fn wake_on(&mut self, wake: Option<OwnedFd>) {
        self.session.wire().wake_on(wake);
    }

    /// Waits for what comes next. At `look`, it answers [`LogEvent::Woken`].
    ///
    /// # Errors
    ///
    /// When the connection broke or said nothing until `until`; attach again at
    /// [`offset`](Self::offset).
    pub fn next(&mut self, until: Instant, look: Option<Instant>) -> Result<LogEvent, SshError> {
        match self.read(look.map_or(until, |look| look.min(until))) {
            Err(ReadError::Wire(WireError::Deadline)) if Instant::now() < until => {
                Ok(LogEvent::Woken)
            }
            Ok(event) => Ok(event),
            Err(ReadError::Wire(WireError::Woken)) => Ok(LogEvent::Woken),
            Err(ReadError::Wire(error)) => Err(self.session.explain(error, SshFault::Lost)),
            Err(ReadError::Refused(line)) => {
                let status = line.split_once(' ').map_or("", |(_, status)| status);
                let text = format!("the supervisor ended with status {status} without a word");
                Err(SshError::new(&self.session.host, SshFault::Remote, text))
            }
            Err(ReadError::Garbled(text)) => {
                Err(SshError::new(&self.session.host, SshFault::Garbled, text))
            }
        }
    }

    fn read(&mut self, until: Instant) -> Result<LogEvent, ReadError> {
        if !self.begun {
            self.session.wire().skip_to(b"\n", until)?;
            self.begun = true;
        }
        if self.left == 0 {
            let line = self.session.wire().line(until)?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let Some(frame) = line.strip_prefix(&self.mark) else {
                if self.session.is_end(&line) {
                    return Err(ReadError::Refused(line));
                }
                return Err(ReadError::Garbled(format!("`{}` is no frame", shorten(&line))));
            };
            let words: Vec<&str> = frame.split_ascii_whitespace().collect();
            match words[..] {
                ["idle"] => return Ok(LogEvent::Idle),
                ["cut"] => {
                    self.offset = 0;
                    return Ok(LogEvent::Cut);
                }
                ["end", ..] => {
                    let status = frame.trim().strip_prefix("end").unwrap_or_default().trim();
                    return Ok(LogEvent::End(status.to_owned()));
                }
                ["log", offset, length] => {
                    let (offset, length) = (offset.parse::<u64>().ok(), length.parse::<u64>().ok());
                    match (offset, length) {
                        (Some(offset), Some(length)) if offset == self.offset => self.left = length,
                        _ => {
                            return Err(ReadError::Garbled(format!(
                                "a frame out of order: {frame}"
                            )));
                        }
                    }
                }
                _ => return Err(ReadError::Garbled(format!("`{}` is no frame", shorten(frame)))),
            }
        }
        let left = self.left.min(CHUNK);
        let wire = self.session.wire();
        let bytes = wire.more(0, until)?;
        let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let bytes = bytes[..count].to_vec();
        wire.take(count);
        self.left -= count as u64;
        self.offset += count as u64;
        Ok(LogEvent::Bytes(bytes))
    }

    /// Returns the session to the host after [`LogEvent::End`].
    pub fn close(mut self, host: &Host, until: Instant) {
        self.session.wire().wake_on(None);
        if self.session.finish(until).is_ok() {
            host.give_back(self.session);
        }
    }
}

#[derive(Debug)]
enum ReadError {
    Wire(WireError),
    /// The script is over already.
    Refused(String),
    Garbled(String),
}

impl From<WireError> for ReadError {
    fn from(error: WireError) -> Self {
        Self::Wire(error)
    }
}

fn shorten(line: &str) -> String {
    line.chars().take(60).flat_map(char::escape_debug).collect()
}
