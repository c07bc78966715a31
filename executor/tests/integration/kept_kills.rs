//! Killed while results and caches are published: what is found afterwards is whole, or it is not there.
//!
//! At every command of a cache's publication, and at random instants of runs that publish results, here and on a host, and
//! caches. `FORGE_LANES_KILLS=N` kills so often (`scripts/chaos-kept`, `docs/chaos.md`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use plans::{Key, Node, Reuse, Workspace};
use rustix::process::Signal;

use crate::{
    harness::{Ended, Random, cache, sh, with_cache, within},
    remote::Far,
    sshd::{children_of, signal},
};

const STORE: &str = include_str!("../../src/caches/store.sh");

const PLACE: &str = "0123456789abcdef0123456789abcdef";

/// A store of caches, and a directory that one is published from.
struct Published {
    dir: tempfile::TempDir,
}

impl Published {
    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// Runs a script with the store's functions, and returns what it said and whether it came to its end.
    fn run(&self, script: &str) -> (String, bool) {
        let (store, given) = (self.at("store"), self.at("given"));
        let text = format!("s='{}' d='{}'\n{STORE}\n{script}", store.display(), given.display());
        let path = self.at("script");
        fs::write(&path, text).expect("written");
        let output = Command::new("bash").arg(path).output().expect("bash starts");
        (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.success())
    }

    /// Publishes a generation; killed before the command of that number.
    fn publish(&self, generation: u32, before: u32) -> bool {
        let _ = fs::remove_dir_all(self.at("given"));
        for name in 0..4 {
            fs::create_dir_all(self.at("given/0/data/deep")).expect("made");
            let file = self.at(&format!("given/0/data/deep/{name}"));
            fs::write(file, format!("{generation}\n")).expect("written");
        }
        fs::write(self.at("given/0/dates"), format!("202601010000.00 f{generation} ./a\n"))
            .expect("w");
        let key = Key::of(b"one");
        // Subshells count from where they began.
        let (_, ended) = self.run(&format!(
            "facts=$(printf 'name\\tc\\n.')\nfacts=${{facts%.}}\nn=0; set -T\n\
             trap 'n=$((n + 1)); [ $n -ne {before} ] || kill -9 $$' DEBUG\n\
             save 0 {PLACE} {} 1000000 \"$d/0\" \"$d/ws\" cache\n",
            key.digits()
        ));
        ended
    }

    /// Returns the generation that is given out, if any.
    fn taken(&self) -> Option<u32> {
        let _ = fs::remove_dir_all(self.at("given"));
        let key = Key::of(b"one");
        let (said, ended) = self.run(&format!("take 0 {} no no {PLACE}\n", key.digits()));
        assert!(ended && !said.contains("is not used"), "{said}");
        if said.contains("\tcold\t") {
            return None;
        }
        let read = |name: u32| {
            let text = fs::read_to_string(self.at(&format!("given/0/data/deep/{name}")));
            text.expect("all are there").trim().parse::<u32>().expect("a number")
        };
        let all: Vec<u32> = (0..4).map(read).collect();
        assert!(all.iter().all(|it| *it == all[0]), "{all:?}");
        let dates = fs::read_to_string(self.at("given/0/old")).expect("its times");
        assert_eq!(dates, format!("202601010000.00 f{} ./a\n", all[0]));
        Some(all[0])
    }
}

#[test]
fn a_cache_whose_publication_is_killed_at_any_command_is_whole_or_the_one_before() {
    let published = Published { dir: tempfile::tempdir().expect("a directory") };
    let mut before = 0;
    let mut last = None;
    loop {
        before += 1;
        let ended = published.publish(before, before);
        let found = published.taken();
        assert!(found == last || found == Some(before), "{before}: {found:?} after {last:?}");
        last = found;
        let (listed, _) = published.run("list whole\n");
        assert!(!listed.contains("damaged\t"), "{before}: {listed}");
        if ended {
            assert_eq!(found, Some(before), "it was published");
            break;
        }
        assert!(before < 1000, "it does not end");
    }
    assert!(before > 20, "it was killed {before} times");
}

/// Jobs with a cache and a result each, on this machine, whose results a host keeps as well.
struct Kept {
    far: Far,
    plan: String,
}

const JOBS: usize = 3;

impl Kept {
    fn new() -> Option<Self> {
        let far = Far::new("")?;
        let root = far.sshd.root();
        let config = format!(
            "[results]\nhost = \"far\"\nhost_dir = \"{0}/results\"\n[hosts.far]\nssh = \"testhost\"\n",
            root.display()
        );
        fs::write(root.join("executor.toml"), config).expect("written");
        let world = &far.world;
        let nodes: Vec<Node> =
            (0..JOBS).map(|number| job(number, &world.path().join("ran"))).collect();
        let plan = world.plan_with_keys(nodes);
        Some(Self { far, plan })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.far.command(arguments);
        command.env("EXECUTOR_CONFIG", self.far.sshd.root().join("executor.toml"));
        command
    }

