//! Logs of any size: where their lines begin, and which lines hold a text. A page fetches the bytes it shows by range,
//! so nothing here holds a log.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use aho_corasick::AhoCorasick;
use serde::Serialize;

use crate::text;

/// Every so many lines it is written down where one begins, in a log of any length below a hundred million lines.
const STEP: u64 = 1000;

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// How many logs' beginnings of lines are remembered.
const REMEMBERED: usize = 64;

/// How many lines with a text are named.
pub(super) const MOST_HITS: usize = 1000;

/// Where lines of a log begin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct Lines {
    /// How many bytes were looked at.
    pub(super) bytes: u64,
    /// How many lines that is; the last may have no end yet.
    pub(super) lines: u64,
    /// So many lines are between two of `starts`.
    step: u64,
    /// The byte at which line 0, `step`, 2 × `step` … begins.
    starts: Vec<u64>,
    /// Whether the last byte ends a line.
    #[serde(skip)]
    ended: bool,
    /// Lines that have an end.
    #[serde(skip)]
    whole: u64,
}

impl Lines {
    /// Returns those of a log that is not there yet.
    pub(super) fn empty() -> Self {
        Self::new()
    }

    fn new() -> Self {
        Self { step: STEP, starts: vec![0], ended: true, ..Self::default() }
    }

    /// Looks at what follows.
    fn take(&mut self, bytes: &[u8]) {
        let mut from = 0;
        while let Some(at) = bytes[from..].iter().position(|byte| *byte == b'\n') {
            from += at + 1;
            self.whole += 1;
            if self.whole.is_multiple_of(STEP) {
                self.starts.push(self.bytes + from as u64);
            }
        }
        if let Some(last) = bytes.last() {
            self.ended = *last == b'\n';
        }
        self.bytes += bytes.len() as u64;
        self.lines = self.whole + u64::from(!self.ended && self.bytes > 0);
    }

    /// Returns the same without the starts that were known when so many bytes were; absent: all are told.
    pub(super) fn since(&self, bytes: u64) -> (usize, &[u64]) {
        let known = self.starts.partition_point(|start| *start <= bytes);
        (known, &self.starts[known..])
    }
}

/// The beginnings of lines of logs that were looked at last, the newest at the end.
#[derive(Default)]
pub(super) struct Indexes(Mutex<VecDeque<(PathBuf, Arc<Mutex<Known>>)>>);

/// A log as far as it was read.
#[derive(Default)]
struct Known {
    /// Which file it was.
    inode: u64,
    lines: Lines,
}

impl Indexes {
    /// Shows `look` where the lines of a log begin, as far as it goes now; reads only what nobody has read before. Others
    /// that ask for the same log wait for that, and those of other logs do not.
    pub(super) fn of<R>(&self, path: &Path, look: impl FnOnce(&Lines) -> R) -> io::Result<R> {
        use std::os::unix::fs::MetadataExt as _;
        let mut file = File::open(path)?;
        let known = self.known(path);
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = file.metadata()?;
        let (length, inode) = (found.len(), found.ino());
        // Another attempt's has the same name, and one that was cut is another.
        if known.inode != inode || known.lines.bytes > length {
            *known = Known { inode, lines: Lines::new() };
        }
        let lines = &mut known.lines;
        if lines.bytes < length {
            file.seek(SeekFrom::Start(lines.bytes))?;
            let mut piece =
                vec![0; PIECE.min(usize::try_from(length - lines.bytes).unwrap_or(PIECE))];
            let mut rest = file.take(length - lines.bytes);
            loop {
                match rest.read(&mut piece)? {
                    0 => break,
                    read => lines.take(&piece[..read]),
                }
            }
        }
        Ok(look(lines))
    }

    fn known(&self, path: &Path) -> Arc<Mutex<Known>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = all.iter().position(|(known, _)| known == path);
        let entry =
            at.and_then(|at| all.remove(at)).unwrap_or_else(|| (path.to_owned(), Arc::default()));
        let known = Arc::clone(&entry.1);
        all.push_back(entry);
        if all.len() > REMEMBERED {
            all.pop_front();
        }
        known
    }
}

/// A line that holds a text.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Hit {
    /// Which line, from 0.
    pub(super) line: u64,
    /// What it says, as a terminal would show it, cut.
    pub(super) text: String,
}

