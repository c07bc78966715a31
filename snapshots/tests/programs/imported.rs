//! What `planner import` makes of definitions with values and files between jobs, steps that may fail
//! and steps after a failure, run: each job ends as it would where the definitions come from.

use std::collections::BTreeMap;

use crate::shell::Shell;

/// A repository with these files.
fn project(files: &[(&str, &str)]) -> Shell {
    let shell = Shell::new();
    for (path, text) in files {
        shell.write(path, text);
    }
    shell.does("git init -q && git add -A && git commit -qm first");
    shell
}

/// Imports and runs everything; how each node ended, and the logs.
#[track_caller]
fn ran(shell: &Shell, import: &str) -> (BTreeMap<String, String>, String) {
    shell.does(&format!(
        "planner {import} && git add -A && git commit -qm lanes && planner plan --all -o plan.json"
    ));
    let applied = shell.run("executor apply plan.json");
    let mut ended = BTreeMap::new();
    for line in applied.shown.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [word @ ("passed" | "failed" | "skipped"), node, ..] = words[..] {
            ended.insert(
                node.trim_start_matches("execute-").trim_end_matches(':').to_owned(),
                word.to_owned(),
            );
        }
    }
    let logs = shell.does("cat .forge-lanes/runs/*/nodes/*/*.log");
    (ended, format!("{}\n{logs}\n{}", applied.shown, shell.does("cat ci/catalog.toml")))
}

#[track_caller]
fn check(shell: &Shell, import: &str, expected: &[(&str, &str)], shown: &[&str], absent: &[&str]) {
    let (ended, text) = ran(shell, import);
    let expected: BTreeMap<String, String> =
        expected.iter().map(|(node, word)| ((*node).to_owned(), (*word).to_owned())).collect();
    assert_eq!(ended, expected, "{text}");
    for line in shown {
        assert!(text.lines().any(|it| it == *line), "no line {line:?} in\n{text}");
    }
    for line in absent {
        assert!(!text.lines().any(|it| it == *line), "a line {line:?} in\n{text}");
    }
}

const GITHUB: &str = r#"on: pull_request
env: { GREETING: hello }
defaults: { run: { working-directory: sub } }
jobs:
  build:
    runs-on: ubuntu-latest
    outputs:
      version: ${{ steps.v.outputs.version }}
      notes: ${{ steps.v.outputs.notes }}
      tag: v${{ steps.v.outputs.version }}
      unread: ${{ steps.v.outputs.version }}
    steps:
      - uses: actions/checkout@v4
      - name: the version
        id: v
        run: |
          echo "version=0" >>"$GITHUB_OUTPUT"
          echo "version=$(cat VERSION)" >>"$GITHUB_OUTPUT"
          { echo 'notes<<EOF'; echo one; echo 'it=two'; echo EOF; } >>$GITHUB_OUTPUT
          cd / && exit 0
      - run: mkdir dist && echo 'app ${{ steps.v.outputs.version }}' >dist/app
        working-directory: .
      - run: exit 3
        continue-on-error: true
      - uses: actions/upload-artifact@v4
        with: { name: app, path: dist/ }
  use:
    needs: build
    runs-on: ubuntu-latest
    env: { TAG: "${{ needs.build.outputs.tag }}" }
    steps:
      - uses: actions/checkout@v4
      - uses: actions/download-artifact@v4
        with: { name: app }
      - run: |
          test "$TAG" = v1.4
          test '${{ needs.build.outputs.notes }}' = "one
          it=two"
          test "$(cat ../app)" = 'app 1.4'
          echo "used $VERSION"
        env: { VERSION: "${{ needs.build.outputs.version }}" }
  broken:
    needs: build
    runs-on: ubuntu-latest
    steps:
      - run: exit 7
      - { if: always(), run: echo cleaned }
      - { if: failure(), run: echo sorry }
      - { if: "!cancelled() && failure()", run: "echo late; exit 9" }
      - run: echo never
  fine:
    runs-on: ubuntu-latest
    steps:
      - run: echo fine
      - { if: failure(), run: echo not-this }
      - { if: always(), run: echo swept }
  soft: { needs: build, continue-on-error: true, runs-on: ubuntu-latest, steps: [{ run: exit 1 }] }
  after: { needs: [broken, soft], if: always(), runs-on: ubuntu-latest, steps: [{ run: echo after }] }
  rescue: { needs: broken, if: failure(), runs-on: ubuntu-latest, steps: [{ run: echo rescue }] }
  gone: { needs: broken, runs-on: ubuntu-latest, steps: [{ run: echo gone }] }
"#;

