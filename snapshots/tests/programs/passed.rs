//! Lanes that owe a run, from push to push: `executor history --passed` and `planner plan --passed`
//! with both programs, a repository and a state directory that is collected in between.

use serde_json::Value;

use crate::shell::Shell;

/// Two lanes about `a/` and `b/`, and one about everything under `all/`; a lane's job fails while
/// its directory holds a file `broken`.
fn shell() -> Shell {
    let shell = Shell::new();
    let lane = |id: &str| {
        format!(
            "[[branch.lanes]]\nid = \"{id}\"\npaths = [\"{id}/**\"]\n\
             command = [\"sh\", \"-c\", \"! test -e {id}/broken\"]\ntimeout_secs = 60\n"
        )
    };
    let manifest = format!("version = 1\nignore = [\"words\"]\n{}{}", lane("a"), lane("b"));
    shell.write("ci/forge-lanes.toml", &manifest);
    for path in ["a/x", "b/x", "words"] {
        shell.write(path, "1\n");
    }
    shell.does("git init -q && git add -A && git commit -qm first");
    shell.does("executor history --passed -o ../passed.json");
    shell
}

/// Commits everything as it is.
fn push(shell: &Shell) {
    shell.does("git add -A && git commit -qm push");
}

/// Plans head with what is known to have passed, and returns the plan.
#[track_caller]
fn plan(shell: &Shell, flags: &str) -> Value {
    shell.does(&format!("planner plan --passed ../passed.json {flags} -o ../plan.json"));
    let text = std::fs::read(shell.beside("plan.json")).expect("a plan");
    serde_json::from_slice(&text).expect("JSON")
}

/// The lanes that a plan runs.
fn runs(plan: &Value) -> Vec<&str> {
    let lanes = plan["lanes"].as_array().expect("lanes").iter();
    lanes.filter(|lane| lane["selected"] == true).filter_map(|lane| lane["id"].as_str()).collect()
}

fn reasons(plan: &Value, id: &str) -> Value {
    let lanes = plan["lanes"].as_array().expect("lanes");
    lanes.iter().find(|lane| lane["id"] == id).expect("the lane")["reasons"].clone()
}

/// Runs the plan, whatever comes of it, and writes down what passed.
fn apply(shell: &Shell) {
    shell.run("executor apply ../plan.json");
    shell.does("executor history --passed --merge ../passed.json -o ../passed.json");
}

fn head(shell: &Shell) -> String {
    shell.does("git rev-parse HEAD").trim_end().to_owned()
}

#[test]
fn a_lane_that_failed_runs_again_until_it_passes_and_what_passed_does_not() {
    let shell = shell();
    assert_eq!(runs(&plan(&shell, "--passed-else run")), ["a", "b"]);
    apply(&shell);
    let first = head(&shell);

    // Fails in one lane, passes in the other.
    shell.does("touch a/broken; echo 2 >b/x");
    push(&shell);
    assert_eq!(runs(&plan(&shell, "")), ["a", "b"]);
    apply(&shell);
    let second = head(&shell);

    // Neither is touched, and what is known survives that its runs are removed.
    shell.does("executor gc --keep 0; rm ../passed.json; echo 2 >words");
    shell.does("executor history --passed -o ../passed.json");
    push(&shell);
    let third = plan(&shell, "");
    assert_eq!(runs(&third), ["a"]);
    let since = &reasons(&third, "a")[0]["paths"]["since"];
    assert_eq!(*since, serde_json::json!({ "commit": first, "passed": true }), "{third:#}");
    assert_eq!(third["source"]["passed"]["b"], second.as_str());
    assert_eq!(third["format_version"], "1.1");
    let digest = shell.does("sha256sum <../passed.json | cut -d' ' -f1");
    assert_eq!(third["inputs"]["--passed"], format!("sha256:{}", digest.trim_end()));
    let shown =
        shell.does("planner show ../plan.json; planner show ../plan.json --format markdown");
    assert!(shown.contains(&format!("since it passed at `{}`", &first[..12])), "{shown}");
    apply(&shell);

    // Taken back: what is there now is what passed.
    shell.does("rm a/broken");
    push(&shell);
    assert_eq!(runs(&plan(&shell, "")), [""; 0]);
    // Mended otherwise: it runs once more, and then it is quiet.
    shell.does("echo 3 >a/x");
    push(&shell);
    assert_eq!(runs(&plan(&shell, "")), ["a"]);
    apply(&shell);
    assert_eq!(runs(&plan(&shell, "")), [""; 0]);
    shell.does("echo 3 >words");
    push(&shell);
    let quiet = plan(&shell, "--passed-else run");
    assert_eq!(runs(&quiet), [""; 0]);
    let shown = shell.does("planner explain --lane a --passed ../passed.json");
    assert!(shown.contains("since it passed at"), "{shown}");
}

