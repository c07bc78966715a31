//! Whole runs whose jobs are in guests of Tart: the program itself, and the stand-in for `tart`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use plans::{
    AbsolutePath, EngineName, HostName, Mount, Node, Output, Placement, Runtime, SshDestination,
    SshHost, Workspace, WorkspacePath,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    harness::{Ended, World, node_id, outcomes, sh, until},
    sshd::Sshd,
    stand_in::Tart,
};

/// A world with a Tart that has one image, `base`.
pub(crate) struct Mac {
    pub(crate) world: World,
    pub(crate) tart: Tart,
    /// The host that has that Tart, when it is not this machine.
    far: Option<Sshd>,
}

impl Mac {
    pub(crate) fn new() -> Option<Self> {
        let tart = Tart::new()?;
        tart.create("base");
        Some(Self { world: World::new(), tart, far: None })
    }

    /// The same behind a real sshd, whose sessions alone know of Tart.
    pub(crate) fn far() -> Option<Self> {
        let mut mac = Self::new()?;
        let path = std::env::var("PATH").unwrap_or_default();
        let far = Sshd::start(&format!(
            "SetEnv HOME={home} TART_HOME={tart} \"PATH={bin}:{path}\"\n",
            home = mac.world.path().join("home").display(),
            tart = mac.tart.home().display(),
            bin = mac.tart.bin().display(),
        ))?;
        let bin = far.root().join("wrapped");
        let real = ["/usr/bin/ssh", "/usr/local/bin/ssh"];
        let real = real.iter().find(|path| Path::new(path).exists()).expect("an ssh client");
        // The user's own ssh, with the test's configuration instead of the user's.
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *' -F none '*) ;; *) set -- -F '{}' \"$@\" ;; esac\n\
             exec {real} \"$@\"\n",
            far.root().join("ssh_config").display()
        );
        crate::bench::write(&bin.join("ssh"), &script);
        fs::create_dir_all(far.root().join("r")).expect("made");
        mac.far = Some(far);
        Some(mac)
    }

    /// The node, where that Tart is.
    pub(crate) fn at(&self, mut node: Node) -> Node {
        if let Some(far) = &self.far {
            let work_dir = far.root().join("work dir");
            node.spec.placement = Placement::RemoteSsh(SshHost {
                host: HostName::new("far").expect("a name"),
                ssh: SshDestination::new("testhost").expect("a destination"),
                work_dir: AbsolutePath::new(work_dir.to_str().expect("UTF-8")).expect("a path"),
                max_jobs: 4,
            });
        }
        node
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(arguments);
        let path = std::env::var("PATH").unwrap_or_default();
        match &self.far {
            None => {
                command
                    .env("PATH", format!("{}:{path}", self.tart.bin().display()))
                    .env("TART_HOME", self.tart.home());
            }
            // This machine has no Tart then.
            Some(far) => {
                command
                    .env("PATH", format!("{}/wrapped:{path}", far.root().display()))
                    .env("XDG_RUNTIME_DIR", far.root().join("r"));
            }
        }
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().expect("the program starts"))
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("the program starts")
    }

    pub(crate) fn log(&self, id: &str) -> String {
        let Some(run) = self.world.runs().pop() else { return String::new() };
        fs::read_to_string(run.join("nodes").join(id).join("guest.log")).unwrap_or_default()
    }

    pub(crate) fn node_record(&self, id: &str) -> Value {
        let record = self.world.record();
        let nodes = record["nodes"].as_array().expect("nodes");
        nodes.iter().find(|node| node["id"] == id).expect("a node").clone()
    }

    pub(crate) fn result(&self, id: &str) -> String {
        let run = self.world.runs().pop().expect("a run");
        fs::read_to_string(run.join("nodes").join(id).join("result.json")).unwrap_or_default()
    }

    /// The guests that tart knows, the image apart.
    pub(crate) fn guests(&self) -> Vec<String> {
        let listed = self.tart.run(&["list", "-q", "--source", "local"]);
        let names = String::from_utf8_lossy(&listed.stdout).into_owned();
        names.lines().filter(|name| *name != "base").map(str::to_owned).collect()
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.world.path().join("home/.forge-lanes/tart")
    }

    /// Nothing is left: no guest, no record, no place taken.
    #[track_caller]
    pub(crate) fn is_clean(&self) {
        assert_eq!(self.guests(), Vec::<String>::new());
        assert_eq!(names(&self.records()), [".lock"]);
    }

    /// One run of one node.
    pub(crate) fn apply(&self, node: Node, code: i32) -> Value {
        let id = node.id.to_string();
        let plan = self.world.plan(vec![self.at(node)]);
        let ended = self.run(&["apply", &plan]);
        let record = || self.result(&id);
        assert_eq!(ended.code, Some(code), "\n{}\n{}\n{}", ended.err, record(), self.log(&id));
        self.node_record(&id)
    }
}

