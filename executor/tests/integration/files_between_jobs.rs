//! Files of one job in the workspace of another: what arrives, where, and what is said when it does not.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
};

use plans::{FilesFrom, Node, RunIf, Workspace, WorkspacePath};
use serde_json::{Value, json};

use crate::{
    harness::{Ended, World, kill, node_id, outcomes, sh, until},
    pairs::{Pair, in_all_pairs},
};

in_all_pairs! {
    what_a_job_left_is_in_the_workspace_of_who_takes_it => super::arrives;
    a_glob_that_brings_nothing_ends_the_one_who_takes_it => super::nothing;
    files_are_laid_into_directories_of_the_tree_and_through_no_link => super::merges;
}

/// Lets a node take files of another.
fn takes(mut node: Node, of: &str, files: &[&str], at: &str) -> Node {
    node.depends_on.insert(node_id(of));
    let files = files.iter().map(|&it| it.to_owned()).collect();
    let at = WorkspacePath::new(at).expect("well formed");
    node.takes.files.push(FilesFrom { node: node_id(of), files, at });
    node
}

fn leaves(mut node: Node, artifacts: &[&str]) -> Node {
    node.spec.artifacts = artifacts.iter().map(|&it| it.to_owned()).collect();
    node
}

fn writable(mut node: Node) -> Node {
    node.spec.workspace = Workspace::Writable;
    node
}

fn node_of(record: &Value, id: &str) -> Value {
    let nodes = record["nodes"].as_array().expect("nodes");
    nodes.iter().find(|node| node["id"] == id).expect("there").clone()
}

fn apply(pair: &Pair, nodes: Vec<Node>) -> Ended {
    let plan = pair.world().plan(nodes);
    let apply = pair.command(&["apply", &plan, "--output", "jsonl"]).output();
    Ended::of(apply.expect("it starts"))
}

/// Leaves files of every kind: executable, not readable for others, with a name that is no UTF-8, by a link.
const BUILD: &str = r#"
    umask 022
    mkdir -p "$ARTIFACTS_DIR/dist/sub dir" && cd "$ARTIFACTS_DIR/dist" || exit 1
    printf app >app; chmod 755 app; printf key >key; chmod 600 key
    ln -s app link
    printf raw >"$(printf 'sub dir/\377')"; printf no >../log
"#;

/// Prints the mode, size and content of each file.
const SHOW: &str = r#"
    show() { for file in "$@"; do
        [ -f "$file" ] && [ ! -L "$file" ] || { echo "no file: $file"; exit 1; }
        mode=$(ls -ln "$file"); printf '%s ' "${mode%% *}"; cat "$file"; echo
    done; }
    show vendor/dist/app vendor/dist/key vendor/dist/link "$(printf 'vendor/dist/sub dir/\377')" file.txt
    [ ! -e vendor/log ] && [ ! -e vendor/dist/log ] && [ ! -e vendor/dist/dist ] || exit 1
"#;

const SHOWN: &str =
    "-rwxr-xr-x app\n-rw-r--r-- key\n-rwxr-xr-x app\n-rw-r--r-- raw\n-rw-r--r-- content\n\n";

fn arrives(pair: &Pair) {
    let build = leaves(pair.node("execute-build", BUILD), &["dist/**", "log"]);
    let read =
        format!("{SHOW}\n! {{ echo x >vendor/dist/app; }} 2>/dev/null || [ \"$(id -u)\" = 0 ]");
    let read =
        takes(pair.node("execute-read", &read), "execute-build", &["dist/**"], "vendor/dist");
    let write =
        format!("{SHOW}\nrm vendor/dist/app && echo mine >vendor/dist/key && [ -w vendor/dist ]");
    let write =
        takes(pair.node("execute-write", &write), "execute-build", &["dist/**"], "vendor/dist");
    let ended = apply(pair, vec![build, read, writable(write)]).code(0);
    for id in ["execute-read", "execute-write"] {
        assert_eq!(String::from_utf8_lossy(&pair.file(id, "guest.log")), SHOWN, "{id}");
    }
    // What a job does to its copy is nobody else's.
    assert_eq!(pair.file("execute-build", "artifacts/dist/key"), b"key");
    let expected =
        json!([{ "node": "execute-build", "at": "vendor/dist", "files": 4, "bytes": 12 }]);
    let record = pair.world().record();
    assert_eq!(record["format_version"], "1.1");
    assert_eq!(node_of(&record, "execute-read")["files_from"], expected);
    let finished = ended
        .events()
        .into_iter()
        .find(|event| event["event"] == "node_finished" && event["node"] == "execute-read");
    assert_eq!(finished.expect("told")["files_from"], expected);
    let log = pair.file("execute-write", "host.log");
    let log = String::from_utf8_lossy(&log);
    assert!(log.contains("given: 4 files (12 B) of execute-build, at vendor/dist"), "{log}");
}

