//! The pages of `docs/reference/` are made from the types: the command lines that clap parses, and
//! the JSON Schemas that the programs print. `UPDATE_DOCS=1` writes them anew.

use std::{collections::BTreeMap, fmt::Write as _, fs};

use clap::{Arg, Command, CommandFactory as _};
use serde_json::Value;

use crate::shell::{Shell, root};

/// The documents, by page: title, the program and its argument, and a sentence about it.
const DOCUMENTS: &[(&str, &str, &str)] = &[
    ("forge-lanes-toml", "planner schema lanes", "The manifest, `ci/forge-lanes.toml`."),
    ("catalog-toml", "planner schema catalog", "The catalog, `ci/catalog.toml`."),
    ("invariants-toml", "planner schema invariants", "What `planner check` expects."),
    ("scenario-toml", "planner schema scenario", "A file of `ci/scenarios/`."),
    ("plan-json", "planner schema plan", "What `planner plan` writes and `executor apply` runs."),
    ("diff-json", "planner schema diff", "What `planner diff --format json` prints."),
    ("record-json", "executor schema record", "What the executor keeps of a run."),
    ("event-json", "executor schema event", "A line of `executor apply --output jsonl`."),
    ("history-json", "executor schema history", "What `executor history --json` prints."),
    ("passed-json", "executor schema passed", "What `executor history --passed` writes."),
    ("executor-toml", "executor schema config", "What a site says about its machines."),
];

/// A page that is made, with a note on how.
fn page(title: &str, body: &str) -> String {
    format!(
        "<!-- Made from the types; UPDATE_DOCS=1 cargo nextest run -p snapshots reference -->\n\
         # {title}\n\n{}\n",
        body.trim_end()
    )
}

/// Text for a cell of a table: one line, no column of its own.
fn cell(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|").replace('<', "&lt;")
}

fn command_page(mut program: Command) -> String {
    program.build();
    let mut text = format!("{}\n\n", program.get_long_about().expect("a program is described"));
    examples(&program, &mut text);
    arguments("Before or behind every command:", program.get_arguments(), &mut text);
    for command in commands(&program) {
        subcommand(command, &format!("{} {}", program.get_name(), command.get_name()), &mut text);
    }
    page(&format!("`{}`", program.get_name()), &text)
}

fn commands(of: &Command) -> impl Iterator<Item = &Command> {
    of.get_subcommands().filter(|command| command.get_name() != "help")
}

fn subcommand(command: &Command, name: &str, text: &mut String) {
    let about = command.get_long_about().or(command.get_about()).expect("a command is described");
    let _ = write!(text, "## `{name}`\n\n{}\n\n", sentence(&about.to_string()));
    if command.has_subcommands() {
        for deeper in commands(command) {
            subcommand(deeper, &format!("{name} {}", deeper.get_name()), text);
        }
        return;
    }
    let usage = command.clone().render_usage().to_string();
    let _ = write!(text, "```text\n{}\n```\n\n", usage.trim_start_matches("Usage: "));
    arguments("", command.get_arguments().filter(|one| !one.is_global_set()), text);
    examples(command, text);
}

fn examples(command: &Command, text: &mut String) {
    if let Some(after) = command.get_after_help() {
        let _ = write!(text, "```text\n{}\n```\n\n", after.to_string().trim_end());
    }
}

fn arguments<'a>(intro: &str, all: impl Iterator<Item = &'a Arg>, text: &mut String) {
    let mut rows = String::new();
    for one in all.filter(|one| !["help", "version"].contains(&one.get_id().as_str())) {
        let mut name = one.to_string();
        if let Some(short) = one.get_short().filter(|_| one.get_long().is_some()) {
            name = format!("-{short}, {name}");
        }
        let help = one.get_long_help().or(one.get_help()).expect("an argument is described");
        let mut help = sentence(&cell(&help.to_string()));
        let values = one.get_possible_values();
        let takes = one.get_action().takes_values() && !values.is_empty();
        if takes {
            let values: Vec<_> = values.iter().map(|v| format!("`{}`", v.get_name())).collect();
            let _ = write!(help, " One of {}.", values.join(", "));
        }
        let defaults = one.get_default_values();
        if takes || one.get_action().takes_values() && !defaults.is_empty() {
            let defaults: Vec<_> =
                defaults.iter().map(|v| format!("`{}`", v.to_string_lossy())).collect();
            if !defaults.is_empty() {
                let _ = write!(help, " Default: {}.", defaults.join(", "));
            }
        }
        let _ = writeln!(rows, "| `{}` | {help} |", name.replace('|', "\\|"));
    }
    if !rows.is_empty() {
        if !intro.is_empty() {
            let _ = write!(text, "{intro}\n\n");
        }
        let _ = write!(text, "| argument | meaning |\n| --- | --- |\n{rows}\n");
    }
}

/// clap takes the full stop away from what is one sentence.
fn sentence(text: &str) -> String {
    let ended = text.ends_with(['.', ']', ':']);
    if ended { text.to_owned() } else { format!("{text}.") }
}

fn schema_page(title: &str, words: &str, command: &str, schema: &Value) -> String {
    let mut text = format!("{words} `{command}` prints this as a JSON Schema.\n\n");
    definition(schema, &mut text);
    if let Some(definitions) = schema["$defs"].as_object() {
        for (name, of) in definitions {
            if is_word(of) {
                continue;
            }
            let _ = write!(text, "## {name}\n\n");
            definition(of, &mut text);
        }
    }
    page(title, &text)
}

/// Whether a definition is only a text, a number or the like under a name.
fn is_word(of: &Value) -> bool {
    of["properties"].is_null() && of["oneOf"].is_null() && of["anyOf"].is_null()
}

