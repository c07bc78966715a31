//! The one room that reads the process's surroundings, and the one that prints.
//!
//! Data goes to stdout at the very end of a command, talk to stderr, colour only to a terminal. A
//! reader that closes the pipe has seen what it wanted: that is success.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
};

use lanes::{Diagnostics, Style};

use crate::{PlanningError, event::Event, exit_code::Exit, git::Note, planned_tree::TreeError};

/// The process's surroundings, read once.
pub(super) struct Console {
    dir: PathBuf,
    verbose: bool,
    variables: BTreeMap<String, String>,
    colour: bool,
    data_colour: bool,
}

/// What went wrong: a text for people and an exit code.
#[derive(Debug)]
pub(super) struct Failure {
    exit: Exit,
    message: String,
    /// What stands behind it, as far as the message does not say so.
    causes: Vec<String>,
    help: Option<String>,
    diagnostics: Option<Box<Diagnostics>>,
}

impl Failure {
    /// Bad usage or input.
    pub(super) fn bad_input(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            exit: Exit::BadInput,
            message: message.into(),
            causes: Vec::new(),
            help: Some(help.into()).filter(|help: &String| !help.is_empty()),
            diagnostics: None,
        }
    }

    /// Refused.
    pub(super) fn refused(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { exit: Exit::Refused, ..Self::bad_input(message, help) }
    }

    /// The answer is no, and it has been given.
    pub(super) fn no(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { exit: Exit::No, ..Self::bad_input(message, help) }
    }

    /// Says what the failure is about.
    pub(super) fn about(mut self, what: &str) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Bad input, with every problem and its place.
    pub(super) fn diagnosed(diagnostics: Box<Diagnostics>) -> Self {
        let count = diagnostics.len();
        let message = format!("{count} {}", if count == 1 { "problem" } else { "problems" });
        Self { diagnostics: Some(diagnostics), ..Self::bad_input(message, "") }
    }
}

impl From<PlanningError> for Failure {
    fn from(error: PlanningError) -> Self {
        let (message, causes) = (error.to_string(), plans::causes(&error));
        let failure = match error {
            PlanningError::Definitions(found) => Self::diagnosed(found),
            PlanningError::RepoContext(error) => Self::bad_input(message, error.help()),
            PlanningError::Tree(TreeError::Git(error)) => Self::bad_input(message, error.help()),
            PlanningError::Request(error) => Self::bad_input(message, error.help()),
            PlanningError::Tree(_) | PlanningError::Id(_) | PlanningError::Plan(_) => {
                Self::bad_input(message, "")
            }
        };
        Self { causes, ..failure }
    }
}

#[expect(clippy::disallowed_methods, reason = "GitHub names its event by a file")]
fn event_file(path: &str) -> Option<Vec<u8>> {
    std::fs::read(path).ok()
}

