//! What stands in for `${{ matrix.NAME }}`, and where.
//!
//! In values of `env`, whole words of an argv, images, hosts and descriptions; never in a shell's
//! text, which no value may become a part of: a script reads `MATRIX_NAME` from its environment.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    codes,
    decode::Named,
    diagnostic::Diagnostic,
    job_file::{CommandFile, JobFile, PlacementFile, RuntimeFile, Settings},
    names::{shorten, suggestion},
    source::{At, Span},
};

/// Returns the environment variable of a name.
pub(super) fn variable(name: &str) -> String {
    let upper = name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_uppercase() });
    "MATRIX_".chars().chain(upper).collect()
}

/// Whether a text speaks of a matrix.
fn speaks_of_matrix(text: &str) -> bool {
    text.match_indices("${{").any(|(at, open)| {
        text[at + open.len()..]
            .trim_start()
            .strip_prefix("matrix")
            .is_some_and(|rest| rest.trim_start().starts_with('.'))
    })
}

/// Every text of settings in which a value may stand.
fn texts(settings: &Settings) -> impl Iterator<Item = &At<String>> {
    let env = settings.env.iter().flat_map(|env| env.0.iter().map(|(_, value)| value));
    let host = settings.placement.iter().filter_map(|placement| match &placement.value {
        PlacementFile::RemoteSsh(remote) => Some(&remote.host),
        PlacementFile::Local => None,
    });
    let image = settings.runtime.iter().filter_map(|runtime| match &runtime.value {
        RuntimeFile::Incus(incus) => Some(&incus.image),
        RuntimeFile::Tart(tart) => Some(&tart.image),
        RuntimeFile::HostProcess => None,
    });
    env.chain(host).chain(image)
}

/// Whether settings of a base speak of a matrix: each member then has its own.
pub(super) fn mentions(settings: &Settings) -> bool {
    texts(settings).any(|text| speaks_of_matrix(text))
}

/// The words of a command without a shell, and the text of one with.
fn command(job: &JobFile) -> (&[At<String>], Option<&At<String>>) {
    match job.command.as_ref().map(|at| &at.value) {
        Some(CommandFile::Argv(words)) => (words, None),
        Some(CommandFile::Table(table)) => {
            (table.argv.as_ref().map_or(&[], |at| &at.value), table.shell.as_ref())
        }
        None => (&[], None),
    }
}

/// Refuses names of a matrix in a job that has none.
pub(super) fn refuse_without_matrix(job: &JobFile, found: &mut Vec<Diagnostic>) {
    let (words, _) = command(job);
    let texts = texts(&job.settings).chain(words).chain(&job.description);
    for text in texts.filter(|text| speaks_of_matrix(text)) {
        let message = format!("the job `{}` has no matrix", shorten(&job.id));
        found.push(Diagnostic::error(&codes::UNKNOWN_MATRIX_NAME, text.span, message).remedy());
    }
}

/// Refuses a variable of the job's own with a name that a member is told something by.
fn taken(own: &At<String>) -> Diagnostic {
    let message = format!("`{}` is what the matrix or the shard says", own.value);
    Diagnostic::error(&codes::INVALID_COMBINATION, own.span, message)
        .help("give the variable another name")
}

/// One member of a group in the making.
pub(super) struct Filling<'a> {
    pub(super) job: &'a JobFile,
    pub(super) base: Option<&'a Settings>,
    pub(super) row: &'a BTreeMap<String, String>,
    /// The names of all combinations; one that this row lacks is empty.
    pub(super) known: &'a BTreeSet<&'a str>,
    pub(super) found: &'a mut Vec<Diagnostic>,
}

