//! `planner import` in throw-away repositories.

use crate::sandbox::{Sandbox, planner};

#[test]
fn a_gitlab_pipeline_becomes_definitions_that_check_and_plan() {
    let sandbox = Sandbox::new();
    sandbox.write(
        ".gitlab-ci.yml",
        "include: /ci/*.yml\nunit:\n  script: make unit\n  rules:\n    - changes: ['src/**/*']\n",
    );
    sandbox.write("ci/docs.yml", "docs: { script: make docs, rules: [{ changes: [docs/**] }] }\n");
    sandbox.write("src/a/b.c", "");
    sandbox.write("docs/a.md", "");
    sandbox.write("docs/deep/b.md", "");
    sandbox.commit("project");
    let (code, out, said) = planner(&sandbox, &["import", "gitlab", "docs"]);
    assert_eq!(code, 0, "{out}{said}");
    let (code, out, said) = planner(&sandbox, &["check"]);
    assert_eq!(code, 0, "{out}{said}");
    sandbox.commit("definitions");
    for (path, lane) in [("src/a/b.c", "unit-lane"), ("docs/a.md", "docs-lane")] {
        let (code, out, said) = planner(&sandbox, &["explain", path]);
        assert_eq!(code, 0, "{said}");
        assert!(out.contains(lane), "{path}: {out}");
    }
    let manifest = std::fs::read_to_string(sandbox.root().join("ci/forge-lanes.toml")).unwrap();
    assert!(manifest.contains("paths = [\"docs/*\"]"), "{manifest}");
    let (code, _, said) = planner(&sandbox, &["import", "gitlab"]);
    assert_eq!(code, 2);
    assert!(said.contains("is there already"), "{said}");
}

#[test]
fn a_directory_without_a_pipeline_is_told_so() {
    let sandbox = Sandbox::new();
    sandbox.write("a.txt", "");
    let (code, _, said) = planner(&sandbox, &["import", "gitlab"]);
    assert_eq!(code, 2);
    assert!(said.contains("`.gitlab-ci.yml` cannot be imported: it is not in the tree"), "{said}");
}
