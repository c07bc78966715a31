//! The engines of `scripts/testbed`: found where it says, started when they are not there.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// A test bed that is up: its directory and what its `env` file says.
pub(crate) struct TestBed {
    pub(crate) dir: PathBuf,
    pub(crate) env: BTreeMap<String, String>,
    /// Whether it is this test's alone, and goes with it.
    own: bool,
}

impl TestBed {
    /// Returns the bed that tests share, with these engines up. `None`, with the reason on stderr,
    /// where they cannot start; under CI that is a failure.
    pub(crate) fn shared(engines: &[&str]) -> Option<Self> {
        let uid = rustix::process::getuid().as_raw();
        let dir = std::env::var_os("FORGE_LANES_TESTBED").map_or_else(
            || PathBuf::from(format!("/var/tmp/forge-lanes-testbed-{uid}")),
            PathBuf::from,
        );
        Self::up(dir, engines, false)
    }

    /// Returns a bed of this test's own, whose engines it may break.
    pub(crate) fn own(name: &str, engines: &[&str]) -> Option<Self> {
        clear_abandoned(name);
        let dir = PathBuf::from(format!("/var/tmp/fl-{name}-{}", std::process::id()));
        Self::up(dir, engines, true)
    }

    /// The same bed once more, which somebody else takes down.
    pub(crate) fn borrowed(of: &Self) -> Self {
        Self { dir: of.dir.clone(), env: of.env.clone(), own: false }
    }

    #[expect(clippy::print_stderr, reason = "a skipped test says why")]
    fn up(dir: PathBuf, engines: &[&str], own: bool) -> Option<Self> {
        let output = script(&dir).arg("up").args(engines).output().expect("scripts/testbed starts");
        if !output.status.success() {
            let why = String::from_utf8_lossy(&output.stderr);
            let why = why.lines().last().unwrap_or("no reason given");
            assert!(std::env::var_os("CI").is_none(), "{engines:?} cannot start: {why}");
            eprintln!("skipped: {engines:?} cannot start here: {why}");
            return None;
        }
        let text = std::fs::read_to_string(dir.join("env")).expect("an env file");
        let env = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Some(Self { dir, env, own })
    }

    /// Returns the pid of one of its daemons.
    pub(crate) fn pid(&self, daemon: &str) -> String {
        let text = std::fs::read_to_string(self.dir.join("pids").join(daemon)).expect("a pid");
        text.split_whitespace().next().expect("a pid").to_owned()
    }

    /// Sends a signal to one of its daemons.
    pub(crate) fn signal(&self, daemon: &str, signal: &str) {
        let status = Command::new("kill").args([signal, &self.pid(daemon)]).status();
        assert!(status.expect("kill starts").success());
    }

    /// Cuts or restores the network of one of its hosts.
    pub(crate) fn link(&self, verb: &str, host: &str) {
        let status = script(&self.dir).args(["link", verb, host]).status();
        assert!(status.expect("scripts/testbed starts").success());
    }

    /// Heals what is broken.
    pub(crate) fn heal(&self, engines: &[&str]) {
        let status = script(&self.dir).arg("up").args(engines).stdout(Stdio::null()).status();
        assert!(status.expect("scripts/testbed starts").success());
    }

    /// Runs `incus` against its daemon; returns what it printed, trimmed.
    pub(crate) fn incus(&self, words: &[&str]) -> (bool, String) {
        self.incus_at(None, words)
    }

    /// The same against another daemon, by its directory.
    pub(crate) fn incus_at(&self, dir: Option<&str>, words: &[&str]) -> (bool, String) {
        let dir = dir.map(str::to_owned).or_else(|| self.env.get("INCUS_DIR").cloned());
        let output = Command::new("incus")
            .args(words)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.dir)
            .envs(&self.env)
            .env("INCUS_DIR", dir.unwrap_or_default())
            .stdin(Stdio::null())
            .output()
            .expect("incus starts");
        let text = if output.status.success() { &output.stdout } else { &output.stderr };
        (output.status.success(), String::from_utf8_lossy(text).trim().to_owned())
    }
}

/// Takes down the beds of that name whose test was killed before it could.
fn clear_abandoned(name: &str) {
    for entry in std::fs::read_dir("/var/tmp").into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        let pid = file.strip_prefix(&format!("fl-{name}-")).and_then(|pid| pid.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new("/proc").join(pid.to_string()).exists()) {
            let _ = script(&entry.path()).arg("down").stdout(Stdio::null()).status();
        }
    }
}

fn script(dir: &Path) -> Command {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/testbed");
    let mut command = Command::new(path);
    command.env("FORGE_LANES_TESTBED", dir).stdin(Stdio::null());
    command
}

impl Drop for TestBed {
    fn drop(&mut self) {
        if self.own {
            let _ = script(&self.dir).arg("down").stdout(Stdio::null()).status();
        }
    }
}