impl Console {
    /// Reads the surroundings of this process.
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    pub(super) fn of_process(dir: Option<PathBuf>, verbose: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            dir: dir.unwrap_or_else(|| PathBuf::from(".")),
            verbose,
            variables,
            colour: !plain && !dumb && io::stderr().is_terminal(),
            data_colour: !plain && !dumb && io::stdout().is_terminal(),
        }
    }

    /// Returns the same surroundings, seen from another directory.
    pub(super) fn at(&self, dir: &Path) -> Self {
        let dir = self.dir.join(dir);
        let dir = std::path::absolute(&dir).unwrap_or(dir);
        let variables = self.variables.clone();
        Self { dir, variables, ..*self }
    }

    /// Returns the directory to start from.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns whether everything is to be said.
    pub(super) fn verbose(&self) -> bool {
        self.verbose
    }

    /// Returns whether data may be coloured.
    pub(super) fn data_colour(&self) -> bool {
        self.data_colour
    }

    /// Returns the width of text that people read, in columns.
    pub(super) fn width(&self) -> usize {
        let columns = self.variables.get("COLUMNS").and_then(|columns| columns.parse().ok());
        columns.unwrap_or(80).clamp(40, 200)
    }

    /// Returns what the engine says about this run, if it runs under one.
    pub(super) fn event(&self) -> Option<Event> {
        Event::from_environment(&self.variables, &event_file)
    }

    /// Returns what each engine says whose variables are set; the first is the one that counts.
    pub(super) fn every_event(&self) -> Vec<Event> {
        Event::of_every_engine(&self.variables, &event_file).collect()
    }

    /// Returns the variables of this process.
    pub(super) fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// Reads a file, from the directory the command starts in; `-` is standard input.
    #[expect(clippy::disallowed_methods, reason = "arguments name files")]
    pub(super) fn read(&self, path: &Path) -> Result<Vec<u8>, Failure> {
        let cannot = |error: io::Error| {
            let message = format!("`{}` cannot be read: {error}", path.display());
            Failure::bad_input(message, "check the path")
        };
        if path == Path::new("-") {
            let mut bytes = Vec::new();
            io::stdin().lock().read_to_end(&mut bytes).map_err(cannot)?;
            return Ok(bytes);
        }
        std::fs::read(self.dir.join(path)).map_err(cannot)
    }

    /// Returns whether a file is there, from the directory the command starts in.
    #[expect(clippy::disallowed_methods, reason = "arguments name files")]
    pub(super) fn is_file(&self, path: &Path) -> bool {
        std::fs::metadata(self.dir.join(path)).is_ok_and(|found| !found.is_dir())
    }

    /// Returns whether anything is there, be it a link that leads nowhere.
    #[expect(clippy::disallowed_methods, reason = "arguments name files")]
    pub(super) fn exists(&self, path: &Path) -> bool {
        std::fs::symlink_metadata(self.dir.join(path)).is_ok()
    }

    /// Writes a file that is not there yet; what came to be there meanwhile is left alone.
    pub(super) fn create_file(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.dir.join(path);
        let create = || {
            let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
            file.write_all(bytes)
        };
        create().map_err(|error| {
            let message = format!("`{}` cannot be written: {error}", path.display());
            Failure::bad_input(message, "check the directory and the space on its disk")
        })
    }

    /// Writes a file whole or not at all: beside it first, then renamed. What is there and no regular
    /// file (`/dev/null`, a pipe) is written to; a link's target is replaced, not the link.
    #[expect(clippy::disallowed_methods, reason = "arguments name files")]
    pub(super) fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        let path = self.dir.join(path);
        let path = path.canonicalize().unwrap_or(path);
        if path.metadata().is_ok_and(|found| !found.is_file()) {
            return std::fs::write(&path, bytes).map_err(|error| {
                let message = format!("`{}` cannot be written: {error}", path.display());
                Failure::bad_input(message, "name a file, or a device that takes it")
            });
        }
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let beside = path.with_file_name(name);
        std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, &path)).map_err(
            |error| {
                let _ = std::fs::remove_file(&beside);
                let message = format!("`{}` cannot be written: {error}", path.display());
                Failure::bad_input(message, "check the directory and the space on its disk")
            },
        )
    }

    /// Reads every file of a directory that ends in `.extension`, by its name without that; a
    /// directory that does not exist has none.
    #[expect(clippy::disallowed_methods, reason = "goldens are files beside each other")]
    pub(super) fn files_in(
        &self,
        dir: &Path,
        extension: &str,
    ) -> Result<BTreeMap<String, Vec<u8>>, Failure> {
        let dir = self.dir.join(dir);
        let cannot = |error: io::Error| {
            let message = format!("`{}` cannot be read: {error}", dir.display());
            Failure::bad_input(message, "check its permissions")
        };
        let entries = match std::fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(error) => return Err(cannot(error)),
        };
        let mut files = BTreeMap::new();
        for entry in entries {
            let path = entry.map_err(cannot)?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str());
            if let Some(stem) = stem.filter(|_| path.extension().is_some_and(|e| e == extension)) {
                files.insert(stem.to_owned(), std::fs::read(&path).map_err(cannot)?);
            }
        }
        Ok(files)
    }

    /// Makes a directory and those above it.
    #[expect(clippy::disallowed_methods, reason = "goldens are files beside each other")]
    pub(super) fn make_dir(&self, dir: &Path) -> Result<(), Failure> {
        std::fs::create_dir_all(self.dir.join(dir)).map_err(|error| {
            let message = format!("`{}` cannot be made: {error}", dir.display());
            Failure::bad_input(message, "check the permissions of the directory above")
        })
    }

    /// Removes a file.
    #[expect(clippy::disallowed_methods, reason = "goldens are files beside each other")]
    pub(super) fn remove_file(&self, path: &Path) -> Result<(), Failure> {
        std::fs::remove_file(self.dir.join(path)).map_err(|error| {
            let message = format!("`{}` cannot be removed: {error}", path.display());
            Failure::bad_input(message, "check its permissions")
        })
    }

    /// Writes data to standard output.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        match out.write_all(bytes).and_then(|()| out.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let message = format!("standard output cannot be written: {error}");
                Err(Failure::bad_input(message, "check the space on its disk"))
            }
            _ => Ok(()),
        }
    }

    /// Says what is worth saying about an answer.
    pub(super) fn notes(&self, notes: &[Note]) {
        for note in notes {
            match note {
                Note::Warning(text) => self.say(&format!("{}: {text}", self.word("warning", 33))),
                Note::Info(text) if self.verbose => self.say(&format!("note: {text}")),
                Note::Info(_) => {}
            }
        }
    }

    /// Renders findings about files for this terminal.
    pub(super) fn render(&self, diagnostics: &Diagnostics) -> String {
        diagnostics.render(Style { colour: self.colour, width: self.width().max(100) })
    }

    /// Prints a failure and returns its exit code.
    pub(super) fn fail(&self, failure: &Failure) -> Exit {
        if let Some(diagnostics) = &failure.diagnostics {
            self.say(self.render(diagnostics).trim_end());
            self.say("");
        }
        self.say(&format!("{}: {}", self.word("error", 31), failure.message));
        for cause in &failure.causes {
            self.say(&format!("{}: {cause}", self.word("caused by", 31)));
        }
        if let Some(help) = &failure.help {
            self.say(&format!("{}: {help}", self.word("help", 36)));
        }
        failure.exit
    }

    /// Prints a line of talk.
    #[expect(clippy::unused_self, reason = "whoever talks has a console")]
    pub(super) fn say(&self, text: &str) {
        // There is nobody left to tell when stderr is closed.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    fn word(&self, word: &str, code: u8) -> String {
        if self.colour { format!("\x1b[1;{code}m{word}\x1b[0m") } else { word.to_owned() }
    }
}