#[test]
fn an_imported_workflow_passes_values_and_files_on_and_ends_as_it_did() {
    let shell = project(&[(".github/workflows/ci.yml", GITHUB), ("sub/VERSION", "1.4\n")]);
    let expected = [
        ("ci-build", "passed"),
        ("ci-use", "passed"),
        ("ci-broken", "failed"),
        ("ci-fine", "passed"),
        ("ci-soft", "failed"),
        ("ci-after", "passed"),
        ("ci-rescue", "passed"),
        ("ci-gone", "skipped"),
    ];
    let shown = ["used 1.4", "cleaned", "sorry", "late", "fine", "swept", "after", "rescue"];
    let kept = ["outputs = [\"version\", \"notes\", \"tag\"]", "allow_failure = true"];
    let shown: Vec<&str> = shown.into_iter().chain(kept).collect();
    check(&shell, "import github", &expected, &shown, &["never", "not-this", "gone"]);
}

const COMPOSITE: &str = r#"on: push
jobs:
  a:
    runs-on: ubuntu-latest
    outputs: { o: "${{ steps.c.outputs.o }}" }
    steps:
      - { id: c, uses: ./.github/actions/c, with: { w: "it's" } }
      - run: echo "got ${{ steps.c.outputs.o }}"
      - { if: failure(), uses: ./.github/actions/c, with: { w: no } }
  b:
    needs: a
    runs-on: ubuntu-latest
    env: { O: "${{ needs.a.outputs.o }}" }
    steps: [{ run: 'echo "b $O"' }]
"#;

const ACTION: &str = r#"inputs: { w: { default: d } }
outputs: { o: { value: "(${{ steps.i.outputs.v }})" } }
runs:
  using: composite
  steps:
    - id: i
      shell: bash
      run: |
        cat <<'EOF' >>"$GITHUB_OUTPUT"
        v=${{ inputs.w }} "$HOME" `id`
        EOF
        exit 0
    - { if: always(), shell: bash, run: "echo in ${{ inputs.w == 'no' }}" }
"#;

#[test]
fn an_action_of_the_tree_gives_its_values_and_runs_when_its_step_does() {
    let files = [(".github/workflows/ci.yml", COMPOSITE), (".github/actions/c/action.yml", ACTION)];
    let shell = project(&files);
    let expected = [("ci-a", "passed"), ("ci-b", "passed")];
    let shown = ["got (it's \"$HOME\" `id`)", "b (it's \"$HOME\" `id`)", "in false"];
    check(&shell, "import github", &expected, &shown, &["in true"]);
}

const GITLAB: &str = r#"stages: [build, test]
build:
  stage: build
  script: [mkdir -p dist/deep out, echo app >dist/deep/app, echo bin >tool, echo r >out/r.xml]
  artifacts: { paths: [dist/, tool, out/*.xml, "$CI_PROJECT_DIR/none.txt"], exclude: [dist/x] }
  rules: [{ changes: [src/**/*] }]
implicit:
  stage: test
  script: [cat dist/deep/app tool out/r.xml]
  rules: [{ changes: [src/**/*] }]
none:
  stage: test
  dependencies: []
  script: ["test ! -e tool"]
  rules: [{ changes: [src/**/*] }]
named:
  stage: test
  needs: [build]
  script: [test "$(cat tool)" = bin]
without:
  stage: test
  needs: [{ job: build, artifacts: false }]
  script: ["test ! -e tool"]
"#;

#[test]
fn files_of_gitlabs_jobs_are_where_they_were() {
    let gitlab = GITLAB.replace(", \"$CI_PROJECT_DIR/none.txt\"", "");
    let shell = project(&[(".gitlab-ci.yml", &gitlab), ("src/a", "a\n")]);
    let expected = ["build", "implicit", "none", "named", "without"].map(|node| (node, "passed"));
    let said = "# Not carried over: `artifacts:exclude`.";
    check(&shell, "import gitlab", &expected, &["app", "bin", "r", said], &[]);
}

const AFTERWARDS: &str = r#"stages: [a, b]
a: { stage: a, script: [mkdir o, echo 1 >o/f, exit 1], artifacts: { paths: [o], when: always } }
c: { stage: b, needs: [a], script: [echo cleaned, cat o/f], when: always }
d: { stage: b, needs: [a], script: [echo rescued], rules: [{ when: on_failure }] }
e: { stage: b, needs: [a], script: [echo e-ran] }
"#;

#[test]
fn gitlabs_jobs_run_after_a_failure_of_what_they_need() {
    let shell = project(&[(".gitlab-ci.yml", AFTERWARDS)]);
    let expected = [("a", "failed"), ("c", "passed"), ("d", "passed"), ("e", "skipped")];
    check(&shell, "import gitlab", &expected, &["cleaned", "1", "rescued"], &["e-ran"]);
}

const BUILDKITE: &str = r#"steps:
  - label: build
    key: build
    commands: ["mkdir -p dist/deep", "echo app >dist/deep/app", "echo $$((1 + 1)) >dist/n"]
    artifact_paths: ["dist/**/*"]
  - wait
  - label: all
    commands: ['buildkite-agent artifact download "dist/**/*" .', "cat dist/deep/app dist/n"]
  - label: below
    commands:
      - buildkite-agent artifact download dist/deep/app tmp/ --step build
      - test "$(cat tmp/dist/deep/app)" = app
  - label: odd
    commands: ["buildkite-agent artifact download 'x' . || true"]
