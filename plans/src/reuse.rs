//! Whether a result that is proven is used again: a rule of a [`JobSpec`](crate::JobSpec), as data.
//!
//! What two results have in common so that one stands for the other is [`Key`](crate::Key)'s; where
//! results are kept, and whether a site allows it, is the executor's.

use serde::{Deserialize, Serialize};

/// Which results of a job stand for a later run of the same key.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Reuse {
    /// None: the job runs each time.
    #[default]
    Never,
    /// One that passed at its first attempt.
    Passed,
    /// One that passed, also after retries.
    PassedWithRetries,
}

impl Reuse {
    /// Every word, the default first.
    pub const ALL: [Self; 3] = [Self::Never, Self::Passed, Self::PassedWithRetries];

    /// Returns the word used in catalogs and plans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Passed => "passed",
            Self::PassedWithRetries => "passed_with_retries",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(crate) fn is_never(&self) -> bool {
        *self == Self::Never
    }
}
