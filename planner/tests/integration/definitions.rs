//! A changed definition runs what it defines, and nothing else.

use plans::Reason;

use crate::{
    program::{CATALOG, MANIFEST, lanes_of, nodes_of},
    sandbox::Sandbox,
};

/// Plans a change of the two files against `CATALOG` and `MANIFEST`: lanes and nodes that run.
#[track_caller]
fn check(manifest: &str, catalog: &str, lanes: &[&str], nodes: &[&str]) {
    let sandbox = Sandbox::with_lanes();
    sandbox.define(manifest, catalog);
    sandbox.commit("change");
    let plan = sandbox.planner(&["plan"]).plan();
    assert_eq!(lanes_of(&plan), lanes);
    assert_eq!(nodes_of(&plan), nodes);
    let all = plan.lanes().iter().filter(|lane| lane.selected).flat_map(|lane| &lane.reasons);
    for reason in all {
        assert!(matches!(reason, Reason::DefinitionChanged(_)), "{reason:?}");
    }
    assert!(plan.uncovered().is_empty(), "definitions are covered");
}

/// A replacement that must be there.
#[track_caller]
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from}");
    text.replacen(from, to, 1)
}

#[test]
fn reformatting_and_comments_select_nothing() {
    let manifest = with(MANIFEST, "paths = [\"@sources\"]", "# why\npaths = [\n  \"@sources\",\n]");
    let catalog = with(
        CATALOG,
        "command = { argv = [\"cargo\", \"build\"] }",
        "command.argv=['cargo','build']",
    );
    check(&manifest, &catalog, &[], &[]);
}

#[test]
fn another_order_of_tables_keys_and_globs_selects_nothing() {
    let (head, lanes) = MANIFEST.split_once("[[branch.lanes]]").expect("lanes");
    let (rust, rest) = lanes.split_once("[[branch.lanes]]").expect("two");
    let (docs, nightly) = rest.split_once("[[nightly.lanes]]").expect("nightly");
    let manifest =
        format!("{head}[[nightly.lanes]]{nightly}\n[[branch.lanes]]{docs}\n[[branch.lanes]]{rust}");
    let manifest = with(&manifest, "\"docs/**\", \"*.md\"", "\"*.md\", \"docs/**\"");
    let manifest = with(&manifest, "\"src/**\", \"@build\"", "\"@build\", \"src/**\"");
    let (head, targets) = CATALOG.split_once("[[targets]]\nid = \"rust\"").expect("rust");
    let (rust, docs) = targets.split_once("[[targets]]\nid = \"docs\"").expect("docs");
    let catalog =
        format!("{head}[[targets]]\nid = \"docs\"{docs}\n[[targets]]\nid = \"rust\"{rust}");
    check(&manifest, &catalog, &[], &[]);
}

#[test]
fn a_path_set_written_out_selects_nothing() {
    let manifest = with(MANIFEST, "[\"@sources\"]", "[\"src/**\", \"Cargo.toml\"]");
    check(&manifest, CATALOG, &[], &[]);
}

#[test]
fn one_changed_job_runs_with_what_it_needs() {
    let catalog = with(CATALOG, "\"cargo\", \"test\"", "\"cargo\", \"test\", \"--all\"");
    check(MANIFEST, &catalog, &["rust"], &["execute-build", "execute-unit"]);
    let catalog = with(CATALOG, "\"cargo\", \"build\"", "\"cargo\", \"check\"");
    check(MANIFEST, &catalog, &["rust"], &["execute-build"]);
}

#[test]
fn a_changed_filter_runs_its_lane_or_its_job() {
    check(&with(MANIFEST, "docs/drafts/**", "docs/old/**"), CATALOG, &["docs"], &["execute-site"]);
    check(
        &with(MANIFEST, "[\"Cargo.toml\"]", "[\"Cargo.lock\"]"),
        CATALOG,
        &["rust"],
        &["execute-build", "execute-unit"],
    );
    check(
        MANIFEST,
        &with(CATALOG, "[\"src/**\"]", "[\"src/**/*.rs\"]"),
        &["rust"],
        &["execute-build", "execute-unit"],
    );
    check(&with(MANIFEST, "\"site\"", "\"other\""), CATALOG, &["docs"], &["execute-site"]);
}

#[test]
fn a_new_lane_runs_and_a_removed_one_is_gone() {
    let added = format!(
        "{MANIFEST}\n[[branch.lanes]]\nid = \"new\"\ncommand = [\"true\"]\npaths = [\"new/**\"]\n"
    );
    check(&added, CATALOG, &["new"], &["execute-new"]);
    let at = MANIFEST.find("[[branch.lanes]]\nid = \"docs\"").expect("docs");
    let end = MANIFEST.find("[[nightly.lanes]]").expect("nightly");
    let removed = format!("{}{}", &MANIFEST[..at], &MANIFEST[end..]);
    check(&removed, CATALOG, &[], &[]);
}

