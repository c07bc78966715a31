//! Jobs in Incus instances, against a real daemon: what they see, how they end, what is left.

use serde_json::Value;

use crate::{
    harness::{Ended, World, lane, sh, until},
    testbed::TestBed,
};

/// A repository, and the engine its plans run on.
pub(crate) struct Site {
    pub(crate) world: World,
    pub(crate) bed: TestBed,
    /// The daemon to talk to, when it is not the single one.
    member: Option<String>,
}

macro_rules! site {
    () => {
        match Site::new() {
            Some(site) => site,
            None => return,
        }
    };
}

impl Site {
    pub(crate) fn new() -> Option<Self> {
        Self::with(&["incus"])
    }

    /// A site with more engines than that.
    pub(crate) fn with(engines: &[&str]) -> Option<Self> {
        Some(Self::on(TestBed::shared(engines)?))
    }

    /// A site on a test bed that is up.
    pub(crate) fn on(bed: TestBed) -> Self {
        let site = Self { bed, world: World::new(), member: None };
        if let Some(config) = site.bed.env.get("SSH_CONFIG") {
            // The test bed's hosts, for whoever runs `ssh`.
            let tools = site.world.path().join("bin");
            std::fs::create_dir(&tools).expect("made");
            let text = format!("#!/bin/sh\nexec /usr/bin/ssh -F '{config}' \"$@\"\n");
            std::fs::write(tools.join("ssh"), text).expect("written");
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
            std::fs::set_permissions(tools.join("ssh"), mode).expect("its mode");
        }
        site
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> std::process::Command {
        let mut command = self.world.command(arguments);
        let path = std::env::var("PATH").unwrap_or_default();
        let tools = self.world.path().join("bin");
        command.envs(&self.bed.env).env("PATH", format!("{}:{path}", tools.display()));
        if let Some(dir) = &self.member {
            command.env("INCUS_DIR", dir);
        }
        command.stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().expect("the program starts"))
    }

    pub(crate) fn node(&self) -> Value {
        let record = self.world.record();
        record["nodes"][0].clone()
    }

    pub(crate) fn log(&self, node: &str, kind: &str) -> String {
        let run = self.world.runs().pop().expect("a run");
        let path = run.join("nodes").join(node).join(kind);
        String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
    }

    /// The instances that this world's runs left.
    pub(crate) fn instances(&self) -> Vec<String> {
        let runs: Vec<String> = self
            .world
            .runs()
            .iter()
            .map(|run| run.file_name().expect("named").to_string_lossy().into_owned())
            .collect();
        let (ok, text) = self.bed.incus_at(self.member.as_deref(), &["list", "--format", "json"]);
        assert!(ok, "{text}");
        let all: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        all.iter()
            .filter(|instance| {
                let run = instance["config"]["user.forge-lanes.run"].as_str().unwrap_or("");
                runs.iter().any(|ours| ours == run)
            })
            .map(|instance| instance["name"].as_str().expect("a name").to_owned())
            .collect()
    }
}

