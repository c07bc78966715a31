//! The guest agent: takes orders from the control socket and runs them beside the guest's other
//! processes. The guest's first process starts it again when somebody kills it.

use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::exec::{Manner, Order};
use crate::failure::{Failure, Outcome};
use crate::guest::HOME;
use crate::wire;

pub(crate) const AGENT_VERB: &str = "stand-in-agent";

/// The agent's main loop; its standard input is the listening control socket. The argument is the
/// delay in milliseconds before it answers, or `never`.
pub(crate) fn serve(arguments: &[String]) -> Outcome {
    let delay = arguments.first().and_then(|text| text.parse().ok()).map(Duration::from_millis);
    let ready = delay.map(|delay| Instant::now() + delay);
    let listener = io::stdin().as_fd().try_clone_to_owned().map(UnixListener::from);
    let listener = listener.map_err(|e| Failure::io("the control socket", e))?;
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        if ready.is_some_and(|ready| Instant::now() >= ready) {
            std::thread::spawn(move || answer(&stream));
        }
    }
}

fn answer(stream: &UnixStream) -> io::Result<()> {
    let (_, bytes) = wire::receive(stream)?;
    let order: Order = serde_json::from_slice(&bytes)?;
    let manner = order.manner;
    let mut child = match spawn(&order) {
        Ok(child) => child,
        Err(error) => {
            let program = order.command.first().map(String::as_str).unwrap_or_default();
            let text = format!("unknown (2): failed to start \"{program}\": {error}");
            return wire::send(stream, wire::REFUSED, text.as_bytes());
        }
    };
    let ended = Arc::new(AtomicBool::new(false));
    let input = child.stdin.take();
    let (watched, watching) = (stream.try_clone()?, Arc::clone(&ended));
    let pid = Pid::from_child(&child);
    std::thread::spawn(move || {
        feed(&watched, input);
        // The client is gone: the command is killed, and nothing that it started.
        if !watching.load(Ordering::SeqCst) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    });
    wire::send(stream, wire::STARTED, &[])?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let to = Mutex::new(stream);
    let early = std::thread::scope(|scope| {
        let out = scope.spawn(|| pump(stdout, &to, wire::OUTPUT, manner));
        let err = scope.spawn(|| pump(stderr, &to, wire::ERROR, manner));
        [out.join(), err.join()].iter().any(|pumped| matches!(pumped, Ok(Pumped::EndedEarly)))
    });
    let status = child.wait()?;
    ended.store(true, Ordering::SeqCst);
    match manner {
        Manner::Hanging => loop {
            std::thread::park();
        },
        _ if early => Ok(()),
        Manner::EndingEarly => wire::send(stream, wire::END, &[]),
        Manner::Dropping => stream.shutdown(std::net::Shutdown::Both),
        // A death by signal has no exit code of its own here: -1.
        Manner::Truthful => {
            wire::send(stream, wire::EXIT, &status.code().unwrap_or(-1).to_le_bytes())
        }
    }
}

fn spawn(order: &Order) -> io::Result<Child> {
    let (program, arguments) =
        order.command.split_first().ok_or(io::Error::from(io::ErrorKind::InvalidInput))?;
    Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", "/bin:/usr/bin:/usr/sbin:/usr/local/bin:/opt/homebrew/bin")
        .env("HOME", HOME)
        .env("USER", "admin")
        .env("LOGNAME", "admin")
        .env("TERM", "xterm-256color")
        .current_dir(HOME)
        .stdin(if order.interactive { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
}

/// Passes the client's input on until the client is gone.
fn feed(stream: &UnixStream, mut input: Option<std::process::ChildStdin>) {
    while let Ok((tag, bytes)) = wire::receive(stream) {
        if tag != wire::INPUT {
            continue;
        }
        let gone = match &mut input {
            Some(pipe) if !bytes.is_empty() => io::Write::write_all(pipe, &bytes).is_err(),
            _ => true,
        };
        if gone {
            input = None;
        }
    }
}

enum Pumped {
    ToTheEnd,
    EndedEarly,
}

/// Streams one output to the client until its last writer is gone.
fn pump(output: Option<impl Read>, to: &Mutex<&UnixStream>, tag: u8, manner: Manner) -> Pumped {
    let Some(mut output) = output else { return Pumped::ToTheEnd };
    let mut buffer = [0; 32_768];
    loop {
        let length = match output.read(&mut buffer) {
            Ok(0) | Err(_) => return Pumped::ToTheEnd,
            Ok(length) => length,
        };
        if manner == Manner::Hanging {
            continue;
        }
        let Ok(stream) = to.lock() else { return Pumped::ToTheEnd };
        if wire::send(*stream, tag, &buffer[..length]).is_err() {
            return Pumped::ToTheEnd;
        }
        if manner == Manner::EndingEarly {
            // Ends the client; its own end then kills the command, as a broken stream does.
            let _ = wire::send(*stream, wire::END, &[]);
            return Pumped::EndedEarly;
        }
        if manner == Manner::Dropping {
            let _ = stream.shutdown(std::net::Shutdown::Both);
            return Pumped::EndedEarly;
        }
    }
}
