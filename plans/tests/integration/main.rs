//! One binary for the crate's integration tests.

#![expect(clippy::disallowed_methods, reason = "tests read their own fixtures")]

mod graph;
mod key;
mod old_documents;
mod passed;
mod round_trip;
mod sample;
mod schema;

#[test]
fn no_test_file_is_forgotten() {
    let main = include_str!("main.rs");
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/integration"))
        .expect("the directory is there")
    {
        let name = entry.expect("readable").file_name().into_string().expect("UTF-8");
        let Some(module) = name.strip_suffix(".rs") else { continue };
        assert!(module == "main" || main.contains(&format!("mod {module};")), "{name}");
    }
}
