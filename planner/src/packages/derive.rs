//! Lanes' `inputs` to path filters, lock files and shared entries; and what is wrong with them.
//!
//! A name that nothing has is an error with the nearest one. A manifest that cannot be read stops
//! nothing: the lanes that need it run for every change, and whoever asks is told.

use std::collections::BTreeSet;

use lanes::{
    Catalog, Diagnostic, Diagnostics, LaneIndex, LockUse, PackageKind, SharedEntry, Span,
    glob::Glob,
};

use super::{
    Kind, UNKNOWN_PACKAGE,
    graph::{Packages, Problem, Reached, To},
    job_inputs, kind_of, links,
    mounted::Mounted,
    tree::{Manifests, directory_of, file_in},
};
use crate::{
    PlanningError,
    planned_tree::{DefinitionFiles, PlannedTree},
};

/// What is wrong with manifests of packages, and which lanes it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageProblem {
    /// The manifest, and what is wrong with it.
    pub problem: Problem,
    /// The lanes that reach the package, each with the place where it names one.
    pub lanes: Vec<(LaneIndex, Span)>,
}

impl PackageProblem {
    /// Returns what a plan should say about it; nothing where it is no news.
    #[must_use]
    pub fn note(&self, catalog: &Catalog) -> Option<String> {
        let Problem { path, detail, unreadable, .. } = &self.problem;
        if !unreadable {
            return None;
        }
        Some(if self.lanes.is_empty() {
            format!(
                "`{path}` {detail}; no lane needs it. `ignore_manifests = [\"{}\"]` in the manifest \
                 says that it is none",
                super::literal(path)
            )
        } else {
            let lanes: Vec<&str> =
                self.lanes.iter().map(|(lane, _)| catalog[*lane].id.as_str()).collect();
            format!("`{path}` {detail}; for every change run: {}", lanes.join(", "))
        })
    }
}

/// Adds what lanes derive from packages to them.
///
/// # Errors
///
/// [`PlanningError`] with every package that there is not.
pub(crate) fn derive(
    catalog: &mut Catalog,
    files: &DefinitionFiles<'_>,
) -> Result<(), PlanningError> {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for kind in PackageKind::ALL {
        let lanes = catalog.lanes().iter().flat_map(|lane| lane.inputs.of(kind)).cloned();
        let kind = kind_of(kind);
        let wanted: Vec<(String, Span)> = lanes.chain(job_inputs::wanted(catalog, kind)).collect();
        if wanted.is_empty() {
            continue;
        }
        for glob in kind.watched {
            files.watch(Glob::new(glob).expect("a plain glob"));
        }
        let packages = read(kind, files.tree(), catalog, &wanted)?;
        let missing = |name: &str| {
            packages.named(name).next().is_none() && packages.may_hold(name).next().is_none()
        };
        found.extend(
            wanted
                .iter()
                .filter(|(name, _)| missing(name))
                .map(|(name, span)| unknown(kind, name, *span, &packages)),
        );
        add(catalog, kind, &packages, &mut found, &mut problems);
        job_inputs::add(catalog, kind, &packages, &mut found);
    }
    for lane in catalog.lane_indices().collect::<Vec<_>>() {
        let lane_of = &catalog[lane];
        if lane_of.inputs.is_empty() || lane_of.filter.exclude.is_empty() {
            continue;
        }
        // What does not count as a path does not count by what is in it, either.
        let texts = lane_of.filter.exclude.iter().map(|used| catalog.globs().text(used.glob));
        let globs: Vec<Glob> = texts.filter_map(|text| Glob::new(text).ok()).collect();
        catalog.leave_out(lane, |file| globs.iter().any(|glob| glob.is_match(file.as_bytes())));
    }
    files.note_problems(problems);
    if found.is_empty() {
        return Ok(());
    }
    let found = Diagnostics::new(catalog.sources().clone(), found);
    Err(PlanningError::Definitions(Box::new(found)))
}

fn read(
    kind: &Kind,
    tree: &PlannedTree<'_>,
    catalog: &Catalog,
    wanted: &[(String, Span)],
) -> Result<Packages, PlanningError> {
    let mut names: Vec<&str> = wanted.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let ignored = &catalog.rules().ignore_manifests;
    let is_ignored = |path: &str| {
        let manifest = file_in(path, kind.manifest);
        ignored.iter().any(|glob| glob.is_match(manifest.as_bytes()))
    };
    let mounted = Mounted::new(tree, is_ignored)?;
    let manifests = Manifests::new(&mounted, ignored, &names);
    let mut packages = (kind.read)(&manifests)?;
    packages.depend_on_unreadable_roots();
    links::add(&manifests, &mut packages, &names)?;
    mounted.mark(&mut packages);
    submodules(&mounted, is_ignored, &mut packages);
    Ok(packages)
}

/// Notes submodules that packages depend on and that are not here: what a manifest in there depends
/// on in this tree is written where nobody can read it, so it may be anything.
fn submodules(mounted: &Mounted<'_>, is_ignored: impl Fn(&str) -> bool, packages: &mut Packages) {
    let mut found = Vec::new();
    for package in packages.iter() {
        for dependency in &package.dependencies {
            let To::Submodule(path) = &dependency.to else { continue };
            if !is_ignored(path) && !mounted.is_here(path) {
                found.push((path.clone(), package.dir.clone()));
            }
        }
    }
    for (path, dir) in found {
        let detail = format!(
            "is a submodule that is not here, so what its manifests lead to is not known and every change \
             counts: `git submodule update --init --recursive` brings it, or say that they lead \
             to nothing of this tree: `ignore_manifests = [\"{}\"]`",
            super::glob_of(&path)
        );
        packages.unfollowed(&path, &dir, detail);
        if let Some(package) = packages.at_mut(&dir) {
            package.uses(To::Anything, format!("{path} (a submodule that is not here)"));
        }
    }
}

