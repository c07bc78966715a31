//! A difference as a comment: a summary, and the lines of the terminal in a `diff` block, which
//! forges colour and in which they look for no mention, link or HTML. Cut where a comment ends.

use super::{
    Diff, Side,
    human::{Line, Mark, lines, summary},
};
use crate::render::text::Lines;

/// What forges take is 65,535 characters; room is left for the frame.
const LIMIT: usize = 64_000;
/// Lines longer than this are broken into several.
const COLUMNS: usize = 100;
/// One value longer than this is cut: a comment is not the place for it.
const VALUE: usize = 2_000;

/// Returns the difference in GitHub's Markdown, shorter than 65,536 bytes.
#[must_use]
pub fn markdown(diff: &Diff, from: &Side<'_>, to: &Side<'_>) -> String {
    let mut out = Lines::default();
    let whole = crate::render::code(&format!("planner diff {} {}", from.name, to.name));
    let (from, to) = (crate::render::code(from.name), crate::render::code(to.name));
    out.line(format!("### Plan: {}", summary(diff)));
    out.gap();
    out.line(format!("{from} → {to}"));
    if diff.is_empty() {
        return out.finish();
    }
    let lines: Vec<String> = lines(diff, COLUMNS).iter().map(written).collect();
    let fence = fence(&lines);
    out.gap();
    out.line(format!("{fence}diff"));
    let mut left_out = 0;
    for line in &lines {
        if left_out > 0 || out.len() + line.len() > LIMIT - fence.len() {
            left_out += 1;
        } else {
            out.line(line);
        }
    }
    out.line(&fence);
    if left_out > 0 {
        out.gap();
        out.line(format!(
            "*Cut here: {left_out} more lines, a comment has room for no more. {whole} shows them.*"
        ));
    }
    out.finish()
}

/// Puts the mark first, where forges look for it.
fn written(Line { mark, indent, text }: &Line) -> String {
    let sign = match mark {
        Mark::Heading => return format!("@@ {text} @@"),
        Mark::Plain => ' ',
        Mark::Added => '+',
        Mark::Removed => '-',
        Mark::Changed => '!',
    };
    let text = match text.char_indices().nth(VALUE) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.clone(),
    };
    format!("{sign} {:indent$}{text}", "")
}

/// A fence that no line can end: longer than any run of backticks inside.
fn fence(lines: &[String]) -> String {
    let longest = lines
        .iter()
        .flat_map(|line| line.split(|character| character != '`'))
        .map(str::len)
        .max()
        .unwrap_or(0);
    "`".repeat(longest.max(2) + 1)
}
