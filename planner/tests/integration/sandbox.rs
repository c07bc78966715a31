//! A throw-away repository and the `git` program, free of the machine's configuration.

use std::{
    cell::Cell,
    ffi::OsStr,
    fs,
    io::Write as _,
    os::unix::{ffi::OsStrExt as _, fs::PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use planner::{
    change_set::ChangeSet,
    git::{ObjectId, Repository},
};
use plans::{ChangeStatus, RepoPath};
use tempfile::TempDir;

/// A repository, in a directory that goes away with it.
pub(crate) struct Sandbox {
    dir: TempDir,
    clock: Cell<u64>,
}

impl Sandbox {
    /// An empty repository on the branch `main`.
    pub(crate) fn new() -> Self {
        Self::with(&[])
    }

    /// The same, with more arguments for `git init`.
    pub(crate) fn with(init: &[&str]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir(dir.path().join("home")).expect("a home");
        let sandbox = Self { dir, clock: Cell::new(1_700_000_000) };
        let root = sandbox.root();
        fs::create_dir(&root).expect("a root");
        sandbox.git_in(&root, &[&["init", "-q", "-b", "main"], init].concat());
        sandbox.settle(&root);
        sandbox
    }

    /// Makes a repository deaf to the machine's configuration, for libgit2 in this process too.
    pub(crate) fn settle(&self, root: &Path) {
        for (key, value) in
            [("core.autocrlf", "false"), ("core.excludesFile", ""), ("core.attributesFile", "")]
        {
            self.git_in(root, &["config", key, value]);
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.dir.path().join("repository")
    }

    /// A directory beside the repository.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `git` with a cleared environment and a clock that ticks once per call.
    pub(crate) fn command(&self, dir: &Path) -> Command {
        let date = self.clock.get();
        self.clock.set(date + 1);
        let mut command = Command::new("git");
        command
            .current_dir(dir)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.dir.path().join("home"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_AUTHOR_NAME", "a")
            .env("GIT_AUTHOR_EMAIL", "a@example.com")
            .env("GIT_AUTHOR_DATE", format!("{date} +0000"))
            .env("GIT_COMMITTER_NAME", "c")
            .env("GIT_COMMITTER_EMAIL", "c@example.com")
            .env("GIT_COMMITTER_DATE", format!("{date} +0000"))
            .args(["-c", "protocol.file.allow=always", "-c", "advice.addEmbeddedRepo=false"]);
        command
    }

    #[track_caller]
    pub(crate) fn git_in<A: AsRef<OsStr>>(&self, dir: &Path, args: &[A]) -> Vec<u8> {
        let mut command = self.command(dir);
        command.args(args);
        finish(command, &[])
    }

    #[track_caller]
    pub(crate) fn git<A: AsRef<OsStr>>(&self, args: &[A]) -> String {
        let output = self.git_in(&self.root(), args);
        String::from_utf8(output).expect("text").trim_end().to_owned()
    }

    #[track_caller]
    pub(crate) fn git_with_input(&self, args: &[&str], input: &[u8]) -> String {
        let mut command = self.command(&self.root());
        command.args(args);
        String::from_utf8(finish(command, input)).expect("text").trim_end().to_owned()
    }

    /// Writes a file of the work tree, with the directories above it.
    pub(crate) fn write(&self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) {
        let path = self.root().join(OsStr::from_bytes(path.as_ref()));
        fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    pub(crate) fn make_executable(&self, path: &str) {
        let path = self.root().join(path);
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a file");
    }

    /// Commits all of the work tree; returns the commit.
    #[track_caller]
    pub(crate) fn commit(&self, message: &str) -> ObjectId {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.id("HEAD")
    }

    /// Commits one new file, named after the message.
    #[track_caller]
    pub(crate) fn commit_file(&self, message: &str) -> ObjectId {
        self.write(message, message);
        self.commit(message)
    }

    #[track_caller]
    pub(crate) fn id(&self, revision: &str) -> ObjectId {
        self.git(&["rev-parse", revision]).parse().expect("an object id")
    }

    #[track_caller]
    pub(crate) fn open(&self) -> Repository {
        Repository::open(&self.root()).expect("the repository opens")
    }
}

#[track_caller]
pub(crate) fn finish(mut command: Command, input: &[u8]) -> Vec<u8> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("git starts");
    child.stdin.take().expect("a pipe").write_all(input).expect("git reads");
    let output = child.wait_with_output().expect("git ends");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    output.stdout
}

/// Path and status of each change, as text.
pub(crate) fn shown(changes: &ChangeSet) -> Vec<String> {
    changes.iter().map(|change| format!("{} {}", change.status, change.path)).collect()
}

/// Path and status of each change, in bytes.
pub(crate) fn pairs(changes: &ChangeSet) -> Vec<(Vec<u8>, ChangeStatus)> {
    changes.iter().map(|change| (change.path.as_bytes().to_vec(), change.status)).collect()
}

pub(crate) fn path(bytes: impl AsRef<[u8]>) -> RepoPath {
    RepoPath::new(bytes.as_ref()).expect("a path")
}

/// Numbers that look random and are the same in every run (SplitMix64).
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^= mixed >> 31;
        usize::try_from(mixed % limit as u64).expect("small")
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Runs `planner` in the repository with a cleared environment: exit code, stdout, stderr.
#[track_caller]
pub(crate) fn planner(sandbox: &Sandbox, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_planner"))
        .args(args)
        .current_dir(sandbox.root())
        .env_clear()
        .env("HOME", sandbox.beside("home"))
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::null())
        .output()
        .expect("the planner starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (output.status.code().expect("an exit code"), text(output.stdout), text(output.stderr))
}

/// How often a property is tried: as often as `PROPTEST_CASES` says, else so often.
pub(crate) fn cases(cases: u32) -> proptest::prelude::ProptestConfig {
    let default = proptest::prelude::ProptestConfig::default();
    let cases = if default.cases == 256 { cases } else { default.cases };
    proptest::prelude::ProptestConfig {
        cases,
        max_shrink_iters: 400,
        failure_persistence: None,
        ..default
    }
}
