//! `--markdown`: the run as a step summary: lanes, what failed with the end of its log, where the
//! time went. Never longer than a forge takes; foreign text stays text.

use std::{borrow::Cow, time::Duration};

use super::{Report, at_most, last_written, needs_a_look, phases, state, why};
use crate::{
    outcome::Outcome,
    record::NodeRecord,
    text::{self, push},
};

/// What GitHub takes of a step's summary.
const MOST_BYTES: usize = 1024 * 1024;

/// What is kept for the part after the failures.
const RESERVED_BYTES: usize = 64 * 1024;

/// How many lines of its log a failed node shows.
const LOG_LINES: usize = 30;

/// How many values that nodes left are listed, and how much of each.
const OUTPUTS: usize = 100;
const OUTPUT_BYTES: usize = 200;

/// How many of the nodes that took longest are listed.
const SLOWEST: usize = 10;

/// How many caches are listed.
const CACHES: usize = 50;

/// How much the list of lanes may take.
const LANES_BYTES: usize = 256 * 1024;

/// Returns the summary's text.
pub(super) fn summary(report: &Report) -> String {
    let record = &report.record;
    let mut out = String::new();
    push!(
        out,
        "## {} Run {}: {}\n\n",
        sign(record.outcome.as_str()),
        inline(&record.run_id),
        record.outcome
    );
    let counts: Vec<String> = report
        .tally()
        .into_iter()
        .map(|(word, number)| format!("{number} {}", words(word)))
        .collect();
    push!(out, "{}", counts.join(" · "));
    if let Some(took) = report.took() {
        push!(out, " · {}", time(took));
    }
    push!(out, "\n\n");
    if let Some(stopped) = &record.stopped {
        push!(out, "> Ended early: {}\n\n", inline(stopped));
    }
    lanes(&mut out, report);
    failures(&mut out, report);
    outputs(&mut out, report);
    caches(&mut out, report);
    slowest(&mut out, report);
    push!(out, "Plan {} · started {}\n", inline(&record.plan_digest), inline(&record.started_at));
    debug_assert!(out.len() <= MOST_BYTES, "every part is bounded");
    out
}

fn lanes(out: &mut String, report: &Report) {
    let lanes = &report.record.lanes;
    if lanes.is_empty() {
        return;
    }
    push!(out, "| | Lane | Outcome |\n| --- | --- | --- |\n");
    let mut listed: Vec<_> = lanes.iter().collect();
    listed.sort_by_key(|lane| std::cmp::Reverse(lane.outcome));
    for (number, lane) in listed.iter().enumerate() {
        if out.len() > LANES_BYTES {
            push!(out, "\n{} more lanes are not listed.\n", lanes.len() - number);
            break;
        }
        let word = lane.outcome.as_str();
        let said = lane.in_words(&words(word));
        push!(out, "| {} | {} | {said} |\n", sign(word), inline(&lane.title));
    }
    out.push('\n');
}

fn failures(out: &mut String, report: &Report) {
    let failed: Vec<&NodeRecord> =
        report.record.nodes.iter().filter(|node| needs_a_look(node)).collect();
    if failed.is_empty() {
        return;
    }
    push!(out, "### What failed\n\n");
    for (number, node) in failed.iter().enumerate() {
        let part = failure(report, node);
        if out.len() + part.len() > MOST_BYTES - RESERVED_BYTES {
            let run = inline(&report.record.run_id);
            let rest = failed.len() - number;
            push!(out, "{rest} more failed; `executor status` shows them: run {run}.\n\n");
            return;
        }
        out.push_str(&part);
    }
}

fn failure(report: &Report, node: &NodeRecord) -> String {
    let mut out = String::new();
    let word = state(node);
    push!(out, "#### {} {} · {}\n\n", sign(word), inline(&node.id), words(word));
    let tolerated = node.tolerated.then(|| "tolerated".to_owned());
    let mut said: Vec<String> =
        tolerated.into_iter().chain(why(node).iter().map(|why| inline(why))).collect();
    if node.outcome == Outcome::InfraFailed {
        said.extend(node.failure_kind.as_deref().map(inline));
    }
    said.extend(node.host.as_deref().map(|host| format!("on {}", inline(host))));
    said.extend(node.duration_ms.map(time));
    if node.attempts > 1 {
        said.push(format!("{} attempts", node.attempts));
    }
    if !said.is_empty() {
        push!(out, "{}\n\n", said.join(" · "));
    }
    if let Some(advice) = &node.advice {
        push!(out, "**What to do:** {}\n\n", inline(advice));
    }
    let logs = report.logs(node);
    let Some((_, log)) = logs.iter().find(|(title, _)| title == "output") else { return out };
    let lines: Vec<(u64, &str)> = log.lines().collect();
    let shown: Vec<String> = lines[lines.len().saturating_sub(LOG_LINES)..]
        .iter()
        .map(|(_, line)| last_written(line))
        .collect();
    if !shown.is_empty() {
        // Longer than any fence in the log, so that the log cannot close it.
        let longest = shown.iter().flat_map(|line| line.split(|c| c != '`')).map(str::len).max();
        let fence = "`".repeat(longest.unwrap_or(0).max(2) + 1);
        let last = if lines.len() > shown.len() { "the end of its log" } else { "its log" };
        push!(
            out,
            "<details><summary>{last}</summary>\n\n{fence}text\n{}\n{fence}\n\n</details>\n\n",
            shown.join("\n")
        );
    }
    out
}

