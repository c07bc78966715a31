//! `planner backtest`: what the commits of this branch would have run.

use std::{path::Path, rc::Rc};

use super::{Answer, Console, Failure};
use crate::{
    DefinitionPaths, PlanningError, RepoContextError,
    backtest::{self, Definitions, With, compare::compare, html, human, json},
    cli::{BacktestArgs, BacktestFormat},
    exit_code::Exit,
    git::{GitError, Range, Repository},
    planned_tree::PlannedTree,
    render::durations::Durations,
    repo_context::read_definitions_with,
};

pub(super) fn run(console: &Console, args: BacktestArgs) -> Answer {
    let durations = match &args.durations {
        None => None,
        Some(file) => Some(
            Durations::from_json(&console.read(file)?)
                .map_err(|error| Failure::bad_input(error.to_string(), "see `executor history`"))?,
        ),
    };
    let repository = Repository::open(console.dir()).map_err(git)?;
    let head = repository.head(args.head.as_deref()).map_err(git)?;
    let paths: DefinitionPaths = args.definitions.into();
    let range = match args.since {
        Some(revision) => Range::Since(revision),
        None => Range::Last(args.last),
    };
    let (steps, notes) = repository.history(&head, &range).map_err(git)?;
    let read = |what: &str| read(console, &repository, &head.tree, &paths, what);
    // Two manifests are compared over the same history, so each of them plans all of it.
    let with = args.with.or_else(|| args.against.is_some().then(|| "HEAD".to_owned()));
    let with_words = match with.as_deref() {
        None => "the definitions of each commit".to_owned(),
        Some("HEAD") if args.head.is_none() => "the definitions of HEAD".to_owned(),
        Some(what) => format!("the definitions of {what}"),
    };
    let with = match with.as_deref() {
        None => With::Own,
        Some(what) => With::These(read(what)?),
    };
    let replayed =
        backtest::replay(&repository, &paths, &steps, &with, durations.as_ref(), args.reuse)?;
    let comparison = match &args.against {
        None => None,
        Some(what) => {
            let others = With::These(read(what)?);
            let others = backtest::replay(&repository, &paths, &steps, &others, None, false)?;
            Some(compare(&replayed, &others))
        }
    };
    let against = args.against.as_ref().map(|what| format!("the definitions of {what}"));
    let heading = human::Heading { with: &with_words, against: against.as_deref() };
    let text = match args.format {
        BacktestFormat::Human => human::human(&replayed, comparison.as_ref(), &heading),
        BacktestFormat::Json => json::json(&replayed, comparison.as_ref(), &heading),
        BacktestFormat::Html => html::html(&replayed, comparison.as_ref(), &heading),
    };
    match &args.output {
        Some(file) => console.write_file(file, text.as_bytes())?,
        None => console.write(text.as_bytes())?,
    }
    console.notes(&notes);
    Ok(Exit::Done)
}

fn git(error: GitError) -> Failure {
    PlanningError::from(RepoContextError::from(error)).into()
}

/// Reads the definitions of a revision, or those of head with another file as manifest.
fn read(
    console: &Console,
    repository: &Repository,
    head: &crate::git::ObjectId,
    paths: &DefinitionPaths,
    what: &str,
) -> Result<Rc<Definitions>, Failure> {
    let file = Path::new(what);
    let (tree, manifest) = if console.is_file(file) {
        (*head, Some(console.read(file)?))
    } else {
        let tree =
            if what == "HEAD" { *head } else { repository.revision(what).map_err(git)?.tree };
        (tree, None)
    };
    let tree = PlannedTree::Git { repository, tree };
    let (catalog, inputs) = read_definitions_with(&tree, paths, manifest)
        .map_err(|error| Failure::from(error).about(&format!("the definitions of `{what}`")))?;
    Ok(Rc::new(Definitions::new(catalog, inputs)))
}
