//! One builder of nodes and plans for the tests of this crate.

use std::collections::{BTreeMap, BTreeSet};

use plans::{
    BaseMode, Change, ChangeSource, ChangeStatus, Checkout, Command, JobSpec, LaneId, Mount, Node,
    NodeId, NodeKind, ObjectId, Output, PathsReason, Placement, PlanLane, PlanParts, Reason,
    RepoPath, Runtime, Selection, SelectionMode, Source, Trigger, Workspace,
};

pub(crate) fn node_id(text: &str) -> NodeId {
    NodeId::new(text).expect("well formed")
}

pub(crate) fn spec() -> JobSpec {
    JobSpec {
        description: "says hello".to_owned(),
        placement: Placement::Local,
        runtime: Runtime::HostProcess,
        timeout_secs: 60,
        grace_secs: None,
        command: Command::Argv(vec!["echo".to_owned(), "hello".to_owned()]),
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
    }
}

pub(crate) fn node(id: &str, depends_on: &[&str]) -> Node {
    let kind = if id.starts_with("prepare-") { NodeKind::Prepare } else { NodeKind::Execute };
    Node {
        id: node_id(id),
        kind,
        depends_on: depends_on.iter().map(|id| node_id(id)).collect(),
        concurrency_groups: plans::SortedSet::default(),
        spec: spec(),
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

/// Two prepare nodes' outputs, one mounted; a lane that a path selected.
pub(crate) fn parts() -> PlanParts {
    let mut prepare = node("prepare-deps", &[]);
    prepare.output = Some(Output::StorePath);
    prepare.spec.command =
        Command::NixBuild { installable: ".#deps".to_owned(), output_name: "deps".to_owned() };
    let mut execute = node("execute-test", &["prepare-deps"]);
    execute.mounts = vec![Mount {
        node: node_id("prepare-deps"),
        path: plans::AbsolutePath::new("/staged/deps").expect("absolute"),
    }];
    let changed = RepoPath::new(&b"src/lib.rs"[..]).expect("well formed");
    let id = |text: &str| Some(ObjectId::new(text.repeat(40)).expect("hexadecimal"));
    PlanParts {
        source: Source::Change(ChangeSource {
            base: id("a"),
            head: id("b"),
            tree: id("c"),
            base_mode: BaseMode::MergeBase,
            worktree: false,
            base_from: None,
            passed: None,
            cache_scope: None,
        }),
        selection: Selection {
            trigger: Trigger::Branch,
            mode: SelectionMode::Affected,
            note: None,
            lanes_not_listed: None,
        },
        inputs: BTreeMap::from([("ci/forge-lanes.toml".to_owned(), "e".repeat(40))]),
        changes: BTreeSet::from([
            Change { path: changed.clone(), status: ChangeStatus::Modified },
            Change {
                path: RepoPath::new(&b"odd\xff\nname"[..]).expect("well formed"),
                status: ChangeStatus::Deleted,
            },
        ]),
        uncovered: BTreeSet::from([RepoPath::new(&b"odd\xff\nname"[..]).expect("well formed")]),
        lanes: vec![PlanLane {
            id: LaneId::new("lane").expect("well formed"),
            title: "check-lane".to_owned(),
            target: None,
            selected: true,
            reasons: vec![Reason::Paths(PathsReason {
                glob: "src/**".to_owned(),
                via: None,
                matched: vec![changed],
                total: 1,
                since: None,
            })],
            nodes: vec![node_id("execute-test"), node_id("prepare-deps")],
        }],
        nodes: vec![execute, prepare],
    }
}
