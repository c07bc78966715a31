//! Python projects: tests with the tool that the project's files name.

use super::{
    MOST_LANES, Project,
    draft::{CommandDraft, Draft, JobDraft, LaneDraft},
    glob_in, in_dir,
    modules::{self, Build},
    named, working_dir,
};
use crate::packages::{Package, PackagesError, uv};

const MARKS: [&str; 6] =
    ["pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "noxfile.py", "requirements.txt"];

pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) -> Result<(), PackagesError> {
    let tops = project.tops(&MARKS);
    if tops.is_empty() {
        return Ok(());
    }
    // Only where uv is used are its workspaces looked at.
    let mut of_uv = Vec::new();
    for top in &tops {
        if uv_run(project, top)?.is_some() {
            of_uv.push(top);
        }
    }
    let packages = match of_uv.is_empty() {
        true => None,
        false => Some(modules::read(&uv::KIND, project, &tops, draft)?),
    };
    for top in &tops {
        let mut members = packages.as_ref().map_or_else(Vec::new, |it| modules::below(it, top));
        members.retain(|it| it.dir != *top);
        if of_uv.contains(&top) && (1..=MOST_LANES).contains(&members.len()) {
            workspace(project, draft, top, &members)?;
        } else {
            project_at(project, draft, top)?;
        }
    }
    Ok(())
}

/// A workspace of uv: a lane for each member that has Python files, and one for what the root has.
fn workspace(
    project: &Project<'_>,
    draft: &mut Draft,
    top: &str,
    members: &[&Package],
) -> Result<(), PackagesError> {
    let mut pytest: Vec<&str> = Vec::new();
    for dir in members.iter().map(|it| it.dir.as_str()).chain([top]) {
        if uses_pytest(project, dir)? {
            pytest.push(dir);
        }
    }
    let runner = |dir: &str| runner(project, dir, pytest.contains(&dir) || pytest.contains(&top));
    let uv_run = uv_run(project, top)?.unwrap_or("uv run");
    let run = |dir: &str, package: &[&str]| JobDraft {
        id: "tests".to_owned(),
        description: "Python tests, with uv".to_owned(),
        command: CommandDraft::argv(&[&words(uv_run), package, &words(runner(dir))].concat()),
        working_dir: working_dir(dir),
        ..JobDraft::default()
    };
    let jobs = |member: Option<&Package>| match member {
        Some(member) => vec![run(&member.dir, &["--package", &member.name])],
        None => vec![run(top, &[])],
    };
    let build = Build {
        kind: &uv::KIND,
        word: "python",
        title: "Python project",
        top,
        own: project.existing(top, &["pyproject.toml", "uv.lock", "src/**", "tests/**"]),
        shared: Vec::new(),
        jobs: &jobs,
    };
    let mut members = members.to_vec();
    members.retain(|it| project.any_with_suffix(&it.dir, ".py"));
    if !members.is_empty() {
        modules::draft(&build, &members, draft);
    }
    if build.own.iter().any(|glob| glob.ends_with("/**")) {
        let id = draft.fresh_id(&named("python", top));
        draft.push(LaneDraft {
            description: "Tests of the Python project".to_owned(),
            paths: Some(build.own.clone()),
            jobs: vec![JobDraft { id: format!("{id}-tests"), ..run(top, &[]) }],
            id,
            ..LaneDraft::default()
        });
    }
    Ok(())
}

