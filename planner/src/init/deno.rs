//! Deno projects: their tasks, or lint and test.

use serde_json::Value;

use super::{
    Project,
    draft::{CommandDraft, Draft, JobDraft, LaneDraft},
    glob_in, in_dir, named, npm, working_dir,
};
use crate::packages::{PackagesError, npm::plain_json};

const CONFIG: [&str; 2] = ["deno.json", "deno.jsonc"];

pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) -> Result<(), PackagesError> {
    for top in project.tops(&CONFIG) {
        let Some(path) =
            CONFIG.iter().map(|name| in_dir(&top, name)).find(|path| project.has(path))
        else {
            continue;
        };
        let text = project.text(&path)?.unwrap_or_default();
        let config: Value = match serde_json::from_str(&plain_json(&text)) {
            Ok(config) => config,
            Err(error) => {
                draft.closing.push(format!("{path} cannot be read: {error}; no lane follows it."));
                continue;
            }
        };
        let id = draft.fresh_id(&named("deno", &top));
        let tasks: Vec<&str> = npm::SCRIPTS
            .into_iter()
            .filter(|task| config.get("tasks").and_then(|tasks| tasks.get(task)).is_some())
            .collect();
        let job = |name: &str, words: &[&str]| JobDraft {
            id: format!("{id}-{name}"),
            description: words.join(" "),
            command: CommandDraft::argv(words),
            working_dir: working_dir(&top),
            ..JobDraft::default()
        };
        let jobs = if tasks.is_empty() {
            vec![job("lint", &["deno", "lint"]), job("test", &["deno", "test"])]
        } else {
            tasks.iter().map(|task| job(task, &["deno", "task", task])).collect()
        };
        let paths = if top.is_empty() {
            let sources = [".ts", ".tsx", ".mts", ".js", ".jsx", ".mjs"];
            let own = ["deno.json", "deno.jsonc", "deno.lock", "import_map.json"];
            [project.existing_suffixes("", &sources), project.existing("", &own)].concat()
        } else {
            vec![glob_in(&top, "**")]
        };
        draft.push(LaneDraft {
            description: "The Deno project".to_owned(),
            paths: Some(paths),
            jobs,
            id,
            ..LaneDraft::default()
        });
    }
    Ok(())
}