fn definition(of: &Value, text: &mut String) {
    // What stands in brackets is for the pages of rustdoc.
    let words = of["description"].as_str().unwrap_or_default().replace(['[', ']'], "");
    if !words.is_empty() && !words.starts_with("See `") {
        let _ = write!(text, "{words}\n\n");
    }
    if let Some(properties) = of["properties"].as_object() {
        let required: Vec<_> = of["required"].as_array().into_iter().flatten().collect();
        text.push_str("| key | value | meaning |\n| --- | --- | --- |\n");
        for (key, value) in properties {
            let must = required.iter().any(|name| name.as_str() == Some(key));
            let meaning = cell(value["description"].as_str().unwrap_or_default());
            let must = if must { " (required)" } else { "" };
            let _ = writeln!(text, "| `{key}`{must} | {} | {meaning} |", kind(value));
        }
        text.push('\n');
    }
    let choices = of["oneOf"].as_array().or(of["anyOf"].as_array());
    let has = |key: &str| choices.is_some_and(|all| all.iter().all(|one| !one[key].is_null()));
    if let Some(choices) = choices.filter(|_| has("title") && !has("properties")) {
        // The keys of which exactly one is there.
        let which = |one: &Value| {
            let keys = one["required"].as_array().into_iter().flatten();
            let keys: Vec<_> =
                keys.map(|key| format!("`{}`", key.as_str().unwrap_or_default())).collect();
            format!("{}: {}", keys.join(", "), one["title"].as_str().unwrap_or_default())
        };
        let all: Vec<_> = choices.iter().map(which).collect();
        let _ = write!(text, "Exactly one of {}.\n\n", all.join("; "));
    } else if let Some(choices) = choices.filter(|_| has("title")) {
        for choice in choices {
            let _ = write!(text, "## `{}`\n\n", choice["title"].as_str().unwrap_or_default());
            definition(choice, text);
        }
    } else if let Some(choices) = choices {
        text.push_str("| one of | meaning |\n| --- | --- |\n");
        for choice in choices {
            let meaning = cell(choice["description"].as_str().unwrap_or_default());
            let _ = writeln!(text, "| {} | {meaning} |", kind(choice));
        }
        text.push('\n');
    }
}

/// What a value is, in a few words; a name leads to its heading.
fn kind(value: &Value) -> String {
    if let Some(name) = value["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
        return format!("[{name}](#{})", name.to_lowercase());
    }
    // A reference that has words of its own beside it.
    if let Some([one]) = value["allOf"].as_array().map(Vec::as_slice) {
        return kind(one);
    }
    if !value["const"].is_null() {
        return format!("`{}`", value["const"]);
    }
    if let Some(words) = value["enum"].as_array() {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        return words.join(", ");
    }
    for several in ["oneOf", "anyOf"] {
        if let Some(choices) = value[several].as_array() {
            let choices: Vec<_> =
                choices.iter().filter(|one| one["type"] != "null").map(kind).collect();
            return choices.join(" or ");
        }
    }
    if let Some(properties) = value["properties"].as_object() {
        let pairs: Vec<_> =
            properties.iter().map(|(key, value)| format!("`{key}`: {}", kind(value))).collect();
        return format!("{{ {} }}", pairs.join(", "));
    }
    let types = match &value["type"] {
        Value::Array(all) => all.iter().filter_map(Value::as_str).find(|one| *one != "null"),
        one => one.as_str(),
    };
    match types {
        Some("array") => format!("list of {}", kind(&value["items"])),
        Some("object") if value["additionalProperties"].is_object() => {
            format!("table of {}", kind(&value["additionalProperties"]))
        }
        Some("object") => "table".to_owned(),
        Some("string") => "text".to_owned(),
        Some("boolean") => "true or false".to_owned(),
        Some(other) => other.to_owned(),
        None => "anything".to_owned(),
    }
}

/// A definition that is only a text is shown as what it is, in the place of its name.
fn inlined(value: &mut Value, words: &BTreeMap<String, Value>) {
    if let Some(target) = value["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/"))
        && let Some(word) = words.get(target)
    {
        let description = value["description"].take();
        *value = word.clone();
        if !description.is_null() {
            value["description"] = description;
        }
        return;
    }
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| inlined(one, words)),
        Value::Object(all) => all.values_mut().for_each(|one| inlined(one, words)),
        _ => {}
    }
}

#[test]
fn the_reference_is_what_the_types_say() {
    let shell = Shell::new();
    let mut made = vec![
        ("planner".to_owned(), command_page(planner::cli::Cli::command())),
        ("executor".to_owned(), command_page(executor::cli::Cli::command())),
    ];
    for (name, command, words) in DOCUMENTS {
        let printed = shell.does(command);
        let mut schema: Value = serde_json::from_str(&printed).expect("a schema is JSON");
        let simple: BTreeMap<_, _> = schema["$defs"]
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, of)| is_word(of))
            .map(|(name, of)| (name.clone(), of.clone()))
            .collect();
        inlined(&mut schema, &simple);
        let title = format!("`{}`", name.replace("-json", ".json").replace("-toml", ".toml"));
        made.push(((*name).to_owned(), schema_page(&title, words, command, &schema)));
    }
    let mut stale = Vec::new();
    for (name, text) in made {
        let path = root().join("docs/reference").join(format!("{name}.md"));
        if fs::read_to_string(&path).is_ok_and(|there| there == text) {
            continue;
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::create_dir_all(path.parent().expect("a directory")).expect("writable");
            fs::write(&path, text).expect("writable");
        } else {
            stale.push(name);
        }
    }
    assert_eq!(stale, [""; 0], "UPDATE_DOCS=1 writes them anew");
}
