//! Lanes for the modules of one build: what Maven, Gradle, Go, uv and .NET have in common.

use super::{
    MOST_LANES, Project,
    draft::{Draft, JobDraft, LaneDraft},
    fixtures, glob_in, is_below, named,
};
use crate::packages::{Kind, Package, Packages, PackagesError};

/// A build with its modules.
pub(super) struct Build<'a> {
    /// How its modules are read.
    pub(super) kind: &'static Kind,
    /// What ids start with.
    pub(super) word: &'static str,
    /// What people call it.
    pub(super) title: &'static str,
    /// Its directory.
    pub(super) top: &'a str,
    /// In a build of one module at the root: globs of what it is made of, as there are.
    pub(super) own: Vec<String>,
    /// Globs of what every module needs and its manifest does not name.
    pub(super) shared: Vec<String>,
    /// What checks one module, or (none) all of them; the jobs' ids are the rest of an id.
    pub(super) jobs: &'a dyn Fn(Option<&Package>) -> Vec<JobDraft>,
}

/// Reads the packages of a kind, wherever a build of them is.
pub(super) fn read(
    kind: &Kind,
    project: &Project<'_>,
    tops: &[String],
    draft: &mut Draft,
) -> Result<Packages, PackagesError> {
    // A name that nothing has makes the reader look below the root too.
    let everywhere: &[&str] = if tops == [""] { &[] } else { &["\0"] };
    Ok(Packages::drafted(kind, project.tree, everywhere, &mut draft.closing)?)
}

/// Whether the manifest of a build cannot be read; then a note says so, and no lane follows it.
pub(super) fn is_broken(packages: &Packages, top: &str) -> bool {
    packages.problems().any(|problem| problem.unreadable && problem.dir == top)
}

/// The packages of a build, without those that are data of tests.
pub(super) fn below<'a>(packages: &'a Packages, top: &str) -> Vec<&'a Package> {
    let is_of = |package: &&Package| {
        is_below(&package.dir, top)
            && !fixtures::is_fixture(&package.dir)
            && !package.dir.contains(char::is_control)
            && !package.name.contains(char::is_control)
    };
    packages.iter().filter(is_of).collect()
}

/// Drafts a lane for each module, or one for all of them.
pub(super) fn draft(build: &Build<'_>, packages: &[&Package], draft: &mut Draft) {
    let modules: Vec<&&Package> = packages.iter().filter(|it| it.dir != build.top).collect();
    let lane = |id: String, description: String, jobs: Vec<JobDraft>| LaneDraft {
        description,
        jobs: jobs
            .into_iter()
            .map(|job| JobDraft { id: format!("{id}-{}", job.id), ..job })
            .collect(),
        id,
        ..LaneDraft::default()
    };
    if (1..=MOST_LANES).contains(&modules.len()) {
        for package in modules {
            let id = draft.fresh_id(&format!("{}-{}", build.word, package.name));
            draft.push(LaneDraft {
                comment: vec![FOLLOWED.to_owned()],
                inputs: Some((build.kind.kind.key(), vec![package.name.clone()])),
                paths: Some(build.shared.clone()).filter(|paths| !paths.is_empty()),
                ..lane(id, format!("Tests of {}", package.name), (build.jobs)(Some(package)))
            });
        }
        return;
    }
    let id = draft.fresh_id(&named(build.word, build.top));
    let description = format!("Tests of the {}", build.title);
    let mut paths = if build.top.is_empty() { build.own.clone() } else { Vec::new() };
    if !build.top.is_empty() {
        paths.push(glob_in(build.top, "**"));
    } else {
        paths.extend(modules.iter().map(|package| glob_in(&package.dir, "**")));
        paths.extend(build.shared.clone());
    }
    paths.dedup();
    let inputs = packages.iter().filter(|it| it.dir == build.top && !it.dir.is_empty());
    let inputs: Vec<String> = inputs.map(|package| package.name.clone()).collect();
    draft.push(LaneDraft {
        inputs: (!inputs.is_empty()).then(|| (build.kind.kind.key(), inputs)),
        paths: Some(paths),
        ..lane(id, description, (build.jobs)(None))
    });
}

/// What stands above a lane with `inputs`.
pub(super) const FOLLOWED: &str = "Its own directory and those of the packages it depends on.";
