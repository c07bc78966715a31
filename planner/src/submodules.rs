//! Says that jobs see submodules as empty directories: a source tree is what the planned tree holds, and nothing is
//! fetched for it. Which lanes a changed submodule selects is the change set's.

use crate::{git::Note, planned_tree::PlannedTree};

/// So many are named.
const NAMED: usize = 3;

/// Returns what to say of the submodules that `.gitmodules` of a tree names; nothing where there are none.
pub(crate) fn note(tree: &PlannedTree<'_>) -> Option<Note> {
    // Whoever cannot read it has been told by the definitions, which are of the same tree.
    let text = tree.content(".gitmodules").ok()??.bytes;
    let text = String::from_utf8_lossy(&text);
    let paths: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("path")?.trim_start().strip_prefix('='))
        .map(|path| path.trim().trim_matches('"'))
        .filter(|path| !path.is_empty())
        .collect();
    let mut named: Vec<String> = paths.iter().take(NAMED).map(|path| format!("`{path}`")).collect();
    if paths.len() > NAMED {
        named.push(format!("{} more", paths.len() - NAMED));
    }
    (!paths.is_empty()).then(|| {
        Note::Warning(format!(
            "submodules are empty directories to jobs, nothing is fetched: {}; a job that needs one runs `git clone` \
             itself",
            named.join(", ")
        ))
    })
}
