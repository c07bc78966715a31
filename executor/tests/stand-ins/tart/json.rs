//! JSON as Swift's encoder prints it: spaces on both sides of a colon, slashes escaped, keys in
//! no order (another one in every process here), an empty array over several lines.

#[derive(Debug)]
pub(crate) enum Value {
    Number(u64),
    Text(String),
    Truth(bool),
}

pub(crate) type Object = Vec<(&'static str, Value)>;

fn text(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('/', "\\/");
    format!("\"{escaped}\"")
}

pub(crate) fn object(mut entries: Object, indent: &str) -> String {
    let turn = std::process::id() as usize % entries.len().max(1);
    entries.rotate_left(turn);
    let members: Vec<String> = entries
        .iter()
        .map(|(key, value)| {
            let value = match value {
                Value::Number(number) => number.to_string(),
                Value::Truth(truth) => truth.to_string(),
                Value::Text(value) => text(value),
            };
            format!("{indent}  {} : {value}", text(key))
        })
        .collect();
    format!("{indent}{{\n{}\n{indent}}}", members.join(",\n"))
}

pub(crate) fn array(objects: Vec<Object>) -> String {
    let members: Vec<String> = objects.into_iter().map(|entries| object(entries, "  ")).collect();
    format!("[\n{}\n]", members.join(",\n"))
}
