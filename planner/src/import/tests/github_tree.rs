//! Workflows that use other files of the tree: composite actions with lists; matrices of lists; files that
//! cannot be read; names that are too long.

use crate::import::{Tree, github};

use super::loaded;

fn lanes(files: &[(&str, &str)]) -> (Vec<String>, String, String) {
    let read = |path: &str| {
        let known = files.iter().find(|(name, _)| *name == path);
        known.map(|(_, text)| (*text).to_owned())
    };
    let tree = Tree { paths: &[], read: &read, has_file: &|_| false };
    let workflows: Vec<(String, String)> = files
        .iter()
        .filter(|(name, _)| name.starts_with(".github/workflows/"))
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect();
    loaded(&github::import_from(&workflows, &tree).expect("workflows"))
}

#[test]
fn a_composite_action_of_the_tree_gives_its_lists_and_its_steps() {
    let action = r#"
name: changed files
inputs:
  more: { default: docs }
outputs:
  code: { value: "${{ steps.f.outputs.code == 'true' || inputs.more == 'all' }}" }
  docs: { value: "${{ steps.f.outputs.docs }}" }
runs:
  using: composite
  steps:
    - uses: dorny/paths-filter@v3
      id: f
      with: { filters: "{ code: ['src/**'], docs: ['docs/**'] }" }
"#;
    let setup = r#"
inputs: { kind: { default: debug }, path: {} }
runs:
  using: composite
  steps:
    - run: echo ${{ inputs.kind }} ${{ inputs.path }}
      shell: bash
    - if: inputs.kind == 'release'
      run: strip it
      shell: bash
    - uses: ./.github/actions/nested/
"#;
    let nested = "runs: { using: composite, steps: [{ run: 'echo nested', shell: sh }] }\n";
    let workflow = r#"
on: pull_request
jobs:
  changes:
    outputs: { code: "${{ steps.c.outputs.code }}", docs: "${{ steps.c.outputs.docs }}" }
    steps:
      - uses: actions/checkout@v4
      - { uses: ./.github/actions/changes, id: c }
  unit:
    needs: changes
    if: needs.changes.outputs.code == 'true'
    steps:
      - { uses: ./.github/actions/setup, with: { path: a b } }
      - run: make unit
  book:
    needs: changes
    if: needs.changes.outputs.docs != 'false'
    steps: [{ run: make book }]
  inside:
    steps:
      - { uses: ./.github/actions/changes, id: c, with: { more: all } }
      - { if: "steps.c.outputs.code == 'true'", run: make inside }
"#;
    let files = [
        (".github/workflows/ci.yml", workflow),
        (".github/actions/changes/action.yml", action),
        (".github/actions/setup/action.yaml", setup),
        (".github/actions/nested/action.yml", nested),
    ];
    let (shown, manifest, catalog) = lanes(&files);
    assert_eq!(
        shown,
        [
            "ci-code Some({\"src/**\"}) -{} ci-unit",
            "ci-docs Some({\"docs/**\"}) -{} ci-book",
            "ci None -{} ci-inside"
        ],
        "{manifest}"
    );
    for line in ["echo debug a b\n", "echo nested\n", "make unit\n", "make inside\n"] {
        assert!(catalog.contains(line), "{line}: {catalog}");
    }
    assert!(!catalog.contains("strip it\n"), "{catalog}");
    assert!(!catalog.contains("Not carried over: the action `./"), "{catalog}");
}

#[test]
fn a_matrix_of_the_lists_that_matched_is_a_job_for_each_list() {
    let workflow = r#"
on: pull_request
jobs:
  changes:
    outputs: { packages: "${{ steps.f.outputs.changes }}" }
    steps:
      - { uses: dorny/paths-filter@v3, id: f, with: { filters: "{ api: ['api/**'], web: ['web/**', 'shared/**'] }" } }
  build:
    name: build ${{ matrix.package }}
    needs: changes
    if: needs.changes.outputs.packages != '[]'
    strategy: { matrix: { package: "${{ fromJSON(needs.changes.outputs.packages) }}" } }
    steps: [{ run: "make -C ${{ matrix.package }}" }]
  publish:
    needs: build
    steps: [{ run: make publish }]
"#;
    let (shown, manifest, catalog) = lanes(&[(".github/workflows/ci.yml", workflow)]);
    assert_eq!(
        shown,
        [
            "ci-api Some({\"api/**\"}) -{} ci-build-api",
            "ci-web Some({\"shared/**\", \"web/**\"}) -{} ci-build-web",
            "ci-publish-lane Some({\"api/**\", \"shared/**\", \"web/**\"}) -{} ci-publish",
        ],
        "{manifest}"
    );
    assert!(manifest.contains("after = [\"ci-api\", \"ci-web\"]"), "{manifest}");
    assert!(catalog.contains("make -C api\n") && catalog.contains("make -C web\n"), "{catalog}");
    assert!(catalog.contains("description = \"build web\""), "{catalog}");
}

