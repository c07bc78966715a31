//! Results on a host: found by another machine, asked for once, and whatever is wrong with the host or with what lies
//! there costs at most a run.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt as _,
    path::PathBuf,
    process::Command,
    time::{Duration, SystemTime},
};

use plans::{Node, Reuse};
use serde_json::Value;

use crate::{
    harness::{Ended, sh},
    remote::Far,
};

/// A host that keeps results, and machines that share it.
struct Shared {
    far: Far,
    more: String,
}

impl Shared {
    fn new() -> Option<Self> {
        let path = std::env::var("PATH").unwrap_or_default();
        let far = Far::new(&format!("SetEnv \"PATH={{root}}/counted:{path}\"\n"))?;
        let shared = Self { far, more: String::new() };
        // What is asked of the host asks first who it is there.
        let id = shared.root().join("counted/id");
        fs::create_dir_all(id.parent().expect("a parent")).expect("made");
        let asked = shared.root().join("asked");
        let script =
            format!("#!/bin/sh\necho x >>'{}'\nPATH='{path}' exec id \"$@\"\n", asked.display());
        fs::write(&id, script).expect("written");
        fs::set_permissions(&id, fs::Permissions::from_mode(0o755)).expect("its mode");
        Some(shared)
    }

    fn root(&self) -> PathBuf {
        self.far.sshd.root().to_owned()
    }

    /// How often the host was asked which results it has, since this was asked last.
    fn asked(&self) -> usize {
        let path = self.root().join("asked");
        let asked = fs::read_to_string(&path).unwrap_or_default().len() / 2;
        let _ = fs::remove_file(path);
        asked
    }

    /// The program on a machine of that name.
    fn on(&self, machine: &str, arguments: &[&str]) -> Command {
        let config = self.root().join("executor.toml");
        let text = format!(
            "[results]\nhost = \"far\"\nhost_dir = \"{}/results dir\"\n{}[hosts.far]\nssh = \"testhost\"\n",
            self.root().display(),
            self.more
        );
        fs::write(&config, text).expect("written");
        let cache = self.far.world.path().join(machine);
        fs::create_dir_all(&cache).expect("made");
        let mut command = self.far.command(arguments);
        command.env("XDG_CACHE_HOME", cache).env("EXECUTOR_CONFIG", config);
        command
    }

    fn run(&self, machine: &str, arguments: &[&str]) -> Ended {
        Ended::of(self.on(machine, arguments).output().expect("it starts"))
    }

    fn ran_file(&self) -> PathBuf {
        self.far.world.path().join("ran")
    }

    /// How many jobs ran since this was asked last.
    fn ran(&self) -> usize {
        let ran = fs::read_to_string(self.ran_file()).unwrap_or_default().lines().count();
        let _ = fs::remove_file(self.ran_file());
        ran
    }

    /// So many jobs, each of which leaves a file.
    fn jobs(&self, count: usize) -> Vec<Node> {
        let job = |number: usize| {
            let script = format!(
                "echo x >>'{}'; echo said {number}; echo left {number} >\"$ARTIFACTS_DIR/file\"",
                self.ran_file().display()
            );
            let mut node = sh(&format!("execute-{number}"), &script, &[]);
            node.spec.reuse = Reuse::Passed;
            node.spec.artifacts = vec!["file".to_owned()];
            node
        };
        (0..count).map(job).collect()
    }

    fn plan(&self, nodes: Vec<Node>) -> String {
        self.far.world.plan_with_keys(nodes)
    }

    fn apply(&self, machine: &str, plan: &str, more: &[&str]) -> Ended {
        self.run(machine, &[&["apply", plan, "--output", "jsonl"], more].concat())
    }

    /// A file of a node in the newest run.
    fn file(&self, node: &str, name: &str) -> String {
        let run = self.far.world.runs().pop().expect("a run");
        fs::read_to_string(run.join("nodes").join(node).join(name)).unwrap_or_default()
    }

    /// What the host keeps of whom.
    fn kept(&self, trust: &str) -> Vec<PathBuf> {
        let dir = self.root().join("results dir/v1").join(trust);
        let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
        entries.map(|entry| entry.expect("readable").path()).collect()
    }
}

macro_rules! shared {
    () => {
        match Shared::new() {
            Some(shared) => shared,
            None => return,
        }
    };
}

