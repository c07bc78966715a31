//! The pages beside those of runs: plain HTML that is complete without scripts; one script keeps lists as they are now.

use std::{collections::BTreeMap, time::Duration};

use super::{
    plot,
    site::{Site, Summary},
};
use crate::{
    clock,
    commands::{history, results},
    record::Record,
    report::html::{self, escape},
    text::{self, push},
};

/// What is added to the style of a run's page.
pub(super) const STYLE: &str = include_str!("serve.css");

const SCRIPT: &str = include_str!("serve.js");

/// Over how many runs lanes and times are shown.
const RUNS: usize = 60;

/// How many nodes are shown with their times.
const NODES: usize = 300;

/// How many results are listed.
const RESULTS: usize = 500;

/// A page and what it may do.
pub(super) type Page = (String, String);

/// Returns the links to the other pages; `here` is the address of this one.
pub(super) fn navigation(here: &str) -> String {
    let mut out = "<nav class=\"nav\" aria-label=\"Pages\">".to_owned();
    for (address, name) in
        [("/", "Runs"), ("/history", "History"), ("/hosts", "Hosts"), ("/results", "Results")]
    {
        let current = if address == here { " aria-current=\"page\"" } else { "" };
        push!(out, "<a href=\"{address}\"{current}>{name}</a>");
    }
    out.push_str("</nav>\n");
    out
}

fn page(here: &str, title: &str, content: &str) -> Page {
    let style = format!("{}{STYLE}", html::STYLE);
    let policy = html::policy(&style, SCRIPT, true);
    let mut out = html::beginning(title, &style, None);
    push!(out, "<a class=\"skip\" href=\"#main\">Skip to the content</a>\n{}", navigation(here));
    push!(out, "<main class=\"page\" id=\"main\">\n<h1>{}</h1>\n{content}</main>\n", escape(title));
    push!(out, "<script>{SCRIPT}</script>\n</body>\n</html>\n");
    (out, policy)
}

/// Returns the page of all runs.
pub(super) fn runs(site: &Site) -> Page {
    let runs = site.summaries();
    let several = site.states.len() > 1;
    let mut out = "<p class=\"soft\" id=\"live\" role=\"status\"></p>\n".to_owned();
    push!(
        out,
        "<div class=\"wide\"><table class=\"runs\"><thead><tr><th scope=\"col\">Outcome</th><th scope=\"col\">Run</th>\
         <th scope=\"col\" class=\"more\">Nodes</th><th scope=\"col\">Lanes</th><th scope=\"col\" class=\"more\">Started</th>\
         <th scope=\"col\" class=\"number\">Time</th></tr></thead>\n<tbody id=\"runs\" data-several=\"{}\">",
        if several { "yes" } else { "no" }
    );
    for run in &runs {
        out.push_str(&row(run, several));
    }
    push!(
        out,
        "</tbody></table></div>\n<p id=\"none\"{}>No run yet: <code>planner plan | executor apply -</code> makes one.</p>\n",
        if runs.is_empty() { "" } else { " hidden" }
    );
    page("/", "Runs", &out)
}

fn row(run: &Summary, several: bool) -> String {
    let Summary { at, run_id, outcome, words, started_at, nodes, over, .. } = run;
    let lanes: Vec<String> =
        run.lanes.iter().map(|(_, words, number)| format!("{number} {words}")).collect();
    let took = run.took.map(|took| text::duration(Duration::from_millis(took))).unwrap_or_default();
    let mut name = format!("<a class=\"id\" href=\"{}\">{}</a>", escape(at), escape(run_id));
    if let Some(damaged) = &run.damaged {
        push!(name, "<div class=\"soft\">{}</div>", escape(damaged));
    }
    if several {
        push!(name, "<div class=\"soft small\">{}</div>", escape(&run.state_dir));
    }
    let started = escape(&started_at.replace('T', " "));
    format!(
        "<tr class=\"o {outcome}\" data-at=\"{}\"><td><span class=\"word\">{words}</span></td><td class=\"name\">{name}</td>\
         <td class=\"more\">{over} of {nodes}</td><td>{}</td><td class=\"more\">{}</td><td class=\"number\">{took}</td></tr>\n",
        escape(at),
        escape(&lanes.join(", ")),
        started.split('.').next().unwrap_or_default(),
    )
}

