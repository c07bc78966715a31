//! `planner check` on the worked example, in a tree of its repository's layout and size.
//!
//! The tree is made of the manifest's own globs, a file for each, except for those that are to be
//! dead; so the numbers are known: 271 globs in ten branch lanes, 809 files, 4 dead globs,
//! 2 shadowed ones, 68 files that nothing covers.

use lanes::LintLevel;
use planner::check::Findings;

use crate::check::Tree;

const MANIFEST: &str = include_str!("../../../lanes/examples/pika/forge-lanes.toml");
const CATALOG: &str = include_str!("../../../lanes/examples/pika/catalog.toml");

/// Each is in one lane alone, and no other glob matches what it does but `rust/**`.
const DEAD: [&str; 4] = [
    "docs/testing/wrapper-deprecation-policy.md",
    "pikachat-openclaw/scripts/run-scenario.sh",
    "rust/tests/e2e_calls.rs",
    "just/agent.just",
];
const FILES: usize = 809;
const UNCOVERED: usize = 68;

const EXPECTED: [&str; 9] = [
    "pre-merge-agent-contracts",
    "pre-merge-fixture-rust",
    "pre-merge-notifications",
    "pre-merge-pika-followup",
    "pre-merge-pika-rust",
    "pre-merge-pikachat-openclaw-e2e",
    "pre-merge-pikachat-rust",
    "pre-merge-pikachat-typescript",
    "pre-merge-rmp",
];

fn repository() -> Tree {
    let mut tree = Tree::default();
    let mut add = |path: &str, text: &str| tree.0.insert(path.to_owned(), text.to_owned());
    add("ci/forge-lanes.toml", MANIFEST);
    add("ci/catalog.toml", CATALOG);
    let expected = EXPECTED.map(|id| format!("\"{id}\"")).join(", ");
    add("ci/invariants.toml", &format!("version = 1\nstaged_linux_targets = [{expected}]\n"));
    let catalog = lanes::load(&tree, "ci/forge-lanes.toml", "ci/catalog.toml").expect("loads");
    for glob in catalog.globs().ids().map(|glob| catalog.globs().text(glob)) {
        // `docs/**` and `rust/**` have files of their own, so that nothing dead comes to life.
        if !DEAD.contains(&glob) {
            tree.0.entry(glob.replace("**", "some/file")).or_default();
        }
    }
    // The invariants are one of the files that nothing covers: nobody noticed the guard change.
    for number in 1..UNCOVERED {
        tree.0.insert(format!("todos/{number:02}.md"), String::new());
    }
    for number in 0..FILES - tree.0.len() {
        tree.0.insert(format!("rust/src/module_{number:03}.rs"), String::new());
    }
    tree
}

fn of(findings: &Findings, code: &str) -> Vec<String> {
    let of_code = findings.iter().filter(|finding| finding.diagnostic.code.name == code);
    of_code.map(|finding| finding.diagnostic.message.clone()).collect()
}

#[test]
fn the_known_dead_shadowed_and_uncovered_ones_are_found_and_no_others() {
    let tree = repository();
    assert_eq!(tree.0.len(), FILES);
    let findings = tree.check();
    let mut expected: Vec<String> =
        DEAD.iter().map(|glob| format!("`{glob}` matches no file")).collect();
    let mut told = of(&findings, "dead_glob");
    told.sort();
    expected.sort();
    assert_eq!(told, expected);
    let shadowed = "`scripts/forge-nightly-pika-ui-android.sh` adds nothing to `scripts/**`";
    assert_eq!(of(&findings, "shadowed_glob"), [shadowed, shadowed]);
    let uncovered = of(&findings, "uncovered_file");
    assert_eq!(uncovered.len(), UNCOVERED);
    assert!(uncovered.contains(&"no lane covers `ci/invariants.toml`".to_owned()));
    assert_eq!(findings.count(LintLevel::Deny), DEAD.len());
}

#[test]
fn manifest_catalog_and_list_disagree_in_no_direction_unnoticed() {
    let tree = repository();
    let join = |tree: &Tree| {
        let findings = tree.check();
        let codes = [
            "expected_target_missing",
            "expected_target_not_run",
            "unexpected_staged_target",
            "unexpected_lane_target",
        ];
        codes.map(|code| of(&findings, code).len())
    };
    let with = |file: &str, from: &str, to: &str| {
        let mut tree = tree.clone();
        let text = tree.0.get_mut(&format!("ci/{file}.toml")).expect("the file");
        assert!(text.contains(from), "{file} has {from}");
        *text = text.replace(from, to);
        tree
    };
    assert_eq!(join(&tree), [0, 0, 0, 0]);
    // One too few in the list: the catalog has it, and a lane runs it.
    assert_eq!(join(&with("invariants", ", \"pre-merge-rmp\"", "")), [0, 0, 1, 1]);
    // One too many in the list.
    assert_eq!(
        join(&with("invariants", "\"pre-merge-rmp\"", "\"pre-merge-rmp\", \"x\"")),
        [1, 0, 0, 0]
    );
    // The lane goes, the target stays.
    let lane = "staged_linux_target = \"pre-merge-rmp\"";
    assert_eq!(join(&with("forge-lanes", lane, "command = [\"true\"]")), [0, 1, 0, 0]);
    // The target is renamed in catalog and manifest, and nobody told the list.
    let mut renamed = with("catalog", "\"pre-merge-rmp\"", "\"pre-merge-tools\"");
    let manifest = renamed.0.get_mut("ci/forge-lanes.toml").expect("the manifest");
    *manifest = manifest.replace("\"pre-merge-rmp\"", "\"pre-merge-tools\"");
    assert_eq!(join(&renamed), [1, 0, 1, 1]);
}
