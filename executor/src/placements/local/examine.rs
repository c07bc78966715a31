//! What `executor doctor` asks this machine: directories that can be written to, room in them, git,
//! views of their own for jobs.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use rustix::fs::{Access, access, statvfs};

use crate::{
    placements::{Check, MachinesConfig},
    supervise::native::{PROBE, SUBCOMMAND},
};

/// Less than this and a tree may not fit.
const LITTLE: u64 = 1 << 30;

/// Looks at this machine. Makes nothing.
pub(super) fn examine(config: &MachinesConfig) -> Vec<Check> {
    vec![
        directory(&config.runs_dir, "choose another place with `--state-dir`"),
        directory(&config.machine_dir, "set `XDG_CACHE_HOME` to another place"),
        git(config),
        views(config),
    ]
}

fn check(ok: bool, message: String, advice: &str) -> Check {
    Check { ok, message, advice: (!ok).then(|| advice.to_owned()) }
}

/// Whether a directory, or the nearest one above it that is there, takes files.
fn directory(path: &Path, otherwise: &str) -> Check {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    let shown = path.display();
    if let Err(error) = access(there, Access::WRITE_OK | Access::EXEC_OK) {
        let advice = format!("make it writable, or {otherwise}");
        return check(false, format!("`{shown}` cannot be written to: {error}"), &advice);
    }
    match statvfs(there) {
        Ok(found) => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let advice = format!("make room, or {otherwise}");
            check(free >= LITTLE, format!("{} MiB free in `{shown}`", free >> 20), &advice)
        }
        Err(error) => check(false, format!("`{shown}` cannot be asked: {error}"), otherwise),
    }
}

fn git(config: &MachinesConfig) -> Check {
    let mut command = Command::new("git");
    command.arg("--version").env_clear().envs(&config.environment).stdin(Stdio::null());
    match command.output() {
        Ok(output) if output.status.success() => {
            let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            check(true, version, "")
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            check(false, format!("`git --version` fails: {said}"), "repair git")
        }
        Err(error) => check(false, format!("`git` cannot be started: {error}"), "install git"),
    }
}

/// Whether jobs can have views of their own: without, trees are read-only by their modes alone, and
/// what prepare nodes left cannot be shown.
fn views(config: &MachinesConfig) -> Check {
    let asked = Command::new(&config.executor)
        .args([SUBCOMMAND, PROBE])
        .env_clear()
        .stdin(Stdio::null())
        .output();
    let advice = "run the executor as root, or allow user namespaces; until then nodes that mount \
                  outputs fail, and trees are read-only by their modes alone";
    match asked {
        Ok(output) if output.status.success() => {
            check(true, "jobs get views of their own: trees are read-only for root too".into(), "")
        }
        Ok(output) => {
            let why = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            check(false, format!("jobs get no views of their own: {why}"), advice)
        }
        Err(error) => check(false, format!("a supervisor cannot be started: {error}"), advice),
    }
}
