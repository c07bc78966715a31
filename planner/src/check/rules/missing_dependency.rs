//! A list of directories that forgets what a package depends on.

use std::collections::{BTreeMap, BTreeSet};

use lanes::{GlobOwner, LaneIndex, LintLevel, codes::Code};

use super::Rule;
use crate::{
    check::{findings::Found, view::View},
    packages::{Of, Package, glob_of},
};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "missing_dependency",
        cause: "A lane's `paths` cover the directory of a package of a Cargo, npm or pnpm workspace, \
                and no file of another package that it depends on: a change that breaks it from \
                there runs nothing.",
        remedy: "Add the directory, or name the package in `inputs`, which follows the manifests.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let mut found = Vec::new();
    for of in view.packages {
        // The packages that each lane covers whole.
        let mut covered: BTreeMap<LaneIndex, Vec<&Package>> = BTreeMap::new();
        for package in of.packages.iter() {
            if package.dir.is_empty() || package.dependencies.is_empty() {
                continue;
            }
            for lane in lanes_that_may_cover(view, of, package) {
                covered.entry(lane).or_default().push(package);
            }
        }
        let lanes = covered.into_iter();
        found.extend(lanes.filter_map(|(lane, packages)| missing(view, of, lane, &packages)));
    }
    found
}

/// The branch lanes that match a package's manifest and every other file of its directory.
fn lanes_that_may_cover(view: &View<'_>, of: &Of, package: &Package) -> BTreeSet<LaneIndex> {
    let Some(manifest) = view.file_at(format!("{}/{}", package.dir, of.manifest).as_bytes()) else {
        return BTreeSet::new();
    };
    let globs = view.catalog.globs().ids().collect::<Vec<_>>();
    let owners =
        view.globs_of(manifest).iter().flat_map(|&glob| view.catalog.owners(globs[glob as usize]));
    let lanes: BTreeSet<LaneIndex> = owners
        .filter_map(|owner| match owner {
            GlobOwner::LanePaths(lane) => Some(*lane),
            _ => None,
        })
        .filter(|lane| view.catalog[*lane].trigger == lanes::LaneTrigger::Branch)
        .filter(|lane| !of.named(&view.catalog[*lane].inputs).any(|name| name == package.name))
        .collect();
    let files: Vec<u32> = view.files_below(&package.dir).collect();
    let covers = |lane: &LaneIndex| {
        let filter = view.filter_of(*lane);
        files.iter().all(|&file| view.counts(filter, file))
    };
    lanes.into_iter().filter(covers).collect()
}

fn missing(view: &View<'_>, of: &Of, index: LaneIndex, packages: &[&Package]) -> Option<Found> {
    let lane = &view.catalog[index];
    let filter = view.filter_of(index);
    let mut run_all: Vec<_> = view.catalog.rules().run_all.iter().map(|it| it.glob).collect();
    run_all.sort_unstable();
    let counts = |file: u32| view.counts(filter, file) || view.any_matches(&run_all, file);
    let mut chains: BTreeMap<String, String> = BTreeMap::new();
    let mut roots: BTreeSet<&str> = BTreeSet::new();
    for package in packages {
        for reached in of.packages.reach(&package.name) {
            let Some(dir) = reached.to.directory() else { continue };
            let missed = !dir.is_empty()
                && view.first_below(dir).is_some()
                && !view.files_below(dir).any(counts);
            if missed {
                roots.insert(&package.name);
                chains.entry(glob_of(dir)).or_insert(reached.chain.clone());
            }
        }
    }
    let (_, first) = chains.first_key_value()?;
    let others = match chains.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    let message =
        format!("the lane `{}` misses what its packages depend on: {first}{others}", lane.id);
    let globs: Vec<String> = chains.keys().map(|glob| format!("\"{glob}\"")).collect();
    let roots: Vec<String> = roots.iter().map(|name| format!("\"{name}\"")).collect();
    Some(
        Found::at(&RULE.code, lane.span, message)
            .help(format!("add {} to its `paths`", globs.join(", ")))
            .help(format!(
                "or let it follow the manifests: `inputs = {{ {} = [{}] }}`",
                of.kind.key(),
                roots.join(", ")
            )),
    )
}
