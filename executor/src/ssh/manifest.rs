//! What a source tree consists of: paths, kinds, contents by hash.
//!
//! Two manifests tell what to send when a tree like the new one is there already; the digests of one
//! manifest tell whether what arrived is what was sent. How either side lists files is kept to what
//! `find`, `sort` and `sha256sum` give everywhere.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, readlinkat, statat};
use sha2::{Digest, Sha256};

use crate::text;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A file.
    File {
        /// Whether its owner may execute it.
        executable: bool,
        /// Its length in bytes.
        size: u64,
        /// What names its content: its SHA-256, or what the repository calls it. Zeros: not read yet.
        digest: [u8; 32],
    },
    /// A symbolic link.
    Link {
        /// Where it points.
        target: Vec<u8>,
    },
    /// A directory with nothing in it, as a submodule leaves one.
    EmptyDirectory,
}

/// One path of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManifestEntry {
    /// The path relative to the root of the tree, as bytes.
    pub path: Vec<u8>,
    /// What stands there.
    pub what: What,
}

impl ManifestEntry {
    /// Returns how many bytes of content it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        match self.what {
            What::File { size, .. } => size,
            What::Link { .. } | What::EmptyDirectory => 0,
        }
    }

    /// Returns whether it is a file whose content has no name yet.
    pub(crate) fn is_unread(&self) -> bool {
        matches!(self.what, What::File { digest, .. } if digest == [0; 32])
    }
}

/// The files, links and empty directories of a tree, sorted by path; other directories are where they are
/// needed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Manifest {
    entries: Vec<ManifestEntry>,
}

/// What both sides compute, each in its own way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digests {
    /// Of the sorted names of all files, a NUL after each, each as `./path`.
    pub files: String,
    /// Of the links, and of the files that may be executed: `files` tells which is which.
    pub marked: String,
}

impl Manifest {
    /// Reads the tree at `root`, with the content of every file.
    ///
    /// # Errors
    ///
    /// When something cannot be read, or is neither a file, a directory nor a link.
    pub fn of_directory(root: &Path) -> io::Result<Self> {
        Self::scan(root, Some(&mut vec![0; 64 * 1024]))
    }

    /// Reads the tree at `root` without the content of any file: the digests are zeros until
    /// [`set_digest`](Self::set_digest).
    pub(crate) fn unread(root: &Path) -> io::Result<Self> {
        Self::scan(root, None)
    }

