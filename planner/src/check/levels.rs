//! How bad the findings of each rule are: its own level, unless `[lints]` says otherwise.

use std::collections::{BTreeMap, BTreeSet};

use lanes::{InvariantsFile, LintLevel, codes};

use super::{
    findings::Found,
    rules::{self, FIXED_LEVEL, Rule, UNKNOWN_RULE},
};

/// The levels that the invariants set.
#[derive(Default)]
pub(super) struct Levels(BTreeMap<String, LintLevel>);

impl Levels {
    /// Reads `[lints]`, and says what is wrong with it.
    pub(super) fn of(invariants: Option<&InvariantsFile>) -> (Self, Vec<Found>) {
        let mut levels = Self::default();
        let mut found = Vec::new();
        let lints = invariants.and_then(|file| file.lints.as_ref());
        for (name, level) in lints.iter().flat_map(|lints| &lints.0) {
            if rules::find(name).is_some() {
                levels.0.insert(name.value.clone(), level.value);
            } else if codes::find(name).is_none() {
                let message = format!("no rule is called `{}`", name.escape_debug());
                let help = match nearest(name) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "`planner check --explain all` lists them".to_owned(),
                };
                found.push(Found::in_invariants(&UNKNOWN_RULE, name.span, message).help(help));
            } else if level.value != LintLevel::Deny {
                let message = format!("`{}` is always denied", name.value);
                found.push(
                    Found::in_invariants(&FIXED_LEVEL, name.span, message)
                        .help("nothing can be planned from such files; take the line out"),
                );
            }
        }
        let mut told = BTreeSet::new();
        for expected in
            invariants.iter().flat_map(|file| file.staged_linux_targets.iter().flatten())
        {
            if !told.insert(expected.as_str()) {
                let message = format!("`{}` is listed twice", expected.value);
                let code = &codes::DUPLICATE_ID;
                found.push(
                    Found::in_invariants(code, expected.span, message).help("take one of them out"),
                );
            }
        }
        (levels, found)
    }

    pub(super) fn of_rule(&self, rule: &Rule) -> LintLevel {
        self.0.get(rule.code.name).copied().unwrap_or(rule.level)
    }
}

/// Returns the code that a name is nearest to, if it is near enough to be a typing error.
pub(super) fn nearest(name: &str) -> Option<&'static str> {
    if name.len() > 100 {
        return None;
    }
    rules::codes()
        .into_iter()
        .map(|(code, _)| (strsim::damerau_levenshtein(name, code.name), code.name))
        .min()
        .filter(|(distance, known)| *distance <= 1 + known.len() / 4)
        .map(|(_, known)| known)
}
