//! A job in its instance: started, followed, cancelled and judged through its pushed supervisor.
//!
//! The supervisor is reached with `incus exec`, whose own end means nothing: when it breaks, the
//! record that the supervisor leaves in the shared directory is read from the machine's side, the
//! instance's state is asked, and the job is followed again.

use std::time::{Duration, Instant};

use super::{engine::Engine, instance::STATE};
use crate::{
    attempt::Phase,
    control::{Control, Level},
    fault::{FailureKind, Fault},
    placements::{ControlCommand, Flow, ssh::token},
    runtimes::Context,
    supervise::{Evidence, Frame, Frames, JobStatus, Limits, Log, Reason},
};

/// For how long a supervisor may say nothing: it says something every five seconds.
const SILENCE: Duration = Duration::from_secs(15);
/// For how long an engine may stay away at least, before the job is given up.
const AWAY: Duration = Duration::from_secs(60);

/// Starts the job unless it was, then follows it. `$1` the supervisor, `$2` the state directory,
/// `$3` and `$4` offset and marker, the rest `start`'s options.
const START: &str = "s=$1 d=$2 o=$3 m=$4; shift 4; sh \"$s\" start \"$d\" \"$@\"\n\
                     exec sh \"$s\" attach \"$d\" \"$o\" \"$m\"";

/// One job in one instance.
pub(super) struct Guest<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) engine: Engine<'a>,
    /// The instance.
    pub(super) name: &'a str,
    /// Who the supervisor and the job are.
    pub(super) user: (u32, u32),
    /// The state directory on the machine's side, where it has one.
    pub(super) shared: Option<String>,
    pub(super) limits: Limits,
}

/// What was seen of a job in one attachment.
enum Seen {
    /// How it stands, its log drained.
    Stands(JobStatus),
    /// The connection is over; why.
    Broken(String),
    /// It is to end.
    Raised,
}

