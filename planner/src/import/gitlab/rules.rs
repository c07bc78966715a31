//! When a job of GitLab is in a pipeline: `rules`, `only` and `except`, as a condition on lists of
//! paths, for one kind of event.

use serde_json::Value;

use super::{
    condition::{Event, evaluate},
    configuration::UNKNOWN,
};
use crate::import::{
    Tree,
    dialect::ruby,
    document::{text, texts},
    filter::Selects,
    formula::Formula,
};

/// When and how a job starts.
#[derive(Debug, Clone)]
pub(super) struct Starts {
    /// It is in the pipeline and starts by itself.
    pub(super) runs: Formula,
    /// It is there for somebody to start.
    pub(super) by_hand: bool,
    /// It starts only after a failure.
    pub(super) on_failure: Formula,
    /// It also starts after a failure.
    pub(super) always: bool,
}

/// The lists of a pipeline, as they are met.
pub(super) struct Lists<'a> {
    pub(super) all: Vec<(String, Selects)>,
    pub(super) tree: &'a Tree<'a>,
    pub(super) variables: Vec<(String, String)>,
    /// What was assumed.
    pub(super) notes: Vec<String>,
}

impl Lists<'_> {
    /// That a changed path is in a list of `changes`.
    fn changes(&mut self, of: &str, node: &Value) -> Formula {
        if is_unknown(node) {
            return Formula::Maybe(format!("`changes` of {of}, which is not in the tree"));
        }
        let (patterns, compare) = match node.get("paths") {
            Some(paths) => (texts(Some(paths)), text(node, "compare_to")),
            None => (texts(Some(node)), text(node, "compare_to")),
        };
        let patterns: Vec<(bool, String)> =
            patterns.into_iter().map(|it| (true, self.expanded(&it))).collect();
        let selects = if patterns.iter().any(|(_, it)| it.contains('$')) {
            Selects::everything(
                "A pattern has a variable that the file does not set: `**` is wider.",
            )
        } else {
            Selects::ordered(&patterns, &ruby::translate, self.tree.has_file)
        };
        let known = self.all.iter().position(|(_, it)| *it == selects);
        let at = known.unwrap_or_else(|| {
            self.all.push((format!("changes of {of}"), selects));
            self.all.len() - 1
        });
        let list = Formula::List(at);
        match compare.as_deref().map(|it| it.trim_start_matches("refs/heads/")) {
            None | Some("main" | "master" | "$CI_DEFAULT_BRANCH") => list,
            Some(it) if it.starts_with("$CI_MERGE_REQUEST_") => list,
            // Another base may show more.
            Some(other) => list.or(Formula::Maybe(format!("`compare_to: {other}`"))),
        }
    }

    /// A pattern with the variables that the file sets.
    fn expanded(&mut self, pattern: &str) -> String {
        let mut out = String::new();
        let mut rest = pattern;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let behind = &rest[at + 1..];
            let inside = behind.strip_prefix('{').unwrap_or(behind);
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let end = inside.find(|c| !word(c)).unwrap_or(inside.len());
            let (name, mut left) = inside.split_at(end);
            if behind.starts_with('{') {
                left = left.strip_prefix('}').unwrap_or(left);
            }
            match self.variables.iter().find(|(known, value)| known == name && !value.contains('$'))
            {
                Some((_, value)) => {
                    out.push_str(value);
                    self.notes
                        .push(format!("`${name}` in a pattern is `{value}`, as the file sets it."));
                }
                None => out.extend(["$", name]),
            }
            rest = left;
        }
        out.push_str(rest);
        out
    }

    fn rule(&mut self, of: &str, rule: &Value, event: Event) -> Formula {
        let mut found = Formula::Is(true);
        if rule.get(UNKNOWN).is_some() || rule.get("if").is_some_and(is_unknown) {
            found = Formula::Maybe(format!("a rule of {of}, which is not in the tree"));
        }
        if let Some(condition) = text(rule, "if") {
            found = found.and(evaluate(&condition, event));
        }
        if let Some(changes) = rule.get("changes") {
            // A pipeline of a tag or a schedule has no changes: then it counts as true.
            found = match event {
                Event::Tag | Event::Schedule => found,
                _ => found.and(self.changes(of, changes)),
            };
        }
        if let Some(exists) = rule.get("exists") {
            let list = texts(Some(exists.get("paths").unwrap_or(exists)));
            found = found.and(Formula::Maybe(format!("`exists: {}`", list.join(", "))));
        }
        found
    }

    /// The first rule that holds decides.
    fn rules(&mut self, of: &str, rules: &[Value], default: &str, event: Event) -> Starts {
        let mut starts = Starts {
            runs: Formula::Is(false),
            by_hand: false,
            on_failure: Formula::Is(false),
            always: false,
        };
        let mut before = Formula::Is(true);
        for rule in rules {
            let holds = self.rule(of, rule, event);
            let here = before.clone().and(holds.clone());
            let when = text(rule, "when").unwrap_or_else(|| default.to_owned());
            if here != Formula::Is(false) {
                match when.as_str() {
                    "never" => {}
                    "manual" => starts.by_hand = true,
                    "on_failure" => starts.on_failure = starts.on_failure.or(here),
                    word => {
                        starts.always |= word == "always";
                        starts.runs = starts.runs.or(here);
                    }
                }
            }
            before = before.and(holds.not());
        }
        starts
    }

    /// Whether there is a pipeline at all.
    pub(super) fn workflow(&mut self, root: &Value, event: Event) -> Formula {
        let rules = root.get("workflow").and_then(|it| it.get("rules")).and_then(Value::as_array);
        match rules {
            Some(rules) => self.rules("workflow", rules, "always", event).runs,
            None => Formula::Is(true),
        }
    }

    /// When a job starts.
    pub(super) fn job(&mut self, root: &Value, name: &str, job: &Value, event: Event) -> Starts {
        let when = text(job, "when").unwrap_or_else(|| "on_success".to_owned());
        if let Some(rules) = job.get("rules") {
            let rules = flat(rules);
            return self.rules(name, &rules, &when, event);
        }
        let only = match job.get("only") {
            Some(only) => self.policy(name, only, event, true),
            // Without `workflow:rules`, a job has to ask for merge requests.
            None => Formula::Is(
                event != Event::MergeRequest
                    || root.get("workflow").is_some_and(|it| it.get("rules").is_some()),
            ),
        };
        let except = match job.get("except") {
            Some(except) => self.policy(name, except, event, false),
            None => Formula::Is(false),
        };
        let runs = only.and(except.not());
        let is = |word: &str| when == word;
        let waits = is("manual") || is("on_failure") || is("never");
        let there = runs != Formula::Is(false);
        Starts {
            by_hand: is("manual") && there,
            on_failure: if is("on_failure") { runs.clone() } else { Formula::Is(false) },
            always: is("always") && there,
            runs: if waits { Formula::Is(false) } else { runs },
        }
    }

    /// `only` wants every part to hold, `except` one of them.
    fn policy(&mut self, of: &str, node: &Value, event: Event, every: bool) -> Formula {
        if is_unknown(node) {
            return Formula::Maybe(format!("`only` or `except` of {of}, which is not in the tree"));
        }
        let any = |list: Vec<Formula>| list.into_iter().fold(Formula::Is(false), Formula::or);
        let refs = |list: Vec<String>| any(list.iter().map(|it| reference(it, event)).collect());
        if !node.is_object() {
            return refs(texts(Some(node)));
        }
        let mut parts = Vec::new();
        if let Some(list) = node.get("refs") {
            parts.push(refs(texts(Some(list))));
        }
        if let Some(list) = node.get("variables") {
            parts.push(any(texts(Some(list)).iter().map(|it| evaluate(it, event)).collect()));
        }
        if let Some(changes) = node.get("changes") {
            parts.push(match event {
                Event::Tag | Event::Schedule => Formula::Is(every),
                _ => self.changes(of, changes),
            });
        }
        if node.get("kubernetes").is_some() {
            parts.push(Formula::Maybe("`kubernetes`".to_owned()));
        }
        if every { parts.into_iter().fold(Formula::Is(true), Formula::and) } else { any(parts) }
    }
}

