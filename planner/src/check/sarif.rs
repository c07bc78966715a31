//! Findings as SARIF 2.1.0, for code scanning of forges and for editors.
//!
//! Every code is in the rules array, found or not; places are relative to the repository's root;
//! columns are counted in characters, which the log says.

use std::fmt::Write as _;

use lanes::LintLevel;
use serde_json::{Value, json};

use super::{
    findings::{At, Finding, Findings, Positions},
    rules,
};

/// Writes the log, with one newline at the end.
#[must_use]
pub fn sarif(findings: &Findings) -> String {
    let codes = rules::codes();
    let rules: Vec<Value> = codes
        .iter()
        .map(|(code, level)| {
            json!({
                "id": code.name,
                "shortDescription": { "text": code.cause },
                "help": { "text": code.remedy },
                "defaultConfiguration": { "level": word(*level) },
            })
        })
        .collect();
    let mut positions = findings.positions();
    let index = |finding: &Finding| {
        codes.iter().position(|(code, _)| code.name == finding.diagnostic.code.name)
    };
    let results: Vec<Value> =
        findings.iter().map(|finding| result(finding, index(finding), &mut positions)).collect();
    let log = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "planner check",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    let mut text = serde_json::to_string_pretty(&log).expect("names and numbers are JSON");
    text.push('\n');
    text
}

fn result(finding: &Finding, index: Option<usize>, positions: &mut Positions<'_>) -> Value {
    let diagnostic = &finding.diagnostic;
    let mut message = diagnostic.message.clone();
    for help in &diagnostic.help {
        message.push_str("\nhelp: ");
        message.push_str(help);
    }
    let mut result = json!({
        "ruleId": diagnostic.code.name,
        "level": word(finding.level),
        "message": { "text": message },
        "locations": [],
    });
    if let Some(index) = index {
        result["ruleIndex"] = json!(index);
    }
    if let Some(place) = location(&positions.of(finding)) {
        result["locations"] = json!([place]);
    }
    let related: Vec<Value> = diagnostic
        .labels
        .iter()
        .filter_map(|label| {
            let mut place = location(&positions.span(&finding.place, label.span))?;
            place["message"] = json!({ "text": label.text });
            Some(place)
        })
        .collect();
    if !related.is_empty() {
        result["relatedLocations"] = json!(related);
    }
    result
}

fn location(at: &At) -> Option<Value> {
    let file = at.file.as_ref()?;
    let mut place = json!({
        "artifactLocation": { "uri": uri(file.as_bytes()), "uriBaseId": "%SRCROOT%" },
    });
    if let Some(lines) = at.lines {
        place["region"] = json!({
            "startLine": lines.line,
            "startColumn": lines.column,
            "endLine": lines.end_line,
            "endColumn": lines.end_column,
        });
    }
    Some(json!({ "physicalLocation": place }))
}

fn word(level: LintLevel) -> &'static str {
    match level {
        LintLevel::Deny => "error",
        LintLevel::Warn => "warning",
        LintLevel::Allow => "none",
    }
}

/// Writes a path as a relative URI reference.
pub(super) fn uri(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}
