//! `executor history --durations`: how long each file of tests took, from the JUnit reports among the artifacts of the
//! runs that are kept, for shards that the planner divides.
//!
//! Says what was measured and divides nothing. A report that cannot be read says nothing; which file a test is in is
//! [`junit`]'s business.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use plans::{FileDurations, NodeId, ObjectId, Plan, WorkspacePath};
use serde::Deserialize;

use super::{answered, junit};
use crate::{
    artifacts::{FileKind, Tree as _, local::LocalTree},
    commands::{CliContext, prepare, running},
    error::Error,
    exit_code::Exit,
    files,
    journal::{self, Entry},
    outcome::Outcome,
    reporters,
    results::Reused,
    source::paths_of,
    state::{RunDir, StateDir},
};

/// At most so many runs are looked at, unless somebody says otherwise.
const RUNS: usize = 20;

/// A larger file is no report that is read.
const REPORT_BYTES: u64 = 64 * 1024 * 1024;

/// What is asked.
pub(in crate::commands) struct Asked<'a> {
    /// How many of the newest runs are looked at.
    pub(in crate::commands) last: Option<usize>,
    /// Files of which what was not measured is kept.
    pub(in crate::commands) merge: &'a [PathBuf],
    /// Where to write; nothing: standard output.
    pub(in crate::commands) output: Option<&'a Path>,
}

pub(in crate::commands) fn run(context: &CliContext, asked: &Asked<'_>) -> Result<Exit, Error> {
    let state = context.state(&context.config()?)?;
    let mut durations = FileDurations::default();
    for file in asked.merge {
        let path = file.display().to_string();
        let bytes = fs::read(file).map_err(|error| Error::File {
            what: "cannot read",
            path: path.clone(),
            error,
        })?;
        let read = FileDurations::from_json(&bytes)
            .map_err(|error| Error::FileDurations { path, error })?;
        read.iter().for_each(|(path, seconds)| durations.set(path, seconds));
    }
    let measured = measured(&state, asked.last.unwrap_or(RUNS))?;
    for (path, seconds) in &measured.seconds {
        durations.set(path, *seconds);
    }
    if let Some(tree) = &measured.tree {
        durations.retain(|path| tree.contains(path));
    }
    if measured.seconds.is_empty() {
        reporters::stderr().text(
            "no JUnit report among the artifacts of these runs names a file of the tree: let the jobs \
             keep theirs (`artifacts`)\n",
        );
    }
    let text = durations.to_json();
    match asked.output {
        None => reporters::stdout().text(&text),
        Some(file) => files::replace(file, text.as_bytes()).map_err(|error| Error::File {
            what: "cannot write",
            path: file.display().to_string(),
            error,
        })?,
    }
    Ok(Exit::Done)
}

/// What runs say.
struct Measured {
    /// The seconds that half of a file's runs took at most, by path.
    seconds: BTreeMap<String, f64>,
    /// The files of the newest run's tree, if they are known.
    tree: Option<BTreeSet<String>>,
}

/// What is read of a record.
#[derive(Deserialize)]
struct Record {
    #[serde(default)]
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    outcome: Outcome,
    /// The run whose reports these are: a reused node has those of another.
    #[serde(default)]
    reused: Option<Reused>,
}

fn measured(state: &StateDir, most: usize) -> Result<Measured, Error> {
    let mut times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    // Reports that stand for several runs count once, also where the run that made them is gone.
    let mut counted: BTreeSet<(String, String)> = BTreeSet::new();
    let (mut newest, mut looked_at) = (None, 0);
    for dir in state.runs()? {
        if looked_at >= most {
            break;
        }
        // One that goes on, or is damaged, has nothing to say.
        let Ok(text) = fs::read(dir.record()) else { continue };
        let Ok(record) = serde_json::from_slice::<Record>(&text) else { continue };
        looked_at += 1;
        let mut site = None;
        for node in record.nodes.iter().filter(|node| answered(node.outcome)) {
            let Ok(id) = NodeId::new(node.id.as_str()) else { continue };
            let reports = reports(&dir.node(&id).join("artifacts"));
            if reports.is_empty() {
                continue;
            }
            let origin = match &node.reused {
                Some(reused) => (reused.run_id.clone(), reused.node.clone()),
                None => (dir.id.to_string(), node.id.clone()),
            };
            if !counted.insert(origin) {
                continue;
            }
            let site = site.get_or_insert_with(|| Site::of(&dir));
            let planned = site.plan.as_ref().and_then(|plan| plan.node(id.as_str()));
            let working_dir = planned.and_then(|node| node.spec.working_dir.as_ref());
            let known =
                junit::Files::new(site.files.as_ref(), working_dir.map(WorkspacePath::as_str));
            // Of one job: its reports are about parts of the same work.
            let mut sums: BTreeMap<String, f64> = BTreeMap::new();
            for report in reports {
                for (path, seconds) in junit::times(&report, &known) {
                    *sums.entry(path).or_default() += seconds;
                }
            }
            for (path, seconds) in sums {
                times.entry(path).or_default().push(seconds);
            }
        }
        if newest.is_none() {
            newest = Some(site.unwrap_or_else(|| Site::of(&dir)).files);
        }
    }
    let median = |mut times: Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[(times.len() - 1) / 2]
    };
    let seconds = times.into_iter().map(|(path, times)| (path, median(times))).collect();
    Ok(Measured { seconds, tree: newest.flatten() })
}

/// Returns the texts of all XML files of a directory of artifacts.
fn reports(artifacts: &Path) -> Vec<String> {
    let tree = LocalTree::open(artifacts);
    let Ok(mut found) = tree.list(&[PathBuf::new()]) else { return Vec::new() };
    found.sort();
    let is_report = |path: &Path| path.extension().is_some_and(|it| it.eq_ignore_ascii_case("xml"));
    let read = |path: &Path| {
        let file = tree.file(path)?;
        let mut text = String::new();
        file.take(REPORT_BYTES).read_to_string(&mut text).ok()?;
        Some(text)
    };
    found
        .iter()
        .filter(|found| found.kind == FileKind::File && is_report(&found.path))
        .filter_map(|found| read(&found.path))
        .collect()
}

/// What a run was about.
struct Site {
    plan: Option<Plan>,
    /// The files of its tree; nothing, if its repository does not have it any more.
    files: Option<BTreeSet<String>>,
}

impl Site {
    fn of(dir: &RunDir) -> Self {
        let plan = prepare::read_plan(&dir.plan()).ok();
        let plan = plan.and_then(|bytes| Some(Plan::from_json(&bytes).ok()?.0));
        let files = || -> Option<BTreeSet<String>> {
            let replay = journal::read(&dir.journal()).ok()?;
            let Some(Entry::RunStarted(started)) = replay.entries.into_iter().next() else {
                return None;
            };
            let tree = ObjectId::new(started.tree.as_str()).ok()?;
            let paths = paths_of(&started.repository, &tree, &running::environment()).ok()?;
            let text = |path: Box<[u8]>| String::from_utf8(path.into_vec()).ok();
            Some(paths.into_iter().filter_map(text).collect())
        };
        Self { files: files(), plan }
    }
}