#[test]
fn a_static_matrix_is_ours_and_another_is_said() {
    let workflow = r#"
on: push
jobs:
  unit:
    name: unit ${{ matrix.os }} ${{ github.ref }}
    env: { VERSION: "v${{ matrix.version }}", TOKEN: "${{ secrets.TOKEN }}" }
    strategy:
      max-parallel: 2
      matrix:
        os: [linux, mac]
        version: [1, 2.5]
        exclude: [{ os: mac, version: 1 }, { os: windows }]
        include: [{ os: linux, extra: yes }, { os: windows, version: 3 }]
    steps:
      - { run: "make ${{ matrix.os }} '${{ matrix.extra }}'", env: { OS: "${{ matrix.os }}" } }
  nested:
    name: nested ${{ matrix.test.name }}
    strategy: { matrix: { test: [{ name: a }, { name: b }] } }
    steps: [{ run: "make ${{ matrix.test.name }}" }]
  made:
    strategy: { matrix: "${{ fromJSON(needs.unit.outputs.x) }}" }
    steps: [{ run: make }]
  after:
    needs: unit
    steps: [{ run: make after }]
"#;
    let (shown, manifest, catalog) = lanes(&[(".github/workflows/ci.yml", workflow)]);
    assert_eq!(
        shown,
        [
            "ci None -{} ci-unit-linux-1,ci-unit-linux-2.5,ci-unit-mac-2.5,ci-unit-windows-3,ci-nested,ci-made,ci-after"
        ],
        "{manifest}"
    );
    for line in [
        "matrix = { os = [\"linux\", \"mac\"], version = [\"1\", \"2.5\"] }\n",
        "matrix_exclude = [{ os = \"mac\", version = \"1\" }]\n",
        "matrix_include = [{ os = \"linux\", extra = \"yes\" }, { os = \"windows\", version = \"3\" }]\n",
        "env = { VERSION = \"v${{ matrix.version }}\" }\n",
        "export OS=''\"${MATRIX_OS}\"''\n",
        "make ${MATRIX_OS} ''\"${MATRIX_EXTRA}\"''\n",
        "description = \"unit ${{ matrix.os }} (github.ref)\"\n",
        "# Not carried over: `max-parallel` (line 8).\n",
        "here it runs once (`test` holds more than texts): write a job for each",
        "here it runs once (it is made while the workflow runs): write a job for each",
        "needs = [\"ci-unit\"]\n",
    ] {
        assert!(catalog.contains(line), "{line}\n{catalog}");
    }
}

#[test]
fn what_a_matrix_makes_is_called_like_nothing_else() {
    let matrix = "strategy: { matrix: { os: [linux, mac] } }, steps: [{ run: x }]";
    let text = format!(
        "on: push\njobs: {{ unit: {{ {matrix} }}, unit-linux: {{ steps: [{{ run: y }}] }} }}\n"
    );
    let other = format!("on: push\njobs: {{ mac: {{ {matrix} }} }}\n");
    let files = [
        (".github/workflows/ci.yml", text.as_str()),
        (".github/workflows/ci-unit.yml", other.as_str()),
    ];
    let (shown, ..) = lanes(&files);
    assert_eq!(
        shown,
        [
            "ci None -{} ci-unit-2-linux,ci-unit-2-mac,ci-unit-linux",
            "ci-unit None -{} ci-unit-mac-linux,ci-unit-mac-mac"
        ]
    );
}

#[test]
fn what_only_a_schedule_or_a_person_starts_is_no_lane_of_a_change() {
    let workflow = r#"
on: { push: {}, schedule: [{ cron: "0 3 * * *" }], workflow_dispatch: {} }
jobs:
  unit: { steps: [{ run: make unit }] }
  long: { if: "github.event_name == 'schedule'", steps: [{ run: make long }] }
  hand: { if: "github.event_name == 'workflow_dispatch'", steps: [{ run: make hand }] }
  both: { if: "github.event_name != 'schedule'", steps: [{ run: make both }] }
"#;
    let (shown, manifest, _) = lanes(&[(".github/workflows/ci.yml", workflow)]);
    assert_eq!(
        shown,
        [
            "ci None -{} ci-unit,ci-both",
            "ci-nightly None -{} ci-unit,ci-both",
            "ci-scheduled None -{} ci-long"
        ],
        "{manifest}"
    );
    assert!(
        manifest.contains("no change starts the job `hand` (line 6); it is left out."),
        "{manifest}"
    );
}

