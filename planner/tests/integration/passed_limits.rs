//! What `--passed` cannot know: commits behind the cut of a shallow clone, runs that were dropped.
//! Such a lane runs, also where a lane that never passed is compared with the base.

use planner::{
    ChangesFrom, Planned, Request,
    git::{BaseRequest, Note, ObjectId},
    passed::{Otherwise, PassedFile},
    plan,
};
use plans::{LaneId, Passed, lane_runs};

use crate::sandbox::Sandbox;

const MANIFEST: &str = "version = 1\n\
    [[branch.lanes]]\nid = \"a\"\npaths = [\"a/**\"]\ncommand = [\"true\"]\n\
    [[branch.lanes]]\nid = \"b\"\npaths = [\"b/**\"]\ncommand = [\"true\"]\n";

/// Three commits: both lanes passed at the first, the second changes `a`, the third nothing.
fn repository() -> (Sandbox, Passed) {
    let sandbox = Sandbox::new();
    sandbox.write("ci/forge-lanes.toml", MANIFEST);
    sandbox.write("a/file", "1");
    sandbox.write("b/file", "1");
    let first = sandbox.commit("first");
    let whole = Request { dir: sandbox.root(), changes: ChangesFrom::All, ..Request::default() };
    let whole = plan(&whole).expect("a plan").plan;
    let mut passed = Passed::default();
    for (lane, run) in lane_runs(&whole, "sha256:0", "1", |_| true) {
        assert_eq!(run.commit.as_str(), first.to_string());
        passed.add(&lane, run);
    }
    sandbox.write("a/file", "2");
    sandbox.commit("a run of it that left no trace");
    sandbox.commit_file("docs");
    (sandbox, passed)
}

/// Plans head, compared with the commit before it where a lane never passed.
fn planned(dir: &std::path::Path, base: ObjectId, document: Passed) -> Planned {
    let request = Request {
        dir: dir.to_owned(),
        changes: ChangesFrom::Base(BaseRequest::Exact(base.to_string())),
        passed: Some(PassedFile {
            document,
            digest: "sha256:0".to_owned(),
            otherwise: Otherwise::Base,
        }),
        ..Request::default()
    };
    plan(&request).expect("a plan")
}

fn lanes(planned: &Planned) -> Vec<&str> {
    let lanes = planned.plan.lanes().iter().filter(|lane| lane.selected);
    lanes.map(|lane| lane.id.as_str()).collect()
}

#[test]
fn a_lane_that_passed_behind_the_cut_of_a_shallow_clone_runs() {
    let (sandbox, passed) = repository();
    let base = sandbox.id("HEAD~1");
    assert_eq!(lanes(&planned(&sandbox.root(), base, passed.clone())), ["a"]);
    let clone = sandbox.beside("shallow");
    let from = format!("file://{}", sandbox.root().display());
    let clone_path = clone.display().to_string();
    sandbox.git(&["clone", "-q", "--depth", "2", &from, &clone_path]);
    sandbox.settle(&clone);
    let planned = planned(&clone, base, passed);
    assert_eq!(lanes(&planned), ["a", "b"]);
    let said = |note: &Note| matches!(note, Note::Warning(text) if text.contains("--unshallow"));
    assert!(planned.notes.iter().any(said), "{:?}", planned.notes);
}

#[test]
fn a_lane_whose_older_runs_were_dropped_runs_until_it_passes() {
    let (sandbox, passed) = repository();
    let base = sandbox.id("HEAD~1");
    let lane = LaneId::new("a").expect("an id");
    let mut dropped = Passed::default();
    dropped.lanes.entry(lane.clone()).or_default().forgotten = true;
    // Of `b` nobody ever knew anything: it is compared with the base.
    assert_eq!(lanes(&planned(&sandbox.root(), base, dropped.clone())), ["a"]);
    // A pass of `a` that is known counts as any other.
    dropped.merge(passed);
    assert_eq!(lanes(&planned(&sandbox.root(), base, dropped.clone())), ["a"]);
    dropped.lanes.get_mut(&lane).expect("it is there").passed[0].commit = base.into();
    assert_eq!(lanes(&planned(&sandbox.root(), base, dropped)), Vec::<&str>::new());
}
