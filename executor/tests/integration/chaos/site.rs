//! The engines that are broken, the plans that run meanwhile, and one disturbed run of one.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use plans::{AbsolutePath, EnvName, FilesFrom, Mount, Node, Output, Workspace, WorkspacePath};

use super::{check::Expected, faults::Kind};
use crate::{
    harness::{Random, SmallDisk, World, node_id, sh},
    incus::{Site, incus, remote},
    testbed::TestBed,
};

/// The value of the secret that jobs print.
pub(super) const SECRET: &str = "hunter2-of-the-chaos-run";

/// Where guests see the marks of their jobs.
const OUTSIDE: &str = "/outside";

/// Which placements and runtimes a plan uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Flavour {
    /// This machine's processes.
    Local,
    /// They, and a host's; the host is reached over loopback.
    Ssh,
    /// They, and a host's; the host has a network of its own.
    Cable,
    /// All of that, and instances of both.
    All,
}

/// A test bed whose engines may be broken, and what its plans do when nothing breaks.
pub(super) struct Chaos {
    engines: Vec<String>,
    bed: TestBed,
    expected: Mutex<BTreeMap<Flavour, Expected>>,
}

/// A run that was disturbed, to be checked.
pub(super) struct Run {
    pub(super) site: Site,
    pub(super) kind: Kind,
    pub(super) flavour: Flavour,
    pub(super) marks: PathBuf,
    pub(super) faults: usize,
    /// What was done to it, in words.
    pub(super) struck: Vec<String>,
    /// The journal's whole lines, as they were after each fault.
    pub(super) journals: Vec<Vec<u8>>,
    pub(super) ids: Vec<String>,
    /// The exit code of the last executor; none: it did not end.
    pub(super) code: Option<i32>,
    plan: String,
    _disk: Option<SmallDisk>,
}

impl Chaos {
    /// Starts a test bed; `None`, with the reason on stderr, where that is not possible.
    pub(super) fn new(name: &str, engines: &[&str]) -> Option<Self> {
        let bed = TestBed::own(name, engines)?;
        let outside = bed.dir.join("outside");
        fs::create_dir_all(&outside).expect("made");
        fs::set_permissions(&outside, fs::Permissions::from_mode(0o777)).expect("its mode");
        if engines.contains(&"incus") {
            let source = format!("source={}", outside.display());
            let path = format!("path={OUTSIDE}");
            let words = ["profile", "device", "add", "default", "outside", "disk", &source, &path];
            let (done, said) = bed.incus(&words);
            assert!(done, "{said}");
        }
        let engines = engines.iter().map(|&engine| engine.to_owned()).collect();
        Some(Self { engines, bed, expected: Mutex::default() })
    }

    pub(super) fn has(&self, engine: &str) -> bool {
        self.engines.iter().any(|other| other == engine)
    }

    pub(super) fn bed(&self) -> &TestBed {
        &self.bed
    }

    /// Returns what that plan's nodes do when nothing disturbs them.
    pub(super) fn expected(&self, flavour: Flavour) -> Expected {
        if let Some(known) = self.expected.lock().expect("no panic").get(&flavour) {
            return known.clone();
        }
        let mut run = self.prepare(Kind::Executor, flavour);
        let mut executor = run.start();
        run.code = run.end(&mut executor);
        let expected = Expected::of(&run);
        self.expected.lock().expect("no panic").insert(flavour, expected.clone());
        expected
    }

    /// Runs the plan and strikes at most so often.
    pub(super) fn disturbed(
        &self,
        kind: Kind,
        flavour: Flavour,
        most: usize,
        random: &mut Random,
    ) -> Run {
        self.expected(flavour);
        let mut run = self.prepare(kind, flavour);
        // Close together, so that starts are hit; or apart, so that all of a run is.
        let pause = *random.one_of(&[80, 400, 1500]).expect("one");
        let most = most.min(1 + usize::try_from(random.below(12)).expect("few"));
        let mut executor = run.start();
        let began = Instant::now();
        while run.faults < most && began.elapsed() < Duration::from_secs(90) {
            random.sleep(pause);
            if executor.try_wait().expect("waited").is_some() {
                if run.site.world.runs().last().is_some_and(|run| run.join("record.json").exists())
                {
                    break;
                }
                // It gave up, as on a full disk: somebody resumes.
                executor = run.start();
            }
            if let Some(what) = kind.strike(self, &run, &mut executor, random) {
                run.faults += 1;
                run.struck.push(format!("{:.2} s {what}", began.elapsed().as_secs_f32()));
                run.remember();
            }
            if kind == Kind::Executor {
                executor = run.start();
            }
        }
        run.code = run.end(&mut executor);
        run
    }

