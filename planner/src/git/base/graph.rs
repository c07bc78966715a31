//! Questions about the graph of commits, answered surely or not at all.
//!
//! A shallow clone is searched by our own walk, because an answer found in it is only sure when no
//! cut was met on the way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use git2::{ErrorCode, Oid};

use super::Target;
use crate::git::{GitError, ObjectId, Repository, other};

impl Repository {
    /// Returns the parents of a commit, all of which are here.
    ///
    /// # Errors
    ///
    /// [`GitError::Shallow`] if one of them is cut off.
    pub(super) fn parents(&self, commit: Oid) -> Result<Vec<Oid>, GitError> {
        let found = parents_of(&self.commit(commit)?);
        let shallow = self.inner.is_shallow();
        if shallow && found.iter().any(|&parent| self.inner.find_commit(parent).is_err()) {
            return Err(GitError::Shallow {
                looked_for: format!("a parent of `{commit}`"),
                branch: None,
                remote: self.remote_to_ask(),
            });
        }
        Ok(found)
    }

    /// Returns the parents of a commit, be they here or not.
    pub(super) fn written_parents(&self, commit: Oid) -> Result<Vec<Oid>, GitError> {
        Ok(parents_of(&self.commit(commit)?))
    }

    /// Returns the first parent, or nothing for a root.
    pub(super) fn first_parent(&self, head: Oid) -> Result<Vec<Oid>, GitError> {
        let first = parents_of(&self.commit(head)?).first().copied();
        if let Some(parent) = first
            && self.inner.is_shallow()
            && self.inner.find_commit(parent).is_err()
        {
            return Err(GitError::Shallow {
                looked_for: format!("the first parent of `{head}`"),
                branch: None,
                remote: self.remote_to_ask(),
            });
        }
        Ok(first.into_iter().collect())
    }

