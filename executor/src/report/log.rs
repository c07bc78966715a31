//! Logs as reports carry them: never more than so much of one, cut in the middle, lines counted
//! right even so. Interprets nothing but ends of lines.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

/// How much of a log's beginning is carried.
const HEAD_BYTES: u64 = 128 * 1024;

/// How much of its end is carried.
const TAIL_BYTES: u64 = 384 * 1024;

/// What a line that tells what went wrong often holds. A place to start reading, never a verdict.
const MARKS: [&str; 9] = [
    "error:",
    "error[",
    "panicked at",
    "fatal:",
    "Error:",
    "ERROR",
    "FAILED",
    "Traceback (",
    "ssertion",
];

/// A log, or its beginning and its end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Log {
    /// The beginning, or all of it.
    pub(super) head: String,
    /// The end, when the middle is left out; begins at a line.
    pub(super) tail: String,
    /// How many bytes are left out between the two.
    pub(super) skipped_bytes: u64,
    /// How many lines are left out between the two.
    pub(super) skipped_lines: u64,
}

impl Log {
    /// Reads a log; one that is not there or cannot be read is none.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let read = || -> io::Result<Self> {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Self::take(file, length, HEAD_BYTES, TAIL_BYTES)
        };
        read().ok()
    }

    fn take(mut file: impl io::Read, length: u64, head: u64, tail: u64) -> io::Result<Self> {
        let whole = length <= head + tail;
        let mut first = Vec::new();
        file.by_ref().take(if whole { length } else { head }).read_to_end(&mut first)?;
        if whole {
            return Ok(Self { head: text(&first), ..Self::default() });
        }
        let mut skipped_bytes = length - head - tail;
        let mut skipped_lines = 0;
        let mut rest = file.by_ref().take(skipped_bytes);
        let mut chunk = vec![0; 64 * 1024];
        loop {
            match rest.read(&mut chunk)? {
                0 => break,
                read => skipped_lines += newlines(&chunk[..read]),
            }
        }
        let mut last = Vec::new();
        file.take(tail).read_to_end(&mut last)?;
        // Both parts end and begin at a line, unless one line is all there is.
        if let Some(end) = first.iter().rposition(|byte| *byte == b'\n') {
            skipped_bytes += (first.len() - end - 1) as u64;
            first.truncate(end + 1);
        }
        if let Some(end) = last.iter().position(|byte| *byte == b'\n') {
            skipped_bytes += end as u64 + 1;
            skipped_lines += 1;
            last.drain(..=end);
        }
        Ok(Self { head: text(&first), tail: text(&last), skipped_bytes, skipped_lines })
    }

    /// Returns the lines with their numbers, from 1.
    pub(super) fn lines(&self) -> impl Iterator<Item = (u64, &str)> {
        let before = newlines(self.head.as_bytes()) + self.skipped_lines;
        let numbered = |from: u64| move |(n, line)| (from + n as u64 + 1, line);
        let head = self.head.lines().enumerate().map(numbered(0));
        head.chain(self.tail.lines().enumerate().map(numbered(before)))
    }

    /// Returns where to begin reading when the job failed: the first line that speaks of an error,
    /// or the last one.
    pub(super) fn place_to_look(&self) -> Option<u64> {
        let speaks = |line: &str| MARKS.iter().any(|mark| line.contains(mark));
        let last = |(number, line): (u64, &str)| (!line.trim().is_empty()).then_some(number);
        let first = self.lines().find(|(_, line)| speaks(line)).map(|(number, _)| number);
        first.or_else(|| self.lines().filter_map(last).last())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_is_cut_between_lines_and_counted_through() {
        let all: String = (1..=1000).map(|n| format!("line {n}\n")).collect();
        let log = Log::take(all.as_bytes(), all.len() as u64, 100, 200).expect("read");
        assert!(log.head.ends_with('\n') && log.tail.starts_with("line "));
        assert_eq!(
            log.head.len() as u64 + log.skipped_bytes + log.tail.len() as u64,
            all.len() as u64
        );
        for (number, line) in log.lines() {
            assert_eq!(line, format!("line {number}"));
        }
        assert_eq!(log.lines().last().expect("lines").0, 1000);
    }

    #[test]
    fn a_log_of_one_endless_line_is_cut_all_the_same() {
        let all = "x".repeat(1000);
        let log = Log::take(all.as_bytes(), 1000, 100, 200).expect("read");
        assert_eq!((log.head.len(), log.skipped_bytes, log.tail.len()), (100, 700, 200));
    }

    #[test]
    fn reading_begins_at_the_first_error_or_at_the_end() {
        let place = |head: &str| Log { head: head.to_owned(), ..Log::default() }.place_to_look();
        assert_eq!(place("ok\nerror: a\nerror: b\n"), Some(2));
        assert_eq!(place("ok\nlast\n\n"), Some(2));
        assert_eq!(place(""), None);
    }
}
