//! The calls of `tart` that a node comes down to.

use super::setup::Shares;
use crate::{guest_command::in_one_line, runtimes::shown::Calls, supervise::BindMount};

/// Returns the calls around a node's job.
#[must_use]
pub(in crate::runtimes) fn calls(node: &plans::Node, spec: &plans::Tart) -> Calls {
    let call = |words: &[&str], more: Vec<String>| {
        let mut all = vec!["tart".to_owned()];
        all.extend(words.iter().map(|&word| word.to_owned()));
        all.extend(more);
        in_one_line(&all)
    };
    let mut before = vec![call(&["clone", spec.image.as_str(), "GUEST"], Vec::new())];
    let settings: Vec<String> =
        [("--cpu", spec.cpu), ("--memory", spec.memory_mib), ("--disk-size", spec.disk_gb)]
            .into_iter()
            .filter_map(|(option, value)| Some([option.to_owned(), value?.to_string()]))
            .flatten()
            .collect();
    if !settings.is_empty() {
        before.push(call(&["set", "GUEST"], settings));
    }
    let shares = Shares {
        workspace: "TREE".to_owned(),
        mounts: node
            .mounts
            .iter()
            .map(|mount| BindMount {
                from: format!("OUTPUT of {}", mount.node),
                to: mount.path.as_str().to_owned(),
            })
            .collect(),
        toolchain: node.spec.mount_host_rust_toolchain.then(|| "TOOLCHAIN".to_owned()),
        xcode: node.spec.mount_host_xcode.as_ref().map(ToString::to_string),
        ..Shares::default()
    };
    // A path that cannot be shared is said when it is known.
    let shares = shares.arguments().unwrap_or_default();
    before.push(call(&["run", "GUEST", "--no-graphics"], shares));
    Calls {
        before,
        after: vec![call(&["stop", "GUEST"], Vec::new()), call(&["delete", "GUEST"], Vec::new())],
    }
}
