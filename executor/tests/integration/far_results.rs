//! Results on a host: found by another machine, asked for once, and whatever is wrong with the host or with what lies
//! there costs at most a run.

use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, SystemTime},
};

use plans::{Node, Reuse};
use serde_json::Value;

use crate::{
    harness::{Ended, Random, SmallDisk, kill, sh, until},
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
        // What comes there is moved to its name; what `hold` names waits for that, and does not come if there is `die`.
        let mv = shared.root().join("counted/mv");
        let script = format!(
            "#!/bin/sh\ncd '{}'; here=$OLDPWD; hold=$(cat hold 2>/dev/null)\n\
             if [ -n \"$hold\" ]; then case \"$2\" in $hold)\n\
               echo \"$3\" >>moved; n=$(wc -l <moved)\n\
               if [ $n -ge $(cat from 2>/dev/null || echo 1) ]; then\n\
                 while [ -e hold ]; do sleep 0.02; done; if [ -e die ]; then exit 1; fi\n\
               fi\n\
             ;; esac; fi\ncd \"$here\"; PATH='{path}' exec mv \"$@\"\n",
            shared.root().display()
        );
        fs::write(&mv, script).expect("written");
        fs::set_permissions(&mv, fs::Permissions::from_mode(0o755)).expect("its mode");
        Some(shared)
    }

    /// Holds up what comes to the host under such a name, from that one on.
    fn hold(&self, pattern: &str, from: usize) {
        let _ = fs::remove_file(self.root().join("moved"));
        let _ = fs::remove_file(self.root().join("die"));
        fs::write(self.root().join("from"), from.to_string()).expect("written");
        fs::write(self.root().join("hold"), pattern).expect("written");
    }

    /// Waits until so many came.
    #[track_caller]
    fn until_moved(&self, count: usize) {
        until(|| {
            let moved = fs::read_to_string(self.root().join("moved")).unwrap_or_default();
            moved.lines().count() == count
        });
    }

    /// Lets them come, or not.
    fn release(&self, come: bool) {
        if !come {
            fs::write(self.root().join("die"), "").expect("written");
        }
        fs::remove_file(self.root().join("hold")).expect("held");
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
        self.jobs_of(0..count)
    }

    /// Those of these numbers.
    fn jobs_of(&self, numbers: std::ops::Range<usize>) -> Vec<Node> {
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
        numbers.map(job).collect()
    }

    fn plan(&self, nodes: Vec<Node>) -> String {
        let world = &self.far.world;
        world.keep(&world.plan_with_keys(nodes))
    }

    /// A plan of one job that ends when there is a file `go`.
    fn plan_that_waits(&self, number: usize) -> String {
        let mut nodes = self.jobs_of(number..number + 1);
        let go = self.root().join("go");
        let _ = fs::remove_file(&go);
        add(&mut nodes[0], &format!("while [ ! -e '{}' ]; do sleep 0.02; done", go.display()));
        self.plan(nodes)
    }

    fn go(&self) {
        fs::write(self.root().join("go"), "").expect("written");
    }

    fn start(&self, machine: &str, plan: &str) -> Child {
        let mut command = self.on(machine, &["apply", plan, "--output", "jsonl"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
    }

    fn results_of(&self, machine: &str) -> PathBuf {
        self.far.world.path().join(machine).join("forge-lanes/results/v1")
    }

    /// The notes of what a machine owes of whom.
    fn owed(&self, machine: &str, trust: &str) -> Vec<PathBuf> {
        let places = listed(&self.results_of(machine).join("owed").join(trust));
        places.iter().flat_map(|place| listed(place)).collect()
    }

    /// What a machine itself keeps.
    fn kept_on(&self, machine: &str) -> Vec<String> {
        let shards = listed(&self.results_of(machine).join("trusted"));
        let kept = shards.iter().flat_map(|shard| listed(shard));
        kept.map(|path| name_of(&path)).collect()
    }

    /// What `doctor` says that a machine owes.
    fn told(&self, machine: &str, plan: &str) -> Option<String> {
        let doctor = self.run(machine, &["doctor", plan]);
        let line = doctor.out.lines().find(|line| line.contains("owed to far"))?;
        Some(line.split_whitespace().skip(4).take(2).collect::<Vec<_>>().join(" "))
    }

    fn apply(&self, machine: &str, plan: &str, more: &[&str]) -> Ended {
        self.run(machine, &[&["apply", plan, "--output", "jsonl"], more].concat())
    }

    /// A file of a node in the newest run.
    fn file(&self, node: &str, name: &str) -> String {
        let run = self.far.world.runs().pop().expect("a run");
        fs::read_to_string(run.join("nodes").join(node).join(name)).unwrap_or_default()
    }

    /// The same while nobody can reach the host.
    fn apply_alone(&self, machine: &str, plan: &str, more: &[&str]) -> Ended {
        self.far.sshd.link.down();
        let ended = self.apply(machine, plan, more);
        self.far.sshd.link.up();
        ended
    }

    /// What the host keeps of whom.
    fn kept(&self, trust: &str) -> Vec<PathBuf> {
        let kept = listed(&self.root().join("results dir/v1").join(trust));
        kept.into_iter().filter(|path| !name_of(path).starts_with('.')).collect()
    }
}

fn listed(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries.map(|entry| entry.expect("readable").path()).collect()
}

fn name_of(path: &Path) -> String {
    path.file_name().expect("a name").to_str().expect("UTF-8").to_owned()
}

/// Adds to what a job does.
fn add(node: &mut Node, line: &str) {
    let plans::Command::Shell { script, .. } = &mut node.spec.command else { unreachable!("one") };
    *script = format!("{script}\n{line}");
}

fn ended(child: Child) -> Ended {
    Ended::of(child.wait_with_output().expect("ends"))
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
        let go = shared.root().join("go");
        add(node, &format!("while [ ! -e '{}' ]; do sleep 0.05; done", go.display()));
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

#[test]
fn what_a_host_could_not_be_given_is_handed_over_by_the_next_run_that_asks_it() {
    let shared = shared!();
    let plan = shared.plan(shared.jobs(3));
    shared.far.sshd.link.down();
    shared.apply("one", &plan, &[]).code(0);
    assert_eq!((shared.ran(), shared.owed("one", "trusted").len()), (3, 3));
    assert_eq!(shared.told("one", &plan).as_deref(), Some("3 results,"));
    shared.far.sshd.link.up();

    // A run that finds everything here asks nobody.
    shared.apply("one", &plan, &[]).code(0);
    assert_eq!((shared.asked(), shared.kept("trusted").len()), (0, 0));

    // Another machine published one of them meanwhile.
    shared.apply("two", &shared.plan(shared.jobs(1)), &[]).code(0);
    let [there] = &shared.kept("trusted")[..] else { panic!("one is kept") };
    let inode = || fs::metadata(there).expect("kept").ino();
    let (before, _) = (inode(), shared.asked());

    let ended = shared.apply("one", &shared.plan(shared.jobs_of(3..4)), &[]).code(0);
    assert_eq!((warnings(&ended), shared.asked()), (String::new(), 1));
    assert_eq!((shared.kept("trusted").len(), inode()), (4, before));
    assert_eq!(shared.owed("one", "trusted"), Vec::<PathBuf>::new());
    assert_eq!(shared.told("one", &plan), None);
    let old = SystemTime::now() - Duration::from_secs(24 * 60 * 60);
    for path in shared.kept("trusted") {
        let found = fs::metadata(path).expect("kept");
        assert!(found.modified().expect("a date") > old, "it would be the first to go");
        assert_eq!(found.mode() & 0o777, 0o600);
    }

    shared.ran();
    let ended = shared.apply("three", &plan, &[]).code(0);
    assert_eq!((shared.ran(), warnings(&ended)), (0, String::new()));
    assert_eq!(shared.file("execute-2", "artifacts/file"), "left 2\n");
}

#[test]
fn what_a_host_was_being_given_when_it_went_away_is_handed_over_later() {
    let shared = shared!();
    // Two travel together at most.
    let mut nodes = shared.jobs(4);
    for node in &mut nodes {
        add(node, "head -c 1900000 /dev/urandom >>\"$ARTIFACTS_DIR/file\"");
    }
    let plan = shared.plan(nodes);
    shared.apply_alone("one", &plan, &[]).code(0);
    assert_eq!(shared.owed("one", "trusted").len(), 4);

    shared.hold(".new-*/*", 2);
    let child = shared.start("one", &shared.plan_that_waits(4));
    shared.until_moved(2);
    shared.far.sshd.link.down();
    shared.release(false);
    shared.go();
    let ended = ended(child).code(0);
    let said = warnings(&ended);
    assert_eq!(said.lines().count(), 1, "{said}");
    shared.far.sshd.link.up();
    until(|| listed(&shared.root().join("results dir/v1/trusted")).len() == 1);
    assert_eq!(shared.owed("one", "trusted").len(), 5);

    let ended = shared.apply("one", &shared.plan(shared.jobs_of(5..6)), &[]).code(0);
    assert_eq!(warnings(&ended), "");
    assert_eq!((shared.kept("trusted").len(), shared.owed("one", "trusted").len()), (6, 0));
    shared.ran();
    shared.apply("two", &plan, &[]).code(0);
    assert_eq!(shared.ran(), 0);
}

#[test]
fn a_run_does_not_wait_for_a_host_that_is_slow_to_take_what_it_is_owed() {
    let shared = shared!();
    shared.apply_alone("one", &shared.plan(shared.jobs(2)), &[]).code(0);
    shared.hold(".new-*/*", 1);
    // It ends although nobody lets them come, and that is no news.
    let ended = shared.apply("one", &shared.plan(shared.jobs_of(2..3)), &[]).code(0);
    assert_eq!(warnings(&ended), "");
    assert_eq!((shared.kept("trusted").len(), shared.owed("one", "trusted").len()), (1, 2));
    assert_eq!(listed(&shared.results_of("one").join("new")), Vec::<PathBuf>::new());
    let running = Command::new("ps").args(["-eo", "args"]).output().expect("ps starts").stdout;
    let sockets = format!("{}/r/forge-lanes/m-", shared.root().display());
    assert!(!String::from_utf8_lossy(&running).contains(&sockets), "a client is left");
    shared.release(false);
    shared.apply("one", &shared.plan(shared.jobs_of(3..4)), &[]).code(0);
    assert_eq!((shared.kept("trusted").len(), shared.owed("one", "trusted").len()), (4, 0));
}

#[test]
fn an_executor_killed_before_it_published_owes_what_it_kept() {
    let shared = shared!();
    let plan = shared.plan(shared.jobs(1));
    shared.hold(".new-*", 1);
    let child = shared.start("one", &plan);
    shared.until_moved(1);
    kill(child);
    shared.release(false);
    assert_eq!((shared.kept_on("one").len(), shared.kept("trusted").len()), (1, 0));
    assert_eq!(shared.owed("one", "trusted").len(), 1);
    // At whatever instant: what is kept here is there, or owed.
    let mut random = Random::new(7);
    for number in 10..18 {
        shared.ran();
        let child = shared.start("one", &shared.plan(shared.jobs_of(number..number + 1)));
        until(|| shared.ran_file().exists());
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        kill(child);
        let owed = shared.owed("one", "trusted");
        let known: Vec<String> =
            shared.kept("trusted").iter().chain(&owed).map(|path| name_of(path)).collect();
        let kept = shared.kept_on("one");
        assert!(kept.iter().all(|name| known.contains(name)), "{number}: {kept:?}, {known:?}");
    }
    shared.apply("one", &shared.plan(shared.jobs_of(20..21)), &[]).code(0);
    let there: Vec<String> = shared.kept("trusted").iter().map(|path| name_of(path)).collect();
    let kept = shared.kept_on("one");
    assert!(kept.iter().all(|name| there.contains(name)), "{kept:?}, {there:?}");
    shared.ran();
    shared.apply("two", &plan, &[]).code(0);
    assert_eq!(shared.ran(), 0);
}

#[test]
fn two_executors_do_not_hand_over_the_same() {
    let shared = shared!();
    shared.apply_alone("one", &shared.plan(shared.jobs(3)), &[]).code(0);
    shared.hold(".new-*/*", 1);
    let child = shared.start("one", &shared.plan_that_waits(3));
    shared.until_moved(1);
    let ended_first = shared.apply("one", &shared.plan(shared.jobs_of(4..5)), &[]).code(0);
    assert_eq!((warnings(&ended_first), shared.kept("trusted").len()), (String::new(), 1));
    shared.release(true);
    until(|| shared.owed("one", "trusted").len() <= 1);
    shared.go();
    assert_eq!(warnings(&ended(child).code(0)), "");
    shared.until_moved(1);
    assert_eq!((shared.kept("trusted").len(), shared.owed("one", "trusted").len()), (5, 0));
}

#[test]
fn what_an_untrusted_run_owes_no_trusted_one_hands_over() {
    let mut shared = shared!();
    shared.more = "write = \"always\"\n".to_owned();
    let (first, second) = (shared.plan(shared.jobs(1)), shared.plan(shared.jobs_of(1..2)));
    shared.far.sshd.link.down();
    shared.apply("one", &first, &["--untrusted"]).code(0);
    shared.apply("one", &second, &[]).code(0);
    shared.far.sshd.link.up();
    let owed = || (shared.owed("one", "trusted").len(), shared.owed("one", "untrusted").len());
    let kept = || (shared.kept("trusted").len(), shared.kept("untrusted").len());
    assert_eq!((owed(), kept()), ((1, 1), (0, 0)));
    // What keeps nothing hands nothing over.
    shared.apply("one", &shared.plan(shared.jobs_of(2..3)), &["--reuse", "read"]).code(0);
    assert_eq!((owed(), kept()), ((1, 1), (0, 0)));
    shared.apply("one", &shared.plan(shared.jobs_of(3..4)), &[]).code(0);
    assert_eq!((owed(), kept()), ((0, 1), (2, 0)));
    shared.apply("one", &shared.plan(shared.jobs_of(4..5)), &["--untrusted"]).code(0);
    assert_eq!((owed(), kept()), ((0, 0), (2, 2)));
    shared.ran();
    shared.apply("two", &first, &[]).code(0);
    assert_eq!(shared.ran(), 1);
}

#[test]
fn without_room_there_or_here_what_is_owed_stays_owed() {
    let mut shared = shared!();
    let Some(there) = SmallDisk::at(&shared.root().join("results dir"), 256) else { return };
    let here = shared.root().join("here");
    let Some(_here) = SmallDisk::at(&here, 256) else { return };
    fs::set_permissions(shared.root().join("results dir"), fs::Permissions::from_mode(0o700))
        .expect("its mode");
    shared.more = format!("dir = \"{}\"\n", here.display());
    shared.apply_alone("one", &shared.plan(shared.jobs(2)), &[]).code(0);
    let owed = || {
        let places = listed(&here.join("v1/owed/trusted"));
        places.iter().map(|place| listed(place).len()).sum::<usize>()
    };
    assert_eq!((shared.ran(), owed()), (2, 2));

    for (full, number) in [(&here, 2), (&shared.root().join("results dir"), 3)] {
        let filler = full.join("filler");
        // It fills what there is.
        let _ = fs::write(&filler, vec![1; 300_000]);
        let ended = shared.apply("one", &shared.plan(shared.jobs_of(number..number + 1)), &[]);
        assert!(warnings(&ended.code(0)).contains("No space left"), "{number}");
        assert!(owed() >= 2 && shared.kept("trusted").is_empty(), "{number}");
        fs::remove_file(filler).expect("there");
    }
    shared.apply("one", &shared.plan(shared.jobs_of(4..5)), &[]).code(0);
    assert_eq!(owed(), 0);
    assert_eq!(shared.kept("trusted").len(), 4);
    drop(there);
}

#[test]
fn notes_of_what_is_gone_or_spoilt_and_of_other_hosts_are_removed() {
    let shared = shared!();
    let plan = shared.plan(shared.jobs(3));
    shared.apply_alone("one", &plan, &[]).code(0);
    let results = listed(&shared.results_of("one").join("trusted"));
    let result_of =
        |shard: &Path| listed(shard).pop().expect("one is in each, unless two begin alike");
    let (gone, spoilt) = (result_of(&results[0]), result_of(&results[1]));
    fs::remove_dir_all(&gone).expect("removed");
    let file = spoilt.join("artifacts/file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("its mode");
    fs::write(&file, "other\n").expect("written");
    assert_eq!(shared.told("one", &plan).as_deref(), Some("2 results,"));

    // They may be of results that somebody is just keeping.
    let later = shared.plan(shared.jobs_of(3..4));
    shared.apply("one", &later, &[]).code(0);
    assert_eq!((shared.owed("one", "trusted").len(), shared.kept("trusted").len()), (2, 2));
    let date = || {
        let old = SystemTime::now() - Duration::from_secs(2 * 24 * 60 * 60);
        for note in shared.owed("one", "trusted") {
            File::open(note).and_then(|note| note.set_modified(old)).expect("dated");
        }
    };
    date();
    let collected = shared.run("one", &["gc"]).code(0);
    assert!(collected.out.contains("a note of a result that is gone"), "{}", collected.out);
    assert_eq!(shared.owed("one", "trusted").len(), 1);
    let last = shared.plan(shared.jobs_of(4..5));
    shared.apply("one", &last, &[]).code(0);
    assert_eq!(shared.owed("one", "trusted"), Vec::<PathBuf>::new());

    shared.far.sshd.link.down();
    shared.apply("one", &shared.plan(shared.jobs_of(5..6)), &[]).code(0);
    assert_eq!(shared.owed("one", "trusted").len(), 1);
    let config = shared.root().join("other.toml");
    fs::write(&config, "").expect("written");
    let mut command = shared.on("one", &["gc"]);
    let collected = command.env("EXECUTOR_CONFIG", config).output().expect("starts");
    let collected = Ended::of(collected).code(0);
    assert!(collected.out.contains("what was owed to `far`"), "{}", collected.out);
    assert_eq!(shared.owed("one", "trusted"), Vec::<PathBuf>::new());

    // What lies in the place of notes costs runs until it is collected.
    shared.far.sshd.link.up();
    let plan = shared.plan(shared.jobs_of(6..7));
    for part in ["owed", "owed/trusted"] {
        let path = shared.results_of("one").join(part);
        let _ = fs::remove_dir_all(&path);
        fs::write(&path, "").expect("written");
        let ended = shared.apply("one", &plan, &[]).code(0);
        assert!(warnings(&ended).contains("its result is not kept: "), "{part}: {}", ended.out);
        let collected = shared.run("one", &["gc"]).code(0);
        assert!(collected.out.contains("a file in the place of results"), "{}", collected.out);
        fs::create_dir(shared.results_of("one").join("owed")).unwrap_or_default();
    }
    assert_eq!(warnings(&shared.apply("one", &plan, &[]).code(0)), "");
}
