//! Source trees of this machine: those that no kept run was made of, and nobody uses.

use std::{collections::BTreeSet, path::Path};

use super::Collection;
use crate::{
    journal, source,
    state::{RunId, StateDir},
    state_registry, text,
};

/// Removes trees. `gone` are the runs of `state` that are not kept.
pub(super) fn collect(
    machine_dir: &Path,
    state: &StateDir,
    gone: &BTreeSet<RunId>,
    collection: &mut Collection,
) {
    let found = wanted(machine_dir, state, gone)
        .and_then(|wanted| source::unused(&machine_dir.join("trees"), &wanted));
    let unused = match found {
        Ok(unused) => unused,
        Err(error) => return collection.stays.push(format!("source trees: {error}")),
    };
    for tree in unused {
        let what = format!("source tree `{}` ({})", tree.name, text::bytes(tree.bytes));
        collection.try_take(&what, || source::remove_unused(&tree).map_err(|e| e.to_string()));
    }
}

/// Returns the tree objects that runs were made of, of every state directory of this machine.
fn wanted(
    machine_dir: &Path,
    state: &StateDir,
    gone: &BTreeSet<RunId>,
) -> std::io::Result<BTreeSet<String>> {
    let mut trees = BTreeSet::new();
    let mut look = |state: &StateDir, gone: Option<&BTreeSet<RunId>>| -> std::io::Result<()> {
        for run in state.runs().map_err(std::io::Error::other)? {
            if gone.is_none_or(|gone| !gone.contains(&run.id)) {
                trees.extend(journal::tree_of(&run.journal()));
            }
        }
        Ok(())
    };
    look(state, Some(gone))?;
    for other in state_registry::all(machine_dir)? {
        if other.path() != state.path() {
            look(&other, None)?;
        }
    }
    Ok(trees)
}
