//! What head is compared with, from where, and what else was considered (`planner explain --base`).
//!
//! Shows the search of [`crate::git`] step by step, and the steps that it had no need to look at.
//! Decides nothing.

use std::collections::BTreeMap;

use plans::{BaseFrom, BaseMode, Source};
use serde::Serialize;

use crate::{
    ChangesFrom, RepoContext, Request,
    event::Event,
    git::{BaseRequest, Considered, Note},
    passed::Otherwise,
};

/// The steps in the order in which they are asked, each by the words it may have.
const ORDER: [&[&str]; 5] =
    [&["flag"], &["passed"], &["event"], &["unpushed", "first_parent"], &["default_branch"]];

/// What head is compared with, and why.
#[derive(Debug, Serialize)]
pub struct BaseAnswer {
    /// The commit that is planned; absent without git.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<String>,
    /// The branch that `HEAD` is on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// How the base was found, as `source.base_mode` of the plan says it; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_mode: Option<BaseMode>,
    /// Which step found it, as `source.base_from` of the plan says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_from: Option<BaseFrom>,
    /// The commits to compare with; none: see `base_mode`.
    pub commits: Vec<String>,
    /// How many paths differ from them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_paths: Option<usize>,
    /// What the engine says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventAnswer>,
    /// Every step, in order: those that were looked at, and those that were not, with the reason.
    pub considered: Vec<StepAnswer>,
    /// What else is worth knowing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Why there is no base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ErrorAnswer>,
}

/// What the engine says, and where it says it.
#[derive(Debug, Serialize)]
pub struct EventAnswer {
    /// The engine: `github`.
    pub engine: &'static str,
    /// Its name: `GitHub Actions`.
    pub name: &'static str,
    /// What happened: `push`.
    pub kind: &'static str,
    /// The variables that were read, as they are set.
    pub variables: BTreeMap<&'static str, String>,
    /// Where the engine documents them.
    pub documented: &'static [&'static str],
}

/// A step on the way to the base.
#[derive(Debug, Serialize)]
pub struct StepAnswer {
    /// The step: `event:github:push`.
    pub step: String,
    /// What it would be compared with; absent where that was not looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<String>,
    /// Whether it was looked at; a step before it may have decided.
    pub looked_at: bool,
    /// Whether it is the base, or part of it.
    pub taken: bool,
    /// Why, or why not.
    pub why: String,
}

