//! A job in its guest: started, followed, cancelled and judged through its pushed supervisor.
//!
//! The supervisor is reached with `tart exec`, whose own end means nothing: a stream that ends
//! early says 0. When it is over without a last word, the supervisor is asked, then the machine how
//! the guest stands, and the job is followed again.

use std::time::{Duration, Instant};

use super::{
    host::{Host, Standing},
    setup::{JOB, MARK, SHIM},
};
use crate::{
    attempt::Phase,
    control::{Control, Level},
    fault::{FailureKind, Fault},
    placements::{Flow, ssh::token},
    runtimes::Context,
    supervise::{Frame, Frames, JobStatus, Limits, Log},
};

/// For how long a supervisor may say nothing: it says something every five seconds.
const SILENCE: Duration = Duration::from_secs(15);
/// For how long a guest that runs may stay silent before its agent is given up.
const AWAY: Duration = Duration::from_secs(60);

/// Starts the job unless it was, then follows it. `$1` the supervisor, `$2` the state directory,
/// `$3` and `$4` offset and marker, the rest `start`'s options.
const START: &str = "s=$1 d=$2 o=$3 m=$4; shift 4; sh \"$s\" start \"$d\" \"$@\"\n\
                     exec sh \"$s\" attach \"$d\" \"$o\" \"$m\"";

