//! Findings as one JSON object, for programs. Keys are only ever added.

use lanes::LintLevel;
use serde::Serialize;

use super::{findings::Findings, sarif::uri};

#[derive(Serialize)]
struct Report {
    /// Whether every rule had its say.
    complete: bool,
    counts: Counts,
    findings: Vec<Entry>,
}

#[derive(Serialize)]
struct Counts {
    deny: usize,
    warn: usize,
}

#[derive(Serialize)]
struct Entry {
    code: &'static str,
    level: &'static str,
    message: String,
    /// The path; percent-encoded in `file_bytes` when it is not UTF-8.
    file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file_bytes: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    end_line: Option<usize>,
    end_column: Option<usize>,
    help: Option<String>,
}

/// Writes the object, with one newline at the end.
#[must_use]
pub fn json(findings: &Findings) -> String {
    let mut positions = findings.positions();
    let entries = findings.iter().map(|finding| {
        let at = positions.of(finding);
        let help = finding.diagnostic.help.join("; ");
        let text = at.file.as_ref().and_then(|path| path.as_str());
        let bytes = at.file.as_ref().filter(|path| path.as_str().is_none());
        Entry {
            code: finding.diagnostic.code.name,
            level: finding.level.as_str(),
            message: finding.diagnostic.message.clone(),
            file: text.map(str::to_owned),
            file_bytes: bytes.map(|path| uri(path.as_bytes())),
            line: at.lines.map(|lines| lines.line),
            column: at.lines.map(|lines| lines.column),
            end_line: at.lines.map(|lines| lines.end_line),
            end_column: at.lines.map(|lines| lines.end_column),
            help: (!help.is_empty()).then_some(help),
        }
    });
    let report = Report {
        complete: findings.is_complete(),
        counts: Counts {
            deny: findings.count(LintLevel::Deny),
            warn: findings.count(LintLevel::Warn),
        },
        findings: entries.collect(),
    };
    let mut text = serde_json::to_string_pretty(&report).expect("names and numbers are JSON");
    text.push('\n');
    text
}
