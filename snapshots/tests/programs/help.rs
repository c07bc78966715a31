//! Help texts, manual pages and completions, for every command there is.

use clap::{Command, CommandFactory as _};

use crate::shell::Shell;

fn programs() -> [Command; 2] {
    [planner::cli::Cli::command(), executor::cli::Cli::command()].map(|mut program| {
        program.build();
        program
    })
}

/// Every command with the words that call it, the program first.
fn all(command: &Command, called: &str, found: &mut Vec<(String, Command)>) {
    found.push((called.to_owned(), command.clone()));
    for deeper in command.get_subcommands().filter(|one| one.get_name() != "help") {
        all(deeper, &format!("{called} {}", deeper.get_name()), found);
    }
}

pub(crate) fn commands() -> Vec<(String, Command)> {
    let mut found = Vec::new();
    for program in programs() {
        all(&program, program.get_name(), &mut found);
    }
    found
}

/// The calls of our programs in a line of examples: without what explains it, each side of a pipe.
fn calls(line: &str) -> Vec<Vec<String>> {
    let line = line.trim();
    let line = line.split("  ").next().unwrap_or(line);
    line.replace("&&", "|")
        .split(['|', ';'])
        .map(|call| call.split('>').next().unwrap_or(call).replace('"', ""))
        .map(|call| call.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
        .filter(|words| words.first().is_some_and(|word| word == "planner" || word == "executor"))
        .collect()
}

#[test]
fn every_command_has_examples_that_are_calls_of_it() {
    let mut wrong = Vec::new();
    for (called, command) in commands() {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if !after.contains("Example") {
            wrong.push(format!("`{called}` has no example"));
        }
        let calls: Vec<_> =
            after.lines().filter(|line| line.starts_with("  ")).flat_map(calls).collect();
        let words: Vec<_> = called.split(' ').collect();
        if !calls.iter().any(|call| words.iter().all(|word| call.iter().any(|w| w == word))) {
            wrong.push(format!("no example of `{called}` calls it"));
        }
        for call in calls {
            let [planner, executor] = programs();
            let program = if call[0] == "planner" { planner } else { executor };
            if let Err(error) = program.try_get_matches_from(&call) {
                wrong.push(format!("`{}` of `{called}`: {error}", call.join(" ")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_command_says_what_it_and_its_arguments_do() {
    let mut wrong = Vec::new();
    for (called, command) in commands() {
        if command.get_about().is_none() {
            wrong.push(called.clone());
        }
        for argument in command.get_arguments() {
            if argument.get_help().is_none() {
                wrong.push(format!("{called} {argument}"));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[test]
fn every_command_has_a_manual_page_that_is_well_formed() {
    let shell = Shell::new();
    let has_groff = shell.run("command -v groff").code == Some(0);
    for program in programs() {
        let name = program.get_name();
        shell.does(&format!("{name} man --out-dir pages"));
        assert_eq!(shell.does(&format!("{name} man")), shell.does(&format!("cat pages/{name}.1")),);
    }
    for (called, command) in commands() {
        let file = format!("pages/{}.1", called.replace(' ', "-"));
        let page = shell.does(&format!("cat {file}"));
        for section in [".TH", ".SH NAME", ".SH SYNOPSIS"] {
            assert!(page.contains(section), "{file} has no {section}");
        }
        let about = command.get_about().expect("described").to_string();
        let words: Vec<_> = about.split([' ', '-', '\'', '.']).take(2).collect();
        assert!(words.iter().all(|word| page.contains(word)), "{file}: {about}");
        if has_groff {
            assert_eq!(
                shell.does(&format!("groff -K utf8 -man -ww -z -T utf8 {file}")),
                "",
                "{file}"
            );
        }
    }
    let written: usize = shell.does("ls pages | wc -l").trim().parse().expect("a number");
    assert_eq!(written, commands().len());
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let shell = Shell::new();
    for (words, expected) in [
        ("planner pl", "plan"),
        ("planner golden ac", "accept"),
        ("planner plan --base-f", "--base-first-parent"),
        ("planner show --format mark", "markdown"),
        ("planner import git", "github gitlab"),
        ("executor re", "rerun resume results report"),
        ("executor apply --dry", "--dry-run"),
        ("executor logs --kind g", "guest"),
    ] {
        let program = words.split(' ').next().expect("a word");
        let count = words.split(' ').count() - 1;
        let (before, last) = words.rsplit_once(' ').expect("two words");
        let previous = before.rsplit(' ').next().expect("a word");
        let said = shell.does(&format!(
            "{program} completions bash > {program}.bash\n\
             bash --noprofile --norc -euc '. ./{program}.bash; COMP_WORDS=({words}); COMP_CWORD={count}; \
             complete -p {program} >/dev/null; _{program} {program} {last} {previous}; \
             echo \"${{COMPREPLY[*]}}\"'"
        ));
        assert_eq!(said.trim(), expected, "{words}");
    }
}

#[test]
fn completions_of_other_shells_are_well_formed() {
    let shell = Shell::new();
    for (other, check) in [("zsh", "zsh -n"), ("fish", "fish --no-execute")] {
        for program in ["planner", "executor"] {
            shell.does(&format!("{program} completions {other} > {program}.{other}"));
            if shell.run(&format!("command -v {other}")).code == Some(0) {
                assert_eq!(shell.does(&format!("{check} {program}.{other}")), "");
            } else {
                assert!(std::env::var_os("CI").is_none(), "no {other}: scripts/bootstrap engines");
            }
        }
    }
}

/// The calls of our programs that messages name, with something in the place of what they fill in.
fn named_in_messages() -> Vec<(String, Vec<String>)> {
    fn sources(dir: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().and_then(|it| it.to_str()).unwrap_or_default();
            if path.is_dir() && name != "tests" {
                sources(&path, found);
            } else if name.ends_with(".rs") && name != "tests.rs" {
                found.push(path);
            }
        }
    }
    let mut files = Vec::new();
    for member in ["plans", "lanes", "planner", "executor"] {
        sources(&crate::shell::root().join(member).join("src"), &mut files);
    }
    files.sort();
    let mut found = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("text");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        // A string goes on in the next line behind a backslash.
        let text = lines.collect::<Vec<_>>().join("\n").replace("\\\n", "");
        for quoted in text.split('`').skip(1).step_by(2).filter(|it| !it.contains('\n')) {
            let filled = quoted.replace("{}s", "lanes").replace('\u{2026}', "");
            let filled: String =
                filled.split('{').enumerate().fold(String::new(), |all, (at, part)| {
                    let rest = part.split_once('}').map_or(part, |it| it.1);
                    all + if at == 0 { part } else { "x" } + if at == 0 { "" } else { rest }
                });
            let file = file.strip_prefix(crate::shell::root()).expect("in the tree");
            for call in calls(&filled).into_iter().filter(|call| call.len() > 1) {
                found.push((format!("{}: `{quoted}`", file.display()), call));
            }
        }
    }
    found
}

/// Whatever an error, a finding or a note tells people to run is a call that the program takes.
#[test]
fn every_command_that_a_message_names_is_one() {
    let named = named_in_messages();
    assert!(named.len() > 40, "messages name commands in another way: {}", named.len());
    let mut wrong = Vec::new();
    for (place, call) in named {
        let [planner, executor] = programs();
        let program = if call[0] == "planner" { planner } else { executor };
        if let Err(error) = program.try_get_matches_from(&call)
            // Which plan or run is meant is clear where it is said.
            && error.kind() != clap::error::ErrorKind::MissingRequiredArgument
        {
            wrong.push(format!("{place}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
