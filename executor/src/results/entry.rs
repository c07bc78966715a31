//! One kept result, as it lies on the disk.
//!
//! `entry.json` is one line with the digest of what follows, and then JSON. An entry that is torn,
//! of a later format, or not what its digest says is no entry.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use plans::Key;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::text;

/// The file's name in an entry's directory.
pub(super) const FILE: &str = "entry.json";

/// The only version so far.
const FORMAT: u32 = 1;

/// A result that passed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    format: u32,
    /// What decided it, with what its machine knew.
    pub(crate) key: Key,
    /// The same, part by part, for people who ask why another result was not reused.
    pub(crate) parts: Value,
    /// Whose result it is.
    pub(crate) reused: Reused,
    /// The values that it left by name.
    #[serde(default)]
    pub(crate) outputs: BTreeMap<String, String>,
    /// The job's log.
    pub(super) log: Option<Sum>,
    /// The list of its artifacts, which holds the checksum of each.
    pub(super) list: Option<Sum>,
    /// How many artifacts it left.
    pub(crate) artifacts: u64,
    /// How many files were left out of them.
    #[serde(default)]
    pub(crate) artifacts_left_out: u64,
    /// The bytes of all of it.
    pub(crate) bytes: u64,
}

/// The run and the node that a result comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Reused {
    /// The run that ran it.
    pub run_id: String,
    /// Its node.
    pub node: String,
    /// When it passed (RFC 3339).
    pub finished_at: String,
    /// How long it took there.
    pub duration_ms: u64,
}

impl Reused {
    /// Returns it for people: `run 20261129-…, 2026-11-29T12:00:00Z, 1m 20s`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let took = text::duration(Duration::from_millis(self.duration_ms));
        let Self { run_id, node, finished_at, .. } = self;
        text::neutral(&format!("run {run_id}, {node}, {finished_at}, {took}"))
    }
}

/// What a file must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sum {
    pub(super) sha256: String,
    pub(super) bytes: u64,
}

impl Entry {
    /// An entry without files.
    pub(crate) fn new(key: Key, parts: Value, reused: Reused) -> Self {
        Self {
            format: FORMAT,
            key,
            parts,
            reused,
            outputs: BTreeMap::new(),
            log: None,
            list: None,
            artifacts: 0,
            artifacts_left_out: 0,
            bytes: 0,
        }
    }

    /// Returns whether it is a log of at most so many bytes, and nothing else.
    pub(super) fn is_small(&self, bytes: u64) -> bool {
        self.list.is_none() && self.log.as_ref().is_none_or(|log| log.bytes <= bytes)
    }

    /// Reads the entry of a directory; says why it is none.
    pub(crate) fn read(dir: &Path) -> Result<Self, Unusable> {
        let text = match fs::read(dir.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(Unusable::Absent),
            Err(error) => return Err(Unusable::Damaged(error.to_string())),
        };
        Self::parse(&text)
    }

    /// Reads the file's bytes.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Unusable> {
        let (digest, body) = text
            .iter()
            .position(|&byte| byte == b'\n')
            .map(|end| (&text[..end], &text[end + 1..]))
            .ok_or_else(|| Unusable::Damaged("it is cut short".to_owned()))?;
        if digest != Key::of(body).as_str().as_bytes() {
            return Err(Unusable::Damaged("it is not what its digest says".to_owned()));
        }
        let entry: Self = serde_json::from_slice(body)
            .map_err(|error| Unusable::Damaged(format!("it cannot be read: {error}")))?;
        if entry.format != FORMAT {
            return Err(Unusable::Damaged(format!("its format is {}", entry.format)));
        }
        Ok(entry)
    }

    /// Returns the file's bytes.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let body = serde_json::to_vec(self).expect("plain data");
        let mut text = Key::of(&body).as_str().as_bytes().to_vec();
        text.push(b'\n');
        text.extend(body);
        text
    }
}

/// Why there is no entry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// There is none.
    Absent,
    /// There is something else.
    Damaged(String),
}
