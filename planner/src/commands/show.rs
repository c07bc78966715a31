//! `planner show` and `planner diff`: saved plans for people.

use std::path::Path;

use plans::Plan;

use super::{Answer, Console, Failure};
use crate::{
    cli::{PlanFormat, ShowArgs},
    exit_code::Exit,
    render::{self, Durations, Options},
};

pub(super) fn run(console: &Console, args: &ShowArgs) -> Answer {
    let plan = read_plan(console, &args.plan)?;
    let durations = match &args.durations {
        None => None,
        Some(file) => Some(Durations::from_json(&console.read(file)?).map_err(|error| {
            let message = format!("`{}`: {error}", file.display());
            Failure::bad_input(message, "write it with `executor history --json`")
        })?),
    };
    let text = render(console, &plan, args.format, durations);
    console.write(text.as_bytes())?;
    Ok(Exit::Done)
}

/// Renders a plan in a format; the plan itself is JSON.
pub(super) fn render(
    console: &Console,
    plan: &Plan,
    format: PlanFormat,
    durations: Option<Durations>,
) -> String {
    let options = Options {
        width: console.width(),
        color: console.data_colour(),
        digest: Some(plan.to_json().digest),
        durations,
    };
    match format {
        PlanFormat::Json => plan.to_json().json,
        PlanFormat::Human => render::human(plan, &options),
        PlanFormat::Markdown => render::markdown(plan, &options),
        PlanFormat::Mermaid => render::mermaid(plan),
        PlanFormat::Dot => render::dot(plan),
        PlanFormat::Html => render::html(plan, &options),
    }
}

/// Reads a plan file.
pub(super) fn read_plan(console: &Console, file: &Path) -> Result<Plan, Failure> {
    let text = console.read(file)?;
    let (plan, _) = Plan::from_json(&text).map_err(|error| {
        let message = format!("`{}`: {error}", file.display());
        if error.is_refusal() {
            Failure::refused(message, error.help())
        } else {
            Failure::bad_input(message, error.help())
        }
    })?;
    Ok(plan)
}
