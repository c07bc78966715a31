//! What a person sees: on a terminal a live display, elsewhere one line for each thing that
//! happens. Talk goes to standard error; the lanes' verdicts, which are the answer, to standard
//! output at the end.

use std::{io::IsTerminal as _, path::PathBuf, time::Duration};

use tracing::level_filters::LevelFilter;

use super::{Quiet, Reporter, progress::Progress, stderr, stdout, verdicts::verdicts};
use crate::{
    event::{Event, NodeFinished},
    outcome::{LaneOutcome, NOT_ASKED_FOR, Outcome},
    record::{NodeRecord, Record, RunOutcome},
    text::{self, push},
};

/// How many lines of a failed job's log are shown.
const TAIL_LINES: usize = 20;

/// Whether and where colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Colour(bool);

impl Colour {
    /// Paints text; `code` is an SGR parameter (ECMA-48, 8.3.117).
    fn paint(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    fn outcome(self, outcome: impl Into<LaneOutcome>, text: &str) -> String {
        let code = match outcome.into() {
            LaneOutcome::Passed => "32",
            LaneOutcome::Skipped => "2",
            LaneOutcome::Incomplete | LaneOutcome::Cancelled => "33",
            LaneOutcome::InfraFailed => "35",
            LaneOutcome::TimedOut | LaneOutcome::Failed => "31",
        };
        self.paint(code, text)
    }
}

/// Tells a run to a person.
pub struct Human {
    err: Quiet<std::io::Stderr>,
    out: Quiet<std::io::Stdout>,
    progress: Option<Progress>,
    err_colour: Colour,
    out_colour: Colour,
    nodes_dir: PathBuf,
    run: String,
    /// Whether the lanes' verdicts are printed at the end.
    verdicts: bool,
    told_resume: bool,
    /// Nodes that nobody asked for and that no line has told yet: one line does for all.
    not_asked_for: usize,
}

impl Human {
    /// Tells the run `run`, whose nodes' files are in `nodes_dir`.
    #[must_use]
    pub fn new(run: String, nodes_dir: PathBuf, verdicts: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = std::io::stderr().is_terminal();
        // Bars and the lines of `-v` do not go together.
        let quiet = LevelFilter::current() == LevelFilter::OFF;
        let live = terminal && quiet && std::env::var_os("CI").is_none_or(|value| value.is_empty());
        Self {
            err: stderr(),
            out: stdout(),
            progress: live.then(Progress::new),
            err_colour: Colour(terminal && !plain),
            out_colour: Colour(std::io::stdout().is_terminal() && !plain),
            nodes_dir,
            run,
            verdicts,
            told_resume: false,
            not_asked_for: 0,
        }
    }

    /// Lets something else write to the same terminal.
    pub fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match &self.progress {
            Some(progress) => progress.above(write),
            None => write(),
        }
    }

    fn say(&mut self, text: &str) {
        match &self.progress {
            Some(progress) => progress.above(|| self.err.text(&format!("{text}\n"))),
            None => self.err.text(&format!("{text}\n")),
        }
    }

    fn finished(&mut self, node: &NodeFinished) {
        if let Some(progress) = &self.progress {
            let counts = if node.tolerated { Outcome::Passed } else { node.outcome };
            progress.finished(&node.node, counts);
        }
        if node.because.as_deref() == Some(NOT_ASKED_FOR) {
            self.not_asked_for += 1;
            return;
        }
        let colour = self.err_colour;
        let word = colour.outcome(node.outcome, &format!("{:>12}", node.outcome.as_str()));
        let mut line = format!("{word}  {}", node.node);
        if let Some(remark) = node.record.remark() {
            push!(line, " ({remark})");
        }
        if let Some(took) = node.duration_ms {
            let took = text::duration(Duration::from_millis(took));
            line.push_str(&colour.paint("2", &format!("  {took}")));
        }
        if node.attempts > 1 {
            push!(line, "  (attempt {})", node.attempts);
        }
        match node.outcome {
            // On a terminal the count says it; a log is read later and wants every line.
            Outcome::Passed if self.progress.is_some() => return,
            Outcome::Passed => {}
            _ => {
                let why = node.because.as_deref().or(node.message.as_deref()).map(text::neutral);
                let why = why.or_else(|| node.exit_code.map(|code| format!("exit code {code}")));
                if let Some(why) = why {
                    push!(line, ": {why}");
                }
            }
        }
        if let Some(advice) = &node.record.advice {
            push!(line, "\n{:>14}{}", "", text::neutral(advice));
        }
        let log = match node.outcome {
            Outcome::Failed | Outcome::TimedOut => Some("guest.log"),
            Outcome::InfraFailed if node.attempts > 0 => Some("host.log"),
            _ => None,
        };
        if let Some(log) = log {
            let path = self.nodes_dir.join(&node.node).join(log);
            for tail in text::tail(&path, TAIL_LINES) {
                push!(line, "\n{}", colour.paint("2", &format!("{:>14}| {tail}", "")));
            }
        }
        self.say(&line);
    }