/// Returns the first lines that hold a text, and whether there are more. Case counts for nothing in ASCII.
pub(super) fn find(path: &Path, sought: &str, most: usize) -> io::Result<(Vec<Hit>, bool)> {
    let mut hits = Vec::new();
    if sought.is_empty() {
        return Ok((hits, false));
    }
    let matcher = AhoCorasick::builder().ascii_case_insensitive(true).build([sought]);
    let matcher = matcher.map_err(io::Error::other)?;
    let mut reader = BufReader::with_capacity(PIECE, File::open(path)?);
    let mut line = 0;
    let mut block = Vec::new();
    loop {
        // So many bytes and what ends their last line.
        block.clear();
        reader.by_ref().take(PIECE as u64).read_to_end(&mut block)?;
        if block.is_empty() {
            return Ok((hits, false));
        }
        // A line without an end is looked through in pieces.
        reader.by_ref().take(PIECE as u64).read_until(b'\n', &mut block)?;
        let coloured = block.iter().any(|byte| matches!(byte, b'\x1b' | b'\r'));
        if !coloured && !matcher.is_match(&block) {
            line += block.iter().filter(|byte| **byte == b'\n').count() as u64;
            continue;
        }
        for piece in block.split_inclusive(|byte| *byte == b'\n') {
            let has = || match coloured {
                true => matcher.is_match(shown(piece).as_bytes()),
                false => matcher.is_match(piece),
            };
            if has() {
                if hits.len() == most {
                    return Ok((hits, true));
                }
                let text = shown(&piece[..piece.len().min(4096)]).chars().take(300).collect();
                hits.push(Hit { line, text });
            }
            line += u64::from(piece.ends_with(b"\n"));
        }
    }
}

/// Returns a line as a terminal would show it in the end.
fn shown(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let line = line.trim_end_matches(['\n', '\r']);
    text::neutral_unlimited(line.rsplit('\r').next().unwrap_or(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_as_the_log_grows_and_anew_when_it_is_another() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("guest.log");
        let indexes = Indexes::default();
        std::fs::write(&path, "").expect("written");
        let of = || indexes.of(&path, Lines::clone).expect("read");
        assert_eq!(of(), Lines::new());
        assert!(
            Arc::ptr_eq(&indexes.known(&path), &indexes.known(&path)),
            "one for all who ask at once"
        );
        let text: String = (0..2500).map(|n| format!("line {n}\n")).collect();
        for end in [1, 7, 8, 9000, text.len() - 1, text.len()] {
            std::fs::write(&path, &text[..end]).expect("written");
            let lines = of();
            assert_eq!(lines.lines, text[..end].lines().count() as u64, "{end}");
            assert_eq!(lines.bytes, end as u64);
        }
        let lines = of();
        assert_eq!(lines.starts.len(), 3);
        for (n, start) in lines.starts.iter().enumerate() {
            let at = usize::try_from(*start).expect("small");
            assert!(text[at..].starts_with(&format!("line {}\n", n * 1000)), "{start}");
        }
        assert_eq!(lines.since(0), (1, &lines.starts[1..]));
        assert_eq!(lines.since(lines.starts[1]), (2, &lines.starts[2..]));
        assert_eq!(lines.since(lines.bytes).1, &[] as &[u64]);
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "one").expect("written");
        assert_eq!(of().lines, 1);
    }

    #[test]
    fn a_text_is_found_whatever_its_colours_and_case() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("guest.log");
        let long = "x".repeat(3 * PIECE);
        let text = format!("one\nTw\u{1b}[31mO\u{1b}[0m\n10%\r100%\n{long}\nlast two");
        std::fs::write(&path, text).expect("written");
        let lines = |sought: &str| {
            let (hits, more) = find(&path, sought, 10).expect("read");
            assert!(!more);
            hits.into_iter().map(|hit| hit.line).collect::<Vec<_>>()
        };
        assert_eq!(lines("two"), [1, 4]);
        assert_eq!(lines("ONE"), [0]);
        assert_eq!(lines("10%"), [] as [u64; 0], "it was overwritten");
        assert_eq!(lines(""), [] as [u64; 0]);
        let (hits, more) = find(&path, "o", 1).expect("read");
        assert_eq!((hits, more), (vec![Hit { line: 0, text: "one".to_owned() }], true));
    }
}