/// Settings of an instance of the test image.
pub(crate) fn incus(more: &str) -> plans::Runtime {
    let comma = if more.is_empty() { "" } else { "," };
    serde_json::from_str(&format!(r#"{{"incus":{{"image":"testbed"{comma}{more}}}}}"#))
        .expect("settings")
}

/// A node that runs a script in a container.
pub(crate) fn contained(script: &str) -> plans::Node {
    let mut node = sh("execute-a", script, &[]);
    node.spec.runtime = incus("");
    node
}

#[test]
fn a_job_runs_in_a_container_and_leaves_nothing() {
    let site = site!();
    let node =
        contained("cat file.txt; pwd; hostname; echo oops >&2; touch x && echo written; true");
    let plan = site.world.plan(vec![node]);
    site.run(&["apply", &plan]).code(0);
    let log = site.log("execute-a", "guest.log");
    assert!(log.starts_with("content\n/workspace\nfl-"), "{log}");
    assert!(log.contains("oops\n") && log.contains("Read-only file system"), "{log}");
    assert!(!log.contains("written"), "{log}");
    let opening = site.log("execute-a", "host.log");
    assert!(opening.starts_with("runtime=incus placement=local host="), "{opening}");
    assert!(opening.lines().next().expect("a line").contains("command=/bin/sh -c"), "{opening}");
    let node = site.node();
    assert_eq!(node["outcome"], "passed");
    assert_eq!(node["runtime"], "incus");
    for phase in ["directories", "tree", "runtime", "launch", "wait", "collect", "cleanup"] {
        assert!(node["phases"][phase].is_u64(), "{phase}: {node}");
    }
    assert_eq!(site.instances(), Vec::<String>::new());
}

#[test]
fn an_exit_code_is_the_jobs_own_and_a_missing_directory_is_an_error() {
    let site = site!();
    let mut nowhere = contained("true");
    nowhere.id = crate::harness::node_id("execute-b");
    nowhere.spec.working_dir = Some(plans::WorkspacePath::new("no/where").expect("a path"));
    let plan = site.world.plan(vec![contained("exit 42"), nowhere]);
    site.run(&["apply", &plan]).code(1);
    let record = site.world.record();
    assert_eq!(record["nodes"][0]["outcome"], "failed");
    assert_eq!(record["nodes"][0]["exit_code"], 42);
    assert_eq!(record["nodes"][1]["outcome"], "failed");
    assert!(site.log("execute-b", "guest.log").contains("no/where"));
    assert_eq!(site.instances(), Vec::<String>::new());
}

#[test]
fn a_writable_workspace_is_a_private_copy_and_artifacts_come_back() {
    let site = site!();
    let mut node = contained(
        "echo more >> file.txt; mkdir out; cp file.txt out/a; echo b > \"$ARTIFACTS_DIR/b\"; \
         ln -s /etc/passwd out/link; test -w \"$TMPDIR\" && test -w \"$HOME\"",
    );
    node.spec.workspace = plans::Workspace::Writable;
    node.spec.artifacts = vec!["out/*".to_owned(), "b".to_owned()];
    let plan = site.world.plan(vec![node]);
    for _ in 0..2 {
        site.run(&["apply", &plan]).code(0);
        assert_eq!(site.log("execute-a", "artifacts/out/a"), "content\nmore\n");
        assert_eq!(site.log("execute-a", "artifacts/b"), "b\n");
        assert_eq!(site.log("execute-a", "artifacts/out/link"), "", "a link leads nowhere");
    }
    assert_eq!(std::fs::read(site.world.repo().join("file.txt")).expect("there"), b"content\n");
}

#[test]
fn a_job_is_who_the_plan_says_it_is() {
    let site = site!();
    let script = "id -u; id -g; touch made \"$TMPDIR/t\"; stat -c %u:%g made; env | sort";
    let mut node = contained(script);
    node.spec.runtime = incus(r#""user":1234,"group":567"#);
    node.spec.workspace = plans::Workspace::Writable;
    node.spec.env.insert(plans::EnvName::new("MINE").expect("a name"), "a=b 'c'".to_owned());
    let mut root = contained("id -u");
    root.id = crate::harness::node_id("execute-b");
    root.spec.runtime = incus(r#""user":1234"#);
    root.spec.command = plans::Command::Shell { script: "id -u".to_owned(), as_root: true };
    let plan = site.world.plan(vec![node, root]);
    site.run(&["apply", &plan]).code(0);
    let log = site.log("execute-a", "guest.log");
    assert!(log.starts_with("1234\n567\n1234:567\n"), "{log}");
    assert!(log.contains("MINE=a=b 'c'\n") && log.contains("\nCI=true\n"), "{log}");
    assert_eq!(site.log("execute-b", "guest.log"), "0\n");
}

#[test]
fn a_job_that_takes_too_long_and_one_that_is_cancelled_are_ended_whole() {
    let site = site!();
    let mut slow = contained("trap '' TERM; setsid sleep 300 & echo up; sleep 300; sleep 300");
    slow.spec.timeout_secs = 2;
    let plan = site.world.plan(vec![slow]);
    site.run(&["apply", &plan]).code(1);
    assert_eq!(site.node()["outcome"], "timed_out");
    assert!(site.log("execute-a", "guest.log").starts_with("up\n"));
    let plan = site.world.plan(vec![contained("echo up; sleep 300")]);
    let child = site.command(&["apply", &plan]).spawn().expect("starts");
    until(|| site.world.runs().len() == 2 && site.log("execute-a", "guest.log") == "up\n");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("alive");
    Ended::of(child.wait_with_output().expect("ends")).code(130);
    assert_eq!(site.instances(), Vec::<String>::new());
}

#[test]
fn a_secret_reaches_the_job_and_neither_log_nor_engine() {
    let site = site!();
    let script =
        "echo \"token $TOKEN\"; test ${#TOKEN} -eq 14; cat /proc/1/environ | tr '\\0' '\\n'";
    let mut node = contained(script);
    node.spec.secrets.insert(plans::EnvName::new("TOKEN").expect("a name"));
    let plan = site.world.plan(vec![node]);
    let mut command = site.command(&["apply", &plan]);
    command.env("TOKEN", "hunter2hunter2");
    Ended::of(command.output().expect("starts")).code(0);
    let log = site.log("execute-a", "guest.log");
    assert!(log.starts_with("token ***\n") && !log.contains("hunter2"), "{log}");
}

#[track_caller]
pub(crate) fn check_infra(
    site: &Site,
    runtime: plans::Runtime,
    script: &str,
    kind: &str,
    says: &str,
) {
    let mut node = contained(script);
    node.spec.runtime = runtime;
    let plan = site.world.plan(vec![node]);
    let ended = site.run(&["apply", &plan]);
    let run = site.world.runs().pop().expect("a run");
    let record: Value =
        serde_json::from_slice(&std::fs::read(run.join("record.json")).expect("a record"))
            .expect("JSON");
    let node = &record["nodes"][0];
    let host_log = site.log("execute-a", "host.log");
    assert_eq!(node["outcome"], "infra_failed", "{host_log}{}", ended.err);
    assert_eq!(node["failure_kind"], kind, "{host_log}");
    assert!(host_log.contains(says), "{host_log}");
    assert_eq!(ended.code, Some(3));
    assert_eq!(site.instances(), Vec::<String>::new());
}

#[test]
fn what_the_engine_does_not_have_or_allow_is_named() {
    let site = site!();
    let of = |text: &str| serde_json::from_str(text).expect("settings");
    let image = of(r#"{"incus":{"image":"no-such"}}"#);
    check_infra(&site, image, "true", "image_missing", "has no image `no-such`");
    let project = incus(r#""project":"no-such""#);
    check_infra(&site, project, "true", "engine_refused", "no project `no-such`");
    let init = of(r#"{"incus":{"image":"testbed-noinit"}}"#);
    check_infra(&site, init, "true", "not_ready", "init");
    let forbidden = incus(r#""project":"forbidden""#);
    check_infra(&site, forbidden, "true", "engine_refused", "in `forbidden`");
}

#[test]
fn a_limit_of_the_instance_is_told_from_a_failure_of_the_job() {
    let site = site!();
    let memory = incus(r#""memory_mib":48"#);
    let script = "dd if=/dev/zero of=/dev/null bs=200M count=1; s=$?; exit $s";
    check_infra(&site, memory, script, "oom", "memory");
    let processes = incus(r#""processes":40"#);
    let script = "i=0; while [ $i -lt 60 ]; do sleep 20 & i=$((i + 1)); done; exit 7";
    check_infra(&site, processes, script, "process_limit", "processes");
}

#[test]
fn an_instance_that_is_deleted_under_its_job_is_gone_not_failed() {
    let site = site!();
    let mut node = contained("echo up; sleep 300");
    node.spec.timeout_secs = 100;
    let plan = site.world.plan(vec![node]);
    let config = site.world.path().join("executor.toml");
    std::fs::write(&config, "version = 1\n").expect("written");
    let child = site.command(&["apply", &plan]).spawn().expect("starts");
    let delete = || {
        until(|| !site.world.runs().is_empty() && site.log("execute-a", "guest.log") == "up\n");
        let instances = site.instances();
        let [name] = &instances[..] else { panic!("one instance, not {instances:?}") };
        assert!(site.bed.incus(&["delete", "--force", name]).0);
        name.clone()
    };
    delete();
    // It is tried again: that one goes as well, and the next.
    let mut child = child;
    while child.try_wait().expect("a child").is_none() {
        for name in site.instances() {
            if site.log("execute-a", "guest.log") == "up\n" {
                site.bed.incus(&["delete", "--force", &name]);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let ended = Ended::of(child.wait_with_output().expect("ends"));
    ended.code(3);
    let node = site.node();
    assert_eq!(node["outcome"], "infra_failed");
    assert_eq!(node["failure_kind"], "runtime_gone", "{}", site.log("execute-a", "host.log"));
}

#[test]
fn an_executor_that_is_killed_loses_no_job_and_gc_empties_the_world() {
    let site = site!();
    let node = contained("echo up; sleep 3; echo down");
    let plan = site.world.plan_of(vec![node], vec![lane("lane", &["execute-a"])]);
    let mut child = site.command(&["apply", &plan]).spawn().expect("starts");
    until(|| !site.world.runs().is_empty() && site.log("execute-a", "guest.log") == "up\n");
    child.kill().expect("alive");
    child.wait().expect("ends");
    assert_eq!(site.instances().len(), 1);
    // It can be resumed: gc leaves it alone.
    site.run(&["gc"]).code(0);
    assert_eq!(site.instances().len(), 1);
    site.run(&["resume", "latest"]).code(0);
    assert_eq!(site.log("execute-a", "guest.log"), "up\ndown\n");
    assert_eq!(site.instances(), Vec::<String>::new());
}

#[test]
fn gc_removes_instances_of_dead_runs_and_nothing_else() {
    let site = site!();
    let plan = site.world.plan(vec![contained("true")]);
    site.run(&["apply", &plan]).code(0);
    let run = site.world.runs()[0].file_name().expect("named").to_string_lossy().into_owned();
    let state = site.world.state_dir().canonicalize().expect("there");
    let name = |what: &str| format!("gctest-{}-{what}", std::process::id());
    let (dead, alien) = (name("dead"), name("alien"));
    let label = |key: &str, value: &str| format!("user.forge-lanes.{key}={value}");
    let owner = executor::state::owner(&state.join("runs"));
    let made = site.bed.incus(&[
        "launch",
        "testbed",
        &dead,
        "-c",
        &label("owner", &owner),
        "-c",
        &label("run", &run),
        "-c",
        &label("lease", "99999999999"),
    ]);
    assert!(made.0, "{}", made.1);
    assert!(site.bed.incus(&["launch", "testbed", &alien]).0);
    // A project that no plan of this state directory names.
    let elsewhere = name("elsewhere");
    let made = site.bed.incus(&[
        "init",
        "--empty",
        "--project",
        "forbidden",
        &elsewhere,
        "-c",
        &label("owner", &owner),
        "-c",
        &label("run", "20200101-000000-gone"),
    ]);
    assert!(made.0, "{}", made.1);
    let dry = site.run(&["gc", "--dry-run"]).code(0);
    assert!(dry.out.contains(&dead) && !dry.out.contains(&alien), "{}", dry.out);
    assert!(dry.out.contains(&format!("`{elsewhere}` of project `forbidden`")), "{}", dry.out);
    site.run(&["gc"]).code(0);
    let (_, left) = site.bed.incus(&["list", "--all-projects", "--format", "csv", "-c", "n"]);
    site.bed.incus(&["delete", "--force", &alien]);
    assert!(!left.contains(&dead) && left.contains(&alien), "{left}");
    assert!(!left.contains(&elsewhere), "{left}");
}

#[test]
fn doctor_makes_and_deletes_an_instance() {
    let site = site!();
    let plan = site.world.plan(vec![contained("true")]);
    let ended = site.run(&["doctor", &plan]).code(0);
    assert!(ended.out.contains("makes, runs and deletes an instance"), "{}", ended.out);
    let mut node = contained("true");
    node.spec.runtime = serde_json::from_str(r#"{"incus":{"image":"no-such"}}"#).expect("settings");
    let plan = site.world.plan(vec![node]);
    let ended = site.run(&["doctor", &plan]).code(1);
    assert!(ended.out.contains("no image `no-such`"), "{}", ended.out);
}

#[test]
fn a_full_disk_in_the_instance_is_no_failure_of_the_job() {
    let site = site!();
    // A small disk of the guest's own, in the place that the job is given for such things.
    let script = "mount -t tmpfs -o size=64k none \"$TMPDIR\"; cat /dev/zero >\"$TMPDIR/x\"";
    check_infra(&site, incus(""), script, "disk_full", "no room");
}

#[test]
fn a_name_that_is_taken_is_named_and_what_has_it_stays() {
    let site = site!();
    let tools = site.world.path().join("bin");
    std::fs::create_dir_all(&tools).expect("made");
    // Somebody is a moment faster.
    let text = "#!/bin/sh\nfor name; do :; done\nif [ \"$1\" = launch ]; then\n\
                /usr/bin/incus init --quiet testbed \"$name\" </dev/null >/dev/null 2>&1\n\
                echo \"$name\" >>\"${0%/*}/names\"\nfi\nexec /usr/bin/incus \"$@\"\n";
    std::fs::write(tools.join("incus"), text).expect("written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(tools.join("incus"), mode).expect("its mode");
    check_infra(&site, incus(""), "true", "engine_refused", "that is not ours");
    let names = std::fs::read_to_string(tools.join("names")).expect("written");
    for name in names.lines() {
        let (there, said) = site.bed.incus(&["delete", "--force", name]);
        assert!(there, "it was deleted: {said}");
    }
}

/// A host of the test bed; what it keeps goes with the test.
pub(crate) fn remote(site: &Site, host: &str) -> plans::Placement {
    let work_dir = site.world.path().join("work").display().to_string();
    plans::Placement::RemoteSsh(plans::SshHost {
        host: plans::HostName::new(host).expect("a name"),
        ssh: plans::SshDestination::new(host).expect("a destination"),
        work_dir: plans::AbsolutePath::new(work_dir).expect("a path"),
        max_jobs: 4,
    })
}

#[test]
fn a_host_reached_over_ssh_runs_jobs_in_its_own_incus() {
    let Some(site) = Site::with(&["incus", "sshd"]) else { return };
    for writable in [false, true] {
        let mut node = contained(
            "cat file.txt; echo b > \"$ARTIFACTS_DIR/b\"; echo c >> file.txt; touch \"$TMPDIR/x\"",
        );
        node.spec.placement = remote(&site, "testbed-host");
        node.spec.artifacts = vec!["b".to_owned(), "file.txt".to_owned()];
        if writable {
            node.spec.workspace = plans::Workspace::Writable;
        }
        let plan = site.world.plan(vec![node]);
        site.run(&["apply", &plan]).code(0);
        assert!(site.log("execute-a", "guest.log").starts_with("content\n"));
        assert_eq!(site.log("execute-a", "artifacts/b"), "b\n");
        let expected = if writable { "content\nc\n" } else { "content\n" };
        assert_eq!(site.log("execute-a", "artifacts/file.txt"), expected);
        let opening = site.log("execute-a", "host.log");
        assert!(opening.starts_with("runtime=incus placement=remote_ssh"), "{opening}");
        assert_eq!(site.instances(), Vec::<String>::new());
    }
    let mut slow = contained("echo up; sleep 300");
    slow.spec.placement = remote(&site, "testbed-host");
    slow.spec.timeout_secs = 1;
    let plan = site.world.plan(vec![slow]);
    site.run(&["apply", &plan]).code(1);
    let run = site.world.runs().pop().expect("a run");
    let record = std::fs::read_to_string(run.join("record.json")).expect("a record");
    assert!(record.contains("timed_out"), "{record}");
    assert_eq!(site.instances(), Vec::<String>::new());
}

/// A flake of two payloads: data, and a wrapper that needs the store as well as the other payload.
const FLAKE: &str = r#"{
  outputs = { self }: let
    system = "x86_64-linux";
    build = name: text: derivation {
      inherit name system;
      builder = "/bin/sh";
      args = [ "-c" text ];
    };
  in rec {
    deps = build "forge-lanes-deps" "/bin/mkdir -p $out && echo from deps > $out/data";
    work = build "forge-lanes-build" ''
      /bin/mkdir -p $out/bin
      echo '#!/bin/sh' > $out/bin/run-tests
      echo 'cat /staged/linux-rust/workspace-deps/data ${deps}/data; ls file.txt' >> $out/bin/run-tests
      /bin/chmod +x $out/bin/run-tests
    '';
  };
}
"#;

fn check_staged(site: &mut Site, placement: plans::Placement, runtime: plans::Runtime, at: &str) {
    site.world.commit(&[("flake.nix", &FLAKE.replace("/staged", at))]);
    let nix = site.bed.env["NIX_CONF_DIR"].clone();
    let prepare = |role: &str, attribute: &str| {
        let mut node = sh(&format!("prepare-staged-workspace-{role}"), "", &[]);
        node.spec.placement = placement.clone();
        node.spec.command = plans::Command::NixBuild {
            installable: format!("path:.#{attribute}"),
            output_name: attribute.to_owned(),
        };
        node.spec.env.insert(plans::EnvName::new("NIX_CONF_DIR").expect("a name"), nix.clone());
        node.output = Some(plans::Output::StorePath);
        node
    };
    let execute = |id: &str| {
        let prepared = ["prepare-staged-workspace-build", "prepare-staged-workspace-deps"];
        let mut node = sh(id, "", &prepared);
        node.spec.placement = placement.clone();
        node.spec.runtime = runtime.clone();
        let path = |path: &str| {
            plans::AbsolutePath::new(format!("{at}/linux-rust/{path}")).expect("a path")
        };
        node.spec.command = plans::Command::Staged(path("workspace-build/bin/run-tests"));
        node.mounts = prepared
            .iter()
            .map(|id| plans::Mount {
                node: crate::harness::node_id(id),
                path: path(&id["prepare-staged-".len()..]),
            })
            .collect();
        node
    };
    let nodes = vec![
        prepare("deps", "deps"),
        prepare("build", "work"),
        execute("execute-a"),
        execute("execute-b"),
    ];
    let plan = site.world.plan(nodes);
    let ended = site.run(&["apply", &plan]);
    let log = site.log("prepare-staged-workspace-build", "guest.log");
    ended.code(0);
    for node in ["execute-a", "execute-b"] {
        let log = site.log(node, "guest.log");
        assert_eq!(log, "from deps\nfrom deps\nfile.txt\n");
    }
    let record = site.world.record();
    for node in record["nodes"].as_array().expect("nodes") {
        assert_eq!(node["attempts"], 1, "{node} {log}");
    }
    assert_eq!(site.instances(), Vec::<String>::new());
}

#[test]
fn a_staged_linux_target_runs_whole_on_this_machine() {
    let Some(mut site) = Site::with(&["incus", "nix"]) else { return };
    check_staged(&mut site, plans::Placement::Local, incus(""), "/staged");
}

#[test]
fn a_staged_linux_target_runs_whole_on_a_host() {
    let Some(mut site) = Site::with(&["incus", "sshd", "nix"]) else { return };
    let placement = remote(&site, "testbed-host");
    check_staged(&mut site, placement, incus(""), "/staged");
}

#[test]
fn payloads_that_nix_builds_on_a_host_are_seen_by_its_own_processes() {
    let Some(mut site) = Site::with(&["incus", "sshd", "nix"]) else { return };
    let placement = remote(&site, "testbed-host");
    let at = site.world.path().join("staged").display().to_string();
    check_staged(&mut site, placement, plans::Runtime::HostProcess, &at);
}

/// A site on a cluster, reached through its first member.
pub(crate) fn cluster(bed: TestBed) -> Site {
    let mut site = Site::on(bed);
    site.member = Some(site.bed.env["TESTBED_CLUSTER_M1"].clone());
    site
}

#[test]
fn a_cluster_runs_jobs_on_its_members_and_they_have_all_they_need() {
    let Some(bed) = TestBed::shared(&["cluster"]) else { return };
    let site = cluster(bed);
    for (member, writable) in [("m1", false), ("m2", true), ("m2", false)] {
        let mut node = contained(
            "cat file.txt; echo b > \"$ARTIFACTS_DIR/b\"; touch new && cp new file.txt kept; true",
        );
        node.spec.runtime = incus(&format!(r#""cluster":{{"member":"{member}"}}"#));
        node.spec.artifacts = vec!["b".to_owned()];
        if writable {
            node.spec.workspace = plans::Workspace::Writable;
        }
        let plan = site.world.plan(vec![node]);
        site.run(&["apply", &plan]).code(0);
        let log = site.log("execute-a", "guest.log");
        assert!(log.starts_with("content\n"), "{log}");
        assert_eq!(log.contains("Read-only file system"), !writable, "{log}");
        assert_eq!(site.log("execute-a", "artifacts/b"), "b\n");
        assert_eq!(site.instances(), Vec::<String>::new());
    }
}

#[test]
fn a_staged_linux_target_runs_whole_on_a_cluster() {
    let Some(bed) = TestBed::shared(&["cluster", "nix"]) else { return };
    let mut site = cluster(bed);
    check_staged(&mut site, plans::Placement::Local, incus(r#""cluster":"any""#), "/staged");
}

/// A site whose engine the test may break.
pub(crate) fn breakable(name: &str, engines: &[&str]) -> Option<Site> {
    Some(Site::on(TestBed::own(name, engines)?))
}

#[track_caller]
pub(crate) fn begin(site: &Site, node: plans::Node) -> std::process::Child {
    let plan = site.world.plan(vec![node]);
    let child = site.command(&["apply", &plan]).spawn().expect("starts");
    until(|| {
        !site.world.runs().is_empty() && site.log("execute-a", "guest.log").trim_end() == "up"
    });
    child
}

/// What a job in an instance sees as its artifacts directory, on the machine: below one that attempts
/// are in.
pub(crate) fn artifacts(below: &std::path::Path) -> std::path::PathBuf {
    let found = std::process::Command::new("find")
        .arg(below)
        .args(["-path", "*/guest/artifacts", "-type", "d"])
        .output()
        .expect("find starts");
    String::from_utf8_lossy(&found.stdout).lines().next().expect("a directory").into()
}

#[test]
fn a_daemon_that_is_killed_under_a_job_ends_nothing_and_one_that_is_down_is_named() {
    let Some(site) = breakable("killed", &["incus"]) else { return };
    let child = begin(&site, contained("echo up; sleep 5; echo down"));
    site.bed.signal("incusd", "-KILL");
    site.bed.heal(&["incus"]);
    Ended::of(child.wait_with_output().expect("ends")).code(0);
    assert_eq!(site.log("execute-a", "guest.log"), "up\ndown\n");
    assert_eq!(site.node()["attempts"], 1);
    assert_eq!(site.instances(), Vec::<String>::new());

    site.bed.signal("incusd", "-KILL");
    let plan = site.world.plan(vec![contained("true")]);
    site.run(&["apply", &plan]).code(3);
    let log = site.log("execute-a", "host.log");
    assert!(log.contains("(engine_down): Incus on `local` cannot be reached"), "{log}");
}

#[test]
fn a_daemon_that_is_frozen_hangs_nobody_and_takes_no_verdict() {
    let Some(site) = breakable("frozen", &["incus"]) else { return };
    let script =
        "echo up; until [ -e \"$ARTIFACTS_DIR/go\" ]; do sleep 0.1; done; echo down; exit 5";
    let child = begin(&site, contained(script));
    site.bed.signal("incusd", "-STOP");
    // However long that took, the job ends behind the daemon's back.
    std::fs::write(artifacts(&site.world.state_dir()).join("go"), "").expect("written");
    Ended::of(child.wait_with_output().expect("ends")).code(1);
    assert_eq!(site.node()["exit_code"], 5);
    assert_eq!(site.log("execute-a", "guest.log"), "up\ndown\n");
    let log = site.log("execute-a", "host.log");
    assert!(log.contains("left behind: Incus on `local` does not answer"), "{log}");
    site.bed.signal("incusd", "-CONT");
    site.run(&["gc"]).code(0);
    assert_eq!(site.instances(), Vec::<String>::new());
}

#[test]
fn a_member_that_dies_is_no_failure_of_its_job_and_another_one_takes_it() {
    let Some(bed) = TestBed::own("member", &["cluster"]) else { return };
    let site = cluster(bed);
    let m1 = site.bed.env["TESTBED_CLUSTER_M1"].clone();
    // Something to do for the first member, so that the engine places the job on the other.
    let busy = ["init", "--empty", "busy", "--target", "m1"];
    assert!(site.bed.incus_at(Some(&m1), &busy).0);
    let mut node = contained("echo up; while [ ! -e /forge-lanes/tmp/never ]; do sleep 1; done");
    node.spec.runtime = incus(r#""cluster":"any""#);
    let child = begin(&site, node);
    let places = || {
        let (_, all) = site.bed.incus_at(Some(&m1), &["list", "-f", "csv", "-c", "nL"]);
        all.lines().filter(|line| line.starts_with("fl-")).map(str::to_owned).collect::<Vec<_>>()
    };
    let first = places();
    assert!(matches!(&first[..], [one] if one.ends_with(",m2")), "{first:?}");
    site.bed.signal("incusd-m2", "-KILL");
    until(|| places().iter().any(|line| line.ends_with(",m1")));
    until(|| site.log("execute-a", "guest.log") == "up\n");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("alive");
    Ended::of(child.wait_with_output().expect("ends")).code(130);
    assert_eq!(site.node()["attempts"], 2);
    let log = site.log("execute-a", "attempts/1/host.log");
    assert!(log.contains("member `m2` of the cluster is offline"), "{log}");
    assert!(places().iter().all(|line| line.ends_with(",m2")), "{:?}", places());
}

#[test]
fn a_cluster_group_takes_the_jobs_that_name_it() {
    let Some(bed) = TestBed::shared(&["cluster"]) else { return };
    let site = cluster(bed);
    let group = format!("g{}", std::process::id());
    let on = |words: &[&str]| {
        let (ok, said) = site.bed.incus_at(site.member.as_deref(), words);
        assert!(ok, "{words:?}: {said}");
    };
    on(&["cluster", "group", "create", &group]);
    on(&["cluster", "group", "add", "m2", &group]);
    let mut node = contained("echo in; cat \"$FORGE_LANES_SCRATCH/file.txt\"");
    node.spec.runtime = incus(&format!(r#""cluster":{{"group":"{group}"}}"#));
    let plan = site.world.plan(vec![node]);
    let ended = site.run(&["apply", &plan]);
    on(&["cluster", "group", "remove", "m2", &group]);
    on(&["cluster", "group", "delete", &group]);
    ended.code(0);
    assert_eq!(site.log("execute-a", "guest.log"), "in\ncontent\n");
    let details = site.node()["details"].clone();
    assert_eq!(details["member"], "m2", "{details}");
}
