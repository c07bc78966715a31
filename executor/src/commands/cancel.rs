//! `executor cancel`: ends a run from another terminal.

use std::time::Duration;

use rustix::process::{Pid, Signal};

use super::{CliContext, resume, running};
use crate::{
    cli::{Output, Running},
    error::Error,
    exit_code::Exit,
    files,
    record::RunOutcome,
    reporters,
    state::{RunDir, RunHolder, StateDir, host_name},
};

pub(super) fn run(context: &CliContext, run: &str, reason: Option<&str>) -> Result<Exit, Error> {
    let config = context.config()?;
    let state = context.state(&config)?;
    let dir = state.find(Some(run))?;
    let reason = match reason {
        Some(reason) => format!("cancelled: {reason}"),
        None => "cancelled from another terminal".to_owned(),
    };
    match dir.holder() {
        Some(holder) => ask(&dir, &holder, &reason),
        None => end_abandoned(context, &state, dir, reason),
    }
}

/// Asks the process that holds the run, and waits until it lets go.
fn ask(dir: &RunDir, holder: &RunHolder, reason: &str) -> Result<Exit, Error> {
    let pid = i32::try_from(holder.pid).ok().and_then(Pid::from_raw);
    let Some(pid) = pid.filter(|_| holder.host == host_name()) else {
        let (run, holder) = (dir.id.to_string(), holder.to_string());
        return Err(Error::ElsewhereHeld { run, holder });
    };
    let file = dir.cancel_request();
    files::replace(&file, reason.as_bytes()).map_err(|error| Error::File {
        what: "the request cannot be written to",
        path: file.display().to_string(),
        error,
    })?;
    interrupt(dir, holder, pid)
        .map_err(|error| Error::System { what: "the executor cannot be told", error })?;
    reporters::stderr().text(&format!("asked {holder} to end run {}\n", dir.id));
    while dir.holder().is_some() {
        std::thread::sleep(Duration::from_millis(50));
    }
    say(dir)
}

/// Sends Ctrl-C to the process that holds the run, and to no other: the process is pinned before it
/// is asked once more whether it is the holder, so that a number given out anew is not hit. One that
/// its terminal has stopped goes on, or it would never hear of it.
#[cfg(target_os = "linux")]
fn interrupt(dir: &RunDir, holder: &RunHolder, pid: Pid) -> std::io::Result<()> {
    use rustix::{
        io::Errno,
        process::{PidfdFlags, pidfd_open, pidfd_send_signal},
    };
    let sent = pidfd_open(pid, PidfdFlags::empty()).and_then(|pinned| {
        if dir.holder().as_ref() == Some(holder) {
            pidfd_send_signal(&pinned, Signal::INT)?;
            pidfd_send_signal(&pinned, Signal::CONT)
        } else {
            Err(Errno::SRCH)
        }
    });
    match sent {
        // It has just ended by itself.
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Sends Ctrl-C to the process that holds the run.
#[cfg(not(target_os = "linux"))]
fn interrupt(_dir: &RunDir, _holder: &RunHolder, pid: Pid) -> std::io::Result<()> {
    use rustix::process::kill_process;
    match kill_process(pid, Signal::INT).and_then(|()| kill_process(pid, Signal::CONT)) {
        // It has just ended by itself.
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Nobody is at it: what still runs is ended here.
fn end_abandoned(
    context: &CliContext,
    state: &StateDir,
    dir: RunDir,
    reason: String,
) -> Result<Exit, Error> {
    if resume::standing(&dir)? != RunOutcome::Interrupted {
        return say(&dir);
    }
    let quiet = Running { jobs: None, output: Output::Human, junit: None };
    match resume::resume_run(context, state, dir, &quiet, Vec::new(), Some(reason))? {
        Exit::Interrupted => Ok(Exit::Done),
        other => Ok(other),
    }
}

fn say(dir: &RunDir) -> Result<Exit, Error> {
    let outcome = running::read_record(dir)?.outcome;
    reporters::stderr().text(&format!("run {} is {outcome}\n", dir.id));
    Ok(Exit::Done)
}
