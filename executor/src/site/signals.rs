//! Signals: those that come, as messages (no handler does anything but say that one came), and the end of a child with all
//! that it started.

use std::process::Child;

use rustix::process::{Pid, Signal, kill_process_group};
use signal_hook::{
    consts::{SIGHUP, SIGINT, SIGTERM},
    iterator::{Handle, Signals},
};

/// What asks the run to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// Ctrl-C.
    Interrupt,
    /// TERM, or a terminal that hung up.
    Terminate,
}

/// Why a run ended that was told to terminate, as its record says.
pub const TERMINATED: &str = "told to terminate";

/// A thread that listens; dropping it ends it.
pub struct Listener {
    handle: Handle,
}

impl Listener {
    /// Hands every Ctrl-C and TERM to `tell`, and the first HUP: a terminal that goes away is told of
    /// by the kernel and by its shell, and that is no second wish. Under `nohup` a HUP is nothing.
    ///
    /// # Errors
    ///
    /// When the handlers cannot be installed.
    pub fn start(tell: impl Fn(Asked) + Send + 'static) -> std::io::Result<Self> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        if !is_ignored(SIGHUP) {
            signals.add_signal(SIGHUP)?;
        }
        let handle = signals.handle();
        std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
            let mut hung_up = false;
            for signal in &mut signals {
                if signal == SIGHUP && std::mem::replace(&mut hung_up, true) {
                    continue;
                }
                tell(if signal == SIGINT { Asked::Interrupt } else { Asked::Terminate });
            }
        })?;
        Ok(Self { handle })
    }
}

/// Kills a child that leads a process group, and the group, and waits for the child.
pub(crate) fn kill_group(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // Failing means that it is gone already.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Whether the process that started this one wanted it not to hear of a signal (`SigIgn`, proc(5)).
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.handle.close();
    }
}
