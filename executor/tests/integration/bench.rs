//! A world of its own for each test: directories, a repository, a cleared environment.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command as Process,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use executor::{
    attempt::{AttemptRequest, AttemptResult, Observer, Phase, PreparedOutput},
    control::Control,
    drive,
    intent::Intent,
    placements::{Machine, Machines, MachinesConfig, Secret},
    source::SourceSpec,
};
use plans::{Command, EnvName, Node, NodeId, ObjectId, Placement, Workspace};
use tempfile::TempDir;

pub(crate) use crate::nodes::node;

/// The executor's binary, whose hidden subcommand supervises.
pub(crate) const EXECUTOR: &str = env!("CARGO_BIN_EXE_executor");

/// Directories, a repository with one commit, and this machine.
pub(crate) struct Bench {
    pub(crate) dir: TempDir,
    pub(crate) machines: Machines,
    pub(crate) source: SourceSpec,
    attempts: AtomicU32,
}

impl Bench {
    /// Makes a repository of these files, committed.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let dir = TempDir::new().expect("a temporary directory");
        let repository = dir.path().join("repository");
        fs::create_dir(&repository).expect("a directory");
        fs::create_dir(dir.path().join("home")).expect("a directory");
        let machines = machines(dir.path());
        git(&repository, &["init", "-q", "-b", "main"]);
        for (path, content) in files {
            write(&repository.join(path), content);
        }
        Self { source: commit(&repository), machines, dir, attempts: AtomicU32::new(1) }
    }

    pub(crate) fn new() -> Self {
        Self::with(&[("greeting", "hello\n"), ("bin/hi", "#!/bin/sh\necho hi\n")])
    }

    pub(crate) fn repository(&self) -> PathBuf {
        self.dir.path().join("repository")
    }

    pub(crate) fn local(&self) -> Arc<dyn Machine> {
        self.machines.open(&Placement::Local).expect("this machine")
    }

    pub(crate) fn node_dir(&self, node: &str) -> PathBuf {
        self.dir.path().join("runs/run1/nodes").join(node)
    }

    pub(crate) fn guest_log(&self, node: &str) -> String {
        String::from_utf8_lossy(
            &fs::read(self.node_dir(node).join("guest.log")).unwrap_or_default(),
        )
        .into_owned()
    }

    pub(crate) fn host_log(&self, node: &str) -> String {
        fs::read_to_string(self.node_dir(node).join("host.log")).unwrap_or_default()
    }

    pub(crate) fn request(&self, node: Node) -> AttemptRequest {
        let dir = self.node_dir(node.id.as_str());
        fs::create_dir_all(&dir).expect("a directory");
        AttemptRequest {
            run: "run1".to_owned(),
            node: Arc::new(node),
            attempt: self.attempts.fetch_add(1, Ordering::Relaxed),
            runs_dir: self.dir.path().join("runs"),
            host_log: dir.join("host.log"),
            guest_log: dir.join("guest.log"),
            artifacts: dir.join("artifacts"),
            source: self.source.clone(),
            outputs: BTreeMap::new(),
            needs: BTreeMap::new(),
            files: Vec::new(),
            reuse: None,
            caches: None,
            spared: None,
            is_taken_from: false,
            secrets: BTreeMap::new(),
            pass_env: Vec::new(),
            grace: Duration::from_secs(5),
            lease: Duration::from_secs(60),
            max_jobs: None,
        }
    }

    /// Runs a node to its end.
    pub(crate) fn run(&self, node: Node) -> AttemptResult {
        self.run_request(&self.request(node))
    }

    pub(crate) fn run_request(&self, request: &AttemptRequest) -> AttemptResult {
        let control = Control::new().expect("a control");
        drive::run(request, &*self.local(), &control, &Notes::default())
    }

    /// Runs a shell script as a node.
    pub(crate) fn sh(&self, script: &str) -> AttemptResult {
        self.run(sh(script))
    }

    /// What is left of the node's attempts: nothing, unless something is wrong.
    pub(crate) fn leftovers(&self, node: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.node_dir(node)) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| name.starts_with("attempt-"))
            .collect();
        names.sort();
        names
    }
}

