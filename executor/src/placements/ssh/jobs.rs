//! Jobs of a host: started under the pushed supervisor, followed through dropped connections, found again.

use std::{
    borrow::Cow,
    path::Path,
    time::{Duration, Instant},
};

use tracing::debug;

use super::{
    remote::Remote,
    removals,
    workspace::{JobPaths, room, shown, used, with_shell, without_shell},
};
use crate::{
    command_line::Script,
    control::{Control, Level},
    fault::{FailureKind, Fault},
    locks::remote::lost_lock,
    placements::{Job, Leftover, LeftoverKind, Secret},
    ssh::{Ask, Attachment, Patience, SshError, SshFault, Started, fault},
    supervise::{
        Broken, Frame, JobLimits, JobRef, JobStatus, Log, Silence, Transport, Wake, Watcher,
        masks_of, no_redactor,
        shim::{self, Request},
    },
};

/// For how long an attachment may say nothing: its supervisor says something every few seconds.
const SILENCE: Duration = Duration::from_secs(30);

/// Starts a job unless somebody did.
pub(super) fn start(remote: &Remote, job: &Job) -> Result<(), Fault> {
    let places = remote.paths(&job.job);
    let may_mount = remote.may_mount()?;
    if !job.mounts.is_empty() && !may_mount {
        return Err(Fault::new(
            FailureKind::Workspace,
            format!(
                "host `{}`: `{}` cannot be mounted: that needs root and unshare(1)",
                remote.name, job.mounts[0].to
            ),
        )
        .advice("log in there as root, or use a runtime that brings its own mounts"));
    }
    let options = shim::StartOptions {
        timeout: job.limits.timeout,
        lease: job.limits.lease,
        grace: job.limits.grace,
        keep: job.keep_env.clone(),
    };
    let shim = remote.shim()?;
    let facts = remote.facts()?;
    let owner = remote.owner();
    let mut words = options.words().to_vec();
    words.extend(room(job, &places, &owner));
    words.push(format!("uses={}", used(job)));
    words.push(format!("system={}/{}", facts.system, facts.architecture));
    if let Some(tree) = shown(job, may_mount) {
        words.push(format!("view={tree}"));
    }
    let masks = masks_of(job.secrets.values().map(Secret::expose))?;
    if !masks.is_empty() {
        words.push(format!("masks={masks}"));
    }
    let held = remote.locks.of(&places.state);
    if !held.is_empty() {
        let all: Vec<String> =
            held.iter().map(|lock| format!("{}/{}", lock.token, lock.file)).collect();
        words.push(format!("held={}", all.join(",")));
        words.push(format!("locks={}", remote.locks_dir()));
    }
    let quick = remote.server()?.zip(without_shell(job, &places, &owner, may_mount));
    let ask = |mark: &str| match &quick {
        Some((server, exec)) => {
            let run = Request::new("run").words([&places.state, mark]).words(&words);
            Ask::Server(server, run.words(exec))
        }
        None => {
            let run = shim::call(&shim, "run", Path::new(&places.state)).word("0").word(mark);
            Ask::Shell(Cow::Owned(
                with_shell(job, &places, &owner, may_mount).then(&run.words(&words)),
            ))
        }
    };
    let mut patience = remote.host.patience();
    // A copy of a large tree takes its time.
    patience.each = Duration::from_secs(600);
    let started = remote
        .host
        .repeat(&patience, |until| Attachment::start(&remote.host, ask, until))
        .map_err(|error| fault(FailureKind::Supervisor, &error))?;
    match started {
        Started::Attached { attachment, wanted } => {
            if wanted {
                remote.locks.give_up(&held);
            }
            remote.keep_attachment(&job.job, *attachment);
            Ok(())
        }
        Started::Refused(why) if why.contains("no_space") || why.contains("No space left") => {
            let full = SshError::new(&remote.name, SshFault::NoSpace, why);
            Err(fault(FailureKind::Supervisor, &full))
        }
        Started::Refused(why) if why.ends_with("no_redactor") => {
            Err(no_redactor(&format!("host `{}`", remote.name)))
        }
        Started::Refused(why) if why.starts_with("lost ") => {
            // The executor that has it now keeps it; the next attempt takes its own.
            remote.locks.give_up(&held);
            Err(lost_lock(&remote.name, why.trim_start_matches("lost ")))
        }
        Started::Refused(why) => Err(Fault::new(
            FailureKind::Supervisor,
            format!("host `{}`: the supervisor did not start: {why}", remote.name),
        )),
    }
}

