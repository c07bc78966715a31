//! The commits a branch went through: each with what it is compared with, for replaying history.
//!
//! Follows first parents only: what a branch was, not what was merged into it.

use std::collections::BTreeSet;

use git2::Oid;

use super::{GitError, Head, Note, ObjectId, Repository, base::has_parents, other};

/// How far back to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Range {
    /// So many commits, head included.
    Last(usize),
    /// The commits that a revision does not reach, as in `REV..HEAD`.
    Since(String),
}

/// One commit of a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The commit.
    pub commit: ObjectId,
    /// Its tree.
    pub tree: ObjectId,
    /// The commit before it; a root commit has none.
    pub parent: Option<ObjectId>,
    /// That commit's tree.
    pub parent_tree: Option<ObjectId>,
    /// When it was committed, in seconds since 1970.
    pub committed_at: i64,
    /// The first line of its message.
    pub summary: String,
}

impl Repository {
    /// Lists the first-parent history of `head`, the newest commit first. Where a shallow clone
    /// was cut off the list ends early, and a note says so.
    ///
    /// # Errors
    ///
    /// [`GitError`] when the revision is unknown, or a commit is missing or damaged.
    pub fn history(&self, head: &Head, range: &Range) -> Result<(Vec<Step>, Vec<Note>), GitError> {
        let (limit, beyond) = match range {
            Range::Last(limit) => (*limit, None),
            Range::Since(revision) => {
                let since = self.revision(revision)?.commit;
                (usize::MAX, Some(self.beyond(head.commit, since)?))
            }
        };
        let mut steps = Vec::new();
        let mut notes = Vec::new();
        let mut next = Some((head.commit, self.commit(head.commit.0)?));
        while let Some((id, commit)) = next
            && steps.len() < limit
        {
            if beyond.as_ref().is_some_and(|beyond| !beyond.contains(&id.0)) {
                break;
            }
            let parent = commit.parent_ids().next().map(ObjectId);
            if parent.is_none() && has_parents(&commit) {
                notes.push(Note::Warning(format!(
                    "this is a shallow clone: history ends at `{id}`, after {} commits",
                    steps.len()
                )));
                break;
            }
            let before = parent.map(|parent| self.commit(parent.0)).transpose()?;
            steps.push(Step {
                commit: id,
                tree: ObjectId(commit.tree_id()),
                parent,
                parent_tree: before.as_ref().map(|before| ObjectId(before.tree_id())),
                committed_at: commit.time().seconds(),
                summary: String::from_utf8_lossy(commit.summary_bytes().unwrap_or_default())
                    .into_owned(),
            });
            next = parent.zip(before);
        }
        Ok((steps, notes))
    }

    /// The first parents of `head` that `since` does not reach.
    fn beyond(&self, head: ObjectId, since: ObjectId) -> Result<BTreeSet<Oid>, GitError> {
        if self.inner.is_shallow() {
            // libgit2's walk does not know where a clone was cut off.
            let reached = self.ancestors(since.0)?.commits;
            return Ok(self.ancestors(head.0)?.commits.difference(&reached).copied().collect());
        }
        let walk = || {
            let mut walk = self.inner.revwalk()?;
            walk.simplify_first_parent()?;
            walk.push(head.0)?;
            walk.hide(since.0)?;
            walk.collect::<Result<_, git2::Error>>()
        };
        walk().map_err(|error| other("reading the history", &error))
    }
}
