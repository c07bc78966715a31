//! Jobs' `inputs_from` to the globs of what they see.
//!
//! A job sees the directories that its packages reach, as a lane with the same `inputs` runs for
//! them, and the lock files and workspace manifests beside them whole: tools read these to the end.

use std::collections::BTreeSet;

use lanes::{Catalog, Diagnostic, JobIndex, Span};

use super::{
    Kind, UNKNOWN_PACKAGE,
    derive::{reach_of, root_names},
    graph::{Packages, To},
    literal,
    tree::{directory_of, file_in},
};

/// The packages of a kind that jobs derive inputs from.
pub(super) fn wanted(catalog: &Catalog, kind: &Kind) -> Vec<(String, Span)> {
    let lists = catalog.jobs().iter().map(|job| job.inputs_from.of(kind.kind));
    lists.flatten().cloned().collect()
}

/// Adds what the packages of each job reach.
pub(super) fn add(
    catalog: &mut Catalog,
    kind: &Kind,
    packages: &Packages,
    found: &mut Vec<Diagnostic>,
) {
    let jobs: Vec<JobIndex> = JobIndex::all(catalog.jobs().len()).collect();
    for job in jobs {
        let named: Vec<(String, Span)> = catalog[job].inputs_from.of(kind.kind).to_vec();
        let mut seen = BTreeSet::new();
        for (name, span) in named {
            for reached in reach_of(packages, &name) {
                let mut globs = reached.to.globs();
                if let To::Package(dir) = &reached.to {
                    globs.extend(beside(kind, packages, dir));
                }
                for glob in globs {
                    if !seen.insert(glob.clone()) {
                        continue;
                    }
                    if let Err(problem) = catalog.add_job_input(job, &glob, &reached.chain) {
                        let message = format!("the path `{glob}` makes no glob: {problem}");
                        found.push(Diagnostic::error(&UNKNOWN_PACKAGE, span, message));
                    }
                }
            }
        }
    }
}

/// The lock files of the packages in a directory, and the manifests of their workspaces.
fn beside(kind: &Kind, packages: &Packages, dir: &str) -> Vec<String> {
    let mut globs = Vec::new();
    for at in packages.at(dir).iter().flat_map(|package| &package.locks) {
        let roots = root_names(kind).map(|name| file_in(directory_of(&at.path), name));
        globs.extend(roots.chain([at.path.clone()]).map(|path| literal(&path)));
    }
    globs
}
