//! The plan as one page: no request leaves it, it works from disk, without script it still reads.
//!
//! The page forbids itself every request (`default-src 'none'`). All foreign text goes through
//! [`escape`]; ids have a grammar that needs none. A plan of thousands of nodes is drawn in groups
//! and listed in full.

mod layout;
mod svg;

use plans::{Node, Plan, PlanLane, Reason};

use super::{
    Options,
    durations::{Durations, Estimate},
    graph::{Drawing, Places},
    text::{Lines, count, is_unprintable},
    words::{self, Piece},
};

/// How many colours the style sheet has for places; more places share them.
const PLACE_COLORS: usize = 8;
/// A larger graph is drawn in groups.
const MAX_BOXES: usize = 120;
const MAX_ARROWS: usize = 240;
/// More lanes than this are rows of a list instead of cards.
const CARDS: usize = 24;
/// How many changed paths are listed.
const PATHS: usize = 1_000;

/// Returns the plan as a self-contained HTML page.
#[must_use]
pub fn html(plan: &Plan, options: &Options) -> String {
    let estimate = options.durations.as_ref().map(|durations| durations.estimate(plan));
    let drawing = Drawing::new(plan, MAX_BOXES, MAX_ARROWS);
    let mut out = Lines::default();
    let headline = sentence_case(&words::headline(plan));
    out.line("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">");
    out.line(
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'; script-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">",
    );
    out.line("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    out.line(format!("<title>CI plan: {}</title>", escape(&headline)));
    out.line(format!("<style>\n{}</style>\n</head>\n<body>", include_str!("page.css")));
    out.line(
        "<a class=\"skip\" href=\"#nodes\">Skip to the list of nodes</a>\n<div class=\"page\">",
    );
    head(&mut out, plan, &headline, estimate.as_ref());
    out.line("<main>");
    runs(&mut out, plan, &drawing, estimate.as_ref());
    graph(&mut out, plan, &drawing, estimate.as_ref());
    nodes(&mut out, plan, options.durations.as_ref());
    skipped(&mut out, plan);
    changes(&mut out, plan);
    out.line("</main>");
    if let Some(digest) = &options.digest {
        out.line(format!("<footer>plan <code>{}</code></footer>", escape(digest)));
    }
    out.line(format!("</div>\n<script>\n{}</script>", include_str!("page.js")));
    out.line("</body>\n</html>");
    out.finish()
}

/// Returns foreign text that is neither markup nor the end of an attribute.
pub(crate) fn escape(text: &str) -> String {
    escape_keeping(text, |_| false)
}

fn escape_keeping(text: &str, keep: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other if keep(other) => escaped.push(other),
            other if is_unprintable(other) => escaped.extend(other.escape_default()),
            other => escaped.push(other),
        }
    }
    escaped
}

fn sentence_case(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(characters).collect()
}

fn sentence(reason: &Reason) -> String {
    words::reason(reason)
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => escape(text),
            Piece::Quote(quoted) => format!("<code>{}</code>", escape(quoted)),
        })
        .collect()
}

fn head(out: &mut Lines, plan: &Plan, headline: &str, estimate: Option<&Estimate>) {
    out.line(format!("<header>\n<p class=\"kicker\">CI plan</p>\n<h1>{}</h1>", escape(headline)));
    out.line(format!(
        "<p class=\"sub\">{} · <code>{}</code></p>",
        escape(&words::selection(plan.selection())),
        escape(&words::source(plan.source()))
    ));
    if let Some(note) = &plan.selection().note {
        out.line(format!("<p class=\"note\">{}</p>", escape(note)));
    }
    out.line("<dl class=\"facts\">");
    let mut fact = |name: &str, value: String| {
        out.line(format!("<div><dt>{name}</dt><dd>{value}</dd></div>"));
    };
    fact("Nodes", plan.nodes().len().to_string());
    fact("Places", Places::new(plan).names.len().to_string());
    fact("Changed paths", plan.changes().len().to_string());
    if !plan.uncovered().is_empty() {
        fact("Covered by no lane", plan.uncovered().len().to_string());
    }
    if let Some(estimate) = estimate {
        if estimate.unknown < plan.nodes().len() {
            fact("Expected time", words::measured(estimate.expected));
            fact("Longest chain", words::measured(estimate.critical_time));
            fact("Machine time", words::measured(estimate.machine_time));
        }
        if estimate.unknown > 0 {
            fact("Never measured", count(estimate.unknown, "node"));
        }
    }
    out.line("</dl>\n</header>");
}

