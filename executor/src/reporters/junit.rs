//! `--junit FILE`: the run as one test suite, a node being a test case. A failed job is a failure,
//! a failed machine an error, what did not run is skipped with its reason, retries are reruns.

use std::{path::PathBuf, time::Duration};

use quick_junit::{
    NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite, XmlString,
};

use super::{Quiet, Reporter, stderr};
use crate::{
    event::Event,
    files,
    outcome::Outcome,
    record::{NodeRecord, Record},
    text,
};

/// How many lines of its log a failed node carries.
const TAIL_LINES: usize = 200;

/// Writes a JUnit report when the run is over.
pub struct JUnit {
    file: PathBuf,
    nodes_dir: PathBuf,
    err: Quiet<std::io::Stderr>,
}

impl JUnit {
    /// Writes to `file`; the logs are in `nodes_dir`.
    #[must_use]
    pub fn new(file: PathBuf, nodes_dir: PathBuf) -> Self {
        Self { file, nodes_dir, err: stderr() }
    }
}

impl Reporter for JUnit {
    fn event(&mut self, _event: &Event) {}

    fn finish(&mut self, record: &Record) {
        let logs =
            |node: &str| text::tail(&self.nodes_dir.join(node).join("guest.log"), TAIL_LINES);
        let written = report(record, logs)
            .to_string()
            .map_err(|error| error.to_string())
            .and_then(|xml| files::replace(&self.file, xml.as_bytes()).map_err(|e| e.to_string()));
        if let Err(error) = written {
            let file = self.file.display();
            self.err
                .text(&format!("warning: the JUnit report `{file}` was not written: {error}\n"));
        }
    }
}

fn report(record: &Record, log: impl Fn(&str) -> Vec<String>) -> Report {
    let mut suite = TestSuite::new("forge-lanes");
    suite.add_property(("run_id", record.run_id.as_str()));
    suite.add_property(("plan_digest", record.plan_digest.as_str()));
    for lane in &record.lanes {
        let value = lane.outcome.as_str();
        suite.add_property((format!("lane.{}", lane.id).as_str(), value));
    }
    for node in &record.nodes {
        suite.add_test_case(case(node, &log));
    }
    // What the nodes took, as other programs count it: beside each other or not.
    let took = record.nodes.iter().filter_map(|node| node.duration_ms).sum();
    suite.set_time(Duration::from_millis(took));
    let mut report = Report::new("forge-lanes");
    report.set_time(Duration::from_millis(took));
    report.add_test_suite(suite);
    report
}

fn case(node: &NodeRecord, log: impl Fn(&str) -> Vec<String>) -> TestCase {
    let mut status = match node.outcome {
        Outcome::Passed => TestCaseStatus::success(),
        Outcome::Skipped | Outcome::Cancelled => TestCaseStatus::skipped(),
        // The format has no word for it, and readers fail a build for a failure.
        Outcome::Failed | Outcome::TimedOut if node.tolerated => TestCaseStatus::skipped(),
        Outcome::Failed | Outcome::TimedOut => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Outcome::InfraFailed => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    if node.outcome != Outcome::Passed {
        let tolerated = if node.tolerated { "tolerated failure: " } else { "" };
        status.set_message(xml(&format!("{tolerated}{}", why(node))));
        status.set_type(node.failure_kind.as_deref().unwrap_or(node.outcome.as_str()).to_owned());
    }
    if !node.tolerated && !matches!(node.outcome, Outcome::Skipped | Outcome::Cancelled) {
        for earlier in &node.retried {
            let kind = match earlier.outcome {
                Outcome::InfraFailed => NonSuccessKind::Error,
                _ => NonSuccessKind::Failure,
            };
            let mut rerun = TestRerun::new(kind);
            rerun.set_type(earlier.failure_kind.as_deref().unwrap_or(earlier.outcome.as_str()));
            rerun.set_message(match (&earlier.message, earlier.exit_code) {
                (Some(message), _) => xml(message),
                (None, Some(code)) => format!("exit code {code}"),
                (None, None) => earlier.outcome.to_string(),
            });
            if let Some(took) = earlier.duration_ms {
                rerun.set_time(Duration::from_millis(took));
            }
            status.add_rerun(rerun);
        }
    }
    let mut case = TestCase::new(node.id.as_str(), status);
    // Readers group by it, and some refuse a case without one.
    case.set_classname(match (&node.placement, &node.runtime) {
        (Some(placement), Some(runtime)) => format!("{placement}.{runtime}"),
        _ => "forge-lanes".to_owned(),
    });
    // Some readers want one everywhere: what did not run took none.
    case.set_time(Duration::from_millis(node.duration_ms.unwrap_or(0)));
    for (name, value) in &node.outputs {
        case.add_property((format!("output.{name}"), xml(value)));
    }
    if let Some(reused) = &node.reused {
        case.add_property(("reused", xml(&reused.run_id).as_str()));
    }
    for given in &node.files_from {
        case.add_property(("files_from", xml(&given.in_words()).as_str()));
    }
    for cache in &node.caches {
        case.add_property(("cache", xml(&cache.in_words()).as_str()));
    }
    if matches!(node.outcome, Outcome::Failed | Outcome::TimedOut | Outcome::InfraFailed) {
        let lines = log(&node.id);
        if !lines.is_empty() {
            case.set_system_out(XmlString::new(xml(&lines.join("\n"))));
        }
    }
    case
}

/// Replaces what no XML 1.0 document may hold, not even escaped (its production `Char`). Control
/// characters and escape sequences are taken out by [`XmlString`].
fn xml(text: &str) -> String {
    text.replace(['\u{fffe}', '\u{ffff}'], "\u{fffd}")
}

/// Returns why a node did not pass, in a line.
pub(super) fn why(node: &NodeRecord) -> String {
    node.because
        .clone()
        .or_else(|| node.message.clone())
        .or_else(|| node.exit_code.map(|code| format!("exit code {code}")))
        .unwrap_or_else(|| node.outcome.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_end_has_its_element() {
        let log = |_: &str| vec!["last words \u{1}".to_owned()];
        let xml = report(&super::super::tests::record(), log).to_string().expect("XML");
        insta::assert_snapshot!(xml);
    }
}
