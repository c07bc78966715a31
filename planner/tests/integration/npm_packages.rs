//! Lanes that name npm packages: what each manager links is followed.

use planner::{Request, plan};
use plans::{Plan, Reason};

use crate::sandbox::Sandbox;

const MANIFEST: &str = r#"
version = 1
[[branch.lanes]]
id = "web"
command = ["true"]
inputs = { npm = ["web"] }
[[branch.lanes]]
id = "docs"
command = ["true"]
paths = ["docs/**"]
"#;

fn repository(files: &[(&str, &str)]) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("ci/forge-lanes.toml", MANIFEST);
    for (path, text) in files {
        sandbox.write(path, text);
    }
    sandbox.commit("first");
    sandbox
}

fn planned(sandbox: &Sandbox) -> Plan {
    let request = Request { dir: sandbox.root(), ..Request::default() };
    plan(&request).expect("a plan").plan
}

/// Changes one file and returns why the lane `web` runs: the chains of dependencies.
#[track_caller]
fn change(sandbox: &Sandbox, path: &str, text: &str) -> Vec<String> {
    sandbox.write(path, text);
    sandbox.commit(path);
    let plan = planned(sandbox);
    let web = plan.lanes().iter().find(|lane| lane.id.as_str() == "web").expect("there");
    let reason = |reason: &Reason| match reason {
        Reason::Paths(paths) => paths.via.clone().unwrap_or_else(|| paths.glob.clone()),
        other => format!("{other:?}"),
    };
    web.reasons.iter().filter(|_| web.selected).map(reason).collect()
}

#[test]
fn a_workspace_pattern_with_an_extended_glob_has_members() {
    let sandbox = repository(&[
        ("package.json", r#"{ "private": true, "workspaces": ["apps/*", "packages/!(old)"] }"#),
        (
            "apps/web/package.json",
            r#"{ "name": "web", "dependencies": { "ui": "*", "old": "*" } }"#,
        ),
        ("packages/ui/package.json", r#"{ "name": "ui" }"#),
        ("packages/old/package.json", r#"{ "name": "old" }"#),
    ]);
    assert_eq!(change(&sandbox, "packages/ui/index.js", "2"), ["web -> ui"]);
    assert_eq!(change(&sandbox, "packages/old/index.js", "2"), [""; 0]);
}

#[test]
fn an_exclusion_that_comes_first_keeps_a_broken_fixture_out() {
    let sandbox = repository(&[
        ("pnpm-workspace.yaml", "packages:\n  - \"!**/fixtures/**\"\n  - \"**\"\n"),
        ("package.json", r#"{ "private": true }"#),
        ("web/package.json", r#"{ "name": "web" }"#),
        ("web/fixtures/broken/package.json", "{ broken on purpose"),
    ]);
    assert_eq!(change(&sandbox, "docs/a", "2"), [""; 0]);
    assert_eq!(change(&sandbox, "web/index.js", "2"), ["web"]);
}
