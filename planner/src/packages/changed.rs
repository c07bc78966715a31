//! Which lanes the entries of shared files belong to that differ between a base and head.
//!
//! A lock file is read at both and compared once ([`super::lock`]); entries of shared manifests were
//! read with the definitions. Where one of the two cannot be read or is not known, every lane that
//! has to do with the file counts as changed, with the reason.

use std::collections::{BTreeMap, BTreeSet};

use lanes::{Catalog, Derived, LaneIndex, LockUse, PackageKind, SharedEntry};
use plans::{Change, ChangedEntry};

use super::{
    kind_of,
    lock::{Affected, Comparison, Lock},
    tree::{Manifests, Text},
};
use crate::{
    PlanningError,
    definition_changes::DefinitionChanges,
    planned_tree::{PlannedTree, TreeError},
};

/// How long the text of an entry of a manifest may be in a reason.
const LONGEST_TEXT: usize = 60;

/// The lock files that changes touch, each with the lanes and packages that it governs.
type Touched<'a> = BTreeMap<(&'a str, PackageKind), Vec<(LaneIndex, &'a LockUse)>>;

fn touched<'a>(catalog: &'a Catalog, changes: &[Change]) -> Touched<'a> {
    let mut touched = Touched::new();
    let is_changed = |path: &str| {
        // Two bases may see a path twice; it stays sorted.
        changes.binary_search_by(|change| change.path.as_bytes().cmp(path.as_bytes())).is_ok()
    };
    for lane in catalog.lane_indices() {
        for used in &catalog[lane].derived.locks {
            let key = (used.path.as_str(), used.kind);
            if touched.contains_key(&key) || is_changed(&used.path) {
                touched.entry(key).or_default().push((lane, used));
            }
        }
    }
    touched
}

/// Adds every lane of a lock file that changes touch: what the file was before is not known.
pub(crate) fn unknown_locks(found: &mut DefinitionChanges, catalog: &Catalog, changes: &[Change]) {
    for ((path, _), uses) in touched(catalog, changes) {
        for (lane, _) in uses {
            found.unknown(lane, &format!("`{path}` changed, and what it was before is not known"));
        }
    }
}

/// Adds the lanes of which a package holds an entry that differs between the lock files of a base
/// and of head.
///
/// # Errors
///
/// [`PlanningError`] when a tree cannot be read.
pub(crate) fn locks(
    found: &mut DefinitionChanges,
    before: &PlannedTree<'_>,
    after: &PlannedTree<'_>,
    catalog: &Catalog,
    changes: &[Change],
) -> Result<(), PlanningError> {
    let touched = touched(catalog, changes);
    if touched.is_empty() {
        return Ok(());
    }
    let ignored = &catalog.rules().ignore_manifests;
    for ((path, kind), uses) in touched {
        let texts = [text(before, ignored, path)?, text(after, ignored, path)?];
        let mut locks = Vec::new();
        let mut because = None;
        for (at, lock) in ["at the base ", ""].into_iter().zip(both(&texts, path, kind)) {
            match lock {
                Ok(lock) => locks.push(lock),
                Err(why) => because = Some(format!("`{path}` {at}{why}")),
            }
        }
        let comparison = match &locks[..] {
            [before, after] => Some(Comparison::of(before, after)),
            _ => None,
        };
        let mut known: BTreeMap<&str, Option<Affected>> = BTreeMap::new();
        let mut entries: BTreeMap<LaneIndex, Vec<ChangedEntry>> = BTreeMap::new();
        for (lane, used) in uses {
            let Some(comparison) = &comparison else {
                found.unknown(lane, because.as_deref().unwrap_or("a lock file cannot be read"));
                continue;
            };
            let affected = known.entry(&used.key).or_insert_with(|| comparison.affects(&used.key));
            match affected {
                None => {}
                Some(Affected::Unknown(why)) => found.unknown(lane, &format!("`{path}`: {why}")),
                Some(Affected::By(differences)) => {
                    let entry =
                        |(difference, via): &(super::lock::Difference, String)| ChangedEntry {
                            file: path.to_owned(),
                            name: difference.name.clone(),
                            before: difference.before.clone(),
                            after: difference.after.clone(),
                            differs: difference.differs.iter().map(|&it| it.to_owned()).collect(),
                            via: via.clone(),
                        };
                    entries.entry(lane).or_default().extend(differences.iter().map(entry));
                }
            }
        }
        for (lane, list) in entries {
            found.entries(catalog, lane, list);
        }
    }
    Ok(())
}

/// The text of a lock file; one that is not there is an answer as well, and no text.
fn text(
    tree: &PlannedTree<'_>,
    ignored: &[lanes::glob::Glob],
    path: &str,
) -> Result<Result<String, String>, TreeError> {
    Ok(match Manifests::new(tree, ignored, &[]).text(path)? {
        Text::Absent => Err("is not there".to_owned()),
        Text::Unreadable(detail) => Err(format!("cannot be read: {detail}")),
        Text::Read(text) => Ok(text),
    })
}

/// Reads the texts of two lock files, both at the same time: nothing of a plan takes longer than
/// a large one.
fn both<'t>(
    [before, after]: &'t [Result<String, String>; 2],
    path: &str,
    kind: PackageKind,
) -> [Result<Lock<'t>, String>; 2] {
    /// As much as the program's first thread has.
    const STACK: usize = 8 << 20;
    let kind = kind_of(kind);
    let read = |text: &'t Result<String, String>| {
        let text = text.as_deref().map_err(ToOwned::to_owned)?;
        (kind.lock)(path, text).map_err(|detail| format!("cannot be read: {detail}"))
    };
    std::thread::scope(|scope| {
        let beside = std::thread::Builder::new().stack_size(STACK);
        let beside = beside.spawn_scoped(scope, || read(before));
        let after = read(after);
        let before = match beside {
            Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            // No thread to be had: one after the other.
            Err(_) => read(before),
        };
        [before, after]
    })
}

/// Returns the entries of shared manifests that differ between what a lane took and takes of them.
pub(crate) fn shared_entries(before: &Derived, after: &Derived) -> Vec<ChangedEntry> {
    let keys: BTreeSet<_> = before.entries.keys().chain(after.entries.keys()).collect();
    let mut changed = Vec::new();
    for key in keys {
        let (was, is) = (before.entries.get(key), after.entries.get(key));
        if was.map(|it| &it.value) == is.map(|it| &it.value) {
            continue;
        }
        let short = |entry: &SharedEntry| entry.value.chars().count() <= LONGEST_TEXT;
        let shown = was.is_none_or(short) && is.is_none_or(short);
        let text = |entry: Option<&SharedEntry>| {
            entry.map(|it| if shown { it.value.clone() } else { "…".to_owned() })
        };
        let (file, name) = key.clone();
        let via = is.or(was).map(|it| it.via.clone()).unwrap_or_default();
        let differs = if shown { Vec::new() } else { vec!["text".to_owned()] };
        changed.push(ChangedEntry { file, name, before: text(was), after: text(is), differs, via });
    }
    changed
}
