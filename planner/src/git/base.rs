//! What to compare with: every way of naming a base, and every way it can be out of reach.
//!
//! The default is what a reviewer of the branch would see: the merge base with the branch it goes
//! to; on that branch itself, what the last commit brought. A shallow clone is searched by our own
//! walk, because a merge base found in it is only sure when no cut was met on the way.

use std::collections::{BTreeSet, VecDeque};

use git2::{ErrorCode, Oid};
use plans::BaseMode;

use super::{GitError, Head, Note, ObjectId, Repository, other};
use crate::pull_request::PullRequest;

/// What was asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum BaseRequest {
    /// Nothing: the merge base with the default branch, or the first parent on it.
    #[default]
    Default,
    /// `--base REV`: the merge base with a revision.
    MergeBase(String),
    /// `--base-exact REV`: that commit.
    Exact(String),
    /// `--base-first-parent`.
    FirstParent,
    /// `--base-empty`: the empty tree.
    Empty,
}

/// The base.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The commits to compare with, the newest first; none is the empty tree.
    pub commits: Vec<ObjectId>,
    /// How they were found.
    pub mode: BaseMode,
    /// What is worth saying about it.
    pub notes: Vec<Note>,
}

impl Base {
    /// Returns the one commit that stands for the base; none is the empty tree.
    #[must_use]
    pub fn commit(&self) -> Option<ObjectId> {
        self.commits.first().copied()
    }
}

/// A commit to find the merge base with, and what people call it.
struct Target {
    name: String,
    commit: Oid,
    /// The remote branch it is, for the command that fetches it.
    branch: Option<String>,
}

impl Repository {
    /// Resolves the base of `head`. `default_branch` is the manifest's, if it names one.
    ///
    /// # Errors
    ///
    /// [`GitError`] when the base is out of reach; never a guess. Head is known all the same, so
    /// planning everything is still possible (`--on-unknown-base run-all`).
    pub fn base(
        &self,
        head: &Head,
        request: &BaseRequest,
        default_branch: Option<&str>,
        pull_request: Option<&PullRequest>,
    ) -> Result<Base, GitError> {
        match request {
            BaseRequest::Default => self.default_base(head, default_branch, pull_request),
            BaseRequest::MergeBase(revision) => {
                let commit = self.revision(revision)?.commit.0;
                let target = Target { name: revision.clone(), commit, branch: None };
                self.merge_base(head, &target, Vec::new())
            }
            BaseRequest::Exact(revision) => {
                let commits = vec![self.revision(revision)?.commit];
                Ok(Base { commits, mode: BaseMode::Exact, notes: Vec::new() })
            }
            BaseRequest::FirstParent => self.first_parent(head, Vec::new()),
            BaseRequest::Empty => {
                Ok(Base { commits: Vec::new(), mode: BaseMode::Empty, notes: Vec::new() })
            }
        }
    }

    fn default_base(
        &self,
        head: &Head,
        default_branch: Option<&str>,
        pull_request: Option<&PullRequest>,
    ) -> Result<Base, GitError> {
        let mut notes = Vec::new();
        let target = match pull_request {
            Some(pull_request) => {
                notes.push(Note::Info(format!("pull request: {}", pull_request.read_from)));
                self.pull_request_target(pull_request)?
            }
            None => self.default_target(default_branch)?,
        };
        let on_it = match (&head.branch, &target.branch) {
            (Some(branch), Some(target)) => branch == target,
            (Some(_), None) => false,
            // The commit that is built may have reached the branch already.
            (None, _) => self.is_ancestor(head.commit.0, target.commit)?,
        };
        if on_it {
            let name = &target.name;
            notes.push(Note::Info(format!("head is on `{name}`: comparing with its first parent")));
            return self.first_parent(head, notes);
        }
        notes.push(Note::Info(format!("comparing with the merge base with `{}`", target.name)));
        self.merge_base(head, &target, notes)
    }

