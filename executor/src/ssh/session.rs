//! A shell on a host that is asked one thing after the other.
//!
//! The login shell, whichever it is, sees one constant command; everything else goes to the POSIX `sh` it
//! starts, over stdin, so that nothing is parsed twice and nothing secret stands in an argument. Answers
//! end with a random mark; what login scripts print comes before the first mark and is skipped.

use std::{
    borrow::Cow,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    error::{SshError, SshFault},
    master::Master,
    options::SshOptions,
    wire::{Wire, WireError},
};
use crate::{
    command_line::Script,
    supervise::{
        shim::{self, Request, Server},
        token,
    },
};

/// What a session is asked.
#[derive(Debug)]
pub(crate) enum Ask<'a> {
    /// To run a script.
    Shell(Cow<'a, Script>),
    /// A request to a server, which may have to be started.
    Server(&'a Server, Request),
}

impl<'a> Ask<'a> {
    /// Asks for a verb that a server has and the script as well, whichever there is.
    pub(crate) fn verb<W: AsRef<str>>(
        server: Option<&'a Server>,
        shim: &Path,
        verb: &str,
        directory: &str,
        words: impl IntoIterator<Item = W>,
    ) -> Self {
        match server {
            Some(server) => {
                Self::Server(server, Request::new(verb).words([directory]).words(words))
            }
            None => {
                let call = shim::call(shim, verb, Path::new(directory));
                let call = words.into_iter().fold(call, |call, word| call.word(word.as_ref()));
                Self::Shell(Cow::Owned(call))
            }
        }
    }

    /// Returns what answers.
    pub(crate) fn kind(&self) -> SessionKind {
        match self {
            Self::Shell(_) => SessionKind::Shell,
            Self::Server(..) => SessionKind::Server,
        }
    }
}

/// What is at the other end of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SessionKind {
    /// A shell.
    Shell,
    /// The supervisor's server, of which a shell can be made again.
    Server,
}

/// What the login shell is told: the same words in sh, fish and csh.
const REMOTE: &str = "exec sh -s";

/// What a script answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellAnswer {
    /// Its exit status.
    pub status: u8,
    /// What it printed, stdout and stderr together.
    pub output: Vec<u8>,
}

impl ShellAnswer {
    /// Returns the output as text, without the newline at its end.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).trim_end().to_owned()
    }
}

/// A shell at the end of a connection.
#[derive(Debug)]
pub(crate) struct Session {
    wire: Wire,
    pub(crate) host: String,
    master: Option<Arc<Master>>,
    /// The mark that ends the script under way, if one is.
    under_way: Option<String>,
    kind: SessionKind,
    /// The library that the shell has read.
    library: Option<String>,
}

impl Session {
    /// Opens a session on `master`, in which a seat was taken; it is given back with the session.
    pub(crate) fn open(
        options: &SshOptions,
        master: Option<Arc<Master>>,
        until: Instant,
    ) -> Result<Self, SshError> {
        let mut command = match &master {
            Some(master) => options.session(master.socket(), REMOTE),
            None => options.direct(REMOTE),
        };
        let host = options.destination.clone();
        let wire = match Wire::spawn(&mut command) {
            Ok(wire) => wire,
            Err(error) => {
                if let Some(master) = master {
                    master.leave_seat();
                }
                return Err(SshError::new(&host, SshFault::NoClient, error.to_string()));
            }
        };
        let (under_way, kind, library) = (None, SessionKind::Shell, None);
        let mut session = Self { wire, host, master, under_way, kind, library };
        let mark = token();
        session.greet(format!("printf '\\n%s\\n' {mark}\n").as_bytes(), &mark, until)?;
        Ok(session)
    }

    /// Says something upon which the mark is heard, whatever comes before.
    fn greet(&mut self, hello: &[u8], mark: &str, until: Instant) -> Result<(), SshError> {
        let heard = self
            .wire
            .write_all(hello, until)
            .and_then(|()| self.wire.skip_to(format!("\n{mark}\n").as_bytes(), until));
        heard.map(drop).map_err(|error| self.explain(error, SshFault::Shell))
    }

