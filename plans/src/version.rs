//! The version of the plan format: two integers, and who can read what.
//!
//! | version | what changed |
//! | --- | --- |
//! | 1.0 | the first format |
//! | 1.1 | `source.base_from`, `source.passed`, `since` of reasons, the reason `owed`, `entries` of `definition_changed`, `retry_on`, `allow_failure`, `run_if`, `inputs` of nodes, `outputs`, `env_from`, `files_from`, `group`, `matrix`, `shard`, `shard_files`, `key`, `reuse`, `reuse_with_secrets`, `key_commands`, `caches`, `cache_keys`, `source.cache_scope` |
//!
//! A minor version adds keys that an older reader would miss, a major one changes meaning. A
//! reader takes its own major version up to its own minor version. A plan is written in the oldest
//! version that has all of its keys, so that one without new keys keeps its bytes.

use std::{fmt, str::FromStr};

/// A format version, compared as integers: 1.10 is newer than 1.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaVersion {
    /// Changes when the meaning of a key does.
    pub major: u32,
    /// Changes when a key is added.
    pub minor: u32,
}

impl SchemaVersion {
    /// The version this crate writes, and the newest it reads.
    pub const CURRENT: Self = Self { major: 1, minor: 1 };

    /// Returns whether a reader of `self` understands a document of version `document`.
    #[must_use]
    pub fn reads(self, document: Self) -> bool {
        self.major == document.major && document.minor <= self.minor
    }
}

impl fmt::Display for SchemaVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// The text is not `MAJOR.MINOR`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a format version; `MAJOR.MINOR` is expected")]
pub struct InvalidVersion;

impl FromStr for SchemaVersion {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let (major, minor) = text.split_once('.').ok_or(InvalidVersion)?;
        let number = |text: &str| {
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return Err(InvalidVersion);
            }
            text.parse().map_err(|_| InvalidVersion)
        };
        Ok(Self { major: number(major)?, minor: number(minor)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> SchemaVersion {
        text.parse().expect("well formed")
    }

    #[test]
    fn versions_are_integers_not_decimals() {
        assert!(version("1.10") > version("1.9"));
        assert!(version("1.10").reads(version("1.9")));
        assert!(!version("1.9").reads(version("1.10")));
        assert!(!version("2.0").reads(version("1.0")));
    }

    #[test]
    fn nothing_else_is_a_version() {
        for bad in ["", "1", "1.", ".1", "1.0.0", "1.x", "+1.0", "-1.0", "99999999999.0"] {
            assert!(bad.parse::<SchemaVersion>().is_err(), "{bad:?} was accepted");
        }
    }
}