    /// Returns the merge bases, the newest first.
    pub(super) fn merge_bases(&self, head: Oid, target: &Target) -> Result<Vec<Oid>, GitError> {
        let mut found = if self.inner.is_shallow() {
            self.shallow_merge_bases(head, target)?
        } else {
            match self.inner.merge_bases(head, target.commit) {
                Ok(found) => found.to_vec(),
                Err(error) => {
                    // libgit2 says as much of a hole in the history as of two histories.
                    self.whole_history(&[head, target.commit])?;
                    if error.code() != ErrorCode::NotFound {
                        return Err(other("looking for the merge base", &error));
                    }
                    Vec::new()
                }
            }
        };
        if found.is_empty() {
            return Err(GitError::Unrelated { one: head.to_string(), other: target.name.clone() });
        }
        let mut dated = Vec::with_capacity(found.len());
        for id in found.drain(..) {
            dated.push((std::cmp::Reverse(self.commit(id)?.time().seconds()), id));
        }
        dated.sort_unstable();
        Ok(dated.into_iter().map(|(_, id)| id).collect())
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
            return Err(behind_the_cut(head, target));
        }
        let mut best = common.clone();
        for &id in &common {
            for parent in self.commit(id)?.parent_ids() {
                best.remove(&parent);
            }
        }
        Ok(best.into_iter().collect())
    }

    /// Returns whether `of` has `commit` in its history, itself included. In a shallow clone a no
    /// is only given when no cut was met.
    pub(super) fn contains(&self, of: Oid, commit: Oid, name: &Target) -> Result<bool, GitError> {
        if commit == of {
            return Ok(true);
        }
        if self.inner.is_shallow() {
            let found = self.ancestors(of)?;
            if found.commits.contains(&commit) {
                return Ok(true);
            }
            // What has `of` in its own history is not in the history of `of`.
            let sure = found.cut.is_empty() || self.ancestors(commit)?.commits.contains(&of);
            return if sure { Ok(false) } else { Err(behind_the_cut(commit, name)) };
        }
        match self.inner.graph_descendant_of(of, commit) {
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.whole_history(&[of])?;
                Err(other("reading the history", &error))
            }
        }
    }

    /// The oldest commit of the branch `tip`, along first parents, that has `commit` in its history:
    /// where it arrived. With the commit the branch had before; none if that was nothing.
    pub(super) fn arrival(
        &self,
        tip: Oid,
        commit: Oid,
        name: &Target,
    ) -> Result<(Oid, Option<Oid>), GitError> {
        let mut line = vec![tip];
        let mut step = 1;
        // Further and further back until it is gone, then by halves: few questions in all.
        loop {
            let wanted = line.len() - 1 + step;
            while line.len() <= wanted {
                let Some(parent) = self.first_parent(line[line.len() - 1])?.first().copied() else {
                    break;
                };
                line.push(parent);
            }
            let at_the_root = line.len() <= wanted;
            if at_the_root || !self.contains(line[line.len() - 1], commit, name)? {
                break;
            }
            step *= 2;
        }
        let (mut has, mut has_not) = (0, line.len());
        while has + 1 < has_not {
            let middle = usize::midpoint(has, has_not);
            if self.contains(line[middle], commit, name)? { has = middle } else { has_not = middle }
        }
        Ok((line[has], line.get(has + 1).copied()))
    }

    /// Returns the commits that `head` has and `without` has not, the newest first; `head` among them.
    /// Both histories must be whole as far as where they meet.
    pub(super) fn commits_between(&self, without: Oid, head: Oid) -> Result<Vec<Oid>, GitError> {
        if self.inner.is_shallow() {
            let theirs = self.ancestors(without)?.commits;
            return Ok(self.ancestors(head)?.commits.difference(&theirs).copied().collect());
        }
        let walk = || {
            let mut walk = self.inner.revwalk()?;
            walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::TIME)?;
            walk.push(head)?;
            walk.hide(without)?;
            walk.collect::<Result<Vec<Oid>, git2::Error>>()
        };
        walk().map_err(|error| other("reading the history", &error))
    }

    /// The newest tagged commit in the history of `head` that is not `head` itself, with the tag's
    /// name. A shallow clone has the tags it has: none may be found, which is wider.
    pub(super) fn earlier_tag(&self, head: Oid) -> Result<Option<(Oid, String)>, GitError> {
        let tags = self.tags()?;
        if tags.is_empty() {
            return Ok(None);
        }
        if !self.inner.is_shallow() {
            // Children come before parents, so the first one met is in no other's history.
            let walk = || {
                let mut walk = self.inner.revwalk()?;
                walk.set_sorting(git2::Sort::TOPOLOGICAL | git2::Sort::TIME)?;
                walk.push(head)?;
                for commit in walk {
                    let commit = commit?;
                    if commit != head && tags.contains_key(&commit) {
                        return Ok(Some(commit));
                    }
                }
                Ok(None)
            };
            let found =
                walk().map_err(|error: git2::Error| other("reading the history", &error))?;
            return Ok(found.map(|commit| (commit, tags[&commit].clone())));
        }
        let history = self.ancestors(head)?.commits;
        let mut best: Option<(i64, Oid)> = None;
        for &commit in tags.keys().filter(|&&commit| commit != head && history.contains(&commit)) {
            let time = self.commit(commit)?.time().seconds();
            let newer = match best {
                None => true,
                Some((_, other)) if self.ancestors(commit)?.commits.contains(&other) => true,
                Some((_, other)) if self.ancestors(other)?.commits.contains(&commit) => false,
                Some(other) => (time, commit) > other,
            };
            if newer {
                best = Some((time, commit));
            }
        }
        Ok(best.map(|(_, commit)| (commit, tags[&commit].clone())))
    }

    /// The commits that tags name, each with one name.
    fn tags(&self) -> Result<BTreeMap<Oid, String>, GitError> {
        let read = |error: &git2::Error| other("reading the tags", error);
        let mut found = BTreeMap::new();
        let references = self.inner.references_glob("refs/tags/*").map_err(|error| read(&error))?;
        for reference in references {
            let reference = reference.map_err(|error| read(&error))?;
            // A tag of a tree or a blob is no commit.
            if let Ok(commit) = reference.peel_to_commit() {
                let name = String::from_utf8_lossy(reference.shorthand_bytes()).into_owned();
                found.insert(commit.id(), name);
            }
        }
        Ok(found)
    }

    /// A commit by (the beginning of) its name, if it is here.
    pub(super) fn known_commit(&self, name: &str) -> Option<Oid> {
        if let Ok(id) = name.parse::<ObjectId>() {
            return self.inner.find_commit(id.0).ok().map(|commit| commit.id());
        }
        self.inner.find_commit_by_prefix(name).ok().map(|commit| commit.id())
    }

    /// Everything that can be reached from a commit, itself included.
    pub(crate) fn ancestors(&self, commit: Oid) -> Result<Ancestors, GitError> {
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

pub(crate) struct Ancestors {
    pub(crate) commits: BTreeSet<Oid>,
    /// Those whose parents a shallow clone has cut off.
    cut: Vec<Oid>,
}

fn behind_the_cut(head: Oid, target: &Target) -> GitError {
    GitError::Shallow {
        looked_for: format!("the merge base of `{head}` and `{}`", target.name),
        branch: target.branch.clone(),
        remote: target.fetch.clone(),
    }
}

/// Whether a commit has parents, be they cut off by a shallow clone.
pub(crate) fn has_parents(commit: &git2::Commit<'_>) -> bool {
    !parents_of(commit).is_empty()
}

/// The parents as git sees them (grafts count), or where a shallow clone cut them off as written.
fn parents_of(commit: &git2::Commit<'_>) -> Vec<Oid> {
    if commit.parent_count() > 0 {
        return commit.parent_ids().collect();
    }
    let header = commit.raw_header_bytes().split(|&byte| byte == b'\n');
    header
        .filter_map(|line| line.strip_prefix(b"parent "))
        .filter_map(|id| Oid::from_str(std::str::from_utf8(id).ok()?).ok())
        .collect()
}
