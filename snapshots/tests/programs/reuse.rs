//! Results that stand for later ones: both programs from the manifest to the record.

use serde_json::Value;

use crate::shell::{Ran, Shell};

const MANIFEST: &str = r#"
version = 1

[[branch.lanes]]
id = "unit"
target = "unit"
paths = ["**"]

[[branch.lanes]]
id = "docs"
target = "docs"
paths = ["**"]
"#;

const CATALOG: &str = r#"
version = 1

[bases.here]
placement = "local"
runtime = "host_process"
timeout_secs = 60
reuse = "passed"
key_commands = [["sh", "-c", "cat \"$TOOL\""]]

[[targets]]
id = "unit"

[[targets.jobs]]
id = "unit"
base = "here"
inputs = ["src/**"]
artifacts = ["out/*"]
writable_workspace = true
command = { shell = "echo unit >>\"$RUNS\"; mkdir out; cp src/a out/; chmod +x out/a; echo ran" }

[[targets]]
id = "docs"

[[targets.jobs]]
id = "docs"
base = "here"
inputs = ["docs/**"]
command = { shell = "echo docs >>\"$RUNS\"; test -e docs/good" }
"#;

/// A project whose jobs say in `$RUNS` that they ran, and whose tool answers what is in `$TOOL`.
fn project() -> Shell {
    let shell = Shell::new();
    shell.write("ci/forge-lanes.toml", MANIFEST);
    shell.write("ci/catalog.toml", CATALOG);
    shell.write("src/a", "text\n");
    shell.write("docs/good", "text\n");
    shell.does("git init -q && git add -A && git commit -qm first");
    shell.does("export TOOL=$PWD/../tool RUNS=$PWD/../runs; echo one >$TOOL; : >$RUNS");
    shell.does("mkdir -p ~/.config/forge-lanes");
    shell.does("echo 'pass_env = [\"RUNS\"]' >~/.config/forge-lanes/executor.toml");
    shell
}

fn plan(shell: &Shell) {
    shell.does("planner plan --all -o ../plan.json");
}

/// The jobs that ran since this was asked last.
fn ran(shell: &Shell) -> String {
    let ran = shell.does("sort $RUNS; : >$RUNS");
    ran.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn record(shell: &Shell) -> Value {
    serde_json::from_str(&shell.does("executor status --json")).expect("a record")
}

fn node<'a>(record: &'a Value, id: &str) -> &'a Value {
    let nodes = record["nodes"].as_array().expect("nodes");
    nodes.iter().find(|node| node["id"] == id).expect("the node")
}

#[test]
fn what_passed_on_the_same_files_is_not_run_again() {
    let shell = project();
    plan(&shell);
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "docs unit");
    let first = record(&shell);

    // From another clone, with another state directory.
    shell.does("git clone -q . ../clone && cd ../clone");
    plan(&shell);
    let said = shell.run("executor apply ../plan.json --junit ../junit.xml");
    assert_eq!(said.code, Some(0), "{}", said.shown);
    assert_eq!(ran(&shell), "", "{}", said.shown);
    assert!(said.shown.contains("execute-unit (reused)"), "{}", said.shown);
    assert!(said.shown.contains("2 reused"), "{}", said.shown);
    let second = record(&shell);
    let unit = node(&second, "execute-unit");
    assert_eq!(unit["outcome"], "passed");
    assert_eq!(unit["reused"]["run_id"], first["run_id"]);
    assert_eq!(unit["reused"]["node"], "execute-unit");
    assert_eq!(second["lanes"][0]["reused"], 1);
    assert!(shell.does("cat ../junit.xml").contains("name=\"reused\""));
    // Log and artifacts are there as if it had run.
    assert_eq!(shell.does("executor logs --node execute-unit"), "ran\n");
    let run = second["run_id"].as_str().expect("an id");
    let kept = format!(".forge-lanes/runs/{run}/nodes/execute-unit/artifacts/out/a");
    assert_eq!(
        shell.does(&format!("cat {kept}; test -x {kept} && echo executable")),
        "text\nexecutable\n"
    );
    // What took no time says nothing about how long it takes.
    assert!(!shell.does("executor history").contains("execute-unit"));

    // Only what sees the change runs.
    shell.does("echo more >docs/page; git add -A; git commit -qm second");
    plan(&shell);
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "docs");
    let why = shell.does("executor why latest --node execute-docs");
    assert!(why.contains("not reused; the nearest result is of run"), "{why}");
    assert!(why.contains("plan.tree differs in 1 file") && why.contains("docs/page"), "{why}");

    // A tool of another version is another result.
    shell.does("echo two >$TOOL");
    let why = shell.does("executor why ../plan.json --node execute-unit");
    assert!(why.contains("- one") && why.contains("+ two"), "{why}");
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "docs unit");
    let why = shell.does("executor why ../plan.json --node execute-unit");
    assert!(why.contains("execute-unit: reused from run"), "{why}");
    // On request everything runs.
    shell.does("executor apply ../plan.json --reuse off");
    assert_eq!(ran(&shell), "docs unit");
}

