//! What a job wrote above a cache that it saw as layers, put into one directory.
//!
//! `lower` holds links to the files of what was kept, which are never written to: what is above is moved into it, and
//! what the job removed is removed there, as overlayfs notes it (the kernel's `Documentation/filesystems/overlayfs.rst`).

use std::{
    fs, io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _},
    path::Path,
};

use rustix::{
    fs::{AtFlags, CWD, Timespec, Timestamps, lgetxattr, utimensat},
    io::Errno,
};

use crate::directory;

/// Makes `data` of `lower` and `upper`, where there are these.
///
/// # Errors
///
/// When something of it cannot be read or moved, or is noted in a way that is not known here.
pub(super) fn fold(dir: &Path) -> io::Result<()> {
    let (lower, upper, data) = (dir.join("lower"), dir.join("upper"), dir.join("data"));
    if !upper.is_dir() || data.symlink_metadata().is_ok() {
        return Ok(());
    }
    fold_directory(&lower, &upper)?;
    fs::rename(&lower, &data)
}

fn fold_directory(lower: &Path, upper: &Path) -> io::Result<()> {
    for entry in fs::read_dir(upper)? {
        let entry = entry?;
        let (from, to) = (entry.path(), lower.join(entry.file_name()));
        let metadata = entry.metadata()?;
        let kind = metadata.file_type();
        if kind.is_char_device() && metadata.rdev() == 0 {
            remove(&to)?;
        } else if kind.is_dir() {
            if note(&from, "redirect")?.is_some() {
                return Err(io::Error::other("a directory was moved in a way that is not known"));
            }
            let is_new = note(&from, "opaque")?.is_some();
            if is_new || !to.symlink_metadata().is_ok_and(|found| found.is_dir()) {
                remove(&to)?;
                fs::create_dir(&to)?;
            }
            fold_directory(&to, &from)?;
            fs::set_permissions(&to, metadata.permissions())?;
            utimensat(CWD, &to, &times(&metadata), AtFlags::empty())?;
        } else {
            if kind.is_file() && note(&from, "metacopy")?.is_some() {
                return Err(io::Error::other("a file is above its content"));
            }
            remove(&to)?;
            fs::rename(&from, &to)?;
        }
    }
    Ok(())
}

fn times(of: &fs::Metadata) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: of.atime(), tv_nsec: of.atime_nsec() },
        last_modification: Timespec { tv_sec: of.mtime(), tv_nsec: of.mtime_nsec() },
    }
}

/// Returns what overlayfs noted about something; a mount of a user has its notes in the user's own attributes.
fn note(path: &Path, name: &str) -> io::Result<Option<()>> {
    for space in ["trusted", "user"] {
        let mut value = [0; 1];
        match lgetxattr(path, format!("{space}.overlay.{name}"), &mut value[..]) {
            Ok(_) | Err(Errno::RANGE) => return Ok(Some(())),
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => directory::remove(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_takes_the_place_of_what_was_kept_and_shares_no_file_with_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |path: &str| dir.path().join(path);
        for path in ["kept/a", "lower/d", "upper/d", "upper/new"] {
            fs::create_dir_all(at(path)).expect("made");
        }
        fs::write(at("kept/one"), "old").expect("written");
        fs::hard_link(at("kept/one"), at("lower/d/one")).expect("linked");
        fs::write(at("lower/same"), "same").expect("written");
        fs::write(at("upper/d/one"), "new").expect("written");
        fs::write(at("upper/new/two"), "two").expect("written");
        fold(dir.path()).expect("folded");
        let read = |path: &str| fs::read_to_string(at(path)).expect("there");
        assert_eq!(
            [read("data/d/one"), read("data/new/two"), read("data/same")],
            ["new", "two", "same"]
        );
        assert_eq!(read("kept/one"), "old");
        assert!(!at("lower").exists());
    }

    #[test]
    fn without_layers_nothing_is_folded() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("data")).expect("made");
        fold(dir.path()).expect("nothing to do");
        assert!(dir.path().join("data").is_dir());
    }
}
