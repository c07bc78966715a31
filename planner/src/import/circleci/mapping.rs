//! The mapping of CircleCI's path-filtering orb: which lines there are and what they set.

use serde_json::Value;

use crate::import::{
    Tree,
    dialect::regex,
    document::{text, text_of},
    formula::Formula,
    listed::Lists,
};

/// The parameters of one use of the orb.
pub(super) struct Mapping {
    lines: Vec<Line>,
    exclude: Vec<String>,
    /// What it goes on with when no line names a file.
    config: String,
}

/// A line, with what it took over from those before it.
pub(super) struct Line {
    pattern: String,
    set: Option<(String, String)>,
    file: Option<String>,
}

impl Mapping {
    /// Every use in the workflows of a configuration.
    pub(super) fn all(root: &Value, tree: &Tree<'_>) -> Vec<Self> {
        let mut found = Vec::new();
        let workflows = root.get("workflows").and_then(Value::as_object).into_iter().flatten();
        for (_, workflow) in workflows {
            for job in workflow.get("jobs").and_then(Value::as_array).into_iter().flatten() {
                for (_, of) in job.as_object().into_iter().flatten() {
                    found.extend(Self::of(of, tree));
                }
            }
        }
        // Jobs that take the orb's command as a step.
        let jobs = root.get("jobs").and_then(Value::as_object).into_iter().flatten();
        for (_, job) in jobs {
            for step in job.get("steps").and_then(Value::as_array).into_iter().flatten() {
                for (_, of) in step.as_object().into_iter().flatten() {
                    found.extend(Self::of(of, tree));
                }
            }
        }
        found
    }

    fn of(of: &Value, tree: &Tree<'_>) -> Option<Self> {
        let written = of.get("mapping").and_then(text_of)?;
        let from_file = |written: String| (tree.read)(written.trim()).unwrap_or(written);
        let exclude = text(of, "exclude").map(from_file).unwrap_or_default();
        Some(Self {
            lines: lines(&from_file(written)),
            exclude: exclude
                .lines()
                .map(str::to_owned)
                .filter(|it| !it.trim().is_empty())
                .collect(),
            config: text(of, "config-path")
                .unwrap_or_else(|| ".circleci/continue_config.yml".to_owned()),
        })
    }

    /// The lines that set a parameter, with the value, in order.
    pub(super) fn sets<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a Line, &'a str)> {
        self.lines.iter().filter_map(move |line| {
            let (known, value) = line.set.as_ref()?;
            (known == name).then_some((line, value.trim_matches('"')))
        })
    }

    /// That a changed path is a line's.
    pub(super) fn matches(&self, line: &Line, lists: &mut Lists<'_>) -> Formula {
        let whole = |pattern: &String| format!("^{pattern}$");
        let exclude: Vec<String> = self.exclude.iter().map(whole).collect();
        let name = format!("mapping {}", line.pattern);
        lists.patterns(&name, &[whole(&line.pattern)], &exclude, &regex::translate)
    }

    /// The files that it may go on with, and when.
    pub(super) fn files(&self, lists: &mut Lists<'_>) -> Vec<(String, Formula)> {
        let mut found: Vec<(String, Formula)> = Vec::new();
        for line in &self.lines {
            let Some(file) = &line.file else { continue };
            let matches = self.matches(line, lists);
            match found.iter_mut().find(|(known, _)| known == file) {
                Some((_, runs)) => *runs = runs.clone().or(matches),
                None => found.push((file.clone(), matches)),
            }
        }
        let none =
            found.iter().fold(Formula::Is(true), |so_far, (_, it)| so_far.and(it.clone().not()));
        match found.iter_mut().find(|(known, _)| *known == self.config) {
            Some((_, runs)) => *runs = runs.clone().or(none),
            None => found.push((self.config.clone(), none)),
        }
        found
    }
}

/// One to four words: a pattern; a pattern and a file; a pattern, a parameter and a value; and all
/// of them. The program keeps its variables from line to line.
fn lines(written: &str) -> Vec<Line> {
    let (mut set, mut file) = (None, None);
    let mut lines = Vec::new();
    for line in written.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        let pair = |words: &[&str]| Some((words[0].to_owned(), words[1].to_owned()));
        match words.len() {
            1 => {}
            2 => file = Some(words[1].to_owned()),
            3 => set = pair(&words[1..]),
            4 => {
                set = pair(&words[1..]);
                file = Some(words[3].to_owned());
            }
            _ => continue,
        }
        lines.push(Line { pattern: words[0].to_owned(), set: set.clone(), file: file.clone() });
    }
    lines
}
