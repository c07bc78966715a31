//! `planner check`: what is wrong with manifest, catalog and invariants, in four outputs.

use lanes::Style;

use super::{Answer, Console, Failure, list};
use crate::{
    DefinitionPaths, PlanningError,
    check::{self, Invariants, github, human, json, sarif},
    cli::{CheckArgs, CheckFormat},
    exit_code::Exit,
    planned_tree::PlannedTree,
};

const INVARIANTS: &str = "ci/invariants.toml";

pub(super) fn run(console: &Console, args: CheckArgs) -> Answer {
    if let Some(code) = &args.explain {
        return explain(console, code);
    }
    let context = list::now(console, args.head)?;
    let tree = context.planned_tree();
    let invariants = invariants(&tree, args.invariants.as_deref())?;
    let file = invariants.as_ref().ok().and_then(|read| read.as_ref()).map(|(file, _)| file);
    let default = DefinitionPaths::default();
    let named = |flag: Option<String>, expected: Option<&lanes::At<String>>, default: String| {
        flag.or_else(|| expected.map(|at| at.value.clone())).unwrap_or(default)
    };
    let manifest = file.and_then(|file| file.manifest.as_ref());
    let catalog = file.and_then(|file| file.catalog.as_ref());
    let paths = DefinitionPaths {
        manifest: named(args.manifest, manifest, default.manifest),
        catalog: named(args.catalog, catalog, default.catalog),
    };
    let mut problems = Vec::new();
    let mut ignored = Vec::new();
    let definitions = match context.definitions(&paths) {
        Ok((catalog, inputs)) => {
            problems = inputs.problems;
            ignored.clone_from(&catalog.rules().ignore_manifests);
            Ok(catalog)
        }
        Err(PlanningError::Definitions(found)) => Err(found),
        Err(error) => return Err(error.into()),
    };
    let files = tree.tracked().map_err(PlanningError::from)?;
    let packages = crate::packages::all(&tree, &ignored).map_err(PlanningError::from)?;
    let findings = check::check(definitions, invariants, &files, &packages, &problems)
        .map_err(Failure::diagnosed)?;
    let text = match args.format {
        CheckFormat::Human => {
            let style = Style { colour: console.data_colour(), width: console.width().max(100) };
            human::human(&findings, style, console.verbose())
        }
        CheckFormat::Json => json::json(&findings),
        CheckFormat::Github => github::github(&findings),
        CheckFormat::Sarif => sarif::sarif(&findings),
    };
    console.write(text.as_bytes())?;
    if args.format != CheckFormat::Human {
        console.say(&human::summary(&findings));
    }
    Ok(if findings.count(lanes::LintLevel::Deny) > 0 { Exit::No } else { Exit::Done })
}

/// Reads the invariants of the tree. Nobody needs to have them, unless a flag names them.
fn invariants(tree: &PlannedTree<'_>, flag: Option<&str>) -> Result<Invariants, Failure> {
    let path = flag.unwrap_or(INVARIANTS);
    let Some(content) = tree.content(path).map_err(PlanningError::from)? else {
        if flag.is_some() {
            let message = format!("`{path}` is not in the tree");
            return Err(Failure::bad_input(message, "check `--invariants`"));
        }
        return Ok(Ok(None));
    };
    let text = String::from_utf8(content.bytes)
        .map_err(|_| Failure::bad_input(format!("`{path}` is not UTF-8"), "TOML is UTF-8"))?;
    Ok(lanes::read_invariants(path, &text).map(Some).map_err(Box::new))
}

fn explain(console: &Console, code: &str) -> Answer {
    match human::explain(code) {
        Ok(text) => {
            console.write(text.as_bytes())?;
            Ok(Exit::Done)
        }
        Err(near) => {
            let help = match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "`planner check --explain all` lists them".to_owned(),
            };
            let message = format!("no code is called `{}`", code.escape_debug());
            Err(Failure::bad_input(message, help))
        }
    }
}
