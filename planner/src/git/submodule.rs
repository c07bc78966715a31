//! The repository of a submodule, where this machine has it.
//!
//! A submodule's commit is in another repository: in the git directory (`modules/NAME`, where
//! `git submodule update` puts it) or in the work tree itself (`git submodule add` of older versions
//! of git, and repositories that were put there by hand). Fetches nothing.

use std::path::PathBuf;

use git2::RepositoryOpenFlags;

use super::{ObjectId, Repository};

impl Repository {
    /// Returns the repository of a submodule that has this commit, and the commit's tree; nothing
    /// where it is not on this machine, or cannot be read.
    #[must_use]
    pub fn submodule(&self, name: &str, path: &str, commit: ObjectId) -> Option<(Self, ObjectId)> {
        let kept = [self.inner.path(), self.inner.commondir()];
        let kept = kept.map(|dir| (dir.join("modules").join(name), RepositoryOpenFlags::BARE));
        let beside = self.inner.workdir().map(|dir| dir.join(path));
        let beside = beside.map(|dir| (dir, RepositoryOpenFlags::NO_SEARCH));
        // git refuses such names, which would lead out of the directory.
        let good = name.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let places = kept.into_iter().filter(|_| good).chain(beside);
        places.into_iter().find_map(|(dir, flags)| Self::with_commit(dir, flags, commit))
    }

    fn with_commit(
        dir: PathBuf,
        flags: RepositoryOpenFlags,
        commit: ObjectId,
    ) -> Option<(Self, ObjectId)> {
        let none: [&std::path::Path; 0] = [];
        let inner = git2::Repository::open_ext(dir, flags, none).ok()?;
        let repository = Self::of(inner);
        if repository.replaced() > 0 {
            return None;
        }
        let tree = repository.inner.find_commit(commit.0).ok()?.tree_id();
        Some((repository, ObjectId(tree)))
    }
}
