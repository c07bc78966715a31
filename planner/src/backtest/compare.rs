//! Two replays of the same commits: where one definition runs less than the other, and where more.

use std::collections::BTreeMap;

use plans::{JobId, LaneId};

use super::{CommitRuns, Replay};
use crate::git::ObjectId;

/// What differs, the newest commit first.
#[derive(Debug, Default)]
pub struct Comparison {
    /// Commits for which these definitions run less: what the others caught, these let through.
    pub less: Vec<Difference>,
    /// Commits for which these definitions run more: what they cost.
    pub more: Vec<Difference>,
    /// Commits for which both run the same.
    pub same: usize,
}

/// One commit, and what one side runs that the other does not.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The commit.
    pub commit: ObjectId,
    /// When, in seconds since 1970.
    pub committed_at: i64,
    /// The first line of its message.
    pub summary: String,
    /// Lanes that one side alone selects.
    pub lanes: Vec<LaneId>,
    /// Jobs that one side alone runs.
    pub jobs: Vec<JobId>,
}

/// Compares what these definitions run with what the others run. A commit may be on both lists.
#[must_use]
pub fn compare(these: &Replay, others: &Replay) -> Comparison {
    let of_others: BTreeMap<ObjectId, &CommitRuns> =
        others.commits.iter().map(|commit| (commit.commit, commit)).collect();
    let mut comparison = Comparison::default();
    for these in &these.commits {
        let Some(others) = of_others.get(&these.commit) else { continue };
        let less = only_in(others, these);
        let more = only_in(these, others);
        comparison.same += usize::from(less.is_none() && more.is_none());
        comparison.less.extend(less);
        comparison.more.extend(more);
    }
    comparison
}

fn only_in(one: &CommitRuns, other: &CommitRuns) -> Option<Difference> {
    let lanes: Vec<LaneId> = one.lanes.difference(&other.lanes).cloned().collect();
    let jobs: Vec<JobId> = one.jobs.difference(&other.jobs).cloned().collect();
    if lanes.is_empty() && jobs.is_empty() {
        return None;
    }
    Some(Difference {
        commit: one.commit,
        committed_at: one.committed_at,
        summary: one.summary.clone(),
        lanes,
        jobs,
    })
}
