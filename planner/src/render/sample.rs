//! Plans for the tests of what people look at: an everyday one, a hostile one, a large one.

use std::collections::{BTreeMap, BTreeSet};

use plans::{
    AbsolutePath, BaseMode, Change, ChangeSource, ChangeStatus, Checkout, Command,
    DefinitionChanged, EngineName, EnvName, GroupName, HostName, Incus, JobId, JobSpec, LaneId,
    Mount, Nearest, NeededBy, NoMatch, Node, NodeId, NodeKind, ObjectId, Output, PathsReason,
    Placement, Plan, PlanLane, PlanParts, Reason, RepoPath, RunAll, Runtime, Selection,
    SelectionMode, Source, SshDestination, SshHost, TargetId, Tart, Trigger, Unmatched, Workspace,
};

/// What ends strings, comments, labels, tables and attributes, starts markup of every form,
/// mentions people and moves cursors.
pub(crate) const HOSTILE: &str = "</script><img src=x onerror=alert(1)>\"'`|\\]](](http://x)\n@team #1 -->\u{1b}[2J\u{202e}\
     ```\n%%{init}%% \"];}; click &amp; #quot; \t| a |";

pub(crate) fn path(text: &str) -> RepoPath {
    RepoPath::new(text.as_bytes()).expect("well formed")
}

pub(crate) fn name(text: &str) -> EngineName {
    EngineName::new(text).expect("well formed")
}

pub(crate) fn remote(host: &str) -> Placement {
    Placement::RemoteSsh(SshHost {
        host: HostName::new(host).expect("well formed"),
        ssh: SshDestination::new(format!("ci@{host}")).expect("well formed"),
        work_dir: AbsolutePath::new("/var/tmp/forge-lanes").expect("absolute"),
        max_jobs: 2,
    })
}

pub(crate) fn incus(image: &str) -> Runtime {
    Runtime::Incus(Incus {
        image: name(image),
        project: Some(name("ci")),
        profiles: vec![name("ci")],
        vm: false,
        privileged: false,
        user: None,
        group: None,
        cpu: None,
        memory_mib: None,
        processes: None,
        disk_mib: None,
        cluster: None,
        boot_timeout_secs: None,
    })
}

