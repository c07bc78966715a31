//! The id that git gives to a tree of some files, computed in memory.
//!
//! A tree object lists its entries by name, a directory's as if it ended in `/` (git's
//! `base_name_compare` in `read-cache.c`); its id is the hash of that list. Modes are those of
//! git's index, and a directory that holds no file is in no tree, as `git write-tree` has it.

use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::{ObjectId, document::hex};

/// What a tree says of a file, beside its name and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileMode {
    /// `100644`, and old `100664`.
    File,
    /// `100755`.
    Executable,
    /// `120000`.
    Symlink,
    /// `160000`: a commit of another repository.
    Submodule,
}

impl FileMode {
    fn octal(self) -> &'static str {
        match self {
            Self::File => "100644",
            Self::Executable => "100755",
            Self::Symlink => "120000",
            Self::Submodule => "160000",
        }
    }
}

/// The mode of a directory.
const DIRECTORY: &str = "40000";

/// The hash with which a repository names its objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectHash {
    /// 20 bytes.
    Sha1,
    /// 32 bytes.
    Sha256,
}

impl ObjectHash {
    /// Returns the hash that an id was made with.
    #[must_use]
    pub fn of(id: &ObjectId) -> Self {
        if id.as_str().len() == 40 { Self::Sha1 } else { Self::Sha256 }
    }

    fn tree(self, entries: &[u8]) -> Vec<u8> {
        let header = format!("tree {}\0", entries.len());
        let parts = [header.as_bytes(), entries];
        match self {
            Self::Sha1 => {
                parts.iter().fold(Sha1::new(), |it, part| it.chain_update(part)).finalize().to_vec()
            }
            Self::Sha256 => parts
                .iter()
                .fold(Sha256::new(), |it, part| it.chain_update(part))
                .finalize()
                .to_vec(),
        }
    }
}

/// Files come in one by one, the id of their tree out.
#[derive(Debug)]
pub struct TreeId {
    hash: ObjectHash,
    /// The entries of the root, and of each directory on the way to the last file.
    open: Vec<Vec<u8>>,
    /// The names of these directories, without the root's.
    names: Vec<Box<[u8]>>,
}

impl TreeId {
    /// Begins with an empty tree.
    #[must_use]
    pub fn new(hash: ObjectHash) -> Self {
        Self { hash, open: vec![Vec::new()], names: Vec::new() }
    }

    /// Adds a file. Paths come in ascending order of their bytes; `id` is the object's id, as
    /// bytes.
    pub fn add(&mut self, path: &[u8], mode: FileMode, id: &[u8]) {
        let name = self.open_above(path);
        self.entry(mode.octal(), name, id);
    }

    /// Adds all of a directory, of which the tree's id is known, in place of its files. The tree has
    /// to be one that files of it would give: [`TreeId::is_plain_mode`] of each mode, none without an entry.
    pub fn add_directory(&mut self, path: &[u8], id: &[u8]) {
        let name = self.open_above(path);
        self.entry(DIRECTORY, name, id);
    }

    /// Returns whether a mode is written as in a tree that was made of files.
    #[must_use]
    pub fn is_plain_mode(written: &[u8]) -> bool {
        matches!(written, b"100644" | b"100755" | b"120000" | b"160000" | b"40000")
    }

    /// Opens the directories that a path is in, and returns its last component.
    fn open_above<'p>(&mut self, path: &'p [u8]) -> &'p [u8] {
        let mut components = path.split(|&byte| byte == b'/');
        let name = components.next_back().unwrap_or_default();
        let directories: Vec<&[u8]> = components.collect();
        let same = self.names.iter().zip(&directories).take_while(|(a, b)| ***a == ***b).count();
        self.close(same);
        for directory in &directories[same..] {
            self.names.push((*directory).into());
            self.open.push(Vec::new());
        }
        name
    }

    /// Returns the id of the tree of all files that were added.
    #[must_use]
    pub fn finish(mut self) -> ObjectId {
        self.close(0);
        let id = self.hash.tree(self.open.first().map_or(&[], Vec::as_slice));
        ObjectId::new(hex(&id)).expect("a hash is 40 or 64 digits")
    }

    fn close(&mut self, keep: usize) {
        while self.names.len() > keep
            && let (Some(name), Some(entries)) = (self.names.pop(), self.open.pop())
        {
            let id = self.hash.tree(&entries);
            self.entry(DIRECTORY, &name, &id);
        }
    }

    fn entry(&mut self, mode: &str, name: &[u8], id: &[u8]) {
        if let Some(entries) = self.open.last_mut() {
            entries.extend_from_slice(mode.as_bytes());
            entries.push(b' ');
            entries.extend_from_slice(name);
            entries.push(0);
            entries.extend_from_slice(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_without_files_is_gits_empty_tree() {
        // `git hash-object -t tree /dev/null`, in repositories of both kinds.
        let empty = |hash| TreeId::new(hash).finish().to_string();
        assert_eq!(empty(ObjectHash::Sha1), "4b825dc642cb6eb9a060e54bf8d69288fbee4904");
        assert_eq!(
            empty(ObjectHash::Sha256),
            "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321"
        );
    }

    #[test]
    fn the_plain_modes_are_those_that_trees_are_made_with() {
        use FileMode::{Executable, File, Submodule, Symlink};
        for mode in [File, Executable, Symlink, Submodule].map(FileMode::octal) {
            assert!(TreeId::is_plain_mode(mode.as_bytes()), "{mode}");
        }
        assert!(TreeId::is_plain_mode(DIRECTORY.as_bytes()));
        for odd in ["100664", "040000", "0100644", "", "100600"] {
            assert!(!TreeId::is_plain_mode(odd.as_bytes()), "{odd}");
        }
    }

    #[test]
    fn directories_are_trees_of_their_own() {
        // `printf a | git hash-object --stdin`, then `git update-index --add --cacheinfo`,
        // `git write-tree`.
        let blob = [
            0x2e, 0x65, 0xef, 0xe2, 0xa1, 0x45, 0xdd, 0xa7, 0xee, 0x51, 0xd1, 0x74, 0x12, 0x99,
            0xf8, 0x48, 0xe5, 0xbf, 0x75, 0x2e,
        ];
        let mut tree = TreeId::new(ObjectHash::Sha1);
        for (path, mode) in [
            ("a.b", FileMode::File),
            ("a/b", FileMode::Executable),
            ("a/c/d", FileMode::File),
            ("a0", FileMode::Symlink),
        ] {
            tree.add(path.as_bytes(), mode, &blob);
        }
        assert_eq!(tree.finish().as_str(), "5b8bf5e9beb5e1aa5dc047da446d3958d4418824");
    }
}
