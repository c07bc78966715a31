//! `executor logs`: what jobs printed and what was done for them, byte for byte.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    time::Duration,
};

use super::{CliContext, running};
use crate::{
    cli::{LogKind, Logs},
    error::Error,
    exit_code::Exit,
    outcome::Outcome,
    record::RunOutcome,
    state::RunDir,
    text,
};

/// How often a followed log is looked at.
const PAUSE: Duration = Duration::from_millis(200);

/// One log, and how much of it has been printed.
struct Stream {
    dir: PathBuf,
    kind: &'static str,
    title: String,
    printed: u64,
    /// Which attempt's log it is; the ones before are kept beside it.
    attempt: u32,
}

impl Stream {
    fn path(&self) -> PathBuf {
        self.dir.join(self.kind)
    }

    /// Where what this attempt left is kept once the next one begins.
    fn kept(&self) -> PathBuf {
        self.dir.join("attempts").join(self.attempt.to_string())
    }

    /// Returns whether the next attempt has begun. The host's log moves first, and its next one is made last.
    fn is_followed_by_another(&self) -> bool {
        self.kept().join("host.log").exists() && self.dir.join("host.log").exists()
    }

    /// Opens the log of this attempt, wherever it is now, and says whether the next one has begun.
    fn open(&self) -> io::Result<(Option<File>, bool)> {
        let found = |path: PathBuf| match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        // Opened before the look: had it been moved by then, its place would be seen.
        let here = found(self.path())?;
        let next_began = self.is_followed_by_another();
        match found(self.kept().join(self.kind))? {
            Some(file) => Ok((Some(file), true)),
            // This one had no log of this kind.
            None if next_began => Ok((None, true)),
            None => Ok((here, false)),
        }
    }
}

pub(super) fn run(context: &CliContext, logs: &Logs) -> Result<Exit, Error> {
    let state = context.state(&context.config()?)?;
    let dir = state.find(logs.run.as_deref())?;
    let mut streams = streams(&dir, logs)?;
    for stream in &mut streams {
        // Of what ended before, only the last is shown.
        while stream.is_followed_by_another() {
            stream.attempt += 1;
        }
    }
    let titled = streams.len() > 1;
    let mut printer =
        Printer { titled, last: None, neutral: io::stdout().is_terminal(), breaks: false };
    loop {
        // Asked before reading, so that what was written before the end is not missed.
        let over = !logs.follow || dir.holder().is_none();
        let mut moved = false;
        for (number, stream) in streams.iter_mut().enumerate() {
            match printer.print(number, stream) {
                Ok(printed) => moved |= printed,
                // A closed pipe: nobody wants more.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(Exit::Done),
                Err(error) => {
                    let path = stream.path().display().to_string();
                    return Err(Error::File { what: "the log cannot be read from", path, error });
                }
            }
        }
        if !logs.follow || (over && !moved) {
            return Ok(Exit::Done);
        }
        if !moved {
            std::thread::sleep(PAUSE);
        }
    }
}

/// What one node prints, followed beside something else.
pub(super) struct Following {
    stream: Stream,
    printer: Printer,
}

impl Following {
    /// Begins with the attempt that is the last now.
    pub(super) fn node(dir: &RunDir, node: &str) -> Result<Self, Error> {
        let node = Some(node.to_owned());
        let logs = Logs { run: None, node, kind: LogKind::Guest, follow: true };
        let mut streams = streams(dir, &logs)?;
        let mut stream = match streams.is_empty() {
            true => {
                return Err(Error::NoSuchNode {
                    wanted: logs.node.unwrap_or_default(),
                    nearest: None,
                });
            }
            false => streams.swap_remove(0),
        };
        while stream.is_followed_by_another() {
            stream.attempt += 1;
        }
        let terminal = io::stdout().is_terminal();
        let printer = Printer { titled: false, last: None, neutral: terminal, breaks: terminal };
        Ok(Self { stream, printer })
    }

    /// Returns whether there is something new to print.
    pub(super) fn has_news(&self) -> bool {
        let here = std::fs::metadata(self.stream.path()).map(|found| found.len());
        here.is_ok_and(|length| length != self.stream.printed)
            || self.stream.is_followed_by_another()
    }

    /// Prints what is new.
    pub(super) fn print(&mut self) -> Result<(), Error> {
        loop {
            match self.printer.print(0, &mut self.stream) {
                Ok(true) if self.stream.is_followed_by_another() => {}
                Ok(_) => return Ok(()),
                // Nobody reads it; the display may still be looked at.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                Err(error) => {
                    let path = self.stream.path().display().to_string();
                    return Err(Error::File { what: "the log cannot be read from", path, error });
                }
            }
        }
    }
}

