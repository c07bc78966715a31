//! `tart exec`: runs a command in a running guest, streams both of its outputs and ends with its
//! exit code, as far as it comes through.

use std::io::{self, Read as _};
use std::os::unix::net::UnixStream;

use serde::{Deserialize, Serialize};

use crate::failure::{Failure, Outcome};
use crate::faults;
use crate::storage::Directory;
use crate::wire;

/// What is to be run.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Order {
    pub(crate) command: Vec<String>,
    pub(crate) interactive: bool,
    pub(crate) manner: Manner,
}

/// How an answer goes wrong, where a fault says so.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) enum Manner {
    Truthful,
    Hanging,
    EndingEarly,
    Dropping,
}

impl Manner {
    /// Chosen by the client, which sees the file of faults; a guest does not.
    fn of_this_answer() -> Self {
        if faults::take("exec-hangs") {
            Self::Hanging
        } else if faults::take("exec-ends-early") {
            Self::EndingEarly
        } else if faults::take("exec-drops") {
            Self::Dropping
        } else {
            Self::Truthful
        }
    }
}

pub(crate) fn exec(arguments: &[String]) -> Outcome {
    let mut interactive = false;
    let mut rest = arguments;
    while let [option, following @ ..] = rest
        && option.starts_with('-')
    {
        match option.as_str() {
            "-i" => interactive = true,
            "-t" => return Err(Failure::prefixed("stand-in: exec -t is not modelled")),
            other => {
                return Err(Failure::usage("tart exec", format!("Unknown option '{other}'")));
            }
        }
        rest = following;
    }
    // Everything after the name is the command, a `--` or `-i` as well.
    let [name, command @ ..] = rest else {
        return Err(Failure::usage("tart exec", "Missing expected argument '<name>'"));
    };
    if command.is_empty() {
        return Err(Failure::usage("tart exec", "Missing expected argument '<command> ...'"));
    }
    let guest = Directory::open(name)?;
    if guest.runner().is_none() {
        return Err(Failure::not_running(name));
    }
    let manner = Manner::of_this_answer();
    let order = Order { command: command.to_vec(), interactive, manner };
    let connect = || {
        std::env::set_current_dir(&guest.path)?;
        let stream = UnixStream::connect("control.sock")?;
        wire::send(&stream, wire::COMMAND, &serde_json::to_vec(&order)?)?;
        let first = wire::receive(&stream)?;
        Ok((stream, first))
    };
    let (stream, first) = connect().map_err(|error: io::Error| {
        Failure::bare(
            1,
            format!(
                "Failed to connect to the VM using its control socket: {error}, is the Tart \
                 Guest Agent running?"
            ),
        )
    })?;
    if interactive {
        let stream = stream.try_clone().map_err(|e| Failure::io("control.sock", e))?;
        std::thread::spawn(move || send_input(&stream));
    }
    follow(&stream, first)
}

fn send_input(stream: &UnixStream) -> io::Result<()> {
    let mut buffer = [0; 65_536];
    loop {
        let length = io::stdin().read(&mut buffer)?;
        wire::send(stream, wire::INPUT, &buffer[..length])?;
        if length == 0 {
            return Ok(());
        }
    }
}

fn follow(stream: &UnixStream, first: (u8, Vec<u8>)) -> Outcome {
    let mut frame = first;
    loop {
        let (tag, bytes) = frame;
        match tag {
            wire::OUTPUT => print(io::stdout(), &bytes)?,
            wire::ERROR => print(io::stderr(), &bytes)?,
            wire::EXIT => {
                let code = bytes.try_into().map(i32::from_le_bytes);
                return Ok(code.unwrap_or(-1) & 0xff);
            }
            wire::REFUSED => {
                return Err(Failure::prefixed(String::from_utf8_lossy(&bytes)));
            }
            // The stream ended in good order, and nobody said how the command did.
            wire::END => return Ok(0),
            _ => {}
        }
        frame = wire::receive(stream)
            .map_err(|_| Failure::prefixed("unavailable (14): Stream unexpectedly closed."))?;
    }
}

fn print(mut to: impl io::Write, bytes: &[u8]) -> Result<(), Failure> {
    to.write_all(bytes).and_then(|()| to.flush()).map_err(|e| Failure::io("cannot write", e))
}