    /// Tells of the nodes that were left out, before the next thing that happens.
    fn tell_not_asked_for(&mut self) {
        let count = std::mem::take(&mut self.not_asked_for);
        if count > 0 {
            let nodes = text::count(count, "node");
            self.say(&format!("{:>12}  {nodes} not asked for", Outcome::Skipped.as_str()));
        }
    }
}

impl Reporter for Human {
    fn event(&mut self, event: &Event) {
        if !matches!(event, Event::NodeFinished(_)) {
            self.tell_not_asked_for();
        }
        match event {
            Event::RunStarted(started) => {
                if let Some(progress) = &mut self.progress {
                    progress.begin(started.nodes);
                }
                let verb = if started.resumed { "resuming run" } else { "run" };
                self.told_resume = started.resumed;
                let run = self.run.clone();
                self.say(&format!("{verb} {run}: {}", text::count(started.nodes, "node")));
            }
            Event::NodeStarted(started) => match &self.progress {
                Some(progress) => progress.started(&started.node, started.attempt),
                None => self.say(&format!("{:>12}  {}", "started", started.node)),
            },
            Event::NodeWaiting(waiting) => match &self.progress {
                Some(progress) => progress.waits(&waiting.node, &waiting.message),
                None => {
                    self.say(&format!("{:>12}  {}  {}", "waiting", waiting.node, waiting.message))
                }
            },
            Event::NodeWaited(waited) => match &self.progress {
                Some(progress) => progress.goes_on(&waited.node),
                None => self.say(&format!("{:>12}  {}", "goes on", waited.node)),
            },
            Event::NodeRetrying(retrying) => {
                if let Some(progress) = &self.progress {
                    progress.paused(&retrying.node);
                }
                let why = match (&retrying.message, retrying.exit_code) {
                    (Some(message), _) => format!(": {}", text::neutral(message)),
                    (None, Some(code)) => format!(": exit code {code}"),
                    (None, None) => String::new(),
                };
                let word = self.err_colour.paint("33", &format!("{:>12}", "retrying"));
                self.say(&format!(
                    "{word}  {}  attempt {} {}{why}",
                    retrying.node, retrying.attempt, retrying.outcome
                ));
            }
            Event::NodeFinished(node) => self.finished(node),
            Event::RunStopping(stopping) => {
                let what = if stopping.kill {
                    "killing what still runs; once more leaves it to `executor resume`"
                } else {
                    "starting nothing more, ending what runs; once more kills it"
                };
                let reason = text::neutral(&stopping.reason);
                self.say(&format!("{:>12}  {reason}: {what}", "stopping"));
            }
            Event::Warning(warning) => {
                let word = self.err_colour.paint("33", &format!("{:>12}", "warning"));
                let node = warning.node.as_ref().map(|n| format!("{n}: ")).unwrap_or_default();
                let message = text::neutral(&warning.message);
                self.say(&format!("{word}  {node}{message}"));
            }
            Event::RunFinished(_) => {}
        }
    }

    fn finish(&mut self, record: &Record) {
        self.progress = None;
        let summary = summary(record);
        let colour = self.err_colour;
        self.err.text(&format!("run {} {}\n", record.run_id, colour.paint("1", &summary)));
        if record.outcome == RunOutcome::InfraFailed {
            self.err.text(&format!(
                "no job failed; `executor rerun {} --failed` tries those nodes again\n",
                record.run_id
            ));
        }
        if self.verdicts {
            let paint = |outcome: LaneOutcome| self.out_colour.outcome(outcome, outcome.as_str());
            let lanes = verdicts(record, paint);
            self.out.text(&lanes);
        }
    }
}

/// Returns how a run ended in a line: `failed: 3 passed, 1 failed, 2 skipped`.
#[must_use]
pub(super) fn summary(record: &Record) -> String {
    let counts: Vec<String> = Outcome::ALL
        .into_iter()
        .filter_map(|outcome| {
            let of_it = |node: &&NodeRecord| node.outcome == outcome && !node.tolerated;
            let number = record.nodes.iter().filter(of_it).count();
            (number > 0).then(|| format!("{number} {outcome}"))
        })
        .chain(match record.nodes.iter().filter(|node| node.tolerated).count() {
            0 => None,
            some => Some(text::count(some, "tolerated failure")),
        })
        .chain(match record.nodes.iter().filter(|node| node.reused.is_some()).count() {
            0 => None,
            some => Some(format!("{some} reused")),
        })
        .collect();
    let counts = if counts.is_empty() { "no nodes".to_owned() } else { counts.join(", ") };
    format!("{}: {counts}", record.outcome)
}