pub(crate) fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

macro_rules! mac {
    () => {
        match Mac::new() {
            Some(mac) => mac,
            None => return,
        }
    };
}

/// A node like `sh`'s, in a guest.
pub(crate) fn guest(id: &str, script: &str, depends_on: &[&str]) -> Node {
    let mut node = sh(id, script, depends_on);
    node.spec.runtime = Runtime::Tart(plans::Tart {
        image: EngineName::new("base").expect("a name"),
        cpu: None,
        memory_mib: None,
        disk_gb: None,
        boot_timeout_secs: Some(20),
    });
    node
}

pub(crate) fn tart_of(node: &mut Node) -> &mut plans::Tart {
    let Runtime::Tart(tart) = &mut node.spec.runtime else { panic!("not in a guest") };
    tart
}

#[test]
fn a_job_runs_in_a_guest_of_its_own_and_leaves_nothing() {
    let mac = mac!();
    let mut node = guest(
        "execute-a",
        "cat file.txt; echo \"$CI $FORGE_LANES_NODE\"; test -w \"$TMPDIR\"; echo err >&2; \
         echo no > file.txt || echo refused; test ! -e /root/.bashrc && uname >/dev/null; id -un",
        &[],
    );
    tart_of(&mut node).cpu = Some(2);
    tart_of(&mut node).disk_gb = Some(60);
    let record = mac.apply(node, 0);
    assert_eq!(record["outcome"], "passed");
    assert_eq!((&record["placement"], &record["runtime"]), (&"local".into(), &"tart".into()));
    let log = mac.log("execute-a");
    assert!(log.starts_with("content\ntrue execute-a\nerr\n"), "{log}");
    assert!(log.contains("refused\n"), "{log}");
    mac.is_clean();
    let run = mac.world.runs().pop().expect("a run");
    let host_log = fs::read_to_string(run.join("nodes/execute-a/host.log")).expect("a log");
    assert!(host_log.starts_with("runtime=tart placement=local host="), "{host_log}");
    assert_eq!(names(&run.join("nodes/execute-a")), ["guest.log", "host.log", "result.json"]);
}

#[test]
fn a_writable_tree_is_a_copy_and_artifacts_come_out() {
    let mac = mac!();
    let mut node = guest(
        "execute-a",
        "echo new >> file.txt; mkdir -p out; echo a > 'out/a b.txt'; ln -s /etc/passwd out/link; \
         echo b > \"$ARTIFACTS_DIR/b.txt\"; head -c 3000000 /dev/zero > out/large.bin; exit 3",
        &[],
    );
    node.spec.workspace = Workspace::Writable;
    node.spec.artifacts = vec!["out/**".to_owned(), "*.txt".to_owned()];
    let record = mac.apply(node, 1);
    assert_eq!((&record["outcome"], &record["exit_code"]), (&"failed".into(), &3.into()));
    let run = mac.world.runs().pop().expect("a run");
    let artifacts = run.join("nodes/execute-a/artifacts");
    assert_eq!(names(&artifacts), ["b.txt", "file.txt", "out"], "{}", mac.result("execute-a"));
    assert_eq!(names(&artifacts.join("out")), ["a b.txt", "large.bin"]);
    let size = artifacts.join("out/large.bin").metadata().expect("kept").len();
    assert_eq!(size, 3_000_000);
    assert_eq!(fs::read_to_string(artifacts.join("file.txt")).expect("kept"), "content\nnew\n");
    mac.is_clean();
}