fn add(
    catalog: &mut Catalog,
    kind: &Kind,
    packages: &Packages,
    found: &mut Vec<Diagnostic>,
    problems: &mut Vec<PackageProblem>,
) {
    let mut concerned: Vec<PackageProblem> = packages
        .problems()
        .map(|problem| PackageProblem { problem: problem.clone(), lanes: Vec::new() })
        .collect();
    let lanes: Vec<LaneIndex> = catalog.lane_indices().collect();
    for lane in lanes {
        let mut seen = BTreeSet::new();
        let named: Vec<(String, Span)> = catalog[lane].inputs.of(kind.kind).to_vec();
        for (name, span) in named {
            let reach = reach_of(packages, &name);
            for reached in &reach {
                add_reached(catalog, lane, packages, reached, span, &mut seen, found);
            }
            for reached in &reach {
                add_roots(catalog, lane, kind, packages, reached);
            }
            for package in packages.named(&name) {
                for at in &package.locks {
                    let (path, key) = (at.path.clone(), at.key.clone());
                    catalog.add_lock(
                        lane,
                        LockUse { path, kind: kind.kind, key, package: name.clone() },
                    );
                }
            }
            for of in &mut concerned {
                let dir = of.problem.dir.as_str();
                let reaches = |reached: &Reached| reached.to == To::Package(dir.to_owned());
                if reach.iter().any(reaches) && !of.lanes.iter().any(|(it, _)| *it == lane) {
                    of.lanes.push((lane, span));
                }
            }
        }
    }
    problems.append(&mut concerned);
}

/// What a package reaches; one that is not found may be in a manifest that cannot be read.
pub(super) fn reach_of(packages: &Packages, name: &str) -> Vec<Reached> {
    let mut reach = packages.reach(name);
    if packages.named(name).next().is_none() {
        for dir in packages.may_hold(name) {
            let chain = format!("{name} (its manifest cannot be read)");
            reach.push(Reached { to: To::Package(dir.to_owned()), chain: chain.clone() });
            reach.push(Reached { to: To::Anything, chain });
        }
    }
    reach
}

fn add_reached(
    catalog: &mut Catalog,
    lane: LaneIndex,
    packages: &Packages,
    reached: &Reached,
    span: Span,
    seen: &mut BTreeSet<String>,
    found: &mut Vec<Diagnostic>,
) {
    for glob in reached.to.globs() {
        if !seen.insert(glob.clone()) {
            continue;
        }
        if let Err(problem) = catalog.add_derived_path(lane, &glob, &reached.chain) {
            let message = format!("the path `{glob}` makes no glob: {problem:?}");
            found.push(Diagnostic::error(&UNKNOWN_PACKAGE, span, message));
        }
    }
    let To::Package(dir) = &reached.to else { return };
    for ((file, name), value) in packages.at(dir).iter().flat_map(|package| &package.entries) {
        let entry = SharedEntry { value: value.clone(), via: reached.chain.clone() };
        catalog.add_shared_entry(lane, file, name, entry);
    }
}

/// Notes the manifests beside the lock file of a package: they say for the whole workspace which
/// packages there are, and what they derive from is compared when one of them changes.
fn add_roots(
    catalog: &mut Catalog,
    lane: LaneIndex,
    kind: &Kind,
    packages: &Packages,
    reached: &Reached,
) {
    let To::Package(dir) = &reached.to else { return };
    for at in packages.at(dir).iter().flat_map(|package| &package.locks) {
        for name in root_names(kind) {
            catalog.add_root(lane, file_in(directory_of(&at.path), name));
        }
    }
}

/// The names of manifests that say something for a whole workspace.
pub(super) fn root_names(kind: &Kind) -> impl Iterator<Item = &'static str> + use<> {
    let names = kind.watched.iter().filter_map(|glob| glob.strip_prefix("**/"));
    names.filter(|name| !name.contains('*'))
}

fn unknown(kind: &Kind, name: &str, span: Span, packages: &Packages) -> Diagnostic {
    let names = packages.iter().map(|package| package.name.as_str());
    let known: BTreeSet<&str> = names.filter(|name| !name.is_empty()).collect();
    let message = format!("no {} package is called `{}`", kind.kind.key(), name.escape_debug());
    let diagnostic = Diagnostic::error(&UNKNOWN_PACKAGE, span, message);
    let near = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(name, known), *known))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 3);
    let broken: Vec<String> =
        packages.problems().filter(|it| it.unreadable).map(|it| format!("`{}`", it.path)).collect();
    match near {
        Some((_, near)) => diagnostic.help(format!("did you mean `{near}`?")),
        None if !broken.is_empty() && broken.len() <= 12 => {
            diagnostic.help(format!("it may be in what cannot be read: {}", broken.join(", ")))
        }
        None if known.is_empty() => {
            diagnostic.help(format!("the planned tree has no `{}`", kind.manifest))
        }
        None if known.len() <= 12 => {
            let known: Vec<&str> = known.into_iter().collect();
            diagnostic.help(format!("known: `{}`", known.join("`, `")))
        }
        None => diagnostic.remedy(),
    }
}
