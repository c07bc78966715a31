//! Outputs of a job, from `$FORGE_LANES_OUTPUT` to the environment of the jobs that take them.

use plans::{EnvName, Node, OutputName, OutputRef};
use serde_json::{Value, json};

use crate::{
    harness::{Ended, World, kill, node_id, outcomes, sh, until},
    pairs::{Pair, in_all_pairs},
};

in_all_pairs! {
    what_a_job_writes_is_in_the_environment_of_who_takes_it => super::values;
    a_secret_is_refused_by_the_name_of_its_output => super::secrets;
}

fn name(text: &str) -> OutputName {
    OutputName::new(text).expect("well formed")
}

fn leaves(mut node: Node, outputs: &[&str]) -> Node {
    node.spec.outputs = outputs.iter().map(|it| name(it)).collect();
    node
}

/// Lets a node take all of these outputs of another.
fn takes(mut node: Node, of: &str, outputs: &[&str]) -> Node {
    node.depends_on.insert(node_id(of));
    let job = of.strip_prefix("execute-").expect("a job");
    for output in outputs.iter().map(|it| name(it)) {
        let variable = EnvName::new(output.variable_of(job)).expect("a name");
        node.takes.env.insert(variable, OutputRef { node: node_id(of), output });
    }
    node
}

fn node_of(record: &Value, id: &str) -> Value {
    let nodes = record["nodes"].as_array().expect("nodes");
    nodes.iter().find(|node| node["id"] == id).expect("there").clone()
}

fn values(pair: &Pair) {
    let script = r#"
        echo "version=1.2 3" >>"$FORGE_LANES_OUTPUT"
        printf 'notes<<EOF\n$(id) "q"\n\n'"'"'é'"'"'\nEOF\n' >>"$FORGE_LANES_OUTPUT"
        echo kept >"$ARTIFACTS_DIR/kept.txt"
    "#;
    let mut build = leaves(pair.node("execute-build", script), &["version", "notes"]);
    build.spec.artifacts = vec!["kept.txt".to_owned()];
    let read = "printf '%s|%s' \"$NEEDS_BUILD_VERSION\" \"$NEEDS_BUILD_NOTES\"; [ -z \"$FORGE_LANES_OUTPUT\" ]";
    let test = takes(pair.node("execute-test", read), "execute-build", &["version", "notes"]);
    let plan = pair.world().plan(vec![build, test]);
    let apply = pair.command(&["apply", &plan, "--output", "jsonl"]).output();
    let ended = Ended::of(apply.expect("it starts")).code(0);
    assert_eq!(
        String::from_utf8_lossy(&pair.file("execute-test", "guest.log")),
        "1.2 3|$(id) \"q\"\n\n'é'"
    );
    let expected = json!({ "notes": "$(id) \"q\"\n\n'é'", "version": "1.2 3" });
    let record = pair.world().record();
    assert_eq!(record["format_version"], "1.1");
    let build = node_of(&record, "execute-build");
    assert_eq!(build["outputs"], expected);
    // The file itself is no artifact.
    assert_eq!((&build["artifacts"], &build["artifacts_left_out"]), (&json!(1), &Value::Null));
    let finished = ended
        .events()
        .into_iter()
        .find(|event| event["event"] == "node_finished" && event["node"] == "execute-build");
    assert_eq!(finished.expect("told")["outputs"], expected);
}

