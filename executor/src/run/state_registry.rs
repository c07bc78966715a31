//! Which state directories of this user have runs on this machine: noted when a plan is run,
//! read by `gc`, since all of them share the source trees of the machine.

use std::{
    fs, io,
    os::unix::ffi::{OsStrExt as _, OsStringExt as _},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use crate::{files, state::StateDir};

/// The directory of notes: one file for each state directory, which holds its path.
fn notes(machine_dir: &Path) -> PathBuf {
    machine_dir.join("states")
}

/// Notes a state directory, once.
///
/// # Errors
///
/// What the operating system says.
pub fn note(machine_dir: &Path, state: &StateDir) -> io::Result<()> {
    let path = state.path().as_os_str().as_bytes();
    let name: String =
        Sha256::digest(path).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let note = notes(machine_dir).join(name);
    if note.exists() {
        return Ok(());
    }
    fs::create_dir_all(notes(machine_dir))?;
    files::replace(&note, path)
}

/// Returns the state directories that were noted and are still there; forgets the others.
///
/// # Errors
///
/// What the operating system says.
pub fn all(machine_dir: &Path) -> io::Result<Vec<StateDir>> {
    let entries = match fs::read_dir(notes(machine_dir)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let note = entry?.path();
        let Ok(path) = fs::read(&note) else { continue };
        let path = PathBuf::from(std::ffi::OsString::from_vec(path));
        if path.is_dir() {
            found.push(StateDir::at(path));
        } else {
            // It is gone with its runs; if it comes back, its next run notes it again.
            let _ = fs::remove_file(&note);
        }
    }
    Ok(found)
}
