//! The graph as inline SVG: links for boxes, so that it can be walked by keyboard and read aloud
//! without any script; classes for colours, which the style sheet owns.

use std::collections::{BTreeMap, BTreeSet};

use plans::{NodeId, Plan};

use super::{
    super::{
        durations::Estimate,
        graph::{Box, Drawing, Members},
        text::{Lines, count, wrap},
        words,
    },
    PLACE_COLORS, escape,
    layout::{BOX_WIDTH, Layout},
};

/// How many nodes the tool tip of a group names.
const NAMED: usize = 12;
/// How many characters of a label fit on a line of a box.
const LINE: usize = 29;

/// Draws `drawing`.
pub(super) fn svg(out: &mut Lines, plan: &Plan, drawing: &Drawing, estimate: Option<&Estimate>) {
    let texts: Vec<Texts> = drawing.boxes.iter().map(|it| Texts::new(plan, it)).collect();
    let heights: Vec<f64> = texts.iter().map(Texts::height).collect();
    let layout = Layout::new(drawing, &heights);
    let (width, height) = (layout.width, layout.height);
    let chain: &[NodeId] = estimate.map_or(&[], |estimate| &estimate.critical_path);
    let box_of: BTreeMap<&NodeId, usize> = drawing
        .boxes
        .iter()
        .enumerate()
        .flat_map(|(index, it)| it.nodes.iter().map(move |&at| (&plan.nodes()[at].id, index)))
        .collect();
    let chain: Vec<usize> = chain.iter().filter_map(|id| box_of.get(id).copied()).collect();
    let links: BTreeSet<(usize, usize)> = chain.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let critical: BTreeSet<usize> = chain.into_iter().collect();
    out.line(format!(
        "<svg class=\"graph\" role=\"group\" aria-label=\"Graph of {}, from left to right\" \
         viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\">",
        count(plan.nodes().len(), "node")
    ));
    out.line(
        "<defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" markerUnits=\"userSpaceOnUse\" orient=\"auto\">\
         <path d=\"M0 0.5L7.5 4L0 7.5z\"/></marker></defs>",
    );
    out.line("<g aria-hidden=\"true\">");
    for (&(from, to), points) in drawing.arrows.iter().zip(&layout.arrows) {
        let class = if links.contains(&(from, to)) { "arrow critical" } else { "arrow" };
        out.line(format!(
            "<path class=\"{class}\" data-from=\"{from}\" data-to=\"{to}\" \
             marker-end=\"url(#tip)\" d=\"{}\"/>",
            curve(points)
        ));
    }
    out.line("</g>");
    // By columns: the order of the keyboard is the order of the picture.
    for (column, boxes) in layout.columns.iter().enumerate() {
        for &index in boxes {
            let at = layout.boxes[index];
            let texts = &texts[index];
            node(out, plan, drawing, index, column, at, texts, critical.contains(&index), estimate);
        }
    }
    out.line("</svg>");
}

