//! Why, and why not: for a path, a lane, a job or the base, in words and as data.
//!
//! Repeats no decision: it asks the same matches and shows the same reasons as a plan, with every
//! path instead of the first ones.

mod base;
mod followed;
mod inputs;

use lanes::{Catalog, GlobUse, JobIndex, LaneIndex, LaneTrigger, PathFilter, UnmatchedPaths};
use plans::{Change, Reason, RepoPath, RunIf, Since};
use serde::Serialize;

pub use self::{
    base::{BaseAnswer, ErrorAnswer, EventAnswer, StepAnswer, explain_base},
    followed::FollowedBy,
    inputs::{InputFile, InputsAnswer, explain_inputs},
};
use crate::{Decision, matches::Matches, passed::OfLane, render::words, select::narrowed};

/// What a change of one path does.
#[derive(Debug, Serialize)]
pub struct PathAnswer {
    /// The path.
    pub path: RepoPath,
    /// Whether a lane, `ignore` or `run_all` covers it, it is a definition itself, or a lane follows
    /// what is in it.
    pub covered: bool,
    /// The globs of `ignore` that match.
    pub ignored_by: Vec<String>,
    /// The globs of `run_all` that match: every branch lane runs.
    pub run_all_by: Vec<String>,
    /// Whether it is the manifest, the catalog, or included by one of them.
    pub definition: bool,
    /// Nothing covers it, and `unmatched_paths` makes every branch lane run for such a path.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unmatched_runs_all: bool,
    /// The lanes of which a glob matches, and the branch lanes without `paths`, in manifest order.
    pub lanes: Vec<PathInLane>,
    /// The lanes that run when what they take from it differs, in manifest order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub followed_by: Vec<FollowedBy>,
}

/// A lane of which a glob matches a path, or that runs whatever changes.
#[derive(Debug, Serialize)]
pub struct PathInLane {
    /// The lane.
    pub lane: String,
    /// Its title.
    pub title: String,
    /// Whose list it is in.
    pub trigger: &'static str,
    /// It has no `paths`: it runs whatever changes, and covers nothing by that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub always: bool,
    /// Every glob of `paths` that matches.
    pub globs: Vec<String>,
    /// The glob of `exclude` that takes the path out again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excluded_by: Option<String>,
    /// The kinds of change that count for the lane; absent: every kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statuses: Option<Vec<&'static str>>,
    /// The jobs that run for it.
    pub jobs: Vec<String>,
}

/// Says what a change of each path would run.
#[must_use]
pub fn explain_paths(catalog: &Catalog, changes: &[Change]) -> Vec<PathAnswer> {
    changes
        .iter()
        .map(|change| {
            let mut matches = Matches::new(catalog, std::slice::from_ref(change), true);
            let matching = |globs: &[GlobUse], matches: &Matches<'_>| -> Vec<String> {
                let hit = |used: &&GlobUse| !matches.of_glob(used.glob).is_empty();
                let text = |used: &GlobUse| catalog.globs().text(used.glob).to_owned();
                globs.iter().filter(hit).map(text).collect()
            };
            let ignored_by = matching(&catalog.rules().ignore, &matches);
            let run_all_by = matching(&catalog.rules().run_all, &matches);
            let definition =
                catalog.files().iter().any(|file| file.as_bytes() == change.path.as_bytes());
            let mut lanes = Vec::new();
            for index in catalog.lane_indices() {
                let lane = &catalog[index];
                let always = lane.filter.paths.is_none() && lane.trigger == LaneTrigger::Branch;
                let globs = matching(lane.filter.paths.as_deref().unwrap_or_default(), &matches);
                if globs.is_empty() && !always {
                    continue;
                }
                let excluded_by = matches.excluded_by(&lane.filter, 0);
                let jobs = if excluded_by.is_some() {
                    Vec::new()
                } else {
                    narrowed(catalog, &mut matches, index)
                        .into_iter()
                        .map(|job| catalog[job].id.to_string())
                        .collect()
                };
                lanes.push(PathInLane {
                    lane: lane.id.to_string(),
                    title: lane.title.clone(),
                    trigger: lane.trigger.as_str(),
                    always,
                    globs,
                    excluded_by: excluded_by.map(|glob| catalog.globs().text(glob).to_owned()),
                    statuses: lane
                        .filter
                        .statuses
                        .as_ref()
                        .map(|kinds| kinds.iter().map(|kind| kind.as_str()).collect()),
                    jobs,
                });
            }
            let followed_by = followed::by_lanes(catalog, &change.path);
            let covered = definition
                || !followed_by.is_empty()
                || !ignored_by.is_empty()
                || !run_all_by.is_empty()
                || lanes.iter().any(|lane| !lane.always && lane.excluded_by.is_none());
            let unmatched_runs_all =
                !covered && catalog.rules().unmatched_paths == UnmatchedPaths::AllLanes;
            let path = change.path.clone();
            PathAnswer {
                path,
                covered,
                ignored_by,
                run_all_by,
                definition,
                unmatched_runs_all,
                lanes,
                followed_by,
            }
        })
        .collect()
}

