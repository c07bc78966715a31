//! What the plan cannot know about the engine that is to run it: where the agents find the plan
//! and the programs, and which agents take which nodes.
//!
//! Every value ends up in a shell line or a label list, so each is checked at the door.

use std::{collections::BTreeMap, str::FromStr};

use plans::{Placement, RuntimeKind};

/// What an export needs beside the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where each agent finds the plan, below its working directory.
    pub plan_path: PlanPath,
    /// How agents call the executor.
    pub executor: Program,
    /// How agents call the planner (GitHub only: there each run plans anew).
    pub planner: Program,
    /// Which agents take which nodes.
    pub runners: Runners,
    /// The stem of the file names, and what the workflow is called.
    pub name: ExportName,
    /// How long a job may wait inside the executor for a machine or a concurrency group before
    /// the engine gives it up, in minutes.
    pub queue_minutes: u32,
    /// Whether GitHub's own queue holds concurrency groups, too.
    pub github_queue: GithubQueue,
    /// When nightly lanes start, `HH:MM` in UTC: the manifest's `nightly_schedule_utc`.
    pub nightly_schedule_utc: Option<TimeOfDay>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            plan_path: PlanPath("plan.json".to_owned()),
            executor: Program("executor".to_owned()),
            planner: Program("planner".to_owned()),
            runners: Runners::default(),
            name: ExportName("forge-lanes".to_owned()),
            queue_minutes: 60,
            github_queue: GithubQueue::default(),
            nightly_schedule_utc: None,
        }
    }
}

/// Why an option cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: {why}")]
pub struct InvalidOption {
    text: String,
    what: &'static str,
    why: &'static str,
}

fn invalid(text: &str, what: &'static str, why: &'static str) -> InvalidOption {
    InvalidOption { text: text.chars().take(80).flat_map(char::escape_debug).collect(), what, why }
}

/// A path below the agent's working directory, of characters that no shell reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanPath(String);

