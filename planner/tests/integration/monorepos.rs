//! What moon, nx, turbo and taskgraph themselves select in generated workspaces, against the plan
//! of what `planner import` makes of them: never less, and the same unless a test says why.
//!
//! `scripts/bootstrap monorepos validators` installs them. `FORGE_LANES_WORKSPACES=50` builds that
//! many instead of a few, `FORGE_LANES_SEED=7` the one that failed.

#![expect(clippy::print_stderr, reason = "a test says what it compared and what it skipped")]

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

use planner::{ChangesFrom, Request, plan};
use serde_json::Value;

use crate::{
    managers::seeds,
    sandbox::{Numbers, Sandbox, planner},
};

/// Jobs that run, by id.
type Selected = BTreeSet<String>;

/// Where a group of the bootstrap put its programs.
fn programs(group: &str) -> Option<PathBuf> {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let there = home.join(".cache/forge-lanes").join(group);
    if there.join("complete").is_file() {
        return Some(there);
    }
    let why = format!("no programs in {}: run scripts/bootstrap {group}", there.display());
    assert!(std::env::var_os("CI").is_none(), "{why}");
    eprintln!("skipped: {why}");
    None
}

/// What a program prints as JSON for an input.
#[track_caller]
fn asked(sandbox: &Sandbox, mut command: Command, input: &str) -> Value {
    let mut child = command
        .current_dir(sandbox.root())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", sandbox.beside("home"))
        .env("CI", "1")
        .env("TURBO_TELEMETRY_DISABLED", "1")
        .env("DO_NOT_TRACK", "1")
        .env("NX_DAEMON", "false")
        .env("TURBO_SCM_BASE", "main")
        .env("TURBO_SCM_HEAD", "HEAD")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("it was piped");
    stdin.write_all(input.as_bytes()).expect("a short text");
    drop(stdin);
    let output = child.wait_with_output().expect("the program ends");
    let said = String::from_utf8_lossy(&output.stdout);
    let last = said.lines().last().unwrap_or_default();
    serde_json::from_str(&said)
        .or_else(|_| serde_json::from_str(last))
        .unwrap_or_else(|_| panic!("no JSON: {said}\n{}", String::from_utf8_lossy(&output.stderr)))
}

/// Imports a workspace, and commits what came of it.
#[track_caller]
fn imported(sandbox: &Sandbox, engine: &str) {
    let (code, out, said) = planner(sandbox, &["import", engine]);
    assert_eq!(code, 0, "{out}{said}");
    sandbox.commit("definitions");
}

/// The jobs that a plan of changed paths runs.
#[track_caller]
fn planned(sandbox: &Sandbox, changed: &[String]) -> Selected {
    let request = Request {
        dir: sandbox.root(),
        changes: ChangesFrom::List((changed.join("\n") + "\n").into_bytes()),
        ..Request::default()
    };
    let planned = plan(&request).unwrap_or_else(|error| panic!("no plan: {error:?}")).plan;
    let ids = planned.nodes().iter().map(|node| node.id.as_str());
    ids.filter_map(|id| id.strip_prefix("execute-")).map(str::to_owned).collect()
}

/// Compares for changes of single paths and of some pairs; returns how many agree exactly.
#[track_caller]
fn compare(
    sandbox: &Sandbox,
    seed: u64,
    sets: &[Vec<String>],
    real: &[Selected],
    may_be_more: fn(&[String]) -> bool,
) -> usize {
    let mut same = 0;
    for (changed, real) in sets.iter().zip(real) {
        let ours = planned(sandbox, changed);
        let less: Vec<&String> = real.difference(&ours).collect();
        assert!(less.is_empty(), "seed {seed}: {changed:?} does not run {less:?}");
        let more: Vec<&String> = ours.difference(real).collect();
        assert!(
            more.is_empty() || may_be_more(changed),
            "seed {seed}: {changed:?} also runs {more:?}"
        );
        same += usize::from(more.is_empty());
    }
    same
}

