//! Starting a job's leader: its program, its environment, where its output goes. How it ends is
//! [`super::job`]'s.

use std::{
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{Access, access};

use super::{COOKIE, memory::OomKills, protocol::Start, pump::Pump, slot::Slot, view::MountedView};
use crate::{
    artifacts::outputs,
    fault::{FailureKind, Fault},
    redact::Masks,
    supervise::{Ended, Evidence, Reason},
};

/// A record for a job whose command never ran.
pub(super) fn ended_at_once(reason: Reason, code: Option<i32>) -> Ended {
    let now = seconds();
    Ended {
        code,
        signal: None,
        reason,
        evidence: Evidence::None,
        killed: 0,
        started: now,
        ended: now,
        elapsed_ms: 0,
    }
}

pub(super) fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A job whose leader runs.
pub(super) struct Launched {
    pub(super) leader: i32,
    pub(super) pump: Pump,
    pub(super) began: Instant,
    pub(super) started: u64,
    pub(super) oom_kills: OomKills,
}

/// Starts the leader. The inner error is a verdict: the command cannot be run.
pub(super) fn launch(
    start: &Start,
    cookie: &str,
    slot: &Slot,
    seen: &MountedView,
    masks: Option<Arc<Masks>>,
    notes: &mut Vec<String>,
) -> Result<Result<Launched, Ended>, Fault> {
    let failed = |what: &str, error: &io::Error| Fault::io(FailureKind::Supervisor, what, error);
    if let Some(plans::Output::StorePath) = start.keep.output {
        std::fs::create_dir_all(&start.output)
            .map_err(|error| failed(&format!("making {}", start.output.display()), &error))?;
    }
    let cwd = match &start.working_dir {
        None => seen.workspace.clone(),
        Some(below) => seen.workspace.join(below.as_str()),
    };
    if !cwd.is_dir() {
        notes.push(format!("there is no directory {}", cwd.display()));
        return Ok(Err(ended_at_once(Reason::NoWorkingDir, None)));
    }
    let program = match find_program(start, &cwd) {
        Ok(program) => program,
        Err((reason, note)) => {
            notes.push(note);
            let code = if reason == Reason::NotFound { 127 } else { 126 };
            return Ok(Err(ended_at_once(reason, Some(code))));
        }
    };
    let output_file =
        (!start.keep.outputs.is_empty()).then(|| slot.artifacts().join(outputs::FILE));
    let mut command = Command::new(&program);
    command
        .arg0(&start.argv[0])
        .args(&start.argv[1..])
        .env_clear()
        .env("TMPDIR", slot.tmp())
        .env("ARTIFACTS_DIR", slot.artifacts())
        .envs(output_file.map(|file| (outputs::VARIABLE, file)))
        .envs(&start.env)
        .envs(&start.secrets)
        .env(COOKIE, cookie)
        .current_dir(&cwd)
        .stdin(Stdio::null())
        .process_group(0);
    let (pump, to) =
        Pump::open(&start.log, masks).map_err(|error| failed("making a pipe", &error))?;
    let twin = to.try_clone().map_err(|error| failed("making a pipe", &error))?;
    command.stdout(to).stderr(twin);
    let oom_kills = OomKills::now();
    match command.spawn() {
        Ok(child) => Ok(Ok(Launched {
            leader: i32::try_from(child.id()).unwrap_or(i32::MAX),
            pump,
            began: Instant::now(),
            started: seconds(),
            oom_kills,
        })),
        Err(error) => match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::NOENT) => {
                notes.push(format!(
                    "{}: the interpreter that its first line names is not there",
                    program.display()
                ));
                Ok(Err(ended_at_once(Reason::NotFound, Some(127))))
            }
            Some(
                rustix::io::Errno::ACCESS | rustix::io::Errno::NOEXEC | rustix::io::Errno::TOOBIG,
            ) => {
                notes.push(format!("{}: {error}", program.display()));
                Ok(Err(ended_at_once(Reason::NotExecutable, Some(126))))
            }
            _ => Err(failed(&format!("starting {}", program.display()), &error)),
        },
    }
}

/// Finds the program as `execvp` would in the job's own environment.
fn find_program(start: &Start, cwd: &Path) -> Result<PathBuf, (Reason, String)> {
    let name = start.argv.first().map_or("", String::as_str);
    if name.contains('/') {
        let path = cwd.join(name);
        return match is_program(&path) {
            Some(true) => Ok(path),
            Some(false) => {
                Err((Reason::NotExecutable, format!("{}: not an executable file", path.display())))
            }
            None => Err((Reason::NotFound, format!("{}: no such file", path.display()))),
        };
    }
    let path = start.env.get("PATH").map_or("", String::as_str);
    let mut denied = None;
    for dir in path.split(':') {
        let candidate = cwd.join(dir).join(name);
        match is_program(&candidate) {
            Some(true) => return Ok(candidate),
            Some(false) => {
                denied.get_or_insert(candidate);
            }
            None => {}
        }
    }
    Err(match denied {
        Some(path) => {
            (Reason::NotExecutable, format!("{}: not an executable file", path.display()))
        }
        None => (Reason::NotFound, format!("`{name}`: no such program in PATH ({path})")),
    })
}

fn is_program(path: &Path) -> Option<bool> {
    let metadata = std::fs::metadata(path).ok()?;
    Some(metadata.is_file() && access(path, Access::EXEC_OK).is_ok())
}