/// Why there is no base, and what to do about it.
#[derive(Debug, Serialize)]
pub struct ErrorAnswer {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Says what head is compared with. `events` is what each engine says whose variables are set, the
/// first of which counts.
#[must_use]
pub fn explain_base(
    context: &RepoContext,
    request: &Request,
    default_branch: Option<&str>,
    variables: &BTreeMap<String, String>,
    events: &[Event],
) -> BaseAnswer {
    let head = context.in_git().map(|(_, head, _)| head);
    let mut answer = BaseAnswer {
        head: head.map(|head| head.commit.to_string()),
        branch: head.and_then(|head| head.branch.clone()),
        base_mode: None,
        base_from: None,
        commits: Vec::new(),
        changed_paths: None,
        event: request.event.as_ref().and_then(|event| event_answer(event, variables)),
        considered: Vec::new(),
        notes: Vec::new(),
        error: None,
    };
    let unsought = unsought(request);
    let sought = unsought.is_none();
    let search = context.base_search(request, default_branch).filter(|_| sought);
    let mut stopped = None;
    let mut trail: Vec<Considered> = unsought.into_iter().collect();
    if let Some(search) = search {
        let of_the_trail: Vec<Note> = search.trail.iter().map(Considered::note).collect();
        let others = search.notes.iter().filter(|note| !of_the_trail.contains(note));
        answer.notes = others
            .map(|(Note::Info(it) | Note::Warning(it))| {
                it.strip_prefix("base: ").unwrap_or(it).to_owned()
            })
            .collect();
        match search.found {
            Ok(base) => answer.commits = base.commits.iter().map(ToString::to_string).collect(),
            Err(error) => stopped = Some(error.to_string()),
        }
        trail = search.trail;
    }
    answer.considered = ladder(request, &trail, stopped.as_deref(), events);
    match context.changes(request, default_branch) {
        Ok(changed) => {
            if let Source::Change(source) = changed.source {
                answer.base_mode = Some(source.base_mode);
                answer.base_from = source.base_from;
            }
            let known = !matches!(answer.base_mode, None | Some(BaseMode::All | BaseMode::Unknown));
            answer.changed_paths = known.then_some(changed.changes.len());
            if let (Some(BaseMode::Unknown), Some(note)) = (answer.base_mode, changed.note) {
                answer.notes.push(format!("{note}; everything runs"));
            }
        }
        Err(error) => {
            answer.error = Some(ErrorAnswer { message: error.to_string(), help: error.help() });
        }
    }
    answer
}

/// The step that leaves nothing to look for, where there is one.
fn unsought(request: &Request) -> Option<Considered> {
    let step = |step: &str, what: &str, why: &str| {
        Some(Considered {
            step: step.to_owned(),
            what: what.to_owned(),
            taken: true,
            why: why.to_owned(),
        })
    };
    match &request.changes {
        ChangesFrom::Scenario { .. } => step("flag", "`--scenario`", "it says what changed"),
        ChangesFrom::List(_) => step("flag", "`--changed-files`", "it says what changed"),
        ChangesFrom::All => step("flag", "`--all`", "every lane of the trigger runs"),
        ChangesFrom::Base(_) if request.is_nightly() => {
            step("flag", "`--trigger nightly`", "every nightly lane runs")
        }
        ChangesFrom::Base(_) => {
            let event = request.schedule()?;
            step(&event.step(), "nothing", "a clock started the run: the trigger decides")
        }
    }
}

/// Every step in order: those that were looked at, and those that were not. `stopped` is what ended
/// the search without a base.
fn ladder(
    request: &Request,
    trail: &[Considered],
    stopped: Option<&str>,
    events: &[Event],
) -> Vec<StepAnswer> {
    let decided = trail.iter().find(|step| step.taken).map(|step| step.step.as_str());
    let mut stopped = stopped.filter(|_| trail.is_empty());
    let mut steps = Vec::new();
    for words in ORDER {
        let is_of =
            |step: &&Considered| words.contains(&step.step.split(':').next().unwrap_or_default());
        let found = trail.iter().filter(is_of).map(|step| StepAnswer {
            step: step.step.clone(),
            what: Some(step.what.clone()),
            looked_at: true,
            taken: step.taken,
            why: step.why.clone(),
        });
        let known = steps.len();
        steps.extend(found);
        if steps.len() == known {
            let said = said_of(words[0], request);
            let (looked_at, taken, why) = match (said, decided) {
                (Some((taken, why)), _) => (true, taken, why.to_owned()),
                (None, Some(step)) => (false, false, format!("`{step}` decides")),
                (None, None) => match stopped.take() {
                    Some(error) => (true, false, error.to_owned()),
                    None => (false, false, "there is no base".to_owned()),
                },
            };
            let step = match &request.event {
                Some(event) if words[0] == "event" => event.step(),
                _ => words[0].to_owned(),
            };
            steps.push(StepAnswer { step, what: None, looked_at, taken, why });
        }
        if words[0] == "event" {
            steps.extend(other_engines(events));
        }
    }
    steps
}

/// What is to be said of a step that the search did not look at, because it asks something else.
fn said_of(word: &str, request: &Request) -> Option<(bool, &'static str)> {
    let no_flag = matches!(request.changes, ChangesFrom::Base(BaseRequest::Default));
    match (word, &request.passed) {
        ("flag", _) if no_flag => Some((false, "no flag names a base")),
        ("passed", None) => Some((false, "`--passed FILE` is not given")),
        ("passed", Some(file)) => Some((true, of_passed(file.otherwise))),
        ("event", _) if request.event.is_none() => {
            Some((false, "the variables of no engine are set"))
        }
        _ => None,
    }
}

fn of_passed(otherwise: Otherwise) -> &'static str {
    match otherwise {
        Otherwise::Base => {
            "each lane is compared with the commit at which it passed; one that passed at none, with \
             the base"
        }
        Otherwise::Run => {
            "each lane is compared with the commit at which it passed; one that passed at none runs"
        }
    }
}