"#;

#[test]
fn artifacts_of_buildkites_steps_are_downloaded_by_nobody_and_are_there() {
    let shell = project(&[(".buildkite/pipeline.yml", BUILDKITE)]);
    let expected = ["build", "all", "below", "odd"].map(|node| (node, "passed"));
    check(&shell, "import buildkite", &expected, &["app", "2"], &[]);
}

const CIRCLECI: &str = r#"version: 2.1
jobs:
  build:
    docker: [{ image: "cimg/base:current" }]
    steps:
      - checkout
      - run: mkdir -p out/bin && echo app >out/bin/app && echo v >out/version && cd / && exit 0
      - run: test -d out
      - persist_to_workspace: { root: out, paths: [bin, version] }
      - store_artifacts: { path: out/bin }
  use:
    docker: [{ image: "cimg/base:current" }]
    steps:
      - checkout
      - attach_workspace: { at: got }
      - run: cat got/bin/app got/version
      - run: exit 4
      - run: { command: echo always, when: always }
      - run: { command: echo failed, when: on_fail }
      - run: echo never
  tell: { docker: [{ image: "cimg/base:current" }], steps: [{ run: echo told }] }
workflows:
  all:
    jobs: [build, { use: { requires: [build] } }, { tell: { requires: [{ use: [failed] }] } }]
"#;

#[test]
fn a_workspace_of_circleci_passes_from_job_to_job() {
    let shell = project(&[(".circleci/config.yml", CIRCLECI)]);
    let expected = [("build", "passed"), ("use", "failed"), ("tell", "passed")];
    let shown = ["app", "v", "always", "failed", "told"];
    check(&shell, "import circleci", &expected, &shown, &["never"]);
}

const AZURE: &str = r#"pr: { paths: { include: [src] } }
jobs:
  - job: unit
    strategy:
      matrix: { linux: { os: linux, py: "3.9" }, mac: { os: mac, py: "3.12" } }
    steps:
      - script: echo "$(os) $PY" && cd / && exit 0
      - { bash: "exit 2", continueOnError: true }
      - { script: "echo always $(os)", condition: always() }
  - job: parts
    strategy: { parallel: 2 }
    steps: [{ script: 'echo "$SYSTEM_JOBPOSITIONINPHASE of $SYSTEM_TOTALJOBSINPHASE"' }]
"#;

const WOODPECKER: &str = r#"matrix: { GO: ["1.21", "1.22"], DB: [pg, my] }
steps:
  - name: build
    image: golang
    environment: { WITH: "${DB}" }
    commands: ['echo "go ${GO} $WITH $DB"', cd /, exit 0]
  - { name: soft, image: golang, failure: ignore, commands: [exit 3] }
  - { name: end, image: golang, commands: ["exit 4"] }
  - { name: tell, image: golang, commands: [echo told], when: [{ status: [failure] }] }
"#;

const STAGES: &str = r#"pr: [main]
stages:
- { stage: A, jobs: [{ job: a, steps: [{ bash: "exit 3" }] }] }
- { stage: B, condition: failed(), jobs: [{ job: b, steps: [{ script: echo b-ran }] }] }
- { stage: C, dependsOn: A, jobs: [{ job: c, steps: [{ script: echo c-ran }] }] }
- stage: D
  dependsOn: A
  condition: always()
  jobs:
  - { job: d, steps: [{ script: echo d-ran }] }
  - { job: e, dependsOn: d, steps: [{ script: echo e-ran }] }
"#;

#[test]
fn stages_of_azure_run_after_a_failure_where_they_say_so() {
    let shell = project(&[("azure-pipelines.yml", STAGES)]);
    let expected = [
        ("A-a", "failed"),
        ("B-b", "passed"),
        ("C-c", "skipped"),
        ("D-d", "passed"),
        ("D-e", "passed"),
    ];
    check(&shell, "import azure", &expected, &["b-ran", "d-ran", "e-ran"], &["c-ran"]);
}

#[test]
fn matrices_of_azure_and_woodpecker_are_ours() {
    let shell = project(&[("azure-pipelines.yml", AZURE), ("src/a", "a\n")]);
    let expected = ["unit-linux-3.9", "unit-mac-3.12", "parts-1", "parts-2"];
    let expected = expected.map(|node| (node, "passed"));
    let shown = ["linux 3.9", "mac 3.12", "always mac", "always linux", "1 of 2", "2 of 2"];
    check(&shell, "import azure", &expected, &shown, &[]);
    let shell = project(&[(".woodpecker/ci.yml", WOODPECKER)]);
    let expected = ["ci-1.21-pg", "ci-1.21-my", "ci-1.22-pg", "ci-1.22-my"];
    let expected = expected.map(|node| (node, "failed"));
    let shown = ["go 1.21 pg pg", "go 1.22 my my", "told"];
    check(&shell, "import woodpecker", &expected, &shown, &[]);
}
