//! Repository paths and how they changed: raw bytes in memory, readable text on the wire.
//!
//! Git paths are bytes. A path that is UTF-8 is written as itself; any other is written
//! percent-encoded under `path_bytes`, so that no two paths share a spelling and none is lost.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

use serde::{Deserialize, Serialize, ser::SerializeMap};

/// A path relative to the repository's root: `/` between components, no empty component, no
/// `.` or `..`, no NUL. Ordered by bytes, as git orders names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Box<[u8]>);

/// Why bytes are not a repository path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{path}` is not a path inside the repository: {why}")]
pub struct InvalidPath {
    path: String,
    why: &'static str,
}

impl RepoPath {
    /// Checks `bytes` and takes them over.
    ///
    /// # Errors
    ///
    /// [`InvalidPath`] for an empty or absolute path, an empty, `.` or `..` component, or a NUL.
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, InvalidPath> {
        let bytes = bytes.into();
        let why = if bytes.is_empty() {
            Some("it is empty")
        } else if bytes[0] == b'/' {
            Some("it is absolute")
        } else if bytes.contains(&0) {
            Some("it holds a NUL byte")
        } else {
            bytes.split(|&byte| byte == b'/').find_map(|component| match component {
                b"" => Some("it has an empty component"),
                b"." => Some("it has the component `.`"),
                b".." => Some("it has the component `..`"),
                _ => None,
            })
        };
        match why {
            None => Ok(Self(bytes)),
            Some(why) => Err(InvalidPath { path: display(&bytes).into_owned(), why }),
        }
    }

    /// Returns the raw bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Returns the path as text, if it is UTF-8.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// Returns the path for people: one line, control characters escaped, foreign bytes as `\xNN`.
    #[must_use]
    pub fn display(&self) -> Cow<'_, str> {
        display(&self.0)
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.display())
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.display())
    }
}

/// Writes bytes on one line of a terminal: text as it is, control characters and bytes that are
/// not UTF-8 escaped, so that a hostile file name cannot move the cursor.
fn display(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !text.chars().any(char::is_control)
    {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(bytes.len() + 8);
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() {
                shown.extend(character.escape_default());
            } else {
                shown.push(character);
            }
        }
        for byte in chunk.invalid() {
            write!(shown, "\\x{byte:02x}").expect("a string takes every text");
        }
    }
    Cow::Owned(shown)
}

/// Percent-encodes (RFC 3986, 2.1) every byte but unreserved ones and `/`.
fn percent_encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("a string takes every text");
        }
    }
    text
}

fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let high = char::from(rest.next()?).to_digit(16)?;
            let low = char::from(rest.next()?).to_digit(16)?;
            bytes.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

/// The two spellings of a path as fields of a larger object: `path` or `path_bytes`.
pub(crate) enum Spelling<'a> {
    Text(&'a str),
    Bytes(String),
}

impl RepoPath {
    pub(crate) fn spelling(&self) -> Spelling<'_> {
        match self.as_str() {
            Some(text) => Spelling::Text(text),
            None => Spelling::Bytes(percent_encode(&self.0)),
        }
    }

    pub(crate) fn from_spelling(
        path: Option<String>,
        path_bytes: Option<&str>,
    ) -> Result<Self, String> {
        let bytes = match (path, path_bytes) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(encoded)) => percent_decode(encoded)
                .ok_or_else(|| format!("`{encoded}` is not percent-encoded"))?,
            _ => return Err("exactly one of `path` and `path_bytes` is expected".to_owned()),
        };
        Self::new(bytes).map_err(|error| error.to_string())
    }
}

/// In a list of paths, a path is its text, or `{ "path_bytes": "…" }` when it is not UTF-8.
impl Serialize for RepoPath {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.spelling() {
            Spelling::Text(text) => to.serialize_str(text),
            Spelling::Bytes(encoded) => {
                let mut map = to.serialize_map(Some(1))?;
                map.serialize_entry("path_bytes", &encoded)?;
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for RepoPath {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = RepoPath;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or an object with `path_bytes`")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<RepoPath, E> {
                RepoPath::new(text.as_bytes()).map_err(E::custom)
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(
                self,
                mut map: A,
            ) -> Result<RepoPath, A::Error> {
                use serde::de::Error as _;
                let Some((key, value)) = map.next_entry::<String, String>()? else {
                    return Err(A::Error::missing_field("path_bytes"));
                };
                if key != "path_bytes" || map.next_entry::<String, String>()?.is_some() {
                    return Err(A::Error::custom("only the key `path_bytes` is expected"));
                }
                RepoPath::from_spelling(None, Some(&value)).map_err(A::Error::custom)
            }
        }
        from.deserialize_any(Visitor)
    }
}

impl schemars::JsonSchema for RepoPath {
    fn schema_name() -> Cow<'static, str> {
        "RepoPath".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "A path relative to the repository's root; percent-encoded bytes when it is not UTF-8.",
            "oneOf": [
                { "type": "string", "minLength": 1 },
                { "type": "object", "properties": { "path_bytes": { "type": "string" } },
                  "required": ["path_bytes"], "additionalProperties": false }
            ]
        })
    }
}