/// Engines whose variables are set too, and that are asked later.
fn other_engines(events: &[Event]) -> Vec<StepAnswer> {
    let Some((first, others)) = events.split_first() else { return Vec::new() };
    let Some(engine) = first.source() else { return Vec::new() };
    let others = others.iter().filter(|event| event.source().is_some_and(|it| !it.is_like(engine)));
    others
        .map(|event| StepAnswer {
            step: event.step(),
            what: None,
            looked_at: false,
            taken: false,
            why: format!("variables of {} are set too, and it is asked first", engine.name),
        })
        .collect()
}

fn event_answer(event: &Event, variables: &BTreeMap<String, String>) -> Option<EventAnswer> {
    let engine = event.source()?;
    let set = engine.variables.iter().filter_map(|variable| {
        let value = variables.get(variable.name).filter(|value| !value.is_empty())?;
        Some((variable.name, value.clone()))
    });
    Some(EventAnswer {
        engine: engine.word,
        name: engine.name,
        kind: event.word(),
        variables: set.collect(),
        documented: engine.documented,
    })
}

impl BaseAnswer {
    /// Returns the answer in words.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        let head = match (&self.head, &self.branch) {
            (Some(head), Some(branch)) => format!("head `{head}` (branch `{branch}`)"),
            (Some(head), None) => format!("head `{head}`"),
            (None, _) => "the files of the directory".to_owned(),
        };
        lines.push(format!("{head} {}", self.verdict()));
        if let Some(from) = &self.base_from {
            lines.push(format!("  from `{from}`"));
        }
        if let Some(count) = self.changed_paths {
            let (paths, differ) = if count == 1 { ("path", "s") } else { ("paths", "") };
            lines.push(format!("  {count} {paths} differ{differ}"));
        }
        if let Some(event) = &self.event {
            lines.push(format!("  {} says `{}`:", event.name, event.kind));
            for (name, value) in &event.variables {
                lines.push(format!("    {name}={}", shown(value)));
            }
        }
        lines.push("  considered, in this order:".to_owned());
        for step in &self.considered {
            let taken = match (step.looked_at, step.taken) {
                (_, true) => "taken",
                (true, false) => "not taken",
                (false, false) => "not looked at",
            };
            let what = step.what.as_ref().map_or_else(String::new, |what| format!("{what}: "));
            lines.push(format!("    {}: {what}{taken}, {}", step.step, step.why));
        }
        for note in &self.notes {
            lines.push(format!("  note: {note}"));
        }
        lines.join("\n") + "\n"
    }

    fn verdict(&self) -> String {
        let commits: Vec<String> = self.commits.iter().map(|it| format!("`{it}`")).collect();
        let Some(mode) = self.base_mode else {
            return if self.error.is_some() {
                "has no base".to_owned()
            } else {
                "are compared with nothing".to_owned()
            };
        };
        match mode {
            BaseMode::All | BaseMode::ChangedFiles => "is compared with nothing".to_owned(),
            BaseMode::Unknown => "has no base that is known: everything runs".to_owned(),
            _ if commits.is_empty() => "is compared with the empty tree".to_owned(),
            _ => format!("is compared with {}", commits.join(" and ")),
        }
    }
}

/// A variable's value on one line.
fn shown(value: &str) -> String {
    const MOST: usize = 120;
    let mut text: String = value.chars().take(MOST).flat_map(char::escape_debug).collect();
    if value.chars().nth(MOST).is_some() {
        text.push('…');
    }
    text
}