#[test]
fn words_for_people_are_part_of_a_job_and_not_of_a_filter() {
    check(
        &with(MANIFEST, "id = \"docs\"\n", "id = \"docs\"\ntitle = \"site\"\n"),
        CATALOG,
        &[],
        &[],
    );
}

#[test]
fn a_base_that_does_not_parse_runs_everything_and_says_so() {
    let sandbox = Sandbox::with_lanes();
    sandbox.write("ci/catalog.toml", "version = 1\nnot toml");
    sandbox.commit("broken");
    sandbox.define(MANIFEST, CATALOG);
    sandbox.commit("mended");
    let plan = sandbox.planner(&["plan", "--base-first-parent"]).plan();
    assert_eq!(lanes_of(&plan), ["rust", "docs"]);
    let Reason::DefinitionChanged(why) = &plan.lanes()[0].reasons[0] else { panic!("the reason") };
    let because = why.because.as_deref().expect("why");
    assert!(because.starts_with("the base's definitions cannot be read: "), "{because}");
}

#[test]
fn a_base_without_definitions_runs_everything() {
    let sandbox = Sandbox::new();
    sandbox.write("src/lib.rs", "");
    sandbox.commit("before");
    sandbox.define(MANIFEST, CATALOG);
    sandbox.commit("lanes");
    assert_eq!(lanes_of(&sandbox.planner(&["plan"]).plan()), ["rust", "docs"]);
    // The empty tree has none either: every definition is new.
    assert_eq!(lanes_of(&sandbox.planner(&["plan", "--base-empty"]).plan()), ["rust", "docs"]);
}

#[test]
fn an_included_file_counts_when_it_comes_changes_and_goes() {
    let sandbox = Sandbox::with_lanes();
    let manifest =
        with(MANIFEST, "version = 1\n", "version = 1\ninclude = [\"projects/*/lanes.toml\"]\n");
    sandbox.define(&manifest, CATALOG);
    sandbox.commit("include");
    assert_eq!(lanes_of(&sandbox.planner(&["plan"]).plan()), <[&str; 0]>::default());

    let lane = |glob| {
        format!(
            "under = \"projects/p1\"\n[[branch.lanes]]\nid = \"p1\"\ncommand = [\"true\"]\npaths = [{glob:?}]\n"
        )
    };
    sandbox.write("projects/p1/lanes.toml", lane("src/**"));
    sandbox.commit("comes");
    let plan = sandbox.planner(&["plan"]).plan();
    assert_eq!(lanes_of(&plan), ["p1"]);
    assert!(plan.uncovered().is_empty(), "an included file is a definition");

    sandbox.write("projects/p1/src/a", "");
    sandbox.write("projects/p2/src/a", "");
    sandbox.commit("below");
    let plan = sandbox.planner(&["plan"]).plan();
    let lane_p1 = plan.lanes().iter().find(|lane| lane.selected).expect("selected");
    let Reason::Paths(why) = &lane_p1.reasons[0] else { panic!("paths") };
    assert_eq!(why.glob, "projects/p1/src/**");
    assert_eq!(plan.uncovered(), [crate::sandbox::path("projects/p2/src/a")]);

    sandbox.write("projects/p1/lanes.toml", format!("# a comment\n{}", lane("src/**")));
    sandbox.commit("reformatted");
    assert_eq!(lanes_of(&sandbox.planner(&["plan"]).plan()), <[&str; 0]>::default());
    sandbox.write("projects/p1/lanes.toml", lane("lib/**"));
    sandbox.commit("changes");
    assert_eq!(lanes_of(&sandbox.planner(&["plan"]).plan()), ["p1"]);
    sandbox.git(&["rm", "-q", "projects/p1/lanes.toml"]);
    sandbox.commit("goes");
    assert_eq!(lanes_of(&sandbox.planner(&["plan"]).plan()), <[&str; 0]>::default());
}

#[test]
fn the_work_tree_is_planned_with_its_own_definitions() {
    let sandbox = Sandbox::with_lanes();
    sandbox.write("ci/catalog.toml", with(CATALOG, "\"mkdocs\"", "\"zola\""));
    let plan = sandbox.planner(&["plan", "--worktree", "--base", "HEAD"]).plan();
    assert_eq!(lanes_of(&plan), ["docs"]);
    assert_eq!(
        lanes_of(&sandbox.planner(&["plan", "--base", "HEAD"]).plan()),
        <[&str; 0]>::default()
    );
}

#[test]
fn a_list_of_changes_cannot_say_what_definitions_were_before() {
    let sandbox = Sandbox::with_lanes();
    let said = sandbox.planner_in(
        &sandbox.root(),
        &["plan", "--changed-files", "-"],
        b"ci/catalog.toml\0",
    );
    let plan = said.plan();
    assert_eq!(lanes_of(&plan), ["rust", "docs"]);
    assert!(
        matches!(&plan.lanes()[0].reasons[..], [Reason::DefinitionChanged(why)] if why.because.is_some())
    );
}
