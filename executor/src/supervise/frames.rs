//! A log as the pushed supervisor's `attach` hands it over, read from whatever pieces it comes in.
//!
//! Owns the framing only: where the bytes come from, and what to do when they stop coming, is the
//! business of whoever reads them.

/// What a supervisor said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    /// A line before the first frame: what was run before `attach`, or a shell's noise.
    Word(String),
    /// The next bytes of the log.
    Log(Vec<u8>),
    /// The log is shorter than what was taken of it; its bytes follow from the first one that is there.
    Cut,
    /// Nothing new; the path is alive.
    Idle,
    /// The log is drained: the status line.
    End(String),
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

/// A line that is longer is no frame, and no word of anybody.
const LONGEST: usize = 4096;

impl Frames {
    /// Reads frames with that marker, the log from `offset`.
    pub(crate) fn new(marker: &str, offset: u64) -> Self {
        Self { marker: marker.to_owned(), offset, left: 0, begun: false, buffer: Vec::new() }
    }

    /// Takes the next bytes and returns the frames that are whole with them.
    ///
    /// # Errors
    ///
    /// What came instead of a frame, for people.
    pub(crate) fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Frame>, String> {
        let mut frames = Vec::new();
        loop {
            if self.left > 0 {
                if bytes.is_empty() {
                    return Ok(frames);
                }
                let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
                frames.push(Frame::Log(bytes[..most].to_vec()));
                bytes = &bytes[most..];
                self.left -= most as u64;
                self.offset += most as u64;
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                self.buffer.extend_from_slice(bytes);
                if self.buffer.len() > LONGEST {
                    return Err("a line without an end".to_owned());
                }
                return Ok(frames);
            };
            self.buffer.extend_from_slice(&bytes[..end]);
            bytes = &bytes[end + 1..];
            let line = String::from_utf8_lossy(&std::mem::take(&mut self.buffer)).into_owned();
            frames.extend(self.line(&line)?);
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

    #[test]
    fn frames_are_the_same_in_whatever_pieces_they_come() {
        for size in 1..TEXT.len() {
            let mut frames = Frames::new("M", 3);
            let mut all = Vec::new();
            for piece in TEXT.chunks(size) {
                all.extend(frames.push(piece).expect("frames"));
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
        let all = frames.push(b"M log 3 1\naM cut\nM log 0 2\nbc").expect("frames");
        assert_eq!(all, [Frame::Log(b"a".into()), Frame::Cut, Frame::Log(b"bc".into())]);
    }

    #[test]
    fn what_is_no_frame_is_an_error() {
        assert!(Frames::new("M", 0).push(b"M idle\nnoise\n").is_err());
        assert!(Frames::new("M", 0).push(b"M log 1 2\n").is_err());
        assert!(Frames::new("M", 0).push(&[b'x'; 5000]).is_err());
    }
}
