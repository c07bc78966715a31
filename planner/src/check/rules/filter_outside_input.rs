//! A lane that runs for files that none of its jobs sees.

use lanes::{LaneIndex, LaneTrigger, LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, inputs::Seen, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "filter_outside_input",
        cause: "A lane's filter selects it for a file that none of its jobs sees, nor what they wait \
                for: it runs, and nothing can be different.",
        remedy: "Narrow the lane's `paths`, or add the file to the `inputs` of the job it is for.",
    },
    level: LintLevel::Warn,
    find,
};

/// How many files a finding names.
const NAMED: usize = 3;

fn find(view: &View<'_>) -> Vec<Found> {
    view.catalog.lane_indices().filter_map(|lane| needless(view, lane)).collect()
}

fn needless(view: &View<'_>, index: LaneIndex) -> Option<Found> {
    let catalog = view.catalog;
    let lane = &catalog[index];
    if lane.trigger != LaneTrigger::Branch || lane.filter.paths.is_none() {
        return None;
    }
    let mut jobs = Vec::new();
    for &job in catalog.jobs_of(index) {
        match Seen::for_job(view, job) {
            // One job sees everything.
            Seen::All => return None,
            seen => jobs.push((view.selects_by_filter(index, job), seen)),
        }
    }
    let unseen = |file: &u32| {
        jobs.iter().any(|(selects, _)| selects(*file)) && !jobs.iter().any(|(_, it)| it.has(*file))
    };
    let mut unseen = (0..view.file_count()).filter(unseen);
    let named: Vec<String> =
        unseen.by_ref().take(NAMED).map(|file| format!("`{}`", view.path(file))).collect();
    if named.is_empty() {
        return None;
    }
    let more = match unseen.count() {
        0 => String::new(),
        count => format!(" and {count} more"),
    };
    let message = format!(
        "the lane `{}` runs for {}{more}, and none of its jobs sees that",
        lane.id,
        named.join(", ")
    );
    Some(
        Found::at(&RULE.code, lane.span, message)
            .help("narrow its `paths`, or add that to the `inputs` of the job it is for"),
    )
}
