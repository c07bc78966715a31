//! `planner check`: do manifest, catalog, invariants and the tree mean what their author meant?
//!
//! [`check`] is the whole of it, in numbered stages. It looks at one tree as it is, never at a
//! change, and plans nothing. What is wrong with the files themselves comes from `lanes` and is a
//! finding at `deny` like any other, so that every output shows it in the same way.
//!
//! | room | owns |
//! | --- | --- |
//! | `view` | the tree against every glob, asked once |
//! | `inputs` | what jobs with inputs see of it |
//! | [`rules`] | one file per rule, one line in the registry |
//! | [`findings`] | what was found, and where |
//! | [`human`], [`json`], [`github`], [`sarif`] | the outputs |

pub mod findings;
pub mod github;
pub mod human;
mod inputs;
pub mod json;
mod levels;
pub mod rules;
pub mod sarif;
mod view;

use lanes::{Catalog, Diagnostic, Diagnostics, InvariantsFile, Level, LintLevel, Sources};

pub use self::findings::{Finding, Findings, Found, Place};
use self::{levels::Levels, view::View};
use crate::{
    packages::{Of, PackageProblem},
    planned_tree::Tracked,
};

/// The invariants as they were read; nothing where there are none.
pub type Invariants = Result<Option<(InvariantsFile, Sources)>, Box<Diagnostics>>;

/// Checks the files of a tree, sorted by path, in which there are these packages, with these problems.
///
/// # Errors
///
/// The problems of manifest and catalog, where one of them is not there at all: then there is
/// nothing to check.
pub fn check(
    definitions: Result<Catalog, Box<Diagnostics>>,
    invariants: Invariants,
    files: &[Tracked],
    packages: &[Of],
    problems: &[PackageProblem],
) -> Result<Findings, Box<Diagnostics>> {
    // 1. What keeps the files from being understood.
    let mut list = Vec::new();
    let (catalog, definition_sources) = match definitions {
        Ok(catalog) => {
            let sources = catalog.sources().clone();
            (Some(catalog), sources)
        }
        Err(found) if found.iter().any(|problem| problem.span.is_none()) => return Err(found),
        Err(found) => {
            list.extend(found.iter().map(|problem| structural(Place::Definitions, problem)));
            (None, found.sources().clone())
        }
    };
    let (expected, invariant_sources) = match invariants {
        Ok(Some((file, sources))) => (Some(file), sources),
        Ok(None) => (None, Sources::default()),
        Err(found) => {
            list.extend(found.iter().map(|problem| structural(Place::Invariants, problem)));
            (None, found.sources().clone())
        }
    };

    // 2. How bad each rule is here.
    let (levels, found) = Levels::of(expected.as_ref());
    list.extend(found.into_iter().map(|found| at_level(found, LintLevel::Deny)));

    // 3. Every rule that is not allowed, over one view of the tree.
    let complete = catalog.is_some();
    if let Some(catalog) = &catalog {
        let view = View::new(catalog, files, packages, problems, expected.as_ref());
        for rule in rules::ALL {
            let level = levels.of_rule(rule);
            if level != LintLevel::Allow {
                list.extend(rule.find(&view).into_iter().map(|found| at_level(found, level)));
            }
        }
    }

    // 4. In order.
    Ok(Findings::new(definition_sources, invariant_sources, list, complete))
}

fn structural(place: Place, problem: &Diagnostic) -> Finding {
    let level = match problem.level {
        Level::Error => LintLevel::Deny,
        Level::Warning => LintLevel::Warn,
    };
    Finding { level, place, diagnostic: problem.clone() }
}

fn at_level(found: Found, level: LintLevel) -> Finding {
    let shown = if level == LintLevel::Deny { Level::Error } else { Level::Warning };
    Finding { level, place: found.place, diagnostic: found.diagnostic.level(shown) }
}
