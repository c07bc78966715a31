//! What a node runs. Nothing here quotes: words stay words until the one place that speaks to a
//! shell.

use serde::{Deserialize, Serialize};

use crate::AbsolutePath;

/// The command of a node.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "CommandWire", into = "CommandWire")]
pub enum Command {
    /// A program and its arguments, run without a shell.
    Argv(Vec<String>),
    /// A script for `/bin/sh`.
    Shell {
        /// The script's text.
        script: String,
        /// Whether the guest's root runs it; only runtimes with a guest of their own allow it.
        as_root: bool,
    },
    /// Exactly one Rust test, by its whole name; failing to match one is a failure.
    CargoTest {
        /// The cargo package.
        package: String,
        /// The test's whole path.
        test: String,
    },
    /// A package's Rust tests; matching none is a failure.
    CargoTests {
        /// The cargo package.
        package: String,
        /// What test names must contain; absent: every test.
        filter: Option<String>,
        /// Only the library's unit tests.
        lib_only: bool,
    },
    /// A program of a mounted payload, by its path in the guest.
    Staged(AbsolutePath),
    /// `nix build` of one installable; its store path is the node's output.
    NixBuild {
        /// What is built, such as `.#ci.x86_64-linux.workspaceDeps`.
        installable: String,
        /// The output's name for people and caches.
        output_name: String,
    },
}

/// Why a command cannot be run by anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommand {
    /// There is no program to run.
    #[error("the command is empty")]
    Empty,
    /// A NUL byte cannot be part of an argument (POSIX `execve`).
    #[error("a word of the command holds a NUL byte")]
    Nul,
    /// A name that would be read as an option.
    #[error("`{0}` would be read as an option")]
    Option(String),
    /// None or several of the alternatives are given.
    #[error(
        "exactly one of `argv`, `shell`, `cargo_test`, `cargo_tests`, `staged` and `nix_build` \
         is expected"
    )]
    NotExactlyOne,
}

impl Command {
    /// Checks what no type can: words without NUL, names that are not options.
    ///
    /// # Errors
    ///
    /// [`InvalidCommand`] says what is wrong.
    pub fn validate(&self) -> Result<(), InvalidCommand> {
        let words: Vec<&str> = match self {
            Self::Argv(argv) => {
                if argv.first().is_none_or(String::is_empty) {
                    return Err(InvalidCommand::Empty);
                }
                argv.iter().map(String::as_str).collect()
            }
            Self::Shell { script, .. } => {
                if script.trim().is_empty() {
                    return Err(InvalidCommand::Empty);
                }
                vec![script]
            }
            Self::CargoTest { package, test } => names(&[package, test])?,
            Self::CargoTests { package, filter, .. } => match filter {
                Some(filter) => names(&[package, filter])?,
                None => names(&[package])?,
            },
            Self::Staged(path) => vec![path.as_str()],
            Self::NixBuild { installable, output_name } => names(&[installable, output_name])?,
        };
        if words.iter().any(|word| word.contains('\0')) {
            return Err(InvalidCommand::Nul);
        }
        Ok(())
    }
}

fn names<'a>(names: &[&'a String]) -> Result<Vec<&'a str>, InvalidCommand> {
    names
        .iter()
        .map(|name| {
            if name.is_empty() {
                Err(InvalidCommand::Empty)
            } else if name.starts_with('-') {
                Err(InvalidCommand::Option(name.chars().take(64).collect()))
            } else {
                Ok(name.as_str())
            }
        })
        .collect()
}

/// The command on the wire: one of the alternatives by its key; `as_root` stands beside `shell`.
#[derive(Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Command", extend("oneOf" = [
    { "required": ["argv"] }, { "required": ["shell"] }, { "required": ["cargo_test"] },
    { "required": ["cargo_tests"] }, { "required": ["staged"] }, { "required": ["nix_build"] },
]))]
struct CommandWire {
    /// A program and its arguments, run without a shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    argv: Option<Vec<String>>,
    /// A script for `/bin/sh`.
    #[serde(skip_serializing_if = "Option::is_none")]
    shell: Option<String>,
    /// With `shell`: whether the guest's root runs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_root: Option<bool>,
    /// Exactly one Rust test.
    #[serde(skip_serializing_if = "Option::is_none")]
    cargo_test: Option<CargoTestWire>,
    /// A package's Rust tests.
    #[serde(skip_serializing_if = "Option::is_none")]
    cargo_tests: Option<CargoTestsWire>,
    /// A program of a mounted payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    staged: Option<AbsolutePath>,
    /// `nix build` of one installable.
    #[serde(skip_serializing_if = "Option::is_none")]
    nix_build: Option<NixBuildWire>,
}

