//! npm, pnpm, yarn and bun projects: the scripts that `package.json` names.

use serde_json::Value;

use super::{
    MOST_LANES, Project,
    draft::{CommandDraft, Draft, JobDraft, LaneDraft},
    glob_in, in_dir, is_below, modules, named, shell, working_dir,
};
use crate::packages::{self, Package, PackagesError};

/// The scripts worth running for a change, in this order.
pub(super) const SCRIPTS: [&str; 5] = ["lint", "typecheck", "check", "test", "build"];

/// How a project installs and runs.
struct Manager {
    install: &'static str,
    run: &'static str,
    lock: &'static str,
}

const MANAGERS: [Manager; 6] = [
    Manager { lock: "pnpm-lock.yaml", install: "pnpm install --frozen-lockfile", run: "pnpm" },
    Manager { lock: "yarn.lock", install: "yarn install --frozen-lockfile", run: "yarn" },
    Manager { lock: "bun.lock", install: "bun install --frozen-lockfile", run: "bun" },
    Manager { lock: "bun.lockb", install: "bun install --frozen-lockfile", run: "bun" },
    Manager { lock: "package-lock.json", install: "npm ci", run: "npm" },
    Manager { lock: "npm-shrinkwrap.json", install: "npm ci", run: "npm" },
];
const WITHOUT_LOCK: Manager =
    Manager { lock: "", install: "npm install --no-package-lock", run: "npm" };

pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) -> Result<(), PackagesError> {
    let tops = project.tops(&["package.json"]);
    if tops.is_empty() {
        return Ok(());
    }
    let packages = modules::read(&packages::npm::KIND, project, &tops, draft)?;
    let broken: Vec<&str> = packages.problems().map(|problem| problem.path.as_str()).collect();
    for top in tops {
        if broken.contains(&in_dir(&top, "package.json").as_str()) {
            continue;
        }
        let mut packages = modules::below(&packages, &top);
        packages.retain(|package| {
            package.dir != top && !broken.contains(&in_dir(&package.dir, "package.json").as_str())
        });
        workspace(project, draft, &top, &packages)?;
    }
    Ok(())
}

fn workspace(
    project: &Project<'_>,
    draft: &mut Draft,
    top: &str,
    packages: &[&Package],
) -> Result<(), PackagesError> {
    let manager =
        MANAGERS.iter().find(|it| project.has(&in_dir(top, it.lock))).unwrap_or(&WITHOUT_LOCK);
    let set = draft.fresh_set(&named("npm", top));
    let names = [
        "package.json",
        "pnpm-workspace.yaml",
        ".npmrc",
        ".nvmrc",
        "tsconfig.json",
        "tsconfig.base.json",
        manager.lock,
    ];
    let names: Vec<&str> = names.into_iter().filter(|name| !name.is_empty()).collect();
    let shared = project.existing(top, &names);
    let manifest = manifest(project, top)?;
    let mut installs = installs(&manifest);
    for package in packages {
        installs |= self::installs(&self::manifest(project, &package.dir)?);
    }
    let install = if installs { format!("{} && ", manager.install) } else { String::new() };
    let before = draft.lanes.len();
    let own = scripts(&manifest);
    let bun_test = manager.run == "bun" && packages.is_empty() && has_tests(project, top);
    if !own.is_empty() {
        let id = draft.fresh_id(&named("node", top));
        let jobs = own.iter().map(|script| JobDraft {
            id: format!("{id}-{script}"),
            description: format!("the script `{script}` of {}", in_dir(top, "package.json")),
            command: CommandDraft::Shell(format!("{install}{} run {script}", manager.run)),
            working_dir: working_dir(top),
            ..JobDraft::default()
        });
        let all = if top.is_empty() { sources(project) } else { vec![glob_in(top, "**")] };
        draft.push(LaneDraft {
            comment: vec![format!("The scripts of {}.", in_dir(top, "package.json"))],
            description: "Scripts of the JavaScript project".to_owned(),
            paths: Some([vec![format!("@{set}")], all].concat()),
            jobs: jobs.collect(),
            id,
            ..LaneDraft::default()
        });
    } else if packages.len() <= MOST_LANES {
        for package in packages {
            let lane = of_package(project, draft, package, (top, manager, &install, &set))?;
            lane.into_iter().for_each(|lane| draft.push(lane));
        }
    }
    if draft.lanes.len() == before && bun_test {
        let id = draft.fresh_id(&named("bun", top));
        let all = if top.is_empty() { sources(project) } else { vec![glob_in(top, "**")] };
        draft.push(LaneDraft {
            description: "Tests of the Bun project".to_owned(),
            paths: Some([vec![format!("@{set}")], all].concat()),
            jobs: vec![JobDraft {
                id: format!("{id}-tests"),
                description: "bun test".to_owned(),
                command: CommandDraft::Shell(format!("{install}bun test")),
                working_dir: working_dir(top),
                ..JobDraft::default()
            }],
            id,
            ..LaneDraft::default()
        });
    }
    if draft.lanes.len() == before {
        draft.closing.push(format!(
            "{} names no script to check a change with (lint, typecheck, check, test, build).",
            in_dir(top, "package.json")
        ));
        return Ok(());
    }
    draft.sets.push((set, shared));
    Ok(())
}

