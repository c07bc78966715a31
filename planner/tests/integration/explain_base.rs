//! `planner explain --base`: which base, from where, and what else was considered.

use serde_json::Value;

use crate::{program::Said, sandbox::Sandbox};

/// A branch with two commits; `main` has one.
fn branch() -> Sandbox {
    let sandbox = Sandbox::with_lanes();
    sandbox.git(&["checkout", "-q", "-b", "topic"]);
    sandbox.write("src/lib.rs", "1");
    sandbox.commit("one");
    sandbox.write("docs/a.md", "2");
    sandbox.commit("two");
    sandbox
}

#[track_caller]
fn explain(sandbox: &Sandbox, args: &[&str], variables: &[(&str, &str)]) -> Said {
    let args = [&["explain"], args].concat();
    sandbox.planner_with(&args, variables)
}

#[track_caller]
fn answer(sandbox: &Sandbox, args: &[&str], variables: &[(&str, &str)]) -> Value {
    let said = explain(sandbox, &[args, &["--json"]].concat(), variables);
    let code = said.code;
    let answer: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(code, i32::from(answer["base"].get("error").is_some()), "{}", said.err);
    answer["base"].clone()
}

/// The steps by name; those that were taken with a star, those that were not looked at with a dash.
fn steps(answer: &Value) -> Vec<String> {
    let mark = |step: &Value| match (&step["looked_at"], &step["taken"]) {
        (_, Value::Bool(true)) => "*",
        (Value::Bool(true), _) => "",
        _ => "-",
    };
    let steps = answer["considered"].as_array().expect("steps");
    steps
        .iter()
        .map(|step| format!("{}{}", mark(step), step["step"].as_str().expect("a name")))
        .collect()
}

#[test]
fn every_step_is_named_in_order_with_the_reason() {
    let sandbox = branch();
    let main = sandbox.id("main").to_string();
    let found = answer(&sandbox, &["--base"], &[]);
    assert_eq!(found["head"], sandbox.id("topic").to_string());
    assert_eq!((&found["branch"], &found["base_mode"]), (&"topic".into(), &"merge_base".into()));
    assert_eq!(found["base_from"], "default_branch");
    assert_eq!((&found["commits"], &found["changed_paths"]), (&vec![main].into(), &2.into()));
    assert_eq!(steps(&found), ["flag", "passed", "event", "unpushed", "*default_branch"]);
    assert_eq!(found["considered"][3]["why"], "head is not on that branch");
    assert_eq!(found["notes"][0], "the default branch is `main`, the manifest's `default_branch`");

    sandbox.git(&["update-ref", "refs/remotes/origin/main", "main"]);
    sandbox.git(&["checkout", "-q", "main"]);
    let found = answer(&sandbox, &["--base"], &[]);
    assert_eq!(
        steps(&found),
        ["flag", "passed", "event", "unpushed", "*first_parent", "-default_branch"]
    );
    assert!(found["notes"][1].as_str().expect("a warning").contains("`--base-exact BEFORE`"));
    sandbox.git(&["merge", "-q", "topic"]);
    let found = answer(&sandbox, &["--base"], &[]);
    assert_eq!(found["base_from"], "unpushed");
    assert_eq!(steps(&found), ["flag", "passed", "event", "*unpushed", "-default_branch"]);
}

#[test]
fn the_flags_are_those_of_plan_and_one_of_them_is_enough() {
    let sandbox = branch();
    let check = |args: &[&str], commits: usize, from: &str, mode: &str| {
        let found = answer(&sandbox, args, &[("GITHUB_EVENT_NAME", "push")]);
        let known = found["commits"].as_array().expect("commits").len();
        assert_eq!((known, found["base_from"].as_str()), (commits, Some(from)), "{args:?}");
        assert_eq!(found["base_mode"], mode, "{args:?}");
        let expected = ["*flag", "passed", "-event:github:push", "-unpushed", "-default_branch"];
        assert_eq!(steps(&found), expected, "{args:?}");
    };
    for asked in [&["--base"][..], &[]] {
        check(&[asked, &["--base-exact", "main"]].concat(), 1, "flag", "exact");
        check(&[asked, &["--base-first-parent"]].concat(), 1, "flag", "first_parent");
        check(&[asked, &["--base-empty"]].concat(), 0, "flag", "empty");
    }
    check(&["--base", "main"], 1, "flag", "merge_base");
    let found = answer(&sandbox, &["--base", "--head", "main", "--trigger", "nightly"], &[]);
    assert_eq!((&found["base_mode"], found.get("changed_paths")), (&"all".into(), None));
    assert_eq!(steps(&found)[0], "*flag");
    let found = answer(&sandbox, &["--base", "--all"], &[]);
    assert_eq!((&found["base_mode"], found.get("base_from")), (&"all".into(), None));
    // Together with other questions, where `--base REV` is what they are compared with.
    let both = explain(&sandbox, &["--base", "--lane", "rust", "--json"], &[]).with_code(0);
    let both: Value = serde_json::from_str(&both).expect("JSON");
    assert!(both["base"]["commits"][0].is_string() && both["lanes"][0]["selected"] == true);
    let lane = explain(&sandbox, &["--base", "main", "--lane", "rust", "--json"], &[]);
    assert!(!lane.with_code(0).contains("base_from"));
    for wrong in [
        &["--base", "main", "--base-exact", "main"][..],
        &["--base", "--all", "--base-empty"],
        &["--base-exact", "main", "--base-first-parent", "--lane", "rust"],
    ] {
        assert!(explain(&sandbox, wrong, &[]).refused().contains("contradict each other"));
    }
}