impl Guest<'_> {
    /// Returns the supervisor's state directory in the guest.
    fn job_dir() -> String {
        format!("{STATE}/job")
    }

    fn shim() -> String {
        format!("{STATE}/supervisor.sh")
    }

    /// Follows the job to its end, starting it first if `start` has options for that.
    pub(super) fn run(&self, start: Option<&[String]>) -> Result<JobStatus, Fault> {
        let request = self.context.request;
        let unwritable = |error: &std::io::Error| {
            let what = format!("writing {}", request.guest_log.display());
            Fault::io(FailureKind::Io, what, error)
        };
        let withheld: Vec<String> =
            request.secrets.values().map(|value| value.reveal().to_owned()).collect();
        let mut log =
            Log::open(&request.guest_log, &withheld).map_err(|error| unwritable(&error))?;
        let mut start = start;
        let mut doubts = 0;
        let mut heard = Instant::now();
        let mut pause = Duration::from_millis(50);
        let away = AWAY.max(self.limits.lease);
        let status = loop {
            let control = self.context.control;
            let seen = self.once(start, &mut log, &mut heard, control)?;
            let broken = match seen {
                // An instance that is being stopped loses its /proc before its processes.
                Seen::Stands(status @ (JobStatus::Lost | JobStatus::HostRebooted)) => {
                    doubts += 1;
                    if doubts > 3 {
                        break status;
                    }
                    "its supervisor is gone".to_owned()
                }
                Seen::Stands(status) => break status,
                Seen::Raised => {
                    break self.end(&mut log, &mut heard)?;
                }
                Seen::Broken(why) => why,
            };
            // A supervisor that was started is not started again; one that was not, is.
            if let Some(status) = self.record(&mut log)? {
                break status;
            }
            match self.engine.instance(self.name) {
                Ok(None) => return Err(self.gone("is not there any more")),
                Ok(Some(instance)) if !instance.is_running() && instance.status != "Error" => {
                    // It may have ended between the two looks.
                    if let Some(status) = self.record(&mut log)? {
                        break status;
                    }
                    if self.machine_restarted() {
                        break JobStatus::HostRebooted;
                    }
                    return Err(self.gone(&format!("is {}", instance.status.to_lowercase())));
                }
                Ok(Some(instance)) if self.engine.is_offline(&instance.location) => {
                    return Err(Fault::new(
                        FailureKind::RuntimeGone,
                        format!(
                            "member `{}` of the cluster is offline, with instance `{}` and its job",
                            instance.location, self.name
                        ),
                    )
                    .advice("its job ends with its lease; another try goes to another member"));
                }
                Ok(Some(instance)) if heard.elapsed() > away => {
                    return Err(Fault::new(
                        FailureKind::Unreachable,
                        format!(
                            "instance `{}` on `{}` ({}) runs, and nothing runs in it any more: \
                             {broken}",
                            self.name, instance.location, instance.status
                        ),
                    ));
                }
                Err(fault) if heard.elapsed() > away => return Err(fault),
                Ok(Some(_)) | Err(_) => {}
            }
            start = start.filter(|_| !self.is_claimed());
            let _ = control.wait(control.level(), pause);
            pause = (pause * 2).min(Duration::from_secs(2));
        };
        log.finish().map_err(|error| unwritable(&error))?;
        Ok(self.with_evidence(status))
    }

    /// Attaches once and reads until the job is over or the connection is.
    fn once(
        &self,
        start: Option<&[String]>,
        log: &mut Log,
        heard: &mut Instant,
        control: &Control,
    ) -> Result<Seen, Fault> {
        if control.level() > Level::Run {
            return Ok(Seen::Raised);
        }
        let unwritable =
            |error: &std::io::Error| Fault::io(FailureKind::Io, "writing the guest's log", error);
        let offset = log.resume().map_err(|error| unwritable(&error))?;
        let marker = token();
        let mut argv = vec!["sh".to_owned()];
        match start {
            Some(options) => {
                argv.extend(["-c".to_owned(), START.to_owned(), "sh".to_owned()]);
                argv.extend([Self::shim(), Self::job_dir()]);
                argv.extend([offset.to_string(), marker.clone()]);
                argv.extend_from_slice(options);
            }
            None => {
                argv.extend([Self::shim(), "attach".to_owned(), Self::job_dir()]);
                argv.extend([offset.to_string(), marker.clone()]);
            }
        }
        let command = self.engine.exec(self.name, self.user, &argv).deadline(SILENCE);
        let mut frames = Frames::new(&marker, offset);
        let (mut end, mut wrong, mut unwritten) = (None, None, None);
        let mut words: Vec<String> = Vec::new();
        let renew_every = (self.limits.lease / 3).max(Duration::from_secs(1));
        let mut renewed = Instant::now();
        let answer = self.engine.machine.stream(
            &command,
            &mut |bytes| {
                let all = match frames.push(bytes) {
                    Ok(all) => all,
                    Err(what) => {
                        wrong = Some(what);
                        return Flow::Stop;
                    }
                };
                *heard = Instant::now();
                for frame in all {
                    match frame {
                        Frame::Word(word) => {
                            if word == "started" || word == "already" {
                                self.context.enter(Phase::Wait);
                            }
                            words.push(word);
                        }
                        Frame::Log(bytes) => {
                            if let Err(error) = log.take(&bytes) {
                                unwritten = Some(error);
                                return Flow::Stop;
                            }
                        }
                        Frame::Idle => {}
                        Frame::End(status) => end = Some(status),
                    }
                }
                if end.is_some() {
                    return Flow::Stop;
                }
                if !self.limits.lease.is_zero() && renewed.elapsed() >= renew_every {
                    renewed = Instant::now();
                    // Failing shows on the attachment as well; the next time will do.
                    let seconds = self.limits.lease.as_secs().max(1).to_string();
                    let _ = self.verb("renew", &seconds);
                }
                Flow::Continue
            },
            control,
        );
        if let Some(error) = unwritten {
            return Err(unwritable(&error));
        }
        if let Some(word) = words.iter().find(|word| word.starts_with("error ")) {
            return Err(not_started(self.engine.machine.name(), word));
        }
        if let Some(line) = end {
            let status = JobStatus::parse(&line).ok_or_else(|| {
                Fault::new(
                    FailureKind::Protocol,
                    format!("the status of the job in `{}` is no status: `{line}`", self.name),
                )
            })?;
            return Ok(Seen::Stands(status));
        }
        match answer {
            Ok(None) if wrong.is_none() => Ok(Seen::Raised),
            Ok(None) => Ok(Seen::Broken(wrong.unwrap_or_default())),
            Ok(Some(answer)) => Ok(Seen::Broken(answer.complaint())),
            Err(fault) => Ok(Seen::Broken(fault.message)),
        }
    }

    /// Ends the job as its control wants it, and follows it to that end.
    fn end(&self, log: &mut Log, heard: &mut Instant) -> Result<JobStatus, Fault> {
        let control = self.context.control;
        let mut told = Level::Run;
        let mut until = Instant::now() + Duration::from_secs(30);
        loop {
            let level = control.level();
            if level > told {
                let grace = if level == Level::Kill { Duration::ZERO } else { self.limits.grace };
                match self.verb("cancel", &grace.as_secs().to_string()) {
                    // Somebody's word never reached it: there is nothing to end.
                    Ok(JobStatus::Unknown) => return Ok(JobStatus::Unknown),
                    Ok(_) => {
                        told = level;
                        until = Instant::now() + grace + Duration::from_secs(30);
                    }
                    Err(_) if self.record(log)?.is_some() => {}
                    Err(fault) if Instant::now() >= until => return Err(fault),
                    Err(_) => {}
                }
            }
            let status = match self.verb_plain("status") {
                Ok(status) => status,
                Err(fault) => match self.record(log)? {
                    Some(status) => return Ok(status),
                    None if Instant::now() >= until => return Err(fault),
                    None => JobStatus::Running,
                },
            };
            if !matches!(status, JobStatus::Running) {
                // The rest of its log; nothing can rise any more that matters.
                let quiet = Control::new()
                    .map_err(|error| Fault::io(FailureKind::Io, "making a control", &error))?;
                return match self.once(None, log, heard, &quiet)? {
                    Seen::Stands(status) => Ok(status),
                    Seen::Broken(_) | Seen::Raised => Ok(status),
                };
            }
            if Instant::now() >= until {
                return Err(Fault::new(
                    FailureKind::NoAnswer,
                    format!("the job in `{}` does not end", self.name),
                ));
            }
            let _ = control.wait(told, Duration::from_millis(100));
        }
    }

    fn verb(&self, verb: &str, word: &str) -> Result<JobStatus, Fault> {
        self.say(&[verb, &Self::job_dir(), word])
    }

    fn verb_plain(&self, verb: &str) -> Result<JobStatus, Fault> {
        self.say(&[verb, &Self::job_dir()])
    }

    /// Returns how the job stands, as its supervisor says.
    pub(super) fn status(&self) -> Result<JobStatus, Fault> {
        self.verb_plain("status")
    }

    fn say(&self, words: &[&str]) -> Result<JobStatus, Fault> {
        let mut argv = vec!["sh".to_owned(), Self::shim()];
        argv.extend(words.iter().map(|&word| word.to_owned()));
        let answer = self.engine.ask(&self.engine.exec(self.name, self.user, &argv))?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        JobStatus::parse(text.trim()).ok_or_else(|| {
            let said = if answer.success() { text } else { answer.complaint() };
            Fault::new(
                FailureKind::NoAnswer,
                format!("the supervisor in `{}` does not answer: {}", self.name, said.trim()),
            )
        })
    }

    /// Returns the verdict that the supervisor left in the shared directory, the rest of the log
    /// taken over first: it is there whatever became of the instance.
    fn record(&self, log: &mut Log) -> Result<Option<JobStatus>, Fault> {
        let Some(shared) = &self.shared else { return Ok(None) };
        let machine = self.engine.machine;
        let read = ControlCommand::new(["cat", &format!("{shared}/job/exit")]);
        let answer = machine.run(&read)?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        let Some(fields) = text.trim_end().strip_prefix("1 ").and_then(|t| t.strip_suffix("END."))
        else {
            return Ok(None);
        };
        let line = format!("state=exited {}", fields.trim());
        let Some(status) = JobStatus::parse(&line) else { return Ok(None) };
        let unwritable =
            |error: &std::io::Error| Fault::io(FailureKind::Io, "writing the guest's log", error);
        let offset = log.resume().map_err(|error| unwritable(&error))?;
        let from = format!("+{}", offset + 1);
        let rest = ControlCommand::new(["tail", "-c", &from, &format!("{shared}/job/log")]);
        let rest = machine.run(&rest)?;
        log.take(&rest.stdout).map_err(|error| unwritable(&error))?;
        Ok(Some(status))
    }

    /// Returns whether a supervisor has the job for good; when it cannot be known, it may.
    fn is_claimed(&self) -> bool {
        let Some(shared) = &self.shared else { return false };
        let look = ControlCommand::new(["test", "-e", &format!("{shared}/job/claim")]);
        self.engine.machine.run(&look).map_or(true, |answer| answer.success())
    }

    /// Returns whether the machine itself was restarted since the job began.
    fn machine_restarted(&self) -> bool {
        let Some(shared) = &self.shared else { return false };
        let script = "read -r p s b <\"$1/job/claim\" && read -r n </proc/sys/kernel/random/boot_id \
                      && [ \"$b\" != \"$n\" ]";
        let look = ControlCommand::new(["sh", "-c", script, "sh", shared.as_str()]);
        self.engine.machine.run(&look).is_ok_and(|answer| answer.success())
    }

    fn gone(&self, how: &str) -> Fault {
        Fault::new(
            FailureKind::RuntimeGone,
            format!(
                "instance `{}` on `{}` {how}, and its job left no verdict",
                self.name,
                self.engine.machine.name()
            ),
        )
        .advice("somebody, or the engine, ended it under the job")
    }

    /// Adds what the kernel says of an end that the job did not want: its own record cannot tell a
    /// limit of the instance from a failure of its own.
    fn with_evidence(&self, status: JobStatus) -> JobStatus {
        match status {
            JobStatus::Exited(mut ended)
                if ended.reason == Reason::Exited
                    && ended.code != Some(0)
                    && ended.evidence == Evidence::None =>
            {
                if self.disk_is_full() {
                    ended.evidence = Evidence::DiskFull;
                }
                JobStatus::Exited(ended)
            }
            other => other,
        }
    }

    /// Returns whether nothing can be written to the guest's own disk.
    fn disk_is_full(&self) -> bool {
        let script = "cd /forge-lanes/tmp || exit 0\n\
                      printf '%8192s' - >.probe && sync .probe 2>/dev/null; s=$?\n\
                      [ $(wc -c <.probe) -ge 8192 ] || s=28; rm -f .probe; [ $s = 28 ] && echo full";
        let argv = ["sh", "-c", script].map(str::to_owned);
        let answer = self.engine.ask(&self.engine.exec(self.name, self.user, &argv));
        answer.is_ok_and(|answer| answer.stdout.starts_with(b"full"))
    }

    /// Returns which limit of the instance stopped the job, from the kernel's counters.
    pub(super) fn limit(&self, project: Option<&str>) -> Option<Fault> {
        let group = match project {
            Some(project) if project != "default" => format!("{project}_{}", self.name),
            _ => self.name.to_owned(),
        };
        let script = "for d in /sys/fs/cgroup /sys/fs/cgroup/unified /sys/fs/cgroup/pids \
             /sys/fs/cgroup/memory; do d=$d/lxc.payload.$1\n\
             [ -r $d/pids.events ] && sed 's/^max /pids /' $d/pids.events\n\
             [ -r $d/memory.events ] && grep '^oom_kill ' $d/memory.events\n\
             [ -r $d/memory.oom_control ] && grep '^oom_kill ' $d/memory.oom_control\ndone; true";
        let look = ControlCommand::new(["sh", "-c", script, "sh", &group]);
        let answer = self.engine.machine.run(&look).ok()?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        let counted = |name: &str| {
            text.lines().any(|line| {
                let mut words = line.split_ascii_whitespace();
                words.next() == Some(name)
                    && words.next().is_some_and(|count| count.parse::<u64>().is_ok_and(|n| n > 0))
            })
        };
        let machine = self.engine.machine.name();
        if counted("oom_kill") {
            return Some(
                Fault::new(
                    FailureKind::Oom,
                    format!("instance `{}` on `{machine}` ran out of memory", self.name),
                )
                .advice("give it more (`memory_mib`), or let the job need less"),
            );
        }
        counted("pids").then(|| {
            Fault::new(
                FailureKind::ProcessLimit,
                format!("instance `{}` on `{machine}` may not have more processes", self.name),
            )
            .advice("allow it more (`processes`), or let the job start fewer")
        })
    }
}

fn not_started(machine: &str, word: &str) -> Fault {
    if word.ends_with("no_space") {
        return Fault::new(
            FailureKind::DiskFull,
            format!("there is no room on `{machine}` for the job's own files"),
        )
        .advice("make room there, then resume the run");
    }
    Fault::new(
        FailureKind::Supervisor,
        format!("the supervisor in the instance did not start: {word}"),
    )
}