#[test]
fn only_what_passed_is_kept_and_only_for_whom_it_is_trusted() {
    let shell = project();
    shell.does("git rm -q docs/good; echo x >docs/bad; git add -A; git commit -qm bad");
    plan(&shell);
    for _ in 0..2 {
        assert_eq!(shell.run("executor apply ../plan.json --only execute-docs").code, Some(1));
        assert_eq!(ran(&shell), "docs");
    }
    // What an untrusted run passed is nobody's by default.
    let unit = "executor apply ../plan.json --only execute-unit";
    shell.does(&format!("{unit} --untrusted"));
    shell.does(&format!("{unit} --untrusted"));
    assert_eq!(ran(&shell), "unit unit");
    shell.does("echo '[results]\nwrite = \"always\"' >>~/.config/forge-lanes/executor.toml");
    shell.does(&format!("{unit} --untrusted"));
    assert_eq!(ran(&shell), "unit");
    shell.does(&format!("{unit} --untrusted"));
    assert_eq!(ran(&shell), "", "its own kind may have it");
    shell.does(unit);
    assert_eq!(ran(&shell), "unit", "a trusted run may not");
    assert!(shell.does("executor results list").contains("untrusted"));
    shell.does("executor results remove --all");
    shell.does(&format!("{unit} --reuse read"));
    assert_eq!(ran(&shell), "unit");
    assert_eq!(shell.does("executor results list"), "no results are kept\n");
}

#[test]
fn an_entry_that_is_torn_or_changed_is_none() {
    let shell = project();
    plan(&shell);
    let store = "$HOME/.cache/forge-lanes/results/v1/trusted";
    let unit = "executor apply ../plan.json --only execute-unit";
    for spoil in [
        "truncate -s -1 $(find DIR -name entry.json)",
        "truncate -s 0 $(find DIR -name entry.json)",
        "sed -i 's/execute-unit/execute-docs/' $(find DIR -name entry.json)",
        "f=$(find DIR -name guest.log); echo changed >$f.new; mv $f.new $f",
        "f=$(find DIR -path '*out/a'); echo tampered >$f.new; mv $f.new $f",
        "rm -r $(find DIR -name artifacts)",
        "rm $(find DIR -name artifacts.list)",
    ] {
        shell.does(unit);
        assert_eq!(ran(&shell), "unit", "before {spoil}");
        shell.does(&spoil.replace("DIR", store));
        let said = shell.run(unit);
        assert_eq!(said.code, Some(0), "{}", said.shown);
        assert_eq!(ran(&shell), "unit", "after {spoil}: {}", said.shown);
        assert!(said.shown.contains("is not used"), "{spoil}: {}", said.shown);
        shell.does(unit);
        assert_eq!(ran(&shell), "", "kept anew after {spoil}");
        shell.does("executor results remove --all");
    }
    // A collection takes what is damaged, and nothing else.
    shell.does(&format!("{unit}; : >$RUNS; mkdir -p {store}/00/{}", "0".repeat(64)));
    assert!(shell.does("executor gc").contains("removed a damaged result"));
    shell.does(unit);
    assert_eq!(ran(&shell), "");
}

