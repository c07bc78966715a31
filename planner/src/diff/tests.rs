//! What differences look like, and their algebra: nothing differs from itself, and exchanging the
//! plans mirrors the answer.

use std::collections::BTreeSet;

use plans::{
    Checkout, Command, EnvName, Node, NodeId, Plan, PlanParts, Reason, Runtime, SelectionMode,
    Trigger,
};
use proptest::prelude::*;

use super::{Change, Diff, Scope, Side, human, json, markdown};
use crate::render::{
    Options,
    sample::{HOSTILE, hostile, incus, lane, large, miss, node, parts, path, remote},
};

fn side<'a>(name: &'a str, plan: &'a Plan) -> Side<'a> {
    Side { name, plan, digest: None }
}

fn between(from: &Plan, to: &Plan) -> Diff {
    Diff::between(&side("a", from), &side("b", to), Scope::Document)
}

fn changed(change: impl FnOnce(&mut PlanParts)) -> Plan {
    let mut parts = parts();
    change(&mut parts);
    Plan::new(parts).expect("the parts fit")
}

fn find<'a>(parts: &'a mut PlanParts, id: &str) -> &'a mut Node {
    parts.nodes.iter_mut().find(|node| node.id.as_str() == id).expect("it is in the sample")
}

fn env(name: &str) -> EnvName {
    EnvName::new(name).expect("well formed")
}

/// The everyday plan with one change of each kind.
fn pair() -> (Plan, Plan) {
    let script = "set -eu\ncd docs\nmake links\nmake html\n";
    let shell = |script: String| Command::Shell { script, as_root: false };
    let from = changed(|parts| {
        find(parts, "execute-docs-links").spec.command = shell(script.to_owned());
    });
    let to = changed(|parts| {
        parts.nodes.retain(|node| node.id.as_str() != "execute-ios-ui-tests");
        let mut new = node("execute-ios-smoke", &["execute-ios-unit-tests"]);
        new.spec.placement = remote("mac-2");
        new.spec.runtime = incus("macos");
        parts.nodes.push(new);
        let ids =
            |ids: &[&str]| ids.iter().map(|id| NodeId::new(*id).expect("well formed")).collect();
        parts.lanes[1].nodes = ids(&["execute-ios-unit-tests", "execute-ios-smoke"]);

        let tests = find(parts, "execute-pika-core-lib-app-flows-tests");
        tests.spec.runtime = incus("pika-ci-2026");
        tests.spec.timeout_secs = 2400;
        tests.spec.env = plans::SortedMap::from([
            (env("RUST_BACKTRACE"), "full".to_owned()),
            (env("CI"), "1".to_owned()),
        ]);
        let e2e = find(parts, "execute-pika-core-messaging-e2e-tests");
        e2e.depends_on = e2e.depends_on.iter().rev().skip(1).cloned().collect();
        e2e.depends_on.extend(ids(&["execute-docs-links"]));
        find(parts, "execute-ios-unit-tests").spec.runtime = Runtime::HostProcess;
        find(parts, "execute-docs-links").spec.command =
            shell(script.replace("make links", "make linkcheck"));

        parts.lanes[2].reasons.push(Reason::Requested);
        parts.lanes[3] = lane("rmp", vec![Reason::Requested], &[]);
        parts.lanes.swap(4, 5);
        parts.lanes.push(lane("new", vec![miss("new/**", "rust/src/lib.rs")], &[]));
        parts.inputs.insert("ci/catalog.toml".to_owned(), "d".repeat(40));
        parts.uncovered.clear();
    });
    (from, to)
}

#[test]
fn the_terminal_shows_each_field_that_differs() {
    let (from, to) = pair();
    let (from, to) = (side("main.json", &from), side("plan.json", &to));
    let diff = Diff::between(&from, &to, Scope::Document);
    assert_eq!(diff.exit_code(), 1);
    insta::assert_snapshot!(human(&diff, &from, &to, &Options::default()));
}