impl PathAnswer {
    /// Returns the answer in words.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = vec![self.path.display().into_owned()];
        for glob in &self.run_all_by {
            lines.push(format!("  runs every branch lane: `run_all` has `{glob}`"));
        }
        if self.definition {
            lines.push(
                "  defines lanes or jobs: exactly the jobs whose definition differs run".into(),
            );
        }
        for lane in &self.lanes {
            let globs = quoted(&lane.globs);
            lines.push(match &lane.excluded_by {
                Some(exclude) if lane.always => {
                    format!("  not {} · it has no `paths`, but `{exclude}` excludes it", lane.lane)
                }
                None if lane.always => {
                    format!("  runs {} ({}) · it has no `paths`", lane.lane, lane.title)
                }
                Some(exclude) => {
                    format!("  not {} · {globs} matches, but `{exclude}` excludes it", lane.lane)
                }
                None => format!("  runs {} ({}) · matches {globs}", lane.lane, lane.title),
            });
            if let Some(statuses) = &lane.statuses {
                lines.push(format!("    only when {}", statuses.join(" or ")));
            }
            if lane.excluded_by.is_none() {
                lines.push(format!("    jobs: {}", lane.jobs.join(", ")));
            }
        }
        lines.extend(self.followed_by.iter().flat_map(FollowedBy::lines));
        for glob in &self.ignored_by {
            lines.push(format!("  known, runs nothing: `ignore` has `{glob}`"));
        }
        if self.unmatched_runs_all {
            lines.push(
                "  runs every branch lane: no glob covers it, and `unmatched_paths` says so".into(),
            );
        } else if !self.covered && self.lanes.iter().any(|lane| lane.excluded_by.is_none()) {
            lines.push("  no glob covers it: only lanes without `paths` run".to_owned());
        } else if !self.covered {
            lines.push("  no lane and no ignore covers it".to_owned());
        }
        lines.join("\n") + "\n"
    }
}

/// Why a lane is in the plan, or is not.
#[derive(Debug, Serialize)]
pub struct LaneAnswer {
    /// The lane.
    pub lane: String,
    /// Its title.
    pub title: String,
    /// Whether it runs.
    pub selected: bool,
    /// Every reason.
    pub reasons: Vec<Reason>,
    /// Its own jobs that run.
    pub jobs: Vec<String>,
    /// Its own jobs that do not.
    pub jobs_not_selected: Vec<String>,
    /// For each matching glob, every changed path that counts.
    pub matched: Vec<GlobMatches>,
}

/// A glob and every changed path it matches.
#[derive(Debug, Serialize)]
pub struct GlobMatches {
    /// The glob.
    pub glob: String,
    /// What the lane was compared with; absent: the base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// The paths.
    pub paths: Vec<RepoPath>,
}

/// Says why a lane runs or does not; nothing when the request is not about that lane.
#[must_use]
pub fn explain_lane(decision: &Decision, lane: LaneIndex) -> Option<LaneAnswer> {
    let catalog = &decision.catalog;
    let selection = decision.selected.lanes.iter().find(|selection| selection.lane == lane)?;
    let compared = decision.comparisons.list(&decision.changed, &decision.question);
    let mut found = Vec::new();
    let whole = OfLane::whole();
    for part in &decision.comparisons.of_lane(lane).unwrap_or(&whole).parts {
        let changes = compared[part.with].changes;
        let mut matches = Matches::new(catalog, changes, decision.changed.any_status);
        let since = compared[part.with].since.cloned();
        found.extend(matched(catalog, &mut matches, &catalog[lane].filter, since.as_ref()));
    }
    let (jobs, jobs_not_selected): (Vec<JobIndex>, Vec<JobIndex>) =
        catalog.jobs_of(lane).iter().partition(|job| selection.jobs.contains(job));
    let ids =
        |jobs: Vec<JobIndex>| jobs.into_iter().map(|job| catalog[job].id.to_string()).collect();
    Some(LaneAnswer {
        lane: catalog[lane].id.to_string(),
        title: catalog[lane].title.clone(),
        selected: selection.selected,
        reasons: selection.reasons.clone(),
        jobs: ids(jobs),
        jobs_not_selected: ids(jobs_not_selected),
        matched: found,
    })
}