/// One job in one guest.
pub(super) struct Guest<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) host: Host<'a>,
    /// The guest.
    pub(super) name: &'a str,
    /// Whether its root runs the job.
    pub(super) as_root: bool,
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
    /// Returns the words of a command in the guest, as the user that the job is.
    pub(super) fn words<const N: usize>(&self, words: [&str; N]) -> Vec<String> {
        let sudo = ["sudo", "-n"];
        let sudo = if self.as_root { &sudo[..] } else { &[] };
        sudo.iter().chain(&words).map(|&word| word.to_owned()).collect()
    }

    /// Follows the job to its end, starting it first if `start` has options for that.
    pub(super) fn run(&self, start: Option<&[String]>) -> Result<JobStatus, Fault> {
        let request = self.context.request;
        let withheld: Vec<String> =
            request.secrets.values().map(|value| value.reveal().to_owned()).collect();
        let mut log =
            Log::open(&request.guest_log, &withheld).map_err(|error| unwritable(&error))?;
        let control = self.context.control;
        let mut heard = Instant::now();
        let mut pause = Duration::from_millis(50);
        let status = loop {
            let broken = match self.once(start, &mut log, &mut heard, control)? {
                Seen::Stands(status) => break status,
                Seen::Raised => break self.end(&mut log, &mut heard)?,
                Seen::Broken(why) => why,
            };
            self.still_there(&broken, heard)?;
            let _ = control.wait(control.level(), pause);
            pause = (pause * 2).min(Duration::from_secs(2));
        };
        log.finish().map_err(|error| unwritable(&error))?;
        match status {
            JobStatus::Lost | JobStatus::HostRebooted => Err(self.lost()),
            // It was begun by somebody, and its directory is gone with whatever held it.
            JobStatus::Unknown => Err(self.lost()),
            other => Ok(other),
        }
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
        let offset = log.resume().map_err(|error| unwritable(&error))?;
        let marker = token();
        let at = offset.to_string();
        let argv = match start {
            // Starting is asked for again as often as it takes: it happens once.
            Some(options) => {
                let mut argv = self.words(["sh", "-c", START, "sh", SHIM, JOB, &at, &marker]);
                argv.extend_from_slice(options);
                argv
            }
            None => self.words(["sh", SHIM, "attach", JOB, &at, &marker]),
        };
        let command = Host::exec(self.name, false, &argv).deadline(SILENCE);
        let mut frames = Frames::new(&marker, offset);
        let (mut end, mut wrong, mut unwritten) = (None, None, None);
        let mut refused = None;
        let renew_every = (self.limits.lease / 3).max(Duration::from_secs(1));
        let mut renewed = Instant::now();
        let answer = self.host.machine.stream(
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
                        Frame::Word(word) if word == "started" || word == "already" => {
                            self.context.enter(Phase::Wait);
                        }
                        Frame::Word(word) if word.starts_with("error ") => refused = Some(word),
                        Frame::Word(_) | Frame::Idle => {}
                        Frame::Log(bytes) => {
                            if let Err(error) = log.take(&bytes) {
                                unwritten = Some(error);
                                return Flow::Stop;
                            }
                        }
                        Frame::End(status) => end = Some(status),
                    }
                }
                if end.is_some() {
                    return Flow::Stop;
                }
                if !self.limits.lease.is_zero() && renewed.elapsed() >= renew_every {
                    renewed = Instant::now();
                    self.renew();
                }
                Flow::Continue
            },
            control,
        );
        if let Some(error) = unwritten {
            return Err(unwritable(&error));
        }
        if let Some(word) = refused {
            return Err(self.not_started(&word));
        }
        if let Some(line) = end {
            return JobStatus::parse(&line).map(Seen::Stands).ok_or_else(|| {
                Fault::new(
                    FailureKind::Protocol,
                    format!("the status of the job in guest `{}` is none: `{line}`", self.name),
                )
            });
        }
        match answer {
            Ok(None) => Ok(wrong.map_or(Seen::Raised, Seen::Broken)),
            Ok(Some(answer)) => Ok(Seen::Broken(answer.complaint())),
            Err(fault) => Ok(Seen::Broken(fault.message)),
        }
    }

    /// Says, of job and guest, that somebody still wants them. Failing shows elsewhere as well;
    /// the next time will do.
    fn renew(&self) {
        let seconds = self.limits.lease.as_secs().max(1).to_string();
        let _ = self.say(&self.words(["sh", SHIM, "renew", JOB, &seconds]));
        let _ = self.host.renew(self.name, self.limits.lease);
    }

    /// Ends the job as its control wants it, and follows it to that end.
    fn end(&self, log: &mut Log, heard: &mut Instant) -> Result<JobStatus, Fault> {
        let control = self.context.control;
        let mut told = Level::Run;
        let mut until = Instant::now() + Duration::from_secs(30);
        loop {
            let level = control.level();
            let mut status = None;
            if level > told {
                let grace = if level == Level::Kill { Duration::ZERO } else { self.limits.grace };
                let grace_secs = grace.as_secs().to_string();
                match self.say(&self.words(["sh", SHIM, "cancel", JOB, &grace_secs])) {
                    Ok(now) => {
                        told = level;
                        until = Instant::now() + grace + Duration::from_secs(30);
                        status = Some(now);
                    }
                    Err(fault) => self.still_there(&fault.message, *heard)?,
                }
            }
            let status = match status {
                Some(status) => status,
                None => match self.status() {
                    Ok(status) => status,
                    Err(fault) => {
                        self.still_there(&fault.message, *heard)?;
                        JobStatus::Running
                    }
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
                    format!("the job in guest `{}` does not end", self.name),
                ));
            }
            let _ = control.wait(told, Duration::from_millis(100));
        }
    }

    /// Returns how the job stands, as its supervisor says.
    pub(super) fn status(&self) -> Result<JobStatus, Fault> {
        self.say(&self.words(["sh", SHIM, "status", JOB]))
    }

    fn say(&self, argv: &[String]) -> Result<JobStatus, Fault> {
        let command = Host::exec(self.name, false, argv).deadline(SILENCE);
        let answer = self.host.machine.run(&command)?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        JobStatus::parse(text.trim()).ok_or_else(|| {
            let said = if answer.success() { text } else { answer.complaint() };
            Fault::new(
                FailureKind::NoAnswer,
                format!("the supervisor in guest `{}` does not answer: {}", self.name, said.trim()),
            )
        })
    }

    /// After a connection broke: whether the guest is one to come back to.
    fn still_there(&self, broken: &str, heard: Instant) -> Result<(), Fault> {
        let machine = self.host.machine.name();
        let standing = match self.host.look(self.name) {
            Ok(standing) => standing,
            Err(fault) if heard.elapsed() > AWAY => return Err(fault),
            Err(_) => return Ok(()),
        };
        let Standing { state, ended, said } = standing;
        let name = self.name;
        match state.as_str() {
            "running" if heard.elapsed() > AWAY => Err(Fault::new(
                FailureKind::NoAnswer,
                format!("guest `{name}` on `{machine}` runs, but its agent is silent: {broken}"),
            )
            .advice("the agent may not come back after the guest restarted itself")),
            "none" => Err(Fault::new(
                FailureKind::RuntimeGone,
                format!("somebody deleted guest `{name}` on `{machine}` under its job"),
            )),
            "stopped" | "suspended" => Err(Fault::new(
                FailureKind::RuntimeGone,
                format!(
                    "guest `{name}` on `{machine}` stopped under its job{}{}",
                    ended.map_or(String::new(), |code| format!("; `tart run` ended with {code}")),
                    if said.is_empty() { String::new() } else { format!(": {said}") },
                ),
            )
            .advice("the guest shut itself down, or somebody or the system ended `tart run`")),
            _ => Ok(()),
        }
    }

    /// Says why a job has no verdict although its guest answers.
    fn lost(&self) -> Fault {
        let (name, machine) = (self.name, self.host.machine.name());
        // `/tmp` is empty after every boot.
        let look = Host::exec(name, false, &self.words(["test", "-e", MARK])).deadline(SILENCE);
        match self.host.machine.run(&look) {
            Ok(answer) if answer.code == Some(1) => Fault::new(
                FailureKind::HostRebooted,
                format!("guest `{name}` on `{machine}` was restarted while the job ran"),
            ),
            _ => Fault::new(
                FailureKind::Lost,
                format!("the job and its supervisor in guest `{name}` are gone without a verdict"),
            )
            .advice(
                "something killed them, perhaps for want of memory: give it more (`memory_mib`)",
            ),
        }
    }

    fn not_started(&self, word: &str) -> Fault {
        if word.ends_with("no_space") {
            return Fault::new(
                FailureKind::DiskFull,
                format!("the disk of guest `{}` is full", self.name),
            )
            .advice("give it a larger one (`disk_gb`)");
        }
        Fault::new(
            FailureKind::Supervisor,
            format!("the supervisor in guest `{}` did not start: {word}", self.name),
        )
    }
}

fn unwritable(error: &std::io::Error) -> Fault {
    Fault::io(FailureKind::Io, "writing the guest's log", error)
}
