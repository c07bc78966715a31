//! The names of things: one grammar, one macro, parsed once at the door.
//!
//! Every id in a plan becomes a directory, an instance label or a word of a command line
//! somewhere, so the grammar is the intersection of what those accept. A value of one of these
//! types has been checked; nothing behind the door checks again.

use std::{borrow::Borrow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// Why a text is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidId {
    /// The text is empty.
    #[error("{what} is empty")]
    Empty {
        /// What the text was to name.
        what: &'static str,
    },
    /// The text is longer than a file name, a label or a DNS word may be.
    #[error("{what} `{start}…` is {length} characters long, at most {max} are allowed")]
    TooLong {
        /// What the text was to name.
        what: &'static str,
        /// Its first characters.
        start: String,
        /// Its length in bytes.
        length: usize,
        /// The limit.
        max: usize,
    },
    /// A character that is not allowed where it stands.
    #[error(
        "{what} `{text}` has {character:?} at character {position}; \
         letters, digits, `.`, `_` and `-` are allowed, and the first is a letter or a digit"
    )]
    Character {
        /// What the text was to name.
        what: &'static str,
        /// The text, escaped for display.
        text: String,
        /// The offending character.
        character: char,
        /// Its position, counted from 1.
        position: usize,
    },
}

fn check(what: &'static str, text: &str, max: usize) -> Result<(), InvalidId> {
    if text.is_empty() {
        return Err(InvalidId::Empty { what });
    }
    if text.len() > max {
        let start = text.chars().take(24).flat_map(char::escape_debug).collect();
        return Err(InvalidId::TooLong { what, start, length: text.len(), max });
    }
    for (index, character) in text.chars().enumerate() {
        let allowed = character.is_ascii_alphanumeric()
            || (index > 0 && matches!(character, '.' | '_' | '-'));
        if !allowed {
            let text = text.escape_debug().to_string();
            return Err(InvalidId::Character { what, text, character, position: index + 1 });
        }
    }
    Ok(())
}

macro_rules! id_types {
    ($($(#[$doc:meta])* $name:ident, $what:literal, $max:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
        #[serde(transparent)]
        #[schemars(transparent)]
        pub struct $name(
            #[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._-]*$"), length(max = $max))] Box<str>,
        );

        impl $name {
            /// What such an id names, for messages.
            pub const WHAT: &'static str = $what;
            /// The longest allowed text, in bytes.
            pub const MAX_LENGTH: usize = $max;

            /// Checks `text` and takes it over.
            ///
            /// # Errors
            ///
            /// [`InvalidId`] says which character or length is wrong.
            pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidId> {
                let text = text.into();
                check($what, &text, $max)?;
                Ok(Self(text))
            }

            /// Returns the id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }
    )+};
}

id_types! {
    /// A lane: a row of CI that a reviewer sees.
    LaneId, "lane id", 64;
    /// A target: a bundle of jobs that a lane selects.
    TargetId, "target id", 64;
    /// A job: one command in one execution environment.
    JobId, "job id", 64;
    /// A node of the plan, `prepare-…` or `execute-…`.
    NodeId, "node id", 200;
    /// A host of the catalog, what a remote placement names.
    HostName, "host name", 64;
    /// A concurrency group: at most one node of it runs at a time.
    GroupName, "concurrency group", 64;
    /// A cache: a named directory that outlives a run.
    CacheName, "cache", 64;
    /// A snapshot profile: what a source tree leaves out.
    ProfileName, "snapshot profile", 64;
    /// A scenario: a described change that a golden plan answers.
    ScenarioName, "scenario name", 64;
}

/// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*` (POSIX.1-2017, 8.1, with lower
/// case allowed as every shell does).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct EnvName(#[schemars(regex(pattern = "^[A-Za-z_][A-Za-z0-9_]*$"))] Box<str>);

/// Why a text is not the name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not the name of an environment variable: letters, digits and `_`, no digit first"
)]
pub struct InvalidEnvName {
    text: String,
}

impl EnvName {
    /// Checks `text` and takes it over.
    ///
    /// # Errors
    ///
    /// [`InvalidEnvName`] quotes the text.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidEnvName> {
        let text = text.into();
        let well_formed = !text.is_empty()
            && text.len() <= 200
            && !text.starts_with(|c: char| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if well_formed {
            Ok(Self(text))
        } else {
            let text = text.chars().take(64).flat_map(char::escape_debug).collect();
            Err(InvalidEnvName { text })
        }
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EnvName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for EnvName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_never_leaves_its_directory() {
        for bad in ["", ".", "..", "../x", "a/b", "-rf", "a b", "a\nb", "a\0", "é", ".git"] {
            assert!(JobId::new(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["a", "A.b-c_9", "9", "pre-merge-pika-rust"] {
            assert_eq!(JobId::new(good).expect("well formed").as_str(), good);
        }
        assert!(JobId::new("a".repeat(64)).is_ok());
        assert!(JobId::new("a".repeat(65)).is_err());
    }

    #[test]
    fn the_message_names_the_character() {
        let error = LaneId::new("a b").expect_err("a space");
        insta::assert_snapshot!(error, @"lane id `a b` has ' ' at character 2; letters, digits, `.`, `_` and `-` are allowed, and the first is a letter or a digit");
    }

    #[test]
    fn an_environment_name_holds_no_assignment() {
        for bad in ["", "1A", "A=B", "A B", "A-B", "É"] {
            assert!(EnvName::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(EnvName::new("_a9").is_ok());
    }
}