fn nothing(pair: &Pair) {
    let build = leaves(pair.node("execute-build", BUILD), &["dist/**"]);
    let mut test = pair.node("execute-test", "echo started");
    test = takes(test, "execute-build", &["dist/app", "dist/*.css"], "vendor");
    test.spec.retries = 2;
    let after =
        Node { depends_on: [node_id("execute-test")].into(), ..pair.node("execute-after", "true") };
    let ended = apply(pair, vec![build, test, after]).code(1);
    let because = "`execute-build` left no file that matches `dist/*.css`";
    let record = pair.world().record();
    let test = node_of(&record, "execute-test");
    assert_eq!((&test["outcome"], &test["because"]), (&json!("failed"), &json!(because)));
    assert_eq!((&test["attempts"], &test["failure_kind"]), (&json!(1), &Value::Null));
    assert_eq!(pair.file("execute-test", "guest.log"), b"");
    assert_eq!(node_of(&record, "execute-after")["because"], "`execute-test` failed");
    let finished = ended
        .events()
        .into_iter()
        .find(|event| event["event"] == "node_finished" && event["node"] == "execute-test");
    assert_eq!(finished.expect("told")["because"], because);
}

fn merges(pair: &Pair) {
    // A prepare node of this machine's kind could leave such a tree as well; here it is the source tree itself.
    let build = leaves(
        pair.node(
            "execute-build",
            "mkdir -p \"$ARTIFACTS_DIR/out/sub\" && cd \"$ARTIFACTS_DIR/out\" && echo new >file.txt && echo more >sub/more",
        ),
        &["out/**"],
    );
    let script = "cat file.txt sub/more; git hash-object file.txt >/dev/null 2>&1 || true";
    // The root of the tree cannot be named: its file is replaced by way of a job whose tree has directories.
    let plain = takes(
        pair.node("execute-plain", &format!("cd at && {script}")),
        "execute-build",
        &["out/**"],
        "at",
    );
    let blocked = takes(
        pair.node("execute-blocked", "echo started"),
        "execute-build",
        &["out/**"],
        "file.txt/sub",
    );
    apply(pair, vec![build, plain, blocked]).code(1);
    assert_eq!(pair.file("execute-plain", "guest.log"), b"new\nmore\n");
    let record = pair.world().record();
    let blocked = node_of(&record, "execute-blocked");
    assert_eq!(blocked["outcome"], "failed");
    assert_eq!(
        blocked["because"],
        "files of `execute-build` have no place: something else is at `file.txt` of the tree"
    );
    assert_eq!(pair.file("execute-blocked", "guest.log"), b"");
}

/// A world whose tree has `vendor/old`, `vendor/lib/a`, `elsewhere/x` and the link `door` to `elsewhere`.
fn with_directories() -> World {
    let mut world = World::new();
    for directory in ["vendor/lib", "elsewhere"] {
        fs::create_dir_all(world.repo().join(directory)).expect("made");
    }
    symlink("elsewhere", world.repo().join("door")).expect("a link");
    symlink("old", world.repo().join("vendor/link")).expect("a link");
    world.commit(&[("vendor/old", "old"), ("vendor/lib/a", "tracked"), ("elsewhere/x", "x")]);
    world
}

fn leaves_lib() -> Node {
    leaves(
        sh(
            "execute-build",
            "mkdir -p $ARTIFACTS_DIR/d/lib && cd $ARTIFACTS_DIR/d && echo a >lib/a && echo b >lib/b && echo c >link",
            &[],
        ),
        &["d/**"],
    )
}

#[test]
fn files_replace_those_of_the_tree_and_the_tree_itself_stays_as_it_is() {
    let world = with_directories();
    let script = "cat vendor/old vendor/lib/a vendor/lib/b vendor/link && [ ! -L vendor/link ]";
    let test = || takes(sh("execute-test", script, &[]), "execute-build", &["d/**"], "vendor");
    let write = Node { id: node_id("execute-write"), ..writable(test()) };
    let plain =
        sh("execute-plain", "cat vendor/lib/a vendor/link", &["execute-test", "execute-write"]);
    world.run(&["apply", &world.plan(vec![leaves_lib(), test(), write, plain])]).code(0);
    let log =
        |id: &str| fs::read_to_string(world.runs()[0].join("nodes").join(id).join("guest.log"));
    assert_eq!(log("execute-test").expect("a log"), "olda\nb\nc\n");
    assert_eq!(log("execute-write").expect("a log"), "olda\nb\nc\n");
    assert_eq!(log("execute-plain").expect("a log"), "trackedold");
    let warning = "2 files of the tree below `vendor` gave way to those of `execute-build`";
    assert_eq!(node_of(&world.record(), "execute-test")["warnings"], json!([warning]));
}

