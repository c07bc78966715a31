//! One small world for each test: a repository, a home, a state directory, plans made from parts.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use plans::{
    BaseMode, Cache, CacheName, CachePath, CacheSave, ChangeSource, Key, LaneId, Node, NodeId,
    ObjectId, Plan, PlanLane, PlanParts, Reason, Seen, Selection, SelectionMode, Source, Trigger,
};
use serde_json::Value;

use crate::nodes::node;

/// The program under test.
pub(crate) const EXECUTOR: &str = env!("CARGO_BIN_EXE_executor");

/// A repository with one commit, a home of its own, and nothing else of this machine.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) head: ObjectId,
    pub(crate) tree: ObjectId,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        for name in ["repo", "home", "tmp"] {
            std::fs::create_dir(dir.path().join(name)).expect("made");
        }
        std::fs::write(dir.path().join("home/gitconfig"), "[init]\ndefaultBranch = main\n")
            .expect("written");
        std::fs::write(dir.path().join("repo/file.txt"), "content\n").expect("written");
        let id = |text: &str| ObjectId::new(text.trim()).expect("an object id");
        let git = |arguments: &[&str]| git(dir.path(), arguments);
        git(&["init", "-q"]);
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", "one"]);
        let head = id(&git(&["rev-parse", "HEAD"]));
        let tree = id(&git(&["rev-parse", "HEAD^{tree}"]));
        Self { dir, head, tree }
    }

    /// Adds files and commits them.
    pub(crate) fn commit(&mut self, files: &[(&str, &str)]) {
        for (name, content) in files {
            let path = self.repo().join(name);
            std::fs::create_dir_all(path.parent().expect("below the repository")).expect("made");
            std::fs::write(path, content).expect("written");
        }
        let id = |text: &str| ObjectId::new(text.trim()).expect("an object id");
        git(self.path(), &["add", "-A"]);
        git(self.path(), &["commit", "-q", "-m", "more"]);
        self.head = id(&git(self.path(), &["rev-parse", "HEAD"]));
        self.tree = id(&git(self.path(), &["rev-parse", "HEAD^{tree}"]));
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn repo(&self) -> PathBuf {
        self.dir.path().join("repo")
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.repo().join(".forge-lanes")
    }

    /// The program with this world's environment and nothing of the test's own.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(EXECUTOR);
        command.args(arguments).current_dir(self.repo()).env_clear();
        command.envs(environment(self.dir.path())).stdin(Stdio::null());
        command
    }

    /// Runs the program to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().expect("the program starts"))
    }

    /// Starts the program and lets it go on.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts")
    }

    /// Writes a plan of these nodes and lanes and returns its path.
    pub(crate) fn plan(&self, nodes: Vec<Node>) -> String {
        let lane = lane_of(&nodes);
        self.plan_of(nodes, vec![lane])
    }

    /// The same, with the keys of nodes that see the whole tree.
    pub(crate) fn plan_with_keys(&self, nodes: Vec<Node>) -> String {
        let lane = lane_of(&nodes);
        let plan = Plan::new(self.parts(nodes, vec![lane])).expect("a plan");
        let seen = Seen { tree: self.tree.clone(), commit: None };
        let plan = plan.with_keys(|_| Ok::<_, std::convert::Infallible>(Some(seen.clone())));
        self.write(&plan.expect("no error"))
    }

    pub(crate) fn plan_of(&self, nodes: Vec<Node>, lanes: Vec<PlanLane>) -> String {
        self.write(&Plan::new(self.parts(nodes, lanes)).expect("a plan"))
    }

    fn write(&self, plan: &Plan) -> String {
        let path = self.dir.path().join("plan.json");
        std::fs::write(&path, plan.to_json().json).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// Gives a plan a name of its own, so that the next one does not take its place.
    pub(crate) fn keep(&self, plan: &str) -> String {
        let names = (0..).map(|number| self.dir.path().join(format!("plan-{number}.json")));
        let path = names.into_iter().find(|path| !path.exists()).expect("a name");
        std::fs::rename(plan, &path).expect("renamed");
        path.to_str().expect("UTF-8").to_owned()
    }

    pub(crate) fn parts(&self, nodes: Vec<Node>, lanes: Vec<PlanLane>) -> PlanParts {
        PlanParts {
            source: Source::Change(ChangeSource {
                base: None,
                head: Some(self.head.clone()),
                tree: Some(self.tree.clone()),
                base_mode: BaseMode::All,
                worktree: false,
                base_from: None,
                passed: None,
                cache_scope: None,
            }),
            selection: Selection {
                trigger: Trigger::Branch,
                mode: SelectionMode::All,
                note: None,
                lanes_not_listed: None,
            },
            inputs: BTreeMap::new(),
            changes: BTreeSet::new(),
            uncovered: BTreeSet::new(),
            lanes,
            nodes,
        }
    }

    /// The record of the only run.
    pub(crate) fn record(&self) -> Value {
        let [run] = &self.runs()[..] else { panic!("one run, not {:?}", self.runs()) };
        let text = std::fs::read(run.join("record.json")).expect("a record");
        serde_json::from_slice(&text).expect("JSON")
    }

    /// A log of a node of the last run, `guest.log` or `host.log`; one that is not there is empty.
    pub(crate) fn log(&self, node: &str, name: &str) -> String {
        let run = self.runs().pop().expect("a run");
        let log = std::fs::read(run.join("nodes").join(node).join(name)).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The directories of all runs, the oldest first. One whose making was cut short has no name yet
    /// and is none; the next collection removes it.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.state_dir().join("runs")) else {
            return Vec::new();
        };
        let mut runs: Vec<PathBuf> = entries
            .map(|entry| entry.expect("readable"))
            .filter(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))
            .map(|entry| entry.path())
            .collect();
        runs.sort();
        runs
    }
}

