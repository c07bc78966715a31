//! `--html`: one page that needs no other file, no network and no server.
//!
//! The head, the lanes and the failures are plain HTML and stay readable without scripts. Nodes and
//! logs are data in blocks that no browser runs; `page.js` draws them, and puts foreign text on the
//! page as text alone. The content security policy names the one script and the one style by their
//! digests, so that whatever a log holds, nothing else runs and nothing is loaded.
//!
//! Served, the same page fetches its logs piece by piece from where it came from, and hears there what changes.

use std::{cell::LazyCell, collections::BTreeMap, io::Write as _, time::Duration};

use flate2::{Compression, write::DeflateEncoder};
use plans::NodeKind;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::{Report, at_most, last_written, log::Log, needs_a_look, phases, state, why};
use crate::{
    clock, guest_command,
    record::NodeRecord,
    results::Reused,
    text::{self, push},
};

pub(crate) const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// How much the logs of a page may take, packed: the page of ten thousand nodes is to open at once.
const LOGS_BYTES: usize = 12 * 1024 * 1024;

/// So many bytes of a log take one byte, packed; a first guess.
const PACKED_TO: usize = 4;

/// A shorter part of a log is of no use.
const LEAST: usize = 1024;

/// How many failures the part without scripts lists.
const FAILURES: usize = 200;

/// How many lines of its log each of them shows.
const FAILURE_LINES: usize = 12;

/// How much of a command, message or description is carried.
const TEXT_BYTES: usize = 4 * 1024;

/// Where a served page finds what belongs to it.
#[derive(Serialize)]
struct ServedData<'a> {
    /// The run's address.
    base: &'a str,
    /// Up to which news the page tells; absent: the run is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    news: Option<u64>,
    /// Milliseconds since the run's beginning.
    now: Option<u64>,
}

/// The nodes of a run as its served page shows them: each is drawn once, until it changes.
#[derive(Debug, Default)]
pub(crate) struct Drawn(Vec<Option<DrawnNode>>);

#[derive(Debug)]
struct DrawnNode {
    /// Its data, as JSON that ends no element.
    data: String,
    /// Its entry in the list of failures; absent: it has none there.
    failure: Option<String>,
}

/// How a page is served.
#[derive(Debug)]
pub(crate) struct Served<'a> {
    /// The run's address.
    pub(crate) base: &'a str,
    /// Up to which news the page tells; absent: the run is over.
    pub(crate) news: Option<u64>,
    /// What stands above the page: links to others.
    pub(crate) above: &'a str,
    /// Styles of the same.
    pub(crate) style: &'a str,
}

/// What changed of the head and the lanes of a run that goes on.
#[derive(Serialize)]
struct HeadData<'a> {
    state: &'a str,
    words: String,
    took: Option<u64>,
    tally: Vec<(&'a str, String, usize)>,
    lanes: Vec<(&'a str, String, String)>,
}

#[derive(Serialize)]
struct NodeData<'a> {
    /// Its place in the plan, in news.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<usize>,
    id: &'a str,
    state: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Milliseconds from the run's beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    began: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    took: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    phases: Vec<(&'a str, u64)>,
    /// The attempts before the last: beginning, milliseconds, outcome.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<(u64, u64, &'a str)>,
    /// The nodes it depends on, by position.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    after: Vec<usize>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    prepare: bool,
    /// What else there is to say, in the order it is shown.
    facts: Vec<(&'a str, String)>,
    /// The line of its output where reading begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    look: Option<u64>,
    /// Lines of its output from there on with their numbers, in news of a failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    excerpt: Vec<(u64, String)>,
}

/// A log in a page.
#[derive(Serialize)]
struct LogData {
    title: String,
    /// Packed text; absent: there was no room.
    #[serde(skip_serializing_if = "Option::is_none")]
    head: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tail: Option<String>,
    #[serde(skip_serializing_if = "crate::record::is_default")]
    bytes: u64,
    #[serde(skip_serializing_if = "crate::record::is_default")]
    lines: u64,
}

/// Returns the page.
pub(super) fn page(report: &Report) -> String {
    let (nodes, logs, failures) = packed(report);
    let nodes: Vec<String> = nodes.iter().map(json).collect();
    let data = data(report, &nodes.join(","), None);
    whole(report, None, &Parts { data, logs: json(&logs), failures })
}

