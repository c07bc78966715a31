//! Entries of a tree as a tar stream into a session, hashed on its way.
//!
//! Owns what a member looks like and what passed; which entries travel, and what becomes of them, is `trees`'.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    time::Instant,
};

use sha2::{Digest as _, Sha256};

use super::{
    manifest::{ManifestEntry, What, below},
    session::Session,
    wire::WireError,
};
use crate::text;

/// Why a stream was not written to its end.
pub(crate) enum TarError {
    /// A file here cannot be read.
    Here(io::Error),
    Wire(WireError),
}

/// What passed: the SHA-256 of the whole stream, and of each file that was unknown by its number.
pub(crate) type Passed = (String, Vec<(usize, [u8; 32])>);

/// Writes entries as a tar stream into the session.
pub(crate) fn write_tar(
    session: &mut Session,
    root: &Path,
    entries: &[&ManifestEntry],
    until: Instant,
) -> Result<Passed, TarError> {
    let mut sink = Sink::new(session, until);
    let mut tar = tar::Builder::new(io::BufWriter::with_capacity(1 << 18, &mut sink));
    let mut digests = Vec::new();
    let written = append_all(&mut tar, root, entries, &mut digests)
        .and_then(|()| tar.into_inner())
        .and_then(|mut writer| writer.flush());
    match (written, sink.failed) {
        (Ok(()), _) => Ok((text::hex(&sink.sum.finalize()), digests)),
        (Err(_), Some(error)) => Err(TarError::Wire(error)),
        (Err(error), None) => Err(TarError::Here(error)),
    }
}

pub(crate) fn append_all<W: Write>(
    tar: &mut tar::Builder<W>,
    root: &Path,
    entries: &[&ManifestEntry],
    digests: &mut Vec<(usize, [u8; 32])>,
) -> io::Result<()> {
    let mut content = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let path = Path::new(std::ffi::OsStr::from_bytes(&entry.path));
        let mut header = tar::Header::new_gnu();
        // The same for everybody; late enough for archivers that know nothing before 1980.
        header.set_mtime(1_000_000_000);
        header.set_uid(0);
        header.set_gid(0);
        match &entry.what {
            What::Link { target } => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                header.set_size(0);
                let target = Path::new(std::ffi::OsStr::from_bytes(target));
                tar.append_link(&mut header, path, target)?;
            }
            What::EmptyDirectory => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                header.set_size(0);
                tar.append_data(&mut header, path, io::empty())?;
            }
            What::File { executable, size, .. } => {
                header.set_entry_type(tar::EntryType::Regular);
                header.set_mode(if *executable { 0o755 } else { 0o644 });
                header.set_size(*size);
                let mut file = fs::File::open(below(root, &entry.path))?;
                // Small ones in one go: most of what is sent is many of them.
                if *size <= SMALL {
                    content.clear();
                    file.take(*size).read_to_end(&mut content)?;
                    if entry.is_unread() {
                        digests.push((index, Sha256::digest(&content).into()));
                    }
                    whole(content.len() as u64, *size)?;
                    tar.append_data(&mut header, path, &content[..])?;
                } else {
                    let mut hashing =
                        Hashing { file: (&mut file).take(*size), hash: Sha256::new() };
                    tar.append_data(&mut header, path, &mut hashing)?;
                    whole(*size - hashing.file.limit(), *size)?;
                    if entry.is_unread() {
                        digests.push((index, hashing.hash.finalize().into()));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Files up to this are read at once.
const SMALL: u64 = 1 << 20;

fn whole(read: u64, size: u64) -> io::Result<()> {
    if read == size { Ok(()) } else { Err(io::Error::other("a file became shorter meanwhile")) }
}

/// A file that is hashed while it is read.
struct Hashing<R> {
    file: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hash.update(&buffer[..count]);
        Ok(count)
    }
}

/// A session's stdin as a writer that keeps the reason of a failure.
pub(crate) struct Sink<'a> {
    session: &'a mut Session,
    until: Instant,
    pub(crate) failed: Option<WireError>,
    /// Of all that was written.
    sum: Sha256,
}

impl<'a> Sink<'a> {
    pub(crate) fn new(session: &'a mut Session, until: Instant) -> Self {
        Self { session, until, failed: None, sum: Sha256::new() }
    }
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.session.wire().write_all(bytes, self.until) {
            Ok(()) => {
                self.sum.update(bytes);
                Ok(bytes.len())
            }
            Err(error) => {
                self.failed = Some(error);
                Err(io::Error::other("the connection broke"))
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