#[test]
fn a_run_that_was_cancelled_or_lost_is_owed() {
    let shell = shell();
    plan(&shell, "--passed-else run");
    apply(&shell);
    // Never started: replaced by a later push before a machine had it.
    shell.does("echo 2 >a/x");
    push(&shell);
    shell.does("echo 2 >b/x");
    push(&shell);
    // The second push's own change is `b`, and `a` is owed.
    assert_eq!(runs(&plan(&shell, "")), ["a", "b"]);
    // Ended before it is done.
    shell.does(
        "sed -i 's/! test -e b/sleep 60; ! test -e b/' ci/forge-lanes.toml && git commit -qam slow",
    );
    plan(&shell, "");
    shell.does(
        "executor apply ../plan.json & pid=$!\n\
         until executor list --json | grep -q '\"running\"'; do sleep 0.1; done\n\
         executor cancel latest; executor cancel latest; wait $pid || true",
    );
    shell.does("executor history --passed --merge ../passed.json -o ../passed.json");
    shell.does("echo 3 >words");
    push(&shell);
    assert!(runs(&plan(&shell, "")).contains(&"b"));
}

#[test]
fn a_lane_that_never_passed_and_is_known_to_have_failed_runs_whatever_the_base_says() {
    let shell = shell();
    shell.does("touch a/broken");
    push(&shell);
    assert_eq!(runs(&plan(&shell, "")), ["a"]);
    apply(&shell);
    let failed = head(&shell);
    shell.does("echo 2 >words");
    push(&shell);
    let plan = plan(&shell, "--passed-else base");
    assert_eq!(runs(&plan), ["a"]);
    assert_eq!(
        reasons(&plan, "a"),
        serde_json::json!([{ "owed": { "commit": failed, "because": "it has not passed" } }])
    );
}

#[test]
fn a_part_of_a_lane_is_not_the_lane_and_parts_of_several_machines_add_up() {
    let shell = shell();
    shell.write(
        "ci/catalog.toml",
        "version = 1\n[[targets]]\nid = \"t\"\ndescription = \"two\"\n\
         [[targets.jobs]]\nid = \"one\"\nbase = \"host\"\ntimeout_secs = 60\n\
         command = { argv = [\"true\"] }\n\
         [[targets.jobs]]\nid = \"two\"\nbase = \"host\"\ntimeout_secs = 60\n\
         command = { argv = [\"true\"] }\n\
         [bases.host]\nplacement = \"local\"\nruntime = \"host_process\"\n",
    );
    let manifest =
        "version = 1\n[[branch.lanes]]\nid = \"both\"\ntarget = \"t\"\npaths = [\"a/**\"]\n";
    shell.write("ci/forge-lanes.toml", manifest);
    push(&shell);
    assert_eq!(runs(&plan(&shell, "--passed-else run")), ["both"]);
    shell.does("executor --state-dir ../one apply --only execute-one ../plan.json");
    shell.does("executor --state-dir ../one history --passed -o ../1.json");
    shell.does("cp ../1.json ../passed.json");
    assert_eq!(runs(&plan(&shell, "--passed-else run")), ["both"]);
    assert_eq!(runs(&plan(&shell, "")), ["both"]);
    shell.does("executor --state-dir ../two apply --only execute-two ../plan.json; true");
    let again = plan(&shell, "--passed-else run");
    shell.does("planner plan --passed-else run --passed ../1.json -o ../plan.json");
    assert_eq!(runs(&again), ["both"]);
    // The other machine ran the other node of the very plan of the first.
    shell.does("cp ../one/runs/*/plan.json ../plan.json");
    shell.does("executor --state-dir ../two apply --only execute-two ../plan.json");
    shell.does("executor --state-dir ../two history --passed -o ../2.json");
    shell.does("executor --state-dir ../none history --passed --merge ../1.json ../2.json -o ../passed.json");
    assert_eq!(runs(&plan(&shell, "--passed-else run")), [""; 0]);
}

#[test]
fn a_repeat_of_what_failed_completes_the_lane() {
    let shell = shell();
    plan(&shell, "--passed-else run");
    apply(&shell);
    shell.does("sed -i 's/! test -e a.broken/test -e \\/proc\\/self \\&\\& test -e $HOME\\/ok/' ci/forge-lanes.toml");
    shell.does("echo 2 >b/x");
    push(&shell);
    assert_eq!(runs(&plan(&shell, "")), ["a", "b"]);
    apply(&shell);
    assert_eq!(runs(&plan(&shell, "")), ["a"]);
    let home = shell.does("echo $HOME").trim_end().to_owned();
    std::fs::write(format!("{home}/ok"), "").expect("writable");
    shell.run("executor rerun latest --failed");
    shell.does("executor history --passed --merge ../passed.json -o ../passed.json");
    assert_eq!(runs(&plan(&shell, "")), [""; 0]);
}

