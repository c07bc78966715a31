use lanes::{Catalog, FileError, Files, glob::Glob};

use super::github;

mod engines;
mod github_tree;

struct Drafted {
    manifest: String,
    catalog: String,
}

impl Files for Drafted {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        let text = if path == "m" { &self.manifest } else { &self.catalog };
        Ok(Some(text.clone().into_bytes()))
    }

    fn matching(&self, _: &Glob) -> Result<Vec<String>, FileError> {
        Ok(Vec::new())
    }
}

/// Imports, loads what came out, and returns it with the texts.
#[track_caller]
fn imported(files: &[(&str, &str)]) -> (Catalog, Drafted) {
    let files: Vec<(String, String)> =
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let files = github::import(&files).expect("workflows").files();
    let drafted = Drafted { manifest: files.manifest, catalog: files.catalog };
    let catalog = lanes::load(&drafted, "m", "c")
        .unwrap_or_else(|found| panic!("{}\n{}\n{found}", drafted.manifest, drafted.catalog));
    (catalog, drafted)
}

/// Loads a draft of any importer; its lanes as text, its manifest and its catalog.
#[track_caller]
pub(super) fn loaded(draft: &crate::init::draft::Draft) -> (Vec<String>, String, String) {
    let files = draft.files();
    let drafted = Drafted { manifest: files.manifest, catalog: files.catalog };
    let catalog = lanes::load(&drafted, "m", "c")
        .unwrap_or_else(|found| panic!("{}\n{}\n{found}", drafted.manifest, drafted.catalog));
    (shown(&catalog), drafted.manifest, drafted.catalog)
}

/// Each lane with its globs and its jobs.
fn shown(catalog: &Catalog) -> Vec<String> {
    let lane = |lane: lanes::LaneIndex| {
        let filter = catalog.filter_text(&catalog[lane].filter);
        let jobs: Vec<&str> =
            catalog.jobs_of(lane).iter().map(|&job| catalog[job].id.as_str()).collect();
        format!("{} {:?} -{:?} {}", catalog[lane].id, filter.paths, filter.exclude, jobs.join(","))
    };
    catalog.lane_indices().map(lane).collect()
}

