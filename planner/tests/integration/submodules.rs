//! Packages in submodules: followed where the submodule is on this machine, anything where it is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use plans::Plan;
use serde_json::Value;

use crate::{
    managers::{closure, in_tree, program, run},
    packages::selected_with,
    sandbox::{Sandbox, planner},
};

/// A repository with lanes for packages of a kind, and one that has nothing to do with them.
fn repository(kind: &str, names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    let lane = |id: &str, filter: &str| {
        format!("[[branch.lanes]]\nid = \"{id}\"\ncommand = [\"true\"]\n{filter}\n")
    };
    let of = |name: &&str| lane(name, &format!("inputs = {{ {kind} = [\"{name}\"] }}"));
    let lanes: String = names.iter().map(of).collect();
    let docs = lane("docs", "paths = [\"docs/**\"]");
    sandbox.write("ci/forge-lanes.toml", format!("version = 1\n{lanes}{docs}"));
    sandbox.write("docs/a", "1");
    sandbox
}

/// Makes a repository beside it and adds it as a submodule.
fn add(sandbox: &Sandbox, name: &str, path: &str, files: &[(&str, &str)]) {
    let other = sandbox.beside(name);
    for (file, text) in files {
        let file = other.join(file);
        fs::create_dir_all(file.parent().expect("a directory")).expect("a directory");
        fs::write(file, text).expect("a file");
    }
    sandbox.git_in(&other, &["init", "-q", "-b", "main"]);
    sandbox.git_in(&other, &["add", "-A"]);
    sandbox.git_in(&other, &["commit", "-q", "-m", "first"]);
    sandbox.git(&["submodule", "--quiet", "add", other.to_str().expect("text"), path]);
}

const LIBRARY: &[(&str, &str)] = &[
    (
        "Cargo.toml",
        "[package]\nname = \"lib0\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n\
         inner = { path = \"crates/inner\" }\n[workspace]\n",
    ),
    ("src/lib.rs", ""),
    (
        "crates/inner/Cargo.toml",
        "[package]\nname = \"inner\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n\
         tool = { path = \"../../../../tool\" }\n",
    ),
    ("crates/inner/src/lib.rs", ""),
];

/// `app` needs `lib0`, which is in a submodule and needs, by a package beside it, `tool` of the tree.
fn cargo_workspace() -> Sandbox {
    let sandbox = repository("cargo", &["app", "other"]);
    add(&sandbox, "library", "vendor/lib", LIBRARY);
    sandbox.write(
        "Cargo.toml",
        "[workspace]\nmembers = [\"app\", \"other\"]\nexclude = [\"vendor\", \"tool\"]\nresolver = \"2\"\n",
    );
    let package = |dir: &str, more: &str| {
        let manifest =
            format!("[package]\nname = \"{dir}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}");
        sandbox.write(format!("{dir}/Cargo.toml"), manifest);
        sandbox.write(format!("{dir}/src/lib.rs"), "");
    };
    package("app", "[dependencies]\nlib0 = { path = \"../vendor/lib\" }\n");
    package("other", "");
    package("tool", "");
    sandbox.commit("first");
    sandbox
}

#[track_caller]
fn planned(sandbox: &Sandbox) -> Vec<String> {
    let (code, out, err) =
        planner(sandbox, &["plan", "--format", "json", "--base-exact", "HEAD~1"]);
    assert_eq!(code, 0, "{out}{err}");
    let plan = Plan::from_json(out.as_bytes()).unwrap_or_else(|error| panic!("{error}: {out}")).0;
    selected_with(&plan, |of| format!("{of:?}"))
}

fn change(sandbox: &Sandbox, path: &str) {
    sandbox.write(path, "// changed");
    sandbox.commit(path);
}

/// Takes the submodule's files away, and, if asked, its repository.
fn leave(sandbox: &Sandbox, path: &str, repository_too: bool) {
    sandbox.git(&["submodule", "--quiet", "deinit", "-f", path]);
    if repository_too {
        let kept = sandbox.root().join(".git/modules").join(path);
        fs::remove_dir_all(kept).expect("git keeps it there");
    }
}

#[test]
fn a_package_that_a_submodule_needs_selects_who_needs_the_submodule() {
    let sandbox = cargo_workspace();
    change(&sandbox, "tool/src/lib.rs");
    assert_eq!(planned(&sandbox), ["app: tool/** via app -> lib0 -> inner -> tool"]);
    let (code, out, err) = planner(&sandbox, &["check"]);
    assert!(code == 0 && !out.contains("unfollowed_dependency"), "{out}{err}");
    // Git keeps the repository when the work tree goes.
    leave(&sandbox, "vendor/lib", false);
    assert_eq!(planned(&sandbox), ["app: tool/** via app -> lib0 -> inner -> tool"]);
    change(&sandbox, "docs/a");
    assert_eq!(planned(&sandbox), ["docs: docs/** via itself"]);
}

