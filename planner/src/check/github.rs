//! Findings as GitHub annotations: one workflow command a line.

use std::fmt::Write as _;

use lanes::LintLevel;

use super::findings::Findings;

/// Writes one line for each finding.
#[must_use]
pub fn github(findings: &Findings) -> String {
    let mut positions = findings.positions();
    let mut out = String::new();
    for finding in findings.iter() {
        let command = if finding.level == LintLevel::Deny { "error" } else { "warning" };
        let at = positions.of(finding);
        let mut properties = Vec::new();
        if let Some(file) = &at.file {
            let file = String::from_utf8_lossy(file.as_bytes());
            properties.push(format!("file={}", property(&file)));
        }
        if let Some(lines) = at.lines {
            properties.push(format!("line={}", lines.line));
            properties.push(format!("endLine={}", lines.end_line));
            // GitHub takes columns only within one line.
            if lines.line == lines.end_line {
                properties.push(format!("col={}", lines.column));
                properties.push(format!("endColumn={}", lines.end_column));
            }
        }
        properties.push(format!("title={}", property(finding.diagnostic.code.name)));
        let mut message = finding.diagnostic.message.clone();
        for help in &finding.diagnostic.help {
            message.push_str("\nhelp: ");
            message.push_str(help);
        }
        let _ = writeln!(out, "::{command} {}::{}", properties.join(","), data(&message));
    }
    out
}

/// Escapes what would end a line or start an escape.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes what would end a property, too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_breaks_out_of_its_annotation() {
        assert_eq!(property("a:b,c%d\r\ne"), "a%3Ab%2Cc%25d%0D%0Ae");
        assert_eq!(data("50%\n::error::x"), "50%25%0A::error::x");
    }
}
