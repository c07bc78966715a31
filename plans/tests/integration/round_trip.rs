//! What is written reads back, byte for byte; what was changed on the way is refused.

use plans::{Plan, PlanReadError};

use crate::sample;

fn written() -> String {
    Plan::new(sample::parts()).expect("a plan").to_json().json
}

/// Gives an edited document the digest of its new content, as a program that writes plans would.
#[track_caller]
fn redigest(edited: &str) -> String {
    let error = Plan::from_json(edited.as_bytes()).expect_err("the digest no longer fits");
    let PlanReadError::Digest { found, computed } = error else { panic!("{error}") };
    edited.replace(&found, &computed)
}

#[track_caller]
fn refusal(text: &str) -> PlanReadError {
    Plan::from_json(text.as_bytes()).expect_err("it is refused")
}

#[test]
fn a_plan_reads_back_byte_for_byte() {
    let text = Plan::new(sample::parts()).expect("a plan").to_json();
    let (plan, digest) = Plan::from_json(text.json.as_bytes()).expect("reads");
    assert_eq!(digest, text.digest);
    assert_eq!(plan.to_json(), text);
    assert_eq!(plan.lanes()[0].nodes[0].as_str(), "prepare-deps", "plan order, not as given");
}

#[test]
fn the_document_has_the_shape_of_the_contract() {
    insta::assert_snapshot!(written());
}

#[test]
fn white_space_does_not_break_the_digest_but_content_does() {
    let value: serde_json::Value = serde_json::from_str(&written()).expect("JSON");
    let compact = serde_json::to_string(&value).expect("JSON");
    Plan::from_json(compact.as_bytes()).expect("only white space differs");
    let edited = written().replace("\"timeout_secs\": 60", "\"timeout_secs\": 61");
    assert!(refusal(&edited).is_refusal());
    let missing: String = written()
        .lines()
        .filter(|line| !line.contains("\"digest\""))
        .collect::<Vec<_>>()
        .join("\n");
    assert!(refusal(&missing).to_string().contains("missing"));
}

#[test]
fn refusals_come_in_the_order_of_the_contract() {
    // No JSON at all, before anything else.
    for bad in ["", "{", "[]", "null", "{}", r#"{"format_version": 1}"#, "\u{feff}{}"] {
        assert!(matches!(refusal(bad), PlanReadError::Syntax(_)), "{bad:?}");
    }
    // The version before the digest.
    let newer = written().replace("\"format_version\": \"1.0\"", "\"format_version\": \"1.9\"");
    assert!(matches!(refusal(&newer), PlanReadError::Version { .. }));
    let foreign = written().replace("\"format_version\": \"1.0\"", "\"format_version\": \"2.0\"");
    assert!(refusal(&foreign).to_string().contains("2.0"));
    // The digest before the shape.
    let unknown = written().replace("\"retries\": 0", "\"retries\": 0, \"colour\": \"red\"");
    assert!(matches!(refusal(&unknown), PlanReadError::Digest { .. }));
    // Then the shape, with the place.
    let error = refusal(&redigest(&unknown));
    assert!(!error.is_refusal());
    insta::assert_snapshot!(error.to_string().split(", expected").next().expect("text"), @"the plan is malformed at `nodes[0].colour`: unknown field `colour`");
    // Then the graph.
    let dangling =
        redigest(&written().replace("\"id\": \"prepare-deps\"", "\"id\": \"prepare-x\""));
    assert!(matches!(refusal(&dangling), PlanReadError::Plan(_)), "{dangling}");
}

#[test]
fn a_key_that_stands_twice_is_refused() {
    let twice = written().replace("\"env\": {}", "\"env\": {\"A\": \"1\", \"A\": \"2\"}");
    assert!(refusal(&twice).to_string().contains("the key `A` stands twice"));
}

#[test]
fn hostile_ids_are_refused_with_their_place() {
    for bad in ["../../etc/passwd", "execute-a/b", "-rf", "execute-\\u0000", "execute-\\n"] {
        let edited = written().replace("execute-test", bad);
        let error = refusal(&redigest(&edited));
        assert!(matches!(error, PlanReadError::Shape { .. }), "{bad}: {error}");
    }
    let long = "execute-".to_owned() + &"x".repeat(10_000_000);
    let error = refusal(&redigest(&written().replace("execute-test", &long)));
    assert!(error.to_string().len() < 300, "the message stays short");
}
