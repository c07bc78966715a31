//! Lists of paths as an importer meets them, and jobs that start on a condition about them.
//!
//! Every engine whose definitions are YAML or JSON goes through here: its patterns become one
//! [`Selects`] each, its conditions a [`Formula`] over their places. Knows no engine.

use std::collections::BTreeSet;

use super::{
    Tree,
    artifacts::Artifacts,
    dialect::Translation,
    filter::{Filter, Selects, distinct},
    formula::Formula,
    pipeline::{self, Entry},
    selection::selection,
    shell::{self, Step},
};
use crate::init::draft::{CommandDraft, JobDraft, MatrixDraft};

/// The lists of a tree, as they are met.
pub(super) struct Lists<'a> {
    pub(super) all: Vec<(String, Selects)>,
    pub(super) tree: &'a Tree<'a>,
}

impl<'a> Lists<'a> {
    pub(super) fn new(tree: &'a Tree<'a>) -> Self {
        Self { all: Vec::new(), tree }
    }

    /// That a changed path is selected.
    pub(super) fn add(&mut self, name: &str, selects: Selects) -> Formula {
        let known = self.all.iter().position(|(_, it)| *it == selects);
        let at = known.unwrap_or_else(|| {
            self.all.push((name.to_owned(), selects));
            self.all.len() - 1
        });
        Formula::List(at)
    }

    /// That a changed path matches one of some patterns and none of others.
    pub(super) fn patterns(
        &mut self,
        name: &str,
        include: &[String],
        exclude: &[String],
        translate: &dyn Fn(&str) -> Translation,
    ) -> Formula {
        let signed = |positive: bool, list: &[String]| -> Vec<(bool, String)> {
            list.iter().map(|pattern| (positive, pattern.clone())).collect()
        };
        let patterns = [signed(true, include), signed(false, exclude)].concat();
        self.add(name, Selects::ordered(&patterns, translate, self.tree.has_file))
    }

    /// That a changed path matches none of some patterns.
    pub(super) fn all_but(
        &mut self,
        name: &str,
        exclude: &[String],
        translate: &dyn Fn(&str) -> Translation,
    ) -> Formula {
        let nothing: Vec<(bool, String)> = exclude.iter().map(|it| (false, it.clone())).collect();
        let everything = |pattern: &str| {
            if pattern == "**" {
                Translation { same: Some(vec!["**".to_owned()]), ..Translation::default() }
            } else {
                translate(pattern)
            }
        };
        let patterns = [vec![(true, "**".to_owned())], nothing].concat();
        self.add(name, Selects::ordered(&patterns, &everything, self.tree.has_file))
    }

    /// That a path changed that one of some globs of ours matches.
    pub(super) fn globs(&mut self, name: &str, globs: Vec<String>) -> Formula {
        let filter = Filter { paths: globs.clone(), ..Filter::default() };
        self.add(name, Selects { filters: vec![filter], surely: globs, notes: Vec::new() })
    }

    /// A job that runs when a condition holds, and which parts of it are not decided; nothing if
    /// it never does.
    pub(super) fn entry(&self, name: &str, runs: &Formula, job: Job) -> Option<Entry> {
        let clauses = runs.clauses();
        if clauses.is_empty() {
            return None;
        }
        // What is asked last is the narrowest: a step's own list behind its group's.
        let outer = clauses.iter().flat_map(|clause| clause.matched.iter().rev().skip(1));
        let outer: BTreeSet<usize> = outer.copied().collect();
        let (when, words, mut notes) = selection(&self.all, None, &clauses, &outer);
        let open: BTreeSet<&str> =
            clauses.iter().flat_map(|clause| &clause.open).map(String::as_str).collect();
        if !open.is_empty() {
            let open: Vec<&str> = open.into_iter().collect();
            notes.push(format!("Not decided for the job `{name}`: {}.", open.join(", ")));
        }
        let passed = job.passed.clone();
        let artifacts = distinct([passed.globs(), job.artifacts.clone()].concat());
        let (draft, placeholder) = job.draft(name);
        let draft = JobDraft { artifacts, ..draft };
        let entry =
            Entry { when, words, notes, placeholder, passed, ..Entry::new(name.to_owned(), draft) };
        Some(entry)
    }
}

