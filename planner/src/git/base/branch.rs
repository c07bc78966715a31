//! Branches by name: which remote counts, which branch is the default one, and where it is.

use git2::{ErrorCode, Oid};

use super::Search;
use crate::git::{GitError, Repository, other};

/// A commit to compare with, and what people call it.
pub(super) struct Target {
    pub(super) name: String,
    pub(super) commit: Oid,
    /// The branch it is.
    pub(super) branch: Option<String>,
    /// The remote the branch is of; none: it is a branch of this repository.
    pub(super) remote: Option<String>,
    /// The remote to fetch from.
    pub(super) fetch: String,
}

impl Target {
    pub(super) fn commit(name: String, commit: Oid) -> Self {
        Self { name, commit, branch: None, remote: None, fetch: "origin".to_owned() }
    }
}

impl Repository {
    /// The names of the remotes, sorted.
    pub(super) fn remotes(&self) -> Vec<String> {
        let Ok(found) = self.inner.remotes() else { return Vec::new() };
        let mut names: Vec<String> =
            found.iter_bytes().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        names.sort();
        names
    }

    /// The same, `origin` first: the one to fetch from when nobody says which.
    pub(in crate::git) fn remotes_to_ask(&self) -> Vec<String> {
        let mut names = self.remotes();
        names.sort_by_key(|name| name != "origin");
        names
    }

    /// The remote to fetch what is missing from.
    pub(super) fn remote_to_ask(&self) -> String {
        self.remotes_to_ask().into_iter().next().unwrap_or_else(|| "origin".to_owned())
    }
}

impl Search<'_> {
    /// The remote whose branches count: as asked for, `origin`, or the only one.
    pub(super) fn remote(&self) -> Result<String, GitError> {
        let known = self.repository.remotes();
        match self.context.remote {
            Some(remote) if known.iter().any(|it| it == remote) => Ok(remote.to_owned()),
            Some(remote) => Err(GitError::NoRemote { remote: remote.to_owned(), known }),
            None => Ok(match known.as_slice() {
                [only] => only.clone(),
                _ => "origin".to_owned(),
            }),
        }
    }

    /// The default branch: the manifest's, the engine's, the remote's own, `main` or `master`.
    pub(super) fn default_target(&mut self) -> Result<Target, GitError> {
        let remote = self.remote()?;
        let named = self.context.default_branch;
        let engine = self.context.event.and_then(|event| event.default_branch.as_deref());
        let own = self.repository.remote_default(&remote);
        let (known, said) = match (named, engine, own.as_deref()) {
            (Some(branch), ..) => (Some(branch), "the manifest's `default_branch`"),
            (None, Some(branch), _) => (Some(branch), "the engine's default branch"),
            (None, None, Some(branch)) => (Some(branch), "the remote's `HEAD`"),
            (None, None, None) => (None, "a usual name"),
        };
        let candidates = known.map_or_else(|| vec!["main", "master"], |branch| vec![branch]);
        for branch in &candidates {
            if let Some(target) = self.branch_target(branch)? {
                let note = format!("base: the default branch is `{}`, {said}", target.name);
                self.notes.push(crate::git::Note::Info(note));
                return Ok(target);
            }
        }
        Err(self.no_branch(&candidates, known, &remote))
    }

    /// A branch by name: as the remote has it, otherwise as it is here. `upstream/main` is `main`
    /// of the remote `upstream`, if there is one.
    pub(super) fn branch_target(&self, branch: &str) -> Result<Option<Target>, GitError> {
        let remote = self.remote()?;
        let (remote, branch) = self.split(branch, &remote);
        for (reference, name, of_remote) in references(&remote, &branch) {
            match self.repository.inner.find_reference(&reference) {
                Ok(found) => {
                    let commit = self.repository.target(&found)?.0;
                    return Ok(Some(Target {
                        name,
                        commit,
                        branch: Some(branch),
                        remote: of_remote.then(|| remote.clone()),
                        fetch: remote,
                    }));
                }
                Err(error)
                    if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => {}
                Err(error) => return Err(other(&format!("reading `{name}`"), &error)),
            }
        }
        Ok(None)
    }

    fn split(&self, branch: &str, remote: &str) -> (String, String) {
        if let Some((first, rest)) = branch.split_once('/')
            && self.repository.remotes().iter().any(|known| known == first)
        {
            return (first.to_owned(), rest.to_owned());
        }
        (remote.to_owned(), branch.to_owned())
    }

    /// That none of the branches is here. `known` is the one that must be, if it is not a guess.
    pub(super) fn no_branch(
        &self,
        candidates: &[&str],
        known: Option<&str>,
        remote: &str,
    ) -> GitError {
        let mut tried = Vec::new();
        for branch in candidates {
            let (remote, branch) = self.split(branch, remote);
            tried.extend(references(&remote, &branch).map(|(_, name, _)| name));
        }
        let known = known.map(|branch| self.split(branch, remote));
        let remote = known.as_ref().map_or(remote, |(remote, _)| remote).to_owned();
        let has_remote = self.repository.remotes().contains(&remote);
        GitError::NoDefaultBranch {
            tried,
            branch: known.map(|(_, branch)| branch),
            remote: has_remote.then_some(remote),
            shallow: self.repository.inner.is_shallow(),
        }
    }
}

impl Repository {
    /// The branch that the remote's `HEAD` points to.
    fn remote_default(&self, remote: &str) -> Option<String> {
        let prefix = format!("refs/remotes/{remote}/");
        let reference = self.inner.find_reference(&format!("{prefix}HEAD")).ok()?;
        let target = String::from_utf8_lossy(reference.symbolic_target_bytes()?).into_owned();
        Some(target.strip_prefix(&prefix)?.to_owned())
    }
}

/// Where a branch is looked for, with the names people use, and whether it is the remote's.
fn references(remote: &str, branch: &str) -> [(String, String, bool); 2] {
    [
        (format!("refs/remotes/{remote}/{branch}"), format!("{remote}/{branch}"), true),
        (format!("refs/heads/{branch}"), branch.to_owned(), false),
    ]
}
