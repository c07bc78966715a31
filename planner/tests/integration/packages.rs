//! Lanes that name packages: what a change of files and of packages' manifests selects.

use planner::{Request, plan};
use plans::{Plan, Reason};

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
    let reason = |reason: &Reason| match reason {
        Reason::Paths(paths) => {
            format!("{} via {}", paths.glob, paths.via.as_deref().unwrap_or("itself"))
        }
        Reason::DefinitionChanged(_) => "definition".to_owned(),
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
    // Manifests whose change leaves the paths as they were.
    sandbox.write("Cargo.toml", "[workspace]\nmembers = ['crates/*']\nresolver = '3'\n");
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
fn a_manifest_of_a_package_that_cannot_be_read_is_told_where_inputs_need_it() {
    let sandbox = workspace();
    sandbox.write("crates/media/Cargo.toml", "[package\n");
    sandbox.commit("broken");
    for command in [&["plan"][..], &["check", "--format", "human"]] {
        let (code, out, err) = crate::sandbox::planner(&sandbox, command);
        let told = format!("{out}{err}");
        assert_eq!(code, if command[0] == "plan" { 2 } else { 1 }, "{told}");
        assert!(told.contains("error[bad_package_manifest]"), "{told}");
        assert!(told.contains("`crates/media/Cargo.toml` cannot be read"), "{told}");
        assert!(told.contains("ci/forge-lanes.toml:6:21"), "{told}");
    }
}

#[test]
fn a_base_whose_packages_cannot_be_read_makes_the_lanes_run_with_the_reason() {
    let sandbox = workspace();
    sandbox.write("crates/media/Cargo.toml", "[package\n");
    sandbox.commit("broken");
    sandbox.write("crates/media/Cargo.toml", "[package]\nname = 'media'\n");
    sandbox.commit("mended");
    let plan = planned(&sandbox);
    assert_eq!(plan.lanes().iter().filter(|lane| lane.selected).count(), 2);
}
