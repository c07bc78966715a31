//! The difference of two trees: a walk that enters only what differs.
//!
//! `git2::diff_tree_to_tree` visits equal subtrees too, so its cost grows with the repository; here
//! it grows with the change. Renames are not looked for: the old path's owners must run as well.

use std::cmp::Ordering;

use git2::Oid;
use plans::{Change, ChangeStatus, RepoPath};

use super::{
    objects::{Bytes, Entries, Entry, EntryKind, Objects, ReadError},
    shares::in_shares,
};

/// Two directories to compare, at least one of which exists.
struct Pair {
    base: Option<Oid>,
    head: Option<Oid>,
    /// The directory, ending in `/` unless it is the root.
    path: Vec<u8>,
}

/// From so many directories on, a second thread is worth its start.
const ENOUGH_TO_SHARE: usize = 128;

/// Lists what differs between two trees; no base is the empty tree. In no particular order.
pub(super) fn between(
    objects: &Objects<'_>,
    base: Option<Oid>,
    head: Oid,
) -> Result<Vec<Change>, ReadError> {
    let mut changes = Vec::new();
    if base == Some(head) {
        return Ok(changes);
    }
    let mut pending = vec![Pair { base, head: Some(head), path: Vec::new() }];
    // Breadth first until there is enough to share.
    while pending.len() < ENOUGH_TO_SHARE {
        let mut deeper = Vec::new();
        for pair in pending {
            compare(objects, &pair, &mut deeper, &mut changes)?;
        }
        if deeper.is_empty() {
            return Ok(changes);
        }
        pending = deeper;
    }
    let found =
        in_shares(pending, |share| exhaust(objects.again().as_ref().unwrap_or(objects), share));
    for part in found {
        changes.append(&mut part?);
    }
    Ok(changes)
}

fn exhaust(objects: &Objects<'_>, mut pending: Vec<Pair>) -> Result<Vec<Change>, ReadError> {
    let mut changes = Vec::new();
    while let Some(pair) = pending.pop() {
        compare(objects, &pair, &mut pending, &mut changes)?;
    }
    Ok(changes)
}

/// Compares the entries of two directories; those that differ and are directories go to `deeper`.
fn compare(
    objects: &Objects<'_>,
    pair: &Pair,
    deeper: &mut Vec<Pair>,
    changes: &mut Vec<Change>,
) -> Result<(), ReadError> {
    let base = pair.base.map(|id| objects.tree(id)).transpose()?;
    let head = pair.head.map(|id| objects.tree(id)).transpose()?;
    let mut bases = entries(pair.base, base.as_ref());
    let mut heads = entries(pair.head, head.as_ref());
    bases.skip_equal(&mut heads);
    let mut old = bases.next()?;
    let mut new = heads.next()?;
    loop {
        let order = match (&old, &new) {
            (None, None) => return Ok(()),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => old.order(new),
        };
        let both = (old.filter(|_| order.is_le()), new.filter(|_| order.is_ge()));
        // Entries may be the same without being spelled alike: old trees have more modes.
        if !matches!(&both, (Some(old), Some(new)) if old.same(new)) {
            differ(pair, both, deeper, changes)?;
        }
        if order.is_eq() {
            bases.skip_equal(&mut heads);
        }
        if order.is_le() {
            old = bases.next()?;
        }
        if order.is_ge() {
            new = heads.next()?;
        }
    }
}

fn entries<'a>(id: Option<Oid>, bytes: Option<&'a Bytes<'_>>) -> Entries<'a> {
    Entries::new(id.unwrap_or(Oid::ZERO_SHA1), bytes.map_or(&[], Bytes::as_slice))
}

/// Notes one difference: entries of the same name, both or neither of which are directories.
fn differ(
    pair: &Pair,
    (old, new): (Option<Entry<'_>>, Option<Entry<'_>>),
    deeper: &mut Vec<Pair>,
    changes: &mut Vec<Change>,
) -> Result<(), ReadError> {
    let Some(either) = new.or(old) else { return Ok(()) };
    let mut path = Vec::with_capacity(pair.path.len() + either.name.len() + 1);
    path.extend_from_slice(&pair.path);
    path.extend_from_slice(either.name);
    if either.kind == EntryKind::Tree {
        path.push(b'/');
        deeper.push(Pair { base: old.map(|e| e.id()), head: new.map(|e| e.id()), path });
        return Ok(());
    }
    let status = status(old.map(|entry| entry.kind), new.map(|entry| entry.kind));
    let path = RepoPath::new(path).map_err(|error| ReadError::Corrupt {
        id: pair.head.or(pair.base).unwrap_or(Oid::ZERO_SHA1),
        detail: error.to_string(),
    })?;
    changes.push(Change { path, status });
    Ok(())
}

/// A submodule on either side makes it [`ChangeStatus::Submodule`], whatever the other side is:
/// the path then stands for everything below it.
fn status(old: Option<EntryKind>, new: Option<EntryKind>) -> ChangeStatus {
    match (old, new) {
        (Some(EntryKind::Submodule), _) | (_, Some(EntryKind::Submodule)) => {
            ChangeStatus::Submodule
        }
        (None, _) => ChangeStatus::Added,
        (_, None) => ChangeStatus::Deleted,
        (Some(EntryKind::SymbolicLink), Some(EntryKind::File { .. }))
        | (Some(EntryKind::File { .. }), Some(EntryKind::SymbolicLink)) => {
            ChangeStatus::TypeChanged
        }
        _ => ChangeStatus::Modified,
    }
}
