//! `planner import`: another engine's definitions as lanes.

use std::collections::BTreeMap;

use lanes::glob::Glob;

use super::{
    Answer, Console, Failure,
    init::{in_work_tree, write},
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
    let (root, (mut files, paths, texts)) = in_work_tree(console, |tree| {
        let (mut found, mut paths, mut texts) = (Vec::new(), Vec::new(), BTreeMap::new());
        for path in tree.paths().map_err(PlanningError::from)? {
            let Some(path) = path.as_str() else { continue };
            paths.push(path.to_owned());
            // Lists in files of their own, and workflows that are called.
            if !path.ends_with(".yml") && !path.ends_with(".yaml") {
                continue;
            }
            let Ok(Some(text)) = tree.text(path) else { continue };
            if args.files.is_empty() && is_workflow(path) {
                found.push((path.to_owned(), text.clone()));
            }
            texts.insert(path.to_owned(), text);
        }
        Ok((found, paths, texts))
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
    let has_file = |glob: &str| {
        Glob::new(glob).is_ok_and(|glob| paths.iter().any(|path| glob.is_match(path.as_bytes())))
    };
    let read = |path: &str| texts.get(path).cloned();
    let tree = github::Tree { read: &read, has_file: &has_file };
    let draft = github::import_from(&files, &tree)
        .map_err(|error| Failure::bad_input(error.to_string(), "name the files to import"))?;
    if draft.lanes.is_empty() {
        return Err(Failure::bad_input(
            "no workflow is started by a push or a pull request",
            "use `planner init`",
        ));
    }
    write(console, &root, &draft.files(), args.print)?;
    if draft.placeholders > 0 {
        let jobs = if draft.placeholders == 1 {
            "1 job names"
        } else {
            &format!("{} jobs name", draft.placeholders)
        };
        console.say(&format!(
            "{jobs} no command that could be carried over and fails until you write one"
        ));
    }
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
