//! The catalog against every file of the tree, asked once for all rules.
//!
//! Which globs match which files is one pass over the index; everything else is read off two flat
//! lists, file to globs and glob to files. Lanes that share a filter share its answers. Finds
//! nothing itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use lanes::{
    At, Catalog, Declaration, DeclarationKind, GlobId, GlobUse, InvariantsFile, Job, JobIndex,
    JobOwner, LaneIndex, LaneTrigger, PathFilter,
};

use crate::{
    packages::{Of, PackageProblem},
    planned_tree::Tracked,
};

/// Lists of numbers, one list for each of `starts.len() - 1` things, in one array.
struct Lists {
    starts: Vec<usize>,
    items: Vec<u32>,
}

impl Lists {
    fn of(&self, position: usize) -> &[u32] {
        &self.items[self.range(position)]
    }

    fn range(&self, position: usize) -> Range<usize> {
        self.starts[position]..self.starts[position + 1]
    }
}

/// What rules look at.
pub(crate) struct View<'a> {
    /// Manifest and catalog.
    pub(crate) catalog: &'a Catalog,
    /// What is expected of them, if anything is.
    pub(crate) expected: Option<&'a InvariantsFile>,
    /// Every file of the tree, sorted by path.
    pub(crate) files: &'a [Tracked],
    /// The packages of the tree, by kind.
    pub(crate) packages: &'a [Of],
    /// What is wrong with manifests of packages.
    pub(crate) problems: &'a [PackageProblem],
    globs_of_file: Lists,
    files_of_glob: Lists,
    filters: Vec<Filter<'a>>,
    filter_of_lane: Vec<usize>,
}

/// A distinct filter: lanes, targets and jobs that write the same have one.
pub(crate) struct Filter<'a> {
    /// The filter as the first of them has it.
    pub(crate) written: &'a PathFilter,
    /// The globs of `paths`, sorted; nothing: every path.
    pub(crate) paths: Option<Vec<GlobId>>,
    /// The globs of `exclude`, sorted.
    pub(crate) exclude: Vec<GlobId>,
    /// Whether a lane has it.
    pub(crate) of_lane: bool,
    /// The globs whose files lanes that have it cover.
    pub(crate) covering: BTreeSet<GlobId>,
}

impl<'a> View<'a> {
    /// Matches every file against every glob.
    pub(crate) fn new(
        catalog: &'a Catalog,
        files: &'a [Tracked],
        packages: &'a [Of],
        problems: &'a [PackageProblem],
        expected: Option<&'a InvariantsFile>,
    ) -> Self {
        let index = catalog.globs();
        let mut starts = Vec::with_capacity(files.len() + 1);
        starts.push(0);
        let mut items: Vec<u32> = Vec::new();
        let mut counts = vec![0_usize; index.len() + 1];
        let mut found = Vec::new();
        for file in files {
            index.matches(file.path.as_bytes(), file.submodule, &mut found);
            for glob in &found {
                counts[glob.position() + 1] += 1;
                items.push(number(glob.position()));
            }
            starts.push(items.len());
        }
        let globs_of_file = Lists { starts, items };
        for position in 1..counts.len() {
            counts[position] += counts[position - 1];
        }
        let mut next = counts.clone();
        let mut by_glob = vec![0; globs_of_file.items.len()];
        for file in 0..files.len() {
            for &glob in globs_of_file.of(file) {
                let at = &mut next[glob as usize];
                by_glob[*at] = number(file);
                *at += 1;
            }
        }
        let files_of_glob = Lists { starts: counts, items: by_glob };
        let (filters, filter_of_lane) = filters(catalog);
        Self {
            catalog,
            expected,
            files,
            packages,
            problems,
            globs_of_file,
            files_of_glob,
            filters,
            filter_of_lane,
        }
    }

    /// Returns the positions of the files a glob matches, ascending.
    pub(crate) fn files_of(&self, glob: GlobId) -> &[u32] {
        self.files_of_glob.of(glob.position())
    }

    /// Returns the positions of the globs that match a file, ascending.
    pub(crate) fn globs_of(&self, file: u32) -> &[u32] {
        self.globs_of_file.of(file as usize)
    }

    /// Returns whether a glob matches a file.
    pub(crate) fn is_match(&self, glob: GlobId, file: u32) -> bool {
        self.globs_of(file).binary_search(&number(glob.position())).is_ok()
    }

    /// Returns the path of a file, for messages.
    pub(crate) fn path(&self, file: u32) -> String {
        let path = self.files[file as usize].path.as_bytes();
        String::from_utf8_lossy(path).escape_debug().to_string()
    }

    /// Returns how many files there are.
    pub(crate) fn file_count(&self) -> u32 {
        number(self.files.len())
    }

    /// Returns every job with its index.
    pub(crate) fn jobs(&self) -> impl Iterator<Item = (JobIndex, &'a Job)> {
        JobIndex::all(self.catalog.jobs().len()).zip(self.catalog.jobs())
    }

