//! Which changed paths match which globs, asked once for the whole catalog.
//!
//! Lanes share globs and exclusions, so hits are kept per distinct (glob, exclusion, statuses)
//! and never computed per lane: ten thousand lanes with the same filter cost what one costs.
//! Decides nothing; that is [`crate::select`].

use std::{
    collections::{BTreeSet, HashMap, hash_map::Entry},
    rc::Rc,
};

use lanes::{Catalog, GlobId, GlobUse, PathFilter};
use plans::{Change, ChangeStatus, MATCHED_LIMIT, RepoPath};

/// Positions in the change set, ascending.
pub(crate) type Hits = Rc<[u32]>;

/// The change set against every glob of a catalog.
pub(crate) struct Matches<'a> {
    changes: &'a [Change],
    /// Changes known by path alone satisfy every `statuses`.
    any_status: bool,
    /// Whether a path stands there twice: two merge bases may see it change differently.
    repeats: bool,
    by_glob: HashMap<GlobId, Hits>,
    /// By glob: whether any change matches it.
    any: Vec<bool>,
    nothing: Hits,
    exclusions: HashMap<Vec<GlobId>, Rc<Excluded>>,
    counted: HashMap<CountedKey, Hits>,
}

/// The changes that a list of `exclude` globs takes away.
struct Excluded {
    key: u32,
    changes: Vec<bool>,
}

#[derive(PartialEq, Eq, Hash)]
struct CountedKey {
    glob: GlobId,
    excluded: Option<u32>,
    statuses: Option<BTreeSet<ChangeStatus>>,
}

impl<'a> Matches<'a> {
    /// Asks the catalog's index about every change.
    pub(crate) fn new(catalog: &Catalog, changes: &'a [Change], any_status: bool) -> Self {
        let mut lists: HashMap<GlobId, Vec<u32>> = HashMap::new();
        let index = catalog.globs();
        let mut any = vec![false; index.len()];
        let mut found = Vec::new();
        for (position, change) in (0u32..).zip(changes) {
            let submodule = change.status == ChangeStatus::Submodule;
            found.clear();
            index.matches(change.path.as_bytes(), submodule, &mut found);
            for &glob in &found {
                any[glob.position()] = true;
                lists.entry(glob).or_default().push(position);
            }
        }
        Self {
            changes,
            any_status,
            repeats: changes.windows(2).any(|pair| pair[0].path == pair[1].path),
            by_glob: lists.into_iter().map(|(glob, list)| (glob, list.into())).collect(),
            any,
            nothing: Rc::new([]),
            exclusions: HashMap::new(),
            counted: HashMap::new(),
        }
    }

