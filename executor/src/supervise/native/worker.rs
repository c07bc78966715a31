//! The supervisor process: takes one job after the other from its socket until that closes.

use std::{
    io::Write as _,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use super::{
    PROBE,
    job::{self, Channels, SupervisorContext},
    mounts::Mounts,
    protocol::{JobReport, Reply, Request, receive, send},
    record::{Claim, write_report},
};
use crate::{
    fault::{FailureKind, Fault},
    inherited,
};

/// Runs the supervisor; `arguments` come after the hidden subcommand. Started by the executor with
/// a socket as its stdin and nothing else.
#[must_use]
pub fn main(arguments: &[String]) -> ExitCode {
    if let Some((word, layers)) = arguments.split_first()
        && word == PROBE
    {
        return match probe(layers) {
            None => ExitCode::SUCCESS,
            Some(why) => {
                let _ = writeln!(std::io::stdout(), "{why}");
                ExitCode::FAILURE
            }
        };
    }
    match serve(arguments.iter().any(|argument| argument == "mounts")) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads what a supervisor would say; its executor sees the socket close.
        Err(_) => ExitCode::from(3),
    }
}

/// Returns why jobs get no views of their own, or not this one: a directory, and the layers that are to be seen there.
fn probe(view: &[String]) -> Option<String> {
    let mut mounts = Mounts::enter(true);
    if let Some(why) = mounts.refused() {
        return Some(why.to_owned());
    }
    let (at, layers) = view.split_first()?;
    let layers: Vec<PathBuf> = layers.iter().map(PathBuf::from).collect();
    mounts.layers(&layers, Path::new(at)).err().map(|error| error.to_string())
}

fn serve(wants_mounts: bool) -> std::io::Result<()> {
    // Before any thread exists: both change the whole process.
    let mounts = Mounts::enter(wants_mounts);
    // A terminal's signals are the executor's business.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    let _ = inherited::reset_signals();
    let socket = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
    let null: OwnedFd = std::fs::File::open("/dev/null")?.into();
    rustix::stdio::dup2_stdin(&null)?;
    std::env::set_current_dir("/")?;
    let mut channels = Channels::new(socket)?;
    let mut mounts = mounts;
    let mut slot = None;
    while let Some(request) = receive::<Request>(&mut channels.socket)? {
        // A cancel that comes after its job ended is about nothing.
        let Request::Start(start) = request else { continue };
        let reply = match Claim::make(&start.place) {
            Ok(None) => Reply::Already,
            Ok(Some(claim)) => {
                let mut context = SupervisorContext {
                    channels: &mut channels,
                    mounts: &mut mounts,
                    slot: &mut slot,
                };
                let report = job::run(&start, &claim, &mut context);
                if !report.is_only_a_verdict() || !channels.connected {
                    // An executor that resumes the job finds it. A full disk keeps the verdict.
                    let _ = write_report(&start.place, &report);
                }
                let _ = claim.settle(report.ended.as_ref());
                if mounts.spent() {
                    Reply::Last(Box::new(report))
                } else {
                    Reply::Over(Box::new(report))
                }
            }
            Err(error) => {
                let what = format!("making {}", start.place.job().display());
                let fault = Fault::io(FailureKind::Supervisor, what, &error);
                Reply::Over(Box::new(JobReport::broken(fault)))
            }
        };
        if !channels.connected || send(&mut channels.socket, &reply).is_err() || mounts.spent() {
            break;
        }
    }
    Ok(())
}

impl JobReport {
    /// The job never began.
    pub(super) fn broken(fault: Fault) -> Self {
        Self {
            ended: None,
            fault: Some(fault.into()),
            collected: crate::artifacts::Collected::default(),
            notes: Vec::new(),
        }
    }

    /// Whether the job file says it all.
    fn is_only_a_verdict(&self) -> bool {
        self.fault.is_none()
            && self.notes.is_empty()
            && self.collected == crate::artifacts::Collected::default()
    }
}

/// How long the end of a tree that cannot be killed (a process stuck in the kernel) is waited for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
