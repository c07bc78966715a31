//! Maven builds: `verify`, module by module.

use super::{
    Project,
    draft::{CommandDraft, Draft, JobDraft},
    in_dir,
    modules::{self, Build},
    working_dir,
};
use crate::packages::{Package, PackagesError, maven};

pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) -> Result<(), PackagesError> {
    let tops = project.tops(&["pom.xml"]);
    if tops.is_empty() {
        return Ok(());
    }
    let packages = modules::read(&maven::KIND, project, &tops, draft)?;
    for top in tops.iter().filter(|top| !modules::is_broken(&packages, top)) {
        let wrapper = project.has(&in_dir(top, "mvnw"));
        let jobs = |module: Option<&Package>| {
            let mut words = vec![if wrapper { "./mvnw" } else { "mvn" }, "--batch-mode"];
            let dir = module.map(|module| relative(&module.dir, top));
            if let Some(dir) = dir {
                words.extend(["--projects", dir, "--also-make"]);
            }
            words.push("verify");
            vec![JobDraft {
                id: "verify".to_owned(),
                description: "mvn verify".to_owned(),
                command: CommandDraft::argv(&words),
                working_dir: working_dir(top),
                ..JobDraft::default()
            }]
        };
        let build = Build {
            kind: &maven::KIND,
            word: "maven",
            title: "Maven build",
            top,
            own: project.existing(top, &["pom.xml", ".mvn/**", "src/**"]),
            shared: project.existing(top, &["mvnw"]),
            jobs: &jobs,
        };
        modules::draft(&build, &modules::below(&packages, top), draft);
    }
    Ok(())
}

/// A directory as its build calls it.
fn relative<'a>(dir: &'a str, top: &str) -> &'a str {
    dir.strip_prefix(top).map_or(dir, |rest| rest.trim_start_matches('/'))
}
