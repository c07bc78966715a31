//! A replay as one page: plots are SVG inside it, nothing is loaded, no script runs.

use std::fmt::Write as _;

use plans::{JobId, LaneId};

use super::{
    Replay,
    compare::{Comparison, Difference},
    day,
    human::{Heading, percent, short, span, what_differs},
    reuse::Reuse,
};
use crate::render::{
    html::escape,
    text::{count, width},
    words::measured,
};

/// How many commits the strip of a lane shows.
const STRIP: usize = 200;
/// How many commits of a list are written out.
const COMMITS: usize = 500;
const ROW: usize = 24;
const LABEL: usize = 260;
const PLOT: usize = 560;

/// Returns the page.
#[must_use]
pub fn html(replay: &Replay, comparison: Option<&Comparison>, heading: &Heading<'_>) -> String {
    let mut out = String::new();
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>Backtest</title>\n<style>\n{}\
         </style>\n</head>\n<body>\n<main>\n<h1>What {} would have run</h1>\n<p \
         class=\"soft\">Planned with {}, each commit against its first parent. Branch lanes \
         only.</p>\n",
        include_str!("page.css"),
        escape(&span(replay)),
        escape(heading.with)
    );
    if let Some(comparison) = comparison {
        let against = heading.against.unwrap_or("the others");
        differences(&mut out, "less", against, &comparison.less);
        differences(&mut out, "more", against, &comparison.more);
        let _ = writeln!(out, "<p>The same for {}.</p>", count(comparison.same, "commit"));
    }
    out.push_str("<h2>Share of commits that run a lane</h2>\n");
    let share = replay.lanes.iter().map(|lane| {
        let percent = percent(lane.runs, lane.planned);
        let label = format!("{percent}% · {} of {}", lane.runs, lane.planned);
        (lane.id.to_string(), permille(lane.runs, lane.planned), label)
    });
    bars(&mut out, "Share of commits that run each lane", &share.collect::<Vec<_>>());
    if let Some(total) = replay.machine_time {
        let _ = writeln!(
            out,
            "<h2>Machine time of each lane</h2>\n<p class=\"soft\">All commits together: {}. A node \
             that lanes share counts for each of them.</p>",
            measured(total)
        );
        let most =
            replay.lanes.iter().filter_map(|lane| lane.machine_time).max().unwrap_or_default();
        let times = replay.lanes.iter().map(|lane| {
            let time = lane.machine_time.unwrap_or_default();
            let part = usize::try_from(time.as_millis()).unwrap_or(usize::MAX / 1000);
            let of = usize::try_from(most.as_millis()).unwrap_or(usize::MAX / 1000);
            (lane.id.to_string(), permille(part, of), measured(time))
        });
        bars(&mut out, "Machine time of each lane", &times.collect::<Vec<_>>());
    }
    strip(&mut out, replay);
    lanes(&mut out, replay);
    jobs(&mut out, replay);
    if let Some(reuse) = &replay.reuse {
        keys(&mut out, reuse);
    }
    silent(&mut out, replay);
    unplanned(&mut out, replay);
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn permille(part: usize, of: usize) -> usize {
    part.saturating_mul(1000).checked_div(of).unwrap_or_default()
}

/// A bar for each row: its name, its length in thousandths, its label.
fn bars(out: &mut String, title: &str, rows: &[(String, usize, String)]) {
    let height = rows.len() * ROW;
    let total = LABEL + PLOT + 180;
    let _ = writeln!(
        out,
        "{}<svg role=\"img\" aria-label=\"{}\" width=\"{total}\" \
         height=\"{height}\" viewBox=\"0 0 {total} {height}\">",
        card(title),
        escape(title)
    );
    for (at, (name, permille, label)) in rows.iter().enumerate() {
        let (y, middle) = (at * ROW + 5, at * ROW + 16);
        let length = (PLOT * permille).div_ceil(1000);
        let _ = writeln!(
            out,
            "<text x=\"0\" y=\"{middle}\">{}</text><rect class=\"track\" x=\"{LABEL}\" y=\"{y}\" \
             width=\"{PLOT}\" height=\"14\" rx=\"3\"/><rect class=\"bar\" x=\"{LABEL}\" y=\"{y}\" \
             width=\"{length}\" height=\"14\" rx=\"3\"/><text class=\"soft\" x=\"{}\" \
             y=\"{middle}\">{}</text>",
            escape(&clipped(name, 34)),
            LABEL + PLOT + 10,
            escape(label)
        );
    }
    out.push_str("</svg></div>\n");
}

