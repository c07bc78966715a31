//! What jobs with inputs see, file by file, for the rules about it.

use std::collections::BTreeSet;

use lanes::{Catalog, GlobId, GlobUse, InputUses, JobIndex};
use plans::{JobInputs, TreeFilter};

use super::view::{View, number};

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
        let Some(InputUses { paths, exclude }) = &view.catalog[job].inputs else {
            return Self::All;
        };
        let ids = |uses: &[GlobUse]| {
            let mut ids: Vec<GlobId> = uses.iter().map(|used| used.glob).collect();
            ids.sort_unstable();
            ids
        };
        let exclude = ids(exclude);
        let mut files: Vec<u32> =
            paths.iter().flat_map(|used| view.files_of(used.glob)).copied().collect();
        files.sort_unstable();
        files.dedup();
        let profile = view.catalog[job].spec.snapshot_profile.as_ref();
        let left_out = TreeFilter::new(None, profile).ok();
        files.retain(|&file| {
            let tracked = &view.files[file as usize];
            let left = left_out.as_ref();
            !view.any_matches(&exclude, file)
                && left.is_none_or(|it| it.keeps(tracked.path.as_bytes(), tracked.submodule))
        });
        Self::Files(files)
    }

    /// Returns the files that a job declares: its own, and those of what prepares its tree.
    pub(super) fn declared(view: &View<'_>, job: JobIndex) -> Self {
        let catalog = view.catalog;
        let own = match Self::by_job(view, job) {
            Self::Files(own) => own,
            Self::All => Vec::new(),
        };
        let mut all: BTreeSet<u32> = own.into_iter().collect();
        let job = &catalog[job];
        let prepares = job.prepares.iter().map(|used| &catalog[used.work].spec);
        let setup = job.host_setup.map(|setup| &catalog[setup].spec);
        for inputs in prepares.chain(setup).filter_map(|spec| spec.inputs.as_ref()) {
            all.extend(matching(view, inputs));
        }
        Self::Files(all.into_iter().collect())
    }

    /// Returns what a job's verdict is made from: its own files, and those of all that it waits for.
    pub(super) fn for_job(view: &View<'_>, job: JobIndex) -> Self {
        let catalog = view.catalog;
        let mut all = BTreeSet::new();
        for job in with_needed(catalog, job) {
            let Self::Files(own) = Self::by_job(view, job) else { return Self::All };
            all.extend(own);
            let job = &catalog[job];
            let prepares = job.prepares.iter().map(|used| catalog[used.work].spec.inputs.as_ref());
            let setup = job.host_setup.map(|setup| catalog[setup].spec.inputs.as_ref());
            for inputs in prepares.chain(setup) {
                let Some(inputs) = inputs else { return Self::All };
                all.extend(matching(view, inputs));
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

fn with_needed(catalog: &Catalog, job: JobIndex) -> BTreeSet<JobIndex> {
    let (mut all, mut open) = (BTreeSet::new(), vec![job]);
    while let Some(job) = open.pop() {
        if all.insert(job) {
            open.extend(&catalog[job].needs);
        }
    }
    all
}

fn matching(view: &View<'_>, inputs: &JobInputs) -> Vec<u32> {
    let Ok(filter) = TreeFilter::new(Some(inputs), None) else { return Vec::new() };
    let files = view.files.iter().enumerate();
    files
        .filter(|(_, file)| filter.keeps(file.path.as_bytes(), file.submodule))
        .map(|(at, _)| number(at))
        .collect()
}
