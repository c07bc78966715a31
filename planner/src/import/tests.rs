use lanes::{Catalog, FileError, Files, glob::Glob};

use super::github;

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
        "Not carried over: the action `Swatinem/rust-cache@v2`.",
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
        drafted.manifest.contains("statuses = [\"added\", \"modified\"]"),
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
            "on: { push: { paths-ignore: ['docs/**', 'x?.md'] } }\njobs: { b: { steps: [{ run: 'true' }] } }\n",
        ),
    ]);
    assert_eq!(shown(&catalog), [r#"docs Some({"**"}) -{"docs/**"} docs-b"#]);
    assert!(drafted.manifest.contains("manual.yml is started by no change and no schedule"));
    assert!(drafted.manifest.contains("`!x?.md` has no counterpart and is left out."));
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
        assert!(drafted.catalog.contains("Ran once for each of `os: a, b`"), "{}", drafted.catalog);
        let wide = drafted.manifest.contains("`**` is wider");
        (shown(&catalog).remove(0), wide)
    };
    let every = "predicate-quantifier: every";
    let lane =
        |paths: &str, exclude: &str| format!("ci-it Some({{{paths}}}) -{{{exclude}}} ci-unit");
    assert_eq!(
        list(every, "'src/**', '!**/*.md', '!src/gen/**'"),
        (lane("\"src/**\"", "\"**/*.md\", \"src/gen/**\""), false)
    );
    assert_eq!(list(every, "'!**/*.md'"), (lane("\"**\"", "\"**/*.md\""), false));
    assert_eq!(list(every, "'src/**', '**/*.rs'"), (lane("\"**\"", ""), true));
    // With `some`, the default, `!…` is true for nearly every path.
    assert_eq!(list("base: main", "'src/**', '!**/*.md'"), (lane("\"**\"", ""), true));
}

#[test]
fn a_file_that_is_no_workflow_is_named() {
    for text in ["", "a: [", "- a\n- b\n", "on: push\n"] {
        let files = [("x.yml".to_owned(), text.to_owned())];
        let error = github::import(&files).expect_err("no workflow").to_string();
        assert!(error.starts_with("`x.yml` is not a workflow: "), "{error}");
    }
}
