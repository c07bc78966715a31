//! Python projects: tests with the tool that the project's files name.

use super::{
    Project,
    draft::{CommandDraft, Draft, JobDraft, LaneDraft},
    in_dir, named, working_dir,
};
use crate::packages::PackagesError;

const MARKS: [&str; 6] =
    ["pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "noxfile.py", "requirements.txt"];

pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) -> Result<(), PackagesError> {
    let mut tops: Vec<String> = MARKS.iter().flat_map(|mark| project.tops(mark)).collect();
    tops.sort();
    tops.dedup();
    let nested = |top: &&String, all: &[String]| {
        !all.iter().any(|other| {
            *top != other && (other.is_empty() || top.starts_with(&format!("{other}/")))
        })
    };
    let outermost: Vec<&String> = tops.iter().filter(|top| nested(top, &tops)).collect();
    for top in outermost {
        project_at(project, draft, top)?;
    }
    Ok(())
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
    let requirements = project.text(&in_dir(top, "requirements.txt"))?.unwrap_or_default();
    let has = |name: &str| project.has(&in_dir(top, name));
    let pytest = pyproject.contains("pytest")
        || requirements.contains("pytest")
        || has("pytest.ini")
        || has("conftest.py")
        || has("tests/conftest.py");
    let runner = runner(project, top, pytest);
    let (what, script) = if has("uv.lock") {
        ("uv", format!("uv run --frozen {runner}"))
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
    let mut paths = vec![in_dir(top, "**/*.py")];
    let names = ["uv.lock", "poetry.lock", "pytest.ini", "conftest.py"];
    paths.extend(project.existing(top, &MARKS));
    paths.extend(project.existing(top, &names).into_iter().filter(|path| !path.ends_with(".py")));
    draft.lanes.push(LaneDraft {
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
