//! Errors keep what they come from: the text for people folds it in, the chain is there for programs.

use std::{error::Error as _, fs, io, path::Path};

use executor::{error::Error, journal::JournalError, state::StateError};

type AnError = dyn std::error::Error + 'static;

/// The errors of one chain, the outermost first.
fn chain(error: &AnError) -> Vec<&AnError> {
    let mut found = vec![error];
    let mut next = error.source();
    while let Some(error) = next {
        found.push(error);
        next = error.source();
    }
    found
}

#[test]
fn an_error_of_the_system_is_at_the_end_of_every_chain_that_it_began() {
    let io = || io::Error::from(io::ErrorKind::StorageFull);
    let path = || "file".to_owned();
    let journal = || JournalError::Io { path: path(), verb: "written", error: io() };
    let errors = [
        Error::File { what: "the plan", path: path(), error: io() },
        Error::System { what: "no thread", error: io() },
        Error::Journal(journal()),
        Error::Broken { run: path(), error: journal() },
        Error::RecordNotWritten { run: path(), error: io() },
        Error::State(StateError::Io { what: "making", path: path(), error: io() }),
    ];
    for error in &errors {
        let chain = chain(error);
        let last = chain.last().and_then(|last| last.downcast_ref::<io::Error>());
        assert_eq!(last.map(io::Error::kind), Some(io::ErrorKind::StorageFull), "{error}");
        assert!(error.source().is_some());
        // Its text says so already: nothing is said twice.
        assert_eq!(plans::causes(error), [""; 0], "{error}");
    }
    let within = io::Error::other(journal());
    assert!(chain(&within).iter().any(|error| error.is::<io::Error>()), "{within}");
}

/// Every field of an error that is an error itself is its source.
#[test]
fn no_error_of_the_four_crates_hides_the_one_it_holds() {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let (mut hidden, mut looked_at) = (Vec::new(), 0);
    for krate in ["plans", "lanes", "planner", "executor"] {
        for file in sources(&root.join(krate).join("src")) {
            let text = fs::read_to_string(&file).expect("readable");
            let (mut within, mut before) = (false, "");
            for (number, line) in text.lines().enumerate() {
                if line.starts_with("#[derive(") && line.contains("thiserror::Error") {
                    within = true;
                    looked_at += 1;
                } else if line == "}" {
                    within = false;
                }
                let word = line.trim();
                let field = word.split_once(": ").map(|(_, kind)| kind.trim_end_matches(','));
                let tuple = word.split_once('(').and_then(|(name, rest)| {
                    name.chars().all(char::is_alphanumeric).then_some(rest.trim_end_matches("),"))
                });
                let holds = [field, tuple].into_iter().flatten().any(|kind| {
                    kind.ends_with("Error") && !kind.contains(['"', ' ']) || kind == "Fault"
                });
                let told = word.starts_with("source:") || before.contains("#[source]");
                let transparent = before.contains("transparent");
                if within && holds && !told && !transparent {
                    hidden.push(format!("{}:{}: {word}", file.display(), number + 1));
                }
                before = word;
            }
        }
    }
    assert_eq!(hidden, [""; 0]);
    assert!(looked_at > 25, "only {looked_at} errors were found");
}

fn sources(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("readable").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|end| end == "rs") {
            found.push(path);
        }
    }
    found
}
