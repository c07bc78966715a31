//! Taking turns on a host, over all executors that use it: places and groups.
//!
//! A turn is a file over there, written under a lock that nobody keeps. It is somebody's for a minute,
//! renewed by this process while it holds it, and for as long as the job runs that it was taken for. So
//! it is let go by whatever ends both.

use std::{
    sync::{
        Arc,
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use super::{
    machine::{Reach, RemoteSsh, fault},
    token::token,
};
use crate::{
    control::{Control, Level},
    fault::{FailureKind, Fault},
    placements::{Held, Turn},
    supervise::shim,
};

/// For how long a turn is ours without a job or a renewal.
const SECONDS: u64 = 60;

/// How often a turn that somebody has is asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Turns that are held.
struct Turns {
    stop: Option<mpsc::Sender<()>>,
    renewing: Option<thread::JoinHandle<()>>,
}

impl Held for Turns {}

impl Drop for Turns {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(renewing) = self.renewing.take() {
            // It says itself what it could not do.
            let _ = renewing.join();
        }
    }
}

/// Takes everything that is wanted, waiting as long as `control` allows.
pub(super) fn acquire(
    machine: &RemoteSsh,
    wanted: &Turn,
    control: &Control,
    waits: &dyn Fn(),
) -> Result<Option<Box<dyn Held>>, Fault> {
    let mut waiting = false;
    if wanted.groups.is_empty() && wanted.max_jobs.is_none() {
        return Ok(Some(Box::new(Turns { stop: None, renewing: None })));
    }
    let shim = machine.shim()?;
    let directory = machine.turns();
    let mine = token();
    let mut groups = wanted.groups.clone();
    groups.sort();
    groups.dedup();
    let job = wanted.holder.as_ref().map_or("-", |(_, directory)| directory.as_str());
    let take = shim::verb(&shim, "take", directory.as_ref())
        .word(&mine)
        .word(SECONDS.to_string())
        .word(job)
        .word(wanted.max_jobs.unwrap_or(0).to_string())
        .words(&groups);
    loop {
        if control.level() > Level::Run {
            return Ok(None);
        }
        let answer = {
            // One of this process asks at a time: the others would only hear the same.
            let _asking = machine.asking();
            machine.host.check(&take, &machine.host.patience())
        };
        let answer = answer.map_err(|error| fault(FailureKind::NoAnswer, &error))?;
        let answer = String::from_utf8_lossy(&answer).trim().to_owned();
        if let Some(files) = answer.strip_prefix("taken") {
            let files: Vec<String> = files.split_ascii_whitespace().map(str::to_owned).collect();
            return keep(machine, &directory, mine, files).map(Some);
        }
        if !answer.starts_with("busy") {
            let text = format!("host `{}`: no turn can be taken: {answer}", machine.name);
            return Err(Fault::new(FailureKind::Protocol, text));
        }
        if !std::mem::replace(&mut waiting, true) {
            waits();
        }
        let _ = control.wait(Level::Run, ASK_AGAIN);
    }
}

/// Renews turns until the answer is dropped, then lets go.
fn keep(
    machine: &RemoteSsh,
    directory: &str,
    mine: String,
    files: Vec<String>,
) -> Result<Box<dyn Held>, Fault> {
    let shim = machine.shim()?;
    let (stop, stopped) = mpsc::channel::<()>();
    let host: Arc<Reach> = machine.reach();
    let verb = |verb: &str| shim::verb(&shim, verb, directory.as_ref()).word(&mine);
    let hold = verb("hold").word(SECONDS.to_string()).words(&files);
    let drop_them = verb("drop").words(&files);
    let renewing = thread::Builder::new().name("turns".to_owned()).spawn(move || {
        let patience = |budget| super::Patience {
            each: Duration::from_secs(15),
            budget: Duration::from_secs(budget),
            give_up: &|| false,
        };
        while stopped.recv_timeout(Duration::from_secs(SECONDS / 3))
            == Err(RecvTimeoutError::Timeout)
        {
            // The job holds it as well, once it runs.
            let _ = host.check(&hold, &patience(10));
        }
        // Not let go in time, it is free by itself within a minute.
        let _ = host.check(&drop_them, &patience(5));
    });
    let renewing = renewing.map_err(|error| {
        Fault::io(FailureKind::Io, "starting a thread that keeps a turn", &error)
    })?;
    Ok(Box::new(Turns { stop: Some(stop), renewing: Some(renewing) }))
}