/// Returns lanes over time, and how long nodes took and how steady they are.
pub(super) fn over_time(site: &Site) -> Page {
    let mut out = String::new();
    for (number, state) in site.states.iter().enumerate() {
        if site.states.len() > 1 {
            push!(out, "<p class=\"kicker\">{}</p>\n", escape(&state.path().display().to_string()));
        }
        let dirs: Vec<_> = state.runs().unwrap_or_default().into_iter().take(RUNS).collect();
        let records = dirs.iter().rev().filter_map(|dir| Record::read(&dir.record()).ok());
        lanes(&mut out, number, &records.collect::<Vec<_>>());
        nodes(&mut out, state);
    }
    page("/history", "History", &out)
}

fn lanes(out: &mut String, state: usize, records: &[Record]) {
    let mut titles = BTreeMap::new();
    for record in records {
        for lane in &record.lanes {
            // The newest title counts.
            titles.insert(&lane.id, &lane.title);
        }
    }
    out.push_str("<section><h2>Lanes over time</h2>\n");
    if titles.is_empty() {
        out.push_str("<p class=\"soft\">No run with lanes is over yet.</p></section>\n");
        return;
    }
    push!(
        out,
        "<p class=\"soft\">The last {}, the newest on the right.</p>\n",
        text::count(records.len(), "run")
    );
    out.push_str("<div class=\"lane-plot\">\n");
    for (id, title) in titles {
        let mut ran = [0, 0];
        let cells: Vec<_> = records
            .iter()
            .map(|record| {
                let lane = record.lanes.iter().find(|lane| lane.id == *id)?;
                let outcome = lane.outcome.as_str();
                ran[0] += usize::from(outcome != "skipped");
                ran[1] += usize::from(outcome == "passed");
                let words = format!("{}: {}", record.run_id, lane.in_words(html::words(outcome)));
                Some((outcome, format!("/runs/{state}/{}", record.run_id), words))
            })
            .collect();
        let said = format!("passed {} of {}", ran[1], ran[0]);
        push!(
            out,
            "<div class=\"name\">{} <span class=\"soft small\">{said}</span></div><div class=\"strip\">{}</div>\n",
            escape(title),
            plot::strip(&format!("{title}: {said}"), &cells)
        );
    }
    out.push_str("</div></section>\n");
}