#[test]
fn exit_codes_that_tart_uses_itself_are_the_jobs_own() {
    let mac = mac!();
    let nodes: Vec<Node> = [1, 2, 64, 255]
        .iter()
        .map(|code| guest(&format!("execute-{code}"), &format!("exit {code}"), &[]))
        .chain([
            guest("execute-signal", "kill -SEGV $$", &[]),
            guest("execute-missing", "exec /no/such/program", &[]),
        ])
        .collect();
    let plan = mac.world.plan(nodes);
    mac.run(&["apply", &plan]).code(1);
    for code in [1, 2, 64, 255] {
        let record = mac.node_record(&format!("execute-{code}"));
        assert_eq!((&record["outcome"], &record["exit_code"]), (&"failed".into(), &code.into()));
    }
    assert_eq!(mac.node_record("execute-signal")["outcome"], "failed");
    assert_eq!(mac.node_record("execute-missing")["exit_code"], 127);
    mac.is_clean();
}

#[test]
fn outputs_and_host_setups_are_seen_in_guests_and_made_in_them() {
    let mac = mac!();
    let mut makes = sh("prepare-makes", "mkdir made; echo made > made/x", &[]);
    makes.spec.workspace = Workspace::Writable;
    makes.output = Some(Output::Directory(WorkspacePath::new("made").expect("a path")));
    let mut inside = guest("prepare-inside", "mkdir made; echo inside > made/x", &[]);
    inside.spec.workspace = Workspace::Writable;
    inside.output = Some(Output::Directory(WorkspacePath::new("made").expect("a path")));
    let mut uses = guest(
        "execute-uses",
        "cat /opt/staged/x /opt/inside/x; ! echo n > /opt/staged/x",
        &["prepare-makes", "prepare-inside"],
    );
    let mount = |node: &str, path: &str| Mount {
        node: node_id(node),
        path: AbsolutePath::new(path).expect("a path"),
    };
    uses.mounts =
        vec![mount("prepare-makes", "/opt/staged"), mount("prepare-inside", "/opt/inside")];
    // A host setup is a process of the machine, once; its workspace is where guests start.
    let count = mac.world.path().join("count");
    let script = format!("echo set up > setup.txt; echo x >> {}", count.display());
    let mut setup = sh("prepare-setup", &script, &[]);
    setup.spec.workspace = Workspace::Writable;
    setup.output = Some(Output::Workspace);
    let after = |id: &str| {
        let mut node = guest(id, "cat setup.txt; echo own >> setup.txt", &["prepare-setup"]);
        node.spec.workspace = Workspace::Writable;
        node.workspace_from = Some(node_id("prepare-setup"));
        node
    };
    let plan =
        mac.world.plan(vec![makes, inside, uses, setup, after("execute-b"), after("execute-c")]);
    mac.run(&["apply", &plan]).code(0);
    assert!(mac.log("execute-uses").starts_with("made\ninside\n"), "{}", mac.log("execute-uses"));
    assert_eq!(mac.log("execute-b"), "set up\n");
    assert_eq!(mac.log("execute-c"), "set up\n");
    assert_eq!(fs::read_to_string(count).expect("a count"), "x\n");
    mac.is_clean();
}

#[test]
fn a_job_that_takes_too_long_is_ended_and_its_guest_deleted() {
    let mac = mac!();
    let mut node = guest("execute-a", "echo up; trap '' TERM; while :; do sleep 1; done", &[]);
    node.spec.timeout_secs = 2;
    let record = mac.apply(node, 1);
    assert_eq!(record["outcome"], "timed_out");
    assert_eq!(mac.log("execute-a"), "up\n");
    mac.is_clean();
}