fn caches(out: &mut String, report: &Report) {
    let nodes = report.record.nodes.iter();
    let given: Vec<_> =
        nodes.flat_map(|node| node.caches.iter().map(move |cache| (node, cache))).collect();
    if given.is_empty() {
        return;
    }
    push!(out, "<details><summary>Caches</summary>\n\n| Node | Cache |\n| --- | --- |\n");
    for (number, (node, cache)) in given.iter().enumerate() {
        let row = format!("| {} | {} |\n", inline(&node.id), inline(&cache.in_words()));
        if number == CACHES || out.len() + row.len() > MOST_BYTES - RESERVED_BYTES {
            push!(out, "\n{} more are not listed.\n", given.len() - number);
            break;
        }
        out.push_str(&row);
    }
    push!(out, "\n</details>\n\n");
}

fn outputs(out: &mut String, report: &Report) {
    let nodes = report.record.nodes.iter();
    let all: Vec<_> = nodes
        .flat_map(|node| node.outputs.iter().map(move |(name, value)| (&node.id, name, value)))
        .collect();
    if all.is_empty() {
        return;
    }
    push!(out, "<details><summary>What nodes left for others</summary>\n\n");
    push!(out, "| Node | Output | Value |\n| --- | --- | --- |\n");
    for (node, name, value) in all.iter().take(OUTPUTS) {
        let value = at_most(value, OUTPUT_BYTES);
        push!(out, "| {} | {} | {} |\n", inline(node), inline(name), inline(&value));
    }
    if all.len() > OUTPUTS {
        push!(out, "\n{} more are not listed.\n", all.len() - OUTPUTS);
    }
    push!(out, "\n</details>\n\n");
}

fn slowest(out: &mut String, report: &Report) {
    let mut nodes: Vec<(u64, &NodeRecord)> =
        report.record.nodes.iter().filter_map(|node| Some((node.duration_ms?, node))).collect();
    if nodes.is_empty() {
        return;
    }
    nodes.sort_by_key(|(took, _)| std::cmp::Reverse(*took));
    push!(out, "<details><summary>Where the time went</summary>\n\n");
    push!(out, "| | Node | Time | Longest phase |\n| --- | --- | ---: | --- |\n");
    for (took, node) in nodes.into_iter().take(SLOWEST) {
        let longest = phases(node).into_iter().max_by_key(|(_, ms)| *ms);
        let longest =
            longest.map(|(name, ms)| format!("{} {}", inline(name), time(ms))).unwrap_or_default();
        push!(
            out,
            "| {} | {}{} | {} | {longest} |\n",
            sign(state(node)),
            inline(&node.id),
            node.remark().map(|remark| format!(" ({remark})")).unwrap_or_default(),
            time(took)
        );
    }
    push!(out, "\n</details>\n\n");
}

fn time(ms: u64) -> String {
    text::duration(Duration::from_millis(ms))
}

fn sign(word: &str) -> &'static str {
    match word {
        "passed" => "✅",
        "failed" | "timed_out" => "❌",
        "infra_failed" | "interrupted" => "⚠️",
        "cancelled" => "🛑",
        "running" => "▶️",
        "incomplete" => "🟡",
        _ => "⚪",
    }
}

fn words(word: &str) -> Cow<'_, str> {
    match word {
        "timed_out" => "timed out".into(),
        "infra_failed" => "infrastructure failed".into(),
        word => word.into(),
    }
}

/// Returns foreign text as text: one line, no control characters, nothing that Markdown or HTML
/// obeys, no mention that notifies anybody.
fn inline(foreign: &str) -> String {
    let mut safe = String::new();
    for character in text::neutral(foreign).chars() {
        let plain = character.is_alphanumeric() || !character.is_ascii();
        let harmless = " ,;/=".contains(character);
        // At the beginning of a line these make a list or a rule.
        let harmless_inside = "-.:".contains(character) && !safe.is_empty();
        if plain || harmless || harmless_inside {
            safe.push(character);
        } else {
            push!(safe, "&#{};", u32::from(character));
        }
    }
    // A bare address would become a link.
    safe.replace("://", "&#58;//").replace("www.", "www&#46;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_no_markup() {
        assert_eq!(inline("unit-tests 1.2"), "unit-tests 1.2");
        for hostile in
            ["<img src=x>", "`a`", "[a](b)", "a|b", "@all", "# a", "- a", "**a**", "a_b_"]
        {
            let safe = inline(hostile);
            assert!(!safe.contains(['<', '`', '[', '|', '@', '*', '_']), "{safe}");
            assert!(!safe.starts_with(['#', '-']), "{safe}");
        }
        assert_eq!(inline("http://a"), "http&#58;//a");
    }
}
