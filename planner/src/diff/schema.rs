//! The JSON Schema of a difference: what programs that read [`json`](super::json) can rely on.

use serde_json::{Value, json};

/// Returns the schema (2020-12) of what `planner diff --format json` writes.
#[must_use]
pub fn schema() -> Value {
    let list_of =
        |of: &str| json!({ "type": "array", "items": { "$ref": format!("#/$defs/{of}") } });
    let text = |what: &str| json!({ "description": what, "type": "string" });
    let closed = |required: &[&str], properties: Value| {
        json!({
            "type": "object",
            "required": required,
            "properties": properties,
            "additionalProperties": false,
        })
    };
    let mut schema = closed(
        &["format_version", "same", "from", "to", "document", "lanes", "nodes"],
        json!({
            "format_version": { "const": "1.0" },
            "same": { "description": "Whether nothing differs.", "type": "boolean" },
            "from": { "$ref": "#/$defs/Side" },
            "to": { "$ref": "#/$defs/Side" },
            "document": list_of("Field"),
            "lanes": { "$ref": "#/$defs/Items" },
            "nodes": { "$ref": "#/$defs/Items" },
        }),
    );
    let digest = "^sha256:[0-9a-f]{64}$";
    let mut field = closed(
        &["path"],
        json!({
            "path": text("The way to the key, such as `source.head` or `env.PATH`."),
            "from": { "description": "The value of the first plan." },
            "to": { "description": "The value of the second plan." },
            "added": { "description": "Members of the second plan alone.", "type": "array" },
            "removed": { "description": "Members of the first plan alone.", "type": "array" },
        }),
    );
    field["oneOf"] = json!([
        { "title": "a value, or another one", "anyOf": [{ "required": ["from"] }, { "required": ["to"] }] },
        { "title": "a list without order", "required": ["added", "removed"] },
    ]);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("planner diff");
    schema["$defs"] = json!({
        "Side": closed(&["name"], json!({
            "name": text("The file or revision."),
            "digest": { "description": "The plan's digest, if it is a file.", "type": "string", "pattern": digest },
        })),
        "Field": field,
        "Items": closed(&["added", "removed", "changed"], json!({
            "added": list_of("Item"), "removed": list_of("Item"), "changed": list_of("Changed"),
        })),
        "Item": closed(&["id", "value"], json!({
            "id": text("The lane's or node's id."),
            "value": { "description": "All of it, as it stands in its plan.", "type": "object" },
        })),
        "Changed": closed(&["id", "fields"], json!({
            "id": text("The lane's or node's id."),
            "fields": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/Field" } },
        })),
    });
    schema
}