#[test]
fn a_submodule_that_is_not_here_makes_every_change_count_and_the_help_mends_it() {
    let sandbox = cargo_workspace();
    change(&sandbox, "docs/a");
    leave(&sandbox, "vendor/lib", true);
    let anything = "app: ** via app -> vendor/lib (a submodule that is not here)";
    assert_eq!(planned(&sandbox), [anything, "docs: docs/** via itself"]);
    let (code, out, err) = planner(&sandbox, &["check"]);
    assert_eq!(code, 0, "{out}{err}");
    for words in
        ["unfollowed_dependency", "`vendor/lib` is a submodule that is not here", "the lane `app`"]
    {
        assert!(out.contains(words), "{out}");
    }
    // What the finding says brings it.
    assert!(out.contains("git submodule update --init --recursive"), "{out}");
    sandbox.git(&["submodule", "--quiet", "update", "--init", "--recursive"]);
    assert_eq!(planned(&sandbox), ["docs: docs/** via itself"]);
    // So does the other way, which leaves it out whether it is here or not.
    let lanes = fs::read_to_string(sandbox.root().join("ci/forge-lanes.toml")).expect("there");
    sandbox.write(
        "ci/forge-lanes.toml",
        lanes.replace("version = 1\n", "version = 1\nignore_manifests = [\"vendor/lib/**\"]\n"),
    );
    sandbox.commit("there is nothing");
    for absent in [false, true] {
        if absent {
            leave(&sandbox, "vendor/lib", true);
        }
        change(&sandbox, if absent { "tool/src/lib.rs" } else { "docs/b" });
        let expected: &[&str] = if absent { &[] } else { &["docs: docs/** via itself"] };
        assert_eq!(planned(&sandbox), expected);
        let (_, out, err) = planner(&sandbox, &["check"]);
        assert!(!out.contains("unfollowed_dependency"), "{out}{err}");
        assert!(!out.contains("key_without_effect"), "{out}{err}");
    }
}

#[test]
fn a_submodule_in_a_submodule_is_followed_and_a_bump_of_the_outer_one_counts() {
    let sandbox = repository("cargo", &["app"]);
    let inner = sandbox.beside("inner");
    fs::create_dir_all(inner.join("src")).expect("a directory");
    let manifest = "[package]\nname = \"deep\"\nversion = \"0.1.0\"\n[dependencies]\n\
                    tool = { path = \"../../../tool\" }\n";
    fs::write(inner.join("Cargo.toml"), manifest).expect("a file");
    fs::write(inner.join("src/lib.rs"), "").expect("a file");
    sandbox.git_in(&inner, &["init", "-q", "-b", "main"]);
    sandbox.git_in(&inner, &["add", "-A"]);
    sandbox.git_in(&inner, &["commit", "-q", "-m", "first"]);
    let outer = sandbox.beside("outer");
    fs::create_dir_all(&outer).expect("a directory");
    sandbox.git_in(&outer, &["init", "-q", "-b", "main"]);
    sandbox.git_in(&outer, &["submodule", "--quiet", "add", inner.to_str().expect("text"), "deep"]);
    sandbox.git_in(&outer, &["commit", "-q", "-m", "first"]);
    sandbox.git(&["submodule", "--quiet", "add", outer.to_str().expect("text"), "vendor/outer"]);
    sandbox.git(&["submodule", "--quiet", "update", "--init", "--recursive"]);
    sandbox.write(
        "Cargo.toml",
        "[workspace]\nmembers = [\"app\"]\nexclude = [\"vendor\", \"tool\"]\n",
    );
    let manifest =
        "[package]\nname = \"app\"\n[dependencies]\ndeep = { path = \"../vendor/outer/deep\" }\n";
    sandbox.write("app/Cargo.toml", manifest);
    sandbox.write("tool/Cargo.toml", "[package]\nname = \"tool\"\n");
    sandbox.write("tool/src/lib.rs", "");
    sandbox.commit("first");
    change(&sandbox, "tool/src/lib.rs");
    assert_eq!(planned(&sandbox), ["app: tool/** via app -> deep -> tool"]);
    sandbox.git_in(
        &sandbox.root().join("vendor/outer"),
        &["commit", "-q", "--allow-empty", "-m", "x"],
    );
    sandbox.commit("bump");
    let bump = planned(&sandbox);
    assert!(bump.len() == 1 && bump[0].contains("vendor/outer (submodule)"), "{bump:?}");
}