/// Returns what a page may do that has this style and this script; `connects`: it may ask where it came from for more.
pub(crate) fn policy(style: &str, script: &str, connects: bool) -> String {
    let connects = if connects { "connect-src 'self'; " } else { "" };
    format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; {connects}base-uri 'none'; form-action 'none'",
        base64(&Sha256::digest(style)),
        base64(&Sha256::digest(script)),
    )
}

/// Returns the page as it is served, and what it may do; draws the nodes that are not `drawn`.
pub(crate) fn served(report: &Report, drawn: &mut Drawn, served: &Served<'_>) -> (String, String) {
    let style = format!("{STYLE}{}", served.style);
    let (nodes, failures) = drawn.complete(report, served.news.is_some());
    let from =
        ServedData { base: served.base, news: served.news, now: report.since_start(&clock::now()) };
    let data = data(report, &nodes.join(","), Some(&from));
    let parts = Parts { data, logs: "[]".to_owned(), failures };
    (whole(report, Some(served), &parts), policy(&style, SCRIPT, true))
}

/// Returns what `page.js` draws: the run, its `nodes`, and where logs and news come from, if there are any but those of the
/// page.
fn data(report: &Report, nodes: &str, served: Option<&ServedData<'_>>) -> String {
    let (run, took) = (json(&report.record.run_id), json(&report.took()));
    let served = served.map_or_else(String::new, |served| format!(",\"served\":{}", json(served)));
    format!("{{\"run\":{run},\"took\":{took},\"nodes\":[{nodes}]{served}}}")
}

impl Drawn {
    /// Takes note that a node changed.
    pub(crate) fn forget(&mut self, node: usize) {
        if let Some(drawn) = self.0.get_mut(node) {
            *drawn = None;
        }
    }

    /// Draws what is not drawn: the data of all nodes, the list of failures. `live`: more may fail. Logs are looked at of
    /// those failures alone that are listed.
    fn complete(&mut self, report: &Report, live: bool) -> (Vec<&str>, String) {
        let nodes = &report.record.nodes;
        self.0.resize_with(nodes.len(), || None);
        let positions = LazyCell::new(|| positions(report));
        let (mut list, mut failed) = (String::new(), 0);
        for (position, (node, drawn)) in nodes.iter().zip(&mut self.0).enumerate() {
            let fails = needs_a_look(node);
            failed += usize::from(fails);
            let listed = fails && failed <= FAILURES;
            if drawn.as_ref().is_none_or(|drawn| listed && drawn.failure.is_none()) {
                let mut data = node_data(report, node, &positions);
                let failure = listed.then(|| {
                    let logs = report.logs(node);
                    let output = output(&logs);
                    data.look = output.and_then(Log::place_to_look);
                    failure(node, position, output, data.look)
                });
                *drawn = Some(DrawnNode { data: json(&data), failure });
            }
            if listed && let Some(failure) = drawn.as_ref().and_then(|drawn| drawn.failure.as_ref())
            {
                list.push_str(failure);
            }
        }
        let data = self.0.iter().flatten().map(|drawn| &*drawn.data).collect();
        (data, failures(&list, failed, live))
    }
}

