//! A lane's own command that may hang for hours.

use std::collections::BTreeSet;

use lanes::{JobOwner, LintLevel, codes::Code};
use plans::JobSpec;

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "default_timeout",
        cause: "A lane's own command names no `timeout_secs`, so that a hanging one is \
                ended after four hours. Jobs of the catalog have no default: they are \
                `missing_timeout`.",
        remedy: "Say how long it may take.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let relies: BTreeSet<_> = view.catalog.declarations().default_timeouts.iter().collect();
    view.catalog
        .jobs()
        .iter()
        .filter(|job| matches!(job.owner, JobOwner::Lane(_)) && relies.contains(&job.span))
        .map(|job| {
            let message = format!("the lane `{}` names no timeout", job.id);
            let hours = JobSpec::DEFAULT_TIMEOUT_SECS / 3600;
            Found::at(&RULE.code, job.span, message).help(format!(
                "set `timeout_secs`; without it a hanging command runs {hours} hours"
            ))
        })
        .collect()
}