    /// Reads a tree; the content of files by way of `chunk`, if there is one. Every name is looked up in the handle of
    /// its directory, which costs less than a path.
    fn scan(root: &Path, mut chunk: Option<&mut [u8]>) -> io::Result<Self> {
        let mut entries = Vec::new();
        let mut pending = vec![PathBuf::new()];
        while let Some(relative) = pending.pop() {
            let mut is_empty = true;
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = openat(CWD, root.join(&relative), flags, Mode::empty())?;
            for entry in Dir::read_from(&directory)? {
                let entry = entry?;
                let name = entry.file_name();
                if matches!(name.to_bytes(), b"." | b"..") {
                    continue;
                }
                is_empty = false;
                let path = relative.join(OsStr::from_bytes(name.to_bytes()));
                let found = || statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW);
                let kind = match entry.file_type() {
                    // Not every file system says so by itself.
                    FileType::Unknown => FileType::from_raw_mode(found()?.st_mode),
                    kind => kind,
                };
                let what = match kind {
                    FileType::Directory => {
                        pending.push(path);
                        continue;
                    }
                    FileType::Symlink => What::Link {
                        target: readlinkat(&directory, name, Vec::new())?.into_bytes(),
                    },
                    FileType::RegularFile => {
                        let found = found()?;
                        let (digest, size) = match &mut chunk {
                            Some(chunk) => {
                                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                                let file = openat(&directory, name, flags, Mode::empty())?;
                                hash_file(&mut file.into(), chunk)?
                            }
                            None => ([0; 32], found.st_size.cast_unsigned()),
                        };
                        What::File { executable: found.st_mode & 0o100 != 0, size, digest }
                    }
                    _ => {
                        let text = format!("`{}` is no file, directory or link", path.display());
                        return Err(io::Error::other(text));
                    }
                };
                entries.push(ManifestEntry { path: path.into_os_string().into_vec(), what });
            }
            if is_empty && !relative.as_os_str().is_empty() {
                let path = relative.into_os_string().into_vec();
                entries.push(ManifestEntry { path, what: What::EmptyDirectory });
            }
        }
        Ok(Self::from_entries(entries))
    }

    /// Makes a manifest of entries in any order.
    #[must_use]
    pub fn from_entries(mut entries: Vec<ManifestEntry>) -> Self {
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Self { entries }
    }

    /// Says what the content of a file hashes to.
    pub(crate) fn set_digest(&mut self, index: usize, read: [u8; 32]) {
        if let Some(ManifestEntry { what: What::File { digest, .. }, .. }) =
            self.entries.get_mut(index)
        {
            *digest = read;
        }
    }

    /// Returns the entries, sorted by path.
    #[must_use]
    pub fn entries(&self) -> &[ManifestEntry] {
        &self.entries
    }

    /// Returns the sum of all file sizes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.entries.iter().map(ManifestEntry::size).sum()
    }

    /// Returns what has to be sent, and which paths have to go, to make `base` this tree. A path that
    /// changes is in both: the far side may hold the old one as a link shared with another tree. Empty
    /// directories are always sent: removing files may leave others, which go.
    #[must_use]
    pub fn difference<'a>(&'a self, base: &'a Self) -> (Vec<&'a ManifestEntry>, Vec<&'a [u8]>) {
        let old: BTreeMap<&[u8], &What> =
            base.entries.iter().map(|entry| (&entry.path[..], &entry.what)).collect();
        let new: BTreeMap<&[u8], &What> =
            self.entries.iter().map(|entry| (&entry.path[..], &entry.what)).collect();
        let send = self
            .entries
            .iter()
            .filter(|entry| {
                entry.what == What::EmptyDirectory || old.get(&entry.path[..]) != Some(&&entry.what)
            })
            .collect();
        let remove = base
            .entries
            .iter()
            .filter(|entry| new.get(&entry.path[..]) != Some(&&entry.what))
            .map(|entry| &entry.path[..])
            .collect();
        (send, remove)
    }

    /// Returns whether a directory of it is empty.
    #[must_use]
    pub fn has_empty_directories(&self) -> bool {
        self.entries.iter().any(|entry| entry.what == What::EmptyDirectory)
    }

    /// Returns the digests of the names.
    #[must_use]
    pub fn digests(&self) -> Digests {
        let of = |wanted: fn(&What) -> bool| {
            let mut hash = Sha256::new();
            for entry in self.entries.iter().filter(|entry| wanted(&entry.what)) {
                hash.update(b"./");
                hash.update(&entry.path);
                hash.update(b"\0");
            }
            text::hex(&hash.finalize())
        };
        Digests {
            files: of(|what| matches!(what, What::File { .. })),
            marked: of(|what| {
                matches!(what, What::Link { .. } | What::File { executable: true, .. })
            }),
        }
    }

    /// Writes the manifest in the form that [`decode`](Self::decode) reads.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut text = b"forge-lanes manifest 1\n".to_vec();
        for entry in &self.entries {
            let (head, target) = match &entry.what {
                What::File { executable, size, digest } => {
                    let kind = if *executable { 'x' } else { 'f' };
                    (format!("{kind} {size} {} ", text::hex(digest)), &[][..])
                }
                What::Link { target } => ("l ".to_owned(), &target[..]),
                What::EmptyDirectory => ("d ".to_owned(), &[][..]),
            };
            text.extend_from_slice(head.as_bytes());
            text.extend_from_slice(&entry.path);
            text.push(0);
            text.extend_from_slice(target);
            text.push(0);
        }
        text.extend_from_slice(b"end");
        text
    }

    /// Reads what [`encode`](Self::encode) wrote; anything else is `None`.
    #[must_use]
    pub fn decode(text: &[u8]) -> Option<Self> {
        let rest = text.strip_prefix(b"forge-lanes manifest 1\n")?.strip_suffix(b"end")?;
        let mut entries = Vec::new();
        let mut parts = rest.split(|&byte| byte == 0);
        loop {
            let head = parts.next()?;
            if head.is_empty() {
                break;
            }
            let target = parts.next()?;
            let (kind, rest) = head.split_at_checked(2)?;
            let (path, what) = match kind {
                b"l " => (rest, What::Link { target: target.to_vec() }),
                b"d " => (rest, What::EmptyDirectory),
                b"f " | b"x " => {
                    let mut fields = rest.splitn(3, |&byte| byte == b' ');
                    let size = std::str::from_utf8(fields.next()?).ok()?.parse().ok()?;
                    let digest = digest_of(fields.next()?)?;
                    (fields.next()?, What::File { executable: kind == b"x ", size, digest })
                }
                _ => return None,
            };
            entries.push(ManifestEntry { path: path.to_vec(), what });
        }
        Some(Self::from_entries(entries))
    }
}