fn runs(out: &mut Lines, plan: &Plan, drawing: &Drawing, estimate: Option<&Estimate>) {
    let mut box_of = vec![0; plan.nodes().len()];
    for (index, it) in drawing.boxes.iter().enumerate() {
        for &node in &it.nodes {
            box_of[node] = index;
        }
    }
    out.line("<section aria-labelledby=\"runs\">\n<h2 id=\"runs\">What runs, and why</h2>");
    let lanes: Vec<&PlanLane> = plan.lanes().iter().filter(|lane| lane.selected).collect();
    if lanes.is_empty() {
        out.line("<p class=\"none\">Nothing runs for this change.</p>");
    } else if lanes.len() > CARDS {
        filter(out, ".lane", "lanes");
        out.line("<ul class=\"lanes many\">");
    } else {
        out.line("<ul class=\"lanes\">");
    }
    for lane in &lanes {
        card(out, plan, lane, &box_of, estimate);
    }
    if !lanes.is_empty() {
        out.line("</ul>");
    }
    out.line("</section>");
}

fn card(
    out: &mut Lines,
    plan: &Plan,
    lane: &PlanLane,
    box_of: &[usize],
    estimate: Option<&Estimate>,
) {
    out.line(format!("<li class=\"lane\"><h3>{}</h3>", escape(&lane.title)));
    let target = match &lane.target {
        Some(target) => format!(" · target {target}"),
        None => " · its own command".to_owned(),
    };
    out.line(format!("<span class=\"id\">{}{target}</span>", lane.id));
    let reasons: String =
        lane.reasons.iter().map(|reason| format!("<li>{}</li>", sentence(reason))).collect();
    out.line(format!("<ul>{reasons}</ul>"));
    let boxes: std::collections::BTreeSet<usize> = lane
        .nodes
        .iter()
        .filter_map(|id| plan.graph().position(id.as_str()))
        .map(|position| box_of[position])
        .collect();
    let boxes: Vec<String> = boxes.iter().map(usize::to_string).collect();
    let time = estimate
        .and_then(|estimate| estimate.lanes.get(&lane.id))
        .map(|time| format!("<span>{} of machine time</span>", words::measured(*time)))
        .unwrap_or_default();
    let button = if boxes.is_empty() {
        String::new()
    } else {
        format!(
            "<button type=\"button\" hidden aria-pressed=\"false\" data-boxes=\"{}\" \
             aria-label=\"Show the nodes of {} in the graph\">Show in graph</button>",
            boxes.join(" "),
            escape(&lane.title)
        )
    };
    out.line(format!(
        "<div class=\"row\"><span>{}</span>{time}{button}</div></li>",
        count(lane.nodes.len(), "node")
    ));
}

fn graph(out: &mut Lines, plan: &Plan, drawing: &Drawing, estimate: Option<&Estimate>) {
    if plan.nodes().is_empty() {
        return;
    }
    out.line("<section aria-labelledby=\"graph\">\n<h2 id=\"graph\">Graph</h2>");
    out.line("<ul class=\"legend\">");
    for (place, name) in drawing.places.iter().enumerate().take(40) {
        let color = place % PLACE_COLORS;
        out.line(format!(
            "<li><span class=\"swatch p{color}\" aria-hidden=\"true\"></span>{}</li>",
            escape(name)
        ));
    }
    if drawing.places.len() > 40 {
        out.line(format!("<li>and {} more places</li>", drawing.places.len() - 40));
    }
    if drawing.boxes.iter().any(|it| it.prepare) {
        out.line("<li><span class=\"swatch dashed\" aria-hidden=\"true\"></span>makes ready</li>");
    }
    if estimate.is_some_and(|estimate| !estimate.critical_path.is_empty()) {
        out.line("<li><span class=\"swatch thick\" aria-hidden=\"true\"></span>longest chain</li>");
    }
    out.line("</ul>");
    if drawing.grouped {
        out.line(format!(
            "<p class=\"soft\">Boxes with a number stand for several of the {}; the list below \
             has each of them.</p>",
            count(plan.nodes().len(), "node"),
        ));
    }
    out.line("<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"graph\">");
    svg::svg(out, plan, drawing, estimate);
    out.line("</div>\n</section>");
}

fn filter(out: &mut Lines, rows: &str, what: &str) {
    let id = what.replace(' ', "-");
    out.line(format!(
        "<input type=\"search\" hidden data-filters=\"{rows}\" data-status=\"{id}-found\" \
         placeholder=\"Filter {what}\" aria-label=\"Filter {what}\"> \
         <span class=\"soft\" id=\"{id}-found\" role=\"status\"></span>"
    ));
}

