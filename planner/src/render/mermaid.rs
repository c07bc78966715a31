//! The graph for Mermaid (<https://mermaid.js.org>), which forges draw inside comments. Labels are
//! quoted and escaped with Mermaid's own entity codes (`#35;`), so that no text of a plan can end
//! a label. Mermaid refuses more than 500 arrows and 50,000 characters: a larger plan is drawn in
//! groups.

use plans::Plan;

use super::{graph::Drawing, text::Lines};

/// Mermaid's default `maxEdges` is 500; a picture is readable far below.
const MAX_ARROWS: usize = 400;
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
    for (place, name) in drawing.places.iter().enumerate() {
        let mut boxes =
            drawing.boxes.iter().enumerate().filter(|(_, it)| it.place == place).peekable();
        if boxes.peek().is_none() {
            continue;
        }
        out.line(format!("  subgraph p{place}[\"{}\"]", escape(name)));
        for (index, it) in boxes {
            // Rounded: makes ready. Square: runs a job.
            let label = escape(&it.label);
            match it.prepare {
                true => out.line(format!("    n{index}([\"{label}\"])")),
                false => out.line(format!("    n{index}[\"{label}\"]")),
            }
        }
        out.line("  end");
    }
    for (from, to) in &drawing.arrows {
        out.line(format!("  n{from} --> n{to}"));
    }
    out.finish()
}

/// Writes everything but letters, digits and harmless marks as entity codes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in super::text::one_line(text).chars() {
        if character.is_alphanumeric() || " .,_-/()×:".contains(character) {
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
