//! Whole runs whose nodes are on another host: a real sshd, a link that breaks, the program itself.

#![expect(clippy::print_stderr, reason = "a test says why it was skipped")]

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use plans::{
    AbsolutePath, HostName, Mount, Node, Output, Placement, SshDestination, SshHost, Workspace,
    WorkspacePath,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    harness::{Ended, World, kill, node_id, outcomes, sh, until},
    resume::passes_a_file_on,
    sshd::Sshd,
};

/// A world whose ssh knows one host.
pub(crate) struct Far {
    pub(crate) world: World,
    pub(crate) sshd: Sshd,
}

impl Far {
    pub(crate) fn new(configuration: &str) -> Option<Self> {
        let sshd = Sshd::start(configuration)?;
        let bin = sshd.root().join("wrapped");
        fs::create_dir_all(&bin).expect("made");
        // The user's own ssh, with the test's configuration instead of the user's.
        let real = ["/usr/bin/ssh", "/usr/local/bin/ssh"];
        let real = real.iter().find(|path| Path::new(path).exists()).expect("an ssh client");
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *' -F none '*) ;; *) set -- -F '{}' \"$@\" ;; esac\nexec {real} \"$@\"\n",
            sshd.root().join("ssh_config").display()
        );
        fs::write(bin.join("ssh"), script).expect("written");
        fs::set_permissions(bin.join("ssh"), fs::Permissions::from_mode(0o755)).expect("its mode");
        fs::create_dir_all(sshd.root().join("r")).expect("made");
        Some(Self { world: World::new(), sshd })
    }

    pub(crate) fn work_dir(&self) -> PathBuf {
        self.sshd.root().join("work dir")
    }

    /// A node like `sh`'s, on the host.
    pub(crate) fn node(&self, id: &str, script: &str, depends_on: &[&str]) -> Node {
        let mut node = sh(id, script, depends_on);
        node.spec.placement = Placement::RemoteSsh(SshHost {
            host: HostName::new("far").expect("a name"),
            ssh: SshDestination::new("testhost").expect("a destination"),
            work_dir: AbsolutePath::new(self.work_dir().to_str().expect("UTF-8")).expect("a path"),
            max_jobs: 4,
        });
        node
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(arguments);
        let path = std::env::var("PATH").unwrap_or_default();
        command
            .env("PATH", format!("{}/wrapped:{path}", self.sshd.root().display()))
            .env("XDG_RUNTIME_DIR", self.sshd.root().join("r"));
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().expect("the program starts"))
    }

    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program starts")
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

    /// What is below a directory of the host's `work_dir`.
    pub(crate) fn left(&self, below: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.work_dir().join(below)) else { return Vec::new() };
        let mut names: Vec<String> = entries
            .flatten()
            .flat_map(|run| fs::read_dir(run.path()).into_iter().flatten().flatten())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name != "owner")
            .collect();
        names.sort();
        names
    }
}

macro_rules! far {
    () => {
        match Far::new("") {
            Some(far) => far,
            None => return,
        }
    };
}

