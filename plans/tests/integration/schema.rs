//! The JSON Schema that is kept in the repository is the one the types give.

#[test]
fn the_schemas_in_the_repository_are_current() {
    check(concat!(env!("CARGO_MANIFEST_DIR"), "/plan.schema.json"), &plans::plan_schema());
    check(concat!(env!("CARGO_MANIFEST_DIR"), "/passed.schema.json"), &plans::passed_schema());
}

#[track_caller]
fn check(path: &str, schema: &serde_json::Value) {
    let current = serde_json::to_string_pretty(schema).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(path, &current).expect("writable");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == current, "run the tests once with UPDATE_SCHEMAS=1 and commit the result");
}