#[test]
fn a_cancelled_run_deletes_its_guest() {
    let mac = mac!();
    let plan = mac.world.plan(vec![guest("execute-a", "echo up; sleep 1000", &[])]);
    let mut executor = mac.start(&["apply", &plan]);
    until(|| mac.log("execute-a").contains("up"));
    interrupt(&executor);
    assert_eq!(executor.wait().expect("it ends").code(), Some(130));
    assert_eq!(mac.node_record("execute-a")["outcome"], "cancelled");
    mac.is_clean();
}

#[test]
fn a_run_that_is_cancelled_while_its_guest_boots_deletes_it() {
    let mac = mac!();
    mac.tart.faults(&["agent-never"]);
    let plan = mac.world.plan(vec![guest("execute-a", "true", &[])]);
    let mut executor = mac.start(&["apply", &plan]);
    until(|| !mac.guests().is_empty());
    interrupt(&executor);
    assert_eq!(executor.wait().expect("it ends").code(), Some(130));
    mac.is_clean();
}

pub(crate) fn interrupt(child: &Child) {
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a pid");
    kill_process(pid, Signal::INT).expect("signalled");
}

#[test]
fn two_guests_at_most_run_on_a_machine() {
    let mac = mac!();
    let busy = mac.world.path().join("most");
    fs::create_dir(&busy).expect("made");
    let nodes = (0..5).map(|n| guest(&format!("execute-{n}"), "sleep 0.3", &[])).collect();
    // A third one would be refused by tart itself, and its node fail.
    let plan = mac.world.plan(nodes);
    let mut other = mac.start(&["apply", &plan, "--jobs", "5", "--state-dir", "other"]);
    mac.run(&["apply", &plan, "--jobs", "5"]).code(0);
    assert_eq!(other.wait().expect("it ends").code(), Some(0));
    for (id, outcome) in outcomes(&mac.world.record()) {
        assert_eq!(outcome, "passed", "{id}");
    }
    mac.is_clean();
}

#[test]
fn a_killed_executor_is_resumed_in_the_same_guest_and_nothing_runs_twice() {
    let mac = mac!();
    let script =
        "echo run; i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i + 1)); sleep 0.05; done";
    let plan = mac.world.plan(vec![guest("execute-a", script, &[])]);
    let mut executor = mac.start(&["apply", &plan]);
    until(|| mac.log("execute-a").contains("line 3\n"));
    executor.kill().expect("killed");
    executor.wait().expect("gone");
    let before = mac.guests();
    let run = mac.world.runs().pop().expect("a run");
    let run = run.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    assert_eq!(mac.run(&["gc", "--dry-run"]).code(0).out, "", "it can be resumed");
    mac.run(&["resume", &run]).code(0);
    let lines: String = (0..60).map(|n| format!("line {n}\n")).collect();
    assert_eq!(mac.log("execute-a"), format!("run\n{lines}"));
    assert_eq!(before.len(), 1);
    mac.is_clean();
}

#[test]
fn gc_removes_the_guest_of_a_dead_run_and_no_other() {
    let mac = mac!();
    let config = mac.world.path().join("executor.toml");
    fs::write(&config, "version = 1\nlease_secs = 3\n").expect("written");
    let config = config.to_str().expect("UTF-8");
    let plan = mac.world.plan(vec![guest("execute-a", "echo up; sleep 1000", &[])]);
    let mut executor = mac.start(&["--config", config, "apply", &plan]);
    until(|| mac.log("execute-a").contains("up"));
    let [name] = &mac.guests()[..] else { panic!("one guest, not {:?}", mac.guests()) };
    assert!(name.starts_with("ex-") && name.contains("-a-") && name.ends_with("-a1"), "{name}");
    mac.tart.create("ex-123456-mine-123456-a1");
    assert_eq!(mac.run(&["gc"]).code(0).out, "", "its run is held");
    executor.kill().expect("killed");
    executor.wait().expect("gone");
    until(|| !mac.run(&["gc"]).code(0).out.is_empty());
    assert_eq!(mac.guests(), ["ex-123456-mine-123456-a1"], "without a record it is nobody's");
    assert_eq!(names(&mac.records()), [".lock"]);
}

