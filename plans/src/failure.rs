//! What a failure of a job means: whether it is run again, and whether it counts.
//!
//! Two rules of a [`JobSpec`](crate::JobSpec), as data. The executor obeys them, for each end
//! of an attempt. How often a job is run again is `retries`; a machine that failed is no failure
//! of the job, and no rule here is about it.

use std::{borrow::Cow, collections::BTreeSet, num::NonZeroU8};

use serde::{Deserialize, Serialize};

/// Exit codes of a job that are no success.
pub type ExitCodes = BTreeSet<NonZeroU8>;

/// Failures that do not count: recorded as failed and tolerated, dependants run, the lane passes.
///
/// On the wire `true`, or `{ "exit_codes": [77] }`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum AllowFailure {
    /// Every failure, and running out of time.
    Any(True),
    /// These exit codes; any other, a signal and running out of time count.
    Some(AllowedCodes),
}

impl AllowFailure {
    /// Every failure is allowed.
    pub const ANY: Self = Self::Any(True);
}

/// Exit codes that do not count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AllowedCodes {
    /// The exit codes, ascending.
    #[schemars(length(min = 1))]
    pub exit_codes: ExitCodes,
}

/// The word `true`, and no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct True;

impl Serialize for True {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_bool(true)
    }
}

impl<'de> Deserialize<'de> for True {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if bool::deserialize(from)? {
            Ok(Self)
        } else {
            Err(serde::de::Error::custom("only `true` is written"))
        }
    }
}

impl schemars::JsonSchema for True {
    fn schema_name() -> Cow<'static, str> {
        "True".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "boolean", "const": true })
    }
}

/// The failures after which a job is run again; any other counts at once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryOn {
    /// Exit codes, ascending; absent: none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub exit_codes: ExitCodes,
    /// Outcomes; absent: none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub outcomes: BTreeSet<FailedOutcome>,
}

/// The two outcomes that are the job's own failure.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum FailedOutcome {
    /// It ended, and its answer is no: an exit code other than 0, or a signal.
    Failed,
    /// It ran longer than its `timeout_secs` and was ended.
    TimedOut,
}

impl FailedOutcome {
    /// Every outcome.
    pub const ALL: [Self; 2] = [Self::Failed, Self::TimedOut];

    /// Returns the word used in catalogs, plans and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::TimedOut => "timed_out",
        }
    }
}

/// How a job of its own failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// Which of the two.
    pub outcome: FailedOutcome,
    /// Its exit code, when it ended by itself.
    pub exit_code: Option<i32>,
}

impl Failure {
    fn is_among(self, codes: &ExitCodes) -> bool {
        self.outcome == FailedOutcome::Failed
            && self.exit_code.is_some_and(|code| codes.iter().any(|it| i32::from(it.get()) == code))
    }
}

impl AllowFailure {
    /// Returns whether that failure does not count.
    #[must_use]
    pub fn allows(&self, failure: Failure) -> bool {
        match self {
            Self::Any(True) => true,
            Self::Some(allowed) => failure.is_among(&allowed.exit_codes),
        }
    }
}

impl RetryOn {
    /// Returns whether a job is run again after that failure.
    #[must_use]
    pub fn includes(&self, failure: Failure) -> bool {
        self.outcomes.contains(&failure.outcome) || failure.is_among(&self.exit_codes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(of: &[u8]) -> ExitCodes {
        of.iter().filter_map(|&code| NonZeroU8::new(code)).collect()
    }

    fn failed(code: Option<i32>) -> Failure {
        Failure { outcome: FailedOutcome::Failed, exit_code: code }
    }

    const LATE: Failure = Failure { outcome: FailedOutcome::TimedOut, exit_code: Some(77) };

    #[test]
    fn an_exit_code_is_that_of_a_job_that_ended_by_itself() {
        let some = AllowFailure::Some(AllowedCodes { exit_codes: codes(&[77]) });
        assert!(some.allows(failed(Some(77))));
        for counts in [failed(Some(1)), failed(None), LATE] {
            assert!(!some.allows(counts), "{counts:?}");
            assert!(AllowFailure::ANY.allows(counts), "{counts:?}");
        }
    }

    #[test]
    fn a_job_is_run_again_after_what_is_named() {
        let late = BTreeSet::from([FailedOutcome::TimedOut]);
        let on = RetryOn { exit_codes: codes(&[75]), outcomes: late };
        assert!(on.includes(failed(Some(75))) && on.includes(LATE));
        assert!(!on.includes(failed(Some(77))) && !on.includes(failed(None)));
    }

    #[test]
    fn only_true_and_a_table_are_read() {
        let read = |text: &str| serde_json::from_str::<AllowFailure>(text).ok();
        assert_eq!(read("true"), Some(AllowFailure::ANY));
        assert_eq!(serde_json::to_string(&AllowFailure::ANY).expect("plain data"), "true");
        let some = AllowFailure::Some(AllowedCodes { exit_codes: codes(&[1, 255]) });
        assert_eq!(read(r#"{"exit_codes": [255, 1]}"#), Some(some));
        for bad in ["false", "1", "{}", r#"{"exit_codes": [0]}"#, r#"{"exit_codes": [256]}"#] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
