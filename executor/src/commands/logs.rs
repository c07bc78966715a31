//! `executor logs`: what jobs printed and what was done for them, byte for byte.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read as _, Seek as _, SeekFrom, Write as _},
    path::PathBuf,
    time::Duration,
};

use super::{Place, running};
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
    path: PathBuf,
    title: String,
    printed: u64,
}

pub(super) fn run(place: &Place, logs: &Logs) -> Result<Exit, Error> {
    let state = place.state(&place.config()?)?;
    let dir = state.find(logs.run.as_deref())?;
    let mut streams = streams(&dir, logs)?;
    let titled = streams.len() > 1;
    let mut printer = Printer { titled, last: None, neutral: io::stdout().is_terminal() };
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
                    let path = stream.path.display().to_string();
                    return Err(Error::File { what: "the log cannot be read from", path, error });
                }
            }
        }
        if over {
            return Ok(Exit::Done);
        }
        if !moved {
            std::thread::sleep(PAUSE);
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
    let kinds: &[&str] = match logs.kind {
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
                path: dir.node(&id).join(kind),
                title: format!("{} {kind}", node.id),
                printed: 0,
            });
        }
    }
    Ok(streams)
}

struct Printer {
    titled: bool,
    last: Option<usize>,
    neutral: bool,
}

impl Printer {
    /// Prints what is new; returns whether anything was.
    fn print(&mut self, number: usize, stream: &mut Stream) -> io::Result<bool> {
        let mut file = match File::open(&stream.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let length = file.metadata()?.len();
        if length < stream.printed {
            // Another attempt began, and its log with it.
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
            stream.printed += copy_neutral(&mut new, &mut out)?;
        } else {
            stream.printed += io::copy(&mut new, &mut out)?;
        }
        out.flush()?;
        Ok(true)
    }
}

/// Copies lines without what a terminal obeys.
fn copy_neutral(from: &mut impl io::Read, to: &mut impl io::Write) -> io::Result<u64> {
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
        if whole {
            to.write_all(b"\n")?;
        }
    }
}
