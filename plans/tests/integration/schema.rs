//! The JSON Schema that is kept in the repository is the one the types give.

#[test]
fn the_schema_in_the_repository_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/plan.schema.json");
    let current = serde_json::to_string_pretty(&plans::plan_schema()).expect("JSON") + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(path, &current).expect("writable");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(kept == current, "run the tests once with UPDATE_SCHEMAS=1 and commit the result");
}