/// Whether something in a value could not be found.
fn is_unknown(value: &Value) -> bool {
    match value {
        Value::Object(map) => map.contains_key(UNKNOWN) || map.values().any(is_unknown),
        Value::Array(list) => list.iter().any(is_unknown),
        _ => false,
    }
}

/// Rules of a list in a list, as `!reference` leaves them.
fn flat(rules: &Value) -> Vec<Value> {
    match rules {
        Value::Array(list) => list.iter().flat_map(flat).collect(),
        Value::Null => Vec::new(),
        one => vec![one.clone()],
    }
}

/// Whether a name of `only` or `except` stands for an event.
fn reference(name: &str, event: Event) -> Formula {
    let plain = name.split('@').next().unwrap_or(name);
    Formula::Is(match plain {
        "branches" => matches!(event, Event::Branch | Event::DefaultBranch | Event::Schedule),
        "tags" => event == Event::Tag,
        "merge_requests" => event == Event::MergeRequest,
        "schedules" => event == Event::Schedule,
        "pushes" => matches!(event, Event::Branch | Event::DefaultBranch | Event::Tag),
        "api"
        | "chat"
        | "external"
        | "external_pull_requests"
        | "pipelines"
        | "triggers"
        | "web" => false,
        "main" | "master" if event == Event::DefaultBranch => true,
        "main" | "master" if event == Event::Branch => false,
        _ if event == Event::MergeRequest && !plain.starts_with('/') => false,
        _ => return Formula::Maybe(format!("`{name}`")),
    })
}
