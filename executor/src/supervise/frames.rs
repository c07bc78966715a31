//! A log as the pushed supervisor's `attach` hands it over, read from whatever pieces it comes in.
//!
//! Owns the framing only: where the bytes come from, and what to do when they stop coming, is the
//! business of their reader.

/// What a supervisor said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// A line before the first frame: what was run before `attach`, or a shell's noise.
    Word(String),
    /// The next bytes of the log.
    Log(Vec<u8>),
    /// The log is shorter than what was taken of it; its bytes follow from the first one that is there.
    Cut,
    /// Nothing new; the connection is alive.
    Idle,
    /// The log is drained: the status line.
    End(String),
}

/// A line that is no frame although one was due.
#[derive(Debug)]
pub(crate) struct NotAFrame {
    /// The line.
    pub(crate) line: String,
    /// What is wrong with it, for people.
    pub(crate) why: String,
}

/// A reader of frames.
#[derive(Debug)]
pub(crate) struct Frames {
    marker: String,
    /// Where in the log the next byte belongs.
    offset: u64,
    /// Bytes of the present frame that are still to come.
    left: u64,
    begun: bool,
    buffer: Vec<u8>,
}

/// A longer line is neither a frame nor a word.
const LONGEST_LINE: usize = 4096;

/// At most this much of a log in one frame.
const CHUNK: usize = 256 * 1024;

impl Frames {
    /// Reads frames with that marker, the log from `offset`.
    pub(crate) fn new(marker: &str, offset: u64) -> Self {
        Self { marker: marker.to_owned(), offset, left: 0, begun: false, buffer: Vec::new() }
    }

    /// Returns the marker that frames begin with.
    pub(crate) fn marker(&self) -> &str {
        &self.marker
    }

    /// Returns the offset of the next byte of the log.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// Takes the next frame off `bytes`; `None` when they are all taken and none is whole.
    ///
    /// # Errors
    ///
    /// What came instead of a frame.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Result<Option<Frame>, NotAFrame> {
        loop {
            if bytes.is_empty() {
                return Ok(None);
            }
            if self.left > 0 {
                let left = usize::try_from(self.left).unwrap_or(usize::MAX);
                let (log, rest) = bytes.split_at(left.min(bytes.len()).min(CHUNK));
                *bytes = rest;
                self.left -= log.len() as u64;
                self.offset += log.len() as u64;
                return Ok(Some(Frame::Log(log.to_vec())));
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            self.buffer.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
            let Some(end) = end else {
                *bytes = &[];
                if self.buffer.len() > LONGEST_LINE {
                    let why = "a line without an end".to_owned();
                    return Err(NotAFrame { line: String::new(), why });
                }
                return Ok(None);
            };
            *bytes = &bytes[end + 1..];
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned();
            match self.line(&line) {
                Ok(None) => {}
                Ok(frame) => return Ok(frame),
                Err(why) => return Err(NotAFrame { line, why }),
            }
        }
    }

    fn line(&mut self, line: &str) -> Result<Option<Frame>, String> {
        let Some(frame) = line.strip_prefix(&self.marker) else {
            if self.begun {
                let line: String = line.chars().take(60).flat_map(char::escape_debug).collect();
                return Err(format!("`{line}` is no frame"));
            }
            let word = line.trim();
            return Ok((!word.is_empty()).then(|| Frame::Word(word.to_owned())));
        };
        self.begun = true;
        let frame = frame.trim();
        let words: Vec<&str> = frame.split_ascii_whitespace().collect();
        match words[..] {
            ["idle"] => Ok(Some(Frame::Idle)),
            ["cut"] => {
                self.offset = 0;
                Ok(Some(Frame::Cut))
            }
            ["end", ..] => Ok(Some(Frame::End(frame["end".len()..].trim().to_owned()))),
            ["log", offset, length] => match (offset.parse::<u64>(), length.parse()) {
                (Ok(offset), Ok(length)) if offset == self.offset => {
                    self.left = length;
                    Ok(None)
                }
                _ => Err(format!("a frame out of order: {frame}")),
            },
            _ => Err(format!("`{frame}` is no frame")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        b"started\n\nM log 3 4\na\nM M idle\nM log 7 1\nxM end state=exited log=8\n";

    fn all_of(frames: &mut Frames, bytes: &mut &[u8]) -> Result<Vec<Frame>, NotAFrame> {
        let mut all = Vec::new();
        while let Some(frame) = frames.next(bytes)? {
            all.push(frame);
        }
        Ok(all)
    }

    #[test]
    fn what_follows_the_end_is_left_to_the_reader() {
        let mut bytes = &b"M end state=lost\nthe rest"[..];
        let end = Frames::new("M", 0).next(&mut bytes).expect("a frame");
        assert_eq!(end, Some(Frame::End("state=lost".to_owned())));
        assert_eq!(bytes, b"the rest");
    }

    #[test]
    fn frames_are_the_same_in_whatever_pieces_they_come() {
        for size in 1..TEXT.len() {
            let mut frames = Frames::new("M", 3);
            let mut all = Vec::new();
            for mut piece in TEXT.chunks(size) {
                all.extend(all_of(&mut frames, &mut piece).expect("frames"));
            }
            let log: Vec<u8> = all
                .iter()
                .filter_map(|frame| match frame {
                    Frame::Log(bytes) => Some(bytes.clone()),
                    _ => None,
                })
                .flatten()
                .collect();
            assert_eq!(log, b"a\nM x", "in pieces of {size}");
            assert_eq!(all.first(), Some(&Frame::Word("started".to_owned())));
            assert!(all.contains(&Frame::Idle));
            assert_eq!(all.last(), Some(&Frame::End("state=exited log=8".to_owned())));
        }
    }

    #[test]
    fn a_log_that_was_cut_begins_anew() {
        let mut frames = Frames::new("M", 3);
        let all = all_of(&mut frames, &mut &b"M log 3 1\naM cut\nM log 0 2\nbc"[..]);
        let all = all.expect("frames");
        assert_eq!(all, [Frame::Log(b"a".into()), Frame::Cut, Frame::Log(b"bc".into())]);
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        for text in [&b"M idle\nnoise\n"[..], b"M log 1 2\n", &[b'x'; 5000]] {
            assert!(all_of(&mut Frames::new("M", 0), &mut &*text).is_err());
        }
    }
}
