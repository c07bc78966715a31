//! What a job spec asks of every runtime: the one place where each of its fields finds its obeyer.

use std::{collections::BTreeMap, time::Duration};

use plans::{AbsolutePath, Cache, Checkout, JobSpec, Runtime, Workspace, WorkspacePath};

use crate::{
    attempt::AttemptRequest,
    fault::{FailureKind, Fault},
    guest_command,
    source::SourceRequest,
    supervise::{BindMount, JobLimits, Keep},
};

/// A node's work, as runtimes want it.
#[derive(Debug, Clone)]
pub struct Work {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// The command as people would type it.
    pub display: String,
    /// Whether the guest's root runs it.
    pub as_root: bool,
    /// Its environment: the spec's own and what every job is given, secrets apart.
    pub env: BTreeMap<String, String>,
    /// Where its source tree comes from, unless [`Work::workspace_from`] says otherwise.
    pub source: SourceRequest,
    /// The directory a host setup left, on the machine, to start from instead.
    pub workspace_from: Option<String>,
    /// Whether it may write into its workspace.
    pub writable: bool,
    /// Where below the workspace it starts.
    pub working_dir: Option<WorkspacePath>,
    /// Outputs of prepare nodes and where they are seen.
    pub mounts: Vec<BindMount>,
    /// Directories that outlive the run, and where it sees them.
    pub caches: Vec<Cache>,
    /// How long it may run.
    pub limits: JobLimits,
    /// What is kept of what it leaves.
    pub keep: Keep,
    /// Whether the guest sees the machine's Rust toolchain.
    pub rust_toolchain: bool,
    /// The machine's Xcode that the guest sees.
    pub xcode: Option<AbsolutePath>,
    /// The engine's settings.
    pub runtime: Runtime,
}

impl Work {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// When an output that the node uses is missing, or is on another machine.
    pub fn of(request: &AttemptRequest, machine: &str) -> Result<Self, Fault> {
        let node = &request.node;
        // No `..`: a new field does not compile until somebody here obeys it.
        let JobSpec {
            description: _,
            // Which machine, and which runtime, was decided before this is called.
            placement: _,
            runtime,
            timeout_secs,
            grace_secs,
            command,
            env,
            // The values come with the request.
            secrets: _,
            workspace,
            working_dir,
            checkout,
            inputs,
            snapshot_profile,
            mount_host_rust_toolchain,
            mount_host_xcode,
            artifacts,
            outputs,
            // The run retries; an attempt is one try.
            retries: _,
            retry_on: _,
            allow_failure: _,
            caches,
            // Whether it runs at all was decided before.
            reuse: _,
            reuse_with_secrets: _,
            key_commands: _,
        } = &node.spec;
        let mut all: BTreeMap<String, String> =
            env.iter().map(|(name, value)| (name.as_str().to_owned(), value.clone())).collect();
        let mut give = |name: &str, value: &str| all.insert(name.to_owned(), value.to_owned());
        for (name, value) in &request.needs {
            give(name.as_str(), value);
        }
        give("CI", "true");
        give("FORGE_LANES_RUN_ID", &request.run);
        give("FORGE_LANES_NODE", node.id.as_str());
        if let Some(head) = &request.source.head {
            give("FORGE_LANES_HEAD", head.as_str());
        }
        let output = |of: &plans::NodeId| match request.outputs.get(of) {
            Some(output) if output.machine == machine => Ok(output.path.clone()),
            Some(output) => Err(Fault::new(
                FailureKind::OutputMissing,
                format!("the output of `{of}` is on `{}`, the job on `{machine}`", output.machine),
            )),
            None => Err(Fault::new(
                FailureKind::OutputMissing,
                format!("the output of `{of}` is not known"),
            )),
        };
        let mounts = node
            .mounts
            .iter()
            .map(|mount| {
                Ok(BindMount { from: output(&mount.node)?, to: mount.path.as_str().to_owned() })
            })
            .collect::<Result<_, Fault>>()?;
        Ok(Self {
            argv: guest_command::argv(command),
            display: guest_command::display(command),
            as_root: matches!(command, plans::Command::Shell { as_root: true, .. }),
            env: all,
            source: SourceRequest {
                source: request.source.clone(),
                checkout: *checkout,
                // A checkout is whole: git would call what is missing deleted.
                profile: snapshot_profile.clone().filter(|_| *checkout == Checkout::Tree),
                inputs: inputs.clone().zip(node.inputs_tree.clone()),
            },
            workspace_from: node.workspace_from.as_ref().map(output).transpose()?,
            writable: *workspace == Workspace::Writable,
            working_dir: working_dir.clone(),
            mounts,
            caches: if request.caches.is_some() { caches.clone() } else { Vec::new() },
            limits: JobLimits {
                timeout: Duration::from_secs(*timeout_secs),
                grace: grace_secs.map_or(request.grace, Duration::from_secs),
                lease: request.lease,
            },
            keep: Keep {
                artifacts: artifacts.clone(),
                outputs: outputs.clone(),
                output: node.output.clone(),
            },
            rust_toolchain: *mount_host_rust_toolchain,
            xcode: mount_host_xcode.clone(),
            runtime: runtime.clone(),
        })
    }
}