    /// Returns which files run a job in a lane, by the filters alone.
    pub(crate) fn selects_by_filter(&self, lane: LaneIndex, job: JobIndex) -> impl Fn(u32) -> bool {
        let of_lane = self.filter_of(lane);
        let of_job = self.catalog.job_filter(lane, job).map(|filter| key(&filter));
        move |file| {
            let counts_for_job = of_job.as_ref().is_none_or(|(paths, exclude)| {
                paths.as_ref().is_none_or(|globs| self.any_matches(globs, file))
                    && !self.any_matches(exclude, file)
            });
            self.counts(of_lane, file) && counts_for_job
        }
    }

    /// Returns which files run a job in a lane of the branch, whatever makes them: filters,
    /// `run_all`, what the lane follows in lock files and manifests.
    pub(crate) fn selects(&self, lane: LaneIndex, job: JobIndex) -> impl Fn(u32) -> bool {
        let mut run_all: Vec<GlobId> =
            self.catalog.rules().run_all.iter().map(|used| used.glob).collect();
        run_all.sort_unstable();
        let followed: BTreeSet<&[u8]> =
            self.catalog[lane].derived.files().map(str::as_bytes).collect();
        let by_filter = self.selects_by_filter(lane, job);
        move |file| {
            by_filter(file)
                || self.any_matches(&run_all, file)
                || followed.contains(self.files[file as usize].path.as_bytes())
        }
    }

    /// Returns the text of a glob.
    pub(crate) fn text(&self, glob: GlobId) -> &'a str {
        self.catalog.globs().text(glob)
    }

    /// Returns every distinct filter.
    pub(crate) fn filters(&self) -> &[Filter<'a>] {
        &self.filters
    }

    /// Returns the filter of a lane.
    pub(crate) fn filter_of(&self, lane: LaneIndex) -> &Filter<'a> {
        &self.filters[self.filter_of_lane[lane.position()]]
    }

    /// Returns whether a file counts for a filter; a filter without `paths` counts every file.
    pub(crate) fn counts(&self, filter: &Filter<'_>, file: u32) -> bool {
        let included = filter.paths.as_ref().is_none_or(|globs| self.any_matches(globs, file));
        included && !self.any_matches(&filter.exclude, file)
    }

    /// Returns whether one of some sorted globs matches a file.
    pub(crate) fn any_matches(&self, globs: &[GlobId], file: u32) -> bool {
        let of_file = self.globs_of(file);
        if globs.len() < of_file.len() {
            globs.iter().any(|glob| of_file.binary_search(&number(glob.position())).is_ok())
        } else {
            let has = |&at: &u32| globs.binary_search_by_key(&at, |it| number(it.position()));
            of_file.iter().any(|at| has(at).is_ok())
        }
    }

    /// Returns the first file that counts for a filter, and for another if one is given.
    pub(crate) fn first_counted(
        &self,
        filter: &Filter<'_>,
        also: Option<&Filter<'_>>,
    ) -> Option<u32> {
        let counts = |file: &u32| {
            self.counts(filter, *file) && also.is_none_or(|also| self.counts(also, *file))
        };
        match (&filter.paths, also.and_then(|also| also.paths.as_ref())) {
            (Some(globs), _) | (None, Some(globs)) => {
                globs.iter().flat_map(|glob| self.files_of(*glob)).copied().find(counts)
            }
            (None, None) => (0..number(self.files.len())).find(counts),
        }
    }

    /// Returns every list of globs that selects: `paths` of lanes, targets and jobs, `ignore` and
    /// `run_all`, each distinct one once.
    pub(crate) fn selecting(&self) -> impl Iterator<Item = &'a [GlobUse]> {
        let paths = self.filters.iter().filter_map(|filter| filter.written.paths.as_deref());
        let rules = self.catalog.rules();
        paths.chain([rules.ignore.as_slice(), rules.run_all.as_slice()])
    }

    /// Returns the position of the file at a path.
    pub(crate) fn file_at(&self, path: &[u8]) -> Option<u32> {
        let found = self.files.binary_search_by(|file| file.path.as_bytes().cmp(path));
        found.ok().map(number)
    }

    /// Returns the position of the first file below a directory.
    pub(crate) fn first_below(&self, directory: &str) -> Option<u32> {
        if directory.is_empty() {
            return (!self.files.is_empty()).then_some(0);
        }
        let prefix = format!("{directory}/");
        let at = self.files.partition_point(|file| file.path.as_bytes() < prefix.as_bytes());
        let file = self.files.get(at)?;
        file.path.as_bytes().starts_with(prefix.as_bytes()).then(|| number(at))
    }

    /// Returns the positions of the files below a directory, which is not the root.
    pub(crate) fn files_below(&self, directory: &str) -> impl Iterator<Item = u32> {
        self.files_below_bytes(directory.as_bytes())
    }

    /// The same for a directory whose name need not be UTF-8; the empty one is the root.
    pub(crate) fn files_below_bytes(&self, directory: &[u8]) -> impl Iterator<Item = u32> {
        let prefix =
            if directory.is_empty() { Vec::new() } else { [directory, b"/".as_slice()].concat() };
        let first = self.files.partition_point(|file| file.path.as_bytes() < prefix.as_slice());
        let below = self.files[first..].iter();
        let below = below.take_while(move |file| file.path.as_bytes().starts_with(&prefix));
        below.enumerate().map(move |(at, _)| number(first + at))
    }

    /// Returns the names directly in a directory, sorted.
    pub(crate) fn names_in(&self, directory: &str) -> BTreeSet<&'a str> {
        let mut names = BTreeSet::new();
        let Some(first) = self.first_below(directory) else { return names };
        let skip = if directory.is_empty() { 0 } else { directory.len() + 1 };
        let prefix = &self.files[first as usize].path.as_bytes()[..skip];
        let files: &'a [Tracked] = self.files;
        for file in &files[first as usize..] {
            let path = file.path.as_bytes();
            if !path.starts_with(prefix) {
                break;
            }
            let name = path[skip..].split(|&byte| byte == b'/').next().unwrap_or_default();
            names.extend(std::str::from_utf8(name).ok());
        }
        names
    }

    /// Returns the lanes of the branch that are selected by paths.
    pub(crate) fn selected_by_paths(&self) -> impl Iterator<Item = LaneIndex> + use<'a> {
        let catalog = self.catalog;
        catalog.lane_indices().filter(move |lane| {
            let lane = &catalog[*lane];
            lane.trigger == LaneTrigger::Branch && lane.filter.paths.is_some()
        })
    }

    /// Returns what is declared under a name that nothing uses.
    pub(crate) fn unused(&self, kind: DeclarationKind) -> impl Iterator<Item = &'a Declaration> {
        let declarations = &self.catalog.declarations().list;
        declarations.iter().filter(move |it| it.kind == kind && !it.used)
    }

    /// Returns the staged Linux targets that are expected; none where nothing is.
    pub(crate) fn expected_targets(&self) -> impl Iterator<Item = &'a At<String>> {
        let expected = self.expected.and_then(|file| file.staged_linux_targets.as_ref());
        expected.into_iter().flatten()
    }

    /// Returns whether a staged Linux target is expected; where nothing is, everything is.
    pub(crate) fn expects(&self, target: &str) -> bool {
        let expected = self.expected.and_then(|file| file.staged_linux_targets.as_ref());
        expected.is_none_or(|list| list.iter().any(|expected| expected.as_str() == target))
    }

    /// Returns who runs a job that a target defines: for messages.
    pub(crate) fn owner_words(&self, job: JobIndex) -> String {
        match self.catalog[job].owner {
            JobOwner::Target(target) => format!("target `{}`", self.catalog[target].id),
            JobOwner::Lane(lane) => format!("lane `{}`", self.catalog[lane].id),
        }
    }

    /// Returns a filter of the catalog that is not a lane's, in the form that questions take.
    pub(crate) fn filter(written: &'a PathFilter) -> Filter<'a> {
        let (paths, exclude) = key(written);
        Filter { written, paths, exclude, of_lane: false, covering: BTreeSet::new() }
    }
}