#[test]
fn the_toolchain_the_store_and_xcode_of_the_machine_are_shared_where_the_job_says_so() {
    let mac = mac!();
    let sysroot = mac.world.path().join("rust");
    let xcode = mac.world.path().join("Xcode.app");
    crate::bench::write(&sysroot.join("bin/cargo"), "#!/bin/sh\necho shared cargo\n");
    crate::bench::write(&xcode.join("Contents/Developer/x"), "");
    let rustc = format!("#!/bin/sh\necho '{}'\n", sysroot.display());
    crate::bench::write(&mac.tart.bin().join("rustc"), &rustc);
    let mut node = guest(
        "execute-a",
        "cargo --version; ls \"$DEVELOPER_DIR\"; if [ -d /nix ]; then ls /nix | grep store; else echo no store; fi",
        &[],
    );
    node.spec.mount_host_rust_toolchain = true;
    node.spec.mount_host_xcode =
        Some(AbsolutePath::new(xcode.to_str().expect("UTF-8")).expect("a path"));
    mac.apply(node, 0);
    let store = if Path::new("/nix/store").is_dir() { "store" } else { "no store" };
    assert_eq!(mac.log("execute-a"), format!("shared cargo\nx\n{store}\n"));
    mac.is_clean();
    let mut node = guest("execute-a", "true", &[]);
    node.spec.mount_host_xcode = Some(AbsolutePath::new("/no/Xcode.app").expect("a path"));
    fs::remove_dir_all(mac.world.state_dir()).expect("removed");
    assert_eq!(mac.apply(node, 3)["failure_kind"], "tool_missing");
}

/// A job that would go on for long, in a guest to which something happens.
pub(crate) fn broken(mac: &Mac, break_it: impl FnOnce(&str)) -> Value {
    let mut node = guest("execute-a", "echo up; sleep 1000", &[]);
    tart_of(&mut node).boot_timeout_secs = Some(8);
    let plan = mac.world.plan(vec![mac.at(node)]);
    let config = mac.world.path().join("executor.toml");
    fs::write(&config, "version = 1\ninfra_retries = 0\n").expect("written");
    let config = config.to_str().expect("UTF-8");
    let mut executor = mac.start(&["--config", config, "apply", &plan]);
    until(|| mac.log("execute-a").contains("up"));
    let [name] = &mac.guests()[..] else { panic!("one guest, not {:?}", mac.guests()) };
    break_it(name);
    assert_eq!(executor.wait().expect("it ends").code(), Some(3), "{}", mac.result("execute-a"));
    mac.is_clean();
    mac.node_record("execute-a")
}

#[test]
fn a_guest_that_stops_under_its_job_is_told_from_one_that_is_deleted() {
    let mac = mac!();
    let stopped = broken(&mac, |name| drop(mac.tart.run(&["stop", name])));
    assert_eq!(stopped["failure_kind"], "runtime_gone");
    assert!(mac.result("execute-a").contains("stopped under its job"));
    fs::remove_dir_all(mac.world.state_dir()).expect("removed");
    let deleted = broken(&mac, |name| {
        mac.tart.run(&["stop", name]);
        mac.tart.run(&["delete", name]);
    });
    assert_eq!(deleted["failure_kind"], "runtime_gone");
}

#[test]
fn a_guest_that_restarts_itself_is_said_to_have_done_so() {
    let mac = mac!();
    let restarted = broken(&mac, |name| {
        mac.tart.run(&["exec", name, "sudo", "/sbin/shutdown", "-r", "now"]);
    });
    assert_eq!(restarted["failure_kind"], "host_rebooted", "{}", mac.result("execute-a"));
}