/// How a path differs between base and head. A rename is a deletion and an addition.
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
pub enum ChangeStatus {
    /// Only head has the path.
    Added,
    /// Both have it, with other content or another mode.
    Modified,
    /// Only base has it.
    Deleted,
    /// Both have it, as different kinds of entry (file, symbolic link, submodule).
    TypeChanged,
    /// A submodule was added, removed or moved to another commit.
    Submodule,
}

impl ChangeStatus {
    /// Every status, in the order of the documentation.
    pub const ALL: [Self; 5] =
        [Self::Added, Self::Modified, Self::Deleted, Self::TypeChanged, Self::Submodule];

    /// Returns the word used in manifests and plans.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Modified => "modified",
            Self::Deleted => "deleted",
            Self::TypeChanged => "type_changed",
            Self::Submodule => "submodule",
        }
    }
}

impl fmt::Display for ChangeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// One changed path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Change {
    /// What changed.
    pub path: RepoPath,
    /// How.
    pub status: ChangeStatus,
}

impl Serialize for Change {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut map = to.serialize_map(Some(2))?;
        match self.path.spelling() {
            Spelling::Text(text) => map.serialize_entry("path", text)?,
            Spelling::Bytes(encoded) => map.serialize_entry("path_bytes", &encoded)?,
        }
        map.serialize_entry("status", &self.status)?;
        map.end()
    }
}

/// The fields of a [`Change`] on the wire.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Change")]
struct ChangeWire {
    /// The path, when it is UTF-8.
    path: Option<String>,
    /// The percent-encoded path, when it is not.
    path_bytes: Option<String>,
    /// How it changed.
    status: ChangeStatus,
}

impl<'de> Deserialize<'de> for Change {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let wire = ChangeWire::deserialize(from)?;
        let path = RepoPath::from_spelling(wire.path, wire.path_bytes.as_deref())
            .map_err(serde::de::Error::custom)?;
        Ok(Self { path, status: wire.status })
    }
}

impl schemars::JsonSchema for Change {
    fn schema_name() -> Cow<'static, str> {
        ChangeWire::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        ChangeWire::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(bytes: &[u8]) -> RepoPath {
        RepoPath::new(bytes).expect("well formed")
    }

    #[test]
    fn a_path_that_leaves_the_repository_is_refused() {
        for bad in [&b""[..], b"/a", b"a//b", b"a/", b"./a", b"a/../b", b"..", b"a\0b"] {
            assert!(RepoPath::new(bad).is_err(), "{bad:?} was accepted");
        }
    }

    #[test]
    fn every_path_survives_the_wire() {
        for bytes in [&b"a/b.rs"[..], b"caf\xc3\xa9", b"\xff/%41", b"new\nline", b"\"quote\""] {
            let change = Change { path: path(bytes), status: ChangeStatus::Modified };
            let wire = serde_json::to_string(&change).expect("serializes");
            assert_eq!(change, serde_json::from_str(&wire).expect("reads back"), "{wire}");
            let wire = serde_json::to_string(&change.path).expect("serializes");
            assert_eq!(change.path, serde_json::from_str(&wire).expect("reads back"), "{wire}");
        }
    }

    #[test]
    fn foreign_bytes_are_percent_encoded() {
        let change = Change { path: path(b"\xff b%"), status: ChangeStatus::Added };
        let wire = serde_json::to_string(&change).expect("serializes");
        assert_eq!(wire, r#"{"path_bytes":"%FF%20b%25","status":"added"}"#);
    }

    #[test]
    fn a_hostile_name_stays_on_its_line() {
        assert_eq!(path(b"a\x1b[2Jb\nc\xff").display(), "a\\u{1b}[2Jb\\nc\\xff");
    }
}
