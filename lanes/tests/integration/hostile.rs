//! No text makes the reader panic, hang or eat memory.

use lanes::Style;
use proptest::prelude::*;

use crate::support::Tree;

const MANIFEST: &str = include_str!("../../examples/pika/forge-lanes.toml");
const CATALOG: &str = include_str!("../../examples/pika/catalog.toml");

fn load_and_render(manifest: &str, catalog: &str) -> usize {
    let tree = Tree::new([("ci/forge-lanes.toml", manifest), ("ci/catalog.toml", catalog)]);
    match tree.load() {
        Ok(_) => 0,
        Err(diagnostics) => {
            for found in diagnostics.iter() {
                let _ = diagnostics.position(found);
            }
            assert!(!diagnostics.render(Style { colour: true, width: 80 }).is_empty());
            diagnostics.len()
        }
    }
}

/// Cuts a part out of `text` at a random place and puts something else there.
fn damaged(text: &'static str) -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just(String::new()),
        ".{0,6}",
        Just("\"".to_owned()),
        Just("[[".to_owned()),
        Just("{".to_owned()),
        Just("\n".to_owned()),
        Just("= 1".to_owned()),
        Just("true".to_owned()),
        Just("\u{0}".to_owned()),
        Just("é\u{1b}[2J".to_owned()),
    ];
    (0..text.len(), 0..40_usize, piece).prop_map(move |(at, length, piece)| {
        let boundary = |mut at: usize| {
            at = at.min(text.len());
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (boundary(at), boundary(at + length));
        format!("{}{piece}{}", &text[..start], &text[end..])
    })
}

proptest! {
    #![proptest_config(crate::support::cases(60))]

    #[test]
    fn a_damaged_file_is_told_or_taken(
        manifest in damaged(MANIFEST),
        catalog in damaged(CATALOG),
    ) {
        load_and_render(&manifest, CATALOG);
        load_and_render(MANIFEST, &catalog);
    }

    #[test]
    fn any_text_is_told_or_taken(text in "\\PC{0,200}") {
        load_and_render(&text, &text);
        let _ = lanes::read_invariants("i", &text);
        let _ = lanes::read_scenario("s", &text);
    }
}

#[test]
fn deep_nesting_needs_no_stack() {
    let open = "[".repeat(200_000);
    assert!(load_and_render(&format!("version = 1\nignore = {open}\n"), "version = 1\n") > 0);
    let dotted = vec!["a"; 100_000].join(".");
    assert!(load_and_render(&format!("version = 1\n{dotted} = 1\n"), "version = 1\n") > 0);
}

#[test]
fn a_line_of_a_megabyte_is_shown_in_part() {
    let long = "x".repeat(1_000_000);
    let manifest = format!(
        "version = 1\n[[branch.lanes]]\nid = \"{long}\"\ntarget = \"{long}\"\n{long} = 1\n"
    );
    let tree =
        Tree::new([("ci/forge-lanes.toml", &*manifest), ("ci/catalog.toml", "version = 1\n")]);
    let diagnostics = tree.load().expect_err("mistakes");
    for found in diagnostics.iter() {
        assert!(found.message.len() < 1000, "{}", found.code.name);
    }
    assert!(diagnostics.render(Style::PLAIN).len() < 50_000);
}

#[test]
fn ten_thousand_mistakes_are_all_told() {
    let lane =
        |number: usize| format!("[[branch.lanes]]\nid = \"lane-{number}\"\ntarget = \"x\"\n");
    let lanes: String = (0..10_000).map(lane).collect();
    let found = load_and_render(&format!("version = 1\n{lanes}"), "version = 1\n");
    assert_eq!(found, 10_000);
}

#[test]
fn a_control_character_stays_off_the_terminal() {
    let manifest = "version = 1\n[[branch.lanes]]\nid = \"a\"\ntitle = \"x\\u001b[2Jy\"\n\
                    command = [\"make\"]\nafter = [\"b\\u001b[2J\"]\n";
    let tree = Tree::new([("ci/forge-lanes.toml", manifest)]);
    let diagnostics = tree.load().expect_err("mistakes");
    assert_eq!(diagnostics.len(), 2, "{diagnostics}");
    assert!(!diagnostics.to_string().contains('\u{1b}'));
}

#[test]
fn the_braces_of_all_globs_together_have_a_limit() {
    let globs: Vec<String> = (0..600).map(|at| format!("\"{at}{}\"", "{a,b}".repeat(9))).collect();
    let lane = |id: usize, globs: &[String]| {
        format!(
            "[[branch.lanes]]\nid = \"{id}\"\ncommand = [\"true\"]\npaths = [{}]\n",
            globs.join(",")
        )
    };
    let tree = |lanes: String| {
        Tree::new([("ci/forge-lanes.toml", &*format!("version = 1\n{lanes}"))]).load()
    };
    let found = tree(lane(0, &globs)).expect_err("307,200 alternatives");
    assert_eq!(found.len(), 1);
    assert!(found.render(Style::PLAIN).contains("more than 250000 alternatives"));
    // The same globs in many lanes are the same alternatives.
    tree((0..1000).map(|id| lane(id, &globs[..2])).collect()).expect("1,024 alternatives");
}