    fn prepare(&self, kind: Kind, flavour: Flavour) -> Run {
        let bed = TestBed::borrowed(&self.bed);
        let site = Site::on(bed);
        let world = site.world.path().to_owned();
        let name = world.file_name().expect("named").to_string_lossy().into_owned();
        let marks = self.bed.dir.join("outside").join(&name);
        fs::create_dir(&marks).expect("made");
        fs::create_dir(world.join("r")).expect("made");
        fs::create_dir(world.join("mnt")).expect("made");
        fs::write(world.join("executor.toml"), "version = 1\ninfra_retries = 20\n")
            .expect("written");
        let disk = (kind == Kind::Disk)
            .then(|| SmallDisk::at(&site.world.state_dir(), 4096).expect("the right to mount one"));
        let nodes = nodes(&site, &marks, &name, flavour);
        let ids: Vec<String> = nodes.iter().map(|node| node.id.as_str().to_owned()).collect();
        for id in &ids {
            for mark in [marks.join(id), marks.join(format!("{id}.lock"))] {
                fs::write(&mark, "").expect("written");
                fs::set_permissions(&mark, fs::Permissions::from_mode(0o666)).expect("its mode");
            }
        }
        let plan = site.world.plan(nodes);
        let (faults, struck, journals, code) = (0, Vec::new(), Vec::new(), None);
        Run { site, kind, flavour, marks, faults, struck, journals, ids, code, plan, _disk: disk }
    }
}

impl Run {
    pub(super) fn world(&self) -> &World {
        &self.site.world
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.site.command(arguments);
        let path = self.world().path();
        command
            .env("XDG_RUNTIME_DIR", path.join("r"))
            .env("EXECUTOR_CONFIG", path.join("executor.toml"))
            .env("TOKEN", SECRET);
        command
    }

