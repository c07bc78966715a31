//! A manifest that lanes need and nobody can read.

use lanes::{LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "bad_package_manifest",
        cause: "The manifest of a package that a lane's `inputs` lead to cannot be read, so what it \
                depends on is not known: the lane runs for every change.",
        remedy: "Mend the manifest that the message names.",
    },
    level: LintLevel::Deny,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    super::of_problems(view, &RULE.code, |it| it.problem.unreadable && !it.lanes.is_empty())
}
