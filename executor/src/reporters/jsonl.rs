//! `--output jsonl`: every event as one line, for programs.

use std::io::Write;

use super::{Quiet, Reporter};
use crate::{event::Event, record::Record};

/// Writes events as lines of JSON.
pub struct Jsonl<W> {
    to: Quiet<W>,
    run: String,
}

impl<W: Write> Jsonl<W> {
    /// Writes the events of `run`.
    pub fn new(to: W, run: String) -> Self {
        Self { to: Quiet::new(to), run }
    }
}

impl<W: Write> Reporter for Jsonl<W> {
    fn event(&mut self, event: &Event) {
        if self.to.is_open() {
            self.to.text(&event.to_line(&self.run));
        }
    }

    fn finish(&mut self, _record: &Record) {}
}
