//! Where links of a tree lead, found without ever leaving it: one component after the other, asking the tree what
//! is there. A link counts as the file it leads to, if that is a regular file of the same tree and no link on the
//! way is absolute (what an absolute path means differs from machine to guest).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use super::{FileKind, Found, Tree};
use crate::fault::Fault;

/// More links than this on one way are a circle, as for the kernel.
const HOPS: usize = 40;

/// A link, and the file it leads to or why it is left out.
type Led = (PathBuf, Result<PathBuf, String>);

/// Follows links of a tree. Asks in rounds, for all links at once: a host is far.
pub(super) fn resolve(tree: &dyn Tree, links: Vec<PathBuf>) -> Result<Vec<Led>, Fault> {
    let mut known: BTreeMap<PathBuf, Found> = BTreeMap::new();
    let mut open = links;
    let mut done = Vec::new();
    let mut ask: BTreeSet<PathBuf> = open.iter().cloned().collect();
    while !open.is_empty() {
        let paths: Vec<PathBuf> = std::mem::take(&mut ask).into_iter().collect();
        let seen = tree.inspect(&paths)?;
        known.extend(paths.into_iter().zip(seen));
        open.retain(|link| match follow(link, &known) {
            Step::Led(file) => {
                done.push((link.clone(), Ok(file)));
                false
            }
            Step::Left(why) => {
                done.push((link.clone(), Err(why)));
                false
            }
            Step::Ask(paths) => {
                ask.extend(paths);
                true
            }
        });
    }
    done.sort();
    Ok(done)
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    Led(PathBuf),
    Left(String),
    /// What is not known yet, and may be wanted next.
    Ask(Vec<PathBuf>),
}

/// Goes as far as what is known leads.
fn follow(link: &Path, known: &BTreeMap<PathBuf, Found>) -> Step {
    let left = |why: &str| Step::Left(why.to_owned());
    let mut at = link.parent().map(Path::to_owned).unwrap_or_default();
    let mut rest: Vec<PathBuf> = link.file_name().map(PathBuf::from).into_iter().collect();
    let mut hops = 0;
    // The last of `rest` comes next.
    while let Some(next) = rest.pop() {
        if next == Path::new("..") {
            if !at.pop() {
                return left("it is a link that leads out of its directory");
            }
            continue;
        }
        let path = at.join(&next);
        match known.get(&path) {
            None => {
                // With what comes after it, as far as that is plain.
                let mut asked = vec![path.clone()];
                let mut below = path;
                for next in rest.iter().rev().take_while(|next| *next != Path::new("..")) {
                    below = below.join(next);
                    asked.push(below.clone());
                }
                return Step::Ask(asked);
            }
            Some(Found::Nothing) => return left("it is a link to nothing"),
            Some(Found::Directory) => at = path,
            Some(Found::Link(target)) => {
                hops += 1;
                if hops > HOPS {
                    return left("it is a link that leads in a circle");
                }
                if target.is_absolute() {
                    let why = if hops == 1 {
                        "it is an absolute link; a relative one would be followed"
                    } else {
                        "it is a link that leads over an absolute one"
                    };
                    return left(why);
                }
                rest.extend(target.components().rev().filter_map(|component| match component {
                    Component::Normal(name) => Some(PathBuf::from(name)),
                    Component::ParentDir => Some(PathBuf::from("..")),
                    Component::CurDir | Component::RootDir | Component::Prefix(_) => None,
                }));
            }
            Some(Found::Other(FileKind::File)) if rest.is_empty() => return Step::Led(path),
            Some(Found::Other(FileKind::File)) => return left("it is a link to nothing"),
            Some(Found::Other(kind)) => {
                return Step::Left(format!("it is a link to {}", kind.as_str()));
            }
        }
    }
    left("it is a link to a directory")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(target: &str, expected: Result<&str, &str>) {
        let link = |to: &str| Found::Link(PathBuf::from(to));
        let known: BTreeMap<PathBuf, Found> = [
            ("d/link", link(target)),
            ("d", Found::Directory),
            ("d/file", Found::Other(FileKind::File)),
            ("file", Found::Other(FileKind::File)),
            ("socket", Found::Other(FileKind::Socket)),
            ("to-d", link("d/.")),
            ("to-file", link("to-d/file")),
            ("circle", link("circle")),
            ("absolute", link("/etc/passwd")),
        ]
        .map(|(path, seen)| (PathBuf::from(path), seen))
        .into();
        struct Known(BTreeMap<PathBuf, Found>);
        impl Tree for Known {
            fn list(&self, _: &[PathBuf]) -> Result<Vec<super::super::FoundFile>, Fault> {
                Ok(Vec::new())
            }
            fn inspect(&self, paths: &[PathBuf]) -> Result<Vec<Found>, Fault> {
                let seen = |path| self.0.get(path).cloned().unwrap_or(Found::Nothing);
                Ok(paths.iter().map(seen).collect())
            }
            fn read(&self, _: &Path, _: usize) -> Result<Option<Vec<u8>>, Fault> {
                Ok(None)
            }
            fn bring(&self, _: &[PathBuf], _: &Path) -> Result<(), Fault> {
                Ok(())
            }
        }
        let led = resolve(&Known(known), vec![PathBuf::from("d/link")]).expect("no fault");
        let expected = expected.map(PathBuf::from).map_err(str::to_owned);
        assert_eq!(led, [(PathBuf::from("d/link"), expected)], "{target}");
    }

    #[test]
    fn a_link_leads_to_a_file_of_its_tree_or_says_why_not() {
        check("file", Ok("d/file"));
        check("../file", Ok("file"));
        check("./../d/../d/file", Ok("d/file"));
        check("../to-file", Ok("d/file"));
        check("../to-d/../file", Ok("file"));
        check("none", Err("it is a link to nothing"));
        check("file/..", Err("it is a link to nothing"));
        check("../d", Err("it is a link to a directory"));
        check("..", Err("it is a link to a directory"));
        check("../../x/d/file", Err("it is a link that leads out of its directory"));
        check("../socket", Err("it is a link to a socket"));
        check("../circle", Err("it is a link that leads in a circle"));
        check("/d/file", Err("it is an absolute link; a relative one would be followed"));
        check("../absolute", Err("it is a link that leads over an absolute one"));
    }
}
