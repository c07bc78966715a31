//! `planner import`: another engine's definitions as lanes.

use super::{
    Answer, Console, Failure,
    init::{in_work_tree, packages_failure, write},
};
use crate::{
    PlanningError,
    cli::{ImportCommand, ImportGithubArgs},
    exit_code::Exit,
    import::github,
    packages::ManifestTree as _,
};

pub(super) fn run(console: &Console, command: &ImportCommand) -> Answer {
    match command {
        ImportCommand::Github(args) => from_github(console, args),
    }
}

fn from_github(console: &Console, args: &ImportGithubArgs) -> Answer {
    let (root, mut files) = in_work_tree(console, |tree| {
        if !args.files.is_empty() {
            return Ok(Vec::new());
        }
        let mut found = Vec::new();
        for path in tree.paths().map_err(PlanningError::from)? {
            let Some(path) = path.as_str().filter(|path| is_workflow(path)) else { continue };
            if let Some(text) = tree.text(path).map_err(|error| packages_failure(&error))? {
                found.push((path.to_owned(), text));
            }
        }
        Ok(found)
    })?;
    for file in &args.files {
        let name = file.display().to_string();
        let text = String::from_utf8(console.read(file)?)
            .map_err(|_| Failure::bad_input(format!("`{name}` is not UTF-8"), "YAML is UTF-8"))?;
        files.push((name, text));
    }
    if files.is_empty() {
        return Err(Failure::bad_input(
            "there is no workflow in `.github/workflows`",
            "name the files, or use `planner init`",
        ));
    }
    let draft = github::import(&files)
        .map_err(|error| Failure::bad_input(error.to_string(), "name the files to import"))?;
    if draft.lanes.is_empty() {
        return Err(Failure::bad_input(
            "no workflow is started by a push or a pull request",
            "use `planner init`",
        ));
    }
    write(console, &root, &draft.files(), args.print)?;
    if !args.print {
        console.say(
            "read the comments: they say what could not be carried over; then `planner check`",
        );
    }
    Ok(Exit::Done)
}

fn is_workflow(path: &str) -> bool {
    path.strip_prefix(".github/workflows/").is_some_and(|name| {
        !name.contains('/') && (name.ends_with(".yml") || name.ends_with(".yaml"))
    })
}
