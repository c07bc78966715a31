//! Definitions being drafted: what detectors and importers fill in, and the files it becomes.
//!
//! The text is for people who go on from it: comments say why a line is there, and one lane, one
//! target and one job look like the next. Whether it means something is decided by `lanes`, which
//! reads it like any other file.

use std::collections::BTreeSet;

use toml::Value;

/// Lanes with what they run.
#[derive(Debug, Default, Clone)]
pub struct Draft {
    /// What stands at the top of the manifest.
    pub heading: Vec<String>,
    /// `ignore`.
    pub ignore: Vec<String>,
    /// Named lists of globs.
    pub sets: Vec<(String, Vec<String>)>,
    /// `nightly_schedule_utc`.
    pub nightly_schedule_utc: Option<String>,
    /// In order; nightly ones are written behind the others.
    pub lanes: Vec<LaneDraft>,
    /// What stands at the end of the manifest.
    pub closing: Vec<String>,
    /// Jobs that stand for work that could not be carried over, and fail.
    pub placeholders: usize,
    /// What was there and could not be read.
    pub left_out: Vec<String>,
    /// What a changed path selects that nothing covers; a comment says why.
    pub unmatched_runs_all: bool,
}

/// A lane and the target of the same id that it runs.
#[derive(Debug, Default, Clone)]
pub struct LaneDraft {
    /// The id of lane and target.
    pub id: String,
    /// What a forge shows; nothing: the id.
    pub title: Option<String>,
    /// It is a nightly lane.
    pub nightly: bool,
    /// The lane before it whose target it runs; nothing: a target of its own.
    pub target_of: Option<String>,
    /// Lines above the lane.
    pub comment: Vec<String>,
    /// What the target is for.
    pub description: String,
    /// Nothing: always selected.
    pub paths: Option<Vec<String>>,
    /// `exclude`.
    pub exclude: Vec<String>,
    /// `statuses`.
    pub statuses: Vec<String>,
    /// The key of `inputs` and its packages.
    pub inputs: Option<(&'static str, Vec<String>)>,
    /// Lanes that it waits for, where they are selected.
    pub after: Vec<String>,
    /// At most one node of it at a time.
    pub concurrency_group: Option<String>,
    /// In order; at least one, unless it runs the target of another lane.
    pub jobs: Vec<JobDraft>,
}

/// One job of a target.
#[derive(Debug, Default, Clone)]
pub struct JobDraft {
    /// Its id.
    pub id: String,
    /// Lines above the job.
    pub comment: Vec<String>,
    /// What it is for.
    pub description: String,
    /// What runs.
    pub command: CommandDraft,
    /// Where it starts, from the root.
    pub working_dir: Option<String>,
    /// Other jobs by id.
    pub needs: Vec<String>,
    /// Files of other jobs: the job, the globs over what it keeps, and where they are put.
    pub takes: Vec<(String, Vec<String>, String)>,
    /// Globs of files kept after it.
    pub artifacts: Vec<String>,
    /// Names of values that it leaves for jobs that need it.
    pub outputs: Vec<String>,
    /// Environment.
    pub env: Vec<(String, String)>,
    /// Nothing: the base's.
    pub timeout_secs: Option<u64>,
    /// Tries after a failure.
    pub retries: u64,
    /// Exit codes after which a retry is worth it; none: all.
    pub retry_on: Vec<i64>,
    /// Its failures do not count: those exit codes, or all when there are none.
    pub allow_failure: Option<Vec<i64>>,
    /// The combinations it runs for; nothing: once.
    pub matrix: Option<MatrixDraft>,
    /// What stands behind its id in those of the jobs that its matrix and its parts make of it.
    pub members: Vec<String>,
    /// Into how many parts its work is split; 0: none.
    pub shards: u64,
    /// How what it needs must have ended; nothing: passed.
    pub run_if: Option<&'static str>,
    /// It calls git.
    pub clone: bool,
    /// Directories that outlive a run.
    pub caches: Vec<CacheDraft>,
    /// What it sees; nothing: everything.
    pub sees: Option<SeesDraft>,
}

/// What a job sees and nothing else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeesDraft {
    /// The key of `inputs_from` and its packages.
    pub from: (&'static str, Vec<String>),
    /// Globs beside these.
    pub inputs: Vec<String>,
}

/// A directory that outlives a run; the newest one will do where none has the exact key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheDraft {
    /// What it is called.
    pub name: String,
    /// Where it is, from the root.
    pub path: String,
    /// Globs of the files that decide what is in it.
    pub key: Vec<String>,
}

