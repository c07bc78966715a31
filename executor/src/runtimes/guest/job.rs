//! A job in a guest: started, watched, cancelled and judged through its pushed supervisor.
//!
//! The supervisor is reached by a command of the guest's engine, whose own end means nothing. When it
//! breaks, the engine is asked whether the guest is one to come back to. Which engine it is, and what
//! its answers mean, is for a [`GuestTransport`].

use std::time::Duration;

use crate::{
    attempt::{Context, Phase},
    control::Level,
    fault::{FailureKind, Fault},
    placements::{ControlCommand, Flow},
    supervise::{
        Broken, Frame, Frames, JobLimits, JobStatus, Log, NotAFrame, Silence, Transport, Wake,
        Watcher, masks_of, no_redactor, token,
    },
};

/// For how long a supervisor may say nothing: it says something every five seconds.
const SILENCE: Duration = Duration::from_secs(15);
/// How often a supervisor may be found dead before that is believed: a guest that is being stopped
/// loses its `/proc` before its processes, on a busy machine for seconds.
const DOUBTS: u32 = 5;

/// Starts the job unless it was, then attaches to it. `$1` the supervisor, `$2` the state directory,
/// `$3` and `$4` offset and marker, the rest `start`'s options.
const START: &str = "s=$1 d=$2 o=$3 m=$4; shift 4; sh \"$s\" start \"$d\" \"$@\"\n\
                     exec sh \"$s\" attach \"$d\" \"$o\" \"$m\"";

/// What watching a job takes of the engine that has its guest.
pub(in crate::runtimes) trait GuestTransport {
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
    fn inspect(
        &self,
        broken: &str,
        silence: Silence,
        log: &mut Log,
    ) -> Result<Option<JobStatus>, Fault>;

    /// Renews the guest's own lease with its engine; a failure is ignored.
    fn renew(&self) {}

    /// Returns the fault of a supervisor that had no room to start in.
    fn no_room(&self) -> Fault;
}

/// How a job is started.
#[derive(Debug, Clone)]
pub(in crate::runtimes) struct GuestStart {
    /// A script that makes ready what is inside; run before each try, and no job without it.
    pub(in crate::runtimes) ready: String,
    /// What the supervisor is told: `timeout=…`, `lease=…`, `grace=…`.
    pub(in crate::runtimes) options: Vec<String>,
}

impl GuestStart {
    /// Says what a supervisor is told of a job's limits, in seconds.
    pub(in crate::runtimes) fn new(limits: &JobLimits) -> Self {
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
pub(in crate::runtimes) struct GuestJob<'a> {
    pub(in crate::runtimes) context: &'a Context<'a>,
    pub(in crate::runtimes) guest: &'a dyn GuestTransport,
    pub(in crate::runtimes) limits: JobLimits,
    /// The supervisor's path in the guest.
    pub(in crate::runtimes) shim: &'a str,
    /// Its state directory there.
    pub(in crate::runtimes) job: &'a str,
}

impl GuestJob<'_> {
    /// Watches the job until it ends, starting it first if `start` says how: asked for as often as it
    /// takes, it happens once.
    pub(in crate::runtimes) fn run(&self, start: Option<&GuestStart>) -> Result<JobStatus, Fault> {
        let request = self.context.request;
        let redacted: Vec<String> =
            request.secrets.values().map(|value| value.expose().to_owned()).collect();
        masks_of(redacted.iter().map(String::as_str))?;
        let connection = GuestConnection { job: self, start };
        let (job, log) = (request.job(), &request.guest_log);
        let control = self.context.control;
        let mut watcher = Watcher::new(&connection, &job, log, &redacted, &self.limits, control)?;
        if start.is_some() {
            watcher = watcher.just_started();
        }
        watcher.watch()
    }

    /// Returns the job's status, as its supervisor says.
    pub(in crate::runtimes) fn status(&self) -> Result<JobStatus, Fault> {
        self.ask(&["status", self.job])
    }

