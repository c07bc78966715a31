//! `planner init` in throw-away repositories.

use std::fs;

use crate::sandbox::{Sandbox, planner};

#[test]
fn a_repository_without_commits_gets_definitions_that_check_and_plan() {
    let sandbox = Sandbox::new();
    sandbox.write("Makefile", "check:\n\t@echo checked\n");
    sandbox.write("ignored.log", "");
    sandbox.write(".gitignore", "*.log\n");
    let (code, out, said) = planner(&sandbox, &["init"]);
    assert_eq!((code, out.as_str()), (0, ""), "{said}");
    for name in ["forge-lanes", "catalog", "invariants"] {
        assert!(said.contains(&format!("wrote ci/{name}.toml")), "{said}");
    }
    let (code, out, said) = planner(&sandbox, &["check"]);
    assert_eq!(code, 0, "{out}{said}");
    sandbox.commit("first");
    let (code, out, said) = planner(&sandbox, &["plan"]);
    assert_eq!(code, 0, "{said}");
    assert!(out.contains("execute-make-check"), "{out}");
}

#[test]
fn nothing_is_overwritten_and_the_file_is_named() {
    for name in ["forge-lanes.toml", "catalog.toml", "invariants.toml"] {
        let sandbox = Sandbox::new();
        sandbox.write("Makefile", "check:\n");
        sandbox.write(format!("ci/{name}"), "mine");
        let (code, out, said) = planner(&sandbox, &["init"]);
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(said.contains(&format!("`ci/{name}` is there already")), "{said}");
        assert_eq!(fs::read_to_string(sandbox.root().join("ci").join(name)).unwrap(), "mine");
        assert_eq!(fs::read_dir(sandbox.root().join("ci")).unwrap().count(), 1);
    }
}

#[test]
fn a_workspace_of_packages_follows_its_manifests() {
    let sandbox = Sandbox::new();
    sandbox.write("Cargo.toml", "[workspace]\nmembers = ['a', 'b']\n");
    sandbox.write("a/Cargo.toml", "[package]\nname = 'a'\n[dependencies]\nb = { path = '../b' }\n");
    sandbox.write("a/src/lib.rs", "");
    sandbox.write("b/Cargo.toml", "[package]\nname = 'b'\n");
    sandbox.write("b/src/lib.rs", "");
    sandbox.commit("before");
    let (code, _, said) = planner(&sandbox, &["init"]);
    assert_eq!(code, 0, "{said}");
    let (code, out, said) = planner(&sandbox, &["check"]);
    assert_eq!(code, 0, "{out}{said}");
    sandbox.commit("definitions");
    sandbox.write("b/src/lib.rs", "//");
    sandbox.commit("b");
    let (_, out, _) = planner(&sandbox, &["plan", "--format", "human"]);
    assert!(out.contains("a -> b") && out.contains("rust-b"), "{out}");
}

#[test]
fn printing_writes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("go.mod", "module x\n");
    let (code, out, _) = planner(&sandbox, &["init", "--print"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("# ---- ci/forge-lanes.toml") && out.contains("\"go\", \"test\""),
        "{out}"
    );
    assert!(!sandbox.root().join("ci").exists());
}