fn matched(
    catalog: &Catalog,
    matches: &mut Matches<'_>,
    filter: &PathFilter,
    since: Option<&Since>,
) -> Vec<GlobMatches> {
    let changes = matches.changes();
    let mut found = Vec::new();
    for used in filter.paths.iter().flatten() {
        let hits = matches.counted(filter, used.glob);
        if !hits.is_empty() {
            found.push(GlobMatches {
                glob: catalog.globs().text(used.glob).to_owned(),
                since: since.cloned(),
                paths: hits.iter().map(|&at| changes[at as usize].path.clone()).collect(),
            });
        }
    }
    found
}

impl LaneAnswer {
    /// Returns the answer in words.
    #[must_use]
    pub fn text(&self) -> String {
        let verdict = if self.selected { "runs" } else { "does not run" };
        let mut lines = vec![format!("{} ({}) {verdict}", self.lane, self.title)];
        for reason in &self.reasons {
            lines.push(format!("  {}", words::plain(&words::reason(reason))));
            if let Reason::Paths(paths) = reason {
                let is_it = |it: &&GlobMatches| it.glob == paths.glob && it.since == paths.since;
                let all = self.matched.iter().find(is_it);
                for path in all.into_iter().flat_map(|matched| &matched.paths) {
                    lines.push(format!("    {path}"));
                }
            }
        }
        if !self.jobs.is_empty() {
            lines.push(format!("  jobs: {}", self.jobs.join(", ")));
        }
        if self.selected && !self.jobs_not_selected.is_empty() {
            lines.push(format!(
                "  not these jobs, whose own paths did not change: {}",
                self.jobs_not_selected.join(", ")
            ));
        }
        lines.join("\n") + "\n"
    }
}

/// Why a job is in the plan, or is not.
#[derive(Debug, Serialize)]
pub struct JobAnswer {
    /// The job.
    pub job: String,
    /// Whether it runs.
    pub selected: bool,
    /// Whether a flag named it.
    pub requested: bool,
    /// The selected jobs that need it.
    pub needed_by: Vec<String>,
    /// After which ends of what it needs it runs; absent: when all of them passed.
    #[serde(skip_serializing_if = "RunIf::is_passed")]
    pub run_if: RunIf,
    /// The lanes that would run it, each with its own answer.
    pub lanes: Vec<LaneAnswer>,
    /// What it sees, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inputs: Option<InputsAnswer>,
}

/// Says why a job runs or does not.
#[must_use]
pub fn explain_job(decision: &Decision, job: JobIndex) -> JobAnswer {
    let catalog = &decision.catalog;
    let selected: std::collections::BTreeSet<JobIndex> = decision
        .selected
        .lanes
        .iter()
        .flat_map(|lane| &lane.jobs)
        .chain(&decision.selected.jobs)
        .copied()
        .collect();
    let needed_by: Vec<String> = selected
        .iter()
        .filter(|&&other| catalog[other].needs.contains(&job))
        .map(|&other| catalog[other].id.to_string())
        .collect();
    let lanes = catalog
        .lane_indices()
        .filter(|&lane| catalog.jobs_of(lane).contains(&job))
        .filter_map(|lane| explain_lane(decision, lane))
        .collect();
    JobAnswer {
        job: catalog[job].id.to_string(),
        selected: selected.contains(&job) || !needed_by.is_empty(),
        requested: decision.selected.jobs.contains(&job),
        needed_by,
        run_if: catalog[job].run_if,
        lanes,
        inputs: None,
    }
}

impl JobAnswer {
    /// Returns the answer in words.
    #[must_use]
    pub fn text(&self) -> String {
        let verdict = if self.selected { "runs" } else { "does not run" };
        let mut lines = vec![format!("{} {verdict}", self.job)];
        if self.requested {
            lines.push("  a flag names it".to_owned());
        }
        if !self.needed_by.is_empty() {
            lines.push(format!("  needed by {}", self.needed_by.join(", ")));
        }
        if let Some(when) = self.run_if.in_words() {
            lines.push(format!("  it {when}"));
        }
        if self.lanes.is_empty() && !self.selected {
            lines.push("  no lane of this trigger runs it".to_owned());
        }
        for lane in &self.lanes {
            lines.extend(lane.text().lines().map(|line| format!("  {line}")));
        }
        let inputs = self.inputs.iter().flat_map(InputsAnswer::lines);
        lines.extend(inputs.map(|line| format!("  {line}")));
        lines.join("\n") + "\n"
    }
}

fn quoted(globs: &[String]) -> String {
    globs.iter().map(|glob| format!("`{glob}`")).collect::<Vec<_>>().join(", ")
}
