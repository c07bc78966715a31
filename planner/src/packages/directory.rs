//! A directory without git, as the planned tree: what is at a path of it.
//!
//! Follows no link. A tree in a repository is read by [`crate::git`].
#![expect(clippy::disallowed_methods, reason = "without git, the directory is the planned tree")]

use std::{
    fs, io,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

use super::tree::TreeEntry;
use crate::planned_tree::TreeError;

/// What a path meets first: a link or file on the way, or what is at its end.
pub(super) fn meet(root: &Path, path: &str) -> Result<Option<(String, TreeEntry)>, TreeError> {
    let mut met = String::new();
    for name in path.split('/').filter(|name| !name.is_empty()) {
        if !met.is_empty() {
            met.push('/');
        }
        met.push_str(name);
        let at = root.join(&met);
        match fs::symlink_metadata(&at) {
            Ok(found) if found.is_dir() => {}
            Ok(found) => return Ok(Some((met, of(found.file_type())))),
            Err(error) if not_there(&error) => return Ok(None),
            Err(error) => return Err(failed(&at, &error)),
        }
    }
    Ok(Some((met, TreeEntry::Directory)))
}

/// What a link says.
pub(super) fn link(root: &Path, path: &str) -> Option<Vec<u8>> {
    fs::read_link(root.join(path)).map(PathBuf::into_os_string).map(OsStringExt::into_vec).ok()
}

/// The names in a directory, sorted.
pub(super) fn list(root: &Path, dir: &str) -> Result<Vec<(String, TreeEntry)>, TreeError> {
    let at = root.join(dir);
    let entries = match fs::read_dir(&at) {
        Ok(entries) => entries,
        Err(error) if not_there(&error) => return Ok(Vec::new()),
        Err(error) => return Err(failed(&at, &error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| failed(&at, &error))?;
        let kind = entry.file_type().map_err(|error| failed(&entry.path(), &error))?;
        let name = entry.file_name().into_string();
        names.extend(name.ok().filter(|name| name != ".git").map(|name| (name, of(kind))));
    }
    names.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(names)
}

fn of(kind: fs::FileType) -> TreeEntry {
    if kind.is_dir() {
        TreeEntry::Directory
    } else if kind.is_symlink() {
        TreeEntry::Link
    } else {
        TreeEntry::File
    }
}

fn not_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn failed(path: &Path, error: &io::Error) -> TreeError {
    TreeError::Directory { path: path.display().to_string(), detail: error.to_string() }
}