fn nodes(out: &mut Lines, plan: &Plan, durations: Option<&Durations>) {
    out.line("<section aria-labelledby=\"nodes\">\n<h2 id=\"nodes\">Nodes</h2>");
    if plan.nodes().is_empty() {
        out.line("<p class=\"none\">The plan has no nodes.</p>\n</section>");
        return;
    }
    filter(out, ".node", "nodes");
    let places = Places::new(plan);
    let (timed, usual) = match durations {
        Some(_) => (" timed", "<span>usual</span>"),
        None => ("", ""),
    };
    out.line(format!(
        "<div class=\"list\"><div class=\"columns{timed}\" aria-hidden=\"true\"><span></span>\
         <span>node</span><span>where × how isolated</span><span>timeout</span>{usual}</div>"
    ));
    for (position, node) in plan.nodes().iter().enumerate() {
        let place = places.of_node[position];
        one_node(out, node, place, &places.names[place], durations);
    }
    out.line("</div>\n</section>");
}

fn one_node(
    out: &mut Lines,
    node: &Node,
    place: usize,
    place_name: &str,
    durations: Option<&Durations>,
) {
    let spec = &node.spec;
    let measured = durations.and_then(|durations| durations.node(&node.id));
    let flaky = measured.filter(|measured| measured.flaky > 0);
    out.line(format!(
        "<details class=\"node{}\" id=\"{}\"><summary><span class=\"swatch p{}\" \
         aria-hidden=\"true\"></span><span class=\"id\">{}{}</span><span class=\"place\">{}\
         </span><span class=\"time\" title=\"timeout\">{}</span>{}</summary>",
        if durations.is_some() { " timed" } else { "" },
        node.id,
        place % PLACE_COLORS,
        node.id,
        if flaky.is_some() { " <span class=\"tag\">flaky</span>" } else { "" },
        escape(place_name),
        words::seconds(spec.timeout_secs),
        match (durations, measured) {
            (Some(_), Some(measured)) => format!(
                "<span class=\"time usual\" title=\"usual time\">~{}</span>",
                words::measured(measured.median)
            ),
            (Some(_), None) =>
                "<span class=\"time usual\" title=\"never measured\">–</span>".into(),
            (None, _) => String::new(),
        }
    ));
    out.line("<dl class=\"detail\">");
    let mut detail = |name: &str, value: String| {
        out.line(format!("<dt>{name}</dt><dd>{value}</dd>"));
    };
    let codes = |texts: Vec<&str>| {
        let codes: Vec<String> =
            texts.iter().map(|text| format!("<code>{}</code>", escape(text))).collect();
        codes.join(" ")
    };
    if !spec.description.is_empty() {
        detail("Description", escape(&spec.description));
    }
    let command = match &spec.command {
        plans::Command::Shell { script, as_root } => {
            let root = if *as_root { "as root: " } else { "" };
            format!("{root}<pre>{}</pre>", escape_keeping(script, |c| matches!(c, '\n' | '\t')))
        }
        other => format!("<code>{}</code>", escape(&words::command(other))),
    };
    detail("Command", command);
    if !node.depends_on.is_empty() {
        let links: Vec<String> = node
            .depends_on
            .iter()
            .map(|id| format!("<a class=\"id\" href=\"#{id}\">{id}</a>"))
            .collect();
        detail("Waits for", links.join("<br>"));
    }
    if !node.concurrency_groups.is_empty() {
        let groups = node.concurrency_groups.iter().map(plans::GroupName::as_str).collect();
        detail("One at a time in", codes(groups));
    }
    for mount in &node.mounts {
        let path = escape(mount.path.as_str());
        detail(
            "Sees",
            format!("<code>{path}</code> from <span class=\"id\">{}</span>", mount.node),
        );
    }
    if !spec.env.is_empty() {
        let env: Vec<String> =
            spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        detail("Environment", codes(env.iter().map(String::as_str).collect()));
    }
    if !spec.secrets.is_empty() {
        detail("Secrets", codes(spec.secrets.iter().map(plans::EnvName::as_str).collect()));
    }
    if !spec.caches.is_empty() {
        let caches: Vec<String> =
            spec.caches.iter().map(|cache| format!("{} at {}", cache.name, cache.path)).collect();
        detail("Caches", codes(caches.iter().map(String::as_str).collect()));
    }
    if !spec.artifacts.is_empty() {
        detail("Keeps", codes(spec.artifacts.iter().map(String::as_str).collect()));
    }
    if let Some(inputs) = &spec.inputs {
        detail("Sees", codes(inputs.paths.iter().map(String::as_str).collect()));
        if !inputs.exclude.is_empty() {
            detail("Sees not", codes(inputs.exclude.iter().map(String::as_str).collect()));
        }
    }
    if !spec.outputs.is_empty() {
        detail("Outputs", codes(spec.outputs.iter().map(plans::OutputName::as_str).collect()));
    }
    for (name, of) in &node.takes.env {
        let plans::OutputRef { node, output } = of;
        let from = format!("<code>{output}</code> of <span class=\"id\">{node}</span>");
        detail("Takes", format!("<code>{name}</code>: {from}"));
    }
    for files in &node.takes.files {
        let globs = codes(files.files.iter().map(String::as_str).collect());
        let at = escape(files.at.as_str());
        let from = format!("of <span class=\"id\">{}</span>", files.node);
        detail("Takes", format!("<code>{at}</code>: {globs} {from}"));
    }
    if spec.retries > 0 {
        let after = spec.retry_on.as_ref().map(after_which).unwrap_or_default();
        detail("Retries", format!("{}{after}", spec.retries));
    }
    if let Some(which) = node.member.in_words() {
        detail("Member", escape(&which).to_string());
    }
    if let Some(when) = node.run_if.in_words() {
        detail("Condition", when.to_owned());
    }
    match &spec.allow_failure {
        Some(plans::AllowFailure::Any(_)) => detail("May fail", "in any way".to_owned()),
        Some(plans::AllowFailure::Some(allowed)) => {
            detail("May fail", format!("with exit code {}", either(&allowed.exit_codes)));
        }
        None => {}
    }
    if let Some(measured) = measured {
        let mut text = format!(
            "median {}, 9 of 10 within {}; {} passed, {} failed",
            words::measured(measured.median),
            words::measured(measured.p90),
            measured.passed,
            measured.failed
        );
        if measured.flaky > 0 {
            text = format!("{text}, {} flaky", measured.flaky);
        }
        detail("Earlier runs", format!("{}: {text}", measured.runs));
    }
    out.line("</dl></details>");
}