/// Where results are kept, as a shell writes it.
const STORE: &str = "$HOME/.cache/forge-lanes/results";

#[test]
fn a_store_that_is_none_costs_a_run_at_most_and_gc_mends_it() {
    let shell = project();
    plan(&shell);
    let unit = "executor apply ../plan.json --only execute-unit";
    shell.does(unit);
    assert_eq!(ran(&shell), "unit");
    // Its own entry in a format that this program does not know.
    let entry = shell.does(&format!("cd {STORE}; find . -name entry.json; cd - >../out"));
    let entry = format!("{STORE}/{}", entry.trim());
    shell.does(&format!(
        "e=$(mktemp ../e.XXXX); sed '1d; s/\"format\":1/\"format\":2/' {entry} >$e; \
         (printf 'sha256:%s\\n' $(sha256sum <$e | cut -d' ' -f1); cat $e) >{entry}.new; mv {entry}.new {entry}"
    ));
    let said = shell.run(unit);
    assert_eq!((said.code, &*ran(&shell)), (Some(0), "unit"), "{}", said.shown);
    assert!(said.shown.contains("its format is 2"), "{}", said.shown);
    shell.does(unit);
    assert_eq!(ran(&shell), "", "kept anew");

    for place in [
        "v1",
        "v1/new",
        "v1/locks",
        "v1/trusted",
        "v1/trusted/$(ls STORE/v1/trusted)",
        "v1/trusted/$(ls STORE/v1/trusted)/$(ls STORE/v1/trusted/*)",
    ] {
        let place = format!("{STORE}/{}", place.replace("STORE", STORE));
        shell.does(&format!("p={place}; rm -r $p && : >$p"));
        let said = shell.run(unit);
        assert_eq!(said.code, Some(0), "{place}: {}", said.shown);
        shell.does("executor results list; executor gc");
        shell.does(&format!("{unit}; : >$RUNS"));
        let said = shell.run(unit);
        assert_eq!((said.code, &*ran(&shell)), (Some(0), ""), "{place}: {}", said.shown);
    }

    // What is no directory at all is refused, in words.
    shell.does(&format!("rm -r {STORE} && : >{STORE}"));
    for command in [unit, "executor results list", "executor gc"] {
        let said = shell.run(command);
        assert_eq!((said.code, &*ran(&shell)), (Some(2), ""), "{}", said.shown);
        assert!(said.shown.contains("help: set `results.dir` of executor.toml"), "{}", said.shown);
    }
    // Another place helps.
    shell.does("printf '[results]\\ndir = \"%s\"\\n' $PWD/../elsewhere >>~/.config/forge-lanes/executor.toml");
    shell.does(&format!("{unit}; {unit}"));
    assert_eq!(ran(&shell), "unit");
}

/// Runs lines where the store is mounted from a directory with some options; nothing where that is not allowed.
fn with_store(shell: &Shell, mount: &str, lines: &str) -> Option<Ran> {
    let said = shell.run(&format!(
        "S={STORE}; mkdir -p -m 700 $S; export S\n\
         unshare --mount -- sh -c '{mount} || exit 99\n{lines}'"
    ));
    if said.code == Some(99) || said.shown.contains("unshare: ") {
        assert!(std::env::var_os("CI").is_none(), "nothing can be mounted: {}", said.shown);
        return None;
    }
    Some(said)
}