#[test]
fn a_comment_shows_the_difference_in_one_block() {
    let from = changed(|_| {});
    let to = changed(|parts| find(parts, "execute-docs-links").spec.timeout_secs = 60);
    let (from, to) = (side("main", &from), side("topic", &to));
    let diff = Diff::between(&from, &to, Scope::Document);
    insta::assert_snapshot!(markdown(&diff, &from, &to), @r"
    ### Plan: 1 node changed

    `main` → `topic`

    ```diff
    @@ Nodes @@
    !   execute-docs-links
          timeout_secs: 1800 -> 60
    ```
    ");
}

#[test]
fn programs_read_the_difference_as_json() {
    let from = changed(|_| {});
    let to = changed(|parts| {
        parts.lanes.remove(2);
        parts.nodes.retain(|node| node.id.as_str() != "execute-docs-links");
        find(parts, "execute-ios-unit-tests").depends_on = plans::SortedSet::default();
        find(parts, "execute-ios-unit-tests").workspace_from = None;
    });
    let (from, to) = (side("a", &from), side("b", &to));
    let diff = Diff::between(&from, &to, Scope::Document);
    let mut value: serde_json::Value =
        serde_json::from_str(&json(&diff, &from, &to)).expect("it is JSON");
    assert_eq!(value["same"], false);
    assert_eq!(value["nodes"]["removed"][0]["value"]["timeout_secs"], 1800);
    value["nodes"]["removed"][0]["value"].take();
    value["lanes"]["removed"][0]["value"].take();
    insta::assert_snapshot!(format!("{:#}", value["nodes"]));
    assert_eq!(value["lanes"]["removed"][0]["id"], "docs");
}

#[test]
fn equal_digests_end_the_comparison() {
    let (from, to) = pair();
    let claims = |plan| Side { name: "x", plan, digest: Some("sha256:same") };
    assert!(Diff::between(&claims(&from), &claims(&to), Scope::Document).is_empty());
}

#[test]
fn revisions_differ_only_in_what_runs() {
    let from = changed(|_| {});
    let to = changed(|parts| {
        parts.inputs.insert("ci/catalog.toml".to_owned(), "d".repeat(40));
        parts.lanes.swap(4, 5);
        parts.changes.clear();
        parts.selection.mode = SelectionMode::All;
    });
    let work = Diff::between(&side("a", &from), &side("b", &to), Scope::Work);
    assert!(work.is_empty() && work.exit_code() == 0, "{work:?}");
    let document = between(&from, &to);
    let paths: Vec<&str> = document.document.iter().map(|field| field.path.as_str()).collect();
    assert_eq!(
        paths,
        ["changes", "inputs[\"ci/catalog.toml\"]", "selection.mode", "order of lanes"]
    );
}

#[test]
fn another_kind_of_command_is_one_change() {
    let from = changed(|_| {});
    let to = changed(|parts| {
        find(parts, "execute-docs-links").spec.command =
            Command::Shell { script: "true".to_owned(), as_root: false };
    });
    let diff = between(&from, &to);
    let [changed] = &diff.nodes.changed[..] else { panic!("{diff:?}") };
    let [field] = &changed.fields[..] else { panic!("{diff:?}") };
    assert_eq!(field.path, "command");
    assert!(matches!(field.change, Change::Replaced { .. }));
}

#[test]
fn hostile_text_breaks_no_line_and_no_fence() {
    let (from, to) = (hostile(), changed(|_| {}));
    let (from, to) = (Side { name: HOSTILE, plan: &from, digest: None }, side("b", &to));
    let diff = Diff::between(&from, &to, Scope::Document);
    let text = human(&diff, &from, &to, &Options::default());
    assert!(!text.contains(|c: char| (c.is_control() && c != '\n') || c == '\u{202e}'));
    assert!(!text.contains("\n@team"));
    for line in text.lines().skip(1) {
        assert!(crate::render::text::width(line) <= 80, "{line}");
    }
    let text = markdown(&diff, &from, &to);
    let fences: Vec<&str> = text.lines().filter(|line| line.starts_with("```")).collect();
    assert_eq!(fences, ["````diff", "````"]);
    assert!(text.len() < 65_536);
}

#[test]
fn a_comment_about_everything_is_cut_with_a_word() {
    let (from, to) = (changed(|_| {}), large(20, 250));
    let (from, to) = (side("a", &from), side("b", &to));
    let text = markdown(&Diff::between(&from, &to, Scope::Document), &from, &to);
    assert!(text.len() < 65_536, "{} bytes", text.len());
    assert!(text.contains("*Cut here: "));
}

/// One of many small changes.
fn mutate(parts: &mut PlanParts, choice: u8, number: u8) {
    let at = usize::from(number) % parts.nodes.len();
    let number = u64::from(number);
    match choice {
        0 => parts.nodes[at].spec.timeout_secs += number + 1,
        1 => parts.nodes[at].spec.description = format!("{HOSTILE}{number}"),
        2 => parts.nodes[at].spec.runtime = incus(&format!("image-{}", number % 3)),
        3 => parts.nodes[at].spec.placement = remote(&format!("host-{}", number % 3)),
        4 => {
            parts.nodes[at].spec.env.insert(env(&format!("V{}", number % 4)), number.to_string());
        }
        5 => parts.nodes.push(node(&format!("execute-new-{}-{}", parts.nodes.len(), number), &[])),
        6 => {
            if let Some(lane) = parts.lanes.get_mut(at) {
                lane.reasons.push(miss(&format!("g{number}"), "a"));
            }
        }
        7 => {
            let lanes = parts.lanes.len();
            parts.lanes.rotate_left(at % lanes);
        }
        8 => {
            parts.inputs.insert(format!("ci/{number}.toml"), "e".repeat(40));
        }
        9 => {
            parts.uncovered.insert(path(&format!("u{}", number % 5)));
        }
        10 => parts.nodes[at].spec.checkout = Checkout::Clone,
        11 => parts.nodes[at].spec.artifacts.push(format!("a{number}")),
        12 => parts.selection.trigger = Trigger::Nightly,
        13 => parts.nodes[at].spec.secrets = BTreeSet::from([env(&format!("S{}", number % 4))]),
        14 => {
            if let Some(lane) = parts.lanes.get_mut(at) {
                lane.reasons.reverse();
            }
        }
        15 => parts.nodes[at].spec.command = Command::Argv(vec![format!("c{number}")]),
        _ => {}
    }
}

fn any_plan() -> impl Strategy<Value = Plan> {
    proptest::collection::vec((0u8..17, any::<u8>()), 0..6).prop_map(|changes| {
        changed(|parts| {
            changes.into_iter().for_each(|(choice, number)| mutate(parts, choice, number))
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn nothing_differs_from_itself(plan in any_plan()) {
        prop_assert!(between(&plan, &plan).is_empty());
    }

    #[test]
    fn exchanging_the_plans_mirrors_the_answer(from in any_plan(), to in any_plan()) {
        prop_assert_eq!(between(&from, &to).mirrored(), between(&to, &from));
    }

    #[test]
    fn plans_of_other_bytes_differ(from in any_plan(), to in any_plan()) {
        let same = from.to_json().digest == to.to_json().digest;
        prop_assert_eq!(between(&from, &to).is_empty(), same);
    }
}