fn of_package(
    project: &Project<'_>,
    draft: &Draft,
    package: &Package,
    (top, manager, install, set): (&str, &Manager, &str, &str),
) -> Result<Option<LaneDraft>, PackagesError> {
    let scripts = scripts(&manifest(project, &package.dir)?);
    if scripts.is_empty() {
        return Ok(None);
    }
    let id = draft.fresh_id(&format!("node-{}", package.name));
    let name = shell::word(&package.name, "@/._-");
    let run = |script: &str| match manager.run {
        "pnpm" => format!("{install}pnpm --filter {name} run {script}"),
        "yarn" => format!("{install}yarn workspace {name} run {script}"),
        "bun" => format!("{install}bun run --filter {name} {script}"),
        _ => format!("{install}npm run {script} --workspace {name}"),
    };
    let jobs = scripts.iter().map(|script| JobDraft {
        id: format!("{id}-{script}"),
        description: format!("the script `{script}` of {}", package.name),
        command: CommandDraft::Shell(run(script)),
        working_dir: working_dir(top),
        ..JobDraft::default()
    });
    Ok(Some(LaneDraft {
        comment: vec![modules::FOLLOWED.to_owned()],
        description: format!("Scripts of the package {}", package.name),
        paths: Some(vec![format!("@{set}")]),
        inputs: Some(("npm", vec![package.name.clone()])),
        jobs: jobs.collect(),
        id,
        ..LaneDraft::default()
    }))
}

fn manifest(project: &Project<'_>, dir: &str) -> Result<Value, PackagesError> {
    let path = in_dir(dir, "package.json");
    let text = project.text(&path)?.unwrap_or_else(|| "{}".to_owned());
    serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| PackagesError::Manifest { path, detail: error.to_string() })
}

fn installs(manifest: &Value) -> bool {
    ["dependencies", "devDependencies", "optionalDependencies"]
        .iter()
        .any(|kind| manifest.get(*kind).and_then(Value::as_object).is_some_and(|it| !it.is_empty()))
}

/// The scripts to run; the one that `npm init` writes tests nothing and fails.
fn scripts(manifest: &Value) -> Vec<&'static str> {
    let script = |name: &&&str| {
        let text = manifest.get("scripts").and_then(|scripts| scripts.get(**name)?.as_str());
        text.is_some_and(|text| !text.contains("no test specified"))
    };
    SCRIPTS.iter().filter(script).copied().collect()
}

/// Whether there are files that `bun test` runs.
fn has_tests(project: &Project<'_>, top: &str) -> bool {
    project.paths.iter().filter(|path| is_below(path, top)).any(|path| {
        let stem = path.rsplit_once('.').map_or("", |(stem, _)| stem);
        [".test", "_test", ".spec", "_spec"].iter().any(|end| stem.ends_with(end))
    })
}

/// Where the sources of a project at the root usually are; what else there is runs every lane.
fn sources(project: &Project<'_>) -> Vec<String> {
    let dirs = [
        "src/**",
        "lib/**",
        "app/**",
        "test/**",
        "tests/**",
        "public/**",
        "packages/**",
        "apps/**",
    ];
    let mut sources = project.existing("", &dirs);
    for suffix in [".js", ".ts", ".mjs", ".cjs"] {
        if project.paths.iter().any(|path| !path.contains('/') && path.ends_with(suffix)) {
            sources.push(format!("*{suffix}"));
        }
    }
    sources
}
