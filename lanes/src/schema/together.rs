//! What keys of one table mean together, as far as a schema can say it.
//!
//! Draft 4 words wherever they do, and `if`: what editors know. Names that stand for something in
//! another table are the reader's alone.

use schemars::{Schema, json_schema};

/// Returns the key of a table that stands for something else than the shared key of that name; of two
/// such keys a schema keeps the shared one.
pub(super) fn own_property(table: &str) -> Option<(&'static str, Schema)> {
    (table == "LaneFile").then(|| {
        let inputs = json_schema!({
            "description": "As a table: packages whose directories, and those of their workspace \
                            dependencies, count as paths. As a list, with `command`: the files that \
                            the job sees.",
            "allOf": [{ "$ref": "#/$defs/LaneInputsFile" }],
        });
        ("inputs", inputs)
    })
}

/// Returns what to add to the schema of a table, by the name of its type.
pub(super) fn together(table: &str) -> Option<Schema> {
    Some(match table {
        "LaneFile" => json_schema!({
            "oneOf": [
                { "title": "a lane that runs a target", "required": ["target"] },
                { "title": "a lane that runs a staged Linux target", "required": ["staged_linux_target"] },
                { "title": "a lane with its own command", "required": ["command"] },
            ],
            "if": { "not": { "required": ["command"] } },
            "then": {
                "title": "keys of a job stand beside `command`",
                "propertyNames": { "enum": [
                    "id", "title", "target", "staged_linux_target", "entrypoint", "paths", "exclude",
                    "statuses", "inputs", "concurrency_group", "after", "needs",
                ] },
            },
        }),
        "JobFile" => json_schema!({
            "oneOf": [
                { "title": "a job with a command", "required": ["command"] },
                { "title": "a job that runs a staged wrapper", "required": ["staged_command"] },
            ],
            "anyOf": [
                { "title": "a job that starts from a base", "required": ["base"] },
                {
                    "title": "a job that says it all itself",
                    "required": ["placement", "runtime", "timeout_secs"],
                },
            ],
        }),
        "CommandTable" => json_schema!({
            "oneOf": [
                { "title": "a program and its arguments", "required": ["argv"] },
                { "title": "a script", "required": ["shell"] },
                { "title": "exactly one Rust test", "required": ["cargo_test"] },
                { "title": "a package's Rust tests", "required": ["cargo_tests"] },
            ],
            "if": { "required": ["as_root"] },
            "then": { "title": "`as_root` stands beside `shell`", "required": ["shell"] },
        }),
        "TargetFile" => json_schema!({
            "anyOf": [
                {
                    "title": "a target with jobs of its own",
                    "required": ["jobs"],
                    "properties": { "jobs": { "minItems": 1 } },
                },
                {
                    "title": "a target with jobs of others",
                    "required": ["jobs_from"],
                    "properties": { "jobs_from": { "minItems": 1 } },
                },
            ],
            "if": { "not": { "required": ["staged_linux"] } },
            "then": {
                "title": "`staged_command` needs `[targets.staged_linux]`",
                "properties": { "jobs": { "items": { "not": { "required": ["staged_command"] } } } },
            },
        }),
        "PayloadFile" => json_schema!({
            "anyOf": [
                {
                    "title": "a role with a place of its own",
                    "properties": { "role": { "enum": ["workspace_deps", "workspace_build"] } },
                },
                { "title": "a role of your own, and where jobs see it", "required": ["mount"] },
            ],
        }),
        "IncusFile" => json_schema!({
            "not": {
                "title": "only containers are privileged",
                "required": ["vm", "privileged"],
                "properties": { "vm": { "const": true }, "privileged": { "const": true } },
            },
        }),
        _ => return None,
    })
}
