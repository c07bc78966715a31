//! The tree that definitions are in, as readers of packages ask it.

use lanes::glob::Glob;
use serde_json::Value;

use super::Tree;
use crate::packages::{self, ManifestTree, Packages, PackagesError, TreeEntry};

impl Tree<'_> {
    /// Whether there is a file of this path.
    pub(super) fn has(&self, path: &str) -> bool {
        self.paths.binary_search_by(|known| known.as_str().cmp(path)).is_ok()
    }

    /// The files below a directory; `""` is the root.
    pub(super) fn below(&self, dir: &str) -> impl Iterator<Item = &str> {
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let from = self.paths.partition_point(|path| path.as_str() < prefix.as_str());
        self.paths[from..]
            .iter()
            .map(String::as_str)
            .take_while(move |path| path.starts_with(&prefix))
    }

    /// Reads JSON, with comments and trailing commas too; nothing if it is not there or none.
    pub(super) fn json(&self, path: &str) -> Option<Value> {
        if !self.has(path) {
            return None;
        }
        let text = (self.read)(path)?;
        serde_json::from_str(&packages::npm::plain_json(text.trim_start_matches('\u{feff}'))).ok()
    }

    /// The packages of the tree's npm workspaces.
    pub(super) fn npm_packages(&self) -> Vec<NpmPackage> {
        let mut notes = Vec::new();
        let found = Packages::drafted(&packages::npm::KIND, self, &[], &mut notes);
        let all = found.iter().flat_map(Packages::iter).map(|package| NpmPackage {
            name: package.name.clone(),
            dir: package.dir.clone(),
            needs: package
                .dependencies
                .iter()
                .filter_map(|it| it.to.directory().map(str::to_owned))
                .collect(),
        });
        all.collect()
    }
}

/// A package of npm's, pnpm's, yarn's or bun's.
pub(super) struct NpmPackage {
    pub(super) name: String,
    pub(super) dir: String,
    /// The directories of those that it depends on.
    pub(super) needs: Vec<String>,
}

impl ManifestTree for Tree<'_> {
    fn text(&self, path: &str) -> Result<Option<String>, PackagesError> {
        Ok(if self.has(path) { (self.read)(path) } else { None })
    }

    fn matching(&self, glob: &str) -> Result<Vec<String>, PackagesError> {
        let Ok(parsed) = Glob::new(glob) else { return Ok(Vec::new()) };
        let fixed: Vec<&str> =
            glob.split('/').take_while(|part| !part.contains(['*', '?', '[', '{', '\\'])).collect();
        let dir = fixed[..fixed.len().min(glob.split('/').count() - 1)].join("/");
        let hits = self.below(&dir).filter(|path| parsed.is_match(path.as_bytes()));
        Ok(hits.map(str::to_owned).collect())
    }

    fn meet(&self, path: &str) -> Result<Option<(String, TreeEntry)>, PackagesError> {
        let entry = if path.is_empty() || self.below(path).next().is_some() {
            TreeEntry::Directory
        } else if self.has(path) {
            TreeEntry::File
        } else {
            return Ok(None);
        };
        Ok(Some((path.to_owned(), entry)))
    }

    fn list(&self, dir: &str) -> Result<Vec<(String, TreeEntry)>, PackagesError> {
        let from = if dir.is_empty() { 0 } else { dir.len() + 1 };
        let mut names: Vec<(String, TreeEntry)> = Vec::new();
        for path in self.below(dir) {
            let (name, entry) = match path[from..].split_once('/') {
                Some((name, _)) => (name, TreeEntry::Directory),
                None => (&path[from..], TreeEntry::File),
            };
            if names.last().is_none_or(|(last, _)| last != name) {
                names.push((name.to_owned(), entry));
            }
        }
        names.sort_by(|a, b| a.0.cmp(&b.0));
        names.dedup_by(|a, b| a.0 == b.0);
        Ok(names)
    }
}
