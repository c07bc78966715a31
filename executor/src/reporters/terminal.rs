//! Standard error as a terminal that may go away: what is drawn on it then is drawn on nothing.

use std::io::{self, Write as _};

/// Returns columns and rows. Asked for at each drawing: a terminal is made wider and narrower while a run goes on.
pub(super) fn size() -> (usize, usize) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col.into(), size.ws_row.into()),
        _ => (80, 24),
    }
}

/// Writes what belongs together at once.
pub(super) fn put(text: &str) {
    let mut terminal = io::stderr().lock();
    // A window that somebody closes is no defect, and the run has its jobs to end.
    let _ = terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush());
}