#[test]
fn a_store_that_can_only_be_read_is_read() {
    let shell = project();
    plan(&shell);
    shell.does("executor apply ../plan.json --only execute-unit; : >$RUNS");
    let mount = "mount --bind \"$S\" \"$S\" && mount -o remount,bind,ro \"$S\"";
    let lines = "set -e; executor apply ../plan.json; executor results list; executor gc; \
                 touch \"$S\"/x 2>&1 | grep -q Read-only";
    let Some(said) = with_store(&shell, mount, lines) else { return };
    assert_eq!(said.code, Some(0), "{}", said.shown);
    assert_eq!(ran(&shell), "docs");
    assert!(said.shown.contains("execute-unit (reused)"), "{}", said.shown);
    assert_eq!(said.shown.matches("no result is kept").count(), 1, "{}", said.shown);
    assert!(said.shown.contains("trusted"), "{}", said.shown);
}

#[test]
fn a_store_without_room_costs_a_run_at_most() {
    let shell = project();
    // The log of one job is larger than the store, that of the other is not.
    let catalog = CATALOG.replace("echo ran", "head -c 400000 /dev/zero");
    shell.write("ci/catalog.toml", &catalog);
    shell.does("git add -A; git commit -qm log");
    plan(&shell);
    let mount = "mount -t tmpfs -o size=256k,mode=700 tmpfs \"$S\"";
    let lines = "executor apply ../plan.json && executor apply ../plan.json && \
                 test -z \"$(ls \"$S\"/v1/new)\" && rm -r \"$S\"/v1/trusted && \
                 { head -c 300000 /dev/zero >\"$S\"/filler; true; } && \
                 executor apply ../plan.json && executor gc && rm \"$S\"/filler && \
                 executor apply ../plan.json && executor apply ../plan.json";
    let Some(said) = with_store(&shell, mount, lines) else { return };
    assert_eq!(said.code, Some(0), "{}", said.shown);
    // Of five runs the small one ran in the first, in that where nothing has room, and in the one after it.
    let ran = ran(&shell);
    let count = |job| ran.split(' ').filter(|it| *it == job).count();
    assert_eq!((count("docs"), count("unit")), (3, 5), "{ran}\n{}", said.shown);
    assert!(said.shown.contains("its result is not kept: "), "{}", said.shown);
    assert!(said.shown.contains("No space left"), "{}", said.shown);
}

#[test]
fn clocks_that_are_set_make_no_wrong_hit_and_keep_no_result_for_ever() {
    let shell = project();
    plan(&shell);
    let apply = "executor apply ../plan.json";
    // Kept while the clock was ten years ahead, which has been set back since.
    shell.does(apply);
    ran(&shell);
    let entries = format!("{STORE}/v1/trusted/*/*");
    shell.does(&format!("touch -d '+10 years' {entries} {STORE}/v1/locks/*"));
    shell.does("executor gc");
    shell.does(apply);
    assert_eq!(ran(&shell), "", "a result is not lost by a clock");
    let ahead = format!("find {entries} {STORE}/v1/locks/* -prune -newermt '+1 day'");
    shell.does(&format!("touch -d '+10 years' {entries} {STORE}/v1/locks/*"));
    shell.does("executor gc");
    assert_eq!(shell.does(&ahead), "", "the last to go for ever");
    // What was kept later is worth as much: the limit takes what was of use first.
    shell.does("printf '[results]\\nkeep_days = 30\\n' >>~/.config/forge-lanes/executor.toml");
    shell.does(&format!("touch -d '-31 days' {entries}"));
    assert!(shell.does("executor gc").contains("unused for too long"));
    shell.does(apply);
    assert_eq!(ran(&shell), "docs unit", "at worst a run");
    // What was changed while the clock was back is another file, whatever its date.
    shell.does("echo other >src/a; touch -d '-20 years' src/a; git add -A; git commit -qm third");
    plan(&shell);
    shell.does(apply);
    assert_eq!(ran(&shell), "unit");
}

