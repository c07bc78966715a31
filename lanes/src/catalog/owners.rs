//! What uses a glob: from globs back to the filters they are in.

use super::{Catalog, GlobUse, JobIndex, LaneIndex, PathFilter, TargetIndex};
use crate::filter_index::GlobId;

/// One of the filters that use a glob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GlobOwner {
    /// A lane's `paths`.
    LanePaths(LaneIndex),
    /// A lane's `exclude`.
    LaneExclude(LaneIndex),
    /// A target's `paths` or `exclude`.
    Target(TargetIndex),
    /// A job's `paths` or `exclude`.
    Job(JobIndex),
    /// The manifest's `ignore`.
    Ignore,
    /// The manifest's `run_all`.
    RunAll,
}

/// The filters that use each glob, in one array: glob `i` has `list[starts[i]..starts[i + 1]]`.
#[derive(Debug, Clone)]
pub(crate) struct Owners {
    starts: Vec<u32>,
    list: Vec<GlobOwner>,
}

impl Owners {
    pub(super) fn of(catalog: &Catalog) -> Self {
        let mut pairs: Vec<(GlobId, GlobOwner)> = Vec::new();
        let mut add = |globs: &[GlobUse], owner| {
            pairs.extend(globs.iter().map(|used| (used.glob, owner)));
        };
        for (position, lane) in catalog.lanes.iter().enumerate() {
            let index = LaneIndex::new(position);
            add(lane.filter.paths.as_deref().unwrap_or_default(), GlobOwner::LanePaths(index));
            add(&lane.filter.exclude, GlobOwner::LaneExclude(index));
        }
        let both = |filter: &Option<PathFilter>| {
            let filter = filter.clone().unwrap_or_default();
            let paths = filter.paths.unwrap_or_default();
            paths.into_iter().chain(filter.exclude).collect::<Vec<_>>()
        };
        for (position, target) in catalog.targets.iter().enumerate() {
            add(&both(&target.filter), GlobOwner::Target(TargetIndex::new(position)));
        }
        for (position, job) in catalog.jobs.iter().enumerate() {
            add(&both(&job.filter), GlobOwner::Job(JobIndex::new(position)));
        }
        add(&catalog.rules.ignore, GlobOwner::Ignore);
        add(&catalog.rules.run_all, GlobOwner::RunAll);
        // Stable: owners of one glob keep the order of the files.
        pairs.sort_by_key(|(glob, _)| *glob);
        let mut starts = vec![0; catalog.globs.len() + 1];
        for (glob, _) in &pairs {
            starts[glob.position() + 1] += 1;
        }
        for position in 1..starts.len() {
            starts[position] += starts[position - 1];
        }
        Self { starts, list: pairs.into_iter().map(|(_, owner)| owner).collect() }
    }

    pub(super) fn of_glob(&self, glob: GlobId) -> &[GlobOwner] {
        let start = self.starts[glob.position()] as usize;
        let end = self.starts[glob.position() + 1] as usize;
        &self.list[start..end]
    }
}
