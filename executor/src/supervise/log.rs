//! The log of a job that is elsewhere, on this machine: where it goes on, and what must not show in it.
//!
//! Without secrets the file is the far log, byte for byte, and its length is the offset to go on from. With
//! secrets it is masked on its way, so the two have no length in common; a small file beside it then says
//! which length belongs to which offset.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use crate::supervise::native::Masking;

/// A log that is being brought back.
pub(crate) struct Log {
    file: File,
    masked: Option<Masked>,
}

struct Masked {
    values: Vec<String>,
    offsets: PathBuf,
    masking: Masking<File>,
    /// How many bytes of the far log were taken.
    taken: u64,
}

impl Log {
    /// Opens a log to be gone on with.
    pub(crate) fn open(path: &Path, withheld: &[String]) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        if withheld.is_empty() {
            return Ok(Self { file, masked: None });
        }
        let mut offsets = path.as_os_str().to_owned();
        offsets.push(".offset");
        let (values, offsets) = (withheld.to_vec(), PathBuf::from(offsets));
        let (masking, _) = Masking::new(values.iter(), file.try_clone()?);
        let mut log = Self { file, masked: Some(Masked { values, offsets, masking, taken: 0 }) };
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
            None => Ok(self.file.metadata()?.len()),
        }
    }

    /// Goes back to the last pair of length and offset that was written down.
    fn rewind(&mut self) -> io::Result<()> {
        let Some(masked) = &mut self.masked else { return Ok(()) };
        let text = fs::read_to_string(&masked.offsets).unwrap_or_default();
        let mut numbers = text.split_ascii_whitespace().map(str::parse::<u64>);
        let pair = match (numbers.next(), numbers.next()) {
            (Some(Ok(taken)), Some(Ok(length))) => Some((taken, length)),
            _ => None,
        };
        // Shortened by somebody, or never written down: from the beginning.
        let there = self.file.metadata()?.len();
        let (taken, length) = pair.filter(|(_, length)| *length <= there).unwrap_or((0, 0));
        self.file.set_len(length)?;
        masked.taken = taken;
        (masked.masking, _) = Masking::new(masked.values.iter(), self.file.try_clone()?);
        Ok(())
    }

    /// Takes the next bytes of the far log.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(masked) = &mut self.masked else { return self.file.write_all(bytes) };
        masked.masking.push(bytes);
        masked.taken += bytes.len() as u64;
        let decided = masked.taken - masked.masking.held();
        let length = self.file.metadata()?.len();
        let new = masked.offsets.with_extension("offset-new");
        fs::write(&new, format!("{decided} {length}\n"))?;
        fs::rename(new, &masked.offsets)
    }

    /// Nothing more comes.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let Some(masked) = &mut self.masked else { return Ok(()) };
        masked.masking.finish();
        match fs::remove_file(&masked.offsets) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
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
    fn a_masked_log_is_the_same_wherever_it_was_interrupted() {
        let far = b"a hunter2hunter2 b hunter2 c hunter2hunter2";
        for first in 0..far.len() {
            let dir = tempfile::tempdir().expect("a directory");
            let path = dir.path().join("log");
            let withheld = ["hunter2hunter2".to_owned()];
            let mut log = Log::open(&path, &withheld).expect("a log");
            log.take(&far[..first]).expect("written");
            drop(log);
            let mut log = Log::open(&path, &withheld).expect("a log");
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