#[test]
fn a_guest_that_shuts_itself_down_has_no_verdict() {
    let mac = mac!();
    let halted = broken(&mac, |name| {
        mac.tart.run(&["exec", name, "sudo", "/sbin/shutdown", "-h", "now"]);
    });
    assert_eq!(halted["failure_kind"], "runtime_gone");
    let result = mac.result("execute-a");
    assert!(result.contains("guest has stopped the virtual machine"), "{result}");
}

#[test]
fn streams_that_end_early_or_break_change_nothing_in_a_verdict_or_log() {
    let mac = mac!();
    for faults in [["exec-ends-early=4"], ["exec-drops=4"]] {
        let _ = fs::remove_dir_all(mac.world.state_dir());
        mac.tart.faults(&faults);
        let mut node = guest(
            "execute-a",
            "i=0; while [ $i -lt 20 ]; do echo line $i; i=$((i + 1)); sleep 0.05; done; \
             echo a > \"$ARTIFACTS_DIR/a\"; exit 7",
            &[],
        );
        node.spec.artifacts = vec!["a".to_owned()];
        let record = mac.apply(node, 1);
        assert_eq!((&record["outcome"], &record["exit_code"]), (&"failed".into(), &7.into()));
        let lines: String = (0..20).map(|n| format!("line {n}\n")).collect();
        assert_eq!(mac.log("execute-a"), lines);
        let run = mac.world.runs().pop().expect("a run");
        let kept = fs::read_to_string(run.join("nodes/execute-a/artifacts/a"));
        assert_eq!(kept.expect("kept"), "a\n");
        mac.is_clean();
    }
}

#[test]
fn what_keeps_a_guest_from_starting_is_said_at_once_and_leaves_nothing() {
    let mac = mac!();
    let config = mac.world.path().join("executor.toml");
    fs::write(&config, "version = 1\ninfra_retries = 0\n").expect("written");
    let config = config.to_str().expect("UTF-8");
    for (fault, kind, says) in [
        ("keychain-locked", "engine_refused", "login keychain"),
        ("phantoms=2", "not_ready", "two macOS guests at most"),
        ("run-dies-after-ms=20", "not_ready", "ended with"),
        ("clone-enospc=1", "disk_full", "no room for a clone"),
        ("agent-never", "not_ready", "did not answer within 2 s"),
    ] {
        let _ = fs::remove_dir_all(mac.world.state_dir());
        mac.tart.faults(&[fault, "agent-delay-ms=2000"]);
        let mut node = guest("execute-a", "true", &[]);
        tart_of(&mut node).boot_timeout_secs = Some(2);
        let plan = mac.world.plan(vec![node]);
        mac.run(&["--config", config, "apply", &plan]).code(3);
        let record = mac.node_record("execute-a");
        assert_eq!(record["failure_kind"], kind, "{fault}: {}", mac.result("execute-a"));
        let result = mac.result("execute-a");
        assert!(result.contains(says), "{fault}: {result}");
        mac.is_clean();
    }
    mac.tart.faults(&[]);
    let _ = fs::remove_dir_all(mac.world.state_dir());
    let mut node = guest("execute-a", "true", &[]);
    tart_of(&mut node).image = EngineName::new("no-such-image").expect("a name");
    assert_eq!(mac.apply(node, 3)["failure_kind"], "image_missing");
}

#[test]
fn a_guest_that_does_not_want_to_go_is_made_to() {
    let mac = mac!();
    mac.tart.faults(&["stop-ignored", "delete-fails=2"]);
    mac.apply(guest("execute-a", "true", &[]), 0);
    assert_eq!(mac.guests(), Vec::<String>::new(), "{}", mac.result("execute-a"));
    mac.is_clean();
}

