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
    fs::inotify,
    process::{Pid, PidfdFlags, pidfd_open},
};

use super::{Local, Said, remove_dir, supervisors::WorkerEvent};
use crate::{
    artifacts::Collected,
    control::{Control, Level},
    directory,
    fault::{FailureKind, Fault},
    placements::{Job, Leftover, LeftoverKind},
    supervise::{
        JobLimits, JobRef, JobStatus, Keep,
        native::{
            AttemptFiles, JobReport, Reply, ShownTree, Start, SupervisorRecord, View, abandoned,
            clear_abandoned, job_of_cookie, kill_cookie, processes_with_cookie,
        },
    },
};

/// Starts a job unless somebody did.
pub(super) fn start(local: &Local, job: &Job) -> Result<(), Fault> {
    if local.supervisors.has(&job.job) || local.place(&job.job).job().exists() {
        return Ok(());
    }
    let failed = |what: &str, error: &io::Error| Fault::io(FailureKind::Supervisor, what, error);
    let dir = local.node_dir(&job.job);
    if !dir.is_dir() {
        fs::create_dir_all(&dir)
            .map_err(|error| failed(&format!("making {}", dir.display()), &error))?;
    }
    // The run's journal has no verdict of the node. What says otherwise is of a verdict that a power cut took from the
    // journal, and would keep a supervisor from claiming the job.
    remove_file(&local.place(&job.job).result())?;
    let start = lower(local, job);
    // A user namespace takes set-user-id programs (sudo) away, so it is entered only for what
    // needs it.
    let needs = matches!(start.view, View::ReadOnly(_)) || !start.mounts.is_empty();
    let mounts = needs || rustix::process::geteuid().is_root();
    local.supervisors.start(start, mounts).map_err(|error| failed("starting a supervisor", &error))
}

fn lower(local: &Local, job: &Job) -> Start {
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
        caches,
        limits,
        keep,
        log,
        artifacts,
    } = job;
    let tree =
        ShownTree { path: PathBuf::from(workspace.path()), layers: workspace.layers().to_vec() };
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
    if keep.output == Some(plans::Output::StorePath) {
        all.insert(crate::guest_command::OUT_LINK.to_owned(), path(&output.join("result")));
    }
    all.extend(env.iter().map(|(name, value)| (name.clone(), value.clone())));
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Start {
        job: name.clone(),
        place: local.place(name),
        slots: local.slots(),
        output,
        argv: argv.clone(),
        env: all,
        secrets: secrets
            .iter()
            .map(|(name, value)| (name.clone(), value.expose().to_owned()))
            .collect(),
        view,
        working_dir: working_dir.clone(),
        mounts: mounts.clone(),
        caches: caches.clone(),
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
    limits: &JobLimits,
    control: &Control,
) -> Result<JobStatus, Fault> {
    let place = local.place(job);
    match local.supervisors.follow(job, limits.grace, control) {
        Some(WorkerEvent::Reply(Reply::Over(report))) => {
            let is_whole = report.ended.is_some() && report.fault.is_none();
            let verdict = judge(&place, &report);
            local.remember(job, *report, if is_whole { Said::AllGone } else { Said::Over });
            return verdict;
        }
        Some(WorkerEvent::Reply(Reply::Last(report))) => {
            let verdict = judge(&place, &report);
            local.remember(job, *report, Said::Over);
            return verdict;
        }
        // It began before, under another supervisor; or its own is gone.
        Some(WorkerEvent::Reply(Reply::Already) | WorkerEvent::Gone) | None => {}
    }
    let status = follow_by_files(&place, limits, control)?;
    if let Some(report) = place.read_report() {
        let verdict = judge(&place, &report);
        local.remember(job, report, Said::Over);
        return verdict;
    }
    if matches!(status, JobStatus::Lost) {
        end_orphans(&place, job)?;
    }
    Ok(status)
}

fn judge(place: &AttemptFiles, report: &JobReport) -> Result<JobStatus, Fault> {
    match (&report.ended, &report.fault) {
        (Some(ended), _) => Ok(JobStatus::Exited(ended.clone())),
        (None, Some(fault)) => Err(fault.clone().into()),
        (None, None) => status(place),
    }
}