/// The combinations that a job runs for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MatrixDraft {
    /// Names with their values, in order.
    pub axes: Vec<(String, Vec<String>)>,
    /// `matrix_exclude`.
    pub exclude: Vec<Vec<(String, String)>>,
    /// `matrix_include`.
    pub include: Vec<Vec<(String, String)>>,
}

/// What a job runs.
#[derive(Debug, Clone)]
pub enum CommandDraft {
    /// A program and its arguments.
    Argv(Vec<String>),
    /// A script.
    Shell(String),
}

impl Default for CommandDraft {
    fn default() -> Self {
        Self::Argv(Vec::new())
    }
}

impl CommandDraft {
    /// Returns a program with plain arguments.
    #[must_use]
    pub fn argv(words: &[&str]) -> Self {
        Self::Argv(words.iter().map(|&word| word.to_owned()).collect())
    }
}

/// The files of a draft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftFiles {
    /// `ci/forge-lanes.toml`.
    pub manifest: String,
    /// `ci/catalog.toml`.
    pub catalog: String,
    /// `ci/invariants.toml`.
    pub invariants: String,
}

impl Draft {
    /// Returns an id made of a name that no lane and no job of the draft has.
    #[must_use]
    pub fn fresh_id(&self, name: &str) -> String {
        let plain = plain_id(name);
        let taken = self.taken();
        if !taken.contains(&plain) {
            return plain;
        }
        (2..).map(|n| format!("{plain}-{n}")).find(|id| !taken.contains(id)).unwrap_or(plain)
    }

    /// Returns the ids of all lanes and jobs, and of the jobs that matrices make.
    #[must_use]
    pub fn taken(&self) -> BTreeSet<String> {
        let lanes = self.lanes.iter().map(|lane| lane.id.clone());
        let jobs = self.lanes.iter().flat_map(|lane| &lane.jobs);
        lanes.chain(jobs.flat_map(|job| job.ids(&job.id))).collect()
    }

    /// Returns a name of a set that no set of the draft has.
    #[must_use]
    pub fn fresh_set(&self, name: &str) -> String {
        let plain = plain_id(name);
        let taken = |name: &String| self.sets.iter().any(|(known, _)| known == name);
        let more = (2..).map(|number| format!("{plain}-{number}"));
        std::iter::once(plain.clone()).chain(more).find(|name| !taken(name)).unwrap_or(plain)
    }

    /// Adds a lane; jobs of it that are called like something of the draft get another name.
    pub fn push(&mut self, mut lane: LaneDraft) {
        let lanes = self.lanes.iter().map(|lane| lane.id.clone());
        let jobs = self.lanes.iter().flat_map(|lane| &lane.jobs).map(|job| job.id.clone());
        let mut taken: BTreeSet<String> = lanes.chain(jobs).chain([lane.id.clone()]).collect();
        let mut renamed: Vec<(String, String)> = Vec::new();
        for job in &mut lane.jobs {
            let own = job.id.clone();
            let more = (2..).map(|number| format!("{own}-{number}"));
            let fresh = std::iter::once(own.clone()).chain(more).find(|id| !taken.contains(id));
            job.id = fresh.unwrap_or_else(|| own.clone());
            taken.insert(job.id.clone());
            if job.id != own {
                renamed.push((own, job.id.clone()));
            }
        }
        for need in lane.jobs.iter_mut().flat_map(|job| &mut job.needs) {
            if let Some((_, now)) = renamed.iter().find(|(before, _)| before == need) {
                need.clone_from(now);
            }
        }
        self.lanes.push(lane);
    }

