//! What defines a job of a lane, comparable between the catalogs of two trees.

use std::collections::{BTreeMap, BTreeSet};

use plans::{AbsolutePath, ChangeStatus, JobId, JobSpec, NodeId, Output, RunIf, WorkspacePath};

use super::{Catalog, GlobUse, LaneIndex, PathFilter, ShardFiles};

impl Catalog {
    /// Returns the jobs that a lane runs, each with everything that defines it: two catalogs
    /// define a job of a lane alike exactly when these are equal.
    #[must_use]
    pub fn definitions(&self, lane: LaneIndex) -> BTreeMap<&JobId, Definition<'_>> {
        let of_lane = self.filter_text(&self[lane].filter);
        let jobs = self.jobs_of(lane).iter();
        jobs.map(|&index| {
            let job = &self[index];
            let prepares = job.prepares.iter().map(|prepare| {
                let work = &self[prepare.work];
                (&prepare.mount, &work.id, &work.spec, &work.output)
            });
            let definition = Definition {
                spec: &job.spec,
                run_if: job.run_if,
                needs: job.needs.iter().map(|&needed| &self[needed].id).collect(),
                shard_files: job.shard_files.as_ref().map(|it| self.shard_texts(it)),
                files: job.files.iter().map(|it| (&self[it.job].id, &*it.files, &it.at)).collect(),
                prepares: prepares.collect(),
                host_setup: job.host_setup.map(|setup| &self[setup].spec),
                lane_filter: of_lane.clone(),
                job_filter: self.job_filter(lane, index).map(|it| self.filter_text(&it)),
            };
            (&job.id, definition)
        })
        .collect()
    }

    fn shard_texts<'a>(
        &'a self,
        files: &'a ShardFiles,
    ) -> (BTreeSet<&'a str>, Option<&'a WorkspacePath>) {
        let globs = files.globs.iter().map(|used| self.globs.text(used.glob)).collect();
        (globs, files.durations.as_ref().map(|at| &at.value))
    }

    /// Returns a filter as texts, independent of the order in which it is written.
    #[must_use]
    pub fn filter_text(&self, filter: &PathFilter) -> FilterText<'_> {
        let texts =
            |globs: &[GlobUse]| globs.iter().map(|used| self.globs.text(used.glob)).collect();
        FilterText {
            paths: filter.paths.as_deref().map(texts),
            exclude: texts(&filter.exclude),
            statuses: filter.statuses.clone(),
        }
    }
}

/// Everything that defines a job of a lane, apart from names for people.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Definition<'a> {
    spec: &'a JobSpec,
    run_if: RunIf,
    needs: BTreeSet<&'a JobId>,
    shard_files: Option<(BTreeSet<&'a str>, Option<&'a WorkspacePath>)>,
    files: BTreeSet<(&'a JobId, &'a [String], &'a WorkspacePath)>,
    prepares: Vec<(&'a AbsolutePath, &'a NodeId, &'a JobSpec, &'a Output)>,
    host_setup: Option<&'a JobSpec>,
    lane_filter: FilterText<'a>,
    job_filter: Option<FilterText<'a>>,
}

/// A filter as texts.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FilterText<'a> {
    /// The globs of `paths`.
    pub paths: Option<BTreeSet<&'a str>>,
    /// The globs of `exclude`.
    pub exclude: BTreeSet<&'a str>,
    /// The kinds of change that count.
    pub statuses: Option<BTreeSet<ChangeStatus>>,
}
