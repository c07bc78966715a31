//! Go modules: vet and test, module by module.

use super::{
    MOST_LANES, Project,
    draft::{CommandDraft, Draft, JobDraft, LaneDraft, SeesDraft},
    glob_in, modules, named, sees, shell, working_dir,
};
use crate::packages::{Packages, PackagesError, To, go};

pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) -> Result<(), PackagesError> {
    let mut modules = project.dirs("go.mod");
    if modules.is_empty() {
        return Ok(());
    }
    let packages = modules::read(&go::KIND, project, &modules, draft)?;
    modules.retain(|module| !modules::is_broken(&packages, module));
    if modules.len() > MOST_LANES {
        draft_all(project, &modules, draft);
        return Ok(());
    }
    for module in modules {
        let id = draft.fresh_id(&named("go", &module));
        // The root's own directory is everything; its sources are not.
        let package = packages.at(&module).filter(|package| !package.dir.is_empty());
        // Go reads the manifest of every module of its workspace.
        let workspace = project.has("go.work");
        let manifests = || if workspace { vec!["**/go.mod".to_owned()] } else { Vec::new() };
        let closed =
            package.filter(|package| sees::is_closed(project, &packages, package, "go.mod"));
        let job = |name: &str, words: &[&str]| JobDraft {
            id: format!("{id}-{name}"),
            description: words.join(" "),
            command: CommandDraft::argv(words),
            working_dir: working_dir(&module),
            sees: closed.map(|package| SeesDraft {
                from: ("go", vec![package.name.clone()]),
                inputs: manifests(),
            }),
            ..JobDraft::default()
        };
        let jobs =
            vec![job("vet", &["go", "vet", "./..."]), job("tests", &["go", "test", "./..."])];
        let (comment, inputs, paths) = match package {
            Some(package) => {
                let inputs = ("go", vec![package.name.clone()]);
                let paths = Some(manifests()).filter(|paths| !paths.is_empty());
                (vec![modules::FOLLOWED.to_owned()], Some(inputs), paths)
            }
            None => (Vec::new(), None, Some(paths(project, &module, &packages))),
        };
        draft.push(LaneDraft {
            comment,
            description: format!(
                "The Go module {}",
                if module.is_empty() { "of the root" } else { &module }
            ),
            inputs,
            paths,
            jobs,
            id,
            ..LaneDraft::default()
        });
    }
    Ok(())
}

/// What a module is made of, and the directories that it is built with.
fn paths(project: &Project<'_>, module: &str, packages: &Packages) -> Vec<String> {
    let mut paths = project.existing_suffixes(module, &[".go"]);
    paths.extend(project.existing(module, &["go.mod", "go.sum"]));
    paths.extend(project.existing("", &["go.work", "go.work.sum"]));
    if let Some(package) = packages.at(module) {
        for reached in packages.reach(&package.name) {
            if let To::Package(dir) | To::Directory(dir) = &reached.to
                && !dir.is_empty()
                && project.has_below(dir)
            {
                paths.push(glob_in(dir, "**"));
            }
        }
    }
    paths.sort();
    paths.dedup();
    paths
}

/// One lane for many modules.
fn draft_all(project: &Project<'_>, modules: &[String], draft: &mut Draft) {
    let id = draft.fresh_id("go");
    let quoted = |dir: &String| {
        let dir = if dir.is_empty() { "." } else { dir };
        shell::quoted(dir)
    };
    let dirs: Vec<String> = modules.iter().map(quoted).collect();
    let script = format!(
        "set -eu\nfor dir in {}; do\n  (cd \"$dir\" && go vet ./... && go test ./...)\ndone",
        dirs.join(" ")
    );
    let mut paths = project.existing_suffixes("", &[".go", "go.mod", "go.sum"]);
    paths.extend(project.existing("", &["go.work", "go.work.sum"]));
    draft.push(LaneDraft {
        description: "Every Go module".to_owned(),
        paths: Some(paths),
        jobs: vec![JobDraft {
            id: format!("{id}-tests"),
            description: "go vet and go test, module by module".to_owned(),
            command: CommandDraft::Shell(script),
            ..JobDraft::default()
        }],
        id,
        ..LaneDraft::default()
    });
}
