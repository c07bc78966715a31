use std::collections::BTreeMap;

use globset::GlobBuilder;
use lanes::{FileError, Files, glob::Glob};

use super::*;

struct Tree(BTreeMap<String, String>);

impl ManifestTree for Tree {
    fn text(&self, path: &str) -> Result<Option<String>, PackagesError> {
        Ok(self.0.get(path).cloned())
    }

    fn matching(&self, glob: &str) -> Result<Vec<String>, PackagesError> {
        let glob = GlobBuilder::new(glob).literal_separator(true).build().expect("a glob");
        let matcher = glob.compile_matcher();
        Ok(self.0.keys().filter(|path| matcher.is_match(path)).cloned().collect())
    }
}

impl Files for Tree {
    fn read(&self, path: &str) -> Result<Option<Vec<u8>>, FileError> {
        Ok(self.0.get(path).map(|text| text.clone().into_bytes()))
    }

    fn matching(&self, _: &Glob) -> Result<Vec<String>, FileError> {
        Ok(Vec::new())
    }
}

/// Drafts, loads what was drafted, and returns each lane with its jobs' commands and its globs.
#[track_caller]
fn drafted(files: &[(&str, &str)]) -> (Vec<String>, String) {
    let mut tree =
        Tree(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect());
    let paths: Vec<String> = tree.0.keys().cloned().collect();
    let files = draft_of(&Project::new(&tree, paths.into_iter())).expect("a draft").files();
    lanes::read_invariants("ci/invariants.toml", &files.invariants).expect("good invariants");
    tree.0.insert("ci/forge-lanes.toml".to_owned(), files.manifest.clone());
    tree.0.insert("ci/catalog.toml".to_owned(), files.catalog.clone());
    tree.0.insert("ci/invariants.toml".to_owned(), files.invariants.clone());
    let catalog = lanes::load(&tree, "ci/forge-lanes.toml", "ci/catalog.toml")
        .unwrap_or_else(|found| panic!("{}\n{}\n{found}", files.manifest, files.catalog));
    for id in catalog.globs().ids() {
        let glob = Glob::new(catalog.globs().text(id)).expect("a glob");
        let some = tree.0.keys().any(|path| glob.is_match(path.as_bytes()));
        assert!(some, "a dead glob: {}\n{}", glob.as_str(), files.manifest);
    }
    let lanes = catalog.lane_indices().map(|lane| {
        let jobs: Vec<String> = catalog
            .jobs_of(lane)
            .iter()
            .map(|&job| {
                let spec = &catalog[job].spec;
                let dir =
                    spec.working_dir.as_ref().map(|dir| format!("{dir}: ")).unwrap_or_default();
                format!("{dir}{}", crate::render::words::command(&spec.command))
            })
            .collect();
        format!("{}: {}", catalog[lane].id, jobs.join("; "))
    });
    (lanes.collect(), files.manifest)
}

#[test]
fn a_cargo_workspace_gets_a_lane_per_package() {
    let (lanes, manifest) = drafted(&[
        ("Cargo.toml", "[workspace]\nmembers = ['a', 'b']\n"),
        ("Cargo.lock", ""),
        ("rustfmt.toml", ""),
        ("a/Cargo.toml", "[package]\nname = 'a'\n"),
        ("a/src/lib.rs", ""),
        ("b/Cargo.toml", "[package]\nname = 'b'\n"),
        ("b/src/lib.rs", ""),
    ]);
    assert_eq!(
        lanes,
        [
            "rust-a: cargo test --package a --locked",
            "rust-b: cargo test --package b --locked",
            "rust-format: cargo fmt --all -- --check",
        ]
    );
    assert!(manifest.contains("inputs = { cargo = [\"a\"] }\npaths = [\"@cargo\"]"), "{manifest}");
}