impl FromStr for PlanPath {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        let what = "a path for the plan";
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | '/');
        if !text.chars().all(allowed) {
            Err(invalid(text, what, "letters, digits and `. _ - /` are allowed"))
        } else if text.starts_with('-')
            || text.split('/').any(|part| matches!(part, "" | "." | ".."))
        {
            Err(invalid(text, what, "a path below the working directory is expected"))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl PlanPath {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The beginning of a shell line that calls a program, such as `executor` or
/// `nix run .#executor --`. The operator's own words; the shell reads them as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program(String);

impl FromStr for Program {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        let what = "a command";
        if text.trim() != text || text.is_empty() {
            Err(invalid(text, what, "it is empty, or begins or ends with white space"))
        } else if !text.chars().all(|c| c == ' ' || c.is_ascii_graphic()) || text.contains('\\') {
            Err(invalid(text, what, "one line of printable ASCII without backslash is expected"))
        } else if text.contains("${{") {
            Err(invalid(text, what, "`${{` would be read by GitHub, not by the shell"))
        } else {
            Ok(Self(text.to_owned()))
        }
    }
}

impl Program {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The stem of the file names: a plain name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportName(String);

impl FromStr for ExportName {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.len() <= 64
            && text.chars().all(allowed)
        {
            Ok(Self(text.to_owned()))
        } else {
            Err(invalid(text, "a name for the export", "letters, digits, `_` and `-` are allowed"))
        }
    }
}

impl ExportName {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A time of day in UTC, `HH:MM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOfDay {
    /// 0 to 23.
    pub(crate) hour: u8,
    /// 0 to 59.
    pub(crate) minute: u8,
}

impl FromStr for TimeOfDay {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        let two = |digits: &str| {
            (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit()))
                .then(|| digits.parse::<u8>().ok())
                .flatten()
        };
        text.split_once(':')
            .and_then(|(hour, minute)| Some(Self { hour: two(hour)?, minute: two(minute)? }))
            .filter(|time| time.hour < 24 && time.minute < 60)
            .ok_or_else(|| invalid(text, "a time of day", "`HH:MM` is expected, in UTC"))
    }
}

/// Whether GitHub's own queue holds concurrency groups, beside the executor's locks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum GithubQueue {
    /// `concurrency` with `queue: max`: github.com, and servers that know it.
    #[default]
    Max,
    /// No `concurrency`: older servers, act and actionlint refuse `queue`, and without it GitHub
    /// cancels the job that waits. The executor's locks hold the group on each machine.
    Off,
}

/// Which agents take which nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runners {
    rules: BTreeMap<RunnerSelector, Labels>,
}

/// Which nodes a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RunnerSelector {
    /// Every node that no other rule is about, and what runs no node.
    Default,
    /// Nodes that run on the agent itself, in that runtime.
    Local(RuntimeWord),
    /// Nodes that run on another host; the agent only reaches it.
    RemoteSsh,
}

/// A runtime that can be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum RuntimeWord {
    HostProcess,
    Incus,
    Tart,
}

impl From<RuntimeKind> for RuntimeWord {
    fn from(kind: RuntimeKind) -> Self {
        match kind {
            RuntimeKind::HostProcess => Self::HostProcess,
            RuntimeKind::Incus => Self::Incus,
            RuntimeKind::Tart => Self::Tart,
        }
    }
}

/// The labels, tags or queue of agents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Labels(Vec<String>);

impl Labels {
    pub(crate) fn words(&self) -> &[String] {
        &self.0
    }
}

/// One `[WHICH=]LABEL,LABEL` of the command line; WHICH is `host_process`, `incus`, `tart` (nodes
/// the agent runs itself) or `remote_ssh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunnerRule {
    selector: RunnerSelector,
    labels: Labels,
}

impl FromStr for RunnerRule {
    type Err = InvalidOption;

    fn from_str(text: &str) -> Result<Self, InvalidOption> {
        let selectors = [
            ("host_process", RunnerSelector::Local(RuntimeWord::HostProcess)),
            ("incus", RunnerSelector::Local(RuntimeWord::Incus)),
            ("tart", RunnerSelector::Local(RuntimeWord::Tart)),
            ("remote_ssh", RunnerSelector::RemoteSsh),
        ];
        let (selector, labels) = selectors
            .iter()
            .find_map(|(word, selector)| {
                Some((*selector, text.strip_prefix(word)?.strip_prefix('=')?))
            })
            .unwrap_or((RunnerSelector::Default, text));
        let labels: Vec<String> = labels.split(',').map(str::to_owned).collect();
        let allowed = |c: char| {
            c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/' | '=' | ' ')
        };
        let well_formed = |label: &String| {
            label.starts_with(|c: char| c.is_ascii_alphanumeric())
                && !label.ends_with(' ')
                && label.chars().all(allowed)
        };
        if labels.iter().all(well_formed) {
            Ok(Self { selector, labels: Labels(labels) })
        } else {
            Err(invalid(
                text,
                "a list of runner labels",
                "labels are separated by commas and hold letters, digits and `. _ - : / =`",
            ))
        }
    }
}

impl FromIterator<RunnerRule> for Runners {
    fn from_iter<I: IntoIterator<Item = RunnerRule>>(rules: I) -> Self {
        Self { rules: rules.into_iter().map(|rule| (rule.selector, rule.labels)).collect() }
    }
}

impl Runners {
    /// Returns the labels of agents for work that is no node.
    pub(crate) fn default_labels(&self) -> Option<&Labels> {
        self.rules.get(&RunnerSelector::Default)
    }

    /// Returns the labels of agents for a node.
    pub(crate) fn labels(&self, placement: &Placement, runtime: RuntimeKind) -> Option<&Labels> {
        let selector = match placement {
            Placement::Local => RunnerSelector::Local(runtime.into()),
            Placement::RemoteSsh(_) => RunnerSelector::RemoteSsh,
        };
        self.rules.get(&selector).or_else(|| self.default_labels())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_option_reaches_a_shell_as_anything_else() {
        for bad in ["", "/plan.json", "../plan.json", "a b", "a;b", "-x", "a//b", "$(x)", "a\n"] {
            assert!(bad.parse::<PlanPath>().is_err(), "{bad:?} was accepted");
        }
        for bad in ["", " x", "x\ny", "x \\$HOME", "x ${{ secrets.A }}", "é"] {
            assert!(bad.parse::<Program>().is_err(), "{bad:?} was accepted");
        }
        for bad in ["", ",", "a,", "a;b", "tart=", "tart=-x", "a\nb", "${{ x }}", "$X"] {
            assert!(bad.parse::<RunnerRule>().is_err(), "{bad:?} was accepted");
        }
        for bad in ["", "8:00", "24:00", "08:60", "+8:00", "08:00:00", "a"] {
            assert!(bad.parse::<TimeOfDay>().is_err(), "{bad:?} was accepted");
        }
        assert!("ci/out/plan.json".parse::<PlanPath>().is_ok());
        assert!("nix run .#executor --".parse::<Program>().is_ok());
        assert!("08:00".parse::<TimeOfDay>().is_ok());
    }

    #[test]
    fn a_rule_for_the_runtime_comes_before_the_default() {
        let runners: Runners = ["self-hosted,linux", "tart=self-hosted,macos", "queue=big"]
            .iter()
            .map(|rule| rule.parse::<RunnerRule>().expect("well formed"))
            .collect();
        let words = |runtime| {
            runners.labels(&Placement::Local, runtime).map(|labels| labels.words().join(","))
        };
        assert_eq!(words(RuntimeKind::Tart).as_deref(), Some("self-hosted,macos"));
        assert_eq!(words(RuntimeKind::Incus).as_deref(), Some("queue=big"));
    }
}