/// What a job runs, as it was read.
#[derive(Debug, Default, Clone)]
pub(super) struct Job {
    /// What people call it; nothing: its name.
    pub(super) title: Option<String>,
    /// Lines before everything else, of one combination.
    pub(super) first: String,
    /// Lines of a shell.
    pub(super) lines: Vec<String>,
    /// Steps that each ran in a shell of its own, before those lines.
    pub(super) steps: Vec<Step>,
    /// A program with arguments, instead.
    pub(super) argv: Vec<String>,
    pub(super) env: Vec<(String, String)>,
    pub(super) timeout_secs: Option<u64>,
    pub(super) working_dir: Option<String>,
    pub(super) retries: u64,
    /// Only after these exit codes.
    pub(super) retry_on: Vec<i64>,
    pub(super) allow_failure: Option<Vec<i64>>,
    pub(super) comment: Vec<String>,
    /// The combinations it ran for, or why they are not known; and as the engine writes them.
    pub(super) matrix: Option<(Result<MatrixDraft, String>, String)>,
    /// How what it needs must have ended; nothing: passed.
    pub(super) run_if: Option<&'static str>,
    /// What it keeps for others, and what it takes of theirs.
    pub(super) passed: Artifacts,
    /// Globs of what it keeps for people.
    pub(super) artifacts: Vec<String>,
    /// Into how many parts its work was split; and the lines by which a script knows its part.
    pub(super) shards: Option<(u64, &'static str)>,
}

impl Job {
    /// Says of each of some keys that is there that it is left out.
    pub(super) fn left_out(&mut self, of: &serde_json::Value, keys: &[&str]) {
        for key in keys {
            if of.get(*key).is_some_and(|it| !it.is_null()) {
                self.comment.push(format!("Not carried over: `{key}`."));
            }
        }
    }

    /// The job with its matrix and parts, where it loads with them.
    fn draft(self, name: &str) -> (JobDraft, bool) {
        let (matrix, words) = match &self.matrix {
            Some((matrix, words)) => (matrix.clone().map(Some), words.clone()),
            None => (Ok(None), String::new()),
        };
        let reason = match matrix {
            Ok(matrix) => {
                let (mut draft, placeholder) = self.clone().alone(name, matrix.as_ref());
                if matrix.is_none() && draft.shards == 0 {
                    return (draft, placeholder);
                }
                draft.matrix = matrix;
                draft.id = pipeline::plain_id(name);
                match super::matrix::fit(&mut draft) {
                    Ok(()) => return (draft, placeholder),
                    Err(reason) => reason,
                }
            }
            Err(reason) => reason,
        };
        let words = match &self.shards {
            Some((count, _)) if words.is_empty() => format!("{count} parts"),
            _ => words,
        };
        // Parts are left where the matrix alone cannot be said.
        let shards = self.matrix.as_ref().and(self.shards);
        let mut once = Self { matrix: None, shards, ..self };
        let texts = once.lines.iter().chain(once.steps.iter().map(|step| &step.text));
        if texts.into_iter().any(|line| line.contains("${{ matrix.")) {
            once.comment.push(
                "`${{ matrix.… }}` in the script stands for a value: put it there.".to_owned(),
            );
        }
        let (mut draft, placeholder) = once.draft(name);
        draft.comment.push(format!(
            "Ran once for each of `{words}`; here it runs once ({reason}): write a job for each, or a loop."
        ));
        (draft, placeholder)
    }

