//! How commits stand to head, and to each other: what may serve as a lane's own base.

use std::collections::{BTreeMap, BTreeSet};

use git2::{ErrorCode, Oid};

use super::{GitError, Head, ObjectId, Repository, other};

/// How a commit stands to head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Head is the commit, or builds upon it.
    Ancestor,
    /// Head does not build upon it.
    Elsewhere,
    /// It is not here, or a shallow clone does not say.
    Unknown,
}

/// The history behind head, asked for one commit at a time; every answer is kept.
pub struct Ancestry<'a> {
    repository: &'a Repository,
    head: Oid,
    standings: BTreeMap<ObjectId, Standing>,
    newer: BTreeMap<(ObjectId, ObjectId), bool>,
    /// A shallow clone is walked by ourselves, once for each commit that is asked about.
    reached: BTreeMap<Oid, BTreeSet<Oid>>,
}

impl Repository {
    /// Returns the history behind `head`.
    #[must_use]
    pub fn ancestry(&self, head: &Head) -> Ancestry<'_> {
        Ancestry {
            repository: self,
            head: head.commit.0,
            standings: BTreeMap::new(),
            newer: BTreeMap::new(),
            reached: BTreeMap::new(),
        }
    }
}

impl Ancestry<'_> {
    /// Returns whether the clone is a shallow one.
    #[must_use]
    pub fn is_shallow(&self) -> bool {
        self.repository.inner.is_shallow()
    }

    /// Returns how a commit stands to head.
    ///
    /// # Errors
    ///
    /// [`GitError`] when the history is damaged.
    pub fn standing(&mut self, commit: ObjectId) -> Result<Standing, GitError> {
        if let Some(&known) = self.standings.get(&commit) {
            return Ok(known);
        }
        let standing = match self.repository.inner.find_commit(commit.0) {
            Err(error) if error.code() == ErrorCode::NotFound => Standing::Unknown,
            Err(error) => return Err(other(&format!("reading the commit `{commit}`"), &error)),
            Ok(_) if self.builds_upon(self.head, commit.0)? => Standing::Ancestor,
            Ok(_) if self.is_shallow() => Standing::Unknown,
            Ok(_) => Standing::Elsewhere,
        };
        self.standings.insert(commit, standing);
        Ok(standing)
    }

    /// Returns whether one commit builds upon another.
    ///
    /// # Errors
    ///
    /// [`GitError`] when the history is damaged.
    pub fn is_newer(&mut self, one: ObjectId, than: ObjectId) -> Result<bool, GitError> {
        if let Some(&known) = self.newer.get(&(one, than)) {
            return Ok(known);
        }
        let newer = one != than && self.builds_upon(one.0, than.0)?;
        self.newer.insert((one, than), newer);
        Ok(newer)
    }

    fn builds_upon(&mut self, one: Oid, upon: Oid) -> Result<bool, GitError> {
        if one == upon {
            return Ok(true);
        }
        if self.is_shallow() {
            if !self.reached.contains_key(&one) {
                let found = self.repository.ancestors(ObjectId(one).0)?.commits;
                self.reached.insert(one, found);
            }
            return Ok(self.reached[&one].contains(&upon));
        }
        match self.repository.inner.graph_descendant_of(one, upon) {
            Ok(answer) => Ok(answer),
            Err(error) => {
                // With the commit that is missing, if that is why.
                self.repository.ancestors(one)?;
                Err(other("reading the history", &error))
            }
        }
    }
}
