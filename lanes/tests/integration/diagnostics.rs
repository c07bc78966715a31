//! Every kind of problem has one bad pair of files, and its rendering is reviewed.

use std::{fs, path::Path};

use lanes::{Style, codes};

use crate::support::Tree;

/// The tree of one directory under `tests/manifests/`; a file it lacks is not in the tree.
fn tree(directory: &Path) -> Tree {
    let mut tree = Tree::default();
    for file in ["forge-lanes.toml", "catalog.toml"] {
        if let Ok(bytes) = fs::read(directory.join(file)) {
            tree.0.insert(format!("ci/{file}"), bytes);
        }
    }
    tree
}

fn invalid() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/invalid")
}

#[test]
fn every_code_has_a_bad_file_that_shows_it() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../manifests/rendered");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for code in codes::ALL {
        let directory = invalid().join(code.name);
        let diagnostics = tree(&directory).load().expect_err(code.name);
        assert!(
            diagnostics.iter().any(|diagnostic| diagnostic.code == *code),
            "{} shows:\n{diagnostics}",
            code.name
        );
        settings.bind(|| {
            insta::assert_snapshot!(code.name, diagnostics.render(Style::PLAIN));
        });
    }
}

#[test]
fn no_bad_file_is_forgotten() {
    for entry in fs::read_dir(invalid()).expect("the directory is there") {
        let name = entry.expect("readable").file_name();
        let name = name.to_string_lossy();
        assert!(codes::find(&name).is_some(), "`{name}` is no code");
    }
}