fn environment(root: &Path) -> Vec<(&'static str, String)> {
    let home = root.join("home").display().to_string();
    vec![
        ("PATH", std::env::var("PATH").unwrap_or_default()),
        ("GIT_CONFIG_GLOBAL", format!("{home}/gitconfig")),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ("HOME", home),
        ("TMPDIR", root.join("tmp").display().to_string()),
        ("LANG", "C.UTF-8".to_owned()),
    ]
}

pub(crate) fn git(root: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(root.join("repo"))
        .env_clear()
        .envs(environment(root))
        .envs([
            ("GIT_AUTHOR_NAME", "a"),
            ("GIT_AUTHOR_EMAIL", "a@example.org"),
            ("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z"),
            ("GIT_COMMITTER_NAME", "a"),
            ("GIT_COMMITTER_EMAIL", "a@example.org"),
            ("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z"),
        ])
        .output()
        .expect("git is installed");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Ended {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub(crate) fn code(self, expected: i32) -> Self {
        assert_eq!(self.code, Some(expected), "\n{}\n{}", self.out, self.err);
        self
    }

    /// What `--output jsonl` printed.
    #[track_caller]
    pub(crate) fn events(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }
}

pub(crate) fn node_id(text: &str) -> NodeId {
    NodeId::new(text).expect("well formed")
}

/// A node that runs a script on this machine.
pub(crate) fn sh(id: &str, script: &str, depends_on: &[&str]) -> Node {
    let command = plans::Command::Shell { script: script.to_owned(), as_root: false };
    let mut node = node(id, command);
    node.depends_on = depends_on.iter().map(|id| node_id(id)).collect();
    node.spec.grace_secs = Some(1);
    node
}

/// The lane of all nodes.
fn lane_of(nodes: &[Node]) -> PlanLane {
    lane("lane", &nodes.iter().map(|node| node.id.as_str()).collect::<Vec<_>>())
}

/// A cache of a job that passed, with an exact key alone.
pub(crate) fn cache(name: &str, path: &str) -> Cache {
    Cache {
        name: CacheName::new(name).expect("well formed"),
        path: CachePath::new(path.to_owned()).expect("well formed"),
        key: vec!["lock".to_owned()],
        fallback: false,
        max_mib: None,
        save: CacheSave::Passed,
        exclusive: false,
    }
}

/// Gives a node a cache whose exact key is of a text.
pub(crate) fn with_cache(mut node: Node, cache: Cache, key: &str) -> Node {
    node.cache_keys.insert(cache.name.clone(), Key::of(key.as_bytes()));
    node.spec.caches.push(cache);
    node
}

pub(crate) fn lane(id: &str, nodes: &[&str]) -> PlanLane {
    PlanLane {
        id: LaneId::new(id).expect("well formed"),
        title: format!("check-{id}"),
        target: None,
        selected: !nodes.is_empty(),
        reasons: vec![Reason::Always],
        nodes: nodes.iter().map(|id| node_id(id)).collect(),
    }
}

/// The outcome of each node, by id.
pub(crate) fn outcomes(record: &Value) -> BTreeMap<String, String> {
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    record["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| (text(&node["id"]), text(&node["outcome"])))
        .collect()
}

/// Waits until something is so; bounded, so that a defect is a failure and not a wait.
#[track_caller]
pub(crate) fn until(so: impl FnMut() -> bool) {
    within(120, so);
}

/// Waits for at most so many seconds until something is so.
#[track_caller]
pub(crate) fn within(seconds: u64, mut so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !so() {
        assert!(began.elapsed().as_secs() < seconds, "it did not happen");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

/// Kills a process, and it alone: what it started goes on.
#[track_caller]
pub(crate) fn kill(mut child: Child) {
    child.kill().expect("alive");
    child.wait().expect("ends");
}

/// A file system with little room, gone with this.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of so many KiB at a directory that it makes. `None`, with the reason on stderr: no right to mount.
    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    pub(crate) fn at(directory: &Path, kib: u32) -> Option<Self> {
        std::fs::create_dir_all(directory).expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={kib}k,mode=755"), "tmpfs"])
            .arg(directory)
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("skipped: no right to mount a small file system");
        }
        mounted.then(|| Self(directory.to_owned()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A generator of numbers that are the same for the same seed (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    /// Returns one of them, if there are any.
    pub(crate) fn one_of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        all.get(usize::try_from(self.below(all.len() as u64)).ok()?)
    }

    pub(crate) fn sleep(&mut self, milliseconds: u64) {
        std::thread::sleep(Duration::from_millis(self.below(milliseconds)));
    }
}
