//! `planner init`: the first definitions of a repository, made from what is in it.

use std::path::{Path, PathBuf};

use super::{Answer, Console, Failure};
use crate::{
    cli::InitArgs,
    exit_code::Exit,
    git::{self, GitError, Repository},
    init::{self, draft::DraftFiles},
    packages::PackagesError,
    planned_tree::PlannedTree,
};

const MANIFEST: &str = "ci/forge-lanes.toml";
const CATALOG: &str = "ci/catalog.toml";
const INVARIANTS: &str = "ci/invariants.toml";

pub(super) fn run(console: &Console, args: &InitArgs) -> Answer {
    let (root, draft) =
        in_work_tree(console, |tree| init::draft(tree).map_err(|error| packages_failure(&error)))?;
    let files = draft.files();
    write(console, &root, &files, args.print)?;
    if !args.print {
        console
            .say("`planner check` looks them over, `planner plan --worktree --format human` shows");
        console
            .say("what runs; once they are committed, `planner plan | executor apply -` runs it.");
    }
    Ok(Exit::Done)
}

/// Asks about the files as they are now; a repository without commits and a plain directory have
/// files too.
pub(super) fn in_work_tree<T>(
    console: &Console,
    ask: impl FnOnce(&PlannedTree<'_>) -> Result<T, Failure>,
) -> Result<(PathBuf, T), Failure> {
    let failure = |error: GitError| Failure::bad_input(error.to_string(), error.help());
    let mut repository = match Repository::open(console.dir()) {
        Ok(repository) => repository,
        Err(GitError::NoRepository { .. }) => {
            let root = console.dir().to_owned();
            let answer = ask(&PlannedTree::Directory(root.clone()))?;
            return Ok((root, answer));
        }
        Err(error) => return Err(failure(error)),
    };
    let root = repository.work_dir().map(Path::to_owned).or_else(|| git::root_of(console.dir()));
    let root = root.unwrap_or_else(|| console.dir().to_owned());
    let tree = repository.read_work_tree().map_err(failure)?;
    let answer = ask(&PlannedTree::Git { repository: &repository, tree })?;
    Ok((root, answer))
}

pub(super) fn packages_failure(error: &PackagesError) -> Failure {
    Failure::bad_input(error.to_string(), "mend the file, or take it out of the tree")
}

/// Writes the files where there are none, or prints them.
pub(super) fn write(
    console: &Console,
    root: &Path,
    files: &DraftFiles,
    print: bool,
) -> Result<(), Failure> {
    let list =
        [(MANIFEST, &files.manifest), (CATALOG, &files.catalog), (INVARIANTS, &files.invariants)];
    if print {
        let mut text = String::new();
        for (path, content) in list {
            text.extend(["# ---- ", path, "\n", content, "\n"]);
        }
        return console.write(text.as_bytes());
    }
    if let Some((path, _)) = list.iter().find(|(path, _)| console.exists(&root.join(path))) {
        return Err(Failure::bad_input(
            format!("`{path}` is there already"),
            "nothing is overwritten; `--print` shows what would be written",
        ));
    }
    console.make_dir(&root.join("ci"))?;
    let mut written: Vec<&str> = Vec::new();
    for (path, content) in list {
        if let Err(failure) = console.create_file(&root.join(path), content.as_bytes()) {
            for path in written {
                let _ = console.remove_file(&root.join(path));
            }
            return Err(failure);
        }
        written.push(path);
    }
    for path in written {
        console.say(&format!("wrote {path}"));
    }
    Ok(())
}
