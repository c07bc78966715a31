//! Finds the stand-in for `tart` that cargo built beside these tests, and gives each test one
//! with a home and a `PATH` of its own.
//!
//! The stand-in is an example of this package: `cargo test` and `cargo nextest run` build it with
//! the tests (a run narrowed by `--test` does not: build it once by
//! `cargo build -p executor --example tart-stand-in`).

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A `tart` of its own: an empty home, and a directory for `PATH` where it has that name.
pub(crate) struct Tart {
    directory: TempDir,
}

impl Tart {
    /// A fresh one; `None`, with the reason printed, where a guest cannot be made. Under `CI=true`
    /// that is a failure.
    pub(crate) fn new() -> Option<Self> {
        if let Err(reason) = guests_can_be_made() {
            assert!(std::env::var_os("CI").is_none_or(|ci| ci != "true"), "{reason}");
            #[expect(clippy::print_stderr, reason = "a skipped test says why")]
            {
                eprintln!("skipped: {reason}");
            }
            return None;
        }
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        for name in ["bin", "home", "tart"] {
            fs::create_dir(directory.path().join(name)).expect("the directory is new");
        }
        let tart = Self { directory };
        std::os::unix::fs::symlink(program(), tart.bin().join("tart")).expect("the name is free");
        Some(tart)
    }

    /// The directory that holds `tart`, for the front of a `PATH`.
    pub(crate) fn bin(&self) -> PathBuf {
        self.directory.path().join("bin")
    }

    /// What to set `TART_HOME` to.
    pub(crate) fn home(&self) -> PathBuf {
        self.directory.path().join("tart")
    }

    /// Where a test may put things of the host.
    pub(crate) fn scratch(&self) -> PathBuf {
        self.directory.path().join("home")
    }

    /// Switches these faults on and all others off (see the table in `stand-ins/tart/main.rs`).
    pub(crate) fn faults(&self, lines: &[&str]) {
        fs::write(self.home().join("faults"), lines.join("\n")).expect("the home is writable");
    }

    /// A command with this `tart` on its `PATH` and nothing else in its environment.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut path = OsString::from(self.bin());
        path.push(":/usr/bin:/bin:/usr/sbin:/sbin");
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.scratch())
            .env("TART_HOME", self.home())
            .env("TMPDIR", self.scratch())
            .stdin(Stdio::null());
        command
    }

    /// Runs `tart` to its end.
    #[track_caller]
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        let program = self.bin().join("tart");
        let output = self.command(&program.to_string_lossy()).args(arguments).output();
        output.expect("the stand-in can be started")
    }

    /// A stopped guest to clone from.
    #[track_caller]
    pub(crate) fn create(&self, name: &str) {
        let created = self.run(&["create", "--from-ipsw=latest", name]);
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    }
}

impl Drop for Tart {
    /// Ends what a failed test left running.
    fn drop(&mut self) {
        self.faults(&[]);
        let listed = self.run(&["list", "-q", "--source", "local"]);
        for name in String::from_utf8_lossy(&listed.stdout).lines() {
            self.run(&["stop", name, "-t", "2"]);
        }
    }
}

fn program() -> PathBuf {
    let tests = std::env::current_exe().expect("a test knows its own path");
    let profile = tests.ancestors().nth(2).expect("tests lie in PROFILE/deps");
    let program = profile.join("examples/tart-stand-in");
    assert!(
        program.exists(),
        "{} is not built: run `cargo build -p executor --example tart-stand-in`",
        program.display()
    );
    program
}

fn guests_can_be_made() -> Result<(), String> {
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let tried = unshare.args(["--mount", "--pid", "--fork", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!(
            "a stand-in guest takes root or user namespaces: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )),
        Err(error) => Err(format!("a stand-in guest takes `unshare` of util-linux: {error}")),
    }
}
