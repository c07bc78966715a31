//! A target that nothing runs by itself.

use std::collections::BTreeSet;

use lanes::{JobIndex, LintLevel, TargetIndex, Work, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "unused_target",
        cause: "No lane names a target, and no lane runs one of its jobs through another target \
                or `needs`: only people start them, by `--target` or `--job`.",
        remedy: "Name it in a lane, or take it out; `unused_target = \"allow\"` in the invariants \
                 says that targets for people are meant.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let catalog = view.catalog;
    let mut named: BTreeSet<TargetIndex> = BTreeSet::new();
    let mut run: BTreeSet<JobIndex> = BTreeSet::new();
    let mut open: Vec<JobIndex> = Vec::new();
    for lane in catalog.lane_indices() {
        if let Work::Target(target) = catalog[lane].work {
            named.insert(target);
        }
        open.extend(catalog.jobs_of(lane));
    }
    while let Some(job) = open.pop() {
        if run.insert(job) {
            open.extend(&catalog[job].needs);
        }
    }
    TargetIndex::all(catalog.targets().len())
        .filter(|index| !named.contains(index))
        .map(|index| &catalog[index])
        .filter(|target| !target.jobs.iter().any(|job| run.contains(job)))
        .map(|target| {
            let message = format!("no lane runs the target `{}` or a job of it", target.id);
            Found::at(&RULE.code, target.span, message)
                .help("name it in a lane, or take it out; or allow targets that people start")
        })
        .collect()
}
