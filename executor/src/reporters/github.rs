//! GitHub Actions: annotations for what failed, a table in the step summary. Only where its
//! variables say so, and within its limits: ten annotations of a kind for each step, one mebibyte
//! of summary.
//!
//! A runner obeys every line of a step's output that looks like a command. What we print of a job
//! is therefore wrapped in `::stop-commands::` with a token nobody can guess, or escaped.

use std::{
    fs::OpenOptions,
    hash::{BuildHasher as _, RandomState},
    io::Write as _,
    path::PathBuf,
};

use super::{Quiet, Reporter, human, junit::why, stderr};
use crate::{
    event::Event,
    outcome::Outcome,
    record::{NodeRecord, Record},
    text::{self, push},
};

/// Annotations of one kind for each step.
const ANNOTATIONS: usize = 10;

/// Bytes of a summary; GitHub drops the whole of a longer one.
const SUMMARY_BYTES: usize = 1024 * 1024;

/// Speaks to a GitHub runner.
pub struct GitHub {
    err: Quiet<std::io::Stderr>,
    /// What makes the runner listen again; absent: it listens.
    token: Option<String>,
    annotations: bool,
    summary: Option<PathBuf>,
}

impl GitHub {
    /// Makes a reporter where `environment` says that a runner listens. From now on nothing that is
    /// printed is a command.
    #[must_use]
    pub fn from_env(environment: impl Fn(&str) -> Option<String>) -> Option<Self> {
        let annotations = environment("GITHUB_ACTIONS").is_some_and(|value| value == "true");
        let summary = environment("GITHUB_STEP_SUMMARY").filter(|path| !path.is_empty());
        if !annotations && summary.is_none() {
            return None;
        }
        let chance = RandomState::new();
        let mut err = stderr();
        let token = annotations.then(|| {
            let token = format!("{:016x}{:016x}", chance.hash_one(1), chance.hash_one(2));
            err.text(&format!("::stop-commands::{token}\n"));
            token
        });
        Some(Self { err, token, annotations, summary: summary.map(PathBuf::from) })
    }
}

impl GitHub {
    /// Lets the runner obey commands again: what follows is ours, or another program's.
    fn listen_again(&mut self) {
        if let Some(token) = self.token.take() {
            self.err.text(&format!("::{token}::\n"));
        }
    }
}

impl Drop for GitHub {
    /// A run that is left or broken off tells no end.
    fn drop(&mut self) {
        self.listen_again();
    }
}

impl Reporter for GitHub {
    fn event(&mut self, _event: &Event) {}

    fn finish(&mut self, record: &Record) {
        self.listen_again();
        if self.annotations {
            self.err.text(&annotations(record));
        }
        if let Some(path) = &self.summary {
            // Other commands of the step write there too, and all of it counts.
            let taken = std::fs::metadata(path).map_or(0, |found| found.len());
            let taken = usize::try_from(taken).unwrap_or(usize::MAX);
            let text = summary_text(record, SUMMARY_BYTES.saturating_sub(taken));
            let written = OpenOptions::new()
                .append(true)
                .create(true)
                .open(path)
                .and_then(|mut file| file.write_all(text.as_bytes()));
            if let Err(error) = written {
                let path = path.display();
                self.err.text(&format!("warning: the step summary `{path}`: {error}\n"));
            }
        }
    }
}

fn annotations(record: &Record) -> String {
    let mut lines = String::new();
    let counts = |node: &NodeRecord| match node.outcome {
        Outcome::Failed | Outcome::TimedOut if node.tolerated => Some("warning"),
        Outcome::Failed | Outcome::TimedOut | Outcome::InfraFailed => Some("error"),
        Outcome::Cancelled => Some("warning"),
        Outcome::Passed | Outcome::Skipped => None,
    };
    for kind in ["error", "warning"] {
        let nodes: Vec<&NodeRecord> =
            record.nodes.iter().filter(|node| counts(node) == Some(kind)).collect();
        // The last one says how many are missing.
        let shown = if nodes.len() > ANNOTATIONS { ANNOTATIONS - 1 } else { nodes.len() };
        for node in &nodes[..shown] {
            let tolerated = if node.tolerated { " (tolerated)" } else { "" };
            let title = property(&format!("{} {}{tolerated}", node.id, node.outcome));
            push!(lines, "::{kind} title={title}::{}\n", message(&text::neutral(&why(node))));
        }
        if nodes.len() > shown {
            let more = nodes.len() - shown;
            push!(lines, "::{kind}::and {more} more nodes; the summary lists all\n");
        }
    }
    lines
}