pub(crate) fn node(id: &str, depends_on: &[&str]) -> Node {
    let kind = if id.starts_with("prepare-") { NodeKind::Prepare } else { NodeKind::Execute };
    Node {
        id: NodeId::new(id).expect("well formed"),
        kind,
        depends_on: depends_on.iter().map(|id| NodeId::new(*id).expect("well formed")).collect(),
        concurrency_groups: plans::SortedSet::default(),
        spec: JobSpec {
            description: format!("what {id} is for"),
            placement: Placement::Local,
            runtime: Runtime::HostProcess,
            timeout_secs: 1800,
            grace_secs: None,
            command: Command::Argv(vec!["just".to_owned(), id.to_owned()]),
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

pub(crate) fn lane(id: &str, reasons: Vec<Reason>, nodes: &[&str]) -> PlanLane {
    PlanLane {
        id: LaneId::new(id).expect("well formed"),
        title: format!("check-{}", id.replace('_', "-")),
        target: Some(TargetId::new(format!("pre-merge-{id}")).expect("well formed")),
        selected: reasons.iter().any(Reason::selects),
        reasons,
        nodes: nodes.iter().map(|id| NodeId::new(*id).expect("well formed")).collect(),
    }
}

pub(crate) fn matched(glob: &str, paths: &[&str], total: u64) -> Reason {
    Reason::Paths(PathsReason {
        glob: glob.to_owned(),
        via: None,
        matched: paths.iter().map(|it| path(it)).collect(),
        total,
        since: None,
    })
}

pub(crate) fn miss(glob: &str, near: &str) -> Reason {
    let nearest =
        Nearest { glob: glob.to_owned(), path: path(near), excluded_by: None, status: None };
    Reason::NoMatch(NoMatch { nearest: Some(nearest), since: None })
}

/// Three machines, two payloads, a host setup; lanes with every kind of reason.
pub(crate) fn parts() -> PlanParts {
    let deps = "prepare-pika-core-linux-rust-workspace-deps";
    let build = "prepare-pika-core-linux-rust-workspace-build";
    let setup = "prepare-host-setup-ios-unit-tests";
    let mut nodes = vec![
        node(deps, &[]),
        node(build, &[deps]),
        node(setup, &[]),
        node("execute-pika-core-lib-app-flows-tests", &[deps, build]),
        node("execute-pika-core-messaging-e2e-tests", &[deps, build]),
        node("execute-ios-unit-tests", &[setup]),
        node("execute-ios-ui-tests", &["execute-ios-unit-tests", setup]),
        node("execute-docs-links", &[]),
    ];
    for node in &mut nodes[..2] {
        node.spec.placement = remote("pika-build");
        node.spec.command = Command::NixBuild {
            installable: ".#ci.x86_64-linux.workspaceDeps".to_owned(),
            output_name: "deps".to_owned(),
        };
        node.spec.timeout_secs = 14_400;
        node.output = Some(Output::StorePath);
    }
    nodes[2].output = Some(Output::Workspace);
    nodes[2].spec.workspace = Workspace::Writable;
    for node in &mut nodes[3..5] {
        node.spec.placement = remote("pika-build");
        node.spec.runtime = incus("pika-ci");
        node.spec.env.insert(EnvName::new("RUST_BACKTRACE").expect("well formed"), "1".to_owned());
        node.mounts = vec![Mount {
            node: NodeId::new(build).expect("well formed"),
            path: AbsolutePath::new("/staged/linux-rust/workspace-build").expect("absolute"),
        }];
    }
    for node in &mut nodes[5..7] {
        node.spec.runtime = Runtime::Tart(Tart {
            image: name("sequoia-base"),
            cpu: None,
            memory_mib: None,
            disk_gb: None,
            boot_timeout_secs: None,
        });
        node.workspace_from = Some(NodeId::new(setup).expect("well formed"));
        node.concurrency_groups.insert(GroupName::new("apple-host").expect("well formed"));
    }
    let id = |digit: &str| Some(ObjectId::new(digit.repeat(40)).expect("hexadecimal"));
    let change = |text: &str, status| Change { path: path(text), status };
    let job = |text: &str| JobId::new(text).expect("well formed");
    PlanParts {
        source: Source::Change(ChangeSource {
            base: id("4"),
            head: id("a"),
            tree: id("7"),
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
        inputs: BTreeMap::from([
            ("ci/catalog.toml".to_owned(), "c".repeat(40)),
            ("ci/forge-lanes.toml".to_owned(), "f".repeat(40)),
        ]),
        changes: BTreeSet::from([
            change("docs/guide/first-steps.md", ChangeStatus::Added),
            change("rust/src/core/session.rs", ChangeStatus::Modified),
            change("rust/src/lib.rs", ChangeStatus::Modified),
            change("tools/old.py", ChangeStatus::Deleted),
        ]),
        uncovered: BTreeSet::from([path("tools/old.py")]),
        lanes: vec![
            lane(
                "pika_rust",
                vec![
                    matched("rust/**", &["rust/src/core/session.rs", "rust/src/lib.rs"], 2),
                    Reason::DefinitionChanged(DefinitionChanged {
                        jobs: vec![job("pika-core-lib-app-flows-tests")],
                        ..DefinitionChanged::default()
                    }),
                ],
                &[
                    deps,
                    build,
                    "execute-pika-core-lib-app-flows-tests",
                    "execute-pika-core-messaging-e2e-tests",
                ],
            ),
            lane(
                "ios",
                vec![Reason::Paths(PathsReason {
                    glob: "rust/src/**".to_owned(),
                    via: Some("pika-ios -> pika-core".to_owned()),
                    matched: vec![path("rust/src/core/session.rs"), path("rust/src/lib.rs")],
                    total: 2,
                    since: None,
                })],
                &[setup, "execute-ios-unit-tests", "execute-ios-ui-tests"],
            ),
            lane("docs", vec![Reason::Always], &["execute-docs-links"]),
            lane("rmp", vec![miss("crates/rmp-cli/**", "rust/src/lib.rs")], &[]),
            lane(
                "agent_contracts",
                vec![Reason::NoMatch(NoMatch {
                    nearest: Some(Nearest {
                        glob: "rust/**".to_owned(),
                        path: path("rust/src/lib.rs"),
                        excluded_by: Some("rust/src/**".to_owned()),
                        status: None,
                    }),
                    since: None,
                })],
                &[],
            ),
            lane("fixtures", vec![Reason::NoMatch(NoMatch { nearest: None, since: None })], &[]),
        ],
        nodes,
    }
}

pub(crate) fn plan() -> Plan {
    Plan::new(parts()).expect("the parts fit")
}

/// Every text that a person or a repository chooses is hostile, and every kind of reason occurs.
pub(crate) fn hostile() -> Plan {
    let mut parts = parts();
    let text = || HOSTILE.to_owned();
    let bad_path = || RepoPath::new(HOSTILE.replace('/', "\u{2215}").into_bytes()).expect("a path");
    parts.selection.note = Some(text());
    parts.selection.lanes_not_listed = Some(3);
    parts.changes.insert(Change { path: bad_path(), status: ChangeStatus::Added });
    parts.changes.insert(Change {
        path: RepoPath::new(&b"\xff<b>\xfe"[..]).expect("a path"),
        status: ChangeStatus::Submodule,
    });
    parts.uncovered.insert(bad_path());
    for node in &mut parts.nodes {
        node.spec.description = text();
        node.spec.artifacts.push(text());
        node.spec.env.insert(EnvName::new("X").expect("well formed"), text());
    }
    for node in &mut parts.nodes[3..] {
        node.spec.command = Command::Shell { script: text(), as_root: false };
    }
    for lane in &mut parts.lanes {
        lane.title = text();
    }
    let nearest = |excluded_by, status| {
        let nearest = Nearest { glob: text(), path: bad_path(), excluded_by, status };
        Reason::NoMatch(NoMatch { nearest: Some(nearest), since: None })
    };
    parts.lanes[0].reasons = vec![
        Reason::Paths(PathsReason {
            glob: text(),
            via: Some(text()),
            matched: vec![bad_path()],
            total: 12,
            since: None,
        }),
        Reason::DefinitionChanged(DefinitionChanged {
            because: Some(text()),
            ..DefinitionChanged::default()
        }),
        Reason::DefinitionChanged(DefinitionChanged {
            entries: vec![plans::ChangedEntry {
                file: text(),
                name: text(),
                before: Some(text()),
                after: None,
                differs: vec![text()],
                via: text(),
            }],
            entries_total: 3,
            ..DefinitionChanged::default()
        }),
        Reason::RunAll(RunAll {
            glob: Some(text()),
            matched: vec![bad_path()],
            total: 1,
            because: None,
            since: None,
        }),
        Reason::Unmatched(Unmatched { matched: vec![bad_path()], total: 1, since: None }),
        Reason::RunAll(RunAll {
            glob: None,
            matched: Vec::new(),
            total: 0,
            because: Some(text()),
            since: None,
        }),
        Reason::Requested,
        Reason::NeededBy(NeededBy {
            lane: LaneId::new("ios").expect("well formed"),
            job: JobId::new("a").expect("well formed"),
            needs: JobId::new("b").expect("well formed"),
        }),
    ];
    parts.lanes[3].reasons = vec![nearest(None, None)];
    parts.lanes[4].reasons = vec![nearest(Some(text()), None)];
    parts.lanes[5].reasons = vec![nearest(None, Some(ChangeStatus::Deleted)), Reason::NotRequested];
    Plan::new(parts).expect("the parts fit")
}

/// `width` nodes in each of `depth` layers over seven hosts, a lane for each ten nodes and as many
/// that do not run.
pub(crate) fn large(depth: usize, width: usize) -> Plan {
    let mut parts = parts();
    parts.nodes.clear();
    parts.lanes.clear();
    let id = |layer: usize, row: usize| format!("execute-layer-{layer:03}-job-{row:04}");
    for layer in 0..depth {
        for row in 0..width {
            let before: Vec<String> = match layer.checked_sub(1) {
                Some(before) => (0..3).map(|step| id(before, (row * 7 + step) % width)).collect(),
                None => Vec::new(),
            };
            let before: Vec<&str> = before.iter().map(String::as_str).collect();
            let mut node = node(&id(layer, row), &before);
            node.spec.placement = remote(&format!("host-{}", row % 7));
            node.spec.runtime = incus("ubuntu/24.04");
            parts.nodes.push(node);
        }
    }
    let ids: Vec<String> = parts.nodes.iter().map(|node| node.id.to_string()).collect();
    for (index, nodes) in ids.chunks(10).enumerate() {
        let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
        let glob = format!("services/s{index}/**");
        let paths = [&*format!("services/s{index}/main.rs")];
        parts.lanes.push(lane(
            &format!("service_{index}"),
            vec![matched(&glob, &paths, 1)],
            &nodes,
        ));
        let skipped = vec![miss(&format!("libraries/l{index}/**"), "libraries/README.md")];
        parts.lanes.push(lane(&format!("library_{index}"), skipped, &[]));
    }
    Plan::new(parts).expect("the parts fit")
}
