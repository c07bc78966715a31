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

#[test]
fn tarballs_links_and_overrides_select_the_lane_with_the_chain() {
    let sandbox = repository(&[
        (
            "package.json",
            r#"{ "private": true, "workspaces": ["pk/*"], "pnpm": { "overrides": { "left": "link:./pk/left-fork" } } }"#,
        ),
        (
            "pk/web/package.json",
            r#"{ "name": "web", "dependencies": { "left": "^1", "t": "file:../../vendor/t.tgz", "a": "link:../../assets" } }"#,
        ),
        ("pk/left-fork/package.json", r#"{ "name": "left-fork" }"#),
        ("assets/x", "1"),
        ("vendor/t.tgz", "1"),
    ]);
    let fork = "web -> left (left-fork, by overrides)";
    assert_eq!(change(&sandbox, "pk/left-fork/index.js", "2"), [fork]);
    assert_eq!(change(&sandbox, "assets/x", "2"), ["web -> a (assets)"]);
    assert_eq!(change(&sandbox, "vendor/t.tgz", "2"), ["web -> t (vendor/t.tgz)"]);
    assert_eq!(change(&sandbox, "vendor/u.tgz", "2"), [""; 0]);
}

#[test]
fn a_catalog_entry_that_changes_affects_exactly_who_uses_it() {
    let catalog = "packages: ['p/*']\ncatalog:\n  react: ^18\n  vue: ^3\n";
    let sandbox = repository(&[
        ("pnpm-workspace.yaml", catalog),
        ("package.json", r#"{ "private": true }"#),
        ("p/web/package.json", r#"{ "name": "web", "dependencies": { "react": "catalog:" } }"#),
        ("p/api/package.json", r#"{ "name": "api", "dependencies": { "vue": "catalog:" } }"#),
    ]);
    let vue = catalog.replace("vue: ^3", "vue: ^4");
    assert_eq!(change(&sandbox, "pnpm-workspace.yaml", &vue), [""; 0]);
    let react = vue.replace("react: ^18", "react: ^19");
    let reasons = change(&sandbox, "pnpm-workspace.yaml", &react);
    assert!(reasons.len() == 1 && reasons[0].contains("catalog default: react"), "{reasons:?}");
    let root = r#"{ "private": true, "description": "words" }"#;
    assert_eq!(change(&sandbox, "package.json", root), [""; 0]);
    let root = r#"{ "private": true, "engines": { "node": "24" } }"#;
    assert_eq!(change(&sandbox, "package.json", root).len(), 1);
}

#[test]
fn an_entry_of_a_lock_file_selects_whose_closure_holds_it() {
    let lock = |sum: &str, other: &str| {
        format!(
            r#"{{ "name": "root", "lockfileVersion": 3, "packages": {{
            "": {{ "workspaces": ["p/*"] }},
            "p/web": {{ "name": "web", "dependencies": {{ "debug": "4" }} }},
            "p/api": {{ "name": "api", "dependencies": {{ "vue": "3" }} }},
            "node_modules/web": {{ "resolved": "p/web", "link": true }},
            "node_modules/api": {{ "resolved": "p/api", "link": true }},
            "node_modules/debug": {{ "version": "4.3.4", "dependencies": {{ "ms": "2" }} }},
            "node_modules/ms": {{ "version": "2.1.2", "integrity": "{sum}" }},
            "node_modules/vue": {{ "version": "3.0.0", "integrity": "{other}" }} }} }}"#
        )
    };
    let sandbox = repository(&[
        ("package.json", r#"{ "private": true, "workspaces": ["p/*"] }"#),
        ("p/web/package.json", r#"{ "name": "web", "dependencies": { "debug": "4" } }"#),
        ("p/api/package.json", r#"{ "name": "api", "dependencies": { "vue": "3" } }"#),
        ("package-lock.json", &lock("sha512-a", "sha512-b")),
    ]);
    assert_eq!(change(&sandbox, "package-lock.json", &lock("sha512-a", "sha512-c")), [""; 0]);
    let reasons = change(&sandbox, "package-lock.json", &lock("sha512-d", "sha512-c"));
    assert!(reasons.len() == 1 && reasons[0].contains("web -> debug -> ms"), "{reasons:?}");
    let reasons = change(&sandbox, "package-lock.json", "{");
    assert!(reasons.len() == 1 && reasons[0].contains("package-lock.json"), "{reasons:?}");
}

#[test]
fn a_template_that_no_workspace_has_stops_nothing() {
    let sandbox = repository(&[
        ("js/package.json", r#"{ "private": true, "workspaces": ["*"] }"#),
        ("js/web/package.json", r#"{ "name": "web" }"#),
        ("templates/new/package.json", r#"{ "name": {{name}} }"#),
        ("tests/fixtures/empty/package.json", ""),
    ]);
    assert_eq!(change(&sandbox, "docs/a", "2"), [""; 0]);
    assert_eq!(change(&sandbox, "js/web/index.js", "2"), ["web"]);
}