    /// Returns what is at the other end.
    pub(crate) fn kind(&self) -> SessionKind {
        self.kind
    }

    /// Has a shell at the other end.
    fn be_shell(&mut self, until: Instant) -> Result<(), SshError> {
        if self.kind == SessionKind::Server {
            // Nothing is sent before it answers: the server would read what is the shell's.
            self.tell(&Request::new("shell"), until)?;
            self.finish(until)?;
            self.kind = SessionKind::Shell;
            self.library = None;
        }
        Ok(())
    }

    /// Has a server at the other end.
    fn be_server(&mut self, server: &Server, until: Instant) -> Result<(), SshError> {
        if self.kind == SessionKind::Shell {
            let mark = token();
            self.greet(server.start(&mark).as_bytes(), &mark, until)?;
            self.kind = SessionKind::Server;
        }
        Ok(())
    }

    /// Returns what has the shell read the library that a script needs.
    fn read_library(&mut self, script: &Script) -> Vec<u8> {
        match script.library().filter(|&path| self.library.as_deref() != Some(path)) {
            Some(library) => {
                self.library = Some(library.to_owned());
                // A file that is not there would end the shell.
                format!("FORGE_LANES_LIBRARY=1; [ ! -r {library} ] || . {library}\n").into_bytes()
            }
            None => Vec::new(),
        }
    }

    /// Returns whether another script can be sent.
    pub(crate) fn is_usable(&mut self) -> bool {
        self.under_way.is_none()
            && self.master.as_ref().is_none_or(|master| master.is_alive())
            && !self.wire.is_gone()
    }

    /// Asks something that reads nothing and returns the answer.
    pub(crate) fn request(
        &mut self,
        ask: &Ask<'_>,
        until: Instant,
    ) -> Result<ShellAnswer, SshError> {
        self.ask(ask, "</dev/null 2>&1", until)?;
        self.finish(until)
    }

    /// Asks something; `redirect` is for a script.
    pub(crate) fn ask(
        &mut self,
        ask: &Ask<'_>,
        redirect: &str,
        until: Instant,
    ) -> Result<(), SshError> {
        let (server, request) = match ask {
            Ask::Shell(script) => return self.begin(script, redirect, until),
            Ask::Server(server, request) => (server, request),
        };
        self.be_server(server, until)?;
        self.tell(request, until)
    }

    /// Sends a request to the server.
    fn tell(&mut self, request: &Request, until: Instant) -> Result<(), SshError> {
        let mark = token();
        let line = request.line(&mark);
        self.under_way = Some(mark);
        let written = self.wire.write_all(line.as_bytes(), until);
        written.map_err(|error| self.explain(error, SshFault::Lost))
    }

    /// Starts a script; what it prints is read with the other functions, then [`finish`](Self::finish).
    pub(crate) fn begin(
        &mut self,
        script: &Script,
        redirect: &str,
        until: Instant,
    ) -> Result<(), SshError> {
        self.be_shell(until)?;
        let mark = token();
        // One compound command: the shell has read all of it when it begins, so that a script may read
        // the same stdin.
        let mut text = self.read_library(script);
        text.extend_from_slice(b"{ (\n");
        text.extend_from_slice(script.as_bytes());
        let end = format!("\n) {redirect}\nprintf '\\n%s %s\\n' {mark} $?\n}}\n");
        text.extend_from_slice(end.as_bytes());
        self.under_way = Some(mark);
        self.wire.write_all(&text, until).map_err(|error| self.explain(error, SshFault::Lost))
    }

