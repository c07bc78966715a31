//! Caches of a job: named directories that outlive a run, as data.
//!
//! A cache makes a job faster and must not decide its result, so nothing of it is part of a
//! [`Key`](crate::Key). Which files an exact key is made of is the planner's to find; where caches
//! lie, who may read them and how they are given to a job is the executor's.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AbsolutePath, CacheName, FileMode, InvalidText, Key, WorkspacePath, paths_overlap};

/// A named directory that outlives a run.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// What it is called; jobs that name the same one share it.
    pub name: CacheName,
    /// Where the job finds it.
    pub path: CachePath,
    /// Globs of the files of the tree that its exact key is made of, sorted; absent: none, and every
    /// cache of that name is an exact one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Whether the newest one of the same name stands for one with the exact key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub fallback: bool,
    /// The most MiB that are kept of it; absent: the executor's site decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_mib: Option<u64>,
    /// After which ends of the job it is kept; absent: `passed`.
    #[serde(default, skip_serializing_if = "CacheSave::is_passed")]
    pub save: CacheSave,
    /// Whether only one job of a machine has it at a time, from when it is given out to when it is
    /// kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exclusive: bool,
}

/// Where a job finds a cache.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, schemars::JsonSchema)]
#[schemars(untagged)]
pub enum CachePath {
    /// Below its workspace.
    Workspace(WorkspacePath),
    /// Anywhere in its guest.
    Guest(AbsolutePath),
}

impl CachePath {
    /// Checks `text` and takes it over: with `/` in front it is a path of the guest.
    ///
    /// # Errors
    ///
    /// [`InvalidText`] says what is wrong with the path.
    pub fn new(text: String) -> Result<Self, InvalidText> {
        if text.starts_with('/') {
            AbsolutePath::new(text).map(Self::Guest)
        } else {
            WorkspacePath::new(text).map(Self::Workspace)
        }
    }

    /// Returns the path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Self::Workspace(path) => path.as_str(),
            Self::Guest(path) => path.as_str(),
        }
    }

    /// Returns where below the workspace it is; nothing where it is elsewhere in a guest.
    #[must_use]
    pub fn in_workspace(&self) -> Option<&WorkspacePath> {
        match self {
            Self::Workspace(path) => Some(path),
            Self::Guest(_) => None,
        }
    }

    /// Returns whether one of the two is the other, or below it.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        paths_overlap(self.as_str(), other.as_str())
    }

    /// Returns whether it is in git's own directory.
    #[must_use]
    pub fn is_of_git(&self) -> bool {
        matches!(self, Self::Workspace(path) if crate::FilesFrom::is_of_git(path))
    }
}

impl fmt::Display for CachePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for CachePath {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for CachePath {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// After which ends of a job its cache is kept.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CacheSave {
    /// When it passed.
    #[default]
    Passed,
    /// However it ended.
    Always,
    /// Never: it only reads.
    Never,
}

impl CacheSave {
    /// Every word, the default first.
    pub const ALL: [Self; 3] = [Self::Passed, Self::Always, Self::Never];

    /// Returns the word used in catalogs and plans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Always => "always",
            Self::Never => "never",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    fn is_passed(&self) -> bool {
        *self == Self::Passed
    }
}

/// Whose caches a run may use: a branch reads its own, then the default branch's, and writes its own.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum CacheScope {
    /// The default branch.
    DefaultBranch,
    /// Another branch, by its name.
    Branch(String),
    /// A request to merge, by its number: of no branch, whatever its own is called.
    Request(String),
}

/// The exact key of a cache in the making: a digest over files, given in the order of their paths.
#[derive(Debug, Clone, Default)]
pub struct CacheKey(Option<Vec<u8>>);

impl CacheKey {
    /// Adds a file: its path, its mode, and git's id of its content.
    pub fn add(&mut self, path: &[u8], mode: FileMode, object: &[u8]) {
        let text = self.0.get_or_insert_default();
        text.push(match mode {
            FileMode::File => b'f',
            FileMode::Executable => b'x',
            FileMode::Symlink => b'l',
            FileMode::Submodule => b's',
        });
        text.extend(object);
        text.extend(path);
        text.push(0);
    }

    /// Returns the key; nothing when no file was added.
    #[must_use]
    pub fn finish(self) -> Option<Key> {
        Some(Key::of(&self.0?))
    }

    /// Returns the key of a cache that no file decides.
    #[must_use]
    pub fn of_nothing() -> Key {
        Key::of(b"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> CachePath {
        CachePath::new(text.to_owned()).expect("a path")
    }

    #[test]
    fn a_path_is_of_the_workspace_or_of_the_guest() {
        assert!(matches!(path("target"), CachePath::Workspace(_)));
        assert!(matches!(path("/root/.cache"), CachePath::Guest(_)));
        for bad in ["", "/", "..", "../x", "a/../b", "a//b", "/a/..", "a\n"] {
            assert!(CachePath::new(bad.to_owned()).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn paths_overlap_by_components() {
        assert!(path("a/b").overlaps(&path("a")) && path("a").overlaps(&path("a")));
        assert!(!path("ab").overlaps(&path("a")) && !path("/a").overlaps(&path("a")));
    }

    #[test]
    fn a_key_is_of_paths_modes_and_contents() {
        let of = |path: &[u8], mode, object: u8| {
            let mut key = CacheKey::default();
            key.add(path, mode, &[object; 20]);
            key.finish().expect("a file was added")
        };
        let one = of(b"Cargo.lock", FileMode::File, 1);
        assert_eq!(one, of(b"Cargo.lock", FileMode::File, 1));
        assert_ne!(one, of(b"Cargo.lock", FileMode::File, 2));
        assert_ne!(one, of(b"Cargo.lock", FileMode::Executable, 1));
        assert_ne!(one, of(b"cargo.lock", FileMode::File, 1));
        assert_eq!(CacheKey::default().finish(), None);
    }
}