#[test]
fn shares_that_come_and_go_lose_no_file_of_a_copy() {
    let mac = mac!();
    mac.tart.faults(&["shares-flap-ms=40"]);
    let mut node = guest("execute-a", "cat file.txt", &[]);
    node.spec.workspace = Workspace::Writable;
    mac.apply(node, 0);
    assert_eq!(mac.log("execute-a"), "content\n");
    mac.is_clean();
}

#[test]
fn doctor_says_whether_a_machine_has_the_image() {
    let mac = mac!();
    let mut missing = guest("execute-b", "true", &[]);
    tart_of(&mut missing).image = EngineName::new("no-such-image").expect("a name");
    let plan = mac.world.plan(vec![guest("execute-a", "true", &[]), missing]);
    let ended = mac.run(&["doctor", &plan]).code(1);
    assert!(ended.out.contains("tart 2.32.1 has image `base`"), "{}", ended.out);
    assert!(ended.out.contains("has no image `no-such-image`"), "{}", ended.out);
}

#[test]
fn guests_of_a_host_behind_ssh_are_the_same() {
    let Some(mac) = Mac::far() else { return };
    let mut node = guest(
        "execute-a",
        "cat file.txt; echo new >> file.txt; echo a > \"$ARTIFACTS_DIR/a b\"; exit 255",
        &[],
    );
    node.spec.workspace = Workspace::Writable;
    node.spec.artifacts = vec!["*".to_owned()];
    let record = mac.apply(node, 1);
    assert_eq!((&record["outcome"], &record["exit_code"]), (&"failed".into(), &255.into()));
    assert_eq!(record["placement"], "remote_ssh");
    assert_eq!(mac.log("execute-a"), "content\n");
    let run = mac.world.runs().pop().expect("a run");
    assert_eq!(names(&run.join("nodes/execute-a/artifacts")), ["a b", "file.txt"]);
    mac.is_clean();
}

#[test]
fn a_link_that_breaks_under_a_guest_of_a_host_loses_nothing() {
    let Some(mac) = Mac::far() else { return };
    let script = "i=0; while [ $i -lt 80 ]; do echo line $i; i=$((i + 1)); sleep 0.05; done";
    let plan = mac.world.plan(vec![mac.at(guest("execute-a", script, &[]))]);
    let mut executor = mac.start(&["apply", &plan]);
    let far = mac.far.as_ref().expect("a host");
    until(|| mac.log("execute-a").contains("line 5\n"));
    far.link.cut();
    until(|| mac.log("execute-a").contains("line 20\n"));
    far.kill_sessions();
    assert_eq!(executor.wait().expect("it ends").code(), Some(0), "{}", mac.result("execute-a"));
    let lines: String = (0..80).map(|n| format!("line {n}\n")).collect();
    assert_eq!(mac.log("execute-a"), lines);
    mac.is_clean();
}

#[test]
fn a_killed_executor_takes_up_the_guest_of_a_host_again() {
    let Some(mac) = Mac::far() else { return };
    let script =
        "echo run; i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i + 1)); sleep 0.05; done";
    let plan = mac.world.plan(vec![mac.at(guest("execute-a", script, &[]))]);
    let mut executor = mac.start(&["apply", &plan]);
    until(|| mac.log("execute-a").contains("line 3\n"));
    executor.kill().expect("killed");
    executor.wait().expect("gone");
    let run = mac.world.runs().pop().expect("a run");
    let run = run.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    mac.run(&["resume", &run]).code(0);
    let lines: String = (0..60).map(|n| format!("line {n}\n")).collect();
    assert_eq!(mac.log("execute-a"), format!("run\n{lines}"));
    mac.is_clean();
}

