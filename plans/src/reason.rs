//! Why a lane is in the plan, or is not. For people; the executor never looks at it.

use serde::{Deserialize, Serialize};

use crate::{ChangeStatus, JobId, LaneId, ObjectId, RepoPath};

/// How many matched paths a reason lists; `total` counts all of them.
pub const MATCHED_LIMIT: usize = 10;

/// One reason for a lane's place in the plan. A lane carries all that hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Reason {
    /// Selected: the lane has no path filter.
    Always,
    /// Selected: a flag named it, or every lane was asked for.
    Requested,
    /// Selected: changed paths match one of its globs. One reason for each such glob.
    Paths(PathsReason),
    /// Selected: what the lane runs, or when, differs between base and head.
    DefinitionChanged(DefinitionChanged),
    /// Selected, like every lane: a change or a circumstance concerns everything.
    RunAll(RunAll),
    /// Selected, like every lane: changed paths that no lane and no ignore covers.
    Unmatched(Unmatched),
    /// Selected: a run of it is owed, and which changes brought that is not known.
    Owed(Owed),
    /// Selected for a job that another selected job needs.
    NeededBy(NeededBy),
    /// Not selected: no changed path matches its filter.
    NoMatch(NoMatch),
    /// Not selected: no flag named it.
    NotRequested,
}

/// What a lane, or some of its jobs, were compared with, in a plan that compares each lane with a
/// commit of its own (`--passed`). Absent: with the base of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Since {
    /// The commit; null: the empty tree.
    pub commit: Option<ObjectId>,
    /// Whether the lane passed there; otherwise it is the base of the plan, because the lane has
    /// passed on no commit that head builds upon.
    pub passed: bool,
}

/// A lane has to run whatever differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Owed {
    /// The newest known commit at which it was to run and has not passed; absent: none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<ObjectId>,
    /// Why, for people.
    pub because: String,
}

/// Changed paths match a glob of the lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathsReason {
    /// The glob as written.
    pub glob: String,
    /// For a derived glob: the dependency chain it came from, such as `app -> media`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub via: Option<String>,
    /// The first matching paths, at most [`MATCHED_LIMIT`].
    pub matched: Vec<RepoPath>,
    /// How many changed paths match.
    pub total: u64,
    /// What it was compared with; absent: the base of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// The lane's definition differs between base and head.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DefinitionChanged {
    /// The lane's jobs whose resolved spec or filters differ, sorted; a lane's own command counts
    /// as a job of the lane's id. Empty: the base's files could not be read, see `because`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<JobId>,
    /// Why everything counts as changed; absent: exactly `jobs` differ.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// For a lane that follows packages: entries of a lock file, or of another file that packages
    /// share, that differ and that its packages hold; `jobs` are then all of the lane's. The first
    /// ones, at most [`MATCHED_LIMIT`], the nearest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub entries: Vec<ChangedEntry>,
    /// How many such entries there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub entries_total: u64,
    /// What it was compared with; absent: the base of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// An entry of a file that packages share differs between base and head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedEntry {
    /// The file, such as `Cargo.lock`.
    pub file: String,
    /// The entry: a package of a lock file, a version that packages inherit.
    pub name: String,
    /// Its version before, or its text; absent: it was not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// Its version after, or its text; absent: it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What differs in an entry of one version, such as `checksum`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differs: Vec<String>,
    /// The chain of packages that leads to it: `app -> core -> serde`.
    pub via: String,
}

/// Every lane is selected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunAll {
    /// The glob of `run_all` that changed paths match; absent: see `because`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glob: Option<String>,
    /// The first matching paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matched: Vec<RepoPath>,
    /// How many changed paths match.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub total: u64,
    /// The circumstance, such as a base that could not be determined; absent: a glob matched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// What it was compared with; absent: the base of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// Changed paths that nothing covers, where the manifest says that these select every lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unmatched {
    /// The first such paths.
    pub matched: Vec<RepoPath>,
    /// How many there are.
    pub total: u64,
    /// What it was compared with; absent: the base of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// Another lane's job needs a job that this lane's target defines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NeededBy {
    /// The lane that is selected for reasons of its own.
    pub lane: LaneId,
    /// Its job that names the other in `needs`.
    pub job: JobId,
    /// The job that is needed.
    pub needs: JobId,
}

/// No changed path matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoMatch {
    /// The changed path that came closest, and to which glob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
    /// What it was compared with; absent: the base of the plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// The nearest miss.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nearest {
    /// The glob that nearly matched.
    pub glob: String,
    /// The changed path.
    pub path: RepoPath,
    /// The glob of `exclude` that took the path out again; absent: `glob` did not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded_by: Option<String>,
    /// The kind of change, which the lane's `statuses` do not count; absent: they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<ChangeStatus>,
}

impl Reason {
    /// Returns what a comparing reason compared with, if the plan compares each lane with a commit
    /// of its own.
    #[must_use]
    pub fn since(&self) -> Option<&Since> {
        match self {
            Self::Paths(reason) => reason.since.as_ref(),
            Self::DefinitionChanged(reason) => reason.since.as_ref(),
            Self::RunAll(reason) => reason.since.as_ref(),
            Self::Unmatched(reason) => reason.since.as_ref(),
            Self::NoMatch(reason) => reason.since.as_ref(),
            Self::Always
            | Self::Requested
            | Self::Owed(_)
            | Self::NeededBy(_)
            | Self::NotRequested => None,
        }
    }

    /// Returns whether the reason is one for being selected.
    #[must_use]
    pub fn selects(&self) -> bool {
        !matches!(self, Self::NoMatch(_) | Self::NotRequested)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
