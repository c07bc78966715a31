//! `planner show` and `planner diff`: saved plans for people.

use std::path::Path;

use plans::{Plan, Trigger};

use super::{Answer, Console, Failure};
use crate::{
    ChangesFrom, Request, Wanted,
    cli::{DiffArgs, DiffFormat, PlanFormat, ShowArgs},
    diff::{self, Diff, Scope, Side},
    exit_code::Exit,
    plan,
    render::{self, Durations, Options},
};

pub(super) fn run(console: &Console, args: &ShowArgs) -> Answer {
    let (plan, digest) = read_plan(console, &args.plan)?;
    let durations = match &args.durations {
        None => None,
        Some(file) => Some(Durations::from_json(&console.read(file)?).map_err(|error| {
            let message = format!("`{}`: {error}", file.display());
            Failure::bad_input(message, "write it with `executor history --json`")
        })?),
    };
    let options = Options { durations, digest: Some(digest), ..options(console) };
    console.write(render(&plan, args.format, &options).as_bytes())?;
    Ok(Exit::Done)
}

/// How this terminal wants plans.
pub(super) fn options(console: &Console) -> Options {
    Options { width: console.width(), color: console.data_colour(), ..Options::default() }
}

/// Renders a plan in a format; the plan itself is JSON.
pub(super) fn render(plan: &Plan, format: PlanFormat, options: &Options) -> String {
    match format {
        PlanFormat::Json => plan.to_json().json,
        PlanFormat::Human => render::human(plan, options),
        PlanFormat::Markdown => render::markdown(plan, options),
        PlanFormat::Mermaid => render::mermaid(plan),
        PlanFormat::Dot => render::dot(plan),
        PlanFormat::Html => render::html(plan, options),
    }
}

/// Reads a plan file, and returns its digest too.
pub(super) fn read_plan(console: &Console, file: &Path) -> Result<(Plan, String), Failure> {
    let text = console.read(file)?;
    Plan::from_json(&text).map_err(|error| {
        let message = format!("`{}`: {error}", file.display());
        if error.is_refusal() {
            Failure::refused(message, error.help())
        } else {
            Failure::bad_input(message, error.help())
        }
    })
}

/// A plan, and whether it was a file.
struct Named {
    plan: Plan,
    digest: Option<String>,
    is_file: bool,
}

pub(super) fn diff(console: &Console, args: &DiffArgs) -> Answer {
    let (a, b) = (named(console, args, &args.a)?, named(console, args, &args.b)?);
    // Two revisions differ by nature in their commits; two files are compared whole.
    let scope = if a.is_file && b.is_file { Scope::Document } else { Scope::Work };
    let from = Side { name: &args.a, plan: &a.plan, digest: a.digest.as_deref() };
    let to = Side { name: &args.b, plan: &b.plan, digest: b.digest.as_deref() };
    let diff = Diff::between(&from, &to, scope);
    let text = match args.format {
        DiffFormat::Human => diff::human(&diff, &from, &to, &options(console)),
        DiffFormat::Json => diff::json(&diff, &from, &to),
        DiffFormat::Markdown => diff::markdown(&diff, &from, &to),
    };
    console.write(text.as_bytes())?;
    Ok(if diff.is_empty() { Exit::Done } else { Exit::No })
}

/// Reads a plan file, or plans every lane of a revision, branch and nightly.
fn named(console: &Console, args: &DiffArgs, name: &str) -> Result<Named, Failure> {
    if name == "-" || console.is_file(Path::new(name)) {
        let (plan, digest) = read_plan(console, Path::new(name))?;
        return Ok(Named { plan, digest: Some(digest), is_file: true });
    }
    let request = Request {
        dir: console.dir().to_owned(),
        definitions: args.definitions.clone().into(),
        changes: ChangesFrom::All,
        head: Some(name.to_owned()),
        wanted: Wanted { trigger: Trigger::Manual, every_lane: true, ..Wanted::default() },
        ..Request::default()
    };
    let plan =
        plan(&request).map_err(|error| Failure::from(error).about(&format!("`{name}`")))?.plan;
    Ok(Named { plan, digest: None, is_file: false })
}
