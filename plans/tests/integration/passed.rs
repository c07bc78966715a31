//! What is known of lanes: runs of one plan add up, what is left out is remembered, and a text that
//! is not whole is refused.

use std::collections::BTreeSet;

use plans::{
    JobId, KEPT, LaneId, LaneRun, ObjectId, PASSED_INPUT, Passed, PassedReadError, Plan, Selection,
    Source, definition_digest, lane_runs,
};

use crate::sample;

fn lane() -> LaneId {
    LaneId::new("lane").expect("well formed")
}

fn run(number: usize, jobs: &[&str], missing: &[&str]) -> LaneRun {
    LaneRun {
        commit: ObjectId::new(format!("{number:040x}")).expect("hexadecimal"),
        plan: format!("sha256:{number}"),
        definition: "sha256:0".to_owned(),
        jobs: jobs.iter().map(|id| JobId::new(*id).expect("well formed")).collect(),
        missing: missing.iter().map(|id| sample::node_id(id)).collect(),
        run: format!("2026-{number:06}"),
    }
}

fn numbers(runs: &[LaneRun]) -> Vec<&str> {
    runs.iter().map(|run| run.plan.trim_start_matches("sha256:")).collect()
}

#[test]
fn what_passed_in_any_run_of_a_plan_has_passed() {
    let mut one = Passed::default();
    one.add(&lane(), run(1, &["a", "b"], &["execute-b"]));
    let mut other = Passed::default();
    other.add(&lane(), run(1, &["a", "b"], &["execute-a"]));
    assert_eq!(numbers(&one.lanes[&lane()].owed), ["1"]);
    one.merge(other);
    let history = &one.lanes[&lane()];
    assert!(history.owed.is_empty());
    assert_eq!(numbers(&history.passed), ["1"]);
}

#[test]
fn the_newest_run_stands_first_whoever_was_merged_into_whom() {
    let document = |numbers: &[usize]| {
        let mut document = Passed::default();
        for &number in numbers {
            document.add(&lane(), run(number, &["a"], &[]));
        }
        document
    };
    let (mut one, mut other) = (document(&[3, 1]), document(&[2, 4, 1]));
    let (first, second) = (one.clone(), other.clone());
    one.merge(second);
    other.merge(first);
    assert_eq!(one, other);
    assert_eq!(numbers(&one.lanes[&lane()].passed), ["4", "3", "2", "1"]);
}

#[test]
fn of_each_job_the_newest_passes_stay_and_what_is_left_out_is_remembered() {
    let mut document = Passed::default();
    document.add(&lane(), run(1, &["rare"], &[]));
    for number in 2..100 {
        document.add(&lane(), run(number, &["often"], &[]));
        document.add(&lane(), run(1000 + number, &["often"], &["execute-often"]));
    }
    document.trim(|_| false);
    let history = &document.lanes[&lane()];
    assert_eq!(history.passed.len(), KEPT + 1);
    assert_eq!(numbers(&history.passed).last(), Some(&"1"));
    assert_eq!(history.owed.len(), KEPT);
    assert!(history.forgotten);
}

#[test]
fn the_line_of_history_that_matters_is_not_crowded_out_by_others() {
    let mut document = Passed::default();
    for number in 1..100 {
        document.add(&lane(), run(number, &["a"], &[]));
    }
    let first = run(1, &[], &[]).commit;
    document.trim(|commit| *commit == first);
    assert_eq!(numbers(&document.lanes[&lane()].passed).last(), Some(&"1"));
}

#[test]
fn a_document_reads_back_and_one_that_is_cut_off_is_refused() {
    let mut document = Passed::default();
    document.add(&lane(), run(1, &["a"], &[]));
    document.add(&lane(), run(2, &["a"], &["execute-a"]));
    let text = document.to_json();
    assert_eq!(Passed::from_json(text.as_bytes()).expect("reads"), document);
    for cut in 0..text.len() - 2 {
        let error = Passed::from_json(&text.as_bytes()[..cut]).expect_err("it is cut off");
        assert!(matches!(error, PassedReadError::Damaged(_)), "{cut}: {error}");
    }
    let newer = text.replace("\"1.0\"", "\"1.1\"");
    assert!(Passed::from_json(newer.as_bytes()).expect_err("newer").is_refusal());
    let foreign = text.replace("\"jobs\"", "\"sjob\"");
    let error = Passed::from_json(foreign.as_bytes()).expect_err("not ours");
    assert!(error.to_string().contains("`lanes.lane."), "{error}");
    let twice = text.replace("\"lanes\": {", "\"lanes\": {}, \"lanes\": {");
    assert!(Passed::from_json(twice.as_bytes()).is_err());
}

#[test]
fn only_a_plan_of_a_commit_says_something_of_lanes() {
    let runs = |parts: plans::PlanParts| {
        let plan = Plan::new(parts).expect("a plan");
        lane_runs(&plan, "sha256:1", "r", |id| id.as_str() == "prepare-deps")
    };
    let found = runs(sample::parts());
    let [(id, run)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(*id, lane());
    assert_eq!(run.jobs, BTreeSet::from([JobId::new("test").expect("well formed")]));
    assert_eq!(run.missing, BTreeSet::from([sample::node_id("execute-test")]));
    assert_eq!(run.commit.as_str(), "b".repeat(40));

    let changed = |change: fn(&mut plans::ChangeSource)| {
        let mut parts = sample::parts();
        let Source::Change(source) = &mut parts.source else { unreachable!("the sample's") };
        change(source);
        parts
    };
    assert!(runs(changed(|source| source.worktree = true)).is_empty());
    assert!(runs(changed(|source| source.head = None)).is_empty());
    assert!(runs(changed(|source| source.tree = None)).is_empty());
    let name = plans::ScenarioName::new("s").expect("well formed");
    let selection = Selection { lanes_not_listed: Some(0), ..sample::parts().selection };
    let source = Source::Scenario(name);
    assert!(runs(plans::PlanParts { source, selection, ..sample::parts() }).is_empty());
    let mut parts = sample::parts();
    parts.lanes[0].selected = false;
    assert!(runs(parts).is_empty());
}

#[test]
fn the_file_that_a_plan_was_made_with_defines_no_lane() {
    let mut inputs = sample::parts().inputs;
    let before = definition_digest(&inputs);
    inputs.insert(PASSED_INPUT.to_owned(), "sha256:1".to_owned());
    assert_eq!(definition_digest(&inputs), before);
    inputs.insert("ci/more.toml".to_owned(), "0".repeat(40));
    assert_ne!(definition_digest(&inputs), before);
}

#[test]
fn a_plan_is_written_in_the_oldest_version_that_has_its_keys() {
    let version = |parts| Plan::new(parts).expect("a plan").version().to_string();
    assert_eq!(version(sample::parts()), "1.0");
    let mut parts = sample::parts();
    let Source::Change(source) = &mut parts.source else { unreachable!("the sample's") };
    source.passed = Some([(lane(), ObjectId::new("a".repeat(40)).expect("hexadecimal"))].into());
    assert_eq!(version(parts.clone()), "1.1");
    let text = Plan::new(parts).expect("a plan").to_json();
    let (read, _) = Plan::from_json(text.json.as_bytes()).expect("reads");
    assert_eq!(read.to_json(), text);
}