/// One row per lane, one column per commit, the newest on the right.
fn strip(out: &mut String, replay: &Replay) {
    let shown: Vec<_> = replay.commits.iter().take(STRIP).rev().collect();
    if shown.is_empty() {
        return;
    }
    let cell = (PLOT / shown.len()).clamp(2, 14);
    let (total, height) = (LABEL + cell * shown.len(), replay.lanes.len() * ROW + 20);
    let _ = writeln!(
        out,
        "<h2>Commit by commit</h2>\n<p class=\"soft\">The last {}, the newest on the right; a filled \
         cell is a run.</p>\n{}<svg role=\"img\" aria-label=\"Which commit runs \
         which lane\" width=\"{total}\" height=\"{height}\" viewBox=\"0 0 {total} {height}\">",
        count(shown.len(), "commit"),
        card("Commit by commit"),
    );
    for (row, lane) in replay.lanes.iter().enumerate() {
        let (y, middle) = (row * ROW + 5, row * ROW + 16);
        let _ = write!(
            out,
            "<text x=\"0\" y=\"{middle}\">{}</text><rect class=\"track\" x=\"{LABEL}\" y=\"{y}\" \
             width=\"{}\" height=\"14\"/>",
            escape(&clipped(lane.id.as_str(), 34)),
            cell * shown.len()
        );
        // Neighbouring runs are one shape, so that many commits stay a small page.
        let mut from = None;
        for at in 0..=shown.len() {
            let runs = shown.get(at).is_some_and(|commit| commit.lanes.contains(&lane.id));
            match (runs, from) {
                (true, None) => from = Some(at),
                (false, Some(start)) => {
                    let gap = usize::from(cell > 3);
                    let _ = write!(
                        out,
                        "<rect class=\"bar\" x=\"{}\" y=\"{y}\" width=\"{}\" height=\"14\"/>",
                        LABEL + start * cell,
                        (at - start) * cell - gap
                    );
                    from = None;
                }
                _ => {}
            }
        }
        out.push('\n');
    }
    let last = replay.lanes.len() * ROW + 14;
    let (oldest, newest) = (day(shown[0].committed_at), day(shown[shown.len() - 1].committed_at));
    let _ = writeln!(
        out,
        "<text class=\"soft\" x=\"{LABEL}\" y=\"{last}\">{oldest}</text><text class=\"soft\" \
         text-anchor=\"end\" x=\"{total}\" y=\"{last}\">{newest}</text></svg></div>"
    );
}

fn differences(out: &mut String, which: &str, against: &str, commits: &[Difference]) {
    let _ = writeln!(
        out,
        "<section class=\"{which}\"><h2>{} would have run {which} than with {}</h2>",
        count(commits.len(), "commit"),
        escape(against)
    );
    if !commits.is_empty() {
        out.push_str(&card(&format!("Commits that would have run {which}")));
        out.push_str(
            "<table><thead><tr><th>commit</th><th>day</th><th>message</th><th>differs</th></tr>\
             </thead><tbody>\n",
        );
        for commit in commits.iter().take(COMMITS) {
            let _ = writeln!(
                out,
                "<tr><td class=\"fit\"><code>{}</code></td><td class=\"fit\">{}</td><td>{}</td>\
                 <td>{}</td></tr>",
                short(&commit.commit.to_string()),
                day(commit.committed_at),
                escape(&commit.summary),
                escape(&what_differs(commit))
            );
        }
        out.push_str("</tbody></table></div>\n");
        if commits.len() > COMMITS {
            let _ = writeln!(out, "<p>and {} more</p>", commits.len() - COMMITS);
        }
    }
    out.push_str("</section>\n");
}

fn lanes(out: &mut String, replay: &Replay) {
    out.push_str("<h2>Why lanes ran</h2>\n");
    out.push_str(&card("Why lanes ran"));
    out.push_str(
        "<table><thead><tr><th>lane</th><th class=\"n\">runs</th><th>reasons, with the number of \
         commits</th></tr></thead><tbody>\n",
    );
    for lane in &replay.lanes {
        let mut reasons: Vec<_> = lane.reasons.iter().collect();
        reasons.sort_by_key(|(why, runs)| (std::cmp::Reverse(**runs), *why));
        let reasons: Vec<String> = reasons
            .iter()
            .map(|(why, runs)| format!("<code>{}</code>&nbsp;{runs}", escape(&why.to_string())))
            .collect();
        let gone = if lane.gone { " <span class=\"soft\">(gone)</span>" } else { "" };
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{}{gone}</th><td class=\"n\">{}</td><td>{}</td></tr>",
            escape(lane.id.as_str()),
            lane.runs,
            reasons.join(", ")
        );
    }
    out.push_str("</tbody></table></div>\n");
}

