//! A manifest that leads where nothing can be followed.

use lanes::{LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "unfollowed_dependency",
        cause: "The manifest of a package that a lane's `inputs` lead to names something that cannot be \
                followed: it is not in the tree, or has no manifest.",
        remedy: "Mend the path, or name in `paths` what the lane depends on.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    super::of_problems(view, &RULE.code, |it| !it.problem.unreadable && !it.lanes.is_empty())
}