/// Returns the logs that are meant, in plan order. All of a run that goes on: any node may start.
fn streams(dir: &RunDir, logs: &Logs) -> Result<Vec<Stream>, Error> {
    let record = running::read_record(dir)?;
    if let Some(wanted) = &logs.node
        && !record.nodes.iter().any(|node| node.id == *wanted)
    {
        let nearest = record
            .nodes
            .iter()
            .map(|node| (strsim::damerau_levenshtein(&node.id, wanted), &node.id))
            .min()
            .filter(|(distance, id)| *distance <= 1 + id.len() / 4)
            .map(|(_, id)| id.clone());
        let wanted = text::neutral(wanted);
        return Err(Error::NoSuchNode { wanted, nearest });
    }
    let kinds: &[&'static str] = match logs.kind {
        LogKind::Host => &["host.log"],
        LogKind::Guest => &["guest.log"],
        LogKind::Both => &["host.log", "guest.log"],
    };
    let unfinished = matches!(record.outcome, RunOutcome::Running | RunOutcome::Interrupted);
    let mut streams = Vec::new();
    for node in &record.nodes {
        let ran = node.attempts > 0 || unfinished || node.outcome != Outcome::Skipped;
        if !ran || logs.node.as_ref().is_some_and(|wanted| *wanted != node.id) {
            continue;
        }
        let Ok(id) = plans::NodeId::new(node.id.as_str()) else { continue };
        for kind in kinds {
            streams.push(Stream {
                dir: dir.node(&id),
                kind,
                title: format!("{} {kind}", node.id),
                printed: 0,
                attempt: 1,
            });
        }
    }
    Ok(streams)
}

struct Printer {
    titled: bool,
    last: Option<usize>,
    /// Whether it goes to a terminal, which is to obey nothing of it.
    neutral: bool,
    /// Whether a line that has no end yet is ended: something is drawn below it.
    breaks: bool,
}

impl Printer {
    /// Prints what is new; returns whether anything was, or may be at once.
    fn print(&mut self, number: usize, stream: &mut Stream) -> io::Result<bool> {
        let (file, over) = stream.open()?;
        let printed = match file {
            Some(file) => self.print_file(number, stream, file)?,
            None => false,
        };
        if over {
            (stream.attempt, stream.printed) = (stream.attempt + 1, 0);
        }
        Ok(printed || over)
    }

    fn print_file(
        &mut self,
        number: usize,
        stream: &mut Stream,
        mut file: File,
    ) -> io::Result<bool> {
        let length = file.metadata()?.len();
        if length < stream.printed {
            // Somebody cut it.
            stream.printed = 0;
        }
        if length == stream.printed {
            return Ok(false);
        }
        let mut out = io::stdout().lock();
        if self.titled && self.last != Some(number) {
            writeln!(out, "==> {} <==", text::neutral(&stream.title))?;
            self.last = Some(number);
        }
        file.seek(SeekFrom::Start(stream.printed))?;
        let mut new = file.take(length - stream.printed);
        if self.neutral {
            stream.printed += copy_neutral(&mut new, &mut out, self.breaks)?;
        } else {
            stream.printed += io::copy(&mut new, &mut out)?;
        }
        out.flush()?;
        Ok(true)
    }
}

/// Copies lines without what a terminal obeys; `breaks`: ends the last one.
fn copy_neutral(
    from: &mut impl io::Read,
    to: &mut impl io::Write,
    breaks: bool,
) -> io::Result<u64> {
    let mut reader = io::BufReader::new(from);
    let mut copied = 0;
    let mut line = Vec::new();
    loop {
        line.clear();
        let read =
            io::BufRead::read_until(&mut io::Read::take(&mut reader, 64 * 1024), b'\n', &mut line)?;
        if read == 0 {
            return Ok(copied);
        }
        copied += read as u64;
        let whole = line.ends_with(b"\n");
        let text = String::from_utf8_lossy(&line);
        to.write_all(text::neutral_unlimited(&text).as_bytes())?;
        if whole || breaks {
            to.write_all(b"\n")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_has_no_end_yet_is_ended_where_something_is_drawn_below_it() {
        let copied = |breaks| {
            let mut out = Vec::new();
            let read = copy_neutral(&mut &b"one\n\x1b]0;t\x07tw"[..], &mut out, breaks);
            (read.expect("memory"), String::from_utf8(out).expect("UTF-8"))
        };
        assert_eq!(copied(false), (12, "one\ntw".to_owned()));
        assert_eq!(copied(true), (12, "one\ntw\n".to_owned()));
    }
}
