//! What hears of a run while it goes on. Every reporter sees every event, in order, on one thread;
//! none can change the run, and one that cannot write any more falls silent.

mod github;
mod human;
mod jsonl;
mod junit;
mod progress;
mod terminal;
#[cfg(test)]
mod tests;
mod verdicts;

use std::io::{self, Write};

use crate::{event::Event, record::Record};

pub use github::GitHub;
pub use human::Human;
pub use jsonl::Jsonl;
pub use junit::JUnit;
pub use verdicts::verdicts;

/// Something that hears of a run.
pub trait Reporter {
    /// Takes note of an event.
    fn event(&mut self, event: &Event);

    /// The run is over, and this is its record.
    fn finish(&mut self, record: &Record);
}

/// Several reporters as one.
#[derive(Default)]
pub struct Reporters(Vec<Box<dyn Reporter>>);

impl Reporters {
    /// Adds one; it hears events after those added before it, and of the end before them.
    pub fn add(&mut self, reporter: impl Reporter + 'static) {
        self.0.push(Box::new(reporter));
    }
}

impl Reporter for Reporters {
    fn event(&mut self, event: &Event) {
        self.0.iter_mut().for_each(|reporter| reporter.event(event));
    }

    /// The first to come goes last: what it wraps the others in is closed behind them.
    fn finish(&mut self, record: &Record) {
        self.0.iter_mut().rev().for_each(|reporter| reporter.finish(record));
    }
}

/// A stream that stops taking text once its reader is gone: a closed pipe is no failure.
pub struct Quiet<W> {
    inner: Option<W>,
}

impl<W: Write> Quiet<W> {
    /// Writes to `inner` as long as somebody reads it.
    pub fn new(inner: W) -> Self {
        Self { inner: Some(inner) }
    }

    /// Writes text and hands it on at once.
    pub fn text(&mut self, text: &str) {
        if let Some(inner) = &mut self.inner
            && inner.write_all(text.as_bytes()).and_then(|()| inner.flush()).is_err()
        {
            self.inner = None;
        }
    }

    /// Returns whether anybody still reads.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.inner.is_some()
    }
}

/// Returns standard output as a stream that outlives its reader.
#[must_use]
pub fn stdout() -> Quiet<io::Stdout> {
    Quiet::new(io::stdout())
}

/// Returns standard error as a stream that outlives its reader.
#[must_use]
pub fn stderr() -> Quiet<io::Stderr> {
    Quiet::new(io::stderr())
}