#[expect(clippy::too_many_arguments, reason = "one box is drawn from all of them, in one place")]
fn node(
    out: &mut Lines,
    plan: &Plan,
    drawing: &Drawing,
    index: usize,
    column: usize,
    (x, y): (f64, f64),
    texts: &Texts,
    critical: bool,
    estimate: Option<&Estimate>,
) {
    let it = &drawing.boxes[index];
    let only = match it.nodes[..] {
        [only] => Some(&plan.nodes()[only]),
        _ => None,
    };
    let mut class = match it.place {
        Some(place) => format!("box p{}", place % PLACE_COLORS),
        None => "box mixed".to_owned(),
    };
    let place = it.place.map_or("several places", |place| &drawing.places[place]);
    for (holds, word) in
        [(it.prepare, " prepare"), (critical, " critical"), (only.is_none(), " group")]
    {
        if holds {
            class.push_str(word);
        }
    }
    let flaky =
        only.is_some_and(|node| estimate.is_some_and(|estimate| estimate.flaky.contains(&node.id)));
    let (link, title, meta) = match only {
        Some(node) => {
            let waits = match node.depends_on.len() {
                0 => "waits for nothing".to_owned(),
                number => format!("waits for {}", count(number, "node")),
            };
            let mark = if flaky { ", known to be flaky" } else { "" };
            let meta = format!(
                "{} · {}{}",
                node.kind,
                words::seconds(node.spec.timeout_secs),
                if flaky { " · flaky" } else { "" }
            );
            (format!("#{}", node.id), format!("{}: {place}, {waits}{mark}", node.id), meta)
        }
        None => {
            let mut ids: Vec<&str> =
                it.nodes.iter().take(NAMED).map(|&at| plan.nodes()[at].id.as_str()).collect();
            if it.nodes.len() > NAMED {
                ids.push("…");
            }
            let title = format!("{}: {place}: {}", it.label, ids.join(", "));
            // The first of its nodes: the others stand near it in the list.
            (format!("#{}", ids[0]), title, place.to_owned())
        }
    };
    out.line(format!(
        "<a class=\"{class}\" href=\"{}\" data-box=\"{index}\" data-column=\"{column}\" \
         aria-label=\"{}\"><title>{}</title>",
        escape(&link),
        escape(&title),
        escape(&title)
    ));
    let height = texts.height();
    out.line(format!(
        "<rect class=\"body\" x=\"{x}\" y=\"{y}\" width=\"{BOX_WIDTH}\" height=\"{height}\" \
         rx=\"7\"/><rect class=\"bar\" x=\"{}\" y=\"{}\" width=\"4\" height=\"{}\" rx=\"2\"/>",
        x + 7.0,
        y + 9.0,
        height - 18.0
    ));
    let x = x + 19.0;
    let mut baseline = y + if texts.only_label() { 27.0 } else { 20.0 };
    for line in &texts.label {
        out.line(format!("<text x=\"{x}\" y=\"{baseline}\">{}</text>", escape(line)));
        baseline += 15.0;
    }
    for line in &texts.members {
        let line = escape(line);
        out.line(format!("<text class=\"member\" x=\"{x}\" y=\"{baseline}\">{line}</text>"));
        baseline += 14.0;
    }
    let (gap, meta) =
        (if texts.members.is_empty() { 0.0 } else { 3.0 }, shortened(&meta, LINE + 3));
    let (baseline, meta) = (baseline + gap, escape(&meta));
    out.line(format!("<text class=\"meta\" x=\"{x}\" y=\"{baseline}\">{meta}</text>"));
    out.line("</a>");
}

/// The lines of a box above its last one.
struct Texts {
    label: Vec<String>,
    members: Vec<String>,
}

impl Texts {
    fn new(plan: &Plan, it: &Box) -> Self {
        let label = match it.nodes[..] {
            // The last line of the box has the kind.
            [only] => plan.nodes()[only].id.as_str().split_once('-').map_or("", |(_, rest)| rest),
            _ => &it.label,
        };
        let members = match &it.members {
            Members::Unnamed => Vec::new(),
            Members::Names(names) => names.iter().map(|name| shortened(name, LINE + 3)).collect(),
            Members::Parts(parts) => wrap(parts, LINE + 3),
        };
        Self { label: label_lines(label), members }
    }

    fn only_label(&self) -> bool {
        self.label.len() == 1 && self.members.is_empty()
    }

    fn height(&self) -> f64 {
        if self.only_label() {
            return 58.0;
        }
        #[expect(clippy::cast_precision_loss, reason = "a box has few lines")]
        let (label, members) = (self.label.len() as f64, self.members.len() as f64);
        let gap = if self.members.is_empty() { 0.0 } else { 3.0 };
        28.0 + 15.0 * label + 14.0 * members + gap
    }
}

/// Breaks a label into at most two lines, at a dash or a space where there is one.
fn label_lines(label: &str) -> Vec<String> {
    if label.chars().count() <= LINE {
        return vec![label.to_owned()];
    }
    let room: usize = label.char_indices().nth(LINE).map_or(label.len(), |(at, _)| at);
    let at = label[..room].rfind(['-', ' ', '_', '.']).map_or(room, |at| at + 1);
    let (first, rest) = label.split_at(at);
    vec![first.trim_end().to_owned(), shortened(rest, LINE)]
}

/// Cuts a text in its middle: its beginning and its end tell it from others.
fn shortened(text: &str, most: usize) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= most {
        return text.to_owned();
    }
    let end = most / 2;
    let start = most - 1 - end;
    let (start, end) = (&characters[..start], &characters[characters.len() - end..]);
    start.iter().chain(&['…']).chain(end).collect()
}

/// A smooth line: bends between columns, straight through them.
fn curve(points: &[(f64, f64)]) -> String {
    let mut path = format!("M{} {}", points[0].0, points[0].1);
    for (index, pair) in points.windows(2).enumerate() {
        let ((x1, y1), (x2, y2)) = (pair[0], pair[1]);
        let segment = if index % 2 == 0 {
            let middle = f64::midpoint(x1, x2);
            format!("C{middle} {y1} {middle} {y2} {x2} {y2}")
        } else {
            format!("L{x2} {y2}")
        };
        path.push_str(&segment);
    }
    path
}
