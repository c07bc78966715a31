//! Short commands on this machine: bounded in time and in what they may say.

use std::{
    io::{self, Read, Write},
    os::{fd::AsFd, unix::process::CommandExt},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::Pid,
};
use tracing::debug;

use crate::{
    control::{Control, Level},
    fault::{FailureKind, Fault},
    placements::{Answer, ControlCommand, Flow},
    signals,
};

/// More than this of a command's complaints is of no use.
const COMPLAINTS: usize = 64 << 10;
/// How long the rest of the output is waited for once the command itself has ended: what it left
/// running may hold the pipes for ever.
const AFTER: Duration = Duration::from_millis(200);

/// Runs a command; see [`Machine::stream`](crate::placements::Machine::stream).
pub(super) fn stream(
    command: &ControlCommand,
    sink: &mut dyn FnMut(&[u8]) -> Flow,
    control: Option<(&Control, Level)>,
) -> Result<Option<Answer>, Fault> {
    let program = command.argv.first().map_or("", String::as_str);
    debug!(host = "local", program = command.program(), "runs a command");
    let mut child = spawn(command).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            Fault::new(FailureKind::ToolMissing, format!("there is no program `{program}`"))
                .advice(format!("install `{program}` on this machine, or put it into PATH"))
        }
        _ => Fault::io(FailureKind::Io, format!("starting `{program}`"), &error),
    })?;
    let mut watched = Watched { command, last: Instant::now(), stderr: Vec::new() };
    let result = watched.pump(&mut child, sink, control);
    if !matches!(result, Ok(Some(_))) {
        signals::kill_group(&mut child);
    }
    match result {
        Ok(Some(code)) => Ok(Some(Answer { code, stdout: Vec::new(), stderr: watched.stderr })),
        Ok(None) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Err(Fault::new(
            FailureKind::NoAnswer,
            format!("`{program}` had not answered after {:?}", command.deadline),
        )),
        Err(error) => Err(Fault::io(FailureKind::Io, format!("talking to `{program}`"), &error)),
    }
}

fn spawn(command: &ControlCommand) -> io::Result<Child> {
    let (program, arguments) = command
        .argv
        .split_first()
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the command is empty"))?;
    let mut spawned = Command::new(program);
    spawned
        .args(arguments)
        .envs(&command.env)
        .stdin(if command.stdin.is_empty() { Stdio::null() } else { Stdio::piped() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    if let Some(dir) = &command.dir {
        spawned.current_dir(dir);
    }
    spawned.spawn()
}

struct Watched<'a> {
    command: &'a ControlCommand,
    /// When it last said something.
    last: Instant,
    stderr: Vec<u8>,
}

impl Watched<'_> {
    /// Moves bytes until the command ended (its exit code), was not wanted any more (`None`), or
    /// was silent for too long.
    fn pump(
        &mut self,
        child: &mut Child,
        sink: &mut dyn FnMut(&[u8]) -> Flow,
        control: Option<(&Control, Level)>,
    ) -> io::Result<Option<Option<i32>>> {
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let ended = match pid {
            Some(pid) => rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty())?,
            None => return Err(io::Error::other("a process number out of range")),
        };
        let (mut stdin, mut stdout, mut stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        for pipe in [
            stdin.as_ref().map(AsFd::as_fd),
            stdout.as_ref().map(AsFd::as_fd),
            stderr.as_ref().map(AsFd::as_fd),
        ]
        .into_iter()
        .flatten()
        {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        let mut to_write: &[u8] = &self.command.stdin;
        let mut code = None;
        let mut buffer = vec![0; 64 << 10];
        loop {
            if code.is_some() && stdout.is_none() && stderr.is_none() {
                return Ok(code);
            }
            let until = match code {
                Some(_) => self.last + AFTER,
                None => self.last + self.command.deadline,
            };
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return if code.is_some() { Ok(code) } else { Err(io::ErrorKind::TimedOut.into()) };
            }
            let mut ready = [false; 5];
            {
                let timeout = Timespec::try_from(left).ok();
                let raised = control.and_then(|(control, seen)| control.raised(seen));
                let mut fds = Vec::with_capacity(5);
                let mut which = Vec::with_capacity(5);
                let mut add = |fd, flags, number| {
                    fds.push(PollFd::from_borrowed_fd(fd, flags));
                    which.push(number);
                };
                if let Some(stdout) = &stdout {
                    add(stdout.as_fd(), PollFlags::IN, 0);
                }
                if let Some(stderr) = &stderr {
                    add(stderr.as_fd(), PollFlags::IN, 1);
                }
                if let Some(stdin) = &stdin {
                    add(stdin.as_fd(), PollFlags::OUT, 2);
                }
                if code.is_none() {
                    add(ended.as_fd(), PollFlags::IN, 3);
                }
                if let Some(raised) = raised {
                    add(raised, PollFlags::IN, 4);
                }
                match poll(&mut fds, timeout.as_ref()) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
                for (fd, number) in fds.iter().zip(which) {
                    ready[number] = !fd.revents().is_empty();
                }
            }
            if ready[4] {
                return Ok(None);
            }
            if ready[0] {
                match stdout.as_mut().map(|pipe| pipe.read(&mut buffer)) {
                    Some(Ok(0)) => stdout = None,
                    Some(Ok(read)) => {
                        self.last = Instant::now();
                        if sink(&buffer[..read]) == Flow::Stop {
                            return Ok(None);
                        }
                    }
                    Some(Err(error)) => would_block(error)?,
                    None => {}
                }
            }
            if ready[1] {
                match stderr.as_mut().map(|pipe| pipe.read(&mut buffer)) {
                    Some(Ok(0)) => stderr = None,
                    Some(Ok(read)) => {
                        self.stderr.extend_from_slice(&buffer[..read]);
                        let surplus = self.stderr.len().saturating_sub(COMPLAINTS);
                        self.stderr.drain(..surplus);
                    }
                    Some(Err(error)) => would_block(error)?,
                    None => {}
                }
            }
            if ready[2] {
                match stdin.as_mut().map(|pipe| pipe.write(to_write)) {
                    Some(Ok(written)) => to_write = &to_write[written..],
                    // It does not care for the rest.
                    Some(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe => {
                        to_write = &[];
                    }
                    Some(Err(error)) => would_block(error)?,
                    None => {}
                }
                if to_write.is_empty() {
                    stdin = None;
                }
            }
            if ready[3] {
                code = Some(child.wait()?.code());
                self.last = Instant::now();
            }
        }
    }
}

fn would_block(error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(()),
        _ => Err(error),
    }
}
