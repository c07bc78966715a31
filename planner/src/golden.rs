//! Golden plans: scenarios in, reviewed plans beside them, byte for byte.
//!
//! Compares and generates; reading and writing files is the command's part. A golden moves only
//! when what runs moves: a scenario's plan holds no file's content id and no lane that does not
//! run.

mod cause;

use std::collections::BTreeSet;

use lanes::{Catalog, GlobUse, LaneIndex, PathFilter};
use plans::{ChangeStatus, Plan, RepoPath};

use crate::diff::{Diff, Scope, Side};

/// How a golden plan stands to the plan of its scenario.
#[derive(Debug)]
pub enum Standing {
    /// The same bytes.
    Same,
    /// There is a scenario without a golden plan.
    Missing,
    /// There is a golden plan without a scenario.
    Orphan,
    /// The golden plan is not a plan.
    Unreadable(String),
    /// What runs is not what was reviewed.
    Drifted {
        /// The golden plan.
        before: Box<Plan>,
        /// What differs.
        diff: Box<Diff>,
        /// Which lane, job or glob changed, where that can be told.
        causes: Vec<String>,
    },
    /// The same plan in other bytes: somebody formatted it.
    Formatted,
}

impl Standing {
    /// Compares the bytes of a golden plan with the plan of its scenario, which `catalog` gave.
    #[must_use]
    pub fn of(golden: Option<&[u8]>, plan: &Plan, catalog: &Catalog) -> Self {
        let Some(golden) = golden else { return Self::Missing };
        if golden == plan.to_json().json.as_bytes() {
            return Self::Same;
        }
        match Plan::from_json(golden) {
            Err(error) => Self::Unreadable(error.to_string()),
            Ok((before, _)) => {
                let side = |name, plan| Side { name, plan, digest: None };
                let (golden, now) = (side("golden", &before), side("now", plan));
                let diff = Diff::between(&golden, &now, Scope::Document);
                if diff.is_empty() {
                    Self::Formatted
                } else {
                    let causes = cause::causes(&before, plan, &diff, catalog);
                    Self::Drifted { before: Box::new(before), diff: Box::new(diff), causes }
                }
            }
        }
    }
}

/// A scenario file to be written.
#[derive(Debug, PartialEq, Eq)]
pub struct GeneratedScenario {
    /// Its name, `lane-<id>`.
    pub name: String,
    /// The file's text.
    pub text: String,
    /// Globs for which no example could be made.
    pub without_example: Vec<String>,
}

/// Makes one scenario for each lane, in which every glob of the lane is exercised, and each filter
/// that narrows it for a job: by a file of the tree that counts, else by a path made from the glob.
#[must_use]
pub fn scenarios(catalog: &Catalog, tree: &[RepoPath]) -> Vec<GeneratedScenario> {
    let examples = Examples::of(catalog, tree);
    catalog.lane_indices().map(|lane| scenario(catalog, lane, &examples)).collect()
}

/// How many files are kept for a glob: the first that a filter does not exclude is its example.
const KEPT: usize = 50;

/// Files of the tree by the globs that match them.
struct Examples<'a> {
    catalog: &'a Catalog,
    of: Vec<Vec<&'a str>>,
}

impl<'a> Examples<'a> {
    fn of(catalog: &'a Catalog, tree: &'a [RepoPath]) -> Self {
        let mut of = vec![Vec::new(); catalog.globs().len()];
        let mut found = Vec::new();
        for path in tree {
            let Some(text) = path.as_str() else { continue };
            found.clear();
            catalog.globs().matches(path.as_bytes(), false, &mut found);
            for glob in &found {
                let kept = &mut of[glob.position()];
                if kept.len() < KEPT {
                    kept.push(text);
                }
            }
        }
        Self { catalog, of }
    }