/// A project with one lane of one job, of which `more` says more.
fn one_job(command: &str, more: &str) -> Shell {
    let shell = project();
    shell.write(
        "ci/forge-lanes.toml",
        "version = 1\n[[branch.lanes]]\nid = \"l\"\ntarget = \"t\"\n",
    );
    let catalog = format!(
        "version = 1\n[[targets]]\nid = \"t\"\n[[targets.jobs]]\nid = \"job\"\nplacement = \"local\"\n\
         runtime = \"host_process\"\ntimeout_secs = 60\nreuse = \"passed\"\n\
         command = {{ shell = '{command}' }}\n{more}\n"
    );
    shell.write("ci/catalog.toml", &catalog);
    shell.does("git add -A && git commit -qm job");
    plan(&shell);
    shell
}

#[test]
fn what_prepares_only_jobs_that_passed_is_not_run() {
    let shell = one_job(
        "echo job >>\"$RUNS\"; test -e made",
        "host_setup_command = { shell = 'echo setup >>\"$RUNS\"; touch made' }",
    );
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "job setup");
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "");
    let record = record(&shell);
    for node in record["nodes"].as_array().expect("nodes") {
        assert_eq!(node["outcome"], "passed", "{node}");
        assert!(node["reused"].is_object(), "{node}");
    }
    shell.does("executor results remove --all && executor apply ../plan.json");
    assert_eq!(ran(&shell), "job setup");
}

#[test]
fn a_tool_that_is_asked_for_its_version_hears_that_the_run_ends() {
    let ask = "key_commands = [[\"sh\", \"-c\", \"touch ~/../asked; exec sleep 600\"]]";
    // Before the run, for the sake of what prepares it, and when its turn comes.
    for more in ["host_setup_command = { shell = 'true' }", ""] {
        let shell = one_job("true", &format!("{ask}\n{more}"));
        let executor = shell.start(&["executor", "apply", "../plan.json"]);
        shell.does(&format!(
            "until [ -e ../asked ]; do sleep 0.1; done; kill -INT {}",
            executor.id()
        ));
        let ended = executor.wait_with_output().expect("it ends");
        assert_eq!(ended.status.code(), Some(130));
        let record = record(&shell);
        let outcome = &node(&record, "execute-job")["outcome"];
        assert!(outcome == "cancelled" || outcome == "skipped", "{record}");
        // It was not waited for until it had no time left.
        assert!(!record.to_string().contains("was not answered"), "{record}");
    }
}

#[test]
fn a_tool_that_goes_on_for_ever_costs_a_run_of_its_job() {
    let shell = one_job("echo job >>\"$RUNS\"", "key_commands = [[\"yes\"]]");
    for _ in 0..2 {
        let said = shell.does("executor apply ../plan.json");
        assert!(said.contains("neither looked for nor kept: `yes` on `local` went on"), "{said}");
        assert_eq!(ran(&shell), "job");
    }
}

#[test]
fn two_executors_run_the_same_once() {
    let shell = one_job("echo job >>\"$RUNS\"; sleep 2", "");
    shell.does(
        "executor --state-dir ../one apply ../plan.json & one=$!; \
         executor --state-dir ../two apply ../plan.json && wait $one",
    );
    assert_eq!(ran(&shell), "job");
}

#[test]
fn a_result_is_kept_of_a_run_that_was_killed_and_taken_up() {
    let shell = one_job("echo job >>\"$RUNS\"; sleep 2; echo done", "");
    shell.does(
        "executor apply ../plan.json & run=$!; while ! test -s $RUNS; do sleep 0.1; done; \
         kill -9 $run; wait $run; executor resume latest",
    );
    assert_eq!(ran(&shell), "job");
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "");
    assert_eq!(shell.does("executor logs"), "done\n");
}

#[test]
fn what_passed_only_when_tried_again_is_kept_on_request_alone() {
    let command = "echo job >>\"$RUNS\"; test $(wc -l <\"$RUNS\") -gt 1";
    let again = "retries = 2";
    let shell = one_job(command, again);
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "job job");
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "job job");
    shell.does(
        "sed -i 's/\"passed\"/\"passed_with_retries\"/' ci/catalog.toml && git commit -qam r",
    );
    plan(&shell);
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "job job");
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "");
}

