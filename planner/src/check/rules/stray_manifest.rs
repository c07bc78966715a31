//! A manifest that nobody needs and nobody can read.

use lanes::{LintLevel, codes::Code};

use super::Rule;
use crate::check::{findings::Found, view::View};

pub(super) static RULE: Rule = Rule {
    code: Code {
        name: "stray_manifest",
        cause: "A manifest that no lane needs cannot be read, such as a template or a fixture that is \
                broken on purpose.",
        remedy: "Mend it, or name it in `ignore_manifests`.",
    },
    level: LintLevel::Warn,
    find,
};

fn find(view: &View<'_>) -> Vec<Found> {
    super::of_problems(view, &RULE.code, |it| it.problem.unreadable && it.lanes.is_empty())
}