/// Escapes the message of a workflow command.
fn message(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes a property of a workflow command.
fn property(text: &str) -> String {
    message(text).replace(':', "%3A").replace(',', "%2C")
}

/// Returns the summary in at most so many bytes; nothing, where not even its head has room.
fn summary_text(record: &Record, most: usize) -> String {
    let mut text = format!("### Run {} {}\n\n", record.run_id, human::summary(record));
    text.push_str("| lane | outcome |\n| --- | --- |\n");
    let left_out = "\n(the rest is left out: a summary holds one mebibyte)\n";
    let head = "\n| node | outcome | took | why |\n| --- | --- | --- | --- |\n";
    let fits = |text: &str, row: &str| text.len() + row.len() + left_out.len() <= most;
    for lane in &record.lanes {
        let words = lane.in_words(lane.outcome.as_str());
        let row = format!("| {} | {words} |\n", cell(&lane.title));
        if !fits(&text, &(row.clone() + head)) {
            break;
        }
        text.push_str(&row);
    }
    text.push_str(head);
    // What needs attention first, so that a cut table has lost the least.
    let mut nodes: Vec<&NodeRecord> = record.nodes.iter().collect();
    nodes.sort_by_key(|node| std::cmp::Reverse(node.outcome));
    for node in nodes {
        let took = node.duration_ms.map(std::time::Duration::from_millis).map(text::duration);
        let reason = if node.outcome == Outcome::Passed { String::new() } else { why(node) };
        let row = format!(
            "| {} | {} | {} | {} |\n",
            cell(&node.id),
            match node.remark() {
                Some(remark) => format!("{} ({remark})", node.outcome),
                None => node.outcome.to_string(),
            },
            took.unwrap_or_default(),
            cell(&reason)
        );
        if !fits(&text, &row) {
            text.push_str(left_out);
            break;
        }
        text.push_str(&row);
    }
    if text.len() > most { String::new() } else { text }
}

/// Makes text of others a table's cell: one line, no markup of its own.
fn cell(text: &str) -> String {
    let mut cell = String::with_capacity(text.len());
    for character in crate::text::neutral(text).chars() {
        if matches!(
            character,
            '|' | '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '!' | '#' | '&'
        ) {
            cell.push('\\');
        }
        cell.push(character);
    }
    cell
}

#[cfg(test)]
mod tests {
    use super::{super::tests, *};

    #[test]
    fn annotations_say_what_failed_and_obey_no_job() {
        insta::assert_snapshot!(annotations(&tests::record()));
    }

    #[test]
    fn the_summary_is_a_table_that_holds_no_markup_of_others() {
        insta::assert_snapshot!(summary_text(&tests::record(), SUMMARY_BYTES));
    }

    #[test]
    fn limits_are_kept() {
        let lines = annotations(&tests::many(1_000));
        assert_eq!(lines.lines().count(), ANNOTATIONS);
        assert!(lines.ends_with("and 991 more nodes; the summary lists all\n"), "{lines}");
        let text = summary_text(&tests::many(100_000), SUMMARY_BYTES);
        assert!(text.len() <= SUMMARY_BYTES);
        let short = summary_text(&tests::many(100_000), 10_000);
        assert!((9_000..=10_000).contains(&short.len()), "{}", short.len());
        assert_eq!(summary_text(&tests::many(3), 20), "");
        let mut lanes = tests::many(3);
        lanes.lanes = vec![lanes.lanes[0].clone(); 50_000];
        let text = summary_text(&lanes, SUMMARY_BYTES);
        assert!((SUMMARY_BYTES - 200..=SUMMARY_BYTES).contains(&text.len()), "{}", text.len());
        assert!(text.ends_with("mebibyte)\n"));
    }
}
