//! What jobs with inputs see, file by file, for the rules about it.

use std::collections::BTreeSet;

use lanes::{GlobId, JobIndex};
use plans::{JobSpec, TreeFilter};

use super::view::View;

/// The files that something sees.
pub(super) enum Seen {
    /// Every file.
    All,
    /// These, ascending.
    Files(Vec<u32>),
}

impl Seen {
    /// Returns what a job sees, without what prepares its tree.
    pub(super) fn by_job(view: &View<'_>, job: JobIndex) -> Self {
        Self::by_work(view, &view.catalog[job].spec)
    }

    fn by_work(view: &View<'_>, spec: &JobSpec) -> Self {
        let Some(inputs) = &spec.inputs else { return Self::All };
        // Every glob of the files is in the index, which has matched it against the tree.
        let ids = |globs: &[String]| {
            let globs = globs.iter().filter_map(|text| view.catalog.globs().id(text));
            let mut ids: Vec<GlobId> = globs.collect();
            ids.sort_unstable();
            ids
        };
        let exclude = ids(&inputs.exclude);
        let mut files: Vec<u32> =
            ids(&inputs.paths).into_iter().flat_map(|glob| view.files_of(glob)).copied().collect();
        files.sort_unstable();
        files.dedup();
        let left_out = TreeFilter::new(None, spec.snapshot_profile.as_ref()).ok();
        files.retain(|&file| {
            let tracked = &view.files[file as usize];
            let left = left_out.as_ref();
            !view.any_matches(&exclude, file)
                && left.is_none_or(|it| it.keeps(tracked.path.as_bytes(), tracked.submodule))
        });
        Self::Files(files)
    }

    /// Returns what the work that prepares a job's tree sees.
    fn by_what_prepares(view: &View<'_>, job: JobIndex) -> impl Iterator<Item = Self> {
        let catalog = view.catalog;
        let job = &catalog[job];
        let prepares = job.prepares.iter().map(|used| &catalog[used.work].spec);
        let setup = job.host_setup.map(|setup| &catalog[setup].spec);
        prepares.chain(setup).map(|spec| Self::by_work(view, spec))
    }

    /// Returns the files that a job declares: its own, and those of what prepares its tree.
    pub(super) fn declared(view: &View<'_>, job: JobIndex) -> Vec<u32> {
        let mut all = BTreeSet::new();
        for seen in Self::by_what_prepares(view, job).chain([Self::by_job(view, job)]) {
            if let Self::Files(files) = seen {
                all.extend(files);
            }
        }
        all.into_iter().collect()
    }

    /// Returns what a job's verdict is made from: its own files, and those of all that it waits for.
    pub(super) fn for_job(view: &View<'_>, job: JobIndex) -> Self {
        let mut all = BTreeSet::new();
        for job in view.catalog.with_needed([job]) {
            for seen in Self::by_what_prepares(view, job).chain([Self::by_job(view, job)]) {
                match seen {
                    Self::All => return Self::All,
                    Self::Files(files) => all.extend(files),
                }
            }
        }
        Self::Files(all.into_iter().collect())
    }

    /// Returns whether a file is among them.
    pub(super) fn has(&self, file: u32) -> bool {
        match self {
            Self::All => true,
            Self::Files(files) => files.binary_search(&file).is_ok(),
        }
    }
}
