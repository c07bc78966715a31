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

    /// Returns how many bytes of it are carried.
    pub(super) fn length(&self) -> usize {
        self.head.len() + self.tail.len()
    }

    /// Returns it with at most so many bytes, a quarter of them of its beginning; it has more.
    pub(super) fn shortened(&self, most: usize) -> Self {
        let last = if self.skipped_bytes > 0 { &self.tail } else { &self.head };
        let head = beginning(&self.head, most / 4);
        let tail = end(last, most - most / 4);
        let (after, before) = (&self.head[head.len()..], &last[..last.len() - tail.len()]);
        let left_out = match self.skipped_bytes > 0 {
            true => [after, before],
            false => [&before[head.len().min(before.len())..], ""],
        };
        let count = |count: fn(&str) -> u64| left_out.into_iter().map(count).sum::<u64>();
        Self {
            head: head.to_owned(),
            tail: tail.to_owned(),
            skipped_bytes: self.skipped_bytes + count(|text| text.len() as u64),
            skipped_lines: self.skipped_lines + count(|text| newlines(text.as_bytes())),
        }
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

/// Returns the beginning of a text, whole lines of it unless its first is longer.
fn beginning(text: &str, most: usize) -> &str {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..text[..end].rfind('\n').map_or(end, |line| line + 1)]
}

/// Returns the end of a text, whole lines of it unless its last is longer.
fn end(text: &str, most: usize) -> &str {
    let mut start = text.len().saturating_sub(most);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    let rest = &text[start..];
    let line = rest.find('\n').map(|line| line + 1).filter(|line| *line < rest.len());
    &rest[line.unwrap_or(0)..]
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

    #[test]
    fn a_shortened_log_counts_what_it_leaves_out() {
        let text: String = (1..=1000).map(|line| format!("line {line} é\n")).collect();
        let whole = Log { head: text.clone(), ..Log::default() };
        let once = whole.shortened(4000);
        let twice = once.shortened(1000);
        for (log, most) in [(&once, 4000), (&twice, 1000)] {
            assert!(log.length() <= most && log.length() > most / 2, "{}", log.length());
            assert_eq!(log.length() as u64 + log.skipped_bytes, text.len() as u64);
            for (number, line) in log.lines() {
                assert_eq!(line, format!("line {number} é"));
            }
            assert_eq!(log.lines().last().map(|(number, _)| number), Some(1000));
        }
    }
}
