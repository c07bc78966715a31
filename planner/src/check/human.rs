//! Findings for people: the line, the place underlined, and what to do.
//!
//! Findings of one rule beyond the first few are counted instead of shown, unless everything is
//! asked for; uncovered files are a list of names. The last line counts what there is.

use std::{collections::BTreeMap, fmt::Write as _};

use lanes::{LintLevel, Style, codes::Code, render_one};
use plans::RepoPath;

use super::{
    findings::{Findings, Place},
    levels::nearest,
    rules,
};

/// How many findings of one rule are shown.
const SHOWN: usize = 10;

/// How many files of one rule are listed.
const LISTED: usize = 20;

/// Renders every finding, or the first few of each rule.
#[must_use]
pub fn human(findings: &Findings, style: Style, everything: bool) -> String {
    let mut out = String::new();
    let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
    let mut files: BTreeMap<&str, Vec<OfFile<'_>>> = BTreeMap::new();
    for finding in findings.iter() {
        let code = finding.diagnostic.code;
        if let Place::File(path) = &finding.place {
            let message = finding.diagnostic.message.as_str();
            let of_file = OfFile { path, message, level: finding.level, code };
            files.entry(code.name).or_default().push(of_file);
            continue;
        }
        let count = shown.entry(code.name).or_default();
        *count += 1;
        // What fails the check is shown whole.
        if everything || *count <= SHOWN || finding.level == LintLevel::Deny && *count <= 10 * SHOWN
        {
            let sources = findings.sources(&finding.place);
            out.push_str(&render_one(sources, &finding.diagnostic, style));
            out.push_str("\n\n");
        }
    }
    for (code, paths) in &files {
        list(&mut out, code, paths, style, everything);
    }
    let mut more: Vec<String> = Vec::new();
    for (code, count) in shown {
        let deny = findings
            .iter()
            .any(|it| it.diagnostic.code.name == code && it.level == LintLevel::Deny);
        let limit = if deny { 10 * SHOWN } else { SHOWN };
        if !everything && count > limit {
            more.push(format!("{} more of `{code}`", count - limit));
        }
    }
    if !more.is_empty() {
        let _ = writeln!(out, "not shown: {}; `--verbose` shows them\n", more.join(", "));
    }
    if !findings.is_complete() {
        out.push_str("the rules have not been asked: the files must be understood first\n\n");
    }
    out.push_str(&summary(findings));
    out.push('\n');
    out
}

/// A finding that is about a file, with no place in the definitions.
struct OfFile<'a> {
    path: &'a RepoPath,
    message: &'a str,
    level: LintLevel,
    code: &'static Code,
}

fn list(out: &mut String, code: &str, files: &[OfFile<'_>], style: Style, everything: bool) {
    let Some(OfFile { level, code: known, .. }) = files.first() else { return };
    let (word, colour) = if *level == LintLevel::Deny { ("error", 31) } else { ("warning", 33) };
    let title = format!("{word}[{code}]");
    let title = if style.colour { format!("\x1b[1;{colour}m{title}\x1b[0m") } else { title };
    let count = match files.len() {
        1 => "1 file".to_owned(),
        count => format!("{count} files"),
    };
    // There may be thousands of these, and each message is the same but for the name.
    let names_only = known.name == rules::UNCOVERED_FILE;
    let what = if names_only { " that nothing covers" } else { "" };
    let _ = writeln!(out, "{title}: {count}{what}");
    let limit = if everything { usize::MAX } else { LISTED };
    for file in files.iter().take(limit) {
        if names_only {
            let _ = writeln!(out, "  {}", file.path);
        } else {
            let _ = writeln!(out, "  {}", file.message);
        }
    }
    if files.len() > limit {
        let _ = writeln!(out, "  … and {} more; `--verbose` lists them", files.len() - limit);
    }
    let _ = writeln!(out, "  = help: {}\n", known.remedy.trim_end_matches('.'));
}

/// Says how many findings there are, in a line.
#[must_use]
pub fn summary(findings: &Findings) -> String {
    let count = |level, word: &str| match findings.count(level) {
        0 => None,
        1 => Some(format!("1 {word}")),
        count => Some(format!("{count} {word}s")),
    };
    let counts: Vec<String> = [count(LintLevel::Deny, "error"), count(LintLevel::Warn, "warning")]
        .into_iter()
        .flatten()
        .collect();
    if counts.is_empty() { "nothing found".to_owned() } else { counts.join(", ") }
}

/// Explains a code, or lists all of them for `all`; an error names the nearest.
///
/// # Errors
///
/// The code that was probably meant, if one is near.
pub fn explain(name: &str) -> Result<String, Option<&'static str>> {
    let codes = rules::codes();
    if name == "all" {
        let width = codes.iter().map(|(code, _)| code.name.len()).max().unwrap_or_default();
        let lines = codes
            .iter()
            .map(|(code, level)| format!("{:<width$}  {}\n", code.name, level.as_str()));
        return Ok(lines.collect());
    }
    let Some((code, level)) = codes.into_iter().find(|(code, _)| code.name == name) else {
        return Err(nearest(name));
    };
    let how = if rules::find(name).is_some() {
        format!("{} by default; `[lints]` of the invariants sets another level", level.as_str())
    } else {
        format!("always {}", level.as_str())
    };
    Ok(format!("{}\n\n  {}\n\n  {}\n\n  Level: {how}.\n", code.name, code.cause, code.remedy))
}
