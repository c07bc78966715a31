//! A file that a job sees and whose change does not run it.

use lanes::{JobIndex, LaneIndex, LaneTrigger, LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, inputs::Seen, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "input_outside_filter",
        cause: "A job sees a file whose change does not select the job in a lane of the branch: \
                the file can break it, and its last verdict still stands.",
        remedy: "Add the file to the lane's (or the job's) `paths`, or take it out of `inputs`.",
    },
    level: LintLevel::Deny,
    find,
};

/// How many files a finding names.
const NAMED: usize = 3;

fn find(view: &View<'_>) -> Vec<Found> {
    let catalog = view.catalog;
    let mut found = Vec::new();
    for lane in catalog.lane_indices() {
        for &job in catalog.jobs_of(lane) {
            found.extend(stale(view, lane, job));
        }
    }
    found
}

fn stale(view: &View<'_>, index: LaneIndex, job: JobIndex) -> Option<Found> {
    let catalog = view.catalog;
    let lane = &catalog[index];
    // Kinds of changes that do not count were chosen by somebody.
    if lane.trigger != LaneTrigger::Branch || lane.filter.statuses.is_some() {
        return None;
    }
    let selected = view.selects(index, job);
    let mut outside = Seen::declared(view, job).into_iter().filter(|&file| !selected(file));
    let named: Vec<u32> = outside.by_ref().take(NAMED).collect();
    let more = outside.count();
    let (first, _) = named.split_first()?;
    let paths: Vec<String> = named.iter().map(|&file| format!("`{}`", view.path(file))).collect();
    let more = if more == 0 { String::new() } else { format!(" and {more} more") };
    let id = &catalog[job].id;
    let message = format!(
        "the job `{id}` sees {}{more}, whose change does not run it in the lane `{}`",
        paths.join(", "),
        lane.id
    );
    let mut found = Found::at(&RULE.code, catalog[job].span, message)
        .also(lane.span, "this lane runs it")
        .help("add that to the lane's `paths`, or take it out of the job's `inputs`");
    let inputs = catalog[job].inputs.iter().flat_map(|inputs| &inputs.paths);
    if let Some(used) = inputs.rev().find(|used| view.is_match(used.glob, *first)) {
        found = found.also(used.span, "this input brings it");
    }
    Some(found)
}