#[test]
fn files_are_put_through_no_link_of_the_tree_and_over_no_directory() {
    let world = with_directories();
    let build = leaves(
        sh(
            "execute-build",
            "mkdir -p $ARTIFACTS_DIR/d/old && cd $ARTIFACTS_DIR/d && echo a >lib && echo b >old/b",
            &[],
        ),
        &["d/**"],
    );
    let at =
        |id: &str, files: &str, at: &str| takes(sh(id, "true", &[]), "execute-build", &[files], at);
    let nodes = vec![
        build,
        at("execute-door", "d/**", "door"),
        at("execute-below", "d/**", "door/below"),
        at("execute-file", "d/lib", "vendor"),
        at("execute-directory", "d/old/*", "vendor/old"),
        at("execute-both", "d/**", "vendor"),
    ];
    world.run(&["apply", &world.plan(nodes)]).code(1);
    let record = world.record();
    for (id, path) in [
        ("execute-door", "door"),
        ("execute-below", "door"),
        ("execute-file", "vendor/lib"),
        ("execute-directory", "vendor/old"),
        ("execute-both", "vendor/old"),
    ] {
        let node = node_of(&record, id);
        let because = format!(
            "files of `execute-build` have no place: something else is at `{path}` of the tree"
        );
        assert_eq!(
            (&node["outcome"], &node["because"]),
            (&json!("failed"), &json!(because)),
            "{id}"
        );
    }
}

#[test]
fn a_job_that_runs_in_any_case_takes_what_a_failed_one_left() {
    let world = World::new();
    let build = leaves(sh("execute-build", "echo why >$ARTIFACTS_DIR/log; exit 1", &[]), &["log"]);
    let mut upload =
        takes(sh("execute-upload", "cat got/log", &[]), "execute-build", &["log"], "got");
    upload.run_if = RunIf::Always;
    world.run(&["apply", &world.plan(vec![build, upload])]).code(1);
    assert_eq!(node_of(&world.record(), "execute-upload")["outcome"], "passed");
}

#[test]
fn the_files_of_the_last_attempt_alone_are_taken_and_each_attempt_gets_them_again() {
    let world = World::new();
    let once = |name: &str, first: &str, then: &str| {
        let mark = world.path().join("tmp").join(name);
        format!("if [ -e {0} ]; then {then}; else : >{0}; {first}; exit 1; fi", mark.display())
    };
    let mut build = leaves(
        sh(
            "execute-build",
            &once("build", "echo 1 >$ARTIFACTS_DIR/a", "echo 2 >$ARTIFACTS_DIR/b"),
            &[],
        ),
        &["a", "b"],
    );
    build.spec.retries = 1;
    let script = once("test", "rm -r got", "[ \"$(ls got)\" = b ] && cat got/b");
    let mut test =
        writable(takes(sh("execute-test", &script, &[]), "execute-build", &["*"], "got"));
    test.spec.retries = 1;
    world.run(&["apply", &world.plan(vec![build, test])]).code(0);
    let test = node_of(&world.record(), "execute-test");
    assert_eq!((&test["attempts"], &test["files_from"][0]["files"]), (&json!(2), &json!(1)));
}

#[test]
fn files_that_were_changed_since_they_were_kept_are_no_jobs_failure() {
    let world = World::new();
    let build = leaves(sh("execute-build", "echo right >$ARTIFACTS_DIR/a", &[]), &["a"]);
    // What comes between tampers with the store of this machine.
    let runs = world.state_dir().join("runs");
    let tamper = format!(
        "for a in {}/*/nodes/execute-build/artifacts/a; do echo wrong >$a; done",
        runs.display()
    );
    let tamper = sh("execute-tamper", &tamper, &["execute-build"]);
    let mut test = takes(sh("execute-test", "true", &[]), "execute-build", &["a"], "got");
    test.depends_on.insert(node_id("execute-tamper"));
    let plan = world.plan(vec![build, tamper, test]);
    world.run(&["apply", &plan]).code(3);
    let test = node_of(&world.record(), "execute-test");
    assert_eq!(test["outcome"], "infra_failed");
    assert!(test["attempts"].as_u64() > Some(1), "{test}");
    assert_eq!(test["failure_kind"], "output_missing");
    let message = "artifact `a` of `execute-build` is not what it was when it was kept";
    assert_eq!(test["message"], message);
}

