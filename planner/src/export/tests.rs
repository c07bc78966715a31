//! Small plans in, each engine's files out; [`validators`] asks real validators about them.

mod sample;
mod scripts;
pub(crate) mod validators;

use std::collections::BTreeMap;

use super::*;
use sample::{Sample, options};

fn digest(plan: &Plan) -> String {
    plan.to_json().digest
}

#[track_caller]
fn exported(plan: &Plan, engine: Engine) -> Export {
    export(plan, &digest(plan), engine, &options()).expect("the plan can be exported")
}

/// The text below the header, whose digest and hash say nothing to a reader.
#[track_caller]
fn shown(plan: &Plan, engine: Engine) -> String {
    let export = exported(plan, engine);
    let [file] = export.files.as_slice() else { panic!("one file is expected") };
    file.text.replace(&digest(plan), "sha256:DIGEST")
}

#[test]
fn github_gets_a_workflow_that_plans_each_commit_anew() {
    insta::assert_snapshot!(shown(&Sample::small().plan(), Engine::Github));
}

#[test]
fn gitlab_gets_a_child_pipeline() {
    insta::assert_snapshot!(shown(&Sample::small().plan(), Engine::Gitlab));
}

#[test]
fn buildkite_gets_steps_to_upload() {
    insta::assert_snapshot!(shown(&Sample::small().plan(), Engine::Buildkite));
}

#[test]
fn the_same_plan_gives_the_same_bytes() {
    for engine in [Engine::Github, Engine::Gitlab, Engine::Buildkite] {
        let once = exported(&Sample::wide(300).plan(), engine);
        assert_eq!(once, exported(&Sample::wide(300).plan(), engine));
    }
}

#[test]
fn a_plan_that_no_agent_could_apply_is_refused() {
    let refused = |sample: Sample, engine| {
        let plan = sample.plan();
        let error = export(&plan, &digest(&plan), engine, &options()).expect_err("refused");
        format!("{error}; {}", error.help())
    };
    let mut scenario = Sample::small();
    scenario.source = Source::Scenario(plans::ScenarioName::new("s").expect("well formed"));
    insta::assert_snapshot!(refused(scenario, Engine::Gitlab), @"the plan has no tree of a repository, so no agent could apply it; export a plan that `planner plan` wrote in a git repository");

    let mut worktree = Sample::small();
    worktree.change().worktree = true;
    insta::assert_snapshot!(refused(worktree, Engine::Buildkite), @"the plan is of a work tree, which the agents do not have; commit the changes and plan without `--worktree`");

    let mut twins = Sample::default();
    twins.job("a", &[]);
    twins.job("A", &[]);
    insta::assert_snapshot!(refused(twins, Engine::Github), @"`execute-A` and `execute-a` differ in case only, which GitHub's expressions do not see; rename one of them");
}

#[test]
fn a_workflow_of_some_lanes_says_that_it_lacks_the_others() {
    let notes = |sample: Sample| {
        let plan = sample.plan();
        export(&plan, &digest(&plan), Engine::Github, &options()).expect("exported").notes
    };
    let mut some = Sample::small();
    some.mode = plans::SelectionMode::Affected;
    assert!(notes(some)[0].contains("what the others run is not in it"));
    assert!(notes(Sample::small()).iter().all(|note| !note.contains("the others")));
}

