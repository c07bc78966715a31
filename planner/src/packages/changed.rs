//! Which lanes the entries of shared files belong to that differ between a base and head.
//!
//! A lock file is read at both and compared once ([`super::lock`]); entries of shared manifests were
//! read with the definitions. Where one of the two cannot be read or is not known, every lane that
//! has to do with the file counts as changed, with the reason.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet},
    sync::{OnceLock, mpsc},
};

use lanes::{Catalog, Derived, LaneIndex, LockUse, PackageKind, SharedEntry};
use plans::{Change, ChangedEntry};

use super::{
    Kind, kind_of,
    lock::{Affected, Comparison, Lock},
    tree::{Manifests, Text},
};
use crate::{
    PlanningError,
    definition_changes::DefinitionChanges,
    git::{Blob, BlobReader},
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
        let sides = [Side::of(before, ignored, path)?, Side::of(after, ignored, path)?];
        let keys: BTreeSet<&str> = uses.iter().map(|(_, used)| used.key.as_str()).collect();
        let known = compare(&sides, path, kind, &keys)?;
        let mut entries: BTreeMap<LaneIndex, Vec<ChangedEntry>> = BTreeMap::new();
        for (lane, used) in uses {
            let known = match &known {
                Ok(known) => known,
                Err(because) => {
                    found.unknown(lane, because);
                    continue;
                }
            };
            match known.get(used.key.as_str()).and_then(Option::as_ref) {
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
type LockText = Result<String, String>;

/// A lock file in one of the two trees.
struct Side<'a> {
    manifests: Manifests<'a>,
    path: &'a str,
    /// What reads it on any thread, where it is in git's database.
    reader: Option<BlobReader<'a>>,
}

impl<'a> Side<'a> {
    fn of(
        tree: &'a PlannedTree<'_>,
        ignored: &'a [lanes::glob::Glob],
        path: &'a str,
    ) -> Result<Self, TreeError> {
        let manifests = Manifests::new(tree, ignored, &[]);
        let file = manifests.file(path)?;
        let reader = file.and_then(|file| tree.reader(&file));
        Ok(Self { manifests, path, reader })
    }

    fn source(&self) -> Result<Source<'_>, TreeError> {
        Ok(match &self.reader {
            Some(reader) => Source::Blob(reader),
            None => Source::Text(self.text()?),
        })
    }

    /// The text, in whatever way it can be had.
    fn text(&self) -> Result<LockText, TreeError> {
        Ok(match self.manifests.text(self.path)? {
            Text::Absent => Err("is not there".to_owned()),
            Text::Unreadable(detail) => Err(format!("cannot be read: {detail}")),
            Text::Read(text) => Ok(text),
        })
    }
}

/// Where a lock file's text comes from.
enum Source<'a> {
    Blob(&'a BlobReader<'a>),
    Text(LockText),
}

impl Source<'_> {
    /// The text, which stays in `blob` where it is read now; nothing where that cannot be done.
    fn text<'s: 't, 't>(
        &'s self,
        blob: &'t OnceCell<Blob<'s>>,
    ) -> Option<Result<&'t str, &'t String>> {
        match self {
            Self::Text(text) => Some(text.as_deref()),
            Self::Blob(reader) => {
                if blob.get().is_none() {
                    blob.set(reader.read()?).ok()?;
                }
                blob.get()?.text().map(Ok)
            }
        }
    }
}

/// What packages have to do with the difference of two lock files, by key; else why that is not known.
type Known<'k> = Result<BTreeMap<&'k str, Option<Affected>>, String>;

/// Compares two lock files. They are read at the same time, and each stays where git put it: nothing
/// of a plan takes longer than two large ones.
fn compare<'k>(
    sides: &[Side<'_>; 2],
    path: &str,
    kind: PackageKind,
    keys: &BTreeSet<&'k str>,
) -> Result<Known<'k>, TreeError> {
    /// As much as the program's first thread has.
    const STACK: usize = 8 << 20;
    let kind = kind_of(kind);
    let [before, after] = [sides[0].source()?, sides[1].source()?];
    // What is read here must outlive the other thread, which compares.
    let blob = OnceCell::new();
    let lock = OnceLock::new();
    let known = std::thread::scope(|scope| {
        let (is_there, wait) = mpsc::channel::<()>();
        let (lock, before) = (&lock, &before);
        let beside = std::thread::Builder::new().stack_size(STACK);
        let beside = beside.spawn_scoped(scope, move || {
            let blob = OnceCell::new();
            let before = understood(kind, path, before.text(&blob)?);
            // The other one is there, or will not be.
            let _ = wait.recv();
            Some(differences([&before, lock.get()?], path, keys))
        });
        if let Some(text) = after.text(&blob) {
            lock.get_or_init(|| understood(kind, path, text));
        }
        drop(is_there);
        // No thread is to be had: the way below needs none.
        let compared = beside.ok()?.join();
        compared.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    });
    if let Some(known) = known {
        return Ok(known);
    }
    // What is wrong with one of them is to be said.
    let texts = [sides[0].text()?, sides[1].text()?];
    let locks = texts.each_ref().map(|text| understood(kind, path, text.as_deref()));
    Ok(differences(locks.each_ref(), path, keys))
}

/// A lock file, or why it cannot be read.
type Understood<'t> = Result<Lock<'t>, String>;

fn understood<'t>(kind: &Kind, path: &str, text: Result<&'t str, &String>) -> Understood<'t> {
    (kind.lock)(path, text.map_err(Clone::clone)?)
        .map_err(|detail| format!("cannot be read: {detail}"))
}

fn differences<'k>(
    [before, after]: [&Understood<'_>; 2],
    path: &str,
    keys: &BTreeSet<&'k str>,
) -> Known<'k> {
    let before = before.as_ref().map_err(|why| format!("`{path}` at the base {why}"));
    let after = after.as_ref().map_err(|why| format!("`{path}` {why}"))?;
    let comparison = Comparison::of(before?, after);
    Ok(keys.iter().map(|&key| (key, comparison.affects(key))).collect())
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