#[test]
fn nodes_on_a_host_end_as_they_do_here_and_leave_nothing() {
    let far = far!();
    let mut writes = far.node(
        "execute-writes",
        "cat file.txt; echo new >> file.txt; mkdir -p out; echo a > 'out/a b.txt'; \
         echo b > \"$ARTIFACTS_DIR/b.txt\"; echo \"$CI $FORGE_LANES_NODE\"; pwd; echo err >&2",
        &[],
    );
    writes.spec.workspace = Workspace::Writable;
    writes.spec.artifacts = vec!["out/**".to_owned(), "*.txt".to_owned()];
    let reads = far.node("execute-reads", "cat file.txt; echo no > file.txt", &[]);
    let fails = far.node("execute-fails", "exit 255", &["execute-writes"]);
    let skipped = far.node("execute-skipped", "true", &["execute-fails"]);
    let signalled = far.node("execute-signalled", "kill -SEGV $$", &[]);
    let plan = far.world.plan(vec![writes, reads, fails, skipped, signalled]);
    far.run(&["apply", &plan]).code(1);
    let record = far.world.record();
    let outcomes = outcomes(&record);
    assert_eq!(outcomes["execute-writes"], "passed", "{record:#}");
    assert_eq!(outcomes["execute-reads"], "failed", "the tree is read-only for everybody");
    assert_eq!(outcomes["execute-fails"], "failed");
    assert_eq!(far.node_record("execute-fails")["exit_code"], 255);
    assert_eq!(outcomes["execute-skipped"], "skipped");
    assert_eq!(outcomes["execute-signalled"], "failed");
    let log = far.log("execute-writes");
    assert!(log.starts_with("content\ntrue execute-writes\n"), "{log}");
    assert!(log.contains("work dir") && log.ends_with("err\n"), "{log}");
    let run = far.world.runs().pop().expect("a run");
    let artifacts = run.join("nodes/execute-writes/artifacts");
    assert_eq!(fs::read_to_string(artifacts.join("out/a b.txt")).expect("kept"), "a\n");
    assert_eq!(fs::read_to_string(artifacts.join("b.txt")).expect("kept"), "b\n");
    let tree = far.work_dir().join("trees");
    let tree = fs::read_dir(tree).expect("trees").flatten().next().expect("a tree").path();
    assert_eq!(fs::read_to_string(tree.join("file.txt")).expect("a file"), "content\n");
    assert_eq!(far.left("runs"), Vec::<String>::new());
    assert_eq!(
        fs::read_dir(far.work_dir().join("turns")).expect("turns").count(),
        1,
        "only its lock"
    );
}

#[test]
fn outputs_of_prepare_nodes_are_seen_by_their_dependents_on_the_same_host() {
    let far = far!();
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: mounting an output needs root");
        return;
    }
    let mut makes = far.node("prepare-makes", "mkdir made; echo made > made/x", &[]);
    makes.spec.workspace = Workspace::Writable;
    makes.output = Some(Output::Directory(WorkspacePath::new("made").expect("a path")));
    let mut uses = far.node(
        "execute-uses",
        "cat /tmp/forge-lanes-mount/x; ! echo n > \
         /tmp/forge-lanes-mount/x",
        &["prepare-makes"],
    );
    uses.mounts = vec![Mount {
        node: node_id("prepare-makes"),
        path: AbsolutePath::new("/tmp/forge-lanes-mount").expect("a path"),
    }];
    let mut setup = far.node("prepare-setup", "echo set up > setup.txt", &[]);
    setup.spec.workspace = Workspace::Writable;
    setup.output = Some(Output::Workspace);
    let mut after = far.node("execute-after", "cat setup.txt file.txt", &["prepare-setup"]);
    after.workspace_from = Some(node_id("prepare-setup"));
    let plan = far.world.plan(vec![makes, uses, setup, after]);
    let ended = far.run(&["apply", &plan]);
    let _ = fs::remove_dir("/tmp/forge-lanes-mount");
    ended.code(0);
    assert!(far.log("execute-uses").starts_with("made\n"));
    assert_eq!(far.log("execute-after"), "set up\ncontent\n");
    far.run(&["gc", "--keep", "0"]).code(0);
    assert_eq!(far.left("outputs"), Vec::<String>::new());
}