#[test]
fn a_prepare_node_is_folded_and_lends_its_time() {
    let plan = Sample::small().plan();
    let steps = steps::Steps::new(&plan, usize::MAX, 1_800);
    let shape: Vec<String> = steps
        .steps
        .iter()
        .map(|step| {
            let after: Vec<&str> =
                step.after.iter().map(|&at| steps.steps[at].key.as_str()).collect();
            format!("{} {}s after {after:?}", step.key, step.backstop_secs)
        })
        .collect();
    insta::assert_snapshot!(shape.join("\n"), @r#"
    execute-docs 1200s after []
    execute-build 3000s after []
    execute-ios 3000s after ["execute-build"]
    execute-test 4200s after ["execute-build"]
    "#);
}

#[test]
fn what_an_engine_cannot_take_over_is_said() {
    let mut sample = Sample::default();
    sample.job("a", &[]).groups = ["x", "y"].map(sample::group).into();
    let plan = sample.plan();
    for engine in [Engine::Github, Engine::Gitlab, Engine::Buildkite] {
        let notes = exported(&plan, engine).notes;
        assert!(notes.len() == 1 && notes[0].contains("several concurrency groups"), "{notes:?}");
    }
    let mut sample = Sample::default();
    for number in 0..150 {
        sample.job(&format!("j{number}"), &[]).groups = [sample::group("apple")].into();
    }
    let export = exported(&sample.plan(), Engine::Github);
    assert!(!export.files[0].text.contains("queue:"), "GitHub would cancel what waits");
    insta::assert_snapshot!(export.notes.join("\n"), @"150 jobs are in the concurrency group `apple` and GitHub lets 100 wait; the executor's own locks hold the group instead");
}

#[test]
fn githubs_queue_can_be_left_to_the_executors_locks() {
    let mut sample = Sample::default();
    sample.job("a", &[]).groups = [sample::group("apple")].into();
    let plan = sample.plan();
    let text = |github_queue: GithubQueue| {
        let options = Options { github_queue, ..Options::default() };
        let export = export(&plan, "sha256:0", Engine::Github, &options).expect("an export");
        export.files[0].text.clone()
    };
    assert!(text(GithubQueue::Max).contains("queue: max"));
    assert!(!text(GithubQueue::Off).contains("concurrency"));
}

#[test]
fn a_lane_that_does_not_run_is_reported_everywhere() {
    let plan = Sample::small().plan();
    for engine in [Engine::Github, Engine::Gitlab, Engine::Buildkite] {
        let text = shown(&plan, engine);
        assert!(text.contains("idle"), "{engine:?} says nothing of the lane `idle`");
    }
}

#[test]
fn nothing_selected_is_still_a_pipeline() {
    let plan = Sample::default().plan();
    for engine in [Engine::Github, Engine::Gitlab, Engine::Buildkite] {
        insta::assert_snapshot!(
            format!("nothing_for_{engine:?}").to_lowercase(),
            shown(&plan, engine)
        );
    }
}

#[test]
fn no_file_is_over_an_engines_limit() {
    let plan = Sample::wide(5_000).plan();
    let github = exported(&plan, Engine::Github);
    assert!(github.files.len() >= 20, "{}", github.files.len());
    assert!(github.files.iter().all(|file| file.text.len() <= 500_000));

    let gitlab = exported(&plan, Engine::Gitlab);
    assert!(gitlab.files.iter().all(|file| file.text.len() <= 1_000_000));

    let buildkite = exported(&plan, Engine::Buildkite);
    for file in &buildkite.files {
        let steps = file.text.lines().filter(|line| line.starts_with("  - label:")).count();
        assert!(steps <= 500, "{} has {steps} steps", file.name);
    }
    for (export, prefix) in [(github, "  "), (gitlab, ""), (buildkite, "    key: ")] {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for line in export.files.iter().flat_map(|file| file.text.lines()) {
            *counts.entry(line).or_default() += 1;
        }
        for node in plan.nodes().iter().filter(|node| node.kind == plans::NodeKind::Execute) {
            let colon = if prefix.contains("key") { "" } else { ":" };
            let line = format!("{prefix}{}{colon}", node.id);
            assert_eq!(counts.get(line.as_str()), Some(&1), "{line}");
        }
    }
}

#[test]
fn what_jobs_hand_on_to_each_other_is_refused_by_name() {
    let refused = |change: &dyn Fn(&mut plans::Node), engine| {
        let mut sample = Sample::default();
        sample.job("build", &[]);
        sample.job("test", &["execute-build"]);
        let mut parts = sample.parts();
        for node in &mut parts.nodes {
            node.spec.outputs = [plans::OutputName::new("version").expect("well formed")].into();
            if node.id.as_str() == "execute-test" {
                change(node);
            }
        }
        let plan = plans::Plan::new(parts).expect("a plan");
        let error = export(&plan, &digest(&plan), engine, &options()).expect_err("refused");
        format!("{error}; {}", error.help())
    };
    let of = plans::NodeId::new("execute-build").expect("well formed");
    let files = |node: &mut plans::Node| {
        let at = plans::WorkspacePath::new("vendor").expect("well formed");
        let files = vec!["dist/**".to_owned(), "*.js".to_owned()];
        node.takes.files = vec![plans::FilesFrom { node: of.clone(), files, at }];
    };
    let output = |node: &mut plans::Node| {
        let output = plans::OutputName::new("version").expect("well formed");
        let name = plans::EnvName::new("NEEDS_BUILD_VERSION").expect("well formed");
        node.takes.env = [(name, plans::OutputRef { node: of.clone(), output })].into();
    };
    insta::assert_snapshot!(refused(&files, Engine::Gitlab), @"`execute-test` takes the files `dist/**`, `*.js` of `execute-build`, and no step of GitLab hands that on to another; make the two one job, or let one step run the whole plan: `executor apply` without `--only`");
    insta::assert_snapshot!(refused(&output, Engine::Github), @"`execute-test` takes the output `version` of `execute-build`, and no step of GitHub hands that on to another; make the two one job, or let one step run the whole plan: `executor apply` without `--only`");
}

#[test]
fn what_hangs_together_and_is_too_large_is_refused() {
    let mut sample = Sample::default();
    sample.job("j0", &[]);
    for number in 1..2_000 {
        sample.job(&format!("j{number}"), &[&format!("execute-j{}", number - 1)]);
    }
    let plan = sample.plan();
    let error = export(&plan, &digest(&plan), Engine::Github, &options()).expect_err("too large");
    assert!(matches!(error, ExportError::TooLarge { jobs: 2_000, .. }), "{error}");
    assert!(error.to_string().contains("GitHub takes 500000 in one file"), "{error}");
    assert!(exported(&plan, Engine::Buildkite).files.len() == 4);
}

/// A test, what handles its failure, what needs both, and what cleans up.
fn handled() -> Sample {
    let mut sample = Sample::default();
    sample.job("build", &[]);
    sample.job("test", &["execute-build"]);
    sample.job("notify", &["execute-test"]).run_if = RunIf::Failed;
    sample.job("clean", &["execute-test"]).run_if = RunIf::Always;
    let nodes = ["execute-build", "execute-test", "execute-notify", "execute-clean"];
    sample.lane("app", "check-app", &nodes);
    sample
}

#[test]
fn what_runs_after_a_failure_or_in_any_case_does_so_on_every_engine() {
    let plan = handled().plan();
    let github = exported(&plan, Engine::Github).files[0].text.clone();
    let has = |text: &str, part: &str| assert!(text.contains(part), "{part}\n{text}");
    has(&github, "always() && contains(needs.plan.outputs.nodes, '|execute-clean|')\"\n");
    has(
        &github,
        "!cancelled() && contains(needs.plan.outputs.nodes, '|execute-notify|') && \
         contains(needs.*.result, 'failure')",
    );
    has(
        &github,
        "needs: [plan, execute-build, execute-test]\n    if: \"!cancelled() && contains(needs.plan.outputs.nodes, '|execute-notify|')",
    );
    assert!(!github.contains("needs.execute-notify.result"), "no lane is decided by it");
    let gitlab = exported(&plan, Engine::Gitlab);
    has(&gitlab.files[0].text, "when: on_failure");
    has(&gitlab.notes[0], "`execute-clean` runs in any case, but not when somebody cancels");
    let buildkite = exported(&plan, Engine::Buildkite).files[0].text.clone();
    has(&buildkite, "if [ \"$$failed\" = 0 ]; then echo 'skipped: nothing failed'; exit 0; fi");
}

#[test]
fn a_condition_that_an_engine_cannot_say_is_refused_by_name() {
    let refused = |sample: Sample, engine: Engine| {
        let plan = sample.plan();
        let error = export(&plan, &digest(&plan), engine, &options()).expect_err("refused");
        format!("{error}; {}", error.help())
    };
    let mut wide = Sample::default();
    let names: Vec<String> = (0..60).map(|number| format!("execute-j{number}")).collect();
    for number in 0..60 {
        wide.job(&format!("j{number}"), &[]);
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    wide.job("clean", &names).run_if = RunIf::Always;
    insta::assert_snapshot!(refused(wide, Engine::Gitlab), @r#"`execute-clean` has `run_if = "always"` and waits for 60 others; GitLab takes 49, and a job that joins them could not say how they ended; let it need the last of those jobs only"#);
    let mut behind = handled();
    behind.job("told", &["execute-notify"]);
    insta::assert_snapshot!(refused(behind, Engine::Buildkite), @r#"`execute-told` needs a job that has `run_if = "failed"`, and a step of Buildkite that finds nothing to do has passed; give it `run_if = "failed"` as well, and the jobs whose failure it handles as `needs`"#);
}
