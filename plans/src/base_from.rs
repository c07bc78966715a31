//! Which step found the base of a plan: words for people and programs, decided by the planner.

use serde::{Deserialize, Serialize};

/// Where the base came from: `flag`, `passed`, `event:github:push`,
/// `unpushed`, `first_parent`, `default_branch`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct BaseFrom(
    #[schemars(regex(pattern = "^[a-z][a-z0-9_]*(:[a-z][a-z0-9_]*){0,2}$"))] Box<str>,
);

/// The text names no step.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no step: up to three words with `:` between them are expected")]
pub struct InvalidBaseFrom(String);

impl BaseFrom {
    /// Checks `text` and takes it over.
    ///
    /// # Errors
    ///
    /// [`InvalidBaseFrom`] quotes the text.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidBaseFrom> {
        let text = text.into();
        let word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_lowercase())
                && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        if text.split(':').count() <= 3 && text.split(':').all(word) {
            Ok(Self(text))
        } else {
            Err(InvalidBaseFrom(text.chars().take(72).flat_map(char::escape_debug).collect()))
        }
    }

    /// Returns the words as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for BaseFrom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for BaseFrom {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_up_to_three_plain_words() {
        for good in ["flag", "event:github:push", "first_parent", "a1:b"] {
            assert_eq!(BaseFrom::new(good).expect("it is good").as_str(), good);
        }
        for bad in ["", ":", "a:", "A", "a b", "a:b:c:d", "1a", "a\n"] {
            assert!(BaseFrom::new(bad).is_err(), "{bad:?} was accepted");
        }
    }
}