    fn ran(&self) -> usize {
        let ran = fs::read_to_string(self.far.world.path().join("ran"));
        ran.unwrap_or_default().lines().count()
    }

    /// Everything passed, and left what it leaves.
    fn check(&self, arguments: &[&str], what: &str) {
        let ended = Ended::of(self.command(arguments).output().expect("it starts"));
        assert_eq!(ended.code, Some(0), "{what}\n{}\n{}", ended.out, ended.err);
        assert!(!ended.err.contains("is not used"), "{what}\n{}", ended.err);
        let run = self.far.world.runs().pop().expect("a run");
        for number in 0..JOBS {
            let dir = run.join(format!("nodes/execute-{number}"));
            let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap_or_default();
            assert_eq!(read("guest.log"), format!("said {number}\n"), "{what}");
            assert_eq!(read("artifacts/dir/file"), format!("left {number}\n"), "{what}");
        }
    }
}

/// A job whose cache is 20 files that all hold one number; it fails on any other.
fn job(number: usize, ran: &Path) -> Node {
    let script = format!(
        "set -e; cd cache; n=$(cat 0 2>/dev/null || echo 0)\n\
         [ \"$n\" = 0 ] || [ \"$(ls | wc -l)\" -eq 20 ] || exit 8\n\
         for f in $(seq 0 19); do [ ! -e $f ] || [ \"$(cat $f)\" = \"$n\" ] || exit 7; done\n\
         for f in $(seq 0 19); do echo $((n + 1)) >$f; done\n\
         mkdir \"$ARTIFACTS_DIR/dir\"; echo left {number} >\"$ARTIFACTS_DIR/dir/file\"; echo said {number}\n\
         echo {number} >>'{}'",
        ran.display()
    );
    let mut node = sh(&format!("execute-{number}"), &script, &[]);
    node.spec.workspace = Workspace::Writable;
    node.spec.reuse = Reuse::Passed;
    node.spec.artifacts = vec!["dir/*".to_owned()];
    with_cache(node, cache(&format!("c{number}"), "cache"), "one")
}

#[test]
#[expect(clippy::print_stderr, reason = "a longer one is run for its figures")]
fn runs_killed_while_they_publish_leave_whole_results_and_caches_or_none() {
    let Some(kept) = Kept::new() else { return };
    let asked = std::env::var("FORGE_LANES_KILLS").ok().and_then(|text| text.parse().ok());
    let rounds: u64 = asked.unwrap_or(8);
    let seed = std::env::var("CHAOS_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(1u64);
    let mut random = Random::new(seed);
    let (mut reused, mut killed) = (0, 0);
    for round in 0..rounds {
        // Here, there, on both or on neither.
        let stores = [
            kept.far.world.path().join("home/.cache/forge-lanes/results"),
            kept.far.sshd.root().join("results"),
        ];
        for store in stores {
            if random.below(4) > 0 && store.exists() {
                fs::remove_dir_all(store).expect("removed");
            }
        }
        let _ = fs::remove_file(kept.far.world.path().join("ran"));
        let count = kept.far.world.runs().len();
        let mut child = kept
            .command(&["apply", &kept.plan])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("it starts");
        let after = usize::try_from(random.below(JOBS as u64 + 1)).expect("small");
        let over = |child: &mut std::process::Child| child.try_wait().expect("a child").is_some();
        within(120, || {
            (kept.far.world.runs().len() > count && kept.ran() >= after) || over(&mut child)
        });
        std::thread::sleep(Duration::from_micros(random.below(60_000)));
        let everybody = random.below(2) == 0;
        let children = if everybody { children_of(child.id()) } else { Vec::new() };
        killed += u32::from(!over(&mut child));
        signal(child.id(), Signal::KILL);
        // What it asked a shell to do is not always done to its end either.
        for pid in children {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if name.trim() == "sh" {
                signal(pid, Signal::KILL);
            }
        }
        child.wait().expect("ends");
        let what = format!("seed {seed}, round {round}");
        if kept.far.world.runs().len() > count {
            kept.check(&["resume", "latest"], &format!("{what}, resumed"));
        }
        let before = kept.ran();
        kept.check(&["apply", &kept.plan], &what);
        reused += JOBS - (kept.ran() - before);
        if round % 50 == 49 {
            let gone = Ended::of(kept.command(&["gc", "--keep", "2"]).output().expect("starts"));
            assert_eq!(gone.code, Some(0), "{what}: {}\n{}", gone.out, gone.err);
        }
    }
    eprintln!("{rounds} rounds, {killed} killed before their end, {reused} nodes reused after it");
}
