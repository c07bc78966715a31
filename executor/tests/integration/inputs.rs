//! A job sees the files of its inputs and no other, in every placement and runtime.

use plans::{JobInputs, Node, ObjectHash, ObjectId, TreeId, Workspace};

use crate::pairs::{Pair, in_all_pairs};

in_all_pairs! {
    a_job_sees_its_inputs_alone => super::check;
}

/// The repository holds `file.txt`: one job declares it, the other something that is not there.
fn check(pair: &Pair) {
    let world = pair.world();
    let node = |id: &str, glob: &str, tree: ObjectId, workspace| {
        let mut node: Node = pair.node(id, "ls -A");
        node.spec.inputs = Some(JobInputs { paths: vec![glob.to_owned()], exclude: Vec::new() });
        node.inputs_tree = Some(tree);
        node.spec.workspace = workspace;
        node
    };
    let nothing = TreeId::new(ObjectHash::Sha1).finish();
    let nodes = vec![
        node("execute-all", "*.txt", world.tree.clone(), Workspace::ReadOnly),
        node("execute-none", "src/**", nothing, Workspace::Writable),
    ];
    let plan = world.plan(nodes);
    let output = pair.command(&["apply", &plan, "--jobs", "1"]).output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(pair.file("execute-all", "guest.log"), b"file.txt\n", "{said}");
    assert_eq!(pair.file("execute-none", "guest.log"), b"", "{said}");
}