    /// Writes the files.
    #[must_use]
    pub fn files(&self) -> DraftFiles {
        DraftFiles {
            manifest: self.manifest(),
            catalog: self.catalog(),
            invariants: INVARIANTS.to_owned(),
        }
    }

    fn manifest(&self) -> String {
        let mut out = Lines::default();
        out.line("#:schema ./lanes.schema.json");
        out.comment(&self.heading);
        out.line("version = 1");
        if let Some(time) = &self.nightly_schedule_utc {
            out.pair("nightly_schedule_utc", time);
        }
        out.gap();
        if self.unmatched_runs_all {
            out.comment(&[
                "A changed file that nothing below covers runs every lane: better once too often than".to_owned(),
                "once too little. With \"none\" it runs nothing, and the plan lists it.".to_owned(),
            ]);
            out.line("unmatched_paths = \"all_lanes\"");
            out.gap();
        }
        if !self.ignore.is_empty() {
            out.comment(&["Known, and nothing to run for.".to_owned()]);
            out.list("ignore", &self.ignore);
            out.gap();
        }
        if !self.sets.is_empty() {
            out.comment(&["Named lists, used as \"@name\".".to_owned()]);
            out.line("[path_sets]");
            for (name, globs) in &self.sets {
                out.list(&key(name), globs);
            }
            out.gap();
        }
        let (nightly, branch): (Vec<&LaneDraft>, Vec<&LaneDraft>) =
            self.lanes.iter().partition(|lane| lane.nightly);
        for lane in branch.into_iter().chain(nightly) {
            out.comment(&lane.comment);
            out.line(if lane.nightly { "[[nightly.lanes]]" } else { "[[branch.lanes]]" });
            out.pair("id", &lane.id);
            if let Some(title) = &lane.title {
                out.pair("title", title);
            }
            out.pair("target", lane.target_of.as_ref().unwrap_or(&lane.id));
            if let Some((kind, packages)) = &lane.inputs {
                let packages: Vec<String> = packages.iter().map(|name| quoted(name)).collect();
                out.line(&format!("inputs = {{ {kind} = [{}] }}", packages.join(", ")));
            }
            // Everything but: `exclude` and `statuses` alone are about every path.
            let narrows = !lane.exclude.is_empty() || !lane.statuses.is_empty();
            let everything_but = narrows && lane.inputs.is_none();
            if let Some(paths) = lane.paths.as_ref().filter(|it| !everything_but || **it != ["**"])
            {
                out.list("paths", paths);
            }
            if !lane.exclude.is_empty() {
                out.list("exclude", &lane.exclude);
            }
            if !lane.statuses.is_empty() {
                out.list("statuses", &lane.statuses);
            }
            if !lane.after.is_empty() {
                out.list("after", &lane.after);
            }
            if let Some(group) = &lane.concurrency_group {
                out.pair("concurrency_group", group);
            }
            out.gap();
        }
        out.comment(&self.closing);
        out.finish()
    }

    fn catalog(&self) -> String {
        let mut out = Lines::default();
        out.line("#:schema ./catalog.schema.json");
        out.comment(&[
            "What can run. When it runs is in forge-lanes.toml.".to_owned(),
            String::new(),
            "Every job says where it runs (`placement`) and how isolated (`runtime`); here all of them"
                .to_owned(),
            "take both from one base: a plain process of the machine that `executor apply` runs on."
                .to_owned(),
        ]);
        out.line("version = 1");
        out.gap();
        out.line("[bases.here]");
        out.line("placement = \"local\"");
        out.line("runtime = \"host_process\"");
        out.line("timeout_secs = 3600");
        out.comment(&[
            "Builds write beside their sources: each job gets a copy of its own.".to_owned()
        ]);
        out.line("writable_workspace = true");
        for lane in self.lanes.iter().filter(|lane| lane.target_of.is_none()) {
            out.gap();
            out.line("[[targets]]");
            out.pair("id", &lane.id);
            out.pair("description", &lane.description);
            for job in &lane.jobs {
                job.write(&mut out);
            }
        }
        out.finish()
    }
}

