//! A plan's command as the words a machine or guest runs, and as the line people read.
//!
//! One function for every runtime. Data never becomes shell text here: scripts are constants, and
//! what varies comes to them as arguments.

use std::fmt::Write as _;

use plans::Command;

/// Where a `nix build` leaves the link to its output: a garbage collector's root for as long as it
/// exists. The runtime that starts the job sets it to a path in a directory that exists.
pub const OUT_LINK: &str = "FORGE_LANES_OUT_LINK";

/// Runs tests only where the harness lists at least one that is not ignored: `cargo test` itself
/// is happy with none. `$1` is what to say then; the rest are cargo's arguments up to `--`, then
/// those of the harness. Listing builds, so that the tests are built once.
///
/// Whether there are tests is asked of each harness (`--list`, and `--list --ignored`), not read
/// from a summary that a test could print as well.
const TESTS: &str = r#"
what=$1
shift
all=$("$@" --list --format terse) || exit
ignored=$("$@" --list --format terse --ignored) || exit
count() {
    printf '%s\n' "$1" | grep -c ': test$'
}
if [ "$(count "$all")" -le "$(count "$ignored")" ]; then
    echo "no test to run: $what matches none, or only ignored ones" >&2
    exit 1
fi
exec "$@"
"#;

/// Builds an installable and leaves a link that keeps it alive.
const NIX_BUILD: &str = r#"
exec nix --extra-experimental-features 'nix-command flakes' build \
    --out-link "${FORGE_LANES_OUT_LINK:?}" "$1"
"#;

/// Returns the program and its arguments that run a command.
#[must_use]
pub fn argv(command: &Command) -> Vec<String> {
    match command {
        Command::Argv(argv) => argv.clone(),
        Command::Shell { script, as_root: _ } => words(&["/bin/sh", "-c", script]),
        Command::CargoTest { .. } | Command::CargoTests { .. } => {
            let cargo = cargo(command);
            let mut all = words(&["/bin/sh", "-c", TESTS, "cargo-tests", &in_one_line(&cargo)]);
            all.extend(cargo);
            all
        }
        Command::Staged(path) => words(&[path.as_str()]),
        Command::NixBuild { installable, output_name: _ } => {
            words(&["/bin/sh", "-c", NIX_BUILD, "nix-build", installable])
        }
    }
}

/// Returns the command as people would type it, in one line.
#[must_use]
pub fn display(command: &Command) -> String {
    match command {
        Command::Argv(argv) => in_one_line(argv),
        Command::Shell { script, .. } => in_one_line(&words(&["/bin/sh", "-c", script])),
        Command::CargoTest { .. } | Command::CargoTests { .. } => in_one_line(&cargo(command)),
        Command::Staged(path) => in_one_line(&words(&[path.as_str()])),
        Command::NixBuild { installable, .. } => {
            in_one_line(&words(&["nix", "build", installable]))
        }
    }
}

fn cargo(command: &Command) -> Vec<String> {
    match command {
        // An exact name is a test function's: without the documentation tests, which are slow to
        // list and have other names.
        Command::CargoTest { package, test } => {
            words(&["cargo", "test", "--package", package, "--tests", "--", test, "--exact"])
        }
        Command::CargoTests { package, filter, lib_only } => {
            let mut all = words(&["cargo", "test", "--package", package]);
            all.extend(lib_only.then(|| "--lib".to_owned()));
            all.push("--".to_owned());
            all.extend(filter.clone());
            all
        }
        Command::Argv(_)
        | Command::Shell { .. }
        | Command::Staged(_)
        | Command::NixBuild { .. } => Vec::new(),
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// Returns words as one line that a POSIX shell reads back; a word with control characters is
/// written in `$'…'` form (POSIX.1-2024).
#[must_use]
pub fn in_one_line(words: &[String]) -> String {
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        if word.chars().any(char::is_control) {
            line.push_str("$'");
            for c in word.chars() {
                match c {
                    '\n' => line.push_str("\\n"),
                    '\t' => line.push_str("\\t"),
                    '\r' => line.push_str("\\r"),
                    '\'' | '\\' => {
                        line.push('\\');
                        line.push(c);
                    }
                    c if c.is_control() => {
                        for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                            let _ = write!(line, "\\{byte:03o}");
                        }
                    }
                    c => line.push(c),
                }
            }
            line.push('\'');
        } else {
            line.push_str(&String::from_utf8_lossy(&crate::command_line::quote(word)));
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_in_one_line_that_a_shell_reads_back() {
        let line = in_one_line(&words(&["sh", "-c", "echo 'a'\n\techo b\u{1}", "it's"]));
        assert_eq!(line, r"sh -c $'echo \'a\'\n\techo b\001' 'it'\''s'");
    }

    #[test]
    fn data_is_never_shell_text() {
        let hostile = "$(touch /tmp/x); '\"";
        let command = Command::CargoTest { package: "p".to_owned(), test: hostile.to_owned() };
        let argv = argv(&command);
        assert_eq!(argv[2], TESTS);
        assert!(argv.contains(&hostile.to_owned()));
    }
}