#[test]
fn files_that_one_job_keeps_for_another_are_taken_from_it() {
    let workflow = r#"
on: push
jobs:
  build:
    steps:
      - run: make
      - { uses: actions/upload-artifact@v4, with: { name: app, path: dist/ } }
      - { uses: actions/upload-artifact@v4, with: { name: report, path: "out/report.xml\nout/*" } }
      - { uses: actions/upload-artifact@v4, with: { name: odd, path: target/release/app } }
      - { uses: actions/upload-artifact@v4, with: { name: gone, path: "/tmp/${{ runner.os }}" } }
  each:
    strategy: { matrix: { os: [a, b] } }
    steps:
      - run: make
      - { uses: actions/upload-artifact@v4, with: { name: "app-${{ matrix.os }}", path: dist/ } }
  between: { needs: build, steps: [{ run: make }] }
  test:
    needs: [between, each]
    steps:
      - { uses: actions/download-artifact@v4, with: { name: app, path: ./vendor/dist } }
      - { uses: actions/download-artifact@v4, with: { name: report, path: vendor } }
      - { uses: actions/download-artifact@v4, with: { name: report } }
      - { uses: actions/download-artifact@v4, with: { name: odd, path: odd } }
      - { uses: actions/download-artifact@v4, with: { name: other, path: x } }
      - { uses: actions/download-artifact@v4, with: { pattern: app-*, path: all, merge-multiple: true } }
      - { uses: actions/download-artifact@v4, with: { pattern: app-*, path: apart } }
      - { uses: actions/download-artifact@v4, with: { name: app, run-id: 7 } }
      - run: make test
"#;
    let (_, _, catalog) = lanes(&[(".github/workflows/ci.yml", workflow)]);
    for line in [
        "artifacts = [\"dist/**\", \"out/report.xml\", \"out/**\", \"target/release/{app,app/**}\"]\n",
        "{ job = \"ci-build\", files = [\"dist/**\"], at = \"vendor/dist\" }",
        "{ job = \"ci-build\", files = [\"out/report.xml\", \"out/**\"], at = \".artifacts/2\" }",
        "{ job = \"ci-each\", files = [\"dist/**\"], at = \".artifacts/4\" }",
        "mkdir -p 'vendor'\ncp -R .artifacts/2/. 'vendor'\n",
        "cp -R .artifacts/3/. '.'\n",
        "mkdir -p 'all'\ncp -R .artifacts/4/*/. 'all'\n",
        "the artifact `gone` of `actions/upload-artifact@v4` (line 10): `/tmp/${{ runner.os }}` is no path",
        "the files of the artifact `odd` (line 23): `target/release/app` may be a file or a directory",
        "the files of the artifact `other` (line 24): no job that it needs keeps them",
        "the files of the artifacts `app-*` (line 26): the name of `app-${{ matrix.os }}` is made",
        "the artifact `app` of `actions/download-artifact@v4` (line 27): `run-id` says",
    ] {
        let flat = catalog.replace("\n# ", " ");
        assert!(catalog.contains(line) || flat.contains(line), "{line}\n{catalog}");
    }
    assert!(!catalog.contains("the action `actions/"), "{catalog}");
}

