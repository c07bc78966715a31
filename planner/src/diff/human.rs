//! A difference on a terminal: what is new, gone and changed, one field a line; long values below
//! each other, scripts line by line.

use anstyle::{AnsiColor, Style};
use plans::Reason;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};

use super::{Change, Diff, Field, Item, Items, Side};
use crate::render::{
    Options,
    text::{Lines, count, one_line, width, wrap},
    words,
};

/// What a line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Heading,
    Plain,
    Added,
    Removed,
    Changed,
}

/// A line of a difference, before it is painted: its mark, its depth, its text.
pub(super) struct Line {
    pub(super) mark: Mark,
    pub(super) indent: usize,
    pub(super) text: String,
}

/// Returns the difference for a terminal.
#[must_use]
pub fn human(diff: &Diff, from: &Side<'_>, to: &Side<'_>, options: &Options) -> String {
    let mut out = Lines::default();
    out.line(format!("{} -> {}: {}", one_line(from.name), one_line(to.name), summary(diff)));
    for Line { mark, indent, text } in lines(diff, options.width.max(60)) {
        let (sign, style) = match mark {
            Mark::Heading => ("", Style::new().bold()),
            Mark::Plain => ("  ", Style::new()),
            Mark::Added => ("+ ", AnsiColor::Green.on_default()),
            Mark::Removed => ("- ", AnsiColor::Red.on_default()),
            Mark::Changed => ("~ ", AnsiColor::Yellow.on_default()),
        };
        if mark == Mark::Heading {
            out.gap();
        }
        // Nothing is cut; what is too long goes on below, under the text.
        let room = options.width.max(60) - indent - sign.len();
        for (index, part) in wrap(&text, room).iter().enumerate() {
            let sign = if index == 0 { sign } else { "  " };
            match options.color {
                true => out.line(format!("{:indent$}{style}{sign}{part}{style:#}", "")),
                false => out.line(format!("{:indent$}{sign}{part}", "")),
            }
        }
    }
    out.finish()
}

/// Returns `2 nodes added, 1 changed; 1 lane changed`, or that nothing differs.
pub(super) fn summary(diff: &Diff) -> String {
    let part = |items: &Items, what: &str| -> Option<String> {
        let numbers = [
            (items.added.len(), "added"),
            (items.removed.len(), "removed"),
            (items.changed.len(), "changed"),
        ];
        let mut words: Vec<String> = Vec::new();
        for (number, verb) in numbers.into_iter().filter(|(number, _)| *number > 0) {
            let number = if words.is_empty() { count(number, what) } else { number.to_string() };
            words.push(format!("{number} {verb}"));
        }
        (!words.is_empty()).then(|| words.join(", "))
    };
    let mut parts: Vec<String> =
        [part(&diff.nodes, "node"), part(&diff.lanes, "lane")].into_iter().flatten().collect();
    if parts.is_empty() {
        parts.push(if diff.is_empty() { "no difference" } else { "the same runs" }.to_owned());
    }
    parts.join("; ")
}

/// Returns the lines of a difference; a value longer than `columns` gets lines of its own.
pub(super) fn lines(diff: &Diff, columns: usize) -> Vec<Line> {
    let mut lines = Lister { lines: Vec::new(), columns };
    if !diff.document.is_empty() {
        lines.push(Mark::Heading, 0, "Document");
        for field in &diff.document {
            lines.field(2, field);
        }
    }
    if !diff.lanes.is_empty() {
        lines.push(Mark::Heading, 0, "Lanes");
        lines.items(&diff.lanes, about_lane);
    }
    if !diff.nodes.is_empty() {
        lines.push(Mark::Heading, 0, "Nodes");
        lines.items(&diff.nodes, about_node);
    }
    lines.lines
}

struct Lister {
    lines: Vec<Line>,
    columns: usize,
}

