//! Short commands of ours on a host: argv in, code and both outputs back.

use std::time::{Duration, Instant};

use tracing::debug;

use super::remote::Remote;
use crate::{
    command_line::{Script, is_variable_name},
    control::{Control, Level},
    fault::{FailureKind, Fault},
    placements::{Answer, ControlCommand, Flow},
    ssh::{Patience, SessionKind, SshError, SshFault, WireError, fault, find},
    supervise::{shim, token},
};

/// Larger input goes through a session's own stdin.
const INLINE: usize = 16 * 1024;

/// Runs a command; hands its stdout over as it comes. `None`: it was stopped. A command without a sink may
/// be run again when the connection breaks, one with a sink is not.
pub(super) fn stream(
    remote: &Remote,
    command: &ControlCommand,
    sink: &mut dyn FnMut(&[u8]) -> Flow,
    control: Option<(&Control, Level)>,
) -> Result<Option<Answer>, Fault> {
    debug!(host = remote.name, program = command.program(), "runs a command");
    let mark = token();
    let ready = token();
    let name = token();
    let inline = command.stdin.len() <= INLINE && !command.stdin.contains(&0);
    let script = script(command, &name, &mark, (!inline).then_some(&ready));
    let result = once(remote, command, &script, &mark, (!inline).then_some(&ready), sink, control);
    if !matches!(result, Ok(Some(_))) {
        end(remote, &name);
    }
    result.map_err(|error| fault(FailureKind::NoAnswer, &error))
}

/// Ends what a command started, whatever has become of the way it was reached by. Should that fail as well,
/// there is nobody to tell.
fn end(remote: &Remote, name: &str) {
    let Ok(shim) = remote.shim() else { return };
    let script = shim::call(&shim, "end", remote.work_dir.as_ref()).word(name);
    let patience = Patience {
        each: Duration::from_secs(10),
        budget: Duration::from_secs(10),
        give_up: &|| false,
        control: None,
    };
    let _ = remote.host.run(&script, &patience);
}

/// Prints what the command prints, then the mark, its status and its complaints. Whatever the command starts
/// carries `name`, by which it can be ended.
fn script(command: &ControlCommand, name: &str, mark: &str, ready: Option<&String>) -> Script {
    let mut script = Script::new("cd");
    script = match &command.dir {
        Some(dir) => script.word(dir).text(" || exit 1\n"),
        None => script.text("\n"),
    };
    script = script.text("export ").set("FORGE_LANES_COOKIE", name);
    for (name, value) in &command.env {
        if is_variable_name(name) {
            script = script.text("export ").set(name, value);
        }
    }
    if let Some(ready) = ready {
        script = script.text("printf '%s\\n'").word(ready).text("\n");
    }
    script = script.text("exec 3>&1\nsaid=$( {\n");
    if ready.is_none() {
        if command.stdin.is_empty() {
            script = script.text("exec </dev/null\n");
        } else {
            use std::os::unix::ffi::OsStrExt as _;
            script = script.text("printf '%s'").word(std::ffi::OsStr::from_bytes(&command.stdin));
            script = script.text(" | ");
        }
    }
    // The shell may have functions of ours: none of them is meant.
    script
        .text("command")
        .words(&command.argv)
        .text("\n} 2>&1 >&3 3>&- )\nstatus=$?\n")
        .text("printf '\\n%s %s\\n'")
        .word(mark)
        .text(" $status\nprintf '%s' \"$said\" | tail -c 4096\n")
}

fn once(
    remote: &Remote,
    command: &ControlCommand,
    script: &Script,
    mark: &str,
    ready: Option<&String>,
    sink: &mut dyn FnMut(&[u8]) -> Flow,
    control: Option<(&Control, Level)>,
) -> Result<Option<Answer>, SshError> {
    // Connecting can be repeated; what comes after may have happened.
    let mut session = remote
        .host
        .repeat(&remote.host.patience(), |until| remote.host.session(SessionKind::Shell, until))?;
    let mut until = Instant::now() + command.deadline;
    session.begin(script, "", until)?;
    if let Some(ready) = ready {
        if let Some(answer) = session.await_ready(ready, until)? {
            return Ok(Some(failed(answer)));
        }
        let written = session.wire().write_all(&command.stdin, until);
        // A command need not read all it is given.
        if let Err(error @ (WireError::Deadline | WireError::Io(_))) = written {
            return Err(session.explain(error, SshFault::Lost));
        }
        session.wire().close_input();
    }
    let raised = control.and_then(|(control, seen)| control.raised(seen));
    session.wire().wake_on(raised.and_then(|fd| fd.try_clone_to_owned().ok()));
    let end = format!("\n{mark} ").into_bytes();
    let mut have = 0;
    loop {
        let bytes = match session.wire().more(have, until) {
            Ok(bytes) => bytes,
            // The client goes; what it started is ended by its name.
            Err(WireError::Woken) => return Ok(None),
            Err(error) => return Err(session.explain(error, SshFault::Lost)),
        };
        let over = find(bytes, &end);
        // What may be the beginning of the end waits.
        let sure = over.unwrap_or_else(|| bytes.len() - beginning(bytes, &end));
        let flow = if sure > 0 { sink(&bytes[..sure]) } else { Flow::Continue };
        let all = bytes.len();
        if flow == Flow::Stop && over.is_none() {
            return Ok(None);
        }
        session.wire().take(sure);
        have = all - sure;
        if over.is_some() {
            break;
        }
        until = Instant::now() + command.deadline;
    }
    session.wire().wake_on(None);
    session.wire().take(end.len());
    let status = session.wire().line(until);
    let status = status.map_err(|error| session.explain(error, SshFault::Lost))?;
    let status = std::str::from_utf8(&status).ok().and_then(|text| text.parse::<i32>().ok());
    let answer = session.finish(Instant::now() + Duration::from_secs(30))?;
    if ready.is_none() {
        remote.host.give_back(session);
    }
    let code = status.filter(|code| !(129..=192).contains(code));
    Ok(Some(Answer { code, stdout: Vec::new(), stderr: answer.output }))
}

/// Returns how many of the last bytes are how `end` begins.
fn beginning(bytes: &[u8], end: &[u8]) -> usize {
    let most = bytes.len().min(end.len() - 1);
    (1..=most).rev().find(|&count| bytes.ends_with(&end[..count])).unwrap_or(0)
}

fn failed(answer: crate::ssh::ShellAnswer) -> Answer {
    Answer { code: Some(i32::from(answer.status)), stdout: Vec::new(), stderr: answer.output }
}
