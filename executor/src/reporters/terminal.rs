//! Standard error as a terminal that may go away: what is drawn on it then is drawn on nothing.
//!
//! The progress display takes a failing write for a defect of the program and panics; a window that
//! somebody closes is none, and the run has its jobs to end.

use std::{
    io::{self, Write as _},
    sync::{Mutex, MutexGuard, PoisonError},
};

use indicatif::TermLike;

/// Where the display is drawn; what is drawn at once is written at once.
#[derive(Debug, Default)]
pub(super) struct Terminal {
    drawn: Mutex<String>,
}

impl Terminal {
    fn drawn(&self) -> MutexGuard<'_, String> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, text: &str) -> io::Result<()> {
        self.drawn().push_str(text);
        Ok(())
    }

    /// Writes a control sequence with a number (ECMA-48, 5.4); zero is nothing to do.
    fn control(&self, number: usize, command: char) -> io::Result<()> {
        if number > 0 { self.put(&format!("\u{1b}[{number}{command}")) } else { Ok(()) }
    }
}

/// Returns columns and rows.
pub(super) fn size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => (size.ws_col, size.ws_row),
        _ => (80, 24),
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        size().0
    }

    fn height(&self) -> u16 {
        size().1
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.control(n, 'A')
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.control(n, 'B')
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.control(n, 'C')
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.control(n, 'D')
    }

    fn write_line(&self, s: &str) -> io::Result<()> {
        self.put(s)?;
        self.put("\n")
    }

    fn write_str(&self, s: &str) -> io::Result<()> {
        self.put(s)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.put("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let drawn = std::mem::take(&mut *self.drawn());
        let mut terminal = io::stderr().lock();
        // Nobody looks any more.
        let _ = terminal.write_all(drawn.as_bytes()).and_then(|()| terminal.flush());
        Ok(())
    }
}