/// Returns a page's beginning up to its body.
pub(crate) fn beginning(title: &str, style: &str, policy: Option<&str>) -> String {
    let mut out =
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n".to_owned();
    if let Some(policy) = policy {
        push!(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n");
    }
    push!(
        out,
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<style>{style}</style>\n</head>\n<body>\n",
        escape(title),
    );
    out
}

/// What a page is put together from.
struct Parts {
    /// What its script draws, as JSON that ends no element.
    data: String,
    /// The logs of the nodes, in the same form.
    logs: String,
    /// The list of failures.
    failures: String,
}

fn whole(report: &Report, served: Option<&Served<'_>>, parts: &Parts) -> String {
    let record = &report.record;
    let live = served.is_some_and(|served| served.news.is_some());
    let title = format!("{} · run {}", words(record.outcome.as_str()), record.run_id);
    let mut out = match served {
        None => beginning(&title, STYLE, Some(&policy(STYLE, SCRIPT, false))),
        Some(served) => beginning(&title, &format!("{STYLE}{}", served.style), None),
    };
    out.push_str("<a class=\"skip\" href=\"#nodes\">Skip to the nodes</a>\n");
    out.push_str(served.map_or("", |served| served.above));
    out.push_str("<main class=\"page\">\n");
    head(&mut out, report);
    if live {
        out.push_str("<p class=\"soft\" id=\"live\" role=\"status\"></p>\n");
    }
    out.push_str(&parts.failures);
    lanes(&mut out, report);
    out.push_str(include_str!("page.html"));
    push!(
        out,
        "<footer>Plan <code>{}</code> · made by executor {}</footer>\n</main>\n",
        escape(&record.plan_digest),
        env!("CARGO_PKG_VERSION"),
    );
    push!(out, "<script type=\"application/json\" id=\"data\">{}</script>\n", parts.data);
    push!(out, "<script type=\"application/json\" id=\"packed\">{}</script>\n", parts.logs);
    push!(out, "<script>{SCRIPT}</script>\n</body>\n</html>\n");
    out
}

/// Returns nodes that changed, by their places in the plan, as `page.js` takes them: failures with what their logs say, as
/// many as a page lists.
pub(crate) fn news_of_nodes(report: &Report, changed: &[usize]) -> String {
    let positions = positions(report);
    let mut room = FAILURES;
    let nodes: Vec<NodeData<'_>> = changed
        .iter()
        .filter_map(|&at| {
            let node = report.record.nodes.get(at)?;
            let mut data = NodeData { at: Some(at), ..node_data(report, node, &positions) };
            if needs_a_look(node) && room > 0 {
                room -= 1;
                let logs = report.logs(node);
                let output = output(&logs);
                data.look = output.and_then(Log::place_to_look);
                data.excerpt = excerpt(output, data.look).collect();
            }
            Some(data)
        })
        .collect();
    serde_json::to_string(&nodes).expect("plain data")
}

/// Returns how the run and its lanes stand, as `page.js` takes it.
pub(crate) fn news_of_head(report: &Report) -> String {
    let record = &report.record;
    let state = record.outcome.as_str();
    let head = HeadData {
        state,
        words: sentence(words(state)),
        took: report.took().or_else(|| report.since_start(&clock::now())),
        tally: report
            .tally()
            .into_iter()
            .map(|(word, n)| (word, sentence(words(word)), n))
            .collect(),
        lanes: report
            .lane_states()
            .into_iter()
            .map(|(lane, word)| {
                (word, at_most(&lane.title, TEXT_BYTES), lane.in_words(words(word)))
            })
            .collect(),
    };
    serde_json::to_string(&head).expect("plain data")
}

fn positions(report: &Report) -> BTreeMap<&str, usize> {
    report
        .record
        .nodes
        .iter()
        .enumerate()
        .map(|(position, node)| (node.id.as_str(), position))
        .collect()
}

/// Goes through the nodes once: what the script draws, their logs, the list of failures. Logs of
/// failures are the first to find room, and what they leave is shared by the others: where those are long, each has
/// its beginning and its end.
fn packed(report: &Report) -> (Vec<NodeData<'_>>, Vec<Vec<LogData>>, String) {
    let nodes = &report.record.nodes;
    let positions = positions(report);
    let mut data: Vec<NodeData<'_>> =
        nodes.iter().map(|node| node_data(report, node, &positions)).collect();
    let mut packed: Vec<Vec<LogData>> = nodes.iter().map(|_| Vec::new()).collect();
    let mut room = Room(LOGS_BYTES);
    let mut list = String::new();
    let (failed, fine): (Vec<usize>, Vec<usize>) =
        (0..nodes.len()).partition(|&position| needs_a_look(&nodes[position]));
    for (nth, &position) in failed.iter().chain(&fine).enumerate() {
        let logs = report.logs(&nodes[position]);
        if nth < failed.len() {
            let output = output(&logs);
            data[position].look = output.and_then(Log::place_to_look);
            if nth < FAILURES {
                list += &failure(&nodes[position], position, output, data[position].look);
            }
        }
        let share = match nth < failed.len() {
            true => room.0,
            false => room.0 / (nodes.len() - nth),
        };
        packed[position] = room.logs(logs, share);
    }
    (data, packed, failures(&list, failed.len(), false))
}

/// Returns what a job said last, of a node's logs.
fn output(logs: &[(String, Log)]) -> Option<&Log> {
    logs.iter().find(|(title, _)| title == "output").map(|(_, log)| log)
}

/// Returns the part of the page that lists failures; empty: there is none, and there will be none.
fn failures(list: &str, failed: usize, live: bool) -> String {
    let mut shown = String::new();
    // A run that goes on may come to have some.
    if failed > 0 || live {
        let hidden = if failed == 0 { " hidden" } else { "" };
        push!(shown, "<section aria-labelledby=\"failed\"{hidden}>");
        shown.push_str("<h2 id=\"failed\">What failed</h2>\n");
        push!(shown, "<ul class=\"failures\" id=\"failures\">\n{list}</ul>\n");
        if failed > FAILURES || live {
            let more = failed.saturating_sub(FAILURES);
            let hidden = if more == 0 { " hidden" } else { "" };
            push!(shown, "<p class=\"soft\" id=\"failures-more\"{hidden}>{more} more failed: ");
            shown.push_str("filter the nodes below by outcome.</p>\n");
        }
        shown.push_str("</section>\n");
    }
    shown
}

fn node_data<'a>(
    report: &'a Report,
    node: &'a NodeRecord,
    positions: &BTreeMap<&str, usize>,
) -> NodeData<'a> {
    let planned = report.planned(node);
    let mut facts: Vec<(&str, String)> = Vec::new();
    let mut fact = |name, value: Option<String>| {
        facts.extend(value.filter(|v| !v.is_empty()).map(|v| (name, at_most(&v, TEXT_BYTES))));
    };
    fact("What to do", node.advice.clone());
    fact("What failed", node.failure_kind.clone());
    fact("What it is", planned.map(|planned| planned.spec.description.clone()));
    fact("Command", planned.map(|planned| guest_command::display(&planned.spec.command)));
    fact("Exit code", node.exit_code.map(|code| code.to_string()));
    fact("Signal", node.signal.map(|signal| signal.to_string()));
    let place = [&node.placement, &node.host, &node.runtime];
    let place: Vec<&str> = place.into_iter().filter_map(|part| part.as_deref()).collect();
    fact("Where", Some(place.join(" · ")));
    fact("Started", node.started_at.clone());
    fact("Attempts", (node.attempts > 1).then(|| node.attempts.to_string()));
    for earlier in &node.retried {
        let said = earlier.message.clone();
        let said = said.or_else(|| earlier.exit_code.map(|code| format!("exit code {code}")));
        let took = earlier.duration_ms.map(|ms| text::duration(Duration::from_millis(ms)));
        let parts = [Some(words(earlier.outcome.as_str()).to_owned()), said, took];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        fact("Earlier", Some(format!("attempt {}: {}", earlier.attempt, parts.join(" · "))));
    }
    for given in &node.files_from {
        fact("Files given", Some(given.in_words()));
    }
    for cache in &node.caches {
        fact("Cache", Some(cache.in_words()));
    }
    for (name, value) in &node.outputs {
        fact("Output", Some(format!("{name} = {value}")));
    }
    fact("Reused from", node.reused.as_ref().map(Reused::in_words));
    fact("Files kept", (node.artifacts > 0).then(|| node.artifacts.to_string()));
    fact(
        "Processes killed",
        (node.killed_processes > 0).then(|| node.killed_processes.to_string()),
    );
    for warning in &node.warnings {
        fact("Warning", Some(warning.clone()));
    }
    for (key, value) in &node.details {
        fact("Runtime", Some(format!("{key}: {value}")));
    }
    let after = planned.into_iter().flat_map(|planned| &planned.depends_on);
    NodeData {
        at: None,
        id: &node.id,
        state: state(node),
        why: why(node).map(|why| at_most(&why, TEXT_BYTES)),
        began: report.began(node),
        took: node.duration_ms,
        phases: phases(node),
        earlier: report
            .earlier(node)
            .map(|(began, took, earlier)| (began, took, earlier.outcome.as_str()))
            .collect(),
        after: after.filter_map(|id| positions.get(id.as_str()).copied()).collect(),
        prepare: planned.is_some_and(|planned| planned.kind == NodeKind::Prepare),
        facts,
        look: None,
        excerpt: Vec::new(),
    }
}