#[test]
fn the_apple_target_of_the_worked_example_plans_and_runs_whole() {
    let mut mac = mac!();
    // The planner's plan of the example; `snapshots` holds this document to what the planner makes.
    let document = include_str!("../documents/pika-apple.json");
    let (plan, _) = plans::Plan::from_json(document.as_bytes()).expect("a plan");
    let nodes: Vec<Node> = plan.nodes().iter().map(|node| Node::clone(node)).collect();
    let guests = nodes.iter().filter(|node| matches!(node.spec.runtime, Runtime::Tart(_))).count();
    assert_eq!((nodes.len(), guests), (7, 6), "six jobs, and the setup of their workspaces");

    // What its repository and a Mac would have, as far as its commands touch it.
    let count = mac.world.path().join("count");
    let host = mac.tart.bin();
    crate::bench::write(
        &host.join("just"),
        &format!(
            "#!/bin/sh\n[ \"$*\" = 'ios-xcframework ios-xcodeproj' ] || exit 1\n\
             echo x >> {}; mkdir -p ios/Pika.xcodeproj; echo generated > ios/Pika.xcodeproj/p\n",
            count.display()
        ),
    );
    let repo = mac.world.repo();
    let tool = |name: &str, text: &str| {
        crate::bench::write(&repo.join("tools").join(name), &format!("#!/bin/sh\n{text}\n"));
    };
    tool("ios-sim-ensure", "echo 'ok (udid=SIM-1)'");
    tool(
        "xcodebuild-compact",
        "cat ios/Pika.xcodeproj/p && touch own || exit 1\nfor word; do last=$word; done\necho \"$6 $last\"",
    );
    tool("cargo-with-xcode", "touch own 2>/dev/null && exit 1\necho \"$CARGO_TARGET_DIR $*\"");
    let source = crate::bench::commit(&repo);
    mac.world.head = source.head.expect("a commit");
    mac.world.tree = source.tree;
    mac.tart.create("sequoia-base");
    crate::bench::write(
        &mac.tart.home().join("vms/sequoia-base/guest/usr.local/bin/ditto"),
        "#!/bin/sh\nmkdir -p \"$2\" && cp -R \"$1/.\" \"$2\"\n",
    );

    let plan = mac.world.plan(nodes);
    let ended = mac.run(&["apply", &plan]);
    for (id, outcome) in outcomes(&mac.world.record()) {
        assert_eq!(outcome, "passed", "{id}: {}\n{}", mac.result(&id), mac.log(&id));
    }
    ended.code(0);
    assert_eq!(fs::read_to_string(count).expect("a count"), "x\n", "set up once");
    assert_eq!(
        mac.log("execute-tart-ios-agent-tests"),
        "generated\nid=SIM-1 -skip-testing:PikaUITests\n"
    );
    assert_eq!(
        mac.log("execute-tart-desktop-package-tests"),
        "/Users/admin/pikaci-target/pika-desktop test -p pika-desktop -- --nocapture\n"
    );
    assert_eq!(mac.guests(), ["sequoia-base"]);
    assert_eq!(names(&mac.records()), [".lock"]);
}

#[test]
fn a_guest_that_waits_for_the_place_of_another_run_holds_up_no_other_node() {
    let Some(mac) = Mac::new() else { return };
    // Both places that the machine has.
    let holds = |id: &str| guest(id, "echo up; while :; do sleep 1; done", &[]);
    let plan = mac.world.plan(vec![holds("execute-a"), holds("execute-b")]);
    let mut first = mac.start(&["apply", &plan, "--jobs", "2"]);
    until(|| mac.log("execute-a") == "up\n" && mac.log("execute-b") == "up\n");
    let run = mac.world.runs().pop().expect("a run");
    // One place in `--jobs`: the node that has to wait comes first, and lets the others have it.
    let done = mac.world.path().join("done");
    let plan = mac.world.plan(vec![
        guest("execute-a-waits", "true", &[]),
        sh("execute-b", "true", &[]),
        sh("execute-c", &format!("touch {}", done.display()), &["execute-b"]),
    ]);
    let mut second = mac.start(&["apply", &plan, "--jobs", "1"]);
    until(|| done.exists());
    mac.run(&["cancel", run.file_name().expect("a name").to_str().expect("UTF-8")]);
    assert_eq!(second.wait().expect("it ends").code(), Some(0));
    first.wait().expect("it ends");
}
