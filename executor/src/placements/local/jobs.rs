//! Jobs of this machine: handing them to a supervisor, following them, finding them again.

use std::{
    fs, io,
    os::fd::OwnedFd,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{Local, remove_dir, supervisors::Heard};
use crate::{
    control::{Control, Level},
    directory,
    fault::{FailureKind, Fault},
    placements::{Collected, Job, Leftover, LeftoverKind, WorkspaceSource},
    supervise::{
        JobRef, JobStatus, Limits,
        native::{
            CANCEL_FILE, COOKIE, JOB_FILE, LEASE_FILE, Record, Reply, Report, Start, View,
            kill_cookie, processes_with_cookie, read_report,
        },
    },
};

/// Starts a job unless somebody did.
pub(super) fn start(local: &Local, job: &Job) -> Result<(), Fault> {
    let dir = local.dir(&job.job);
    if local.supervisors.has(&job.job) || dir.join(JOB_FILE).exists() {
        return Ok(());
    }
    let failed = |what: &str, error: &io::Error| Fault::io(FailureKind::Supervisor, what, error);
    fs::create_dir_all(&dir)
        .map_err(|error| failed(&format!("making {}", dir.display()), &error))?;
    let start = lower(local, job, dir);
    // A user namespace takes set-user-id programs (sudo) away, so it is entered only for what
    // needs it.
    let needs = matches!(start.view, View::ReadOnly(_)) || !start.mounts.is_empty();
    let mounts = needs || rustix::process::geteuid().is_root();
    local.supervisors.start(start, mounts).map_err(|error| failed("starting a supervisor", &error))
}

fn lower(local: &Local, job: &Job, dir: PathBuf) -> Start {
    let Job {
        job: name,
        argv,
        env,
        keep_env,
        secrets,
        workspace,
        writable,
        working_dir,
        mounts,
        limits,
        keep,
        log,
        artifacts,
    } = job;
    let tree = PathBuf::from(match workspace {
        WorkspaceSource::Tree(placed) => &placed.path,
        WorkspaceSource::Output(path) => path,
    });
    let view = match (&keep.output, *writable) {
        (Some(plans::Output::Workspace), _) => View::Kept(tree),
        (_, true) => View::Scratch(tree),
        (_, false) => View::ReadOnly(tree),
    };
    let output = local.output_dir(name);
    let machine = &local.config.environment;
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let mut all: std::collections::BTreeMap<String, String> = machine
        .iter()
        .filter(|(name, _)| is_given(name) || keep_env.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    all.insert("TMPDIR".to_owned(), path(&dir.join("tmp")));
    all.insert("ARTIFACTS_DIR".to_owned(), path(&dir.join("artifacts")));
    if keep.output == Some(plans::Output::StorePath) {
        all.insert(crate::guest_command::OUT_LINK.to_owned(), path(&output.join("result")));
    }
    all.extend(env.iter().map(|(name, value)| (name.clone(), value.clone())));
    all.insert(COOKIE.to_owned(), name.to_string());
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Start {
        job: name.clone(),
        dir,
        output,
        argv: argv.clone(),
        env: all,
        secrets: secrets
            .iter()
            .map(|(name, value)| (name.clone(), value.reveal().to_owned()))
            .collect(),
        view,
        working_dir: working_dir.clone(),
        mounts: mounts.clone(),
        timeout_ms: millis(limits.timeout),
        grace_ms: millis(limits.grace),
        lease_ms: millis(limits.lease),
        keep: keep.clone(),
        log: log.clone(),
        artifacts: artifacts.clone(),
    }
}

/// What a host process has from its machine without being asked for.
fn is_given(name: &str) -> bool {
    matches!(name, "PATH" | "HOME" | "USER" | "LOGNAME" | "SHELL" | "LANG" | "TZ")
        || name.starts_with("LC_")
}

/// Follows a job to its end.
pub(super) fn attach(
    local: &Local,
    job: &JobRef,
    limits: &Limits,
    control: &Control,
) -> Result<JobStatus, Fault> {
    let dir = local.dir(job);
    match local.supervisors.follow(job, limits.grace, control) {
        Some(Heard::Reply(Reply::Over(report))) => {
            let verdict = judge(&dir, &report);
            local.remember(job, report);
            return verdict;
        }
        // It began before, under another supervisor; or its own is gone.
        Some(Heard::Reply(Reply::Already) | Heard::Gone) | None => {}
    }
    let status = follow_by_files(&dir, limits, control)?;
    if let Some(report) = read_report(&dir) {
        let verdict = judge(&dir, &report);
        local.remember(job, report);
        return verdict;
    }
    if matches!(status, JobStatus::Lost) {
        end_orphans(job)?;
    }
    Ok(status)
}

fn judge(dir: &Path, report: &Report) -> Result<JobStatus, Fault> {
    match (&report.ended, &report.fault) {
        (Some(ended), _) => Ok(JobStatus::Exited(ended.clone())),
        (None, Some(fault)) => Err(fault.clone().into()),
        (None, None) => status(dir),
    }
}

/// Watches a job whose supervisor belongs to a process that is gone.
fn follow_by_files(dir: &Path, limits: &Limits, control: &Control) -> Result<JobStatus, Fault> {
    let mut told = Level::Run;
    let renew_every = (limits.lease / 3).max(Duration::from_millis(100));
    loop {
        let Some(supervisor) = supervisor_of(dir)? else { return status(dir) };
        // Its end is the end of everything: the record, and what was kept.
        let level = control.level();
        if level > told {
            told = level;
            let grace = if level == Level::Kill { Duration::ZERO } else { limits.grace };
            ask_to_cancel(dir, grace)?;
        } else {
            touch(dir, LEASE_FILE, "")?;
        }
        let timeout = Timespec::try_from(renew_every).ok();
        let mut fds = vec![PollFd::new(&supervisor, PollFlags::IN)];
        let raised = control.raised(told);
        fds.extend(raised.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let _ = poll(&mut fds, timeout.as_ref());
    }
}

/// Returns a handle on the living supervisor of a job.
fn supervisor_of(dir: &Path) -> Result<Option<OwnedFd>, Fault> {
    let failed = |error: &io::Error| Fault::io(FailureKind::Io, "looking for a supervisor", error);
    let Some(record) = Record::read(dir).map_err(|error| failed(&error))? else { return Ok(None) };
    let Some(pid) = Pid::from_raw(record.owner.pid) else { return Ok(None) };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(None) };
    // Asked after the handle was there: the number cannot be given away any more.
    let lives = record.owner.lives().map_err(|error| failed(&error))? == Some(true);
    Ok(lives.then_some(handle))
}

fn ask_to_cancel(dir: &Path, grace: Duration) -> Result<(), Fault> {
    touch(dir, CANCEL_FILE, &grace.as_millis().to_string())
}

fn touch(dir: &Path, name: &str, content: &str) -> Result<(), Fault> {
    let new = dir.join(format!(".{name}"));
    let written = fs::write(&new, content).and_then(|()| fs::rename(&new, dir.join(name)));
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Fault::io(FailureKind::Io, format!("writing {}", new.display()), &error)),
    }
}