    /// Returns the change set.
    pub(crate) fn changes(&self) -> &'a [Change] {
        self.changes
    }

    /// Returns the first paths at some positions, and how many there are in all, each once.
    pub(crate) fn paths(&self, positions: &[u32]) -> (Vec<RepoPath>, u64) {
        let at = |&position: &u32| &self.changes[position as usize].path;
        if !self.repeats {
            let first = positions.iter().take(MATCHED_LIMIT).map(at).cloned().collect();
            return (first, positions.len() as u64);
        }
        let mut paths: Vec<&RepoPath> = positions.iter().map(at).collect();
        paths.dedup();
        (paths.iter().take(MATCHED_LIMIT).copied().cloned().collect(), paths.len() as u64)
    }

    /// Returns whether any change matches a glob, whatever else its filter says.
    pub(crate) fn any(&self, glob: GlobId) -> bool {
        self.any[glob.position()]
    }

    /// Returns the globs that some change matches, in their order.
    pub(crate) fn matching(&self) -> Vec<GlobId> {
        let mut globs: Vec<GlobId> = self.by_glob.keys().copied().collect();
        globs.sort_unstable();
        globs
    }

    /// Returns the changes that match a glob, whatever else its filter says.
    pub(crate) fn of_glob(&self, glob: GlobId) -> Hits {
        self.by_glob.get(&glob).unwrap_or(&self.nothing).clone()
    }

    /// Returns the changes that match one glob of a filter and count for it.
    pub(crate) fn counted(&mut self, filter: &PathFilter, glob: GlobId) -> Hits {
        let statuses = if self.any_status { &None } else { &filter.statuses };
        self.hits(glob, &filter.exclude, statuses.as_ref())
    }

    /// Returns the changes that one glob of a filter covers: its `exclude` takes away, its
    /// `statuses` do not.
    pub(crate) fn covered(&mut self, filter: &PathFilter, glob: GlobId) -> Hits {
        self.hits(glob, &filter.exclude, None)
    }

    fn hits(
        &mut self,
        glob: GlobId,
        exclude: &[GlobUse],
        statuses: Option<&BTreeSet<ChangeStatus>>,
    ) -> Hits {
        if !self.any(glob) {
            return self.nothing.clone();
        }
        let hits = self.of_glob(glob);
        if hits.is_empty() || (exclude.is_empty() && statuses.is_none()) {
            return hits;
        }
        let excluded = self.excluded(exclude);
        let key = CountedKey {
            glob,
            excluded: excluded.as_ref().map(|excluded| excluded.key),
            statuses: statuses.cloned(),
        };
        match self.counted.entry(key) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(new) => {
                let counts = |&position: &u32| {
                    let at = position as usize;
                    let taken = excluded.as_ref().is_some_and(|excluded| excluded.changes[at]);
                    !taken && statuses.is_none_or(|kinds| kinds.contains(&self.changes[at].status))
                };
                let hits: Hits = hits.iter().copied().filter(counts).collect();
                new.insert(hits).clone()
            }
        }
    }

    fn excluded(&mut self, exclude: &[GlobUse]) -> Option<Rc<Excluded>> {
        if exclude.is_empty() {
            return None;
        }
        let mut globs: Vec<GlobId> = exclude.iter().map(|used| used.glob).collect();
        globs.sort_unstable();
        globs.dedup();
        if let Some(known) = self.exclusions.get(&globs) {
            return Some(known.clone());
        }
        let mut changes = vec![false; self.changes.len()];
        for &glob in &globs {
            for &position in self.of_glob(glob).iter() {
                changes[position as usize] = true;
            }
        }
        let key = u32::try_from(self.exclusions.len()).expect("fewer filters than 2^32");
        let excluded = Rc::new(Excluded { key, changes });
        self.exclusions.insert(globs, excluded.clone());
        Some(excluded)
    }

    /// Returns whether any change counts for a job's filter, and for the lane's: `of_lane` says that
    /// of each change.
    pub(crate) fn any_counts(&mut self, job: &PathFilter, of_lane: &[bool]) -> bool {
        let Some(paths) = &job.paths else {
            return self.all_counted(job).iter().zip(of_lane).any(|(&job, &lane)| job && lane);
        };
        let mut hits = paths.iter().map(|used| self.counted(job, used.glob));
        hits.any(|hits| hits.iter().any(|&position| of_lane[position as usize]))
    }

    /// Returns, for each change, whether it counts for the filter.
    pub(crate) fn all_counted(&mut self, filter: &PathFilter) -> Vec<bool> {
        if let Some(paths) = &filter.paths {
            let mut counted = vec![false; self.changes.len()];
            for used in paths {
                for &position in self.counted(filter, used.glob).iter() {
                    counted[position as usize] = true;
                }
            }
            return counted;
        }
        let excluded = self.excluded(&filter.exclude);
        let counts = |(at, change): (usize, &Change)| {
            let taken = excluded.as_ref().is_some_and(|excluded| excluded.changes[at]);
            let status_counts = self.any_status
                || filter.statuses.as_ref().is_none_or(|kinds| kinds.contains(&change.status));
            !taken && status_counts
        };
        self.changes.iter().enumerate().map(counts).collect()
    }

    /// Returns the first `exclude` glob of the filter that takes the change away.
    pub(crate) fn excluded_by(&self, filter: &PathFilter, position: u32) -> Option<GlobId> {
        let takes = |used: &&GlobUse| self.of_glob(used.glob).binary_search(&position).is_ok();
        filter.exclude.iter().find(takes).map(|used| used.glob)
    }
}
