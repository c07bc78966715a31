//! Every released version still reads: one document of each is kept here for good.

use plans::Plan;

#[test]
fn the_documents_of_every_released_version_read() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/documents");
    let mut read = 0;
    for entry in std::fs::read_dir(directory).expect("the directory is there") {
        let path = entry.expect("readable").path();
        let text = std::fs::read(&path).expect("readable");
        let (plan, _) =
            Plan::from_json(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert_eq!(plan.to_json().json.as_bytes(), text, "{}", path.display());
        read += 1;
    }
    assert!(read > 0, "no document was read");
}