/// How many bytes of packed logs a page has room for.
struct Room(usize);

impl Room {
    /// Packs the logs of a node, of which the first is its output, into a share of the room; that one is the first to be
    /// cut.
    fn logs(&mut self, logs: Vec<(String, Log)>, share: usize) -> Vec<LogData> {
        let mut left = share;
        let mut packed: Vec<LogData> = Vec::with_capacity(logs.len());
        for (title, log) in logs.into_iter().rev() {
            let data = packed_into(title, log, left);
            left -= data.size();
            packed.push(data);
        }
        packed.reverse();
        self.0 -= share - left;
        packed
    }
}

/// Packs as much of a log as there is room for.
fn packed_into(title: String, mut log: Log, room: usize) -> LogData {
    // No packing is better than that: it need not be tried.
    let mut most = room.saturating_mul(16 * PACKED_TO);
    loop {
        if log.length() > most {
            most = most.min(room.saturating_mul(PACKED_TO));
            log = log.shortened(most);
        }
        let head = pack(&log.head);
        let tail = (log.skipped_bytes > 0).then(|| pack(&log.tail));
        let size = head.len() + tail.as_ref().map_or(0, String::len);
        if size <= room {
            let (bytes, lines) = (log.skipped_bytes, log.skipped_lines);
            return LogData { title, head: Some(head), tail, bytes, lines };
        }
        most = (log.length() / 2).min(room.saturating_mul(PACKED_TO));
        if most < LEAST {
            return LogData { title, head: None, tail: None, bytes: 0, lines: 0 };
        }
    }
}