/// Which directories of the tree a package reaches, as a tool says it, against the lane's filter.
#[track_caller]
fn filter_of(sandbox: &Sandbox, lane: &str) -> BTreeSet<String> {
    let (code, out, err) = planner(sandbox, &["list", "lanes", "--json"]);
    assert_eq!(code, 0, "{out}{err}");
    let value: Value = serde_json::from_str(&out).expect("JSON");
    let all = value.as_array().or_else(|| value["lanes"].as_array()).expect("lanes").clone();
    let of = all.iter().find(|it| it["id"] == lane).expect("the lane");
    let paths = of["paths"].as_array().expect("paths").iter();
    let text = |glob: &Value| glob.as_str().or_else(|| glob["glob"].as_str()).map(str::to_owned);
    paths.filter_map(text).collect()
}

#[test]
fn a_lane_has_the_directories_that_cargo_reaches_through_a_submodule() {
    let sandbox = cargo_workspace();
    let cargo = PathBuf::from(env!("CARGO"));
    let rustc = cargo.with_file_name("rustc");
    let home = sandbox.beside("home/cargo");
    let env =
        [("RUSTC", rustc.to_str().expect("text")), ("CARGO_HOME", home.to_str().expect("text"))];
    let text = run(&sandbox, "", &cargo, &["metadata", "--offline", "--format-version", "1"], &env)
        .expect("Cargo reads the workspace");
    let all: Value = serde_json::from_str(&text).expect("JSON");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let dirs: BTreeMap<String, String> = all["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|it| {
            let manifest = PathBuf::from(text(&it["manifest_path"]));
            let dir = manifest.parent().and_then(|dir| in_tree(&sandbox, dir));
            (text(&it["id"]), dir.expect("in the tree"))
        })
        .collect();
    let nodes = all["resolve"]["nodes"].as_array().expect("nodes");
    let edges: BTreeMap<String, BTreeSet<String>> = nodes
        .iter()
        .map(|node| {
            let deps = node["dependencies"].as_array().expect("a list");
            (text(&node["id"]), deps.iter().map(text).collect())
        })
        .collect();
    let app = dirs.iter().find(|(_, dir)| *dir == "app").expect("the package").0;
    let reached = closure(&edges, app).iter().map(|id| format!("{}/**", dirs[id])).collect();
    let mut filter = filter_of(&sandbox, "app");
    // The commit itself.
    assert!(filter.remove("vendor/lib"));
    assert_eq!(filter, reached);
}

#[test]
fn a_member_of_an_npm_workspace_that_is_in_a_submodule_leads_where_npm_links_it() {
    let sandbox = repository("npm", &["web", "other"]);
    add(
        &sandbox,
        "ui",
        "packages/ui",
        &[(
            "package.json",
            r#"{ "name": "ui", "version": "1.0.0", "dependencies": { "icons": "*" } }"#,
        )],
    );
    sandbox.write("package.json", r#"{ "private": true, "workspaces": ["packages/*"] }"#);
    for (name, dependencies) in
        [("web", r#"{ "ui": "*" }"#), ("icons", "{}"), ("other", r#"{ "icons": "*" }"#)]
    {
        let manifest = format!(
            r#"{{ "name": "{name}", "version": "1.0.0", "dependencies": {dependencies} }}"#
        );
        sandbox.write(format!("packages/{name}/package.json"), manifest);
        sandbox.write(format!("packages/{name}/index.js"), "1");
    }
    sandbox.write("packages/lone/package.json", r#"{ "name": "lone" }"#);
    sandbox.commit("first");
    if let Some(npm) = program("npm", "") {
        let args = ["install", "--offline", "--silent", "--no-package-lock", "--ignore-scripts"];
        run(&sandbox, "", &npm, &args, &[]).expect("npm links the workspace");
        let link = |name: &str| fs::read_link(sandbox.root().join("node_modules").join(name)).ok();
        assert_eq!(link("ui").as_deref(), Some(Path::new("../packages/ui")));
        assert_eq!(link("icons").as_deref(), Some(Path::new("../packages/icons")));
        fs::remove_dir_all(sandbox.root().join("node_modules")).expect("npm made it");
    }
    change(&sandbox, "packages/icons/index.js");
    assert_eq!(
        planned(&sandbox),
        [
            "web: packages/icons/** via web -> ui -> icons",
            "other: packages/icons/** via other -> icons"
        ]
    );
}
