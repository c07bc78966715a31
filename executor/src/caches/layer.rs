//! What a job wrote above a cache that it saw as layers, put into one directory.
//!
//! `lower` holds links to the files of what was kept, which are never written to. What is above, and what of `lower` is
//! neither removed nor replaced, is moved into a directory of its own, as overlayfs notes it (the kernel's
//! `Documentation/filesystems/overlayfs.rst`): a directory that was renamed says where below it was.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs, io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _, chown},
    },
    path::{Component, Path, PathBuf},
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
/// When something of it cannot be read or moved, or is noted in a way that is not known here; or when that was begun
/// before and not ended.
pub(super) fn fold(dir: &Path) -> io::Result<()> {
    let (lower, upper, data) = (dir.join("lower"), dir.join("upper"), dir.join("data"));
    if !upper.is_dir() || data.symlink_metadata().is_ok() {
        return Ok(());
    }
    let folded = dir.join("folded");
    fs::create_dir(&folded)?;
    fold_directory(&lower, Some(&lower), &upper, &folded)?;
    directory::remove(&upper)?;
    directory::remove(&lower)?;
    fs::rename(&folded, &data)
}

/// Moves into the empty directory `to` what a job saw of `upper` above `lower`; `root` is the lowest of these.
fn fold_directory(root: &Path, lower: Option<&Path>, upper: &Path, to: &Path) -> io::Result<()> {
    let seen = fs::metadata(upper)?;
    open(upper)?;
    let mut above = BTreeSet::new();
    for entry in fs::read_dir(upper)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        above.insert(entry.file_name());
        let metadata = entry.metadata()?;
        let kind = metadata.file_type();
        if kind.is_char_device() && metadata.rdev() == 0 {
            continue;
        }
        if kind.is_dir() {
            let below = below(root, lower, &from)?;
            fs::create_dir(&to)?;
            fold_directory(root, below.as_deref(), &from, &to)?;
        } else {
            if kind.is_file() && note(&from, "metacopy")?.is_some() {
                return Err(io::Error::other("a file is above its content"));
            }
            fs::rename(&from, &to)?;
        }
    }
    if let Some(lower) = lower {
        open(lower)?;
        for entry in fs::read_dir(lower)? {
            let entry = entry?;
            if !above.contains(&entry.file_name()) {
                move_whole(&entry.path(), &to.join(entry.file_name()))?;
            }
        }
    }
    let made = fs::metadata(to)?;
    if (made.uid(), made.gid()) != (seen.uid(), seen.gid()) {
        chown(to, Some(seen.uid()), Some(seen.gid()))?;
    }
    fs::set_permissions(to, seen.permissions())?;
    Ok(utimensat(CWD, to, &times(&seen), AtFlags::empty())?)
}

/// Returns the directory that one of `upper` is above of, where there is one.
fn below(root: &Path, lower: Option<&Path>, upper: &Path) -> io::Result<Option<PathBuf>> {
    if note(upper, "opaque")?.as_deref() == Some(b"y") {
        return Ok(None);
    }
    let Some(moved) = note(upper, "redirect")? else {
        let name = upper.file_name().unwrap_or_default();
        let same = lower.map(|lower| lower.join(name));
        return Ok(same.filter(|same| same.symlink_metadata().is_ok_and(|it| it.is_dir())));
    };
    let moved = Path::new(OsStr::from_bytes(&moved));
    // From the root, or from the directory that the one which it is in is above of.
    let (from, path) = match moved.strip_prefix("/") {
        Ok(path) => (Some(root), path),
        Err(_) => (lower, moved),
    };
    let is_plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    let found = from.filter(|_| is_plain).map(|from| from.join(path));
    let found = found.filter(|it| it.symlink_metadata().is_ok_and(|it| it.is_dir()));
    found.map(Some).ok_or_else(|| io::Error::other("what a renamed directory was is not there"))
}

/// Lets things be moved out of a directory, and itself.
fn open(dir: &Path) -> io::Result<u32> {
    let mode = fs::metadata(dir)?.mode();
    if mode & 0o700 != 0o700 {
        fs::set_permissions(dir, fs::Permissions::from_mode(mode & 0o7777 | 0o700))?;
    }
    Ok(mode & 0o7777)
}

fn move_whole(from: &Path, to: &Path) -> io::Result<()> {
    if !from.symlink_metadata()?.is_dir() {
        return fs::rename(from, to);
    }
    let mode = open(from)?;
    fs::rename(from, to)?;
    fs::set_permissions(to, fs::Permissions::from_mode(mode))
}

fn times(of: &fs::Metadata) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: of.atime(), tv_nsec: of.atime_nsec() },
        last_modification: Timespec { tv_sec: of.mtime(), tv_nsec: of.mtime_nsec() },
    }
}

/// Returns what overlayfs noted about something; a mount of a user has its notes in the user's own attributes.
fn note(path: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    for space in ["trusted", "user"] {
        let mut value = [0; 4096];
        match lgetxattr(path, format!("{space}.overlay.{name}"), &mut value[..]) {
            Ok(length) => return Ok(Some(value[..length].to_vec())),
            Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
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
    fn a_renamed_directory_has_what_it_had_below_and_what_was_written_since() {
        let dir = tempfile::tempdir().expect("a directory");
        let at = |path: &str| dir.path().join(path);
        for path in ["lower/a/deep", "lower/b", "upper/new/moved", "upper/b", "upper/a"] {
            fs::create_dir_all(at(path)).expect("made");
        }
        for path in ["lower/a/deep/one", "lower/a/two", "lower/b/three", "upper/new/moved/four"] {
            fs::write(at(path), path).expect("written");
        }
        let noted = [
            ("upper/new/moved", "redirect", "/a/deep"),
            ("upper/a", "opaque", "y"),
            ("upper/b", "opaque", "y"),
            ("upper/new", "redirect", "a"),
        ];
        for (path, name, value) in noted {
            let name = format!("user.overlay.{name}");
            let flags = rustix::fs::XattrFlags::empty();
            match rustix::fs::lsetxattr(at(path), name, value.as_bytes(), flags) {
                // A file system without such attributes has no layers either.
                Err(Errno::OPNOTSUPP) => return,
                set => set.expect("set"),
            }
        }
        fs::set_permissions(at("lower/a/deep"), fs::Permissions::from_mode(0o555)).expect("set");
        fold(dir.path()).expect("folded");
        let found = |path: &str| fs::read_dir(at(path)).expect("readable").count();
        assert_eq!(
            fs::read_to_string(at("data/new/moved/one")).expect("there"),
            "lower/a/deep/one"
        );
        assert!(at("data/new/moved/four").exists() && at("data/new/two").exists());
        assert_eq!((found("data/a"), found("data/b"), found("data/new")), (0, 0, 3));
    }

    #[test]
    fn without_layers_nothing_is_folded() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("data")).expect("made");
        fold(dir.path()).expect("nothing to do");
        assert!(dir.path().join("data").is_dir());
    }
}