/// Watches a job until it ends.
pub(super) fn attach(
    remote: &Remote,
    job: &JobRef,
    log: &Path,
    limits: &JobLimits,
    control: &Control,
) -> Result<JobStatus, Fault> {
    let (shim, state) = (remote.shim()?, remote.paths(job).state);
    let connection = HostConnection { remote, job, control, shim, state };
    let redacted = remote.redacted(job);
    let mut watcher = Watcher::new(&connection, job, log, &redacted, limits, control)?;
    if remote.has_attachment(job) {
        watcher = watcher.just_started();
    }
    let status = watcher.watch()?;
    if matches!(status, JobStatus::Lost) {
        // Its supervisor is gone: what the job started is ended from here.
        let ended = connection.ask("cancel", "0", Duration::from_secs(60));
        ended.map_err(|broken| broken.fault)?;
    }
    Ok(status)
}

/// The connection to one job's supervisor.
struct HostConnection<'a> {
    remote: &'a Remote,
    job: &'a JobRef,
    control: &'a Control,
    shim: std::path::PathBuf,
    state: String,
}

impl HostConnection<'_> {
    fn broken(&self, error: &SshError) -> Broken {
        let is_final = !error.fault.is_transient();
        debug!(host = self.remote.name, job = %self.job, %error, "the connection broke");
        Broken { fault: fault(FailureKind::Unreachable, error), is_final }
    }
}

impl Transport for HostConnection<'_> {
    fn name(&self) -> String {
        format!("host `{}`", self.remote.name)
    }

    fn read(
        &self,
        offset: u64,
        mut wake: Wake,
        sink: &mut dyn FnMut(Option<Frame>) -> Option<Wake>,
    ) -> Result<(), Broken> {
        let host = &self.remote.host;
        // The one that came with the start, unless the log is further than that.
        let begun = self.remote.take_attachment(self.job);
        let mut attachment = match begun.filter(|begun| begun.offset() == offset) {
            Some(begun) => begun,
            None => {
                let script = shim::call(&self.shim, "attach", Path::new(&self.state));
                let until = Instant::now() + Duration::from_secs(60);
                let opened = Attachment::open(host, script, offset, None, until);
                opened.map_err(|error| self.broken(&error))?
            }
        };
        let mut silent_at = Instant::now() + SILENCE;
        loop {
            let raised = self.control.raised(wake.notified);
            attachment.wake_on(raised.and_then(|fd| fd.try_clone_to_owned().ok()));
            let frame = attachment.next(silent_at, wake.at);
            let frame = frame.map_err(|error| self.broken(&error))?;
            if frame.is_some() {
                silent_at = Instant::now() + SILENCE;
            }
            let is_end = match &frame {
                Some(Frame::End(line)) => {
                    if line.split_ascii_whitespace().any(|word| word == "artifacts=none") {
                        self.remote.note_left_nothing(self.job);
                    }
                    true
                }
                _ => false,
            };
            match sink(frame) {
                Some(next) => wake = next,
                None => {
                    if is_end {
                        attachment.close(host, Instant::now() + Duration::from_secs(10));
                    }
                    return Ok(());
                }
            }
        }
    }

    fn ask(&self, verb: &str, word: &str, budget: Duration) -> Result<JobStatus, Broken> {
        let script = shim::call(&self.shim, verb, Path::new(&self.state)).word(word);
        let patience = Patience { budget, ..self.remote.host.patience() };
        let output = self.remote.host.check(&script, &patience);
        let output = output.map_err(|error| self.broken(&error))?;
        let line = String::from_utf8_lossy(&output).trim().to_owned();
        parse(self.remote, self.job, &line).map_err(Broken::again)
    }

    fn after_break(
        &self,
        why: &Fault,
        silence: Silence,
        _log: &mut Log,
    ) -> Result<Option<JobStatus>, Fault> {
        let budget = match self.control.level() {
            Level::Run => self.remote.host.options().reconnect_budget,
            // Its lease ends it on the host; that is not waited for here.
            Level::Cancel => {
                self.remote.host.options().reconnect_budget.min(Duration::from_secs(30))
            }
            Level::Kill => Duration::ZERO,
        };
        if silence.lasted() >= budget { Err(why.clone()) } else { Ok(None) }
    }
}

