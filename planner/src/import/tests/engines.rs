//! Definitions of each engine, and the lanes that they become.

use super::{
    super::{ImportError, Tree, azure, buildkite, circleci, prow, taskgraph, woodpecker},
    loaded,
};
use crate::init::draft::Draft;

type Import = fn(&Tree<'_>) -> Result<Draft, ImportError>;

/// Imports files of a tree; lanes as text, and both drafts.
#[track_caller]
fn imported(import: Import, files: &[(&str, &str)]) -> (Vec<String>, String, String) {
    let mut paths: Vec<String> = files.iter().map(|(path, _)| (*path).to_owned()).collect();
    paths.sort();
    let read = |path: &str| {
        files.iter().find(|(known, _)| *known == path).map(|(_, text)| (*text).to_owned())
    };
    let has_file = |glob: &str| {
        let glob = lanes::glob::Glob::new(glob).expect("a glob");
        paths.iter().any(|path| glob.is_match(path.as_bytes()))
    };
    let tree = Tree { paths: &paths, read: &read, has_file: &has_file };
    loaded(&import(&tree).expect("definitions"))
}

#[track_caller]
fn lanes(import: Import, files: &[(&str, &str)], expected: &[&str]) -> (String, String) {
    let (lanes, manifest, catalog) = imported(import, files);
    assert_eq!(lanes, expected, "{manifest}\n{catalog}");
    (manifest, catalog)
}

#[test]
fn buildkites_steps_are_lanes_by_what_they_are_for() {
    let (manifest, catalog) = lanes(
        buildkite::import,
        &[(
            ".buildkite/pipeline.yml",
            "env: { A: a, B: $A }\nsteps:\n\
             - { label: build, key: build, command: make, if_changed: 'src/**', soft_fail: [{ exit_status: 3 }] }\n\
             - label: unit\n  key: unit\n  commands: [make unit, 'echo $$HOME']\n  if_changed: [src/**]\n  \
             depends_on: build\n  retry: { automatic: [{ exit_status: 75, limit: 3 }] }\n\
             - { label: docs, command: make docs, soft_fail: true, timeout_in_minutes: 3, \
             if_changed: { include: ['**.md', 'docs/**'], exclude: docs/old/** } }\n\
             - wait\n\
             - { label: odd, command: x, if_changed: { exclude: x } }\n\
             - group: all\n  if_changed: g/**\n  steps:\n  - { label: in, command: y, if_changed: g/in/** }\n\
             - { label: deploy, command: z, concurrency_group: prod, concurrency: 1, branches: main }\n\
             - { label: gone, command: z, skip: true }\n\
             - { trigger: other }\n- { block: 'go on?' }\n\
             - { label: last, command: z, depends_on: unit, if_changed: '[a' }\n",
        )],
        &[
            r#"build-lane Some({"src/**"}) -{} build,unit"#,
            r#"docs-lane Some({"**/*.md", "docs/**"}) -{"docs/old/**"} docs"#,
            "odd-lane None -{} odd",
            r#"in-lane Some({"g/in/**"}) -{} in"#,
            "deploy-lane None -{} deploy",
            "last-lane None -{} last",
        ],
    );
    for said in [
        "after = [\"build-lane\", \"docs-lane\"]",
        "concurrency_group = \"prod\"",
        "the step `gone` is skipped",
        "triggers the pipeline `other`",
        "somebody had to go on at `go on?`",
        "`branches: main`",
        "which the agent cannot read",
    ] {
        assert!(manifest.contains(said), "{said}\n{manifest}");
    }
    for said in [
        "needs = [\"build\"]",
        "allow_failure = { exit_codes = [3] }",
        "allow_failure = true",
        "retries = 3",
        "retry_on = { exit_codes = [75] }",
        "echo $HOME",
        "timeout_secs = 180",
        "env = { A = \"a\" }",
    ] {
        assert!(catalog.contains(said), "{said}\n{catalog}");
    }
}

#[test]
fn matrices_and_parts_of_each_engine_are_ours() {
    let (_, catalog) = lanes(
        buildkite::import,
        &[(
            ".buildkite/pipeline.yml",
            "steps:\n\
             - { label: 'unit {{matrix}}', key: unit, command: 'make {{ matrix }}', matrix: [a, 'b c'], env: { V: 'v{{matrix}}' } }\n\
             - label: both\n  command: \"make '{{matrix.os}}' {{matrix.arch}} $$X\"\n  matrix:\n    \
             setup: { os: [linux, mac], arch: [arm, x86] }\n    adjustments:\n    \
             - { with: { os: mac, arch: x86 }, skip: true }\n    - { with: { os: plan9, arch: arm } }\n\
             - { label: soft, command: 'make {{matrix}}', matrix: { setup: [a], adjustments: [{ with: a, soft_fail: true }] } }\n\
             - { label: parts, command: make parts, parallelism: 3 }\n\
             - { label: after, command: make after, depends_on: unit }\n",
        )],
        &[
            "unit-lane None -{} unit-a,unit-b-c,both-linux-arm,both-linux-x86,both-mac-arm,both-plan9-arm,soft,parts-1,parts-2,parts-3,after",
        ],
    );
    for line in [
        "matrix = { value = [\"a\", \"b c\"] }\n",
        "description = \"unit ${{ matrix.value }}\"\n",
        "env = { V = \"v${{ matrix.value }}\" }\n",
        "make ${MATRIX_VALUE}\n",
        "make ''\"${MATRIX_OS}\"'' ${MATRIX_ARCH} $X\n",
        "(`soft_fail` of one combination)",
        "shards = 3\n",
        "export BUILDKITE_PARALLEL_JOB=$((FORGE_LANES_SHARD - 1)) BUILDKITE_PARALLEL_JOB_COUNT=\"$FORGE_LANES_SHARDS\"\n",
    ] {
        assert!(catalog.contains(line), "{line}\n{catalog}");
    }
    let (_, catalog) = lanes(
        circleci::import,
        &[(
            ".circleci/config.yml",
            "jobs:\n  test:\n    parameters: { v: { type: string }, os: { type: string, default: a } }\n    \
             parallelism: 2\n    steps: [checkout, { run: 'test << parameters.v >> << parameters.os >>' }]\n  \
             last: { steps: [{ run: last }] }\n\
             workflows:\n  all:\n    jobs:\n    \
             - test: { matrix: { alias: tests, parameters: { v: ['1', '2'], os: [a, b] }, exclude: [{ v: '2', os: b }] } }\n    \
             - test: { name: odd, matrix: { parameters: { v: [<< pipeline.parameters.v >>] } } }\n    \
             - last: { requires: [tests] }\n",
        )],
        &[
            "tests-lane None -{} tests-1-a-1,tests-1-a-2,tests-1-b-1,tests-1-b-2,tests-2-a-1,tests-2-a-2,test-1,test-2,last",
        ],
    );
    for line in ["test ${MATRIX_V} ${MATRIX_OS}\n", "(`v` holds more than texts)"] {
        assert!(catalog.contains(line), "{line}\n{catalog}");
    }
}

#[test]
fn woodpeckers_workflows_are_lanes_by_what_they_are_for() {
    let (manifest, catalog) = lanes(
        woodpecker::import,
        &[
            (
                ".woodpecker/test.yml",
                "when:\n- event: push\n- event: pull_request\n  path: [src/**, '*.toml']\n\
                 steps:\n  all: { image: rust, commands: [cargo test] }\n",
            ),
            (
                ".woodpecker/docs.yml",
                "depends_on: [lint]\nwhen: { event: pull_request, path: { include: ['docs/**'], exclude: ['docs/old/**'] } }\n\
                 steps:\n- { name: book, image: book, commands: make }\n",
            ),
            (
                ".woodpecker/lint.yml",
                "steps:\n- { name: install, image: node, commands: [npm ci] }\n\
                 - { name: web, image: node, commands: [npm run web], when: { path: web/** } }\n\
                 - { name: api, image: node, commands: [npm run api], when: [{ path: api/** }] }\n\
                 - { name: release, image: node, commands: [npm publish], when: [{ event: tag }] }\n",
            ),
            (".woodpecker/cron.yml", "when: { event: cron }\nsteps: { a: { commands: x } }\n"),
            (
                ".woodpecker/but.yml",
                "when: { path: { exclude: ['**/*.md'] } }\nsteps: { a: { commands: x } }\n",
            ),
        ],
        &[
            r#"but-lane Some({"**"}) -{"**/*.md"} but"#,
            "lint-lane None -{} lint",
            r#"lint-web-lane Some({"web/**"}) -{} lint-web"#,
            r#"lint-api-lane Some({"api/**"}) -{} lint-api"#,
            r#"docs-lane Some({"docs/**"}) -{} docs"#,
            "test-lane None -{} test",
        ],
    );
    assert!(manifest.contains("cron.yml is started by no change"), "{manifest}");
    assert!(manifest.contains("had to match too"), "{manifest}");
    assert!(catalog.contains("npm ci\n# api\nnpm run api"), "{catalog}");
    assert!(!catalog.contains("publish"), "{catalog}");
}

#[test]
fn prows_expressions_are_lanes() {
    let (manifest, _) = lanes(
        prow::import,
        &[(
            ".prow.yaml",
            "presubmits:\n\
             - { name: unit, run_if_changed: '^(cmd|pkg)/', optional: true, spec: { containers: [{ image: go, command: [make], args: [unit] }] } }\n\
             - { name: build, skip_if_only_changed: '^docs/|\\.md$', spec: { containers: [{ command: [make] }] } }\n\
             - { name: all, always_run: true, branches: [main], spec: { containers: [{ command: [make] }] } }\n\
             - { name: hand, always_run: false, spec: { containers: [{ command: [make] }] } }\n\
             - { name: odd, run_if_changed: '^(?!docs/)', spec: { containers: [{ command: [make] }] } }\n\
             postsubmits:\n- { name: push, run_if_changed: 'go\\.sum$', max_concurrency: 1, spec: { containers: [{ command: [make] }] } }\n\
             periodics:\n- { name: night, interval: 2h, spec: { containers: [{ command: [make] }] } }\n",
        )],
        &[
            r#"unit-lane Some({"cmd/**", "pkg/**"}) -{} unit"#,
            r#"build-lane Some({"**"}) -{"**/*.md", "docs/**"} build"#,
            "all-lane None -{} all",
            r#"odd-lane Some({"**"}) -{} odd"#,
            r#"push-lane Some({"**/*go.sum"}) -{} push"#,
            "night-lane None -{} night",
        ],
    );
    assert!(manifest.contains("or nothing starts, 1 of them"), "{manifest}");
    assert!(manifest.contains("is not understood here"), "{manifest}");
}

#[test]
fn circlecis_mapping_sets_what_workflows_ask_for() {
    let (manifest, catalog) = lanes(
        circleci::import,
        &[
            (
                ".circleci/config.yml",
                "setup: true\nworkflows:\n  setup:\n    jobs:\n    - path-filtering/filter:\n        \
                 mapping: |\n          api/.* api true\n          # nothing\n          web/.* web true\n          \
                 kind/.* kind \"big\"\n        exclude: |\n          .*\\.md\n",
            ),
            (
                ".circleci/continue_config.yml",
                "parameters:\n  api: { type: boolean, default: false }\n  web: { type: boolean, default: false }\n  \
                 kind: { type: string, default: small }\n  run: { type: boolean, default: false }\n\
                 jobs:\n  test: { docker: [{ image: 'cimg/go' }], steps: [checkout, { run: make test }] }\n\
                 workflows:\n  api: { when: << pipeline.parameters.api >>, jobs: [test] }\n  \
                 both: { when: { or: [<< pipeline.parameters.api >>, << pipeline.parameters.web >>] }, jobs: [test] }\n  \
                 big: { when: { equal: [big, << pipeline.parameters.kind >>] }, jobs: [test] }\n  \
                 not: { unless: << pipeline.parameters.api >>, jobs: [test] }\n  \
                 never: { when: << pipeline.parameters.run >>, jobs: [test] }\n  \
                 rest: { jobs: [test, { test: { name: late, requires: [test] } }, { hold: { type: approval } }] }\n",
            ),
        ],
        &[
            r#"api-test-lane Some({"api/**"}) -{"**/*.md"} api-test"#,
            r#"both-test-lane Some({"api/**", "web/**"}) -{"**/*.md"} both-test"#,
            r#"big-test-lane Some({"kind/**"}) -{"**/*.md"} big-test"#,
            r#"not-test-lane Some({"**"}) -{} not-test"#,
            "rest-test-lane None -{} rest-test,rest-late",
        ],
    );
    assert!(manifest.contains("the workflow `never` never runs"), "{manifest}");
    assert!(manifest.contains("somebody had to approve `hold`"), "{manifest}");
    assert!(catalog.contains("make test"), "{catalog}");
}

#[test]
fn circlecis_lines_keep_what_lines_before_them_said() {
    lanes(
        circleci::import,
        &[
            (
                ".circleci/config.yml",
                "setup: true\nworkflows: { s: { jobs: [{ path-filtering/filter: { mapping: \"a/.* x true .circleci/a.yml\\nb/.*\\n\", \
                 config-path: .circleci/none.yml } }] } }\n",
            ),
            (
                ".circleci/a.yml",
                "jobs: { a: { steps: [{ run: a }] } }\nworkflows: { w: { jobs: [a] } }\n",
            ),
            (
                ".circleci/none.yml",
                "jobs: { n: { steps: [{ run: n }] } }\nworkflows: { w: { jobs: [n] } }\n",
            ),
        ],
        &[r#"a-lane Some({"a/**", "b/**"}) -{} a"#, r#"n-lane Some({"**"}) -{"a/**", "b/**"} n"#],
    );
}

#[test]
fn azures_deeper_paths_decide() {
    let (manifest, _) = lanes(
        azure::import,
        &[
            (
                "azure-pipelines.yml",
                "pr:\n  paths:\n    include: [src, docs/api, '*.md']\n    exclude: [src/old, docs]\ntrigger: none\n\
                 stages:\n- stage: one\n  jobs:\n  - { job: a, steps: [{ script: make a }] }\n  \
                 - { job: b, dependsOn: a, steps: [{ bash: make b }], continueOnError: true }\n\
                 - stage: two\n  condition: eq(variables.x, 1)\n  jobs: [{ deployment: c, strategy: { runOnce: { deploy: { steps: [{ script: c }] } } } }]\n",
            ),
            (
                "other/azure-pipelines.yml",
                "trigger: { paths: { include: [src] } }\nsteps: [{ script: make }]\n",
            ),
        ],
        &[
            r#"one-a-lane Some({"*.md", "*.md/**", "src/**"}) -{"src/old/**"} one-a,one-b,two-c"#,
            r#"one-a-lane-2 Some({"docs/api/**"}) -{} one-a,one-b,two-c"#,
            "job-lane None -{} job",
        ],
    );
    assert!(manifest.contains("`pr: none` would say"), "{manifest}");
}

#[test]
fn taskgraphs_tasks_are_lanes_with_what_they_need() {
    let (manifest, catalog) = lanes(
        taskgraph::import,
        &[
            (
                "taskcluster/kinds/build/kind.yml",
                "task-defaults: { worker: { max-run-time: 600 }, when: { files-changed: [lib] } }\n\
                 tasks:\n  linux: { description: builds, run: { using: run-task, command: make } }\n  \
                 mac: { run: { using: run-task, command: make mac }, when: { files-changed: ['*.toml'] } }\n",
            ),
            ("taskcluster/kinds/test/kind.yml", "tasks-from: [unit.yml]\n"),
            (
                "taskcluster/kinds/test/unit.yml",
                "unit: { dependencies: { build: build-linux }, optimization: { skip-unless-changed: [src/*] }, \
                 run: { using: run-task, command: [make, unit] } }\n\
                 odd: { optimization: { index-search: [x] }, run: { using: run-task, command: odd } }\n",
            ),
            ("lib/a.c", ""),
        ],
        &[
            r#"build-linux-lane Some({"lib/**", "taskcluster/kinds/build/**"}) -{} build-linux"#,
            r#"build-mac-lane Some({"lib/**", "taskcluster/kinds/build/**", "{*.toml,*.toml/**}"}) -{} build-mac"#,
            r#"test-unit-lane Some({"src/**"}) -{} test-unit"#,
            "test-odd-lane None -{} test-odd",
        ],
    );
    assert!(manifest.contains("`optimization: index-search`"), "{manifest}");
    assert!(catalog.contains("needs = [\"build-linux\"]"), "{catalog}");
    assert!(catalog.contains("timeout_secs = 600"), "{catalog}");
}
