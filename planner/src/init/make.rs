//! Make and just: the recipes by which people check a change.

use super::{
    Project,
    draft::{CommandDraft, Draft, JobDraft, LaneDraft},
};
use crate::packages::PackagesError;

/// What a check is called, the most complete first.
const RECIPES: [&str; 5] = ["ci", "check", "test", "lint", "build"];

pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) -> Result<(), PackagesError> {
    let files = [
        ("just", ["justfile", "Justfile", ".justfile"]),
        ("make", ["GNUmakefile", "Makefile", "makefile"]),
    ];
    for (tool, names) in files {
        let Some(file) = names.into_iter().find(|name| project.has(name)) else { continue };
        let text = project.text(file)?.unwrap_or_default();
        let recipes = recipes(&text);
        let there: Vec<&str> = RECIPES.into_iter().filter(|name| recipes.contains(name)).collect();
        let Some(first) = there.first() else { continue };
        if !draft.lanes.is_empty() {
            // The languages' own lanes know which files they depend on; a recipe does not say.
            draft.closing.push(format!("{file} has recipes too ({}).", there.join(", ")));
            continue;
        }
        let chosen = if ["ci", "check"].contains(first) { &there[..1] } else { &there[..] };
        let jobs = chosen.iter().map(|recipe| JobDraft {
            id: format!("{tool}-{recipe}"),
            description: format!("{tool} {recipe}"),
            command: CommandDraft::argv(&[tool, recipe]),
            ..JobDraft::default()
        });
        let id = draft.fresh_id(tool);
        draft.push(LaneDraft {
            comment: vec![
                "A recipe does not say which files it depends on, so this lane always runs; `paths`".to_owned(),
                "narrows it to the changes that matter.".to_owned(),
            ],
            description: format!("Recipes of {file}"),
            jobs: jobs.collect(),
            id,
            ..LaneDraft::default()
        });
    }
    Ok(())
}

/// The recipes that a file has and that need no argument.
fn recipes(text: &str) -> Vec<&str> {
    let recipe = |line: &'_ str| -> Option<usize> {
        let end = line.find(':')?;
        let name = line[..end].trim_end().trim_start_matches('@');
        let plain =
            !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
        (plain && !line[end..].starts_with(":=")).then_some(end)
    };
    text.lines()
        .filter(|line| !line.starts_with(['\t', ' ', '#']))
        .filter_map(|line| Some(line[..recipe(line)?].trim_end().trim_start_matches('@')))
        .collect()
}