    /// Reads what the script under way still prints, and how it ended.
    pub(crate) fn finish(&mut self, until: Instant) -> Result<ShellAnswer, SshError> {
        let mark = self.under_way.clone().unwrap_or_default();
        let read = self
            .wire
            .skip_to(format!("\n{mark} ").as_bytes(), until)
            .and_then(|output| Ok((output, self.wire.line(until)?)));
        let (output, status) = read.map_err(|error| self.explain(error, SshFault::Lost))?;
        let status = std::str::from_utf8(&status).ok().and_then(|text| text.parse().ok());
        let Some(status) = status else {
            return Err(SshError::new(&self.host, SshFault::Garbled, "a status that is no number"));
        };
        self.under_way = None;
        Ok(ShellAnswer { status, output })
    }

    /// Waits until the script under way prints `ready` on a line of its own; if it ends before, that is
    /// its answer.
    pub(crate) fn await_ready(
        &mut self,
        ready: &str,
        mut until: Instant,
    ) -> Result<Option<ShellAnswer>, SshError> {
        self.await_ready_alive(ready, None, &mut until)
    }

    /// The same of a script that prints the line `alive.0` while it works: each time, it has `alive.1` from then on, to
    /// which `until` is set.
    pub(crate) fn await_ready_alive(
        &mut self,
        ready: &str,
        alive: Option<(&str, Duration)>,
        until: &mut Instant,
    ) -> Result<Option<ShellAnswer>, SshError> {
        let mut output = Vec::new();
        loop {
            let line =
                self.wire.line(*until).map_err(|error| self.explain(error, SshFault::Lost))?;
            if line == ready.as_bytes() {
                return Ok(None);
            }
            if let Some((_, each)) = alive.filter(|(said, _)| line == said.as_bytes()) {
                *until = Instant::now() + each;
                continue;
            }
            let text = String::from_utf8_lossy(&line);
            if let Some(status) = self.ended(&text) {
                return Ok(Some(ShellAnswer { status, output }));
            }
            output.extend_from_slice(&line);
            output.push(b'\n');
        }
    }

    /// If a line is the end of the script under way, returns its status; the session is free then.
    pub(crate) fn ended(&mut self, line: &str) -> Option<u8> {
        let status = self.is_end(line).then(|| line.rsplit(' ').next()?.parse().ok());
        let status = status.map(|status| status.unwrap_or(255));
        if status.is_some() {
            self.under_way = None;
        }
        status
    }

    /// Returns whether a line is the end of the script under way.
    pub(crate) fn is_end(&self, line: &str) -> bool {
        self.under_way.as_ref().is_some_and(|mark| line.starts_with(&format!("{mark} ")))
    }

    /// Returns the pipes, for a script whose output or input is more than text.
    pub(crate) fn wire(&mut self) -> &mut Wire {
        &mut self.wire
    }

    /// Turns what happened on the pipes into an error.
    pub(crate) fn explain(&mut self, error: WireError, otherwise: SshFault) -> SshError {
        match error {
            WireError::Deadline => {
                SshError::new(&self.host, SshFault::Deadline, self.wire.errors())
            }
            WireError::Io(error) => SshError::new(&self.host, SshFault::Here, error.to_string()),
            WireError::Woken => {
                // Nobody waits for what it may still say.
                self.wire.kill();
                SshError::new(&self.host, SshFault::Here, "nothing more is wanted of it")
            }
            WireError::Closed => {
                self.wire.wake_on(None);
                let said = self.wire.last_words(Instant::now() + Duration::from_secs(2));
                let fault = SshFault::of_client(&said);
                if let (true, Some(master)) = (fault != SshFault::SessionRefused, &self.master) {
                    // A session knows nothing about the connection that it only borrows.
                    if let Some(lost) = master.why_lost(Duration::from_millis(500)) {
                        return lost;
                    }
                }
                let fault = match fault {
                    SshFault::SessionRefused => fault,
                    // 255 is the client's own; anything else is what the far shell said.
                    _ if self.wire.exit_code().is_some_and(|code| code != 255) => otherwise,
                    _ if self.master.is_some() => SshFault::Lost,
                    _ => fault,
                };
                SshError::new(&self.host, fault, said)
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(master) = &self.master {
            master.leave_seat();
        }
    }
}
