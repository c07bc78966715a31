//! Gradle builds: `check`, project by project.

use super::{
    Project,
    draft::{CommandDraft, Draft, JobDraft},
    in_dir,
    modules::{self, Build},
    working_dir,
};
use crate::packages::{Package, PackagesError, gradle};

/// Where a build starts; a build of one project may have no settings.
const MARKS: [&str; 4] =
    ["settings.gradle", "settings.gradle.kts", "build.gradle", "build.gradle.kts"];

pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) -> Result<(), PackagesError> {
    let tops = project.tops(&MARKS);
    if tops.is_empty() {
        return Ok(());
    }
    let packages = modules::read(&gradle::KIND, project, &tops, draft)?;
    for top in tops.iter().filter(|top| !modules::is_broken(&packages, top)) {
        let program = if project.has(&in_dir(top, "gradlew")) { "./gradlew" } else { "gradle" };
        let jobs = |module: Option<&Package>| {
            let task = module.map_or("check".to_owned(), |it| format!("{}:check", it.name));
            vec![JobDraft {
                id: "check".to_owned(),
                description: "gradle check".to_owned(),
                command: CommandDraft::argv(&[program, "--console=plain", &task]),
                working_dir: working_dir(top),
                ..JobDraft::default()
            }]
        };
        let own = [&MARKS[..], &["gradle.properties", "gradle/**", "buildSrc/**", "src/**"]];
        let build = Build {
            kind: &gradle::KIND,
            word: "gradle",
            title: "Gradle build",
            top,
            own: project.existing(top, &own.concat()),
            shared: project.existing(top, &["gradlew"]),
            jobs: &jobs,
        };
        // `include 'a:b'` makes a project of `a`, too; without a script it has nothing to check.
        let has_script = |dir: &str| {
            ["build.gradle", "build.gradle.kts"].iter().any(|name| project.has(&in_dir(dir, name)))
        };
        let mut found = modules::below(&packages, top);
        found.retain(|it| it.dir == *top || has_script(&it.dir));
        modules::draft(&build, &found, draft);
    }
    Ok(())
}