/// Watches a job whose supervisor belongs to a process that is gone.
fn follow_by_files(
    place: &AttemptFiles,
    limits: &JobLimits,
    control: &Control,
) -> Result<JobStatus, Fault> {
    let failed = |error: io::Error| Fault::io(FailureKind::Io, "watching a job's record", &error);
    let changes = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)
        .map_err(|error| failed(error.into()))?;
    // Not there: then the job never started, and the loop below says so.
    let _ = inotify::add_watch(&changes, place.job(), inotify::WatchFlags::MODIFY);
    let mut told = Level::Run;
    let renew_every = (limits.lease / 3).max(Duration::from_millis(100));
    loop {
        let settled =
            SupervisorRecord::read(place).map_err(failed)?.is_none_or(|record| record.settled);
        let supervisor = supervisor_of(place)?.filter(|_| !settled);
        let Some(supervisor) = supervisor else { return status(place) };
        let level = control.level();
        if level > told {
            told = level;
            let grace = if level == Level::Kill { Duration::ZERO } else { limits.grace };
            ask_to_cancel(place, grace)?;
        } else {
            touch(place, &place.lease(), "")?;
        }
        let timeout = Timespec::try_from(renew_every).ok();
        let mut fds =
            vec![PollFd::new(&supervisor, PollFlags::IN), PollFd::new(&changes, PollFlags::IN)];
        let raised = control.raised(told);
        fds.extend(raised.as_ref().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let _ = poll(&mut fds, timeout.as_ref());
        let mut buffer = [std::mem::MaybeUninit::uninit(); 1024];
        let mut reader = inotify::Reader::new(&changes, &mut buffer);
        while reader.next().is_ok() {}
    }
}

/// Returns a handle on the living supervisor of a job.
fn supervisor_of(place: &AttemptFiles) -> Result<Option<OwnedFd>, Fault> {
    let failed = |error: &io::Error| Fault::io(FailureKind::Io, "looking for a supervisor", error);
    let Some(record) = SupervisorRecord::read(place).map_err(|error| failed(&error))? else {
        return Ok(None);
    };
    let Some(pid) = Pid::from_raw(record.owner.pid) else { return Ok(None) };
    let Ok(handle) = pidfd_open(pid, PidfdFlags::empty()) else { return Ok(None) };
    // Asked after the handle was there: the number cannot be given away any more.
    let lives = record.owner.lives().map_err(|error| failed(&error))? == Some(true);
    Ok(lives.then_some(handle))
}

fn ask_to_cancel(place: &AttemptFiles, grace: Duration) -> Result<(), Fault> {
    touch(place, &place.cancel(), &grace.as_millis().to_string())
}

fn touch(place: &AttemptFiles, path: &Path, content: &str) -> Result<(), Fault> {
    let new = place.dir.join(format!(".touch.{}", place.attempt));
    let written = fs::write(&new, content).and_then(|()| fs::rename(&new, path));
    match written {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Fault::io(FailureKind::Io, format!("writing {}", new.display()), &error)),
    }
}

/// Returns how the job of a directory stands.
pub(super) fn status(place: &AttemptFiles) -> Result<JobStatus, Fault> {
    SupervisorRecord::status(place).map_err(|error| {
        Fault::io(FailureKind::Io, format!("reading {}", place.job().display()), &error)
    })
}

/// Ends a job that nobody is attached to.
pub(super) fn cancel(
    place: &AttemptFiles,
    job: &JobRef,
    grace: Duration,
) -> Result<JobStatus, Fault> {
    let until = Instant::now() + grace + Duration::from_secs(20);
    while let Some(supervisor) = supervisor_of(place)? {
        let record = SupervisorRecord::read(place).ok().flatten();
        if record.is_some_and(|record| record.settled) {
            // A supervisor whose executor lives stays for the next job.
            break;
        }
        // With a verdict it is only keeping what the job left; that ends by itself.
        if matches!(status(place)?, JobStatus::Running) {
            ask_to_cancel(place, grace)?;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            // It does not listen: somebody stopped it, or its disk is stuck.
            if let Some(pid) =
                SupervisorRecord::read(place).ok().flatten().map(|record| record.owner.pid)
            {
                crate::supervise::native::kill(pid);
            }
        }
        let timeout = Timespec::try_from(left.min(Duration::from_millis(50))).ok();
        let _ = poll(&mut [PollFd::new(&supervisor, PollFlags::IN)], timeout.as_ref());
    }
    let status = status(place)?;
    if matches!(status, JobStatus::Lost) {
        end_orphans(place, job)?;
    }
    Ok(status)
}

/// Ends what a killed supervisor left running.
fn end_orphans(place: &AttemptFiles, job: &JobRef) -> Result<(), Fault> {
    match cookie_of(place, job) {
        Some(cookie) => end_cookie(&cookie),
        None => Ok(()),
    }
}

fn cookie_of(place: &AttemptFiles, job: &JobRef) -> Option<String> {
    Some(SupervisorRecord::read(place).ok()??.owner.cookie(job))
}

fn end_cookie(cookie: &str) -> Result<(), Fault> {
    match kill_cookie(cookie) {
        (_, true) => Ok(()),
        (_, false) => Err(Fault::new(
            FailureKind::Cleanup,
            format!("processes of job {cookie} cannot be killed: stuck in the kernel"),
        )),
    }
}

