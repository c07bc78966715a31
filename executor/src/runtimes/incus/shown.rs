//! The calls of `incus` that a node comes down to.

use super::instance::{Disks, Document, LABEL, Labels, options};
use crate::{
    guest_command::in_one_line, runtimes::shown::Calls, supervise::BindMount, supervise::JobRef,
};

/// Returns the calls around a node's job.
#[must_use]
pub(in crate::runtimes) fn calls(node: &plans::Node, spec: &plans::Incus) -> Calls {
    let job = JobRef { run: String::new(), node: node.id.as_str().to_owned(), attempt: 1 };
    let labels = Labels { owner: "", job: &job, until: 0 };
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
    let document = Document::new(spec, &labels, &disks);
    let mut document = serde_json::to_value(document).expect("plain data");
    if let Some(config) = document["config"].as_object_mut() {
        config.retain(|key, _| !key.starts_with(LABEL));
    }
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
