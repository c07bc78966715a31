//! A glob of a job's inputs that brings no file.

use std::collections::BTreeSet;

use lanes::{LintLevel, Via, codes::Code};

use super::Rule;
use crate::check::{findings::Found, inputs::Seen, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "inputs_match_nothing",
        cause: "A glob of a job's `inputs` matches no file of the tree, or all of them together \
                leave none: the job misses what it was meant to see.",
        remedy: "Write the path as it is now, or take the glob out.",
    },
    level: LintLevel::Deny,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    let mut told = BTreeSet::new();
    let mut found = Vec::new();
    for (index, job) in view.jobs() {
        let Some(inputs) = &job.inputs else { continue };
        let dead: Vec<_> = inputs
            .paths
            .iter()
            .filter(|used| view.files_of(used.glob).is_empty())
            .filter(|used| !matches!(used.via, Some(Via::Dependencies(_))))
            .collect();
        for used in &dead {
            // A base's glob is the same for all its jobs.
            if told.insert(used.span) {
                let message = format!("the input `{}` matches no file", view.text(used.glob));
                found.push(
                    Found::at(&RULE.code, used.span, message)
                        .help("write the path as it is now, or take the glob out"),
                );
            }
        }
        let sees_nothing =
            matches!(Seen::by_job(view, index), Seen::Files(files) if files.is_empty());
        if sees_nothing && dead.is_empty() {
            let message = format!("the job `{}` sees no file at all", job.id);
            found.push(
                Found::at(&RULE.code, job.span, message).help(
                    "its `inputs_exclude` or snapshot profile leaves out all of its `inputs`",
                ),
            );
        }
    }
    found
}
