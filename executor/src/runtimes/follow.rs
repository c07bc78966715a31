//! A job in a guest: started, followed, cancelled and judged through its pushed supervisor.
//!
//! The supervisor is reached by a command of the guest's engine, whose own end means nothing. When it
//! breaks, the engine is asked whether the guest is one to come back to, and the job is followed again
//! from the same byte. Which engine it is, and what its answers mean, is an [`Inside`]'s.

use std::time::{Duration, Instant};

use super::Context;
use crate::{
    attempt::Phase,
    control::{Control, Level},
    fault::{FailureKind, Fault},
    placements::{ControlCommand, Flow, ssh::token},
    supervise::{Frame, Frames, JobStatus, Limits, Log, Renewal, masks_of},
};

/// For how long a supervisor may say nothing: it says something every five seconds.
const SILENCE: Duration = Duration::from_secs(15);
/// How often a supervisor may be found dead before that is believed: a guest that is being stopped
/// loses its `/proc` before its processes.
const DOUBTS: u32 = 3;

/// Starts the job unless it was, then follows it. `$1` the supervisor, `$2` the state directory,
/// `$3` and `$4` offset and marker, the rest `start`'s options.
const START: &str = "s=$1 d=$2 o=$3 m=$4; shift 4; sh \"$s\" start \"$d\" \"$@\"\n\
                     exec sh \"$s\" attach \"$d\" \"$o\" \"$m\"";

/// What following a job takes of the engine that has its guest.
pub(super) trait Inside {
    /// Returns the guest's name.
    fn name(&self) -> &str;

    /// Returns the call that runs a program in the guest, as the user that the job is.
    fn exec(&self, argv: &[String]) -> ControlCommand;

    /// Says, after a connection broke for the reason `broken`, whether the guest is one to come back
    /// to: `None`. A verdict that can be read past the guest is the answer then, the rest of its log
    /// taken over first.
    ///
    /// # Errors
    ///
    /// When the guest is gone, or was silent for too long.
    fn look(
        &self,
        broken: &str,
        silence: Silence,
        log: &mut Log,
    ) -> Result<Option<JobStatus>, Fault>;

    /// Says to the engine's own books that somebody still wants the guest; failing is no matter.
    fn renew(&self) {}

    /// Says that a supervisor had no room to start in.
    fn no_room(&self) -> Fault;
}

/// Since when nobody spoke from inside.
#[derive(Debug, Clone, Copy)]
pub(super) struct Silence {
    since: Instant,
    /// Whether nobody did at all yet.
    pub(super) unbroken: bool,
}

impl Silence {
    fn begins() -> Self {
        Self { since: Instant::now(), unbroken: true }
    }

    fn ends(&mut self) {
        *self = Self { since: Instant::now(), unbroken: false };
    }

    /// Returns when it began.
    pub(super) fn began(self) -> Instant {
        self.since
    }

    /// Returns how long that is.
    pub(super) fn lasted(self) -> Duration {
        self.since.elapsed()
    }
}

/// How a job is started.
#[derive(Debug, Clone)]
pub(super) struct Start {
    /// A script that makes ready what is inside; run before each try, and no job without it.
    pub(super) ready: String,
    /// What the supervisor is told: `timeout=…`, `lease=…`, `grace=…`.
    pub(super) options: Vec<String>,
}

impl Start {
    /// Says what a supervisor is told of a job's limits, in seconds.
    pub(super) fn new(limits: &Limits) -> Self {
        let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
        let options = vec![
            format!("timeout={}", seconds(limits.timeout)),
            format!("lease={}", seconds(limits.lease)),
            format!("grace={}", seconds(limits.grace)),
        ];
        Self { options, ready: "true".to_owned() }
    }
}

/// One job in one guest.
pub(super) struct Follower<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) inside: &'a dyn Inside,
    pub(super) limits: Limits,
    /// The supervisor's path in the guest.
    pub(super) shim: &'a str,
    /// Its state directory there.
    pub(super) job: &'a str,
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

