//! Why a golden plan drifted: which lane, job or glob changed, where that can be told.
//!
//! The golden plan says by which globs each lane was selected, and what each node was; the catalog
//! says what is there now. What follows from something else that is told (the nodes of a lane that
//! no longer runs) is left out.

use std::collections::{BTreeMap, BTreeSet};

use lanes::{Catalog, LaneIndex};
use plans::{DefinitionChanged, Plan, PlanLane, Reason};

use crate::diff::Diff;

/// Returns the causes in a few words each, in the order of lanes, then nodes.
pub(super) fn causes(before: &Plan, now: &Plan, diff: &Diff, catalog: &Catalog) -> Vec<String> {
    let selected = |plan: &Plan| -> BTreeMap<String, PlanLane> {
        let lanes = plan.lanes().iter().filter(|lane| lane.selected);
        lanes.map(|lane| (lane.id.to_string(), lane.clone())).collect()
    };
    let (old, new) = (selected(before), selected(now));
    let mut found = Vec::new();
    // Nodes whose coming or going a lane explains already.
    let mut explained = BTreeSet::new();
    for (id, lane) in &old {
        let index = catalog.lane(id);
        let here = new.get(id);
        if here.is_none() {
            explained.extend(lane.nodes.iter().map(ToString::to_string));
        }
        let Some(index) = index else {
            found.push(format!("the lane `{id}` is gone"));
            continue;
        };
        globs_gone(id, lane, here, index, catalog, &mut found);
        if let Some(here) = here
            && lane.target != here.target
        {
            found.push(format!("the lane `{id}` names another target"));
        }
    }
    for (id, lane) in &new {
        let before = old.get(id);
        if before.is_none() {
            explained.extend(lane.nodes.iter().map(ToString::to_string));
        }
        globs_come(id, lane, before, &mut found);
    }
    for changed in &diff.nodes.changed {
        let keys: BTreeSet<&str> =
            changed.fields.iter().filter_map(|field| field.path.split(['.', '[']).next()).collect();
        let keys: Vec<_> = keys.into_iter().map(|key| format!("`{key}`")).collect();
        found.push(format!("{} has other {}", what(&changed.id), keys.join(", ")));
    }
    for (list, verb) in [(&diff.nodes.removed, "no longer runs"), (&diff.nodes.added, "runs too")] {
        for node in list.iter().filter(|node| !explained.contains(&node.id)) {
            let job = node.id.strip_prefix("execute-");
            let gone =
                job.is_some_and(|job| catalog.job(job).is_none() && catalog.lane(job).is_none());
            let verb = if gone { "is gone from the catalog" } else { verb };
            found.push(format!("{} {verb}", what(&node.id)));
        }
    }
    found
}

/// What a node is to the person who wrote the catalog.
fn what(node: &str) -> String {
    match node.strip_prefix("execute-") {
        Some(job) => format!("the job `{job}`"),
        None => format!("the prepare node `{node}`"),
    }
}

/// What made a lane run for a reason that it no longer has.
fn globs_gone(
    id: &str,
    lane: &PlanLane,
    here: Option<&PlanLane>,
    index: LaneIndex,
    catalog: &Catalog,
    found: &mut Vec<String>,
) {
    let still: Vec<&Reason> = here.into_iter().flat_map(|lane| &lane.reasons).collect();
    let filter = &catalog[index].filter;
    for reason in lane.reasons.iter().filter(|reason| !still.contains(reason)) {
        let cause = match reason {
            Reason::Paths(why) if still.iter().any(|r| glob_of(r) == Some(&why.glob)) => {
                format!("the glob `{}` of the lane `{id}` counts other paths", why.glob)
            }
            Reason::Paths(why) => {
                let written = filter.paths.iter().flatten();
                if written.into_iter().any(|used| catalog.globs().text(used.glob) == why.glob) {
                    let path = why.matched.first().map(ToString::to_string).unwrap_or_default();
                    format!(
                        "the lane `{id}` no longer counts `{path}`: its `exclude` or `statuses` changed"
                    )
                } else {
                    format!("the lane `{id}` no longer has the glob `{}`", why.glob)
                }
            }
            Reason::Always if filter.paths.is_some() => {
                format!("the lane `{id}` has `paths` now; it always ran")
            }
            Reason::DefinitionChanged(why) => match followed(why) {
                Some(what) => format!("the lane `{id}` no longer runs for {what}"),
                None => continue,
            },
            Reason::RunAll(why) => match &why.glob {
                Some(glob) => format!("`run_all` no longer has `{glob}`"),
                None => continue,
            },
            Reason::Unmatched(_) => "`unmatched_paths` or what covers a path changed".to_owned(),
            Reason::NeededBy(why) => {
                format!(
                    "the job `{}` of the lane `{}` no longer needs `{}`",
                    why.job, why.lane, why.needs
                )
            }
            _ => continue,
        };
        if !found.contains(&cause) {
            found.push(cause);
        }
    }
}

/// What makes a lane run for a reason that it did not have.
fn globs_come(id: &str, lane: &PlanLane, before: Option<&PlanLane>, found: &mut Vec<String>) {
    let had: Vec<&Reason> = before.into_iter().flat_map(|lane| &lane.reasons).collect();
    for reason in lane.reasons.iter().filter(|reason| !had.contains(reason)) {
        let cause = match reason {
            // Told from the other side already.
            Reason::Paths(why) if had.iter().any(|r| glob_of(r) == Some(&why.glob)) => continue,
            Reason::Paths(why) => {
                let path = why.matched.first().map(ToString::to_string).unwrap_or_default();
                format!("the glob `{}` of the lane `{id}` matches `{path}`", why.glob)
            }
            Reason::Always => format!("the lane `{id}` has no `paths` any more: it always runs"),
            Reason::DefinitionChanged(why) => match followed(why) {
                Some(what) => format!("the lane `{id}` runs for {what} now"),
                None => continue,
            },
            Reason::RunAll(why) => match &why.glob {
                Some(glob) => format!("`run_all` has `{glob}` now"),
                None => continue,
            },
            Reason::Unmatched(why) => {
                let path = why.matched.first().map(ToString::to_string).unwrap_or_default();
                format!("nothing covers `{path}` any more, so every lane runs")
            }
            Reason::NeededBy(why) => {
                format!(
                    "the job `{}` of the lane `{}` needs `{}` now",
                    why.job, why.lane, why.needs
                )
            }
            _ => continue,
        };
        if !found.contains(&cause) {
            found.push(cause);
        }
    }
}

/// Which entries of a file, or which file whose entries are not known, a lane ran for.
fn followed(why: &DefinitionChanged) -> Option<String> {
    if let Some(entry) = why.entries.first() {
        return Some(format!("`{}` of `{}`", entry.name, entry.file));
    }
    // A scenario has no lock file before and after: every lane that follows it runs.
    let because = why.because.as_ref()?;
    Some(format!("a lock file ({because})"))
}

fn glob_of(reason: &Reason) -> Option<&String> {
    match reason {
        Reason::Paths(why) => Some(&why.glob),
        _ => None,
    }
}
