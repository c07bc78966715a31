//! A difference for programs.
//!
//! ```json
//! { "format_version": "1.0", "same": false,
//!   "from": { "name": "a.json", "digest": "sha256:…" }, "to": { "name": "b.json" },
//!   "document": [ { "path": "source.head", "from": "…", "to": "…" } ],
//!   "lanes": { "added": [], "removed": [], "changed": [ { "id": "ios", "fields": [ … ] } ] },
//!   "nodes": { "added": [ { "id": "execute-x", "value": { … } } ], "removed": [], "changed": [] } }
//! ```
//!
//! A field has `from` and `to`, one of them absent where only one plan has it; a list without order
//! has `added` and `removed`.

use serde_json::{Value, json};

use super::{Change, Diff, Field, Item, Items, Side};

/// Returns the difference as pretty JSON with a newline at the end.
#[must_use]
pub fn json(diff: &Diff, from: &Side<'_>, to: &Side<'_>) -> String {
    let value = json!({
        "format_version": "1.0",
        "same": diff.is_empty(),
        "from": side(from),
        "to": side(to),
        "document": diff.document.iter().map(field).collect::<Vec<_>>(),
        "lanes": items(&diff.lanes),
        "nodes": items(&diff.nodes),
    });
    format!("{value:#}\n")
}

fn side(side: &Side<'_>) -> Value {
    match side.digest {
        Some(digest) => json!({ "name": side.name, "digest": digest }),
        None => json!({ "name": side.name }),
    }
}

fn items(items: &Items) -> Value {
    let whole = |items: &[Item]| -> Vec<Value> {
        items.iter().map(|item| json!({ "id": item.id, "value": item.value })).collect()
    };
    let changed: Vec<Value> = items
        .changed
        .iter()
        .map(|changed| {
            let fields: Vec<Value> = changed.fields.iter().map(field).collect();
            json!({ "id": changed.id, "fields": fields })
        })
        .collect();
    json!({ "added": whole(&items.added), "removed": whole(&items.removed), "changed": changed })
}

fn field(field: &Field) -> Value {
    let path = &field.path;
    match &field.change {
        Change::Added(to) => json!({ "path": path, "to": to }),
        Change::Removed(from) => json!({ "path": path, "from": from }),
        Change::Replaced { from, to } => json!({ "path": path, "from": from, "to": to }),
        Change::Members { added, removed } => {
            json!({ "path": path, "added": added, "removed": removed })
        }
    }
}