fn secrets(pair: &Pair) {
    let script = r#"printf 'version=v-%s\n' "$TOKEN" | tee "$ARTIFACTS_DIR/log" >>"$FORGE_LANES_OUTPUT"; rm "$ARTIFACTS_DIR/log""#;
    let mut build = leaves(pair.node("execute-build", script), &["version"]);
    build.spec.secrets = [EnvName::new("TOKEN").expect("a name")].into();
    build.spec.retries = 0;
    let test = takes(pair.node("execute-test", "true"), "execute-build", &["version"]);
    let plan = pair.world().plan(vec![build, test]);
    let mut apply = pair.command(&["apply", &plan]);
    apply.env("TOKEN", "hunter2-hunter2");
    let ended = Ended::of(apply.output().expect("it starts")).code(1);
    let build = node_of(&pair.world().record(), "execute-build");
    assert_eq!(build["message"], "its output `version` holds a secret");
    assert_eq!((&build["outcome"], &build["outputs"]), (&json!("failed"), &Value::Null));
    assert!(!ended.err.contains("hunter2"), "{}", ended.err);
    let mut open = pair.world().runs();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                std::fs::read_dir(&path).expect("a directory").map(|it| it.expect("there").path()),
            );
        } else {
            let bytes = std::fs::read(&path).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "{}", path.display());
        }
    }
}

/// Runs one node with the output `version` and returns its record.
fn failed(script: &str) -> Value {
    let world = World::new();
    let plan = world.plan(vec![leaves(sh("execute-build", script, &[]), &["version"])]);
    world.run(&["apply", &plan]).code(1);
    node_of(&world.record(), "execute-build")
}

#[test]
fn each_wrong_output_fails_the_job_with_words_of_its_own() {
    for (script, message) in [
        ("true", "it left no output `version`: `version=VALUE` belongs into $FORGE_LANES_OUTPUT"),
        (
            "echo version=1 >$FORGE_LANES_OUTPUT; echo other=2 >>$FORGE_LANES_OUTPUT",
            "line 2 of $FORGE_LANES_OUTPUT sets `other`, which is not among its `outputs`",
        ),
        (
            "echo hello >$FORGE_LANES_OUTPUT",
            "line 1 of $FORGE_LANES_OUTPUT is neither `name=value` nor `name<<MARK`",
        ),
        (
            "printf 'version<<E\\nx\\n' >$FORGE_LANES_OUTPUT",
            "line 1 of $FORGE_LANES_OUTPUT begins a value of several lines that never ends",
        ),
        (
            "{ printf version=; head -c 66560 /dev/zero | tr '\\0' x; } >$FORGE_LANES_OUTPUT",
            "it wrote more than 64 KiB to $FORGE_LANES_OUTPUT",
        ),
        (
            "rm -f $FORGE_LANES_OUTPUT; ln -s /etc/passwd $FORGE_LANES_OUTPUT",
            "it left no output `version`: `version=VALUE` belongs into $FORGE_LANES_OUTPUT",
        ),
    ] {
        let node = failed(script);
        assert_eq!((&node["outcome"], &node["message"]), (&json!("failed"), &json!(message)));
        assert_eq!(node["exit_code"], 0, "{script}");
    }
    // Its own failure comes first.
    assert_eq!(failed("exit 3")["message"], "it exited with 3");
}

#[test]
fn the_outputs_of_the_last_attempt_alone_hold() {
    let world = World::new();
    let script = format!(
        "if [ -e {0} ]; then echo b=2 >>$FORGE_LANES_OUTPUT; else : >{0}; echo a=1 >>$FORGE_LANES_OUTPUT; exit 1; fi",
        world.path().join("tmp/second").display()
    );
    let mut build = leaves(sh("execute-build", &script, &[]), &["b"]);
    build.spec.retries = 1;
    let test =
        takes(sh("execute-test", "[ \"$NEEDS_BUILD_B\" = 2 ]", &[]), "execute-build", &["b"]);
    world.run(&["apply", &world.plan(vec![build, test])]).code(0);
    assert_eq!(node_of(&world.record(), "execute-build")["outputs"], json!({ "b": "2" }));
}

