//! The list of the files of a job's part: it is where the job runs, whatever their names are.

use plans::{Node, RepoPath, Shard, Workspace};

use crate::{
    harness::{Ended, World, sh},
    pairs::{Pair, in_all_pairs},
};

in_all_pairs! {
    the_list_of_a_part_is_where_its_job_runs => super::lists;
}

const PATHS: [&[u8]; 4] =
    [b"a.rs", b"tests/a b/\xff.rs", b"tests/it's $HOME `x`.rs", "tests/\u{fc}.rs".as_bytes()];

fn of_part(mut node: Node) -> Node {
    node.member.shard = Some(Shard { index: 2, count: 3 });
    let paths = PATHS.iter().map(|path| RepoPath::new(*path).expect("a path"));
    node.member.files = Some(paths.collect());
    node
}

fn expected() -> Vec<u8> {
    PATHS.iter().flat_map(|path| [*path, b"\n"].concat()).collect()
}

const SHOW: &str = r#"[ "$FORGE_LANES_NODE" != execute-writes ] || { echo x >file.txt; }
cat "$FORGE_LANES_SHARD_FILES""#;

fn lists(pair: &Pair) {
    let mut writes = of_part(pair.node("execute-writes", SHOW));
    writes.spec.workspace = Workspace::Writable;
    let nodes = vec![of_part(pair.node("execute-reads", SHOW)), writes];
    let plan = pair.world().plan(nodes);
    let apply = pair.command(&["apply", &plan]).output().expect("it starts");
    let ended = Ended::of(apply).code(0);
    for id in ["execute-reads", "execute-writes"] {
        assert_eq!(pair.file(id, "guest.log"), expected(), "{id}: {}", ended.err);
    }
}

#[test]
fn a_part_of_many_files_has_all_of_them_and_each_attempt_has_its_list() {
    let world = World::new();
    let paths: Vec<String> =
        (0..100_000).map(|at| format!("tests/case_{at:06}/test_it.py")).collect();
    let script = r#"wc -l <"$FORGE_LANES_SHARD_FILES"; tail -n 1 "$FORGE_LANES_SHARD_FILES"
echo gone >"$FORGE_LANES_SHARD_FILES"; [ -e ../once ]"#;
    let script = script.replace("../once", world.path().join("once").to_str().expect("UTF-8"));
    let script =
        format!("{script} || {{ touch {}; exit 1; }}", world.path().join("once").display());
    let mut node = of_part(sh("execute-many", &script, &[]));
    let all = paths.iter().map(|path| RepoPath::new(path.as_bytes()).expect("a path"));
    node.member.files = Some(all.collect());
    node.spec.retries = 1;
    let plan = world.plan(vec![node]);
    world.run(&["apply", &plan]).code(0);
    let log = world.run(&["logs", "--node", "execute-many"]).code(0).out;
    assert_eq!(log, "100000\ntests/case_099999/test_it.py\n");
    let dry = world.run(&["apply", "--dry-run", &plan]).code(0).out;
    assert!(dry.contains("part    part 2 of 3, 100000 files\n"), "{dry}");
}
