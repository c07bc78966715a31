//! Symbolic links in a package's directory that lead out of it.
//!
//! A build reads through such a link as if the target were in the package, whatever its manifest
//! says, so the target is a dependency of the package: for every kind of package alike. The link
//! itself is below the package's directory and counts by that. Only packages that lanes reach are
//! looked at; links are not followed to list what is behind them, so circles end.

use std::collections::BTreeSet;

use super::{
    graph::{Package, Packages, To},
    tree::{End, Manifests, TreeEntry, file_in},
};
use crate::planned_tree::TreeError;

/// How many links of one package are followed; with more of them, anything counts.
const MOST: usize = 4096;

/// Adds where links lead to the packages that some names reach.
pub(super) fn add(
    manifests: &Manifests<'_>,
    packages: &mut Packages,
    names: &[&str],
) -> Result<(), TreeError> {
    let mut done = BTreeSet::new();
    loop {
        let reached = names.iter().flat_map(|name| packages.reach(name));
        let dirs = reached.filter_map(|it| match it.to {
            To::Package(dir) if packages.at(&dir).is_some() => Some(dir),
            _ => None,
        });
        let new: BTreeSet<String> = dirs.filter(|dir| !done.contains(dir)).collect();
        if new.is_empty() {
            return Ok(());
        }
        for dir in new {
            if let Some(mut package) = packages.at(&dir).cloned() {
                of_package(manifests, packages, &mut package)?;
                packages.insert(package);
            }
            done.insert(dir);
        }
    }
}

fn of_package(
    manifests: &Manifests<'_>,
    packages: &Packages,
    package: &mut Package,
) -> Result<(), TreeError> {
    // What counts as a whole: the package, and directories that are no packages themselves.
    let whole = package.dependencies.iter().filter_map(|it| it.to.directory());
    let whole = whole.filter(|dir| packages.at(dir).is_none()).map(str::to_owned);
    let mut waiting: Vec<String> = whole.chain([package.dir.clone()]).collect();
    let mut seen: BTreeSet<String> = waiting.iter().cloned().collect();
    let mut count = 0;
    while let Some(dir) = waiting.pop() {
        // Nothing is outside the root.
        if dir.is_empty() {
            return Ok(());
        }
        for link in below(manifests, dir)? {
            count += 1;
            if count > MOST {
                package.uses(To::Anything, "more symbolic links than are followed");
                return Ok(());
            }
            let inside = |path: &str| {
                let dir_of = |dir: &String| {
                    path.strip_prefix(dir.as_str())
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                };
                seen.iter().any(dir_of)
            };
            let place = manifests.locate(&link)?;
            for other in place.links.iter().filter(|other| !inside(other)) {
                package.uses(To::Link(other.clone()), format!("{other} (link)"));
            }
            let label = |path: &str| format!("{path} (by the link {link})");
            match place.end {
                End::File(path) if !inside(&path) => {
                    package.uses(To::File(path.clone()), label(&path));
                }
                End::Directory(path) if !inside(&path) => {
                    if packages.at(&path).is_some() {
                        package.needs(path);
                    } else {
                        package.uses(To::Directory(path.clone()), label(&path));
                        seen.insert(path.clone());
                        waiting.push(path);
                    }
                }
                End::Submodule(path) if !inside(&path) => {
                    package.uses(To::Submodule(path.clone()), label(&path));
                }
                // A file or directory that appears there is read from then on.
                End::Missing(path) if !inside(&path) => {
                    package.uses(To::Directory(path.clone()), label(&path));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The links below a directory, in order.
fn below(manifests: &Manifests<'_>, dir: String) -> Result<Vec<String>, TreeError> {
    let mut links = Vec::new();
    let mut waiting = vec![dir];
    while let Some(dir) = waiting.pop() {
        for (name, entry) in manifests.list(&dir)? {
            match entry {
                TreeEntry::Link => links.push(file_in(&dir, &name)),
                TreeEntry::Directory => waiting.push(file_in(&dir, &name)),
                TreeEntry::File | TreeEntry::Submodule => {}
            }
        }
    }
    links.sort();
    Ok(links)
}