    /// Starts an executor: of a run that there is not yet, or of the one that there is.
    pub(super) fn start(&self) -> Child {
        let arguments = if self.world().runs().is_empty() {
            vec!["apply", &self.plan, "--jobs", "6"]
        } else {
            vec!["resume", "latest", "--jobs", "6"]
        };
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.world().path().join("executor.log"))
            .expect("a log");
        let mut command = self.command(&arguments);
        command.stdout(Stdio::null()).stderr(log).spawn().expect("the program starts")
    }

    /// Lets the run come to its end. Returns the exit code.
    fn end(&self, executor: &mut Child) -> Option<i32> {
        let began = Instant::now();
        loop {
            match executor.try_wait().expect("waited") {
                Some(status) => {
                    let runs = self.world().runs();
                    let over = runs.last().is_some_and(|run| run.join("record.json").exists());
                    if over || began.elapsed() > Duration::from_secs(60) {
                        return status.code();
                    }
                    *executor = self.start();
                }
                None if began.elapsed() > Duration::from_secs(240) => {
                    let _ = executor.kill();
                    let _ = executor.wait();
                    return None;
                }
                None => {}
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Keeps what the journal says now: nothing may go from it.
    fn remember(&mut self) {
        let Some(run) = self.world().runs().pop() else { return };
        let mut journal = fs::read(run.join("journal.jsonl")).unwrap_or_default();
        let whole = journal.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        journal.truncate(whole);
        self.journals.push(journal);
    }

    /// Keeps everything of it for people, and says where.
    pub(super) fn keep(&self) -> String {
        let name = self.world().path().file_name().expect("named").to_string_lossy().into_owned();
        let to = std::env::temp_dir().join(format!("chaos{name}"));
        let _ = Command::new("cp").arg("-a").arg(self.world().path()).arg(&to).status();
        let _ = Command::new("cp").arg("-a").arg(&self.marks).arg(to.join("marks")).status();
        to.display().to_string()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.marks);
    }
}

/// A job that leaves marks outside of everything that the executor knows, and prints lines for a while.
fn job(marks: &Path, id: &str, lines: u32, pause: &str, then: &str) -> String {
    let mark = marks.join(id);
    let mark = mark.display();
    format!(
        "exec 9>>'{mark}.lock'; ! command -v flock >/dev/null || flock -n 9 || echo overlap >>'{mark}'; echo begin >>'{mark}'\n\
         i=0; while [ $i -lt {lines} ]; do echo \"line $i of {id}\"; i=$((i + 1)); sleep {pause}; done\n\
         {then}\necho end >>'{mark}'"
    )
}

/// 200 kB of output, as fast as it goes.
const MUCH: &str = "i=0; while [ $i -lt 400 ]; do printf '%0500d\\n' $i; i=$((i + 1)); done";

fn nodes(site: &Site, marks: &Path, name: &str, flavour: Flavour) -> Vec<Node> {
    let node = |id: &str, lines: u32, then: &str, on: &[&str]| {
        let mut node = sh(id, &job(marks, id, lines, "0.05", then), on);
        node.spec.timeout_secs = 300;
        node
    };
    let secret = |mut node: Node| {
        node.spec.secrets = [EnvName::new("TOKEN").expect("a name")].into();
        node
    };
    let mounted = AbsolutePath::new(site.world.path().join("mnt").display().to_string());
    let mut made = node("prepare-l", 2, "mkdir made; echo made >made/x", &[]);
    made.spec.workspace = Workspace::Writable;
    made.output = Some(Output::Directory(WorkspacePath::new("made").expect("a path")));
    let mut uses = node(
        "execute-uses",
        2,
        &format!("cat '{}/mnt/x'", site.world.path().display()),
        &["prepare-l"],
    );
    uses.mounts = vec![Mount { node: node_id("prepare-l"), path: mounted.expect("a path") }];
    let mut nodes = vec![
        made,
        uses,
        leaves(node("execute-l1", 12, "true", &[])),
        secret(node("execute-l2", 3, &format!("{MUCH}; echo \"token: $TOKEN\""), &[])),
        takes(node("execute-l3", 4, "cat given/given", &[]), "execute-l1"),
        node("execute-l4", 1, "true", &["execute-l3"]),
    ];
    // It fails, after its last mark; what depends on it is skipped.
    fails(&mut nodes[4]);
    if flavour == Flavour::Local {
        return nodes;
    }
    let host = if flavour == Flavour::Cable { "testbed-h1" } else { "testbed-host" };
    let far = |mut node: Node| {
        node.spec.placement = remote(site, host);
        node
    };
    let mut keeps = far(node(
        "execute-s3",
        3,
        "echo new >>file.txt; cat file.txt >\"$ARTIFACTS_DIR/kept\"; echo far >\"$ARTIFACTS_DIR/given\"",
        &[],
    ));
    keeps.spec.workspace = Workspace::Writable;
    keeps.spec.artifacts = vec!["kept".to_owned(), "file.txt".to_owned(), "given".to_owned()];
    let mut broken = far(node("execute-s4", 2, "true", &["execute-s1"]));
    fails(&mut broken);
    nodes.extend([
        far(node("execute-s1", 15, "true", &[])),
        far(secret(takes(
            node("execute-s2", 3, &format!("{MUCH}; cat given/given; echo \"token: $TOKEN\""), &[]),
            "execute-s3",
        ))),
        keeps,
        broken,
    ]);
    if flavour != Flavour::All {
        return nodes;
    }
    let within = |id: &str, lines: u32, then: &str, on: &[&str]| {
        let marks = Path::new(OUTSIDE).join(name);
        let mut node = sh(id, &job(&marks, id, lines, "0.1", then), on);
        node.spec.timeout_secs = 300;
        node.spec.runtime = incus("");
        node
    };
    let mut keeps =
        within("execute-i2", 2, "cat file.txt given/given >\"$ARTIFACTS_DIR/kept\"", &[]);
    keeps = takes(keeps, "execute-i1");
    keeps.spec.artifacts = vec!["kept".to_owned()];
    nodes.extend([
        leaves(within("execute-i1", 10, "true", &[])),
        keeps,
        far(within("execute-r1", 6, MUCH, &["execute-s1"])),
    ]);
    nodes
}

/// Leaves a file for others.
fn leaves(mut node: Node) -> Node {
    if let plans::Command::Shell { script, .. } = &mut node.spec.command {
        script.insert_str(0, "echo near >\"$ARTIFACTS_DIR/given\"\n");
    }
    node.spec.artifacts = vec!["given".to_owned()];
    node
}

/// Takes the file that another left.
fn takes(mut node: Node, of: &str) -> Node {
    node.depends_on.insert(node_id(of));
    let at = WorkspacePath::new("given").expect("a path");
    node.takes.files = vec![FilesFrom { node: node_id(of), files: vec!["given".to_owned()], at }];
    node
}

fn fails(node: &mut Node) {
    if let plans::Command::Shell { script, .. } = &mut node.spec.command {
        script.push_str("\nexit 3\n");
    }
}
