//! A lane runs a staged Linux target that the invariants do not expect.

use lanes::{LintLevel, Work, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "unexpected_lane_target",
        cause: "A lane runs a staged Linux target that `staged_linux_targets` of the invariants \
                does not name.",
        remedy: "Add the target to the list, or let the lane run another.",
    },
    level: LintLevel::Deny,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let catalog = view.catalog;
    catalog
        .lanes()
        .iter()
        .filter_map(|lane| {
            let Work::Target(target) = lane.work else { return None };
            let target = &catalog[target];
            if target.staged_linux.is_none() || view.expects(target.id.as_str()) {
                return None;
            }
            let message =
                format!("the lane `{}` runs `{}`, which is not expected", lane.id, target.id);
            Some(Found::at(&RULE.code, lane.span, message).help(format!(
                "add \"{}\" to `staged_linux_targets` of the invariants, or change the lane",
                target.id
            )))
        })
        .collect()
}
