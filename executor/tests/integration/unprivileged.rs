//! An executor that is not root: what root does with mounts it does in a user namespace.

use std::{os::unix::fs::PermissionsExt as _, path::PathBuf, process::Command};

use plans::{AbsolutePath, EnvName, Mount, Output, Workspace, WorkspacePath};

use crate::harness::{EXECUTOR, Ended, World, cache, node_id, outcomes, sh, until, with_cache};

#[test]
fn caches_are_moved_into_a_workspace_or_mounted_over_one_that_cannot_be_written_to() {
    let bench = Unprivileged::new();
    let counts = "cat out/cache/value; echo more >>out/cache/value";
    let mut nodes = Vec::new();
    for (id, workspace) in
        [("execute-own", Workspace::Writable), ("execute-shown", Workspace::ReadOnly)]
    {
        let mut node = sh(id, counts, &[]);
        node.spec.workspace = workspace;
        nodes.push(with_cache(node, cache(id, "out/cache"), "one"));
    }
    let plan = bench.world.plan(nodes);
    bench.hand_over();
    for _ in 0..3 {
        bench.run(&["apply", &plan]).code(0);
    }
    for id in ["execute-own", "execute-shown"] {
        assert_eq!(bench.log(id, "guest.log"), "more\nmore\n", "{id}");
        let log = bench.log(id, "host.log");
        assert!(log.contains(": hit, "), "{log}");
    }
}

const NOBODY: &str = "65534";

/// A world of `nobody`'s, with the program inside: the build directory may be root's alone.
pub(crate) struct Unprivileged {
    pub(crate) world: World,
    executor: PathBuf,
    root: bool,
}

impl Unprivileged {
    pub(crate) fn new() -> Self {
        let world = World::new();
        let executor = world.path().join("executor");
        std::fs::copy(EXECUTOR, &executor).expect("copied");
        Self { world, executor, root: rustix::process::geteuid().is_root() }
    }

    /// Gives everything away, once everything is there.
    pub(crate) fn hand_over(&self) {
        if self.root {
            let open = std::fs::Permissions::from_mode(0o755);
            std::fs::set_permissions(self.world.path(), open).expect("opened");
            let mut command = Command::new("chown");
            command.args(["-R", "65534:65534"]).arg(self.world.path());
            assert!(command.status().expect("chown starts").success());
        }
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let template = self.world.command(&[]);
        let mut command = if self.root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--"]);
            command.arg(&self.executor);
            command
        } else {
            Command::new(&self.executor)
        };
        command.args(arguments).env_clear().current_dir(self.world.repo());
        command.envs(template.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("USER", "nobody").stdin(std::process::Stdio::null());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().expect("the program starts"))
    }

    pub(crate) fn log(&self, node: &str, name: &str) -> String {
        self.world.log(node, name)
    }
}

#[test]
fn everything_of_a_host_process_works_without_root() {
    let it = Unprivileged::new();
    let mut prepare = sh("prepare-tools", "mkdir -p out && echo tool > out/tool", &[]);
    prepare.spec.workspace = Workspace::Writable;
    prepare.output = Some(Output::Directory(WorkspacePath::new("out").expect("a path")));
    let mut uses = sh(
        "execute-uses",
        "cat /staged/tools/tool; ! touch /staged/tools/new 2>/dev/null; id -u",
        &["prepare-tools"],
    );
    uses.mounts = vec![Mount {
        node: node_id("prepare-tools"),
        path: AbsolutePath::new("/staged/tools").expect("a path"),
    }];
    let reads = sh(
        "execute-reads",
        "cat file.txt; ! sh -c 'echo x > file.txt' 2>/dev/null && ! rm -f file.txt 2>/dev/null \
         && ! touch new 2>/dev/null",
        &[],
    );
    let mut writes = sh(
        "execute-writes",
        "rm file.txt && mkdir d && echo new > d/file.txt && cp d/file.txt \"$ARTIFACTS_DIR/kept\"",
        &[],
    );
    writes.spec.workspace = Workspace::Writable;
    writes.spec.artifacts = vec!["kept".to_owned()];
    let mut masks = sh("execute-masks", "echo \"it is $TOKEN\"", &[]);
    masks.spec.secrets.insert(EnvName::new("TOKEN").expect("a name"));
    let mut slow = sh("execute-slow", "setsid sh -c 'trap \"\" TERM; sleep 60' & sleep 60", &[]);
    slow.spec.timeout_secs = 1;
    let plan = it.world.plan(vec![prepare, uses, reads, writes, masks, slow]);
    it.hand_over();
    let mut command = it.command(&["apply", &plan]);
    let ended = Ended::of(command.env("TOKEN", "hunter2hunter2").output().expect("starts"));
    let ended = ended.code(1);
    let record = it.world.record();
    let outcomes = outcomes(&record);
    for (node, outcome) in &outcomes {
        let expected = if node == "execute-slow" { "timed_out" } else { "passed" };
        assert_eq!(outcome, expected, "{node}: {}\n{}", it.log(node, "guest.log"), ended.err);
    }
    let uid = rustix::process::geteuid();
    let uid = if it.root { NOBODY.to_owned() } else { uid.as_raw().to_string() };
    assert_eq!(it.log("execute-uses", "guest.log"), format!("tool\n{uid}\n"));
    assert_eq!(it.log("execute-masks", "guest.log"), "it is ***\n");
    assert_eq!(it.log("execute-writes", "artifacts/kept"), "new\n");
    // Where a namespace is to be had, a tree is more than modes.
    assert!(!it.log("execute-reads", "host.log").contains("modes alone"), "{}", ended.err);
    it.run(&["gc", "--keep", "0"]).code(0);
    assert_eq!(it.world.runs(), Vec::<PathBuf>::new());
}

#[test]
fn cancel_and_resume_work_without_root() {
    let it = Unprivileged::new();
    let up = it.world.path().join("up");
    let script = format!("touch {}; setsid sleep 60 & sleep 60", up.display());
    let plan = it.world.plan(vec![sh("execute-a", &script, &[])]);
    it.hand_over();
    let mut child = it.command(&["apply", &plan]).spawn().expect("starts");
    until(|| up.exists());
    child.kill().expect("killed");
    child.wait().expect("it ends");
    it.run(&["cancel", "latest"]).code(0);
    assert_eq!(it.world.record()["outcome"], "cancelled");
    assert_eq!(it.run(&["gc", "--dry-run"]).code(0).out, "");
}
