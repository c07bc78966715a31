//! What a tree on this machine holds: kind, object and size of each path, in a file beside it.

use std::{
    fs, io,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::Path,
};

use plans::FileMode;

use super::git::Entry;

/// The entries of a tree that was made, sorted by path, with their sizes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Listing(pub(super) Vec<(Entry, u64)>);

impl Listing {
    /// Writes it: `KIND OBJECT SIZE PATH\0` for each.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = Vec::new();
        for (entry, size) in &self.0 {
            let kind = match entry.kind {
                FileMode::File => 'f',
                FileMode::Executable => 'x',
                FileMode::Symlink => 'l',
                FileMode::Submodule => 's',
            };
            text.extend_from_slice(format!("{kind} {} {size} ", entry.object).as_bytes());
            text.extend_from_slice(&entry.path);
            text.push(0);
        }
        fs::write(path, text)
    }

    /// Reads one; `None` when it is not whole.
    pub(super) fn read(path: &Path) -> Option<Self> {
        let text = fs::read(path).ok()?;
        let Some(text) = text.strip_suffix(b"\0") else {
            return text.is_empty().then(|| Self(Vec::new()));
        };
        text.split(|byte| *byte == 0)
            .map(|line| {
                let mut words = line.splitn(4, |byte| *byte == b' ');
                let kind = match words.next()? {
                    b"f" => FileMode::File,
                    b"x" => FileMode::Executable,
                    b"l" => FileMode::Symlink,
                    b"s" => FileMode::Submodule,
                    _ => return None,
                };
                let object = std::str::from_utf8(words.next()?).ok()?.into();
                let size = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
                Some((Entry { path: words.next()?.into(), kind, object }, size))
            })
            .collect::<Option<_>>()
            .map(Self)
    }

    /// Returns how many entries are the same in a tree that is to be made.
    pub(super) fn shared_with(&self, wanted: &[Entry]) -> usize {
        let mut have = self.0.iter().peekable();
        let mut shared = 0;
        for wanted in wanted {
            while have.next_if(|(entry, _)| entry.path < wanted.path).is_some() {}
            if have.peek().is_some_and(|(entry, _)| entry == wanted) {
                shared += 1;
            }
        }
        shared
    }

    /// Returns whether everything is there with its size.
    pub(super) fn is_at(&self, dir: &Path) -> bool {
        self.0.iter().all(|(entry, size)| {
            let path = dir.join(std::ffi::OsStr::from_bytes(&entry.path));
            fs::symlink_metadata(path).is_ok_and(|found| match entry.kind {
                FileMode::Submodule => found.is_dir(),
                FileMode::Symlink => found.is_symlink() && found.size() == *size,
                FileMode::File | FileMode::Executable => found.is_file() && found.size() == *size,
            })
        })
    }
}
