//! What must hold after a run, however often it was disturbed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use super::{
    faults::{command, processes},
    site::{Chaos, Run, SECRET},
};
use crate::harness::Ended;

/// What the nodes of a plan do when nothing disturbs them.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    code: Option<i32>,
    outcome: String,
    nodes: BTreeMap<String, Seen>,
}

/// How a node ended, and what it left.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    outcome: String,
    exit_code: Option<i64>,
    ran: bool,
    log: Vec<u8>,
    artifacts: BTreeMap<PathBuf, Vec<u8>>,
}

/// What a run that held was made of.
pub(super) struct Checked {
    pub(super) jobs: usize,
    pub(super) retried: usize,
}

macro_rules! hold {
    ($so:expr, $($words:tt)+) => {
        if !$so {
            return Err(format!($($words)+));
        }
    };
}

impl Expected {
    /// Takes an undisturbed run for the truth, after looking at what its marks say.
    pub(super) fn of(run: &Run) -> Self {
        let (record, nodes) = seen(run).expect("a record");
        for (id, node) in &nodes {
            let wanted = if node.ran { "begin\nend\n" } else { "" };
            assert_eq!(marks(run, id), wanted, "{id}: {record:#}");
            assert_ne!(node.outcome, "infra_failed", "{id}: {record:#}");
        }
        let outcome = record["outcome"].as_str().expect("an outcome").to_owned();
        Self { code: run.code, outcome, nodes }
    }
}

impl Chaos {
    /// Checks a run; an error says what does not hold.
    pub(super) fn check(&self, run: &Run) -> Result<Checked, String> {
        let expected = self.expected(run.flavour);
        hold!(run.code.is_some(), "it did not end");
        let (record, nodes) = seen(run)?;

        // 1. No verdict is lost, and none is another one.
        hold!(run.code == expected.code, "exit code {:?}: {record:#}", run.code);
        hold!(record["outcome"] == expected.outcome, "the run's outcome: {record:#}");
        let mut retried = 0;
        for (id, wanted) in &expected.nodes {
            let Some(node) = nodes.get(id) else {
                return Err(format!("{id} is not in the record"));
            };
            let facts = facts(&record, id);
            hold!(node.outcome == wanted.outcome, "{id} is {}: {facts:#}", node.outcome);
            hold!(node.exit_code == wanted.exit_code, "{id}: {facts:#}");

            // 2. Every line of every log.
            hold!(node.log == wanted.log, "{id}: {}", difference(&node.log, &wanted.log));
            hold!(node.artifacts == wanted.artifacts, "{id}: other artifacts: {facts:#}");

            // 3. Nothing ran twice, but as another attempt that the record tells of.
            let again = facts["retried"].as_array().map_or(0, Vec::len);
            let (marks, begins, ends) = times(run, id);
            hold!(!marks.contains("overlap"), "{id} ran beside itself: {marks}");
            hold!(again == 0 || run.kind.costs_attempts(), "{id} was made again: {facts:#}");
            if wanted.ran {
                hold!(
                    ends >= 1 && begins <= 1 + again,
                    "{id} ran {begins} times: {marks}: {facts:#}"
                );
                hold!(again > 0 || (begins, ends) == (1, 1), "{id}: {marks}: {facts:#}");
            } else {
                hold!(begins == 0, "{id} ran: {facts:#}");
            }
            retried += again;
            for log in earlier_logs(run, id) {
                let text = fs::read(&log).unwrap_or_default();
                let prefix = wanted.log.starts_with(&text);
                hold!(prefix, "{}: {}", log.display(), difference(&text, &wanted.log));
            }
        }
        journal_only_grew(run)?;
        self.nothing_is_left(run)?;
        Ok(Checked { jobs: nodes.values().filter(|node| node.ran).count(), retried })
    }

    /// Removes what a run left in which something is wrong, so that the next one does not meet it.
    pub(super) fn clear(&self, run: &Run) {
        let _ = run.command(&["gc", "--keep", "0"]).output();
        if self.has("incus") {
            let (_, names) = self.bed().incus(&["list", "--format", "csv", "-c", "n"]);
            for name in names.lines() {
                let _ = self.bed().incus(&["delete", "--force", name]);
            }
        }
    }