#[test]
fn a_run_that_is_resumed_keeps_the_outputs_of_what_passed() {
    let world = World::new();
    let go = world.path().join("tmp/go");
    let script = format!(
        "until [ -e {} ]; do sleep 0.02; done; [ \"$NEEDS_BUILD_VERSION\" = 7 ]",
        go.display()
    );
    let build =
        leaves(sh("execute-build", "echo version=7 >>$FORGE_LANES_OUTPUT", &[]), &["version"]);
    let slow = sh(
        "execute-slow",
        &format!("until [ -e {} ]; do sleep 0.02; done", go.display()),
        &["execute-build"],
    );
    let mut late = takes(sh("execute-late", &script, &[]), "execute-build", &["version"]);
    late.depends_on.insert(node_id("execute-slow"));
    let test = takes(sh("execute-test", &script, &[]), "execute-build", &["version"]);
    let plan = world.plan(vec![build, slow, late, test]);
    let child = world.start(&["apply", &plan]);
    let journal = || {
        let run = world.runs().pop()?;
        std::fs::read_to_string(run.join("journal.jsonl")).ok()
    };
    until(|| journal().is_some_and(|text| text.matches("attempt_started").count() >= 3));
    kill(child);
    std::fs::write(&go, "").expect("written");
    world.run(&["resume", "latest"]).code(0);
    let record = world.record();
    assert!(outcomes(&record).values().all(|outcome| outcome == "passed"), "{record}");
    assert_eq!(node_of(&record, "execute-build")["outputs"], json!({ "version": "7" }));
}

#[test]
fn a_node_that_is_asked_for_alone_brings_the_nodes_it_takes_from() {
    let world = World::new();
    let build =
        leaves(sh("execute-build", "echo version=7 >$FORGE_LANES_OUTPUT", &[]), &["version"]);
    let other = sh("execute-other", "exit 1", &[]);
    let mut test = sh("execute-test", "test $NEEDS_BUILD_VERSION = 7", &["execute-other"]);
    test = takes(test, "execute-build", &["version"]);
    let plan = world.plan(vec![build, other, test]);
    let ended = world.run(&["apply", &plan, "--only", "execute-test"]).code(0);
    let record = world.record();
    let ran = |id: &str| node_of(&record, id)["outcome"].clone();
    assert_eq!((ran("execute-build"), ran("execute-test")), (json!("passed"), json!("passed")));
    drop(ended);
}

#[test]
fn what_jobs_left_and_were_given_stands_where_people_look() {
    let world = World::new();
    let script = "echo 'version=1.2 <3>' >>$FORGE_LANES_OUTPUT; echo x >$ARTIFACTS_DIR/app";
    let mut build = leaves(sh("execute-build", script, &[]), &["version"]);
    build.spec.artifacts = vec!["app".to_owned()];
    let mut test = takes(sh("execute-test", "cat in/app", &[]), "execute-build", &["version"]);
    test.takes.files = vec![plans::FilesFrom {
        node: node_id("execute-build"),
        files: vec!["app".to_owned()],
        at: plans::WorkspacePath::new("in").expect("well formed"),
    }];
    let plan = world.plan(vec![build, test]);
    let junit = world.path().join("junit.xml");
    let junit = junit.to_str().expect("UTF-8");
    world.run(&["apply", &plan, "--junit", junit]).code(0);
    let given = "1 file (2 B) of execute-build, at in";
    let status = world.run(&["status"]).code(0).out;
    assert!(status.contains("left version = 1.2 <3>\n"), "{status}");
    assert!(status.contains(&format!("given {given}\n")), "{status}");
    let junit = std::fs::read_to_string(junit).expect("written");
    assert!(junit.contains(r#"name="output.version" value="1.2 &lt;3&gt;""#), "{junit}");
    assert!(junit.contains(&format!(r#"name="files_from" value="{given}""#)), "{junit}");
    let markdown = world.run(&["report", "--markdown", "-"]).code(0).out;
    assert!(markdown.contains("| execute-build | version | 1.2 &#60;3&#62; |"), "{markdown}");
    let page = world.path().join("run.html");
    let page = page.to_str().expect("UTF-8");
    world.run(&["report", "--html", page]).code(0);
    let page = std::fs::read_to_string(page).expect("written");
    assert!(page.contains("version = 1.2 "), "no output on the page");
    assert!(page.contains(&format!("[\"Files given\",\"{given}\"]")), "no files on the page");
}
