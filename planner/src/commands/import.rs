//! `planner import`: another engine's definitions as lanes.

use std::{cell::RefCell, collections::BTreeMap, path::PathBuf};

use lanes::glob::Glob;

use super::{
    Answer, Console, Failure,
    init::{in_work_tree, write},
};
use crate::{
    PlanningError,
    cli::{ImportArgs, ImportCommand, ImportGithubArgs},
    exit_code::Exit,
    import::{
        ImportError, Tree, azure, buildkite, circleci, github, gitlab, moon, nx, prow, taskgraph,
        turbo, woodpecker,
    },
    init::{caches, draft::Draft},
    packages::ManifestTree as _,
};

pub(super) fn run(console: &Console, command: &ImportCommand) -> Answer {
    match command {
        ImportCommand::Github(args) => from_github(console, args),
        ImportCommand::Gitlab(args) => from_tree(console, args, gitlab::import),
        ImportCommand::Buildkite(args) => from_tree(console, args, buildkite::import),
        ImportCommand::Woodpecker(args) => from_tree(console, args, woodpecker::import),
        ImportCommand::Circleci(args) => from_tree(console, args, circleci::import),
        ImportCommand::Azure(args) => from_tree(console, args, azure::import),
        ImportCommand::Moon(args) => from_tree(console, args, moon::import),
        ImportCommand::Nx(args) => from_tree(console, args, nx::import),
        ImportCommand::Turbo(args) => from_tree(console, args, turbo::import),
        ImportCommand::Taskgraph(args) => from_tree(console, args, taskgraph::import),
        ImportCommand::Prow(args) => from_tree(console, args, prow::import),
    }
}

/// The files of a repository, and the text of those that may be definitions.
struct Sources {
    root: PathBuf,
    paths: Vec<String>,
    texts: BTreeMap<String, String>,
}

/// How the files are called that definitions are in: YAML and JSON, and what says which manager a
/// workspace has.
const WRITTEN: [&str; 7] = [".yml", ".yaml", ".json", ".jsonc", ".conf", ".npmrc", ".yarnrc"];

impl Sources {
    fn read(console: &Console) -> Result<Self, Failure> {
        let (root, (mut paths, texts)) = in_work_tree(console, |tree| {
            let (mut paths, mut texts) = (Vec::new(), BTreeMap::new());
            for path in tree.paths().map_err(PlanningError::from)? {
                let Some(path) = path.as_str() else { continue };
                paths.push(path.to_owned());
                if WRITTEN.iter().any(|end| path.ends_with(end))
                    && !is_lock(path)
                    && let Ok(Some(text)) = tree.text(path)
                {
                    texts.insert(path.to_owned(), text);
                }
            }
            Ok((paths, texts))
        })?;
        paths.sort();
        Ok(Self { root, paths, texts })
    }

    fn ask<T>(&self, ask: impl FnOnce(&Tree<'_>) -> T) -> T {
        // Many lists name the same files.
        let asked: RefCell<BTreeMap<String, bool>> = RefCell::default();
        let has_file = |glob: &str| {
            if let Some(&known) = asked.borrow().get(glob) {
                return known;
            }
            let is_plain = !glob.contains(['*', '?', '[', '{', '\\']);
            let hit = |glob: Glob| self.paths.iter().any(|path| glob.is_match(path.as_bytes()));
            let found = if is_plain {
                self.paths.binary_search_by(|path| path.as_str().cmp(glob)).is_ok()
            } else {
                Glob::new(glob).is_ok_and(hit)
            };
            asked.borrow_mut().insert(glob.to_owned(), found);
            found
        };
        let read = |path: &str| self.texts.get(path).cloned();
        ask(&Tree { paths: &self.paths, read: &read, has_file: &has_file })
    }
}

fn from_tree(
    console: &Console,
    args: &ImportArgs,
    import: fn(&Tree<'_>) -> Result<Draft, ImportError>,
) -> Answer {
    let console = &console.at(&args.repository);
    let sources = Sources::read(console)?;
    let draft = sources.ask(import).map_err(|error| {
        Failure::bad_input(error.to_string(), "name a directory of the repository that it is in")
    })?;
    finish(console, &sources, draft, args.print)
}

fn from_github(console: &Console, args: &ImportGithubArgs) -> Answer {
    let sources = Sources::read(console)?;
    let mut files: Vec<(String, String)> = Vec::new();
    if args.files.is_empty() {
        let workflows = sources.texts.iter().filter(|(path, _)| is_workflow(path));
        files.extend(workflows.map(|(path, text)| (path.clone(), text.clone())));
    }
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
    let draft = sources
        .ask(|tree| github::import_from(&files, tree))
        .map_err(|error| Failure::bad_input(error.to_string(), "name the files to import"))?;
    finish(console, &sources, draft, args.print)
}

fn finish(console: &Console, sources: &Sources, mut draft: Draft, print: bool) -> Answer {
    if draft.lanes.is_empty() {
        return Err(Failure::bad_input(
            "nothing there is started by a push or a pull request",
            "use `planner init`",
        ));
    }
    caches::add(&mut draft, &sources.paths.iter().cloned().collect());
    write(console, &sources.root, &draft.files(), print)?;
    for file in &draft.left_out {
        console.say(&format!("left out: {file}"));
    }
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
    if !print {
        console.say(
            "read the comments: they say what could not be carried over; then `planner check`",
        );
    }
    Ok(Exit::Done)
}

/// Lock files are large, and no definition.
fn is_lock(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    ["package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml"].contains(&name)
}

fn is_workflow(path: &str) -> bool {
    path.strip_prefix(".github/workflows/").is_some_and(|name| {
        !name.contains('/') && (name.ends_with(".yml") || name.ends_with(".yaml"))
    })
}