fn parse(remote: &Remote, job: &JobRef, line: &str) -> Result<JobStatus, Fault> {
    JobStatus::parse(line).ok_or_else(|| {
        Fault::new(
            FailureKind::Protocol,
            format!("host `{}`: the status of {job} is no status: `{line}`", remote.name),
        )
    })
}

/// Returns what is known of a job.
pub(super) fn status(remote: &Remote, job: &JobRef) -> Result<JobStatus, Fault> {
    let line = remote.verb("status", &remote.paths(job).state, &[""; 0])?;
    parse(remote, job, &line)
}

/// Ends a job that nobody is attached to.
pub(super) fn cancel(remote: &Remote, job: &JobRef, grace: Duration) -> Result<JobStatus, Fault> {
    let state = remote.paths(job).state;
    let line = remote.verb("cancel", &state, &[grace.as_secs().to_string()])?;
    let mut status = parse(remote, job, &line)?;
    let until = Instant::now() + grace + Duration::from_secs(30);
    while matches!(status, JobStatus::Running) && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(100));
        status = self::status(remote, job)?;
    }
    Ok(status)
}

/// Removes everything of an attempt, ending it first if it runs.
pub(super) fn remove(remote: &Remote, places: &JobPaths) -> Result<(), Fault> {
    removals::remove(remote, &places.name)
}