#[test]
fn a_job_with_secrets_is_kept_on_request_alone_and_without_them() {
    let more = "secrets = [\"TOKEN\"]\nreuse_with_secrets = true";
    let shell = one_job("echo job >>\"$RUNS\"; echo $TOKEN", more);
    shell.does("export TOKEN=correct-horse-battery; executor apply ../plan.json");
    assert_eq!(ran(&shell), "job");
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "");
    assert!(!shell.does("executor logs").contains("horse"));
    let found = shell.run("grep -r correct-horse ~/.cache/forge-lanes/results");
    assert_eq!(found.code, Some(1), "{}", found.shown);
    shell.does("sed -i /reuse_with_secrets/d ci/catalog.toml && git commit -qam without");
    plan(&shell);
    shell.does("executor apply ../plan.json && executor apply ../plan.json");
    assert_eq!(ran(&shell), "job job");
    let why = shell.does("executor why latest --node execute-job");
    assert!(why.contains("`reuse_with_secrets`"), "{why}");
}

#[test]
fn reports_of_a_reused_result_are_counted_once() {
    let report = r#"printf "<testsuite><testcase classname=\"src.a\" file=\"src/a\" time=\"%s\"/></testsuite>" $(cat "$RUNS.time") >"$ARTIFACTS_DIR/junit.xml""#;
    let shell = one_job(report, "artifacts = [\"junit.xml\"]");
    shell.does("echo 1 >$RUNS.time; for n in 1 2 3; do executor apply ../plan.json || exit; done");
    shell.does("echo 9 >$RUNS.time");
    shell.does("for n in 1 2; do executor apply --reuse off ../plan.json || exit; done");
    // Of 1, 9 and 9; not of 1, 1, 1, 9 and 9.
    assert_eq!(shell.does("executor history --durations"), "{\n  \"src/a\": 9.0\n}\n");
}

#[test]
fn a_job_with_a_host_setup_is_reused_while_the_setup_sees_the_same_files() {
    let shell = one_job(
        "echo job >>\"$RUNS\"; test -e made",
        "host_setup_command = { shell = 'echo setup >>\"$RUNS\"; touch made', inputs = [\"src/**\"] }",
    );
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "job setup");
    shell.does("echo more >docs/good && git commit -qam elsewhere");
    plan(&shell);
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "");
    shell.does("echo more >src/a && git commit -qam here");
    plan(&shell);
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "job setup");
    let why = shell.does("executor why latest --node execute-job");
    assert!(why.contains("src/a") && !why.contains("docs/good"), "{why}");
}

#[test]
fn what_a_branch_passed_that_is_not_trusted_is_never_given_to_one_that_is() {
    let shell = one_job("echo job >>\"$RUNS\"", "");
    shell.does("git branch -M main");
    shell.does(
        "printf '[results]\\nwrite = \"always\"\\ntrusted_branches = [\"release/*\"]\\n' \
         >>~/.config/forge-lanes/executor.toml",
    );
    let on = |branch: &str| {
        shell.does(&format!("git checkout -qB {branch}"));
        plan(&shell);
        shell.does("executor apply ../plan.json");
        ran(&shell)
    };
    // Nobody trusts the first, the others share what they leave.
    assert_eq!(on("feature"), "job");
    assert_eq!(on("feature"), "");
    assert_eq!(on("main"), "job");
    assert_eq!(on("release/1"), "");
    // Who is not trusted may have what others left; who names no branch is not.
    assert_eq!(on("other"), "");
    shell.does("rm -rf ~/.cache/forge-lanes/results && git checkout -q --detach");
    shell.does("git commit -q --allow-empty -m more");
    plan(&shell);
    shell.does("executor apply ../plan.json");
    assert_eq!(ran(&shell), "job");
    assert_eq!(on("main"), "job");
}
