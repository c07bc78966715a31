//! `planner plan`: a change in, a plan out.

use std::path::Path;

use plans::{Passed, ScenarioName, Trigger, digest_of};

use super::{Answer, Console, Failure, show};
use crate::{
    ChangesFrom, DefinitionPaths, PlanningError, RepoContext, Request, Wanted,
    cli::{ChangeArgs, DefinitionArgs, OnUnknownBase, PassedElse, PlanArgs},
    exit_code::Exit,
    git::{BaseRequest, Note},
    passed::{Otherwise, PassedFile},
    plan,
    scenario::Scenario,
};

pub(super) fn run(console: &Console, args: PlanArgs) -> Answer {
    let request = request(console, args.definitions, args.change)?;
    let planned = plan(&request).inspect_err(|error| {
        if matches!(error, PlanningError::RepoContext(_)) && console.verbose() {
            console.notes(&steps(&request));
        }
    })?;
    let text = show::render(&planned.plan, args.format, &show::options(console));
    match &args.output {
        Some(file) => console.write_file(file, text.as_bytes())?,
        None => console.write(text.as_bytes())?,
    }
    console.notes(&planned.notes);
    Ok(Exit::Done)
}

/// How the base was looked for, where it was.
fn steps(request: &Request) -> Vec<Note> {
    let Ok(context) = RepoContext::open(request) else { return Vec::new() };
    let Ok((catalog, _)) = context.definitions(&request.definitions) else { return Vec::new() };
    let search = context.base_search(request, catalog.rules().default_branch.as_deref());
    search.map_or_else(Vec::new, |search| search.notes)
}

impl From<DefinitionArgs> for DefinitionPaths {
    fn from(args: DefinitionArgs) -> Self {
        Self { manifest: args.manifest, catalog: args.catalog }
    }
}

/// Turns flags and surroundings into a request.
pub(super) fn request(
    console: &Console,
    definitions: DefinitionArgs,
    args: ChangeArgs,
) -> Result<Request, Failure> {
    let mut trigger = args.trigger.unwrap_or(Trigger::Branch);
    let changes = if let Some(file) = &args.changed_files {
        ChangesFrom::List(console.read(file)?)
    } else if let Some(file) = &args.scenario {
        let text = String::from_utf8(console.read(file)?).map_err(|_| {
            Failure::bad_input(format!("`{}` is not UTF-8", file.display()), "TOML is UTF-8")
        })?;
        let stem = file.file_stem().unwrap_or_default().to_string_lossy();
        let name = ScenarioName::new(stem.as_ref())
            .map_err(|error| Failure::bad_input(error.to_string(), "rename the file"))?;
        let file = file.display().to_string();
        let scenario =
            Scenario::read(&file, &text).map_err(|found| Failure::diagnosed(Box::new(found)))?;
        trigger = scenario.trigger;
        ChangesFrom::Scenario { name, changes: scenario.changes }
    } else if args.all {
        ChangesFrom::All
    } else {
        ChangesFrom::Base(if let Some(revision) = args.base {
            BaseRequest::MergeBase(revision)
        } else if let Some(revision) = args.base_exact {
            BaseRequest::Exact(revision)
        } else if args.base_first_parent {
            BaseRequest::FirstParent
        } else if args.base_empty {
            BaseRequest::Empty
        } else {
            BaseRequest::Default
        })
    };
    let passed = match &args.passed {
        Some(file) => Some(passed_file(console, file, args.passed_else, trigger)?),
        None => None,
    };
    let names_nothing = args.lane.is_empty() && args.target.is_empty() && args.job.is_empty();
    if trigger == Trigger::Manual && args.scenario.is_none() && names_nothing {
        return Err(Failure::bad_input(
            "`--trigger manual` plans only what flags name, and none does",
            "add `--lane ID`, `--target ID` or `--job ID`",
        ));
    }
    Ok(Request {
        dir: console.dir().to_owned(),
        definitions: definitions.into(),
        changes,
        head: args.head,
        worktree: args.worktree,
        run_all_on_unknown_base: args.on_unknown_base == OnUnknownBase::RunAll,
        passed,
        event: console.event(),
        remote: args.remote,
        wanted: Wanted {
            trigger,
            lanes: args.lane,
            targets: args.target,
            jobs: args.job,
            every_lane: false,
        },
    })
}

/// Reads the file that says where lanes passed.
fn passed_file(
    console: &Console,
    file: &Path,
    otherwise: PassedElse,
    trigger: Trigger,
) -> Result<PassedFile, Failure> {
    if trigger != Trigger::Branch {
        return Err(Failure::bad_input(
            format!("`--passed` is about branch lanes, and the trigger is `{}`", trigger.as_str()),
            "leave `--passed` out: there every lane that the trigger or a flag names runs",
        ));
    }
    if file != Path::new("-") && !console.exists(file) {
        return Err(Failure::bad_input(
            format!("`{}` is not there", file.display()),
            "`executor history --passed -o FILE` writes it; where nothing has run yet, one that \
             knows of no run",
        ));
    }
    let bytes = console.read(file)?;
    let document = Passed::from_json(&bytes).map_err(|error| {
        let message = format!("`{}`: {error}", file.display());
        if error.is_refusal() {
            Failure::refused(message, error.help())
        } else {
            Failure::bad_input(message, error.help())
        }
    })?;
    let otherwise = match otherwise {
        PassedElse::Base => Otherwise::Base,
        PassedElse::Run => Otherwise::Run,
    };
    Ok(PassedFile { document, digest: digest_of(&bytes), otherwise })
}
