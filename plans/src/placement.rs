//! Where a node runs: this machine, or another one reached over ssh.
//!
//! Says nothing about isolation; that is [`Runtime`](crate::Runtime).

use serde::{Deserialize, Serialize};

use crate::HostName;

/// Which machine a node runs on.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Placement {
    /// The machine the executor runs on.
    Local,
    /// A host of the catalog, reached with the user's own ssh.
    RemoteSsh(SshHost),
}

impl Placement {
    /// Returns the catalog's name of the host, or `local`.
    #[must_use]
    pub fn host_name(&self) -> &str {
        match self {
            Self::Local => "local",
            Self::RemoteSsh(host) => host.host.as_str(),
        }
    }

    /// Returns which of the two it is, in the words of the manifest.
    #[must_use]
    pub fn kind(&self) -> PlacementKind {
        match self {
            Self::Local => PlacementKind::Local,
            Self::RemoteSsh(_) => PlacementKind::RemoteSsh,
        }
    }
}

/// A [`Placement`] without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PlacementKind {
    /// The machine the executor runs on.
    Local,
    /// A host reached over ssh.
    RemoteSsh,
}

impl PlacementKind {
    /// Every placement.
    pub const ALL: [Self; 2] = [Self::Local, Self::RemoteSsh];

    /// Returns the word used in catalogs, plans and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::RemoteSsh => "remote_ssh",
        }
    }
}

/// A host as the catalog declares it; the executor adds nothing but its own aliases.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct SshHost {
    /// The host's name in the catalog; locks, limits and messages use it.
    pub host: HostName,
    /// What ssh connects to: an alias of `ssh_config(5)`, `user@host`, or `ssh://user@host:port`.
    pub ssh: SshDestination,
    /// The absolute directory on that host under which source trees and runs live.
    pub work_dir: AbsolutePath,
    /// How many nodes may run there at once, over all executors.
    pub max_jobs: u32,
}

/// Why a text is not an ssh destination or an absolute path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {why}")]
pub struct InvalidText {
    text: String,
    what: &'static str,
    why: &'static str,
}

impl InvalidText {
    pub(crate) fn new(text: &str, what: &'static str, why: &'static str) -> Self {
        let text = text.chars().take(120).flat_map(char::escape_debug).collect();
        Self { text, what, why }
    }
}

/// What the user's ssh is told to connect to. Never starts with `-`, so that it cannot become an
/// option, and holds no white space or control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct SshDestination(#[schemars(regex(pattern = "^[^-\\s][^\\s]*$"))] Box<str>);

impl SshDestination {
    /// Checks `text` and takes it over.
    ///
    /// # Errors
    ///
    /// [`InvalidText`] for an empty text, a leading `-`, white space or characters a shell or
    /// ssh's own `%` expansion would read as something else.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidText> {
        let text = text.into();
        let why = if text.is_empty() {
            "it is empty"
        } else if text.starts_with('-') {
            "ssh would read it as an option"
        } else if text.len() > 255 {
            "it is longer than 255 characters"
        } else if !text.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '@' | '.' | '-' | '_' | ':' | '/' | '[' | ']')
        }) {
            "only letters, digits and `@ . - _ : / [ ]` are allowed"
        } else {
            return Ok(Self(text));
        };
        Err(InvalidText::new(&text, "an ssh destination", why))
    }

    /// Returns the destination as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An absolute path on the machine or in the guest that it is about: `/` first, no `.` or `..`,
/// no empty component, no control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct AbsolutePath(#[schemars(regex(pattern = "^/."))] Box<str>);

impl AbsolutePath {
    /// Checks `text` and takes it over.
    ///
    /// # Errors
    ///
    /// [`InvalidText`] says which rule is broken.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidText> {
        let text = text.into();
        let why = match text.strip_prefix('/') {
            None => Some("it does not start with `/`"),
            Some(rest) => broken_component(rest),
        };
        match why {
            None => Ok(Self(text)),
            Some(why) => Err(InvalidText::new(&text, "an absolute path", why)),
        }
    }

    /// Returns the path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Returns whether one of two paths is the other, or below it.
#[must_use]
pub fn paths_overlap(one: &str, other: &str) -> bool {
    let within = |inner: &str, outer: &str| {
        inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    within(one, other) || within(other, one)
}

/// A path below the workspace: not absolute, no `.` or `..`, no empty component.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct WorkspacePath(#[schemars(regex(pattern = "^[^/]"))] Box<str>);

impl WorkspacePath {
    /// Checks `text` and takes it over.
    ///
    /// # Errors
    ///
    /// [`InvalidText`] says which rule is broken.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidText> {
        let text = text.into();
        match broken_component(&text) {
            None => Ok(Self(text)),
            Some(why) => Err(InvalidText::new(&text, "a path below the workspace", why)),
        }
    }

    /// Returns the path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn broken_component(path: &str) -> Option<&'static str> {
    if path.len() > 4096 {
        return Some("it is longer than 4096 bytes");
    }
    if path.chars().any(char::is_control) {
        return Some("it holds a control character");
    }
    path.split('/').find_map(|component| match component {
        "" => Some("it has an empty component"),
        "." | ".." => Some("it has the component `.` or `..`"),
        _ => None,
    })
}

macro_rules! deserialize_checked {
    ($($name:ident),+) => {$(
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = String::deserialize(from)?;
                Self::new(text).map_err(serde::de::Error::custom)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    )+};
}
deserialize_checked!(SshDestination, AbsolutePath, WorkspacePath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_never_an_option_or_two_words() {
        for bad in ["", "-oProxyCommand=x", "a b", "a;b", "a\nb", "$(x)", "a%h"] {
            assert!(SshDestination::new(bad).is_err(), "{bad:?} was accepted");
        }
        for good in ["pika-build", "ci@pika-build", "ssh://ci@host:2222", "ci@[::1]"] {
            assert!(SshDestination::new(good).is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn paths_stay_where_they_are_put() {
        for bad in ["", "a", "/", "/a/", "/a//b", "/a/../b", "/a\nb"] {
            assert!(AbsolutePath::new(bad).is_err(), "{bad:?} was accepted");
        }
        for bad in ["", "/a", "a/", "../a", "a/./b"] {
            assert!(WorkspacePath::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(AbsolutePath::new("/Volumes/My Shared Files/x").is_ok());
        assert!(WorkspacePath::new("crates/x").is_ok());
    }

    #[test]
    fn the_wire_is_externally_tagged() {
        assert_eq!(serde_json::to_string(&Placement::Local).expect("serializes"), "\"local\"");
        let remote = r#"{"remote_ssh":{"host":"b","ssh":"ci@b","work_dir":"/w","max_jobs":4}}"#;
        let placement: Placement = serde_json::from_str(remote).expect("reads");
        assert_eq!(placement.host_name(), "b");
        assert_eq!(serde_json::to_string(&placement).expect("serializes"), remote);
    }
}
