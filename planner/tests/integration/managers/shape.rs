//! The shape of a random workspace: packages in directories, beside and inside each other, members
//! by patterns, excluded ones, ones that are none, links, and which package needs which.
//!
//! Owns no format; a manager's file writes the shape down in its own words.

use std::os::unix::fs::symlink;

use crate::sandbox::{Numbers, Sandbox};

/// Directories of packages, in an order in which a package may need later ones.
const DIRS: [&str; 14] = [
    "apps/web",
    "apps/api",
    "apps/web/plugin",
    "packages/a",
    "packages/b",
    "packages/core",
    "packages/old-one",
    "groups/x",
    "groups/y",
    "packages/a/nested",
    "tools/gen",
    "libs/low",
    "vendor/fork",
    "more/deep/er/z",
];

/// One package.
#[derive(Debug, Clone)]
pub(crate) struct Package {
    pub(crate) dir: String,
    pub(crate) name: String,
    /// Packages that it needs, by their place in the shape.
    pub(crate) needs: Vec<usize>,
}

/// A workspace without a format.
#[derive(Debug, Clone)]
pub(crate) struct Shape {
    pub(crate) packages: Vec<Package>,
    /// Directories that are links, with the directory that each leads to.
    pub(crate) links: Vec<(String, String)>,
}

impl Shape {
    /// Makes a shape; every package needs only later ones.
    pub(crate) fn new(numbers: &mut Numbers, name: fn(&str) -> String) -> Self {
        let mut dirs: Vec<&str> = DIRS.into_iter().filter(|_| numbers.below(3) > 0).collect();
        if dirs.len() < 3 {
            dirs = DIRS[3..6].to_vec();
        }
        // Cargo and uv take no directory without a manifest for a pattern's.
        for (inner, outer) in [("apps/web/plugin", "apps/web"), ("packages/a/nested", "packages/a")]
        {
            if dirs.contains(&inner) && !dirs.contains(&outer) {
                dirs.push(outer);
            }
        }
        // Which are near the leaves is different each time.
        for at in (1..dirs.len()).rev() {
            dirs.swap(at, numbers.below(at + 1));
        }
        let count = dirs.len();
        let mut packages = Vec::new();
        for (at, dir) in dirs.into_iter().enumerate() {
            let later: Vec<usize> = (at + 1..count).filter(|_| numbers.below(4) == 0).collect();
            packages.push(Package { dir: dir.to_owned(), name: name(dir), needs: later });
        }
        let mut links = Vec::new();
        for (at, link) in ["packages/linked", "links/one"].into_iter().enumerate() {
            if numbers.below(4) == 0 {
                let to = &packages[numbers.below(count)].dir;
                if at == 0 || !to.starts_with("links") {
                    links.push((link.to_owned(), to.clone()));
                }
            }
        }
        Self { packages, links }
    }

    /// Makes the links.
    pub(crate) fn link(&self, sandbox: &Sandbox) {
        for (link, to) in &self.links {
            let at = sandbox.root().join(link);
            let parent = at.parent().expect("it is in a directory");
            std::fs::create_dir_all(parent).expect("a directory");
            let from = link.rsplit_once('/').map_or("", |it| it.0);
            symlink(super::relative(from, to), at).expect("a link");
        }
    }

    /// The directory under which a package is named: its own, or a link to it.
    pub(crate) fn way(&self, numbers: &mut Numbers, to: usize) -> String {
        let dir = &self.packages[to].dir;
        let link = self.links.iter().find(|(_, end)| end == dir);
        match link {
            Some((link, _)) if numbers.below(2) == 0 => link.clone(),
            _ => dir.clone(),
        }
    }

    /// The directories of all packages.
    pub(crate) fn dirs(&self) -> Vec<String> {
        self.packages.iter().map(|it| it.dir.clone()).collect()
    }
}

/// Some of a list, each with a chance of one in `of`, in order.
pub(crate) fn some<'a>(numbers: &mut Numbers, list: &[&'a str], of: usize) -> Vec<&'a str> {
    list.iter().filter(|_| numbers.below(of) == 0).copied().collect()
}

/// A list as TOML, JSON and YAML write it.
pub(crate) fn quoted<'a>(list: impl IntoIterator<Item = &'a str>) -> String {
    let list: Vec<String> = list.into_iter().map(|it| format!("\"{it}\"")).collect();
    format!("[{}]", list.join(", "))
}
