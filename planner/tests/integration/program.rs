//! The `planner` program in a cleared environment, and repositories it can plan.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Stdio},
};

use crate::sandbox::Sandbox;

/// How a call ended and what it said.
pub(crate) struct Said {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    /// What it printed, if it ended with that code.
    #[track_caller]
    pub(crate) fn with_code(self, code: i32) -> String {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        self.out
    }

    /// The plan it printed.
    #[track_caller]
    pub(crate) fn plan(self) -> plans::Plan {
        plans::Plan::from_json(self.with_code(0).as_bytes()).expect("a plan").0
    }

    /// What it complained about: bad usage or input, and nothing on stdout.
    #[track_caller]
    pub(crate) fn refused(self) -> String {
        assert_eq!((self.code, self.out.as_str()), (2, ""), "{}", self.err);
        self.err
    }
}

impl Sandbox {
    /// `planner`, as it starts in a directory.
    pub(crate) fn planner_command(&self, dir: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_planner"));
        command.current_dir(dir).env_clear().env("HOME", self.beside("home"));
        command
    }

    #[track_caller]
    pub(crate) fn planner(&self, args: &[&str]) -> Said {
        self.planner_in(&self.root(), args, b"")
    }

    /// The same, with variables.
    #[track_caller]
    pub(crate) fn planner_with(&self, args: &[&str], variables: &[(&str, &str)]) -> Said {
        let mut command = self.planner_command(&self.root());
        command.args(args).envs(variables.iter().copied()).stdin(Stdio::null());
        let output = command.output().expect("planner runs");
        Said {
            code: output.status.code().expect("an exit code"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    #[track_caller]
    pub(crate) fn planner_in(&self, dir: &Path, args: &[&str], input: &[u8]) -> Said {
        let mut command = self.planner_command(dir);
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("planner starts");
        // A program that does not read its input may be gone already.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        let output = child.wait_with_output().expect("planner ends");
        Said {
            code: output.status.code().expect("an exit code"),
            out: String::from_utf8(output.stdout).expect("text"),
            err: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// Writes manifest and catalog.
    pub(crate) fn define(&self, manifest: &str, catalog: &str) {
        self.write("ci/forge-lanes.toml", manifest);
        self.write("ci/catalog.toml", catalog);
    }

    /// A repository with two lanes, `rust` and `docs`, one nightly lane, and a first commit.
    pub(crate) fn with_lanes() -> Self {
        let sandbox = Self::new();
        sandbox.define(MANIFEST, CATALOG);
        sandbox.write("src/lib.rs", "");
        sandbox.write("docs/a.md", "");
        sandbox.commit("base");
        sandbox
    }
}

/// The ids of the lanes that run.
pub(crate) fn lanes_of(plan: &plans::Plan) -> Vec<&str> {
    plan.lanes().iter().filter(|lane| lane.selected).map(|lane| lane.id.as_str()).collect()
}

/// The ids of the nodes.
pub(crate) fn nodes_of(plan: &plans::Plan) -> Vec<&str> {
    plan.nodes().iter().map(|node| node.id.as_str()).collect()
}

pub(crate) const MANIFEST: &str = r#"version = 1
default_branch = "main"

[path_sets]
sources = ["src/**", "@build"]
build = ["Cargo.toml"]

[[branch.lanes]]
id = "rust"
target = "rust"
paths = ["@sources"]

[[branch.lanes]]
id = "docs"
target = "docs"
paths = ["docs/**", "*.md"]
exclude = ["docs/drafts/**"]
concurrency_group = "site"
after = ["rust"]

[[nightly.lanes]]
id = "fuzz"
command = ["just", "fuzz"]
"#;

pub(crate) const CATALOG: &str = r#"version = 1

[[targets]]
id = "rust"
description = "the crates"
[[targets.jobs]]
id = "build"
description = "build"
base = "host_local"
timeout_secs = 60
command = { argv = ["cargo", "build"] }
[[targets.jobs]]
id = "unit"
description = "unit tests"
base = "host_local"
timeout_secs = 60
needs = ["build"]
command = { argv = ["cargo", "test"] }
paths = ["src/**"]

[[targets]]
id = "docs"
description = "the site"
[[targets.jobs]]
id = "site"
description = "build the site"
base = "host_local"
timeout_secs = 60
command = { argv = ["mkdocs", "build"] }
"#;