/// Returns how the job of a directory stands.
pub(super) fn status(dir: &Path) -> Result<JobStatus, Fault> {
    Record::status(dir)
        .map_err(|error| Fault::io(FailureKind::Io, format!("reading {}", dir.display()), &error))
}

/// Ends a job that nobody is attached to.
pub(super) fn cancel(dir: &Path, job: &JobRef, grace: Duration) -> Result<JobStatus, Fault> {
    let until = Instant::now() + grace + Duration::from_secs(20);
    while let Some(supervisor) = supervisor_of(dir)? {
        if !matches!(status(dir)?, JobStatus::Running) {
            // It is keeping what the job left; that ends by itself.
        } else {
            ask_to_cancel(dir, grace)?;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // It does not listen: somebody stopped it, or its disk is stuck.
            if let Some(pid) = Record::read(dir).ok().flatten().map(|record| record.owner.pid) {
                crate::supervise::native::kill(pid);
            }
        }
        let timeout = Timespec::try_from(left.max(Duration::from_millis(10))).ok();
        let _ = poll(&mut [PollFd::new(&supervisor, PollFlags::IN)], timeout.as_ref());
    }
    let status = status(dir)?;
    if matches!(status, JobStatus::Lost) {
        end_orphans(job)?;
    }
    Ok(status)
}