    /// What the pull request is compared with: the forge's own merge base if it names one,
    /// otherwise the branch, otherwise the commit that branch had.
    fn pull_request_target(&self, pull_request: &PullRequest) -> Result<Target, GitError> {
        let commit = || {
            let name = pull_request.base_commit.as_ref()?;
            let commit = self.revision(name).ok()?.commit.0;
            Some(Target { name: name.clone(), commit, branch: pull_request.base_branch.clone() })
        };
        if pull_request.commit_first
            && let Some(target) = commit()
        {
            return Ok(target);
        }
        let Some(branch) = &pull_request.base_branch else {
            return commit().ok_or_else(|| GitError::UnknownRevision {
                revision: pull_request.base_commit.clone().unwrap_or_default(),
                shallow: self.inner.is_shallow(),
            });
        };
        match self.branch_target(branch)? {
            Some(target) => Ok(target),
            None => commit().ok_or_else(|| self.no_branch(&[branch])),
        }
    }

    fn default_target(&self, default_branch: Option<&str>) -> Result<Target, GitError> {
        let remote_default = self.remote_default();
        let candidates = match (default_branch, &remote_default) {
            (Some(branch), _) => vec![branch],
            (None, Some(branch)) => vec![branch.as_str()],
            (None, None) => vec!["main", "master"],
        };
        for branch in &candidates {
            if let Some(target) = self.branch_target(branch)? {
                return Ok(target);
            }
        }
        Err(self.no_branch(&candidates))
    }

    /// The branch that `origin/HEAD` points to.
    fn remote_default(&self) -> Option<String> {
        let reference = self.inner.find_reference("refs/remotes/origin/HEAD").ok()?;
        let target = String::from_utf8_lossy(reference.symbolic_target_bytes()?).into_owned();
        Some(target.strip_prefix("refs/remotes/origin/")?.to_owned())
    }

    /// A branch by name: as the remote has it, otherwise as it is here.
    fn branch_target(&self, branch: &str) -> Result<Option<Target>, GitError> {
        for (reference, name) in references(branch) {
            match self.inner.find_reference(&reference) {
                Ok(found) => {
                    let commit = self.target(&found)?.0;
                    return Ok(Some(Target { name, commit, branch: Some(branch.to_owned()) }));
                }
                Err(error)
                    if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => {}
                Err(error) => return Err(other(&format!("reading `{name}`"), &error)),
            }
        }
        Ok(None)
    }

    fn no_branch(&self, candidates: &[impl AsRef<str>]) -> GitError {
        let tried = candidates.iter().flat_map(|branch| references(branch.as_ref()));
        GitError::NoDefaultBranch {
            tried: tried.map(|(_, name)| name).collect(),
            branch: candidates.first().map_or("main", AsRef::as_ref).to_owned(),
            shallow: self.inner.is_shallow(),
        }
    }

    fn first_parent(&self, head: &Head, notes: Vec<Note>) -> Result<Base, GitError> {
        let commit = self.commit(head.commit.0)?;
        let commits = match commit.parent_ids().next() {
            Some(parent) if self.inner.is_shallow() && self.inner.find_commit(parent).is_err() => {
                return Err(cut_parent(head));
            }
            None if has_parents(&commit) => return Err(cut_parent(head)),
            Some(parent) => vec![ObjectId(parent)],
            None => Vec::new(),
        };
        Ok(Base { commits, mode: BaseMode::FirstParent, notes })
    }

    fn merge_base(
        &self,
        head: &Head,
        target: &Target,
        mut notes: Vec<Note>,
    ) -> Result<Base, GitError> {
        let mut found = if self.inner.is_shallow() {
            self.shallow_merge_bases(head.commit.0, target)?
        } else {
            match self.inner.merge_bases(head.commit.0, target.commit) {
                Ok(found) => found.to_vec(),
                Err(error) => {
                    // libgit2 says as much of a hole in the history as of two histories.
                    self.whole_history(&[head.commit.0, target.commit])?;
                    if error.code() != ErrorCode::NotFound {
                        return Err(other("looking for the merge base", &error));
                    }
                    Vec::new()
                }
            }
        };
        if found.is_empty() {
            let (one, other) = (head.commit.to_string(), target.name.clone());
            return Err(GitError::Unrelated { one, other });
        }
        let mut dated = Vec::with_capacity(found.len());
        for id in found.drain(..) {
            dated.push((std::cmp::Reverse(self.commit(id)?.time().seconds()), id));
        }
        dated.sort_unstable();
        let commits: Vec<ObjectId> = dated.into_iter().map(|(_, id)| ObjectId(id)).collect();
        if commits.len() > 1 {
            notes.push(Note::Warning(format!(
                "`{}` and `{}` have {} merge bases; what differs from any of them counts",
                head.commit,
                target.name,
                commits.len()
            )));
        }
        Ok(Base { commits, mode: BaseMode::MergeBase, notes })
    }

