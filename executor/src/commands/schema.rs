//! `executor schema`: the JSON Schemas of what the executor writes and of what a site writes.

use schemars::{Schema, schema_for};
use serde_json::{Value, json};

use super::history::History;
use crate::{cli::SchemaOf, config::Config, event::Event, record::Record};

/// Returns the schema as pretty JSON.
pub(super) fn text(what: SchemaOf) -> String {
    let schema = match what {
        SchemaOf::Record => schema_for!(Record),
        SchemaOf::Event => lines(schema_for!(Event)),
        SchemaOf::Config => schema_for!(Config),
        SchemaOf::History => schema_for!(History),
        SchemaOf::Passed => {
            let schema = plans::passed_schema();
            return serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n";
        }
    };
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

/// Returns the schema of events as that of their lines: serde nests an event below its name, a
/// line has name and run first and the event's own keys beside them.
fn lines(mut schema: Schema) -> Schema {
    let definitions = schema.get("$defs").cloned().unwrap_or_default();
    let mut nested = Vec::new();
    for choice in schema.get_mut("oneOf").and_then(Value::as_array_mut).into_iter().flatten() {
        let name = choice["required"][0].as_str().expect("an event has a name").to_owned();
        let path = choice["properties"][&name]["$ref"].as_str().expect("a definition").to_owned();
        let definition = path.trim_start_matches("#/$defs/").to_owned();
        let of = &definitions[&definition];
        let mut properties = json!({
            "event": { "const": name },
            "run_id": { "type": "string", "description": "The run." },
        });
        let mut required = vec![json!("event"), json!("run_id")];
        for (key, value) in of["properties"].as_object().into_iter().flatten() {
            properties[key] = value.clone();
        }
        required.extend(of["required"].as_array().into_iter().flatten().cloned());
        *choice = json!({
            "title": name,
            "description": choice["description"],
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        });
        nested.push(definition);
    }
    if let Some(definitions) = schema.get_mut("$defs").and_then(Value::as_object_mut) {
        definitions.retain(|name, _| !nested.contains(name));
    }
    schema
        .insert("description".to_owned(), json!("A line of `--output jsonl`: something happened."));
    schema
}
