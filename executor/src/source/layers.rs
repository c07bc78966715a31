//! Trees that are made of another one and of what differs: the whole tree below, `base`, the files that changed or are
//! new above it, `delta`, with a whiteout for each that is gone. Who shows such a tree to a job mounts both (overlayfs),
//! so that making it costs what the change costs, not what the repository costs.
//!
//! Owns which trees can be made so, of which base, and what lies in their directory; the locks, the making under another
//! name and the collection are those of every tree ([`super::store`], [`super::unused`]). A base is always whole: layers
//! are two, however long a repository lives, and when too much has changed the next tree is whole again.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use plans::{Checkout, ObjectId};

use super::{
    SourceRequest, build,
    git::{Delta, Git},
    store::failed,
};
use crate::{
    control::Control,
    fault::{FailureKind, Fault},
    supervise::native::{PROBE, SUBCOMMAND},
};

/// What ends the name of a tree in layers; no id of a whole one ends so.
const SUFFIX: &str = "-d";

/// More changes than this make a whole tree, linked where nothing changed: it is the base of those that follow.
const MOST_CHANGES: usize = 4_000;

/// A base whose list is shorter (about 1,500 files) is linked as fast as it is mounted.
const SHORTEST_LIST: u64 = 128 << 10;

/// Returns the name of a tree in layers.
pub(super) fn name(id: &str) -> String {
    format!("{id}{SUFFIX}")
}

/// Whether a directory of trees has this name for a tree in layers.
pub(super) fn is_name(name: &str) -> bool {
    name.ends_with(SUFFIX)
}

/// Whether a source may be one: what git compares are trees that it has, and a checkout's index knows its own files.
pub(super) fn can_be(wanted: &SourceRequest) -> bool {
    wanted.checkout == Checkout::Tree && wanted.profile.is_none() && wanted.inputs.is_none()
}

/// Whether a whole tree may be below one, as far as can be seen without asking git.
pub(super) fn can_be_base(name: &str, tree: &Path) -> bool {
    !name.contains('-')
        && fs::metadata(tree.join("list")).is_ok_and(|list| list.len() >= SHORTEST_LIST)
}

/// Returns what makes a base the wanted tree; `None` where it is too much or cannot be told by layers, or git has not
/// both.
pub(super) fn delta(git: Git<'_>, base: &str, wanted: &SourceRequest) -> Option<Delta> {
    let base = ObjectId::new(base).ok()?;
    let delta = git.compare(&base, &wanted.source.tree).ok()??;
    (delta.made.len() + delta.gone.len() <= MOST_CHANGES).then_some(delta)
}

/// Fills the directory of a tree in layers, and has `executor` mount them once: a supervisor that cannot would have to
/// copy everything.
pub(super) fn fill(
    git: Git<'_>,
    (base, delta, below): (&str, &Delta, &Path),
    new: &Path,
    (executor, control): (&Path, &Control),
) -> Result<(), Fault> {
    let above = new.join("delta");
    let made = fs::create_dir_all(&above).and_then(|()| fs::create_dir(new.join("files")));
    made.map_err(|error| failed("making", new, &error))?;
    build::build(git, &delta.made, None, &above, control)?;
    build::white_out(&delta.gone, &above)?;
    fs::write(new.join("base"), base).map_err(|error| failed("describing", new, &error))?;
    match refused(executor, &new.join("files"), &of(new, below)) {
        None => Ok(()),
        Some(why) => Err(Fault::new(FailureKind::Workspace, why)),
    }
}

/// Returns the name of the base of a tree in layers that is there.
pub(super) fn base(tree: &Path) -> Option<String> {
    let name = fs::read_to_string(tree.join("base")).ok()?;
    // It becomes a path.
    ObjectId::new(name.as_str()).is_ok().then_some(name)
}

/// Returns the layers of a tree, the upper one first.
pub(super) fn of(tree: &Path, base: &Path) -> Vec<PathBuf> {
    vec![tree.join("delta"), base.join("files")]
}

/// Asks a supervisor whether layers can be mounted here; returns why not.
fn refused(executor: &Path, at: &Path, layers: &[PathBuf]) -> Option<String> {
    let mut command = Command::new(executor);
    command.args([SUBCOMMAND, PROBE]).arg(at).args(layers).env_clear().stdin(Stdio::null());
    match command.output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            Some(if said.is_empty() { output.status.to_string() } else { said })
        }
        Err(error) => Some(error.to_string()),
    }
}
