//! .NET projects: `dotnet test`, project by project.

use super::{
    Project, directory_of,
    draft::{CommandDraft, Draft, JobDraft},
    modules::{self, Build},
};
use crate::packages::{Package, PackagesError, dotnet};

/// Whether a file is a project's.
pub(super) fn is_project(name: &str) -> bool {
    [".csproj", ".fsproj", ".vbproj"]
        .iter()
        .any(|end| name.len() > end.len() && name.ends_with(end))
}

pub(super) fn draft(project: &Project<'_>, draft: &mut Draft) -> Result<(), PackagesError> {
    let is_there = |path: &&String| is_project(path);
    let Some(first) = project.manifests.iter().find(is_there) else { return Ok(()) };
    let below_root = [directory_of(first).to_owned(), "\0".to_owned()];
    let packages = modules::read(&dotnet::KIND, project, &below_root, draft)?;
    let jobs = |module: Option<&Package>| {
        // A project without tests is built by it, and passes.
        let words = ["dotnet", "test"];
        let dir = module.map(|module| module.dir.as_str());
        let words: Vec<&str> = words.into_iter().chain(dir).collect();
        vec![JobDraft {
            id: "tests".to_owned(),
            description: "dotnet test".to_owned(),
            command: CommandDraft::argv(&words),
            ..JobDraft::default()
        }]
    };
    let build = Build {
        kind: &dotnet::KIND,
        word: "dotnet",
        title: ".NET projects",
        top: "",
        own: project.existing_suffixes(
            "",
            &[".cs", ".fs", ".vb", ".csproj", ".fsproj", ".vbproj", ".props", ".targets"],
        ),
        shared: Vec::new(),
        jobs: &jobs,
    };
    modules::draft(&build, &modules::below(&packages, ""), draft);
    Ok(())
}
