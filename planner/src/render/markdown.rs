//! The plan as a pull request comment: what runs and why, what does not, the graph folded away.
//!
//! Forges refuse comments of 65,536 characters and more (GitHub; others take more), so every list
//! is cut where its share of the budget ends, and says so. Foreign text is always code: there no
//! forge looks for mentions, issue numbers, links or HTML. Text that a code span could not hold
//! is written as `<code>` with character references, which never act as markup (CommonMark 0.31,
//! 2.5).

use plans::{Plan, PlanLane, Reason};

use super::{
    Options, mermaid,
    text::{Lines, count, one_line},
    words::{self, Piece, Sentence},
};

/// What forges take, less room for a heading of the caller's own.
const LIMIT: usize = 65_000;
/// How much of it lists may take; what they leave is for the graph.
const RUNS_SHARE: usize = 28_000;
const SKIPPED_SHARE: usize = 44_000;
/// Longer quotes are cut: a path may have 4,096 bytes.
const QUOTE: usize = 160;
/// How many reasons a lane's row names.
const REASONS: usize = 4;
/// A larger graph in a comment is not looked at; it is drawn in groups.
const MAX_BOXES: usize = 60;
const MAX_ARROWS: usize = 150;

/// Returns the plan as a comment in GitHub's Markdown, shorter than 65,536 bytes.
#[must_use]
pub fn markdown(plan: &Plan, options: &Options) -> String {
    let mut out = Lines::default();
    let lanes = |selected: bool| {
        plan.lanes().iter().filter(move |lane| lane.selected == selected).collect::<Vec<_>>()
    };
    head(&mut out, plan);
    runs(&mut out, &lanes(true), options, plan);
    skipped(&mut out, &lanes(false), plan);
    uncovered(&mut out, plan);
    graph(&mut out, plan);
    if let Some(digest) = &options.digest {
        out.gap();
        out.line(format!("<sub>plan {}</sub>", code(digest)));
    }
    out.finish()
}

fn head(out: &mut Lines, plan: &Plan) {
    let headline = words::headline(plan);
    let mut letters = headline.chars();
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    out.line(format!("### {}{}", first.collect::<String>(), letters.as_str()));
    out.gap();
    out.line(format!(
        "{}, {} · {} · {}",
        words::selection(plan.selection()),
        code(&words::source(plan.source())),
        count(plan.changes().len(), "changed path"),
        count(plan.nodes().len(), "node"),
    ));
    if let Some(note) = &plan.selection().note {
        out.gap();
        out.line(format!("> **Note** {}", code(note)));
    }
}

fn runs(out: &mut Lines, lanes: &[&PlanLane], options: &Options, plan: &Plan) {
    if lanes.is_empty() {
        return;
    }
    let estimate = options.durations.as_ref().map(|durations| durations.estimate(plan));
    out.gap();
    match &estimate {
        Some(_) => {
            out.line("| lane | why it runs | nodes | machine time |");
            out.line("| --- | --- | ---: | ---: |");
        }
        None => {
            out.line("| lane | why it runs | nodes |");
            out.line("| --- | --- | ---: |");
        }
    }
    for (index, lane) in lanes.iter().enumerate() {
        let time = estimate
            .as_ref()
            .map(|it| it.lanes.get(&lane.id).map_or("–".to_owned(), |it| words::measured(*it)))
            .map(|time| format!(" {time} |"))
            .unwrap_or_default();
        let (name, why) = (code(&lane.title), why(&lane.reasons));
        let row = format!("| {name} | {why} | {} |{time}", lane.nodes.len());
        if out.len() + row.len() > RUNS_SHARE {
            out.gap();
            out.line(cut(lanes.len() - index, "lane", "that run"));
            break;
        }
        out.line(row);
    }
    if let Some(estimate) = estimate.as_ref().filter(|it| it.unknown < plan.nodes().len()) {
        let time = words::measured;
        let unknown = match estimate.unknown {
            0 => String::new(),
            unknown => format!("; {} never measured, left out", count(unknown, "node")),
        };
        out.gap();
        out.line(format!(
            "Expected from earlier runs: **{}**, longest chain {}, machine time {}{unknown}.",
            time(estimate.expected),
            time(estimate.critical_time),
            time(estimate.machine_time),
        ));
        if !estimate.flaky.is_empty() {
            let mut flaky: Vec<String> =
                estimate.flaky.iter().take(10).map(|id| code(id.as_str())).collect();
            if estimate.flaky.len() > flaky.len() {
                flaky.push(format!("{} more", estimate.flaky.len() - flaky.len()));
            }
            out.gap();
            out.line(format!("Known to be flaky: {}.", flaky.join(", ")));
        }
    }
}

