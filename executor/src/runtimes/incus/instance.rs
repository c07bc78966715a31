//! One instance as it is asked for: its name, its labels, what it may use and what it sees.

use std::collections::BTreeMap;

use plans::{Incus, IncusCluster};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    supervise::{BindMount, JobRef},
    text::hex,
};

/// What every label of ours starts with.
pub(super) const LABEL: &str = "user.forge-lanes.";
/// Where the job's state is in a guest: the one directory that it shares with the machine.
pub(super) const STATE: &str = "/forge-lanes/state";
/// The supervisor in the guest, in [`STATE`].
pub(super) const SHIM: &str = "/forge-lanes/state/supervisor.sh";
/// The supervisor's state directory, in [`STATE`].
pub(super) const JOB: &str = "/forge-lanes/state/job";
/// Where the job finds its source tree.
pub(super) const WORKSPACE: &str = "/workspace";
/// Where it finds the same tree with a layer of its own over it.
pub(super) const SCRATCH: &str = "/forge-lanes/scratch";
/// Where the guest sees the list of its part's files.
pub(super) const SHARD: &str = "/forge-lanes/shard";
/// Where the guest sees the machine's Rust toolchain.
pub(super) const TOOLCHAIN: &str = "/forge-lanes/toolchain";

/// Returns the name of an attempt's instance: the same whenever it is asked, another one for
/// every attempt of every executor.
pub(super) fn name(owner: &str, job: &JobRef) -> String {
    let mut hash = Sha256::new();
    hash.update(owner);
    hash.update([0]);
    hash.update(job.to_string());
    // At most 63 characters, letters, digits and hyphens.
    let node: String = job
        .node
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(40)
        .collect();
    format!("fl-{}-{}", hex(&hash.finalize()[..6]), node.trim_matches('-'))
}

/// What `incus launch` reads.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    config: BTreeMap<String, String>,
    devices: BTreeMap<String, BTreeMap<String, String>>,
}

/// What an instance sees of its machine.
#[derive(Debug, Default)]
pub(super) struct Disks {
    /// The state directory.
    pub(super) state: Option<String>,
    /// The workspace, and whether it may be written to.
    pub(super) workspace: Option<(String, bool)>,
    /// What prepare nodes left.
    pub(super) mounts: Vec<BindMount>,
    /// The machine's Rust toolchain.
    pub(super) toolchain: Option<String>,
}

/// Whose an instance is, and until when somebody may want it.
pub(super) struct Labels<'a> {
    pub(super) owner: &'a str,
    pub(super) job: &'a JobRef,
    /// Seconds since the epoch at which its lease expires.
    pub(super) until: u64,
}

impl Labels<'_> {
    /// Returns them as options of `incus launch`. Not in the document: a client whose executor is killed, or whose
    /// connection is lost, before it has read that takes none for an empty one, and makes an instance all the same.
    pub(super) fn options(&self) -> Vec<String> {
        let Self { owner, job, until } = self;
        let all = [
            ("owner", (*owner).to_owned()),
            ("run", job.run.clone()),
            ("node", job.node.clone()),
            ("attempt", job.attempt.to_string()),
            ("lease", until.to_string()),
        ];
        let option = |(name, value)| ["--config".to_owned(), format!("{LABEL}{name}={value}")];
        all.into_iter().flat_map(option).collect()
    }
}

impl Document {
    pub(super) fn new(spec: &Incus, disks: &Disks) -> Self {
        let mut config = BTreeMap::new();
        let mut set = |key: &str, value: String| config.insert(key.to_owned(), value);
        // After a crash of the machine it must not come back, empty.
        set("boot.autostart", "false".to_owned());
        if let Some(cpu) = spec.cpu {
            set("limits.cpu", cpu.to_string());
        }
        if let Some(memory) = spec.memory_mib {
            set("limits.memory", format!("{memory}MiB"));
            if !spec.vm {
                set("limits.memory.swap", "false".to_owned());
            }
        }
        if let Some(processes) = spec.processes {
            set("limits.processes", processes.to_string());
        }
        if !spec.vm {
            set("security.privileged", spec.privileged.to_string());
        }

        let mut devices = BTreeMap::new();
        let mut disk = |name: &str, source: &str, path: &str, writable: bool| {
            let mut device = BTreeMap::new();
            let mut set = |key: &str, value: &str| device.insert(key.to_owned(), value.to_owned());
            set("type", "disk");
            set("source", source);
            set("path", path);
            if !writable {
                set("readonly", "true");
            }
            // The store is everybody's to read; all else keeps its owners in the guest.
            if !spec.vm && !spec.privileged && !source.starts_with("/nix/store/") {
                set("shift", "true");
            }
            devices.insert(name.to_owned(), device);
        };
        if let Some(state) = &disks.state {
            disk("forge-lanes-state", state, STATE, true);
        }
        if let Some((workspace, writable)) = &disks.workspace {
            disk("forge-lanes-workspace", workspace, WORKSPACE, *writable);
        }
        for (number, mount) in disks.mounts.iter().enumerate() {
            disk(&format!("forge-lanes-mount-{number}"), &mount.from, &mount.to, false);
        }
        if let Some(toolchain) = &disks.toolchain {
            disk("forge-lanes-toolchain", toolchain, TOOLCHAIN, false);
        }
        Self { config, devices }
    }

    /// Returns it as text; JSON is YAML.
    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("plain data")
    }
}

/// Returns the options of `incus launch` that no document can hold.
pub(super) fn options(spec: &Incus) -> Vec<String> {
    let mut options = Vec::new();
    for profile in &spec.profiles {
        options.extend(["--profile".to_owned(), profile.to_string()]);
    }
    if spec.vm {
        options.push("--vm".to_owned());
    }
    if let Some(size) = spec.disk_mib {
        options.extend(["--device".to_owned(), format!("root,size={size}MiB")]);
    }
    match &spec.cluster {
        None | Some(IncusCluster::Any) => {}
        Some(IncusCluster::Member(member)) => {
            options.extend(["--target".to_owned(), member.to_string()]);
        }
        Some(IncusCluster::Group(group)) => {
            options.extend(["--target".to_owned(), format!("@{group}")]);
        }
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_the_engine_takes_and_nobody_elses() {
        let job =
            |node: &str, attempt| JobRef { run: "r".to_owned(), node: node.to_owned(), attempt };
        let long = "execute-".to_owned() + &"x".repeat(100);
        let all = [
            name("a", &job("execute-x", 1)),
            name("a", &job("execute-x", 2)),
            name("b", &job("execute-x", 1)),
            name("a", &job(&long, 1)),
            name("a", &job("execute.x_y", 1)),
        ];
        for (at, name) in all.iter().enumerate() {
            assert!(name.len() <= 63 && name.starts_with("fl-") && !name.ends_with('-'), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{name}");
            assert!(!all[..at].contains(name), "{name}");
        }
    }
}