#[test]
fn a_package_at_the_root_and_one_below_are_both_found() {
    let (lanes, _) = drafted(&[("Cargo.toml", "[package]\nname = 'x'\n"), ("src/main.rs", "")]);
    assert_eq!(lanes, ["rust: cargo test --workspace"]);
    let (lanes, _) =
        drafted(&[("rs/x/Cargo.toml", "[package]\nname = 'x'\n"), ("rs/x/src/main.rs", "")]);
    assert_eq!(lanes, ["rust-rs-x: rs/x: cargo test --workspace"]);
}

#[test]
fn scripts_of_package_json_become_jobs() {
    let (lanes, _) = drafted(&[
        (
            "package.json",
            r#"{ "scripts": { "test": "node --test", "lint": "eslint ." }, "devDependencies": { "eslint": "9" } }"#,
        ),
        ("package-lock.json", "{}"),
        ("src/index.js", ""),
    ]);
    assert_eq!(lanes, ["node: sh: npm ci && npm run lint; sh: npm ci && npm run test"]);
    let (lanes, _) = drafted(&[
        ("package.json", r#"{ "private": true, "workspaces": ["js/*"] }"#),
        ("pnpm-lock.yaml", ""),
        ("js/a/package.json", r#"{ "name": "@x/a", "scripts": { "test": "node --test" } }"#),
        (
            "js/b/package.json",
            r#"{ "name": "@x/b", "scripts": { "test": "echo \"Error: no test specified\" && exit 1" } }"#,
        ),
    ]);
    assert_eq!(lanes, ["node-x-a: sh: pnpm --filter @x/a run test"]);
}

#[test]
fn python_go_and_recipes_are_found() {
    let (lanes, _) =
        drafted(&[("pyproject.toml", "[project]\nname='x'\n"), ("x.py", ""), ("tox.ini", "")]);
    assert_eq!(lanes, ["python: sh: tox"]);
    let (lanes, _) = drafted(&[("tests/test_x.py", ""), ("requirements.txt", "pytest\n")]);
    assert!(lanes[0].contains("pip install --quiet -r requirements.txt pytest"), "{lanes:?}");
    let (lanes, _) = drafted(&[
        ("go.mod", "module x"),
        ("x.go", ""),
        ("sub/go.mod", "module x/sub"),
        ("sub/y.go", ""),
    ]);
    assert_eq!(
        lanes,
        ["go: go vet ./...; go test ./...", "go-sub: sub: go vet ./...; sub: go test ./..."]
    );
    let (lanes, _) =
        drafted(&[("Makefile", "CC := cc\n.PHONY: test\ntest: build\n\ttrue\nlint:\n\ttrue\n")]);
    assert_eq!(lanes, ["make: make test; make lint"]);
    let (lanes, _) = drafted(&[("justfile", "check:\n  true\nrelease version:\n  true\n")]);
    assert_eq!(lanes, ["just: just check"]);
}

#[test]
fn a_manifest_that_cannot_be_read_is_a_note_and_the_rest_is_drafted() {
    let (lanes, manifest) = drafted(&[
        ("tests/fixtures/empty/package.json", ""),
        ("templates/new/Cargo.toml", "[package]\nname = {{name}}\n"),
        ("go.mod", "module x"),
        ("x.go", ""),
        ("web/package.json", r#"{ "name": "web", "scripts": { "test": "node --test" } }"#),
    ]);
    assert!(lanes.iter().any(|lane| lane.contains("go")), "{lanes:?}");
    assert!(lanes.iter().any(|lane| lane.contains("npm run test")), "{lanes:?}");
    for path in ["tests/fixtures/empty/package.json", "templates/new/Cargo.toml"] {
        assert!(manifest.contains(&format!("ignore_manifests = [\"{path}\"]")), "{manifest}");
    }
}

#[test]
fn nothing_recognised_still_makes_a_lane_that_runs() {
    let (lanes, manifest) = drafted(&[("notes.txt", "")]);
    assert_eq!(lanes, ["example: ls -la"]);
    assert!(manifest.contains("put the command that checks a change in its place"));
}