/// One exact test.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CargoTest")]
struct CargoTestWire {
    /// The cargo package.
    package: String,
    /// The test's whole path.
    test: String,
}

/// A package's tests.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CargoTests")]
struct CargoTestsWire {
    /// The cargo package.
    package: String,
    /// What test names must contain.
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<String>,
    /// Only the library's unit tests.
    lib_only: bool,
}

/// One nix build.
#[derive(Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NixBuild")]
struct NixBuildWire {
    /// What is built.
    installable: String,
    /// The output's name.
    output_name: String,
}

impl From<Command> for CommandWire {
    fn from(command: Command) -> Self {
        let none = Self::default();
        match command {
            Command::Argv(argv) => Self { argv: Some(argv), ..none },
            Command::Shell { script, as_root } => {
                Self { shell: Some(script), as_root: Some(as_root), ..none }
            }
            Command::CargoTest { package, test } => {
                Self { cargo_test: Some(CargoTestWire { package, test }), ..none }
            }
            Command::CargoTests { package, filter, lib_only } => {
                Self { cargo_tests: Some(CargoTestsWire { package, filter, lib_only }), ..none }
            }
            Command::Staged(path) => Self { staged: Some(path), ..none },
            Command::NixBuild { installable, output_name } => {
                Self { nix_build: Some(NixBuildWire { installable, output_name }), ..none }
            }
        }
    }
}

impl TryFrom<CommandWire> for Command {
    type Error = InvalidCommand;

    fn try_from(wire: CommandWire) -> Result<Self, InvalidCommand> {
        let command = match wire {
            CommandWire {
                argv: Some(argv),
                shell: None,
                as_root: None,
                cargo_test: None,
                cargo_tests: None,
                staged: None,
                nix_build: None,
            } => Self::Argv(argv),
            CommandWire {
                argv: None,
                shell: Some(script),
                as_root,
                cargo_test: None,
                cargo_tests: None,
                staged: None,
                nix_build: None,
            } => Self::Shell { script, as_root: as_root.unwrap_or(false) },
            CommandWire {
                argv: None,
                shell: None,
                as_root: None,
                cargo_test: Some(CargoTestWire { package, test }),
                cargo_tests: None,
                staged: None,
                nix_build: None,
            } => Self::CargoTest { package, test },
            CommandWire {
                argv: None,
                shell: None,
                as_root: None,
                cargo_test: None,
                cargo_tests: Some(CargoTestsWire { package, filter, lib_only }),
                staged: None,
                nix_build: None,
            } => Self::CargoTests { package, filter, lib_only },
            CommandWire {
                argv: None,
                shell: None,
                as_root: None,
                cargo_test: None,
                cargo_tests: None,
                staged: Some(path),
                nix_build: None,
            } => Self::Staged(path),
            CommandWire {
                argv: None,
                shell: None,
                as_root: None,
                cargo_test: None,
                cargo_tests: None,
                staged: None,
                nix_build: Some(NixBuildWire { installable, output_name }),
            } => Self::NixBuild { installable, output_name },
            _ => return Err(InvalidCommand::NotExactlyOne),
        };
        command.validate()?;
        Ok(command)
    }
}

impl schemars::JsonSchema for Command {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        CommandWire::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        CommandWire::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_reads_back_as_written() {
        for wire in [
            r#"{"argv":["./x","--flag"]}"#,
            r#"{"shell":"make test","as_root":false}"#,
            r#"{"cargo_test":{"package":"p","test":"a::b"}}"#,
            r#"{"cargo_tests":{"package":"p","lib_only":true}}"#,
            r#"{"staged":"/staged/linux-rust/workspace-build/bin/run"}"#,
            r##"{"nix_build":{"installable":".#x","output_name":"x"}}"##,
        ] {
            let command: Command = serde_json::from_str(wire).expect(wire);
            assert_eq!(serde_json::to_string(&command).expect("serializes"), wire);
        }
    }

    #[test]
    fn a_command_that_nothing_could_run_is_refused() {
        for wire in [
            r#"{}"#,
            r#"{"argv":[]}"#,
            r#"{"argv":[""]}"#,
            r#"{"argv":["a\u0000b"]}"#,
            r#"{"shell":"  ","as_root":false}"#,
            r#"{"argv":["a"],"shell":"b"}"#,
            r#"{"argv":["a"],"as_root":true}"#,
            r#"{"cargo_test":{"package":"--help","test":"t"}}"#,
            r#"{"nix_build":{"installable":"--impure","output_name":"x"}}"#,
            r#"{"docker":"x"}"#,
        ] {
            assert!(serde_json::from_str::<Command>(wire).is_err(), "{wire} was accepted");
        }
    }
}
