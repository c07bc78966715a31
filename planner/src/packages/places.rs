//! From a path that a manifest mentions to dependencies of its package, for kinds whose manifests
//! are programs or have many keys with paths in them.

use super::{End, Manifests, Package, To, tree::Place};
use crate::planned_tree::TreeError;

/// Adds where a path leads: every link on the way, and what is at its end. A directory is the
/// package in it where `is_package` says so. Returns whether anything is there.
pub(crate) fn depend(
    package: &mut Package,
    place: &Place,
    label: &str,
    is_package: &dyn Fn(&str) -> bool,
) -> bool {
    for link in place.links.iter().cloned().map(To::Link) {
        package.uses(link, label);
    }
    match &place.end {
        End::Directory(dir) if is_package(dir) && *dir != package.dir => package.needs(dir.clone()),
        End::Directory(dir) if *dir != package.dir => {
            package.uses(To::Directory(dir.clone()), label)
        }
        End::Directory(_) => {}
        End::File(path) => package.uses(To::File(path.clone()), label),
        End::Submodule(path) => {
            package.uses(To::Submodule(path.clone()), format!("{path} (submodule)"))
        }
        End::Missing(_) | End::Outside => return false,
    }
    true
}

/// Adds what texts of a manifest mention of the tree outside the package's own directory: each text
/// is tried below every directory of `from`. What is not there is no path.
pub(crate) fn mentioned<'t>(
    manifests: &Manifests<'_>,
    package: &mut Package,
    from: &[&str],
    texts: impl Iterator<Item = &'t str>,
) -> Result<(), TreeError> {
    for text in texts {
        // A glob counts from its last directory without a wild card.
        let plain = text.split(['*', '?', '[', '{']).next().unwrap_or(text);
        let path = if plain.len() == text.len() {
            plain
        } else {
            plain.rsplit_once('/').map_or("", |it| it.0)
        };
        if !path.contains(|c: char| !matches!(c, '.' | '/')) && !path.contains("..")
            || path.starts_with('/')
        {
            continue;
        }
        for dir in from {
            let place = manifests.lead(dir, path)?;
            let inside = match &place.end {
                End::Directory(end) | End::File(end) => is_below(end, &package.dir),
                End::Submodule(_) | End::Missing(_) | End::Outside => false,
            };
            if !inside || !place.links.is_empty() {
                depend(package, &place, text, &|_| false);
            }
        }
    }
    Ok(())
}

/// Whether a path is a directory or lies below it.
pub(crate) fn is_below(path: &str, dir: &str) -> bool {
    dir.is_empty()
        || path == dir
        || path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/'))
}