#[test]
fn a_workflow_with_paths_is_a_lane() {
    let (catalog, drafted) = imported(&[(
        ".github/workflows/rust.yml",
        r#"
name: Rust
on:
  pull_request:
    paths: ["rust/**", "**.toml", "!rust/docs/**"]
  push: { branches: [main] }
env: { CARGO_TERM_COLOR: always }
jobs:
  test:
    runs-on: ubuntu-latest
    timeout-minutes: 30
    steps:
      - uses: actions/checkout@v4
      - uses: Swatinem/rust-cache@v2
      - name: Test
        working-directory: rust
        run: |
          cargo test
          echo "it's done"
  lint:
    runs-on: macos-14
    needs: test
    steps: [{ run: cargo clippy }]
"#,
    )]);
    assert_eq!(
        shown(&catalog),
        [r#"rust Some({"**/*.toml", "rust/**"}) -{"rust/docs/**"} rust-test,rust-lint"#]
    );
    for expected in [
        "Taken from `pull_request`; not carried over: `push`.",
        "[[branch.lanes]]\nid = \"rust\"\ntitle = \"Rust\"\ntarget = \"rust\"",
    ] {
        assert!(drafted.manifest.contains(expected), "{}", drafted.manifest);
    }
    for expected in [
        "Not carried over: the action `Swatinem/rust-cache@v2` (line ",
        "Ran on macos-14",
        "timeout_secs = 1800",
        "needs = [\"rust-test\"]",
        "cd 'rust'\ncargo test\necho \"it's done\"\n",
        "env = { CARGO_TERM_COLOR = \"always\" }",
        "checkout = \"clone\"",
    ] {
        assert!(drafted.catalog.contains(expected), "{expected}:\n{}", drafted.catalog);
    }
}

#[test]
fn lists_of_a_paths_filter_step_are_lanes() {
    let (catalog, drafted) = imported(&[(
        "ci.yml",
        r#"
on: pull_request
jobs:
  changes:
    runs-on: ubuntu-latest
    outputs:
      backend: ${{ steps.filter.outputs.backend }}
      ui: ${{ steps.filter.outputs.frontend }}
    steps:
      - uses: actions/checkout@v4
      - uses: dorny/paths-filter@v3
        id: filter
        with:
          filters: |
            shared: &shared
              - 'shared/**'
            backend:
              - *shared
              - 'backend/**'
            frontend:
              - added|modified: 'ui/**/*.ts'
  backend:
    needs: changes
    if: needs.changes.outputs.backend == 'true'
    runs-on: ubuntu-latest
    steps: [{ run: make backend }]
  ui:
    needs: [changes, backend]
    if: ${{ needs.changes.outputs.ui == 'true' && github.actor != 'bot' }}
    runs-on: ubuntu-latest
    steps: [{ run: make ui }]
  always:
    runs-on: ubuntu-latest
    steps: [{ run: make lint }]
"#,
    )]);
    assert_eq!(
        shown(&catalog),
        [
            r#"ci-backend-lane Some({"backend/**", "shared/**"}) -{} ci-backend"#,
            r#"ci-frontend Some({"ui/**/*.ts"}) -{} ci-ui"#,
            r"ci None -{} ci-always",
        ]
    );
    assert!(
        drafted
            .manifest
            .contains("statuses = [\"added\", \"modified\", \"type_changed\", \"submodule\"]"),
        "{}",
        drafted.manifest
    );
    assert!(
        drafted.catalog.contains("Ran only if `${{ needs.changes.outputs.ui"),
        "{}",
        drafted.catalog
    );
    assert!(!drafted.catalog.contains("outputs.backend == 'true'"), "{}", drafted.catalog);
    assert!(drafted.catalog.contains("needs = [\"ci-backend\"]"), "{}", drafted.catalog);
}

#[test]
fn what_no_change_starts_is_named_and_left_out() {
    let (catalog, drafted) = imported(&[
        ("manual.yml", "on: workflow_dispatch\njobs: { a: { steps: [] } }\n"),
        (
            "docs.yml",
            "on: { push: { paths-ignore: ['docs/**', '[^a].md'] } }\njobs: { b: { steps: [{ run: 'true' }] } }\n",
        ),
    ]);
    assert_eq!(shown(&catalog), [r#"docs Some({"**"}) -{"docs/**"} docs-b"#]);
    assert!(drafted.manifest.contains("manual.yml is started by no change and no schedule"));
    assert!(drafted.manifest.contains("`![^a].md` has no exact counterpart and is left out"));
}

#[test]
fn schedules_are_nightly_lanes() {
    let (catalog, drafted) = imported(&[
        (
            ".github/workflows/ci.yml",
            "on:\n  pull_request: { paths: ['src/**'] }\n  schedule: [{ cron: '15 4 * * *' }]\n\
             jobs: { unit: { steps: [{ run: make }] } }\n",
        ),
        (
            "weekly.yml",
            "on: { schedule: [{ cron: '0 3 * * 1' }] }\njobs: { fuzz: { if: github.ref == 'main', steps: [{ run: make fuzz }] } }\n",
        ),
    ]);
    assert_eq!(
        shown(&catalog),
        [
            r#"ci Some({"src/**"}) -{} ci-unit"#,
            r"ci-nightly None -{} ci-unit",
            r"weekly None -{} weekly-fuzz"
        ]
    );
    let nightly = |id: &str| {
        let lane = catalog.lane(id).expect("a lane");
        catalog[lane].trigger == lanes::LaneTrigger::Nightly
    };
    assert!(!nightly("ci") && nightly("ci-nightly") && nightly("weekly"));
    assert_eq!(catalog.rules().nightly_schedule_utc.as_deref(), Some("04:15"));
    let said = "it started at `0 3 * * 1`; all nightly lanes start together.";
    assert!(drafted.manifest.contains(said), "{}", drafted.manifest);
    assert!(!drafted.manifest.contains("not carried over: `schedule`"), "{}", drafted.manifest);
}

#[test]
fn what_every_pattern_must_match_and_what_none_may() {
    let list = |with: &str, patterns: &str| {
        let workflow = format!(
            "on: pull_request\njobs:\n  changes:\n    outputs: {{ it: '${{{{ steps.f.outputs.it }}}}' }}\n    \
             steps:\n      - id: f\n        uses: dorny/paths-filter@v3\n        with:\n          {with}\n          \
             filters: |\n            it: [{patterns}]\n  unit:\n    needs: changes\n    \
             if: needs.changes.outputs.it == 'true'\n    strategy: {{ matrix: {{ os: [a, b] }} }}\n    \
             steps: [{{ run: make }}]\n"
        );
        let (catalog, drafted) = imported(&[("ci.yml", &workflow)]);
        assert!(
            drafted.catalog.contains("matrix = { os = [\"a\", \"b\"] }"),
            "{}",
            drafted.catalog
        );
        let wide = drafted.manifest.contains("`**` is wider");
        (shown(&catalog).remove(0), wide)
    };
    let every = "predicate-quantifier: every";
    let lane = |paths: &str, exclude: &str| {
        format!("ci-it Some({{{paths}}}) -{{{exclude}}} ci-unit-a,ci-unit-b")
    };
    assert_eq!(
        list(every, "'src/**', '!**/*.md', '!src/gen/**'"),
        (lane("\"src/**\"", "\"**/*.md\", \"src/gen/**\""), false)
    );
    assert_eq!(list(every, "'!**/*.md'"), (lane("\"**\"", "\"**/*.md\""), false));
    assert_eq!(list(every, "'src/**', '**/*.rs'"), (lane("\"src/**/*.rs\"", ""), false));
    // With `some`, the default, `!…` is true for nearly every path.
    assert_eq!(list("base: main", "'src/**', '!**/*.md'"), (lane("\"**\"", ""), true));
}

#[test]
fn a_file_that_is_no_workflow_is_named() {
    for text in ["", "a: [", "- a\n- b\n", "on: push\n"] {
        let files = [("x.yml".to_owned(), text.to_owned())];
        let error = github::import(&files).expect_err("no workflow").to_string();
        assert!(error.starts_with("`x.yml` cannot be imported: "), "{error}");
    }
}

/// The lanes of a workflow whose job `changes` has the lists, and whose job `it` has the condition.
#[track_caller]
fn by_condition(lists: &str, outputs: &str, condition: &str) -> Vec<String> {
    let workflow = format!(
        "on: [pull_request, push]\njobs:\n  changes:\n    outputs: {{ {outputs} }}\n    steps:\n      - id: f\n        \
         uses: dorny/paths-filter@v3\n        with:\n          filters: |\n            {lists}\n      \
         - id: decide\n        run: echo\n  it:\n    needs: changes\n    if: \"{condition}\"\n    \
         steps: [{{ run: make }}]\n"
    );
    let (catalog, _) = imported(&[("ci.yml", &workflow)]);
    let lanes = shown(&catalog)
        .into_iter()
        .map(|lane| lane.replace(" ci-changes,", " "))
        .filter(|lane| lane.ends_with(" ci-it"));
    lanes
        .map(|lane| lane.split_once(' ').expect("an id").1.trim_end_matches(" ci-it").to_owned())
        .collect()
}

#[test]
fn conditions_are_evaluated_and_never_narrowed() {
    let lists = "{ code: 'src/**', ci: 'Makefile', docs: 'docs/**' }";
    let out = |name: &str| format!("{name}: '${{{{ steps.f.outputs.{name} }}}}'");
    let plain =
        [out("code"), out("ci"), out("docs"), "forced: '${{ steps.decide.outputs.code }}'".into()]
            .join(", ");
    let but_docs = [r#"Some({"**"}) -{"docs/**"}"#];
    let always = ["None -{}"];
    let code = [r#"Some({"src/**"}) -{}"#];
    let both = [r#"Some({"Makefile", "src/**"}) -{}"#];
    let cases: &[(&str, &[&str])] = &[
        ("needs.changes.outputs.code == 'true'", &code),
        ("needs.changes.outputs.code", &always),
        ("fromJSON(needs.changes.outputs.code)", &code),
        ("needs.changes.outputs.code == 'TRUE' || needs.changes.outputs.ci == 'true'", &both),
        ("needs.changes.outputs.docs != 'true'", &but_docs),
        ("needs.changes.outputs.docs == 'false'", &but_docs),
        ("!(needs.changes.outputs.docs == 'true')", &but_docs),
        ("!(needs.changes.outputs.code != 'true' && needs.changes.outputs.ci != 'true')", &both),
        ("needs.changes.outputs.code == 'true' || needs.changes.outputs.forced == 'true'", &always),
        ("needs.changes.outputs.code == 'true' || github.event_name == 'pull_request'", &always),
        ("needs.changes.outputs.code == 'true' || github.event_name == 'schedule'", &code),
        (
            "needs.changes.outputs.code == 'true' || contains(github.event.pull_request.labels.*.name, 'ci')",
            &always,
        ),
        ("needs.changes.outputs.code == 'true' && github.actor != 'bot'", &code),
        ("needs.changes.outputs.forced == 'true'", &always),
        ("always() && needs.changes.outputs.code == 'true'", &code),
        (
            "!cancelled() && needs.changes.result == 'success' && needs.changes.outputs.code == 'true'",
            &code,
        ),
        ("success() && needs.changes.outputs.ci == 'true'", &[r#"Some({"Makefile"}) -{}"#]),
        ("failure()", &always),
        ("a ==== b", &always),
    ];
    for (condition, expected) in cases {
        assert_eq!(by_condition(lists, &plain, condition), *expected, "{condition}");
    }
    let joined = "x: \"${{ steps.f.outputs.code == 'true' || steps.f.outputs.ci == 'true' }}\"";
    assert_eq!(by_condition(lists, joined, "needs.changes.outputs.x == 'true'"), both);
    let negated = "x: \"${{ steps.f.outputs.docs != 'true' }}\"";
    assert_eq!(by_condition(lists, negated, "needs.changes.outputs.x == 'true'"), but_docs);
    let changes = "x: '${{ steps.f.outputs.changes }}'";
    assert_eq!(
        by_condition(lists, changes, "contains(fromJSON(needs.changes.outputs.x), 'code')"),
        code
    );
    assert_eq!(
        by_condition(lists, changes, "needs.changes.outputs.x != '[]'"),
        [r#"Some({"Makefile", "docs/**", "src/**"}) -{}"#]
    );
}

#[test]
fn a_gate_waits_for_what_runs_and_pulls_nothing_in() {
    let (catalog, drafted) = imported(&[(
        "ci.yml",
        r#"
on: pull_request
jobs:
  changes:
    outputs: { heavy: "${{ steps.f.outputs.heavy }}" }
    steps:
      - { id: f, uses: dorny/paths-filter@v3, with: { filters: "heavy: ['src/**']\n" } }
  heavy:
    needs: changes
    if: needs.changes.outputs.heavy == 'true'
    steps: [{ run: make heavy }]
  gate:
    needs: [changes, heavy]
    if: always()
    steps:
      - if: contains(needs.*.result, 'failure')
        run: exit 1
"#,
    )]);
    assert_eq!(
        shown(&catalog),
        [r#"ci-heavy-lane Some({"src/**"}) -{} ci-heavy"#, "ci-gate-lane None -{} ci-gate"]
    );
    assert!(drafted.manifest.contains("after = [\"ci-heavy-lane\"]"), "{}", drafted.manifest);
    assert!(!drafted.catalog.contains("needs ="), "{}", drafted.catalog);
    assert!(!drafted.catalog.contains("exit 1") && drafted.catalog.contains("argv = [\"true\"]"));
}

#[test]
fn order_decides_in_paths_and_in_what_is_ignored() {
    let lanes = |key: &str, list: &str| {
        let workflow = format!(
            "on: {{ push: {{ {key}: {list} }} }}\njobs: {{ j: {{ steps: [{{ run: make }}] }} }}\n"
        );
        let (catalog, _) = imported(&[("w.yml", &workflow)]);
        let lane = |lane: String| {
            lane.split_once(' ').expect("an id").1.trim_end_matches(" w-j").to_owned()
        };
        shown(&catalog).into_iter().map(lane).collect::<Vec<_>>()
    };
    assert_eq!(
        lanes("paths", "['a/**', '!a/README.md', 'b/**']"),
        [r#"Some({"a/**", "b/**"}) -{"a/README.md"}"#]
    );
    assert_eq!(
        lanes("paths-ignore", "['docs/**', '!docs/requirements.txt']"),
        [r#"Some({"**"}) -{"docs/**"}"#, r#"Some({"docs/requirements.txt"}) -{}"#]
    );
    for ignored in ["['/docs/**']", "['./docs/**']"] {
        assert_eq!(lanes("paths-ignore", ignored), [r#"Some({"**"}) -{}"#]);
    }
    assert_eq!(lanes("paths", "['src/**', '!/src/gen/**']"), [r#"Some({"src/**"}) -{}"#]);
    assert_eq!(
        lanes("paths-ignore", "['{docs,src}/**']"),
        [r#"Some({"**"}) -{"\\{docs,src\\}/**"}"#]
    );
}

#[test]
fn lists_may_stand_in_a_file_and_a_called_workflow_is_followed() {
    let files = [(
        "ci.yml".to_owned(),
        r#"
on: pull_request
jobs:
  changes:
    outputs: { src: "${{ steps.f.outputs.src }}" }
    steps: [{ id: f, uses: acme/paths-filter@v1, with: { filters: .github/filters.yml } }]
  call:
    needs: changes
    uses: ./.github/workflows/unit.yml
    with: { run: "${{ needs.changes.outputs.src == 'true' }}" }
"#
        .to_owned(),
    )];
    let read = |path: &str| match path {
        ".github/filters.yml" => Some("src: ['src/[id]/**', 'f{1..3}.txt']\n".to_owned()),
        ".github/workflows/unit.yml" => Some(
            "on: { workflow_call: { inputs: { run: { type: boolean } } } }\n\
             jobs: { unit: { if: inputs.run, steps: [{ run: make }] } }\n"
                .to_owned(),
        ),
        _ => None,
    };
    let tree = super::Tree { paths: &[], read: &read, has_file: &|_| false };
    let files = github::import_from(&files, &tree).expect("a workflow").files();
    let drafted = Drafted { manifest: files.manifest, catalog: files.catalog };
    let catalog = lanes::load(&drafted, "m", "c").expect("definitions");
    let lane = &catalog[catalog.lane_indices().next().expect("a lane")];
    assert_eq!(lane.id.as_str(), "ci-src");
    let globs: Vec<_> =
        lane.filter.paths.iter().flatten().map(|it| catalog.globs().text(it.glob)).collect();
    for path in ["src/i/a", "src/[id]/p.ts", "f2.txt"] {
        let hit = |glob: &&str| Glob::new(glob).expect("a glob").is_match(path.as_bytes());
        assert!(globs.iter().any(hit), "{path}: {globs:?}");
    }
}

#[test]
fn a_job_that_may_fail_is_allowed_to() {
    let (_, drafted) = imported(&[(
        "ci.yml",
        "on: push\njobs:\n  a: { runs-on: ubuntu-latest, continue-on-error: true, steps: [{ run: x }] }\n  \
         b: { runs-on: ubuntu-latest, continue-on-error: '${{ matrix.odd }}', steps: [{ run: x }] }\n",
    )]);
    assert_eq!(drafted.catalog.matches("allow_failure = true").count(), 1, "{}", drafted.catalog);
    assert!(drafted.catalog.contains("tolerated if `${{ matrix.odd }}`"), "{}", drafted.catalog);
}