impl Lister {
    fn push(&mut self, mark: Mark, indent: usize, text: impl Into<String>) {
        self.lines.push(Line { mark, indent, text: text.into() });
    }

    fn items(&mut self, items: &Items, about: fn(&Value) -> String) {
        for Item { id, value } in &items.added {
            self.push(Mark::Added, 2, format!("{id}{}", about(value)));
        }
        for Item { id, value } in &items.removed {
            self.push(Mark::Removed, 2, format!("{id}{}", about(value)));
        }
        for changed in &items.changed {
            self.push(Mark::Changed, 2, changed.id.as_str());
            for field in &changed.fields {
                self.field(4, field);
            }
        }
    }

    fn field(&mut self, indent: usize, Field { path, change }: &Field) {
        let path = one_line(path).into_owned();
        match change {
            Change::Added(value) => {
                self.push(Mark::Added, indent, format!("{path}: {}", shown(&path, value)));
            }
            Change::Removed(value) => {
                self.push(Mark::Removed, indent, format!("{path}: {}", shown(&path, value)));
            }
            Change::Members { added, removed } => {
                self.push(Mark::Plain, indent, format!("{path}:"));
                for value in removed {
                    self.push(Mark::Removed, indent + 4, shown(&path, value));
                }
                for value in added {
                    self.push(Mark::Added, indent + 4, shown(&path, value));
                }
            }
            Change::Replaced { from: Value::String(from), to: Value::String(to) }
                if from.contains('\n') || to.contains('\n') =>
            {
                self.push(Mark::Plain, indent, format!("{path}:"));
                self.script(indent + 4, from, to);
            }
            Change::Replaced { from, to } => {
                let (from, to) = (shown(&path, from), shown(&path, to));
                let line = format!("{path}: {from} -> {to}");
                if indent + 2 + width(&line) <= self.columns {
                    self.push(Mark::Plain, indent, line);
                } else {
                    self.push(Mark::Plain, indent, format!("{path}:"));
                    self.push(Mark::Removed, indent + 4, from);
                    self.push(Mark::Added, indent + 4, to);
                }
            }
        }
    }

    /// Only the lines that differ, with one around them.
    fn script(&mut self, indent: usize, from: &str, to: &str) {
        let diff = TextDiff::from_lines(from, to);
        for (index, group) in diff.grouped_ops(1).iter().enumerate() {
            if index > 0 {
                self.push(Mark::Plain, indent, "…");
            }
            for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
                let mark = match change.tag() {
                    ChangeTag::Equal => Mark::Plain,
                    ChangeTag::Delete => Mark::Removed,
                    ChangeTag::Insert => Mark::Added,
                };
                let missing =
                    if change.missing_newline() { " (no newline at the end)" } else { "" };
                let text = change.value().trim_end_matches('\n');
                self.push(mark, indent, format!("{}{missing}", one_line(text)));
            }
        }
    }
}

/// Returns a value on one line; reasons in words.
fn shown(path: &str, value: &Value) -> String {
    if path == "reasons"
        && let Ok(reason) = serde_json::from_value::<Reason>(value.clone())
    {
        return words::plain(&words::reason(&reason));
    }
    one_line(&value.to_string()).into_owned()
}

fn about_lane(lane: &Value) -> String {
    let selected = lane.get("selected").and_then(Value::as_bool).unwrap_or_default();
    if selected { ": runs".to_owned() } else { ": does not run".to_owned() }
}

/// Returns where and how isolated, in the words of the plan's own pages.
fn about_node(node: &Value) -> String {
    fn read<T: serde::de::DeserializeOwned>(node: &Value, key: &str) -> Option<T> {
        node.get(key).and_then(|value| serde_json::from_value(value.clone()).ok())
    }
    match (read(node, "placement"), read(node, "runtime")) {
        (Some(placement), Some(runtime)) => format!(": {}", words::place(&placement, &runtime)),
        _ => String::new(),
    }
}
