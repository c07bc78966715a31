//! A matcher written from the contract's words alone: every lane against every change, no index,
//! nothing shared. Slow, and easy to read.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use globset::{GlobBuilder, GlobMatcher};
use plans::{Change, ChangeStatus};

/// `paths`, `exclude` and `statuses` as somebody wrote them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    pub(crate) paths: Option<Vec<String>>,
    pub(crate) exclude: Vec<String>,
    pub(crate) statuses: Option<Vec<ChangeStatus>>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Lane {
    pub(crate) filter: Filter,
    /// A target by position; nothing: a command of its own.
    pub(crate) target: Option<usize>,
    pub(crate) group: Option<u8>,
    pub(crate) after: Vec<usize>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    pub(crate) filter: Option<Filter>,
    pub(crate) jobs: Vec<Job>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Job {
    pub(crate) filter: Option<Filter>,
    /// Other jobs as (target, job).
    pub(crate) needs: Vec<(usize, usize)>,
}

/// Manifest and catalog.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) ignore: Vec<String>,
    pub(crate) run_all: Vec<String>,
    pub(crate) unmatched_select_all: bool,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) targets: Vec<Target>,
}

/// What is expected of one lane.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) always: bool,
    /// Glob -> the paths it counts.
    pub(crate) paths: BTreeMap<String, Vec<Vec<u8>>>,
    pub(crate) run_all: BTreeMap<String, usize>,
    pub(crate) unmatched: usize,
    /// The jobs that its own reasons select.
    pub(crate) jobs: BTreeSet<String>,
}

impl Expected {
    pub(crate) fn selected(&self) -> bool {
        self.always || !self.paths.is_empty() || !self.run_all.is_empty() || self.unmatched > 0
    }
}

pub(crate) fn job_id(target: usize, job: usize) -> String {
    format!("job-{target}-{job}")
}

fn matcher(glob: &str) -> GlobMatcher {
    let glob = GlobBuilder::new(glob).literal_separator(true).build().expect("a glob");
    glob.compile_matcher()
}

/// Whether a glob matches a change; a submodule is also a directory.
fn hits(glob: &str, change: &Change) -> bool {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};
    let matcher = matcher(glob);
    let path = change.path.as_bytes();
    let directory = [path, b"/"].concat();
    matcher.is_match(OsStr::from_bytes(path))
        || change.status == ChangeStatus::Submodule
            && matcher.is_match(OsStr::from_bytes(&directory))
}

fn any(globs: &[String], change: &Change) -> bool {
    globs.iter().any(|glob| hits(glob, change))
}

impl Filter {
    /// Globs: of `paths`, or, where something is taken from every path, `**`; nothing: the lane
    /// always runs.
    fn globs(&self) -> Option<Vec<String>> {
        let everything_but = !self.exclude.is_empty() || self.statuses.is_some();
        self.paths.clone().or_else(|| everything_but.then(|| vec!["**".to_owned()]))
    }

    fn not_taken_away(&self, change: &Change) -> bool {
        !any(&self.exclude, change)
    }

    fn counts(&self, change: &Change) -> bool {
        self.paths.as_ref().is_none_or(|paths| any(paths, change))
            && self.not_taken_away(change)
            && self.statuses.as_ref().is_none_or(|kinds| kinds.contains(&change.status))
    }
}

impl Model {
    /// The changed paths that no lane, no `ignore` and no `run_all` covers.
    pub(crate) fn uncovered(&self, changes: &[Change]) -> BTreeSet<Vec<u8>> {
        let covered = |change: &Change| {
            self.lanes.iter().any(|lane| {
                any(&lane.filter.globs().unwrap_or_default(), change)
                    && lane.filter.not_taken_away(change)
            }) || any(&self.ignore, change)
                || any(&self.run_all, change)
                || matches!(change.path.as_bytes(), b"ci/forge-lanes.toml" | b"ci/catalog.toml")
        };
        let open = changes.iter().filter(|change| !covered(change));
        open.map(|change| change.path.as_bytes().to_vec()).collect()
    }

