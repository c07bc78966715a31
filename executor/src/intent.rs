//! What is about to be made that outlives this process: said before the act, so that whoever reads
//! the journal after a crash can find it, settle it or remove it.

use serde::{Deserialize, Serialize};

use crate::supervise::JobRef;

/// Something that will exist in a moment and would stay when this process dies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Intent {
    /// A supervised job on a machine.
    Supervised(SupervisedIntent),
    /// An Incus instance.
    Instance(InstanceIntent),
    /// A Tart virtual machine.
    VirtualMachine(VirtualMachineIntent),
}

/// A supervised job, by the name every verb of its supervisor takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SupervisedIntent {
    /// The machine's name: `local` or the catalog's host.
    pub machine: String,
    /// Which attempt.
    pub job: JobRef,
    /// Its state directory, on that machine or in that guest.
    pub state_dir: String,
    /// Whether it outlives a power cut of this machine.
    pub remote: bool,
}

/// An Incus instance, by what `incus delete` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceIntent {
    /// The machine whose Incus it is.
    pub machine: String,
    /// The Incus project; absent: the default one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The instance's name.
    pub name: String,
}

/// A Tart virtual machine, by what `tart delete` takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VirtualMachineIntent {
    /// The machine whose Tart it is.
    pub machine: String,
    /// The virtual machine's name.
    pub name: String,
}

impl Intent {
    /// Returns whether the thing is still there after this machine lost its power, so that the
    /// journal must be on the disk before the act.
    #[must_use]
    pub fn outlives_a_power_cut(&self) -> bool {
        match self {
            Self::Supervised(supervised) => supervised.remote,
            Self::Instance(_) | Self::VirtualMachine(_) => true,
        }
    }

    /// Returns the name of the machine it is about.
    #[must_use]
    pub fn machine(&self) -> &str {
        match self {
            Self::Supervised(SupervisedIntent { machine, .. })
            | Self::Instance(InstanceIntent { machine, .. })
            | Self::VirtualMachine(VirtualMachineIntent { machine, .. }) => machine,
        }
    }
}
