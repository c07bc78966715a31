//! What a job sees of the tree, file by file, each with the glob that brings it.

use plans::{RepoPath, TreeFilter};
use serde::Serialize;

use crate::{
    Decision,
    planned_tree::{PlannedTree, TreeError},
};
use lanes::{JobIndex, glob::Glob};

/// What a job sees.
#[derive(Debug, Serialize)]
pub struct InputsAnswer {
    /// Whether it declares inputs; otherwise it sees the whole tree.
    pub declared: bool,
    /// Every file it sees, sorted by path.
    pub files: Vec<InputFile>,
}

/// A file that a job sees.
#[derive(Debug, Serialize)]
pub struct InputFile {
    /// The file.
    pub path: RepoPath,
    /// The globs of its inputs that match; none where it declares no inputs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub globs: Vec<String>,
}

/// Says what a job sees.
///
/// # Errors
///
/// [`TreeError`] when the tree cannot be read.
pub fn explain_inputs(decision: &Decision, job: JobIndex) -> Result<InputsAnswer, TreeError> {
    let tree: PlannedTree<'_> = decision.context.planned_tree();
    let catalog = &decision.catalog;
    let job = &catalog[job];
    // A job with a host setup sees the copy that the setup was given.
    let spec = match (&job.spec.inputs, job.host_setup) {
        (None, Some(setup)) => &catalog[setup].spec,
        _ => &job.spec,
    };
    let inputs = spec.inputs.as_ref();
    let filter = TreeFilter::new(inputs, spec.snapshot_profile.as_ref()).ok();
    let globs: Vec<Glob> = inputs
        .iter()
        .flat_map(|inputs| &inputs.paths)
        .filter_map(|text| Glob::new(text).ok())
        .collect();
    let mut files = Vec::new();
    for file in tree.tracked()? {
        let path = file.path.as_bytes();
        if filter.as_ref().is_some_and(|filter| filter.keeps(path, file.submodule)) {
            let directory = [path, b"/"].concat();
            let brings =
                |glob: &&Glob| glob.is_match(path) || file.submodule && glob.is_match(&directory);
            let globs = globs.iter().filter(brings).map(|glob| glob.as_str().to_owned()).collect();
            files.push(InputFile { globs, path: file.path });
        }
    }
    Ok(InputsAnswer { declared: inputs.is_some(), files })
}

impl InputsAnswer {
    /// Returns the answer in words.
    pub(super) fn lines(&self) -> Vec<String> {
        let what = match (self.declared, self.files.len()) {
            (false, _) => "it declares no inputs and sees the whole tree:".to_owned(),
            (true, 0) => "it sees no file".to_owned(),
            (true, 1) => "it sees 1 file:".to_owned(),
            (true, count) => format!("it sees {count} files:"),
        };
        let widest = self.files.iter().map(|file| file.path.to_string().chars().count()).max();
        let width = widest.unwrap_or_default().min(60);
        let file = |file: &InputFile| {
            let path = file.path.to_string();
            match file.globs.is_empty() {
                true => format!("  {path}"),
                false => format!("  {path:width$}  {}", super::quoted(&file.globs)),
            }
        };
        std::iter::once(what).chain(self.files.iter().map(file)).collect()
    }
}
