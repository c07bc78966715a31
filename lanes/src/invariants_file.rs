//! `invariants.toml` as people write it: what must stay true about the other two files.

use crate::{
    decode::{Decode, Named, Reader, Value, tables, word},
    forms,
    source::At,
};

tables! {
    /// `invariants.toml`: what `planner check` expects of manifest and catalog.
    pub struct InvariantsFile {
        /// The version of the format: 1.
        #[schemars(extend("const" = 1))]
        pub version: At<u64>,
        /// The manifest's path in the repository. Absent: `ci/forge-lanes.toml`.
        pub manifest: Option<At<String>>,
        /// The catalog's path in the repository. Absent: `ci/catalog.toml`.
        pub catalog: Option<At<String>>,
        /// Exactly the staged Linux targets that the catalog has and lanes run. Absent: no
        /// expectation.
        #[schemars(with = "Option<Vec<forms::Name>>", extend("uniqueItems" = true))]
        pub staged_linux_targets: Option<Vec<At<String>>>,
        /// How bad a finding of a rule is, by the rule's code: `"deny"`, `"warn"` or `"allow"`.
        #[schemars(extend("propertyNames" = forms::names_like(forms::RULE)))]
        pub lints: Option<Named<At<LintLevel>>>,
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, schemars::JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum LintLevel {
    /// Not told.
    Allow,
    /// Told; `check` still passes.
    Warn,
    /// Told; `check` fails.
    Deny,
}

impl LintLevel {
    /// Returns the word used in files and output.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Warn => "warn",
            Self::Deny => "deny",
        }
    }
}

impl Decode for LintLevel {
    fn decode(value: Value<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let words = [Self::Deny, Self::Warn, Self::Allow].map(|level| (level.as_str(), level));
        word(value, reader, &words)
    }
}
