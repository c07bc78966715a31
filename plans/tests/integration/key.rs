//! What is part of a node's key, and what is not.

use crate::sample::{node, parts};
use plans::{
    AbsolutePath, AllowFailure, Cache, CacheName, CachePath, CacheSave, Checkout, Command, EnvName,
    GroupName, Incus, Key, Member, Node, ObjectId, Output, OutputName, Placement, Plan, RepoPath,
    Reuse, RunIf, Runtime, Seen, Shard, SshDestination, SshHost, Tart, Workspace, WorkspacePath,
};
use std::convert::Infallible;

fn seen(tree: &str, commit: Option<&str>) -> Seen {
    let id = |digit: &str| ObjectId::new(digit.repeat(40)).expect("hexadecimal");
    Seen { tree: id(tree), commit: commit.map(id) }
}

/// The sample's nodes, one of them changed.
fn plan(change: impl FnOnce(&mut Node)) -> Plan {
    let mut parts = parts();
    change(parts.nodes.iter_mut().find(|it| it.id.as_str() == "execute-test").expect("it is"));
    Plan::new(parts).expect("the parts fit")
}

fn keys_of(plan: &Plan, seen: &Seen) -> Vec<Key> {
    let keys = plan.keys(|_| Ok::<_, Infallible>(Some(seen.clone()))).expect("no error");
    keys.into_iter().map(|key| key.expect("every node has one")).collect()
}

fn key(change: impl FnOnce(&mut Node)) -> Key {
    keys_of(&plan(change), &seen("c", None)).pop().expect("the execute node is the last")
}

/// A part with one file.
fn part(path: &str) -> Member {
    let files = Some(vec![RepoPath::new(path.as_bytes()).expect("a path")]);
    Member { shard: Some(Shard { index: 1, count: 2 }), files, ..Member::default() }
}

fn env(name: &str) -> EnvName {
    EnvName::new(name).expect("a name")
}

fn host(name: &str, ssh: &str) -> Placement {
    Placement::RemoteSsh(SshHost {
        host: plans::HostName::new(name).expect("a name"),
        ssh: SshDestination::new(ssh).expect("a destination"),
        work_dir: AbsolutePath::new("/work").expect("absolute"),
        max_jobs: 2,
    })
}

fn incus(text: &str) -> Runtime {
    Runtime::Incus(serde_json::from_str::<Incus>(text).expect("reads"))
}