#[test]
fn values_go_from_steps_and_jobs_to_those_that_read_them() {
    let workflow = r#"
on: push
jobs:
  build:
    outputs:
      version: ${{ steps.v.outputs.version }}
      tag: v${{ steps.V.outputs.version }}-${{ steps.act.outputs.hash }}
      sha: ${{ github.sha }}
      unread: ${{ steps.v.outputs.version }}
    steps:
      - { id: v, run: 'echo "version=1" >>$GITHUB_OUTPUT' }
      - { id: act, uses: ./.github/actions/hash }
  each:
    strategy: { matrix: { os: [a, b] } }
    outputs: { os: "${{ steps.o.outputs.os }}" }
    steps: [{ id: o, run: 'echo "os=${{ matrix.os }}" >>$GITHUB_OUTPUT' }]
  read:
    needs: [build, each]
    env: { TAG: "${{ needs.build.outputs.tag }}", BOTH: "${{ secrets.A }}" }
    steps:
      - run: |
          echo "${{ needs.Build.outputs.VERSION }}" '${{ needs.build.outputs.tag }}' ${{ needs.build.outputs.sha }}
          echo ${{ needs.each.outputs.os }}
          echo ${{ env.TAG }} $GITHUB_SHA
  call: { needs: build, uses: ./.github/workflows/called.yml, with: { v: "${{ needs.build.outputs.version }}" } }
  last:
    needs: call
    steps: [{ run: 'echo ${{ needs.call.outputs.out }}' }]
"#;
    let action = "outputs: { hash: { value: '${{ steps.h.outputs.h }}' } }\n\
                  runs: { using: composite, steps: [{ id: h, shell: bash, run: 'echo h=2 >>$GITHUB_OUTPUT' }] }\n";
    let called = "on: { workflow_call: { inputs: { v: {} }, outputs: { out: { value: '${{ jobs.inner.outputs.x }}' } } } }\n\
                  jobs:\n  inner:\n    outputs: { x: '${{ steps.s.outputs.x }}' }\n    \
                  steps: [{ id: s, run: 'echo x=${{ inputs.v }} >>$GITHUB_OUTPUT' }]\n";
    let (_, _, catalog) = lanes(&[
        (".github/workflows/ci.yml", workflow),
        (".github/actions/hash/action.yml", action),
        (".github/workflows/called.yml", called),
    ]);
    for line in [
        "outputs = [\"version\", \"tag\"]\n",
        "STEP_V_VERSION=$(output_of 'version')\n",
        "STEP_ACT_H_H=$(output_of 'h')\n",
        "printf 'tag<<end_of_tag\\n%s\\nend_of_tag\\n' 'v'\"${STEP_V_VERSION}\"'-'\"${STEP_ACT_H_H}\" >>\"$FORGE_LANES_OUTPUT\"\n",
        "echo \"${NEEDS_CI_BUILD_VERSION}\" ''\"${NEEDS_CI_BUILD_TAG}\"'' ${{ needs.build.outputs.sha }}\n",
        "export TAG=''\"${NEEDS_CI_BUILD_TAG}\"''\n",
        "# Not carried over: the output `sha` (line 8): `${{ github.sha }}` is not made by a step",
        "# Not carried over: the output `os` (line 15): each combination has one of its own.",
        "put them into the script: `needs.build.outputs.sha` (line 21), `needs.each.outputs.os` (line 21), \
         `$GITHUB_SHA` (line 21).",
        "echo ${TAG} $GITHUB_SHA\n",
        "echo x=${NEEDS_CI_BUILD_VERSION} >>$GITHUB_OUTPUT\n",
        "a secret goes into `secrets`: `BOTH` (line 19).",
        "outputs = [\"x\"]\n",
        "echo ${NEEDS_CI_CALL_INNER_X}\n",
        "needs = [\"ci-build\", \"ci-each\"]\n",
    ] {
        let flat = catalog.replace("\n# ", " ");
        assert!(catalog.contains(line) || flat.contains(line), "{line}\n{catalog}");
    }
    assert!(!catalog.contains('\u{E000}') && !catalog.contains("unread"), "{catalog}");
}

#[test]
fn values_of_two_jobs_are_two_variables() {
    let job = |name: &str, output: &str| {
        format!(
            "  {name}: {{ outputs: {{ {output}: '${{{{ steps.s.outputs.v }}}}' }}, \
             steps: [{{ id: s, run: 'echo v=1 >>$GITHUB_OUTPUT' }}] }}\n"
        )
    };
    let read =
        "run: 'echo ${{ needs.build.outputs.docs_url }} ${{ needs.build-docs.outputs.url }}'";
    let workflow = format!(
        "on: push\njobs:\n{}{}  read: {{ needs: [build, build-docs], steps: [{{ {read} }}] }}\n",
        job("build", "docs_url"),
        job("build-docs", "url")
    );
    let (shown, _, catalog) = lanes(&[(".github/workflows/ci.yml", &workflow)]);
    assert_eq!(shown, ["ci None -{} ci-build,ci-build-docs-2,ci-read"]);
    let line = "echo ${NEEDS_CI_BUILD_DOCS_URL} ${NEEDS_CI_BUILD_DOCS_2_URL}\n";
    assert!(catalog.contains(line), "{catalog}");
}

