//! What this program was started with and passes on to nothing: open files, ignored and blocked signals.
//!
//! What a job starts with is in `docs/job-environment.md`; limits and niceness are inherited on purpose.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};

use nix::sys::signal::SigSet;
use signal_hook::consts::{FORBIDDEN, SIGPIPE};

/// Closes every open file but the standard three. A lock that a shell holds, a job server or a pipe of whoever
/// started this program would otherwise stay open for as long as one of its jobs runs.
///
/// To be called before this program opens anything itself.
pub fn close_open_files() {
    let Ok(entries) = std::fs::read_dir("/dev/fd") else { return };
    let numbers: Vec<i32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|number| *number > 2)
        .collect();
    for number in numbers {
        // The list itself was read through one of them, which is closed already.
        let _ = nix::unistd::close(number);
    }
}

/// Sees to it that what is started from here starts with no signal ignored or blocked, whatever this program was
/// started with (`nohup`, the background of a script). A signal with a handler is at its default again in what is
/// started, so those that are ignored get one that does nothing: for this program they are ignored as before.
///
/// To be called before there is a second thread.
///
/// # Errors
///
/// When the system does not say which signals are ignored, or takes no handler.
pub fn reset_signals() -> io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    let status = std::fs::read_to_string("/proc/self/status")?;
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    let unheard = Arc::new(AtomicBool::new(false));
    // No shell ignores real-time signals; the standard library sees to SIGPIPE.
    for signal in (1..32).filter(|signal| ignored & (1 << (signal - 1)) != 0) {
        if signal != SIGPIPE && !FORBIDDEN.contains(&signal) {
            signal_hook::flag::register(signal, Arc::clone(&unheard))?;
        }
    }
    Ok(())
}