impl Filling<'_> {
    pub(super) fn fill(mut self, file: &mut JobFile, shard: Option<(u32, u32)>) {
        self.take_from_base(&mut file.settings);
        if let Some(description) = &mut file.description {
            self.text(description);
        }
        self.settings(&mut file.settings);
        match file.command.as_mut().map(|at| &mut at.value) {
            Some(CommandFile::Argv(words)) => words.iter_mut().for_each(|word| self.word(word)),
            Some(CommandFile::Table(table)) => {
                let words = table.argv.iter_mut().flat_map(|at| &mut at.value);
                words.for_each(|word| self.word(word));
                if let Some(shell) = &table.shell {
                    self.no_place(shell, "a shell's text");
                }
            }
            None => {}
        }
        self.elsewhere();
        self.variables(&mut file.settings, shard);
    }

    /// Keys of a base that speak of the matrix become the member's own.
    fn take_from_base(&self, own: &mut Settings) {
        let Some(base) = self.base else { return };
        let place = |settings: &Settings, key: &str| {
            settings.written.iter().find(|(name, _)| *name == key).copied()
        };
        if own.placement.is_none() {
            own.placement.clone_from(&base.placement);
            own.written.extend(place(base, "placement"));
        }
        if own.runtime.is_none() {
            own.runtime.clone_from(&base.runtime);
            own.written.extend(place(base, "runtime"));
        }
        for (name, value) in base.env.iter().flat_map(|env| &env.0) {
            let env = own.env.get_or_insert_default();
            if !env.0.iter().any(|(other, _)| other.value == name.value) {
                env.0.push((name.clone(), value.clone()));
            }
        }
    }

    fn settings(&mut self, settings: &mut Settings) {
        for (_, value) in settings.env.iter_mut().flat_map(|env| &mut env.0) {
            self.text(value);
        }
        if let Some(PlacementFile::RemoteSsh(remote)) =
            settings.placement.as_mut().map(|at| &mut at.value)
        {
            self.text(&mut remote.host);
        }
        match settings.runtime.as_mut().map(|at| &mut at.value) {
            Some(RuntimeFile::Incus(incus)) => self.text(&mut incus.image),
            Some(RuntimeFile::Tart(tart)) => self.text(&mut tart.image),
            Some(RuntimeFile::HostProcess) | None => {}
        }
    }

    /// Replaces every name in a text.
    fn text(&mut self, text: &mut At<String>) {
        if !text.value.contains("${{") {
            return;
        }
        let mut filled = String::with_capacity(text.value.len());
        let mut rest = text.value.as_str();
        while let Some(open) = rest.find("${{") {
            filled.push_str(&rest[..open]);
            let behind = &rest[open + 3..];
            let Some(close) = behind.find("}}") else {
                self.unknown(text.span, behind);
                return;
            };
            match self.value(&behind[..close]) {
                Some(value) => filled.push_str(&value),
                None => {
                    self.unknown(text.span, &behind[..close]);
                    return;
                }
            }
            rest = &behind[close + 2..];
        }
        filled.push_str(rest);
        text.value = filled;
    }

    /// Replaces a word that is a name and nothing else.
    fn word(&mut self, word: &mut At<String>) {
        let inside = word.value.trim().strip_prefix("${{").and_then(|it| it.strip_suffix("}}"));
        match inside {
            Some(inside) if !inside.contains("}}") => self.text(word),
            _ => self.no_place(word, "a part of a word"),
        }
    }

    fn value(&self, inside: &str) -> Option<String> {
        let name = inside.trim().strip_prefix("matrix")?.trim_start().strip_prefix('.')?.trim();
        match self.row.get(name) {
            Some(value) => Some(value.clone()),
            None => self.known.contains(name).then(String::new),
        }
    }

    fn unknown(&mut self, span: Span, inside: &str) {
        let inside = inside.trim();
        let message = format!("`${{{{ {} }}}}` is no name of the matrix", shorten(inside));
        let name = inside.strip_prefix("matrix.").unwrap_or(inside);
        let mut diagnostic = Diagnostic::error(&codes::UNKNOWN_MATRIX_NAME, span, message);
        diagnostic = match suggestion(name, self.known.iter().copied()) {
            Some(near) => diagnostic.help(format!("did you mean `${{{{ matrix.{near} }}}}`?")),
            None => diagnostic.remedy(),
        };
        self.found.push(diagnostic);
    }

    fn no_place(&mut self, text: &At<String>, what: &str) {
        if !speaks_of_matrix(text) {
            return;
        }
        let name = text.find("${{").map_or("", |at| &text[at + 3..]);
        let name = name.trim_start().trim_start_matches("matrix").trim_start();
        let name = name.trim_start_matches('.').trim_start();
        let end = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        let variable = variable(&name[..end.unwrap_or(name.len())]);
        let message = format!("{what} is no place for a value of the matrix");
        self.found.push(
            Diagnostic::error(&codes::MATRIX_IN_TEXT, text.span, message)
                .help(format!("a script reads `${variable}`; a whole word may be `${{{{ … }}}}`")),
        );
    }

    /// Other keys are taken as they are written.
    fn elsewhere(&mut self) {
        let settings = &self.job.settings;
        let lists = [
            &settings.secrets,
            &settings.artifacts,
            &settings.outputs,
            &settings.inputs,
            &settings.inputs_exclude,
            &self.job.paths,
            &self.job.exclude,
        ];
        let setup = settings
            .host_setup_command
            .as_ref()
            .map(|at| At { value: at.value.script().to_owned(), span: at.span });
        let texts: Vec<&At<String>> = lists
            .into_iter()
            .flat_map(|list| list.iter().flatten())
            .chain(&settings.working_dir)
            .chain(&setup)
            .chain(&self.job.staged_command)
            .chain(self.job.shard_files.iter().flat_map(|at| &at.value))
            .chain(&self.job.shard_durations)
            .collect();
        for text in texts {
            self.no_place(text, "this key");
        }
    }

    /// Adds what a member says of itself to its environment.
    fn variables(&mut self, settings: &mut Settings, shard: Option<(u32, u32)>) {
        let span = self.job.matrix.as_ref().map_or(self.job.id.span, |at| at.span);
        let mut variables: Vec<(String, String)> = Vec::new();
        for name in self.known {
            let value = self.row.get(*name).cloned().unwrap_or_default();
            variables.push((variable(name), value));
        }
        if let Some((index, count)) = shard {
            variables.push(("FORGE_LANES_SHARD".to_owned(), index.to_string()));
            variables.push(("FORGE_LANES_SHARDS".to_owned(), count.to_string()));
        }
        if self.job.shard_files.is_some() {
            let env = settings.env.iter().flat_map(|env| &env.0);
            for (own, _) in env.filter(|(name, _)| name.value == "FORGE_LANES_SHARD_FILES") {
                self.found.push(taken(own));
            }
        }
        let Named(env) = settings.env.get_or_insert_default();
        for (name, value) in variables {
            if let Some((own, _)) = env.iter().find(|(own, _)| own.value == name) {
                self.found.push(taken(own));
                continue;
            }
            env.push((At { value: name, span }, At { value, span }));
        }
    }
}