/// Returns what was kept of a job that is over.
pub(super) fn collected(local: &Local, job: &JobRef, keep: &Keep) -> Result<Collected, Fault> {
    let place = local.place(job);
    let report = local.recall(job).or_else(|| place.read_report());
    let Some(JobReport { fault, collected, notes, .. }) = report else {
        // How the job ended is written down before anything of it is kept.
        let record = SupervisorRecord::read(&place)
            .map_err(|error| Fault::io(FailureKind::Io, "reading a job's record", &error))?;
        let is_whole = keep.is_nothing() || record.is_none_or(|record| record.settled);
        return match is_whole {
            true => Ok(Collected::default()),
            false => Err(Fault::new(
                FailureKind::Lost,
                "something killed the supervisor before it had kept what the job left",
            )),
        };
    };
    match fault {
        Some(fault) => Err(fault.into()),
        None => Ok(Collected { notes, ..collected }),
    }
}

/// Removes a job with everything it has, ending it first if it runs. Its record stays with the run, but
/// for one without a verdict: that would tell of a job which is still to be cleared.
pub(super) fn remove(local: &Local, job: &JobRef) -> Result<(), Fault> {
    let place = local.place(job);
    // Its own supervisor said that it is over, after it had cleared whatever the job had.
    if local.forget(job) == Some(Said::AllGone) {
        return remove_files(local, job, &place);
    }
    if matches!(status(&place)?, JobStatus::Running) {
        cancel(&place, job, Duration::ZERO)?;
    }
    let lost = matches!(status(&place)?, JobStatus::Lost | JobStatus::HostRebooted);
    // A supervisor may also have been killed between the verdict and the end of what it does for the job.
    let unattended = lost || supervisor_of(&place)?.is_none();
    if unattended && let Some(cookie) = cookie_of(&place, job) {
        end_cookie(&cookie)?;
        clear_abandoned(&local.slots(), &cookie).map_err(|error| {
            Fault::io(FailureKind::Cleanup, format!("clearing after {job}"), &error)
        })?;
    }
    remove_files(local, job, &place)?;
    // The last thing to go: until then another try finds what is left by it.
    if lost { remove_file(&place.job()) } else { Ok(()) }
}

fn remove_files(local: &Local, job: &JobRef, place: &AttemptFiles) -> Result<(), Fault> {
    for file in [place.report(), place.cancel(), place.lease()] {
        remove_file(&file)?;
    }
    remove_dir(&local.dir(job))
}

fn remove_file(file: &Path) -> Result<(), Fault> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Fault::io(FailureKind::Cleanup, format!("removing {}", file.display()), &error))
        }
        _ => Ok(()),
    }
}

/// Lists what is left of jobs below the runs of a state directory: running ones, directories of
/// attempts, what killed supervisors left.
pub(super) fn leftovers(local: &Local, wanted: Option<&str>) -> Result<Vec<Leftover>, Fault> {
    let runs = &local.config.runs_dir;
    let mut found = std::collections::BTreeMap::new();
    for run in names(runs) {
        if wanted.is_some_and(|wanted| wanted != run) {
            continue;
        }
        let nodes = runs.join(&run).join("nodes");
        for node in names(&nodes) {
            for entry in names(&nodes.join(&node)) {
                let number = |prefix: &str| entry.strip_prefix(prefix)?.parse().ok();
                let Some(attempt) = number("attempt-").or_else(|| number("job.")) else { continue };
                let job = JobRef { run: run.clone(), node: node.clone(), attempt };
                let status = status(&local.place(&job))?;
                let is_left = matches!(status, JobStatus::Running | JobStatus::Lost)
                    || local.dir(&job).exists();
                if is_left {
                    let in_use = status == JobStatus::Running;
                    found.insert(job.to_string(), (LeftoverKind::Job, job, in_use));
                }
            }
        }
    }
    // The cookie of another state directory's job may name the same run and node; it never names
    // the same supervisor.
    let ours = |cookie: &str, job: &JobRef| {
        wanted.is_none_or(|wanted| wanted == job.run)
            && cookie_of(&local.place(job), job).is_some_and(|own| own == cookie)
    };
    let abandoned = abandoned(&local.slots()).into_iter().map(|cookie| (LeftoverKind::Job, cookie));
    let processes = processes_with_cookie(|_| true)
        .into_iter()
        .map(|(_, cookie)| (LeftoverKind::Process, cookie));
    for (kind, cookie) in abandoned.chain(processes) {
        if let Some(job) = job_of_cookie(&cookie).filter(|job| ours(&cookie, job)) {
            found.entry(job.to_string()).or_insert((kind, job, false));
        }
    }
    let leftover = |(name, (kind, job, in_use)): (String, (LeftoverKind, JobRef, bool))| Leftover {
        kind,
        run: job.run,
        name,
        in_use,
    };
    Ok(found.into_iter().map(leftover).collect())
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
        LeftoverKind::Process => end_orphans(&local.place(&job), &job),
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