fn skipped(out: &mut Lines, lanes: &[&PlanLane], plan: &Plan) {
    let unlisted = plan.selection().lanes_not_listed.unwrap_or(0);
    let number = lanes.len() as u64 + unlisted;
    if number == 0 {
        return;
    }
    let lanes_word = if number == 1 { "lane does" } else { "lanes do" };
    out.gap();
    out.line(format!("<details><summary>{number} {lanes_word} not run</summary>"));
    out.gap();
    if !lanes.is_empty() {
        out.line("| lane | why not |");
        out.line("| --- | --- |");
    }
    for (index, lane) in lanes.iter().enumerate() {
        let row = format!("| {} | {} |", code(&lane.title), why(&lane.reasons));
        if out.len() + row.len() > SKIPPED_SHARE {
            out.gap();
            out.line(cut(lanes.len() - index, "lane", "that do not run"));
            break;
        }
        out.line(row);
    }
    if unlisted > 0 {
        out.gap();
        out.line(format!("{unlisted} of them are not listed in the plan."));
    }
    out.gap();
    out.line("</details>");
}

fn uncovered(out: &mut Lines, plan: &Plan) {
    const SHOWN: usize = 20;
    if plan.uncovered().is_empty() {
        return;
    }
    let paths = plan.uncovered().len();
    out.gap();
    out.line(format!(
        "<details><summary>{} that no lane covers</summary>",
        count(paths, "changed path")
    ));
    out.gap();
    for path in plan.uncovered().iter().take(SHOWN) {
        out.line(format!("- {}", code(&path.display())));
    }
    if paths > SHOWN {
        out.line(format!("- and {} more", paths - SHOWN));
    }
    out.gap();
    out.line("</details>");
}

fn graph(out: &mut Lines, plan: &Plan) {
    if plan.nodes().is_empty() {
        return;
    }
    let chart = mermaid::limited(plan, MAX_BOXES, MAX_ARROWS);
    out.gap();
    if out.len() + chart.len() + 400 > LIMIT {
        out.line("*The graph is left out: it does not fit into a comment. `planner show PLAN --format html` draws it.*");
        return;
    }
    let nodes = count(plan.nodes().len(), "node");
    out.line(format!("<details><summary>Graph of {nodes}</summary>"));
    out.gap();
    out.line("```mermaid");
    for line in chart.lines() {
        out.line(line);
    }
    out.line("```");
    out.gap();
    out.line("</details>");
}

/// Says how many rows are left out, and where they are.
fn cut(rest: usize, one: &str, which: &str) -> String {
    format!(
        "*Cut here: {} {which} left out, a comment has room for no more. \
         `planner show PLAN` lists them.*",
        count(rest, one)
    )
}

fn why(reasons: &[Reason]) -> String {
    let mut lines: Vec<String> =
        reasons.iter().take(REASONS).map(|reason| sentence(&words::reason(reason))).collect();
    if reasons.len() > REASONS {
        lines.push(format!("and {} more", count(reasons.len() - REASONS, "reason")));
    }
    lines.join("<br>")
}

fn sentence(sentence: &Sentence) -> String {
    let mut text = String::new();
    for piece in sentence {
        match piece {
            Piece::Text(words) => text.push_str(words),
            Piece::Quote(quoted) => text.push_str(&code(quoted)),
        }
    }
    text
}

/// Returns foreign text as code, also inside a table.
pub(crate) fn code(text: &str) -> String {
    let shown = one_line(text);
    let mut shown: std::borrow::Cow<'_, str> = shown;
    if shown.chars().count() > QUOTE {
        shown = format!("{}…", shown.chars().take(QUOTE).collect::<String>()).into();
    }
    let spans = !shown.is_empty()
        && !shown.contains(['`', '|', '\\'])
        && !shown.starts_with(' ')
        && !shown.ends_with(' ');
    if spans {
        return format!("`{shown}`");
    }
    let mut code = String::from("<code>");
    for character in shown.chars() {
        if character.is_alphanumeric() || " /,=+-".contains(character) {
            code.push(character);
        } else {
            code.push_str("&#");
            code.push_str(&u32::from(character).to_string());
            code.push(';');
        }
    }
    code.push_str("</code>");
    code
}

#[cfg(test)]
mod tests {
    use super::code;

    #[test]
    fn foreign_text_is_never_markup() {
        assert_eq!(code("rust/**"), "`rust/**`");
        assert_eq!(code("@team #12 <b>"), "`@team #12 <b>`");
        assert_eq!(code("a`|b"), "<code>a&#96;&#124;b</code>");
        assert_eq!(code("a\nb"), "<code>a&#92;nb</code>");
        assert_eq!(code(""), "<code></code>");
        assert_eq!(code("` @x"), "<code>&#96; &#64;x</code>");
    }
}