/// Exit codes as words: `75 or 77`.
fn either(codes: &plans::ExitCodes) -> String {
    codes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// After which failures a job is run again, as the end of a sentence.
fn after_which(on: &plans::RetryOn) -> String {
    let codes =
        (!on.exit_codes.is_empty()).then(|| format!("exit code {}", either(&on.exit_codes)));
    let outcomes = on.outcomes.iter().map(|outcome| match outcome {
        plans::FailedOutcome::Failed => "any failure".to_owned(),
        plans::FailedOutcome::TimedOut => "a timeout".to_owned(),
    });
    format!(", after {}", codes.into_iter().chain(outcomes).collect::<Vec<_>>().join(" or "))
}

fn skipped(out: &mut Lines, plan: &Plan) {
    let lanes: Vec<&PlanLane> = plan.lanes().iter().filter(|lane| !lane.selected).collect();
    let unlisted = plan.selection().lanes_not_listed.unwrap_or(0);
    let number = lanes.len() as u64 + unlisted;
    if number == 0 {
        return;
    }
    let open = if lanes.len() <= 40 { " open" } else { "" };
    out.line(format!(
        "<details class=\"fold\"{open}><summary>What does not run, and what came nearest \
         ({number})</summary>"
    ));
    if lanes.len() > 20 {
        filter(out, ".skipped", "skipped lanes");
    }
    if !lanes.is_empty() {
        out.line("<div class=\"list\">");
        for lane in lanes {
            let why: Vec<String> = lane.reasons.iter().map(sentence).collect();
            out.line(format!(
                "<div class=\"skipped\"><span title=\"{}\">{}</span><span class=\"soft\">{}\
                 </span></div>",
                lane.id,
                escape(&lane.title),
                why.join("; ")
            ));
        }
        out.line("</div>");
    }
    if unlisted > 0 {
        out.line(format!("<p class=\"soft\">{unlisted} of them are not listed in the plan.</p>"));
    }
    out.line("</details>");
}

fn changes(out: &mut Lines, plan: &Plan) {
    if plan.changes().is_empty() {
        return;
    }
    let number = plan.changes().len();
    out.line(format!("<details class=\"fold\"><summary>Changed paths ({number})</summary>"));
    out.line("<div class=\"list\"><ul class=\"paths\">");
    for change in plan.changes().iter().take(PATHS) {
        let uncovered = if plan.uncovered().binary_search(&change.path).is_ok() {
            " <span class=\"tag\">no lane covers it</span>"
        } else {
            ""
        };
        out.line(format!(
            "<li><span class=\"status\">{}</span> <code>{}</code>{uncovered}</li>",
            change.status,
            escape(&change.path.display())
        ));
    }
    if number > PATHS {
        out.line(format!("<li>and {} more</li>", number - PATHS));
    }
    out.line("</ul></div></details>");
}