fn nodes(out: &mut String, state: &crate::state::StateDir) {
    let Ok((_, mut nodes)) = history::over(state, usize::MAX) else { return };
    nodes.sort_by(|a, b| {
        (b.flaky, b.median_secs)
            .partial_cmp(&(a.flaky, a.median_secs))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
    out.push_str("<section><h2>Durations and flakiness</h2>\n");
    if nodes.is_empty() {
        out.push_str("<p class=\"soft\">No node has run yet.</p></section>\n");
        return;
    }
    out.push_str(
        "<p class=\"soft\">The flakiest first, then the longest; the newest run on the right, the line is the median.</p>\n\
         <div class=\"wide\"><table class=\"runs\"><thead><tr><th scope=\"col\">Node</th><th scope=\"col\">Times</th>\
         <th scope=\"col\" class=\"number\">Median</th><th scope=\"col\" class=\"number more\">9 of 10 within</th>\
         <th scope=\"col\" class=\"number\">Flaky</th><th scope=\"col\" class=\"more\">Ends</th></tr></thead><tbody>\n",
    );
    let took = |secs: f64| text::duration(Duration::from_secs_f64(secs));
    for node in nodes.iter().take(NODES) {
        let mut times: Vec<f64> = node.durations_secs.iter().copied().take(RUNS).collect();
        times.reverse();
        let answers = node.passed + node.failed;
        #[expect(clippy::cast_precision_loss, reason = "a share of runs")]
        let share = if answers == 0 { 0.0 } else { 100.0 * node.flaky as f64 / answers as f64 };
        let label =
            format!("{}, median {}", text::count(times.len(), "run"), took(node.median_secs));
        push!(
            out,
            "<tr><td class=\"name id\">{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"number more\">{}</td>\
             <td class=\"number\">{}</td><td class=\"more\">{} passed, {} failed</td></tr>\n",
            escape(&node.id),
            plot::times(&label, &times, node.median_secs),
            took(node.median_secs),
            took(node.p90_secs),
            if node.flaky == 0 {
                "–".to_owned()
            } else {
                format!("{} ({share:.0} %)", node.flaky)
            },
            node.passed,
            node.failed,
        );
    }
    out.push_str("</tbody></table></div>\n");
    if nodes.len() > NODES {
        push!(
            out,
            "<p class=\"soft\">{} more are in <code>executor history</code>.</p>\n",
            nodes.len() - NODES
        );
    }
    out.push_str("</section>\n");
}

/// Returns the page of machines; what is on it comes with its script, since hosts may take their time.
pub(super) fn hosts() -> Page {
    page(
        "/hosts",
        "Hosts",
        "<p class=\"soft\">Places and concurrency groups over all executors: who has them, who waits. What is dead is freed by \
         <code>executor gc</code>.</p>\n<p class=\"soft\" id=\"live\" role=\"status\">Asking…</p>\n<div id=\"machines\"></div>\n\
         <noscript><p class=\"note\">This needs scripts; <code>executor holders</code> says the same.</p></noscript>\n",
    )
}

/// Returns what is kept for reuse.
pub(super) fn kept(site: &Site) -> Page {
    let mut out = String::new();
    let listed = results::store(&site.config).and_then(|store| results::listed(&store));
    match listed {
        Err(error) => push!(out, "<p class=\"note\">{}</p>\n", escape(&error.to_string())),
        Ok(all) if all.is_empty() => out.push_str(
            "<p class=\"soft\">No results are kept: nothing with <code>reuse</code> has passed yet.</p>\n",
        ),
        Ok(all) => {
            let bytes: u64 = all.iter().map(|kept| kept.entry.bytes).sum();
            push!(
                out,
                "<p class=\"soft\">{}, {}; the one that was of use last first.</p>\n<div class=\"wide\"><table class=\"runs\"><thead>\
                 <tr><th scope=\"col\">Node</th><th scope=\"col\">Passed in run</th><th scope=\"col\" class=\"number\">Time spared</th>\
                 <th scope=\"col\" class=\"number more\">Size</th><th scope=\"col\" class=\"more\">For</th>\
                 <th scope=\"col\" class=\"more\">Key</th></tr></thead><tbody>\n",
                text::count(all.len(), "result"),
                text::bytes(bytes)
            );
            for kept in all.iter().take(RESULTS) {
                let of = &kept.entry.reused;
                push!(
                    out,
                    "<tr><td class=\"name id\">{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"number more\">{}</td>\
                     <td class=\"more\">{} runs</td><td class=\"more\"><code>{}</code></td></tr>\n",
                    escape(&of.node),
                    escape(&of.run_id),
                    text::duration(Duration::from_millis(of.duration_ms)),
                    text::bytes(kept.entry.bytes),
                    kept.trust.as_str(),
                    escape(results::short(kept.entry.key.digits())),
                );
            }
            out.push_str("</tbody></table></div>\n");
        }
    }
    caches(&mut out, site);
    page("/results", "Results kept for reuse", &out)
}

/// Writes which caches this machine keeps.
fn caches(out: &mut String, site: &Site) {
    out.push_str("<h2>Caches of this machine</h2>\n");
    let all = match site.caches() {
        Ok(all) => all,
        Err(error) => {
            return push!(out, "<p class=\"note\">{}</p>\n", escape(&error.to_string()));
        }
    };
    if all.is_empty() {
        return out.push_str(
            "<p class=\"soft\">No caches are kept: no job with <code>caches</code> has passed yet.</p>\n",
        );
    }
    let bytes: u64 = all.iter().map(|kept| kept.bytes).sum();
    push!(
        out,
        "<p class=\"soft\">{}, {}; <code>executor caches list --hosts</code> says those of hosts as well.</p>\n\
         <div class=\"wide\"><table class=\"runs\"><thead>\
         <tr><th scope=\"col\">Cache</th><th scope=\"col\">Whose</th><th scope=\"col\" class=\"number\">Size</th>\
         <th scope=\"col\" class=\"more\">Used last</th><th scope=\"col\" class=\"more\">Left by</th>\
         <th scope=\"col\" class=\"more\">Key</th></tr></thead><tbody>\n",
        text::count(all.len(), "cache"),
        text::bytes(bytes)
    );
    for kept in all.iter().take(RESULTS) {
        let digits = kept.key.trim_start_matches("sha256:");
        push!(
            out,
            "<tr><td class=\"name id\">{}</td><td>{}</td><td class=\"number\">{}</td><td class=\"more\">{}</td>\
             <td class=\"more\">{}, run {}</td><td class=\"more\"><code>{}</code></td></tr>\n",
            escape(&kept.name),
            escape(&kept.scope),
            text::bytes(kept.bytes),
            clock::of_system(kept.used),
            escape(&kept.node),
            escape(&kept.run),
            escape(results::short(digits)),
        );
    }
    out.push_str("</tbody></table></div>\n");
}