    /// Collects, and looks for whatever may still be there.
    fn nothing_is_left(&self, run: &Run) -> Result<(), String> {
        for arguments in [&["gc"][..], &["gc", "--dry-run"]] {
            let ended = Ended::of(run.command(arguments).output().expect("the program starts"));
            hold!(ended.code == Some(0), "{arguments:?}: {}{}", ended.out, ended.err);
            let quiet = arguments.len() == 1 || ended.out.is_empty();
            hold!(quiet, "gc leaves: {}", ended.out);
        }
        let world = run.world().path();
        let began = Instant::now();
        loop {
            let left = processes_of(world);
            if left.is_empty() {
                break;
            }
            hold!(began.elapsed() < Duration::from_secs(10), "processes are left: {left:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        let below = fs::read_dir(world.join("work/runs")).into_iter().flatten().flatten();
        let attempts: Vec<PathBuf> = below
            .flat_map(|run| fs::read_dir(run.path()).into_iter().flatten().flatten())
            .map(|entry| entry.path())
            .filter(|path| !path.ends_with("owner"))
            .collect();
        hold!(attempts.is_empty(), "attempts are left: {attempts:?}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let state = format!(" {} ", run.world().state_dir().display());
        let below = world.display().to_string();
        let left: Vec<&str> =
            mounts.lines().filter(|line| line.contains(&below) && !line.contains(&state)).collect();
        hold!(left.is_empty(), "mounts are left: {left:?}");
        if self.has("incus") {
            let (done, instances) = self.bed().incus(&["list", "--format", "csv", "-c", "ns"]);
            hold!(done && instances.is_empty(), "instances are left: {instances}");
        }
        let mut grep = Command::new("grep");
        grep.args(["-rlF", SECRET]).args([run.world().state_dir(), world.join("work")]);
        let found = grep.output().expect("grep starts");
        hold!(
            found.stdout.is_empty(),
            "the secret is in {}",
            String::from_utf8_lossy(&found.stdout)
        );
        Ok(())
    }
}

/// Returns the record of the run, and what its nodes left.
fn seen(run: &Run) -> Result<(Value, BTreeMap<String, Seen>), String> {
    let runs = run.world().runs();
    hold!(runs.len() == 1, "{} runs", runs.len());
    let text = fs::read(runs[0].join("record.json")).map_err(|error| format!("record: {error}"))?;
    let record: Value =
        serde_json::from_slice(&text).map_err(|error| format!("record: {error}"))?;
    let mut nodes = BTreeMap::new();
    for id in &run.ids {
        let facts = facts(&record, id);
        let dir = runs[0].join("nodes").join(id);
        let mut artifacts = BTreeMap::new();
        files(&dir.join("artifacts"), Path::new(""), &mut artifacts);
        let outcome = facts["outcome"].as_str().ok_or(format!("{id} is not in the record"))?;
        let node = Seen {
            outcome: outcome.to_owned(),
            exit_code: facts["exit_code"].as_i64(),
            ran: outcome != "skipped",
            log: fs::read(dir.join("guest.log")).unwrap_or_default(),
            artifacts,
        };
        nodes.insert(id.clone(), node);
    }
    Ok((record, nodes))
}

fn facts(record: &Value, id: &str) -> Value {
    let nodes = record["nodes"].as_array().into_iter().flatten();
    nodes.into_iter().find(|node| node["id"] == id).cloned().unwrap_or_default()
}

fn marks(run: &Run, id: &str) -> String {
    fs::read_to_string(run.marks.join(id)).unwrap_or_default()
}

/// What a job's marks say, and how often it began and ended.
fn times(run: &Run, id: &str) -> (String, usize, usize) {
    let marks = marks(run, id);
    let count = |word: &str| marks.lines().filter(|line| *line == word).count();
    let (begins, ends) = (count("begin"), count("end"));
    (marks, begins, ends)
}

fn files(root: &Path, below: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for entry in fs::read_dir(root.join(below)).into_iter().flatten().flatten() {
        let path = below.join(entry.file_name());
        if entry.path().is_dir() {
            files(root, &path, found);
        } else {
            found.insert(path.clone(), fs::read(root.join(path)).unwrap_or_default());
        }
    }
}

/// The logs of attempts before the last one.
fn earlier_logs(run: &Run, id: &str) -> Vec<PathBuf> {
    let Some(dir) = run.world().runs().pop() else { return Vec::new() };
    let attempts = fs::read_dir(dir.join("nodes").join(id).join("attempts"));
    attempts.into_iter().flatten().flatten().map(|entry| entry.path().join("guest.log")).collect()
}

/// Every whole line that was in the journal is still there, and every attempt has one verdict.
fn journal_only_grew(run: &Run) -> Result<(), String> {
    let dir = run.world().runs().pop().ok_or("no run")?;
    let journal = fs::read(dir.join("journal.jsonl")).map_err(|error| error.to_string())?;
    for (at, earlier) in run.journals.iter().enumerate() {
        hold!(
            journal.starts_with(earlier),
            "the journal after fault {at} is not how this one begins"
        );
    }
    let mut judged = BTreeMap::new();
    for line in String::from_utf8_lossy(&journal).lines() {
        let Ok(entry) = serde_json::from_str::<Value>(line) else { continue };
        let verdict = &entry["attempt_judged"];
        if let (Some(node), Some(attempt)) = (verdict["node"].as_str(), verdict["attempt"].as_u64())
        {
            let outcome = verdict["result"]["outcome"].clone();
            let other = judged.insert((node.to_owned(), attempt), outcome);
            hold!(other.is_none(), "two verdicts of {node}, attempt {attempt}");
        }
    }
    Ok(())
}

/// Command lines of processes that were started for this world.
fn processes_of(world: &Path) -> Vec<String> {
    let marker = world.as_os_str().as_encoded_bytes();
    let holds = |text: &[u8]| text.windows(marker.len()).any(|window| window == marker);
    let ours = |pid: &u32| {
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        *pid != std::process::id() && (holds(&read("environ")) || holds(&read("cmdline")))
    };
    processes().into_iter().filter(ours).map(|pid| format!("{pid}: {}", command(pid))).collect()
}

/// Where two logs part.
fn difference(found: &[u8], wanted: &[u8]) -> String {
    let at = found.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let some = |text: &[u8]| {
        String::from_utf8_lossy(text.get(at.saturating_sub(40)..).unwrap_or_default())
            .chars()
            .take(120)
            .collect::<String>()
    };
    format!(
        "the log has {} bytes, not {}; from {at} on it is {:?}, not {:?}",
        found.len(),
        wanted.len(),
        some(found),
        some(wanted)
    )
}
