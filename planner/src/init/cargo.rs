//! Cargo workspaces: a lane per package, whose paths follow the manifests.

use super::{
    MOST_LANES, Project,
    draft::{CommandDraft, Draft, JobDraft, LaneDraft},
    glob_in, in_dir, modules, named, working_dir,
};
use crate::packages::{Package, PackagesError, cargo};

pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) -> Result<(), PackagesError> {
    let tops = project.tops(&["Cargo.toml"]);
    if tops.is_empty() {
        return Ok(());
    }
    let packages = modules::read(&cargo::KIND, project, &tops, draft)?;
    for top in tops.into_iter().filter(|top| !modules::is_broken(&packages, top)) {
        let packages = modules::below(&packages, &top);
        workspace(project, draft, &top, &packages);
    }
    Ok(())
}

fn workspace(project: &Project<'_>, draft: &mut Draft, top: &str, packages: &[&Package]) {
    let set = draft.fresh_set(&named("cargo", top));
    let mut shared = project.existing(
        top,
        &["Cargo.toml", "Cargo.lock", "rust-toolchain", "rust-toolchain.toml", ".cargo/**"],
    );
    if !top.is_empty() {
        shared
            .extend(project.existing("", &["rust-toolchain", "rust-toolchain.toml", ".cargo/**"]));
    }
    draft.sets.push((set.clone(), shared));
    let locked = project.has(&in_dir(top, "Cargo.lock"));
    let test = |package: Option<&str>| {
        let mut words = vec!["cargo", "test"];
        match package {
            Some(name) => words.extend(["--package", name]),
            None => words.push("--workspace"),
        }
        if locked {
            words.push("--locked");
        }
        CommandDraft::argv(&words)
    };
    let shared = format!("@{set}");
    if (2..=MOST_LANES).contains(&packages.len()) {
        for package in packages {
            let id = draft.fresh_id(&format!("rust-{}", package.name));
            let (paths, inputs) = if package.dir.is_empty() {
                (own_files(project, ""), None)
            } else {
                (Vec::new(), Some(("cargo", vec![package.name.clone()])))
            };
            let lane = LaneDraft {
                comment: vec![modules::FOLLOWED.to_owned()],
                description: format!("Tests of the package {}", package.name),
                paths: Some([paths, vec![shared.clone()]].concat()),
                inputs,
                jobs: vec![job(
                    &format!("{id}-tests"),
                    "cargo test",
                    test(Some(&package.name)),
                    top,
                )],
                id,
                ..LaneDraft::default()
            };
            draft.push(lane);
        }
    } else {
        let id = draft.fresh_id(&named("rust", top));
        let mut paths = vec![shared.clone()];
        for package in packages {
            paths.extend(own_files(project, &package.dir));
        }
        draft.push(LaneDraft {
            description: "Tests of every package".to_owned(),
            paths: Some(paths),
            jobs: vec![job(&format!("{id}-tests"), "cargo test", test(None), top)],
            id,
            ..LaneDraft::default()
        });
    }
    let rust = glob_in(top, "**/*.rs");
    let format = project.existing(top, &["rustfmt.toml", ".rustfmt.toml"]);
    if !format.is_empty() {
        let command = CommandDraft::argv(&["cargo", "fmt", "--all", "--", "--check"]);
        let paths = [vec![rust.clone(), shared.clone()], format].concat();
        let lane =
            lane(draft, &named("rust-format", top), "Sources are formatted", paths, command, top);
        draft.push(lane);
    }
    let lints = project.existing(top, &["clippy.toml", ".clippy.toml"]);
    if !lints.is_empty() {
        let command = CommandDraft::argv(&[
            "cargo",
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ]);
        let paths = [vec![rust, shared], lints].concat();
        let lane = lane(draft, &named("rust-lint", top), "Lints", paths, command, top);
        draft.push(lane);
    }
}

fn lane(
    draft: &Draft,
    id: &str,
    what: &str,
    paths: Vec<String>,
    command: CommandDraft,
    top: &str,
) -> LaneDraft {
    let id = draft.fresh_id(id);
    LaneDraft {
        description: what.to_owned(),
        paths: Some(paths),
        jobs: vec![job(&format!("{id}-check"), what, command, top)],
        id,
        ..LaneDraft::default()
    }
}

fn job(id: &str, what: &str, command: CommandDraft, top: &str) -> JobDraft {
    JobDraft {
        id: id.to_owned(),
        description: what.to_owned(),
        command,
        working_dir: working_dir(top),
        ..JobDraft::default()
    }
}

/// The files of one package, without those of packages below it.
fn own_files(project: &Project<'_>, dir: &str) -> Vec<String> {
    let wanted = ["Cargo.toml", "build.rs", "src/**", "tests/**", "benches/**", "examples/**"];
    project.existing(dir, &wanted).into_iter().filter(|path| path != "Cargo.toml").collect()
}