/// Ends what a killed supervisor left running.
fn end_orphans(job: &JobRef) -> Result<u64, Fault> {
    match kill_cookie(&job.to_string()) {
        (killed, true) => Ok(killed),
        (_, false) => Err(Fault::new(
            FailureKind::Cleanup,
            format!("processes of job {job} cannot be killed: stuck in the kernel"),
        )),
    }
}

/// Returns what was kept of a job that is over.
pub(super) fn collected(local: &Local, job: &JobRef) -> Result<Collected, Fault> {
    let report = local.recall(job).or_else(|| read_report(&local.dir(job)));
    let Some(Report { fault, collected, notes, .. }) = report else {
        return Ok(Collected::default());
    };
    match fault {
        Some(fault) => Err(fault.into()),
        None => Ok(Collected { notes, ..collected }),
    }
}

/// Removes a job with everything it has, ending it first if it runs.
pub(super) fn remove(local: &Local, job: &JobRef) -> Result<(), Fault> {
    let dir = local.dir(job);
    match status(&dir)? {
        JobStatus::Running => {
            cancel(&dir, job, Duration::ZERO)?;
        }
        JobStatus::Lost => {
            end_orphans(job)?;
        }
        JobStatus::Unknown | JobStatus::Exited(_) | JobStatus::HostRebooted => {}
    }
    local.recall(job);
    remove_dir(&dir)
}

/// Lists the jobs below a directory of runs, and processes that lost their supervisor.
pub(super) fn leftovers(runs: &Path, wanted: Option<&str>) -> Result<Vec<Leftover>, Fault> {
    let mut found = Vec::new();
    for run in names(runs) {
        if wanted.is_some_and(|wanted| wanted != run) {
            continue;
        }
        let nodes = runs.join(&run).join("nodes");
        for node in names(&nodes) {
            for entry in names(&nodes.join(&node)) {
                let Some(attempt) = entry.strip_prefix("attempt-") else { continue };
                let Ok(attempt) = attempt.parse() else { continue };
                let dir = nodes.join(&node).join(&entry);
                let job = JobRef { run: run.clone(), node: node.clone(), attempt };
                found.push(Leftover {
                    kind: LeftoverKind::Job,
                    run: run.clone(),
                    name: job.to_string(),
                    in_use: matches!(status(&dir)?, JobStatus::Running),
                });
            }
        }
    }
    for (_, cookie) in processes_with_cookie(|_| true) {
        let Some(job) = JobRef::parse(&cookie) else { continue };
        // Below another state directory it is another executor's business.
        let ours = runs.join(&job.run).is_dir() && wanted.is_none_or(|wanted| wanted == job.run);
        let listed = found.iter().any(|leftover| leftover.name == cookie);
        if ours && !listed {
            found.push(Leftover {
                kind: LeftoverKind::Process,
                run: job.run,
                name: cookie,
                in_use: false,
            });
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn names(dir: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// Removes a leftover of this machine.
pub(super) fn remove_leftover(local: &Local, leftover: &Leftover) -> Result<(), Fault> {
    let job = JobRef::parse(&leftover.name).ok_or_else(|| {
        Fault::new(FailureKind::Cleanup, format!("`{}` is not the name of a job", leftover.name))
    })?;
    match leftover.kind {
        LeftoverKind::Job => remove(local, &job),
        LeftoverKind::Process => end_orphans(&job).map(drop),
        LeftoverKind::Tree | LeftoverKind::Instance | LeftoverKind::VirtualMachine => {
            Err(Fault::new(
                FailureKind::Cleanup,
                format!("`{}` is nothing that the machine itself removes", leftover.name),
            ))
        }
    }
}

/// Copies a file or directory to another place of this machine, whole or not at all.
pub(super) fn send(from: &Path, to: &Path, mode: u32) -> Result<(), Fault> {
    let failed =
        |error: &io::Error| Fault::io(FailureKind::Io, format!("writing {}", to.display()), error);
    let copied = || -> io::Result<()> {
        let mut name = std::ffi::OsString::from(".new-");
        name.push(to.file_name().unwrap_or_default());
        let new = to.with_file_name(name);
        directory::remove(&new)?;
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        if from.is_dir() {
            directory::copy(from, &new)?;
        } else {
            fs::copy(from, &new)?;
        }
        fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
        fs::rename(&new, to)
    };
    copied().map_err(|error| failed(&error))
}
