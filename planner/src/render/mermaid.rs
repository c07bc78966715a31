//! The graph for Mermaid (<https://mermaid.js.org>), which forges draw inside comments. Labels are
//! quoted and escaped with Mermaid's own entity codes (`#35;`), so that no text of a plan can end
//! a label. Mermaid refuses more than 500 arrows and 50,000 characters: a larger plan is drawn in
//! groups.

use plans::Plan;

use super::{
    graph::{Box, Drawing, Members},
    text::Lines,
};

/// Mermaid's default `maxEdges` is 500; groups may have three times as many arrows as nodes.
const MAX_ARROWS: usize = 160;
const MAX_BOXES: usize = 150;
/// Mermaid's default `maxTextSize`.
const MAX_TEXT: usize = 50_000;

/// Returns the graph as a Mermaid flow chart.
#[must_use]
pub fn mermaid(plan: &Plan) -> String {
    limited(plan, MAX_BOXES, MAX_ARROWS)
}

/// Returns the graph with at most about so many boxes and arrows.
pub(super) fn limited(plan: &Plan, max_boxes: usize, max_arrows: usize) -> String {
    let chart = draw(&Drawing::new(plan, max_boxes, max_arrows));
    // Ids may be long: what has few boxes may still be too much text.
    if chart.len() < MAX_TEXT { chart } else { draw(&Drawing::new(plan, 0, 0)) }
}

fn draw(drawing: &Drawing) -> String {
    let mut out = Lines::default();
    out.line("flowchart LR");
    let boxes = |place: Option<usize>| {
        drawing.boxes.iter().enumerate().filter(move |(_, it)| it.place == place)
    };
    for (place, name) in drawing.places.iter().enumerate() {
        if boxes(Some(place)).next().is_some() {
            out.line(format!("  subgraph p{place}[\"{}\"]", escape(name)));
            boxes(Some(place)).for_each(|(index, it)| out.line(format!("  {}", node(index, it))));
            out.line("  end");
        }
    }
    boxes(None).for_each(|(index, it)| out.line(node(index, it)));
    for (from, to) in &drawing.arrows {
        out.line(format!("  n{from} --> n{to}"));
    }
    out.finish()
}

/// Rounded: makes ready. Square: runs a job.
fn node(index: usize, it: &Box) -> String {
    let mut label = escape(&it.label);
    let members: &[String] = match &it.members {
        Members::Unnamed => &[],
        Members::Names(names) => names,
        Members::Parts(parts) => std::slice::from_ref(parts),
    };
    for member in members {
        label.push_str("<br/>");
        label.push_str(&escape(member));
    }
    if it.prepare {
        format!("  n{index}([\"{label}\"])")
    } else {
        format!("  n{index}[\"{label}\"]")
    }
}

/// Writes everything but letters, digits and harmless marks as entity codes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in super::text::one_line(text).chars() {
        if character.is_alphanumeric() || " .,_-/()×:…".contains(character) {
            escaped.push(character);
        } else {
            escaped.push('#');
            escaped.push_str(&u32::from(character).to_string());
            escaped.push(';');
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn no_text_ends_a_label() {
        assert_eq!(escape("a\"]\nclick x"), "a#34;#93;#92;nclick x");
        assert_eq!(escape("#quot;<b>"), "#35;quot#59;#60;b#62;");
    }
}