#[test]
fn a_nightly_lane_waits_for_nightly_ones_alone() {
    let workflow = r#"
on: { pull_request: { paths: [fuzz/**] }, schedule: [{ cron: "0 3 * * *" }] }
jobs:
  fuzz: { if: "github.repository == 'a/b'", steps: [{ run: make fuzz }] }
  tell:
    needs: fuzz
    if: "always() && github.event_name == 'schedule' && needs.fuzz.result != 'success'"
    steps: [{ run: "make tell ${{ needs.fuzz.result }}" }]
"#;
    let (shown, manifest, _) = lanes(&[(".github/workflows/fuzz.yml", workflow)]);
    assert_eq!(
        shown,
        [
            "fuzz Some({\"fuzz/**\"}) -{} fuzz-fuzz",
            "fuzz-nightly None -{} fuzz-fuzz",
            "fuzz-scheduled None -{} fuzz-tell",
        ],
        "{manifest}"
    );
    assert!(manifest.contains("after = [\"fuzz-nightly\"]"), "{manifest}");
}

#[test]
fn a_job_that_reports_on_what_it_waits_for_runs_after_a_failure() {
    let workflow = r#"
on: push
jobs:
  unit: { steps: [{ run: make unit }] }
  tell: { needs: unit, if: failure(), steps: [{ run: make tell }] }
  clean: { needs: unit, if: "${{ always() }}", steps: [{ run: make clean }] }
  some: { needs: unit, if: "github.actor == 'a' && failure()", steps: [{ run: make some }] }
  either: { needs: unit, if: "github.actor == 'a' || vars.b && failure()", steps: [{ run: make either }] }
  not: { needs: unit, if: "!success()", steps: [{ run: make not }] }
  end: { needs: unit, if: "!cancelled()", steps: [{ run: make end }, { if: failure(), run: make sorry }] }
  good: { needs: unit, if: "success()", steps: [{ run: make good }] }
  told: { needs: unit, if: always(), steps: [{ run: "tell ${{ needs.unit.result }}" }] }
"#;
    let (_, _, catalog) = lanes(&[(".github/workflows/ci.yml", workflow)]);
    for (job, word) in [
        ("ci-tell", "failed"),
        ("ci-clean", "always"),
        ("ci-some", "failed"),
        ("ci-either", "always"),
        ("ci-not", "always"),
        ("ci-end", "always"),
        ("ci-good", ""),
        ("ci-told", ""),
    ] {
        let at = catalog.find(&format!("id = \"{job}\"")).expect("the job");
        let own = catalog[at..].split("\n\n").next().unwrap_or_default();
        let said = own.lines().find_map(|line| line.strip_prefix("run_if = "));
        assert_eq!(said.unwrap_or_default().trim_matches('"'), word, "{own}\n{catalog}");
        let open = ["ci-some", "ci-either"].contains(&job);
        let above = catalog[..at].rsplit("\n\n").next().unwrap_or_default();
        let above = above.rsplit("[[targets.jobs]]\n").nth(1).unwrap_or_default();
        assert_eq!(above.contains("Not decided"), open, "{above}\n{catalog}");
    }
}

#[test]
fn names_that_are_cut_short_stay_apart() {
    let stem = "a-workflow-with-a-name-of-more-than-forty-eight-letters";
    let file = format!(".github/workflows/{stem}.yml");
    let text = "on: push\njobs: { one: { steps: [{ run: x }] }, two: { steps: [{ run: y }] } }\n";
    let other = format!(".github/workflows/{stem}-too.yml");
    let (shown, ..) = lanes(&[(&file, text), (&other, text)]);
    assert_eq!(shown.len(), 2, "{shown:?}");
    let ids: std::collections::BTreeSet<&str> =
        shown.iter().flat_map(|lane| lane.split([' ', ','])).filter(|it| it.len() > 20).collect();
    assert_eq!(ids.len(), 6, "{shown:?}");
    assert!(ids.iter().all(|id| id.len() <= 64), "{shown:?}");
}

#[test]
fn a_workflow_that_cannot_be_read_is_said_and_the_others_are_there() {
    let files = [
        (".github/workflows/a.yml", "on: push\njobs: { one: { steps: [{ run: x }] } }\n"),
        (".github/workflows/b.yml", "on: push\njobs: [\n"),
    ];
    let (shown, manifest, _) = lanes(&files);
    assert_eq!(shown, ["a None -{} a-one"]);
    assert!(manifest.contains("# `.github/workflows/b.yml` cannot be imported: "), "{manifest}");
}
