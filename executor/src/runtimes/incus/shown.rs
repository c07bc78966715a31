//! The calls of `incus` that a node comes down to.

use super::instance::{Disks, Document, options};
use crate::{guest_command::in_one_line, runtimes::shown::Calls, supervise::BindMount};

/// Returns the calls around a node's job.
#[must_use]
pub(in crate::runtimes) fn calls(node: &plans::Node, spec: &plans::Incus) -> Calls {
    let writable = node.spec.workspace == plans::Workspace::Writable;
    let output = |mount: &plans::Mount| BindMount {
        from: format!("OUTPUT of {}", mount.node),
        to: mount.path.as_str().to_owned(),
    };
    let disks = Disks {
        state: Some("STATE".to_owned()),
        workspace: Some(("TREE".to_owned(), writable)),
        mounts: node.mounts.iter().map(output).collect(),
        toolchain: node.spec.mount_host_rust_toolchain.then(|| "TOOLCHAIN".to_owned()),
    };
    let document = Document::new(spec, &disks).text();
    let call = |words: &[&str], more: Vec<String>| {
        let mut all = vec!["incus".to_owned(), words[0].to_owned()];
        if let Some(project) = &spec.project {
            all.extend(["--project".to_owned(), project.to_string()]);
        }
        all.extend(words[1..].iter().map(|&word| word.to_owned()));
        all.extend(more);
        in_one_line(&all)
    };
    let mut launch = options(spec);
    launch.extend([spec.image.to_string(), "INSTANCE".to_owned()]);
    Calls {
        before: vec![format!("{} < {document}", call(&["launch", "--quiet"], launch))],
        after: vec![call(&["delete", "--force", "INSTANCE"], Vec::new())],
    }
}
