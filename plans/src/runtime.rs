//! How isolated a node runs: as a process of the machine, in an Incus instance, in a Tart VM.
//!
//! Every runtime keeps its own settings in its own variant; none of them says where it runs.

use serde::{Deserialize, Serialize};

use crate::placement::InvalidText;

/// Which isolation a node runs in.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Runtime {
    /// A plain process of the machine.
    HostProcess,
    /// A container or virtual machine of the machine's Incus.
    Incus(Incus),
    /// A virtual machine of the machine's Tart (macOS hosts).
    Tart(Tart),
}

impl Runtime {
    /// Returns which of the three it is, in the words of the manifest.
    #[must_use]
    pub fn kind(&self) -> RuntimeKind {
        match self {
            Self::HostProcess => RuntimeKind::HostProcess,
            Self::Incus(_) => RuntimeKind::Incus,
            Self::Tart(_) => RuntimeKind::Tart,
        }
    }
}

/// A [`Runtime`] without its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuntimeKind {
    /// A plain process.
    HostProcess,
    /// An Incus instance.
    Incus,
    /// A Tart virtual machine.
    Tart,
}

impl RuntimeKind {
    /// Every runtime.
    pub const ALL: [Self; 3] = [Self::HostProcess, Self::Incus, Self::Tart];

    /// Returns the word used in catalogs, plans and records.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HostProcess => "host_process",
            Self::Incus => "incus",
            Self::Tart => "tart",
        }
    }
}

/// An Incus instance: what it is made from and what it may use.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Incus {
    /// The image: an alias or fingerprint the server knows.
    pub image: EngineName,
    /// The Incus project; absent: the server's default project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<EngineName>,
    /// Profiles applied in this order; empty: the project's `default` profile.
    #[serde(default)]
    pub profiles: Vec<EngineName>,
    /// A virtual machine instead of a container; absent: a container.
    #[serde(default, skip_serializing_if = "is_false")]
    pub vm: bool,
    /// A privileged container; the executor's site must allow it too. Absent: unprivileged.
    #[serde(default, skip_serializing_if = "is_false")]
    pub privileged: bool,
    /// The numeric user the job runs as in the guest; absent: the executor's own user id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<u32>,
    /// The numeric group the job runs as in the guest; absent: the executor's own group id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// How many processors the instance may use; absent: what its profiles say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// How much memory it may use, in MiB; absent: what its profiles say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// How many processes it may have; absent: what its profiles say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processes: Option<u32>,
    /// How large its root disk may grow, in MiB; absent: what its profiles say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_mib: Option<u32>,
    /// Which part of an Incus cluster may hold it; absent: wherever the server's scheduler says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<IncusCluster>,
    /// How long it may take until a command runs in it, in seconds; absent: 30, for a virtual
    /// machine 120.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_timeout_secs: Option<u32>,
}

/// A part of an Incus cluster, in the sense of `incus launch --target`.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum IncusCluster {
    /// Any member; the cluster's scheduler chooses.
    Any,
    /// Exactly this member.
    Member(EngineName),
    /// A member of this cluster group.
    Group(EngineName),
}

/// A Tart virtual machine: what it is cloned from and what it may use.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(deny_unknown_fields)]
pub struct Tart {
    /// The image: the name of a local virtual machine or of an OCI image already pulled.
    pub image: EngineName,
    /// How many processors; absent: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<u32>,
    /// How much memory, in MiB; absent: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_mib: Option<u32>,
    /// How large a disk, in GB (it only grows); absent: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_gb: Option<u32>,
    /// How long until the guest agent answers, in seconds; absent: 180.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot_timeout_secs: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The name of an image, project, profile or cluster member, as an engine takes it on its command
/// line: never an option, never two words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, schemars::JsonSchema)]
#[serde(transparent)]
#[schemars(transparent)]
pub struct EngineName(#[schemars(regex(pattern = "^[A-Za-z0-9][A-Za-z0-9._/:@+-]*$"))] Box<str>);

impl EngineName {
    /// Checks `text` and takes it over.
    ///
    /// # Errors
    ///
    /// [`InvalidText`] says which rule is broken.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, InvalidText> {
        let text = text.into();
        let why = if text.is_empty() {
            "it is empty"
        } else if text.len() > 255 {
            "it is longer than 255 characters"
        } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            "the first character must be a letter or a digit"
        } else if !text.chars().all(|c| {
            c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | ':' | '@' | '+' | '-')
        }) {
            "only letters, digits and `. _ / : @ + -` are allowed"
        } else {
            return Ok(Self(text));
        };
        Err(InvalidText::new(&text, "a name of the engine", why))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for EngineName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

impl<'de> Deserialize<'de> for EngineName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::new(text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plain_instance_writes_only_what_it_says() {
        let wire = r#"{"incus":{"image":"pika-ci","project":"pika","profiles":["ci"]}}"#;
        let runtime: Runtime = serde_json::from_str(wire).expect("reads");
        assert_eq!(serde_json::to_string(&runtime).expect("serializes"), wire);
        assert_eq!(
            serde_json::to_string(&Runtime::HostProcess).expect("serializes"),
            "\"host_process\""
        );
    }

    #[test]
    fn an_image_is_never_an_option() {
        for bad in ["", "--privileged", "a b", "a;b", "a\n"] {
            assert!(EngineName::new(bad).is_err(), "{bad:?} was accepted");
        }
        assert!(EngineName::new("registry.example/macos/sequoia:latest").is_ok());
    }
}
