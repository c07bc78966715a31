//! The one place where tests and examples make a node.

use std::collections::BTreeSet;

use plans::{Checkout, Command, JobSpec, Node, NodeId, NodeKind, Placement, Runtime, Workspace};

/// A node that runs a command on this machine, in a tree it cannot write to.
pub(crate) fn node(id: &str, command: Command) -> Node {
    let kind = if id.starts_with("prepare-") { NodeKind::Prepare } else { NodeKind::Execute };
    Node {
        id: NodeId::new(id).expect("well formed"),
        kind,
        depends_on: plans::SortedSet::default(),
        concurrency_groups: plans::SortedSet::default(),
        spec: JobSpec {
            description: id.to_owned(),
            placement: Placement::Local,
            runtime: Runtime::HostProcess,
            timeout_secs: 60,
            grace_secs: None,
            command,
            env: plans::SortedMap::default(),
            secrets: BTreeSet::new(),
            workspace: Workspace::ReadOnly,
            working_dir: None,
            checkout: Checkout::Tree,
            inputs: None,
            snapshot_profile: None,
            mount_host_rust_toolchain: false,
            mount_host_xcode: None,
            artifacts: Vec::new(),
            outputs: BTreeSet::new(),
            retries: 0,
            retry_on: None,
            allow_failure: None,
            caches: Vec::new(),
            reuse: plans::Reuse::Never,
            reuse_with_secrets: false,
            key_commands: Vec::new(),
        },
        key: None,
        inputs_tree: None,
        cache_keys: plans::SortedMap::default(),
        mounts: Vec::new(),
        member: plans::Member::default(),
        run_if: plans::RunIf::Passed,
        workspace_from: None,
        takes: plans::Taken::default(),
        output: None,
    }
}