impl Follower<'_> {
    /// Follows the job to its end, starting it first if `start` says how: asked for as often as it
    /// takes, it happens once.
    pub(super) fn run(&self, start: Option<&Start>) -> Result<JobStatus, Fault> {
        let request = self.context.request;
        let withheld: Vec<String> =
            request.secrets.values().map(|value| value.reveal().to_owned()).collect();
        masks_of(withheld.iter().map(String::as_str))?;
        let mut log =
            Log::open(&request.guest_log, &withheld).map_err(|error| unwritable(&error))?;
        let control = self.context.control;
        let mut doubts = 0;
        let mut silence = Silence::begins();
        let lease = self.limits.lease;
        let mut renewal = match start {
            Some(_) => Renewal::of_started(lease, Instant::now()),
            None => Renewal::of_resumed(lease, Instant::now()),
        };
        let mut pause = Duration::from_millis(50);
        let status = loop {
            let broken = match self.once(start, &mut log, &mut silence, &mut renewal, control)? {
                Seen::Stands(status @ (JobStatus::Lost | JobStatus::HostRebooted)) => {
                    doubts += 1;
                    if doubts > DOUBTS {
                        break status;
                    }
                    "its supervisor is gone".to_owned()
                }
                Seen::Stands(status) => break status,
                Seen::Raised => break self.end(&mut log, &mut silence)?,
                Seen::Broken(why) => why,
            };
            if let Some(status) = self.inside.look(&broken, silence, &mut log)? {
                break status;
            }
            let _ = control.wait(control.level(), pause);
            pause = (pause * 2).min(Duration::from_secs(2));
        };
        log.finish().map_err(|error| unwritable(&error))?;
        Ok(status)
    }

    /// Returns how the job stands, as its supervisor says.
    pub(super) fn status(&self) -> Result<JobStatus, Fault> {
        self.say(&["status", self.job])
    }

    /// Attaches once and reads until the job is over or the connection is.
    fn once(
        &self,
        start: Option<&Start>,
        log: &mut Log,
        silence: &mut Silence,
        renewal: &mut Renewal,
        control: &Control,
    ) -> Result<Seen, Fault> {
        if control.level() > Level::Run {
            return Ok(Seen::Raised);
        }
        // Also where no attachment lives for long.
        self.renew_if_due(renewal);
        let offset = log.resume().map_err(|error| unwritable(&error))?;
        let marker = token();
        let at = offset.to_string();
        let argv = match start {
            Some(Start { ready, options }) => {
                let script = format!("({ready}) || exit 1\n{START}");
                let words = ["sh", "-c", &script, "sh", self.shim, self.job, &at, &marker];
                words.into_iter().map(str::to_owned).chain(options.iter().cloned()).collect()
            }
            None => owned(&["sh", self.shim, "attach", self.job, &at, &marker]),
        };
        let command = self.inside.exec(&argv).deadline(SILENCE);
        let mut frames = Frames::new(&marker, offset);
        let (mut end, mut wrong, mut unwritten) = (None, None, None);
        let mut refused = None;
        let answer = self.context.machine.stream(
            &command,
            &mut |bytes| {
                let all = match frames.push(bytes) {
                    Ok(all) => all,
                    Err(what) => {
                        wrong = Some(what);
                        return Flow::Stop;
                    }
                };
                silence.ends();
                for frame in all {
                    match frame {
                        Frame::Word(word) if word == "started" || word == "already" => {
                            self.context.enter(Phase::Wait);
                        }
                        Frame::Word(word) if word.starts_with("error ") => refused = Some(word),
                        Frame::Word(_) | Frame::Idle => {}
                        Frame::Log(_) | Frame::Cut => {
                            let written = match &frame {
                                Frame::Log(bytes) => log.take(bytes),
                                _ => log.begin_anew(),
                            };
                            if let Err(error) = written {
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
                self.renew_if_due(renewal);
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
                    format!("the status of the job in `{}` is none: `{line}`", self.inside.name()),
                )
            });
        }
        match answer {
            Ok(None) => Ok(wrong.map_or(Seen::Raised, Seen::Broken)),
            Ok(Some(answer)) => Ok(Seen::Broken(answer.complaint())),
            Err(fault) => Ok(Seen::Broken(fault.message)),
        }
    }

    /// Says, of job and guest, that somebody still wants them, when it is time to. Failing shows elsewhere as
    /// well. Asked whenever something is heard, which is every few seconds.
    fn renew_if_due(&self, renewal: &mut Renewal) {
        if renewal.is_due(Instant::now()) {
            let seconds = self.limits.lease.as_secs().max(1).to_string();
            let said = self.say(&["renew", self.job, &seconds]);
            self.inside.renew();
            renewal.tried(said.is_ok(), Instant::now());
        }
    }

    /// Ends the job as its control wants it, and follows it to that end.
    fn end(&self, log: &mut Log, silence: &mut Silence) -> Result<JobStatus, Fault> {
        let control = self.context.control;
        let mut told = Level::Run;
        let mut until = Instant::now() + Duration::from_secs(30);
        loop {
            let level = control.level();
            let asked = if level > told {
                let grace = if level == Level::Kill { Duration::ZERO } else { self.limits.grace };
                let asked = self.say(&["cancel", self.job, &grace.as_secs().to_string()]);
                if asked.is_ok() {
                    told = level;
                    until = Instant::now() + grace + Duration::from_secs(30);
                }
                asked
            } else {
                self.status()
            };
            let status = match asked {
                Ok(status) => status,
                Err(fault) => match self.inside.look(&fault.message, *silence, log)? {
                    Some(status) => return Ok(status),
                    None => JobStatus::Running,
                },
            };
            if !matches!(status, JobStatus::Running) {
                // The rest of its log; nothing can rise any more that matters.
                let quiet = Control::new()
                    .map_err(|error| Fault::io(FailureKind::Io, "making a control", &error))?;
                let mut over = Renewal::of_started(Duration::ZERO, Instant::now());
                return match self.once(None, log, silence, &mut over, &quiet)? {
                    Seen::Stands(status) => Ok(status),
                    Seen::Broken(_) | Seen::Raised => Ok(status),
                };
            }
            if Instant::now() >= until {
                return Err(Fault::new(
                    FailureKind::NoAnswer,
                    format!("the job in `{}` does not end", self.inside.name()),
                ));
            }
            let _ = control.wait(told, Duration::from_millis(100));
        }
    }

    fn say(&self, words: &[&str]) -> Result<JobStatus, Fault> {
        let argv = owned(&[&["sh", self.shim], words].concat());
        let answer = self.context.machine.run(&self.inside.exec(&argv).deadline(SILENCE))?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        JobStatus::parse(text.trim()).ok_or_else(|| {
            let said = if answer.success() { text } else { answer.complaint() };
            let name = self.inside.name();
            Fault::new(
                FailureKind::NoAnswer,
                format!("the supervisor in `{name}` does not answer: {}", said.trim()),
            )
        })
    }

    fn not_started(&self, word: &str) -> Fault {
        if word.ends_with("no_space") {
            return self.inside.no_room();
        }
        Fault::new(
            FailureKind::Supervisor,
            format!("the supervisor in `{}` did not start: {word}", self.inside.name()),
        )
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

pub(super) fn unwritable(error: &std::io::Error) -> Fault {
    Fault::io(FailureKind::Io, "writing the guest's log", error)
}
