//! What a drafted job may be shown alone: its package and those that it depends on, where no file of them speaks of
//! anything outside.
//!
//! A file that is read by a way which no text here tells is missed at once and by name when the job runs.

use super::{Project, name_of};
use crate::packages::{Package, Packages, To, TreeEntry};

/// The most files that are read for that.
const MOST: usize = 2000;

/// What finds the root of a repository, or of its sources, by itself.
const WANDERS: [&str; 3] = ["rev-parse", "runtime.Caller", "--show-toplevel"];

/// Returns whether a package and all that it reaches stay among themselves, as far as their files say it; `manifest` is
/// the name of those whose links the package graph has followed already.
pub(super) fn is_closed(
    project: &Project<'_>,
    packages: &Packages,
    package: &Package,
    manifest: &str,
) -> bool {
    packages.reach(&package.name).iter().all(|reached| match &reached.to {
        To::Package(dir) | To::Directory(dir) => stays_inside(project, dir, manifest),
        To::File(_) | To::Glob(_) => true,
        To::Submodule(_) | To::Link(_) | To::Anything => false,
    })
}

fn stays_inside(project: &Project<'_>, dir: &str, manifest: &str) -> bool {
    let prefix = format!("{dir}/");
    let below = project.paths.range(prefix.clone()..);
    let files: Vec<&String> =
        below.take_while(|path| path.starts_with(&prefix)).take(MOST + 1).collect();
    let is_closed = |path: &String| {
        if name_of(path) == manifest {
            return true;
        }
        let depth = path[prefix.len()..].matches('/').count();
        match (project.tree.meet(path), project.tree.text(path)) {
            // What is no text says nothing about other files.
            (Ok(Some((_, TreeEntry::File))), text) => {
                text.ok().flatten().is_none_or(|text| !leaves(&text, depth))
            }
            _ => false,
        }
    };
    !dir.is_empty() && files.len() <= MOST && files.into_iter().all(is_closed)
}

/// Returns whether a text speaks of something above a directory that is so many levels up.
fn leaves(text: &str, depth: usize) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find("../") {
        let mut ups = 0;
        rest = &rest[at..];
        while let Some(next) = rest.strip_prefix("../") {
            ups += 1;
            rest = next;
        }
        if ups > depth {
            return true;
        }
    }
    // Joined of parts.
    let quoted = |line: &str| line.matches("\"..\"").count() > depth;
    text.lines().any(quoted) || WANDERS.iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::leaves;

    #[test]
    fn a_text_leaves_its_package_when_it_goes_up_further_than_it_is_deep() {
        assert!(!leaves("import ./x; a/../b", 1));
        assert!(leaves("include ../x", 0));
        assert!(!leaves("include ../x and ../y", 1));
        assert!(leaves("../../x", 1));
        assert!(leaves("filepath.Join(\"..\", \"..\", \"x\")", 1));
        assert!(!leaves("filepath.Join(\"..\", \"x\")", 1));
        assert!(leaves("git rev-parse", 9));
    }
}
