//! A job that its target has and no change can reach.

use std::collections::BTreeMap;

use lanes::{JobIndex, LaneIndex, LaneTrigger, LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "unreachable_job",
        cause: "The filter of a job narrows the filters of its lanes to nothing: no file of the \
                tree selects both, no nightly lane runs the job, and no other job needs it.",
        remedy: "Widen the job's (or its target's) `paths`, or the lane's.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let catalog = view.catalog;
    let mut lanes_of: BTreeMap<JobIndex, Vec<LaneIndex>> = BTreeMap::new();
    for lane in catalog.lane_indices() {
        for &job in catalog.jobs_of(lane) {
            lanes_of.entry(job).or_default().push(lane);
        }
    }
    let needed: std::collections::BTreeSet<JobIndex> =
        catalog.jobs().iter().flat_map(|job| job.needs.iter().copied()).collect();
    let reaches = |lane: LaneIndex, job: JobIndex| {
        let Some(of_job) = catalog.job_filter(lane, job) else { return true };
        if catalog[lane].trigger == LaneTrigger::Nightly {
            return true;
        }
        let of_lane = view.filter_of(lane);
        // A lane that nothing selects is told by itself.
        view.first_counted(of_lane, None).is_none()
            || view.first_counted(&View::filter(&of_job), Some(of_lane)).is_some()
    };
    lanes_of
        .iter()
        .filter(|(job, lanes)| {
            !needed.contains(job) && !lanes.iter().any(|lane| reaches(*lane, **job))
        })
        .map(|(&index, lanes)| {
            let job = &catalog[index];
            let message = format!("no change can reach the job `{}`", job.id);
            let mut found = Found::at(&RULE.code, job.span, message);
            for lane in lanes.iter().take(3) {
                let lane = &catalog[*lane];
                found = found.also(lane.span, "this lane runs its target");
            }
            let owner = view.owner_words(index);
            found.help(format!(
                "no file matches both its filter (or that of the {owner}) and a lane's"
            ))
        })
        .collect()
}
