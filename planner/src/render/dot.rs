//! The graph for Graphviz (`dot -Tsvg`): every node, clustered by machine and isolation. Strings
//! are quoted by the rules of the DOT language; Graphviz reads backslashes and HTML entities
//! inside them as well, so these are escaped too.

use plans::Plan;

use super::{
    graph::Drawing,
    text::{Lines, one_line},
    words,
};

/// Returns the graph in the DOT language.
#[must_use]
pub fn dot(plan: &Plan) -> String {
    let drawing = Drawing::whole(plan);
    let mut out = Lines::default();
    out.line("digraph plan {");
    out.line("  rankdir=LR;");
    out.line("  node [shape=box, fontname=\"sans-serif\"];");
    for (place, name) in drawing.places.iter().enumerate() {
        out.line(format!("  subgraph cluster_{place} {{"));
        out.line(format!("    label={};", quoted(name)));
        for it in drawing.boxes.iter().filter(|it| it.place == Some(place)) {
            let node = &plan.nodes()[it.nodes[0]];
            let style = if it.prepare { ", style=\"rounded,dashed\"" } else { "" };
            let tooltip =
                format!("{}: {}", node.spec.description, words::command(&node.spec.command));
            out.line(format!("    {} [tooltip={}{style}];", quoted(&it.label), quoted(&tooltip)));
        }
        out.line("  }");
    }
    for (from, to) in &drawing.arrows {
        let (from, to) = (&drawing.boxes[*from].label, &drawing.boxes[*to].label);
        out.line(format!("  {} -> {};", quoted(from), quoted(to)));
    }
    out.line("}");
    out.finish()
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in one_line(text).chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '&' => quoted.push_str("&amp;"),
            '<' => quoted.push_str("&lt;"),
            '>' => quoted.push_str("&gt;"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