    /// The merge bases in a shallow clone, or an error if a better one may lie behind a cut: then
    /// some commit that only one side reaches has lost its parents.
    fn shallow_merge_bases(&self, head: Oid, target: &Target) -> Result<Vec<Oid>, GitError> {
        let ours = self.ancestors(head)?;
        let theirs = self.ancestors(target.commit)?;
        // Of two commits on one line of history the older is the merge base, whatever was cut off.
        for (one, other) in [(&ours, target.commit), (&theirs, head)] {
            if one.commits.contains(&other) {
                return Ok(vec![other]);
            }
        }
        let common: BTreeSet<Oid> = ours.commits.intersection(&theirs.commits).copied().collect();
        let unsure = ours.cut.iter().chain(&theirs.cut).any(|cut| !common.contains(cut));
        if unsure {
            return Err(GitError::Shallow {
                looked_for: format!("the merge base of `{head}` and `{}`", target.name),
                branch: target.branch.clone(),
            });
        }
        let mut best = common.clone();
        for &id in &common {
            for parent in self.commit(id)?.parent_ids() {
                best.remove(&parent);
            }
        }
        Ok(best.into_iter().collect())
    }

    fn is_ancestor(&self, commit: Oid, of: Oid) -> Result<bool, GitError> {
        if commit == of {
            return Ok(true);
        }
        if self.inner.is_shallow() {
            return Ok(self.ancestors(of)?.commits.contains(&commit));
        }
        match self.inner.graph_descendant_of(of, commit) {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.whole_history(&[of])?;
                Err(other("reading the history", &error))
            }
        }
    }

    /// Everything that can be reached from a commit, itself included.
    pub(super) fn ancestors(&self, commit: Oid) -> Result<Ancestors, GitError> {
        let mut found = Ancestors { commits: BTreeSet::from([commit]), cut: Vec::new() };
        let mut queue = VecDeque::from([commit]);
        while let Some(id) = queue.pop_front() {
            let commit = self.commit(id)?;
            if commit.parent_count() == 0 && has_parents(&commit) {
                found.cut.push(id);
            }
            for parent in commit.parent_ids() {
                if found.commits.insert(parent) {
                    queue.push_back(parent);
                }
            }
        }
        Ok(found)
    }

    /// Fails where history is damaged, with the commit that is missing.
    fn whole_history(&self, commits: &[Oid]) -> Result<(), GitError> {
        commits.iter().try_for_each(|&commit| self.ancestors(commit).map(|_| ()))
    }
}

pub(super) struct Ancestors {
    pub(super) commits: BTreeSet<Oid>,
    /// Those whose parents a shallow clone has cut off.
    cut: Vec<Oid>,
}

/// Where a branch is looked for, with the names people use.
fn references(branch: &str) -> [(String, String); 2] {
    [
        (format!("refs/remotes/origin/{branch}"), format!("origin/{branch}")),
        (format!("refs/heads/{branch}"), branch.to_owned()),
    ]
}

/// Whether a commit was written with parents, whatever a shallow clone makes of it.
pub(super) fn has_parents(commit: &git2::Commit<'_>) -> bool {
    commit.raw_header_bytes().split(|&byte| byte == b'\n').any(|line| line.starts_with(b"parent "))
}

fn cut_parent(head: &Head) -> GitError {
    GitError::Shallow { looked_for: format!("the first parent of `{}`", head.commit), branch: None }
}