/// Every path by itself, and some pairs.
fn sets(paths: &[String], numbers: &mut Numbers) -> Vec<Vec<String>> {
    let mut sets: Vec<Vec<String>> = paths.iter().map(|path| vec![path.clone()]).collect();
    for _ in 0..3 {
        sets.push(vec![numbers.pick(paths).clone(), numbers.pick(paths).clone()]);
    }
    sets
}

const FILES: [&str; 4] = ["src/a.js", "src/gen/b.js", "README.md", "docs/deep/c.md"];

/// Packages `p0`, `p1`, … of an npm workspace that need each other; every file of them, and what
/// each needs.
fn packages(sandbox: &Sandbox, numbers: &mut Numbers) -> (Vec<String>, Vec<Vec<usize>>) {
    let count = 3 + numbers.below(3);
    let (mut paths, mut needs) = (Vec::new(), Vec::new());
    for at in 0..count {
        let own: Vec<usize> = (0..at).filter(|_| numbers.below(3) == 0).collect();
        let mut list = String::new();
        for need in &own {
            let comma = if list.is_empty() { "" } else { ", " };
            write!(list, "{comma}\"p{need}\": \"*\"").expect("a string");
        }
        let scripts = if numbers.below(4) == 0 {
            "\"build\": \"true\""
        } else {
            "\"build\": \"true\", \"test\": \"true\""
        };
        sandbox.write(
            format!("packages/p{at}/package.json"),
            format!(
                "{{\"name\": \"p{at}\", \"version\": \"1.0.0\", \"dependencies\": {{{list}}}, \
                 \"scripts\": {{{scripts}}}}}\n"
            ),
        );
        for file in FILES {
            let path = format!("packages/p{at}/{file}");
            sandbox.write(&path, "old\n");
            paths.push(path);
        }
        needs.push(own);
    }
    sandbox.write(
        "package.json",
        "{\"name\": \"root\", \"private\": true, \"packageManager\": \"npm@10.9.4\", \"workspaces\": [\"packages/*\"]}\n",
    );
    let links = (0..count).map(|at| {
        format!(
            ", \"node_modules/p{at}\": {{\"resolved\": \"packages/p{at}\", \"link\": true}}, \
             \"packages/p{at}\": {{\"version\": \"1.0.0\"}}"
        )
    });
    sandbox.write(
        "package-lock.json",
        format!(
            "{{\"name\": \"root\", \"lockfileVersion\": 3, \"requires\": true, \"packages\": {{\"\": \
             {{\"name\": \"root\", \"workspaces\": [\"packages/*\"]}}{}}}}}\n",
            links.collect::<String>()
        ),
    );
    for path in ["README.md", "shared.txt", "config/a.txt", "config/deep/b.txt"] {
        sandbox.write(path, "old\n");
        paths.push(path.to_owned());
    }
    sandbox.write(".gitignore", "node_modules\n.nx\n.turbo\n.moon/cache\n");
    (paths, needs)
}

/// The jobs of packages, from what a tool says of packages.
fn jobs_of(sandbox: &Sandbox, names: &[&str], tasks: &[&str]) -> Selected {
    let mut found = Selected::new();
    for name in names.iter().filter(|name| **name != "//") {
        let manifest = sandbox.root().join(format!("packages/{name}/package.json"));
        let manifest: Value =
            serde_json::from_str(&std::fs::read_to_string(manifest).expect("there")).expect("JSON");
        let has = |task: &&&str| manifest["scripts"].get(**task).is_some();
        found.extend(tasks.iter().filter(has).map(|task| format!("{name}-{task}")));
    }
    found
}