#[test]
fn what_the_engine_says_is_shown_with_the_variables_that_say_it() {
    let sandbox = branch();
    let before = sandbox.id("topic~1").to_string();
    let variables = [
        ("CI_PIPELINE_SOURCE", "push"),
        ("CI_COMMIT_BRANCH", "topic"),
        ("CI_COMMIT_BEFORE_SHA", &before),
        ("JENKINS_URL", "https://ci.example"),
        ("SECRET", "not of any engine"),
    ];
    let found = answer(&sandbox, &["--base"], &variables);
    assert_eq!(
        (&found["commits"], &found["base_from"]),
        (&vec![before.clone()].into(), &"event:gitlab:push".into(),)
    );
    let event = &found["event"];
    assert_eq!(
        (&event["engine"], &event["name"], &event["kind"]),
        (&"gitlab".into(), &"GitLab CI".into(), &"push".into(),)
    );
    assert_eq!(event["variables"].as_object().expect("variables").len(), 3);
    assert!(event["documented"][0].as_str().expect("a page").contains("docs.gitlab.com"));
    let expected = [
        "flag",
        "passed",
        "*event:gitlab:push",
        "-event:jenkins:push",
        "-unpushed",
        "-default_branch",
    ];
    assert_eq!(steps(&found), expected);
    let text = explain(&sandbox, &["--base"], &variables).with_code(0);
    for part in [
        "    CI_COMMIT_BRANCH=topic\n",
        "  from `event:gitlab:push`\n",
        "  1 path differs\n",
        "event:jenkins:push: not looked at, variables of GitLab CI are set too, and it is asked first",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("SECRET"), "{text}");

    // A claim that does not hold, and what is taken instead.
    let gone = "1".repeat(40);
    let found = answer(
        &sandbox,
        &["--base"],
        &[
            ("CI_PIPELINE_SOURCE", "push"),
            ("CI_COMMIT_BRANCH", "topic"),
            ("CI_COMMIT_BEFORE_SHA", &gone),
        ],
    );
    assert_eq!(
        (&found["commits"], &found["base_mode"]),
        (&Value::Array(vec![]), &"unknown".into())
    );
    assert_eq!(steps(&found)[2..4], ["event:gitlab:push", "*event:gitlab:push"]);
    assert_eq!(found["considered"][2]["why"], "is gone");

    let found = answer(&sandbox, &["--base"], &[("DRONE_BUILD_EVENT", "cron")]);
    assert_eq!(
        (&found["base_mode"], &found["base_from"]),
        (&"all".into(), &"event:drone:schedule".into(),)
    );
}

#[test]
fn a_base_that_cannot_be_had_is_an_answer_too() {
    let sandbox = branch();
    sandbox.git(&["branch", "-m", "main", "trunk"]);
    let found = answer(&sandbox, &["--base"], &[]);
    assert_eq!(
        found["error"]["message"],
        "no base to compare with: none of `origin/main`, `main` exists"
    );
    assert_eq!(found["considered"][3]["why"], found["error"]["message"]);
    assert!(found["error"]["help"].as_str().expect("help").contains("--base REV"));
    let said = explain(&sandbox, &["--base"], &[]);
    assert_eq!(said.code, 1);
    assert!(said.out.contains("has no base") && said.err.contains("help: "), "{}", said.err);
    let found = answer(&sandbox, &["--base", "--on-unknown-base", "run-all"], &[]);
    assert_eq!((&found["base_mode"], found.get("error")), (&"unknown".into(), None));
    // The steps are also named where planning fails.
    let variables = [("GITHUB_EVENT_NAME", "workflow_dispatch")];
    let said = sandbox.planner_with(&["plan", "--verbose"], &variables);
    assert_eq!((said.code, said.out.as_str()), (2, ""));
    assert!(said.err.contains("base: event:github:manual: the event: not taken"), "{}", said.err);
}

#[test]
fn what_passed_comes_before_the_base() {
    let sandbox = branch();
    sandbox.write("passed.json", r#"{"format_version":"1.0","lanes":{}}"#);
    let found = answer(&sandbox, &["--base", "--passed", "passed.json"], &[]);
    assert_eq!(steps(&found), ["flag", "*passed", "event", "unpushed", "*default_branch"]);
    assert!(found["considered"][1]["why"].as_str().expect("a reason").contains("each lane"));
}