    fn alone(mut self, name: &str, matrix: Option<&MatrixDraft>) -> (JobDraft, bool) {
        let known = matrix.map(MatrixDraft::names).unwrap_or_default();
        let filled = |value: &str| {
            super::matrix::only_names(value, &known)
                && !super::matrix::plain_part(value).contains('$')
        };
        let plain = |name: &str| {
            name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && !name.starts_with(|c: char| c.is_ascii_digit())
                && !name.is_empty()
        };
        let before = self.env.len();
        self.env.retain(|(name, value)| plain(name) && filled(value));
        if self.env.len() < before {
            self.comment.push("Variables that hold other variables are left out.".to_owned());
        }
        let env: std::collections::BTreeMap<String, String> = self.env.into_iter().collect();
        for step in &mut self.steps {
            let open = |value: &str| {
                let plain = super::matrix::plain_part(value);
                !super::matrix::only_names(value, &known)
                    || plain.contains("$(")
                    || plain.contains("${")
            };
            let (late, env): (Vec<_>, Vec<_>) =
                std::mem::take(&mut step.env).into_iter().partition(|(_, value)| open(value));
            step.env = env;
            self.comment
                .extend(late.iter().map(|(name, _)| {
                    format!("Not carried over: the variable `{name}` of a step.")
                }));
        }
        let script = [
            shell::script(&self.steps, &known),
            super::matrix::script(&self.lines.join("\n"), &known),
            shell::end(&self.steps).to_owned(),
        ];
        let script = script.concat().trim_end().to_owned();
        let placeholder = script.trim().is_empty() && self.argv.is_empty();
        let command = if placeholder {
            self.comment.push(
                "No step says what to run: put the command here. Until then it fails.".to_owned(),
            );
            CommandDraft::argv(&["false"])
        } else if script.trim().is_empty() {
            CommandDraft::Argv(self.argv)
        } else {
            let part = self.shards.map(|(_, lines)| lines).unwrap_or_default();
            let first = matrix.map_or("", |_| self.first.as_str());
            CommandDraft::Shell(format!("set -e\n{first}{part}{script}\n"))
        };
        let draft = JobDraft {
            comment: distinct(self.comment),
            description: super::matrix::title(self.title.as_deref().unwrap_or(name), &known),
            command,
            working_dir: self.working_dir,
            env: env.into_iter().collect(),
            timeout_secs: self.timeout_secs.filter(|secs| (1..=604_800).contains(secs)),
            retries: self.retries.min(10),
            retry_on: self.retry_on,
            allow_failure: self.allow_failure,
            shards: self.shards.map_or(0, |(count, _)| count),
            run_if: self.run_if,
            clone: true,
            ..JobDraft::default()
        };
        (draft, placeholder)
    }
}

/// Lets a job wait for others: those that start on the same changes are pulled in, the others are
/// waited for where they run. Jobs that wait for others share no lane with them.
pub(super) fn wait_for(entries: &mut [Entry], before: &[Vec<usize>]) {
    let mut ranks = vec![0_usize; entries.len()];
    for at in 0..entries.len() {
        let (needs, after): (Vec<usize>, Vec<usize>) =
            before[at].iter().copied().filter(|&need| need != at).partition(|&need| {
                same(&entries[need], &entries[at]) || asks(&entries[need], &entries[at])
            });
        let apart = needs.iter().filter(|&&need| !same(&entries[need], &entries[at]));
        let apart: Vec<String> = apart.map(|&need| format!("`{}`", entries[need].key)).collect();
        if !apart.is_empty() {
            entries[at].job.comment.push(format!(
                "It asks how {} ended, for other changes: with it, they run too.",
                apart.join(", ")
            ));
        }
        // Jobs are named in any order; a circle is nobody's order.
        let rank = |list: &[usize], more: usize| {
            list.iter().filter(|&&it| it < at).map(|&it| ranks[it] + more).max().unwrap_or(0)
        };
        ranks[at] = rank(&needs, 0).max(rank(&after, 1));
        let (needs, late): (Vec<usize>, Vec<usize>) = needs.into_iter().partition(|&it| it < at);
        let (after, later): (Vec<usize>, Vec<usize>) = after.into_iter().partition(|&it| it < at);
        for other in late.into_iter().chain(later) {
            let name = entries[other].key.clone();
            entries[at].job.comment.push(format!("It waited for `{name}`, which is named later."));
        }
        entries[at].part =
            Some(format!("{} {}", ranks[at], entries[at].part.clone().unwrap_or_default()));
        entries[at].needs = needs;
        entries[at].after = after;
    }
}

/// Whether a job asks how one that it waits for ended.
fn asks(need: &Entry, entry: &Entry) -> bool {
    entry.job.run_if.is_some() && entry.nightly == need.nightly
}

fn same(a: &Entry, b: &Entry) -> bool {
    a.when == b.when && a.nightly == b.nightly && a.inputs == b.inputs && a.group == b.group
}

/// The same, where it is known by the key of an entry for which it waits.
pub(super) fn ordered_by_key(
    entries: Vec<Entry>,
    waits: &[(String, Vec<String>)],
) -> (Vec<Entry>, Vec<Vec<usize>>) {
    ordered(entries, &|entry| {
        let known = waits.iter().find(|(key, _)| *key == entry.key);
        known.map(|(_, needs)| needs.clone()).unwrap_or_default()
    })
}

/// Entries in an order in which each stands behind those that it waits for, as far as there is one;
/// and for each of them the places of those.
pub(super) fn ordered(
    entries: Vec<Entry>,
    waits: &dyn Fn(&Entry) -> Vec<String>,
) -> (Vec<Entry>, Vec<Vec<usize>>) {
    let names: Vec<String> = entries.iter().map(|entry| entry.key.clone()).collect();
    let place = |name: &String| names.iter().position(|it| it == name);
    let needed: Vec<Vec<usize>> =
        entries.iter().map(|entry| waits(entry).iter().filter_map(place).collect()).collect();
    let mut order: Vec<usize> = Vec::new();
    let mut left: Vec<usize> = (0..entries.len()).collect();
    while !left.is_empty() {
        let ready = left
            .iter()
            .position(|&it| needed[it].iter().all(|need| order.contains(need) || *need == it));
        order.push(left.remove(ready.unwrap_or(0)));
    }
    let new: Vec<usize> =
        (0..order.len()).map(|old| order.iter().position(|&it| it == old).unwrap_or(old)).collect();
    let before = order.iter().map(|&old| needed[old].iter().map(|&it| new[it]).collect()).collect();
    let mut slots: Vec<Option<Entry>> = entries.into_iter().map(Some).collect();
    let sorted = order.iter().filter_map(|&old| slots[old].take()).collect();
    (sorted, before)
}
