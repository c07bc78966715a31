//! Whole directories: copying, removing, taking write permission away. Never follows a symlink.

use std::{
    fs::{self, File},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink},
    },
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use rustix::fs::{AtFlags, Timespec, Timestamps, futimens, utimensat};

/// Copies a directory to a path that is not there yet: modes, times and symlinks as they are.
/// Shares the contents where the file system can. Sockets, pipes and devices are left out.
///
/// # Errors
///
/// The first thing the operating system refuses; what was copied until then is left.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let shares = AtomicBool::new(true);
    copy_directory(from, to, &shares)
}

/// Copies a layer of overlayfs over a directory that has no layers: what is in both gives way, directories apart, and
/// what is whited out goes. Contents are shared where the file system can; sockets, pipes and devices are left out.
///
/// # Errors
///
/// The first thing the operating system refuses; what was done until then is left.
pub fn lay(layer: &Path, onto: &Path) -> io::Result<()> {
    lay_directory(layer, onto, &AtomicBool::new(true))
}

fn lay_directory(layer: &Path, onto: &Path, shares: &AtomicBool) -> io::Result<()> {
    for entry in fs::read_dir(layer)? {
        let entry = entry?;
        let (from, to) = (entry.path(), onto.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() && fs::symlink_metadata(&to).is_ok_and(|below| below.is_dir()) {
            lay_directory(&from, &to, shares)?;
            continue;
        }
        // A whiteout is a character device 0/0.
        let is_whiteout = kind.is_char_device() && entry.metadata()?.rdev() == 0;
        if is_whiteout || oddity(kind).is_none() {
            remove(&to)?;
        }
        copy_entry(&entry, &to, shares)?;
    }
    be_like(&fs::symlink_metadata(layer)?, onto)
}

fn copy_directory(from: &Path, to: &Path, shares: &AtomicBool) -> io::Result<()> {
    let metadata = fs::symlink_metadata(from)?;
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy_entry(&entry, &to.join(entry.file_name()), shares)?;
    }
    be_like(&metadata, to)
}

/// Copies what a directory holds to a path that is not there yet.
fn copy_entry(entry: &fs::DirEntry, to: &Path, shares: &AtomicBool) -> io::Result<()> {
    let (from, kind) = (entry.path(), entry.file_type()?);
    if kind.is_dir() {
        copy_directory(&from, to, shares)
    } else if kind.is_symlink() {
        symlink(fs::read_link(&from)?, to)?;
        set_times(to, &entry.metadata()?)
    } else if kind.is_file() {
        copy_file(&from, to, shares)
    } else {
        Ok(())
    }
}

/// Gives a directory the mode and the times of another.
fn be_like(metadata: &fs::Metadata, to: &Path) -> io::Result<()> {
    fs::set_permissions(to, metadata.permissions())?;
    set_times(to, metadata)
}

fn copy_file(from: &Path, to: &Path, shares: &AtomicBool) -> io::Result<()> {
    let mut source = File::open(from)?;
    let metadata = source.metadata()?;
    let mut target =
        File::options().write(true).create_new(true).mode(metadata.mode() & 0o7777).open(to)?;
    let shared = shares.load(Ordering::Relaxed)
        && match rustix::fs::ioctl_ficlone(&target, &source) {
            Ok(()) => true,
            Err(_) => {
                // The file system cannot; no reason to ask for each file.
                shares.store(false, Ordering::Relaxed);
                false
            }
        };
    if !shared {
        io::copy(&mut source, &mut target)?;
    }
    // The mode at creation went through the umask.
    target.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    Ok(futimens(&target, &times(&metadata))?)
}

fn times(metadata: &fs::Metadata) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: metadata.atime(), tv_nsec: metadata.atime_nsec() },
        last_modification: Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() },
    }
}

fn set_times(path: &Path, metadata: &fs::Metadata) -> io::Result<()> {
    Ok(utimensat(rustix::fs::CWD, path, &times(metadata), AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Takes write permission from everything below and including a directory.
///
/// # Errors
///
/// The first thing the operating system refuses.
pub fn forbid_writing(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            forbid_writing(&entry.path())?;
        } else if kind.is_file() {
            without_write(&entry.path())?;
        }
    }
    without_write(dir)
}

fn without_write(path: &Path) -> io::Result<()> {
    let mode = fs::symlink_metadata(path)?.permissions().mode();
    fs::set_permissions(path, fs::Permissions::from_mode(mode & 0o7555))
}

/// Removes a directory with everything in it, whatever its modes say, and checks that it is gone.
/// Nothing there is fine.
///
/// # Errors
///
/// What the operating system refuses although the modes were changed.
pub fn remove(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match fs::symlink_metadata(dir) {
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(()),
            // Somebody else removed a part of it meanwhile.
            _ => fs::remove_dir_all(dir).or_else(not_found_is_fine),
        },
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // A job may have taken its own permissions away.
            allow_all(dir);
            fs::remove_dir_all(dir).or_else(not_found_is_fine)
        }
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => fs::remove_file(dir),
        Err(error) => Err(error),
    }
}

fn not_found_is_fine(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

fn allow_all(dir: &Path) {
    let _ = fs::set_permissions(dir, fs::Permissions::from_mode(0o700));
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            allow_all(&entry.path());
        }
    }
}

/// Returns a path for people in one line: control characters escaped, foreign bytes as `\xNN`.
#[must_use]
pub fn for_people(path: &Path) -> String {
    let mut text = String::new();
    for chunk in path.as_os_str().as_bytes().utf8_chunks() {
        text.extend(chunk.valid().chars().flat_map(|c| {
            let escape = c.is_control().then(|| c.escape_default());
            let plain = (!c.is_control()).then_some(c);
            escape.into_iter().flatten().chain(plain)
        }));
        text.extend(
            chunk
                .invalid()
                .iter()
                .flat_map(|byte| std::ascii::escape_default(*byte).map(char::from)),
        );
    }
    text
}

/// Returns what kind of thing an entry is that can be no artifact; `None`: a file, or a link.
#[must_use]
pub fn oddity(kind: fs::FileType) -> Option<&'static str> {
    if kind.is_fifo() {
        Some("a pipe")
    } else if kind.is_socket() {
        Some("a socket")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("a device")
    } else {
        None
    }
}