/// Machines whose everything is below a directory.
pub(crate) fn machines(dir: &Path) -> Machines {
    let environment = [
        ("PATH", std::env::var("PATH").unwrap_or_default()),
        ("HOME", dir.join("home").display().to_string()),
        ("USER", "somebody".to_owned()),
        ("SHELL", "/bin/sh".to_owned()),
        ("LANG", "C.UTF-8".to_owned()),
        ("PASSED", "from the site".to_owned()),
        ("NOT_PASSED", "never seen".to_owned()),
        ("GIT_CONFIG_NOSYSTEM", "1".to_owned()),
        ("GIT_CONFIG_GLOBAL", "/dev/null".to_owned()),
    ];
    Machines::new(MachinesConfig {
        runs_dir: dir.join("runs"),
        machine_dir: dir.join("machine"),
        environment: environment
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
        executor: EXECUTOR.into(),
    })
}

pub(crate) fn git(repository: &Path, arguments: &[&str]) -> String {
    let output = Process::new("git")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .envs([
            ("GIT_AUTHOR_NAME", "a"),
            ("GIT_AUTHOR_EMAIL", "a@example.org"),
            ("GIT_COMMITTER_NAME", "a"),
            ("GIT_COMMITTER_EMAIL", "a@example.org"),
            ("GIT_AUTHOR_DATE", "2026-01-01T00:00:00Z"),
            ("GIT_COMMITTER_DATE", "2026-01-01T00:00:00Z"),
        ])
        .arg("-C")
        .arg(repository)
        .args(arguments)
        .output()
        .expect("git starts");
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub(crate) fn write(path: &Path, content: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
    fs::write(path, content).expect("a file");
    if content.starts_with("#!") {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
    }
}

/// Commits everything and returns it as a source.
pub(crate) fn commit(repository: &Path) -> SourceSpec {
    git(repository, &["add", "-A"]);
    git(repository, &["commit", "-q", "--allow-empty", "-m", "x"]);
    SourceSpec {
        repository: repository.to_owned(),
        head: Some(ObjectId::new(git(repository, &["rev-parse", "HEAD"])).expect("an id")),
        tree: ObjectId::new(git(repository, &["rev-parse", "HEAD^{tree}"])).expect("an id"),
        stale: false,
    }
}

pub(crate) fn sh(script: &str) -> Node {
    node("execute-x", Command::Shell { script: script.to_owned(), as_root: false })
}

pub(crate) fn argv(words: &[&str]) -> Node {
    node("execute-x", Command::Argv(words.iter().map(|&word| word.to_owned()).collect()))
}

pub(crate) fn writable(mut node: Node) -> Node {
    node.spec.workspace = Workspace::Writable;
    node
}

pub(crate) fn with_secret(request: &mut AttemptRequest, name: &str, value: &str) {
    request.secrets.insert(EnvName::new(name).expect("a name"), Secret::new(value));
}

pub(crate) fn with_output(request: &mut AttemptRequest, of: &str, output: PreparedOutput) {
    request.outputs.insert(NodeId::new(of).expect("an id"), output);
}

/// An observer that keeps what it is told.
#[derive(Default)]
pub(crate) struct Notes {
    pub(crate) intents: Mutex<Vec<Intent>>,
    pub(crate) phases: Mutex<Vec<Phase>>,
    pub(crate) verdicts: Mutex<Vec<AttemptResult>>,
}

impl Observer for Notes {
    fn intent(&self, intent: &Intent) -> std::io::Result<()> {
        self.intents.lock().expect("no panic").push(intent.clone());
        Ok(())
    }

    fn phase(&self, phase: Phase) {
        self.phases.lock().expect("no panic").push(phase);
    }

    fn verdict(&self, result: &AttemptResult) -> std::io::Result<()> {
        self.verdicts.lock().expect("no panic").push(result.clone());
        Ok(())
    }
}
