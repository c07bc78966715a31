//! `executor schema`: the JSON Schemas of what the executor writes and of what a site writes.

use schemars::schema_for;

use crate::{cli::SchemaOf, config::Config, event::Event, record::Record};

/// Returns the schema as pretty JSON.
pub(super) fn text(what: SchemaOf) -> String {
    let schema = match what {
        SchemaOf::Record => schema_for!(Record),
        SchemaOf::Event => schema_for!(Event),
        SchemaOf::Config => schema_for!(Config),
    };
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}