/// Lists what runs left on the host.
pub(super) fn leftovers(remote: &Remote, wanted: Option<&str>) -> Result<Vec<Leftover>, Fault> {
    let shim = remote.shim()?;
    let runs = format!("{}/runs", remote.work_dir);
    let script = shim::verb(&shim, "list", Path::new(&runs))
        .text("\necho ==\ncd")
        .word(&remote.work_dir)
        .text(
            " 2>/dev/null || exit 0\n\
         ls -d outputs/*/*.* 2>/dev/null\necho ==\n\
         for o in runs/*/owner outputs/*/owner; do\n\
         [ -s \"$o\" ] && printf '%s %s\\n' \"$(cat \"$o\")\" \"$o\"; done\necho ==\n\
         find runs outputs -mindepth 2 -maxdepth 2 -type d -mtime +6 2>/dev/null\necho ==\n\
         for c in runs/*/*/claim; do { read -r pid && read -r tree && echo \"$tree\"; } <\"$c\"; done 2>/dev/null\n\
         echo ==\n\
         find trees -mindepth 1 -maxdepth 1 ! -name '.new-*' -mtime +6 2>/dev/null\n\
         find trees -mindepth 1 -maxdepth 1 -name '.new-*' -mmin +720 2>/dev/null\ntrue",
        );
    let output = remote.host.check(&script, &remote.host.patience());
    let output = output.map_err(|error| fault(FailureKind::NoAnswer, &error))?;
    let text = String::from_utf8_lossy(&output).into_owned();
    let mut parts = text.split("==\n");
    let mut part = || parts.next().unwrap_or_default().lines().collect::<Vec<_>>();
    let (jobs, outputs, owners, old, used, trees) =
        (part(), part(), part(), part(), part(), part());
    let owner = remote.owner();
    let own = |run: &str| {
        owners.iter().any(|line| {
            let (who, path) = line.split_once(' ').unwrap_or_default();
            who == owner && path.split('/').nth(1) == Some(run)
        })
    };
    let is_old = |root: &str, name: &str| old.contains(&format!("{root}/{name}").as_str());
    let mut found: Vec<Leftover> = Vec::new();
    let mut add = |root: &str, name: &str, status: &str| {
        let run = name.split('/').next().unwrap_or_default().to_owned();
        if wanted.is_some_and(|wanted| wanted != run) || found.iter().any(|one| one.name == name) {
            return;
        }
        let is_running = status.starts_with("running") && !status.contains(" lease=0");
        // What others left is theirs, until it is old enough for nobody to come back for it.
        let is_wanted = if own(&run) { remote.is_unfinished(&run) } else { !is_old(root, name) };
        let in_use = is_running || is_wanted;
        found.push(Leftover { kind: LeftoverKind::Job, run, name: name.to_owned(), in_use });
    };
    for line in jobs {
        if let Some((name, status)) = line.split_once(" state=") {
            add("runs", name, status);
        }
    }
    for line in outputs {
        if let Some(name) = line.strip_prefix("outputs/") {
            add("outputs", name, "");
        }
    }
    if wanted.is_none() {
        for line in trees {
            let Some(id) = line.strip_prefix("trees/").filter(|id| !used.contains(id)) else {
                continue;
            };
            found.push(Leftover {
                kind: LeftoverKind::Tree,
                run: String::new(),
                name: id.to_owned(),
                in_use: false,
            });
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// Removes one of them, and checks that it is gone.
pub(super) fn remove_leftover(remote: &Remote, leftover: &Leftover) -> Result<(), Fault> {
    // What comes back from a host is not a path until it was looked at.
    let safe = |component: &str| {
        !component.is_empty()
            && component != "."
            && component != ".."
            && !component.contains(['/', '\0', '\n'])
    };
    let wrong = || {
        Fault::new(
            FailureKind::Cleanup,
            format!("host `{}`: `{}` names nothing of ours", remote.name, leftover.name),
        )
    };
    match leftover.kind {
        LeftoverKind::Job => {
            let (run, node) = leftover.name.split_once('/').ok_or_else(wrong)?;
            if !safe(run) || !safe(node) {
                return Err(wrong());
            }
            let places = remote.paths_of(run, node);
            remove(remote, &places)?;
            remove_directory(remote, &places.output)?;
            // The run's own directories, when they are empty now.
            let parents = Script::new("for d in")
                .word(format!("{}/runs/{run}", remote.work_dir))
                .word(format!("{}/outputs/{run}", remote.work_dir))
                .text(
                    "; do\n[ \"$(ls -A \"$d\" 2>/dev/null)\" != owner ] || \
                     { rm -f \"$d/owner\"; rmdir \"$d\"; }\ndone 2>/dev/null; true",
                );
            let answer = remote.host.check(&parents, &remote.host.patience());
            answer.map(drop).map_err(|error| fault(FailureKind::Cleanup, &error))
        }
        LeftoverKind::Tree if safe(&leftover.name) => {
            remove_directory(remote, &format!("{}/trees/{}", remote.work_dir, leftover.name))
        }
        _ => Err(wrong()),
    }
}

fn remove_directory(remote: &Remote, directory: &str) -> Result<(), Fault> {
    let script = Script::new("").set("d", directory).text(
        "rm -rf \"$d\" 2>/dev/null\n[ -e \"$d\" ] || exit 0\n\
             chmod -R u+rwX \"$d\"; rm -rf \"$d\" || exit 1\n[ ! -e \"$d\" ]",
    );
    let answer = remote.host.check(&script, &remote.host.patience());
    answer.map(drop).map_err(|error| fault(FailureKind::Cleanup, &error))
}
