//! Trees that are no longer needed: which they are, how much room they take, and removing them
//! while others may be about to use one.
//!
//! A tree is removed only under the lock its makers take and the lock its users share, and leaves
//! its name first: whoever wants it afterwards makes it anew. Does not know which runs there are;
//! that is said by the caller.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use super::layers;
use crate::directory;

/// A tree, or the remains of one, that can go.
#[derive(Debug)]
pub(crate) struct Unused {
    path: PathBuf,
    /// Its name, for people.
    pub(crate) name: String,
    /// The bytes that its removal gives back: files it shares with other trees are theirs.
    pub(crate) bytes: u64,
}

/// What an entry of the directory of trees is.
enum Found<'a> {
    /// A tree, by its id.
    Tree(&'a str),
    /// A tree in the making, by its id.
    Making(&'a str),
    /// A tree on its way out.
    Leaving,
    /// The lock of somebody who makes a tree, by its id.
    Lock(&'a str),
}

const MAKING: &str = ".new-";
const LEAVING: &str = ".old-";
const LOCK: &str = ".lock.";

/// Returns what begins the name of a tree in the making.
pub(super) fn making(id: &str) -> String {
    format!("{MAKING}{id}")
}

/// Returns the name of the lock that the maker of a tree holds.
pub(super) fn lock(id: &str) -> String {
    format!("{LOCK}{id}")
}

impl<'a> Found<'a> {
    fn of(name: &'a str) -> Option<Self> {
        if let Some(id) = name.strip_prefix(MAKING) {
            Some(Self::Making(id))
        } else if let Some(id) = name.strip_prefix(LOCK) {
            Some(Self::Lock(id))
        } else if name.starts_with(LEAVING) {
            Some(Self::Leaving)
        } else {
            (!name.starts_with('.')).then_some(Self::Tree(name))
        }
    }
}

/// Returns what is in a directory of trees that nobody uses or makes and that is made from none of
/// the `wanted` tree objects, the biggest first. Without a directory there is nothing.
///
/// # Errors
///
/// When the directory cannot be read.
pub(crate) fn unused(trees: &Path, wanted: &BTreeSet<String>) -> io::Result<Vec<Unused>> {
    let entries = match fs::read_dir(trees) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut names = BTreeSet::new();
    for entry in entries {
        // A name of ours is ASCII; anything else is somebody else's.
        names.extend(entry?.file_name().into_string().ok());
    }
    // What is wanted in layers needs the tree below it.
    let below = |name: &String| {
        let (object, _) = name.split_once('-').filter(|_| layers::is_name(name))?;
        layers::base(&trees.join(name)).filter(|_| wanted.contains(object))
    };
    let bases: BTreeSet<String> = names.iter().filter_map(below).collect();
    let is_free = |id: &str| Locks::take(trees, id).is_ok_and(|locks| locks.is_some());
    let mut sizes = Sizes::default();
    let mut unused = Vec::new();
    for name in names {
        let path = trees.join(&name);
        let free = match Found::of(&name) {
            Some(Found::Tree(id)) => {
                let object = id.split('-').next().unwrap_or(id);
                !wanted.contains(object) && !bases.contains(id) && is_free(id)
            }
            Some(Found::Making(id)) => is_free(id),
            // Looking at it is all it takes.
            Some(Found::Lock(id)) => {
                is_free(id);
                false
            }
            Some(Found::Leaving) => true,
            None => false,
        };
        if free {
            let bytes = sizes.of(&path);
            unused.push(Unused { path, name, bytes });
        }
    }
    unused.sort_by_key(|unused| std::cmp::Reverse(unused.bytes));
    Ok(unused)
}

/// Removes one thing that [`unused`] listed; `false`: somebody has taken it into use since.
///
/// # Errors
///
/// What the operating system refuses.
pub(crate) fn remove(unused: &Unused) -> io::Result<bool> {
    let trees = unused.path.parent().unwrap_or(Path::new("/"));
    match Found::of(&unused.name) {
        Some(Found::Tree(id)) => {
            let Some(_locks) = Locks::take(trees, id)? else { return Ok(false) };
            let leaving = trees.join(format!("{LEAVING}{}-{id}", std::process::id()));
            match fs::rename(&unused.path, &leaving) {
                // Another collection was faster.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
                other => other?,
            }
            directory::remove(&leaving)?;
        }
        Some(Found::Making(id)) => {
            let Some(_locks) = Locks::take(trees, id)? else { return Ok(false) };
            directory::remove(&unused.path)?;
        }
        Some(Found::Leaving) => directory::remove(&unused.path)?,
        Some(Found::Lock(_)) | None => {}
    }
    Ok(true)
}

/// Both locks of a tree, held alone. The makers' one is taken first, by everybody who takes both: a
/// user who meets the other one goes to wait there, and then finds the tree or makes it.
struct Locks {
    making: PathBuf,
    _held: File,
    using: Option<File>,
}

impl Locks {
    /// Takes them if nobody makes or uses the tree at this moment.
    fn take(trees: &Path, id: &str) -> io::Result<Option<Self>> {
        let making = trees.join(lock(id));
        let held = File::options().append(true).create(true).open(&making)?;
        if held.try_lock().is_err() || !is_same(&held, &making) {
            return Ok(None);
        }
        let mut locks = Self { making, _held: held, using: None };
        match File::open(trees.join(id).join("use")) {
            Ok(using) if using.try_lock().is_ok() => locks.using = Some(using),
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Some(locks))
    }
}

impl Drop for Locks {
    fn drop(&mut self) {
        self.using = None;
        // Still locked: whoever waits for it sees that it is about nothing and makes its own.
        let _ = fs::remove_file(&self.making);
    }
}

/// Whether a file that was opened is the one that has its name.
pub(super) fn is_same(file: &File, path: &Path) -> bool {
    let inode = |found: fs::Metadata| (found.dev(), found.ino());
    match (file.metadata(), fs::metadata(path)) {
        (Ok(held), Ok(named)) => inode(held) == inode(named),
        _ => false,
    }
}

/// Measures directories that share files with each other and with others.
#[derive(Default)]
struct Sizes {
    /// How many names of a file were met, of those that have several.
    met: BTreeMap<(u64, u64), u64>,
}

impl Sizes {
    /// Returns the bytes that go with `path`; a file goes with the last of its names.
    fn of(&mut self, path: &Path) -> u64 {
        let Ok(found) = fs::symlink_metadata(path) else { return 0 };
        let mut bytes = found.blocks() * 512;
        if found.is_dir() {
            for entry in fs::read_dir(path).into_iter().flatten().flatten() {
                bytes += self.of(&entry.path());
            }
        } else if found.nlink() > 1 {
            let met = self.met.entry((found.dev(), found.ino())).or_default();
            *met += 1;
            if *met < found.nlink() {
                bytes = 0;
            }
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn names(trees: &Path, wanted: &[&str]) -> Vec<String> {
        let wanted = wanted.iter().map(|&id| id.to_owned()).collect();
        let mut names: Vec<String> =
            unused(trees, &wanted).expect("readable").into_iter().map(|u| u.name).collect();
        names.sort();
        names
    }

    fn tree(trees: &Path, id: &str) {
        fs::create_dir_all(trees.join(id).join("files")).expect("made");
        fs::write(trees.join(id).join("use"), "").expect("written");
    }

    #[test]
    fn what_nobody_wants_or_uses_is_listed_and_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        let trees = dir.path();
        for id in ["aa", "aa-x12", "bb", "cc-cdd", "ee"] {
            tree(trees, id);
        }
        for path in [".new-ff", ".new-gg", ".old-1-hh"] {
            fs::create_dir(trees.join(path)).expect("made");
        }
        fs::write(trees.join(".lock.gg"), "").expect("written");
        fs::write(trees.join(".lock.ii"), "").expect("written");
        let used = File::open(trees.join("bb/use")).expect("there");
        used.lock_shared().expect("locked");
        let made = File::open(trees.join(".lock.gg")).expect("there");
        made.lock().expect("locked");
        assert_eq!(names(trees, &["aa"]), [".new-ff", ".old-1-hh", "cc-cdd", "ee"]);
        assert!(!trees.join(".lock.ii").exists(), "nobody holds it");
        let listed = unused(trees, &BTreeSet::from(["aa".to_owned()])).expect("readable");
        // Taken into use between the look and the removal.
        let late = File::open(trees.join("ee/use")).expect("there");
        late.lock_shared().expect("locked");
        for one in &listed {
            assert_eq!(remove(one).expect("removed"), one.name != "ee", "{}", one.name);
        }
        drop(late);
        assert_eq!(names(trees, &["aa"]), ["ee"]);
        drop((used, made));
        assert_eq!(names(trees, &[]), [".new-gg", "aa", "aa-x12", "bb", "ee"]);
    }

    #[test]
    fn a_file_that_two_trees_share_goes_with_the_last_of_them() {
        let dir = tempfile::tempdir().expect("a directory");
        for id in ["aa", "bb"] {
            tree(dir.path(), id);
        }
        let file = dir.path().join("aa/files/big");
        fs::write(&file, vec![1; 1 << 20]).expect("written");
        fs::hard_link(&file, dir.path().join("bb/files/big")).expect("linked");
        let bytes = |wanted: &[&str]| -> u64 {
            let wanted = wanted.iter().map(|&id| id.to_owned()).collect();
            unused(dir.path(), &wanted).expect("readable").iter().map(|u| u.bytes).sum()
        };
        assert!(bytes(&["aa"]) < 1 << 20, "`aa` keeps it");
        let both = bytes(&[]);
        assert!((1 << 20..2 << 20).contains(&both), "{both}");
    }
}