#[test]
fn a_killed_executor_is_resumed_and_nothing_runs_twice() {
    let far = far!();
    let count = far.world.path().join("count");
    let script = format!(
        "echo run >> {}; i=0; while [ $i -lt 60 ]; do echo line $i; i=$((i + 1)); sleep 0.05; done",
        count.display()
    );
    let nodes =
        vec![far.node("execute-a", &script, &[]), far.node("execute-b", &script, &["execute-a"])];
    let plan = far.world.plan(nodes);
    let expected: String = (0..60).map(|n| format!("line {n}\n")).collect();
    let executor = far.start(&["apply", &plan]);
    until(|| far.log("execute-a").contains("line 3\n"));
    kill(executor);
    let run = far.world.runs().pop().expect("a run");
    let run = run.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    let again = far.start(&["resume", &run]);
    until(|| far.log("execute-a").contains("line 30\n"));
    kill(again);
    far.run(&["resume", &run]).code(0);
    for id in ["execute-a", "execute-b"] {
        assert_eq!(far.log(id), expected);
    }
    assert_eq!(fs::read_to_string(count).expect("a count"), "run\nrun\n");
    assert_eq!(far.left("runs"), Vec::<String>::new());
    assert_eq!(far.run(&["gc", "--dry-run"]).code(0).out, "");
}

#[test]
fn cut_links_and_killed_sessions_change_nothing_in_a_log() {
    let far = far!();
    let go_on = far.world.path().join("enough");
    let script = format!(
        "i=0; while [ ! -e {} ]; do i=$((i + 1)); echo line $i; sleep 0.01; done; echo $i > {}; exit 3",
        go_on.display(),
        far.world.path().join("lines").display()
    );
    let plan = far.world.plan(vec![far.node("execute-a", &script, &[])]);
    let mut executor = far.start(&["apply", &plan]);
    for round in 0..6 {
        let before = far.log("execute-a").len();
        until(|| far.log("execute-a").len() > before + 100);
        match round % 3 {
            0 => far.sshd.link.cut(),
            1 => far.sshd.kill_sessions(),
            _ => {
                far.sshd.link.down();
                std::thread::sleep(Duration::from_millis(500));
                far.sshd.link.up();
            }
        }
    }
    fs::write(&go_on, "").expect("written");
    assert_eq!(executor.wait().expect("it ends").code(), Some(1));
    let lines: u32 = fs::read_to_string(far.world.path().join("lines"))
        .expect("a number")
        .trim()
        .parse()
        .expect("one");
    let expected: String = (1..=lines).map(|n| format!("line {n}\n")).collect();
    assert_eq!(far.log("execute-a"), expected);
    assert_eq!(far.node_record("execute-a")["exit_code"], 3);
    assert_eq!(far.node_record("execute-a")["attempts"].as_u64().unwrap_or(1), 1);
}

/// A node that says in a file when it begins and when it ends.
fn counted(far: &Far, id: &str, depends_on: &[&str]) -> Node {
    let file = far.world.path().join("count");
    let file = file.display();
    let script = format!(
        "echo begin {id} >>{file}; echo first; sleep 0.1; echo last; echo end {id} >>{file}"
    );
    far.node(id, &script, depends_on)
}

/// Each ran once, to its end, and left its log here and nothing there.
#[track_caller]
fn once_each(far: &Far, ids: &[&str], context: &str) {
    let count = fs::read_to_string(far.world.path().join("count")).expect("a count");
    for id in ids {
        for what in ["begin", "end"] {
            let line = format!("{what} {id}");
            assert_eq!(
                count.lines().filter(|other| *other == line).count(),
                1,
                "{context}: {line}\n{count}\n{:#}",
                far.node_record(id)
            );
        }
        assert_eq!(far.log(id), "first\nlast\n", "{context}");
    }
    assert_eq!(far.left("runs"), Vec::<String>::new(), "{context}");
}

