//! Objects as bytes: trees are read and parsed here, without a `git2::Tree` for each.
//!
//! Owns the tree format and the overlay of trees that exist only in memory (a work tree is planned
//! without writing to the repository). Knows no path above one tree's entries.

use std::{cmp::Ordering, collections::HashMap, path::Path};

use git2::{ErrorCode, ObjectType, Odb, OdbObject, Oid};

/// Objects that are in no database: those of the work tree.
#[derive(Default)]
pub(super) struct Overlay {
    /// Trees, whole.
    pub(super) trees: HashMap<Oid, Vec<u8>>,
    /// Blobs: the path whose content they are.
    pub(super) files: HashMap<Oid, Vec<u8>>,
}

/// Where objects are read from. Threads may share it, but libgit2 lets one read at a time: who is to read beside others
/// takes [`Objects::again`].
pub(super) struct Objects<'repo> {
    pub(super) odb: Odb<'repo>,
    pub(super) overlay: &'repo Overlay,
    /// The repository's own directory, in which they are.
    pub(super) common_dir: &'repo Path,
}

/// Why an object could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    Missing { id: Oid, kind: &'static str },
    Corrupt { id: Oid, detail: String },
}

/// The bytes of one object.
pub(super) enum Bytes<'a> {
    Stored(OdbObject<'a>),
    InMemory(&'a [u8]),
}

impl Bytes<'_> {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Self::Stored(object) => object.data(),
            Self::InMemory(bytes) => bytes,
        }
    }
}

impl<'repo> Objects<'repo> {
    /// Opens the same objects once more; nothing where that cannot be done. What is open of their packs is shared.
    pub(super) fn again(&self) -> Option<Self> {
        let odb = Odb::new().ok()?;
        odb.add_disk_alternate(self.common_dir.join("objects").to_str()?).ok()?;
        Some(Self { odb, ..*self })
    }
}

impl Objects<'_> {
    pub(super) fn tree(&self, id: Oid) -> Result<Bytes<'_>, ReadError> {
        if let Some(bytes) = self.overlay.trees.get(&id) {
            return Ok(Bytes::InMemory(bytes));
        }
        self.read(id, ObjectType::Tree, "tree").map(Bytes::Stored)
    }

    pub(super) fn blob(&self, id: Oid) -> Result<Bytes<'_>, ReadError> {
        self.read(id, ObjectType::Blob, "blob").map(Bytes::Stored)
    }

    fn read(
        &self,
        id: Oid,
        expected: ObjectType,
        kind: &'static str,
    ) -> Result<OdbObject<'_>, ReadError> {
        let object = self.odb.read(id).map_err(|error| match error.code() {
            ErrorCode::NotFound => ReadError::Missing { id, kind },
            _ => ReadError::Corrupt { id, detail: error.message().to_owned() },
        })?;
        if object.kind() != expected {
            let detail = format!("a {kind} is expected, it is a {}", object.kind().str());
            return Err(ReadError::Corrupt { id, detail });
        }
        Ok(object)
    }
}

/// What a tree entry is, its permission bits reduced to the one git keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryKind {
    Tree,
    File { executable: bool },
    SymbolicLink,
    Submodule,
}

impl EntryKind {
    pub(super) fn from_mode(mode: u32) -> Option<Self> {
        match mode & 0o170_000 {
            0o040_000 => Some(Self::Tree),
            0o100_000 => Some(Self::File { executable: mode & 0o100 != 0 }),
            0o120_000 => Some(Self::SymbolicLink),
            0o160_000 => Some(Self::Submodule),
            _ => None,
        }
    }

    /// The mode as trees spell it.
    pub(super) fn octal(self) -> &'static str {
        match self {
            Self::Tree => "40000",
            Self::File { executable: false } => "100644",
            Self::File { executable: true } => "100755",
            Self::SymbolicLink => "120000",
            Self::Submodule => "160000",
        }
    }
}

/// One entry of a tree, borrowed from its bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) name: &'a [u8],
    pub(super) kind: EntryKind,
    /// The mode as the tree spells it.
    pub(super) mode: &'a [u8],
    id: &'a [u8],
}

impl Entry<'_> {
    pub(super) fn id(&self) -> Oid {
        Oid::from_bytes(self.id).expect("an entry holds exactly one object id")
    }

    pub(super) fn same(&self, other: &Self) -> bool {
        self.id == other.id && self.kind == other.kind
    }

    /// Git's order of entries: a directory's name sorts as if it ended in `/`. A file and a
    /// directory of one name are therefore two entries, neither of which is the other.
    pub(super) fn order(&self, other: &Self) -> Ordering {
        let shared = self.name.len().min(other.name.len());
        self.name[..shared]
            .cmp(&other.name[..shared])
            .then_with(|| self.byte_after(shared).cmp(&other.byte_after(shared)))
    }

    fn byte_after(&self, at: usize) -> u8 {
        match self.name.get(at) {
            Some(&byte) => byte,
            None if self.kind == EntryKind::Tree => b'/',
            None => 0,
        }
    }
}

