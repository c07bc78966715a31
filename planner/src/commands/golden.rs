//! `planner golden`: the files of scenarios and golden plans, read and written.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use lanes::Catalog;
use plans::{Plan, ScenarioName};

use super::{Answer, Console, Failure, list, show};
use crate::{
    DefinitionPaths, PlanningError,
    cli::{GoldenArgs, GoldenCommand},
    diff::{self, Side},
    exit_code::Exit,
    golden::{Standing, scenarios},
    plan_scenario,
    scenario::Scenario,
};

/// What to do where there is nothing yet.
const NO_SCENARIO: &str = "`planner golden init` writes one for each lane";

pub(super) fn run(console: &Console, command: GoldenCommand) -> Answer {
    match command {
        GoldenCommand::Check(args) => check(console, &args),
        GoldenCommand::Accept(args) => accept(console, &args),
        GoldenCommand::Init(args) => init(console, &args),
    }
}

/// The two directories, and what is in them.
struct Goldens {
    catalog: Catalog,
    plans: PathBuf,
    /// The plan of each scenario now.
    now: BTreeMap<String, Plan>,
    /// The bytes of each golden plan.
    kept: BTreeMap<String, Vec<u8>>,
}

impl Goldens {
    /// Reads definitions and scenarios as they are in the work tree, and plans each scenario.
    fn read(console: &Console, args: &GoldenArgs) -> Result<Self, Failure> {
        let context = list::now(console, None)?;
        let definitions: DefinitionPaths = args.definitions.clone().into();
        let (catalog, _) = context.definitions(&definitions)?;
        let root = context.root();
        let scenarios = console.files_in(&root.join(&args.scenarios), "toml")?;
        let kept = console.files_in(&root.join(&args.plans), "json")?;
        let names: BTreeSet<&String> = args.names.iter().collect();
        for &name in &names {
            if !scenarios.contains_key(name) && !kept.contains_key(name) {
                let message = format!("there is no scenario `{name}` in `{}`", args.scenarios);
                let help = if scenarios.is_empty() && kept.is_empty() {
                    NO_SCENARIO
                } else {
                    "`planner golden check` lists all"
                };
                return Err(Failure::bad_input(message, help));
            }
        }
        let wanted = |name: &String| names.is_empty() || names.contains(name);
        let mut now = BTreeMap::new();
        for (name, text) in scenarios.into_iter().filter(|(name, _)| wanted(name)) {
            let file = format!("{}/{name}.toml", args.scenarios);
            let text = String::from_utf8(text)
                .map_err(|_| Failure::bad_input(format!("`{file}` is not UTF-8"), ""))?;
            let scenario = Scenario::read(&file, &text)
                .map_err(|found| Failure::diagnosed(Box::new(found)))?;
            let id = ScenarioName::new(name.as_str())
                .map_err(|error| Failure::bad_input(error.to_string(), "rename the file"))?;
            let plan = plan_scenario(&catalog, &id, &scenario)?;
            now.insert(name, plan);
        }
        let kept = kept.into_iter().filter(|(name, _)| wanted(name)).collect();
        Ok(Self { catalog, plans: root.join(&args.plans), now, kept })
    }

    /// Every name of either directory with how it stands.
    fn standings(&self) -> impl Iterator<Item = (&String, Standing)> {
        let names: BTreeSet<&String> = self.now.keys().chain(self.kept.keys()).collect();
        names.into_iter().map(|name| {
            let kept = self.kept.get(name).map(Vec::as_slice);
            let standing = self
                .now
                .get(name)
                .map_or(Standing::Orphan, |plan| Standing::of(kept, plan, &self.catalog));
            (name, standing)
        })
    }
}

fn check(console: &Console, args: &GoldenArgs) -> Answer {
    let goldens = Goldens::read(console, args)?;
    if goldens.now.is_empty() && goldens.kept.is_empty() {
        return Err(Failure::bad_input(
            format!("there is no scenario in `{}`", args.scenarios),
            NO_SCENARIO,
        ));
    }
    let mut text = String::new();
    let mut drifted = Vec::new();
    for (name, standing) in goldens.standings() {
        let what = match standing {
            Standing::Same => continue,
            Standing::Missing => "has no golden plan yet\n".to_owned(),
            Standing::Orphan => "is a golden plan without a scenario\n".to_owned(),
            Standing::Formatted => "is the same plan in other bytes\n".to_owned(),
            Standing::Unreadable(why) => format!("is not a plan: {why}\n"),
            Standing::Drifted { before, diff, causes } => {
                let (golden, now) = (side("golden", &before), side("now", &goldens.now[name]));
                let because: String =
                    causes.iter().map(|cause| format!("  because {cause}\n")).collect();
                let differs = diff::human(&diff, &golden, &now, &show::options(console));
                format!("drifted\n{because}{differs}")
            }
        };
        text.push_str(name);
        text.push(' ');
        text.push_str(&what);
        drifted.push(name.as_str());
    }
    console.write(text.as_bytes())?;
    if drifted.is_empty() {
        let plans = match goldens.now.len() {
            1 => "the only golden plan is".to_owned(),
            count => format!("{count} golden plans are"),
        };
        console.say(&format!("{plans} as reviewed"));
        return Ok(Exit::Done);
    }
    console.say(&format!(
        "{} of {} differ; if that is what you want: planner golden accept {}",
        drifted.len(),
        goldens.now.len().max(drifted.len()),
        drifted.join(" ")
    ));
    Ok(Exit::No)
}

fn side<'a>(name: &'a str, plan: &'a Plan) -> Side<'a> {
    Side { name, plan, digest: None }
}

fn accept(console: &Console, args: &GoldenArgs) -> Answer {
    let goldens = Goldens::read(console, args)?;
    let mut lines = Vec::new();
    for (name, standing) in goldens.standings() {
        let file = goldens.plans.join(format!("{name}.json"));
        let what = match standing {
            Standing::Same => continue,
            Standing::Orphan => {
                console.remove_file(&file)?;
                "removed"
            }
            Standing::Missing => "written",
            Standing::Formatted | Standing::Unreadable(_) | Standing::Drifted { .. } => "accepted",
        };
        if let Some(plan) = goldens.now.get(name) {
            console.make_dir(&goldens.plans)?;
            console.write_file(&file, plan.to_json().json.as_bytes())?;
        }
        lines.push(format!("{what} {}/{name}.json\n", args.plans));
    }
    console.write(lines.concat().as_bytes())?;
    Ok(Exit::Done)
}

fn init(console: &Console, args: &GoldenArgs) -> Answer {
    let context = list::now(console, None)?;
    let (catalog, _) = context.definitions(&args.definitions.clone().into())?;
    let paths = context.planned_tree().paths().map_err(PlanningError::from)?;
    let dir = context.root().join(&args.scenarios);
    let mut lines = Vec::new();
    for scenario in scenarios(&catalog, &paths) {
        if !args.names.is_empty() && !args.names.contains(&scenario.name) {
            continue;
        }
        let file = dir.join(format!("{}.toml", scenario.name));
        if console.is_file(Path::new(&file)) {
            continue;
        }
        console.make_dir(&dir)?;
        console.write_file(&file, scenario.text.as_bytes())?;
        lines.push(format!("written {}/{}.toml\n", args.scenarios, scenario.name));
        for glob in &scenario.without_example {
            console.say(&format!("{}: no path could be made for `{glob}`", scenario.name));
        }
    }
    console.write(lines.concat().as_bytes())?;
    Ok(Exit::Done)
}