    fn ask(&self, words: &[&str]) -> Result<JobStatus, Fault> {
        let argv = owned(&[&["sh", self.shim], words].concat());
        let answer = self.context.machine.run(&self.guest.exec(&argv).deadline(SILENCE))?;
        let text = String::from_utf8_lossy(&answer.stdout).into_owned();
        JobStatus::parse(text.trim()).ok_or_else(|| {
            let said = if answer.success() { text } else { answer.complaint() };
            let name = self.guest.name();
            Fault::new(
                FailureKind::NoAnswer,
                format!("the supervisor in `{name}` does not answer: {}", said.trim()),
            )
        })
    }

    fn not_started(&self, word: &str) -> Fault {
        if word.ends_with("no_space") {
            return self.guest.no_room();
        }
        if word.ends_with("no_redactor") {
            return no_redactor(&format!("the guest `{}`", self.guest.name()));
        }
        Fault::new(
            FailureKind::Supervisor,
            format!("the supervisor in `{}` did not start: {word}", self.guest.name()),
        )
    }
}

/// The connection to one job's supervisor.
struct GuestConnection<'a> {
    job: &'a GuestJob<'a>,
    start: Option<&'a GuestStart>,
}

impl GuestConnection<'_> {
    fn command(&self, offset: u64, marker: &str, notified: Level) -> ControlCommand {
        let GuestJob { guest, shim, job, .. } = self.job;
        let at = offset.to_string();
        let argv = match self.start {
            // One that is cancelled is not started by that.
            Some(GuestStart { ready, options }) if notified == Level::Run => {
                let script = format!("({ready}) || exit 1\n{START}");
                let words = ["sh", "-c", &script, "sh", shim, job, &at, marker];
                words.into_iter().map(str::to_owned).chain(options.iter().cloned()).collect()
            }
            _ => owned(&["sh", shim, "attach", job, &at, marker]),
        };
        guest.exec(&argv).deadline(SILENCE)
    }
}

impl Transport for GuestConnection<'_> {
    fn name(&self) -> String {
        format!("`{}`", self.job.guest.name())
    }

    fn read(
        &self,
        offset: u64,
        wake: Wake,
        sink: &mut dyn FnMut(Option<Frame>) -> Option<Wake>,
    ) -> Result<(), Broken> {
        let context = self.job.context;
        let mut frames = Frames::new(&token(), offset);
        let command = self.command(offset, frames.marker(), wake.notified);
        let (mut wrong, mut refused, mut is_over) = (None, None, false);
        let answer = context.machine.stream(
            &command,
            &mut |mut bytes| {
                loop {
                    let frame = match frames.next(&mut bytes) {
                        Ok(Some(frame)) => frame,
                        Ok(None) => return Flow::Continue,
                        Err(NotAFrame { why, .. }) => {
                            wrong = Some(why);
                            return Flow::Stop;
                        }
                    };
                    match &frame {
                        Frame::Word(word) if word == "started" || word == "already" => {
                            context.enter(Phase::Wait);
                        }
                        Frame::Word(word) if word.starts_with("error ") => {
                            refused = Some(word.clone());
                        }
                        _ => {}
                    }
                    if sink(Some(frame)).is_none() {
                        is_over = true;
                        return Flow::Stop;
                    }
                }
            },
            context.control,
            wake.notified,
        );
        if let Some(word) = refused {
            return Err(Broken::for_good(self.job.not_started(&word)));
        }
        if is_over {
            return Ok(());
        }
        let again = |why: String| Broken::again(Fault::new(FailureKind::NoAnswer, why));
        match (wrong, answer) {
            (Some(why), _) => Err(again(why)),
            (None, Ok(None)) => Ok(()),
            (None, Ok(Some(answer))) => Err(again(answer.complaint())),
            (None, Err(fault)) => Err(Broken::again(fault)),
        }
    }

    fn ask(&self, verb: &str, word: &str, _budget: Duration) -> Result<JobStatus, Broken> {
        self.job.ask(&[verb, self.job.job, word]).map_err(Broken::again)
    }

    fn after_break(
        &self,
        why: &Fault,
        silence: Silence,
        log: &mut Log,
    ) -> Result<Option<JobStatus>, Fault> {
        self.job.guest.inspect(&why.message, silence, log)
    }

    fn renewed(&self) {
        self.job.guest.renew();
    }

    fn doubts(&self) -> u32 {
        DOUBTS
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}
