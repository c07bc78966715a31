//! Golden plans: scenarios in, reviewed plans beside them, byte for byte.
//!
//! Compares and generates; reading and writing files is the command's part. A golden moves only
//! when what runs moves: a scenario's plan holds no file's content id and no lane that does not
//! run.

use lanes::{Catalog, GlobUse, LaneIndex};
use plans::{Plan, RepoPath};

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
    },
    /// The same plan in other bytes: somebody formatted it.
    Formatted,
}

impl Standing {
    /// Compares the bytes of a golden plan with the plan of its scenario.
    #[must_use]
    pub fn of(golden: Option<&[u8]>, plan: &Plan) -> Self {
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
                    Self::Drifted { before: Box::new(before), diff: Box::new(diff) }
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

/// Makes one scenario for each lane, in which every glob of the lane is exercised: by a file of
/// the tree that it matches, else by a path made from the glob.
#[must_use]
pub fn scenarios(catalog: &Catalog, tree: &[RepoPath]) -> Vec<GeneratedScenario> {
    let examples = examples(catalog, tree);
    catalog.lane_indices().map(|lane| scenario(catalog, lane, &examples)).collect()
}

/// The first file of the tree that each glob matches, by glob.
fn examples<'a>(catalog: &Catalog, tree: &'a [RepoPath]) -> Vec<Option<&'a str>> {
    let mut examples = vec![None; catalog.globs().len()];
    let mut found = Vec::new();
    for path in tree {
        let Some(text) = path.as_str() else { continue };
        found.clear();
        catalog.globs().matches(path.as_bytes(), false, &mut found);
        for glob in &found {
            examples[glob.position()].get_or_insert(text);
        }
    }
    examples
}

fn scenario(catalog: &Catalog, index: LaneIndex, examples: &[Option<&str>]) -> GeneratedScenario {
    let lane = &catalog[index];
    let mut changes = Vec::new();
    let mut without_example = Vec::new();
    for used in lane.filter.paths.iter().flatten() {
        let text = catalog.globs().text(used.glob);
        let in_tree = examples[used.glob.position()].map(str::to_owned);
        let made = || made_from(text).filter(|path| matches(catalog, used, path));
        let excluded =
            |path: &String| lane.filter.exclude.iter().any(|out| matches(catalog, out, path));
        match in_tree.filter(|path| !excluded(path)).or_else(made).filter(|path| !excluded(path)) {
            Some(path) => changes.push(path),
            None => without_example.push(text.to_owned()),
        }
    }
    changes.sort();
    changes.dedup();
    let quoted = |path: &String| format!("  {},\n", toml_string(path));
    let list: String = changes.iter().map(quoted).collect();
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
