//! Plans to export, built from parts.

use std::collections::BTreeSet;

use plans::{
    BaseMode, ChangeSource, Checkout, Command, EnvName, GroupName, JobSpec, LaneId, NoMatch, Node,
    NodeId, NodeKind, ObjectId, Output, Placement, Plan, PlanLane, PlanParts, Reason, RunIf,
    Runtime, Selection, SelectionMode, Source, Trigger, Workspace,
};

use crate::export::{Options, RunnerRule};

pub(super) fn group(name: &str) -> GroupName {
    GroupName::new(name).expect("well formed")
}

pub(super) fn options() -> Options {
    let runners = ["self-hosted,linux", "tart=self-hosted,macos"];
    Options {
        runners: runners.iter().map(|rule| rule.parse::<RunnerRule>().expect("ok")).collect(),
        ..Options::default()
    }
}

/// A node in the making.
pub(super) struct Job {
    pub(super) id: String,
    pub(super) after: Vec<String>,
    pub(super) groups: BTreeSet<GroupName>,
    pub(super) secrets: Vec<&'static str>,
    pub(super) description: String,
    pub(super) placement: Placement,
    pub(super) runtime: Runtime,
    pub(super) retries: u32,
    pub(super) run_if: RunIf,
}

/// A plan in the making.
pub(super) struct Sample {
    pub(super) source: Source,
    pub(super) mode: SelectionMode,
    pub(super) jobs: Vec<Job>,
    pub(super) lanes: Vec<PlanLane>,
}

impl Default for Sample {
    fn default() -> Self {
        let id = |digit: &str| Some(ObjectId::new(digit.repeat(40)).expect("well formed"));
        let source = Source::Change(ChangeSource {
            base: None,
            head: id("a"),
            tree: id("b"),
            base_mode: BaseMode::All,
            worktree: false,
            base_from: None,
            passed: None,
            cache_scope: None,
        });
        Self { source, mode: SelectionMode::All, jobs: Vec::new(), lanes: Vec::new() }
    }
}

impl Sample {
    /// Two prepare nodes, four jobs on three kinds of machine, four lanes.
    pub(super) fn small() -> Self {
        let mut sample = Self::default();
        sample.node("prepare-deps", &[]);
        sample.node("prepare-image", &["prepare-deps"]);
        let build = sample.job("build", &["prepare-deps"]);
        build.retries = 2;
        build.description = "Builds everything".to_owned();
        let test = sample.job("test", &["prepare-image", "execute-build"]);
        test.placement = remote();
        test.secrets = vec!["NPM_TOKEN"];
        let ios = sample.job("ios", &["execute-build"]);
        ios.groups = [group("apple-host")].into();
        ios.runtime = serde_json::from_str(r#"{"tart":{"image":"sequoia"}}"#).expect("a runtime");
        sample.job("docs", &[]);
        sample.lane("rust", "check-rust", &["prepare-deps", "execute-build", "execute-test"]);
        sample.lane("ios", "check-ios", &["execute-ios"]);
        sample.lane("docs", "check-docs", &["execute-docs"]);
        sample.lane("idle", "check-idle", &[]);
        sample
    }

    /// So many jobs in pairs, each pair a lane, all on one prepare node.
    pub(super) fn wide(jobs: usize) -> Self {
        let mut sample = Self::default();
        sample.node("prepare-deps", &[]);
        for number in (0..jobs).step_by(2) {
            let (first, second) = (format!("job-{number}"), format!("job-{}", number + 1));
            sample.job(&first, &["prepare-deps"]).description = "A job of many".to_owned();
            sample.job(&second, &["prepare-deps", &format!("execute-{first}")]);
            let nodes = [format!("execute-{first}"), format!("execute-{second}")];
            let nodes: Vec<&str> = nodes.iter().map(String::as_str).collect();
            sample.lane(&format!("lane-{number}"), &format!("check-{number}"), &nodes);
        }
        sample
    }

    pub(super) fn change(&mut self) -> &mut ChangeSource {
        match &mut self.source {
            Source::Change(change) => change,
            Source::Scenario(_) => panic!("a sample is about a change"),
        }
    }

    pub(super) fn job(&mut self, id: &str, after: &[&str]) -> &mut Job {
        self.node(&format!("execute-{id}"), after)
    }

    pub(super) fn node(&mut self, id: &str, after: &[&str]) -> &mut Job {
        self.jobs.push(Job {
            id: id.to_owned(),
            after: after.iter().map(|&id| id.to_owned()).collect(),
            groups: BTreeSet::new(),
            secrets: Vec::new(),
            description: String::new(),
            placement: Placement::Local,
            runtime: Runtime::HostProcess,
            retries: 0,
            run_if: RunIf::Passed,
        });
        self.jobs.last_mut().expect("just pushed")
    }

    /// Adds a lane; one without nodes is not selected.
    pub(super) fn lane(&mut self, id: &str, title: &str, nodes: &[&str]) {
        let selected = !nodes.is_empty();
        self.lanes.push(PlanLane {
            id: LaneId::new(id).expect("well formed"),
            title: title.to_owned(),
            target: None,
            selected,
            reasons: vec![if selected {
                Reason::Always
            } else {
                Reason::NoMatch(NoMatch { nearest: None, since: None })
            }],
            nodes: nodes.iter().map(|&id| NodeId::new(id).expect("well formed")).collect(),
        });
    }

    pub(super) fn plan(self) -> Plan {
        Plan::new(self.parts()).expect("a plan")
    }

    pub(super) fn parts(self) -> PlanParts {
        PlanParts {
            source: self.source,
            selection: Selection {
                trigger: Trigger::Branch,
                mode: self.mode,
                note: None,
                lanes_not_listed: None,
            },
            inputs: [("ci/catalog.toml", "c"), ("ci/forge-lanes.toml", "f")]
                .map(|(path, digit)| (path.to_owned(), digit.repeat(40)))
                .into(),
            changes: BTreeSet::new(),
            uncovered: BTreeSet::new(),
            lanes: self.lanes,
            nodes: self.jobs.into_iter().map(node).collect(),
        }
    }
}

fn remote() -> Placement {
    let host = r#"{"remote_ssh":{"host":"b","ssh":"ci@b","work_dir":"/w","max_jobs":4}}"#;
    serde_json::from_str(host).expect("a placement")
}

fn node(job: Job) -> Node {
    let kind = if job.id.starts_with("prepare-") { NodeKind::Prepare } else { NodeKind::Execute };
    Node {
        id: NodeId::new(job.id).expect("well formed"),
        kind,
        depends_on: job.after.iter().map(|id| id.parse().expect("well formed")).collect(),
        concurrency_groups: job.groups.into(),
        spec: JobSpec {
            description: job.description,
            placement: job.placement,
            runtime: job.runtime,
            timeout_secs: 600,
            grace_secs: None,
            command: Command::Argv(vec!["true".to_owned()]),
            env: plans::SortedMap::default(),
            secrets: job
                .secrets
                .iter()
                .map(|&name| EnvName::new(name).expect("well formed"))
                .collect(),
            workspace: Workspace::Writable,
            working_dir: None,
            checkout: Checkout::Tree,
            inputs: None,
            snapshot_profile: None,
            mount_host_rust_toolchain: false,
            mount_host_xcode: None,
            artifacts: Vec::new(),
            outputs: BTreeSet::new(),
            retries: job.retries,
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
        run_if: job.run_if,
        workspace_from: None,
        takes: plans::Taken::default(),
        output: (kind == NodeKind::Prepare).then_some(Output::StorePath),
    }
}