fn names(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn a_change_selects_what_turbo_selects() {
    let Some(there) = programs("monorepos") else { return };
    for seed in seeds(1) {
        let mut numbers = Numbers(seed);
        let sandbox = Sandbox::new();
        let (paths, _) = packages(&sandbox, &mut numbers);
        let global =
            *numbers.pick(&["shared.txt", "config/**", "config/*.txt", "config/{a,x}.txt"]);
        sandbox.write(
            "turbo.json",
            format!(
                "{{ // as people write it\n\"globalDependencies\": [\"{global}\"], \"tasks\": {{\"build\": \
                 {{\"dependsOn\": [\"^build\"], \"inputs\": [\"src/**\"]}}, \"test\": {{\"dependsOn\": [\"build\"]}}, \
                 \"dev\": {{\"persistent\": true}},}}}}\n"
            ),
        );
        sandbox.commit("workspace");
        imported(&sandbox, "turbo");
        sandbox.git(&["checkout", "-q", "-b", "topic"]);
        let mut few = sets(&paths, &mut numbers);
        // Each costs most of a second.
        while few.len() > 7 {
            few.remove(numbers.below(few.len()));
        }
        few.push(vec!["shared.txt".to_owned()]);
        few.push(vec!["config/deep/b.txt".to_owned()]);
        let mut real = Vec::new();
        for changed in &few {
            sandbox.git(&["reset", "-q", "--hard", "main"]);
            changed.iter().for_each(|path| sandbox.write(path, "new\n"));
            sandbox.commit("change");
            let mut command = Command::new(there.join("node_modules/.bin/turbo"));
            command.args(["run", "build", "test", "--affected", "--dry=json"]);
            let said = asked(&sandbox, command, "");
            real.push(jobs_of(&sandbox, &names(&said["packages"]), &["build", "test"]));
        }
        sandbox.git(&["checkout", "-q", "main"]);
        let same = compare(&sandbox, seed, &few, &real, |_| false);
        assert_eq!(same, few.len());
    }
}

#[test]
fn a_change_selects_what_nx_selects() {
    let Some(there) = programs("monorepos") else { return };
    for seed in seeds(2) {
        let mut numbers = Numbers(seed);
        let sandbox = Sandbox::new();
        let (mut paths, _) = packages(&sandbox, &mut numbers);
        let input = *numbers.pick(&["{workspaceRoot}/shared.txt", "{workspaceRoot}/config/**/*"]);
        sandbox.write(
            "nx.json",
            format!(
                "{{\"defaultBase\": \"main\", \"namedInputs\": {{\"default\": [\"{{projectRoot}}/**/*\", \"shared\"], \
                 \"shared\": [\"{input}\"], \"production\": [\"default\", \"!{{projectRoot}}/**/*.md\"]}}, \
                 \"targetDefaults\": {{\"build\": {{\"dependsOn\": [\"^build\"], \"inputs\": [\"production\", \"^production\"]}}}}}}\n"
            ),
        );
        let other = numbers.below(3);
        sandbox.write(
            "libs/d/project.json",
            format!(
                "{{\"name\": \"d\", \"implicitDependencies\": [\"p{other}\"], \"targets\": {{\"test\": {{\"command\": \"true\", \
                 \"inputs\": [\"{{workspaceRoot}}/README.md\"]}}}}}}\n"
            ),
        );
        sandbox.write("libs/d/x.txt", "old\n");
        paths.extend(["libs/d/x.txt", "nx.json", "package-lock.json"].map(str::to_owned));
        sandbox.commit("workspace");
        imported(&sandbox, "nx");
        std::os::unix::fs::symlink(there.join("node_modules"), sandbox.root().join("node_modules"))
            .expect("a link");
        let sets = sets(&paths, &mut numbers);
        let base = there.join("node_modules/nx/dist/src").display().to_string();
        let program = format!(
            "const {{ createProjectGraphAsync }} = require('{base}/project-graph/project-graph');\
             const {{ filterAffected }} = require('{base}/project-graph/affected/affected-project-graph');\
             const {{ calculateFileChanges }} = require('{base}/project-graph/file-utils');\
             (async () => {{ const sets = JSON.parse(require('fs').readFileSync(0, 'utf8'));\
             const graph = await createProjectGraphAsync(); const out = [];\
             for (const files of sets) {{ const found = await filterAffected(graph, calculateFileChanges(files, []));\
             out.push(Object.keys(found.nodes)); }}\
             console.log(JSON.stringify(out)); process.exit(0); }})()"
        );
        let mut command = Command::new("node");
        command.args(["-e", &program]);
        let said = asked(&sandbox, command, &serde_json::to_string(&sets).expect("texts"));
        let real = said.as_array().expect("a list").iter().map(|found| {
            let (own, packages): (Vec<&str>, Vec<&str>) =
                names(found).into_iter().partition(|name| *name == "d");
            let mut jobs = jobs_of(&sandbox, &packages, &["build", "test"]);
            jobs.extend(own.into_iter().map(|name| format!("{name}-test")));
            jobs
        });
        let real: Vec<Selected> = real.collect();
        let same = compare(&sandbox, seed, &sets, &real, |_| false);
        assert_eq!(same, sets.len());
    }
}

#[test]
fn a_change_selects_what_moon_selects() {
    let Some(there) = programs("monorepos") else { return };
    for seed in seeds(1) {
        let mut numbers = Numbers(seed);
        let sandbox = Sandbox::new();
        let mut paths = Vec::new();
        let count = 3 + numbers.below(3);
        sandbox.write(
            ".moon/workspace.yml",
            "projects: ['packages/*']\nvcs: { defaultBranch: main }\n",
        );
        for at in 0..count {
            for file in FILES {
                let path = format!("packages/p{at}/{file}");
                sandbox.write(&path, "old\n");
                paths.push(path);
            }
            let needs: Vec<String> =
                (0..at).filter(|_| numbers.below(3) == 0).map(|it| format!("p{it}")).collect();
            let inputs = *numbers.pick(&[
                "[src]",
                "['src/**/*', '!src/gen/**']",
                "['@group(sources)', '/shared.txt']",
                "['**/*.md']",
                "['{src,docs}/**/*.js', /config/a.txt]",
                "['*.md']",
            ]);
            sandbox.write(
                format!("packages/p{at}/moon.yml"),
                format!(
                    "dependsOn: [{}]\nfileGroups: {{ sources: ['src/*'] }}\ntasks:\n  \
                     build: {{ command: 'true', inputs: {inputs}, deps: ['^:build'] }}\n  \
                     test: {{ command: 'true', deps: ['~:build'] }}\n  \
                     serve: {{ command: 'true', preset: server }}\n",
                    needs.join(", ")
                ),
            );
        }
        for path in ["README.md", "shared.txt", "config/a.txt", "config/deep/b.txt"] {
            sandbox.write(path, "old\n");
            paths.push(path.to_owned());
        }
        sandbox.write(".gitignore", ".moon/cache\n");
        sandbox.commit("workspace");
        imported(&sandbox, "moon");
        let sets = sets(&paths, &mut numbers);
        let mut real = Vec::new();
        for changed in &sets {
            let mut command = Command::new(there.join("node_modules/.bin/moon"));
            command.args(["query", "affected", "--downstream", "deep"]);
            let input = serde_json::json!({ "files": changed }).to_string();
            let said = asked(&sandbox, command, &input);
            let tasks = said["tasks"].as_object().into_iter().flatten().map(|(task, _)| task);
            let tasks = tasks.filter(|task| !task.ends_with(":serve"));
            real.push(tasks.map(|task| task.replace(':', "-")).collect());
        }
        let same = compare(&sandbox, seed, &sets, &real, |_| false);
        assert_eq!(same, sets.len());
    }
}

/// The generator of taskgraph, and of each list of files what optimization leaves.
const TASKGRAPH: &str = "
import json, logging, sys
logging.disable(logging.CRITICAL)
from taskgraph.generator import TaskGraphGenerator
from taskgraph.optimize.base import _get_optimizations, registry, remove_tasks
from taskgraph.parameters import Parameters
import taskgraph.optimize.strategies
where = 'https://github.com/example/demo'
params = Parameters(strict=False, head_rev='0' * 39 + '1', base_rev='0' * 40, head_repository=where,
    base_repository=where, project='demo', level='1', files_changed=[], target_tasks_method='default',
    tasks_for='github-push', repository_type='git')
full = TaskGraphGenerator('taskcluster', params).target_task_graph
out = []
for files in json.load(sys.stdin):
    now = Parameters(strict=False, **{**dict(params), 'files_changed': files})
    removed = remove_tasks(target_task_graph=full, requested_tasks=set(full.tasks), params=now,
        optimizations=_get_optimizations(full, registry), do_not_optimize=set())
    out.append(sorted(set(full.tasks) - removed))
print(json.dumps(out))
";

#[test]
fn a_change_selects_what_taskgraph_selects() {
    let Some(there) = programs("validators") else { return };
    for seed in seeds(2) {
        let mut numbers = Numbers(seed);
        let sandbox = Sandbox::new();
        let paths = [
            "docs/a.md",
            "docs/deep/b.md",
            "src/a.c",
            "src/deep/b.c",
            "lib/x/y/z.c",
            "README.md",
            "a.toml",
            "deep/a.toml",
        ];
        let paths = paths.map(str::to_owned).to_vec();
        paths.iter().for_each(|path| sandbox.write(path, "old\n"));
        sandbox.write(
            "taskcluster/config.yml",
            "trust-domain: demo\ntask-priority: low\ntaskgraph: { repositories: { demo: { name: demo } } }\n\
             workers: { aliases: { linux: { provisioner: p, implementation: docker-worker, os: linux, worker-type: w } } }\n",
        );
        let patterns = [
            "docs",
            "docs/*",
            "docs/**",
            "src/*.c",
            "**/*.toml",
            "README.md",
            "src/**",
            "lib/x",
            "lib/*/y",
            "**",
            "l*b",
            "*/deep",
        ];
        for kind in ["build", "test"] {
            let mut text = "loader: taskgraph.loader.transform:loader\nkind-dependencies: [build]\n\
                 transforms: [taskgraph.transforms.run, taskgraph.transforms.task]\n\
                 task-defaults: { worker-type: linux, worker: { docker-image: { indexed: x.y }, max-run-time: 600 }, \
                 run: { using: run-task, command: make } }\ntasks:\n"
                .to_owned();
            if kind == "build" {
                text = text.replace("kind-dependencies: [build]\n", "");
            }
            for at in 0..4 {
                let list =
                    format!("['{}', '{}']", numbers.pick(&patterns), numbers.pick(&patterns));
                let when = match numbers.below(4) {
                    0 => String::new(),
                    1 => format!(", optimization: {{ skip-unless-changed: {list} }}"),
                    _ => format!(", when: {{ files-changed: {list} }}"),
                };
                let needs = if kind == "test" && numbers.below(2) == 0 {
                    format!(", dependencies: {{ it: build-t{} }}", numbers.below(4))
                } else {
                    String::new()
                };
                writeln!(text, "  t{at}: {{ description: {kind} {at}{when}{needs} }}")
                    .expect("a string");
            }
            sandbox.write(format!("taskcluster/kinds/{kind}/kind.yml"), text);
        }
        sandbox.commit("workspace");
        imported(&sandbox, "taskgraph");
        let sets = sets(&paths, &mut numbers);
        let mut command = Command::new(there.join("bin/python"));
        command.args(["-c", TASKGRAPH]);
        let said = asked(&sandbox, command, &serde_json::to_string(&sets).expect("texts"));
        let real = said.as_array().expect("a list").iter();
        let real: Vec<Selected> =
            real.map(|found| names(found).into_iter().map(str::to_owned).collect()).collect();
        let same = compare(&sandbox, seed, &sets, &real, |_| false);
        assert_eq!(same, sets.len());
    }
}
