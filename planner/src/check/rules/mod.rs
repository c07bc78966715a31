//! The rules, one file each. A new rule is a file and a line in [`ALL`].
//!
//! What makes files unreadable or meaningless (unknown names, circles, double ids, settings that
//! cannot work together) is told by the `lanes` crate when it reads them; these rules look at
//! files that mean something, and ask whether it is what their author meant.

use lanes::{
    LintLevel,
    codes::{self, Code},
};

use super::{findings::Found, view::View};
use crate::{
    packages::{PackageProblem, UNKNOWN_PACKAGE},
    shards,
};

mod bad_package_manifest;
mod cache_key_matches_nothing;
mod cache_path_in_tree;
mod dead_glob;
mod default_timeout;
mod exclude_without_effect;
mod expected_target_missing;
mod expected_target_not_run;
mod filter_outside_input;
mod input_link_outside;
mod input_outside_filter;
mod inputs_match_nothing;
mod key_without_effect;
mod lane_misses_its_script;
mod literal_directory;
mod missing_dependency;
mod probable_extglob;
mod shadowed_glob;
mod stray_manifest;
mod uncovered_file;
mod unexpected_lane_target;
mod unexpected_staged_target;
mod unfollowed_dependency;
mod unreachable_job;
mod unreachable_lane;
mod unused_base;
mod unused_host;
mod unused_profile;
mod unused_set;
mod unused_target;

/// A rule.
pub struct Rule {
    /// Its name, what it finds and what to do about it.
    pub code: Code,
    /// How bad a finding is unless `[lints]` says otherwise.
    pub level: LintLevel,
    /// Finds.
    find: fn(&View<'_>) -> Vec<Found>,
}

impl Rule {
    pub(super) fn find(&self, view: &View<'_>) -> Vec<Found> {
        (self.find)(view)
    }
}

/// The rule whose findings may be as many as there are files.
pub(super) const UNCOVERED_FILE: &str = uncovered_file::RULE.code.name;

/// Every rule, sorted by code.
pub static ALL: &[&Rule] = &[
    &bad_package_manifest::RULE,
    &cache_key_matches_nothing::RULE,
    &cache_path_in_tree::RULE,
    &dead_glob::RULE,
    &default_timeout::RULE,
    &exclude_without_effect::RULE,
    &expected_target_missing::RULE,
    &expected_target_not_run::RULE,
    &filter_outside_input::RULE,
    &input_link_outside::RULE,
    &input_outside_filter::RULE,
    &inputs_match_nothing::RULE,
    &key_without_effect::RULE,
    &lane_misses_its_script::RULE,
    &literal_directory::RULE,
    &missing_dependency::RULE,
    &probable_extglob::RULE,
    &shadowed_glob::RULE,
    &stray_manifest::RULE,
    &uncovered_file::RULE,
    &unexpected_lane_target::RULE,
    &unexpected_staged_target::RULE,
    &unfollowed_dependency::RULE,
    &unreachable_job::RULE,
    &unreachable_lane::RULE,
    &unused_base::RULE,
    &unused_host::RULE,
    &unused_profile::RULE,
    &unused_set::RULE,
    &unused_target::RULE,
];

/// The invariants name a code that there is not.
pub static UNKNOWN_RULE: Code = Code {
    name: "unknown_rule",
    cause: "`[lints]` sets the level of a rule that does not exist.",
    remedy: "Use a code of `planner check --explain all`, spelt as it is there.",
};

/// The invariants soften what cannot be softened.
pub static FIXED_LEVEL: Code = Code {
    name: "fixed_level",
    cause: "`[lints]` softens a code without which nothing can be planned.",
    remedy: "Take the line out and mend what the code tells.",
};

/// Returns every code that `check` can tell with the level it has by itself, sorted by name.
#[must_use]
pub fn codes() -> Vec<(&'static Code, LintLevel)> {
    let rules = ALL.iter().map(|rule| (&rule.code, rule.level));
    let own = [&UNKNOWN_RULE, &FIXED_LEVEL, &UNKNOWN_PACKAGE].into_iter().chain(shards::CODES);
    let fixed = codes::ALL.iter().copied().chain(own);
    let mut all: Vec<_> = rules.chain(fixed.map(|code| (code, LintLevel::Deny))).collect();
    all.sort_by_key(|(code, _)| code.name);
    all
}

/// Returns the rule of that code.
#[must_use]
pub fn find(code: &str) -> Option<&'static Rule> {
    ALL.iter().copied().find(|rule| rule.code.name == code)
}

/// The findings of some problems with manifests of packages: at the first lane that needs one, else
/// at the manifest.
fn of_problems(
    view: &View<'_>,
    code: &'static Code,
    wanted: impl Fn(&PackageProblem) -> bool,
) -> Vec<Found> {
    let found = view.problems.iter().filter(|it| wanted(it)).filter_map(|it| {
        let message = format!("`{}` {}", it.problem.path, it.problem.detail);
        Some(match it.lanes.first() {
            Some((lane, span)) => {
                let lane = &view.catalog[*lane].id;
                let more = match it.lanes.len() {
                    1 => String::new(),
                    count => format!(" and {} more", count - 1),
                };
                Found::at(code, *span, message).help(format!("concerns the lane `{lane}`{more}"))
            }
            None => {
                let path = plans::RepoPath::new(it.problem.path.as_bytes()).ok()?;
                Found::of_file(code, path, message).help(format!(
                    "or add `ignore_manifests = [\"{}\"]` to the manifest of lanes",
                    crate::packages::literal(&it.problem.path)
                ))
            }
        })
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_registry_is_sorted_and_says_everything() {
        assert!(ALL.is_sorted_by(|a, b| a.code.name < b.code.name));
        let all = codes();
        assert!(all.is_sorted_by(|(a, _), (b, _)| a.name < b.name), "a code is there twice");
        for (code, level) in all {
            assert!(code.cause.ends_with('.') && code.remedy.ends_with('.'), "{}", code.name);
            assert_ne!(level, LintLevel::Allow, "{}: a rule that nobody sees", code.name);
        }
    }

    #[test]
    fn every_rule_file_is_in_the_registry() {
        let registry = include_str!("mod.rs");
        for rule in ALL {
            let line = format!("    &{}::RULE,", rule.code.name);
            assert!(registry.contains(&line), "the file is not named after `{}`", rule.code.name);
        }
    }
}