#[test]
fn whatever_may_change_a_result_changes_the_key() {
    type Change = Box<dyn FnOnce(&mut Node)>;
    let changes: Vec<(&str, Change)> = vec![
        ("a word", Box::new(|it| it.spec.command = Command::Argv(vec!["echo".into()]))),
        (
            "no shell",
            Box::new(|it| {
                it.spec.command = Command::Shell { script: "echo hello".into(), as_root: false };
            }),
        ),
        ("a variable", Box::new(|it| drop(it.spec.env.insert(env("A"), "1".into())))),
        ("its value", Box::new(|it| drop(it.spec.env.insert(env("A"), "2".into())))),
        (
            "a secret",
            Box::new(|it| {
                let _ = it.spec.secrets.insert(env("A"));
            }),
        ),
        ("the host", Box::new(|it| it.spec.placement = host("build", "build"))),
        ("another host", Box::new(|it| it.spec.placement = host("build2", "build"))),
        ("a guest", Box::new(|it| it.spec.runtime = incus(r#"{"image":"a"}"#))),
        ("its image", Box::new(|it| it.spec.runtime = incus(r#"{"image":"b"}"#))),
        ("its user", Box::new(|it| it.spec.runtime = incus(r#"{"image":"a","user":7}"#))),
        (
            "its memory",
            Box::new(|it| {
                it.spec.runtime = incus(r#"{"image":"a","memory_mib":512}"#);
            }),
        ),
        (
            "a Mac",
            Box::new(|it| {
                let tart: Tart = serde_json::from_str(r#"{"image":"a"}"#).expect("reads");
                it.spec.runtime = Runtime::Tart(tart);
                it.spec.mount_host_xcode = AbsolutePath::new("/Applications/Xcode.app").ok();
            }),
        ),
        ("the workspace", Box::new(|it| it.spec.workspace = Workspace::Writable)),
        ("a directory", Box::new(|it| it.spec.working_dir = WorkspacePath::new("a").ok())),
        ("the checkout", Box::new(|it| it.spec.checkout = Checkout::Clone)),
        ("artifacts", Box::new(|it| it.spec.artifacts = vec!["out/*".into()])),
        (
            "outputs",
            Box::new(|it| {
                it.spec.outputs.insert(OutputName::new("a").expect("a name"));
            }),
        ),
        ("tools", Box::new(|it| it.spec.key_commands = vec![vec!["rustc".into(), "-Vv".into()]])),
        ("the matrix", Box::new(|it| drop(it.member.matrix.insert("a".into(), "b".into())))),
        ("the shard", Box::new(|it| it.member.shard = Some(Shard { index: 1, count: 2 }))),
        ("another shard", Box::new(|it| it.member.shard = Some(Shard { index: 2, count: 2 }))),
        ("the shard's files", Box::new(|it| it.member = part("a.rs"))),
        ("other files", Box::new(|it| it.member = part("b.rs"))),
        ("no mount", Box::new(|it| it.mounts.clear())),
        (
            "its place",
            Box::new(|it| {
                it.mounts[0].path = AbsolutePath::new("/elsewhere").expect("absolute");
            }),
        ),
    ];
    let mut known = vec![("nothing", key(|_| {}))];
    for (what, change) in changes {
        let key = key(change);
        let same = known.iter().find(|(_, other)| *other == key);
        assert!(same.is_none(), "{what} has the key of {:?}", same.expect("found").0);
        known.push((what, key));
    }
    let of = |seen: &Seen| keys_of(&plan(|_| {}), seen).pop().expect("two nodes");
    assert_ne!(of(&seen("c", None)), of(&seen("d", None)), "another tree");
    assert_ne!(of(&seen("c", None)), of(&seen("c", Some("e"))), "another history");
}

#[test]
fn a_job_that_sees_the_copy_of_its_host_setup_has_that_ones_tree_in_its_key() {
    let mut parts = parts();
    let setup = parts.nodes.iter_mut().find(|it| it.output.is_some()).expect("one prepares");
    setup.output = Some(Output::Workspace);
    let setup = setup.id.clone();
    let job = parts.nodes.iter_mut().find(|it| it.id.as_str() == "execute-test").expect("it is");
    job.mounts.clear();
    job.workspace_from = Some(setup.clone());
    let plan = Plan::new(parts).expect("fits");
    let keys = |of_setup: &str, of_job: &str| {
        let seen = |node: &Node| seen(if node.id == setup { of_setup } else { of_job }, None);
        let keys = plan.keys(|node| Ok::<_, Infallible>(Some(seen(node)))).expect("no error");
        keys.last().cloned().flatten().expect("the execute node is the last")
    };
    assert_eq!(keys("c", "c"), keys("c", "d"));
    assert_ne!(keys("c", "c"), keys("d", "c"));
}

#[test]
fn what_a_node_uses_is_part_of_its_key() {
    let mut parts = parts();
    let prepare = parts.nodes.iter_mut().find(|it| it.output.is_some()).expect("one prepares");
    prepare.spec.env.insert(env("A"), "1".into());
    prepare.spec.timeout_secs += 1;
    let changed = keys_of(&Plan::new(parts).expect("fits"), &seen("c", None));
    let before = keys_of(&plan(|_| {}), &seen("c", None));
    assert!(changed.iter().zip(&before).all(|(a, b)| a != b));
}

#[test]
fn nothing_else_changes_it() {
    let plain = key(|_| {});
    type Change = fn(&mut Node);
    let changes: [(&str, Change); 10] = [
        ("what it is for", |it| it.spec.description = "else".into()),
        ("its time", |it| it.spec.timeout_secs = 7),
        ("its grace", |it| it.spec.grace_secs = Some(7)),
        ("its retries", |it| it.spec.retries = 3),
        ("failures that do not count", |it| it.spec.allow_failure = Some(AllowFailure::ANY)),
        ("reuse", |it| it.spec.reuse = Reuse::Passed),
        ("caches", |it| {
            let cache = Cache {
                name: CacheName::new("c").expect("a name"),
                path: CachePath::new("target".into()).expect("a path"),
                key: vec!["lock".into()],
                fallback: true,
                max_mib: Some(1),
                save: CacheSave::Always,
                exclusive: true,
            };
            it.cache_keys.insert(cache.name.clone(), Key::of(b"lock"));
            it.spec.caches.push(cache);
        }),
        ("groups", |it| {
            it.concurrency_groups.insert(GroupName::new("g").expect("a name"));
        }),
        ("when it runs", |it| it.run_if = RunIf::Always),
        ("the name of the group", |it| it.member.group = plans::JobId::new("unit").ok()),
    ];
    for (what, change) in changes {
        assert_eq!(key(change), plain, "{what}");
    }
    let with_time = |secs: u32| {
        key(|it| it.spec.runtime = incus(&format!(r#"{{"image":"a","boot_timeout_secs":{secs}}}"#)))
    };
    assert_eq!(with_time(30), with_time(60), "how long a guest may boot");
    let ssh = |ssh: &str| key(|it| it.spec.placement = host("build", ssh));
    assert_eq!(ssh("ci@10.0.0.5"), ssh("build"), "how a host is reached");
}

#[test]
fn a_key_is_the_same_for_every_release_that_reads_the_plan() {
    // Another value here means that every kept result is lost: raise `format` only with a reason.
    let keys = keys_of(&plan(|_| {}), &seen("c", None));
    let keys: Vec<&str> = keys.iter().map(Key::as_str).collect();
    insta::assert_snapshot!(keys.join("\n"), @r"
    sha256:e02f14c1402425e90a36f57fbae1c4877b0f1462a69ee29c72c9bc275243e6b4
    sha256:dfd06990486e6e69195efe68085e80d4d929e33f098682b6ae2acec407ab540e
    ");
}

#[test]
fn a_plan_carries_its_keys_and_reads_them() {
    let keyed =
        plan(|_| {}).with_keys(|_| Ok::<_, Infallible>(Some(seen("c", None)))).expect("no error");
    let text = keyed.to_json().json;
    let (read, _) = Plan::from_json(text.as_bytes()).expect("it reads");
    assert_eq!(read.nodes(), keyed.nodes());
    assert_eq!(read.version().to_string(), "1.1");
    let broken = text.replacen("\"key\": \"sha256:", "\"key\": \"md5:", 1);
    assert!(Plan::from_json(broken.as_bytes()).is_err());
    let other = node("execute-other", &[]);
    assert!(other.key.is_none(), "a node alone has none");
}

#[test]
fn of_a_node_whose_tree_is_not_known_nothing_that_uses_it_has_a_key() {
    let plan = plan(|_| {});
    let keys =
        plan.keys(|node| Ok::<_, Infallible>(node.output.is_none().then(|| seen("c", None))));
    assert_eq!(keys.expect("no error"), [None, None]);
    let _: Output = Output::StorePath;
}
