//! The log of a job that is elsewhere, on this machine: where it goes on, and what must not show in it.
//!
//! Without secrets the file is the far log, byte for byte, and its length is the offset to go on from. With
//! secrets it is masked on its way, so the two have no length in common; a small file beside it then says
//! which length belongs to which offset. So it does when the far log was cut by somebody: what came of it
//! before stays, a line says so, and what is there now follows.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    fault::{FailureKind, Fault},
    redact::{MaskState, Masks, Redactor},
};

/// Returns what a supervisor elsewhere is to keep out of its log; empty where there are no secrets.
///
/// # Errors
///
/// When they cannot be masked: the job must not start then.
pub(crate) fn masks_of<'a>(values: impl Iterator<Item = &'a str>) -> Result<String, Fault> {
    let masks = Masks::new(values).map_err(|error| {
        Fault::new(FailureKind::Supervisor, error.to_string())
            .advice("give the job fewer or shorter secrets")
    })?;
    Ok(masks.needles())
}

/// The fault of a supervisor, named for people, that has nothing to keep secrets out of its log with.
pub(crate) fn no_redactor(supervisor: &str) -> Fault {
    Fault::new(
        FailureKind::ToolMissing,
        format!(
            "{supervisor}: the log cannot be kept free of secrets there, so the job was not started: \
             there is no perl, and awk, od, dd, tr and mkfifo did not do it"
        ),
    )
    .advice("install perl there (needed for more than 20 kB of secrets), or give the job no secrets")
}

/// What the log says of itself when the far one was cut.
const CUT: &[u8] =
    b"\n[forge-lanes] somebody cut this log short where the job runs; what is there now follows\n";

/// A log that is being brought back.
pub(crate) struct Log {
    file: File,
    offsets: PathBuf,
    masked: Option<Masked>,
}

struct Masked {
    masks: Arc<Masks>,
    redactor: Redactor,
    /// How many bytes of the far log were taken.
    taken: u64,
    out: Vec<u8>,
}

