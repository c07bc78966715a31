//! Files of this machine: writing them so that a crash leaves the old content or the new, never half of it. Directories
//! whatever a job did to them, whom a path may be trusted from, and the repository are modules of their own.

pub mod directory;
pub mod repository;
pub mod trust;

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    hash::{BuildHasher as _, RandomState},
    io::{self, Write as _},
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::Path,
};

/// Replaces a file's content: a new file beside it, flushed, then renamed over it. Several may do
/// it at once: each has a new file of its own, and the last rename counts. What is there and no
/// regular file (a device, a pipe) is written to; what a link leads to is replaced, not the link.
///
/// # Errors
///
/// What the operating system says; the old content is still there then, and nothing beside it.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    // One that is not there yet, or leads nowhere, is made.
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_owned());
    if std::fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return File::options().write(true).open(path)?.write_all(content);
    }
    // A file system's limit is 255 bytes, and what is behind the name takes some.
    let name = path.file_name().unwrap_or_default().as_bytes();
    let mut beside = OsString::from(".");
    beside.push(OsStr::from_bytes(&name[..name.len().min(200)]));
    // Process ids are no help: several containers may share the directory.
    let chance = RandomState::new().hash_one(std::process::id());
    beside.push(format!(".{chance:016x}.new"));
    let beside = path.with_file_name(beside);
    let written = File::create_new(&beside).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_data()?;
        std::fs::rename(&beside, path)
    });
    if written.is_err() {
        // The reason is in `written`.
        let _ = std::fs::remove_file(&beside);
    }
    written?;
    match path.parent() {
        // A bare name is in the working directory.
        Some(parent) if parent.as_os_str().is_empty() => sync_dir(Path::new(".")),
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

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn many_may_replace_a_file_at_once_and_it_is_always_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("a".repeat(255));
        replace(&path, &[b'0'; 10_000]).expect("written");
        std::thread::scope(|scope| {
            for writer in b'1'..=b'4' {
                let path = &path;
                scope.spawn(move || {
                    for _ in 0..20 {
                        replace(path, &[writer; 10_000]).expect("written");
                        let content = std::fs::read(path).expect("readable");
                        assert_eq!(content.len(), 10_000);
                        assert!(
                            content.iter().all(|byte| *byte == content[0]),
                            "two writers mixed"
                        );
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
    }

    #[test]
    fn what_is_no_regular_file_is_written_to_and_stays_what_it_is() {
        let dir = tempfile::tempdir().expect("made");
        let pipe = dir.path().join("pipe");
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0)
            .expect("made");
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || {
                let mut text = String::new();
                File::open(pipe).and_then(|mut file| file.read_to_string(&mut text)).expect("read");
                text
            }
        });
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&pipe, &link).expect("made");
        replace(&link, b"through").expect("written");
        assert_eq!(reader.join().expect("it ends"), "through");
        assert!(link.symlink_metadata().expect("there").is_symlink());
        let file = dir.path().join("file");
        replace(&file, b"one").expect("written");
        replace(&file, b"two").expect("written");
        assert_eq!(std::fs::read(&file).expect("there"), b"two");
        assert_eq!(dir.path().read_dir().expect("there").count(), 3, "nothing beside it");
    }
}