    /// A path that the glob matches and that every filter counts.
    fn path(&self, used: &GlobUse, filters: &[&PathFilter]) -> Option<String> {
        let counts = |path: &str| {
            filters.iter().all(|filter| {
                let any = |globs: &[GlobUse]| globs.iter().any(|g| matches(self.catalog, g, path));
                filter.paths.as_ref().is_none_or(|paths| any(paths)) && !any(&filter.exclude)
            })
        };
        let glob = self.catalog.globs().text(used.glob);
        let made = || made_from(glob).filter(|path| matches(self.catalog, used, path));
        let in_tree = self.of[used.glob.position()].iter().find(|path| counts(path));
        in_tree.map(|path| (*path).to_owned()).or_else(made).filter(|path| counts(path))
    }
}

fn scenario(catalog: &Catalog, index: LaneIndex, examples: &Examples<'_>) -> GeneratedScenario {
    let lane = &catalog[index];
    let mut changes = BTreeSet::new();
    let mut without_example = Vec::new();
    for used in lane.filter.paths.iter().flatten() {
        match examples.path(used, &[&lane.filter]) {
            Some(path) => drop(changes.insert(path)),
            None => without_example.push(catalog.globs().text(used.glob).to_owned()),
        }
    }
    for &job in catalog.jobs_of(index) {
        let Some(narrower) = catalog.job_filter(index, job) else { continue };
        for used in narrower.paths.iter().flatten() {
            // A glob of a job that is of no use in this lane is another lane's business.
            changes.extend(examples.path(used, &[&lane.filter, &narrower]));
        }
    }
    // Of the kinds that a lane counts, any shows that its globs are right.
    let kind = lane.filter.statuses.as_ref().and_then(|kinds| kinds.first().copied());
    let kind = kind.filter(|kind| *kind != ChangeStatus::Modified);
    let list: String = changes
        .iter()
        .map(|path| match kind {
            None => format!("  {},\n", toml_string(path)),
            Some(kind) => {
                format!("  {{ path = {}, status = \"{kind}\" }},\n", toml_string(path))
            }
        })
        .collect();
    let words = if changes.is_empty() {
        format!("{} runs without any change", lane.title)
    } else {
        format!("every glob of {} selects it", lane.title)
    };
    let trigger = lane.trigger.as_str();
    let list = if list.is_empty() { String::new() } else { format!("\n{list}") };
    GeneratedScenario {
        name: format!("lane-{}", lane.id),
        text: format!(
            "trigger = \"{trigger}\"\nwords = {}\nchanges = [{list}]\n",
            toml_string(&words)
        ),
        without_example,
    }
}

fn matches(catalog: &Catalog, used: &GlobUse, path: &str) -> bool {
    let mut found = Vec::new();
    catalog.globs().matches(path.as_bytes(), false, &mut found);
    found.contains(&used.glob)
}

/// Makes a path that a glob matches, by taking the simplest text for each special form.
fn made_from(glob: &str) -> Option<String> {
    let mut path = String::new();
    let mut rest = glob.chars().peekable();
    let mut depth = 0usize;
    let mut skipping = false;
    while let Some(character) = rest.next() {
        match character {
            '{' => depth += 1,
            ',' if depth > 0 => skipping = true,
            '}' if depth > 0 => {
                depth -= 1;
                skipping = false;
            }
            _ if skipping => {}
            '*' => {
                while rest.next_if_eq(&'*').is_some() {}
                path.push('x');
            }
            '?' => path.push('x'),
            '[' => {
                let first = rest.next()?;
                if matches!(first, '!' | '^') {
                    path.push('~');
                } else {
                    path.push(first);
                }
                let _ = rest.by_ref().find(|&character| character == ']')?;
            }
            '\\' => path.push(rest.next()?),
            other => path.push(other),
        }
    }
    Some(path)
}

fn toml_string(text: &str) -> String {
    // JSON's escapes are TOML's as well (TOML 1.0, basic strings), DEL apart.
    serde_json::to_string(text).expect("a string is JSON").replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_can_be_made_from_every_usual_glob() {
        for (glob, path) in [
            ("src/lib.rs", "src/lib.rs"),
            ("src/**", "src/x"),
            ("**/*.rs", "x/x.rs"),
            ("{a,b}/c?", "a/cx"),
            ("[ab]c", "ac"),
        ] {
            assert_eq!(made_from(glob).as_deref(), Some(path));
        }
    }
}