/// The entries of one tree, in git's order.
pub(super) struct Entries<'a> {
    tree: Oid,
    rest: &'a [u8],
}

const ID_LENGTH: usize = 20;

impl<'a> Entries<'a> {
    pub(super) fn new(tree: Oid, bytes: &'a [u8]) -> Self {
        Self { tree, rest: bytes }
    }

    /// Passes over the entries that two trees begin with alike, byte for byte: most of them, and
    /// not worth taking apart.
    pub(super) fn skip_equal(&mut self, other: &mut Self) {
        while let Some(end) = self.rest.iter().position(|&byte| byte == 0) {
            let length = end + 1 + ID_LENGTH;
            let (Some(ours), Some(theirs)) = (self.rest.get(..length), other.rest.get(..length))
            else {
                return;
            };
            if ours != theirs {
                return;
            }
            self.rest = &self.rest[length..];
            other.rest = &other.rest[length..];
        }
    }

    pub(super) fn next(&mut self) -> Result<Option<Entry<'a>>, ReadError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        match parse_entry(self.rest) {
            Ok((entry, rest)) => {
                self.rest = rest;
                Ok(Some(entry))
            }
            Err(detail) => Err(ReadError::Corrupt { id: self.tree, detail: detail.to_owned() }),
        }
    }
}

/// `<octal mode> <name>\0<20 bytes of id>`.
#[inline]
fn parse_entry(bytes: &[u8]) -> Result<(Entry<'_>, &[u8]), &'static str> {
    let (kind, mode, bytes) = parse_mode(bytes)?;
    // Names are short: one byte after the other is the quickest way through.
    let end = bytes.iter().position(|&byte| byte == 0).ok_or("a name does not end")?;
    let (name, id) = (&bytes[..end], &bytes[end + 1..]);
    if name.is_empty() || name.contains(&b'/') {
        return Err("a name is empty or holds a `/`");
    }
    let (id, rest) = id.split_at_checked(ID_LENGTH).ok_or("an object id is cut short")?;
    Ok((Entry { name, kind, mode, id }, rest))
}

/// The mode that an entry begins with, and what stands behind it and a space.
#[inline]
fn parse_mode(bytes: &[u8]) -> Result<(EntryKind, &[u8], &[u8]), &'static str> {
    // Nearly all are one of two, which are not worth reading digit by digit.
    for kind in [EntryKind::File { executable: false }, EntryKind::Tree] {
        let spelled = kind.octal().as_bytes();
        if let Some([b' ', rest @ ..]) = bytes.strip_prefix(spelled) {
            return Ok((kind, &bytes[..spelled.len()], rest));
        }
    }
    let space = bytes.iter().take(8).position(|&byte| byte == b' ').ok_or("a mode is missing")?;
    let mut mode = 0;
    for &digit in &bytes[..space] {
        match digit {
            b'0'..=b'7' => mode = mode * 8 + u32::from(digit - b'0'),
            _ => return Err("a mode is not octal"),
        }
    }
    let kind = EntryKind::from_mode(mode).ok_or("a mode is unknown")?;
    Ok((kind, &bytes[..space], &bytes[space + 1..]))
}

#[cfg(test)]
mod tests {
    use super::{EntryKind, parse_entry};

    #[track_caller]
    fn check(written: &str, expected: Result<EntryKind, &str>) {
        let bytes = [written.as_bytes(), b"\0", &[7; 20], b"rest"].concat();
        let found = parse_entry(&bytes).map(|(entry, rest)| {
            let mode = written.split(' ').next().unwrap_or_default();
            assert_eq!((entry.mode, entry.name, rest), (mode.as_bytes(), &b"a"[..], &b"rest"[..]));
            entry.kind
        });
        assert_eq!(found, expected, "{written:?}");
    }

    #[test]
    fn a_mode_says_what_an_entry_is_however_it_is_written() {
        let file = |executable| Ok(EntryKind::File { executable });
        for plain in ["100644 a", "0100644 a", "100664 a", "100600 a"] {
            check(plain, file(false));
        }
        check("100755 a", file(true));
        check("40000 a", Ok(EntryKind::Tree));
        check("040000 a", Ok(EntryKind::Tree));
        check("120000 a", Ok(EntryKind::SymbolicLink));
        check("160000 a", Ok(EntryKind::Submodule));
        check("1006440 a", Err("a mode is unknown"));
        check("100644a", Err("a mode is missing"));
        check("10064x a", Err("a mode is not octal"));
        check("100644 ", Err("a name is empty or holds a `/`"));
        check("40000 a/b", Err("a name is empty or holds a `/`"));
    }
}