#[test]
fn a_run_that_is_resumed_gives_the_files_of_what_had_passed() {
    let world = World::new();
    let go = world.path().join("tmp/go");
    let wait = format!("until [ -e {} ]; do sleep 0.02; done", go.display());
    let build = leaves(sh("execute-build", "echo 7 >$ARTIFACTS_DIR/a", &[]), &["a"]);
    let slow = sh("execute-slow", &wait, &["execute-build"]);
    let script = format!("{wait}; [ \"$(cat got/a)\" = 7 ]");
    let mut late = takes(sh("execute-late", &script, &[]), "execute-build", &["a"], "got");
    late.depends_on.insert(node_id("execute-slow"));
    let test = takes(sh("execute-test", &script, &[]), "execute-build", &["a"], "got");
    let plan = world.plan(vec![build, slow, late, test]);
    let child = world.start(&["apply", &plan]);
    let journal = || {
        let run = world.runs().pop()?;
        fs::read_to_string(run.join("journal.jsonl")).ok()
    };
    until(|| journal().is_some_and(|text| text.matches("supervised").count() >= 3));
    kill(child);
    fs::write(&go, "").expect("written");
    world.run(&["resume", "latest"]).code(0);
    let record = world.record();
    assert!(outcomes(&record).values().all(|outcome| outcome == "passed"), "{record}");
    for id in ["execute-late", "execute-test"] {
        assert_eq!(node_of(&record, id)["files_from"][0]["files"], 1, "{id}");
    }
    let left: Vec<_> = ["execute-late", "execute-test"]
        .iter()
        .filter(|id| world.runs()[0].join("nodes").join(id).join("attempt-1").exists())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_node_that_is_asked_for_alone_or_again_brings_the_nodes_whose_files_it_takes() {
    let world = World::new();
    let build = leaves(sh("execute-build", "echo 7 >$ARTIFACTS_DIR/a", &[]), &["a"]);
    let script = format!("cat got/a; [ -e {} ]", world.path().join("tmp/go").display());
    let test = takes(sh("execute-test", &script, &[]), "execute-build", &["a"], "got");
    let plan = world.plan(vec![build, test]);
    world.run(&["apply", &plan, "--only", "execute-test"]).code(1);
    fs::write(world.path().join("tmp/go"), "").expect("written");
    world.run(&["rerun", "latest", "--failed"]).code(0);
}

#[test]
fn a_workspace_that_a_host_setup_left_is_given_files_as_well() {
    let world = World::new();
    let mut setup = sh("prepare-setup", "mkdir lib && echo built >lib/built", &[]);
    setup.spec.workspace = Workspace::Writable;
    setup.output = Some(plans::Output::Workspace);
    let build = leaves(sh("execute-build", "echo 7 >$ARTIFACTS_DIR/a", &[]), &["a"]);
    let test = |id: &str| {
        let mut test = takes(
            sh(id, "cat lib/built lib/a", &["prepare-setup"]),
            "execute-build",
            &["a"],
            "lib",
        );
        test.workspace_from = Some(node_id("prepare-setup"));
        test
    };
    let nodes = vec![setup, build, test("execute-one"), writable(test("execute-two"))];
    world.run(&["apply", &world.plan(nodes)]).code(0);
    for id in ["execute-one", "execute-two"] {
        let log = fs::read(world.runs()[0].join("nodes").join(id).join("guest.log"));
        assert_eq!(log.expect("a log"), b"built\n7\n", "{id}");
    }
}

#[test]
fn artifacts_that_are_not_readable_for_others_stay_so_where_they_are_kept() {
    let world = World::new();
    let build = leaves(
        sh("execute-build", "echo 7 >$ARTIFACTS_DIR/a; chmod 600 $ARTIFACTS_DIR/a", &[]),
        &["a"],
    );
    let test = takes(sh("execute-test", "cat got/a", &[]), "execute-build", &["a"], "got");
    world.run(&["apply", &world.plan(vec![build, test])]).code(0);
    let kept = world.runs()[0].join("nodes/execute-build/artifacts/a");
    assert_eq!(fs::metadata(kept).expect("there").permissions().mode() & 0o777, 0o600);
}
