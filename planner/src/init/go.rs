//! Go modules: vet and test, module by module.

use super::{
    Project,
    draft::{CommandDraft, Draft, JobDraft, LaneDraft},
    in_dir, named, working_dir,
};
use crate::packages::PackagesError;

#[expect(clippy::unnecessary_wraps, reason = "every detector has the same shape")]
pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) -> Result<(), PackagesError> {
    let modules: Vec<String> = project
        .paths
        .iter()
        .filter_map(|path| match path.as_str() {
            "go.mod" => Some(String::new()),
            path => path.strip_suffix("/go.mod").map(str::to_owned),
        })
        .collect();
    for module in modules {
        let id = draft.fresh_id(&named("go", &module));
        let job = |name: &str, words: &[&str]| JobDraft {
            id: format!("{id}-{name}"),
            description: words.join(" "),
            command: CommandDraft::argv(words),
            working_dir: working_dir(&module),
            ..JobDraft::default()
        };
        let mut paths = Vec::new();
        if project.any_with_suffix(&module, ".go") {
            paths.push(in_dir(&module, "**/*.go"));
        }
        paths.extend(project.existing(&module, &["go.mod", "go.sum"]));
        paths.extend(project.existing("", &["go.work", "go.work.sum"]));
        let jobs =
            vec![job("vet", &["go", "vet", "./..."]), job("tests", &["go", "test", "./..."])];
        let comment = if project.has("go.work") {
            vec![
                "Modules of go.work that import each other: add their directories to `paths`."
                    .to_owned(),
            ]
        } else {
            Vec::new()
        };
        draft.lanes.push(LaneDraft {
            comment,
            description: format!(
                "The Go module {}",
                if module.is_empty() { "of the root" } else { &module }
            ),
            paths: Some(paths),
            jobs,
            id,
            ..LaneDraft::default()
        });
    }
    Ok(())
}
