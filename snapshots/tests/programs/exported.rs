//! Exported pipelines do what the plan does: `engines.cjs` plays each engine with its conditions,
//! artifacts and scripts, every job on an agent of its own, and the lanes end as they do locally.

use std::collections::BTreeMap;

use crate::shell::{Shell, root, validators};

/// A lane that passes over a diamond, and one that fails and takes a dependant along.
pub(crate) const CATALOG: &str = r#"version = 1
[bases.here]
placement = "local"
runtime = "host_process"
timeout_secs = 60
[[targets]]
id = "good"
[[targets.jobs]]
id = "build"
base = "here"
command = { shell = "test \"$(cat src/a)\" = new" }
[[targets.jobs]]
id = "left"
base = "here"
needs = ["build"]
artifacts = ["out/**"]
writable_workspace = true
command = { shell = "mkdir out; echo it > out/left" }
[[targets.jobs]]
id = "right"
base = "here"
needs = ["build"]
command = { shell = "true" }
[[targets.jobs]]
id = "join"
base = "here"
needs = ["left", "right"]
command = { shell = "true" }
[[targets]]
id = "bad"
[[targets.jobs]]
id = "breaks"
base = "here"
command = { shell = "echo 'error: no'; exit 7" }
[[targets.jobs]]
id = "never"
base = "here"
needs = ["breaks"]
command = { shell = "touch /should/not/run" }
"#;

const MANIFEST: &str = r#"version = 1
nightly_schedule_utc = "04:30"
[[branch.lanes]]
id = "good"
target = "good"
paths = ["src/**"]
concurrency_group = "one"
[[branch.lanes]]
id = "bad"
target = "bad"
paths = ["src/**"]
[[branch.lanes]]
id = "off"
command = ["false"]
timeout_secs = 60
paths = ["docs/**"]
[[nightly.lanes]]
id = "night"
command = ["true"]
timeout_secs = 60
"#;

/// Runs a pipeline; returns how each of its jobs ended.
pub(crate) fn played(shell: &Shell, engine: &str, python: &str) -> BTreeMap<String, String> {
    shell.does(&format!(
        "{python} -c 'import sys, json, ruamel.yaml; y = ruamel.yaml.YAML(typ=\"safe\", pure=True); \
         y.version = \"1.2\"; json.dump(y.load(sys.stdin), sys.stdout)' \
         <../{engine}/forge-lanes.yml >../{engine}.json"
    ));
    let output = shell.does(&format!(
        "mkdir -p ../{engine}-work/artifacts/plan && cp ../plan.json ../{engine}-work/artifacts/plan/ && \
         node {}/snapshots/tests/programs/engines.cjs {engine} ../{engine}.json \"$PWD\" \
         \"$PWD/../{engine}-work\" 2>../{engine}.log || cat ../{engine}.log",
        root().display()
    ));
    serde_json::from_str(&output).unwrap_or_else(|_| panic!("{engine}: {output}"))
}

#[test]
fn an_exported_pipeline_ends_as_the_plan_does() {
    let Some(validators) = validators("bin/python") else { return };
    let python = validators.join("bin/python").display().to_string();
    let shell = Shell::new();
    shell.write("ci/catalog.toml", CATALOG);
    shell.write("ci/forge-lanes.toml", MANIFEST);
    shell.write("src/a", "old\n");
    shell.write("docs/a", "a\n");
    shell.does(
        "git init -q && git add -A && git commit -qm first && git checkout -qb topic && \
         echo new > src/a && git commit -qam second && planner plan -o ../plan.json && \
         planner plan --all -o ../all.json",
    );
    let here = shell.run("executor apply ../plan.json 2>/dev/null");
    assert_eq!(here.shown, "good · passed\nbad · failed\noff · skipped\n");

    for (engine, plan) in
        [("github", "all.json"), ("gitlab", "plan.json"), ("buildkite", "plan.json")]
    {
        shell.does(&format!("planner export ../{plan} --to {engine} --out-dir ../{engine}"));
        let mut ended = played(&shell, engine, &python);
        let mut expect = |names: &[&str], result: &str| {
            let found: Vec<_> = names.iter().filter_map(|name| ended.remove(*name)).collect();
            let log = shell.run(&format!("cat ../{engine}.log")).shown;
            assert_eq!(found, [result], "{engine}: {names:?} of {ended:?}\n{log}");
        };
        for node in ["build", "left", "right", "join"] {
            expect(&[&format!("execute-{node}")], "success");
        }
        expect(&["execute-breaks"], "failure");
        expect(&["execute-never"], "skipped");
        expect(&["lane-good", "lane good: good"], "success");
        expect(&["lane-bad", "lane bad: bad"], "failure");
        // Not selected is reported too, and is no failure.
        expect(&["lane-off", "lanes not selected 1"], "success");
        if engine == "github" {
            expect(&["plan"], "success");
            expect(&["execute-off"], "skipped");
        }
        assert!(ended.is_empty(), "{engine}: {ended:?}");
        // What a job keeps goes along: the run with its record, logs and files.
        let files = shell.does(&format!("find ../{engine}-work -path '*artifacts/out/left'"));
        assert!(!files.is_empty(), "{engine} lost the artifact");
    }
}

#[test]
fn a_nightly_export_starts_when_the_manifest_says() {
    let shell = Shell::new();
    shell.write("ci/catalog.toml", CATALOG);
    shell.write("ci/forge-lanes.toml", MANIFEST);
    shell.does(
        "git init -q && git add -A && git commit -qm first && \
         planner plan --trigger nightly -o ../night.json",
    );
    let export = "planner export ../night.json --to github --name nightly";
    assert!(shell.does(export).contains("- cron: \"30 4 * * *\""));
    let said = shell.does(&format!("{export} --nightly-schedule-utc 23:05"));
    assert!(said.contains("- cron: \"5 23 * * *\""), "the flag is asked first");
    // Away from the repository nobody knows, and that is said.
    let said = shell.does(&format!("cd .. && {export}").replace("../night", "night"));
    assert!(said.contains("starts by hand only") && !said.contains("cron"), "{said}");
}

#[test]
fn files_that_an_export_no_longer_needs_go_and_others_stay() {
    let shell = Shell::new();
    let lanes = |count: usize| -> String {
        let lane = |n| {
            format!("[[branch.lanes]]\nid = \"l{n}\"\ncommand = [\"true\"]\ntimeout_secs = 60\n")
        };
        (0..count).map(lane).collect()
    };
    shell.does(
        "git init -q && mkdir out && echo mine > out/forge-lanes-9.yml && echo x > out/other.yml",
    );
    let export = |count: usize, more: &str| {
        shell.write("ci/forge-lanes.toml", &format!("version = 1\n{}", lanes(count)));
        shell.does(&format!(
            "git add -A ci && git commit -qm {count} && planner plan --all -o plan.json && \
             planner export plan.json --to buildkite --out-dir out {more}"
        ))
    };
    assert!(export(600, "").contains("wrote out/forge-lanes-3.yml"));
    export(300, "--name other-thing");
    let said = export(2, "");
    for number in [2, 3] {
        assert!(said.contains(&format!("removed out/forge-lanes-{number}.yml")), "{said}");
    }
    assert_eq!(
        shell.does("cd out && ls").split_whitespace().collect::<Vec<_>>(),
        [
            "forge-lanes-9.yml",
            "forge-lanes.yml",
            "other-thing-2.yml",
            "other-thing.yml",
            "other.yml"
        ]
    );
}