impl LogData {
    fn size(&self) -> usize {
        [&self.head, &self.tail].into_iter().flatten().map(String::len).sum()
    }
}

fn head(out: &mut String, report: &Report) {
    let record = &report.record;
    let word = record.outcome.as_str();
    push!(out, "<header>\n<p class=\"kicker\">Run {}</p>\n", escape(&record.run_id));
    push!(out, "<h1 class=\"o {word}\" id=\"outcome-of-run\">{}</h1>\n", sentence(words(word)));
    push!(out, "<p class=\"soft\">Started {}", escape(&record.started_at));
    if let Some(finished) = &record.finished_at {
        push!(out, ", finished {}", escape(finished));
    }
    if let Some(of) = &record.rerun_of {
        push!(out, ", a rerun of {}", escape(of));
    }
    out.push_str("</p>\n");
    if let Some(stopped) = &record.stopped {
        push!(out, "<p class=\"note\">Ended early: {}</p>\n", escape(stopped));
    }
    out.push_str("<dl class=\"facts\" id=\"facts\">\n");
    if let Some(took) = report.took() {
        let took = text::duration(Duration::from_millis(took));
        push!(out, "<div><dt>Time</dt><dd>{took}</dd></div>\n");
    }
    for (word, number) in report.tally() {
        push!(
            out,
            "<div class=\"o {word}\"><dt>{}</dt><dd>{number}</dd></div>\n",
            sentence(words(word))
        );
    }
    out.push_str("</dl>\n</header>\n");
}

fn lanes(out: &mut String, report: &Report) {
    let lanes = report.lane_states();
    if lanes.is_empty() {
        return;
    }
    out.push_str("<section aria-labelledby=\"lanes\"><h2 id=\"lanes\">Lanes</h2>\n");
    out.push_str("<ul class=\"lanes\" id=\"lane-list\">\n");
    for (lane, word) in lanes {
        push!(
            out,
            "<li class=\"o {word}\"><span class=\"name\">{}</span> <span class=\"word\">{}</span></li>\n",
            escape(&at_most(&lane.title, TEXT_BYTES)),
            lane.in_words(words(word)),
        );
    }
    out.push_str("</ul></section>\n");
}

/// Returns an entry of that list.
fn failure(node: &NodeRecord, position: usize, log: Option<&Log>, look: Option<u64>) -> String {
    let mut out = String::new();
    let word = state(node);
    push!(
        out,
        "<li class=\"o {word}\" id=\"failed-{position}\"><h3><a href=\"#node-{position}\">{}</a> ",
        escape(&node.id)
    );
    push!(out, "<span class=\"word\">{}</span></h3>\n", words(word));
    if let Some(why) = why(node) {
        push!(out, "<p>{}</p>\n", escape(&at_most(&why, TEXT_BYTES)));
    }
    if let Some(advice) = &node.advice {
        push!(out, "<p class=\"soft\">{}</p>\n", escape(&at_most(advice, TEXT_BYTES)));
    }
    if let Some(look) = look {
        out.push_str("<pre>");
        for (number, line) in excerpt(log, Some(look)) {
            push!(out, "<span class=\"n\">{number}</span>{}\n", escape(&line));
        }
        out.push_str("</pre>\n");
        push!(out, "<p><a href=\"#node-{position}-line-{look}\">Log, line {look}</a></p>\n");
    }
    out.push_str("</li>\n");
    out
}

