//! Writing files so that a crash leaves the old content or the new, never half of it; removing
//! directories whatever a job did to them.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
};

/// Replaces a file's content: a new file beside it, flushed, then renamed over it.
///
/// # Errors
///
/// What the operating system says; the old content is still there then, and nothing beside it.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    let beside = path.with_file_name(name);
    let written = File::create(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_data()?;
        std::fs::rename(&beside, path)
    });
    if written.is_err() {
        // The reason is in `written`; what cannot be removed either is replaced next time.
        let _ = std::fs::remove_file(&beside);
    }
    written?;
    match path.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Flushes a directory, so that a rename in it survives a power cut.
///
/// # Errors
///
/// What the operating system says.
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a directory and everything below it, also where a job has taken away its own right to
/// write. What is gone already is no error; symlinks are removed, never followed.
///
/// # Errors
///
/// What the operating system says about the first thing that stays.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
        other => return other,
    }
    allow_removal(path)?;
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Gives the owner every right to the directories below `path`.
fn allow_removal(path: &Path) -> io::Result<()> {
    let mut directories = vec![path.to_owned()];
    while let Some(directory) = directories.pop() {
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700))?;
        for entry in std::fs::read_dir(&directory)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                directories.push(entry.path());
            }
        }
    }
    Ok(())
}
