//! Lanes that name packages: what a change of files and of packages' manifests selects.

use std::collections::{BTreeMap, BTreeSet};

use planner::{Request, plan};
use plans::{DefinitionChanged, Plan, Reason};

use crate::sandbox::Sandbox;

const MANIFEST: &str = r#"
version = 1
[[branch.lanes]]
id = "desktop"
command = ["true"]
inputs = { cargo = ["desktop"] }
[[branch.lanes]]
id = "web"
command = ["true"]
inputs = { npm = ["web"] }
"#;

fn workspace() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("ci/forge-lanes.toml", MANIFEST);
    sandbox.write("Cargo.toml", "[workspace]\nmembers = ['crates/*']\n");
    let depends = "[package]\nname = 'desktop'\n[dependencies]\nmedia = { path = '../media' }\n";
    sandbox.write("crates/desktop/Cargo.toml", depends);
    sandbox.write("crates/media/Cargo.toml", "[package]\nname = 'media'\n");
    sandbox.write("crates/codec/Cargo.toml", "[package]\nname = 'codec'\n");
    sandbox.write("package.json", r#"{ "workspaces": ["js/*"] }"#);
    sandbox.write("js/web/package.json", r#"{ "name": "web", "devDependencies": { "ui": "*" } }"#);
    sandbox.write("js/ui/package.json", r#"{ "name": "ui" }"#);
    sandbox.commit("workspace");
    sandbox
}

fn planned(sandbox: &Sandbox) -> Plan {
    let request = Request { dir: sandbox.root(), ..Request::default() };
    plan(&request).expect("a plan").plan
}

/// The selected lanes, each with its reasons in short.
fn selected(plan: &Plan) -> Vec<String> {
    selected_with(plan, |_| "definition".to_owned())
}

/// The same, and what is said of a definition that changed.
pub(crate) fn selected_with(
    plan: &Plan,
    definition: impl Fn(&DefinitionChanged) -> String,
) -> Vec<String> {
    let reason = |reason: &Reason| match reason {
        Reason::Paths(paths) => {
            format!("{} via {}", paths.glob, paths.via.as_deref().unwrap_or("itself"))
        }
        Reason::DefinitionChanged(of) => definition(of),
        other => format!("{other:?}"),
    };
    let lanes = plan.lanes().iter().filter(|lane| lane.selected);
    lanes
        .map(|lane| {
            let reasons: Vec<String> = lane.reasons.iter().map(reason).collect();
            format!("{}: {}", lane.id, reasons.join(", "))
        })
        .collect()
}

#[test]
fn a_dependencys_file_selects_the_lane_and_the_reason_names_the_chain() {
    let sandbox = workspace();
    sandbox.write("crates/media/src/lib.rs", "");
    sandbox.write("js/ui/index.js", "");
    sandbox.commit("a change");
    assert_eq!(
        selected(&planned(&sandbox)),
        ["desktop: crates/media/** via desktop -> media", "web: js/ui/** via web -> ui"]
    );
    sandbox.write("crates/codec/src/lib.rs", "");
    sandbox.commit("a package that nobody names");
    assert!(selected(&planned(&sandbox)).is_empty());
}

#[test]
fn a_manifest_that_alters_the_derived_paths_changes_the_definition_of_that_lane_alone() {
    let sandbox = workspace();
    // The manifest of a dependency two steps away: the lane's paths grow by `crates/codec/**`.
    let grown = "[package]\nname = 'media'\n[dependencies]\ncodec = { path = '../codec' }\n";
    sandbox.write("crates/media/Cargo.toml", grown);
    sandbox.commit("media depends on codec");
    assert_eq!(
        selected(&planned(&sandbox)),
        ["desktop: crates/media/** via desktop -> media, definition"]
    );
    sandbox.write("crates/codec/src/lib.rs", "");
    sandbox.commit("codec");
    let chain = "desktop: crates/codec/** via desktop -> media -> codec";
    assert_eq!(selected(&planned(&sandbox)), [chain]);
    // A manifest whose change leaves paths and shared entries as they were.
    sandbox.write("Cargo.toml", "[workspace]\nmembers = ['./crates/*'] # all\n");
    sandbox.commit("the workspace's manifest");
    assert!(selected(&planned(&sandbox)).is_empty());
}

#[test]
fn a_package_that_there_is_not_is_told_with_the_nearest() {
    let sandbox = workspace();
    sandbox.write("ci/forge-lanes.toml", MANIFEST.replace("[\"desktop\"]", "[\"desktpo\"]"));
    sandbox.commit("a typing error");
    let request = Request { dir: sandbox.root(), ..Request::default() };
    let error = plan(&request).expect_err("no such package");
    let planner::PlanningError::Definitions(found) = error else { panic!("{error}") };
    let text = found.render(lanes::Style::PLAIN);
    for expected in [
        "error[unknown_package]",
        "no cargo package is called `desktpo`",
        "did you mean `desktop`?",
    ] {
        assert!(text.contains(expected), "{text}");
    }
    assert!(text.contains("ci/forge-lanes.toml:6:21"), "{text}");
}

#[test]
fn a_manifest_that_cannot_be_read_makes_the_lanes_that_need_it_run_and_no_others_stop() {
    let sandbox = workspace();
    sandbox.write("crates/media/Cargo.toml", "[package\n");
    sandbox.commit("broken");
    sandbox.write("docs/a", "");
    sandbox.commit("words");
    let chain = "desktop -> crates/media (its manifest cannot be read)";
    assert_eq!(selected(&planned(&sandbox)), [format!("desktop: ** via {chain}")]);
    let (code, out, err) = crate::sandbox::planner(&sandbox, &["plan"]);
    assert_eq!(code, 0, "{out}{err}");
    let note = "`crates/media/Cargo.toml` cannot be read";
    assert!(err.contains(note) && err.contains("for every change run: desktop"), "{err}");
    let (code, out, _) = crate::sandbox::planner(&sandbox, &["check", "--format", "human"]);
    assert_eq!(code, 1, "{out}");
    for expected in ["error[bad_package_manifest]", note, "ci/forge-lanes.toml:6:21"] {
        assert!(out.contains(expected), "{out}");
    }
}

/// Workspaces in which `app` needs `lib`: the manager, the lane's package, and the files.
type Files = &'static [(&'static str, &'static str)];
const APP_NEEDS_LIB: [(&str, &str, Files); 8] = [
    (
        "cargo",
        "app",
        &[
            (
                "Cargo.toml",
                "[workspace]\nmembers = ['app', 'lib']\n[workspace.dependencies]\nlib = { path = 'lib' }\n",
            ),
            (
                "app/Cargo.toml",
                "[package]\nname = 'app'\n[dependencies]\nlib = { workspace = true }\n",
            ),
            ("lib/Cargo.toml", "[package]\nname = 'lib'\n"),
        ],
    ),
    (
        "npm",
        "app",
        &[
            ("package.json", r#"{ "workspaces": ["app", "lib"] }"#),
            ("app/package.json", r#"{ "name": "app", "dependencies": { "lib": "*" } }"#),
            ("lib/package.json", r#"{ "name": "lib" }"#),
        ],
    ),
    (
        "npm",
        "app",
        &[
            ("package.json", "{}"),
            ("pnpm-workspace.yaml", "packages: [app, lib]\noverrides: { left: 'link:lib' }\n"),
            ("app/package.json", r#"{ "name": "app", "dependencies": { "left": "^1" } }"#),
            ("lib/package.json", r#"{ "name": "lib" }"#),
        ],
    ),
    (
        "go",
        "example.org/app",
        &[
            ("go.work", "go 1.22\nuse ./app\nuse ./lib\n"),
            ("app/go.mod", "module example.org/app\ngo 1.22\nrequire example.org/lib v1.0.0\n"),
            ("lib/go.mod", "module example.org/lib\ngo 1.22\n"),
        ],
    ),
    (
        "uv",
        "app",
        &[
            (
                "pyproject.toml",
                "[tool.uv.workspace]\nmembers = ['app', 'lib']\n[tool.uv.sources]\nlib = { workspace = true }\n",
            ),
            ("app/pyproject.toml", "[project]\nname = 'app'\ndependencies = ['lib']\n"),
            ("lib/pyproject.toml", "[project]\nname = 'lib'\n"),
        ],
    ),
    (
        "maven",
        "app",
        &[
            (
                "pom.xml",
                "<project><groupId>g</groupId><artifactId>all</artifactId><modules><module>app</module><module>lib</module></modules></project>",
            ),
            (
                "app/pom.xml",
                "<project><parent><groupId>g</groupId><artifactId>all</artifactId></parent><artifactId>app</artifactId><dependencies><dependency><groupId>g</groupId><artifactId>lib</artifactId></dependency></dependencies></project>",
            ),
            (
                "lib/pom.xml",
                "<project><parent><groupId>g</groupId><artifactId>all</artifactId></parent><artifactId>lib</artifactId></project>",
            ),
        ],
    ),
    (
        "gradle",
        ":app",
        &[
            ("settings.gradle", "include ':app', ':lib'\n"),
            ("app/build.gradle", "dependencies { implementation project(':lib') }\n"),
            ("lib/build.gradle", ""),
        ],
    ),
    (
        "dotnet",
        "app",
        &[
            ("Directory.Build.props", "<Project/>"),
            (
                "app/app.csproj",
                "<Project><ItemGroup><ProjectReference Include='../lib/lib.csproj'/></ItemGroup></Project>",
            ),
            ("lib/lib.csproj", "<Project/>"),
        ],
    ),
];

#[test]
fn a_change_of_what_a_broken_manifest_may_lead_to_or_hold_runs_the_lane() {
    for (key, package, files) in APP_NEEDS_LIB {
        let sandbox = Sandbox::new();
        let lane = "version = 1\n[[branch.lanes]]\nid = \"app\"\ncommand = [\"true\"]\n";
        let inputs = format!("{lane}inputs = {{ {key} = [\"{package}\"] }}\n");
        sandbox.write("ci/forge-lanes.toml", inputs);
        for (path, text) in files {
            sandbox.write(path, text);
        }
        sandbox.commit("whole");
        assert_eq!(selected_after(&sandbox, "docs/a", b""), 0, "{key}: words");
        // The package's own manifest may hold its name no longer, which is refused.
        for (broken, whole) in files.iter().filter(|(path, _)| !path.starts_with("app/")) {
            // A merge that went wrong, bytes that are no text, and nothing that can be understood.
            let conflict = format!("{whole}\n<<<<<<< main\n");
            for text in [conflict.as_bytes(), b"\xff\xfe", b"{ [( <no"] {
                assert_eq!(selected_after(&sandbox, broken, text), 1, "{key}: {broken} {text:?}");
                let content = [broken.as_bytes(), text].concat();
                let needed = selected_after(&sandbox, "lib/a", &content);
                assert_eq!(needed, 1, "{key}: what it needs, with {broken} {text:?}");
                assert_eq!(selected_after(&sandbox, broken, whole.as_bytes()), 1, "{key}: mended");
            }
        }
    }
}

/// How many lanes the change of one file selects; a plan that is refused leaves nothing out either.
fn selected_after(sandbox: &Sandbox, path: &str, content: &[u8]) -> usize {
    sandbox.write(path, content);
    sandbox.commit(path);
    match plan(&Request { dir: sandbox.root(), ..Request::default() }) {
        Ok(planned) => planned.plan.lanes().iter().filter(|lane| lane.selected).count(),
        Err(planner::PlanningError::Definitions(_)) => 1,
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_package_that_may_be_in_a_manifest_that_cannot_be_read_is_told_with_that() {
    let sandbox = workspace();
    sandbox.write("crates/desktop/Cargo.toml", "[pack");
    sandbox.commit("broken");
    let (code, _, err) = crate::sandbox::planner(&sandbox, &["plan"]);
    assert_eq!(code, 2, "{err}");
    let help = "it may be in what cannot be read: `crates/desktop/Cargo.toml`";
    assert!(err.contains("no cargo package is called `desktop`") && err.contains(help), "{err}");
}

#[test]
fn a_base_whose_packages_cannot_be_read_makes_the_lanes_run_with_the_reason() {
    let sandbox = workspace();
    sandbox.write("crates/media/Cargo.toml", "[package\n");
    sandbox.commit("broken");
    sandbox.write("crates/media/Cargo.toml", "[package]\nname = 'media'\n");
    sandbox.commit("mended");
    let plan = planned(&sandbox);
    let lanes = plan.lanes().iter().filter(|lane| lane.selected);
    assert_eq!(lanes.map(|lane| lane.id.as_str()).collect::<Vec<_>>(), ["desktop"]);
}

/// Which packages each package needs in the end, itself among them: the closure of direct edges.
fn closures(edges: &BTreeMap<String, BTreeSet<String>>) -> BTreeMap<String, BTreeSet<String>> {
    let closure = |from: &String| {
        let (mut all, mut waiting) = (BTreeSet::new(), vec![from.clone()]);
        while let Some(one) = waiting.pop() {
            if all.insert(one.clone()) {
                waiting.extend(edges.get(&one).into_iter().flatten().cloned());
            }
        }
        all
    };
    edges.keys().map(|from| (from.clone(), closure(from))).collect()
}

/// Holds what a change in each package's directory selects against what another tool says.
#[track_caller]
fn agrees(
    sandbox: &Sandbox,
    key: &str,
    dirs: &BTreeMap<String, String>,
    edges: &BTreeMap<String, BTreeSet<String>>,
) {
    let lanes = dirs.keys().enumerate().map(|(at, name)| {
        format!("[[branch.lanes]]\nid = \"l{at}\"\ntitle = {name:?}\ncommand = [\"true\"]\ninputs = {{ {key} = [{name:?}] }}\n")
    });
    sandbox.write("ci/forge-lanes.toml", format!("version = 1\n{}", lanes.collect::<String>()));
    sandbox.commit("lanes");
    let closures = closures(edges);
    for (changed, dir) in dirs {
        let path = format!("{dir}/src/file");
        let said =
            sandbox.planner_in(&sandbox.root(), &["plan", "--changed-files", "-"], path.as_bytes());
        let plan = said.plan();
        let selected = plan.lanes().iter().filter(|lane| lane.selected);
        let selected: BTreeSet<&str> = selected.map(|lane| lane.title.as_str()).collect();
        let expected: BTreeSet<&str> = dirs
            .keys()
            .filter(|name| closures.get(*name).is_some_and(|all| all.contains(changed)))
            .map(String::as_str)
            .collect();
        assert_eq!(selected, expected, "a change of {path}");
    }
}

#[test]
fn derived_paths_of_cargo_packages_are_what_cargo_metadata_says() {
    let sandbox = Sandbox::new();
    let package = |dir: &str, more: &str| {
        let name = dir.rsplit('/').next().expect("a name");
        sandbox.write(
            format!("{dir}/Cargo.toml"),
            format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}"
            ),
        );
        sandbox.write(format!("{dir}/src/lib.rs"), "");
    };
    sandbox.write(
        "Cargo.toml",
        "[workspace]\nresolver = \"2\"\nmembers = [\"crates/*\", \"tools/xtask\"]\n\
         exclude = [\"crates/left-out\"]\n\
         [workspace.dependencies]\ninherited = { path = \"crates/inherited\" }\n\
         short = { path = \"crates/renamed\", package = \"renamed\" }\n",
    );
    package(
        "crates/app",
        "[dependencies]\nnormal = { path = \"../normal\" }\ninherited.workspace = true\n\
         [dev-dependencies]\ndev = { path = \"../dev\" }\n\
         [build-dependencies]\nbuild = { path = \"../build\" }\n\
         [target.'cfg(windows)'.dependencies]\nwin = { path = \"../win\" }\n\
         [target.'cfg(unix)'.build-dependencies]\nunixy = { path = \"../unixy\" }\n",
    );
    package(
        "crates/normal",
        "[dependencies]\nother = { path = \"../aliased\", package = \"aliased\" }\n",
    );
    package("crates/inherited", "[dependencies]\nshort.workspace = true\n");
    package("crates/renamed", "[dependencies]\nleft-out = { path = \"../left-out\" }\n");
    package(
        "crates/left-out",
        "[workspace]\n[dependencies]\nvendored = { path = \"../../vendor/vendored\" }\n",
    );
    package("vendor/vendored", "");
    package(
        "crates/aliased",
        "[dependencies]\nmaybe = { path = \"../maybe\", optional = true }\n[features]\ndefault = []\n",
    );
    for leaf in ["dev", "build", "win", "unixy", "maybe", "alone"] {
        package(&format!("crates/{leaf}"), "");
    }
    package("tools/xtask", "[dependencies]\napp = { path = \"../../crates/app\" }\n");

    let output = std::process::Command::new("cargo")
        .args(["metadata", "--offline", "--format-version", "1", "--all-features"])
        .current_dir(sandbox.root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let root = sandbox.root().canonicalize().expect("a root");
    let (mut dirs, mut names, mut edges) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
    let packages = metadata["packages"].as_array().expect("a list");
    for package in packages {
        let dir = text(&package["manifest_path"]).replace("/Cargo.toml", "");
        let name = text(&package["name"]);
        names.insert(dir.clone(), name.clone());
        let inside = std::path::Path::new(&dir).strip_prefix(&root).expect("below the root");
        dirs.insert(name, inside.to_str().expect("UTF-8").to_owned());
    }
    for package in packages {
        let dependencies = package["dependencies"].as_array().expect("a list").iter();
        let to = dependencies.filter_map(|it| names.get(it["path"].as_str()?).cloned());
        edges.insert(text(&package["name"]), to.collect::<BTreeSet<_>>());
    }
    assert_eq!(dirs.len(), 14, "{dirs:?}");
    agrees(&sandbox, "cargo", &dirs, &edges);
}

#[test]
fn derived_paths_of_npm_workspaces_are_what_npms_lock_file_says() {
    let sandbox = Sandbox::new();
    let package = |dir: &str, text: &str| {
        sandbox.write(format!("{dir}/package.json"), text);
        sandbox.write(format!("{dir}/src/file"), "");
    };
    sandbox.write("package.json", r#"{ "name": "root", "workspaces": ["js/*", "apps/**"] }"#);
    package(
        "js/ui",
        r#"{ "name": "@acme/ui", "version": "1.2.0", "peerDependencies": { "@acme/icons": "^1.0.0" } }"#,
    );
    package("js/icons", r#"{ "name": "@acme/icons", "version": "1.0.0" }"#);
    package("js/tools", r#"{ "name": "tools", "version": "0.1.0" }"#);
    package("js/alone", r#"{ "name": "alone", "version": "0.1.0" }"#);
    package(
        "apps/deep/web",
        r#"{ "name": "@acme/web", "version": "1.0.0", "dependencies": { "@acme/ui": "^1.0.0" }, "devDependencies": { "tools": "*" } }"#,
    );
    package(
        "apps/cli",
        r#"{ "name": "cli", "version": "1.0.0", "optionalDependencies": { "tools": "file:../../js/tools" } }"#,
    );
    let npm = std::process::Command::new("npm")
        .args(["install", "--offline", "--package-lock-only", "--no-audit", "--no-fund"])
        .current_dir(sandbox.root())
        .output();
    let Ok(npm) = npm else { return };
    assert!(npm.status.success(), "{}", String::from_utf8_lossy(&npm.stderr));
    let lock = std::fs::read(sandbox.root().join("package-lock.json")).expect("a lock file");
    let lock: serde_json::Value = serde_json::from_slice(&lock).expect("JSON");
    let packages = lock["packages"].as_object().expect("packages");
    let linked: BTreeMap<&str, &str> = packages
        .iter()
        .filter(|(_, it)| it["link"] == true)
        .filter_map(|(at, it)| Some((at.strip_prefix("node_modules/")?, it["resolved"].as_str()?)))
        .collect();
    let (mut dirs, mut edges) = (BTreeMap::new(), BTreeMap::new());
    for (name, dir) in &linked {
        dirs.insert((*name).to_owned(), (*dir).to_owned());
        let of = |kind: &str| packages[*dir][kind].as_object().into_iter().flatten();
        let kinds = ["dependencies", "devDependencies", "optionalDependencies", "peerDependencies"];
        let to = kinds.iter().flat_map(|kind| of(kind)).map(|(to, _)| to.clone());
        edges
            .insert((*name).to_owned(), to.filter(|to| linked.contains_key(to.as_str())).collect());
    }
    assert_eq!(dirs.len(), 6, "{dirs:?}");
    agrees(&sandbox, "npm", &dirs, &edges);
}