fn warnings(ended: &Ended) -> String {
    let events = ended.events();
    let warned = events.iter().filter(|event| event["event"] == "warning");
    warned.filter_map(|event| event["message"].as_str()).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_left_alone_once(ended: &Ended) {
    let said = warnings(ended);
    assert_eq!(said.matches("results on `far` are left alone").count(), 1, "{}", ended.out);
}

#[test]
fn what_one_machine_passed_stands_for_another_and_a_plan_asks_once() {
    let shared = shared!();
    let plan = shared.plan(shared.jobs(30));
    shared.apply("one", &plan, &[]).code(0);
    assert_eq!((shared.ran(), shared.asked(), shared.kept("trusted").len()), (30, 1, 30));

    let ended = shared.apply("two", &plan, &[]).code(0);
    assert_eq!((shared.ran(), shared.asked()), (0, 1), "{}", ended.out);
    assert_eq!(shared.file("execute-7", "guest.log"), "said 7\n");
    assert_eq!(shared.file("execute-7", "artifacts/file"), "left 7\n");
    assert_eq!(warnings(&ended), "");

    // It has them itself by now.
    shared.far.sshd.link.down();
    let ended = shared.apply("two", &plan, &[]).code(0);
    assert_eq!((shared.ran(), warnings(&ended)), (0, String::new()));
    shared.far.sshd.link.up();

    // What only looks leaves nothing anywhere.
    let why = shared.run("three", &["why", &plan, "--node", "execute-3"]).code(0);
    assert!(why.out.contains("execute-3: reused from run"), "{}", why.out);
    let doctor = shared.run("three", &["doctor", &plan]).code(0);
    assert!(
        doctor.out.contains("results on far") && doctor.out.contains("30 results"),
        "{}",
        doctor.out
    );
    let listed = shared.run("three", &["results", "list", "--hosts", "--json"]).code(0);
    let listed: Value = serde_json::from_str(&listed.out).expect("JSON");
    let listed = listed["results"].as_array().expect("results");
    assert_eq!(listed.len(), 30);
    assert!(listed.iter().all(|it| it["host"] == "far" && it["trust"] == "trusted"), "{listed:?}");
    assert_eq!(shared.run("three", &["results", "list"]).code(0).out, "no results are kept\n");

    // One is removed on both, one is spoilt: a collection takes that alone.
    let key = listed[0]["key"].as_str().expect("a key");
    let gone = shared.run("two", &["results", "remove", key, "--hosts"]).code(0);
    assert_eq!(gone.out.lines().count(), 2, "{}", gone.out);
    fs::write(&shared.kept("trusted")[0], "nonsense").expect("written");
    let gone = shared.run("three", &["gc"]).code(0);
    assert!(gone.out.contains("a damaged result, on `far`"), "{}", gone.out);
    assert_eq!(shared.kept("trusted").len(), 28);

    // One that is dated ahead would be the last to go for ever.
    let ahead = SystemTime::now() + Duration::from_secs(1_000_000_000);
    let path = &shared.kept("trusted")[0];
    let dated = || fs::metadata(path).and_then(|it| it.modified()).expect("its date");
    File::open(path).and_then(|it| it.set_modified(ahead)).expect("dated");
    shared.run("three", &["gc"]).code(0);
    assert!(dated() < ahead - Duration::from_secs(900_000_000));
}

#[test]
fn what_is_wrong_on_the_host_is_a_miss() {
    type Spoil = fn(Vec<u8>) -> Vec<u8>;
    let shared = shared!();
    let plan = shared.plan(shared.jobs(1));
    let spoil: [(&str, Spoil); 6] = [
        ("cut", |mut all| {
            all.truncate(all.len() / 2);
            all
        }),
        ("empty", |_| Vec::new()),
        ("digest", |mut all| {
            all[3] ^= 1;
            all
        }),
        ("entry", |mut all| {
            all[100] ^= 1;
            all
        }),
        ("files", |mut all| {
            let at = all.windows(6).position(|it| it == b"left 0").expect("its file");
            all[at] ^= 1;
            all
        }),
        ("no tar", |all| {
            all.split_inclusive(|byte| *byte == b'\n').take(2).collect::<Vec<_>>().concat()
        }),
    ];
    shared.apply("first", &plan, &[]).code(0);
    let [path] = &shared.kept("trusted")[..] else { panic!("one is kept") };
    let whole = fs::read(path).expect("readable");
    shared.ran();
    for (name, spoil) in spoil {
        let spoilt = spoil(whole.clone());
        fs::write(path, &spoilt).expect("written");
        let ended = shared.apply(name, &plan, &[]).code(0);
        assert_eq!(shared.ran(), 1, "{name}");
        assert!(warnings(&ended).contains("kept on `far` is not used"), "{name}: {}", ended.out);
        // It was kept anew.
        assert_ne!(fs::read(path).expect("readable"), spoilt, "{name}");
        shared.apply(&format!("{name} again"), &plan, &[]).code(0);
        assert_eq!(shared.ran(), 0, "{name}");
    }
    // A store that is a file, and one that others may write to.
    let dir = shared.root().join("results dir");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("its mode");
    let ended = shared.apply("loose", &plan, &[]).code(0);
    assert!(warnings(&ended).contains("can be changed by others"), "{}", ended.out);
    fs::rename(&dir, shared.root().join("elsewhere")).expect("moved");
    fs::write(&dir, "a file").expect("written");
    let ended = shared.apply("a file", &plan, &[]).code(0);
    assert!(warnings(&ended).contains("are left alone"), "{}", ended.out);
    assert_eq!((shared.ran(), fs::read_to_string(&dir).expect("it")), (2, "a file".to_owned()));
    // A plan that has no node there, and a site that does not say how it is reached.
    let config = shared.root().join("other.toml");
    fs::write(&config, "[results]\nhost = \"far\"\n").expect("written");
    let mut command = shared.on("unknown", &["apply", &plan, "--output", "jsonl"]);
    let ended = Ended::of(command.env("EXECUTOR_CONFIG", config).output().expect("starts")).code(0);
    assert!(warnings(&ended).contains("`hosts.far.ssh` is not set"), "{}", ended.out);
}

#[test]
fn what_an_untrusted_run_passed_is_given_to_no_other_machine_that_is_trusted() {
    let mut shared = shared!();
    let plan = shared.plan(shared.jobs(1));
    shared.apply("one", &plan, &["--untrusted"]).code(0);
    assert_eq!((shared.ran(), shared.kept("untrusted").len()), (1, 0));
    shared.more = "write = \"always\"\n".to_owned();
    shared.apply("one", &plan, &["--untrusted"]).code(0);
    assert_eq!((shared.ran(), shared.kept("untrusted").len()), (1, 1));
    shared.apply("two", &plan, &["--untrusted"]).code(0);
    assert_eq!(shared.ran(), 0);
    shared.apply("two", &plan, &[]).code(0);
    assert_eq!((shared.ran(), shared.kept("trusted").len()), (1, 1));
    shared.apply("three", &plan, &["--reuse", "read"]).code(0);
    assert_eq!(shared.ran(), 0);
    // It may not say that it is another's.
    let (from, to) =
        (shared.kept("untrusted").remove(0), shared.root().join("results dir/v1/trusted"));
    fs::remove_dir_all(&to).expect("removed");
    fs::create_dir(&to).expect("made");
    fs::copy(&from, to.join("0".repeat(64))).expect("copied");
    shared.apply("four", &plan, &["--reuse", "read"]).code(0);
    assert_eq!(shared.ran(), 1);
}

#[test]
fn a_host_that_goes_away_costs_a_run() {
    let shared = shared!();
    let plan = shared.plan(shared.jobs(3));
    shared.far.sshd.link.down();
    let ended = shared.apply("one", &plan, &[]).code(0);
    assert_eq!(shared.ran(), 3);
    assert_left_alone_once(&ended);
    shared.far.sshd.link.up();

    // While jobs run, before they are kept there.
    let mut nodes = shared.jobs(2);
    for node in &mut nodes {
        let plans::Command::Shell { script, .. } = &mut node.spec.command else {
            unreachable!("one")
        };
        let go = shared.root().join("go");
        *script = format!("{script}\nwhile [ ! -e '{}' ]; do sleep 0.05; done", go.display());
    }
    let plan = shared.plan(nodes);
    let mut command = shared.on("two", &["apply", &plan, "--jobs", "2", "--output", "jsonl"]);
    let child = command.stdout(std::process::Stdio::piped()).spawn().expect("starts");
    crate::harness::until(|| {
        fs::read_to_string(shared.ran_file()).unwrap_or_default().lines().count() == 2
    });
    shared.far.sshd.link.down();
    fs::write(shared.root().join("go"), "").expect("written");
    let ended = Ended::of(child.wait_with_output().expect("ends")).code(0);
    assert_left_alone_once(&ended);
    shared.far.sshd.link.up();
    shared.ran();
    // Nothing half-written is found, and this machine has what it passed.
    shared.apply("two", &plan, &[]).code(0);
    assert_eq!(shared.ran(), 0);
    shared.apply("three", &plan, &[]).code(0);
    assert_eq!(shared.ran(), 2);
}

#[test]
fn a_host_that_answers_no_more_holds_nobody_up_for_long() {
    let shared = shared!();
    let plan = shared.plan(shared.jobs(2));
    shared.far.sshd.link.freeze();
    let ended = shared.apply("one", &plan, &[]).code(0);
    shared.far.sshd.link.thaw();
    assert_eq!(shared.ran(), 2);
    assert!(warnings(&ended).contains("results on `far` are left alone"), "{}", ended.out);
}