impl Log {
    /// Opens a log to be gone on with.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or what is to be redacted cannot be masked.
    pub(crate) fn open(path: &Path, redacted: &[String]) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        let offsets = offsets_of(path);
        if file.metadata()?.len() == 0 {
            // Whatever was written down is about another log that stood here.
            remove(&offsets)?;
        }
        if redacted.is_empty() {
            return Ok(Self { file, offsets, masked: None });
        }
        let masks = Masks::new(redacted.iter().map(String::as_str)).map_err(io::Error::other)?;
        let masks = Arc::new(masks);
        let redactor = Redactor::new(Arc::clone(&masks), MaskState::default());
        let masked = Masked { masks, redactor, taken: 0, out: Vec::new() };
        let mut log = Self { file, offsets, masked: Some(masked) };
        log.rewind()?;
        Ok(log)
    }

    /// Returns the offset of the far log to go on from.
    ///
    /// # Errors
    ///
    /// When the file cannot be asked, or cut to where it is known to be right.
    pub(crate) fn resume(&mut self) -> io::Result<u64> {
        // What was held back is asked for again.
        self.rewind()?;
        match &self.masked {
            Some(masked) => Ok(masked.taken),
            None => {
                let there = self.file.metadata()?.len();
                Ok(match self.written_down()[..] {
                    // The far log was cut when this one had that length.
                    [taken, length, ..] if length <= there => taken + (there - length),
                    _ => there,
                })
            }
        }
    }

    fn written_down(&self) -> Vec<u64> {
        let text = fs::read_to_string(&self.offsets).unwrap_or_default();
        text.split_ascii_whitespace().map_while(|word| word.parse().ok()).collect()
    }

    fn write_down(&self, text: &str) -> io::Result<()> {
        let new = self.offsets.with_extension("offset-new");
        fs::write(&new, text)?;
        fs::rename(new, &self.offsets)
    }

    /// The far log is shorter than what was taken of it: what follows is what is there now.
    ///
    /// # Errors
    ///
    /// When that cannot be written.
    pub(crate) fn begin_anew(&mut self) -> io::Result<()> {
        self.flush()?;
        self.file.write_all(CUT)?;
        if let Some(masked) = &mut self.masked {
            masked.taken = 0;
            masked.redactor = Redactor::new(Arc::clone(&masked.masks), MaskState::default());
        }
        self.write_down(&format!("0 {}\n", self.file.metadata()?.len()))
    }

    /// Writes what was held back.
    fn flush(&mut self) -> io::Result<()> {
        let Some(masked) = &mut self.masked else { return Ok(()) };
        self.file.write_all(masked.redactor.finish(&mut masked.out))
    }

    /// Goes back to the last state that was written down.
    fn rewind(&mut self) -> io::Result<()> {
        let numbers = self.written_down();
        let Some(masked) = &mut self.masked else { return Ok(()) };
        let (taken, length, standing) = match numbers[..] {
            // As written of a log that was cut, and before a run of secrets was one mask.
            [taken, length] => (taken, length, MaskState::default()),
            [taken, length, covered, is_masked] => {
                let covered = usize::try_from(covered).unwrap_or(0);
                (taken, length, MaskState { covered, masked: is_masked == 1 })
            }
            _ => (0, 0, MaskState::default()),
        };
        // Shortened by somebody, or never written down: from the beginning.
        let there = self.file.metadata()?.len();
        let (taken, length, standing) =
            if length <= there { (taken, length, standing) } else { (0, 0, MaskState::default()) };
        self.file.set_len(length)?;
        masked.taken = taken;
        masked.redactor = Redactor::new(Arc::clone(&masked.masks), standing);
        Ok(())
    }

    /// Takes the next bytes of the far log.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(masked) = &mut self.masked else { return self.file.write_all(bytes) };
        self.file.write_all(masked.redactor.push(bytes, &mut masked.out))?;
        masked.taken += bytes.len() as u64;
        let decided = masked.taken - masked.redactor.held() as u64;
        let length = self.file.metadata()?.len();
        let MaskState { covered, masked: is_masked } = masked.redactor.standing();
        self.write_down(&format!("{decided} {length} {covered} {}\n", u8::from(is_masked)))
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        self.flush()?;
        remove(&self.offsets)
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Returns the small file beside a log.
fn offsets_of(path: &Path) -> PathBuf {
    let mut offsets = path.as_os_str().to_owned();
    offsets.push(".offset");
    PathBuf::from(offsets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_without_secrets_goes_on_at_its_length() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        let mut log = Log::open(&path, &[]).expect("a log");
        log.take(b"one ").expect("written");
        let mut log = Log::open(&path, &[]).expect("a log");
        assert_eq!(log.resume().expect("an offset"), 4);
    }

    #[test]
    fn what_was_written_down_of_a_log_that_was_moved_away_is_forgotten() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("log");
        let redacted = ["hunter2hunter2".to_owned()];
        let mut log = Log::open(&path, &redacted).expect("a log");
        log.take(b"earlier").expect("written");
        fs::remove_file(&path).expect("moved away");
        // The next attempt's process dies after its first write, before it could write down where it is.
        drop(Log::open(&path, &redacted).expect("a log"));
        fs::write(&path, "a longer line").expect("written");
        let mut log = Log::open(&path, &redacted).expect("a log");
        assert_eq!(log.resume().expect("an offset"), 0);
        assert_eq!(fs::read(&path).expect("a log"), b"");
    }

    #[test]
    fn a_far_log_that_was_cut_takes_nothing_of_what_came() {
        for redacted in [vec![], vec!["hunter2hunter2".to_owned()]] {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("log");
            let mut log = Log::open(&path, &redacted).expect("a log");
            log.take(b"first hunter").expect("written");
            log.begin_anew().expect("written");
            log.take(b"second").expect("written");
            // Another process goes on where this one was.
            drop(log);
            let mut log = Log::open(&path, &redacted).expect("a log");
            assert_eq!(log.resume().expect("an offset"), 6);
            log.take(b" third").expect("written");
            log.finish().expect("over");
            let text = fs::read(&path).expect("a log");
            assert_eq!(text, [b"first hunter".as_slice(), CUT, b"second third"].concat());
            assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
        }
    }

    #[test]
    fn a_masked_log_is_the_same_wherever_it_was_interrupted() {
        let far = b"a hunter2hunter2 b hunter2 c hunter2hunter2";
        for first in 0..far.len() {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("log");
            let redacted = ["hunter2hunter2".to_owned()];
            let mut log = Log::open(&path, &redacted).expect("a log");
            log.take(&far[..first]).expect("written");
            drop(log);
            let mut log = Log::open(&path, &redacted).expect("a log");
            let offset = usize::try_from(log.resume().expect("an offset")).expect("small");
            assert!(offset <= first);
            log.take(&far[offset..]).expect("written");
            log.finish().expect("over");
            let text = fs::read_to_string(&path).expect("a log");
            assert_eq!(text, "a *** b hunter2 c ***", "interrupted at {first}");
            assert_eq!(fs::read_dir(dir.path()).expect("a directory").count(), 1);
        }
    }
}