#[test]
fn a_changed_definition_is_owed_by_the_lanes_it_changes() {
    let shell = shell();
    plan(&shell, "--passed-else run");
    apply(&shell);
    let passed = head(&shell);
    shell.does("sed -i 's/! test -e a/! test -d a/' ci/forge-lanes.toml && git commit -qam other");
    shell.does("echo 2 >words");
    push(&shell);
    let plan = plan(&shell, "");
    assert_eq!(runs(&plan), ["a"]);
    let changed = &reasons(&plan, "a")[0]["definition_changed"];
    assert_eq!(changed["since"], serde_json::json!({ "commit": passed, "passed": true }));
}

#[test]
fn work_that_is_not_committed_passes_nowhere() {
    let shell = shell();
    shell.does("echo 2 >a/x; planner plan --worktree --all | executor apply -");
    shell.does("executor history --passed -o ../passed.json");
    let text = std::fs::read_to_string(shell.beside("passed.json")).expect("readable");
    assert!(!text.contains("passed\""), "{text}");
}

#[test]
fn after_a_forced_push_what_passed_on_the_line_that_is_left_counts() {
    let shell = shell();
    plan(&shell, "--passed-else run");
    apply(&shell);
    let first = head(&shell);
    shell.does("echo 2 >a/x");
    push(&shell);
    plan(&shell, "");
    apply(&shell);
    // The pass of the second commit is of no use to what is pushed in its place.
    shell.does("git reset -q --hard HEAD^; echo 3 >a/x");
    push(&shell);
    let forced = plan(&shell, "");
    assert_eq!(forced["source"]["passed"]["a"], first.as_str());
    assert_eq!(runs(&forced), ["a"]);
}

#[test]
fn a_file_that_is_missing_torn_newer_or_of_another_repository_never_makes_less_run() {
    let shell = shell();
    let refused = |line: &str, code: i32, words: &str| {
        let ran = shell.run(line);
        assert_eq!(ran.code, Some(code), "$ {line}\n{}", ran.shown);
        assert!(ran.shown.contains(words), "{}", ran.shown);
    };
    refused("planner plan --passed nothing.json", 2, "executor history --passed -o FILE");
    shell.does("head -c 30 ../passed.json >../torn.json; : >../empty.json");
    refused("planner plan --passed ../torn.json", 2, "is not what `executor history --passed`");
    refused("planner plan --passed ../empty.json", 2, "executor history --passed -o FILE");
    refused("executor history --passed --merge ../torn.json", 2, "torn.json");
    refused("executor history --passed --merge nothing.json", 2, "nothing.json");
    shell.does("sed 's/1.0/1.7/' ../passed.json >../newer.json");
    refused("planner plan --passed ../newer.json", 4, "1.7");
    refused("planner plan --passed ../passed.json --trigger nightly", 2, "branch lanes");
    refused("planner plan --passed ../passed.json --all", 2, "cannot be used with");
    plan(&shell, "--passed-else run");
    apply(&shell);
    shell.does("cd .. && mkdir other && cd other && cp -r ../project/ci . && git init -q");
    shell.does(
        "git add -A && git commit -qm other && echo 1 >words && git add -A && git commit -qm 2",
    );
    let ran = shell.run("planner plan --passed ../passed.json --format human");
    assert_eq!(ran.code, Some(0), "{}", ran.shown);
    assert!(ran.shown.contains("is it the file of another repository?"), "{}", ran.shown);
    assert!(ran.shown.contains("all 2 lanes run"), "{}", ran.shown);
}

#[test]
fn a_lane_that_passed_with_a_tolerated_failure_owes_nothing() {
    let shell = shell();
    let catalog = |allowed: &str| {
        format!(
            "version = 1\n[[targets]]\nid = \"t\"\n[[targets.jobs]]\nid = \"red\"\n\
             placement = \"local\"\nruntime = \"host_process\"\ntimeout_secs = 60\n\
             command = [\"sh\", \"-c\", \"exit 7\"]\n{allowed}"
        )
    };
    shell.write("ci/catalog.toml", &catalog("allow_failure = { exit_codes = [7] }\n"));
    shell.write(
        "ci/forge-lanes.toml",
        "version = 1\nignore = [\"words\", \"b/**\"]\n[[branch.lanes]]\nid = \"a\"\ntarget = \"t\"\n\
         paths = [\"a/**\"]\n",
    );
    push(&shell);
    assert_eq!(runs(&plan(&shell, "--passed-else run")), ["a"]);
    apply(&shell);
    shell.does("echo 2 >b/x");
    push(&shell);
    assert_eq!(runs(&plan(&shell, "")), [""; 0]);
    // Once it counts, it runs again until it passes.
    shell.write("ci/catalog.toml", &catalog(""));
    push(&shell);
    assert_eq!(runs(&plan(&shell, "")), ["a"]);
}