fn jobs(out: &mut String, replay: &Replay) {
    if replay.jobs.is_empty() {
        return;
    }
    out.push_str("<h2>Jobs</h2>\n");
    out.push_str(&card("Jobs"));
    out.push_str("<table><thead><tr><th>job</th><th class=\"n\">runs</th></tr></thead><tbody>\n");
    for (job, runs) in &replay.jobs {
        let job = escape(job.as_str());
        let _ = writeln!(out, "<tr><th scope=\"row\">{job}</th><td class=\"n\">{runs}</td></tr>");
    }
    out.push_str("</tbody></table></div>\n");
}

fn keys(out: &mut String, reuse: &Reuse) {
    let (runs, spared) = reuse.total();
    let time = reuse.machine_time().map(|time| format!(", {} of machine time", measured(time)));
    let _ = writeln!(
        out,
        "<h2>What keys would have spared</h2>\n<p class=\"soft\">{spared} of {} of jobs{}. A run is \
         spared where an earlier commit ran the same key; every run is taken for one that passed.</p>",
        count(runs, "run"),
        time.unwrap_or_default()
    );
    let rows = reuse.jobs.iter().map(|job| {
        let time = job.machine_time.map(|time| format!(" · {}", measured(time)));
        let label = format!("{} of {}{}", job.spared, job.runs, time.unwrap_or_default());
        (job.id.to_string(), permille(job.spared, job.runs), label)
    });
    bars(out, "Share of runs of each job that a key would have spared", &rows.collect::<Vec<_>>());
    if reuse.spoilers.is_empty() {
        return;
    }
    out.push_str("<h2>Files that made most jobs run anew</h2>\n");
    out.push_str(&card("Files that made most jobs run anew"));
    out.push_str(
        "<table><thead><tr><th>file</th><th class=\"n\">runs</th><th class=\"n\">commits</th>\
         <th>jobs</th></tr></thead><tbody>\n",
    );
    for spoiler in reuse.spoilers.iter().take(COMMITS) {
        let jobs: Vec<&str> = spoiler.jobs.iter().map(JobId::as_str).collect();
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code></td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            escape(&spoiler.path.to_string()),
            spoiler.runs,
            spoiler.commits,
            escape(&jobs.join(", "))
        );
    }
    out.push_str("</tbody></table></div>\n");
}

fn silent(out: &mut String, replay: &Replay) {
    if replay.silent.is_empty() {
        return;
    }
    out.push_str("<h2>Globs that matched no path that these commits changed</h2>\n");
    out.push_str(&card("Globs that matched nothing"));
    out.push_str("<table><thead><tr><th>glob</th><th>of</th><th>place</th></tr></thead><tbody>\n");
    for silent in &replay.silent {
        let lanes: Vec<&str> = silent.lanes.iter().map(LaneId::as_str).collect();
        let of = if lanes.is_empty() { "" } else { " of " };
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code></td><td>{}{of}{}</td><td>{}:{}</td></tr>",
            escape(&silent.glob),
            silent.key,
            escape(&lanes.join(", ")),
            escape(&silent.file),
            silent.line
        );
    }
    out.push_str("</tbody></table></div>\n");
}

fn unplanned(out: &mut String, replay: &Replay) {
    if replay.unplanned.is_empty() {
        return;
    }
    let commits = count(replay.unplanned.len(), "commit");
    let title = format!("{commits} could not be planned");
    let _ = writeln!(out, "<h2>{title}</h2>\n{}<ul>", card(&title));
    for commit in replay.unplanned.iter().take(COMMITS) {
        let _ = writeln!(
            out,
            "<li><code>{}</code> {}: {}</li>",
            short(&commit.commit.to_string()),
            escape(&commit.summary),
            escape(&commit.because)
        );
    }
    out.push_str("</ul></div>\n");
}

/// The beginning of a card: what does not fit is scrolled to, by keyboard too.
fn card(title: &str) -> String {
    format!("<div class=\"card\" role=\"region\" tabindex=\"0\" aria-label=\"{}\">", escape(title))
}

fn clipped(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let kept: String = text.chars().take(columns - 1).collect();
    format!("{kept}…")
}