impl JobDraft {
    /// Returns the ids that a job called `id` has, with those of its members.
    pub fn ids(&self, id: &str) -> Vec<String> {
        let members = self.members.iter().map(|member| format!("{id}{member}"));
        std::iter::once(id.to_owned()).chain(members).collect()
    }

    fn write(&self, out: &mut Lines) {
        out.comment(&self.comment);
        out.line("[[targets.jobs]]");
        out.pair("id", &self.id);
        out.pair("description", &self.description);
        out.line("base = \"here\"");
        match &self.command {
            CommandDraft::Argv(words) => {
                let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
                out.line(&format!("command = {{ argv = [{}] }}", words.join(", ")));
            }
            CommandDraft::Shell(script) => {
                out.line(&format!("command = {{ shell = {} }}", script_text(script)));
            }
        }
        if let Some(dir) = &self.working_dir {
            out.pair("working_dir", dir);
        }
        if let Some(SeesDraft { from: (kind, packages), inputs }) = &self.sees {
            out.comment(&[
                "It sees these files and no other: one that it reads beside them is missed by name.".to_owned(),
            ]);
            out.line(&format!("inputs_from = {{ {kind} = {} }}", list(packages)));
            if !inputs.is_empty() {
                out.line(&format!("inputs = {}", list(inputs)));
            }
        }
        let takes = |(job, files, at): &(String, Vec<String>, String)| {
            let files = list(files);
            format!("{{ job = {}, files = {files}, at = {} }}", quoted(job), quoted(at))
        };
        let others =
            self.needs.iter().filter(|need| self.takes.iter().all(|(job, ..)| job != *need));
        let needs: Vec<String> =
            others.map(|need| quoted(need)).chain(self.takes.iter().map(takes)).collect();
        if !needs.is_empty() {
            out.line(&format!("needs = [{}]", needs.join(", ")));
        }
        if !self.artifacts.is_empty() {
            out.line(&format!("artifacts = {}", list(&self.artifacts)));
        }
        if !self.outputs.is_empty() {
            out.line(&format!("outputs = {}", list(&self.outputs)));
        }
        if let Some(word) = self.run_if.filter(|_| !needs.is_empty()) {
            out.pair("run_if", word);
        }
        if let Some(matrix) = &self.matrix {
            matrix.write(out);
        }
        if self.shards > 0 {
            out.line(&format!("shards = {}", self.shards));
        }
        if !self.env.is_empty() {
            out.line(&format!("env = {}", table(&self.env)));
        }
        if let Some(secs) = self.timeout_secs {
            out.line(&format!("timeout_secs = {secs}"));
        }
        if self.retries > 0 {
            out.line(&format!("retries = {}", self.retries));
            if !self.retry_on.is_empty() {
                out.line(&format!("retry_on = {{ exit_codes = {:?} }}", self.retry_on));
            }
        }
        match &self.allow_failure {
            Some(codes) if codes.is_empty() => out.line("allow_failure = true"),
            Some(codes) => out.line(&format!("allow_failure = {{ exit_codes = {codes:?} }}")),
            None => {}
        }
        if self.clone {
            out.line("checkout = \"clone\"");
        }
        if !self.caches.is_empty() {
            out.line("caches = [");
            for CacheDraft { name, path, key } in &self.caches {
                let (name, path, key) = (quoted(name), quoted(path), list(key));
                out.line(&format!(
                    "  {{ name = {name}, path = {path}, key = {key}, fallback = true }},"
                ));
            }
            out.line("]");
        }
    }
}