/// Returns the path an entry has below `root`.
pub(crate) fn below(root: &Path, path: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(path))
}

fn hash_file(file: &mut fs::File, chunk: &mut [u8]) -> io::Result<([u8; 32], u64)> {
    let mut hash = Sha256::new();
    let mut size = 0;
    loop {
        let count = io::Read::read(file, chunk)?;
        if count == 0 {
            return Ok((hash.finalize().into(), size));
        }
        hash.update(&chunk[..count]);
        size += count as u64;
    }
}

/// Returns the name of a content that a repository gives it, in hex of up to 64 digits, as a digest.
pub(crate) fn object_digest(object: &str) -> Option<[u8; 32]> {
    digest_of(format!("{object:0<64}").as_bytes())
}

fn digest_of(text: &[u8]) -> Option<[u8; 32]> {
    text::unhex(std::str::from_utf8(text).ok()?)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(path: &str, content: u8) -> ManifestEntry {
        let what = What::File { executable: false, size: 1, digest: [content; 32] };
        ManifestEntry { path: path.as_bytes().to_vec(), what }
    }

    #[test]
    fn a_difference_names_what_to_send_and_what_to_remove() {
        let old = Manifest::from_entries(vec![file("a", 1), file("b", 1), file("d/x", 1)]);
        let new = Manifest::from_entries(vec![file("a", 1), file("b", 2), file("d", 1)]);
        let (send, remove) = new.difference(&old);
        let sent: Vec<_> = send.iter().map(|entry| &entry.path[..]).collect();
        assert_eq!(sent, [&b"b"[..], b"d"]);
        assert_eq!(remove, [&b"b"[..], b"d/x"]);
    }

    fn entries() -> impl Strategy<Value = Vec<ManifestEntry>> {
        let path = proptest::collection::vec(1u8.., 1..20);
        let file = (any::<bool>(), any::<u64>(), any::<[u8; 32]>())
            .prop_map(|(executable, size, digest)| What::File { executable, size, digest });
        let link = proptest::collection::vec(1u8.., 0..20).prop_map(|target| What::Link { target });
        let entry = (path, prop_oneof![file, link, Just(What::EmptyDirectory)])
            .prop_map(|(path, what)| ManifestEntry { path, what });
        proptest::collection::vec(entry, 0..20)
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded_whatever_bytes_the_paths_hold(entries in entries()) {
            let manifest = Manifest::from_entries(entries);
            prop_assert_eq!(Manifest::decode(&manifest.encode()), Some(manifest));
        }

        #[test]
        fn other_bytes_are_no_manifest(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(Manifest::decode(&bytes), None);
        }
    }
}