type Key = (Option<Vec<GlobId>>, Vec<GlobId>);

fn key(filter: &PathFilter) -> Key {
    let sorted = |uses: &[GlobUse]| {
        let mut globs: Vec<GlobId> = uses.iter().map(|used| used.glob).collect();
        globs.sort_unstable();
        globs.dedup();
        globs
    };
    (filter.paths.as_deref().map(sorted), sorted(&filter.exclude))
}

/// The distinct filters, and which of them each lane has. Filters with the same globs written at
/// different places are different: a finding points at each of them.
fn filters(catalog: &Catalog) -> (Vec<Filter<'_>>, Vec<usize>) {
    let mut all: Vec<Filter<'_>> = Vec::new();
    let mut known: BTreeMap<(Key, Vec<(lanes::Span, lanes::Span)>), usize> = BTreeMap::new();
    let mut add = |written, lane: Option<&lanes::Lane>| {
        let (paths, exclude) = key(written);
        let ends = |uses: &[GlobUse]| Some((uses.first()?.span, uses.last()?.span));
        let places = [written.paths.as_deref().and_then(ends), ends(&written.exclude)];
        let places: Vec<_> = places.into_iter().flatten().collect();
        let position =
            *known.entry(((paths.clone(), exclude.clone()), places)).or_insert_with(|| {
                let covering = BTreeSet::new();
                all.push(Filter { written, paths, exclude, of_lane: false, covering });
                all.len() - 1
            });
        if let Some(lane) = lane {
            all[position].of_lane = true;
            all[position].covering.extend(lane.covering().map(|used| used.glob));
        }
        position
    };
    let of_lanes = catalog.lanes().iter().map(|lane| add(&lane.filter, Some(lane))).collect();
    let of_targets = catalog.targets().iter().filter_map(|target| target.filter.as_ref());
    let of_jobs = catalog.jobs().iter().filter_map(|job| job.filter.as_ref());
    for filter in of_targets.chain(of_jobs) {
        add(filter, None);
    }
    (all, of_lanes)
}

pub(crate) fn number(position: usize) -> u32 {
    u32::try_from(position).expect("fewer than 2^32 files and globs")
}