impl MatrixDraft {
    fn write(&self, out: &mut Lines) {
        if !self.axes.is_empty() {
            let axes: Vec<String> = self
                .axes
                .iter()
                .map(|(name, values)| format!("{} = {}", key(name), list(values)))
                .collect();
            out.line(&format!("matrix = {{ {} }}", axes.join(", ")));
        }
        for (name, rows) in [("matrix_exclude", &self.exclude), ("matrix_include", &self.include)] {
            if !rows.is_empty() {
                let rows: Vec<String> = rows.iter().map(|row| table(row)).collect();
                out.line(&format!("{name} = [{}]", rows.join(", ")));
            }
        }
    }
}

/// Texts as a list in one line.
fn list(values: &[String]) -> String {
    let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
    format!("[{}]", values.join(", "))
}

/// Pairs as an inline table.
fn table(pairs: &[(String, String)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{} = {}", key(name), quoted(value))).collect();
    format!("{{ {} }}", pairs.join(", "))
}

/// An id made of a name, short enough for what is put behind it.
fn plain_id(name: &str) -> String {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words: Vec<&str> = name.split(|c| !word(c)).filter(|word| !word.is_empty()).collect();
    let mut plain = words.join("-").trim_matches('_').to_owned();
    plain.truncate(48);
    let plain = plain.trim_matches(['-', '_']);
    if plain.is_empty() { "lane".to_owned() } else { plain.to_owned() }
}

const INVARIANTS: &str = "\
# What `planner check` expects of the two files beside this one, and how bad each finding is.
version = 1
manifest = \"ci/forge-lanes.toml\"
catalog = \"ci/catalog.toml\"

# Rules and their levels: `planner check --explain all`. A level is \"deny\" (check fails), \"warn\"
# or \"allow\".
[lints]
dead_glob = \"deny\"
";

/// A TOML basic string.
fn quoted(text: &str) -> String {
    // A value of its own may be written over several lines; a list must stay one.
    let written = Value::String(text.to_owned()).to_string();
    if !written.contains('\n') && !written.starts_with("'''") && !written.starts_with("\"\"\"") {
        return written;
    }
    let mut escaped = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            '\t' => escaped.push_str("\\t"),
            '\r' => escaped.push_str("\\r"),
            c if c.is_control() => escaped.extend(["\\u", &format!("{:04X}", u32::from(c))]),
            c => escaped.push(c),
        }
    }
    escaped.push('"');
    escaped
}

/// A script, readable if it has several lines.
fn script_text(script: &str) -> String {
    let script = script.trim_end();
    let plain =
        !script.contains("'''") && !script.chars().any(|c| c.is_control() && !"\n\t".contains(c));
    if script.contains('\n') && plain && !script.ends_with('\'') {
        return format!("'''\n{script}\n'''");
    }
    quoted(script)
}

fn key(name: &str) -> String {
    let bare =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    if bare { name.to_owned() } else { quoted(name) }
}

#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    fn comment(&mut self, lines: &[String]) {
        for line in lines.iter().flat_map(|line| line.split('\n')) {
            // A control character is no part of a TOML comment.
            let line: String = line.chars().filter(|c| !c.is_control()).collect();
            self.line(format!("# {line}").trim_end());
        }
    }

    fn pair(&mut self, name: &str, value: &str) {
        // No text of one line has a control character.
        let plain = value.split(char::is_control).filter(|part| !part.is_empty());
        let value = plain.collect::<Vec<_>>().join(" ");
        let value = value.trim();
        self.line(&format!("{name} = {}", quoted(value)));
    }

    fn list(&mut self, name: &str, values: &[String]) {
        let values: Vec<String> = values.iter().map(|value| quoted(value)).collect();
        let line = format!("{name} = [{}]", values.join(", "));
        if line.chars().count() <= 100 {
            self.line(&line);
            return;
        }
        self.line(&format!("{name} = ["));
        for value in values {
            self.line(&format!("  {value},"));
        }
        self.line("]");
    }

    fn finish(mut self) -> String {
        let length = self.text.trim_end().len();
        self.text.truncate(length);
        self.text.push('\n');
        self.text
    }
}
