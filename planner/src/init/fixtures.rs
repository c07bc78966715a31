//! Manifests that are input of tests: they are not how the project is built.

use super::{Project, directory_of, draft::Draft, name_of};

/// Directories whose content is data, wherever they are.
const DATA: [&str; 12] = [
    "fixtures",
    "fixture",
    "__fixtures__",
    "testdata",
    "test-data",
    "test_data",
    "test-fixtures",
    "test_fixtures",
    "testfixtures",
    "__snapshots__",
    "goldens",
    "testcases",
];

/// Directories of tests. A project of its own may be in one; further down there is only data.
const TESTS: [&str; 4] = ["test", "tests", "spec", "__tests__"];

/// Whether a manifest in this directory belongs to a test.
pub(super) fn is_fixture(dir: &str) -> bool {
    let parts: Vec<&str> = dir.split('/').collect();
    let data = parts.iter().any(|part| DATA.contains(&part.to_ascii_lowercase().as_str()));
    let deep = parts.iter().position(|part| TESTS.contains(part));
    // Maven's and Gradle's place for the data of tests.
    let resources = parts.windows(3).any(|three| three[0] == "src" && three[2] == "resources");
    data || resources || deep.is_some_and(|at| parts.len() - at > 2)
}

/// Says which manifests were passed over.
pub(super) fn note(project: &Project<'_>, draft: &mut Draft) {
    let Some(first) = project.fixtures.first() else { return };
    let more = match project.fixtures.len() {
        1 => String::new(),
        count => format!(" and {} more", count - 1),
    };
    draft.closing.push(format!(
        "Taken for data of tests, no lane: {} in {}{more}. If they are projects, give them lanes.",
        name_of(first),
        directory_of(first),
    ));
}