/// What runs a command in a directory's project with uv, where that locks it or has its workspace. Without a lock file uv
/// makes one, in the job's own copy.
fn uv_run(project: &Project<'_>, top: &str) -> Result<Option<&'static str>, PackagesError> {
    if project.has(&in_dir(top, "uv.lock")) {
        return Ok(Some("uv run --frozen"));
    }
    let pyproject = project.text(&in_dir(top, "pyproject.toml"))?.unwrap_or_default();
    Ok(pyproject.contains("[tool.uv.workspace]").then_some("uv run"))
}

fn words(text: &'static str) -> Vec<&'static str> {
    text.split(' ').collect()
}

fn uses_pytest(project: &Project<'_>, dir: &str) -> Result<bool, PackagesError> {
    let mentions = |name: &str| -> Result<bool, PackagesError> {
        Ok(project.text(&in_dir(dir, name))?.is_some_and(|text| text.contains("pytest")))
    };
    let there = ["pytest.ini", "conftest.py", "tests/conftest.py"];
    Ok(mentions("pyproject.toml")?
        || mentions("requirements.txt")?
        || there.iter().any(|name| project.has(&in_dir(dir, name))))
}

/// What runs the tests. unittest finds files by the pattern `test*.py`, and goes from its start into
/// packages alone; before Python 3.12 it is content with having found none.
fn runner(project: &Project<'_>, top: &str, pytest: bool) -> &'static str {
    let has_tests = |below: &str| {
        project.paths.iter().any(|path| {
            let inside = below.is_empty() || path.starts_with(&format!("{below}/"));
            let name = path.rsplit('/').next().unwrap_or(path);
            inside && name.starts_with("test") && name.ends_with(".py")
        })
    };
    let tests = in_dir(top, "tests");
    if pytest {
        "python -m pytest"
    } else if has_tests(&tests) && !project.has(&in_dir(&tests, "__init__.py")) {
        "python -m unittest discover -s tests"
    } else if has_tests(top) {
        "python -m unittest discover"
    } else {
        // No test is there to be run: that every file is Python is what can be said.
        "python -m compileall -q ."
    }
}

fn project_at(project: &Project<'_>, draft: &mut Draft, top: &str) -> Result<(), PackagesError> {
    if !project.any_with_suffix(top, ".py") {
        return Ok(());
    }
    let pyproject = project.text(&in_dir(top, "pyproject.toml"))?.unwrap_or_default();
    let has = |name: &str| project.has(&in_dir(top, name));
    let pytest = uses_pytest(project, top)?;
    let runner = runner(project, top, pytest);
    let (what, script) = if let Some(uv_run) = uv_run(project, top)? {
        ("uv", format!("{uv_run} {runner}"))
    } else if has("poetry.lock") {
        ("poetry", format!("poetry install --no-interaction && poetry run {runner}"))
    } else if has("tox.ini") {
        ("tox", "tox".to_owned())
    } else if has("noxfile.py") {
        ("nox", "nox".to_owned())
    } else {
        let mut install = Vec::new();
        if has("requirements.txt") {
            install.push("-r requirements.txt");
        }
        if pyproject.contains("[project]") || has("setup.py") {
            install.push("-e .");
        }
        if pytest {
            install.push("pytest");
        }
        if install.is_empty() {
            ("unittest", runner.replacen("python", "python3", 1))
        } else {
            let install = install.join(" ");
            let venv = "python3 -m venv .venv\n. .venv/bin/activate";
            ("pip", format!("set -eu\n{venv}\npip install --quiet {install}\n{runner}"))
        }
    };
    let id = draft.fresh_id(&named("python", top));
    let mut paths = vec![glob_in(top, "**/*.py")];
    let names = ["uv.lock", "poetry.lock", "pytest.ini", "conftest.py"];
    paths.extend(project.existing(top, &MARKS));
    paths.extend(project.existing(top, &names).into_iter().filter(|path| !path.ends_with(".py")));
    draft.push(LaneDraft {
        comment: vec![format!("Python tests, with {what}.")],
        description: "Tests of the Python project".to_owned(),
        paths: Some(
            paths.into_iter().filter(|path| path.contains('*') || !path.ends_with(".py")).collect(),
        ),
        jobs: vec![JobDraft {
            id: format!("{id}-tests"),
            description: format!("Python tests, with {what}"),
            command: CommandDraft::Shell(script),
            working_dir: working_dir(top),
            ..JobDraft::default()
        }],
        id,
        ..LaneDraft::default()
    });
    Ok(())
}