    pub(crate) fn expected(&self, changes: &[Change]) -> Vec<Expected> {
        let uncovered = self.uncovered(changes).len();
        let mut run_all = BTreeMap::new();
        for glob in &self.run_all {
            let total = changes.iter().filter(|change| hits(glob, change)).count();
            if total > 0 {
                run_all.insert(glob.clone(), total);
            }
        }
        self.lanes
            .iter()
            .enumerate()
            .map(|(at, lane)| {
                let mut expected = Expected {
                    always: lane.filter.globs().is_none(),
                    run_all: run_all.clone(),
                    unmatched: if self.unmatched_select_all { uncovered } else { 0 },
                    ..Expected::default()
                };
                for glob in lane.filter.globs().iter().flatten() {
                    let counted: Vec<Vec<u8>> = changes
                        .iter()
                        .filter(|change| hits(glob, change) && lane.filter.counts(change))
                        .map(|change| change.path.as_bytes().to_vec())
                        .collect();
                    if !counted.is_empty() {
                        expected.paths.insert(glob.clone(), counted);
                    }
                }
                let everything = !expected.run_all.is_empty() || expected.unmatched > 0;
                if expected.selected() {
                    expected.jobs = self.jobs(at, changes, everything);
                }
                expected
            })
            .collect()
    }

    fn jobs(&self, lane: usize, changes: &[Change], everything: bool) -> BTreeSet<String> {
        let filter = &self.lanes[lane].filter;
        let Some(at) = self.lanes[lane].target else { return [format!("lane-{lane}")].into() };
        let target = &self.targets[at];
        let runs = |job: &Job| {
            // A job with `paths` is for itself; one with `exclude` alone takes from its target's.
            let alone = job.filter.as_ref().is_some_and(|own| own.paths.is_some());
            let of_target = target.filter.as_ref().filter(|_| !alone);
            let narrowed = [job.filter.as_ref(), of_target].into_iter().flatten();
            let counts = |change: &Change| narrowed.clone().all(|it| it.counts(change));
            everything
                || (narrowed.clone().next().is_none()
                    || changes.iter().any(|change| filter.counts(change) && counts(change)))
        };
        let jobs = target.jobs.iter().enumerate().filter(|(_, job)| runs(job));
        jobs.map(|(job, _)| job_id(at, job)).collect()
    }

    pub(crate) fn manifest(&self) -> String {
        let order: Vec<usize> = (0..self.lanes.len()).collect();
        self.manifest_in(&order)
    }

    /// The manifest with its lanes in another order.
    pub(crate) fn manifest_in(&self, order: &[usize]) -> String {
        let mut text = format!(
            "version = 1\nignore = {:?}\nrun_all = {:?}\nunmatched_paths = {:?}\n",
            self.ignore,
            self.run_all,
            if self.unmatched_select_all { "all_lanes" } else { "none" }
        );
        for &at in order {
            let lane = &self.lanes[at];
            write!(text, "[[branch.lanes]]\nid = \"lane-{at}\"\n").expect("memory");
            match lane.target {
                Some(target) => writeln!(text, "target = \"target-{target}\"").expect("memory"),
                None => text.push_str("command = [\"true\"]\n"),
            }
            lane.filter.write(&mut text);
            if let Some(group) = lane.group {
                writeln!(text, "concurrency_group = \"group-{group}\"").expect("memory");
            }
            let after: Vec<String> = lane.after.iter().map(|at| format!("lane-{at}")).collect();
            writeln!(text, "after = {after:?}").expect("memory");
        }
        text
    }

    pub(crate) fn catalog(&self) -> String {
        let mut text = "version = 1\n".to_owned();
        for (at, target) in self.targets.iter().enumerate() {
            write!(text, "[[targets]]\nid = \"target-{at}\"\ndescription = \"t\"\n")
                .expect("memory");
            target.filter.iter().for_each(|filter| filter.write(&mut text));
            for (number, job) in target.jobs.iter().enumerate() {
                let needs: Vec<String> = job.needs.iter().map(|&(t, j)| job_id(t, j)).collect();
                write!(
                    text,
                    "[[targets.jobs]]\nid = {:?}\ndescription = \"j\"\nbase = \"host_local\"\n\
                     timeout_secs = 60\ncommand = {{ argv = [\"true\"] }}\nneeds = {needs:?}\n",
                    job_id(at, number)
                )
                .expect("memory");
                job.filter.iter().for_each(|filter| filter.write(&mut text));
            }
        }
        text
    }
}

impl Filter {
    fn write(&self, text: &mut String) {
        if let Some(paths) = &self.paths {
            writeln!(text, "paths = {paths:?}").expect("memory");
        }
        if !self.exclude.is_empty() {
            writeln!(text, "exclude = {:?}", self.exclude).expect("memory");
        }
        if let Some(kinds) = &self.statuses {
            let kinds: Vec<&str> = kinds.iter().map(|kind| kind.as_str()).collect();
            writeln!(text, "statuses = {kinds:?}").expect("memory");
        }
    }
}
