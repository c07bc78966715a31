//! From facts to a verdict: how the job stands, what was kept, what a prepare node left.

use crate::{
    artifacts::Collected,
    attempt::{AttemptOutcome, AttemptRequest, AttemptResult, OutputKind, PreparedOutput},
    fault::{FailureKind, Fault},
    placements::Machine,
    supervise::{Ended, Evidence, JobStatus, Reason},
};

impl AttemptResult {
    /// Decides, from facts: how the job stands and what was kept.
    pub(super) fn judge(
        &mut self,
        ran: Result<JobStatus, Fault>,
        collected: Option<Result<Collected, Fault>>,
        request: &AttemptRequest,
        machine: &dyn Machine,
    ) {
        let ended = match ran {
            Err(fault) => return self.fault(fault),
            Ok(JobStatus::Exited(ended)) => ended,
            Ok(other) => return self.fault(without_verdict(&other, machine)),
        };
        let collected = match collected {
            Some(Ok(collected)) => collected,
            Some(Err(fault)) if ended.code == Some(0) && ended.reason == Reason::Exited => {
                // It passed, but what it was to leave is not here.
                self.killed_processes = ended.killed;
                self.exit_code = ended.code;
                return self.fault(fault);
            }
            Some(Err(fault)) => {
                self.warnings.push(format!("not everything was kept: {fault}"));
                Collected::default()
            }
            None => Collected::default(),
        };
        let Collected { files, bytes: _, left_out, left, unmatched, outputs, output, mut notes } =
            collected;
        self.artifacts = files;
        self.artifacts_left_out = left_out;
        self.left_out = left;
        let unmatched = unmatched.into_iter();
        self.warnings.extend(unmatched.map(|glob| format!("`artifacts`: `{glob}` names no file")));
        if left_out > 0 {
            let files = crate::text::count(usize::try_from(left_out).unwrap_or(usize::MAX), "file");
            self.warnings.push(format!("{files} left out of the artifacts: host.log says which"));
        }
        self.killed_processes = ended.killed;
        self.exit_code = ended.code;
        let Ended { code, signal, reason, evidence, .. } = ended;
        let (outcome, message) = match (reason, evidence) {
            // A log that is not whole is no log of a job that passed.
            (Reason::Exited, Evidence::DiskFull | Evidence::LogLost) if code == Some(0) => {
                return self.fault(log_lost(evidence, machine));
            }
            (Reason::Exited, _) if code == Some(0) => (AttemptOutcome::Passed, None),
            (Reason::Exited, Evidence::Oom) => {
                return self.fault(
                    Fault::new(FailureKind::Oom, "the kernel killed it for want of memory")
                        .advice("run fewer jobs at once there, or give the machine more memory"),
                );
            }
            (Reason::Exited, Evidence::DiskFull) => {
                return self.fault(
                    Fault::new(
                        FailureKind::DiskFull,
                        format!("there is no room on the job's file system on {}", machine.name()),
                    )
                    .advice("make room there, then resume the run"),
                );
            }
            (Reason::Exited, Evidence::None | Evidence::LogLost) => {
                if evidence == Evidence::LogLost {
                    self.warnings.push(log_lost(evidence, machine).message);
                }
                self.signal = signal;
                let how = match (code, signal) {
                    (Some(code), _) => format!("it exited with {code}"),
                    // Whoever sent it, the kernel counted nobody it killed for want of memory.
                    (None, Some(9)) => "it was ended by signal 9, not by the executor".to_owned(),
                    (None, Some(signal)) => format!("it was ended by signal {signal}"),
                    (None, None) => "no exit status was recorded".to_owned(),
                };
                (AttemptOutcome::Failed, Some(how))
            }
            (Reason::TimedOut, _) => (
                AttemptOutcome::TimedOut,
                Some(format!("it ran for longer than {} s", request.node.spec.timeout_secs)),
            ),
            (Reason::Cancelled, _) => (AttemptOutcome::Cancelled, Some("cancelled".to_owned())),
            (Reason::NotFound | Reason::NotExecutable | Reason::NoWorkingDir, _) => {
                let why = if notes.is_empty() { None } else { Some(notes.remove(0)) };
                let otherwise = "the command cannot be run".to_owned();
                (AttemptOutcome::Failed, Some(why.unwrap_or(otherwise)))
            }
            (Reason::LeaseExpired, _) => {
                return self.fault(Fault::new(
                    FailureKind::LeaseExpired,
                    "its lease expired: no executor renewed it, so its supervisor ended it",
                ));
            }
            (Reason::Broken, _) => {
                return self.fault(Fault::new(FailureKind::Supervisor, "its supervisor broke"));
            }
        };
        self.warnings.extend(notes);
        self.outcome = outcome;
        self.message = message;
        self.outputs = outputs.values;
        if outcome == AttemptOutcome::Passed {
            self.take_output(output, request, machine);
            let mut problems = outputs.problems.into_iter();
            if let Some(first) = problems.next() {
                self.outcome = AttemptOutcome::Failed;
                self.message = Some(first);
                self.warnings.extend(problems);
            }
        }
    }

    /// A prepare node that passed without leaving its output did not do what it is for.
    fn take_output(
        &mut self,
        path: Option<String>,
        request: &AttemptRequest,
        machine: &dyn Machine,
    ) {
        let Some(output) = &request.node.output else { return };
        let kind = match output {
            plans::Output::Directory(_) => OutputKind::Directory,
            plans::Output::StorePath => OutputKind::StorePath,
            plans::Output::Workspace => OutputKind::Workspace,
        };
        if let Some(path) = path {
            self.output = Some(PreparedOutput { machine: machine.name().to_owned(), path, kind });
            return;
        }
        self.outcome = AttemptOutcome::Failed;
        self.message = Some(match output {
            plans::Output::Directory(below) => {
                format!("it passed, but left no directory `{below}` in its workspace")
            }
            plans::Output::StorePath => "it passed, but left no store path".to_owned(),
            plans::Output::Workspace => "it passed, but its workspace is gone".to_owned(),
        });
    }
}

/// The fault of a job that exited with 0 and left a log that is not whole.
fn log_lost(evidence: Evidence, machine: &dyn Machine) -> Fault {
    let text = format!("the end of its output is missing in its log on {}", machine.name());
    match evidence {
        Evidence::DiskFull => {
            Fault::new(FailureKind::DiskFull, format!("{text}: there is no room for it"))
                .advice("make room there, then resume the run")
        }
        _ => Fault::new(FailureKind::Io, format!("{text}: it could not be written")),
    }
}

fn without_verdict(status: &JobStatus, machine: &dyn Machine) -> Fault {
    let name = machine.name();
    match status {
        JobStatus::HostRebooted => Fault::new(
            FailureKind::HostRebooted,
            format!("`{name}` was restarted while the job ran"),
        ),
        JobStatus::Unknown => {
            Fault::new(FailureKind::Lost, format!("`{name}` knows nothing of the job any more"))
                .advice("somebody removed its directory; run the node again")
        }
        JobStatus::Lost | JobStatus::Running | JobStatus::Exited(_) => Fault::new(
            FailureKind::Lost,
            format!("the job and its supervisor on `{name}` are gone without a verdict"),
        )
        .advice("something killed them: look for the kernel's memory killer, or a person"),
    }
}