#[test]
fn a_run_killed_at_any_journal_record_is_finished_by_resume() {
    let mut far = far!();
    let ids = ["execute-a", "execute-b"];
    for at in 1.. {
        far.world = World::new();
        let mut nodes = vec![counted(&far, ids[0], &[]), counted(&far, ids[1], &[ids[0]])];
        nodes.iter_mut().for_each(passes_a_file_on);
        let plan = far.world.plan(nodes);
        let mut executor = far.start(&["apply", &plan, "--jobs", "2"]);
        let ended = loop {
            let run = far.world.runs().pop();
            let journal = run.and_then(|run| fs::read(run.join("journal.jsonl")).ok());
            let lines = journal.unwrap_or_default().iter().filter(|&&byte| byte == b'\n').count();
            if lines >= at {
                break false;
            }
            if executor.try_wait().expect("waited").is_some() {
                break true;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        if ended {
            assert!(at > 8, "only {at} records were seen");
            return;
        }
        kill(executor);
        far.run(&["resume", "latest", "--jobs", "2"]).code(0);
        once_each(&far, &ids, &format!("killed at record {at}"));
        // A place that the killed one had, and the next one had no need of, keeps its name; it is free.
        let gc = far.run(&["gc", "--dry-run"]).code(0);
        let left: Vec<_> = gc.out.lines().filter(|line| !line.ends_with("which is dead")).collect();
        assert_eq!(left, [""; 0], "killed at record {at}");
    }
}

/// What an executor leaves that died after it wrote down an attempt and before it did anything about it.
#[test]
fn an_attempt_that_was_only_written_down_is_made_by_resume_as_the_first_one() {
    let far = far!();
    let plan = far.world.plan(vec![counted(&far, "execute-a", &[])]);
    far.run(&["apply", &plan]).code(0);
    let run = far.world.runs().pop().expect("a run");
    let journal = fs::read_to_string(run.join("journal.jsonl")).expect("a journal");
    let begun: String = journal.split_inclusive('\n').take(2).collect();
    assert!(begun.ends_with('\n') && begun.contains("attempt_started"), "{begun}");
    fs::write(run.join("journal.jsonl"), begun).expect("written");
    fs::remove_file(run.join("record.json")).expect("removed");
    fs::remove_dir_all(run.join("nodes/execute-a")).expect("removed");
    fs::remove_file(far.world.path().join("count")).expect("removed");
    fs::remove_dir_all(far.work_dir().join("over")).expect("removed");
    far.run(&["resume", "latest"]).code(0);
    once_each(&far, &["execute-a"], "resumed");
    assert_eq!(far.node_record("execute-a")["attempts"], 1);
}

#[test]
fn nodes_come_through_while_links_sessions_and_clients_keep_breaking() {
    let far = far!();
    let ids: Vec<String> = (0..12).map(|n| format!("execute-{n}")).collect();
    let plan = far.world.plan(ids.iter().map(|id| counted(&far, id, &[])).collect());
    let mut executor = far.start(&["apply", &plan, "--jobs", "3"]);
    // A host that was never reached is given up soon: it is more likely mistyped.
    until(|| far.world.path().join("count").exists());
    for round in 0..40 {
        std::thread::sleep(Duration::from_millis(70 + 37 * (round % 7)));
        if executor.try_wait().expect("waited").is_some() {
            break;
        }
        match round % 4 {
            0 => far.sshd.link.cut(),
            1 => far.sshd.kill_sessions(),
            // The first client is the connection, another one a session.
            which => {
                let clients = crate::sshd::children_of(executor.id());
                let client = if which == 2 { clients.first() } else { clients.last() };
                if let Some(&client) = client {
                    crate::sshd::signal(client, Signal::KILL);
                }
            }
        }
    }
    assert_eq!(executor.wait().expect("it ends").code(), Some(0));
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    once_each(&far, &ids, "broken all the time");
    for id in ids {
        let record = far.node_record(id);
        assert_eq!(record["attempts"].as_u64().unwrap_or(1), 1, "{id}: {record:#}");
    }
}

#[test]
fn who_takes_up_a_job_has_the_place_that_the_job_has() {
    let far = far!();
    let go_on = far.world.path().join("enough");
    let script = format!("echo up; while [ ! -e {} ]; do sleep 0.1; done", go_on.display());
    let mut node = far.node("execute-a", &script, &[]);
    if let Placement::RemoteSsh(host) = &mut node.spec.placement {
        host.max_jobs = 1;
    }
    let plan = far.world.plan(vec![node]);
    let executor = far.start(&["apply", &plan]);
    until(|| far.log("execute-a").contains("up"));
    kill(executor);
    let run = far.world.runs().pop().expect("a run");
    fs::write(run.join("nodes/execute-a/guest.log"), "").expect("emptied");
    let mut again = far.start(&["resume", "latest"]);
    // It is followed although its own place is the only one.
    until(|| far.log("execute-a").contains("up"));
    fs::write(&go_on, "").expect("written");
    assert_eq!(again.wait().expect("it ends").code(), Some(0));
}

#[test]
fn a_cancelled_run_ends_its_jobs_over_there() {
    let far = far!();
    let pid = far.world.path().join("pid");
    let script = format!("echo $$ > {}; echo up; sleep 1000", pid.display());
    let plan = far.world.plan(vec![far.node("execute-a", &script, &[])]);
    let mut executor = far.start(&["apply", &plan]);
    until(|| far.log("execute-a").contains("up"));
    let id = Pid::from_raw(executor.id().cast_signed()).expect("a pid");
    kill_process(id, Signal::INT).expect("signalled");
    assert_eq!(executor.wait().expect("it ends").code(), Some(130));
    assert_eq!(far.node_record("execute-a")["outcome"], "cancelled");
    let pid: u32 = fs::read_to_string(pid).expect("a pid").trim().parse().expect("a number");
    assert!(!crate::sshd::is_alive(pid), "the job is still there");
    assert_eq!(far.left("runs"), Vec::<String>::new());
}

#[test]
fn a_timeout_holds_while_the_host_cannot_be_reached() {
    let far = far!();
    let mut node = far.node("execute-a", "echo up; sleep 1000", &[]);
    node.spec.timeout_secs = 2;
    let plan = far.world.plan(vec![node]);
    let mut executor = far.start(&["apply", &plan]);
    until(|| far.log("execute-a").contains("up"));
    far.sshd.link.down();
    std::thread::sleep(Duration::from_secs(3));
    far.sshd.link.up();
    assert_eq!(executor.wait().expect("it ends").code(), Some(1));
    assert_eq!(far.node_record("execute-a")["outcome"], "timed_out");
}

#[test]
fn a_job_that_nobody_renews_stops_by_its_lease() {
    let far = far!();
    let pid = far.world.path().join("pid");
    // The second attempt ends at once.
    let script =
        format!("[ ! -e {0} ] || exit 0; echo $$ > {0}; echo up; sleep 1000", pid.display());
    let plan = far.world.plan(vec![far.node("execute-a", &script, &[])]);
    let config = far.world.path().join("executor.toml");
    fs::write(&config, "version = 1\nlease_secs = 4\n").expect("written");
    let config = config.to_str().expect("UTF-8");
    let executor = far.start(&["--config", config, "apply", &plan]);
    until(|| far.log("execute-a").contains("up"));
    // Renewed, it lives for longer than a lease.
    std::thread::sleep(Duration::from_secs(7));
    let pid: u32 = fs::read_to_string(pid).expect("a pid").trim().parse().expect("a number");
    assert!(crate::sshd::is_alive(pid), "the lease was not renewed");
    kill(executor);
    until(|| !crate::sshd::is_alive(pid));
    let run = far.world.runs().pop().expect("a run");
    let run = run.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    far.run(&["--config", config, "resume", &run]).code(0);
    let retried = &far.node_record("execute-a")["retried"];
    assert_eq!(retried[0]["failure_kind"], "lease_expired", "{retried}");
    assert_eq!(retried[1], Value::Null);
    assert_eq!(far.left("runs"), Vec::<String>::new());
}

/// What packed files on a host and was killed has left them; whatever is younger may be on its way.
#[test]
fn what_was_packed_on_a_host_for_nobody_goes_after_a_day() {
    let far = far!();
    let work = far.work_dir();
    fs::create_dir_all(&work).expect("made");
    fs::set_permissions(&work, fs::Permissions::from_mode(0o700)).expect("its mode");
    let [old, new, other] = [".outgoing-1.tar", ".outgoing-2.tar.names", "other"]
        .map(|name| (work.join(name), fs::File::create(work.join(name)).expect("made")));
    let days = std::time::SystemTime::now() - Duration::from_secs(3 * 24 * 3600);
    for (_, file) in [&old, &other] {
        file.set_modified(days).expect("a time");
    }
    let plan = far.world.plan(vec![far.node("execute-a", "true", &[])]);
    far.run(&["apply", &plan]).code(0);
    until(|| !old.0.exists());
    assert!(new.0.exists() && other.0.exists());
}

#[test]
fn places_and_groups_of_a_host_hold_over_executors() {
    let far = far!();
    let busy = far.world.path().join("busy");
    // Fails if two run at once.
    let script = format!("mkdir {0} || exit 9; sleep 0.3; rmdir {0}", busy.display());
    let nodes = (0..3)
        .map(|n| {
            let mut node = far.node(&format!("execute-{n}"), &script, &[]);
            if let Placement::RemoteSsh(host) = &mut node.spec.placement {
                host.max_jobs = 1;
            }
            node
        })
        .collect();
    let plan = far.world.plan(nodes);
    let executors: Vec<Child> = (0..3)
        .map(|_| {
            let mut command = far.command(&["apply", &plan, "--jobs", "3"]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
        })
        .collect();
    for executor in executors {
        Ended::of(executor.wait_with_output().expect("it ends")).code(0);
    }
}

#[test]
fn a_secret_reaches_the_job_and_nothing_else() {
    let far = far!();
    // While it runs, no file of the host holds it, nor does any process say it, not even when it was printed.
    let nowhere = format!("! grep -rqF \"$TOKEN\" '{}'", far.work_dir().display());
    let says = format!(
        "echo \"value: $TOKEN\"; printf %s \"$TOKEN\"; printf %s \"$TOKEN\" | base64
         sleep 0.5; [ ${{#TOKEN}} = 21 ] && cat /proc/[0-9]*/cmdline 2>/dev/null | grep -q '[h]unter2 hunter' && exit 8
         grep -r '[h]unter2' '{0}' && exit 9; grep -rF \"$(printf %s \"$TOKEN\" | base64)\" '{0}' && exit 10
         grep -qF '***' '{0}'/runs/*/*/log",
        far.work_dir().display()
    );
    let says = says.as_str();
    let mut nodes = vec![far.node("execute-a", says, &["execute-b"])];
    nodes.push(far.node("execute-b", &nowhere, &[]));
    for node in &mut nodes {
        node.spec.secrets = [plans::EnvName::new("TOKEN").expect("a name")].into();
    }
    let plan = far.world.plan(nodes);
    let output = far.command(&["apply", &plan]).env("TOKEN", "hunter2 hunter2'$HOME").output();
    Ended::of(output.expect("the program starts")).code(0);
    assert_eq!(far.log("execute-a"), "value: ***\n***\n");
    for root in [far.world.state_dir(), far.work_dir()] {
        let found =
            Command::new("grep").args(["-rlF", "hunter2"]).arg(root).output().expect("grep");
        assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    }
}

#[test]
fn what_keeps_a_host_away_is_named_and_is_no_fault_of_the_job() {
    let far = far!();
    let plan = far.world.plan(vec![far.node("execute-a", "true", &[])]);
    far.sshd.write_client_configuration("other_key");
    far.run(&["apply", &plan]).code(3);
    let node = far.node_record("execute-a");
    assert_eq!(node["outcome"], "infra_failed");
    assert_eq!(node["failure_kind"], "host_key");
    let doctor = far.run(&["doctor", &plan]).code(1);
    assert!(doctor.out.contains("host key"), "{}", doctor.out);
    far.sshd.write_client_configuration("host_key");
    let doctor = far.run(&["doctor", &plan]).code(0);
    for word in ["Linux", "every tool", "clock", "free"] {
        assert!(doctor.out.contains(word), "{word}: {}", doctor.out);
    }
}