/// Returns the lines of a log where reading begins, and what stands around them, with their numbers.
fn excerpt(log: Option<&Log>, look: Option<u64>) -> impl Iterator<Item = (u64, String)> {
    let from = look.map(|look| look.saturating_sub(2));
    let lines = log.zip(from).into_iter().flat_map(|(log, from)| {
        log.lines().skip_while(move |(number, _)| *number < from).take(FAILURE_LINES)
    });
    lines.map(|(number, line)| (number, last_written(line)))
}

/// Returns a word of a record as people write it.
pub(crate) fn words(word: &str) -> &str {
    match word {
        "timed_out" => "timed out",
        "infra_failed" => "infrastructure failed",
        word => word,
    }
}

pub(crate) fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    characters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(characters)
        .collect()
}

/// Returns foreign text as the content of an element or of a quoted attribute.
pub(crate) fn escape(foreign: &str) -> String {
    let mut safe = String::with_capacity(foreign.len() + 16);
    for character in foreign.chars() {
        match character {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            '\t' | '\n' => safe.push(character),
            c if c.is_control() || text::is_invisible(c) => safe.push('\u{fffd}'),
            c => safe.push(c),
        }
    }
    safe
}

/// Returns data that no script element can be ended or opened by.
pub(crate) fn json(data: &impl Serialize) -> String {
    serde_json::to_string(data).expect("plain data").replace('<', "\\u003c")
}

/// Packs a text: `z` and its deflated form, or `t` and the text itself where that is shorter.
fn pack(text: &str) -> String {
    // What packing costs at least; most of the executor's own logs are shorter.
    const WORTH_IT: usize = 400;
    if text.len() < WORTH_IT {
        return format!("t{text}");
    }
    let mut packer = DeflateEncoder::new(Vec::new(), Compression::default());
    let packed = packer.write_all(text.as_bytes()).and_then(|()| packer.finish());
    format!("z{}", base64(&packed.expect("memory takes every byte")))
}

/// Base64 with padding (RFC 4648, section 4).
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |n: usize| u32::from(three.get(n).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            if digit <= three.len() {
                text.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_logs_share_the_room_and_keep_their_ends() {
        // Hard to pack.
        let text = |seed: u64| -> String {
            let lines = (0..500).map(|line| {
                let digest = Sha256::digest(format!("{seed} {line}"));
                format!("{line} {}\n", base64(&digest))
            });
            lines.collect()
        };
        let mut room = Room(60_000);
        let mut all = Vec::new();
        for nth in 0..10 {
            let log = |head: &str| Log { head: head.to_owned(), ..Log::default() };
            let logs = vec![
                ("output".to_owned(), log(&text(nth))),
                ("executor".to_owned(), log("runtime=host_process\n")),
            ];
            let share = room.0 / (10 - usize::try_from(nth).expect("small"));
            all.extend(room.logs(logs, share));
        }
        let size: usize = all.iter().map(LogData::size).sum();
        assert_eq!(size + room.0, 60_000);
        for log in &all {
            assert!(log.head.is_some(), "{} of {size}", log.title);
            if log.title == "output" {
                assert!(log.tail.is_some() && log.bytes > 0 && log.lines > 0);
            }
        }
    }

    #[test]
    fn a_log_that_packs_well_is_whole_where_its_packed_form_fits() {
        let log = Log { head: "the same line\n".repeat(1000), ..Log::default() };
        let data = packed_into("output".to_owned(), log, 2000);
        assert!(data.head.is_some() && data.tail.is_none(), "{} bytes", data.size());
        let log = Log { head: "x".repeat(500), ..Log::default() };
        assert!(packed_into("output".to_owned(), log, 10).head.is_none());
    }

    #[test]
    fn base64_is_the_one_of_its_standard() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn foreign_text_ends_nothing() {
        assert_eq!(escape("</p>\"'&\u{1b}\u{202e}"), "&lt;/p&gt;&quot;&#39;&amp;\u{fffd}\u{fffd}");
        assert!(!json(&"</script><!--").contains('<'));
    }
}
