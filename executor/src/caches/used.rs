//! What is told of a cache that a job was given.

use std::{fmt, time::Duration};

use plans::{Cache, Key};
use serde::{Deserialize, Serialize};

use super::Scope;
use crate::text;

/// How much of its work a job may find done.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Temperature {
    /// A cache with the exact key.
    Hit,
    /// The newest one of the same name.
    Warm,
    /// None: it begins with an empty directory.
    Cold,
}

impl Temperature {
    /// Returns the word used in logs, records and events.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

impl fmt::Display for Temperature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A cache that a job was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CacheUse {
    /// What it is called.
    pub name: String,
    /// Where the job found it.
    pub path: String,
    /// What it was given.
    pub temperature: Temperature,
    /// The exact key; absent: its globs match no file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `warm`: the key of what it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_key: Option<String>,
    /// Whose it was: `default_branch`, `branch:NAME`; absent: it is cold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// How many seconds before it had been kept; absent: it is cold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_secs: Option<u64>,
    /// Its bytes.
    #[serde(default)]
    pub bytes: u64,
    /// How it was given: `reflink`, `overlay` or `copy`; `new`, when it is cold.
    #[serde(default)]
    pub way: String,
    /// Whether what the job made of it was kept.
    #[serde(default)]
    pub saved: bool,
    /// The bytes of what was kept; absent: nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved_bytes: Option<u64>,
}

impl CacheUse {
    /// Returns it for people: `cargo-target: hit, 2h old, 1.2 GB, key sha256:0123456789ab, of default_branch, by overlay`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let mut words = vec![format!("{}: {}", self.name, self.temperature)];
        if let Some(age) = self.age_secs {
            words.push(format!("{} old", text::duration(Duration::from_secs(age))));
            words.push(text::bytes(self.bytes));
        }
        let short = |key: &str| key.chars().take("sha256:".len() + 12).collect::<String>();
        match &self.key {
            Some(key) => words.push(format!("key {}", short(key))),
            None => words.push("no exact key".to_owned()),
        }
        if let Some(key) = &self.from_key {
            words.push(format!("from key {}", short(key)));
        }
        if let Some(scope) = &self.scope {
            words.push(format!("of {scope}"));
            words.push(format!("by {}", self.way));
        }
        text::neutral(&words.join(", "))
    }
}

/// Reads what a machine said of one cache, and what people should know of it.
pub(super) fn read<'a>(
    said: &str,
    number: usize,
    cache: &Cache,
    key: Option<&Key>,
    scope_of: impl Fn(&str) -> Option<&'a Scope>,
) -> Option<(CacheUse, Vec<String>)> {
    let mut notes = Vec::new();
    let mut found = None;
    for line in said.lines() {
        let mut words = line.split('\t');
        let word = words.next();
        if words.next().and_then(|it| it.parse().ok()) != Some(number) {
            continue;
        }
        match word {
            Some("note") => notes.extend(words.next().map(text::neutral)),
            Some("cache") => found = Some(words.collect::<Vec<_>>()),
            _ => {}
        }
    }
    let [kind, of, place, age, bytes, way] = found?[..] else { return None };
    let temperature = match kind {
        "hit" => Temperature::Hit,
        "warm" => Temperature::Warm,
        "cold" => Temperature::Cold,
        _ => return None,
    };
    let given = temperature != Temperature::Cold;
    let used = CacheUse {
        name: cache.name.to_string(),
        path: cache.path.to_string(),
        temperature,
        key: key.map(ToString::to_string),
        from_key: (temperature == Temperature::Warm).then(|| format!("sha256:{of}")),
        scope: scope_of(place).filter(|_| given).map(ToString::to_string),
        age_secs: given.then(|| age.parse().ok()).flatten(),
        bytes: bytes.parse().ok()?,
        way: text::neutral(way),
        saved: false,
        saved_bytes: None,
    };
    Some((used, notes))
}
